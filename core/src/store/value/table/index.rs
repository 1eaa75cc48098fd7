//! The index of a [`Table`](super::Table): positions of entries by hash.

use hashbrown::HashTable;

/// Buckets of one part of a large index. With five bytes per bucket, a part is small enough to be
/// allocated and freed in one go.
const PLACES: usize = 1 << 17;
/// The capacity of a part.
const ROOM: usize = PLACES / 8 * 7;
/// The planned load of a part: below the capacity, so that random variation does not fill one part
/// before the others.
const FILL: usize = PLACES / 4 * 3;

/// A hash index from keys to positions of entries.
///
/// A large index is split into parts, so that no allocation is large: allocating or freeing the
/// memory of an index of ten million positions in one go would take many milliseconds.
#[derive(Clone)]
pub(super) struct Index {
    /// All positions, if the index is not split.
    whole: HashTable<u32>,
    /// The parts, a power of two of them, or none. Their memory is allocated when it is needed.
    parts: Vec<HashTable<u32>>,
    /// The number of positions in all parts.
    len: usize,
}

impl Index {
    /// An empty index for about that many positions.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        if capacity <= ROOM {
            let whole = HashTable::with_capacity(capacity);
            return Self { whole, parts: Vec::new(), len: 0 };
        }
        Self { whole: HashTable::new(), parts: vec![HashTable::new(); parts(capacity)], len: 0 }
    }

    /// The number of positions.
    #[inline]
    pub(super) fn len(&self) -> usize {
        if self.parts.is_empty() { self.whole.len() } else { self.len }
    }

    /// The number of positions that it can hold without rehashing.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        if self.parts.is_empty() { self.whole.capacity() } else { self.parts.len() * FILL }
    }

    /// The position with this hash that `is` accepts.
    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl FnMut(&u32) -> bool) -> Option<&u32> {
        match self.parts.get(part(hash, self.parts.len())) {
            None => self.whole.find(hash, is),
            Some(part) => part.find(hash, is),
        }
    }

    /// Removes the position with this hash that `is` accepts, if there is one.
    pub(super) fn remove(&mut self, hash: u64, is: impl FnMut(&u32) -> bool) {
        let parts = self.parts.len();
        let table = self.parts.get_mut(part(hash, parts)).unwrap_or(&mut self.whole);
        if let Ok(found) = table.find_entry(hash, is) {
            found.remove();
            self.len = self.len.saturating_sub(1);
        }
    }

    /// Adds a position that is not in the index. `rehash` returns the hash of any position.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, position: u32, rehash: impl Fn(&u32) -> u64) {
        let parts = self.parts.len();
        match self.parts.get_mut(part(hash, parts)) {
            None => {
                self.whole.insert_unique(hash, position, rehash);
            }
            Some(part) => {
                if part.capacity() == 0 {
                    *part = HashTable::with_capacity(ROOM);
                }
                part.insert_unique(hash, position, rehash);
                self.len += 1;
            }
        }
    }

    /// Frees one part. False if there are no parts, and what remains is small.
    pub(super) fn free_part(&mut self) -> bool {
        self.parts.pop().is_some()
    }
}

#[cfg(test)]
impl Index {
    /// Allocated bytes.
    pub(super) fn bytes(&self) -> usize {
        let parts = self.parts.iter().map(|part| super::allocated(part.allocation_size()));
        let places = self.parts.len() * size_of::<[u64; 4]>();
        super::allocated(self.whole.allocation_size()) + parts.sum::<usize>() + places
    }
}

/// The memory of an index that has grown to that many positions, in bytes.
pub(super) fn bytes(len: usize) -> usize {
    let part = |places: usize| super::allocated(places * 5 + 16);
    if len <= ROOM {
        return part((len * 8).div_ceil(7).max(8).next_power_of_two());
    }
    len.div_ceil(FILL).next_power_of_two() * (part(PLACES) + size_of::<[u64; 4]>())
}

/// The number of parts for this capacity.
fn parts(capacity: usize) -> usize {
    (capacity.saturating_mul(8) / 7).next_power_of_two() / PLACES
}

/// The part for a hash, chosen by bits that the parts themselves do not use.
#[inline]
fn part(hash: u64, parts: usize) -> usize {
    (hash >> 32) as usize & parts.wrapping_sub(1)
}
