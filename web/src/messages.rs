//! Messages on their way, and what each link has carried.

use std::sync::Arc;

use limpid_core::cluster::NodeId;
pub(crate) use limpid_core::lab::wire::MessageKind as FlightKind;
use limpid_core::lab::wire::{self, Protocol, Pushed};
use limpid_core::sentinel::hello::Hello;
use limpid_core::server::Server;
use limpid_core::sim::{Flight as Fly, HostId, MessageId, MessageView, ProcId, SegmentKind};

use crate::bus;
use crate::i18n::Locale;
use crate::lab::Lab;
use crate::units::BodyId;

/// A message on its way.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Flight {
    /// Its number.
    pub id: MessageId,
    /// The body that sent it.
    pub from: BodyId,
    /// The body that it goes to.
    pub to: BodyId,
    /// When it was sent, in nanoseconds.
    pub sent: u64,
    /// What its connection carries.
    pub protocol: Protocol,
    /// What it is.
    pub kind: FlightKind,
    /// How it fares.
    pub fare: Fare,
    /// What it carries.
    pub bytes: Arc<[u8]>,
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
    /// Held back by the person.
    Held,
}

impl Lab {
    /// Messages between hosts, no more than so many.
    pub(crate) fn flights(&self, most: usize, into: &mut Vec<Flight>) {
        let between_hosts = |message: &MessageView<'_>| message.hosts.0 != message.hosts.1;
        let messages = self.world().in_flight().filter(between_hosts).take(most);
        into.extend(messages.filter_map(|message| self.look_at(&message)));
    }

    /// The body at one end of a message or connection.
    fn body_of(&self, proc: Option<ProcId>, host: HostId) -> Option<BodyId> {
        let proc = proc.and_then(|id| self.world().proc(id));
        match proc {
            Some(proc) => self.units().of_process(&proc),
            None => self.units().of_host(host),
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
        let protocol = Protocol::of(self.world(), message);
        let kind = protocol.kind_of(message.kind, message.from, message.bytes);
        Some(Flight {
            id: message.id,
            from: source,
            to: goal,
            sent,
            protocol,
            kind,
            fare,
            bytes: message.bytes.clone(),
        })
    }

    /// How many messages each direction of each link has carried.
    pub(crate) fn carried(&self) -> Vec<(BodyId, BodyId, u64)> {
        let world = self.world();
        let gossips = self.gossips();
        let apart = world.links().iter().filter_map(|link| {
            let (from, to) = (self.alone(link.from)?, self.alone(link.to)?);
            // What goes over thousands of links lets none of them glow.
            if gossips(from) && gossips(to) {
                return None;
            }
            let id = |place| self.units().nth(place).map(|unit| unit.id);
            Some((id(from)?, id(to)?, link.messages))
        });
        let mut carried: Vec<_> = apart.collect();
        if !self.units().iter().any(|unit| unit.shares) {
            return carried;
        }
        let shares = |host| {
            let unit = self.units().of_host(host).and_then(|unit| self.units().get(unit));
            unit.is_some_and(|unit| unit.shares)
        };
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
        flight.protocol.label(flight.kind, &flight.bytes, &|id| self.node_name(flight, id))
    }

    /// What a message says, line by line.
    pub(crate) fn decoded(&self, flight: &Flight, locale: Locale) -> String {
        if flight.protocol == Protocol::Bus {
            let name = |id| self.node_name(flight, id);
            let told = bus::decoded(&flight.bytes, locale, self.sent_at(flight), &name);
            return told.unwrap_or_else(|| format!("… {} B", flight.bytes.len()));
        }
        if flight.protocol == Protocol::Text && !flight.kind.is_request() {
            return String::from_utf8_lossy(&flight.bytes).into_owned();
        }
        let mut text = wire::decoded(&flight.bytes, flight.kind.is_request());
        if flight.kind == FlightKind::Push {
            for pushed in wire::pushed(&flight.bytes) {
                if let Some(told) = tell_pushed(&pushed, locale) {
                    text.push('\n');
                    text.push_str(&told);
                }
            }
        }
        if matches!(flight.protocol, Protocol::Watching | Protocol::Sentinels) {
            for hello in wire::hellos(&flight.bytes) {
                text.push('\n');
                text.push_str(&tell_hello(&hello, locale));
            }
        }
        text
    }

    /// What the sender's clock showed when it sent a message, in seconds since 1970.
    fn sent_at(&self, flight: &Flight) -> u64 {
        let host = self.units().get(flight.from).and_then(|unit| self.world().host(unit.host));
        let wall = host.map_or(0, |host| host.wall.as_millis());
        wall.saturating_sub(self.now().saturating_sub(flight.sent) / 1_000_000) / 1_000
    }

    /// What the map calls a node of a cluster that a message names: as far as an end of the message
    /// knows where it is.
    fn node_name(&self, flight: &Flight, id: NodeId) -> Option<String> {
        let ends = [flight.from, flight.to].into_iter();
        let found = ends.filter_map(|end| {
            let cluster = self.server(end).and_then(Server::cluster)?;
            if cluster.my_id() == id {
                return Some(end);
            }
            let node = cluster.node_view_of(id)?;
            self.units().at_address(node.ip.parse().ok()?, node.port)
        });
        Some(self.units().name(found.into_iter().next()?).to_owned())
    }

    /// Whether a message is still on its way.
    pub(crate) fn is_in_flight(&self, id: MessageId) -> bool {
        self.world().message(id).is_some()
    }
}

/// What a hello message says of its Sentinel and of a master.
fn tell_hello(hello: &Hello, locale: Locale) -> String {
    let Hello { host, port, epoch, master, master_host, master_port, config_epoch, .. } = hello;
    let values = [
        ("sender", &*format!("{host}:{port}")),
        ("epoch", &epoch.to_string()),
        ("name", master),
        ("master", &format!("{master_host}:{master_port}")),
        ("config", &config_epoch.to_string()),
    ];
    locale.fill(words::HELLO, &values)
}

/// What an invalidation asks of the client that gets it.
fn tell_pushed(pushed: &Pushed, locale: Locale) -> Option<String> {
    match pushed {
        Pushed::Invalidated(Some(keys)) => {
            Some(locale.fill(words::INVALIDATED, &[("keys", &keys.join(", "))]))
        }
        Pushed::Invalidated(None) => Some(locale.say(words::ALL_INVALIDATED).to_owned()),
        Pushed::Other(_) => None,
    }
}

mod words {
    crate::i18n::texts! {
        HELLO: "hello of {sender} in epoch {epoch}: the master {name} is {master} (configuration of epoch {config})", "{sender} 的 hello，当前纪元 {epoch}：主节点 {name} 是 {master}（配置纪元 {config}）";
        INVALIDATED: "the client must drop its copies of: {keys}", "客户端须丢弃本地缓存的副本：{keys}";
        ALL_INVALIDATED: "the client must drop all of its copies", "客户端须丢弃全部本地缓存";
    }
}
