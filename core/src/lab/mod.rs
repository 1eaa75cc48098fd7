//! The contents of a World: topologies, the programs that run in them, traffic, terminals and
//! shells.
//!
//! * [`sandbox`] builds scenarios of independent servers with clients, [`replicas`], [`chain`] and
//!   [`machines`] with replication, [`cluster`] and [`busy_cluster`] with a cluster, [`sharding`]
//!   and (with the feature `proxies`) `twemproxy` and others with keys spread over servers;
//! * [`programs`] starts the processes of a [`World`](crate::sim::World): [`SERVER`], [`CLI`],
//!   [`TRAFFIC`], [`SHARDING`], [`NUTCRACKER`], [`PREDIXY`] and [`KEEPALIVED`];
//! * [`Terminal`] is a redis-cli with its screen, [`Traffic`] a client that generates traffic;
//! * `Worlds` (with the feature `shell`) repeats an experiment in many Worlds inside a World, and
//!   counts the results;
//! * [`wire`] decodes the messages on the connections of a World;
//! * [`as_in_page`] changes a scenario as the page does, and [`Link`] is the page's address of a
//!   session;
//! * [`parity`] is a session with faults of every kind, whose hash is the same on every platform.

mod cluster_traffic;
mod clusters;
#[cfg(feature = "proxies")]
mod keepalived;
mod page;
pub mod parity;
pub(crate) mod programs;
mod promise;
mod proxied;
#[cfg(feature = "proxies")]
mod proxies;
mod sentinels;
#[cfg(feature = "proxies")]
mod sharding;
#[cfg(feature = "shell")]
mod shell;
pub(crate) mod terminal;
mod topology;
mod traffic;
pub mod wire;
#[cfg(feature = "shell")]
mod worlds;

#[cfg(test)]
mod tests;

pub use cluster_traffic::ClusterTraffic;
pub use clusters::{busy_cluster, empty_nodes};
#[cfg(feature = "proxies")]
pub use keepalived::Keepalived;
pub use page::{Link, SHELL, as_in_page, escape};
pub use parity::parity_hash;
pub use programs::{
    CLI, CLUSTER_TRAFFIC, KEEPALIVED, NUTCRACKER, PREDIXY, SENTINEL, SERVER, SHARDING, TRAFFIC,
    help, programs,
};
pub use promise::{Kept, Promise, Write, Writes};
pub use proxied::{predixy_over_cluster, predixy_over_sentinels, sharding, twemproxies, twemproxy};
pub use sentinels::{sentinels, sentinels_on_servers, two_masters};
#[cfg(feature = "proxies")]
pub use sharding::Sharding;
#[cfg(feature = "shell")]
pub use shell::{CREATE_CLUSTER, redis_conf};
pub use terminal::{Block, Shown, Terminal};
pub use topology::{SANDBOXES, chain, cluster, machines, replicas, sandbox};
pub use traffic::Traffic;
#[cfg(feature = "shell")]
pub use worlds::Worlds;
