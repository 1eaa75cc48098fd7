//! Name resolution: local variables, upvalues, blocks, and nested functions.

use super::*;

impl Parser<'_> {
    pub(super) fn new_local(&mut self, name: Str, pending: usize) -> Parsed {
        if self.func().active.len() + pending + 1 > MAX_LOCALS {
            return Err(self.over_limit(MAX_LOCALS, "local variables"));
        }
        self.func().locals.push(LocalBuild { name, from: 0, to: 0 });
        Ok(())
    }

    /// Declares a compiler-generated variable, whose name cannot occur in a source.
    pub(super) fn new_hidden(&mut self, name: &str, pending: usize) -> Parsed {
        let name = self.lex.intern(name.as_bytes());
        self.new_local(name, pending)
    }

    /// Brings the last `count` new variables into scope.
    pub(super) fn activate(&mut self, count: usize) {
        let func = self.func();
        let pc = func.pc();
        let first = func.locals.len() - count;
        for at in first..func.locals.len() {
            func.locals[at].from = pc;
            func.active.push(at as u32);
        }
    }

    pub(super) fn remove_locals(&mut self, keep: usize) {
        let func = self.func();
        let pc = func.pc();
        for at in func.active.drain(keep..) {
            func.locals[at as usize].to = pc;
        }
    }

    fn find_local(&self, level: usize, name: Str) -> Option<u32> {
        let func = &self.funcs[level];
        func.active.iter().rposition(|&at| func.locals[at as usize].name == name).map(|i| i as u32)
    }

    /// Finds a variable, searching from a function outwards. `used` is whether this function itself
    /// uses it, instead of one nested in it.
    fn find_variable(&mut self, level: usize, name: Str, used: bool) -> Parsed<Option<Exp>> {
        if let Some(register) = self.find_local(level, name) {
            if !used {
                let func = &mut self.funcs[level];
                if let Some(block) =
                    func.blocks.iter_mut().rev().find(|b| b.outer_locals <= register)
                {
                    block.captured = true;
                }
            }
            return Ok(Some(Exp::new(Kind::Local, register)));
        }
        if level == 0 {
            return Ok(None);
        }
        let Some(outer) = self.find_variable(level - 1, name, false)? else { return Ok(None) };
        let is_local = outer.kind == Kind::Local;
        let func = &mut self.funcs[level];
        let known =
            func.upvalues.iter().position(|u| u.is_local == is_local && u.index == outer.info);
        let at = match known {
            Some(at) => at,
            None => {
                if func.upvalues.len() + 1 > MAX_UPVALUES {
                    let text = match func.line {
                        0 => format!("main function has more than {MAX_UPVALUES} upvalues"),
                        line => {
                            format!("function at line {line} has more than {MAX_UPVALUES} upvalues")
                        }
                    };
                    return Err(self.lex.error_near(&text, None));
                }
                func.upvalues.push(Upvalue { name, is_local, index: outer.info });
                func.upvalues.len() - 1
            }
        };
        Ok(Some(Exp::new(Kind::Upvalue, at as u32)))
    }

    pub(super) fn variable(&mut self) -> Parsed<Exp> {
        let name = self.name()?;
        self.variable_named(name)
    }

    fn variable_named(&mut self, name: Str) -> Parsed<Exp> {
        let level = self.funcs.len() - 1;
        match self.find_variable(level, name, true)? {
            Some(e) => Ok(e),
            None => Ok(Exp::new(Kind::Global, self.string_constant(name)?)),
        }
    }

    pub(super) fn adjust_assignment(
        &mut self,
        variables: usize,
        expressions: usize,
        e: &mut Exp,
    ) -> Parsed {
        let missing = variables as i64 - expressions as i64;
        if matches!(e.kind, Kind::Call | Kind::Vararg) {
            let results = (missing + 1).max(0) as u32;
            self.set_results(e, Some(results))?;
            if results > 1 {
                self.reserve_registers(results - 1)?;
            }
            return Ok(());
        }
        if e.kind != Kind::Void {
            self.put_in_next_register(e)?;
        }
        if missing > 0 {
            let first = self.func().free;
            self.reserve_registers(missing as u32)?;
            self.emit_nil(first, missing as u32)?;
        }
        Ok(())
    }
}
