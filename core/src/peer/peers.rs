//! All outgoing connections of one machine.

use std::collections::VecDeque;

use super::connection::{CloseReason, Event, Peer, PeerConfig, RequestError};
use crate::machine::{ConnId, Input, Outbox, Output};
use crate::sorted::SortedMap;
use crate::time::Mono;

/// The outgoing connections of one machine, each under a key of the machine's own choice.
///
/// `K` is the key of a connection, `T` the token of a request on it.
#[derive(Clone, Debug)]
pub struct Peers<K, T> {
    peers: SortedMap<K, Peer<T>>,
    /// The key of each connection, by its id.
    owners: SortedMap<ConnId, K>,
    /// How many connection ids have been assigned.
    given: u64,
    outputs: VecDeque<Output>,
    events: VecDeque<(K, Event<T>)>,
}

impl<K, T> Default for Peers<K, T> {
    fn default() -> Self {
        Peers {
            peers: SortedMap::default(),
            owners: SortedMap::default(),
            given: 0,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
        }
    }
}

impl<K: Ord + Clone, T> Peers<K, T> {
    /// No connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id for a connection of the same machine that is not managed here.
    pub fn next_conn(&mut self) -> ConnId {
        let conn = ConnId::connected(self.given);
        self.given += 1;
        conn
    }

    /// The connection of this key.
    pub fn get(&self, key: &K) -> Option<&Peer<T>> {
        self.peers.get(key)
    }

    /// All connections, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Peer<T>)> {
        self.peers.iter()
    }

    /// Connects with this configuration. An open connection under the same key is closed.
    pub fn connect(&mut self, now: Mono, key: K, config: PeerConfig) {
        self.close(&key);
        match self.peers.get_mut(&key) {
            Some(peer) => *peer.config_mut() = config,
            None => {
                self.peers.insert(key.clone(), Peer::new(config));
            }
        }
        self.reconnect(now, key);
    }

    /// Sends a request: see [`Peer::request`].
    pub fn request<A: AsRef<[u8]>>(
        &mut self,
        now: Mono,
        key: &K,
        words: &[A],
        token: T,
    ) -> Result<(), RequestError> {
        self.with(key, |peer| peer.request(now, words, token))
    }

    /// Sends an encoded request: see [`Peer::request_encoded`].
    pub fn request_encoded(
        &mut self,
        now: Mono,
        key: &K,
        bytes: &[u8],
        token: T,
    ) -> Result<(), RequestError> {
        self.with(key, |peer| peer.request_encoded(now, bytes, token))
    }

    /// Subscribes to channels: see [`Peer::subscribe`].
    pub fn subscribe<A: AsRef<[u8]>>(
        &mut self,
        key: &K,
        command: &[u8],
        channels: &[A],
    ) -> Result<(), RequestError> {
        self.with(key, |peer| peer.subscribe(command, channels))
    }

    /// Closes a connection. Its key and counters stay. True if there was one.
    pub fn close(&mut self, key: &K) -> bool {
        let Some(conn) = self.peers.get(key).and_then(Peer::conn) else { return false };
        self.owners.remove(&conn);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.close(CloseReason::Requested);
        }
        self.collect(key);
        true
    }

    /// Closes a connection and forgets its key. No more events come about it.
    pub fn remove(&mut self, key: &K) {
        self.close(key);
        self.peers.remove(key);
        self.events.retain(|(of, _)| of != key);
    }

    /// Handles an input. False if it is not about one of these connections.
    pub fn handle(&mut self, now: Mono, input: &Input<'_>) -> bool {
        let (Input::Connected { conn, .. }
        | Input::ConnectFailed { conn, .. }
        | Input::Received { conn, .. }
        | Input::Ended { conn }
        | Input::Closed { conn, .. }) = input
        else {
            return false;
        };
        let Some(key) = self.owners.get(conn).cloned() else { return false };
        if let Some(peer) = self.peers.get_mut(&key) {
            match input {
                Input::Connected { local, peer: there, .. } => {
                    peer.connected(now, local.clone(), there.clone());
                }
                Input::Received { bytes, .. } => peer.received(now, bytes),
                Input::Ended { .. } => peer.ended(now),
                Input::ConnectFailed { error, .. } | Input::Closed { error, .. } => {
                    peer.disconnected(now, *error);
                }
                _ => {}
            }
            if peer.conn().is_none() {
                self.owners.remove(conn);
            }
        }
        self.collect(&key);
        true
    }

    /// Handles timeouts that have expired, and reconnects where it is time.
    pub fn wake(&mut self, now: Mono) {
        let due = |(key, peer): (&K, &Peer<T>)| {
            peer.poll_timeout().is_some_and(|at| at <= now).then(|| key.clone())
        };
        let due: Vec<K> = self.peers.iter().filter_map(due).collect();
        for key in due {
            let Some(peer) = self.peers.get_mut(&key) else { continue };
            let conn = peer.conn();
            let again = peer.wake(now);
            if let Some(conn) = conn.filter(|_| peer.conn().is_none()) {
                self.owners.remove(&conn);
            }
            self.collect(&key);
            if again {
                self.reconnect(now, key);
            }
        }
    }

    /// When to call [`Peers::wake`], if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.peers.values().filter_map(Peer::poll_timeout).min()
    }

    /// The next output for the driver.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next event, and its connection.
    pub fn poll_event(&mut self) -> Option<(K, Event<T>)> {
        self.events.pop_front()
    }

    /// The outbox of a connection, if it is one of these.
    pub fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        let key = self.owners.get(&conn)?;
        self.peers.get_mut(key).map(Peer::outbox)
    }

    fn reconnect(&mut self, now: Mono, key: K) {
        let conn = self.next_conn();
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.connect(now, conn);
            self.owners.insert(conn, key.clone());
        }
        self.collect(&key);
    }

    fn with(
        &mut self,
        key: &K,
        act: impl FnOnce(&mut Peer<T>) -> Result<(), RequestError>,
    ) -> Result<(), RequestError> {
        let peer = self.peers.get_mut(key).ok_or(RequestError::Down)?;
        let result = act(peer);
        self.collect(key);
        result
    }

    /// Moves a connection's outputs and events to the common queues.
    fn collect(&mut self, key: &K) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        while let Some(output) = peer.poll_output() {
            self.outputs.push_back(output);
        }
        while let Some(event) = peer.poll_event() {
            self.events.push_back((key.clone(), event));
        }
    }
}
