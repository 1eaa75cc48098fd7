//! The expiry index: the keys of a database that expire, ordered by time.

use std::collections::BTreeSet;

use crate::rng::Rng;

/// The expiry index of a database, earliest time first.
///
/// A key is identified by its hash, so that an item takes sixteen bytes however long the key is; a
/// lookup compares the expiry time as well. Two keys with the same hash and the same time, should
/// that ever happen, share an item: one of them is then deleted only when it is next accessed.
#[derive(Clone, Debug, Default)]
pub(super) struct ExpiryIndex {
    times: BTreeSet<(u64, u64)>,
    /// The number of keys that expire.
    count: usize,
    /// The sum of their expiry times in milliseconds.
    sum: u128,
}

impl ExpiryIndex {
    /// The accounted size of an item in bytes: sixteen, in tree nodes that are mostly three
    /// quarters full.
    const ENTRY_BYTES: usize = 24;

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn memory(&self) -> usize {
        self.count * Self::ENTRY_BYTES
    }

    /// The average TTL at `now_ms` in milliseconds; 0 if no key expires.
    pub(super) fn mean_ttl(&self, now_ms: u64) -> u64 {
        let mean = self.sum.checked_div(self.count as u128).unwrap_or(0);
        u64::try_from(mean).unwrap_or(u64::MAX).saturating_sub(now_ms)
    }

    /// Records that a key's expiry time has changed from `old` to `new`.
    #[inline]
    pub(super) fn moved(&mut self, hash: u64, old: Option<u64>, new: Option<u64>) {
        if old == new {
            return;
        }
        if let Some(at) = old {
            self.times.remove(&(at, hash));
            self.count -= 1;
            self.sum -= u128::from(at);
        }
        if let Some(at) = new {
            self.times.insert((at, hash));
            self.count += 1;
            self.sum += u128::from(at);
        }
    }

    /// The earliest expiry time, with the hash of its key.
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        self.times.first().copied()
    }

    /// Up to `count` consecutive items, starting at a random time.
    pub(super) fn run(&self, rng: &mut Rng, count: usize) -> impl Iterator<Item = (u64, u64)> {
        let first = self.times.first().map_or(0, |(at, _)| *at);
        let last = self.times.last().map_or(0, |(at, _)| *at);
        let span = (last - first).saturating_add(1);
        let start = (first.saturating_add(rng.below(span)), rng.u64());
        self.times.range(start..).chain(self.times.range(..start)).take(count).copied()
    }

    /// Removes an item that belongs to no key.
    pub(super) fn forget(&mut self, entry: (u64, u64)) {
        self.times.remove(&entry);
    }

    /// Frees up to `limit` items of a discarded index. Returns how many.
    pub(super) fn free_some(&mut self, limit: usize) -> usize {
        (0..limit).take_while(|_| self.times.pop_first().is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_order_and_the_mean_follows() {
        let mut index = ExpiryIndex::default();
        assert_eq!((index.first(), index.mean_ttl(5)), (None, 0));
        index.moved(1, None, Some(300));
        index.moved(2, None, Some(100));
        index.moved(3, None, None);
        assert_eq!((index.first(), index.count(), index.mean_ttl(50)), (Some((100, 2)), 2, 150));
        index.moved(2, Some(100), Some(500));
        assert_eq!((index.first(), index.mean_ttl(50)), (Some((300, 1)), 350));
        index.moved(1, Some(300), None);
        index.moved(2, Some(500), None);
        assert_eq!((index.first(), index.count(), index.mean_ttl(50)), (None, 0, 0));
    }
}
