//! Limpid: a Redis-compatible server, its client, and a playground, in one binary.
//!
//! The first argument says which program to run; a binary that is started under a program's name
//! (`redis-server`) runs that one.

mod check_aof;
mod check_rdb;
mod cli;
mod create_cluster;
mod driver;
mod lesson;
mod playground;
mod proxy;
mod server;
mod service;
mod shard;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// mimalloc: fast, packs small objects well, and gives pages back to the operating system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default().to_string_lossy().into_owned();
    let name = Path::new(&program).file_name().unwrap_or_default();
    match name.to_str() {
        Some("redis-server") => {
            let args = words.map(|word| word.to_string_lossy().into_owned());
            server::main(&program, args.collect())
        }
        Some("redis-sentinel") => {
            let args = words.map(|word| word.to_string_lossy().into_owned());
            server::sentinel_main(&program, args.collect())
        }
        Some("redis-check-rdb") => check_rdb::main(&program, &words.collect::<Vec<_>>()),
        Some("redis-check-aof") => {
            let args: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
            check_aof::main(&program, &args)
        }
        Some("predixy") => {
            let args: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
            proxy::predixy(&program, &args)
        }
        Some("nutcracker") => {
            proxy::nutcracker(words.map(|word| word.to_string_lossy().into_owned()).collect())
        }
        Some("redis-trib.rb" | "redis-trib") => {
            let args: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
            cli::trib_main(&args)
        }
        Some("create-cluster") => {
            let args: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
            create_cluster::main(&program, &args)
        }
        // Its arguments may be any bytes.
        Some("redis-cli") => cli::main(words.collect()),
        _ => match Limpid::parse().command {
            Command::Server { args } => server::main("limpid server", args),
            Command::Sentinel { args } => server::sentinel_main("limpid sentinel", args),
            Command::Cli { args } => cli::main(args),
            Command::Trib { args } => cli::trib_main(&args),
            Command::CreateCluster { args } => create_cluster::main("create-cluster", &args),
            Command::CheckRdb { args } => check_rdb::main("limpid check-rdb", &args),
            Command::CheckAof { args } => check_aof::main("limpid check-aof", &args),
            Command::Proxy { args } => proxy::main(args),
            Command::Shard { args } => shard::main(args),
            Command::Lesson { action } => lesson::main(action),
            Command::Service { action } => service::main(action),
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
    /// Run a Sentinel; the same as under the name redis-sentinel
    #[command(disable_help_flag = true)]
    Sentinel {
        /// A configuration file, which must be writable, and directives
        #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Talk to a server; the same as under the name redis-cli
    #[command(disable_help_flag = true)]
    Cli {
        /// Options and a command, as redis-cli takes them
        #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Build and repair a cluster; the same as under the name redis-trib.rb
    #[command(disable_help_flag = true)]
    Trib {
        /// A command with its options and arguments, as redis-trib.rb of Redis 4 takes them
        #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Start, join and stop the nodes of a small cluster in the current directory
    #[command(disable_help_flag = true)]
    CreateCluster {
        /// start, create, stop, watch, tail, tailall, call, clean or clean-logs
        #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check an RDB file; the same as under the name redis-check-rdb
    #[command(disable_help_flag = true)]
    CheckRdb {
        /// The file
        #[arg(value_name = "FILE", trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Check an append-only file, and repair it; the same as under the name redis-check-aof
    CheckAof {
        /// `[--fix | --truncate-to-timestamp SECONDS] FILE`: a manifest or one file
        #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run a proxy in front of many servers; also known as nutcracker and predixy
    #[command(disable_help_flag = true)]
    Proxy {
        /// Options and a configuration file; see --help
        #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Say which node has each key by a sharding rule, and what moves when nodes join or leave
    #[command(disable_help_flag = true)]
    Shard {
        /// Nodes, a rule and keys; see --help
        #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check lessons, or begin a new one
    Lesson {
        /// What to do
        #[command(subcommand)]
        action: lesson::Action,
    },
    /// Install servers that this machine starts by itself, list and remove them
    Service {
        /// What to do
        #[command(subcommand)]
        action: service::Action,
    },
    /// Run a server, and the page in which many of them run
    Playground(playground::Options),
}
