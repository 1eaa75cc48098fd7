//! Command dispatch: parsing requests, lookup, checks, the call, and its effects.

use core::mem;

use super::{
    Admission, Call, Check, Client, ClientState, CloseState, Command, Front, Obstacles, ReplyMode,
    Run, Service,
};
use crate::acl::Context;
use crate::command::error::up_to_nul;
use crate::command::meta::{flag, special};
use crate::command::{CommandError, Group};
use crate::machine::LogLevel;
use crate::resp::reply::Reply;
use crate::resp::request::{Args, Limits, ProtocolError};
use crate::time::Now;

/// How many commands of one client are executed before other clients are served.
const BATCH: u32 = 1024;

impl<S: Service> Front<S> {
    /// Executes the requests in `bytes`, after those left in the client's query buffer.
    pub(crate) fn serve(&mut self, now: Now<'_>, client: &mut Client<S>, mut bytes: &[u8]) {
        // A client that is being closed still gets the rest of a long reply.
        if client.close_state != CloseState::Open && client.long.is_none() {
            return;
        }
        if client.is_primary() {
            return S::serve_primary(self, now, client, bytes);
        }
        let before = client.outbox.len();
        if client.long.is_some() && before <= self.unsent_marks(client).0 {
            let spent = client.write_slice(&mut self.scratch, &mut self.rng);
            if let Some(copy) = spent {
                S::free_copy(self, copy);
            }
        }
        let mut left = BATCH;
        if client.requests.is_idle() && !bytes.is_empty() {
            S::serve_fast(self, now, client, &mut bytes, &mut left);
        }
        if !(bytes.is_empty() && client.requests.is_idle()) {
            self.serve_with_checks(now, client, bytes, &mut left);
        }
        let more = match client.long {
            Some(_) => client.outbox.len() <= self.unsent_marks(client).0,
            None => left == 0 && client.requests.waiting() > 0,
        };
        if more && !client.pending {
            client.pending = true;
            self.pending.push_back(client.slot);
        }
        self.stats.net_output += client.outbox.len().saturating_sub(before) as u64;
        self.check_query_buffer(client);
        self.flush(now, client);
        self.apply_back_pressure(client);
    }

    /// The general path: executes requests of any kind, from a client in any state.
    fn serve_with_checks(
        &mut self,
        now: Now<'_>,
        client: &mut Client<S>,
        mut bytes: &[u8],
        left: &mut u32,
    ) {
        let mut requests = mem::take(&mut client.requests);
        let mut prefetched = 0;
        while client.close_state == CloseState::Open
            && !client.is_held()
            && !S::holds_all(self)
            && !self.is_full(client)
            && *left > 0
        {
            let limits = Limits {
                bulk: self.settings().proto_max_bulk_len,
                unauthenticated: !client.unrestricted && self.must_log_in(client),
            };
            if prefetched == 0 {
                prefetched = S::prefetch_requests(self, client, bytes);
            }
            prefetched -= 1;
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
        if client.close_state == CloseState::Open {
            requests.keep(bytes);
        } else {
            requests.clear();
        }
        client.requests = requests;
    }

    pub(crate) fn protocol_error(&mut self, client: &mut Client<S>, error: ProtocolError) {
        self.log(LogLevel::Verbose, || {
            format!("{error} from client: {}", super::clients::describe(client, None))
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
        client.close_state = CloseState::AfterReply;
    }

    /// Closes the connection of a browser that a web page has made send HTTP here (cross-protocol
    /// scripting), before its commands are executed.
    fn close_http(&mut self, client: &mut Client<S>) {
        self.log(LogLevel::Warning, || {
            format!(
                "Possible SECURITY ATTACK detected: a client sends POST or Host: as in HTTP, \
                 which a web page can make a browser do. Connection closed: {}",
                super::clients::describe(client, None)
            )
        });
        client.outbox.clear();
        client.close_state = CloseState::AfterReply;
    }

    /// Executes one command, unless a check refuses or delays it.
    pub(crate) fn execute(&mut self, now: Now<'_>, client: &mut Client<S>, args: Args<'_>) {
        let obstacles = self.obstacles(client);
        if S::execute_fast(self, now, client, args, obstacles) {
            return;
        }
        if client.replies == ReplyMode::SkipNext {
            client.replies = ReplyMode::Skip;
        }
        let command = match self.find_command(args) {
            Ok(command) => command,
            Err(_) if is_http(args.at(0)) => return self.close_http(client),
            Err(error) => {
                return S::refuse(self, client, None, args, &error);
            }
        };
        match self.check(now, client, command, args, obstacles) {
            Ok(Admission::Call) => S::carry_out(self, now, client, command, args),
            Ok(Admission::Queued) => {}
            Ok(Admission::Held) => return,
            Err(error) => {
                self.stats.command(command.id).rejected += 1;
                S::refuse(self, client, Some(command), args, &error);
                return self.end_caching_exception(client, command);
            }
        }
        self.end_caching_exception(client, command);
        if client.replies == ReplyMode::Skip {
            client.replies = ReplyMode::On;
        }
    }

    pub(crate) fn find_command(&self, args: Args<'_>) -> Result<&'static Command<S>, CommandError> {
        let command = self.names.find(args.at(0)).ok_or_else(|| unknown_command(args))?;
        let command = match args.get(1) {
            Some(sub) if !command.subcommands.is_empty() => S::table()
                .subcommand(command, sub)
                .ok_or_else(|| CommandError::subcommand(&command.name.to_ascii_uppercase(), sub))?,
            _ => command,
        };
        Ok(command)
    }

    /// The front's checks before a command is called.
    pub(super) const CHECKS: &'static [Check<S>] = &[
        Check { about: Obstacles::RESTRICTED, check: Self::check_login },
        Check { about: Obstacles::TRANSACTION, check: Self::check_transaction },
        Check { about: Obstacles::RESTRICTED, check: Self::check_rights },
        Check { about: Obstacles::SUBSCRIBED, check: Self::check_subscriptions },
    ];

    fn check_login(
        &mut self,
        _now: Now<'_>,
        client: &mut Client<S>,
        command: &'static Command<S>,
        _args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        if !command.meta.has(flag::NO_AUTH) && self.must_log_in(client) {
            return Err(CommandError::text("NOAUTH Authentication required."));
        }
        Ok(Admission::Call)
    }

    fn check_transaction(
        &mut self,
        _now: Now<'_>,
        _client: &mut Client<S>,
        command: &'static Command<S>,
        _args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        if command.meta.has(flag::NO_MULTI) {
            return Err(CommandError::text("ERR Command not allowed inside a transaction"));
        }
        Ok(Admission::Call)
    }

    fn check_rights(
        &mut self,
        now: Now<'_>,
        client: &mut Client<S>,
        command: &'static Command<S>,
        args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        let context = Context::of(client.state.in_transaction());
        client.last_command = Some(command.id);
        self.check_permission(now, client, command, args, context).map_err(|denied| {
            let text = Self::denial(client, command, args, denied);
            CommandError::Text([b"NOPERM ", &text[..]].concat().into())
        })?;
        Ok(Admission::Call)
    }

    fn check_subscriptions(
        &mut self,
        _now: Now<'_>,
        client: &mut Client<S>,
        command: &'static Command<S>,
        _args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        if client.is_subscribe_only() && !command.meta.is(special::WHILE_SUBSCRIBED) {
            return Err(CommandError::composed(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context",
                command.name
            )));
        }
        Ok(Admission::Call)
    }

    pub(crate) fn answer_error(&mut self, client: &mut Client<S>, error: &CommandError) {
        let (muted, proto) = (client.is_muted(), client.proto);
        let mut reply = Reply::new(client.out(), &mut self.scratch, proto).muted(muted);
        let text = error.as_bytes();
        reply.error(text);
        self.stats.error_text(text);
        if client.state.kind() != super::ClientKind::Normal {
            S::error_between_servers(self, client, text);
        }
        if client.replies == ReplyMode::Skip {
            client.replies = ReplyMode::On;
        }
    }

    /// Answers a client that has waited, and continues with its pending requests.
    pub(crate) fn answer(&mut self, now: Now<'_>, id: u64, result: Result<(), CommandError>) {
        self.answer_status(now, id, result.map(|()| "OK"));
    }

    /// As [`Front::answer`], with another status than `OK`.
    pub(crate) fn answer_status(
        &mut self,
        now: Now<'_>,
        id: u64,
        result: Result<&str, CommandError>,
    ) {
        match result {
            Ok(status) => self.answer_with(now, id, |reply| {
                reply.simple(status);
                Ok(())
            }),
            Err(error) => self.answer_with(now, id, |_| Err(error)),
        }
    }

    /// As [`Front::answer`], with a reply written by `write`, or the error that it returns.
    pub(crate) fn answer_with(
        &mut self,
        now: Now<'_>,
        id: u64,
        write: impl FnOnce(&mut Reply<'_>) -> Result<(), CommandError>,
    ) {
        let Some(mut client) = self.clients.by_id(id).and_then(|slot| self.clients.take(slot))
        else {
            return;
        };
        client.waiting = false;
        let (muted, proto) = (client.is_muted(), client.proto);
        let mut reply = Reply::new(client.out(), &mut self.scratch, proto).muted(muted);
        if let Err(error) = write(&mut reply) {
            self.answer_error(&mut client, &error);
        }
        self.serve_and_leave(now, &mut client);
        self.clients.put(client);
    }

    /// Calls a command that has passed the checks, and updates the statistics.
    pub(crate) fn call(
        &mut self,
        now: Now<'_>,
        client: &mut Client<S>,
        command: &'static Command<S>,
        args: Args<'_>,
    ) {
        client.last_command = Some(command.id);
        client.argv_bytes = args.bytes();
        // MONITOR already showed this command when it blocked.
        let again = client.state.is_resumed();
        let (began, stalled) = (self.elapsed, self.stalled);
        if !self.monitors.is_empty() && !again && command.meta.group == Group::Scripting {
            self.show_script_to_monitors(now, client, command, args);
        }
        let result = self.run(now, client, command, args);
        if !client.state.is_blocked() {
            client.argv_bytes = 0;
        }
        if let Err(error) = &result {
            self.answer_error(client, error);
        }
        if client.tracking.is_some() {
            self.remember_read(client, command, args);
        }
        self.elapsed = now.nanos();
        if !self.monitors.is_empty() && !again {
            self.show_to_monitors(now, client, command, args);
        }
        if S::continues_later(self, client) {
            return;
        }
        let took =
            self.elapsed.saturating_sub(began).saturating_add(self.stalled.saturating_sub(stalled));
        self.count_call(now, client, command, args, (took, result.is_err()));
    }

    /// Updates the statistics for a call that has ended: its duration in nanoseconds, and whether
    /// it failed. Logs it if it was slow.
    #[inline(always)]
    pub(crate) fn count_call(
        &mut self,
        now: Now<'_>,
        client: &Client<S>,
        command: &'static Command<S>,
        args: Args<'_>,
        (took, failed): (u64, bool),
    ) {
        let tracked = self.settings().latency_tracking;
        self.stats.called(command.id, took, failed, tracked);
        self.log_if_slow(now, client, command, args, took);
    }

    /// Calls the handler of a command.
    pub(crate) fn run(
        &mut self,
        now: Now<'_>,
        client: &mut Client<S>,
        command: &'static Command<S>,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        if let Some(error) = S::unavailable(self, command) {
            return Err(error);
        }
        match command.run {
            Run::Data(handler) => S::call_data(self, now, client, command, handler, args),
            Run::Service(handler) => {
                let mut scratch = mem::take(&mut self.scratch);
                let result =
                    handler(self, &mut Call { now, client, args, command, scratch: &mut scratch });
                self.scratch = scratch;
                result
            }
        }
    }
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
