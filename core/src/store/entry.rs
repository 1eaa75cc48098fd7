//! An entry of the keyspace: a key with its value, expiry time and access clock, stored compactly.

use super::access::AccessClock;
use super::size::allocated;
use super::table::Keyed;
use super::value::bytes::SmallBytes;
use super::value::intset::{IntRef, IntSet};
use super::value::listpack::{Listpack, PackRef};
use super::value::{
    Collection, Encoding, Hash, HashRef, List, ListRef, Set, SetRef, StringRef, Value, ValueRef,
    ZSet, ZSetRef,
};
use large::{LONG_STRING, Large};

pub(super) use large::PendingFree;

mod large;

/// An entry: a key with its value and metadata.
///
/// It takes sixteen bytes in the table (on 64-bit platforms) and one allocation. Short strings and
/// compact collections share that allocation with their key.
#[derive(Clone, Debug)]
pub struct Entry(Repr);

#[derive(Clone, Debug)]
enum Repr {
    /// Everything in one allocation, with the layout of [`Header`].
    Packed(Box<[u8]>),
    /// A value with allocations of its own.
    Object(Box<Object>),
}

#[derive(Clone, Debug)]
struct Object {
    key: Box<[u8]>,
    value: Large,
    clock: AccessClock,
    expire: Option<u64>,
}

/// The layout of a packed entry.
///
/// One byte with [`KIND`] and flags; three bytes of access clock; the key's length, in one byte or
/// (with [`LONG_KEY`]) four; with [`EXPIRES`], the expiry time in eight bytes; the key; and the
/// value up to the end.
struct Header {
    expire: usize,
    key: usize,
    value: usize,
}

/// The bits of the first byte that hold the kind of the value.
const KIND: u8 = 0x0F;
/// A string's bytes.
const BYTES: u8 = 0;
/// An integer in eight bytes, little endian.
const INT: u8 = 1;
/// A listpack of elements.
const LIST: u8 = 2;
/// An intset.
const INTSET: u8 = 3;
/// A listpack of members.
const SET: u8 = 4;
/// A listpack of fields and values.
const HASH: u8 = 5;
/// A listpack of members and scores.
const ZSET: u8 = 6;
/// The entry has an expiry time.
const EXPIRES: u8 = 0x10;
/// The key's length takes four bytes.
const LONG_KEY: u8 = 0x20;
/// The string has been edited: its encoding is `raw`, however short it is.
const EDITED: u8 = 0x40;

const CLOCK: usize = 1;
const KEY_LEN: usize = 4;

/// Redis's limit for strings that are stored together with their header (`embstr`).
const EMBSTR_LIMIT: usize = 44;

/// The largest edited string that stays packed; a longer one gets an allocation in which it can
/// grow.
const PACKED_EDIT_LIMIT: usize = 64;

/// Redis's `SDS_MAX_PREALLOC`: strings larger than this grow by this much, smaller ones double.
const MAX_PREALLOC: usize = 1024 * 1024;

impl Entry {
    /// An entry with a string.
    pub fn string(
        key: &[u8],
        value: StringRef<'_>,
        expire: Option<u64>,
        clock: AccessClock,
    ) -> Self {
        match value {
            StringRef::Bytes(bytes) if bytes.len() >= LONG_STRING => {
                Self::new(key, Value::String(bytes.to_vec()), expire, clock)
            }
            StringRef::Bytes(bytes) => Self::packed(BYTES, key, bytes, expire, clock),
            StringRef::Int(n) => Self::packed(INT, key, &n.to_le_bytes(), expire, clock),
        }
    }

    /// An entry with any value. Small collections are packed together with their key.
    pub fn new(key: &[u8], value: Value, expire: Option<u64>, clock: AccessClock) -> Self {
        let packed = |kind, bytes| Self::packed(kind, key, bytes, expire, clock);
        let value = match value {
            Value::List(List::Pack(pack)) => return packed(LIST, pack.view().kept()),
            Value::Set(Set::Pack(pack)) => return packed(SET, pack.view().kept()),
            Value::Set(Set::Ints(ints)) => return packed(INTSET, ints.view().bytes()),
            Value::Hash(Hash::Pack(pack)) => return packed(HASH, pack.view().kept()),
            Value::ZSet(ZSet::Pack(pack)) => return packed(ZSET, pack.view().kept()),
            large => large,
        };
        let value = Large::of(value);
        Self(Repr::Object(Box::new(Object { key: key.into(), value, clock, expire })))
    }

    /// An entry from a dump: a string gets the encoding that a command would have given it.
    pub fn saved(key: &[u8], value: Value, expire: Option<u64>, clock: AccessClock) -> Self {
        match value {
            Value::String(text) if text.len() < LONG_STRING => {
                Self::string(key, StringRef::compact(&text), expire, clock)
            }
            value => Self::new(key, value, expire, clock),
        }
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> ValueRef<'_> {
        match &self.0 {
            Repr::Packed(bytes) => {
                let value = bytes.get(Header::of(bytes).value..).unwrap_or_default();
                match flags(bytes) & KIND {
                    INT => ValueRef::String(StringRef::Int(i64::from_le_bytes(array(value)))),
                    LIST => ValueRef::List(ListRef::Pack(PackRef::new(value))),
                    INTSET => ValueRef::Set(SetRef::Ints(IntRef::new(value))),
                    SET => ValueRef::Set(SetRef::Pack(PackRef::new(value))),
                    HASH => ValueRef::Hash(HashRef::Pack(PackRef::new(value))),
                    ZSET => ValueRef::ZSet(ZSetRef::Pack(PackRef::new(value))),
                    _ => ValueRef::String(StringRef::Bytes(value)),
                }
            }
            Repr::Object(object) => object.value.view(),
        }
    }

    /// The encoding of the value.
    pub fn encoding(&self) -> Encoding {
        match (&self.0, self.value()) {
            (_, ValueRef::String(StringRef::Int(_))) => Encoding::Int,
            (Repr::Packed(bytes), ValueRef::String(StringRef::Bytes(value)))
                if value.len() <= EMBSTR_LIMIT && flags(bytes) & EDITED == 0 =>
            {
                Encoding::Embstr
            }
            (_, ValueRef::String(_)) => Encoding::Raw,
            (_, ValueRef::Set(SetRef::Ints(_))) => Encoding::Intset,
            (_, ValueRef::List(ListRef::Quick(_))) => Encoding::Quicklist,
            (_, ValueRef::Set(SetRef::Table(_)) | ValueRef::Hash(HashRef::Table(_))) => {
                Encoding::Hashtable
            }
            (_, ValueRef::ZSet(ZSetRef::Tree(_))) => Encoding::Skiplist,
            (_, ValueRef::Stream(_)) => Encoding::Stream,
            _ => Encoding::Listpack,
        }
    }

    /// Lets `edit` change a collection, which is then stored in its new encoding. `None` if the
    /// value has another type.
    pub fn edit<K: Collection, R>(&mut self, edit: impl FnOnce(&mut K) -> R) -> Option<R> {
        if let Repr::Object(object) = &mut self.0 {
            let Large::Other(value) = &mut object.value else { return None };
            let result = edit(K::of(value)?);
            if value.is_compact() {
                let (key, small) = (core::mem::take(&mut object.key), value.clone());
                *self = Self::new(&key, small, object.expire, object.clock);
            }
            return Some(result);
        }
        K::read(self.value())?;
        let (expire, clock) = (self.expire(), self.clock());
        let Repr::Packed(bytes) = core::mem::replace(&mut self.0, Repr::Packed(Box::default()))
        else {
            return None;
        };
        let header = Header::of(&bytes);
        let (kind, base) = (flags(&bytes) & KIND, header.value);
        // A copy of the key, in case its allocation is replaced.
        let key = SmallBytes::new(bytes.get(header.key..base).unwrap_or_default());
        let bytes = bytes.into_vec();
        let mut value = match kind {
            LIST => Value::List(List::Pack(Listpack::from_prefixed(bytes, base))),
            INTSET => Value::Set(Set::Ints(IntSet::from_prefixed(bytes, base))),
            SET => Value::Set(Set::Pack(Listpack::from_prefixed(bytes, base))),
            HASH => Value::Hash(Hash::Pack(Listpack::from_prefixed(bytes, base))),
            ZSET => Value::ZSet(ZSet::Pack(Listpack::from_prefixed(bytes, base))),
            _ => Value::String(bytes),
        };
        let result = K::of(&mut value).map(edit);
        *self = match Self::behind_prefix(value, header.key, key.as_slice()) {
            Ok(entry) => entry,
            Err(value) => Self::new(key.as_slice(), value, expire, clock),
        };
        result
    }

    /// An entry of a collection that still has the prefix of the allocation that it came from, in
    /// which the key begins at `at`.
    fn behind_prefix(value: Value, at: usize, key: &[u8]) -> Result<Self, Value> {
        let base = at + key.len();
        let (bytes, _) = match value {
            Value::List(List::Pack(pack))
            | Value::Set(Set::Pack(pack))
            | Value::Hash(Hash::Pack(pack))
            | Value::ZSet(ZSet::Pack(pack))
                if pack.base() == base =>
            {
                pack.into_prefixed()
            }
            Value::Set(Set::Ints(ints)) if ints.base() == base => ints.into_prefixed(),
            other => return Err(other),
        };
        debug_assert_eq!(bytes.get(at..base), Some(key));
        Ok(Self(Repr::Packed(bytes.into_boxed_slice())))
    }

    /// What must be freed lazily, if the value is large; the entry itself is dropped.
    pub(super) fn into_pending_free(self) -> Option<PendingFree> {
        match self.0 {
            Repr::Object(object) => PendingFree::of(object.value),
            Repr::Packed(_) => None,
        }
    }

    /// The key's expiry time, in milliseconds since 1970.
    #[inline]
    pub fn expire(&self) -> Option<u64> {
        match &self.0 {
            Repr::Packed(bytes) => {
                if flags(bytes) & EXPIRES == 0 {
                    return None;
                }
                let at = Header::of(bytes).expire;
                bytes.get(at..at + 8).map(|b| u64::from_le_bytes(array(b)))
            }
            Repr::Object(object) => object.expire,
        }
    }

    /// Sets the key's expiry time.
    pub fn set_expire(&mut self, expire: Option<u64>) {
        match &mut self.0 {
            Repr::Object(object) => object.expire = expire,
            Repr::Packed(bytes) => {
                let header = Header::of(bytes);
                match expire {
                    Some(at) if flags(bytes) & EXPIRES != 0 => {
                        if let Some(field) = bytes.get_mut(header.expire..header.expire + 8) {
                            field.copy_from_slice(&at.to_le_bytes());
                        }
                    }
                    None if flags(bytes) & EXPIRES == 0 => {}
                    _ => *self = self.rebuilt(self.key(), expire),
                }
            }
        }
    }

    /// The access clock.
    #[inline]
    pub fn clock(&self) -> AccessClock {
        match &self.0 {
            Repr::Packed(bytes) => match **bytes {
                [_, a, b, c, ..] => AccessClock::from_bytes([a, b, c]),
                _ => AccessClock::default(),
            },
            Repr::Object(object) => object.clock,
        }
    }

    /// Sets the access clock.
    #[inline]
    pub fn set_clock(&mut self, clock: AccessClock) {
        match &mut self.0 {
            Repr::Packed(bytes) => {
                if let Some(field) = bytes.get_mut(CLOCK..CLOCK + 3) {
                    field.copy_from_slice(&clock.to_bytes());
                }
            }
            Repr::Object(object) => object.clock = clock,
        }
    }

    /// The same value under another key.
    pub fn renamed(mut self, key: &[u8]) -> Self {
        match &mut self.0 {
            Repr::Object(object) => {
                object.key = key.into();
                self
            }
            Repr::Packed(_) => self.rebuilt(key, self.expire()),
        }
    }

    /// Replaces the value by a string in place, if that needs no allocation: the same kind, the
    /// same size and the same presence of an expiry time. False if it does not fit.
    #[inline]
    pub fn overwrite(&mut self, value: StringRef<'_>, expire: Option<u64>) -> bool {
        let Repr::Packed(bytes) = &mut self.0 else { return false };
        let header = Header::of(bytes);
        let kind = match value {
            StringRef::Bytes(_) => BYTES,
            StringRef::Int(_) => INT,
        };
        let Some(&first) = bytes.first() else { return false };
        if first & KIND != kind || (first & EXPIRES != 0) != expire.is_some() {
            return false;
        }
        let Some(place) = bytes.get_mut(header.value..) else { return false };
        match value {
            StringRef::Bytes(new) if new.len() == place.len() => place.copy_from_slice(new),
            StringRef::Int(n) if place.len() == 8 => place.copy_from_slice(&n.to_le_bytes()),
            _ => return false,
        }
        bytes[0] = first & !EDITED;
        if let (Some(at), Some(field)) = (expire, bytes.get_mut(header.expire..header.expire + 8)) {
            field.copy_from_slice(&at.to_le_bytes());
        }
        true
    }

    /// Lets `edit` change a string's bytes in place, after lengthening it with zero bytes to
    /// `min_len` if it is shorter. `None` if the value is not a string.
    pub fn edit_string<R>(
        &mut self,
        min_len: usize,
        edit: impl FnOnce(&mut [u8]) -> R,
    ) -> Option<R> {
        let ValueRef::String(string) = self.value() else { return None };
        let (old, len) = (string.len(), string.len().max(min_len));
        if let Repr::Packed(bytes) = &self.0 {
            let header = Header::of(bytes);
            let in_place = len == old && flags(bytes) & KIND == BYTES;
            if !in_place {
                let (key, expire, clock) = (self.key(), self.expire(), self.clock());
                let stays = header.value + len <= PACKED_EDIT_LIMIT;
                // A string that has grown once will grow again; a new string may never grow.
                let grows = old > 0 && len > old;
                let room = if stays { len } else { grown_capacity(len, grows) };
                let mut value = Vec::with_capacity(room);
                value.extend_from_slice(string.bytes(&mut itoa::Buffer::new()));
                value.resize(len, 0);
                *self = if stays {
                    Self::packed(BYTES, key, &value, expire, clock)
                } else {
                    Self::new(key, Value::String(value), expire, clock)
                };
            }
        }
        match &mut self.0 {
            Repr::Packed(bytes) => {
                let header = Header::of(bytes);
                if let Some(first) = bytes.first_mut() {
                    *first |= EDITED;
                }
                bytes.get_mut(header.value..).map(edit)
            }
            Repr::Object(object) => {
                let bytes = object.value.string_mut(len)?;
                if bytes.capacity() < len {
                    bytes.reserve_exact(grown_capacity(len, true) - bytes.len());
                }
                bytes.resize(len, 0);
                Some(edit(bytes))
            }
        }
    }

    fn packed(kind: u8, key: &[u8], value: &[u8], expire: Option<u64>, clock: AccessClock) -> Self {
        let short = u8::try_from(key.len());
        let key_len = if short.is_ok() { 1 } else { 4 };
        let expire_len = if expire.is_some() { 8 } else { 0 };
        let mut bytes =
            Vec::with_capacity(KEY_LEN + key_len + expire_len + key.len() + value.len());
        let long = if short.is_ok() { 0 } else { LONG_KEY };
        let expires = if expire.is_some() { EXPIRES } else { 0 };
        bytes.push(kind | long | expires);
        bytes.extend_from_slice(&clock.to_bytes());
        match short {
            Ok(len) => bytes.push(len),
            Err(_) => bytes.extend_from_slice(&(key.len() as u32).to_le_bytes()),
        }
        if let Some(at) = expire {
            bytes.extend_from_slice(&at.to_le_bytes());
        }
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        Self(Repr::Packed(bytes.into_boxed_slice()))
    }

    /// A copy of a packed entry with another key or expiry time.
    fn rebuilt(&self, key: &[u8], expire: Option<u64>) -> Self {
        match &self.0 {
            Repr::Packed(bytes) => {
                let value = bytes.get(Header::of(bytes).value..).unwrap_or_default();
                let kept = flags(bytes) & (KIND | EDITED);
                Self::packed(kept, key, value, expire, self.clock())
            }
            Repr::Object(object) => Self(Repr::Object(Box::new(Object {
                key: key.into(),
                value: object.value.clone(),
                clock: object.clock,
                expire,
            }))),
        }
    }
}

impl Keyed for Entry {
    #[inline]
    fn key(&self) -> &[u8] {
        match &self.0 {
            Repr::Packed(bytes) => {
                let header = Header::of(bytes);
                bytes.get(header.key..header.value).unwrap_or_default()
            }
            Repr::Object(object) => &object.key,
        }
    }

    #[inline]
    fn weight(&self) -> u8 {
        match &self.0 {
            Repr::Packed(bytes) => bytes.len() as u8,
            Repr::Object(_) => 0,
        }
    }

    fn frozen(&self) -> Self {
        match &self.0 {
            Repr::Packed(_) => self.clone(),
            Repr::Object(object) => Self(Repr::Object(Box::new(Object {
                key: object.key.clone(),
                value: object.value.frozen(),
                clock: object.clock,
                expire: object.expire,
            }))),
        }
    }

    fn memory(&self) -> usize {
        match &self.0 {
            Repr::Packed(bytes) => allocated(bytes.len()),
            Repr::Object(object) => {
                // The size of `Object` on 64-bit platforms, so that all platforms agree.
                allocated(80) + allocated(object.key.len()) + object.value.memory()
            }
        }
    }

    fn held(&self, alone: bool) -> usize {
        match &self.0 {
            Repr::Object(object) => match &object.value {
                Large::LongString(text) if alone && !text.is_unique() => 0,
                Large::LongString(_) | Large::String(_) => self.memory(),
                // The collection usually lives on and changes only in part.
                _ => self.memory().min(MAX_COPY_BYTES),
            },
            Repr::Packed(_) => self.memory(),
        }
    }
}

/// The most bytes that a copy of a collection is counted with, since it shares the rest.
const MAX_COPY_BYTES: usize = 4096;

impl Header {
    #[inline]
    fn of(bytes: &[u8]) -> Self {
        let (flags, len, expire) = match *bytes {
            [flags, _, _, _, len, ..] if flags & LONG_KEY == 0 => (flags, usize::from(len), 5),
            [flags, _, _, _, a, b, c, d, ..] => {
                (flags, u32::from_le_bytes([a, b, c, d]) as usize, 8)
            }
            _ => (0, 0, 0),
        };
        let key = if flags & EXPIRES == 0 { expire } else { expire + 8 };
        Self { expire, key, value: key + len }
    }
}

#[inline]
fn flags(bytes: &[u8]) -> u8 {
    bytes.first().copied().unwrap_or_default()
}

/// The first eight bytes, padded with zeros.
#[inline]
fn array(bytes: &[u8]) -> [u8; 8] {
    match bytes.first_chunk() {
        Some(chunk) => *chunk,
        None => [0; 8],
    }
}

/// The capacity for a string of `len` bytes, which may grow further if `growing`.
fn grown_capacity(len: usize, growing: bool) -> usize {
    match (growing, len < MAX_PREALLOC) {
        (false, _) => len,
        (true, true) => len * 2,
        (true, false) => len + MAX_PREALLOC,
    }
}

#[cfg(test)]
mod tests;
