//! PSYNC and SYNC: a replica asks to resume the stream, or for a full sync.

use super::NO_ID;
use super::primary::State;
use crate::command::CommandError;
use crate::front::clients::describe;
use crate::machine::LogLevel;
use crate::resp::number::parse_i64;
use crate::server::{Call, Server};

pub(super) fn psync(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    synchronize(server, call, Some((call.arg(1), call.arg(2))))
}

pub(super) fn sync(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
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
    server.request_full_sync(call.now, call.client);
    Ok(())
}

/// PSYNC with FAILOVER: the primary hands its role to this server.
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
    /// Lets a replica resume the stream at an offset (partial resynchronization), if possible.
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
        self.add_replica(call.now.mono, call.client, State::Online);
        call.client.as_replica(call.now.mono).next = offset;
        self.service.replication.has_unsent = true;
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
