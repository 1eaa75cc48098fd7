//! `predixy`: the command line of predixy.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::process::ExitCode;

use limpid_core::proxy::predixy::{self, Config, VERSION};

use super::log::{Log, Style};
use super::run::run;
use crate::driver::SocketOptions;

fn usage(program: &str) -> String {
    format!(
        "Usage: \n   {program} <conf-file> [options]\n   {program} -h or --help\n   \
         {program} -v or --version\n\nOptions:\n   \
         --Name=name        set current service name\n   \
         --Bind=addr        set bind address, eg:127.0.0.1:7617, /tmp/predixy\n   \
         --WorkerThreads=N  set worker threads\n   \
         --LocalDC=dc       set local dc\n"
    )
}

/// Runs the program with the arguments that follow its name.
pub(crate) fn main(program: &str, args: &[String]) -> ExitCode {
    match args.first().map(String::as_str) {
        None => {
            eprint!("{}", usage(program));
            eprintln!("start {program} arguments invalid");
            ExitCode::FAILURE
        }
        Some("-h" | "--help") => {
            eprint!("{}", usage(program));
            ExitCode::SUCCESS
        }
        Some("-v" | "--version") => {
            eprintln!("{program} predixy-{VERSION} (Limpid {})", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Some(file) => start(file, args.get(1..).unwrap_or_default()).unwrap_or_else(|error| {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }),
    }
}

/// Checks a configuration file, and prints the result.
pub(super) fn check(file: &str) -> ExitCode {
    match load(file, &[]) {
        Ok(_) => {
            println!("configuration file '{file}' is good");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn load(file: &str, options: &[String]) -> anyhow::Result<Config> {
    // Absolute paths are kept, since the file may be read again from another directory.
    let file = std::path::absolute(file)?;
    let mut read = |path: &str| std::fs::read(path).map_err(|error| error.to_string());
    Config::parse(&file.to_string_lossy(), options, &mut read)
        .map_err(|error| anyhow::anyhow!("{error}"))
}

fn start(file: &str, options: &[String]) -> anyhow::Result<ExitCode> {
    let config = load(file, options)?;
    let log = Some(config.log.clone()).filter(|log| !matches!(log.as_str(), "" | "stdout"));
    let log = Log::new(log.map(PathBuf::from), verbosity(&config), Style::Predixy);
    log.check().map_err(|e| anyhow::anyhow!("open log file {} fail {e}", config.log))?;
    // The standard library's hashers are seeded by the operating system.
    let seed = RandomState::new().hash_one(std::process::id());
    let sockets = SocketOptions { keepalive: None, unix_mode: None };
    run(predixy::machine(config, seed), sockets, &log, || {})
}

/// The verbosity that follows from the sampling rates of predixy's log levels.
fn verbosity(config: &Config) -> u8 {
    match config.samples {
        [verbose, debug, ..] if verbose > 0 || debug > 0 => 7,
        [_, _, info, ..] if info > 0 => 6,
        [_, _, _, notice, ..] if notice > 0 => 5,
        _ => 1,
    }
}
