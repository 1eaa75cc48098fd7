//! The intset: a compact sorted set of integers, an array of 16, 32 or 64 bits each, in Redis's
//! format.
//!
//! Eight bytes of header (width in bytes and number of members, little endian), then the members.

use super::listpack::Malformed;
use crate::store::size::allocated;

const HEADER: usize = 8;

/// A view of an intset, for reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IntRef<'a>(&'a [u8]);

impl<'a> IntRef<'a> {
    /// The intset in `bytes`, which were [checked](IntSet::from_bytes) before.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes in Redis's format, as saved to disk.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The number of members.
    #[inline]
    pub fn len(self) -> usize {
        (self.0.len() - HEADER) / self.width()
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.0.len() == HEADER
    }

    /// The member at `index` in ascending order.
    #[inline]
    pub fn get(self, index: usize) -> Option<i64> {
        let width = self.width();
        let at = HEADER + index * width;
        let b = self.0.get(at..at + width)?;
        Some(match *b {
            [a, b] => i64::from(i16::from_le_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => return None,
        })
    }

    /// All members, ascending.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = i64> + Clone + 'a {
        (0..self.len()).filter_map(move |i| self.get(i))
    }

    /// Whether `n` is a member.
    pub fn contains(self, n: i64) -> bool {
        width_of(n) <= self.width() && self.position(n).is_ok()
    }

    fn width(self) -> usize {
        usize::from(self.0[0])
    }

    fn position(self, n: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        if high > 0 && self.get(high - 1).is_some_and(|last| n > last) {
            return Err(high);
        }
        while low < high {
            let middle = (low + high) / 2;
            match self.get(middle) {
                Some(m) if m == n => return Ok(middle),
                Some(m) if m < n => low = middle + 1,
                _ => high = middle,
            }
        }
        Err(low)
    }
}

/// An intset in one allocation, whose width is that of its widest member.
///
/// It may be preceded by a prefix, which belongs to the owner of the allocation.
#[derive(Clone, Debug)]
pub struct IntSet {
    bytes: Vec<u8>,
    base: usize,
}

impl Default for IntSet {
    fn default() -> Self {
        Self::new()
    }
}

impl IntSet {
    /// An empty set.
    pub fn new() -> Self {
        Self { bytes: vec![2, 0, 0, 0, 0, 0, 0, 0], base: 0 }
    }

    /// An intset from untrusted bytes, after checking lengths and order.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Malformed> {
        let word = |at: usize| {
            bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
        };
        let (width, len) = (word(0).ok_or(Malformed)?, word(4).ok_or(Malformed)?);
        let size = u64::from(width) * u64::from(len) + HEADER as u64;
        if !matches!(width, 2 | 4 | 8) || size != bytes.len() as u64 || len == 0 {
            return Err(Malformed);
        }
        let set = IntRef::new(&bytes);
        if set.iter().zip(set.iter().skip(1)).any(|(a, b)| a >= b) {
            return Err(Malformed);
        }
        Ok(Self { bytes, base: 0 })
    }

    /// The set that begins at `base` in `bytes`, which came from [`IntSet::into_prefixed`].
    pub fn from_prefixed(bytes: Vec<u8>, base: usize) -> Self {
        Self { bytes, base }
    }

    /// The length of the prefix.
    pub fn base(&self) -> usize {
        self.base
    }

    /// The bytes including the prefix, and where the set begins.
    pub fn into_prefixed(self) -> (Vec<u8>, usize) {
        (self.bytes, self.base)
    }

    /// A view for reading.
    #[inline]
    pub fn view(&self) -> IntRef<'_> {
        IntRef(self.bytes.get(self.base..).unwrap_or_default())
    }

    /// Adds `n`; false if it was there.
    pub fn insert(&mut self, n: i64) -> bool {
        if width_of(n) > self.view().width() {
            self.widen(width_of(n));
        }
        let Err(index) = self.view().position(n) else { return false };
        let width = self.view().width();
        let (at, old) = (self.base + HEADER + index * width, self.bytes.len());
        if old + width > self.bytes.capacity() {
            let room = if self.base == 0 { allocated(old + width) } else { old + width };
            self.bytes.reserve_exact(room - old);
        }
        self.bytes.resize(old + width, 0);
        self.bytes.copy_within(at..old, at + width);
        self.bytes[at..at + width].copy_from_slice(&n.to_le_bytes()[..width]);
        self.count();
        true
    }

    /// Removes `n`; false if it was not there.
    pub fn remove(&mut self, n: i64) -> bool {
        let width = self.view().width();
        if width_of(n) > width {
            return false;
        }
        let Ok(index) = self.view().position(n) else { return false };
        let at = self.base + HEADER + index * width;
        self.bytes.drain(at..at + width);
        let class = allocated(self.bytes.len());
        if self.bytes.capacity() > 2 * class {
            self.bytes.shrink_to(class);
        }
        self.count();
        true
    }

    fn widen(&mut self, width: usize) {
        let old = self.view();
        let mut wide = Vec::with_capacity(allocated(self.base + HEADER + (old.len() + 1) * width));
        wide.extend_from_slice(&self.bytes[..self.base]);
        wide.extend_from_slice(&[width as u8, 0, 0, 0, 0, 0, 0, 0]);
        for n in old.iter() {
            wide.extend_from_slice(&n.to_le_bytes()[..width]);
        }
        self.bytes = wide;
        self.count();
    }

    fn count(&mut self) {
        let len = u32::try_from(self.view().len()).unwrap_or(u32::MAX);
        let at = self.base + 4;
        self.bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
    }
}

fn width_of(n: i64) -> usize {
    if i16::try_from(n).is_ok() {
        2
    } else if i32::try_from(n).is_ok() {
        4
    } else {
        8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_sorted_set(ops in proptest::collection::vec(
            (any::<bool>(), any::<i64>(), 0u32..63, 0i64..20), 0..60)) {
            let (mut set, mut model) = (IntSet::new(), BTreeSet::new());
            for (add, n, shift, small) in ops {
                let n = if shift > 50 { small } else { n >> shift };
                if add {
                    prop_assert_eq!(set.insert(n), model.insert(n));
                } else {
                    prop_assert_eq!(set.remove(n), model.remove(&n));
                }
                prop_assert_eq!(set.view().contains(n), model.contains(&n));
                prop_assert_eq!(set.view().len(), model.len());
            }
            prop_assert!(set.view().iter().eq(model.iter().copied()));
            if !model.is_empty() {
                let again = IntSet::from_bytes(set.view().bytes().to_vec()).unwrap();
                prop_assert_eq!(again.view(), set.view());
            }
        }

        #[test]
        fn hostile_bytes_are_refused_or_safe(bytes in proptest::collection::vec(0u8..9, 0..40)) {
            if let Ok(set) = IntSet::from_bytes(bytes) {
                prop_assert!(set.view().iter().count() == set.view().len());
            }
        }
    }
}
