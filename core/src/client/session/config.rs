//! Configuration of a session, and the actions and states that its driver sees.

use crate::client::format::{Format, Output};
use crate::resp::value::Value;
use crate::time::Duration;

/// Configuration of a session.
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
    /// The protocol version to request.
    pub protocol: Protocol,
    /// Whether to follow MOVED and ASK (`-c`).
    pub cluster: bool,
    /// How replies are printed.
    pub format: Format,
    /// Whether lines are typed, in contrast to a single command.
    pub interactive: bool,
    /// Whether output goes to a terminal; then a notice says how to leave a subscription.
    pub tty: bool,
    /// Whether help and notices are coloured by ANSI escapes.
    pub color: bool,
    /// Whether pushes are shown between replies.
    pub show_pushes: bool,
    /// Whether the program exits with an error after an error reply (`-e`).
    pub exit_on_error: bool,
    /// The pause after each command (`-i`).
    pub interval: Duration,
    /// Whether the first server is asked for its commands, for hints, completion and help.
    pub learn_commands: bool,
    /// The version that `help` names.
    pub version: String,
    /// Whether commands are recorded with their replies, for
    /// [`Session::take_answers`](super::Session::take_answers).
    pub keeps_answers: bool,
}

impl SessionConfig {
    /// The behaviour of redis-cli on a terminal.
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

/// The protocol version that a session requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// None: a connection starts in RESP2.
    #[default]
    Default,
    /// RESP2 (`-2`): like the default, but it overrides [`Protocol::Resp3IfKnown`].
    Resp2,
    /// RESP3 (`-3`).
    Resp3,
    /// RESP3 if the server supports it (`--json`).
    Resp3IfKnown,
}

/// A command and its reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The command's words.
    pub args: Vec<Vec<u8>>,
    /// The selected database.
    pub db: i64,
    /// The server it was sent to.
    pub target: Target,
    /// The reply.
    pub reply: Value,
}

/// What a [`Session`](super::Session) wants its driver to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect; the result is reported by [`Session::connected`](super::Session::connected) or
    /// [`Session::connect_failed`](super::Session::connect_failed).
    Connect(Target),
    /// Close the connection. No further events of it may be reported.
    Disconnect,
    /// Send these bytes.
    Send(Vec<u8>),
    /// Print these bytes to the standard output; a line end is included where one is needed.
    Print(Vec<u8>),
    /// Print these bytes to the standard error.
    PrintError(Vec<u8>),
    /// Clear the screen.
    ClearScreen,
    /// End the program with this exit status. The last action.
    Exit(i32),
}

/// The server to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A host name or address, and a port.
    Tcp(String, u16),
    /// The path of a Unix socket.
    Unix(String),
}

/// What a session is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A typed line: the prompt has to be shown.
    Line,
    /// A connection, a reply, or a timeout.
    Reply,
    /// Messages of subscriptions, or any key, which brings the prompt back
    /// ([`Session::key`](super::Session::key)).
    Messages,
    /// The output of MONITOR, until Ctrl-C.
    Monitor,
    /// Nothing: the session has ended.
    Ended,
}
