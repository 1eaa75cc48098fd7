//! What a server adds to the dispatch of commands: refusals, calls of commands on data, and what
//! follows from a command: effects, propagation, clients to tell.

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
    /// Answers the error of a command that was refused; one that fails EXEC ends the transaction.
    pub(super) fn refuse(
        &mut self,
        client: &mut Client,
        command: Option<&'static Command>,
        args: Args<'_>,
        error: &CommandError,
    ) {
        // Even where there is no transaction.
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
        // Eviction may have told of keys before the command was refused.
        if self.pubsub.has_queued_for_current() {
            self.deliver_queued_for_current(client);
        }
    }

    /// DEBUG is open to those clients that the configuration says.
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

    /// Calls a command, and does what follows from it.
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

    /// What follows from a command that has been called: what it has changed is propagated, its
    /// messages are delivered to other clients, and clients are served that were blocked on what it
    /// brought. `offset` is that of replication before the call.
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

    /// Executes a command of the past (replay): it is not propagated.
    pub(super) fn call_again(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) {
        // What it was refused for then, it is refused for now.
        let _ = self.run(now, client, command, args);
        self.unblock(client);
    }

    /// Calls a command on data.
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
            self.rest_expiry();
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

    /// Calls what carries out a command on data, and passes on what it has changed. Gives its
    /// result, and what the client has to wait for.
    // Twice in the program, since nearly every command comes this way.
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
                user.may_with_all_keys(&mut Request::new(command.known(), args), key::ACCESS)
            }
            (user, _) => user.is_none(),
        }
    }

    /// Stores the continuation of a long reply, and logs what the handler remarked.
    #[cold]
    fn store_continuation(
        &mut self,
        client: &mut Client,
        rest: Option<Rest>,
        remark: Option<String>,
    ) {
        if let Some(rest) = rest {
            client.goes_on(rest);
        }
        if let Some(remark) = remark {
            self.log(LogLevel::Verbose, || remark);
        }
    }

    /// Passes on what a command, or the passage of time, has changed.
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
            self.tell_listeners(now, client);
        }
    }

    /// Publishes keyspace events. `client` is the one that is being served.
    fn tell_listeners(&mut self, now: Now<'_>, mut client: Option<&mut Client>) {
        for Touched { db, key, expired_or_evicted } in self.service.effects.take_touched() {
            if self.service.waiting.serves_on_deletion() {
                self.note_if_gone(now, db, &key);
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

    /// Turns what happened to keys by themselves into effects. An expired key is deleted by name
    /// for those who follow us, and told of, before what the command itself did.
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
