//! Redirecting commands, and clients that wait for keys in slots that leave.

use crate::cluster::Cluster;
use crate::cluster::state::{Presence, Request, Route};
use crate::command::find_keys;
use crate::command::meta::{Begin, Find, flag, special};
use crate::command::{CommandError, KeySpec};
use crate::front::ChannelKind;
use crate::resp::request::Args;
use crate::server::{Client, Command, ReplyMode, Server};
use crate::sharding::Slot;
use crate::time::Now;

/// The error that redirects or refuses a client.
pub(super) fn redirection(route: Route) -> Option<CommandError> {
    let error = match route {
        Route::Here => return None,
        Route::Refused(text) => return Some(CommandError::text(text)),
        Route::Moved { slot, host, port } => format!("MOVED {slot} {host}:{port}"),
        Route::Ask { slot, host, port } => format!("ASK {slot} {host}:{port}"),
    };
    Some(CommandError::composed(error))
}

/// Whether an error redirects a client, or says that the cluster cannot serve it now.
pub(in crate::server) fn is_redirection(error: &CommandError) -> bool {
    let code = error.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
    matches!(code, b"MOVED" | b"ASK" | b"TRYAGAIN" | b"CROSSSLOT" | b"CLUSTERDOWN")
}

/// The keys of a command, or of all commands that EXEC would execute.
pub(super) fn keys_of_request<'k>(
    client: &'k Client,
    command: &Command,
    args: Args<'k>,
) -> Vec<&'k [u8]> {
    let mut keys = Vec::new();
    let mut add = |command: &Command, args: Args<'k>| {
        let places = find_keys::keys(command.meta, args).unwrap_or_default();
        keys.extend(places.into_iter().map(|(at, _)| args.at(at)));
    };
    match &client.state.transaction {
        Some(transaction) if command.meta.is(special::EXEC) => {
            transaction.commands().for_each(|(command, args)| add(command, args));
        }
        None if command.meta.is(special::EXEC) => {}
        _ => add(command, args),
    }
    keys
}

impl Server {
    /// Whether the keys of a command on data are certainly served here, so that the fast path may
    /// execute it. Uncertain cases are left to the dispatch.
    #[inline]
    pub(in crate::server) fn serves_keys(&self, command: &Command, args: Args<'_>) -> bool {
        let Some(node) = &self.service.cluster else { return true };
        match command.meta.keys {
            [] => true,
            [KeySpec { begin: Begin::Index(at), find: Find::Range { last: 0, .. }, .. }]
                if command.meta.flags & flag::MOVABLEKEYS == 0 =>
            {
                let slot = Slot::of(args.at(usize::try_from(*at).unwrap_or(1)));
                node.state().is_some_and(|state| state.serves(slot))
            }
            _ => false,
        }
    }

    /// Why a command is not executed here, as the error that tells the client where to go.
    pub(in crate::server) fn cluster_refusal(
        &mut self,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) -> Option<CommandError> {
        let asking = core::mem::take(&mut client.state.asking);
        if client.state.from_primary {
            return None;
        }
        if client.state.imports {
            // On this connection only SYNCSLOTS is answered.
            client.replies = ReplyMode::Off;
            return self.import_refusal(client, command, args);
        }
        let exec = command.meta.is(special::EXEC);
        if !exec && command.meta.keys.is_empty() && !command.meta.is(special::MIGRATE) {
            return None;
        }
        let keys = keys_of_request(client, command, args);
        if keys.is_empty() {
            return None;
        }
        let slot = match Cluster::slot_of(keys.iter().copied()) {
            Ok(slot) => slot?,
            Err(several) => {
                return redirection(self.cluster_state()?.refusal_of(keys[0], several));
            }
        };
        let queued = match &client.state.transaction {
            Some(transaction) if exec => transaction.flags(),
            _ => 0,
        };
        if self.cluster_state()?.serves(slot) {
            return None;
        }
        let request = Request {
            // A script that declares writes in its shebang line is redirected like any write.
            writes: (self.flags_of_call(command, args) | queued) & flag::WRITE != 0,
            readonly: client.state.readonly,
            asking: asking || command.meta.has(flag::ASKING),
            shard_channels: command.meta.is(special::SHARD_CHANNELS),
            migrates: command.meta.is(special::MIGRATE),
        };
        let state = self.cluster_state()?;
        let presence = || {
            // An expired key counts as missing, even if it has not been deleted yet.
            let now = self.now.1.as_millis();
            let lives = |key: &&&[u8]| {
                let entry = self.service.keyspace.peek(0, key);
                entry.is_some_and(|entry| entry.expire().is_none_or(|at| now <= at))
            };
            let here = keys.iter().filter(lives).count();
            let several = keys.iter().any(|key| *key != keys[0]);
            Presence { here, missing: keys.len() - here, several }
        };
        redirection(state.route(slot, request, presence))
    }

    /// The slot of a command's keys, if it has any and they are in the same slot.
    pub(in crate::server) fn slot_of_request(
        &self,
        client: &Client,
        command: &'static Command,
        args: Args<'_>,
    ) -> Option<Slot> {
        let keys = keys_of_request(client, command, args);
        Cluster::slot_of(keys.into_iter()).ok().flatten()
    }

    /// Whether a command has to wait because its slot is about to change hands.
    pub(in crate::server) fn waits_for_slot(
        &self,
        client: &Client,
        command: &Command,
        args: Args<'_>,
    ) -> bool {
        let Some(closed) = self.cluster_state().and_then(Cluster::closed_slots) else {
            return false;
        };
        let keys = keys_of_request(client, command, args);
        keys.iter().any(|key| closed.contains(Slot::of(key)))
    }

    /// Redirects clients blocked on keys whose slots are now served elsewhere.
    pub(super) fn reroute_waiting(&mut self, now: Now<'_>) {
        for slot in self.clients.slots() {
            let Some(mut client) = self.clients.take(slot) else { continue };
            if let Some(error) = self.reason_to_go(&client) {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                self.give_up(now, &mut client, Some(&text));
            }
            self.clients.put(client);
        }
    }

    fn reason_to_go(&self, client: &Client) -> Option<CommandError> {
        let blocked = client.state.blocked.as_deref()?;
        let key = blocked.first_key()?;
        let readonly = client.state.readonly && !blocked.writes();
        redirection(self.cluster_state()?.error_for_blocked_client(Slot::of(key), readonly)?)
    }

    /// Ends subscriptions to shard channels that are now served elsewhere.
    pub(super) fn reroute_shard_channels(&mut self, now: Now<'_>) {
        let Some(state) = self.cluster_state() else { return };
        let names = self.pubsub.shard_names();
        let gone: Vec<Box<[u8]>> =
            names.filter(|name| !state.serves_channel(Slot::of(name))).map(Box::from).collect();
        for name in gone {
            self.end_subscriptions(now, ChannelKind::Shard, &name);
        }
    }
}
