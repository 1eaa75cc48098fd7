//! Time as machines see it: a monotonic clock for intervals and a wall clock for dates.
//!
//! Nothing here reads a clock. A driver reads its own clocks and passes the result in as a [`Now`].

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
pub use core::time::Duration;

use serde::{Deserialize, Serialize};

/// The moment at which an input happened, as both clocks showed it.
#[derive(Clone, Copy)]
pub struct Now<'a> {
    /// The monotonic clock.
    pub mono: Mono,
    /// The wall clock, which may jump.
    pub wall: Wall,
    stopwatch: &'a dyn Stopwatch,
}

impl<'a> Now<'a> {
    /// A moment with a stopwatch for the time since.
    pub fn new(mono: Mono, wall: Wall, stopwatch: &'a dyn Stopwatch) -> Self {
        Self { mono, wall, stopwatch }
    }

    /// A moment whose stopwatch always shows zero, as in a simulated World.
    pub fn instantaneous(mono: Mono, wall: Wall) -> Now<'static> {
        Now { mono, wall, stopwatch: &NoTime }
    }

    /// CPU time spent since the driver passed in this `Now`.
    ///
    /// For reports only (SLOWLOG, latency, command statistics): no decision may depend on it, since
    /// a replay must take the same decisions in a World, where it is always zero.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    /// The same in nanoseconds: this is called after each command, and converting to a [`Duration`]
    /// costs a division.
    #[inline]
    pub fn nanos(&self) -> u64 {
        self.stopwatch.nanos()
    }
}

impl fmt::Debug for Now<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Now").field("mono", &self.mono).field("wall", &self.wall).finish()
    }
}

/// Measures the time that a machine spends on one input.
pub trait Stopwatch {
    /// Nanoseconds since the driver started to handle the input.
    fn nanos(&self) -> u64;
}

/// The stopwatch of a World, in which computing takes no time.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTime;

impl Stopwatch for NoTime {
    fn nanos(&self) -> u64 {
        0
    }
}

/// The earliest of several times, some of which may not be set. Called after every input, so it
/// does not branch. `Mono(u64::MAX)` counts as not set.
#[inline(always)]
pub fn earliest<const N: usize>(times: [Option<Mono>; N]) -> Option<Mono> {
    let mut first = Mono(u64::MAX);
    for time in times {
        first = first.min(time.unwrap_or(Mono(u64::MAX)));
    }
    (first != Mono(u64::MAX)).then_some(first)
}

/// A point on a monotonic clock: nanoseconds since an origin that only its driver knows.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Debug,
)]
pub struct Mono(pub u64);

impl Mono {
    /// The clock's origin.
    pub const ZERO: Mono = Mono(0);

    /// Time from `earlier` to this point; zero if `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Whole milliseconds since the origin.
    pub fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    fn add(self, d: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Mono {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}

impl Sub<Mono> for Mono {
    type Output = Duration;

    fn sub(self, earlier: Mono) -> Duration {
        self.since(earlier)
    }
}

/// A point on the wall clock: microseconds since 1970-01-01 00:00 UTC.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Debug,
)]
pub struct Wall(pub u64);

/// A moment in the civil calendar (UTC).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Date {
    /// The year.
    pub year: u64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 for Sunday.
    pub weekday: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

impl Date {
    /// The date of a moment: the algorithm `civil_from_days` of Howard Hinnant.
    pub fn of(wall: Wall) -> Date {
        let seconds = wall.0 / 1_000_000;
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let day_of_era = shifted % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Date {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u8,
            weekday: ((days + 4) % 7) as u8,
            hour: (rest / 3_600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
        }
    }

    /// The month's name in English, three letters.
    pub fn month_name(self) -> &'static str {
        let names = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let at = usize::from(self.month.saturating_sub(1)) * 3;
        names.get(at..at + 3).unwrap_or("")
    }

    /// The weekday's name in English, three letters.
    pub fn weekday_name(self) -> &'static str {
        let at = usize::from(self.weekday) * 3;
        "SunMonTueWedThuFriSat".get(at..at + 3).unwrap_or("")
    }
}

impl Wall {
    /// Whole milliseconds since 1970, the unit of Redis's expiry times.
    pub fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// Whole seconds since 1970.
    pub fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The wall time `ms` milliseconds after 1970.
    pub fn from_millis(ms: u64) -> Self {
        Wall(ms.saturating_mul(1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_found_among_times_that_may_not_be_set() {
        assert_eq!(earliest([None, None]), None);
        assert_eq!(earliest([None, Some(Mono(7)), Some(Mono(5)), None]), Some(Mono(5)));
        assert_eq!(earliest([Some(Mono::ZERO), None]), Some(Mono::ZERO));
        assert_eq!(earliest([Some(Mono(u64::MAX))]), None);
    }
}
