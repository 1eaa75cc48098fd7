//! The server as a cluster node: it carries out the effects of the state machine in
//! [`crate::cluster`], and asks it which node serves a command's keys.
//!
//! * `bus`: `nodes.conf`, the links to other nodes, and the effects of the state machine;
//! * `routing`: redirecting commands, and clients blocked on keys of slots that leave;
//! * `handover`: atomic slot migration;
//! * `commands`: CLUSTER, ASKING, READONLY, READWRITE; `replies`: the replies of CLUSTER SLOTS,
//!   SHARDS and LINKS.
//!
//! Gossip, failure detection, elections and slots are in the state machine.

mod bus;
mod commands;
mod handover;
mod replies;
mod routing;

pub(super) use bus::ConfStep;
pub(super) use commands::{CONNECTION_ROWS, ROWS};
pub use handover::MovingSlot;
pub(super) use routing::is_redirection;

use crate::cluster::{Cluster, LinkId, SlotSet};
use crate::machine::{ConnId, FileId, Outbox};
use crate::sorted::SortedMap;

/// The additional state of a server in cluster mode.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// The state machine, once `nodes.conf` has been read.
    state: Option<Box<Cluster>>,
    /// The open `nodes.conf`, locked against other nodes.
    locked: Option<FileId>,
    links: SortedMap<ConnId, BusLink>,
    conns: SortedMap<LinkId, ConnId>,
    /// Slots that other nodes own now, and whose keys are being deleted.
    dropping: SlotSet,
    /// The migrations of slots from and to this node.
    handover: handover::Handover,
    /// Whether blocked clients and subscriptions have to be checked for slots that are now served
    /// elsewhere.
    reroute: bool,
    /// Clients that wait until `nodes.conf` with a change, by its number, is on disk: CLUSTER
    /// SAVECONFIG, and nodes that migrate slots to this one.
    savers: Vec<(u64, u64)>,
}

/// A connection to or from another node.
#[derive(Clone, Debug)]
struct BusLink {
    link: LinkId,
    outbox: Outbox,
}

impl Node {
    /// The state machine, once `nodes.conf` has been read.
    #[inline]
    pub(super) fn state(&self) -> Option<&Cluster> {
        self.state.as_deref()
    }

    /// Whether changes of keys must be recorded because slots are being migrated.
    pub(super) fn handover_follows(&self) -> bool {
        self.handover.follows()
    }

    /// Size of the output buffers to other nodes, in bytes.
    pub(super) fn links_memory(&self) -> usize {
        self.links.values().map(|link| link.outbox.capacity()).sum()
    }
}
