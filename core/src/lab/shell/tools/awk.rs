//! `awk`: patterns, fields, arithmetic, arrays, `print` and `printf`.

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::super::os::Os;
use super::text::{formatted, lines_of, unescape};
use super::{parse, regex};

/// How deep expressions and blocks may stand in each other.
const DEPTH: u32 = 60;
/// Steps that a program may take on one line, so that a loop ends.
const STEPS: u32 = 100_000;

pub(super) async fn awk(os: Os) -> i32 {
    let parsed = match parse(&os, "", "Fv").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let Some((program, paths)) = parsed.operands.split_first() else {
        return os.fail("usage: awk [-F fs][-v var=value] 'prog' [file ...]").await;
    };
    let rules = match Parser::new(program).and_then(|mut parser| parser.program()) {
        Ok(rules) => rules,
        Err(error) => {
            os.complain(error).await;
            return 2;
        }
    };
    let mut machine = Machine::default();
    let separator = parsed.value('F').map_or(" ".into(), unescape);
    machine.vars.insert("FS".into(), Value::Text(separator));
    machine.vars.insert("OFS".into(), Value::Text(" ".into()));
    for (_, text) in parsed.values.iter().filter(|(flag, _)| *flag == 'v') {
        if let Some((name, value)) = text.split_once('=') {
            machine.vars.insert(name.into(), Value::Text(unescape(value)));
        }
    }
    machine.run(&rules, When::Begin);
    let mut status = 0;
    if rules.iter().any(|rule| !matches!(rule.when, When::Begin)) && machine.exit.is_none() {
        let (lines, failed) = lines_of(&os, paths).await;
        status = failed * 2;
        for (n, line) in lines.iter().enumerate() {
            machine.vars.insert("NR".into(), Value::Number((n + 1) as f64));
            machine.split(line);
            machine.run(&rules, When::Always);
            os.print(core::mem::take(&mut machine.out));
            os.flush_if_full().await;
            if machine.exit.is_some() || machine.error.is_some() {
                break;
            }
        }
    }
    if machine.error.is_none() {
        machine.run(&rules, When::End);
    }
    os.print(core::mem::take(&mut machine.out));
    match machine.error {
        Some(error) => {
            os.complain(error).await;
            2
        }
        None => machine.exit.unwrap_or(status),
    }
}

#[derive(Clone, Debug)]
struct Rule {
    when: When,
    body: Vec<Statement>,
}

#[derive(Clone, Debug)]
enum When {
    Begin,
    End,
    Always,
    If(Expr),
}

#[derive(Clone, Debug)]
enum Statement {
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
enum Expr {
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
enum Token {
    Number(f64),
    Text(String),
    Regex(String),
    Name(String),
    Sign(&'static str),
    Line,
    End,
}

const SIGNS: [&str; 33] = [
    "&&", "||", "==", "!=", "<=", ">=", "++", "--", "+=", "-=", "*=", "/=", "%=", "!~", "{", "}",
    "(", ")", "[", "]", ",", ";", "+", "-", "*", "/", "%", "!", "<", ">", "~", "?", ":",
];

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
}

impl Parser {
    fn new(text: &str) -> Result<Parser, String> {
        Ok(Parser { tokens: tokens(text)?, at: 0, depth: 0 })
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(known) if *known == sign)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Name(name) if name == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.eat(sign) { Ok(()) } else { Err(self.wrong()) }
    }

    fn wrong(&self) -> String {
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

    fn lines(&mut self) {
        while self.is(";") || *self.peek() == Token::Line {
            self.at += 1;
        }
    }

    fn program(&mut self) -> Result<Vec<Rule>, String> {
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

    fn block(&mut self) -> Result<Vec<Statement>, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("blocks stand too deep in each other".into());
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

    fn body(&mut self) -> Result<Vec<Statement>, String> {
        while *self.peek() == Token::Line {
            self.at += 1;
        }
        if self.is("{") { self.block() } else { Ok(vec![self.statement()?]) }
    }

    fn statement(&mut self) -> Result<Statement, String> {
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

    fn list(&mut self) -> Result<Vec<Expr>, String> {
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

    fn expr(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("expressions stand too deep in each other".into());
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

    fn binary(&mut self, level: usize) -> Result<Expr, String> {
        const LEVELS: [&[&str]; 6] = [
            &["||"],
            &["&&"],
            &["~", "!~"],
            &["==", "!=", "<=", ">=", "<", ">"],
            &["+", "-"],
            &["*", "/", "%"],
        ];
        // Texts that stand beside each other are joined: between comparing and adding.
        if level == 4 {
            let mut left = self.sums()?;
            while self.begins_operand() {
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

    fn sums(&mut self) -> Result<Expr, String> {
        let mut left = self.binary(5)?;
        loop {
            let sign = ["+", "-"].into_iter().find(|sign| self.is(sign));
            let Some(sign) = sign else { return Ok(left) };
            self.eat(sign);
            left = Expr::Binary(sign, Box::new(left), Box::new(self.binary(5)?));
        }
    }

    fn begins_operand(&self) -> bool {
        match self.peek() {
            Token::Number(_) | Token::Text(_) => true,
            Token::Name(name) => name != "in",
            Token::Sign(sign) => matches!(*sign, "$" | "(" | "!" | "++" | "--") && *sign != "!",
            _ => false,
        }
    }

    fn unary(&mut self) -> Result<Expr, String> {
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

    fn primary(&mut self) -> Result<Expr, String> {
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

fn tokens(text: &str) -> Result<Vec<Token>, String> {
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

#[derive(Clone, Debug)]
enum Value {
    Number(f64),
    Text(String),
}

impl Value {
    fn number(&self) -> f64 {
        match self {
            Value::Number(n) => *n,
            Value::Text(text) => {
                let text = text.trim_start();
                let end = text
                    .char_indices()
                    .find(|(n, c)| {
                        !(c.is_ascii_digit() || *c == '.' || *n == 0 && matches!(c, '-' | '+'))
                    })
                    .map_or(text.len(), |(n, _)| n);
                text[..end].parse().unwrap_or(0.0)
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Value::Number(n) if n.fract() == 0.0 && n.abs() < 1e16 => format!("{n:.0}"),
            Value::Number(n) => {
                let text = format!("{n:.6}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            Value::Text(text) => text.clone(),
        }
    }

    fn is_true(&self) -> bool {
        match self {
            Value::Number(n) => *n != 0.0,
            Value::Text(text) => !text.is_empty() && text != "0",
        }
    }

    /// Whether it counts as a number in a comparison.
    fn is_numeric(&self) -> bool {
        match self {
            Value::Number(_) => true,
            Value::Text(text) => text.trim().parse::<f64>().is_ok(),
        }
    }
}

#[derive(Default)]
struct Machine {
    vars: BTreeMap<String, Value>,
    arrays: BTreeMap<String, BTreeMap<String, Value>>,
    line: String,
    fields: Vec<String>,
    out: String,
    exit: Option<i32>,
    error: Option<String>,
    skip: bool,
    steps: u32,
}

impl Machine {
    fn run(&mut self, rules: &[Rule], when: When) {
        self.skip = false;
        self.steps = 0;
        for rule in rules {
            let fits = match (&rule.when, &when) {
                (When::Begin, When::Begin) | (When::End, When::End) => true,
                (When::Always, When::Always) => true,
                (When::If(test), When::Always) => self.eval(test).is_true(),
                _ => false,
            };
            if fits {
                self.all(&rule.body);
            }
            if self.stops() {
                return;
            }
        }
    }

    fn stops(&self) -> bool {
        self.skip || self.exit.is_some() || self.error.is_some()
    }

    fn split(&mut self, line: &str) {
        self.line = line.to_owned();
        let separator = self.var("FS").text();
        self.fields = match separator.as_str() {
            " " => line.split_whitespace().map(str::to_owned).collect(),
            one if one.chars().count() == 1 => line.split(one).map(str::to_owned).collect(),
            pattern => match regex::compile(pattern, true, false) {
                Ok(regex) => regex.split(line).map(str::to_owned).collect(),
                Err(_) => vec![line.to_owned()],
            },
        };
        if line.is_empty() {
            self.fields.clear();
        }
    }

    fn var(&self, name: &str) -> Value {
        if name == "NF" {
            return Value::Number(self.fields.len() as f64);
        }
        self.vars.get(name).cloned().unwrap_or(Value::Text(String::new()))
    }

    fn all(&mut self, body: &[Statement]) {
        for statement in body {
            self.one(statement);
            self.steps += 1;
            if self.steps > STEPS {
                self.error = Some("the program takes too many steps on one line".into());
            }
            if self.stops() {
                return;
            }
        }
    }

    fn one(&mut self, statement: &Statement) {
        match statement {
            Statement::Print(list) => {
                let separator = self.var("OFS").text();
                let parts: Vec<String> = list.iter().map(|expr| self.eval(expr).text()).collect();
                let text = if list.is_empty() { self.line.clone() } else { parts.join(&separator) };
                self.out.push_str(&text);
                self.out.push('\n');
            }
            Statement::Printf(list) => {
                let parts: Vec<String> = list.iter().map(|expr| self.eval(expr).text()).collect();
                let Some((format, args)) = parts.split_first() else { return };
                match formatted(format, &mut args.iter()) {
                    Ok(text) => self.out.push_str(&text),
                    Err(error) => self.error = Some(error),
                }
            }
            Statement::Expr(expr) => {
                self.eval(expr);
            }
            Statement::If(test, yes, no) => {
                let body = if self.eval(test).is_true() { yes } else { no };
                self.all(body);
            }
            Statement::While(test, body) => {
                while !self.stops() && self.eval(test).is_true() {
                    self.steps += 1;
                    self.all(body);
                    if self.steps > STEPS {
                        self.error = Some("the program takes too many steps on one line".into());
                    }
                }
            }
            Statement::For(first, test, step, body) => {
                self.one(first);
                while !self.stops() && self.eval(test).is_true() {
                    self.steps += 1;
                    self.all(body);
                    self.one(step);
                    if self.steps > STEPS {
                        self.error = Some("the program takes too many steps on one line".into());
                    }
                }
            }
            Statement::ForIn(name, array, body) => {
                let keys: Vec<String> =
                    self.arrays.get(array).map(|a| a.keys().cloned().collect()).unwrap_or_default();
                for key in keys {
                    self.vars.insert(name.clone(), Value::Text(key));
                    self.all(body);
                    if self.stops() {
                        return;
                    }
                }
            }
            Statement::Delete(name, key) => {
                let key = self.eval(key).text();
                if let Some(array) = self.arrays.get_mut(name) {
                    array.remove(&key);
                }
            }
            Statement::Next => self.skip = true,
            Statement::Exit(code) => {
                let code = code.as_ref().map_or(0.0, |code| self.eval(code).number());
                self.exit = Some(code as i32);
            }
        }
    }

    fn set(&mut self, target: &Expr, value: Value) {
        match target {
            Expr::Var(name) => {
                self.vars.insert(name.clone(), value);
            }
            Expr::Element(name, key) => {
                let key = self.eval(key).text();
                self.arrays.entry(name.clone()).or_default().insert(key, value);
            }
            Expr::Field(n) => {
                let n = self.eval(n).number() as usize;
                if n == 0 {
                    self.split(&value.text());
                    return;
                }
                let n = n.min(1_000);
                if self.fields.len() < n {
                    self.fields.resize(n, String::new());
                }
                self.fields[n - 1] = value.text();
                self.line = self.fields.join(&self.var("OFS").text());
            }
            _ => {}
        }
    }

    fn eval(&mut self, expr: &Expr) -> Value {
        let truth = |yes: bool| Value::Number(f64::from(u8::from(yes)));
        match expr {
            Expr::Number(n) => Value::Number(*n),
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Match(regex) => truth(regex.is_match(&self.line)),
            Expr::Var(name) => self.var(name),
            Expr::Element(name, key) => {
                let key = self.eval(key).text();
                let array = self.arrays.entry(name.clone()).or_default();
                array.entry(key).or_insert(Value::Text(String::new())).clone()
            }
            Expr::Field(n) => {
                let n = self.eval(n).number() as usize;
                Value::Text(match n {
                    0 => self.line.clone(),
                    n => self.fields.get(n - 1).cloned().unwrap_or_default(),
                })
            }
            Expr::Assign(target, op, value) => {
                let value = self.eval(value);
                let value = match op {
                    '=' => value,
                    op => {
                        let old = self.eval(target).number();
                        Value::Number(calculate(*op, old, value.number()))
                    }
                };
                self.set(target, value.clone());
                value
            }
            Expr::Step(target, by, before) => {
                let old = self.eval(target).number();
                self.set(target, Value::Number(old + by));
                Value::Number(if *before { old + by } else { old })
            }
            Expr::Not(inner) => {
                let yes = self.eval(inner).is_true();
                truth(!yes)
            }
            Expr::Minus(inner) => Value::Number(-self.eval(inner).number()),
            Expr::Choice(test, yes, no) => {
                let taken = if self.eval(test).is_true() { yes } else { no };
                self.eval(taken)
            }
            Expr::In(key, array) => {
                let key = self.eval(key).text();
                truth(self.arrays.get(array).is_some_and(|array| array.contains_key(&key)))
            }
            Expr::Binary("&&", a, b) => truth(self.eval(a).is_true() && self.eval(b).is_true()),
            Expr::Binary("||", a, b) => truth(self.eval(a).is_true() || self.eval(b).is_true()),
            Expr::Binary(sign @ ("~" | "!~"), a, b) => {
                let text = self.eval(a).text();
                let found = match &**b {
                    Expr::Match(regex) => regex.is_match(&text),
                    other => {
                        let pattern = self.eval(other).text();
                        regex::compile(&pattern, true, false).is_ok_and(|r| r.is_match(&text))
                    }
                };
                truth(found == (*sign == "~"))
            }
            Expr::Binary(" ", a, b) => {
                let text = self.eval(a).text() + &self.eval(b).text();
                Value::Text(text)
            }
            Expr::Binary(sign @ ("==" | "!=" | "<" | ">" | "<=" | ">="), a, b) => {
                let numbers = !matches!(**a, Expr::Text(_)) && !matches!(**b, Expr::Text(_));
                let (a, b) = (self.eval(a), self.eval(b));
                let order = if numbers && a.is_numeric() && b.is_numeric() {
                    a.number().partial_cmp(&b.number())
                } else {
                    Some(a.text().cmp(&b.text()))
                };
                truth(order.is_some_and(|order| match *sign {
                    "==" => order.is_eq(),
                    "!=" => order.is_ne(),
                    "<" => order.is_lt(),
                    ">" => order.is_gt(),
                    "<=" => order.is_le(),
                    _ => order.is_ge(),
                }))
            }
            Expr::Binary(sign, a, b) => {
                let (a, b) = (self.eval(a).number(), self.eval(b).number());
                Value::Number(calculate(sign.chars().next().unwrap_or('+'), a, b))
            }
            Expr::Call(name, args) => self.call(name, args),
        }
    }

    fn call(&mut self, name: &str, args: &[Expr]) -> Value {
        if let ("sub" | "gsub", [pattern, with, ..]) = (name, args) {
            let regex = match pattern {
                Expr::Match(regex) => Ok(regex.clone()),
                other => regex::compile(&self.eval(other).text(), true, false),
            };
            let with = self.eval(with).text();
            let whole = Expr::Field(Box::new(Expr::Number(0.0)));
            let target = args.get(2).unwrap_or(&whole);
            let text = self.eval(target).text();
            let Ok(regex) = regex else { return Value::Number(0.0) };
            let most = if name == "sub" { 1 } else { 0 };
            let count = regex.find_iter(&text).take(if most == 1 { 1 } else { usize::MAX }).count();
            let new = regex.replacen(&text, most, with.replace('$', "$$").replace('&', "$0"));
            let new = new.into_owned();
            self.set(target, Value::Text(new));
            return Value::Number(count as f64);
        }
        if let ("split", [text, Expr::Var(array), rest @ ..]) = (name, args) {
            let text = self.eval(text).text();
            let separator = match rest.first() {
                Some(separator) => self.eval(separator).text(),
                None => self.var("FS").text(),
            };
            let parts: Vec<String> = match separator.as_str() {
                " " => text.split_whitespace().map(str::to_owned).collect(),
                separator => text.split(separator).map(str::to_owned).collect(),
            };
            let count = parts.len();
            let numbered =
                (1..).map(|n: u32| n.to_string()).zip(parts.into_iter().map(Value::Text));
            self.arrays.insert(array.clone(), numbered.collect());
            return Value::Number(count as f64);
        }
        let values: Vec<Value> = args.iter().map(|arg| self.eval(arg)).collect();
        let text = |n: usize| values.get(n).map(Value::text).unwrap_or_default();
        let number = |n: usize| values.get(n).map(Value::number);
        match name {
            "length" if values.is_empty() => Value::Number(self.line.chars().count() as f64),
            "length" => Value::Number(text(0).chars().count() as f64),
            "substr" => {
                let from = number(1).unwrap_or(1.0).max(1.0) as usize - 1;
                let len = number(2).map_or(usize::MAX, |len| len.max(0.0) as usize);
                Value::Text(text(0).chars().skip(from).take(len).collect())
            }
            "index" => {
                let (text, part) = (text(0), text(1));
                let at = text.find(&part).map_or(0, |at| text[..at].chars().count() + 1);
                Value::Number(at as f64)
            }
            "tolower" => Value::Text(text(0).to_lowercase()),
            "toupper" => Value::Text(text(0).to_uppercase()),
            "int" => Value::Number(number(0).unwrap_or(0.0).trunc()),
            "sprintf" => {
                let parts: Vec<String> = values.iter().map(Value::text).collect();
                let Some((format, args)) = parts.split_first() else {
                    return Value::Text(String::new());
                };
                match formatted(format, &mut args.iter()) {
                    Ok(text) => Value::Text(text),
                    Err(error) => {
                        self.error = Some(error);
                        Value::Text(String::new())
                    }
                }
            }
            name => {
                self.error = Some(format!("the function {name} is not supported here"));
                Value::Text(String::new())
            }
        }
    }
}

fn calculate(op: char, a: f64, b: f64) -> f64 {
    match op {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        '/' => a / b,
        _ => a % b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awk(program: &str, text: &str) -> String {
        let rules = Parser::new(program).unwrap().program().unwrap();
        let mut machine = Machine::default();
        machine.vars.insert("FS".into(), Value::Text(" ".into()));
        machine.vars.insert("OFS".into(), Value::Text(" ".into()));
        machine.run(&rules, When::Begin);
        for (n, line) in text.lines().enumerate() {
            machine.vars.insert("NR".into(), Value::Number((n + 1) as f64));
            machine.split(line);
            machine.run(&rules, When::Always);
        }
        machine.run(&rules, When::End);
        assert_eq!(machine.error, None);
        machine.out
    }

    #[test]
    fn programs_do_what_awk_does() {
        for (program, text, expected) in [
            ("{print $2}", "a b\nc d", "b\nd\n"),
            ("/c/ {print $1, NR}", "a b\nc d", "c 2\n"),
            ("NR>1", "a\nb", "b\n"),
            ("{s+=$1} END {print s, s/NR}", "1\n2", "3 1.5\n"),
            ("{n[$1]++} END {for (k in n) print k\":\"n[k]}", "b\na\nb", "a:1\nb:2\n"),
            ("BEGIN {printf \"%03d|%s\\n\", 7, \"x\"}", "", "007|x\n"),
            ("{gsub(/a/, \"<&>\"); print}", "aba", "<a>b<a>\n"),
            ("$2 ~ /^x/ {print $NF}", "1 xy z\n2 y z", "z\n"),
            ("{if ($1 > 9) print \"big\"; else print \"small\"}", "10\n9", "big\nsmall\n"),
            ("BEGIN {for (i=0; i<3; i++) printf i; print \"\"}", "", "012\n"),
        ] {
            assert_eq!(awk(program, text), expected, "{program}");
        }
        assert!(Parser::new("{print").unwrap().program().is_err());
    }
}
