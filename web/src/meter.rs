//! The message rate of bodies: messages per second of virtual time, over the last second or less.

use std::collections::VecDeque;

use limpid_core::sorted::SortedMap;

use crate::units::BodyId;

/// The span of the average, in nanoseconds.
const SPAN: u64 = 1_000_000_000;
/// The shortest span from which a rate is computed, in nanoseconds.
const MIN_SPAN: u64 = 100_000_000;
/// The number of samples per span.
const SAMPLES: usize = 32;

/// Samples of message counts.
#[derive(Default)]
pub(crate) struct Meter {
    samples: VecDeque<(u64, SortedMap<BodyId, u64>)>,
}

impl Meter {
    /// Whether another sample is due, at `now` nanoseconds.
    pub(crate) fn is_due(&mut self, now: u64) -> bool {
        // After a rewind, later samples belong to another future.
        while self.samples.back().is_some_and(|(at, _)| *at > now) {
            self.samples.pop_back();
        }
        self.samples.back().is_none_or(|(at, _)| now >= at + SPAN / SAMPLES as u64)
    }

    /// Adds a sample: how many messages each body has received so far.
    pub(crate) fn sample(&mut self, now: u64, counts: SortedMap<BodyId, u64>) {
        self.samples.push_back((now, counts));
        while self.samples.front().is_some_and(|(at, _)| at + SPAN < now) && self.samples.len() > 2
        {
            self.samples.pop_front();
        }
    }

    /// Messages per second that a body received lately; 0 until there are enough samples.
    pub(crate) fn rate(&self, body: BodyId) -> u64 {
        let (Some((first, before)), Some((last, after))) =
            (self.samples.front(), self.samples.back())
        else {
            return 0;
        };
        let span = last.saturating_sub(*first);
        if span < MIN_SPAN {
            return 0;
        }
        let count =
            |counts: &SortedMap<BodyId, u64>| counts.get(&body).copied().unwrap_or_default();
        let messages = count(after).saturating_sub(count(before));
        (u128::from(messages) * 1_000_000_000 / u128::from(span)) as u64
    }
}
