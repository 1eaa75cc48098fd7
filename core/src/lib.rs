//! Limpid's core: a Redis-compatible server, its clients, and a simulated world to run them in, as
//! state machines without I/O of their own (sans-I/O).
//!
//! Start with [`machine`], the contract that everything here keeps. The rooms (top-level modules),
//! each using only those before it:
//!
//! * [`sorted`], [`time`], [`rng`], [`glob`], [`machine`], [`resp`]: basics, and the protocol.
//! * [`sharding`]: which node a key belongs to.
//! * [`conversation`]: dialogues written as `async fn` that can be cloned.
//! * [`store`]: the keyspace.
//! * [`command`]: the command table's types, and the commands on data.
//! * [`acl`]: users and access rules.
//! * [`persist`]: the formats of data on disk and between servers: RDB and AOF.
//! * [`front`]: what every program that serves clients has: connections, dispatch, configuration,
//!   pub/sub, statistics.
//! * [`peer`]: outgoing connections of a program that is a client of other servers.
//! * [`cluster`]: a node of Redis Cluster: bus, gossip, elections.
//! * [`server`]: the Redis server: the front, a keyspace, persistence and replication.
//! * [`proxy`]: twemproxy and predixy.
//! * [`sentinel`]: Redis Sentinel: monitoring and failover.
//! * [`client`]: redis-cli without its terminal: parsing lines, printing replies, hints.
//! * [`cluster_tools`]: `redis-cli --cluster` and `redis-trib.rb`: creating and repairing clusters.
//! * [`deployment`]: the state of a deployment of real servers, as its nodes report it.
//! * [`sim`]: the World: a simulation of hosts, links, disks and faults in which machines run.
//! * [`lab`]: topologies and traffic for a World.
//! * [`lesson`]: lessons as text files that check what happened in a World.

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
