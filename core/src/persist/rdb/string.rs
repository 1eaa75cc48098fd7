//! Encoding of lengths and strings.
//!
//! The two upper bits of a length's first byte select its format: six bits in this byte; fourteen
//! bits with the next byte; 32 or 64 bits in the following bytes, big endian; or not a length but a
//! specially encoded string, namely an integer of 8, 16 or 32 bits (little endian) or a compressed
//! string.

use super::lzf::Compressor;
use crate::resp::number::parse_i64;

/// The first byte of a 32-bit length.
pub(super) const LEN_32: u8 = 0x80;
/// The first byte of a 64-bit length.
pub(super) const LEN_64: u8 = 0x81;
/// The first byte of a string that is an 8-bit integer.
pub(super) const INT_8: u8 = 0xC0;
/// The first byte of a string that is a 16-bit integer.
pub(super) const INT_16: u8 = 0xC1;
/// The first byte of a string that is a 32-bit integer.
pub(super) const INT_32: u8 = 0xC2;
/// The first byte of a compressed string.
pub(super) const LZF: u8 = 0xC3;

/// Strings of up to this many bytes are not compressed.
const NOT_COMPRESSED: usize = 20;
/// The minimum number of bytes that compression must save.
pub(super) const WORTHWHILE: usize = 4;
/// The length of the longest decimal form of a 32-bit integer.
const INTEGER_TEXT: usize = 11;

/// Writes a length.
pub(super) fn put_len(out: &mut Vec<u8>, len: u64) {
    match len {
        0..0x40 => out.push(len as u8),
        0x40..0x4000 => out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
        0x4000..=0xFFFF_FFFF => {
            out.push(LEN_32);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
        _ => {
            out.push(LEN_64);
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
}

/// Writes an integer as a string.
pub(super) fn put_int(out: &mut Vec<u8>, n: i64) {
    if let Ok(n) = i8::try_from(n) {
        out.extend_from_slice(&[INT_8, n as u8]);
    } else if let Ok(n) = i16::try_from(n) {
        out.push(INT_16);
        out.extend_from_slice(&n.to_le_bytes());
    } else if let Ok(n) = i32::try_from(n) {
        out.push(INT_32);
        out.extend_from_slice(&n.to_le_bytes());
    } else {
        let mut digits = itoa::Buffer::new();
        put_plain(out, digits.format(n).as_bytes());
    }
}

/// Writes a string in the shortest encoding, compressed if there is a compressor.
pub(super) fn put_string(out: &mut Vec<u8>, text: &[u8], compressor: Option<&mut Compressor>) {
    if text.len() <= INTEGER_TEXT
        && let Some(n) = parse_i64(text)
        && i32::try_from(n).is_ok()
    {
        return put_int(out, n);
    }
    if let Some(compressor) = compressor
        && text.len() > NOT_COMPRESSED
        && put_compressed(out, text, compressor)
    {
        return;
    }
    put_plain(out, text);
}

fn put_plain(out: &mut Vec<u8>, text: &[u8]) {
    put_len(out, text.len() as u64);
    out.extend_from_slice(text);
}

fn put_compressed(out: &mut Vec<u8>, text: &[u8], compressor: &mut Compressor) -> bool {
    let start = out.len();
    out.push(LZF);
    // The length comes first but is known last, so the bytes are written after it and then moved.
    let body = out.len();
    if !compressor.compress(text, out, text.len() - WORTHWHILE) {
        out.truncate(start);
        return false;
    }
    let mut lens = Vec::with_capacity(18);
    put_len(&mut lens, (out.len() - body) as u64);
    put_len(&mut lens, text.len() as u64);
    out.splice(body..body, lens);
    true
}
