//! What a key holds if that is too large for the key's own allocation.

use triomphe::Arc;

use super::super::size::allocated;
use super::super::value::bytes::{Pair, SmallBytes};
use super::super::value::list::{ListRef, Runs};
use super::super::value::table::Table;
use super::super::value::zset::{Tree, ZSetRef};
use super::super::value::{
    Hash, HashRef, List, Opaque, Set, SetRef, StringRef, Value, ValueRef, ZSet,
};

/// A value that is too large, or changes too often, to be packed together with its key.
#[derive(Clone, Debug)]
pub(super) enum Large {
    String(Vec<u8>),
    /// A string of at least [`LONG_STRING`] bytes, which copies of the entry share.
    LongString(Arc<Vec<u8>>),
    List(Box<Runs>),
    Set(Box<Table<SmallBytes>>),
    Hash(Box<Table<Pair>>),
    ZSet(Box<Tree>),
    Opaque(Arc<Opaque>),
}

/// Strings from this length on are shared by copies of an entry. To copy a shorter one takes less
/// than two microseconds.
pub(super) const LONG_STRING: usize = 16 * 1024;

/// Elements up to which a collection is freed at once. Redis's `LAZYFREE_THRESHOLD`.
const FREED_AT_ONCE: usize = 64;

impl Large {
    /// The value as it is kept, unless it is a compact collection.
    pub(super) fn of(value: Value) -> Result<Self, Value> {
        Ok(match value {
            Value::String(bytes) if bytes.len() >= LONG_STRING => {
                Large::LongString(Arc::new(bytes))
            }
            Value::String(bytes) => Large::String(bytes),
            Value::List(List::Quick(runs)) => Large::List(runs),
            Value::Set(Set::Table(table)) => Large::Set(table),
            Value::Hash(Hash::Table(table)) => Large::Hash(table),
            Value::ZSet(ZSet::Tree(tree)) => Large::ZSet(tree),
            Value::Opaque(opaque) => Large::Opaque(opaque),
            small => return Err(small),
        })
    }

    /// The value as it is changed.
    pub(super) fn into_value(self) -> Value {
        match self {
            Large::String(bytes) => Value::String(bytes),
            Large::LongString(bytes) => Value::String(Arc::unwrap_or_clone(bytes)),
            Large::List(runs) => Value::List(List::Quick(runs)),
            Large::Set(table) => Value::Set(Set::Table(table)),
            Large::Hash(table) => Value::Hash(Hash::Table(table)),
            Large::ZSet(tree) => Value::ZSet(ZSet::Tree(tree)),
            Large::Opaque(opaque) => Value::Opaque(opaque),
        }
    }

    /// The value as it is read.
    #[inline]
    pub(super) fn view(&self) -> ValueRef<'_> {
        match self {
            Large::String(bytes) => ValueRef::String(StringRef::Bytes(bytes)),
            Large::LongString(bytes) => ValueRef::String(StringRef::Bytes(bytes)),
            Large::List(runs) => ValueRef::List(ListRef::Quick(runs)),
            Large::Set(table) => ValueRef::Set(SetRef::Table(table)),
            Large::Hash(table) => ValueRef::Hash(HashRef::Table(table)),
            Large::ZSet(tree) => ValueRef::ZSet(ZSetRef::Tree(tree)),
            Large::Opaque(opaque) => ValueRef::Opaque(opaque),
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
            Large::Set(table) => Large::Set(Box::new(table.frozen())),
            Large::Hash(table) => Large::Hash(Box::new(table.frozen())),
            Large::ZSet(tree) => Large::ZSet(Box::new(tree.frozen())),
            Large::String(_) | Large::LongString(_) | Large::List(_) | Large::Opaque(_) => {
                self.clone()
            }
        }
    }

    /// The memory that it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        match self {
            Large::String(bytes) => allocated(bytes.capacity()),
            Large::LongString(bytes) => allocated(32) + allocated(bytes.capacity()),
            Large::List(runs) => ListRef::Quick(runs).memory(),
            Large::Set(table) => table.memory(),
            Large::Hash(table) => table.memory(),
            Large::ZSet(tree) => ZSetRef::Tree(tree).memory(),
            Large::Opaque(opaque) => allocated(40) + allocated(opaque.payload().len()),
        }
    }

    /// About how much work it is to free it.
    fn elements(&self) -> usize {
        match self {
            Large::String(_) | Large::LongString(_) | Large::Opaque(_) => 1,
            Large::List(runs) => runs.count(),
            Large::Set(table) => table.len(),
            Large::Hash(table) => table.len(),
            Large::ZSet(tree) => ZSetRef::Tree(tree).len(),
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
            Large::String(_) | Large::LongString(_) | Large::Opaque(_) => 0,
            Large::List(runs) => runs.dismantle(limit),
            Large::Set(table) => table.dismantle(limit),
            Large::Hash(table) => table.dismantle(limit),
            Large::ZSet(tree) => {
                let mut freed = 0;
                while freed < limit {
                    match tree.dismantle(limit - freed) {
                        0 => break,
                        n => freed += n,
                    }
                }
                freed
            }
        }
    }
}
