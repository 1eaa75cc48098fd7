//! What has been deleted and not been freed yet, so that no deletion takes long.

use super::entry::Entry;
use super::expiry::ExpiryIndex;
use super::table::Table;

/// Whole databases that wait to be freed in slices.
#[derive(Clone, Debug, Default)]
pub(super) struct Graveyard {
    tables: Vec<Table<Entry>>,
    indexes: Vec<ExpiryIndex>,
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

    /// Keys that wait.
    pub(super) fn pending(&self) -> u64 {
        self.tables.iter().map(|table| table.len() as u64).sum()
    }

    /// Keys that have been freed here.
    pub(super) fn freed(&self) -> u64 {
        self.freed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.indexes.is_empty()
    }

    /// Frees up to `limit` things. Returns whether more wait.
    pub(super) fn step(&mut self, limit: usize) -> bool {
        let mut left = limit;
        while left > 0 {
            if let Some(table) = self.tables.last_mut() {
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
