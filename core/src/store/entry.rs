//! One key with its value, its expiry time and its access clock, in as few bytes as will do.

use super::access::AccessClock;
use super::size::allocated;
use super::table::Keyed;
use super::value::bytes::{Pair, SmallBytes};
use super::value::intset::{IntRef, IntSet};
use super::value::list::{List, ListRef, Runs};
use super::value::listpack::{Listpack, PackRef};
use super::value::zset::{Tree, ZSet, ZSetRef};
use super::value::{
    self, Collection, Encoding, Hash, HashRef, Set, SetRef, StringRef, Value, ValueRef,
};

/// A key and all that belongs to it.
///
/// Sixteen bytes in the table (on 64-bit platforms), and one allocation beside it. Short and
/// plain values share that allocation with their key.
#[derive(Clone, Debug)]
pub struct Entry(Repr);

#[derive(Clone, Debug)]
enum Repr {
    /// Everything in one allocation, laid out as [`Header`] tells.
    Packed(Box<[u8]>),
    /// A value in allocations of its own.
    Object(Box<Object>),
}

#[derive(Clone, Debug)]
struct Object {
    key: Box<[u8]>,
    value: Large,
    clock: AccessClock,
    expire: Option<u64>,
}

/// A value that is too large, or changes too often, to be packed together with its key.
#[derive(Clone, Debug)]
enum Large {
    String(Vec<u8>),
    List(Box<Runs>),
    Set(Box<value::table::Table<SmallBytes>>),
    Hash(Box<value::table::Table<Pair>>),
    ZSet(Box<Tree>),
}

/// Where the parts of a packed entry lie.
///
/// A byte of [`KIND`] and flags; three bytes of access clock; the key's length, in one byte or (with
/// [`LONG_KEY`]) in four; the expiry time in eight bytes, with [`EXPIRES`]; the key; and the value
/// up to the end.
struct Header {
    expire: usize,
    key: usize,
    value: usize,
}

/// The bits of the first byte that tell how the value is kept.
const KIND: u8 = 0x0F;
/// A string's bytes.
const BYTES: u8 = 0;
/// A number in eight bytes, little endian.
const INT: u8 = 1;
/// A listpack of elements.
const LIST: u8 = 2;
/// An array of integers.
const INTSET: u8 = 3;
/// A listpack of members.
const SET: u8 = 4;
/// A listpack of fields and values.
const HASH: u8 = 5;
/// A listpack of members and scores.
const ZSET: u8 = 6;
/// There is an expiry time.
const EXPIRES: u8 = 0x10;
/// The key's length takes four bytes.
const LONG_KEY: u8 = 0x20;
/// The string has been edited: it calls itself `raw`, however short it is.
const EDITED: u8 = 0x40;

const CLOCK: usize = 1;
const KEY_LEN: usize = 4;

/// Redis's limit for strings that it keeps beside their header and calls `embstr`.
const EMBSTR_LIMIT: usize = 44;

/// An edited string that takes more than this moves out, where it can grow in place.
const PACKED_EDIT_LIMIT: usize = 64;

/// Redis's `SDS_MAX_PREALLOC`: strings larger than this grow by this much, smaller ones double.
const MAX_PREALLOC: usize = 1024 * 1024;

impl Entry {
    /// A key with a string.
    pub fn string(
        key: &[u8],
        value: StringRef<'_>,
        expire: Option<u64>,
        clock: AccessClock,
    ) -> Self {
        match value {
            StringRef::Bytes(bytes) => Self::packed(BYTES, key, bytes, expire, clock),
            StringRef::Int(n) => Self::packed(INT, key, &n.to_le_bytes(), expire, clock),
        }
    }

    /// A key with a value. Small collections are packed together with their key.
    pub fn new(key: &[u8], value: Value, expire: Option<u64>, clock: AccessClock) -> Self {
        let packed = |kind, bytes| Self::packed(kind, key, bytes, expire, clock);
        let large = match value {
            Value::String(bytes) => Large::String(bytes),
            Value::List(List::Pack(pack)) => return packed(LIST, pack.view().bytes()),
            Value::Set(Set::Pack(pack)) => return packed(SET, pack.view().bytes()),
            Value::Set(Set::Ints(ints)) => return packed(INTSET, ints.view().bytes()),
            Value::Hash(Hash::Pack(pack)) => return packed(HASH, pack.view().bytes()),
            Value::ZSet(ZSet::Pack(pack)) => return packed(ZSET, pack.view().bytes()),
            Value::List(List::Quick(runs)) => Large::List(runs),
            Value::Set(Set::Table(table)) => Large::Set(table),
            Value::Hash(Hash::Table(table)) => Large::Hash(table),
            Value::ZSet(ZSet::Tree(tree)) => Large::ZSet(tree),
        };
        Self(Repr::Object(Box::new(Object { key: key.into(), value: large, clock, expire })))
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
            Repr::Object(object) => match &object.value {
                Large::String(bytes) => ValueRef::String(StringRef::Bytes(bytes)),
                Large::List(runs) => ValueRef::List(ListRef::Quick(runs)),
                Large::Set(table) => ValueRef::Set(SetRef::Table(table)),
                Large::Hash(table) => ValueRef::Hash(HashRef::Table(table)),
                Large::ZSet(tree) => ValueRef::ZSet(ZSetRef::Tree(tree)),
            },
        }
    }

    /// How the value is kept.
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
            _ => Encoding::Listpack,
        }
    }

    /// Lets `edit` change a collection, which is then kept in whatever form it has come to. `None`
    /// if it is not of that kind.
    pub fn edit<K: Collection, R>(&mut self, edit: impl FnOnce(&mut K) -> R) -> Option<R> {
        K::read(self.value())?;
        let (expire, clock) = (self.expire(), self.clock());
        match core::mem::replace(&mut self.0, Repr::Packed(Box::default())) {
            Repr::Packed(bytes) => {
                let header = Header::of(&bytes);
                let (kind, base) = (flags(&bytes) & KIND, header.value);
                // The key, should the allocation that holds it not come back.
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
            Repr::Object(mut object) => {
                let large = core::mem::replace(&mut object.value, Large::String(Vec::new()));
                let mut value = match large {
                    Large::String(bytes) => Value::String(bytes),
                    Large::List(runs) => Value::List(List::Quick(runs)),
                    Large::Set(table) => Value::Set(Set::Table(table)),
                    Large::Hash(table) => Value::Hash(Hash::Table(table)),
                    Large::ZSet(tree) => Value::ZSet(ZSet::Tree(tree)),
                };
                let result = K::of(&mut value).map(edit);
                object.value = match value {
                    Value::String(bytes) => Large::String(bytes),
                    Value::List(List::Quick(runs)) => Large::List(runs),
                    Value::Set(Set::Table(table)) => Large::Set(table),
                    Value::Hash(Hash::Table(table)) => Large::Hash(table),
                    Value::ZSet(ZSet::Tree(tree)) => Large::ZSet(tree),
                    small => {
                        *self = Self::new(&object.key, small, expire, clock);
                        return result;
                    }
                };
                self.0 = Repr::Object(object);
                result
            }
        }
    }

    /// The entry of a collection that still stands behind the prefix that it was taken from, in
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

    /// What has to be freed in slices, if there is much of it; the entry itself is gone.
    pub(super) fn into_remains(self) -> Option<Remains> {
        match self.0 {
            Repr::Object(object) if elements(&object.value) > FREED_AT_ONCE => {
                Some(Remains(object.value))
            }
            _ => None,
        }
    }

    /// When the key expires, in milliseconds since 1970.
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

    /// Changes when the key expires.
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

    /// Changes the access clock.
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

    /// Puts a string in the place of the value if that takes no allocation: the same kind, the
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
                // What has grown once will grow again; what is new may be all there is.
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
            Repr::Object(object) => match &mut object.value {
                Large::String(bytes) => {
                    if bytes.capacity() < len {
                        bytes.reserve_exact(grown_capacity(len, true) - bytes.len());
                    }
                    bytes.resize(len, 0);
                    Some(edit(bytes))
                }
                _ => None,
            },
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

    /// A packed entry anew, with another key or expiry time.
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

    fn memory(&self) -> usize {
        match &self.0 {
            Repr::Packed(bytes) => allocated(bytes.len()),
            Repr::Object(object) => {
                let value = match &object.value {
                    Large::String(bytes) => allocated(bytes.capacity()),
                    Large::List(runs) => ListRef::Quick(runs).memory(),
                    Large::Set(table) => table.memory(),
                    Large::Hash(table) => table.memory(),
                    Large::ZSet(tree) => ZSetRef::Tree(tree).memory(),
                };
                // The size of `Object` on 64-bit platforms, so that all platforms agree.
                allocated(64) + allocated(object.key.len()) + value
            }
        }
    }
}

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

/// The first eight bytes; zeros where there are fewer.
#[inline]
fn array(bytes: &[u8]) -> [u8; 8] {
    match bytes.first_chunk() {
        Some(chunk) => *chunk,
        None => [0; 8],
    }
}

/// The capacity for a string of `len` bytes that may grow further.
fn grown_capacity(len: usize, growing: bool) -> usize {
    match (growing, len < MAX_PREALLOC) {
        (false, _) => len,
        (true, true) => len * 2,
        (true, false) => len + MAX_PREALLOC,
    }
}

/// Elements up to which a collection is freed at once. Redis's `LAZYFREE_THRESHOLD`.
const FREED_AT_ONCE: usize = 64;

fn elements(value: &Large) -> usize {
    match value {
        Large::String(_) => 1,
        Large::List(runs) => runs.count(),
        Large::Set(table) => table.len(),
        Large::Hash(table) => table.len(),
        Large::ZSet(tree) => ZSetRef::Tree(tree).len(),
    }
}

/// A large value whose key is gone.
#[derive(Clone, Debug)]
pub(super) struct Remains(Large);

impl Remains {
    /// Frees up to about `limit` elements. Returns whether nothing is left.
    pub(super) fn free_some(&mut self, limit: usize) -> bool {
        match &mut self.0 {
            Large::String(_) => true,
            Large::List(runs) => runs.dismantle(limit),
            Large::Set(table) => table.dismantle(limit),
            Large::Hash(table) => table.dismantle(limit),
            Large::ZSet(tree) => tree.dismantle(limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entry: &Entry) -> Vec<u8> {
        let ValueRef::String(string) = entry.value() else { panic!("not a string") };
        string.to_vec()
    }

    fn entry(key: &[u8], value: &[u8], expire: Option<u64>) -> Entry {
        Entry::string(key, StringRef::compact(value), expire, AccessClock::default())
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn an_entry_takes_sixteen_bytes_and_a_short_key_one_allocation() {
        assert_eq!(size_of::<Entry>(), 16);
        assert_eq!(size_of::<Object>(), 64);
        assert_eq!(entry(b"key:999999", &[b'x'; 64], None).memory(), 80);
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        for key_len in [0, 1, 255, 256, 70_000] {
            for value in [&b""[..], b"12", b"-5", b"hello", &[7; 300]] {
                for expire in [None, Some(0), Some(u64::MAX)] {
                    let key = vec![b'k'; key_len];
                    let mut e = entry(&key, value, expire);
                    assert_eq!((e.key(), text(&e), e.expire()), (&key[..], value.to_vec(), expire));
                    e.set_clock(AccessClock::new(Default::default(), 77_000));
                    for other in [Some(5), Some(6), None, None, Some(7)] {
                        e.set_expire(other);
                        assert_eq!((e.expire(), text(&e)), (other, value.to_vec()));
                    }
                    let e = e.renamed(b"other");
                    assert_eq!(
                        (e.key(), text(&e), e.expire()),
                        (&b"other"[..], value.to_vec(), Some(7))
                    );
                    assert_eq!(e.clock().idle_seconds(78_000), 1);
                }
            }
        }
    }

    #[test]
    fn a_collection_keeps_key_expiry_and_contents_through_all_its_forms() {
        let limits = value::Limits::default();
        for key in [&b"k"[..], &[b'k'; 300]] {
            let mut e = Entry::new(key, Value::Set(Set::new(b"1", 1, &limits)), Some(9), default());
            let mut forms = Vec::new();
            for n in 0..300 {
                let member = if n < 20 { n.to_string() } else { format!("m{n}") };
                e.edit(|set: &mut Set| set.insert(member.as_bytes(), &limits)).expect("a set");
                assert_eq!((e.key(), e.expire(), e.value().elements()), (key, Some(9), n + 1));
                e.set_expire(Some(8));
                e.set_expire(None);
                e.set_expire(Some(9));
                forms.push(e.encoding());
            }
            forms.dedup();
            assert_eq!(forms, [Encoding::Intset, Encoding::Listpack, Encoding::Hashtable]);
            assert_eq!(e.edit(|_: &mut Hash| ()), None);
            let e = e.renamed(b"other");
            assert_eq!((e.key(), e.value().elements()), (&b"other"[..], 300));
        }
    }

    #[test]
    fn a_list_that_shrinks_is_packed_again() {
        let limits = value::Limits::default();
        let mut e = Entry::new(b"k", Value::List(List::default()), None, default());
        for n in 0..3_000 {
            e.edit(|list: &mut List| {
                list.grow([&b"element"[..]], &limits);
                list.push(value::End::Left, format!("element{n}").as_bytes(), &limits);
            });
        }
        assert_eq!(e.encoding(), Encoding::Quicklist);
        let large = e.memory();
        for _ in 0..2_999 {
            e.edit(|list: &mut List| {
                list.pop(value::End::Left, |_| ());
                list.shrink(&limits);
            });
        }
        assert_eq!((e.encoding(), e.value().elements()), (Encoding::Listpack, 1));
        assert!(e.memory() < large / 100);
    }

    fn default() -> AccessClock {
        AccessClock::default()
    }

    #[test]
    fn a_value_of_the_same_shape_is_overwritten_in_place() {
        let mut e = entry(b"k", b"abc", None);
        assert!(e.overwrite(StringRef::Bytes(b"xyz"), None));
        assert!(!e.overwrite(StringRef::Bytes(b"wxyz"), None));
        assert!(!e.overwrite(StringRef::Int(5), None));
        assert!(!e.overwrite(StringRef::Bytes(b"xyz"), Some(1)));
        assert_eq!(text(&e), b"xyz");
        let mut e = entry(b"k", b"12", Some(4));
        assert!(e.overwrite(StringRef::Int(-77), Some(9)));
        assert_eq!((text(&e), e.expire()), (b"-77".to_vec(), Some(9)));
    }

    #[test]
    fn an_edited_string_grows_with_zeros_and_calls_itself_raw() {
        let mut e = entry(b"k", b"12", Some(4));
        assert_eq!(e.encoding(), Encoding::Int);
        e.edit_string(4, |b| b[3] = b'!');
        assert_eq!(text(&e), b"12\0!");
        assert_eq!((e.encoding(), e.expire()), (Encoding::Raw, Some(4)));
        e.edit_string(0, |b| b[0] = b'x');
        for len in [10, 60, 100, 1_000, 3_000_000, 10] {
            let before = text(&e);
            e.edit_string(len, |_| ()).unwrap();
            let after = text(&e);
            assert_eq!(after.len(), before.len().max(len));
            assert!(after.starts_with(b"x2\0!"));
            assert_eq!((e.key(), e.expire(), e.encoding()), (&b"k"[..], Some(4), Encoding::Raw));
        }
        assert!(e.memory() < 3_000_000 + 2 * MAX_PREALLOC);
        assert_eq!(entry(b"k", &[b'x'; 44], None).encoding(), Encoding::Embstr);
        assert_eq!(entry(b"k", &[b'x'; 45], None).encoding(), Encoding::Raw);
    }
}
