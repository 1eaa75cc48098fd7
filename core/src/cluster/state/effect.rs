//! The inputs that describe the server, and the effects that the server has to carry out.

use std::sync::Arc;

use crate::cluster::SlotSet;
use crate::machine::LogLevel;

/// The ID of a connection to or from another node, assigned by the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// The state of the server, passed in with every call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// The monotonic clock in milliseconds.
    pub now: u64,
    /// The wall clock in milliseconds since 1970. Only shown to others, never used for decisions.
    pub wall: u64,
    /// The replication offset: of the stream that the server produces, or, in a replica, of what it
    /// has applied of its primary's stream.
    pub offset: u64,
    /// For how many milliseconds a replica has heard nothing from its primary.
    pub primary_silent_for: u64,
}

/// What the server has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Connect to a node, and report the result with
    /// [`Cluster::connected`](super::Cluster::connected) or
    /// [`Cluster::link_lost`](super::Cluster::link_lost).
    Connect {
        /// The ID of the new link.
        link: LinkId,
        /// An IP address, or a host name.
        host: String,
        /// The port of the bus.
        port: u16,
    },
    /// Send these bytes. Ignored if the link is gone.
    Send {
        /// The link.
        link: LinkId,
        /// The message.
        bytes: Arc<[u8]>,
    },
    /// Close a link. The state machine has already forgotten it.
    Close {
        /// The link.
        link: LinkId,
    },
    /// Write `nodes.conf`, fsync it, and call [`Cluster::saved`](super::Cluster::saved) afterwards.
    Save {
        /// The contents of the file.
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
    Promote,
    /// Delete all keys.
    FlushAll,
    /// Delete the keys in these slots, which other nodes own now. A replica whose primary has lost
    /// them leaves this to the replication stream, and does it only if it is promoted before.
    DropKeys(SlotSet),
    /// Slots have new owners, or the cluster went up or down: unblock clients that now have to be
    /// redirected or refused.
    Reroute,
    /// Pause writes for a manual failover.
    PauseWrites {
        /// The maximum duration in milliseconds.
        millis: u64,
    },
    /// End the pause of writes.
    ResumeWrites,
    /// Publish a message to local subscribers.
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
        /// The level of the line.
        level: LogLevel,
        /// What it says.
        text: String,
    },
}
