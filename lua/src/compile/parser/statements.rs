//! Parsing of statements.

use super::*;

/// An assignment's target.
struct Target {
    exp: Exp,
}

impl Parser<'_> {
    fn enter_block(&mut self, is_loop: bool) {
        let func = self.func();
        let outer_locals = func.active_count();
        func.blocks.push(Block { breaks: NO_JUMP, outer_locals, captured: false, is_loop });
    }

    fn leave_block(&mut self) -> Parsed {
        let Some(block) = self.func().blocks.pop() else { return Ok(()) };
        self.remove_locals(block.outer_locals as usize);
        if block.captured {
            self.emit_abc(opcode::CLOSE, block.outer_locals, 0, 0)?;
        }
        let func = self.func();
        func.free = func.active_count();
        self.patch_here(block.breaks)
    }

    fn block(&mut self) -> Parsed {
        self.enter_block(false);
        self.statements()?;
        self.leave_block()
    }

    fn block_ends(&self) -> bool {
        matches!(
            self.lex.token,
            Token::Eof | Token::Word(Word::Else | Word::ElseIf | Word::End | Word::Until)
        )
    }

    // Statements.

    pub(super) fn statements(&mut self) -> Parsed {
        self.enter()?;
        let mut last = false;
        while !last && !self.block_ends() {
            last = self.statement()?;
            self.accept_char(b';')?;
            let func = self.func();
            func.free = func.active_count();
        }
        self.leave();
        Ok(())
    }

    /// Parses one statement. Returns whether it must be the last of its block.
    fn statement(&mut self) -> Parsed<bool> {
        let line = self.lex.line;
        self.mark_line(line)?;
        let Token::Word(word) = self.lex.token else {
            self.expression_statement()?;
            return Ok(false);
        };
        match word {
            Word::If => self.if_statement(line)?,
            Word::While => self.while_statement(line)?,
            Word::Do => {
                self.lex.advance()?;
                self.block()?;
                self.expect_end(Word::Do, line)?;
            }
            Word::For => self.for_statement(line)?,
            Word::Repeat => self.repeat_statement(line)?,
            Word::Function => self.function_statement(line)?,
            Word::Local => {
                self.lex.advance()?;
                match self.accept_word(Word::Function)? {
                    true => self.local_function()?,
                    false => self.local_statement()?,
                }
            }
            Word::Return => {
                self.return_statement()?;
                return Ok(true);
            }
            Word::Break => {
                self.lex.advance()?;
                self.break_statement()?;
                return Ok(true);
            }
            _ => self.expression_statement()?,
        }
        Ok(false)
    }

    /// Emits an instruction that marks the beginning of a line, for debuggers.
    fn mark_line(&mut self, line: u32) -> Parsed {
        if !self.lines || self.func().marked == line {
            return Ok(());
        }
        self.emit_abc(opcode::LINE, 0, 0, 0)?;
        self.fix_line(line);
        // A loop returns to its line repeatedly.
        let loops = [Word::While, Word::For, Word::Repeat].map(Token::Word);
        self.func().marked = if loops.contains(&self.lex.token) { 0 } else { line };
        Ok(())
    }

    fn condition(&mut self) -> Parsed<i32> {
        let mut e = self.expression()?;
        if e.kind == Kind::Nil {
            e.kind = Kind::False;
        }
        self.go_if_true(&mut e)?;
        Ok(e.on_false)
    }

    fn if_statement(&mut self, line: u32) -> Parsed {
        let mut to_end = NO_JUMP;
        let mut to_else = self.then_block()?;
        while self.lex.token == Token::Word(Word::ElseIf) {
            let jump = self.emit_jump()?;
            self.join_jumps(&mut to_end, jump)?;
            self.patch_here(to_else)?;
            to_else = self.then_block()?;
        }
        if self.lex.token == Token::Word(Word::Else) {
            let jump = self.emit_jump()?;
            self.join_jumps(&mut to_end, jump)?;
            self.patch_here(to_else)?;
            self.lex.advance()?;
            self.block()?;
        } else {
            self.join_jumps(&mut to_end, to_else)?;
        }
        self.patch_here(to_end)?;
        self.expect_end(Word::If, line)
    }

    /// Parses `if` or `elseif`, its condition, and the block after `then`. Returns the jumps for a
    /// false condition.
    fn then_block(&mut self) -> Parsed<i32> {
        self.lex.advance()?;
        let jumps = self.condition()?;
        self.expect(Token::Word(Word::Then))?;
        self.block()?;
        Ok(jumps)
    }

    fn while_statement(&mut self, line: u32) -> Parsed {
        self.lex.advance()?;
        let start = self.func().label();
        let exit = self.condition()?;
        self.enter_block(true);
        self.expect(Token::Word(Word::Do))?;
        self.block()?;
        let back = self.emit_jump()?;
        self.patch(back, start)?;
        self.expect_end(Word::While, line)?;
        self.leave_block()?;
        self.patch_here(exit)
    }

    fn repeat_statement(&mut self, line: u32) -> Parsed {
        let start = self.func().label();
        self.enter_block(true);
        self.enter_block(false);
        self.lex.advance()?;
        self.statements()?;
        self.expect_match(Token::Word(Word::Until), "repeat", line)?;
        let exit = self.condition()?;
        let captured = self.func().blocks.last().is_some_and(|b| b.captured);
        if captured {
            // The variables are closed on both exits.
            self.break_statement()?;
            self.patch_here(exit)?;
            self.leave_block()?;
            let back = self.emit_jump()?;
            self.patch(back, start)?;
        } else {
            self.leave_block()?;
            self.patch(exit, start)?;
        }
        self.leave_block()
    }

    fn break_statement(&mut self) -> Parsed {
        let func = self.func();
        let Some(at) = func.blocks.iter().rposition(|b| b.is_loop) else {
            return Err(self.lex.error("no loop to break"));
        };
        let captured = func.blocks[at + 1..].iter().any(|b| b.captured);
        let outer = func.blocks[at].outer_locals;
        if captured {
            self.emit_abc(opcode::CLOSE, outer, 0, 0)?;
        }
        let jump = self.emit_jump()?;
        let mut breaks = self.func().blocks[at].breaks;
        self.join_jumps(&mut breaks, jump)?;
        self.func().blocks[at].breaks = breaks;
        Ok(())
    }

    fn for_statement(&mut self, line: u32) -> Parsed {
        self.enter_block(true);
        self.lex.advance()?;
        let first = self.name()?;
        match self.lex.token {
            Token::Char(b'=') => self.numeric_for(first, line)?,
            Token::Char(b',') | Token::Word(Word::In) => self.generic_for(first)?,
            _ => return Err(self.lex.error("'=' or 'in' expected")),
        }
        self.expect_end(Word::For, line)?;
        self.leave_block()
    }

    fn numeric_for(&mut self, name: Str, line: u32) -> Parsed {
        let base = self.func().free;
        self.new_hidden("(for index)", 0)?;
        self.new_hidden("(for limit)", 1)?;
        self.new_hidden("(for step)", 2)?;
        self.new_local(name, 3)?;
        self.lex.advance()?;
        self.expression_to_next()?;
        self.expect_char(b',')?;
        self.expression_to_next()?;
        if self.accept_char(b',')? {
            self.expression_to_next()?;
        } else {
            let one = self.number_constant(1.0)?;
            let free = self.func().free;
            self.emit_abx(opcode::LOADK, free, one)?;
            self.reserve_registers(1)?;
        }
        self.for_body(base, line, 1, true)
    }

    fn generic_for(&mut self, first: Str) -> Parsed {
        let base = self.func().free;
        self.new_hidden("(for generator)", 0)?;
        self.new_hidden("(for state)", 1)?;
        self.new_hidden("(for control)", 2)?;
        self.new_local(first, 3)?;
        let mut count = 1;
        while self.accept_char(b',')? {
            let name = self.name()?;
            self.new_local(name, 3 + count)?;
            count += 1;
        }
        self.expect(Token::Word(Word::In))?;
        let line = self.lex.line;
        let (expressions, mut e) = self.expression_list()?;
        self.adjust_assignment(3, expressions, &mut e)?;
        self.check_registers(3)?;
        self.for_body(base, line, count, false)
    }

    fn for_body(&mut self, base: u32, line: u32, variables: usize, numeric: bool) -> Parsed {
        // The hidden variables come into scope now; the loop's own are still pending.
        let func = self.func();
        let pc = func.pc();
        let first = func.locals.len() - variables - 3;
        for at in first..first + 3 {
            func.locals[at].from = pc;
            func.active.push(at as u32);
        }
        self.expect(Token::Word(Word::Do))?;
        let prepare = match numeric {
            true => self
                .emit(opcode::with_sbx(opcode::abc(opcode::FORPREP, base, 0, 0), NO_JUMP))?
                as i32,
            false => self.emit_jump()?,
        };
        self.enter_block(false);
        self.activate(variables);
        self.reserve_registers(variables as u32)?;
        self.block()?;
        self.leave_block()?;
        self.patch_here(prepare)?;
        let end = match numeric {
            true => self
                .emit(opcode::with_sbx(opcode::abc(opcode::FORLOOP, base, 0, 0), NO_JUMP))?
                as i32,
            false => self.emit_abc(opcode::TFORLOOP, base, 0, variables as u32)? as i32,
        };
        self.fix_line(line);
        let back = if numeric { end } else { self.emit_jump()? };
        self.patch(back, prepare + 1)
    }

    fn function_statement(&mut self, line: u32) -> Parsed {
        self.lex.advance()?;
        let mut target = self.variable()?;
        let mut method = false;
        while self.lex.token == Token::Char(b'.') {
            self.field(&mut target)?;
        }
        if self.lex.token == Token::Char(b':') {
            method = true;
            self.field(&mut target)?;
        }
        let mut body = self.function_body(method, line)?;
        self.store(&target, &mut body)?;
        self.fix_line(line);
        Ok(())
    }

    fn local_function(&mut self) -> Parsed {
        let name = self.name()?;
        self.new_local(name, 0)?;
        let variable = Exp::new(Kind::Local, self.func().free);
        self.reserve_registers(1)?;
        self.activate(1);
        let line = self.lex.line;
        let mut body = self.function_body(false, line)?;
        self.store(&variable, &mut body)?;
        // Error messages may use its name only from here on.
        let func = self.func();
        let pc = func.pc();
        if let Some(&at) = func.active.last() {
            func.locals[at as usize].from = pc;
        }
        Ok(())
    }

    fn local_statement(&mut self) -> Parsed {
        let mut count = 0;
        loop {
            let name = self.name()?;
            self.new_local(name, count)?;
            count += 1;
            if !self.accept_char(b',')? {
                break;
            }
        }
        let (expressions, mut e) = match self.accept_char(b'=')? {
            true => self.expression_list()?,
            false => (0, Exp::new(Kind::Void, 0)),
        };
        self.adjust_assignment(count, expressions, &mut e)?;
        self.activate(count);
        Ok(())
    }

    fn return_statement(&mut self) -> Parsed {
        self.lex.advance()?;
        if self.block_ends() || self.lex.token == Token::Char(b';') {
            return self.emit_return(0, 0);
        }
        let (count, mut e) = self.expression_list()?;
        if matches!(e.kind, Kind::Call | Kind::Vararg) {
            self.set_results(&e, None)?;
            if e.kind == Kind::Call && count == 1 {
                let code = &mut self.func().code[e.info as usize];
                *code = *code & !63 | opcode::TAILCALL;
            }
            let first = self.func().active_count();
            return self.emit_return(first, -1);
        }
        if count == 1 {
            let register = self.put_in_any_register(&mut e)?;
            return self.emit_return(register, 1);
        }
        self.put_in_next_register(&mut e)?;
        let first = self.func().active_count();
        self.emit_return(first, count as i32)
    }

    fn expression_statement(&mut self) -> Parsed {
        let e = self.primary_expression()?;
        if e.kind == Kind::Call {
            let code = &mut self.func().code[e.info as usize];
            *code = opcode::with_c(*code, 1);
            return Ok(());
        }
        let mut targets = vec![Target { exp: e }];
        self.assignment(&mut targets)
    }

    fn assignment(&mut self, targets: &mut Vec<Target>) -> Parsed {
        loop {
            let last = targets.last().map_or(Kind::Void, |t| t.exp.kind);
            if !matches!(last, Kind::Local | Kind::Upvalue | Kind::Global | Kind::Indexed) {
                return Err(self.lex.error("syntax error"));
            }
            if !self.accept_char(b',')? {
                break;
            }
            let exp = self.primary_expression()?;
            if exp.kind == Kind::Local {
                self.avoid_conflict(targets, &exp)?;
            }
            if targets.len() as u32 > MAX_LEVELS.saturating_sub(self.levels) {
                return Err(self.over_limit(200, "variables in assignment"));
            }
            targets.push(Target { exp });
        }
        self.expect_char(b'=')?;
        let (expressions, mut e) = self.expression_list()?;
        let mut rest = targets.len();
        if expressions == targets.len() {
            // The last value needs no register of its own.
            if matches!(e.kind, Kind::Call) {
                let register = opcode::a(self.func().code[e.info as usize]);
                e = Exp { kind: Kind::Register, info: register, ..e };
            } else if e.kind == Kind::Vararg {
                let code = &mut self.func().code[e.info as usize];
                *code = opcode::with_b(*code, 2);
                e.kind = Kind::Relocatable;
            }
            rest -= 1;
            let target = targets[rest].exp;
            self.store(&target, &mut e)?;
        } else {
            self.adjust_assignment(targets.len(), expressions, &mut e)?;
            if expressions > targets.len() {
                self.func().free -= (expressions - targets.len()) as u32;
            }
        }
        for target in targets[..rest].iter().rev() {
            let mut value = Exp::new(Kind::Register, self.func().free - 1);
            self.store(&target.exp, &mut value)?;
        }
        Ok(())
    }

    /// Handles `a[i], i = ...`: earlier targets must use the old value of a variable that is
    /// assigned to.
    fn avoid_conflict(&mut self, targets: &mut [Target], variable: &Exp) -> Parsed {
        let copy = self.func().free;
        let mut conflict = false;
        for target in targets.iter_mut() {
            if target.exp.kind == Kind::Indexed {
                if target.exp.info == variable.info {
                    conflict = true;
                    target.exp.info = copy;
                }
                if target.exp.aux == variable.info {
                    conflict = true;
                    target.exp.aux = copy;
                }
            }
        }
        if conflict {
            self.emit_abc(opcode::MOVE, copy, variable.info, 0)?;
            self.reserve_registers(1)?;
        }
        Ok(())
    }
}
