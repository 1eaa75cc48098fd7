//! Measures a growing keyspace: memory per key, and how long other clients wait meanwhile.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::server::{Server, pinned};
use super::{Programs, median};

/// The highest growth of resident memory per key, in bytes.
const MEMORY_GOAL: f64 = 115.0;

/// The longest turn of the machine, in milliseconds.
const STALL_GOAL: f64 = 5.0;

const VALUE: [u8; 64] = [b'x'; 64];

/// Prints the memory per key for a million keys. Returns the row if it missed its goal.
pub(crate) fn memory(programs: &Programs, rounds: usize) -> Result<Option<String>> {
    const KEYS: u64 = 1_000_000;
    let mut results = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (i, server) in programs.start()?.iter().enumerate() {
            let before = server.resident()?;
            server.fill(KEYS, |key| format!("key:{key}"), &VALUE)?;
            let grown = server.resident()?.saturating_sub(before);
            results[i].push(grown as f64 / KEYS as f64);
        }
    }
    let [limpid, redis] = results.map(median);
    let mark = if limpid <= MEMORY_GOAL { ' ' } else { '!' };
    println!(
        "\n{:22} {:>8} {:>8} {:>6} {:>5}\n{:22} {limpid:>8.1} {redis:>8.1} {:>6.2}{mark}{MEMORY_GOAL:>5}",
        "memory, bytes/key",
        "Limpid",
        "Redis",
        "ratio",
        "goal",
        "1M keys, 64 B values",
        limpid / redis
    );
    Ok((limpid > MEMORY_GOAL).then(|| "memory".to_owned()))
}

/// Adds keys and prints the longest wait of another client. Returns the row if it missed its goal.
pub(crate) fn stall(programs: &Programs, keys: u64) -> Result<Option<String>> {
    let mut waits = Vec::new();
    for (program, first) in [(&programs.limpid, &["server"][..]), (&programs.redis, &[])] {
        waits.push(longest_wait(&Server::start(program, first)?, keys)?.as_secs_f64() * 1e3);
    }
    // The goal is about a turn of the machine, since waits also depend on what else this computer
    // does.
    let out = pinned(&programs.measure, 0).args(["turns", &keys.to_string()]).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let turn = String::from_utf8_lossy(&out.stdout).trim().parse::<f64>()? / 1e3;

    let title = format!("while {} M keys come", keys / 1_000_000);
    let mark = if turn <= STALL_GOAL { ' ' } else { '!' };
    println!("\n{title:22} {:>8} {:>8} {:>6} {:>5}", "Limpid", "Redis", "", "goal");
    println!("{:22} {turn:>8.2} {:>8} {:>6}{mark}{STALL_GOAL:>5}", "longest turn, ms CPU", "", "");
    println!("{:22} {:>8.2} {:>8.2}", "longest PING, ms", waits[0], waits[1]);
    Ok((turn > STALL_GOAL).then(|| "stall".to_owned()))
}

/// The longest time that a PING of another client takes while keys are added.
fn longest_wait(server: &Server, keys: u64) -> Result<Duration> {
    let mut stream = server.connect()?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pinger = scope.spawn(|| -> Result<Duration> {
            let (mut longest, mut reply) = (Duration::ZERO, [0; 7]);
            while !done.load(Ordering::Relaxed) {
                let start = Instant::now();
                stream.write_all(b"PING\r\n")?;
                stream.read_exact(&mut reply)?;
                ensure!(&reply == b"+PONG\r\n", "PING was answered with {reply:?}");
                longest = longest.max(start.elapsed());
                // Pauses, since a wait is measured and no load is wanted.
                std::thread::sleep(Duration::from_micros(200));
            }
            Ok(longest)
        });
        let filled = server.fill(keys, |key| format!("key:{key}"), &VALUE);
        done.store(true, Ordering::Relaxed);
        let longest = pinger.join().ok().context("the pinger panicked")?;
        filled.and(longest)
    })
}
