//! The syntax of predixy's files: `Key value`, scopes in braces, `Include`.

use super::{ConfigError, Read, ServerAddress};
use crate::time::Duration;

/// A line of a file, with the scope in braces after it.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) scope: Option<Vec<Scope>>,
    file: String,
    line: usize,
}

/// The maximum nesting depth of scopes.
const MAX_DEPTH: usize = 10;

/// The maximum depth of includes.
const MAX_FILES: usize = 32;

/// Loads a file and those that it includes; also returns their names.
pub(super) fn load(file: &str, read: Read<'_>) -> Result<(Vec<Scope>, Vec<String>), ConfigError> {
    let mut loader =
        Loader { read, open: Vec::new(), files: Vec::new(), stack: Vec::new(), root: Vec::new() };
    loader.file(file)?;
    if let Some(open) = loader.stack.last() {
        return Err(open.error_as("parse error some scope no end"));
    }
    Ok((loader.root, loader.files))
}

struct Loader<'r> {
    read: Read<'r>,
    /// Files that are being read, each included by the previous one.
    open: Vec<String>,
    files: Vec<String>,
    /// Scopes that are open.
    stack: Vec<Scope>,
    root: Vec<Scope>,
}

impl Loader<'_> {
    fn file(&mut self, name: &str) -> Result<(), ConfigError> {
        let bytes = (self.read)(name)
            .map_err(|error| ConfigError(format!("open file {name} fail {error}")))?;
        self.open.push(name.to_owned());
        self.files.push(name.to_owned());
        if self.open.len() > MAX_FILES {
            return Err(ConfigError(format!("more than {MAX_FILES} files include each other")));
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for (i, line) in text.lines().enumerate() {
            self.line(name, i + 1, line)?;
        }
        self.open.pop();
        Ok(())
    }

    fn line(&mut self, file: &str, number: usize, line: &str) -> Result<(), ConfigError> {
        let place = format!("{file}:{number}");
        let new = |key: String, value: String, scope| Scope {
            key,
            value,
            scope,
            file: file.to_owned(),
            line: number,
        };
        match parse(line) {
            Some(Line::Nothing) => {}
            Some(Line::Pair(key, value)) if key.eq_ignore_ascii_case("Include") => {
                if value.is_empty() {
                    return Err(ConfigError("filename is empty".into()));
                }
                let name = match file.rsplit_once('/') {
                    Some((folder, _)) if !value.starts_with('/') => format!("{folder}/{value}"),
                    _ => value,
                };
                if self.open.contains(&name) {
                    return Err(ConfigError(format!("include file {name} duplicate in {place}")));
                }
                self.file(&name)?;
            }
            Some(Line::Pair(key, value)) => self.add(new(key, value, None)),
            Some(Line::Begin(key, value)) => {
                if self.stack.len() == MAX_DEPTH {
                    return Err(ConfigError(format!("node depth limit {MAX_DEPTH} in {place}")));
                }
                self.stack.push(new(key, value, Some(Vec::new())));
            }
            Some(Line::End) => match self.stack.pop() {
                Some(scope) => self.add(scope),
                None => {
                    return Err(ConfigError(format!("parse error unmatched end scope in {place}")));
                }
            },
            None => return Err(ConfigError(format!("parse error in {place}"))),
        }
        Ok(())
    }

    fn add(&mut self, scope: Scope) {
        match self.stack.last_mut() {
            Some(Scope { scope: Some(inside), .. }) => inside.push(scope),
            _ => self.root.push(scope),
        }
    }
}

enum Line {
    Nothing,
    Pair(String, String),
    Begin(String, String),
    End,
}

/// Parses a line; `None` if it is invalid.
fn parse(line: &str) -> Option<Line> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r');
    let line = line.trim_start_matches(blank);
    let end = line.find([' ', '\t', '#']).unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let key = key.trim_end_matches('\r').to_owned();
    if key.is_empty() {
        return Some(Line::Nothing);
    }
    let rest = rest.trim_start_matches(blank);
    if rest.is_empty() || rest.starts_with('#') {
        return Some(if key == "}" { Line::End } else { Line::Pair(key, String::new()) });
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, behind) = unquote(quoted);
        return match behind {
            // An unclosed quote ends with the line.
            None => Some(Line::Pair(key, value)),
            Some(behind) => {
                match behind.split('#').next().unwrap_or_default().trim_matches(blank) {
                    "" => Some(Line::Pair(key, value)),
                    "{" => Some(Line::Begin(key, value)),
                    _ => None,
                }
            }
        };
    }
    let value = rest.split('#').next().unwrap_or_default().trim_end_matches(blank);
    Some(match value.strip_suffix('{') {
        Some(value) => Line::Begin(key, value.trim_end().to_owned()),
        None => Line::Pair(key, value.to_owned()),
    })
}

/// The text between quotes, and the rest of the line if the quote is closed.
fn unquote(text: &str) -> (String, Option<&str>) {
    let (mut value, mut escape) = (String::new(), false);
    for (i, c) in text.char_indices() {
        match c {
            '\\' if !escape => escape = true,
            '"' if !escape => return (value, text.get(i + 1..)),
            c => {
                value.push(c);
                escape = false;
            }
        }
    }
    (value, None)
}

impl Scope {
    pub(super) fn is(&self, key: &str) -> bool {
        self.key.eq_ignore_ascii_case(key)
    }

    pub(super) fn error(&self, text: impl Into<String>) -> ConfigError {
        ConfigError(format!("{}:{} {}", self.file, self.line, text.into()))
    }

    /// The same, with the position after the text.
    fn error_as(&self, text: &str) -> ConfigError {
        ConfigError(format!("{text} {}:{}", self.file, self.line))
    }

    pub(super) fn unknown(&self) -> ConfigError {
        self.error(format!("unknown key {}", self.key))
    }

    /// The contents of the scope in braces.
    pub(super) fn scope(&self, name: &str) -> Result<&[Scope], ConfigError> {
        match &self.scope {
            Some(scope) if !scope.is_empty() => Ok(scope),
            _ => Err(self.error(format!("{name} require scope value"))),
        }
    }

    pub(super) fn servers(&self, name: &str) -> Result<Vec<ServerAddress>, ConfigError> {
        let mut servers = Vec::new();
        for item in self.scope(name)? {
            if item.key != "+" {
                return Err(item.error("invalid server define"));
            }
            let server = ServerAddress::parse(&item.value);
            servers.push(
                server
                    .ok_or_else(|| item.error(format!("invalid server define {}", item.value)))?,
            );
        }
        Ok(servers)
    }

    pub(super) fn int(&self, name: &str, lower: i64, upper: i64) -> Result<i64, ConfigError> {
        // Like scanf, ignores everything after the digits.
        let (number, _) = number(&self.value)
            .ok_or_else(|| self.error(format!("{name} {} is not an integer", self.value)))?;
        if number < lower || number > upper {
            return Err(
                self.error(format!("{name} {} not in range [{lower}, {upper}]", self.value))
            );
        }
        Ok(number)
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, ConfigError> {
        match self.value.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.error(format!("{name} expect true or false"))),
        }
    }

    pub(super) fn duration(&self, name: &str) -> Result<Duration, ConfigError> {
        let micros = number(&self.value).and_then(|(n, unit)| {
            let scale = match unit.to_ascii_lowercase().as_str() {
                "" | "s" => 1_000_000,
                "m" | "ms" => 1_000,
                "u" | "us" => 1,
                _ => return None,
            };
            u64::try_from(n).ok()?.checked_mul(scale)
        });
        micros
            .map(Duration::from_micros)
            .ok_or_else(|| self.error(format!("{name} invalid duration value \"{}\"", self.value)))
    }

    pub(super) fn memory(&self, name: &str) -> Result<i64, ConfigError> {
        parse_memory(&self.value)
            .ok_or_else(|| self.error(format!("{name} invalid memory value \"{}\"", self.value)))
    }
}

/// Parses a number of bytes with its unit.
pub(in super::super) fn parse_memory(text: &str) -> Option<i64> {
    let (n, unit) = number(text)?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return None,
    };
    n.checked_mul(1 << shift).filter(|n| *n >= 0)
}

/// The number at the beginning of a text, and the rest of the text.
fn number(text: &str) -> Option<(i64, &str)> {
    let text = text.trim();
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text.get(sign..)?.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(sign + digits);
    Some((number.parse().ok()?, unit.trim_start()))
}
