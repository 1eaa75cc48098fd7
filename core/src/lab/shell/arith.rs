//! Arithmetic expansion, `$(( ))`: integers, variables, the operators of C.

use super::run::Shell;

/// The maximum nesting depth of parentheses.
const DEPTH: u32 = 50;

pub(super) fn eval(text: &str, shell: &mut Shell) -> Result<i64, String> {
    let mut calc = Calc { text: text.as_bytes(), at: 0, depth: 0, shell };
    calc.blanks();
    if calc.at == calc.text.len() {
        return Ok(0);
    }
    let value = calc.choice()?;
    calc.blanks();
    if calc.at < calc.text.len() {
        return Err(calc.wrong());
    }
    Ok(value)
}

struct Calc<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
    shell: &'a mut Shell,
}

/// Binary operators by precedence, lowest first; an operator comes before its own prefixes.
const LEVELS: [&[&str]; 8] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
];

impl Calc<'_> {
    fn wrong(&self) -> String {
        let text = String::from_utf8_lossy(self.text);
        let token = String::from_utf8_lossy(&self.text[self.at.min(self.text.len())..]);
        format!("{}: syntax error: operand expected (error token is \"{token}\")", text.trim())
    }

    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.blanks();
        let found = self.text[self.at..].starts_with(token.as_bytes());
        if found {
            self.at += token.len();
        }
        found
    }

    fn next_is(&self, c: u8) -> bool {
        self.text.get(self.at) == Some(&c)
    }

    fn choice(&mut self) -> Result<i64, String> {
        let test = self.binary(0)?;
        if !self.eat("?") {
            return Ok(test);
        }
        let yes = self.choice()?;
        if !self.eat(":") {
            return Err(self.wrong());
        }
        let no = self.choice()?;
        Ok(if test != 0 { yes } else { no })
    }

    fn binary(&mut self, level: usize) -> Result<i64, String> {
        let Some(operators) = LEVELS.get(level) else { return self.sum() };
        let mut left = self.binary(level + 1)?;
        'more: loop {
            for op in *operators {
                let start = self.at;
                if !self.eat(op) {
                    continue;
                }
                let longer = match *op {
                    "|" => self.next_is(b'|'),
                    "&" => self.next_is(b'&'),
                    "<" | ">" => self.next_is(op.as_bytes()[0]),
                    _ => false,
                };
                if longer {
                    self.at = start;
                    continue;
                }
                let right = self.binary(level + 1)?;
                left = match *op {
                    "||" => i64::from(left != 0 || right != 0),
                    "&&" => i64::from(left != 0 && right != 0),
                    "|" => left | right,
                    "^" => left ^ right,
                    "&" => left & right,
                    "==" => i64::from(left == right),
                    "!=" => i64::from(left != right),
                    "<=" => i64::from(left <= right),
                    ">=" => i64::from(left >= right),
                    "<" => i64::from(left < right),
                    ">" => i64::from(left > right),
                    "<<" => left.wrapping_shl(right as u32),
                    _ => left.wrapping_shr(right as u32),
                };
                continue 'more;
            }
            return Ok(left);
        }
    }

    fn sum(&mut self) -> Result<i64, String> {
        let mut left = self.product()?;
        loop {
            if self.eat("+") {
                left = left.wrapping_add(self.product()?);
            } else if self.eat("-") {
                left = left.wrapping_sub(self.product()?);
            } else {
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<i64, String> {
        let mut left = self.power()?;
        loop {
            let op = ["*", "/", "%"].into_iter().find(|op| self.eat(op));
            let Some(op) = op else { return Ok(left) };
            let right = self.power()?;
            left = match op {
                "*" => left.wrapping_mul(right),
                _ if right == 0 => return Err("division by 0".into()),
                "/" => left.wrapping_div(right),
                _ => left.wrapping_rem(right),
            };
        }
    }

    fn power(&mut self) -> Result<i64, String> {
        let base = self.unary()?;
        if !self.eat("**") {
            return Ok(base);
        }
        let exponent = self.power()?;
        Ok(u32::try_from(exponent).map_or(0, |exponent| base.wrapping_pow(exponent)))
    }

    fn unary(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("expression recursion level exceeded".into());
        }
        let value = if self.eat("!") {
            i64::from(self.unary()? == 0)
        } else if self.eat("~") {
            !self.unary()?
        } else if self.eat("++") {
            self.step(1, true)?
        } else if self.eat("--") {
            self.step(-1, true)?
        } else if self.eat("-") {
            self.unary()?.wrapping_neg()
        } else if self.eat("+") {
            self.unary()?
        } else if self.eat("(") {
            let value = self.choice()?;
            if !self.eat(")") {
                return Err(self.wrong());
            }
            value
        } else {
            self.operand()?
        };
        self.depth -= 1;
        Ok(value)
    }

    fn name(&mut self) -> Option<String> {
        self.blanks();
        let start = self.at;
        let is_name = |c: &u8| c.is_ascii_alphanumeric() || *c == b'_';
        if self.text.get(start).is_some_and(u8::is_ascii_digit) {
            return None;
        }
        while self.text.get(self.at).is_some_and(is_name) {
            self.at += 1;
        }
        let name = &self.text[start..self.at];
        (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
    }

    fn get(&self, name: &str) -> i64 {
        self.shell.special(name).and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }

    fn step(&mut self, by: i64, _before: bool) -> Result<i64, String> {
        let name = self.name().ok_or_else(|| self.wrong())?;
        let value = self.get(&name).wrapping_add(by);
        self.shell.set(&name, &value.to_string());
        Ok(value)
    }

    fn operand(&mut self) -> Result<i64, String> {
        if let Some(name) = self.name() {
            let old = self.get(&name);
            let new = if self.eat("++") {
                old.wrapping_add(1)
            } else if self.eat("--") {
                old.wrapping_sub(1)
            } else if self.eat("+=") {
                let value = old.wrapping_add(self.choice()?);
                self.shell.set(&name, &value.to_string());
                return Ok(value);
            } else if self.eat("-=") {
                let value = old.wrapping_sub(self.choice()?);
                self.shell.set(&name, &value.to_string());
                return Ok(value);
            } else {
                self.blanks();
                if self.next_is(b'=') && self.text.get(self.at + 1) != Some(&b'=') {
                    self.at += 1;
                    let value = self.choice()?;
                    self.shell.set(&name, &value.to_string());
                    return Ok(value);
                }
                return Ok(old);
            };
            self.shell.set(&name, &new.to_string());
            return Ok(old);
        }
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_alphanumeric) {
            self.at += 1;
        }
        let digits = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        let value = match digits.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).ok(),
            None if digits.len() > 1 && digits.starts_with('0') => {
                i64::from_str_radix(&digits, 8).ok()
            }
            None => digits.parse().ok(),
        };
        value.ok_or_else(|| {
            self.at = start;
            self.wrong()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_calculates_as_c_does() {
        let mut shell = Shell::default();
        shell.set("n", "5");
        for (text, value) in [
            ("1 + 2 * 3", 7),
            ("(1+2)*3", 9),
            ("n++ + n", 11),
            ("2 ** 3 ** 2", 512),
            ("n > 3 && n < 9 ? 1 : 0", 1),
            ("7 % 3 << 2", 4),
            ("x = 4", 4),
            ("x - -1", 5),
            ("010 + 0x10", 24),
            ("", 0),
        ] {
            assert_eq!(eval(text, &mut shell), Ok(value), "{text}");
        }
        assert!(eval("1 +", &mut shell).is_err());
        assert_eq!(eval("1 / 0", &mut shell), Err("division by 0".into()));
    }
}
