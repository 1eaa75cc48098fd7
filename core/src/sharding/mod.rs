//! Sharding: which node has a key.
//!
//! * [`enum@Hash`] is every hash function of twemproxy, [`GroupHash`] those of predixy, [`Slot`] the hash
//!   slot of Redis Cluster, and [`HashTag`] the part of a key that is hashed instead of all of it.
//! * [`Ring`] is the consistent hash ring (ketama) with its virtual nodes.
//! * [`Sharding`] puts them together: nodes and a [`Rule`] in, the node of a key out. The proxies,
//!   clients that shard by themselves, the command `shard` and the page all ask it.
//! * [`moves`] compares two shardings: what moves when a node joins or leaves.
//! * [`plot`] draws a ring, and [`tool`] is the command `shard`.
//!
//! What does not live here: connections to the nodes (`proxy`), and the assignment of slots to the
//! nodes of a Cluster (`cluster`).

mod group;
mod hash;
pub mod moves;
pub mod plot;
mod ring;
mod rule;
mod slot;
mod tag;
#[cfg(test)]
mod tests;
pub mod tool;

pub use group::GroupHash;
pub use hash::Hash;
pub use ring::{Arc, Point, Ring};
pub use rule::{Node, Place, Rule, Sharding};
pub use slot::Slot;
pub use tag::HashTag;
