//! The disk device of a host: it executes operations one after the other, each with its duration.

use core::time::Duration;
use std::sync::Arc;

use crate::machine::{DiskDone, DiskError, DiskErrorKind, DiskOp, FileId, OpId, OpenMode};

use super::action::DiskFault;
use super::disk::{self, NodeId, error, no_space, parent, resolve};
use super::event::EventKind;
use super::ids::{HostId, ProcId};
use super::proc::{PendingInput, ProcState};
use super::world::{Tick, World};

/// A disk operation in progress.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) number: u64,
    proc: ProcId,
    op: OpId,
    what: DiskOp,
    /// The error if it is an append behind one that failed.
    fails: Option<DiskError>,
}

/// A file that a process has open.
#[derive(Clone, Debug)]
pub(super) struct OpenFile {
    node: NodeId,
    mode: OpenMode,
    locked: bool,
}

impl World {
    pub(super) fn start_operation(&mut self, proc: ProcId, op: OpId, what: DiskOp) {
        let host_id = self.at_proc(proc).host;
        let now = self.now;
        let host = self.host_mut(host_id);
        let (bytes, syncs) = match &what {
            DiskOp::Append { bytes, .. } => (bytes.len() as u64, 0),
            DiskOp::Replace { bytes, .. } => (bytes.len() as u64, 2),
            DiskOp::Read { len, .. } => (u64::from(*len), 0),
            DiskOp::Sync { .. } | DiskOp::SyncDir { .. } => (0, 1),
            _ => (0, 0),
        };
        let moved = u128::from(bytes) * 1_000_000_000 / u128::from(host.device.bandwidth.max(1));
        let mut time = host.device.access
            + host.device.sync * syncs
            + Duration::from_nanos(u64::try_from(moved).unwrap_or(u64::MAX));
        if let DiskFault::Slow(by) = host.fault {
            time += by;
        }
        let at = host.device_free.max(now) + time;
        host.device_free = at;
        host.next_operation += 1;
        let number = host.next_operation;
        host.operations.push_back(Operation { number, proc, op, what, fails: None });
        self.schedule(at, Tick::Disk { host: host_id, number });
    }

    pub(super) fn end_operation(&mut self, host: HostId, number: u64) {
        let operations = &mut self.host_mut(host).operations;
        let Some(place) = operations.iter().position(|op| op.number == number) else { return };
        let Some(operation) = operations.remove(place) else { return };
        let (proc, op) = (operation.proc, operation.op);
        let result = self.operate(operation);
        self.notify(proc, PendingInput::Disk(op, result));
    }

    /// Completes all unfinished operations of a process immediately.
    pub(super) fn finish_operations(&mut self, proc: ProcId) {
        self.operate_all(proc, usize::MAX);
    }

    /// Completes some of the operations of a killed process: a prefix of them, which had been
    /// handed to the operating system in time.
    pub(super) fn abort_operations(&mut self, proc: ProcId) {
        let host = self.at_proc(proc).host;
        let host = self.host_mut(host);
        let own = host.operations.iter().filter(|operation| operation.proc == proc).count();
        let done = host.disk_rng.below(own as u64 + 1);
        self.operate_all(proc, usize::try_from(done).unwrap_or(0));
    }

    /// Completes the first `most` operations of a process, and drops the others.
    fn operate_all(&mut self, proc: ProcId, most: usize) {
        let host = self.at_proc(proc).host;
        for _ in 0..most {
            let operations = &mut self.host_mut(host).operations;
            let Some(place) = operations.iter().position(|op| op.proc == proc) else { break };
            if let Some(operation) = operations.remove(place) {
                let _ = self.operate(operation);
            }
        }
        self.host_mut(host).operations.retain(|operation| operation.proc != proc);
    }

    pub(super) fn close_files(&mut self, proc: ProcId) {
        let host = self.at_proc(proc).host;
        for (_, file) in core::mem::take(&mut self.proc_mut(proc).files) {
            let disk = Arc::make_mut(&mut self.host_mut(host).disk);
            if file.locked {
                disk.unlock(file.node);
            }
            disk.close(file.node);
        }
    }

    /// Simulates a power loss of a host's disk.
    pub(super) fn disk_loses_power(&mut self, id: HostId) {
        let host = self.host_mut(id);
        host.operations.clear();
        let scattered = host.device.scattered;
        let lost = Arc::make_mut(&mut host.disk).lose_power(&mut host.disk_rng, scattered);
        self.trace.number(lost);
        if lost > 0 {
            self.happened(EventKind::BytesLost { host: id, bytes: lost });
        }
    }

    fn operate(&mut self, operation: Operation) -> Result<DiskDone, DiskError> {
        let Operation { proc, what, fails, .. } = operation;
        let host = self.at_proc(proc).host;
        let appends_to = match &what {
            DiskOp::Append { file, .. } => Some(*file),
            _ => None,
        };
        let refused = fails.or_else(|| self.refuse(host, &what));
        let result = refused.map_or_else(|| self.try_operation(proc, what), Err);
        if let (Some(file), Err(error)) = (appends_to, &result) {
            self.fail_behind(proc, file, error);
        }
        match &result {
            Ok(DiskDone::Data(bytes)) => self.trace.bytes(bytes),
            Ok(_) => self.trace.number(1),
            Err(error) => {
                self.trace.bytes(error.message.as_bytes());
                // A missing file is a result, not a fault of the disk.
                if matches!(error.kind, DiskErrorKind::NoSpace | DiskErrorKind::Io) {
                    let kind = error.kind;
                    self.happened(EventKind::DiskFailed { host, proc, error: kind });
                }
            }
        }
        result
    }

    /// Makes the appends fail that a process has queued behind a failed one: it does not know of
    /// the failure yet, and nothing must be written behind a gap.
    fn fail_behind(&mut self, proc: ProcId, failed: FileId, error: &DiskError) {
        let host = self.at_proc(proc).host;
        for operation in &mut self.host_mut(host).operations {
            let behind = matches!(operation.what, DiskOp::Append { file, .. } if file == failed);
            if behind && operation.proc == proc {
                operation.fails.get_or_insert_with(|| error.clone());
            }
        }
    }

    /// The error that an operation gets because of a disk fault.
    fn refuse(&self, host: HostId, what: &DiskOp) -> Option<DiskError> {
        let writes = matches!(
            what,
            DiskOp::Append { .. }
                | DiskOp::Replace { .. }
                | DiskOp::Truncate { .. }
                | DiskOp::Rename { .. }
                | DiskOp::Remove { .. }
                | DiskOp::MakeDir { .. }
                | DiskOp::MakeLink { .. }
                | DiskOp::RemoveDir { .. }
                | DiskOp::SetMode { .. }
                | DiskOp::Open { mode: OpenMode::Create, .. }
        );
        let fails = match self.at_host(host).fault {
            DiskFault::Writes => writes,
            DiskFault::Syncs => matches!(
                what,
                DiskOp::Sync { .. } | DiskOp::SyncDir { .. } | DiskOp::Replace { .. }
            ),
            DiskFault::Reads => matches!(what, DiskOp::Read { .. } | DiskOp::Load { .. }),
            DiskFault::Renames => matches!(what, DiskOp::Rename { .. } | DiskOp::Replace { .. }),
            DiskFault::None | DiskFault::Full | DiskFault::Slow(_) => false,
        };
        fails.then(|| error(DiskErrorKind::Io, "Input/output error"))
    }

    fn try_operation(&mut self, id: ProcId, what: DiskOp) -> Result<DiskDone, DiskError> {
        let wall = self.wall(self.at_proc(id).host);
        let proc = &mut self.procs[id.0 as usize];
        let host = &mut self.hosts[usize::from(proc.host.0)];
        let files = Arc::make_mut(&mut host.disk);
        files.set_clock(wall);
        let capacity = if host.fault == DiskFault::Full { 0 } else { host.device.capacity };
        let path_of = |path: &str| resolve(&proc.dir, path);
        let open = |file: FileId| proc.files.get(&file).cloned().ok_or_else(bad_file);
        match what {
            DiskOp::Open { file, path, mode } => {
                let path = path_of(&path);
                let node = match (mode, files.find(&path)) {
                    (OpenMode::Create, _) => files.create(&path)?,
                    (OpenMode::Append, Err(e)) if e.kind == DiskErrorKind::NotFound => {
                        files.create(&path)?
                    }
                    (_, found) => found?,
                };
                files.open(node);
                let len = files.len(node);
                if let Some(before) =
                    proc.files.insert(file, OpenFile { node, mode, locked: false })
                {
                    files.close(before.node);
                }
                return Ok(DiskDone::Opened { len });
            }
            DiskOp::Append { file, bytes } => {
                let file = open(file)?;
                if file.mode == OpenMode::Read {
                    return Err(bad_file());
                }
                files.append(file.node, &bytes, capacity)?;
            }
            DiskOp::Read { file, offset, len } => {
                return Ok(DiskDone::Data(files.read(open(file)?.node, offset, len.into())));
            }
            DiskOp::Sync { file } => files.sync(open(file)?.node),
            DiskOp::Truncate { file, len } => {
                let file = open(file)?;
                if file.mode == OpenMode::Read {
                    return Err(bad_file());
                }
                let more = len.saturating_sub(files.len(file.node));
                if more > capacity.saturating_sub(files.used()) {
                    return Err(no_space());
                }
                files.truncate(file.node, len);
            }
            DiskOp::Close { file } => {
                let file = proc.files.remove(&file).ok_or_else(bad_file)?;
                if file.locked {
                    files.unlock(file.node);
                }
                files.close(file.node);
            }
            DiskOp::Load { path } => {
                return Ok(DiskDone::Data(files.read_file(&path_of(&path))?));
            }
            DiskOp::Replace { path, bytes } => {
                let path = path_of(&path);
                if files.is_dir(&path) {
                    return files.find(&path).map(|_| DiskDone::Done);
                }
                let temporary = format!("{path}.tmp");
                let node = files.create(&temporary)?;
                if let Err(error) = files.append(node, &bytes, capacity) {
                    files.remove(&temporary)?;
                    return Err(error);
                }
                files.sync(node);
                files.rename(&temporary, &path)?;
                files.sync_dir(parent(&path))?;
            }
            DiskOp::Rename { from, to } => files.rename(&path_of(&from), &path_of(&to))?,
            DiskOp::Remove { path } => files.remove(&path_of(&path))?,
            DiskOp::MakeDir { path } => files.make_dir(&path_of(&path))?,
            DiskOp::List { path } => {
                let names = files.list(&path_of(&path))?;
                return Ok(DiskDone::Names(names.into_iter().map(|file| file.name).collect()));
            }
            DiskOp::SyncDir { path } => files.sync_dir(&path_of(&path))?,
            DiskOp::Stat { path } => return files.stat(&path_of(&path)).map(DiskDone::Stat),
            DiskOp::StatLink { path } => {
                return files.stat_link(&path_of(&path)).map(DiskDone::Stat);
            }
            DiskOp::ReadLink { path } => {
                let target = files.read_link(&path_of(&path))?;
                return Ok(DiskDone::Data(target.into_bytes()));
            }
            DiskOp::MakeLink { target, path } => files.make_link(&path_of(&path), &target)?,
            DiskOp::RemoveDir { path } => {
                let path = path_of(&path);
                if !files.is_dir(&path) {
                    files.find(&path)?;
                    return Err(disk::error(DiskErrorKind::NotADirectory, "Not a directory"));
                }
                files.remove(&path)?;
            }
            DiskOp::SetMode { path, mode } => files.set_mode(&path_of(&path), mode)?,
            DiskOp::Lock { file } => {
                let open = proc.files.get_mut(&file).ok_or_else(bad_file)?;
                if !open.locked {
                    files.lock(open.node)?;
                    open.locked = true;
                }
            }
            DiskOp::ChangeDir { path } => {
                let path = path_of(&path);
                if !files.is_dir(&path) {
                    return Err(files.list(&path).err().unwrap_or_else(bad_file));
                }
                proc.dir = path;
            }
        }
        Ok(DiskDone::Done)
    }

    /// Whether a process is running or frozen.
    pub(super) fn is_alive(&self, proc: ProcId) -> bool {
        matches!(self.at_proc(proc).state, ProcState::Running | ProcState::Paused)
    }
}

fn bad_file() -> DiskError {
    disk::error(DiskErrorKind::Io, "Bad file descriptor")
}
