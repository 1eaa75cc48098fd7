//! The monotonic and the wall clock of a driver, read as rarely as possible.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use limpid_core::time::{Mono, Stopwatch, Wall};

/// How long the wall clock is derived from the monotonic one before it is read again, in
/// microseconds. A jump of the wall clock (it was set) is noticed within this time.
const RESYNC: u64 = 10_000_000;

/// A change of the offset between the clocks, in microseconds, that counts as a jump: less may be
/// the time between reading the one and the other.
const JUMP: u64 = 500;

/// Both clocks as they were at the last [`Clock::tick`].
#[derive(Debug)]
pub(super) struct Clock {
    /// The processor's time stamp counter, for durations that are measured for each command.
    counter: quanta::Clock,
    origin: Instant,
    mono: Mono,
    wall: Wall,
    /// What to add to the monotonic clock, in microseconds, to get the wall clock.
    offset: u64,
    synced: Mono,
}

impl Clock {
    pub(super) fn new() -> Self {
        let (origin, offset) = (Instant::now(), wall_micros());
        let counter = quanta::Clock::new();
        Clock { counter, origin, mono: Mono::ZERO, wall: Wall(offset), offset, synced: Mono::ZERO }
    }

    /// Reads the monotonic clock, and every [`RESYNC`] the wall clock.
    pub(super) fn tick(&mut self) {
        let nanos = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.advance(nanos, wall_micros);
    }

    pub(super) fn mono(&self) -> Mono {
        self.mono
    }

    pub(super) fn wall(&self) -> Wall {
        self.wall
    }

    /// A stopwatch that starts now.
    #[inline]
    pub(super) fn stopwatch(&self) -> Watch<'_> {
        Watch { counter: &self.counter, start: self.counter.raw() }
    }

    fn advance(&mut self, nanos: u64, read_wall: impl FnOnce() -> u64) {
        self.mono = self.mono.max(Mono(nanos));
        let micros = self.mono.0 / 1_000;
        if self.mono.0 - self.synced.0 >= RESYNC {
            self.synced = self.mono;
            let offset = read_wall().saturating_sub(micros);
            if offset.abs_diff(self.offset) > JUMP {
                self.offset = offset;
            }
        }
        self.wall = Wall(self.offset.saturating_add(micros));
    }
}

/// A stopwatch for one call of a machine.
#[derive(Debug)]
pub(super) struct Watch<'c> {
    counter: &'c quanta::Clock,
    start: u64,
}

impl Stopwatch for Watch<'_> {
    #[inline]
    fn nanos(&self) -> u64 {
        self.counter.delta_as_nanos(self.start, self.counter.raw())
    }
}

fn wall_micros() -> u64 {
    // A clock that is set to before 1970 counts as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_wall_clock_follows_the_monotonic_one_and_its_own_jumps() {
        let mut clock = Clock::new();
        clock.offset = 1_000_000_000;
        clock.advance(3 * MS, || unreachable!("not read so soon"));
        assert_eq!(clock.wall(), Wall(1_000_003_000));
        clock.advance(12 * MS, || 1_000_012_020);
        assert_eq!(clock.wall(), Wall(1_000_012_000), "a late reading is no jump");
        clock.advance(23 * MS, || 900_000_000);
        assert_eq!(clock.wall(), Wall(900_000_000), "somebody set the clock back");
        clock.advance(24 * MS, || unreachable!("not read so soon"));
        assert_eq!(clock.wall(), Wall(900_001_000));
    }

    #[test]
    fn the_monotonic_clock_never_runs_backwards() {
        let mut clock = Clock::new();
        clock.advance(5 * MS, || 0);
        clock.advance(4 * MS, || 0);
        assert_eq!(clock.mono(), Mono(5 * MS));
    }
}
