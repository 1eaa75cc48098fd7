//! What nodes say to each other.

use crate::cluster::{NodeFlags, NodeId, SlotSet};

/// A message between two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What every message says about its sender.
    pub header: Header,
    /// What it says besides.
    pub body: Body,
}

/// What every message says about its sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The sender; `None` if what stands there is no name.
    pub sender: Option<NodeId>,
    /// The port for clients: plain, or TLS if the bus speaks TLS.
    pub port: u16,
    /// The other port for clients; 0 if there is none.
    pub other_port: u16,
    /// The port of the bus.
    pub bus_port: u16,
    /// The address that the sender announces; empty if the receiver shall look at the connection.
    pub ip: String,
    /// The largest epoch that the sender knows.
    pub current_epoch: u64,
    /// The epoch of its slots, or of its primary's.
    pub config_epoch: u64,
    /// Its replication offset.
    pub offset: u64,
    /// Its slots, or its primary's.
    pub slots: SlotSet,
    /// Its primary.
    pub master: Option<NodeId>,
    /// Its flags.
    pub flags: NodeFlags,
    /// Whether the cluster is down in the eyes of the sender.
    pub down: bool,
    /// A primary has paused its clients for a manual failover.
    pub paused: bool,
    /// A vote is asked for although the primary is up (manual failover).
    pub force_ack: bool,
    /// The sender understands extensions.
    pub extensions: bool,
}

/// What a message says besides its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// PING, PONG or MEET.
    Gossip {
        /// Which of the three.
        greeting: Greeting,
        /// What the sender thinks of some other nodes.
        about: Vec<Gossip>,
        /// What the sender says about itself besides.
        extensions: Vec<Extension>,
    },
    /// The majority of the primaries cannot reach this node.
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
    /// What the receiver, or its sender, knows of these slots is out of date.
    Update {
        /// The primary of the slots.
        node: NodeId,
        /// The epoch of its claim.
        config_epoch: u64,
        /// The slots that it claims.
        slots: SlotSet,
    },
    /// A replica asks its primary to pause its clients: a manual failover begins.
    ManualFailover,
    /// A message between modules, which Limpid has none of.
    Module {
        /// The module's number.
        module: u64,
        /// The type of the message, given by the module.
        kind: u8,
        /// The message.
        payload: Vec<u8>,
    },
}

/// Which of the three messages with gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// Asks for a PONG.
    Ping,
    /// Answers a PING or a MEET, or tells news unasked.
    Pong,
    /// Asks for a PONG and to be taken in.
    Meet,
}

/// What a node thinks of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gossip {
    /// Which node.
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

/// What a node says of itself in PING, PONG and MEET, since Redis 7.0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Its host name for clients (`cluster-announce-hostname`).
    Hostname(String),
    /// Its name for people (`cluster-announce-human-nodename`).
    HumanNodename(String),
    /// A node that it was told to forget, and for how many seconds more.
    Forgotten {
        /// Which node.
        node: NodeId,
        /// Seconds for which it must not come back.
        ttl: u64,
    },
    /// Its shard.
    Shard(NodeId),
    /// Something of a later version.
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
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All of them, in the order of their numbers on the wire.
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

    /// The name in the statistics of `CLUSTER INFO`.
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
    /// A PING, PONG or MEET that says nothing but its header.
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
