//! The checksum at the end of RDB files and DUMP payloads.

use std::sync::LazyLock;

use crc::{CRC_64_REDIS, Crc, Table};

/// Sixteen tables, so that sixteen bytes are taken at once: some gigabytes a second. They are made
/// when they are first needed, because 32 KB of them would weigh in the page's program.
static TABLES: LazyLock<Crc<u64, Table<16>>> = LazyLock::new(|| Crc::<u64, _>::new(&CRC_64_REDIS));

/// CRC-64 with the polynomial of Jones, of bytes that come piece by piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crc64(u64);

impl Crc64 {
    /// The checksum of no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut crc = Self::new();
        crc.update(bytes);
        crc.value()
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        // The initial value is given as in the catalogue of CRCs, the other way round.
        let mut digest = TABLES.digest_with_initial(self.0.reverse_bits());
        digest.update(bytes);
        self.0 = digest.finalize();
    }

    /// The checksum of the bytes taken in so far.
    pub fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_checksum_of_redis() {
        // The check value of the catalogue, which Redis's own test of its crc64 states, too.
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
