//! Values: what a variable of a script holds.

/// A string of a [`Lua`](crate::Lua): a handle to interned bytes, with their hash, so that a table
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
    /// A handle to a function that was written in Lua.
    Function;
    /// A handle to a function of a library or of the host.
    Native;
    /// A handle to a coroutine.
    Thread;
    /// A handle to a userdata, which in this interpreter only `newproxy` makes.
    Userdata;
}

/// A Lua value. Handles in it belong to the [`Lua`](crate::Lua) that made them (and to its clones),
/// and stay good as long as that interpreter can reach the object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// `nil`
    Nil,
    /// `true` or `false`
    Bool(bool),
    /// A number; Lua 5.1 has only doubles.
    Num(f64),
    /// A string of bytes.
    Str(Str),
    /// A table.
    Table(Table),
    /// A function written in Lua.
    Function(Function),
    /// A function of a library or of the host.
    Native(Native),
    /// A coroutine.
    Thread(Thread),
    /// A userdata.
    Userdata(Userdata),
    /// A light userdata: a bare number that the host chose. 0 is `cjson.null`.
    Light(u32),
    /// A key whose entry is gone and whose object may be; only inside tables, so that a traversal
    /// that stands on it can go on.
    #[doc(hidden)]
    Dead(u8, u32),
}

impl Value {
    /// A copy that is made half by half if it is a number. A value whose halves have just been
    /// written would have to wait in the processor to be read as a whole.
    #[inline(always)]
    pub(crate) fn copied(&self) -> Value {
        match self {
            Value::Num(n) => Value::Num(*n),
            other => *other,
        }
    }

    /// Whether a condition takes it for false: `nil` and `false` are.
    pub fn is_false(self) -> bool {
        matches!(self, Value::Nil | Value::Bool(false))
    }

    /// Whether it is `nil`.
    pub fn is_nil(self) -> bool {
        matches!(self, Value::Nil)
    }

    /// The name of its type, as `type` gives it.
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

    /// What stays in a table of a key that the collector may free: its kind and its handle.
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

/// A number as the integer it stands for, rounded towards zero; what no `i64` can hold becomes
/// `i64::MIN`, as on x86-64.
pub(crate) fn to_int(n: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&n) {
        n as i64
    } else {
        i64::MIN
    }
}
