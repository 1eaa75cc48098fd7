//! Moderation of wake-ups: with many busy clients the loop takes short naps, so that it finds
//! several requests at once.
//!
//! Clients that each wait for a reply before the next request do not send in step. A server that is
//! faster than they are finds one or two requests per wake-up, answers, and goes to sleep, to be
//! woken by the next one a few microseconds later. Sleeping and waking cost a tenth of a short
//! request, and the clients pay for waking the server.
//! Network cards have the same problem with interrupts and moderate them: under load they delay an
//! interrupt a little, so that it covers several packets. In the same way, when there is nothing to
//! do but many connections sent something just now, the loop sleeps for a moment without polling,
//! and then finds several requests. The clients are woken less often and get more done, too.
//!
//! A few clients are never delayed by this: no other requests would join theirs. A server that is
//! fully loaded does not sleep at all.

#[cfg(target_os = "linux")]
use std::num::NonZeroU64;

use limpid_core::time::{Duration, Mono};

/// How long arrivals are counted before the length of naps is decided.
const WINDOW: Duration = Duration::from_millis(1);

/// A nap lasts until about one in this many of the busy connections has sent again, so that most of
/// them are not delayed.
const CROWD_SHARE: u64 = 6;

/// The number of requests to expect in a nap for it to be worth its cost.
const MIN_REQUESTS: u64 = 4;

/// The shortest nap: a shorter one would end before the processor is idle.
const MIN_NAP: Duration = Duration::from_micros(20);

/// The longest nap.
const MAX_NAP: Duration = Duration::from_micros(80);

/// If naps last longer than they should by this much on average, timers are coarse or the processor
/// is busy with other processes: naps are then suspended for [`BACK_OFF`].
const MAX_OVERSLEEP: Duration = Duration::from_micros(400);

/// The number of naps over which that average (an exponential one) extends.
const AVERAGED_NAPS: u32 = 32;

/// How long naps are suspended after they lasted too long.
const BACK_OFF: Duration = Duration::from_secs(1);

/// The window in which a connection last sent something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeardIn(u64);

/// Counts the connections that sent something, and decides how long to nap.
#[derive(Debug)]
pub(super) struct Moderation {
    window: HeardIn,
    opened: Mono,
    /// Reads that returned bytes, in this window.
    arrivals: u64,
    /// Connections that these bytes came from.
    crowd: u64,
    nap: Option<Duration>,
    /// By how much naps lasted too long, on average.
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

    /// Makes naps of this thread end on time: by default Linux may delay every timer by 50 us
    /// (`PR_SET_TIMERSLACK`), so as to serve several at once.
    pub(super) fn sharpen() {
        #[cfg(target_os = "linux")]
        {
            const SLACK: Option<NonZeroU64> = NonZeroU64::new(1_000);
            // If this is refused, naps are a little longer.
            let _ = rustix::thread::set_current_timer_slack(SLACK);
        }
    }

    /// Counts bytes from a connection; `last` is the window in which it last sent something.
    #[inline]
    pub(super) fn heard(&mut self, last: &mut HeardIn) {
        self.arrivals += 1;
        if *last != self.window {
            *last = self.window;
            self.crowd += 1;
        }
    }

    /// Tells the time, once per turn of the loop, and closes the window if it is over.
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

    /// How long to nap if there is nothing to do; `None`: not at all.
    pub(super) fn nap(&self) -> Option<Duration> {
        self.nap
    }

    /// Notes that a nap of `wanted` lasted `took`.
    pub(super) fn slept(&mut self, wanted: Duration, took: Duration, now: Mono) {
        let excess = took.saturating_sub(wanted);
        self.excess = self.excess - self.excess / AVERAGED_NAPS + excess / AVERAGED_NAPS;
        if self.excess > MAX_OVERSLEEP {
            self.excess = Duration::ZERO;
            self.nap = None;
            self.awake_until = now + BACK_OFF;
        }
    }

    fn judge(&self, open_for: Duration) -> Option<Duration> {
        let nanos = u64::try_from(open_for.as_nanos()).ok()?;
        let share = nanos.checked_mul(self.crowd)?.checked_div(CROWD_SHARE * self.arrivals)?;
        let nap = Duration::from_nanos(share).min(MAX_NAP);
        let worth = nap.as_nanos() * u128::from(self.arrivals)
            >= u128::from(MIN_REQUESTS) * open_for.as_nanos();
        (worth && nap >= MIN_NAP).then_some(nap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a window of a millisecond in which `clients` take turns in sending `requests`.
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
            // Many quiet clients, each of which sends once.
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
        assert_eq!(moderation.nap(), Some(MAX_NAP));
    }

    #[test]
    fn a_machine_that_oversleeps_is_kept_awake_for_a_while() {
        let mut moderation = Moderation::new();
        let mut now = hear(&mut moderation, Mono::ZERO, 50, 80);
        moderation.slept(MAX_NAP, MAX_NAP + Duration::from_millis(5), now);
        for _ in 0..100 {
            moderation.slept(MAX_NAP, MAX_NAP + MAX_OVERSLEEP / 2, now);
        }
        assert_eq!(moderation.nap(), Some(MAX_NAP), "late, but not often by so much");
        for _ in 0..AVERAGED_NAPS {
            moderation.slept(MAX_NAP, Duration::from_millis(1), now);
        }
        assert_eq!(moderation.nap(), None);
        let until = now + BACK_OFF;
        while now + WINDOW < until {
            now = hear(&mut moderation, now, 50, 80);
            assert_eq!(moderation.nap(), None);
        }
        hear(&mut moderation, now, 50, 80);
        assert_eq!(moderation.nap(), Some(MAX_NAP));
    }
}
