//! The shape of the command table, and the commands on data: one file a group, the groups of the
//! Redis documentation.
//!
//! * [`meta`] says what is known of a command besides its code: one [`Row`] of the table.
//! * [`context`] is what a handler works with.
//! * [`effects`] is the one stream of what a command changed.
//! * [`feed`] is that stream as it is written to the append-only file and to replicas.
//! * [`error`] holds the errors that commands share.
//! * [`geo`], [`hyperloglog`] and [`streams`] are groups of their own.
//! * [`strings`] and [`keys`] hold the rows of the commands on strings and on keys of any type;
//!   what is large among them stands in a file of its own. [`lists`], [`sets`], [`hashes`],
//!   [`zsets`], [`bitmaps`] and [`sort`] do the same for their groups.
//! * [`find_keys`] finds the keys among the arguments of any command; `migrate` knows the words
//!   of MIGRATE for that.
//! * [`walk`] is for replies that are written in slices.
//! * [`syntax`] reads a command's arguments off the notation of the documentation.
//!
//! A command that administers something (CLIENT, CONFIG, INFO) stands beside what it administers,
//! in a room to the right; each program assembles its own table.

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
