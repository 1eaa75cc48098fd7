//! Builds the scene of the map at the present moment: bodies with what they show, and links.

use std::rc::Rc;

use limpid_core::sim::ProcState;
use limpid_core::sorted::SortedSet;

use crate::kinds::NodeView;
use crate::kinds::sentinel::judgement;
use crate::lab::Lab;
use crate::layout::Part;
use crate::scene::{Body, Cut, Follow, Health, Link, Machine, Scene};
use crate::units::{BodyId, Unit};

impl Lab {
    /// Builds the scene of the present moment.
    pub(crate) fn scene(&self) -> Scene {
        self.measure();
        let follows = self.follows();
        let sentinels = self.sentinels();
        let members = self.members();
        let bodies = self.units().iter().map(|unit| {
            let follow = follows.iter().find(|follow| follow.to == unit.id);
            let mut body = self.body(unit);
            if unit.kind.part == Part::Server {
                body.judged = judgement(self, &sentinels, unit.id)
                    .or_else(|| self.judged_by(&members, unit.id));
            }
            if let NodeView::Server(server) = &mut body.node
                && let Some(stream) = &mut server.stream
            {
                stream.follows = follow.map(|follow| (follow.state, follow.lag));
            }
            Rc::new(body)
        });
        Scene {
            bodies: bodies.collect(),
            links: self.links(&follows),
            machines: self.machines().into_iter().map(Rc::new).collect(),
            follows: follows.into_iter().map(Rc::new).collect(),
            circle: self.circle(&members).map(Rc::new),
        }
    }

    /// Samples how many messages each body has received, for [`Self::rate`].
    pub(crate) fn measure(&self) {
        let mut meter = self.meter.borrow_mut();
        if !meter.is_due(self.now()) {
            return;
        }
        let mut arrived: Vec<u64> = self.units().iter().map(|_| 0).collect();
        for link in self.world().links() {
            if let Some(count) = self.alone(link.to).and_then(|place| arrived.get_mut(place)) {
                *count += link.messages;
            }
        }
        let counts = self.units().iter().zip(arrived).map(|(unit, arrived)| {
            let count = match unit.shares {
                true => self.server(unit.id).map_or(0, |server| server.overview().commands),
                false => arrived,
            };
            (unit.id, count)
        });
        meter.sample(self.now(), counts.collect());
    }

    /// Messages per second of virtual time that a body received lately.
    pub(crate) fn rate(&self, body: BodyId) -> u64 {
        self.meter.borrow().rate(body)
    }

    fn body(&self, unit: &Unit) -> Body {
        let world = self.world();
        let Some(host) = world.host(unit.host) else { unreachable!("hosts never go") };
        let process = unit.process().and_then(|id| world.proc(id));
        let health = match (host.on, process.map(|process| process.state)) {
            (false, _) => Health::Crashed,
            (true, Some(ProcState::Paused)) => Health::Paused,
            (true, Some(ProcState::Running | ProcState::Down) | None) => Health::Online,
            (true, Some(_)) => Health::Stopped,
        };
        Body {
            id: unit.id,
            kind: unit.kind,
            name: unit.name.clone(),
            host: host.name.to_owned(),
            process: process.filter(|_| unit.shares).map(|process| process.name.to_owned()),
            address: match unit.port.filter(|_| unit.shares) {
                Some(port) => format!("{}:{port}", host.ip),
                None => host.ip.to_string(),
            },
            home: unit.home,
            shard: (unit.kind.part == Part::Server).then(|| self.shard(unit.id)),
            health,
            node: (unit.kind.read)(self, unit),
            judged: None,
        }
    }

    /// Hosts with several bodies.
    fn machines(&self) -> Vec<Machine> {
        let world = self.world();
        let mut machines: Vec<Machine> = Vec::new();
        for unit in self.units().iter().filter(|unit| unit.shares) {
            let Some(host) = world.host(unit.host) else { continue };
            match machines.iter_mut().find(|machine| machine.name == host.name) {
                Some(machine) => machine.members.push(unit.id),
                None => machines.push(Machine {
                    name: host.name.to_owned(),
                    address: host.ip.to_string(),
                    members: vec![unit.id],
                    on: host.on,
                }),
            }
        }
        machines
    }

    /// Links to draw: those of the scenario, those that were used, and those that were changed.
    fn links(&self, follows: &[Follow]) -> Vec<Rc<Link>> {
        let world = self.world();
        let usual = world.scenario().link;
        // A sorted set, so that the links are in the order of the units.
        let mut pairs: SortedSet<(usize, usize)> = SortedSet::new();
        let gossips = self.gossips();
        let mut add = |a: Option<usize>, b: Option<usize>| {
            if let (Some(a), Some(b)) = (a, b)
                && let (Some(one), Some(other)) = (self.units().nth(a), self.units().nth(b))
                && one.host != other.host
                && (!(gossips(a) && gossips(b)) || self.cut_between(one.id, other.id) != Cut::No)
            {
                pairs.insert((a.min(b), a.max(b)));
            }
        };
        let place = |id: BodyId| self.units().place(id);
        for proc in world.procs() {
            let own = self.units().of_process(&proc).and_then(place);
            add(own, self.target_of(&proc).and_then(place));
        }
        for unit in self.units().iter() {
            add(place(unit.id), unit.home.and_then(place));
        }
        // On a host with several bodies it is not known which of them used the link.
        for link in world.links() {
            add(self.alone(link.from), self.alone(link.to));
        }
        for follow in follows {
            if let (Some(a), Some(b)) = (place(follow.from), place(follow.to)) {
                pairs.insert((a.min(b), a.max(b)));
            }
        }
        let ids: Vec<BodyId> = self.units().iter().map(|unit| unit.id).collect();
        let link = |&(a, b): &(usize, usize)| {
            let (a, b) = (*ids.get(a)?, *ids.get(b)?);
            let (forth, back) = (self.units().get(a)?.host, self.units().get(b)?.host);
            let spec = world.link_between(forth, back)?;
            let other = world.link_between(back, forth)?;
            Some(Rc::new(Link {
                a,
                b,
                latency: spec.latency.max(other.latency),
                loss_ppm: spec.loss_ppm.max(other.loss_ppm),
                changed: spec != usual || other != usual,
                cut: self.cut_between(a, b),
            }))
        };
        pairs.iter().filter_map(link).collect()
    }

    /// Which directions of the link between two bodies are cut.
    pub(crate) fn cut_between(&self, a: BodyId, b: BodyId) -> Cut {
        let host = |id: BodyId| self.units().get(id).map(|unit| unit.host);
        let (Some(a), Some(b)) = (host(a), host(b)) else { return Cut::No };
        let is_cut = |from, to| self.world().is_cut(from, to);
        match (is_cut(a, b), is_cut(b, a)) {
            (false, false) => Cut::No,
            (true, false) => Cut::Forth,
            (false, true) => Cut::Back,
            (true, true) => Cut::Both,
        }
    }
}
