//! What a key holds if that is too large for the key's own allocation.

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
    /// Anything else, but no compact collection.
    Other(Value),
}

/// Strings from this length on are shared by copies of an entry. To copy a shorter one takes less
/// than two microseconds.
pub(super) const LONG_STRING: usize = 16 * 1024;

/// Elements up to which a collection is freed at once. Redis's `LAZYFREE_THRESHOLD`.
const FREED_AT_ONCE: usize = 64;

impl Large {
    /// The value as it is kept. It must not be a compact collection.
    pub(super) fn of(value: Value) -> Self {
        match value {
            Value::String(bytes) if bytes.len() >= LONG_STRING => {
                Large::LongString(Arc::new(bytes))
            }
            Value::String(bytes) => Large::String(bytes),
            other => Large::Other(other),
        }
    }

    /// The value as it is read.
    #[inline]
    pub(super) fn view(&self) -> ValueRef<'_> {
        match self {
            Large::String(bytes) => ValueRef::String(StringRef::Bytes(bytes)),
            Large::LongString(bytes) => ValueRef::String(StringRef::Bytes(bytes)),
            Large::Other(value) => value.view(),
        }
    }

    /// A string's bytes, which are about to become `len`.
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

    /// A copy to be read from beginning to end, which costs little however large the value is.
    pub(super) fn frozen(&self) -> Self {
        match self {
            Large::String(_) | Large::LongString(_) => self.clone(),
            Large::Other(value) => Large::Other(value.view().frozen()),
        }
    }

    /// The memory that it takes, in bytes.
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

    /// About how much work it is to free it.
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

/// A large value whose key is gone.
#[derive(Clone, Debug)]
pub(in crate::store) struct Remains(Large);

impl Remains {
    /// What is to be freed in slices, if there is much of it.
    pub(super) fn of(value: Large) -> Option<Self> {
        (value.elements() > FREED_AT_ONCE).then_some(Remains(value))
    }

    /// Frees about `limit` elements, or all if there are fewer, and says how many. The rest takes
    /// no time when that is less than `limit`.
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
