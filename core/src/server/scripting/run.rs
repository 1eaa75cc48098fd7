//! Running a script: in slices, until it ends, fails or is killed.

use std::sync::Arc;

use limpid_lua::{Failure, Lua, Step, Value};

use super::super::replication::MASTERDOWN;
use super::super::transactions::Suspended;
use super::super::{Call, Client, CloseState, Command, ReplyMode, Server};
use super::api::REPLICATE_ALL;
use super::convert;
use super::debugger::{After, Debugger};
use super::functions::Registering;
use super::shebang::Flags;
use crate::command::CommandError;
use crate::command::effects::{PropagateTo, Propagated};
use crate::command::meta::flag;
use crate::machine::{LogLevel, Output};
use crate::resp::Proto;
use crate::resp::reply::Reply;
use crate::resp::request::{Args, OwnedArgs};
use crate::sharding::Slot;
use crate::time::{Duration, Mono, Now};

/// Instructions per slice: about a millisecond.
const SLICE: i64 = 200_000;
/// How many instructions a command counts as.
const COMMAND: i64 = 500;
/// The minimum duration of a slice, for a World, where computing takes no time.
const SLICE_TIME: Duration = Duration::from_micros(300);

/// Which kind of script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// EVAL and related commands.
    Script,
    /// FCALL.
    Function,
}

/// A running script.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) kind: Kind,
    /// The interpreter; taken out while it runs.
    lua: Option<Arc<Lua>>,
    /// The SHA-1 of the script, or the name of the function.
    pub(super) name: String,
    /// Whether write commands are refused.
    pub(super) readonly: bool,
    /// Whether memory was above `maxmemory` when it started, so that it may not use more.
    pub(super) out_of_memory: bool,
    /// The protocol version of replies to its commands (`redis.setresp`).
    pub(super) proto: Proto,
    /// The selected database.
    pub(super) db: usize,
    /// Whether it has called a write command.
    pub(super) wrote: bool,
    /// Where its effects go: bits of `redis.REPL_*`.
    pub(super) replicate: u8,
    /// In a cluster: the slot of the keys it has declared or used, which must also be the slot of
    /// all others. Ignored with `cross_slot`.
    pub(super) slot: Option<Slot>,
    /// Whether it may use keys of several slots.
    pub(super) cross_slot: bool,
    /// The debugger session.
    pub(super) debugger: Option<Box<Debugger>>,
    /// The functions that a library has registered while it is loaded.
    pub(super) registering: Option<Registering>,
}

impl Run {
    /// A script that is about to start; its function has been called in the interpreter.
    pub(super) fn new(kind: Kind, lua: Arc<Lua>, name: String, readonly: bool, db: usize) -> Run {
        Run {
            kind,
            lua: Some(lua),
            name,
            readonly,
            out_of_memory: false,
            proto: Proto::Resp2,
            db,
            wrote: false,
            replicate: REPLICATE_ALL,
            slot: None,
            cross_slot: true,
            debugger: None,
            registering: None,
        }
    }

    /// Takes the interpreter out.
    pub(super) fn take_lua(&mut self) -> Option<Arc<Lua>> {
        self.lua.take()
    }

    /// Puts the interpreter back.
    pub(super) fn put_lua(&mut self, lua: Arc<Lua>) {
        self.lua = Some(lua);
    }

    /// Accesses the interpreter while the script is not running.
    pub(super) fn with_lua<T>(&mut self, look: impl FnOnce(&mut Lua) -> T) -> T {
        let shared = self.lua.get_or_insert_default();
        look(Arc::make_mut(shared))
    }

    /// Restricts pending effects to what `redis.set_repl` allows.
    pub(super) fn restrict_effects(&self, commands: Vec<Propagated>) -> Vec<Propagated> {
        const FILE: u8 = 1;
        const REPLICAS: u8 = 2;
        let to = match self.replicate {
            FILE => PropagateTo::Aof,
            REPLICAS => PropagateTo::Replicas,
            0 => return Vec::new(),
            _ => return commands,
        };
        commands.into_iter().map(|command| Propagated { to, ..command }).collect()
    }

    /// The error text of a failure, with the script and the line.
    fn error(&self, lua: &mut Lua, failure: Failure) -> Vec<u8> {
        let mut text = match failure.value {
            Value::Table(table) => match convert::text_field(lua, table, "err") {
                Some(text) => convert::error_text(&text).to_vec(),
                None => b"ERR unknown error".to_vec(),
            },
            other => {
                let text = lua.to_text(other).unwrap_or_else(|| other.type_name().into());
                [b"ERR ", text.as_slice()].concat()
            }
        };
        if let Some(source) = failure.source {
            let source = String::from_utf8_lossy(lua.bytes(source)).into_owned();
            let (name, line) = (&self.name, failure.line);
            text.extend(format!(" script: {name}, on @{source}:{line}.").bytes());
        }
        text
    }
}

/// The state of a script after a slice.
pub(super) enum Progress {
    /// Its slice is used up.
    Paused,
    /// The debugger has stopped it.
    Stopped,
    /// It has ended, with this result.
    Done(Value),
    /// It has failed.
    Failed(Failure),
}

/// A paused script, and the client that waits for it.
#[derive(Clone, Debug)]
pub(in crate::server) struct Paused {
    run: Run,
    /// The slot of the client. The client is kept until the end, even if it disconnects.
    slot: u32,
    /// Whether its connection was closed.
    disconnected: bool,
    /// Whether it does not get a reply (CLIENT REPLY).
    no_reply: bool,
    command: &'static Command,
    args: OwnedArgs,
    began: Mono,
    /// When it continues.
    wake: Mono,
    /// Whether other clients are answered `BUSY` meanwhile.
    busy: bool,
    killed: bool,
    /// Whether it continues only at the debugger's command.
    stopped: bool,
    /// The EXEC that it is part of.
    exec: Option<Suspended>,
    /// Effects that are not propagated yet.
    done: Vec<Propagated>,
}

impl Server {
    /// Runs a slice of a script.
    pub(super) fn run_slice(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        run: &mut Run,
        slice: i64,
    ) -> (Progress, Arc<Lua>) {
        let mut shared = run.lua.take().unwrap_or_default();
        let lua = Arc::make_mut(&mut shared);
        let mut left = slice;
        let progress = loop {
            if left <= 0 {
                break Progress::Paused;
            }
            match lua.run(left.unsigned_abs()) {
                Step::Done => {
                    break Progress::Done(lua.results().first().copied().unwrap_or(Value::Nil));
                }
                Step::Paused => left = 0,
                Step::Line => {
                    left = lua.budget_left();
                    if run.debugger.as_deref_mut().is_some_and(|debugger| debugger.stops_at(lua)) {
                        break Progress::Stopped;
                    }
                }
                Step::Host(tag) => {
                    left = lua.budget_left() - COMMAND;
                    self.call_redis_function(now, client, run, lua, tag);
                }
                Step::Failed(failure) => break Progress::Failed(failure),
            }
        };
        (progress, shared)
    }

    /// Runs a script that has been prepared, for the client that calls it.
    pub(super) fn run_script(
        &mut self,
        call: &mut Call<'_>,
        mut run: Run,
        flags: Flags,
    ) -> Result<(), CommandError> {
        if let Err(error) = self.prepare_run(call, &mut run, flags) {
            self.keep_interpreter(run.kind, run.take_lua());
            return Err(error);
        }
        if let Some(trace) = &mut self.service.scripting.trace {
            trace.begin(call.now.wall, call.client.id, call.args);
        }
        let whole = call.client.state.from_primary || self.is_loading();
        let slice = if whole { i64::MAX } else { SLICE };
        let (progress, lua) = self.run_slice(call.now, call.client, &mut run, slice);
        if matches!(progress, Progress::Paused | Progress::Stopped) {
            run.lua = Some(lua);
            self.pause_script(call, run);
            if matches!(progress, Progress::Stopped) {
                self.stop_paused(call.client);
            }
            return Ok(());
        }
        let debugged = self.end_session(&mut run, call.client);
        let mut reply = call.reply();
        let result = self.end_script(run, progress, lua, &mut reply);
        if debugged {
            call.client.close_state = CloseState::AfterReply;
        }
        result
    }

    /// The checks before a script starts, as far as its flags declare what it does.
    fn prepare_run(
        &mut self,
        call: &mut Call<'_>,
        run: &mut Run,
        flags: Flags,
    ) -> Result<(), CommandError> {
        let read_only_variant = call.command.meta.name.ends_with("_ro");
        run.readonly |= read_only_variant;
        if self.config.settings().maxmemory > 0 {
            run.out_of_memory =
                !flags.has(Flags::ALLOW_OOM) && !self.make_room(call.now, Some(call.client));
        }
        if flags.unknown {
            return if self.is_stale() { Err(CommandError::text(MASTERDOWN)) } else { Ok(()) };
        }
        if self.is_clustered() {
            if flags.has(Flags::NO_CLUSTER) {
                return Err(CommandError::text(
                    "ERR Can not run script on cluster, 'no-cluster' flag is set.",
                ));
            }
            run.cross_slot = flags.has(Flags::ALLOW_CROSS_SLOT_KEYS);
            run.slot = self.slot_of_request(call.client, call.command, call.args);
        }
        let writes = !flags.has(Flags::NO_WRITES);
        run.readonly |= !writes;
        if read_only_variant && writes {
            return Err(CommandError::text(
                "ERR Can not execute a script with write flag using *_ro command.",
            ));
        }
        if writes && !call.client.state.from_primary {
            if self.refuses_writes_as_replica() {
                return Err(CommandError::text(
                    "READONLY Can not run script with write flag on readonly replica.",
                ));
            }
            if let Some(error) = self.write_refusal() {
                return Err(error);
            }
            let role = self.check_role(call.now.mono, call.client, flag::WRITE, (0, 0));
            if let Some(error) = role {
                return Err(error);
            }
        }
        if run.out_of_memory && writes {
            return Err(CommandError::text(
                "OOM allow-oom flag is not set on the script, can not run it when used memory > \
                 'maxmemory'",
            ));
        }
        Ok(())
    }

    /// Puts the interpreter back and writes the result.
    fn end_script(
        &mut self,
        run: Run,
        progress: Progress,
        mut lua: Arc<Lua>,
        reply: &mut Reply<'_>,
    ) -> Result<(), CommandError> {
        let own = Arc::make_mut(&mut lua);
        let mut returned = Vec::new();
        let result = match progress {
            Progress::Done(value) => match convert::error_of(own, value) {
                Some(text) => {
                    self.stats.set_counted(convert::is_counted(own, value));
                    Err(CommandError::Text(text.into()))
                }
                None => {
                    convert::write(own, value, reply, run.proto == Proto::Resp3);
                    if self.service.scripting.trace.is_some() {
                        returned = convert::to_bytes(own, value);
                    }
                    Ok(())
                }
            },
            Progress::Failed(failure) => {
                self.stats.set_counted(convert::is_counted(own, failure.value));
                Err(CommandError::Text(run.error(own, failure).into()))
            }
            Progress::Paused | Progress::Stopped => Ok(()),
        };
        if let Some(trace) = &mut self.service.scripting.trace {
            match &result {
                Err(CommandError::Text(text)) => trace.end(&[b"-", &**text, b"\r\n"].concat()),
                _ => trace.end(&returned),
            }
        }
        self.keep_interpreter(run.kind, Some(lua));
        result
    }

    pub(super) fn keep_interpreter(&mut self, kind: Kind, lua: Option<Arc<Lua>>) {
        match kind {
            Kind::Script => self.service.scripting.eval = lua,
            Kind::Function => self.service.scripting.libraries.lua = lua,
        }
    }

    // A script that has used up its slice.

    /// Whether a script is paused.
    #[inline]
    pub(in crate::server) fn script_is_paused(&self) -> bool {
        super::HAS_INTERPRETER && self.service.scripting.paused.is_some()
    }

    /// When the paused script continues.
    pub(in crate::server) fn script_wake(&self) -> Option<Mono> {
        let paused = self.service.scripting.paused.as_ref();
        paused.filter(|paused| !paused.stopped).map(|paused| paused.wake)
    }

    fn pause_script(&mut self, call: &mut Call<'_>, run: Run) {
        call.client.waiting = true;
        self.hold_all();
        self.service.scripting.paused = Some(Box::new(Paused {
            run,
            slot: call.client.slot,
            disconnected: false,
            no_reply: call.client.replies == ReplyMode::Skip,
            command: call.command,
            args: call.args.into(),
            began: call.now.mono,
            wake: call.now.mono + SLICE_TIME,
            busy: false,
            killed: false,
            stopped: false,
            exec: None,
            done: self.service.effects.take_commands(),
        }));
    }

    /// Keeps the rest of an EXEC until the script that it has reached has ended.
    pub(in crate::server) fn suspend_exec_for_script(
        &mut self,
        client: &mut Client,
        exec: Suspended,
    ) {
        let Some(paused) = &mut self.service.scripting.paused else { return };
        paused.exec = Some(exec);
        if !client.not_reading {
            client.not_reading = true;
            self.outputs.push_back(Output::Reading { conn: client.conn, on: false });
        }
    }

    /// The connection of a client was closed. True if the client is kept nevertheless, because its
    /// script is running.
    pub(in crate::server) fn script_keeps_client(&mut self, client: &mut Client) -> bool {
        let paused = self.service.scripting.paused.as_mut();
        let Some(paused) = paused.filter(|paused| paused.slot == client.slot) else {
            return false;
        };
        paused.disconnected = true;
        if let Some(debugger) = &mut paused.run.debugger {
            debugger.detach();
            paused.stopped = false;
        }
        if client.close_state != CloseState::Closing {
            self.clients.mark_closing(client);
        }
        true
    }

    /// Continues the paused script if it is time.
    pub(in crate::server) fn script_cron(&mut self, now: Now<'_>) {
        let due = self.script_wake().is_some_and(|wake| wake <= now.mono);
        if !due {
            return;
        }
        let Some(mut paused) = self.service.scripting.paused.take() else { return };
        let Some(mut client) = self.clients.take(paused.slot) else {
            self.keep_interpreter(paused.run.kind, paused.run.take_lua());
            return self.release_unless_busy(&paused);
        };
        let (progress, lua) = match paused.killed {
            true => self.kill_run(&mut paused.run),
            false => {
                let Paused { run, .. } = &mut *paused;
                self.run_slice(now, &mut client, run, SLICE)
            }
        };
        paused.done.append(&mut self.service.effects.take_commands());
        if !matches!(progress, Progress::Paused | Progress::Stopped) {
            return self.end_paused(now, paused, client, progress, lua);
        }
        paused.run.lua = Some(lua);
        if matches!(progress, Progress::Stopped) {
            self.service.scripting.paused = Some(paused);
            self.stop_paused(&mut client);
            self.serve_and_leave(now, &mut client);
            return self.clients.put(client);
        }
        paused.wake = now.mono + SLICE_TIME;
        self.clients.put(client);
        let limit = self.config.settings().busy_reply_threshold;
        if !paused.busy && now.mono.0.saturating_sub(paused.began.0) / 1_000_000 >= limit {
            paused.busy = true;
            self.release_all();
            let (name, kill) = match paused.run.kind {
                Kind::Script => (&paused.run.name, "SCRIPT KILL"),
                Kind::Function => (&paused.run.name, "FUNCTION KILL"),
            };
            self.log(LogLevel::Warning, || {
                format!(
                    "Slow script detected: still in execution after {limit} milliseconds. You can \
                     try killing the script using the {kill} command. Script name is: {name}."
                )
            });
        }
        self.service.scripting.paused = Some(paused);
    }

    fn release_unless_busy(&mut self, paused: &Paused) {
        if !paused.busy {
            self.release_all();
        }
    }

    /// Kills a script; it cannot catch that.
    fn kill_run(&mut self, run: &mut Run) -> (Progress, Arc<Lua>) {
        let mut shared = run.lua.take().unwrap_or_default();
        let lua = Arc::make_mut(&mut shared);
        let what = match run.kind {
            _ if run.debugger.is_some() => "script aborted for user request",
            Kind::Script => "Script killed by user with SCRIPT KILL.",
            Kind::Function => "Script killed by user with FUNCTION KILL.",
        };
        let value = lua.string(what.as_bytes());
        let (source, line) = lua.running_line();
        lua.abort();
        (Progress::Failed(Failure { value, line, source }), shared)
    }

    /// Ends a script that was paused: effects are propagated, the client gets the result, and other
    /// clients resume.
    fn end_paused(
        &mut self,
        now: Now<'_>,
        mut paused: Box<Paused>,
        mut client: Box<Client>,
        progress: Progress,
        lua: Arc<Lua>,
    ) {
        self.release_unless_busy(&paused);
        client.waiting = false;
        self.service.effects.append(core::mem::take(&mut paused.done));
        if paused.no_reply {
            client.replies = ReplyMode::Skip;
        }
        let debugged = self.end_session(&mut paused.run, &mut client);
        let Paused { run, exec, began, command, args, disconnected, no_reply, .. } = *paused;
        let mut scratch = core::mem::take(&mut self.scratch);
        let (muted, proto) = (client.is_muted(), client.proto);
        let mut reply = Reply::new(client.out(), &mut scratch, proto).muted(muted);
        let result = self.end_script(run, progress, lua, &mut reply);
        self.scratch = scratch;
        if let Err(error) = &result {
            self.answer_error(&mut client, error);
        }
        if no_reply {
            client.replies = ReplyMode::On;
        }
        let took = now.mono.0.saturating_sub(began.0);
        self.count_call(now, &client, command, args.as_args(), (took, result.is_err()));
        if let Some(exec) = exec {
            self.resume_exec(now, &mut client, exec);
            if let Some(next) = &mut self.service.scripting.paused {
                next.disconnected = disconnected;
                return self.clients.put(client);
            }
        }
        let before = self.service.replication.offset();
        self.follow_up(now, &mut client, command, before);
        self.end_caching_exception(&mut client, command);
        if disconnected {
            self.remove_client(client);
        } else {
            self.serve_and_leave(now, &mut client);
            if debugged && client.close_state == CloseState::Open {
                client.close_state = CloseState::AfterReply;
                self.flush(now, &mut client);
            }
            self.clients.put(client);
        }
    }

    // A script that the debugger has stopped.

    /// The debugger has stopped the script at a line, and waits for a command of its client. Other
    /// clients are answered `BUSY` meanwhile.
    fn stop_paused(&mut self, client: &mut Client) {
        let Some(paused) = &mut self.service.scripting.paused else { return };
        paused.stopped = true;
        client.waiting = false;
        if let Some(debugger) = &mut paused.run.debugger {
            debugger.tell(client);
        }
        if !core::mem::replace(&mut paused.busy, true) {
            self.release_all();
        }
    }

    /// Whether this client's requests are debugger commands.
    pub(in crate::server) fn is_debugging(&self, client: &Client) -> bool {
        let paused = self.service.scripting.paused.as_ref();
        super::HAS_INTERPRETER
            && paused.is_some_and(|paused| paused.stopped && paused.slot == client.slot)
            || self.has_copy(client)
    }

    /// Executes a debugger command of a client whose script is stopped.
    pub(in crate::server) fn debug(&mut self, now: Now<'_>, client: &mut Client, args: Args<'_>) {
        if self.has_copy(client) {
            return self.ask_copy(now, client, args);
        }
        let Some(mut paused) = self.service.scripting.paused.take_if(|paused| paused.stopped)
        else {
            return;
        };
        let after = self.debug_command(now, client, &mut paused.run, args);
        paused.done.append(&mut self.service.effects.take_commands());
        if after == After::Stays {
            if let Some(debugger) = &mut paused.run.debugger {
                debugger.tell(client);
            }
        } else {
            client.waiting = true;
            paused.stopped = false;
            paused.killed = after == After::Ends;
            paused.wake = now.mono;
        }
        self.service.scripting.paused = Some(paused);
    }

    /// Ends the debugger session, if the script has one: the client is told, and its connection
    /// will be closed after the reply.
    fn end_session(&mut self, run: &mut Run, client: &mut Client) -> bool {
        let Some(debugger) = &mut run.debugger else { return false };
        debugger.end(client);
        self.log_debugging("ended");
        true
    }

    /// Why a command is refused while a script takes long, if it is.
    pub(in crate::server) fn busy_refusal(&self, command: &Command) -> Option<CommandError> {
        let paused = self.service.scripting.paused.as_ref().filter(|paused| paused.busy)?;
        if command.meta.has(flag::ALLOW_BUSY) {
            return None;
        }
        Some(busy(paused.run.kind))
    }

    /// SCRIPT KILL and FUNCTION KILL.
    pub(super) fn kill_script(&mut self, kind: Kind) -> Result<(), CommandError> {
        let Some(paused) = &mut self.service.scripting.paused else {
            return Err(CommandError::text("NOTBUSY No scripts in execution right now."));
        };
        if paused.run.kind != kind {
            return Err(busy(paused.run.kind));
        }
        if paused.run.wrote {
            return Err(CommandError::text(
                "UNKILLABLE Sorry the script already executed write commands against the dataset. \
                 You can either wait the script termination or kill the server in a hard way using \
                 the SHUTDOWN NOSAVE command.",
            ));
        }
        paused.killed = true;
        paused.stopped = false;
        Ok(())
    }

    /// The running function: its name, its command, and its duration in milliseconds.
    pub(super) fn running_function(&self, now: Mono) -> Option<(String, OwnedArgs, u64)> {
        let paused = self.service.scripting.paused.as_ref()?;
        (paused.run.kind == Kind::Function).then(|| {
            let took = (now.0.saturating_sub(paused.began.0)) / 1_000_000;
            (paused.run.name.clone(), paused.args.clone(), took)
        })
    }
}

fn busy(kind: Kind) -> CommandError {
    CommandError::text(match kind {
        Kind::Script => {
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
        }
        Kind::Function => {
            "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN \
             NOSAVE."
        }
    })
}
