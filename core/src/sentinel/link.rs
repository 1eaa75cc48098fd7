//! Connections to monitored servers and other Sentinels, and when they last replied.

use std::net::{IpAddr, SocketAddr};

use super::addr::Addr;
use crate::machine::{ConnId, Endpoint, Input, Outbox, Output};
use crate::peer::{Event, Peer, PeerConfig, Peers, Preamble};
use crate::sorted::SortedMap;
use crate::time::{Duration, Mono};

/// The ID of a link, which is the connections to one server or Sentinel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LinkId(u32);

/// The connections of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Lane {
    /// The connection for commands.
    Commands,
    /// The subscription to the hello channel. There is none to Sentinels, which get hello messages
    /// as commands.
    PubSub,
}

/// A command in flight: its purpose, and the instance it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InFlight {
    /// The number of the master.
    pub(super) master: u64,
    /// The number of the instance.
    pub(super) instance: u64,
    pub(super) what: Purpose,
}

/// The purpose of a command, which decides how its reply is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Ping,
    Info,
    Hello,
    /// SENTINEL IS-MASTER-DOWN-BY-ADDR.
    MasterDown,
    /// The reply is ignored, since the next INFO shows the effect.
    Nothing,
}

/// A link, with the times of its last replies. A Sentinel that monitors several of the same masters
/// has one link only.
#[derive(Clone, Debug)]
pub struct Link {
    /// The number of instances that share it.
    pub users: u32,
    /// Whether it has a subscription besides the connection for commands.
    pub listens: bool,
    /// When the last valid reply to PING arrived.
    pub last_available: Mono,
    /// Since when a PING has been unanswered.
    pub ping_waiting: Option<Mono>,
    /// When the last PING was sent.
    pub last_ping: Option<Mono>,
    /// When the last reply to PING arrived, valid or not.
    pub last_pong: Mono,
    /// When connecting was last attempted.
    pub last_reconnect: Option<Mono>,
    /// When the last message of the subscription arrived.
    pub last_message: Option<Mono>,
    /// The local address of the connection for commands.
    pub local: Option<IpAddr>,
}

/// All links.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    links: SortedMap<LinkId, Link>,
    peers: Peers<(LinkId, Lane), InFlight>,
    last: u32,
}

impl Links {
    /// Creates a link without connections. A PING counts as sent now, so that a server that cannot
    /// be connected to is down after the same time as one that does not reply.
    pub(super) fn create(&mut self, now: Mono, listens: bool) -> LinkId {
        self.last += 1;
        let id = LinkId(self.last);
        self.links.insert(
            id,
            Link {
                users: 1,
                listens,
                last_available: now,
                ping_waiting: Some(now),
                last_ping: None,
                last_pong: now,
                last_reconnect: None,
                last_message: None,
                local: None,
            },
        );
        id
    }

    /// Adds a user to a link.
    pub(super) fn share(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.users += 1;
        }
    }

    /// Removes a user from a link, and closes it if it was the last one.
    pub(super) fn release(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.users -= 1;
        if link.users == 0 {
            self.links.remove(&id);
            self.peers.remove(&(id, Lane::Commands));
            self.peers.remove(&(id, Lane::PubSub));
        }
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        self.links.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(&id)
    }

    /// Resets the times of a link to those of a new one.
    pub(super) fn reset(&mut self, now: Mono, id: LinkId) {
        self.close(id);
        if let Some(link) = self.links.get_mut(&id) {
            link.ping_waiting = Some(now);
            link.last_ping = None;
            link.last_available = now;
            link.last_pong = now;
            link.last_reconnect = None;
        }
    }

    /// Whether a connection is missing. A connection in progress counts as existing.
    pub(super) fn is_disconnected(&self, id: LinkId) -> bool {
        let listens = self.links.get(&id).is_some_and(|link| link.listens);
        !self.has(id, Lane::Commands) || listens && !self.has(id, Lane::PubSub)
    }

    pub(super) fn has(&self, id: LinkId, lane: Lane) -> bool {
        self.peers.get(&(id, lane)).is_some_and(|peer| peer.conn().is_some())
    }

    /// The age of a connection, if it exists.
    pub(super) fn age(&self, now: Mono, id: LinkId, lane: Lane) -> Option<Duration> {
        let peer = self.peers.get(&(id, lane)).filter(|peer| peer.conn().is_some())?;
        Some(now.since(peer.tally().last_attempt?))
    }

    /// The number of commands in flight.
    pub(super) fn pending(&self, id: LinkId) -> usize {
        let pending = |lane| self.peers.get(&(id, lane)).map_or(0, Peer::pending);
        pending(Lane::Commands) + pending(Lane::PubSub)
    }

    /// Connects to an address, optionally from a given local address.
    pub(super) fn connect(
        &mut self,
        now: Mono,
        id: LinkId,
        lane: Lane,
        (to, from): (&Addr, Option<IpAddr>),
        preamble: Preamble,
    ) {
        let from = from.map(|ip| Endpoint::Ip(SocketAddr::new(ip, 0)));
        let config = PeerConfig { preamble, from, ..PeerConfig::new(to.to_connect()) };
        self.peers.connect(now, (id, lane), config);
    }

    pub(super) fn subscribe(&mut self, id: LinkId, command: &str, channel: &str) {
        // The connection was just created.
        let _ = self.peers.subscribe(&(id, Lane::PubSub), command.as_bytes(), &[channel]);
    }

    /// Sends a command. False if there is no connection.
    pub(super) fn command<A: AsRef<[u8]>>(
        &mut self,
        now: Mono,
        id: LinkId,
        words: &[A],
        asked: InFlight,
    ) -> bool {
        let what = asked.what;
        let sent = self.peers.request(now, &(id, Lane::Commands), words, asked).is_ok();
        if sent
            && what == Purpose::Ping
            && let Some(link) = self.links.get_mut(&id)
        {
            link.last_ping = Some(now);
            // The timeout counts from the first unanswered PING.
            link.ping_waiting.get_or_insert(now);
        }
        sent
    }

    /// Closes one connection.
    pub(super) fn close_lane(&mut self, id: LinkId, lane: Lane) {
        self.peers.close(&(id, lane));
    }

    /// Closes both connections. True if there were any.
    pub(super) fn close(&mut self, id: LinkId) -> bool {
        let commands = self.peers.close(&(id, Lane::Commands));
        self.peers.close(&(id, Lane::PubSub)) || commands
    }

    pub(super) fn handle(&mut self, now: Mono, input: &Input<'_>) -> bool {
        self.peers.handle(now, input)
    }

    pub(super) fn poll_event(&mut self, now: Mono) -> Option<((LinkId, Lane), Event<InFlight>)> {
        let (key, event) = self.peers.poll_event()?;
        if let Some(link) = self.links.get_mut(&key.0) {
            match (&event, key.1) {
                (Event::Connected { local: Endpoint::Ip(at), .. }, Lane::Commands) => {
                    link.local = Some(at.ip());
                }
                (Event::Push(_), Lane::PubSub) => link.last_message = Some(now),
                _ => {}
            }
        }
        Some((key, event))
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.peers.poll_output()
    }

    pub(super) fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.peers.outbox(conn)
    }
}
