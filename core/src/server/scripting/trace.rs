//! The latest scripts with the commands that they called, if the embedding program asked for a trace.

use std::collections::VecDeque;

use super::super::Server;
use crate::resp::quote::push_repr;
use crate::resp::request::Args;
use crate::time::Wall;

/// Limits: number of scripts, steps per script, bytes per text.
const SCRIPTS: usize = 8;
const STEPS: usize = 100;
const TEXT: usize = 160;

/// The latest scripts, newest first.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Trace {
    scripts: VecDeque<ScriptView>,
}

/// A script that was called, for observers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptView {
    /// Its number, from 1.
    pub number: u64,
    /// When it was called.
    pub at: Wall,
    /// The id of the client that called it.
    pub client: u64,
    /// The command that called it, as typed, truncated.
    pub call: String,
    /// The commands that it called, in order.
    pub steps: Vec<ScriptStep>,
    /// How many further commands it called.
    pub more: u64,
    /// Its result, encoded in RESP2, truncated; `None` while it runs.
    pub result: Option<Vec<u8>>,
}

/// A command that a script called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptStep {
    /// The command, as typed, truncated.
    pub command: String,
    /// Its reply, encoded, truncated.
    pub reply: Vec<u8>,
}

impl Trace {
    /// A script starts.
    pub(super) fn begin(&mut self, at: Wall, client: u64, call: Args<'_>) {
        let number = self.scripts.front().map_or(1, |last| last.number + 1);
        let call = typed(call);
        let steps = Vec::new();
        let script = ScriptView { number, at, client, call, steps, more: 0, result: None };
        self.scripts.truncate(SCRIPTS - 1);
        self.scripts.push_front(script);
    }

    /// The latest script has called a command.
    pub(super) fn step(&mut self, command: Args<'_>, reply: &[u8]) {
        let Some(script) = self.scripts.front_mut() else { return };
        if script.steps.len() == STEPS {
            script.more += 1;
            return;
        }
        script.steps.push(ScriptStep { command: typed(command), reply: shortened(reply) });
    }

    /// The latest script has ended.
    pub(super) fn end(&mut self, reply: &[u8]) {
        if let Some(script) = self.scripts.front_mut() {
            script.result = Some(shortened(reply));
        }
    }
}

impl Server {
    /// Turns the trace of the latest scripts and their commands on.
    pub fn trace_scripts(&mut self) {
        self.service.scripting.trace.get_or_insert_default();
    }

    /// The latest scripts, newest first, if the trace is on.
    pub fn script_views(&self) -> impl Iterator<Item = &ScriptView> {
        self.service.scripting.trace.iter().flat_map(|trace| &trace.scripts)
    }
}

/// The part of a reply that is kept.
fn shortened(reply: &[u8]) -> Vec<u8> {
    reply.get(..TEXT).unwrap_or(reply).to_vec()
}

/// A command as a person would type it, with quotes where necessary.
fn typed(args: Args<'_>) -> String {
    let mut out = Vec::new();
    for word in args.iter() {
        if !out.is_empty() {
            out.push(b' ');
        }
        let plain = !word.is_empty() && word.iter().all(|c| c.is_ascii_graphic() && *c != b'"');
        match plain {
            true => out.extend_from_slice(word.get(..TEXT).unwrap_or(word)),
            false => push_repr(&mut out, word.get(..TEXT).unwrap_or(word)),
        }
        if out.len() > TEXT {
            break;
        }
    }
    let text = String::from_utf8_lossy(&out);
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
