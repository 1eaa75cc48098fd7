//! The slow paths of instructions: metamethods, conversions, errors.

use super::{Event, Flow, Lua, Raise, Ret};
use crate::compile::opcode;
use crate::value::{Table, Value};

/// The maximum number of metatables in a chain of `__index` or `__newindex`.
const MAX_LINKS: usize = 100;

/// The NaN that x86-64 produces from operands that are not NaN. Its sign is visible when printed.
const DEFAULT_NAN: f64 = f64::from_bits(0xfff8_0000_0000_0000);

/// The result of an operation on `x` and `y` if it is NaN: an operand that is NaN, otherwise the
/// default NaN. It is explicit because processors differ in the sign of a NaN, and it is visible
/// when printed.
#[cold]
fn nan_of(x: f64, y: f64) -> f64 {
    if x.is_nan() {
        x
    } else if y.is_nan() {
        y
    } else {
        DEFAULT_NAN
    }
}

#[inline(always)]
fn normalize_nan(n: f64, x: f64, y: f64) -> f64 {
    if n.is_nan() { nan_of(x, y) } else { n }
}

/// Computes an arithmetic operation, with the same result on every platform.
#[inline(always)]
pub(crate) fn arith(op: u32, x: f64, y: f64) -> f64 {
    match op {
        opcode::ADD => normalize_nan(x + y, x, y),
        opcode::SUB => normalize_nan(x - y, x, y),
        opcode::MUL => normalize_nan(x * y, x, y),
        opcode::DIV => normalize_nan(x / y, x, y),
        opcode::MOD => modulo(x, y),
        _ => power(x, y),
    }
}

fn modulo(x: f64, y: f64) -> f64 {
    // As the manual defines it: a - floor(a/b)*b, each step rounded.
    let quotient = normalize_nan(x / y, x, y).floor();
    let product = normalize_nan(quotient * y, quotient, y);
    normalize_nan(x - product, x, product)
}

fn power(x: f64, y: f64) -> f64 {
    if y == 2.0 {
        return x * x;
    }
    normalize_nan(libm::pow(x, y), x, y)
}

fn event_of(op: u32) -> Event {
    match op {
        opcode::ADD => Event::Add,
        opcode::SUB => Event::Sub,
        opcode::MUL => Event::Mul,
        opcode::DIV => Event::Div,
        opcode::MOD => Event::Mod,
        opcode::POW => Event::Pow,
        _ => Event::Unm,
    }
}

/// The result of an access that may involve metamethods.
pub(super) enum Found {
    Value(Value),
    /// A metamethod must be called with these arguments.
    Call(Value, Value),
}

impl Lua {
    /// The metatable of a value.
    pub(crate) fn meta_of(&self, value: Value) -> Option<Table> {
        match value {
            Value::Table(t) => self.tables[t.0].meta,
            Value::Str(_) => self.string_meta,
            Value::Userdata(u) => self.userdata[u.0].meta,
            _ => None,
        }
    }

    /// The value of an event in a metatable; nil if there is none.
    pub(crate) fn meta_event(&mut self, meta: Table, event: Event) -> Value {
        let bit = match event as usize {
            n @ 0..8 => 1u8 << n,
            _ => 0,
        };
        let table = &mut self.tables[meta.0];
        if table.lacks & bit != 0 {
            return Value::Nil;
        }
        let value = table.get_str(self.events[event as usize]);
        if value.is_nil() {
            table.lacks |= bit;
        }
        value
    }

    pub(crate) fn metamethod(&mut self, value: Value, event: Event) -> Value {
        match self.meta_of(value) {
            Some(meta) => self.meta_event(meta, event),
            None => Value::Nil,
        }
    }

    /// Resolves the access `object[key]`. `slot` is the register of the object, for error messages.
    pub(super) fn find(
        &mut self,
        mut object: Value,
        key: Value,
        mut slot: Option<usize>,
    ) -> Result<Found, Raise> {
        for _ in 0..MAX_LINKS {
            let handler = match object {
                Value::Table(t) => {
                    let value = self.tables[t.0].get(key);
                    if !value.is_nil() {
                        return Ok(Found::Value(value));
                    }
                    match self.metamethod(object, Event::Index) {
                        Value::Nil => return Ok(Found::Value(Value::Nil)),
                        handler => handler,
                    }
                }
                _ => match self.metamethod(object, Event::Index) {
                    Value::Nil => return Err(self.type_error("index", object, slot)),
                    handler => handler,
                },
            };
            if matches!(handler, Value::Function(_) | Value::Native(_)) {
                return Ok(Found::Call(handler, object));
            }
            object = handler;
            slot = None;
        }
        Err(self.machine_error("loop in gettable"))
    }

    /// `to = object[key]`
    pub(super) fn index(
        &mut self,
        object: Value,
        key: Value,
        slot: Option<usize>,
        to: usize,
    ) -> Result<Flow, Raise> {
        match self.find(object, key, slot)? {
            Found::Value(v) => {
                self.st.stack[to] = v;
                Ok(Flow::Next)
            }
            Found::Call(handler, object) => {
                self.call_meta(handler, &[object, key], Ret::Slot(to as u32))
            }
        }
    }

    /// `object[key] = value`
    pub(super) fn set_index(
        &mut self,
        mut object: Value,
        key: Value,
        value: Value,
        mut slot: Option<usize>,
    ) -> Result<Flow, Raise> {
        for _ in 0..MAX_LINKS {
            let handler = match object {
                Value::Table(t) => {
                    let old = self.tables[t.0].get(key);
                    let handler = match old {
                        Value::Nil => self.metamethod(object, Event::NewIndex),
                        _ => Value::Nil,
                    };
                    if handler.is_nil() {
                        self.write(t, key, value)?;
                        self.collect_if_due()?;
                        return Ok(Flow::Next);
                    }
                    handler
                }
                _ => match self.metamethod(object, Event::NewIndex) {
                    Value::Nil => return Err(self.type_error("index", object, slot)),
                    handler => handler,
                },
            };
            if matches!(handler, Value::Function(_) | Value::Native(_)) {
                return self.call_meta(handler, &[object, key, value], Ret::Drop);
            }
            object = handler;
            slot = None;
        }
        Err(self.machine_error("loop in settable"))
    }

    /// Writes to a table on behalf of a script: fails if it is read-only.
    pub(crate) fn write(&mut self, table: Table, key: Value, value: Value) -> Result<(), Raise> {
        if self.tables[table.0].readonly {
            return Err(self.machine_error("Attempt to modify a readonly table"));
        }
        match self.tables[table.0].set(key, value, &mut self.mem) {
            Ok(()) => Ok(()),
            Err(refused) => Err(self.refused(refused)),
        }
    }

    /// Calls a metamethod from an instruction.
    pub(super) fn call_meta(
        &mut self,
        handler: Value,
        args: &[Value],
        ret: Ret,
    ) -> Result<Flow, Raise> {
        let at = self.push_call(handler, args);
        self.call(at, args.len(), 1, ret)
    }

    /// An arithmetic instruction whose operands are not two numbers. The slots are the registers of
    /// the operands, if they are in registers, for error messages.
    #[cold]
    pub(super) fn arith_slow(
        &mut self,
        op: u32,
        x: Value,
        y: Value,
        slots: (Option<usize>, Option<usize>),
        to: usize,
    ) -> Result<Flow, Raise> {
        if let (Some(a), Some(b)) = (self.as_number(x), self.as_number(y)) {
            let n = if op == opcode::UNM { -a } else { arith(op, a, b) };
            self.st.stack[to] = Value::Num(n);
            return Ok(Flow::Next);
        }
        let event = event_of(op);
        let handler = match self.metamethod(x, event) {
            Value::Nil => self.metamethod(y, event),
            handler => handler,
        };
        if handler.is_nil() {
            // The error names the first operand that is not a number.
            let (value, slot) = match self.as_number(x) {
                None => (x, slots.0),
                Some(_) => (y, slots.1),
            };
            return Err(self.type_error("perform arithmetic on", value, slot));
        }
        self.call_meta(handler, &[x, y], Ret::Slot(to as u32))
    }

    /// `#value` for a value that is neither a string nor a table.
    pub(super) fn len_slow(&mut self, value: Value, slot: usize, to: usize) -> Result<Flow, Raise> {
        match self.metamethod(value, Event::Len) {
            Value::Nil => Err(self.type_error("get length of", value, Some(slot))),
            handler => self.call_meta(handler, &[value, Value::Nil], Ret::Slot(to as u32)),
        }
    }

    /// Whether two values that are not both numbers are equal; a metamethod may decide.
    pub(super) fn equal_slow(&mut self, x: Value, y: Value, expected: bool) -> Result<Flow, Raise> {
        let handler = match (x, y) {
            (Value::Table(_), Value::Table(_)) | (Value::Userdata(_), Value::Userdata(_))
                if x != y =>
            {
                self.shared_metamethod(x, y, Event::Eq)
            }
            _ => Value::Nil,
        };
        if handler.is_nil() {
            self.skip_if((x == y) != expected);
            return Ok(Flow::Frame);
        }
        self.call_meta(handler, &[x, y], Ret::Test(expected))
    }

    fn skip_if(&mut self, skip: bool) {
        if let Some(frame) = self.st.frames.last_mut() {
            frame.pc += u32::from(skip);
        }
    }

    /// The metamethod, if both values have the same one.
    fn shared_metamethod(&mut self, x: Value, y: Value, event: Event) -> Value {
        let first = self.metamethod(x, event);
        if first.is_nil() {
            return Value::Nil;
        }
        match self.metamethod(y, event) == first {
            true => first,
            false => Value::Nil,
        }
    }

    /// `x < y` for values that are not two numbers: strings, or a metamethod.
    pub(super) fn less_slow(&mut self, x: Value, y: Value, expected: bool) -> Result<Flow, Raise> {
        match self.less_handler(x, y)? {
            Ok(less) => {
                self.skip_if(less != expected);
                Ok(Flow::Frame)
            }
            Err(handler) => self.call_meta(handler, &[x, y], Ret::Test(expected)),
        }
    }

    /// The result of `x < y`, or the metamethod to call for it.
    pub(crate) fn less_handler(
        &mut self,
        x: Value,
        y: Value,
    ) -> Result<Result<bool, Value>, Raise> {
        match (x, y) {
            (Value::Num(a), Value::Num(b)) => Ok(Ok(a < b)),
            (Value::Str(a), Value::Str(b)) => Ok(Ok(self.bytes(a) < self.bytes(b))),
            _ if x.type_name() != y.type_name() => Err(self.order_error(x, y)),
            _ => match self.shared_metamethod(x, y, Event::Lt) {
                Value::Nil => Err(self.order_error(x, y)),
                handler => Ok(Err(handler)),
            },
        }
    }

    /// `x <= y` for values that are not two numbers. Without a metamethod for it, it is `not (y <
    /// x)`.
    pub(super) fn less_equal_slow(
        &mut self,
        x: Value,
        y: Value,
        expected: bool,
    ) -> Result<Flow, Raise> {
        if let (Value::Str(a), Value::Str(b)) = (x, y) {
            let holds = self.bytes(a) <= self.bytes(b);
            self.skip_if(holds != expected);
            return Ok(Flow::Frame);
        }
        if x.type_name() != y.type_name() {
            return Err(self.order_error(x, y));
        }
        match self.shared_metamethod(x, y, Event::Le) {
            Value::Nil => {}
            handler => return self.call_meta(handler, &[x, y], Ret::Test(expected)),
        }
        match self.shared_metamethod(y, x, Event::Lt) {
            Value::Nil => Err(self.order_error(x, y)),
            handler => self.call_meta(handler, &[y, x], Ret::TestNot(expected)),
        }
    }

    /// Concatenates the values between two slots, from the right, into the register that the
    /// instruction before the next one names.
    pub(super) fn concat(&mut self, first: usize, mut last: usize) -> Result<Flow, Raise> {
        let mut met = false;
        while last > first {
            let (x, y) = (self.st.stack[last - 1], self.st.stack[last]);
            let joins = |v: Value| matches!(v, Value::Str(_) | Value::Num(_));
            if !joins(x) || !joins(y) {
                let handler = match self.metamethod(x, Event::Concat) {
                    Value::Nil => self.metamethod(y, Event::Concat),
                    handler => handler,
                };
                if handler.is_nil() {
                    let (value, slot) = if joins(x) { (y, last) } else { (x, last - 1) };
                    return Err(self.type_error("concatenate", value, Some(slot)));
                }
                return self.call_meta(
                    handler,
                    &[x, y],
                    Ret::Concat(first as u32, last as u32 - 1),
                );
            }
            let mut from = last - 1;
            while from > first && joins(self.st.stack[from - 1]) {
                from -= 1;
            }
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            let mut fits = true;
            for at in from..=last {
                match self.st.stack[at] {
                    Value::Str(s) => {
                        let piece = self.strings.get(s);
                        if self.mem + (buffer.len() + piece.len()) as u64 > self.limit {
                            fits = false;
                            break;
                        }
                        buffer.extend_from_slice(piece);
                    }
                    Value::Num(n) => crate::number::write_number(&mut buffer, n),
                    _ => {}
                }
            }
            let room = if fits { self.check_room(buffer.len()) } else { Err(self.memory_error()) };
            if room.is_ok() {
                self.st.stack[from] = Value::Str(self.strings.intern(&buffer, &mut self.mem));
            }
            self.charge(buffer.len() / 64);
            if buffer.capacity() > 1 << 16 {
                buffer = Vec::new();
            }
            self.buffer = buffer;
            room?;
            last = from;
            met = true;
        }
        let Some(frame) = self.st.frames.last() else { return Ok(Flow::Frame) };
        let i = self.closures[frame.id].proto.code[frame.pc as usize - 1];
        let to = frame.base as usize + opcode::a(i) as usize;
        self.st.stack[to] = self.st.stack[first];
        if met {
            self.collect_if_due()?;
        }
        Ok(Flow::Frame)
    }
}

impl Lua {
    /// The value of `table[key]`, or the metamethod to call for it with its first argument.
    pub(crate) fn find_entry(
        &mut self,
        table: Table,
        key: Value,
    ) -> Result<Result<Value, (Value, Value)>, Raise> {
        Ok(match self.find(Value::Table(table), key, None)? {
            Found::Value(value) => Ok(value),
            Found::Call(handler, object) => Err((handler, object)),
        })
    }
}
