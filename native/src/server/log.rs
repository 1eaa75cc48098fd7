//! The log in Redis's format, on standard output or in a file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use jiff::{Timestamp, tz::TimeZone};
use limpid_core::machine::{LogLevel, LogLine};

/// Where log lines go.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    target: Target,
    /// Less important lines are not written; `None` writes nothing.
    threshold: Option<LogLevel>,
    pid: u32,
    zone: TimeZone,
}

#[derive(Debug, Clone)]
enum Target {
    Stdout,
    /// Opened for each line, so that a log rotated by renaming needs no signal.
    File(PathBuf),
    /// A daemon without a log file.
    Nowhere,
}

impl Log {
    /// Creates a log that writes to a file, or to standard output if `logfile` is empty.
    pub(crate) fn new(logfile: &str, threshold: Option<LogLevel>) -> Self {
        let target = match logfile {
            "" => Target::Stdout,
            path => Target::File(path.into()),
        };
        Log { target, threshold, pid: std::process::id(), zone: TimeZone::system() }
    }

    /// Discards the log lines of a daemon that would go to standard output.
    pub(crate) fn leave_terminal(&mut self) {
        if matches!(self.target, Target::Stdout) {
            self.target = Target::Nowhere;
        }
    }

    /// Whether lines go to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.target, Target::Stdout)
    }

    /// Checks that lines can be written.
    pub(crate) fn check(&self) -> std::io::Result<()> {
        match &self.target {
            Target::File(path) => append(path).map(drop),
            Target::Stdout | Target::Nowhere => Ok(()),
        }
    }

    /// Writes a line of the process itself, before the machine runs and has a role.
    pub(crate) fn own(&self, level: LogLevel, text: impl Into<String>) {
        if self.threshold.is_some_and(|threshold| level >= threshold) {
            self.write(&LogLine { level, role: 'C', text: text.into() });
        }
    }

    /// Writes a line of the machine, which filters by its own `loglevel`.
    pub(crate) fn write(&self, line: &LogLine) {
        self.emit(self.format(line, Timestamp::now()).as_bytes());
    }

    /// Writes text unchanged: a logo, a crash report.
    pub(crate) fn emit(&self, text: &[u8]) {
        // An error in writing must not stop the server, and there is nowhere to report it.
        let _ = match &self.target {
            Target::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(text).and_then(|()| out.flush())
            }
            Target::File(path) => append(path).and_then(|mut file| file.write_all(text)),
            Target::Nowhere => Ok(()),
        };
    }

    fn format(&self, line: &LogLine, at: Timestamp) -> String {
        let date = at.to_zoned(self.zone.clone()).strftime("%d %b %Y %H:%M:%S%.3f");
        format!("{}:{} {date} {} {}\n", self.pid, line.role, line.level.mark(), line.text)
    }
}

fn append(path: &PathBuf) -> std::io::Result<std::fs::File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_that_log_readers_of_redis_know() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let log = Log { target: Target::Nowhere, threshold: None, pid: 4711, zone };
        let line =
            LogLine { level: LogLevel::Notice, role: 'M', text: "Server initialized".into() };
        let at = Timestamp::from_millisecond(1_795_137_073_007).expect("a date");
        let expected = "4711:M 20 Nov 2026 09:11:13.007 * Server initialized\n";
        assert_eq!(log.format(&line, at), expected);
    }

    #[test]
    fn a_log_file_that_was_moved_away_is_begun_anew() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("limpid.log");
        let log = Log::new(path.to_str().expect("UTF-8"), Some(LogLevel::Notice));
        log.own(LogLevel::Notice, "one");
        std::fs::rename(&path, dir.path().join("old.log")).expect("rotated");
        log.own(LogLevel::Warning, "two");
        let text = std::fs::read_to_string(&path).expect("a new log");
        assert!(text.ends_with(" # two\n") && !text.contains("one"), "{text}");
    }
}
