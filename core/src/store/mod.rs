//! The keyspace: databases of keys, their values and their expiry times.
//!
//! It stores, finds, iterates over, expires, snapshots, accounts for and frees keys. The meaning of
//! commands, their replies and their propagation are in [`crate::command`]. Time and randomness are
//! inputs: [`Env`] and the seed.

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
pub use table::{HashSeed, Keyed, PREFETCH_BATCH, Slot, Table};
pub use value::{Collection, Encoding, StringRef, Type, Value, ValueRef};
