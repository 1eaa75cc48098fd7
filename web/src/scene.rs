//! What the map shows of a World at one moment: bodies and the links between them.

use core::time::Duration;
use std::rc::Rc;

use limpid_core::sim::Action;

use crate::i18n::{Locale, Text, common};
use crate::layout::{Kind, Seat};

/// Bodies and links. Parts that did not change keep their allocation, so that comparing is cheap.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Scene {
    /// One for each unit, in the scenario's order.
    pub bodies: Vec<Rc<Body>>,
    /// The links that carry something or that somebody changed.
    pub links: Vec<Rc<Link>>,
    /// Who follows whom, as the followers believe.
    pub follows: Vec<Rc<Follow>>,
    /// The hosts that carry several bodies.
    pub machines: Vec<Rc<Machine>>,
}

/// A host that carries several bodies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Machine {
    /// Its name in actions.
    pub name: String,
    /// Its address.
    pub address: String,
    /// The bodies.
    pub members: Vec<usize>,
    /// Whether it has power.
    pub on: bool,
}

/// A replica and its primary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Follow {
    /// The primary.
    pub from: usize,
    /// The replica.
    pub to: usize,
    /// The hue of the primary's shard.
    pub shard: usize,
    /// How the replica says that it stands to its primary.
    pub state: FollowState,
    /// How many bytes of the primary's stream the replica has not carried out, if they have the
    /// same stream.
    pub lag: Option<u64>,
    /// Which directions of the link between them are cut.
    pub cut: Cut,
}

/// How a replica stands to its primary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FollowState {
    /// It has no connection, or is about to make one.
    Down,
    /// It makes itself known.
    Handshake,
    /// It gets a copy of the data.
    Sync,
    /// It gets the stream.
    Online,
}

/// Where a server's stream is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stream {
    /// The offset of its last byte.
    pub offset: i64,
    /// A replica's way to its primary, with how far it is behind.
    pub follows: Option<(FollowState, Option<u64>)>,
}

/// A body: a server, a client, or a host with a person's terminals.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Body {
    /// Its name.
    pub name: String,
    /// The name of its host in actions.
    pub host: String,
    /// The name of its process, if it is not the only one on its host.
    pub process: Option<String>,
    /// Its address.
    pub address: String,
    /// The place that it has on the map, whatever its role has become.
    pub kind: Kind,
    /// The body that the scenario makes it a replica of.
    pub home: Option<usize>,
    /// What it is for.
    pub role: Role,
    /// Where its stream is, if it replicates.
    pub stream: Option<Stream>,
    /// Which shard it belongs to, counted from 0.
    pub shard: usize,
    /// How it is.
    pub health: Health,
    /// What it is doing, in figures.
    pub doing: Doing,
}

/// What a body is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// A server that takes writes.
    Primary,
    /// A server that follows another.
    Replica,
    /// A client that generates traffic.
    Client,
    /// A person's terminals.
    Shell,
}

/// How a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Health {
    /// At work.
    Online,
    /// Up, and its process is not.
    Stopped,
    /// Frozen.
    Paused,
    /// Without power.
    Crashed,
}

/// What a body is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doing {
    /// Holds so many keys, and carries out so many commands a second of virtual time.
    Serving {
        /// Keys over all databases.
        keys: u64,
        /// Commands a second.
        rate: u64,
    },
    /// Sends so many commands a second, of which some wait for their reply.
    Asking {
        /// Replies a second.
        rate: u64,
        /// Whether a reply is overdue.
        stuck: bool,
    },
    /// Nothing to tell.
    Nothing,
}

/// A link between two hosts.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Link {
    /// The body at one end.
    pub a: usize,
    /// The body at the other.
    pub b: usize,
    /// Time from a to b.
    pub latency: Duration,
    /// Messages lost, in parts per million.
    pub loss_ppm: u32,
    /// Whether latency or loss differ from how the link was built.
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
    /// Takes over the parts of an older scene that are the same, so that they compare as one.
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
    }

    /// What the layout needs to know.
    pub(crate) fn seats(&self) -> Vec<Seat> {
        let mut seats: Vec<Seat> = self
            .bodies
            .iter()
            .map(|body| Seat {
                kind: body.kind,
                talks_to: Vec::new(),
                home: body.home,
                machine: None,
            })
            .collect();
        for (number, machine) in self.machines.iter().enumerate() {
            for &member in &machine.members {
                seats[member].machine = Some(number);
            }
        }
        for link in &self.links {
            for (from, to) in [(link.a, link.b), (link.b, link.a)] {
                if seats[from].kind == Kind::Client && seats[to].kind == Kind::Server {
                    seats[from].talks_to.push(to);
                }
            }
        }
        seats
    }

    /// Names that actions know: of bodies and of machines.
    pub(crate) fn names(&self) -> Vec<String> {
        let bodies = self.bodies.iter().map(|body| body.name.clone());
        bodies.chain(self.machines.iter().map(|machine| machine.name.clone())).collect()
    }

    /// The body of this name.
    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.bodies.iter().position(|body| body.name == name)
    }
}

impl Role {
    /// As styles and tests know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Replica => "replica",
            Role::Client => "client",
            Role::Shell => "terminal",
        }
    }

    /// Whether it is a server.
    pub(crate) fn is_server(self) -> bool {
        matches!(self, Role::Primary | Role::Replica)
    }

    /// Its name.
    pub(crate) fn text(self) -> Text {
        match self {
            Role::Primary => common::ROLE_PRIMARY,
            Role::Replica => words::ROLE_REPLICA,
            Role::Client => words::ROLE_CLIENT,
            Role::Shell => words::ROLE_TERMINAL,
        }
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

    /// As tests and styles know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Health::Online => "online",
            Health::Stopped => "stopped",
            Health::Paused => "paused",
            Health::Crashed => "crashed",
        }
    }

    /// Whether nothing runs.
    pub(crate) fn is_down(self) -> bool {
        matches!(self, Health::Stopped | Health::Crashed)
    }
}

impl FollowState {
    /// What it is called.
    pub(crate) fn text(self) -> Text {
        match self {
            FollowState::Down => words::FOLLOW_DOWN,
            FollowState::Handshake => words::FOLLOW_HANDSHAKE,
            FollowState::Sync => words::FOLLOW_SYNC,
            FollowState::Online => words::FOLLOW_ONLINE,
        }
    }

    /// As styles and tests know it.
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
    /// The target of actions on its process, or on its host if that carries nothing else.
    pub(crate) fn target(&self) -> String {
        self.process.as_ref().unwrap_or(&self.host).clone()
    }

    /// Its name under its mark: on a machine's plate, which has the machine's name, only its port.
    pub(crate) fn short_name(&self) -> &str {
        match (&self.process, self.name.find(':')) {
            (Some(_), Some(at)) => &self.name[at..],
            _ => &self.name,
        }
    }

    /// What takes it down at once: its host's power, or only its process if the host carries others.
    pub(crate) fn crash(&self) -> Action {
        match &self.process {
            Some(process) if self.health != Health::Crashed => {
                Action::Kill { target: process.clone() }
            }
            _ => Action::Crash { host: self.host.clone() },
        }
    }

    /// What brings it up again.
    pub(crate) fn restart(&self) -> Action {
        match &self.process {
            Some(process) if self.health != Health::Crashed => {
                Action::Start { target: process.clone() }
            }
            _ => Action::Restart { host: self.host.clone(), disk: true },
        }
    }

    /// The line that tells where its stream is: `@1 234`, and how far it is behind.
    pub(crate) fn stream_line(&self, locale: Locale) -> Option<String> {
        let stream = self.stream.filter(|_| self.health == Health::Online)?;
        let offset = crate::figures::count(u64::try_from(stream.offset).unwrap_or_default());
        Some(match stream.follows {
            // Where there is much to say, the distance says more than the place.
            Some((FollowState::Online, Some(lag)))
                if lag >= 1_000 || lag > 0 && offset.len() > 7 =>
            {
                format!("−{}", crate::figures::bytes(lag))
            }
            Some((FollowState::Online, Some(lag))) if lag > 0 => {
                format!("@{offset} −{}", crate::figures::bytes(lag))
            }
            None | Some((FollowState::Online, _)) => format!("@{offset}"),
            Some((state, _)) => locale.say(state.text()).to_owned(),
        })
    }

    /// Whether it follows a primary, and the stream does not flow.
    pub(crate) fn is_stale(&self) -> bool {
        let follows = self.stream.and_then(|stream| stream.follows);
        follows.is_some_and(|(state, _)| state != FollowState::Online)
    }

    /// The line under the name.
    pub(crate) fn line(&self, locale: Locale) -> String {
        if self.health != Health::Online {
            return locale.say(self.health.text()).to_owned();
        }
        match self.doing {
            Doing::Nothing => String::new(),
            Doing::Serving { keys, rate } => {
                let keys = match keys {
                    1 => locale.say(words::KEY_COUNT).to_owned(),
                    n => locale.fill(words::KEYS_COUNT, &[("n", &crate::figures::count(n))]),
                };
                match rate {
                    0 => keys,
                    n => format!("{keys} · {}", per_second(locale, n)),
                }
            }
            Doing::Asking { stuck: true, .. } => locale.say(words::WAITING).to_owned(),
            Doing::Asking { rate: 0, .. } => locale.say(words::IDLE).to_owned(),
            Doing::Asking { rate, .. } => per_second(locale, rate),
        }
    }

    /// What a screen reader says of it.
    pub(crate) fn spoken(&self, locale: Locale) -> String {
        let values = [
            ("name", self.name.as_str()),
            ("role", locale.say(self.role.text())),
            ("state", locale.say(self.health.text())),
        ];
        let base = locale.fill(words::NODE_SPOKEN, &values);
        let mut spoken = match self.line(locale) {
            line if line.is_empty() || self.health != Health::Online => base,
            line => locale.fill(words::NODE_SPOKEN_DOING, &[("node", &base), ("line", &line)]),
        };
        if let Some(line) = self.stream_line(locale) {
            spoken = locale.fill(words::NODE_SPOKEN_DOING, &[("node", &spoken), ("line", &line)]);
        }
        spoken
    }
}

impl Link {
    /// Its state in a few words: what differs from an ordinary link first.
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

fn per_second(locale: Locale, n: u64) -> String {
    locale.fill(words::OPS_COUNT, &[("n", &crate::figures::count(n))])
}

mod words {
    crate::i18n::texts! {
        ROLE_REPLICA: "replica", "从节点";
        FOLLOW_DOWN: "no link", "未连接";
        FOLLOW_HANDSHAKE: "handshake", "握手中";
        FOLLOW_SYNC: "copying", "全量同步中";
        FOLLOW_ONLINE: "streaming", "增量同步中";
        ROLE_CLIENT: "client", "客户端";
        ROLE_TERMINAL: "terminal", "终端";
        STATE_ONLINE: "online", "在线";
        STATE_PAUSED: "paused", "已暂停";
        STATE_CRASHED: "crashed", "已崩溃";
        STATE_STOPPED: "stopped", "已停止";
        KEYS_COUNT: "{n} keys", "{n} 个键";
        KEY_COUNT: "1 key", "1 个键";
        OPS_COUNT: "{n}/s", "{n}/秒";
        WAITING: "no reply", "无回复";
        IDLE: "idle", "空闲";
        NODE_SPOKEN: "{name}, {role}, {state}", "{name}，{role}，{state}";
        NODE_SPOKEN_DOING: "{node}, {line}", "{node}，{line}";
        LINK_LATENCY: "latency {latency}", "延迟 {latency}";
        LINK_LOSS: "loses {loss} %", "丢包 {loss} %";
        LINK_CUT: "cut", "已断开";
        LINK_CUT_ONE_WAY: "cut from {a} to {b}", "{a} 到 {b} 方向已断开";
    }
}
