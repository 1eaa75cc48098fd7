//! The World behind the page, and what the page asks of it. Nothing here knows of a browser.

use core::time::Duration;
use std::sync::Arc;

use limpid_core::lab::{self, CLI, SERVER, Shown, TRAFFIC, Terminal};
use limpid_core::sim::{
    Action, ActionError, EventKind, Flight as Fly, Future, HostId, MessageId, MessageView, ProcId,
    ProcState, ProcView, SegmentKind, Session, Side, Step, World,
};
use limpid_core::sorted::SortedSet;
use limpid_core::time::Mono;

use crate::frames;
use crate::layout::Kind;
use crate::meter::Meter;
use crate::scene::{Body, Cut, Doing, Follow, Health, Link, Machine, Role, Scene, Stream};
use crate::share::Shared;
use crate::terminal::desk::Desk;
use crate::topology::SHELL;
use crate::units::{Unit, Units};

pub(crate) use crate::topology::Topology;

/// A session of a topology.
pub(crate) struct Lab {
    topology: Topology,
    seed: u64,
    session: Session,
    units: Units,
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
    /// Between servers: what a primary sends its replicas, and what they ask for.
    Stream,
    /// Between servers, too: signs of life.
    Beat,
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
        let units = Units::of(session.world());
        let mut lab = Lab { topology, seed, session, units, meter: Default::default() };
        // One terminal is open from the start: what one sees first invites to type.
        let (_, run) = lab.terminal_for(topology.first_server());
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
            lab.measure();
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

    /// What stands on the map.
    pub(crate) fn units(&self) -> &Units {
        &self.units
    }

    /// What the map shows now.
    pub(crate) fn scene(&self) -> Scene {
        self.measure();
        let follows = self.follows();
        let bodies = self.units.iter().map(|(index, unit)| {
            let follow = follows.iter().find(|follow| follow.to == index);
            let mut body = self.body(index, unit);
            if let Some(stream) = &mut body.stream {
                stream.follows = follow.map(|follow| (follow.state, follow.lag));
            }
            std::rc::Rc::new(body)
        });
        Scene {
            bodies: bodies.collect(),
            links: self.links(&follows),
            machines: self.machines().into_iter().map(std::rc::Rc::new).collect(),
            follows: follows.into_iter().map(std::rc::Rc::new).collect(),
        }
    }

    /// Counts what each body has received so far.
    fn measure(&self) {
        let mut meter = self.meter.borrow_mut();
        if !meter.is_due(self.now()) {
            return;
        }
        let world = self.world();
        let counts = self.units.iter().map(|(index, unit)| match unit.shares {
            true => self.server(index).map_or(0, |server| server.overview().commands),
            false => {
                let links = world.links().iter().filter(|link| link.to == unit.host);
                links.map(|link| link.messages).sum()
            }
        });
        meter.look(self.now(), counts.collect());
    }

    fn body(&self, index: usize, unit: &Unit) -> Body {
        let world = self.world();
        let Some(host) = world.host(unit.host) else { unreachable!("hosts never go") };
        let main = self.units.process(world, index).and_then(|id| world.proc(id));
        let replication = self.replication(index);
        let follows = replication.as_ref().is_some_and(|view| view.primary.is_some());
        let role = match main.map(|proc| proc.program) {
            // What does not run tells nothing; then it is what the scenario makes it.
            Some(SERVER) if follows || replication.is_none() && unit.home.is_some() => {
                Role::Replica
            }
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
        let rate = self.meter.borrow().rate(index);
        let doing = match role {
            Role::Shell => Doing::Nothing,
            Role::Client => Doing::Asking { rate, stuck: self.is_stuck(index) },
            Role::Primary | Role::Replica => Doing::Serving { keys: self.key_count(index), rate },
        };
        // A server that neither follows nor is followed has a stream that nobody asks about.
        let stream = replication
            .filter(|view| follows || unit.home.is_some() || !view.replicas.is_empty())
            .map(|view| Stream { offset: view.offset, follows: None });
        Body {
            name: unit.name.clone(),
            host: host.name.to_owned(),
            process: unit.shares.then(|| unit.name.clone()),
            address: match unit.port.filter(|_| unit.shares) {
                Some(port) => format!("{}:{port}", host.ip),
                None => host.ip.to_string(),
            },
            kind: match (unit.port, role) {
                (Some(_), _) => Kind::Server,
                (None, Role::Client) => Kind::Client,
                (None, _) => Kind::Shell,
            },
            home: unit.home,
            role,
            stream,
            shard: self.shard(index),
            health,
            doing,
        }
    }

    /// Hosts that carry several bodies.
    fn machines(&self) -> Vec<Machine> {
        let world = self.world();
        let mut machines: Vec<Machine> = Vec::new();
        for (index, unit) in self.units.iter().filter(|(_, unit)| unit.shares) {
            let Some(host) = world.host(unit.host) else { continue };
            match machines.iter_mut().find(|machine| machine.name == host.name) {
                Some(machine) => machine.members.push(index),
                None => machines.push(Machine {
                    name: host.name.to_owned(),
                    address: host.ip.to_string(),
                    members: vec![index],
                    on: host.on,
                }),
            }
        }
        machines
    }

    /// Links that carry something by the scenario, by what was used, or by what was changed.
    fn links(&self, follows: &[Follow]) -> Vec<std::rc::Rc<Link>> {
        let world = self.world();
        let usual = world.scenario().link;
        let mut pairs: SortedSet<(usize, usize)> = SortedSet::new();
        let mut add = |a: Option<usize>, b: Option<usize>| {
            if let (Some(a), Some(b)) = (a, b)
                && a != b
                && self.units.get(a).map(|unit| unit.host) != self.units.get(b).map(|u| u.host)
            {
                pairs.insert((a.min(b), a.max(b)));
            }
        };
        for proc in world.procs() {
            add(self.units.of_process(&proc), self.target_of(&proc));
        }
        for (index, unit) in self.units.iter() {
            add(Some(index), unit.home);
        }
        for follow in follows {
            add(Some(follow.from), Some(follow.to));
        }
        for link in world.links() {
            // Of hosts that carry several bodies one cannot tell which of them it was.
            let alone = |host| {
                let unit = self.units.of_host(host)?;
                self.units.get(unit).filter(|found| !found.shares).map(|_| unit)
            };
            add(alone(link.from), alone(link.to));
        }
        let link = |&(a, b): &(usize, usize)| {
            let (forth, back) = (self.units.get(a)?.host, self.units.get(b)?.host);
            let spec = world.link_between(forth, back)?;
            let other = world.link_between(back, forth)?;
            Some(std::rc::Rc::new(Link {
                a,
                b,
                latency: spec.latency.max(other.latency),
                loss_ppm: spec.loss_ppm.max(other.loss_ppm),
                changed: spec.latency != usual.latency
                    || other.latency != usual.latency
                    || spec.loss_ppm != usual.loss_ppm
                    || other.loss_ppm != usual.loss_ppm
                    || spec.bandwidth != usual.bandwidth,
                cut: self.cut_between(a, b),
            }))
        };
        pairs.iter().filter_map(link).collect()
    }

    /// Which directions between two bodies are cut.
    pub(crate) fn cut_between(&self, a: usize, b: usize) -> Cut {
        let host = |index: usize| self.units.get(index).map(|unit| unit.host);
        let (Some(a), Some(b)) = (host(a), host(b)) else { return Cut::No };
        let is_cut = |from, to| self.world().cuts().any(|cut| cut == (from, to));
        match (is_cut(a, b), is_cut(b, a)) {
            (false, false) => Cut::No,
            (true, false) => Cut::Forth,
            (false, true) => Cut::Back,
            (true, true) => Cut::Both,
        }
    }

    /// Messages between hosts, no more than so many.
    pub(crate) fn flights(&self, most: usize, into: &mut Vec<Flight>) {
        let between_hosts = |message: &MessageView<'_>| message.hosts.0 != message.hosts.1;
        let messages = self.world().in_flight().filter(between_hosts).take(most);
        into.extend(messages.filter_map(|message| self.look_at(&message)));
    }

    /// The body at one end of a message or connection.
    fn body_of(&self, proc: Option<ProcId>, host: HostId) -> Option<usize> {
        let proc = proc.and_then(|id| self.world().proc(id));
        match proc {
            Some(proc) => self.units.of_process(&proc),
            None => self.units.of_host(host),
        }
    }

    /// A message by its number, if it is still on its way.
    pub(crate) fn flight(&self, id: MessageId) -> Option<Flight> {
        self.look_at(&self.world().message(id)?)
    }

    fn look_at(&self, message: &MessageView<'_>) -> Option<Flight> {
        let (from, to) = message.hosts;
        let source = self.body_of(message.procs.0, from)?;
        let goal = self.body_of(message.procs.1, to)?;
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
        let is_server = |body| self.units.get(body).is_some_and(|unit| unit.port.is_some());
        let kind = match (message.kind, message.from) {
            (SegmentKind::Data, _) if is_server(source) && is_server(goal) => {
                match frames::is_beat(message.bytes) {
                    true => FlightKind::Beat,
                    false => FlightKind::Stream,
                }
            }
            (SegmentKind::Data, Side::Client) => FlightKind::Request,
            (SegmentKind::Data, Side::Server) => FlightKind::Reply,
            _ => FlightKind::Transport,
        };
        Some(Flight {
            id: message.id,
            from: source,
            to: goal,
            sent,
            kind,
            fare,
            bytes: message.bytes.clone(),
        })
    }

    /// How many messages each direction of each link has carried.
    pub(crate) fn carried(&self) -> Vec<(usize, usize, u64)> {
        let world = self.world();
        let shares = |host| {
            let unit = self.units.of_host(host).and_then(|unit| self.units.get(unit));
            unit.is_some_and(|unit| unit.shares)
        };
        let apart = world.links().iter().filter(|link| !shares(link.from) && !shares(link.to));
        let mut carried: Vec<_> = apart
            .filter_map(|link| {
                let (from, to) = (self.units.of_host(link.from)?, self.units.of_host(link.to)?);
                Some((from, to, link.messages))
            })
            .collect();
        // Of bodies that share a host only the connections tell which of them talks.
        const MESSAGE: u64 = 64;
        for conn in world.conns().filter(|c| shares(c.ends[0].host) || shares(c.ends[1].host)) {
            let body = |end: usize| self.body_of(conn.ends[end].proc, conn.ends[end].host);
            if let (Some(a), Some(b)) = (body(0), body(1)) {
                carried.push((a, b, conn.ends[0].sent / MESSAGE));
                carried.push((b, a, conn.ends[1].sent / MESSAGE));
            }
        }
        carried
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
        frames::label(&flight.bytes, flight.kind != FlightKind::Reply)
    }

    /// What a message says, line by line.
    pub(crate) fn decoded(&self, flight: &Flight) -> String {
        frames::decoded(&flight.bytes, flight.kind != FlightKind::Reply)
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
        let clis = self.world().procs().filter(|proc| proc.program == CLI);
        clis.filter_map(|proc| {
            let server = self.units.get(self.target_of(&proc)?)?;
            Some((server.name.clone(), proc.name.to_owned()))
        })
        .collect()
    }

    /// The terminal's process for a server, and what has to be run if there is none yet.
    pub(crate) fn terminal_for(&self, server: &str) -> (String, Option<Action>) {
        let process = format!("cli-{server}");
        if self.world().proc_named(&process).is_some() {
            return (process, None);
        }
        let unit = self.units.named(server).and_then(|index| self.units.get(index));
        let host = unit.and_then(|unit| self.world().host(unit.host));
        let mut args = vec!["-h".to_owned(), host.map_or(server, |host| host.name).to_owned()];
        if let Some(port) = unit.and_then(|unit| unit.port).filter(|&port| port != 6379) {
            args.extend(["-p".to_owned(), port.to_string()]);
        }
        let run = Action::Run {
            host: SHELL.to_owned(),
            name: process.clone(),
            program: CLI.to_owned(),
            args,
        };
        (process, Some(run))
    }

    /// The server that a client's arguments name.
    pub(crate) fn target_of(&self, proc: &ProcView<'_>) -> Option<usize> {
        if !matches!(proc.program, CLI | TRAFFIC) {
            return None;
        }
        let option = |name: &str| {
            let at = proc.args.iter().position(|arg| arg == name)?;
            proc.args.get(at + 1)
        };
        let port = option("-p").and_then(|port| port.parse().ok()).unwrap_or(6379);
        self.units.at(self.world().scenario(), option("-h")?, port)
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
