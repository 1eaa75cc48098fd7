//! The struct library: packs values into bytes and unpacks them, compatible with Roberto
//! Ierusalimschy's struct 0.2.

use super::library;
use crate::value::{Value, to_int};
use crate::vm::{Args, Lua, MAX_C_STACK, Out, Raise};

type Done = Result<Out, Raise>;

/// The largest integer in bytes.
const MAX_INTEGER: usize = 32;
/// The default of `!`: the largest alignment of C types on 64-bit machines.
const MAX_ALIGNMENT: usize = 8;

pub(super) fn open(lua: &mut Lua) {
    library(lua, "struct", &[("pack", pack), ("size", size), ("unpack", unpack)]);
}

/// The parser of a format, with the byte order and alignment that it has set so far.
struct Format<'a> {
    text: &'a [u8],
    at: usize,
    big: bool,
    alignment: usize,
}

/// One item of a format.
struct Item {
    option: u8,
    size: usize,
    /// The number of padding bytes before it.
    padding: usize,
}

impl<'a> Format<'a> {
    fn new(text: &'a [u8]) -> Self {
        Format { text, at: 0, big: false, alignment: 1 }
    }

    fn number(&mut self, default: usize) -> Result<usize, String> {
        if !self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            return Ok(default);
        }
        let mut n = 0usize;
        while let Some(d @ b'0'..=b'9') = self.text.get(self.at) {
            n = n.saturating_mul(10).saturating_add(usize::from(d - b'0'));
            if n > (i32::MAX / 2) as usize {
                return Err("integral size overflow".to_owned());
            }
            self.at += 1;
        }
        Ok(n)
    }

    /// The next item that has a size; `total` is the offset before its padding.
    fn next(&mut self, total: usize) -> Result<Option<Item>, String> {
        while let Some(&option) = self.text.get(self.at) {
            self.at += 1;
            let size = match option {
                b'B' | b'b' | b'x' => 1,
                b'H' | b'h' => 2,
                b'L' | b'l' | b'T' | b'd' => 8,
                b'f' => 4,
                b'c' => self.number(1)?,
                b'i' | b'I' => {
                    let size = self.number(4)?;
                    if size > MAX_INTEGER {
                        return Err(format!(
                            "integral size {size} is larger than limit of {MAX_INTEGER}"
                        ));
                    }
                    size
                }
                b's' => 0,
                b' ' => continue,
                b'<' => {
                    self.big = false;
                    continue;
                }
                b'>' => {
                    self.big = true;
                    continue;
                }
                b'!' => {
                    let n = self.number(MAX_ALIGNMENT)?;
                    if n == 0 || n & (n - 1) != 0 {
                        return Err("alignment is not a power of 2".to_owned());
                    }
                    self.alignment = n;
                    continue;
                }
                other => {
                    return Err(format!("invalid format option '{}'", char::from(other)));
                }
            };
            let aligned = match option {
                b'c' | b's' => 1,
                _ => size.min(self.alignment),
            };
            let padding = match aligned {
                0 | 1 => 0,
                n => (n - (total & (n - 1))) & (n - 1),
            };
            return Ok(Some(Item { option, size, padding }));
        }
        Ok(None)
    }
}

/// The error for an invalid format. An error about an option is an error about the argument.
fn wrong_format(lua: &mut Lua, text: &str) -> Raise {
    match text.starts_with("invalid format") {
        true => lua.arg_error(0, text),
        false => lua.error(text),
    }
}

fn pack(lua: &mut Lua, args: Args) -> Done {
    let text = args.string(lua, 0)?;
    let text = lua.strings.share(text);
    let mut format = Format::new(super::pattern::c_string(&text));
    let mut out: Vec<u8> = Vec::new();
    let mut arg = 1;
    while let Some(item) = format.next(out.len()).map_err(|e| wrong_format(lua, &e))? {
        lua.check_room(out.len() + item.size)?;
        out.resize(out.len() + item.padding, 0);
        match item.option {
            b'x' => {
                out.push(0);
                continue;
            }
            b'f' => {
                let n = args.number(lua, arg)? as f32;
                put(&mut out, format.big, &n.to_le_bytes());
            }
            b'd' => {
                let n = args.number(lua, arg)?;
                put(&mut out, format.big, &n.to_le_bytes());
            }
            b'c' | b's' => {
                let s = args.string(lua, arg)?;
                let bytes = lua.strings.get(s);
                let size = if item.size == 0 { bytes.len() } else { item.size };
                if bytes.len() < size {
                    return Err(lua.arg_error(arg, "string too short"));
                }
                out.extend_from_slice(&bytes[..size]);
                if item.option == b's' {
                    out.push(0);
                }
            }
            _ => {
                let n = args.number(lua, arg)?;
                let n = if n < 0.0 { to_int(n) as u64 } else { n as u64 };
                // Bytes beyond 64 bits are zero.
                let mut bytes = n.to_le_bytes().to_vec();
                bytes.resize(item.size, 0);
                put(&mut out, format.big, &bytes);
            }
        }
        arg += 1;
    }
    lua.charge(out.len() / 4);
    Ok(Out::One(lua.string(&out)))
}

/// Appends bytes that are given least significant first, in the byte order of the format.
fn put(out: &mut Vec<u8>, big: bool, bytes: &[u8]) {
    match big {
        true => out.extend(bytes.iter().rev()),
        false => out.extend_from_slice(bytes),
    }
}

fn unpack(lua: &mut Lua, args: Args) -> Done {
    let (f, s) = (args.string(lua, 0)?, args.string(lua, 1)?);
    let (text, data) = (lua.strings.share(f), lua.strings.share(s));
    let mut format = Format::new(super::pattern::c_string(&text));
    let at = args.opt_int(lua, 2, 1)?;
    let Some(mut at) = at.checked_sub(1).and_then(|at| usize::try_from(at).ok()) else {
        return Err(lua.arg_error(2, "offset must be 1 or greater"));
    };
    let mut values: Vec<Value> = Vec::new();
    while let Some(item) = format.next(at).map_err(|e| wrong_format(lua, &e))? {
        at = at.saturating_add(item.padding);
        let Some(here) = data.get(at..).filter(|rest| item.size <= rest.len()) else {
            return Err(lua.arg_error(1, "data string too short"));
        };
        if values.len() + args.len() + 2 > MAX_C_STACK {
            return Err(lua.error("stack overflow (too many results)"));
        }
        let mut size = item.size;
        match item.option {
            b'x' => {}
            b'f' => {
                let bytes: [u8; 4] = ordered(here, 4, format.big).try_into().unwrap_or_default();
                let n = f64::from(f32::from_le_bytes(bytes));
                values.push(Value::Num(crate::number::normalized(n)));
            }
            b'd' => {
                let bytes: [u8; 8] = ordered(here, 8, format.big).try_into().unwrap_or_default();
                values.push(Value::Num(crate::number::normalized(f64::from_le_bytes(bytes))));
            }
            b'c' => {
                if size == 0 {
                    // The length is the previous value.
                    let Some(Value::Num(n)) = values.pop() else {
                        return Err(lua.error("format 'c0' needs a previous size"));
                    };
                    if n < 0.0 || n as usize > here.len() {
                        return Err(lua.arg_error(1, "data string too short"));
                    }
                    size = n as usize;
                }
                values.push(lua.string(&here[..size]));
            }
            b's' => {
                let Some(end) = here.iter().position(|&b| b == 0) else {
                    return Err(lua.error("unfinished string in data"));
                };
                values.push(lua.string(&here[..end]));
                size = end + 1;
            }
            option => values.push(Value::Num(integer(here, size, format.big, option))),
        }
        at += size;
    }
    lua.charge(values.len());
    values.push(Value::Num((at + 1) as f64));
    lua.out.clear();
    lua.out.extend(values);
    Ok(Out::List)
}

/// The first `size` bytes, least significant first.
fn ordered(bytes: &[u8], size: usize, big: bool) -> Vec<u8> {
    let mut bytes = bytes[..size].to_vec();
    if big {
        bytes.reverse();
    }
    bytes
}

fn integer(bytes: &[u8], size: usize, big: bool, option: u8) -> f64 {
    let bytes = ordered(bytes, size, big);
    let mut n: u64 = 0;
    for (at, &b) in bytes.iter().enumerate().take(8) {
        n |= u64::from(b) << (8 * at);
    }
    if !option.is_ascii_lowercase() {
        return n as f64;
    }
    let unused = 64 - 8 * size.clamp(1, 8) as u32;
    ((n << unused) as i64 >> unused) as f64
}

fn size(lua: &mut Lua, args: Args) -> Done {
    let text = args.string(lua, 0)?;
    let text = lua.strings.share(text);
    let mut format = Format::new(super::pattern::c_string(&text));
    let mut total: usize = 0;
    while let Some(item) = format.next(total).map_err(|e| wrong_format(lua, &e))? {
        if item.option == b's' {
            return Err(lua.arg_error(0, "variable-size format in 'size'"));
        }
        if item.option == b'c' && item.size == 0 {
            return Err(lua.arg_error(0, "variable-length format in 'size'"));
        }
        total = total.saturating_add(item.padding + item.size);
    }
    Ok(Out::One(Value::Num(total as f64)))
}
