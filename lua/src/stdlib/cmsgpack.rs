//! The cmsgpack library: MessagePack, compatible with lua-cmsgpack 0.4.

use super::library;
use crate::value::{Table, Value, to_int};
use crate::vm::{Args, Lua, MAX_C_STACK, Out, Raise};

type Done = Result<Out, Raise>;

/// The nesting level below which tables are packed as nil.
const MAX_NESTING: u32 = 16;
/// The maximum nesting depth of data to unpack.
const MAX_DEPTH: u32 = 1000;

pub(super) fn open(lua: &mut Lua) {
    let table = library(
        lua,
        "cmsgpack",
        &[
            ("pack", pack),
            ("unpack", unpack),
            ("unpack_limit", unpack_limit),
            ("unpack_one", unpack_one),
        ],
    );
    for (name, text) in [
        ("_NAME", "cmsgpack"),
        ("_VERSION", "lua-cmsgpack 0.4.0"),
        ("_COPYRIGHT", "Copyright (C) 2012, Redis Ltd."),
        ("_DESCRIPTION", "MessagePack C implementation for Lua"),
    ] {
        let text = lua.string(text.as_bytes());
        lua.raw_set_name(table, name, text);
    }
}

fn pack(lua: &mut Lua, args: Args) -> Done {
    if args.len() == 0 {
        return Err(lua.error("bad argument #0 to 'pack' (MessagePack pack needs input.)"));
    }
    let mut out = Vec::new();
    for at in 0..args.len() {
        let value = args.get(lua, at);
        put(lua, &mut out, value, 0)?;
    }
    lua.charge(out.len() / 4);
    Ok(Out::One(lua.string(&out)))
}

fn put(lua: &mut Lua, out: &mut Vec<u8>, value: Value, level: u32) -> Result<(), Raise> {
    match value {
        Value::Str(s) => {
            let bytes = lua.strings.get(s);
            let n = bytes.len();
            match n {
                0..32 => out.push(0xa0 | n as u8),
                32..=0xff => out.extend([0xd9, n as u8]),
                _ => put_length(out, 0xda, n),
            }
            out.extend_from_slice(bytes);
        }
        Value::Bool(b) => out.push(if b { 0xc3 } else { 0xc2 }),
        Value::Num(n) => put_number(out, n),
        Value::Table(table) if level < MAX_NESTING => {
            put_table(lua, out, table, level)?;
            lua.check_room(out.len())?;
        }
        _ => out.push(0xc0),
    }
    Ok(())
}

/// Writes a tag and a length of 16 or 32 bits; the tag for 32 bits is `tag` plus one.
fn put_length(out: &mut Vec<u8>, tag: u8, n: usize) {
    match u16::try_from(n) {
        Ok(n) => {
            out.push(tag);
            out.extend(n.to_be_bytes());
        }
        Err(_) => {
            out.push(tag + 1);
            out.extend((n as u32).to_be_bytes());
        }
    }
}

fn put_number(out: &mut Vec<u8>, n: f64) {
    let i = to_int(n);
    if n.is_finite() && i as f64 == n {
        put_integer(out, i);
    } else if f64::from(n as f32) == n {
        out.push(0xca);
        out.extend((n as f32).to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend(n.to_be_bytes());
    }
}

fn put_integer(out: &mut Vec<u8>, n: i64) {
    match n {
        0..=0x7f => out.push(n as u8),
        -32..0 => out.push(n as u8),
        0x80..=0xff => out.extend([0xcc, n as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend((n as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend((n as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend((n as u64).to_be_bytes());
        }
        -128..-32 => out.extend([0xd0, n as u8]),
        -32768..-128 => {
            out.push(0xd1);
            out.extend((n as i16).to_be_bytes());
        }
        -2_147_483_648..-32768 => {
            out.push(0xd2);
            out.extend((n as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend(n.to_be_bytes());
        }
    }
}

fn put_table(lua: &mut Lua, out: &mut Vec<u8>, table: Table, level: u32) -> Result<(), Raise> {
    let (mut most, mut count, mut pairs) = (0.0, 0.0, 0);
    let mut is_array = true;
    for (key, _) in lua.tables[table.0].entries() {
        pairs += 1;
        match key {
            Value::Num(n) if n > 0.0 && to_int(n) as f64 == n => {
                most = n.max(most);
                count += 1.0;
            }
            _ => is_array = false,
        }
    }
    if is_array && most == count {
        let length = lua.raw_len(table);
        match length {
            0..16 => out.push(0x90 | length as u8),
            _ => put_length(out, 0xdc, length as usize),
        }
        for i in 1..=length {
            let value = lua.tables[table.0].get_int(i);
            put(lua, out, value, level + 1)?;
        }
        return Ok(());
    }
    match pairs {
        0..16 => out.push(0x80 | pairs as u8),
        _ => put_length(out, 0xde, pairs),
    }
    let mut key = Value::Nil;
    while let Ok(Some((next, value))) = lua.tables[table.0].next(key) {
        key = next;
        put(lua, out, key, level + 1)?;
        put(lua, out, value, level + 1)?;
    }
    Ok(())
}

fn unpack(lua: &mut Lua, args: Args) -> Done {
    unpack_from(lua, args, 0, 0)
}

fn unpack_one(lua: &mut Lua, args: Args) -> Done {
    let offset = args.opt_int(lua, 1, 0)?;
    unpack_from(lua, args, 1, offset)
}

fn unpack_limit(lua: &mut Lua, args: Args) -> Done {
    let limit = args.int(lua, 1)?;
    let offset = args.opt_int(lua, 2, 0)?;
    unpack_from(lua, args, limit, offset)
}

fn unpack_from(lua: &mut Lua, args: Args, limit: i64, offset: i64) -> Done {
    let text = args.string(lua, 0)?;
    let text = lua.strings.share(text);
    let length = text.len() as i64;
    if offset < 0 || limit < 0 {
        return Err(lua.error(&format!(
            "Invalid request to unpack with offset of {offset} and limit of {length}."
        )));
    }
    if offset > length {
        return Err(
            lua.error(&format!("Start offset {offset} greater than input length {length}."))
        );
    }
    let all = limit == 0 && offset == 0;
    let limit = if all { i64::MAX } else { limit };
    lua.charge(text.len());
    let mut rest = &text[offset as usize..];
    let mut values = Vec::new();
    while !rest.is_empty() && (values.len() as i64) < limit {
        if values.len() + args.len() >= MAX_C_STACK {
            return Err(lua.error(
                "stack overflow (too many return values at once; use unpack_one or unpack_limit \
                 instead.)",
            ));
        }
        match take(lua, &mut rest, 0) {
            Ok(value) => values.push(value),
            Err(text) => return Err(lua.error(text)),
        }
        lua.check_room(0)?;
    }
    lua.out.clear();
    if !all {
        let at = if rest.is_empty() { -1 } else { length - rest.len() as i64 };
        lua.out.push(Value::Num(at as f64));
    }
    lua.out.extend(values);
    Ok(Out::List)
}

const MISSING: &str = "Missing bytes in input.";
const BAD: &str = "Bad data format in input.";

fn bytes<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], &'static str> {
    match rest.split_at_checked(count) {
        Some((taken, more)) => {
            *rest = more;
            Ok(taken)
        }
        None => Err(MISSING),
    }
}

fn big_endian(rest: &mut &[u8], count: usize) -> Result<u64, &'static str> {
    Ok(bytes(rest, count)?.iter().fold(0, |n, &b| n << 8 | u64::from(b)))
}

fn take(lua: &mut Lua, rest: &mut &[u8], depth: u32) -> Result<Value, &'static str> {
    if depth > MAX_DEPTH {
        return Err(BAD);
    }
    let tag = bytes(rest, 1)?[0];
    Ok(match tag {
        0x00..=0x7f => Value::Num(f64::from(tag)),
        0xe0..=0xff => Value::Num(f64::from(tag as i8)),
        0x80..=0x8f => take_map(lua, rest, usize::from(tag & 15), depth)?,
        0x90..=0x9f => take_array(lua, rest, usize::from(tag & 15), depth)?,
        0xa0..=0xbf => take_string(lua, rest, usize::from(tag & 31))?,
        0xc0 => Value::Nil,
        0xc2 => Value::Bool(false),
        0xc3 => Value::Bool(true),
        0xca => {
            let n = f64::from(f32::from_bits(big_endian(rest, 4)? as u32));
            Value::Num(crate::number::normalized(n))
        }
        0xcb => Value::Num(crate::number::normalized(f64::from_bits(big_endian(rest, 8)?))),
        0xcc..=0xcf => Value::Num(big_endian(rest, 1 << (tag - 0xcc))? as f64),
        0xd0 => Value::Num(f64::from(big_endian(rest, 1)? as i8)),
        0xd1 => Value::Num(f64::from(big_endian(rest, 2)? as i16)),
        0xd2 => Value::Num(f64::from(big_endian(rest, 4)? as i32)),
        0xd3 => Value::Num(big_endian(rest, 8)? as i64 as f64),
        0xc4 | 0xd9 => {
            let n = big_endian(rest, 1)? as usize;
            take_string(lua, rest, n)?
        }
        0xc5 | 0xda => {
            let n = big_endian(rest, 2)? as usize;
            take_string(lua, rest, n)?
        }
        0xc6 | 0xdb => {
            let n = big_endian(rest, 4)? as usize;
            take_string(lua, rest, n)?
        }
        0xdc => {
            let n = big_endian(rest, 2)? as usize;
            take_array(lua, rest, n, depth)?
        }
        0xdd => {
            let n = big_endian(rest, 4)? as usize;
            take_array(lua, rest, n, depth)?
        }
        0xde => {
            let n = big_endian(rest, 2)? as usize;
            take_map(lua, rest, n, depth)?
        }
        0xdf => {
            let n = big_endian(rest, 4)? as usize;
            take_map(lua, rest, n, depth)?
        }
        _ => return Err(BAD),
    })
}

fn take_string(lua: &mut Lua, rest: &mut &[u8], count: usize) -> Result<Value, &'static str> {
    let taken = bytes(rest, count)?;
    Ok(lua.string(taken))
}

fn take_array(
    lua: &mut Lua,
    rest: &mut &[u8],
    count: usize,
    depth: u32,
) -> Result<Value, &'static str> {
    let table = lua.table(0, 0);
    for i in 1..=count {
        let value = take(lua, rest, depth + 1)?;
        lua.raw_set(table, Value::Num(i as f64), value);
    }
    Ok(Value::Table(table))
}

fn take_map(
    lua: &mut Lua,
    rest: &mut &[u8],
    count: usize,
    depth: u32,
) -> Result<Value, &'static str> {
    let table = lua.table(0, 0);
    for _ in 0..count {
        let key = take(lua, rest, depth + 1)?;
        let value = take(lua, rest, depth + 1)?;
        lua.raw_set(table, key, value);
    }
    Ok(Value::Table(table))
}
