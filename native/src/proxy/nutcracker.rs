//! `nutcracker`: the command line of twemproxy.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;
use limpid_core::machine::Endpoint;
use limpid_core::proxy::twemproxy::{self, Config, MBUF_SIZE, VERSION, stats::DESCRIPTION};

use super::log::{Log, Style};
use super::run::run;
use crate::driver::SocketOptions;
use crate::server::daemon::{self, PidFile};

const USAGE: &str = "\
Usage: nutcracker [-?hVdDt] [-v verbosity level] [-o output file]
                  [-c conf file] [-s stats port] [-a stats addr]
                  [-i stats interval] [-p pid file] [-m mbuf size]

Options:
  -h, --help             : this help
  -V, --version          : show version and exit
  -t, --test-conf        : test configuration for syntax errors and exit
  -d, --daemonize        : run as a daemon
  -D, --describe-stats   : print stats description and exit
  -v, --verbose=N        : set logging level (default: 5, min: 0, max: 11)
  -o, --output=S         : set logging file (default: stderr)
  -c, --conf-file=S      : set configuration file (default: conf/nutcracker.yml)
  -s, --stats-port=N     : set stats monitoring port (default: 22222)
  -a, --stats-addr=S     : set stats monitoring ip (default: 0.0.0.0)
  -i, --stats-interval=N : set stats aggregation interval in msec (default: 30000 msec)
  -p, --pid-file=S       : set pid file (default: off)
  -m, --mbuf-size=N      : set size of mbuf chunk in bytes (default: 16384 bytes)
";

/// The TCP keepalive time: the default of the operating system.
const KEEPALIVE: Duration = Duration::from_secs(7200);

/// The smallest and the largest size of an mbuf chunk, in bytes.
const MBUF_RANGE: std::ops::RangeInclusive<u32> = 512..=16 << 20;

/// A parsed command line.
#[derive(Debug)]
struct Arguments {
    show: Option<Show>,
    test: bool,
    daemonize: bool,
    verbosity: u8,
    output: Option<PathBuf>,
    file: String,
    stats_port: u16,
    stats_addr: String,
    pidfile: Option<String>,
    mbuf_size: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Help,
    Version,
    Stats,
}

/// Runs the program with the arguments that follow its name.
pub(crate) fn main(args: Vec<String>) -> ExitCode {
    let args = match Arguments::parse(args) {
        Ok(args) => args,
        Err(error) => {
            eprint!("nutcracker: {error}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(show) = args.show {
        eprintln!("This is nutcracker-{VERSION} (Limpid {})", env!("CARGO_PKG_VERSION"));
        eprintln!(
            "async event backend: {}\n",
            if cfg!(target_os = "linux") { "epoll" } else { "kqueue" }
        );
        match show {
            Show::Help => eprint!("{USAGE}"),
            Show::Stats => eprint!("{DESCRIPTION}"),
            Show::Version => {}
        }
        return ExitCode::SUCCESS;
    }
    let file = &args.file;
    let config = match load(file) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}\nnutcracker: configuration file '{file}' syntax is invalid");
            return ExitCode::FAILURE;
        }
    };
    if args.test {
        eprintln!("nutcracker: configuration file '{file}' syntax is ok");
        return ExitCode::SUCCESS;
    }
    start(args, config).unwrap_or_else(|error| {
        eprintln!("nutcracker: {error:#}");
        ExitCode::FAILURE
    })
}

fn load(file: &str) -> Result<Config, String> {
    let text = std::fs::read(file)
        .map_err(|e| format!("conf: failed to open configuration '{file}': {e}"))?;
    Config::parse(file, &String::from_utf8_lossy(&text)).map_err(|error| error.to_string())
}

fn start(args: Arguments, config: Config) -> anyhow::Result<ExitCode> {
    if args.daemonize && !daemon::is_daemon() {
        return Ok(daemon::start(&[])?);
    }
    let log = Log::new(args.output, args.verbosity, Style::Nutcracker);
    log.check().map_err(|e| anyhow::anyhow!("opening log file failed: {e}"))?;
    if args.daemonize {
        daemon::detach();
    }
    let ip: IpAddr = match args.stats_addr.as_str() {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        text => text.parse().map_err(|_| {
            anyhow::anyhow!("option -a value '{text}' is not an address, for example 127.0.0.1")
        })?,
    };
    let node = rustix::system::uname();
    let file = std::path::absolute(&args.file)?;
    let options = twemproxy::Options {
        file: file.to_string_lossy().into_owned(),
        stats: Some(Endpoint::Ip((ip, args.stats_port).into())),
        mbuf_size: args.mbuf_size,
        source: node.nodename().to_string_lossy().into_owned(),
        // The standard library's hashers are seeded by the operating system.
        seed: RandomState::new().hash_one(std::process::id()),
    };
    let sockets = SocketOptions {
        keepalive: config.pools.iter().any(|pool| pool.tcpkeepalive).then_some(KEEPALIVE),
        unix_mode: config.pools.iter().find_map(|pool| pool.mode),
    };
    let pidfile = args.pidfile.as_deref().map(PidFile::create).transpose();
    let pidfile = pidfile.map_err(|e| anyhow::anyhow!("opening pid file failed: {e}"))?;
    let pid = std::process::id();
    log.always(format!("nutcracker-{VERSION} started on pid {pid}"));
    let code = run(twemproxy::machine(config, options), sockets, &log, || {
        if args.daemonize
            && let Err(e) = daemon::announce()
        {
            log.always(format!("cannot detach from the terminal: {e}"));
        }
    });
    drop(pidfile);
    code
}

impl Arguments {
    fn parse(args: Vec<String>) -> Result<Arguments, String> {
        let mut parsed = Arguments {
            show: None,
            test: false,
            daemonize: false,
            verbosity: 5,
            output: None,
            file: "conf/nutcracker.yml".to_owned(),
            stats_port: 22222,
            stats_addr: "0.0.0.0".to_owned(),
            pidfile: None,
            mbuf_size: MBUF_SIZE,
        };
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
            let letter = match arg {
                Short(letter) => letter,
                Long(name) => named(name)?,
                // Arguments that are no options are ignored.
                Value(_) => continue,
            };
            match letter {
                'h' => parsed.show = Some(Show::Help),
                'V' => {
                    parsed.show = parsed.show.or(Some(Show::Version));
                }
                'D' => parsed.show = Some(Show::Stats),
                't' => parsed.test = true,
                'd' => parsed.daemonize = true,
                'v' => {
                    let level = number(&mut parser, 'v')?;
                    parsed.verbosity = u8::try_from(level).unwrap_or(Log::MOST);
                }
                'o' => {
                    parsed.output = Some(text(&mut parser, 'o', "a file name")?.into());
                }
                'c' => parsed.file = text(&mut parser, 'c', "a file name")?,
                's' => {
                    let port = number(&mut parser, 's')?;
                    parsed.stats_port = u16::try_from(port)
                        .ok()
                        .filter(|port| *port > 0)
                        .ok_or_else(|| format!("option -s value {port} is not a valid port"))?;
                }
                // The interval of statistics: ignored, since they are computed for each request.
                'i' => drop(number(&mut parser, 'i')?),
                'a' => {
                    parsed.stats_addr = text(&mut parser, 'a', "a string")?;
                }
                'p' => {
                    parsed.pidfile = Some(text(&mut parser, 'p', "a file name")?);
                }
                'm' => {
                    let size = number(&mut parser, 'm')?;
                    if !MBUF_RANGE.contains(&size) {
                        return Err(format!(
                            "mbuf chunk size must be between {} and {} bytes",
                            MBUF_RANGE.start(),
                            MBUF_RANGE.end()
                        ));
                    }
                    parsed.mbuf_size = size as usize;
                }
                letter => return Err(format!("invalid option -- '{letter}'")),
            }
        }
        Ok(parsed)
    }
}

/// The long names of the options and their letters.
const NAMES: [(&str, char); 13] = [
    ("help", 'h'),
    ("version", 'V'),
    ("test-conf", 't'),
    ("daemonize", 'd'),
    ("describe-stats", 'D'),
    ("verbose", 'v'),
    ("output", 'o'),
    ("conf-file", 'c'),
    ("stats-port", 's'),
    ("stats-interval", 'i'),
    ("stats-addr", 'a'),
    ("pid-file", 'p'),
    ("mbuf-size", 'm'),
];

/// The letter of a long option, which may be abbreviated while it is unambiguous.
fn named(name: &str) -> Result<char, String> {
    let exact = NAMES.iter().find(|(long, _)| *long == name);
    let mut begun = NAMES.iter().filter(|(long, _)| long.starts_with(name));
    match exact.or_else(|| begun.next().filter(|_| begun.next().is_none())) {
        Some((_, letter)) => Ok(*letter),
        None => Err(format!("invalid option -- '{name}'")),
    }
}

fn text(parser: &mut lexopt::Parser, option: char, what: &str) -> Result<String, String> {
    let value = parser.value().map_err(|_| format!("option -{option} requires {what}"))?;
    value.string().map_err(|_| format!("option -{option} requires {what}"))
}

fn number(parser: &mut lexopt::Parser, option: char) -> Result<u32, String> {
    let value = text(parser, option, "a number")?;
    value.parse().map_err(|_| format!("option -{option} requires a number"))
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_long_option_may_be_cut_as_far_as_it_is_clear() {
        assert_eq!(named("verbose"), Ok('v'));
        assert_eq!(named("verb"), Ok('v'));
        assert_eq!(named("stats-p"), Ok('s'));
        assert_eq!(named("ver"), Err("invalid option -- 'ver'".to_owned()));
        assert_eq!(named("nosuch"), Err("invalid option -- 'nosuch'".to_owned()));
    }
}
