//! The recursive-descent parser.
//!
//! `scope` resolves names, `statements` and `expressions` follow the grammar.

mod expressions;
mod scope;
mod statements;

use std::sync::Arc;

use super::Compiled;
use super::emit::{
    Binary, Block, Exp, FIELDS_PER_FLUSH, Func, Kind, LocalBuild, NO_JUMP, Unary, Upvalue,
};
use super::lexer::{Lexer, SyntaxError, Token, Word, token_text};
use super::opcode::{self, CONSTANT};
use super::proto::Vararg;
use crate::value::Str;

/// The maximum nesting of statements and expressions.
const MAX_LEVELS: u32 = 200;
const MAX_LOCALS: usize = 200;
const MAX_UPVALUES: usize = 60;
const UNARY_PRIORITY: u8 = 8;

type Parsed<T = ()> = Result<T, SyntaxError>;

/// The parser, with the functions that are being compiled, the innermost last.
pub(super) struct Parser<'a> {
    pub(super) lex: Lexer<'a>,
    funcs: Vec<Func>,
    levels: u32,
    /// Whether to emit an instruction at the beginning of each line.
    lines: bool,
}

impl<'a> Parser<'a> {
    pub(super) fn new(lex: Lexer<'a>, lines: bool) -> Self {
        Parser { lex, funcs: Vec::new(), levels: 0, lines }
    }

    /// Compiles a whole chunk.
    pub(super) fn chunk(mut self) -> Parsed<Compiled> {
        self.open_function(0);
        self.func().vararg = Vararg::Dots;
        self.lex.advance()?;
        self.statements()?;
        self.check(Token::Eof)?;
        let proto = self.close_function()?.0;
        Ok(Compiled { main: Arc::new(proto), strings: self.lex.kept })
    }

    pub(super) fn func(&mut self) -> &mut Func {
        self.funcs.last_mut().expect("a function is being compiled")
    }

    fn open_function(&mut self, line: u32) {
        self.funcs.push(Func::new(line));
    }

    fn close_function(&mut self) -> Parsed<(crate::compile::proto::Proto, Vec<Upvalue>)> {
        self.remove_locals(0);
        self.emit_return(0, 0)?;
        let mut func = self.funcs.pop().expect("a function is being compiled");
        let upvalues: Vec<Upvalue> = func
            .upvalues
            .iter()
            .map(|u| Upvalue { name: u.name, is_local: u.is_local, index: u.index })
            .collect();
        func.code.shrink_to_fit();
        let strings = &*self.lex.strings;
        Ok((func.finish(self.lex.chunk.clone(), |s| strings.share(s)), upvalues))
    }

    // Tokens.

    fn check(&self, token: Token) -> Parsed {
        match self.lex.token == token {
            true => Ok(()),
            false => Err(self.expected(token)),
        }
    }

    fn expected(&self, token: Token) -> SyntaxError {
        self.lex.error(&format!("'{}' expected", token_text(token)))
    }

    fn accept(&mut self, token: Token) -> Parsed<bool> {
        let is = self.lex.token == token;
        if is {
            self.lex.advance()?;
        }
        Ok(is)
    }

    fn accept_char(&mut self, b: u8) -> Parsed<bool> {
        self.accept(Token::Char(b))
    }

    fn accept_word(&mut self, word: Word) -> Parsed<bool> {
        self.accept(Token::Word(word))
    }

    fn expect(&mut self, token: Token) -> Parsed {
        self.check(token)?;
        self.lex.advance()
    }

    fn expect_char(&mut self, b: u8) -> Parsed {
        self.expect(Token::Char(b))
    }

    /// Expects the token that closes an opener on line `line`.
    fn expect_match(&mut self, what: Token, opener: &str, line: u32) -> Parsed {
        if self.accept(what)? {
            return Ok(());
        }
        if line == self.lex.line {
            return Err(self.expected(what));
        }
        let text = token_text(what);
        Err(self.lex.error(&format!("'{text}' expected (to close '{opener}' at line {line})")))
    }

    fn expect_end(&mut self, opener: Word, line: u32) -> Parsed {
        self.expect_match(Token::Word(Word::End), opener.text(), line)
    }

    fn name(&mut self) -> Parsed<Str> {
        match self.lex.token {
            Token::Name(name) => {
                self.lex.advance()?;
                Ok(name)
            }
            _ => Err(self.lex.error("'<name>' expected")),
        }
    }

    fn enter(&mut self) -> Parsed {
        self.levels += 1;
        match self.levels > MAX_LEVELS {
            true => Err(self.lex.error_near("chunk has too many syntax levels", None)),
            false => Ok(()),
        }
    }

    fn leave(&mut self) {
        self.levels -= 1;
    }

    fn over_limit(&mut self, limit: usize, what: &str) -> SyntaxError {
        let text = match self.func().line {
            0 => format!("main function has more than {limit} {what}"),
            line => format!("function at line {line} has more than {limit} {what}"),
        };
        self.lex.error_near(&text, None)
    }
}

const _: () = assert!(CONSTANT == 256);
