//! Checking one request against ACL rules.

use super::CommandInfo;
use crate::command::find_keys;
use crate::command::meta::{Meta, key};
use crate::resp::request::Args;

/// A request that is checked against the selectors of a user one by one. The positions of its keys
/// are computed once.
pub struct Request<'a> {
    /// The command.
    pub command: CommandInfo<'a>,
    /// Its name and arguments.
    pub args: Args<'a>,
    keys: Option<Vec<(usize, u32)>>,
}

/// Why a request is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// What is not allowed.
    pub reason: Reason,
    /// Index of the offending argument (a key or a channel); 0 for the command itself.
    pub at: usize,
}

/// The kind of permission that is missing, in ascending order: when all selectors deny a request,
/// the greatest reason is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The command.
    Command,
    /// A key.
    Key,
    /// To log in: wrong password, unknown or disabled user.
    Login,
    /// A channel.
    Channel,
}

/// How a command uses the channels among its arguments.
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
    pub fn new(command: CommandInfo<'a>, args: Args<'a>) -> Self {
        Self { command, args, keys: None }
    }

    /// Positions of the keys among the arguments, each with its access bits ([`key`]). Empty if the
    /// keys cannot be found: the command itself will refuse such arguments.
    pub(super) fn keys(&mut self) -> &[(usize, u32)] {
        let (meta, args) = (self.command.meta, self.args);
        self.keys.get_or_insert_with(|| {
            let mut keys = find_keys::keys(meta, args).unwrap_or_default();
            keys.retain(|(_, flags)| flags & key::NOT_KEY == 0);
            keys
        })
    }

    /// How the command uses channels. Unsubscribing needs no permission.
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
    /// The offending argument.
    pub fn blamed<'a>(&self, args: Args<'a>) -> &'a [u8] {
        args.get(self.at).unwrap_or_default()
    }

    /// The error message for a client, without an error code. `verbose` names the key or channel,
    /// for callers who may know about it (`ACL DRYRUN`).
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
    /// The name in `ACL LOG`.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Login => "auth",
            Reason::Channel => "channel",
        }
    }

    /// The wording of EXEC when the rules have changed since the command was queued.
    pub fn in_transaction(self) -> &'static str {
        match self {
            Reason::Command | Reason::Login => "no permission to execute the command or subcommand",
            Reason::Key => "no permission to touch the specified keys",
            Reason::Channel => "no permission to access one of the channels used as arguments",
        }
    }
}
