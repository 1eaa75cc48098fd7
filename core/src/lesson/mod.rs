//! Lessons: text files that lead a person through a World and check what became of it.
//!
//! A lesson is a Markdown file with a front matter and, in each step, a block that says what is
//! waited for. `docs/lessons.md` describes the format for those who write lessons. What lives here:
//!
//! | file | noun |
//! |---|---|
//! | `model` | the lesson, its steps, conditions and questions |
//! | `markup` | the text of a lesson as a tree: no markup of the file reaches a page as it is |
//! | `yaml` | values with the lines that they stand in |
//! | `read`, `conditions`, `setup` | from a file to a lesson; its conditions; its hosts and programs |
//! | `error` | what is wrong with a file: line, reason, remedy |
//! | `typed` | what was typed into terminals, and what came of it |
//! | `witness` | what can be found out about a World, or about real processes |
//! | `evidence` | whether a condition holds |
//! | `ledger` | how many writes are acknowledged, and how many of those are lost |
//! | `progress` | which steps are done, at which time |
//! | `play` | the solution, carried out in a World |
//! | `skeleton` | what a new lesson begins with |
//!
//! What does not live here: where files come from and where progress is kept. That is the page's
//! and the native program's business.

mod conditions;
mod counters;
mod error;
mod evidence;
mod ledger;
mod markup;
mod model;
mod play;
mod progress;
mod read;
mod setup;
mod skeleton;
mod typed;
mod witness;
mod yaml;

#[cfg(test)]
mod tests;

pub use error::LessonError;
pub use markup::{Block, Inline, Link};
pub use model::{
    Beside, Check, Column, Command, Condition, Expect, Focus, Lesson, Offered, Question, Step,
    Waited, differences,
};
pub use play::{PlayError, Played, play};
pub use progress::{Answer, Progress};
pub use skeleton::skeleton;
pub use typed::{Places, Typed, typed_in, waits_for_line};
pub use witness::{Witness, printed};
