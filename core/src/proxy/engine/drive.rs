//! A proxy as a combination of engine and rule: passes inputs to the rule, and outputs of the
//! engine to the driver.

use super::super::request::Malformed;
use super::{
    AcceptedClient, Client, ClientId, DisconnectReason, Engine, Flow, LinkError, LinkId, MAX_HELD,
    Owner, Pending, ReplyAction, Rule, STALL_TIMEOUT, STREAMED,
};
use crate::machine::{ConnId, Endpoint, ListenerId, LogLevel, NetError, Outbox, Output};
use crate::time::{Mono, Now, earliest};

/// A proxy: the engine and its rule.
#[derive(Clone, Debug)]
pub struct Proxy<R: Rule> {
    /// The connections.
    pub engine: Engine<R>,
    /// The decisions.
    pub rule: R,
}

impl<R: Rule> Proxy<R> {
    /// A proxy with this rule.
    pub fn new(rule: R) -> Proxy<R> {
        Proxy { engine: Engine::default(), rule }
    }

    pub(in crate::proxy) fn accepted(
        &mut self,
        now: Now<'_>,
        conn: ConnId,
        listener: ListenerId,
        peer: Endpoint,
    ) {
        let welcome = self.rule.accepted(&mut self.engine, now, conn, listener, &peer);
        let AcceptedClient { data, inline } = welcome;
        let clients = &mut self.engine.clients;
        let id = clients
            .insert(conn, |id| Client::new(id, conn, listener, peer, now.mono, inline, data));
        if let Some(id) = id {
            self.rule.client_added(&mut self.engine, now, id);
        }
    }

    /// Handles bytes that arrived on a connection.
    #[inline]
    pub(in crate::proxy) fn received(&mut self, now: Now<'_>, conn: ConnId, bytes: &[u8]) {
        if conn.is_accepted() {
            self.engine.reclaim_buffers();
            let Some(client) = self.engine.clients.by_conn(conn) else { return };
            client.last_heard = now.mono;
            let id = client.id;
            let work = client.work_from(&mut self.engine.spare);
            if work.closing || work.finishing {
                return;
            }
            if work.paused {
                work.requests.keep(bytes);
                return self.engine.limit_reading(id);
            }
            self.serve(now, id, bytes);
        } else {
            self.take_replies(now, conn, bytes);
        }
        self.run_deferred(now);
    }

    /// Passes a client's requests to the rule, as long as the limits allow.
    fn serve(&mut self, now: Now<'_>, id: ClientId, mut bytes: &[u8]) {
        let Some(client) = self.engine.client_mut(id) else { return };
        // Taken out so that the client can be borrowed meanwhile.
        let mut requests = core::mem::take(&mut client.work().requests);
        loop {
            let (before, buffered) = (bytes, requests.is_buffered());
            match requests.next(&mut bytes) {
                Ok(Some(request)) => {
                    let flow = self.rule.request(&mut self.engine, now, id, request);
                    let Some(client) = self.engine.client_mut(id) else { return };
                    let work = client.work();
                    if work.finishing {
                        return;
                    }
                    if flow == Flow::Later {
                        debug_assert!(!work.unanswered.is_empty(), "something to wait for");
                        work.waits = true;
                        match buffered {
                            true => requests.put_back(),
                            false => bytes = before,
                        }
                    }
                    if work.may_serve() {
                        continue;
                    }
                    requests.keep(bytes);
                    work.requests = requests;
                    work.pause();
                    return self.engine.limit_reading(id);
                }
                Ok(None) => {
                    if requests
                        .partial()
                        .is_none_or(|partial| self.rule.check_partial(&mut self.engine, partial))
                    {
                        break;
                    }
                    return self.engine.refuse(id);
                }
                Err(Malformed) => return self.engine.refuse(id),
            }
        }
        if let Some(client) = self.engine.client_mut(id) {
            client.work().requests = requests;
        }
    }

    /// Splits the bytes from a backend into replies.
    #[inline]
    fn take_replies(&mut self, now: Now<'_>, conn: ConnId, bytes: &[u8]) {
        let Some(link) = self.engine.links.by_conn(conn) else { return };
        let id = link.id;
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(link) = self.engine.link_mut(id) else { return };
            let Ok(scan) = link.scanner.scan(rest) else {
                return self.break_link(now, id, LinkError::Malformed);
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

    /// Handles a complete reply.
    #[inline]
    fn take_reply(&mut self, now: Now<'_>, id: LinkId, reply: &[u8]) {
        let Some(link) = self.engine.link_mut(id) else { return };
        let Some(mut pending) = link.pending.pop_front() else {
            if !self.rule.unexpected_reply(&mut self.engine, now, id, reply) {
                self.break_link(now, id, LinkError::Malformed);
            }
            return;
        };
        match self.rule.replied(&mut self.engine, now, id, &mut pending, reply) {
            ReplyAction::Forward => self.engine.deliver_reply(pending.owner, reply),
            ReplyAction::Replace(other) => self.engine.deliver_reply(pending.owner, other),
            ReplyAction::Taken => {}
            ReplyAction::Break(why) => {
                if let Some(link) = self.engine.link_mut(id) {
                    link.pending.push_front(pending);
                }
                self.break_link(now, id, why);
            }
        }
    }

    /// Handles a piece of a reply that is not its last.
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

    /// Forwards a piece of a reply, and stops reading from the backend if the client does not take
    /// it.
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
        let work = client.work();
        if work.outbox.len() > MAX_HELD && work.blocks_link.is_none() {
            work.blocks_link = Some(id);
            work.outbox.set_low_water(MAX_HELD / 4);
            let due = now.mono + STALL_TIMEOUT;
            work.stall_deadline = Some((due, taken(&work.outbox)));
            self.engine.deadline = earliest([self.engine.deadline, Some(due)]);
            self.engine.outputs.push_back(Output::Reading { conn, on: false });
            if let Some(link) = self.engine.link_mut(id) {
                link.paused = true;
            }
        }
    }

    /// Handles the last piece of a streamed reply.
    fn end_stream(&mut self, now: Now<'_>, id: LinkId, piece: &[u8]) {
        let Some(link) = self.engine.link_mut(id) else { return };
        link.streaming = false;
        let Some(mut pending) = link.pending.pop_front() else { return };
        // Only the type of the reply matters here; an error would be short.
        let verdict = self.rule.replied(&mut self.engine, now, id, &mut pending, b"$");
        debug_assert_eq!(verdict, ReplyAction::Forward, "a reply that has been passed on");
        self.engine.deliver_reply(pending.owner, piece);
    }

    /// Closes a backend connection, and lets the rule answer its pending requests.
    pub(in crate::proxy) fn break_link(&mut self, now: Now<'_>, id: LinkId, why: LinkError) {
        if let Some(gone) = self.engine.close(id) {
            self.rule.lost(&mut self.engine, now, gone, why);
        }
    }

    pub(in crate::proxy) fn connected(&mut self, now: Now<'_>, conn: ConnId) {
        let Some(link) = self.engine.links.by_conn(conn) else { return };
        link.up = true;
        let id = link.id;
        if !link.outbox.is_empty() {
            self.engine.outputs.push_back(Output::Send { conn });
        }
        self.rule.connected(&mut self.engine, now, id);
        self.run_deferred(now);
    }

    /// Handles the end of a connection that the driver has already closed.
    pub(in crate::proxy) fn closed(&mut self, now: Now<'_>, conn: ConnId, error: NetError) {
        if conn.is_accepted() {
            if let Some(client) = self.engine.clients.remove_conn(conn) {
                let why = match error {
                    NetError::Eof => DisconnectReason::Eof,
                    error => DisconnectReason::Broken(error),
                };
                self.engine.disconnected.push((client, why));
            }
        } else if let Some(link) = self.engine.links.remove_conn(conn) {
            let gone = self.engine.close_link(link);
            self.rule.lost(&mut self.engine, now, gone, LinkError::Net(error));
        }
        self.run_deferred(now);
    }

    /// Handles the end of a peer's stream.
    pub(in crate::proxy) fn ended(&mut self, now: Now<'_>, conn: ConnId) {
        if conn.is_accepted() {
            if let Some(client) = self.engine.clients.by_conn(conn) {
                client.work().ended = true;
                let id = client.id;
                if self.rule.ended(&mut self.engine, id) {
                    if let Some(client) = self.engine.take_client(id) {
                        self.engine.disconnected.push((client, DisconnectReason::Eof));
                    }
                } else {
                    self.engine.end_if_done(id);
                }
            }
        } else if let Some(link) = self.engine.links.by_conn(conn) {
            let id = link.id;
            self.break_link(now, id, LinkError::Net(NetError::Eof));
        }
        self.run_deferred(now);
    }

    /// Reads from a backend again, since the client has taken its reply, or is gone.
    fn resume_link(&mut self, now: Now<'_>, id: LinkId) {
        let Some(link) = self.engine.link_mut(id) else { return };
        link.paused = false;
        link.resumed_at = now.mono;
        let (conn, due) = (link.conn, link.timeout.map(|timeout| now.mono + timeout));
        self.engine.deadline = earliest([self.engine.deadline, due]);
        self.engine.outputs.push_back(Output::Reading { conn, on: true });
    }

    /// The outbox of a connection has drained below the limit.
    pub(in crate::proxy) fn drained(&mut self, now: Now<'_>, conn: ConnId) {
        if conn.is_accepted() {
            let Some(client) = self.engine.clients.by_conn(conn) else { return };
            let id = client.id;
            let work = client.work();
            work.stall_deadline = None;
            if let Some(link) = work.blocks_link.take() {
                self.resume_link(now, link);
            }
            self.engine.resume(id);
        } else if let Some(link) = self.engine.links.by_conn(conn) {
            for id in core::mem::take(&mut link.waiting) {
                if let Some(client) = self.engine.client_mut(id) {
                    client.work().blocked = false;
                    self.engine.resume(id);
                }
            }
        }
        self.run_deferred(now);
    }

    /// Handles a timeout.
    pub(in crate::proxy) fn wake(&mut self, now: Now<'_>) {
        self.expire(now);
        self.rule.wake(&mut self.engine, now);
        self.run_deferred(now);
    }

    /// Breaks backend connections whose oldest request has timed out, and closes clients that block
    /// them.
    fn expire(&mut self, now: Now<'_>) {
        if self.engine.deadline.is_none_or(|deadline| deadline > now.mono) {
            return;
        }
        let mut next: Option<Mono> = None;
        let mut later = |at: Mono| next = Some(next.map_or(at, |next| next.min(at)));
        let mut late = Vec::new();
        for link in self.engine.links.iter() {
            let (Some(timeout), Some(first), false) =
                (link.timeout, link.pending.front(), link.paused)
            else {
                continue;
            };
            match first.at.max(link.resumed_at) + timeout {
                due if due <= now.mono => late.push(link.id),
                due => later(due),
            }
        }
        let mut stuck = Vec::new();
        for client in self.engine.clients.iter_mut() {
            let Some((due, before)) = client.under_way().and_then(|work| work.stall_deadline)
            else {
                continue;
            };
            let work = client.work();
            let taken = taken(&work.outbox);
            if due > now.mono {
                later(due);
            } else if taken > before {
                work.stall_deadline = Some((now.mono + STALL_TIMEOUT, taken));
                later(now.mono + STALL_TIMEOUT);
            } else {
                stuck.push(client.id);
            }
        }
        self.engine.deadline = next;
        for id in late {
            self.break_link(now, id, LinkError::TimedOut);
        }
        for id in stuck {
            if let Some(client) = self.engine.client(id) {
                let text = format!(
                    "client {}: did not read its reply for {} s; closing the connection",
                    client.peer,
                    STALL_TIMEOUT.as_secs()
                );
                self.engine.log(LogLevel::Warning, text);
            }
            self.engine.refuse(id);
        }
    }

    /// Resumes clients that were paused, and tells the rule about those that disconnected.
    #[inline]
    pub(in crate::proxy) fn run_deferred(&mut self, now: Now<'_>) {
        while !self.engine.disconnected.is_empty() {
            for (client, why) in core::mem::take(&mut self.engine.disconnected) {
                if let Some(link) = client.under_way().and_then(|work| work.blocks_link) {
                    self.resume_link(now, link);
                }
                self.rule.left(&mut self.engine, now, &client, why);
            }
        }
    }

    /// Serves clients whose requests could not be handled when they arrived.
    pub(in crate::proxy) fn serve_resumable(&mut self, now: Now<'_>) {
        for id in core::mem::take(&mut self.engine.resumable) {
            let Some(client) = self.engine.client_mut(id) else { continue };
            let conn = client.conn;
            let work = client.work();
            if !work.paused || !work.may_serve() {
                continue;
            }
            work.paused = false;
            work.waits = false;
            if core::mem::take(&mut work.not_reading) {
                self.engine.outputs.push_back(Output::Reading { conn, on: true });
            }
            self.serve(now, id, &[]);
            self.engine.end_if_done(id);
        }
        self.run_deferred(now);
    }

    pub(in crate::proxy) fn next_output(&mut self) -> Option<Output> {
        if let Some(output) = self.engine.outputs.pop_front() {
            return Some(output);
        }
        while let Some(conn) = self.engine.dirty.pop() {
            if conn.is_accepted() {
                let Some(client) = self.engine.clients.by_conn(conn) else { continue };
                client.work().marked = false;
                let id = client.id;
                self.engine.maybe_idle.push(id);
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

    pub(in crate::proxy) fn next_timeout(&self) -> Option<Mono> {
        earliest([self.engine.timeout(), self.rule.timeout()])
    }

    pub(in crate::proxy) fn outbox_of(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        if conn.is_accepted() {
            self.engine.clients.by_conn(conn).map(|client| &mut client.work().outbox)
        } else {
            self.engine.links.by_conn(conn).map(|link| &mut link.outbox)
        }
    }
}

/// How many bytes of all that was written to a connection its peer has taken.
fn taken(outbox: &Outbox) -> u64 {
    outbox.end() - outbox.len() as u64
}
