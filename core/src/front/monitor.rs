//! MONITOR: streams every command to the clients that asked for it, as it is executed.

use super::{Call, Client, ClientState, Command, Front, Handler, Push, Rows, Service, row};
use crate::command::meta::flag;
use crate::command::secrets::{REDACTED, is_secret};
use crate::command::{CommandError, Group, Row};
use crate::machine::Endpoint;
use crate::resp::request::Args;
use crate::time::Now;

impl<S: Service> Rows<S> {
    /// The rows of this file.
    pub(crate) const MONITOR: &'static [Row<Handler<S>>] =
        &[row(Group::Server, "monitor", 1, monitor)
            .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
            .summary("Shows every command that the server carries out, as it happens.")];
}

impl<S: Service> Front<S> {
    /// Sends a command to the clients in MONITOR.
    #[cold]
    pub(crate) fn show_to_monitors(
        &mut self,
        now: Now<'_>,
        client: &mut Client<S>,
        command: &Command<S>,
        args: Args<'_>,
    ) {
        if command.meta.has(flag::SKIP_MONITOR) || command.meta.has(flag::ADMIN) {
            return;
        }
        self.send_to_monitors(now, client, command, args);
    }

    /// Sends a command that runs a script to the clients in MONITOR, before the commands that it
    /// calls.
    pub(crate) fn show_script_to_monitors(
        &mut self,
        now: Now<'_>,
        client: &mut Client<S>,
        command: &Command<S>,
        args: Args<'_>,
    ) {
        if command.meta.has(flag::SKIP_MONITOR) {
            self.send_to_monitors(now, client, command, args);
        }
    }

    /// Sends a command to the clients in MONITOR, whatever its flags.
    fn send_to_monitors(
        &mut self,
        now: Now<'_>,
        client: &mut Client<S>,
        command: &Command<S>,
        args: Args<'_>,
    ) {
        let micros = now.wall.0;
        let from = match &client.peer {
            _ if S::is_in_script(self) => "lua".to_owned(),
            Endpoint::Ip(address) => address.to_string(),
            Endpoint::Unix(_) => match &client.local {
                Endpoint::Unix(path) => format!("unix:{path}"),
                ip @ Endpoint::Ip(_) => ip.to_string(),
            },
        };
        let mut line = format!(
            "+{}.{:06} [{} {from}]",
            micros / 1_000_000,
            micros % 1_000_000,
            client.state.db()
        )
        .into_bytes();
        for (index, argument) in args.iter().enumerate() {
            line.push(b' ');
            let hides = is_secret(&command.name, args, index);
            let shown = if hides { REDACTED.as_bytes() } else { argument };
            line.extend_from_slice(crate::resp::quote::repr(shown).as_bytes());
        }
        line.extend_from_slice(b"\r\n");
        let line = Push::Message(line);
        let mut current = Some(client);
        for slot in self.monitors.clone() {
            self.deliver(now, &mut current, slot, &line);
        }
    }
}

fn monitor<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    if call.client.is_replica() {
        return Ok(());
    }
    call.client.monitor = true;
    front.monitors.insert(call.client.slot);
    call.ok()
}
