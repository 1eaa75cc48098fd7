//! Whether a condition holds in the place in which a lesson is played.

use serde::{Deserialize, Serialize};

use crate::glob::matches_ignoring_case;
use crate::time::Mono;

use super::model::{Check, Condition};
use super::typed::Typed;
use super::witness::Witness;

/// What can be seen at a moment, found out once for all conditions.
pub(super) struct Evidence<'w> {
    witness: &'w dyn Witness,
    typed: Vec<Typed>,
}

/// What had happened already when a step began, and so is no evidence for it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Before {
    /// When it began.
    pub at: Mono,
    /// The number of the event that came next.
    pub event: u64,
    /// How often what a condition waits for could be seen in terminals.
    pub seen: Vec<u32>,
}

impl<'w> Evidence<'w> {
    pub(super) fn of(witness: &'w dyn Witness) -> Self {
        Evidence { witness, typed: witness.typed() }
    }

    /// How often the line that a condition waits for stands in terminals.
    pub(super) fn count(&self, condition: &Condition) -> u32 {
        let Condition::Typed { line, at, shows } = condition else { return 0 };
        let found = self.typed.iter().filter(|typed| {
            like(line, &typed.line)
                && (at.is_empty() || at.iter().any(|at| typed.at.contains(at)))
                && shows.as_ref().is_none_or(|shows| {
                    typed.printed.lines().any(|printed| like(shows, printed.trim()))
                })
        });
        u32::try_from(found.count()).unwrap_or(u32::MAX)
    }

    /// Whether a condition holds now; `number` is its place among those of its step.
    pub(super) fn holds(&self, condition: &Condition, number: usize, before: &Before) -> bool {
        let witness = self.witness;
        match condition {
            Condition::Typed { .. } => {
                self.count(condition) > before.seen.get(number).copied().unwrap_or_default()
            }
            Condition::Logged { line, at } => {
                witness.logged(at, before.at).iter().any(|logged| like(line, logged))
            }
            Condition::Did { action } => {
                witness.done(before.event).iter().any(|done| like(action, done))
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
                    String::from_utf8_lossy(&bytes).lines().any(|line| like(has, line.trim()))
                })
            }),
            Condition::Ledger { column, at, check } => {
                let count = witness.ledger(*column, at);
                count.is_some_and(|count| satisfies(check, &count.to_string()))
            }
        }
    }
}

/// Whether a text looks like a pattern, whatever the case of its letters.
fn like(pattern: &str, text: &str) -> bool {
    matches_ignoring_case(pattern.as_bytes(), text.as_bytes())
}

fn satisfies(check: &Check, value: &str) -> bool {
    let number = || value.trim().parse::<i64>().ok();
    match check {
        Check::Is(pattern) => like(pattern, value),
        Check::Not(pattern) => !like(pattern, value),
        Check::Has(pattern) => value.lines().any(|line| like(pattern, line)),
        Check::AtLeast(least) => number().is_some_and(|n| n >= *least),
        Check::AtMost(most) => number().is_some_and(|n| n <= *most),
    }
}

/// A field of INFO, of CLUSTER INFO where there is one, or of what clients and proxies count.
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
