//! The interface of the rewrite state machine: events, actions, and context.

use crate::machine::{DiskDone, DiskError, DiskOp, FileId, LogLevel};
use crate::persist::aof::Manifest;
use crate::server::Change;
use crate::server::config::settings::AofSettings;
use crate::server::persistence::snapshot::Failure;
use crate::time::Wall;

/// Who waits for the reply that a rewrite has started.
#[derive(Clone, Debug)]
pub(in crate::server::aof) enum Requester {
    /// The client of BGREWRITEAOF, by its id.
    Client(u64),
    /// CONFIG SET appendonly yes.
    Change(Change),
}

/// What to continue when a disk operation has completed.
#[derive(Clone, Debug)]
pub(in crate::server) enum Step {
    /// The directory has been created.
    Dir,
    /// The new incremental file has been opened.
    Incr { file: FileId, path: String, name: String, manifest: Option<Manifest> },
    /// The manifest with it has been written.
    Named,
    /// The length of the new base has been determined.
    Base { file: FileId },
    /// The base has been renamed.
    BaseNamed { manifest: Manifest, name: String, len: u64 },
    /// The incremental file that was written meanwhile has been renamed.
    IncrNamed { manifest: Manifest, temporary: String, name: String, len: u64 },
    /// The manifest with the new base has been written.
    Done { manifest: Manifest, len: u64 },
    /// The manifest without history files has been written.
    Forgotten,
}

/// What has happened.
#[derive(Clone, Debug)]
pub(in crate::server::aof) enum Event {
    /// A rewrite is requested; `requester` waits for its start.
    Begin { requester: Option<Requester> },
    /// A rewrite is due because it was scheduled, or (`growth`, in percent) because the file has
    /// grown. Earlier failures may delay it.
    Due { growth: Option<u64> },
    /// A disk operation has completed.
    Disk(Step, Result<DiskDone, DiskError>),
    /// The requested snapshot has begun, or cannot begin now.
    Snapshot { begun: bool },
    /// The snapshot is on disk under its temporary name, or has failed.
    SnapshotEnded(Result<(), Failure>),
    /// The file before the new one is complete and durable: the manifest may name the new one.
    Durable,
    /// Commands stay in the previous file, and the rewrite is aborted.
    Abort,
    /// History files may be deleted.
    Collect,
}

/// What to do.
#[derive(Clone, Debug)]
pub(in crate::server::aof) enum Action {
    /// A disk operation, and what to continue when it has completed.
    Disk(DiskOp, Option<Step>),
    /// Write a log line.
    Log(LogLevel, String),
    /// Start a snapshot of the current data, written to this path. Answered at once by
    /// [`Event::Snapshot`].
    Snapshot { path: String },
    /// Abort the snapshot, if one is being written for a rewrite.
    KillSnapshot,
    /// Answer the requester: with a status, or why it cannot start.
    Answer(Requester, Result<&'static str, &'static str>),
    /// Whether commands have to be appended may have changed.
    FollowersChanged,
    /// The replication offset up to which everything is durable may have changed.
    OffsetsChanged,
    /// Continue what waited for the file.
    Resume,
}

/// What the state machine has to know about the server.
pub(in crate::server::aof) struct Context<'a> {
    pub(in crate::server::aof) settings: &'a AofSettings,
    pub(in crate::server::aof) pid: u32,
    pub(in crate::server::aof) now: Wall,
    /// The current replication offset.
    pub(in crate::server::aof) offset: i64,
    /// Whether all data is loaded: a snapshot of partial data must not replace the whole.
    pub(in crate::server::aof) is_whole: bool,
    /// Whether the data is being reloaded from disk.
    pub(in crate::server::aof) reloading: bool,
    /// Bytes that the last snapshot has copied (copy-on-write).
    pub(in crate::server::aof) copied: u64,
    /// The id of the last file that was opened.
    pub(in crate::server::aof) last_file: &'a mut u64,
}

impl Context<'_> {
    pub(super) fn next_file(&mut self) -> FileId {
        *self.last_file += 1;
        FileId(*self.last_file)
    }
}
