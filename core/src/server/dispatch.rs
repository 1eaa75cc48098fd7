//! The server's part of command dispatch: refusals, calling commands on data, and what follows a
//! command: effects, propagation, and clients to notify.

use core::mem;

use super::cluster::is_redirection;
use super::{Client, Command, Server};
use crate::acl::Request;
use crate::command::effects::Touched;
use crate::command::meta::{key, special};
use crate::command::{Caller, Class, CommandError, Ctx, Rest, Wait, effects};
use crate::front::Permission;
use crate::machine::LogLevel;
use crate::resp::reply::Reply;
use crate::resp::request::Args;
use crate::store::KeyEventKind;
use crate::time::Now;

impl Server {
    /// Replies with the error of a refused command; a refused EXEC ends the transaction.
    pub(super) fn refuse(
        &mut self,
        client: &mut Client,
        command: Option<&'static Command>,
        args: Args<'_>,
        error: &CommandError,
    ) {
        // Even if there is no transaction.
        let is_exec = command.is_some_and(|command| command.meta.is(special::EXEC));
        if is_exec && is_redirection(error) {
            self.end_transaction(client);
            self.answer_error(client, error);
        } else if is_exec {
            self.end_transaction(client);
            let error = error.to_string();
            let reason = error.strip_prefix("ERR ").unwrap_or(&error);
            let error = format!("EXECABORT Transaction discarded because of: {reason}");
            self.answer_error(client, &CommandError::composed(error));
        } else {
            if let Some(transaction) = &mut client.state.transaction {
                transaction.refuse();
            }
            let was_replica = client.is_replica();
            self.answer_error(client, error);
            if was_replica {
                let name = command.map_or("<unknown>", |command| command.name.as_str());
                self.replica_replied_to(client, name);
            }
        }
        if command.is_none() && client.state.from_primary {
            self.cannot_follow(client, args.at(0));
        }
        // Eviction may have queued messages before the command was refused.
        if self.pubsub.has_queued_for_current() {
            self.deliver_queued_for_current(client);
        }
    }

    /// Why a client may not use DEBUG (`enable-debug-command`), if it may not.
    pub(super) fn debug_forbidden(
        &self,
        client: &Client,
        command: &Command,
    ) -> Option<CommandError> {
        if !command.meta.is(special::DEBUG) {
            return None;
        }
        let allowed = match self.config.settings().enable_debug_command {
            Permission::Yes => true,
            Permission::Local => client.is_local(),
            Permission::No => false,
        };
        (!allowed).then_some(CommandError::text(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set this \
             option in the configuration file, and then restart the server.",
        ))
    }

    /// Calls a command, and handles its effects.
    pub(super) fn carry_out(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) {
        let began = self.stalled;
        let (offset, replied) = (self.service.replication.offset(), client.outbox.len());
        let was_replica = client.is_replica();
        self.call(now, client, command, args);
        if was_replica && client.outbox.len() != replied {
            self.replica_replied_to(client, &command.name);
        }
        self.follow_up(self.after_stall(began, now), client, command, offset);
    }

    /// Handles the effects of a command: propagates its changes, delivers its messages to other
    /// clients, and serves clients that were blocked on keys that it wrote. `offset` is the
    /// replication offset before the call.
    #[inline(always)]
    pub(super) fn follow_up(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        offset: i64,
    ) {
        self.propagate(command);
        if self.service.replication.offset() != offset {
            client.state.write_offset = self.service.replication.offset();
        }
        if self.pubsub.has_queued_for_current() && !self.is_halted() {
            self.deliver_queued_for_current(client);
        }
        if self.service.waiting.has_ready() && !self.is_halted() {
            self.serve_waiting(now);
        }
    }

    /// Executes a command again (AOF replay): it is not propagated.
    pub(super) fn call_again(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) {
        // A command that failed then fails now as well.
        let _ = self.run(now, client, command, args);
        self.unblock(client);
    }

    /// Calls the handler of a command on data.
    pub(super) fn call_data(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        handler: crate::command::Handler,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        self.prepare_env(now, client);
        let replica = self.service.replication.is_replica();
        if replica {
            self.expire_as(client, command);
        }
        let (result, wait) = self.call_handler(now, client, handler, args);
        if replica {
            self.update_expire_mode();
            self.note_own_keys(client, command, args);
        }
        if let Some(wait) = wait {
            self.block(now, client, command, args, wait);
        }
        result
    }

    /// Sets the keyspace's environment (time, access tracking) for the next commands of a client.
    #[inline]
    pub(super) fn prepare_env(&mut self, now: Now<'_>, client: &Client) {
        self.service.keyspace.env.now_ms = now.wall.as_millis();
        self.service.keyspace.env.touch = !client.no_touch;
        self.service.keyspace.env.report_misses =
            self.service.consumers.events & Class::KeyMiss as u16 != 0;
    }

    /// Calls the handler of a command on data, and passes on its effects. Returns the handler's
    /// result, and what the client has to wait for.
    // Inlined twice, since nearly every command comes this way.
    #[inline(always)]
    pub(super) fn call_handler(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        handler: crate::command::Handler,
        args: Args<'_>,
    ) -> (Result<(), CommandError>, Option<Wait>) {
        self.service.effects.begin(self.service.consumers);
        let (muted, proto, db) = (client.is_muted(), client.proto, client.state.db);
        let caller = Caller {
            client: client.id,
            no_touch: client.no_touch,
            from_primary: client.state.from_primary,
            reads_all_keys: client.unrestricted || self.reads_all_keys(client, args),
            deny_blocking: self.service.executing || client.state.from_primary,
            in_script: self.service.scripting.is_calling(),
        };
        let mut ctx = Ctx {
            now,
            keyspace: &mut self.service.keyspace,
            db,
            args,
            reply: Reply::new(client.out(), &mut self.scratch, proto).muted(muted),
            effects: &mut self.service.effects,
            rng: &mut self.rng,
            config: &self.config.settings().data,
            caller,
            wait: None,
            rest: None,
            remark: None,
        };
        let result = handler(&mut ctx);
        let Ctx { wait, rest, remark, .. } = ctx;
        if rest.is_some() || remark.is_some() {
            self.store_continuation(client, rest, remark);
        }
        self.service.effects.finish(db, args);
        self.after_effects(now, Some(client));
        (result, wait)
    }

    /// Whether a client's user may read every key with this command.
    #[cold]
    fn reads_all_keys(&self, client: &Client, args: Args<'_>) -> bool {
        match (&client.user, self.find_command(args)) {
            (Some(user), Ok(command)) => {
                user.may_with_all_keys(&mut Request::new(command.info(), args), key::ACCESS)
            }
            (user, _) => user.is_none(),
        }
    }

    /// Stores the continuation of a long reply, and logs the handler's remarks.
    #[cold]
    fn store_continuation(
        &mut self,
        client: &mut Client,
        rest: Option<Rest>,
        remark: Option<String>,
    ) {
        if let Some(rest) = rest {
            client.continue_with(rest);
        }
        if let Some(remark) = remark {
            self.log(LogLevel::Verbose, || remark);
        }
    }

    /// Handles the effects of a command or of a periodic task.
    #[inline]
    pub(super) fn after_effects(&mut self, now: Now<'_>, client: Option<&mut Client>) {
        self.service.dirty += self.service.effects.dirty;
        if self.service.effects.take_emptied() {
            self.flushed_all(now);
        }
        if !self.service.keyspace.env.key_events.is_empty() {
            self.report_key_events();
        }
        if self.service.consumers != effects::Consumers::default() {
            self.notify_key_changes(now, client);
        }
    }

    /// Notifies everything that depends on changed keys: blocked clients, tracking clients, WATCH,
    /// and subscribers to keyspace events. `client` is the one that is being served.
    fn notify_key_changes(&mut self, now: Now<'_>, mut client: Option<&mut Client>) {
        for Touched { db, key, expired_or_evicted } in self.service.effects.take_touched() {
            if self.service.waiting.serves_on_deletion() {
                self.note_deletion(now, db, &key);
            }
            if !self.tracking.is_idle() {
                self.invalidate(now, client.as_deref_mut(), &key, expired_or_evicted);
            }
            self.watched_key_touched(db, client.as_deref(), key);
        }
        if self.service.effects.take_cleared() && !self.tracking.is_idle() {
            self.invalidate_all(now, client.as_deref_mut());
        }
        for db in self.service.effects.take_flushed() {
            self.watched_db_replaced(client.as_deref_mut(), db);
            self.service.waiting.note_replaced(db);
        }
        for place in self.service.effects.take_ready() {
            self.service.waiting.note_ready(place);
        }
        let events = self.service.effects.take_events();
        if !events.is_empty() {
            self.publish_events(now, client, events);
        }
    }

    /// Turns expired keys and key misses into effects. The deletion of an expired key, and its
    /// event, come before the effects of the command that found it.
    #[cold]
    fn report_key_events(&mut self) {
        let (own, own_events) =
            (self.service.effects.take_commands(), self.service.effects.take_events());
        let lazy = self.config.settings().data.lazyfree_lazy_expire;
        let delete: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
        for event in mem::take(&mut self.service.keyspace.env.key_events) {
            match event.kind {
                KeyEventKind::Expired => {
                    self.service.effects.also_propagate(event.db, [delete, &event.key]);
                    self.service.effects.expired_or_evicted(event.db, &event.key);
                    self.service.effects.event(event.db, Class::Expired, "expired", &event.key);
                }
                KeyEventKind::Missed => {
                    self.service.effects.event(event.db, Class::KeyMiss, "keymiss", &event.key);
                }
            }
        }
        self.service.effects.append(own);
        self.service.effects.append_events(own_events);
    }
}
