//! Lua values.

/// A string: a handle to interned bytes of a [`Lua`](crate::Lua), with their hash, so that a table
/// lookup needs nothing else. Two strings are equal if their handles are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Str {
    pub(crate) id: u32,
    pub(crate) hash: u32,
}

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub(crate) u32);
    )*};
}

handles! {
    /// A handle to a table.
    Table;
    /// A handle to a Lua function.
    Function;
    /// A handle to a native function, of a library or of the host.
    Native;
    /// A handle to a coroutine.
    Thread;
    /// A handle to a userdata, which only `newproxy` creates in this interpreter.
    Userdata;
}

/// A Lua value. Its handles belong to the [`Lua`](crate::Lua) that created them (and to its
/// clones), and are valid as long as the object is reachable there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// `nil`
    Nil,
    /// `true` or `false`
    Bool(bool),
    /// A number, always a double in Lua 5.1.
    Num(f64),
    /// A byte string.
    Str(Str),
    /// A table.
    Table(Table),
    /// A Lua function.
    Function(Function),
    /// A native function, of a library or of the host.
    Native(Native),
    /// A coroutine.
    Thread(Thread),
    /// A userdata.
    Userdata(Userdata),
    /// A light userdata: an integer chosen by the host. 0 is `cjson.null`.
    Light(u32),
    /// The key of a removed entry, whose object may have been freed; only inside tables, so that a
    /// traversal that has reached it can continue.
    #[doc(hidden)]
    Dead(u8, u32),
}

impl Value {
    /// A copy, which for a number is made in two halves. Reading a value as a whole right after its
    /// halves were written would stall on store forwarding in the processor.
    #[inline(always)]
    pub(crate) fn copied(&self) -> Value {
        match self {
            Value::Num(n) => Value::Num(*n),
            other => *other,
        }
    }

    /// Whether it counts as false in a condition: `nil` and `false` do.
    pub fn is_false(self) -> bool {
        matches!(self, Value::Nil | Value::Bool(false))
    }

    /// Whether it is `nil`.
    pub fn is_nil(self) -> bool {
        matches!(self, Value::Nil)
    }

    /// The name of its type, as returned by `type`.
    pub fn type_name(self) -> &'static str {
        match self {
            Value::Nil | Value::Dead(..) => "nil",
            Value::Bool(_) => "boolean",
            Value::Num(_) => "number",
            Value::Str(_) => "string",
            Value::Table(_) => "table",
            Value::Function(_) | Value::Native(_) => "function",
            Value::Thread(_) => "thread",
            Value::Userdata(_) | Value::Light(_) => "userdata",
        }
    }

    /// The dead key that replaces a key which the collector may free: its type and its handle.
    pub(crate) fn dead(self) -> Value {
        match self {
            Value::Str(s) => Value::Dead(0, s.id),
            Value::Table(t) => Value::Dead(1, t.0),
            Value::Function(f) => Value::Dead(2, f.0),
            Value::Native(f) => Value::Dead(3, f.0),
            Value::Thread(t) => Value::Dead(4, t.0),
            Value::Userdata(u) => Value::Dead(5, u.0),
            other => other,
        }
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Self {
        Value::Num(n)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::Bool(b)
    }
}

/// Converts a number to an integer, rounding towards zero; what does not fit into an `i64` becomes
/// `i64::MIN`, as on x86-64.
pub(crate) fn to_int(n: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&n) {
        n as i64
    } else {
        i64::MIN
    }
}
