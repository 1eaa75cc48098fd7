//! The connections to other servers, which are kept for a while: keys are often moved one after
//! the other, and to make a connection takes longer than to move a key.

use crate::machine::{ConnId, Outbox};
use crate::time::{Duration, Mono};

/// How many are kept.
const MOST: usize = 64;

/// For how long one is kept that is not used.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to another server.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    /// Host and port, as they were given.
    name: Vec<u8>,
    pub(super) conn: ConnId,
    pub(super) outbox: Outbox,
    /// The database that is selected there, if that is known.
    pub(super) db: Option<i64>,
    /// Whether the connection stands.
    pub(super) stands: bool,
    used: Mono,
}

/// All of them, the one that was used last at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Sockets {
    all: Vec<Socket>,
}

impl Sockets {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&mut self, conn: ConnId) -> Option<&mut Socket> {
        self.all.iter_mut().find(|socket| socket.conn == conn)
    }

    /// Whether a connection stands.
    pub(super) fn stands(&self, conn: ConnId) -> bool {
        self.all.iter().any(|socket| socket.conn == conn && socket.stands)
    }

    /// The connection to a server, if there is one. It counts as used.
    pub(super) fn find(&mut self, name: &[u8], now: Mono) -> Option<ConnId> {
        let at = self.all.iter().position(|socket| socket.name == name)?;
        let conn = self.all.get(at)?.conn;
        self.used(conn, now);
        Some(conn)
    }

    /// A connection is used.
    pub(super) fn used(&mut self, conn: ConnId, now: Mono) {
        if let Some(mut socket) = self.remove(conn) {
            socket.used = now;
            self.all.push(socket);
        }
    }

    /// Adds a connection that is being made. If there are too many, gives one that has to go.
    pub(super) fn add(&mut self, name: Vec<u8>, conn: ConnId, now: Mono) -> Option<Socket> {
        let spare = (self.all.len() >= MOST).then(|| self.all.remove(0));
        let outbox = Outbox::default();
        self.all.push(Socket { name, conn, outbox, db: None, stands: false, used: now });
        spare
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Socket> {
        let at = self.all.iter().position(|socket| socket.conn == conn)?;
        Some(self.all.remove(at))
    }

    /// One that has not been used for long enough.
    pub(super) fn idle(&self, now: Mono) -> Option<ConnId> {
        let first = self.all.first()?;
        (first.used + PATIENCE <= now).then_some(first.conn)
    }

    /// When the next one has not been used for long enough.
    pub(super) fn next_idle(&self) -> Option<Mono> {
        self.all.first().map(|socket| socket.used + PATIENCE)
    }
}
