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
    /// Whose connection a name of the driver's is.
    owners: SortedMap<ConnId, K>,
    /// How many names have been given out.
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

    /// A name for a connection that is not one of these, but belongs to the same machine.
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

    /// Makes a connection, as this says from now on. One that has the key already is closed.
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

    /// Ends a connection. Its key stays known, with its counts. True if there was one.
    pub fn close(&mut self, key: &K) -> bool {
        let Some(conn) = self.peers.get(key).and_then(Peer::conn) else { return false };
        self.owners.remove(&conn);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.close(CloseReason::Requested);
        }
        self.collect(key);
        true
    }

    /// Ends a connection and forgets its key. Nothing more is told about it.
    pub fn remove(&mut self, key: &K) {
        self.close(key);
        self.peers.remove(key);
        self.events.retain(|(of, _)| of != key);
    }

    /// Takes in what the driver tells. False if it is not about one of these connections.
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
                    peer.gone(now, *error);
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

    /// Does what is due: timeouts, and attempts to connect again.
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

    /// When [`Peers::wake`] is to be called, if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.peers.values().filter_map(Peer::poll_timeout).min()
    }

    /// The next thing that the driver is to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next thing that happened, and on which connection.
    pub fn poll_event(&mut self) -> Option<(K, Event<T>)> {
        self.events.pop_front()
    }

    /// The bytes that wait to leave on a connection, if it is one of these.
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

    /// Moves what a connection wants done, and what happened on it, to the common queues.
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
