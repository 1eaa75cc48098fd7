//! The string library. `string.format` is in `format`, pattern matching in `pattern`.

use std::sync::Arc;

use super::format::format;
use super::library;
use super::pattern::{Capture, Matcher, c_string};
use crate::value::Value;
use crate::vm::{Args, Cont, Lua, MAX_C_STACK, Out, Raise};

type Done = Result<Out, Raise>;

pub(super) fn open(lua: &mut Lua) {
    let table = library(
        lua,
        "string",
        &[
            ("byte", byte),
            ("char", char_),
            ("dump", dump),
            ("find", find),
            ("format", format),
            ("gfind", gmatch),
            ("gmatch", gmatch),
            ("gsub", gsub),
            ("len", len),
            ("lower", lower),
            ("match", match_),
            ("rep", rep),
            ("reverse", reverse),
            ("sub", sub),
            ("upper", upper),
        ],
    );
    let meta = lua.table(0, 1);
    lua.raw_set_name(meta, "__index", Value::Table(table));
    lua.string_meta = Some(meta);
}

/// Converts a position to an index that counts from 1; negative positions count from the end.
fn position(at: i64, len: usize) -> i64 {
    let at = if at < 0 { at.saturating_add(len as i64 + 1) } else { at };
    at.max(0)
}

fn byte(lua: &mut Lua, args: Args) -> Done {
    let s = args.string(lua, 0)?;
    let len = lua.bytes(s).len();
    let first = position(args.opt_int(lua, 1, 1)?, len);
    let last = position(args.opt_int(lua, 2, first)?, len).min(len as i64);
    let first = first.max(1);
    if first > last {
        return Ok(Out::Zero);
    }
    if (last - first) as usize + 1 + args.len() > MAX_C_STACK {
        return Err(lua.error("stack overflow (string slice too long)"));
    }
    lua.out.clear();
    let bytes = lua.strings.get(s)[first as usize - 1..last as usize].iter();
    lua.out.extend(bytes.map(|&b| Value::Num(f64::from(b))));
    Ok(Out::List)
}

fn char_(lua: &mut Lua, args: Args) -> Done {
    let mut bytes = Vec::with_capacity(args.len());
    for at in 0..args.len() {
        match u8::try_from(args.int(lua, at)?) {
            Ok(b) => bytes.push(b),
            Err(_) => return Err(lua.arg_error(at, "invalid value")),
        }
    }
    Ok(Out::One(lua.string(&bytes)))
}

/// The signature of precompiled code. Nothing follows it, since it cannot be loaded.
pub(super) const SIGNATURE: &[u8] = b"\x1bLua";

/// `string.dump`: returns something that is recognised as precompiled code, which `loadstring`
/// refuses.
fn dump(lua: &mut Lua, args: Args) -> Done {
    match args.function(lua, 0)? {
        Value::Function(_) => Ok(Out::One(lua.string(SIGNATURE))),
        _ => Err(lua.error("unable to dump given function")),
    }
}

fn len(lua: &mut Lua, args: Args) -> Done {
    let s = args.string(lua, 0)?;
    Ok(Out::One(Value::Num(lua.bytes(s).len() as f64)))
}

fn map(lua: &mut Lua, args: Args, f: fn(&mut Vec<u8>)) -> Done {
    let s = args.string(lua, 0)?;
    let mut bytes = lua.bytes(s).to_vec();
    lua.check_room(bytes.len())?;
    lua.charge(bytes.len() / 16);
    f(&mut bytes);
    Ok(Out::One(lua.string(&bytes)))
}

fn lower(lua: &mut Lua, args: Args) -> Done {
    map(lua, args, |bytes| bytes.make_ascii_lowercase())
}

fn upper(lua: &mut Lua, args: Args) -> Done {
    map(lua, args, |bytes| bytes.make_ascii_uppercase())
}

fn reverse(lua: &mut Lua, args: Args) -> Done {
    map(lua, args, |bytes| bytes.reverse())
}

fn rep(lua: &mut Lua, args: Args) -> Done {
    let s = args.string(lua, 0)?;
    let count = usize::try_from(args.int(lua, 1)?).unwrap_or(0);
    let unit = lua.strings.share(s);
    let size = unit.len().saturating_mul(count);
    lua.check_room(size)?;
    lua.charge(size / 16);
    let bytes = if unit.is_empty() { Vec::new() } else { unit.repeat(count) };
    Ok(Out::One(lua.string(&bytes)))
}

fn sub(lua: &mut Lua, args: Args) -> Done {
    let s = args.string(lua, 0)?;
    let len = lua.bytes(s).len();
    let first = position(args.int(lua, 1)?, len).max(1);
    let last = position(args.opt_int(lua, 2, -1)?, len).min(len as i64);
    if first > last {
        return Ok(Out::One(lua.string(b"")));
    }
    let bytes = lua.strings.share(s);
    Ok(Out::One(lua.string(&bytes[first as usize - 1..last as usize])))
}

fn find(lua: &mut Lua, args: Args) -> Done {
    search(lua, args, true)
}

fn match_(lua: &mut Lua, args: Args) -> Done {
    search(lua, args, false)
}

/// Implements `find` and `match`.
fn search(lua: &mut Lua, args: Args, is_find: bool) -> Done {
    let (s, p) = (args.string(lua, 0)?, args.string(lua, 1)?);
    let (source, pattern) = (lua.strings.share(s), lua.strings.share(p));
    let from = position(args.opt_int(lua, 2, 1)?, source.len()) - 1;
    let from = usize::try_from(from).unwrap_or(0).min(source.len());
    let plain = is_find && (!args.get(lua, 3).is_false() || !has_specials(&pattern));
    if plain {
        lua.charge(source.len() / 64);
        return Ok(match position_of(&source[from..], &pattern) {
            Some(at) => {
                let at = from + at;
                let end = at + pattern.len();
                Out::Two(Value::Num((at + 1) as f64), Value::Num(end as f64))
            }
            None => Out::One(Value::Nil),
        });
    }
    let anchored = pattern.first() == Some(&b'^');
    let mut matcher = Matcher::new(&source, &pattern[usize::from(anchored)..]);
    let mut at = from;
    let found = loop {
        match matcher.match_at(at) {
            Ok(Some(end)) => break Some(end),
            Ok(None) if anchored || at >= source.len() => break None,
            Ok(None) => at += 1,
            Err(text) => return Err(lua.error(text)),
        }
    };
    lua.charge(matcher.steps as usize / 4);
    let Some(end) = found else { return Ok(Out::One(Value::Nil)) };
    lua.out.clear();
    if is_find {
        lua.out.extend([Value::Num((at + 1) as f64), Value::Num(end as f64)]);
    }
    push_captures(lua, &matcher, at, end, !is_find)?;
    Ok(Out::List)
}

fn has_specials(pattern: &[u8]) -> bool {
    c_string(pattern).iter().any(|b| b"^$*+?.([%-".contains(b))
}

fn position_of(source: &[u8], what: &[u8]) -> Option<usize> {
    let Some(&first) = what.first() else { return Some(0) };
    let last = source.len().checked_sub(what.len())?;
    let mut at = 0;
    while at <= last {
        at += source[at..=last].iter().position(|&b| b == first)?;
        if source[at..].starts_with(what) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Appends the captures of a match to `out`; the whole match if there are none and `whole` is set.
fn push_captures(
    lua: &mut Lua,
    matcher: &Matcher<'_>,
    start: usize,
    end: usize,
    whole: bool,
) -> Result<(), Raise> {
    if matcher.captures.is_empty() && whole {
        let value = lua.string(&matcher.source[start..end]);
        lua.out.push(value);
    }
    for at in 0..matcher.captures.len() {
        let value = capture(lua, matcher, at, start, end)?;
        lua.out.push(value);
    }
    Ok(())
}

/// A capture of a match; the first capture of a pattern without captures is the whole match.
fn capture(
    lua: &mut Lua,
    matcher: &Matcher<'_>,
    at: usize,
    start: usize,
    end: usize,
) -> Result<Value, Raise> {
    match matcher.captures.get(at) {
        None if at == 0 => Ok(lua.string(&matcher.source[start..end])),
        None => Err(lua.error("invalid capture index")),
        Some((_, Capture::Open)) => Err(lua.error("unfinished capture")),
        Some(&(start, Capture::Position)) => Ok(Value::Num((start + 1) as f64)),
        Some(&(start, Capture::Length(length))) => {
            Ok(lua.string(&matcher.source[start..start + length]))
        }
    }
}

fn gmatch(lua: &mut Lua, args: Args) -> Done {
    let (s, p) = (args.string(lua, 0)?, args.string(lua, 1)?);
    let upvalues = vec![Value::Str(s), Value::Str(p), Value::Num(0.0)];
    Ok(Out::One(lua.native(gmatch_step, upvalues)))
}

fn gmatch_step(lua: &mut Lua, _: Args) -> Done {
    let (Value::Str(s), Value::Str(p), Value::Num(from)) =
        (lua.native_upvalue(0), lua.native_upvalue(1), lua.native_upvalue(2))
    else {
        return Ok(Out::Zero);
    };
    let (source, pattern) = (lua.strings.share(s), lua.strings.share(p));
    let mut matcher = Matcher::new(&source, &pattern);
    for at in from as usize..=source.len() {
        match matcher.match_at(at) {
            Ok(Some(end)) => {
                // After an empty match the search continues one byte further.
                let next = end + usize::from(end == at);
                lua.set_native_upvalue(2, Value::Num(next as f64));
                lua.charge(matcher.steps as usize / 4);
                lua.out.clear();
                push_captures(lua, &matcher, at, end, true)?;
                return Ok(Out::List);
            }
            Ok(None) => {}
            Err(text) => return Err(lua.error(text)),
        }
    }
    lua.charge(matcher.steps as usize / 4);
    Ok(Out::Zero)
}

/// A `string.gsub` in progress. It suspends when it calls a replacement function.
#[derive(Clone, Debug)]
pub(crate) struct Gsub {
    source: Arc<[u8]>,
    pattern: Arc<[u8]>,
    replacement: Value,
    /// The position to continue at.
    at: usize,
    /// The match that is being replaced.
    matched: (usize, usize),
    count: i64,
    limit: i64,
    result: Vec<u8>,
}

fn gsub(lua: &mut Lua, args: Args) -> Done {
    let (s, p) = (args.string(lua, 0)?, args.string(lua, 1)?);
    let source = lua.strings.share(s);
    let limit = args.opt_int(lua, 3, source.len() as i64 + 1)?;
    let replacement = match args.get(lua, 2) {
        v @ (Value::Str(_) | Value::Table(_) | Value::Function(_) | Value::Native(_)) => v,
        v @ Value::Num(_) => lua.as_string(v).map_or(Value::Nil, Value::Str),
        _ => return Err(lua.arg_error(2, "string/function/table expected")),
    };
    let pattern = lua.strings.share(p);
    let gsub = Gsub {
        source,
        pattern,
        replacement,
        at: 0,
        matched: (0, 0),
        count: 0,
        limit,
        result: Vec::new(),
    };
    Box::new(gsub).step(lua)
}

impl Gsub {
    /// The values that it references, for the collector.
    pub(crate) fn values(&self) -> [Value; 1] {
        [self.replacement]
    }

    /// Continues with the replacement that a function returned.
    pub(crate) fn resume(mut self: Box<Self>, lua: &mut Lua, value: Value) -> Done {
        self.replace(lua, value)?;
        if !self.pass() {
            return self.finish(lua);
        }
        self.step(lua)
    }

    fn anchored(&self) -> bool {
        self.pattern.first() == Some(&b'^')
    }

    fn step(mut self: Box<Self>, lua: &mut Lua) -> Done {
        let (source, pattern) = (self.source.clone(), self.pattern.clone());
        let mut matcher = Matcher::new(&source, &pattern[usize::from(self.anchored())..]);
        while self.count < self.limit {
            let matched = match matcher.match_at(self.at) {
                Ok(matched) => matched,
                Err(text) => return Err(lua.error(text)),
            };
            let start = self.at;
            if let Some(end) = matched {
                self.count += 1;
                self.matched = (start, end);
                match self.replacement {
                    Value::Str(s) => {
                        let template = lua.strings.share(s);
                        self.expand(lua, &matcher, &template)?;
                    }
                    Value::Table(table) => {
                        let key = capture(lua, &matcher, 0, start, end)?;
                        match lua.find_entry(table, key)? {
                            Ok(value) => self.replace(lua, value)?,
                            Err((handler, object)) => {
                                lua.charge(matcher.steps as usize / 4);
                                lua.push_cont(Cont::Gsub(self));
                                let at = lua.push_call(handler, &[object, key]);
                                return Ok(Out::Call(at, 2, 1));
                            }
                        }
                    }
                    function => {
                        lua.out.clear();
                        push_captures(lua, &matcher, start, end, true)?;
                        lua.charge(1 + matcher.steps as usize / 4);
                        let args = std::mem::take(&mut lua.out);
                        lua.push_cont(Cont::Gsub(self));
                        let at = lua.push_call(function, &args);
                        return Ok(Out::Call(at, args.len(), 1));
                    }
                }
                if self.result.len() > 1 << 20 {
                    lua.check_room(self.result.len())?;
                }
            } else {
                self.matched = (start, start);
            }
            if !self.pass() {
                break;
            }
        }
        lua.charge(matcher.steps as usize / 4);
        self.finish(lua)
    }

    /// Moves to the position after the match. False if there can be no other match.
    fn pass(&mut self) -> bool {
        let (start, end) = self.matched;
        if end > start {
            self.at = end;
        } else if start < self.source.len() {
            self.result.push(self.source[start]);
            self.at = start + 1;
        } else {
            return false;
        }
        !self.anchored()
    }

    fn finish(mut self, lua: &mut Lua) -> Done {
        let source = self.source.clone();
        if self.at < source.len() {
            self.result.extend_from_slice(&source[self.at..]);
        }
        lua.check_room(self.result.len())?;
        let result = lua.string(&self.result);
        Ok(Out::Two(result, Value::Num(self.count as f64)))
    }

    /// Appends the replacement template, with its `%1`s expanded.
    fn expand(
        &mut self,
        lua: &mut Lua,
        matcher: &Matcher<'_>,
        template: &[u8],
    ) -> Result<(), Raise> {
        let (start, end) = self.matched;
        let mut bytes = template.iter();
        while let Some(&b) = bytes.next() {
            if b != b'%' {
                self.result.push(b);
                continue;
            }
            match bytes.next() {
                Some(b'0') => self.result.extend_from_slice(&self.source[start..end]),
                Some(&digit @ b'1'..=b'9') => {
                    let value = capture(lua, matcher, usize::from(digit - b'1'), start, end)?;
                    if let Some(text) = lua.as_string(value) {
                        self.result.extend_from_slice(lua.bytes(text));
                    }
                }
                Some(&other) => self.result.push(other),
                None => self.result.push(0),
            }
        }
        Ok(())
    }

    /// Appends a value as the replacement; for false and nil, the original text.
    fn replace(&mut self, lua: &mut Lua, value: Value) -> Result<(), Raise> {
        if value.is_false() {
            let (start, end) = self.matched;
            self.result.extend_from_slice(&self.source[start..end]);
            return Ok(());
        }
        match lua.as_string(value) {
            Some(text) => {
                self.result.extend_from_slice(lua.bytes(text));
                Ok(())
            }
            None => {
                let kind = value.type_name();
                Err(lua.error(&format!("invalid replacement value (a {kind})")))
            }
        }
    }
}
