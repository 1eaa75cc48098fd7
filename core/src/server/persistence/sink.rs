//! The file that a snapshot is written to: under a temporary name, made durable, and only then
//! given its own name, so that the old file stays whole until the new one is.

use crate::machine::{DiskError, DiskOp, FileId, OpenMode};

/// Bytes that are handed to the disk at once.
pub(super) const CHUNK: usize = 256 * 1024;

/// Bytes that may be on their way to the disk before the snapshot waits for it.
const MAX_IN_FLIGHT: usize = 2 << 20;

/// Bytes after which the file is made durable with `rdb-save-incremental-fsync` or
/// `aof-rewrite-incremental-fsync`: Redis's
/// `REDIS_AUTOSYNC_BYTES`.
const SYNC_EVERY: usize = 4 << 20;

/// A file that is being written.
#[derive(Clone, Debug)]
pub(in crate::server) struct FileSink {
    file: FileId,
    /// The name that it has while it is written.
    temporary: String,
    /// Where it is, if that is not the working directory any more.
    elsewhere: Option<String>,
    /// The name that it shall have; `None` if the caller renames it.
    place: Option<Place>,
    stage: Stage,
    open: bool,
    /// Bytes on their way to the disk.
    in_flight: usize,
    /// Operations that have not ended.
    operations: usize,
    /// Bytes since the file was last made durable; `None` if that happens only at the end.
    unsynced: Option<usize>,
    /// Bytes that were handed to the disk in all.
    pub(super) bytes: u64,
}

/// Where a file belongs.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: String,
}

/// The path of a file in the working directory, or in another.
pub(in crate::server) fn path_in(directory: Option<&str>, name: &str) -> String {
    match directory {
        Some(directory) if !name.starts_with('/') => {
            format!("{}/{name}", directory.trim_end_matches('/'))
        }
        _ => name.to_owned(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Writing,
    Syncing,
    Closing,
    Renaming,
    SyncingDir,
    Done,
}

/// An operation of a [`FileSink`], to know what has ended or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Step {
    /// The temporary file is made.
    Open,
    /// So many bytes are written.
    Append(usize),
    /// They are made durable.
    Sync,
    /// The file is closed.
    Close,
    /// It gets its own name.
    Rename,
    /// The name is made durable.
    SyncDir,
}

/// What follows from an operation that has ended.
#[derive(Debug)]
pub(super) enum Progress {
    /// Something else is to be done.
    Next(Step, DiskOp),
    /// Nothing yet.
    Wait,
    /// The file is complete, durable, and where it belongs.
    Done,
    /// It will never be.
    Failed(Step, DiskError),
}

impl FileSink {
    /// A file to be written under a temporary name, and the operation that makes it.
    pub(super) fn begin(
        file: FileId,
        temporary: String,
        place: Option<Place>,
        incremental_sync: bool,
    ) -> (Self, DiskOp) {
        let open = DiskOp::Open { file, path: temporary.clone(), mode: OpenMode::Create };
        let sink = Self {
            file,
            temporary,
            elsewhere: None,
            place,
            stage: Stage::Writing,
            open: false,
            in_flight: 0,
            operations: 1,
            unsynced: incremental_sync.then_some(0),
            bytes: 0,
        };
        (sink, open)
    }

    /// The name that the file has while it is written.
    pub(super) fn temporary(&self) -> &str {
        &self.temporary
    }

    /// The working directory, which has been this one so far, becomes another. The file stays.
    pub(super) fn keep_in(&mut self, directory: &str) {
        self.elsewhere.get_or_insert_with(|| directory.to_owned());
    }

    /// Where it is while it is written.
    pub(super) fn temporary_path(&self) -> String {
        self.path(&self.temporary)
    }

    /// Where it is, or will be in the end.
    pub(super) fn saved_as(&self) -> String {
        self.path(self.place.as_ref().map_or(&self.temporary, |place| &place.path))
    }

    /// Where it is, if that is not the working directory any more.
    pub(super) fn elsewhere(&self) -> Option<&str> {
        self.elsewhere.as_deref()
    }

    fn path(&self, name: &str) -> String {
        path_in(self.elsewhere.as_deref(), name)
    }

    /// How many more bytes it takes now.
    pub(super) fn room(&self) -> usize {
        match self.stage {
            Stage::Writing if self.open => MAX_IN_FLIGHT.saturating_sub(self.in_flight),
            _ => 0,
        }
    }

    /// Takes bytes; what is to be done with the disk.
    pub(super) fn write(&mut self, bytes: Vec<u8>, mut operate: impl FnMut(Step, DiskOp)) {
        let (file, len) = (self.file, bytes.len());
        self.in_flight += len;
        self.bytes += len as u64;
        self.operations += 1;
        operate(Step::Append(len), DiskOp::Append { file, bytes });
        if let Some(unsynced) = &mut self.unsynced {
            *unsynced += len;
            if *unsynced >= SYNC_EVERY {
                *unsynced = 0;
                self.operations += 1;
                operate(Step::Sync, DiskOp::Sync { file });
            }
        }
    }

    /// Everything has been written.
    pub(super) fn finish(&mut self) -> (Step, DiskOp) {
        self.stage = Stage::Syncing;
        self.operations += 1;
        (Step::Sync, DiskOp::Sync { file: self.file })
    }

    /// An operation has ended.
    pub(super) fn ended(&mut self, step: Step, result: Result<(), DiskError>) -> Progress {
        self.operations = self.operations.saturating_sub(1);
        if let Step::Append(len) = step {
            self.in_flight = self.in_flight.saturating_sub(len);
        }
        if let Err(error) = result {
            return Progress::Failed(step, error);
        }
        if step == Step::Open {
            self.open = true;
        }
        if self.operations > 0 || self.stage == Stage::Writing {
            return Progress::Wait;
        }
        let (stage, step, what) = match (self.stage, &self.place) {
            (Stage::Syncing, _) => {
                self.open = false;
                (Stage::Closing, Step::Close, DiskOp::Close { file: self.file })
            }
            (Stage::Closing, Some(place)) => {
                let (from, to) = (self.path(&self.temporary), self.path(&place.path));
                (Stage::Renaming, Step::Rename, DiskOp::Rename { from, to })
            }
            (Stage::Renaming, Some(_)) => {
                let path = self.path(".");
                (Stage::SyncingDir, Step::SyncDir, DiskOp::SyncDir { path })
            }
            _ => {
                self.stage = Stage::Done;
                return Progress::Done;
            }
        };
        self.stage = stage;
        self.operations += 1;
        Progress::Next(step, what)
    }

    /// What clears away a file that will not be completed. The operations that are under way end
    /// before these, since they are about the same file.
    pub(super) fn give_up(self) -> Vec<DiskOp> {
        let mut operations = Vec::new();
        if !matches!(self.stage, Stage::Closing | Stage::Renaming | Stage::SyncingDir) {
            operations.push(DiskOp::Close { file: self.file });
        }
        if self.stage != Stage::SyncingDir {
            operations.push(DiskOp::Remove { path: self.path(&self.temporary) });
        }
        operations
    }
}
