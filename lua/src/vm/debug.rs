//! Debugger support: the call stack and the local variables of a running script.

use super::{Frame, Lua};
use crate::value::Value;

/// A Lua function on the call stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The name by which it was called; `None` for a chunk, and for a function called by a library
    /// function.
    pub name: Option<String>,
    /// The name of its chunk, as messages show it.
    pub source: String,
    /// The current line.
    pub line: u32,
}

impl Lua {
    /// The Lua functions on the call stack, the innermost first.
    pub fn levels(&self) -> Vec<Level> {
        let frames = &self.st.frames;
        let lua = frames.iter().enumerate().rev().filter(|(_, frame)| !frame.native);
        let level = |(at, frame): (usize, &Frame)| {
            let proto = &self.closures[frame.id].proto;
            Level {
                name: self.frame_name(at).map(|(_, name)| name),
                source: proto.source.to_string(),
                line: proto.line_at(running(frame)),
            }
        };
        lua.map(level).collect()
    }

    /// The local variables of the function at a level of [`Lua::levels`], in the order of their
    /// declaration.
    pub fn locals(&self, level: usize) -> Vec<(Vec<u8>, Value)> {
        let mut frames = self.st.frames.iter().rev().filter(|frame| !frame.native);
        let Some(frame) = frames.nth(level) else { return Vec::new() };
        let pc = running(frame) as u32;
        let locals = self.closures[frame.id].proto.locals.iter();
        let active = locals.take_while(|local| local.from <= pc).filter(|local| pc < local.to);
        let value = |register: usize| self.st.stack.get(frame.base as usize + register).copied();
        active
            .enumerate()
            .map(|(register, local)| (local.name.to_vec(), value(register).unwrap_or(Value::Nil)))
            .collect()
    }
}

/// The index of the current instruction.
fn running(frame: &Frame) -> usize {
    (frame.pc as usize).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use crate::{Lua, Step, Value};

    /// The lines that a script reports.
    fn lines(source: &str) -> Vec<u32> {
        let mut lua = Lua::new();
        let main = lua.load_with_lines(source.as_bytes(), b"@script").expect("a good script");
        lua.start(main, &[]);
        let mut lines = Vec::new();
        loop {
            match lua.run(1_000_000) {
                Step::Line => lines.push(lua.levels()[0].line),
                Step::Done => return lines,
                other => panic!("{other:?} after {lines:?}"),
            }
        }
    }

    #[test]
    fn a_script_reports_each_line_that_it_executes() {
        assert_eq!(lines("return 1"), [1]);
        assert_eq!(lines("local a = 1; local b = 2\nreturn a + b"), [1, 2]);
        assert_eq!(lines("for i = 1, 2 do\n  local x = i\nend\nreturn 1"), [1, 2, 2, 4]);
        assert_eq!(lines("local n = 0\nwhile n < 2 do n = n + 1 end"), [1, 2, 2, 2]);
        assert_eq!(lines("local function f()\n  return 1\nend\nreturn f() + 1"), [1, 4, 2]);
        assert_eq!(lines("if nil then\n  x()\nelse\n  local y\nend"), [1, 4]);
    }

    #[test]
    fn calls_and_their_variables_can_be_inspected() {
        let source = "local outer = 7\nlocal function f(a)\n  local b = a\n  return b\nend\nf('x')";
        let mut lua = Lua::new();
        let main = lua.load_with_lines(source.as_bytes(), b"@script").expect("a good script");
        lua.start(main, &[]);
        while lua.levels().first().is_none_or(|level| level.line != 4) {
            assert_eq!(lua.run(1_000_000), Step::Line);
        }
        let levels = lua.levels();
        let seen: Vec<_> = levels.iter().map(|l| (l.name.as_deref(), l.line)).collect();
        assert_eq!(seen, [(Some("f"), 4), (None, 6)]);
        let x = lua.string(b"x");
        assert_eq!(lua.locals(0), [(b"a".to_vec(), x), (b"b".to_vec(), x)]);
        assert_eq!(lua.locals(1)[0], (b"outer".to_vec(), Value::Num(7.0)));
        assert_eq!(lua.locals(2), []);
    }
}
