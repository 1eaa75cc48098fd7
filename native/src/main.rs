//! Limpid: a Redis-compatible server, its client, and a playground, in one binary.
//!
//! The first argument says which program it is; started under the name of one (`redis-server`),
//! it is that program.

mod driver;
mod playground;
mod server;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Its pages are given back and its small objects packed well, and it is quick.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
    let program = args.next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    match name.to_str() {
        Some("redis-server") => server::main(&program, args.collect()),
        _ => match Limpid::parse().command {
            Command::Server { args } => server::main("limpid server", args),
            Command::Playground(options) => playground::main(&options),
        },
    }
}

/// A Redis you can see through.
#[derive(Parser)]
#[command(name = "limpid", version)]
struct Limpid {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a server; the same as under the name redis-server
    #[command(disable_help_flag = true)]
    Server {
        /// A configuration file and directives, as redis-server takes them
        #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run a server, and the page in which many of them run
    Playground(playground::Options),
}
