//! Ziplists, the predecessor of listpacks before Redis 7.
//!
//! The format is ten bytes of header (total bytes, position of the last element, number of
//! elements; all little endian), the elements, and `0xFF`. An element is the length of the previous
//! one, its encoding, and its bytes.

use crate::store::value::Item;
use crate::store::value::listpack::Listpack;

/// Bytes before the first element.
const HEADER: usize = 10;
/// The byte after the last element.
const END: u8 = 0xFF;
/// The count in the header that means that elements must be counted.
const UNCOUNTED: u16 = u16::MAX;
/// The first byte of a previous length that is stored in the next four bytes.
const LONG_BEFORE: u8 = 0xFE;

/// Converts a ziplist to a listpack; `None` if it is invalid in any detail.
pub(super) fn to_listpack(bytes: &[u8]) -> Option<Listpack> {
    let mut pack = Listpack::with_capacity(bytes.len());
    each(bytes, |item| pack.insert_item(pack.end(), item))?;
    Some(pack)
}

/// Passes each element to `f`.
pub(super) fn each(bytes: &[u8], mut f: impl FnMut(Item<'_>)) -> Option<()> {
    let total = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let tail = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
    let stated = u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
    if total != bytes.len() || *bytes.get(HEADER..)?.last()? != END {
        return None;
    }
    let end = total - 1;
    if tail > end {
        return None;
    }
    let elements = bytes.get(..end)?;
    let (mut at, mut last, mut before, mut count) = (HEADER, None, 0, 0usize);
    while at < end {
        let mut rest = elements.get(at..)?;
        if before_of(&mut rest)? != before {
            return None;
        }
        f(item_of(&mut rest)?);
        before = end - rest.len() - at;
        last = Some(at);
        at += before;
        count += 1;
    }
    let tail_is_right = last.is_none_or(|last| last == tail);
    let count_is_right = stated == UNCOUNTED || usize::from(stated) == count;
    (tail_is_right && count_is_right).then_some(())
}

/// Reads the length of the previous element.
fn before_of(rest: &mut &[u8]) -> Option<usize> {
    match *take(rest, 1)?.first()? {
        END => None,
        LONG_BEFORE => Some(u32::from_le_bytes(*take(rest, 4)?.first_chunk()?) as usize),
        short => Some(usize::from(short)),
    }
}

/// Reads the content of an element.
fn item_of<'a>(rest: &mut &'a [u8]) -> Option<Item<'a>> {
    let first = *take(rest, 1)?.first()?;
    let len = match first {
        0..0x40 => usize::from(first),
        0x40..0x80 => usize::from(first & 0x3F) << 8 | usize::from(*take(rest, 1)?.first()?),
        0x80..0xC0 => u32::from_be_bytes(*take(rest, 4)?.first_chunk()?) as usize,
        _ => return integer(first, rest).map(Item::Int),
    };
    take(rest, len).map(Item::Str)
}

fn integer(first: u8, rest: &mut &[u8]) -> Option<i64> {
    let width = match first {
        0xC0 => 2,
        0xD0 => 4,
        0xE0 => 8,
        0xF0 => 3,
        0xFE => 1,
        // The numbers 0 to 12 are part of the encoding byte.
        0xF1..=0xFD => return Some(i64::from(first & 0x0F) - 1),
        _ => return None,
    };
    let bytes = take(rest, width)?;
    let mut wide = [0; 8];
    wide.get_mut(8 - width..)?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide) >> (64 - 8 * width))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A ziplist as written by Redis up to 6.2.
    pub(in crate::persist::rdb) fn ziplist(items: &[Item<'_>]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        let (mut before, mut tail) = (0, HEADER);
        for item in items {
            tail = bytes.len();
            match before {
                0..254 => bytes.push(before as u8),
                _ => {
                    bytes.push(LONG_BEFORE);
                    bytes.extend((before as u32).to_le_bytes());
                }
            }
            match *item {
                Item::Str(text) => {
                    match text.len() {
                        n @ 0..0x40 => bytes.push(n as u8),
                        n @ 0x40..0x4000 => bytes.extend([0x40 | (n >> 8) as u8, n as u8]),
                        n => {
                            bytes.push(0x80);
                            bytes.extend((n as u32).to_be_bytes());
                        }
                    }
                    bytes.extend(text);
                }
                Item::Int(n) => {
                    let (first, width) = match n {
                        0..=12 => (0xF1 + n as u8, 0),
                        -0x80..=0x7F => (0xFE, 1),
                        -0x8000..=0x7FFF => (0xC0, 2),
                        -0x80_0000..=0x7F_FFFF => (0xF0, 3),
                        -0x8000_0000..=0x7FFF_FFFF => (0xD0, 4),
                        _ => (0xE0, 8),
                    };
                    bytes.push(first);
                    bytes.extend(&n.to_le_bytes()[..width]);
                }
            }
            before = bytes.len() - tail;
        }
        bytes.push(END);
        let total = bytes.len() as u32;
        bytes[0..4].copy_from_slice(&total.to_le_bytes());
        bytes[4..8].copy_from_slice(&(tail as u32).to_le_bytes());
        bytes[8..10].copy_from_slice(&(items.len() as u16).to_le_bytes());
        bytes
    }

    #[test]
    fn the_example_of_the_format_is_read() {
        // From the description in Redis's ziplist.c: the numbers 2 and 5.
        let bytes = [0x0f, 0, 0, 0, 0x0c, 0, 0, 0, 2, 0, 0, 0xf3, 2, 0xf6, 0xff];
        let pack = to_listpack(&bytes).unwrap();
        assert!(pack.view().iter().map(|(_, item)| item).eq([Item::Int(2), Item::Int(5)]));
    }

    proptest! {
        #[test]
        fn every_element_is_read(
            texts in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..80),
                    (any::<i64>(), 0u32..64).prop_map(|(n, s)| (n >> s).to_string().into_bytes()),
                    (250usize..17_000).prop_map(|n| vec![7; n]),
                ],
                0..20,
            ),
            at: usize, bits: u8,
        ) {
            let items: Vec<Item<'_>> = texts.iter().map(|text| Item::of(text)).collect();
            let mut bytes = ziplist(&items);
            let pack = to_listpack(&bytes).unwrap();
            prop_assert!(pack.view().iter().map(|(_, item)| item).eq(items.iter().copied()));
            let at = at % bytes.len();
            bytes[at] ^= bits;
            if let Some(pack) = to_listpack(&bytes) {
                prop_assert!(pack.size() <= 2 * bytes.len() + 16);
            }
            prop_assert!(to_listpack(&bytes[..at]).is_none());
        }
    }
}
