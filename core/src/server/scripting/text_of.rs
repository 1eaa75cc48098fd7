//! Formatting Lua values and replies for the debugger.

use limpid_lua::{Lua, Table, Value as LuaValue};

use crate::resp::quote::push_repr;
use crate::resp::value::{Value, decode};

/// The maximum depth of nested tables.
const MAX_DEPTH: u32 = 64;

/// A Lua value: strings in quotes, tables with their contents.
pub(super) fn repr_of_value(lua: &Lua, value: LuaValue) -> Vec<u8> {
    let mut out = Vec::new();
    push_value(&mut out, lua, value, 0);
    out
}

/// A reply of a command.
pub(super) fn repr_of_reply(reply: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if let Ok(Some((value, _))) = decode(reply) {
        push_reply(&mut out, &value);
    }
    out
}

fn push_value(out: &mut Vec<u8>, lua: &Lua, value: LuaValue, depth: u32) {
    match value {
        LuaValue::Str(s) => push_repr(out, lua.bytes(s)),
        LuaValue::Bool(b) => out.extend(b.to_string().bytes()),
        LuaValue::Nil => out.extend(b"nil"),
        LuaValue::Table(_) if depth >= MAX_DEPTH => out.extend(b"<max recursion level reached!>"),
        LuaValue::Table(table) => push_table(out, lua, table, depth),
        LuaValue::Num(_) => out.extend(lua.to_text(value).unwrap_or_default()),
        // A memory address would be meaningless.
        other => {
            out.push(b'"');
            out.extend(other.type_name().bytes());
            out.push(b'"');
        }
    }
}

/// `{1; 2}` if the keys are 1, 2, ..., otherwise `{["a"]=1; ["b"]=2}`.
fn push_table(out: &mut Vec<u8>, lua: &Lua, table: Table, depth: u32) {
    let (mut list, mut pairs) = (Vec::new(), Vec::new());
    let (mut is_list, mut expected) = (true, 1.0);
    let mut key = LuaValue::Nil;
    while let Some((next, value)) = lua.raw_next(table, key) {
        key = next;
        is_list &= key == LuaValue::Num(expected);
        expected += 1.0;
        if expected > 2.0 {
            list.extend(b"; ");
            pairs.extend(b"; ");
        }
        let shown = repr_of(lua, value, depth);
        list.extend(&shown);
        pairs.push(b'[');
        pairs.extend(repr_of(lua, key, depth));
        pairs.extend(b"]=");
        pairs.extend(&shown);
    }
    out.push(b'{');
    out.extend(if is_list { list } else { pairs });
    out.push(b'}');
}

fn repr_of(lua: &Lua, value: LuaValue, depth: u32) -> Vec<u8> {
    let mut out = Vec::new();
    push_value(&mut out, lua, value, depth + 1);
    out
}

fn push_reply(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Simple(text) => push_repr(out, &[b"+", &text[..]].concat()),
        Value::Error(text) => push_repr(out, &[b"-", &text[..]].concat()),
        Value::Integer(n) => out.extend(n.to_string().bytes()),
        Value::Bulk(bytes) => push_repr(out, bytes),
        Value::Null => out.extend(b"NULL"),
        Value::Array(items) | Value::Push(items) => push_items(out, items, b"[", b"]"),
        Value::Set(items) => push_items(out, items, b"~(", b")"),
        Value::Map(pairs) => {
            out.push(b'{');
            for (i, (key, value)) in pairs.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                push_reply(out, key);
                out.extend(b" => ");
                push_reply(out, value);
            }
            out.push(b'}');
        }
        Value::Attributed(attributed) => push_reply(out, &attributed.value),
        Value::Double(text) => out.extend([b"(double) ", &text[..]].concat()),
        Value::Bool(b) => out.extend(if *b { b"#true".as_slice() } else { b"#false" }),
        Value::BigNumber(digits) => out.extend(&digits[..]),
        Value::Verbatim { text, .. } => push_repr(out, text),
    }
}

fn push_items(out: &mut Vec<u8>, items: &[Value], open: &[u8], close: &[u8]) {
    out.extend(open);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_reply(out, item);
    }
    out.extend(close);
}
