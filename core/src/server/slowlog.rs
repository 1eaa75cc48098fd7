//! The log of slow commands.

use std::collections::VecDeque;

use super::clients::Client;
use super::table::Command;
use crate::resp::request::Args;
use crate::time::{Duration, Now};

/// Arguments that are kept of one command, and bytes of one argument.
const MAX_ARGS: usize = 32;
const MAX_ARG: usize = 128;

/// The log of slow commands, newest first.
#[derive(Clone, Debug, Default)]
pub struct Slowlog {
    entries: VecDeque<Entry>,
    next_id: u64,
}

/// One slow command.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number, from 0.
    pub id: u64,
    /// When it was called, in seconds since 1970.
    pub at: u64,
    /// How long it took.
    pub took: Duration,
    /// Its name and arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// Its caller's address.
    pub address: String,
    /// Its caller's name.
    pub name: Vec<u8>,
}

impl Slowlog {
    /// Adds a command; at most `max` are kept.
    pub fn add(
        &mut self,
        now: Now<'_>,
        client: &Client,
        command: &Command,
        args: Args<'_>,
        took: Duration,
        max: usize,
    ) {
        self.entries.push_front(Entry {
            id: self.next_id,
            at: now.wall.as_secs(),
            took,
            args: shortened(command, args),
            address: client.address(),
            name: client.name.clone(),
        });
        self.next_id += 1;
        self.entries.truncate(max);
    }

    /// The commands, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Forgets all commands.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

fn shortened(command: &Command, args: Args<'_>) -> Vec<Vec<u8>> {
    let kept = if args.len() > MAX_ARGS { MAX_ARGS - 1 } else { args.len() };
    let mut out: Vec<Vec<u8>> = args
        .iter()
        .take(kept)
        .enumerate()
        .map(|(i, arg)| {
            if is_secret(command, args, i) {
                b"(redacted)".to_vec()
            } else if arg.len() > MAX_ARG {
                let more = format!("... ({} more bytes)", arg.len() - MAX_ARG);
                [&arg[..MAX_ARG], more.as_bytes()].concat()
            } else {
                arg.to_vec()
            }
        })
        .collect();
    if kept < args.len() {
        out.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    out
}

/// Whether an argument is a password.
pub fn is_secret(command: &Command, args: Args<'_>, index: usize) -> bool {
    let before = |n: usize, word: &[u8]| {
        index.checked_sub(n).is_some_and(|i| i > 0 && args.at(i).eq_ignore_ascii_case(word))
    };
    match command.name.as_str() {
        "auth" => index > 0,
        "migrate" => super::migrate::is_secret(args, index),
        "hello" => before(1, b"auth") || before(2, b"auth"),
        "config|set" => {
            index >= 3
                && index % 2 == 1
                && super::config::table::find(args.at(index - 1))
                    .is_some_and(|at| super::config::table::DIRECTIVES[at].is_sensitive())
        }
        _ => false,
    }
}
