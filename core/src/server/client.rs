//! The server's state for a client, besides the front's.

use std::collections::VecDeque;

use super::aof::Held;
use super::blocking::Blocked;
use super::replication::Replica;
use super::transactions::{Transaction, Watched};
use crate::front::{ClientKind, ClientState};
use crate::time::Mono;

/// The server's state for a client. The fields that every command reads come first.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct ServerClient {
    /// What its command is blocked on.
    pub blocked: Option<Box<Blocked>>,
    /// The transaction after MULTI.
    pub transaction: Option<Box<Transaction>>,
    /// The client as a replica, if it is one.
    pub(in crate::server) replica: Option<Box<Replica>>,
    /// The selected database.
    pub db: usize,
    /// The replication offset after its last write.
    pub write_offset: i64,
    /// READONLY: whether it may read from a replica of the cluster.
    pub readonly: bool,
    /// ASKING: whether its next command may access a slot that is being imported.
    pub asking: bool,
    /// Whether it is a node that this one imports slots from (CLUSTER SYNCSLOTS).
    pub imports: bool,
    /// Whether it is the primary, whose replication stream is executed.
    pub from_primary: bool,
    /// Replies that are held back until the append-only file is safe up to a position.
    pub(in crate::server) gated: VecDeque<Held>,
    /// The keys that it watches (WATCH).
    pub watching: Vec<Watched>,
    /// Whether its scripts run in the debugger.
    pub(in crate::server) debugging: Debugging,
    /// If it was just unblocked, the deadline that it had.
    pub resumed: Option<Option<Mono>>,
}

/// SCRIPT DEBUG: how a client's scripts run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) enum Debugging {
    /// Without the debugger.
    #[default]
    No,
    /// In the debugger, while all clients wait.
    Live,
    /// In the debugger, on a copy of the data.
    Copy,
}

impl ClientState for ServerClient {
    #[inline]
    fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    #[inline]
    fn is_resumed(&self) -> bool {
        self.resumed.is_some()
    }

    #[inline]
    fn kind(&self) -> ClientKind {
        match &self.replica {
            _ if self.from_primary => ClientKind::Primary,
            Some(replica) if replica.is_registered() => ClientKind::Replica,
            _ if self.imports => ClientKind::Source,
            _ => ClientKind::Normal,
        }
    }

    #[inline]
    fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    fn queued(&self) -> Option<(usize, usize)> {
        self.transaction.as_deref().map(|queued| (queued.len(), queued.memory()))
    }

    fn memory(&self) -> usize {
        let queued = self.queued().map_or(0, |(_, bytes)| bytes);
        queued + self.watching.len() * crate::front::Client::<super::Redis>::NAME_SIZE
    }

    fn db(&self) -> usize {
        self.db
    }
}
