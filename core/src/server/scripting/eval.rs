//! EVAL, EVALSHA and SCRIPT.

use std::sync::Arc;

use base16ct::lower;
use limpid_lua::{Lua, Value};
use sha1_smol::Sha1;

use super::super::client::Debugging;
use super::super::{Call, Command, Handler, Server, container, row};
use super::debugger::Debugger;
use super::run::{Kind, Run};
use super::sandbox;
use super::shebang::{self, Flags};
use crate::command::meta::{KeySpec, acl, flag, key};
use crate::command::{CommandError, Group, Row};
use crate::resp::number::parse_i64;
use crate::resp::request::Args;

/// Rows of the command table.
pub(in crate::server) static ROWS: &[Row<Handler>] = &[
    script("eval", eval, flag::MAY_REPLICATE, WRITES_ANY)
        .since("2.6.0")
        .summary("Runs a script.")
        .syntax("script numkeys#integer [key#key:0 ...] [arg ...]"),
    script("eval_ro", eval, flag::READONLY, READS_ANY)
        .since("7.0.0")
        .summary("Runs a script that does not write.")
        .syntax("script numkeys#integer [key#key:0 ...] [arg ...]"),
    script("evalsha", evalsha, flag::MAY_REPLICATE, WRITES)
        .since("2.6.0")
        .summary("Runs a script of the cache.")
        .syntax("sha1 numkeys#integer [key#key:0 ...] [arg ...]"),
    script("evalsha_ro", evalsha, flag::READONLY, READS)
        .since("7.0.0")
        .summary("Runs a script of the cache that does not write.")
        .syntax("sha1 numkeys#integer [key#key:0 ...] [arg ...]"),
    row(Group::Scripting, "script", -2, container)
        .since("2.6.0")
        .complexity("That of the subcommand.")
        .summary("A container for commands on the cache of scripts.")
        .subcommands(SUBCOMMANDS),
];

static SUBCOMMANDS: &[Row<Handler>] = &[
    sub("debug", 3, debug, 0)
        .since("3.2.0")
        .summary("Sets the mode of the debugger for the next scripts.")
        .syntax("<mode: YES | SYNC | NO>"),
    sub("exists", -3, exists, 0)
        .since("2.6.0")
        .complexity("O(N), N being the number of scripts asked for.")
        .summary("Tells which scripts are in the cache.")
        .syntax("sha1 ...")
        .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"]),
    sub("flush", -2, flush, 0)
        .since("2.6.0")
        .complexity("O(N), N being the number of scripts in the cache.")
        .summary("Empties the cache of scripts.")
        .syntax("[flush-type@6.2.0: ASYNC | SYNC]")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .history(&[("6.2.0", "New: `ASYNC` and `SYNC`.")]),
    row(Group::Scripting, "help", 2, help)
        .flags(flag::LOADING | flag::STALE)
        .acl(acl::SCRIPTING)
        .since("5.0.0")
        .summary("Tells what the subcommands do."),
    sub("kill", 2, kill, flag::ALLOW_BUSY)
        .since("2.6.0")
        .summary("Ends the script at work.")
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    sub("load", 3, load, flag::STALE)
        .since("2.6.0")
        .complexity("O(N), N being the length of the script.")
        .summary("Puts a script into the cache.")
        .syntax("script")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

const WRITTEN: u32 = key::RW | key::ACCESS | key::UPDATE;
const READ: u32 = key::RO | key::ACCESS;
const WRITES: &[KeySpec] = &[KeySpec::counted(2, WRITTEN)];
const READS: &[KeySpec] = &[KeySpec::counted(2, READ)];
pub(super) const WRITES_ANY: &[KeySpec] = &[KeySpec::counted(2, WRITTEN)
    .notes("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")];
pub(super) const READS_ANY: &[KeySpec] = &[KeySpec::counted(2, READ)
    .notes("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS")];

/// A row of a command that runs a script.
pub(super) const fn script(
    name: &'static str,
    handler: Handler,
    flags: u32,
    keys: &'static [KeySpec],
) -> Row<Handler> {
    row(Group::Scripting, name, -3, handler)
        .flags(
            flags
                | flag::NOSCRIPT
                | flag::STALE
                | flag::SKIP_MONITOR
                | flag::NO_MANDATORY_KEYS
                | flag::MOVABLEKEYS,
        )
        .acl(acl::SCRIPTING)
        .keys(keys)
        .complexity("That of the script.")
}

const fn sub(name: &'static str, arity: i16, handler: Handler, flags: u32) -> Row<Handler> {
    row(Group::Scripting, name, arity, handler).flags(flags | flag::NOSCRIPT).acl(acl::SCRIPTING)
}

/// A cached script.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) body: Arc<[u8]>,
    function: Value,
    flags: Flags,
}

/// The keys of a call, and its other arguments.
type KeysAndArgs<'a> = (Vec<&'a [u8]>, Vec<&'a [u8]>);

/// Splits the arguments after the script into keys and others.
pub(super) fn keys_and_args<'a>(args: Args<'a>) -> Result<KeysAndArgs<'a>, CommandError> {
    let count = parse_i64(args.at(2)).ok_or(CommandError::NotAnInteger)?;
    let rest: Vec<&[u8]> = args.from(3).iter().collect();
    if count > rest.len() as i64 {
        return Err(CommandError::text("ERR Number of keys can't be greater than number of args"));
    }
    let Ok(count) = usize::try_from(count) else {
        return Err(CommandError::text("ERR Number of keys can't be negative"));
    };
    let (keys, args) = rest.split_at(count);
    Ok((keys.to_vec(), args.to_vec()))
}

/// A table of strings.
pub(super) fn strings(lua: &mut Lua, items: &[&[u8]]) -> Value {
    let table = lua.table(items.len(), 0);
    for (i, item) in items.iter().enumerate() {
        let item = lua.string(item);
        lua.raw_set(table, Value::Num((i + 1) as f64), item);
    }
    Value::Table(table)
}

fn eval(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let parts = keys_and_args(call.args)?;
    if is_debugged(server, call) {
        if call.client.state.debugging == Debugging::Copy {
            return server.debug_on_copy(call.now, call.client, call.args);
        }
        return server.run_debugged(call, parts);
    }
    let sha = server.cache_script(call.arg(1))?;
    server.run_cached(call, sha, parts)
}

fn evalsha(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let sha = String::from_utf8_lossy(call.arg(1)).to_ascii_lowercase();
    if is_debugged(server, call) {
        return Err(CommandError::text("ERR Please use EVAL instead of EVALSHA for debugging"));
    }
    // A digest of another length cannot match.
    if sha.len() != 40 {
        return Err(CommandError::text("NOSCRIPT No matching script. Please use EVAL."));
    }
    let parts = keys_and_args(call.args)?;
    server.run_cached(call, sha, parts)
}

/// The SHA-1 digest in hexadecimal, which identifies a script.
pub(super) fn sha1_hex(bytes: &[u8]) -> String {
    lower::encode_string(&Sha1::from(bytes).digest().bytes())
}

/// Whether a script runs in the debugger: only if its client calls it directly.
fn is_debugged(server: &Server, call: &Call<'_>) -> bool {
    super::HAS_INTERPRETER
        && call.client.state.debugging != Debugging::No
        && !server.service.executing
        && !call.client.state.from_primary
}

impl Server {
    /// The flags of a command, combined with those of its script: a shebang line, or the
    /// registration of a function, declares whether it writes.
    #[inline]
    pub(in crate::server) fn flags_of_call(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
    ) -> u32 {
        let flags = command.meta.flags;
        let runs = flags & flag::MAY_REPLICATE != 0 && command.meta.group == Group::Scripting;
        if runs { self.flags_of_script(command, args) } else { flags }
    }

    #[cold]
    fn flags_of_script(&mut self, command: &'static Command, args: Args<'_>) -> u32 {
        let script = match command.meta.name {
            "eval" => shebang::of_script(args.at(1)).ok().map(|(flags, _)| flags),
            "evalsha" => {
                let sha = String::from_utf8_lossy(args.at(1)).to_ascii_lowercase();
                self.service.scripting.scripts.get(&sha).map(|script| script.flags)
            }
            _ => self.flags_of_function(args.at(1)),
        };
        match script {
            Some(script) if !script.unknown => script.apply_to(command.meta.flags),
            _ => command.meta.flags,
        }
    }

    fn eval_lua(&mut self) -> Arc<Lua> {
        self.service.scripting.eval.take().unwrap_or_else(|| Arc::new(sandbox::for_scripts()))
    }

    /// Compiles a script unless it is cached. Returns its digest.
    fn cache_script(&mut self, body: &[u8]) -> Result<String, CommandError> {
        let sha = sha1_hex(body);
        if self.service.scripting.scripts.contains_key(&sha) {
            return Ok(sha);
        }
        let (flags, source) = shebang::of_script(body)?;
        let mut shared = self.eval_lua();
        let lua = Arc::make_mut(&mut shared);
        let loaded = lua.load(source, b"@user_script");
        if let Ok(function) = loaded {
            lua.pin(function);
        }
        self.service.scripting.eval = Some(shared);
        match loaded {
            Ok(function) => {
                let script = Script { body: body.into(), function, flags };
                self.service.scripting.scripts.insert(sha.clone(), script);
                Ok(sha)
            }
            Err(text) => {
                Err(CommandError::quoting("ERR Error compiling script (new function): ", &text, ""))
            }
        }
    }

    fn run_cached(
        &mut self,
        call: &mut Call<'_>,
        sha: String,
        (keys, args): KeysAndArgs<'_>,
    ) -> Result<(), CommandError> {
        let script = self.service.scripting.scripts.get(&sha);
        let Some(script) = script.filter(|_| super::HAS_INTERPRETER) else {
            return Err(CommandError::text("NOSCRIPT No matching script. Please use EVAL."));
        };
        let (function, flags) = (script.function, script.flags);
        let shared = self.eval_lua();
        let run = self.start_script(call, shared, function, sha, (keys, args));
        self.run_script(call, run, flags)
    }

    /// Runs a script in the debugger. It is compiled for that, and not cached.
    fn run_debugged(
        &mut self,
        call: &mut Call<'_>,
        parts: KeysAndArgs<'_>,
    ) -> Result<(), CommandError> {
        let body = call.arg(1);
        let (flags, source) = shebang::of_script(body)?;
        let mut shared = self.eval_lua();
        let function = match Arc::make_mut(&mut shared).load_with_lines(source, b"@user_script") {
            Ok(function) => function,
            Err(text) => {
                self.service.scripting.eval = Some(shared);
                let before = "ERR Error compiling script (new function): ";
                return Err(CommandError::quoting(before, &text, ""));
            }
        };
        let sha = sha1_hex(body);
        let mut run = self.start_script(call, shared, function, sha, parts);
        run.debugger = Some(Box::new(Debugger::new(body)));
        self.log_debugging("started");
        self.run_script(call, run, flags)
    }

    /// Prepares the run of a script with its keys and arguments.
    fn start_script(
        &mut self,
        call: &Call<'_>,
        mut shared: Arc<Lua>,
        function: Value,
        sha: String,
        (keys, args): KeysAndArgs<'_>,
    ) -> Run {
        let seed = self.rng.u64() as u32;
        let lua = Arc::make_mut(&mut shared);
        let globals = lua.globals();
        for (name, items) in [("KEYS", &keys), ("ARGV", &args)] {
            let table = strings(lua, items);
            lua.raw_set_name(globals, name, table);
        }
        lua.seed_random(seed);
        lua.start(function, &[]);
        Run::new(Kind::Script, shared, sha, false, call.client.state.db)
    }
}

fn load(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let sha = server.cache_script(call.arg(2))?;
    call.reply().bulk(sha.as_bytes());
    Ok(())
}

fn exists(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let asked: Vec<&[u8]> = call.args.from(2).iter().collect();
    let scripts = &server.service.scripting.scripts;
    let mut reply = call.reply();
    reply.array(asked.len());
    for sha in asked {
        let sha = String::from_utf8_lossy(sha).to_ascii_lowercase();
        reply.integer(i64::from(scripts.contains_key(&sha)));
    }
    Ok(())
}

fn flush(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    check_flush_mode(call.args, "SCRIPT")?;
    server.service.scripting.scripts.clear();
    server.service.scripting.eval = None;
    call.ok()
}

/// Checks the mode of SCRIPT FLUSH and FUNCTION FLUSH, which makes no difference: there is little
/// to free.
pub(super) fn check_flush_mode(args: Args<'_>, container: &str) -> Result<(), CommandError> {
    let known =
        |word: &[u8]| word.eq_ignore_ascii_case(b"sync") || word.eq_ignore_ascii_case(b"async");
    let supports = if container == "SCRIPT" { "support" } else { "supports" };
    match args.len() {
        2 => Ok(()),
        3 if known(args.at(2)) => Ok(()),
        _ => Err(CommandError::composed(format!(
            "ERR {container} FLUSH only {supports} SYNC|ASYNC option"
        ))),
    }
}

fn kill(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.kill_script(Kind::Script)?;
    call.ok()
}

/// SCRIPT DEBUG.
fn debug(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    call.client.state.debugging = match call.arg(2).to_ascii_lowercase().as_slice() {
        b"no" => Debugging::No,
        b"sync" => Debugging::Live,
        b"yes" => Debugging::Copy,
        _ => return Err(CommandError::text("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    };
    call.ok()
}

fn help(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    call.reply().help(
        "SCRIPT",
        &[
            "DEBUG (YES|SYNC|NO)",
            "    Set the mode of the debugger for the next scripts.",
            "EXISTS <sha1> [<sha1> ...]",
            "    Tell which of these scripts are in the cache.",
            "FLUSH [ASYNC|SYNC]",
            "    Empty the cache of scripts.",
            "KILL",
            "    End the script at work.",
            "LOAD <script>",
            "    Put a script into the cache without running it.",
        ],
    );
    Ok(())
}
