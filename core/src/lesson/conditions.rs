//! Parses the conditions in a lesson file.

use crate::sim::Scenario;
use crate::time::Duration;

use super::error::LessonError;
use super::model::{Check, Column, Condition, Expect, Requirement};
use super::setup;
use super::yaml::{Map, Node};

/// The maximum of `hold`, the time for which a condition has to be true.
const MAX_HOLD: Duration = Duration::from_secs(600);

/// The key that names each kind of condition, and the other keys allowed with it.
const KINDS: [(&str, &[&str]); 10] = [
    ("typed", &["at", "shows"]),
    ("log", &["at"]),
    ("did", &[]),
    ("ask", &["at", "password", "is", "not", "has", "at-least", "at-most", "for"]),
    ("info", &["at", "password", "is", "not", "has", "at-least", "at-most", "for"]),
    ("process", &["is", "for"]),
    ("host", &["is", "for"]),
    ("link", &["is", "for"]),
    ("file", &["at", "has", "for"]),
    ("ledger", &["at", "is", "not", "at-least", "at-most", "for"]),
];

/// Parses one entry of `wait`.
pub(super) fn read(node: &Node, scenario: &Scenario) -> Result<Requirement, LessonError> {
    let all: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
    let any: Vec<&str> =
        all.iter().copied().chain(KINDS[3].1.iter().copied()).chain(["shows"]).collect();
    let map = node.map("a condition", &any)?;
    let mut kinds = KINDS.iter().filter(|(kind, _)| map.get(kind).is_some());
    let (Some((kind, beside)), None) = (kinds.next(), kinds.next()) else {
        let what = "a condition must have exactly one kind";
        return Err(LessonError::new(node.line, what, format!("kinds are {}", all.join(", "))));
    };
    let known: Vec<&str> = beside.iter().copied().chain([*kind]).collect();
    let map = node.map(&format!("the condition '{kind}'"), &known)?;
    let hold = match map.get("for") {
        Some(node) => setup::duration(node, "for", MAX_HOLD)?,
        None => Duration::ZERO,
    };
    let reader = Reader { kind, map, scenario };
    Ok(Requirement { condition: reader.condition()?, hold })
}

struct Reader<'n> {
    kind: &'static str,
    map: Map<'n>,
    scenario: &'n Scenario,
}

impl Reader<'_> {
    fn condition(&self) -> Result<Condition, LessonError> {
        let node = self.map.need("a condition", self.kind)?;
        let text = node.text(self.kind)?.to_owned();
        if text.trim().is_empty() {
            let what = format!("'{}' is empty", self.kind);
            return Err(LessonError::new(node.line, what, "say what is waited for"));
        }
        Ok(match self.kind {
            "typed" => Condition::Typed {
                line: collapse(&text),
                at: self.places(false)?,
                shows: self.map.text("shows")?,
            },
            "log" => Condition::Logged { line: text, at: self.places(true)? },
            "did" => Condition::Did { action: text },
            "ask" => Condition::Asked {
                command: text.split_whitespace().map(str::to_owned).collect(),
                at: self.places(true)?,
                password: self.map.text("password")?,
                check: self.check()?,
            },
            "info" => Condition::Info {
                field: text,
                at: self.places(true)?,
                password: self.map.text("password")?,
                check: self.check()?,
            },
            "process" => Condition::Process {
                name: text,
                is: match self.word(&["running", "stopped", "paused"])? {
                    "running" => Expect::Running,
                    "paused" => Expect::Paused,
                    _ => Expect::Stopped,
                },
            },
            "host" => {
                let name = self.host(&text, node.line)?;
                Condition::Host { name, on: self.word(&["on", "off"])? == "on" }
            }
            "link" => {
                let mut names = text.split_whitespace();
                let (Some(a), Some(b), None) = (names.next(), names.next(), names.next()) else {
                    let what = format!("'{text}' does not name the two ends of a link");
                    return Err(LessonError::new(node.line, what, "write 'link: redis-1 redis-2'"));
                };
                let between = (self.host(a, node.line)?, self.host(b, node.line)?);
                Condition::Link { between, cut: self.word(&["cut", "open"])? == "cut" }
            }
            "ledger" => Condition::Ledger {
                column: match text.as_str() {
                    "acknowledged" => Column::Acknowledged,
                    "lost" => Column::Lost,
                    _ => {
                        let what = format!("the ledger has no column '{text}'");
                        let remedy = "write 'ledger: acknowledged' or 'ledger: lost'";
                        return Err(LessonError::new(node.line, what, remedy));
                    }
                },
                at: self.places(false)?,
                check: self.check()?,
            },
            _ => {
                let at = self.map.need("a file", "at")?;
                let place = self.host(at.text("at")?, at.line)?;
                Condition::File { path: text, at: place, has: self.map.text("has")? }
            }
        })
    }

    /// The names in `at`: one, or a list of alternatives.
    fn places(&self, needed: bool) -> Result<Vec<String>, LessonError> {
        let Some(node) = self.map.get("at") else {
            return match needed {
                true => self.map.need("a condition", "at").map(|_| Vec::new()),
                false => Ok(Vec::new()),
            };
        };
        let names = node.texts("at")?;
        for name in &names {
            let host = name.rsplit_once(':').map_or(&**name, |(host, _)| host);
            let is_process = |host: &crate::sim::HostSpec| {
                host.processes.iter().any(|process| process.name == *name)
            };
            if !self.scenario.hosts.iter().any(is_process) {
                self.host(host, node.line)?;
            }
        }
        Ok(names)
    }

    fn host(&self, name: &str, line: usize) -> Result<String, LessonError> {
        let mut names = self.scenario.hosts.iter().map(|host| &*host.name);
        if names.any(|known| known == name) {
            return Ok(name.to_owned());
        }
        let known: Vec<&str> = self.scenario.hosts.iter().map(|host| &*host.name).collect();
        let remedy = format!("hosts are {}", known.join(", "));
        Err(LessonError::new(line, format!("there is no host '{name}'"), remedy))
    }

    fn word(&self, words: &[&'static str]) -> Result<&'static str, LessonError> {
        let node = self.map.need("a condition", "is")?;
        let text = node.text("is")?;
        words.iter().find(|word| **word == text).copied().ok_or_else(|| {
            let remedy = format!("write one of {}", words.join(", "));
            LessonError::new(node.line, format!("'is' is '{text}'"), remedy)
        })
    }

    fn check(&self) -> Result<Check, LessonError> {
        const KEYS: [&str; 5] = ["is", "not", "has", "at-least", "at-most"];
        let mut given = KEYS.iter().filter_map(|key| Some((*key, self.map.get(key)?)));
        let (Some((key, node)), None) = (given.next(), given.next()) else {
            let what = format!("the condition '{}' needs one expectation", self.kind);
            return Err(LessonError::new(
                self.map.line,
                what,
                format!("add one of {}", KEYS.join(", ")),
            ));
        };
        let text = node.text(key)?.to_owned();
        let number = || {
            text.parse().map_err(|_| {
                LessonError::new(node.line, format!("'{key}' is '{text}'"), "write a whole number")
            })
        };
        Ok(match key {
            "is" => Check::Is(text),
            "not" => Check::Not(text),
            "has" => Check::Has(text),
            "at-least" => Check::AtLeast(number()?),
            _ => Check::AtMost(number()?),
        })
    }
}

/// Collapses runs of blanks in a line into one.
pub(super) fn collapse(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
