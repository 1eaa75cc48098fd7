//! The hash of keys and elements.

/// SipHash-1-3 of bytes that lie together: what the `siphasher` crate computes, without the state
/// that bytes which come in pieces need. Keyed, so that nobody can send keys that all fall into one
/// bucket; Rust's standard library hashes with the same function.
#[inline]
pub(crate) fn sip13(k0: u64, k1: u64, bytes: &[u8]) -> u64 {
    let mut state = State {
        v0: k0 ^ 0x736f_6d65_7073_6575,
        v1: k1 ^ 0x646f_7261_6e64_6f6d,
        v2: k0 ^ 0x6c79_6765_6e65_7261,
        v3: k1 ^ 0x7465_6462_7974_6573,
    };
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state.add(u64::from_le_bytes(*word));
    }
    state.add(last_word(bytes, rest) | (bytes.len() as u64) << 56);
    state.v2 ^= 0xff;
    state.round();
    state.round();
    state.round();
    state.v0 ^ state.v1 ^ state.v2 ^ state.v3
}

/// The bytes behind the last whole word, of which there are less than eight, as a number.
#[inline]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    match (rest, bytes.last_chunk::<8>()) {
        ([], _) => 0,
        // What stands before them falls out at the lower end.
        (_, Some(last)) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
        _ => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline]
    fn add(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use siphasher::sip::SipHasher13;

    #[test]
    fn it_is_siphash_for_every_length() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..=256 {
            let bytes = &bytes[..len];
            let expected = SipHasher13::new_with_keys(7, 1 << 63).hash(bytes);
            assert_eq!(sip13(7, 1 << 63, bytes), expected, "{len} bytes");
        }
    }
}
