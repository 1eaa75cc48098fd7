//! A Lua 5.1 interpreter that is a plain value: cloneable, resumable and deterministic.
//!
//! [`Lua`] is an interpreter for deterministic, sans-I/O programs:
//!
//! * **Cloneable**, even in the middle of a script: original and clone continue identically.
//! * **In slices**: [`Lua::run`] takes a budget and returns when it is used up, wherever the script
//!   is (in a `pcall`, a metamethod, a comparison of `table.sort`); the next call continues. Calls
//!   between Lua functions and library functions never nest on the Rust stack.
//! * **Host functions suspend the script**: a call to one ends `run` with [`Step::Host`]; the host
//!   carries it out, in any time, and answers with [`Lua::host_return`].
//! * **The same on every platform**: numbers are formatted, parsed and computed without the C
//!   library, including the signs of NaNs, and `pairs` visits tables in the order of PUC Lua 5.1.5.
//! * **Bounded**: memory has a limit ([`Lua::set_memory_limit`]), and nesting has PUC's limits.
//! * **Sandboxed**: no access to files, clocks or processes.
//!
//! This crate has the language and its libraries (base, string, table, math, coroutine, and those
//! that Redis adds: cjson, cmsgpack, struct, bit). What is specific to Redis (`redis.call`, the
//! sandbox, scripts and functions) is in the server.

mod arena;
mod compile;
mod number;
mod stdlib;
mod strings;
mod table;
mod value;
mod vm;

pub use value::{Function, Native, Str, Table, Thread, Userdata, Value};
pub use vm::{Failure, Level, Lua, Step};
