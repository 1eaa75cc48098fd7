//! What has been deleted and not been freed yet, so that no deletion takes long.

use super::entry::{Entry, Remains};
use super::expiry::ExpiryIndex;
use super::table::Table;

/// Whole databases and large values that wait to be freed in slices.
#[derive(Clone, Debug, Default)]
pub(super) struct Graveyard {
    tables: Vec<Table<Entry>>,
    indexes: Vec<ExpiryIndex>,
    remains: Vec<Remains>,
    freed: u64,
}

impl Graveyard {
    pub(super) fn bury(&mut self, table: Table<Entry>, expires: ExpiryIndex) {
        if !table.is_empty() {
            self.tables.push(table);
        }
        if expires.count() > 0 {
            self.indexes.push(expires);
        }
    }

    /// Takes what is left of a key: a large value is freed later.
    pub(super) fn bury_entry(&mut self, entry: Entry) {
        self.remains.extend(entry.into_remains());
    }

    /// Keys that wait.
    pub(super) fn pending(&self) -> u64 {
        self.tables.iter().map(|table| table.len() as u64).sum::<u64>() + self.remains.len() as u64
    }

    /// Keys that have been freed here.
    pub(super) fn freed(&self) -> u64 {
        self.freed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.indexes.is_empty() && self.remains.is_empty()
    }

    /// Frees up to `limit` things. Returns whether more wait.
    pub(super) fn step(&mut self, limit: usize) -> bool {
        let mut left = limit;
        while left > 0 {
            if let Some(remains) = self.remains.last_mut() {
                if remains.free_some(left) {
                    self.remains.pop();
                    self.freed += 1;
                }
                // How many elements that were is not told; it was not more.
                left = 0;
            } else if let Some(table) = self.tables.last_mut() {
                let freed = table.free_some(left);
                self.freed += freed as u64;
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
