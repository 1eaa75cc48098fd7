//! Lazy freeing: deleted data is queued here and freed in slices, so that no deletion blocks the
//! event loop.

use super::entry::{Entry, PendingFree};
use super::expiry::ExpiryIndex;
use super::tables::Tables;

/// The mode of a flush. Either way it takes effect immediately and the memory is freed in slices;
/// the mode decides whether the statistics count it as lazy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// `SYNC`
    Sync,
    /// `ASYNC`
    Async,
}

/// A queue of whole databases and large values to be freed in slices.
#[derive(Clone, Debug, Default)]
pub(super) struct LazyFree {
    tables: Vec<(Tables, Flush)>,
    indexes: Vec<ExpiryIndex>,
    remains: Vec<PendingFree>,
    /// The part of the queue that statistics do not count: copies, and SYNC-flushed databases.
    uncounted: Vec<PendingFree>,
    freed: u64,
}

impl LazyFree {
    /// Queues the tables of a flushed database.
    pub(super) fn add_tables(&mut self, table: Tables, expires: ExpiryIndex, how: Flush) {
        if !table.is_empty() {
            self.tables.push((table, how));
        }
        if expires.count() > 0 {
            self.indexes.push(expires);
        }
    }

    /// Queues a deleted entry, if its value is large; otherwise frees it.
    pub(super) fn add_entry(&mut self, entry: Entry) {
        self.remains.extend(entry.into_pending_free());
    }

    /// Queues a copy that is no longer needed.
    pub(super) fn add_copy(&mut self, entry: Entry) {
        self.uncounted.extend(entry.into_pending_free());
    }

    /// The number of queued keys that count as lazily freed.
    pub(super) fn pending(&self) -> u64 {
        let lazy = self.tables.iter().filter(|(_, how)| *how == Flush::Async);
        lazy.map(|(table, _)| table.len() as u64).sum::<u64>() + self.remains.len() as u64
    }

    /// The number of keys that were freed lazily.
    pub(super) fn freed(&self) -> u64 {
        self.freed
    }

    /// Resets the number of freed keys.
    pub(super) fn reset_freed(&mut self) {
        self.freed = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
            && self.indexes.is_empty()
            && self.remains.is_empty()
            && self.uncounted.is_empty()
    }

    /// Frees up to `limit` items. Returns whether more are queued.
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
                let freed =
                    table.free_some(left, |entry| uncounted.extend(entry.into_pending_free()));
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
