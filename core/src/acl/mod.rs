//! Access control lists: users with their passwords, and the rules that say which commands, keys
//! and channels each of them may use.
//!
//! Everything here is a value: rules are read and written, requests are checked against them. Which
//! client is logged in as which user, the commands `ACL`, `AUTH` and `HELLO`, and the files that
//! hold users are the business of [`front`](crate::front).
//!
//! * [`catalog`]: what rules have to know of the commands of a program;
//! * [`error`]: what can be wrong with a rule;
//! * [`check`]: one request that is checked, and why it is denied;
//! * [`selector`]: one set of permissions, made by rules such as `+get`, `~key:*`, `&news`;
//! * [`user`]: passwords and selectors under a name;
//! * [`users`]: all users, their lines in configuration files and in the `aclfile`;
//! * [`log`]: what was denied lately (`ACL LOG`).

pub mod catalog;
pub mod check;
pub mod error;
pub mod log;
pub mod selector;
#[cfg(test)]
mod tests;
pub mod user;
pub mod users;

pub use catalog::{Catalog, Known};
pub use check::{Denied, Reason, Request};
pub use error::RuleError;
pub use log::{Context, Log, LogEntry};
pub use selector::Selector;
pub use user::{User, UserId};
pub use users::Users;

/// What rules depend on besides themselves.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// The commands that rules may name.
    pub commands: &'a dyn Catalog,
    /// Whether new users may use all channels (`acl-pubsub-default allchannels`).
    pub all_channels: bool,
}

/// Whether a name or pattern holds blanks or NUL bytes, which no rule can express.
pub(crate) fn has_blanks(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, 0 | b' ' | b'\t'..=b'\r'))
}
