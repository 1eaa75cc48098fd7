//! The open connections, and where to find each by its id or by its token.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use limpid_core::machine::ConnId;
use mio::Token;
use rustc_hash::FxBuildHasher;
use slab::Slab;

use super::moderation::HeardIn;
use super::socket::Socket;

/// The place of a connection in its table, good until the connection is gone.
pub(super) type Slot = usize;

/// One connection, and what its driver has to remember about it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) socket: Socket,
    /// It was asked for, and is neither made nor refused.
    pub(super) connecting: bool,
    /// The machine wants it closed when all is sent: nothing is read any more.
    pub(super) closing: bool,
    /// The socket has something to read, or may have: nothing more is told until it was tried.
    pub(super) readable: bool,
    /// The peer has shut down or reset its side, so after the last byte there is an end to read.
    pub(super) hung_up: bool,
    /// The machine does not want to read now.
    pub(super) paused: bool,
    /// The peer's end was read and told.
    pub(super) ended: bool,
    /// The socket took less than it was given; wait until it is writable.
    pub(super) blocked: bool,
    /// The socket tells when it becomes writable.
    pub(super) writable_watched: bool,
    /// Stands in the list of connections to be written.
    pub(super) in_dirty: bool,
    /// Stands in the list of those for which messages are being gathered.
    pub(super) in_gathering: bool,
    /// Stands in the list of connections to be read again.
    pub(super) in_again: bool,
    /// When something last came.
    pub(super) heard_in: HeardIn,
}

impl Connection {
    pub(super) fn new(id: ConnId, socket: Socket, connecting: bool) -> Self {
        Connection {
            id,
            socket,
            connecting,
            closing: false,
            readable: false,
            hung_up: false,
            paused: false,
            ended: false,
            blocked: false,
            writable_watched: connecting,
            in_dirty: false,
            in_gathering: false,
            in_again: false,
            heard_in: HeardIn::default(),
        }
    }

    /// Whether bytes of the peer may be handed to the machine now.
    pub(super) fn may_read(&self) -> bool {
        !(self.connecting || self.closing || self.paused || self.ended)
    }
}

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slab: Slab<Connection>,
    /// The slots, found by the id of the connection in each.
    slots: HashTable<u32>,
}

impl Connections {
    pub(super) fn insert(&mut self, connection: Connection) -> Slot {
        let id = connection.id;
        let slot = self.slab.insert(connection);
        let slab = &self.slab;
        // Each connection is an open file, and of these there are fewer.
        let short = u32::try_from(slot).expect("fewer than 2³² connections");
        self.slots.insert_unique(hash(id), short, |slot| {
            slab.get(*slot as usize).map_or(0, |connection| hash(connection.id))
        });
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Connection> {
        let id = self.slab.get(slot)?.id;
        if let Ok(entry) = self.slots.find_entry(hash(id), |known| *known as usize == slot) {
            entry.remove();
        }
        self.slab.try_remove(slot)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Connection> {
        self.slab.get_mut(slot)
    }

    #[inline]
    pub(super) fn find(&mut self, id: ConnId) -> Option<(Slot, &mut Connection)> {
        let slab = &self.slab;
        let is_of = |slot: &u32| slab.get(*slot as usize).is_some_and(|found| found.id == id);
        let slot = *self.slots.find(hash(id), is_of)? as usize;
        Some((slot, self.slab.get_mut(slot)?))
    }

    /// The slot that the next connection will have.
    pub(super) fn next_slot(&self) -> Slot {
        self.slab.vacant_key()
    }

    /// A connection's token is its slot.
    pub(super) fn token(slot: Slot) -> Token {
        Token(slot)
    }
}

#[inline]
fn hash(id: ConnId) -> u64 {
    FxBuildHasher.hash_one(id)
}
