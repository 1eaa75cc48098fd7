//! The current command of a session: how often it is sent, its replies, and what they change.

use crate::resp::value::Value;
use crate::time::Mono;

/// The command that is currently executed.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) args: Vec<Vec<u8>>,
    pub(super) phase: Phase,
    pub(super) started: Mono,
    /// Whether ASKING is sent before it.
    pub(super) asking: bool,
    /// Whether the pause after the current repetition is over.
    pub(super) paused: bool,
    /// Number of repetitions still to be sent; negative for an infinite loop.
    rounds: i64,
    /// Number of subscription confirmations still to be received.
    confirmations: usize,
}

/// The phase of the current repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Ready,
    Sent,
    Pause(Mono),
}

/// What a reply changes about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Selected(i64),
    Authenticated,
    Multi,
    Executed,
    /// A transaction was not executed, nor were the SELECTs in it.
    Aborted,
    Reset,
    Protocol {
        resp3: bool,
    },
}

impl Command {
    pub(super) fn new(args: Vec<Vec<u8>>, rounds: i64, started: Mono) -> Self {
        Command {
            args,
            phase: Phase::Ready,
            started,
            asking: false,
            paused: false,
            rounds,
            confirmations: 0,
        }
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.word(0, name)
    }

    pub(super) fn is_monitoring(&self) -> bool {
        self.is("monitor") && self.phase == Phase::Sent
    }

    /// Notes that a repetition was sent.
    pub(super) fn send(&mut self) {
        self.phase = Phase::Sent;
        self.paused = false;
        if self.rounds > 0 {
            self.rounds -= 1;
        }
        if self.changes_subscriptions() {
            self.confirmations = self.args.len().saturating_sub(1).max(1);
        }
    }

    /// Adds a repetition, since the last one was redirected and does not count.
    pub(super) fn repeat_once_more(&mut self) {
        if self.rounds >= 0 {
            self.rounds = self.rounds.saturating_add(1);
        }
    }

    pub(super) fn repeats(&self) -> bool {
        self.rounds != 0
    }

    pub(super) fn changes_subscriptions(&self) -> bool {
        self.subscribes()
            || ["unsubscribe", "punsubscribe", "sunsubscribe"].iter().any(|name| self.is(name))
    }

    fn subscribes(&self) -> bool {
        ["subscribe", "psubscribe", "ssubscribe"].iter().any(|name| self.is(name))
    }

    pub(super) fn expects_confirmations(&self) -> bool {
        self.confirmations > 0
    }

    /// If a message is one of the expected confirmations: whether any subscription is left.
    pub(super) fn confirmed_by(&mut self, message: &Value) -> Option<bool> {
        let kind = message.items()?.first()?.bytes()?;
        if self.confirmations == 0 || !self.args.first()?.eq_ignore_ascii_case(kind) {
            return None;
        }
        self.confirmations -= 1;
        Some(self.subscribes())
    }

    /// Whether the reply is a report for people, which is printed as it is.
    pub(super) fn is_report(&self) -> bool {
        let n = self.args.len();
        let second = |names: &[&str]| names.iter().any(|name| self.word(1, name));
        self.is("info")
            || self.is("lolwut")
            || self.is("debug") && second(&["htstats", "htstats-key", "client-eviction"])
            || self.is("memory") && second(&["malloc-stats", "doctor"])
            || self.is("cluster") && n == 2 && second(&["nodes", "info"])
            || self.is("client") && second(&["list", "info"])
            || self.is("latency") && (n == 3 && second(&["graph"]) || n == 2 && second(&["doctor"]))
            || self.is("proxy") && second(&["info"])
    }

    /// What a reply to this command changes about the connection.
    pub(super) fn change(&self, reply: &Value) -> Change {
        let (n, error) = (self.args.len(), reply.is_error());
        if self.is("select") && n == 2 && !error {
            let db = self.args.get(1).and_then(|db| core::str::from_utf8(db).ok()?.parse().ok());
            Change::Selected(db.unwrap_or(0))
        } else if self.is("auth") && (n == 2 || n == 3) && !error {
            Change::Authenticated
        } else if self.is("multi") && n == 1 && !error {
            Change::Multi
        } else if self.is("exec") && n == 1 {
            if error || *reply == Value::Null { Change::Aborted } else { Change::Executed }
        } else if self.is("discard") && n == 1 && !error {
            Change::Aborted
        } else if self.is("reset") && n == 1 && !error {
            Change::Reset
        } else if self.is("hello") && !error {
            Change::Protocol { resp3: matches!(reply.plain(), Value::Map(_)) }
        } else {
            Change::None
        }
    }

    fn word(&self, i: usize, word: &str) -> bool {
        self.args.get(i).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }
}
