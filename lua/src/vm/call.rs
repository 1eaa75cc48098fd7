//! Calls: entering functions, returning results, catching errors.
//!
//! Library functions that call back (`pcall`, `table.sort`, ...) do not nest on the Rust stack.
//! They return [`Out::Call`] after pushing a continuation ([`Cont`]) that processes the results.

use super::{
    Args, Exit, Flow, Frame, KEPT_STACK, Lua, MAX_C_CALLS, MAX_CALLS, Next, Raise, Ret, SLOT_COST,
    State, Step, WINDOW,
};
use crate::compile::proto::Vararg;
use crate::stdlib::{Foreach, Gsub, Sort};
use crate::value::{Function, Value};

/// The outcome of a library function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Out {
    /// No results.
    Zero,
    /// One result.
    One(Value),
    /// Two results.
    Two(Value, Value),
    /// The values in [`Lua::out`].
    List,
    /// This many values from this slot on.
    Slots(usize, usize),
    /// It calls the function in this slot with this number of arguments, which follow the function,
    /// and wants this number of results (-1 for all). Its [`Cont`] is pushed.
    Call(usize, usize, i32),
    /// It has switched to another coroutine, whose function is in slot 0, with this number of
    /// arguments.
    Enter(usize),
    /// It is a host function: `run` ends.
    Host(u32),
    /// The budget is used up; it continues at the next `run`. Its [`Cont`] is pushed.
    Pause,
}

/// A continuation of a library function, for when the function that it called has returned.
#[derive(Clone, Debug)]
pub(crate) enum Cont {
    Pcall,
    /// `xpcall`, with the error handler.
    Xpcall(Value),
    /// The error handler has been called.
    Handler,
    ToString,
    Sort(Box<Sort>),
    Gsub(Box<Gsub>),
    Foreach(Foreach),
    /// `load`, with the pieces read so far.
    Load(Vec<u8>, Value),
    /// `coroutine.resume`
    Resume,
    /// A function made by `coroutine.wrap`.
    Wrap,
}

impl Cont {
    /// The values that it references, for the collector.
    pub(super) fn values(&self, into: &mut Vec<Value>) {
        match self {
            Cont::Xpcall(v) | Cont::Load(_, v) => into.push(*v),
            Cont::Sort(sort) => into.extend(sort.values()),
            Cont::Gsub(gsub) => into.extend(gsub.values()),
            Cont::Foreach(each) => into.extend(each.values()),
            Cont::Pcall | Cont::Handler | Cont::ToString | Cont::Resume | Cont::Wrap => {}
        }
    }
}

impl Lua {
    /// Runs the started function for about this many instructions.
    pub fn run(&mut self, budget: u64) -> Step {
        if !cfg!(feature = "interpreter") {
            // No code was loaded.
            return Step::Done;
        }
        self.budget = i64::try_from(budget).unwrap_or(i64::MAX);
        let mut flow = match std::mem::replace(&mut self.next, Next::Execute) {
            Next::Idle => {
                self.next = Next::Idle;
                self.out.clear();
                return Step::Done;
            }
            Next::Execute => Ok(Flow::Frame),
            Next::Continue => self.continue_native(0, 0).and_then(|out| self.finish(out)),
            Next::Answer => self.collect_if_due().and_then(|()| self.finish(Out::List)),
            Next::Raise(value) => Err(Raise(value)),
            Next::Enter(count) => self.call(0, count as usize, -1, Ret::Entry),
        };
        loop {
            let exit = match flow {
                Ok(Flow::Next | Flow::Frame) => match self.execute() {
                    Ok(exit) => exit,
                    Err(raise) => {
                        flow = Err(raise);
                        continue;
                    }
                },
                Ok(Flow::Exit(exit)) => exit,
                Err(raise) => {
                    flow = match self.catch(raise) {
                        Ok(Some(out)) => self.finish(out),
                        Ok(None) => {
                            let step = self.fail(raise);
                            return step;
                        }
                        Err(raise) => Err(raise),
                    };
                    continue;
                }
            };
            match exit {
                Exit::Done => {
                    self.next = Next::Idle;
                    return Step::Done;
                }
                Exit::Paused => {
                    if self.next != Next::Continue {
                        self.next = Next::Execute;
                    }
                    return Step::Paused;
                }
                Exit::Line => {
                    self.next = Next::Execute;
                    return Step::Line;
                }
                Exit::Host(tag) => return Step::Host(tag),
            }
        }
    }

    fn fail(&mut self, raise: Raise) -> Step {
        let (source, line) = self.running_line();
        self.abort();
        Step::Failed(super::Failure { value: raise.0, line, source })
    }

    #[inline]
    pub(crate) fn slot(&self, at: usize) -> Value {
        self.st.stack[at]
    }

    /// Grows the stack so that a window from this slot on fits.
    #[inline]
    pub(super) fn grow_stack(&mut self, to: usize) {
        if self.st.stack.len() < to + WINDOW {
            self.grow_stack_now(to + WINDOW);
        }
    }

    #[cold]
    fn grow_stack_now(&mut self, needed: usize) {
        let size = needed.next_power_of_two();
        self.mem += (size - self.st.stack.len()) as u64 * SLOT_COST;
        self.st.stack.resize(size, Value::Nil);
    }

    /// Pushes a function and its arguments above the frame of the running library function, for
    /// [`Out::Call`]; returns the slot of the function.
    pub(crate) fn push_call(&mut self, function: Value, args: &[Value]) -> usize {
        let at = self.st.frames.last().map_or(0, |f| f.top as usize);
        self.grow_stack(at + args.len() + 1);
        self.st.stack[at] = function;
        self.st.stack[at + 1..=at + args.len()].copy_from_slice(args);
        at
    }

    /// Pushes the continuation of the running library function.
    pub(crate) fn push_cont(&mut self, cont: Cont) {
        let frame = self.st.frames.len().saturating_sub(1) as u32;
        self.st.conts.push((frame, cont));
    }

    /// Enters a Lua function whose arguments follow it on the stack.
    #[inline]
    pub(super) fn enter(
        &mut self,
        func: usize,
        count: usize,
        results: i32,
        ret: Ret,
        id: u32,
    ) -> Result<(), Raise> {
        if self.st.frames.len() >= MAX_CALLS {
            return Err(self.machine_error("stack overflow"));
        }
        let proto = &*self.closures[id].proto;
        let (params, registers) = (proto.params as usize, proto.registers as usize);
        let vararg = proto.vararg;
        let mut base = func + 1;
        if vararg == Vararg::No {
            self.grow_stack(base + count);
            // Registers are nil at first, including parameters that are not given.
            let from = base + count.min(params);
            self.st.stack[from..base + registers].fill(Value::Nil);
        } else {
            base = func + 1 + count;
            self.budget -= count as i64;
            self.grow_stack(base + params);
            for i in 0..params {
                let value = match i < count {
                    true => std::mem::replace(&mut self.st.stack[func + 1 + i], Value::Nil),
                    false => Value::Nil,
                };
                self.st.stack[base + i] = value;
            }
            self.st.stack[base + params..base + registers].fill(Value::Nil);
            if vararg == Vararg::Table {
                let table = self.arg_table(func + 1 + params, count.saturating_sub(params));
                self.st.stack[base + params] = table;
            }
        }
        if ret != Ret::Plain {
            self.count_c_call(ret)?;
        }
        self.st.frames.push(Frame {
            func: func as u32,
            base: base as u32,
            top: (base + registers) as u32,
            pc: 0,
            id,
            results,
            native: false,
            tail_calls: 0,
            ret,
        });
        Ok(())
    }

    #[cold]
    fn arg_table(&mut self, from: usize, count: usize) -> Value {
        let table = self.table(count, 1);
        for i in 0..count {
            let value = self.st.stack[from + i];
            self.raw_set(table, Value::Num((i + 1) as f64), value);
        }
        self.raw_set_name(table, "n", Value::Num(count as f64));
        Value::Table(table)
    }

    /// Counts a call that PUC makes through C.
    fn count_c_call(&mut self, ret: Ret) -> Result<(), Raise> {
        if ret == Ret::Entry {
            return Ok(());
        }
        if self.st.c_calls + 1 >= MAX_C_CALLS {
            return Err(self.machine_error("C stack overflow"));
        }
        self.st.c_calls += 1;
        Ok(())
    }

    /// Removes the top frame.
    fn pop_frame(&mut self) -> Option<(usize, i32, Ret)> {
        let frame = self.st.frames.last()?;
        let (func, results, ret) = (frame.func as usize, frame.results, frame.ret);
        self.st.frames.truncate(self.st.frames.len() - 1);
        if !matches!(ret, Ret::Plain | Ret::Entry) {
            self.st.c_calls = self.st.c_calls.saturating_sub(1);
        }
        Some((func, results, ret))
    }

    /// Calls the value in a slot, with the arguments that follow it.
    pub(super) fn call(
        &mut self,
        func: usize,
        count: usize,
        results: i32,
        ret: Ret,
    ) -> Result<Flow, Raise> {
        match self.begin(func, count, results, ret)? {
            None => Ok(Flow::Frame),
            Some(out) => self.finish(out),
        }
    }

    /// Enters a Lua function, or executes a library function once.
    fn begin(
        &mut self,
        func: usize,
        mut count: usize,
        results: i32,
        ret: Ret,
    ) -> Result<Option<Out>, Raise> {
        if !matches!(self.st.stack[func], Value::Function(_) | Value::Native(_)) {
            let value = self.st.stack[func];
            let handler = self.metamethod(value, super::Event::Call);
            if !matches!(handler, Value::Function(_) | Value::Native(_)) {
                return Err(self.type_error("call", value, Some(func)));
            }
            self.grow_stack(func + count + 2);
            self.st.stack.copy_within(func..func + 1 + count, func + 1);
            self.st.stack[func] = handler;
            count += 1;
        }
        match self.st.stack[func] {
            Value::Function(f) => {
                self.enter(func, count, results, ret, f.0)?;
                Ok(None)
            }
            Value::Native(f) => {
                if self.st.frames.len() >= MAX_CALLS {
                    return Err(self.machine_error("stack overflow"));
                }
                let base = func + 1;
                self.grow_stack(base + count);
                if ret != Ret::Plain {
                    self.count_c_call(ret)?;
                }
                self.st.frames.push(Frame {
                    func: func as u32,
                    base: base as u32,
                    top: (base + count) as u32,
                    pc: 0,
                    id: f.0,
                    results,
                    native: true,
                    tail_calls: 0,
                    ret,
                });
                let code = self.natives[f.0].code;
                code(self, Args::new(base, count)).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Processes the outcome of a library function, including the continuations below it.
    pub(super) fn finish(&mut self, mut out: Out) -> Result<Flow, Raise> {
        loop {
            out = match out {
                Out::Call(func, count, results) => {
                    match self.begin(func, count, results, Ret::Native)? {
                        None => return Ok(Flow::Frame),
                        Some(out) => out,
                    }
                }
                Out::Enter(count) => match self.begin(0, count, -1, Ret::Entry)? {
                    None => return Ok(Flow::Frame),
                    Some(out) => out,
                },
                Out::Host(tag) => return Ok(Flow::Exit(Exit::Host(tag))),
                Out::Pause => {
                    self.next = Next::Continue;
                    return Ok(Flow::Exit(Exit::Paused));
                }
                values => {
                    let Some((func, results, ret)) = self.pop_frame() else {
                        return Ok(Flow::Exit(Exit::Done));
                    };
                    let (from, count) = self.spread(values, func);
                    match self.deliver(func, results, ret, from, count)? {
                        Ok(flow) => return Ok(flow),
                        Err(out) => out,
                    }
                }
            };
        }
    }

    /// Puts results on the stack, at a slot unless they are there already; returns where they are.
    fn spread(&mut self, out: Out, at: usize) -> (usize, usize) {
        match out {
            Out::One(v) => {
                self.st.stack[at] = v;
                (at, 1)
            }
            Out::Two(v, w) => {
                self.st.stack[at] = v;
                self.st.stack[at + 1] = w;
                (at, 2)
            }
            Out::List => {
                let out = std::mem::take(&mut self.out);
                self.grow_stack(at + out.len());
                self.st.stack[at..at + out.len()].copy_from_slice(&out);
                let count = out.len();
                self.out = out;
                self.out.clear();
                (at, count)
            }
            Out::Slots(from, count) => (from, count),
            _ => (at, 0),
        }
    }

    /// Delivers the results of a frame that has been removed. `Err`: they went to a library
    /// function, with this outcome.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        func: usize,
        results: i32,
        ret: Ret,
        from: usize,
        count: usize,
    ) -> Result<Result<Flow, Out>, Raise> {
        let first = match count {
            0 => Value::Nil,
            _ => self.st.stack[from].copied(),
        };
        match ret {
            Ret::Plain => {
                self.move_results(from, count, func, results);
                return Ok(Ok(Flow::Frame));
            }
            Ret::Native => {
                self.move_results(from, count, func, results);
                let count = usize::try_from(results).unwrap_or(count);
                return self.continue_native(func, count).map(Err);
            }
            Ret::Entry => return self.end(from, count),
            Ret::Slot(slot) => self.st.stack[slot as usize] = first,
            Ret::Test(expected) => self.skip_unless(first.is_false() != expected),
            Ret::TestNot(expected) => self.skip_unless(first.is_false() == expected),
            Ret::Drop => {}
            Ret::Concat(start, last) => {
                self.st.stack[last as usize] = first;
                return self.concat(start as usize, last as usize).map(Ok);
            }
            Ret::Loop(base) => {
                self.move_results(from, count, func, results);
                let base = base as usize;
                let control = self.st.stack[base + 3];
                match control {
                    Value::Nil => self.skip_unless(false),
                    _ => self.st.stack[base + 2] = control,
                }
            }
        }
        Ok(Ok(Flow::Frame))
    }

    fn skip_unless(&mut self, holds: bool) {
        if let Some(frame) = self.st.frames.last_mut()
            && !holds
        {
            frame.pc += 1;
        }
    }

    #[inline]
    pub(super) fn move_results(&mut self, from: usize, count: usize, to: usize, wanted: i32) {
        if wanted < 0 {
            self.grow_stack(to + count);
            self.st.stack.copy_within(from..from + count, to);
            self.st.top = to + count;
            return;
        }
        if wanted == 1 && count == 1 {
            self.st.stack[to] = self.st.stack[from].copied();
            return;
        }
        let wanted = wanted as usize;
        let copied = count.min(wanted);
        self.st.stack.copy_within(from..from + copied, to);
        self.st.stack[to + copied..to + wanted].fill(Value::Nil);
    }

    /// Handles the return of the main function of a coroutine, or of the run.
    fn end(&mut self, from: usize, count: usize) -> Result<Result<Flow, Out>, Raise> {
        self.out.clear();
        self.out.extend_from_slice(&self.st.stack[from..from + count]);
        if self.current == 0 {
            self.clear_stack();
            return Ok(Ok(Flow::Exit(Exit::Done)));
        }
        self.end_coroutine();
        self.back_in_resumer(true).map(Err)
    }

    /// Clears the stack after a run. The part that most scripts need stays allocated for the next
    /// run; the collector clears its values.
    pub(super) fn clear_stack(&mut self) {
        if self.st.stack.len() > KEPT_STACK {
            self.mem = self.mem.saturating_sub(self.st.cost());
            self.st = State::default();
        } else {
            self.st.frames.clear();
            self.st.conts.clear();
            self.st.open.clear();
            (self.st.c_calls, self.st.top) = (0, 0);
        }
    }

    /// Continues the topmost library function with the results of the function that it called.
    pub(super) fn continue_native(&mut self, from: usize, count: usize) -> Result<Out, Raise> {
        let Some(frame) = self.st.frames.last() else { return Ok(Out::Zero) };
        let func = frame.func as usize;
        match self.st.conts.pop().map(|(_, cont)| cont) {
            Some(Cont::Pcall | Cont::Xpcall(_)) => {
                // The results must be right behind the function's own slot.
                if from != func + 1 {
                    self.grow_stack(func + 1 + count);
                    self.st.stack.copy_within(from..from + count, func + 1);
                }
                self.st.stack[func] = Value::Bool(true);
                Ok(Out::Slots(func, count + 1))
            }
            Some(Cont::Handler) => {
                let value = if count > 0 { self.st.stack[from] } else { Value::Nil };
                Ok(Out::Two(Value::Bool(false), value))
            }
            Some(Cont::ToString) => match self.st.stack[from] {
                _ if count == 0 => Ok(Out::One(Value::Nil)),
                value => Ok(Out::One(value)),
            },
            Some(Cont::Sort(sort)) => {
                let answer = (count > 0).then(|| !self.st.stack[from].is_false());
                sort.resume(self, answer)
            }
            Some(Cont::Gsub(gsub)) => {
                let value = if count > 0 { self.st.stack[from] } else { Value::Nil };
                gsub.resume(self, value)
            }
            Some(Cont::Foreach(each)) => {
                let value = if count > 0 { self.st.stack[from] } else { Value::Nil };
                each.resume(self, value)
            }
            Some(Cont::Load(pieces, name)) => {
                let value = if count > 0 { self.st.stack[from] } else { Value::Nil };
                crate::stdlib::load_piece(self, pieces, name, value)
            }
            Some(Cont::Resume | Cont::Wrap) | None => Ok(Out::Zero),
        }
    }

    /// Finds the handler that catches an error and unwinds to it. `None` if there is none; the
    /// stack is then unchanged.
    fn catch(&mut self, raise: Raise) -> Result<Option<Out>, Raise> {
        let mut dropped = Vec::new();
        while let Some((frame, cont)) = self.st.conts.pop() {
            let (handler, failed_twice) = match cont {
                Cont::Pcall => (None, false),
                Cont::Xpcall(handler) => (Some(handler), false),
                Cont::Handler => (None, true),
                other => {
                    dropped.push((frame, other));
                    continue;
                }
            };
            let at = frame as usize;
            let func = self.st.frames[at].func;
            self.close_upvalues(func as usize);
            let gone = self.st.frames.drain(at + 1..);
            let c_calls = gone.filter(|f| !matches!(f.ret, Ret::Plain | Ret::Entry)).count() as u32;
            self.st.c_calls = self.st.c_calls.saturating_sub(c_calls);
            if let Some(handler) = handler {
                self.push_cont(Cont::Handler);
                let at = self.push_call(handler, &[raise.0]);
                return Ok(Some(Out::Call(at, 1, 1)));
            }
            let value = match failed_twice {
                true => self.string(b"error in error handling"),
                false => match (raise.0, self.caught_field) {
                    (Value::Table(table), Some(field)) => {
                        match self.tables[table.0].get_str(field) {
                            text @ Value::Str(_) => text,
                            _ => raise.0,
                        }
                    }
                    (value, _) => value,
                },
            };
            return Ok(Some(Out::Two(Value::Bool(false), value)));
        }
        self.st.conts.extend(dropped.into_iter().rev());
        if self.current == 0 {
            return Ok(None);
        }
        if matches!(self.resumer_cont(), Some(Cont::Wrap)) && !self.is_caught_outside() {
            // Nothing outside catches it either: the stack is kept so that the position can be
            // queried.
            return Ok(None);
        }
        self.end_coroutine();
        self.out.clear();
        self.out.push(raise.0);
        self.back_in_resumer(false).map(Some)
    }

    /// The function of a frame that [`Lua::level`] found.
    pub(crate) fn frame_function(&self, at: usize) -> Value {
        let frame = &self.st.frames[at];
        match frame.native {
            true => Value::Native(crate::value::Native(frame.id)),
            false => Value::Function(Function(frame.id)),
        }
    }
}
