//! Replication: a primary and its replicas.

use super::Server;
use super::persistence::snapshot::Failure;
use crate::command::effects::Propagated;
use crate::time::Now;

/// Where the stream of replication stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The name of the stream.
    pub(super) id: [u8; 40],
    /// Bytes of it so far.
    pub(super) offset: u64,
    /// The database that is selected in it; -1 if none is yet.
    pub(super) db: i64,
}

impl Server {
    /// Whether replicas, or the backlog that is kept for them, want commands.
    pub(super) fn replicas_follow(&self) -> bool {
        false
    }

    /// Sends commands to the replicas.
    pub(super) fn feed_replicas(&mut self, _commands: &[Propagated], _whole: bool) {}

    /// Whether this server follows a primary.
    pub(super) fn is_replica(&self) -> bool {
        false
    }

    /// Whether all replicas have said that they have got all of the stream; true if there are none.
    pub(super) fn replicas_are_in_sync(&self) -> bool {
        true
    }

    /// Asks all replicas how much of the stream they have got.
    pub(super) fn ask_replicas_for_offsets(&mut self, _now: Now<'_>) {}

    /// Tells the log which replicas lag when the server ends.
    pub(super) fn tell_of_replicas_at_shutdown(&mut self, _now: Now<'_>) {}

    /// Sends to replicas what waits for them, as far as that can be done at once.
    pub(super) fn flush_replicas(&mut self) {}

    /// Where the stream stands, for a snapshot to tell; `None` if there is no stream.
    pub(super) fn replication_position(&self) -> Option<Position> {
        None
    }

    /// Bytes of a snapshot that replicas take now, straight into their connections.
    pub(super) fn snapshot_room(&self) -> usize {
        0
    }

    /// Sends bytes of a snapshot to the replicas that take it straight into their connections.
    pub(super) fn snapshot_bytes(&mut self, _now: Now<'_>, _bytes: Vec<u8>) {}

    /// The snapshot that replicas took straight into their connections has ended. Those that it
    /// reached whole still have to be told so.
    pub(super) fn transfer_ended(&mut self, _now: Now<'_>, _result: Result<(), Failure>) {}

    /// A dump that was begun to be written to disk is there, or will not be: replicas may wait for
    /// it.
    pub(super) fn dump_ended(&mut self, _now: Now<'_>, _ok: bool) {}
}
