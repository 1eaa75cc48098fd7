//! How long rewrites wait after others have failed.

use crate::time::Wall;

/// How many rewrites fail one after the other before the next has to wait: Redis's
/// `AOF_REWRITE_LIMITE_THRESHOLD`.
const FAILURES: u64 = 3;

/// Minutes that a rewrite waits at most after others have failed: Redis's
/// `AOF_REWRITE_LIMITE_MAX_MINUTES`.
const MOST_MINUTES: u64 = 60;

/// The failures since the last rewrite that succeeded, and the wait that they impose: one minute,
/// then twice as long after each further failure.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    failures: u64,
    /// Minutes of the last wait.
    delay: u64,
    /// Seconds since 1970 at which the current wait ends.
    until: Option<u64>,
}

/// Whether a rewrite may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// It may.
    None,
    /// It has to wait, from now on for so many minutes.
    Begins { minutes: u64 },
    /// It still has to wait.
    GoesOn,
}

impl Backoff {
    /// How many rewrites have failed since the last that did not.
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    /// Another rewrite has failed.
    pub(super) fn failed(&mut self) {
        self.failures += 1;
    }

    /// A rewrite has succeeded, or one was asked for that is not to wait for earlier failures.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether a rewrite may begin as far as failures go.
    pub(super) fn is_clear(&self) -> bool {
        self.failures < FAILURES
    }

    /// When the current wait ends, in seconds since 1970.
    pub(super) fn until(&self) -> Option<u64> {
        self.until
    }

    /// A rewrite wants to begin: whether it may, or a wait begins with that.
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
        self.delay = (self.delay * 2).clamp(1, MOST_MINUTES);
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
    fn waits_double_up_to_an_hour_and_end_with_a_success() {
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
    fn the_first_failures_delay_nothing() {
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
