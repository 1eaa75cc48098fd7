//! The shape of the command table, and the commands on data: one file a group, the groups of the
//! Redis documentation.
//!
//! * [`meta`] says what is known of a command besides its code: one [`Row`] of the table.
//! * [`context`] is what a handler works with.
//! * [`effects`] is the one stream of what a command changed.
//! * [`error`] holds the errors that commands share.
//! * [`syntax`] reads a command's arguments off the notation of the documentation.
//!
//! A command that administers something (CLIENT, CONFIG, INFO) stands beside what it administers,
//! and the one table is assembled in [`server`](crate::server).

pub mod context;
pub mod effects;
pub mod error;
pub mod meta;
pub mod syntax;

pub use context::{Caller, Ctx, DataConfig, Handler};
pub use effects::{Class, Effects};
pub use error::CommandError;
pub use meta::{Group, KeySpec, Meta, Row};
