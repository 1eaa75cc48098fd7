//! The signal handlers of a server.

use std::io;
use std::sync::Arc;

use limpid_core::machine::{LogLevel, Signal};
use signal_hook::consts::{SIGABRT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::log::Log;
use crate::driver::{Mailbox, Message};

/// Passes SIGTERM and SIGINT to the machine. A second SIGINT ends the process at once if the
/// machine is too busy to have taken the first. SIGHUP is ignored, as in Redis, and SIGPIPE by
/// Rust's runtime. SIGABRT writes a crash report before it ends the process.
pub(crate) fn watch(mailbox: Arc<Mailbox>, log: Log) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGABRT])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGINT if mailbox.holds_signal() => {
                    log.own(LogLevel::Warning, "You insist... exiting now.");
                    std::process::exit(1);
                }
                SIGINT => mailbox.put([Message::Signal(Signal::Interrupt)]),
                SIGABRT => super::crash::end_by(&log, SIGABRT),
                SIGTERM => mailbox.put([Message::Signal(Signal::Terminate)]),
                _ => {}
            }
        }
    })?;
    Ok(())
}
