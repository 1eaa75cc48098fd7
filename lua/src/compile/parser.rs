//! The grammar, by recursive descent.

use std::sync::Arc;

use super::Compiled;
use super::emit::{
    Binary, Block, Exp, FIELDS_PER_FLUSH, Func, Kind, LocalBuild, NO_JUMP, Unary, Upvalue,
};
use super::lexer::{Lexer, SyntaxError, Token, Word, token_text};
use super::opcode::{self, CONSTANT};
use super::proto::Vararg;
use crate::value::Str;

/// How deep statements and expressions may nest.
const MAX_LEVELS: u32 = 200;
const MAX_LOCALS: usize = 200;
const MAX_UPVALUES: usize = 60;
const UNARY_PRIORITY: u8 = 8;

type Parsed<T = ()> = Result<T, SyntaxError>;

/// A parser, and the functions that are being compiled, the innermost last.
pub(super) struct Parser<'a> {
    pub(super) lex: Lexer<'a>,
    funcs: Vec<Func>,
    levels: u32,
}

/// An assignment's target.
struct Target {
    exp: Exp,
}

impl<'a> Parser<'a> {
    pub(super) fn new(lex: Lexer<'a>) -> Self {
        Parser { lex, funcs: Vec::new(), levels: 0 }
    }

    /// Compiles a whole chunk.
    pub(super) fn chunk(mut self) -> Parsed<Compiled> {
        self.open_function(0);
        self.func().vararg = Vararg::Dots;
        self.lex.advance()?;
        self.statements()?;
        self.check(Token::Eof)?;
        let proto = self.close_function()?.0;
        Ok(Compiled { main: Arc::new(proto), strings: self.lex.kept })
    }

    pub(super) fn func(&mut self) -> &mut Func {
        self.funcs.last_mut().expect("a function is being compiled")
    }

    fn open_function(&mut self, line: u32) {
        self.funcs.push(Func::new(line));
    }

    fn close_function(&mut self) -> Parsed<(super::proto::Proto, Vec<Upvalue>)> {
        self.remove_locals(0);
        self.emit_return(0, 0)?;
        let mut func = self.funcs.pop().expect("a function is being compiled");
        let upvalues: Vec<Upvalue> = func
            .upvalues
            .iter()
            .map(|u| Upvalue { name: u.name, is_local: u.is_local, index: u.index })
            .collect();
        func.code.shrink_to_fit();
        let strings = &*self.lex.strings;
        Ok((func.finish(self.lex.chunk.clone(), |s| strings.share(s)), upvalues))
    }

    // Tokens.

    fn check(&self, token: Token) -> Parsed {
        match self.lex.token == token {
            true => Ok(()),
            false => Err(self.expected(token)),
        }
    }

    fn expected(&self, token: Token) -> SyntaxError {
        self.lex.error(&format!("'{}' expected", token_text(token)))
    }

    fn accept(&mut self, token: Token) -> Parsed<bool> {
        let is = self.lex.token == token;
        if is {
            self.lex.advance()?;
        }
        Ok(is)
    }

    fn accept_char(&mut self, b: u8) -> Parsed<bool> {
        self.accept(Token::Char(b))
    }

    fn accept_word(&mut self, word: Word) -> Parsed<bool> {
        self.accept(Token::Word(word))
    }

    fn expect(&mut self, token: Token) -> Parsed {
        self.check(token)?;
        self.lex.advance()
    }

    fn expect_char(&mut self, b: u8) -> Parsed {
        self.expect(Token::Char(b))
    }

    /// Expects what closes something that was opened on a line.
    fn expect_match(&mut self, what: Token, opener: &str, line: u32) -> Parsed {
        if self.accept(what)? {
            return Ok(());
        }
        if line == self.lex.line {
            return Err(self.expected(what));
        }
        let text = token_text(what);
        Err(self.lex.error(&format!("'{text}' expected (to close '{opener}' at line {line})")))
    }

    fn expect_end(&mut self, opener: Word, line: u32) -> Parsed {
        self.expect_match(Token::Word(Word::End), opener.text(), line)
    }

    fn name(&mut self) -> Parsed<Str> {
        match self.lex.token {
            Token::Name(name) => {
                self.lex.advance()?;
                Ok(name)
            }
            _ => Err(self.lex.error("'<name>' expected")),
        }
    }

    fn enter(&mut self) -> Parsed {
        self.levels += 1;
        match self.levels > MAX_LEVELS {
            true => Err(self.lex.error_near("chunk has too many syntax levels", None)),
            false => Ok(()),
        }
    }

    fn leave(&mut self) {
        self.levels -= 1;
    }

    fn over_limit(&mut self, limit: usize, what: &str) -> SyntaxError {
        let text = match self.func().line {
            0 => format!("main function has more than {limit} {what}"),
            line => format!("function at line {line} has more than {limit} {what}"),
        };
        self.lex.error_near(&text, None)
    }

    // Variables.

    fn new_local(&mut self, name: Str, pending: usize) -> Parsed {
        if self.func().active.len() + pending + 1 > MAX_LOCALS {
            return Err(self.over_limit(MAX_LOCALS, "local variables"));
        }
        self.func().locals.push(LocalBuild { name, from: 0, to: 0 });
        Ok(())
    }

    /// A variable of the compiler's own, which no source can name.
    fn new_hidden(&mut self, name: &str, pending: usize) -> Parsed {
        let name = self.lex.intern(name.as_bytes());
        self.new_local(name, pending)
    }

    /// Brings the last `count` new variables into scope.
    fn activate(&mut self, count: usize) {
        let func = self.func();
        let pc = func.pc();
        let first = func.locals.len() - count;
        for at in first..func.locals.len() {
            func.locals[at].from = pc;
            func.active.push(at as u32);
        }
    }

    fn remove_locals(&mut self, keep: usize) {
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

    /// Finds a variable from a function outwards. `used` is whether the function itself uses it,
    /// and not one inside of it.
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

    fn variable(&mut self) -> Parsed<Exp> {
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

    fn adjust_assignment(&mut self, variables: usize, expressions: usize, e: &mut Exp) -> Parsed {
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

    // Blocks.

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

    fn statements(&mut self) -> Parsed {
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

    /// One statement; whether it must be the last of its block.
    fn statement(&mut self) -> Parsed<bool> {
        let line = self.lex.line;
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

    /// `if` or `elseif`, its condition, and what follows `then`; the jumps to where it is false.
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
            // The variables are closed on both ways out.
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
        // The hidden variables come into scope, the loop's own stay pending behind them.
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
        // Error messages may name it only from here on.
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
            // The last value need not go through a register of its own.
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

    /// `a[i], i = ...`: earlier targets must use the old value of a variable that is assigned to.
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

    // Expressions.

    fn expression_list(&mut self) -> Parsed<(usize, Exp)> {
        let mut count = 1;
        let mut e = self.expression()?;
        while self.accept_char(b',')? {
            self.put_in_next_register(&mut e)?;
            e = self.expression()?;
            count += 1;
        }
        Ok((count, e))
    }

    fn expression_to_next(&mut self) -> Parsed {
        let mut e = self.expression()?;
        self.put_in_next_register(&mut e)
    }

    fn expression(&mut self) -> Parsed<Exp> {
        Ok(self.sub_expression(0)?.0)
    }

    /// An expression of operators above a priority, and the operator that ended it.
    fn sub_expression(&mut self, limit: u8) -> Parsed<(Exp, Option<Operator>)> {
        self.enter()?;
        let unary = match self.lex.token {
            Token::Word(Word::Not) => Some(Unary::Not),
            Token::Char(b'-') => Some(Unary::Minus),
            Token::Char(b'#') => Some(Unary::Len),
            _ => None,
        };
        let mut left = match unary {
            Some(op) => {
                self.lex.advance()?;
                let (mut e, _) = self.sub_expression(UNARY_PRIORITY)?;
                self.prefix(op, &mut e)?;
                e
            }
            None => self.simple_expression()?,
        };
        let mut operator = operator_of(self.lex.token);
        while let Some(op) = operator {
            if op.left <= limit {
                break;
            }
            self.lex.advance()?;
            self.infix(op.binary, &mut left)?;
            let (mut right, next) = self.sub_expression(op.right)?;
            self.postfix(op.binary, &mut left, &mut right)?;
            operator = next;
        }
        self.leave();
        Ok((left, operator))
    }

    fn simple_expression(&mut self) -> Parsed<Exp> {
        let e = match self.lex.token {
            Token::Number(n) => Exp::number(n),
            Token::String(s) => Exp::new(Kind::Constant, self.string_constant(s)?),
            Token::Word(Word::Nil) => Exp::new(Kind::Nil, 0),
            Token::Word(Word::True) => Exp::new(Kind::True, 0),
            Token::Word(Word::False) => Exp::new(Kind::False, 0),
            Token::Dots => {
                if self.func().vararg == Vararg::No {
                    return Err(self.lex.error("cannot use '...' outside a vararg function"));
                }
                self.func().vararg = Vararg::Dots;
                let at = self.emit_abc(opcode::VARARG, 0, 1, 0)?;
                Exp::new(Kind::Vararg, at)
            }
            Token::Char(b'{') => return self.constructor(),
            Token::Word(Word::Function) => {
                self.lex.advance()?;
                let line = self.lex.line;
                return self.function_body(false, line);
            }
            _ => return self.primary_expression(),
        };
        self.lex.advance()?;
        Ok(e)
    }

    fn prefix_expression(&mut self) -> Parsed<Exp> {
        match self.lex.token {
            Token::Char(b'(') => {
                let line = self.lex.line;
                self.lex.advance()?;
                let mut e = self.expression()?;
                self.expect_match(Token::Char(b')'), "(", line)?;
                self.discharge(&mut e)?;
                Ok(e)
            }
            Token::Name(_) => self.variable(),
            _ => Err(self.lex.error("unexpected symbol")),
        }
    }

    fn primary_expression(&mut self) -> Parsed<Exp> {
        let mut e = self.prefix_expression()?;
        loop {
            match self.lex.token {
                Token::Char(b'.') => self.field(&mut e)?,
                Token::Char(b'[') => {
                    self.put_in_any_register(&mut e)?;
                    let mut key = self.bracketed_key()?;
                    self.index(&mut e, &mut key)?;
                }
                Token::Char(b':') => {
                    self.lex.advance()?;
                    let mut key = self.name_constant()?;
                    self.emit_self(&mut e, &mut key)?;
                    self.arguments(&mut e)?;
                }
                Token::Char(b'(' | b'{') | Token::String(_) => {
                    self.put_in_next_register(&mut e)?;
                    self.arguments(&mut e)?;
                }
                _ => return Ok(e),
            }
        }
    }

    fn name_constant(&mut self) -> Parsed<Exp> {
        let name = self.name()?;
        Ok(Exp::new(Kind::Constant, self.string_constant(name)?))
    }

    /// `.name` or `:name`.
    fn field(&mut self, e: &mut Exp) -> Parsed {
        self.put_in_any_register(e)?;
        self.lex.advance()?;
        let mut key = self.name_constant()?;
        self.index(e, &mut key)
    }

    fn bracketed_key(&mut self) -> Parsed<Exp> {
        self.lex.advance()?;
        let mut key = self.expression()?;
        self.put_as_value(&mut key)?;
        self.expect_char(b']')?;
        Ok(key)
    }

    fn arguments(&mut self, e: &mut Exp) -> Parsed {
        let line = self.lex.line;
        let mut args = match self.lex.token {
            Token::Char(b'(') => {
                if line != self.lex.last_line {
                    return Err(self.lex.error("ambiguous syntax (function call x new statement)"));
                }
                self.lex.advance()?;
                if self.lex.token == Token::Char(b')') {
                    self.lex.advance()?;
                    Exp::new(Kind::Void, 0)
                } else {
                    let (_, args) = self.expression_list()?;
                    self.set_results(&args, None)?;
                    self.expect_match(Token::Char(b')'), "(", line)?;
                    args
                }
            }
            Token::Char(b'{') => self.constructor()?,
            Token::String(s) => {
                let k = self.string_constant(s)?;
                self.lex.advance()?;
                Exp::new(Kind::Constant, k)
            }
            _ => return Err(self.lex.error("function arguments expected")),
        };
        let base = e.info;
        let count = if matches!(args.kind, Kind::Call | Kind::Vararg) {
            0
        } else {
            if args.kind != Kind::Void {
                self.put_in_next_register(&mut args)?;
            }
            self.func().free - (base + 1) + 1
        };
        let at = self.emit_abc(opcode::CALL, base, count, 2)?;
        self.fix_line(line);
        self.func().free = base + 1;
        *e = Exp::new(Kind::Call, at);
        Ok(())
    }

    fn constructor(&mut self) -> Parsed<Exp> {
        let line = self.lex.line;
        let at = self.emit_abc(opcode::NEWTABLE, 0, 0, 0)?;
        let mut table = Exp::new(Kind::Relocatable, at);
        self.put_in_next_register(&mut table)?;
        let base = table.info;
        let mut item = Exp::new(Kind::Void, 0);
        let (mut elements, mut pairs, mut pending) = (0u32, 0u32, 0u32);
        self.expect_char(b'{')?;
        while self.lex.token != Token::Char(b'}') {
            if item.kind != Kind::Void {
                self.put_in_next_register(&mut item)?;
                item = Exp::new(Kind::Void, 0);
                if pending == FIELDS_PER_FLUSH {
                    self.emit_set_list(base, elements, Some(pending))?;
                    pending = 0;
                }
            }
            let is_pair = match self.lex.token {
                Token::Name(_) => self.lex.peek()? == Token::Char(b'='),
                Token::Char(b'[') => true,
                _ => false,
            };
            if is_pair {
                pairs += 1;
                self.record_field(base)?;
            } else {
                item = self.expression()?;
                elements += 1;
                pending += 1;
            }
            if elements > i32::MAX as u32 - 2 || pairs > i32::MAX as u32 - 2 {
                return Err(self.over_limit(i32::MAX as usize - 2, "items in a constructor"));
            }
            if !self.accept_char(b',')? && !self.accept_char(b';')? {
                break;
            }
        }
        self.expect_match(Token::Char(b'}'), "{", line)?;
        if pending > 0 {
            if matches!(item.kind, Kind::Call | Kind::Vararg) {
                self.set_results(&item, None)?;
                self.emit_set_list(base, elements, None)?;
                elements -= 1;
            } else {
                if item.kind != Kind::Void {
                    self.put_in_next_register(&mut item)?;
                }
                self.emit_set_list(base, elements, Some(pending))?;
            }
        }
        let code = &mut self.func().code[at as usize];
        *code = opcode::with_b(*code, opcode::to_float_byte(elements));
        *code = opcode::with_c(*code, opcode::to_float_byte(pairs));
        Ok(table)
    }

    fn record_field(&mut self, table: u32) -> Parsed {
        let free = self.func().free;
        let mut key = match self.lex.token {
            Token::Name(_) => self.name_constant()?,
            _ => self.bracketed_key()?,
        };
        self.expect_char(b'=')?;
        let key_operand = self.put_as_operand(&mut key)?;
        let mut value = self.expression()?;
        let value_operand = self.put_as_operand(&mut value)?;
        self.emit_abc(opcode::SETTABLE, table, key_operand, value_operand)?;
        self.func().free = free;
        Ok(())
    }

    fn function_body(&mut self, method: bool, line: u32) -> Parsed<Exp> {
        self.open_function(line);
        self.expect_char(b'(')?;
        if method {
            self.new_hidden("self", 0)?;
            self.activate(1);
        }
        self.parameters()?;
        self.expect_char(b')')?;
        self.statements()?;
        self.expect_end(Word::Function, line)?;
        let (proto, upvalues) = self.close_function()?;
        let child = self.func().children.len() as u32;
        if child > opcode::MAX_BX {
            return Err(self.lex.error("constant table overflow"));
        }
        self.func().children.push(Arc::new(proto));
        let at = self.emit_abx(opcode::CLOSURE, 0, child)?;
        for u in upvalues {
            let op = if u.is_local { opcode::MOVE } else { opcode::GETUPVAL };
            self.emit_abc(op, 0, u.index, 0)?;
        }
        Ok(Exp::new(Kind::Relocatable, at))
    }

    fn parameters(&mut self) -> Parsed {
        let mut count = 0;
        if self.lex.token != Token::Char(b')') {
            loop {
                match self.lex.token {
                    Token::Name(name) => {
                        self.lex.advance()?;
                        self.new_local(name, count)?;
                        count += 1;
                    }
                    Token::Dots => {
                        self.lex.advance()?;
                        self.new_hidden("arg", count)?;
                        count += 1;
                        self.func().vararg = Vararg::Table;
                        self.func().has_arg = true;
                    }
                    _ => return Err(self.lex.error("<name> or '...' expected")),
                }
                if self.func().vararg != Vararg::No || !self.accept_char(b',')? {
                    break;
                }
            }
        }
        self.activate(count);
        let func = self.func();
        func.params = func.active_count() - u32::from(func.has_arg);
        let registers = func.active_count();
        self.reserve_registers(registers)
    }
}

/// An operator and how strongly it binds to either side.
#[derive(Clone, Copy)]
struct Operator {
    binary: Binary,
    left: u8,
    right: u8,
}

fn operator_of(token: Token) -> Option<Operator> {
    use opcode::{ADD, DIV, EQ, LE, LT, MOD, MUL, POW, SUB};
    let (binary, left, right) = match token {
        Token::Char(b'+') => (Binary::Arith(ADD), 6, 6),
        Token::Char(b'-') => (Binary::Arith(SUB), 6, 6),
        Token::Char(b'*') => (Binary::Arith(MUL), 7, 7),
        Token::Char(b'/') => (Binary::Arith(DIV), 7, 7),
        Token::Char(b'%') => (Binary::Arith(MOD), 7, 7),
        Token::Char(b'^') => (Binary::Arith(POW), 10, 9),
        Token::Concat => (Binary::Concat, 5, 4),
        Token::Ne => (Binary::Compare(EQ, false), 3, 3),
        Token::Eq => (Binary::Compare(EQ, true), 3, 3),
        Token::Char(b'<') => (Binary::Compare(LT, true), 3, 3),
        Token::Le => (Binary::Compare(LE, true), 3, 3),
        Token::Char(b'>') => (Binary::Compare(LT, false), 3, 3),
        Token::Ge => (Binary::Compare(LE, false), 3, 3),
        Token::Word(Word::And) => (Binary::And, 2, 2),
        Token::Word(Word::Or) => (Binary::Or, 1, 1),
        _ => return None,
    };
    Some(Operator { binary, left, right })
}

const _: () = assert!(CONSTANT == 256);
