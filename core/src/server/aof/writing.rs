//! Appending commands to the file, and fsync.
//!
//! At most one append and one fsync are in progress. New commands are buffered meanwhile: with
//! `always` during an fsync, so that the next one covers all writes and replies that arrived during
//! it; with the other policies only during an append, since replies wait for no more than that.
//! Positions count the bytes of the log across all its files.

use super::{Fsync, Server};
use crate::machine::{DiskDone, DiskError, DiskOp, FileId, LogLevel};
use crate::server::DiskWork;
use crate::time::{Duration, Mono, Now};

/// The fsync interval of `appendfsync everysec`.
const EVERY: Duration = Duration::from_secs(1);

/// How long to wait before a failed write is retried.
const RETRY: Duration = Duration::from_secs(1);

/// How often write errors are logged: Redis's `AOF_WRITE_LOG_ERROR_RATE`.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Capacity that an idle buffer keeps, in bytes.
const KEEP: usize = 64 * 1024;

/// The end of the log, and the file that it is appended to.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// The file that is appended to.
    file: Option<FileId>,
    /// Its size in bytes, without an append in progress.
    size: u64,
    /// Commands that have not been handed to the disk.
    buffer: Vec<u8>,
    /// The position at the end of `buffer`.
    end: u64,
    /// The position up to which the log has been written.
    written: u64,
    /// The position up to which the log is durable.
    synced: u64,
    /// The bytes of the append in progress, in case it has to be repeated.
    writing: Option<Vec<u8>>,
    syncing: Option<Syncing>,
    /// Buffered commands that belong to the current file, while the next file is about to be named
    /// in the manifest.
    tail: Vec<u8>,
    /// Set while the next file is about to be named in the manifest, so that only `tail` may be
    /// written: the replication offset at the end of `tail`.
    held: Option<i64>,
    /// A buffer for reuse.
    spare: Vec<u8>,
    /// Since when there are writes that are not durable.
    oldest: Option<Mono>,
    /// When the first write arrived that the fsync in progress does not cover.
    next_oldest: Option<Mono>,
    /// When the last fsync was started.
    last_sync: Option<Mono>,
    failure: Failure,
    /// Whether everything has to be fsynced at once because the server is shutting down.
    pub(super) ending: bool,
    /// How often replies had to wait because an fsync took too long (`aof_delayed_fsync`).
    pub(super) delayed: u64,
    /// Whether the fsync in progress is counted in `delayed`.
    counted: bool,
    /// The replication offset up to which everything is durable.
    pub(super) synced_offset: i64,
}

/// An fsync in progress.
#[derive(Clone, Copy, Debug)]
struct Syncing {
    /// The position up to which the log will be durable.
    end: u64,
    /// The replication offset up to which everything will be durable.
    offset: i64,
}

/// Failed writes and fsyncs.
#[derive(Clone, Debug, Default)]
struct Failure {
    /// Why the last write failed.
    write: Option<DiskError>,
    /// Why the last fsync failed.
    sync: Option<DiskError>,
    /// When to retry.
    retry: Option<Mono>,
    /// Whether a partial write may be at the end of the file.
    torn: bool,
    /// Whether it is being truncated.
    cutting: bool,
    /// When a failure was last logged.
    logged: Option<Mono>,
}

/// What to continue when a disk operation has completed.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) enum Step {
    /// An append, started at this time.
    Append(FileId, Mono),
    /// An fsync, started at this time.
    Sync(FileId, Mono),
    /// Truncating a partial write.
    Cut(FileId),
    /// Closing a file that is no longer used.
    Close,
    /// The last fsync of a file that is no longer used.
    LastSync,
    /// The last append to a file that is no longer used.
    LastAppend,
}

impl Log {
    /// Whether there is a file to append to.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// The position at the end of the log.
    #[inline]
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The position up to which the log has been written.
    #[inline]
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The size of the current file in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that are not written yet.
    pub(super) fn waiting(&self) -> usize {
        self.buffer.len() + self.tail.len() + self.writing.as_ref().map_or(0, Vec::len)
    }

    /// Whether there are commands that have not been handed to the disk.
    #[inline]
    pub(super) fn has_unwritten(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Whether everything is written, and no operation is in progress.
    pub(super) fn is_written(&self) -> bool {
        self.waiting() == 0 && self.syncing.is_none() && self.held.is_none()
    }

    /// Whether an fsync is under way.
    pub(super) fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// The position up to which the log is safe: durable, or with `skips` (fsync is suspended) at
    /// least written.
    pub(super) fn durable(&self, skips: bool) -> u64 {
        if skips { self.written.max(self.synced) } else { self.synced }
    }

    /// Since when there are writes that are not durable.
    pub(super) fn oldest_volatile(&self) -> Option<Mono> {
        self.oldest
    }

    /// Whether the last write or fsync failed.
    #[inline]
    pub(super) fn has_failed(&self) -> bool {
        self.failure.write.is_some() || self.failure.sync.is_some()
    }

    /// Why the last write or fsync failed.
    pub(super) fn error(&self) -> Option<&DiskError> {
        self.failure.write.as_ref().or(self.failure.sync.as_ref())
    }

    /// Whether everything is durable.
    pub(super) fn is_durable(&self) -> bool {
        self.is_written() && self.synced == self.written
    }

    /// Appends what `write` adds to the buffer.
    #[inline]
    pub(super) fn feed(&mut self, now: Mono, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.buffer.len();
        write(&mut self.buffer);
        let added = self.buffer.len().saturating_sub(before);
        if added > 0 {
            self.end += added as u64;
            let since =
                if self.syncing.is_some() { &mut self.next_oldest } else { &mut self.oldest };
            since.get_or_insert(now);
        }
    }

    /// Starts to append to a file of `size` bytes, all of them durable.
    pub(super) fn open(&mut self, file: FileId, size: u64) {
        self.file = Some(file);
        self.size = size;
        self.failure = Failure::default();
    }

    /// From now on commands belong to the next file, which is about to be named in the manifest.
    pub(super) fn hold(&mut self, offset: i64) {
        self.held = Some(offset);
        self.tail = core::mem::take(&mut self.buffer);
    }

    /// There will be no next file: everything goes to this one.
    pub(super) fn release(&mut self) {
        self.held = None;
        let newer = core::mem::replace(&mut self.buffer, core::mem::take(&mut self.tail));
        self.buffer.extend_from_slice(&newer);
    }

    /// The manifest names the next file. Returns the previous one.
    pub(super) fn switch_to(&mut self, file: FileId) -> Option<FileId> {
        self.held = None;
        self.size = 0;
        self.file.replace(file)
    }

    /// Drops unwritten commands and the file.
    pub(super) fn forget(&mut self) -> Option<FileId> {
        self.give_up().map(|(file, _)| file)
    }

    fn give_up(&mut self) -> Option<(FileId, Vec<u8>)> {
        self.release();
        let left = core::mem::take(&mut self.buffer);
        let file = self.file.take();
        let (delayed, end, synced_offset) = (self.delayed, self.end, self.synced_offset);
        *self = Log { delayed, end, synced_offset, ..Log::default() };
        (self.written, self.synced) = (end, end);
        Some((file?, left))
    }

    /// Bytes that have not been handed to the disk.
    fn unsent(&self) -> u64 {
        (self.buffer.len() + self.tail.len()) as u64
    }
}

impl Server {
    /// Whether fsync is suspended because a snapshot is being written
    /// (`no-appendfsync-on-rewrite`).
    pub(super) fn skips_fsync(&self) -> bool {
        self.config.settings().aof.no_appendfsync_on_rewrite && self.snapshot_runs()
    }

    /// Starts an append or an fsync, if one is due.
    pub(in crate::server) fn drive_log(&mut self) {
        let now = self.now.0;
        let log = &self.service.aof.log;
        let Some(file) = log.file else { return };
        let busy = log.writing.is_some() || log.failure.cutting;
        if busy || log.failure.retry.is_some_and(|at| now < at) {
            return;
        }
        if log.failure.torn {
            let len = log.size;
            self.service.aof.log.failure.cutting = true;
            return self.log_op(DiskOp::Truncate { file, len }, Step::Cut(file));
        }
        // One fsync can cover many writes, if they wait for it anyway.
        let gathers = self.syncs_always() || log.held.is_some();
        if log.syncing.is_some() && gathers {
            return;
        }
        self.service.aof.log.failure.retry = None;
        if self.service.aof.log.held.is_some() {
            return self.drive_tail(file);
        }
        if !self.service.aof.log.buffer.is_empty() {
            let log = &mut self.service.aof.log;
            let bytes = log.buffer.clone();
            let next = core::mem::take(&mut log.spare);
            log.writing = Some(core::mem::replace(&mut log.buffer, next));
            self.log_op(DiskOp::Append { file, bytes }, Step::Append(file, self.now.0));
        }
        if self.service.aof.log.syncing.is_none() && self.wants_sync(now) {
            self.sync_log(file);
        }
    }

    fn syncs_always(&self) -> bool {
        self.service.aof.log.ending || self.config.settings().aof.appendfsync == Fsync::Always
    }

    /// Completes and fsyncs the current file before the manifest names the next one.
    fn drive_tail(&mut self, file: FileId) {
        let log = &mut self.service.aof.log;
        if !log.tail.is_empty() {
            let bytes = core::mem::take(&mut log.tail);
            log.writing = Some(bytes.clone());
            self.log_op(DiskOp::Append { file, bytes }, Step::Append(file, self.now.0));
        } else if log.written > log.synced {
            self.sync_log(file);
        } else {
            self.name_new_incr();
        }
    }

    /// Whether an fsync is due, after the append in progress.
    fn wants_sync(&self, now: Mono) -> bool {
        let log = &self.service.aof.log;
        let policy = match self.config.settings().aof.appendfsync {
            _ if self.syncs_always() => Fsync::Always,
            policy => policy,
        };
        let unsynced = match policy {
            // It immediately follows its append.
            Fsync::Always => log.end.saturating_sub(log.unsent()) > log.synced,
            Fsync::Everysec | Fsync::No => log.written > log.synced,
        };
        let due = match policy {
            Fsync::Always => true,
            Fsync::Everysec => log.last_sync.is_none_or(|at| now >= at + EVERY),
            Fsync::No => false,
        };
        unsynced && due && (log.ending || !self.skips_fsync())
    }

    fn sync_log(&mut self, file: FileId) {
        let now = self.now.0;
        let offset = self.stream_offset();
        let log = &mut self.service.aof.log;
        let offset = log.held.unwrap_or(offset);
        let end = log.end.saturating_sub(log.unsent());
        log.syncing = Some(Syncing { end, offset });
        log.last_sync = Some(now);
        log.next_oldest = (log.unsent() > 0).then_some(now);
        log.counted = false;
        self.log_op(DiskOp::Sync { file }, Step::Sync(file, now));
    }

    fn log_op(&mut self, what: DiskOp, step: Step) {
        self.disk_op(what, DiskWork::Aof(super::Step::Log(step)));
    }

    pub(super) fn log_disk_done(
        &mut self,
        now: Now<'_>,
        step: Step,
        result: Result<DiskDone, DiskError>,
    ) {
        match step {
            Step::Append(file, _) | Step::Sync(file, _) | Step::Cut(file)
                if self.service.aof.log.file != Some(file) => {}
            Step::Append(_, began) => {
                let took = now.mono.0.saturating_sub(began.0);
                let syncing = self.service.aof.log.syncing.is_some();
                let how = if syncing { "aof-write-pending-fsync" } else { "aof-write-alone" };
                self.note_latency(how, took);
                self.note_latency("aof-write", took);
                self.log_appended(now, result.map(drop));
            }
            Step::Sync(_, began) => {
                if self.syncs_always() {
                    let took = now.mono.0.saturating_sub(began.0);
                    self.note_latency("aof-fsync-always", took);
                }
                self.log_synced(now, result.map(drop));
            }
            Step::Cut(_) => self.log_cut(now, result.map(drop)),
            Step::Close => {}
            Step::LastAppend | Step::LastSync => {
                if let Err(error) = result {
                    self.log(LogLevel::Warning, || format!("Fail to fsync the AOF file: {error}"));
                }
            }
        }
        self.continue_aof(now);
    }

    fn log_appended(&mut self, now: Now<'_>, result: Result<(), DiskError>) {
        let log = &mut self.service.aof.log;
        let mut bytes = log.writing.take().unwrap_or_default();
        match result {
            Ok(()) => {
                log.size += bytes.len() as u64;
                log.written += bytes.len() as u64;
                if log.failure.write.take().is_some() {
                    log.failure.retry = None;
                    self.notice(|| {
                        "AOF write error looks solved, Redis can write again.".to_owned()
                    });
                }
                self.service.aof.current_size += bytes.len() as u64;
                if bytes.capacity() <= KEEP {
                    bytes.clear();
                    self.service.aof.log.spare = bytes;
                }
            }
            Err(error) => {
                let behind = if log.held.is_some() { &mut log.tail } else { &mut log.buffer };
                bytes.append(behind);
                *behind = bytes;
                log.failure.torn = true;
                self.log_write_failed(now, error);
                self.abort_switch(now);
            }
        }
    }

    fn log_write_failed(&mut self, now: Now<'_>, error: DiskError) {
        let failure = &mut self.service.aof.log.failure;
        failure.retry = Some(now.mono + RETRY);
        let tell = failure.logged.is_none_or(|at| now.mono.since(at) > LOG_EVERY);
        failure.write = Some(error.clone());
        if tell {
            failure.logged = Some(now.mono);
            self.log(LogLevel::Warning, || format!("Error writing to the AOF file: {error}"));
        }
        if self.config.settings().aof.appendfsync == Fsync::Always {
            self.log(LogLevel::Warning, || {
                "Can't recover from AOF write error when the AOF fsync policy is 'always'. \
                 Exiting..."
                    .to_owned()
            });
            self.exit(1);
        } else if tell {
            self.log(LogLevel::Warning, || {
                "Writes are refused until the AOF can be written: make room on its disk, or turn \
                 it off with CONFIG SET appendonly no. It is tried again every second."
                    .to_owned()
            });
        }
    }

    fn log_cut(&mut self, now: Now<'_>, result: Result<(), DiskError>) {
        let failure = &mut self.service.aof.log.failure;
        failure.cutting = false;
        match result {
            Ok(()) => failure.torn = false,
            Err(error) => {
                failure.retry = Some(now.mono + RETRY);
                let tell = failure.logged.is_none_or(|at| now.mono.since(at) > LOG_EVERY);
                if tell {
                    failure.logged = Some(now.mono);
                    self.log(LogLevel::Warning, || {
                        format!(
                            "Could not remove short write from the append-only file.  Redis may \
                             refuse to load the AOF the next time it starts.  ftruncate: {error}"
                        )
                    });
                }
            }
        }
    }

    fn log_synced(&mut self, now: Now<'_>, result: Result<(), DiskError>) {
        let log = &mut self.service.aof.log;
        let Some(syncing) = log.syncing.take() else { return };
        match result {
            Ok(()) => {
                // Bytes of a failed append are not there to be durable.
                log.synced = syncing.end.min(log.written);
                log.oldest = if log.synced < syncing.end { log.oldest } else { log.next_oldest };
                log.next_oldest = None;
                if log.synced == syncing.end {
                    log.synced_offset = syncing.offset;
                }
                if log.failure.sync.take().is_some() {
                    // After a failed fsync the data may be lost for good, even if a later fsync
                    // succeeds: write everything anew.
                    self.service.aof.rewrite.scheduled = true;
                    self.notice(|| {
                        "AOF fsync works again. Rewriting the AOF, since earlier writes may be \
                         missing in it."
                            .to_owned()
                    });
                }
                self.offsets_changed();
            }
            Err(error) => {
                log.next_oldest = None;
                log.failure.retry = Some(now.mono + RETRY);
                let first = log.failure.sync.replace(error.clone()).is_none();
                if self.config.settings().aof.appendfsync == Fsync::Always {
                    self.log(LogLevel::Warning, || {
                        format!(
                            "Can't persist AOF for fsync error when the AOF fsync policy is \
                             'always': {error}. Exiting..."
                        )
                    });
                    self.exit(1);
                } else if first {
                    self.log(LogLevel::Warning, || format!("Fail to fsync the AOF file: {error}"));
                }
            }
        }
    }

    /// Continues writing and fsyncing, and releases the replies that wait for it.
    pub(super) fn continue_aof(&mut self, now: Now<'_>) {
        self.open_gate(now.mono);
        self.drive_log();
        self.reload_if_written(now);
        self.end_if_durable(now);
    }

    /// Runs the periodic tasks that are due.
    pub(in crate::server) fn aof_cron(&mut self, now: Now<'_>) {
        if self.service.aof.log.file.is_none() {
            return;
        }
        self.drive_log();
        if self.gate_is_closed(now.mono)
            && self.config.settings().aof.appendfsync == Fsync::Everysec
            && !core::mem::replace(&mut self.service.aof.log.counted, true)
        {
            self.service.aof.log.delayed += 1;
            self.notice(|| {
                "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF \
                 buffer without waiting for fsync to complete, this may slow down Redis."
                    .to_owned()
            });
        }
    }

    /// When the next task is due.
    pub(in crate::server) fn aof_wake(&self) -> Option<Mono> {
        let log = &self.service.aof.log;
        log.file?;
        if log.writing.is_some() || log.failure.cutting {
            return None;
        }
        if log.failure.retry.is_some() {
            return log.failure.retry;
        }
        if log.held.is_some() {
            return None;
        }
        match self.config.settings().aof.appendfsync {
            Fsync::Everysec if log.syncing.is_some() => {
                self.gate_closes_at().filter(|_| !log.counted)
            }
            Fsync::Everysec if log.written > log.synced && !self.skips_fsync() => {
                Some(log.last_sync.map_or(self.now.0, |at| at + EVERY))
            }
            _ => None,
        }
    }

    /// Writes everything that is buffered, fsyncs and closes the file, all in the background.
    pub(super) fn close_log_in_background(&mut self) {
        let (torn, len) = (self.service.aof.log.failure.torn, self.service.aof.log.size);
        let Some((file, left)) = self.service.aof.log.give_up() else { return };
        if torn {
            self.log_op(DiskOp::Truncate { file, len }, Step::LastAppend);
        }
        if !left.is_empty() {
            self.log_op(DiskOp::Append { file, bytes: left }, Step::LastAppend);
        }
        self.log_op(DiskOp::Sync { file }, Step::LastSync);
        self.log_op(DiskOp::Close { file }, Step::Close);
    }
}
