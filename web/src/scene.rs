//! What the map shows of a World at one moment: bodies and the links between them.

use core::time::Duration;
use std::rc::Rc;

use crate::i18n::{Locale, Text};
use crate::layout::{Kind, Seat};

/// Bodies and links. Parts that did not change keep their allocation, so that comparing is cheap.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Scene {
    /// One for each host, in the scenario's order.
    pub bodies: Vec<Rc<Body>>,
    /// The links that carry something or that somebody changed.
    pub links: Vec<Rc<Link>>,
}

/// A host with what runs on it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Body {
    /// Its name in actions.
    pub name: String,
    /// Its address.
    pub address: String,
    /// What it is for.
    pub role: Role,
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
    }

    /// What the layout needs to know.
    pub(crate) fn seats(&self) -> Vec<Seat> {
        let mut seats: Vec<Seat> = self
            .bodies
            .iter()
            .map(|body| Seat { kind: body.role.kind(), talks_to: Vec::new() })
            .collect();
        for link in &self.links {
            for (from, to) in [(link.a, link.b), (link.b, link.a)] {
                if seats[from].kind == Kind::Client && seats[to].kind == Kind::Server {
                    seats[from].talks_to.push(to);
                }
            }
        }
        seats
    }

    /// The body of this name.
    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.bodies.iter().position(|body| body.name == name)
    }
}

impl Role {
    /// The kind of place on the map.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Role::Primary => Kind::Server,
            Role::Client => Kind::Client,
            Role::Shell => Kind::Shell,
        }
    }

    /// Its name.
    pub(crate) fn text(self) -> Text {
        match self {
            Role::Primary => Text::RolePrimary,
            Role::Client => Text::RoleClient,
            Role::Shell => Text::RoleTerminal,
        }
    }
}

impl Health {
    /// Its name.
    pub(crate) fn text(self) -> Text {
        match self {
            Health::Online => Text::StateOnline,
            Health::Stopped => Text::StateStopped,
            Health::Paused => Text::StatePaused,
            Health::Crashed => Text::StateCrashed,
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

impl Body {
    /// The line under the name.
    pub(crate) fn line(&self, locale: Locale) -> String {
        if self.health != Health::Online {
            return locale.say(self.health.text()).to_owned();
        }
        match self.doing {
            Doing::Nothing => String::new(),
            Doing::Serving { keys, rate } => {
                let keys = match keys {
                    1 => locale.say(Text::KeyCount).to_owned(),
                    n => locale.fill(Text::KeysCount, &[("n", &crate::figures::count(n))]),
                };
                match rate {
                    0 => keys,
                    n => format!("{keys} · {}", per_second(locale, n)),
                }
            }
            Doing::Asking { stuck: true, .. } => locale.say(Text::Waiting).to_owned(),
            Doing::Asking { rate: 0, .. } => locale.say(Text::Idle).to_owned(),
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
        let base = locale.fill(Text::NodeSpoken, &values);
        match self.line(locale) {
            line if line.is_empty() || self.health != Health::Online => base,
            line => locale.fill(Text::NodeSpokenDoing, &[("node", &base), ("line", &line)]),
        }
    }
}

impl Link {
    /// Its state in a few words: what differs from an ordinary link first.
    pub(crate) fn state(&self, locale: Locale, a: &str, b: &str) -> String {
        let latency = crate::figures::duration(self.latency);
        let latency = locale.fill(Text::LinkLatency, &[("latency", &latency)]);
        let mut parts = Vec::new();
        match self.cut {
            Cut::Both => parts.push(locale.say(Text::LinkCut).to_owned()),
            Cut::Forth => parts.push(locale.fill(Text::LinkCutOneWay, &[("a", a), ("b", b)])),
            Cut::Back => parts.push(locale.fill(Text::LinkCutOneWay, &[("a", b), ("b", a)])),
            Cut::No => {}
        }
        if self.cut != Cut::Both {
            parts.push(latency);
        }
        if self.loss_ppm > 0 {
            let percent = format!("{}", f64::from(self.loss_ppm) / 10_000.0);
            parts.push(locale.fill(Text::LinkLoss, &[("loss", &percent)]));
        }
        parts.join(" · ")
    }
}

fn per_second(locale: Locale, n: u64) -> String {
    locale.fill(Text::OpsCount, &[("n", &crate::figures::count(n))])
}
