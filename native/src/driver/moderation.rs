//! When many ask at once, they are waited for together.
//!
//! A crowd of clients that each wait for an answer before they ask again does not come in step.
//! A server that is faster than they are finds one or two requests whenever it looks, answers, and
//! goes to sleep, to be woken by the next a few microseconds later. Falling asleep and being woken
//! is dear: of what a short request costs, a tenth, and the clients pay for the waking.
//! Network cards know this from interrupts, and moderate them: under load they wait a moment
//! before they raise one, for what comes with it. So does this: when there is nothing to do, but
//! many connections were heard from just now, the loop sleeps for a moment without listening, and
//! then finds several requests at once. The clients, woken less often, get more done, too.
//!
//! A single client, or a few of them, never wait for this: no other requests would join theirs. A
//! server that is fully loaded does not sleep at all.

#[cfg(target_os = "linux")]
use std::num::NonZeroU64;

use limpid_core::time::{Duration, Mono};

/// How long arrivals are counted before a judgement about them.
const WINDOW: Duration = Duration::from_millis(1);

/// A nap is as long as one in so many of the crowd needs to be heard from again, so that most of
/// them never notice.
const SHARE: u64 = 6;

/// A nap is worth its own cost when so many requests are expected in it.
const WORTH: u64 = 4;

/// A shorter one would be over before the processor has come to rest.
const SHORTEST: Duration = Duration::from_micros(20);

/// The longest nap.
const LONGEST: Duration = Duration::from_micros(80);

/// Naps that last this much longer than they should, on average, tell of coarse timers or of a
/// processor that belongs to other processes ...
const OVERSLEPT: Duration = Duration::from_micros(400);

/// (the average is one of about so many)
const REMEMBERED: u32 = 32;

/// ... and none is tried for so long.
const ABSTINENCE: Duration = Duration::from_secs(1);

/// The window in which a connection was last heard from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeardIn(u64);

/// Counts the connections that sent something, and decides how long to sleep.
#[derive(Debug)]
pub(super) struct Moderation {
    window: HeardIn,
    opened: Mono,
    /// Reads that brought something, in this window.
    arrivals: u64,
    /// Connections that they came from.
    crowd: u64,
    nap: Option<Duration>,
    /// By how much naps were too long, on average.
    excess: Duration,
    awake_until: Mono,
}

impl Moderation {
    pub(super) fn new() -> Self {
        Moderation {
            window: HeardIn(1),
            opened: Mono::ZERO,
            arrivals: 0,
            crowd: 0,
            nap: None,
            excess: Duration::ZERO,
            awake_until: Mono::ZERO,
        }
    }

    /// Makes naps of this thread end when they should: Linux may let every timer be late by 50 us,
    /// so as to serve several at once.
    pub(super) fn sharpen() {
        #[cfg(target_os = "linux")]
        {
            const SLACK: Option<NonZeroU64> = NonZeroU64::new(1_000);
            // If it is refused, naps are a little longer.
            let _ = rustix::thread::set_current_timer_slack(SLACK);
        }
    }

    /// Something came from a connection, which was last heard from as it says.
    #[inline]
    pub(super) fn heard(&mut self, last: &mut HeardIn) {
        self.arrivals += 1;
        if *last != self.window {
            *last = self.window;
            self.crowd += 1;
        }
    }

    /// It is now so late.
    #[inline]
    pub(super) fn turn(&mut self, now: Mono) {
        let open_for = now.since(self.opened);
        if open_for >= WINDOW {
            self.nap = if now < self.awake_until { None } else { self.judge(open_for) };
            self.window.0 += 1;
            self.opened = now;
            self.arrivals = 0;
            self.crowd = 0;
        }
    }

    /// How long to sleep if there is nothing to do.
    pub(super) fn nap(&self) -> Option<Duration> {
        self.nap
    }

    /// A nap of `wanted` took so long in truth.
    pub(super) fn slept(&mut self, wanted: Duration, took: Duration, now: Mono) {
        let excess = took.saturating_sub(wanted);
        self.excess = self.excess - self.excess / REMEMBERED + excess / REMEMBERED;
        if self.excess > OVERSLEPT {
            self.excess = Duration::ZERO;
            self.nap = None;
            self.awake_until = now + ABSTINENCE;
        }
    }

    fn judge(&self, open_for: Duration) -> Option<Duration> {
        let nanos = u64::try_from(open_for.as_nanos()).ok()?;
        let share = nanos.checked_mul(self.crowd)?.checked_div(SHARE * self.arrivals)?;
        let nap = Duration::from_nanos(share).min(LONGEST);
        let worth =
            nap.as_nanos() * u128::from(self.arrivals) >= u128::from(WORTH) * open_for.as_nanos();
        (worth && nap >= SHORTEST).then_some(nap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window of a millisecond in which so many clients take turns with so many requests.
    fn hear(moderation: &mut Moderation, from: Mono, clients: usize, requests: usize) -> Mono {
        let mut last = vec![HeardIn::default(); clients];
        for i in 0..requests {
            moderation.heard(&mut last[i % clients]);
        }
        let now = from + WINDOW;
        moderation.turn(now);
        now
    }

    #[test]
    fn only_a_busy_crowd_is_waited_for() {
        let mut moderation = Moderation::new();
        let mut now = Mono::ZERO;
        assert_eq!(moderation.nap(), None);
        for (clients, requests, nap) in [
            (50, 80, Some(80)),
            (30, 100, Some(50)),
            (20, 80, None),
            (1, 80, None),
            (10, 80, None),
            // The clients of a quiet hour, each heard from once.
            (20, 20, None),
            (200, 200, Some(80)),
            (50, 1_000, None),
        ] {
            now = hear(&mut moderation, now, clients, requests);
            let expected = nap.map(Duration::from_micros);
            assert_eq!(moderation.nap(), expected, "{clients} clients, {requests} requests");
        }
        moderation.turn(now + WINDOW);
        assert_eq!(moderation.nap(), None, "all have gone");
    }

    #[test]
    fn a_judgement_stands_until_the_window_closes() {
        let mut moderation = Moderation::new();
        let now = hear(&mut moderation, Mono::ZERO, 50, 80);
        moderation.turn(now + WINDOW / 2);
        assert_eq!(moderation.nap(), Some(LONGEST));
    }

    #[test]
    fn a_machine_that_oversleeps_is_kept_awake_for_a_while() {
        let mut moderation = Moderation::new();
        let mut now = hear(&mut moderation, Mono::ZERO, 50, 80);
        moderation.slept(LONGEST, LONGEST + Duration::from_millis(5), now);
        for _ in 0..100 {
            moderation.slept(LONGEST, LONGEST + OVERSLEPT / 2, now);
        }
        assert_eq!(moderation.nap(), Some(LONGEST), "late, but not often by so much");
        for _ in 0..REMEMBERED {
            moderation.slept(LONGEST, Duration::from_millis(1), now);
        }
        assert_eq!(moderation.nap(), None);
        let until = now + ABSTINENCE;
        while now + WINDOW < until {
            now = hear(&mut moderation, now, 50, 80);
            assert_eq!(moderation.nap(), None);
        }
        hear(&mut moderation, now, 50, 80);
        assert_eq!(moderation.nap(), Some(LONGEST));
    }
}
