//! Writing to the log.

use super::{Front, Service};
use crate::machine::{LogLevel, LogLine, Output};

impl<S: Service> Front<S> {
    /// Logs a line, if its level is enabled.
    pub(crate) fn log(&mut self, level: LogLevel, text: impl FnOnce() -> String) {
        self.log_as(S::log_role(self), level, text);
    }

    /// Logs a line under another role (see [`LogLine::role`]).
    pub(crate) fn log_as(&mut self, role: char, level: LogLevel, text: impl FnOnce() -> String) {
        if self.settings().loglevel.is_some_and(|least| level >= least) {
            self.outputs.push_back(Output::Log(LogLine { level, role, text: text() }));
        }
    }

    /// Logs a line of the level `notice`.
    pub(crate) fn notice(&mut self, text: impl FnOnce() -> String) {
        self.log(LogLevel::Notice, text);
    }
}
