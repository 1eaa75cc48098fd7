//! The log of slow commands, and the watchdog, which reports inputs that blocked the event loop.

use std::collections::VecDeque;

use super::Server;
use super::clients::Client;
use super::table::Command;
use crate::command::meta::flag;
use crate::machine::LogLevel;
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

impl Server {
    #[inline]
    pub(super) fn log_if_slow(
        &mut self,
        now: Now<'_>,
        client: &Client,
        command: &'static Command,
        args: Args<'_>,
        took: u64,
    ) {
        if self.slow.is_some_and(|least| took >= least) {
            self.log_slow(now, client, command, args, took);
        }
    }

    /// Brings up to date from when on a command is slow, for the log of such or the watchdog.
    pub(super) fn slowness_changed(&mut self) {
        self.slow = [self.slow_for_log(), self.slow_for_watchdog()].into_iter().flatten().min();
    }

    /// The nanoseconds from which on a command is slow; none is as slow as what is negative.
    fn slow_for_log(&self) -> Option<u64> {
        let micros = u64::try_from(self.config.settings().slowlog_log_slower_than).ok()?;
        Some(micros.saturating_mul(1_000))
    }

    /// The same for the watchdog, if it is on.
    pub(super) fn slow_for_watchdog(&self) -> Option<u64> {
        let millis = self.config.settings().watchdog_period;
        (millis > 0).then(|| millis.saturating_mul(1_000_000))
    }

    #[cold]
    fn log_slow(
        &mut self,
        now: Now<'_>,
        client: &Client,
        command: &'static Command,
        args: Args<'_>,
        took: u64,
    ) {
        if self.slow_for_watchdog().is_some_and(|least| took >= least) {
            self.watchdog_expired(command, took);
        }
        let is_slow = self.slow_for_log().is_some_and(|least| took >= least);
        if !is_slow || command.meta.has(flag::SKIP_SLOWLOG) {
            return;
        }
        let took = Duration::from_nanos(took);
        let max = self.config.settings().slowlog_max_len;
        self.slowlog.add(now, client, command, args, took, max);
    }

    /// A command took longer than the watchdog waits. Redis prints where in its source it is, while
    /// it is there; here the command is named, as Redis names what carries it out, when it has
    /// ended.
    #[cold]
    fn watchdog_expired(&mut self, command: &Command, took: u64) {
        let name = command.name.split('|').next().unwrap_or_default();
        let took = took / 1_000_000;
        self.watchdog_says(format!(
            "{name}Command: '{}' took {took} ms, and nobody else was served meanwhile.",
            command.name
        ));
    }

    /// Writes what the watchdog has noticed.
    #[cold]
    pub(super) fn watchdog_says(&mut self, text: String) {
        let period = self.config.settings().watchdog_period;
        let text = format!("{text} watchdog-period is {period}.");
        for line in ["--- WATCHDOG TIMER EXPIRED ---".to_owned(), text, "--------".to_owned()] {
            self.log(LogLevel::Warning, || line);
        }
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
