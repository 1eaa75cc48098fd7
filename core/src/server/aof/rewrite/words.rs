//! What a rewrite says and hears: events, actions, and what it has to know of the server.

use crate::machine::{DiskDone, DiskError, DiskOp, FileId, LogLevel};
use crate::persist::aof::Manifest;
use crate::server::Change;
use crate::server::config::settings::AofSettings;
use crate::server::persistence::snapshot::Failure;
use crate::time::Wall;

/// Who waits for the reply that a rewrite has begun.
#[derive(Clone, Debug)]
pub(in crate::server::aof) enum Asked {
    /// The client of BGREWRITEAOF, by its id.
    Client(u64),
    /// CONFIG SET appendonly yes.
    Change(Change),
}

/// What of a rewrite waits for the disk.
#[derive(Clone, Debug)]
pub(in crate::server) enum Step {
    /// The directory is made.
    Dir,
    /// The new incremental file is open.
    Incr { file: FileId, path: String, name: String, manifest: Option<Manifest> },
    /// The manifest names that file.
    Named,
    /// The new base has been looked at, for its length.
    Base { file: FileId },
    /// The new base has its name.
    BaseNamed { manifest: Manifest, name: String, len: u64 },
    /// The incremental file that was written meanwhile has its name.
    IncrNamed { manifest: Manifest, temporary: String, name: String, len: u64 },
    /// The manifest names the new base.
    Done { manifest: Manifest, len: u64 },
    /// The manifest does not name history any more.
    Forgotten,
}

/// What a rewrite hears of.
#[derive(Clone, Debug)]
pub(in crate::server::aof) enum Event {
    /// One is to begin; `asked` waits for that.
    Begin { asked: Option<Asked> },
    /// One is due because it was scheduled, or (`growth`, in percent) because the file has grown. It
    /// may have to wait for earlier failures.
    Due { growth: Option<u64> },
    /// A disk operation has ended.
    Disk(Step, Result<DiskDone, DiskError>),
    /// The snapshot that was asked for has begun, or cannot begin now.
    Snapshot { begun: bool },
    /// The snapshot is on disk under its temporary name, or will not be.
    SnapshotEnded(Result<(), Failure>),
    /// The file before the new one is complete and durable: the manifest may name the new one.
    Durable,
    /// Commands stay with the file before, and the rewrite is given up.
    Abort,
    /// Files that are history may be deleted.
    Collect,
}

/// What a rewrite wants done.
#[derive(Clone, Debug)]
pub(in crate::server::aof) enum Action {
    /// A disk operation, and what goes on when it has ended.
    Disk(DiskOp, Option<Step>),
    /// A line of the log.
    Log(LogLevel, String),
    /// A snapshot of the data as it is now, to this path. [`Event::Snapshot`] answers at once.
    Snapshot { path: String },
    /// The snapshot is given up, if one is being written for a rewrite.
    KillSnapshot,
    /// Tells who asked for the rewrite what became of it: a status, or why it cannot begin.
    Answer(Asked, Result<&'static str, &'static str>),
    /// Whether commands are wanted for the file may have changed.
    FollowersChanged,
    /// The offset up to which the stream of replication is durable may have changed.
    OffsetsChanged,
    /// What waited for the file may go on.
    WentOn,
}

/// What a rewrite has to know of the server.
pub(in crate::server::aof) struct Context<'a> {
    pub(in crate::server::aof) settings: &'a AofSettings,
    pub(in crate::server::aof) pid: u32,
    pub(in crate::server::aof) now: Wall,
    /// How far the stream of replication has come.
    pub(in crate::server::aof) offset: i64,
    /// Whether all data is there: a snapshot of half of it must not take the place of the whole.
    pub(in crate::server::aof) is_whole: bool,
    /// Whether the data is being replaced by what is on disk.
    pub(in crate::server::aof) reloading: bool,
    /// Bytes that the last snapshot has copied.
    pub(in crate::server::aof) copied: u64,
    /// The number of the last file that was named.
    pub(in crate::server::aof) last_file: &'a mut u64,
}

impl Context<'_> {
    pub(super) fn next_file(&mut self) -> FileId {
        *self.last_file += 1;
        FileId(*self.last_file)
    }
}
