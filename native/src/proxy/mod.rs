//! `limpid proxy`, also as `nutcracker` and `predixy`: command lines, configuration files, logs.
//! The proxies themselves are in the core.

mod log;
mod nutcracker;
mod predixy;
mod run;

use std::process::ExitCode;

pub(crate) use self::nutcracker::main as nutcracker;
pub(crate) use self::predixy::main as predixy;

/// What `limpid proxy --help` says.
const USAGE: &str = "\
Run a proxy in front of many servers

Usage: limpid proxy <FILE> [OPTIONS]
       limpid proxy --twemproxy <FILE> [OPTIONS]
       limpid proxy --check <FILE>

Arguments:
  <FILE>  Run as predixy with this predixy.conf; --Name=, --Bind=, --WorkerThreads= and --LocalDC=
          may follow

Options:
      --twemproxy <FILE>  Run as nutcracker with this nutcracker.yml; its other options may follow
      --check <FILE>      Only say whether a configuration file is good: of twemproxy if its name
                          ends in .yml or .yaml, else of predixy
  -h, --help              Print help
";

/// Runs the program with the arguments that follow its name.
pub(crate) fn main(args: Vec<String>) -> ExitCode {
    match &args[..] {
        [option, file, rest @ ..] if option == "--twemproxy" => {
            let options = ["-c", file].map(str::to_owned);
            nutcracker(options.into_iter().chain(rest.iter().cloned()).collect())
        }
        [option, file] if option == "--check" => {
            if file.ends_with(".yml") || file.ends_with(".yaml") {
                return nutcracker(["-t", "-c", file].map(str::to_owned).to_vec());
            }
            predixy::check(file)
        }
        [option] if option == "-h" || option == "--help" => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        [option, ..] if option == "--twemproxy" || option == "--check" => {
            eprintln!("limpid proxy: {option} needs a file");
            ExitCode::FAILURE
        }
        [file, ..] if !file.starts_with('-') => predixy("limpid proxy", &args),
        _ => {
            eprint!("{USAGE}");
            ExitCode::FAILURE
        }
    }
}
