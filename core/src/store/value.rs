//! What a key holds: strings, and the collections.
//!
//! A collection is made of the structures below: [`listpack`] and [`intset`] while it is small,
//! which Redis keeps on disk in the same form; [`table`] (hashing) and [`seq`] (order and ranks)
//! when it is large. Each comes twice: as it is changed ([`List`]) and as it is read ([`ListRef`]).

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

/// A value as a command changes it.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string that has been edited, with room to grow.
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

/// A value as a command reads it.
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

/// A string as a command reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringRef<'a> {
    /// Any bytes.
    Bytes(&'a [u8]),
    /// The decimal digits of a number, kept as the number.
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

/// How a value is kept, as OBJECT ENCODING names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A number in 64 bits.
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
    /// A large sorted set. There is no skip list here, but that is the name that clients know.
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
    /// Looks at the memory in which lookups of these elements will look, if there is much of it.
    pub fn warm<'k>(self, elements: impl Iterator<Item = &'k [u8]>) {
        match self {
            ValueRef::Set(SetRef::Table(table)) => table.warm(elements),
            ValueRef::Hash(HashRef::Table(table)) => table.warm(elements),
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

    /// A copy to be read from beginning to end. It costs little however large a collection is; a
    /// string is copied.
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

    /// How many elements a collection has; 1 for a string. A stream without entries counts as one
    /// element: it is a value all the same.
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
    /// The value as it is read.
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

    /// Whether it is a collection in its compact form.
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

/// A kind of collection, for code that is the same for all.
pub trait Collection: Sized {
    /// The collection as it is read.
    type Ref<'a>;
    /// The collection in a value, if it is one of this kind.
    fn of(value: &mut Value) -> Option<&mut Self>;
    /// The same, to read.
    fn read(value: ValueRef<'_>) -> Option<Self::Ref<'_>>;
    /// A value of this kind.
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
    /// The string as it is best kept: as a number if it is one in canonical form.
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

    /// The string's bytes; the digits of a number are written to `digits`.
    pub fn bytes<'b>(self, digits: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            StringRef::Bytes(bytes) => bytes,
            StringRef::Int(n) => digits.format(n).as_bytes(),
        }
    }

    /// The string as a number, if it is exactly what printing that number gives.
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
