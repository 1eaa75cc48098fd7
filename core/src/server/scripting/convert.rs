//! Converting replies to Lua values, and results of scripts to replies.

use limpid_lua::{Lua, Table, Value as LuaValue};

use crate::machine::Outbox;
use crate::resp::Proto;
use crate::resp::reply::{Aggregate, Reply, Scratch};
use crate::resp::value::Value;

/// The maximum nesting of a script's result.
const MAX_DEPTH: u32 = 500;

/// Converts a Lua number to an integer, as C does.
fn integer(n: f64) -> i64 {
    match (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&n) {
        true => n as i64,
        false => i64::MIN,
    }
}

/// A table with one field.
fn single(lua: &mut Lua, name: &str, value: LuaValue) -> LuaValue {
    let table = lua.table(0, 1);
    lua.raw_set_name(table, name, value);
    LuaValue::Table(table)
}

/// The reply of a command as `redis.call` returns it. Errors become `{err=...}`.
pub(super) fn to_lua(lua: &mut Lua, value: &Value, version_3: bool) -> LuaValue {
    match value {
        Value::Integer(n) => LuaValue::Num(*n as f64),
        Value::Bulk(bytes) => lua.string(bytes),
        Value::Simple(text) => {
            let text = lua.string(text);
            single(lua, "ok", text)
        }
        Value::Error(text) => error(lua, text),
        Value::Null if version_3 => LuaValue::Nil,
        Value::Null => LuaValue::Bool(false),
        Value::Array(items) | Value::Push(items) => {
            let table = lua.table(items.len(), 0);
            for (i, item) in items.iter().enumerate() {
                let item = to_lua(lua, item, version_3);
                lua.raw_set(table, LuaValue::Num((i + 1) as f64), item);
            }
            LuaValue::Table(table)
        }
        Value::Map(pairs) => {
            let map = lua.table(0, pairs.len());
            for (key, value) in pairs {
                let key = to_lua(lua, key, version_3);
                let value = to_lua(lua, value, version_3);
                lua.raw_set(map, key, value);
            }
            single(lua, "map", LuaValue::Table(map))
        }
        Value::Set(items) => {
            let set = lua.table(0, items.len());
            for item in items {
                let item = to_lua(lua, item, version_3);
                lua.raw_set(set, item, LuaValue::Bool(true));
            }
            single(lua, "set", LuaValue::Table(set))
        }
        Value::Attributed(attributed) => to_lua(lua, &attributed.value, version_3),
        Value::Double(text) => {
            let n = crate::resp::number::parse_double(text).unwrap_or(0.0);
            single(lua, "double", LuaValue::Num(n))
        }
        Value::Bool(b) => LuaValue::Bool(*b),
        Value::BigNumber(digits) => {
            let digits = lua.string(digits);
            single(lua, "big_number", digits)
        }
        Value::Verbatim { format, text } => {
            let (format, text) = (lua.string(format), lua.string(text));
            let table = lua.table(0, 2);
            lua.raw_set_name(table, "format", format);
            lua.raw_set_name(table, "string", text);
            single(lua, "verbatim_string", LuaValue::Table(table))
        }
    }
}

/// An error table.
pub(super) fn error(lua: &mut Lua, text: &[u8]) -> LuaValue {
    let text = lua.string(text);
    single(lua, "err", text)
}

/// A field of a table, if it is a string.
pub(super) fn text_field(lua: &mut Lua, table: Table, name: &str) -> Option<Vec<u8>> {
    match lua.raw_get_name(table, name) {
        LuaValue::Str(s) => Some(lua.bytes(s).to_vec()),
        _ => None,
    }
}

/// Writes the result of a script. `version_3` says whether the script has called
/// `redis.setresp(3)`.
pub(super) fn write(lua: &mut Lua, value: LuaValue, reply: &mut Reply<'_>, version_3: bool) {
    write_nested(lua, value, reply, version_3, 0);
}

/// The result of a script, encoded in RESP2.
pub(super) fn to_bytes(lua: &mut Lua, value: LuaValue) -> Vec<u8> {
    let (mut out, mut scratch) = (Outbox::default(), Scratch::default());
    write(lua, value, &mut Reply::new(&mut out, &mut scratch, Proto::Resp2), false);
    out.slices().collect::<Vec<_>>().concat()
}

fn write_nested(
    lua: &mut Lua,
    value: LuaValue,
    reply: &mut Reply<'_>,
    version_3: bool,
    depth: u32,
) {
    if depth > MAX_DEPTH {
        return reply.error("ERR reached lua stack limit");
    }
    match value {
        LuaValue::Str(s) => reply.bulk(lua.bytes(s)),
        LuaValue::Num(n) => reply.integer(integer(n)),
        LuaValue::Bool(b) if version_3 => reply.bool(b),
        LuaValue::Bool(true) => reply.integer(1),
        LuaValue::Table(table) => write_table(lua, table, reply, version_3, depth),
        _ => reply.null(),
    }
}

fn write_table(lua: &mut Lua, table: Table, reply: &mut Reply<'_>, version_3: bool, depth: u32) {
    if let Some(text) = text_field(lua, table, "err") {
        return reply.error(error_text(&text));
    }
    if let Some(text) = text_field(lua, table, "ok") {
        let clean: Vec<u8> =
            text.iter().map(|&b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }).collect();
        return reply.raw(&[b"+", clean.as_slice(), b"\r\n"].concat());
    }
    if let LuaValue::Num(n) = lua.raw_get_name(table, "double") {
        return reply.double(n);
    }
    if let LuaValue::Table(map) = lua.raw_get_name(table, "map") {
        let pairs = entries(lua, map);
        let map = reply.begin(Aggregate::Map);
        let count = pairs.len();
        for (key, value) in pairs {
            write_nested(lua, key, reply, version_3, depth + 1);
            write_nested(lua, value, reply, version_3, depth + 1);
        }
        return reply.end(map, count);
    }
    if let LuaValue::Table(set) = lua.raw_get_name(table, "set") {
        let items = entries(lua, set);
        let set = reply.begin(Aggregate::Set);
        let count = items.len();
        for (item, _) in items {
            write_nested(lua, item, reply, version_3, depth + 1);
        }
        return reply.end(set, count);
    }
    if let Some(digits) = text_field(lua, table, "big_number") {
        let clean: Vec<u8> =
            digits.iter().map(|&b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }).collect();
        return reply.big_number(&String::from_utf8_lossy(&clean));
    }
    if let LuaValue::Table(verbatim) = lua.raw_get_name(table, "verbatim_string")
        && let Some(text) = text_field(lua, verbatim, "string")
        && let Some(format) = text_field(lua, verbatim, "format")
    {
        let format: String =
            String::from_utf8_lossy(&format).chars().chain("   ".chars()).take(3).collect();
        return reply.verbatim(&format, &text);
    }
    let array = reply.begin(Aggregate::Array);
    let mut count = 0;
    loop {
        let item = lua.raw_get(table, LuaValue::Num((count + 1) as f64));
        if item.is_nil() {
            break;
        }
        count += 1;
        write_nested(lua, item, reply, version_3, depth + 1);
    }
    reply.end(array, count);
}

fn entries(lua: &Lua, table: Table) -> Vec<(LuaValue, LuaValue)> {
    let mut entries = Vec::new();
    let mut key = LuaValue::Nil;
    while let Some((next, value)) = lua.raw_next(table, key) {
        key = next;
        entries.push((next, value));
    }
    entries
}

/// The field of an error table that has already been counted in the statistics.
const COUNTED: &str = "ignore_error_stats_update";

/// An error table that has already been counted, and is not counted again if the script returns it.
pub(super) fn counted_error(lua: &mut Lua, text: &[u8]) -> LuaValue {
    let error = error(lua, text);
    if let LuaValue::Table(table) = error {
        lua.raw_set_name(table, COUNTED, LuaValue::Bool(true));
    }
    error
}

/// The error text of a value, if it is an error table.
pub(super) fn error_of(lua: &mut Lua, value: LuaValue) -> Option<Vec<u8>> {
    let LuaValue::Table(table) = value else { return None };
    text_field(lua, table, "err").map(|text| error_text(&text).to_vec())
}

/// Whether a value is such a table.
pub(super) fn is_counted(lua: &mut Lua, value: LuaValue) -> bool {
    match value {
        LuaValue::Table(table) => lua.raw_get_name(table, COUNTED) == LuaValue::Bool(true),
        _ => false,
    }
}

/// The text of an error without the leading dash that scripts may write.
pub(super) fn error_text(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"-").unwrap_or(text)
}
