//! Kills a server repeatedly under load, and checks that acknowledged writes are kept.
//!
//! Data in the page cache survives the process, so with any policy all acknowledged writes must be
//! there: also during rewrites, and with values too long to be written between two requests.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use limpid_core::resp::value::Value;
use limpid_core::rng::Rng;

use crate::client::Client;
use crate::process::{PATIENCE, Process};

/// The number of writing connections.
const WRITERS: usize = 3;

/// The length in bytes of the long values that one of the writers also sets.
const LONG: usize = 100_000;

/// The statistics of a run.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    /// Acknowledged transactions.
    pub acknowledged: u64,
    /// Requested rewrites.
    pub rewrites: u64,
}

/// Kills a server `count` times at random moments. `policy` is a value of `appendfsync`.
///
/// Each writer increments a counter and appends the number to a list, in one transaction. After a
/// restart the two must agree, and have at least the acknowledged numbers.
pub fn run(policy: &str, count: u64, seed: u64) -> Result<Outcome, String> {
    let directives = ["--appendonly", "yes", "--appendfsync", policy, "--save", ""];
    let sizes = ["--auto-aof-rewrite-min-size", "256kb"];
    let mut server = Process::server(&[&directives[..], &sizes].concat());
    let mut rng = Rng::new(seed);
    let mut outcome = Outcome::default();
    for n in 0..count {
        let mut control = Client::new(server.connect());
        let before = (0..WRITERS)
            .map(|writer| counted(&mut control, writer))
            .collect::<Result<Vec<u64>, String>>()?;
        // The last acknowledged number of each writer.
        let acks: Vec<AtomicU64> = before.iter().map(|number| AtomicU64::new(*number)).collect();
        let stop = AtomicBool::new(false);
        let longest = if policy == "everysec" && rng.chance(0.3) { 2_500 } else { 400 };
        let patience = Duration::from_millis(rng.below(longest));
        let at = server.address();
        std::thread::scope(|scope| {
            for (writer, acks) in acks.iter().enumerate() {
                let (stop, mut rng) = (&stop, Rng::new(rng.u64()));
                scope.spawn(move || {
                    let Ok(stream) = TcpStream::connect(at) else { return };
                    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                    write(&mut Client::new(stream), writer, acks, stop, &mut rng);
                });
            }
            let rewrites = rng.chance(0.5);
            let until = Instant::now() + patience;
            while rewrites && Instant::now() < until {
                // Most of the time a rewrite is starting or ending.
                outcome.rewrites += 1;
                control.call(&["BGREWRITEAOF"]);
            }
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        server.restart(true);
        let mut control = Client::new(server.connect());
        for (writer, acks) in acks.iter().enumerate() {
            let owed = acks.load(Ordering::Relaxed);
            let kept = counted(&mut control, writer)
                .map_err(|why| format!("kill {n}, seed {seed}: {why}"))?;
            outcome.acknowledged += owed - before[writer];
            if kept < owed {
                let told = server.output();
                return Err(format!(
                    "kill {n}, seed {seed}: of writer {writer} {kept} of {owed} transactions are \
                     left\n{told}"
                ));
            }
        }
        for writer in 0..WRITERS {
            // Deletes the data, so that the next start loads little.
            control.call(&["DEL".into(), format!("list:{writer}")]);
        }
    }
    Ok(outcome)
}

/// The last number of a writer, according to the server's data.
fn counted(control: &mut Client, writer: usize) -> Result<u64, String> {
    let mut ask = |args: &[String]| match control.call(args) {
        Value::Integer(n) => Ok(n.unsigned_abs()),
        Value::Bulk(text) => {
            Ok(String::from_utf8_lossy(&text).parse().map_err(|_| format!("{text:?}"))?)
        }
        Value::Null => Ok(0),
        other => Err(format!("{args:?} gave {other:?}")),
    };
    let number = ask(&["GET".into(), format!("number:{writer}")])?;
    let last = ask(&["LINDEX".into(), format!("list:{writer}"), "-1".into()])?;
    let fields = ask(&["HGET".into(), format!("hash:{writer}"), "number".into()])?;
    if (last != 0 && last != number) || fields != number {
        return Err(format!(
            "half a transaction: {number}, {last} in the list, {fields} in the hash"
        ));
    }
    Ok(number)
}

/// Sends transactions, several at a time, until the connection ends.
fn write(client: &mut Client, writer: usize, acks: &AtomicU64, stop: &AtomicBool, rng: &mut Rng) {
    let mut number = acks.load(Ordering::Relaxed);
    let long = if writer == 0 { "x".repeat(LONG) } else { String::new() };
    while !stop.load(Ordering::Relaxed) {
        let batch = 1 + rng.below(8);
        for n in number + 1..=number + batch {
            client.send(&["MULTI"]);
            client.send(&["SET", &format!("number:{writer}"), &n.to_string()]);
            client.send(&["RPUSH", &format!("list:{writer}"), &n.to_string()]);
            client.send(&["HSET", &format!("hash:{writer}"), "number", &n.to_string()]);
            client.send(&["SET", &format!("long:{writer}"), &long]);
            client.send(&["EXEC"]);
        }
        for n in number + 1..=number + batch {
            for _ in 0..5 {
                if client.read().is_none() {
                    return;
                }
            }
            let Some(reply) = client.read() else { return };
            assert!(!reply.value.is_error(), "{reply:?}");
            acks.store(n, Ordering::Relaxed);
        }
        number += batch;
    }
}
