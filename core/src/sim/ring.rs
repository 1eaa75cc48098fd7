//! A bounded history that is cheap to clone.

use std::collections::VecDeque;
use std::sync::Arc;

/// A ring buffer that keeps the last items of a history and drops older ones in chunks.
///
/// Full chunks are shared between clones, so a checkpoint copies only a few pointers.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    full: VecDeque<Arc<Vec<T>>>,
    tail: Vec<T>,
    first: u64,
    chunks: usize,
}

impl<T: Clone> Ring<T> {
    /// Items per chunk.
    const CHUNK: usize = 64;

    /// A ring that keeps at least the last `keep` items.
    pub fn new(keep: usize) -> Self {
        Ring {
            full: VecDeque::new(),
            tail: Vec::new(),
            first: 0,
            chunks: keep.div_ceil(Self::CHUNK).max(1),
        }
    }

    /// Adds an item, and drops the oldest chunk if there is one too many.
    pub fn push(&mut self, item: T) {
        self.tail.push(item);
        if self.tail.len() == Self::CHUNK {
            let chunk = core::mem::replace(&mut self.tail, Vec::with_capacity(Self::CHUNK));
            self.full.push_back(Arc::new(chunk));
            if self.full.len() > self.chunks {
                self.full.pop_front();
                self.first += Self::CHUNK as u64;
            }
        }
    }

    /// The items that are kept, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.full.iter().flat_map(|chunk| chunk.iter()).chain(self.tail.iter())
    }

    /// The number of the first item that is kept, which is the number of dropped items.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next item, which is the number of items ever added.
    pub fn next(&self) -> u64 {
        self.first + (self.full.len() * Self::CHUNK + self.tail.len()) as u64
    }

    /// The item with this number, if it is kept.
    pub fn get(&self, number: u64) -> Option<&T> {
        let i = usize::try_from(number.checked_sub(self.first)?).ok()?;
        match self.full.get(i / Self::CHUNK) {
            Some(chunk) => chunk.get(i % Self::CHUNK),
            None => self.tail.get(i.checked_sub(self.full.len() * Self::CHUNK)?),
        }
    }

    /// The items from `number` on, for an observer that has seen those before it.
    pub fn since(&self, number: u64) -> impl Iterator<Item = &T> {
        (number.max(self.first)..self.next()).filter_map(|n| self.get(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_items_are_kept_and_numbered() {
        let mut ring = Ring::new(100);
        for i in 0..1_000u64 {
            ring.push(i);
            assert_eq!(ring.get(i), Some(&i));
        }
        assert_eq!(ring.next(), 1_000);
        let kept: Vec<u64> = ring.iter().copied().collect();
        assert!(kept.len() >= 100 && kept.len() < 300);
        assert_eq!(kept, (ring.first()..1_000).collect::<Vec<_>>());
        assert_eq!(ring.since(990).copied().collect::<Vec<_>>(), (990..1_000).collect::<Vec<_>>());
        assert_eq!(ring.get(ring.first().wrapping_sub(1)), None);
        assert_eq!(ring.get(1_000), None);
    }
}
