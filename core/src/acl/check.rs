//! One request that is checked, and why it is denied.

use super::Known;
use crate::command::find_keys;
use crate::command::meta::{Meta, key};
use crate::resp::request::Args;

/// A request that is checked against the selectors of a user, one after the other. Its keys are
/// looked for once.
pub struct Request<'a> {
    /// The command.
    pub command: Known<'a>,
    /// Its name and arguments.
    pub args: Args<'a>,
    keys: Option<Vec<(usize, u32)>>,
}

/// Why a request is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// What is not allowed.
    pub reason: Reason,
    /// The argument that is to blame: a key or a channel; 0 for the command itself.
    pub at: usize,
}

/// What is not allowed. Of the reasons of several selectors the last one is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The command.
    Command,
    /// A key.
    Key,
    /// To log in with this name and password.
    Login,
    /// A channel.
    Channel,
}

/// What a command does with the channels among its arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Channels {
    /// All arguments are channels.
    All,
    /// All arguments are patterns of channels.
    Patterns,
    /// The first argument is a channel.
    First,
}

impl<'a> Request<'a> {
    /// A request that calls `command` with `args`.
    pub fn new(command: Known<'a>, args: Args<'a>) -> Self {
        Self { command, args, keys: None }
    }

    /// The places of the keys among the arguments, each with bits of [`key`]. A request whose keys
    /// cannot be found has none: the command itself will refuse such arguments.
    pub(super) fn keys(&mut self) -> &[(usize, u32)] {
        let (meta, args) = (self.command.meta, self.args);
        self.keys.get_or_insert_with(|| {
            let mut keys = find_keys::keys(meta, args).unwrap_or_default();
            keys.retain(|(_, flags)| flags & key::NOT_KEY == 0);
            keys
        })
    }

    /// What the command does with channels. To leave a channel needs no permission.
    pub(super) fn channels(&self) -> Option<Channels> {
        channels(self.command.meta)
    }
}

fn channels(meta: &Meta) -> Option<Channels> {
    match meta.name {
        "publish" | "spublish" => Some(Channels::First),
        "subscribe" | "ssubscribe" => Some(Channels::All),
        "psubscribe" => Some(Channels::Patterns),
        _ => None,
    }
}

impl Denied {
    /// The argument that is to blame.
    pub fn blamed<'a>(&self, args: Args<'a>) -> &'a [u8] {
        args.get(self.at).unwrap_or_default()
    }

    /// What a client is told, without an error code. Keys and channels are named if `verbose`, for
    /// those who may know of them (`ACL DRYRUN`).
    pub fn message(&self, user: &[u8], command: &str, args: Args<'_>, verbose: bool) -> Vec<u8> {
        let named = |what: &str| {
            let blamed = self.blamed(args);
            [b"User ", user, b" has no permissions to access the '", blamed, b"' ", what.as_bytes()]
                .concat()
        };
        match self.reason {
            Reason::Key if verbose => named("key"),
            Reason::Key => b"No permissions to access a key".to_vec(),
            Reason::Channel if verbose => named("channel"),
            Reason::Channel => b"No permissions to access a channel".to_vec(),
            Reason::Command | Reason::Login => [
                b"User ",
                user,
                b" has no permissions to run the '",
                command.as_bytes(),
                b"' command",
            ]
            .concat(),
        }
    }
}

impl Reason {
    /// How `ACL LOG` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Login => "auth",
            Reason::Channel => "channel",
        }
    }

    /// How EXEC calls it when the rules have changed since the command was queued.
    pub fn in_transaction(self) -> &'static str {
        match self {
            Reason::Command | Reason::Login => "no permission to execute the command or subcommand",
            Reason::Key => "no permission to touch the specified keys",
            Reason::Channel => "no permission to access one of the channels used as arguments",
        }
    }
}
