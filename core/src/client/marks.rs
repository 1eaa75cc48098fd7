//! Numbered writes, for finding out later which of them a server has.

use std::collections::VecDeque;

use crate::time::Mono;

/// Which of its marks a client sent, and which were acknowledged.
///
/// A mark is a write that nothing overwrites: it sets bit N of one string, for each N once. So the
/// string on any server shows, at any time, which of the writes that server has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Number of marks sent, which is also the number of the next one.
    pub sent: u64,
    /// A bit for each acknowledged mark, in the order of SETBIT: the first is the highest bit of
    /// the first byte.
    pub acknowledged: Vec<u8>,
    /// A bit for each mark that WAIT reported enough replicas for.
    pub confirmed: Vec<u8>,
    /// The latest acknowledgements, oldest first: the mark and the time.
    pub latest: VecDeque<(u64, Mono)>,
}

impl Marks {
    /// The maximum number of marks of a client; the string then has 128 KiB.
    pub(super) const MOST: u64 = 1 << 20;
    /// The number of acknowledgements that are kept with their time.
    const LATEST: usize = 64;

    /// The number of acknowledged marks.
    pub fn count(&self) -> u64 {
        self.acknowledged.iter().map(|byte| u64::from(byte.count_ones())).sum()
    }

    /// Whether a mark was acknowledged.
    pub fn is_acknowledged(&self, number: u64) -> bool {
        has_bit(&self.acknowledged, number)
    }

    /// Whether enough replicas have acknowledged a mark: see
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

/// Whether a bit of a string is set, numbered as in SETBIT.
pub fn has_bit(bytes: &[u8], number: u64) -> bool {
    let byte = usize::try_from(number / 8).ok().and_then(|at| bytes.get(at));
    byte.is_some_and(|byte| byte & (0x80 >> (number % 8)) != 0)
}
