//! Plays a lesson's solution with real processes, in a scratch directory of this machine.
//!
//! Consists of the stage ([`stage`]: hosts as directories and loopback addresses), terminals on
//! pseudo-terminals ([`terminal`]), and a player that types the solution. The conditions of a step
//! are checked by `limpid_core::lesson`, as in the page.

mod stage;
mod terminal;

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use limpid_core::lesson::{Answer, Command, Condition, Lesson, Progress};

use stage::Stage;

/// How often the conditions of a step are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long to wait for a command's end before the next one is typed.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a step may take after the last command of its solution.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Plays a lesson; `tell` is called with the id of each step that is done.
pub(super) fn play(lesson: &Lesson, tell: impl Fn(&str)) -> Result<()> {
    needs_no_world(lesson)?;
    let mut person = Person { stage: Stage::set(lesson)?, lesson, progress: Progress::default() };
    for number in 0..lesson.steps.len() {
        person.step(number)?;
        tell(&lesson.steps[number].id);
    }
    Ok(())
}

/// Fails if a lesson needs something that only a World has.
fn needs_no_world(lesson: &Lesson) -> Result<()> {
    for step in &lesson.steps {
        let waits = step.wait.iter().find_map(|waited| match &waited.condition {
            Condition::Did { .. } => Some("something done to the World"),
            Condition::Host { .. } => Some("the power of a host"),
            Condition::Link { .. } => Some("a link"),
            Condition::Ledger { .. } => Some("the ledger of writes"),
            _ => None,
        });
        let acts = step.solution.iter().any(|command| matches!(command, Command::Act(_)));
        let what = waits.or(acts.then_some("a fault in its solution"));
        if let Some(what) = what {
            bail!(
                "line {}: step '{}' needs a World ({what}), so it cannot be played with real \
                 processes; leave out --native",
                step.line,
                step.id
            );
        }
    }
    ensure!(
        lesson.native,
        "the lesson does not say 'native: true' in its front matter; add it if it needs nothing but \
         the programs of Redis and those of an ordinary machine"
    );
    Ok(())
}

/// A player that types the solution of each step.
struct Person<'l> {
    stage: Stage,
    lesson: &'l Lesson,
    progress: Progress,
}

impl Person<'_> {
    fn step(&mut self, number: usize) -> Result<()> {
        let step = &self.lesson.steps[number];
        self.look();
        ensure!(
            self.progress.done() <= number,
            "line {}: step '{}' is done before anything was done for it",
            step.line,
            step.id
        );
        for command in &step.solution {
            self.carry_out(command, number)?;
        }
        if step.open {
            return Ok(());
        }
        if let Some(question) = &step.question {
            let met = |person: &Self| person.progress.met(number).iter().all(|met| *met);
            self.run(STEP_TIMEOUT, met);
            let right = question.answers.iter().position(|answer| answer.right);
            let now = self.stage.now();
            self.progress.answer(number, Answer(right.unwrap_or_default()), now);
        }
        self.run(STEP_TIMEOUT, |person| person.progress.done() > number);
        if self.progress.done() > number {
            return Ok(());
        }
        let met = self.progress.met(number);
        let open: Vec<String> = (met.iter().zip(&step.wait))
            .filter(|(met, _)| !**met)
            .map(|(_, waited)| format!("{:?}", waited.condition))
            .collect();
        bail!(
            "line {}: step '{}' is not done {STEP_TIMEOUT:?} after its solution: {}. The terminals \
             show:\n{}",
            step.line,
            step.id,
            open.join(", "),
            self.stage.shown()
        )
    }

    fn carry_out(&mut self, command: &Command, number: usize) -> Result<()> {
        let step = &self.lesson.steps[number];
        let last = step.solution.last() == Some(command);
        let is_over = move |person: &Self| last && person.progress.done() > number;
        let (terminal, line) = match command {
            Command::Wait(time) => {
                self.run(*time, is_over);
                return Ok(());
            }
            Command::Cli { at, line } => (self.stage.cli(at)?, line),
            Command::Shell { terminal, line } => (self.stage.shell(terminal)?, line),
            Command::Act(_) => bail!("'{command}' needs a World"),
        };
        let ready = |person: &Self| person.stage.waits_for_line(&terminal);
        self.run(COMMAND_TIMEOUT, ready);
        let before = self.stage.text(&terminal);
        self.stage.type_line(&terminal, line)?;
        // The typed line must be echoed before its prompt can be told from the next one. A line
        // that is typed before the program reads lines again is lost.
        self.run(COMMAND_TIMEOUT, |person| {
            is_over(person) || person.stage.text(&terminal) != before
        });
        self.run(COMMAND_TIMEOUT, |person| is_over(person) || ready(person));
        Ok(())
    }

    /// Polls until a condition holds or `time` is over.
    fn run(&mut self, time: Duration, is_over: impl Fn(&Self) -> bool) {
        let end = Instant::now() + time;
        loop {
            self.look();
            if is_over(self) || Instant::now() >= end {
                break;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn look(&mut self) {
        self.stage.read_logs();
        self.progress.look(self.lesson, &self.stage);
    }
}
