//! Parsing of `[[ ]]`.

use super::*;

/// An expression between `[[` and `]]`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::lab::shell) enum Condition {
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    /// `-f word` and other unary operators; a word alone is `-n word`.
    One(String, Word),
    /// `word op word`
    Two(Word, Comparison, Word),
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::lab::shell) enum Comparison {
    /// `=`, `==`: the right side is a pattern.
    Like,
    /// `!=`
    Unlike,
    /// `=~`: the right side is an extended regular expression.
    Regex,
    Before,
    After,
    /// `-eq` and other numeric comparisons.
    Number(String),
}

/// Binary operators; an operator comes before its own prefixes.
const BETWEEN: [&str; 12] =
    ["=~", "==", "!=", "=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge"];

impl Parser {
    /// Whether the next word is `[[`.
    pub(super) fn at_condition(&self) -> bool {
        self.looking_at("[[") && self.peek_at(2).is_none_or(is_meta)
    }

    pub(super) fn condition(&mut self) -> Result<Command, SyntaxError> {
        self.eat("[[");
        let condition = self.either(0)?;
        if self.at_end()? {
            self.eat("]]");
            return Ok(Command::Condition(condition));
        }
        Err(self.unexpected())
    }

    fn either(&mut self, depth: u32) -> Result<Condition, SyntaxError> {
        if depth > DEPTH {
            return Err(SyntaxError::Unsupported("nesting as deep as this"));
        }
        let mut left = self.both(depth)?;
        while !self.at_end()? && self.eat("||") {
            left = Condition::Or(Box::new(left), Box::new(self.both(depth)?));
        }
        Ok(left)
    }

    fn both(&mut self, depth: u32) -> Result<Condition, SyntaxError> {
        let mut left = self.one(depth)?;
        while !self.at_end()? && self.eat("&&") {
            left = Condition::And(Box::new(left), Box::new(self.one(depth)?));
        }
        Ok(left)
    }

    fn one(&mut self, depth: u32) -> Result<Condition, SyntaxError> {
        if self.at_end()? {
            return Err(self.unexpected());
        }
        if depth > DEPTH {
            return Err(SyntaxError::Unsupported("nesting as deep as this"));
        }
        if self.peek() == Some('!') && self.peek_at(1).is_some_and(is_meta) {
            self.at += 1;
            return Ok(Condition::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.eat("(") {
            let inner = self.either(depth + 1)?;
            if !self.at_end()? && self.eat(")") {
                return Ok(inner);
            }
            return Err(self.unexpected());
        }
        let is_unary = self.peek() == Some('-')
            && self.peek_at(1).is_some_and(|c| c.is_ascii_alphabetic())
            && self.peek_at(2).is_some_and(|c| c == ' ' || c == '\t');
        if is_unary {
            let from = self.at;
            self.at += 2;
            let op = self.slice(from);
            if !self.at_end()? {
                let word = self.operand()?;
                return Ok(Condition::One(op, word));
            }
            self.at = from;
        }
        let left = self.operand()?;
        if self.at_end()? {
            return Ok(Condition::One("-n".into(), left));
        }
        let ends_word = |c: Option<char>| c.is_none_or(is_meta);
        let op = BETWEEN.iter().find(|op| {
            self.looking_at(op)
                && (matches!(**op, "<" | ">") || ends_word(self.peek_at(op.chars().count())))
        });
        let Some(&op) = op else { return Ok(Condition::One("-n".into(), left)) };
        self.eat(op);
        if self.at_end()? {
            return Err(self.unexpected());
        }
        let right = if op == "=~" { self.regex()? } else { self.operand()? };
        let op = match op {
            "=" | "==" => Comparison::Like,
            "!=" => Comparison::Unlike,
            "=~" => Comparison::Regex,
            "<" => Comparison::Before,
            ">" => Comparison::After,
            op => Comparison::Number(op.into()),
        };
        Ok(Condition::Two(left, op, right))
    }

    fn operand(&mut self) -> Result<Word, SyntaxError> {
        self.word()?.ok_or_else(|| self.unexpected())
    }

    /// Parses a regular expression, in which parentheses and bars are ordinary characters.
    fn regex(&mut self) -> Result<Word, SyntaxError> {
        let mut word = Word::default();
        while self.peek().is_some_and(|c| !c.is_whitespace()) {
            match self.peek() {
                Some(c @ ('(' | ')' | '|' | '<' | '>' | '&' | ';')) => {
                    self.at += 1;
                    word.0.push(Part::Bare(c.into()));
                }
                Some('\\') => {
                    self.at += 1;
                    let escaped: String = self.peek().into_iter().collect();
                    self.at += escaped.chars().count();
                    word.0.push(Part::Bare(format!("\\{escaped}")));
                }
                _ => match self.word()? {
                    Some(more) => word.0.extend(more.0),
                    None => return Err(self.unexpected()),
                },
            }
        }
        Ok(word)
    }

    /// Skips blanks and line feeds. Returns whether `]]` follows.
    fn at_end(&mut self) -> Result<bool, SyntaxError> {
        self.lines()?;
        match self.peek() {
            None => Err(SyntaxError::Incomplete("]]")),
            Some(_) => Ok(self.looking_at("]]") && self.peek_at(2).is_none_or(is_meta)),
        }
    }
}
