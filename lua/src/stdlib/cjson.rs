//! The cjson library: JSON, compatible with lua-cjson 2.1.

use super::fill;
use crate::number::{Spec, strtod};
use crate::value::{Table, Value};
use crate::vm::{Args, Lua, Out, Raise};

type Done = Result<Out, Raise>;

/// A setting, as an index into the table of settings.
#[derive(Clone, Copy)]
enum Setting {
    SparseConvert = 1,
    SparseRatio,
    SparseSafe,
    EncodeDepth,
    DecodeDepth,
    EncodeInvalid,
    DecodeInvalid,
    KeepBuffer,
    Precision,
}

/// The maximum nesting depth, whatever the settings are.
const MAX_DEPTH: i64 = 2000;

pub(super) fn open(lua: &mut Lua) {
    let library = new_library(lua);
    let globals = lua.globals;
    lua.raw_set_name(globals, "cjson", Value::Table(library));
}

fn new_library(lua: &mut Lua) -> Table {
    let settings = lua.table(16, 0);
    for (setting, value) in [
        (Setting::SparseConvert, 0.0),
        (Setting::SparseRatio, 2.0),
        (Setting::SparseSafe, 10.0),
        (Setting::EncodeDepth, 1000.0),
        (Setting::DecodeDepth, 1000.0),
        (Setting::EncodeInvalid, 0.0),
        (Setting::DecodeInvalid, 1.0),
        (Setting::KeepBuffer, 1.0),
        (Setting::Precision, 14.0),
    ] {
        lua.raw_set(settings, Value::Num(setting as u8 as f64), Value::Num(value));
    }
    let library = lua.table(0, 16);
    fill(lua, library, &[("new", new)]);
    for (name, code) in [
        ("encode", encode as crate::vm::NativeCode),
        ("decode", decode),
        ("encode_sparse_array", encode_sparse_array),
        ("encode_max_depth", |lua, args| depth(lua, args, Setting::EncodeDepth)),
        ("decode_max_depth", |lua, args| depth(lua, args, Setting::DecodeDepth)),
        ("encode_number_precision", precision),
        ("encode_keep_buffer", |lua, args| flag(lua, args, Setting::KeepBuffer, false)),
        ("encode_invalid_numbers", |lua, args| flag(lua, args, Setting::EncodeInvalid, true)),
        ("decode_invalid_numbers", |lua, args| flag(lua, args, Setting::DecodeInvalid, false)),
    ] {
        let function = lua.native(code, vec![Value::Table(settings)]);
        lua.raw_set_name(library, name, function);
    }
    lua.raw_set_name(library, "null", Value::Light(0));
    for (name, text) in [("_NAME", "cjson"), ("_VERSION", "2.1.0")] {
        let text = lua.string(text.as_bytes());
        lua.raw_set_name(library, name, text);
    }
    library
}

fn new(lua: &mut Lua, _: Args) -> Done {
    Ok(Out::One(Value::Table(new_library(lua))))
}

fn setting(lua: &Lua, which: Setting) -> i64 {
    match lua.native_upvalue(0) {
        Value::Table(t) => match lua.tables[t.0].get_int(which as u8 as i64) {
            Value::Num(n) => n as i64,
            _ => 0,
        },
        _ => 0,
    }
}

fn set(lua: &mut Lua, which: Setting, value: i64) {
    if let Value::Table(t) = lua.native_upvalue(0) {
        lua.raw_set(t, Value::Num(which as u8 as f64), Value::Num(value as f64));
    }
}

/// Returns a setting, after changing it if an argument is given.
fn integer(
    lua: &mut Lua,
    args: Args,
    at: usize,
    which: Setting,
    low: i64,
    high: i64,
) -> Result<Value, Raise> {
    if !args.get(lua, at).is_nil() {
        let n = args.int(lua, at)?;
        if n < low || n > high {
            return Err(lua.arg_error(at, &format!("expected integer between {low} and {high}")));
        }
        set(lua, which, n);
    }
    Ok(Value::Num(setting(lua, which) as f64))
}

fn limit_args(lua: &mut Lua, args: Args, most: usize) -> Result<(), Raise> {
    match args.len() > most {
        true => Err(lua.arg_error(most, "found too many arguments")),
        false => Ok(()),
    }
}

fn depth(lua: &mut Lua, args: Args, which: Setting) -> Done {
    limit_args(lua, args, 1)?;
    Ok(Out::One(integer(lua, args, 0, which, 1, i64::from(i32::MAX))?))
}

fn precision(lua: &mut Lua, args: Args) -> Done {
    limit_args(lua, args, 1)?;
    Ok(Out::One(integer(lua, args, 0, Setting::Precision, 1, 14)?))
}

fn encode_sparse_array(lua: &mut Lua, args: Args) -> Done {
    limit_args(lua, args, 3)?;
    if !args.get(lua, 0).is_nil() {
        let on = boolean(lua, args, 0)?;
        set(lua, Setting::SparseConvert, i64::from(on));
    }
    let convert = Value::Bool(setting(lua, Setting::SparseConvert) != 0);
    let ratio = integer(lua, args, 1, Setting::SparseRatio, 0, i64::from(i32::MAX))?;
    let safe = integer(lua, args, 2, Setting::SparseSafe, 0, i64::from(i32::MAX))?;
    lua.out.clear();
    lua.out.extend([convert, ratio, safe]);
    Ok(Out::List)
}

fn boolean(lua: &mut Lua, args: Args, at: usize) -> Result<bool, Raise> {
    match args.get(lua, at) {
        Value::Bool(on) => Ok(on),
        _ => {
            let word = args.string(lua, at)?;
            match lua.bytes(word) {
                b"on" => Ok(true),
                b"off" => Ok(false),
                other => {
                    let text = format!("invalid option '{}'", String::from_utf8_lossy(other));
                    Err(lua.arg_error(at, &text))
                }
            }
        }
    }
}

/// A boolean setting, which may also be `"null"` if `may_be_null`.
fn flag(lua: &mut Lua, args: Args, which: Setting, may_be_null: bool) -> Done {
    limit_args(lua, args, 1)?;
    let null = lua.intern(b"null");
    match args.get(lua, 0) {
        Value::Nil => {}
        Value::Str(s) if may_be_null && s == null => set(lua, which, 2),
        _ => {
            let on = boolean(lua, args, 0)?;
            set(lua, which, i64::from(on));
        }
    }
    Ok(Out::One(match setting(lua, which) {
        2 => Value::Str(null),
        n => Value::Bool(n != 0),
    }))
}

// Encoding.

fn encode(lua: &mut Lua, args: Args) -> Done {
    if args.len() != 1 {
        return Err(lua.arg_error(0, "expected 1 argument"));
    }
    let mut out = Vec::new();
    let max_depth = setting(lua, Setting::EncodeDepth).min(MAX_DEPTH);
    let value = args.get(lua, 0);
    append(lua, &mut out, value, 0, max_depth)?;
    lua.charge(out.len() / 4);
    Ok(Out::One(lua.string(&out)))
}

fn cannot(lua: &mut Lua, value: Value, why: &str) -> Raise {
    let kind = value.type_name();
    lua.error(&format!("Cannot serialise {kind}: {why}"))
}

fn append(
    lua: &mut Lua,
    out: &mut Vec<u8>,
    value: Value,
    depth: i64,
    max_depth: i64,
) -> Result<(), Raise> {
    match value {
        Value::Str(s) => append_string(out, lua.strings.get(s)),
        Value::Num(n) => append_number(lua, out, value, n)?,
        Value::Bool(b) => out.extend_from_slice(if b { b"true" } else { b"false" }),
        Value::Nil | Value::Light(0) => out.extend_from_slice(b"null"),
        Value::Table(table) => {
            let depth = depth + 1;
            if depth > max_depth {
                return Err(lua.error(&format!("Cannot serialise, excessive depth ({depth})")));
            }
            match array_length(lua, table)? {
                Some(length) if length > 0 => {
                    out.push(b'[');
                    for i in 1..=length {
                        if i > 1 {
                            out.push(b',');
                        }
                        let element = lua.tables[table.0].get_int(i);
                        append(lua, out, element, depth, max_depth)?;
                    }
                    out.push(b']');
                }
                _ => append_object(lua, out, table, depth, max_depth)?,
            }
            lua.check_room(out.len())?;
        }
        other => return Err(cannot(lua, other, "type not supported")),
    }
    Ok(())
}

fn append_object(
    lua: &mut Lua,
    out: &mut Vec<u8>,
    table: Table,
    depth: i64,
    max_depth: i64,
) -> Result<(), Raise> {
    out.push(b'{');
    let mut key = Value::Nil;
    let mut first = true;
    while let Ok(Some((next, value))) = lua.tables[table.0].next(key) {
        key = next;
        if !first {
            out.push(b',');
        }
        first = false;
        match key {
            Value::Num(n) => {
                out.push(b'"');
                append_number(lua, out, key, n)?;
                out.extend_from_slice(b"\":");
            }
            Value::Str(s) => {
                append_string(out, lua.strings.get(s));
                out.push(b':');
            }
            _ => return Err(cannot(lua, key, "table key must be a number or string")),
        }
        append(lua, out, value, depth, max_depth)?;
    }
    out.push(b'}');
    Ok(())
}

/// The length of a table as an array, if it is one: its keys are positive integers and dense
/// enough.
fn array_length(lua: &mut Lua, table: Table) -> Result<Option<i64>, Raise> {
    let (mut most, mut items) = (0.0, 0.0);
    for (key, _) in lua.tables[table.0].entries() {
        match key {
            Value::Num(n) if n.floor() == n && n >= 1.0 => {
                most = n.max(most);
                items += 1.0;
            }
            _ => return Ok(None),
        }
    }
    let ratio = setting(lua, Setting::SparseRatio) as f64;
    if ratio > 0.0 && most > items * ratio && most > setting(lua, Setting::SparseSafe) as f64 {
        if setting(lua, Setting::SparseConvert) == 0 {
            return Err(cannot(lua, Value::Table(table), "excessively sparse array"));
        }
        return Ok(None);
    }
    Ok(Some(most as i64))
}

fn append_number(lua: &mut Lua, out: &mut Vec<u8>, value: Value, n: f64) -> Result<(), Raise> {
    if !n.is_finite() {
        match setting(lua, Setting::EncodeInvalid) {
            0 => return Err(cannot(lua, value, "must not be NaN or Inf")),
            2 => {
                out.extend_from_slice(b"null");
                return Ok(());
            }
            _ if n.is_nan() => {
                out.extend_from_slice(b"nan");
                return Ok(());
            }
            _ => {}
        }
    }
    let precision = Some(setting(lua, Setting::Precision) as usize);
    Spec { precision, ..Spec::default() }.write(out, b'g', n);
    Ok(())
}

fn append_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &b in text {
        match b {
            b'"' | b'\\' | b'/' => out.extend([b'\\', b]),
            8 => out.extend(b"\\b"),
            12 => out.extend(b"\\f"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..32 | 127 => out.extend(format!("\\u{b:04x}").bytes()),
            _ => out.push(b),
        }
    }
    out.push(b'"');
}

// Decoding.

fn decode(lua: &mut Lua, args: Args) -> Done {
    if args.len() != 1 {
        return Err(lua.arg_error(0, "expected 1 argument"));
    }
    let text = args.string(lua, 0)?;
    let text = lua.strings.share(text);
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(lua.error("JSON parser does not support UTF-16 or UTF-32"));
    }
    lua.charge(text.len());
    let mut reader = Reader {
        text: &text,
        at: 0,
        depth: 0,
        max_depth: setting(lua, Setting::DecodeDepth).min(MAX_DEPTH),
        invalid_numbers: setting(lua, Setting::DecodeInvalid) != 0,
    };
    let token = reader.next(lua);
    let value = reader.value(lua, token)?;
    let end = reader.next(lua);
    match end.kind {
        Kind::End => Ok(Out::One(value)),
        _ => Err(reader.unexpected(lua, "the end", &end)),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: i64,
    max_depth: i64,
    invalid_numbers: bool,
}

struct Token {
    kind: Kind,
    /// The position at which it begins.
    at: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Colon,
    Comma,
    End,
    Simple(Value),
    Wrong(&'static str),
}

impl Reader<'_> {
    fn unexpected(&self, lua: &mut Lua, expected: &str, token: &Token) -> Raise {
        let found = match token.kind {
            Kind::ObjectBegin => "T_OBJ_BEGIN",
            Kind::ObjectEnd => "T_OBJ_END",
            Kind::ArrayBegin => "T_ARR_BEGIN",
            Kind::ArrayEnd => "T_ARR_END",
            Kind::Colon => "T_COLON",
            Kind::Comma => "T_COMMA",
            Kind::End => "T_END",
            Kind::Simple(Value::Str(_)) => "T_STRING",
            Kind::Simple(Value::Num(_)) => "T_NUMBER",
            Kind::Simple(Value::Bool(_)) => "T_BOOLEAN",
            Kind::Simple(_) => "T_NULL",
            Kind::Wrong(text) => text,
        };
        let at = token.at + 1;
        lua.error(&format!("Expected {expected} but found {found} at character {at}"))
    }

    fn descend(&mut self, lua: &mut Lua) -> Result<(), Raise> {
        self.depth += 1;
        if self.depth <= self.max_depth {
            return Ok(());
        }
        let depth = self.depth;
        Err(lua.error(&format!("Found too many nested data structures ({depth})")))
    }

    fn value(&mut self, lua: &mut Lua, token: Token) -> Result<Value, Raise> {
        match token.kind {
            Kind::Simple(value) => Ok(value),
            Kind::ObjectBegin => self.object(lua),
            Kind::ArrayBegin => self.array(lua),
            _ => Err(self.unexpected(lua, "value", &token)),
        }
    }

    fn object(&mut self, lua: &mut Lua) -> Result<Value, Raise> {
        self.descend(lua)?;
        let table = lua.table(0, 0);
        let mut token = self.next(lua);
        if token.kind == Kind::ObjectEnd {
            self.depth -= 1;
            return Ok(Value::Table(table));
        }
        loop {
            let Kind::Simple(key @ Value::Str(_)) = token.kind else {
                return Err(self.unexpected(lua, "object key string", &token));
            };
            let colon = self.next(lua);
            if colon.kind != Kind::Colon {
                return Err(self.unexpected(lua, "colon", &colon));
            }
            token = self.next(lua);
            let value = self.value(lua, token)?;
            lua.raw_set(table, key, value);
            token = self.next(lua);
            match token.kind {
                Kind::ObjectEnd => break,
                Kind::Comma => token = self.next(lua),
                _ => return Err(self.unexpected(lua, "comma or object end", &token)),
            }
        }
        lua.check_room(0)?;
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn array(&mut self, lua: &mut Lua) -> Result<Value, Raise> {
        self.descend(lua)?;
        let table = lua.table(0, 0);
        let mut token = self.next(lua);
        if token.kind == Kind::ArrayEnd {
            self.depth -= 1;
            return Ok(Value::Table(table));
        }
        for i in 1.. {
            let value = self.value(lua, token)?;
            lua.raw_set(table, Value::Num(f64::from(i)), value);
            token = self.next(lua);
            match token.kind {
                Kind::ArrayEnd => break,
                Kind::Comma => token = self.next(lua),
                _ => return Err(self.unexpected(lua, "comma or array end", &token)),
            }
        }
        lua.check_room(0)?;
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn next(&mut self, lua: &mut Lua) -> Token {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        let at = self.at;
        let single = match self.text.get(at).copied().unwrap_or(0) {
            0 => return Token { kind: Kind::End, at },
            b'{' => Some(Kind::ObjectBegin),
            b'}' => Some(Kind::ObjectEnd),
            b'[' => Some(Kind::ArrayBegin),
            b']' => Some(Kind::ArrayEnd),
            b':' => Some(Kind::Colon),
            b',' => Some(Kind::Comma),
            _ => None,
        };
        if let Some(kind) = single {
            self.at += 1;
            return Token { kind, at };
        }
        let rest = &self.text[at..];
        let kind = match rest[0] {
            b'"' => return self.string(lua),
            b'-' | b'0'..=b'9' => {
                if !self.invalid_numbers && is_invalid_number(rest) {
                    Kind::Wrong("invalid number")
                } else {
                    self.number()
                }
            }
            _ if rest.starts_with(b"true") => self.word(4, Value::Bool(true)),
            _ if rest.starts_with(b"false") => self.word(5, Value::Bool(false)),
            _ if rest.starts_with(b"null") => self.word(4, Value::Light(0)),
            b'+' | b'i' | b'I' | b'n' | b'N' if self.invalid_numbers && is_invalid_number(rest) => {
                self.number()
            }
            _ => Kind::Wrong("invalid token"),
        };
        Token { kind, at }
    }

    fn word(&mut self, length: usize, value: Value) -> Kind {
        self.at += length;
        Kind::Simple(value)
    }

    fn number(&mut self) -> Kind {
        match strtod(&self.text[self.at..]) {
            Some((n, used)) => {
                self.at += used;
                Kind::Simple(Value::Num(n))
            }
            None => Kind::Wrong("invalid number"),
        }
    }

    fn string(&mut self, lua: &mut Lua) -> Token {
        let start = self.at;
        let wrong = |at, text| Token { kind: Kind::Wrong(text), at };
        let mut out = Vec::new();
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                None => return wrong(self.at, "unexpected end of string"),
                Some(b'"') => break,
                Some(b'\\') => {
                    let b = self.text.get(self.at + 1).copied().unwrap_or(0);
                    let meant = match b {
                        b'"' | b'\\' | b'/' => b,
                        b'b' => 8,
                        b'f' => 12,
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'u' => match self.unicode(&mut out) {
                            true => continue,
                            false => return wrong(self.at, "invalid unicode escape code"),
                        },
                        _ => return wrong(self.at, "invalid escape code"),
                    };
                    out.push(meant);
                    self.at += 2;
                }
                Some(&b) => {
                    out.push(b);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Token { kind: Kind::Simple(lua.string(&out)), at: start }
    }

    /// Decodes a `\u` escape of four hexadecimal digits, or a surrogate pair of them. Returns whether
    /// it was valid.
    fn unicode(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(mut code) = self.code_unit(self.at) else { return false };
        let mut used = 6;
        if code & 0xf800 == 0xd800 {
            let second = match code & 0x400 == 0 {
                true => self.code_unit(self.at + 6),
                false => None,
            };
            match second {
                Some(low) if low & 0xfc00 == 0xdc00 => {
                    code = ((code & 0x3ff) << 10 | low & 0x3ff) + 0x10000;
                    used = 12;
                }
                _ => return false,
            }
        }
        self.at += used;
        match char::from_u32(code) {
            Some(c) => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            None => return false,
        }
        true
    }

    fn code_unit(&self, at: usize) -> Option<u32> {
        let escape = self.text.get(at..at + 6)?;
        if !escape.starts_with(b"\\u") {
            return None;
        }
        let mut code = 0;
        for &b in &escape[2..] {
            code = code << 4 | char::from(b).to_digit(16)?;
        }
        Some(code)
    }
}

/// Whether a number is invalid in JSON: hexadecimal, infinite, NaN, or with leading zeros.
fn is_invalid_number(text: &[u8]) -> bool {
    let text = match text.first() {
        Some(b'+') => return true,
        Some(b'-') => &text[1..],
        _ => text,
    };
    match text.first() {
        Some(b'0') => matches!(text.get(1), Some(b'x' | b'X' | b'0'..=b'9')),
        Some(b'0'..=b'9') => false,
        _ => {
            let starts = |word: &[u8]| {
                text.len() >= word.len() && text[..word.len()].eq_ignore_ascii_case(word)
            };
            starts(b"inf") || starts(b"nan")
        }
    }
}
