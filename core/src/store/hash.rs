//! The hash function for keys and elements.

use siphasher::sip::SipHasher13;

/// SipHash-1-3 of a byte string. It is keyed, so that a client cannot choose keys that all fall
/// into one bucket; Rust's standard library uses the same function.
#[inline]
pub(crate) fn sip13(k0: u64, k1: u64, bytes: &[u8]) -> u64 {
    SipHasher13::new_with_keys(k0, k1).hash(bytes)
}
