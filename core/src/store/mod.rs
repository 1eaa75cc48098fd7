//! The keyspace: databases of keys, their values and their expiry times.
//!
//! Here is how keys are kept, found, walked over, expired, snapshotted, counted and freed. What
//! commands mean, what they reply and what replicas are told of them stands in
//! [`crate::command`]. Time and randomness come in from outside, by [`Env`] and the seed.

mod access;
mod db;
mod entry;
mod expiry;
pub(crate) mod hash;
mod keyspace;
mod lazyfree;
mod sample;
mod size;
mod snapshot;
mod table;
mod tables;
pub mod value;

pub use access::{AccessClock, AccessPolicy};
pub use db::{DbMut, Env, ExpireMode, Key, KeyEvent, KeyEventKind, NewExpire, Presence, WrongType};
pub use entry::Entry;
pub use keyspace::Keyspace;
pub use lazyfree::Flush;
pub use table::{AHEAD, HashSeed, Keyed, Slot, Table};
pub use value::{Collection, Encoding, StringRef, Type, Value, ValueRef};
