//! Configuration of a session, and the actions and states by which it talks to its driver.

use crate::client::format::{Format, Output};
use crate::resp::value::Value;
use crate::time::Duration;

/// How a session behaves.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The server's name or address, as the prompt shows it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path of a Unix socket, instead of host and port.
    pub socket: Option<String>,
    /// The user to authenticate as; the default user if none.
    pub user: Option<String>,
    /// The password to authenticate with, on every connection.
    pub password: Option<Vec<u8>>,
    /// The database to select on every connection.
    pub db: i64,
    /// Which protocol to ask for.
    pub protocol: Protocol,
    /// Whether to follow MOVED and ASK (`-c`).
    pub cluster: bool,
    /// How replies are printed.
    pub format: Format,
    /// Whether lines are typed, as opposed to one command and an end.
    pub interactive: bool,
    /// Whether output goes to a terminal: a person is told how to leave a subscription.
    pub tty: bool,
    /// Whether help and notices are coloured with ANSI escapes.
    pub color: bool,
    /// Whether out of band data is shown between replies.
    pub show_pushes: bool,
    /// Whether an error reply ends the program with an error (`-e`).
    pub exit_on_error: bool,
    /// A pause behind each command (`-i`).
    pub interval: Duration,
    /// Whether the first server is asked for its commands, for hints, completion and help.
    pub learn_commands: bool,
    /// The version that `help` names.
    pub version: String,
    /// Whether commands are kept with their replies, for
    /// [`Session::take_answers`](super::Session::take_answers).
    pub keeps_answers: bool,
}

impl SessionConfig {
    /// As redis-cli behaves for a person at a terminal.
    pub fn interactive(host: impl Into<String>, port: u16) -> Self {
        SessionConfig {
            host: host.into(),
            port,
            socket: None,
            user: None,
            password: None,
            db: 0,
            protocol: Protocol::Default,
            cluster: false,
            format: Format::new(Output::Standard),
            interactive: true,
            tty: true,
            color: false,
            show_pushes: true,
            exit_on_error: false,
            interval: Duration::ZERO,
            learn_commands: false,
            version: "7.2.6".to_string(),
            keeps_answers: false,
        }
    }
}

/// Which protocol a session asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// None: the server begins with version 2.
    #[default]
    Default,
    /// Version 2, asked for (`-2`): as none, but it wins over [`Protocol::Resp3IfKnown`].
    Resp2,
    /// Version 3 (`-3`).
    Resp3,
    /// Version 3 if the server knows it (`--json`).
    Resp3IfKnown,
}

/// A command and what was answered to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The command's words.
    pub args: Vec<Vec<u8>>,
    /// The database that was selected.
    pub db: i64,
    /// Where it was sent.
    pub target: Target,
    /// The reply.
    pub reply: Value,
}

/// Something that a [`Session`](super::Session) wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect; answered with [`Session::connected`](super::Session::connected) or [`Session::connect_failed`](super::Session::connect_failed).
    Connect(Target),
    /// Drop the connection. Nothing more is to be told about it.
    Disconnect,
    /// Send these bytes.
    Send(Vec<u8>),
    /// Print these bytes, which end in a line end if they shall.
    Print(Vec<u8>),
    /// Print these bytes where errors go.
    PrintError(Vec<u8>),
    /// Clear the screen.
    ClearScreen,
    /// End the program. The last action.
    Exit(i32),
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A host's name or address, and a port.
    Tcp(String, u16),
    /// The path of a Unix socket.
    Unix(String),
}

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A line: the prompt is to be shown.
    Line,
    /// A connection, a reply, or a moment to come.
    Reply,
    /// Messages of subscriptions, or any key ([`Session::key`](super::Session::key)) that brings back the prompt.
    Messages,
    /// What MONITOR shows, until an interruption.
    Monitor,
    /// Nothing: it has ended.
    Ended,
}
