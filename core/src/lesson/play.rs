//! Plays the solution of a lesson in a World, to test it: every step must be completed, in order,
//! by its own solution.

use core::fmt;
use std::sync::Arc;

use crate::lab::{CLI, Terminal};
use crate::machine::TerminalMode;
use crate::sim::{Action, Programs, World};
use crate::time::{Duration, Mono};

use super::model::{Command, Lesson, Step};
use super::progress::{Answer, Progress};
use super::setup::DESK;

/// The result of playing a lesson.
#[derive(Clone, Debug)]
pub struct Played {
    /// When each step was done.
    pub steps: Vec<(String, Mono)>,
    /// The World at the end.
    pub world: World,
}

/// Why playing a lesson failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayError {
    /// The line of the file where the step begins.
    pub line: usize,
    /// The ID of the step.
    pub step: String,
    /// The reason.
    pub what: String,
    /// The remedy.
    pub remedy: String,
}

impl fmt::Display for PlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlayError { line, step, what, remedy } = self;
        write!(f, "line {line}: step '{step}' {what}; {remedy}")
    }
}

impl core::error::Error for PlayError {}

/// How often the progress is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The timeout of a command; then the next one is typed.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);
/// The timeout of a step after the last command of its solution.
const STEP_TIMEOUT: Duration = Duration::from_secs(180);

/// Plays the solution of a lesson in a World with these programs.
pub fn play(lesson: &Lesson, seed: u64, programs: Programs) -> Result<Played, PlayError> {
    let mut world = World::new(Arc::new(lesson.scenario.clone()), seed, programs);
    world.run_for(lesson.warm_up);
    let mut player = Player { world, lesson, progress: Progress::default(), step: 0 };
    for number in 0..lesson.steps.len() {
        player.step = number;
        player.play_step()?;
    }
    let done =
        |(number, step): (usize, &Step)| Some((step.id.clone(), player.progress.done_at(number)?));
    let steps = lesson.steps.iter().enumerate().filter_map(done).collect();
    Ok(Played { steps, world: player.world })
}

/// A player that types the solution of each step.
struct Player<'l> {
    world: World,
    lesson: &'l Lesson,
    progress: Progress,
    step: usize,
}

impl Player<'_> {
    fn play_step(&mut self) -> Result<(), PlayError> {
        let step = &self.lesson.steps[self.step];
        // The step must stay undone for some time, not only at first.
        let until = self.world.now() + CHECK_INTERVAL;
        self.run(until, |_| false);
        self.is_not_done("before anything was done for it", "let it wait for more")?;
        for (number, command) in step.solution.iter().enumerate() {
            let is_last = number + 1 == step.solution.len();
            self.carry_out(command, is_last)?;
            if !is_last {
                let what = format!("before '{}' was done", step.solution[number + 1]);
                self.is_not_done(&what, "let it wait for what the last command brings about")?;
            }
        }
        if step.open {
            return Ok(());
        }
        if let Some(question) = &step.question {
            let patience = self.world.now() + STEP_TIMEOUT;
            self.run(patience, |player| player.waits_for_answer());
            self.is_not_done("without its question", "let it wait for the answer")?;
            let right = question.answers.iter().position(|answer| answer.right).unwrap_or_default();
            let now = self.world.now();
            for wrong in (0..question.answers.len()).filter(|number| *number != right) {
                self.progress.answer(self.step, Answer(wrong), now);
                self.look();
                self.is_not_done("by a wrong answer", "mark one answer as right")?;
            }
            self.progress.answer(self.step, Answer(right), now);
        }
        let patience = self.world.now() + STEP_TIMEOUT;
        self.run(patience, |player| player.progress.done() > player.step);
        if self.progress.done() > self.step {
            return Ok(());
        }
        let open: Vec<String> = (self.progress.met(self.step).iter().zip(&step.wait))
            .filter(|(met, _)| !**met)
            .map(|(_, waited)| format!("{:?}", waited.condition))
            .collect();
        let seen = self.seen();
        Err(self.wrong(
            format!("is not done {STEP_TIMEOUT:?} after its solution: {}", open.join(", ")),
            &format!("mend the solution or the condition. The terminals show:\n{seen}"),
        ))
    }

    /// Whether all conditions are met, but the question is not answered.
    fn waits_for_answer(&self) -> bool {
        self.progress.met(self.step).iter().all(|met| *met)
    }

    fn is_not_done(&self, when: &str, remedy: &str) -> Result<(), PlayError> {
        if self.progress.done() <= self.step {
            return Ok(());
        }
        Err(self.wrong(format!("is done {when}"), remedy))
    }

    fn wrong(&self, what: String, remedy: &str) -> PlayError {
        let step = &self.lesson.steps[self.step];
        PlayError { line: step.line, step: step.id.clone(), what, remedy: remedy.to_owned() }
    }

    fn carry_out(&mut self, command: &Command, is_last: bool) -> Result<(), PlayError> {
        let until = self.world.now() + COMMAND_TIMEOUT;
        // After the last command, the step itself is waited for.
        let step = self.step;
        let is_over = move |player: &Player<'_>| is_last && player.progress.done() > step;
        match command {
            Command::Wait(time) => {
                let until = self.world.now() + *time;
                self.run(until, is_over);
            }
            Command::Act(action) => {
                self.act(action.clone(), command)?;
                self.look();
            }
            Command::Cli { at, line } => {
                let process = format!("cli-{at}");
                if self.world.proc_named(&process).is_none() {
                    let (host, port) = at.split_once(':').unwrap_or((at, "6379"));
                    let args = ["-h", host, "-p", port].map(str::to_owned).to_vec();
                    let name = process.clone();
                    let (host, program) = (DESK.to_owned(), CLI.to_owned());
                    self.act(Action::Run { host, name, program, args }, command)?;
                    self.run(until, |player| player.cli_takes_line(&process));
                }
                let (process, line) = (process.clone(), line.clone());
                match line.as_str() {
                    "^C" => self.act(Action::Interrupt { process: process.clone() }, command)?,
                    _ => self.act(Action::Type { process: process.clone(), line }, command)?,
                }
                self.run(until, |player| player.cli_takes_line(&process));
            }
            Command::Shell { terminal, line } => {
                if self.world.tty_named(terminal).is_none_or(|tty| !tty.is_alive()) {
                    let host = terminal.split('#').next().unwrap_or_default().to_owned();
                    let (terminal, columns, rows) = (terminal.clone(), 120, 30);
                    let login = Action::Login { host, terminal, columns, rows };
                    self.act(login, command)?;
                }
                self.run(until, |player| player.shell_takes_line(terminal));
                let keys = match line.as_str() {
                    "^C" => "\u{3}".to_owned(),
                    line => format!("{line}\r"),
                };
                self.act(Action::Keys { terminal: terminal.clone(), keys }, command)?;
                let begun = self.world.now() + CHECK_INTERVAL;
                self.run(begun, is_over);
                let until = self.world.now() + COMMAND_TIMEOUT;
                self.run(until, |player| player.shell_takes_line(terminal));
            }
        }
        Ok(())
    }

    fn act(&mut self, action: Action, command: &Command) -> Result<(), PlayError> {
        self.world.apply(&action).map_err(|error| {
            let what = format!("has a solution whose '{command}' cannot be done: {error}");
            self.wrong(what, "mend the command")
        })
    }

    fn cli_takes_line(&self, process: &str) -> bool {
        let proc = self.world.proc_named(process);
        let terminal = proc.and_then(|proc| self.world.machine::<Terminal>(proc.id));
        terminal.is_none_or(|terminal| !terminal.shown().waiting)
    }

    fn shell_takes_line(&self, terminal: &str) -> bool {
        let Some(tty) = self.world.tty_named(terminal) else { return true };
        let mut foreground = self.world.foreground_of(tty);
        tty.mode() == TerminalMode::Raw
            && foreground.next().is_some_and(|proc| proc.program == World::LOGIN)
            && foreground.next().is_none()
    }

    /// Runs the World until a condition is true, or until a time.
    fn run(&mut self, until: Mono, is_over: impl Fn(&Self) -> bool) {
        while self.world.now() < until {
            let next = (self.world.now() + CHECK_INTERVAL).min(until);
            self.world.run_until(next);
            self.look();
            if is_over(self) {
                break;
            }
        }
    }

    fn look(&mut self) {
        self.progress.look(self.lesson, &self.world);
    }

    /// The last lines of all terminals.
    fn seen(&self) -> String {
        let tail = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(12)..].join("\n")
        };
        let clis = self.world.procs().filter_map(|proc| {
            let terminal = self.world.machine::<Terminal>(proc.id)?;
            Some(format!("--- {}\n{}", proc.name, tail(&terminal.text())))
        });
        let ttys =
            self.world.ttys().map(|tty| format!("--- {}\n{}", tty.name(), tail(&tty.text())));
        clis.chain(ttys).collect::<Vec<_>>().join("\n")
    }
}
