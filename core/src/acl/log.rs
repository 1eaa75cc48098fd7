//! `ACL LOG`: requests that were denied recently.

use std::collections::VecDeque;

use super::Reason;

/// Recently denied requests, newest first.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: VecDeque<LogEntry>,
    next_id: u64,
}

/// One denial, and how often it was repeated.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its number, from 0.
    pub id: u64,
    /// How often it was repeated.
    pub count: u64,
    /// What was not allowed.
    pub reason: Reason,
    /// Where the command came from.
    pub context: Context,
    /// The full name of the command. `ACL LOG` does not show it beside a key or a channel.
    pub command: String,
    /// The command, key or channel.
    pub object: Vec<u8>,
    /// The name of the user.
    pub user: Vec<u8>,
    /// The client that was denied most recently, as CLIENT LIST shows it.
    pub client: String,
    /// When it was denied first, in milliseconds since 1970.
    pub created: u64,
    /// When it was denied last.
    pub updated: u64,
}

/// Where a denied command came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// From a client.
    TopLevel,
    /// From a transaction.
    Transaction,
    /// From a script.
    Script,
}

impl Context {
    /// The context of a client's command, which may be queued in a transaction.
    pub fn of(in_transaction: bool) -> Self {
        if in_transaction { Context::Transaction } else { Context::TopLevel }
    }

    /// The name in `ACL LOG`.
    pub fn name(self) -> &'static str {
        match self {
            Context::TopLevel => "toplevel",
            Context::Transaction => "multi",
            Context::Script => "lua",
        }
    }
}

impl Log {
    /// Equal denials that follow each other within this many milliseconds share an entry.
    const SAME_WITHIN: u64 = 60_000;

    /// How many of the newest entries are compared with a new one.
    const COMPARED: usize = 10;

    /// Adds a denial, or increments the count of a recent entry that is equal. The new entry's id
    /// and count are set here. At most `max` entries are kept.
    pub fn add(&mut self, mut new: LogEntry, max: usize) {
        let same = self.entries.iter().take(Self::COMPARED).position(|old| {
            old.reason == new.reason
                && old.context == new.context
                && old.updated.abs_diff(new.updated) <= Self::SAME_WITHIN
                && old.object == new.object
                && old.user == new.user
        });
        if let Some(mut old) = same.and_then(|at| self.entries.remove(at)) {
            old.client = new.client;
            old.updated = new.updated;
            old.count += 1;
            return self.entries.push_front(old);
        }
        (new.id, new.count) = (self.next_id, 1);
        self.next_id += 1;
        self.entries.push_front(new);
        self.entries.truncate(max);
    }

    /// The entries, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &LogEntry> {
        self.entries.iter()
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}
