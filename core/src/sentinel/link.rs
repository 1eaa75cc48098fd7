//! Connections to monitored servers and to other Sentinels, and the signs of life on them.

use std::net::{IpAddr, SocketAddr};

use super::addr::Addr;
use crate::machine::{ConnId, Endpoint, Input, Outbox, Output};
use crate::peer::{Event, Peer, PeerConfig, Peers, Preamble};
use crate::sorted::SortedMap;
use crate::time::{Duration, Mono};

/// A link: the connections to one server or Sentinel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LinkId(u32);

/// Which connection of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Lane {
    /// The one on which commands are sent.
    Commands,
    /// The one that listens to the hello channel. Sentinels have none: hello messages are sent to
    /// them as commands.
    PubSub,
}

/// What was asked, and about which instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The master that it is about.
    pub(super) master: u64,
    /// The instance that it is about.
    pub(super) instance: u64,
    pub(super) what: Question,
}

/// What is to be done with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Ping,
    Info,
    Hello,
    /// SENTINEL IS-MASTER-DOWN-BY-ADDR.
    MasterDown,
    /// Its effect will show in the next INFO.
    Nothing,
}

/// One link, and when it last showed signs of life. The same Sentinel has one link however many
/// masters it monitors with us.
#[derive(Clone, Debug)]
pub struct Link {
    /// How many instances use it.
    pub users: u32,
    /// Whether it has a connection for messages besides that for commands.
    pub listens: bool,
    /// When an acceptable reply to PING last came.
    pub last_available: Mono,
    /// Since when a PING has been waiting for its reply.
    pub ping_waiting: Option<Mono>,
    /// When the last PING was sent.
    pub last_ping: Option<Mono>,
    /// When any reply to PING last came.
    pub last_pong: Mono,
    /// When connecting was last tried.
    pub last_reconnect: Option<Mono>,
    /// When something last came on the connection for messages.
    pub last_message: Option<Mono>,
    /// Our address on the connection for commands.
    pub local: Option<IpAddr>,
}

/// All links.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    links: SortedMap<LinkId, Link>,
    peers: Peers<(LinkId, Lane), Asked>,
    last: u32,
}

impl Links {
    /// A new link, not connected. A PING counts as sent from now on, so that a server to which no
    /// connection can be made is down after the same time as one that does not answer.
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

    /// One more instance uses a link.
    pub(super) fn share(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.users += 1;
        }
    }

    /// One instance less uses a link; the last one closes it.
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

    /// Makes the signs of life those of a new link.
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

    /// Whether a connection is missing. One that is being made counts as there.
    pub(super) fn is_disconnected(&self, id: LinkId) -> bool {
        let listens = self.links.get(&id).is_some_and(|link| link.listens);
        !self.has(id, Lane::Commands) || listens && !self.has(id, Lane::PubSub)
    }

    pub(super) fn has(&self, id: LinkId, lane: Lane) -> bool {
        self.peers.get(&(id, lane)).is_some_and(|peer| peer.conn().is_some())
    }

    /// How long ago a connection was begun, if there is one.
    pub(super) fn age(&self, now: Mono, id: LinkId, lane: Lane) -> Option<Duration> {
        let peer = self.peers.get(&(id, lane)).filter(|peer| peer.conn().is_some())?;
        Some(now.since(peer.tally().last_attempt?))
    }

    /// Commands whose reply has not come.
    pub(super) fn pending(&self, id: LinkId) -> usize {
        let pending = |lane| self.peers.get(&(id, lane)).map_or(0, Peer::pending);
        pending(Lane::Commands) + pending(Lane::PubSub)
    }

    /// Connects to an address, from one of this Sentinel's if that is given.
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
        // It was connected a moment ago.
        let _ = self.peers.subscribe(&(id, Lane::PubSub), command.as_bytes(), &[channel]);
    }

    /// Sends a command. False if there is no connection for it.
    pub(super) fn command<A: AsRef<[u8]>>(
        &mut self,
        now: Mono,
        id: LinkId,
        words: &[A],
        asked: Asked,
    ) -> bool {
        let what = asked.what;
        let sent = self.peers.request(now, &(id, Lane::Commands), words, asked).is_ok();
        if sent
            && what == Question::Ping
            && let Some(link) = self.links.get_mut(&id)
        {
            link.last_ping = Some(now);
            // While one PING waits, later ones do not make the wait shorter.
            link.ping_waiting.get_or_insert(now);
        }
        sent
    }

    /// Closes one connection.
    pub(super) fn close_lane(&mut self, id: LinkId, lane: Lane) {
        self.peers.close(&(id, lane));
    }

    /// Closes both connections. True if there was one.
    pub(super) fn close(&mut self, id: LinkId) -> bool {
        let commands = self.peers.close(&(id, Lane::Commands));
        self.peers.close(&(id, Lane::PubSub)) || commands
    }

    pub(super) fn handle(&mut self, now: Mono, input: &Input<'_>) -> bool {
        self.peers.handle(now, input)
    }

    pub(super) fn poll_event(&mut self, now: Mono) -> Option<((LinkId, Lane), Event<Asked>)> {
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
