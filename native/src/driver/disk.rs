//! Disk operations, carried out by worker threads, except for short appends to an idle file: these
//! are written by the event loop itself. Such an append ends in the page cache, in less time than
//! it takes to hand it to another thread and to get the result. While a file is being synced, a
//! worker appends to it, since the kernel may make an append wait for the fsync.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::UNIX_EPOCH;

use limpid_core::machine::{
    DiskDone, DiskError, DiskErrorKind, DiskOp, FileId, FileStat, OpId, OpenMode,
};
use limpid_core::time::Wall;

use super::mailbox::{Mailbox, Message};
use super::schedule::{Job, Schedule};

/// Worker threads: one may be blocked in an fsync, one write a snapshot, and one is left for short
/// operations.
const WORKERS: usize = 3;

/// The longest append that the event loop carries out itself, in bytes.
const AT_ONCE: usize = 64 * 1024;

pub(super) type Outcome = Result<DiskDone, DiskError>;

/// Carries out disk operations in the background, keeping the order that each file needs.
#[derive(Debug)]
pub(super) struct Disk {
    shared: Arc<Shared>,
    /// Started with the first operation.
    workers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Notified when an operation may begin, or when [`State::finishing`] is set.
    changed: Condvar,
    mailbox: Arc<Mailbox>,
}

#[derive(Debug, Default)]
struct State {
    schedule: Schedule,
    files: HashMap<FileId, Arc<File>>,
    /// Files with a failed append that the machine has not been told of yet. Later appends must not
    /// be written after the gap.
    failed: HashMap<FileId, Failure>,
    /// No more operations will come.
    finishing: bool,
}

/// An append that failed.
#[derive(Debug, Clone)]
struct Failure {
    op: OpId,
    error: DiskError,
}

impl Disk {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        let shared = Shared { state: Mutex::default(), changed: Condvar::new(), mailbox };
        Disk { shared: Arc::new(shared), workers: Vec::new() }
    }

    /// Submits an operation. Its completion arrives by the mailbox, unless it was carried out at
    /// once: then the outcome is returned.
    pub(super) fn submit(&mut self, op: OpId, what: DiskOp) -> Option<Outcome> {
        if let Some(outcome) = self.shared.append_at_once(op, &what) {
            return Some(outcome);
        }
        if self.workers.is_empty() {
            self.workers.extend((0..WORKERS).map_while(|n| {
                let shared = self.shared.clone();
                let thread = std::thread::Builder::new().name(format!("disk-{n}"));
                thread.spawn(move || shared.work()).ok()
            }));
        }
        self.shared.state().schedule.submit(op, what);
        self.shared.changed.notify_one();
        if self.workers.is_empty() {
            // No thread could be started, so the work is done here.
            self.shared.work_off();
        }
        None
    }

    /// Notes that the machine is being told the outcome of an operation.
    pub(super) fn completed(&mut self, op: OpId, outcome: &Outcome) {
        if outcome.is_err() {
            self.shared.state().failed.retain(|_, failure| failure.op != op);
        }
    }

    /// Waits until all submitted operations have ended.
    pub(super) fn finish(&mut self) {
        self.shared.state().finishing = true;
        self.shared.changed.notify_all();
        for worker in self.workers.drain(..) {
            // A worker that panicked has reported it.
            let _ = worker.join();
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Carries out an append if it is short and nothing else is being done with its file.
    fn append_at_once(&self, op: OpId, what: &DiskOp) -> Option<Outcome> {
        let DiskOp::Append { file: id, bytes } = what else { return None };
        if bytes.len() > AT_ONCE {
            return None;
        }
        let file = {
            let mut state = self.state();
            if state.failed.contains_key(id) || !state.schedule.is_free_for(what) {
                return None;
            }
            state.files.get(id).cloned()?
        };
        // Completions of earlier operations must be delivered first.
        if self.mailbox.holds_completion(*id) {
            return None;
        }
        let mut failure = None;
        append_all(&file, &mut failure, &[(op, bytes)]);
        Some(match failure {
            None => Ok(DiskDone::Done),
            Some(failure) => Err(failure.error),
        })
    }

    /// The loop of a worker thread.
    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(job) = state.schedule.begin() {
                drop(state);
                self.carry_out(job);
                state = self.state();
            } else if state.finishing && state.schedule.is_empty() {
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn work_off(&self) {
        loop {
            let Some(job) = self.state().schedule.begin() else { return };
            self.carry_out(job);
        }
    }

    fn carry_out(&self, job: Job) {
        let file = job.file;
        let outcomes: Vec<(OpId, Outcome)> = match file {
            Some(id) => self.on_file(id, job.ops),
            None => job.ops.into_iter().map(|(op, what)| (op, self.on_path(what))).collect(),
        };
        // Reported before operations that wait for it may begin, so that the machine gets the
        // completions for one file in order.
        self.mailbox
            .put(outcomes.into_iter().map(|(op, outcome)| Message::Disk(file, op, outcome)));
        self.state().schedule.end(job.number);
        self.changed.notify_all();
    }

    fn on_file(&self, id: FileId, ops: Vec<(OpId, DiskOp)>) -> Vec<(OpId, Outcome)> {
        let (file, mut failure) = {
            let state = self.state();
            (state.files.get(&id).cloned(), state.failed.get(&id).cloned())
        };
        let Some(file) = file else {
            return ops.into_iter().map(|(op, _)| (op, Err(not_open()))).collect();
        };
        let had_failed = failure.is_some();
        let outcomes = on_file(&file, &mut failure, ops);
        if let (false, Some(failure)) = (had_failed, failure) {
            self.state().failed.insert(id, failure);
        }
        outcomes
    }

    fn on_path(&self, what: DiskOp) -> Outcome {
        match what {
            DiskOp::Open { file, path, mode } => {
                let (open, len) = open(&path, mode).map_err(disk_error)?;
                self.state().files.insert(file, Arc::new(open));
                Ok(DiskDone::Opened { len })
            }
            DiskOp::Close { file } => {
                let mut state = self.state();
                state.failed.remove(&file);
                state.files.remove(&file).map(|_| DiskDone::Done).ok_or_else(not_open)
            }
            DiskOp::Load { path } => fs::read(path).map(DiskDone::Data).map_err(disk_error),
            DiskOp::Replace { path, bytes } => done(replace(Path::new(&path), &bytes)),
            DiskOp::Rename { from, to } => done(fs::rename(from, to)),
            DiskOp::Remove { path } => done(fs::remove_file(path)),
            DiskOp::MakeDir { path } => done(fs::create_dir_all(path)),
            DiskOp::List { path } => list(&path).map(DiskDone::Names).map_err(disk_error),
            DiskOp::SyncDir { path } => done(sync_dir(Path::new(&path))),
            DiskOp::ChangeDir { path } => done(std::env::set_current_dir(path)),
            DiskOp::Stat { path } => stat(Path::new(&path)).map(DiskDone::Stat).map_err(disk_error),
            DiskOp::StatLink { path } => {
                let stat = fs::symlink_metadata(path).and_then(|metadata| file_stat(&metadata));
                stat.map(DiskDone::Stat).map_err(disk_error)
            }
            DiskOp::ReadLink { path } => fs::read_link(path)
                .map(|target| DiskDone::Data(target.into_os_string().into_encoded_bytes()))
                .map_err(disk_error),
            DiskOp::MakeLink { target, path } => done(std::os::unix::fs::symlink(target, path)),
            DiskOp::RemoveDir { path } => done(fs::remove_dir(path)),
            DiskOp::SetMode { path, mode } => {
                done(fs::set_permissions(path, fs::Permissions::from_mode(mode.into())))
            }
            DiskOp::Append { .. }
            | DiskOp::Read { .. }
            | DiskOp::Lock { .. }
            | DiskOp::Sync { .. }
            | DiskOp::Truncate { .. } => Err(not_open()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries out operations on one open file. Adjacent appends are written together, and one fsync
/// serves all that were requested between the same reads and truncations.
fn on_file(
    file: &File,
    failure: &mut Option<Failure>,
    ops: Vec<(OpId, DiskOp)>,
) -> Vec<(OpId, Outcome)> {
    let mut outcomes = Vec::with_capacity(ops.len());
    let mut ops = ops.into_iter().peekable();
    while let Some((op, what)) = ops.next() {
        match what {
            DiskOp::Read { offset, len, .. } => {
                outcomes.push((op, read(file, offset, len).map_err(disk_error)));
            }
            DiskOp::Truncate { len, .. } => outcomes.push((op, done(truncate(file, len)))),
            DiskOp::Lock { .. } => outcomes.push((op, lock_file(file))),
            what => {
                let mut run = vec![(op, what)];
                while let Some(next) = ops.next_if(|(_, what)| is_write(what)) {
                    run.push(next);
                }
                write_run(file, failure, run, &mut outcomes);
            }
        }
    }
    outcomes
}

fn is_write(what: &DiskOp) -> bool {
    matches!(what, DiskOp::Append { .. } | DiskOp::Sync { .. })
}

/// Writes all appends of a run, then syncs once if one of its operations asks for it.
fn write_run(
    file: &File,
    failure: &mut Option<Failure>,
    run: Vec<(OpId, DiskOp)>,
    outcomes: &mut Vec<(OpId, Outcome)>,
) {
    let appends: Vec<(OpId, &[u8])> = run
        .iter()
        .filter_map(|(op, what)| match what {
            DiskOp::Append { bytes, .. } => Some((*op, bytes.as_slice())),
            _ => None,
        })
        .collect();
    let written = append_all(file, failure, &appends);
    let synced = (appends.len() < run.len()).then(|| done(file.sync_data()));
    let mut nth = 0;
    for (op, what) in &run {
        let outcome = match (what, &synced) {
            (DiskOp::Sync { .. }, Some(synced)) => synced.clone(),
            _ => {
                nth += 1;
                match &*failure {
                    Some(failure) if nth > written => Err(failure.error.clone()),
                    _ => Ok(DiskDone::Done),
                }
            }
        };
        outcomes.push((*op, outcome));
    }
}

/// Carries out appends, and returns how many were complete before one failed. A partial write of
/// the failed one is truncated.
fn append_all(mut file: &File, failure: &mut Option<Failure>, appends: &[(OpId, &[u8])]) -> usize {
    if failure.is_some() {
        return 0;
    }
    let (written, result) = write_all_vectored(file, appends);
    let Err(error) = result else { return appends.len() };
    let mut whole = 0;
    let mut left = written;
    for (_, bytes) in appends {
        match left.checked_sub(bytes.len()) {
            Some(rest) => (left, whole) = (rest, whole + 1),
            None => break,
        }
    }
    if left > 0
        && let Ok(len) = file.seek(SeekFrom::End(0))
    {
        // If this fails too, the loader finds an incomplete tail, as after a crash.
        let _ = truncate(file, len.saturating_sub(left as u64));
    }
    if let Some((op, _)) = appends.get(whole) {
        *failure = Some(Failure { op: *op, error: disk_error(error) });
    }
    whole
}

/// Writes all the bytes in few calls. Returns how many were written, and the error if one occurred.
fn write_all_vectored(mut file: &File, appends: &[(OpId, &[u8])]) -> (usize, io::Result<()>) {
    let mut slices: Vec<IoSlice<'_>> = appends.iter().map(|(_, b)| IoSlice::new(b)).collect();
    let mut slices = slices.as_mut_slice();
    let mut written = 0;
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(n) => {
                written += n;
                IoSlice::advance_slices(&mut slices, n);
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return (written, Err(e)),
        }
    }
    (written, Ok(()))
}

fn open(path: &str, mode: OpenMode) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    match mode {
        OpenMode::Read => options.read(true),
        OpenMode::Append => options.read(true).append(true).create(true),
        OpenMode::Create => options.read(true).write(true).create(true).truncate(true),
    };
    let file = options.open(path)?;
    let len = file.metadata()?.len();
    Ok((file, len))
}

fn read(file: &File, offset: u64, len: u32) -> io::Result<DiskDone> {
    let rest = file.metadata()?.len().saturating_sub(offset).min(u64::from(len));
    let mut data = vec![0; usize::try_from(rest).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < data.len() {
        match file.read_at(&mut data[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    data.truncate(filled);
    Ok(DiskDone::Data(data))
}

fn truncate(mut file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)?;
    // A file that is not in append mode has a position, which must not stay behind the new end.
    file.seek(SeekFrom::End(0))?;
    Ok(())
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A symbolic link stays, and the file that it points to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let result = write_new(&temporary, &path, bytes).and_then(|()| fs::rename(&temporary, &path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result?;
    sync_dir(&directory_of(&path))
}

fn write_new(temporary: &Path, like: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    if let Ok(old) = fs::metadata(like) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn list(path: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

fn stat(path: &Path) -> io::Result<FileStat> {
    file_stat(&fs::metadata(path)?)
}

fn file_stat(metadata: &fs::Metadata) -> io::Result<FileStat> {
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(FileStat {
        dir: metadata.is_dir(),
        link: metadata.is_symlink(),
        len: metadata.len(),
        mode: (metadata.permissions().mode() & 0o777) as u16,
        modified: Wall(u64::try_from(modified.as_micros()).unwrap_or(u64::MAX)),
    })
}

/// Locks a file until it is closed.
fn lock_file(file: &File) -> Outcome {
    match file.try_lock() {
        Ok(()) => Ok(DiskDone::Done),
        Err(TryLockError::WouldBlock) => Err(DiskError {
            kind: DiskErrorKind::Denied,
            message: "Resource temporarily unavailable".into(),
        }),
        Err(TryLockError::Error(error)) => Err(disk_error(error)),
    }
}

fn done(result: io::Result<()>) -> Outcome {
    result.map(|()| DiskDone::Done).map_err(disk_error)
}

fn not_open() -> DiskError {
    DiskError { kind: DiskErrorKind::Io, message: "Bad file descriptor".into() }
}

fn disk_error(error: io::Error) -> DiskError {
    let kind = match error.kind() {
        ErrorKind::NotFound => DiskErrorKind::NotFound,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => DiskErrorKind::Denied,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskErrorKind::NoSpace,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
            DiskErrorKind::NotADirectory
        }
        _ => DiskErrorKind::Io,
    };
    DiskError { kind, message: strerror(&error) }
}

/// The text that `strerror` has for an error, as Redis's messages quote it.
pub(super) fn strerror(error: &io::Error) -> String {
    let mut words = error.to_string();
    if let Some(at) = words.find(" (os error") {
        words.truncate(at);
    }
    words
}
