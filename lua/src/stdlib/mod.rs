//! The standard libraries: base, string, table, math, coroutine, and those that Redis adds: cjson,
//! cmsgpack, struct, bit.

mod base;
mod bit;
mod cjson;
mod cmsgpack;
mod coroutine;
mod format;
mod math;
mod packing;
mod pattern;
mod sort;
mod string;
mod table;

use crate::value::{Table, Value};
use crate::vm::{Lua, NativeCode};

pub(crate) use base::load_piece;
pub(crate) use sort::Sort;
pub(crate) use string::Gsub;
pub(crate) use table::Foreach;

/// Registers the libraries as globals of an interpreter.
pub(crate) fn open(lua: &mut Lua) {
    base::open(lua);
    coroutine::open(lua);
    string::open(lua);
    table::open(lua);
    math::open(lua);
    bit::open(lua);
    cjson::open(lua);
    cmsgpack::open(lua);
    packing::open(lua);
}

/// Registers a table of functions as a global.
fn library(lua: &mut Lua, name: &str, functions: &[(&str, NativeCode)]) -> Table {
    let table = lua.table(0, functions.len());
    fill(lua, table, functions);
    let globals = lua.globals;
    lua.raw_set_name(globals, name, Value::Table(table));
    table
}

fn fill(lua: &mut Lua, table: Table, functions: &[(&str, NativeCode)]) {
    for (name, code) in functions {
        let function = lua.native(*code, Vec::new());
        lua.raw_set_name(table, name, function);
    }
}
