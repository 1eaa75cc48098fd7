//! The file that a snapshot is written to: under a temporary name, fsynced, and only then renamed,
//! so that the old file stays intact until the new one is complete.

use crate::machine::{DiskError, DiskOp, FileId, OpenMode};

/// Bytes per append.
pub(super) const CHUNK: usize = 256 * 1024;

/// Bytes in flight to the disk at which the snapshot waits for it.
const MAX_IN_FLIGHT: usize = 2 << 20;

/// Bytes between fsyncs with `rdb-save-incremental-fsync` or `aof-rewrite-incremental-fsync`:
/// Redis's `REDIS_AUTOSYNC_BYTES`.
const SYNC_EVERY: usize = 4 << 20;

/// A snapshot file that is being written.
#[derive(Clone, Debug)]
pub(in crate::server) struct FileSink {
    file: FileId,
    /// The temporary name.
    temporary: String,
    /// Its directory, if that is no longer the working directory.
    elsewhere: Option<String>,
    /// The final name; `None` if the caller renames it.
    place: Option<Place>,
    stage: Stage,
    open: bool,
    /// Bytes in flight to the disk.
    in_flight: usize,
    /// Number of operations in progress.
    operations: usize,
    /// Bytes since the last fsync; `None` if there is only one at the end.
    unsynced: Option<usize>,
    /// Bytes handed to the disk so far.
    pub(super) bytes: u64,
}

/// The final place of a file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: String,
}

/// The path of a file in the working directory, or in another one.
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

/// An operation of a [`FileSink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Step {
    /// Creating the temporary file.
    Open,
    /// Appending this many bytes.
    Append(usize),
    /// fsync.
    Sync,
    /// Closing.
    Close,
    /// Renaming to the final name.
    Rename,
    /// fsync of the directory.
    SyncDir,
}

/// What follows a completed operation.
#[derive(Debug)]
pub(super) enum Progress {
    /// Another operation.
    Next(Step, DiskOp),
    /// Nothing yet.
    Wait,
    /// The file is complete, durable, and has its final name.
    Done,
    /// It has failed.
    Failed(Step, DiskError),
}

impl FileSink {
    /// A file to be written under a temporary name, and the operation that creates it.
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

    /// The temporary name.
    pub(super) fn temporary(&self) -> &str {
        &self.temporary
    }

    /// The working directory, `directory` so far, is about to change. The file stays where it is.
    pub(super) fn keep_in(&mut self, directory: &str) {
        self.elsewhere.get_or_insert_with(|| directory.to_owned());
    }

    /// The path of the temporary file.
    pub(super) fn temporary_path(&self) -> String {
        self.path(&self.temporary)
    }

    /// The final path.
    pub(super) fn saved_as(&self) -> String {
        self.path(self.place.as_ref().map_or(&self.temporary, |place| &place.path))
    }

    /// Its directory, if that is no longer the working directory.
    pub(super) fn elsewhere(&self) -> Option<&str> {
        self.elsewhere.as_deref()
    }

    fn path(&self, name: &str) -> String {
        path_in(self.elsewhere.as_deref(), name)
    }

    /// How many more bytes it accepts now.
    pub(super) fn room(&self) -> usize {
        match self.stage {
            Stage::Writing if self.open => MAX_IN_FLIGHT.saturating_sub(self.in_flight),
            _ => 0,
        }
    }

    /// Accepts bytes; calls `operate` with the resulting disk operations.
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

    /// Completes the file after the last bytes.
    pub(super) fn finish(&mut self) -> (Step, DiskOp) {
        self.stage = Stage::Syncing;
        self.operations += 1;
        (Step::Sync, DiskOp::Sync { file: self.file })
    }

    /// An operation has completed.
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

    /// The operations that delete an incomplete file. Operations in progress complete before them,
    /// since they concern the same file.
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
