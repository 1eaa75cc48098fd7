//! REPLICAOF, PSYNC, REPLCONF, ROLE, WAIT, WAITAOF, FAILOVER.

use super::NO_ID;
use super::failover::Failover;
use super::primary::State;
use super::wait::{Acks, no_file};
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};
use crate::front::clients::describe;
use crate::machine::LogLevel;
use crate::resp::number::parse_i64;
use crate::resp::quote::split_args;
use crate::server::Client;
use crate::server::Server;
use crate::server::{Call, Handler, row};
use crate::time::Duration;

/// Rows of the command table.
pub(in crate::server) static ROWS: &[Row<Handler>] = &[
    row(Group::Server, "failover", -1, failover)
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::STALE)
        .since("6.2.0")
        .summary("Hands the primary's place to a replica, without losing a write.")
        .syntax("[TO <target: host port [FORCE]>] [ABORT] [TIMEOUT milliseconds]"),
    row(Group::Server, "psync", -3, psync)
        .flags(SYNCING)
        .since("2.8.0")
        .complexity("")
        .summary("Lets a replica go on with the stream of commands, or begin with a copy.")
        .syntax("replicationid offset"),
    row(Group::Server, "replconf", -1, replconf)
        .system()
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::ALLOW_BUSY)
        .since("3.0.0")
        .summary("Tells a primary, or a replica, about the other."),
    row(Group::Server, "replicaof", 3, replicaof)
        .flags(CHANGING)
        .since("5.0.0")
        .summary("Makes the server a replica of another, or a primary.")
        .syntax("<args: <host-port: host port> | <no-one: NO ONE>>"),
    row(Group::Server, "role", 1, role)
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST)
        .acl(acl::ADMIN | acl::DANGEROUS)
        .since("2.8.12")
        .summary("Tells whether the server is a primary or a replica, and of whom."),
    row(Group::Server, "slaveof", 3, replicaof)
        .flags(CHANGING)
        .summary("Makes the server a replica of another, or a primary.")
        .syntax("<args: <host-port: host port> | <no-one: NO ONE>>")
        .deprecated("5.0.0", "`REPLICAOF`"),
    row(Group::Server, "sync", 1, sync)
        .flags(SYNCING)
        .complexity("")
        .summary("Gives a copy of the data, and the stream of commands behind it."),
];

/// Rows of the command table: what waits for replicas.
pub(in crate::server) static GENERIC_ROWS: &[Row<Handler>] = &[
    row(Group::Generic, "wait", 3, wait)
        .acl(acl::CONNECTION)
        .since("3.0.0")
        .summary("Waits until replicas have what this connection wrote.")
        .syntax("numreplicas timeout#integer")
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
    row(Group::Generic, "waitaof", 4, waitaof)
        .flags(flag::NOSCRIPT)
        .acl(acl::CONNECTION)
        .since("7.2.0")
        .summary("Waits until what this connection wrote is in append-only files for good.")
        .syntax("numlocal numreplicas timeout#integer")
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
];

const SYNCING: u32 = flag::NO_ASYNC_LOADING | flag::ADMIN | flag::NO_MULTI | flag::NOSCRIPT;
const CHANGING: u32 = flag::NO_ASYNC_LOADING | flag::ADMIN | flag::NOSCRIPT | flag::STALE;

fn replicaof(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if server.service.replication.failover.is_some() {
        return Err(CommandError::text("ERR REPLICAOF not allowed while failing over."));
    }
    let (host, port) = (call.arg(1), call.arg(2));
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        if server.service.replication.is_replica() {
            server.become_primary(call.now);
            let from = describe(call.client, Some(call.now.mono));
            server.notice(|| format!("MASTER MODE enabled (user request from '{from}')"));
        }
        return call.ok();
    }
    if call.client.is_replica() {
        return Err(CommandError::text("ERR Command is not valid when client is a replica."));
    }
    let port = parse_i64(port)
        .and_then(|port| u16::try_from(port).ok())
        .ok_or(CommandError::text("ERR Invalid master port"))?;
    let host = String::from_utf8_lossy(host).into_owned();
    if let Some(primary) = &server.service.replication.primary
        && primary.host.eq_ignore_ascii_case(&host)
        && primary.port == port
    {
        server.notice(|| {
            "REPLICAOF would result into synchronization with the master we are already connected \
             with. No operation performed."
                .to_owned()
        });
        call.reply().simple("OK Already connected to specified master");
        return Ok(());
    }
    server.become_replica(call.now, &host, port);
    let from = describe(call.client, Some(call.now.mono));
    server.notice(|| format!("REPLICAOF {host}:{port} enabled (user request from '{from}')"));
    call.ok()
}

fn psync(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    synchronize(server, call, Some((call.arg(1), call.arg(2))))
}

fn sync(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    synchronize(server, call, None)
}

/// SYNC, or PSYNC with an id and an offset.
fn synchronize(
    server: &mut Server,
    call: &mut Call<'_>,
    from: Option<(&[u8], &[u8])>,
) -> Result<(), CommandError> {
    if call.client.is_replica() || call.client.monitor {
        return Ok(());
    }
    if let (Some((id, _)), Some(word)) = (from, call.args.get(3))
        && word.eq_ignore_ascii_case(b"failover")
    {
        take_over(server, call, id)?;
    }
    if server.service.replication.failover.is_some() {
        return Err(CommandError::text("NOMASTERLINK Can't SYNC while failing over"));
    }
    if server.service.replication.is_replica() && !server.service.replication.link_is_up() {
        return Err(CommandError::text(
            "NOMASTERLINK Can't SYNC while not connected with my master",
        ));
    }
    if !call.client.outbox.is_empty() {
        return Err(CommandError::text("ERR SYNC and PSYNC are invalid with pending output"));
    }
    let replica = call.client.as_replica(call.now.mono);
    if replica.wants.is_filtered() && !replica.can.eof {
        return Err(CommandError::text("ERR Filtered replica requires EOF capability"));
    }
    let name = call.client.replica_name();
    server.notice(|| format!("Replica {name} asks for synchronization"));
    match from {
        None => call.client.as_replica(call.now.mono).old = true,
        Some((id, offset)) => {
            let Some(offset) = parse_i64(offset) else {
                server.log(LogLevel::Warning, || {
                    format!("Replica {name} asks for synchronization but with a wrong offset")
                });
                return Err(CommandError::NotAnInteger);
            };
            if server.go_on_from(call, id, offset) {
                server.service.replication.stats.sync_partial_ok += 1;
                return Ok(());
            }
            if id.first() != Some(&b'?') {
                server.service.replication.stats.sync_partial_err += 1;
            }
        }
    }
    server.ask_for_copy(call.now, call.client);
    Ok(())
}

/// The primary hands its place to this server.
fn take_over(server: &mut Server, call: &mut Call<'_>, id: &[u8]) -> Result<(), CommandError> {
    let shown = String::from_utf8_lossy(id).into_owned();
    server.notice(|| format!("Failover request received for replid {shown}."));
    if !server.service.replication.is_replica() {
        return Err(CommandError::text("ERR PSYNC FAILOVER can't be sent to a master."));
    }
    if !id.eq_ignore_ascii_case(&server.service.replication.id) {
        return Err(CommandError::text("ERR PSYNC FAILOVER replid must match my replid."));
    }
    server.become_primary(call.now);
    let from = describe(call.client, Some(call.now.mono));
    server.notice(|| format!("MASTER MODE enabled (failover request from '{from}')"));
    Ok(())
}

impl Server {
    /// Lets a replica go on with the stream from an offset on, if that can be done.
    fn go_on_from(&mut self, call: &mut Call<'_>, id: &[u8], offset: i64) -> bool {
        let name = call.client.replica_name();
        let replication = &self.service.replication;
        let text = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
        let is_first = id.eq_ignore_ascii_case(&replication.id);
        let is_second =
            id.eq_ignore_ascii_case(&replication.second_id) && replication.second_id != NO_ID;
        let reason = if is_first || (is_second && offset <= replication.second_offset) {
            let backlog = replication.backlog.as_ref();
            match backlog.is_some_and(|backlog| backlog.holds(offset)) {
                true => None,
                false => Some(format!(
                    "Unable to partial resync with replica {name} for lack of backlog (Replica \
                     request was: {offset})."
                )),
            }
        } else if id.first() == Some(&b'?') {
            Some(format!("Full resync requested by replica {name}"))
        } else if is_second {
            Some(format!(
                "Partial resynchronization not accepted: Requested offset for second ID was \
                 {offset}, but I can reply up to {}",
                replication.second_offset
            ))
        } else {
            Some(format!(
                "Partial resynchronization not accepted: Replication ID mismatch (Replica asked \
                 for '{}', my replication IDs are '{}' and '{}')",
                text(id),
                text(&replication.id),
                text(&replication.second_id)
            ))
        };
        let beyond = is_first && offset > replication.offset.saturating_add(1);
        if let Some(reason) = reason {
            self.notice(|| reason);
            if beyond {
                self.log(LogLevel::Warning, || {
                    format!(
                        "Warning: replica {name} tried to PSYNC with an offset that is greater \
                         than the master replication offset."
                    )
                });
            }
            return false;
        }
        let psync2 = call.client.as_replica(call.now.mono).can.psync2;
        let answer = match psync2 {
            true => format!("+CONTINUE {}\r\n", text(&self.service.replication.id)),
            false => "+CONTINUE\r\n".to_owned(),
        };
        call.client.outbox.write(answer.as_bytes());
        self.enlist(call.now.mono, call.client, State::Online);
        call.client.as_replica(call.now.mono).next = offset;
        self.service.replication.news = true;
        let next =
            self.service.replication.backlog.as_ref().map_or(offset, |backlog| backlog.next());
        let length = next - offset;
        self.notice(|| {
            format!(
                "Partial resynchronization request from {name} accepted. Sending {length} bytes of \
                 backlog starting from offset {offset}."
            )
        });
        true
    }
}

fn replconf(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let now = call.now;
    for at in (1..call.args.len()).step_by(2) {
        let (option, value) = (call.arg(at), call.arg(at + 1));
        let integer = || parse_i64(value).ok_or(CommandError::NotAnInteger);
        match option.to_ascii_lowercase().as_slice() {
            b"listening-port" => call.client.as_replica(now.mono).port = integer()?,
            b"ip-address" => {
                // NI_MAXHOST
                if value.len() >= 1025 {
                    return Err(CommandError::composed(format!(
                        "ERR REPLCONF ip-address provided by replica instance is too long: {} bytes",
                        value.len()
                    )));
                }
                call.client.as_replica(now.mono).address = Some(value.to_vec());
            }
            b"capa" => {
                let can = &mut call.client.as_replica(now.mono).can;
                can.eof |= value.eq_ignore_ascii_case(b"eof");
                can.psync2 |= value.eq_ignore_ascii_case(b"psync2");
            }
            b"ack" => {
                let fsynced = call
                    .args
                    .get(at + 3)
                    .filter(|_| call.arg(at + 2).eq_ignore_ascii_case(b"fack"));
                server.replica_acked(call, value, fsynced);
                return Ok(());
            }
            b"getack" => {
                asked_for_ack(server, call);
                return Ok(());
            }
            b"rdb-only" => {
                let only = match integer()? {
                    0 => false,
                    1 => true,
                    _ => {
                        return Err(CommandError::text(
                            "ERR value is out of range, value must between 0 and 1",
                        ));
                    }
                };
                call.client.as_replica(now.mono).wants.only_copy = only;
            }
            b"rdb-filter-only" => {
                let words = split_args(value)
                    .ok_or(CommandError::text("ERR Missing rdb-filter-only values"))?;
                let wants = &mut call.client.as_replica(now.mono).wants;
                (wants.no_data, wants.no_functions) = (true, true);
                for word in words {
                    if !word.eq_ignore_ascii_case(b"functions") {
                        let before = "ERR Unsupported rdb-filter-only option: ";
                        return Err(CommandError::quoting(before, &word, ""));
                    }
                    wants.no_functions = false;
                }
            }
            _ => {
                return Err(CommandError::quoting(
                    "ERR Unrecognized REPLCONF option: ",
                    option,
                    "",
                ));
            }
        }
    }
    call.ok()
}

impl Server {
    /// A replica tells how far it is.
    fn replica_acked(&mut self, call: &mut Call<'_>, offset: &[u8], fsynced: Option<&[u8]>) {
        if !call.client.is_replica() {
            return;
        }
        let Some(replica) = call.client.state.replica.as_deref_mut() else { return };
        let Some(offset) = parse_i64(offset) else { return };
        replica.acked = replica.acked.max(offset);
        if let Some(fsynced) = fsynced {
            let Some(fsynced) = parse_i64(fsynced) else { return };
            replica.fsynced = replica.fsynced.max(fsynced);
        }
        replica.acked_at = call.now.mono;
        self.service.replication.acked = true;
        if replica.on_ack && replica.state == State::Online {
            replica.on_ack = false;
            self.service.replication.news = true;
        }
    }
}

/// The primary asks how far we are.
fn asked_for_ack(server: &mut Server, call: &mut Call<'_>) {
    let Some(slot) = server.service.replication.stream().map(|stream| stream.slot) else { return };
    if call.client.slot == slot {
        server.send_ack(call.now, call.client);
    } else if let Some(mut client) = server.clients.take(slot) {
        server.send_ack(call.now, &mut client);
        server.clients.put(client);
    }
}

fn role(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if let Some(primary) = &server.service.replication.primary {
        let offset = primary.stream.as_ref().map_or(-1, |stream| stream.applied);
        let mut reply = call.reply();
        reply.array(5);
        reply.bulk(b"slave");
        reply.bulk(primary.host.as_bytes());
        reply.integer(i64::from(primary.port));
        reply.bulk(primary.state().as_bytes());
        reply.integer(offset);
        return Ok(());
    }
    let online: Vec<_> = server
        .all_replicas()
        .filter(|(_, replica)| replica.state == State::Online)
        .map(|(client, replica)| (client.replica_address(), replica.port, replica.acked))
        .collect();
    let offset = server.service.replication.offset;
    let mut reply = call.reply();
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(offset);
    reply.array(online.len());
    for (address, port, acked) in online {
        reply.array(3);
        reply.bulk(address.as_bytes());
        reply.bulk_integer(port);
        reply.bulk_integer(acked);
    }
    Ok(())
}

/// How long a client waits, `None` for ever.
fn patience(text: &[u8]) -> Result<Option<Duration>, CommandError> {
    let millis = parse_i64(text)
        .ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    let millis =
        u64::try_from(millis).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    // Beyond this Redis's clock overflows.
    if millis > i64::MAX as u64 / 2 {
        return Err(CommandError::text("ERR timeout is out of range"));
    }
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}

fn wait(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if server.service.replication.is_replica() {
        return Err(CommandError::text(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 \
             if a replica is configured to be writable (which is not the default) writes to \
             replicas are just local and are not propagated.",
        ));
    }
    let replicas = parse_i64(call.arg(1)).ok_or(CommandError::NotAnInteger)?;
    let patience = patience(call.arg(2))?;
    let acks = Acks { offset: call.client.state.write_offset, replicas, local: None };
    wait_for(server, call, acks, patience);
    Ok(())
}

fn waitaof(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let local = match parse_i64(call.arg(1)) {
        Some(0) => false,
        Some(1) => true,
        Some(_) => {
            return Err(CommandError::text(
                "ERR value is out of range, value must between 0 and 1",
            ));
        }
        None => return Err(CommandError::NotAnInteger),
    };
    let out_of_range = CommandError::text("ERR value is out of range, must be positive");
    let replicas = parse_i64(call.arg(2)).filter(|n| *n >= 0).ok_or(out_of_range)?;
    let patience = patience(call.arg(3))?;
    if server.service.replication.is_replica() {
        return Err(CommandError::text(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to \
             replicas are just local and are not propagated.",
        ));
    }
    if local && !server.config.settings().appendonly {
        return Err(no_file());
    }
    let acks = Acks { offset: call.client.state.write_offset, replicas, local: Some(local) };
    wait_for(server, call, acks, patience);
    Ok(())
}

fn wait_for(server: &mut Server, call: &mut Call<'_>, acks: Acks, patience: Option<Duration>) {
    let reached = server.reached(acks);
    if reached.is_enough(acks) || server.service.executing || call.client.state.from_primary {
        return reached.write(acks, &mut call.reply());
    }
    let Call { now, args, command, .. } = *call;
    server.block_for_acks(now, call.client, command, args, acks, patience);
    server.service.replication.waiting.push(call.client.slot);
    server.ask_replicas();
}

fn failover(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.args.len() == 2 && call.arg(1).eq_ignore_ascii_case(b"abort") {
        if server.service.replication.failover.is_none() {
            return Err(CommandError::text("ERR No failover in progress."));
        }
        server.abort_failover(call.now, "Failover manually aborted");
        return call.ok();
    }
    let (mut timeout, mut target, mut force) = (None, None, false);
    let mut at = 1;
    while at < call.args.len() {
        let left = call.args.len() - at - 1;
        let integer = |index| parse_i64(call.arg(index)).ok_or(CommandError::NotAnInteger);
        match call.arg(at).to_ascii_lowercase().as_slice() {
            b"timeout" if left >= 1 && timeout.is_none() => {
                let millis = u64::try_from(integer(at + 1)?).unwrap_or(0);
                if millis == 0 {
                    return Err(CommandError::text("ERR FAILOVER timeout must be greater than 0"));
                }
                timeout = Some(Duration::from_millis(millis));
                at += 2;
            }
            b"to" if left >= 2 && target.is_none() => {
                let host = String::from_utf8_lossy(call.arg(at + 1)).into_owned();
                target = Some((host, integer(at + 2)?));
                at += 3;
            }
            b"force" if !force => {
                force = true;
                at += 1;
            }
            _ => return Err(CommandError::Syntax),
        }
    }
    if server.service.replication.failover.is_some() {
        return Err(CommandError::text("ERR FAILOVER already in progress."));
    }
    if server.service.replication.is_replica() {
        return Err(CommandError::text("ERR FAILOVER is not valid when server is a replica."));
    }
    if server.service.replication.replicas.is_empty() {
        return Err(CommandError::text("ERR FAILOVER requires connected replicas."));
    }
    if force && (timeout.is_none() || target.is_none()) {
        return Err(CommandError::text(
            "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
        ));
    }
    let target = match target {
        None => None,
        Some((host, port)) => Some(server.failover_target(&host, port)?),
    };
    server.notice(|| match &target {
        Some((host, port)) => format!("FAILOVER requested to {host}:{port}."),
        None => "FAILOVER requested to any replica.".to_owned(),
    });
    let until = timeout.map(|timeout| call.now.mono + timeout);
    server.begin_failover(call.now, Failover { target, until, force, in_progress: false });
    call.ok()
}

impl Server {
    fn failover_target(&self, host: &str, port: i64) -> Result<(String, u16), CommandError> {
        let is_meant = |client: &Client, its_port| {
            its_port == port && client.replica_address().eq_ignore_ascii_case(host)
        };
        let found = self.all_replicas().find(|(client, replica)| is_meant(client, replica.port));
        match found {
            None => Err(CommandError::text("ERR FAILOVER target HOST and PORT is not a replica.")),
            Some((_, replica)) if replica.state != State::Online => {
                Err(CommandError::text("ERR FAILOVER target replica is not online."))
            }
            Some(_) => Ok((host.to_owned(), u16::try_from(port).unwrap_or_default())),
        }
    }
}
