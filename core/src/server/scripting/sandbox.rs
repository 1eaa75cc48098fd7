//! The globals of scripts: the standard libraries without access to the outside, `redis`, and
//! nothing that one script could change for the next.

use limpid_lua::{Lua, Table, Value};

use crate::front::VERSION;

/// The functions of the `redis` table, which the host implements, by their tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Api {
    Call = 1,
    Pcall,
    ErrorReply,
    StatusReply,
    Sha1Hex,
    Log,
    SetResp,
    SetRepl,
    ReplicateCommands,
    Breakpoint,
    Debug,
    AclCheckCmd,
    RegisterFunction,
}

const FUNCTIONS: [(&str, Api); 12] = [
    ("call", Api::Call),
    ("pcall", Api::Pcall),
    ("error_reply", Api::ErrorReply),
    ("status_reply", Api::StatusReply),
    ("sha1hex", Api::Sha1Hex),
    ("log", Api::Log),
    ("setresp", Api::SetResp),
    ("set_repl", Api::SetRepl),
    ("replicate_commands", Api::ReplicateCommands),
    ("breakpoint", Api::Breakpoint),
    ("debug", Api::Debug),
    ("acl_check_cmd", Api::AclCheckCmd),
];

impl Api {
    pub(super) fn from_tag(tag: u32) -> Option<Api> {
        let known = FUNCTIONS.iter().map(|(_, api)| *api).chain([Api::RegisterFunction]);
        known.into_iter().find(|api| *api as u32 == tag)
    }
}

/// The globals of the language that Redis keeps.
const GLOBALS: [&str; 28] = [
    "_G",
    "_VERSION",
    "assert",
    "bit",
    "cjson",
    "cmsgpack",
    "collectgarbage",
    "coroutine",
    "error",
    "gcinfo",
    "getmetatable",
    "ipairs",
    "load",
    "loadstring",
    "math",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawset",
    "select",
    "setmetatable",
    "string",
    "struct",
    "table",
    "tonumber",
    "tostring",
];

const MORE_GLOBALS: [&str; 4] = ["type", "unpack", "xpcall", "redis"];

/// The memory limit of a server's scripts, in bytes.
const MEMORY: u64 = 512 << 20;

/// The error when a script reads an undefined global.
const PROTECTION: &str = "Script attempted to access nonexistent global variable";

/// An interpreter for EVAL.
pub(super) fn for_scripts() -> Lua {
    let mut lua = Lua::new();
    let redis = redis_table(&mut lua);
    let globals = lua.globals();
    lua.raw_set_name(globals, "redis", Value::Table(redis));
    close(&mut lua);
    lua
}

/// An interpreter for function libraries.
pub(super) fn for_functions() -> Libraries {
    let mut lua = Lua::new();
    let running = redis_table(&mut lua);
    let loading = lua.table(0, 16);
    constants(&mut lua, loading);
    for (name, api) in [("register_function", Api::RegisterFunction), ("log", Api::Log)] {
        let function = lua.host_function(api as u32);
        lua.raw_set_name(loading, name, function);
    }
    let globals = lua.globals();
    lua.raw_set_name(globals, "redis", Value::Table(running));
    let protection = close(&mut lua);
    lua.set_metatable(loading, Some(protection));
    lua.set_readonly(running, true);
    lua.set_readonly(loading, true);
    lua.pin(Value::Table(running));
    lua.pin(Value::Table(loading));
    Libraries { lua, running, loading }
}

/// An interpreter for function libraries, and its two `redis` tables.
pub(super) struct Libraries {
    pub(super) lua: Lua,
    /// The table for running functions.
    pub(super) running: Table,
    /// The table for libraries being loaded.
    pub(super) loading: Table,
}

fn redis_table(lua: &mut Lua) -> Table {
    let redis = lua.table(0, 32);
    for (name, api) in FUNCTIONS {
        let function = lua.host_function(api as u32);
        lua.raw_set_name(redis, name, function);
    }
    constants(lua, redis);
    redis
}

fn constants(lua: &mut Lua, redis: Table) {
    for (name, value) in [
        ("LOG_DEBUG", 0),
        ("LOG_VERBOSE", 1),
        ("LOG_NOTICE", 2),
        ("LOG_WARNING", 3),
        ("REPL_NONE", 0),
        ("REPL_AOF", 1),
        ("REPL_SLAVE", 2),
        ("REPL_REPLICA", 2),
        ("REPL_ALL", 3),
        ("REDIS_VERSION_NUM", version_number()),
    ] {
        lua.raw_set_name(redis, name, Value::Num(f64::from(value)));
    }
    let version = lua.string(VERSION.as_bytes());
    lua.raw_set_name(redis, "REDIS_VERSION", version);
}

/// The version as 0x00MMmmpp.
fn version_number() -> u32 {
    VERSION.split('.').fold(0, |n, part| n << 8 | part.parse::<u32>().unwrap_or(0))
}

/// Removes forbidden globals, and makes the rest read-only. Returns the metatable that rejects
/// undefined globals.
fn close(lua: &mut Lua) -> Table {
    lua.set_memory_limit(MEMORY);
    let globals = lua.globals();
    let mut names = Vec::new();
    let mut key = Value::Nil;
    while let Some((next, _)) = lua.raw_next(globals, key) {
        key = next;
        if let Value::Str(name) = next {
            let known = GLOBALS.iter().chain(&MORE_GLOBALS);
            if !known.into_iter().any(|known| known.as_bytes() == lua.bytes(name)) {
                names.push(next);
            }
        }
    }
    for name in names {
        lua.raw_set(globals, name, Value::Nil);
    }
    lua.set_caught_field("err");
    let meta = lua.table(0, 1);
    let handler = lua.failing_index(PROTECTION);
    lua.raw_set_name(meta, "__index", handler);
    lua.set_metatable(globals, Some(meta));
    lua.set_readonly(globals, true);
    lua.set_readonly(meta, true);
    for name in
        ["redis", "string", "table", "math", "coroutine", "bit", "cjson", "cmsgpack", "struct"]
    {
        if let Value::Table(table) = lua.raw_get_name(globals, name) {
            lua.set_readonly(table, true);
        }
    }
    if let Some(strings) = lua.string_metatable() {
        lua.set_readonly(strings, true);
    }
    meta
}
