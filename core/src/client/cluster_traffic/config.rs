//! What a traffic client of a cluster is to do, and what it counts.

use crate::client::traffic::TrafficStats;
use crate::machine::Endpoint;
use crate::time::Duration;

/// What a [`ClusterTraffic`](super::ClusterTraffic) client does.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterTrafficConfig {
    /// Nodes that it is told of; it hears of the others from these.
    pub nodes: Vec<Endpoint>,
    /// How it finds the node of a key.
    pub routing: Routing,
    /// What its keys begin with. No other client may use the same keys.
    pub prefix: String,
    /// How many keys it has.
    pub keys: u32,
    /// Commands a second, on average. None at 0.
    pub per_second: f64,
    /// Commands that may be under way at once; when so many are, none is added.
    pub pending: u32,
    /// How often a command is tried again or redirected before it is given up.
    pub tries: u8,
    /// How long to wait for a reply, or for a connection, before giving the connection up.
    pub patience: Duration,
    /// How long to wait before trying a command again, or asking for the slots again.
    pub retry: Duration,
    /// How many replicas must have a write before it counts as acknowledged; at 0 the reply is enough.
    pub wait: u32,
    /// Two clients with one seed send the same commands.
    pub seed: u64,
}

/// How a client finds the node of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// It asks for all slots, and again when it is redirected or loses a connection.
    Learned,
    /// It goes where it is redirected to, and stays there.
    Redirected,
}

impl ClusterTrafficConfig {
    /// Ten commands a second over a hundred keys.
    pub fn new(nodes: Vec<Endpoint>, routing: Routing, prefix: String, seed: u64) -> Self {
        ClusterTrafficConfig {
            nodes,
            routing,
            prefix,
            keys: 100,
            per_second: 10.0,
            pending: 16,
            tries: 100,
            patience: Duration::from_secs(1),
            retry: Duration::from_millis(200),
            wait: 0,
            seed,
        }
    }
}

/// What a [`ClusterTraffic`](super::ClusterTraffic) client has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterTrafficStats {
    /// What any client counts. An error is a command that was answered with one, or given up.
    pub traffic: TrafficStats,
    /// Commands that were redirected with MOVED.
    pub moved: u64,
    /// Commands that were redirected with ASK.
    pub asked: u64,
    /// Commands that were tried again later: TRYAGAIN, CLUSTERDOWN, a lost connection.
    pub retries: u64,
    /// How often it has learned all slots.
    pub learned: u64,
    /// Acknowledged writes that were gone when their key was read.
    pub gone: u64,
    /// Replies that cannot be the answer to what was asked.
    pub wrong: u64,
    /// Writes that too few replicas had in time (see [`ClusterTrafficConfig::wait`]).
    pub unconfirmed: u64,
}
