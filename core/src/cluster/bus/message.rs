//! The messages of the cluster bus as Rust types.

use crate::cluster::{NodeFlags, NodeId, SlotSet};

/// A message between two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The header, which all messages have.
    pub header: Header,
    /// The body, which depends on the message type.
    pub body: Body,
}

/// The header, in which every message describes its sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The sender's node ID; `None` if the field holds no valid ID.
    pub sender: Option<NodeId>,
    /// The port for clients: plain, or TLS if the bus speaks TLS.
    pub port: u16,
    /// The other port for clients; 0 if there is none.
    pub other_port: u16,
    /// The port of the bus.
    pub bus_port: u16,
    /// The address that the sender announces; empty if the receiver is to use the address of the
    /// connection.
    pub ip: String,
    /// The largest epoch that the sender knows.
    pub current_epoch: u64,
    /// The config epoch of its slots, or of its primary's slots.
    pub config_epoch: u64,
    /// Its replication offset.
    pub offset: u64,
    /// Its slots, or its primary's.
    pub slots: SlotSet,
    /// Its primary.
    pub master: Option<NodeId>,
    /// Its flags.
    pub flags: NodeFlags,
    /// Whether the sender considers the cluster to be down.
    pub down: bool,
    /// Whether the sender is a primary that has paused its clients for a manual failover.
    pub paused: bool,
    /// Whether the sender asks for votes although its primary is up (manual failover).
    pub force_ack: bool,
    /// Whether the sender understands extensions.
    pub extensions: bool,
}

/// The body of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// PING, PONG or MEET.
    Gossip {
        /// Which of the three message types.
        greeting: Greeting,
        /// Gossip entries: what the sender knows about some other nodes.
        about: Vec<Gossip>,
        /// What the sender says about itself beyond the header.
        extensions: Vec<Extension>,
    },
    /// FAIL: the majority of the primaries cannot reach this node.
    Fail(NodeId),
    /// A message to the subscribers of a channel.
    Publish {
        /// The channel.
        channel: Vec<u8>,
        /// The message.
        message: Vec<u8>,
        /// Whether it is a sharded channel.
        sharded: bool,
    },
    /// A replica asks for a vote.
    AuthRequest,
    /// A primary gives its vote.
    AuthAck,
    /// Tells a node whose claim to slots, or whose primary's claim, is outdated who owns them now.
    Update {
        /// The primary of the slots.
        node: NodeId,
        /// The config epoch of its claim.
        config_epoch: u64,
        /// The slots that it claims.
        slots: SlotSet,
    },
    /// A replica asks its primary to pause its clients: a manual failover begins.
    ManualFailover,
    /// A message between modules, which Limpid does not support.
    Module {
        /// The module's number.
        module: u64,
        /// The type of the message, given by the module.
        kind: u8,
        /// The message.
        payload: Vec<u8>,
    },
}

/// The three message types that carry gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// Asks for a PONG.
    Ping,
    /// Replies to a PING or a MEET, or announces a change without a request.
    Pong,
    /// Asks for a PONG, and to be added to the cluster.
    Meet,
}

/// A gossip entry: what the sender knows about another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gossip {
    /// The ID of the node.
    pub node: NodeId,
    /// When it was last sent a ping that it has not answered, in seconds since 1970; else 0.
    pub ping_sent: u32,
    /// When its last pong came, in seconds since 1970.
    pub pong_received: u32,
    /// Its address.
    pub ip: String,
    /// Its port for clients.
    pub port: u16,
    /// Its other port for clients.
    pub other_port: u16,
    /// Its port of the bus.
    pub bus_port: u16,
    /// Its flags.
    pub flags: NodeFlags,
}

/// A PING extension, in which a node describes itself (since Redis 7.0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Its host name for clients (`cluster-announce-hostname`).
    Hostname(String),
    /// Its human-readable name (`cluster-announce-human-nodename`).
    HumanNodename(String),
    /// A node that was forgotten with CLUSTER FORGET, and for how long it stays banned.
    Forgotten {
        /// The ID of the node.
        node: NodeId,
        /// Seconds until the node may be added again.
        ttl: u64,
    },
    /// The ID of its shard.
    Shard(NodeId),
    /// An extension of a later version, with its type.
    Unknown(u16),
}

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// PING
    Ping,
    /// PONG
    Pong,
    /// MEET
    Meet,
    /// FAIL
    Fail,
    /// PUBLISH
    Publish,
    /// FAILOVER_AUTH_REQUEST
    AuthRequest,
    /// FAILOVER_AUTH_ACK
    AuthAck,
    /// UPDATE
    Update,
    /// MFSTART
    ManualFailover,
    /// MODULE
    Module,
    /// PUBLISHSHARD
    PublishShard,
}

impl Kind {
    /// The number of message types.
    pub const COUNT: usize = Self::ALL.len();

    /// All message types, in the order of their numbers on the wire.
    pub const ALL: [Kind; 11] = [
        Kind::Ping,
        Kind::Pong,
        Kind::Meet,
        Kind::Fail,
        Kind::Publish,
        Kind::AuthRequest,
        Kind::AuthAck,
        Kind::Update,
        Kind::ManualFailover,
        Kind::Module,
        Kind::PublishShard,
    ];

    /// The name in the output of `CLUSTER INFO`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ping => "ping",
            Kind::Pong => "pong",
            Kind::Meet => "meet",
            Kind::Fail => "fail",
            Kind::Publish => "publish",
            Kind::AuthRequest => "auth-req",
            Kind::AuthAck => "auth-ack",
            Kind::Update => "update",
            Kind::ManualFailover => "mfstart",
            Kind::Module => "module",
            Kind::PublishShard => "publishshard",
        }
    }
}

impl Body {
    /// A PING, PONG or MEET without gossip and extensions.
    pub fn bare(greeting: Greeting) -> Body {
        Body::Gossip { greeting, about: Vec::new(), extensions: Vec::new() }
    }

    /// The type of the message.
    pub fn kind(&self) -> Kind {
        match self {
            Body::Gossip { greeting: Greeting::Ping, .. } => Kind::Ping,
            Body::Gossip { greeting: Greeting::Pong, .. } => Kind::Pong,
            Body::Gossip { greeting: Greeting::Meet, .. } => Kind::Meet,
            Body::Fail(_) => Kind::Fail,
            Body::Publish { sharded: false, .. } => Kind::Publish,
            Body::Publish { sharded: true, .. } => Kind::PublishShard,
            Body::AuthRequest => Kind::AuthRequest,
            Body::AuthAck => Kind::AuthAck,
            Body::Update { .. } => Kind::Update,
            Body::ManualFailover => Kind::ManualFailover,
            Body::Module { .. } => Kind::Module,
        }
    }
}
