//! The engine of a proxy: clients on one side, pipelined connections to backends on the other, and
//! replies that come back in the order of the requests.
//!
//! It knows neither where a request belongs nor what a client may ask: that says a [`Rule`]. What it
//! guarantees is that every request is answered once, by the reply to it, after the replies to those
//! before it; and that no slow peer takes more memory than the limits below.
//!
//! **Backpressure.** No more requests are read from a client that has [`MAX_ASKS`] unanswered ones,
//! or for which [`MAX_HELD`] bytes of replies wait, or whose next request belongs to a backend for
//! which [`MAX_BACKLOG`] bytes wait. A reply that is larger than [`STREAMED`] is passed on as it
//! arrives, and its backend is not read from while its client does not take it; a client that takes
//! nothing for [`PATIENCE`] is closed, since others wait behind it.

mod client;
mod drive;
mod join;
mod link;
mod rule;
mod slots;

use std::collections::VecDeque;

use self::client::Work;
pub use self::client::{Ask, Client, ClientId};
pub use self::drive::Proxy;
pub use self::join::{Join, Joined};
pub use self::link::{Gone, Kept, Link, LinkId, Lost, Owner, Pending};
pub use self::rule::{Flow, Left, Rule, Verdict, Welcome};
use self::slots::Slots;
use crate::machine::{Address, Close, ConnId, Endpoint, ListenerId, LogLevel, LogLine, Output};
use crate::time::{Duration, Mono};

/// Unanswered requests of one client.
pub const MAX_ASKS: usize = 4096;

/// Bytes of replies that wait for one client before no more of its requests are read.
pub const MAX_HELD: usize = 1 << 20;

/// Bytes of replies that wait for their turn at one client before it is closed: a client that asks
/// for so much out of order wants more than a proxy can hold.
pub const MAX_OUT_OF_ORDER: usize = 256 << 20;

/// Bytes that a client may send ahead while the answer to its last request is waited for.
pub const MAX_AHEAD: usize = 64 << 10;

/// Bytes that may be queued for one backend connection before reading from clients stops.
pub const MAX_BACKLOG: usize = 4 << 20;

/// Replies longer than that are passed on before they have arrived as a whole.
pub const STREAMED: usize = 256 << 10;

/// Buffers that are kept for the clients that ask next.
const MAX_SPARE: usize = 64;

/// How long a client may take nothing of a reply that holds up a backend connection.
pub const PATIENCE: Duration = Duration::from_secs(10);

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
    /// Clients to which something was sent since this was last looked at: some of them are idle now.
    settling: Vec<ClientId>,
    /// Buffers that idle clients have given back.
    #[expect(clippy::vec_box, reason = "a client holds its box, which changes hands as it is")]
    spare: Vec<Box<Work>>,
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
            settling: Vec::new(),
            spare: Vec::new(),
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
        let work = client.work();
        if work.asks.is_empty() {
            work.outbox.write(reply);
            self.mark_client(id);
        } else {
            work.held += reply.len();
            work.asks.push_back(Ask { bytes: reply.to_vec(), done: true, ..Ask::default() });
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
        let work = client.work();
        work.asks.push_back(ask);
        work.first + work.asks.len() as u64 - 1
    }

    /// Closes a client's connection when everything that it has asked for is answered. What it sends
    /// behind that is not read.
    pub fn finish(&mut self, id: ClientId) {
        let Some(client) = self.client_mut(id) else { return };
        let work = client.work();
        work.ended = true;
        work.finishing = true;
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
            client.work().waits = true;
        }
    }

    /// Sends a client something that it has not asked for with the request at hand.
    pub fn push(&mut self, id: ClientId, bytes: &[u8]) {
        let Some(client) = self.client_mut(id) else { return };
        client.work().outbox.write(bytes);
        self.mark_client(id);
    }

    #[inline]
    fn mark_client(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id.slot)
            && !core::mem::replace(&mut client.work().marked, true)
        {
            self.dirty.push(client.conn);
        }
    }

    fn resume(&mut self, id: ClientId) {
        let Some(client) = self.client_mut(id) else { return };
        if client.work().paused && client.work().may_go() {
            self.resumable.push(id);
        } else {
            self.end_if_done(id);
        }
    }

    /// Reads no more from a client that is paused: at once if it has to take something first, else
    /// when it has sent much ahead. (Until then its end is seen while it waits.)
    fn limit_reading(&mut self, id: ClientId) {
        let Some(client) = self.client_mut(id) else { return };
        let conn = client.conn;
        let work = client.work();
        let only_waits = work.waits && !work.blocked;
        if only_waits && work.requests.waiting() < MAX_AHEAD {
            return;
        }
        if !core::mem::replace(&mut work.not_reading, true) {
            self.outputs.push_back(Output::Reading { conn, on: false });
        }
    }

    /// Closes the connection of a client that will send no more, when nothing is left to do for it.
    fn end_if_done(&mut self, id: ClientId) {
        let Some(client) = self.client_mut(id) else { return };
        let conn = client.conn;
        let work = client.work();
        let waits = work.paused && !work.finishing;
        if !work.ended || waits || !work.asks.is_empty() || work.closing {
            return;
        }
        work.closing = true;
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
    /// is gone; no client is answered then.
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
                client.work().blocked = true;
            }
        }
        true
    }

    /// Keeps the request that was sent last on a connection, so that it can be sent to another
    /// backend, and how often that has happened.
    pub fn keep_last(&mut self, id: LinkId, kept: Kept, hops: u8) {
        if let Some(pending) = self.link_mut(id).and_then(|link| link.pending.back_mut()) {
            pending.kept = Some(Box::new(kept));
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
                client.work().blocked = false;
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
            && let work = client.work()
            && let Some(index) = seq.checked_sub(work.first)
            && let Some(ask) = work.asks.get_mut(index as usize)
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
        let conn = client.conn;
        let work = client.work();
        let Some(index) = seq.checked_sub(work.first) else { return };
        let Some(ask) = work.asks.get_mut(index as usize) else { return };
        if index == 0 && ask.join.is_none() {
            work.outbox.write(bytes);
            if end {
                work.asks.pop_front();
                work.first += 1;
                if !work.asks.is_empty() {
                    work.advance();
                }
            }
            let resumes = work.paused || work.ended;
            if !core::mem::replace(&mut work.marked, true) {
                self.dirty.push(conn);
            }
            if resumes {
                self.resume(id);
            }
            return;
        }
        self.deliver_later(id, index as usize, part, bytes, end);
    }

    /// Brings a piece of a reply to a request that is split, or that others stand before.
    fn deliver_later(&mut self, id: ClientId, index: usize, part: u32, bytes: &[u8], end: bool) {
        let Some(client) = self.client_mut(id) else { return };
        let work = client.work();
        let Some(ask) = work.asks.get_mut(index) else { return };
        work.held += bytes.len();
        match &mut ask.join {
            None => {
                ask.bytes.extend_from_slice(bytes);
                ask.done = end;
            }
            Some(join) => {
                if let Some(whole) = join.add(part, bytes, end) {
                    work.held += whole.bytes.len();
                    work.held = work.held.saturating_sub(join.held());
                    ask.last = whole.last;
                    ask.bytes = whole.bytes;
                    ask.done = true;
                    ask.join = None;
                }
            }
        }
        if work.held > MAX_OUT_OF_ORDER {
            let held = work.held;
            let text = format!(
                "client {}: {} bytes of replies wait for their turn, at most {MAX_OUT_OF_ORDER} \
                 may; closing the connection",
                client.peer, held
            );
            self.log(LogLevel::Warning, text);
            return self.refuse(id);
        }
        if index > 0 || !ask.done {
            return;
        }
        work.advance();
        let finish = core::mem::take(&mut work.finish_soon);
        if finish {
            work.ended = true;
            work.finishing = true;
            work.drop_asks();
        }
        self.mark_client(id);
        self.resume(id);
    }

    /// Whether a request of a client is the one whose reply leaves next, so that it can be passed on
    /// in pieces.
    fn is_next(&self, id: ClientId, seq: u64) -> bool {
        self.client(id).and_then(Client::under_way).is_some_and(|work| {
            work.first == seq && work.asks.front().is_some_and(|ask| ask.join.is_none())
        })
    }

    /// Takes the buffers of clients that have taken all of their replies.
    fn settle_idle(&mut self) {
        for id in self.settling.drain(..) {
            let client = self.clients.get_mut(id.slot).filter(|client| client.id == id);
            if let Some(work) = client.and_then(Client::rest)
                && self.spare.len() < MAX_SPARE
            {
                self.spare.push(work);
            }
        }
    }

    /// The earliest time at which the engine has something to do.
    fn timeout(&self) -> Option<Mono> {
        if self.resumable.is_empty() { self.deadline } else { Some(Mono::ZERO) }
    }
}
