//! The table of open connections, which finds one by its id or its token.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use limpid_core::machine::ConnId;
use mio::Token;
use rustc_hash::FxBuildHasher;
use slab::Slab;

use super::moderation::HeardIn;
use super::socket::Socket;

/// The index of a connection in the table, valid until the connection is removed.
pub(super) type Slot = usize;

/// A connection with the driver's state for it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) socket: Socket,
    /// An outgoing connection that is not established yet.
    pub(super) connecting: bool,
    /// The machine wants it closed once all is sent; nothing is read any more.
    pub(super) closing: bool,
    /// The socket may be readable. Edge-triggered, so the kernel says no more until it is read.
    pub(super) readable: bool,
    /// The peer has shut down or reset its side, so an end of file follows the last byte.
    pub(super) hung_up: bool,
    /// The machine has paused reading.
    pub(super) paused: bool,
    /// The end of the peer's stream was read and reported.
    pub(super) ended: bool,
    /// The socket took less than it was given: not written to until it is writable again.
    pub(super) blocked: bool,
    /// The poll watches for writability.
    pub(super) writable_watched: bool,
    /// Is in the list of connections to be written (`Driver::dirty`).
    pub(super) in_dirty: bool,
    /// Is in the list of those that gather messages (`Driver::gathering`).
    pub(super) in_gathering: bool,
    /// Is in the list of connections to be read again (`Driver::again`).
    pub(super) in_again: bool,
    /// When bytes last arrived.
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

    /// Whether bytes of the peer may be read and given to the machine now.
    pub(super) fn may_read(&self) -> bool {
        !(self.connecting || self.closing || self.paused || self.ended)
    }
}

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slab: Slab<Connection>,
    /// The slots by the ids of their connections.
    slots: HashTable<u32>,
}

impl Connections {
    pub(super) fn insert(&mut self, connection: Connection) -> Slot {
        let id = connection.id;
        let slot = self.slab.insert(connection);
        let slab = &self.slab;
        // Fits: each connection is an open file, and there can be fewer of those.
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
