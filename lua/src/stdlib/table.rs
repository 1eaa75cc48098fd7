//! The table library.

use super::library;
use super::sort;
use crate::number::write_number;
use crate::value::{Table, Value};
use crate::vm::{Args, Cont, Lua, Out, Raise};

type Done = Result<Out, Raise>;

/// The most elements that one `table.insert` moves.
const MAX_MOVED: i64 = 1 << 26;

pub(super) fn open(lua: &mut Lua) {
    library(
        lua,
        "table",
        &[
            ("concat", concat),
            ("foreach", foreach),
            ("foreachi", foreachi),
            ("getn", getn),
            ("insert", insert),
            ("maxn", maxn),
            ("remove", remove),
            ("setn", setn),
            ("sort", sort::sort),
        ],
    );
}

fn concat(lua: &mut Lua, args: Args) -> Done {
    let separator = match args.opt_string(lua, 1)? {
        Some(s) => lua.strings.share(s),
        None => std::sync::Arc::from(&b""[..]),
    };
    let table = args.table(lua, 0)?;
    let first = args.opt_int(lua, 2, 1)?;
    let last = match args.get(lua, 3) {
        Value::Nil => lua.raw_len(table),
        _ => args.int(lua, 3)?,
    };
    let mut out = Vec::new();
    let mut i = first;
    while i <= last {
        match lua.tables[table.0].get_int(i) {
            Value::Str(s) => out.extend_from_slice(lua.strings.get(s)),
            Value::Num(n) => write_number(&mut out, n),
            other => {
                let kind = other.type_name();
                return Err(lua
                    .error(&format!("invalid value ({kind}) at index {i} in table for 'concat'")));
            }
        }
        if i == last {
            break;
        }
        out.extend_from_slice(&separator);
        if out.len() > 1 << 20 {
            lua.check_room(out.len())?;
        }
        i += 1;
    }
    lua.check_room(out.len())?;
    lua.charge(out.len() / 16 + last.saturating_sub(first).clamp(0, 1 << 40) as usize);
    Ok(Out::One(lua.string(&out)))
}

fn getn(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    Ok(Out::One(Value::Num(lua.raw_len(table) as f64)))
}

fn setn(lua: &mut Lua, args: Args) -> Done {
    args.table(lua, 0)?;
    Err(lua.error("'setn' is obsolete"))
}

fn maxn(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let most = lua.tables[table.0].max_number();
    Ok(Out::One(Value::Num(most)))
}

fn insert(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let end = lua.raw_len(table) + 1;
    let (at, value) = match args.len() {
        2 => (end, args.get(lua, 1)),
        3 => {
            let at = args.int(lua, 1)?;
            let end = end.max(at);
            if end.saturating_sub(at) > MAX_MOVED {
                return Err(lua.arg_error(1, "position out of bounds"));
            }
            lua.charge(end.saturating_sub(at) as usize);
            let mut i = end;
            while i > at {
                let moved = lua.tables[table.0].get_int(i - 1);
                lua.write(table, Value::Num(i as f64), moved)?;
                i -= 1;
            }
            (at, args.get(lua, 2))
        }
        _ => return Err(lua.error("wrong number of arguments to 'insert'")),
    };
    lua.write(table, Value::Num(at as f64), value)?;
    Ok(Out::Zero)
}

fn remove(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let end = lua.raw_len(table);
    let at = args.opt_int(lua, 1, end)?;
    if at < 1 || at > end {
        return Ok(Out::Zero);
    }
    lua.charge((end - at) as usize);
    let removed = lua.tables[table.0].get_int(at);
    for i in at..end {
        let moved = lua.tables[table.0].get_int(i + 1);
        lua.write(table, Value::Num(i as f64), moved)?;
    }
    lua.write(table, Value::Num(end as f64), Value::Nil)?;
    Ok(Out::One(removed))
}

/// A `table.foreach` or `table.foreachi` in progress.
#[derive(Clone, Debug)]
pub(crate) struct Foreach {
    table: Table,
    function: Value,
    /// The last key that was visited.
    key: Value,
    /// For `foreachi`: the last index.
    end: Option<i64>,
}

impl Foreach {
    /// The values that it references, for the collector.
    pub(crate) fn values(&self) -> [Value; 3] {
        [Value::Table(self.table), self.function, self.key]
    }

    /// Continues after the function has returned a value: ends with it, unless it is nil.
    pub(crate) fn resume(self, lua: &mut Lua, returned: Value) -> Done {
        match returned {
            Value::Nil => self.step(lua),
            value => Ok(Out::One(value)),
        }
    }

    fn step(mut self, lua: &mut Lua) -> Done {
        let entry = match (self.end, self.key) {
            (Some(end), Value::Num(n)) if n < end as f64 => {
                let i = n + 1.0;
                Some((Value::Num(i), lua.tables[self.table.0].get_int(i as i64)))
            }
            (Some(_), _) => None,
            (None, key) => match lua.tables[self.table.0].next(key) {
                Ok(entry) => entry,
                Err(refused) => return Err(lua.refused(refused)),
            },
        };
        let Some((key, value)) = entry else { return Ok(Out::Zero) };
        self.key = key;
        let function = self.function;
        lua.charge(1);
        lua.push_cont(Cont::Foreach(self));
        let at = lua.push_call(function, &[key, value]);
        Ok(Out::Call(at, 2, 1))
    }
}

fn foreach(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let function = args.function(lua, 1)?;
    Foreach { table, function, key: Value::Nil, end: None }.step(lua)
}

fn foreachi(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let end = Some(lua.raw_len(table));
    let function = args.function(lua, 1)?;
    Foreach { table, function, key: Value::Num(0.0), end }.step(lua)
}
