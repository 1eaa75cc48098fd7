//! Raising errors, with the messages of PUC Lua.

use super::{Lua, Ret};
use crate::compile::opcode;
use crate::compile::proto::{Name, NameText};
use crate::table::Refused;
use crate::value::Value;

/// An error that is being propagated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Raise(pub(crate) Value);

/// The result of an operation that may raise an error.
pub(crate) type Fallible<T> = Result<T, Raise>;

impl Lua {
    /// The index of the frame at a level: 0 is the running function, 1 its caller. `Err` for a
    /// level that was removed by a tail call, or that does not exist.
    pub(crate) fn level(&self, mut level: i64) -> Result<usize, bool> {
        for (at, frame) in self.st.frames.iter().enumerate().rev() {
            if level == 0 {
                return Ok(at);
            }
            level -= 1;
            if !frame.native {
                level -= i64::from(frame.tail_calls);
                if level < 0 {
                    return Err(true);
                }
            }
        }
        Err(false)
    }

    /// `source:line: ` of the function at a level; empty if it has no line information.
    pub(crate) fn place(&self, level: i64) -> String {
        match self.level(level) {
            Ok(at) => self.frame_place(at),
            Err(_) => String::new(),
        }
    }

    fn frame_place(&self, at: usize) -> String {
        let frame = &self.st.frames[at];
        if frame.native {
            return String::new();
        }
        let proto = &self.closures[frame.id].proto;
        let line = proto.line_at((frame.pc as usize).saturating_sub(1));
        format!("{}:{line}: ", proto.source)
    }

    /// An error of an instruction or of the machine: the position is that of the running function,
    /// if it is a Lua function.
    pub(crate) fn machine_error(&mut self, text: &str) -> Raise {
        let place = match self.st.frames.len() {
            0 => String::new(),
            n => self.frame_place(n - 1),
        };
        Raise(self.string(format!("{place}{text}").as_bytes()))
    }

    /// An error of a library function: the position is that of its caller.
    pub(crate) fn error(&mut self, text: &str) -> Raise {
        let place = self.place(1);
        Raise(self.string(format!("{place}{text}").as_bytes()))
    }

    /// An error about an argument of a library function, counted from 0.
    pub(crate) fn arg_error(&mut self, at: usize, text: &str) -> Raise {
        let mut at = at + 1;
        let name = self.called_name();
        if let Some((kind, name)) = &name
            && *kind == "method"
        {
            at -= 1;
            if at == 0 {
                return self.error(&format!("calling '{name}' on bad self ({text})"));
            }
        }
        let name = name.map_or_else(|| "?".to_owned(), |(_, name)| name);
        self.error(&format!("bad argument #{at} to '{name}' ({text})"))
    }

    /// The name by which the running function was called.
    fn called_name(&self) -> Option<(&'static str, String)> {
        self.frame_name(self.st.frames.len().checked_sub(1)?)
    }

    /// The name by which the function of a frame was called by the frame below it.
    pub(super) fn frame_name(&self, at: usize) -> Option<(&'static str, String)> {
        let frame = self.st.frames.get(at)?;
        if !matches!(frame.ret, Ret::Plain | Ret::Loop(_)) || !frame.native && frame.tail_calls > 0
        {
            return None;
        }
        let caller = self.st.frames.get(at.checked_sub(1)?)?;
        if caller.native {
            return None;
        }
        let proto = &self.closures[caller.id].proto;
        let pc = caller.pc.checked_sub(1)?;
        let i = *proto.code.get(pc as usize)?;
        if !matches!(opcode::op(i), opcode::CALL | opcode::TAILCALL | opcode::TFORLOOP) {
            return None;
        }
        let name = proto.name_of(opcode::a(i), pc)?;
        let text = self.name_text(caller.id, &name);
        Some((name.kind, text))
    }

    fn name_text(&self, closure: u32, name: &Name) -> String {
        match &name.text {
            NameText::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            NameText::Constant(k) => {
                match self.closures[closure].proto.constants.get(*k as usize) {
                    Some(Value::Str(s)) => String::from_utf8_lossy(self.bytes(*s)).into_owned(),
                    _ => "?".to_owned(),
                }
            }
            NameText::Unknown => "?".to_owned(),
        }
    }

    /// The error for an operand of the wrong type. `slot` is its register, if it is in a register
    /// of the running function.
    pub(crate) fn type_error(&mut self, what: &str, value: Value, slot: Option<usize>) -> Raise {
        let kind = value.type_name();
        let name = slot.and_then(|slot| {
            let frame = self.st.frames.last()?;
            let register = (slot as u32).checked_sub(frame.base)?;
            if frame.native || slot >= frame.top as usize {
                return None;
            }
            let name = self.closures[frame.id].proto.name_of(register, frame.pc.checked_sub(1)?)?;
            Some((name.kind, self.name_text(frame.id, &name)))
        });
        match name {
            Some((scope, name)) => {
                self.machine_error(&format!("attempt to {what} {scope} '{name}' (a {kind} value)"))
            }
            None => self.machine_error(&format!("attempt to {what} a {kind} value")),
        }
    }

    /// The error for two values that cannot be compared.
    pub(crate) fn order_error(&mut self, left: Value, right: Value) -> Raise {
        let (l, r) = (left.type_name(), right.type_name());
        match l == r {
            true => self.machine_error(&format!("attempt to compare two {l} values")),
            false => self.machine_error(&format!("attempt to compare {l} with {r}")),
        }
    }

    /// The error for a refused table operation.
    pub(crate) fn refused(&mut self, refused: Refused) -> Raise {
        let Refused::Text(text) = refused;
        self.machine_error(text)
    }

    /// The error for exceeding the memory limit. It has no position, as in PUC.
    pub(crate) fn memory_error(&mut self) -> Raise {
        Raise(self.string(b"not enough memory"))
    }

    /// Fails if this many more bytes would exceed the memory limit.
    pub(crate) fn check_room(&mut self, bytes: usize) -> Fallible<()> {
        if self.mem.saturating_add(bytes as u64) <= self.limit {
            return Ok(());
        }
        Err(self.memory_error())
    }
}
