//! The rate at which a traffic client sends commands.

use crate::rng::Rng;
use crate::time::{Duration, Mono};

/// A rate of commands with random gaps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    per_second: f64,
    /// When the next command is due; `None` if none is.
    next: Option<Mono>,
}

impl Pace {
    /// A rate of so many commands per second, which is not started yet.
    pub(super) fn new(per_second: f64) -> Self {
        Pace { per_second, next: None }
    }

    /// Changes the rate, in commands per second; 0 stops it.
    pub(super) fn set(&mut self, per_second: f64, now: Mono, rng: &mut Rng) {
        self.per_second = per_second;
        self.begin(now, rng);
    }

    /// Starts: the next command is due after a random gap.
    pub(super) fn begin(&mut self, now: Mono, rng: &mut Rng) {
        self.next = gap(rng, self.per_second).map(|gap| now + gap);
    }

    /// Stops.
    pub(super) fn stop(&mut self) {
        self.next = None;
    }

    /// When the next command is due.
    pub(super) fn next(&self) -> Option<Mono> {
        self.next
    }

    /// If a command is due now: the time at which it became due.
    pub(super) fn due(&self, now: Mono) -> Option<Mono> {
        self.next.filter(|at| *at <= now)
    }

    /// Notes that the command due at `due` was sent. The next gap counts from then, so that a late
    /// wake-up does not lower the rate; but after a long pause nothing is made up for.
    pub(super) fn sent(&mut self, due: Mono, now: Mono, rng: &mut Rng) {
        let from = if now.since(due) > Duration::from_secs(1) { now } else { due };
        self.begin(from, rng);
    }
}

/// A random gap at a rate in commands per second; `None` at 0.
fn gap(rng: &mut Rng, per_second: f64) -> Option<Duration> {
    if per_second.is_nan() || per_second <= 0.0 {
        return None;
    }
    // An exponential distribution needs `ln`, whose last bit may differ between platforms.
    // A triangular one has the same mean, and needs only exact operations.
    let unit = rng.unit() + rng.unit();
    let seconds = (unit / per_second).min(86_400.0);
    Some(Duration::from_micros((seconds * 1e6) as u64).max(Duration::from_micros(1)))
}
