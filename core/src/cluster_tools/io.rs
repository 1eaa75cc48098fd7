//! The requests of a tool, and the functions with which it makes them.

use core::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::conversation::{Answer, Line};
use crate::resp::value::Value;
use crate::time::Duration;

use super::options::Dialect;
use super::{Failed, Outcome};

/// A command: its name and arguments.
pub(super) type Words = Vec<Vec<u8>>;

/// A request of a tool to its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Send commands to a node, connecting first if there is no connection. The answer is
    /// [`Response::Replies`] with one reply for each command.
    Commands {
        /// Which node.
        to: Place,
        /// The commands, sent as one pipeline.
        commands: Vec<Vec<Vec<u8>>>,
    },
    /// Fetch a node's data by SYNC, on a connection of its own, after these commands. The answer is
    /// [`Response::Replies`] with the RDB file as one bulk string.
    Dump {
        /// Which node.
        from: Place,
        /// The commands to send before SYNC: AUTH.
        preamble: Vec<Vec<Vec<u8>>>,
    },
    /// Print to the standard output. No answer.
    Print(Vec<u8>),
    /// Print to the standard error. No answer.
    PrintError(Vec<u8>),
    /// Read a line from the standard input. The answer is [`Response::Line`]. Flush the output
    /// first.
    Line,
    /// Wait. The answer is [`Response::Done`]. Flush the output first.
    Sleep(Duration),
    /// Generate a random number. The answer is [`Response::Seed`].
    Seed,
    /// Write a file. The answer is [`Response::Saved`].
    Save {
        /// Its path.
        path: String,
        /// Its contents.
        bytes: Vec<u8>,
    },
}

/// An answer of the driver.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// The replies to [`Request::Commands`], shared with the log of the conversation.
    Replies(Result<Arc<Vec<Value>>, ConnectionError>),
    /// A line without its end; `None` at the end of the input.
    Line(Option<String>),
    /// A random number.
    Seed(u64),
    /// Whether the file was written, or why not.
    Saved(Result<(), String>),
    /// The wait is over.
    Done,
}

/// Why a node did not reply. The texts are error messages of the operating system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionError {
    /// The connection could not be established.
    NotConnected(String),
    /// The connection was closed before all replies had arrived.
    Lost(String),
}

/// The address of a node for clients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its address or name.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Place {
    /// Parses `host:port`; an `@` and the bus port behind it are ignored.
    pub(super) fn parse(text: &str) -> Option<Place> {
        let text = text.split_once('@').map_or(text, |(place, _)| place);
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        (!host.is_empty()).then(|| Place { host: host.into(), port })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The credentials of a client.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Login {
    /// The user; `None` for `default`.
    pub user: Option<String>,
    /// The password; without it no AUTH is sent.
    pub password: Option<Vec<u8>>,
}

impl Login {
    /// The AUTH command, if there is a password.
    pub(super) fn auth(&self) -> Option<Words> {
        let password = self.password.clone()?;
        let user = self.user.as_ref().map(|user| user.clone().into_bytes());
        Some([Some(b"AUTH".to_vec()), user, Some(password)].into_iter().flatten().collect())
    }

    /// The credentials as an option of MIGRATE.
    pub(super) fn migrate_option(&self) -> Words {
        match (&self.user, &self.password) {
            (_, None) => Vec::new(),
            (None, Some(password)) => vec![b"AUTH".to_vec(), password.clone()],
            (Some(user), Some(password)) => {
                vec![b"AUTH2".to_vec(), user.clone().into_bytes(), password.clone()]
            }
        }
    }
}

/// The settings of a tool's output and login.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The program whose output and options are imitated.
    pub dialect: Dialect,
    /// Whether messages are coloured (`TERM` contains `xterm`).
    pub color: bool,
    /// `--verbose`.
    pub verbose: bool,
    /// The credentials for every node of the cluster.
    pub login: Login,
}

/// A tool's end of the conversation: its access to nodes, terminal and files. Cheap to clone.
#[derive(Clone)]
pub(super) struct Io {
    line: Line<Request, Response>,
    settings: Arc<Settings>,
    /// The nodes to which there is an authenticated connection.
    open: Arc<Mutex<Vec<Place>>>,
}

/// The level of a message, which determines its colour.
#[derive(Clone, Copy)]
enum Level {
    Info,
    Ok,
    Warning,
    Error,
}

impl Io {
    pub(super) fn new(line: Line<Request, Response>, settings: Settings) -> Io {
        Io { line, settings: Arc::new(settings), open: Arc::default() }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.settings.dialect
    }

    pub(super) fn is_verbose(&self) -> bool {
        self.settings.verbose
    }

    pub(super) fn login(&self) -> &Login {
        &self.settings.login
    }

    /// The same, but with other credentials.
    pub(super) fn with_login(&self, login: Login) -> Io {
        let settings = Settings { login, ..Settings::clone(&self.settings) };
        Io { line: self.line.clone(), settings: Arc::new(settings), open: Arc::default() }
    }

    // --- printing -----------------------------------------------------------------------------

    pub(super) fn print(&self, text: impl Into<Vec<u8>>) {
        self.line.tell(Request::Print(text.into()));
    }

    pub(super) fn print_error(&self, text: impl AsRef<str>) {
        self.line.tell(Request::PrintError(format!("{}\n", text.as_ref()).into_bytes()));
    }

    /// `>>> ...`
    pub(super) fn info(&self, text: impl AsRef<str>) {
        self.message(Level::Info, text.as_ref());
    }

    /// `[OK] ...`
    pub(super) fn success(&self, text: impl AsRef<str>) {
        self.message(Level::Ok, text.as_ref());
    }

    /// `[WARNING] ...`
    pub(super) fn warn(&self, text: impl AsRef<str>) {
        self.message(Level::Warning, text.as_ref());
    }

    /// `[ERR] ...`
    pub(super) fn error(&self, text: impl AsRef<str>) {
        self.message(Level::Error, text.as_ref());
    }

    /// Prints an error, and ends the tool.
    pub(super) fn fail<T>(&self, text: impl AsRef<str>) -> Outcome<T> {
        self.error(text);
        Err(Failed)
    }

    fn message(&self, level: Level, text: &str) {
        let color = match level {
            Level::Info => "29;1",
            Level::Ok => "32;1",
            Level::Warning => "33;1",
            Level::Error => "31;1",
        };
        self.print(match self.settings.color {
            true => format!("\x1b[{color}m{text}\n\x1b[0m"),
            false => format!("{text}\n"),
        });
    }

    // --- the person -----------------------------------------------------------------------------

    /// Prints a question and reads a line. At the end of the input the tool ends, where Redis's
    /// tools ask for ever.
    pub(super) async fn ask(&self, question: &str) -> Outcome<String> {
        self.print(question);
        match self.line.ask(Request::Line).await {
            Response::Line(Some(line)) => Ok(line.trim().to_owned()),
            _ => {
                self.print("\n");
                Err(Failed)
            }
        }
    }

    /// Asks a question; true if the answer is `yes`.
    pub(super) async fn confirm(&self, question: &str) -> bool {
        self.print(format!("{question} (type 'yes' to accept): "));
        matches!(self.line.ask(Request::Line).await, Response::Line(Some(line)) if line.trim() == "yes")
    }

    // --- the world ------------------------------------------------------------------------------

    pub(super) async fn sleep(&self, time: Duration) {
        self.line.ask(Request::Sleep(time)).await;
    }

    pub(super) async fn seed(&self) -> u64 {
        match self.line.ask(Request::Seed).await {
            Response::Seed(seed) => seed,
            _ => 0,
        }
    }

    pub(super) async fn save(&self, path: String, bytes: Vec<u8>) -> Result<(), String> {
        match self.line.ask(Request::Save { path, bytes }).await {
            Response::Saved(result) => result,
            _ => Ok(()),
        }
    }

    /// Sends a command without waiting for its reply, so that others can be sent meanwhile.
    pub(super) fn send(&self, to: &Place, command: Words) -> PendingReplies {
        self.send_all(to, vec![command])
    }

    /// Sends commands as one pipeline.
    pub(super) fn send_all(&self, to: &Place, mut commands: Vec<Words>) -> PendingReplies {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let auth = self.settings.login.auth().filter(|_| !open.contains(to));
        if !open.contains(to) {
            open.push(to.clone());
        }
        let authenticates = auth.is_some();
        if let Some(auth) = auth {
            commands.insert(0, auth);
        }
        let ask = Request::Commands { to: to.clone(), commands };
        PendingReplies {
            io: self.clone(),
            to: to.clone(),
            authenticates,
            answer: self.line.ask(ask),
        }
    }

    /// Sends a command and waits for its reply, which may be an error reply.
    pub(super) async fn call(&self, to: &Place, command: Words) -> Result<Value, ConnectionError> {
        self.send(to, command).reply().await
    }

    /// Like [`Io::call`], but a connection error is printed and ends the tool.
    pub(super) async fn reply(&self, to: &Place, command: Words) -> Outcome<Value> {
        match self.call(to, command).await {
            Ok(reply) => Ok(reply),
            Err(trouble) => Err(self.report_trouble(to, &trouble)),
        }
    }

    /// Like [`Io::reply`], but an error reply is printed and ends the tool, too.
    pub(super) async fn expect(&self, to: &Place, command: Words) -> Outcome<Value> {
        let reply = self.reply(to, command).await?;
        match error_text(&reply) {
            Some(error) => self.replied_with_error(to, &error),
            None => Ok(reply),
        }
    }

    pub(super) fn replied_with_error<T>(&self, to: &Place, error: &str) -> Outcome<T> {
        self.error(format!("Node {to} replied with error:\n{error}"));
        Err(Failed)
    }

    /// Prints that a node could not be reached or does not reply.
    pub(super) fn report_trouble(&self, to: &Place, trouble: &ConnectionError) -> Failed {
        match (trouble, self.dialect()) {
            (ConnectionError::NotConnected(_), Dialect::Trib) => {
                self.error(format!("[ERR] Sorry, can't connect to node {to}"));
            }
            (ConnectionError::NotConnected(reason), Dialect::Cli) => {
                self.print_error(format!("Could not connect to Redis at {to}: {reason}"));
            }
            (ConnectionError::Lost(reason), _) => {
                self.print_error(format!("Error: {reason} ({to})"))
            }
        }
        Failed
    }

    /// Fetches a node's data as an RDB file, by SYNC.
    pub(super) async fn dump(&self, from: &Place) -> Result<Arc<Vec<Value>>, ConnectionError> {
        let preamble = self.settings.login.auth().into_iter().collect();
        match self.line.ask(Request::Dump { from: from.clone(), preamble }).await {
            Response::Replies(replies) => replies,
            _ => Err(ConnectionError::Lost("no answer".into())),
        }
    }
}

/// Commands whose replies have not been read yet.
pub(super) struct PendingReplies {
    io: Io,
    to: Place,
    authenticates: bool,
    answer: Answer<Request, Response>,
}

impl PendingReplies {
    /// The replies, one for each command.
    pub(super) async fn replies(self) -> Result<Vec<Value>, ConnectionError> {
        let replies = match self.answer.await {
            Response::Replies(replies) => replies,
            _ => Err(ConnectionError::Lost("no answer".into())),
        };
        let replies = match replies {
            Ok(replies) => replies,
            Err(trouble) => {
                // The next connection has to authenticate again.
                let mut open = self.io.open.lock().unwrap_or_else(PoisonError::into_inner);
                open.retain(|place| *place != self.to);
                return Err(trouble);
            }
        };
        let mut replies = replies.as_ref().clone();
        if self.authenticates && !replies.is_empty() {
            let auth = replies.remove(0);
            if let Some(error) = error_text(&auth) {
                self.io.print_error(format!("AUTH failed: {error}"));
            }
        }
        Ok(replies)
    }

    /// The reply to the last command.
    pub(super) async fn reply(self) -> Result<Value, ConnectionError> {
        let mut replies = self.replies().await?;
        replies.pop().ok_or_else(|| ConnectionError::Lost("no reply".into()))
    }
}

/// A command, split at blanks.
pub(super) fn words(line: &str) -> Words {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// The text of an error reply.
pub(super) fn error_text(reply: &Value) -> Option<String> {
    match reply {
        Value::Error(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    }
}

/// A reply as text; empty if it is not a string.
pub(super) fn text(reply: &Value) -> String {
    String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned()
}
