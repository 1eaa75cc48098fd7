//! The math library. Inexact functions come from the `libm` crate on every platform, and
//! `math.random` is the generator of Redis.

use super::library;
use crate::value::{Value, to_int};
use crate::vm::{Args, Lua, Out, Raise, arith};

type Done = Result<Out, Raise>;

/// The divisor of `math.random`: the largest positive 32-bit integer.
const RANDOM_MAX: u64 = 0x7fff_ffff;

macro_rules! functions {
    ($($name:literal => $f:expr),* $(,)?) => {
        &[$(($name, |lua, args| {
            let x = args.number(lua, 0)?;
            let f: fn(f64) -> f64 = $f;
            Ok(Out::One(Value::Num(normalize_nan(f(x), x))))
        })),*]
    };
}

/// The NaN with a clear sign bit, which some functions of the C library return.
const POSITIVE_NAN: u64 = 0x7ff8_0000_0000_0001;

fn unsigned_nan(n: f64) -> f64 {
    if n.is_nan() { f64::from_bits(POSITIVE_NAN) } else { n }
}

/// Normalizes a NaN result: for an invalid argument its sign bit is set, as on x86-64 with glibc,
/// except for a few functions; a NaN argument is passed through.
fn normalize_nan(n: f64, x: f64) -> f64 {
    match n.is_nan() {
        true if x.is_nan() => x,
        true if n.to_bits() == POSITIVE_NAN => n,
        true => -f64::NAN.abs(),
        false => n,
    }
}

pub(super) fn open(lua: &mut Lua) {
    let table = library(
        lua,
        "math",
        functions! {
            "acos" => |x| unsigned_nan(libm::acos(x)),
            "asin" => |x| unsigned_nan(libm::asin(x)),
            "atan" => libm::atan,
            "ceil" => f64::ceil,
            "cos" => libm::cos,
            "cosh" => libm::cosh,
            "deg" => |x| x / (std::f64::consts::PI / 180.0),
            "exp" => libm::exp,
            "floor" => f64::floor,
            "log" => libm::log,
            "log10" => |x| unsigned_nan(libm::log10(x)),
            "rad" => |x| x * (std::f64::consts::PI / 180.0),
            "sin" => libm::sin,
            "sinh" => libm::sinh,
            "sqrt" => f64::sqrt,
            "tan" => libm::tan,
            "tanh" => libm::tanh,
        },
    );
    super::fill(
        lua,
        table,
        &[
            ("abs", abs),
            ("atan2", atan2),
            ("fmod", fmod),
            ("frexp", frexp),
            ("ldexp", ldexp),
            ("max", max),
            ("min", min),
            ("mod", fmod),
            ("modf", modf),
            ("pow", pow),
            ("random", random),
            ("randomseed", randomseed),
        ],
    );
    lua.raw_set_name(table, "pi", Value::Num(std::f64::consts::PI));
    lua.raw_set_name(table, "huge", Value::Num(f64::INFINITY));
}

fn abs(lua: &mut Lua, args: Args) -> Done {
    Ok(Out::One(Value::Num(args.number(lua, 0)?.abs())))
}

fn atan2(lua: &mut Lua, args: Args) -> Done {
    let (y, x) = (args.number(lua, 0)?, args.number(lua, 1)?);
    Ok(Out::One(Value::Num(libm::atan2(y, x))))
}

fn fmod(lua: &mut Lua, args: Args) -> Done {
    let (x, y) = (args.number(lua, 0)?, args.number(lua, 1)?);
    let n = x % y;
    let n = if n.is_nan() { normalize_nan(n, if x.is_nan() { x } else { y }) } else { n };
    Ok(Out::One(Value::Num(n)))
}

fn frexp(lua: &mut Lua, args: Args) -> Done {
    let (fraction, exponent) = libm::frexp(args.number(lua, 0)?);
    Ok(Out::Two(Value::Num(fraction), Value::Num(f64::from(exponent))))
}

fn ldexp(lua: &mut Lua, args: Args) -> Done {
    let (x, exponent) = (args.number(lua, 0)?, args.int(lua, 1)?);
    let exponent = exponent.clamp(-100_000, 100_000) as i32;
    Ok(Out::One(Value::Num(libm::ldexp(x, exponent))))
}

fn modf(lua: &mut Lua, args: Args) -> Done {
    let x = args.number(lua, 0)?;
    let whole = x.trunc();
    let fraction = if x.is_infinite() { 0.0f64.copysign(x) } else { (x - whole).copysign(x) };
    Ok(Out::Two(Value::Num(whole), Value::Num(fraction)))
}

fn pow(lua: &mut Lua, args: Args) -> Done {
    let (x, y) = (args.number(lua, 0)?, args.number(lua, 1)?);
    Ok(Out::One(Value::Num(arith(crate::compile::opcode::POW, x, y))))
}

fn max(lua: &mut Lua, args: Args) -> Done {
    let mut most = args.number(lua, 0)?;
    for at in 1..args.len() {
        let n = args.number(lua, at)?;
        if n > most {
            most = n;
        }
    }
    Ok(Out::One(Value::Num(most)))
}

fn min(lua: &mut Lua, args: Args) -> Done {
    let mut least = args.number(lua, 0)?;
    for at in 1..args.len() {
        let n = args.number(lua, at)?;
        if n < least {
            least = n;
        }
    }
    Ok(Out::One(Value::Num(least)))
}

/// The next 31 bits of the generator: a 48-bit linear congruential generator, POSIX's `lrand48`.
fn next_random(lua: &mut Lua) -> u64 {
    lua.random = lua.random.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & 0xffff_ffff_ffff;
    lua.random >> 17
}

fn random(lua: &mut Lua, args: Args) -> Done {
    let r = (next_random(lua) % RANDOM_MAX) as f64 / RANDOM_MAX as f64;
    let n = match args.len() {
        0 => r,
        1 => {
            let high = args.int(lua, 0)?;
            if high < 1 {
                return Err(lua.arg_error(0, "interval is empty"));
            }
            (r * high as f64).floor() + 1.0
        }
        2 => {
            let (low, high) = (args.int(lua, 0)?, args.int(lua, 1)?);
            if low > high {
                return Err(lua.arg_error(1, "interval is empty"));
            }
            (r * (high.wrapping_sub(low).wrapping_add(1)) as f64).floor() + low as f64
        }
        _ => return Err(lua.error("wrong number of arguments")),
    };
    Ok(Out::One(Value::Num(n)))
}

fn randomseed(lua: &mut Lua, args: Args) -> Done {
    let seed = args.number(lua, 0)?;
    lua.seed_random(to_int(seed) as u32);
    Ok(Out::Zero)
}
