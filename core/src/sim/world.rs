//! The World: its parts and its event queue.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::machine::{ConnId, NetError};
use crate::rng::Rng;
use crate::sorted::{SortedMap, SortedSet};
use crate::time::{Duration, Mono, Now, Wall};

use super::event::{Event, EventKind};
use super::host::Host;
use super::ids::{HostId, MessageId, ProcId, Side, TcpId};
use super::link::Link;
use super::proc::{PendingInput, Proc, ProcState};
use super::process::Programs;
use super::ring::Ring;
use super::scenario::Scenario;
use super::streams::{Pipe, PipeNo};
use super::tcp::Conn;
use super::trace::Trace;
use super::tty::Tty;
use super::view::Delivered;

/// A simulated network: hosts with processes, the links between them, and one event queue in
/// virtual time.
///
/// A clone continues exactly as the original would.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) scenario: Arc<Scenario>,
    pub(super) programs: Programs,
    pub(super) seed: u64,
    pub(super) now: Mono,
    pub(super) steps: u64,
    sequence: u64,
    queue: BinaryHeap<Reverse<Entry>>,
    pub(super) hosts: Vec<Host>,
    pub(super) procs: Vec<Proc>,
    pub(super) by_ip: Arc<SortedMap<Ipv4Addr, HostId>>,
    /// The additional addresses of hosts, each with the process that claimed it.
    pub(super) claimed: SortedMap<Ipv4Addr, ProcId>,
    /// Slots of processes that can be reused.
    pub(super) free: Vec<ProcId>,
    pub(super) ttys: Vec<Tty>,
    pub(super) pipes: SortedMap<PipeNo, Pipe>,
    pub(super) next_pipe: u64,
    pub(super) conns: SortedMap<TcpId, Conn>,
    pub(super) next_tcp: u64,
    pub(super) next_message: u64,
    pub(super) links: Vec<Link>,
    pub(super) link_index: SortedMap<(HostId, HostId), u32>,
    pub(super) cuts: SortedSet<(HostId, HostId)>,
    pub(super) trace: Trace,
    pub(super) events: Ring<Event>,
    pub(super) delivered: Ring<Delivered>,
    pub(super) scratch: Vec<u8>,
    touched: Option<HostId>,
}

/// An entry of the event queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tick {
    /// A host has booted.
    Boot { host: HostId, boots: u32 },
    /// A process starts with its host.
    Start { proc: ProcId, boots: u32 },
    /// A process wants to be woken.
    Wake(ProcId),
    /// A delayed input is delivered to a process.
    Later { proc: ProcId, incarnation: u32 },
    /// Pending inputs are delivered to a process.
    Deliver { proc: ProcId, incarnation: u32 },
    /// A segment arrives.
    Arrive { tcp: TcpId, from: Side, message: MessageId },
    /// A lost segment is retransmitted.
    Resend { tcp: TcpId, from: Side, message: MessageId },
    /// A duplicate of a segment arrives.
    Again { tcp: TcpId, message: MessageId },
    /// There may be room in a send window.
    Room { tcp: TcpId, from: Side },
    /// A sender may have reached its retransmission limit.
    GiveUp { tcp: TcpId, from: Side },
    /// A connection attempt to an address that no host has fails.
    Nowhere { proc: ProcId, incarnation: u32, conn: ConnId },
    /// A disk operation ends.
    Disk { host: HostId, number: u64 },
}

/// A tick with its time; the sequence number orders ticks at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    at: Mono,
    sequence: u64,
    tick: Tick,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl World {
    /// The time from power-on to the first process.
    pub(super) const BOOT: Duration = Duration::from_millis(20);
    /// The number of events and messages that are kept.
    const EVENTS: usize = 4_096;
    const DELIVERED: usize = 4_096;

    /// The World of a scenario at virtual time zero, with all hosts up.
    ///
    /// Hosts and processes whose name or address is a duplicate are left out.
    pub fn new(scenario: Arc<Scenario>, seed: u64, programs: Programs) -> Self {
        let mut world = World {
            programs,
            seed,
            now: Mono::ZERO,
            steps: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            hosts: Vec::new(),
            procs: Vec::new(),
            by_ip: Arc::default(),
            claimed: SortedMap::new(),
            free: Vec::new(),
            ttys: Vec::new(),
            pipes: SortedMap::new(),
            next_pipe: 0,
            conns: SortedMap::new(),
            next_tcp: 0,
            next_message: 0,
            links: Vec::new(),
            link_index: SortedMap::new(),
            cuts: SortedSet::new(),
            trace: Trace::new(),
            events: Ring::new(Self::EVENTS),
            delivered: Ring::new(Self::DELIVERED),
            scratch: Vec::new(),
            touched: None,
            scenario: scenario.clone(),
        };
        world.trace.number(seed);
        let mut by_ip = SortedMap::new();
        for spec in &scenario.hosts {
            let taken = world.hosts.iter().any(|h| h.spec.name == spec.name);
            let Ok(number) = u16::try_from(world.hosts.len()) else { break };
            if taken || by_ip.contains_key(&spec.ip) {
                continue;
            }
            let id = HostId(number);
            by_ip.insert(spec.ip, id);
            world.hosts.push(Host::new(Arc::new(spec.clone()), world.stream(1, number.into())));
            for process in &spec.processes {
                if !world.procs.iter().any(|p| p.spec.name == process.name) {
                    world.procs.push(Proc::new(id, Arc::new(process.clone())));
                }
            }
        }
        world.by_ip = Arc::new(by_ip);
        for host in world.host_ids() {
            world.power_on(host);
        }
        world
    }

    /// Virtual time since the beginning.
    pub fn now(&self) -> Mono {
        self.now
    }

    /// The number of events processed and actions applied.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The scenario that the World was created from.
    pub fn scenario(&self) -> &Arc<Scenario> {
        &self.scenario
    }

    /// A hash over every event and every byte so far.
    pub fn trace_hash(&self) -> u64 {
        self.trace.value()
    }

    /// The time of the next event.
    pub fn next_event_at(&self) -> Option<Mono> {
        self.queue.peek().map(|Reverse(entry)| entry.at)
    }

    /// Processes the next event. False if there is none.
    pub fn step(&mut self) -> bool {
        let Some(Reverse(entry)) = self.queue.pop() else { return false };
        self.now = self.now.max(entry.at);
        self.steps += 1;
        self.trace.number(entry.at.0);
        self.touched = self.place_of(entry.tick);
        self.tick(entry);
        self.prune();
        true
    }

    /// Processes all events up to and including `time`.
    pub fn run_until(&mut self, time: Mono) {
        self.run_budget(time, u64::MAX);
    }

    /// Runs for a time span.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// As [`World::run_until`], but for at most `events` events. True if the time was reached.
    pub fn run_budget(&mut self, time: Mono, events: u64) -> bool {
        let mut left = events;
        while self.next_event_at().is_some_and(|at| at <= time) {
            if left == 0 {
                return false;
            }
            left -= 1;
            self.step();
        }
        self.now = self.now.max(time);
        true
    }

    /// The host of the last event.
    pub fn touched(&self) -> Option<HostId> {
        self.touched
    }

    fn place_of(&self, tick: Tick) -> Option<HostId> {
        match tick {
            Tick::Boot { host, .. } | Tick::Disk { host, .. } => Some(host),
            Tick::Start { proc, .. }
            | Tick::Wake(proc)
            | Tick::Deliver { proc, .. }
            | Tick::Later { proc, .. }
            | Tick::Nowhere { proc, .. } => Some(self.at_proc(proc).host),
            Tick::Arrive { tcp, from, .. } => {
                self.conns.get(&tcp).map(|conn| conn.end(from.other()).host)
            }
            Tick::Resend { tcp, from, .. }
            | Tick::Room { tcp, from }
            | Tick::GiveUp { tcp, from } => self.conns.get(&tcp).map(|conn| conn.end(from).host),
            Tick::Again { .. } => None,
        }
    }

    /// A random number generator for one purpose, so that its draws do not affect others.
    pub(super) fn stream(&self, concern: u64, number: u64) -> Rng {
        let mut rng = Rng::new(self.seed ^ concern.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Rng::new(rng.u64() ^ number.wrapping_mul(0xD1B5_4A32_D192_ED03))
    }

    pub(super) fn host_ids(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..u16::try_from(self.hosts.len()).unwrap_or(u16::MAX)).map(HostId)
    }

    pub(super) fn proc_ids(&self) -> impl Iterator<Item = ProcId> + use<> {
        (0..u32::try_from(self.procs.len()).unwrap_or(u32::MAX)).map(ProcId)
    }

    pub(super) fn host_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.hosts[usize::from(id.0)]
    }

    pub(super) fn at_host(&self, id: HostId) -> &Host {
        &self.hosts[usize::from(id.0)]
    }

    pub(super) fn proc_mut(&mut self, id: ProcId) -> &mut Proc {
        &mut self.procs[id.0 as usize]
    }

    pub(super) fn at_proc(&self, id: ProcId) -> &Proc {
        &self.procs[id.0 as usize]
    }

    pub(super) fn schedule(&mut self, at: Mono, tick: Tick) -> u64 {
        self.sequence += 1;
        let at = at.max(self.now);
        self.queue.push(Reverse(Entry { at, sequence: self.sequence, tick }));
        self.sequence
    }

    pub(super) fn happened(&mut self, kind: EventKind) {
        self.events.push(Event { at: self.now, kind });
    }

    /// The current time on a host's clocks.
    pub(super) fn moment(&self, host: HostId) -> Now<'static> {
        Now::instantaneous(self.now, self.wall(host))
    }

    /// The current time on a host's wall clock.
    pub(super) fn wall(&self, host: HostId) -> Wall {
        let clock = self.at_host(host).clock;
        let true_us = i128::from(self.scenario.epoch_ms) * 1_000 + i128::from(self.now.0 / 1_000);
        let wall = true_us + i128::from(clock.ahead(self.now));
        Wall(u64::try_from(wall.max(0)).unwrap_or(u64::MAX))
    }

    /// Drops obsolete entries from the front of the queue.
    pub(super) fn prune(&mut self) {
        while let Some(Reverse(entry)) = self.queue.peek() {
            if self.is_live(entry) {
                break;
            }
            self.queue.pop();
        }
    }

    fn is_live(&self, entry: &Entry) -> bool {
        match entry.tick {
            Tick::Boot { host, boots } => {
                let host = self.at_host(host);
                !host.on && host.boots == boots
            }
            Tick::Start { proc, boots } => {
                let proc = self.at_proc(proc);
                let host = self.at_host(proc.host);
                host.on && host.boots == boots && proc.state == ProcState::Down
            }
            Tick::Wake(proc) => self.at_proc(proc).wake == Some((entry.at, entry.sequence)),
            Tick::Later { proc, incarnation } => {
                let proc = self.at_proc(proc);
                proc.incarnation == incarnation && !proc.later.is_empty()
            }
            Tick::Deliver { proc, incarnation } => {
                let proc = self.at_proc(proc);
                proc.incarnation == incarnation && proc.delivery_scheduled
            }
            Tick::Arrive { tcp, from, message } => self.arrives(tcp, from, message, entry.at),
            Tick::Resend { tcp, from, message } => self.resends(tcp, from, message, entry.at),
            Tick::Again { tcp, .. } => self.conns.contains_key(&tcp),
            Tick::Room { tcp, from } => {
                self.conns.get(&tcp).is_some_and(|conn| conn.flow(from).blocked)
            }
            Tick::GiveUp { tcp, from } => self.has_timed_out(tcp, from, entry.at),
            Tick::Nowhere { proc, incarnation, .. } => {
                self.at_proc(proc).incarnation == incarnation
            }
            Tick::Disk { host, number } => {
                self.at_host(host).operations.iter().any(|op| op.number == number)
            }
        }
    }

    fn tick(&mut self, entry: Entry) {
        match entry.tick {
            Tick::Boot { host, .. } => self.power_on(host),
            Tick::Start { proc, .. } => self.launch(proc),
            Tick::Wake(proc) => self.wake(proc),
            Tick::Later { proc, .. } => self.notify_next(proc),
            Tick::Deliver { proc, .. } => {
                self.proc_mut(proc).delivery_scheduled = false;
                self.deliver_pending(proc);
            }
            Tick::Arrive { tcp, from, message } => self.arrive(tcp, from, message),
            Tick::Resend { tcp, from, message } => self.resend(tcp, from, message),
            Tick::Again { tcp, message } => self.arrive_again(tcp, message),
            Tick::Room { tcp, from } => self.pump_idle(tcp, from),
            Tick::GiveUp { tcp, from } => self.give_up(tcp, from),
            Tick::Nowhere { proc, conn, .. } => {
                self.notify(proc, PendingInput::ConnectFailed(conn, NetError::Unreachable));
            }
            Tick::Disk { host, number } => self.end_operation(host, number),
        }
    }

    /// Starts the processes that start with a host.
    pub(super) fn power_on(&mut self, id: HostId) {
        let now = self.now;
        let host = self.host_mut(id);
        host.on = true;
        host.boots += 1;
        host.device_free = now;
        let boots = host.boots;
        self.happened(EventKind::HostUp(id));
        for proc in self.proc_ids() {
            let (host, spec) = (self.at_proc(proc).host, &self.at_proc(proc).spec);
            if host == id && spec.boot {
                let at = now + spec.delay;
                self.schedule(at, Tick::Start { proc, boots });
            }
        }
    }
}
