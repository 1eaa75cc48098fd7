//! One database: keys, values and expiry times.

use super::access::{AccessClock, AccessPolicy};
use super::entry::Entry;
use super::expiry::ExpiryIndex;
use super::lazyfree::LazyFree;
use super::table::{HashSeed, Keyed};
use super::tables::{Place, Tables};
use super::value::{Collection, StringRef, Value, ValueRef};
use crate::rng::Rng;
use crate::sharding::Slot;

/// Access to one database of a [`super::Keyspace`], with the state that all databases share.
#[derive(Debug)]
pub struct DbMut<'a> {
    pub(super) env: &'a mut Env,
    pub(super) db: &'a mut Db,
    pub(super) index: usize,
}

/// A key with its hash, which is computed once for several lookups.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    /// The key.
    pub bytes: &'k [u8],
    hash: u64,
}

/// Whether a key exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The key does not exist.
    Absent,
    /// The key exists and has not expired.
    Live,
    /// The key has expired, and is not deleted yet.
    Expired,
}

/// The error that a key holds a value of another type than the command works on (WRONGTYPE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// The expiry time of a key whose value is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewExpire {
    /// None: the key does not expire any more.
    Never,
    /// The same as before (KEEPTTL).
    Keep,
    /// This time, in milliseconds since 1970.
    At(u64),
}

/// The treatment of expired keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ExpireMode {
    /// They are deleted.
    #[default]
    Delete,
    /// They are hidden, and kept until they are deleted explicitly: on a replica, which waits for
    /// its primary, and while clients are paused.
    Hide,
    /// They are visible, as if not expired: for commands from the primary and for loading from
    /// disk, which are executed as they were when they were written.
    Ignore,
}

/// A key event that a command caused only indirectly: the key expired, or a lookup missed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// The database.
    pub db: usize,
    /// The key.
    pub key: Box<[u8]>,
    /// The kind of event.
    pub kind: KeyEventKind,
}

/// The kinds of [`KeyEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEventKind {
    /// The key expired and was deleted. This must be propagated to replicas and the AOF.
    Expired,
    /// A read command did not find the key. Reported only with [`Env::report_misses`].
    Missed,
}

/// The state that all databases share.
#[derive(Clone, Debug)]
pub struct Env {
    /// The wall clock in milliseconds since 1970, fixed for the command that is executed.
    pub now_ms: u64,
    /// The meaning of the access clocks.
    pub access: AccessPolicy,
    /// The treatment of expired keys.
    pub expire_mode: ExpireMode,
    /// Whether a lookup counts as an access (not with `CLIENT NO-TOUCH`).
    pub touch: bool,
    /// Whether [`KeyEventKind::Missed`] is reported.
    pub report_misses: bool,
    /// Key events since the last command, oldest first. The caller of a command takes them
    /// afterwards.
    pub key_events: Vec<KeyEvent>,
    /// Slots, in order, whose keys are not listed, counted or sampled, because this node does not
    /// own them (yet). Lookups find them.
    pub hidden_slots: Vec<Slot>,
    /// Read lookups that found the key (`keyspace_hits`).
    pub hits: u64,
    /// Read lookups that did not (`keyspace_misses`).
    pub misses: u64,
    /// Keys that expired and were deleted (`expired_keys`).
    pub expired: u64,
    pub(super) seed: HashSeed,
    pub(super) rng: Rng,
    pub(super) lazyfree: LazyFree,
}

#[derive(Clone, Debug)]
pub(super) struct Db {
    pub(super) table: Tables,
    pub(super) expires: ExpiryIndex,
    /// The index of this database in the snapshot in progress.
    pub(super) snapshot_index: usize,
}

/// The number of keys from which on a table does not fit into the core's caches.
const LARGE: usize = 10_000;

impl Db {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self { table: Tables::new(seed), expires: ExpiryIndex::default(), snapshot_index: 0 }
    }

    pub(super) fn memory(&self) -> usize {
        self.table.memory() + self.expires.memory()
    }
}

impl<'a> DbMut<'a> {
    /// The index of this database.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The state that all databases share.
    pub fn env(&mut self) -> &mut Env {
        self.env
    }

    /// The wall clock in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.env.now_ms
    }

    /// A hashed key, for lookups here or in any other database of the keyspace.
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: self.env.seed.hash(bytes) }
    }

    /// Whether the database is so large that most lookups wait for main memory, so that
    /// [`Self::prefetch`] pays off.
    #[inline]
    pub fn is_large(&self) -> bool {
        self.db.table.len() >= LARGE
    }

    /// Prefetches for lookups of up to [`PREFETCH_BATCH`](super::PREFETCH_BATCH) keys, which will
    /// then be faster if the database is large. It has no visible effect.
    #[inline]
    pub fn prefetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        if self.is_large() {
            self.db.table.prefetch(keys);
        }
    }

    /// Prefetches for lookups of elements: of each key the element at the same index. Consecutive
    /// lookups in one large set or hash will then be faster. It has no visible effect.
    pub fn prefetch_elements(&self, keys: &[&[u8]], elements: &[&[u8]]) {
        let mut from = 0;
        while let Some(key) = keys.get(from) {
            let run = keys[from..].iter().take_while(|other| *other == key).count();
            if run > 1
                && let Some(value) = self.peek(self.key(key))
            {
                value.prefetch(elements.iter().skip(from).take(run).copied());
            }
            from += run;
        }
    }

    /// The number of keys, including expired ones that are not deleted yet.
    pub fn len(&self) -> usize {
        self.db.table.len()
    }

    /// The number of keys, without those in [`Env::hidden_slots`].
    pub fn visible_len(&self) -> usize {
        let hidden = self.env.hidden_slots.iter().map(|slot| self.db.table.len_of_slot(*slot));
        self.db.table.len() - hidden.sum::<usize>()
    }

    /// Whether it has no keys.
    pub fn is_empty(&self) -> bool {
        self.db.table.is_empty()
    }

    /// The number of keys that expire.
    pub fn expiring(&self) -> usize {
        self.db.expires.count()
    }

    /// Looks up a key to read its value: counts a hit or a miss, and an access.
    #[inline]
    pub fn read(&mut self, key: Key<'_>) -> Option<ValueRef<'_>> {
        let slot = self.counted(key)?;
        Some(self.access(slot).value())
    }

    /// Looks up a key for its metadata (TYPE, TTL, OBJECT): counts a hit or a miss, but no access.
    pub fn inspect(&mut self, key: Key<'_>) -> Option<&Entry> {
        let slot = self.counted(key)?;
        Some(self.db.table.get(slot))
    }

    /// Looks up a key to change it: counts an access, but neither a hit nor a miss.
    #[inline]
    pub fn probe(&mut self, key: Key<'_>) -> Option<&Entry> {
        let slot = self.live(key)?;
        Some(self.access(slot))
    }

    /// Whether a key exists; counts nothing, and does not delete an expired key.
    pub fn presence(&self, key: Key<'_>) -> Presence {
        match self.db.table.find_entry(key.hash, key.bytes) {
            None => Presence::Absent,
            Some((_, entry)) if self.env.has_expired(entry) => Presence::Expired,
            Some(_) => Presence::Live,
        }
    }

    /// Whether a key exists; counts nothing.
    pub fn contains(&mut self, key: Key<'_>) -> bool {
        self.live(key).is_some()
    }

    /// Sets a key to a string. Returns whether the key is new.
    #[inline]
    pub fn set_string(&mut self, key: Key<'_>, value: StringRef<'_>, expire: NewExpire) -> bool {
        let Some((slot, old_expire, clock)) = self.live_or_replaceable(key) else {
            let expire = match expire {
                NewExpire::At(at) => Some(at),
                NewExpire::Never | NewExpire::Keep => None,
            };
            let entry = Entry::string(key.bytes, value, expire, self.env.new_clock());
            self.db.expires.moved(key.hash, None, expire);
            self.db.table.insert(key.hash, entry);
            return true;
        };
        let new_expire = match expire {
            NewExpire::Never => None,
            NewExpire::Keep => old_expire,
            NewExpire::At(at) => Some(at),
        };
        let clock = clock.touched(self.env.access, self.env.now_ms, &mut self.env.rng);
        let old = self.db.table.change(slot, |entry| {
            if entry.overwrite(value, new_expire) {
                entry.set_clock(clock);
                None
            } else {
                let new = Entry::string(key.bytes, value, new_expire, clock);
                Some(core::mem::replace(entry, new))
            }
        });
        if let Some(old) = old {
            self.env.lazyfree.add_entry(old);
        }
        self.db.expires.moved(key.hash, old_expire, new_expire);
        false
    }

    /// Stores an entry under its key, replacing an existing one.
    pub fn put(&mut self, key: Key<'_>, entry: Entry) {
        debug_assert_eq!(key.bytes, entry.key());
        self.remove(key);
        self.db.expires.moved(key.hash, None, entry.expire());
        self.db.table.insert(key.hash, entry);
    }

    /// Stores an entry that comes from disk, expired or not. An existing entry of the key is
    /// replaced with `replace`; otherwise the new entry is returned as the error.
    pub fn load(&mut self, entry: Entry, replace: bool) -> Result<(), Entry> {
        let hash = self.env.seed.hash(entry.key());
        if let Some(slot) = self.db.table.find(hash, entry.key()) {
            if !replace {
                return Err(entry);
            }
            let old = self.cut(slot, hash);
            self.env.lazyfree.add_entry(old);
        }
        self.db.expires.moved(hash, None, entry.expire());
        self.db.table.insert(hash, entry);
        Ok(())
    }

    /// Grows the table by up to `most` buckets towards room for that many additional keys. Returns
    /// whether there is room for all.
    pub fn reserve_step(&mut self, keys: usize, most: usize) -> bool {
        self.db.table.reserve_step(keys, most)
    }

    /// Shrinks the table by up to `most` buckets, where room was reserved for keys that did not
    /// come. Returns whether that was all.
    pub fn shrink_step(&mut self, most: usize) -> bool {
        self.db.table.shrink_step(most)
    }

    /// Removes a key and returns its entry.
    pub fn take(&mut self, key: Key<'_>) -> Option<Entry> {
        let (slot, ..) = self.live_or_replaceable(key)?;
        Some(self.cut(slot, key.hash))
    }

    /// Deletes a key. Returns whether it existed.
    pub fn remove(&mut self, key: Key<'_>) -> bool {
        match self.take(key) {
            Some(entry) => {
                self.env.lazyfree.add_entry(entry);
                true
            }
            None => false,
        }
    }

    /// Deletes a key without a lazy expiry check. Returns whether it existed.
    pub fn discard(&mut self, key: Key<'_>) -> bool {
        let Some(slot) = self.db.table.find(key.hash, key.bytes) else { return false };
        let entry = self.cut(slot, key.hash);
        self.env.lazyfree.add_entry(entry);
        true
    }

    /// Sets a key to a value without an expiry time, replacing an existing one.
    pub fn set_value(&mut self, key: Key<'_>, value: Value) {
        let entry = Entry::new(key.bytes, value, None, self.env.new_clock());
        self.put(key, entry);
    }

    /// Looks up a key to read its collection: counts a hit or a miss, and an access.
    pub fn view<K: Collection>(&mut self, key: Key<'_>) -> Result<Option<K::Ref<'_>>, WrongType> {
        match self.read(key) {
            None => Ok(None),
            Some(value) => K::read(value).map(Some).ok_or(WrongType),
        }
    }

    /// Whether a key exists and holds this type of collection. Counts as [`probe`](Self::probe)
    /// does.
    pub fn check<K: Collection>(&mut self, key: Key<'_>) -> Result<Option<()>, WrongType> {
        match self.probe(key) {
            None => Ok(None),
            Some(entry) => K::read(entry.value()).map(|_| Some(())).ok_or(WrongType),
        }
    }

    /// The value of a key that has not expired. It has no side effects, so that several keys can be
    /// read side by side.
    pub fn peek(&self, key: Key<'_>) -> Option<ValueRef<'_>> {
        let (_, entry) = self.db.table.find_entry(key.hash, key.bytes)?;
        (!self.env.has_expired(entry)).then(|| entry.value())
    }

    /// A cheap copy of a key's current value for iteration. Counts nothing.
    pub fn frozen(&self, key: Key<'_>) -> Option<Entry> {
        let (_, entry) = self.db.table.find_entry(key.hash, key.bytes)?;
        (!self.env.has_expired(entry)).then(|| entry.frozen())
    }

    /// Frees a value that is no longer needed; a large one lazily.
    pub fn free_later(&mut self, value: Value) {
        self.env.lazyfree.add_entry(Entry::new(b"", value, None, AccessClock::default()));
    }

    /// Lets `edit` change the collection of a key. Returns its result, and whether the collection
    /// has become empty, in which case the key is deleted. `None` if the key does not exist. Counts
    /// an access, but neither a hit nor a miss.
    pub fn edit<K: Collection, R>(
        &mut self,
        key: Key<'_>,
        edit: impl FnOnce(&mut K) -> R,
    ) -> Result<Option<(R, bool)>, WrongType> {
        let Some(slot) = self.live(key) else { return Ok(None) };
        self.access(slot);
        let (result, empty) = self.db.table.change(slot, |entry| {
            let result = entry.edit(edit);
            (result, entry.value().elements() == 0)
        });
        if empty {
            self.cut(slot, key.hash);
        }
        result.map(|result| Some((result, empty))).ok_or(WrongType)
    }

    /// The seed that makes the hash functions of collections unpredictable.
    pub fn seed(&self) -> u64 {
        self.env.seed.word()
    }

    /// Sets or removes the expiry time of a key, in milliseconds since 1970. Returns whether the
    /// key exists.
    pub fn set_expire(&mut self, key: Key<'_>, expire: Option<u64>) -> bool {
        let Some(slot) = self.live(key) else { return false };
        let old = self.db.table.get(slot).expire();
        if old != expire {
            self.db.table.change(slot, |entry| entry.set_expire(expire));
            self.db.expires.moved(key.hash, old, expire);
        }
        true
    }

    /// Lets `edit` change the bytes of a string in place, after extending it with zero bytes to
    /// `min_len` if it is shorter. The key is created if it does not exist. `None` if its value is
    /// not a string.
    pub fn edit_string<R>(
        &mut self,
        key: Key<'_>,
        min_len: usize,
        edit: impl FnOnce(&mut [u8]) -> R,
    ) -> Option<R> {
        let slot = match self.live(key) {
            Some(slot) => slot,
            None => {
                self.set_string(key, StringRef::Bytes(b""), NewExpire::Never);
                self.live(key)?
            }
        };
        self.db.table.change(slot, |entry| entry.edit_string(min_len, edit))
    }

    /// All keys that have not expired, in no particular order, without those of hidden slots.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.db.table.iter_without(&self.env.hidden_slots);
        entries.filter(|entry| !self.env.has_expired(entry))
    }

    /// Visits keys from a cursor on, at least `count` unless the end comes first. Returns the next
    /// cursor, 0 at the end. For the guarantees, see [`Table::scan`](super::Table::scan).
    pub fn scan(&mut self, cursor: u64, count: usize, mut visit: impl FnMut(&Entry)) -> u64 {
        let mut expired = Vec::new();
        let env = &self.env;
        let next = self.db.table.scan(cursor, count, &env.hidden_slots, |entry| {
            if env.has_expired(entry) {
                expired.push(entry.key().to_vec());
            } else {
                visit(entry);
            }
        });
        for key in expired {
            self.live(self.key(&key));
        }
        next
    }

    /// A random key that has not expired, uniformly distributed.
    pub fn random(&mut self) -> Option<&Entry> {
        // Where expired keys are only hidden, there may be no other.
        for _ in 0..100 {
            let env = &mut *self.env;
            let slot = self.db.table.random_without(&mut env.rng, &env.hidden_slots)?;
            let entry = self.db.table.get(slot);
            if !self.env.has_expired(entry) {
                return Some(self.db.table.get(slot));
            }
            if self.env.expire_mode == ExpireMode::Delete {
                let hash = self.env.seed.hash(entry.key());
                self.expire(slot, hash);
            }
        }
        self.iter().next()
    }

    /// Deletes up to `limit` expired keys. Returns how many.
    pub(super) fn expire_step(&mut self, limit: usize) -> usize {
        let mut count = 0;
        while count < limit {
            let Some((at, hash)) = self.db.expires.first() else { break };
            if self.env.now_ms <= at {
                break;
            }
            match self.db.table.find_by_hash(hash, |entry| entry.expire() == Some(at)) {
                Some(slot) => self.expire(slot, hash),
                None => self.db.expires.forget((at, hash)),
            }
            count += 1;
        }
        count
    }

    #[inline(always)]
    fn counted(&mut self, key: Key<'_>) -> Option<Place> {
        let slot = self.live(key);
        match slot {
            Some(_) => self.env.hits += 1,
            None => {
                self.env.misses += 1;
                if self.env.report_misses {
                    self.env.report(self.index, key.bytes, KeyEventKind::Missed);
                }
            }
        }
        slot
    }

    /// The location of a key that has not expired. An expired one is treated according to the mode.
    #[inline(always)]
    fn live(&mut self, key: Key<'_>) -> Option<Place> {
        let (slot, entry) = self.db.table.find_entry(key.hash, key.bytes)?;
        if !self.env.has_expired(entry) {
            return Some(slot);
        }
        if self.env.expire_mode == ExpireMode::Delete {
            self.expire(slot, key.hash);
        }
        None
    }

    /// The location of a key, expired or not, with its expiry time and its access clock.
    #[inline(always)]
    fn live_or_replaceable(&mut self, key: Key<'_>) -> Option<(Place, Option<u64>, AccessClock)> {
        let (slot, entry) = self.db.table.find_entry(key.hash, key.bytes)?;
        if self.env.expire_mode == ExpireMode::Delete && self.env.has_expired(entry) {
            self.expire(slot, key.hash);
            return None;
        }
        Some((slot, entry.expire(), entry.clock()))
    }

    /// Counts an access to an entry, and returns it.
    #[inline(always)]
    fn access(&mut self, slot: Place) -> &Entry {
        let entry = self.db.table.get_untracked(slot);
        if self.env.touch {
            let clock = entry.clock();
            entry.set_clock(clock.touched(self.env.access, self.env.now_ms, &mut self.env.rng));
        }
        entry
    }

    #[cold]
    fn expire(&mut self, slot: Place, hash: u64) {
        let entry = self.cut(slot, hash);
        self.env.expired += 1;
        self.env.report(self.index, entry.key(), KeyEventKind::Expired);
        self.env.lazyfree.add_entry(entry);
    }

    fn cut(&mut self, slot: Place, hash: u64) -> Entry {
        let entry = self.db.table.remove(slot);
        self.db.expires.moved(hash, entry.expire(), None);
        entry
    }
}

impl Env {
    /// Whether an entry counts as expired in the current mode.
    #[inline]
    pub fn has_expired(&self, entry: &Entry) -> bool {
        match entry.expire() {
            None => false,
            Some(at) => self.now_ms > at && self.expire_mode != ExpireMode::Ignore,
        }
    }

    /// The access clock of a key that is created now.
    pub fn new_clock(&self) -> AccessClock {
        AccessClock::new(self.access, self.now_ms)
    }

    fn report(&mut self, db: usize, key: &[u8], kind: KeyEventKind) {
        self.key_events.push(KeyEvent { db, key: key.into(), kind });
    }
}
