//! The lexer: converts source text to tokens.

use std::sync::Arc;

use crate::number;
use crate::strings::Strings;
use crate::value::Str;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token {
    /// A single-character token.
    Char(u8),
    /// A reserved word.
    Word(Word),
    /// `..`
    Concat,
    /// `...`
    Dots,
    /// `==`
    Eq,
    /// `>=`
    Ge,
    /// `<=`
    Le,
    /// `~=`
    Ne,
    /// A number.
    Number(f64),
    /// A string.
    String(Str),
    /// A name.
    Name(Str),
    /// The end of the source.
    Eof,
}

macro_rules! words {
    ($($name:ident $text:literal),*) => {
        /// A reserved word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Word { $($name),* }

        const WORDS: &[(Word, &str)] = &[$((Word::$name, $text)),*];
    };
}

words! {
    And "and", Break "break", Do "do", Else "else", ElseIf "elseif", End "end", False "false",
    For "for", Function "function", If "if", In "in", Local "local", Nil "nil", Not "not", Or "or",
    Repeat "repeat", Return "return", Then "then", True "true", Until "until", While "while"
}

impl Word {
    pub(super) fn text(self) -> &'static str {
        WORDS.iter().find(|(w, _)| *w == self).map_or("", |(_, text)| text)
    }
}

/// A syntax error message: `chunk:line: what near 'where'`.
pub(super) type SyntaxError = Vec<u8>;

/// The lexer.
pub(super) struct Lexer<'a> {
    source: &'a [u8],
    at: usize,
    /// The text of the current token.
    buffer: Vec<u8>,
    pub(super) strings: &'a mut Strings,
    pub(super) mem: &'a mut u64,
    /// All strings of the chunk, so that the collector keeps them.
    pub(super) kept: Vec<Str>,
    pub(super) chunk: Arc<str>,
    pub(super) line: u32,
    /// The line of the previous token.
    pub(super) last_line: u32,
    pub(super) token: Token,
    ahead: Option<Token>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(
        source: &'a [u8],
        chunk: Arc<str>,
        strings: &'a mut Strings,
        mem: &'a mut u64,
    ) -> Self {
        Lexer {
            source,
            at: 0,
            buffer: Vec::new(),
            strings,
            mem,
            kept: Vec::new(),
            chunk,
            line: 1,
            last_line: 1,
            token: Token::Eof,
            ahead: None,
        }
    }

    /// Advances to the next token.
    pub(super) fn advance(&mut self) -> Result<(), SyntaxError> {
        self.last_line = self.line;
        self.token = match self.ahead.take() {
            Some(token) => token,
            None => self.read()?,
        };
        Ok(())
    }

    /// Looks ahead to the token after the current one.
    pub(super) fn peek(&mut self) -> Result<Token, SyntaxError> {
        let token = self.read()?;
        self.ahead = Some(token);
        Ok(token)
    }

    /// Interns a string and keeps it for the chunk.
    pub(super) fn intern(&mut self, bytes: &[u8]) -> Str {
        let s = self.strings.intern(bytes, self.mem);
        self.kept.push(s);
        s
    }

    /// An error at the current token.
    pub(super) fn error(&self, what: &str) -> SyntaxError {
        self.error_near(what, Some(self.token))
    }

    /// An error at a token, or without one.
    pub(super) fn error_near(&self, what: &str, token: Option<Token>) -> SyntaxError {
        let mut text = format!("{}:{}: {what}", self.chunk, self.line).into_bytes();
        if let Some(token) = token {
            text.extend_from_slice(b" near '");
            match token {
                Token::Name(_) | Token::String(_) | Token::Number(_) => {
                    let shown = self.buffer.iter().position(|&b| b == 0);
                    text.extend_from_slice(&self.buffer[..shown.unwrap_or(self.buffer.len())]);
                }
                Token::Char(b) if !b.is_ascii_control() => text.push(b),
                other => text.extend_from_slice(token_text(other).as_bytes()),
            }
            text.push(b'\'');
        }
        text
    }

    fn current(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    fn save(&mut self) {
        if let Some(b) = self.current() {
            self.buffer.push(b);
        }
        self.at += 1;
    }

    /// Consumes the next character if it is one of `set`.
    fn take_one_of(&mut self, set: &[u8]) -> bool {
        let takes = self.current().is_some_and(|b| set.contains(&b));
        if takes {
            self.save();
        }
        takes
    }

    /// Consumes a line break; a CR LF or LF CR pair is one.
    fn pass_line(&mut self) {
        let first = self.current();
        self.at += 1;
        if let (Some(a), Some(b @ (b'\n' | b'\r'))) = (first, self.current())
            && a != b
        {
            self.at += 1;
        }
        self.line += 1;
    }

    fn read(&mut self) -> Result<Token, SyntaxError> {
        self.buffer.clear();
        loop {
            let Some(b) = self.current() else { return Ok(Token::Eof) };
            match b {
                b'\n' | b'\r' => self.pass_line(),
                b'-' => {
                    self.at += 1;
                    if self.current() != Some(b'-') {
                        return Ok(Token::Char(b'-'));
                    }
                    self.at += 1;
                    if self.current() == Some(b'[') {
                        let level = self.long_bracket();
                        self.buffer.clear();
                        if let Some(level) = level {
                            self.long_string(level, false)?;
                            self.buffer.clear();
                            continue;
                        }
                    }
                    while self.current().is_some_and(|b| !matches!(b, b'\n' | b'\r')) {
                        self.at += 1;
                    }
                }
                b'[' => match self.long_bracket() {
                    Some(level) => {
                        self.long_string(level, true)?;
                        let edge = level + 2;
                        let bytes = self.buffer[edge..self.buffer.len() - edge].to_vec();
                        return Ok(Token::String(self.intern(&bytes)));
                    }
                    None if self.buffer.len() == 1 => return Ok(Token::Char(b'[')),
                    None => {
                        return Err(self.error_near(
                            "invalid long string delimiter",
                            Some(Token::Number(0.0)),
                        ));
                    }
                },
                b'=' => return Ok(self.maybe_equals(b'=', Token::Eq)),
                b'<' => return Ok(self.maybe_equals(b'<', Token::Le)),
                b'>' => return Ok(self.maybe_equals(b'>', Token::Ge)),
                b'~' => return Ok(self.maybe_equals(b'~', Token::Ne)),
                b'"' | b'\'' => return self.quoted(b),
                b'.' => {
                    self.save();
                    if self.take_one_of(b".") {
                        let dots = self.take_one_of(b".");
                        return Ok(if dots { Token::Dots } else { Token::Concat });
                    }
                    if !self.current().is_some_and(|b| b.is_ascii_digit()) {
                        return Ok(Token::Char(b'.'));
                    }
                    return self.numeral();
                }
                _ if number::is_space(b) => self.at += 1,
                b'0'..=b'9' => return self.numeral(),
                b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                    while self.current().is_some_and(|b| b == b'_' || b.is_ascii_alphanumeric()) {
                        self.save();
                    }
                    if let Some((word, _)) =
                        WORDS.iter().find(|(_, text)| text.as_bytes() == self.buffer)
                    {
                        return Ok(Token::Word(*word));
                    }
                    let bytes = std::mem::take(&mut self.buffer);
                    let name = self.intern(&bytes);
                    self.buffer = bytes;
                    return Ok(Token::Name(name));
                }
                _ => {
                    self.at += 1;
                    return Ok(Token::Char(b));
                }
            }
        }
    }

    fn maybe_equals(&mut self, b: u8, token: Token) -> Token {
        self.at += 1;
        if self.current() == Some(b'=') {
            self.at += 1;
            token
        } else {
            Token::Char(b)
        }
    }

    fn numeral(&mut self) -> Result<Token, SyntaxError> {
        while self.current().is_some_and(|b| b.is_ascii_digit() || b == b'.') {
            self.save();
        }
        if self.take_one_of(b"Ee") {
            self.take_one_of(b"+-");
        }
        while self.current().is_some_and(|b| b == b'_' || b.is_ascii_alphanumeric()) {
            self.save();
        }
        match number::parse_number(&self.buffer) {
            Some(n) => Ok(Token::Number(n)),
            None => Err(self.error_near("malformed number", Some(Token::Number(0.0)))),
        }
    }

    /// Reads `[` and the following `=`s. Returns their number if another `[` or `]` follows. The
    /// text read is in the buffer; the second bracket is not consumed.
    fn long_bracket(&mut self) -> Option<usize> {
        let bracket = self.current();
        self.save();
        let mut level = 0;
        while self.current() == Some(b'=') {
            self.save();
            level += 1;
        }
        (self.current() == bracket).then_some(level)
    }

    /// Reads a long string or comment up to its closing bracket into the buffer.
    fn long_string(&mut self, level: usize, is_string: bool) -> Result<(), SyntaxError> {
        self.save();
        if matches!(self.current(), Some(b'\n' | b'\r')) {
            self.pass_line();
        }
        loop {
            match self.current() {
                None => {
                    let what = if is_string {
                        "unfinished long string"
                    } else {
                        "unfinished long comment"
                    };
                    return Err(self.error_near(what, Some(Token::Eof)));
                }
                Some(b'[') => {
                    if self.long_bracket() == Some(level) {
                        self.save();
                        if level == 0 {
                            let what = "nesting of [[...]] is deprecated";
                            return Err(self.error_near(what, Some(Token::Char(b'['))));
                        }
                    }
                }
                Some(b']') => {
                    if self.long_bracket() == Some(level) {
                        self.save();
                        return Ok(());
                    }
                }
                Some(b'\n' | b'\r') => {
                    self.pass_line();
                    if is_string {
                        self.buffer.push(b'\n');
                    }
                }
                Some(_) if is_string => self.save(),
                Some(_) => self.at += 1,
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<Token, SyntaxError> {
        self.save();
        loop {
            match self.current() {
                None => return Err(self.error_near("unfinished string", Some(Token::Eof))),
                Some(b'\n' | b'\r') => {
                    return Err(self.error_near("unfinished string", Some(Token::Number(0.0))));
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(b) => {
                    self.save();
                    if b == quote {
                        break;
                    }
                }
            }
        }
        let bytes = self.buffer[1..self.buffer.len() - 1].to_vec();
        Ok(Token::String(self.intern(&bytes)))
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        let Some(b) = self.current() else { return Ok(()) };
        let meant = match b {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\n' | b'\r' => {
                self.buffer.push(b'\n');
                self.pass_line();
                return Ok(());
            }
            b'0'..=b'9' => {
                let mut code = 0u32;
                for _ in 0..3 {
                    match self.current() {
                        Some(d @ b'0'..=b'9') => code = code * 10 + u32::from(d - b'0'),
                        _ => break,
                    }
                    self.at += 1;
                }
                let Ok(code) = u8::try_from(code) else {
                    return Err(
                        self.error_near("escape sequence too large", Some(Token::Number(0.0)))
                    );
                };
                self.buffer.push(code);
                return Ok(());
            }
            other => other,
        };
        self.buffer.push(meant);
        self.at += 1;
        Ok(())
    }
}

/// The text of a token that has no text of its own, as messages quote it.
pub(super) fn token_text(token: Token) -> String {
    match token {
        Token::Char(b) if b.is_ascii_control() => format!("char({b})"),
        Token::Char(b) => char::from(b).to_string(),
        Token::Word(word) => word.text().to_owned(),
        Token::Concat => "..".to_owned(),
        Token::Dots => "...".to_owned(),
        Token::Eq => "==".to_owned(),
        Token::Ge => ">=".to_owned(),
        Token::Le => "<=".to_owned(),
        Token::Ne => "~=".to_owned(),
        Token::Number(_) => "<number>".to_owned(),
        Token::String(_) => "<string>".to_owned(),
        Token::Name(_) => "<name>".to_owned(),
        Token::Eof => "<eof>".to_owned(),
    }
}
