//! `cargo xtask fuzz`: runs the parsers on hostile bytes, in a release build.

use anyhow::Result;

use crate::workspace::{Workspace, run, step};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The parser; all of them if none is named: script, library, functions, payload, rdb, acl,
    /// aclfile, cjson, cmsgpack, struct, hyperloglog, requests.
    target: Option<String>,
    /// How many cases of each.
    #[arg(long, default_value_t = 100_000)]
    cases: u64,
    /// The number of the first case. A failure is reported with its case and how to reproduce it.
    #[arg(long, default_value_t = 1)]
    first: u64,
}

/// Runs the cases.
pub(crate) fn parsers(ws: &Workspace, args: &Args) -> Result<()> {
    step("Compiling the parsers (profile release)");
    let run_bin = ["run", "--release", "--locked", "-p", "limpid-tests", "--bin", "fuzz", "--"];
    let numbers = [args.cases.to_string(), args.first.to_string()];
    run(ws.cargo().args(run_bin).args(&numbers).args(&args.target))
}
