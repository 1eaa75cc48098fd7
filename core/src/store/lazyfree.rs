//! Lazy freeing: what has been deleted waits here and is freed in slices, so that no deletion
//! blocks the event loop.

use super::entry::{Entry, Remains};
use super::expiry::ExpiryIndex;
use super::tables::Tables;

/// How a flush was asked for. Either way it takes effect at once and the memory is freed in
/// slices; what was asked for decides whether the statistics call that lazy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// `SYNC`
    Sync,
    /// `ASYNC`
    Async,
}

/// Whole databases and large values that wait to be freed in slices.
#[derive(Clone, Debug, Default)]
pub(super) struct LazyFree {
    tables: Vec<(Tables, Flush)>,
    indexes: Vec<ExpiryIndex>,
    remains: Vec<Remains>,
    /// The same of what no statistics count: copies, and what a flushed database held.
    uncounted: Vec<Remains>,
    freed: u64,
}

impl LazyFree {
    /// Takes the tables of a flushed database.
    pub(super) fn add_tables(&mut self, table: Tables, expires: ExpiryIndex, how: Flush) {
        if !table.is_empty() {
            self.tables.push((table, how));
        }
        if expires.count() > 0 {
            self.indexes.push(expires);
        }
    }

    /// Takes a deleted entry: a large value is freed later.
    pub(super) fn add_entry(&mut self, entry: Entry) {
        self.remains.extend(entry.into_remains());
    }

    /// Takes a copy that has served its purpose.
    pub(super) fn add_copy(&mut self, entry: Entry) {
        self.uncounted.extend(entry.into_remains());
    }

    /// Keys that wait and were to be freed lazily.
    pub(super) fn pending(&self) -> u64 {
        let lazy = self.tables.iter().filter(|(_, how)| *how == Flush::Async);
        lazy.map(|(table, _)| table.len() as u64).sum::<u64>() + self.remains.len() as u64
    }

    /// Keys that were to be freed lazily and have been.
    pub(super) fn freed(&self) -> u64 {
        self.freed
    }

    /// Counts what has been freed anew.
    pub(super) fn reset_freed(&mut self) {
        self.freed = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
            && self.indexes.is_empty()
            && self.remains.is_empty()
            && self.uncounted.is_empty()
    }

    /// Frees up to `limit` things. Returns whether more wait.
    pub(super) fn step(&mut self, limit: usize) -> bool {
        let mut left = limit;
        while left > 0 {
            if let Some(remains) = self.uncounted.last_mut() {
                let freed = remains.free_some(left);
                if freed < left {
                    self.uncounted.pop();
                }
                left = left.saturating_sub(freed.max(1));
            } else if let Some(remains) = self.remains.last_mut() {
                let freed = remains.free_some(left);
                if freed < left {
                    self.remains.pop();
                    self.freed += 1;
                }
                left = left.saturating_sub(freed.max(1));
            } else if let Some((table, how)) = self.tables.last_mut() {
                let uncounted = &mut self.uncounted;
                let freed = table.free_some(left, |entry| uncounted.extend(entry.into_remains()));
                if *how == Flush::Async {
                    self.freed += freed as u64;
                }
                if freed < left {
                    self.tables.pop();
                }
                left -= freed;
            } else if let Some(index) = self.indexes.last_mut() {
                let freed = index.free_some(left);
                if freed < left {
                    self.indexes.pop();
                }
                left -= freed;
            } else {
                break;
            }
        }
        !self.is_empty()
    }
}
