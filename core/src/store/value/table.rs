//! The hash table of large sets, hashes and sorted sets.
//!
//! Entries are stored densely in insertion order (the last one fills the gap of a removed one), and
//! an index of 32-bit positions finds them. So:
//!
//! * iteration gives the same order on every platform and visits no empty buckets;
//! * a random entry takes one draw, and is uniformly distributed;
//! * a scan from the last position down returns every entry that exists from its beginning to its
//!   end: an entry only ever moves from the end to a lower position, so it cannot jump from the
//!   part to be scanned into the part already scanned.
//!
//! The index grows and shrinks incrementally, by moving a few positions at every change.
//!
//! A clone shares all chunks of entries except the last (copy-on-write). A change to one of the two
//! copies only the chunks that it changes. A copy for iteration without lookups does not need the
//! index: see [`Table::frozen`].

use triomphe::Arc;

use crate::store::hash::sip13;
use crate::store::size::allocated;
use index::Index;

mod index;

/// Entries per chunk of the dense array.
const CHUNK: usize = 512;
/// Up to this many entries the index is rebuilt in one go, which takes some microseconds.
const SMALL: usize = 512;
/// Positions moved to a new index at every change. Two would suffice to finish in time; with more,
/// the old index is freed sooner.
const STEP: usize = 16;

/// The number of keys that [`Table::prefetch`] follows in parallel.
const PREFETCH_BATCH: usize = crate::store::PREFETCH_BATCH;
/// The number of entries from which on a table does not fit into the core's caches.
const LARGE: usize = 10_000;

/// The size of a table on 64-bit platforms, and of a chunk's header including its reference counts,
/// used on all platforms so that they agree.
const TABLE_BYTES: usize = 152;
const CHUNK_HEADER: usize = 40;

/// An entry of a table.
pub trait Keyed: Clone {
    /// The key of the entry.
    fn key(&self) -> &[u8];
    /// Its heap memory in bytes.
    fn heap(&self) -> usize;
}

/// A hash table with dense entries. See the module documentation.
#[derive(Clone)]
pub struct Table<E> {
    /// The full chunks, with [`CHUNK`] entries each.
    full: Vec<Arc<Vec<E>>>,
    /// The entries after them, fewer than or equal to [`CHUNK`].
    tail: Vec<E>,
    len: usize,
    /// The heap memory of the entries, in bytes.
    heap: usize,
    seed: u64,
    index: Index,
    /// The old index while positions are moved to a new one. It is only read; a position from it is
    /// valid if the entry there has the key that was asked for.
    old: Option<Box<Index>>,
    /// Entries below this position are in `index` already.
    moved: usize,
}

impl<E: Keyed> Table<E> {
    /// The largest number of entries.
    pub const MAX: usize = u32::MAX as usize;

    /// An empty table whose hash function is made unpredictable by `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with_capacity(seed, 0)
    }

    /// An empty table with an index for `capacity` entries.
    pub fn with_capacity(seed: u64, capacity: usize) -> Self {
        Self {
            full: Vec::new(),
            tail: Vec::new(),
            len: 0,
            heap: 0,
            seed,
            index: Index::with_capacity(capacity),
            old: None,
            moved: 0,
        }
    }

    /// A copy for iteration, without an index, which costs one reference count per 512 entries. It
    /// can be used like any other table, but the first failing lookup costs a search through all
    /// entries, and the first change builds an index.
    pub fn frozen(&self) -> Self {
        Self {
            full: self.full.clone(),
            tail: self.tail.clone(),
            len: self.len,
            heap: self.heap,
            seed: self.seed,
            index: Index::with_capacity(0),
            old: None,
            moved: 0,
        }
    }

    /// The number of entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry at `position`.
    #[inline]
    pub fn at(&self, position: usize) -> Option<&E> {
        place(&self.full, &self.tail, position)
    }

    #[inline]
    fn at_mut(&mut self, position: usize) -> Option<&mut E> {
        let tail = self.full.len() * CHUNK;
        match self.full.get_mut(position / CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).get_mut(position % CHUNK),
            None => self.tail.get_mut(position - tail),
        }
    }

    /// Lets `change` change the entry at `position`. Its key must not change.
    #[inline]
    pub fn change(&mut self, position: usize, change: impl FnOnce(&mut E)) {
        if let Some(entry) = self.at_mut(position) {
            let before = entry.heap();
            change(entry);
            let after = entry.heap();
            self.heap = self.heap - before + after;
        }
    }

    /// The position of the entry with this key.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        self.find_hashed(self.hash(key), key)
    }

    /// The entry with this key.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&E> {
        self.at(self.find(key)?)
    }

    /// Prefetches the memory that lookups of these keys (of the first few of them) will read. It
    /// has no visible effect. See `store::table`.
    pub fn prefetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        if self.len < LARGE {
            return;
        }
        let mut hashes = [0; PREFETCH_BATCH];
        let mut count = 0;
        for (place, key) in hashes.iter_mut().zip(keys) {
            *place = self.hash(key);
            count += 1;
        }
        // The first candidate for each key is nearly always the entry, if it exists.
        let mut positions = [0; PREFETCH_BATCH];
        for (place, hash) in positions.iter_mut().zip(&hashes[..count]) {
            *place = self.index.find(*hash, |_| true).map_or(0, |position| *position as usize);
        }
        let mut seen = 0;
        for position in &positions[..count] {
            seen ^= self.at(*position).map_or(0, |entry| entry.key().len());
        }
        // Keeps the compiler from removing the unused reads.
        core::hint::black_box(seen);
    }

    /// Adds an entry whose key does not exist yet, and returns its position.
    pub fn insert(&mut self, entry: E) -> usize {
        let hash = self.hash(entry.key());
        self.insert_hashed(hash, entry)
    }

    /// Adds the entry that `make` returns unless its key exists. Returns the position, and whether
    /// the entry is new.
    #[inline]
    pub fn find_or_insert(&mut self, key: &[u8], make: impl FnOnce() -> E) -> (usize, bool) {
        let hash = self.hash(key);
        match self.find_hashed(hash, key) {
            Some(position) => (position, false),
            None => (self.insert_hashed(hash, make()), true),
        }
    }

    /// Removes the entry at `position`. The last entry, if it is another one, moves there.
    pub fn remove(&mut self, position: usize) -> Option<E> {
        let last = self.len.checked_sub(1)?;
        self.build_index();
        let hash = self.hash(self.at(position)?.key());
        self.forget(hash, position);
        if position != last {
            let hash = self.hash(self.at(last)?.key());
            self.forget(hash, last);
            self.make_room();
            self.link(hash, position);
        }
        if self.tail.is_empty() {
            self.tail = Arc::unwrap_or_clone(self.full.pop()?);
        }
        let moved = self.tail.pop()?;
        if self.full.is_empty()
            && self.tail.capacity() > 4 * self.tail.len()
            && self.tail.capacity() > 8
        {
            self.tail.shrink_to(2 * self.tail.len());
        }
        self.len = last;
        let removed = match self.at_mut(position) {
            Some(hole) => core::mem::replace(hole, moved),
            None => moved,
        };
        self.heap -= removed.heap();
        self.step();
        let capacity = self.index.capacity();
        if self.old.is_none() && capacity > 64 && self.len < capacity / 8 {
            self.rebuild(self.len * 2);
        }
        Some(removed)
    }

    /// All entries, in the order of their positions.
    pub fn iter(&self) -> impl Iterator<Item = &E> + Clone {
        self.full.iter().flat_map(|chunk| chunk.iter()).chain(&self.tail)
    }

    /// One step of a scan: passes about `count` entries to `f`, from the position below `cursor`
    /// downwards (0 begins at the end), and returns the next cursor, which is 0 at the end.
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(&E)) -> u64 {
        let from = match usize::try_from(cursor) {
            Ok(c) if c != 0 => c.min(self.len),
            _ => self.len,
        };
        let to = from.saturating_sub(count.max(1));
        for position in (to..from).rev() {
            if let Some(entry) = self.at(position) {
                f(entry);
            }
        }
        to as u64
    }

    /// Drops about `budget` entries, or all if there are fewer, and returns how many. The table
    /// must not be used afterwards.
    pub fn free_some(&mut self, budget: usize) -> usize {
        let mut gone = core::mem::take(&mut self.tail).len();
        while gone < budget
            && let Some(chunk) = self.full.pop()
        {
            gone += chunk.len();
        }
        // Freeing a part of an index costs as much as freeing a chunk of entries.
        while gone < budget && self.free_index_part() {
            gone += CHUNK;
        }
        gone
    }

    fn free_index_part(&mut self) -> bool {
        self.old.as_mut().is_some_and(|old| old.free_part()) || self.index.free_part()
    }

    /// Memory used by the table, in bytes. It is computed from the number of entries, as if they
    /// had been added one after the other, not from the actual allocations, so it is the same on
    /// every platform and for a copy.
    pub fn memory(&self) -> usize {
        let full = allocated(CHUNK * size_of::<E>());
        let chunks = match self.full.len() {
            0 => allocated(room_for(self.len) * size_of::<E>()),
            n => full + n * (full + CHUNK_HEADER),
        };
        allocated(TABLE_BYTES) + chunks + index::bytes(self.len) + self.heap
    }

    fn hash(&self, key: &[u8]) -> u64 {
        hash_of(self.seed, key)
    }

    #[inline]
    fn find_hashed(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let is = |p: &u32| self.at(*p as usize).is_some_and(|e| e.key() == key);
        let found = self.index.find(hash, is);
        let found = match (&self.old, found) {
            (Some(old), None) => old.find(hash, is),
            (None, None) if self.is_frozen() => return self.iter().position(|e| e.key() == key),
            _ => found,
        };
        found.map(|p| *p as usize)
    }

    fn insert_hashed(&mut self, hash: u64, entry: E) -> usize {
        self.make_room();
        let position = self.len;
        self.heap += entry.heap();
        self.link(hash, position);
        let tail = &mut self.tail;
        if tail.len() == CHUNK {
            let fresh = Vec::with_capacity(CHUNK);
            self.full.push(Arc::new(core::mem::replace(tail, fresh)));
        } else if tail.len() == tail.capacity() {
            // Between doubling and exact: a quarter more.
            tail.reserve_exact((tail.len() / 4).max(4).min(CHUNK - tail.len()));
        }
        tail.push(entry);
        self.len += 1;
        self.step();
        position
    }

    /// Removes a position from the new index, if it is there.
    fn forget(&mut self, hash: u64, position: usize) {
        self.index.remove(hash, |p| *p as usize == position);
    }

    fn link(&mut self, hash: u64, position: usize) {
        let (full, tail, seed) = (&self.full, &self.tail, self.seed);
        self.index.insert(hash, position as u32, |p| {
            place(full, tail, *p as usize).map_or(0, |e| hash_of(seed, e.key()))
        });
    }

    fn is_frozen(&self) -> bool {
        self.index.len() == 0 && self.old.is_none() && self.len > 0
    }

    /// Builds the index of a frozen table.
    #[inline]
    fn build_index(&mut self) {
        if self.is_frozen() {
            self.rebuild(self.len + 1);
            while self.old.is_some() {
                self.step();
            }
        }
    }

    /// Ensures that the index can take one more position without rehashing by itself.
    fn make_room(&mut self) {
        if self.index.len() < self.index.capacity() {
            return;
        }
        self.build_index();
        // This cannot happen while positions are being moved: a new index has room for twice the
        // entries, and the move ends after a quarter as many changes. If it did happen, the move
        // would be completed here.
        while self.old.is_some() {
            self.step();
        }
        if self.index.len() == self.index.capacity() {
            // Exactly twice the capacity: for one entry more it would be four times as large.
            self.rebuild(self.len * 2);
        }
    }

    fn rebuild(&mut self, capacity: usize) {
        let fresh = Index::with_capacity(capacity.max(4));
        self.old = Some(Box::new(core::mem::replace(&mut self.index, fresh)));
        self.moved = 0;
        if self.len <= SMALL {
            while self.old.is_some() {
                self.step();
            }
        }
    }

    fn step(&mut self) {
        if self.old.is_none() {
            return;
        }
        for _ in 0..STEP {
            let position = self.moved;
            let Some(entry) = self.at(position) else {
                // All have moved. The rest of the old index is freed one part at a time.
                if !self.old.as_mut().is_some_and(|old| old.free_part()) {
                    self.old = None;
                }
                return;
            };
            let hash = self.hash(entry.key());
            if self.index.find(hash, |p| *p as usize == position).is_none() {
                self.link(hash, position);
            }
            self.moved += 1;
        }
    }
}

/// The capacity of the first chunk after that many insertions. See [`Table::insert`].
fn room_for(len: usize) -> usize {
    let mut room = 0;
    while room < len {
        room += (room / 4).max(4).min(CHUNK - room);
    }
    room
}

#[inline]
fn place<'a, E>(full: &'a [Arc<Vec<E>>], tail: &'a [E], position: usize) -> Option<&'a E> {
    match full.get(position / CHUNK) {
        Some(chunk) => chunk.get(position % CHUNK),
        None => tail.get(position - full.len() * CHUNK),
    }
}

#[inline]
fn hash_of(seed: u64, key: &[u8]) -> u64 {
    sip13(seed, seed.rotate_left(32), key)
}

impl<E: core::fmt::Debug + Keyed> core::fmt::Debug for Table<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::store::value::bytes::SmallBytes;
    use std::collections::{BTreeMap, BTreeSet};

    impl Keyed for (SmallBytes, u64) {
        fn key(&self) -> &[u8] {
            self.0.as_slice()
        }
        fn heap(&self) -> usize {
            self.0.heap()
        }
    }

    fn name(n: u64) -> Vec<u8> {
        format!("member:{n}").into_bytes()
    }

    #[test]
    fn it_is_a_map_through_growth_and_shrinking() {
        let mut rng = Rng::new(5);
        let mut table = Table::new(9);
        let mut model = BTreeMap::new();
        for round in 0..40_000u64 {
            // Alternating: ten thousand rounds of growth, then of shrinking.
            let grow = (round / 10_000) % 2 == 0;
            let key = name(rng.below(20_000));
            if rng.chance(if grow { 0.9 } else { 0.1 }) {
                let (at, new) = table.find_or_insert(&key, || (SmallBytes::new(&key), round));
                assert_eq!(new, !model.contains_key(&key));
                table.change(at, |e| e.1 = round);
                model.insert(key, round);
            } else {
                let gone = table.find(&key).and_then(|p| table.remove(p));
                assert_eq!(gone.map(|e| e.1), model.remove(&key));
            }
            assert_eq!(table.len(), model.len());
            let key = name(rng.below(20_000));
            assert_eq!(table.get(&key).map(|e| e.1), model.get(&key).copied());
        }
        let mut all: Vec<_> = table.iter().map(|e| (e.key().to_vec(), e.1)).collect();
        all.sort();
        assert!(all.into_iter().eq(model));
    }

    #[test]
    fn a_scan_sees_everything_that_stays() {
        for seed in 0..30 {
            let mut rng = Rng::new(seed);
            let mut table = Table::new(seed);
            for n in 0..rng.below(3_000) {
                table.insert((SmallBytes::new(&name(n)), n));
            }
            let mut stay: BTreeSet<u64> = table.iter().map(|e| e.1).collect();
            let (mut seen, mut cursor, mut next) = (BTreeSet::new(), 0, 1_000_000);
            loop {
                cursor = table.scan(cursor, 1 + rng.below(20) as usize, |e| {
                    seen.insert(e.1);
                });
                if cursor == 0 {
                    break;
                }
                for _ in 0..rng.below(60) {
                    if rng.chance(0.5) && !table.is_empty() {
                        let at = rng.below(table.len() as u64) as usize;
                        stay.remove(&table.remove(at).unwrap().1);
                    } else {
                        next += 1;
                        table.insert((SmallBytes::new(&name(next)), next));
                    }
                }
            }
            assert!(stay.is_subset(&seen));
        }
    }

    #[test]
    fn a_large_index_has_parts_and_finds_the_same() {
        let (mut table, count) = (Table::new(3), 250_000);
        let mut most = 0;
        for n in 0..count {
            table.insert((SmallBytes::new(&name(n)), n));
            let held = index::bytes(table.len()) as f64;
            most = most.max((table.index.bytes() as f64 / held * 100.0) as u64);
        }
        // The next index may be started a little early.
        assert!((100..=210).contains(&most), "{most} %");
        assert!(table.old.is_none());
        for n in (0..count).step_by(100) {
            assert_eq!(table.get(&name(n)).map(|e| e.1), Some(n));
            assert!(table.get(&name(count + n)).is_none());
        }
        let mut rng = Rng::new(4);
        while table.len() > 1_000 {
            table.remove(rng.below(table.len() as u64) as usize);
        }
        let left: Vec<u64> = table.iter().map(|e| e.1).collect();
        assert!(left.iter().all(|n| table.get(&name(*n)).is_some_and(|e| e.1 == *n)));
        assert!(table.index.bytes() < index::bytes(20_000));
    }

    #[test]
    fn the_memory_of_a_table_is_that_of_what_it_holds() {
        let mut table: Table<SmallBytes> = Table::new(3);
        for n in 0..3_000 {
            table.insert(SmallBytes::new(&name(n)));
            let chunk = |places: usize| allocated(places * size_of::<SmallBytes>());
            let full = table.full.len() * (chunk(CHUNK) + CHUNK_HEADER);
            let taken = full + chunk(table.tail.capacity()) + table.index.bytes();
            let told = table.memory() - allocated(TABLE_BYTES);
            assert!(told.abs_diff(taken) * 50 <= taken, "{}: {told} {taken}", table.len());
        }
    }

    #[test]
    fn a_table_is_freed_in_several_steps() {
        let mut table = Table::new(1);
        for n in 0..5_000 {
            table.insert((SmallBytes::new(&name(n)), n));
        }
        let mut steps = 0;
        while table.free_some(1_000) > 0 {
            steps += 1;
        }
        assert!(steps >= 4, "{steps}");
    }

    thread_local! {
        static COPIED: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
    }

    struct Counted(u64);

    impl Clone for Counted {
        fn clone(&self) -> Self {
            COPIED.set(COPIED.get() + 1);
            Counted(self.0)
        }
    }

    impl Keyed for Counted {
        fn key(&self) -> &[u8] {
            // A static buffer provides the bytes of all keys.
            let (bytes, _) = NUMBERS.as_chunks::<4>();
            &bytes[self.0 as usize]
        }
        fn heap(&self) -> usize {
            0
        }
    }

    static NUMBERS: std::sync::LazyLock<Vec<u8>> =
        std::sync::LazyLock::new(|| (0..1_000_100u32).flat_map(u32::to_le_bytes).collect());

    #[test]
    fn a_copy_of_a_million_entries_costs_what_is_changed_in_it() {
        let mut table = Table::new(1);
        for n in 0..1_000_000 {
            table.insert(Counted(n));
        }
        let copied = || COPIED.replace(0);
        copied();
        for frozen in [true, false] {
            let mut copy = if frozen { table.frozen() } else { table.clone() };
            assert!(copied() <= CHUNK);
            table.change(500_000, |entry| assert_eq!(entry.0, 500_000));
            assert_eq!(copied(), CHUNK);
            table.change(500_001, |_| ());
            assert_eq!(copied(), 0);
            table.insert(Counted(1_000_000));
            table.remove(1_000_000);
            assert_eq!(copied(), 0);
            copy.remove(3);
            assert_eq!(copied(), CHUNK);
            drop(copy);
            table.change(700_000, |_| ());
            assert_eq!(copied(), 0, "nobody else has it any more");
        }
    }
}
