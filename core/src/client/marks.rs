//! Writes by which one can tell later what a server holds.

use std::collections::VecDeque;

use crate::time::Mono;

/// Which of its marks a client got acknowledged.
///
/// A mark is a write of its own that nothing ever overwrites: bit N of one string, set once. So it
/// can be told of every server, at any time and for every single write, whether it holds it: by
/// looking at that string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Marks sent; the next one has this number.
    pub sent: u64,
    /// One bit for each mark that was acknowledged, in the order of SETBIT: the first is the
    /// highest of the first byte.
    pub acknowledged: Vec<u8>,
    /// One bit for each mark of which WAIT said that enough replicas have it.
    pub confirmed: Vec<u8>,
    /// The latest acknowledgements, oldest first: which mark, and when.
    pub latest: VecDeque<(u64, Mono)>,
}

impl Marks {
    /// Marks that a client leaves at most; the string is 128 KiB long then.
    pub(super) const MOST: u64 = 1 << 20;
    /// Acknowledgements that are remembered with their time.
    const LATEST: usize = 64;

    /// How many are acknowledged.
    pub fn count(&self) -> u64 {
        self.acknowledged.iter().map(|byte| u64::from(byte.count_ones())).sum()
    }

    /// Whether a mark was acknowledged.
    pub fn is_acknowledged(&self, number: u64) -> bool {
        has_bit(&self.acknowledged, number)
    }

    /// Whether enough replicas have acknowledged a mark, too: see
    /// [`TrafficConfig::wait`](super::TrafficConfig::wait).
    pub fn is_confirmed(&self, number: u64) -> bool {
        has_bit(&self.confirmed, number)
    }

    pub(super) fn acknowledge(&mut self, number: u64, now: Mono) {
        set_bit(&mut self.acknowledged, number);
        if self.latest.len() == Self::LATEST {
            self.latest.pop_front();
        }
        self.latest.push_back((number, now));
    }

    pub(super) fn confirm(&mut self, number: u64) {
        set_bit(&mut self.confirmed, number);
    }
}

fn set_bit(bytes: &mut Vec<u8>, number: u64) {
    let at = usize::try_from(number / 8).unwrap_or(usize::MAX);
    if number < Marks::MOST && bytes.len() <= at {
        bytes.resize(at + 1, 0);
    }
    if let Some(byte) = bytes.get_mut(at) {
        *byte |= 0x80 >> (number % 8);
    }
}

/// Whether a bit of a string is set, counted as SETBIT counts.
pub fn has_bit(bytes: &[u8], number: u64) -> bool {
    let byte = usize::try_from(number / 8).ok().and_then(|at| bytes.get(at));
    byte.is_some_and(|byte| byte & (0x80 >> (number % 8)) != 0)
}
