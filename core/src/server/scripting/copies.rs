//! SCRIPT DEBUG YES: debugging scripts on a copy of the data. Other clients are served meanwhile,
//! and the script's changes are dropped with the session.
//!
//! Redis forks for that. Here the copy is a server of its own with the data, users and functions,
//! and one client; it is never started, so it has no listeners, files or replicas. The real server
//! forwards that client's requests, and copies the replies into its outbox. Copying blocks all
//! clients, so large data sets are refused.

use super::super::client::Debugging;
use super::super::{Client, CloseState, Config, Facts, Server};
use crate::command::CommandError;
use crate::front::Flush;
use crate::machine::{Input, Machine, Outbox, Output};
use crate::resp::request::Args;
use crate::resp::value::encode_command;
use crate::sorted::SortedMap;
use crate::time::{Mono, Now};

/// Used memory in bytes above which no copy is made.
const MAX_MEMORY: u64 = 256 << 20;

/// The copies, by the slot of the client that is_debugging on each.
pub(super) type Copies = SortedMap<u32, Box<Server>>;

impl Server {
    /// Starts to debug the script of this command on a copy.
    pub(super) fn debug_on_copy(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        if self.is_clustered() {
            return Err(CommandError::text(
                "ERR A node of a cluster is_debugging scripts on its live data set only. Use SCRIPT DEBUG \
                 SYNC, or redis-cli with --ldb-sync-mode",
            ));
        }
        if self.memory(None).used > MAX_MEMORY {
            return Err(CommandError::composed(format!(
                "ERR More than {} MB are in use, which is too much to be copied. Use SCRIPT DEBUG SYNC, or \
                 redis-cli with --ldb-sync-mode",
                MAX_MEMORY >> 20
            )));
        }
        let copy = self.copy_for(client);
        self.service.scripting.copies.insert(client.slot, Box::new(copy));
        self.ask_copy(now, client, args);
        Ok(())
    }

    /// A copy of this server with one client, which is_debugging scripts.
    fn copy_for(&self, client: &Client) -> Server {
        let mut copy = Server::new(Config::clone(&self.config), Facts::clone(&self.facts));
        copy.now = self.now;
        copy.acl = self.acl.clone();
        copy.service.keyspace = self.service.keyspace.clone();
        copy.service.scripting.libraries = self.service.scripting.libraries.clone();
        copy.service.scripting.is_copy = true;
        copy.service.persistence.ready = true;
        // Periodic tasks are left to the real server.
        copy.service.cron_paused = true;
        let mut client = client.clone();
        client.outbox = Outbox::default();
        client.sending = Flush::No;
        client.subscriptions = None;
        client.tracking = None;
        client.monitor = false;
        client.counted_memory = 0;
        client.requests = Default::default();
        client.state.watching.clear();
        client.state.gated.clear();
        client.state.debugging = Debugging::Live;
        copy.clients.add(Box::new(client));
        copy
    }

    /// Whether a client is debugging on a copy.
    pub(super) fn has_copy(&self, client: &Client) -> bool {
        super::HAS_INTERPRETER && self.service.scripting.copies.contains_key(&client.slot)
    }

    /// Whether there are any copies.
    pub(in crate::server) fn has_copies(&self) -> bool {
        super::HAS_INTERPRETER && !self.service.scripting.copies.is_empty()
    }

    /// Drops the copy of a client that is being closed.
    pub(in crate::server) fn drop_copy(&mut self, client: &Client) {
        if super::HAS_INTERPRETER {
            self.service.scripting.copies.remove(&client.slot);
        }
    }

    /// Forwards a request to the client's copy.
    pub(super) fn ask_copy(&mut self, now: Now<'_>, client: &mut Client, args: Args<'_>) {
        let Some(mut copy) = self.service.scripting.copies.remove(&client.slot) else { return };
        let mut bytes = Vec::new();
        encode_command(&args.iter().collect::<Vec<_>>(), &mut bytes);
        copy.handle(now, Input::Received { conn: client.conn, bytes: &bytes });
        self.take_from_copy(client, copy);
    }

    /// Writes the replies of the copy into its client's outbox, and keeps the copy unless the
    /// session has ended.
    fn take_from_copy(&mut self, client: &mut Client, mut copy: Box<Server>) {
        while let Some(output) = copy.poll_output() {
            if let Output::Log(_) = output {
                self.outputs.push_back(output);
            }
        }
        if let Some(outbox) = copy.outbox(client.conn) {
            for bytes in outbox.slices() {
                client.out().write(bytes);
            }
            outbox.consume(usize::MAX);
        }
        client.waiting = copy.script_wake().is_some();
        if copy.script_is_paused() {
            self.service.scripting.copies.insert(client.slot, copy);
        } else if copy
            .clients
            .by_id(client.id)
            .and_then(|slot| copy.clients.get(slot))
            .is_none_or(|debugging| debugging.close_state != CloseState::Open)
        {
            client.close_state = CloseState::AfterReply;
        }
    }

    /// When the next script on a copy continues.
    pub(in crate::server) fn copies_wake(&self) -> Option<Mono> {
        self.service.scripting.copies.values().filter_map(|copy| copy.script_wake()).min()
    }

    /// Continues the scripts on copies that are due.
    pub(in crate::server) fn copies_cron(&mut self, now: Now<'_>) {
        let copies = self.service.scripting.copies.iter();
        let is_due = |copy: &Server| copy.script_wake().is_some_and(|wake| wake <= now.mono);
        let due: Vec<u32> =
            copies.filter(|(_, copy)| is_due(copy)).map(|(slot, _)| *slot).collect();
        for slot in due {
            let Some(mut copy) = self.service.scripting.copies.remove(&slot) else { continue };
            let Some(mut client) = self.clients.take(slot) else { continue };
            copy.handle(now, Input::Wake);
            self.take_from_copy(&mut client, copy);
            if client.close_state == CloseState::AfterReply {
                self.flush(now, &mut client);
            } else if !client.waiting {
                self.serve_and_leave(now, &mut client);
            }
            self.clients.put(client);
        }
    }
}
