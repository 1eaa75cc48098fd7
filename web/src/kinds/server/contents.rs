//! The contents of one key of a server as plain data: elements of any type; for a stream its
//! entries, groups, and the pending entries of each consumer.

use core::time::Duration;

use limpid_core::resp::number::format_double;
use limpid_core::store::value::stream::{Consumer, Delivery, Group, StreamId};
use limpid_core::store::value::{Item, Stream};
use limpid_core::store::{Entry, StringRef, ValueRef};

use crate::lab::Lab;
use crate::units::BodyId;

/// A key that was opened.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct KeyContents {
    /// Its type, as TYPE names it.
    pub kind: &'static str,
    /// Its encoding, as OBJECT ENCODING names it.
    pub encoding: &'static str,
    /// How many elements it has; bytes of a string.
    pub size: usize,
    /// Its remaining time to live, if it expires.
    pub expires_in: Option<Duration>,
    /// Its elements.
    pub elements: Elements,
}

/// The elements of a key, by its type.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Elements {
    /// A string.
    Text(String),
    /// The members of a set.
    Members(Vec<String>),
    /// Index and element of a list, field and value of a hash, member and score of a sorted set.
    Pairs(Vec<(String, String)>),
    /// A stream.
    Stream(StreamContents),
}

/// The contents of a stream.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct StreamContents {
    /// The ID of the last entry that was ever added.
    pub last_id: String,
    /// The newest entries, newest first.
    pub entries: Vec<StreamEntry>,
    /// Its consumer groups.
    pub groups: Vec<GroupContents>,
}

/// An entry of a stream.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct StreamEntry {
    /// Its ID.
    pub id: String,
    /// Its fields with their values.
    pub fields: Vec<(String, String)>,
}

/// A consumer group.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct GroupContents {
    /// Its name.
    pub name: String,
    /// The last ID that was delivered to one of its consumers.
    pub last_id: String,
    /// The lag: entries that were not delivered yet, if that is known.
    pub lag: Option<i64>,
    /// The number of pending entries: delivered and not acknowledged.
    pub pending: usize,
    /// Its consumers, each with its pending entries.
    pub consumers: Vec<ConsumerContents>,
}

/// A consumer of a group.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ConsumerContents {
    /// Its name.
    pub name: String,
    /// The time since its last request.
    pub idle: Duration,
    /// The number of its pending entries.
    pub pending: usize,
    /// These entries, oldest first.
    pub entries: Vec<PendingEntry>,
}

/// A pending entry: delivered to a consumer and not acknowledged.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct PendingEntry {
    /// Its ID.
    pub id: String,
    /// How long ago it was delivered last.
    pub idle: Duration,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// The most elements of one key, and entries of one consumer, that are shown; there may be a
/// million.
pub(crate) const MOST: usize = 100;
/// The most characters of a text that are shown.
const TEXT: usize = 400;

impl Lab {
    /// The contents of a server's key; `None` if the server does not run or there is no such key.
    pub(crate) fn key_contents(&self, body: BodyId, db: usize, key: &[u8]) -> Option<KeyContents> {
        let server = self.server(body)?;
        let now = self.world().host(self.units().get(body)?.host)?.wall.as_millis();
        let entry = server.keyspace().peek(db, key)?;
        let alive = entry.expire().is_none_or(|at| at > now);
        alive.then(|| contents(entry, now))
    }
}

fn contents(entry: &Entry, now: u64) -> KeyContents {
    let value = entry.value();
    let elements = match value {
        ValueRef::String(StringRef::Bytes(bytes)) => Elements::Text(text(bytes)),
        ValueRef::String(StringRef::Int(number)) => Elements::Text(number.to_string()),
        ValueRef::List(list) => {
            let rows = list.iter().take(MOST).enumerate();
            Elements::Pairs(rows.map(|(i, element)| (i.to_string(), item(element))).collect())
        }
        ValueRef::Set(set) => Elements::Members(set.iter().take(MOST).map(item).collect()),
        ValueRef::Hash(hash) => {
            let rows = hash.iter().take(MOST);
            Elements::Pairs(rows.map(|(field, value)| (item(field), item(value))).collect())
        }
        ValueRef::ZSet(zset) => {
            let rows = zset.iter_from(0).take(MOST);
            let row = |(member, score)| (item(member), text(&format_double(score)));
            Elements::Pairs(rows.map(row).collect())
        }
        ValueRef::Stream(stream) => Elements::Stream(stream_contents(stream, now)),
    };
    KeyContents {
        kind: value.kind().name(),
        encoding: entry.encoding().name(),
        size: super::read::size(value),
        expires_in: entry.expire().map(|at| Duration::from_millis(at.saturating_sub(now))),
        elements,
    }
}

fn stream_contents(stream: &Stream, now: u64) -> StreamContents {
    let newest = stream.len().checked_sub(1);
    let entries = newest.into_iter().flat_map(|last| stream.iter_back_from(last)).take(MOST);
    StreamContents {
        last_id: stream.counters().last_id.to_string(),
        entries: entries
            .map(|entry| StreamEntry {
                id: entry.id.to_string(),
                fields: entry.fields().map(|(field, value)| (item(field), item(value))).collect(),
            })
            .collect(),
        groups: stream.groups().map(|group| group_contents(stream, group, now)).collect(),
    }
}

fn group_contents(stream: &Stream, group: &Group, now: u64) -> GroupContents {
    GroupContents {
        name: text(group.name()),
        last_id: group.last_id().to_string(),
        lag: stream.lag(group),
        pending: group.pending_count(),
        consumers: group.consumers().map(|each| consumer_contents(group, each, now)).collect(),
    }
}

fn consumer_contents(group: &Group, consumer: &Consumer, now: u64) -> ConsumerContents {
    let pending = consumer.pending_from(StreamId::MIN).take(MOST);
    let row = |delivery: &Delivery| PendingEntry {
        id: delivery.id.to_string(),
        idle: since(delivery.time, now),
        deliveries: delivery.count,
    };
    ConsumerContents {
        name: text(consumer.name()),
        idle: since(consumer.seen, now),
        pending: consumer.pending_count(),
        entries: pending.filter_map(|id| group.delivery(id)).map(row).collect(),
    }
}

/// The time that has passed since a moment in milliseconds since 1970.
fn since(then: i64, now: u64) -> Duration {
    Duration::from_millis(now.saturating_sub(u64::try_from(then).unwrap_or_default()))
}

fn item(item: Item<'_>) -> String {
    text(&item.to_vec())
}

fn text(bytes: &[u8]) -> String {
    super::read::shortened(bytes, TEXT)
}
