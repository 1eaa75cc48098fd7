//! Parsing of words: quotes, variables, substitutions.

use super::*;

impl Parser {
    /// Parses a word; `None` if there is none at the current position.
    pub(in crate::lab::shell) fn word(&mut self) -> Result<Option<Word>, SyntaxError> {
        let mut parts = Vec::new();
        let start = self.at;
        while let Some(c) = self.peek() {
            match c {
                c if is_meta(c) => break,
                '\'' => {
                    self.at += 1;
                    let from = self.at;
                    while self.peek().is_some_and(|c| c != '\'') {
                        self.at += 1;
                    }
                    if self.peek().is_none() {
                        return Err(SyntaxError::Incomplete("matching `''"));
                    }
                    parts.push(Part::Quoted(self.slice(from)));
                    self.at += 1;
                }
                '"' => {
                    self.at += 1;
                    // An empty pair of quotes is a word, too.
                    parts.push(Part::Quoted(String::new()));
                    self.quoted_until(Some('"'), &mut parts)?;
                }
                '\\' => {
                    self.at += 1;
                    match self.peek() {
                        Some('\n') => {}
                        Some(c) => parts.push(Part::Quoted(c.into())),
                        None => return Err(SyntaxError::Incomplete("the rest of the line")),
                    }
                    self.at += 1;
                }
                '$' if self.peek_at(1) == Some('\'') => {
                    self.at += 2;
                    parts.push(Part::Quoted(self.ansi_quoted()?));
                }
                '$' | '`' => self.dollar(false, &mut parts)?,
                c => {
                    self.at += 1;
                    match parts.last_mut() {
                        Some(Part::Bare(text)) => text.push(c),
                        _ => parts.push(Part::Bare(c.into())),
                    }
                }
            }
        }
        Ok((self.at > start).then_some(Word(parts)))
    }

    pub(in crate::lab::shell) fn ansi_quoted(&mut self) -> Result<String, SyntaxError> {
        let mut text = String::new();
        loop {
            let Some(c) = self.peek() else { return Err(SyntaxError::Incomplete("matching `''")) };
            self.at += 1;
            match c {
                '\'' => return Ok(text),
                '\\' => {
                    let next = self.peek().unwrap_or('\\');
                    self.at += 1;
                    text.push(match next {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        'e' => '\x1b',
                        '0' => '\0',
                        other => other,
                    });
                }
                c => text.push(c),
            }
        }
    }

    /// Parses text in double quotes, or a here-document.
    pub(in crate::lab::shell) fn quoted_until(
        &mut self,
        end: Option<char>,
        parts: &mut Vec<Part>,
    ) -> Result<(), SyntaxError> {
        let mut text = String::new();
        loop {
            let Some(c) = self.peek() else {
                if end.is_some() {
                    return Err(SyntaxError::Incomplete("matching `\"'"));
                }
                break;
            };
            match c {
                c if Some(c) == end => {
                    self.at += 1;
                    break;
                }
                '\\' => {
                    let next = self.peek_at(1);
                    self.at += 2;
                    match next {
                        Some('\n') => {}
                        Some(c @ ('$' | '`' | '\\')) => text.push(c),
                        Some('"') if end.is_some() => text.push('"'),
                        Some(c) => text.extend(['\\', c]),
                        None => text.push('\\'),
                    }
                }
                '$' | '`' => {
                    parts.push(Part::Quoted(core::mem::take(&mut text)));
                    self.dollar(true, parts)?;
                }
                c => {
                    self.at += 1;
                    text.push(c);
                }
            }
        }
        parts.push(Part::Quoted(text));
        Ok(())
    }

    /// Parses what begins with a dollar sign or a backquote.
    pub(in crate::lab::shell) fn dollar(
        &mut self,
        quoted: bool,
        parts: &mut Vec<Part>,
    ) -> Result<(), SyntaxError> {
        let plain = |text: &str| {
            let text = text.to_owned();
            if quoted { Part::Quoted(text) } else { Part::Bare(text) }
        };
        if self.eat("`") {
            let mut text = String::new();
            loop {
                match self.peek() {
                    None => return Err(SyntaxError::Incomplete("matching ``'")),
                    Some('`') => break,
                    Some('\\') if matches!(self.peek_at(1), Some('`' | '$' | '\\')) => {
                        text.extend(self.peek_at(1));
                        self.at += 2;
                    }
                    Some(c) => {
                        self.at += 1;
                        text.push(c);
                    }
                }
            }
            self.at += 1;
            parts.push(Part::Command { text, quoted });
            return Ok(());
        }
        self.at += 1;
        if self.looking_at("((") {
            self.at += 2;
            let text = self.balanced("))")?;
            parts.push(Part::Arith { text, quoted });
        } else if self.eat("(") {
            let start = self.at;
            self.list(&[])?;
            let text = self.slice(start);
            match self.peek() {
                Some(')') => self.at += 1,
                _ => return Err(SyntaxError::Incomplete(")")),
            }
            parts.push(Part::Command { text, quoted });
        } else if self.eat("{") {
            parts.push(self.braced(quoted)?);
        } else if let Some(name) = self.name() {
            parts.push(Part::Var { name, op: None, quoted });
        } else if let Some(c) = self.peek().filter(|c| c.is_ascii_digit() || "?$!#@*-".contains(*c))
        {
            self.at += 1;
            parts.push(Part::Var { name: c.into(), op: None, quoted });
        } else {
            parts.push(plain("$"));
        }
        Ok(())
    }

    /// The text up to the matching `end`, including nested parentheses.
    pub(in crate::lab::shell) fn balanced(
        &mut self,
        end: &'static str,
    ) -> Result<String, SyntaxError> {
        let (start, mut open) = (self.at, 0u32);
        loop {
            match self.peek() {
                None => return Err(SyntaxError::Incomplete(end)),
                Some('(') => open += 1,
                Some(')') if open == 0 && self.looking_at(end) => {
                    let text = self.slice(start);
                    self.at += 2;
                    return Ok(text);
                }
                Some(')') => open = open.saturating_sub(1),
                Some(_) => {}
            }
            self.at += 1;
        }
    }

    pub(in crate::lab::shell) fn braced(&mut self, quoted: bool) -> Result<Part, SyntaxError> {
        if self.peek() == Some('#') && self.peek_at(1) != Some('}') {
            self.at += 1;
            let name = self.var_name()?;
            self.close_brace()?;
            return Ok(Part::Var { name, op: Some(Box::new(VarOp::Len)), quoted });
        }
        let name = self.var_name()?;
        let op = match self.peek() {
            Some('}') => None,
            Some(':') if !matches!(self.peek_at(1), Some('-' | '=' | '+' | '?')) => {
                self.at += 1;
                let from = self.brace_word(&[':', '}'])?;
                let len = if self.eat(":") { Some(self.brace_word(&['}'])?) } else { None };
                Some(VarOp::Slice { from, len })
            }
            Some(c @ (':' | '-' | '=' | '+' | '?')) => {
                let colon = c == ':';
                self.at += usize::from(colon);
                let sign = self.peek().unwrap_or('-');
                self.at += 1;
                Some(VarOp::Default { sign, colon, word: self.brace_word(&['}'])? })
            }
            Some(c @ ('%' | '#')) => {
                self.at += 1;
                let longest = self.peek() == Some(c);
                self.at += usize::from(longest);
                let pattern = self.brace_word(&['}'])?;
                Some(VarOp::Strip { front: c == '#', longest, pattern })
            }
            Some('/') => {
                self.at += 1;
                let all = self.eat("/");
                let pattern = self.brace_word(&['/', '}'])?;
                let with = if self.eat("/") { self.brace_word(&['}'])? } else { Word::default() };
                Some(VarOp::Replace { all, pattern, with })
            }
            Some('[') => return Err(SyntaxError::Unsupported("an array")),
            Some(_) => return Err(SyntaxError::Unsupported("this operator in ${ }")),
            None => return Err(SyntaxError::Incomplete("matching `}'")),
        };
        self.close_brace()?;
        Ok(Part::Var { name, op: op.map(Box::new), quoted })
    }

    pub(in crate::lab::shell) fn var_name(&mut self) -> Result<String, SyntaxError> {
        if let Some(name) = self.name() {
            return Ok(name);
        }
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start && self.peek().is_some_and(|c| "?$!#@*".contains(c)) {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected()) } else { Ok(self.slice(start)) }
    }

    pub(in crate::lab::shell) fn close_brace(&mut self) -> Result<(), SyntaxError> {
        if self.eat("}") { Ok(()) } else { Err(SyntaxError::Incomplete("matching `}'")) }
    }

    /// Parses a word inside `${ }`, up to one of these characters.
    pub(in crate::lab::shell) fn brace_word(&mut self, ends: &[char]) -> Result<Word, SyntaxError> {
        let mut parts = Vec::new();
        loop {
            match self.peek() {
                None => return Err(SyntaxError::Incomplete("matching `}'")),
                Some(c) if ends.contains(&c) => return Ok(Word(parts)),
                Some('$' | '`') => self.dollar(false, &mut parts)?,
                Some('"') => {
                    self.at += 1;
                    self.quoted_until(Some('"'), &mut parts)?;
                }
                Some('\'') => {
                    let word = self.word()?.unwrap_or_default();
                    parts.extend(word.0);
                }
                Some('\\') => {
                    parts.push(Part::Quoted(self.peek_at(1).into_iter().collect()));
                    self.at += 2;
                }
                Some(c) => {
                    self.at += 1;
                    parts.push(Part::Bare(c.into()));
                }
            }
        }
    }
}
