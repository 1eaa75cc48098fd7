//! Lua 5.1 as a value.
//!
//! [`Lua`] is an interpreter that a deterministic, sans-IO program can hold:
//!
//! * **Cloneable**, in the middle of a script as well: original and clone go on alike.
//! * **In slices**: [`Lua::run`] takes a budget and comes back when it is used up, wherever the
//!   script is (in a `pcall`, a metamethod, a comparison of `table.sort`); the next call goes on.
//!   Calls between Lua functions and library functions never nest in Rust.
//! * **Host functions suspend the script**: a call to one ends `run` with [`Step::Host`]; the host
//!   does what it means, as long as that takes, and answers with [`Lua::host_return`].
//! * **The same on every platform**: numbers are printed, read and computed without the C library,
//!   NaN signs included, and `pairs` visits tables in the order of PUC Lua 5.1.5.
//! * **Bounded**: memory has a limit ([`Lua::set_memory_limit`]), nesting has PUC's limits.
//! * **Sealed**: no files, no clocks, no process.
//!
//! What lives here is the language and its libraries (base, string, table, math, coroutine, and those
//! that Redis adds: cjson, cmsgpack, struct, bit). What Redis makes of it (`redis.call`, the sandbox,
//! scripts and functions) is the server's.

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
