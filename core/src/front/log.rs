//! Lines for the log.

use super::{Front, Service};
use crate::machine::{LogLevel, LogLine, Output};

impl<S: Service> Front<S> {
    /// Writes a line to the log, if its level is wanted.
    pub(crate) fn log(&mut self, level: LogLevel, text: impl FnOnce() -> String) {
        self.log_as(S::log_role(self), level, text);
    }

    /// Writes a line to the log under another role (see [`LogLine::role`]).
    pub(crate) fn log_as(&mut self, role: char, level: LogLevel, text: impl FnOnce() -> String) {
        if self.settings().loglevel.is_some_and(|least| level >= least) {
            self.outputs.push_back(Output::Log(LogLine { level, role, text: text() }));
        }
    }

    /// Writes a line of the level `notice` to the log.
    pub(crate) fn notice(&mut self, text: impl FnOnce() -> String) {
        self.log(LogLevel::Notice, text);
    }
}
