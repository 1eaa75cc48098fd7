//! Read-only views of a World.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::machine::Endpoint;
use crate::time::{Mono, Wall};

use super::action::DiskFault;
use super::disk::Disk;
use super::event::{Event, LogEntry};
use super::ids::{HostId, MessageId, ProcId, Side, TcpId};
use super::link::Link;
use super::proc::ProcState;
use super::process::Plain;
use super::ring::Ring;
use super::scenario::LinkSpec;
use super::tcp::{Conn, Flight, Phase, Segment, SegmentKind};
use super::tty::{Tty, TtyId};
use super::world::World;

/// A view of a host.
#[derive(Debug, Clone, Copy)]
pub struct HostView<'a> {
    /// Its id.
    pub id: HostId,
    /// Its name.
    pub name: &'a str,
    /// Its address.
    pub ip: Ipv4Addr,
    /// Whether it has power.
    pub on: bool,
    /// The time of its wall clock.
    pub wall: Wall,
    /// How far its wall clock is ahead of true time, in microseconds.
    pub ahead_us: i64,
    /// The fault of its disk.
    pub fault: DiskFault,
    /// Its files.
    pub disk: &'a Disk,
}

/// A view of a process.
#[derive(Debug, Clone, Copy)]
pub struct ProcView<'a> {
    /// Its id.
    pub id: ProcId,
    /// Its name.
    pub name: &'a str,
    /// Its host.
    pub host: HostId,
    /// Its program.
    pub program: &'a str,
    /// The program's arguments.
    pub args: &'a [String],
    /// Its state.
    pub state: ProcState,
    /// Its process id on its host.
    pub pid: u32,
    /// Its working directory.
    pub dir: &'a str,
    /// The process id of its parent: 1 if it has none, or its parent has ended.
    pub parent: u32,
    /// The terminal that it belongs to.
    pub tty: Option<TtyId>,
    /// Whether it is a shell tool, which is not shown on maps.
    pub tool: bool,
    /// When it was last started.
    pub started: Mono,
}

/// A view of a connection.
#[derive(Debug, Clone)]
pub struct ConnView<'a> {
    /// Its id.
    pub id: TcpId,
    /// When it was requested.
    pub opened: Mono,
    /// The client's end and the server's end.
    pub ends: [EndView<'a>; 2],
}

/// A view of one end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct EndView<'a> {
    /// Its host.
    pub host: HostId,
    /// Its process, if it has (still) one.
    pub proc: Option<ProcId>,
    /// Its address.
    pub addr: &'a Endpoint,
    /// Whether the process can use it.
    pub open: bool,
    /// Bytes that it has sent.
    pub sent: u64,
    /// Bytes that its process has read.
    pub read: u64,
    /// Bytes that its host has received and its process has not read.
    pub unread: u64,
    /// Its messages in flight.
    pub in_flight: usize,
    /// Whether it is blocked because the receiver's window is full.
    pub blocked: bool,
}

/// A view of a message in flight.
#[derive(Debug, Clone, Copy)]
pub struct MessageView<'a> {
    /// Its number.
    pub id: MessageId,
    /// The connection that it belongs to.
    pub tcp: TcpId,
    /// Which end sent it.
    pub from: Side,
    /// The sending and the receiving host.
    pub hosts: (HostId, HostId),
    /// The sending and the receiving process.
    pub procs: (Option<ProcId>, Option<ProcId>),
    /// Its type of segment.
    pub kind: SegmentKind,
    /// The offset of its first byte in the sender's byte stream.
    pub offset: u64,
    /// When it was sent for the first time.
    pub sent: Mono,
    /// Its delivery state.
    pub flight: Flight,
    /// The number of retransmissions.
    pub tries: u32,
    /// What it carries.
    pub bytes: &'a Arc<[u8]>,
}

/// A message that was delivered.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Its number.
    pub id: MessageId,
    /// The connection that it belonged to.
    pub tcp: TcpId,
    /// Which end sent it.
    pub from: Side,
    /// The sending and the receiving host.
    pub hosts: (HostId, HostId),
    /// The sending and the receiving process.
    pub procs: (Option<ProcId>, Option<ProcId>),
    /// Its type of segment.
    pub kind: SegmentKind,
    /// The offset of its first byte in the sender's byte stream.
    pub offset: u64,
    /// When it was sent for the first time.
    pub sent: Mono,
    /// When it was delivered in order.
    pub arrived: Mono,
    /// The number of retransmissions.
    pub tries: u32,
    /// Whether it was a duplicate, which TCP discarded.
    pub duplicate: bool,
    /// How many bytes it carried.
    pub len: usize,
    /// Its bytes, or the first of them: see [`Delivered::KEPT`].
    pub bytes: Arc<[u8]>,
}

impl Delivered {
    /// The number of bytes of a message that the history keeps.
    pub const KEPT: usize = 2_048;
}

impl World {
    /// The hosts, in the scenario's order.
    pub fn hosts(&self) -> impl Iterator<Item = HostView<'_>> {
        self.host_ids().map(|id| self.view_host(id))
    }

    /// A host.
    pub fn host(&self, id: HostId) -> Option<HostView<'_>> {
        self.hosts.get(usize::from(id.0)).map(|_| self.view_host(id))
    }

    /// The additional addresses of a host.
    pub fn claimed(&self, host: HostId) -> impl Iterator<Item = Ipv4Addr> {
        let on_it = move |id: &ProcId| self.at_proc(*id).host == host;
        self.claimed.iter().filter(move |(_, id)| on_it(id)).map(|(ip, _)| *ip)
    }

    /// A host by its name.
    pub fn host_named(&self, name: &str) -> Option<HostView<'_>> {
        self.hosts().find(|host| host.name == name)
    }

    /// The processes, in the scenario's order, followed by those that were started later.
    pub fn procs(&self) -> impl Iterator<Item = ProcView<'_>> {
        self.proc_ids().filter(|id| !self.at_proc(*id).gone).map(|id| self.view_proc(id))
    }

    /// A process.
    pub fn proc(&self, id: ProcId) -> Option<ProcView<'_>> {
        self.procs.get(id.0 as usize).filter(|proc| !proc.gone).map(|_| self.view_proc(id))
    }

    /// A process by its name.
    pub fn proc_named(&self, name: &str) -> Option<ProcView<'_>> {
        self.procs().find(|proc| proc.name == name)
    }

    /// The machine of a running process, if it has type `M`.
    pub fn machine<M: 'static>(&self, id: ProcId) -> Option<&M> {
        let inside = self.procs.get(id.0 as usize)?.machine.as_ref()?.as_any();
        inside.downcast_ref().or_else(|| Some(&inside.downcast_ref::<Plain<M>>()?.0))
    }

    /// The log of a process over all its incarnations, as far as it is kept.
    pub fn log(&self, id: ProcId) -> Option<&Ring<LogEntry>> {
        self.procs.get(id.0 as usize).map(|proc| &proc.log)
    }

    /// The addresses that a process listens on.
    pub fn listeners(&self, id: ProcId) -> impl Iterator<Item = &Endpoint> {
        let proc = self.procs.get(id.0 as usize);
        proc.into_iter().flat_map(|proc| proc.listeners.values().map(|listener| &listener.at))
    }

    /// The terminals, in the order in which they were opened.
    pub fn ttys(&self) -> impl Iterator<Item = &Tty> {
        self.ttys.iter()
    }

    /// A terminal by its name.
    pub fn tty_named(&self, name: &str) -> Option<&Tty> {
        self.ttys.iter().find(|tty| tty.name() == name)
    }

    /// A terminal.
    pub fn tty(&self, id: TtyId) -> Option<&Tty> {
        self.ttys.get(id.0 as usize)
    }

    /// The process that was started with a terminal.
    pub fn session_of(&self, tty: &Tty) -> Option<ProcView<'_>> {
        self.proc(tty.session?)
    }

    /// The processes of a terminal's foreground group.
    pub fn foreground_of(&self, tty: &Tty) -> impl Iterator<Item = ProcView<'_>> {
        let (host, group) = tty.foreground;
        self.procs().filter(move |proc| {
            proc.host == host && group != 0 && self.at_proc(proc.id).relations.group == group
        })
    }

    /// The connections.
    pub fn conns(&self) -> impl Iterator<Item = ConnView<'_>> {
        self.conns.values().map(|conn| ConnView {
            id: conn.id,
            opened: conn.opened,
            ends: [view_end(conn, Side::Client), view_end(conn, Side::Server)],
        })
    }

    /// A connection by its id.
    pub fn conn(&self, id: TcpId) -> Option<ConnView<'_>> {
        self.conns.get(&id).map(|conn| ConnView {
            id: conn.id,
            opened: conn.opened,
            ends: [view_end(conn, Side::Client), view_end(conn, Side::Server)],
        })
    }

    /// The messages in flight.
    pub fn in_flight(&self) -> impl Iterator<Item = MessageView<'_>> {
        self.conns.values().flat_map(|conn| {
            [Side::Client, Side::Server].into_iter().flat_map(move |from| {
                conn.flow(from).flight.iter().map(move |segment| view_message(conn, from, segment))
            })
        })
    }

    /// A message in flight, by its id.
    pub fn message(&self, id: MessageId) -> Option<MessageView<'_>> {
        self.in_flight().find(|message| message.id == id)
    }

    /// The messages that were delivered, oldest first.
    pub fn delivered(&self) -> &Ring<Delivered> {
        &self.delivered
    }

    /// The events so far, oldest first.
    pub fn events(&self) -> &Ring<Event> {
        &self.events
    }

    /// The links that were used, one for each direction.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The properties of the link from one host to another, used or not.
    pub fn link_between(&self, from: HostId, to: HostId) -> Option<LinkSpec> {
        self.host(from)?;
        self.host(to)?;
        let used = self.link_index.get(&(from, to)).and_then(|&n| self.links.get(n as usize));
        Some(used.map_or_else(|| self.link_spec(from, to), |link| link.spec))
    }

    /// The directed host pairs that partitions have cut.
    pub fn cuts(&self) -> impl Iterator<Item = (HostId, HostId)> {
        self.cuts.iter().copied()
    }

    /// Whether a partition blocks one host from reaching another.
    pub fn is_cut(&self, from: HostId, to: HostId) -> bool {
        self.cuts.contains(&(from, to))
    }

    fn view_host(&self, id: HostId) -> HostView<'_> {
        let host = self.at_host(id);
        HostView {
            id,
            name: &host.spec.name,
            ip: self.ip_of(id),
            on: host.on,
            wall: self.wall(id),
            ahead_us: host.clock.ahead(self.now),
            fault: host.fault,
            disk: &host.disk,
        }
    }

    fn view_proc(&self, id: ProcId) -> ProcView<'_> {
        let proc = self.at_proc(id);
        ProcView {
            id,
            name: &proc.spec.name,
            host: proc.host,
            program: &proc.spec.program,
            args: &proc.spec.args,
            state: proc.state,
            pid: proc.pid,
            dir: &proc.dir,
            parent: proc.relations.parent.map_or(1, |(parent, ..)| self.at_proc(parent).pid),
            tty: proc.relations.tty,
            tool: proc.tool,
            started: proc.started,
        }
    }
}

fn view_end(conn: &Conn, side: Side) -> EndView<'_> {
    let (end, out, inward) = (conn.end(side), conn.flow(side), conn.flow(side.other()));
    let arrived = inward.flight.front().map_or(inward.sent, |segment| segment.offset);
    EndView {
        host: end.host,
        proc: end.proc,
        addr: &end.addr,
        open: end.phase == Phase::Open,
        sent: out.sent,
        read: inward.read,
        unread: arrived.saturating_sub(inward.read),
        in_flight: out.flight.len(),
        blocked: out.blocked,
    }
}

fn view_message<'a>(conn: &'a Conn, from: Side, segment: &'a Segment) -> MessageView<'a> {
    let to = from.other();
    MessageView {
        id: segment.id,
        tcp: conn.id,
        from,
        hosts: (conn.end(from).host, conn.end(to).host),
        procs: (conn.end(from).proc, conn.end(to).proc),
        kind: segment.kind,
        offset: segment.offset,
        sent: segment.sent,
        flight: segment.flight,
        tries: segment.tries,
        bytes: &segment.bytes,
    }
}
