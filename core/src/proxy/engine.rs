//! The engine of a proxy: clients on one side, pipelined connections to backends on the other, and
//! replies that come back in the order of the requests.
//!
//! It knows neither where a request belongs nor what a client may ask: that says a [`Rule`]. What it
//! guarantees is that every request is answered once, by the reply to it, after the replies to those
//! before it; and that nobody's slowness takes more memory than the limits below.
//!
//! **Backpressure.** No more requests are read from a client that has [`MAX_ASKS`] unanswered ones,
//! or for which [`MAX_HELD`] bytes of replies wait, or whose next request belongs to a backend for
//! which [`MAX_BACKLOG`] bytes wait. A reply that is larger than [`STREAMED`] is passed on as it
//! arrives, and its backend is not read from while its client does not take it; a client that takes
//! nothing for [`PATIENCE`] is closed, since others wait behind it.

mod client;
mod join;
mod link;
mod slots;

use core::fmt;
use std::collections::VecDeque;

pub use self::client::{Ask, Client, ClientId};
pub use self::join::{Join, Joined};
pub use self::link::{Gone, Link, LinkId, Lost, Owner, Pending};
use self::slots::Slots;
use super::request::{Begun, Malformed, Request, Requests};
use crate::machine::{
    Address, Close, ConnId, DiskDone, DiskError, Endpoint, ListenerId, LogLevel, LogLine, NetError,
    OpId, Outbox, Output, Signal, Vitals,
};
use crate::time::{Duration, Mono, Now};

/// Unanswered requests of one client.
pub const MAX_ASKS: usize = 4096;

/// Bytes of replies that wait for one client before no more of its requests are read.
pub const MAX_HELD: usize = 1 << 20;

/// Bytes of replies that wait for their turn at one client before it is closed: a client that asks
/// for so much out of order wants more than a proxy can hold.
pub const MAX_OUT_OF_ORDER: usize = 256 << 20;

/// Bytes that a client may send ahead while the answer to its last request is waited for.
pub const MAX_AHEAD: usize = 64 << 10;

/// Bytes that wait for one backend connection before nobody's requests for it are read.
pub const MAX_BACKLOG: usize = 4 << 20;

/// Replies longer than that are passed on before they have arrived as a whole.
pub const STREAMED: usize = 256 << 10;

/// How long a client may take nothing of a reply that holds up a backend connection.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a proxy decides: where requests go, what is answered at once, what to do about backends.
pub trait Rule: Clone + fmt::Debug {
    /// What the rule keeps of each client.
    type Client: Clone + fmt::Debug;
    /// What the rule keeps of each backend connection.
    type Link: Clone + fmt::Debug;

    /// The process starts.
    fn start(&mut self, engine: &mut Engine<Self>, now: Now<'_>);

    /// A listener is open or not.
    fn listening(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        listener: ListenerId,
        result: Result<Endpoint, NetError>,
    );

    /// Somebody has connected.
    fn accepted(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        conn: ConnId,
        listener: ListenerId,
        peer: &Endpoint,
    ) -> Welcome<Self::Client>;

    /// A client has been received, and can be spoken to.
    fn welcomed(&mut self, engine: &mut Engine<Self>, now: Now<'_>, client: ClientId) {
        let _ = (engine, now, client);
    }

    /// A client asks for something.
    fn request(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        client: ClientId,
        request: Request<'_>,
    ) -> Flow;

    /// A client sends no more. True closes its connection at once; else it is closed when what it
    /// has asked for is answered.
    fn ended(&mut self, engine: &mut Engine<Self>, client: ClientId) -> bool {
        let _ = (engine, client);
        false
    }

    /// A request has arrived in part. False ends the connection: it cannot become a good one.
    fn begun(&mut self, engine: &mut Engine<Self>, begun: Begun<'_>) -> bool {
        let _ = (engine, begun);
        true
    }

    /// A client is gone.
    fn left(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        client: &Client<Self::Client>,
        why: Left,
    );

    /// A backend connection stands.
    fn connected(&mut self, engine: &mut Engine<Self>, now: Now<'_>, link: LinkId);

    /// A reply has come as a whole. What is to be done with it.
    fn replied(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        link: LinkId,
        pending: &mut Pending,
        reply: &[u8],
    ) -> Verdict;

    /// A reply has come that nobody has asked for. False closes the connection.
    fn unasked(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        link: LinkId,
        reply: &[u8],
    ) -> bool {
        let _ = (engine, now, link, reply);
        false
    }

    /// A backend connection is gone, with all that was to be answered on it.
    fn lost(&mut self, engine: &mut Engine<Self>, now: Now<'_>, gone: Gone<Self::Link>, why: Lost);

    /// A disk operation that the rule has asked for has ended.
    fn disk(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        op: OpId,
        result: Result<DiskDone, DiskError>,
    ) {
        let _ = (engine, now, op, result);
    }

    /// The operating system signals.
    fn signal(&mut self, engine: &mut Engine<Self>, now: Now<'_>, signal: Signal);

    /// What the operating system says of this process.
    fn vitals(&mut self, vitals: Vitals) {
        let _ = vitals;
    }

    /// Time has passed.
    fn wake(&mut self, engine: &mut Engine<Self>, now: Now<'_>);

    /// When [`Rule::wake`] is wanted.
    fn timeout(&self) -> Option<Mono>;
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It is taken care of.
    Done,
    /// It is offered again when all before it are answered. Only if any are.
    Later,
}

/// How a client is received.
#[derive(Clone, Debug)]
pub struct Welcome<C> {
    /// What the rule keeps of it.
    pub data: C,
    /// How it may write requests.
    pub requests: Requests,
}

/// What becomes of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to whoever has asked.
    Forward,
    /// This goes to whoever has asked, instead of it.
    Replace(&'static [u8]),
    /// The rule has taken care of it.
    Taken,
    /// The backend connection is closed; the request counts as unanswered.
    Break(Lost),
}

/// Why a client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It closed the connection, or asked the proxy to.
    Eof,
    /// The connection broke.
    Broken(NetError),
    /// The proxy closed it, because of what it sent or did not take.
    Refused,
}

/// Clients, backend connections, and what is on its way between them.
#[derive(Clone, Debug)]
pub struct Engine<R: Rule> {
    clients: Slots<Client<R::Client>>,
    links: Slots<Link<R::Link>>,
    outputs: VecDeque<Output>,
    /// Connections whose outbox got something to send since the driver last asked.
    dirty: Vec<ConnId>,
    /// Clients that may be served again.
    resumable: Vec<ClientId>,
    /// Clients that are gone while the rule was at work.
    departed: Vec<(Client<R::Client>, Left)>,
    last_conn: u64,
    last_listener: u32,
    /// The earliest time at which a request may have waited too long.
    deadline: Option<Mono>,
}

impl<R: Rule> Default for Engine<R> {
    fn default() -> Self {
        Engine {
            clients: Slots::default(),
            links: Slots::default(),
            outputs: VecDeque::new(),
            dirty: Vec::new(),
            resumable: Vec::new(),
            departed: Vec::new(),
            last_conn: 0,
            last_listener: 0,
            deadline: None,
        }
    }
}

impl<R: Rule> Engine<R> {
    /// Asks for a listener.
    pub fn listen(&mut self, at: Endpoint, backlog: u32) -> ListenerId {
        self.last_listener += 1;
        let listener = ListenerId(self.last_listener);
        self.outputs.push_back(Output::Listen { listener, at, backlog });
        listener
    }

    /// Asks for anything that is not about a connection of the engine.
    pub fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Writes a line into the log.
    pub fn log(&mut self, level: LogLevel, text: impl Into<String>) {
        let text = text.into();
        self.outputs.push_back(Output::Log(LogLine { level, role: 'P', text }));
    }

    // Clients.

    /// A client, if it is still there.
    pub fn client(&self, id: ClientId) -> Option<&Client<R::Client>> {
        self.clients.get(id.slot).filter(|client| client.id == id)
    }

    /// A client, if it is still there.
    #[inline]
    pub fn client_mut(&mut self, id: ClientId) -> Option<&mut Client<R::Client>> {
        self.clients.get_mut(id.slot).filter(|client| client.id == id)
    }

    /// All clients.
    pub fn clients(&self) -> impl Iterator<Item = &Client<R::Client>> {
        self.clients.iter()
    }

    /// How many clients there are.
    pub fn clients_len(&self) -> usize {
        self.clients.len()
    }

    /// Answers a client's request at once, after those before it.
    pub fn answer(&mut self, id: ClientId, reply: &[u8]) {
        let Some(client) = self.client_mut(id) else { return };
        if client.asks.is_empty() {
            client.outbox.write(reply);
            self.mark_client(id);
        } else {
            client.held += reply.len();
            client.asks.push_back(Ask { bytes: reply.to_vec(), done: true, ..Ask::default() });
        }
    }

    /// Notes that a client's request will be answered by a backend. [`Owner::Client`] with this
    /// number, part 0, brings the reply to it.
    #[inline]
    pub fn ask(&mut self, id: ClientId) -> u64 {
        self.note(id, Ask::default())
    }

    /// Notes that a client's request will be answered by several backends, whose replies are put
    /// together. Parts are counted from 0.
    pub fn split(&mut self, id: ClientId, join: Join) -> u64 {
        self.note(id, Ask { join: Some(Box::new(join)), ..Ask::default() })
    }

    fn note(&mut self, id: ClientId, ask: Ask) -> u64 {
        let Some(client) = self.client_mut(id) else { return 0 };
        client.asks.push_back(ask);
        client.first + client.asks.len() as u64 - 1
    }

    /// Closes a client's connection when everything that it has asked for is answered. What it sends
    /// behind that is not read.
    pub fn finish(&mut self, id: ClientId) {
        let Some(client) = self.client_mut(id) else { return };
        client.ended = true;
        client.finishing = true;
        self.end_if_done(id);
    }

    /// Closes a client's connection now. What has not been sent to it is dropped.
    pub fn refuse(&mut self, id: ClientId) {
        if let Some(client) = self.take_client(id) {
            self.departed.push((client, Left::Refused));
        }
    }

    fn take_client(&mut self, id: ClientId) -> Option<Client<R::Client>> {
        let client = self.clients.remove_if(id.slot, |client| client.id == id)?;
        self.outputs.push_back(Output::Close { conn: client.conn, how: Close::Now });
        Some(client)
    }

    /// Reads no further requests of a client until all that it has asked for is answered.
    pub fn wait(&mut self, id: ClientId) {
        if let Some(client) = self.client_mut(id) {
            client.waits = true;
        }
    }

    /// Sends a client something that it has not asked for with the request at hand.
    pub fn push(&mut self, id: ClientId, bytes: &[u8]) {
        let Some(client) = self.client_mut(id) else { return };
        client.outbox.write(bytes);
        self.mark_client(id);
    }

    #[inline]
    fn mark_client(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id.slot)
            && !core::mem::replace(&mut client.marked, true)
        {
            self.dirty.push(client.conn);
        }
    }

    fn resume(&mut self, id: ClientId) {
        let Some(client) = self.client_mut(id) else { return };
        if client.paused && client.may_go() {
            self.resumable.push(id);
        } else {
            self.end_if_done(id);
        }
    }

    /// Reads no more from a client that is paused: at once if it has to take something first, else
    /// when it has sent much ahead. (Until then its end is seen while it waits.)
    fn limit_reading(&mut self, id: ClientId) {
        let Some(client) = self.client_mut(id) else { return };
        let only_waits = client.waits && !client.blocked;
        if only_waits && client.requests.waiting() < MAX_AHEAD {
            return;
        }
        if core::mem::replace(&mut client.reading, false) {
            let conn = client.conn;
            self.outputs.push_back(Output::Reading { conn, on: false });
        }
    }

    /// Closes the connection of a client that will send no more, when nothing is left to do for it.
    fn end_if_done(&mut self, id: ClientId) {
        let Some(client) = self.client_mut(id) else { return };
        let waits = client.paused && !client.finishing;
        if !client.ended || waits || !client.asks.is_empty() || client.closing {
            return;
        }
        client.closing = true;
        let conn = client.conn;
        self.outputs.push_back(Output::Close { conn, how: Close::AfterSending });
    }

    // Backend connections.

    /// Opens a connection to a backend. Requests may be sent at once; they wait for it. One that is
    /// not answered within `timeout` breaks the connection.
    pub fn open(&mut self, to: Address, timeout: Option<Duration>, data: R::Link) -> LinkId {
        self.last_conn += 1;
        let conn = ConnId::connected(self.last_conn);
        let slot = self.links.insert(conn, |id| Link::new(LinkId(id), conn, timeout, data));
        self.outputs.push_back(Output::Connect { conn, to, from: None });
        slot.map_or(LinkId::default(), LinkId)
    }

    /// A backend connection, if it is still there.
    #[inline]
    pub fn link(&self, id: LinkId) -> Option<&Link<R::Link>> {
        self.links.get(id.0.slot).filter(|link| link.id == id)
    }

    /// A backend connection, if it is still there.
    #[inline]
    pub fn link_mut(&mut self, id: LinkId) -> Option<&mut Link<R::Link>> {
        self.links.get_mut(id.0.slot).filter(|link| link.id == id)
    }

    /// All backend connections.
    pub fn links(&self) -> impl Iterator<Item = &Link<R::Link>> {
        self.links.iter()
    }

    /// All backend connections, to change what the rule keeps of them.
    pub fn links_mut(&mut self) -> impl Iterator<Item = &mut Link<R::Link>> {
        self.links.iter_mut()
    }

    /// Sends a request to a backend: the parts of it, one after the other. False if the connection
    /// is gone; nobody is answered then.
    #[inline]
    pub fn send<const N: usize>(
        &mut self,
        now: Mono,
        id: LinkId,
        owner: Owner,
        command: u16,
        parts: [&[u8]; N],
    ) -> bool {
        let Some(link) = self.links.get_mut(id.0.slot).filter(|link| link.id == id) else {
            return false;
        };
        link.outbox.write_parts(parts);
        let len = parts.iter().map(|part| part.len()).sum::<usize>() as u64;
        let end = link.outbox.end();
        link.pending.push_back(Pending { owner, command, at: now, end, len, hops: 0, kept: None });
        if link.pending.len() == 1
            && let Some(timeout) = link.timeout
        {
            let due = now + timeout;
            self.deadline = Some(self.deadline.map_or(due, |deadline| deadline.min(due)));
        }
        if !core::mem::replace(&mut link.marked, true) {
            self.dirty.push(link.conn);
        }
        if link.outbox.len() > MAX_BACKLOG
            && let Owner::Client { id: client, .. } = owner
        {
            link.outbox.set_low_water(MAX_BACKLOG / 4);
            link.waiting.push(client);
            if let Some(client) = self.client_mut(client) {
                client.blocked = true;
            }
        }
        true
    }

    /// Keeps the bytes of the request that was sent last on a connection, so that it can be sent to
    /// another backend, and how often that has happened.
    pub fn keep_last(&mut self, id: LinkId, bytes: &[u8], hops: u8) {
        if let Some(pending) = self.link_mut(id).and_then(|link| link.pending.back_mut()) {
            pending.kept = Some(bytes.into());
            pending.hops = hops;
        }
    }

    /// Closes a backend connection. The rule is not told; it gets what was to be answered.
    pub fn close(&mut self, id: LinkId) -> Option<Gone<R::Link>> {
        let link = self.links.remove_if(id.0.slot, |link| link.id == id)?;
        self.outputs.push_back(Output::Close { conn: link.conn, how: Close::Now });
        Some(self.bury(link))
    }

    fn bury(&mut self, link: Link<R::Link>) -> Gone<R::Link> {
        let mut pending = link.pending;
        if link.streaming {
            // Half of the reply is with the client: it cannot be told anything else.
            if let Some(Pending { owner: Owner::Client { id, .. }, .. }) = pending.pop_front() {
                self.refuse(id);
            }
        }
        for id in link.waiting {
            if let Some(client) = self.client_mut(id) {
                client.blocked = false;
                self.resume(id);
            }
        }
        Gone {
            id: link.id,
            up: link.up,
            sent: link.outbox.end() - link.outbox.len() as u64,
            pending,
            data: link.data,
        }
    }

    // Replies.

    /// Answers a request that a backend was to answer, with a whole reply.
    #[inline]
    pub fn settle(&mut self, owner: Owner, reply: &[u8]) {
        if let Owner::Client { id, seq, part } = owner {
            self.deliver(id, seq, part, reply, true);
        }
    }

    /// The same for a part that ends the client's connection: after the reply, and those behind it
    /// that are complete by then.
    pub fn settle_last(&mut self, owner: Owner, reply: &[u8]) {
        let Owner::Client { id, seq, .. } = owner else { return };
        if let Some(client) = self.client_mut(id)
            && let Some(index) = seq.checked_sub(client.first)
            && let Some(ask) = client.asks.get_mut(index as usize)
            && let Some(join) = &mut ask.join
        {
            join.set_last();
        }
        self.settle(owner, reply);
    }

    /// Brings a piece of a reply to where it belongs.
    #[inline]
    fn deliver(&mut self, id: ClientId, seq: u64, part: u32, bytes: &[u8], end: bool) {
        let Some(client) = self.clients.get_mut(id.slot).filter(|client| client.id == id) else {
            return;
        };
        let Some(index) = seq.checked_sub(client.first) else { return };
        let Some(ask) = client.asks.get_mut(index as usize) else { return };
        if index == 0 && ask.join.is_none() {
            client.outbox.write(bytes);
            if end {
                client.asks.pop_front();
                client.first += 1;
                if !client.asks.is_empty() {
                    client.advance();
                }
            }
            if !core::mem::replace(&mut client.marked, true) {
                self.dirty.push(client.conn);
            }
            if client.paused || client.ended {
                self.resume(id);
            }
            return;
        }
        self.deliver_later(id, index as usize, part, bytes, end);
    }

    /// Brings a piece of a reply to a request that is split, or that others stand before.
    fn deliver_later(&mut self, id: ClientId, index: usize, part: u32, bytes: &[u8], end: bool) {
        let Some(client) = self.client_mut(id) else { return };
        let Some(ask) = client.asks.get_mut(index) else { return };
        client.held += bytes.len();
        match &mut ask.join {
            None => {
                ask.bytes.extend_from_slice(bytes);
                ask.done = end;
            }
            Some(join) => {
                if let Some(whole) = join.add(part, bytes, end) {
                    client.held += whole.bytes.len();
                    client.held = client.held.saturating_sub(join.held());
                    ask.last = whole.last;
                    ask.bytes = whole.bytes;
                    ask.done = true;
                    ask.join = None;
                }
            }
        }
        if client.held > MAX_OUT_OF_ORDER {
            let text = format!(
                "client {}: {} bytes of replies wait for their turn, at most {MAX_OUT_OF_ORDER} \
                 may; closing the connection",
                client.peer, client.held
            );
            self.log(LogLevel::Warning, text);
            return self.refuse(id);
        }
        if index > 0 || !ask.done {
            return;
        }
        client.advance();
        let finish = core::mem::take(&mut client.finish_soon);
        if finish {
            client.ended = true;
            client.finishing = true;
            client.drop_asks();
        }
        self.mark_client(id);
        self.resume(id);
    }

    /// Whether a request of a client is the one whose reply leaves next, so that it can be passed on
    /// in pieces.
    fn is_next(&self, id: ClientId, seq: u64) -> bool {
        self.client(id).is_some_and(|client| {
            client.first == seq && client.asks.front().is_some_and(|ask| ask.join.is_none())
        })
    }

    /// The earliest time at which the engine has something to do.
    fn timeout(&self) -> Option<Mono> {
        if self.resumable.is_empty() { self.deadline } else { Some(Mono::ZERO) }
    }
}

/// A proxy: the engine and what it is ruled by.
#[derive(Clone, Debug)]
pub struct Proxy<R: Rule> {
    /// Connections.
    pub engine: Engine<R>,
    /// Decisions.
    pub rule: R,
}

impl<R: Rule> Proxy<R> {
    /// A proxy that follows `rule`.
    pub fn new(rule: R) -> Proxy<R> {
        Proxy { engine: Engine::default(), rule }
    }

    pub(super) fn accepted(
        &mut self,
        now: Now<'_>,
        conn: ConnId,
        listener: ListenerId,
        peer: Endpoint,
    ) {
        let welcome = self.rule.accepted(&mut self.engine, now, conn, listener, &peer);
        let Welcome { data, requests } = welcome;
        let clients = &mut self.engine.clients;
        let id = clients
            .insert(conn, |id| Client::new(id, conn, listener, peer, now.mono, requests, data));
        if let Some(id) = id {
            self.rule.welcomed(&mut self.engine, now, id);
        }
    }

    /// Bytes have come on a connection.
    #[inline]
    pub(super) fn received(&mut self, now: Now<'_>, conn: ConnId, bytes: &[u8]) {
        if conn.is_accepted() {
            let Some(client) = self.engine.clients.by_conn(conn) else { return };
            if client.closing || client.finishing {
                return;
            }
            client.last_heard = now.mono;
            let id = client.id;
            if client.paused {
                client.requests.keep(bytes);
                return self.engine.limit_reading(id);
            }
            self.serve(now, id, bytes);
        } else {
            self.take_replies(now, conn, bytes);
        }
        self.tidy(now);
    }

    /// Hands the rule the requests of a client, as far as it may go.
    fn serve(&mut self, now: Now<'_>, id: ClientId, mut bytes: &[u8]) {
        let Some(client) = self.engine.client_mut(id) else { return };
        // Taken out while its requests are looked at, so that the client can be used besides.
        let mut requests = core::mem::take(&mut client.requests);
        loop {
            let (before, buffered) = (bytes, requests.is_buffered());
            match requests.next(&mut bytes) {
                Ok(Some(request)) => {
                    let flow = self.rule.request(&mut self.engine, now, id, request);
                    let Some(client) = self.engine.client_mut(id) else { return };
                    if client.finishing {
                        return;
                    }
                    if flow == Flow::Later {
                        debug_assert!(!client.asks.is_empty(), "something to wait for");
                        client.waits = true;
                        match buffered {
                            true => requests.put_back(),
                            false => bytes = before,
                        }
                    }
                    if client.may_go() {
                        continue;
                    }
                    requests.keep(bytes);
                    client.requests = requests;
                    client.pause();
                    return self.engine.limit_reading(id);
                }
                Ok(None) => {
                    if requests.begun().is_none_or(|begun| self.rule.begun(&mut self.engine, begun))
                    {
                        break;
                    }
                    return self.engine.refuse(id);
                }
                Err(Malformed) => return self.engine.refuse(id),
            }
        }
        if let Some(client) = self.engine.client_mut(id) {
            client.requests = requests;
        }
    }

    /// Takes replies out of what a backend has sent.
    #[inline]
    fn take_replies(&mut self, now: Now<'_>, conn: ConnId, bytes: &[u8]) {
        let Some(link) = self.engine.links.by_conn(conn) else { return };
        let id = link.id;
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(link) = self.engine.link_mut(id) else { return };
            let Ok(scan) = link.scanner.scan(rest) else {
                return self.break_link(now, id, Lost::Malformed);
            };
            let (piece, tail) = rest.split_at(scan.used);
            rest = tail;
            if !scan.done {
                self.take_piece(now, id, piece);
                continue;
            }
            if link.streaming {
                self.end_stream(now, id, piece);
            } else if link.partial.is_empty() {
                self.take_reply(now, id, piece);
            } else {
                let mut reply = core::mem::take(&mut link.partial);
                reply.extend_from_slice(piece);
                self.take_reply(now, id, &reply);
            }
        }
    }

    /// A reply has come as a whole.
    #[inline]
    fn take_reply(&mut self, now: Now<'_>, id: LinkId, reply: &[u8]) {
        let Some(link) = self.engine.link_mut(id) else { return };
        let Some(mut pending) = link.pending.pop_front() else {
            if !self.rule.unasked(&mut self.engine, now, id, reply) {
                self.break_link(now, id, Lost::Malformed);
            }
            return;
        };
        match self.rule.replied(&mut self.engine, now, id, &mut pending, reply) {
            Verdict::Forward => self.engine.settle(pending.owner, reply),
            Verdict::Replace(other) => self.engine.settle(pending.owner, other),
            Verdict::Taken => {}
            Verdict::Break(why) => {
                if let Some(link) = self.engine.link_mut(id) {
                    link.pending.push_front(pending);
                }
                self.break_link(now, id, why);
            }
        }
    }

    /// A piece of a reply has come that is not its last.
    fn take_piece(&mut self, now: Now<'_>, id: LinkId, piece: &[u8]) {
        let Some(link) = self.engine.link_mut(id) else { return };
        if !link.streaming {
            link.partial.extend_from_slice(piece);
            if link.partial.len() < STREAMED {
                return;
            }
            let Some(&Pending { owner: Owner::Client { id: client, seq, .. }, .. }) =
                link.pending.front()
            else {
                return;
            };
            if !self.engine.is_next(client, seq) && self.engine.client(client).is_some() {
                return;
            }
            let Some(link) = self.engine.link_mut(id) else { return };
            link.streaming = true;
            let beginning = core::mem::take(&mut link.partial);
            return self.pass_on(now, id, &beginning);
        }
        self.pass_on(now, id, piece);
    }

    /// Passes a piece of a reply on, and reads no more of it while its client does not take it.
    fn pass_on(&mut self, now: Now<'_>, id: LinkId, piece: &[u8]) {
        let Some(link) = self.engine.link_mut(id) else { return };
        let conn = link.conn;
        let Some(&Pending { owner: Owner::Client { id: client, seq, part }, .. }) =
            link.pending.front()
        else {
            return;
        };
        self.engine.deliver(client, seq, part, piece, false);
        let Some(client) = self.engine.client_mut(client) else { return };
        if client.outbox.len() > MAX_HELD && client.holds_up.is_none() {
            client.holds_up = Some(id);
            client.outbox.set_low_water(MAX_HELD / 4);
            client.patience = Some((now.mono + PATIENCE, client.outbox.end()));
            let due = now.mono + PATIENCE;
            self.engine.deadline = Some(self.engine.deadline.map_or(due, |at| at.min(due)));
            self.engine.outputs.push_back(Output::Reading { conn, on: false });
        }
    }

    /// The last piece of a reply that was passed on in pieces has come.
    fn end_stream(&mut self, now: Now<'_>, id: LinkId, piece: &[u8]) {
        let Some(link) = self.engine.link_mut(id) else { return };
        link.streaming = false;
        let Some(mut pending) = link.pending.pop_front() else { return };
        // Only the kind of the reply is of interest: it is long, so it is no error.
        let verdict = self.rule.replied(&mut self.engine, now, id, &mut pending, b"$");
        debug_assert_eq!(verdict, Verdict::Forward, "a reply that has been passed on");
        self.engine.settle(pending.owner, piece);
    }

    /// Closes a backend connection and lets the rule answer what was asked on it.
    pub(super) fn break_link(&mut self, now: Now<'_>, id: LinkId, why: Lost) {
        if let Some(gone) = self.engine.close(id) {
            self.rule.lost(&mut self.engine, now, gone, why);
        }
    }

    pub(super) fn connected(&mut self, now: Now<'_>, conn: ConnId) {
        let Some(link) = self.engine.links.by_conn(conn) else { return };
        link.up = true;
        let id = link.id;
        if !link.outbox.is_empty() {
            self.engine.outputs.push_back(Output::Send { conn });
        }
        self.rule.connected(&mut self.engine, now, id);
        self.tidy(now);
    }

    /// A connection is gone: the driver has forgotten it already.
    pub(super) fn closed(&mut self, now: Now<'_>, conn: ConnId, error: NetError) {
        if conn.is_accepted() {
            if let Some(client) = self.engine.clients.remove_conn(conn) {
                let why = match error {
                    NetError::Eof => Left::Eof,
                    error => Left::Broken(error),
                };
                self.engine.departed.push((client, why));
            }
        } else if let Some(link) = self.engine.links.remove_conn(conn) {
            let gone = self.engine.bury(link);
            self.rule.lost(&mut self.engine, now, gone, Lost::Net(error));
        }
        self.tidy(now);
    }

    /// The peer sends no more.
    pub(super) fn ended(&mut self, now: Now<'_>, conn: ConnId) {
        if conn.is_accepted() {
            if let Some(client) = self.engine.clients.by_conn(conn) {
                client.ended = true;
                let id = client.id;
                if self.rule.ended(&mut self.engine, id) {
                    if let Some(client) = self.engine.take_client(id) {
                        self.engine.departed.push((client, Left::Eof));
                    }
                } else {
                    self.engine.end_if_done(id);
                }
            }
        } else if let Some(link) = self.engine.links.by_conn(conn) {
            let id = link.id;
            self.break_link(now, id, Lost::Net(NetError::Eof));
        }
        self.tidy(now);
    }

    /// Enough has been sent on a connection.
    pub(super) fn drained(&mut self, now: Now<'_>, conn: ConnId) {
        if conn.is_accepted() {
            let Some(client) = self.engine.clients.by_conn(conn) else { return };
            let id = client.id;
            client.patience = None;
            if let Some(link) = client.holds_up.take()
                && let Some(link) = self.engine.link(link)
            {
                let conn = link.conn;
                self.engine.outputs.push_back(Output::Reading { conn, on: true });
            }
            self.engine.resume(id);
        } else if let Some(link) = self.engine.links.by_conn(conn) {
            for id in core::mem::take(&mut link.waiting) {
                if let Some(client) = self.engine.client_mut(id) {
                    client.blocked = false;
                    self.engine.resume(id);
                }
            }
        }
        self.tidy(now);
    }

    /// Time has passed.
    pub(super) fn wake(&mut self, now: Now<'_>) {
        self.expire(now);
        self.rule.wake(&mut self.engine, now);
        self.tidy(now);
    }

    /// Breaks connections whose oldest request has waited too long, and closes clients that hold
    /// them up.
    fn expire(&mut self, now: Now<'_>) {
        if self.engine.deadline.is_none_or(|deadline| deadline > now.mono) {
            return;
        }
        let mut next: Option<Mono> = None;
        let mut later = |at: Mono| next = Some(next.map_or(at, |next| next.min(at)));
        let mut late = Vec::new();
        for link in self.engine.links.iter() {
            let (Some(timeout), Some(first)) = (link.timeout, link.pending.front()) else {
                continue;
            };
            match first.at + timeout {
                due if due <= now.mono => late.push(link.id),
                due => later(due),
            }
        }
        let mut stuck = Vec::new();
        for client in self.engine.clients.iter_mut() {
            let Some((due, end)) = client.patience else { continue };
            if due > now.mono {
                later(due);
            } else if client.outbox.end() - client.outbox.len() as u64 > end {
                // It has taken something meanwhile.
                let left = client.outbox.end() - client.outbox.len() as u64;
                client.patience = Some((now.mono + PATIENCE, left));
                later(now.mono + PATIENCE);
            } else {
                stuck.push(client.id);
            }
        }
        self.engine.deadline = next;
        for id in late {
            self.break_link(now, id, Lost::TimedOut);
        }
        for id in stuck {
            if let Some(client) = self.engine.client(id) {
                let text = format!(
                    "client {}: took nothing of its reply for {} s; closing the connection",
                    client.peer,
                    PATIENCE.as_secs()
                );
                self.engine.log(LogLevel::Warning, text);
            }
            self.engine.refuse(id);
        }
    }

    /// Goes on with clients that may, and takes leave of those that are gone.
    #[inline]
    pub(super) fn tidy(&mut self, now: Now<'_>) {
        while !self.engine.departed.is_empty() {
            for (client, why) in core::mem::take(&mut self.engine.departed) {
                if let Some(link) = client.holds_up
                    && let Some(link) = self.engine.link(link)
                {
                    let conn = link.conn;
                    self.engine.outputs.push_back(Output::Reading { conn, on: true });
                }
                self.rule.left(&mut self.engine, now, &client, why);
            }
        }
    }

    /// Serves clients that could not be served when their requests came.
    pub(super) fn serve_resumable(&mut self, now: Now<'_>) {
        for id in core::mem::take(&mut self.engine.resumable) {
            let Some(client) = self.engine.client_mut(id) else { continue };
            if !client.paused || !client.may_go() {
                continue;
            }
            client.paused = false;
            client.waits = false;
            if !core::mem::replace(&mut client.reading, true) {
                let conn = client.conn;
                self.engine.outputs.push_back(Output::Reading { conn, on: true });
            }
            self.serve(now, id, &[]);
            self.engine.end_if_done(id);
        }
        self.tidy(now);
    }

    pub(super) fn next_output(&mut self) -> Option<Output> {
        if let Some(output) = self.engine.outputs.pop_front() {
            return Some(output);
        }
        while let Some(conn) = self.engine.dirty.pop() {
            if conn.is_accepted() {
                let Some(client) = self.engine.clients.by_conn(conn) else { continue };
                client.marked = false;
            } else {
                let Some(link) = self.engine.links.by_conn(conn) else { continue };
                link.marked = false;
                if !link.up {
                    continue;
                }
            }
            return Some(Output::Send { conn });
        }
        None
    }

    pub(super) fn next_timeout(&self) -> Option<Mono> {
        [self.engine.timeout(), self.rule.timeout()].into_iter().flatten().min()
    }

    pub(super) fn outbox_of(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        if conn.is_accepted() {
            self.engine.clients.by_conn(conn).map(|client| &mut client.outbox)
        } else {
            self.engine.links.by_conn(conn).map(|link| &mut link.outbox)
        }
    }
}
