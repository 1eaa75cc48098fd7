//! What the state machine is told of its server, and what it wants of it.

use std::sync::Arc;

use crate::cluster::SlotSet;
use crate::machine::LogLevel;

/// A connection to or from another node, named by the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What the state machine needs to know of its server at every call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// The monotonic clock in milliseconds.
    pub now: u64,
    /// The wall clock in milliseconds since 1970. Only told to others, never used to decide.
    pub wall: u64,
    /// The replication offset: of the stream that the server makes, or, of a replica, up to where
    /// it has carried out that of its primary.
    pub offset: u64,
    /// For how many milliseconds a replica has heard nothing of its primary.
    pub primary_silent_for: u64,
}

/// What the server shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Connect to a node, and tell with [`Cluster::connected`](super::Cluster::connected) or
    /// [`Cluster::link_lost`](super::Cluster::link_lost) what came of it.
    Connect {
        /// The name of the link.
        link: LinkId,
        /// An address, or a name.
        host: String,
        /// The port of the bus.
        port: u16,
    },
    /// Send these bytes. A link that is not there any more is passed over.
    Send {
        /// On which link.
        link: LinkId,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// Close a link. The state machine has forgotten it.
    Close {
        /// The link.
        link: LinkId,
    },
    /// Write `nodes.conf`, make it durable, and tell with
    /// [`Cluster::saved`](super::Cluster::saved) when that has been done.
    Save {
        /// What the file shall hold.
        text: String,
    },
    /// Become a replica of this server.
    Follow {
        /// Its address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// Become a primary.
    Lead,
    /// Delete all keys.
    Empty,
    /// Delete the keys in these slots, which belong to others now. A replica whose primary has lost
    /// them waits for that to delete them, and only does it if it takes the primary's place before.
    DropKeys(SlotSet),
    /// Slots have other owners, or the cluster is up or down: see whether clients wait in vain.
    Reroute,
    /// Carry out no writes for so many milliseconds: a manual failover.
    PauseWrites {
        /// For how long at most.
        millis: u64,
    },
    /// Carry writes out again.
    ResumeWrites,
    /// Tell subscribers.
    Publish {
        /// The channel.
        channel: Vec<u8>,
        /// The message.
        message: Vec<u8>,
        /// Whether it is a sharded channel.
        sharded: bool,
    },
    /// A line for the log.
    Log {
        /// How important it is.
        level: LogLevel,
        /// What it says.
        text: String,
    },
}
