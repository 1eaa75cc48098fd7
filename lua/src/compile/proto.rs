//! Function prototypes: the result of compiling a function.

use std::sync::Arc;

use super::opcode;
use crate::value::Value;

/// A compiled function. It is immutable and shared by its closures and by clones of the
/// interpreter.
#[derive(Debug, Default)]
pub(crate) struct Proto {
    pub(crate) code: Vec<u32>,
    pub(crate) constants: Vec<Value>,
    pub(crate) children: Vec<Arc<Proto>>,
    /// The line of each instruction.
    pub(crate) lines: Vec<u32>,
    pub(crate) locals: Vec<LocalName>,
    pub(crate) upvalue_names: Vec<Arc<[u8]>>,
    /// The name of its chunk as error messages show it.
    pub(crate) source: Arc<str>,
    pub(crate) upvalues: u32,
    pub(crate) params: u32,
    pub(crate) vararg: Vararg,
    /// The number of registers that it uses.
    pub(crate) registers: u32,
}

/// Whether a function is variadic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Vararg {
    /// No.
    #[default]
    No,
    /// Yes, and it uses `...`.
    Dots,
    /// Yes, but it does not use `...`: the arguments are in the table `arg`, as in Lua 5.0.
    Table,
}

/// A local variable, for error messages and debuggers.
#[derive(Debug)]
pub(crate) struct LocalName {
    pub(crate) name: Arc<[u8]>,
    /// The first instruction at which it is in scope.
    pub(crate) from: u32,
    /// The first instruction after its scope.
    pub(crate) to: u32,
}

/// The name of the value in a register, for error messages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) kind: &'static str,
    /// The name. It may be a string constant.
    pub(crate) text: NameText,
}

/// The text of a [`Name`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NameText {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// The string of this constant.
    Constant(u32),
    /// Unknown.
    Unknown,
}

impl Proto {
    /// The line of an instruction.
    pub(crate) fn line_at(&self, pc: usize) -> u32 {
        self.lines.get(pc).copied().unwrap_or(0)
    }

    fn local_name(&self, register: u32, pc: u32) -> Option<Arc<[u8]>> {
        self.locals
            .iter()
            .take_while(|l| l.from <= pc)
            .filter(|l| pc < l.to)
            .nth(register as usize)
            .map(|l| l.name.clone())
    }

    /// The name in the source of the value that a register holds when instruction `pc` runs, found
    /// by symbolic execution of the code up to there.
    pub(crate) fn name_of(&self, register: u32, pc: u32) -> Option<Name> {
        if let Some(name) = self.local_name(register, pc) {
            return Some(Name { kind: "local", text: NameText::Bytes(name) });
        }
        let i = self.code[self.last_setter(register, pc)? as usize];
        match opcode::op(i) {
            opcode::GETGLOBAL => {
                Some(Name { kind: "global", text: NameText::Constant(opcode::bx(i)) })
            }
            opcode::MOVE if opcode::b(i) < opcode::a(i) => self.name_of(opcode::b(i), pc),
            opcode::GETTABLE => Some(Name { kind: "field", text: self.key_name(opcode::c(i)) }),
            opcode::SELF => Some(Name { kind: "method", text: self.key_name(opcode::c(i)) }),
            opcode::GETUPVAL => {
                let name = self.upvalue_names.get(opcode::b(i) as usize);
                let text = name.map_or(NameText::Unknown, |n| NameText::Bytes(n.clone()));
                Some(Name { kind: "upvalue", text })
            }
            _ => None,
        }
    }

    fn key_name(&self, c: u32) -> NameText {
        match c.checked_sub(opcode::CONSTANT) {
            Some(k) if matches!(self.constants.get(k as usize), Some(Value::Str(_))) => {
                NameText::Constant(k)
            }
            _ => NameText::Unknown,
        }
    }

    /// The last instruction before `end` that sets a register, considering only code that is not
    /// skipped by a forward jump.
    fn last_setter(&self, register: u32, end: u32) -> Option<u32> {
        let mut found = None;
        let mut pc = 0;
        while pc < end {
            let i = self.code[pc as usize];
            let (op, a) = (opcode::op(i), opcode::a(i));
            if opcode::sets_a(op) && a == register {
                found = Some(pc);
            }
            let sets = match op {
                opcode::LOADNIL => (a..=opcode::b(i)).contains(&register),
                opcode::SELF => register == a + 1,
                opcode::CALL | opcode::TAILCALL | opcode::VARARG => register >= a,
                opcode::TFORLOOP => register >= a + 2,
                opcode::FORLOOP | opcode::FORPREP => (a..=a + 3).contains(&register),
                _ => false,
            };
            if sets {
                found = Some(pc);
            }
            match op {
                opcode::JMP | opcode::FORPREP => {
                    let to = (pc as i32 + 1 + opcode::sbx(i)) as u32;
                    if pc < to && to <= end {
                        pc = to;
                        continue;
                    }
                }
                opcode::SETLIST if opcode::c(i) == 0 => pc += 1,
                opcode::CLOSURE => {
                    let child = self.children.get(opcode::bx(i) as usize);
                    pc += child.map_or(0, |c| c.upvalues);
                }
                _ => {}
            }
            pc += 1;
        }
        found
    }
}
