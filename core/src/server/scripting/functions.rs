//! FUNCTION and FCALL: function libraries, which are part of the data.

use std::collections::BTreeMap;
use std::sync::Arc;

use limpid_lua::{Lua, Step, Table, Value};

use super::super::{Call, Handler, Server, container, row};
use super::eval::{READS_ANY, WRITES_ANY, check_flush_mode, keys_and_args, script, strings};
use super::run::{Kind, Run};
use super::sandbox::{self, Api};
use super::shebang::{self, Flags};
use super::{api, convert};
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};
use crate::glob;
use crate::machine::LogLevel;
use crate::persist::rdb;
use crate::resp::number::parse_i64;
use crate::resp::reply::Aggregate;

/// Rows of the command table.
pub(in crate::server) static ROWS: &[Row<Handler>] = &[
    script("fcall", fcall, flag::MAY_REPLICATE, WRITES_ANY)
        .since("7.0.0")
        .complexity("That of the function.")
        .summary("Calls a function.")
        .syntax("function numkeys#integer [key#key:0 ...] [arg ...]"),
    script("fcall_ro", fcall, flag::READONLY, READS_ANY)
        .since("7.0.0")
        .complexity("That of the function.")
        .summary("Calls a function that does not write.")
        .syntax("function numkeys#integer [key#key:0 ...] [arg ...]"),
    row(Group::Scripting, "function", -2, container)
        .since("7.0.0")
        .complexity("That of the subcommand.")
        .summary("A container for commands on libraries of functions.")
        .subcommands(SUBCOMMANDS),
];

const EVERYWHERE: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

static SUBCOMMANDS: &[Row<Handler>] = &[
    sub("delete", 3, delete, flag::WRITE)
        .summary("Deletes a library and its functions.")
        .syntax("library-name")
        .tips(EVERYWHERE),
    sub("dump", 2, dump, 0)
        .complexity("O(N), N being the number of functions.")
        .summary("Gives all libraries in a serialized form."),
    sub("flush", -2, flush, flag::WRITE)
        .complexity("O(N), N being the number of functions.")
        .summary("Deletes all libraries.")
        .syntax("[flush-type: ASYNC | SYNC]")
        .tips(EVERYWHERE),
    row(Group::Scripting, "help", 2, help)
        .flags(flag::LOADING | flag::STALE)
        .acl(acl::SCRIPTING)
        .since("7.0.0")
        .summary("Tells what the subcommands do."),
    sub("kill", 2, kill, flag::ALLOW_BUSY)
        .summary("Ends the function at work.")
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    sub("list", -2, list, 0)
        .complexity("O(N), N being the number of functions.")
        .summary("Lists libraries and their functions.")
        .syntax("[LIBRARYNAME library-name-pattern] [WITHCODE]")
        .tips(&["nondeterministic_output_order"]),
    sub("load", -3, load, flag::WRITE | flag::DENYOOM)
        .complexity("O(1) (considering compilation time is redundant)")
        .summary("Makes a library.")
        .syntax("[REPLACE] function-code")
        .tips(EVERYWHERE),
    sub("restore", -3, restore, flag::WRITE | flag::DENYOOM)
        .complexity("O(N), N being the number of functions in the payload.")
        .summary("Makes the libraries that a payload holds.")
        .syntax("serialized-value [policy: FLUSH | APPEND | REPLACE]")
        .tips(EVERYWHERE),
    sub("stats", 2, stats, flag::ALLOW_BUSY)
        .summary("Tells about the function at work and the engines.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
];

const fn sub(name: &'static str, arity: i16, handler: Handler, flags: u32) -> Row<Handler> {
    row(Group::Scripting, name, arity, handler)
        .flags(flags | flag::NOSCRIPT)
        .acl(acl::SCRIPTING)
        .since("7.0.0")
}

/// How many instructions a library may execute while it registers its functions.
const LOADING: u64 = 20_000_000;

/// All function libraries.
#[derive(Clone, Debug, Default)]
pub(super) struct Libraries {
    /// The interpreter, created with the first library.
    pub(super) lua: Option<Arc<Lua>>,
    /// The `redis` table of running functions, and that of libraries being loaded.
    tables: Option<(Table, Table)>,
    list: BTreeMap<String, Library>,
}

/// A library.
#[derive(Clone, Debug)]
struct Library {
    code: Vec<u8>,
    functions: BTreeMap<String, Function>,
}

/// A function of a library.
#[derive(Clone, Debug)]
struct Function {
    callback: Value,
    description: Option<Vec<u8>>,
    flags: Flags,
}

/// The functions that a library has registered so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Registering {
    functions: BTreeMap<String, Function>,
}

impl Registering {
    /// `redis.register_function`.
    pub(super) fn register(&mut self, lua: &mut Lua, args: &[Value]) -> Result<(), String> {
        let is_function = |value: Value| matches!(value, Value::Function(_) | Value::Native(_));
        let mut function =
            Function { callback: Value::Nil, description: None, flags: Flags::default() };
        let name = match *args {
            [Value::Table(named)] => {
                let mut name = None;
                let mut key = Value::Nil;
                while let Some((next, value)) = lua.raw_next(named, key) {
                    key = next;
                    let Value::Str(field) = next else {
                        return Err("ERR named argument key given to redis.register_function is \
                                    not a string"
                            .to_owned());
                    };
                    match lua.bytes(field) {
                        b"function_name" => match value {
                            Value::Str(s) => name = Some(lua.bytes(s).to_vec()),
                            _ => {
                                return Err("ERR function_name argument given to \
                                            redis.register_function must be a string"
                                    .to_owned());
                            }
                        },
                        b"description" => match value {
                            Value::Str(s) => function.description = Some(lua.bytes(s).to_vec()),
                            _ => {
                                return Err("ERR description argument given to \
                                            redis.register_function must be a string"
                                    .to_owned());
                            }
                        },
                        b"callback" => match is_function(value) {
                            true => function.callback = value,
                            false => {
                                return Err("ERR callback argument given to \
                                            redis.register_function must be a function"
                                    .to_owned());
                            }
                        },
                        b"flags" => read_flags(lua, value, &mut function.flags)?,
                        _ => {
                            return Err(
                                "ERR unknown argument given to redis.register_function".to_owned()
                            );
                        }
                    }
                }
                name.ok_or("ERR redis.register_function must get a function name argument")?
            }
            [_] => {
                return Err("ERR calling redis.register_function with a single argument is only \
                            applicable to Lua table (representing named arguments)."
                    .to_owned());
            }
            [name, callback] => {
                let name = match name {
                    Value::Str(s) => lua.bytes(s).to_vec(),
                    _ => {
                        return Err(
                            "ERR first argument to redis.register_function must be a string"
                                .to_owned(),
                        );
                    }
                };
                if !is_function(callback) {
                    return Err(
                        "ERR second argument to redis.register_function must be a function"
                            .to_owned(),
                    );
                }
                function.callback = callback;
                name
            }
            _ => return Err("ERR wrong number of arguments to redis.register_function".to_owned()),
        };
        if function.callback.is_nil() {
            return Err("ERR redis.register_function must get a callback argument".to_owned());
        }
        let name = shebang::check_name(&name)
            .map_err(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())?;
        if self.functions.keys().any(|own| own.eq_ignore_ascii_case(&name)) {
            return Err("ERR Function already exists in the library".to_owned());
        }
        lua.pin(function.callback);
        self.functions.insert(name, function);
        Ok(())
    }
}

fn read_flags(lua: &mut Lua, value: Value, flags: &mut Flags) -> Result<(), String> {
    let Value::Table(list) = value else {
        return Err("ERR flags argument to redis.register_function must be a table representing \
                    function flags"
            .to_owned());
    };
    for i in 1..=lua.raw_len(list) {
        let known = match lua.raw_get(list, Value::Num(i as f64)) {
            Value::Str(s) => flags.add(lua.bytes(s)),
            _ => false,
        };
        if !known {
            return Err("ERR unknown flag given".to_owned());
        }
    }
    Ok(())
}

impl Libraries {
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    pub(super) fn function_count(&self) -> usize {
        self.list.values().map(|library| library.functions.len()).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.list.values().map(|library| library.code.len() as u64).sum()
    }

    fn function<'l>(&'l self, name: &str) -> Option<&'l Function> {
        // Names that differ only in case are distinct when registered, but lookups ignore case.
        let named = |library: &'l Library| {
            let mut functions = library.functions.iter();
            functions.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, function)| function)
        };
        self.list.values().find_map(named)
    }

    /// Loads a library. Returns its name, or the error of FUNCTION LOAD.
    fn load(
        &mut self,
        code: &[u8],
        replace: bool,
        log: &mut dyn FnMut(LogLevel, String),
    ) -> Result<String, CommandError> {
        let (name, source) = shebang::of_library(code)?;
        if self.list.contains_key(&name) && !replace {
            return Err(CommandError::composed(format!("ERR Library '{name}' already exists")));
        }
        let (mut shared, tables) = match (self.lua.take(), self.tables) {
            (Some(lua), Some(tables)) => (lua, tables),
            _ => {
                let made = sandbox::for_functions();
                (Arc::new(made.lua), (made.running, made.loading))
            }
        };
        let lua = Arc::make_mut(&mut shared);
        let loaded = register_all(lua, tables, source, log);
        self.tables = Some(tables);
        let result = loaded.and_then(|functions| {
            let taken = |function: &String| {
                self.list.iter().any(|(other, library)| {
                    let mut own = library.functions.keys();
                    *other != name && own.any(|own| own.eq_ignore_ascii_case(function))
                })
            };
            match functions.keys().find(|function| taken(function)) {
                Some(function) => {
                    let error = format!("ERR Function {function} already exists");
                    unpin(lua, &functions);
                    Err(CommandError::composed(error))
                }
                None => Ok(functions),
            }
        });
        let result = result.map(|functions| {
            let library = Library { code: code.to_vec(), functions };
            if let Some(old) = self.list.insert(name.clone(), library) {
                unpin(lua, &old.functions);
            }
            name
        });
        self.lua = Some(shared);
        result
    }

    fn delete(&mut self, name: &str) -> bool {
        let Some(library) = self.list.remove(name) else { return false };
        if let Some(shared) = &mut self.lua {
            unpin(Arc::make_mut(shared), &library.functions);
        }
        true
    }
}

fn unpin(lua: &mut Lua, functions: &BTreeMap<String, Function>) {
    for function in functions.values() {
        lua.unpin(function.callback);
    }
}

/// Hides the globals: while a library is being loaded there is only `redis`, since what it
/// registers must not depend on mutable state.
fn hide_globals(lua: &mut Lua, globals: Table) -> Table {
    let aside = lua.table(0, 40);
    lua.pin(Value::Table(aside));
    move_all(lua, globals, aside);
    aside
}

/// Restores the globals.
fn restore_globals(lua: &mut Lua, aside: Table, globals: Table) {
    move_all(lua, aside, globals);
    lua.unpin(Value::Table(aside));
}

fn move_all(lua: &mut Lua, from: Table, to: Table) {
    let mut key = Value::Nil;
    while let Some((next, value)) = lua.raw_next(from, key) {
        key = next;
        lua.raw_set(to, next, value);
        lua.raw_set(from, next, Value::Nil);
    }
}

/// Runs the source of a library, which registers its functions.
fn register_all(
    lua: &mut Lua,
    (running, loading): (Table, Table),
    source: &[u8],
    log: &mut dyn FnMut(LogLevel, String),
) -> Result<BTreeMap<String, Function>, CommandError> {
    let main = lua
        .load(source, b"@user_function")
        .map_err(|text| CommandError::quoting("ERR Error compiling function: ", &text, ""))?;
    let globals = lua.globals();
    let aside = hide_globals(lua, globals);
    lua.raw_set_name(globals, "redis", Value::Table(loading));
    lua.start(main, &[]);
    let mut registering = Registering::default();
    let mut left = LOADING;
    let failed = loop {
        match lua.run(left) {
            Step::Done => break None,
            Step::Paused => {
                lua.abort();
                break Some(b"ERR FUNCTION LOAD timeout".to_vec());
            }
            // Libraries are not compiled for the debugger.
            Step::Line => left = lua.budget_left().max(0).unsigned_abs(),
            Step::Host(tag) => {
                left = lua.budget_left().max(0).unsigned_abs();
                let args = lua.host_args().to_vec();
                match Api::from_tag(tag) {
                    Some(Api::RegisterFunction) => api::register(lua, &mut registering, &args),
                    Some(Api::Log) => match api::log_line(lua, &args) {
                        Ok((level, text)) => {
                            log(level, text);
                            lua.host_return(&[]);
                        }
                        Err(text) => api::raise(lua, text),
                    },
                    _ => lua.host_return(&[]),
                }
            }
            Step::Failed(failure) => {
                break Some(match failure.value {
                    Value::Table(table) => {
                        convert::text_field(lua, table, "err").unwrap_or_default()
                    }
                    other => [b"ERR ", lua.to_text(other).unwrap_or_default().as_slice()].concat(),
                });
            }
        }
    };
    restore_globals(lua, aside, globals);
    lua.raw_set_name(globals, "redis", Value::Table(running));
    if let Some(text) = failed {
        unpin(lua, &registering.functions);
        return Err(CommandError::quoting("ERR Error registering functions: ", &text, ""));
    }
    if registering.functions.is_empty() {
        return Err(CommandError::text("ERR No functions registered"));
    }
    Ok(registering.functions)
}

impl Server {
    /// The flags of a function, after loading libraries that came with the data.
    pub(super) fn flags_of_function(&mut self, name: &[u8]) -> Option<Flags> {
        self.sync_libraries();
        let name = String::from_utf8_lossy(name);
        self.service.scripting.libraries.function(&name).map(|function| function.flags)
    }

    fn sync_libraries(&mut self) {
        let sources = &self.service.persistence.libraries;
        let own = self.service.scripting.libraries.list.values().map(|library| &library.code);
        if sources.iter().eq(own) {
            return;
        }
        let mut libraries = Libraries::default();
        let mut lines = Vec::new();
        for source in sources {
            let loaded = libraries.load(source, true, &mut |level, text| lines.push((level, text)));
            if let Err(error) = loaded {
                lines.push((
                    LogLevel::Warning,
                    format!(
                        "A library of functions that came with the data does not load: {error}"
                    ),
                ));
            }
        }
        self.service.scripting.libraries = libraries;
        // In the order of their names, which the next comparison expects.
        self.libraries_changed();
        for (level, text) in lines {
            self.log(level, || text);
        }
    }

    /// Updates the libraries for snapshots and full syncs.
    fn libraries_changed(&mut self) {
        let libraries = &self.service.scripting.libraries;
        self.service.persistence.libraries =
            libraries.list.values().map(|library| library.code.clone()).collect();
    }

    fn load_library(&mut self, code: &[u8], replace: bool) -> Result<String, CommandError> {
        let mut lines = Vec::new();
        let result = self
            .service
            .scripting
            .libraries
            .load(code, replace, &mut |level, text| lines.push((level, text)));
        for (level, text) in lines {
            self.log(level, || text);
        }
        result
    }

    /// A command has changed the libraries: counts it as a change of the data, and propagates it.
    fn changed_libraries(&mut self, call: &Call<'_>) {
        self.libraries_changed();
        self.service.effects.begin(self.service.consumers);
        self.service.effects.propagate(call.client.state.db, call.args.iter());
        self.service.dirty += 1;
    }
}

fn fcall(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.sync_libraries();
    let name = String::from_utf8_lossy(call.arg(1)).into_owned();
    let libraries = &server.service.scripting.libraries;
    let function = libraries.function(&name).filter(|_| super::HAS_INTERPRETER);
    let Some(function) = function else {
        return Err(CommandError::text("ERR Function not found"));
    };
    let (callback, flags) = (function.callback, function.flags);
    if parse_i64(call.arg(2)).is_none() {
        return Err(CommandError::text("ERR Bad number of keys provided"));
    }
    let (keys, args) = keys_and_args(call.args)?;
    let seed = server.rng.u64() as u32;
    let mut shared = server.service.scripting.libraries.lua.take().unwrap_or_default();
    let lua = Arc::make_mut(&mut shared);
    let (keys, args) = (strings(lua, &keys), strings(lua, &args));
    lua.seed_random(seed);
    lua.start(callback, &[keys, args]);
    let run = Run::new(Kind::Function, shared, name, false, call.client.state.db);
    server.run_script(call, run, flags)
}

fn load(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let words: Vec<&[u8]> = call.args.from(2).iter().collect();
    let Some((code, options)) = words.split_last() else {
        return Err(CommandError::arity("function|load"));
    };
    let unknown = options.iter().find(|option| !option.eq_ignore_ascii_case(b"replace"));
    if let Some(option) = unknown {
        return Err(CommandError::quoting("ERR Unknown option given: ", option, ""));
    }
    let replace = !options.is_empty();
    server.sync_libraries();
    let name = server.load_library(code, replace)?;
    server.changed_libraries(call);
    call.reply().bulk(name.as_bytes());
    Ok(())
}

fn delete(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.sync_libraries();
    let name = String::from_utf8_lossy(call.arg(2)).into_owned();
    if !server.service.scripting.libraries.delete(&name) {
        return Err(CommandError::text("ERR Library not found"));
    }
    server.changed_libraries(call);
    call.ok()
}

fn flush(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.args.len() > 3 {
        return Err(CommandError::subcommand_syntax("FUNCTION", call.arg(1)));
    }
    check_flush_mode(call.args, "FUNCTION")?;
    server.service.scripting.libraries = Libraries::default();
    server.changed_libraries(call);
    call.ok()
}

fn list(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let mut pattern: Option<&[u8]> = None;
    let mut with_code = false;
    let mut at = 2;
    while let Some(word) = call.args.get(at) {
        at += 1;
        if !with_code && word.eq_ignore_ascii_case(b"withcode") {
            with_code = true;
        } else if pattern.is_none() && word.eq_ignore_ascii_case(b"libraryname") {
            let Some(given) = call.args.get(at) else {
                return Err(CommandError::text("ERR library name argument was not given"));
            };
            pattern = Some(given);
            at += 1;
        } else {
            return Err(CommandError::quoting("ERR Unknown argument ", word, ""));
        }
    }
    server.sync_libraries();
    let all = &server.service.scripting.libraries.list;
    let matching: Vec<_> = all
        .iter()
        .filter(|(name, _)| pattern.is_none_or(|p| glob::matches_ignoring_case(p, name.as_bytes())))
        .collect();
    let mut reply = call.reply();
    reply.array(matching.len());
    for (name, library) in matching {
        reply.map(3 + usize::from(with_code));
        reply.bulk(b"library_name");
        reply.bulk(name.as_bytes());
        reply.bulk(b"engine");
        reply.bulk(b"LUA");
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        for (name, function) in &library.functions {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(name.as_bytes());
            reply.bulk(b"description");
            match &function.description {
                Some(text) => reply.bulk(text),
                None => reply.null(),
            }
            reply.bulk(b"flags");
            reply.aggregate(Aggregate::Set, function.flags.names().count());
            for flag in function.flags.names() {
                reply.simple(flag);
            }
        }
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    Ok(())
}

fn stats(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if !server.script_is_paused() {
        server.sync_libraries();
    }
    let running = server.running_function(call.now.mono);
    let libraries = &server.service.scripting.libraries;
    let (count, functions) = (libraries.count(), libraries.function_count());
    let mut reply = call.reply();
    reply.map(2);
    reply.bulk(b"running_script");
    match running {
        Some((name, args, took)) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(name.as_bytes());
            reply.bulk(b"command");
            reply.array(args.as_args().len());
            for arg in args.as_args().iter() {
                reply.bulk(arg);
            }
            reply.bulk(b"duration_ms");
            reply.integer(took as i64);
        }
        None => reply.null(),
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.integer(count as i64);
    reply.bulk(b"functions_count");
    reply.integer(functions as i64);
    Ok(())
}

fn kill(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.kill_script(Kind::Function)?;
    call.ok()
}

fn dump(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.sync_libraries();
    let libraries = &server.service.scripting.libraries.list;
    let payload = rdb::dump_libraries(libraries.values().map(|library| library.code.as_slice()));
    call.reply().bulk(&payload);
    Ok(())
}

fn restore(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let policy = match call.args.len() {
        3 => b"append".to_vec(),
        4 => call.arg(3).to_ascii_lowercase(),
        _ => {
            return Err(CommandError::subcommand_syntax("FUNCTION", call.arg(1)));
        }
    };
    if !matches!(policy.as_slice(), b"flush" | b"append" | b"replace") {
        return Err(CommandError::text(
            "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
        ));
    }
    let sources = match rdb::restore_libraries(call.arg(2)) {
        Ok(sources) => sources,
        Err(rdb::PayloadError::Footer) => {
            return Err(CommandError::text("ERR DUMP payload version or checksum are wrong"));
        }
        Err(rdb::PayloadError::NotALibrary) => {
            return Err(CommandError::text("ERR given type is not a function"));
        }
        Err(rdb::PayloadError::Value { .. }) => {
            return Err(CommandError::text("ERR failed loading functions data"));
        }
    };
    server.sync_libraries();
    // All of them or none.
    let before = server.service.scripting.libraries.clone();
    if policy == b"flush" {
        server.service.scripting.libraries = Libraries::default();
    }
    for source in sources {
        let library = shebang::of_library(&source).ok().map(|(name, _)| name);
        let libraries = &server.service.scripting.libraries;
        let taken =
            library.filter(|name| policy != b"replace" && libraries.list.contains_key(name));
        let result = match taken {
            Some(name) => Err(CommandError::composed(format!("ERR Library {name} already exists"))),
            None => server.load_library(&source, policy == b"replace").map(drop),
        };
        if let Err(error) = result {
            server.service.scripting.libraries = before;
            return Err(error);
        }
    }
    server.changed_libraries(call);
    call.ok()
}

fn help(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    call.reply().help(
        "FUNCTION",
        &[
            "LOAD [REPLACE] <FUNCTION CODE>",
            "    Make a library of this source.",
            "DELETE <LIBRARY NAME>",
            "    Delete a library.",
            "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
            "    List libraries: their names, engines and functions, and with WITHCODE their",
            "    sources.",
            "STATS",
            "    Tell about the function at work (its name, its command and since how many",
            "    milliseconds it runs), and about the engines.",
            "KILL",
            "    End the function at work.",
            "FLUSH [ASYNC|SYNC]",
            "    Delete all libraries.",
            "DUMP",
            "    Give all libraries in a serialized form, which FUNCTION RESTORE takes.",
            "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
            "    Make the libraries that the payload holds:",
            "    * FLUSH: delete those that are there first.",
            "    * APPEND: keep those that are there; one of the same name fails the command.",
            "    * REPLACE: replace those of the same names.",
        ],
    );
    Ok(())
}
