//! Interactive mode: commands line by line from a terminal, or from a pipe.

use std::borrow::Cow;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use limpid_core::client::{Help, Session, Waiting};
use nix::sys::signal::{SigSet, Signal};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor};

use super::driver::{Driver, Woken};
use super::history::{self, History};
use super::lines::Lines;
use super::options::Options;
use super::{fail, known_commands, session_config, terminal};

/// Reads lines until there are no more; returns the exit status.
pub(super) fn run(options: &Options) -> i32 {
    let tty = terminal::stdin_is_tty();
    let mut config = session_config(options, true);
    config.learn_commands = tty;
    let mut session = Session::new(config, known_commands());
    if tty {
        for line in history::preferences() {
            session.preference(&line);
        }
    }
    session.start();
    let interrupts = match catch_interrupts() {
        Ok(interrupts) => interrupts,
        Err(error) => return fail(&format!("Cannot catch Ctrl-C: {error}")),
    };
    let mut driver = Driver::new(session, Some(interrupts));
    let result = if tty { typed(&mut driver) } else { piped(&mut driver) };
    match result {
        Ok(()) => driver.exit_status(),
        Err(error) => fail(&format!("Error: {error}")),
    }
}

fn typed(driver: &mut Driver) -> Result<(), ReadlineError> {
    let config = Config::builder()
        .completion_type(CompletionType::Circular)
        .max_history_size(history::KEPT)?
        .build();
    let mut editor = Editor::<Assistant, MemHistory>::with_history(config, MemHistory::new())?;
    let mut history = History::load();
    for line in history.lines() {
        editor.add_history_entry(line)?;
    }
    while let Some(waiting) = driver.run_to_input() {
        if waiting == Waiting::Messages {
            let keys = terminal::KeyMode::enter();
            let woken = driver.wait(Some(rustix::stdio::stdin()));
            drop(keys);
            if woken == Woken::Input {
                driver.session.key();
            }
            continue;
        }
        editor.set_helper(Some(Assistant {
            help: driver.session.shared_help(),
            hints: driver.session.shows_hints(),
        }));
        match editor.readline(&driver.session.prompt()) {
            Ok(line) => {
                if Session::may_remember(line.as_bytes()) {
                    editor.add_history_entry(&line)?;
                    history.add(&line);
                }
                let now = driver.now();
                driver.session.line(now, line.as_bytes());
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => driver.session.end(),
            // A byte was typed that is no valid UTF-8.
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn piped(driver: &mut Driver) -> Result<(), ReadlineError> {
    let mut lines = Lines::new()?;
    while let Some(waiting) = driver.run_to_input() {
        if waiting == Waiting::Messages
            && !lines.has_buffered()
            && driver.wait(Some(std::os::fd::AsFd::as_fd(&lines))) == Woken::Session
        {
            continue;
        }
        match lines.next_line() {
            Some(line) => {
                let now = driver.now();
                driver.session.line(now, &line);
            }
            None => driver.session.end(),
        }
    }
    Ok(())
}

/// A descriptor that becomes readable when Ctrl-C is pressed.
///
/// The signal is blocked in all threads but the one that waits for it, since the line editor
/// installs a handler of its own that would swallow it.
fn catch_interrupts() -> io::Result<UnixStream> {
    let (ours, mut theirs) = UnixStream::pair()?;
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    std::thread::spawn(move || while signals.wait().is_ok() && theirs.write_all(b"i").is_ok() {});
    Ok(ours)
}

/// Hints and completion for the line editor.
struct Assistant {
    help: Arc<Help>,
    hints: bool,
}

/// A hint after the cursor that is shown in grey and cannot be accepted as input.
struct Grey(String);

impl Hint for Grey {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Hinter for Assistant {
    type Hint = Grey;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<Grey> {
        if !self.hints || pos < line.len() {
            return None;
        }
        let hint = self.help.hint(line).filter(|hint| !hint.is_empty())?;
        let blank = if line.ends_with(|c: char| c.is_ascii_whitespace()) { "" } else { " " };
        Some(Grey(format!("{blank}{hint}")))
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        _: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok((0, self.help.complete(line)))
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[90m{hint}\x1b[0m"))
    }
}

impl Validator for Assistant {}

impl rustyline::Helper for Assistant {}
