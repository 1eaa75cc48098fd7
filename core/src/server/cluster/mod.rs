//! The server as a node of a cluster: it carries out what the state machine of
//! [`crate::cluster`] wants, and asks it where commands belong.
//!
//! * `bus`: `nodes.conf`, the links to other nodes, and the effects of the state machine;
//! * `routing`: which commands are redirected, and clients that wait for keys of slots that leave;
//! * `handover`: slots that move to another node as a whole;
//! * `commands`: CLUSTER, ASKING, READONLY, READWRITE; `tell`: what CLUSTER tells.
//!
//! Gossip, failures, elections and slots are not here but in the state machine.

mod bus;
mod commands;
mod handover;
mod routing;
mod tell;

pub(super) use bus::ConfStep;
pub(super) use commands::{CONNECTION_ROWS, ROWS};
pub use handover::MovingSlot;
pub(super) use routing::is_redirection;

use crate::cluster::{Cluster, LinkId, SlotSet};
use crate::machine::{ConnId, FileId, Outbox};
use crate::sorted::SortedMap;

/// What a server in cluster mode has besides.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// What it knows of the cluster, once `nodes.conf` has been read.
    state: Option<Box<Cluster>>,
    /// The file that `nodes.conf` is, locked against other nodes.
    locked: Option<FileId>,
    links: SortedMap<ConnId, BusLink>,
    conns: SortedMap<LinkId, ConnId>,
    /// Slots that others own now, and whose keys are being deleted.
    dropping: SlotSet,
    /// The moves of slots from and to this node.
    handover: handover::Handover,
    /// Whether it is to be seen whether clients wait in vain.
    reroute: bool,
    /// Clients that wait until a change, by its number, is in `nodes.conf` and on the disk: CLUSTER
    /// SAVECONFIG, and nodes that give slots away.
    savers: Vec<(u64, u64)>,
}

/// A connection to or from another node.
#[derive(Clone, Debug)]
struct BusLink {
    link: LinkId,
    outbox: Outbox,
}

impl Node {
    /// What is known of the cluster, once `nodes.conf` has been read.
    #[inline]
    pub(super) fn state(&self) -> Option<&Cluster> {
        self.state.as_deref()
    }

    /// Whether the changes of keys must be known because slots move.
    pub(super) fn handover_follows(&self) -> bool {
        self.handover.follows()
    }

    /// Memory that waits to be sent to other nodes, in bytes.
    pub(super) fn links_memory(&self) -> usize {
        self.links.values().map(|link| link.outbox.capacity()).sum()
    }
}
