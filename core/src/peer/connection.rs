//! One outgoing connection.

use core::fmt;
use std::collections::VecDeque;

use super::preamble::Preamble;
use super::tally::Tally;
use crate::machine::{Address, Close, ConnId, Endpoint, NetError, Outbox, Output};
use crate::resp::value::{Decoder, Limits, Value, encode_command};
use crate::time::{Duration, Mono};

/// How a [`Peer`] connects, and what it puts up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// The server.
    pub to: Address,
    /// From which local address, if that matters.
    pub from: Option<Endpoint>,
    /// What is said first.
    pub preamble: Preamble,
    /// How long a connection may take to be established; `None` for as long as the network tries.
    pub connect_timeout: Option<Duration>,
    /// How long the oldest request may wait for its reply; `None` for ever.
    pub reply_timeout: Option<Duration>,
    /// When to connect again after a failure; `None` if only [`Peer::connect`] connects.
    pub backoff: Option<Backoff>,
    /// How many bytes may wait to be sent. A request that finds more waiting is refused.
    pub outbox_limit: usize,
    /// The largest replies that are accepted.
    pub limits: Limits,
}

impl PeerConfig {
    /// A connection without a preamble, without timeouts, which does not come back by itself.
    pub fn new(to: impl Into<Address>) -> Self {
        PeerConfig {
            to: to.into(),
            from: None,
            preamble: Preamble::new(),
            connect_timeout: None,
            reply_timeout: None,
            backoff: None,
            outbox_limit: 64 << 20,
            limits: Limits::default(),
        }
    }
}

/// Delays between attempts to connect: the first one, doubled after every attempt that fails, up to
/// the longest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

impl Backoff {
    /// The same delay after every failure.
    pub fn constant(delay: Duration) -> Self {
        Backoff { first: delay, longest: delay }
    }

    fn delay(&self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.min(16)).min(self.longest)
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// There is none.
    Down,
    /// It will be made at this time.
    Backoff(Mono),
    /// It is being made, since this time. Requests are taken and sent when it stands.
    Connecting(Mono),
    /// It stands, since this time.
    Up(Mono),
}

/// Something that happened on a connection. `T` is the caller's token for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// The connection stands. The replies to its preamble are still to come.
    Connected {
        /// Our address on it.
        local: Endpoint,
        /// The server's address: what its name meant, if it was asked for by name.
        peer: Endpoint,
    },
    /// A request was answered.
    Reply {
        /// The token that was given with the request.
        token: T,
        /// The answer, which may be an error.
        value: Value,
        /// From the request to its answer.
        took: Duration,
    },
    /// The server answered a command of the preamble with an error that does not matter to the
    /// connection.
    Refused {
        /// The command's name.
        command: Vec<u8>,
        /// What the server said.
        error: Vec<u8>,
    },
    /// Something that is no reply: a published message, the confirmation of a subscription, or a
    /// push of RESP3. Always with its elements as in an array.
    Push(Vec<Value>),
    /// The connection is gone, or could not be made.
    Closed {
        /// Why it is gone.
        reason: CloseReason,
        /// The requests that will never be answered, oldest first.
        lost: Vec<T>,
    },
}

/// Why a connection is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// It could not be made.
    ConnectFailed(NetError),
    /// It was not established in time.
    ConnectTimeout,
    /// The server, or the network, ended it.
    Lost(NetError),
    /// The oldest request was not answered in time.
    ReplyTimeout,
    /// The server sent what is no RESP.
    Protocol(String),
    /// The server refused a command of the preamble that the connection cannot do without.
    Refused {
        /// The command's name.
        command: Vec<u8>,
        /// What the server said.
        error: Vec<u8>,
    },
    /// [`Peer::close`] was called.
    Requested,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::ConnectFailed(error) | CloseReason::Lost(error) => error.fmt(f),
            CloseReason::ConnectTimeout => f.write_str("Connection timed out"),
            CloseReason::ReplyTimeout => f.write_str("No reply in time"),
            CloseReason::Protocol(what) => write!(f, "Protocol error: {what}"),
            CloseReason::Refused { command, error } => {
                let command = String::from_utf8_lossy(command);
                write!(f, "{command} failed: {}", String::from_utf8_lossy(error))
            }
            CloseReason::Requested => f.write_str("Closed"),
        }
    }
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// There is no connection, nor is one being made.
    Down,
    /// More bytes wait to be sent than [`PeerConfig::outbox_limit`] allows.
    OutboxFull,
}

/// A request that was sent and not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<T> {
    /// The caller's token.
    pub token: T,
    /// When it was sent.
    pub since: Mono,
}

/// One outgoing connection. See the module.
///
/// It is fed with what the driver tells about its [`ConnId`] and gives outputs and events; after
/// each call its owner takes both until there are none.
#[derive(Clone, Debug)]
pub struct Peer<T> {
    config: PeerConfig,
    state: PeerState,
    conn: Option<ConnId>,
    outbox: Outbox,
    decoder: Decoder,
    /// What the next replies answer, oldest first.
    expected: VecDeque<Expected<T>>,
    /// Whether messages of subscriptions come between the replies (in RESP2 they look like them).
    subscribed: bool,
    /// Attempts to connect that failed since one succeeded.
    failed: u32,
    tally: Tally,
    outputs: VecDeque<Output>,
    events: VecDeque<Event<T>>,
}

/// What an expected reply is for: the preamble, or a request with its token.
#[derive(Clone, Debug)]
enum Expected<T> {
    /// The command of the preamble with this index.
    Step(usize, Mono),
    /// A request of the caller.
    Request(Waiting<T>),
}

impl<T> Expected<T> {
    fn since(&self) -> Mono {
        match self {
            Expected::Step(_, since) => *since,
            Expected::Request(waiting) => waiting.since,
        }
    }
}

impl<T> Peer<T> {
    /// A connection that has not been made yet.
    pub fn new(config: PeerConfig) -> Self {
        Peer {
            decoder: Decoder::with_limits(config.limits),
            config,
            state: PeerState::Down,
            conn: None,
            outbox: Outbox::default(),
            expected: VecDeque::new(),
            subscribed: false,
            failed: 0,
            tally: Tally::default(),
            outputs: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// How it connects.
    pub fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// Changes how it connects from the next time on.
    pub fn config_mut(&mut self) -> &mut PeerConfig {
        &mut self.config
    }

    /// Where it stands.
    pub fn state(&self) -> PeerState {
        self.state
    }

    /// Whether the connection stands.
    pub fn is_up(&self) -> bool {
        matches!(self.state, PeerState::Up(_))
    }

    /// The driver's name of the connection, while there is one.
    pub fn conn(&self) -> Option<ConnId> {
        self.conn
    }

    /// What it has counted.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Requests that wait for their reply, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiting<T>> {
        self.expected.iter().filter_map(|expected| match expected {
            Expected::Request(waiting) => Some(waiting),
            Expected::Step(..) => None,
        })
    }

    /// How many replies are to come, those to the preamble included.
    pub fn pending(&self) -> usize {
        self.expected.len()
    }

    /// Makes the connection under this name, which the driver has never heard of. One that stands
    /// is closed first.
    pub fn connect(&mut self, now: Mono, conn: ConnId) {
        if self.conn.is_some() {
            self.close(CloseReason::Requested);
        }
        self.state = PeerState::Connecting(now);
        self.conn = Some(conn);
        self.outbox = Outbox::default();
        self.decoder.reset();
        self.subscribed = false;
        self.tally.last_attempt = Some(now);
        let (to, from) = (self.config.to.clone(), self.config.from.clone());
        self.outputs.push_back(Output::Connect { conn, to, from });
        for (index, step) in self.config.preamble.steps().iter().enumerate() {
            let mut bytes = Vec::new();
            encode_command(&step.command, &mut bytes);
            self.tally.bytes_out += bytes.len() as u64;
            self.outbox.write(&bytes);
            self.expected.push_back(Expected::Step(index, now));
        }
    }

    /// Sends a request; `token` will come back with its reply. While the connection is being made
    /// it is kept until that is done.
    pub fn request<A: AsRef<[u8]>>(
        &mut self,
        now: Mono,
        words: &[A],
        token: T,
    ) -> Result<(), RequestError> {
        let mut bytes = Vec::new();
        encode_command(words, &mut bytes);
        self.request_encoded(now, &bytes, token)
    }

    /// As [`Peer::request`], for exactly one request that is encoded already, or for the beginning of
    /// one that [`Peer::extend_request`] goes on with.
    pub fn request_encoded(
        &mut self,
        now: Mono,
        bytes: &[u8],
        token: T,
    ) -> Result<(), RequestError> {
        self.send(bytes)?;
        self.expected.push_back(Expected::Request(Waiting { token, since: now }));
        self.tally.requests += 1;
        Ok(())
    }

    /// Adds bytes to the last request, which was given to [`Peer::request_encoded`] without its end:
    /// so a large one need not be in memory at once. Or adds requests behind it that the server is known
    /// not to answer. The limit of the outbox does not hold here.
    pub fn extend_request(&mut self, bytes: &[u8]) {
        if self.conn.is_some() {
            self.write(bytes);
        }
    }

    /// Subscribes to channels. There is no reply: confirmations come as [`Event::Push`], as the
    /// messages do. It is to be said again on every new connection.
    pub fn subscribe<A: AsRef<[u8]>>(
        &mut self,
        command: &[u8],
        channels: &[A],
    ) -> Result<(), RequestError> {
        let words: Vec<&[u8]> =
            core::iter::once(command).chain(channels.iter().map(AsRef::as_ref)).collect();
        let mut bytes = Vec::new();
        encode_command(&words, &mut bytes);
        self.send(&bytes)?;
        self.subscribed = true;
        Ok(())
    }

    /// Ends the connection, or the attempt to make one, and forgets what was not sent. It does not
    /// come back by itself.
    pub fn close(&mut self, reason: CloseReason) {
        if let Some(conn) = self.conn {
            self.outputs.push_back(Output::Close { conn, how: Close::Now });
            self.closed(reason);
        }
        self.state = PeerState::Down;
    }

    /// Whether this connection is meant.
    pub fn is(&self, conn: ConnId) -> bool {
        self.conn == Some(conn)
    }

    /// The connection stands ([`Input::Connected`](crate::machine::Input::Connected)).
    pub fn connected(&mut self, now: Mono, local: Endpoint, peer: Endpoint) {
        let Some(conn) = self.conn else { return };
        self.state = PeerState::Up(now);
        self.failed = 0;
        self.tally.connects += 1;
        self.events.push_back(Event::Connected { local, peer });
        if !self.outbox.is_empty() {
            self.outputs.push_back(Output::Send { conn });
        }
    }

    /// Bytes have arrived ([`Input::Received`](crate::machine::Input::Received)).
    pub fn received(&mut self, now: Mono, bytes: &[u8]) {
        if self.conn.is_none() {
            return;
        }
        self.tally.last_received = Some(now);
        self.tally.bytes_in += bytes.len() as u64;
        self.decoder.feed(bytes);
        loop {
            match self.decoder.next_value() {
                Ok(Some(value)) => self.value(now, value),
                Ok(None) => return,
                Err(error) => return self.fail(now, CloseReason::Protocol(error.to_string())),
            }
            if self.conn.is_none() {
                return;
            }
        }
    }

    /// The server will send no more ([`Input::Ended`](crate::machine::Input::Ended)).
    pub fn ended(&mut self, now: Mono) {
        self.fail(now, CloseReason::Lost(NetError::Eof));
    }

    /// The connection is gone, or could not be made
    /// ([`Input::Closed`](crate::machine::Input::Closed),
    /// [`Input::ConnectFailed`](crate::machine::Input::ConnectFailed)).
    pub fn gone(&mut self, now: Mono, error: NetError) {
        let reason = match self.state {
            PeerState::Connecting(_) => CloseReason::ConnectFailed(error),
            _ => CloseReason::Lost(error),
        };
        self.failed(now, reason);
    }

    /// The time that [`Peer::poll_timeout`] gave has come. True if it is time to connect again, with
    /// [`Peer::connect`] and a new name.
    #[must_use]
    pub fn wake(&mut self, now: Mono) -> bool {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return false;
        }
        match self.state {
            PeerState::Backoff(_) => true,
            PeerState::Connecting(since) => {
                let late = self.config.connect_timeout.is_some_and(|limit| since + limit <= now);
                let reason =
                    if late { CloseReason::ConnectTimeout } else { CloseReason::ReplyTimeout };
                self.fail(now, reason);
                false
            }
            PeerState::Up(_) => {
                self.fail(now, CloseReason::ReplyTimeout);
                false
            }
            PeerState::Down => false,
        }
    }

    /// When [`Peer::wake`] is to be called, if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let reply = || Some(self.expected.front()?.since() + self.config.reply_timeout?);
        match self.state {
            PeerState::Down => None,
            PeerState::Backoff(at) => Some(at),
            PeerState::Connecting(since) => self.config.connect_timeout.map(|limit| since + limit),
            PeerState::Up(since) => reply().map(|at| match self.config.reply_timeout {
                // What was asked before the connection stood has waited only since it stands.
                Some(limit) => at.max(since + limit),
                None => at,
            }),
        }
    }

    /// The next thing that the driver is to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event<T>> {
        self.events.pop_front()
    }

    /// How many bytes wait to be sent.
    pub fn unsent(&self) -> usize {
        self.outbox.len()
    }

    /// Bytes that wait to be sent.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), RequestError> {
        if self.conn.is_none() {
            return Err(RequestError::Down);
        }
        if self.outbox.len() > self.config.outbox_limit {
            return Err(RequestError::OutboxFull);
        }
        self.write(bytes);
        Ok(())
    }

    /// Writes into the outbox. What is written before the owner takes the outputs is sent at once.
    fn write(&mut self, bytes: &[u8]) {
        self.outbox.write(bytes);
        self.tally.bytes_out += bytes.len() as u64;
        let send = self.conn.filter(|_| self.is_up()).map(|conn| Output::Send { conn });
        if let Some(send) = send
            && self.outputs.back() != Some(&send)
        {
            self.outputs.push_back(send);
        }
    }

    /// Takes in one value: a reply, or a pushed message.
    fn value(&mut self, now: Mono, value: Value) {
        let value = match value {
            Value::Push(items) => return self.events.push_back(Event::Push(items)),
            Value::Array(items) if self.subscribed && is_message(&items) => {
                return self.events.push_back(Event::Push(items));
            }
            value => value,
        };
        match self.expected.pop_front() {
            None => {
                let what = "a reply that answers no request".to_owned();
                self.fail(now, CloseReason::Protocol(what));
            }
            Some(Expected::Step(index, _)) => {
                let Value::Error(error) = value.plain() else { return };
                let error = error.clone();
                let step = self.config.preamble.steps().get(index);
                let command = step.and_then(|step| step.command.first()).cloned();
                let command = command.unwrap_or_default();
                match step.is_some_and(|step| step.required) {
                    true => self.fail(now, CloseReason::Refused { command, error }),
                    false => self.events.push_back(Event::Refused { command, error }),
                }
            }
            Some(Expected::Request(Waiting { token, since })) => {
                self.tally.replies += 1;
                self.tally.errors += u64::from(value.is_error());
                self.tally.last_reply = Some(now);
                self.events.push_back(Event::Reply { token, value, took: now.since(since) });
            }
        }
    }

    /// Gives the connection up because of something that we found out.
    fn fail(&mut self, now: Mono, reason: CloseReason) {
        if let Some(conn) = self.conn {
            self.outputs.push_back(Output::Close { conn, how: Close::Now });
            self.failed(now, reason);
        }
    }

    /// Plans the next attempt after a connection that was not closed on request.
    fn failed(&mut self, now: Mono, reason: CloseReason) {
        if self.conn.is_none() {
            return;
        }
        self.tally.failures += 1;
        self.closed(reason);
        self.state = match self.config.backoff {
            Some(backoff) => PeerState::Backoff(now + backoff.delay(self.failed)),
            None => PeerState::Down,
        };
        self.failed = self.failed.saturating_add(1);
    }

    /// Resets the state of the connection and returns the tokens of requests that get no reply.
    fn closed(&mut self, reason: CloseReason) {
        self.conn = None;
        self.outbox = Outbox::default();
        self.decoder.reset();
        self.subscribed = false;
        let lost =
            core::mem::take(&mut self.expected).into_iter().filter_map(|expected| match expected {
                Expected::Request(waiting) => Some(waiting.token),
                Expected::Step(..) => None,
            });
        let lost = lost.collect();
        self.events.push_back(Event::Closed { reason, lost });
    }
}

/// Whether an array of RESP2 is a published message or the confirmation of a subscription.
fn is_message(items: &[Value]) -> bool {
    match items {
        [Value::Bulk(kind), _, _, ..] => {
            let kind = kind.as_slice();
            kind.ends_with(b"message") || kind.ends_with(b"subscribe")
        }
        _ => false,
    }
}
