//! Decodes one value, element by element as they arrive.

use super::cursor::{Cursor, Stop};
use super::stream::StreamReader;
use super::{container, kind, module, packed, ziplist, zipmap};
use crate::resp::number::parse_double;
use crate::store::value::listpack::Listpack;
use crate::store::value::{End, Hash, Limits, List, Set, ZSet};
use crate::store::{Collection, Value};

/// The state of a value that is being decoded.
#[derive(Clone, Debug)]
pub(super) enum ValueReader {
    /// A string.
    Text,
    /// A collection encoded as one string.
    Packed(u8),
    /// A stream.
    Stream(Box<StreamReader>),
    /// The value of a module.
    Module,
    /// A collection whose number of elements is not read yet.
    Uncounted(u8),
    /// Elements of a list.
    List { left: u64, list: List },
    /// The nodes of a list; ziplists in old files.
    ListNodes { left: u64, list: List, ziplists: bool },
    /// Members of a set.
    Set { left: u64, all: u64, set: Option<Set> },
    /// Fields and values.
    Hash { left: u64, hash: Hash },
    /// Members with scores; the scores are decimal texts in old files.
    ZSet { left: u64, zset: ZSet, decimal: bool },
}

impl ValueReader {
    /// The initial state for a value with this type byte.
    pub(super) fn new(kind: u8) -> Result<Self, Stop> {
        Ok(match kind {
            kind::STRING => ValueReader::Text,
            kind::SET_INTSET
            | kind::SET_LISTPACK
            | kind::HASH_LISTPACK
            | kind::HASH_ZIPLIST
            | kind::HASH_ZIPMAP
            | kind::ZSET_LISTPACK
            | kind::ZSET_ZIPLIST
            | kind::LIST_ZIPLIST => ValueReader::Packed(kind),
            kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
                ValueReader::Stream(Box::new(StreamReader::new(kind)))
            }
            kind::MODULE_PRE_GA => return Stop::bad("Pre-release module format not supported"),
            kind::MODULE_2 => ValueReader::Module,
            kind::LIST
            | kind::SET
            | kind::HASH
            | kind::ZSET
            | kind::ZSET_2
            | kind::LIST_QUICKLIST
            | kind::LIST_QUICKLIST_2 => ValueReader::Uncounted(kind),
            _ => return Stop::bad(format!("Unknown RDB encoding type {kind}")),
        })
    }

    /// Continues to decode. Returns the value when it is complete, also a string.
    pub(super) fn step(&mut self, cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Value, Stop> {
        loop {
            let value = match self {
                ValueReader::Text => Some(Value::String(cursor.text()?.bytes()?.into_owned())),
                ValueReader::Packed(kind) => Some(packed_value(*kind, cursor, limits)?),
                ValueReader::Stream(stream) => Some(stream.step(cursor)?.into_value()),
                ValueReader::Module => {
                    let name = module::type_name(cursor.len()?);
                    return Stop::bad(format!(
                        "The RDB file contains module data I can't load: no matching module type \
                         '{name}'"
                    ));
                }
                ValueReader::Uncounted(kind) => {
                    let (kind, left) = (*kind, cursor.len()?);
                    if left == 0 {
                        return Err(Stop::Empty);
                    }
                    *self = Self::counted(kind, left, limits);
                    None
                }
                ValueReader::List { left, list } => {
                    let text = cursor.text()?.bytes()?;
                    push(list, &text, limits);
                    finished(left, list)
                }
                ValueReader::ListNodes { left, list, ziplists } => {
                    match ziplists {
                        true => read_ziplist(cursor, list, limits)?,
                        false => read_node(cursor, list, limits)?,
                    }
                    if *left == 1 && list.is_empty() {
                        return Err(Stop::Empty);
                    }
                    finished(left, list)
                }
                ValueReader::Set { left, all, set } => {
                    let member = cursor.text()?.bytes()?;
                    let set = set.get_or_insert_with(|| new_set(&member, *all, limits));
                    if !set.insert(&member, limits) {
                        return Stop::bad("Duplicate set members detected");
                    }
                    finished(left, set)
                }
                ValueReader::Hash { left, hash } => {
                    let (field, value) = (cursor.text()?, cursor.text()?);
                    if !hash.set(&field.bytes()?, &value.bytes()?, limits) {
                        return Stop::bad("Duplicate hash fields detected");
                    }
                    finished(left, hash)
                }
                ValueReader::ZSet { left, zset, decimal } => {
                    let member = cursor.text()?;
                    let score = match decimal {
                        true => read_decimal(cursor)?,
                        false => f64::from_le_bytes(cursor.array()?),
                    };
                    if score.is_nan() {
                        return Stop::bad("Zset with NAN score detected");
                    }
                    // 0 and -0 are the same score on insertion.
                    if zset.insert(&member.bytes()?, score + 0.0, limits).is_some() {
                        return Stop::bad("Duplicate zset fields detected");
                    }
                    finished(left, zset)
                }
            };
            cursor.commit();
            if let Some(value) = value {
                return Ok(value);
            }
        }
    }

    fn counted(kind: u8, left: u64, limits: &Limits) -> Self {
        let expected = usize::try_from(left).unwrap_or(usize::MAX);
        match kind {
            kind::LIST => ValueReader::List { left, list: List::default() },
            kind::SET => ValueReader::Set { left, all: left, set: None },
            kind::HASH if expected > limits.hash_max_listpack_entries => {
                ValueReader::Hash { left, hash: Hash::new_table(limits) }
            }
            kind::HASH => ValueReader::Hash { left, hash: Hash::default() },
            kind::ZSET | kind::ZSET_2 => {
                let zset = ZSet::new(expected, 0, limits);
                ValueReader::ZSet { left, zset, decimal: kind == kind::ZSET }
            }
            _ => {
                let ziplists = kind == kind::LIST_QUICKLIST;
                ValueReader::ListNodes { left, list: List::default(), ziplists }
            }
        }
    }
}

/// The collection, if that was its last element.
fn finished<K: Collection + Default>(left: &mut u64, collection: &mut K) -> Option<Value> {
    *left -= 1;
    (*left == 0).then(|| core::mem::take(collection).into_value())
}

fn new_set(first: &[u8], all: u64, limits: &Limits) -> Set {
    match usize::try_from(all) {
        Ok(all) if all <= limits.set_max_intset_entries => Set::new(first, all, limits),
        _ => Set::new_table(limits),
    }
}

fn packed_value(kind: u8, cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Value, Stop> {
    let bytes = cursor.text()?.bytes()?;
    match kind {
        kind::SET_INTSET => packed::intset(bytes.into_owned(), limits).map(Value::Set),
        kind::SET_LISTPACK => {
            let broken = "Set listpack integrity check failed.";
            let pack = packed::listpack(bytes.into_owned(), broken)?;
            packed::set(pack, limits, broken).map(Value::Set)
        }
        kind::HASH_LISTPACK => {
            let broken = "Hash listpack integrity check failed.";
            let pack = packed::listpack(bytes.into_owned(), broken)?;
            packed::hash(pack, limits, broken, "Hash listpack with dup elements").map(Value::Hash)
        }
        kind::HASH_ZIPLIST => {
            let broken = "Hash ziplist integrity check failed.";
            packed::hash(from_ziplist(&bytes, broken)?, limits, broken, broken).map(Value::Hash)
        }
        kind::HASH_ZIPMAP => zipmap::to_hash(&bytes, limits).map(Value::Hash),
        kind::ZSET_ZIPLIST => {
            let broken = "Zset ziplist integrity check failed.";
            packed::zset(from_ziplist(&bytes, broken)?, limits, broken).map(Value::ZSet)
        }
        kind::LIST_ZIPLIST => {
            let pack = from_ziplist(&bytes, "List ziplist integrity check failed.")?;
            let mut list = List::default();
            let mut text = itoa::Buffer::new();
            for (_, item) in pack.view().iter() {
                push(&mut list, item.bytes(&mut text), limits);
            }
            if list.is_empty() { Err(Stop::Empty) } else { Ok(Value::List(list)) }
        }
        _ => {
            let broken = "Zset listpack integrity check failed.";
            let pack = packed::listpack(bytes.into_owned(), broken)?;
            packed::zset(pack, limits, broken).map(Value::ZSet)
        }
    }
}

fn from_ziplist(bytes: &[u8], broken: &'static str) -> Result<Listpack, Stop> {
    ziplist::to_listpack(bytes).ok_or(Stop::Bad(broken.into()))
}

fn push(list: &mut List, text: &[u8], limits: &Limits) {
    list.grow([text], limits);
    list.push(End::Right, text, limits);
}

fn read_ziplist(cursor: &mut Cursor<'_>, list: &mut List, limits: &Limits) -> Result<(), Stop> {
    let bytes = cursor.text()?.bytes()?;
    list.push_node(from_ziplist(&bytes, "Ziplist integrity check failed.")?, limits);
    Ok(())
}

fn read_node(cursor: &mut Cursor<'_>, list: &mut List, limits: &Limits) -> Result<(), Stop> {
    let container = cursor.len()?;
    let bytes = cursor.text()?.bytes()?;
    let node = match container {
        container::PLAIN if !bytes.is_empty() => [&*bytes].into_iter().collect(),
        container::PACKED => {
            packed::listpack(bytes.into_owned(), "Listpack integrity check failed.")?
        }
        _ => return Stop::bad("Quicklist integrity check failed."),
    };
    list.push_node(node, limits);
    Ok(())
}

/// A score in the format before version 8: its length, and its decimal text. Three special lengths
/// stand for NaN and the infinities.
fn read_decimal(cursor: &mut Cursor<'_>) -> Result<f64, Stop> {
    match cursor.byte()? {
        255 => Ok(f64::NEG_INFINITY),
        254 => Ok(f64::INFINITY),
        253 => Ok(f64::NAN),
        len => match parse_double(cursor.take(usize::from(len))?) {
            Some(score) => Ok(score),
            None => Stop::bad("Zset with a score that is no number"),
        },
    }
}
