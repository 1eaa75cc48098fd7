//! Writer for the text of INFO.

use core::fmt::{Display, Write as _};

/// Writer for the text of INFO.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Begins a section.
    pub(crate) fn section(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        // Writing to a string does not fail.
        let _ = write!(self.0, "# {name}\r\n");
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// Writes a field of the section.
    pub(crate) fn field(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    /// Writes a number of bytes, and a second field with the human-readable form.
    pub(crate) fn bytes(&mut self, name: &str, value: u64) {
        self.field(name, value);
        self.field(&format!("{name}_human"), human(value));
    }
}

/// A number of bytes in human-readable form: `1.50M`.
pub(crate) fn human(bytes: u64) -> String {
    let units = [(1u64 << 50, 'P'), (1 << 40, 'T'), (1 << 30, 'G'), (1 << 20, 'M'), (1 << 10, 'K')];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, letter)) => format!("{:.2}{letter}", bytes as f64 / unit as f64),
        None => format!("{bytes}B"),
    }
}
