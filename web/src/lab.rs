//! The World behind the page, and what the page reads from it. Nothing here depends on a browser.

use core::time::Duration;

use limpid_core::lab::{self, CLI, Shown, TRAFFIC, Terminal, Traffic};
use limpid_core::machine::Endpoint;
use limpid_core::sim::{Action, ActionError, Future, ProcState, ProcView, Session, Step, World};
use limpid_core::time::Mono;

use crate::marks::Decisions;
use crate::meter::Meter;
use crate::share::{CORE, Difference, Shared};
use crate::terminal::tabs::Terminals;
use crate::topology::SHELL;
use crate::units::{BodyId, Unit, Units};

pub(crate) use crate::topology::Topology;

/// A session of a topology.
pub(crate) struct Lab {
    topology: Topology,
    seed: u64,
    session: Session,
    units: Units,
    pub(crate) meter: core::cell::RefCell<Meter>,
    pub(crate) decisions: Decisions,
    difference: Option<Difference>,
}

impl Lab {
    /// The seed of a session that did not come from a link.
    pub(crate) const SEED: u64 = 7;
    /// When the first terminal connects: a moment after its server began to listen.
    const TERMINAL_AT: Duration = Duration::from_millis(2);

    /// Opens a topology at its beginning.
    pub(crate) fn open(topology: Topology, seed: u64) -> Self {
        let session = Session::new(topology.scenario(), seed, lab::programs);
        let units = Units::of(session.world());
        let mut lab = Lab {
            topology,
            seed,
            session,
            units,
            meter: Default::default(),
            decisions: Decisions::default(),
            difference: None,
        };
        // One terminal is open from the start, to invite typing.
        lab.session.advance(Mono::ZERO + Self::TERMINAL_AT, u64::MAX);
        if let Some(run) = lab.first_terminal(topology.first_node()) {
            // Cannot fail: the name is new.
            let _ = lab.act(run, Future::Discard);
        }
        lab
    }

    /// Opens a topology and runs it for its warm-up time, so that there is something to see.
    pub(crate) fn fresh(topology: Topology) -> Self {
        const STEPS: u32 = 10;
        let mut lab = Lab::open(topology, Self::SEED);
        for step in 1..=STEPS {
            let until = Mono::ZERO + topology.warm_up() * step / STEPS;
            lab.run_until(until.0, u64::MAX);
            lab.measure();
        }
        lab
    }

    /// Opens a shared session at its moment.
    pub(crate) fn open_shared(shared: Shared) -> Self {
        let mut lab = Lab::open(shared.topology, shared.seed);
        if !shared.actions.is_empty() {
            let mut record = lab.session.record();
            record.actions = shared.actions.clone();
            lab.session = Session::from_record(record, lab::programs);
        }
        lab.seek(shared.at);
        lab.difference = shared.difference(&lab);
        lab
    }

    /// Set if another version of the core made the session, so that its course may differ.
    pub(crate) fn difference(&self) -> Option<&Difference> {
        self.difference.as_ref()
    }

    /// The content of a link to this session and moment.
    pub(crate) fn shared(&self) -> Shared {
        Shared {
            topology: self.topology,
            seed: self.seed,
            at: self.now(),
            actions: self.session.actions().to_vec(),
            core: Some(CORE.to_owned()),
            trace: None,
        }
    }

    /// The same with the trace hash, unless the moment is between two events of the same time.
    pub(crate) fn shared_exactly(&self) -> Shared {
        let now = self.session.now();
        let settled = self.world().next_event_at().is_none_or(|at| at > now);
        Shared { trace: settled.then(|| self.trace_hash()), ..self.shared() }
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

    /// The end of the known future.
    pub(crate) fn end(&self) -> u64 {
        self.session.horizon().0.max(self.now())
    }

    /// Whether the present moment is before the end of the known future.
    pub(crate) fn is_past(&self) -> bool {
        self.session.is_past()
    }

    /// The number of actions up to now.
    #[cfg(feature = "whole")]
    pub(crate) fn actions(&self) -> usize {
        self.session.done()
    }

    /// The number of events up to now.
    pub(crate) fn steps(&self) -> u64 {
        self.world().steps()
    }

    /// The hash of all events up to now.
    pub(crate) fn trace_hash(&self) -> u64 {
        self.world().trace_hash()
    }

    /// Runs until a moment, or for at most so many events; true if the moment was reached.
    pub(crate) fn run_until(&mut self, ns: u64, events: u64) -> bool {
        self.run_while(ns, events, || true)
    }

    /// Runs in batches of events until a moment or until `enough`; true if the moment was reached.
    pub(crate) fn run_while(&mut self, ns: u64, batch: u64, enough: impl Fn() -> bool) -> bool {
        let before = Units::process_counts(self.world());
        let mut reached = self.session.advance(Mono(ns), batch);
        while !reached && !enough() {
            reached = self.session.advance(Mono(ns), batch);
        }
        // Once, not per batch: a cluster of a hundred nodes has a hundred logs and tables to read.
        if Units::process_counts(self.world()) != before {
            self.look_again();
        }
        self.note_decisions();
        reached
    }

    /// Goes to a moment.
    pub(crate) fn seek(&mut self, ns: u64) {
        self.session.seek(Mono(ns));
        self.look_again();
    }

    /// Steps one event forward or back.
    pub(crate) fn step(&mut self, forward: bool) {
        if forward {
            self.session.step(Step::Event, 1);
        } else {
            self.session.step_back();
        }
        self.look_again();
    }

    /// Steps to the next event of a kind, if one comes within `MAX_EVENTS`.
    pub(crate) fn step_to(&mut self, step: Step) {
        const MAX_EVENTS: u64 = 50_000;
        if step == Step::Change && (self.units.has_sentinels() || !self.members().is_empty()) {
            // Decisions of Sentinels and cluster nodes are changes of state, too, but no events of
            // the World.
            let decision = self.next_decision();
            for _ in 0..MAX_EVENTS {
                let known = self.world().events().next();
                if !self.session.step(Step::Event, 1)
                    || self.note_decisions()
                    || decision.is_some_and(|at| self.now() >= at)
                    || self.world().events().since(known).any(|event| event.kind.is_change())
                {
                    break;
                }
            }
        } else {
            self.session.step(step, MAX_EVENTS);
        }
        self.look_again();
    }

    /// Carries out an action now. A known future is kept as a branch or discarded.
    pub(crate) fn act(&mut self, action: Action, future: Future) -> Result<(), ActionError> {
        let result = self.session.act(action, future);
        self.forget_decisions_ahead();
        self.look_again();
        result
    }

    /// Undoes the last action that was no typing; returns its text.
    pub(crate) fn undo(&mut self) -> Option<String> {
        let done = self.session.actions().get(..self.session.done())?;
        let number = done.iter().rposition(|timed| !is_typing(&timed.action))?;
        let text = self.session.actions()[number].action.to_string();
        let undone = self.session.undo(number);
        self.forget_decisions_ahead();
        self.look_again();
        undone.then_some(text)
    }

    /// The number of kept futures (branches).
    pub(crate) fn branches(&self) -> usize {
        self.session.branches().len()
    }

    /// Switches to the branch that was left last.
    pub(crate) fn switch_branch(&mut self) {
        if let Some(last) = self.branches().checked_sub(1) {
            self.session.switch(last);
            self.forget_decisions_ahead();
            self.look_again();
        }
    }

    /// Reads the units again, since the World may have other processes than before.
    fn look_again(&mut self) {
        self.units = Units::of(self.session.world());
    }

    /// The session.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The units, which have bodies on the map.
    pub(crate) fn units(&self) -> &Units {
        &self.units
    }

    /// The machine of a unit's process, if it runs and is one of type `M`.
    pub(crate) fn machine<M: 'static>(&self, unit: &Unit) -> Option<&M> {
        self.world().machine(unit.process()?)
    }

    /// The content of a terminal.
    pub(crate) fn console(&self, process: &str) -> Option<Shown> {
        self.terminal(process).map(Terminal::shown)
    }

    fn terminal(&self, process: &str) -> Option<&Terminal> {
        let world = self.world();
        world.machine(world.proc_named(process)?.id)
    }

    /// A number that changes with the content of a terminal.
    pub(crate) fn line_count(&self, terminals: &Terminals) -> u64 {
        let front = terminals.front().and_then(|tab| self.console(&tab.process));
        front.map_or(0, |shown| {
            let lines = shown.blocks.len() as u64 * 4 + u64::from(shown.waiting);
            lines.wrapping_mul(1 << 32) + shown.length * 256 + shown.prompt.len() as u64
        })
    }

    /// The hint for what may follow a typed line.
    pub(crate) fn hint(&self, line: &str) -> Option<String> {
        lab::help().hint(line)
    }

    /// The lines that Tab offers as completions.
    pub(crate) fn complete(&self, line: &str) -> Vec<String> {
        lab::help().complete(line)
    }

    /// The nodes that have a terminal, and the processes of those.
    pub(crate) fn terminals(&self) -> Vec<(String, String)> {
        let world = self.world();
        let clis = world
            .procs()
            .filter(|proc| proc.program == CLI && world.machine::<Terminal>(proc.id).is_some());
        clis.filter_map(|proc| {
            let node = self.units.name(self.target_of(&proc)?);
            Some((node.to_owned(), proc.name.to_owned()))
        })
        .collect()
    }

    /// The logged-in shells, each as host and terminal.
    pub(crate) fn shells(&self) -> Vec<(String, String)> {
        let world = self.world();
        let alive = world.ttys().filter(|tty| tty.is_alive());
        let named = alive.filter_map(|tty| {
            Some((world.host(tty.host())?.name.to_owned(), tty.name().to_owned()))
        });
        named.collect()
    }

    /// A number that changes with the content of a shell's terminal.
    pub(crate) fn shown_by_shells(&self) -> u64 {
        let shown = self.world().ttys().map(|tty| tty.shown() * 2 + u64::from(tty.is_alive()));
        shown.fold(0, u64::wrapping_add)
    }

    /// The action that opens the first terminal: a redis-cli, or a shell on a host that runs
    /// nothing yet.
    fn first_terminal(&self, node: &str) -> Option<Action> {
        let world = self.world();
        let bare = world.host_named(node);
        let bare = bare.filter(|host| world.procs().all(|proc| proc.host != host.id));
        match bare {
            None => self.terminal_for(node).1,
            Some(host) => Some(Action::Login {
                host: host.name.to_owned(),
                terminal: format!("{node}-tty1"),
                columns: 80,
                rows: 24,
            }),
        }
    }

    /// The process of a node's terminal, and the action that starts it if there is none yet.
    pub(crate) fn terminal_for(&self, node: &str) -> (String, Option<Action>) {
        let process = format!("cli-{node}");
        if self.world().proc_named(&process).is_some() {
            return (process, None);
        }
        let unit = self.units.named(node);
        let host = unit.and_then(|unit| self.world().host(unit.host));
        let mut args = vec!["-h".to_owned(), host.map_or(node, |host| host.name).to_owned()];
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

    /// The node that a client is connected to, by its arguments.
    pub(crate) fn target_of(&self, proc: &ProcView<'_>) -> Option<BodyId> {
        if !matches!(proc.program, CLI | TRAFFIC) {
            return None;
        }
        // A client that asks Sentinels changes its target.
        let traffic = self.world().machine::<Traffic>(proc.id).map(Traffic::client);
        if let Some(Endpoint::Ip(at)) = traffic.map(|traffic| &traffic.config().target) {
            return self.units.at_address(at.ip(), at.port());
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

/// Whether an action only concerns terminals.
pub(crate) fn is_typing(action: &Action) -> bool {
    matches!(
        action,
        Action::Type { .. }
            | Action::Interrupt { .. }
            | Action::Run { .. }
            | Action::Login { .. }
            | Action::Keys { .. }
            | Action::Resize { .. }
    )
}

#[cfg(test)]
mod tests {
    use limpid_core::lab::SERVER;

    use super::*;
    use crate::marks::{Mark, MarkKind};

    fn names(lab: &Lab) -> Vec<String> {
        lab.scene().bodies.iter().map(|body| body.name.clone()).collect()
    }

    #[test]
    fn a_server_that_is_started_later_appears_and_goes_again_with_the_past() {
        let mut lab = Lab::fresh(Topology::USUAL);
        let (before, at) = (lab.scene(), lab.now());
        lab.run_until(at + 1_000_000, u64::MAX);
        let run = Action::Run {
            host: "redis-2".to_owned(),
            name: "redis-2:6380".to_owned(),
            program: SERVER.to_owned(),
            args: vec!["--port".to_owned(), "6380".to_owned()],
        };
        lab.act(run, Future::Discard).expect("the server starts");
        let after = lab.scene();
        let of = |scene: &crate::scene::Scene, name: &str| scene.named(name).map(|body| body.id);
        // It shares its host now, so both have the names of their processes; the other one is still
        // the same body.
        assert_eq!(of(&after, "redis-2:6379"), of(&before, "redis-2"));
        assert!(of(&after, "redis-2:6380").is_some());
        assert_eq!(after.machines.len(), 1);
        assert_eq!(of(&after, "redis-3"), of(&before, "redis-3"));
        lab.seek(at);
        assert_eq!(names(&lab), before.bodies.iter().map(|body| &*body.name).collect::<Vec<_>>());
    }

    #[test]
    fn a_server_that_its_file_leads_to_another_folder_is_known_by_its_port() {
        let mut lab = Lab::fresh(Topology::USUAL);
        let write = Action::Write {
            host: "redis-1".to_owned(),
            path: "/data/7001/redis.conf".to_owned(),
            text: "port 7001\ndir /data/7001\n".into(),
        };
        lab.act(write, Future::Discard).expect("the file is written");
        let run = Action::Run {
            host: "redis-1".to_owned(),
            name: "second".to_owned(),
            program: SERVER.to_owned(),
            args: vec!["data/7001/redis.conf".to_owned()],
        };
        lab.act(run, Future::Discard).expect("the server starts");
        lab.run_until(lab.now() + 1_000_000_000, u64::MAX);
        let process = lab.world().procs().find(|process| process.name == "second");
        assert_eq!(process.expect("a process").dir, "/data/7001");
        assert_eq!(lab.units.named("second").and_then(|unit| unit.port), Some(7001));
    }

    /// The moments at which steps to the next change of state stop, up to `until`.
    fn stops(lab: &mut Lab, until: u64) -> Vec<u64> {
        let mut stops = Vec::new();
        while lab.now() < until {
            lab.step_to(Step::Change);
            stops.push(lab.now());
        }
        stops
    }

    /// All decisions of Sentinels after a moment.
    fn decided(lab: &Lab, after: u64) -> Vec<Mark> {
        let marks = lab.marks().into_iter();
        let own = |kind| !matches!(kind, MarkKind::Fault | MarkKind::Command);
        marks.filter(|mark| mark.at > after && own(mark.kind)).collect()
    }

    #[test]
    fn steps_to_the_next_change_stop_at_each_decision_of_sentinels_also_after_a_rewind() {
        let mut lab = Lab::fresh(Topology::named("sentinels-3").expect("a topology"));
        let calm = lab.now();
        let crash = "crash redis-1".parse().expect("an action");
        lab.act(crash, Future::Discard).expect("it is up");
        let mut first = Vec::new();
        let promoted = |lab: &Lab| decided(lab, calm).iter().any(|m| m.kind == MarkKind::Switch);
        while !promoted(&lab) {
            lab.step_to(Step::Change);
            first.push(lab.now());
        }
        let marks = decided(&lab, calm);
        for kind in [MarkKind::Suspected, MarkKind::Down, MarkKind::Vote, MarkKind::Switch] {
            assert!(marks.iter().any(|mark| mark.kind == kind), "{kind:?} in {marks:?}");
        }
        let end = lab.now();
        lab.seek(calm);
        let again = stops(&mut lab, end);
        for Mark { at, kind } in &marks {
            assert!(first.contains(at), "{kind:?} at {at} was passed: {first:?}");
            assert!(again.contains(at), "{kind:?} at {at} was passed after a rewind: {again:?}");
        }
        assert_eq!(decided(&lab, calm), marks, "nothing is marked twice");
    }
}
