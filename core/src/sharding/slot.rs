//! Hash slots of Redis Cluster.

use core::fmt;

use crc::{CRC_16_XMODEM, Crc, Table};
use serde::{Deserialize, Serialize};

use super::HashTag;

/// The checksum of the Cluster specification: CRC16-XMODEM, computed sixteen bytes at a time.
const CRC16: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_XMODEM);

/// A hash slot of Redis Cluster: the unit in which keys are assigned to nodes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Slot(u16);

impl Slot {
    /// How many slots there are.
    pub const COUNT: u16 = 16384;

    /// The slot with this number, if there is one.
    pub const fn new(number: u16) -> Option<Slot> {
        if number < Self::COUNT { Some(Slot(number)) } else { None }
    }

    /// The slot of a key: CRC16 of what stands between the first `{` and the first `}` after it,
    /// or of the whole key if that is empty or missing, modulo 16384.
    #[inline]
    pub fn of(key: &[u8]) -> Slot {
        Slot(crc16(HashTag::CLUSTER.part(key)) % Self::COUNT)
    }

    /// The slot's number, from 0 to 16383.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// All slots in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Slot> + ExactSizeIterator {
        (0..Self::COUNT).map(Slot)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Slot> for u16 {
    fn from(slot: Slot) -> u16 {
        slot.0
    }
}

impl From<Slot> for usize {
    fn from(slot: Slot) -> usize {
        slot.0.into()
    }
}

impl TryFrom<u16> for Slot {
    type Error = &'static str;

    fn try_from(number: u16) -> Result<Slot, Self::Error> {
        Slot::new(number).ok_or("a slot is a number from 0 to 16383")
    }
}

/// CRC16 of XMODEM: polynomial 0x1021, initially 0, not reflected.
#[inline]
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    CRC16.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_slots_that_redis_gives_them() {
        // From `CLUSTER KEYSLOT` of redis-server 7.
        let known: [(&[u8], u16); 6] = [
            (b"123456789", 12739),
            (b"", 0),
            (b"foo", 12182),
            (b"k1", 12706),
            (b"{user1000}.following", 3443),
            (b"foo{}{bar}", 8363),
        ];
        for (key, slot) in known {
            assert_eq!(Slot::of(key).number(), slot, "{}", key.escape_ascii());
        }
        assert_eq!(Slot::of(b"{oo}k1"), Slot::of(b"oo"));
        assert_eq!(Slot::of(b"foo{{bar}}zap"), Slot::of(b"{bar"));
        assert_eq!(Slot::of(b"foo{bar}{zap}"), Slot::of(b"bar"));
        assert_eq!(Slot::new(16384), None);
        assert_eq!(Slot::all().len(), 16384);
    }
}
