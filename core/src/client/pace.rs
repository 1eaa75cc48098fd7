//! When a client that makes traffic sends its next command.

use crate::rng::Rng;
use crate::time::{Duration, Mono};

/// A rate of commands, at random times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    per_second: f64,
    /// When the next command is due; `None` if none is.
    next: Option<Mono>,
}

impl Pace {
    /// So many commands a second, once it has begun.
    pub(super) fn new(per_second: f64) -> Self {
        Pace { per_second, next: None }
    }

    /// Sends so many a second from now on; none at 0.
    pub(super) fn set(&mut self, per_second: f64, now: Mono, rng: &mut Rng) {
        self.per_second = per_second;
        self.begin(now, rng);
    }

    /// The next command is due a gap from now.
    pub(super) fn begin(&mut self, now: Mono, rng: &mut Rng) {
        self.next = gap(rng, self.per_second).map(|gap| now + gap);
    }

    /// No command is due.
    pub(super) fn stop(&mut self) {
        self.next = None;
    }

    /// When the next command is due.
    pub(super) fn next(&self) -> Option<Mono> {
        self.next
    }

    /// When the command was due that is to be sent now.
    pub(super) fn due(&self, now: Mono) -> Option<Mono> {
        self.next.filter(|at| *at <= now)
    }

    /// The command that was due at this time is sent. The gap to the next one counts from then, so
    /// that a late wake-up costs no command; but after a long pause there is nothing to catch up on.
    pub(super) fn sent(&mut self, due: Mono, now: Mono, rng: &mut Rng) {
        let from = if now.since(due) > Duration::from_secs(1) { now } else { due };
        self.begin(from, rng);
    }
}

/// A random time between two commands of which so many come a second; `None` at 0.
fn gap(rng: &mut Rng, per_second: f64) -> Option<Duration> {
    if per_second.is_nan() || per_second <= 0.0 {
        return None;
    }
    // An exponential distribution would need `ln`, whose last bit may differ between platforms.
    // A triangle has the same mean and needs nothing but exact operations.
    let unit = rng.unit() + rng.unit();
    let seconds = (unit / per_second).min(86_400.0);
    Some(Duration::from_micros((seconds * 1e6) as u64).max(Duration::from_micros(1)))
}
