//! WAIT and WAITAOF: clients that wait until replicas have what they wrote.

use super::primary::{Replica, State};
use crate::command::CommandError;
use crate::resp::reply::Reply;
use crate::server::Client;
use crate::server::Server;
use crate::time::Now;

/// What a client in WAIT or WAITAOF waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Acks {
    /// The offset that has to be reached.
    pub(super) offset: i64,
    /// By so many replicas.
    pub(super) replicas: i64,
    /// For WAITAOF: whether our own append-only file counts as well.
    pub(super) local: Option<bool>,
}

/// How far that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    replicas: i64,
    /// Whether our own append-only file has come so far.
    local: bool,
}

impl Server {
    /// How far what a client waits for has come.
    pub(super) fn reached(&self, acks: Acks) -> Reached {
        let of_file = acks.local.is_some();
        let far = |replica: &Replica| {
            let offset = if of_file { replica.fsynced } else { replica.acked };
            replica.state == State::Online && offset >= acks.offset
        };
        let replicas = self.all_replicas().filter(|(_, replica)| far(replica)).count();
        let local = self.fsynced_offset().is_some_and(|offset| offset >= acks.offset);
        Reached { replicas: replicas as i64, local }
    }

    /// Serves those who have waited long enough, because replicas have come far enough.
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

    /// Writes what a client in WAIT or WAITAOF gets at its end.
    pub(in crate::server) fn write_acks(&mut self, client: &mut Client, acks: Acks) {
        let reached = self.reached(acks);
        let (muted, proto) = (client.is_muted(), client.proto);
        let mut reply = Reply::new(client.out(), &mut self.scratch, proto).muted(muted);
        reached.write(acks, &mut reply);
    }

    /// A client does not wait for replicas any more.
    pub(in crate::server) fn acks_ended(&mut self, slot: u32) {
        self.service.replication.waiting.retain(|waiting| *waiting != slot);
    }

    /// Asks the replicas how far they are.
    pub(super) fn ask_replicas(&mut self) {
        self.service.replication.ask = true;
    }

    /// Looks again at who waits for offsets: the append-only file has come further.
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
