//! The AOF manifest: which files make up the append-only file, and in what order they are read.
//!
//! It has one line per file: `file appendonly.aof.1.base.rdb seq 1 type b`.

use core::fmt::{self, Write};

use crate::resp::quote::{repr, split_args};

/// The longest line, including its end: Redis's `MANIFEST_MAX_LINE`.
const MAX_LINE: usize = 1024;

/// The suffix of incremental files.
const INCR_SUFFIX: &str = ".incr.aof";

/// A parsed manifest: the files that make up the append-only file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The base file: all data at the time of the last rewrite.
    pub base: Option<Part>,
    /// Files that a rewrite has made obsolete and that are still to be deleted.
    pub history: Vec<Part>,
    /// The incremental files: commands since then, oldest file first.
    pub incr: Vec<Part>,
    /// The highest sequence number of any base file so far.
    base_seq: i64,
    /// The highest sequence number of any incremental file so far.
    incr_seq: i64,
}

/// A file of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name within the directory.
    pub name: String,
    /// Its sequence number among those of its type.
    pub seq: i64,
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `b`: a base file, with all data at one moment.
    Base,
    /// `h`: a history file, which is obsolete.
    History,
    /// `i`: an incremental file, with commands.
    Incr,
}

/// Why a manifest is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The invalid line with its number from 1, if it is a single line.
    pub line: Option<(usize, String)>,
    /// The reason, in Redis's words.
    pub reason: &'static str,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((number, line)) = &self.line {
            write!(f, "line {number} '{line}': ")?;
        }
        f.write_str(self.reason)
    }
}

impl core::error::Error for ManifestError {}

impl ManifestError {
    /// The lines that Redis logs for this error.
    pub fn log_lines(&self) -> Vec<String> {
        let mut lines = vec!["*** FATAL AOF MANIFEST FILE ERROR ***".to_owned()];
        if let Some((number, line)) = &self.line {
            lines.push(format!("Reading the manifest file, at line {number}"));
            lines.push(format!(">>> '{line}'"));
        }
        lines.push(self.reason.to_owned());
        lines
    }
}

impl Manifest {
    /// Parses a manifest.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let whole = |reason| ManifestError { line: None, reason };
        if text.is_empty() {
            return Err(whole("Found an empty AOF manifest"));
        }
        let mut manifest = Manifest::default();
        for (index, line) in lines(text).enumerate() {
            if line.first() == Some(&b'#') {
                continue;
            }
            if line.last() != Some(&b'\n') {
                return Err(whole("The AOF manifest file contains too long line"));
            }
            let line = line.trim_ascii();
            manifest.add_line(line).map_err(|reason| ManifestError {
                line: Some((index + 1, String::from_utf8_lossy(line).into_owned())),
                reason,
            })?;
        }
        manifest.count_history();
        Ok(manifest)
    }

    /// Takes history files into account, so that no new file gets the name of one: where they are
    /// kept (`aof-disable-auto-gc`), they may be the only ones that show the highest sequence
    /// number.
    fn count_history(&mut self) {
        for part in &self.history {
            let seq = match part.name.ends_with(INCR_SUFFIX) {
                true => &mut self.incr_seq,
                false => &mut self.base_seq,
            };
            *seq = part.seq.max(*seq);
        }
    }

    fn add_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        const INVALID: &str = "Invalid AOF manifest file format";
        let words = split_args(line).ok_or(INVALID)?;
        // Additional words may come from a newer version.
        if words.len() < 6 || words.len() % 2 == 1 {
            return Err(INVALID);
        }
        let (mut name, mut seq, mut kind) = (None, 0, None);
        for pair in words.chunks_exact(2) {
            let (key, value) = (&pair[0], &pair[1]);
            if key.eq_ignore_ascii_case(b"file") {
                if value.contains(&b'/') || value.contains(&b'\\') {
                    return Err("File can't be a path, just a filename");
                }
                name = Some(String::from_utf8_lossy(value).into_owned());
            } else if key.eq_ignore_ascii_case(b"seq") {
                seq = leading_number(value);
            } else if key.eq_ignore_ascii_case(b"type") {
                kind = value.first().copied();
            }
        }
        let (Some(name), Some(kind), true) = (name, kind, seq != 0) else { return Err(INVALID) };
        let part = Part { name, seq };
        match kind {
            b'b' if self.base.is_some() => return Err("Found duplicate base file information"),
            b'b' => {
                self.base_seq = seq;
                self.base = Some(part);
            }
            b'h' => self.history.push(part),
            b'i' if seq <= self.incr_seq => return Err("Found a non-monotonic sequence number"),
            b'i' => {
                self.incr_seq = seq;
                self.incr.push(part);
            }
            _ => return Err("Unknown AOF file type"),
        }
        Ok(())
    }

    /// The text of the manifest.
    pub fn format(&self) -> String {
        let mut text = String::new();
        let mut add = |part: &Part, kind| {
            let name = if needs_quotes(&part.name) {
                repr(part.name.as_bytes())
            } else {
                part.name.clone()
            };
            // Writing to a string does not fail.
            let _ = writeln!(text, "file {name} seq {} type {kind}", part.seq);
        };
        self.base.iter().for_each(|part| add(part, 'b'));
        self.history.iter().for_each(|part| add(part, 'h'));
        self.incr.iter().for_each(|part| add(part, 'i'));
        text
    }

    /// Whether there are no base and incremental files.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.incr.is_empty()
    }

    /// The base and incremental files, in the order in which they are read.
    pub fn parts(&self) -> impl Iterator<Item = (Kind, &Part)> {
        let base = self.base.iter().map(|part| (Kind::Base, part));
        base.chain(self.incr.iter().map(|part| (Kind::Incr, part)))
    }

    /// Replaces the base file by a new one; the previous one becomes history. Its name is derived
    /// from that of the append-only file. Returns the name.
    pub fn new_base(&mut self, filename: &str, rdb: bool) -> String {
        if let Some(before) = self.base.take() {
            self.history.insert(0, before);
        }
        self.base_seq = self.base_seq.saturating_add(1);
        let suffix = if rdb { "rdb" } else { "aof" };
        let name = format!("{filename}.{}.base.{suffix}", self.base_seq);
        self.base = Some(Part { name: name.clone(), seq: self.base_seq });
        name
    }

    /// Makes the append-only file of an older version the base file.
    pub fn adopt_base(&mut self, filename: &str) {
        self.base_seq = 1;
        self.base = Some(Part { name: filename.to_owned(), seq: 1 });
    }

    /// Adds a new incremental file at the end. Returns its name.
    pub fn new_incr(&mut self, filename: &str) -> String {
        self.incr_seq = self.incr_seq.saturating_add(1);
        let name = format!("{filename}.{}{INCR_SUFFIX}", self.incr_seq);
        self.incr.push(Part { name: name.clone(), seq: self.incr_seq });
        name
    }

    /// Moves all incremental files except the last `kept` to the history.
    pub fn retire_incr(&mut self, kept: usize) {
        let gone = self.incr.len().saturating_sub(kept);
        for part in self.incr.drain(..gone).rev() {
            self.history.insert(0, part);
        }
    }
}

/// The name of the manifest of an append-only file.
pub fn manifest_name(filename: &str) -> String {
    format!("{filename}.manifest")
}

/// The name of the incremental file that is written while the first base file is created.
pub fn temp_incr_name(filename: &str) -> String {
    format!("temp-{filename}.incr")
}

/// Splits a text into lines with their ends; a line that is too long is split into pieces without
/// an end.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let most = rest.len().min(MAX_LINE);
        let end = match rest.iter().take(most).position(|c| *c == b'\n') {
            Some(end) => end + 1,
            None => most,
        };
        let (line, behind) = rest.split_at(end);
        rest = behind;
        Some(line).filter(|line| !line.is_empty())
    })
}

/// The number at the beginning of a text, as C's `atoll` reads it.
fn leading_number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut number = 0i64;
    for digit in digits.iter().take_while(|c| c.is_ascii_digit()) {
        number = number.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    }
    if negative { -number } else { number }
}

fn needs_quotes(name: &str) -> bool {
    name.bytes().any(|c| matches!(c, b'\\' | b'"' | b'\'') || !c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(text: &str) -> (Option<usize>, &'static str) {
        let error = Manifest::parse(text.as_bytes()).expect_err("an error");
        (error.line.map(|(number, _)| number), error.reason)
    }

    #[test]
    fn manifests_round_trip() {
        let mut manifest = Manifest::default();
        assert_eq!(manifest.new_base("appendonly.aof", true), "appendonly.aof.1.base.rdb");
        assert_eq!(manifest.new_incr("appendonly.aof"), "appendonly.aof.1.incr.aof");
        assert_eq!(manifest.new_incr("appendonly.aof"), "appendonly.aof.2.incr.aof");
        assert_eq!(manifest.new_base("append only.aof", false), "append only.aof.2.base.aof");
        manifest.retire_incr(1);
        let text = manifest.format();
        assert_eq!(
            text,
            "file \"append only.aof.2.base.aof\" seq 2 type b\n\
             file appendonly.aof.1.incr.aof seq 1 type h\n\
             file appendonly.aof.1.base.rdb seq 1 type h\n\
             file appendonly.aof.2.incr.aof seq 2 type i\n"
        );
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
    }

    #[test]
    fn sequence_numbers_of_history_files_are_not_reused() {
        let text = "file a.3.base.rdb seq 3 type b\nfile a.9.incr.aof seq 9 type h\n\
                    file a.7.base.rdb seq 7 type h\n";
        let mut manifest = Manifest::parse(text.as_bytes()).expect("a good manifest");
        assert_eq!(manifest.new_incr("a"), "a.10.incr.aof");
        assert_eq!(manifest.new_base("a", true), "a.8.base.rdb");
    }

    #[test]
    fn fields_of_newer_versions_are_skipped() {
        let text = "# a comment\nFILE a SEQ 7 new thing TYPE i\n";
        let manifest = Manifest::parse(text.as_bytes()).expect("a good manifest");
        assert_eq!(manifest.incr, [Part { name: "a".into(), seq: 7 }]);
        assert_eq!(manifest.clone().new_incr("b"), "b.8.incr.aof");
    }

    #[test]
    fn errors_are_those_of_redis() {
        const INVALID: &str = "Invalid AOF manifest file format";
        assert_eq!(reason(""), (None, "Found an empty AOF manifest"));
        assert_eq!(reason("\n"), (Some(1), INVALID));
        assert_eq!(reason("file a seq 1\n"), (Some(1), INVALID));
        assert_eq!(reason("file a seq 1 type b x\n"), (Some(1), INVALID));
        assert_eq!(reason("file a seq x type b\n"), (Some(1), INVALID));
        assert_eq!(reason("file a seq 1 typo b\n"), (Some(1), INVALID));
        assert_eq!(
            reason("file a/b seq 1 type b\n"),
            (Some(1), "File can't be a path, just a filename")
        );
        assert_eq!(reason("file a seq 1 type x\n"), (Some(1), "Unknown AOF file type"));
        assert_eq!(
            reason("file a seq 1 type b\nfile b seq 2 type b\n"),
            (Some(2), "Found duplicate base file information")
        );
        assert_eq!(
            reason("file a seq 2 type i\nfile b seq 2 type i\n"),
            (Some(2), "Found a non-monotonic sequence number")
        );
        let long = format!("file {} seq 1 type i\n", "a".repeat(1024));
        assert_eq!(reason(&long), (None, "The AOF manifest file contains too long line"));
        assert_eq!(
            reason("file a seq 1 type i"),
            (None, "The AOF manifest file contains too long line")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: Vec<u8>) {
            let _ = Manifest::parse(&text);
        }

        #[test]
        fn names_of_any_letters_come_back(name in "[^/\\\\\n]{1,40}") {
            let mut manifest = Manifest::default();
            manifest.adopt_base(&name);
            prop_assert_eq!(Manifest::parse(manifest.format().as_bytes()), Ok(manifest));
        }
    }
}
