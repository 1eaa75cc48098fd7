//! Access control lists: users with their passwords, and the rules that say which commands, keys
//! and channels each of them may use.
//!
//! Everything here is a plain value: rules are parsed and printed, requests are checked against
//! them. [`front`](crate::front) knows which client is logged in as which user, and has the
//! commands `ACL`, `AUTH` and `HELLO` and the files that hold users.
//!
//! * [`catalog`]: the part of a command table that rules depend on;
//! * [`error`]: errors in rules;
//! * [`check`]: checking one request, and the reason when it is denied;
//! * [`selector`]: one set of permissions, made by rules such as `+get`, `~key:*`, `&news`;
//! * [`user`]: passwords and selectors under a name;
//! * [`users`]: all users, their lines in configuration files and in the `aclfile`;
//! * [`log`]: recently denied requests (`ACL LOG`).

pub mod catalog;
pub mod check;
pub mod error;
pub mod log;
pub mod selector;
#[cfg(test)]
mod tests;
pub mod user;
pub mod users;

pub use catalog::{Catalog, CommandInfo};
pub use check::{Denied, Reason, Request};
pub use error::RuleError;
pub use log::{Context, Log, LogEntry};
pub use selector::Selector;
pub use user::{User, UserId};
pub use users::Users;

/// The context in which rules are interpreted.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// The commands that rules may name.
    pub commands: &'a dyn Catalog,
    /// Whether new users may use all channels (`acl-pubsub-default allchannels`).
    pub all_channels: bool,
}

/// Whether a name or pattern contains blanks or NUL bytes, which no rule can express.
pub(crate) fn has_blanks(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, 0 | b' ' | b'\t'..=b'\r'))
}
