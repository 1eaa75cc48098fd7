//! Lessons: text files that guide a person through a World, and check what happens in it.
//!
//! A lesson is a Markdown file with front matter and, in each step, a block that declares the
//! step's conditions. `docs/lessons.md` describes the format for authors. Modules:
//!
//! | file | noun |
//! |---|---|
//! | `model` | a lesson, its steps, conditions and questions |
//! | `markup` | the text as a tree, so that no markup of the file gets into a page |
//! | `yaml` | YAML values with their line numbers |
//! | `read`, `conditions`, `setup` | parse a lesson; its conditions; its hosts and programs |
//! | `error` | an error in a file: line, reason, remedy |
//! | `typed` | the lines typed into terminals, and their output |
//! | `witness` | observations of a World, or of real processes |
//! | `evidence` | evaluates conditions |
//! | `ledger` | counts acknowledged and lost writes |
//! | `progress` | which steps are done, and when |
//! | `play` | plays the solution in a World |
//! | `skeleton` | the template of a new lesson |
//!
//! Where files come from and where progress is stored is up to the page and the native program.

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
    Beside, Check, Choice, Column, Command, Condition, Expect, Focus, Lesson, Question,
    Requirement, Step, differences,
};
pub use play::{PlayError, Played, play};
pub use progress::{Answer, Progress};
pub use skeleton::skeleton;
pub use typed::{Places, Typed, typed_in, waits_for_line};
pub use witness::{Witness, printed};
