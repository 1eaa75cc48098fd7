//! Loads that redis-benchmark puts on a server, one row of the table each.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::median;
use super::server::{Server, pinned};

/// A row.
pub(crate) struct Load {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// The command: a test of redis-benchmark after `-t`, or words of its own.
    command: &'static [&'static str],
    /// Requests that a client sends before it reads.
    pipeline: u32,
    /// Keys to draw from; one key if it is not set.
    keys: Option<u64>,
    /// The most that the server's processor time may be, as a multiple of Redis's.
    pub(crate) goal: f64,
}

const ONE: Load = Load { name: "", command: &[], pipeline: 1, keys: None, goal: 0.9 };
const MANY: Load = Load { pipeline: 16, goal: 0.7, ..ONE };

/// Keys that the rows over random keys draw from.
const MILLION: Option<u64> = Some(1_000_000);

/// All rows, in the order in which they are printed.
pub(crate) const LOADS: &[Load] = &[
    Load { name: "GET", command: &["-t", "get"], ..ONE },
    Load { name: "SET", command: &["-t", "set"], ..ONE },
    Load { name: "GET, 1M keys", command: &["-t", "get"], keys: MILLION, ..ONE },
    Load { name: "SET, 1M keys", command: &["-t", "set"], keys: MILLION, ..ONE },
    Load { name: "GET -P 16", command: &["-t", "get"], ..MANY },
    Load { name: "SET -P 16", command: &["-t", "set"], ..MANY },
    Load { name: "GET -P 16, 1M keys", command: &["-t", "get"], keys: MILLION, ..MANY },
    Load { name: "SET -P 16, 1M keys", command: &["-t", "set"], keys: MILLION, ..MANY },
];

/// What one round of a load cost.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    /// User and system time of the server over operations done, in microseconds.
    pub(crate) cpu_us: f64,
    /// Operations a second, as redis-benchmark saw them.
    pub(crate) per_second: f64,
}

impl Measured {
    /// The medians of some rounds.
    pub(crate) fn median(rounds: Vec<Measured>) -> Measured {
        Measured {
            cpu_us: median(rounds.iter().map(|m| m.cpu_us).collect()),
            per_second: median(rounds.iter().map(|m| m.per_second).collect()),
        }
    }
}

impl Load {
    /// Bytes of a value.
    const VALUE: usize = 64;

    /// Puts the keys there that the load draws from, as redis-benchmark names them.
    pub(crate) fn prepare(&self, server: &Server) -> Result<()> {
        let value = [b'x'; Self::VALUE];
        server.fill(self.keys.unwrap_or(1), |key| format!("key:{key:012}"), &value)
    }

    /// One round.
    pub(crate) fn measure(
        &self,
        benchmark: &Path,
        server: &Server,
        quick: bool,
    ) -> Result<Measured> {
        // Some seconds of the server's time, since it is counted in hundredths.
        let operations: u64 = match (self.pipeline, quick) {
            (1, false) => 400_000,
            (1, true) => 100_000,
            (_, false) => 4_000_000,
            (_, true) => 1_000_000,
        };
        let mut command = pinned(benchmark, 1);
        command.args(["-h", "127.0.0.1", "-p", &server.port().to_string(), "-c", "50", "--csv"]);
        command.args(["-d", &Self::VALUE.to_string(), "-n", &operations.to_string()]);
        command.args(["-P", &self.pipeline.to_string()]);
        if let Some(keys) = self.keys {
            command.args(["-r", &keys.to_string()]);
        }
        command.args(self.command).stdin(Stdio::null()).stderr(Stdio::null());

        let before = server.cpu()?;
        let out = command.output().context("cannot start redis-benchmark")?;
        let cpu = server.cpu()?.saturating_sub(before);
        ensure!(out.status.success(), "redis-benchmark failed on {}", self.name);
        let per_second = per_second(&String::from_utf8_lossy(&out.stdout))?;
        Ok(Measured { cpu_us: micros(cpu) / operations as f64, per_second })
    }
}

/// The second column of the last line: `"GET","101010.10",…`.
fn per_second(csv: &str) -> Result<f64> {
    let line = csv.lines().last().context("redis-benchmark printed nothing")?;
    let column = line.split("\",\"").nth(1).with_context(|| format!("not a CSV line: {line}"))?;
    Ok(column.parse()?)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[test]
fn the_rate_is_read_off_the_last_line() {
    let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"101010.10\",\"0.273\"\n";
    assert_eq!(per_second(csv).unwrap(), 101_010.10);
}
