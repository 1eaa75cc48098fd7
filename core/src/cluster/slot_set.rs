//! Sets of slots.

use std::sync::Arc;

use crate::sharding::Slot;

/// A set of slots: the bitmap of the bus protocol.
///
/// Clones share the bitmap until one of them changes, and an empty set has none. So the nodes of a
/// large cluster, and the checkpoints of many clusters, keep few bitmaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotSet {
    bits: Option<Arc<[u64; WORDS]>>,
    len: u16,
}

const WORDS: usize = Slot::COUNT as usize / 64;

impl SlotSet {
    /// Length of the bitmap on the wire, in bytes.
    pub const BYTES: usize = Slot::COUNT as usize / 8;

    /// A set without slots.
    pub const fn new() -> Self {
        SlotSet { bits: None, len: 0 }
    }

    /// The number of slots in the set.
    pub fn len(&self) -> usize {
        self.len.into()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a slot is in the set.
    #[inline]
    pub fn contains(&self, slot: Slot) -> bool {
        let (word, bit) = place(slot);
        self.bits.as_ref().is_some_and(|bits| bits[word] >> bit & 1 == 1)
    }

    /// Adds a slot. Returns whether it was not in the set before.
    pub fn insert(&mut self, slot: Slot) -> bool {
        if self.contains(slot) {
            return false;
        }
        let (word, bit) = place(slot);
        let bits = self.bits.get_or_insert_with(|| Arc::new([0; WORDS]));
        Arc::make_mut(bits)[word] |= 1 << bit;
        self.len += 1;
        true
    }

    /// Removes a slot. Returns whether it was in the set.
    pub fn remove(&mut self, slot: Slot) -> bool {
        if !self.contains(slot) {
            return false;
        }
        self.len -= 1;
        let (word, bit) = place(slot);
        match &mut self.bits {
            Some(bits) if self.len > 0 => Arc::make_mut(bits)[word] &= !(1 << bit),
            bits => *bits = None,
        }
        true
    }

    /// The slots in order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> {
        self.words().flat_map(|(index, word)| {
            let mut left = word;
            core::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Slot::new(index * 64 + bit as u16)
            })
        })
    }

    /// The slots as ranges, both ends included.
    pub fn ranges(&self) -> impl Iterator<Item = (Slot, Slot)> {
        let mut from = 0;
        core::iter::from_fn(move || {
            let first = self.next(from, true)?;
            let end = self.next(first.number() + 1, false);
            from = end.map_or(Slot::COUNT, Slot::number);
            Some((first, Slot::new(from - 1)?))
        })
    }

    /// The first slot from `from` on whose membership is `is_member`. Skips whole words, since most
    /// sets are a few long ranges.
    fn next(&self, from: u16, is_member: bool) -> Option<Slot> {
        let (mut index, mut seen) = (usize::from(from / 64), !0 << (from % 64));
        while index < WORDS {
            let word = self.bits.as_ref().map_or(0, |bits| bits[index]);
            let found = if is_member { word } else { !word } & seen;
            if found != 0 {
                return Slot::new(index as u16 * 64 + found.trailing_zeros() as u16);
            }
            (index, seen) = (index + 1, !0);
        }
        None
    }

    /// The slots as text, `0-99` and `101`, joined by `separator`.
    pub fn to_text(&self, separator: &str) -> String {
        let range = |(first, last): (Slot, Slot)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        self.ranges().map(range).collect::<Vec<_>>().join(separator)
    }

    /// Parses the text that [`SlotSet::to_text`] writes; `None` if it is not valid.
    pub fn from_text(text: &str, separator: char) -> Option<SlotSet> {
        let mut slots = SlotSet::new();
        for word in text.split(separator) {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
            for number in first..=last {
                slots.insert(Slot::new(number)?);
            }
        }
        Some(slots)
    }

    /// The slots of this set that are not in `other`.
    pub fn without(&self, other: &SlotSet) -> SlotSet {
        let (Some(mine), Some(others)) = (&self.bits, &other.bits) else { return self.clone() };
        let mut bits = [0; WORDS];
        for (word, (mine, others)) in bits.iter_mut().zip(mine.iter().zip(others.iter())) {
            *word = mine & !others;
        }
        SlotSet::from_words(bits)
    }

    /// Reads the bitmap from the wire: slot 0 is the lowest bit of the first byte.
    pub fn from_bytes(bytes: &[u8; SlotSet::BYTES]) -> SlotSet {
        let mut bits = [0; WORDS];
        for (word, bytes) in bits.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        SlotSet::from_words(bits)
    }

    fn from_words(bits: [u64; WORDS]) -> SlotSet {
        let len = bits.iter().map(|word| word.count_ones()).sum::<u32>() as u16;
        SlotSet { bits: (len > 0).then(|| Arc::new(bits)), len }
    }

    /// Appends the bitmap in its wire format.
    pub fn write(&self, out: &mut Vec<u8>) {
        match &self.bits {
            Some(bits) => out.extend(bits.iter().flat_map(|word| word.to_le_bytes())),
            None => out.resize(out.len() + Self::BYTES, 0),
        }
    }

    fn words(&self) -> impl Iterator<Item = (u16, u64)> {
        let words = self.bits.iter().flat_map(|bits| bits.iter());
        (0..).zip(words.copied())
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = SlotSet::new();
        slots.into_iter().for_each(|slot| {
            set.insert(slot);
        });
        set
    }
}

fn place(slot: Slot) -> (usize, u32) {
    let number = usize::from(slot);
    (number / 64, (number % 64) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: impl IntoIterator<Item = u16>) -> SlotSet {
        numbers.into_iter().filter_map(Slot::new).collect()
    }

    #[test]
    fn a_set_counts_lists_and_joins_its_slots() {
        let mut slots = set([0, 1, 2, 63, 64, 100, 16383]);
        assert_eq!(slots.len(), 7);
        let ranges = |slots: &SlotSet| -> Vec<(u16, u16)> {
            slots.ranges().map(|(a, b)| (a.number(), b.number())).collect()
        };
        assert_eq!(ranges(&slots), [(0, 2), (63, 64), (100, 100), (16383, 16383)]);
        for number in [1, 100, 63, 64, 0, 2, 16383] {
            let slot = Slot::new(number).expect("a slot");
            assert!(slots.remove(slot) && !slots.remove(slot) && !slots.contains(slot));
        }
        assert_eq!(slots, SlotSet::new());
        assert_eq!(ranges(&set(0..16384)), [(0, 16383)]);
        assert_eq!(ranges(&set((60..200).chain([16382]))), [(60, 199), (16382, 16382)]);
        assert_eq!(ranges(&set([])), []);
        assert_eq!(set(0..16384).without(&set(64..16384)), set(0..64));
        assert_eq!(set(0..10).without(&set(0..10)), SlotSet::new());
        assert_eq!(set(0..10).without(&set(3..20)), set(0..3));
    }

    #[test]
    fn the_bitmap_has_the_wire_format() {
        let slots = set([0, 9, 16383]);
        let mut bytes = Vec::new();
        slots.write(&mut bytes);
        assert_eq!((bytes[0], bytes[1], bytes[2047], bytes.len()), (1, 2, 128, SlotSet::BYTES));
        let bytes: &[u8; SlotSet::BYTES] = bytes.as_slice().try_into().expect("the length");
        assert_eq!(SlotSet::from_bytes(bytes), slots);
        assert_eq!(SlotSet::from_bytes(&[0; SlotSet::BYTES]), SlotSet::new());
    }
}
