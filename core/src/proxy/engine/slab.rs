//! A slab of connections, indexed by slot or by connection ID.

use hashbrown::HashTable;

use crate::machine::ConnId;

/// A slot in the slab, with the generation of its entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct SlabId {
    /// The index of the slot.
    pub slot: u32,
    /// The generation: a counter over all insertions, from 1.
    pub serial: u32,
}

/// The contents of a slot: a connection ID and its value.
type Entry<T> = Option<Box<(ConnId, T)>>;

/// A slab: values in numbered slots, which are reused.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    /// Boxed, since the list grows by doubling, and most of its slots may be empty.
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    /// The slot of each connection. Never iterated.
    by_conn: HashTable<u32>,
    serial: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { entries: Vec::new(), free: Vec::new(), by_conn: HashTable::new(), serial: 0 }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(
        &mut self,
        conn: ConnId,
        make: impl FnOnce(SlabId) -> T,
    ) -> Option<SlabId> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.entries.push(None);
                u32::try_from(self.entries.len() - 1).ok()?
            }
        };
        self.serial = self.serial.wrapping_add(1).max(1);
        let id = SlabId { slot, serial: self.serial };
        *self.entries.get_mut(slot as usize)? = Some(Box::new((conn, make(id))));
        let entries = &self.entries;
        self.by_conn.insert_unique(hash(conn), slot, |slot| hash_at(entries, *slot));
        Some(id)
    }

    #[inline]
    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        self.entries.get(slot as usize)?.as_ref().map(|place| &place.1)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.entries.get_mut(slot as usize)?.as_mut().map(|place| &mut place.1)
    }

    #[inline]
    pub(super) fn by_conn(&mut self, conn: ConnId) -> Option<&mut T> {
        let entries = &self.entries;
        let &slot = self.by_conn.find(hash(conn), |slot| is_at(entries, *slot, conn))?;
        self.get_mut(slot)
    }

    pub(super) fn remove_conn(&mut self, conn: ConnId) -> Option<T> {
        let entries = &self.entries;
        let entry = self.by_conn.find_entry(hash(conn), |slot| is_at(entries, *slot, conn)).ok()?;
        let (slot, _) = entry.remove();
        self.free.push(slot);
        self.entries.get_mut(slot as usize)?.take().map(|place| place.1)
    }

    pub(super) fn remove_if(&mut self, slot: u32, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let (conn, value) = &**self.entries.get(slot as usize)?.as_ref()?;
        if wanted(value) { self.remove_conn(*conn) } else { None }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten().map(|place| &place.1)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().flatten().map(|place| &mut place.1)
    }

    pub(super) fn len(&self) -> usize {
        self.by_conn.len()
    }
}

/// Whether a slot contains this connection.
#[inline]
fn is_at<T>(entries: &[Entry<T>], slot: u32, conn: ConnId) -> bool {
    matches!(entries.get(slot as usize), Some(Some(place)) if place.0 == conn)
}

/// The hash of the connection in a slot.
fn hash_at<T>(entries: &[Entry<T>], slot: u32) -> u64 {
    entries.get(slot as usize).and_then(Option::as_ref).map_or(0, |place| hash(place.0))
}

/// The driver numbers connections consecutively.
#[inline]
fn hash(conn: ConnId) -> u64 {
    conn.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
