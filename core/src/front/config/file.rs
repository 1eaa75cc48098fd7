//! Parsing configuration files and command-line arguments as Redis does.

use core::fmt;

use super::{Config, DirectiveError, Schema, value};
use crate::acl::users::Declaration;
use crate::acl::{Env, RuleError};
use crate::front::VERSION;
use crate::resp::quote::split_args;

/// How deeply files may include each other.
const MAX_DEPTH: usize = 16;

/// Returns the text of an included file. A path with `*`, `?` or `[` is a glob pattern: matching
/// files are concatenated in the order of their names, and no match is no error. The error is the
/// operating system's message.
pub type Loader<'l> = &'l mut dyn FnMut(&str) -> Result<Vec<u8>, String>;

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A line is invalid.
    Line {
        /// Its number, from 1.
        number: usize,
        /// Its text.
        line: String,
        /// What is wrong with it.
        message: String,
    },
    /// The directives contradict each other.
    Whole(String),
    /// A file cannot be read.
    Unreadable {
        /// Its path.
        path: String,
        /// Why it cannot be read.
        message: String,
    },
}

impl fmt::Display for ConfigError {
    /// The message that Redis prints before it exits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { path, message } => {
                write!(f, "Fatal error, can't open config file '{path}': {message}")
            }
            ConfigError::Whole(message) => {
                write!(f, "\n*** FATAL CONFIG FILE ERROR (Redis {VERSION}) ***\n{message}")
            }
            ConfigError::Line { number, line, message } => write!(
                f,
                "\n*** FATAL CONFIG FILE ERROR (Redis {VERSION}) ***\n\
                 Reading the configuration file, at line {number}\n>>> '{line}'\n{message}"
            ),
        }
    }
}

impl core::error::Error for ConfigError {}

impl<C: Schema> Config<C> {
    /// Parses the text of a configuration file, and the command-line arguments after it
    /// (`["--port", "6380"]`), which count as further lines.
    pub fn parse(
        text: &[u8],
        arguments: &[String],
        loader: Loader<'_>,
    ) -> Result<Self, ConfigError> {
        let mut config = Config::default();
        let mut text = text.to_vec();
        text.push(b'\n');
        text.extend(arguments_as_lines::<C>(arguments).bytes());
        let added = vec![false; C::directives().all().len()];
        let mut reader = Reader { config: &mut config, loader, added };
        reader.read(&text, 0)?;
        config.changed();
        C::check(&config).map_err(|why| ConfigError::Whole(why.0))?;
        Ok(config)
    }
}

struct Reader<'r, C: Schema> {
    config: &'r mut Config<C>,
    loader: Loader<'r>,
    /// Which additive directives (`save`) have been seen: the first line of each replaces the
    /// default.
    added: Vec<bool>,
}

impl<C: Schema> Reader<'_, C> {
    fn read(&mut self, text: &[u8], depth: usize) -> Result<(), ConfigError> {
        for (i, line) in text.split(|&c| c == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let words = split_args(line);
            let at = |why: DirectiveError| ConfigError::Line {
                number: i + 1,
                line: String::from_utf8_lossy(line).into_owned(),
                message: why.0,
            };
            let words =
                words.ok_or_else(|| at("Unbalanced quotes in configuration line".into()))?;
            let [name, values @ ..] = words.as_slice() else { continue };
            if name.eq_ignore_ascii_case(b"include") && values.len() == 1 {
                self.include(&String::from_utf8_lossy(&values[0]), depth)?;
                continue;
            }
            self.directive(name, values).map_err(at)?;
        }
        Ok(())
    }

    fn include(&mut self, path: &str, depth: usize) -> Result<(), ConfigError> {
        let unreadable =
            |message: String| ConfigError::Unreadable { path: path.to_owned(), message };
        if depth >= MAX_DEPTH {
            return Err(unreadable("Too many levels of included files".into()));
        }
        let text = (self.loader)(path).map_err(unreadable)?;
        self.read(&text, depth + 1)
    }

    fn directive(&mut self, name: &[u8], values: &[Vec<u8>]) -> Result<(), DirectiveError> {
        if let Some(place) = C::directives().place(name) {
            let directive = C::directives().all()[place];
            let old = self.config.value(place).unwrap_or_default().to_vec();
            let mut text = value::from_line(directive, values, &old)?;
            if directive.adds() {
                if self.added[place] && !text.is_empty() && !old.is_empty() {
                    text = [old.as_slice(), &text].join(&b' ');
                }
                self.added[place] = true;
            }
            self.config.put(place, text);
            return Ok(());
        }
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        match values {
            [_] if C::IGNORED.contains(&name.as_str()) => Ok(()),
            [user, rules @ ..] if name == "user" => self.user(user, rules),
            [from, to] if name == "rename-command" => {
                let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
                self.rename(text(from).to_ascii_lowercase(), text(to))
            }
            words => C::read_line(self.config, &name, words),
        }
    }

    fn user(&mut self, name: &[u8], rules: &[Vec<u8>]) -> Result<(), DirectiveError> {
        if self.config.users.iter().any(|known| known.name == name) {
            let name = String::from_utf8_lossy(name);
            let error = RuleError::Duplicate;
            return Err(format!("Error in user declaration '{name}': {error}").into());
        }
        // Nothing that is checked here depends on `acl-pubsub-default`.
        let env = Env { commands: C::commands(), all_channels: false };
        self.config.users.push(Declaration::read(name, rules, env)?);
        Ok(())
    }

    fn rename(&mut self, from: String, to: String) -> Result<(), DirectiveError> {
        let renames = &self.config.renames;
        if !C::is_command(&from) || renames.iter().any(|(old, _)| *old == from) {
            return Err("No such command in rename-command".into());
        }
        let lower = to.to_ascii_lowercase();
        let still_there =
            C::is_command(&lower) && !renames.iter().any(|(old, _)| *old == lower) && lower != from;
        let taken = renames.iter().any(|(_, new)| new.eq_ignore_ascii_case(&to));
        if !to.is_empty() && (still_there || taken) {
            return Err("Target command name already exists".into());
        }
        self.config.renames.push((from, to));
        Ok(())
    }
}

/// Turns arguments into lines: `--name` starts a line, and the argument after it is its value even
/// if it starts with dashes.
fn arguments_as_lines<C: Schema>(arguments: &[String]) -> String {
    let mut out = String::new();
    let mut name_expected = true;
    for (i, argument) in arguments.iter().enumerate() {
        match argument.strip_prefix("--") {
            Some(name) if name_expected => {
                out.push('\n');
                out.push_str(name);
                // `--save` alone means that there are no save points.
                let next_is_name = arguments.get(i + 1).is_none_or(|next| next.starts_with("--"));
                let adds = C::directives().find(name.as_bytes()).is_some_and(|d| d.adds());
                if adds && next_is_name {
                    out.push_str(" \"\"");
                } else {
                    // In `"--port 6380"` the argument already contains the value.
                    name_expected = name.trim().contains(' ');
                }
            }
            _ => {
                out.push(' ');
                out.push_str(&quoted(argument.as_bytes()));
                name_expected = true;
            }
        }
    }
    out
}

/// A word in double quotes, with special characters escaped.
pub(crate) fn quoted(word: &[u8]) -> String {
    let mut out = String::from("\"");
    for &c in word {
        match c {
            b'\\' | b'"' => out.extend(['\\', char::from(c)]),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            b' '..=b'~' => out.push(char::from(c)),
            _ => out.push_str(&format!("\\x{c:02x}")),
        }
    }
    out.push('"');
    out
}
