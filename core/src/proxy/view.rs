//! A proxy's state as plain data, for the page.

use serde::Serialize;

/// The current state of a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct View {
    /// Its pools; predixy has one.
    pub pools: Vec<PoolView>,
}

/// A pool: an address that clients connect to, and the servers behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// The address for clients.
    pub listen: String,
    /// The number of clients.
    pub clients: u64,
    /// Its counters, with their names in the statistics.
    pub counters: Vec<(&'static str, u64)>,
    /// The servers.
    pub servers: Vec<ServerView>,
}

/// A server of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServerView {
    /// Its name, or else its address.
    pub name: String,
    /// The name of its group, if there are groups.
    pub group: Option<String>,
    /// `master`, `slave`, `sentinel`, or empty if there are no roles.
    pub role: &'static str,
    /// Its relative share of the keys.
    pub weight: u32,
    /// Whether it gets requests: it is not ejected, has not failed, and is a member of its group.
    pub in_use: bool,
    /// Connections to it.
    pub connections: u64,
    /// Number of requests that were not sent to it yet.
    pub unsent: u64,
    /// Number of requests that it has not answered yet.
    pub unanswered: u64,
    /// Number of requests sent to it so far.
    pub requests: u64,
    /// Its further counters, with their names in the statistics.
    pub counters: Vec<(&'static str, u64)>,
}
