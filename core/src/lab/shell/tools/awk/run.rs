//! The interpreter of `awk` programs.

use std::collections::BTreeMap;

use super::super::print::formatted;
use super::super::regex;
use super::parse::{Expr, Rule, Statement, When};

/// The maximum number of steps for one line, so that an infinite loop ends.
const STEPS: u32 = 100_000;

#[derive(Clone, Debug)]
pub(super) enum Value {
    Number(f64),
    Text(String),
}

impl Value {
    pub(super) fn number(&self) -> f64 {
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

    pub(super) fn text(&self) -> String {
        match self {
            Value::Number(n) if n.fract() == 0.0 && n.abs() < 1e16 => format!("{n:.0}"),
            Value::Number(n) => {
                let text = format!("{n:.6}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            Value::Text(text) => text.clone(),
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Number(n) => *n != 0.0,
            Value::Text(text) => !text.is_empty() && text != "0",
        }
    }

    /// Whether it is compared as a number.
    pub(super) fn is_numeric(&self) -> bool {
        match self {
            Value::Number(_) => true,
            Value::Text(text) => text.trim().parse::<f64>().is_ok(),
        }
    }
}

#[derive(Default)]
pub(super) struct Machine {
    pub(super) vars: BTreeMap<String, Value>,
    pub(super) arrays: BTreeMap<String, BTreeMap<String, Value>>,
    pub(super) line: String,
    pub(super) fields: Vec<String>,
    pub(super) out: String,
    pub(super) exit: Option<i32>,
    pub(super) error: Option<String>,
    pub(super) skip: bool,
    pub(super) steps: u32,
}

impl Machine {
    pub(super) fn run(&mut self, rules: &[Rule], when: When) {
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

    pub(super) fn stops(&self) -> bool {
        self.skip || self.exit.is_some() || self.error.is_some()
    }

    pub(super) fn split(&mut self, line: &str) {
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

    pub(super) fn var(&self, name: &str) -> Value {
        if name == "NF" {
            return Value::Number(self.fields.len() as f64);
        }
        self.vars.get(name).cloned().unwrap_or(Value::Text(String::new()))
    }

    pub(super) fn all(&mut self, body: &[Statement]) {
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

    pub(super) fn one(&mut self, statement: &Statement) {
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

    pub(super) fn set(&mut self, target: &Expr, value: Value) {
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

    pub(super) fn eval(&mut self, expr: &Expr) -> Value {
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

    pub(super) fn call(&mut self, name: &str, args: &[Expr]) -> Value {
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

pub(super) fn calculate(op: char, a: f64, b: f64) -> f64 {
    match op {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        '/' => a / b,
        _ => a % b,
    }
}
