//! AOF base files in AOF format: the commands that rebuild the data on an empty server.

use super::{stream, write_timestamp};
use crate::command::feed::write_words;
use crate::resp::number::format_double;
use crate::store::value::hash::Pairs;
use crate::store::value::set::Members;
use crate::store::{Entry, Keyed, StringRef, ValueRef, value};
use value::{HashRef, Item, ListRef, SetRef, StreamRef, ZSetRef};

/// The most elements that one command adds: Redis's `AOF_REWRITE_ITEMS_PER_CMD`.
const ITEMS: usize = 64;

/// Values that take more bytes than this are written in slices.
const SLICE_THRESHOLD: usize = 16 * 1024;

/// Writes entries as commands.
#[derive(Clone, Debug, Default)]
pub struct CommandWriter {
    out: Vec<u8>,
}

/// The writer of a large entry, in slices.
///
/// It holds a copy of the entry, so that the entry can change meanwhile.
#[derive(Clone, Debug)]
pub struct EntryCommands {
    entry: Entry,
    progress: Progress,
}

/// The progress of writing a value.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The number of elements that are written; for a stream, the number of commands.
    next: usize,
    /// Whether the command for the element at `next` has begun.
    begun: bool,
    /// Whether the first half of the element at `next` is written.
    half: bool,
    /// How much of a string that is written piece by piece is written.
    within: usize,
}

impl CommandWriter {
    /// A writer that begins with a timestamp annotation, in seconds since 1970, if one is given.
    pub fn new(timestamp: Option<u64>) -> Self {
        let mut out = Vec::new();
        if let Some(seconds) = timestamp {
            write_timestamp(&mut out, seconds);
        }
        CommandWriter { out }
    }

    /// Writes a function library: the command that loads its source.
    pub fn function(&mut self, source: &[u8]) {
        write_words(&mut self.out, [&b"FUNCTION"[..], b"LOAD", source]);
    }

    /// Selects the database of the entries that follow.
    pub fn select(&mut self, db: u64) {
        write_words(&mut self.out, [&b"SELECT"[..], itoa::Buffer::new().format(db).as_bytes()]);
    }

    /// Writes an entry. Of a large one only the beginning is written; the returned writer must
    /// write the rest in slices before anything else is written.
    #[must_use = "a large entry has to be written to its end"]
    pub fn entry(&mut self, entry: &Entry) -> Option<EntryCommands> {
        let mut progress = Progress::default();
        let done = progress.step(&mut self.out, entry, SLICE_THRESHOLD);
        (!done).then(|| EntryCommands { entry: entry.frozen(), progress })
    }

    /// The number of bytes in the buffer.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the buffer is empty.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Takes the bytes out of the buffer.
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.out)
    }
}

impl EntryCommands {
    /// Writes about `budget` more bytes. Returns whether the entry is complete.
    pub fn step(&mut self, writer: &mut CommandWriter, budget: usize) -> bool {
        self.progress.step(&mut writer.out, &self.entry, budget)
    }
}

impl Progress {
    fn step(&mut self, out: &mut Vec<u8>, entry: &Entry, budget: usize) -> bool {
        let until = out.len().saturating_add(budget.max(1));
        let key = entry.key();
        let done = match entry.value() {
            ValueRef::String(StringRef::Int(n)) => {
                write_words(out, [b"SET", key, itoa::Buffer::new().format(n).as_bytes()]);
                true
            }
            ValueRef::String(StringRef::Bytes(text)) => {
                self.begin(out, 3, b"SET", key);
                self.text(out, text, until)
            }
            ValueRef::List(list) => self.list(out, key, list, until),
            ValueRef::Set(set) => self.set(out, key, set, until),
            ValueRef::Hash(hash) => self.hash(out, key, hash, until),
            ValueRef::ZSet(zset) => self.zset(out, key, zset, until),
            ValueRef::Stream(stream) => self.stream(out, key, stream, until),
        };
        if done && let Some(at) = entry.expire() {
            let at = itoa::Buffer::new().format(at).to_owned();
            write_words(out, [b"PEXPIREAT", key, at.as_bytes()]);
        }
        done
    }

    /// Writes the beginning of a command with `words` words in all, unless that was done before.
    fn begin(&mut self, out: &mut Vec<u8>, words: usize, name: &[u8], key: &[u8]) {
        if core::mem::replace(&mut self.begun, true) {
            return;
        }
        out.push(b'*');
        out.extend_from_slice(itoa::Buffer::new().format(words).as_bytes());
        out.extend_from_slice(b"\r\n");
        bulk(out, name);
        bulk(out, key);
    }

    /// Writes the beginning of the command for the next elements, of `words` words each, if a new
    /// command is needed.
    fn begin_items(
        &mut self,
        out: &mut Vec<u8>,
        name: &[u8],
        key: &[u8],
        len: usize,
        words: usize,
    ) {
        if self.next.is_multiple_of(ITEMS) {
            let items = len.saturating_sub(self.next).min(ITEMS);
            self.begin(out, 2 + items * words, name, key);
        }
    }

    /// Records that an element is written. Returns whether there is room for another in this slice.
    fn item_done(&mut self, out: &[u8], until: usize) -> bool {
        self.next += 1;
        self.begun = false;
        self.half = false;
        out.len() < until
    }

    fn list(&mut self, out: &mut Vec<u8>, key: &[u8], list: ListRef<'_>, until: usize) -> bool {
        for item in list.iter_from(self.next) {
            self.begin_items(out, b"RPUSH", key, list.len(), 1);
            if !self.item(out, item, until) {
                return false;
            }
            if !self.item_done(out, until) {
                break;
            }
        }
        self.next >= list.len()
    }

    fn set(&mut self, out: &mut Vec<u8>, key: &[u8], set: SetRef<'_>, until: usize) -> bool {
        let (members, skip) = match set {
            SetRef::Table(table) => (Members::Table(table, self.next), 0),
            _ => (set.iter(), self.next),
        };
        for member in members.skip(skip) {
            self.begin_items(out, b"SADD", key, set.len(), 1);
            if !self.item(out, member, until) {
                return false;
            }
            if !self.item_done(out, until) {
                break;
            }
        }
        self.next >= set.len()
    }

    fn hash(&mut self, out: &mut Vec<u8>, key: &[u8], hash: HashRef<'_>, until: usize) -> bool {
        let (pairs, skip) = match hash {
            HashRef::Table(table) => (Pairs::Table(table, self.next), 0),
            HashRef::Pack(_) => (hash.iter(), self.next),
        };
        for (field, value) in pairs.skip(skip) {
            self.begin_items(out, b"HMSET", key, hash.len(), 2);
            if !self.half && !self.item(out, field, until) {
                return false;
            }
            self.half = true;
            if !self.item(out, value, until) {
                return false;
            }
            if !self.item_done(out, until) {
                break;
            }
        }
        self.next >= hash.len()
    }

    fn zset(&mut self, out: &mut Vec<u8>, key: &[u8], zset: ZSetRef<'_>, until: usize) -> bool {
        for (member, score) in zset.iter_from(self.next) {
            self.begin_items(out, b"ZADD", key, zset.len(), 2);
            if !core::mem::replace(&mut self.half, true) {
                bulk(out, &format_double(score));
            }
            if !self.item(out, member, until) {
                return false;
            }
            if !self.item_done(out, until) {
                break;
            }
        }
        self.next >= zset.len()
    }

    fn stream(
        &mut self,
        out: &mut Vec<u8>,
        key: &[u8],
        stream: StreamRef<'_>,
        until: usize,
    ) -> bool {
        self.next += stream::write(out, key, stream, self.next, until);
        self.next >= stream::commands(stream)
    }

    fn item(&mut self, out: &mut Vec<u8>, item: Item<'_>, until: usize) -> bool {
        match item {
            Item::Str(text) => self.text(out, text, until),
            Item::Int(n) => {
                bulk(out, itoa::Buffer::new().format(n).as_bytes());
                true
            }
        }
    }

    /// Writes a string, or a piece of it. Returns whether it is complete.
    fn text(&mut self, out: &mut Vec<u8>, text: &[u8], until: usize) -> bool {
        if text.len() <= SLICE_THRESHOLD {
            bulk(out, text);
            return true;
        }
        if self.within == 0 {
            head(out, text.len());
        }
        let room = until.saturating_sub(out.len()).max(1);
        let end = self.within.saturating_add(room).min(text.len());
        out.extend_from_slice(text.get(self.within..end).unwrap_or_default());
        self.within = end;
        if end < text.len() {
            return false;
        }
        self.within = 0;
        out.extend_from_slice(b"\r\n");
        true
    }
}

fn bulk(out: &mut Vec<u8>, text: &[u8]) {
    head(out, text.len());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn head(out: &mut Vec<u8>, len: usize) {
    out.push(b'$');
    out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
    out.extend_from_slice(b"\r\n");
}
