//! A stream node: consecutive entries in one listpack, byte for byte as in RDB.
//!
//! The listpack begins with a master entry: the number of live entries, the number of deleted ones,
//! the number of fields that the first entry had, their names, and 0. Each entry is its flags, its
//! ID as the difference to that of the node, its fields and values (only the values, if the fields
//! are those of the master entry), and its number of elements, for reading backwards.

use core::fmt;

use triomphe::Arc;

use super::{MAX_NODE_BYTES, NodeLimits, StreamId};
use crate::store::size::allocated;
use crate::store::value::listpack::{Item, Listpack, PackRef};
use crate::store::value::seq;

/// A node: consecutive entries of a stream.
#[derive(Clone, Debug)]
pub struct Node {
    id: StreamId,
    live: u32,
    pack: Arc<Listpack>,
}

/// An entry of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its ID.
    pub id: StreamId,
    count: usize,
    pack: PackRef<'a>,
    /// The position of the field names, if they are in the master entry.
    names: Option<usize>,
    /// The position of the fields with their values, or of the values only.
    items: usize,
}

/// An iterator over the live entries of a node.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    run: Run<'a>,
    /// The position of the next entry.
    at: usize,
}

/// The error that a listpack does not hold stream entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a listpack of stream entries")
    }
}

/// The entry is deleted.
const DELETED: i64 = 1;
/// The fields are those of the master entry.
const SAME_FIELDS: i64 = 2;

impl seq::Item for Node {
    type Key = StreamId;
    const UNIT: bool = false;

    #[inline]
    fn key(&self) -> StreamId {
        self.id
    }

    #[inline]
    fn weight(&self) -> u64 {
        u64::from(self.live)
    }
}

impl Node {
    /// A node with one entry, and a total capacity of `room` bytes.
    pub(super) fn new(id: StreamId, pairs: &[(&[u8], &[u8])], room: usize) -> Self {
        let mut pack = Listpack::with_capacity(allocated(room));
        for n in [1, 0, pairs.len() as i64] {
            push_number(&mut pack, n);
        }
        pairs.iter().for_each(|(field, _)| pack.push_back(field));
        push_number(&mut pack, 0);
        push_entry(&mut pack, (0, 0), pairs, true);
        Self { id, live: 1, pack: Arc::new(pack) }
    }

    /// A node from an untrusted listpack, after checking every entry in it.
    pub fn from_pack(id: StreamId, pack: Listpack) -> Result<Self, Malformed> {
        let live = live_entries(pack.view()).ok_or(Malformed)?;
        Ok(Self { id, live, pack: Arc::new(pack) })
    }

    /// The master ID, to which the IDs of its entries are relative.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The listpack that holds its entries.
    pub fn pack(&self) -> PackRef<'_> {
        self.pack.view()
    }

    /// The number of live entries.
    pub fn live(&self) -> usize {
        self.live as usize
    }

    /// The size of the listpack in bytes.
    pub(super) fn size(&self) -> usize {
        self.pack.size()
    }

    /// Memory used, in bytes.
    pub(super) fn memory(&self) -> usize {
        // The node in its tree leaf, the fields of the listpack behind its reference count, and its
        // bytes.
        40 + allocated(40) + allocated(self.pack.size())
    }

    /// Whether an entry with these fields may be added.
    pub(super) fn has_room(&self, pairs: &[(&[u8], &[u8])], limits: NodeLimits) -> bool {
        let adding: usize = pairs.iter().map(|(field, value)| field.len() + value.len()).sum();
        let max = match usize::try_from(limits.bytes) {
            Ok(max @ 1..=MAX_NODE_BYTES) => max,
            _ => MAX_NODE_BYTES,
        };
        if self.pack.size().saturating_add(adding) >= max {
            return false;
        }
        let (live, deleted) = self.counts();
        limits.entries == 0 || live.saturating_add(deleted) < limits.entries as i64
    }

    /// Appends an entry.
    pub(super) fn append(&mut self, id: StreamId, pairs: &[(&[u8], &[u8])]) {
        let (pack, master) = (self.pack.view(), self.run().master);
        let names = pack.iter_from(master.names);
        let same = master.fields == pairs.len()
            && names.zip(pairs).all(|((_, name), (field, _))| name == Item::of(field));
        let apart = (id.ms.wrapping_sub(self.id.ms), id.seq.wrapping_sub(self.id.seq));
        let pack = Arc::make_mut(&mut self.pack);
        push_entry(pack, (apart.0 as i64, apart.1 as i64), pairs, same);
        self.live += 1;
        self.add_to_counts(1, 0);
    }

    /// Marks the live entry with this rank as deleted.
    pub(super) fn delete(&mut self, rank: u64) {
        let run = self.run();
        let place = run.live_from(run.master.start).nth(rank as usize);
        if let Some(place) = place {
            self.mark_deleted(place.at, place.flags);
            self.add_to_counts(-1, 1);
        }
    }

    /// Marks entries from the first on as deleted, as long as `goes` returns true for the number of
    /// entries deleted so far and the ID. Returns how many.
    pub(super) fn delete_front(&mut self, goes: impl Fn(u64, StreamId) -> bool) -> u64 {
        let mut deleted = 0;
        let master = self.run().master;
        let mut at = master.start;
        // Marking does not move anything, so the master entry that was read stays valid until the
        // end.
        let place = |node: &Self, at| Run { id: node.id, pack: node.pack.view(), master }.place(at);
        while let Some(place) = place(self, at) {
            if !goes(deleted, place.id) {
                break;
            }
            at = place.end;
            if !place.deleted() {
                // The flags take one byte before and after.
                self.mark_deleted(place.at, place.flags);
                deleted += 1;
            }
        }
        self.add_to_counts(-(deleted as i64), deleted as i64);
        deleted
    }

    /// Iterates over the live entries.
    pub fn entries(&self) -> Entries<'_> {
        let run = self.run();
        Entries { at: run.master.start, run }
    }

    /// Iterates over the live entries, without the first `skip` of them.
    pub(super) fn entries_behind(&self, skip: u64) -> Entries<'_> {
        let mut entries = self.entries();
        for _ in 0..skip {
            let Some(place) = entries.run.live_from(entries.at).next() else { break };
            entries.at = place.end;
        }
        entries
    }

    /// The number of live entries with smaller IDs, and an iterator over the others.
    pub(super) fn seek(&self, id: StreamId) -> (u64, Entries<'_>) {
        let mut entries = self.entries();
        let mut before = 0;
        while let Some(place) = entries.run.place(entries.at) {
            if place.id >= id {
                break;
            }
            before += u64::from(!place.deleted());
            entries.at = place.end;
        }
        (before, entries)
    }

    /// Iterates over the live entries from the last to the first.
    pub(super) fn entries_back(&self) -> impl Iterator<Item = Entry<'_>> {
        let run = self.run();
        let mut end = run.pack.end();
        let places = core::iter::from_fn(move || {
            let place = run.place_before(end)?;
            end = place.at;
            Some(place)
        });
        places.filter(|place| !place.deleted()).map(move |place| run.entry(&place))
    }

    /// The ID of the first entry, deleted or not.
    pub(super) fn first_id(&self) -> Option<StreamId> {
        let run = self.run();
        run.place(run.master.start).map(|place| place.id)
    }

    /// The ID of the last entry, deleted or not; 0-0 if there is none.
    pub(super) fn last_id(&self) -> StreamId {
        let run = self.run();
        run.place_before(run.pack.end()).map(|place| place.id).unwrap_or_default()
    }

    /// The numbers of live and of deleted entries, from the master entry.
    fn counts(&self) -> (i64, i64) {
        let mut numbers = self.pack.view().iter().map(|(_, item)| integer(item).unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    fn add_to_counts(&mut self, live: i64, deleted: i64) {
        if live < 0 {
            self.live = self.live.saturating_sub(live.unsigned_abs() as u32);
        }
        let counts = self.counts();
        let pack = Arc::make_mut(&mut self.pack);
        // The counts are the first two elements; the second moves when the first grows.
        let mut at = pack.view().first();
        for (old, more) in [(counts.0, live), (counts.1, deleted)] {
            let Some(place) = at else { return };
            if more != 0 {
                let mut digits = itoa::Buffer::new();
                pack.replace(place, digits.format(old.saturating_add(more)).as_bytes());
            }
            at = pack.view().next(place);
        }
    }

    fn mark_deleted(&mut self, at: usize, flags: i64) {
        let pack = Arc::make_mut(&mut self.pack);
        pack.replace(at, itoa::Buffer::new().format(flags | DELETED).as_bytes());
    }

    /// The listpack with its parsed master entry, which is read once for an iteration.
    #[inline]
    fn run(&self) -> Run<'_> {
        let pack = self.pack.view();
        Run { id: self.id, pack, master: Master::read(pack).unwrap_or(Master::empty(pack)) }
    }
}

/// The parsed master entry.
#[derive(Clone, Copy, Debug)]
struct Master {
    /// The number of its fields.
    fields: usize,
    /// The position of their names.
    names: usize,
    /// The position of the first entry.
    start: usize,
}

impl Master {
    #[inline]
    fn read(pack: PackRef<'_>) -> Option<Self> {
        // After the two counts.
        let at = pack.skip(pack.first()?, 2)?;
        let (fields, names) = pack.integer(at)?;
        let fields = usize::try_from(fields).ok()?;
        // The names and the zero after them.
        Some(Self { fields, names, start: pack.skip(names, fields.checked_add(1)?)? })
    }

    /// The result for a listpack without a master entry: no entry follows.
    fn empty(pack: PackRef<'_>) -> Self {
        Self { fields: 0, names: pack.end(), start: pack.end() }
    }
}

/// The entries of a node, for iteration.
#[derive(Clone, Copy, Debug)]
struct Run<'a> {
    /// The master ID.
    id: StreamId,
    pack: PackRef<'a>,
    master: Master,
}

impl<'a> Run<'a> {
    /// The entry that begins at `at`.
    #[inline]
    fn place(&self, at: usize) -> Option<Placed> {
        let pack = self.pack;
        let (flags, next) = pack.integer(at)?;
        let (ms, next) = pack.integer(next)?;
        let (seq, next) = pack.integer(next)?;
        let id = StreamId {
            ms: self.id.ms.wrapping_add(ms as u64),
            seq: self.id.seq.wrapping_add(seq as u64),
        };
        let (count, fields, elements) = if flags & SAME_FIELDS != 0 {
            (self.master.fields, next, self.master.fields)
        } else {
            let (count, fields) = pack.integer(next)?;
            let count = usize::try_from(count).ok()?;
            (count, fields, count.checked_mul(2)?)
        };
        // And the number of elements after them.
        let end = pack.skip(fields, elements.checked_add(1)?)?;
        Some(Placed { at, flags, id, count, fields, end })
    }

    /// The entry that ends at `end`.
    fn place_before(&self, end: usize) -> Option<Placed> {
        let (pack, start) = (self.pack, self.master.start);
        let last = pack.prev(end).filter(|last| *last >= start)?;
        let mut at = last;
        for _ in 0..usize::try_from(pack.integer(last)?.0).ok()? {
            at = pack.prev(at).filter(|at| *at >= start)?;
        }
        // An inconsistent element count ends the iteration.
        self.place(at).filter(|place| place.end == end)
    }

    /// Iterates over the live entries from `at` on.
    #[inline]
    fn live_from(self, mut at: usize) -> impl Iterator<Item = Placed> + use<'a> {
        core::iter::from_fn(move || {
            loop {
                let place = self.place(at)?;
                at = place.end;
                if !place.deleted() {
                    return Some(place);
                }
            }
        })
    }

    #[inline]
    fn entry(&self, place: &Placed) -> Entry<'a> {
        let names = (place.flags & SAME_FIELDS != 0).then_some(self.master.names);
        Entry { id: place.id, count: place.count, pack: self.pack, names, items: place.fields }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        let place = self.run.live_from(self.at).next()?;
        self.at = place.end;
        Some(self.run.entry(&place))
    }
}

/// The positions of an entry in its listpack.
struct Placed {
    /// The position of its flags.
    at: usize,
    flags: i64,
    id: StreamId,
    /// The number of its fields.
    count: usize,
    /// The position of its fields, or of its values.
    fields: usize,
    /// The position of the next entry.
    end: usize,
}

impl Placed {
    fn deleted(&self) -> bool {
        self.flags & DELETED != 0
    }
}

impl<'a> Entry<'a> {
    /// The number of its fields.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has no fields.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its fields with their values.
    pub fn fields(&self) -> impl Iterator<Item = (Item<'a>, Item<'a>)> + use<'a> {
        let mut names = self.names.map(|at| self.pack.iter_from(at));
        let mut items = self.pack.iter_from(self.items);
        let pair = move || {
            let (_, field) = match &mut names {
                Some(names) => names.next()?,
                None => items.next()?,
            };
            Some((field, items.next()?.1))
        };
        core::iter::from_fn(pair).take(self.count)
    }
}

fn push_number(pack: &mut Listpack, n: i64) {
    pack.insert_item(pack.end(), Item::Int(n));
}

fn push_entry(pack: &mut Listpack, apart: (i64, i64), pairs: &[(&[u8], &[u8])], same: bool) {
    let count = pairs.len() as i64;
    for n in [if same { SAME_FIELDS } else { 0 }, apart.0, apart.1] {
        push_number(pack, n);
    }
    if !same {
        push_number(pack, count);
    }
    for (field, value) in pairs {
        if !same {
            pack.push_back(field);
        }
        pack.push_back(value);
    }
    push_number(pack, if same { count + 3 } else { 2 * count + 4 });
}

fn integer(item: Item<'_>) -> Option<i64> {
    match item {
        Item::Int(n) => Some(n),
        Item::Str(_) => None,
    }
}

/// The number of live entries of a listpack, if its entries are valid and match its counts.
fn live_entries(pack: PackRef<'_>) -> Option<u32> {
    let mut items = pack.iter().map(|(_, item)| item);
    let next = |items: &mut dyn Iterator<Item = Item<'_>>| integer(items.next()?);
    let count = next(&mut items)?;
    let deleted = next(&mut items)?;
    let master = usize::try_from(next(&mut items)?).ok()?;
    if count < 0 || deleted < 0 {
        return None;
    }
    pass(&mut items, master)?;
    if next(&mut items)? != 0 {
        return None;
    }
    let mut live = 0u32;
    for _ in 0..count.checked_add(deleted)? {
        let flags = next(&mut items)?;
        next(&mut items)?;
        next(&mut items)?;
        let (fields, elements) = if flags & SAME_FIELDS != 0 {
            (master, master.checked_add(3)?)
        } else {
            let fields = usize::try_from(next(&mut items)?).ok()?.checked_mul(2)?;
            (fields, fields.checked_add(4)?)
        };
        pass(&mut items, fields)?;
        if usize::try_from(next(&mut items)?).ok()? != elements {
            return None;
        }
        if flags & DELETED == 0 {
            live = live.checked_add(1)?;
        }
    }
    (items.next().is_none() && i64::from(live) == count).then_some(live)
}

fn pass<'a>(items: &mut impl Iterator<Item = Item<'a>>, count: usize) -> Option<()> {
    match count.checked_sub(1) {
        None => Some(()),
        Some(last) => items.nth(last).map(|_| ()),
    }
}
