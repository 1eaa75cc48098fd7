//! The functions of the `redis` table.

use core::mem;

use limpid_lua::{Lua, Value};

use super::super::{Client, CloseState, Command, ReplyMode, Server};
use super::convert;
use super::eval::sha1_hex;
use super::functions::Registering;
use super::run::Run;
use super::sandbox::Api;
use crate::acl::Context;
use crate::command::CommandError;
use crate::command::meta::{flag, special};
use crate::machine::{LogLevel, Outbox};
use crate::resp::request::OwnedArgs;
use crate::resp::{Proto, value};
use crate::time::Now;

/// `redis.REPL_ALL`: effects go to the append-only file and to replicas.
pub(super) const REPLICATE_ALL: u8 = 3;

/// Raises an error of the `redis` library: a table, without script name and line.
pub(super) fn raise(lua: &mut Lua, text: &[u8]) {
    let error = convert::error(lua, text);
    lua.host_raise(error);
}

impl Server {
    /// Executes a function of `redis` that a script has called.
    pub(super) fn call_redis_function(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        run: &mut Run,
        lua: &mut Lua,
        tag: u32,
    ) {
        let args = lua.host_args().to_vec();
        let integer = |at: usize| match args.get(at) {
            Some(Value::Num(n)) => Some(*n as i64),
            _ => None,
        };
        match Api::from_tag(tag) {
            Some(api @ (Api::Call | Api::Pcall)) => {
                let reply = self.script_call(now, client, run, lua, &args);
                match reply {
                    Ok(value) => lua.host_return(&[value]),
                    Err(error) if api == Api::Call => lua.host_raise(error),
                    Err(error) => lua.host_return(&[error]),
                }
            }
            Some(api @ (Api::ErrorReply | Api::StatusReply)) => match args.as_slice() {
                [Value::Str(s)] => {
                    let text = lua.bytes(*s).to_vec();
                    let reply = if api == Api::StatusReply {
                        let text = lua.string(&text);
                        let table = lua.table(0, 1);
                        lua.raw_set_name(table, "ok", text);
                        Value::Table(table)
                    } else {
                        // A text of a single word has no error code.
                        let text = text.strip_prefix(b"-").map_or_else(
                            || match text.contains(&b' ') {
                                true => text.clone(),
                                false => [b"ERR ", text.as_slice()].concat(),
                            },
                            <[u8]>::to_vec,
                        );
                        convert::error(lua, &text)
                    };
                    lua.host_return(&[reply]);
                }
                _ => {
                    let error = convert::error(lua, b"ERR wrong number or type of arguments");
                    lua.host_return(&[error]);
                }
            },
            Some(Api::Sha1Hex) => match args.as_slice() {
                [one] => {
                    let text = lua.to_text(*one).unwrap_or_default();
                    let hex = lua.string(sha1_hex(&text).as_bytes());
                    lua.host_return(&[hex]);
                }
                _ => raise(lua, b"ERR wrong number of arguments"),
            },
            Some(Api::Log) => match log_line(lua, &args) {
                Ok((level, text)) => {
                    self.log(level, || text);
                    lua.host_return(&[]);
                }
                Err(text) => raise(lua, text),
            },
            Some(Api::SetResp) => {
                if args.len() != 1 {
                    return raise(lua, b"ERR redis.setresp() requires one argument.");
                }
                match integer(0) {
                    Some(2) => run.proto = Proto::Resp2,
                    Some(3) => run.proto = Proto::Resp3,
                    _ => return raise(lua, b"ERR RESP version must be 2 or 3."),
                }
                lua.host_return(&[]);
            }
            Some(Api::SetRepl) => {
                if args.len() != 1 {
                    return raise(lua, b"ERR redis.set_repl() requires one argument.");
                }
                match integer(0).and_then(|n| u8::try_from(n).ok()) {
                    Some(flags @ 0..=REPLICATE_ALL) => run.replicate = flags,
                    _ => {
                        return raise(
                            lua,
                            b"ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL \
                              or REPL_NONE.",
                        );
                    }
                }
                lua.host_return(&[]);
            }
            Some(Api::ReplicateCommands) => lua.host_return(&[Value::Bool(true)]),
            Some(Api::Breakpoint) => {
                if let Some(debugger) = &mut run.debugger {
                    debugger.break_at_next_line();
                }
                lua.host_return(&[Value::Bool(run.debugger.is_some())]);
            }
            Some(Api::Debug) => {
                if let Some(debugger) = &mut run.debugger {
                    debugger.say_values(lua, &args);
                }
                lua.host_return(&[]);
            }
            Some(Api::AclCheckCmd) => match self.known_command(lua, &args) {
                Ok((command, request)) => {
                    let allowed = self.permits(client, command, request.as_args()).is_ok();
                    lua.host_return(&[Value::Bool(allowed)]);
                }
                Err(Some(text)) => raise(lua, text),
                Err(None) => raise(lua, b"ERR Invalid command passed to redis.acl_check_cmd()"),
            },
            Some(Api::RegisterFunction) => match &mut run.registering {
                Some(registering) => register(lua, registering, &args),
                None => raise(
                    lua,
                    b"ERR redis.register_function can only be called on FUNCTION LOAD command",
                ),
            },
            None => lua.host_return(&[]),
        }
    }

    /// The command that these arguments name. `Err(None)` if it does not exist.
    fn known_command(
        &self,
        lua: &Lua,
        args: &[Value],
    ) -> Result<(&'static Command, OwnedArgs), Option<&'static [u8]>> {
        if args.is_empty() {
            return Err(Some(b"ERR Please specify at least one argument for this redis lib call"));
        }
        let mut request = OwnedArgs::default();
        for &arg in args {
            match arg {
                Value::Str(s) => request.push(lua.bytes(s)),
                Value::Num(n) => request.push(argument(n).as_bytes()),
                _ => {
                    return Err(Some(
                        b"ERR Lua redis lib command arguments must be strings or integers",
                    ));
                }
            }
        }
        match self.find_command(request.as_args()) {
            Ok(command) => Ok((command, request)),
            Err(_) => Err(None),
        }
    }

    /// `redis.call`: checks and calls a command. `Err` is an error table.
    pub(super) fn script_call(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        run: &mut Run,
        lua: &mut Lua,
        args: &[Value],
    ) -> Result<Value, Value> {
        let (command, request) = match self.known_command(lua, args) {
            Ok(found) => found,
            Err(text) => {
                let text = text.unwrap_or(b"ERR Unknown Redis command called from script");
                if let Some(debugger) = &mut run.debugger {
                    let words: Vec<Vec<u8>> =
                        args.iter().filter_map(|arg| lua.to_text(*arg)).collect();
                    debugger.say_refused_call(words.iter().map(Vec::as_slice), text);
                }
                return Err(convert::error(lua, text));
            }
        };
        if let Err(error) = self.script_may_call(now, client, run, command, &request) {
            self.stats.command(command.id).rejected += 1;
            self.stats.error_text(error.as_bytes());
            if let Some(debugger) = &mut run.debugger {
                debugger.say_refused_call(request.as_args().iter(), error.as_bytes());
            }
            return Err(convert::counted_error(lua, error.as_bytes()));
        }
        run.wrote |= command.meta.flags & flag::WRITE != 0;
        let bytes = self.call_for_script(now, client, run, command, &request);
        if let Some(debugger) = &mut run.debugger {
            debugger.say_call(request.as_args(), &bytes);
        }
        match value::decode(&bytes) {
            Ok(Some((value::Value::Error(text), _))) => Err(convert::counted_error(lua, &text)),
            Ok(Some((value, _))) => Ok(convert::to_lua(lua, &value, run.proto == Proto::Resp3)),
            _ => Ok(Value::Bool(false)),
        }
    }

    /// The checks before a script calls a command.
    fn script_may_call(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        run: &mut Run,
        command: &'static Command,
        request: &OwnedArgs,
    ) -> Result<(), CommandError> {
        let flags = command.meta.flags;
        if !command.meta.takes(request.as_args().len()) {
            return Err(CommandError::text(
                "ERR Wrong number of args calling Redis command from script",
            ));
        }
        // MIGRATE would suspend the script.
        let denied = flags & flag::NOSCRIPT != 0 && !self.service.scripting.may_call_all;
        if denied || command.meta.is(special::MIGRATE) {
            return Err(CommandError::text("ERR This Redis command is not allowed from script"));
        }
        if !client.unrestricted {
            let (args, context) = (request.as_args(), Context::Script);
            self.check_permission(now, client, command, args, context).map_err(|denied| {
                let text = Self::denial(client, command, args, denied);
                CommandError::Text([b"ERR ACL failure in script: ", &text[..]].concat().into())
            })?;
        }
        if self.is_clustered() && !client.state.from_primary {
            self.script_may_use_slot(client, run, command, request)?;
        }
        let writes = flags & flag::WRITE != 0;
        if run.readonly && (writes || flags & flag::MAY_REPLICATE != 0) {
            return Err(CommandError::text(
                "ERR Write commands are not allowed from read-only scripts.",
            ));
        }
        // A script that has written is not interrupted because of a state that has changed since.
        let unstoppable = writes && run.wrote;
        if writes
            && !unstoppable
            && !client.state.from_primary
            && let Some(error) = self.write_refusal()
        {
            return Err(error);
        }
        if self.is_stale() && flags & flag::STALE == 0 {
            return Err(CommandError::text("ERR Can not execute the command on a stale replica"));
        }
        if !unstoppable && let Some(error) = self.check_role(now.mono, client, flags, (0, 0)) {
            return Err(error);
        }
        if run.out_of_memory && flags & flag::DENYOOM != 0 && !run.wrote {
            return Err(CommandError::text(
                "OOM command not allowed when used memory > 'maxmemory'.",
            ));
        }
        Ok(())
    }

    /// In a cluster: whether the keys of a command are served here, and in the same slot as the
    /// script's other keys.
    fn script_may_use_slot(
        &mut self,
        client: &mut Client,
        run: &mut Run,
        command: &'static Command,
        request: &OwnedArgs,
    ) -> Result<(), CommandError> {
        const CROSS_SLOT: &str =
            "ERR Script attempted to access keys that do not hash to the same slot";
        if let Some(refusal) = self.cluster_refusal(client, command, request.as_args()) {
            return Err(CommandError::text(match refusal.as_bytes() {
                b"CLUSTERDOWN The cluster is down and only accepts read commands" => {
                    "ERR Script attempted to execute a write command while the cluster is down and \
                     readonly"
                }
                b"CLUSTERDOWN The cluster is down" => {
                    "ERR Script attempted to execute a command while the cluster is down"
                }
                _ => "ERR Script attempted to access a non local key in a cluster node",
            }));
        }
        if run.cross_slot {
            return Ok(());
        }
        let slot = self.slot_of_request(client, command, request.as_args());
        match (run.slot, slot) {
            (Some(of_run), Some(slot)) if of_run != slot => Err(CommandError::text(CROSS_SLOT)),
            (None, Some(_)) => {
                run.slot = slot;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Calls a command with the script's client, but with a separate reply.
    fn call_for_script(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        run: &mut Run,
        command: &'static Command,
        request: &OwnedArgs,
    ) -> Vec<u8> {
        let outbox = mem::take(&mut client.outbox);
        let proto = mem::replace(&mut client.proto, run.proto);
        let replies = mem::replace(&mut client.replies, ReplyMode::On);
        let close_state = mem::replace(&mut client.close_state, CloseState::Open);
        let db = mem::replace(&mut client.state.db, run.db);
        let last_command = client.last_command;
        let executing = mem::replace(&mut self.service.executing, true);
        self.service.scripting.calling = true;
        let before = match run.replicate {
            REPLICATE_ALL => None,
            _ => Some(self.service.effects.take_commands()),
        };
        self.call(now, client, command, request.as_args());
        while client.long.is_some() {
            if let Some(copy) = client.write_slice(&mut self.scratch, &mut self.rng) {
                self.service.keyspace.free_copy_later(copy);
            }
        }
        if let Some(before) = before {
            let new = self.service.effects.take_commands();
            self.service.effects.append(before);
            self.service.effects.append(run.restrict_effects(new));
        }
        self.service.executing = executing;
        self.service.scripting.calling = false;
        client.last_command = last_command;
        run.db = mem::replace(&mut client.state.db, db);
        client.close_state = close_state;
        client.replies = replies;
        client.proto = proto;
        let written: Outbox = mem::replace(&mut client.outbox, outbox);
        let reply = written.slices().collect::<Vec<_>>().concat();
        if let Some(trace) = &mut self.service.scripting.trace {
            trace.step(request.as_args(), &reply);
        }
        reply
    }
}

/// The line that `redis.log` writes.
pub(super) fn log_line(lua: &Lua, args: &[Value]) -> Result<(LogLevel, String), &'static [u8]> {
    let [level, words @ ..] = args else {
        return Err(b"ERR redis.log() requires two arguments or more.");
    };
    if words.is_empty() {
        return Err(b"ERR redis.log() requires two arguments or more.");
    }
    let Value::Num(level) = level else {
        return Err(b"ERR First argument must be a number (log level).");
    };
    let level = match *level as i64 {
        0 => LogLevel::Debug,
        1 => LogLevel::Verbose,
        2 => LogLevel::Notice,
        3 => LogLevel::Warning,
        _ => return Err(b"ERR Invalid debug level."),
    };
    let words: Vec<String> = words
        .iter()
        .filter_map(|&word| lua.to_text(word))
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .collect();
    Ok((level, words.join(" ")))
}

/// A number as a command argument: as an integer if it is one, else with 17 digits.
fn argument(n: f64) -> String {
    let whole = n as i64;
    if whole as f64 == n { whole.to_string() } else { general_17(n) }
}

/// C's `%.17g`.
fn general_17(n: f64) -> String {
    if !n.is_finite() {
        let sign = if n.is_sign_negative() { "-" } else { "" };
        return format!("{sign}{}", if n.is_nan() { "nan" } else { "inf" });
    }
    let text = format!("{n:.16e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if !(-4..17).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(digits), exponent.unsigned_abs());
    }
    let decimals = (16 - exponent) as usize;
    trim(&format!("{n:.decimals$}"))
}

/// `redis.register_function`: by name and function, or by a table of named arguments.
pub(super) fn register(lua: &mut Lua, registering: &mut Registering, args: &[Value]) {
    match registering.register(lua, args) {
        Ok(()) => lua.host_return(&[]),
        Err(text) => raise(lua, text.as_bytes()),
    }
}
