//! Code generation for expressions: to registers, operands, jumps and results.

use super::*;

/// Unary operators.
#[derive(Clone, Copy, Debug)]
pub(in crate::compile) enum Unary {
    Minus,
    Not,
    Len,
}

/// Binary operators.
#[derive(Clone, Copy, Debug)]
pub(in crate::compile) enum Binary {
    And,
    Or,
    Concat,
    /// An arithmetic instruction.
    Arith(u32),
    /// A comparison instruction, or its negation.
    Compare(u32, bool),
}

impl Parser<'_> {
    /// Fixes the number of results of an open call or `...`; `None` means all.
    pub(in crate::compile) fn set_results(&mut self, e: &Exp, count: Option<u32>) -> Emitted {
        let wanted = count.map_or(0, |n| n + 1);
        let free = self.func().free;
        let i = e.info as usize;
        match e.kind {
            Kind::Call => self.func().code[i] = with_c(self.func().code[i], wanted),
            Kind::Vararg => {
                let code = &mut self.func().code[i];
                *code = with_a(with_b(*code, wanted), free);
                self.reserve_registers(1)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn set_one_result(&mut self, e: &mut Exp) {
        let i = e.info as usize;
        match e.kind {
            Kind::Call => {
                e.kind = Kind::Register;
                e.info = a(self.func().code[i]);
            }
            Kind::Vararg => {
                self.func().code[i] = with_b(self.func().code[i], 2);
                e.kind = Kind::Relocatable;
            }
            _ => {}
        }
    }

    /// Replaces a variable by its value.
    pub(in crate::compile) fn discharge(&mut self, e: &mut Exp) -> Emitted {
        match e.kind {
            Kind::Local => e.kind = Kind::Register,
            Kind::Upvalue => {
                e.info = self.emit_abc(GETUPVAL, 0, e.info, 0)?;
                e.kind = Kind::Relocatable;
            }
            Kind::Global => {
                e.info = self.emit_abx(GETGLOBAL, 0, e.info)?;
                e.kind = Kind::Relocatable;
            }
            Kind::Indexed => {
                self.func().free_register(e.aux);
                self.func().free_register(e.info);
                e.info = self.emit_abc(GETTABLE, 0, e.info, e.aux)?;
                e.kind = Kind::Relocatable;
            }
            Kind::Vararg | Kind::Call => self.set_one_result(e),
            _ => {}
        }
        Ok(())
    }

    fn discharge_to(&mut self, e: &mut Exp, register: u32) -> Emitted {
        self.discharge(e)?;
        match e.kind {
            Kind::Nil => self.emit_nil(register, 1)?,
            Kind::False | Kind::True => {
                self.emit_abc(LOADBOOL, register, u32::from(e.kind == Kind::True), 0)?;
            }
            Kind::Constant => {
                self.emit_abx(LOADK, register, e.info)?;
            }
            Kind::Number => {
                let k = self.number_constant(e.number)?;
                self.emit_abx(LOADK, register, k)?;
            }
            Kind::Relocatable => {
                let i = &mut self.func().code[e.info as usize];
                *i = with_a(*i, register);
            }
            Kind::Register => {
                if register != e.info {
                    self.emit_abc(MOVE, register, e.info, 0)?;
                }
            }
            _ => return Ok(()),
        }
        e.info = register;
        e.kind = Kind::Register;
        Ok(())
    }

    fn discharge_to_any(&mut self, e: &mut Exp) -> Emitted {
        if e.kind != Kind::Register {
            self.reserve_registers(1)?;
            let register = self.func().free - 1;
            self.discharge_to(e, register)?;
        }
        Ok(())
    }

    fn put_in_register(&mut self, e: &mut Exp, register: u32) -> Emitted {
        self.discharge_to(e, register)?;
        if e.kind == Kind::Jump {
            self.join_jumps(&mut e.on_true, e.info as i32)?;
        }
        if e.has_jumps() {
            let (mut load_false, mut load_true) = (NO_JUMP, NO_JUMP);
            if self.func().needs_value(e.on_true) || self.func().needs_value(e.on_false) {
                let over = match e.kind {
                    Kind::Jump => NO_JUMP,
                    _ => self.emit_jump()?,
                };
                self.func().label();
                load_false = self.emit_abc(LOADBOOL, register, 0, 1)? as i32;
                self.func().label();
                load_true = self.emit_abc(LOADBOOL, register, 1, 0)? as i32;
                self.patch_here(over)?;
            }
            let end = self.func().label();
            self.patch_with(e.on_false, end, register, load_false)?;
            self.patch_with(e.on_true, end, register, load_true)?;
        }
        *e = Exp::new(Kind::Register, register);
        Ok(())
    }

    pub(in crate::compile) fn put_in_next_register(&mut self, e: &mut Exp) -> Emitted {
        self.discharge(e)?;
        self.func().free_exp(e);
        self.reserve_registers(1)?;
        let register = self.func().free - 1;
        self.put_in_register(e, register)
    }

    pub(in crate::compile) fn put_in_any_register(&mut self, e: &mut Exp) -> Emitted<u32> {
        self.discharge(e)?;
        if e.kind == Kind::Register {
            if !e.has_jumps() {
                return Ok(e.info);
            }
            if e.info >= self.func().active_count() {
                self.put_in_register(e, e.info)?;
                return Ok(e.info);
            }
        }
        self.put_in_next_register(e)?;
        Ok(e.info)
    }

    pub(in crate::compile) fn put_as_value(&mut self, e: &mut Exp) -> Emitted {
        if e.has_jumps() {
            self.put_in_any_register(e)?;
            return Ok(());
        }
        self.discharge(e)
    }

    /// Makes the expression an operand: a constant that fits, or a register.
    pub(in crate::compile) fn put_as_operand(&mut self, e: &mut Exp) -> Emitted<u32> {
        self.put_as_value(e)?;
        let room = (self.func().constants.len() as u32) < CONSTANT;
        let constant = match e.kind {
            Kind::Nil if room => Some(self.add_constant(ConstantKey::Nil, Value::Nil)?),
            Kind::True | Kind::False if room => {
                let value = e.kind == Kind::True;
                Some(self.add_constant(ConstantKey::Bool(value), Value::Bool(value))?)
            }
            Kind::Number if room => Some(self.number_constant(e.number)?),
            Kind::Constant => Some(e.info),
            _ => None,
        };
        if let Some(k) = constant {
            e.kind = Kind::Constant;
            e.info = k;
            if k < CONSTANT {
                return Ok(k + CONSTANT);
            }
        }
        self.put_in_any_register(e)
    }

    pub(in crate::compile) fn store(&mut self, variable: &Exp, e: &mut Exp) -> Emitted {
        match variable.kind {
            Kind::Local => {
                self.func().free_exp(e);
                return self.put_in_register(e, variable.info);
            }
            Kind::Upvalue => {
                let register = self.put_in_any_register(e)?;
                self.emit_abc(SETUPVAL, register, variable.info, 0)?;
            }
            Kind::Global => {
                let register = self.put_in_any_register(e)?;
                self.emit_abx(SETGLOBAL, register, variable.info)?;
            }
            Kind::Indexed => {
                let operand = self.put_as_operand(e)?;
                self.emit_abc(SETTABLE, variable.info, variable.aux, operand)?;
            }
            _ => {}
        }
        self.func().free_exp(e);
        Ok(())
    }

    pub(in crate::compile) fn emit_self(&mut self, e: &mut Exp, key: &mut Exp) -> Emitted {
        let object = self.put_in_any_register(e)?;
        self.func().free_exp(e);
        let register = self.func().free;
        self.reserve_registers(2)?;
        let key_operand = self.put_as_operand(key)?;
        self.emit_abc(SELF, register, object, key_operand)?;
        self.func().free_exp(key);
        *e = Exp::new(Kind::Register, register);
        Ok(())
    }

    fn invert(&mut self, e: &Exp) {
        let at = self.func().decider(e.info as i32);
        let i = &mut self.func().code[at];
        *i = with_a(*i, u32::from(a(*i) == 0));
    }

    fn jump_if(&mut self, e: &mut Exp, condition: bool) -> Emitted<i32> {
        if e.kind == Kind::Relocatable {
            let i = self.func().code[e.info as usize];
            if op(i) == NOT {
                // The NOT is the last instruction; it is folded into the test.
                self.func().code.pop();
                self.func().lines.pop();
                return self.emit_test(TEST, b(i), 0, u32::from(!condition));
            }
        }
        self.discharge_to_any(e)?;
        self.func().free_exp(e);
        self.emit_test(TESTSET, NO_REGISTER, e.info, u32::from(condition))
    }

    /// Continues if the expression is true; otherwise takes its `on_false` jumps.
    pub(in crate::compile) fn go_if_true(&mut self, e: &mut Exp) -> Emitted {
        self.discharge(e)?;
        let jump = match e.kind {
            Kind::Constant | Kind::Number | Kind::True => NO_JUMP,
            Kind::Jump => {
                self.invert(e);
                e.info as i32
            }
            _ => self.jump_if(e, false)?,
        };
        self.join_jumps(&mut e.on_false, jump)?;
        self.patch_here(e.on_true)?;
        e.on_true = NO_JUMP;
        Ok(())
    }

    pub(in crate::compile) fn go_if_false(&mut self, e: &mut Exp) -> Emitted {
        self.discharge(e)?;
        let jump = match e.kind {
            Kind::Nil | Kind::False => NO_JUMP,
            Kind::Jump => e.info as i32,
            _ => self.jump_if(e, true)?,
        };
        self.join_jumps(&mut e.on_true, jump)?;
        self.patch_here(e.on_false)?;
        e.on_false = NO_JUMP;
        Ok(())
    }

    fn emit_not(&mut self, e: &mut Exp) -> Emitted {
        self.discharge(e)?;
        match e.kind {
            Kind::Nil | Kind::False => e.kind = Kind::True,
            Kind::Constant | Kind::Number | Kind::True => e.kind = Kind::False,
            Kind::Jump => self.invert(e),
            _ => {
                self.discharge_to_any(e)?;
                self.func().free_exp(e);
                e.info = self.emit_abc(NOT, 0, e.info, 0)?;
                e.kind = Kind::Relocatable;
            }
        }
        std::mem::swap(&mut e.on_true, &mut e.on_false);
        self.func().remove_values(e.on_false);
        self.func().remove_values(e.on_true);
        Ok(())
    }

    /// Makes `table` the expression `table[key]`; the table must be in a register.
    pub(in crate::compile) fn index(&mut self, table: &mut Exp, key: &mut Exp) -> Emitted {
        table.aux = self.put_as_operand(key)?;
        table.kind = Kind::Indexed;
        Ok(())
    }

    fn emit_arith(&mut self, op: u32, left: &mut Exp, right: &mut Exp) -> Emitted {
        if fold(op, left, right) {
            return Ok(());
        }
        let unary = matches!(op, UNM | LEN);
        let second = if unary { 0 } else { self.put_as_operand(right)? };
        let first = self.put_as_operand(left)?;
        let func = self.func();
        if first > second {
            func.free_exp(left);
            func.free_exp(right);
        } else {
            func.free_exp(right);
            func.free_exp(left);
        }
        let at = self.emit_abc(op, 0, first, second)?;
        *left = Exp::new(Kind::Relocatable, at);
        Ok(())
    }

    fn emit_compare(
        &mut self,
        op: u32,
        condition: bool,
        left: &mut Exp,
        right: &mut Exp,
    ) -> Emitted {
        let mut first = self.put_as_operand(left)?;
        let mut second = self.put_as_operand(right)?;
        self.func().free_exp(right);
        self.func().free_exp(left);
        let mut condition = condition;
        if !condition && op != EQ {
            std::mem::swap(&mut first, &mut second);
            condition = true;
        }
        let jump = self.emit_test(op, u32::from(condition), first, second)?;
        *left = Exp::new(Kind::Jump, jump as u32);
        Ok(())
    }

    pub(in crate::compile) fn prefix(&mut self, op: Unary, e: &mut Exp) -> Emitted {
        let mut zero = Exp::number(0.0);
        match op {
            Unary::Minus => {
                if !e.is_numeral() {
                    self.put_in_any_register(e)?;
                }
                self.emit_arith(UNM, e, &mut zero)
            }
            Unary::Not => self.emit_not(e),
            Unary::Len => {
                self.put_in_any_register(e)?;
                self.emit_arith(LEN, e, &mut zero)
            }
        }
    }

    /// Prepares the left operand before the right one is parsed.
    pub(in crate::compile) fn infix(&mut self, op: Binary, e: &mut Exp) -> Emitted {
        match op {
            Binary::And => self.go_if_true(e),
            Binary::Or => self.go_if_false(e),
            Binary::Concat => self.put_in_next_register(e),
            Binary::Arith(_) if e.is_numeral() => Ok(()),
            _ => self.put_as_operand(e).map(|_| ()),
        }
    }

    pub(in crate::compile) fn postfix(
        &mut self,
        op: Binary,
        left: &mut Exp,
        right: &mut Exp,
    ) -> Emitted {
        match op {
            Binary::And => {
                self.discharge(right)?;
                self.join_jumps(&mut right.on_false, left.on_false)?;
                *left = *right;
                Ok(())
            }
            Binary::Or => {
                self.discharge(right)?;
                self.join_jumps(&mut right.on_true, left.on_true)?;
                *left = *right;
                Ok(())
            }
            Binary::Concat => {
                self.put_as_value(right)?;
                if right.kind == Kind::Relocatable {
                    let i = self.func().code[right.info as usize];
                    if crate::compile::opcode::op(i) == CONCAT {
                        self.func().free_exp(left);
                        self.func().code[right.info as usize] = with_b(i, left.info);
                        *left = Exp::new(Kind::Relocatable, right.info);
                        return Ok(());
                    }
                }
                self.put_in_next_register(right)?;
                self.emit_arith(CONCAT, left, right)
            }
            Binary::Arith(op) => self.emit_arith(op, left, right),
            Binary::Compare(op, condition) => self.emit_compare(op, condition, left, right),
        }
    }
}

/// Constant folding of an operation on two numerals, if its result can be a constant.
fn fold(op: u32, left: &mut Exp, right: &Exp) -> bool {
    if !left.is_numeral() || !right.is_numeral() || matches!(op, LEN | CONCAT) {
        return false;
    }
    if matches!(op, DIV | MOD) && right.number == 0.0 {
        return false;
    }
    let n = match op {
        UNM => -left.number,
        _ => arith(op, left.number, right.number),
    };
    if n.is_nan() {
        return false;
    }
    left.number = n;
    true
}
