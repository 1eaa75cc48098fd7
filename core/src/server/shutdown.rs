//! How a server ends.

use super::Server;
use super::config::ShutdownOn;
use crate::machine::Signal;
use crate::time::Now;

/// How far the end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody wants it.
    #[default]
    No,
    /// It has been carried out.
    Done,
}

impl Server {
    pub(super) fn signal(&mut self, now: Now<'_>, signal: Signal) {
        let settings = self.config.settings();
        let (name, how) = match signal {
            Signal::Terminate => ("SIGTERM", settings.shutdown_on_sigterm),
            Signal::Interrupt => ("SIGINT", settings.shutdown_on_sigint),
        };
        self.notice(|| format!("Received {name} scheduling shutdown..."));
        self.shut_down(now, how);
    }

    /// Ends the server.
    pub(super) fn shut_down(&mut self, _now: Now<'_>, _how: ShutdownOn) {
        if self.shutdown == State::Done {
            return;
        }
        self.shutdown = State::Done;
        self.notice(|| "User requested shutdown...".to_owned());
        self.log(crate::machine::LogLevel::Warning, || {
            "Redis is now ready to exit, bye bye...".to_owned()
        });
        self.exit(0);
    }
}
