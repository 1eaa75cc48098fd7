//! The compiler: source text to instructions in one pass, without a syntax tree.
//!
//! `lexer` produces tokens, `parser` parses the grammar, `emit` generates instructions and
//! allocates registers. The result is executed by `vm`.

mod emit;
mod lexer;
pub(crate) mod opcode;
mod parser;
pub(crate) mod proto;

use std::sync::Arc;

use crate::strings::Strings;
use crate::value::Str;
use proto::Proto;

/// A compiled chunk, and the strings among its constants.
pub(crate) struct Compiled {
    pub(crate) main: Arc<Proto>,
    pub(crate) strings: Vec<Str>,
}

/// Compiles a chunk. `name` is as for `loadstring`: `=name`, `@file`, or the source itself. With
/// `lines`, executing it reports each line.
pub(crate) fn compile(
    source: &[u8],
    name: &[u8],
    lines: bool,
    strings: &mut Strings,
    mem: &mut u64,
) -> Result<Compiled, Vec<u8>> {
    let lexer = lexer::Lexer::new(source, chunk_name(name).into(), strings, mem);
    parser::Parser::new(lexer, lines).chunk()
}

/// The maximum length of a chunk's name in messages.
const SHOWN: usize = 60;

/// A chunk's name as messages show it.
fn chunk_name(name: &[u8]) -> String {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let name = &name[..name.iter().position(|&b| b == 0).unwrap_or(name.len())];
    match name.first() {
        Some(b'=') => shown(&name[1..name.len().min(SHOWN)]),
        Some(b'@') => {
            let room = SHOWN - 8;
            let file = &name[1..];
            match file.len() > room {
                true => format!("...{}", shown(&file[file.len() - room..])),
                false => shown(file),
            }
        }
        _ => {
            let room = SHOWN - 17;
            let line = name.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(name.len());
            let kept = line.min(room);
            let dots = if kept < name.len() { "..." } else { "" };
            format!("[string \"{}{dots}\"]", shown(&name[..kept]))
        }
    }
}
