//! What the messages of a World say: decoders of what goes over connections, for the page.
//!
//! Which [`Protocol`] a connection speaks follows from what it is: the programs at its two ends, and
//! the purpose of the listener through which it was made. Nothing is guessed from bytes: a message
//! may begin in the middle of anything. [`MessageKind`] says what a message is in its protocol, and
//! [`Protocol::label`] puts it into a few characters.
//!
//! * `resp`: commands and replies, what Sentinels ask each other, hello messages, copies of the data;
//! * `bus`: what the nodes of a cluster tell each other.

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

/// Characters that fit beside a message on the map.
const LABEL: usize = 26;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RESP: a client asks a server, a Sentinel or a proxy, or a proxy a server.
    Clients,
    /// RESP between two servers: replication, keys that move.
    Servers,
    /// RESP: a Sentinel watches a server.
    Watching,
    /// RESP: a Sentinel asks another one.
    Sentinels,
    /// The bus of a cluster.
    Bus,
    /// Text without frames: the statistics of twemproxy.
    Text,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// From a client to a server.
    Request,
    /// From a server to a client.
    Reply,
    /// From a server to a client that did not ask for it then: an invalidation of keys that it caches,
    /// a published message.
    Push,
    /// Between servers: what a primary sends its replicas, and what they ask for.
    Stream,
    /// Signs of life between servers, and of Sentinels; gossip of a cluster.
    Beat,
    /// News on the bus of a cluster: a failure, other owners of slots.
    Bus,
    /// From a Sentinel to another one: a question about a master, or for a vote. From a replica in a
    /// cluster: a request for votes.
    Vote,
    /// The answer to that.
    Ballot,
    /// Of the transport itself: opening and closing connections.
    Transport,
}

impl MessageKind {
    /// Whether a message carries commands rather than replies.
    pub fn is_request(self) -> bool {
        !matches!(self, MessageKind::Reply | MessageKind::Ballot | MessageKind::Push)
    }
}

impl Protocol {
    /// What the connection of a message carries.
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

    /// What a message is that carries these bytes from this end of the connection.
    ///
    /// The page asks this for every message in every frame, so no more is looked at than needed.
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

    /// A message in a few characters: `GET key:7`, `"hello"`, `FAIL redis-2`. `names` says what the
    /// map calls a node of a cluster.
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

/// Whether a process runs a program. A server that was started with `--sentinel` is a Sentinel; of
/// one that has ended, only what it was started as is known.
fn is(world: &World, proc: ProcId, program: &str) -> bool {
    if world.machine::<SentinelServer>(proc).is_some() {
        return program == SENTINEL;
    }
    if world.machine::<Server>(proc).is_some() {
        return program == SERVER;
    }
    world.proc(proc).is_some_and(|proc| proc.program == program)
}

/// Whether a listener of a server is that of the bus. If the server has ended, the other end of the
/// connection knows where the bus was.
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
