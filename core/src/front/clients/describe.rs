//! The line of CLIENT LIST for a client, and which names are allowed in it.

use super::{Client, ClientState, CloseState, Tracking};
use crate::command::CommandError;
use crate::front::{Front, Service};
use crate::machine::{Endpoint, Outbox};
use crate::time::Mono;

/// Bytes of the reply buffer that a client has at least (`rbs`): Redis's `PROTO_REPLY_MIN_BYTES`.
const MIN_REPLY_BUFFER: usize = 1024;

/// Whether a text has only characters that are allowed in CLIENT LIST.
pub(crate) fn is_printable(text: &[u8]) -> bool {
    text.iter().all(|c| (b'!'..=b'~').contains(c))
}

/// Refuses a name with characters that would break the lines of CLIENT LIST.
pub(crate) fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if is_printable(name) {
        Ok(())
    } else {
        Err(CommandError::text(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ))
    }
}

/// A client as a line of CLIENT LIST.
pub(crate) fn describe<S: Service>(client: &Client<S>, now: Option<Mono>) -> String {
    let now = now.unwrap_or(client.last_heard);
    let mut flags = String::new();
    let tracking = client.tracking.as_deref();
    let letters = [
        (client.monitor, 'O'),
        (client.is_replica(), 'S'),
        (client.is_primary(), 'M'),
        (client.subscriptions.is_some(), 'P'),
        (client.state.in_transaction(), 'x'),
        (client.paused || client.state.is_blocked(), 'b'),
        (tracking.is_some(), 't'),
        (tracking.is_some_and(|tracking| tracking.broken), 'R'),
        (tracking.is_some_and(Tracking::is_broadcast), 'B'),
        (client.close_state == CloseState::AfterReply, 'c'),
        (matches!(client.peer, Endpoint::Unix(_)), 'U'),
        (client.no_evict, 'e'),
        (client.no_touch, 'T'),
    ];
    flags.extend(letters.iter().filter(|(set, _)| *set).map(|(_, letter)| letter));
    if flags.is_empty() {
        flags.push('N');
    }
    // The request that is being executed counts as pending.
    let queued = client.state.queued();
    let (multi, multi_mem) = queued.map_or((-1, 0), |(len, memory)| (len as i64, memory));
    let [channels, patterns, shards] = client
        .subscriptions
        .as_deref()
        .map_or([0; 3], |s| [s.channels(), s.patterns(), s.shards()]);
    let waiting = client.requests.unread().max(client.input_bytes);
    let free = client.requests.capacity().saturating_sub(waiting);
    let command = Front::<S>::name_of(client.last_command).unwrap_or("NULL");
    // Redis keeps the first bytes in a buffer of their own and counts the others as a list.
    let output = client.outbox.len();
    let (obl, oll, omem) = if output <= Outbox::CHUNK {
        (output, 0, 0)
    } else {
        (Outbox::CHUNK, output.div_ceil(Outbox::CHUNK) - 1, client.outbox.capacity())
    };
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={flags} db={} sub={channels} \
         psub={patterns} ssub={shards} multi={multi} qbuf={waiting} qbuf-free={free} argv-mem={} multi-mem={multi_mem} rbs={} rbp={} \
         obl={obl} oll={oll} omem={omem} tot-mem={} events={} cmd={command} user={} redir={} \
         resp={} lib-name={} lib-ver={}",
        client.id,
        client.address(),
        client.local_address(),
        client.conn.0 / 2 + 8,
        String::from_utf8_lossy(&client.name),
        now.since(client.created).as_secs(),
        now.since(client.last_heard).as_secs(),
        client.state.db(),
        client.argv_bytes,
        client.outbox.capacity().clamp(MIN_REPLY_BUFFER, Outbox::CHUNK),
        client.outbox_peak.min(Outbox::CHUNK),
        client.reported_memory(),
        if output == 0 { "r" } else { "rw" },
        client
            .user
            .as_ref()
            .map_or("(superuser)".into(), |user| String::from_utf8_lossy(user.name())),
        tracking.map_or(-1, Tracking::redirection),
        client.proto.number(),
        String::from_utf8_lossy(&client.lib_name),
        String::from_utf8_lossy(&client.lib_version),
    )
}
