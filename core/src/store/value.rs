//! The values of keys: strings and collections.
//!
//! Collections use [`listpack`] and [`intset`] while they are small, in the format in which Redis
//! stores them on disk, and [`table`] (hashing) and [`seq`] (order and ranks) when they are large.
//! Each has an owned type ([`List`]) and a borrowed view for reading ([`ListRef`]).

pub mod bytes;
pub mod hash;
pub mod intset;
pub mod limits;
pub mod list;
pub mod listpack;
pub mod seq;
pub mod set;
pub mod stream;
pub mod table;
pub mod zset;

pub use hash::{Hash, HashRef};
pub use limits::Limits;
pub use list::{End, List, ListRef};
pub use listpack::Item;
pub use set::{Set, SetRef};
pub use stream::{Stream, StreamId, StreamRef};
pub use zset::{ZSet, ZSetRef};

use crate::resp::number::parse_i64;

/// A value, owned and mutable.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string that has been edited, with spare capacity.
    String(Vec<u8>),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A sorted set.
    ZSet(ZSet),
    /// A stream.
    Stream(Box<Stream>),
}

/// A value, borrowed for reading.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A string.
    String(StringRef<'a>),
    /// A list.
    List(ListRef<'a>),
    /// A set.
    Set(SetRef<'a>),
    /// A hash.
    Hash(HashRef<'a>),
    /// A sorted set.
    ZSet(ZSetRef<'a>),
    /// A stream.
    Stream(StreamRef<'a>),
}

/// A string, borrowed for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringRef<'a> {
    /// Any bytes.
    Bytes(&'a [u8]),
    /// An integer, stored as a number instead of its decimal digits.
    Int(i64),
}

/// The types of values, as TYPE names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `string`
    String,
    /// `list`
    List,
    /// `set`
    Set,
    /// `hash`
    Hash,
    /// `zset`
    ZSet,
    /// `stream`
    Stream,
}

/// The encoding of a value, as OBJECT ENCODING names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A 64-bit integer.
    Int,
    /// A short string that has not been edited.
    Embstr,
    /// Any other string.
    Raw,
    /// A small list, set, hash or sorted set.
    Listpack,
    /// A small set of integers.
    Intset,
    /// A large list.
    Quicklist,
    /// A large set or hash.
    Hashtable,
    /// A large sorted set. It is not a skip list here, but clients know that name.
    Skiplist,
    /// A stream.
    Stream,
}

impl Type {
    /// The name that TYPE replies and that SCAN's TYPE option takes.
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::List => "list",
            Type::Set => "set",
            Type::Hash => "hash",
            Type::ZSet => "zset",
            Type::Stream => "stream",
        }
    }
}

impl Encoding {
    /// The name that OBJECT ENCODING replies.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Int => "int",
            Encoding::Embstr => "embstr",
            Encoding::Raw => "raw",
            Encoding::Listpack => "listpack",
            Encoding::Intset => "intset",
            Encoding::Quicklist => "quicklist",
            Encoding::Hashtable => "hashtable",
            Encoding::Skiplist => "skiplist",
            Encoding::Stream => "stream",
        }
    }
}

impl<'a> ValueRef<'a> {
    /// Prefetches the memory that lookups of these elements will read, if the collection is large.
    pub fn prefetch<'k>(self, elements: impl Iterator<Item = &'k [u8]>) {
        match self {
            ValueRef::Set(SetRef::Table(table)) => table.prefetch(elements),
            ValueRef::Hash(HashRef::Table(table)) => table.prefetch(elements),
            _ => {}
        }
    }

    /// The value's type.
    pub fn kind(self) -> Type {
        match self {
            ValueRef::String(_) => Type::String,
            ValueRef::List(_) => Type::List,
            ValueRef::Set(_) => Type::Set,
            ValueRef::Hash(_) => Type::Hash,
            ValueRef::ZSet(_) => Type::ZSet,
            ValueRef::Stream(_) => Type::Stream,
        }
    }

    /// The value, if it is a string.
    #[inline]
    pub fn string(self) -> Option<StringRef<'a>> {
        match self {
            ValueRef::String(string) => Some(string),
            _ => None,
        }
    }

    /// A copy for iteration. It is cheap however large a collection is (copy-on-write); a string is
    /// copied.
    pub fn frozen(self) -> Value {
        match self {
            ValueRef::String(string) => Value::String(string.to_vec()),
            ValueRef::List(list) => Value::List(list.frozen()),
            ValueRef::Set(set) => Value::Set(set.frozen()),
            ValueRef::Hash(hash) => Value::Hash(hash.frozen()),
            ValueRef::ZSet(zset) => Value::ZSet(zset.frozen()),
            ValueRef::Stream(stream) => Value::Stream(Box::new(stream.clone())),
        }
    }

    /// The number of elements of a collection; 1 for a string. A stream without entries counts as
    /// one element, since it exists nevertheless.
    pub fn elements(self) -> usize {
        match self {
            ValueRef::String(_) => 1,
            ValueRef::Stream(stream) => stream.len().max(1),
            ValueRef::List(list) => list.len(),
            ValueRef::Set(set) => set.len(),
            ValueRef::Hash(hash) => hash.len(),
            ValueRef::ZSet(zset) => zset.len(),
        }
    }
}

impl Value {
    /// A view for reading.
    #[inline]
    pub fn view(&self) -> ValueRef<'_> {
        match self {
            Value::String(bytes) => ValueRef::String(StringRef::Bytes(bytes)),
            Value::List(list) => ValueRef::List(list.view()),
            Value::Set(set) => ValueRef::Set(set.view()),
            Value::Hash(hash) => ValueRef::Hash(hash.view()),
            Value::ZSet(zset) => ValueRef::ZSet(zset.view()),
            Value::Stream(stream) => ValueRef::Stream(stream),
        }
    }

    /// Whether it is a collection in a compact encoding (listpack or intset).
    #[inline]
    pub fn is_compact(&self) -> bool {
        matches!(
            self,
            Value::List(List::Pack(_))
                | Value::Set(Set::Pack(_) | Set::Ints(_))
                | Value::Hash(Hash::Pack(_))
                | Value::ZSet(ZSet::Pack(_))
        )
    }
}

/// A type of collection, for generic code.
pub trait Collection: Sized {
    /// The view for reading.
    type Ref<'a>;
    /// The collection in a value, if it has this type.
    fn of(value: &mut Value) -> Option<&mut Self>;
    /// The view of a value, if it has this type.
    fn read(value: ValueRef<'_>) -> Option<Self::Ref<'_>>;
    /// Converts it to a value.
    fn into_value(self) -> Value;
}

macro_rules! collection {
    ($kind:ident, $view:ident) => {
        impl Collection for $kind {
            type Ref<'a> = $view<'a>;

            #[inline]
            fn of(value: &mut Value) -> Option<&mut Self> {
                match value {
                    Value::$kind(this) => Some(this),
                    _ => None,
                }
            }

            #[inline]
            fn read(value: ValueRef<'_>) -> Option<$view<'_>> {
                match value {
                    ValueRef::$kind(this) => Some(this),
                    _ => None,
                }
            }

            #[inline]
            fn into_value(self) -> Value {
                Value::$kind(self)
            }
        }
    };
}

collection!(List, ListRef);
collection!(Set, SetRef);
collection!(Hash, HashRef);
collection!(ZSet, ZSetRef);

impl Collection for Stream {
    type Ref<'a> = StreamRef<'a>;

    #[inline]
    fn of(value: &mut Value) -> Option<&mut Self> {
        match value {
            Value::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    #[inline]
    fn read(value: ValueRef<'_>) -> Option<StreamRef<'_>> {
        match value {
            ValueRef::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    #[inline]
    fn into_value(self) -> Value {
        Value::Stream(Box::new(self))
    }
}

impl<'a> StringRef<'a> {
    /// The string in its best representation: as an integer if it is one in canonical form.
    #[inline]
    pub fn compact(bytes: &'a [u8]) -> Self {
        match parse_i64(bytes) {
            Some(n) => StringRef::Int(n),
            None => StringRef::Bytes(bytes),
        }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        match self {
            StringRef::Bytes(bytes) => bytes.len(),
            StringRef::Int(n) => itoa::Buffer::new().format(n).len(),
        }
    }

    /// Whether it is the empty string.
    pub fn is_empty(self) -> bool {
        matches!(self, StringRef::Bytes([]))
    }

    /// The string's bytes; the digits of an integer are written to `digits`.
    pub fn bytes<'b>(self, digits: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            StringRef::Bytes(bytes) => bytes,
            StringRef::Int(n) => digits.format(n).as_bytes(),
        }
    }

    /// The string as an integer, if it is the canonical form of one.
    pub fn int(self) -> Option<i64> {
        match self {
            StringRef::Bytes(bytes) => parse_i64(bytes),
            StringRef::Int(n) => Some(n),
        }
    }

    /// The string, owned.
    pub fn to_vec(self) -> Vec<u8> {
        self.bytes(&mut itoa::Buffer::new()).to_vec()
    }
}
