//! WAIT and WAITAOF: waiting until replicas have acknowledged writes.

use super::primary::{Replica, State};
use crate::command::CommandError;
use crate::resp::number::parse_i64;
use crate::resp::reply::Reply;
use crate::server::{Call, Client, Server};
use crate::time::{Duration, Now};

/// What a client in WAIT or WAITAOF waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Acks {
    /// The offset that has to be acknowledged.
    pub(super) offset: i64,
    /// The number of replicas.
    pub(super) replicas: i64,
    /// For WAITAOF: whether this server has to fsync, too.
    pub(super) local: Option<bool>,
}

/// What has been reached of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    replicas: i64,
    /// Whether this server's append-only file is fsynced up to the offset.
    local: bool,
}

impl Server {
    /// How much has been reached of what a client waits for.
    pub(super) fn reached(&self, acks: Acks) -> Reached {
        let of_file = acks.local.is_some();
        let far = |replica: &Replica| {
            let offset = if of_file { replica.fsynced } else { replica.acked };
            replica.state == State::Online && offset >= acks.offset
        };
        // A replica that has reconnected counts once, even if its previous connection is not closed
        // here yet: that one says nothing about what the replica has now.
        let far: Vec<&Client> = self
            .all_replicas()
            .filter(|(_, replica)| far(replica))
            .map(|(client, _)| client)
            .collect();
        let is_new = |(at, client): &(usize, &&Client)| {
            !far.iter().take(*at).any(|other| other.is_same_replica(client))
        };
        let replicas = far.iter().enumerate().filter(is_new).count();
        let local = self.fsynced_offset().is_some_and(|offset| offset >= acks.offset);
        Reached { replicas: replicas as i64, local }
    }

    /// Answers the WAITs that enough replicas have acknowledged.
    pub(super) fn serve_acks(&mut self, now: Now<'_>) {
        for slot in self.service.replication.waiting.clone() {
            let Some(mut client) = self.clients.take(slot) else { continue };
            if let Some(acks) = client.state.blocked.as_deref().and_then(|blocked| blocked.acks()) {
                if acks.local == Some(true) && !self.config.settings().appendonly {
                    self.give_up(now, &mut client, Some(NO_FILE));
                } else if self.reached(acks).is_enough(acks) {
                    self.give_up(now, &mut client, None);
                }
            }
            self.clients.put(client);
        }
    }

    /// Writes the reply of WAIT or WAITAOF.
    pub(in crate::server) fn write_acks(&mut self, client: &mut Client, acks: Acks) {
        let reached = self.reached(acks);
        let (muted, proto) = (client.is_muted(), client.proto);
        let mut reply = Reply::new(client.out(), &mut self.scratch, proto).muted(muted);
        reached.write(acks, &mut reply);
    }

    /// A client no longer waits for replicas.
    pub(in crate::server) fn acks_ended(&mut self, slot: u32) {
        self.service.replication.waiting.retain(|waiting| *waiting != slot);
    }

    /// Asks the replicas for their offsets.
    pub(super) fn ask_replicas(&mut self) {
        self.service.replication.ask = true;
    }

    /// Asks the replicas for their offsets, and checks the WAITs again.
    pub(in crate::server) fn await_replicas(&mut self) {
        self.ask_replicas();
        self.service.replication.acked = true;
    }

    /// Checks the WAITAOFs again: the append-only file has been synced further.
    pub(in crate::server) fn offsets_changed(&mut self) {
        self.service.replication.acked |= !self.service.replication.waiting.is_empty();
    }
}

impl Reached {
    pub(super) fn is_enough(self, acks: Acks) -> bool {
        self.replicas >= acks.replicas && (self.local || acks.local != Some(true))
    }

    pub(super) fn write(self, acks: Acks, reply: &mut Reply<'_>) {
        if acks.local.is_some() {
            reply.array(2);
            reply.integer(i64::from(self.local));
        }
        reply.integer(self.replicas);
    }
}

const NO_FILE: &str = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

/// The error of WAITAOF without an append-only file.
pub(super) fn no_file() -> CommandError {
    CommandError::text(NO_FILE)
}

pub(super) fn wait(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
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

pub(super) fn waitaof(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
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

/// Parses a timeout; `None` is for ever.
fn patience(text: &[u8]) -> Result<Option<Duration>, CommandError> {
    let millis = parse_i64(text)
        .ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    let millis =
        u64::try_from(millis).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    // Above this Redis's clock overflows.
    if millis > i64::MAX as u64 / 2 {
        return Err(CommandError::text("ERR timeout is out of range"));
    }
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}
