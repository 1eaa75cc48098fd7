//! Promises: what a server that has an acknowledged write must show.
//!
//! A terminal records its writes as promises, so that an observer of a World can check on any
//! server, at any time, whether the server has them. Only writes whose effect follows from their
//! reply are recorded: those on strings, hashes, sets, sorted sets and the ends of lists that set,
//! add, count or delete. A key that expires promises nothing.

use std::collections::VecDeque;

use crate::client::Target;
use crate::client::session::Answer;
use crate::command::meta::flag;
use crate::resp::value::Value;
use crate::server::{Server, table};
use crate::store::{Entry, ValueRef};
use crate::time::Mono;

/// What a key must contain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Promise {
    /// A string with this value.
    Value(Vec<u8>),
    /// A hash with this field and value.
    Field(Vec<u8>, Vec<u8>),
    /// A set or sorted set with this member.
    Member(Vec<u8>),
    /// A string or list of at least this length.
    Length(u64),
    /// No value.
    Absent,
}

/// An acknowledged write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// When the acknowledgement arrived.
    pub at: Mono,
    /// Its sequence number among the writes of its terminal.
    pub number: u64,
    /// The server's name or address, and its port.
    pub server: (String, u16),
    /// The database.
    pub db: usize,
    /// The key.
    pub key: Vec<u8>,
    /// The command, shortened.
    pub line: String,
    /// What it promises.
    pub promise: Promise,
    /// Whether a later write of the same terminal replaced it.
    pub replaced: bool,
}

/// The acknowledged writes of one terminal.
#[derive(Clone, Default, Debug)]
pub struct Writes {
    /// Number of acknowledged writes.
    pub count: u64,
    /// The latest writes, oldest first.
    pub list: VecDeque<Write>,
    /// The commands of a transaction that has not been executed yet.
    queued: Vec<Vec<Vec<u8>>>,
}

/// Whether a server keeps a promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// The server has the write.
    Yes,
    /// The server does not have it, or has an older value.
    No,
    /// Another client has overwritten it since.
    Overwritten,
}

impl Writes {
    /// The maximum number of recorded writes.
    const MOST: usize = 256;
    /// The maximum length of a recorded command, in characters.
    const LINE: usize = 60;

    /// Records a command if its reply shows that it wrote something.
    pub(super) fn answered(&mut self, now: Mono, answer: Answer) {
        let Target::Tcp(host, port) = answer.target else { return };
        let place = (host, port, usize::try_from(answer.db).unwrap_or_default());
        let Some(name) = answer.args.first().map(|name| name.to_ascii_uppercase()) else { return };
        let reply = answer.reply.plain();
        match (name.as_slice(), reply) {
            (b"MULTI" | b"DISCARD", _) => self.queued.clear(),
            (_, Value::Simple(text)) if text == b"QUEUED" => self.queued.push(answer.args),
            (b"EXEC", Value::Array(replies)) => {
                for (args, reply) in core::mem::take(&mut self.queued).iter().zip(replies) {
                    self.written(now, &place, args, reply.plain());
                }
            }
            (b"EXEC", _) => self.queued.clear(),
            _ => self.written(now, &place, &answer.args, reply),
        }
    }

    fn written(
        &mut self,
        now: Mono,
        place: &(String, u16, usize),
        args: &[Vec<u8>],
        reply: &Value,
    ) {
        let effect = effect(args, reply);
        if !matches!(effect, Effect::None) {
            self.count += 1;
        }
        let words: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
        let mut line: String = words.join(" ");
        if let Some((cut, _)) = line.char_indices().nth(Self::LINE) {
            line.truncate(cut);
            line.push('…');
        }
        let (host, port, db) = place;
        match effect {
            Effect::None => {}
            Effect::Everything => self.list.clear(),
            Effect::Unclear => {
                for write in self.list.iter_mut().filter(|write| write.db == *db) {
                    write.replaced |= args.iter().skip(1).any(|arg| *arg == write.key);
                }
            }
            Effect::Promises(promises) => {
                for (key, promise) in promises {
                    for write in &mut self.list {
                        write.replaced |=
                            write.db == *db && write.key == key && promise.replaces(&write.promise);
                    }
                    if self.list.len() == Self::MOST {
                        self.list.pop_front();
                    }
                    self.list.push_back(Write {
                        at: now,
                        number: self.count,
                        server: (host.clone(), *port),
                        db: *db,
                        key,
                        line: line.clone(),
                        promise,
                        replaced: false,
                    });
                }
            }
        }
    }

    /// Whether a server has a write of this list.
    pub fn kept(&self, server: &Server, write: &Write) -> Kept {
        let entry = server.keyspace().peek(write.db, &write.key);
        if write.promise.is_kept(entry) {
            return Kept::Yes;
        }
        let there = match write.promise {
            Promise::Value(_) => entry.is_some(),
            Promise::Field(..) => write.promise.found(entry),
            Promise::Member(_) | Promise::Length(_) | Promise::Absent => false,
        };
        // On any server, the effect of an earlier write of the same terminal counts as older.
        let earlier = self.list.iter().filter(|w| w.replaced && w.db == write.db);
        let is_older = there
            && earlier.filter(|w| w.key == write.key).any(|earlier| earlier.promise.is_kept(entry));
        if there && !is_older { Kept::Overwritten } else { Kept::No }
    }
}

/// The effect of a command, as far as its reply shows it.
enum Effect {
    /// No write.
    None,
    /// All keys were deleted.
    Everything,
    /// A write whose effect is not known.
    Unclear,
    /// The keys with their new contents.
    Promises(Vec<(Vec<u8>, Promise)>),
}

fn effect(args: &[Vec<u8>], reply: &Value) -> Effect {
    let is_write = |name: &[u8]| {
        let command = core::str::from_utf8(name).ok().and_then(table::by_name);
        command.is_some_and(|command| command.meta.has(flag::WRITE))
    };
    let [name, rest @ ..] = args else { return Effect::None };
    if reply.is_error() || !is_write(name) {
        return Effect::None;
    }
    let name = name.to_ascii_uppercase();
    let all = |keys: &[Vec<u8>], promise: Promise| {
        Effect::Promises(keys.iter().map(|key| (key.clone(), promise.clone())).collect())
    };
    let one = |key: &[u8], promise: Promise| Effect::Promises(vec![(key.to_vec(), promise)]);
    let done = !matches!(reply, Value::Integer(0) | Value::Null);
    match (name.as_slice(), rest, reply) {
        (b"FLUSHALL" | b"FLUSHDB", ..) => Effect::Everything,
        (b"SETNX" | b"MSETNX" | b"HSETNX" | b"GETDEL", ..) if !done => Effect::None,
        (b"SET", [_, _], Value::Null) => Effect::None,
        (b"SET", [key, value], _) | (b"SETNX", [key, value], _) | (b"GETSET", [key, value], _) => {
            one(key, Promise::Value(value.clone()))
        }
        (b"MSET" | b"MSETNX", pairs, _) => Effect::Promises(
            pairs
                .chunks_exact(2)
                .map(|pair| (pair[0].clone(), Promise::Value(pair[1].clone())))
                .collect(),
        ),
        (b"INCR" | b"DECR" | b"INCRBY" | b"DECRBY", [key, ..], Value::Integer(n)) => {
            one(key, Promise::Value(n.to_string().into_bytes()))
        }
        (b"INCRBYFLOAT", [key, ..], Value::Bulk(text)) => one(key, Promise::Value(text.clone())),
        (b"APPEND" | b"LPUSH" | b"RPUSH", [key, ..], Value::Integer(n)) => {
            one(key, Promise::Length(u64::try_from(*n).unwrap_or_default()))
        }
        (b"HSET" | b"HMSET" | b"HSETNX", [key, pairs @ ..], _) => Effect::Promises(
            pairs
                .chunks_exact(2)
                .map(|pair| (key.clone(), Promise::Field(pair[0].clone(), pair[1].clone())))
                .collect(),
        ),
        (b"HINCRBY", [key, field, _], Value::Integer(n)) => {
            one(key, Promise::Field(field.clone(), n.to_string().into_bytes()))
        }
        (b"SADD", [key, members @ ..], _) => {
            let members = members.iter().map(|m| (key.clone(), Promise::Member(m.clone())));
            Effect::Promises(members.collect())
        }
        (b"ZADD", [key, pairs @ ..], _) if pairs.len() % 2 == 0 && is_number(&pairs[0]) => {
            let members = pairs.chunks_exact(2).map(|pair| Promise::Member(pair[1].clone()));
            Effect::Promises(members.map(|promise| (key.clone(), promise)).collect())
        }
        (b"DEL" | b"UNLINK" | b"GETDEL", keys, _) => all(keys, Promise::Absent),
        _ => Effect::Unclear,
    }
}

fn is_number(text: &[u8]) -> bool {
    core::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok())
}

impl Promise {
    /// Whether this promise, made later for the same key, replaces another.
    fn replaces(&self, other: &Promise) -> bool {
        match (self, other) {
            (Promise::Field(a, _), Promise::Field(b, _)) => a == b,
            (Promise::Member(a), Promise::Member(b)) => a == b,
            (Promise::Field(..), _) | (Promise::Member(_), _) => matches!(other, Promise::Absent),
            _ => true,
        }
    }

    fn is_kept(&self, entry: Option<&Entry>) -> bool {
        let Some(entry) = entry else { return *self == Promise::Absent };
        let mut digits = itoa::Buffer::new();
        match (self, entry.value()) {
            (Promise::Value(wanted), ValueRef::String(value)) => {
                value.bytes(&mut digits) == wanted.as_slice()
            }
            (Promise::Field(field, wanted), ValueRef::Hash(hash)) => {
                hash.get(field).is_some_and(|value| value.to_vec() == *wanted)
            }
            (Promise::Member(member), ValueRef::Set(set)) => set.contains(member),
            (Promise::Member(member), ValueRef::ZSet(zset)) => zset.score(member).is_some(),
            (Promise::Length(least), ValueRef::String(value)) => value.len() as u64 >= *least,
            (Promise::Length(least), ValueRef::List(list)) => list.len() as u64 >= *least,
            _ => false,
        }
    }

    /// Whether the key contains anything that the promise could be about.
    fn found(&self, entry: Option<&Entry>) -> bool {
        match (self, entry.map(Entry::value)) {
            (Promise::Field(field, _), Some(ValueRef::Hash(hash))) => hash.get(field).is_some(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::quote::split_args;

    fn writes(lines: &[(&str, Value)]) -> Writes {
        let mut writes = Writes::default();
        for (line, reply) in lines {
            let answer = Answer {
                args: split_args(line.as_bytes()).unwrap(),
                db: 0,
                target: Target::Tcp("redis-1".into(), 6379),
                reply: reply.clone(),
            };
            writes.answered(Mono::ZERO, answer);
        }
        writes
    }

    fn ok() -> Value {
        Value::Simple(b"OK".to_vec())
    }

    fn standing(writes: &Writes) -> Vec<(String, Promise)> {
        let current = writes.list.iter().filter(|write| !write.replaced);
        current.map(|w| (String::from_utf8_lossy(&w.key).into(), w.promise.clone())).collect()
    }

    fn value(text: &str) -> Promise {
        Promise::Value(text.into())
    }

    #[test]
    fn promises_follow_from_replies() {
        let writes = writes(&[
            ("GET a", Value::Null),
            ("SET a 1", ok()),
            ("SET refused 1", Value::Error(b"READONLY".to_vec())),
            ("SETNX a 2", Value::Integer(0)),
            ("incr a", Value::Integer(2)),
            ("mset b 1 c 2", ok()),
            ("HSET h f v g w", Value::Integer(2)),
            ("HSET h f x", Value::Integer(0)),
            ("ZADD z 1 m", Value::Integer(1)),
            ("RPUSH l a b", Value::Integer(2)),
            ("DEL c", Value::Integer(1)),
            ("EXPIRE b 10", Value::Integer(1)),
        ]);
        assert_eq!(writes.count, 9);
        let field = |f: &str, v: &str| Promise::Field(f.into(), v.into());
        assert_eq!(
            standing(&writes),
            [
                ("a".into(), value("2")),
                ("h".into(), field("g", "w")),
                ("h".into(), field("f", "x")),
                ("z".into(), Promise::Member(b"m".to_vec())),
                ("l".into(), Promise::Length(2)),
                ("c".into(), Promise::Absent),
            ]
        );
    }

    #[test]
    fn a_transaction_writes_when_it_is_executed() {
        let queued = || Value::Simple(b"QUEUED".to_vec());
        let lines = [("MULTI", ok()), ("SET a 1", queued()), ("SET b 2", queued())];
        assert!(standing(&writes(&lines)).is_empty());
        let mut whole = lines.to_vec();
        whole.push(("EXEC", Value::Array(vec![ok(), ok()])));
        let both = [("a".into(), value("1")), ("b".into(), value("2"))];
        assert_eq!(standing(&writes(&whole)), both);
        let mut left = lines.to_vec();
        left.push(("EXEC", Value::Null));
        assert!(standing(&writes(&left)).is_empty());
    }

    #[test]
    fn a_flush_removes_all_promises() {
        assert!(writes(&[("SET a 1", ok()), ("FLUSHALL", ok())]).list.is_empty());
    }
}
