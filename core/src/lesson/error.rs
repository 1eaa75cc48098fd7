//! Errors in a lesson file.

use core::fmt;

/// An error in a lesson file: its line, its reason, and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LessonError {
    /// The line of the file, counted from 1.
    pub line: usize,
    /// The reason.
    pub what: String,
    /// The remedy.
    pub remedy: String,
}

impl LessonError {
    pub(super) fn new(line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        LessonError { line, what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for LessonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}; {}", self.line, self.what, self.remedy)
    }
}

impl core::error::Error for LessonError {}
