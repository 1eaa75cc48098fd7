//! The structure of the command table, and the commands on data, one file per group of the Redis
//! documentation.
//!
//! * [`meta`] holds a command's metadata: one [`Row`] of the table.
//! * [`context`] is what a handler is called with.
//! * [`effects`] collects what a command changed.
//! * [`feed`] encodes these changes for the append-only file and for replicas.
//! * [`error`] holds the errors that commands share.
//! * [`geo`], [`hyperloglog`] and [`streams`] are groups of commands.
//! * [`strings`] and [`keys`] hold the rows of the commands on strings and on keys of any type; the
//!   larger of these commands have files of their own. [`lists`], [`sets`], [`hashes`], [`zsets`],
//!   [`bitmaps`] and [`sort`] do the same for their groups.
//! * [`find_keys`] finds the keys among the arguments of any command; `migrate` parses the options
//!   of MIGRATE for that.
//! * [`walk`] writes long replies in slices.
//! * [`syntax`] parses a command's arguments from the notation of the documentation.
//!
//! Administrative commands (CLIENT, CONFIG, INFO) are defined beside what they administer, in a
//! room to the right; each program assembles its own table.

pub mod bitmaps;
pub mod blocking;
pub mod context;
pub mod effects;
pub mod error;
pub mod extended;
pub mod feed;
pub mod find_keys;
pub mod geo;
pub mod hashes;
pub mod hyperloglog;
pub mod keys;
pub mod lists;
pub mod meta;
pub(crate) mod migrate;
pub(crate) mod secrets;
pub mod sets;
pub mod sort;
pub mod streams;
pub mod strings;
pub mod syntax;
pub mod walk;
pub mod zsets;

mod collection;
mod counters;
mod expire;
mod flush;
mod lcs;
mod scan;
mod set;
#[cfg(test)]
mod tests;

pub use context::{Caller, Ctx, DataConfig, Handler, Wait};
pub use effects::{Class, Effects};
pub use error::CommandError;
pub(crate) use expire::past as is_past;
pub use feed::Feed;
pub use meta::{Group, KeySpec, Meta, Row};
pub use walk::Rest;
