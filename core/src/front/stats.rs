//! Statistics: counters and rates of a program that serves clients.

use crate::sorted::SortedMap;
use crate::time::{Duration, Mono};

/// Counters and rates. CONFIG RESETSTAT resets them.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Stats {
    pub connections_received: u64,
    pub rejected_connections: u64,
    pub commands_processed: u64,
    pub net_input: u64,
    pub net_output: u64,
    pub reads: u64,
    pub writes: u64,
    pub error_replies: u64,
    pub query_limit_disconnections: u64,
    pub output_limit_disconnections: u64,
    pub longest_input: usize,
    pub longest_output: usize,
    pub memory_peak: u64,
    pub evicted_keys: u64,
    pub evicted_clients: u64,
    pub denied_logins: u64,
    pub denied_commands: u64,
    pub denied_keys: u64,
    pub denied_channels: u64,
    /// Event-loop cycles: one for each input.
    pub cycles: Cycles,
    /// How often each error code was sent.
    pub errors: SortedMap<String, u64>,
    /// Whether the next error has already been counted where it arose.
    counted: bool,
    commands: Vec<CommandStats>,
    rates: Rates,
}

/// Counters of event-loop cycles, of which there is one for each input. Times are in nanoseconds.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Cycles {
    pub count: u64,
    pub took: u64,
    pub longest: u64,
    /// Time spent on commands, and on periodic tasks.
    pub commands_took: u64,
    pub cron_took: u64,
    pub most_commands: u64,
}

impl Cycles {
    /// Counts one cycle: its number of commands, the time until they had been executed, and its
    /// whole duration.
    #[inline]
    pub fn count(&mut self, commands: u64, commands_took: u64, took: u64) {
        self.count += 1;
        self.took += took;
        self.longest = self.longest.max(took);
        self.commands_took += commands_took;
        self.cron_took += took.saturating_sub(commands_took);
        self.most_commands = self.most_commands.max(commands);
    }
}

/// Statistics of one command.
#[derive(Clone, Debug, Default)]
pub struct CommandStats {
    /// Number of calls.
    pub calls: u64,
    /// CPU time in nanoseconds.
    pub took: u64,
    /// Calls that were refused before the handler was called.
    pub rejected: u64,
    /// Calls that failed with an error.
    pub failed: u64,
    /// Distribution of the durations, if it is tracked.
    pub histogram: Option<Box<Histogram>>,
}

/// How many error codes are counted separately, since clients can invent codes.
const MAX_ERRORS: usize = 128;

impl Stats {
    /// Statistics for a table of this many commands.
    pub fn new(commands: usize) -> Self {
        let mut stats = Self::default();
        stats.commands.resize_with(commands, Default::default);
        stats
    }

    /// The statistics of a command, by its id.
    #[inline]
    pub fn command(&mut self, id: u16) -> &mut CommandStats {
        &mut self.commands[usize::from(id)]
    }

    /// The statistics of all commands, in the order of the table.
    pub fn commands(&self) -> &[CommandStats] {
        &self.commands
    }

    /// Counts one call and its duration in nanoseconds.
    #[inline(always)]
    pub fn called(&mut self, id: u16, took: u64, failed: bool, tracked: bool) {
        self.commands_processed += 1;
        let stats = self.command(id);
        stats.calls += 1;
        stats.took += took;
        stats.failed += u64::from(failed);
        if tracked {
            stats.histogram.get_or_insert_default().record(took);
        }
    }

    /// Sets whether the next error has already been counted where it arose.
    pub(crate) fn set_counted(&mut self, counted: bool) {
        self.counted = counted;
    }

    /// Counts an error by the code at the start of its text.
    pub(crate) fn error_text(&mut self, text: &[u8]) {
        let code = text.split(|c| *c == b' ').next().unwrap_or_default();
        self.error(std::str::from_utf8(code).unwrap_or("ERR"));
    }

    /// Counts an error reply by its code.
    pub fn error(&mut self, code: &str) {
        if core::mem::take(&mut self.counted) {
            return;
        }
        self.error_replies += 1;
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() < MAX_ERRORS {
            self.errors.insert(code.to_owned(), 1);
        }
    }

    /// Takes a sample for the rates if one is due.
    #[inline]
    pub fn sample(&mut self, now: Mono) {
        if now >= self.rates.next {
            self.rates.sample(now, self.totals());
        }
    }

    /// The totals from which the rates are computed.
    fn totals(&self) -> [u64; 5] {
        // In thousandths, so that few cycles per second do not round to nothing.
        let cycles = self.cycles.count.saturating_mul(1000);
        [self.commands_processed, self.net_input, self.net_output, cycles, self.cycles.took]
    }

    /// Commands, bytes in, bytes out, thousandths of cycles and nanoseconds of work per second,
    /// averaged over the last 1.6 seconds.
    pub fn rates(&self, now: Mono) -> [u64; 5] {
        let mut rates = self.rates.clone();
        if now >= rates.next {
            rates.sample(now, self.totals());
        }
        rates.mean()
    }

    /// Resets everything.
    pub fn reset(&mut self) {
        let (rates, memory_peak) = (core::mem::take(&mut self.rates), self.memory_peak);
        *self = Stats { memory_peak, ..Stats::new(self.commands.len()) };
        self.rates.next = rates.next;
        self.rates.taken = rates.taken;
    }
}

/// The rates of the last sixteen samples, each over 100 ms.
#[derive(Clone, Debug, Default)]
struct Rates {
    samples: [[u64; 5]; Rates::SAMPLES],
    at: usize,
    totals: [u64; 5],
    taken: Mono,
    next: Mono,
}

impl Rates {
    const SAMPLES: usize = 16;
    const PERIOD: Duration = Duration::from_millis(100);

    #[cold]
    fn sample(&mut self, now: Mono, totals: [u64; 5]) {
        let elapsed = now.since(self.taken);
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
        let mut sample = [0; 5];
        for ((rate, total), before) in sample.iter_mut().zip(totals).zip(self.totals) {
            let per = u128::from(total.saturating_sub(before)) * 1_000_000 / u128::from(micros);
            *rate = u64::try_from(per).unwrap_or(u64::MAX);
        }
        // An idle program is not woken to take samples, so one sample may count for several
        // periods.
        let periods = (micros / 100_000).clamp(1, Self::SAMPLES as u64);
        for _ in 0..periods {
            self.samples[self.at] = sample;
            self.at = (self.at + 1) % Self::SAMPLES;
        }
        self.totals = totals;
        self.taken = now;
        self.next = now + Self::PERIOD;
    }

    fn mean(&self) -> [u64; 5] {
        let mut sums = [0u64; 5];
        for sample in &self.samples {
            for (sum, rate) in sums.iter_mut().zip(sample) {
                *sum = sum.saturating_add(*rate);
            }
        }
        sums.map(|sum| sum / Self::SAMPLES as u64)
    }
}

/// A histogram of durations whose buckets are at most 1/128 wide.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: Vec<u32>,
    total: u64,
}

impl Histogram {
    const MAX: u64 = 1_000_000_000;

    /// Counts one duration, clamped to between a nanosecond and a second.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        let class = Self::class(nanos.clamp(1, Self::MAX));
        if class >= self.counts.len() {
            self.make_room(class);
        }
        self.counts[class] = self.counts[class].saturating_add(1);
        self.total += 1;
    }

    #[cold]
    fn make_room(&mut self, class: usize) {
        self.counts.resize(class + 1, 0);
    }

    /// Number of durations.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The duration in nanoseconds that `percent` of all durations do not exceed.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = ((percent / 100.0 * self.total as f64) + 0.5) as u64;
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted.max(1) {
                return Self::highest(class);
            }
        }
        0
    }

    /// How many durations do not exceed the bucket of each power of two nanoseconds, starting at
    /// 1024, for those powers at which the count grows, with the upper bound of the bucket.
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        let (mut power, mut seen, mut told) = (1024u64, 0u64, 0u64);
        for (class, count) in self.counts.iter().enumerate() {
            while class > Self::class(power) {
                if seen > told {
                    out.push((Self::highest(Self::class(power)), seen));
                    told = seen;
                }
                power *= 2;
            }
            seen += u64::from(*count);
        }
        if seen > told {
            out.push((Self::highest(Self::class(power)), seen));
        }
        out
    }

    /// Values up to 255 have a bucket each; above, each power of two has 128 buckets.
    fn class(nanos: u64) -> usize {
        let shift = (64 - nanos.leading_zeros()).saturating_sub(8);
        ((u64::from(shift) << 7) + (nanos >> shift)) as usize
    }

    fn highest(class: usize) -> u64 {
        let class = class as u64;
        if class < 256 {
            return class;
        }
        let shift = (class >> 7) - 1;
        ((class - (shift << 7) + 1) << shift) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_within_a_hundredth() {
        let mut histogram = Histogram::default();
        for micros in 1..=1000u64 {
            histogram.record(micros * 1000);
        }
        for (percent, micros) in [(50.0, 500.0), (99.0, 990.0), (99.9, 999.0), (100.0, 1000.0)] {
            let got = histogram.percentile(percent) as f64 / 1000.0;
            assert!((got / micros - 1.0).abs() < 0.01, "{percent}: {got}");
        }
        let last = *histogram.cumulative().last().expect("some");
        assert_eq!(last, ((1 << 20) + (1 << 13) - 1, 1000));
    }

    #[test]
    fn rates_fall_to_nothing_when_nothing_happens() {
        let mut stats = Stats::default();
        let at = |ms: u64| Mono(ms * 1_000_000);
        for tenth in 1..=20 {
            stats.commands_processed += 50;
            stats.sample(at(tenth * 100));
        }
        assert_eq!(stats.rates(at(2000))[0], 500);
        assert_eq!(stats.rates(at(20_000))[0], 0);
    }
}
