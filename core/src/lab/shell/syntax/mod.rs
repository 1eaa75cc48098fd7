//! The parser of the shell: from text to a syntax tree.
//!
//! Alternatives considered: `brush-parser` (the complete grammar of bash, well maintained) adds 137
//! KB to the page after gzip; `conch-parser` adds 37 KB and has not changed since 2019;
//! `yash-syntax` is under the GPL. The lab only needs the POSIX grammar with some extensions of
//! bash.

mod commands;
mod conditions;
mod words;

use core::fmt;

pub(in crate::lab::shell) use conditions::{Comparison, Condition};

/// A list of commands.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::lab::shell) struct List(pub(super) Vec<Item>);

/// An and-or list.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::lab::shell) struct Item {
    pub(in crate::lab::shell) first: Pipeline,
    pub(in crate::lab::shell) rest: Vec<(Link, Pipeline)>,
    pub(in crate::lab::shell) background: bool,
    /// Its source text.
    pub(in crate::lab::shell) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::lab::shell) enum Link {
    And,
    Or,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::lab::shell) struct Pipeline {
    pub(in crate::lab::shell) negated: bool,
    pub(in crate::lab::shell) stages: Vec<Stage>,
}

/// A stage of a pipeline: a command with its redirections.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::lab::shell) struct Stage {
    pub(in crate::lab::shell) command: Command,
    pub(in crate::lab::shell) redirects: Vec<Redirect>,
    /// The source text of the command without its redirections.
    pub(in crate::lab::shell) text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::lab::shell) enum Command {
    Simple { assigns: Vec<(String, Word)>, words: Vec<Word> },
    Group(List),
    Subshell(List),
    If { arms: Vec<(List, List)>, otherwise: Option<List> },
    While { until: bool, test: List, body: List },
    For { var: String, words: Option<Vec<Word>>, body: List },
    Case { word: Word, arms: Vec<(Vec<Word>, List)> },
    Function { name: String, body: String },
    Condition(Condition),
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::lab::shell) struct Redirect {
    pub(in crate::lab::shell) fd: u32,
    pub(in crate::lab::shell) kind: RedirectKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::lab::shell) enum RedirectKind {
    Read(Word),
    Write(Word),
    Append(Word),
    /// `2>&1`, `>&2`
    Same(u32),
    /// `2>&-`
    Close,
    /// `<<` and `<<<`: the text, which may contain expansions.
    Here(Word),
}

/// A word before expansion.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::lab::shell) struct Word(pub(super) Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
pub(in crate::lab::shell) enum Part {
    /// Unquoted text, subject to globs and braces.
    Bare(String),
    /// Quoted text.
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
pub(in crate::lab::shell) enum VarOp {
    Len,
    /// `:-`, `:=`, `:?`, `:+`: the sign, whether empty counts as unset, and the word.
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

/// Why a command line cannot be parsed.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::lab::shell) enum SyntaxError {
    /// The command is incomplete: more lines are needed.
    Incomplete(&'static str),
    /// An unexpected token.
    Unexpected(String),
    /// A feature of bash or POSIX that this shell does not have.
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

impl core::error::Error for SyntaxError {}

/// The maximum nesting depth of commands.
const DEPTH: u32 = 60;

pub(in crate::lab::shell) fn parse(text: &str) -> Result<List, SyntaxError> {
    let mut parser = Parser { text: text.chars().collect(), at: 0, depth: 0, here: Vec::new() };
    let list = parser.list(&[])?;
    parser.blanks();
    match parser.peek() {
        None => Ok(list),
        Some(_) => Err(parser.unexpected()),
    }
}

/// Parses the text of a here-document or of `"..."`, which is expanded but never split.
pub(in crate::lab::shell) fn parse_text(text: &str) -> Result<Word, SyntaxError> {
    let mut parser = Parser { text: text.chars().collect(), at: 0, depth: 0, here: Vec::new() };
    let mut parts = Vec::new();
    parser.quoted_until(None, &mut parts)?;
    Ok(Word(parts))
}

struct Parser {
    text: Vec<char>,
    at: usize,
    depth: u32,
    /// Here-documents whose text begins after the current line, in order.
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

    /// Skips blanks, line continuations and comments.
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

    /// Skips line feeds as well, and reads the here-documents that follow them.
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

    /// The reserved word at the current position, if any.
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
}

/// Whether a character ends a word.
fn is_meta(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')')
}

#[cfg(test)]
mod tests;
