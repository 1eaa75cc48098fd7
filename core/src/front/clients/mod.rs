//! The connected clients, and finding them by slot, connection or id.

pub mod client;
mod describe;
mod long;
mod subscriptions;
mod tracking;

use std::collections::BTreeSet;

pub use client::{Client, ClientKind, ClientState, CloseState, Flush, ReplyMode};
pub(crate) use describe::{check_name, describe, is_printable};
use hashbrown::HashTable;
pub use long::LongReply;
pub(crate) use subscriptions::ChannelKind;
pub use subscriptions::Subscriptions;
pub use tracking::{Tracking, TrackingMode};

use crate::front::Service;
use crate::machine::ConnId;

/// All clients. They are found in constant time by connection, and in order by id.
#[derive(Clone, Debug)]
pub struct Clients<S: Service> {
    slots: Vec<Option<Box<Client<S>>>>,
    free: Vec<u32>,
    by_conn: HashTable<(ConnId, u32)>,
    /// Ids with slots.
    by_id: BTreeSet<(u64, u64)>,
    /// Number of clients that are not being closed.
    connected: usize,
    last_id: u64,
}

impl<S: Service> Default for Clients<S> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_conn: HashTable::new(),
            by_id: BTreeSet::new(),
            connected: 0,
            last_id: 0,
        }
    }
}

impl<S: Service> Clients<S> {
    /// The id for a new client.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// How many clients are connected.
    pub fn connected(&self) -> usize {
        self.connected
    }

    /// Adds a client and assigns its slot.
    pub fn add(&mut self, mut client: Box<Client<S>>) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        client.slot = slot;
        self.by_conn.insert_unique(hash(client.conn), (client.conn, slot), |(c, _)| hash(*c));
        self.by_id.insert((client.id, slot.into()));
        if client.close_state != CloseState::Closing {
            self.connected += 1;
        }
        self.slots[slot as usize] = Some(client);
    }

    /// The slot of a connection.
    #[inline]
    pub fn slot(&self, conn: ConnId) -> Option<u32> {
        self.by_conn.find(hash(conn), |(c, _)| *c == conn).map(|(_, slot)| *slot)
    }

    /// The client of a slot.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&Client<S>> {
        self.slots.get(slot as usize)?.as_deref()
    }

    /// The client of a slot.
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Client<S>> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Takes a client out of its slot while it is served, so that it and the others can be borrowed
    /// side by side. [`Clients::put`] brings it back.
    #[inline]
    pub fn take(&mut self, slot: u32) -> Option<Box<Client<S>>> {
        self.slots.get_mut(slot as usize)?.take()
    }

    /// Puts back a client that was taken out.
    #[inline]
    pub fn put(&mut self, client: Box<Client<S>>) {
        if let Some(slot) = self.slots.get_mut(client.slot as usize) {
            *slot = Some(client);
        }
    }

    /// Removes a client that was taken out.
    pub fn forget(&mut self, client: &Client<S>) {
        if let Ok(entry) = self.by_conn.find_entry(hash(client.conn), |(c, _)| *c == client.conn) {
            entry.remove();
            self.by_id.remove(&(client.id, client.slot.into()));
            self.free.push(client.slot);
            if client.close_state != CloseState::Closing {
                self.connected -= 1;
            }
        }
    }

    /// Marks a client as being closed, and no longer counts it.
    pub fn mark_closing(&mut self, client: &mut Client<S>) {
        if client.close_state != CloseState::Closing {
            client.close_state = CloseState::Closing;
            self.connected -= 1;
        }
    }

    /// The slot of the client with this id.
    pub fn by_id(&self, id: u64) -> Option<u32> {
        self.by_id.range((id, 0)..=(id, u64::MAX)).next().map(|&(_, slot)| slot as u32)
    }

    /// The slots of all clients, by id.
    pub fn slots(&self) -> Vec<u32> {
        self.by_id.iter().map(|&(_, slot)| slot as u32).collect()
    }

    /// All clients that are not taken out, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Client<S>> {
        self.by_id.iter().filter_map(|&(_, slot)| self.get(slot as u32))
    }

    /// All clients by id, including one that is taken out.
    pub fn iter_with<'c>(&'c self, taken: &'c Client<S>) -> impl Iterator<Item = &'c Client<S>> {
        self.by_id.iter().filter_map(move |&(_, slot)| match slot as u32 {
            slot if slot == taken.slot => Some(taken),
            slot => self.get(slot),
        })
    }
}

/// Connection ids are consecutive, so a multiplicative hash spreads them well.
#[inline]
fn hash(conn: ConnId) -> u64 {
    conn.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
