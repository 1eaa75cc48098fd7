//! The latency monitor: events that took longer than `latency-monitor-threshold`, with the newest
//! samples of each.

use std::collections::VecDeque;

use super::{Front, Service};
use crate::sorted::SortedMap;
use crate::time::Wall;

/// How many samples are kept per event.
const MAX_SAMPLES: usize = 160;

/// The latency spikes of all events, by event name.
#[derive(Clone, Debug, Default)]
pub struct LatencyMonitor {
    events: SortedMap<&'static str, Series>,
}

/// The latency spikes of one event, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Series {
    samples: VecDeque<Sample>,
    /// The longest spike in milliseconds since the event was reset.
    max: u64,
}

/// One latency spike. Spikes within the same second are merged, keeping the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Seconds since 1970.
    pub at: u64,
    /// How long it took.
    pub millis: u64,
}

/// LATENCY DOCTOR's analysis of one event. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Analysis {
    /// Number of spikes.
    pub spikes: usize,
    /// Their mean duration.
    pub mean: u64,
    /// Their mean absolute deviation.
    pub deviation: u64,
    /// Mean time between spikes, in seconds.
    pub period: f64,
    /// The longest spike ever.
    pub max: u64,
}

impl LatencyMonitor {
    /// Adds a spike.
    pub fn add(&mut self, event: &'static str, now: Wall, millis: u64) {
        let series = self.events.get_or_default(event);
        series.max = series.max.max(millis);
        let at = now.as_secs();
        match series.samples.back_mut() {
            Some(last) if last.at == at => last.millis = last.millis.max(millis),
            _ => {
                if series.samples.len() == MAX_SAMPLES {
                    series.samples.pop_front();
                }
                series.samples.push_back(Sample { at, millis });
            }
        }
    }

    /// All events in the order of their names.
    pub fn events(&self) -> impl ExactSizeIterator<Item = (&'static str, &Series)> {
        self.events.iter().map(|(name, series)| (*name, series))
    }

    /// The series of an event.
    pub fn event(&self, name: &[u8]) -> Option<&Series> {
        let found = self.events.iter().find(|(event, _)| event.as_bytes() == name);
        found.map(|(_, series)| series)
    }

    /// Forgets an event. False if there was none.
    pub fn reset(&mut self, name: &[u8]) -> bool {
        let before = self.events.len();
        self.events.retain(|event, _| event.as_bytes() != name);
        self.events.len() < before
    }

    /// Forgets all events. Returns how many.
    pub fn reset_all(&mut self) -> usize {
        let count = self.events.len();
        self.events.clear();
        count
    }
}

impl Series {
    /// The samples, oldest first.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Sample> {
        self.samples.iter().copied()
    }

    /// The newest sample.
    pub fn last(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    /// The longest spike ever, in milliseconds.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The shortest and the longest of the kept samples, in milliseconds.
    pub fn range(&self) -> (u64, u64) {
        let millis = || self.samples.iter().map(|sample| sample.millis);
        (millis().min().unwrap_or_default(), millis().max().unwrap_or_default())
    }

    /// Analyses the samples at the time `now`.
    pub fn analysis(&self, now: Wall) -> Analysis {
        let count = self.samples.len().max(1) as u64;
        let millis = || self.samples.iter().map(|sample| sample.millis);
        let mean = millis().sum::<u64>() / count;
        let first = self.samples.front().map_or(0, |sample| sample.at);
        Analysis {
            spikes: self.samples.len(),
            mean,
            deviation: millis().map(|one| one.abs_diff(mean)).sum::<u64>() / count,
            period: now.as_secs().saturating_sub(first) as f64 / count as f64,
            max: self.max,
        }
    }
}

impl<S: Service> Front<S> {
    /// The duration in nanoseconds that counts as a spike, if monitoring is on.
    #[inline]
    pub(crate) fn latency_threshold(&self) -> Option<u64> {
        let millis = self.settings().latency_monitor_threshold;
        (millis > 0).then(|| millis.saturating_mul(1_000_000))
    }

    /// Records an event of this duration in nanoseconds if it is a spike.
    #[inline]
    pub(crate) fn note_latency(&mut self, event: &'static str, took: u64) {
        if self.latency_threshold().is_some_and(|least| took >= least) {
            self.latency.add(event, self.now.1, took / 1_000_000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Wall {
        Wall::from_millis(secs * 1000)
    }

    #[test]
    fn only_the_longest_spike_of_a_second_is_kept() {
        let mut monitor = LatencyMonitor::default();
        for (secs, millis) in [(10, 30), (10, 50), (10, 40), (12, 20)] {
            monitor.add("command", at(secs), millis);
        }
        let series = monitor.event(b"command").expect("an event");
        let samples: Vec<_> = series.samples().map(|s| (s.at, s.millis)).collect();
        assert_eq!(samples, [(10, 50), (12, 20)]);
        assert_eq!((series.range(), series.max()), ((20, 50), 50));
        let told = series.analysis(at(20));
        assert_eq!((told.spikes, told.mean, told.deviation, told.period), (2, 35, 15, 5.0));
    }

    #[test]
    fn old_samples_are_dropped_and_the_maximum_stays() {
        let mut monitor = LatencyMonitor::default();
        monitor.add("command", at(1), 900);
        for secs in 0..MAX_SAMPLES as u64 {
            monitor.add("command", at(10 + secs), 30);
        }
        let series = monitor.event(b"command").expect("an event");
        assert_eq!((series.samples().len(), series.range(), series.max()), (160, (30, 30), 900));
        assert!(monitor.reset(b"command") && !monitor.reset(b"command"));
    }
}
