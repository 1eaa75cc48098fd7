//! A terminal with redis-cli: the client and its screen, as a process of a World.
//!
//! The screen is part of the process, so that a rewind restores it as well.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::client::format::{Format, Output as Style};
use crate::client::session::Protocol;
use crate::client::{CliMachine, Printed, Session, SessionConfig, Waiting};
use crate::machine::{ConnId, Input, Machine, Outbox, Output};
use crate::sim::{Console, Launch, LaunchError, Process};
use crate::time::{Mono, Now};

use super::programs::help;
use super::promise::Writes;

/// A terminal with redis-cli.
#[derive(Clone, Debug)]
pub struct Terminal {
    cli: CliMachine,
    /// Shared between checkpoints.
    screen: Arc<Screen>,
    /// Lines that were typed while it waited for a reply.
    ahead: VecDeque<String>,
    /// The command in its arguments, until it is run.
    command: Vec<Vec<u8>>,
    /// Shared between checkpoints.
    writes: Arc<Writes>,
}

#[derive(Clone, Debug, Default)]
struct Screen {
    blocks: VecDeque<Arc<Block>>,
    printed: u64,
}

/// A typed line and the output after it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Block {
    /// The prompt and the line.
    pub typed: Option<(String, String)>,
    /// The output.
    pub printed: String,
    /// Whether the output is an error, or went to the standard error.
    pub is_error: bool,
}

/// What a terminal shows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// The typed lines with their outputs, oldest first. Unchanged blocks keep their allocation.
    pub blocks: Vec<Arc<Block>>,
    /// The prompt.
    pub prompt: String,
    /// Whether it waits for something other than a line.
    pub waiting: bool,
    /// Total number of bytes printed so far; it grows with every output.
    pub length: u64,
}

impl Terminal {
    /// The maximum number of blocks that are kept.
    const SCROLLBACK: usize = 400;
    /// The maximum output of a block in bytes; longer output is truncated.
    const BLOCK: usize = 256 << 10;
    /// The maximum number of lines that can be typed ahead.
    const AHEAD: usize = 64;

    /// Parses `redis-cli [-h host] [-p port] [-n db] [-a password] [--user name] [-c] [-2] [-3]
    /// [--raw] [--csv] [--json] [command ...]`.
    pub(super) fn launch(launch: &Launch<'_>) -> Result<Self, LaunchError> {
        let (mut config, command) = parse_args(launch.args).map_err(LaunchError)?;
        config.keeps_answers = true;
        let names = launch.names().map(|(name, ip)| (name.to_owned(), ip.into())).collect();
        let cli = CliMachine::new(Session::new(config, help())).with_names(Arc::new(names));
        Ok(Terminal {
            cli,
            screen: Arc::default(),
            ahead: VecDeque::new(),
            command,
            writes: Arc::default(),
        })
    }

    /// What it currently shows.
    pub fn shown(&self) -> Shown {
        Shown {
            blocks: self.screen.blocks.iter().cloned().collect(),
            prompt: self.cli.session().prompt(),
            waiting: self.cli.session().waiting() != Waiting::Line,
            length: self.screen.printed,
        }
    }

    /// The contents of the screen as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for block in &self.screen.blocks {
            if let Some((prompt, line)) = &block.typed {
                text.push_str(&format!("{prompt}{line}\n"));
            }
            text.push_str(&block.printed);
        }
        text
    }

    /// The session, for hints and completion.
    pub fn session(&self) -> &Session {
        self.cli.session()
    }

    /// The acknowledged writes.
    pub fn writes(&self) -> &Writes {
        &self.writes
    }

    /// Whether a typed line is accepted at once: the prompt or messages are shown.
    fn takes_line(&self) -> bool {
        matches!(self.cli.session().waiting(), Waiting::Line | Waiting::Messages)
    }

    fn enter(&mut self, now: Mono, line: &str) {
        if self.cli.session().waiting() == Waiting::Messages
            && let Some(last) = Arc::make_mut(&mut self.screen).blocks.back_mut().map(Arc::make_mut)
        {
            // The notice about waiting for messages is replaced by the typed line.
            erase_unfinished_line(&mut last.printed);
        }
        let typed = Some((self.cli.session().prompt(), line.to_owned()));
        self.begin(Block { typed, ..Block::default() });
        self.cli.line(now, line.as_bytes());
        self.take_printed();
    }

    fn begin(&mut self, block: Block) {
        let screen = Arc::make_mut(&mut self.screen);
        if screen.blocks.len() == Self::SCROLLBACK {
            screen.blocks.pop_front();
        }
        screen.blocks.push_back(Arc::new(block));
    }

    fn take_printed(&mut self) {
        for printed in self.cli.take_printed() {
            let (bytes, is_error) = match printed {
                Printed::Text(bytes) => {
                    let is_error = bytes.starts_with(b"(error)");
                    (bytes, is_error)
                }
                Printed::Error(bytes) => (bytes, true),
                Printed::Clear => {
                    Arc::make_mut(&mut self.screen).blocks.clear();
                    continue;
                }
            };
            if self.screen.blocks.is_empty() {
                self.begin(Block::default());
            }
            let screen = Arc::make_mut(&mut self.screen);
            screen.printed += bytes.len() as u64;
            if let Some(last) = screen.blocks.back_mut().map(Arc::make_mut) {
                last.is_error |= is_error;
                if last.printed.len() < Self::BLOCK {
                    put(&mut last.printed, &String::from_utf8_lossy(&bytes));
                }
            }
        }
    }

    /// After an input: takes the output, and enters lines that were typed ahead.
    fn settle(&mut self, now: Mono) {
        for answer in self.cli.take_answers() {
            Arc::make_mut(&mut self.writes).answered(now, answer);
        }
        self.take_printed();
        while self.takes_line()
            && let Some(line) = self.ahead.pop_front()
        {
            self.enter(now, &line);
        }
    }
}

/// Appends output of redis-cli to a screen that has lines but no cursor: drops colours and carriage
/// returns; `ESC [ K` erases the unfinished line (redis-cli erases its notice with it).
fn put(screen: &mut String, printed: &str) {
    let mut rest = printed;
    while let Some(at) = rest.find(['\r', '\x1b']) {
        screen.push_str(&rest[..at]);
        let sequence = rest[at..].strip_prefix("\x1b[");
        let end = sequence.and_then(|body| body.find(|c: char| !c.is_ascii_digit() && c != ';'));
        rest = match (sequence, end) {
            (Some(body), Some(end)) => {
                if body[end..].starts_with('K') {
                    erase_unfinished_line(screen);
                }
                let last = body[end..].chars().next().map_or(0, char::len_utf8);
                &body[end + last..]
            }
            _ => &rest[at + 1..],
        };
    }
    screen.push_str(rest);
}

fn erase_unfinished_line(screen: &mut String) {
    screen.truncate(screen.rfind('\n').map_or(0, |at| at + 1));
}

/// Parses redis-cli's arguments: the options, and the command after them.
pub(super) fn parse_args(args: &[String]) -> Result<(SessionConfig, Vec<Vec<u8>>), String> {
    let mut config = SessionConfig::interactive("127.0.0.1", 6379);
    let mut command = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || {
            let missing = || format!("'{arg}' needs a value, as in -h redis-1");
            args.next().cloned().ok_or_else(missing)
        };
        match arg.as_str() {
            "-h" => config.host = value()?,
            "-p" => config.port = number(&value()?, "a port", "1 to 65535")?,
            "-n" => config.db = number(&value()?, "a database", "0 to 15")?,
            "-a" | "--pass" => config.password = Some(value()?.into_bytes()),
            "--user" => config.user = Some(value()?),
            "-s" => config.socket = Some(value()?),
            "-c" => config.cluster = true,
            "-2" => config.protocol = Protocol::Resp2,
            "-3" => config.protocol = Protocol::Resp3,
            "--raw" => config.format = Format::new(Style::Raw),
            "--no-raw" => config.format = Format::new(Style::Standard),
            "--csv" => config.format = Format::new(Style::Csv),
            "--json" => config.format = Format::new(Style::Json),
            option if option.starts_with('-') => {
                return Err(format!("Unrecognized option or bad number of args for: '{option}'"));
            }
            first => {
                command.push(first.as_bytes().to_vec());
                command.extend(args.by_ref().map(|arg| arg.as_bytes().to_vec()));
            }
        }
    }
    config.interactive = command.is_empty();
    Ok((config, command))
}

fn number<N: core::str::FromStr>(text: &str, what: &str, range: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("'{text}' is not {what}; use {range}"))
}

impl Machine for Terminal {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        let starts = matches!(input, Input::Start);
        self.cli.handle(now, input);
        if starts && !self.command.is_empty() {
            self.cli.run(now.mono, core::mem::take(&mut self.command), 1);
        }
        self.settle(now.mono);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.cli.poll_output()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.cli.poll_timeout()
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.cli.outbox(conn)
    }
}

impl Console for Terminal {
    fn line(&mut self, now: Now<'_>, line: &str) {
        if self.takes_line() {
            self.enter(now.mono, line);
        } else if self.ahead.len() < Self::AHEAD {
            self.ahead.push_back(line.to_owned());
        }
        self.settle(now.mono);
    }

    fn interrupt(&mut self, now: Now<'_>) {
        self.ahead.clear();
        self.cli.interrupt(now.mono);
        self.settle(now.mono);
    }
}

impl Process for Terminal {
    fn console(&mut self) -> Option<&mut dyn Console> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_without_a_cursor_shows_no_escapes() {
        let mut screen = String::from("1) \"message\"\n");
        put(&mut screen, "\x1b[1;90mReading messages...\r\x1b[0m");
        assert_eq!(screen, "1) \"message\"\nReading messages...");
        put(&mut screen, "\x1b[K");
        put(&mut screen, "1) \"pmessage\"\r\n");
        assert_eq!(screen, "1) \"message\"\n1) \"pmessage\"\n");
        for odd in ["\x1b", "\x1b[", "\x1b[1", "a\x1b你"] {
            put(&mut screen, odd);
        }
        assert!(!screen.contains('\x1b'), "{screen}");
    }
}
