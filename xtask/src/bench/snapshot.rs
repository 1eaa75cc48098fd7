//! Measures the cost of a snapshot: the added latency of clients while it is written, and its
//! memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::pace::{PER_SECOND, SteadyLoad, Waits};
use super::server::Server;
use super::verdict::{Findings, Ratio, another, over};
use super::{Programs, median, order_of};

/// The highest increase of the 99.9th percentile of latency, as a multiple of Redis's.
const INCREASE_GOAL: f64 = 0.5;

/// The highest additional memory of a snapshot, as a fraction of the memory before.
const MEMORY_GOAL: f64 = 0.15;

/// How long latency is measured without a snapshot.
const QUIET: Duration = Duration::from_secs(5);

/// The interval of memory samples.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

const VALUE: [u8; 64] = [b'x'; 64];

/// The measurements of one program, one number per round.
#[derive(Default)]
struct Figures {
    /// The 50th, 99th and 99.9th percentile of latency in milliseconds, without a snapshot.
    before: [Vec<f64>; 3],
    /// The same during a snapshot.
    during: [Vec<f64>; 3],
    /// The duration of a snapshot in seconds.
    seconds: Vec<f64>,
    /// Memory in bytes before the snapshot, and its peak during it.
    memory: (f64, f64),
}

/// Prints the effect of BGSAVE with `keys` keys on writing clients. Returns the rows that missed
/// their goal.
pub(crate) fn bgsave(programs: &Programs, keys: u64, rounds: usize) -> Result<Findings> {
    let mut figures = [Figures::default(), Figures::default()];
    let servers = programs.start_free(&[])?;
    for server in &servers {
        server.fill(keys, |key| format!("key:{key:012}"), &VALUE)?;
    }
    let mut round = 0;
    while another(round, rounds, || vec![increases(&figures).against(INCREASE_GOAL)]) {
        for i in order_of(round) {
            measure_waits(&servers[i], keys, &mut figures[i])?;
        }
        round += 1;
    }
    // Sampling memory disturbs the server, so it is done in a round of its own.
    for (server, figures) in servers.iter().zip(&mut figures) {
        figures.memory = measure_memory(server, keys)?;
    }
    Ok(print(keys, figures))
}

fn measure_waits(server: &Server, keys: u64, figures: &mut Figures) -> Result<()> {
    let mut pace = SteadyLoad::new(server, keys, &VALUE)?;
    let before = pace.run(|elapsed| Ok(elapsed >= QUIET))?;
    note(&mut figures.before, before);
    let begin = Instant::now();
    let during = save_under(server, &mut pace)?;
    figures.seconds.push(begin.elapsed().as_secs_f64());
    note(&mut figures.during, during);
    Ok(())
}

fn note(figures: &mut [Vec<f64>; 3], mut waits: Waits) {
    for (figures, part) in figures.iter_mut().zip([0.5, 0.01, 0.001]) {
        figures.push(waits.all_but(part));
    }
}

/// Starts a snapshot and writes until it is on disk.
fn save_under(server: &Server, pace: &mut SteadyLoad) -> Result<Waits> {
    let mut begun = false;
    let mut looked = Duration::ZERO;
    pace.run(|elapsed| {
        if !begun {
            server.ask(&["BGSAVE"])?;
            begun = true;
        }
        if elapsed < looked + POLL_INTERVAL {
            return Ok(false);
        }
        looked = elapsed;
        if server.info("persistence", "rdb_bgsave_in_progress")? != "0" {
            return Ok(false);
        }
        let status = server.info("persistence", "rdb_last_bgsave_status")?;
        ensure!(status == "ok", "BGSAVE: {status}");
        Ok(true)
    })
}

/// Memory in bytes before a snapshot under load, and its peak during it.
fn measure_memory(server: &Server, keys: u64) -> Result<(f64, f64)> {
    let before = server.with_children()?;
    let done = AtomicBool::new(false);
    let mut pace = SteadyLoad::new(server, keys, &VALUE)?;
    let peak = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| -> Result<u64> {
            let mut peak = before;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(server.with_children()?);
                std::thread::sleep(POLL_INTERVAL);
            }
            Ok(peak)
        });
        let saved = save_under(server, &mut pace);
        done.store(true, Ordering::Relaxed);
        let peak = watcher.join().ok().context("the watcher panicked")?;
        saved.and(peak)
    })?;
    Ok((before as f64, peak as f64))
}

/// The increase of the 99.9th percentile by the snapshot, in each round.
fn increase(figures: &Figures) -> impl Iterator<Item = f64> {
    let rounds = figures.during[2].iter().zip(&figures.before[2]);
    rounds.map(|(during, before)| (during - before).max(0.0))
}

fn increases([limpid, redis]: &[Figures; 2]) -> Ratio {
    let pairs = increase(limpid).zip(increase(redis));
    let ratios: Vec<f64> = pairs.map(|(limpid, redis)| over(limpid, redis)).collect();
    Ratio::of(&ratios)
}

fn print(keys: u64, figures: [Figures; 2]) -> Findings {
    println!(
        "\nBGSAVE of {} M keys of 64 bytes while {} k SETs of them come each second. Waits are\n\
         those of the SETs, from when each was due; memory is resident memory, of Redis with its\n\
         child's, what both share counted once.",
        keys as f64 / 1e6,
        PER_SECOND / 1_000
    );
    println!(
        "{:28} {:>8} {:>8} {:>6} {:>11} {:>6}",
        "", "Limpid", "Redis", "ratio", "half within", "goal"
    );
    let ratio = increases(&figures);
    let [limpid, redis] = figures;
    for (n, name) in ["50 %", "99 %", "99.9 %"].into_iter().enumerate() {
        let all = [&limpid, &redis];
        let before = all.map(|figures| median(figures.before[n].clone()));
        let during = all.map(|figures| median(figures.during[n].clone()));
        println!("{name:>6} wait without, ms       {:>8.2} {:>8.2}", before[0], before[1]);
        println!("{name:>6} wait meanwhile, ms     {:>8.2} {:>8.2}", during[0], during[1]);
    }
    let middle = [&limpid, &redis].map(|figures| median(increase(figures).collect()));
    println!("{:28} {}", "99.9 % increase, ms", ratio.row(middle, INCREASE_GOAL));
    let mut found = Findings::default();
    found.note("bgsave: 99.9 % increase", ratio.against(INCREASE_GOAL));
    let [limpid_s, redis_s] = [limpid.seconds, redis.seconds].map(median);
    let times = limpid_s / redis_s;
    println!("{:28} {limpid_s:>8.2} {redis_s:>8.2} {times:>6.2}", "time of the save, s");
    let more = [limpid.memory, redis.memory].map(|(before, peak)| 100.0 * (peak / before - 1.0));
    // Measured once each, so it cannot be undecided.
    let verdict = Ratio::of(&[more[0]]).against(100.0 * MEMORY_GOAL);
    println!(
        "{:28} {:>8.1} {:>8.1} {:>6} {:>11} {:>5.1}{}",
        "memory besides, %",
        more[0],
        more[1],
        "",
        "",
        100.0 * MEMORY_GOAL,
        verdict.mark()
    );
    found.note("bgsave: memory besides", verdict);
    println!(
        "{:28} {:>8.0} {:>8.0}",
        "memory before, MB",
        limpid.memory.0 / 1e6,
        redis.memory.0 / 1e6
    );
    found
}
