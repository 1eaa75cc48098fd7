//! The trace hash: a running hash over everything that happens in a World.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

/// How many bytes are gathered before they are hashed.
const GATHERED: usize = 64;

/// A hash over every event and every byte, the same on every platform.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    hasher: SipHasher13,
    /// Numbers that are not hashed yet: they are many and short, and hashing them one by one costs
    /// several times as much.
    gathered: [u8; GATHERED],
    used: usize,
}

impl Trace {
    /// An empty trace.
    pub(super) fn new() -> Self {
        Trace { hasher: SipHasher13::new_with_keys(1, 2), gathered: [0; GATHERED], used: 0 }
    }

    /// Adds a number.
    #[inline]
    pub(super) fn number(&mut self, n: u64) {
        const SIZE: usize = size_of::<u64>();
        if let Some(place) = self.gathered.get_mut(self.used..self.used + SIZE) {
            place.copy_from_slice(&n.to_le_bytes());
            self.used += SIZE;
        }
        if self.used + SIZE > GATHERED {
            self.hash_gathered();
        }
    }

    /// Adds bytes, prefixed with their length, so that differently split sequences differ.
    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.hash_gathered();
        self.hasher.write(bytes);
    }

    /// The hash so far.
    pub(super) fn value(&self) -> u64 {
        let mut all = self.clone();
        all.hash_gathered();
        all.hasher.finish()
    }

    fn hash_gathered(&mut self) {
        self.hasher.write(self.gathered.get(..self.used).unwrap_or_default());
        self.used = 0;
    }
}
