//! A group of consumers: how far it has read, and what was delivered and not acknowledged.

use triomphe::Arc;

use super::StreamId;
use crate::store::size::allocated;
use crate::store::value::seq::{self, Seq};

/// A group of consumers.
#[derive(Clone, Debug)]
pub struct Group {
    name: Box<[u8]>,
    last_id: StreamId,
    entries_read: Option<u64>,
    /// What was delivered and not acknowledged, by ID.
    pending: Seq<Delivery>,
    /// The consumers, at the places that deliveries name.
    consumers: Vec<Option<Arc<Consumer>>>,
    /// The places of consumers, in the order of their names.
    by_name: Vec<u32>,
    /// Places without a consumer.
    free: Vec<u32>,
    name_bytes: usize,
}

/// A consumer of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last asked for something, in milliseconds since 1970.
    pub seen: i64,
    /// When it last got something, if ever.
    pub active: Option<i64>,
    pending: Seq<Owned>,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The entry.
    pub id: StreamId,
    /// When it was delivered last, in milliseconds since 1970.
    pub time: i64,
    /// How often it was delivered.
    pub count: u64,
    consumer: u32,
}

/// The ID of an entry that a consumer has not acknowledged.
#[derive(Clone, Copy, Debug)]
struct Owned(StreamId);

/// In place of a consumer: none has it yet.
const NOBODY: u32 = u32::MAX;

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
    /// A group without consumers that has read up to this ID; `entries_read` says how many entries
    /// these were, if that is known.
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

    /// The ID up to which entries were delivered.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// How many entries were read up to there, if that is known.
    pub fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// Sets up to where it has read.
    pub fn set_last_id(&mut self, last_id: StreamId, entries_read: Option<u64>) {
        (self.last_id, self.entries_read) = (last_id, entries_read);
    }

    /// The memory that it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        let consumers = self.by_name.len();
        allocated(160)
            + allocated(self.name.len())
            + self.pending.weight() as usize * (48 + 24)
            + consumers * (8 + 4 + allocated(80))
            + self.name_bytes
    }

    /// How many consumers there are.
    pub fn consumer_count(&self) -> usize {
        self.by_name.len()
    }

    /// The consumers in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.by_name.iter().filter_map(|place| self.consumer_at(*place))
    }

    /// The consumer of this name.
    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.place_of(name).and_then(|place| self.consumer_at(place))
    }

    /// The consumer that has an entry pending.
    pub fn consumer_of(&self, delivery: &Delivery) -> Option<&Consumer> {
        self.consumer_at(delivery.consumer)
    }

    /// Lets `change` change the consumer of this name.
    pub fn change_consumer<R>(
        &mut self,
        name: &[u8],
        change: impl FnOnce(&mut Consumer) -> R,
    ) -> Option<R> {
        let place = self.place_of(name)?;
        self.consumer_mut(place).map(change)
    }

    /// Adds a consumer. Returns whether there was none of its name.
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

    /// Removes a consumer and what it has not acknowledged. Returns how much that was.
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

    /// How many entries were delivered and not acknowledged.
    pub fn pending_count(&self) -> usize {
        self.pending.weight() as usize
    }

    /// What was delivered and not acknowledged, from this ID on.
    pub fn pending_from(&self, id: StreamId) -> impl Iterator<Item = &Delivery> {
        self.pending_from_rank(self.pending.rank(|other| other < id) as usize)
    }

    /// The same from the place among all on.
    pub fn pending_from_rank(&self, rank: usize) -> impl Iterator<Item = &Delivery> {
        self.pending.iter_from(rank as u64)
    }

    /// The last of what was delivered and not acknowledged.
    pub fn last_pending(&self) -> Option<&Delivery> {
        let last = self.pending.weight().checked_sub(1)?;
        self.pending.get(last).map(|(delivery, _)| delivery)
    }

    /// The delivery of an entry.
    pub fn delivery(&self, id: StreamId) -> Option<&Delivery> {
        let rank = self.pending.rank(|other| other < id);
        self.pending.get(rank).map(|(delivery, _)| delivery).filter(|found| found.id == id)
    }

    /// Records the delivery of an entry to a consumer, and takes it from the one that had it before.
    pub fn deliver(&mut self, id: StreamId, consumer: &[u8], time: i64, count: u64) {
        self.deliver_all(core::iter::once(id), consumer, time, count);
    }

    /// The same for several entries.
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
        // What is read for the first time comes behind all that was read before.
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

    /// An entry is pending no more. Returns whether it was.
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

    /// Adds a delivery that comes from outside, to no consumer yet. Returns whether it is the first with
    /// this ID.
    pub fn restore_delivery(&mut self, id: StreamId, time: i64, count: u64) -> bool {
        let rank = self.pending.rank(|other| other < id);
        if self.pending.get(rank).is_some_and(|(delivery, _)| delivery.id == id) {
            return false;
        }
        self.pending.insert(rank, Delivery { id, time, count, consumer: NOBODY });
        true
    }

    /// Tells who has an entry that was [restored](Self::restore_delivery). False if there is none
    /// such, or if a consumer has it.
    pub fn restore_owner(&mut self, id: StreamId, consumer: &[u8]) -> bool {
        let Some(place) = self.place_of(consumer) else { return false };
        let rank = self.pending.rank(|other| other < id);
        let found = self.pending.get(rank).map(|(delivery, _)| *delivery);
        match found {
            Some(delivery) if delivery.id == id && delivery.consumer == NOBODY => {
                self.pending.update(rank, |delivery, _| delivery.consumer = place);
                if let Some(consumer) = self.consumer_mut(place) {
                    consumer.add_pending(id);
                }
                true
            }
            _ => false,
        }
    }

    /// Frees about `budget` deliveries, and says how many.
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

    /// How many entries it has not acknowledged.
    pub fn pending_count(&self) -> usize {
        self.pending.weight() as usize
    }

    /// The IDs of what it has not acknowledged, from this ID on.
    pub fn pending_from(&self, id: StreamId) -> impl Iterator<Item = StreamId> {
        let rank = self.pending.rank(|other| other < id);
        self.pending_from_rank(rank as usize)
    }

    /// The same from the place among all on.
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
