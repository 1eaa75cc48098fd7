//! One outgoing connection to a server that speaks the Redis protocol.

use core::fmt;
use std::collections::VecDeque;

use super::preamble::Preamble;
use super::tally::Tally;
use crate::machine::{Address, Close, ConnId, Endpoint, NetError, Outbox, Output};
use crate::resp::value::{Decoder, Limits, Value, encode_command};
use crate::time::{Duration, Mono};

/// How a [`Peer`] connects, with its timeouts and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// The server.
    pub to: Address,
    /// The local address to connect from, if it matters.
    pub from: Option<Endpoint>,
    /// Commands that are sent first on every connection.
    pub preamble: Preamble,
    /// Connect timeout; `None` leaves it to the network.
    pub connect_timeout: Option<Duration>,
    /// How long the oldest request in flight may wait for its reply; `None` for ever.
    pub reply_timeout: Option<Duration>,
    /// Delay before reconnecting after a failure; `None` if only [`Peer::connect`] connects.
    pub backoff: Option<Backoff>,
    /// How many bytes the outbox may hold. A request that finds more is refused.
    pub outbox_limit: usize,
    /// Limits on replies.
    pub limits: Limits,
}

impl PeerConfig {
    /// A configuration without preamble, timeouts or reconnecting.
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

/// Exponential back-off between attempts to connect: the first delay, doubled after every failed
/// attempt, up to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub first: Duration,
    /// The longest delay.
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

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Not connected.
    Down,
    /// Waiting to reconnect at this time.
    Backoff(Mono),
    /// Connecting since this time. Requests are queued and sent once connected.
    Connecting(Mono),
    /// Connected since this time.
    Up(Mono),
}

/// Something that happened on a connection. `T` is the caller's token for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// The connection is established. The replies to its preamble are still to come.
    Connected {
        /// The local address.
        local: Endpoint,
        /// The server's address: what its name was resolved to, if it was given by name.
        peer: Endpoint,
    },
    /// A reply has arrived.
    Reply {
        /// The token that was given with the request.
        token: T,
        /// The reply, which may be an error.
        value: Value,
        /// Time from the request to its reply.
        took: Duration,
    },
    /// The server answered a command of the preamble that is not required with an error.
    Refused {
        /// The command's name.
        command: Vec<u8>,
        /// The server's error.
        error: Vec<u8>,
    },
    /// Something that is not a reply: a published message, the confirmation of a subscription, or a
    /// RESP3 push. Its elements, as in an array.
    Push(Vec<Value>),
    /// The connection was closed, or could not be established.
    Closed {
        /// The reason.
        reason: CloseReason,
        /// Requests that will never be answered, oldest first.
        lost: Vec<T>,
    },
}

/// Why a connection was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// It could not be established.
    ConnectFailed(NetError),
    /// It was not established within the timeout.
    ConnectTimeout,
    /// The server or the network closed it.
    Lost(NetError),
    /// The oldest request was not answered within the timeout.
    ReplyTimeout,
    /// The server sent something that is not RESP.
    Protocol(String),
    /// The server answered a required command of the preamble with an error.
    Refused {
        /// The command's name.
        command: Vec<u8>,
        /// The server's error.
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

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// Not connected, and not connecting.
    Down,
    /// The outbox holds more than [`PeerConfig::outbox_limit`].
    OutboxFull,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RequestError::Down => "not connected",
            RequestError::OutboxFull => "too many bytes wait to be sent",
        })
    }
}

impl core::error::Error for RequestError {}

/// A request in flight: sent, and not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlight<T> {
    /// The caller's token.
    pub token: T,
    /// When it was sent.
    pub since: Mono,
}

/// One outgoing connection to a server; see the module.
///
/// Its owner passes in what the driver reports about its [`ConnId`], and takes outputs and events
/// after each call until there are none.
#[derive(Clone, Debug)]
pub struct Peer<T> {
    config: PeerConfig,
    state: PeerState,
    conn: Option<ConnId>,
    outbox: Outbox,
    decoder: Decoder,
    /// What the next replies belong to, oldest first.
    expected: VecDeque<Expected<T>>,
    /// Whether the connection has subscriptions. In RESP2 their messages look like replies.
    subscribed: bool,
    /// Failed attempts to connect since the last success.
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
    Request(InFlight<T>),
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
    /// A peer that is not connected.
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

    /// The configuration.
    pub fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// The configuration, to be changed; it takes effect with the next connection.
    pub fn config_mut(&mut self) -> &mut PeerConfig {
        &mut self.config
    }

    /// The state.
    pub fn state(&self) -> PeerState {
        self.state
    }

    /// Whether it is connected.
    pub fn is_up(&self) -> bool {
        matches!(self.state, PeerState::Up(_))
    }

    /// The connection's id, while there is one.
    pub fn conn(&self) -> Option<ConnId> {
        self.conn
    }

    /// The counters.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Requests in flight, oldest first.
    pub fn in_flight(&self) -> impl Iterator<Item = &InFlight<T>> {
        self.expected.iter().filter_map(|expected| match expected {
            Expected::Request(waiting) => Some(waiting),
            Expected::Step(..) => None,
        })
    }

    /// Number of replies to come, those to the preamble included.
    pub fn pending(&self) -> usize {
        self.expected.len()
    }

    /// Starts to connect under this id, which must be new to the driver. An open connection is
    /// closed first.
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

    /// Sends a request; `token` comes back with its reply. While connecting, requests are queued.
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

    /// As [`Peer::request`], for exactly one request that is encoded already, or for the first part
    /// of one that [`Peer::extend_request`] continues.
    pub fn request_encoded(
        &mut self,
        now: Mono,
        bytes: &[u8],
        token: T,
    ) -> Result<(), RequestError> {
        self.send(bytes)?;
        self.expected.push_back(Expected::Request(InFlight { token, since: now }));
        self.tally.requests += 1;
        Ok(())
    }

    /// Appends bytes to the last request, whose first part was given to [`Peer::request_encoded`],
    /// so that a large request need not be in memory at once. Can also append requests that the
    /// server is known not to answer. The outbox limit does not apply.
    pub fn extend_request(&mut self, bytes: &[u8]) {
        if self.conn.is_some() {
            self.write(bytes);
        }
    }

    /// Subscribes to channels. There is no reply: confirmations and messages come as
    /// [`Event::Push`]. Must be repeated on every new connection.
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

    /// Closes the connection, or stops connecting, and drops what was not sent. It does not
    /// reconnect by itself.
    pub fn close(&mut self, reason: CloseReason) {
        if let Some(conn) = self.conn {
            self.outputs.push_back(Output::Close { conn, how: Close::Now });
            self.closed(reason);
        }
        self.state = PeerState::Down;
    }

    /// Whether `conn` is this connection.
    pub fn is(&self, conn: ConnId) -> bool {
        self.conn == Some(conn)
    }

    /// The connection is established ([`Input::Connected`](crate::machine::Input::Connected)).
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

    /// The server has shut down its writing half ([`Input::Ended`](crate::machine::Input::Ended)).
    pub fn ended(&mut self, now: Mono) {
        self.fail(now, CloseReason::Lost(NetError::Eof));
    }

    /// The connection was closed, or could not be established
    /// ([`Input::Closed`](crate::machine::Input::Closed),
    /// [`Input::ConnectFailed`](crate::machine::Input::ConnectFailed)).
    pub fn disconnected(&mut self, now: Mono, error: NetError) {
        let reason = match self.state {
            PeerState::Connecting(_) => CloseReason::ConnectFailed(error),
            _ => CloseReason::Lost(error),
        };
        self.failed(now, reason);
    }

    /// The time returned by [`Peer::poll_timeout`] has come. True if it is time to reconnect, with
    /// [`Peer::connect`] and a new id.
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

    /// When to call [`Peer::wake`], if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let reply = || Some(self.expected.front()?.since() + self.config.reply_timeout?);
        match self.state {
            PeerState::Down => None,
            PeerState::Backoff(at) => Some(at),
            PeerState::Connecting(since) => self.config.connect_timeout.map(|limit| since + limit),
            PeerState::Up(since) => reply().map(|at| match self.config.reply_timeout {
                // A request made while connecting has waited only since the connection was
                // established.
                Some(limit) => at.max(since + limit),
                None => at,
            }),
        }
    }

    /// The next output for the driver.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event<T>> {
        self.events.pop_front()
    }

    /// Number of bytes in the outbox.
    pub fn unsent(&self) -> usize {
        self.outbox.len()
    }

    /// The outbox.
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

    /// Writes into the outbox and asks the driver to send it, if that is not asked for already.
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

    /// Handles one decoded value: a reply, or a pushed message.
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
            Some(Expected::Request(InFlight { token, since })) => {
                self.tally.replies += 1;
                self.tally.errors += u64::from(value.is_error());
                self.tally.last_reply = Some(now);
                self.events.push_back(Event::Reply { token, value, took: now.since(since) });
            }
        }
    }

    /// Closes the connection because of an error found on this side.
    fn fail(&mut self, now: Mono, reason: CloseReason) {
        if let Some(conn) = self.conn {
            self.outputs.push_back(Output::Close { conn, how: Close::Now });
            self.failed(now, reason);
        }
    }

    /// Schedules the next attempt after a connection that was not closed on request.
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
