//! `cargo xtask bench`: compares Limpid with the `redis-server` of this machine.
//!
//! Both run at the same time and get the load in turns, so that disturbances of the machine affect
//! both; the median of the rounds counts. CPU time per operation is the figure to trust: throughput
//! without pipelining is mostly that of redis-benchmark and the loopback interface.
//!
//! A load is judged by the ratios of its rounds, see [`verdict`]: while they are on both sides of
//! the goal there are more rounds, and in the end the load is called undecided. The same holds for
//! the rows of persistence and replication.

mod append;
mod collections;
mod failover;
mod groups;
mod growth;
mod load;
mod mixed;
mod pace;
mod proxy;
mod resync;
mod server;
mod slots;
mod snapshot;
mod verdict;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::workspace::{Workspace, on_path, run, step};
use load::{IN_CLUSTER_MODE, LOADS, Load, Measured};
use server::Server;
use verdict::{Findings, Ratio, another};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Shorter rounds, and fewer where one is long: enough to see a trend, not enough to quote.
    #[arg(long)]
    quick: bool,
    /// Only rows whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Only rows of persistence and replication: bgsave, resync, aof.
    #[arg(long)]
    persistence: bool,
    /// Only how long writes stop when a primary is killed, with Sentinels and in a Cluster.
    #[arg(long, conflicts_with = "persistence")]
    failover: bool,
    /// The server to measure, instead of the one that was just built.
    #[arg(long)]
    limpid: Option<PathBuf>,
    /// The server to compare with.
    #[arg(long)]
    redis: Option<PathBuf>,
}

/// The programs that are compared.
struct Programs {
    limpid: PathBuf,
    redis: PathBuf,
    /// The program `measure` of the tests, for measurements without sockets.
    measure: PathBuf,
}

impl Programs {
    fn start(&self) -> Result<[Server; 2]> {
        Ok([Server::start(&self.limpid, &["server"])?, Server::start(&self.redis, &[])?])
    }

    /// Starts both with options, each allowed to use all processors.
    fn start_free(&self, options: &[&str]) -> Result<[Server; 2]> {
        Ok([self.start_one(0, options)?, self.start_one(1, options)?])
    }

    /// Starts one of them.
    fn start_one(&self, which: usize, options: &[&str]) -> Result<Server> {
        match which {
            0 => Server::start_free(&self.limpid, &["server"], options),
            _ => Server::start_free(&self.redis, &[], options),
        }
    }
}

/// Runs the benchmarks and prints the results.
pub(crate) fn compare(ws: &Workspace, args: &Args) -> Result<()> {
    let need = "on Debian: apt-get install redis-server redis-tools";
    let benchmark = on_path("redis-benchmark").context(need).context("no redis-benchmark")?;
    let redis = match &args.redis {
        Some(path) => path.clone(),
        None => on_path("redis-server").context(need).context("no redis-server")?,
    };
    let named = |name: &str| args.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let persistent = |name: &str| !args.failover && named(name);
    let wanted = |name: &str| !args.persistence && persistent(name);
    let mut build = ws.cargo();
    build.args(["build", "--release", "--locked"]);
    if args.limpid.is_none() {
        build.args(["-p", "limpid", "--bin", "limpid"]);
    }
    if wanted("stall") {
        build.args(["-p", "limpid-tests", "--bin", "measure"]);
    }
    if args.limpid.is_none() || wanted("stall") {
        step("Compiling what is measured (profile release)");
        run(&mut build)?;
    }
    let release = ws.target().join("release");
    let limpid = args.limpid.clone().unwrap_or_else(|| release.join("limpid"));
    let programs = Programs { limpid, redis, measure: release.join("measure") };
    println!("Limpid beside {}", server::version(&programs.redis)?);

    let rounds = 5;
    let mut found = Findings::default();
    let loads: Vec<&Load> = LOADS.iter().filter(|load| wanted(load.name)).collect();
    if !loads.is_empty() {
        let start = || programs.start();
        found.extend(throughput(start, &benchmark, &loads, rounds, args.quick)?);
    }
    let loads: Vec<&Load> = IN_CLUSTER_MODE.iter().filter(|load| wanted(load.name)).collect();
    if !loads.is_empty() {
        let start = || slots::start_alone(&programs);
        found.extend(throughput(start, &benchmark, &loads, rounds, args.quick)?);
    }
    if wanted("slots") {
        let (keys, rounds) = if args.quick { (100_000, 1) } else { (1_000_000, 3) };
        found.extend(slots::moved(&programs, keys, rounds)?);
    }
    if wanted("memory") {
        found.missed.extend(growth::memory(&programs, if args.quick { 1 } else { 3 })?);
    }
    if wanted("collections") {
        found.missed.extend(collections::memory(&programs, if args.quick { 1 } else { 3 })?);
    }
    if wanted("stall") {
        let keys = if args.quick { 2_000_000 } else { 10_000_000 };
        found.missed.extend(growth::stall(&programs, keys)?);
    }
    if persistent("bgsave") {
        let (keys, rounds) = if args.quick { (1_000_000, 1) } else { (5_000_000, 3) };
        found.extend(snapshot::bgsave(&programs, keys, rounds)?);
    }
    if persistent("resync") {
        let (bytes, rounds) = if args.quick { (200_000_000, 1) } else { (1_000_000_000, 3) };
        found.extend(resync::full(&programs, bytes, rounds)?);
    }
    if persistent("aof") {
        found.extend(append::policies(&programs, &benchmark, rounds, args.quick)?);
    }
    if wanted("nutcracker") {
        found.extend(proxy::beside_nutcracker(&programs, &benchmark, rounds, args.quick)?);
    }
    if args.failover {
        let rounds = if args.quick { 3 } else { 20 };
        found.extend(failover::writes_stop(&programs, rounds, named)?);
    }
    let Findings { missed, undecided } = found;
    match (missed.as_slice(), undecided.as_slice()) {
        ([], []) => println!("\nNo row that was measured missed its goal."),
        ([], _) => {}
        (missed, _) => println!("\nNot reached: {}", missed.join(", ")),
    }
    if !undecided.is_empty() {
        println!("\nUndecided, the rounds differ too much: {}", undecided.join(", "));
    }
    Ok(())
}

/// Prints a row for each load. Returns the rows that missed their goal.
fn throughput(
    start: impl Fn() -> Result<[Server; 2]>,
    benchmark: &std::path::Path,
    loads: &[&Load],
    rounds: usize,
    quick: bool,
) -> Result<Findings> {
    println!(
        "\n{:22} {:>8} {:>8} {:>6} {:>11} {:>6}   {:>8} {:>8} {:>6}",
        "server CPU, µs/op",
        "Limpid",
        "Redis",
        "ratio",
        "half within",
        "goal",
        "Limpid",
        "Redis",
        "kop/s"
    );
    let mut found = Findings::default();
    for load in loads {
        let servers = start()?;
        for server in &servers {
            load.prepare(server)?;
        }
        let mut results: [Vec<Measured>; 2] = [Vec::new(), Vec::new()];
        let mut ratios = Vec::new();
        while another(ratios.len(), rounds, || vec![Ratio::of(&ratios).against(load.goal)]) {
            // The order alternates, so that a warmer machine does not always affect the same
            // program.
            let order = order_of(ratios.len());
            let mut cpu = [0.0; 2];
            for i in order {
                let measured = load.measure(benchmark, &servers[i], quick)?;
                cpu[i] = measured.cpu_us;
                results[i].push(measured);
            }
            ratios.push(cpu[0] / cpu[1]);
        }
        let [limpid, redis] = results.map(Measured::median);
        let ratio = Ratio::of(&ratios);
        let verdict = ratio.against(load.goal);
        println!(
            "{:22} {:>8.3} {:>8.3} {:>6.2} {:>4.2} - {:>4.2} {:>5.2}{}   {:>8.0} {:>8.0} {:>6.2}",
            load.name,
            limpid.cpu_us,
            redis.cpu_us,
            ratio.median,
            ratio.low,
            ratio.high,
            load.goal,
            verdict.mark(),
            limpid.per_second / 1e3,
            redis.per_second / 1e3,
            limpid.per_second / redis.per_second
        );
        found.note(load.name, verdict);
    }
    Ok(found)
}

/// Which server goes first in a round.
fn order_of(round: usize) -> [usize; 2] {
    if round.is_multiple_of(2) { [0, 1] } else { [1, 0] }
}

/// The median of some numbers; of an even count the upper of the two in the middle.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
