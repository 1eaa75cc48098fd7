//! The socket operations of processes: listening, connecting, accepting, reading, closing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::machine::{Address, ConnId, Endpoint, Input, ListenerId, NetError};
use crate::time::Duration;

use super::event::EventKind;
use super::ids::{HostId, ProcId, Side, TcpId};
use super::proc::{Listener, PendingInput};
use super::process::Process;
use super::tcp::{Conn, End, Flow, Phase, Piece, Segment, SegmentKind};
use super::world::{Tick, World};

/// The range of ephemeral ports (Linux's `ip_local_port_range`).
const EPHEMERAL_PORTS: (u16, u16) = (32_768, 60_999);

impl World {
    /// The time after which connecting to an address that no host has fails.
    const SEARCH: Duration = Duration::from_secs(3);

    pub(super) fn listen(&mut self, id: ProcId, listener: ListenerId, at: Endpoint, backlog: u32) {
        let result = self.bind(id, at);
        if let Ok(at) = &result {
            let listens = Listener { at: at.clone(), backlog, waiting: 0 };
            self.proc_mut(id).listeners.insert(listener, listens);
        }
        self.notify(id, PendingInput::Listening(listener, result));
    }

    /// The address and port on which a process may listen.
    fn bind(&mut self, id: ProcId, at: Endpoint) -> Result<Endpoint, NetError> {
        let host = self.at_proc(id).host;
        let at = match at {
            Endpoint::Unix(path) => Endpoint::Unix(path),
            Endpoint::Ip(mut address) => {
                if !self.is_own(host, address.ip()) && !address.ip().is_unspecified() {
                    return Err(NetError::AddrNotAvailable);
                }
                if address.port() == 0 {
                    address.set_port(self.take_port(host)?);
                }
                Endpoint::Ip(address)
            }
        };
        let taken = self.procs.iter().filter(|p| p.host == host).any(|p| {
            p.listeners.values().any(|listener| match (&listener.at, &at) {
                (Endpoint::Unix(a), Endpoint::Unix(b)) => a == b,
                (Endpoint::Ip(a), Endpoint::Ip(b)) => {
                    let overlap =
                        a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
                    a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && overlap
                }
                _ => false,
            })
        });
        if taken { Err(NetError::AddrInUse) } else { Ok(at) }
    }

    /// Whether an address belongs to a host.
    fn is_own(&self, host: HostId, ip: IpAddr) -> bool {
        let IpAddr::V4(ip) = ip else { return ip.is_loopback() };
        ip.is_loopback() || ip == self.at_host(host).spec.ip || self.claimant(ip) == Some(host)
    }

    /// The host that has this additional address.
    fn claimant(&self, ip: Ipv4Addr) -> Option<HostId> {
        self.claimed.get(&ip).map(|&id| self.at_proc(id).host)
    }

    /// Gives the host of a process an additional address, and takes it from the host that had it.
    pub(super) fn claim(&mut self, id: ProcId, ip: Ipv4Addr) {
        if self.by_ip.contains_key(&ip) {
            return;
        }
        if self.claimant(ip).is_some_and(|host| host != self.at_proc(id).host) {
            self.release(ip);
        }
        self.claimed.insert(ip, id);
    }

    /// Takes an additional address from its host. A connection that was made to it breaks as soon
    /// as its client sends something, since the data reaches a host without that connection.
    pub(super) fn release(&mut self, ip: Ipv4Addr) {
        let Some(host) = self.claimant(ip) else { return };
        self.claimed.remove(&ip);
        let to_it = |conn: &&Conn| {
            let end = conn.end(Side::Server);
            let at = matches!(&end.addr, Endpoint::Ip(address) if address.ip() == IpAddr::V4(ip));
            at && end.host == host && conn.end(Side::Client).host != host
        };
        let broken: Vec<TcpId> = self.conns.values().filter(to_it).map(|conn| conn.id).collect();
        for tcp in broken {
            self.end_is_broken(tcp, Side::Server, NetError::Reset);
            self.forget_if_over(tcp);
        }
    }

    /// Takes back the addresses that a process which has ended had claimed.
    pub(super) fn release_all(&mut self, id: ProcId) {
        let had = self.claimed.iter().filter(|(_, by)| **by == id).map(|(ip, _)| *ip);
        for ip in had.collect::<Vec<_>>() {
            self.release(ip);
        }
    }

    fn take_port(&mut self, host: HostId) -> Result<u16, NetError> {
        let host = self.host_mut(host);
        let (first, last) = EPHEMERAL_PORTS;
        for _ in first..=last {
            let port = host.next_port.clamp(first, last);
            host.next_port = if port == last { first } else { port + 1 };
            if host.ports.insert(port) {
                return Ok(port);
            }
        }
        Err(NetError::AddrNotAvailable)
    }

    pub(super) fn connect(
        &mut self,
        id: ProcId,
        conn: ConnId,
        to: Address,
        from: Option<Endpoint>,
    ) {
        let host = self.at_proc(id).host;
        let to = match to {
            Address::Endpoint(to) => to,
            Address::Name { host: name, port } => match self.look_up(&name) {
                Some(ip) => Endpoint::Ip(SocketAddr::new(ip, port)),
                None => {
                    return self
                        .notify(id, PendingInput::ConnectFailed(conn, NetError::UnknownName));
                }
            },
        };
        let to = &to;
        let target = match to {
            Endpoint::Unix(_) => Some(host),
            Endpoint::Ip(address) if self.is_own(host, address.ip()) => Some(host),
            Endpoint::Ip(address) => match address.ip() {
                IpAddr::V4(ip) => self.by_ip.get(&ip).copied().or_else(|| self.claimant(ip)),
                IpAddr::V6(_) => None,
            },
        };
        let Some(target) = target else {
            let (at, incarnation) = (self.now + Self::SEARCH, self.at_proc(id).incarnation);
            self.schedule(at, Tick::Nowhere { proc: id, incarnation, conn });
            return;
        };
        let local = match self.local_end(host, to, from) {
            Ok(local) => local,
            Err(error) => return self.notify(id, PendingInput::ConnectFailed(conn, error)),
        };
        self.next_tcp += 1;
        let tcp = TcpId(self.next_tcp);
        let mut client = End::new(host, local);
        client.proc = Some(id);
        client.conn = Some(conn);
        let server = End::new(target, to.clone());
        let flows = [self.link(host, target), self.link(target, host)].map(Flow::new);
        let opened = self.now;
        self.conns.insert(tcp, Conn { id: tcp, opened, ends: [client, server], flows });
        self.proc_mut(id).conns.insert(conn, (tcp, Side::Client));
        self.transmit(tcp, Side::Client, SegmentKind::Syn, &[]);
    }

    /// Resolves a name: every host knows the names of all hosts, as from a common `/etc/hosts`.
    fn look_up(&self, name: &str) -> Option<IpAddr> {
        if name.eq_ignore_ascii_case("localhost") {
            return Some(Ipv4Addr::LOCALHOST.into());
        }
        let host = self.hosts.iter().find(|host| host.spec.name.eq_ignore_ascii_case(name));
        host.map(|host| host.spec.ip.into()).or_else(|| name.parse().ok())
    }

    /// The local address of an outgoing connection.
    fn local_end(
        &mut self,
        host: HostId,
        to: &Endpoint,
        from: Option<Endpoint>,
    ) -> Result<Endpoint, NetError> {
        let Endpoint::Ip(to) = to else { return Ok(Endpoint::Unix(String::new())) };
        let mut local = match from {
            Some(Endpoint::Ip(from)) if self.is_own(host, from.ip()) => from,
            Some(Endpoint::Ip(from)) if !from.ip().is_unspecified() => {
                return Err(NetError::AddrNotAvailable);
            }
            _ if to.ip().is_loopback() => SocketAddr::new(to.ip(), 0),
            _ => SocketAddr::new(self.at_host(host).spec.ip.into(), 0),
        };
        local.set_port(self.take_port(host)?);
        Ok(Endpoint::Ip(local))
    }

    /// The listener for an incoming connection, and whether its backlog has room.
    pub(super) fn find_listener(
        &self,
        host: HostId,
        to: &Endpoint,
    ) -> Option<(ProcId, ListenerId, bool)> {
        let fits = |at: &Endpoint| match (at, to) {
            (Endpoint::Unix(a), Endpoint::Unix(b)) => a == b,
            (Endpoint::Ip(a), Endpoint::Ip(b)) => {
                let any = a.ip().is_unspecified() && a.is_ipv4() == b.is_ipv4();
                a.port() == b.port() && (any || a.ip() == b.ip())
            }
            _ => false,
        };
        self.proc_ids().filter(|&id| self.at_proc(id).host == host).find_map(|id| {
            let mut listeners = self.at_proc(id).listeners.iter();
            let (listener, found) = listeners.find(|(_, listener)| fits(&listener.at))?;
            Some((id, *listener, found.waiting < found.backlog.max(1)))
        })
    }

    /// Accepts a waiting connection on behalf of a process.
    pub(super) fn accept(&mut self, id: ProcId, tcp: TcpId) {
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        let peer = conn.end(Side::Client).addr.clone();
        let end = conn.end_mut(Side::Server);
        let Some(listener) = end.listener.filter(|_| end.phase == Phase::Opening) else { return };
        let proc = &mut self.procs[id.0 as usize];
        proc.accepted += 1;
        let name = ConnId::accepted(proc.accepted);
        end.phase = Phase::Open;
        end.conn = Some(name);
        let local = end.addr.clone();
        proc.conns.insert(name, (tcp, Side::Server));
        if let Some(listener) = proc.listeners.get_mut(&listener) {
            listener.waiting = listener.waiting.saturating_sub(1);
        }
        let from = conn.end(Side::Client).proc;
        if let Some(from) = from {
            self.happened(EventKind::Connected { tcp, from, to: id });
        }
        self.give(id, Input::Accepted { conn: name, listener, peer, local });
        self.note_readable(tcp, Side::Server);
    }

    /// Notifies a process that its outgoing connection is established.
    pub(super) fn connected(&mut self, id: ProcId, tcp: TcpId) {
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        let end = conn.end_mut(Side::Client);
        let Some(name) = end.conn.filter(|_| end.phase == Phase::Opening) else { return };
        end.phase = Phase::Open;
        let local = end.addr.clone();
        let peer = conn.end(Side::Server).addr.clone();
        self.give(id, Input::Connected { conn: name, local, peer });
        // Send what the machine wrote before the handshake was complete.
        self.pump_idle(tcp, Side::Client);
        self.note_readable(tcp, Side::Client);
    }

    /// Sends the output buffer of a connection of a process whose machine is not running at the
    /// moment.
    pub(super) fn pump_idle(&mut self, tcp: TcpId, side: Side) {
        let Some(id) = self.conns.get(&tcp).and_then(|conn| conn.end(side).proc) else { return };
        let Some(mut machine) = self.proc_mut(id).machine.take() else { return };
        self.pump(tcp, side, &mut *machine);
        self.proc_mut(id).machine = Some(machine);
        self.schedule_delivery(id);
    }

    /// Sends as much of an output buffer as the window has room for.
    pub(super) fn pump(&mut self, tcp: TcpId, side: Side, machine: &mut dyn Process) {
        let (now, window, most) =
            (self.now, self.scenario.tcp.window, self.scenario.tcp.segment.max(1));
        let mut bytes = core::mem::take(&mut self.scratch);
        while let Some(conn) = self.conns.get_mut(&tcp) {
            let end = conn.end(side);
            let (Some(id), Some(name), Phase::Open) = (end.proc, end.conn, end.phase) else {
                break;
            };
            let closing = end.closing;
            let Some(outbox) = machine.outbox(name) else { break };
            if outbox.ready() == 0 {
                let empty = outbox.is_empty();
                conn.flow_mut(side).blocked = false;
                if closing && empty {
                    self.finish_close(tcp, side);
                }
                break;
            }
            let flow = conn.flow_mut(side);
            let room = flow.room(now, window).min(most.into()) as usize;
            flow.blocked = room == 0;
            if room == 0 {
                if let Some(&(at, _)) = flow.credits.front() {
                    self.schedule(at, Tick::Room { tcp, from: side });
                }
                break;
            }
            bytes.clear();
            for slice in outbox.slices() {
                let n = slice.len().min(room - bytes.len());
                bytes.extend_from_slice(&slice[..n]);
                if bytes.len() == room {
                    break;
                }
            }
            if outbox.consume(bytes.len()) {
                self.proc_mut(id).pending.push_back(PendingInput::Drained(name));
            }
            self.transmit(tcp, side, SegmentKind::Data, &bytes);
        }
        self.scratch = bytes;
    }

    /// Tells the process at `side` that there is something to read, if so and if it is reading.
    pub(super) fn note_readable(&mut self, tcp: TcpId, side: Side) {
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        let waits = !conn.flow(side.other()).inbox.is_empty();
        let end = conn.end_mut(side);
        let wanted = end.phase == Phase::Open && end.reading && !end.noted;
        if let Some(id) = end.proc.filter(|_| waits && wanted) {
            end.noted = true;
            self.notify(id, PendingInput::Readable(tcp, side));
        }
    }

    /// Delivers received data, as long as the process is reading.
    pub(super) fn read_pieces(&mut self, id: ProcId, tcp: TcpId, side: Side) {
        if let Some(conn) = self.conns.get_mut(&tcp) {
            conn.end_mut(side).noted = false;
        }
        loop {
            if !self.is_runnable(id) {
                return self.note_readable(tcp, side);
            }
            let Some(conn) = self.conns.get_mut(&tcp) else { return };
            let end = conn.end(side);
            let (Some(name), Phase::Open, true) = (end.conn, end.phase, end.reading) else {
                return;
            };
            match conn.flow_mut(side.other()).inbox.pop_front() {
                None => return,
                Some(Piece::Fin) => self.give(id, Input::Ended { conn: name }),
                Some(Piece::Bytes(bytes)) => {
                    self.return_window(tcp, side.other(), bytes.len());
                    self.give(id, Input::Received { conn: name, bytes: &bytes });
                }
            }
        }
    }

    pub(super) fn set_reading(&mut self, id: ProcId, name: ConnId, on: bool) {
        let Some(&(tcp, side)) = self.at_proc(id).conns.get(&name) else { return };
        if let Some(conn) = self.conns.get_mut(&tcp) {
            conn.end_mut(side).reading = on;
        }
        if on {
            self.note_readable(tcp, side);
        }
    }

    pub(super) fn close_now(&mut self, id: ProcId, name: ConnId) {
        let Some((tcp, side)) = self.proc_mut(id).conns.remove(&name) else { return };
        self.close_end(tcp, side, true);
    }

    /// Closes an end that its process has closed: with a FIN, or with a RST if the process left
    /// data unread (RFC 1122, 4.2.2.13) or `orderly` is false.
    pub(super) fn close_end(&mut self, tcp: TcpId, side: Side, orderly: bool) {
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        let unread = conn.flow(side.other()).inbox.iter().any(|p| matches!(p, Piece::Bytes(_)));
        conn.flow_mut(side.other()).inbox.clear();
        conn.flow_mut(side).blocked = false;
        let end = conn.end_mut(side);
        let phase = end.phase;
        end.conn = None;
        match phase {
            Phase::Dead => {}
            Phase::Closed if orderly => {}
            Phase::Opening if side == Side::Client => {
                end.phase = Phase::Dead;
                conn.flow_mut(side).flight.retain(Segment::is_flying);
            }
            Phase::Open if orderly && !unread => {
                end.phase = Phase::Closed;
                self.transmit(tcp, side, SegmentKind::Fin, &[]);
            }
            Phase::Opening | Phase::Open | Phase::Closed => {
                end.phase = Phase::Dead;
                self.transmit(tcp, side, SegmentKind::Rst, &[]);
            }
        }
        self.forget_if_over(tcp);
    }

    pub(super) fn close_after_sending(
        &mut self,
        id: ProcId,
        name: ConnId,
        machine: &mut dyn Process,
    ) {
        let Some(&(tcp, side)) = self.at_proc(id).conns.get(&name) else { return };
        let Some(conn) = self.conns.get_mut(&tcp) else { return };
        let opening = conn.end(side).phase == Phase::Opening;
        // Nothing more is read: received data is discarded.
        conn.flow_mut(side.other()).inbox.clear();
        let end = conn.end_mut(side);
        end.reading = false;
        end.closing = true;
        if opening {
            self.proc_mut(id).conns.remove(&name);
            self.close_end(tcp, side, true);
            self.proc_mut(id).pending.push_back(PendingInput::Closed(name, NetError::Eof));
            return;
        }
        self.pump(tcp, side, machine);
    }

    /// Finishes closing an end, once its output buffer is empty.
    fn finish_close(&mut self, tcp: TcpId, side: Side) {
        let Some(end) = self.conns.get_mut(&tcp).map(|conn| conn.end_mut(side)) else { return };
        let (proc, name) = (end.proc, end.conn);
        self.close_end(tcp, side, true);
        if let (Some(id), Some(name)) = (proc, name) {
            self.notify(id, PendingInput::Closed(name, NetError::Eof));
        }
    }

    /// Closes the connections of a process that has ended: normally if it exited, with resets if
    /// not.
    pub(super) fn drop_connections(&mut self, id: ProcId, orderly: bool) {
        let own: Vec<(TcpId, Side)> = self
            .conns
            .values()
            .flat_map(|conn| [(conn, Side::Client), (conn, Side::Server)])
            .filter(|(conn, side)| conn.end(*side).proc == Some(id))
            .map(|(conn, side)| (conn.id, side))
            .collect();
        for (tcp, side) in own {
            self.close_end(tcp, side, orderly);
            if let Some(conn) = self.conns.get_mut(&tcp) {
                conn.end_mut(side).proc = None;
            }
        }
    }

    /// Drops a connection on which nothing can happen any more.
    pub(super) fn forget_if_over(&mut self, tcp: TcpId) {
        if self.conns.get(&tcp).is_some_and(Conn::is_over)
            && let Some(conn) = self.conns.remove(&tcp)
        {
            let client = conn.end(Side::Client);
            if let Endpoint::Ip(address) = client.addr {
                self.host_mut(client.host).ports.remove(&address.port());
            }
        }
    }

    /// The address of a host.
    pub(super) fn ip_of(&self, host: HostId) -> Ipv4Addr {
        self.at_host(host).spec.ip
    }
}
