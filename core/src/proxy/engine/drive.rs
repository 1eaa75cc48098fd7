//! The engine and its rule as one: inputs are handed to the rule, outputs are taken from the engine.

use super::super::request::Malformed;
use super::{
    Client, ClientId, Engine, Flow, Left, LinkId, Lost, MAX_HELD, Owner, PATIENCE, Pending, Rule,
    STREAMED, Verdict, Welcome,
};
use crate::machine::{ConnId, Endpoint, ListenerId, LogLevel, NetError, Outbox, Output};
use crate::time::{Mono, Now, earliest};

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

    pub(in crate::proxy) fn accepted(
        &mut self,
        now: Now<'_>,
        conn: ConnId,
        listener: ListenerId,
        peer: Endpoint,
    ) {
        let welcome = self.rule.accepted(&mut self.engine, now, conn, listener, &peer);
        let Welcome { data, inline } = welcome;
        let clients = &mut self.engine.clients;
        let id = clients
            .insert(conn, |id| Client::new(id, conn, listener, peer, now.mono, inline, data));
        if let Some(id) = id {
            self.rule.welcomed(&mut self.engine, now, id);
        }
    }

    /// Bytes have come on a connection.
    #[inline]
    pub(in crate::proxy) fn received(&mut self, now: Now<'_>, conn: ConnId, bytes: &[u8]) {
        if conn.is_accepted() {
            self.engine.settle_idle();
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
        self.tidy(now);
    }

    /// Hands the rule the requests of a client, as far as it may go.
    fn serve(&mut self, now: Now<'_>, id: ClientId, mut bytes: &[u8]) {
        let Some(client) = self.engine.client_mut(id) else { return };
        // Taken out while its requests are looked at, so that the client can be used besides.
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
                        debug_assert!(!work.asks.is_empty(), "something to wait for");
                        work.waits = true;
                        match buffered {
                            true => requests.put_back(),
                            false => bytes = before,
                        }
                    }
                    if work.may_go() {
                        continue;
                    }
                    requests.keep(bytes);
                    work.requests = requests;
                    work.pause();
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
            client.work().requests = requests;
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
        let work = client.work();
        if work.outbox.len() > MAX_HELD && work.holds_up.is_none() {
            work.holds_up = Some(id);
            work.outbox.set_low_water(MAX_HELD / 4);
            work.patience = Some((now.mono + PATIENCE, work.outbox.end()));
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
    pub(in crate::proxy) fn break_link(&mut self, now: Now<'_>, id: LinkId, why: Lost) {
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
        self.tidy(now);
    }

    /// A connection is gone: the driver has forgotten it already.
    pub(in crate::proxy) fn closed(&mut self, now: Now<'_>, conn: ConnId, error: NetError) {
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
    pub(in crate::proxy) fn ended(&mut self, now: Now<'_>, conn: ConnId) {
        if conn.is_accepted() {
            if let Some(client) = self.engine.clients.by_conn(conn) {
                client.work().ended = true;
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
    pub(in crate::proxy) fn drained(&mut self, now: Now<'_>, conn: ConnId) {
        if conn.is_accepted() {
            let Some(client) = self.engine.clients.by_conn(conn) else { return };
            let id = client.id;
            let work = client.work();
            work.patience = None;
            if let Some(link) = work.holds_up.take()
                && let Some(link) = self.engine.link(link)
            {
                let conn = link.conn;
                self.engine.outputs.push_back(Output::Reading { conn, on: true });
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
        self.tidy(now);
    }

    /// Time has passed.
    pub(in crate::proxy) fn wake(&mut self, now: Now<'_>) {
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
            let Some((due, end)) = client.under_way().and_then(|work| work.patience) else {
                continue;
            };
            let work = client.work();
            let left = work.outbox.end() - work.outbox.len() as u64;
            if due > now.mono {
                later(due);
            } else if left > end {
                // It has taken something meanwhile.
                work.patience = Some((now.mono + PATIENCE, left));
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
    pub(in crate::proxy) fn tidy(&mut self, now: Now<'_>) {
        while !self.engine.departed.is_empty() {
            for (client, why) in core::mem::take(&mut self.engine.departed) {
                if let Some(link) = client.under_way().and_then(|work| work.holds_up)
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
    pub(in crate::proxy) fn serve_resumable(&mut self, now: Now<'_>) {
        for id in core::mem::take(&mut self.engine.resumable) {
            let Some(client) = self.engine.client_mut(id) else { continue };
            let conn = client.conn;
            let work = client.work();
            if !work.paused || !work.may_go() {
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
        self.tidy(now);
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
                self.engine.settling.push(id);
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
