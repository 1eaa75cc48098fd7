//! Consumer groups: a group's last delivered ID, its consumers and its pending entries.

use triomphe::Arc;

use super::StreamId;
use crate::store::size::allocated;
use crate::store::value::seq::{self, Seq};

/// A consumer group.
#[derive(Clone, Debug)]
pub struct Group {
    name: Box<[u8]>,
    last_id: StreamId,
    entries_read: Option<u64>,
    /// The pending entries list (PEL) of the group, by ID.
    pending: Seq<Delivery>,
    /// The consumers, at the indexes that deliveries refer to.
    consumers: Vec<Option<Arc<Consumer>>>,
    /// The indexes of the consumers, sorted by name.
    by_name: Vec<u32>,
    /// Unused indexes.
    free: Vec<u32>,
    name_bytes: usize,
}

/// A consumer of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last sent a request, in milliseconds since 1970.
    pub seen: i64,
    /// When it last received entries, if ever.
    pub active: Option<i64>,
    pending: Seq<Owned>,
}

/// A pending entry: delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The ID of the entry.
    pub id: StreamId,
    /// When it was delivered last, in milliseconds since 1970.
    pub time: i64,
    /// The number of deliveries.
    pub count: u64,
    consumer: u32,
}

/// The ID of a pending entry, in the PEL of a consumer.
#[derive(Clone, Copy, Debug)]
struct Owned(StreamId);

/// The index of no consumer: the pending entry is not assigned yet.
const NO_CONSUMER: u32 = u32::MAX;

impl seq::Item for Delivery {
    type Key = StreamId;
    const UNIT: bool = true;

    #[inline]
    fn key(&self) -> StreamId {
        self.id
    }

    fn weight(&self) -> u64 {
        1
    }
}

impl seq::Item for Owned {
    type Key = StreamId;
    const UNIT: bool = true;

    #[inline]
    fn key(&self) -> StreamId {
        self.0
    }

    fn weight(&self) -> u64 {
        1
    }
}

impl Group {
    /// A group without consumers. `entries_read` is the number of entries up to `last_id`, if
    /// known.
    pub fn new(name: &[u8], last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self {
            name: name.into(),
            last_id,
            entries_read,
            pending: Seq::new(),
            consumers: Vec::new(),
            by_name: Vec::new(),
            free: Vec::new(),
            name_bytes: 0,
        }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The last delivered ID.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The number of entries read up to there, if known.
    pub fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// Sets the last delivered ID.
    pub fn set_last_id(&mut self, last_id: StreamId, entries_read: Option<u64>) {
        (self.last_id, self.entries_read) = (last_id, entries_read);
    }

    /// Memory used, in bytes.
    pub(super) fn memory(&self) -> usize {
        let consumers = self.by_name.len();
        allocated(160)
            + allocated(self.name.len())
            + self.pending.weight() as usize * (48 + 24)
            + consumers * (8 + 4 + allocated(80))
            + self.name_bytes
    }

    /// The number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.by_name.len()
    }

    /// The consumers, sorted by name.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.by_name.iter().filter_map(|place| self.consumer_at(*place))
    }

    /// The consumer with this name.
    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.place_of(name).and_then(|place| self.consumer_at(place))
    }

    /// The consumer to which a pending entry was delivered.
    pub fn consumer_of(&self, delivery: &Delivery) -> Option<&Consumer> {
        self.consumer_at(delivery.consumer)
    }

    /// Lets `change` change the consumer with this name.
    pub fn change_consumer<R>(
        &mut self,
        name: &[u8],
        change: impl FnOnce(&mut Consumer) -> R,
    ) -> Option<R> {
        let place = self.place_of(name)?;
        self.consumer_mut(place).map(change)
    }

    /// Adds a consumer. Returns whether it is new.
    pub fn add_consumer(&mut self, name: &[u8], now: i64) -> bool {
        let Err(at) = self.find(name) else { return false };
        let consumer = Consumer { name: name.into(), seen: now, active: None, pending: Seq::new() };
        let consumer = Some(Arc::new(consumer));
        let place = match self.free.pop() {
            Some(place) => {
                if let Some(free) = self.consumers.get_mut(place as usize) {
                    *free = consumer;
                }
                place
            }
            None => {
                self.consumers.push(consumer);
                (self.consumers.len() - 1) as u32
            }
        };
        self.by_name.insert(at, place);
        self.name_bytes += allocated(name.len());
        true
    }

    /// Removes a consumer and its pending entries. Returns the number of these entries.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<u64> {
        let at = self.find(name).ok()?;
        let place = self.by_name.remove(at);
        let consumer = self.consumers.get_mut(place as usize)?.take()?;
        self.free.push(place);
        self.name_bytes = self.name_bytes.saturating_sub(allocated(name.len()));
        for Owned(id) in consumer.pending.iter_from(0) {
            let rank = self.pending.rank(|other| other < *id);
            self.pending.remove(rank);
        }
        Some(consumer.pending.weight())
    }

    /// The number of pending entries.
    pub fn pending_count(&self) -> usize {
        self.pending.weight() as usize
    }

    /// The pending entries from this ID on.
    pub fn pending_from(&self, id: StreamId) -> impl Iterator<Item = &Delivery> {
        self.pending_from_rank(self.pending.rank(|other| other < id) as usize)
    }

    /// The pending entries from this rank on.
    pub fn pending_from_rank(&self, rank: usize) -> impl Iterator<Item = &Delivery> {
        self.pending.iter_from(rank as u64)
    }

    /// The last pending entry.
    pub fn last_pending(&self) -> Option<&Delivery> {
        let last = self.pending.weight().checked_sub(1)?;
        self.pending.get(last).map(|(delivery, _)| delivery)
    }

    /// The pending entry with this ID.
    pub fn delivery(&self, id: StreamId) -> Option<&Delivery> {
        let rank = self.pending.rank(|other| other < id);
        self.pending.get(rank).map(|(delivery, _)| delivery).filter(|found| found.id == id)
    }

    /// Records the delivery of an entry to a consumer, and removes it from its previous consumer.
    pub fn deliver(&mut self, id: StreamId, consumer: &[u8], time: i64, count: u64) {
        self.deliver_all(core::iter::once(id), consumer, time, count);
    }

    /// Records the delivery of several entries.
    pub fn deliver_all(
        &mut self,
        ids: impl Iterator<Item = StreamId>,
        consumer: &[u8],
        time: i64,
        count: u64,
    ) {
        let Some(place) = self.place_of(consumer) else { return };
        for id in ids {
            self.deliver_to(place, Delivery { id, time, count, consumer: place });
        }
    }

    fn deliver_to(&mut self, place: u32, delivery: Delivery) {
        let id = delivery.id;
        // An entry that is delivered for the first time has a larger ID than all before.
        if self.pending.last().is_none_or(|last| last.id < id) {
            self.pending.insert_by(|_| true, delivery);
        } else {
            let rank = self.pending.rank(|other| other < id);
            let before = self.pending.get(rank).map(|(delivery, _)| *delivery);
            match before.filter(|before| before.id == id) {
                Some(before) => {
                    self.pending.update(rank, |old, _| *old = delivery);
                    if before.consumer == place {
                        return;
                    }
                    if let Some(old) = self.consumer_mut(before.consumer) {
                        old.remove_pending(id);
                    }
                }
                None => self.pending.insert(rank, delivery),
            }
        }
        if let Some(new) = self.consumer_mut(place) {
            new.add_pending(id);
        }
    }

    /// Removes a pending entry. Returns whether it existed.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let rank = self.pending.rank(|other| other < id);
        let found = self.pending.get(rank).map(|(delivery, _)| *delivery);
        let Some(delivery) = found.filter(|delivery| delivery.id == id) else { return false };
        self.pending.remove(rank);
        if let Some(consumer) = self.consumer_mut(delivery.consumer) {
            consumer.remove_pending(id);
        }
        true
    }

    /// Adds a pending entry from a dump, without a consumer yet. Returns whether its ID is new.
    pub fn restore_delivery(&mut self, id: StreamId, time: i64, count: u64) -> bool {
        let rank = self.pending.rank(|other| other < id);
        if self.pending.get(rank).is_some_and(|(delivery, _)| delivery.id == id) {
            return false;
        }
        self.pending.insert(rank, Delivery { id, time, count, consumer: NO_CONSUMER });
        true
    }

    /// Sets the consumer of an entry that was [restored](Self::restore_delivery). False if there is
    /// no such entry, or if it has a consumer.
    pub fn restore_owner(&mut self, id: StreamId, consumer: &[u8]) -> bool {
        let Some(place) = self.place_of(consumer) else { return false };
        let rank = self.pending.rank(|other| other < id);
        let found = self.pending.get(rank).map(|(delivery, _)| *delivery);
        match found {
            Some(delivery) if delivery.id == id && delivery.consumer == NO_CONSUMER => {
                self.pending.update(rank, |delivery, _| delivery.consumer = place);
                if let Some(consumer) = self.consumer_mut(place) {
                    consumer.add_pending(id);
                }
                true
            }
            _ => false,
        }
    }

    /// Frees about `budget` pending entries, and returns how many.
    pub(super) fn free_some(&mut self, budget: usize) -> usize {
        let mut freed = self.pending.free_some(budget);
        while freed < budget {
            let Some(last) = self.consumers.last_mut() else { break };
            let consumer = last.as_mut().and_then(Arc::get_mut);
            match consumer.map_or(0, |consumer| consumer.pending.free_some(budget - freed)) {
                0 => drop(self.consumers.pop()),
                n => freed += n,
            }
        }
        freed
    }

    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        self.by_name.binary_search_by(|place| {
            self.consumer_at(*place).map_or(&[][..], |c| &c.name).cmp(name)
        })
    }

    fn place_of(&self, name: &[u8]) -> Option<u32> {
        let at = self.find(name).ok()?;
        self.by_name.get(at).copied()
    }

    fn consumer_at(&self, place: u32) -> Option<&Consumer> {
        self.consumers.get(place as usize)?.as_deref()
    }

    fn consumer_mut(&mut self, place: u32) -> Option<&mut Consumer> {
        self.consumers.get_mut(place as usize)?.as_mut().map(Arc::make_mut)
    }
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The number of its pending entries.
    pub fn pending_count(&self) -> usize {
        self.pending.weight() as usize
    }

    /// The IDs of its pending entries, from this ID on.
    pub fn pending_from(&self, id: StreamId) -> impl Iterator<Item = StreamId> {
        let rank = self.pending.rank(|other| other < id);
        self.pending_from_rank(rank as usize)
    }

    /// The IDs of its pending entries, from this rank on.
    pub fn pending_from_rank(&self, rank: usize) -> impl Iterator<Item = StreamId> {
        self.pending.iter_from(rank as u64).map(|owned| owned.0)
    }

    fn add_pending(&mut self, id: StreamId) {
        self.pending.insert_by(|other| other < id, Owned(id));
    }

    fn remove_pending(&mut self, id: StreamId) {
        let rank = self.pending.rank(|other| other < id);
        self.pending.remove(rank);
    }
}
