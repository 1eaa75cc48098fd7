//! Types for child processes: standard streams, spawning, signals and terminals.
//!
//! `docs/processes.md` describes the model behind these types.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::SIGNALLED;

/// A child process, named by the machine that starts it and never used twice by that machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ChildId(pub u64);

/// A pipe between two children, named by the machine that starts them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PipeId(pub u64);

/// A byte stream of a process that is not a network connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stream {
    /// The standard input.
    Stdin,
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
    /// The writing end of a child's standard input, started with [`Stdio::Piped`].
    ChildStdin(ChildId),
    /// The reading end of a child's standard output, started with [`Stdio::Piped`].
    ChildStdout(ChildId),
    /// The reading end of a child's standard error, started with [`Stdio::Piped`].
    ChildStderr(ChildId),
}

/// Why a stream could not be read or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StreamError {
    /// The pipe has no reader any more (`EPIPE`).
    BrokenPipe,
    /// The stream is closed, or does not go in that direction.
    BadDescriptor,
    /// The disk behind it is full.
    NoSpace,
    /// Anything else.
    Io,
}

impl fmt::Display for StreamError {
    /// In the words of `strerror`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StreamError::BrokenPipe => "Broken pipe",
            StreamError::BadDescriptor => "Bad file descriptor",
            StreamError::NoSpace => "No space left on device",
            StreamError::Io => "Input/output error",
        })
    }
}

impl core::error::Error for StreamError {}

/// A program to start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// Its path, or a name to look up in the `PATH` of `env`.
    pub program: String,
    /// Its arguments, without the program's name.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// The directory in which it starts; `None` for its parent's.
    pub dir: Option<String>,
    /// Where its standard input comes from.
    pub stdin: Stdio,
    /// Where its standard output goes.
    pub stdout: Stdio,
    /// Where its standard error goes.
    pub stderr: Stdio,
    /// Its process group.
    pub group: Group,
}

impl Command {
    /// A program with these arguments, an empty environment, no streams and a group of its own.
    pub fn new(program: &str, args: &[&str]) -> Self {
        Command {
            program: program.into(),
            args: args.iter().map(|&arg| arg.into()).collect(),
            env: Vec::new(),
            dir: None,
            stdin: Stdio::Null,
            stdout: Stdio::Null,
            stderr: Stdio::Null,
            group: Group::New,
        }
    }
}

/// What a standard stream of a child is connected to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stdio {
    /// The parent's own.
    Inherit,
    /// Like `/dev/null`: reads give the end of the stream, writes are discarded.
    Null,
    /// A pipe to the parent, which uses [`Stream::ChildStdin`] and its siblings.
    Piped,
    /// One end of a pipe to another child.
    Pipe(PipeId),
    /// A file.
    File {
        /// Its path, relative to the child's working directory.
        path: String,
        /// How to open it.
        mode: FileMode,
    },
    /// For the standard error: wherever the standard output goes.
    Stdout,
    /// For the standard output: wherever the standard error goes.
    Stderr,
}

/// How to open a file that becomes a standard stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileMode {
    /// To read it.
    Read,
    /// To write it from the beginning, dropping its content.
    Truncate,
    /// To write at its end.
    Append,
}

/// The process group of a child, which receives a terminal's keys and group signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Its parent's.
    Same,
    /// A new one, in the background.
    New,
    /// A new one, in the foreground of the terminal.
    NewForeground,
    /// That of another child.
    Join(ChildId),
}

/// Why a program did not start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SpawnError {
    /// There is no such program.
    NotFound,
    /// It is there and may not be executed.
    Denied,
    /// A file for one of its streams could not be opened.
    Stream {
        /// The file's path.
        path: String,
        /// The operating system's words.
        message: String,
    },
    /// The program itself refused to start, with a reason for the user.
    Refused(String),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::NotFound => f.write_str("command not found"),
            SpawnError::Denied => f.write_str("Permission denied"),
            SpawnError::Stream { path, message } => write!(f, "{path}: {message}"),
            SpawnError::Refused(why) => f.write_str(why),
        }
    }
}

impl core::error::Error for SpawnError {}

/// A change in the state of a child process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ChildChange {
    /// It has ended. Nothing more is reported about it.
    Ended(ExitStatus),
    /// It was suspended.
    Suspended,
    /// It was continued after being suspended.
    Continued,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It exited with this status.
    Exited(i32),
    /// It was killed by this signal.
    Signalled(Signal),
}

impl ExitStatus {
    /// The status as a shell's `$?` shows it.
    pub fn code(self) -> i32 {
        match self {
            ExitStatus::Exited(code) => code & 0xff,
            ExitStatus::Signalled(signal) => SIGNALLED + signal.number(),
        }
    }
}

/// A signal of the operating system.
///
/// `Kill`, `Stop`, `Continue`, `Pipe` and `Suspend` are carried out by the driver; a machine never
/// receives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// SIGTERM: a request to end.
    Terminate,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGHUP: the terminal is gone; a daemon reopens its log.
    Hangup,
    /// SIGQUIT: Ctrl-\.
    Quit,
    /// SIGKILL.
    Kill,
    /// SIGTSTP: Ctrl-Z.
    Suspend,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGPIPE.
    Pipe,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
}

impl Signal {
    /// Every signal with its name and its number on Linux.
    pub const ALL: [(Signal, &'static str, i32); 11] = [
        (Signal::Hangup, "HUP", 1),
        (Signal::Interrupt, "INT", 2),
        (Signal::Quit, "QUIT", 3),
        (Signal::Kill, "KILL", 9),
        (Signal::User1, "USR1", 10),
        (Signal::User2, "USR2", 12),
        (Signal::Pipe, "PIPE", 13),
        (Signal::Terminate, "TERM", 15),
        (Signal::Continue, "CONT", 18),
        (Signal::Stop, "STOP", 19),
        (Signal::Suspend, "TSTP", 20),
    ];

    /// Its number on Linux.
    pub fn number(self) -> i32 {
        Self::ALL.iter().find(|(signal, ..)| *signal == self).map_or(0, |&(_, _, number)| number)
    }

    /// Its name without `SIG`.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(signal, ..)| *signal == self).map_or("", |&(_, name, _)| name)
    }

    /// A signal by its name, with or without `SIG`, or by its number.
    pub fn parse(text: &str) -> Option<Signal> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = text.parse::<i32>().ok();
        let found = Self::ALL.iter().find(|(_, known, n)| *known == name || Some(*n) == number);
        found.map(|&(signal, ..)| signal)
    }

    /// The exit status of a program that this signal ends by default.
    pub fn default_exit(self) -> i32 {
        SIGNALLED + self.number()
    }
}

/// Why a signal could not be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum KillError {
    /// No such process.
    NoProcess,
    /// Operation not permitted.
    Denied,
}

impl fmt::Display for KillError {
    /// In the words of `strerror`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KillError::NoProcess => "No such process",
            KillError::Denied => "Operation not permitted",
        })
    }
}

impl core::error::Error for KillError {}

/// The mode of a terminal: whether the terminal or the program handles typed keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum TerminalMode {
    /// The terminal edits lines: it echoes, keeps a line until Enter, and makes signals of Ctrl-C
    /// and Ctrl-Z.
    #[default]
    Cooked,
    /// As `Cooked`, without echo, for typing a password.
    NoEcho,
    /// The program gets every key at once, and nothing is echoed.
    Raw,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_found_by_name_and_number() {
        for text in ["TERM", "SIGTERM", "sigterm", "15"] {
            assert_eq!(Signal::parse(text), Some(Signal::Terminate), "{text}");
        }
        assert_eq!(Signal::parse("NOSUCH"), None);
        assert_eq!(ExitStatus::Signalled(Signal::Kill).code(), 137);
        assert_eq!(Signal::Interrupt.default_exit(), 130);
    }
}
