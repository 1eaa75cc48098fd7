//! The connection of a session: making it, introducing oneself, being sent elsewhere.

use core::fmt;
use std::sync::Arc;

use crate::client::help::Help;
use crate::resp::value::{Value, encode_command};
use crate::time::Mono;

use super::{Action, Protocol, Session, Target};

/// The state of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Down,
    Connecting,
    Up,
    /// Lost between two commands, for this reason; told when the next one is typed.
    Broken(String),
}

impl Link {
    pub(super) fn is_connecting(&self) -> bool {
        *self == Link::Connecting
    }
}

/// What happens to out of band data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushes {
    Print,
    Drop,
    /// They are replies like any other, while there are subscriptions.
    Reply,
}

/// A request of the session's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    Auth,
    Select(i64),
    Hello,
    Asking,
    /// What the server says of its commands.
    Docs,
    /// The same from a server that has no documentation.
    Commands,
}

impl Session {
    pub(super) fn connect(&mut self) {
        self.lose();
        self.link = Link::Connecting;
        self.actions.push_back(Action::Connect(self.target.clone()));
    }

    pub(super) fn disconnect(&mut self) {
        if self.link != Link::Down {
            self.actions.push_back(Action::Disconnect);
        }
        self.lose();
    }

    /// Forgets what belonged to the connection.
    pub(super) fn lose(&mut self) {
        self.link = Link::Down;
        self.greeting.clear();
        self.decoder.reset();
        (self.db, self.in_multi, self.resp3, self.subscribed) = (0, false, false, false);
        self.pushes = if self.config.show_pushes { Pushes::Print } else { Pushes::Drop };
    }

    /// Authenticates, selects the database, and asks for the protocol: each when the one before
    /// has been answered.
    pub(super) fn greet(&mut self) {
        match (self.config.password.clone(), self.config.user.clone()) {
            (None, _) => self.greet_select(),
            (Some(password), None) => self.ask(Greeting::Auth, &[b"AUTH", &password]),
            (Some(password), Some(user)) => {
                self.ask(Greeting::Auth, &[b"AUTH", user.as_bytes(), &password]);
            }
        }
    }

    fn greet_select(&mut self) {
        if self.wanted_db == self.db {
            self.greet_hello();
        } else {
            self.select();
        }
    }

    fn greet_hello(&mut self) {
        if matches!(self.config.protocol, Protocol::Resp3 | Protocol::Resp3IfKnown) && !self.resp3 {
            self.ask(Greeting::Hello, &[b"HELLO", b"3"]);
        } else {
            self.greet_docs();
        }
    }

    /// Once in a session; the commands are those of the server that one came to first.
    fn greet_docs(&mut self) {
        if core::mem::take(&mut self.learns) {
            self.ask(Greeting::Docs, &[b"COMMAND", b"DOCS"]);
        }
    }

    pub(super) fn select(&mut self) {
        let db = self.wanted_db;
        self.ask(Greeting::Select(db), &[b"SELECT", db.to_string().as_bytes()]);
    }

    pub(super) fn ask(&mut self, greeting: Greeting, args: &[&[u8]]) {
        let mut bytes = Vec::new();
        encode_command(args, &mut bytes);
        self.greeting.push_back(greeting);
        self.actions.push_back(Action::Send(bytes));
    }

    pub(super) fn greeted(&mut self, now: Mono, greeting: Greeting, reply: &Value) {
        if let (Greeting::Docs, Value::Error(_)) = (greeting, reply.plain()) {
            return self.ask(Greeting::Commands, &[b"COMMAND"]);
        }
        if let (false, Value::Error(text)) = (greeting == Greeting::Commands, reply.plain()) {
            let text = String::from_utf8_lossy(text);
            let what = match greeting {
                Greeting::Auth => "AUTH".to_string(),
                Greeting::Select(db) => format!("SELECT {db}"),
                Greeting::Hello => "HELLO 3".to_string(),
                _ => "ASKING".to_string(),
            };
            self.print_error(format!("{what} failed: {text}\n"));
            // What was typed is tried nevertheless: the server will say what it thinks of it.
            return self.advance(now);
        }
        match greeting {
            Greeting::Auth => self.greet_select(),
            Greeting::Select(db) => {
                self.db = db;
                self.greet_hello();
            }
            Greeting::Hello => {
                self.resp3 = true;
                self.greet_docs();
            }
            Greeting::Asking => {}
            Greeting::Docs => {
                if let Some(help) = Help::of_docs(reply) {
                    self.help = Arc::new(help);
                }
            }
            Greeting::Commands => Arc::make_mut(&mut self.help).add_unknown(reply),
        }
        self.advance(now);
    }
}

/// A MOVED or ASK error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirection {
    pub(super) asking: bool,
    slot: u64,
    pub(super) target: Target,
}

impl Redirection {
    /// `MOVED 3999 127.0.0.1:6381`. A node whose address is not known leaves it out; then it is
    /// the address of the node that speaks.
    pub(super) fn parse(reply: &Value, here: &Target) -> Option<Self> {
        let Value::Error(text) = reply.plain() else { return None };
        let text = core::str::from_utf8(text).ok()?;
        let mut words = text.split(' ');
        let asking = match words.next()? {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let slot = words.next()?.parse().ok()?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        let host = match (host, here) {
            ("", Target::Tcp(host, _)) => host,
            ("", Target::Unix(_)) => return None,
            (host, _) => host,
        };
        Some(Redirection { asking, slot, target: Target::Tcp(host.into(), port.parse().ok()?) })
    }
}

impl fmt::Display for Redirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Target::Tcp(host, port) = &self.target {
            writeln!(f, "-> Redirected to slot [{}] located at {host}:{port}", self.slot)?;
        }
        Ok(())
    }
}

/// Whether a value is a published message or the confirmation of a subscription.
pub(super) fn is_pubsub_message(value: &Value, resp3: bool) -> bool {
    let items = match value {
        Value::Push(items) if resp3 => items,
        Value::Array(items) if !resp3 => items,
        _ => return false,
    };
    match items.as_slice() {
        [Value::Bulk(kind), _, _, ..] => kind.ends_with(b"message") || kind.ends_with(b"subscribe"),
        _ => false,
    }
}
