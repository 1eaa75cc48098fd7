//! SLOWLOG, and the watchdog, which reports commands that blocked the event loop.

use std::collections::VecDeque;

use super::{Call, Client, Command, Front, Handler, Rows, Service, container, row};
use crate::command::meta::flag;
use crate::command::secrets::{REDACTED, is_secret};
use crate::command::{CommandError, Group, Row};
use crate::machine::LogLevel;
use crate::resp::number::parse_i64;
use crate::resp::request::Args;
use crate::time::{Duration, Now};

impl<S: Service> Rows<S> {
    /// SLOWLOG.
    pub(crate) const SLOWLOG: &'static [Row<Handler<S>>] =
        &[row(Group::Server, "slowlog", -2, container)
            .since("2.2.12")
            .complexity("That of the subcommand.")
            .summary("A container for commands on the log of slow commands.")
            .subcommands(Self::SLOWLOG_SUBCOMMANDS)];

    const SLOWLOG_SUBCOMMANDS: &'static [Row<Handler<S>>] = &[
        row(Group::Server, "get", -2, slowlog_get)
            .flags(flag::ADMIN | flag::LOADING | flag::STALE)
            .since("2.2.12")
            .complexity("O(N), N being the number of entries returned.")
            .summary("Lists slow commands, newest first.")
            .syntax("[count]")
            .tips(&["request_policy:all_nodes", "nondeterministic_output"])
            .history(&[("4.0.0", "An entry tells the client's address and name.")]),
        row(Group::Server, "help", 2, slowlog_help)
            .flags(flag::LOADING | flag::STALE)
            .since("6.2.0")
            .summary("Tells what the subcommands do."),
        row(Group::Server, "len", 2, slowlog_len)
            .flags(flag::ADMIN | flag::LOADING | flag::STALE)
            .since("2.2.12")
            .summary("Tells how many slow commands are kept.")
            .tips(&[
                "request_policy:all_nodes",
                "response_policy:agg_sum",
                "nondeterministic_output",
            ]),
        row(Group::Server, "reset", 2, slowlog_reset)
            .flags(flag::ADMIN | flag::LOADING | flag::STALE)
            .since("2.2.12")
            .complexity("O(N), N being the number of entries in the log.")
            .summary("Forgets all slow commands.")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    ];
}

/// How many arguments of a command are kept, and how many bytes of each.
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
    /// The command with its arguments, truncated.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub address: String,
    /// The client's name.
    pub name: Vec<u8>,
}

impl Slowlog {
    /// Adds a command; at most `max` are kept.
    pub fn add<S: Service>(
        &mut self,
        now: Now<'_>,
        client: &Client<S>,
        command: &Command<S>,
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

    /// The entries, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

impl<S: Service> Front<S> {
    #[inline]
    pub(crate) fn log_if_slow(
        &mut self,
        now: Now<'_>,
        client: &Client<S>,
        command: &'static Command<S>,
        args: Args<'_>,
        took: u64,
    ) {
        if self.slow.is_some_and(|least| took >= least) {
            self.log_slow(now, client, command, args, took);
        }
    }

    /// Recomputes the shortest duration that is slow for any of the logs.
    pub(crate) fn slowness_changed(&mut self) {
        let wanted = [self.slow_for_log(), self.latency_threshold(), self.slow_for_watchdog()];
        self.slow = wanted.into_iter().flatten().min();
    }

    /// The threshold of the slow log in nanoseconds; `None` if it is negative, which turns the log
    /// off.
    fn slow_for_log(&self) -> Option<u64> {
        let micros = u64::try_from(self.settings().slowlog_log_slower_than).ok()?;
        Some(micros.saturating_mul(1_000))
    }

    /// The threshold of the watchdog in nanoseconds, if it is on.
    pub(crate) fn slow_for_watchdog(&self) -> Option<u64> {
        let millis = self.settings().watchdog_period;
        (millis > 0).then(|| millis.saturating_mul(1_000_000))
    }

    #[cold]
    fn log_slow(
        &mut self,
        now: Now<'_>,
        client: &Client<S>,
        command: &'static Command<S>,
        args: Args<'_>,
        took: u64,
    ) {
        if self.slow_for_watchdog().is_some_and(|least| took >= least) {
            self.watchdog_expired(command, took);
        }
        let event = if command.meta.has(flag::FAST) { "fast-command" } else { "command" };
        self.note_latency(event, took);
        let is_slow = self.slow_for_log().is_some_and(|least| took >= least);
        if !is_slow || command.meta.has(flag::SKIP_SLOWLOG) {
            return;
        }
        let took = Duration::from_nanos(took);
        let max = self.settings().slowlog_max_len;
        self.slowlog.add(now, client, command, args, took, max);
    }

    /// Reports a command that took longer than the watchdog period. Redis prints a stack trace
    /// while the command is running; here its name is logged once it has ended.
    #[cold]
    fn watchdog_expired(&mut self, command: &Command<S>, took: u64) {
        let name = command.name.split('|').next().unwrap_or_default();
        let took = took / 1_000_000;
        self.log_watchdog(format!(
            "{name}Command: '{}' took {took} ms, while no other client was served.",
            command.name
        ));
    }

    /// Logs a report of the watchdog.
    #[cold]
    pub(crate) fn log_watchdog(&mut self, text: String) {
        let period = self.settings().watchdog_period;
        let text = format!("{text} watchdog-period is {period}.");
        for line in ["--- WATCHDOG TIMER EXPIRED ---".to_owned(), text, "--------".to_owned()] {
            self.log(LogLevel::Warning, || line);
        }
    }
}

fn shortened<S: Service>(command: &Command<S>, args: Args<'_>) -> Vec<Vec<u8>> {
    let kept = if args.len() > MAX_ARGS { MAX_ARGS - 1 } else { args.len() };
    let mut out: Vec<Vec<u8>> = args
        .iter()
        .take(kept)
        .enumerate()
        .map(|(i, arg)| {
            if is_secret(&command.name, args, i) {
                REDACTED.as_bytes().to_vec()
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

fn slowlog_get<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
) -> Result<(), CommandError> {
    let mut count = 10;
    if call.args.len() > 3 {
        return Err(CommandError::subcommand_syntax("SLOWLOG", call.arg(1)));
    }
    if let Some(text) = call.args.get(2) {
        count = match parse_i64(text) {
            Some(-1) => usize::MAX,
            Some(count) if count >= 0 => count as usize,
            _ => {
                return Err(CommandError::text("ERR count should be greater than or equal to -1"));
            }
        };
    }
    let entries = front.slowlog.entries();
    let mut reply = call.reply();
    reply.array(count.min(entries.len()));
    for entry in entries.take(count) {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.at as i64);
        reply.integer(entry.took.as_micros() as i64);
        reply.array(entry.args.len());
        for arg in &entry.args {
            reply.bulk(arg);
        }
        reply.bulk(entry.address.as_bytes());
        reply.bulk(&entry.name);
    }
    Ok(())
}

fn slowlog_len<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
) -> Result<(), CommandError> {
    let len = front.slowlog.entries().len();
    call.reply().integer(len as i64);
    Ok(())
}

fn slowlog_reset<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
) -> Result<(), CommandError> {
    front.slowlog.clear();
    call.ok()
}

fn slowlog_help<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    call.reply().help(
        "SLOWLOG",
        &[
            "GET [<count>]",
            "    List the newest slow commands, 10 if not told otherwise, all for -1: number,",
            "    time of the call, microseconds it took, arguments, caller's address and name.",
            "LEN",
            "    Tell how many are kept.",
            "RESET",
            "    Forget them.",
        ],
    );
    Ok(())
}
