//! The checksum at the end of RDB files and DUMP payloads.

use std::sync::LazyLock;

use crc::{CRC_64_REDIS, Crc, Table};

/// Lookup tables to process sixteen bytes at a time: some gigabytes per second. They are computed
/// on first use, since 32 KB of them would increase the size of the page's program.
static TABLES: LazyLock<Crc<u64, Table<16>>> = LazyLock::new(|| Crc::<u64, _>::new(&CRC_64_REDIS));

/// An incremental CRC-64 with the Jones polynomial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crc64(u64);

impl Crc64 {
    /// The checksum of an empty input.
    pub fn new() -> Self {
        Self::default()
    }

    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut crc = Self::new();
        crc.update(bytes);
        crc.value()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        // The initial value is bit-reversed, as in the CRC catalogue.
        let mut digest = TABLES.digest_with_initial(self.0.reverse_bits());
        digest.update(bytes);
        self.0 = digest.finalize();
    }

    /// The checksum of the bytes so far.
    pub fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_checksum_of_redis() {
        // The check value of the CRC catalogue, which is also in the test of Redis's crc64.
        assert_eq!(Crc64::of(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn pieces_make_the_same_sum() {
        let bytes: Vec<u8> = (0..1_000u32).map(|n| (n * 7) as u8).collect();
        for at in [0, 1, 15, 16, 17, 500, 1_000] {
            let mut crc = Crc64::new();
            crc.update(&bytes[..at]);
            crc.update(&bytes[at..]);
            assert_eq!(crc.value(), Crc64::of(&bytes));
        }
    }
}
