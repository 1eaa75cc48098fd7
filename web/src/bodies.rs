//! What stands on the map: bodies, machines and links, as the World has them now.

use std::rc::Rc;

use limpid_core::lab::{SERVER, TRAFFIC};
use limpid_core::sim::ProcState;
use limpid_core::sorted::SortedSet;

use crate::lab::Lab;
use crate::layout::Kind;
use crate::scene::{Body, Cut, Doing, Follow, Health, Link, Machine, Role, Scene, Stream};
use crate::units::Unit;

impl Lab {
    /// What the map shows now.
    pub(crate) fn scene(&self) -> Scene {
        self.measure();
        let follows = self.follows();
        let bodies = self.units().iter().map(|(index, unit)| {
            let follow = follows.iter().find(|follow| follow.to == index);
            let mut body = self.body(index, unit);
            if let Some(stream) = &mut body.stream {
                stream.follows = follow.map(|follow| (follow.state, follow.lag));
            }
            Rc::new(body)
        });
        Scene {
            bodies: bodies.collect(),
            links: self.links(&follows),
            machines: self.machines().into_iter().map(Rc::new).collect(),
            follows: follows.into_iter().map(Rc::new).collect(),
        }
    }

    /// Counts what each body has received so far.
    pub(crate) fn measure(&self) {
        let mut meter = self.meter.borrow_mut();
        if !meter.is_due(self.now()) {
            return;
        }
        let world = self.world();
        let counts = self.units().iter().map(|(index, unit)| match unit.shares {
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
        let main = self.units().process(world, index).and_then(|id| world.proc(id));
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
        for (index, unit) in self.units().iter().filter(|(_, unit)| unit.shares) {
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
    fn links(&self, follows: &[Follow]) -> Vec<Rc<Link>> {
        let world = self.world();
        let usual = world.scenario().link;
        let mut pairs: SortedSet<(usize, usize)> = SortedSet::new();
        let mut add = |a: Option<usize>, b: Option<usize>| {
            if let (Some(a), Some(b)) = (a, b)
                && a != b
                && self.units().get(a).map(|unit| unit.host) != self.units().get(b).map(|u| u.host)
            {
                pairs.insert((a.min(b), a.max(b)));
            }
        };
        for proc in world.procs() {
            add(self.units().of_process(&proc), self.target_of(&proc));
        }
        for (index, unit) in self.units().iter() {
            add(Some(index), unit.home);
        }
        for follow in follows {
            add(Some(follow.from), Some(follow.to));
        }
        for link in world.links() {
            // Of hosts that carry several bodies one cannot tell which of them it was.
            let alone = |host| {
                let unit = self.units().of_host(host)?;
                self.units().get(unit).filter(|found| !found.shares).map(|_| unit)
            };
            add(alone(link.from), alone(link.to));
        }
        let link = |&(a, b): &(usize, usize)| {
            let (forth, back) = (self.units().get(a)?.host, self.units().get(b)?.host);
            let spec = world.link_between(forth, back)?;
            let other = world.link_between(back, forth)?;
            Some(Rc::new(Link {
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
        let host = |index: usize| self.units().get(index).map(|unit| unit.host);
        let (Some(a), Some(b)) = (host(a), host(b)) else { return Cut::No };
        let is_cut = |from, to| self.world().cuts().any(|cut| cut == (from, to));
        match (is_cut(a, b), is_cut(b, a)) {
            (false, false) => Cut::No,
            (true, false) => Cut::Forth,
            (false, true) => Cut::Back,
            (true, true) => Cut::Both,
        }
    }
}
