//! Sampling keys as candidates for eviction.

use super::db::DbMut;
use super::entry::Entry;

/// Draws per wanted key above which the expiry index is sampled instead of the table.
const DRAWS: usize = 4;

impl DbMut<'_> {
    /// Passes about `count` random keys to `show`, only keys that expire if `volatile`. A key may
    /// come twice.
    pub fn sample(&mut self, volatile: bool, count: usize, mut show: impl FnMut(&Entry)) {
        let mut left = count;
        let expiring = self.db.expires.count();
        if volatile && expiring == 0 {
            return;
        }
        // If few keys expire, sampling all keys would seldom find one of them.
        if !volatile || expiring.saturating_mul(DRAWS) >= self.db.table.len() {
            for _ in 0..count.saturating_mul(2 * DRAWS) {
                if left == 0 {
                    return;
                }
                let Some(slot) = self.db.table.random(&mut self.env.rng) else { return };
                let entry = self.db.table.get(slot);
                if !volatile || entry.expire().is_some() {
                    show(entry);
                    left -= 1;
                }
            }
        }
        if volatile {
            for (at, hash) in self.db.expires.run(&mut self.env.rng, left) {
                let slot = self.db.table.find_by_hash(hash, |entry| entry.expire() == Some(at));
                if let Some(slot) = slot {
                    show(self.db.table.get(slot));
                }
            }
        }
    }

    /// The key with the earliest expiry time.
    pub fn first_to_expire(&self) -> Option<&Entry> {
        let (at, hash) = self.db.expires.first()?;
        let slot = self.db.table.find_by_hash(hash, |entry| entry.expire() == Some(at))?;
        Some(self.db.table.get(slot))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::store::{Keyed, Keyspace, NewExpire, StringRef};

    #[test]
    fn samples_come_from_all_keys_or_from_those_that_expire() {
        for expiring in [1, 10, 600] {
            let mut keyspace = Keyspace::new(1, 7);
            let mut db = keyspace.db(0);
            for n in 0..1_000 {
                let name = n.to_string();
                let at = if n < expiring { NewExpire::At(1_000 + n) } else { NewExpire::Never };
                db.set_string(db.key(name.as_bytes()), StringRef::Bytes(b"v"), at);
            }
            let mut seen = BTreeSet::new();
            for _ in 0..2_000 {
                db.sample(true, 5, |entry| {
                    assert!(entry.expire().is_some());
                    seen.insert(entry.key().to_vec());
                });
            }
            assert_eq!(seen.len() as u64, expiring);
            assert_eq!(db.first_to_expire().map(|entry| entry.key()), Some(&b"0"[..]));
            let mut shown = 0;
            db.sample(false, 5, |_| shown += 1);
            assert_eq!(shown, 5);
        }
    }
}
