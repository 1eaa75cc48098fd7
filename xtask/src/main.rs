//! The project's own commands. `cargo xtask` lists them.
//!
//! They build the page, set up what a build or a test needs, and measure. Commands for people who
//! run Limpid are in `native`, and the tests themselves in `tests`.

mod bench;
mod book;
mod fuzz;
mod html;
mod lessons;
mod order;
mod pack;
mod rooms;
mod run;
mod setup;
mod sim;
mod test;
mod web;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, runs, tests and measures Limpid.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build page and server, and start both.
    Run(run::Args),
    /// Check and test everything.
    Test(test::Args),
    /// Build the page into dist/, ready for any folder of any web server.
    Web(web::Args),
    /// Compare with the redis-server of this machine.
    Bench(bench::Args),
    /// Draw the modules of the core and their arrows into docs/architecture.md.
    Rooms(rooms::Args),
    /// Write docs/course.md: which lesson teaches what.
    Course(lessons::course::Args),
    /// Run simulated worlds over many seeds, and measure how fast they are.
    Sim(sim::Args),
    /// Give hostile bytes to the parsers.
    Fuzz(fuzz::Args),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let ws = Workspace::find()?;
    match cli.task {
        Task::Run(args) => run::playground(&ws, &args),
        Task::Test(args) => test::all(&ws, &args),
        Task::Bench(args) => bench::compare(&ws, &args),
        Task::Rooms(args) => rooms::draw(&ws, &args),
        Task::Course(args) => lessons::course::table(&ws, &args),
        Task::Sim(args) => sim::worlds(&ws, &args),
        Task::Fuzz(args) => fuzz::parsers(&ws, &args),
        Task::Web(args) => web::build(&ws, &args).map(drop),
    }
}
