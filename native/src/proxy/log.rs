//! The log of a proxy, on the terminal or in a file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use limpid_core::machine::{LogLevel, LogLine};

/// A log whose lines have the format of the original program.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// Opened for each line, so that a log that was renamed is created again.
    file: Option<PathBuf>,
    /// The highest level that is written, on twemproxy's scale: 0 (emergencies, as in syslog) to 11
    /// (every byte).
    verbosity: Arc<AtomicU8>,
    zone: TimeZone,
    style: Style,
}

/// The prefix of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `[2020-11-22 17:38:01.402] nutcracker: `, to standard error.
    Nutcracker,
    /// `2020-11-22 17:38:01.402462 N predixy: `, to standard output.
    Predixy,
}

impl Log {
    /// The highest verbosity.
    pub(super) const MOST: u8 = 11;

    pub(super) fn new(file: Option<PathBuf>, verbosity: u8, style: Style) -> Log {
        let verbosity = Arc::new(AtomicU8::new(verbosity.min(Self::MOST)));
        Log { file, verbosity, zone: TimeZone::system(), style }
    }

    /// Checks that lines can be written.
    pub(super) fn check(&self) -> std::io::Result<()> {
        match &self.file {
            Some(path) => OpenOptions::new().append(true).create(true).open(path).map(drop),
            None => Ok(()),
        }
    }

    /// Raises or lowers the verbosity by one. Returns the new one.
    pub(super) fn turn(&self, up: bool) -> u8 {
        let now = self.verbosity.load(Ordering::Relaxed);
        let next = if up { (now + 1).min(Self::MOST) } else { now.saturating_sub(1) };
        self.verbosity.store(next, Ordering::Relaxed);
        next
    }

    pub(super) fn write(&self, line: &LogLine) {
        let importance = match line.level {
            LogLevel::Warning => 1,
            LogLevel::Notice => 5,
            LogLevel::Verbose => 6,
            LogLevel::Debug => 7,
        };
        if importance > self.verbosity.load(Ordering::Relaxed) {
            return;
        }
        self.emit(&self.format(line, Timestamp::now()));
    }

    /// Writes a line whatever the verbosity is.
    pub(super) fn always(&self, text: impl Into<String>) {
        let line = LogLine { level: LogLevel::Warning, role: 'P', text: text.into() };
        self.emit(&self.format(&line, Timestamp::now()));
    }

    fn format(&self, line: &LogLine, at: Timestamp) -> String {
        let at = at.to_zoned(self.zone.clone());
        match self.style {
            Style::Nutcracker => {
                format!("[{}] nutcracker: {}\n", at.strftime("%Y-%m-%d %H:%M:%S%.3f"), line.text)
            }
            Style::Predixy => {
                let level = match line.level {
                    LogLevel::Debug => 'D',
                    LogLevel::Verbose => 'I',
                    LogLevel::Notice => 'N',
                    LogLevel::Warning => 'W',
                };
                let at = at.strftime("%Y-%m-%d %H:%M:%S%.6f");
                format!("{at} {level} predixy: {}\n", line.text)
            }
        }
    }

    fn emit(&self, text: &str) {
        // An error in writing must not stop the proxy, and there is nowhere to report it.
        let _ = match &self.file {
            None if self.style == Style::Nutcracker => {
                std::io::stderr().lock().write_all(text.as_bytes())
            }
            None => {
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            Some(path) => OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .and_then(|mut file| file.write_all(text.as_bytes())),
        };
    }
}
