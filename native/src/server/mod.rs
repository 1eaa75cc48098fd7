//! `limpid server`, also as `redis-server`: from the command line to a running machine. Reads the
//! configuration, daemonizes, opens the log, raises limits, and hands the machine to the driver.
//!
//! Most directives take effect in the machine, not here. A Sentinel is started in the same way
//! (`sentinel`).

mod crash;
pub(crate) mod daemon;
mod limits;
mod log;
mod options;
mod sentinel;
mod signals;

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Error, Result};
use limpid_core::machine::{LogLevel, Machine, SIGNALLED};
use limpid_core::server::config::{Config, FrontSettings};
use limpid_core::server::{Facts, Server};

use self::daemon::PidFile;
pub(crate) use self::log::Log;
use self::options::{Loaded, Request, Sources, strerror};
use crate::driver::{Driver, SocketOptions};

/// The default pid file of a daemon.
const DEFAULT_PIDFILE: &str = "/var/run/redis.pid";

/// Runs a Sentinel with the arguments that follow its name.
pub(crate) fn sentinel_main(program: &str, mut args: Vec<String>) -> ExitCode {
    args.push("--sentinel".to_owned());
    main(program, args)
}

/// Runs the program with the arguments that follow its name.
pub(crate) fn main(program: &str, args: Vec<String>) -> ExitCode {
    match Request::parse(args) {
        Request::Version => println!("{}", options::version()),
        Request::Help => print!("{}", options::help(program)),
        Request::TestMemory => {
            eprintln!("Limpid does not test memory. Use memtest86 or `memtester` for that.");
            return ExitCode::FAILURE;
        }
        Request::CheckSystem => return check_system(),
        Request::Run(mut sources) => {
            let start = if sources.take_sentinel() { sentinel::start } else { start };
            return start(&sources).unwrap_or_else(|error| {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            });
        }
    }
    ExitCode::SUCCESS
}

/// Callbacks for the start of a server.
#[derive(Default)]
pub(crate) struct Milestones {
    /// Called once the listeners are open.
    pub(crate) listening: Option<Box<dyn FnOnce()>>,
    /// Called once clients are served.
    pub(crate) ready: Option<Box<dyn FnOnce()>>,
}

/// Runs a server with this configuration in this process. Returns when the server ends.
pub(crate) fn run(mut config: Config, log: Log, milestones: Milestones) -> Result<ExitCode> {
    crash::report_to(log.clone());
    let clients = config.front().maxclients;
    match limits::make_room_for(clients, &log) {
        Some(fit) if fit == clients => {}
        Some(fit) => config.set("maxclients", fit.to_string().as_bytes()).map_err(Error::msg)?,
        None => return Ok(ExitCode::FAILURE),
    }
    let options = socket_options(config.front());
    drive(Server::new(config, facts()), options, log, milestones)
}

/// Runs a machine on the driver. Returns when the machine ends.
fn drive<M: Machine + 'static>(
    machine: M,
    options: SocketOptions,
    log: Log,
    mut milestones: Milestones,
) -> Result<ExitCode> {
    let listening = Rc::new(Cell::new(milestones.listening.take()));
    let reached = Rc::clone(&listening);
    let lines = log.clone();
    let driver = Driver::new(machine, options, move |line| {
        // Tools wait for this log line, so `listening` is called before it is written.
        let ready = is_ready(&line.text);
        if ready {
            pass(reached.take());
        }
        lines.write(&line);
        if ready {
            pass(milestones.ready.take());
        }
    })?;
    signals::watch(driver.mailbox(), log.clone())?;
    let code = driver.run(|| pass(listening.take()))?;
    if code > SIGNALLED {
        crash::end_by(&log, code - SIGNALLED);
    }
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Whether a line of the log says that clients are served.
fn is_ready(text: &str) -> bool {
    text.starts_with("Ready to accept connections") || text.starts_with("Sentinel ID is ")
}

fn pass(milestone: Option<Box<dyn FnOnce()>>) {
    if let Some(milestone) = milestone {
        milestone();
    }
}

fn start(sources: &Sources) -> Result<ExitCode> {
    let Loaded { config, stdin } = sources.load()?;
    let settings = config.front().clone();
    prepare(&settings, &stdin, |log, milestones| run(config, log, milestones))
}

/// Sets the process up as the configuration says (daemon, directory, log, pid file), then runs the
/// program.
fn prepare(
    settings: &FrontSettings,
    stdin: &[u8],
    run: impl FnOnce(Log, Milestones) -> Result<ExitCode>,
) -> Result<ExitCode> {
    if settings.daemonize && !daemon::is_daemon() {
        return daemon::start(stdin).context("Can't start a daemon");
    }
    std::env::set_current_dir(&settings.dir)
        .map_err(|e| Error::msg(format!("Can't chdir to '{}': {}", settings.dir, strerror(&e))))?;
    let mut log = Log::new(&settings.logfile, settings.loglevel);
    log.check().map_err(|e| Error::msg(format!("Can't open the log file: {}", strerror(&e))))?;
    if settings.daemonize {
        daemon::detach();
        log.leave_terminal();
    }
    if supervised(settings) {
        log.own(
            LogLevel::Notice,
            "supervised by systemd. Please make sure you set appropriate values for \
             TimeoutStartSec and TimeoutStopSec in your service unit.",
        );
    }

    let pidfile = settings.pidfile.clone().or(settings.daemonize.then(|| DEFAULT_PIDFILE.into()));
    let written = Rc::new(Cell::new(None));
    let milestones = Milestones {
        listening: Some(Box::new({
            let (written, log, daemonize) = (Rc::clone(&written), log.clone(), settings.daemonize);
            move || {
                if let Some(path) = pidfile {
                    match PidFile::create(&path) {
                        Ok(file) => written.set(Some(file)),
                        Err(e) => {
                            let text = format!("Failed to write PID file: {}", strerror(&e));
                            log.own(LogLevel::Warning, text);
                        }
                    }
                }
                if daemonize && let Err(e) = daemon::announce() {
                    let text = format!("Can't detach from the terminal: {}", strerror(&e));
                    log.own(LogLevel::Warning, text);
                }
            }
        })),
        ready: supervised(settings).then(|| -> Box<dyn FnOnce()> {
            let log = log.clone();
            Box::new(move || {
                let state = "STATUS=Ready to accept connections\nREADY=1\n";
                if let Err(e) = daemon::notify_systemd(state) {
                    let text = format!("Can't notify systemd: {}", strerror(&e));
                    log.own(LogLevel::Warning, text);
                }
            })
        }),
    };
    let code = run(log, milestones);
    // The process exits without running destructors, so the pid file is removed here.
    drop(written.take());
    code
}

fn supervised(settings: &FrontSettings) -> bool {
    let wanted = matches!(settings.supervised.as_str(), "auto" | "systemd");
    wanted && std::env::var_os("NOTIFY_SOCKET").is_some()
}

fn socket_options(settings: &FrontSettings) -> SocketOptions {
    SocketOptions {
        keepalive: (settings.tcp_keepalive > 0)
            .then(|| Duration::from_secs(settings.tcp_keepalive.into())),
        unix_mode: (settings.unixsocketperm > 0).then_some(settings.unixsocketperm),
    }
}

/// Facts about the process and the system, which the machine cannot find out by itself.
fn facts() -> Facts {
    let uname = rustix::system::uname();
    let part = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let path = |path: std::io::Result<std::path::PathBuf>| {
        path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
    };
    Facts {
        // The standard library's hashers are seeded by the operating system.
        seed: RandomState::new().hash_one(std::process::id()),
        pid: std::process::id(),
        executable: path(std::env::current_exe()),
        directory: path(std::env::current_dir()),
        os: [part(uname.sysname()), part(uname.release()), part(uname.machine())].join(" "),
        arch_bits: usize::BITS,
        multiplexing: if cfg!(target_os = "linux") { "epoll" } else { "kqueue" }.into(),
        terminal: std::io::stdout().is_terminal(),
        // A variable that is not UTF-8 is left out.
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    }
}

/// `--check-system`: reports settings of this host that may slow a server down.
fn check_system() -> ExitCode {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let clock = read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let backlog: u32 = read("/proc/sys/net/core/somaxconn").trim().parse().unwrap_or(u32::MAX);
    let wanted = Config::default().front().tcp_backlog;
    let checks = [
        (
            "slow-clocksource",
            matches!(clock.trim(), "xen" | "hpet" | "acpi_pm"),
            format!(
                "The clock source '{}' is slow to read, which every command pays for. Prefer tsc \
                 or kvm-clock.",
                clock.trim()
            ),
        ),
        (
            "somaxconn",
            backlog < wanted,
            format!(
                "/proc/sys/net/core/somaxconn is {backlog}, so a backlog of {wanted} cannot be had \
                 and storms of connections may be refused."
            ),
        ),
    ];
    let mut code = ExitCode::SUCCESS;
    for (name, bad, advice) in checks {
        println!("[{name}]...{}", if bad { "WARNING:" } else { "OK" });
        if bad {
            println!("{advice}\n");
            code = ExitCode::FAILURE;
        }
    }
    code
}
