//! Access clocks: the 24 bits per key for LRU and LFU eviction, OBJECT IDLETIME and OBJECT FREQ.

use crate::rng::Rng;

/// The meaning of the access clocks, which depends on the eviction policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AccessPolicy {
    /// LRU: the second of the last access.
    #[default]
    Lru,
    /// LFU: a logarithmic counter of accesses that decays with time.
    Lfu {
        /// `lfu-log-factor`: the larger, the more accesses increment the counter by one.
        log_factor: u32,
        /// `lfu-decay-time`: minutes after which the counter is decremented; 0 for never.
        decay_minutes: u32,
    },
}

/// A key's access clock: 24 bits, interpreted according to the [`AccessPolicy`].
///
/// Under LRU it is the wall clock in seconds modulo 2²⁴; under LFU the upper 16 bits are the minute
/// of the last decay modulo 2¹⁶ and the lower 8 the counter, as Redis stores (and saves) them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AccessClock(u32);

/// The initial counter of a new key, so that it is not evicted immediately (`LFU_INIT_VAL`).
const LFU_INITIAL: u32 = 5;

const MASK: u32 = 0xFF_FFFF;

impl AccessClock {
    /// The clock of a key that is created at `now_ms`.
    pub fn new(policy: AccessPolicy, now_ms: u64) -> Self {
        match policy {
            AccessPolicy::Lru => Self(seconds(now_ms)),
            AccessPolicy::Lfu { .. } => Self::from_lfu(minutes(now_ms), LFU_INITIAL),
        }
    }

    /// The clock of a key that has been idle for `idle_ms` at `now_ms`, under LRU.
    pub fn idle_since(idle_ms: u64, now_ms: u64) -> Self {
        Self(seconds(now_ms.saturating_sub(idle_ms)))
    }

    /// The clock of a key whose LFU counter is `freq` at `now_ms`.
    pub fn with_freq(freq: u8, now_ms: u64) -> Self {
        Self::from_lfu(minutes(now_ms), u32::from(freq))
    }

    /// The clock after an access.
    #[inline(always)]
    pub fn touched(self, policy: AccessPolicy, now_ms: u64, rng: &mut Rng) -> Self {
        match policy {
            AccessPolicy::Lru => Self(seconds(now_ms)),
            AccessPolicy::Lfu { log_factor, decay_minutes } => {
                self.counted(log_factor, decay_minutes, now_ms, rng)
            }
        }
    }

    #[inline(never)]
    fn counted(self, log_factor: u32, decay_minutes: u32, now_ms: u64, rng: &mut Rng) -> Self {
        let counter = self.decayed(decay_minutes, now_ms);
        Self::from_lfu(minutes(now_ms), grown(counter, log_factor, rng))
    }

    /// Whole seconds since the last access, under LRU.
    pub fn idle_seconds(self, now_ms: u64) -> u64 {
        u64::from(seconds(now_ms).wrapping_sub(self.0) & MASK)
    }

    /// The counter, decayed to `now_ms`, under LFU.
    pub fn freq(self, decay_minutes: u32, now_ms: u64) -> u8 {
        self.decayed(decay_minutes, now_ms) as u8
    }

    /// The three bytes in which an entry stores it.
    pub(crate) fn to_bytes(self) -> [u8; 3] {
        let [a, b, c, _] = self.0.to_le_bytes();
        [a, b, c]
    }

    /// The clock that [`Self::to_bytes`] wrote.
    pub(crate) fn from_bytes([a, b, c]: [u8; 3]) -> Self {
        Self(u32::from_le_bytes([a, b, c, 0]))
    }

    fn from_lfu(minute: u32, counter: u32) -> Self {
        Self(minute << 8 | counter)
    }

    fn decayed(self, decay_minutes: u32, now_ms: u64) -> u32 {
        let counter = self.0 & 0xFF;
        let elapsed = minutes(now_ms).wrapping_sub(self.0 >> 8) & 0xFFFF;
        counter.saturating_sub(elapsed.checked_div(decay_minutes).unwrap_or(0))
    }
}

/// Increments the counter with a probability that falls as it rises: 1 / ((counter - 5) × factor +
/// 1).
fn grown(counter: u32, log_factor: u32, rng: &mut Rng) -> u32 {
    if counter >= 255 {
        return 255;
    }
    let base = u64::from(counter.saturating_sub(LFU_INITIAL));
    let odds = base.saturating_mul(u64::from(log_factor)).saturating_add(1);
    counter + u32::from(rng.below(odds) == 0)
}

fn seconds(now_ms: u64) -> u32 {
    (now_ms / 1_000) as u32 & MASK
}

fn minutes(now_ms: u64) -> u32 {
    (now_ms / 60_000) as u32 & 0xFFFF
}

#[cfg(test)]
mod tests {
    use super::*;

    const LFU: AccessPolicy = AccessPolicy::Lfu { log_factor: 10, decay_minutes: 1 };

    #[test]
    fn idle_time_counts_seconds_and_survives_the_wrap_of_the_clock() {
        let mut rng = Rng::new(1);
        let clock = AccessClock::new(AccessPolicy::Lru, 5_000);
        assert_eq!(clock.idle_seconds(12_900), 7);
        assert_eq!(clock.touched(AccessPolicy::Lru, 12_000, &mut rng).idle_seconds(12_900), 0);
        let before_wrap = AccessClock::new(AccessPolicy::Lru, ((1 << 24) - 2) * 1_000);
        assert_eq!(before_wrap.idle_seconds(((1 << 24) + 3) * 1_000), 5);
        assert_eq!(AccessClock::idle_since(9_000, 20_000).idle_seconds(21_000), 10);
    }

    #[test]
    fn the_counter_grows_ever_slower_and_decays_by_the_minute() {
        let mut rng = Rng::new(1);
        let mut clock = AccessClock::new(LFU, 0);
        assert_eq!(clock.freq(1, 0), 5);
        clock = clock.touched(LFU, 0, &mut rng);
        assert_eq!(clock.freq(1, 0), 6);
        for _ in 0..100_000 {
            clock = clock.touched(LFU, 0, &mut rng);
        }
        let high = clock.freq(1, 0);
        // The documentation of Redis gives 142 for a factor of 10 and 100 000 accesses.
        assert!((130..155).contains(&high), "{high}");
        assert_eq!(clock.freq(1, 10 * 60_000), high - 10);
        assert_eq!(clock.freq(0, 10 * 60_000), high);
        assert_eq!(AccessClock::from_bytes(clock.to_bytes()), clock);
    }
}
