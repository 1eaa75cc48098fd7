//! Code generation: expressions that are not in a register yet, and jumps whose targets are not
//! known yet.

mod expressions;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lexer::SyntaxError;
use super::opcode::*;
use super::parser::Parser;
use super::proto::{LocalName, Proto, Vararg};
use crate::value::{Str, Value};
use crate::vm::arith;
pub(super) use expressions::{Binary, Unary};

/// The end of a list of jumps. Lists are linked through the jumps' own targets.
pub(super) const NO_JUMP: i32 = -1;
/// A register number that no function uses.
const NO_REGISTER: u32 = MAX_A;
/// The maximum number of registers of a function.
const MAX_REGISTERS: u32 = 250;
/// The number of elements of a table constructor that one SETLIST stores.
pub(super) const FIELDS_PER_FLUSH: u32 = 50;

/// Where the value of an expression is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// It has no value.
    Void,
    Nil,
    True,
    False,
    /// Constant `info`.
    Constant,
    /// The number `number`.
    Number,
    /// Register `info` of a local variable.
    Local,
    /// Upvalue `info`.
    Upvalue,
    /// The global whose name is constant `info`.
    Global,
    /// Table in register `info`, key in register or constant `aux`.
    Indexed,
    /// A comparison: instruction `info` jumps if it holds.
    Jump,
    /// Instruction `info`, whose target register is not fixed yet.
    Relocatable,
    /// Register `info`.
    Register,
    /// Instruction `info` is a call.
    Call,
    /// Instruction `info` is a VARARG.
    Vararg,
}

/// An expression that is being compiled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exp {
    pub(super) kind: Kind,
    pub(super) info: u32,
    pub(super) aux: u32,
    pub(super) number: f64,
    /// The list of jumps taken if it is true.
    pub(super) on_true: i32,
    /// The list of jumps taken if it is false.
    pub(super) on_false: i32,
}

impl Exp {
    pub(super) fn new(kind: Kind, info: u32) -> Exp {
        Exp { kind, info, aux: 0, number: 0.0, on_true: NO_JUMP, on_false: NO_JUMP }
    }

    pub(super) fn number(number: f64) -> Exp {
        Exp { number, ..Exp::new(Kind::Number, 0) }
    }

    fn has_jumps(&self) -> bool {
        self.on_true != self.on_false
    }

    fn is_numeral(&self) -> bool {
        self.kind == Kind::Number && self.on_true == NO_JUMP && self.on_false == NO_JUMP
    }
}

/// The key of a constant: its type and its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ConstantKey {
    Nil,
    Bool(bool),
    Number(u64),
    String(u32),
}

/// A block of statements.
#[derive(Debug)]
pub(super) struct Block {
    /// The list of jumps out of this loop.
    pub(super) breaks: i32,
    /// The number of local variables outside of it.
    pub(super) outer_locals: u32,
    /// Whether a closure captures one of its variables.
    pub(super) captured: bool,
    pub(super) is_loop: bool,
}

/// An upvalue of a function: a local variable or an upvalue of the enclosing function.
#[derive(Debug)]
pub(super) struct Upvalue {
    pub(super) name: Str,
    pub(super) is_local: bool,
    pub(super) index: u32,
}

/// A function that is being compiled.
#[derive(Debug, Default)]
pub(super) struct Func {
    pub(super) code: Vec<u32>,
    lines: Vec<u32>,
    pub(super) constants: Vec<Value>,
    known: BTreeMap<ConstantKey, u32>,
    pub(super) children: Vec<Arc<Proto>>,
    pub(super) locals: Vec<LocalBuild>,
    /// The local variables in scope, as indexes into `locals`.
    pub(super) active: Vec<u32>,
    pub(super) upvalues: Vec<Upvalue>,
    pub(super) blocks: Vec<Block>,
    /// The first free register.
    pub(super) free: u32,
    /// The list of pending jumps to the next instruction.
    jumps_here: i32,
    /// The last instruction that is the target of a jump.
    last_target: i32,
    pub(super) params: u32,
    pub(super) vararg: Vararg,
    /// Whether it has a hidden parameter `arg`.
    pub(super) has_arg: bool,
    registers: u32,
    pub(super) line: u32,
    /// The line that was marked last; 0 if the next statement must be marked in any case.
    pub(super) marked: u32,
}

/// A local variable, while its scope is open.
#[derive(Debug)]
pub(super) struct LocalBuild {
    pub(super) name: Str,
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Func {
    pub(super) fn new(line: u32) -> Func {
        Func { jumps_here: NO_JUMP, last_target: -1, registers: 2, line, ..Func::default() }
    }

    pub(super) fn pc(&self) -> u32 {
        self.code.len() as u32
    }

    pub(super) fn active_count(&self) -> u32 {
        self.active.len() as u32
    }

    fn jump_target(&self, pc: i32) -> i32 {
        match sbx(self.code[pc as usize]) {
            NO_JUMP => NO_JUMP,
            offset => pc + 1 + offset,
        }
    }

    /// The instruction that controls a jump: the test before it, or the jump itself.
    fn decider(&self, pc: i32) -> usize {
        match pc >= 1 && is_test(op(self.code[pc as usize - 1])) {
            true => pc as usize - 1,
            false => pc as usize,
        }
    }

    /// Whether any jump of a list does not produce a value.
    fn needs_value(&self, mut list: i32) -> bool {
        while list != NO_JUMP {
            if op(self.code[self.decider(list)]) != TESTSET {
                return true;
            }
            list = self.jump_target(list);
        }
        false
    }

    fn patch_test_register(&mut self, node: i32, register: u32) -> bool {
        let at = self.decider(node);
        let i = self.code[at];
        if op(i) != TESTSET {
            return false;
        }
        self.code[at] = match register != NO_REGISTER && register != b(i) {
            true => with_a(i, register),
            false => abc(TEST, b(i), 0, c(i)),
        };
        true
    }

    fn remove_values(&mut self, mut list: i32) {
        while list != NO_JUMP {
            self.patch_test_register(list, NO_REGISTER);
            list = self.jump_target(list);
        }
    }

    /// Marks the next instruction as the target of jumps.
    pub(super) fn label(&mut self) -> i32 {
        self.last_target = self.pc() as i32;
        self.last_target
    }

    pub(super) fn free_register(&mut self, register: u32) {
        if register < CONSTANT && register >= self.active_count() {
            self.free = self.free.saturating_sub(1);
        }
    }

    pub(super) fn free_exp(&mut self, e: &Exp) {
        if e.kind == Kind::Register {
            self.free_register(e.info);
        }
    }

    /// The finished function.
    pub(super) fn finish(self, source: Arc<str>, bytes: impl Fn(Str) -> Arc<[u8]>) -> Proto {
        Proto {
            locals: self
                .locals
                .iter()
                .map(|l| LocalName { name: bytes(l.name), from: l.from, to: l.to })
                .collect(),
            upvalue_names: self.upvalues.iter().map(|u| bytes(u.name)).collect(),
            upvalues: self.upvalues.len() as u32,
            code: self.code,
            constants: self.constants,
            children: self.children,
            lines: self.lines,
            source,
            params: self.params,
            vararg: self.vararg,
            registers: self.registers,
        }
    }
}

type Emitted<T = ()> = Result<T, SyntaxError>;

impl Parser<'_> {
    pub(super) fn emit(&mut self, i: u32) -> Emitted<u32> {
        let line = self.lex.last_line;
        let pending = std::mem::replace(&mut self.func().jumps_here, NO_JUMP);
        let here = self.func().pc() as i32;
        self.patch_with(pending, here, NO_REGISTER, here)?;
        let func = self.func();
        func.code.push(i);
        func.lines.push(line);
        Ok(func.pc() - 1)
    }

    pub(super) fn emit_abc(&mut self, op: u32, a: u32, b: u32, c: u32) -> Emitted<u32> {
        self.emit(abc(op, a, b, c))
    }

    pub(super) fn emit_abx(&mut self, op: u32, a: u32, bx: u32) -> Emitted<u32> {
        self.emit(abx(op, a, bx))
    }

    /// Sets the line of the last instruction.
    pub(super) fn fix_line(&mut self, line: u32) {
        if let Some(last) = self.func().lines.last_mut() {
            *last = line;
        }
    }

    pub(super) fn emit_nil(&mut self, from: u32, count: u32) -> Emitted {
        let func = self.func();
        if func.pc() as i32 > func.last_target {
            match func.code.last_mut() {
                // Registers are nil at the start of a function.
                None => {
                    if from >= func.active.len() as u32 {
                        return Ok(());
                    }
                }
                Some(last) if op(*last) == LOADNIL => {
                    let (first, end) = (a(*last), b(*last));
                    if first <= from && from <= end + 1 {
                        *last = with_b(*last, end.max(from + count - 1));
                        return Ok(());
                    }
                }
                Some(_) => {}
            }
        }
        self.emit_abc(LOADNIL, from, from + count - 1, 0)?;
        Ok(())
    }

    pub(super) fn emit_jump(&mut self) -> Emitted<i32> {
        let pending = std::mem::replace(&mut self.func().jumps_here, NO_JUMP);
        let mut jump = self.emit(with_sbx(JMP, NO_JUMP))? as i32;
        self.join_jumps(&mut jump, pending)?;
        Ok(jump)
    }

    pub(super) fn emit_return(&mut self, first: u32, count: i32) -> Emitted {
        self.emit_abc(RETURN, first, (count + 1) as u32, 0)?;
        Ok(())
    }

    fn emit_test(&mut self, op: u32, a: u32, b: u32, c: u32) -> Emitted<i32> {
        self.emit_abc(op, a, b, c)?;
        self.emit_jump()
    }

    pub(super) fn fix_jump(&mut self, pc: i32, target: i32) -> Emitted {
        let offset = target - (pc + 1);
        if offset.abs() > BIAS {
            return Err(self.lex.error("control structure too long"));
        }
        let i = &mut self.func().code[pc as usize];
        *i = with_sbx(*i, offset);
        Ok(())
    }

    fn patch_with(
        &mut self,
        mut list: i32,
        value_target: i32,
        register: u32,
        target: i32,
    ) -> Emitted {
        while list != NO_JUMP {
            let next = self.func().jump_target(list);
            let to = match self.func().patch_test_register(list, register) {
                true => value_target,
                false => target,
            };
            self.fix_jump(list, to)?;
            list = next;
        }
        Ok(())
    }

    /// Sets the target of a list of jumps to an instruction.
    pub(super) fn patch(&mut self, list: i32, target: i32) -> Emitted {
        if target == self.func().pc() as i32 {
            return self.patch_here(list);
        }
        self.patch_with(list, target, NO_REGISTER, target)
    }

    /// Sets the target of a list of jumps to the next instruction.
    pub(super) fn patch_here(&mut self, list: i32) -> Emitted {
        self.func().label();
        let mut here = self.func().jumps_here;
        self.join_jumps(&mut here, list)?;
        self.func().jumps_here = here;
        Ok(())
    }

    /// Appends a list of jumps to another.
    pub(super) fn join_jumps(&mut self, list: &mut i32, more: i32) -> Emitted {
        if more == NO_JUMP {
            return Ok(());
        }
        if *list == NO_JUMP {
            *list = more;
            return Ok(());
        }
        let mut last = *list;
        loop {
            match self.func().jump_target(last) {
                NO_JUMP => break,
                next => last = next,
            }
        }
        self.fix_jump(last, more)
    }

    pub(super) fn check_registers(&mut self, count: u32) -> Emitted {
        let needed = self.func().free + count;
        if needed > self.func().registers {
            if needed >= MAX_REGISTERS {
                return Err(self.lex.error("function or expression too complex"));
            }
            self.func().registers = needed;
        }
        Ok(())
    }

    pub(super) fn reserve_registers(&mut self, count: u32) -> Emitted {
        self.check_registers(count)?;
        self.func().free += count;
        Ok(())
    }

    fn add_constant(&mut self, key: ConstantKey, value: Value) -> Emitted<u32> {
        let func = self.func();
        if let Some(&at) = func.known.get(&key) {
            return Ok(at);
        }
        let at = func.constants.len() as u32;
        if at > MAX_BX {
            return Err(self.lex.error("constant table overflow"));
        }
        func.constants.push(value);
        func.known.insert(key, at);
        Ok(at)
    }

    pub(super) fn string_constant(&mut self, s: Str) -> Emitted<u32> {
        self.add_constant(ConstantKey::String(s.id), Value::Str(s))
    }

    pub(super) fn number_constant(&mut self, n: f64) -> Emitted<u32> {
        // 0 and -0 share a constant, as in PUC: whichever came first.
        let bits = if n == 0.0 { 0 } else { n.to_bits() };
        self.add_constant(ConstantKey::Number(bits), Value::Num(n))
    }

    /// Stores the elements of a table constructor that are in the registers after its table.
    pub(super) fn emit_set_list(
        &mut self,
        table: u32,
        stored: u32,
        pending: Option<u32>,
    ) -> Emitted {
        let batch = (stored - 1) / FIELDS_PER_FLUSH + 1;
        let count = pending.unwrap_or(0);
        if batch <= 511 {
            self.emit_abc(SETLIST, table, count, batch)?;
        } else {
            self.emit_abc(SETLIST, table, count, 0)?;
            self.emit(batch)?;
        }
        self.func().free = table + 1;
        Ok(())
    }
}
