//! Parsing of expressions, table constructors, calls and function bodies.

use super::*;

impl Parser<'_> {
    pub(super) fn expression_list(&mut self) -> Parsed<(usize, Exp)> {
        let mut count = 1;
        let mut e = self.expression()?;
        while self.accept_char(b',')? {
            self.put_in_next_register(&mut e)?;
            e = self.expression()?;
            count += 1;
        }
        Ok((count, e))
    }

    pub(super) fn expression_to_next(&mut self) -> Parsed {
        let mut e = self.expression()?;
        self.put_in_next_register(&mut e)
    }

    pub(super) fn expression(&mut self) -> Parsed<Exp> {
        Ok(self.sub_expression(0)?.0)
    }

    /// Parses an expression of operators above a priority. Returns it with the operator that ended
    /// it.
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

    pub(super) fn primary_expression(&mut self) -> Parsed<Exp> {
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
    pub(super) fn field(&mut self, e: &mut Exp) -> Parsed {
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

    pub(super) fn function_body(&mut self, method: bool, line: u32) -> Parsed<Exp> {
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

/// An operator with its left and right priorities.
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
