//! The garbage collector: marks what is reachable from the roots and frees the rest. It runs
//! between instructions, when memory use has doubled since the last collection.

use super::{CLOSURE_COST, Cont, Coroutine, Lua, State, THREAD_COST, UPVALUE_COST, Upvalue};
use crate::table::TableData;
use crate::value::{Table, Value};

/// The minimum growth between two collections, in bytes.
const STEP: u64 = 64 << 10;

impl Lua {
    /// Collects if it is due. `Err` if the memory limit is exceeded even afterwards.
    #[inline]
    pub(super) fn collect_if_due(&mut self) -> Result<(), super::Raise> {
        match self.mem >= self.collect_at {
            true => self.collect_due(),
            false => Ok(()),
        }
    }

    #[cold]
    fn collect_due(&mut self) -> Result<(), super::Raise> {
        if !self.collector_stopped || self.mem > self.limit {
            self.collect();
        }
        if self.mem > self.limit {
            return Err(self.memory_error());
        }
        Ok(())
    }

    /// Frees all unreachable objects. It must be called while no script runs, or between two
    /// instructions: library functions hold values that are not roots.
    pub(crate) fn collect(&mut self) {
        let mut gray = Vec::new();
        let mut weak = Vec::new();
        gray.push(Value::Table(self.globals));
        gray.extend(self.string_meta.map(Value::Table));
        gray.extend(self.pins.iter().copied());
        gray.extend(self.out.iter().copied());
        if let super::Next::Raise(v) = self.next {
            gray.push(v);
        }
        for s in self.events {
            self.strings.mark(s);
        }
        self.threads.mark(0);
        self.threads.mark(self.current);
        // The current stack is in `st`; the others are in their coroutines.
        let mut state = std::mem::take(&mut self.st);
        self.mark_state(&mut state, &mut gray);
        self.st = state;
        if self.current != 0 {
            self.mark_thread(0, &mut gray);
            let resumer = self.threads[self.current].resumer;
            gray.push(Value::Thread(crate::value::Thread(resumer)));
        }
        while let Some(value) = gray.pop() {
            self.mark_value(value, &mut gray, &mut weak);
        }
        for table in weak {
            self.clear_weak(table);
        }
        self.sweep();
        self.collect_at = (self.mem * 2).max(self.mem + STEP);
        if self.collect_at > self.limit {
            self.collect_at = self.limit.max(self.mem + STEP / 4);
        }
    }

    /// Marks the values on a stack, and clears its unused slots.
    fn mark_state(&mut self, state: &mut State, gray: &mut Vec<Value>) {
        let used = state.frames.iter().map(|f| f.top as usize).max().unwrap_or(0).max(state.top);
        let used = used.min(state.stack.len());
        gray.extend_from_slice(&state.stack[..used]);
        state.stack[used..].fill(Value::Nil);
        for frame in &state.frames {
            gray.push(match frame.native {
                true => Value::Native(crate::value::Native(frame.id)),
                false => Value::Function(crate::value::Function(frame.id)),
            });
        }
        for (_, cont) in &state.conts {
            Cont::values(cont, gray);
        }
        for &(_, upvalue) in &state.open {
            self.upvalues.mark(upvalue);
        }
    }

    fn mark_thread(&mut self, id: u32, gray: &mut Vec<Value>) {
        let mut state = std::mem::take(&mut self.threads[id].state);
        self.mark_state(&mut state, gray);
        self.threads[id].state = state;
        let resumer = self.threads[id].resumer;
        gray.push(Value::Thread(crate::value::Thread(resumer)));
    }

    fn mark_value(&mut self, value: Value, gray: &mut Vec<Value>, weak: &mut Vec<Table>) {
        match value {
            Value::Str(s) => self.strings.mark(s),
            Value::Table(t) => {
                if self.tables.mark(t.0) {
                    self.mark_table(t, gray, weak);
                }
            }
            Value::Function(f) => {
                if self.closures.mark(f.0) {
                    let closure = &self.closures[f.0];
                    gray.push(Value::Table(closure.env));
                    for &id in &closure.upvalues {
                        if self.upvalues.mark(id)
                            && let Upvalue::Closed(v) = self.upvalues[id]
                        {
                            gray.push(v);
                        }
                        // The value of an open upvalue is on a stack, which is marked if its
                        // coroutine is alive. A coroutine that is otherwise unreachable closes it
                        // when it is swept.
                        if let Upvalue::Open { thread, .. } = self.upvalues[id] {
                            gray.push(Value::Thread(crate::value::Thread(thread)));
                        }
                    }
                    if self.chunks.mark(closure.chunk) {
                        for &s in &self.chunks[closure.chunk] {
                            self.strings.mark(s);
                        }
                    }
                }
            }
            Value::Native(f) => {
                if self.natives.mark(f.0) {
                    gray.extend(self.natives[f.0].upvalues.iter().copied());
                }
            }
            Value::Thread(t) => {
                if self.threads.mark(t.0) {
                    self.mark_thread(t.0, gray);
                }
            }
            Value::Userdata(u) => {
                if self.userdata.mark(u.0) {
                    gray.extend(self.userdata[u.0].meta.map(Value::Table));
                }
            }
            Value::Nil | Value::Bool(_) | Value::Num(_) | Value::Light(_) | Value::Dead(..) => {}
        }
    }

    fn mark_table(&mut self, table: Table, gray: &mut Vec<Value>, weak: &mut Vec<Table>) {
        let (mut weak_keys, mut weak_values) = (false, false);
        if let Some(meta) = self.tables[table.0].meta {
            gray.push(Value::Table(meta));
            let mode = self.tables[meta.0].get_str(self.events[super::Event::Mode as usize]);
            if let Value::Str(mode) = mode {
                let mode = self.strings.get(mode);
                weak_keys = mode.contains(&b'k');
                weak_values = mode.contains(&b'v');
            }
        }
        if weak_keys || weak_values {
            weak.push(table);
        }
        // Only values that may refer to others are queued: queueing the millions of strings of a
        // table would double its memory.
        let strings = &mut self.strings;
        let mut reach = |value: Value| match value {
            Value::Str(s) => strings.mark(s),
            Value::Nil | Value::Bool(_) | Value::Num(_) | Value::Light(_) | Value::Dead(..) => {}
            object => gray.push(object),
        };
        self.tables[table.0].traverse(|key, value| {
            if !weak_keys {
                reach(key);
            }
            if !weak_values {
                reach(value);
            }
            false
        });
    }

    /// Clears the entries of a weak table whose key or value is to be freed.
    fn clear_weak(&mut self, table: Table) {
        let mut data = std::mem::take(&mut self.tables[table.0]);
        for (key, value) in data.entries().collect::<Vec<_>>() {
            // Strings count as values, not objects: they are kept.
            for s in [key, value] {
                if let Value::Str(s) = s {
                    self.strings.mark(s);
                }
            }
        }
        data.traverse(|key, value| self.is_gone(key) || self.is_gone(value));
        self.tables[table.0] = data;
    }

    fn is_gone(&self, value: Value) -> bool {
        match value {
            Value::Table(t) => !self.tables.is_marked(t.0),
            Value::Function(f) => !self.closures.is_marked(f.0),
            Value::Native(f) => !self.natives.is_marked(f.0),
            Value::Thread(t) => !self.threads.is_marked(t.0),
            Value::Userdata(u) => !self.userdata.is_marked(u.0),
            Value::Str(s) => !self.strings.is_marked(s),
            _ => false,
        }
    }

    fn sweep(&mut self) {
        let mem = &mut self.mem;
        self.strings.sweep(mem);
        self.tables.sweep(|_, t| {
            *mem = mem.saturating_sub(t.cost());
            *t = TableData::default();
        });
        self.closures.sweep(|_, c| {
            *mem = mem.saturating_sub(CLOSURE_COST + c.upvalues.len() as u64 * 4);
            c.upvalues = Box::new([]);
        });
        self.natives.sweep(|_, f| {
            *mem = mem.saturating_sub(CLOSURE_COST);
            f.upvalues = Vec::new();
        });
        self.upvalues.sweep(|_, u| {
            *mem = mem.saturating_sub(UPVALUE_COST);
            *u = Upvalue::Closed(Value::Nil);
        });
        self.threads.sweep(|_, t| {
            *mem = mem.saturating_sub(THREAD_COST + t.cost());
            t.state = State::default();
        });
        self.userdata.sweep(|_, u| {
            *mem = mem.saturating_sub(CLOSURE_COST);
            u.meta = None;
        });
        self.chunks.sweep(|_, strings| *strings = Vec::new());
    }
}

impl Coroutine {
    fn cost(&self) -> u64 {
        self.state.cost()
    }
}

impl State {
    /// The accounted size of the stack.
    pub(super) fn cost(&self) -> u64 {
        self.stack.len() as u64 * super::SLOT_COST
    }
}
