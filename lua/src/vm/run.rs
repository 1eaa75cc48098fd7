//! The interpreter loop.

use super::{Exit, Flow, Lua, Raise, Ret, WINDOW, arith};
use crate::compile::opcode::{self, CONSTANT, a, b, bx, c, sbx};
use crate::table::TableData;
use crate::value::{Table, Value};

/// The registers of a function: a window of fixed size, so that register accesses need no bounds
/// check.
#[inline(always)]
fn window(stack: &mut [Value], base: usize) -> &mut [Value; WINDOW] {
    let window = &mut stack[base..base + WINDOW];
    window.try_into().expect("a window has its size")
}

impl Lua {
    /// Executes the topmost Lua function, and those that it calls, until the run ends or is
    /// suspended.
    pub(super) fn execute(&mut self) -> Result<Exit, Raise> {
        'frame: loop {
            let at = self.st.frames.len() - 1;
            // Field by field, since a frame has just been written field by field (store
            // forwarding).
            let frame = &self.st.frames[at];
            let id = frame.id;
            let base = frame.base as usize;
            let mut pc = frame.pc as usize;
            let proto = &*self.closures[id].proto;
            let mut code = proto.code.as_slice();
            let mut constants = proto.constants.as_slice();
            let mut r = window(&mut self.st.stack, base);

            macro_rules! reload {
                () => {{
                    let proto = &*self.closures[id].proto;
                    code = proto.code.as_slice();
                    constants = proto.constants.as_slice();
                    r = window(&mut self.st.stack, base);
                }};
            }
            // For operations that may raise, call or collect: saves the current state in the frame.
            macro_rules! slow {
                ($what:expr) => {{
                    self.st.frames[at].pc = pc as u32;
                    match $what? {
                        Flow::Next => reload!(),
                        Flow::Frame => continue 'frame,
                        Flow::Exit(exit) => return Ok(exit),
                    }
                }};
            }
            macro_rules! operand {
                ($x:expr) => {{
                    let x = $x;
                    if x & CONSTANT != 0 {
                        constants[(x & 255) as usize]
                    } else {
                        r[(x & 255) as usize]
                    }
                }};
            }
            // By reference: a number is read in two halves, as it was written (store forwarding).
            macro_rules! operand_ref {
                ($x:expr) => {{
                    let x = $x;
                    if x & CONSTANT != 0 {
                        &constants[(x & 255) as usize]
                    } else {
                        &r[(x & 255) as usize]
                    }
                }};
            }
            macro_rules! slot_of {
                ($x:expr) => {
                    ($x & CONSTANT == 0).then(|| base + $x as usize)
                };
            }
            macro_rules! arithmetic {
                ($i:expr, $op:expr) => {{
                    let i = $i;
                    if let (&Value::Num(x), &Value::Num(y)) =
                        (operand_ref!(b(i)), operand_ref!(c(i)))
                    {
                        r[a(i) as usize] = Value::Num(arith($op, x, y));
                    } else {
                        let (x, y) = (operand!(b(i)), operand!(c(i)));
                        let slots = (slot_of!(b(i)), slot_of!(c(i)));
                        slow!(self.arith_slow($op, x, y, slots, base + a(i) as usize))
                    }
                }};
            }
            // A backward jump is charged for what it repeats.
            macro_rules! jump {
                ($offset:expr) => {{
                    let offset = $offset;
                    pc = (pc as isize + offset as isize) as usize;
                    if offset < 0 {
                        self.budget += i64::from(offset);
                        if self.budget < 0 {
                            self.st.frames[at].pc = pc as u32;
                            return Ok(Exit::Paused);
                        }
                    }
                }};
            }

            loop {
                let i = code[pc];
                pc += 1;
                match opcode::op(i) {
                    opcode::MOVE => r[a(i) as usize] = r[(b(i) & 255) as usize].copied(),
                    opcode::LOADK => r[a(i) as usize] = constants[bx(i) as usize],
                    opcode::LOADBOOL => {
                        r[a(i) as usize] = Value::Bool(b(i) != 0);
                        pc += usize::from(c(i) != 0);
                    }
                    opcode::LOADNIL => {
                        for slot in a(i)..=b(i) & 255 {
                            r[slot as usize] = Value::Nil;
                        }
                    }
                    opcode::GETUPVAL => {
                        let upvalue = self.closures[id].upvalues[b(i) as usize];
                        let value = self.upvalue(upvalue);
                        r = window(&mut self.st.stack, base);
                        r[a(i) as usize] = value;
                    }
                    opcode::SETUPVAL => {
                        let value = r[a(i) as usize];
                        let upvalue = self.closures[id].upvalues[b(i) as usize];
                        self.set_upvalue(upvalue, value);
                        reload!();
                    }
                    opcode::GETGLOBAL => {
                        let key = constants[bx(i) as usize];
                        let env = self.closures[id].env;
                        let table = &self.tables[env.0];
                        let value = match key {
                            Value::Str(s) => table.get_str(s),
                            _ => Value::Nil,
                        };
                        if !value.is_nil() || table.meta.is_none() {
                            r[a(i) as usize] = value;
                        } else {
                            let to = base + a(i) as usize;
                            slow!(self.index(Value::Table(env), key, None, to))
                        }
                    }
                    opcode::SETGLOBAL => {
                        let key = constants[bx(i) as usize];
                        let env = self.closures[id].env;
                        let value = r[a(i) as usize];
                        if !store(&mut self.tables[env.0], key, value) {
                            slow!(self.set_index(Value::Table(env), key, value, None))
                        }
                    }
                    opcode::GETTABLE => {
                        let object = r[(b(i) & 255) as usize];
                        let key = operand!(c(i));
                        let found = match object {
                            Value::Table(t) => {
                                let table = &self.tables[t.0];
                                let value = table.get(key);
                                (!value.is_nil() || table.meta.is_none()).then_some(value)
                            }
                            _ => None,
                        };
                        if let Some(value) = found {
                            r[a(i) as usize] = value;
                        } else {
                            let slot = Some(base + b(i) as usize);
                            slow!(self.index(object, key, slot, base + a(i) as usize))
                        }
                    }
                    opcode::SETTABLE => {
                        let object = r[a(i) as usize];
                        let (key, value) = (operand!(b(i)), operand!(c(i)));
                        let stored = match object {
                            Value::Table(t) => store(&mut self.tables[t.0], key, value),
                            _ => false,
                        };
                        if !stored {
                            let slot = Some(base + a(i) as usize);
                            slow!(self.set_index(object, key, value, slot))
                        }
                    }
                    opcode::NEWTABLE => {
                        let elements = opcode::from_float_byte(b(i)) as usize;
                        let pairs = opcode::from_float_byte(c(i)) as usize;
                        let table = self.table(elements, pairs);
                        self.st.stack[base + a(i) as usize] = Value::Table(table);
                        slow!(self.collect_if_due().map(|()| Flow::Next))
                    }
                    opcode::SELF => {
                        let object = r[(b(i) & 255) as usize];
                        let key = operand!(c(i));
                        r[(a(i) as usize + 1) & 255] = object;
                        let found = match (object, key) {
                            (Value::Table(t), Value::Str(s)) => self.tables[t.0].get_str(s),
                            _ => Value::Nil,
                        };
                        if !found.is_nil() {
                            r[a(i) as usize] = found;
                        } else {
                            let slot = Some(base + b(i) as usize);
                            slow!(self.index(object, key, slot, base + a(i) as usize))
                        }
                    }
                    opcode::ADD => arithmetic!(i, opcode::ADD),
                    opcode::SUB => arithmetic!(i, opcode::SUB),
                    opcode::MUL => arithmetic!(i, opcode::MUL),
                    opcode::DIV => arithmetic!(i, opcode::DIV),
                    opcode::MOD => arithmetic!(i, opcode::MOD),
                    opcode::POW => arithmetic!(i, opcode::POW),
                    opcode::UNM => {
                        let x = r[(b(i) & 255) as usize];
                        if let Value::Num(n) = x {
                            r[a(i) as usize] = Value::Num(-n);
                        } else {
                            let slot = Some(base + b(i) as usize);
                            let to = base + a(i) as usize;
                            slow!(self.arith_slow(opcode::UNM, x, x, (slot, slot), to))
                        }
                    }
                    opcode::NOT => {
                        r[a(i) as usize] = Value::Bool(r[(b(i) & 255) as usize].is_false());
                    }
                    opcode::LEN => match r[(b(i) & 255) as usize] {
                        Value::Table(t) => {
                            r[a(i) as usize] = Value::Num(self.tables[t.0].len() as f64);
                        }
                        Value::Str(s) => {
                            r[a(i) as usize] = Value::Num(self.strings.get(s).len() as f64);
                        }
                        other => {
                            let (slot, to) = (base + b(i) as usize, base + a(i) as usize);
                            slow!(self.len_slow(other, slot, to))
                        }
                    },
                    opcode::CONCAT => {
                        slow!(self.concat(base + b(i) as usize, base + c(i) as usize))
                    }
                    opcode::JMP => jump!(sbx(i)),
                    opcode::EQ => {
                        let (x, y) = (operand!(b(i)), operand!(c(i)));
                        let expected = a(i) != 0;
                        match (x, y) {
                            (Value::Table(_), Value::Table(_))
                            | (Value::Userdata(_), Value::Userdata(_)) => {
                                slow!(self.equal_slow(x, y, expected))
                            }
                            _ => pc += usize::from((x == y) != expected),
                        }
                    }
                    opcode::LT => {
                        let expected = a(i) != 0;
                        if let (&Value::Num(x), &Value::Num(y)) =
                            (operand_ref!(b(i)), operand_ref!(c(i)))
                        {
                            pc += usize::from((x < y) != expected);
                        } else {
                            let (x, y) = (operand!(b(i)), operand!(c(i)));
                            slow!(self.less_slow(x, y, expected))
                        }
                    }
                    opcode::LE => {
                        let expected = a(i) != 0;
                        if let (&Value::Num(x), &Value::Num(y)) =
                            (operand_ref!(b(i)), operand_ref!(c(i)))
                        {
                            pc += usize::from((x <= y) != expected);
                        } else {
                            let (x, y) = (operand!(b(i)), operand!(c(i)));
                            slow!(self.less_equal_slow(x, y, expected))
                        }
                    }
                    opcode::TEST => {
                        pc += usize::from(r[a(i) as usize].is_false() == (c(i) != 0));
                    }
                    opcode::TESTSET => {
                        let value = r[(b(i) & 255) as usize];
                        if value.is_false() == (c(i) != 0) {
                            pc += 1;
                        } else {
                            r[a(i) as usize] = value;
                        }
                    }
                    opcode::CALL => {
                        let func = base + a(i) as usize;
                        let count = match b(i) {
                            0 => self.st.top - func - 1,
                            n => n as usize - 1,
                        };
                        let results = c(i) as i32 - 1;
                        self.st.frames[at].pc = pc as u32;
                        self.budget -= 1;
                        if let Value::Function(f) = r[a(i) as usize] {
                            self.enter(func, count, results, Ret::Plain, f.0)?;
                            continue 'frame;
                        }
                        match self.call(func, count, results, Ret::Plain)? {
                            Flow::Exit(exit) => return Ok(exit),
                            _ => self.collect_if_due()?,
                        }
                        continue 'frame;
                    }
                    opcode::TAILCALL => {
                        let func = base + a(i) as usize;
                        let count = match b(i) {
                            0 => self.st.top - func - 1,
                            n => n as usize - 1,
                        };
                        self.st.frames[at].pc = pc as u32;
                        self.budget -= 1 + pc as i64;
                        if let Value::Function(f) = r[a(i) as usize] {
                            self.tail_call(func, count, f.0)?;
                            if self.budget < 0 {
                                return Ok(Exit::Paused);
                            }
                            continue 'frame;
                        }
                        // The RETURN that follows returns the results.
                        match self.call(func, count, -1, Ret::Plain)? {
                            Flow::Exit(exit) => return Ok(exit),
                            _ => self.collect_if_due()?,
                        }
                        continue 'frame;
                    }
                    opcode::RETURN => {
                        let from = base + a(i) as usize;
                        let count = match b(i) {
                            0 => self.st.top - from,
                            n => n as usize - 1,
                        };
                        self.budget -= pc as i64;
                        if !self.st.open.is_empty() {
                            self.close_upvalues(base);
                        }
                        let frame = &self.st.frames[at];
                        let (func, results) = (frame.func as usize, frame.results);
                        if matches!(frame.ret, Ret::Plain) {
                            self.st.frames.truncate(at);
                            if results == 1 && count == 1 {
                                self.st.stack[func] = self.st.stack[from].copied();
                            } else {
                                self.move_results(from, count, func, results);
                            }
                            if self.budget < 0 {
                                return Ok(Exit::Paused);
                            }
                            continue 'frame;
                        }
                        let ret = frame.ret;
                        self.st.frames.truncate(at);
                        if ret != Ret::Entry {
                            self.st.c_calls = self.st.c_calls.saturating_sub(1);
                        }
                        let flow = match self.deliver(func, results, ret, from, count)? {
                            Ok(flow) => flow,
                            Err(out) => self.finish(out)?,
                        };
                        match flow {
                            Flow::Exit(exit) => return Ok(exit),
                            _ if self.budget < 0 => return Ok(Exit::Paused),
                            _ => continue 'frame,
                        }
                    }
                    opcode::FORLOOP => {
                        let ra = a(i) as usize;
                        if let (&Value::Num(index), &Value::Num(limit), &Value::Num(step)) =
                            (&r[ra], &r[(ra + 1) & 255], &r[(ra + 2) & 255])
                        {
                            let index = index + step;
                            let on = if step > 0.0 { index <= limit } else { limit <= index };
                            if on {
                                r[ra] = Value::Num(index);
                                r[(ra + 3) & 255] = Value::Num(index);
                                jump!(sbx(i));
                            }
                        }
                    }
                    opcode::FORPREP => {
                        let to = base + a(i) as usize;
                        slow!(self.prepare_for(to).map(|()| Flow::Next));
                        pc = (pc as isize + sbx(i) as isize) as usize;
                    }
                    opcode::TFORLOOP => {
                        let ra = a(i) as usize;
                        if let Value::Native(f) = r[ra]
                            && self.natives[f.0].is_next
                            && let Value::Table(t) = r[(ra + 1) & 255]
                            && let Ok(entry) = self.tables[t.0].next(r[(ra + 2) & 255])
                        {
                            // The iterator of `pairs`, without a call.
                            let wanted = c(i) as usize;
                            match entry {
                                None => pc += 1,
                                Some((key, value)) => {
                                    r[(ra + 2) & 255] = key;
                                    r[(ra + 3) & 255] = key;
                                    if wanted > 1 {
                                        r[(ra + 4) & 255] = value;
                                    }
                                    for more in 2..wanted {
                                        r[(ra + 3 + more) & 255] = Value::Nil;
                                    }
                                }
                            }
                        } else {
                            let from = base + ra;
                            self.grow_stack(from + 6);
                            self.st.stack.copy_within(from..from + 3, from + 3);
                            let ret = Ret::Loop(from as u32);
                            self.budget -= 1;
                            slow!(self.call(from + 3, 2, c(i) as i32, ret))
                        }
                    }
                    opcode::SETLIST => {
                        let from = base + a(i) as usize;
                        let count = match b(i) {
                            0 => self.st.top - from - 1,
                            n => n as usize,
                        };
                        let batch = match c(i) {
                            0 => {
                                pc += 1;
                                code[pc - 1] as usize
                            }
                            n => n as usize,
                        };
                        slow!(self.set_list(from, count, (batch - 1) * 50).map(|()| Flow::Next))
                    }
                    opcode::LINE => {
                        self.st.frames[at].pc = pc as u32;
                        return Ok(Exit::Line);
                    }
                    opcode::CLOSE => {
                        self.close_upvalues(base + a(i) as usize);
                        reload!();
                    }
                    opcode::CLOSURE => {
                        let child = bx(i);
                        let value = self.make_closure(id, child, base, pc);
                        self.st.stack[base + a(i) as usize] = value;
                        let words = self.closures[id].proto.children[child as usize].upvalues;
                        pc += words as usize;
                        slow!(self.collect_if_due().map(|()| Flow::Next))
                    }
                    opcode::VARARG => {
                        let params = self.closures[id].proto.params as usize;
                        let func = self.st.frames[at].func as usize;
                        let given = (base - func - 1).saturating_sub(params);
                        let to = base + a(i) as usize;
                        let wanted = match b(i) {
                            0 => {
                                self.grow_stack(to + given);
                                self.st.top = to + given;
                                self.budget -= given as i64;
                                given
                            }
                            n => n as usize - 1,
                        };
                        for at in 0..wanted {
                            self.st.stack[to + at] = match at < given {
                                true => self.st.stack[func + 1 + params + at],
                                false => Value::Nil,
                            };
                        }
                        reload!();
                    }
                    _ => return Err(self.machine_error("bad instruction")),
                }
            }
        }
    }

    /// Replaces the running function by another one, which is at `func` with its arguments.
    fn tail_call(&mut self, func: usize, count: usize, id: u32) -> Result<(), Raise> {
        let Some(frame) = self.st.frames.last().copied() else { return Ok(()) };
        self.close_upvalues(frame.base as usize);
        let to = frame.func as usize;
        self.st.stack.copy_within(func..=func + count, to);
        self.st.frames.pop();
        // The new frame takes over the wanted results of the old one.
        self.enter(to, count, frame.results, Ret::Plain, id)?;
        if let Some(new) = self.st.frames.last_mut() {
            new.ret = frame.ret;
            new.tail_calls = frame.tail_calls.saturating_add(1);
        }
        Ok(())
    }

    /// Checks and converts the three values of a numeric loop, and subtracts the step once.
    fn prepare_for(&mut self, at: usize) -> Result<(), Raise> {
        let mut values = [0.0; 3];
        for (offset, what) in ["initial value", "limit", "step"].into_iter().enumerate() {
            values[offset] = match self.as_number(self.st.stack[at + offset]) {
                Some(n) => n,
                None => {
                    return Err(self.machine_error(&format!("'for' {what} must be a number")));
                }
            };
        }
        let [first, limit, step] = values;
        self.st.stack[at] = Value::Num(first - step);
        self.st.stack[at + 1] = Value::Num(limit);
        self.st.stack[at + 2] = Value::Num(step);
        Ok(())
    }

    /// Stores the elements of a table constructor.
    fn set_list(&mut self, from: usize, count: usize, after: usize) -> Result<(), Raise> {
        let Value::Table(Table(table)) = self.st.stack[from] else { return Ok(()) };
        let mut done = self.tables[table].reserve_array(after + count, &mut self.mem);
        for at in 1..=count {
            let value = self.st.stack[from + at];
            done = done.and_then(|()| {
                self.tables[table].set_int((after + at) as i64, value, &mut self.mem)
            });
        }
        done.map_err(|refused| self.refused(refused))?;
        self.collect_if_due()
    }
}

/// Stores a value if that needs neither a metamethod nor a new slot. Returns whether it did.
#[inline(always)]
fn store(table: &mut TableData, key: Value, value: Value) -> bool {
    if table.readonly {
        return false;
    }
    match table.meta {
        None => table.assign(key, value),
        Some(_) => table.replace(key, value),
    }
}
