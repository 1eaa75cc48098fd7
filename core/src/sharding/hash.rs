//! The hash functions of twemproxy.
//!
//! They share only the names with the well-known functions: bytes are sign-extended before they are
//! mixed in (twemproxy hashes `char`), 64-bit functions are computed in 32 bits, and hsieh begins
//! with 0. A key is on the node where an existing twemproxy put it only if every such detail is the
//! same, so libraries serve for md5 and crc32 only.

use crc::{CRC_32_ISO_HDLC, Crc, Table};

const CRC32: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// A hash function of twemproxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Hash {
    /// Bob Jenkins's one-at-a-time.
    OneAtATime,
    /// The first four bytes of MD5.
    Md5,
    /// CRC16 that is not truncated to 16 bits.
    Crc16,
    /// 15 bits of CRC32, as memcached clients in Perl compute it.
    Crc32,
    /// CRC32.
    Crc32a,
    /// The lower half of FNV-1.
    Fnv1_64,
    /// The lower half of FNV-1a; twemproxy's default.
    #[default]
    Fnv1a64,
    /// FNV-1 of 32 bits.
    Fnv1_32,
    /// FNV-1a of 32 bits.
    Fnv1a32,
    /// Paul Hsieh's SuperFastHash.
    Hsieh,
    /// MurmurHash2.
    Murmur,
    /// Bob Jenkins's lookup3.
    Jenkins,
}

impl Hash {
    /// All functions, in the order of twemproxy's documentation.
    pub const ALL: [Hash; 12] = [
        Hash::OneAtATime,
        Hash::Md5,
        Hash::Crc16,
        Hash::Crc32,
        Hash::Crc32a,
        Hash::Fnv1_64,
        Hash::Fnv1a64,
        Hash::Fnv1_32,
        Hash::Fnv1a32,
        Hash::Hsieh,
        Hash::Murmur,
        Hash::Jenkins,
    ];

    /// The function with this name in a configuration file.
    pub fn parse(name: &str) -> Option<Hash> {
        Hash::ALL.into_iter().find(|hash| hash.name() == name)
    }

    /// The name in a configuration file.
    pub fn name(self) -> &'static str {
        match self {
            Hash::OneAtATime => "one_at_a_time",
            Hash::Md5 => "md5",
            Hash::Crc16 => "crc16",
            Hash::Crc32 => "crc32",
            Hash::Crc32a => "crc32a",
            Hash::Fnv1_64 => "fnv1_64",
            Hash::Fnv1a64 => "fnv1a_64",
            Hash::Fnv1_32 => "fnv1_32",
            Hash::Fnv1a32 => "fnv1a_32",
            Hash::Hsieh => "hsieh",
            Hash::Murmur => "murmur",
            Hash::Jenkins => "jenkins",
        }
    }

    /// The hash of a key, or of its tag; 0 for an empty one.
    #[inline]
    pub fn of(self, key: &[u8]) -> u32 {
        if key.is_empty() {
            return 0;
        }
        match self {
            Hash::OneAtATime => one_at_a_time(key),
            Hash::Md5 => md5_points(key)[0],
            Hash::Crc16 => crc16(key),
            Hash::Crc32 => CRC32.checksum(key) >> 16 & 0x7fff,
            Hash::Crc32a => CRC32.checksum(key),
            Hash::Fnv1_64 => fnv1(key, FNV_64),
            Hash::Fnv1a64 => fnv1a(key, FNV_64),
            Hash::Fnv1_32 => fnv1(key, FNV_32),
            Hash::Fnv1a32 => fnv1a(key, FNV_32),
            Hash::Hsieh => hsieh(key),
            Hash::Murmur => murmur(key),
            Hash::Jenkins => jenkins(key),
        }
    }
}

/// The MD5 digest as four little-endian numbers.
pub(super) fn md5_points(bytes: &[u8]) -> [u32; 4] {
    let digest = md5::compute(bytes).0;
    let mut points = [0; 4];
    for (point, part) in points.iter_mut().zip(digest.chunks_exact(4)) {
        *point = little_endian(part);
    }
    points
}

/// A byte, sign-extended.
#[inline]
fn extended(byte: u8) -> u32 {
    i32::from(byte as i8) as u32
}

/// Up to four bytes as a little-endian number.
#[inline]
fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |n, &b| n << 8 | u32::from(b))
}

fn one_at_a_time(key: &[u8]) -> u32 {
    let mut v = 0u32;
    for &byte in key {
        v = v.wrapping_add(extended(byte));
        v = v.wrapping_add(v << 10);
        v ^= v >> 6;
    }
    v = v.wrapping_add(v << 3);
    v ^= v >> 11;
    v.wrapping_add(v << 15)
}

/// The table of CRC16 (polynomial 0x1021).
const CRC16: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < table.len() {
        let mut c = (i as u32) << 8;
        let mut bit = 0;
        while bit < 8 {
            c = if c & 0x8000 == 0 { c << 1 } else { c << 1 ^ 0x1021 };
            bit += 1;
        }
        table[i] = c & 0xffff;
        i += 1;
    }
    table
};

fn crc16(key: &[u8]) -> u32 {
    key.iter().fold(0, |c, &b| c << 8 ^ CRC16[(c >> 8 ^ u32::from(b)) as usize & 0xff])
}

/// The offset basis and the prime of one width of FNV.
#[derive(Clone, Copy)]
struct Fnv {
    basis: u32,
    prime: u32,
}

/// The lower halves of the 64-bit constants: twemproxy keeps the state in 32 bits.
const FNV_64: Fnv = Fnv { basis: 0x8422_2325, prime: 0x1b3 };
const FNV_32: Fnv = Fnv { basis: 2_166_136_261, prime: 16_777_619 };

fn fnv1(key: &[u8], fnv: Fnv) -> u32 {
    key.iter().fold(fnv.basis, |h, &b| h.wrapping_mul(fnv.prime) ^ extended(b))
}

fn fnv1a(key: &[u8], fnv: Fnv) -> u32 {
    key.iter().fold(fnv.basis, |h, &b| (h ^ extended(b)).wrapping_mul(fnv.prime))
}

fn hsieh(key: &[u8]) -> u32 {
    let mut h = 0u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        h = h.wrapping_add(little_endian(&word[..2]));
        let mixed = little_endian(&word[2..]) << 11 ^ h;
        h = h << 16 ^ mixed;
        h = h.wrapping_add(h >> 11);
    }
    match *words.remainder() {
        [a, b, c] => {
            h = h.wrapping_add(little_endian(&[a, b]));
            h ^= h << 16;
            h ^= extended(c) << 18;
            h = h.wrapping_add(h >> 11);
        }
        [a, b] => {
            h = h.wrapping_add(little_endian(&[a, b]));
            h ^= h << 11;
            h = h.wrapping_add(h >> 17);
        }
        [a] => {
            h = h.wrapping_add(u32::from(a));
            h ^= h << 10;
            h = h.wrapping_add(h >> 1);
        }
        _ => {}
    }
    h ^= h << 3;
    h = h.wrapping_add(h >> 5);
    h ^= h << 4;
    h = h.wrapping_add(h >> 17);
    h ^= h << 25;
    h.wrapping_add(h >> 6)
}

fn murmur(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let len = key.len() as u32;
    let seed = 0xdead_beef_u32.wrapping_mul(len);
    let mut h = seed ^ len;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = little_endian(word).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        h = (h ^ little_endian(rest)).wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ h >> 15
}

fn jenkins(key: &[u8]) -> u32 {
    const INITIAL: u32 = 13;
    let start = 0xdead_beef_u32.wrapping_add(key.len() as u32).wrapping_add(INITIAL);
    let (mut a, mut b, mut c) = (start, start, start);
    let mut rest = key;
    while rest.len() > 12 {
        let (block, tail) = rest.split_at(12);
        a = a.wrapping_add(little_endian(&block[..4]));
        b = b.wrapping_add(little_endian(&block[4..8]));
        c = c.wrapping_add(little_endian(&block[8..]));
        for [x, y, z] in [[4, 6, 8], [16, 19, 4]] {
            a = a.wrapping_sub(c) ^ c.rotate_left(x);
            c = c.wrapping_add(b);
            b = b.wrapping_sub(a) ^ a.rotate_left(y);
            a = a.wrapping_add(c);
            c = c.wrapping_sub(b) ^ b.rotate_left(z);
            b = b.wrapping_add(a);
        }
        rest = tail;
    }
    // The last block, padded with zeros.
    let mut block = [0; 12];
    block[..rest.len()].copy_from_slice(rest);
    a = a.wrapping_add(little_endian(&block[..4]));
    b = b.wrapping_add(little_endian(&block[4..8]));
    c = c.wrapping_add(little_endian(&block[8..]));
    for [x, y, z] in [[14, 11, 25], [16, 4, 14]] {
        c = (c ^ b).wrapping_sub(b.rotate_left(x));
        a = (a ^ c).wrapping_sub(c.rotate_left(y));
        b = (b ^ a).wrapping_sub(a.rotate_left(z));
    }
    (c ^ b).wrapping_sub(b.rotate_left(24))
}
