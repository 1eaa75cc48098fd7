//! A soak test: a primary and a replica under load, with cut links and restarts of both; in the end
//! both must have the same data.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use limpid_core::resp::value::Value;
use limpid_core::rng::Rng;

use crate::client::{Client, field};
use crate::process::{Kind, PATIENCE, Process};
use crate::proxy::Proxy;
use crate::wait::within;

/// The number of writing connections.
const WRITERS: u64 = 3;

/// The parameters of a run.
#[derive(Debug, Clone, Copy)]
pub struct Soak {
    /// The kind of the primary.
    pub primary: Kind,
    /// The kind of its replica.
    pub replica: Kind,
    /// How long the load lasts.
    pub length: Duration,
    /// The seed of everything random. The course of a run also depends on the machine.
    pub seed: u64,
}

/// The statistics of a run.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    /// Answered commands.
    pub commands: u64,
    /// Cuts of the link.
    pub cuts: u64,
    /// Restarts of either end.
    pub restarts: u64,
    /// Full resyncs, as last counted by the primary.
    pub full: u64,
    /// Partial resyncs.
    pub partial: u64,
    /// The number of keys in the end.
    pub keys: u64,
}

/// Runs it. The error says how the two differ in the end.
pub fn run(soak: Soak) -> Result<Outcome, String> {
    let kept = ["--enable-debug-command", "yes", "--save", "3600 1", "--repl-timeout", "20"];
    let delay = ["--repl-diskless-sync-delay", "0", "--repl-backlog-size", "4mb"];
    let mut primary = Process::of(soak.primary, &[&kept[..], &delay].concat());
    let link = Proxy::new(primary.address());
    let port = link.port().to_string();
    let of = ["--replicaof", &format!("127.0.0.1 {port}"), "--repl-diskless-load", "swapdb"];
    let mut replica = Process::of(soak.replica, &[&kept[..], &delay, &of].concat());

    let mut rng = Rng::new(soak.seed);
    let mut outcome = Outcome::default();
    let (stop, commands) = (AtomicBool::new(false), AtomicU64::new(0));
    let at = primary.address();
    std::thread::scope(|scope| {
        for n in 0..WRITERS {
            let (stop, commands) = (&stop, &commands);
            scope.spawn(move || {
                let mut rng = Rng::new(soak.seed ^ (n + 1) << 32);
                while !stop.load(Ordering::Relaxed) {
                    // A restarting server closes connections and refuses new ones.
                    let Ok(stream) = std::net::TcpStream::connect(at) else { continue };
                    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                    write(&mut Client::new(stream), &mut rng, stop, commands);
                }
            });
        }
        let end = Instant::now() + soak.length;
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(100 + rng.below(1_500)));
            disturb(&mut primary, &mut replica, &link, &mut rng, &mut outcome);
        }
        stop.store(true, Ordering::Relaxed);
    });
    outcome.commands = commands.into_inner();
    link.open();
    count(&primary, &mut outcome);
    agree(&primary, &replica, &mut outcome)
        .map_err(|why| format!("{why}\n\n{outcome:?}\n\nreplica:\n{}", tail(&replica.output())))?;
    Ok(outcome)
}

/// Injects a random fault, and ends it.
fn disturb(
    primary: &mut Process,
    replica: &mut Process,
    link: &Proxy,
    rng: &mut Rng,
    outcome: &mut Outcome,
) {
    let pause = |most| std::thread::sleep(Duration::from_millis(most));
    match rng.below(12) {
        0..6 => {
            outcome.cuts += 1;
            link.close();
            pause(rng.below(10));
            link.open();
        }
        6..8 => {
            outcome.cuts += 1;
            link.close();
            pause(rng.below(3_000));
            link.open();
        }
        8 => {
            outcome.restarts += 1;
            replica.restart(true);
        }
        9 | 10 => {
            outcome.restarts += 1;
            replica.restart(false);
        }
        _ => {
            outcome.restarts += 1;
            count(primary, outcome);
            primary.restart(false);
        }
    }
}

/// Adds the counters of the primary since its start.
fn count(primary: &Process, outcome: &mut Outcome) {
    let stats = Client::new(primary.connect()).info("stats");
    let of = |name| field(&stats, name).parse().unwrap_or(0);
    outcome.full += of("sync_full");
    outcome.partial += of("sync_partial_ok");
}

/// Waits until both have the same data.
fn agree(primary: &Process, replica: &Process, outcome: &mut Outcome) -> Result<(), String> {
    let (mut ours, mut theirs) = (Client::new(primary.connect()), Client::new(replica.connect()));
    let mut apart = String::new();
    let agreed = within(3 * PATIENCE, || {
        let (up, down) = (ours.info("replication"), theirs.info("replication"));
        let linked = field(&down, "master_link_status") == "up";
        let offsets = (field(&up, "master_repl_offset"), field(&down, "slave_repl_offset"));
        let digests = (ours.call(&["DEBUG", "DIGEST"]), theirs.call(&["DEBUG", "DIGEST"]));
        let sizes = (ours.info("keyspace"), theirs.info("keyspace"));
        if linked && offsets.0 == offsets.1 && digests.0 == digests.1 {
            if sizes.0.lines().count() < 2 {
                return Some(Err("nothing is left to compare".into()));
            }
            let keys = sizes.0.split("keys=").skip(1);
            let keys = keys.filter_map(|rest| rest.split(',').next()?.parse::<u64>().ok());
            outcome.keys = keys.sum();
            return Some(Ok(()));
        }
        apart = format!("{offsets:?} {digests:?}\n{sizes:?}\n{up}\n{down}");
        None
    });
    agreed.unwrap_or(Err(apart))
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(4_000);
    text.get(from..).unwrap_or(text)
}

/// Sends writes of every type until `stop` is set or the connection ends.
fn write(client: &mut Client, rng: &mut Rng, stop: &AtomicBool, commands: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let batch: Vec<Vec<String>> = (0..1 + rng.below(30)).map(|_| command(rng)).collect();
        let sent: u64 = batch.iter().map(|args| args.len().min(1) as u64).sum();
        batch.iter().for_each(|args| client.send(args));
        for args in &batch {
            let Some(reply) = client.read() else { return };
            if let Value::Error(error) = &reply.value {
                let error = String::from_utf8_lossy(error).into_owned();
                let passing = ["LOADING", "EXECABORT", "ERR no such key", "ERR source and dest"];
                let known =
                    passing.iter().any(|known| error.starts_with(known)) || error.contains("MULTI");
                assert!(known, "{args:?}: {error}");
            }
        }
        commands.fetch_add(sent, Ordering::Relaxed);
    }
}

/// A random write command. The first letter of a key determines its type.
fn command(rng: &mut Rng) -> Vec<String> {
    let n = rng.below(200);
    let m = rng.below(30);
    let wide = "x".repeat(match rng.below(200) {
        0 => 30_000,
        1..10 => 300,
        _ => rng.below(20) as usize,
    });
    let score = rng.below(1_000) as f64 / 8.0 - 20.0;
    let soon = 1 + rng.below(3_000);
    let line = match rng.below(64) {
        0..4 => format!("SET s{n} {wide}{m}"),
        4 => format!("SET s{n} {m} PX {soon}"),
        5 => format!("SET s{n} {m} EX 1000"),
        6 => format!("INCRBY i{n} {m}"),
        7 => format!("INCRBYFLOAT f{n} 0.{m}"),
        8 => format!("APPEND s{n} {m}"),
        9 => format!("SETRANGE s{n} {m} {m}"),
        10 => format!("SETBIT b{n} {m} 1"),
        11 => format!("BITFIELD b{n} INCRBY u8 {m} 7"),
        12 => format!("BITOP XOR b{n} b{m} b1"),
        13 => format!("GETEX s{n} PX {soon}"),
        14 => format!("GETDEL s{n}"),
        15..18 => format!("RPUSH l{n} {wide} {m}"),
        18 => format!("LPUSH l{n} {m}"),
        19 => format!("LPOP l{n} {m}"),
        20 => format!("LMOVE l{n} l{m} LEFT RIGHT"),
        21 => format!("LREM l{n} 0 {m}"),
        22 => format!("LTRIM l{n} 0 {m}"),
        23 => format!("LINSERT l{n} BEFORE {m} {wide}"),
        24 => format!("BLPOP l{n} l{m} 0.001"),
        25 => format!("BLMOVE l{n} l{m} RIGHT LEFT 0.001"),
        26..28 => format!("SADD t{n} {m} {score} {wide}"),
        28 => format!("SADD t{n} {m}"),
        29 => format!("SPOP t{n}"),
        30 => format!("SPOP t{n} 3"),
        31 => format!("SMOVE t{n} t{m} {m}"),
        32 => format!("SUNIONSTORE t{m} t{n} t{m}"),
        33 => format!("SREM t{n} {m}"),
        34..37 => format!("HSET h{n} {m} {wide} f{m} {score}"),
        37 => format!("HINCRBY h{n} n 3"),
        38 => format!("HINCRBYFLOAT h{n} d 0.{m}"),
        39 => format!("HDEL h{n} {m}"),
        40..43 => format!("ZADD z{n} {score} {m} {score} {wide}"),
        43 => format!("ZINCRBY z{n} {score} {m}"),
        44 => format!("ZPOPMIN z{n} 2"),
        45 => format!("ZREMRANGEBYSCORE z{n} -5 {score}"),
        46 => format!("ZUNIONSTORE z{m} 2 z{n} z{m}"),
        47 => format!("ZRANGESTORE z{m} z{n} 0 5"),
        48 => format!("PEXPIRE {}{n} {soon}", pick(rng, "sltzhib")),
        49 => format!("EXPIRE {}{n} 1000 NX", pick(rng, "sltzhib")),
        50 => format!("PERSIST {}{n}", pick(rng, "sltzhib")),
        51 => format!("DEL {}{n} l{m}", pick(rng, "sltzhib")),
        52 => format!("UNLINK t{n} h{m}"),
        53 => {
            let kind = pick(rng, "sltzhb");
            format!("RENAME {kind}{n} {kind}{m}")
        }
        54 => {
            let kind = pick(rng, "sltzhb");
            format!("COPY {kind}{n} {kind}{m} REPLACE")
        }
        55 => format!("SORT l{n} ALPHA STORE l{m}"),
        56 => "MULTI".into(),
        57 => "EXEC".into(),
        58 => format!("MSET s{n} 1 s{m} {wide} i{m} 5"),
        59 => format!("SELECT {}", rng.below(3)),
        60 => format!("MOVE s{n} {}", rng.below(3)),
        61 => format!("GETSET s{n} {wide}"),
        62 => match rng.below(300) {
            0 => "FLUSHDB ASYNC".into(),
            1 => "SWAPDB 0 1".into(),
            2 => "FLUSHALL".into(),
            _ => format!("DECR i{n}"),
        },
        _ => format!("PUBLISH c{m} {wide}"),
    };
    // Two blanks stand for an empty value.
    line.split(' ').map(str::to_owned).collect()
}

fn pick(rng: &mut Rng, from: &str) -> char {
    char::from(from.as_bytes()[rng.below(from.len() as u64) as usize])
}
