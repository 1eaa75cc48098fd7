//! Values that are too large for their key's allocation.

use triomphe::Arc;

use super::super::size::allocated;
use super::super::value::stream::Group;
use super::super::value::{
    Hash, HashRef, List, ListRef, Set, SetRef, StringRef, Value, ValueRef, ZSet,
};

/// A value that is too large, or changes too often, to be packed together with its key.
#[derive(Clone, Debug)]
pub(super) enum Large {
    String(Vec<u8>),
    /// A string of at least [`LONG_STRING`] bytes, which copies of the entry share.
    LongString(Arc<Vec<u8>>),
    /// Any other value that is not a compact collection.
    Other(Value),
}

/// The length in bytes from which on strings are shared by copies of an entry. Copying a shorter
/// one takes less than two microseconds.
pub(super) const LONG_STRING: usize = 16 * 1024;

/// The number of elements up to which a collection is freed immediately. Redis's
/// `LAZYFREE_THRESHOLD`.
const LAZYFREE_THRESHOLD: usize = 64;

impl Large {
    /// Stores a value, which must not be a compact collection.
    pub(super) fn of(value: Value) -> Self {
        match value {
            Value::String(bytes) if bytes.len() >= LONG_STRING => {
                Large::LongString(Arc::new(bytes))
            }
            Value::String(bytes) => Large::String(bytes),
            other => Large::Other(other),
        }
    }

    /// A view for reading.
    #[inline]
    pub(super) fn view(&self) -> ValueRef<'_> {
        match self {
            Large::String(bytes) => ValueRef::String(StringRef::Bytes(bytes)),
            Large::LongString(bytes) => ValueRef::String(StringRef::Bytes(bytes)),
            Large::Other(value) => value.view(),
        }
    }

    /// A string's bytes, for a change to the length `len`.
    pub(super) fn string_mut(&mut self, len: usize) -> Option<&mut Vec<u8>> {
        if let Large::String(bytes) = self
            && len >= LONG_STRING
        {
            *self = Large::LongString(Arc::new(core::mem::take(bytes)));
        }
        match self {
            Large::String(bytes) => Some(bytes),
            Large::LongString(bytes) => Some(Arc::make_mut(bytes)),
            _ => None,
        }
    }

    /// A copy for iteration, which is cheap however large the value is.
    pub(super) fn frozen(&self) -> Self {
        match self {
            Large::String(_) | Large::LongString(_) => self.clone(),
            Large::Other(value) => Large::Other(value.view().frozen()),
        }
    }

    /// Memory used, in bytes.
    pub(super) fn memory(&self) -> usize {
        match self {
            Large::String(bytes) => allocated(bytes.capacity()),
            Large::LongString(bytes) => allocated(32) + allocated(bytes.capacity()),
            Large::Other(value) => match value.view() {
                ValueRef::List(list) => list.memory(),
                ValueRef::Set(set) => set.memory(),
                ValueRef::Hash(hash) => hash.memory(),
                ValueRef::ZSet(set) => set.memory(),
                ValueRef::String(text) => text.len(),
                ValueRef::Stream(stream) => stream.memory(),
            },
        }
    }

    /// The approximate cost of freeing it.
    fn elements(&self) -> usize {
        match self.view() {
            ValueRef::List(ListRef::Quick(runs)) => runs.count(),
            ValueRef::Set(SetRef::Table(table)) => table.len(),
            ValueRef::Hash(HashRef::Table(table)) => table.len(),
            ValueRef::ZSet(set) => set.len(),
            ValueRef::Stream(stream) => {
                let pending = stream.groups().map(Group::pending_count);
                stream.node_count() + pending.sum::<usize>()
            }
            _ => 1,
        }
    }
}

/// A large value of a deleted key, to be freed lazily.
#[derive(Clone, Debug)]
pub(in crate::store) struct PendingFree(Large);

impl PendingFree {
    /// A value to be freed lazily, if it is large enough for that.
    pub(super) fn of(value: Large) -> Option<Self> {
        (value.elements() > LAZYFREE_THRESHOLD).then_some(PendingFree(value))
    }

    /// Frees about `limit` elements, or all if there are fewer, and returns how many. If fewer than
    /// `limit` were freed, the rest can be dropped at once.
    pub(in crate::store) fn free_some(&mut self, limit: usize) -> usize {
        match &mut self.0 {
            Large::Other(Value::List(List::Quick(runs))) => runs.free_some(limit),
            Large::Other(Value::Set(Set::Table(table))) => table.free_some(limit),
            Large::Other(Value::Hash(Hash::Table(table))) => table.free_some(limit),
            Large::Other(Value::ZSet(ZSet::Tree(tree))) => {
                let mut freed = 0;
                while freed < limit {
                    match tree.free_some(limit - freed) {
                        0 => break,
                        n => freed += n,
                    }
                }
                freed
            }
            Large::Other(Value::Stream(stream)) => stream.free_some(limit),
            _ => 0,
        }
    }
}
