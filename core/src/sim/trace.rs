//! The trace hash: a running hash over everything that happens in a World.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

/// A hash over all events and bytes, the same on every platform.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    hasher: SipHasher13,
}

impl Trace {
    /// An empty trace.
    pub(super) fn new() -> Self {
        Trace { hasher: SipHasher13::new_with_keys(1, 2) }
    }

    /// Adds a number.
    #[inline]
    pub(super) fn number(&mut self, n: u64) {
        self.hasher.write(&n.to_le_bytes());
    }

    /// Adds bytes, prefixed with their length, so that differently split sequences differ.
    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.hasher.write(bytes);
    }

    /// The hash so far.
    pub(super) fn value(&self) -> u64 {
        self.hasher.finish()
    }
}
