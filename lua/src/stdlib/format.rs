//! `string.format`.

use crate::number::Spec;
use crate::value::to_int;
use crate::vm::{Args, Lua, Out, Raise};

/// Strings from this length on are inserted unchanged by a `%s` without a precision.
const LONG: usize = 100;

pub(super) fn format(lua: &mut Lua, args: Args) -> Result<Out, Raise> {
    let template = args.string(lua, 0)?;
    let template = lua.strings.share(template);
    let mut out = Vec::with_capacity(template.len() + 16);
    let mut at = 0;
    let mut arg = 0;
    while let Some(&b) = template.get(at) {
        at += 1;
        if b != b'%' {
            out.push(b);
            continue;
        }
        if template.get(at) == Some(&b'%') {
            out.push(b'%');
            at += 1;
            continue;
        }
        arg += 1;
        if arg >= args.len() {
            return Err(lua.arg_error(arg, "no value"));
        }
        let spec = match read_spec(&template, &mut at) {
            Ok(spec) => spec,
            Err(text) => return Err(lua.error(text)),
        };
        let conversion = template.get(at).copied().unwrap_or(0);
        at += 1;
        convert(lua, args, arg, spec, conversion, &mut out)?;
        lua.check_room(out.len())?;
    }
    lua.charge(out.len() / 16);
    Ok(Out::One(lua.string(&out)))
}

/// Parses flags, width and precision.
fn read_spec(template: &[u8], at: &mut usize) -> Result<Spec, &'static str> {
    let mut spec = Spec::default();
    let start = *at;
    while let Some(&b) = template.get(*at) {
        match b {
            b'-' => spec.left = true,
            b'+' => spec.plus = true,
            b' ' => spec.space = true,
            b'#' => spec.alternate = true,
            b'0' => spec.zero = true,
            _ => break,
        }
        *at += 1;
    }
    if *at - start >= 6 {
        return Err("invalid format (repeated flags)");
    }
    let digits = |at: &mut usize| {
        let mut n = 0;
        for _ in 0..2 {
            match template.get(*at) {
                Some(d @ b'0'..=b'9') => n = n * 10 + usize::from(d - b'0'),
                _ => break,
            }
            *at += 1;
        }
        n
    };
    spec.width = digits(at);
    if template.get(*at) == Some(&b'.') {
        *at += 1;
        spec.precision = Some(digits(at));
    }
    if template.get(*at).is_some_and(u8::is_ascii_digit) {
        return Err("invalid format (width or precision too long)");
    }
    Ok(spec)
}

fn convert(
    lua: &mut Lua,
    args: Args,
    arg: usize,
    spec: Spec,
    conversion: u8,
    out: &mut Vec<u8>,
) -> Result<(), Raise> {
    match conversion {
        b'c' => {
            let b = args.number(lua, arg).map(to_int)? as u8;
            // Output stops at a NUL byte, as in C.
            let text: &[u8] = if b == 0 { &[] } else { &[b] };
            let width =
                if b == 0 && !spec.left { spec.width.saturating_sub(1) } else { spec.width };
            let width = if b == 0 && spec.left { 0 } else { width };
            Spec { precision: None, width, ..spec }.write_text(out, text);
        }
        b'd' | b'i' => spec.write_signed(out, to_int(args.number(lua, arg)?)),
        b'o' | b'u' | b'x' | b'X' => {
            let n = args.number(lua, arg)?;
            let n = if n >= 9_223_372_036_854_775_808.0 { n as u64 } else { to_int(n) as u64 };
            spec.write_unsigned(out, conversion, n);
        }
        b'e' | b'E' | b'f' | b'g' | b'G' => {
            let n = args.number(lua, arg)?;
            spec.write(out, conversion, n);
        }
        b'q' => {
            let s = args.string(lua, arg)?;
            quote(lua.bytes(s), out);
        }
        b's' => {
            let s = args.string(lua, arg)?;
            let text = lua.strings.get(s);
            if spec.precision.is_none() && text.len() >= LONG {
                out.extend_from_slice(text);
            } else {
                spec.write_text(out, super::pattern::c_string(text));
            }
        }
        _ => {
            let shown = match conversion {
                0 => String::new(),
                b => char::from(b).to_string(),
            };
            return Err(lua.error(&format!("invalid option '%{shown}' to 'format'")));
        }
    }
    Ok(())
}

/// Appends a string as a quoted literal that the lexer can read (`%q`).
fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &b in text {
        match b {
            b'"' | b'\\' | b'\n' => out.extend([b'\\', b]),
            b'\r' => out.extend(b"\\r"),
            0 => out.extend(b"\\000"),
            _ => out.push(b),
        }
    }
    out.push(b'"');
}
