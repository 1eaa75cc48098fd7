//! Serializing keys into a snapshot.

use std::collections::VecDeque;

use crate::persist::aof::{CommandWriter, EntryCommands};
use crate::persist::rdb::{EntryWriter, Writer};
use crate::sharding::Slot;
use crate::sorted::SortedMap;
use crate::store::{Entry, Keyed, Keyspace};

/// Keys requested from the keyspace at once: few, since each one may fill a slice.
const STEP: usize = 16;

/// How much to write at once: until this many bytes, or this many keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    pub(super) bytes: usize,
    pub(super) keys: u64,
}

/// The format of a snapshot.
#[derive(Clone, Debug)]
pub(in crate::server) enum Encoder {
    /// RDB.
    Rdb(Writer),
    /// Commands.
    Commands(CommandWriter),
}

/// The rest of a large entry that is written in slices.
#[derive(Clone, Debug)]
enum Rest {
    Rdb(EntryWriter),
    Commands(EntryCommands),
}

impl Encoder {
    /// Starts the entries of a database. `sizes`, the first time, is its number of keys and of keys
    /// with an expiry.
    fn select(&mut self, db: usize, sizes: Option<(u64, u64)>) {
        match self {
            Encoder::Rdb(writer) => {
                writer.select(db as u64);
                if let Some((keys, expiring)) = sizes {
                    writer.resize(keys, expiring);
                }
            }
            Encoder::Commands(writer) => writer.select(db as u64),
        }
    }

    fn entry(&mut self, entry: &Entry) -> Option<Rest> {
        match self {
            Encoder::Rdb(writer) => writer.entry(entry).map(Rest::Rdb),
            Encoder::Commands(writer) => writer.entry(entry).map(Rest::Commands),
        }
    }

    /// Writes about `budget` more bytes of a large entry. Returns whether it is complete.
    fn go_on(&mut self, rest: &mut Rest, budget: usize) -> bool {
        match (self, rest) {
            (Encoder::Rdb(writer), Rest::Rdb(rest)) => rest.step(writer, budget),
            (Encoder::Commands(writer), Rest::Commands(rest)) => rest.step(writer, budget),
            // The rest of an entry has the format in which it was begun.
            _ => true,
        }
    }

    /// Writes the end.
    pub(in crate::server) fn finish(&mut self) {
        match self {
            Encoder::Rdb(writer) => writer.finish(),
            Encoder::Commands(_) => {}
        }
    }

    /// Updates the checksum with new bytes.
    fn update_checksum(&mut self) {
        match self {
            Encoder::Rdb(writer) => writer.update_checksum(),
            Encoder::Commands(_) => {}
        }
    }

    fn len(&self) -> usize {
        match self {
            Encoder::Rdb(writer) => writer.len(),
            Encoder::Commands(writer) => writer.len(),
        }
    }

    /// Removes and returns the bytes written so far.
    pub(in crate::server) fn take(&mut self) -> Vec<u8> {
        match self {
            Encoder::Rdb(writer) => writer.take(),
            Encoder::Commands(writer) => writer.take(),
        }
    }
}

/// The contents of all databases at one moment, while they are being serialized.
#[derive(Clone, Debug)]
pub(in crate::server) struct Image {
    encoder: Encoder,
    selected: Option<usize>,
    /// Number of keys, and of those with an expiry, of each database that has not been started yet.
    sizes: SortedMap<usize, (u64, u64)>,
    /// The large entry that is being written.
    rest: Option<Rest>,
    /// Entries that have to wait until the large entry is complete.
    waiting: VecDeque<(usize, Entry)>,
    /// Whether the keyspace has handed over all keys.
    walked: bool,
    finished: bool,
    /// Keys written so far.
    pub(super) keys: u64,
    /// Number of keys.
    pub(super) total: u64,
}

impl Image {
    /// Takes a snapshot of all databases.
    pub(super) fn begin(keyspace: &mut Keyspace, encoder: Encoder) -> Self {
        keyspace.begin_snapshot();
        let sizes: SortedMap<usize, (u64, u64)> = keyspace
            .summary()
            .map(|(db, keys, expiring)| (db, (keys as u64, expiring as u64)))
            .collect();
        let total = sizes.values().map(|(keys, _)| keys).sum();
        Self::with(encoder, sizes, total)
    }

    /// Takes a snapshot of these slots of database 0.
    pub(super) fn of_slots(keyspace: &mut Keyspace, encoder: Encoder, slots: &[Slot]) -> Self {
        keyspace.begin_snapshot_of(slots);
        let total = slots.iter().map(|slot| keyspace.count_in_slot(*slot) as u64).sum();
        Self::with(encoder, SortedMap::new(), total)
    }

    fn with(encoder: Encoder, sizes: SortedMap<usize, (u64, u64)>, total: u64) -> Self {
        Self {
            encoder,
            selected: None,
            sizes,
            rest: None,
            waiting: VecDeque::new(),
            walked: false,
            finished: false,
            keys: 0,
            total,
        }
    }

    /// Writes about a slice more, but no more than `most` keys.
    pub(super) fn step(&mut self, keyspace: &mut Keyspace, slice: Slice, most: u64) {
        let until = self.encoder.len().saturating_add(slice.bytes);
        let enough = self.keys.saturating_add(slice.keys);
        let last = self.keys.saturating_add(most);
        while !self.finished && self.encoder.len() < until && self.keys < enough.min(last) {
            if let Some(rest) = &mut self.rest {
                let budget = until.saturating_sub(self.encoder.len());
                if !self.encoder.go_on(rest, budget) {
                    break;
                }
                self.rest = None;
                self.keys += 1;
            } else if let Some((db, entry)) = self.waiting.pop_front() {
                self.write(db, &entry);
                keyspace.free_copy_later(entry);
            } else if self.walked {
                self.encoder.finish();
                self.finished = true;
            } else {
                self.walk(keyspace, last);
            }
        }
        self.encoder.update_checksum();
    }

    fn walk(&mut self, keyspace: &mut Keyspace, last: u64) {
        let keys = usize::try_from(last - self.keys).unwrap_or(STEP).min(STEP);
        self.walked = keyspace.snapshot_step(keys, |db, entry| {
            if self.rest.is_none() && self.waiting.is_empty() && self.keys < last {
                self.write(db, entry);
            } else {
                self.waiting.push_back((db, entry.frozen()));
            }
        });
    }

    /// Whether a large entry is being written.
    pub(super) fn is_within_entry(&self) -> bool {
        self.rest.is_some()
    }

    /// Entries that have to wait until the large entry is complete.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn write(&mut self, db: usize, entry: &Entry) {
        if self.selected != Some(db) {
            self.selected = Some(db);
            self.encoder.select(db, self.sizes.remove(&db));
        }
        self.rest = self.encoder.entry(entry);
        if self.rest.is_none() {
            self.keys += 1;
        }
    }

    /// Whether everything has been written.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Number of bytes written and not taken.
    pub(super) fn len(&self) -> usize {
        self.encoder.len()
    }

    /// Removes and returns the bytes written so far.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.encoder.take()
    }
}
