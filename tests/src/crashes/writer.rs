//! A client that writes numbers, and records the reply to each write.
//!
//! It appends its numbers in order to a list, `log:<name>`; some of them in a transaction that also
//! changes two more keys. So the keys show later which of the writes are there, and whether a
//! transaction is there only partly.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use limpid_core::machine::{Address, Close, ConnId, Endpoint, Input, Machine, Outbox, Output};
use limpid_core::resp::value::{Decoder, Value, encode_command};
use limpid_core::rng::Rng;
use limpid_core::sim::{Console, Launch, LaunchError, Process};
use limpid_core::time::{Mono, Now};

/// How long the client waits before it connects again.
const RETRY: Duration = Duration::from_millis(20);

/// A write.
#[derive(Debug, Clone)]
pub(super) struct Write {
    /// Its number, unique for this client.
    pub(super) number: u64,
    /// When it was sent.
    pub(super) sent: Mono,
    /// The number of the client's connection, counted from 1.
    pub(super) connection: u64,
    /// The reply to it.
    pub(super) answer: Answer,
    /// Whether it was acknowledged as durable (WAITAOF).
    pub(super) durable: bool,
    /// Whether it was found to be lost in a check.
    pub(super) gone: bool,
}

/// The reply to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// No reply yet, or never.
    None,
    /// Acknowledged, with the time at which the reply arrived.
    Done(Mono),
    /// Refused with an error.
    Refused,
}

/// An expected reply.
#[derive(Debug, Clone)]
enum Due {
    /// One that is ignored.
    Nothing,
    /// The reply to a write, by its index in the list.
    Write(usize),
    /// The reply to WAITAOF: whether the writes before this index, on this connection, are durable.
    Durable(usize),
    /// The reply to a typed command.
    Typed(String, Mono),
}

/// A typed command with its reply.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    /// The command.
    pub(super) line: String,
    /// When it was sent.
    pub(super) sent: Mono,
    /// The reply.
    pub(super) reply: Value,
}

/// The client. It accepts the lines `go <microseconds between writes>`, `rest` (stays connected
/// without writing), `leave` (closes its connection), and `do <command>`.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    name: String,
    target: Endpoint,
    rng: Rng,
    /// The connection, and whether it is established.
    conn: Option<(ConnId, bool)>,
    connections: u64,
    outbox: Outbox,
    decoder: Decoder,
    due: VecDeque<Due>,
    outputs: VecDeque<Output>,
    /// Whether it should be connected.
    on: bool,
    /// The average time between writes; zero sends none.
    pause: Duration,
    /// When the next write is due, or the next attempt to connect.
    next: Option<Mono>,
    /// Its writes, oldest first.
    pub(super) writes: Vec<Write>,
    /// Typed commands with their replies, oldest first.
    pub(super) typed: Vec<Typed>,
    /// How often WAITAOF has confirmed writes as durable.
    pub(super) confirmed: u64,
}

impl Writer {
    /// The most writes in flight.
    const DEPTH: usize = 24;

    /// `writer <name> <address of the server>`.
    pub(super) fn launch(launch: &Launch<'_>) -> Result<Self, LaunchError> {
        let [name, at] = launch.args else {
            return Err(LaunchError("usage: writer <name> <address>".into()));
        };
        let at: SocketAddr =
            at.parse().map_err(|_| LaunchError(format!("'{at}' is no address, as 10.0.0.1:1")))?;
        Ok(Writer {
            name: name.clone(),
            target: Endpoint::Ip(at),
            rng: Rng::new(launch.seed),
            conn: None,
            connections: 0,
            outbox: Outbox::default(),
            decoder: Decoder::new(),
            due: VecDeque::new(),
            outputs: VecDeque::new(),
            on: false,
            pause: Duration::ZERO,
            next: None,
            writes: Vec::new(),
            typed: Vec::new(),
            confirmed: 0,
        })
    }

    /// When the last acknowledgement arrived of a write that was sent at this moment or later.
    pub(super) fn last_acknowledgement(&self, since: Mono) -> Mono {
        let sent = self.writes.iter().rev().take_while(|write| write.sent >= since);
        let done = sent.into_iter().find_map(|write| match write.answer {
            Answer::Done(at) => Some(at),
            _ => None,
        });
        done.unwrap_or(Mono::ZERO)
    }

    fn connect(&mut self) {
        self.connections += 1;
        let conn = ConnId::connected(self.connections);
        (self.outbox, self.decoder) = (Outbox::default(), Decoder::new());
        self.conn = Some((conn, false));
        self.outputs.push_back(Output::Connect {
            conn,
            to: Address::Endpoint(self.target.clone()),
            from: None,
        });
    }

    fn leave(&mut self) {
        if let Some((conn, _)) = self.conn.take() {
            self.outputs.push_back(Output::Close { conn, how: Close::Now });
        }
        self.due.clear();
    }

    fn send(&mut self, args: &[&str], due: Due) {
        let Some((conn, _)) = self.conn else { return };
        let mut bytes = Vec::new();
        encode_command(args, &mut bytes);
        self.outbox.write(&bytes);
        self.due.push_back(due);
        self.outputs.push_back(Output::Send { conn });
    }

    fn write(&mut self, now: Mono) {
        let number = self.writes.len() as u64 + 1;
        let text = value(number);
        let (log, number_text) = (format!("log:{}", self.name), number.to_string());
        let due = Due::Write(self.writes.len());
        self.writes.push(Write {
            number,
            sent: now,
            connection: self.connections,
            answer: Answer::None,
            durable: false,
            gone: false,
        });
        if is_transaction(number) {
            self.send(&["MULTI"], Due::Nothing);
            self.send(&["RPUSH", &log, &text], Due::Nothing);
            self.send(&["SET", &format!("last:{}", self.name), &number_text], Due::Nothing);
            self.send(&["HSET", &format!("all:{}", self.name), &number_text, "1"], Due::Nothing);
            self.send(&["EXEC"], due);
        } else {
            self.send(&["RPUSH", &log, &text], due);
        }
        match self.rng.below(12) {
            // Adds data, so that snapshots take time, and changes other keys meanwhile.
            0 => {
                let (key, len) = (self.rng.below(20).to_string(), self.rng.below(3_000) as usize);
                self.send(&["SET", &format!("noise:{key}"), &"n".repeat(len)], Due::Nothing);
            }
            1 => self.send(&["SADD", "noise:set", &number_text], Due::Nothing),
            2 => self.send(&["SPOP", "noise:set"], Due::Nothing),
            3 => {
                let life = (1 + self.rng.below(2_000)).to_string();
                self.send(&["SET", "noise:short", "s", "PX", &life], Due::Nothing);
            }
            4 => {
                let due = Due::Durable(self.writes.len());
                self.send(&["WAITAOF", "1", "0", "300"], due);
            }
            _ => {}
        }
    }

    fn replied(&mut self, now: Mono, reply: Value) {
        match self.due.pop_front() {
            None | Some(Due::Nothing) => {}
            Some(Due::Write(place)) => {
                let Some(write) = self.writes.get_mut(place) else { return };
                let refused = reply.is_error() || reply == Value::Null;
                write.answer = if refused { Answer::Refused } else { Answer::Done(now) };
            }
            Some(Due::Durable(place)) => {
                let local = reply.items().and_then(|items| items.first());
                if local == Some(&Value::Integer(1)) {
                    self.confirmed += 1;
                    let connection = self.connections;
                    let before = self.writes[..place].iter_mut().rev();
                    for write in before.take_while(|write| write.connection == connection) {
                        write.durable |= matches!(write.answer, Answer::Done(_));
                    }
                }
            }
            Some(Due::Typed(line, sent)) => self.typed.push(Typed { line, sent, reply }),
        }
    }

    fn go_on(&mut self, now: Mono) {
        if self.next.is_none_or(|at| at > now) {
            return;
        }
        self.next = None;
        match self.conn {
            None if self.on => self.connect(),
            Some((_, true)) if !self.pause.is_zero() => {
                if self.due.len() < Self::DEPTH {
                    self.write(now);
                }
                let pause = self.pause.as_nanos() as u64;
                self.next = Some(now + Duration::from_nanos(1 + self.rng.below(2 * pause)));
            }
            _ => {}
        }
    }

    fn lost(&mut self, now: Mono) {
        self.conn = None;
        self.due.clear();
        self.next = Some(now + RETRY);
    }
}

/// The list element for a number.
pub(super) fn value(number: u64) -> String {
    // Lengths vary, so that page boundaries are anywhere; all are shorter than a page, so that a
    // lost page always contains the beginning of a record.
    let len = if number.is_multiple_of(41) { 2_000 } else { number * 7 % 90 };
    format!("{number}:{}", "v".repeat(len as usize))
}

/// Whether a number is written in a transaction.
pub(super) fn is_transaction(number: u64) -> bool {
    number.is_multiple_of(3)
}

impl Machine for Writer {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        let mono = now.mono;
        match input {
            Input::Connected { .. } => {
                if let Some((_, stands)) = &mut self.conn {
                    *stands = true;
                }
                self.next = Some(mono);
            }
            Input::ConnectFailed { .. } | Input::Closed { .. } => self.lost(mono),
            Input::Ended { conn } => {
                self.outputs.push_back(Output::Close { conn, how: Close::Now });
                self.lost(mono);
            }
            Input::Received { bytes, .. } => {
                self.decoder.feed(bytes);
                while let Ok(Some(reply)) = self.decoder.next_value() {
                    self.replied(mono, reply);
                }
            }
            _ => {}
        }
        self.go_on(mono);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.next
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.conn.is_some_and(|(own, _)| own == conn).then_some(&mut self.outbox)
    }
}

impl Console for Writer {
    fn line(&mut self, now: Now<'_>, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "go" => {
                self.on = true;
                self.pause = Duration::from_micros(rest.parse().unwrap_or(0));
                self.next = Some(now.mono);
            }
            "rest" => self.pause = Duration::ZERO,
            "leave" => {
                (self.on, self.next) = (false, None);
                self.leave();
            }
            _ => {
                let args: Vec<&str> = rest.split(' ').collect();
                self.send(&args, Due::Typed(rest.to_owned(), now.mono));
            }
        }
        self.go_on(now.mono);
    }

    fn interrupt(&mut self, _: Now<'_>) {
        self.leave();
    }
}

impl Process for Writer {
    fn console(&mut self) -> Option<&mut dyn Console> {
        Some(self)
    }
}
