//! `--latency`, `--latency-history` and `--intrinsic-latency`.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use limpid_core::client::Output;
use signal_hook::consts::SIGINT;

use super::client::{Client, strerror};
use super::options::Options;
use super::{fail, format, print, stat};

/// The pause between two samples.
const SAMPLE_PAUSE: Duration = Duration::from_millis(10);

/// How long `--latency-history` samples for one line of output.
const RANGE: Duration = Duration::from_secs(15);

#[derive(Default)]
struct Samples {
    min: u128,
    max: u128,
    total: u128,
    count: u128,
}

impl Samples {
    fn add(&mut self, millis: u128) {
        self.min = if self.count == 0 { millis } else { self.min.min(millis) };
        self.max = self.max.max(millis);
        self.total += millis;
        self.count += 1;
    }

    fn print(&self, output: Output) {
        let Samples { min, max, total, count } = self;
        let avg = *total as f64 / (*count).max(1) as f64;
        print(&match output {
            Output::Standard => format!("min: {min}, max: {max}, avg: {avg:.2} ({count} samples)"),
            Output::Csv => format!("{min},{max},{avg:.2},{count}\n"),
            Output::Raw => format!("{min} {max} {avg:.2} {count}\n"),
            Output::Json | Output::QuotedJson => format!(
                "{{\"min\": {min}, \"max\": {max}, \"avg\": {avg:.2}, \"count\": {count}}}\n"
            ),
        });
    }
}

/// Measures the latency of PING: without end at a terminal, otherwise for one interval.
pub(super) fn sample(client: &mut Client, options: &Options) -> i32 {
    let output = format(options).output;
    let asked = Some(options.interval).filter(|interval| !interval.is_zero());
    let (range, until) = (asked.unwrap_or(RANGE), asked.unwrap_or(Duration::from_secs(1)));
    let mut samples = Samples::default();
    let mut start = Instant::now();
    loop {
        let sent = Instant::now();
        if let Err(error) = stat::ask(client, options, &["PING"]) {
            return fail(&format!("\nI/O error: {}", strerror(&error)));
        }
        samples.add(sent.elapsed().as_millis());
        if output == Output::Standard {
            print("\x1b[0G\x1b[2K");
            samples.print(output);
        } else if options.latency_history {
            samples.print(output);
        } else if start.elapsed() > until {
            samples.print(output);
            return 0;
        }
        if options.latency_history && start.elapsed() > range {
            print(&format!(" -- {:.2} seconds range\n", start.elapsed().as_secs_f64()));
            start = Instant::now();
            samples = Samples::default();
        }
        std::thread::sleep(SAMPLE_PAUSE);
    }
}

/// Measures the longest time that a short computation takes on this machine: the latency that the
/// operating system adds to any server.
pub(super) fn intrinsic(seconds: u64) -> i32 {
    let cancelled = Arc::new(AtomicBool::new(false));
    // If Ctrl-C cannot be caught, it ends the program, which is acceptable.
    let _ = signal_hook::flag::register(SIGINT, Arc::clone(&cancelled));
    let duration = Duration::from_secs(seconds);
    let begin = Instant::now();
    let (mut worst, mut runs) = (Duration::ZERO, 0u64);
    loop {
        let start = Instant::now();
        short_computation();
        let took = start.elapsed();
        runs += 1;
        if took.as_micros() > worst.as_micros() {
            worst = took;
            print(&format!("Max latency so far: {} microseconds.\n", worst.as_micros()));
        }
        if begin.elapsed() > duration || cancelled.load(Ordering::Relaxed) {
            let average = begin.elapsed().as_secs_f64() * 1e6 / runs as f64;
            print(&format!(
                "\n{runs} total runs (avg latency: {average:.4} microseconds / {:.2} nanoseconds \
                 per run).\nWorst run took {:.0}x longer than the average latency.\n",
                average * 1e3,
                worst.as_secs_f64() * 1e6 / average
            ));
            return 0;
        }
    }
}

fn short_computation() {
    let mut x = black_box(1u32);
    for i in 0..1_000 {
        x = black_box(x.rotate_left(5) ^ i);
    }
}
