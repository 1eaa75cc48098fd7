//! One database: keys, values, expiry times.

use super::access::{AccessClock, AccessPolicy};
use super::entry::Entry;
use super::expiry::ExpiryIndex;
use super::lazyfree::LazyFree;
use super::table::{HashSeed, Keyed};
use super::tables::{Place, Tables};
use super::value::{Collection, StringRef, Value, ValueRef};
use crate::rng::Rng;
use crate::sharding::Slot;

/// A database of a [`super::Keyspace`], with what all databases share, for one command to use.
#[derive(Debug)]
pub struct DbMut<'a> {
    pub(super) env: &'a mut Env,
    pub(super) db: &'a mut Db,
    pub(super) index: usize,
}

/// A key with its hash, so that the hash is computed once however often the key is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    /// The key.
    pub bytes: &'k [u8],
    hash: u64,
}

/// Whether a key is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The key is not there.
    Absent,
    /// The key is there, and has not expired.
    Live,
    /// It is still in memory, but its time has come.
    Expired,
}

/// The error that a key holds a value of another type than the command works on (WRONGTYPE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// What becomes of a key's expiry time when its value is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewExpire {
    /// The key does not expire any more.
    Never,
    /// It expires when it would have expired before.
    Keep,
    /// It expires at this time, in milliseconds since 1970.
    At(u64),
}

/// What is done about keys whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ExpireMode {
    /// They are deleted.
    #[default]
    Delete,
    /// They are hidden, and stay until they are deleted by name: a replica waits for its
    /// primary, and a server whose clients are paused for the end of the pause.
    Hide,
    /// They are shown: what a primary sends to its replica, and what is loaded from disk, is
    /// carried out as it was when it was written.
    Ignore,
}

/// An event of a key that no command caused directly: it expired, or a lookup missed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// The database.
    pub db: usize,
    /// The key.
    pub key: Box<[u8]>,
    /// What happened.
    pub kind: KeyEventKind,
}

/// The kinds of [`KeyEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEventKind {
    /// It has been deleted because its time had come. Replicas and the AOF must be told.
    Expired,
    /// A command that reads did not find it. Told only with [`Env::report_misses`].
    Missed,
}

/// What all databases share.
#[derive(Clone, Debug)]
pub struct Env {
    /// The wall clock in milliseconds since 1970, as it stands for the command that runs.
    pub now_ms: u64,
    /// What access clocks count.
    pub access: AccessPolicy,
    /// What is done about keys whose time has come.
    pub expire_mode: ExpireMode,
    /// Whether looking a key up counts as an access to it (`CLIENT NO-TOUCH` says no).
    pub touch: bool,
    /// Whether [`KeyEventKind::Missed`] is told.
    pub report_misses: bool,
    /// Events of keys since the last command, oldest first. The caller of a command drains them
    /// after it.
    pub key_events: Vec<KeyEvent>,
    /// Slots, in order, whose keys are not listed, counted or drawn, because they do not belong to
    /// this node (yet). Lookups find them.
    pub hidden_slots: Vec<Slot>,
    /// Lookups for reading that found the key.
    pub hits: u64,
    /// Lookups for reading that did not.
    pub misses: u64,
    /// Keys deleted because their time had come.
    pub expired: u64,
    pub(super) seed: HashSeed,
    pub(super) rng: Rng,
    pub(super) lazyfree: LazyFree,
}

#[derive(Clone, Debug)]
pub(super) struct Db {
    pub(super) table: Tables,
    pub(super) expires: ExpiryIndex,
    /// The number under which a snapshot that is under way knows this database.
    pub(super) snapshot_index: usize,
}

/// Keys from which on a table does not fit into the caches near a core.
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
    /// The number of this database.
    pub fn index(&self) -> usize {
        self.index
    }

    /// What all databases share.
    pub fn env(&mut self) -> &mut Env {
        self.env
    }

    /// The wall clock in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.env.now_ms
    }

    /// A key, ready to be looked up here or in any other database of the keyspace.
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: self.env.seed.hash(bytes) }
    }

    /// Whether there are so many keys that most lookups wait for main memory, and that it is worth
    /// announcing them with [`Self::warm`].
    #[inline]
    pub fn is_large(&self) -> bool {
        self.db.table.len() >= LARGE
    }

    /// Announces lookups of up to [`AHEAD`](super::AHEAD) keys, which will then be faster if the
    /// database is large. Changes nothing.
    #[inline]
    pub fn warm<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        if self.is_large() {
            self.db.table.warm(keys);
        }
    }

    /// Announces lookups of elements: of each of these keys that of the same place. Where several
    /// follow each other in one large set or hash, they will then be faster. Changes nothing.
    pub fn warm_elements(&self, keys: &[&[u8]], elements: &[&[u8]]) {
        let mut from = 0;
        while let Some(key) = keys.get(from) {
            let run = keys[from..].iter().take_while(|other| *other == key).count();
            if run > 1
                && let Some(value) = self.peek(self.key(key))
            {
                value.warm(elements.iter().skip(from).take(run).copied());
            }
            from += run;
        }
    }

    /// How many keys there are, with those whose time has come and that are not deleted yet.
    pub fn len(&self) -> usize {
        self.db.table.len()
    }

    /// How many keys there are, without those of [`Env::hidden_slots`].
    pub fn visible_len(&self) -> usize {
        let hidden = self.env.hidden_slots.iter().map(|slot| self.db.table.len_of_slot(*slot));
        self.db.table.len() - hidden.sum::<usize>()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.db.table.is_empty()
    }

    /// How many keys expire.
    pub fn expiring(&self) -> usize {
        self.db.expires.count()
    }

    /// Looks a key up to read its value: counts a hit or a miss, and an access.
    #[inline]
    pub fn read(&mut self, key: Key<'_>) -> Option<ValueRef<'_>> {
        let slot = self.counted(key)?;
        Some(self.access(slot).value())
    }

    /// Looks a key up to learn about it (TYPE, TTL, OBJECT): counts a hit or a miss, but no access.
    pub fn inspect(&mut self, key: Key<'_>) -> Option<&Entry> {
        let slot = self.counted(key)?;
        Some(self.db.table.get(slot))
    }

    /// Looks a key up to change it: counts an access, but neither a hit nor a miss.
    #[inline]
    pub fn probe(&mut self, key: Key<'_>) -> Option<&Entry> {
        let slot = self.live(key)?;
        Some(self.access(slot))
    }

    /// Whether a key is there; counts nothing, and leaves it be if its time has come.
    pub fn presence(&self, key: Key<'_>) -> Presence {
        match self.db.table.find_entry(key.hash, key.bytes) {
            None => Presence::Absent,
            Some((_, entry)) if self.env.has_expired(entry) => Presence::Expired,
            Some(_) => Presence::Live,
        }
    }

    /// Whether a key is there; counts nothing.
    pub fn contains(&mut self, key: Key<'_>) -> bool {
        self.live(key).is_some()
    }

    /// Makes a string the value of a key. Returns whether the key had to be created.
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

    /// Puts an entry under its key, replacing what is there.
    pub fn put(&mut self, key: Key<'_>, entry: Entry) {
        debug_assert_eq!(key.bytes, entry.key());
        self.remove(key);
        self.db.expires.moved(key.hash, None, entry.expire());
        self.db.table.insert(key.hash, entry);
    }

    /// Puts an entry that comes from disk under its key, whether its time has come or not. If the
    /// key is there, the entry takes its place with `replace`, and is given back otherwise.
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

    /// Makes room for so many keys as are about to come, for some of them. Returns whether there is
    /// room for all.
    pub fn make_room(&mut self, keys: usize, most: usize) -> bool {
        self.db.table.make_room(keys, most)
    }

    /// Gives room back that was made for keys that did not come, some of it. Returns whether that is
    /// all.
    pub fn give_room_back(&mut self, most: usize) -> bool {
        self.db.table.give_room_back(most)
    }

    /// Takes a key out with all that belongs to it.
    pub fn take(&mut self, key: Key<'_>) -> Option<Entry> {
        let (slot, ..) = self.live_or_replaceable(key)?;
        Some(self.cut(slot, key.hash))
    }

    /// Deletes a key. Returns whether it was there.
    pub fn remove(&mut self, key: Key<'_>) -> bool {
        match self.take(key) {
            Some(entry) => {
                self.env.lazyfree.add_entry(entry);
                true
            }
            None => false,
        }
    }

    /// Deletes a key without a lazy expiry check. Returns whether it was there.
    pub fn discard(&mut self, key: Key<'_>) -> bool {
        let Some(slot) = self.db.table.find(key.hash, key.bytes) else { return false };
        let entry = self.cut(slot, key.hash);
        self.env.lazyfree.add_entry(entry);
        true
    }

    /// Makes a value the value of a key that does not expire, replacing what is there.
    pub fn set_value(&mut self, key: Key<'_>, value: Value) {
        let entry = Entry::new(key.bytes, value, None, self.env.new_clock());
        self.put(key, entry);
    }

    /// Looks a key up to read the collection that it holds: counts a hit or a miss, and an access.
    pub fn view<K: Collection>(&mut self, key: Key<'_>) -> Result<Option<K::Ref<'_>>, WrongType> {
        match self.read(key) {
            None => Ok(None),
            Some(value) => K::read(value).map(Some).ok_or(WrongType),
        }
    }

    /// Whether a key is there and holds a collection of this kind. Counts as
    /// [`probe`](Self::probe) does.
    pub fn check<K: Collection>(&mut self, key: Key<'_>) -> Result<Option<()>, WrongType> {
        match self.probe(key) {
            None => Ok(None),
            Some(entry) => K::read(entry.value()).map(|_| Some(())).ok_or(WrongType),
        }
    }

    /// The value of a key that has not expired. Counts nothing and changes nothing, so that several
    /// keys can be looked at side by side.
    pub fn peek(&self, key: Key<'_>) -> Option<ValueRef<'_>> {
        let (_, entry) = self.db.table.find_entry(key.hash, key.bytes)?;
        (!self.env.has_expired(entry)).then(|| entry.value())
    }

    /// A copy of what a key holds now, to be read from beginning to end, however large it is.
    /// Counts nothing.
    pub fn frozen(&self, key: Key<'_>) -> Option<Entry> {
        let (_, entry) = self.db.table.find_entry(key.hash, key.bytes)?;
        (!self.env.has_expired(entry)).then(|| entry.frozen())
    }

    /// Frees a value that is not needed any more; a large one in slices.
    pub fn free_later(&mut self, value: Value) {
        self.env.lazyfree.add_entry(Entry::new(b"", value, None, AccessClock::default()));
    }

    /// Lets `edit` change the collection of a key: its result, and whether the collection has
    /// become empty, in which case the key is gone. `None` if the key is not there. Counts an
    /// access, but neither a hit nor a miss.
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

    /// Makes the hash functions of collections unpredictable.
    pub fn seed(&self) -> u64 {
        self.env.seed.word()
    }

    /// Lets a key expire at a time in milliseconds since 1970, or never. Returns whether the key
    /// is there.
    pub fn set_expire(&mut self, key: Key<'_>, expire: Option<u64>) -> bool {
        let Some(slot) = self.live(key) else { return false };
        let old = self.db.table.get(slot).expire();
        if old != expire {
            self.db.table.change(slot, |entry| entry.set_expire(expire));
            self.db.expires.moved(key.hash, old, expire);
        }
        true
    }

    /// Lets `edit` change the bytes of a string in place, after lengthening it with zero bytes to
    /// `min_len` if it is shorter. The key is created if it is not there. `None` if its value is
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

    /// Visits keys from a cursor on, at least `count` unless the end comes first. Returns the
    /// cursor to go on from, 0 at the end. See [`Table::scan`](super::Table::scan) for what is promised.
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

    /// Any key that has not expired, each as likely as the others.
    pub fn random(&mut self) -> Option<&Entry> {
        // Where expired keys are only hidden, there may be nothing else.
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

    /// Deletes keys whose time has come, at most `limit`. Returns how many.
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

    /// Where a key is that has not expired. One that has is dealt with as the mode says.
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

    /// Where a key is, be it hidden, with its expiry time and its access clock.
    #[inline(always)]
    fn live_or_replaceable(&mut self, key: Key<'_>) -> Option<(Place, Option<u64>, AccessClock)> {
        let (slot, entry) = self.db.table.find_entry(key.hash, key.bytes)?;
        if self.env.expire_mode == ExpireMode::Delete && self.env.has_expired(entry) {
            self.expire(slot, key.hash);
            return None;
        }
        Some((slot, entry.expire(), entry.clock()))
    }

    /// Counts an access to the entry in a slot, and gives it.
    #[inline(always)]
    fn access(&mut self, slot: Place) -> &Entry {
        let entry = self.db.table.get_aside(slot);
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
    /// Whether an entry's time has come, and that counts.
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
