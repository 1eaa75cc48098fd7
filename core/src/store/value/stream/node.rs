//! A run of entries in one listpack, byte for byte as in RDB.
//!
//! The listpack begins with a master entry: how many entries are live, how many are marked as
//! deleted, the number of fields that the first entry had, their names, and 0. Each entry is its
//! flags, its ID as the difference to that of the node, its fields and values (only the values, if
//! the fields are those of the master entry), and how many elements that were, for the way back.

use core::fmt;

use triomphe::Arc;

use super::{MAX_NODE_BYTES, NodeLimits, StreamId};
use crate::store::size::allocated;
use crate::store::value::listpack::{self, Item, Listpack, PackRef};
use crate::store::value::seq;

/// A run of entries.
#[derive(Clone, Debug)]
pub struct Node {
    id: StreamId,
    live: u32,
    pack: Arc<Listpack>,
}

/// An entry of a stream.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its ID.
    pub id: StreamId,
    count: usize,
    /// The names of the fields, if they stand in the master entry.
    names: Option<listpack::Iter<'a>>,
    items: listpack::Iter<'a>,
}

/// That a listpack does not hold entries.
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
    /// A node with one entry.
    pub(super) fn new(id: StreamId, pairs: &[(&[u8], &[u8])]) -> Self {
        let mut pack = Listpack::new();
        for n in [1, 0, pairs.len() as i64] {
            push_number(&mut pack, n);
        }
        pairs.iter().for_each(|(field, _)| pack.push_back(field));
        push_number(&mut pack, 0);
        push_entry(&mut pack, (0, 0), pairs, true);
        Self { id, live: 1, pack: Arc::new(pack) }
    }

    /// A node from outside, after a look at every entry in it.
    pub fn from_pack(id: StreamId, pack: Listpack) -> Result<Self, Malformed> {
        let live = live_entries(pack.view()).ok_or(Malformed)?;
        Ok(Self { id, live, pack: Arc::new(pack) })
    }

    /// The ID that the IDs of its entries are counted from.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Its entries as they are kept.
    pub fn pack(&self) -> PackRef<'_> {
        self.pack.view()
    }

    /// How many entries it has that are not deleted.
    pub fn live(&self) -> usize {
        self.live as usize
    }

    /// The memory that it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        // The node in its leaf, the listpack's own fields behind the count of its owners.
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

    /// Adds an entry behind all others.
    pub(super) fn append(&mut self, id: StreamId, pairs: &[(&[u8], &[u8])]) {
        let (names, count) = self.names();
        let same = count == pairs.len()
            && names.zip(pairs).all(|((_, name), (field, _))| name == Item::of(field));
        let apart = (id.ms.wrapping_sub(self.id.ms), id.seq.wrapping_sub(self.id.seq));
        let pack = Arc::make_mut(&mut self.pack);
        push_entry(pack, (apart.0 as i64, apart.1 as i64), pairs, same);
        self.live += 1;
        self.add_to_counts(1, 0);
    }

    /// Marks an entry as deleted: the one with this rank among the live ones.
    pub(super) fn delete(&mut self, rank: u64) {
        let at = self.places().filter(|place| !place.deleted()).nth(rank as usize);
        if let Some(place) = at {
            self.mark_deleted(place.at, place.flags);
            self.add_to_counts(-1, 1);
        }
    }

    /// Marks entries as deleted from the first on, as long as `goes` says so of the number of
    /// those that were deleted before and the ID. Returns how many.
    pub(super) fn delete_front(&mut self, goes: impl Fn(u64, StreamId) -> bool) -> u64 {
        let mut deleted = 0;
        let mut at = self.start();
        while let Some(place) = self.place(at) {
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

    /// The entries that are not deleted.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.places().filter(|place| !place.deleted()).map(|place| self.entry(&place))
    }

    /// The same from the last to the first.
    pub(super) fn entries_back(&self) -> impl Iterator<Item = Entry<'_>> {
        let (pack, start) = (self.pack.view(), self.start());
        let mut end = pack.end();
        let places = core::iter::from_fn(move || {
            let last = pack.prev(end).filter(|last| *last >= start)?;
            let mut at = last;
            for _ in 0..usize::try_from(integer(pack.get(last))?).ok()? {
                at = pack.prev(at).filter(|at| *at >= start)?;
            }
            // A count that leads nowhere ends the way.
            let place = self.place(at).filter(|place| place.end == end)?;
            end = at;
            Some(place)
        });
        places.filter(|place| !place.deleted()).map(|place| self.entry(&place))
    }

    /// The ID of the first entry, be it deleted.
    pub(super) fn first_id(&self) -> Option<StreamId> {
        self.place(self.start()).map(|place| place.id)
    }

    /// The ID of the last entry, be it deleted; 0-0 if there is none.
    pub(super) fn last_id(&self) -> StreamId {
        let pack = self.pack.view();
        let back = || {
            let last = pack.last()?;
            let mut at = last;
            for _ in 0..usize::try_from(integer(pack.get(last))?).ok().filter(|n| *n > 0)? {
                at = pack.prev(at)?;
            }
            self.place(at).map(|place| place.id)
        };
        back().unwrap_or_default()
    }

    /// How many entries are live, and how many are deleted, as the master entry says.
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
        // The numbers are the first two elements; the second moves when the first grows.
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

    /// The names of the fields in the master entry, and how many these are.
    fn names(&self) -> (listpack::Iter<'_>, usize) {
        let mut items = self.pack.view().iter();
        let count = items.nth(2).and_then(|(_, item)| integer(item)).unwrap_or(0);
        (items, usize::try_from(count).unwrap_or(0))
    }

    /// Where the first entry is.
    fn start(&self) -> usize {
        let (mut names, count) = self.names();
        // The names and the zero behind them.
        names.nth(count);
        names.position()
    }

    fn places(&self) -> impl Iterator<Item = Placed> + '_ {
        let mut at = self.start();
        core::iter::from_fn(move || {
            let place = self.place(at)?;
            at = place.end;
            Some(place)
        })
    }

    /// The entry that begins at `at`.
    fn place(&self, at: usize) -> Option<Placed> {
        let mut items = self.pack.view().iter_from(at);
        let mut number = || integer(items.next()?.1);
        let (flags, ms, seq) = (number()?, number()?, number()?);
        let id = StreamId {
            ms: self.id.ms.wrapping_add(ms as u64),
            seq: self.id.seq.wrapping_add(seq as u64),
        };
        let (count, elements) = if flags & SAME_FIELDS != 0 {
            let count = self.names().1;
            (count, count)
        } else {
            let count = usize::try_from(integer(items.next()?.1)?).ok()?;
            (count, count.checked_mul(2)?)
        };
        let fields = items.position();
        // And the number of elements behind them.
        items.nth(elements)?;
        Some(Placed { at, flags, id, count, fields, end: items.position() })
    }

    fn entry(&self, place: &Placed) -> Entry<'_> {
        let names = (place.flags & SAME_FIELDS != 0).then(|| self.names().0);
        let items = self.pack.view().iter_from(place.fields);
        Entry { id: place.id, count: place.count, names, items }
    }
}

/// Where an entry is in its listpack.
struct Placed {
    /// Where its flags are.
    at: usize,
    flags: i64,
    id: StreamId,
    /// How many fields it has.
    count: usize,
    /// Where its fields begin, or its values.
    fields: usize,
    /// Where the next one begins.
    end: usize,
}

impl Placed {
    fn deleted(&self) -> bool {
        self.flags & DELETED != 0
    }
}

impl<'a> Entry<'a> {
    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has no fields.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its fields with their values.
    pub fn fields(&self) -> impl Iterator<Item = (Item<'a>, Item<'a>)> + use<'a> {
        let (mut names, mut items) = (self.names.clone(), self.items.clone());
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

/// How many live entries a listpack holds, if it holds entries and they are as many as it says.
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
