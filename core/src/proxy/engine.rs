//! The engine of a proxy: client connections, pipelined connections to backends, and replies in the
//! order of the requests.
//!
//! A [`Rule`] decides where a request is sent and what a client may request. The engine guarantees
//! that every request gets exactly one reply, in order, and that no slow peer takes more memory
//! than the limits below.
//!
//! **Backpressure.** The engine stops reading requests of a client that has [`MAX_UNANSWERED`]
//! unanswered requests, or [`MAX_HELD`] bytes of waiting replies, or whose next request is for a
//! backend with [`MAX_BACKLOG`] queued bytes. A reply larger than [`STREAMED`] is forwarded as it
//! arrives, and its backend is not read from while the client does not take it. A client that takes
//! nothing for [`STALL_TIMEOUT`] is closed, since others wait for the same backend.

mod client;
mod drive;
mod join;
mod link;
mod rule;
mod slab;

use std::collections::VecDeque;

use self::client::Work;
pub use self::client::{Client, ClientId, Unanswered};
pub use self::drive::Proxy;
pub use self::join::{Join, JoinKind};
pub use self::link::{ClosedLink, Link, LinkError, LinkId, Owner, Pending, RequestCopy};
pub use self::rule::{AcceptedClient, DisconnectReason, Flow, ReplyAction, Rule};
use self::slab::Slab;
use crate::machine::{Address, Close, ConnId, Endpoint, ListenerId, LogLevel, LogLine, Output};
use crate::time::{Duration, Mono};

/// The maximum number of unanswered requests of a client.
pub const MAX_UNANSWERED: usize = 4096;

/// Bytes of replies waiting for a client above which no more of its requests are read.
pub const MAX_HELD: usize = 1 << 20;

/// Bytes of replies waiting for earlier replies of the same client above which the client is
/// closed, since the proxy cannot buffer more.
pub const MAX_OUT_OF_ORDER: usize = 256 << 20;

/// Bytes of further requests that are buffered while a client waits for a reply.
pub const MAX_AHEAD: usize = 64 << 10;

/// Bytes queued for a backend connection above which no requests are read from its clients.
pub const MAX_BACKLOG: usize = 4 << 20;

/// Replies longer than this, in bytes, are forwarded before they are complete.
pub const STREAMED: usize = 256 << 10;

/// The maximum number of spare buffers for clients.
const MAX_SPARE: usize = 64;

/// The timeout for a client that takes nothing of a reply and thereby blocks a backend connection.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Clients, backend connections, and the requests and replies between them.
#[derive(Clone, Debug)]
pub struct Engine<R: Rule> {
    clients: Slab<Client<R::Client>>,
    links: Slab<Link<R::Link>>,
    outputs: VecDeque<Output>,
    /// Connections whose outbox got data since the driver last polled.
    dirty: Vec<ConnId>,
    /// Clients whose requests may be read again.
    resumable: Vec<ClientId>,
    /// Clients that disconnected while the rule was running.
    disconnected: Vec<(Client<R::Client>, DisconnectReason)>,
    /// Clients to which replies were sent, some of which may be idle now.
    maybe_idle: Vec<ClientId>,
    /// Spare buffers from clients that became idle.
    #[expect(clippy::vec_box, reason = "a client holds its box, which changes hands as it is")]
    spare: Vec<Box<Work>>,
    last_conn: u64,
    last_listener: u32,
    /// The earliest time at which a request may time out.
    deadline: Option<Mono>,
}

impl<R: Rule> Default for Engine<R> {
    fn default() -> Self {
        Engine {
            clients: Slab::default(),
            links: Slab::default(),
            outputs: VecDeque::new(),
            dirty: Vec::new(),
            resumable: Vec::new(),
            disconnected: Vec::new(),
            maybe_idle: Vec::new(),
            spare: Vec::new(),
            last_conn: 0,
            last_listener: 0,
            deadline: None,
        }
    }
}

impl<R: Rule> Engine<R> {
    /// Opens a listener.
    pub fn listen(&mut self, at: Endpoint, backlog: u32) -> ListenerId {
        self.last_listener += 1;
        let listener = ListenerId(self.last_listener);
        self.outputs.push_back(Output::Listen { listener, at, backlog });
        listener
    }

    /// Adds an output that does not concern a connection of the engine.
    pub fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Writes a log line.
    pub fn log(&mut self, level: LogLevel, text: impl Into<String>) {
        let text = text.into();
        self.outputs.push_back(Output::Log(LogLine { level, role: 'P', text }));
    }

    // Clients.

    /// A client, if it is still connected.
    pub fn client(&self, id: ClientId) -> Option<&Client<R::Client>> {
        self.clients.get(id.slot).filter(|client| client.id == id)
    }

    /// A client, if it is still connected.
    #[inline]
    pub fn client_mut(&mut self, id: ClientId) -> Option<&mut Client<R::Client>> {
        self.clients.get_mut(id.slot).filter(|client| client.id == id)
    }

    /// All clients.
    pub fn clients(&self) -> impl Iterator<Item = &Client<R::Client>> {
        self.clients.iter()
    }

    /// The number of clients.
    pub fn clients_len(&self) -> usize {
        self.clients.len()
    }

    /// Replies to a client's request without a backend; the reply is sent after those to earlier
    /// requests.
    pub fn answer(&mut self, id: ClientId, reply: &[u8]) {
        let Some(client) = self.client_mut(id) else { return };
        let work = client.work();
        if work.unanswered.is_empty() {
            work.outbox.write(reply);
            self.mark_client(id);
        } else {
            work.held += reply.len();
            work.unanswered.push_back(Unanswered {
                bytes: reply.to_vec(),
                done: true,
                ..Unanswered::default()
            });
        }
    }

    /// Registers a client's request that a backend will answer. The reply is delivered by
    /// [`Owner::Client`] with the returned number and part 0.
    #[inline]
    pub fn expect_reply(&mut self, id: ClientId) -> u64 {
        self.note(id, Unanswered::default())
    }

    /// Registers a client's request that several backends will answer, whose replies are joined.
    /// Parts are numbered from 0.
    pub fn split(&mut self, id: ClientId, join: Join) -> u64 {
        self.note(id, Unanswered { join: Some(Box::new(join)), ..Unanswered::default() })
    }

    fn note(&mut self, id: ClientId, entry: Unanswered) -> u64 {
        let Some(client) = self.client_mut(id) else { return 0 };
        let work = client.work();
        work.unanswered.push_back(entry);
        work.first + work.unanswered.len() as u64 - 1
    }

    /// Closes a client's connection after the replies to all of its requests so far. Further
    /// requests are not read.
    pub fn finish(&mut self, id: ClientId) {
        let Some(client) = self.client_mut(id) else { return };
        let work = client.work();
        work.ended = true;
        work.finishing = true;
        self.end_if_done(id);
    }

    /// Closes a client's connection immediately. Unsent replies are dropped.
    pub fn refuse(&mut self, id: ClientId) {
        if let Some(client) = self.take_client(id) {
            self.disconnected.push((client, DisconnectReason::Refused));
        }
    }

    fn take_client(&mut self, id: ClientId) -> Option<Client<R::Client>> {
        let client = self.clients.remove_if(id.slot, |client| client.id == id)?;
        self.outputs.push_back(Output::Close { conn: client.conn, how: Close::Now });
        Some(client)
    }

    /// Reads no further requests of a client until all earlier ones are answered.
    pub fn wait(&mut self, id: ClientId) {
        if let Some(client) = self.client_mut(id) {
            client.work().waits = true;
        }
    }

    /// Sends a client data that is not the reply to its current request.
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
        if client.work().paused && client.work().may_serve() {
            self.resumable.push(id);
        } else {
            self.end_if_done(id);
        }
    }

    /// Stops reading from a paused client: immediately if it has to take replies first, or else
    /// once it has sent many bytes ahead. (Until then, the end of its stream is noticed.)
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

    /// Closes the connection of a client that has sent its last request, once all replies were
    /// sent.
    fn end_if_done(&mut self, id: ClientId) {
        let Some(client) = self.client_mut(id) else { return };
        let conn = client.conn;
        let work = client.work();
        let waits = work.paused && !work.finishing;
        if !work.ended || waits || !work.unanswered.is_empty() || work.closing {
            return;
        }
        work.closing = true;
        self.outputs.push_back(Output::Close { conn, how: Close::AfterSending });
    }

    // Backend connections.

    /// Opens a connection to a backend. Requests can be sent at once, and are queued until it is
    /// established. A request that is not answered within `timeout` breaks the connection.
    pub fn open(&mut self, to: Address, timeout: Option<Duration>, data: R::Link) -> LinkId {
        self.last_conn += 1;
        let conn = ConnId::connected(self.last_conn);
        let slot = self.links.insert(conn, |id| Link::new(LinkId(id), conn, timeout, data));
        self.outputs.push_back(Output::Connect { conn, to, from: None });
        slot.map_or(LinkId::default(), LinkId)
    }

    /// A backend connection, if it still exists.
    #[inline]
    pub fn link(&self, id: LinkId) -> Option<&Link<R::Link>> {
        self.links.get(id.0.slot).filter(|link| link.id == id)
    }

    /// A backend connection, if it still exists.
    #[inline]
    pub fn link_mut(&mut self, id: LinkId) -> Option<&mut Link<R::Link>> {
        self.links.get_mut(id.0.slot).filter(|link| link.id == id)
    }

    /// All backend connections.
    pub fn links(&self) -> impl Iterator<Item = &Link<R::Link>> {
        self.links.iter()
    }

    /// All backend connections, mutable, for the rule's data.
    pub fn links_mut(&mut self) -> impl Iterator<Item = &mut Link<R::Link>> {
        self.links.iter_mut()
    }

    /// Sends a request, given in pieces, to a backend. False if the connection does not exist any
    /// more; then the client gets no reply from the engine.
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
        link.pending.push_back(Pending { owner, command, at: now, end, len, hops: 0, copy: None });
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

    /// Stores the last request sent on a connection, with its number of hops, so that it can be
    /// sent to another backend.
    pub fn copy_last(&mut self, id: LinkId, kept: RequestCopy, hops: u8) {
        if let Some(pending) = self.link_mut(id).and_then(|link| link.pending.back_mut()) {
            pending.copy = Some(Box::new(kept));
            pending.hops = hops;
        }
    }

    /// Closes a backend connection, without telling the rule. Returns the unanswered requests.
    pub fn close(&mut self, id: LinkId) -> Option<ClosedLink<R::Link>> {
        let link = self.links.remove_if(id.0.slot, |link| link.id == id)?;
        self.outputs.push_back(Output::Close { conn: link.conn, how: Close::Now });
        Some(self.close_link(link))
    }

    fn close_link(&mut self, link: Link<R::Link>) -> ClosedLink<R::Link> {
        let mut pending = link.pending;
        if link.streaming {
            // The client has a part of the reply already, so it cannot get another one.
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
        ClosedLink {
            id: link.id,
            up: link.up,
            sent: link.outbox.end() - link.outbox.len() as u64,
            pending,
            data: link.data,
        }
    }

    // Replies.

    /// Delivers the complete reply to a request that was meant for a backend.
    #[inline]
    pub fn deliver_reply(&mut self, owner: Owner, reply: &[u8]) {
        if let Owner::Client { id, seq, part } = owner {
            self.deliver(id, seq, part, reply, true);
        }
    }

    /// The same, but the client's connection is closed afterwards: after this reply, and later ones
    /// that are complete by then.
    pub fn deliver_last_reply(&mut self, owner: Owner, reply: &[u8]) {
        let Owner::Client { id, seq, .. } = owner else { return };
        if let Some(client) = self.client_mut(id)
            && let work = client.work()
            && let Some(index) = seq.checked_sub(work.first)
            && let Some(entry) = work.unanswered.get_mut(index as usize)
            && let Some(join) = &mut entry.join
        {
            join.set_last();
        }
        self.deliver_reply(owner, reply);
    }

    /// Delivers a piece of a reply.
    #[inline]
    fn deliver(&mut self, id: ClientId, seq: u64, part: u32, bytes: &[u8], end: bool) {
        let Some(client) = self.clients.get_mut(id.slot).filter(|client| client.id == id) else {
            return;
        };
        let conn = client.conn;
        let work = client.work();
        let Some(index) = seq.checked_sub(work.first) else { return };
        let Some(entry) = work.unanswered.get_mut(index as usize) else { return };
        if index == 0 && entry.join.is_none() {
            work.outbox.write(bytes);
            if end {
                work.unanswered.pop_front();
                work.first += 1;
                if !work.unanswered.is_empty() {
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

    /// Delivers a piece of a reply that is joined with others, or waits for earlier replies.
    fn deliver_later(&mut self, id: ClientId, index: usize, part: u32, bytes: &[u8], end: bool) {
        let Some(client) = self.client_mut(id) else { return };
        let work = client.work();
        let Some(entry) = work.unanswered.get_mut(index) else { return };
        work.held += bytes.len();
        match &mut entry.join {
            None => {
                entry.bytes.extend_from_slice(bytes);
                entry.done = end;
            }
            Some(join) => {
                if let Some(whole) = join.add(part, bytes, end) {
                    work.held += whole.bytes.len();
                    work.held = work.held.saturating_sub(join.held());
                    entry.last = whole.last;
                    entry.bytes = whole.bytes;
                    entry.done = true;
                    entry.join = None;
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
        if index > 0 || !entry.done {
            return;
        }
        work.advance();
        let finish = core::mem::take(&mut work.finish_soon);
        if finish {
            work.ended = true;
            work.finishing = true;
            work.drop_unanswered();
        }
        self.mark_client(id);
        self.resume(id);
    }

    /// Whether the next reply to a client is the one to this request, so that it can be streamed.
    fn is_next(&self, id: ClientId, seq: u64) -> bool {
        self.client(id).and_then(Client::under_way).is_some_and(|work| {
            work.first == seq && work.unanswered.front().is_some_and(|entry| entry.join.is_none())
        })
    }

    /// Takes back the buffers of clients that have received all of their replies.
    fn reclaim_buffers(&mut self) {
        for id in self.maybe_idle.drain(..) {
            let client = self.clients.get_mut(id.slot).filter(|client| client.id == id);
            if let Some(work) = client.and_then(Client::release_buffers)
                && self.spare.len() < MAX_SPARE
            {
                self.spare.push(work);
            }
        }
    }

    /// The time of the engine's next timeout.
    fn timeout(&self) -> Option<Mono> {
        if self.resumable.is_empty() { self.deadline } else { Some(Mono::ZERO) }
    }
}
