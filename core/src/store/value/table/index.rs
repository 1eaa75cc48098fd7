//! Where the entries of a table are, by their hashes.

use hashbrown::HashTable;

/// Places of one part of a large index. With five bytes for each place it is allocated, and freed,
/// at once.
const PLACES: usize = 1 << 17;
/// Positions that a part has room for.
const ROOM: usize = PLACES / 8 * 7;
/// Positions for which a part is meant: so much less that chance does not fill one before the
/// others.
const FILL: usize = PLACES / 4 * 3;

/// Positions of entries, found by the hashes of their keys.
///
/// A large one consists of parts, so that no allocation of it is large: to prepare the memory of an
/// index of ten million positions, or to give it back, would take many milliseconds.
#[derive(Clone)]
pub(super) struct Index {
    /// All positions, unless there are parts.
    whole: HashTable<u32>,
    /// As many as are a power of two, or none. They are allocated when they are needed.
    parts: Vec<HashTable<u32>>,
    /// Positions in all parts.
    len: usize,
}

impl Index {
    /// An empty index with room for about so many positions.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        if capacity <= ROOM {
            let whole = HashTable::with_capacity(capacity);
            return Self { whole, parts: Vec::new(), len: 0 };
        }
        Self { whole: HashTable::new(), parts: vec![HashTable::new(); parts(capacity)], len: 0 }
    }

    /// How many positions there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        if self.parts.is_empty() { self.whole.len() } else { self.len }
    }

    /// How many positions it takes without moving any.
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

    /// Takes out the position with this hash that `is` accepts, if there is one.
    pub(super) fn remove(&mut self, hash: u64, is: impl FnMut(&u32) -> bool) {
        let parts = self.parts.len();
        let table = self.parts.get_mut(part(hash, parts)).unwrap_or(&mut self.whole);
        if let Ok(found) = table.find_entry(hash, is) {
            found.remove();
            self.len = self.len.saturating_sub(1);
        }
    }

    /// Adds a position that is not there. `rehash` gives the hash of any position.
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

    /// Frees one part. False if there is none, and the rest is small.
    pub(super) fn free_part(&mut self) -> bool {
        self.parts.pop().is_some()
    }
}

#[cfg(test)]
impl Index {
    /// Bytes that it has allocated.
    pub(super) fn bytes(&self) -> usize {
        let parts = self.parts.iter().map(|part| super::allocated(part.allocation_size()));
        let places = self.parts.len() * size_of::<[u64; 4]>();
        super::allocated(self.whole.allocation_size()) + parts.sum::<usize>() + places
    }
}

/// The memory of an index that has grown to so many positions, in bytes.
pub(super) fn bytes(len: usize) -> usize {
    let part = |places: usize| super::allocated(places * 5 + 16);
    if len <= ROOM {
        return part((len * 8).div_ceil(7).max(8).next_power_of_two());
    }
    len.div_ceil(FILL).next_power_of_two() * (part(PLACES) + size_of::<[u64; 4]>())
}

/// How many parts have about this capacity.
fn parts(capacity: usize) -> usize {
    (capacity.saturating_mul(8) / 7).next_power_of_two() / PLACES
}

/// The part of a hash: by bits that the parts themselves do not look at.
#[inline]
fn part(hash: u64, parts: usize) -> usize {
    (hash >> 32) as usize & parts.wrapping_sub(1)
}
