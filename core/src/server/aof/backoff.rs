//! Back-off of AOF rewrites after failures.

use crate::time::Wall;

/// How many rewrites in a row have to fail before the next one is delayed: Redis's
/// `AOF_REWRITE_LIMITE_THRESHOLD`.
const FAILURES: u64 = 3;

/// The longest delay, in minutes: Redis's `AOF_REWRITE_LIMITE_MAX_MINUTES`.
const MAX_MINUTES: u64 = 60;

/// Failures since the last successful rewrite, and the resulting delay: one minute, doubled after
/// each further failure.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    failures: u64,
    /// The last delay in minutes.
    delay: u64,
    /// When the current delay ends, in seconds since 1970.
    until: Option<u64>,
}

/// Whether a rewrite may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// It may start now.
    None,
    /// It has to wait; a delay of this many minutes starts now.
    Begins { minutes: u64 },
    /// It still has to wait.
    GoesOn,
}

impl Backoff {
    /// Failures in a row.
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    /// Records a failed rewrite.
    pub(super) fn failed(&mut self) {
        self.failures += 1;
    }

    /// Resets the delay: a rewrite has succeeded, or was requested explicitly.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether failures delay the next rewrite; true if not.
    pub(super) fn is_clear(&self) -> bool {
        self.failures < FAILURES
    }

    /// When the current delay ends, in seconds since 1970.
    pub(super) fn until(&self) -> Option<u64> {
        self.until
    }

    /// Asks whether a rewrite may start; if failures delay it, the delay starts now.
    pub(super) fn limit(&mut self, now: Wall) -> Limit {
        if self.is_clear() {
            (self.delay, self.until) = (0, None);
            return Limit::None;
        }
        if let Some(until) = self.until {
            if now.as_secs() < until {
                return Limit::GoesOn;
            }
            self.until = None;
            return Limit::None;
        }
        self.delay = (self.delay * 2).clamp(1, MAX_MINUTES);
        self.until = Some(now.as_secs() + self.delay * 60);
        Limit::Begins { minutes: self.delay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Wall {
        Wall(seconds * 1_000_000)
    }

    #[test]
    fn delays_double_up_to_an_hour_and_end_with_a_success() {
        let mut backoff = Backoff::default();
        let mut now = 1_000;
        assert_eq!(backoff.limit(at(now)), Limit::None);
        for _ in 0..FAILURES {
            backoff.failed();
        }
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(backoff.limit(at(now)), Limit::Begins { minutes });
            now += minutes * 60;
            assert_eq!(backoff.limit(at(now - 1)), Limit::GoesOn);
            assert_eq!(backoff.limit(at(now)), Limit::None, "after {minutes} minutes");
            backoff.failed();
        }
        backoff.reset();
        assert_eq!(backoff.limit(at(now)), Limit::None);
        assert_eq!(backoff.until(), None);
    }

    #[test]
    fn the_first_failures_cause_no_delay() {
        let mut backoff = Backoff::default();
        for _ in 1..FAILURES {
            backoff.failed();
            assert_eq!(backoff.limit(at(1)), Limit::None);
        }
        backoff.failed();
        assert!(!backoff.is_clear());
        assert_eq!(backoff.limit(at(1)), Limit::Begins { minutes: 1 });
    }
}
