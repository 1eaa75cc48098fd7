//! A proxy's state as plain data, for the page.

use serde::Serialize;

/// A proxy as it is at this moment.
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
    /// Where clients connect.
    pub listen: String,
    /// How many clients there are.
    pub clients: u64,
    /// What its statistics count, under the names that they have there.
    pub counters: Vec<(&'static str, u64)>,
    /// The servers.
    pub servers: Vec<ServerView>,
}

/// A server of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServerView {
    /// What it is called; its address if it has no name of its own.
    pub name: String,
    /// The group that it belongs to, if there are groups.
    pub group: Option<String>,
    /// `master`, `slave`, `sentinel`, or nothing where there are no roles.
    pub role: &'static str,
    /// Its share of the keys, in comparison with others.
    pub weight: u32,
    /// Whether requests are sent to it: it is not ejected, has not failed, is part of its group.
    pub in_use: bool,
    /// Connections to it.
    pub connections: u64,
    /// Requests that have not left for it yet.
    pub unsent: u64,
    /// Requests that it has not answered yet.
    pub unanswered: u64,
    /// Requests that it was sent so far.
    pub requests: u64,
    /// What its statistics count besides, under the names that they have there.
    pub counters: Vec<(&'static str, u64)>,
}
