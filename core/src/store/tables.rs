//! The hash tables of one database: a single table, or, in cluster mode, one per slot.
//!
//! With a table per slot, counting, listing and dropping the keys of a slot take time proportional
//! to that slot only. Tables are created with their first key and dropped with their last, so that
//! a node pays only for slots that have keys; totals over all tables are kept up to date, so that
//! nothing iterates over all 16384.
//!
//! The alternative was one table whose hash order begins with the slot. It needs no totals, but a
//! bucket then holds the keys of whole slots: on a node with a third of the slots two thirds of the
//! buckets are empty and the others hold three times as much as they are made for, and keys with one
//! hash tag all end up in one bucket.

use super::entry::Entry;
use super::table::{self, HashSeed, Table};
use crate::rng::Rng;
use crate::sharding;

/// The hash tables of one database.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    one: Table<Entry>,
    /// In cluster mode, used instead of the single table.
    slots: Option<Box<Slots>>,
}

/// The location of an entry; valid until the tables change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The table's slot; 0 without cluster mode.
    table: u16,
    place: table::Slot,
}

/// A table for each slot that has keys.
#[derive(Clone, Debug)]
struct Slots {
    seed: HashSeed,
    groups: Vec<Option<Box<Group>>>,
    len: usize,
    /// The size of all tables in bytes, and of that the size of the tables without their entries.
    bytes: usize,
    overhead: usize,
    /// The slot that a snapshot's iteration has reached, while one is in progress.
    walk: Option<u16>,
    /// Tables whose entries have changed before the iteration reached them.
    changed: Vec<u16>,
    pending: usize,
    /// Bytes that tables which were dropped had copied for the last snapshot.
    copied: u64,
}

/// What the table of one slot contributes to the totals.
#[derive(Clone, Copy, Debug)]
struct Share {
    len: usize,
    bytes: usize,
    overhead: usize,
    pending: usize,
}

/// The tables of adjacent slots. Most nodes own mostly adjacent slots.
#[derive(Clone, Debug)]
struct Group {
    len: usize,
    tables: [Option<Box<Table<Entry>>>; GROUP],
}

/// Slots per group.
const GROUP: usize = 128;
const GROUPS: usize = sharding::Slot::COUNT as usize / GROUP;

/// The accounted size of a table, without its buckets.
const TABLE_BYTES: usize = 128;

/// The number of bits of a cursor below the slot. They hold the position within its table; the
/// table of one slot never needs finer positions.
const POSITION_BITS: u32 = 34;

/// The number of bits of a cursor of one table, see [`Table::scan`].
const CURSOR_BITS: u32 = 48;

impl Tables {
    /// Empty tables. The seed says whether there is one per slot.
    pub(super) fn new(seed: HashSeed) -> Self {
        Self { one: Table::new(seed), slots: seed.is_by_slot().then(|| Box::new(Slots::new(seed))) }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.slots.as_ref().map_or_else(|| self.one.len(), |slots| slots.len)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn memory(&self) -> usize {
        self.slots.as_ref().map_or_else(|| self.one.memory(), |slots| slots.bytes)
    }

    pub(super) fn overhead(&self) -> usize {
        self.slots.as_ref().map_or_else(|| self.one.overhead(), |slots| slots.overhead)
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        self.find_entry(hash, key).map(|(place, _)| place)
    }

    #[inline(always)]
    pub(super) fn find_entry(&self, hash: u64, key: &[u8]) -> Option<(Place, &Entry)> {
        let (number, table) = match &self.slots {
            None => (0, &self.one),
            Some(slots) => {
                let number = table::slot_in(hash);
                (number, slots.table(number)?)
            }
        };
        let (place, entry) = table.find_entry(hash, key)?;
        Some((Place { table: number, place }, entry))
    }

    pub(super) fn find_by_hash(&self, hash: u64, wanted: impl Fn(&Entry) -> bool) -> Option<Place> {
        let (number, table) = match &self.slots {
            None => (0, &self.one),
            Some(slots) => {
                let number = table::slot_in(hash);
                (number, slots.table(number)?)
            }
        };
        let place = table.find_by_hash(hash, wanted)?;
        Some(Place { table: number, place })
    }

    /// Prefetches the memory that lookups of these keys will read, see [`Table::prefetch`].
    pub(super) fn prefetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        match &self.slots {
            None => Table::prefetch(keys, |key| self.one.hash(key), |_| Some(&self.one)),
            Some(slots) => Table::prefetch(
                keys,
                |key| slots.seed.hash(key),
                |hash| slots.table(table::slot_in(hash)),
            ),
        }
    }

    #[inline]
    pub(super) fn get(&self, at: Place) -> &Entry {
        match &self.slots {
            None => self.one.get(at.place),
            Some(slots) => slots.table(at.table).expect("the place of an entry").get(at.place),
        }
    }

    /// The entry at a location, for changes that neither snapshots nor memory accounting care
    /// about.
    #[inline(always)]
    pub(super) fn get_untracked(&mut self, at: Place) -> &mut Entry {
        match &mut self.slots {
            None => self.one.get_untracked(at.place),
            Some(slots) => slots.table_mut(at.table).get_untracked(at.place),
        }
    }

    /// Changes the entry at a location. Its key must not change.
    // Hot path: every write goes through here. `change` is called in one place for both cases,
    // so that it is inlined.
    #[inline(always)]
    pub(super) fn change<R>(&mut self, at: Place, change: impl FnOnce(&mut Entry) -> R) -> R {
        let before = self.slots.as_mut().map(|slots| slots.measure(at.table));
        let table = match &mut self.slots {
            None => &mut self.one,
            Some(slots) => slots.table_mut(at.table),
        };
        let result = table.change(at.place, change);
        if let (Some(slots), Some(before)) = (&mut self.slots, before) {
            slots.count_change(at.table, &before);
        }
        result
    }

    /// Adds an entry whose key does not exist yet. `hash` is the key's.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, entry: Entry) {
        match &mut self.slots {
            None => self.one.insert(hash, entry),
            Some(slots) => {
                slots.with(table::slot_in(hash), |table| table.insert(hash, entry));
            }
        }
    }

    /// Removes an entry and returns it.
    pub(super) fn remove(&mut self, at: Place) -> Entry {
        match &mut self.slots {
            None => self.one.remove(at.place),
            Some(slots) => {
                let entry = slots.with(at.table, |table| table.remove(at.place));
                slots.drop_if_empty(at.table);
                entry
            }
        }
    }

    /// See [`Table::reserve_step`]. The tables of slots are small, and grow by themselves.
    pub(super) fn reserve_step(&mut self, entries: usize, most: usize) -> bool {
        self.slots.is_some() || self.one.reserve_step(entries, most)
    }

    /// See [`Table::shrink_step`].
    pub(super) fn shrink_step(&mut self, most: usize) -> bool {
        self.slots.is_some() || self.one.shrink_step(most)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        let slots = self.slots.iter().flat_map(|slots| slots.tables());
        slots.chain([&self.one]).flat_map(Table::iter)
    }

    /// The entries that are in none of these slots, which are in order.
    pub(super) fn iter_without(&self, hidden: &[sharding::Slot]) -> impl Iterator<Item = &Entry> {
        let slots = self.slots.iter().flat_map(|slots| slots.tables_without(0, hidden));
        slots.map(|(_, table)| table).chain([&self.one]).flat_map(Table::iter)
    }

    /// Visits entries from a cursor on, see [`Table::scan`]; none in `hidden` slots, which are in
    /// order.
    pub(super) fn scan(
        &self,
        cursor: u64,
        count: usize,
        hidden: &[sharding::Slot],
        mut visit: impl FnMut(&Entry),
    ) -> u64 {
        let Some(slots) = &self.slots else { return self.one.scan(cursor, count, visit) };
        if cursor >> CURSOR_BITS != 0 {
            return 0;
        }
        let shift = CURSOR_BITS - POSITION_BITS;
        let first = (cursor >> POSITION_BITS) as u16;
        let mut position = (cursor & ((1 << POSITION_BITS) - 1)) << shift;
        let mut visited = 0;
        for (number, table) in slots.tables_without(first, hidden) {
            if number != first {
                position = 0;
                // A cursor of 0 means the end; the cursor of slot 0 cannot occur here.
                if visited >= count {
                    return u64::from(number) << POSITION_BITS;
                }
            }
            position = table.scan(position, count - visited, |entry| {
                visited += 1;
                visit(entry);
            });
            if position != 0 {
                return u64::from(number) << POSITION_BITS | position >> shift;
            }
        }
        0
    }

    /// A random entry, uniformly distributed.
    pub(super) fn random(&self, rng: &mut Rng) -> Option<Place> {
        let Some(slots) = &self.slots else {
            return Some(Place { table: 0, place: self.one.random(rng)? });
        };
        let (number, table) = slots.nth(rng.below(slots.len as u64) as usize)?;
        Some(Place { table: number, place: table.random(rng)? })
    }

    /// A random entry that is in none of these slots, uniformly distributed.
    pub(super) fn random_without(&self, rng: &mut Rng, hidden: &[sharding::Slot]) -> Option<Place> {
        let (Some(slots), false) = (&self.slots, hidden.is_empty()) else {
            return self.random(rng);
        };
        let tables = || slots.tables_without(0, hidden);
        let all: usize = tables().map(|(_, table)| table.len()).sum();
        let mut n = rng.below(all as u64) as usize;
        for (number, table) in tables() {
            if n < table.len() {
                return Some(Place { table: number, place: table.random(rng)? });
            }
            n -= table.len();
        }
        None
    }

    /// The number of keys in a slot; 0 without cluster mode.
    pub(super) fn len_of_slot(&self, slot: sharding::Slot) -> usize {
        self.slot_table(slot).map_or(0, Table::len)
    }

    /// The entries in a slot; none without cluster mode.
    pub(super) fn iter_slot(&self, slot: sharding::Slot) -> impl Iterator<Item = &Entry> {
        self.slot_table(slot).into_iter().flat_map(Table::iter)
    }

    /// The slots that have keys; none without cluster mode.
    pub(super) fn slots_with_keys(&self) -> impl Iterator<Item = sharding::Slot> {
        let tables = self.slots.iter().flat_map(|slots| slots.tables_from(0));
        tables.filter(|(_, table)| !table.is_empty()).filter_map(|(n, _)| sharding::Slot::new(n))
    }

    fn slot_table(&self, slot: sharding::Slot) -> Option<&Table<Entry>> {
        self.slots.as_ref()?.table(slot.number())
    }

    /// Passes up to `limit` entries of discarded tables to `free`. Returns how many.
    pub(super) fn free_some(&mut self, limit: usize, mut free: impl FnMut(Entry)) -> usize {
        let Some(slots) = &mut self.slots else { return self.one.free_some(limit, free) };
        let mut freed = 0;
        while freed < limit {
            let Some(group) = slots.groups.last_mut() else { break };
            let table = group.as_mut().and_then(|group| group.tables.iter_mut().flatten().next());
            let Some(table) = table else {
                slots.groups.pop();
                continue;
            };
            freed += table.free_some(limit - freed, &mut free);
            if table.is_empty()
                && let Some(group) = group
                && let Some(place) = group.tables.iter_mut().find(|table| table.is_some())
            {
                *place = None;
            }
        }
        slots.len -= freed;
        freed
    }

    /// See [`Table::begin_snapshot`].
    pub(super) fn begin_snapshot(&mut self, id: u64) {
        let Some(slots) = &mut self.slots else { return self.one.begin_snapshot(id) };
        slots.walk = Some(0);
        slots.changed.clear();
        (slots.pending, slots.copied) = (0, 0);
        slots.tables_mut().for_each(|table| table.begin_snapshot(id));
    }

    /// Starts a snapshot of these slots only. Does nothing unless keys are partitioned by slot.
    pub(super) fn begin_snapshot_of(&mut self, id: u64, numbers: &[sharding::Slot]) {
        let Some(slots) = &mut self.slots else { return };
        slots.changed.clear();
        (slots.pending, slots.copied) = (0, 0);
        let mut first = None;
        for number in numbers.iter().map(|slot| slot.number()) {
            if slots.table(number).is_some() {
                slots.table_mut(number).begin_snapshot(id);
                first = first.or(Some(number)).min(Some(number));
            }
        }
        slots.walk = first;
    }

    /// Whether a snapshot is in progress.
    #[inline]
    pub(super) fn in_snapshot(&self) -> bool {
        self.slots.as_ref().map_or_else(|| self.one.in_snapshot(), |slots| slots.walk.is_some())
    }

    /// Abandons the snapshot in progress; its copies are passed to `spent`.
    pub(super) fn end_snapshot(&mut self, mut spent: impl FnMut(Entry)) {
        let Some(slots) = &mut self.slots else {
            return self.one.end_snapshot().into_iter().for_each(spent);
        };
        if slots.walk.take().is_none() {
            return;
        }
        slots.tables_mut().for_each(|table| table.end_snapshot().into_iter().for_each(&mut spent));
        slots.changed.clear();
        slots.pending = 0;
        (0..sharding::Slot::COUNT).for_each(|number| slots.drop_if_empty(number));
    }

    pub(super) fn snapshot_pending(&self) -> usize {
        self.slots.as_ref().map_or_else(|| self.one.snapshot_pending(), |slots| slots.pending)
    }

    pub(super) fn snapshot_held_at_most(&self) -> usize {
        self.sum_of_changed(Table::snapshot_held_at_most)
    }

    pub(super) fn snapshot_held(&self) -> usize {
        self.sum_of_changed(Table::snapshot_held)
    }

    fn sum_of_changed(&self, of: impl Fn(&Table<Entry>) -> usize) -> usize {
        let Some(slots) = &self.slots else { return of(&self.one) };
        slots.changed.iter().filter_map(|number| slots.table(*number)).map(of).sum()
    }

    pub(super) fn snapshot_copied(&self) -> u64 {
        let Some(slots) = &self.slots else { return self.one.snapshot_copied() };
        slots.copied + slots.tables().map(Table::snapshot_copied).sum::<u64>()
    }

    /// See [`Table::snapshot_step`].
    pub(super) fn snapshot_step(
        &mut self,
        count: usize,
        mut sink: impl FnMut(&Entry),
        mut spent: impl FnMut(Entry),
    ) -> bool {
        let Some(slots) = &mut self.slots else {
            return self.one.snapshot_step(count, sink, spent);
        };
        let mut handed = 0;
        while handed < count {
            let Some(walk) = slots.walk else { return true };
            let number = slots.changed.pop().unwrap_or(walk);
            let before = handed;
            let mut ended = true;
            if slots.table(number).is_some() {
                ended = slots.with(number, |table| {
                    let sink = |entry: &Entry| {
                        handed += 1;
                        sink(entry);
                    };
                    table.snapshot_step(count - before, sink, &mut spent)
                });
                if slots.table(number).is_some_and(|table| table.snapshot_pending() > 0) {
                    slots.changed.push(number);
                }
                slots.drop_if_empty(number);
            }
            if number == walk && ended {
                let next = slots.tables_from(walk + 1).find(|(_, table)| table.in_snapshot());
                slots.walk = next.map(|(number, _)| number);
            }
        }
        slots.walk.is_none()
    }
}

impl Slots {
    fn new(seed: HashSeed) -> Self {
        Self {
            seed,
            groups: vec![None; GROUPS],
            len: 0,
            bytes: 0,
            overhead: 0,
            walk: None,
            changed: Vec::new(),
            pending: 0,
            copied: 0,
        }
    }

    #[inline]
    fn table(&self, number: u16) -> Option<&Table<Entry>> {
        let number = usize::from(number);
        let group = self.groups.get(number / GROUP)?.as_ref()?;
        group.tables[number % GROUP].as_deref()
    }

    /// The table of a slot, created on first use.
    #[inline]
    fn table_mut(&mut self, number: u16) -> &mut Table<Entry> {
        let number = usize::from(number);
        let group = self.groups[number / GROUP]
            .get_or_insert_with(|| Box::new(Group { len: 0, tables: [const { None }; GROUP] }));
        group.tables[number % GROUP].get_or_insert_with(|| {
            self.bytes += TABLE_BYTES;
            self.overhead += TABLE_BYTES;
            Box::new(Table::new(self.seed))
        })
    }

    /// Lets `change` change a table, and updates the totals.
    #[inline]
    fn with<R>(&mut self, number: u16, change: impl FnOnce(&mut Table<Entry>) -> R) -> R {
        let before = self.measure(number);
        let result = change(self.table_mut(number));
        self.count_change(number, &before);
        result
    }

    /// The contribution of a table to the totals.
    #[inline(never)]
    fn measure(&mut self, number: u16) -> Share {
        let table = self.table_mut(number);
        Share {
            len: table.len(),
            bytes: table.memory(),
            overhead: table.overhead(),
            pending: table.snapshot_pending(),
        }
    }

    /// Updates the totals after a change of a table, given its previous contribution.
    #[inline(never)]
    fn count_change(&mut self, number: u16, before: &Share) {
        let after = self.measure(number);
        self.bytes = self.bytes - before.bytes + after.bytes;
        self.overhead = self.overhead - before.overhead + after.overhead;
        if before.len != after.len {
            self.len = self.len - before.len + after.len;
            if let Some(group) = &mut self.groups[usize::from(number) / GROUP] {
                group.len = group.len - before.len + after.len;
            }
        }
        if before.pending != after.pending {
            self.pending = self.pending - before.pending + after.pending;
            if before.pending == 0 {
                self.changed.push(number);
            }
        }
    }

    /// Drops a table without entries, unless a snapshot needs it.
    fn drop_if_empty(&mut self, number: u16) {
        let Some(table) = self.table(number) else { return };
        if !table.is_empty() || table.in_snapshot() {
            return;
        }
        let (copied, bytes, overhead) = (table.snapshot_copied(), table.memory(), table.overhead());
        self.copied += copied;
        self.bytes -= TABLE_BYTES + bytes;
        self.overhead -= TABLE_BYTES + overhead;
        let number = usize::from(number);
        if let Some(group) = &mut self.groups[number / GROUP] {
            group.tables[number % GROUP] = None;
            if group.tables.iter().all(Option::is_none) {
                self.groups[number / GROUP] = None;
            }
        }
    }

    fn tables(&self) -> impl Iterator<Item = &Table<Entry>> {
        let groups = self.groups.iter().flatten();
        groups.flat_map(|group| group.tables.iter().filter_map(Option::as_deref))
    }

    fn tables_mut(&mut self) -> impl Iterator<Item = &mut Table<Entry>> {
        let groups = self.groups.iter_mut().flatten();
        groups.flat_map(|group| group.tables.iter_mut().filter_map(Option::as_deref_mut))
    }

    /// The tables of a slot and of all after it.
    fn tables_from(&self, first: u16) -> impl Iterator<Item = (u16, &Table<Entry>)> {
        let first = usize::from(first);
        let groups = self.groups.iter().enumerate().skip(first / GROUP);
        let tables = groups.filter_map(|(at, group)| Some((at, group.as_ref()?)));
        let tables = tables.flat_map(|(at, group)| {
            (at * GROUP..).zip(&group.tables).filter_map(|(n, table)| Some((n, table.as_deref()?)))
        });
        tables.filter(move |(n, _)| *n >= first).map(|(n, table)| (n as u16, table))
    }

    /// All tables except those of the given slots, which are in order.
    fn tables_without(
        &self,
        first: u16,
        hidden: &[sharding::Slot],
    ) -> impl Iterator<Item = (u16, &Table<Entry>)> {
        let is_hidden = |n: u16| {
            let found = hidden.binary_search_by_key(&n, |slot| slot.number());
            !hidden.is_empty() && found.is_ok()
        };
        self.tables_from(first).filter(move |(n, _)| !is_hidden(*n))
    }

    /// The table of the `n`th entry, counted over all tables.
    fn nth(&self, mut n: usize) -> Option<(u16, &Table<Entry>)> {
        let (at, group) = self.groups.iter().enumerate().find_map(|(at, group)| {
            let group = group.as_ref()?;
            if n < group.len {
                return Some((at, group));
            }
            n -= group.len;
            None
        })?;
        group.tables.iter().enumerate().find_map(|(place, table)| {
            let table = table.as_deref()?;
            if n < table.len() {
                return Some(((at * GROUP + place) as u16, table));
            }
            n -= table.len();
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use crate::sharding::Slot;
    use crate::store::{Keyed, Keyspace, NewExpire, StringRef};

    /// Sets a key in a keyspace with a table per slot.
    fn set(keyspace: &mut Keyspace, key: &str, expire: NewExpire) {
        let mut db = keyspace.db(0);
        db.set_string(db.key(key.as_bytes()), StringRef::Bytes(b"some value"), expire);
    }

    fn keyspace() -> Keyspace {
        let mut keyspace = Keyspace::new(1, 7);
        keyspace.partition_by_slot();
        keyspace
    }

    #[test]
    fn keys_are_counted_and_listed_by_slot() {
        let mut keyspace = keyspace();
        let mut model: BTreeMap<Slot, BTreeSet<String>> = BTreeMap::new();
        for n in 0..5_000 {
            let key = format!("key:{{{}}}:{n}", n % 700);
            set(&mut keyspace, &key, NewExpire::At(10_000 + n));
            model.entry(Slot::of(key.as_bytes())).or_default().insert(key);
        }
        let check = |keyspace: &Keyspace, model: &BTreeMap<Slot, BTreeSet<String>>| {
            for slot in Slot::all() {
                let empty = BTreeSet::new();
                let expected = model.get(&slot).unwrap_or(&empty);
                assert_eq!(keyspace.count_in_slot(slot), expected.len());
                let keys: BTreeSet<String> = keyspace
                    .keys_in_slot(slot)
                    .map(|key| String::from_utf8_lossy(key).into_owned())
                    .collect();
                assert_eq!(&keys, expected);
            }
            let slots: Vec<Slot> = keyspace.slots_with_keys().collect();
            let expected = model.iter().filter(|(_, keys)| !keys.is_empty());
            assert_eq!(slots, expected.map(|(slot, _)| *slot).collect::<Vec<_>>());
        };
        check(&keyspace, &model);
        for n in (0..5_000).filter(|n| n % 3 > 0) {
            let key = format!("key:{{{}}}:{n}", n % 700);
            let mut db = keyspace.db(0);
            assert!(db.remove(db.key(key.as_bytes())));
            model.get_mut(&Slot::of(key.as_bytes())).expect("the slot").remove(&key);
        }
        check(&keyspace, &model);
        keyspace.env.now_ms = 20_000;
        while keyspace.expire_step(100) > 0 {}
        assert_eq!((keyspace.slots_with_keys().count(), keyspace.memory()), (0, 0));
    }

    #[test]
    fn a_scan_sees_every_key_once_while_others_come_and_go() {
        let mut keyspace = keyspace();
        (0..3_000).for_each(|n| set(&mut keyspace, &format!("stays:{n}"), NewExpire::Never));
        let (mut seen, mut cursor, mut round) = (BTreeMap::new(), 0, 0);
        loop {
            cursor = keyspace.db(0).scan(cursor, 10, |entry| {
                *seen.entry(entry.key().to_vec()).or_insert(0) += 1;
            });
            if cursor == 0 {
                break;
            }
            set(&mut keyspace, &format!("comes:{round}"), NewExpire::Never);
            let mut db = keyspace.db(0);
            db.remove(db.key(format!("comes:{}", round / 2).as_bytes()));
            round += 1;
        }
        for n in 0..3_000 {
            assert_eq!(seen.get(format!("stays:{n}").as_bytes()), Some(&1), "{n}");
        }
    }

    #[test]
    fn a_snapshot_holds_what_was_there_when_it_began() {
        let mut keyspace = keyspace();
        (0..2_000).for_each(|n| set(&mut keyspace, &format!("key:{n}"), NewExpire::Never));
        keyspace.begin_snapshot();
        let mut shown = BTreeSet::new();
        let mut round = 0;
        loop {
            let ended = keyspace.snapshot_step(7, |_, entry| {
                assert!(shown.insert(entry.key().to_vec()), "twice");
            });
            if ended {
                break;
            }
            // Every key is deleted or changed at some time, and new ones are added.
            for n in round * 20..(round + 1) * 20 {
                let key = format!("key:{}", 1_999u32.saturating_sub(n));
                let mut db = keyspace.db(0);
                if n % 2 == 0 {
                    db.remove(db.key(key.as_bytes()));
                } else {
                    set(&mut keyspace, &key, NewExpire::At(5));
                }
                set(&mut keyspace, &format!("new:{n}"), NewExpire::Never);
            }
            round += 1;
        }
        let expected: BTreeSet<Vec<u8>> =
            (0..2_000).map(|n| format!("key:{n}").into_bytes()).collect();
        assert_eq!(shown, expected);
        assert_eq!((keyspace.snapshot_pending(), keyspace.snapshot_holds_more(0)), (0, false));
    }

    #[test]
    fn random_keys_come_from_all_slots() {
        let mut keyspace = keyspace();
        (0..200).for_each(|n| set(&mut keyspace, &n.to_string(), NewExpire::Never));
        let mut seen = BTreeSet::new();
        for _ in 0..4_000 {
            seen.extend(keyspace.db(0).random().map(|entry| entry.key().to_vec()));
        }
        assert_eq!(seen.len(), 200);
    }

    #[test]
    fn a_key_costs_at_most_four_bytes_more() {
        let mut one = Keyspace::new(1, 7);
        let mut many = keyspace();
        // As many keys per slot as on a node that has all slots and a million keys.
        let keys = (0..).map(|n| format!("key:{n:012}"));
        let keys = keys.filter(|key| Slot::of(key.as_bytes()).number() < 1_638);
        for key in keys.take(100_000) {
            set(&mut one, &key, NewExpire::Never);
            set(&mut many, &key, NewExpire::Never);
        }
        let more = (many.memory() as f64 - one.memory() as f64) / 1e5;
        assert!(more < 4.0, "{more} bytes more a key");
    }

    #[test]
    fn flushed_tables_are_freed_in_slices() {
        let mut keyspace = keyspace();
        (0..3_000).for_each(|n| set(&mut keyspace, &n.to_string(), NewExpire::Never));
        assert_eq!(keyspace.flush(Some(0), crate::store::Flush::Async), 3_000);
        assert_eq!((keyspace.memory(), keyspace.db(0).len()), (0, 0));
        while keyspace.free_step(100) {}
        assert_eq!(keyspace.lazily_freed(), 3_000);
    }

    #[test]
    fn keys_of_hidden_slots_are_neither_listed_nor_counted_nor_sampled() {
        let mut keyspace = keyspace();
        for n in 0..300 {
            set(&mut keyspace, &format!("key:{n}"), NewExpire::Never);
        }
        let hidden: Vec<Slot> = keyspace.slots_with_keys().step_by(3).collect();
        let is_hidden = |key: &[u8]| hidden.contains(&Slot::of(key));
        keyspace.env.hidden_slots.clone_from(&hidden);
        let mut db = keyspace.db(0);
        let listed: BTreeSet<Vec<u8>> = db.iter().map(|entry| entry.key().to_vec()).collect();
        assert!(!listed.is_empty() && !listed.iter().any(|key| is_hidden(key)));
        assert_eq!(db.visible_len(), listed.len());
        let (mut scanned, mut cursor) = (BTreeSet::new(), 0);
        loop {
            cursor = db.scan(cursor, 7, |entry| {
                scanned.insert(entry.key().to_vec());
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(scanned, listed);
        for _ in 0..200 {
            let drawn = db.random().map(|entry| entry.key().to_vec());
            assert!(drawn.is_some_and(|key| listed.contains(&key)));
        }
        let (len, key) = (db.len(), keyspace.keys_in_slot(hidden[0]).next().map(<[u8]>::to_vec));
        assert_eq!(len, 300);
        assert!(keyspace.peek(0, &key.expect("a hidden key")).is_some());
        keyspace.env.hidden_slots = keyspace.slots_with_keys().collect();
        let mut db = keyspace.db(0);
        assert_eq!((db.visible_len(), db.scan(0, 10, |_| {}), db.iter().count()), (0, 0, 0));
        assert!(db.random().is_none());
    }
}
