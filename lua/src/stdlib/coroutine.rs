//! The coroutine library. As in PUC Lua 5.1, a coroutine cannot yield across `pcall`, a metamethod
//! or a callback.

use super::library;
use crate::value::{Thread, Value};
use crate::vm::{Args, Cont, Lua, Out, Raise, Status};

type Done = Result<Out, Raise>;

pub(super) fn open(lua: &mut Lua) {
    library(
        lua,
        "coroutine",
        &[
            ("create", create),
            ("resume", resume),
            ("running", running),
            ("status", status),
            ("wrap", wrap),
            ("yield", yield_),
        ],
    );
}

fn new(lua: &mut Lua, args: Args) -> Result<Thread, Raise> {
    match args.get(lua, 0) {
        f @ Value::Function(_) => Ok(Thread(lua.new_thread(f))),
        _ => Err(lua.arg_error(0, "Lua function expected")),
    }
}

fn coroutine(lua: &mut Lua, args: Args) -> Result<Thread, Raise> {
    match args.get(lua, 0) {
        Value::Thread(t) => Ok(t),
        _ => Err(lua.arg_error(0, "coroutine expected")),
    }
}

fn collect_args(lua: &mut Lua, args: Args, from: usize) {
    lua.out.clear();
    for at in from..args.len() {
        let value = args.get(lua, at);
        lua.out.push(value);
    }
}

fn create(lua: &mut Lua, args: Args) -> Done {
    Ok(Out::One(Value::Thread(new(lua, args)?)))
}

fn wrap(lua: &mut Lua, args: Args) -> Done {
    let thread = new(lua, args)?;
    Ok(Out::One(lua.native(wrapped, vec![Value::Thread(thread)])))
}

fn wrapped(lua: &mut Lua, args: Args) -> Done {
    let Value::Thread(thread) = lua.native_upvalue(0) else { return Ok(Out::Zero) };
    collect_args(lua, args, 0);
    lua.resume(thread, Cont::Wrap)
}

fn resume(lua: &mut Lua, args: Args) -> Done {
    let thread = coroutine(lua, args)?;
    collect_args(lua, args, 1);
    lua.resume(thread, Cont::Resume)
}

fn yield_(lua: &mut Lua, args: Args) -> Done {
    collect_args(lua, args, 0);
    lua.yield_values()
}

fn status(lua: &mut Lua, args: Args) -> Done {
    let thread = coroutine(lua, args)?;
    let text: &[u8] = match lua.threads[thread.0].status {
        Status::Suspended => b"suspended",
        Status::Running => b"running",
        Status::Normal => b"normal",
        Status::Dead => b"dead",
    };
    Ok(Out::One(lua.string(text)))
}

fn running(lua: &mut Lua, _: Args) -> Done {
    Ok(match lua.current {
        0 => Out::One(Value::Nil),
        id => Out::One(Value::Thread(Thread(id))),
    })
}
