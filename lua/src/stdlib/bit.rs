//! The bit library: bitwise operations on numbers as signed 32-bit integers.

use super::library;
use crate::value::Value;
use crate::vm::{Args, Lua, NativeCode, Out, Raise};

type Done = Result<Out, Raise>;

pub(super) fn open(lua: &mut Lua) {
    let functions: &[(&str, NativeCode)] = &[
        ("arshift", |lua, args| shift(lua, args, |x, n| ((x as i32) >> n) as u32)),
        ("band", |lua, args| fold(lua, args, |x, y| x & y)),
        ("bnot", |lua, args| unary(lua, args, |x| !x)),
        ("bor", |lua, args| fold(lua, args, |x, y| x | y)),
        ("bswap", |lua, args| unary(lua, args, u32::swap_bytes)),
        ("bxor", |lua, args| fold(lua, args, |x, y| x ^ y)),
        ("lshift", |lua, args| shift(lua, args, |x, n| x << n)),
        ("rol", |lua, args| shift(lua, args, u32::rotate_left)),
        ("ror", |lua, args| shift(lua, args, u32::rotate_right)),
        ("rshift", |lua, args| shift(lua, args, |x, n| x >> n)),
        ("tobit", |lua, args| unary(lua, args, |x| x)),
        ("tohex", tohex),
    ];
    library(lua, "bit", functions);
}

/// Converts a number to 32 bits: rounded to the nearest integer, modulo 2^32.
fn bits(lua: &mut Lua, args: Args, at: usize) -> Result<u32, Raise> {
    // Adding 2^52 + 2^51 leaves the integer in the lowest bits of the mantissa.
    let n = args.number(lua, at)? + 6_755_399_441_055_744.0;
    Ok(n.to_bits() as u32)
}

fn answer(x: u32) -> Done {
    Ok(Out::One(Value::Num(f64::from(x as i32))))
}

fn unary(lua: &mut Lua, args: Args, f: fn(u32) -> u32) -> Done {
    answer(f(bits(lua, args, 0)?))
}

fn fold(lua: &mut Lua, args: Args, f: fn(u32, u32) -> u32) -> Done {
    let mut x = bits(lua, args, 0)?;
    for at in 1..args.len() {
        x = f(x, bits(lua, args, at)?);
    }
    answer(x)
}

fn shift(lua: &mut Lua, args: Args, f: fn(u32, u32) -> u32) -> Done {
    let (x, n) = (bits(lua, args, 0)?, bits(lua, args, 1)?);
    answer(f(x, n & 31))
}

fn tohex(lua: &mut Lua, args: Args) -> Done {
    let x = bits(lua, args, 0)?;
    let n = match args.get(lua, 1) {
        Value::Nil => 8,
        _ => bits(lua, args, 1)? as i32,
    };
    let digits = n.unsigned_abs().min(8) as usize;
    let text = if n < 0 { format!("{x:08X}") } else { format!("{x:08x}") };
    Ok(Out::One(lua.string(&text.as_bytes()[8 - digits..])))
}
