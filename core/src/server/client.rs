//! What a server keeps for a client besides what the front does.

use std::collections::VecDeque;

use super::aof::Held;
use super::blocking::Blocked;
use super::replication::Replica;
use super::transactions::{Transaction, Watched};
use crate::front::{ClientKind, ClientState};
use crate::time::Mono;

/// What a server keeps for a client. The fields that every command reads come first.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct ServerClient {
    /// What its command waits for.
    pub blocked: Option<Box<Blocked>>,
    /// What is queued for EXEC, after MULTI.
    pub transaction: Option<Box<Transaction>>,
    /// What is known of it as a replica, if it has made itself known as one.
    pub(in crate::server) replica: Option<Box<Replica>>,
    /// The selected database.
    pub db: usize,
    /// The replication offset behind its last write.
    pub write_offset: i64,
    /// Whether it reads from a replica (READONLY).
    pub readonly: bool,
    /// Whether its next command may work on a slot that is on its way to this node (ASKING).
    pub asking: bool,
    /// Whether it is a node of the cluster that brings slots (CLUSTER SYNCSLOTS).
    pub imports: bool,
    /// Whether it is the primary, whose stream of commands is carried out.
    pub from_primary: bool,
    /// Replies that stay until the append-only file is durable up to some point.
    pub(in crate::server) gated: VecDeque<Held>,
    /// The keys that it watches.
    pub watching: Vec<Watched>,
    /// Whether its scripts are run with the debugger.
    pub(in crate::server) debugging: Debugging,
    /// The deadline of the wait from which it has just been taken.
    pub resumed: Option<Option<Mono>>,
}

/// How the scripts of a client are run (SCRIPT DEBUG).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) enum Debugging {
    /// Without the debugger.
    #[default]
    No,
    /// With the debugger, while everybody waits.
    Live,
    /// With the debugger, on a copy of the data.
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
            Some(replica) if replica.is_known() => ClientKind::Replica,
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
