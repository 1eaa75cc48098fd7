//! Where the entries of a table are, by their hashes.

use hashbrown::HashTable;

/// Positions a part, on average, above which parts split. One that is about to split holds up to
/// twice as many, and one that has just been split half at the least.
const SPLIT_LOAD: usize = 832;

/// Positions a part, on average, below which parts merge: far enough below [`SPLIT_LOAD`] that an
/// index whose size swings does not split and merge all the time.
const MERGE_LOAD: usize = SPLIT_LOAD / 4;

/// Positions that a part has room for when it is made: as many as it will have soon.
const ROOM: usize = 896;

/// Positions of entries, found by the hashes of their keys.
///
/// A large index consists of parts, each with a hash table of its own. When there are too many
/// positions for so many parts, one part splits in two; when there are too few, two become one. So
/// there is no moment at which everything moves, and nothing large is allocated, or freed, at once.
#[derive(Clone)]
pub(super) struct Index {
    /// All positions, unless there are parts.
    whole: HashTable<u32>,
    /// Two at the least, or none.
    parts: Vec<HashTable<u32>>,
    len: usize,
}

impl Index {
    /// An empty index, with room for some positions.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let whole = HashTable::with_capacity(capacity.min(ROOM));
        Self { whole, parts: Vec::new(), len: 0 }
    }

    /// How many positions there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The position with this hash that `is` accepts.
    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl FnMut(&u32) -> bool) -> Option<&u32> {
        match self.parts.get(home(hash, self.parts.len())) {
            None => self.whole.find(hash, is),
            Some(part) => part.find(hash, is),
        }
    }

    /// Puts another position in the place of one with this hash.
    pub(super) fn change(&mut self, hash: u64, from: u32, to: u32) {
        if let Some(position) = self.part(hash).find_mut(hash, |position| *position == from) {
            *position = to;
        }
    }

    /// Adds a position that is not there. `rehash` gives the hash of any position, this one too.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, position: u32, rehash: impl Fn(&u32) -> u64) {
        self.part(hash).insert_unique(hash, position, &rehash);
        self.len += 1;
        if self.len > self.parts.len().max(1) * SPLIT_LOAD {
            self.split(rehash);
        }
    }

    /// Takes out a position with this hash.
    pub(super) fn remove(&mut self, hash: u64, position: u32, rehash: impl Fn(&u32) -> u64) {
        let part = self.part(hash);
        let Ok(found) = part.find_entry(hash, |p| *p == position) else { return };
        found.remove();
        let (held, capacity) = (part.len(), part.capacity());
        if capacity > 64 && held < capacity / 8 {
            part.shrink_to(held * 2, &rehash);
        }
        self.len -= 1;
        if self.len < self.parts.len() * MERGE_LOAD {
            self.merge(rehash);
        }
    }

    /// Frees one part. False if there is none, and the rest is small.
    pub(super) fn free_part(&mut self) -> bool {
        self.parts.pop().is_some()
    }

    #[inline]
    fn part(&mut self, hash: u64) -> &mut HashTable<u32> {
        let home = home(hash, self.parts.len());
        self.parts.get_mut(home).unwrap_or(&mut self.whole)
    }

    #[cold]
    fn split(&mut self, rehash: impl Fn(&u32) -> u64) {
        if self.parts.is_empty() {
            self.parts.push(core::mem::take(&mut self.whole));
        }
        let (lower, upper) = (twin(self.parts.len()), HashTable::with_capacity(ROOM));
        self.parts.push(upper);
        let room = HashTable::with_capacity(ROOM);
        let Some(part) = self.parts.get_mut(lower) else { return };
        for position in core::mem::replace(part, room) {
            let hash = rehash(&position);
            self.part(hash).insert_unique(hash, position, &rehash);
        }
    }

    #[cold]
    fn merge(&mut self, rehash: impl Fn(&u32) -> u64) {
        let Some(last) = self.parts.pop() else { return };
        let lower = twin(self.parts.len());
        if let Some(part) = self.parts.get_mut(lower) {
            for position in last {
                part.insert_unique(rehash(&position), position, &rehash);
            }
        }
        if self.parts.len() == 1 {
            self.whole = self.parts.pop().unwrap_or_default();
        }
    }
}

/// The memory of an index that has grown to so many positions, in bytes.
pub(super) fn bytes(len: usize) -> usize {
    let part = |positions: usize| {
        let places = (positions * 8).div_ceil(7).max(4).next_power_of_two();
        super::allocated(places * 5 + 16)
    };
    if len <= SPLIT_LOAD {
        return part(len);
    }
    // Of as many parts as were a power of two some have split since.
    let parts = len.div_ceil(SPLIT_LOAD);
    let before = 1 << parts.ilog2();
    let split = parts - before;
    let parts_held = split * 2 * part(ROOM) + (before - split) * part((len / before).max(ROOM));
    parts_held + parts * size_of::<[u64; 4]>()
}

/// Where a hash belongs among so many parts: by bits that the parts themselves do not look at.
#[inline]
fn home(hash: u64, parts: usize) -> usize {
    let wide = parts.next_power_of_two();
    let at = (hash >> 32) as usize & (wide - 1);
    if at < parts { at } else { at & (wide / 2).wrapping_sub(1) }
}

/// The part with which the part of this number shares its hashes when there are no others behind.
fn twin(number: usize) -> usize {
    number.checked_ilog2().map_or(0, |bits| number - (1 << bits))
}

#[cfg(test)]
impl Index {
    /// Bytes that it has allocated.
    pub(super) fn bytes(&self) -> usize {
        let parts = self.parts.iter().map(|part| super::allocated(part.allocation_size()));
        let places = self.parts.len() * size_of::<[u64; 4]>();
        super::allocated(self.whole.allocation_size()) + parts.sum::<usize>() + places
    }

    /// The most positions that a part holds, and how many parts there are.
    pub(super) fn shape(&self) -> (usize, usize) {
        let held = self.parts.iter().chain([&self.whole]).map(HashTable::len).max();
        (held.unwrap_or(0), self.parts.len())
    }
}
