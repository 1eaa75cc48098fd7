//! Streams, which are checked and kept as they are written.

use std::collections::BTreeSet;

use super::cursor::{Cursor, Stop};
use super::kind;
use crate::store::Opaque;
use crate::store::value::Item;
use crate::store::value::listpack::{Listpack, PackRef};

/// An ID: two numbers of 64 bits, big endian, so that they sort.
type Id = [u8; 16];

/// An ID as it is compared: milliseconds and sequence number.
fn numbers(id: Id) -> (u64, u64) {
    let id = u128::from_be_bytes(id);
    ((id >> 64) as u64, id as u64)
}

/// The flag of an entry whose fields are those of the first entry in its listpack.
const SAME_FIELDS: i64 = 2;

/// A stream that is being read.
#[derive(Clone, Debug)]
pub(super) struct StreamReader {
    form: u8,
    payload: Vec<u8>,
    part: Part,
    /// How many listpacks there are.
    nodes: u64,
    last_node: Option<Id>,
    groups: BTreeSet<Box<[u8]>>,
    /// How many groups are still to come.
    groups_left: u64,
    /// The pending entries of the group, and those of them that a consumer has.
    pending: BTreeSet<(u64, u64)>,
    owned: BTreeSet<(u64, u64)>,
    consumers: BTreeSet<Box<[u8]>>,
    /// How many consumers of the group are still to come.
    consumers_left: u64,
}

/// What comes next, and how many of it.
#[derive(Clone, Copy, Debug)]
enum Part {
    Count,
    Nodes(u64),
    Metadata,
    Group,
    Pending(u64),
    Consumers,
    Consumer,
    Owned(u64),
}

impl StreamReader {
    pub(super) fn new(form: u8) -> Self {
        Self {
            form,
            payload: Vec::new(),
            part: Part::Count,
            nodes: 0,
            last_node: None,
            groups: BTreeSet::new(),
            groups_left: 0,
            pending: BTreeSet::new(),
            owned: BTreeSet::new(),
            consumers: BTreeSet::new(),
            consumers_left: 0,
        }
    }

    /// Reads on. The stream comes back when it is complete.
    pub(super) fn step(&mut self, cursor: &mut Cursor<'_>) -> Result<Opaque, Stop> {
        loop {
            let from = cursor.committed();
            let next = self.part(cursor)?;
            cursor.commit();
            self.payload.extend_from_slice(cursor.since(from));
            match next {
                Some(part) => self.part = part,
                None => return Ok(Opaque::stream(self.form, core::mem::take(&mut self.payload))),
            }
        }
    }

    /// Reads one part and says which is next.
    fn part(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<Part>, Stop> {
        Ok(Some(match self.part {
            Part::Count => {
                self.nodes = cursor.len()?;
                Part::Nodes(self.nodes)
            }
            Part::Nodes(0) => Part::Metadata,
            Part::Nodes(left) => {
                self.node(cursor)?;
                Part::Nodes(left - 1)
            }
            Part::Metadata => {
                if cursor.len()? > 0 && self.nodes == 0 {
                    return Stop::bad("Stream length inconsistent with rax entries");
                }
                // The last ID; since Redis 7 the first and the last deleted ID and a counter, too.
                let numbers = if self.form == kind::STREAM_LISTPACKS { 2 } else { 7 };
                for _ in 0..numbers {
                    cursor.len()?;
                }
                self.groups_left = cursor.len()?;
                return Ok((self.groups_left > 0).then_some(Part::Group));
            }
            Part::Group => {
                let name = cursor.text()?.bytes()?.into_owned();
                let numbers = if self.form == kind::STREAM_LISTPACKS { 2 } else { 3 };
                for _ in 0..numbers {
                    cursor.len()?;
                }
                let pending = cursor.len()?;
                if self.groups.contains(&*name) {
                    let name = String::from_utf8_lossy(&name);
                    return Stop::bad(format!("Duplicated consumer group name {name}"));
                }
                self.groups.insert(name.into());
                self.groups_left -= 1;
                self.pending.clear();
                self.owned.clear();
                self.consumers.clear();
                Part::Pending(pending)
            }
            Part::Pending(0) => Part::Consumers,
            Part::Pending(left) => {
                let (id, _when, _count) = (cursor.array()?, cursor.array::<8>()?, cursor.len()?);
                if !self.pending.insert(numbers(id)) {
                    return Stop::bad("Duplicated global PEL entry loading stream consumer group");
                }
                Part::Pending(left - 1)
            }
            Part::Consumers => {
                self.consumers_left = cursor.len()?;
                Part::Consumer
            }
            Part::Consumer if self.consumers_left > 0 => {
                let name = cursor.text()?.bytes()?.into_owned();
                let _seen = cursor.array::<8>()?;
                if self.form == kind::STREAM_LISTPACKS_3 {
                    let _active = cursor.array::<8>()?;
                }
                let owned = cursor.len()?;
                if !self.consumers.insert(name.into()) {
                    return Stop::bad("Duplicate stream consumer detected.");
                }
                self.consumers_left -= 1;
                Part::Owned(owned)
            }
            Part::Consumer => {
                if self.owned.len() < self.pending.len() {
                    return Stop::bad("Stream CG PEL entry without consumer");
                }
                return Ok((self.groups_left > 0).then_some(Part::Group));
            }
            Part::Owned(0) => Part::Consumer,
            Part::Owned(left) => {
                let id = numbers(cursor.array()?);
                if !self.pending.contains(&id) {
                    return Stop::bad("Consumer entry not found in group global PEL");
                }
                if !self.owned.insert(id) {
                    return Stop::bad(
                        "Duplicated consumer PEL entry loading a stream consumer group",
                    );
                }
                Part::Owned(left - 1)
            }
        }))
    }

    /// A listpack of entries, and the ID that theirs are counted from.
    fn node(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let (id, entries) = (cursor.text()?, cursor.text()?);
        let Ok(id) = Id::try_from(&*id.bytes()?) else {
            return Stop::bad("Stream node key entry is not the size of a stream ID");
        };
        let pack = Listpack::from_bytes(entries.bytes()?.into_owned());
        if !pack.is_ok_and(|pack| holds_entries(pack.view()).is_some()) {
            return Stop::bad("Stream listpack integrity check failed.");
        }
        if self.last_node.is_some_and(|last| last >= id) {
            return Stop::bad("Listpack re-added with existing key");
        }
        self.last_node = Some(id);
        Ok(())
    }
}

/// Whether a listpack holds a stream's entries: a master entry (how many there are, how many are
/// deleted, the field names that most have), and for each its flags, its ID as a difference, its
/// fields, and how many elements it takes.
fn holds_entries(pack: PackRef<'_>) -> Option<()> {
    let mut items = pack.iter().map(|(_, item)| item);
    let count = number(&mut items)?;
    let deleted = number(&mut items)?;
    let master = usize::try_from(number(&mut items)?).ok()?;
    if count < 0 || deleted < 0 {
        return None;
    }
    pass(&mut items, master)?;
    if number(&mut items)? != 0 {
        return None;
    }
    for _ in 0..count.checked_add(deleted)? {
        let flags = number(&mut items)?;
        number(&mut items)?;
        number(&mut items)?;
        let (fields, elements) = if flags & SAME_FIELDS != 0 {
            (master, master.checked_add(3)?)
        } else {
            let fields = usize::try_from(number(&mut items)?).ok()?;
            pass(&mut items, fields)?;
            (fields, fields.checked_mul(2)?.checked_add(4)?)
        };
        pass(&mut items, fields)?;
        if usize::try_from(number(&mut items)?).ok()? != elements {
            return None;
        }
    }
    items.next().is_none().then_some(())
}

fn number<'a>(items: &mut impl Iterator<Item = Item<'a>>) -> Option<i64> {
    match items.next()? {
        Item::Int(n) => Some(n),
        Item::Str(_) => None,
    }
}

fn pass<'a>(items: &mut impl Iterator<Item = Item<'a>>, count: usize) -> Option<()> {
    match count.checked_sub(1) {
        None => Some(()),
        Some(last) => items.nth(last).map(|_| ()),
    }
}
