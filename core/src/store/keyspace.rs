//! The keyspace: all databases of a server.

use super::db::{Db, DbMut, Env, ExpireMode};
use super::entry::Entry;
use super::lazyfree::{Flush, LazyFree};
use super::table::{HashSeed, Keyed};
use crate::rng::Rng;
use crate::sharding::Slot;

/// The keyspace: all databases of a server.
///
/// Databases are numbered from 0; each is created when it is first used.
#[derive(Clone, Debug)]
pub struct Keyspace {
    /// State that all databases share: the time, the modes, the counters. The caller of commands
    /// sets [`Env::now_ms`] before each and takes [`Env::key_events`] after each.
    pub env: Env,
    dbs: Vec<Db>,
    count: usize,
    last_snapshot: u64,
    /// Bytes that databases which were dropped had copied for the last snapshot.
    copied: u64,
    /// Databases that were flushed while a snapshot still needs them.
    detached: Vec<Db>,
}

impl Keyspace {
    /// A keyspace of `count` empty databases. The seed determines the hash order of keys and the
    /// choice of random keys, and nothing else.
    pub fn new(count: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let seed = HashSeed::new(rng.u64(), rng.u64());
        Self {
            env: Env {
                now_ms: 0,
                access: Default::default(),
                expire_mode: ExpireMode::Delete,
                touch: true,
                report_misses: false,
                key_events: Vec::new(),
                hidden_slots: Vec::new(),
                hits: 0,
                misses: 0,
                expired: 0,
                seed,
                rng,
                lazyfree: LazyFree::default(),
            },
            dbs: Vec::new(),
            count: count.max(1),
            last_snapshot: 0,
            copied: 0,
            detached: Vec::new(),
        }
    }

    /// The seed that makes the hash functions of collections unpredictable.
    pub fn seed(&self) -> u64 {
        self.env.seed.word()
    }

    /// Partitions the keys by slot from now on (cluster mode). The keyspace must be empty.
    pub fn partition_by_slot(&mut self) {
        self.env.seed = self.env.seed.by_slot();
        self.dbs.clear();
    }

    /// Whether the keys are partitioned by slot: only the first database is in use then.
    pub fn is_by_slot(&self) -> bool {
        self.env.seed.is_by_slot()
    }

    /// The number of keys of the first database in a slot, expired or not; 0 unless keys are
    /// partitioned by slot.
    pub fn count_in_slot(&self, slot: Slot) -> usize {
        self.dbs.first().map_or(0, |db| db.table.len_of_slot(slot))
    }

    /// The keys of the first database in a slot, expired or not.
    pub fn keys_in_slot(&self, slot: Slot) -> impl Iterator<Item = &[u8]> {
        let entries = self.dbs.first().into_iter().flat_map(move |db| db.table.iter_slot(slot));
        entries.map(Entry::key)
    }

    /// The slots in which the first database has keys, in order.
    pub fn slots_with_keys(&self) -> impl Iterator<Item = Slot> {
        self.dbs.first().into_iter().flat_map(|db| db.table.slots_with_keys())
    }

    /// The number of databases.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A database. For an index out of range, the last one.
    #[inline(always)]
    pub fn db(&mut self, index: usize) -> DbMut<'_> {
        let index = index.min(self.count - 1);
        self.make(index);
        DbMut { env: &mut self.env, db: &mut self.dbs[index], index }
    }

    /// The databases that hold keys: index, number of keys, and number of keys with an expiry time.
    pub fn summary(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..)
            .zip(&self.dbs)
            .filter(|(_, db)| !db.table.is_empty())
            .map(|(index, db)| (index, db.table.len(), db.expires.count()))
    }

    /// The average TTL in milliseconds of the keys of a database that expire.
    pub fn mean_ttl(&self, index: usize, now_ms: u64) -> u64 {
        self.dbs.get(index).map_or(0, |db| db.expires.mean_ttl(now_ms))
    }

    /// Looks up a key, expired or not, without side effects.
    pub fn peek(&self, index: usize, key: &[u8]) -> Option<&Entry> {
        let table = &self.dbs.get(index)?.table;
        Some(table.get(table.find(self.env.seed.hash(key), key)?))
    }

    /// Iterates over all keys of a database, expired or not, in the order of [`DbMut::scan`].
    pub fn entries(&self, index: usize) -> impl Iterator<Item = &Entry> {
        self.dbs.get(index).into_iter().flat_map(|db| db.table.iter())
    }

    /// Bytes used by keys, values and tables, as an allocator with size classes would count them.
    /// The same on every platform.
    pub fn memory(&self) -> usize {
        self.dbs.iter().chain(&self.detached).map(Db::memory).sum()
    }

    /// The overhead of one database in bytes: of its hash table, and of its expiry index.
    pub fn overheads(&self, index: usize) -> [usize; 2] {
        self.dbs.get(index).map_or([0; 2], |db| [db.table.overhead(), db.expires.memory()])
    }

    /// Exchanges the contents of two databases.
    pub fn swap(&mut self, a: usize, b: usize) {
        if a < self.count && b < self.count {
            self.make(a.max(b));
            self.dbs.swap(a, b);
        }
    }

    /// Deletes all keys of one database, or of all. Returns the number of keys.
    pub fn flush(&mut self, index: Option<usize>, how: Flush) -> u64 {
        let mut removed = 0;
        for (number, db) in (0..).zip(&mut self.dbs) {
            if index.is_some_and(|index| index != number) {
                continue;
            }
            let old = core::mem::replace(db, Db::new(self.env.seed));
            removed += old.table.len() as u64;
            if old.table.in_snapshot() {
                self.detached.push(old);
            } else {
                self.env.lazyfree.add_tables(old.table, old.expires, how);
            }
        }
        removed
    }

    /// Deletes up to `limit` expired keys. Returns how many; the deletions are reported in
    /// [`Env::key_events`].
    pub fn expire_step(&mut self, limit: usize) -> usize {
        if self.env.expire_mode != ExpireMode::Delete {
            return 0;
        }
        let mut count = 0;
        for (index, db) in (0..).zip(&mut self.dbs) {
            if count < limit {
                count += DbMut { env: &mut self.env, db, index }.expire_step(limit - count);
            }
        }
        count
    }

    /// The earliest expiry time of any key, in milliseconds since 1970.
    pub fn next_expiry(&self) -> Option<u64> {
        let first = self.dbs.iter().filter_map(|db| db.expires.first()).min()?;
        Some(first.0.saturating_add(1))
    }

    /// Frees up to `limit` keys of flushed databases. Returns whether more are pending.
    pub fn free_step(&mut self, limit: usize) -> bool {
        self.env.lazyfree.step(limit)
    }

    /// Whether [`Self::free_step`] has anything to free.
    pub fn has_pending_frees(&self) -> bool {
        !self.env.lazyfree.is_empty()
    }

    /// The number of keys to be freed lazily (`lazyfree_pending_objects`).
    pub fn free_pending(&self) -> u64 {
        self.env.lazyfree.pending()
    }

    /// The number of keys that were freed lazily (`lazyfreed_objects`).
    pub fn lazily_freed(&self) -> u64 {
        self.env.lazyfree.freed()
    }

    /// Resets the count of lazily freed keys (CONFIG RESETSTAT).
    pub fn reset_lazily_freed(&mut self) {
        self.env.lazyfree.reset_freed();
    }

    /// Frees a copy that is no longer needed; a large one lazily.
    pub fn free_copy_later(&mut self, copy: Entry) {
        self.env.lazyfree.add_copy(copy);
    }

    /// Starts a snapshot of the current content of all databases. A snapshot in progress is
    /// abandoned.
    pub fn begin_snapshot(&mut self) {
        self.end_snapshot();
        self.last_snapshot += 1;
        self.copied = 0;
        for (index, db) in (0..).zip(&mut self.dbs) {
            db.snapshot_index = index;
            db.table.begin_snapshot(self.last_snapshot);
        }
    }

    /// Starts a snapshot of the current content of these slots of the first database. A snapshot in
    /// progress is abandoned.
    pub fn begin_snapshot_of(&mut self, slots: &[Slot]) {
        self.end_snapshot();
        self.last_snapshot += 1;
        self.copied = 0;
        if let Some(db) = self.dbs.first_mut() {
            db.snapshot_index = 0;
            db.table.begin_snapshot_of(self.last_snapshot, slots);
        }
    }

    /// Passes at least `count` keys of the snapshot, with the index of their database, to `sink`,
    /// unless the snapshot ends before. Returns whether it has ended.
    ///
    /// Keys that were copied because they changed come first, so that the copies are not kept long;
    /// keys of one database may therefore come in several runs.
    pub fn snapshot_step(&mut self, count: usize, mut sink: impl FnMut(usize, &Entry)) -> bool {
        let mut left = count;
        while left > 0 {
            let all = || self.detached.iter().chain(&self.dbs);
            let waits = all().position(|db| db.table.snapshot_pending() > 0);
            let Some(next) = waits.or_else(|| all().position(|db| db.table.in_snapshot())) else {
                return true;
            };
            let detached = self.detached.len();
            let db = match self.detached.get_mut(next) {
                Some(db) => db,
                None => &mut self.dbs[next - detached],
            };
            let index = db.snapshot_index;
            let lazyfree = &mut self.env.lazyfree;
            let count = left.min(SNAPSHOT_RUN);
            let show = |entry: &Entry| {
                left = left.saturating_sub(1);
                sink(index, entry);
            };
            let ended = db.table.snapshot_step(count, show, |copy| lazyfree.add_copy(copy));
            // An empty range of buckets counts as work, too.
            left = left.saturating_sub(1);
            if ended && next < detached {
                let db = self.detached.remove(next);
                self.copied += db.table.snapshot_copied();
                self.env.lazyfree.add_tables(db.table, db.expires, Flush::Sync);
            }
        }
        false
    }

    /// The number of keys that were copied because they changed and are not yet passed to the sink.
    pub fn snapshot_pending(&self) -> usize {
        self.detached.iter().chain(&self.dbs).map(|db| db.table.snapshot_pending()).sum()
    }

    /// Whether these copies hold more than so many bytes of their own; an estimate, since a
    /// collection shares most of its memory with the current version.
    pub fn snapshot_holds_more(&self, bytes: usize) -> bool {
        let tables = || self.detached.iter().chain(&self.dbs).map(|db| &db.table);
        tables().map(|table| table.snapshot_held_at_most()).sum::<usize>() > bytes
            && tables().map(|table| table.snapshot_held()).sum::<usize>() > bytes
    }

    /// Bytes of keys that were copied for the current or the last snapshot because they changed
    /// while it ran (copy-on-write).
    pub fn snapshot_copied(&self) -> u64 {
        let tables = self.detached.iter().chain(&self.dbs);
        self.copied + tables.map(|db| db.table.snapshot_copied()).sum::<u64>()
    }

    /// Abandons the snapshot in progress.
    pub fn end_snapshot(&mut self) {
        for db in self.dbs.iter_mut().chain(&mut self.detached) {
            db.table.end_snapshot(|copy| self.env.lazyfree.add_copy(copy));
        }
        for db in self.detached.drain(..) {
            self.copied += db.table.snapshot_copied();
            self.env.lazyfree.add_tables(db.table, db.expires, Flush::Sync);
        }
    }

    /// A separate empty keyspace with the same settings, to be filled and then passed to
    /// [`Self::adopt`].
    pub fn staging(&mut self) -> Keyspace {
        let mut staging = Keyspace::new(self.count, self.env.rng.u64());
        staging.env.seed = self.env.seed;
        staging.env.access = self.env.access;
        staging
    }

    /// Replaces the content of all databases by that of a keyspace from [`Self::staging`]. The old
    /// content is freed as `how` says; a snapshot in progress still gets it.
    pub fn adopt(&mut self, mut staging: Keyspace, how: Flush) {
        self.flush(None, how);
        staging.end_snapshot();
        self.dbs = core::mem::take(&mut staging.dbs);
    }

    #[inline(always)]
    fn make(&mut self, index: usize) {
        if self.dbs.len() <= index {
            self.add_dbs(index);
        }
    }

    /// Adds empty databases, up to this index.
    #[cold]
    fn add_dbs(&mut self, index: usize) {
        self.dbs.resize_with(index + 1, || Db::new(self.env.seed));
    }
}

/// The number of keys after which a snapshot checks again for changed keys.
const SNAPSHOT_RUN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{KeyEvent, KeyEventKind, Keyed, NewExpire, StringRef};

    fn keyspace(now_ms: u64) -> Keyspace {
        let mut keyspace = Keyspace::new(16, 1);
        keyspace.env.now_ms = now_ms;
        keyspace
    }

    fn set(keyspace: &mut Keyspace, db: usize, key: &str, value: &str, expire: NewExpire) {
        let mut db = keyspace.db(db);
        let key = db.key(key.as_bytes());
        db.set_string(key, StringRef::compact(value.as_bytes()), expire);
    }

    fn get(keyspace: &mut Keyspace, db: usize, key: &str) -> Option<String> {
        let mut db = keyspace.db(db);
        let value = db.read(db.key(key.as_bytes()))?.string()?.to_vec();
        String::from_utf8(value).ok()
    }

    fn taken(keyspace: &mut Keyspace) -> Vec<(usize, String)> {
        let told = core::mem::take(&mut keyspace.env.key_events).into_iter();
        told.map(|KeyEvent { db, key, kind }| {
            assert_eq!(kind, KeyEventKind::Expired);
            (db, String::from_utf8_lossy(&key).into_owned())
        })
        .collect()
    }

    #[test]
    fn keys_expire_in_order_and_are_reported() {
        let mut keyspace = keyspace(0);
        for (db, key, at) in [(0, "c", 30), (0, "a", 10), (3, "b", 20), (3, "d", 40)] {
            set(&mut keyspace, db, key, "v", NewExpire::At(at));
        }
        set(&mut keyspace, 0, "never", "v", NewExpire::Never);
        assert_eq!(keyspace.next_expiry(), Some(11));
        assert_eq!(keyspace.summary().collect::<Vec<_>>(), [(0, 3, 2), (3, 2, 2)]);
        assert_eq!((keyspace.mean_ttl(0, 0), keyspace.mean_ttl(3, 10)), (20, 20));
        keyspace.env.now_ms = 10;
        assert_eq!(keyspace.expire_step(10), 0);
        keyspace.env.now_ms = 31;
        assert_eq!(keyspace.expire_step(2), 2);
        assert_eq!(taken(&mut keyspace), [(0, "a".into()), (0, "c".into())]);
        // An expired key that is accessed is deleted immediately.
        assert_eq!(get(&mut keyspace, 3, "b"), None);
        assert_eq!(taken(&mut keyspace), [(3, "b".into())]);
        assert_eq!(keyspace.env.expired, 3);
        assert_eq!(keyspace.next_expiry(), Some(41));
    }

    #[test]
    fn a_replica_hides_expired_keys_and_keeps_them() {
        let mut keyspace = keyspace(0);
        set(&mut keyspace, 0, "k", "v", NewExpire::At(10));
        keyspace.env.now_ms = 50;
        keyspace.env.expire_mode = ExpireMode::Hide;
        assert_eq!(get(&mut keyspace, 0, "k"), None);
        assert_eq!(keyspace.expire_step(10), 0);
        assert!(keyspace.db(0).random().is_none());
        assert_eq!(keyspace.db(0).len(), 1);
        keyspace.env.expire_mode = ExpireMode::Ignore;
        assert_eq!(get(&mut keyspace, 0, "k").as_deref(), Some("v"));
        keyspace.env.expire_mode = ExpireMode::Delete;
        assert_eq!(get(&mut keyspace, 0, "k"), None);
        assert_eq!(keyspace.db(0).len(), 0);
    }

    #[test]
    fn setting_a_key_keeps_moves_or_ends_its_expiry() {
        let mut keyspace = keyspace(0);
        let expire = |keyspace: &mut Keyspace| {
            let mut db = keyspace.db(0);
            db.probe(db.key(b"k")).and_then(|entry| entry.expire())
        };
        set(&mut keyspace, 0, "k", "abc", NewExpire::At(10));
        set(&mut keyspace, 0, "k", "xyz", NewExpire::Keep);
        assert_eq!(expire(&mut keyspace), Some(10));
        set(&mut keyspace, 0, "k", "xyz", NewExpire::At(20));
        assert_eq!((expire(&mut keyspace), keyspace.next_expiry()), (Some(20), Some(21)));
        set(&mut keyspace, 0, "k", "xyz", NewExpire::Never);
        assert_eq!((expire(&mut keyspace), keyspace.next_expiry()), (None, None));
    }

    #[test]
    fn memory_is_released_when_keys_are_deleted() {
        let mut keyspace = keyspace(0);
        for n in 0..20_000 {
            set(&mut keyspace, 0, &format!("key:{n}"), &"x".repeat(64), NewExpire::At(1_000 + n));
        }
        let each = keyspace.memory() / 20_000;
        assert!((100..145).contains(&each), "{each} bytes a key");
        for n in 0..20_000 {
            let name = format!("key:{n}");
            let mut db = keyspace.db(0);
            assert!(db.remove(db.key(name.as_bytes())));
        }
        assert_eq!(keyspace.memory(), 0);
    }

    #[test]
    fn a_flushed_database_is_freed_in_slices() {
        let mut keyspace = keyspace(0);
        for (db, how) in [(0, Flush::Async), (1, Flush::Sync)] {
            for n in 0..1_000 {
                set(&mut keyspace, db, &n.to_string(), "v", NewExpire::At(5 + n));
            }
            assert_eq!(keyspace.flush(Some(db), how), 1_000);
            assert_eq!((keyspace.memory(), keyspace.next_expiry()), (0, None));
            assert_eq!(get(&mut keyspace, db, "7"), None);
        }
        assert_eq!(keyspace.free_pending(), 1_000);
        let mut steps = 0;
        while keyspace.free_step(100) {
            steps += 1;
        }
        assert!(steps >= 39, "{steps}");
        assert_eq!((keyspace.free_pending(), keyspace.lazily_freed()), (0, 1_000));
        assert!(!keyspace.has_pending_frees());
    }

    #[test]
    fn a_snapshot_survives_flushes_and_swaps() {
        let mut keyspace = keyspace(0);
        let mut expected = Vec::new();
        for db in [0, 1, 5] {
            for n in 0..500 {
                let name = format!("{db}:{n}");
                set(&mut keyspace, db, &name, "old", NewExpire::Never);
                expected.push((db, name, "old".to_string()));
            }
        }
        keyspace.begin_snapshot();
        let mut got = Vec::new();
        let mut ended = false;
        for round in 0.. {
            match round {
                1 => keyspace.swap(0, 1),
                2 => _ = keyspace.flush(Some(0), Flush::Async),
                3 => (0..500).for_each(|n| {
                    set(&mut keyspace, 5, &format!("5:{n}"), "new", NewExpire::Never);
                }),
                4 => _ = keyspace.flush(None, Flush::Sync),
                5 => set(&mut keyspace, 9, "late", "new", NewExpire::Never),
                _ if ended => break,
                _ => {}
            }
            ended = keyspace.snapshot_step(100, |db, entry| {
                let value = entry.value().string().map(StringRef::to_vec).unwrap_or_default();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                got.push((db, text(entry.key()), text(&value)));
            });
        }
        expected.sort();
        got.sort();
        assert_eq!(got, expected);
        while keyspace.free_step(1_000) {}
        assert_eq!(keyspace.db(9).len(), 1);
    }

    #[test]
    fn misses_are_events_if_enabled() {
        let mut keyspace = keyspace(0);
        get(&mut keyspace, 0, "k");
        assert!(keyspace.env.key_events.is_empty());
        keyspace.env.report_misses = true;
        get(&mut keyspace, 2, "k");
        let told = core::mem::take(&mut keyspace.env.key_events);
        assert_eq!(told, [KeyEvent { db: 2, key: (*b"k").into(), kind: KeyEventKind::Missed }]);
        assert_eq!((keyspace.env.hits, keyspace.env.misses), (0, 2));
    }
}
