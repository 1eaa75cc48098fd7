//! How fast a new replica gets all data.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::server::{Server, encode};
use super::{Programs, median};

/// The most that a full resync may take, as a multiple of Redis's.
const GOAL: f64 = 1.0;

/// How long it may take at all.
const PATIENCE: Duration = Duration::from_secs(300);

/// Bytes of a value.
const VALUE: u64 = 1_000;

/// Whether there is a file on the way, as the options say it.
const WAYS: [(&str, &str); 2] = [("by disk", "no"), ("diskless", "yes")];

/// What one resync took.
#[derive(Clone, Copy)]
struct Measured {
    seconds: f64,
    /// Processor seconds of the primary, with its child's, and of the replica.
    cpu: [f64; 2],
}

/// Prints what a full resync of so many bytes takes. Gives what missed its goal.
pub(crate) fn full(programs: &Programs, bytes: u64, rounds: usize) -> Result<Vec<String>> {
    println!(
        "\nFull resync of {:.1} GB ({} M keys of {VALUE} bytes that do not compress), from REPLICAOF\n\
         until the replica's link is up and it has all keys; each with a replica of its own kind.",
        bytes as f64 / 1e9,
        bytes as f64 / VALUE as f64 / 1e6
    );
    println!("{:28} {:>8} {:>8} {:>6} {:>5}", "", "Limpid", "Redis", "ratio", "goal");
    let keys = bytes / VALUE;
    let primaries = programs.start_free(&["--repl-diskless-sync-delay", "0"])?;
    for primary in &primaries {
        fill(primary, keys)?;
    }
    let mut missed = Vec::new();
    for (name, diskless) in WAYS {
        let mut results = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for i in order {
                primaries[i].ask(&["CONFIG", "SET", "repl-diskless-sync", diskless])?;
                let replica = programs.start_one(i, &[])?;
                results[i].push(resync(&primaries[i], &replica, keys)?);
            }
        }
        let of = |get: fn(&Measured) -> f64| {
            [&results[0], &results[1]].map(|rounds| median(rounds.iter().map(get).collect()))
        };
        let seconds = of(|m| m.seconds);
        let ratio = seconds[0] / seconds[1];
        let mark = if ratio <= GOAL { ' ' } else { '!' };
        println!(
            "{:28} {:>8.2} {:>8.2} {ratio:>6.2}{mark}{GOAL:>5.1}",
            format!("{name}, s"),
            seconds[0],
            seconds[1]
        );
        for (who, cpu) in [("primary", of(|m| m.cpu[0])), ("replica", of(|m| m.cpu[1]))] {
            let ratio = cpu[0] / cpu[1];
            println!("  CPU of the {who:7}, s       {:>8.2} {:>8.2} {ratio:>6.2}", cpu[0], cpu[1]);
        }
        if ratio > GOAL {
            missed.push(format!("resync {name}"));
        }
    }
    Ok(missed)
}

/// Sets keys with values that look random.
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
        ensure!(begin.elapsed() < PATIENCE, "no full resync within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    let seconds = begin.elapsed().as_secs_f64();
    let got: u64 = replica.ask(&["DBSIZE"])?.parse()?;
    ensure!(got == keys, "the replica has {got} of {keys} keys");
    // The child of the primary has ended, but it may not have been told of yet.
    while primary.info("persistence", "rdb_bgsave_in_progress")? != "0" {
        std::thread::sleep(Duration::from_millis(10));
    }
    let cpu = [
        primary.cpu()?.saturating_sub(before[0]).as_secs_f64(),
        replica.cpu()?.saturating_sub(before[1]).as_secs_f64(),
    ];
    Ok(Measured { seconds, cpu })
}
