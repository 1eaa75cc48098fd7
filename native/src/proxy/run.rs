//! Runs a proxy's machine on the driver, and handles its signals.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use limpid_core::machine::{Machine, SIGNALLED, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTTIN, SIGTTOU};
use signal_hook::iterator::Signals;

use super::log::Log;
use crate::driver::{Driver, Mailbox, Message, SocketOptions};

/// Runs a machine until it ends. `started` is called once its listeners are open.
pub(super) fn run(
    machine: impl Machine,
    options: SocketOptions,
    log: &Log,
    started: impl FnOnce(),
) -> Result<ExitCode> {
    allow_many_files();
    let lines = log.clone();
    let driver = Driver::new(machine, options, move |line| lines.write(&line))
        .context("cannot start the event loop")?;
    watch(driver.mailbox(), log.clone()).context("cannot watch signals")?;
    let code = driver.run(started)?;
    // A signal that asks the process to end is no failure.
    let code = if code > SIGNALLED { 0 } else { code };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Handles signals: SIGTTIN and SIGTTOU raise and lower the log's verbosity, all others go to the
/// machine.
fn watch(mailbox: Arc<Mailbox>, log: Log) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGTTIN, SIGTTOU])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let signal = match signal {
                SIGTTIN => {
                    log.always(format!("up log level to {}", log.turn(true)));
                    continue;
                }
                SIGTTOU => {
                    log.always(format!("down log level to {}", log.turn(false)));
                    continue;
                }
                SIGHUP => Signal::Hangup,
                SIGINT => Signal::Interrupt,
                _ => Signal::Terminate,
            };
            mailbox.put([Message::Signal(signal)]);
        }
    })?;
    Ok(())
}

/// Raises the limit of open files to the hard limit, since each client needs one.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // If it is not permitted, the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
