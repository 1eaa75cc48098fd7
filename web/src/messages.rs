//! Messages in flight, and how many each link has carried.

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

/// A message in flight.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Flight {
    /// Its id in the World.
    pub id: MessageId,
    /// The body that sent it.
    pub from: BodyId,
    /// The body that it goes to.
    pub to: BodyId,
    /// When it was sent, in nanoseconds.
    pub sent: u64,
    /// The protocol of its connection.
    pub protocol: Protocol,
    /// Its kind.
    pub kind: FlightKind,
    /// Its state.
    pub state: FlightState,
    /// Its bytes.
    pub bytes: Arc<[u8]>,
}

/// The state of a message in flight. Times are in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FlightState {
    /// On its way.
    Flying {
        /// When it was sent.
        begun: u64,
        /// When it arrives.
        due: u64,
    },
    /// Lost on the way; the sender has not noticed yet.
    Lost {
        /// When it was sent.
        begun: u64,
        /// How long it would have taken.
        latency: u64,
    },
    /// Arrived, but waiting for one before it that has not.
    Waiting,
    /// Held back by an action of the person.
    Held,
}

impl Lab {
    /// Collects the messages in flight between hosts, at most `most`.
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

    /// A message by its id, if it is still in flight.
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
        let state = match message.flight {
            Fly::Flying { due } if message.tries == 0 => {
                FlightState::Flying { begun: sent, due: due.0 }
            }
            Fly::Flying { due } => {
                FlightState::Flying { begun: due.0.saturating_sub(latency()), due: due.0 }
            }
            Fly::Lost { .. } => {
                let begun = if message.tries == 0 { sent } else { 0 };
                FlightState::Lost { begun, latency: latency() }
            }
            Fly::Waiting => FlightState::Waiting,
            Fly::Held { .. } => FlightState::Held,
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
            state,
            bytes: message.bytes.clone(),
        })
    }

    /// How many messages each direction of each link has carried.
    pub(crate) fn carried(&self) -> Vec<(BodyId, BodyId, u64)> {
        let world = self.world();
        let gossips = self.gossips();
        let apart = world.links().iter().filter_map(|link| {
            let (from, to) = (self.alone(link.from)?, self.alone(link.to)?);
            // Gossip in a large cluster uses thousands of links: none of them glows.
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
        // For bodies that share a host, only connections show which of them sent something.
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

    /// The label of a message: a few characters.
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

    /// The decoded text of a message, line by line.
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

    /// The sender's clock when it sent a message, as Unix time in seconds.
    fn sent_at(&self, flight: &Flight) -> u64 {
        let host = self.units().get(flight.from).and_then(|unit| self.world().host(unit.host));
        let wall = host.map_or(0, |host| host.wall.as_millis());
        wall.saturating_sub(self.now().saturating_sub(flight.sent) / 1_000_000) / 1_000
    }

    /// The name on the map of a cluster node that a message mentions, if a node at either end of
    /// the message knows its address.
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

    /// Whether a message is still in flight.
    pub(crate) fn is_in_flight(&self, id: MessageId) -> bool {
        self.world().message(id).is_some()
    }
}

/// The text of a Sentinel's hello message.
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

/// The text of an invalidation message (client-side caching).
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
