//! The listpack: the compact encoding of small collections, a sequence of elements in one byte
//! array, nearly in Redis's format.
//!
//! A listpack is a six-byte header (total bytes and number of elements, little endian), the
//! elements, and `0xFF`. An element is its encoding byte with its data, followed by the length of
//! both (`backlen`), which can be read backwards. Decimal integers are stored as integers.
//!
//! In memory the total and the last byte are omitted: the length of the bytes is known, and in a
//! small collection they would be a noticeable part.

use core::fmt;

use encoding::{
    ElementHeader, backlen_size, checked_entry_len, decode, entry_len, integer, read_backlen,
};

use crate::resp::number::parse_i64;
use crate::store::size::allocated;

mod encoding;

/// Bytes before the first element: the number of elements.
const HEADER: usize = 2;
/// Bytes of Redis's format that are not stored: the total before the number, and [`END`].
const OUTSIDE: usize = 4 + 1;
/// The byte after the last element, in Redis's format.
const END: u8 = 0xFF;
/// The count in the header that means that elements must be counted.
const UNCOUNTED: u16 = u16::MAX;

/// A view of a listpack, for reading.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PackRef<'a>(&'a [u8]);

/// A listpack in one allocation.
///
/// It may be preceded by a prefix, which belongs to the owner of the allocation: an entry stores
/// its key and other data there.
#[derive(Clone)]
pub struct Listpack {
    bytes: Vec<u8>,
    base: usize,
}

/// One element in its stored form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A string that is not the decimal form of an integer.
    Str(&'a [u8]),
    /// An integer.
    Int(i64),
}

impl<'a> Item<'a> {
    /// The stored form of `text`.
    #[inline]
    pub fn of(text: &'a [u8]) -> Self {
        match parse_i64(text) {
            Some(n) => Item::Int(n),
            None => Item::Str(text),
        }
    }

    /// Its text; an integer is formatted into `buffer`.
    #[inline]
    pub fn bytes<'b>(self, buffer: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Item::Str(text) => text,
            Item::Int(n) => buffer.format(n).as_bytes(),
        }
    }

    /// Its text as an owned string.
    pub fn to_vec(self) -> Vec<u8> {
        self.bytes(&mut itoa::Buffer::new()).to_vec()
    }

    /// The length of its text.
    pub fn len(self) -> usize {
        match self {
            Item::Str(text) => text.len(),
            Item::Int(n) => itoa::Buffer::new().format(n).len(),
        }
    }

    /// Whether it is the empty string.
    pub fn is_empty(self) -> bool {
        matches!(self, Item::Str([]))
    }
}

/// The error that bytes are not a listpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a listpack")
    }
}

impl<'a> PackRef<'a> {
    /// The listpack that is [stored](PackRef::kept) as `bytes`.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes in the in-memory format.
    #[inline]
    pub fn kept(self) -> &'a [u8] {
        self.0
    }

    /// The bytes in Redis's format, as saved to disk.
    pub fn to_bytes(self) -> Vec<u8> {
        let size = self.size();
        let mut bytes = Vec::with_capacity(size);
        // `fits` limits every addition, long before 4 GiB.
        bytes.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(self.0);
        bytes.push(END);
        bytes
    }

    /// Its size in Redis's format, in bytes.
    #[inline]
    pub fn size(self) -> usize {
        self.0.len() + OUTSIDE
    }

    /// A copy of it.
    pub fn to_owned(self) -> Listpack {
        Listpack { bytes: self.0.to_vec(), base: 0 }
    }

    /// The number of elements.
    #[inline]
    pub fn len(self) -> usize {
        match self.stated() {
            UNCOUNTED => self.iter().count(),
            n => usize::from(n),
        }
    }

    /// Whether it is empty.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.len() == HEADER
    }

    /// The position of the first element.
    #[inline]
    pub fn first(self) -> Option<usize> {
        (!self.is_empty()).then_some(HEADER)
    }

    /// The position of the last element.
    #[inline]
    pub fn last(self) -> Option<usize> {
        self.prev(self.end())
    }

    /// The position after the last element, where [`Listpack::insert`] appends.
    #[inline]
    pub fn end(self) -> usize {
        self.0.len()
    }

    /// The position of the element after the one at `at`.
    #[inline]
    pub fn next(self, at: usize) -> Option<usize> {
        let next = self.after(at);
        (next < self.end()).then_some(next)
    }

    /// The position of the element before `at` (`at` may be [`Listpack::end`]).
    #[inline]
    pub fn prev(self, at: usize) -> Option<usize> {
        if at <= HEADER {
            return None;
        }
        let (len, back) = read_backlen(&self.0[..at])?;
        at.checked_sub(len + back)
    }

    /// The position of the element with this index, found from the nearer end.
    pub fn seek(self, index: usize) -> Option<usize> {
        let len = self.len();
        if index >= len {
            return None;
        }
        if index <= len / 2 {
            let mut at = HEADER;
            for _ in 0..index {
                at = self.after(at);
            }
            Some(at)
        } else {
            let mut at = self.end();
            for _ in index..len {
                at = self.prev(at)?;
            }
            Some(at)
        }
    }

    /// The position after `n` elements from `at` on, if there are that many.
    #[inline]
    pub fn skip(self, at: usize, n: usize) -> Option<usize> {
        let mut at = at;
        for _ in 0..n {
            if at >= self.end() {
                return None;
            }
            at = self.after(at);
        }
        Some(at)
    }

    /// The integer at `at`, and the position after it. `None` if the element is a string, or there
    /// is none.
    #[inline]
    pub fn integer(self, at: usize) -> Option<(i64, usize)> {
        let (n, len) = integer(self.0.get(at..)?)?;
        // An integer is so short that its backlen takes one byte.
        Some((n, at + len + 1))
    }

    /// The element at `at`.
    #[inline]
    pub fn get(self, at: usize) -> Item<'a> {
        decode(&self.0[at..]).0
    }

    /// The elements from `at` on, each with its position.
    #[inline]
    pub fn iter_from(self, at: usize) -> Iter<'a> {
        Iter { pack: self, at }
    }

    /// All elements.
    #[inline]
    pub fn iter(self) -> Iter<'a> {
        self.iter_from(HEADER)
    }

    /// The elements before `at`, nearest first, each with its position.
    pub fn iter_back_from(self, at: usize) -> impl Iterator<Item = (usize, Item<'a>)> + 'a {
        let mut at = at;
        core::iter::from_fn(move || {
            at = self.prev(at)?;
            Some((at, self.get(at)))
        })
    }

    /// The position of the first element equal to `text`, searching from `at` on and skipping
    /// `skip` elements after each comparison.
    pub fn find(self, text: &[u8], at: usize, skip: usize) -> Option<usize> {
        let wanted = Item::of(text);
        let end = self.end();
        let mut at = at;
        let mut pass = 0;
        while at < end {
            let (item, len) = decode(&self.0[at..]);
            if pass == 0 {
                if item == wanted {
                    return Some(at);
                }
                pass = skip;
            } else {
                pass -= 1;
            }
            at += len + backlen_size(len);
        }
        None
    }

    fn stated(self) -> u16 {
        u16::from_le_bytes([self.0[0], self.0[1]])
    }

    #[inline]
    fn after(self, at: usize) -> usize {
        let len = entry_len(&self.0[at..]);
        at + len + backlen_size(len)
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl Listpack {
    /// An empty listpack.
    pub fn new() -> Self {
        Self { bytes: vec![0; HEADER], base: 0 }
    }

    /// An empty listpack with a capacity of `bytes` in all.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut v = Vec::with_capacity(bytes.max(HEADER));
        v.resize(HEADER, 0);
        Self { bytes: v, base: 0 }
    }

    /// A listpack from untrusted bytes in Redis's format, after checking every length in them.
    pub fn from_bytes(mut bytes: Vec<u8>) -> Result<Self, Malformed> {
        let total = bytes.first_chunk().map(|total| u32::from_le_bytes(*total) as usize);
        if total != Some(bytes.len()) || bytes.len() < HEADER + OUTSIDE || bytes.pop() != Some(END)
        {
            return Err(Malformed);
        }
        bytes.drain(..OUTSIDE - 1);
        let (mut at, mut count) = (HEADER, 0usize);
        while at < bytes.len() {
            let len = checked_entry_len(&bytes[at..]).ok_or(Malformed)?;
            let back = backlen_size(len);
            let after = at.checked_add(len).and_then(|n| n.checked_add(back)).ok_or(Malformed)?;
            if after > bytes.len() || read_backlen(&bytes[at + len..after]) != Some((len, back)) {
                return Err(Malformed);
            }
            at = after;
            count += 1;
        }
        let pack = Self { bytes, base: 0 };
        let stated = pack.view().stated();
        if stated != UNCOUNTED && usize::from(stated) != count {
            return Err(Malformed);
        }
        Ok(pack)
    }

    /// The listpack that begins at `base` in `bytes`, which came from
    /// [`Listpack::into_prefixed`].
    pub fn from_prefixed(bytes: Vec<u8>, base: usize) -> Self {
        Self { bytes, base }
    }

    /// The length of the prefix.
    pub fn base(&self) -> usize {
        self.base
    }

    /// The bytes including the prefix, and where the listpack begins.
    pub fn into_prefixed(self) -> (Vec<u8>, usize) {
        (self.bytes, self.base)
    }

    /// A view for reading.
    #[inline]
    pub fn view(&self) -> PackRef<'_> {
        PackRef(self.bytes.get(self.base..).unwrap_or_default())
    }

    /// The number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether it is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    /// Its size in Redis's format, in bytes.
    #[inline]
    pub fn size(&self) -> usize {
        self.end() + OUTSIDE
    }

    /// The position after the last element, where [`Listpack::insert`] appends.
    #[inline]
    pub fn end(&self) -> usize {
        self.bytes.len() - self.base
    }

    /// Inserts before the element at `at` (or at the end).
    pub fn insert(&mut self, at: usize, text: &[u8]) {
        self.insert_encoded(at, Item::of(text));
    }

    /// Inserts before the element at `at` (or at the end).
    pub fn insert_item(&mut self, at: usize, item: Item<'_>) {
        match item {
            // An integer must be stored in integer form, or it would not be found.
            Item::Str(text) => self.insert(at, text),
            Item::Int(_) => self.insert_encoded(at, item),
        }
    }

    fn insert_encoded(&mut self, at: usize, item: Item<'_>) {
        let head = ElementHeader::of(item);
        let (back, len) = head.backlen();
        let back = &back[..len];
        let size = head.entry_len() + back.len();
        if at == self.end() {
            // Appending, nothing has to be moved.
            self.make_room(size);
            self.bytes.extend(head.bytes());
            self.bytes.extend_from_slice(head.text);
            self.bytes.extend(back);
        } else {
            self.open_gap(at, size);
            self.write(at, &head, back);
        }
        self.counted(1);
    }

    /// Appends an element.
    #[inline]
    pub fn push_back(&mut self, text: &[u8]) {
        self.insert(self.end(), text);
    }

    /// Prepends an element.
    #[inline]
    pub fn push_front(&mut self, text: &[u8]) {
        self.insert(HEADER, text);
    }

    /// Removes the element at `at`; the position then holds its successor, if there was one.
    pub fn remove(&mut self, at: usize) -> Option<usize> {
        self.remove_range(at, 1)
    }

    /// Removes up to `count` elements from `at` on; the position then holds the successor.
    pub fn remove_range(&mut self, at: usize, count: usize) -> Option<usize> {
        let view = self.view();
        let end = view.end();
        let (mut to, mut gone) = (at, 0);
        while gone < count && to < end {
            to = view.after(to);
            gone += 1;
        }
        let left = view.len() - gone;
        self.bytes.drain(self.base + at..self.base + to);
        self.shrink();
        self.set_count(left);
        (at < self.end()).then_some(at)
    }

    /// Replaces the element at `at` by `text`.
    pub fn replace(&mut self, at: usize, text: &[u8]) {
        let head = ElementHeader::of(Item::of(text));
        let (back, len) = head.backlen();
        let back = &back[..len];
        let old = self.view().after(at) - at;
        let new = head.entry_len() + back.len();
        if new > old {
            self.open_gap(at, new - old);
        } else {
            let from = self.base + at;
            self.bytes.drain(from..from + (old - new));
            self.shrink();
        }
        self.write(at, &head, back);
    }

    /// Moves everything from `at` on into a listpack of its own.
    pub fn split_off(&mut self, at: usize) -> Listpack {
        let total = self.len();
        let mut right = Listpack::with_capacity(HEADER + self.end() - at);
        right.bytes.extend_from_slice(&self.bytes[self.base + at..]);
        let moved = right.view().iter().count();
        right.set_count(moved);
        self.bytes.truncate(self.base + at);
        self.shrink();
        self.set_count(total - moved);
        right
    }

    /// Appends all elements of another listpack.
    pub fn append(&mut self, other: PackRef<'_>) {
        let total = self.len() + other.len();
        self.bytes.extend_from_slice(&other.0[HEADER..]);
        self.set_count(total);
    }

    fn write(&mut self, at: usize, head: &ElementHeader<'_>, back: &[u8]) {
        let mut w = self.base + at;
        for part in [head.bytes(), head.text, back] {
            self.bytes[w..w + part.len()].copy_from_slice(part);
            w += part.len();
        }
    }

    #[inline]
    fn make_room(&mut self, size: usize) {
        let needed = self.bytes.len() + size;
        if needed > self.bytes.capacity() {
            // With a prefix the bytes go back into an allocation of their exact size.
            let room = if self.base == 0 { allocated(needed) } else { needed };
            self.bytes.reserve_exact(room - self.bytes.len());
        }
    }

    fn open_gap(&mut self, at: usize, size: usize) {
        self.make_room(size);
        let old = self.bytes.len();
        self.bytes.resize(old + size, 0);
        let at = self.base + at;
        self.bytes.copy_within(at..old, at + size);
    }

    fn shrink(&mut self) {
        let class = allocated(self.bytes.len());
        if self.bytes.capacity() > 2 * class {
            self.bytes.shrink_to(class);
        }
    }

    fn counted(&mut self, more: usize) {
        let stated = self.view().stated();
        if stated != UNCOUNTED {
            self.set_count(usize::from(stated) + more);
        }
    }

    fn set_count(&mut self, len: usize) {
        let stated = u16::try_from(len).unwrap_or(UNCOUNTED);
        self.bytes[self.base..self.base + HEADER].copy_from_slice(&stated.to_le_bytes());
    }

    /// Whether `more` bytes can be added: Redis's limit of 1 GiB for a listpack.
    pub fn fits(&self, more: usize) -> bool {
        self.size().saturating_add(more) <= 1 << 30
    }
}

impl fmt::Debug for PackRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(_, item)| item)).finish()
    }
}

impl fmt::Debug for Listpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.view().iter().map(|(_, item)| item)).finish()
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Listpack {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut pack = Listpack::new();
        for item in items {
            pack.push_back(item.as_ref());
        }
        pack
    }
}

/// An iterator over elements with their positions.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    pack: PackRef<'a>,
    at: usize,
}

impl Iter<'_> {
    /// The position of the next element; the end if there is none.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (usize, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        if at >= self.pack.end() {
            return None;
        }
        let (item, len) = decode(&self.pack.0[at..]);
        self.at = at + len + backlen_size(len);
        Some((at, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(pack: PackRef<'_>) -> Vec<Vec<u8>> {
        pack.iter().map(|(_, item)| item.to_vec()).collect()
    }

    /// Strings that reach every encoding.
    pub(crate) fn element() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            (any::<i64>(), 0u32..64).prop_map(|(n, s)| (n >> s).to_string().into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..80),
            (prop_oneof![120usize..140, 4090usize..4100, 16_380usize..16_390], any::<u8>())
                .prop_map(|(n, b)| vec![b; n]),
            Just(b"-0".to_vec()),
            Just(b"007".to_vec()),
            Just(b"9223372036854775808".to_vec()),
        ]
    }

    #[derive(Debug, Clone)]
    enum Op {
        Insert(usize, Vec<u8>),
        Replace(usize, Vec<u8>),
        Remove(usize, usize),
        Split(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (any::<usize>(), element()).prop_map(|(i, e)| Op::Insert(i, e)),
            1 => (any::<usize>(), element()).prop_map(|(i, e)| Op::Replace(i, e)),
            1 => (any::<usize>(), 0usize..4).prop_map(|(i, n)| Op::Remove(i, n)),
            1 => any::<usize>().prop_map(Op::Split),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_list_of_strings(ops in proptest::collection::vec(op(), 0..40)) {
            let mut pack = Listpack::new();
            let mut model: Vec<Vec<u8>> = Vec::new();
            for op in ops {
                match op {
                    Op::Insert(i, e) => {
                        let i = i % (model.len() + 1);
                        let at = pack.view().seek(i).unwrap_or(pack.end());
                        pack.insert(at, &e);
                        model.insert(i, e);
                    }
                    Op::Replace(i, e) if !model.is_empty() => {
                        let i = i % model.len();
                        pack.replace(pack.view().seek(i).unwrap(), &e);
                        model[i] = e;
                    }
                    Op::Remove(i, n) if !model.is_empty() => {
                        let i = i % model.len();
                        pack.remove_range(pack.view().seek(i).unwrap(), n);
                        model.drain(i..(i + n).min(model.len()));
                    }
                    Op::Split(i) => {
                        let i = i % (model.len() + 1);
                        let at = pack.view().seek(i).unwrap_or(pack.end());
                        let right = pack.split_off(at);
                        prop_assert_eq!(texts(right.view()), &model[i..]);
                        prop_assert_eq!(texts(pack.view()), &model[..i]);
                        pack.append(right.view());
                    }
                    _ => {}
                }
                prop_assert_eq!(pack.len(), model.len());
                prop_assert_eq!(texts(pack.view()), &model[..]);
                let mut back: Vec<_> =
                    pack.view().iter_back_from(pack.end()).map(|(_, i)| i.to_vec()).collect();
                back.reverse();
                prop_assert_eq!(&back, &model);
                let again = Listpack::from_bytes(pack.view().to_bytes()).unwrap();
                prop_assert_eq!(again.view(), pack.view());
            }
            prop_assert_eq!(pack.view().skip(HEADER, model.len()), Some(pack.end()));
            prop_assert_eq!(pack.view().skip(HEADER, model.len() + 1), None);
            for (at, item) in pack.view().iter() {
                let behind = pack.view().skip(at, 1).unwrap();
                let expected = match item {
                    Item::Int(n) => Some((n, behind)),
                    Item::Str(_) => None,
                };
                prop_assert_eq!(pack.view().integer(at), expected);
            }
            prop_assert_eq!(pack.view().integer(pack.end()), None);
            for e in &model {
                let at = pack.view().find(e, HEADER, 0).unwrap();
                prop_assert_eq!(&pack.view().get(at).to_vec(), e);
            }
        }

        #[test]
        fn hostile_bytes_are_refused_or_safe(mut bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if bytes.len() >= 7 {
                let len = bytes.len() as u32;
                bytes[..4].copy_from_slice(&len.to_le_bytes());
                bytes[4..6].copy_from_slice(&[0xFF, 0xFF]);
                *bytes.last_mut().unwrap() = END;
            }
            if let Ok(pack) = Listpack::from_bytes(bytes) {
                prop_assert_eq!(pack.view().iter().count(), pack.len());
                prop_assert_eq!(pack.view().iter_back_from(pack.end()).count(), pack.len());
            }
        }
    }

    #[test]
    fn its_bytes_are_those_of_redis() {
        // From DUMP of redis-server 7.0 after RPUSH k a 1 -5 300 70000: the listpack inside.
        let pack: Listpack = ["a", "1", "-5", "300", "70000"].iter().collect();
        assert_eq!(
            pack.view().to_bytes(),
            [
                23, 0, 0, 0, 5, 0, 0x81, b'a', 2, 1, 1, 0xDF, 0xFB, 2, 0xC1, 0x2C, 2, 0xF2, 0x70,
                0x11, 0x01, 4, 0xFF
            ]
        );
    }

    #[test]
    fn more_elements_than_the_header_can_count_are_counted() {
        let mut pack = Listpack::new();
        for _ in 0..70_000 {
            pack.push_back(b"1");
        }
        assert_eq!(pack.len(), 70_000);
        pack.remove_range(HEADER, 69_000);
        assert_eq!(pack.len(), 1_000);
        assert_eq!(pack.view().to_bytes()[4..6], 1_000u16.to_le_bytes());
    }
}
