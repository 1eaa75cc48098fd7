//! The parser of `awk` programs.

use regex_lite::Regex;

use super::super::print::unescape;
use super::super::regex;

/// The maximum nesting depth of expressions and blocks.
const DEPTH: u32 = 60;

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) when: When,
    pub(super) body: Vec<Statement>,
}

#[derive(Clone, Debug)]
pub(super) enum When {
    Begin,
    End,
    Always,
    If(Expr),
}

#[derive(Clone, Debug)]
pub(super) enum Statement {
    Print(Vec<Expr>),
    Printf(Vec<Expr>),
    Expr(Expr),
    If(Expr, Vec<Statement>, Vec<Statement>),
    While(Expr, Vec<Statement>),
    For(Box<Statement>, Expr, Box<Statement>, Vec<Statement>),
    ForIn(String, String, Vec<Statement>),
    Delete(String, Expr),
    Next,
    Exit(Option<Expr>),
}

#[derive(Clone, Debug)]
pub(super) enum Expr {
    Number(f64),
    Text(String),
    Match(Regex),
    Var(String),
    Element(String, Box<Expr>),
    Field(Box<Expr>),
    Assign(Box<Expr>, char, Box<Expr>),
    Step(Box<Expr>, f64, bool),
    Not(Box<Expr>),
    Minus(Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Choice(Box<Expr>, Box<Expr>, Box<Expr>),
    In(Box<Expr>, String),
    Call(String, Vec<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Text(String),
    Regex(String),
    Name(String),
    Sign(&'static str),
    Line,
    End,
}

pub(super) const SIGNS: [&str; 33] = [
    "&&", "||", "==", "!=", "<=", ">=", "++", "--", "+=", "-=", "*=", "/=", "%=", "!~", "{", "}",
    "(", ")", "[", "]", ",", ";", "+", "-", "*", "/", "%", "!", "<", ">", "~", "?", ":",
];

pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    pub(super) depth: u32,
}

impl Parser {
    pub(super) fn new(text: &str) -> Result<Parser, String> {
        Ok(Parser { tokens: tokens(text)?, at: 0, depth: 0 })
    }

    pub(super) fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    pub(super) fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(known) if *known == sign)
    }

    pub(super) fn eat(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.at += usize::from(found);
        found
    }

    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Name(name) if name == word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.eat(sign) { Ok(()) } else { Err(self.wrong()) }
    }

    pub(super) fn wrong(&self) -> String {
        let near = match self.peek() {
            Token::Number(n) => n.to_string(),
            Token::Text(text) => format!("\"{text}\""),
            Token::Regex(text) => format!("/{text}/"),
            Token::Name(name) => name.clone(),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::Line => "newline".into(),
            Token::End => "end of program".into(),
        };
        format!("syntax error at or near {near}")
    }

    pub(super) fn lines(&mut self) {
        while self.is(";") || *self.peek() == Token::Line {
            self.at += 1;
        }
    }

    pub(super) fn program(&mut self) -> Result<Vec<Rule>, String> {
        let mut rules = Vec::new();
        loop {
            self.lines();
            if *self.peek() == Token::End {
                return Ok(rules);
            }
            let when = if self.word("BEGIN") {
                When::Begin
            } else if self.word("END") {
                When::End
            } else if self.is("{") {
                When::Always
            } else {
                When::If(self.expr()?)
            };
            let body =
                if self.is("{") { self.block()? } else { vec![Statement::Print(Vec::new())] };
            rules.push(Rule { when, body });
        }
    }

    pub(super) fn block(&mut self) -> Result<Vec<Statement>, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("blocks are nested too deeply".into());
        }
        self.expect("{")?;
        let mut body = Vec::new();
        loop {
            self.lines();
            if self.eat("}") {
                self.depth -= 1;
                return Ok(body);
            }
            body.push(self.statement()?);
        }
    }

    pub(super) fn body(&mut self) -> Result<Vec<Statement>, String> {
        while *self.peek() == Token::Line {
            self.at += 1;
        }
        if self.is("{") { self.block() } else { Ok(vec![self.statement()?]) }
    }

    pub(super) fn statement(&mut self) -> Result<Statement, String> {
        if self.word("print") {
            return Ok(Statement::Print(self.list()?));
        }
        if self.word("printf") {
            return Ok(Statement::Printf(self.list()?));
        }
        if self.word("next") {
            return Ok(Statement::Next);
        }
        if self.word("exit") {
            let ends = self.is(";") || self.is("}") || *self.peek() == Token::Line;
            return Ok(Statement::Exit(if ends { None } else { Some(self.expr()?) }));
        }
        if self.word("delete") {
            let Expr::Element(name, key) = self.primary()? else { return Err(self.wrong()) };
            return Ok(Statement::Delete(name, *key));
        }
        if self.word("if") {
            self.expect("(")?;
            let test = self.expr()?;
            self.expect(")")?;
            let yes = self.body()?;
            let back = self.at;
            self.lines();
            if self.word("else") {
                return Ok(Statement::If(test, yes, self.body()?));
            }
            self.at = back;
            return Ok(Statement::If(test, yes, Vec::new()));
        }
        if self.word("while") {
            self.expect("(")?;
            let test = self.expr()?;
            self.expect(")")?;
            return Ok(Statement::While(test, self.body()?));
        }
        if self.word("for") {
            self.expect("(")?;
            let first = self.statement()?;
            if let Statement::Expr(Expr::In(key, array)) = first {
                let Expr::Var(name) = *key else { return Err(self.wrong()) };
                self.expect(")")?;
                return Ok(Statement::ForIn(name, array, self.body()?));
            }
            self.expect(";")?;
            let test = self.expr()?;
            self.expect(";")?;
            let step = self.statement()?;
            self.expect(")")?;
            return Ok(Statement::For(Box::new(first), test, Box::new(step), self.body()?));
        }
        Ok(Statement::Expr(self.expr()?))
    }

    pub(super) fn list(&mut self) -> Result<Vec<Expr>, String> {
        let mut list = Vec::new();
        if self.is(";") || self.is("}") || matches!(self.peek(), Token::Line | Token::End) {
            return Ok(list);
        }
        loop {
            list.push(self.expr()?);
            if self.is(">") || self.is("|") {
                return Err("output to a file is not supported; use the shell's >".into());
            }
            if !self.eat(",") {
                return Ok(list);
            }
        }
    }

    pub(super) fn expr(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("expressions are nested too deeply".into());
        }
        let test = self.binary(0)?;
        let expr = if self.eat("?") {
            let yes = self.expr()?;
            self.expect(":")?;
            Expr::Choice(Box::new(test), Box::new(yes), Box::new(self.expr()?))
        } else {
            let op = [("=", '='), ("+=", '+'), ("-=", '-'), ("*=", '*'), ("/=", '/'), ("%=", '%')];
            let op = op.into_iter().find(|(sign, _)| self.is(sign));
            match (op, &test) {
                (Some((sign, op)), Expr::Var(_) | Expr::Element(..) | Expr::Field(_)) => {
                    self.eat(sign);
                    Expr::Assign(Box::new(test), op, Box::new(self.expr()?))
                }
                _ => test,
            }
        };
        self.depth -= 1;
        Ok(expr)
    }

    pub(super) fn binary(&mut self, level: usize) -> Result<Expr, String> {
        const LEVELS: [&[&str]; 6] = [
            &["||"],
            &["&&"],
            &["~", "!~"],
            &["==", "!=", "<=", ">=", "<", ">"],
            &["+", "-"],
            &["*", "/", "%"],
        ];
        // Concatenation: its precedence is between comparison and addition.
        if level == 4 {
            let mut left = self.sums()?;
            while self.starts_operand() {
                let right = self.sums()?;
                left = Expr::Binary(" ", Box::new(left), Box::new(right));
            }
            return Ok(left);
        }
        let Some(signs) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        loop {
            let sign = signs.iter().find(|sign| self.is(sign)).copied();
            if let Some(sign) = sign {
                self.eat(sign);
                let right = self.binary(level + 1)?;
                left = Expr::Binary(sign, Box::new(left), Box::new(right));
            } else if level == 2 && self.word("in") {
                let Token::Name(array) = self.peek().clone() else { return Err(self.wrong()) };
                self.at += 1;
                left = Expr::In(Box::new(left), array);
            } else {
                return Ok(left);
            }
        }
    }

    pub(super) fn sums(&mut self) -> Result<Expr, String> {
        let mut left = self.binary(5)?;
        loop {
            let sign = ["+", "-"].into_iter().find(|sign| self.is(sign));
            let Some(sign) = sign else { return Ok(left) };
            self.eat(sign);
            left = Expr::Binary(sign, Box::new(left), Box::new(self.binary(5)?));
        }
    }

    pub(super) fn starts_operand(&self) -> bool {
        match self.peek() {
            Token::Number(_) | Token::Text(_) => true,
            Token::Name(name) => name != "in",
            Token::Sign(sign) => matches!(*sign, "$" | "(" | "!" | "++" | "--") && *sign != "!",
            _ => false,
        }
    }

    pub(super) fn unary(&mut self) -> Result<Expr, String> {
        if self.eat("!") {
            return Ok(Expr::Not(Box::new(self.unary()?)));
        }
        if self.eat("-") {
            return Ok(Expr::Minus(Box::new(self.unary()?)));
        }
        if self.eat("+") {
            return self.unary();
        }
        for (sign, by) in [("++", 1.0), ("--", -1.0)] {
            if self.eat(sign) {
                return Ok(Expr::Step(Box::new(self.primary()?), by, true));
            }
        }
        let operand = self.primary()?;
        for (sign, by) in [("++", 1.0), ("--", -1.0)] {
            if self.eat(sign) {
                return Ok(Expr::Step(Box::new(operand), by, false));
            }
        }
        Ok(operand)
    }

    pub(super) fn primary(&mut self) -> Result<Expr, String> {
        let token = self.peek().clone();
        self.at += 1;
        Ok(match token {
            Token::Number(n) => Expr::Number(n),
            Token::Text(text) => Expr::Text(text),
            Token::Regex(pattern) => Expr::Match(regex::compile(&pattern, true, false)?),
            Token::Sign("(") => {
                let inner = self.expr()?;
                self.expect(")")?;
                inner
            }
            Token::Sign("$") => Expr::Field(Box::new(self.primary()?)),
            Token::Name(name) if self.is("(") => {
                self.eat("(");
                let mut args = Vec::new();
                while !self.eat(")") {
                    args.push(self.expr()?);
                    if !self.eat(",") && !self.is(")") {
                        return Err(self.wrong());
                    }
                }
                Expr::Call(name, args)
            }
            Token::Name(name) if name == "length" => Expr::Call(name, Vec::new()),
            Token::Name(name) if self.is("[") => {
                self.eat("[");
                let key = self.expr()?;
                self.expect("]")?;
                Expr::Element(name, Box::new(key))
            }
            Token::Name(name) => Expr::Var(name),
            _ => {
                self.at -= 1;
                return Err(self.wrong());
            }
        })
    }
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let start = at;
        let take = |at: &mut usize, fits: fn(char) -> bool| {
            while chars.get(*at).copied().is_some_and(fits) {
                *at += 1;
            }
        };
        match c {
            '\n' => {
                at += 1;
                tokens.push(Token::Line);
            }
            '#' => take(&mut at, |c| c != '\n'),
            c if c.is_whitespace() => at += 1,
            '"' => {
                at += 1;
                let mut text = String::new();
                loop {
                    match chars.get(at) {
                        None => return Err("a string is not closed".into()),
                        Some('"') => break,
                        Some('\\') => {
                            text.push('\\');
                            text.extend(chars.get(at + 1));
                            at += 2;
                        }
                        Some(c) => {
                            text.push(*c);
                            at += 1;
                        }
                    }
                }
                at += 1;
                tokens.push(Token::Text(unescape(&text.replace("\\\"", "\""))));
            }
            '/' if !matches!(
                tokens.last(),
                Some(
                    Token::Number(_)
                        | Token::Name(_)
                        | Token::Text(_)
                        | Token::Sign(")" | "]" | "$")
                )
            ) =>
            {
                at += 1;
                let mut pattern = String::new();
                loop {
                    match chars.get(at) {
                        None => return Err("a regular expression is not closed".into()),
                        Some('/') => break,
                        Some('\\') if chars.get(at + 1) == Some(&'/') => {
                            pattern.push('/');
                            at += 2;
                        }
                        Some(c) => {
                            pattern.push(*c);
                            at += 1;
                        }
                    }
                }
                at += 1;
                tokens.push(Token::Regex(pattern));
            }
            c if c.is_ascii_digit() => {
                take(&mut at, |c| c.is_ascii_digit() || c == '.');
                let digits: String = chars[start..at].iter().collect();
                tokens.push(Token::Number(
                    digits.parse().map_err(|_| format!("bad number {digits}"))?,
                ));
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                take(&mut at, |c| c.is_ascii_alphanumeric() || c == '_');
                tokens.push(Token::Name(chars[start..at].iter().collect()));
            }
            c => {
                let rest: String = chars[at..].iter().take(2).collect();
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = match (sign, c) {
                    (Some(sign), _) => sign,
                    (None, '=') => "=",
                    (None, '$') => "$",
                    (None, '|') => "|",
                    _ => return Err(format!("`{c}' is not supported here")),
                };
                at += sign.len();
                tokens.push(Token::Sign(sign));
            }
        }
    }
    Ok(tokens)
}
