//! Evaluates conditions in the environment in which a lesson is played.

use serde::{Deserialize, Serialize};

use crate::glob::matches_ignoring_case;
use crate::time::Mono;

use super::model::{Check, Condition};
use super::typed::Typed;
use super::witness::Witness;

/// The observations of one moment, which are shared by all conditions.
pub(super) struct Evidence<'w> {
    witness: &'w dyn Witness,
    typed: Vec<Typed>,
}

/// What had already happened when a step began, and so does not count for the step.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Baseline {
    /// When the step began.
    pub at: Mono,
    /// The number of the next event at that time.
    pub event: u64,
    /// For each condition, how many matching lines terminals showed.
    pub seen: Vec<u32>,
}

impl<'w> Evidence<'w> {
    pub(super) fn of(witness: &'w dyn Witness) -> Self {
        Evidence { witness, typed: witness.typed() }
    }

    /// How many lines in terminals match a condition.
    pub(super) fn count(&self, condition: &Condition) -> u32 {
        let Condition::Typed { line, at, shows } = condition else { return 0 };
        let found = self.typed.iter().filter(|typed| {
            matches_glob(line, &typed.line)
                && (at.is_empty() || at.iter().any(|at| typed.at.contains(at)))
                && shows.as_ref().is_none_or(|shows| {
                    typed.printed.lines().any(|printed| matches_glob(shows, printed.trim()))
                })
        });
        u32::try_from(found.count()).unwrap_or(u32::MAX)
    }

    /// Whether a condition is true now; `number` is its index in its step.
    pub(super) fn holds(&self, condition: &Condition, number: usize, before: &Baseline) -> bool {
        let witness = self.witness;
        match condition {
            Condition::Typed { .. } => {
                self.count(condition) > before.seen.get(number).copied().unwrap_or_default()
            }
            Condition::Logged { line, at } => {
                witness.logged(at, before.at).iter().any(|logged| matches_glob(line, logged))
            }
            Condition::Did { action } => {
                witness.done(before.event).iter().any(|done| matches_glob(action, done))
            }
            Condition::Asked { command, at, password, check } => {
                let answers = witness.asked(at, password.as_deref(), command);
                answers.iter().any(|answer| satisfies(check, answer))
            }
            Condition::Info { field, at, password, check } => {
                let values = info(witness, at, password.as_deref(), field);
                values.iter().any(|value| satisfies(check, value))
            }
            Condition::Process { name, is } => witness.process(name) == *is,
            Condition::Host { name, on } => witness.host(name) == Some(*on),
            Condition::Link { between: (a, b), cut } => witness.cut(a, b) == Some(*cut),
            Condition::File { path, at, has } => witness.file(at, path).is_some_and(|bytes| {
                has.as_ref().is_none_or(|has| {
                    String::from_utf8_lossy(&bytes)
                        .lines()
                        .any(|line| matches_glob(has, line.trim()))
                })
            }),
            Condition::Ledger { column, at, check } => {
                let count = witness.ledger(*column, at);
                count.is_some_and(|count| satisfies(check, &count.to_string()))
            }
        }
    }
}

/// Whether a text matches a glob pattern, ignoring case.
fn matches_glob(pattern: &str, text: &str) -> bool {
    matches_ignoring_case(pattern.as_bytes(), text.as_bytes())
}

fn satisfies(check: &Check, value: &str) -> bool {
    let number = || value.trim().parse::<i64>().ok();
    match check {
        Check::Is(pattern) => matches_glob(pattern, value),
        Check::Not(pattern) => !matches_glob(pattern, value),
        Check::Has(pattern) => value.lines().any(|line| matches_glob(pattern, line)),
        Check::AtLeast(least) => number().is_some_and(|n| n >= *least),
        Check::AtMost(most) => number().is_some_and(|n| n <= *most),
    }
}

/// A field of INFO, of CLUSTER INFO, or of the counters of clients and proxies.
fn info(witness: &dyn Witness, at: &[String], password: Option<&str>, field: &str) -> Vec<String> {
    let of = |command: &[&str]| -> Vec<String> {
        let words: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        let texts = witness.asked(at, password, &words);
        let values = texts.iter().filter_map(|text| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key == field).then(|| value.trim_end().to_owned())
            })
        });
        values.collect()
    };
    let mut values = of(&["INFO", "everything"]);
    if values.is_empty() {
        values = of(&["CLUSTER", "INFO"]);
    }
    if values.is_empty() {
        values = witness.counted(at, field);
    }
    values
}
