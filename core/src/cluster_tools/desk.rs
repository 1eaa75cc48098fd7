//! What a tool asks for, and its end of the conversation.

use core::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::conversation::{Answer, Line};
use crate::resp::value::Value;
use crate::time::Duration;

use super::options::Dialect;
use super::{Failed, Outcome};

/// A command: its words.
pub(super) type Words = Vec<Vec<u8>>;

/// What a tool asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Send commands to a node, connecting to it if there is no connection yet; answered by
    /// [`Told::Replies`] with a reply for each.
    Commands {
        /// Which node.
        to: Place,
        /// The commands, to be sent at once.
        commands: Vec<Vec<Vec<u8>>>,
    },
    /// Fetch a node's data as a replica does, on a connection of its own, after these commands;
    /// answered by [`Told::Replies`] with the RDB file as one bulk string.
    Dump {
        /// Which node.
        from: Place,
        /// What to send first: AUTH.
        greeting: Vec<Vec<Vec<u8>>>,
    },
    /// Print to the standard output. Not answered.
    Print(Vec<u8>),
    /// Print to the standard error. Not answered.
    Complain(Vec<u8>),
    /// Read a line of the standard input; answered by [`Told::Line`]. Everything printed so far has
    /// to be visible.
    Line,
    /// Wait; answered by [`Told::Done`]. Everything printed so far has to be visible.
    Sleep(Duration),
    /// A random number; answered by [`Told::Seed`].
    Seed,
    /// Write a file; answered by [`Told::Saved`].
    Save {
        /// Its path.
        path: String,
        /// What it is to hold.
        bytes: Vec<u8>,
    },
}

/// What a tool is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The replies to [`Ask::Commands`], shared with the log of the conversation.
    Replies(Result<Arc<Vec<Value>>, Trouble>),
    /// A line without its end; `None` at the end of the input.
    Line(Option<String>),
    /// A random number.
    Seed(u64),
    /// Whether a file was written, or why not.
    Saved(Result<(), String>),
    /// It is done.
    Done,
}

/// Why there are no replies. The texts are in the words of the operating system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no connection.
    NotConnected(String),
    /// The connection ended before the replies came.
    Lost(String),
}

/// Where a node listens for clients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its address or name.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Place {
    /// `host:port`; what follows an `@` (the port of the bus) is passed over.
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

/// How a client introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Login {
    /// A user; `None` for `default`.
    pub user: Option<String>,
    /// The password; without one nothing is sent.
    pub password: Option<Vec<u8>>,
}

impl Login {
    /// AUTH, if there is a password.
    pub(super) fn auth(&self) -> Option<Words> {
        let password = self.password.clone()?;
        let user = self.user.as_ref().map(|user| user.clone().into_bytes());
        Some([Some(b"AUTH".to_vec()), user, Some(password)].into_iter().flatten().collect())
    }

    /// The same as an option of MIGRATE.
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

/// How a tool prints and logs in.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whose tool it is.
    pub dialect: Dialect,
    /// Whether messages are coloured (`TERM` contains `xterm`).
    pub color: bool,
    /// Tell more (`--verbose`).
    pub verbose: bool,
    /// For every node of the cluster.
    pub login: Login,
}

/// A tool's end of the conversation. Cheap to clone.
#[derive(Clone)]
pub(super) struct Desk {
    line: Line<Ask, Told>,
    settings: Arc<Settings>,
    /// The nodes to which there is a connection that has introduced itself.
    open: Arc<Mutex<Vec<Place>>>,
}

/// How important a message is, which is its colour.
#[derive(Clone, Copy)]
enum Level {
    Info,
    Ok,
    Warning,
    Error,
}

impl Desk {
    pub(super) fn new(line: Line<Ask, Told>, settings: Settings) -> Desk {
        Desk { line, settings: Arc::new(settings), open: Arc::default() }
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

    /// The same desk for nodes with another login.
    pub(super) fn with_login(&self, login: Login) -> Desk {
        let settings = Settings { login, ..Settings::clone(&self.settings) };
        Desk { line: self.line.clone(), settings: Arc::new(settings), open: Arc::default() }
    }

    // --- printing -----------------------------------------------------------------------------

    pub(super) fn print(&self, text: impl Into<Vec<u8>>) {
        self.line.tell(Ask::Print(text.into()));
    }

    pub(super) fn complain(&self, text: impl AsRef<str>) {
        self.line.tell(Ask::Complain(format!("{}\n", text.as_ref()).into_bytes()));
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

    /// Says what is wrong, and ends the tool.
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

    /// Prints a question and reads what is typed. Where Redis's tools ask for ever, the end of the
    /// input ends this one.
    pub(super) async fn ask(&self, question: &str) -> Outcome<String> {
        self.print(question);
        match self.line.ask(Ask::Line).await {
            Told::Line(Some(line)) => Ok(line.trim().to_owned()),
            _ => {
                self.print("\n");
                Err(Failed)
            }
        }
    }

    /// Whether `yes` is typed.
    pub(super) async fn confirm(&self, question: &str) -> bool {
        self.print(format!("{question} (type 'yes' to accept): "));
        matches!(self.line.ask(Ask::Line).await, Told::Line(Some(line)) if line.trim() == "yes")
    }

    // --- the world ------------------------------------------------------------------------------

    pub(super) async fn sleep(&self, time: Duration) {
        self.line.ask(Ask::Sleep(time)).await;
    }

    pub(super) async fn seed(&self) -> u64 {
        match self.line.ask(Ask::Seed).await {
            Told::Seed(seed) => seed,
            _ => 0,
        }
    }

    pub(super) async fn save(&self, path: String, bytes: Vec<u8>) -> Result<(), String> {
        match self.line.ask(Ask::Save { path, bytes }).await {
            Told::Saved(result) => result,
            _ => Ok(()),
        }
    }

    /// Sends a command that is not awaited yet. Others may be sent meanwhile, to other nodes as
    /// well.
    pub(super) fn send(&self, to: &Place, command: Words) -> Sent {
        self.send_all(to, vec![command])
    }

    /// Sends commands at once.
    pub(super) fn send_all(&self, to: &Place, mut commands: Vec<Words>) -> Sent {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let auth = self.settings.login.auth().filter(|_| !open.contains(to));
        if !open.contains(to) {
            open.push(to.clone());
        }
        let introduces = auth.is_some();
        if let Some(auth) = auth {
            commands.insert(0, auth);
        }
        let ask = Ask::Commands { to: to.clone(), commands };
        Sent { desk: self.clone(), to: to.clone(), introduces, answer: self.line.ask(ask) }
    }

    /// Sends a command and waits for its reply, which may be an error.
    pub(super) async fn call(&self, to: &Place, command: Words) -> Result<Value, Trouble> {
        self.send(to, command).reply().await
    }

    /// The same; that there is none is told.
    pub(super) async fn reply(&self, to: &Place, command: Words) -> Outcome<Value> {
        match self.call(to, command).await {
            Ok(reply) => Ok(reply),
            Err(trouble) => Err(self.told_of(to, &trouble)),
        }
    }

    /// Sends a command whose reply is to be no error; an error is told.
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

    /// Says that a node does not answer.
    pub(super) fn told_of(&self, to: &Place, trouble: &Trouble) -> Failed {
        match (trouble, self.dialect()) {
            (Trouble::NotConnected(_), Dialect::Trib) => {
                self.error(format!("[ERR] Sorry, can't connect to node {to}"));
            }
            (Trouble::NotConnected(reason), Dialect::Cli) => {
                self.complain(format!("Could not connect to Redis at {to}: {reason}"));
            }
            (Trouble::Lost(reason), _) => self.complain(format!("Error: {reason} ({to})")),
        }
        Failed
    }

    /// Fetches a node's data as an RDB file.
    pub(super) async fn dump(&self, from: &Place) -> Result<Arc<Vec<Value>>, Trouble> {
        let greeting = self.settings.login.auth().into_iter().collect();
        match self.line.ask(Ask::Dump { from: from.clone(), greeting }).await {
            Told::Replies(replies) => replies,
            _ => Err(Trouble::Lost("no answer".into())),
        }
    }
}

/// Commands on their way.
pub(super) struct Sent {
    desk: Desk,
    to: Place,
    introduces: bool,
    answer: Answer<Ask, Told>,
}

impl Sent {
    /// The replies, one for each command.
    pub(super) async fn replies(self) -> Result<Vec<Value>, Trouble> {
        let replies = match self.answer.await {
            Told::Replies(replies) => replies,
            _ => Err(Trouble::Lost("no answer".into())),
        };
        let replies = match replies {
            Ok(replies) => replies,
            Err(trouble) => {
                // The next connection introduces itself again.
                let mut open = self.desk.open.lock().unwrap_or_else(PoisonError::into_inner);
                open.retain(|place| *place != self.to);
                return Err(trouble);
            }
        };
        let mut replies = replies.as_ref().clone();
        if self.introduces && !replies.is_empty() {
            let auth = replies.remove(0);
            if let Some(error) = error_text(&auth) {
                self.desk.complain(format!("AUTH failed: {error}"));
            }
        }
        Ok(replies)
    }

    /// The reply to the last command.
    pub(super) async fn reply(self) -> Result<Value, Trouble> {
        let mut replies = self.replies().await?;
        replies.pop().ok_or_else(|| Trouble::Lost("no reply".into()))
    }
}

/// A command of words without blanks.
pub(super) fn words(line: &str) -> Words {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// The text of an error.
pub(super) fn error_text(reply: &Value) -> Option<String> {
    match reply {
        Value::Error(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    }
}

/// A reply as text; empty if it is none.
pub(super) fn text(reply: &Value) -> String {
    String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned()
}
