//! `limpid proxy`, also known as `nutcracker` and `predixy`: command lines, configuration files,
//! logs. What a proxy does is the core's business.

mod log;
mod nutcracker;
mod run;

use std::process::ExitCode;

pub(crate) use self::nutcracker::main as nutcracker;

/// What `limpid proxy --help` says.
const USAGE: &str = "\
Run a proxy in front of many servers

Usage: limpid proxy --twemproxy <FILE> [OPTIONS]
       limpid proxy --check <FILE>

Options:
      --twemproxy <FILE>  Run as nutcracker with this nutcracker.yml; its other options may follow
      --check <FILE>      Only say whether a configuration file is good
  -h, --help              Print help
";

/// Runs the program with the arguments behind its name.
pub(crate) fn main(args: Vec<String>) -> ExitCode {
    let mut args = args.into_iter();
    match (args.next().as_deref(), args.next()) {
        (Some("--twemproxy"), Some(file)) => {
            nutcracker(["-c".to_owned(), file].into_iter().chain(args).collect())
        }
        (Some("--check"), Some(file)) => {
            nutcracker(["-t".to_owned(), "-c".to_owned(), file].into_iter().chain(args).collect())
        }
        (Some("-h" | "--help"), _) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        (Some(option @ ("--twemproxy" | "--check")), None) => {
            eprintln!("limpid proxy: {option} needs a file");
            ExitCode::FAILURE
        }
        _ => {
            eprint!("{USAGE}");
            ExitCode::FAILURE
        }
    }
}
