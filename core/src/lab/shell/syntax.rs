//! The grammar of the shell: text to a tree of commands.
//!
//! Weighed and left: `brush-parser` (bash's whole grammar, well kept) adds 137 KB to the page after
//! gzip; `conch-parser` adds 37 KB and has not been touched since 2019; `yash-syntax` is under the
//! GPL. What the lab needs is the POSIX grammar with a few habits of bash.

use core::fmt;

/// Commands one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct List(pub(super) Vec<Item>);

/// One and-or list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) first: Pipeline,
    pub(super) rest: Vec<(Link, Pipeline)>,
    pub(super) background: bool,
    /// Its source.
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Link {
    And,
    Or,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipeline {
    pub(super) negated: bool,
    pub(super) stages: Vec<Stage>,
}

/// A command with its redirections.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stage {
    pub(super) command: Command,
    pub(super) redirects: Vec<Redirect>,
    /// The source of the command without its redirections.
    pub(super) text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    Simple { assigns: Vec<(String, Word)>, words: Vec<Word> },
    Group(List),
    Subshell(List),
    If { arms: Vec<(List, List)>, otherwise: Option<List> },
    While { until: bool, test: List, body: List },
    For { var: String, words: Option<Vec<Word>>, body: List },
    Case { word: Word, arms: Vec<(Vec<Word>, List)> },
    Function { name: String, body: String },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Redirect {
    pub(super) fd: u32,
    pub(super) kind: RedirectKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum RedirectKind {
    Read(Word),
    Write(Word),
    Append(Word),
    /// `2>&1`, `>&2`
    Same(u32),
    /// `2>&-`
    Close,
    /// `<<` and `<<<`: the text, expanded or not.
    Here(Word),
}

/// A word before expansion.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Word(pub(super) Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// Text as it stands, open to globs and braces.
    Bare(String),
    /// Text in quotes.
    Quoted(String),
    Var {
        name: String,
        op: Option<Box<VarOp>>,
        quoted: bool,
    },
    Command {
        text: String,
        quoted: bool,
    },
    Arith {
        text: String,
        quoted: bool,
    },
}

/// `${name<op>word}`
#[derive(Clone, Debug, PartialEq)]
pub(super) enum VarOp {
    Len,
    /// `:-` and its siblings: the sign, whether empty counts as unset, the word.
    Default {
        sign: char,
        colon: bool,
        word: Word,
    },
    /// `%`, `%%`, `#`, `##`
    Strip {
        front: bool,
        longest: bool,
        pattern: Word,
    },
    Replace {
        all: bool,
        pattern: Word,
        with: Word,
    },
    Slice {
        from: Word,
        len: Option<Word>,
    },
}

/// What is wrong with a command line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SyntaxError {
    /// More lines are needed.
    Incomplete(&'static str),
    /// Something stands where it cannot.
    Unexpected(String),
    /// Something of bash or POSIX that this shell does not have.
    Unsupported(&'static str),
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyntaxError::Incomplete(what) => {
                write!(f, "syntax error: unexpected end of file, looking for {what}")
            }
            SyntaxError::Unexpected(token) => {
                write!(f, "syntax error near unexpected token `{token}'")
            }
            SyntaxError::Unsupported(what) => write!(f, "{what} is not supported by this shell"),
        }
    }
}

/// How deep commands may stand in each other.
const DEPTH: u32 = 60;

pub(super) fn parse(text: &str) -> Result<List, SyntaxError> {
    let mut parser = Parser { text: text.chars().collect(), at: 0, depth: 0, here: Vec::new() };
    let list = parser.list(&[])?;
    parser.blanks();
    match parser.peek() {
        None => Ok(list),
        Some(_) => Err(parser.unexpected()),
    }
}

/// A word as it stands in a here-document or in `"..."`: expanded, and never split.
pub(super) fn parse_text(text: &str) -> Result<Word, SyntaxError> {
    let mut parser = Parser { text: text.chars().collect(), at: 0, depth: 0, here: Vec::new() };
    let mut parts = Vec::new();
    parser.quoted_until(None, &mut parts)?;
    Ok(Word(parts))
}

struct Parser {
    text: Vec<char>,
    at: usize,
    depth: u32,
    /// Here-documents whose text stands after this line, in their order.
    here: Vec<Here>,
}

struct Here {
    delimiter: String,
    quoted: bool,
    tabs: bool,
    body: Option<Word>,
}

const RESERVED_ENDS: [&str; 8] = ["then", "else", "elif", "fi", "do", "done", "esac", "}"];

impl Parser {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn peek_at(&self, n: usize) -> Option<char> {
        self.text.get(self.at + n).copied()
    }

    fn looking_at(&self, what: &str) -> bool {
        what.chars().enumerate().all(|(n, c)| self.peek_at(n) == Some(c))
    }

    fn eat(&mut self, what: &str) -> bool {
        let found = self.looking_at(what);
        if found {
            self.at += what.chars().count();
        }
        found
    }

    fn slice(&self, from: usize) -> String {
        self.text[from..self.at].iter().collect()
    }

    fn unexpected(&self) -> SyntaxError {
        let token: String = match self.peek() {
            None => "newline".into(),
            Some('\n') => "newline".into(),
            Some(c) if is_meta(c) => {
                let same = self.text[self.at..].iter().take_while(|&&d| d == c).take(2);
                same.collect()
            }
            Some(_) => self.text[self.at..].iter().take_while(|&&c| !is_meta(c)).collect(),
        };
        SyntaxError::Unexpected(token)
    }

    /// Skips blanks, line continuations and remarks.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.peek_at(1) == Some('\n') => self.at += 2,
                Some('#') if self.at == 0 || is_meta(self.text[self.at - 1]) => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    /// Skips line feeds as well, reading the here-documents that stand after them.
    fn lines(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.blanks();
            if self.peek() != Some('\n') {
                return Ok(());
            }
            self.at += 1;
            self.read_here()?;
        }
    }

    fn read_here(&mut self) -> Result<(), SyntaxError> {
        for n in 0..self.here.len() {
            if self.here[n].body.is_some() {
                continue;
            }
            let mut body = String::new();
            loop {
                if self.at >= self.text.len() {
                    return Err(SyntaxError::Incomplete("the end of the here-document"));
                }
                let rest = &self.text[self.at..];
                let line: String = rest.iter().take_while(|&&c| c != '\n').collect();
                self.at = (self.at + line.chars().count() + 1).min(self.text.len());
                let line = if self.here[n].tabs { line.trim_start_matches('\t') } else { &line };
                if line == self.here[n].delimiter {
                    break;
                }
                body.push_str(line);
                body.push('\n');
            }
            let word = if self.here[n].quoted {
                Word(vec![Part::Quoted(body)])
            } else {
                parse_text(&body)?
            };
            self.here[n].body = Some(word);
        }
        Ok(())
    }

    /// The reserved word here, if it is one of these.
    fn reserved(&self) -> Option<&'static str> {
        let all = ["if", "while", "until", "for", "case", "in", "function", "select", "{", "!"];
        let names = all.into_iter().chain(RESERVED_ENDS);
        names.into_iter().find(|name| {
            self.looking_at(name)
                && self.peek_at(name.chars().count()).is_none_or(|c| is_meta(c) || c == '\n')
        })
    }

    fn expect(&mut self, word: &'static str) -> Result<(), SyntaxError> {
        self.lines()?;
        if self.peek().is_none() {
            return Err(SyntaxError::Incomplete(word));
        }
        if self.reserved() == Some(word) {
            self.eat(word);
            return Ok(());
        }
        Err(self.unexpected())
    }

    /// Commands until one of these words, a closing parenthesis, or the end.
    fn list(&mut self, ends: &[&str]) -> Result<List, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(SyntaxError::Unsupported("nesting as deep as this"));
        }
        let mut items = Vec::new();
        loop {
            self.lines()?;
            match self.peek() {
                None | Some(')') => break,
                Some(';') if self.looking_at(";;") => break,
                _ => {}
            }
            if let Some(word) = self.reserved() {
                if ends.contains(&word) {
                    break;
                }
                if RESERVED_ENDS.contains(&word) {
                    return Err(self.unexpected());
                }
            }
            let start = self.at;
            let first = self.pipeline()?;
            let mut rest = Vec::new();
            loop {
                self.blanks();
                let link = if self.eat("&&") {
                    Link::And
                } else if self.eat("||") {
                    Link::Or
                } else {
                    break;
                };
                self.lines()?;
                if self.peek().is_none() {
                    return Err(SyntaxError::Incomplete("a command"));
                }
                rest.push((link, self.pipeline()?));
            }
            let text = self.slice(start).trim().to_owned();
            let background = self.peek() == Some('&') && self.peek_at(1) != Some('&');
            items.push(Item { first, rest, background, text });
            if background || self.peek() == Some(';') && self.peek_at(1) != Some(';') {
                self.at += 1;
            } else if self.peek() != Some('\n') {
                self.lines()?;
                match self.peek() {
                    None | Some(')') => {}
                    Some(';') if self.looking_at(";;") => {}
                    _ if self.reserved().is_some_and(|word| ends.contains(&word)) => {}
                    _ => return Err(self.unexpected()),
                }
            }
        }
        // A here-document whose line is the last one has no text.
        if self.depth == 1 && self.here.iter().any(|here| here.body.is_none()) {
            return Err(SyntaxError::Incomplete("the end of the here-document"));
        }
        self.depth -= 1;
        let mut list = List(items);
        if self.depth == 0 {
            let bodies: Vec<Word> =
                self.here.drain(..).map(|here| here.body.unwrap_or_default()).collect();
            fill_here(&mut list, &bodies);
        }
        Ok(list)
    }

    fn pipeline(&mut self) -> Result<Pipeline, SyntaxError> {
        self.blanks();
        let negated = self.reserved() == Some("!") && self.eat("!");
        let mut stages = Vec::new();
        loop {
            self.blanks();
            stages.push(self.stage()?);
            self.blanks();
            if self.peek() == Some('|') && self.peek_at(1) != Some('|') {
                self.at += 1;
                if self.peek() == Some('&') {
                    return Err(SyntaxError::Unsupported("|&"));
                }
                self.lines()?;
                if self.peek().is_none() {
                    return Err(SyntaxError::Incomplete("a command after |"));
                }
            } else {
                return Ok(Pipeline { negated, stages });
            }
        }
    }

    fn stage(&mut self) -> Result<Stage, SyntaxError> {
        let start = self.at;
        let command = match self.reserved() {
            Some("{") => {
                self.eat("{");
                let list = self.list(&["}"])?;
                self.expect("}")?;
                Command::Group(list)
            }
            Some("if") => self.if_command()?,
            Some(word @ ("while" | "until")) => {
                self.eat(word);
                let test = self.list(&["do"])?;
                Command::While { until: word == "until", test, body: self.body()? }
            }
            Some("for") => self.for_command()?,
            Some("case") => self.case_command()?,
            Some("select") => return Err(SyntaxError::Unsupported("select")),
            Some("function") => {
                self.eat("function");
                self.blanks();
                let name = self.name().ok_or_else(|| self.unexpected())?;
                self.blanks();
                if self.eat("(") {
                    self.blanks();
                    if !self.eat(")") {
                        return Err(self.unexpected());
                    }
                }
                self.function(name)?
            }
            Some(_) => return Err(self.unexpected()),
            None if self.looking_at("((") => return Err(SyntaxError::Unsupported("(( ))")),
            None if self.looking_at("[[") => {
                return Err(SyntaxError::Unsupported("[[ ]]; use [ ]"));
            }
            None if self.peek() == Some('(') => {
                self.at += 1;
                let list = self.list(&[])?;
                match self.peek() {
                    Some(')') => self.at += 1,
                    None => return Err(SyntaxError::Incomplete(")")),
                    Some(_) => return Err(self.unexpected()),
                }
                Command::Subshell(list)
            }
            None => return self.simple(start),
        };
        let text = self.slice(start);
        let mut redirects = Vec::new();
        loop {
            self.blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => return Ok(Stage { command, redirects, text }),
            }
        }
    }

    fn body(&mut self) -> Result<List, SyntaxError> {
        self.expect("do")?;
        let body = self.list(&["done"])?;
        self.expect("done")?;
        Ok(body)
    }

    fn if_command(&mut self) -> Result<Command, SyntaxError> {
        self.eat("if");
        let mut arms = Vec::new();
        loop {
            let test = self.list(&["then"])?;
            self.expect("then")?;
            let body = self.list(&["elif", "else", "fi"])?;
            arms.push((test, body));
            self.lines()?;
            match self.reserved() {
                Some("elif") => self.eat("elif"),
                Some("else") => {
                    self.eat("else");
                    let otherwise = Some(self.list(&["fi"])?);
                    self.expect("fi")?;
                    return Ok(Command::If { arms, otherwise });
                }
                _ => {
                    self.expect("fi")?;
                    return Ok(Command::If { arms, otherwise: None });
                }
            };
        }
    }

    fn for_command(&mut self) -> Result<Command, SyntaxError> {
        self.eat("for");
        self.blanks();
        if self.looking_at("((") {
            return Err(SyntaxError::Unsupported("for (( ))"));
        }
        let var = self.name().ok_or_else(|| self.unexpected())?;
        self.lines()?;
        let mut words = None;
        if self.reserved() == Some("in") {
            self.eat("in");
            let mut all = Vec::new();
            loop {
                self.blanks();
                match self.word()? {
                    Some(word) => all.push(word),
                    None => break,
                }
            }
            words = Some(all);
        }
        self.blanks();
        if self.peek() == Some(';') {
            self.at += 1;
        }
        Ok(Command::For { var, words, body: self.body()? })
    }

    fn case_command(&mut self) -> Result<Command, SyntaxError> {
        self.eat("case");
        self.blanks();
        let word = self.word()?.ok_or_else(|| self.unexpected())?;
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.lines()?;
            if self.reserved() == Some("esac") {
                self.eat("esac");
                return Ok(Command::Case { word, arms });
            }
            if self.peek().is_none() {
                return Err(SyntaxError::Incomplete("esac"));
            }
            self.eat("(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                patterns.push(self.word()?.ok_or_else(|| self.unexpected())?);
                self.blanks();
                if self.eat("|") {
                    continue;
                }
                if self.eat(")") {
                    break;
                }
                return Err(self.unexpected());
            }
            let body = self.list(&["esac"])?;
            self.eat(";;");
            arms.push((patterns, body));
        }
    }

    fn name(&mut self) -> Option<String> {
        let start = self.at;
        let first = self.peek().filter(|c| c.is_ascii_alphabetic() || *c == '_');
        first?;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.at += 1;
        }
        Some(self.slice(start))
    }

    /// A function's body, kept as source.
    fn function(&mut self, name: String) -> Result<Command, SyntaxError> {
        self.lines()?;
        if self.peek().is_none() {
            return Err(SyntaxError::Incomplete("the function's body"));
        }
        let start = self.at;
        let stage = self.stage()?;
        if matches!(stage.command, Command::Simple { .. }) {
            self.at = start;
            return Err(self.unexpected());
        }
        Ok(Command::Function { name, body: self.slice(start) })
    }

    fn simple(&mut self, start: usize) -> Result<Stage, SyntaxError> {
        let (mut assigns, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        let mut text = String::new();
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            let begin = self.at;
            if words.is_empty() {
                if let Some(name) = self.name() {
                    if self.peek() == Some('=') {
                        self.at += 1;
                        if self.peek() == Some('(') {
                            return Err(SyntaxError::Unsupported("an array"));
                        }
                        assigns.push((name, self.word()?.unwrap_or_default()));
                        text.push_str(&self.slice(begin));
                        text.push(' ');
                        continue;
                    }
                    self.blanks();
                    if self.peek() == Some('(') && assigns.is_empty() {
                        self.at += 1;
                        self.blanks();
                        if !self.eat(")") {
                            return Err(self.unexpected());
                        }
                        let command = self.function(name)?;
                        return Ok(Stage { command, redirects, text: self.slice(start) });
                    }
                }
                self.at = begin;
            }
            match self.word()? {
                Some(word) => words.push(word),
                None => break,
            }
            text.push_str(&self.slice(begin));
            text.push(' ');
        }
        if assigns.is_empty() && words.is_empty() && redirects.is_empty() {
            return Err(self.unexpected());
        }
        let command = Command::Simple { assigns, words };
        Ok(Stage { command, redirects, text: text.trim().to_owned() })
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, SyntaxError> {
        let begin = self.at;
        let mut both = false;
        let mut fd = None;
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            let digit = self.peek().and_then(|c| c.to_digit(10));
            if matches!(self.peek_at(1), Some('<' | '>')) {
                fd = digit;
                self.at += 1;
            }
        } else if self.looking_at("&>") {
            both = true;
            self.at += 1;
        }
        let kind = if self.looking_at("<<<") {
            self.at += 3;
            self.blanks();
            let mut word = self.word()?.ok_or_else(|| self.unexpected())?;
            word.0.push(Part::Quoted("\n".into()));
            RedirectKind::Here(word)
        } else if self.looking_at("<<") {
            self.at += 2;
            let tabs = self.eat("-");
            self.blanks();
            let start = self.at;
            self.word()?.ok_or_else(|| self.unexpected())?;
            let raw = self.slice(start);
            let delimiter: String =
                raw.chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
            let number = self.here.len();
            let quoted = delimiter != raw;
            self.here.push(Here { delimiter, quoted, tabs, body: None });
            // The place is filled when the text has been read.
            RedirectKind::Here(Word(vec![Part::Bare(format!("\0{number}"))]))
        } else if self.eat(">>") {
            RedirectKind::Append(self.target()?)
        } else if self.looking_at("<(") || self.looking_at(">(") {
            return Err(SyntaxError::Unsupported("process substitution, <( )"));
        } else if self.eat(">&") || self.eat("<&") {
            if self.eat("-") {
                RedirectKind::Close
            } else if let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
                self.at += 1;
                RedirectKind::Same(digit)
            } else {
                both = true;
                RedirectKind::Write(self.target()?)
            }
        } else if self.eat(">|") || self.eat(">") {
            RedirectKind::Write(self.target()?)
        } else if self.eat("<") {
            let kind = RedirectKind::Read(self.target()?);
            return Ok(Some(Redirect { fd: fd.unwrap_or(0), kind }));
        } else {
            self.at = begin;
            return Ok(None);
        };
        let default = u32::from(!matches!(kind, RedirectKind::Here(_)));
        // `&>` is both: the standard error follows the standard output.
        let fd = if both { 12 } else { fd.unwrap_or(default) };
        Ok(Some(Redirect { fd, kind }))
    }

    fn target(&mut self) -> Result<Word, SyntaxError> {
        self.blanks();
        self.word()?.ok_or_else(|| self.unexpected())
    }

    /// A word, or `None` if none begins here.
    fn word(&mut self) -> Result<Option<Word>, SyntaxError> {
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
                    // An empty pair of quotes is a word.
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

    fn ansi_quoted(&mut self) -> Result<String, SyntaxError> {
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

    /// Text in double quotes, or a here-document.
    fn quoted_until(
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

    /// What begins with a dollar or a backquote.
    fn dollar(&mut self, quoted: bool, parts: &mut Vec<Part>) -> Result<(), SyntaxError> {
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

    /// The text up to `end`, with the parentheses in it closed.
    fn balanced(&mut self, end: &'static str) -> Result<String, SyntaxError> {
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

    fn braced(&mut self, quoted: bool) -> Result<Part, SyntaxError> {
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

    fn var_name(&mut self) -> Result<String, SyntaxError> {
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

    fn close_brace(&mut self) -> Result<(), SyntaxError> {
        if self.eat("}") { Ok(()) } else { Err(SyntaxError::Incomplete("matching `}'")) }
    }

    /// A word inside `${ }`, up to one of these characters.
    fn brace_word(&mut self, ends: &[char]) -> Result<Word, SyntaxError> {
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

/// Whether a character ends a word.
fn is_meta(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')')
}

/// Puts the texts of here-documents where they were announced.
fn fill_here(list: &mut List, bodies: &[Word]) {
    let fill = |redirects: &mut Vec<Redirect>| {
        for redirect in redirects {
            if let RedirectKind::Here(word) = &mut redirect.kind
                && let [Part::Bare(mark)] = word.0.as_slice()
                && let Some(number) = mark.strip_prefix('\0').and_then(|n| n.parse::<usize>().ok())
            {
                *word = bodies.get(number).cloned().unwrap_or_default();
            }
        }
    };
    for item in &mut list.0 {
        let more = item.rest.iter_mut().map(|(_, pipeline)| pipeline);
        for pipeline in core::iter::once(&mut item.first).chain(more) {
            for stage in &mut pipeline.stages {
                fill(&mut stage.redirects);
                match &mut stage.command {
                    Command::Group(list) | Command::Subshell(list) => fill_here(list, bodies),
                    Command::If { arms, otherwise } => {
                        for (test, body) in arms {
                            fill_here(test, bodies);
                            fill_here(body, bodies);
                        }
                        if let Some(list) = otherwise {
                            fill_here(list, bodies);
                        }
                    }
                    Command::While { test, body, .. } => {
                        fill_here(test, bodies);
                        fill_here(body, bodies);
                    }
                    Command::For { body, .. } => fill_here(body, bodies),
                    Command::Case { arms, .. } => {
                        for (_, body) in arms {
                            fill_here(body, bodies);
                        }
                    }
                    Command::Simple { .. } | Command::Function { .. } => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<Word> {
        match parse(text).unwrap().0.remove(0).first.stages.remove(0).command {
            Command::Simple { words, .. } => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_are_made_of_bare_quoted_and_expanded_parts() {
        assert_eq!(words("echo a'b c'\"d\"")[1].0.len(), 4);
        assert_eq!(
            words("echo ${x:-y}")[1].0,
            [Part::Var {
                name: "x".into(),
                op: Some(Box::new(VarOp::Default {
                    sign: '-',
                    colon: true,
                    word: Word(vec![Part::Bare("y".into())]),
                })),
                quoted: false,
            }]
        );
        assert_eq!(words("a # b").len(), 1);
        assert_eq!(words("a b#c").len(), 2);
    }

    #[test]
    fn commands_are_joined_and_nested() {
        let list = parse("a && b || c; d & (e; f) | g > x 2>&1\nif a; then b; fi").unwrap();
        assert_eq!(list.0.len(), 4);
        assert_eq!(list.0[0].rest.len(), 2);
        assert!(list.0[1].background);
        assert_eq!(list.0[2].first.stages.len(), 2);
        assert_eq!(list.0[2].first.stages[0].text, "(e; f)");
        assert_eq!(list.0[2].first.stages[1].redirects.len(), 2);
        let list = parse("for i in 1 2; do echo $i; done; f() { a; }; case x in a|b) c;; esac");
        assert_eq!(list.unwrap().0.len(), 3);
    }

    #[test]
    fn a_here_document_stands_after_its_line() {
        let list = parse("cat <<EOF > f; b\nhi $x\nEOF\nc").unwrap();
        assert_eq!(list.0.len(), 3);
        let stage = &list.0[0].first.stages[0];
        assert!(matches!(&stage.redirects[0].kind, RedirectKind::Here(w) if w.0.len() > 1));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, error) in [
            ("ls |", "syntax error: unexpected end of file, looking for a command after |"),
            ("echo 'a", "syntax error: unexpected end of file, looking for matching `''"),
            ("a ;; b", "syntax error near unexpected token `;;'"),
            ("fi", "syntax error near unexpected token `fi'"),
            ("[[ a ]]", "[[ ]]; use [ ] is not supported by this shell"),
            ("x=(1 2)", "an array is not supported by this shell"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in r#"[a-z0-9 "'$(){}\[\]<>|&;=#\\\n`*!/-]{0,60}"#) {
            let _ = parse(&text);
        }
    }
}
