//! MONITOR: every command, as it is carried out, shown to whoever asked.

use super::Server;
use super::clients::Client;
use super::dispatch::{Call, Handler, row};
use super::table::Command;
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};
use crate::machine::Endpoint;
use crate::resp::request::Args;
use crate::time::Now;

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[row(Group::Server, "monitor", 1, monitor)
    .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
    .summary("Shows every command that the server carries out, as it happens.")];

impl Server {
    /// Shows a command to those who look on.
    #[cold]
    pub(super) fn show_to_monitors(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &Command,
        args: Args<'_>,
    ) {
        if command.meta.has(flag::SKIP_MONITOR) || command.meta.has(flag::ADMIN) {
            return;
        }
        let micros = now.wall.0;
        let from = match &client.peer {
            Endpoint::Ip(address) => address.to_string(),
            Endpoint::Unix(_) => match &client.local {
                Endpoint::Unix(path) => format!("unix:{path}"),
                ip @ Endpoint::Ip(_) => ip.to_string(),
            },
        };
        let mut line =
            format!("+{}.{:06} [{} {from}]", micros / 1_000_000, micros % 1_000_000, client.db)
                .into_bytes();
        for (index, argument) in args.iter().enumerate() {
            line.push(b' ');
            let hides = super::slowlog::is_secret(command, args, index);
            let shown = if hides { b"(redacted)" } else { argument };
            line.extend_from_slice(crate::resp::quote::repr(shown).as_bytes());
        }
        line.extend_from_slice(b"\r\n");
        let mut current = Some(client);
        for slot in self.monitors.clone() {
            self.deliver(now, &mut current, slot, &line);
        }
    }
}

fn monitor(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.client.is_replica() {
        return Ok(());
    }
    call.client.monitor = true;
    server.monitors.insert(call.client.slot);
    call.ok()
}
