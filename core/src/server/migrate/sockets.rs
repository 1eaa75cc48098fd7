//! Connections to other servers, which are kept for a while: keys are often moved one after
//! another, and connecting takes longer than moving a key.

use core::iter;

use super::conn::Awaited;
use crate::machine::{Address, ConnId, Output};
use crate::peer::{CloseReason, Peer, PeerConfig};
use crate::resp::value::Limits;
use crate::time::{Duration, Mono};

/// How many connections are kept.
const MAX_SOCKETS: usize = 64;

/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Limits on replies: every request is answered by a line, and this is the size of Redis's buffer
/// for it.
const LIMITS: Limits = Limits { depth: 1, string: 1024, elements: 16, line: 1024 };

/// A connection to another server.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    /// Host and port, as given.
    name: Vec<u8>,
    pub(super) peer: Peer<Awaited>,
    /// The database selected there, if known.
    pub(super) db: Option<i64>,
    used: Mono,
}

/// All connections, the most recently used last.
#[derive(Clone, Debug, Default)]
pub(super) struct Sockets {
    all: Vec<Socket>,
}

impl Sockets {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether a connection is one of these.
    pub(super) fn has(&self, conn: ConnId) -> bool {
        self.all.iter().any(|socket| socket.peer.is(conn))
    }

    pub(super) fn get(&mut self, conn: ConnId) -> Option<&mut Socket> {
        self.all.iter_mut().find(|socket| socket.peer.is(conn))
    }

    /// Whether a connection is established.
    pub(super) fn is_up(&self, conn: ConnId) -> bool {
        self.all.iter().any(|socket| socket.peer.is(conn) && socket.peer.is_up())
    }

    /// Number of replies to come on a connection.
    pub(super) fn pending(&self, conn: ConnId) -> usize {
        let socket = self.all.iter().find(|socket| socket.peer.is(conn));
        socket.map_or(0, |socket| socket.peer.pending())
    }

    /// The connection to a server, if there is one. It is marked as used.
    pub(super) fn find(&mut self, name: &[u8], now: Mono) -> Option<ConnId> {
        let conn = self.all.iter().find(|socket| socket.name == name)?.peer.conn()?;
        self.used(conn, now);
        Some(conn)
    }

    /// Marks a connection as used.
    pub(super) fn used(&mut self, conn: ConnId, now: Mono) {
        if let Some(mut socket) = self.remove(conn) {
            socket.used = now;
            self.all.push(socket);
        }
    }

    /// Connects to a server. If there are too many connections, the least recently used is closed.
    pub(super) fn add(
        &mut self,
        name: Vec<u8>,
        conn: ConnId,
        to: &Address,
        now: Mono,
    ) -> Vec<Output> {
        let oldest = self.all.first().and_then(|socket| socket.peer.conn());
        let mut outputs = match oldest.filter(|_| self.all.len() >= MAX_SOCKETS) {
            Some(oldest) => self.close(oldest),
            None => Vec::new(),
        };
        let mut peer = Peer::new(PeerConfig { limits: LIMITS, ..PeerConfig::new(to.clone()) });
        peer.connect(now, conn);
        outputs.extend(iter::from_fn(|| peer.poll_output()));
        self.all.push(Socket { name, peer, db: None, used: now });
        outputs
    }

    /// Closes a connection.
    pub(super) fn close(&mut self, conn: ConnId) -> Vec<Output> {
        let Some(mut socket) = self.remove(conn) else { return Vec::new() };
        socket.peer.close(CloseReason::Requested);
        iter::from_fn(|| socket.peer.poll_output()).collect()
    }

    /// Removes connections that are closed.
    pub(super) fn forget_closed(&mut self) {
        self.all.retain(|socket| socket.peer.conn().is_some());
    }

    /// A connection that has been idle for long enough.
    pub(super) fn idle(&self, now: Mono) -> Option<ConnId> {
        let first = self.all.first()?;
        first.peer.conn().filter(|_| first.used + IDLE_TIMEOUT <= now)
    }

    /// When the next connection has been idle for long enough.
    pub(super) fn next_idle(&self) -> Option<Mono> {
        self.all.first().map(|socket| socket.used + IDLE_TIMEOUT)
    }

    fn remove(&mut self, conn: ConnId) -> Option<Socket> {
        let at = self.all.iter().position(|socket| socket.peer.is(conn))?;
        Some(self.all.remove(at))
    }
}
