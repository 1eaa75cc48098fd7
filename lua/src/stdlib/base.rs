//! The base library, without the functions that do I/O (`print`, `dofile`, `loadfile`).

use super::fill;
use crate::number::{parse_unsigned, write_number};
use crate::value::{Value, to_int};
use crate::vm::{Args, Cont, Event, Lua, MAX_C_STACK, Out, Raise};

type Done = Result<Out, Raise>;

pub(super) fn open(lua: &mut Lua) {
    let globals = lua.globals;
    fill(
        lua,
        globals,
        &[
            ("assert", assert),
            ("collectgarbage", collectgarbage),
            ("error", error),
            ("gcinfo", gcinfo),
            ("getfenv", getfenv),
            ("getmetatable", getmetatable),
            ("load", load),
            ("loadstring", loadstring),
            ("pcall", pcall),
            ("rawequal", rawequal),
            ("rawget", rawget),
            ("rawset", rawset),
            ("select", select),
            ("setfenv", setfenv),
            ("setmetatable", setmetatable),
            ("tonumber", tonumber),
            ("tostring", tostring),
            ("type", type_of),
            ("unpack", unpack),
            ("xpcall", xpcall),
        ],
    );
    let next_function = lua.native(next, Vec::new());
    if let Value::Native(f) = next_function {
        lua.natives[f.0].is_next = true;
    }
    lua.raw_set_name(globals, "next", next_function);
    let pairs = lua.native(pairs, vec![next_function]);
    lua.raw_set_name(globals, "pairs", pairs);
    let ipairs_step = lua.native(ipairs_step, Vec::new());
    let ipairs = lua.native(ipairs, vec![ipairs_step]);
    lua.raw_set_name(globals, "ipairs", ipairs);
    // `newproxy` may share only metatables that it has created itself.
    let proxies = lua.table(0, 0);
    let mode = lua.table(0, 1);
    let k = lua.string(b"kv");
    lua.raw_set_name(mode, "__mode", k);
    lua.set_metatable(proxies, Some(mode));
    let newproxy = lua.native(newproxy, vec![Value::Table(proxies)]);
    lua.raw_set_name(globals, "newproxy", newproxy);
    lua.raw_set_name(globals, "_G", Value::Table(globals));
    let version = lua.string(b"Lua 5.1");
    lua.raw_set_name(globals, "_VERSION", version);
}

fn assert(lua: &mut Lua, args: Args) -> Done {
    let value = args.any(lua, 0)?;
    if !value.is_false() {
        return Ok(Out::Slots(args.base(), args.len()));
    }
    let text = match args.opt_string(lua, 1)? {
        Some(s) => lua.bytes(s).to_vec(),
        None => b"assertion failed!".to_vec(),
    };
    let mut message = lua.place(1).into_bytes();
    message.extend(text);
    Err(Raise(lua.string(&message)))
}

fn collectgarbage(lua: &mut Lua, args: Args) -> Done {
    let option = match args.opt_string(lua, 0)? {
        Some(s) => lua.bytes(s).to_vec(),
        None => b"collect".to_vec(),
    };
    args.opt_int(lua, 1, 0)?;
    let result = match option.as_slice() {
        b"stop" => {
            lua.collector_stopped = true;
            0.0
        }
        b"restart" => {
            lua.collector_stopped = false;
            0.0
        }
        b"collect" => {
            lua.collect();
            0.0
        }
        b"count" => lua.mem as f64 / 1024.0,
        b"step" => {
            lua.collect();
            return Ok(Out::One(Value::Bool(true)));
        }
        b"setpause" | b"setstepmul" => 200.0,
        _ => {
            let text = format!("invalid option '{}'", String::from_utf8_lossy(&option));
            return Err(lua.arg_error(0, &text));
        }
    };
    Ok(Out::One(Value::Num(result)))
}

fn gcinfo(lua: &mut Lua, _: Args) -> Done {
    Ok(Out::One(Value::Num((lua.mem / 1024) as f64)))
}

fn error(lua: &mut Lua, args: Args) -> Done {
    let level = args.opt_int(lua, 1, 1)?;
    let value = args.get(lua, 0);
    if level > 0
        && let Some(text) = lua.as_string(value)
    {
        let mut bytes = lua.place(level).into_bytes();
        bytes.extend_from_slice(lua.bytes(text));
        return Err(Raise(lua.string(&bytes)));
    }
    Err(Raise(value))
}

/// The function that the first argument refers to: a function, or a level of the call stack.
fn function_at(lua: &mut Lua, args: Args, optional: bool) -> Result<Value, Raise> {
    let value = args.get(lua, 0);
    if matches!(value, Value::Function(_) | Value::Native(_)) {
        return Ok(value);
    }
    let level = if optional { args.opt_int(lua, 0, 1)? } else { args.int(lua, 0)? };
    if level < 0 {
        return Err(lua.arg_error(0, "level must be non-negative"));
    }
    match lua.level(level) {
        Ok(at) => Ok(lua.frame_function(at)),
        Err(true) => {
            Err(lua.error(&format!("no function environment for tail call at level {level}")))
        }
        Err(false) => Err(lua.arg_error(0, "invalid level")),
    }
}

fn getfenv(lua: &mut Lua, args: Args) -> Done {
    let function = function_at(lua, args, true)?;
    Ok(Out::One(Value::Table(lua.environment(function))))
}

fn setfenv(lua: &mut Lua, args: Args) -> Done {
    let env = args.table(lua, 1)?;
    let first = args.get(lua, 0);
    if lua.as_number(first) == Some(0.0) {
        lua.globals = env;
        return Ok(Out::Zero);
    }
    let function = function_at(lua, args, false)?;
    if !lua.set_environment(function, env) {
        return Err(lua.error("'setfenv' cannot change environment of given object"));
    }
    Ok(Out::One(function))
}

fn getmetatable(lua: &mut Lua, args: Args) -> Done {
    let value = args.any(lua, 0)?;
    let Some(meta) = lua.meta_of(value) else { return Ok(Out::One(Value::Nil)) };
    Ok(Out::One(match lua.meta_event(meta, Event::Metatable) {
        Value::Nil => Value::Table(meta),
        protected => protected,
    }))
}

fn setmetatable(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let meta = match args.get(lua, 1) {
        Value::Table(t) => Some(t),
        Value::Nil if args.len() > 1 => None,
        _ => return Err(lua.arg_error(1, "nil or table expected")),
    };
    if !lua.metamethod(Value::Table(table), Event::Metatable).is_nil() {
        return Err(lua.error("cannot change a protected metatable"));
    }
    if lua.tables[table.0].readonly {
        return Err(lua.machine_error("Attempt to modify a readonly table"));
    }
    lua.tables[table.0].meta = meta;
    Ok(Out::One(Value::Table(table)))
}

/// Compiles a source; returns the results of `loadstring` and `load`.
fn compiled(lua: &mut Lua, source: &[u8], name: &[u8]) -> Done {
    lua.charge(source.len());
    match lua.load(source, name) {
        Ok(function) => Ok(Out::One(function)),
        Err(message) => {
            let message = lua.string(&message);
            Ok(Out::Two(Value::Nil, message))
        }
    }
}

fn loadstring(lua: &mut Lua, args: Args) -> Done {
    let source = args.string(lua, 0)?;
    let name = args.opt_string(lua, 1)?.unwrap_or(source);
    let (source, name) = (lua.strings.share(source), lua.strings.share(name));
    compiled(lua, &source, &name)
}

fn load(lua: &mut Lua, args: Args) -> Done {
    let reader = args.function(lua, 0)?;
    let name = match args.opt_string(lua, 1)? {
        Some(s) => Value::Str(s),
        None => lua.string(b"=(load)"),
    };
    lua.push_cont(Cont::Load(Vec::new(), name));
    let at = lua.push_call(reader, &[]);
    Ok(Out::Call(at, 0, 1))
}

/// Processes a piece that the reader function of `load` has returned.
pub(crate) fn load_piece(lua: &mut Lua, mut pieces: Vec<u8>, name: Value, piece: Value) -> Done {
    let text = match piece {
        Value::Nil => None,
        _ => match lua.as_string(piece) {
            Some(s) => Some(s).filter(|&s| !lua.bytes(s).is_empty()),
            None => {
                let message = lua.error("reader function must return a string");
                return Ok(Out::Two(Value::Nil, message.0));
            }
        },
    };
    match text {
        Some(s) => {
            pieces.extend_from_slice(lua.bytes(s));
            lua.check_room(pieces.len())?;
            // The reader function is still in the slot of the first argument.
            let reader = lua.native_arg(0);
            lua.push_cont(Cont::Load(pieces, name));
            let at = lua.push_call(reader, &[]);
            Ok(Out::Call(at, 0, 1))
        }
        None => {
            let name = match name {
                Value::Str(s) => lua.bytes(s).to_vec(),
                _ => Vec::new(),
            };
            compiled(lua, &pieces, &name)
        }
    }
}

fn pcall(lua: &mut Lua, args: Args) -> Done {
    args.any(lua, 0)?;
    lua.push_cont(Cont::Pcall);
    Ok(Out::Call(args.base(), args.len() - 1, -1))
}

fn xpcall(lua: &mut Lua, args: Args) -> Done {
    args.any(lua, 1)?;
    let handler = args.get(lua, 1);
    lua.push_cont(Cont::Xpcall(handler));
    Ok(Out::Call(args.base(), 0, -1))
}

fn rawequal(lua: &mut Lua, args: Args) -> Done {
    let (x, y) = (args.any(lua, 0)?, args.any(lua, 1)?);
    Ok(Out::One(Value::Bool(x == y)))
}

fn rawget(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let key = args.any(lua, 1)?;
    Ok(Out::One(lua.raw_get(table, key)))
}

fn rawset(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let (key, value) = (args.any(lua, 1)?, args.any(lua, 2)?);
    lua.write(table, key, value)?;
    Ok(Out::One(Value::Table(table)))
}

fn select(lua: &mut Lua, args: Args) -> Done {
    let count = args.len() as i64 - 1;
    if let Value::Str(s) = args.get(lua, 0)
        && lua.bytes(s).first() == Some(&b'#')
    {
        return Ok(Out::One(Value::Num(count as f64)));
    }
    let n = args.int(lua, 0)?;
    let from = if n < 0 { count + 1 + n } else { n.min(count + 1) };
    if from < 1 {
        return Err(lua.arg_error(0, "index out of range"));
    }
    Ok(Out::Slots(args.base() + from as usize, (count + 1 - from) as usize))
}

fn tonumber(lua: &mut Lua, args: Args) -> Done {
    let base = args.opt_int(lua, 1, 10)?;
    if base == 10 {
        let value = args.any(lua, 0)?;
        return Ok(Out::One(lua.as_number(value).map_or(Value::Nil, Value::Num)));
    }
    let text = args.string(lua, 0)?;
    match u32::try_from(base) {
        Ok(base @ 2..=36) => {
            let n = parse_unsigned(lua.bytes(text), base);
            Ok(Out::One(n.map_or(Value::Nil, Value::Num)))
        }
        _ => Err(lua.arg_error(1, "base out of range")),
    }
}

fn tostring(lua: &mut Lua, args: Args) -> Done {
    let value = args.any(lua, 0)?;
    let handler = lua.metamethod(value, Event::ToString);
    if !handler.is_nil() {
        lua.push_cont(Cont::ToString);
        let at = lua.push_call(handler, &[value]);
        return Ok(Out::Call(at, 1, 1));
    }
    let text = display(lua, value);
    Ok(Out::One(lua.string(&text)))
}

/// A value as `tostring` formats it without a metamethod. Objects have no addresses; their handles
/// are printed instead.
fn display(lua: &Lua, value: Value) -> Vec<u8> {
    let (kind, id) = match value {
        Value::Nil | Value::Dead(..) => return b"nil".to_vec(),
        Value::Bool(b) => return b.to_string().into_bytes(),
        Value::Num(n) => {
            let mut out = Vec::new();
            write_number(&mut out, n);
            return out;
        }
        Value::Str(s) => return lua.bytes(s).to_vec(),
        Value::Light(0) => return b"userdata: (nil)".to_vec(),
        Value::Light(n) => ("userdata", n),
        Value::Table(t) => ("table", t.0),
        Value::Function(f) => ("function", f.0 * 2),
        Value::Native(f) => ("function", f.0 * 2 + 1),
        Value::Thread(t) => ("thread", t.0),
        Value::Userdata(u) => ("userdata", u.0),
    };
    format!("{kind}: 0x{:012x}", 0x5500_0000_0000u64 + u64::from(id) * 32).into_bytes()
}

fn type_of(lua: &mut Lua, args: Args) -> Done {
    let name = args.any(lua, 0)?.type_name();
    Ok(Out::One(lua.string(name.as_bytes())))
}

fn unpack(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let first = args.opt_int(lua, 1, 1)?;
    let last = match args.get(lua, 2) {
        Value::Nil => lua.raw_len(table),
        _ => args.int(lua, 2)?,
    };
    if first > last {
        return Ok(Out::Zero);
    }
    let count = last.checked_sub(first).and_then(|n| n.checked_add(1)).unwrap_or(i64::MAX);
    if count > (MAX_C_STACK - args.len().min(MAX_C_STACK)) as i64 {
        return Err(lua.error("too many results to unpack"));
    }
    lua.out.clear();
    for i in first..=last {
        let value = lua.tables[table.0].get_int(i);
        lua.out.push(value);
    }
    Ok(Out::List)
}

fn next(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let key = args.get(lua, 1);
    match lua.tables[table.0].next(key) {
        Ok(Some((key, value))) => Ok(Out::Two(key, value)),
        Ok(None) => Ok(Out::One(Value::Nil)),
        Err(refused) => Err(lua.refused(refused)),
    }
}

fn pairs(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let next = lua.native_upvalue(0);
    lua.out.clear();
    lua.out.extend([next, Value::Table(table), Value::Nil]);
    Ok(Out::List)
}

fn ipairs(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let step = lua.native_upvalue(0);
    lua.out.clear();
    lua.out.extend([step, Value::Table(table), Value::Num(0.0)]);
    Ok(Out::List)
}

fn ipairs_step(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let i = match args.get(lua, 1) {
        Value::Num(n) => to_int(n),
        _ => args.int(lua, 1)?,
    };
    let i = i.wrapping_add(1);
    match lua.tables[table.0].get_int(i) {
        Value::Nil => Ok(Out::Zero),
        value => Ok(Out::Two(Value::Num(i as f64), value)),
    }
}

fn newproxy(lua: &mut Lua, args: Args) -> Done {
    let Value::Table(proxies) = lua.native_upvalue(0) else { return Ok(Out::Zero) };
    let meta = match args.get(lua, 0) {
        Value::Nil | Value::Bool(false) => None,
        Value::Bool(true) => {
            let meta = lua.table(0, 0);
            lua.raw_set(proxies, Value::Table(meta), Value::Bool(true));
            Some(meta)
        }
        other => {
            let meta = lua.meta_of(other);
            let known = meta.is_some_and(|m| !lua.raw_get(proxies, Value::Table(m)).is_nil());
            if !known {
                return Err(lua.arg_error(0, "boolean or proxy expected"));
            }
            meta
        }
    };
    Ok(Out::One(lua.new_userdata(meta)))
}
