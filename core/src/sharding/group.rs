//! The hash functions with which predixy chooses a group.

use super::slot::crc16;

/// A hash function of predixy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupHash {
    /// The number at the beginning of a key, as `atol` reads it.
    Atol,
    /// CRC16 of XMODEM.
    Crc16,
}

impl GroupHash {
    /// The function with this name in a configuration file, in any case.
    pub fn parse(name: &str) -> Option<GroupHash> {
        match name.to_ascii_lowercase().as_str() {
            "atol" => Some(GroupHash::Atol),
            "crc16" => Some(GroupHash::Crc16),
            _ => None,
        }
    }

    /// The name in a configuration file.
    pub fn name(self) -> &'static str {
        match self {
            GroupHash::Atol => "atol",
            GroupHash::Crc16 => "crc16",
        }
    }

    /// The hash of a key, or of its tag. The group is this modulo the number of groups.
    #[inline]
    pub fn of(self, key: &[u8]) -> u64 {
        match self {
            GroupHash::Atol => atol(key),
            GroupHash::Crc16 => crc16(key).into(),
        }
    }
}

/// The number at the beginning of a key: an optional sign and digits, wrapping at 64 bits. A
/// negative number is its two's complement, since predixy reads it as unsigned.
fn atol(key: &[u8]) -> u64 {
    let (negative, digits) = match key {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let value = digits
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0u64, |n, b| n.wrapping_mul(10).wrapping_add(u64::from(b - b'0')));
    if negative { value.wrapping_neg() } else { value }
}
