//! The configuration: every directive of Redis 7.2, read from files and arguments as Redis reads
//! them, changed by CONFIG SET and written back by CONFIG REWRITE.
//!
//! A value is kept as the text that CONFIG GET shows. What the server uses is kept a second time,
//! typed, in [`Settings`].

pub mod commands;
pub mod file;
pub mod rewrite;
pub mod settings;
pub mod table;
pub mod value;

pub use file::ConfigError;
pub use settings::{OutputLimit, Permission, Settings, ShutdownOn};
use table::DIRECTIVES;

/// A configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// One for each directive, in the order of the table.
    values: Vec<Vec<u8>>,
    /// Which of them were given in a file or as an argument.
    given: Vec<bool>,
    settings: Settings,
    renames: Vec<(String, String)>,
    skip_checksum_validation: bool,
    /// The file that it was read from, as an absolute path.
    pub file: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Self {
            values: DIRECTIVES.iter().map(|d| d.default.as_bytes().to_vec()).collect(),
            given: vec![false; DIRECTIVES.len()],
            settings: Settings::default(),
            renames: Vec::new(),
            skip_checksum_validation: false,
            file: None,
        };
        config.settings = Settings::of(&config);
        config
    }
}

impl Config {
    /// The values in use, typed.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A directive's value, in the form that CONFIG GET shows.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.value(table::find(name.as_bytes())?)
    }

    /// Sets one directive, as CONFIG SET does.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        let at = table::find(name.as_bytes()).ok_or("no such directive")?;
        let text = value::from_one(&DIRECTIVES[at], value, self.value(at).unwrap_or_default())?;
        self.put(at, text);
        self.settings = Settings::of(self);
        Ok(())
    }

    /// Whether the checksums of RDB files and payloads may be wrong, for tests.
    pub fn skip_checksum_validation(&mut self, skip: bool) {
        self.skip_checksum_validation = skip;
        self.settings = Settings::of(self);
    }

    /// Commands that were given other names: the old one and the new one, which is empty if the
    /// command was taken away.
    pub fn renames(&self) -> &[(String, String)] {
        &self.renames
    }

    /// What a person should be told of directives that are known but have no effect yet: one line
    /// for each that was given a value other than its default.
    pub fn warnings(&self) -> Vec<String> {
        DIRECTIVES
            .iter()
            .enumerate()
            .filter(|(at, d)| {
                d.has_no_effect() && self.given[*at] && self.values[*at] != d.default.as_bytes()
            })
            .map(|(_, d)| format!("The directive '{}' is accepted but has no effect yet.", d.name))
            .collect()
    }

    fn value(&self, at: usize) -> Option<&[u8]> {
        self.values.get(at).map(Vec::as_slice)
    }

    /// Gives a directive a value that the server itself has found.
    pub(in crate::server) fn replace(&mut self, name: &str, value: Vec<u8>) {
        if let Some(at) = table::find(name.as_bytes()) {
            self.put(at, value);
            self.settings = Settings::of(self);
        }
    }

    fn put(&mut self, at: usize, text: Vec<u8>) {
        self.values[at] = text;
        self.given[at] = true;
    }
}
