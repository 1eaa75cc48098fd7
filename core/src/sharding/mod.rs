//! Sharding: which node has a key.
//!
//! * [`enum@Hash`] is every hash function of twemproxy, [`GroupHash`] those of predixy, [`Slot`] the hash
//!   slot of Redis Cluster, and [`HashTag`] the part of a key that is hashed instead of all of it.
//! * [`Ring`] is the consistent hash ring (ketama) with its virtual nodes.
//! * [`Sharding`] combines them: nodes and a [`Rule`] in, the node of a key out. It is used by the
//!   proxies, by clients that shard themselves, by the command `shard` and by the page.
//! * [`moves`] compares two shardings: what moves when a node joins or leaves.
//! * [`plot`] draws a ring, and [`tool`] is the command `shard`.
//!
//! Not here: connections to the nodes (`proxy`), and the assignment of slots to the nodes of a
//! Cluster (`cluster`).

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
