//! Scripting: EVAL and related commands, and function libraries.
//!
//! The interpreter is a crate of its own, [`limpid_lua`]. Here is what Redis adds:
//!
//! * `sandbox`: the read-only globals of scripts;
//! * `api`: the functions of `redis`, above all `redis.call`;
//! * `convert`: replies to Lua values and back;
//! * `run`: one running script, in slices: pausing, killing, ending;
//! * `debugger`: SCRIPT DEBUG; `copies`: debugging on a copy of the data; `text_of`: formatting
//!   values for the debugger;
//! * `eval`: EVAL, EVALSHA, SCRIPT and the script cache; `shebang`: the first line of a script;
//! * `functions`: FUNCTION and FCALL.
//!
//! A script runs to its end while all clients wait, as in Redis, but not in a single call of the
//! machine: when a slice is used up, the script is paused and no requests of other clients are
//! executed until the next wake-up continues it. After `busy-reply-threshold` other clients are
//! answered `BUSY`.
//!
//! Clones of the server share interpreters until one of them runs a script again.

mod api;
mod convert;
mod copies;
mod debugger;
mod eval;
mod functions;
mod run;
mod sandbox;
mod shebang;
mod text_of;
pub(super) mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;

use limpid_lua::Lua;

pub(super) use eval::ROWS;
pub(super) use functions::ROWS as FUNCTION_ROWS;

/// Whether the interpreter is included. Without it no script is ever compiled, and the code that
/// runs scripts is optimized away.
const HAS_INTERPRETER: bool = cfg!(feature = "scripts");

/// The state of scripting.
#[derive(Clone, Debug, Default)]
pub(super) struct Scripting {
    /// The interpreter of EVAL, created with the first script.
    eval: Option<Arc<Lua>>,
    /// The script cache, by the SHA-1 of the source.
    scripts: BTreeMap<String, eval::Script>,
    libraries: functions::Libraries,
    /// A script that has used up its slice.
    paused: Option<Box<run::Paused>>,
    /// Copies of the server on which clients debug scripts.
    copies: copies::Copies,
    /// Whether this is such a copy.
    is_copy: bool,
    /// Whether a script is calling a command.
    calling: bool,
    /// Whether scripts may call commands with `noscript` (DEBUG SET-DISABLE-DENY-SCRIPTS).
    pub(super) may_call_all: bool,
    /// The latest scripts, if an observer asked for a trace.
    trace: Option<trace::Trace>,
}

impl Scripting {
    /// Whether a script is calling a command.
    pub(super) fn is_calling(&self) -> bool {
        self.calling
    }

    /// The number of cached scripts, and the memory of the interpreters.
    pub(super) fn usage(&self) -> Usage {
        let memory = |lua: &Option<Arc<Lua>>| lua.as_ref().map_or(0, |lua| lua.memory());
        Usage {
            eval_memory: memory(&self.eval),
            functions_memory: memory(&self.libraries.lua),
            scripts: self.scripts.len() as u64,
            script_bytes: self.scripts.values().map(|s| s.body.len() as u64 + 40).sum(),
            libraries: self.libraries.count() as u64,
            functions: self.libraries.function_count() as u64,
            library_bytes: self.libraries.bytes(),
        }
    }
}

/// Statistics for INFO.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) eval_memory: u64,
    pub(super) functions_memory: u64,
    pub(super) scripts: u64,
    pub(super) script_bytes: u64,
    pub(super) libraries: u64,
    pub(super) functions: u64,
    pub(super) library_bytes: u64,
}
