//! Scripts: EVAL and its kin, and libraries of functions.
//!
//! The interpreter is a crate of its own, [`limpid_lua`]. What lives here is what Redis makes of it:
//!
//! * `sandbox`: the globals that scripts find, read-only;
//! * `api`: what `redis.*` does, `redis.call` above all;
//! * `convert`: replies to Lua values and back;
//! * `run`: one script at work, in slices: how it pauses, is killed and ends;
//! * `debugger`: SCRIPT DEBUG: a script gone through line by line; `copies`: the same on a copy of the
//!   data; `text_of`: how it shows values;
//! * `eval`: EVAL, EVALSHA, SCRIPT and the cache of scripts; `shebang`: the first line of a script;
//! * `functions`: FUNCTION and FCALL.
//!
//! A script runs to its end while all clients wait, as in Redis; but not in one call of the machine:
//! when a slice is used up the client that called it waits, and no other client's requests are carried
//! out, until the next wake goes on. After `busy-reply-threshold` others are answered `BUSY`.
//!
//! Interpreters are shared between clones of the server until one of them runs a script again.

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

/// Whether there is an interpreter. Without it no script is ever compiled, and the code that runs one is
/// left out of the program.
const HAS_INTERPRETER: bool = cfg!(feature = "scripts");

/// What a server knows of scripts.
#[derive(Clone, Debug, Default)]
pub(super) struct Scripting {
    /// The interpreter of EVAL, once there was a script.
    eval: Option<Arc<Lua>>,
    /// The scripts that EVALSHA finds, by the SHA1 of their source.
    scripts: BTreeMap<String, eval::Script>,
    libraries: functions::Libraries,
    /// A script that has used up its slice.
    paused: Option<Box<run::Paused>>,
    /// Copies of the server on which clients debug scripts.
    copies: copies::Copies,
    /// Whether this is such a copy.
    is_copy: bool,
    /// Whether a command of a script is running.
    calling: bool,
    /// Whether scripts may call what scripts must not (DEBUG SET-DISABLE-DENY-SCRIPTS).
    pub(super) may_call_all: bool,
    /// The last scripts, if an observer wants to see them.
    trace: Option<trace::Trace>,
}

impl Scripting {
    /// Whether a command of a script is running.
    pub(super) fn is_calling(&self) -> bool {
        self.calling
    }

    /// How many scripts are cached, and the memory of the interpreters for scripts and functions.
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

/// What INFO tells of scripts.
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
