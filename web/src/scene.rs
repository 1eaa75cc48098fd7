//! The scene: what the map shows of a World at one moment, bodies and the links between them.

use core::time::Duration;
use std::rc::Rc;

use limpid_core::sim::Action;

use crate::cluster::Circle;
use crate::i18n::{Locale, Text};
use crate::kinds::{Kind, NodeView, Role};
use crate::layout::{Node, Part};
use crate::units::BodyId;

/// The scene. Unchanged parts keep their allocation, so that comparing is cheap.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Scene {
    /// One for each unit, in the scenario's order.
    pub bodies: Vec<Rc<Body>>,
    /// The links that carry something or that were changed.
    pub links: Vec<Rc<Link>>,
    /// Replication, as the replicas see it.
    pub follows: Vec<Rc<Follow>>,
    /// The hosts with several bodies.
    pub machines: Vec<Rc<Machine>>,
    /// The circle of slots, if there is a cluster.
    pub circle: Option<Rc<Circle>>,
}

/// A host with several bodies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Machine {
    /// Its name, for actions.
    pub name: String,
    /// Its address.
    pub address: String,
    /// The bodies.
    pub members: Vec<BodyId>,
    /// Whether it has power.
    pub on: bool,
}

/// A replica and its primary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Follow {
    /// The primary.
    pub from: BodyId,
    /// The replica.
    pub to: BodyId,
    /// The hue of the primary's shard.
    pub shard: usize,
    /// The state of the replication link, as the replica reports it.
    pub state: FollowState,
    /// The replication lag: bytes of the primary's stream that the replica has not applied, if both
    /// have the same stream.
    pub lag: Option<u64>,
    /// Which directions of the link between them are cut.
    pub cut: Cut,
}

/// The state of a replica's link to its primary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FollowState {
    /// No connection, or connecting.
    Down,
    /// The handshake.
    Handshake,
    /// Full synchronization.
    Sync,
    /// Connected: it receives the stream.
    Online,
}

/// A body: a process, or a host with a person's terminals.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Body {
    /// Its id.
    pub id: BodyId,
    /// The kind of its process.
    pub kind: &'static Kind,
    /// Its name.
    pub name: String,
    /// The name of its host, for actions.
    pub host: String,
    /// The name of its process, if the host has several bodies.
    pub process: Option<String>,
    /// Its address.
    pub address: String,
    /// Its primary by its configuration, if it is a replica.
    pub home: Option<BodyId>,
    /// Which shard it belongs to, counted from 0; `None` if it holds no data.
    pub shard: Option<usize>,
    /// Whether it runs.
    pub health: Health,
    /// The state of its process, as its kind reads it.
    pub node: NodeView,
    /// What Sentinels or the other nodes of its cluster believe about it, if any watch it.
    pub judged: Option<Judgement>,
}

/// The beliefs of all Sentinels, or cluster nodes, that watch a server.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Judgement {
    /// How many watch it.
    pub watched_by: usize,
    /// How many of them consider it down (SDOWN or PFAIL).
    pub down_for: usize,
    /// Whether that is enough for one of them (ODOWN or FAIL).
    pub objectively: bool,
    /// Whether this is the belief of cluster nodes (PFAIL, FAIL) rather than Sentinels.
    pub in_cluster: bool,
}

/// Whether a body runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Health {
    /// Running.
    Online,
    /// Its host is up, its process does not run.
    Stopped,
    /// Frozen.
    Paused,
    /// Without power.
    Crashed,
}

/// A link between two hosts.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Link {
    /// The body at one end.
    pub a: BodyId,
    /// The body at the other.
    pub b: BodyId,
    /// The latency: that of the slower direction.
    pub latency: Duration,
    /// The loss of messages, in parts per million.
    pub loss_ppm: u32,
    /// Whether latency or loss differ from the scenario.
    pub changed: bool,
    /// Whether it is cut.
    pub cut: Cut,
}

/// Which directions of a link are cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// None.
    No,
    /// From a to b.
    Forth,
    /// From b to a.
    Back,
    /// Both.
    Both,
}

impl Scene {
    /// Reuses the allocations of an older scene's parts that are equal.
    pub(crate) fn share_with(&mut self, old: &Scene) {
        fn share<T: PartialEq>(new: &mut [Rc<T>], old: &[Rc<T>]) {
            for (new, old) in new.iter_mut().zip(old) {
                if **new == **old {
                    *new = Rc::clone(old);
                }
            }
        }
        share(&mut self.bodies, &old.bodies);
        share(&mut self.links, &old.links);
        share(&mut self.follows, &old.follows);
        share(&mut self.machines, &old.machines);
        if self.circle == old.circle {
            self.circle.clone_from(&old.circle);
        }
    }

    /// The bodies as the layout needs them, in the same order.
    pub(crate) fn layout_nodes(&self) -> Vec<Node> {
        let index = |id: BodyId| self.bodies.iter().position(|body| body.id == id);
        let mut nodes: Vec<Node> = self
            .bodies
            .iter()
            .map(|body| Node {
                part: body.kind.part,
                outline: &body.kind.outline,
                talks_to: Vec::new(),
                home: body.home.and_then(index),
                machine: None,
            })
            .collect();
        for (number, machine) in self.machines.iter().enumerate() {
            for member in machine.members.iter().filter_map(|&member| index(member)) {
                nodes[member].machine = Some(number);
            }
        }
        for link in &self.links {
            let (Some(a), Some(b)) = (index(link.a), index(link.b)) else { continue };
            for (from, to) in [(a, b), (b, a)] {
                if nodes[from].part == Part::Client && nodes[to].part == Part::Server {
                    nodes[from].talks_to.push(to);
                }
            }
        }
        nodes
    }

    /// A body by its id.
    pub(crate) fn body(&self, id: BodyId) -> Option<&Rc<Body>> {
        self.bodies.iter().find(|body| body.id == id)
    }

    /// The name of a body; empty if there is none of that id.
    pub(crate) fn name(&self, id: BodyId) -> &str {
        self.body(id).map_or("", |body| &body.name)
    }

    /// The names that actions accept: those of bodies and of machines.
    pub(crate) fn names(&self) -> Vec<String> {
        let bodies = self.bodies.iter().map(|body| body.name.clone());
        bodies.chain(self.machines.iter().map(|machine| machine.name.clone())).collect()
    }

    /// The body of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Rc<Body>> {
        self.bodies.iter().find(|body| body.name == name)
    }
}

impl Health {
    /// Its name.
    pub(crate) fn text(self) -> Text {
        match self {
            Health::Online => words::STATE_ONLINE,
            Health::Stopped => words::STATE_STOPPED,
            Health::Paused => words::STATE_PAUSED,
            Health::Crashed => words::STATE_CRASHED,
        }
    }

    /// Its name in tests and styles.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Health::Online => "online",
            Health::Stopped => "stopped",
            Health::Paused => "paused",
            Health::Crashed => "crashed",
        }
    }

    /// Whether nothing runs on it.
    pub(crate) fn is_down(self) -> bool {
        matches!(self, Health::Stopped | Health::Crashed)
    }
}

impl FollowState {
    /// Its name for people.
    pub(crate) fn text(self) -> Text {
        match self {
            FollowState::Down => words::FOLLOW_DOWN,
            FollowState::Handshake => words::FOLLOW_HANDSHAKE,
            FollowState::Sync => words::FOLLOW_SYNC,
            FollowState::Online => words::FOLLOW_ONLINE,
        }
    }

    /// Its name in styles and tests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            FollowState::Down => "down",
            FollowState::Handshake => "handshake",
            FollowState::Sync => "sync",
            FollowState::Online => "online",
        }
    }
}

impl Body {
    /// The target of actions: its process, or its host if that has no other body.
    pub(crate) fn target(&self) -> String {
        self.process.as_ref().unwrap_or(&self.host).clone()
    }

    /// The name on the map: on a machine's plate, which shows the machine's name, only the port.
    pub(crate) fn short_name(&self) -> &str {
        match (&self.process, self.name.find(':')) {
            (Some(_), Some(at)) => &self.name[at..],
            _ => &self.name,
        }
    }

    /// The action that crashes it: a power loss of its host, or a crash of only its process if the
    /// host has others.
    pub(crate) fn crash(&self) -> Action {
        match &self.process {
            Some(process) if self.health != Health::Crashed => {
                Action::Kill { target: process.clone() }
            }
            _ => Action::Crash { host: self.host.clone() },
        }
    }

    /// The action that starts it again.
    pub(crate) fn restart(&self) -> Action {
        match &self.process {
            Some(process) if self.health != Health::Crashed => {
                Action::Start { target: process.clone() }
            }
            _ => Action::Restart { host: self.host.clone(), disk: true },
        }
    }

    /// Its role.
    pub(crate) fn role(&self) -> Role {
        self.node.role()
    }

    /// Whether redis-cli can be connected to it.
    pub(crate) fn has_terminal(&self) -> bool {
        self.kind.port.is_some()
    }

    /// The line under the name.
    pub(crate) fn line(&self, locale: Locale) -> String {
        if self.health != Health::Online {
            return locale.say(self.health.text()).to_owned();
        }
        (self.kind.line)(self, locale)
    }

    /// A second line under the name, if there is one.
    pub(crate) fn second_line(&self, locale: Locale) -> Option<String> {
        (self.kind.second_line)(self, locale)
    }

    /// Its description for screen readers.
    pub(crate) fn spoken(&self, locale: Locale) -> String {
        let values = [
            ("name", self.name.as_str()),
            ("role", locale.say(self.role().text)),
            ("state", locale.say(self.health.text())),
        ];
        let base = locale.fill(words::NODE_SPOKEN, &values);
        let mut spoken = match self.line(locale) {
            line if line.is_empty() || self.health != Health::Online => base,
            line => locale.fill(words::NODE_SPOKEN_DOING, &[("node", &base), ("line", &line)]),
        };
        if let Some(line) = self.second_line(locale) {
            spoken = locale.fill(words::NODE_SPOKEN_DOING, &[("node", &spoken), ("line", &line)]);
        }
        spoken
    }
}

impl Link {
    /// Its state in a few words, beginning with what differs from an ordinary link.
    pub(crate) fn state(&self, locale: Locale, a: &str, b: &str) -> String {
        let latency = crate::figures::duration(self.latency);
        let latency = locale.fill(words::LINK_LATENCY, &[("latency", &latency)]);
        let mut parts = Vec::new();
        match self.cut {
            Cut::Both => parts.push(locale.say(words::LINK_CUT).to_owned()),
            Cut::Forth => parts.push(locale.fill(words::LINK_CUT_ONE_WAY, &[("a", a), ("b", b)])),
            Cut::Back => parts.push(locale.fill(words::LINK_CUT_ONE_WAY, &[("a", b), ("b", a)])),
            Cut::No => {}
        }
        if self.cut != Cut::Both {
            parts.push(latency);
        }
        if self.loss_ppm > 0 {
            let percent = format!("{}", f64::from(self.loss_ppm) / 10_000.0);
            parts.push(locale.fill(words::LINK_LOSS, &[("loss", &percent)]));
        }
        parts.join(" · ")
    }
}

mod words {
    crate::i18n::texts! {
        FOLLOW_DOWN: "no link", "未连接";
        FOLLOW_HANDSHAKE: "handshake", "握手中";
        FOLLOW_SYNC: "copying", "全量同步中";
        FOLLOW_ONLINE: "streaming", "增量同步中";
        STATE_ONLINE: "online", "在线";
        STATE_PAUSED: "paused", "已暂停";
        STATE_CRASHED: "crashed", "已崩溃";
        STATE_STOPPED: "stopped", "已停止";
        NODE_SPOKEN: "{name}, {role}, {state}", "{name}，{role}，{state}";
        NODE_SPOKEN_DOING: "{node}, {line}", "{node}，{line}";
        LINK_LATENCY: "latency {latency}", "延迟 {latency}";
        LINK_LOSS: "loses {loss} %", "丢包 {loss} %";
        LINK_CUT: "cut", "已断开";
        LINK_CUT_ONE_WAY: "cut from {a} to {b}", "{a} 到 {b} 方向已断开";
    }
}
