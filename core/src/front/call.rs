//! One call of a command: the handler's arguments and signature.

use super::clients::Client;
use super::table::Command;
use super::{Front, Service};
use crate::command::{CommandError, Group, Row};
use crate::resp::reply::{Reply, Scratch};
use crate::resp::request::Args;
use crate::time::Now;

/// The handler of a command that does not work on data. It either writes one reply and returns
/// `Ok`, or changes and writes nothing and returns the error.
pub type Handler<S> = fn(&mut Front<S>, &mut Call<'_, S>) -> Result<(), CommandError>;

/// A row of the command table for such a command.
pub const fn row<S: Service>(
    group: Group,
    name: &'static str,
    arity: i16,
    handler: Handler<S>,
) -> Row<Handler<S>> {
    Row::new(group, name, arity, handler)
}

/// The handler of a container of subcommands, which cannot be called alone.
pub fn container<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    Err(CommandError::arity(&call.command.name))
}

/// One call of a command.
pub struct Call<'a, S: Service> {
    /// The time.
    pub now: Now<'a>,
    /// The caller, which is taken out of its slot during the call.
    pub client: &'a mut Client<S>,
    /// The command's name and its arguments; their number agrees with the arity.
    pub args: Args<'a>,
    /// The command.
    pub command: &'static Command<S>,
    pub(super) scratch: &'a mut Scratch,
}

impl<'a, S: Service> Call<'a, S> {
    /// The writer of the reply. A deferred aggregate must be ended before this is called again.
    pub fn reply(&mut self) -> Reply<'_> {
        let (muted, proto) = (self.client.is_muted(), self.client.proto);
        Reply::new(self.client.out(), self.scratch, proto).muted(muted)
    }

    /// The writer of a push message, which CLIENT REPLY does not suppress.
    pub fn push(&mut self) -> Reply<'_> {
        let proto = self.client.proto;
        Reply::new(self.client.out(), self.scratch, proto)
    }

    /// The argument at `index`; 0 is the command's name.
    pub fn arg(&self, index: usize) -> &'a [u8] {
        self.args.at(index)
    }

    /// Replies `+OK`.
    pub fn ok(&mut self) -> Result<(), CommandError> {
        self.reply().ok();
        Ok(())
    }
}
