//! Encoding and decoding of listpack elements.

use super::Item;

/// The header of an encoded element: everything but a string's text and the backlen.
pub(super) struct ElementHeader<'a> {
    bytes: [u8; 9],
    len: usize,
    /// The text of a string; empty for an integer.
    pub(super) text: &'a [u8],
}

impl<'a> ElementHeader<'a> {
    pub(super) fn of(item: Item<'a>) -> Self {
        let mut bytes = [0u8; 9];
        let (len, text): (usize, &[u8]) = match item {
            Item::Str(text) => match text.len() {
                n @ 0..64 => {
                    bytes[0] = 0x80 | n as u8;
                    (1, text)
                }
                n @ 64..4096 => {
                    bytes[0] = 0xE0 | (n >> 8) as u8;
                    bytes[1] = n as u8;
                    (2, text)
                }
                n => {
                    bytes[0] = 0xF0;
                    bytes[1..5].copy_from_slice(&(n as u32).to_le_bytes());
                    (5, text)
                }
            },
            Item::Int(n) => {
                let len = match n {
                    0..=127 => {
                        bytes[0] = n as u8;
                        1
                    }
                    -4096..=4095 => {
                        bytes[0] = 0xC0 | ((n >> 8) as u8 & 0x1F);
                        bytes[1] = n as u8;
                        2
                    }
                    _ => {
                        let (mark, width) = match n {
                            -0x8000..=0x7FFF => (0xF1, 2),
                            -0x80_0000..=0x7F_FFFF => (0xF2, 3),
                            -0x8000_0000..=0x7FFF_FFFF => (0xF3, 4),
                            _ => (0xF4, 8),
                        };
                        bytes[0] = mark;
                        bytes[1..1 + width].copy_from_slice(&n.to_le_bytes()[..width]);
                        1 + width
                    }
                };
                (len, &[])
            }
        };
        Self { bytes, len, text }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn entry_len(&self) -> usize {
        self.len + self.text.len()
    }

    /// The encoded backlen, and its length in bytes.
    #[inline]
    pub(super) fn backlen(&self) -> ([u8; 5], usize) {
        let len = self.entry_len();
        let size = backlen_size(len);
        let mut out = [0; 5];
        for (i, byte) in out.iter_mut().take(size).rev().enumerate() {
            let group = (len >> (7 * i)) as u8 & 0x7F;
            *byte = if i + 1 == size { group } else { group | 0x80 };
        }
        (out, size)
    }
}

/// The length in bytes of the backlen of an element of `len` bytes.
#[inline]
pub(super) fn backlen_size(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// Decodes the backlen at the end of `bytes`: the length it states, and its own.
#[inline]
pub(super) fn read_backlen(bytes: &[u8]) -> Option<(usize, usize)> {
    let (mut value, mut shift) = (0usize, 0);
    for (i, &b) in bytes.iter().rev().take(5).enumerate() {
        value |= usize::from(b & 0x7F) << shift;
        if b & 0x80 == 0 {
            return Some((value, i + 1));
        }
        shift += 7;
    }
    None
}

/// The length of the element at the front, without its backlen.
#[inline]
pub(super) fn entry_len(b: &[u8]) -> usize {
    match b[0] {
        0..=0x7F => 1,
        0x80..=0xBF => 1 + usize::from(b[0] & 0x3F),
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 2 + (usize::from(b[0] & 0x0F) << 8 | usize::from(b[1])),
        0xF0 => 5 + u32::from_le_bytes([b[1], b[2], b[3], b[4]]) as usize,
        0xF1 => 3,
        0xF2 => 4,
        0xF3 => 5,
        _ => 9,
    }
}

/// The same for bytes that have not been validated yet.
pub(super) fn checked_entry_len(b: &[u8]) -> Option<usize> {
    let needed = match *b.first()? {
        0xE0..=0xEF => 2,
        0xF0 => 5,
        0xF5.. => return None,
        _ => 1,
    };
    (b.len() >= needed).then(|| entry_len(b)).filter(|&len| len <= b.len())
}

/// Decodes the element at the front; returns it with its length without the backlen.
#[inline(always)]
pub(super) fn decode(b: &[u8]) -> (Item<'_>, usize) {
    let text = |head: usize, len: usize| (Item::Str(&b[head..head + len]), head + len);
    match b[0] {
        n @ 0..=0x7F => (Item::Int(i64::from(n)), 1),
        n @ 0x80..=0xBF => text(1, usize::from(n & 0x3F)),
        high @ 0xE0..=0xEF => text(2, usize::from(high & 0x0F) << 8 | usize::from(b[1])),
        0xF0 => text(5, u32::from_le_bytes([b[1], b[2], b[3], b[4]]) as usize),
        _ => (Item::Int(decode_integer(b)), entry_len(b)),
    }
}

/// Decodes the integer at the front; returns it with its length without the backlen. `None` if the
/// element is a string.
#[inline]
pub(super) fn integer(b: &[u8]) -> Option<(i64, usize)> {
    match *b.first()? {
        n @ 0..=0x7F => Some((i64::from(n), 1)),
        0xC0..=0xDF | 0xF1..=0xFF => Some((decode_integer(b), entry_len(b))),
        _ => None,
    }
}

/// Decodes the integer at the front, if its encoding takes more than one byte.
fn decode_integer(b: &[u8]) -> i64 {
    match b[0] {
        0xC0..=0xDF => {
            let n = u16::from(b[0] & 0x1F) << 8 | u16::from(b[1]);
            // 13 bits, signed.
            i64::from((n << 3) as i16 >> 3)
        }
        0xF1 => i64::from(i16::from_le_bytes([b[1], b[2]])),
        0xF2 => i64::from(i32::from_le_bytes([0, b[1], b[2], b[3]]) >> 8),
        0xF3 => i64::from(i32::from_le_bytes([b[1], b[2], b[3], b[4]])),
        _ => i64::from_le_bytes([b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8]]),
    }
}
