//! TCP transport: transmission over links, loss and retransmission, ordered delivery, timeouts.

use std::sync::Arc;

use crate::machine::NetError;
use crate::time::{Duration, Mono};

use super::event::{EventKind, Lost};
use super::ids::{HostId, MessageId, Side, TcpId};
use super::link::Link;
use super::proc::PendingInput;
use super::scenario::LinkSpec;
use super::tcp::{Flight, Phase, Piece, Segment, SegmentKind};
use super::view::Delivered;
use super::world::{Tick, World};

impl World {
    /// The index of the link from one host to another; `None` within a host.
    pub(super) fn link(&mut self, from: HostId, to: HostId) -> Option<u32> {
        if from == to {
            return None;
        }
        if let Some(&number) = self.link_index.get(&(from, to)) {
            return Some(number);
        }
        let number = u32::try_from(self.links.len()).ok()?;
        let spec = self.link_spec(from, to);
        let rng = self.stream(3, u64::from(from.0) << 16 | u64::from(to.0));
        let mut link = Link::new(from, to, spec, rng);
        link.cut = self.cuts.contains(&(from, to));
        self.links.push(link);
        self.link_index.insert((from, to), number);
        Some(number)
    }

    pub(super) fn link_spec(&self, from: HostId, to: HostId) -> LinkSpec {
        let (from, to) = (&self.at_host(from).spec.name, &self.at_host(to).spec.name);
        let joins = |a: &String, b: &String| (a == from && b == to) || (a == to && b == from);
        let rule = self.scenario.links.iter().rev().find(|rule| joins(&rule.a, &rule.b));
        rule.map_or(self.scenario.link, |rule| rule.link)
    }

    /// Sends a segment.
    pub(super) fn transmit(&mut self, tcp: TcpId, from: Side, kind: SegmentKind, bytes: &[u8]) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        self.next_message += 1;
        let id = MessageId(self.next_message);
        let flow = conn.flow_mut(from);
        if kind == SegmentKind::Rst {
            // A reset does not wait for data that was sent before.
            flow.flight.retain(Segment::is_flying);
        }
        let segment = Segment {
            id,
            kind,
            bytes: Arc::from(bytes),
            offset: flow.sent,
            sent: now,
            flight: Flight::Waiting,
            tries: 0,
        };
        flow.sent += bytes.len() as u64;
        flow.used += bytes.len() as u64;
        flow.flight.push_back(segment);
        self.attempt(tcp, from, id);
    }

    /// Puts a segment on its link, where it may be lost.
    fn attempt(&mut self, tcp: TcpId, from: Side, message: MessageId) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        let to = conn.end(from.other()).host;
        let up = self.hosts[usize::from(to.0)].on;
        let flow = conn.flow_mut(from);
        let Some(place) = flow.position(message) else { return };
        let (len, kind) = (flow.flight[place].bytes.len(), flow.flight[place].kind);
        let link = flow.link.and_then(|number| self.links.get_mut(number as usize));
        let lost = match &link {
            _ if !up => Some(Lost::HostDown),
            Some(link) if link.cut => Some(Lost::Partition),
            _ => None,
        };
        let arrival = match (lost, link) {
            (Some(why), _) => Err(why),
            (None, None) => Ok(now + self.scenario.tcp.loopback),
            (None, Some(link)) => {
                let due = link.carry(now, len);
                if link.loses() { Err(Lost::Loss) } else { Ok(due) }
            }
        };
        match arrival {
            Ok(due) => {
                let due = due.max(flow.last_due);
                flow.last_due = due;
                flow.flight[place].flight = Flight::Flying { due };
                self.schedule(due, Tick::Arrive { tcp, from, message });
            }
            Err(_) if kind == SegmentKind::Rst => {
                // A reset is not retransmitted; a peer that sends again gets another one.
                flow.flight.remove(place);
                self.repeat_handshake(tcp);
                self.forget_if_over(tcp);
            }
            Err(why) => self.lose(tcp, from, message, why),
        }
    }

    /// Records the loss of a segment, which will be retransmitted after the sender's timeout.
    pub(super) fn lose(&mut self, tcp: TcpId, from: Side, message: MessageId, why: Lost) {
        let now = self.now;
        let spec = &self.scenario.tcp;
        let (first, most) = (spec.rto, spec.rto_max);
        let connect = spec.connect_rto;
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        let opened = conn.opened;
        let flow = conn.flow_mut(from);
        let Some(place) = flow.position(message) else { return };
        let segment = &mut flow.flight[place];
        if segment.kind == SegmentKind::Rst {
            flow.flight.remove(place);
            self.repeat_handshake(tcp);
            return self.forget_if_over(tcp);
        }
        let base = match segment.kind {
            SegmentKind::Syn | SegmentKind::SynAck => connect,
            _ => first,
        };
        // The timeout on slow links is at least two round trips (RFC 6298 in short).
        let way = flow.link.and_then(|number| self.links.get(number as usize));
        let base = base.max(way.map_or(Duration::ZERO, |link| link.spec.latency * 4));
        let wait = base.saturating_mul(1 << segment.tries.min(20)).min(most.max(base));
        let again = now + wait;
        let unanswered = segment.kind == SegmentKind::SynAck;
        segment.flight = Flight::Lost { again, why };
        if let Some(link) = flow.link.and_then(|number| self.links.get_mut(number as usize)) {
            link.lost += 1;
        }
        if unanswered {
            let at = opened + self.scenario.tcp.connect_patience;
            self.schedule(at, Tick::GiveUp { tcp, from: Side::Client });
        }
        self.trace.number(message.0);
        self.schedule(again, Tick::Resend { tcp, from, message });
        self.happened(EventKind::Lost { message, why });
    }

    /// Repeats the server's part of the handshake if the client is silent, so that the server
    /// eventually notices that the host is gone.
    pub(super) fn repeat_handshake(&mut self, tcp: TcpId) {
        let Some(conn) = self.conns.get(&tcp) else { return };
        let (client, server) = (conn.end(Side::Client), conn.end(Side::Server));
        let waits = server.phase == Phase::Opening && server.proc.is_some();
        let silent = client.phase == Phase::Dead && conn.flow(Side::Client).flight.is_empty();
        if waits && silent && conn.flow(Side::Server).flight.is_empty() {
            self.transmit(tcp, Side::Server, SegmentKind::SynAck, &[]);
        }
    }

    pub(super) fn arrives(&self, tcp: TcpId, from: Side, message: MessageId, at: Mono) -> bool {
        self.segment(tcp, from, message).is_some_and(|s| s.flight == Flight::Flying { due: at })
    }

    pub(super) fn resends(&self, tcp: TcpId, from: Side, message: MessageId, at: Mono) -> bool {
        let segment = self.segment(tcp, from, message);
        segment.is_some_and(|s| matches!(s.flight, Flight::Lost { again, .. } if again == at))
    }

    pub(super) fn segment(&self, tcp: TcpId, from: Side, message: MessageId) -> Option<&Segment> {
        let flow = self.conns.get(&tcp)?.flow(from);
        flow.flight.get(flow.position(message)?)
    }

    pub(super) fn resend(&mut self, tcp: TcpId, from: Side, message: MessageId) {
        let limit = self.retransmission_limit(tcp, from);
        let now = self.now;
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        let flow = conn.flow_mut(from);
        let Some(place) = flow.position(message) else { return };
        let segment = &mut flow.flight[place];
        if now.since(segment.sent) >= limit {
            return self.give_up(tcp, from);
        }
        segment.tries += 1;
        self.attempt(tcp, from, message);
    }

    /// How long an end retransmits before it gives up.
    fn retransmission_limit(&self, tcp: TcpId, side: Side) -> Duration {
        let opening = self.conns.get(&tcp).is_some_and(|c| c.end(side).phase == Phase::Opening);
        let spec = &self.scenario.tcp;
        if opening { spec.connect_patience } else { spec.patience }
    }

    /// Handles the arrival of a segment at the receiving host.
    pub(super) fn arrive(&mut self, tcp: TcpId, from: Side, message: MessageId) {
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        let flow = conn.flow_mut(from);
        let Some(place) = flow.position(message) else { return };
        flow.flight[place].flight = Flight::Waiting;
        // This segment and those that waited for it are now in order.
        loop {
            let Some(conn) = self.conns.get_mut(&tcp) else { return };
            let flow = conn.flow_mut(from);
            let front = flow.flight.front();
            if front.is_none_or(|segment| segment.flight != Flight::Waiting) {
                return;
            }
            let Some(segment) = flow.flight.pop_front() else { return };
            self.receive(tcp, from, segment);
            self.forget_if_over(tcp);
        }
    }

    /// Processes a segment at the receiving host, in order.
    fn receive(&mut self, tcp: TcpId, from: Side, segment: Segment) {
        self.trace.number(tcp.0 << 1 | from.index() as u64);
        self.trace.number(segment.kind as u64);
        self.trace.bytes(&segment.bytes);
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        self.delivered.push(Delivered {
            id: segment.id,
            tcp,
            from,
            hosts: (conn.end(from).host, conn.end(from.other()).host),
            procs: (conn.end(from).proc, conn.end(from.other()).proc),
            kind: segment.kind,
            offset: segment.offset,
            sent: segment.sent,
            arrived: self.now,
            tries: segment.tries,
            duplicate: false,
            len: segment.bytes.len(),
            bytes: segment
                .bytes
                .get(..Delivered::KEPT)
                .map_or_else(|| segment.bytes.clone(), Arc::from),
        });
        let to = from.other();
        let end = conn.end_mut(to);
        if end.phase == Phase::Dead && segment.kind != SegmentKind::Rst {
            if conn.end(from).phase != Phase::Dead {
                self.transmit(tcp, to, SegmentKind::Rst, &[]);
            }
            return;
        }
        match segment.kind {
            SegmentKind::Syn => self.receive_syn(tcp, segment.id),
            SegmentKind::SynAck => {
                if let Some(id) = end.proc {
                    self.notify(id, PendingInput::Connected(tcp));
                    self.transmit(tcp, to, SegmentKind::Ack, &[]);
                }
            }
            SegmentKind::Ack => {
                if let Some(id) = end.proc {
                    self.notify(id, PendingInput::Accept(tcp));
                }
            }
            SegmentKind::Data => self.receive_data(tcp, from, segment),
            SegmentKind::Fin => {
                end.fin_seen = true;
                if end.phase != Phase::Closed && !end.closing {
                    conn.flow_mut(from).inbox.push_back(Piece::Fin);
                    self.note_readable(tcp, to);
                }
            }
            SegmentKind::Rst => {
                let refused = from == Side::Server && end.phase == Phase::Opening;
                conn.end_mut(from).phase = Phase::Dead;
                self.end_is_broken(
                    tcp,
                    to,
                    if refused { NetError::Refused } else { NetError::Reset },
                );
            }
        }
    }

    /// Processes a connection request.
    fn receive_syn(&mut self, tcp: TcpId, message: MessageId) {
        let Some(conn) = self.conns.get(&tcp) else { return };
        let end = conn.end(Side::Server);
        match self.find_listener(end.host, &end.addr) {
            None => {
                if let Some(conn) = self.conns.get_mut(&tcp) {
                    conn.end_mut(Side::Server).phase = Phase::Dead;
                }
                self.transmit(tcp, Side::Server, SegmentKind::Rst, &[]);
            }
            Some((_, _, false)) => {
                // Linux ignores the request; the client will repeat it.
                if let Some(conn) = self.conns.get_mut(&tcp) {
                    let sent = conn.opened;
                    conn.flow_mut(Side::Client).flight.push_front(Segment {
                        id: message,
                        kind: SegmentKind::Syn,
                        bytes: Arc::from([]),
                        offset: 0,
                        sent,
                        flight: Flight::Waiting,
                        tries: 0,
                    });
                }
                self.lose(tcp, Side::Client, message, Lost::BacklogFull);
            }
            Some((id, listener, true)) => {
                if let Some(found) = self.proc_mut(id).listeners.get_mut(&listener) {
                    found.waiting += 1;
                }
                if let Some(conn) = self.conns.get_mut(&tcp) {
                    let end = conn.end_mut(Side::Server);
                    end.proc = Some(id);
                    end.listener = Some(listener);
                }
                self.transmit(tcp, Side::Server, SegmentKind::SynAck, &[]);
            }
        }
    }

    fn receive_data(&mut self, tcp: TcpId, from: Side, segment: Segment) {
        let back = self.is_cut_back(tcp, from);
        let at = segment.sent + self.scenario.tcp.patience;
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        let (phase, closing) = (conn.end(from.other()).phase, conn.end(from.other()).closing);
        if phase == Phase::Closed {
            // The process is gone: nobody will read this.
            conn.end_mut(from.other()).phase = Phase::Dead;
            return self.transmit(tcp, from.other(), SegmentKind::Rst, &[]);
        }
        let flow = conn.flow_mut(from);
        let sent = segment.sent;
        let len = segment.bytes.len();
        if !closing {
            flow.inbox.push_back(Piece::Bytes(segment.bytes));
        }
        if back && flow.unacked.is_none() {
            flow.unacked = Some(sent);
            self.schedule(at, Tick::GiveUp { tcp, from });
        }
        if closing {
            return self.return_window(tcp, from, len);
        }
        self.note_readable(tcp, from.other());
    }

    /// Whether a partition blocks the acknowledgements for what `from` sends.
    fn is_cut_back(&self, tcp: TcpId, from: Side) -> bool {
        let link = self.conns.get(&tcp).and_then(|conn| conn.flow(from.other()).link);
        link.and_then(|number| self.links.get(number as usize)).is_some_and(|link| link.cut)
    }

    /// Returns window space after the receiver has read; the sender learns of it one latency later.
    pub(super) fn return_window(&mut self, tcp: TcpId, from: Side, bytes: usize) {
        let cut = self.is_cut_back(tcp, from);
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        let way = conn.flow(from.other()).link.and_then(|n| self.links.get(n as usize));
        let latency = way.map_or(self.scenario.tcp.loopback, |link| link.spec.latency);
        let flow = conn.flow_mut(from);
        flow.read += bytes as u64;
        let at = if cut { Mono(u64::MAX) } else { self.now + latency };
        let at = flow.credits.back().map_or(at, |&(last, _)| at.max(last));
        flow.credits.push_back((at, u32::try_from(bytes).unwrap_or(u32::MAX)));
        if flow.blocked {
            self.schedule(at, Tick::Room { tcp, from });
        }
    }

    /// Handles a duplicate segment; the receiver's TCP has the bytes already.
    pub(super) fn arrive_again(&mut self, tcp: TcpId, message: MessageId) {
        self.trace.number(message.0);
        let copy = self.delivered.iter().rev().find(|d| d.id == message && d.tcp == tcp).cloned();
        if let Some(copy) = copy {
            self.delivered.push(Delivered { arrived: self.now, duplicate: true, ..copy });
        }
    }

    pub(super) fn has_timed_out(&self, tcp: TcpId, from: Side, at: Mono) -> bool {
        let Some(conn) = self.conns.get(&tcp) else { return false };
        let spec = &self.scenario.tcp;
        if from == Side::Client && conn.end(from).phase == Phase::Opening {
            return at.since(conn.opened) >= spec.connect_patience;
        }
        conn.flow(from).unacked.is_some_and(|since| at.since(since) >= spec.patience)
    }

    /// Ends a connection whose sender has waited for an acknowledgement too long.
    pub(super) fn give_up(&mut self, tcp: TcpId, from: Side) {
        self.end_is_broken(tcp, from, NetError::TimedOut);
        self.forget_if_over(tcp);
    }

    /// Marks an end as dead, and notifies its process.
    pub(super) fn end_is_broken(&mut self, tcp: TcpId, side: Side, error: NetError) {
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        conn.flow_mut(side).flight.clear();
        conn.flow_mut(side).unacked = None;
        conn.flow_mut(side).blocked = false;
        conn.flow_mut(side.other()).inbox.clear();
        let end = conn.end_mut(side);
        let phase = core::mem::replace(&mut end.phase, Phase::Dead);
        let name = end.conn.take();
        let (proc, listener) = (end.proc, end.listener);
        let Some(id) = proc else { return };
        match (phase, name) {
            (Phase::Opening, Some(name)) => {
                self.happened(EventKind::ConnectFailed { tcp, from: id, error });
                self.notify(id, PendingInput::ConnectFailed(name, error));
            }
            (Phase::Opening, None) => {
                let found = listener.and_then(|l| self.proc_mut(id).listeners.get_mut(&l));
                if let Some(found) = found {
                    found.waiting = found.waiting.saturating_sub(1);
                }
            }
            (Phase::Open, Some(name)) => {
                self.happened(EventKind::Broken { tcp, proc: id, error });
                self.notify(id, PendingInput::Closed(name, error));
            }
            _ => {}
        }
    }

    /// Loses the messages in flight from one host to another, and starts the timeouts of data that
    /// waits for acknowledgements from there.
    pub(super) fn cut_link(&mut self, from: HostId, to: HostId, why: Lost) {
        let mut lost = Vec::new();
        for conn in self.conns.values() {
            for side in [Side::Client, Side::Server] {
                if conn.end(side).host == from && conn.end(side.other()).host == to {
                    let flying = conn.flow(side).flight.iter().filter(|s| s.is_flying());
                    lost.extend(flying.map(|s| (conn.id, side, s.id)));
                }
            }
        }
        for (tcp, side, message) in lost {
            self.lose(tcp, side, message, why);
        }
    }

    /// Starts the timeouts of unacknowledged data, since acknowledgements no longer pass from one
    /// host to another. Messages in flight are handled when they arrive.
    pub(super) fn lose_acks(&mut self, from: HostId, to: HostId) {
        let mut waiting = Vec::new();
        for conn in self.conns.values_mut() {
            for side in [Side::Client, Side::Server] {
                if conn.end(side).host == to && conn.end(side.other()).host == from {
                    let id = conn.id;
                    let flow = conn.flow_mut(side);
                    let mut late = false;
                    for credit in &mut flow.credits {
                        late |= credit.0 > self.now;
                        if credit.0 > self.now {
                            credit.0 = Mono(u64::MAX);
                        }
                    }
                    if late && flow.unacked.is_none() {
                        flow.unacked = Some(self.now);
                        waiting.push((id, side));
                    }
                }
            }
        }
        let at = self.now + self.scenario.tcp.patience;
        for (tcp, from) in waiting {
            self.schedule(at, Tick::GiveUp { tcp, from });
        }
    }

    /// Stops these timeouts, since acknowledgements pass again from one host to another.
    pub(super) fn mend_link(&mut self, from: HostId, to: HostId) {
        let at = self.now + self.scenario.tcp.rto;
        let mut rooms = Vec::new();
        for conn in self.conns.values_mut() {
            for side in [Side::Client, Side::Server] {
                // The data sent by `to` is acknowledged over the link from `from`.
                if conn.end(side).host == to && conn.end(side.other()).host == from {
                    let id = conn.id;
                    let flow = conn.flow_mut(side);
                    flow.unacked = None;
                    for credit in &mut flow.credits {
                        credit.0 = credit.0.min(at);
                    }
                    if flow.blocked {
                        rooms.push((id, side));
                    }
                }
            }
        }
        for (tcp, from) in rooms {
            self.schedule(at, Tick::Room { tcp, from });
        }
    }
}
