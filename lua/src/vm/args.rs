//! The arguments of library functions, and the argument checks that they share.

use super::{Lua, Raise};
use crate::number::parse_number;
use crate::value::{Str, Table, Value, to_int};

/// The arguments of a library function, as a range of the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Args {
    base: u32,
    count: u32,
}

impl Args {
    pub(crate) fn new(base: usize, count: usize) -> Args {
        Args { base: base as u32, count: count as u32 }
    }

    pub(crate) fn len(self) -> usize {
        self.count as usize
    }

    /// The slot of the first argument.
    pub(crate) fn base(self) -> usize {
        self.base as usize
    }

    /// The value of an argument, counted from 0; nil if it was not given.
    pub(crate) fn get(self, lua: &Lua, at: usize) -> Value {
        match at < self.len() {
            true => lua.slot(self.base() + at),
            false => Value::Nil,
        }
    }

    fn type_name(self, lua: &Lua, at: usize) -> &'static str {
        match at < self.len() {
            true => self.get(lua, at).type_name(),
            false => "no value",
        }
    }

    /// The error for an argument of the wrong type.
    pub(crate) fn type_error(self, lua: &mut Lua, at: usize, expected: &str) -> Raise {
        let got = self.type_name(lua, at);
        lua.arg_error(at, &format!("{expected} expected, got {got}"))
    }

    /// An argument of any type, which must be given.
    pub(crate) fn any(self, lua: &mut Lua, at: usize) -> Result<Value, Raise> {
        match at < self.len() {
            true => Ok(self.get(lua, at)),
            false => Err(lua.arg_error(at, "value expected")),
        }
    }

    pub(crate) fn table(self, lua: &mut Lua, at: usize) -> Result<Table, Raise> {
        match self.get(lua, at) {
            Value::Table(t) => Ok(t),
            _ => Err(self.type_error(lua, at, "table")),
        }
    }

    pub(crate) fn function(self, lua: &mut Lua, at: usize) -> Result<Value, Raise> {
        match self.get(lua, at) {
            f @ (Value::Function(_) | Value::Native(_)) => Ok(f),
            _ => Err(self.type_error(lua, at, "function")),
        }
    }

    /// A string, or a number as text.
    pub(crate) fn string(self, lua: &mut Lua, at: usize) -> Result<Str, Raise> {
        let value = self.get(lua, at);
        match lua.as_string(value) {
            Some(s) => Ok(s),
            None => Err(self.type_error(lua, at, "string")),
        }
    }

    /// A string unless the argument is nil or not given.
    pub(crate) fn opt_string(self, lua: &mut Lua, at: usize) -> Result<Option<Str>, Raise> {
        match self.get(lua, at) {
            Value::Nil => Ok(None),
            _ => self.string(lua, at).map(Some),
        }
    }

    /// A number, or a string that is one.
    pub(crate) fn number(self, lua: &mut Lua, at: usize) -> Result<f64, Raise> {
        let value = self.get(lua, at);
        match lua.as_number(value) {
            Some(n) => Ok(n),
            None => Err(self.type_error(lua, at, "number")),
        }
    }

    /// A number as an integer, rounded towards zero.
    pub(crate) fn int(self, lua: &mut Lua, at: usize) -> Result<i64, Raise> {
        self.number(lua, at).map(to_int)
    }

    pub(crate) fn opt_int(self, lua: &mut Lua, at: usize, default: i64) -> Result<i64, Raise> {
        match self.get(lua, at) {
            Value::Nil => Ok(default),
            _ => self.int(lua, at),
        }
    }
}

impl Lua {
    /// Converts a value to a number: numbers, and strings that are numeric.
    pub(crate) fn as_number(&self, value: Value) -> Option<f64> {
        match value {
            Value::Num(n) => Some(n),
            Value::Str(s) => parse_number(self.bytes(s)),
            _ => None,
        }
    }

    /// Converts a value to a string: strings, and numbers as they are formatted.
    pub(crate) fn as_string(&mut self, value: Value) -> Option<Str> {
        match value {
            Value::Str(s) => Some(s),
            Value::Num(n) => {
                let mut text = Vec::with_capacity(24);
                crate::number::write_number(&mut text, n);
                Some(self.intern(&text))
            }
            _ => None,
        }
    }
}

impl Lua {
    /// An argument of the running library function, counted from 0.
    pub(crate) fn native_arg(&self, at: usize) -> Value {
        match self.st.frames.last() {
            Some(f) if f.base as usize + at < f.top as usize => self.slot(f.base as usize + at),
            _ => Value::Nil,
        }
    }
}
