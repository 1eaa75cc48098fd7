//! The World behind the page, and what the page asks of it. Nothing here knows of a browser.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use limpid_core::lab::{self, CLI, SERVER, Shown, TRAFFIC, Terminal};
use limpid_core::sim::{
    Action, ActionError, EventKind, Flight as Fly, Future, HostId, MessageId, MessageView,
    ProcState, ProcView, SegmentKind, Session, Side, Step, World,
};
use limpid_core::time::Mono;

use crate::frames;
use crate::meter::Meter;
use crate::scene::{Body, Cut, Doing, Health, Link, Role, Scene};
use crate::share::Shared;
use crate::terminal::desk::Desk;
use crate::topology::SHELL;

pub(crate) use crate::topology::Topology;

/// A session of a topology.
pub(crate) struct Lab {
    topology: Topology,
    seed: u64,
    session: Session,
    meter: core::cell::RefCell<Meter>,
}

/// A message on its way.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Flight {
    /// Its number.
    pub id: MessageId,
    /// The body that sent it.
    pub from: usize,
    /// The body that it goes to.
    pub to: usize,
    /// When it was sent, in nanoseconds.
    pub sent: u64,
    /// What it is.
    pub kind: FlightKind,
    /// How it fares.
    pub fare: Fare,
    /// What it carries.
    pub bytes: Arc<[u8]>,
}

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FlightKind {
    /// From a client to a server.
    Request,
    /// From a server to a client.
    Reply,
    /// Of the transport itself: opening and closing connections.
    Transport,
}

/// How a message fares. Times are in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fare {
    /// Under way.
    Flying {
        /// Since when.
        begun: u64,
        /// When it arrives.
        due: u64,
    },
    /// Lost on the way, and the sender does not know yet.
    Lost {
        /// When it set out.
        begun: u64,
        /// How long its way would have been.
        latency: u64,
    },
    /// There, but one before it is not.
    Waiting,
    /// Kept by somebody.
    Held,
}

/// A moment that one can jump to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    /// When, in nanoseconds.
    pub at: u64,
    /// What happened.
    pub kind: MarkKind,
}

/// What happened at a moment that one can jump to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MarkKind {
    /// Something broke, or was broken, or mended.
    Fault,
    /// Somebody typed a command.
    Command,
}

impl Lab {
    /// The seed of a session that nobody shared.
    pub(crate) const SEED: u64 = 7;
    /// When the first terminal connects: a moment after its server began to listen.
    const TERMINAL_AT: Duration = Duration::from_millis(2);

    /// A topology at its beginning.
    pub(crate) fn open(topology: Topology, seed: u64) -> Self {
        let session = Session::new(topology.scenario(), seed, lab::programs);
        let mut lab = Lab { topology, seed, session, meter: Default::default() };
        // One terminal is open from the start: what one sees first invites to type.
        let (_, run) = lab.terminal_for("redis-1");
        lab.session.advance(Mono::ZERO + Self::TERMINAL_AT, u64::MAX);
        if let Some(run) = run {
            // Nothing can stand against it: the name is new.
            let _ = lab.session.act(run, Future::Discard);
        }
        lab
    }

    /// A topology that has run for a moment, so that there is something to see.
    pub(crate) fn fresh(topology: Topology) -> Self {
        const STEPS: u32 = 10;
        let mut lab = Lab::open(topology, Self::SEED);
        for step in 1..=STEPS {
            let until = Mono::ZERO + topology.warm_up() * step / STEPS;
            lab.session.advance(until, u64::MAX);
            lab.meter.borrow_mut().look(lab.session.world());
        }
        lab
    }

    /// A session that somebody shared, at its moment.
    pub(crate) fn follow(shared: Shared) -> Self {
        let mut lab = Lab::open(shared.topology, shared.seed);
        if !shared.actions.is_empty() {
            let mut record = lab.session.record();
            record.actions = shared.actions;
            lab.session = Session::from_record(record, lab::programs);
        }
        lab.session.seek(Mono(shared.at));
        lab
    }

    /// What a link to this session and moment holds.
    pub(crate) fn shared(&self) -> Shared {
        Shared {
            topology: self.topology,
            seed: self.seed,
            at: self.now(),
            actions: self.session.actions().to_vec(),
        }
    }

    /// Which topology this is.
    pub(crate) fn topology(&self) -> Topology {
        self.topology
    }

    /// The World at the present moment.
    pub(crate) fn world(&self) -> &World {
        self.session.world()
    }

    /// The present moment, in nanoseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        self.session.now().0
    }

    /// Where what is known ends.
    pub(crate) fn end(&self) -> u64 {
        self.session.horizon().0.max(self.now())
    }

    /// Whether there is a known future.
    pub(crate) fn is_past(&self) -> bool {
        self.session.is_past()
    }

    /// Events that have happened.
    pub(crate) fn steps(&self) -> u64 {
        self.world().steps()
    }

    /// The hash over all that happened.
    pub(crate) fn trace_hash(&self) -> u64 {
        self.world().trace_hash()
    }

    /// Lets no more than so many events happen; true if the moment was reached.
    pub(crate) fn run_until(&mut self, ns: u64, events: u64) -> bool {
        self.session.advance(Mono(ns), events)
    }

    /// Goes to a moment.
    pub(crate) fn seek(&mut self, ns: u64) {
        self.session.seek(Mono(ns));
    }

    /// One event forward or back.
    pub(crate) fn step(&mut self, forward: bool) {
        if forward {
            self.session.step(Step::Event, 1);
        } else {
            self.session.step_back();
        }
    }

    /// To the next event of a sort, if one comes soon.
    pub(crate) fn step_to(&mut self, step: Step) {
        const PATIENCE: u64 = 50_000;
        self.session.step(step, PATIENCE);
    }

    /// Does something now. A known future is kept beside this one, or forgotten.
    pub(crate) fn act(&mut self, action: Action, future: Future) -> Result<(), ActionError> {
        self.session.act(action, future)
    }

    /// Takes the last action back that was no typing; says which.
    pub(crate) fn undo(&mut self) -> Option<String> {
        let done = self.session.actions().get(..self.session.done())?;
        let number = done.iter().rposition(|timed| !is_typing(&timed.action))?;
        let text = self.session.actions()[number].action.to_string();
        self.session.undo(number).then_some(text)
    }

    /// How many futures were left behind.
    pub(crate) fn branches(&self) -> usize {
        self.session.branches().len()
    }

    /// Goes to the future that was left last.
    pub(crate) fn switch_branch(&mut self) {
        if let Some(last) = self.branches().checked_sub(1) {
            self.session.switch(last);
        }
    }

    /// Moments that one can jump to, in their order.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        let kind = |event: &EventKind| match event {
            EventKind::Action(Action::Type { .. }) => Some(MarkKind::Command),
            EventKind::Action(action) if is_typing(action) => None,
            _ => Some(MarkKind::Fault),
        };
        let markers = self.session.markers().iter();
        markers.filter_map(|m| Some(Mark { at: m.at.0, kind: kind(&m.event)? })).collect()
    }

    /// What the map shows now.
    pub(crate) fn scene(&self) -> Scene {
        let world = self.world();
        self.meter.borrow_mut().look(world);
        let bodies = world.hosts().map(|host| std::rc::Rc::new(self.body(host.id)));
        Scene { bodies: bodies.collect(), links: self.links() }
    }

    fn body(&self, id: HostId) -> Body {
        let world = self.world();
        let Some(host) = world.host(id) else { unreachable!("hosts never go") };
        let main = main_process(world, id);
        let role = match main.map(|proc| proc.program) {
            Some(SERVER) => Role::Primary,
            Some(TRAFFIC) => Role::Client,
            _ => Role::Shell,
        };
        let health = match (host.on, main.map(|proc| proc.state)) {
            (false, _) => Health::Crashed,
            (true, _) if role == Role::Shell => Health::Online,
            (true, Some(ProcState::Paused)) => Health::Paused,
            (true, Some(ProcState::Running | ProcState::Down) | None) => Health::Online,
            (true, Some(_)) => Health::Stopped,
        };
        let rate = self.meter.borrow().rate(id);
        let doing = match role {
            Role::Shell => Doing::Nothing,
            Role::Client => Doing::Asking { rate, stuck: self.is_stuck(usize::from(id.0)) },
            Role::Primary => Doing::Serving { keys: self.key_count(usize::from(id.0)), rate },
        };
        Body {
            name: host.name.to_owned(),
            address: host.ip.to_string(),
            role,
            shard: usize::from(id.0),
            health,
            doing,
        }
    }

    /// Links that carry something by the scenario, by what was used, or by what was changed.
    fn links(&self) -> Vec<std::rc::Rc<Link>> {
        let world = self.world();
        let usual = world.scenario().link;
        let mut pairs: BTreeMap<(u16, u16), bool> = BTreeMap::new();
        let key = |a: HostId, b: HostId| (a.0.min(b.0), a.0.max(b.0));
        for proc in world.procs() {
            for target in targets(world, &proc).filter(|&target| target != proc.host) {
                pairs.insert(key(proc.host, target), true);
            }
        }
        for link in world.links() {
            pairs.insert(key(link.from, link.to), true);
        }
        let cuts: Vec<(HostId, HostId)> = world.cuts().collect();
        let is_cut = |a: u16, b: u16| cuts.contains(&(HostId(a), HostId(b)));
        let link = |(&(a, b), _): (&(u16, u16), &bool)| {
            let (forth, back) = (HostId(a), HostId(b));
            let spec = world.link_between(forth, back)?;
            let other = world.link_between(back, forth)?;
            // Requests flow from the client, so it is the first of the two.
            Some(std::rc::Rc::new(Link {
                a: usize::from(a),
                b: usize::from(b),
                latency: spec.latency.max(other.latency),
                loss_ppm: spec.loss_ppm.max(other.loss_ppm),
                changed: spec.latency != usual.latency
                    || other.latency != usual.latency
                    || spec.loss_ppm != usual.loss_ppm
                    || other.loss_ppm != usual.loss_ppm
                    || spec.bandwidth != usual.bandwidth,
                cut: match (is_cut(a, b), is_cut(b, a)) {
                    (false, false) => Cut::No,
                    (true, false) => Cut::Forth,
                    (false, true) => Cut::Back,
                    (true, true) => Cut::Both,
                },
            }))
        };
        pairs.iter().filter_map(link).collect()
    }

    /// Messages between hosts, no more than so many.
    pub(crate) fn flights(&self, most: usize, into: &mut Vec<Flight>) {
        let between_hosts = |message: &MessageView<'_>| message.hosts.0 != message.hosts.1;
        let messages = self.world().in_flight().filter(between_hosts).take(most);
        into.extend(messages.map(|message| self.look_at(&message)));
    }

    /// A message by its number, if it is still on its way.
    pub(crate) fn flight(&self, id: MessageId) -> Option<Flight> {
        self.world().message(id).map(|message| self.look_at(&message))
    }

    fn look_at(&self, message: &MessageView<'_>) -> Flight {
        let (from, to) = message.hosts;
        let latency = || {
            let spec = self.world().link_between(from, to);
            spec.map_or(1, |spec| spec.latency.as_nanos() as u64)
        };
        let sent = message.sent.0;
        let fare = match message.flight {
            Fly::Flying { due } if message.tries == 0 => Fare::Flying { begun: sent, due: due.0 },
            Fly::Flying { due } => {
                Fare::Flying { begun: due.0.saturating_sub(latency()), due: due.0 }
            }
            Fly::Lost { .. } => {
                let begun = if message.tries == 0 { sent } else { 0 };
                Fare::Lost { begun, latency: latency() }
            }
            Fly::Waiting => Fare::Waiting,
            Fly::Held { .. } => Fare::Held,
        };
        let kind = match (message.kind, message.from) {
            (SegmentKind::Data, Side::Client) => FlightKind::Request,
            (SegmentKind::Data, Side::Server) => FlightKind::Reply,
            _ => FlightKind::Transport,
        };
        Flight {
            id: message.id,
            from: usize::from(from.0),
            to: usize::from(to.0),
            sent,
            kind,
            fare,
            bytes: message.bytes.clone(),
        }
    }

    /// How many messages each direction of each link has carried.
    pub(crate) fn carried(&self) -> Vec<(usize, usize, u64)> {
        let links = self.world().links().iter();
        links.map(|l| (usize::from(l.from.0), usize::from(l.to.0), l.messages)).collect()
    }

    /// What a message is, in a few characters.
    pub(crate) fn label(&self, flight: &Flight) -> String {
        if flight.kind == FlightKind::Transport {
            let kind = self.world().message(flight.id).map(|message| message.kind);
            return match kind {
                Some(SegmentKind::Syn) => "SYN",
                Some(SegmentKind::SynAck) => "SYN ACK",
                Some(SegmentKind::Fin) => "FIN",
                Some(SegmentKind::Rst) => "RST",
                _ => "ACK",
            }
            .to_owned();
        }
        frames::label(&flight.bytes, flight.kind == FlightKind::Request)
    }

    /// What a message says, line by line.
    pub(crate) fn decoded(&self, flight: &Flight) -> String {
        frames::decoded(&flight.bytes, flight.kind == FlightKind::Request)
    }

    /// Whether a message is still on its way.
    pub(crate) fn is_in_flight(&self, id: MessageId) -> bool {
        self.world().message(id).is_some()
    }

    /// What a terminal shows.
    pub(crate) fn console(&self, process: &str) -> Option<Shown> {
        self.terminal(process).map(Terminal::shown)
    }

    fn terminal(&self, process: &str) -> Option<&Terminal> {
        let world = self.world();
        world.machine(world.proc_named(process)?.id)
    }

    /// A number that changes when a terminal shows something else.
    pub(crate) fn line_count(&self, desk: &Desk) -> u64 {
        let front = desk.front().and_then(|tab| self.console(&tab.process));
        front.map_or(0, |shown| {
            let lines = shown.blocks.len() as u64 * 4 + u64::from(shown.waiting);
            lines.wrapping_mul(1 << 32) + shown.length * 256 + shown.prompt.len() as u64
        })
    }

    /// What may still be typed after a line.
    pub(crate) fn hint(&self, line: &str) -> Option<String> {
        lab::help().hint(line)
    }

    /// Whole lines that Tab offers.
    pub(crate) fn complete(&self, line: &str) -> Vec<String> {
        lab::help().complete(line)
    }

    /// The servers that have a terminal, and the processes of those.
    pub(crate) fn terminals(&self) -> Vec<(String, String)> {
        let world = self.world();
        let clis = world.procs().filter(|proc| proc.program == CLI);
        clis.filter_map(|proc| {
            let server = targets(world, &proc).next()?;
            Some((world.host(server)?.name.to_owned(), proc.name.to_owned()))
        })
        .collect()
    }

    /// The terminal's process for a server, and what has to be run if there is none yet.
    pub(crate) fn terminal_for(&self, server: &str) -> (String, Option<Action>) {
        let process = format!("cli-{server}");
        if self.world().proc_named(&process).is_some() {
            return (process, None);
        }
        let args = ["-h", server];
        let run = Action::Run {
            host: SHELL.to_owned(),
            name: process.clone(),
            program: CLI.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
        };
        (process, Some(run))
    }

    /// Whether a process runs.
    pub(crate) fn is_running(&self, process: &str) -> bool {
        let state = self.world().proc_named(process).map(|proc| proc.state);
        matches!(state, Some(ProcState::Running | ProcState::Paused))
    }
}

/// Whether an action only has to do with terminals.
pub(crate) fn is_typing(action: &Action) -> bool {
    matches!(action, Action::Type { .. } | Action::Interrupt { .. } | Action::Run { .. })
}

/// The process that a host is there for.
pub(crate) fn main_process(world: &World, host: HostId) -> Option<ProcView<'_>> {
    world.procs().find(|proc| proc.host == host)
}

/// The hosts that a client's arguments name.
fn targets<'a>(world: &'a World, proc: &ProcView<'a>) -> impl Iterator<Item = HostId> + use<'a> {
    let client = matches!(proc.program, CLI | TRAFFIC);
    let args = if client { proc.args } else { &[] };
    args.iter().filter_map(|arg| world.hosts().find(|host| host.name == arg).map(|host| host.id))
}
