//! What to put into a world: topologies, the programs that run in them, traffic, terminals, and
//! (later) shells and lessons.
//!
//! * [`sandbox`] makes scenarios of servers with clients that keep them busy, [`replicas`],
//!   [`chain`] and [`machines`] such in which servers replicate, [`cluster`] clusters, which
//!   [`busy_cluster`] keeps busy, [`sharding`] and
//!   (with the feature `proxies`) `twemproxy` and others such in which keys are spread;
//! * [`programs`] is what a [`World`](crate::sim::World) starts processes with:
//!   [`SERVER`], [`CLI`] and [`TRAFFIC`], [`SHARDING`], [`NUTCRACKER`],
//!   [`PREDIXY`] and [`KEEPALIVED`];
//! * [`Terminal`] is a redis-cli with its screen, [`Traffic`] a client that is busy;
//! * `Worlds` (with the feature `shell`) is an experiment that is repeated in many Worlds inside one,
//!   and counted;
//! * [`wire`] decodes what goes over the connections of a World;
//! * [`as_in_page`] is what the page makes of a scenario, and [`Link`] how an address names a session
//!   in it;
//! * [`parity`] is a session with faults of every kind: its hash is the same on every platform.

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
