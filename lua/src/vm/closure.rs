//! Closures: their upvalues, which are shared with the stack and with other closures, and their
//! environments.

use super::{Lua, UPVALUE_COST, Upvalue};
use crate::compile::opcode;
use crate::value::{Table, Value};

impl Lua {
    /// The upvalue of a register, shared by all closures that capture it.
    pub(super) fn capture(&mut self, slot: usize) -> u32 {
        let slot = slot as u32;
        let at = self.st.open.partition_point(|&(s, _)| s < slot);
        if let Some(&(s, id)) = self.st.open.get(at)
            && s == slot
        {
            return id;
        }
        self.mem += UPVALUE_COST;
        let id = self.upvalues.add(Upvalue::Open { thread: self.current, slot });
        self.st.open.insert(at, (slot, id));
        id
    }

    /// Closes the upvalues from a slot on: they keep their values from now on.
    #[inline]
    pub(super) fn close_upvalues(&mut self, from: usize) {
        while let Some(&(slot, id)) = self.st.open.last()
            && slot as usize >= from
        {
            self.upvalues[id] = Upvalue::Closed(self.st.stack[slot as usize]);
            self.st.open.pop();
        }
    }

    #[inline]
    pub(super) fn upvalue(&self, id: u32) -> Value {
        match self.upvalues[id] {
            Upvalue::Closed(v) => v,
            Upvalue::Open { thread, slot } if thread == self.current => {
                self.st.stack[slot as usize].copied()
            }
            Upvalue::Open { thread, slot } => {
                let stack = &self.threads[thread].state.stack;
                stack.get(slot as usize).copied().unwrap_or(Value::Nil)
            }
        }
    }

    #[inline]
    pub(super) fn set_upvalue(&mut self, id: u32, value: Value) {
        match &mut self.upvalues[id] {
            Upvalue::Closed(v) => *v = value,
            Upvalue::Open { thread, slot } if *thread == self.current => {
                self.st.stack[*slot as usize] = value;
            }
            Upvalue::Open { thread, slot } => {
                let stack = &mut self.threads[*thread].state.stack;
                if let Some(at) = stack.get_mut(*slot as usize) {
                    *at = value;
                }
            }
        }
    }

    /// Creates a closure of a child of the running function; `pc` is the first word after CLOSURE.
    pub(super) fn make_closure(
        &mut self,
        closure: u32,
        child: u32,
        base: usize,
        pc: usize,
    ) -> Value {
        let parent = &self.closures[closure];
        let proto = parent.proto.children[child as usize].clone();
        let (chunk, env) = (parent.chunk, parent.env);
        let outer = parent.proto.clone();
        let mut upvalues = Vec::with_capacity(proto.upvalues as usize);
        for word in &outer.code[pc..pc + proto.upvalues as usize] {
            let index = opcode::b(*word);
            upvalues.push(match opcode::op(*word) {
                opcode::MOVE => self.capture(base + index as usize),
                _ => self.closures[closure].upvalues[index as usize],
            });
        }
        self.new_closure(proto, chunk, env, upvalues.into())
    }

    /// The environment of a function; for a library function, the globals of chunks.
    pub(crate) fn environment(&self, function: Value) -> Table {
        match function {
            Value::Function(f) => self.closures[f.0].env,
            _ => self.globals,
        }
    }

    /// Sets the environment of a Lua function. Returns whether it is one.
    pub(crate) fn set_environment(&mut self, function: Value, env: Table) -> bool {
        match function {
            Value::Function(f) => {
                self.closures[f.0].env = env;
                true
            }
            _ => false,
        }
    }
}
