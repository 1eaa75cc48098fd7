//! Table rows of the replication commands; REPLICAOF, REPLCONF and ROLE.

use super::failover::failover;
use super::primary::State;
use super::psync::{psync, sync};
use super::wait::{wait, waitaof};
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};
use crate::front::clients::describe;
use crate::resp::number::parse_i64;
use crate::resp::quote::split_args;
use crate::server::Server;
use crate::server::{Call, Handler, row};

/// Rows of the command table.
pub(in crate::server) static ROWS: &[Row<Handler>] = &[
    row(Group::Server, "failover", -1, failover)
        .not_in_cluster(
            "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.",
        )
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
        .not_in_cluster("ERR REPLICAOF not allowed in cluster mode.")
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
        .not_in_cluster("ERR REPLICAOF not allowed in cluster mode.")
        .flags(CHANGING)
        .summary("Makes the server a replica of another, or a primary.")
        .syntax("<args: <host-port: host port> | <no-one: NO ONE>>")
        .deprecated("5.0.0", "`REPLICAOF`"),
    row(Group::Server, "sync", 1, sync)
        .flags(SYNCING)
        .complexity("")
        .summary("Gives a copy of the data, and the stream of commands behind it."),
];

/// Rows of WAIT and WAITAOF.
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
    /// REPLCONF ACK: a replica acknowledges an offset.
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
            self.service.replication.has_unsent = true;
        }
    }
}

/// REPLCONF GETACK: the primary asks for our offset.
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
