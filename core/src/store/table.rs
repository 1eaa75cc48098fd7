//! A hash table with incremental resizing: linear hashing, iterated in the order of the hashes.
//!
//! To grow, one bucket is split in two; to shrink, two buckets are merged. Nothing is ever rehashed
//! as a whole, and there is no second table. Buckets are addressed by the low bits of the hash, so
//! in the order of the *bit-reversed* hash every bucket, however often it has been split or merged,
//! covers one interval. [`Table::scan`] and the snapshots of [`super::snapshot`] iterate in that
//! order, and so keep their guarantees while the table changes.

use super::hash::sip13;
use super::size::allocated;
use super::snapshot::TableSnapshot;
use crate::rng::Rng;
use crate::sharding;

/// An entry of a table.
pub trait Keyed: Clone {
    /// The key, which must never change while the entry is in a table.
    fn key(&self) -> &[u8];

    /// Bytes that the entry takes besides its slot in the table.
    fn memory(&self) -> usize;

    /// A byte that depends on the entry's pointer-sized part only, so that reading it does not
    /// touch the heap.
    fn weight(&self) -> u8;

    /// An estimate of the bytes that a copy for a snapshot takes. With `alone`, the bytes that it
    /// does not share at the moment with the original; otherwise the most that these can become.
    fn held(&self, _alone: bool) -> usize {
        self.memory()
    }

    /// A copy for a snapshot, which will be read once, from beginning to end.
    fn frozen(&self) -> Self {
        self.clone()
    }
}

/// A hash table of entries with keys.
#[derive(Clone, Debug)]
pub struct Table<E> {
    pub(super) chunks: Vec<Vec<Bucket<E>>>,
    /// The number of buckets.
    pub(super) buckets: usize,
    len: usize,
    /// Bytes of the buckets, including the slots of their entries.
    bytes: usize,
    /// Bytes that the entries take besides their slots.
    payload: usize,
    /// The most entries that any bucket has held since the table was last empty.
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

/// The location of an entry; valid until the table changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    bucket: usize,
    index: usize,
}

/// A bucket: one cache line (on 64-bit platforms), and a vector of entries.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Bucket<E> {
    /// A byte of the hash of each of the first entries, so that most other entries need not be
    /// compared.
    tags: [u8; TAGS],
    pub(super) entries: Vec<E>,
    /// The id of the last snapshot that includes the content of this bucket, see
    /// [`super::snapshot`].
    pub(super) version: u64,
}

/// The number of entries of a bucket that have a tag. Few buckets hold more.
const TAGS: usize = 32;

/// Buckets per chunk. A chunk is allocated as a whole, so that buckets never move, except in the
/// first, which starts small because most databases are small.
const CHUNK: usize = 1024;

/// The average entries per bucket above which buckets split. A bucket about to split holds up to
/// twice as many, and one that has just been split about half.
const SPLIT_LOAD: usize = 12;

/// The average entries per bucket below which buckets merge: far enough below [`SPLIT_LOAD`] that a
/// table whose size oscillates does not split and merge all the time.
const MERGE_LOAD: usize = 4;

/// The accounted sizes of a bucket and of an entry's slot in one, on every platform.
const BUCKET_BYTES: usize = 64;
const ENTRY_BYTES: usize = 16;

/// The number of keys that [`Table::prefetch`] follows in parallel: about the number of loads that
/// a core can have in flight.
pub const PREFETCH_BATCH: usize = 16;

/// A cursor is the upper bits of a position; proxies use the others to identify servers.
const CURSOR_SHIFT: u32 = 16;

/// The position of the slot in a hash: above the bits that select a bucket, below those of the tag.
const SLOT_SHIFT: u32 = 40;
const SLOT_MASK: u64 = sharding::Slot::COUNT as u64 - 1;

impl HashSeed {
    /// A seed for keys that are not partitioned by slot.
    pub fn new(k0: u64, k1: u64) -> Self {
        HashSeed { k0, k1: k1 & !1 }
    }

    /// The same seed for keys that are partitioned by slot: their hashes contain it, see
    /// [`slot_in`].
    pub(super) fn by_slot(self) -> Self {
        HashSeed { k1: self.k1 | 1, ..self }
    }

    /// Whether keys are partitioned by slot.
    #[inline]
    pub(super) fn is_by_slot(self) -> bool {
        self.k1 & 1 != 0
    }

    /// The part that seeds the hash functions of collections.
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

/// The number of the slot that a hash contains.
#[inline]
pub(super) fn slot_in(hash: u64) -> u16 {
    (hash >> SLOT_SHIFT & SLOT_MASK) as u16
}

impl<E: Keyed> Table<E> {
    /// An empty table without an allocation.
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

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of buckets.
    pub fn buckets(&self) -> usize {
        self.buckets
    }

    /// The size of the entries and of the table itself in bytes, in the allocator's size classes.
    pub fn memory(&self) -> usize {
        self.bytes + self.payload
    }

    /// The size of the table itself in bytes, without its entries.
    pub fn overhead(&self) -> usize {
        self.bytes
    }

    /// The hash of a key in this table.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.seed.hash(key)
    }

    /// The location of the entry with this key. `hash` is the key's.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Slot> {
        self.find_entry(hash, key).map(|(slot, _)| slot)
    }

    /// The entry with this key, and its location. `hash` is the key's.
    #[inline]
    pub fn find_entry(&self, hash: u64, key: &[u8]) -> Option<(Slot, &E)> {
        let bucket = self.home(hash)?;
        let (index, entry) = self.bucket(bucket).find(hash, key)?;
        Some((Slot { bucket, index }, entry))
    }

    /// Prefetches the memory that lookups of these keys (of the first [`PREFETCH_BATCH`] of them)
    /// will read. It has no visible effect.
    ///
    /// A lookup goes from a bucket to an entry to a key, with a cache miss at each. Doing so for
    /// many keys in parallel, one step at a time, overlaps the cache misses.
    pub fn prefetch<'t, 'k>(
        keys: impl Iterator<Item = &'k [u8]>,
        hash: impl Fn(&[u8]) -> u64,
        table: impl Fn(u64) -> Option<&'t Table<E>>,
    ) where
        E: 't,
    {
        let mut hashes = [0; PREFETCH_BATCH];
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
        let mut entries: [Option<&E>; PREFETCH_BATCH] = [None; PREFETCH_BATCH];
        for (place, &hash) in entries.iter_mut().zip(hashes) {
            *place = bucket(hash).and_then(|bucket| bucket.first_candidate(hash));
            seen ^= place.map_or(0, E::weight);
        }
        for entry in entries.into_iter().flatten() {
            seen ^= entry.key().first().copied().unwrap_or_default();
        }
        // Keeps the compiler from removing the unused reads.
        core::hint::black_box(seen);
    }

    /// The location of the first entry whose key has this hash and that `wanted` accepts.
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

    /// The entry in a slot, for changes that neither snapshots nor memory accounting care about.
    #[inline]
    pub fn get_untracked(&mut self, slot: Slot) -> &mut E {
        &mut self.bucket_mut(slot.bucket).entries[slot.index]
    }

    /// Changes the entry in a slot. Its key must not change.
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

    /// Adds an entry whose key does not exist yet. `hash` is the key's.
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

    /// Adds up to `most` buckets towards room for that many additional entries. Returns whether
    /// there are enough.
    pub fn reserve_step(&mut self, entries: usize, most: usize) -> bool {
        let wanted = entries / SPLIT_LOAD;
        for _ in 0..most.min(wanted.saturating_sub(self.buckets)) {
            self.split();
        }
        self.buckets >= wanted
    }

    /// Removes up to `most` buckets that are in excess of the entries. Returns whether that was
    /// all.
    pub fn shrink_step(&mut self, most: usize) -> bool {
        for _ in 0..most {
            if self.buckets <= 1 || self.len >= self.buckets * MERGE_LOAD {
                return true;
            }
            self.merge();
        }
        false
    }

    /// Removes an entry and returns it.
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

    /// Iterates over all entries, in an order that depends only on the seed and the table's
    /// history.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.chunks.iter().flatten().flat_map(|bucket| &bucket.entries)
    }

    /// Visits entries from a cursor on, whole buckets at a time, until at least `count` have been
    /// visited. Returns the next cursor, or 0 at the end.
    ///
    /// A scan starts with the cursor 0. Whatever changes between its calls, each entry that exists
    /// the whole time is visited exactly once, and no entry twice. Cursors have 48 bits.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&E)) -> u64 {
        let mut next = cursor.checked_shl(CURSOR_SHIFT).filter(|_| cursor >> 48 == 0);
        let mut visited = 0;
        while let Some(position) = next.filter(|_| self.buckets > 0) {
            let interval = self.interval(position);
            for entry in &self.bucket(interval.bucket).entries {
                // A bucket that has been merged may begin before the cursor.
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

    /// A random entry, uniformly distributed.
    pub fn random(&self, rng: &mut Rng) -> Option<Slot> {
        if self.len == 0 {
            return None;
        }
        // Rejection sampling: a random slot of a bucket as long as the longest, until there is an
        // entry. Since merging keeps the table filled, a few draws suffice.
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

    /// Passes up to `limit` entries of a discarded table to `free`. Returns how many.
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

    /// The bucket of a hash.
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

    /// The bucket whose interval contains a position. There must be buckets.
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

    /// Adds one bucket: the first bucket that is not yet split in this round gives it the entries
    /// that the next bit of their hash selects.
    fn split(&mut self) {
        let new = self.buckets;
        let mut fresh = Bucket::new();
        let seed = self.seed;
        if let Some(bit) = new.checked_ilog2() {
            let old = self.bucket_mut(new - (1 << bit));
            let before = old.memory();
            fresh.version = old.version;
            // Their keys are far apart in memory: reading all of them in parallel overlaps the
            // cache misses.
            let seen = old.entries.iter().filter_map(|entry| entry.key().first());
            core::hint::black_box(seen.fold(0, |all, byte| all ^ byte));
            // About half will move; reserving too much costs little.
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

/// The interval of the hash order that one bucket covers.
#[derive(Debug)]
pub(super) struct Interval {
    pub(super) bucket: usize,
    /// The first position of the interval.
    pub(super) start: u64,
    /// The first position after it; `None` if it extends to the end.
    pub(super) end: Option<u64>,
}

impl<E: Keyed> Bucket<E> {
    fn new() -> Self {
        Self { tags: [0; TAGS], entries: Vec::new(), version: 0 }
    }

    /// Compares eight tags at a time; only entries with an equal tag are compared.
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
        // The last entry is now at `index`.
        if index < TAGS && index < self.entries.len() {
            self.tags[index] = match self.tags.get(self.entries.len()) {
                Some(tag) => *tag,
                None => tag(seed.hash(self.entries[index].key())),
            };
        }
        entry
    }

    /// Shrinks the vector when more than half of it is unused.
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

/// The tag: bits of the hash that never take part in selecting the bucket.
#[inline]
fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The high bit of each byte that is zero. Bytes above a zero byte may be marked in error, so that
/// matches must still be compared.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS
}

/// The capacity to reserve for `len` entries: the allocator's size classes, in entries.
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
