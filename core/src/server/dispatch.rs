//! From bytes to replies: lookup, checks, the call, and what follows from it.

use core::mem;

use super::clients::{Client, ReplyMode, Standing};
use super::net::{MAX_LONG_UNSENT, MAX_UNSENT};
use super::table::{Command, Run};
use super::{Server, transactions};
use crate::command::effects;
use crate::command::error::up_to_nul;
use crate::command::meta::flag;
use crate::command::{Caller, Class, CommandError, Ctx, Group, Rest, Row, Wait};
use crate::machine::LogLevel;
use crate::resp::reply::{Reply, Scratch};
use crate::resp::request::{Args, Limits, ProtocolError};
use crate::store::KeyEventKind;
use crate::time::{Mono, Now, Wall};

/// A command that administers something. It either writes one reply and returns `Ok`, or writes
/// nothing, changes nothing and returns the error.
pub type Handler = fn(&mut Server, &mut Call<'_>) -> Result<(), CommandError>;

/// A row of the table for a command that administers something.
pub const fn row(group: Group, name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(group, name, arity, handler)
}

/// What a container of subcommands does by itself: its arity does not let it be called alone.
pub fn container(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    Err(CommandError::arity(&call.command.name))
}

/// One call of a command that administers something.
pub struct Call<'a> {
    /// When.
    pub now: Now<'a>,
    /// Who calls. It is taken out of the server's clients meanwhile.
    pub client: &'a mut Client,
    /// The command's name and its arguments; their number agrees with the arity.
    pub args: Args<'a>,
    /// The command.
    pub command: &'static Command,
    scratch: &'a mut Scratch,
}

impl<'a> Call<'a> {
    /// The writer of the reply. A deferred aggregate must be ended before it is asked for again.
    pub fn reply(&mut self) -> Reply<'_> {
        let (muted, proto) = (self.client.is_muted(), self.client.proto);
        Reply::new(self.client.out(), self.scratch, proto).muted(muted)
    }

    /// The writer of a push, which CLIENT REPLY does not hold back.
    pub fn push(&mut self) -> Reply<'_> {
        let proto = self.client.proto;
        Reply::new(self.client.out(), self.scratch, proto)
    }

    /// The argument at `index`; 0 is the command's name.
    pub fn arg(&self, index: usize) -> &'a [u8] {
        self.args.at(index)
    }

    /// Replies `+OK`.
    pub fn ok(&mut self) -> Result<(), CommandError> {
        self.reply().ok();
        Ok(())
    }
}

/// How many commands of one client are carried out before others get their turn.
const BATCH: u32 = 1024;

impl Server {
    /// Carries out what a client asks in `bytes` and in what was kept of its earlier input.
    pub(super) fn serve(&mut self, now: Now<'_>, client: &mut Client, mut bytes: &[u8]) {
        // Who is on its way out still gets the rest of a long reply.
        if client.standing != Standing::Open && client.long.is_none() {
            return;
        }
        if client.from_primary {
            return self.serve_primary(now, client, bytes);
        }
        let before = client.outbox.len();
        if client.long.is_some() && before <= MAX_LONG_UNSENT {
            client.go_on(&mut self.keyspace, &mut self.scratch, &mut self.rng);
        }
        let mut left = BATCH;
        if client.requests.is_idle() && !bytes.is_empty() && self.can_skip_checks(client) {
            self.serve_plainly(now, client, &mut bytes, &mut left);
        }
        if !(bytes.is_empty() && client.requests.is_idle()) {
            self.serve_closely(now, client, bytes, &mut left);
        }
        let more = match client.long {
            Some(_) => client.outbox.len() <= MAX_LONG_UNSENT,
            None => left == 0 && client.requests.waiting() > 0,
        };
        if more && !client.pending {
            client.pending = true;
            self.pending.push_back(client.slot);
        }
        self.stats.net_output += client.outbox.len().saturating_sub(before) as u64;
        self.check_query_buffer(client);
        self.flush(now, client);
        self.press_back(client);
    }

    /// Carries out requests of any kind, from a client in any state.
    fn serve_closely(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        mut bytes: &[u8],
        left: &mut u32,
    ) {
        let mut requests = mem::take(&mut client.requests);
        let mut announced = 0;
        while client.standing == Standing::Open
            && !client.is_held()
            && !self.holds_all()
            && client.outbox.len() <= MAX_UNSENT
            && *left > 0
        {
            let limits = Limits {
                bulk: self.config.settings().data.proto_max_bulk_len,
                unauthenticated: !client.authenticated,
            };
            if announced == 0 {
                announced = self.announce(client, bytes);
            }
            announced -= 1;
            match requests.next(&mut bytes, limits) {
                Ok(Some(args)) if self.stalled == 0 => self.execute(now, client, args),
                Ok(Some(args)) => self.execute(self.after_stall(0, now), client, args),
                Ok(None) => break,
                Err(error) => {
                    self.protocol_error(client, error);
                    break;
                }
            }
            *left -= 1;
        }
        if client.standing == Standing::Open {
            requests.keep(bytes);
        } else {
            requests.clear();
        }
        client.requests = requests;
    }

    pub(super) fn protocol_error(&mut self, client: &mut Client, error: ProtocolError) {
        self.log(LogLevel::Verbose, || {
            format!("{error} from client: {}", super::clients::commands::describe(client, None))
        });
        let proto = client.proto;
        let mut reply = Reply::new(client.out(), &mut self.scratch, proto);
        match error {
            ProtocolError::ExpectedDollar(got) => {
                let before = "ERR Protocol error: expected '$', got '";
                reply.error(CommandError::quoting(before, &[got], "'").as_bytes());
            }
            _ => reply.error(format!("ERR {error}")),
        }
        self.stats.error("ERR");
        client.standing = Standing::Closing;
    }

    /// Hangs up on a browser that somebody's page has sent here, before it gets to its commands.
    fn turn_away(&mut self, client: &mut Client) {
        self.log(LogLevel::Warning, || {
            format!(
                "Possible SECURITY ATTACK detected: somebody sends POST or Host: as HTTP does, \
                 which a page can make a browser do. Closed: {}",
                super::clients::commands::describe(client, None)
            )
        });
        client.outbox.clear();
        client.standing = Standing::Closing;
    }

    /// Carries out one command, unless something stands against it.
    pub(super) fn execute(&mut self, now: Now<'_>, client: &mut Client, args: Args<'_>) {
        if self.can_skip_checks(client)
            && let Some(command) = self.plain_command(args)
        {
            return self.carry_out_plainly(now, client, command, args);
        }
        if client.replies == ReplyMode::SkipNext {
            client.replies = ReplyMode::Skip;
        }
        let command = match self.find_command(args) {
            Ok(command) => command,
            Err(_) if is_http(args.at(0)) => return self.turn_away(client),
            Err(error) => {
                self.refuse(client, None, &error);
                if client.from_primary {
                    self.cannot_follow(client, args.at(0));
                }
                return;
            }
        };
        if let Err(error) = self.check(client, command, args) {
            return self.refuse(client, Some(command), &error);
        }
        if self.config.settings().maxmemory > 0
            && let Err(error) = self.check_memory(now, client, command)
        {
            self.refuse(client, Some(command), &error);
            return self.deliver_queued_for_current(client);
        }
        let (queued, lacked) = match &client.transaction {
            Some(transaction) if command.name == "exec" => {
                (transaction.flags(), transaction.lacked())
            }
            _ => (0, 0),
        };
        let writes = (command.meta.flags | queued) & flag::WRITE != 0;
        if let Some(error) = self.write_refusal()
            && (writes || command.name == "ping")
            && !client.from_primary
        {
            return self.refuse(client, Some(command), &error);
        }
        if let Some(error) = self.check_role(now.mono, client, command, (queued, lacked)) {
            return self.refuse(client, Some(command), &error);
        }
        if let Some(error) = self.loading_refusal(command.meta.flags, queued, lacked) {
            return self.refuse(client, Some(command), &error);
        }
        if self.pause.holds(now.mono, command, queued) && !client.is_replica() {
            client.held = Some(args.into());
            client.paused = true;
            return;
        }
        match &mut client.transaction {
            Some(transaction) if !transactions::is_immediate(command) => {
                transaction.queue(command, args);
                let (muted, proto) = (client.is_muted(), client.proto);
                let reply = Reply::new(client.out(), &mut self.scratch, proto);
                reply.muted(muted).simple("QUEUED");
            }
            _ => self.carry_out(now, client, command, args),
        }
        if client.replies == ReplyMode::Skip {
            client.replies = ReplyMode::On;
        }
    }

    /// Calls a command, with all that follows from it.
    fn carry_out(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) {
        let began = self.stalled;
        let before = (self.replication.offset(), client.outbox.len());
        let was_replica = client.is_replica();
        self.call(now, client, command, args);
        self.propagate(command);
        if self.replication.offset() != before.0 {
            client.write_offset = self.replication.offset();
        }
        if was_replica && client.outbox.len() != before.1 {
            self.replica_replied_to(client, &command.name);
        }
        self.tell_others(self.after_stall(began, now), client);
    }

    /// Hands out what a command had to tell other clients, and serves those who waited for what it
    /// brought.
    #[inline]
    pub(super) fn tell_others(&mut self, now: Now<'_>, client: &mut Client) {
        if self.pubsub.has_queued_for_current() && !self.is_migrating() {
            self.deliver_queued_for_current(client);
        }
        if self.waiting.has_ready() && !self.is_migrating() {
            self.serve_waiting(now);
        }
    }

    pub(super) fn find_command(&self, args: Args<'_>) -> Result<&'static Command, CommandError> {
        let command = self.names.find(args.at(0)).ok_or_else(|| unknown_command(args))?;
        let command = match args.get(1) {
            Some(sub) if !command.subcommands.is_empty() => command
                .subcommand(sub)
                .ok_or_else(|| CommandError::subcommand(&command.name.to_ascii_uppercase(), sub))?,
            _ => command,
        };
        Ok(command)
    }

    /// What may stand against a command before it is called.
    fn check(
        &self,
        client: &Client,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        if !command.meta.takes(args.len()) {
            return Err(CommandError::arity(&command.name));
        }
        if client.only_listens() && !is_for_listeners(command) {
            return Err(CommandError::composed(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context",
                command.name
            )));
        }
        if client.transaction.is_some() && command.meta.has(flag::NO_MULTI) {
            return Err(CommandError::text("ERR Command not allowed inside a transaction"));
        }
        if let Some(error) = self.forbidden(client, command) {
            return Err(error);
        }
        if !client.authenticated && !command.meta.has(flag::NO_AUTH) {
            return Err(CommandError::text("NOAUTH Authentication required."));
        }
        Ok(())
    }

    /// DEBUG and MODULE are open to whom the configuration says.
    fn forbidden(&self, client: &Client, command: &Command) -> Option<CommandError> {
        use super::config::Permission;
        let settings = self.config.settings();
        let (permission, text) = match command.meta.name {
            "debug" if command.parent.is_none() => (
                settings.enable_debug_command,
                "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
                 \"local\", you can run it from a local connection, otherwise you need to set \
                 this option in the configuration file, and then restart the server.",
            ),
            _ => return None,
        };
        let allowed = match permission {
            Permission::Yes => true,
            Permission::Local => client.is_local(),
            Permission::No => false,
        };
        (!allowed).then_some(CommandError::text(text))
    }

    fn refuse(
        &mut self,
        client: &mut Client,
        command: Option<&'static Command>,
        error: &CommandError,
    ) {
        if let Some(command) = command {
            self.stats.command(command.id).rejected += 1;
        }
        // Even where there is none.
        if command.is_some_and(|command| command.name == "exec") {
            self.end_transaction(client);
            let error = error.to_string();
            let reason = error.strip_prefix("ERR ").unwrap_or(&error);
            let error = format!("EXECABORT Transaction discarded because of: {reason}");
            return self.answer_error(client, &CommandError::composed(error));
        }
        if let Some(transaction) = &mut client.transaction {
            transaction.refuse();
        }
        let was_replica = client.is_replica();
        self.answer_error(client, error);
        if was_replica {
            let name = command.map_or("<unknown>", |command| command.name.as_str());
            self.replica_replied_to(client, name);
        }
    }

    pub(super) fn answer_error(&mut self, client: &mut Client, error: &CommandError) {
        let (muted, proto) = (client.is_muted(), client.proto);
        let mut reply = Reply::new(client.out(), &mut self.scratch, proto).muted(muted);
        let text = error.as_bytes();
        reply.error(text);
        let code = text.split(|c| *c == b' ').next().unwrap_or_default();
        self.stats.error(std::str::from_utf8(code).unwrap_or("ERR"));
        if client.from_primary || client.is_replica() {
            self.error_between_servers(client, text);
        }
        if client.replies == ReplyMode::Skip {
            client.replies = ReplyMode::On;
        }
    }

    /// Answers a client that waited for something, and goes on with what it asked meanwhile.
    pub(super) fn answer(&mut self, now: Now<'_>, id: u64, result: Result<(), CommandError>) {
        self.answer_status(now, id, result.map(|()| "OK"));
    }

    /// As [`Server::answer`], with a line of its own.
    pub(super) fn answer_status(
        &mut self,
        now: Now<'_>,
        id: u64,
        result: Result<&str, CommandError>,
    ) {
        let Some(mut client) = self.clients.by_id(id).and_then(|slot| self.clients.take(slot))
        else {
            return;
        };
        client.waiting = false;
        let (muted, proto) = (client.is_muted(), client.proto);
        match result {
            Ok(status) => {
                Reply::new(client.out(), &mut self.scratch, proto).muted(muted).simple(status);
            }
            Err(error) => self.answer_error(&mut client, &error),
        }
        self.serve_and_leave(now, &mut client);
        self.clients.put(client);
    }

    /// Calls a command that nothing stands against.
    pub(super) fn call(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) {
        client.last_command = Some(command.id);
        client.argv_bytes = args.bytes();
        // MONITOR already showed this command when it blocked.
        let again = client.resumed.is_some();
        let (began, stalled) = (self.elapsed, self.stalled);
        let result = self.run(now, client, command, args);
        if client.blocked.is_none() {
            client.argv_bytes = 0;
        }
        if let Err(error) = &result {
            self.answer_error(client, error);
        }
        self.elapsed = now.nanos();
        if !self.monitors.is_empty() && !again {
            self.show_to_monitors(now, client, command, args);
        }
        if client.blocked.is_some() || self.is_migrating() {
            // It counts when it has got what it waits for.
            return;
        }
        let took =
            self.elapsed.saturating_sub(began).saturating_add(self.stalled.saturating_sub(stalled));
        let tracked = self.config.settings().latency_tracking;
        self.stats.called(command.id, took, result.is_err(), tracked);
        self.log_if_slow(now, client, command, args, took);
    }

    /// Carries out a command of the past, of which nobody is told.
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

    /// Hands a command to what carries it out.
    fn run(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        match command.run {
            Run::Data(handler) => self.call_data(now, client, command, handler, args),
            Run::Server(handler) => {
                let mut scratch = mem::take(&mut self.scratch);
                let result =
                    handler(self, &mut Call { now, client, args, command, scratch: &mut scratch });
                self.scratch = scratch;
                result
            }
        }
    }

    fn call_data(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        handler: crate::command::Handler,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        self.prepare_env(now, client);
        let replica = self.replication.is_replica();
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
        self.keyspace.env.now_ms = now.wall.as_millis();
        self.keyspace.env.touch = !client.no_touch;
        self.keyspace.env.report_misses = self.listeners.events & Class::KeyMiss as u16 != 0;
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
        self.effects.begin(self.listeners);
        let (muted, proto, db) = (client.is_muted(), client.proto, client.db);
        let caller = Caller {
            client: client.id,
            no_touch: client.no_touch,
            from_primary: client.from_primary,
            deny_blocking: self.executing || client.from_primary,
        };
        let mut ctx = Ctx {
            now,
            keyspace: &mut self.keyspace,
            db,
            args,
            reply: Reply::new(client.out(), &mut self.scratch, proto).muted(muted),
            effects: &mut self.effects,
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
        self.effects.finish(db, args);
        self.after_effects(now, Some(client));
        (result, wait)
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

    /// The moment behind what the server stood still for, if it was told to, since `began`.
    #[inline]
    pub(super) fn after_stall<'n>(&self, began: u64, now: Now<'n>) -> Now<'n> {
        let stalled = self.stalled.saturating_sub(began);
        let mut later = now;
        later.mono = Mono(now.mono.0.saturating_add(stalled));
        later.wall = Wall(now.wall.0.saturating_add(stalled / 1_000));
        later
    }

    /// Passes on what a command, or the passage of time, has changed.
    #[inline]
    pub(super) fn after_effects(&mut self, now: Now<'_>, client: Option<&mut Client>) {
        self.dirty += self.effects.dirty;
        if self.effects.take_emptied() {
            self.flushed_all(now);
        }
        if !self.keyspace.env.key_events.is_empty() {
            self.report_key_events();
        }
        if self.listeners != effects::Listeners::default() {
            self.tell_listeners(now, client);
        }
    }

    /// Passes on what happened to those who listen. `client` is the one at work.
    fn tell_listeners(&mut self, now: Now<'_>, mut client: Option<&mut Client>) {
        for (db, key) in self.effects.take_touched() {
            self.watched_key_touched(db, client.as_deref(), key);
        }
        for db in self.effects.take_flushed() {
            self.watched_db_replaced(client.as_deref_mut(), db);
            self.waiting.note_replaced(db);
        }
        for place in self.effects.take_ready() {
            self.waiting.note_ready(place);
        }
        let events = self.effects.take_events();
        if !events.is_empty() {
            self.publish_events(now, client, events);
        }
    }

    /// Turns what happened to keys by themselves into effects. An expired key is deleted by name
    /// for those who follow us, and told of, before what the command itself did.
    #[cold]
    fn report_key_events(&mut self) {
        let (own, own_events) = (self.effects.take_commands(), self.effects.take_events());
        let lazy = self.config.settings().data.lazyfree_lazy_expire;
        let delete: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
        for event in mem::take(&mut self.keyspace.env.key_events) {
            match event.kind {
                KeyEventKind::Expired => {
                    self.effects.also(event.db, [delete, &event.key]);
                    self.effects.touched(event.db, &event.key);
                    self.effects.event(event.db, Class::Expired, "expired", &event.key);
                }
                KeyEventKind::Missed => {
                    self.effects.event(event.db, Class::KeyMiss, "keymiss", &event.key);
                }
            }
        }
        self.effects.append(own);
        self.effects.append_events(own_events);
    }
}

/// Whether a command is allowed to a client that listens, in version 2 of the protocol.
fn is_for_listeners(command: &Command) -> bool {
    command.parent.is_none()
        && matches!(
            command.meta.name,
            "ping"
                | "subscribe"
                | "ssubscribe"
                | "unsubscribe"
                | "sunsubscribe"
                | "psubscribe"
                | "punsubscribe"
                | "quit"
                | "reset"
        )
}

fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

fn unknown_command(args: Args<'_>) -> CommandError {
    let name = args.at(0);
    let mut after = b"', with args beginning with: ".to_vec();
    let most = after.len() + 128;
    for arg in args.from(1).iter() {
        if after.len() >= most {
            break;
        }
        let part = up_to_nul(&arg[..arg.len().min(most - after.len())]);
        after.extend_from_slice(&[b"'", part, b"' "].concat());
    }
    let before = b"ERR unknown command '";
    CommandError::Text([before, up_to_nul(&name[..name.len().min(128)]), &after].concat().into())
}
