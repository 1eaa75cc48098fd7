//! CLIENT.

use super::Client;
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};
use crate::machine::Endpoint;
use crate::server::Server;
use crate::server::dispatch::{Call, Handler, row};
use crate::time::Mono;

/// Rows of the command table.
pub static ROWS: &[Row<Handler>] = &[row(Group::Connection, "client", -2, unreachable_container)
    .since("2.4.0")
    .complexity("Depends on subcommand.")
    .summary("A container for client connection commands.")
    .subcommands(&[
        row(Group::Connection, "id", 2, id)
            .flags(COMMON)
            .acl(acl::CONNECTION)
            .since("5.0.0")
            .summary("Tells the client its id."),
        row(Group::Connection, "getname", 2, getname)
            .flags(COMMON)
            .acl(acl::CONNECTION)
            .since("2.6.9")
            .summary("Tells the client its name."),
        row(Group::Connection, "setname", 3, setname)
            .flags(COMMON)
            .acl(acl::CONNECTION)
            .since("2.6.9")
            .summary("Names the connection.")
            .syntax("connection-name"),
    ])];

const COMMON: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE;

/// A container without a subcommand does not pass the check of its arity.
fn unreachable_container(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    Err(CommandError::arity(&call.command.name))
}

fn id(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let id = call.client.id;
    call.reply().integer(id as i64);
    Ok(())
}

fn getname(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let name = call.client.name.clone();
    if name.is_empty() {
        call.reply().null();
    } else {
        call.reply().bulk(&name);
    }
    Ok(())
}

fn setname(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    check_name(call.arg(2))?;
    call.client.name = call.arg(2).to_vec();
    call.ok()
}

/// Refuses a name that would break the lines of CLIENT LIST.
pub(crate) fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if name.iter().all(|c| (b'!'..=b'~').contains(c)) {
        Ok(())
    } else {
        Err(CommandError::text(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ))
    }
}

/// A client as a line of CLIENT LIST.
pub(crate) fn describe(client: &Client, now: Option<Mono>) -> String {
    let now = now.unwrap_or(client.last_heard);
    let local = match &client.local {
        Endpoint::Unix(path) => format!("{path}:0"),
        ip => ip.to_string(),
    };
    let flags = match (client.no_evict, client.no_touch) {
        _ if client.paused => "b",
        (true, true) => "eT",
        (true, false) => "e",
        (false, true) => "T",
        (false, false) => "N",
    };
    let waiting = client.requests.waiting();
    let command = client
        .last_command
        .and_then(|id| crate::server::table::all().get(usize::from(id)))
        .map_or("NULL", |command| command.name.as_str());
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub=0 psub=0 ssub=0 \
         multi=-1 qbuf={} qbuf-free={} argv-mem={} multi-mem=0 rbs={} rbp={} obl=0 oll={} omem={} \
         tot-mem={} events={} cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={}",
        client.id,
        client.address(),
        local,
        client.conn.0 / 2 + 8,
        String::from_utf8_lossy(&client.name),
        now.since(client.created).as_secs(),
        now.since(client.last_heard).as_secs(),
        flags,
        client.db,
        waiting,
        client.requests.capacity().saturating_sub(waiting),
        client.argv_bytes,
        crate::machine::Outbox::CHUNK,
        client.outbox_peak.min(crate::machine::Outbox::CHUNK),
        client.outbox.len() / crate::machine::Outbox::CHUNK,
        client.outbox.capacity(),
        client.memory(),
        if client.outbox.is_empty() { "r" } else { "rw" },
        command,
        client.proto.number(),
        String::from_utf8_lossy(&client.lib_name),
        String::from_utf8_lossy(&client.lib_version),
    )
}
