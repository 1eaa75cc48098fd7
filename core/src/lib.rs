//! Limpid's core: a Redis-compatible server, its clients, and a simulated world to run them in,
//! as state machines that never touch the world.
//!
//! Start with [`machine`], the contract that everything here keeps. The rooms, in the order in
//! which they may use each other (a room uses those before it, never those after it):
//!
//! * [`sorted`], [`time`], [`rng`], [`glob`], [`machine`], [`resp`]: the ground floor.
//! * [`sharding`]: which node has a key.
//! * [`conversation`]: dialogues written as `async fn` that can be cloned.
//! * [`store`]: the keyspace.
//! * [`command`]: the shape of the command table, and the commands on data.
//! * [`acl`]: users, and what each of them may do.
//! * [`persist`]: the forms that data takes on disk and between servers.
//! * [`front`]: what every program has that serves clients: connections, dispatch, configuration,
//!   pub/sub, statistics.
//! * [`peer`]: outgoing connections: of a program that is a client of another server.
//! * [`cluster`]: a node of Redis Cluster: bus, gossip, elections.
//! * [`server`]: the front, a keyspace, and what makes the data last.
//! * [`proxy`]: twemproxy and predixy.
//! * [`sentinel`]: who decides that a master is gone, and replaces it.
//! * [`client`]: what a redis-cli needs besides a terminal: parsing lines, printing replies, hints.
//! * [`cluster_tools`]: `redis-cli --cluster` and `redis-trib.rb`: they build and mend clusters.
//! * [`deployment`]: a deployment of real servers, as its nodes describe it.
//! * [`sim`]: a world of hosts, links, disks and faults in which machines run.
//! * [`lab`]: topologies and traffic to put into a world.
//! * [`lesson`]: lessons as text files that check what happened in a world.

pub mod acl;
pub mod client;
pub mod cluster;
pub mod cluster_tools;
pub mod command;
pub mod conversation;
pub mod deployment;
pub mod front;
pub mod glob;
pub mod lab;
#[cfg(feature = "lessons")]
pub mod lesson;
pub mod machine;
pub mod peer;
pub mod persist;
pub mod proxy;
pub mod resp;
pub mod rng;
pub mod sentinel;
pub mod server;
pub mod sharding;
pub mod sim;
pub mod sorted;
pub mod store;
pub mod time;
