//! The connection of a session: connecting, the handshake, redirections.

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
    /// Lost between two commands, for this reason, which is printed at the next command.
    Broken(String),
}

impl Link {
    pub(super) fn is_connecting(&self) -> bool {
        *self == Link::Connecting
    }
}

/// How pushes are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushes {
    Print,
    Drop,
    /// As replies, while there are subscriptions.
    Reply,
}

/// A request of the session itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionRequest {
    Auth,
    Select(i64),
    Hello,
    Asking,
    /// COMMAND DOCS.
    Docs,
    /// COMMAND, for a server without COMMAND DOCS.
    Commands,
}

impl Session {
    pub(super) fn connect(&mut self) {
        self.reset_link();
        self.link = Link::Connecting;
        self.actions.push_back(Action::Connect(self.target.clone()));
    }

    pub(super) fn disconnect(&mut self) {
        if self.link != Link::Down {
            self.actions.push_back(Action::Disconnect);
        }
        self.reset_link();
    }

    /// Resets the state of the connection.
    pub(super) fn reset_link(&mut self) {
        self.link = Link::Down;
        self.own_requests.clear();
        self.decoder.reset();
        (self.db, self.in_multi, self.resp3, self.subscribed) = (0, false, false, false);
        self.pushes = if self.config.show_pushes { Pushes::Print } else { Pushes::Drop };
    }

    /// Starts the handshake: authenticates, selects the database, and requests the protocol,
    /// each after the reply to the one before.
    pub(super) fn start_handshake(&mut self) {
        match (self.config.password.clone(), self.config.user.clone()) {
            (None, _) => self.handshake_select(),
            (Some(password), None) => self.ask(SessionRequest::Auth, &[b"AUTH", &password]),
            (Some(password), Some(user)) => {
                self.ask(SessionRequest::Auth, &[b"AUTH", user.as_bytes(), &password]);
            }
        }
    }

    fn handshake_select(&mut self) {
        if self.wanted_db == self.db {
            self.handshake_hello();
        } else {
            self.select();
        }
    }

    fn handshake_hello(&mut self) {
        if matches!(self.config.protocol, Protocol::Resp3 | Protocol::Resp3IfKnown) && !self.resp3 {
            self.ask(SessionRequest::Hello, &[b"HELLO", b"3"]);
        } else {
            self.request_docs();
        }
    }

    /// Asks for the commands, once in a session; they are those of the first server.
    fn request_docs(&mut self) {
        if core::mem::take(&mut self.asks_commands) {
            self.ask(SessionRequest::Docs, &[b"COMMAND", b"DOCS"]);
        }
    }

    pub(super) fn select(&mut self) {
        let db = self.wanted_db;
        self.ask(SessionRequest::Select(db), &[b"SELECT", db.to_string().as_bytes()]);
    }

    pub(super) fn ask(&mut self, request: SessionRequest, args: &[&[u8]]) {
        let mut bytes = Vec::new();
        encode_command(args, &mut bytes);
        self.own_requests.push_back(request);
        self.actions.push_back(Action::Send(bytes));
    }

    pub(super) fn handshake_reply(&mut self, now: Mono, request: SessionRequest, reply: &Value) {
        if let (SessionRequest::Docs, Value::Error(_)) = (request, reply.plain()) {
            return self.ask(SessionRequest::Commands, &[b"COMMAND"]);
        }
        if let (false, Value::Error(text)) = (request == SessionRequest::Commands, reply.plain()) {
            let text = String::from_utf8_lossy(text);
            let what = match request {
                SessionRequest::Auth => "AUTH".to_string(),
                SessionRequest::Select(db) => format!("SELECT {db}"),
                SessionRequest::Hello => "HELLO 3".to_string(),
                _ => "ASKING".to_string(),
            };
            self.print_error(format!("{what} failed: {text}\n"));
            // The typed command is tried nevertheless; the server replies with an error if it must.
            return self.advance(now);
        }
        match request {
            SessionRequest::Auth => self.handshake_select(),
            SessionRequest::Select(db) => {
                self.db = db;
                self.handshake_hello();
            }
            SessionRequest::Hello => {
                self.resp3 = true;
                self.request_docs();
            }
            SessionRequest::Asking => {}
            SessionRequest::Docs => {
                if let Some(help) = Help::of_docs(reply) {
                    self.help = Arc::new(help);
                }
            }
            SessionRequest::Commands => Arc::make_mut(&mut self.help).add_unknown(reply),
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
    /// Parses `MOVED 3999 127.0.0.1:6381`. An empty host means the host of the node that replied.
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

/// Whether a value is a published message or a confirmation of a subscription.
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
