//! Decoders for the messages on the connections of a World, for the page.
//!
//! The [`Protocol`] of a connection follows from the programs at its two ends and from the purpose
//! of the listener. Nothing is guessed from bytes, since a segment may begin in the middle of a
//! message. [`MessageKind`] is what a message is in its protocol, and [`Protocol::label`] is a
//! short text for it.
//!
//! * `resp`: commands and replies, queries between Sentinels, hello messages, full synchronization;
//! * `bus`: the bus of a cluster.

mod bus;
mod resp;
#[cfg(test)]
mod tests;

pub use bus::type_name;
pub use resp::{Pushed, decoded, hellos, pushed, replies};

use crate::cluster::NodeId;
use crate::lab::programs::{SENTINEL, SERVER};
use crate::machine::Endpoint;
use crate::sentinel::SentinelServer;
use crate::server::Server;
use crate::sim::{MessageView, ProcId, SegmentKind, Side, World};

/// The maximum length of a label on the map, in characters.
const LABEL: usize = 26;

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RESP between a client and a server, a Sentinel or a proxy, or between a proxy and a server.
    Clients,
    /// RESP between two servers: replication, MIGRATE.
    Servers,
    /// RESP between a Sentinel and a server that it monitors.
    Watching,
    /// RESP between two Sentinels.
    Sentinels,
    /// The bus of a cluster.
    Bus,
    /// Unframed text: the statistics of twemproxy.
    Text,
}

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// From a client to a server.
    Request,
    /// From a server to a client.
    Reply,
    /// From a server to a client, without a request: an invalidation for client-side caching, a
    /// published message.
    Push,
    /// Between servers: the replication stream, and what replicas request.
    Stream,
    /// Heartbeats between servers and of Sentinels; gossip of a cluster.
    Beat,
    /// News on the cluster bus: a failure, new slot owners.
    Bus,
    /// A Sentinel's question whether a master is down, or its request for a vote; a replica's
    /// request for votes on the cluster bus.
    Vote,
    /// The reply to that.
    Ballot,
    /// Of the transport: opening and closing connections.
    Transport,
}

impl MessageKind {
    /// Whether a message contains commands rather than replies.
    pub fn is_request(self) -> bool {
        !matches!(self, MessageKind::Reply | MessageKind::Ballot | MessageKind::Push)
    }
}

impl Protocol {
    /// The protocol of a message's connection.
    pub fn of(world: &World, message: &MessageView<'_>) -> Self {
        let (asker, asked) = match message.from {
            Side::Client => message.procs,
            Side::Server => (message.procs.1, message.procs.0),
        };
        let at = world.conn(message.tcp).map(|conn| conn.ends[1].addr);
        let runs = |proc: Option<ProcId>, program: &str| {
            proc.and_then(|id| world.proc(id)).is_some_and(|proc| is(world, proc.id, program))
        };
        if let Some(at) = at
            && runs(asked, SERVER)
            && is_bus(world, asker, asked, at)
        {
            return Protocol::Bus;
        }
        match (runs(asker, SENTINEL), runs(asker, SERVER)) {
            (true, _) if runs(asked, SENTINEL) => Protocol::Sentinels,
            (true, _) => Protocol::Watching,
            (_, true) if runs(asked, SERVER) => Protocol::Servers,
            _ if at.is_some_and(|at| serves_text(world, asked, at)) => Protocol::Text,
            _ => Protocol::Clients,
        }
    }

    /// The kind of a message with these bytes, sent from this end of the connection.
    ///
    /// The page asks this for every message in every frame, so it looks at as few bytes as
    /// possible.
    pub fn kind_of(self, segment: SegmentKind, from: Side, bytes: &[u8]) -> MessageKind {
        if segment != SegmentKind::Data {
            return MessageKind::Transport;
        }
        match (self, from) {
            (Protocol::Bus, _) => bus::kind(bytes),
            (Protocol::Servers, _) if resp::is_heartbeat(bytes) => MessageKind::Beat,
            (Protocol::Servers, _) => MessageKind::Stream,
            (Protocol::Sentinels, Side::Client) if resp::vote(bytes).is_some() => MessageKind::Vote,
            (Protocol::Sentinels, Side::Server) if resp::ballot(bytes).is_some() => {
                MessageKind::Ballot
            }
            (Protocol::Sentinels | Protocol::Watching, Side::Server) => MessageKind::Beat,
            (Protocol::Sentinels | Protocol::Watching, _) if resp::is_watching(bytes) => {
                MessageKind::Beat
            }
            (_, Side::Client) => MessageKind::Request,
            (Protocol::Clients, Side::Server) if resp::is_push(bytes) => MessageKind::Push,
            (_, Side::Server) => MessageKind::Reply,
        }
    }

    /// A short label for a message: `GET key:7`, `"hello"`, `FAIL redis-2`. `names` gives the name
    /// of a cluster node on the map.
    pub fn label(
        self,
        kind: MessageKind,
        bytes: &[u8],
        names: &dyn Fn(NodeId) -> Option<String>,
    ) -> String {
        let told = match (self, kind) {
            (Protocol::Bus, _) => bus::label(bytes, names),
            (Protocol::Sentinels, MessageKind::Vote) => resp::vote(bytes),
            (Protocol::Sentinels, MessageKind::Ballot) => resp::ballot(bytes),
            (_, MessageKind::Push) => resp::push_label(bytes),
            (Protocol::Text, MessageKind::Reply) => {
                Some(format!("{} B", bytes.len())).filter(|_| !bytes.is_empty())
            }
            _ => None,
        };
        told.unwrap_or_else(|| match self {
            Protocol::Bus => format!("… {} B", bytes.len()),
            _ => resp::label(bytes, kind.is_request()),
        })
    }
}

/// Whether a process runs a program. A server started with `--sentinel` is a Sentinel; of a process
/// that has ended, only its command line is known.
fn is(world: &World, proc: ProcId, program: &str) -> bool {
    if world.machine::<SentinelServer>(proc).is_some() {
        return program == SENTINEL;
    }
    if world.machine::<Server>(proc).is_some() {
        return program == SERVER;
    }
    world.proc(proc).is_some_and(|proc| proc.program == program)
}

/// Whether a listener of a server is that of the cluster bus. If the server has ended, the other
/// end of the connection knows its bus port.
fn is_bus(world: &World, asker: Option<ProcId>, asked: Option<ProcId>, at: &Endpoint) -> bool {
    let server = |proc: Option<ProcId>| proc.and_then(|id| world.machine::<Server>(id));
    if let Some(purpose) = server(asked).and_then(|server| server.purpose_of(at)) {
        return purpose == Server::BUS;
    }
    let cluster = server(asker).and_then(Server::cluster);
    cluster.is_some_and(|cluster| cluster.knows_bus_port(at.port()))
}

#[cfg(feature = "proxies")]
fn serves_text(world: &World, asked: Option<ProcId>, at: &Endpoint) -> bool {
    use crate::proxy::{Proxy, twemproxy::Twemproxy};
    let proxy = asked.and_then(|id| world.machine::<Proxy<Twemproxy>>(id));
    proxy.is_some_and(|proxy| proxy.serves_stats_at(at))
}

#[cfg(not(feature = "proxies"))]
fn serves_text(_world: &World, _asked: Option<ProcId>, _at: &Endpoint) -> bool {
    false
}
