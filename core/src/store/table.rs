//! A hash table without growing pains: linear hashing, walked in the order of the hashes.
//!
//! When the table grows, one bucket splits in two; when it shrinks, two buckets become one. There
//! is no moment at which everything moves, and no second table. Buckets are found by the low bits
//! of the hash, so in the order of the *bit-reversed* hash every bucket, however often it has been
//! split or merged, holds one interval. [`Table::scan`] and the snapshots of
//! [`super::snapshot`] walk in that order, and so keep their promises while the table changes under
//! them.

use super::hash::sip13;
use super::size::allocated;
use super::snapshot::TableSnapshot;
use crate::rng::Rng;
use crate::sharding;

/// What a table holds: things with a key.
pub trait Keyed: Clone {
    /// The key, which never changes while the thing is in a table.
    fn key(&self) -> &[u8];

    /// Bytes that the thing takes beside its place in the table.
    fn memory(&self) -> usize;

    /// Anything that can be told from its place in the table alone.
    fn weight(&self) -> u8;

    /// Bytes that a copy for a snapshot takes, roughly. With `alone`, those that it does not share
    /// at the moment with what it is a copy of; else the most that these can become.
    fn held(&self, _alone: bool) -> usize {
        self.memory()
    }

    /// A copy for a snapshot: it will be read once, from beginning to end.
    fn frozen(&self) -> Self {
        self.clone()
    }
}

/// A set of entries, found by their keys.
#[derive(Clone, Debug)]
pub struct Table<E> {
    pub(super) chunks: Vec<Vec<Bucket<E>>>,
    /// How many buckets there are.
    pub(super) buckets: usize,
    len: usize,
    /// Bytes of the buckets, with the places of their entries.
    bytes: usize,
    /// Bytes of what the entries have beside their places.
    payload: usize,
    /// The most entries that a bucket has held since the table was last empty.
    longest: usize,
    seed: HashSeed,
    pub(super) snapshot: Option<Box<TableSnapshot<E>>>,
    /// Bytes of entries that were copied for the last snapshot.
    pub(super) copied: u64,
}

/// The hash seed of this process, so that a client cannot send keys that all fall into one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HashSeed {
    k0: u64,
    /// The last bit says whether hashes carry the key's slot.
    k1: u64,
}

/// Where an entry is; good until the table changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    bucket: usize,
    index: usize,
}

/// One cache line (on 64-bit platforms), and the entries beside it.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Bucket<E> {
    /// A byte of the hash of each of the first entries, so that most others are never looked at.
    tags: [u8; TAGS],
    pub(super) entries: Vec<E>,
    /// The last snapshot that has what is in this bucket, see [`super::snapshot`].
    pub(super) version: u64,
}

/// Entries of a bucket that have a tag. Few buckets hold more.
const TAGS: usize = 32;

/// Buckets to a chunk. A chunk is allocated at once, so that buckets never move, apart from the
/// first, which starts small because most databases are.
const CHUNK: usize = 1024;

/// Entries a bucket, on average, above which buckets split. One that is about to split holds up to
/// twice as many, and one that has just been split about half.
const SPLIT_LOAD: usize = 12;

/// Entries a bucket, on average, below which buckets merge: far enough below [`SPLIT_LOAD`] that a
/// table whose size swings does not split and merge all the time.
const MERGE_LOAD: usize = 4;

/// Accounted for a bucket and for an entry's place in one, on every platform.
const BUCKET_BYTES: usize = 64;
const ENTRY_BYTES: usize = 16;

/// Keys that [`Table::warm`] follows side by side: about as many loads as a core has under way.
pub const AHEAD: usize = 16;

/// A cursor is the upper bits of a position; proxies need the others to tell servers apart.
const CURSOR_SHIFT: u32 = 16;

/// Where the slot stands in a hash: above the bits that find a bucket, below those of the tag.
const SLOT_SHIFT: u32 = 40;
const SLOT_MASK: u64 = sharding::Slot::COUNT as u64 - 1;

impl HashSeed {
    /// A seed for keys that are not divided by slot.
    pub fn new(k0: u64, k1: u64) -> Self {
        HashSeed { k0, k1: k1 & !1 }
    }

    /// The same seed for keys that are divided by slot: their hashes carry it, see [`slot_in`].
    pub(super) fn by_slot(self) -> Self {
        HashSeed { k1: self.k1 | 1, ..self }
    }

    /// Whether keys are divided by slot.
    #[inline]
    pub(super) fn is_by_slot(self) -> bool {
        self.k1 & 1 != 0
    }

    /// What makes the hash functions of collections unpredictable.
    pub(super) fn word(self) -> u64 {
        self.k0
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(self, key: &[u8]) -> u64 {
        let hash = sip13(self.k0, self.k1, key);
        if !self.is_by_slot() {
            return hash;
        }
        let slot = u64::from(sharding::Slot::of(key).number());
        hash & !(SLOT_MASK << SLOT_SHIFT) | slot << SLOT_SHIFT
    }
}

/// The number of the slot that a hash carries.
#[inline]
pub(super) fn slot_in(hash: u64) -> u16 {
    (hash >> SLOT_SHIFT & SLOT_MASK) as u16
}

impl<E: Keyed> Table<E> {
    /// An empty table, which has allocated nothing.
    pub fn new(seed: HashSeed) -> Self {
        Self {
            chunks: Vec::new(),
            buckets: 0,
            len: 0,
            bytes: 0,
            payload: 0,
            longest: 0,
            seed,
            snapshot: None,
            copied: 0,
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many buckets there are.
    pub fn buckets(&self) -> usize {
        self.buckets
    }

    /// Bytes of the entries and of the table itself, in the allocator's size classes.
    pub fn memory(&self) -> usize {
        self.bytes + self.payload
    }

    /// Bytes of the table itself, without its entries.
    pub fn overhead(&self) -> usize {
        self.bytes
    }

    /// The hash of a key in this table.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.seed.hash(key)
    }

    /// Where the entry with this key is. `hash` is the key's.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Slot> {
        self.find_entry(hash, key).map(|(slot, _)| slot)
    }

    /// The entry with this key, and where it is. `hash` is the key's.
    #[inline]
    pub fn find_entry(&self, hash: u64, key: &[u8]) -> Option<(Slot, &E)> {
        let bucket = self.home(hash)?;
        let (index, entry) = self.bucket(bucket).find(hash, key)?;
        Some((Slot { bucket, index }, entry))
    }

    /// Looks at the memory in which lookups of these keys (of the first [`AHEAD`] of them) will
    /// look, so that it is on its way from main memory when they do. Changes nothing.
    ///
    /// A lookup follows a bucket to an entry to a key, and waits for each. Following those of many
    /// keys side by side, one step at a time, the processor waits for all of them at once.
    pub fn warm<'t, 'k>(
        keys: impl Iterator<Item = &'k [u8]>,
        hash: impl Fn(&[u8]) -> u64,
        table: impl Fn(u64) -> Option<&'t Table<E>>,
    ) where
        E: 't,
    {
        let mut hashes = [0; AHEAD];
        let mut count = 0;
        for (place, key) in hashes.iter_mut().zip(keys) {
            *place = hash(key);
            count += 1;
        }
        let hashes = &hashes[..count];
        let bucket = |hash| {
            let table = table(hash)?;
            Some(table.bucket(table.home(hash)?))
        };
        let mut seen = 0;
        for bucket in hashes.iter().filter_map(|&hash| bucket(hash)) {
            seen ^= bucket.tags[0];
        }
        let mut entries: [Option<&E>; AHEAD] = [None; AHEAD];
        for (place, &hash) in entries.iter_mut().zip(hashes) {
            *place = bucket(hash).and_then(|bucket| bucket.first_candidate(hash));
            seen ^= place.map_or(0, E::weight);
        }
        for entry in entries.into_iter().flatten() {
            seen ^= entry.key().first().copied().unwrap_or_default();
        }
        // Or else the compiler would see that nothing comes of it.
        core::hint::black_box(seen);
    }

    /// Where the first entry is whose key has this hash and that `wanted` accepts.
    pub fn find_by_hash(&self, hash: u64, wanted: impl Fn(&E) -> bool) -> Option<Slot> {
        let bucket = self.home(hash)?;
        let entries = &self.bucket(bucket).entries;
        let index = entries.iter().position(|e| wanted(e) && self.hash(e.key()) == hash)?;
        Some(Slot { bucket, index })
    }

    /// The entry in a slot.
    #[inline]
    pub fn get(&self, slot: Slot) -> &E {
        &self.bucket(slot.bucket).entries[slot.index]
    }

    /// The entry in a slot, to change what no snapshot keeps and no account counts.
    #[inline]
    pub fn get_aside(&mut self, slot: Slot) -> &mut E {
        &mut self.bucket_mut(slot.bucket).entries[slot.index]
    }

    /// Changes the entry in a slot. Its key must stay.
    #[inline]
    pub fn change<R>(&mut self, slot: Slot, change: impl FnOnce(&mut E) -> R) -> R {
        self.before_change(slot.bucket);
        let entry = &mut self.bucket_mut(slot.bucket).entries[slot.index];
        let before = entry.memory();
        let result = change(entry);
        let after = entry.memory();
        self.payload = self.payload - before + after;
        result
    }

    /// Adds an entry whose key is not in the table yet. `hash` is the key's.
    pub fn insert(&mut self, hash: u64, entry: E) {
        debug_assert!(self.find(hash, entry.key()).is_none());
        if self.len >= self.buckets * SPLIT_LOAD {
            self.split();
        }
        let Some(home) = self.home(hash) else { return };
        self.before_change(home);
        self.payload += entry.memory();
        self.len += 1;
        self.push(home, tag(hash), entry);
    }

    /// Makes buckets for so many entries as are about to come, `most` of them at once. Returns
    /// whether there are enough.
    pub fn make_room(&mut self, entries: usize, most: usize) -> bool {
        let wanted = entries / SPLIT_LOAD;
        for _ in 0..most.min(wanted.saturating_sub(self.buckets)) {
            self.split();
        }
        self.buckets >= wanted
    }

    /// Undoes that as far as they did not come, for `most` buckets at once. Returns whether that is
    /// all.
    pub fn give_room_back(&mut self, most: usize) -> bool {
        for _ in 0..most {
            if self.buckets <= 1 || self.len >= self.buckets * MERGE_LOAD {
                return true;
            }
            self.merge();
        }
        false
    }

    /// Takes an entry out.
    pub fn remove(&mut self, slot: Slot) -> E {
        self.before_change(slot.bucket);
        let seed = self.seed;
        let bucket = self.bucket_mut(slot.bucket);
        let before = bucket.memory();
        let entry = bucket.swap_remove(seed, slot.index);
        bucket.shrink();
        let after = bucket.memory();
        self.bytes = self.bytes - before + after;
        self.payload -= entry.memory();
        self.len -= 1;
        if self.len == 0 && self.snapshot.is_none() {
            *self = Self::new(seed);
        } else if self.buckets > 1 && self.len < self.buckets * MERGE_LOAD {
            self.merge();
        }
        entry
    }

    /// All entries, in an order that depends on nothing but the seed and the table's history.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.chunks.iter().flatten().flat_map(|bucket| &bucket.entries)
    }

    /// Visits entries from a cursor on, whole buckets at a time, until at least `count` have been
    /// visited. Returns the cursor to go on from, or 0 when the end has been reached.
    ///
    /// A scan starts with the cursor 0. Whatever happens to the table between its calls, each
    /// entry that is there the whole time is visited exactly once, and no entry twice.
    /// Cursors have 48 bits.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&E)) -> u64 {
        let mut next = cursor.checked_shl(CURSOR_SHIFT).filter(|_| cursor >> 48 == 0);
        let mut visited = 0;
        while let Some(position) = next.filter(|_| self.buckets > 0) {
            let interval = self.interval(position);
            for entry in &self.bucket(interval.bucket).entries {
                // A bucket that has been merged may reach back to before the cursor.
                let passed =
                    interval.start < position && self.hash(entry.key()).reverse_bits() < position;
                if !passed {
                    visit(entry);
                    visited += 1;
                }
            }
            next = interval.end;
            if visited >= count {
                return next.map_or(0, |position| position >> CURSOR_SHIFT);
            }
        }
        0
    }

    /// Any entry, each as likely as the others.
    pub fn random(&self, rng: &mut Rng) -> Option<Slot> {
        if self.len == 0 {
            return None;
        }
        // A place in a bucket as long as the longest, drawn until there is an entry: since merging
        // keeps the table filled, a few draws do.
        let places = self.longest.max(1) as u64;
        for _ in 0..10_000 {
            let bucket = rng.below(self.buckets as u64) as usize;
            let index = rng.below(places) as usize;
            if index < self.bucket(bucket).entries.len() {
                return Some(Slot { bucket, index });
            }
        }
        let start = rng.below(self.buckets as u64) as usize;
        (start..self.buckets)
            .chain(0..start)
            .find(|&bucket| !self.bucket(bucket).entries.is_empty())
            .map(|bucket| Slot { bucket, index: 0 })
    }

    /// Gives up to `limit` entries of a table that is not used any more to `free`. Returns how
    /// many.
    pub fn free_some(&mut self, limit: usize, mut free: impl FnMut(E)) -> usize {
        let mut freed = 0;
        while freed < limit {
            let Some(chunk) = self.chunks.last_mut() else { break };
            match chunk.last_mut() {
                Some(bucket) if bucket.entries.is_empty() => {
                    chunk.pop();
                }
                Some(bucket) => {
                    let keep = bucket.entries.len().saturating_sub(limit - freed);
                    freed += bucket.entries.len() - keep;
                    bucket.entries.drain(keep..).for_each(&mut free);
                }
                None => {
                    self.chunks.pop();
                }
            }
        }
        self.len -= freed;
        freed
    }

    /// The bucket in which a hash belongs.
    #[inline]
    fn home(&self, hash: u64) -> Option<usize> {
        if self.buckets == 0 {
            return None;
        }
        // As many bits as there are; one less where the bucket has not been split yet.
        let mask = usize::MAX >> (self.buckets - 1).leading_zeros().min(usize::BITS - 1);
        let bucket = hash as usize & mask;
        Some(if bucket < self.buckets { bucket } else { bucket & (mask >> 1) })
    }

    /// The bucket whose interval a position lies in. There must be buckets.
    pub(super) fn interval(&self, position: u64) -> Interval {
        let bucket = self.home(position.reverse_bits()).unwrap_or(0);
        let full = self.buckets.next_power_of_two();
        let half = full / 2;
        let split = bucket >= half || bucket + half < self.buckets;
        let depth = full.trailing_zeros() - u32::from(!split);
        let start = (bucket as u64).reverse_bits();
        let end = 1u64.checked_shl(64 - depth).and_then(|width| start.checked_add(width));
        Interval { bucket, start, end }
    }

    #[inline]
    pub(super) fn bucket(&self, bucket: usize) -> &Bucket<E> {
        &self.chunks[bucket / CHUNK][bucket % CHUNK]
    }

    #[inline]
    pub(super) fn bucket_mut(&mut self, bucket: usize) -> &mut Bucket<E> {
        &mut self.chunks[bucket / CHUNK][bucket % CHUNK]
    }

    fn push(&mut self, bucket: usize, tag: u8, entry: E) {
        let bucket = self.bucket_mut(bucket);
        let before = bucket.memory();
        bucket.push(tag, entry);
        let (after, len) = (bucket.memory(), bucket.entries.len());
        self.bytes = self.bytes - before + after;
        self.longest = self.longest.max(len);
    }

    /// Makes one bucket more: the first of those not yet split in this round hands over the
    /// entries that the next bit of their hash sends to the new one.
    fn split(&mut self) {
        let new = self.buckets;
        let mut fresh = Bucket::new();
        let seed = self.seed;
        if let Some(bit) = new.checked_ilog2() {
            let old = self.bucket_mut(new - (1 << bit));
            let before = old.memory();
            fresh.version = old.version;
            // Their keys are far apart in memory: waiting for all of them at once takes less time.
            let seen = old.entries.iter().filter_map(|entry| entry.key().first());
            core::hint::black_box(seen.fold(0, |all, byte| all ^ byte));
            // About half will move; what is reserved in vain is little.
            let mut index = 0;
            while let Some(entry) = old.entries.get(index) {
                let hash = seed.hash(entry.key());
                if hash >> bit & 1 == 1 {
                    let entry = old.swap_remove(seed, index);
                    if fresh.entries.is_empty() {
                        fresh.entries.reserve_exact(room_for(old.entries.len() / 2));
                    }
                    fresh.push(tag(hash), entry);
                } else {
                    index += 1;
                }
            }
            old.shrink();
            let after = old.memory();
            self.bytes = self.bytes - before + after + fresh.memory();
        }
        self.bytes += BUCKET_BYTES;
        if new.is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(if new == 0 { 1 } else { CHUNK }));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(fresh);
        }
        self.buckets += 1;
    }

    /// Undoes the last split.
    fn merge(&mut self) {
        let last = self.buckets - 1;
        let Some(bit) = last.checked_ilog2() else { return };
        let partner = last - (1 << bit);
        self.before_merge(partner, last);
        let seed = self.seed;
        let Some(chunk) = self.chunks.last_mut() else { return };
        let Some(gone) = chunk.pop() else { return };
        if chunk.is_empty() {
            self.chunks.pop();
        }
        self.buckets -= 1;
        self.bytes -= BUCKET_BYTES + gone.memory();
        for (index, entry) in gone.entries.into_iter().enumerate() {
            let tag = match gone.tags.get(index) {
                Some(tag) => *tag,
                None => tag(seed.hash(entry.key())),
            };
            self.push(partner, tag, entry);
        }
    }
}

/// The part of the hash order that one bucket holds.
#[derive(Debug)]
pub(super) struct Interval {
    pub(super) bucket: usize,
    /// The first position that belongs to it.
    pub(super) start: u64,
    /// The first position that does not; `None` if it reaches to the end.
    pub(super) end: Option<u64>,
}

impl<E: Keyed> Bucket<E> {
    fn new() -> Self {
        Self { tags: [0; TAGS], entries: Vec::new(), version: 0 }
    }

    /// Compares eight tags at a time; only entries whose tag is equal are looked at.
    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<(usize, &E)> {
        let pattern = u64::from(tag(hash)) * LOW_BITS;
        let (words, _) = self.tags.as_chunks::<8>();
        for (n, word) in words.iter().enumerate() {
            if n * 8 >= self.entries.len() {
                return None;
            }
            let mut equal = zero_bytes(u64::from_le_bytes(*word) ^ pattern);
            while equal != 0 {
                let index = n * 8 + equal.trailing_zeros() as usize / 8;
                if let Some(entry) = self.entries.get(index).filter(|entry| entry.key() == key) {
                    return Some((index, entry));
                }
                equal &= equal - 1;
            }
        }
        (TAGS..).zip(self.entries.get(TAGS..)?).find(|(_, entry)| entry.key() == key)
    }

    /// The first entry that may have this hash.
    #[inline]
    fn first_candidate(&self, hash: u64) -> Option<&E> {
        let tag = tag(hash);
        self.entries.get(self.tags.iter().position(|&other| other == tag)?)
    }

    fn push(&mut self, tag: u8, entry: E) {
        let len = self.entries.len();
        if len == self.entries.capacity() {
            self.entries.reserve_exact(room_for(len + 1) - len);
        }
        if let Some(place) = self.tags.get_mut(len) {
            *place = tag;
        }
        self.entries.push(entry);
    }

    fn swap_remove(&mut self, seed: HashSeed, index: usize) -> E {
        let entry = self.entries.swap_remove(index);
        // The last entry now stands at `index`.
        if index < TAGS && index < self.entries.len() {
            self.tags[index] = match self.tags.get(self.entries.len()) {
                Some(tag) => *tag,
                None => tag(seed.hash(self.entries[index].key())),
            };
        }
        entry
    }

    /// Gives memory back when more than half of it is unused.
    fn shrink(&mut self) {
        let len = self.entries.len();
        if self.entries.capacity() > room_for(len) * 2 {
            self.entries.shrink_to(room_for(len));
        }
    }

    fn memory(&self) -> usize {
        allocated(self.entries.capacity() * ENTRY_BYTES)
    }
}

/// The tag is made of bits that never take part in finding the bucket.
#[inline]
fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The high bit of each byte that is zero. Bytes above a zero byte may be marked in error, so that
/// what is found must still be compared.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS
}

/// How many entries to make room for: the allocator's size classes, in entries.
fn room_for(len: usize) -> usize {
    match len {
        0..=4 => len,
        5..=16 => len.next_multiple_of(2),
        17..=32 => len.next_multiple_of(4),
        _ => len.next_multiple_of(16),
    }
}

#[cfg(test)]
mod tests;
