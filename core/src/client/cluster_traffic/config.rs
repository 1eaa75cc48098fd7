//! Configuration and statistics of a cluster traffic client.

use crate::client::traffic::TrafficStats;
use crate::machine::Endpoint;
use crate::time::Duration;

/// Configuration of a [`ClusterTraffic`](super::ClusterTraffic) client.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterTrafficConfig {
    /// Seed nodes, from which it learns of the others.
    pub nodes: Vec<Endpoint>,
    /// How it finds the node of a key.
    pub routing: Routing,
    /// The prefix of its keys. No other client may use the same keys.
    pub prefix: String,
    /// The number of its keys.
    pub keys: u32,
    /// Commands per second, on average; 0 for none.
    pub per_second: f64,
    /// The maximum number of commands in flight; when it is reached, commands are skipped.
    pub pending: u32,
    /// How often a command is retried or redirected before it fails.
    pub tries: u8,
    /// The timeout for a reply, or for connecting. Afterwards the connection is closed.
    pub patience: Duration,
    /// The delay before a command is retried, or the slots are requested again.
    pub retry: Duration,
    /// How many replicas WAIT must report for a write to count as acknowledged; 0 for no WAIT.
    pub wait: u32,
    /// The random seed: two clients with the same seed send the same commands.
    pub seed: u64,
}

/// How a client finds the node of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// By a map of all slots, which it requests again after a redirection or a lost connection.
    Learned,
    /// Without a map: it follows redirections, and stays at the node it was sent to.
    Redirected,
}

impl ClusterTrafficConfig {
    /// Ten commands per second over a hundred keys.
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

/// Statistics of a [`ClusterTraffic`](super::ClusterTraffic) client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterTrafficStats {
    /// The statistics of every traffic client. Here an error is a command that got an error reply
    /// that it could not retry, or was given up.
    pub traffic: TrafficStats,
    /// Commands redirected with MOVED.
    pub moved: u64,
    /// Commands redirected with ASK.
    pub asked: u64,
    /// Commands that were retried after a delay: TRYAGAIN, CLUSTERDOWN, a lost connection.
    pub retries: u64,
    /// How often the slot map was loaded.
    pub learned: u64,
    /// Acknowledged writes that were missing when their key was read.
    pub gone: u64,
    /// Replies that cannot belong to their command.
    pub wrong: u64,
    /// Writes that too few replicas acknowledged in time (see [`ClusterTrafficConfig::wait`]).
    pub unconfirmed: u64,
}
