//! How busy bodies are: messages a second of virtual time, over the last second or less.

use std::collections::VecDeque;

use limpid_core::sorted::SortedMap;

use crate::units::BodyId;

/// The span over which is averaged, in nanoseconds.
const SPAN: u64 = 1_000_000_000;
/// Shorter spans say nothing yet.
const LEAST: u64 = 100_000_000;
/// Looks that are remembered.
const LOOKS: usize = 32;

/// Counts of messages at some moments.
#[derive(Default)]
pub(crate) struct Meter {
    looks: VecDeque<(u64, SortedMap<BodyId, u64>)>,
}

impl Meter {
    /// Whether it is time for another look, at `now` nanoseconds.
    pub(crate) fn is_due(&mut self, now: u64) -> bool {
        // Going back in time, later looks are about another future.
        while self.looks.back().is_some_and(|(at, _)| *at > now) {
            self.looks.pop_back();
        }
        self.looks.back().is_none_or(|(at, _)| now >= at + SPAN / LOOKS as u64)
    }

    /// Takes another look: what each body has received so far.
    pub(crate) fn look(&mut self, now: u64, counts: SortedMap<BodyId, u64>) {
        self.looks.push_back((now, counts));
        while self.looks.front().is_some_and(|(at, _)| at + SPAN < now) && self.looks.len() > 2 {
            self.looks.pop_front();
        }
    }

    /// Messages a second that a body received lately; 0 before that can be told.
    pub(crate) fn rate(&self, body: BodyId) -> u64 {
        let (Some((first, before)), Some((last, after))) = (self.looks.front(), self.looks.back())
        else {
            return 0;
        };
        let span = last.saturating_sub(*first);
        if span < LEAST {
            return 0;
        }
        let count =
            |counts: &SortedMap<BodyId, u64>| counts.get(&body).copied().unwrap_or_default();
        let messages = count(after).saturating_sub(count(before));
        (u128::from(messages) * 1_000_000_000 / u128::from(span)) as u64
    }
}
