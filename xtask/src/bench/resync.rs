//! Measures full resyncs: how fast a new replica gets all data.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::server::{Server, encode};
use super::verdict::{Findings, Ratio, another};
use super::{Programs, median, order_of};

/// The longest time of a full resync, as a multiple of Redis's.
const GOAL: f64 = 1.0;

/// How long to wait for a resync.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The size of a value in bytes.
const VALUE: u64 = 1_000;

/// The ways of a resync, by a file or diskless, with the value of `repl-diskless-sync`.
const WAYS: [(&str, &str); 2] = [("by disk", "no"), ("diskless", "yes")];

/// The measurements of one resync.
#[derive(Clone, Copy)]
struct Measured {
    seconds: f64,
    /// CPU seconds of the primary (with its child) and of the replica.
    cpu: [f64; 2],
}

/// Prints the time of a full resync of `bytes` bytes. Returns the rows that missed their goal.
pub(crate) fn full(programs: &Programs, bytes: u64, rounds: usize) -> Result<Findings> {
    println!(
        "\nFull resync of {:.1} GB ({} M keys of {VALUE} bytes that do not compress), from REPLICAOF\n\
         until the replica's link is up and it has all keys; each with a replica of its own kind.",
        bytes as f64 / 1e9,
        bytes as f64 / VALUE as f64 / 1e6
    );
    println!(
        "{:28} {:>8} {:>8} {:>6} {:>11} {:>6}",
        "", "Limpid", "Redis", "ratio", "half within", "goal"
    );
    let keys = bytes / VALUE;
    let primaries = programs.start_free(&["--repl-diskless-sync-delay", "0"])?;
    for primary in &primaries {
        fill(primary, keys)?;
    }
    let mut found = Findings::default();
    for (name, diskless) in WAYS {
        let mut results = [Vec::new(), Vec::new()];
        let mut ratios = Vec::new();
        while another(ratios.len(), rounds, || vec![Ratio::of(&ratios).against(GOAL)]) {
            let mut seconds = [0.0; 2];
            for i in order_of(ratios.len()) {
                primaries[i].ask(&["CONFIG", "SET", "repl-diskless-sync", diskless])?;
                let replica = programs.start_one(i, &[])?;
                let measured = resync(&primaries[i], &replica, keys)?;
                seconds[i] = measured.seconds;
                results[i].push(measured);
            }
            ratios.push(seconds[0] / seconds[1]);
        }
        let of = |get: fn(&Measured) -> f64| {
            [&results[0], &results[1]].map(|rounds| median(rounds.iter().map(get).collect()))
        };
        let seconds = of(|m| m.seconds);
        let ratio = Ratio::of(&ratios);
        println!("{:28} {}", format!("{name}, s"), ratio.row(seconds, GOAL));
        found.note(&format!("resync {name}"), ratio.against(GOAL));
        for (who, cpu) in [("primary", of(|m| m.cpu[0])), ("replica", of(|m| m.cpu[1]))] {
            let ratio = cpu[0] / cpu[1];
            println!("  CPU of the {who:7}, s       {:>8.2} {:>8.2} {ratio:>6.2}", cpu[0], cpu[1]);
        }
    }
    Ok(found)
}

/// Sets keys with pseudo-random values, which do not compress.
fn fill(server: &Server, keys: u64) -> Result<()> {
    let mut value = vec![0; VALUE as usize];
    let mut state = 1u64;
    server.pipeline(keys, |key, batch| {
        for chunk in value.chunks_mut(8) {
            // Marsaglia's xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
        }
        encode(batch, &[b"SET", format!("key:{key:012}").as_bytes(), &value]);
    })
}

fn resync(primary: &Server, replica: &Server, keys: u64) -> Result<Measured> {
    let before = [primary.cpu()?, replica.cpu()?];
    let begin = Instant::now();
    replica.ask(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()])?;
    while replica.info("replication", "master_link_status")? != "up" {
        ensure!(begin.elapsed() < TIMEOUT, "no full resync within {TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    let seconds = begin.elapsed().as_secs_f64();
    let got: u64 = replica.ask(&["DBSIZE"])?.parse()?;
    ensure!(got == keys, "the replica has {got} of {keys} keys");
    // Waits until the primary has collected its child, so that its CPU time is counted.
    while primary.info("persistence", "rdb_bgsave_in_progress")? != "0" {
        std::thread::sleep(Duration::from_millis(10));
    }
    let cpu = [
        primary.cpu()?.saturating_sub(before[0]).as_secs_f64(),
        replica.cpu()?.saturating_sub(before[1]).as_secs_f64(),
    ];
    Ok(Measured { seconds, cpu })
}
