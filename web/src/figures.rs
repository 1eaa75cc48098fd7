//! Formatting of durations, counts, sizes and speeds for people.

use core::time::Duration;

use crate::i18n::Locale;

/// A duration in a suitable unit: `820 µs`, `10 ms`, `1.5 s`.
pub(crate) fn duration(d: Duration) -> String {
    let ns = d.as_nanos();
    let (value, unit) = match ns {
        0 => return "0 s".to_owned(),
        1..1_000 => (ns as f64, "ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    format!("{} {unit}", three_figures(value))
}

/// A moment of virtual time, to the microsecond below ten seconds and to the millisecond above.
pub(crate) fn moment(ns: u64) -> String {
    let secs = ns / 1_000_000_000;
    let rest = ns % 1_000_000_000;
    match secs {
        0..60 => {
            format!("{secs}.{:03}\u{202f}{:03}\u{a0}s", rest / 1_000_000, rest / 1_000 % 1_000)
        }
        60..3_600 => format!("{}:{:02}.{:03}", secs / 60, secs % 60, rest / 1_000_000),
        _ => format!("{}:{:02}:{:02}", secs / 3_600, secs / 60 % 60, secs % 60),
    }
}

/// A moment while time runs: digits that change too fast to be read are left out.
pub(crate) fn passing(ns: u64) -> String {
    match ns / 1_000_000_000 {
        secs @ 0..60 => format!("{secs}.{:03}\u{a0}s", ns / 1_000_000 % 1_000),
        _ => moment(ns),
    }
}

/// A count with thin spaces between thousands.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A number of bytes in a suitable unit.
pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..1_024 => format!("{n} B"),
        1_024..1_048_576 => format!("{} KiB", three_figures(n as f64 / 1_024.0)),
        _ => format!("{} MiB", three_figures(n as f64 / 1_048_576.0)),
    }
}

/// A number with at most three significant figures, without trailing zeros.
fn three_figures(value: f64) -> String {
    let places = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The speed of virtual time, on a scale of steps 1, 2, 5.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Speed(u8);

impl Speed {
    /// The number of steps on the scale, from 100 µs to 10 s of virtual time per second.
    pub(crate) const STEPS: u8 = 16;

    /// The speed at a step; the fastest for higher steps.
    pub(crate) fn step(step: u8) -> Self {
        Speed(step.min(Self::STEPS - 1))
    }

    /// The number of the step.
    pub(crate) fn index(self) -> u8 {
        self.0
    }

    /// The step nearest to an amount of virtual time per second.
    pub(crate) fn nearest(there: Duration) -> Self {
        let wanted = (there.as_nanos() as f64).max(1.0);
        // On a logarithmic scale the nearest step has the smallest ratio.
        let ratio = |step: &u8| {
            let speed = Speed(*step).a_second().as_nanos() as f64;
            (speed / wanted).max(wanted / speed)
        };
        let best = (0..Self::STEPS).min_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        Speed(best.unwrap_or_default())
    }

    /// The virtual time that passes in one second of real time.
    pub(crate) fn a_second(self) -> Duration {
        let factor = [1, 2, 5][usize::from(self.0 % 3)];
        Duration::from_nanos(factor * 100_000 * 10u64.pow(u32::from(self.0 / 3)))
    }

    /// How much slower or faster virtual time is than real time, as text.
    pub(crate) fn pace(self, locale: Locale) -> String {
        let there = self.a_second().as_secs_f64();
        let (text, factor) = match there {
            1.0 => return locale.say(words::REAL_TIME).to_owned(),
            there if there < 1.0 => (words::SLOWER, 1.0 / there),
            there => (words::FASTER, there),
        };
        locale.fill(text, &[("n", &count(factor.round() as u64))])
    }

    /// The virtual time that passes in `seconds` of real time.
    pub(crate) fn in_seconds(self, seconds: f64) -> Duration {
        self.a_second().mul_f64(seconds.clamp(0.0, 1e6))
    }
}

mod words {
    crate::i18n::texts! {
        SLOWER: "{n}× slower", "慢 {n} 倍";
        FASTER: "{n}× faster", "快 {n} 倍";
        REAL_TIME: "real time", "实时";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let cases = [
            (0, "0 s"),
            (350, "350 ns"),
            (820_000, "820 µs"),
            (1_250_000, "1.25 ms"),
            (10_000_000, "10 ms"),
            (100_000_000, "100 ms"),
            (1_500_000_000, "1.5 s"),
            (120_000_000_000, "120 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(Duration::from_nanos(ns)), text);
        }
    }

    #[test]
    fn moments_and_counts_read_well() {
        assert_eq!(moment(1_234_567_890), "1.234\u{202f}567\u{a0}s");
        assert_eq!(passing(1_234_567_890), "1.234\u{a0}s");
        assert_eq!(moment(75_003_000_000), "1:15.003");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(12), "12");
        assert_eq!(bytes(1_536), "1.5 KiB");
    }

    #[test]
    fn speeds_are_told_as_people_do() {
        let pace = |ms| Speed::nearest(Duration::from_millis(ms)).pace(Locale::En);
        assert_eq!(pace(50), "20× slower");
        assert_eq!(pace(1_000), "real time");
        assert_eq!(pace(10_000), "10× faster");
        assert_eq!(Speed::step(0).pace(Locale::Zh), "慢 10\u{202f}000 倍");
    }

    #[test]
    fn speeds_are_logarithmic_and_found_again() {
        assert_eq!(Speed::step(0).a_second(), Duration::from_micros(100));
        assert_eq!(Speed::step(200).a_second(), Duration::from_secs(10));
        for step in 0..Speed::STEPS {
            assert_eq!(Speed::nearest(Speed::step(step).a_second()), Speed::step(step));
        }
        assert_eq!(Speed::nearest(Duration::from_millis(11)).a_second(), Duration::from_millis(10));
    }
}
