//! Simulations and measurements without sockets, built for release: see `cargo xtask sim` and
//! `bench`.
//!
//! `measure worlds [seeds] [first seed]`: how fast worlds run, and whether what must hold holds.
//! `measure replicas [seeds] [first seed]`: whether copies agree after links were cut and servers
//! died.
//! `measure crashes [seeds] [first seed]`: whether a server keeps what it acknowledged when power
//! fails, it is killed, and its disk fails.
//! `measure sentinels [seeds] [first seed]`: whether Sentinels agree on one master after hosts,
//! links, clocks and disks failed.
//! `measure proxies [seeds] [first seed]`: whether behind a proxy every reply belongs to its
//! request, whatever fails, while primaries are replaced and slots move. `measure clusters [seeds]
//! [first seed]`: whether a cluster comes to one view after slots moved while hosts, links and
//! clocks failed; and how fast a world with a hundred nodes runs. Of one seed, what happens in it.
//! `measure turns [keys]`: the longest turn of a server, in microseconds of processor time, while
//! keys are added.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use limpid_core::lab::{busy_cluster, programs, sandbox};
use limpid_core::sim::World;
use limpid_tests::{chaos, clusters, crashes, proxies, replicas, sentinels, turns};

/// The same allocator as in the released server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much faster than real time a world of 48 servers and 48 clients must be.
const GOAL: f64 = 20.0;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let mut numbers = words.map(|text| text.parse::<u64>().ok());
    let mut number = |default| numbers.next().flatten().unwrap_or(default);
    match what.as_str() {
        "worlds" => worlds(number(50), number(1)),
        "replicas" => soak(number(50), number(1)),
        "crashes" => crash(number(50), number(1)),
        "sentinels" => watch(number(50), number(1)),
        "proxies" => proxied(number(50), number(1)),
        "clusters" => clustered(number(50), number(1)),
        "turns" => {
            let longest = turns::longest(number(1_000_000));
            println!("{}", longest.as_micros());
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!(
                "measure worlds|replicas|crashes|sentinels|proxies|clusters [seeds] [first seed], \
                 or measure turns [keys]"
            );
            ExitCode::FAILURE
        }
    }
}

/// Reports the failure of a world, and how to reproduce it.
fn failed(worlds: &str, seed: u64, what: &str) {
    println!("\rseed {seed}: {what}");
    println!("again: cargo run --release -p limpid-tests --bin measure -- {worlds} 1 {seed}");
}

fn worlds(seeds: u64, first: u64) -> ExitCode {
    let speed = speed();
    println!("48 servers, 48 clients at 20 commands a second: {speed:.1} × real time");
    let mut ok = speed >= GOAL;
    if !ok {
        println!("  that is less than the goal, {GOAL} ×");
    }

    let start = Instant::now();
    let (mut virtual_time, mut failures) = (Duration::ZERO, 0);
    for seed in first..first.saturating_add(seeds) {
        // If the process crashes, this is the last line of output.
        eprint!("\rseed {seed} ");
        match chaos::run(seed) {
            Ok(outcome) => virtual_time += outcome.virtual_time,
            Err(what) => {
                failures += 1;
                failed("worlds", seed, &what);
            }
        }
    }
    let ratio = virtual_time.as_secs_f64() / start.elapsed().as_secs_f64();
    println!("\r{seeds} seeds from {first}: {failures} failed, {ratio:.0} × real time");
    ok &= failures == 0;
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs worlds with replicas that are cut off and killed, over many seeds.
fn soak(seeds: u64, first: u64) -> ExitCode {
    let start = Instant::now();
    let (mut virtual_time, mut syncs, mut failures) = (Duration::ZERO, (0, 0), 0);
    for seed in first..first.saturating_add(seeds) {
        eprint!("\rseed {seed} ");
        match replicas::run(seed) {
            Ok(outcome) => {
                virtual_time += outcome.virtual_time;
                syncs = (syncs.0 + outcome.syncs.0, syncs.1 + outcome.syncs.1);
            }
            Err(what) => {
                failures += 1;
                failed("replicas", seed, &what);
            }
        }
    }
    let ratio = virtual_time.as_secs_f64() / start.elapsed().as_secs_f64();
    println!(
        "\rreplicas, {seeds} seeds from {first}: {failures} failed, {ratio:.0} × real time; {} \
         full and {} partial synchronisations by servers that lived to the end",
        syncs.0, syncs.1
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs worlds with servers that crash, over many seeds.
fn crash(seeds: u64, first: u64) -> ExitCode {
    let start = Instant::now();
    let (mut sum, mut failures) = (crashes::Outcome::default(), 0);
    for seed in first..first.saturating_add(seeds) {
        eprint!("\rseed {seed} ");
        match crashes::run(seed) {
            Ok(outcome) => sum += outcome,
            Err(what) => {
                failures += 1;
                failed("crashes", seed, &what);
            }
        }
    }
    let took = start.elapsed();
    println!(
        "\rcrashes, {seeds} seeds from {first}: {failures} failed, {took:.0?}; {} power losses, {} \
         kills, {} shutdowns, {} ends by the server itself; {} faults of the disk, {} refused \
         starts, {} torn files cut; {} snapshots and rewrites; {} acknowledged writes, {} times \
         confirmed by WAITAOF; {} lost as they may be, in {failures} worlds others",
        sum.power_losses,
        sum.kills,
        sum.stops,
        sum.exits,
        sum.faults,
        sum.refusals,
        sum.mended,
        sum.written,
        sum.acknowledged,
        sum.confirmed,
        sum.lost,
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Virtual time over real time of a busy world.
fn speed() -> f64 {
    speed_of(World::new(Arc::new(sandbox(48)), 1, programs))
}

/// Virtual time over real time of a world, after its start-up.
fn speed_of(mut world: World) -> f64 {
    const LENGTH: Duration = Duration::from_secs(60);
    world.run_for(Duration::from_secs(1));
    let start = Instant::now();
    world.run_for(LENGTH);
    LENGTH.as_secs_f64() / start.elapsed().as_secs_f64()
}

/// Measures the speed of a large cluster, then runs worlds with clusters over many seeds.
fn clustered(seeds: u64, first: u64) -> ExitCode {
    /// How much faster than real time a world of a hundred nodes must be.
    const GOAL: f64 = 5.0;
    if seeds == 1 {
        // A single seed is for debugging.
        return match clusters::show(first) {
            Ok(outcome) => {
                println!("{outcome:?}");
                ExitCode::SUCCESS
            }
            Err(what) => {
                println!("{what}");
                ExitCode::FAILURE
            }
        };
    }
    let speed = speed_of(World::new(Arc::new(busy_cluster(50, 1)), 1, programs));
    println!("a cluster of 100 nodes with 2 clients: {speed:.1} × real time");
    if speed < GOAL {
        println!("  that is less than the goal, {GOAL} ×");
    }
    let start = Instant::now();
    let (mut virtual_time, mut failures) = (Duration::ZERO, 0);
    let (mut failovers, mut moved, mut kept) = (0, 0, 0);
    for seed in first..first.saturating_add(seeds) {
        eprint!("\rseed {seed} ");
        match clusters::run(seed) {
            Ok(outcome) => {
                virtual_time += outcome.virtual_time;
                failovers += outcome.failovers;
                moved += outcome.moved;
                kept += outcome.kept;
            }
            Err(what) => {
                failures += 1;
                failed("clusters", seed, &what);
            }
        }
    }
    let ratio = virtual_time.as_secs_f64() / start.elapsed().as_secs_f64();
    println!(
        "\r{seeds} seeds of clusters from {first}: {failures} failed, {failovers} failovers, {moved} slots \
         moved, {kept} keys with a confirmed write, {ratio:.0} × real time"
    );
    if failures == 0 && speed >= GOAL { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs worlds with clients of proxies, over many seeds.
fn proxied(seeds: u64, first: u64) -> ExitCode {
    let start = Instant::now();
    let (mut replies, mut errors, mut failures) = (0, 0, 0);
    for seed in first..first.saturating_add(seeds) {
        eprint!("\rseed {seed} ");
        match proxies::run(seed) {
            Ok(outcome) => {
                replies += outcome.replies;
                errors += outcome.errors;
            }
            Err(what) => {
                failures += 1;
                failed("proxies", seed, &what);
            }
        }
    }
    println!(
        "\rproxies, {seeds} seeds from {first}: {failures} failed, {:.0?}; {replies} replies, of \
         them {errors} errors",
        start.elapsed()
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn watch(seeds: u64, first: u64) -> ExitCode {
    let start = Instant::now();
    let (mut virtual_time, mut elected, mut confirmed, mut failures) = (Duration::ZERO, 0, 0, 0);
    for seed in first..first.saturating_add(seeds) {
        eprint!("\rseed {seed} ");
        match sentinels::run(seed) {
            Ok(outcome) => {
                virtual_time += outcome.virtual_time;
                elected += outcome.elected;
                confirmed += outcome.confirmed;
            }
            Err(what) => {
                failures += 1;
                failed("sentinels", seed, &what);
            }
        }
    }
    let ratio = virtual_time.as_secs_f64() / start.elapsed().as_secs_f64();
    println!(
        "\r{seeds} seeds of Sentinels from {first}: {failures} failed, {elected} leaders elected, \
         {confirmed} writes that both replicas had, {ratio:.0} × real time"
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
