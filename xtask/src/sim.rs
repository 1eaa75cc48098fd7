//! `cargo xtask sim`: runs simulated worlds over many seeds, natively, in a release build.

use anyhow::Result;

use crate::workspace::{Workspace, run, step};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many worlds in which things go wrong at random.
    #[arg(long, default_value_t = 50)]
    seeds: u64,
    /// How many worlds in which a server crashes and its disk fails.
    #[arg(long, default_value_t = 2_000)]
    crashes: u64,
    /// How many worlds in which Sentinels watch servers while hosts, links, clocks and disks fail.
    #[arg(long, default_value_t = 500)]
    sentinels: u64,
    /// How many worlds in which clients ask through proxies while servers and links fail, primaries
    /// are replaced and slots move.
    #[arg(long, default_value_t = 500)]
    proxies: u64,
    /// How many worlds in which slots of a cluster move while hosts, links and clocks fail.
    #[arg(long, default_value_t = 1_000)]
    clusters: u64,
    /// The first seed. A failure is reported with its seed and how to reproduce it.
    #[arg(long, default_value_t = 1)]
    first: u64,
}

/// Measures the speed of a big world and runs the small ones.
pub(crate) fn worlds(ws: &Workspace, args: &Args) -> Result<()> {
    step("Compiling the worlds (profile release)");
    let run_bin = ["run", "--release", "--locked", "-p", "limpid-tests", "--bin", "measure", "--"];
    let numbers = [args.seeds.to_string(), args.first.to_string()];
    run(ws.cargo().args(run_bin).arg("worlds").args(&numbers))?;
    run(ws.cargo().args(run_bin).arg("replicas").args(&numbers))?;
    let numbers = [args.crashes.to_string(), args.first.to_string()];
    run(ws.cargo().args(run_bin).arg("crashes").args(&numbers))?;
    let numbers = [args.sentinels.to_string(), args.first.to_string()];
    run(ws.cargo().args(run_bin).arg("sentinels").args(&numbers))?;
    let numbers = [args.proxies.to_string(), args.first.to_string()];
    run(ws.cargo().args(run_bin).arg("proxies").args(&numbers))?;
    let numbers = [args.clusters.to_string(), args.first.to_string()];
    run(ws.cargo().args(run_bin).arg("clusters").args(&numbers))
}
