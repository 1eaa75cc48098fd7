//! The World: its parts, its queue of events, and how a process is driven.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::machine::{
    Close, ConnId, DiskDone, DiskError, Endpoint, FileId, Input, ListenerId, LogLine, NetError,
    OpId, Output, Signal, Vitals,
};
use crate::rng::Rng;
use crate::time::{Duration, Mono, Now, Wall};

use super::device::{OpenFile, Operation};
use super::disk::Disk;
use super::event::{Event, EventKind, LogEntry};
use super::ids::{HostId, MessageId, ProcId, Side, TcpId};
use super::link::Link;
use super::process::{Launch, Process, Programs};
use super::ring::Ring;
use super::scenario::{DiskSpec, HostSpec, ProcessSpec, Scenario};
use super::tcp::Conn;
use super::trace::Trace;
use super::view::Delivered;
use super::{action::DiskFault, disk};

/// Hosts with processes, the links between them, and one queue of events in virtual time.
///
/// A clone goes on exactly as the original would.
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
    pub(super) by_ip: Arc<BTreeMap<Ipv4Addr, HostId>>,
    pub(super) conns: BTreeMap<TcpId, Conn>,
    pub(super) next_tcp: u64,
    pub(super) next_message: u64,
    pub(super) links: Vec<Link>,
    pub(super) link_index: BTreeMap<(HostId, HostId), u32>,
    pub(super) cuts: BTreeSet<(HostId, HostId)>,
    pub(super) trace: Trace,
    pub(super) events: Ring<Event>,
    pub(super) delivered: Ring<Delivered>,
    pub(super) scratch: Vec<u8>,
    touched: Option<HostId>,
}

/// A host: its clock, its disk, its ports.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) spec: Arc<HostSpec>,
    pub(super) on: bool,
    /// How often it has come up.
    pub(super) boots: u32,
    pub(super) clock: Clock,
    pub(super) disk: Arc<Disk>,
    pub(super) device: DiskSpec,
    pub(super) fault: DiskFault,
    /// Operations that the device has not ended yet, in their order.
    pub(super) operations: VecDeque<Operation>,
    pub(super) device_free: Mono,
    pub(super) next_operation: u64,
    pub(super) disk_rng: Rng,
    pub(super) ports: BTreeSet<u16>,
    pub(super) next_port: u16,
    pub(super) next_pid: u32,
}

/// How a host's wall clock differs from true time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) skew_us: i64,
    pub(super) drift_ppm: i64,
    /// Since when it drifts at this rate.
    pub(super) since: Mono,
}

/// A process: its recipe, and its machine while it runs.
#[derive(Clone, Debug)]
pub(super) struct Proc {
    pub(super) host: HostId,
    pub(super) spec: Arc<ProcessSpec>,
    pub(super) state: ProcState,
    /// How often it has been started; what belongs to an earlier life is void.
    pub(super) life: u32,
    pub(super) pid: u32,
    pub(super) machine: Option<Box<dyn Process>>,
    /// Until when it stands still, by its own wish.
    pub(super) stalled: Mono,
    /// What it is to be told.
    pub(super) mail: VecDeque<Note>,
    /// Whether the queue holds an entry to read the mail.
    mail_due: bool,
    /// The queue's entry that wakes it.
    wake: Option<(Mono, u64)>,
    pub(super) conns: BTreeMap<ConnId, (TcpId, Side)>,
    pub(super) accepted: u64,
    pub(super) listeners: BTreeMap<ListenerId, Listener>,
    pub(super) files: BTreeMap<FileId, OpenFile>,
    pub(super) dir: String,
    pub(super) log: Ring<LogEntry>,
}

/// A listener of a process.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) at: Endpoint,
    pub(super) backlog: u32,
    /// Connections that the process has not accepted yet.
    pub(super) waiting: u32,
}

/// How a process is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcState {
    /// It has not been started since its host came up, or its host is down.
    Down,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It has ended by itself.
    Exited {
        /// Its exit status.
        code: i32,
    },
    /// It was killed.
    Killed,
    /// Its program could not start.
    Failed,
}

/// What a process is to be told, when it next listens.
#[derive(Clone, Debug)]
pub(super) enum Note {
    Start,
    Listening(ListenerId, Result<Endpoint, NetError>),
    /// A connection waits to be accepted.
    Accept(TcpId),
    Connected(TcpId),
    ConnectFailed(ConnId, NetError),
    /// A connection holds something to read.
    Readable(TcpId, Side),
    Drained(ConnId),
    Closed(ConnId, NetError),
    Disk(OpId, Result<DiskDone, DiskError>),
    Signal(Signal),
    Line(String),
    Interrupt,
}

/// What the queue holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tick {
    /// A host is up again.
    Boot { host: HostId, boots: u32 },
    /// A process starts with its host.
    Start { proc: ProcId, boots: u32 },
    /// A process wants to be woken.
    Wake(ProcId),
    /// A process has mail.
    Mail { proc: ProcId, life: u32 },
    /// A segment arrives.
    Arrive { tcp: TcpId, from: Side, message: MessageId },
    /// A lost segment is sent again.
    Resend { tcp: TcpId, from: Side, message: MessageId },
    /// A second copy of a segment arrives.
    Again { tcp: TcpId, message: MessageId },
    /// There may be room in a window.
    Room { tcp: TcpId, from: Side },
    /// The patience of a sender may be at its end.
    Patience { tcp: TcpId, from: Side },
    /// A connect to an address that no host has fails.
    Nowhere { proc: ProcId, life: u32, conn: ConnId },
    /// A disk operation ends.
    Disk { host: HostId, number: u64 },
}

/// A tick with its time; the sequence orders those of one moment.
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
    /// What a slice of work takes when a machine asks to be woken at once: time must go on.
    const SLICE: Duration = Duration::from_micros(20);
    /// Time from power to the first process.
    pub(super) const BOOT: Duration = Duration::from_millis(20);
    /// Events, messages and log lines that are remembered.
    const EVENTS: usize = 4_096;
    const DELIVERED: usize = 4_096;
    const LOG: usize = 512;
    /// Physical memory of a host, in bytes.
    const MEMORY: u64 = 1 << 30;

    /// The World of a scenario at virtual time zero, with every host up.
    ///
    /// Hosts whose name or address another one has are left out; so are such processes.
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
            conns: BTreeMap::new(),
            next_tcp: 0,
            next_message: 0,
            links: Vec::new(),
            link_index: BTreeMap::new(),
            cuts: BTreeSet::new(),
            trace: Trace::new(),
            events: Ring::new(Self::EVENTS),
            delivered: Ring::new(Self::DELIVERED),
            scratch: Vec::new(),
            touched: None,
            scenario: scenario.clone(),
        };
        world.trace.number(seed);
        let mut by_ip = BTreeMap::new();
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

    /// How many events have happened and actions have been done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What the World was made from.
    pub fn scenario(&self) -> &Arc<Scenario> {
        &self.scenario
    }

    /// A hash over every event and every byte so far.
    pub fn trace_hash(&self) -> u64 {
        self.trace.value()
    }

    /// When the next event happens.
    pub fn next_event_at(&self) -> Option<Mono> {
        self.queue.peek().map(|Reverse(entry)| entry.at)
    }

    /// Lets the next event happen. False if there is none.
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

    /// Lets everything happen up to and including `time`.
    pub fn run_until(&mut self, time: Mono) {
        self.run_budget(time, u64::MAX);
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// As [`World::run_until`], but for no more than so many events. True if the time was reached.
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

    /// The host at which the last event happened.
    pub fn touched(&self) -> Option<HostId> {
        self.touched
    }

    fn place_of(&self, tick: Tick) -> Option<HostId> {
        match tick {
            Tick::Boot { host, .. } | Tick::Disk { host, .. } => Some(host),
            Tick::Start { proc, .. }
            | Tick::Wake(proc)
            | Tick::Mail { proc, .. }
            | Tick::Nowhere { proc, .. } => Some(self.at_proc(proc).host),
            Tick::Arrive { tcp, from, .. } => {
                self.conns.get(&tcp).map(|conn| conn.end(from.other()).host)
            }
            Tick::Resend { tcp, from, .. }
            | Tick::Room { tcp, from }
            | Tick::Patience { tcp, from } => self.conns.get(&tcp).map(|conn| conn.end(from).host),
            Tick::Again { .. } => None,
        }
    }

    /// A generator for one concern, so that its draws do not shift another's.
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

    /// A host's clocks now.
    pub(super) fn moment(&self, host: HostId) -> Now<'static> {
        Now::instantaneous(self.now, self.wall(host))
    }

    /// A host's wall clock now.
    pub(super) fn wall(&self, host: HostId) -> Wall {
        let clock = self.at_host(host).clock;
        let true_us = i128::from(self.scenario.epoch_ms) * 1_000 + i128::from(self.now.0 / 1_000);
        let wall = true_us + i128::from(clock.ahead(self.now));
        Wall(u64::try_from(wall.max(0)).unwrap_or(u64::MAX))
    }

    /// Drops entries from the queue's front that mean nothing any more.
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
            Tick::Mail { proc, life } => {
                let proc = self.at_proc(proc);
                proc.life == life && proc.mail_due
            }
            Tick::Arrive { tcp, from, message } => self.arrives(tcp, from, message, entry.at),
            Tick::Resend { tcp, from, message } => self.resends(tcp, from, message, entry.at),
            Tick::Again { tcp, .. } => self.conns.contains_key(&tcp),
            Tick::Room { tcp, from } => {
                self.conns.get(&tcp).is_some_and(|conn| conn.flow(from).blocked)
            }
            Tick::Patience { tcp, from } => self.is_out_of_patience(tcp, from, entry.at),
            Tick::Nowhere { proc, life, .. } => self.at_proc(proc).life == life,
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
            Tick::Mail { proc, .. } => {
                self.proc_mut(proc).mail_due = false;
                self.read_mail(proc);
            }
            Tick::Arrive { tcp, from, message } => self.arrive(tcp, from, message),
            Tick::Resend { tcp, from, message } => self.resend(tcp, from, message),
            Tick::Again { tcp, message } => self.arrive_again(tcp, message),
            Tick::Room { tcp, from } => self.pump_idle(tcp, from),
            Tick::Patience { tcp, from } => self.give_up(tcp, from),
            Tick::Nowhere { proc, conn, .. } => {
                self.tell(proc, Note::ConnectFailed(conn, NetError::Unreachable));
            }
            Tick::Disk { host, number } => self.end_operation(host, number),
        }
    }

    /// Starts what starts with a host.
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

    /// Starts a process. What its program says if it cannot start is in its state and the events.
    pub(super) fn launch(&mut self, id: ProcId) {
        let host_id = self.at_proc(id).host;
        let host = self.host_mut(host_id);
        host.next_pid += 1;
        let pid = host.next_pid;
        let proc = self.proc_mut(id);
        proc.life += 1;
        let life = u64::from(proc.life);
        let spec = proc.spec.clone();
        let (host, now) = (self.at_host(host_id), self.moment(host_id));
        let dir = disk::resolve("/", &spec.dir);
        let names: Vec<_> = self.hosts.iter().map(|h| (h.spec.name.as_str(), h.spec.ip)).collect();
        let started = (self.programs)(&Launch {
            program: &spec.program,
            args: &spec.args,
            dir: &dir,
            seed: self.stream(2, u64::from(id.0) << 32 | life).u64(),
            pid,
            host: &host.spec.name,
            ip: host.spec.ip,
            now,
            disk: &host.disk,
            names: &names,
        });
        self.trace.number(u64::from(id.0));
        let proc = self.proc_mut(id);
        proc.reset();
        proc.pid = pid;
        match started {
            Ok(machine) => {
                proc.machine = Some(machine);
                proc.state = ProcState::Running;
                proc.dir = dir;
                self.happened(EventKind::Started(id));
                self.tell(id, Note::Start);
            }
            Err(error) => {
                proc.state = ProcState::Failed;
                self.happened(EventKind::NotStarted(id, error.0));
            }
        }
    }

    pub(super) fn is_runnable(&self, id: ProcId) -> bool {
        let proc = self.at_proc(id);
        proc.state == ProcState::Running && proc.machine.is_some() && proc.stalled <= self.now
    }

    /// Tells a process something: at once if it listens and nothing older waits, else by mail.
    pub(super) fn tell(&mut self, id: ProcId, note: Note) {
        if !matches!(self.at_proc(id).state, ProcState::Running | ProcState::Paused) {
            return;
        }
        if self.at_proc(id).mail.is_empty() && self.is_runnable(id) {
            self.take_note(id, note);
        } else {
            self.proc_mut(id).mail.push_back(note);
            self.announce_mail(id);
        }
    }

    /// Puts an entry into the queue if there is mail that could be read.
    pub(super) fn announce_mail(&mut self, id: ProcId) {
        let proc = self.at_proc(id);
        if proc.state == ProcState::Running && !proc.mail.is_empty() && !proc.mail_due {
            let (at, life) = (proc.stalled, proc.life);
            self.proc_mut(id).mail_due = true;
            self.schedule(at, Tick::Mail { proc: id, life });
        }
    }

    fn read_mail(&mut self, id: ProcId) {
        while self.is_runnable(id) {
            let Some(note) = self.proc_mut(id).mail.pop_front() else { return };
            self.take_note(id, note);
        }
        self.announce_mail(id);
    }

    fn take_note(&mut self, id: ProcId, note: Note) {
        match note {
            Note::Start => {
                self.give(id, Input::Start);
                let vitals = Vitals { host_memory: Self::MEMORY, ..Vitals::default() };
                self.give(id, Input::Vitals(vitals));
            }
            Note::Listening(listener, result) => {
                self.give(id, Input::Listening { listener, result });
            }
            Note::Accept(tcp) => self.accept(id, tcp),
            Note::Connected(tcp) => self.connected(id, tcp),
            Note::ConnectFailed(conn, error) => {
                self.proc_mut(id).conns.remove(&conn);
                self.give(id, Input::ConnectFailed { conn, error });
            }
            Note::Readable(tcp, side) => self.read_pieces(id, tcp, side),
            Note::Drained(conn) => {
                if self.at_proc(id).conns.contains_key(&conn) {
                    self.give(id, Input::Drained { conn });
                }
            }
            Note::Closed(conn, error) => {
                if self.proc_mut(id).conns.remove(&conn).is_some() {
                    self.give(id, Input::Closed { conn, error });
                }
            }
            Note::Disk(op, result) => self.give(id, Input::Disk { op, result }),
            Note::Signal(signal) => self.give(id, Input::Signal(signal)),
            Note::Line(line) => self.type_into(id, Some(&line)),
            Note::Interrupt => self.type_into(id, None),
        }
    }

    fn type_into(&mut self, id: ProcId, line: Option<&str>) {
        let Some(mut machine) = self.proc_mut(id).machine.take() else { return };
        let now = self.moment(self.at_proc(id).host);
        if let Some(console) = machine.console() {
            match line {
                Some(line) => console.line(now, line),
                None => console.interrupt(now),
            }
        }
        self.settle(id, machine);
    }

    /// Hands one input to a process that listens, and carries out what it then wants.
    pub(super) fn give(&mut self, id: ProcId, input: Input<'_>) {
        let Some(mut machine) = self.proc_mut(id).machine.take() else { return };
        machine.handle(self.moment(self.at_proc(id).host), input);
        self.settle(id, machine);
    }

    /// Carries out what a machine wants, and puts it back into its process.
    pub(super) fn settle(&mut self, id: ProcId, mut machine: Box<dyn Process>) {
        while let Some(output) = machine.poll_output() {
            if let Output::Exit { code } = output {
                self.exit(id, code);
                return;
            }
            self.carry_out(id, &mut *machine, output);
        }
        let wanted = machine.poll_timeout();
        self.proc_mut(id).machine = Some(machine);
        self.set_wake(id, wanted);
        self.announce_mail(id);
    }

    fn set_wake(&mut self, id: ProcId, wanted: Option<Mono>) {
        // An earlier entry stays: when its time comes, the machine is asked again. So a timeout
        // that moves with every input costs nothing.
        let proc = self.at_proc(id);
        let Some(wanted) = wanted else { return };
        let at = wanted.max(self.now + Self::SLICE).max(proc.stalled);
        if proc.wake.is_none_or(|(scheduled, _)| at < scheduled) {
            let sequence = self.schedule(at, Tick::Wake(id));
            self.proc_mut(id).wake = Some((at, sequence));
        }
    }

    fn wake(&mut self, id: ProcId) {
        self.proc_mut(id).wake = None;
        if !self.is_runnable(id) {
            // Whatever lets it go on asks for its timeout again.
            return;
        }
        let wanted = self.at_proc(id).machine.as_ref().and_then(|m| m.poll_timeout());
        match wanted {
            Some(at) if at <= self.now => self.give(id, Input::Wake),
            later => self.set_wake(id, later),
        }
    }

    /// Lets a process that stood still go on.
    pub(super) fn go_on(&mut self, id: ProcId) {
        let wanted = self.at_proc(id).machine.as_ref().and_then(|m| m.poll_timeout());
        self.set_wake(id, wanted);
        self.announce_mail(id);
    }

    fn carry_out(&mut self, id: ProcId, machine: &mut dyn Process, output: Output) {
        match output {
            Output::Listen { listener, at, backlog } => self.listen(id, listener, at, backlog),
            Output::Unlisten { listener } => {
                self.proc_mut(id).listeners.remove(&listener);
            }
            Output::Connect { conn, to, from } => self.connect(id, conn, &to, from),
            Output::Send { conn } => {
                if let Some(&(tcp, side)) = self.at_proc(id).conns.get(&conn) {
                    self.pump(tcp, side, machine);
                }
            }
            Output::Reading { conn, on } => self.set_reading(id, conn, on),
            Output::Close { conn, how: Close::Now } => self.close_now(id, conn),
            Output::Close { conn, how: Close::AfterSending } => {
                self.close_after_sending(id, conn, machine);
            }
            Output::Disk { op, what } => self.start_operation(id, op, what),
            Output::Log(line) => self.write_log(id, line),
            Output::Stall(time) => {
                let until = self.now + time;
                self.proc_mut(id).stalled = until;
            }
            Output::Exit { .. } => {}
        }
    }

    fn write_log(&mut self, id: ProcId, line: LogLine) {
        self.trace.bytes(line.text.as_bytes());
        let (at, wall) = (self.now, self.wall(self.at_proc(id).host));
        let proc = self.proc_mut(id);
        let LogLine { level, role, text } = line;
        proc.log.push(LogEntry { at, wall, pid: proc.pid, level, role, text });
    }

    fn exit(&mut self, id: ProcId, code: i32) {
        self.trace.number(u64::from(code.unsigned_abs()));
        self.finish_operations(id);
        self.leave(id, ProcState::Exited { code });
        self.happened(EventKind::Exited(id, code));
    }

    /// A process is gone with its host's power: nobody hears of it.
    pub(super) fn vanish(&mut self, id: ProcId) {
        let proc = self.proc_mut(id);
        proc.reset();
        proc.state = ProcState::Down;
    }

    /// Takes a process off its host: its machine, its connections, its listeners, its files.
    pub(super) fn leave(&mut self, id: ProcId, state: ProcState) {
        self.drop_connections(id, state != ProcState::Killed);
        self.close_files(id);
        let proc = self.proc_mut(id);
        proc.reset();
        proc.state = state;
    }
}

impl Host {
    fn new(spec: Arc<HostSpec>, disk_rng: Rng) -> Self {
        Host {
            on: false,
            boots: 0,
            clock: Clock { skew_us: spec.skew_us, drift_ppm: spec.drift_ppm, since: Mono::ZERO },
            disk: Arc::new(spec.new_disk()),
            device: spec.disk.clone(),
            fault: DiskFault::None,
            operations: VecDeque::new(),
            device_free: Mono::ZERO,
            next_operation: 0,
            disk_rng,
            ports: BTreeSet::new(),
            next_port: 0,
            next_pid: 100,
            spec,
        }
    }
}

impl HostSpec {
    /// The disk with which the host begins.
    pub(super) fn new_disk(&self) -> Disk {
        Disk::new(self.files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())))
    }
}

impl Clock {
    /// Microseconds ahead of true time.
    pub(super) fn ahead(&self, now: Mono) -> i64 {
        let drifted = i128::from(now.since(self.since).as_micros() as u64)
            * i128::from(self.drift_ppm)
            / 1_000_000;
        self.skew_us.saturating_add(i64::try_from(drifted).unwrap_or(0))
    }
}

impl Proc {
    pub(super) fn new(host: HostId, spec: Arc<ProcessSpec>) -> Self {
        Proc {
            host,
            spec,
            state: ProcState::Down,
            life: 0,
            pid: 0,
            machine: None,
            stalled: Mono::ZERO,
            mail: VecDeque::new(),
            mail_due: false,
            wake: None,
            conns: BTreeMap::new(),
            accepted: 0,
            listeners: BTreeMap::new(),
            files: BTreeMap::new(),
            dir: String::new(),
            log: Ring::new(World::LOG),
        }
    }

    /// Forgets all that belongs to one life.
    fn reset(&mut self) {
        self.machine = None;
        self.stalled = Mono::ZERO;
        self.mail.clear();
        self.mail_due = false;
        self.wake = None;
        self.conns.clear();
        self.accepted = 0;
        self.listeners.clear();
        self.files.clear();
    }
}
