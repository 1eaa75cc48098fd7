//! Encodes one value, in slices if it is large.

use std::borrow::Cow;

use super::lzf::Pass;
use super::stream;
use super::string::put_int;
use super::writer::Writer;
use super::{container, kind};
use crate::store::value::hash::Pairs;
use crate::store::value::set::Members;
use crate::store::{Entry, Keyed, StringRef, ValueRef, value};
use value::{HashRef, Item, ListRef, SetRef, StreamRef, ZSetRef};

/// Values with more bytes or elements than this are written in slices.
const SLICE_THRESHOLD: usize = 16 * 1024;
/// Strings longer than this are written and compressed in slices.
const STRING_SLICE_THRESHOLD: usize = 128 * 1024;

/// The writer of a large entry, in slices.
///
/// It holds a copy of the entry, so that the entry can change meanwhile.
#[derive(Clone, Debug)]
pub struct EntryWriter {
    entry: Entry,
    progress: Progress,
}

impl EntryWriter {
    /// Writes a value without a key in one go, however large it is.
    pub(super) fn whole(writer: &mut Writer, value: ValueRef<'_>) {
        writer.raw(&[kind_of(value)]);
        if let ValueRef::String(StringRef::Int(n)) = value {
            return put_int(writer.out(), n);
        }
        let mut progress = Progress::new(value);
        while !progress.step(writer, value, usize::MAX) {}
    }

    /// Writes about `budget` more bytes. Returns whether the entry is complete.
    pub fn step(&mut self, writer: &mut Writer, budget: usize) -> bool {
        self.progress.step(writer, self.entry.value(), budget)
    }

    /// The copy of the entry, to be freed in slices.
    pub(super) fn into_entry(self) -> Entry {
        self.entry
    }
}

/// The progress of writing a value.
#[derive(Clone, Debug)]
struct Progress {
    /// For a list: the first element of the next node. For a stream: the first entry of the next
    /// node, and after the last entry the number of the next part. For other collections: the
    /// number of elements that are written.
    next: usize,
    /// Whether the first half of the element at `next` (the field of a pair) is written.
    half: bool,
    /// How much of a string that is written piece by piece is written.
    within: usize,
    /// The state of that string's compression.
    compression: Compression,
    /// The number of nodes of a list, which are counted before any is written.
    list_nodes: u64,
    phase: Phase,
}

/// The state of the compression of a long string.
#[derive(Clone, Debug)]
enum Compression {
    /// Not started.
    NotStarted,
    /// In progress.
    Running(Box<Pass>),
    /// Complete, and smaller than the string.
    Done(Box<Pass>),
    /// Not worthwhile, or disabled.
    Skipped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Counting,
    Writing,
    Done,
}

/// The type byte of a value.
pub(super) fn kind_of(value: ValueRef<'_>) -> u8 {
    match value {
        ValueRef::String(_) => kind::STRING,
        ValueRef::List(_) => kind::LIST_QUICKLIST_2,
        ValueRef::Set(SetRef::Ints(_)) => kind::SET_INTSET,
        // Also for a listpack: Redis 7.0 does not know sets that are listpacks.
        ValueRef::Set(_) => kind::SET,
        ValueRef::Hash(HashRef::Pack(_)) => kind::HASH_LISTPACK,
        ValueRef::Hash(HashRef::Table(_)) => kind::HASH,
        ValueRef::ZSet(ZSetRef::Pack(_)) => kind::ZSET_LISTPACK,
        ValueRef::ZSet(ZSetRef::Tree(_)) => kind::ZSET_2,
        // Redis 7.0 does not know the 7.2 format, which includes the last time that consumers were
        // active.
        ValueRef::Stream(_) => kind::STREAM_LISTPACKS_2,
    }
}

/// Writes the value of an entry if it is small; otherwise returns a writer for it.
pub(super) fn begin(writer: &mut Writer, entry: &Entry) -> Option<EntryWriter> {
    if let ValueRef::String(StringRef::Int(n)) = entry.value() {
        put_int(writer.out(), n);
        return None;
    }
    match single(entry.value()) {
        Some(text) if text.len() <= SLICE_THRESHOLD => {
            writer.string(&text);
            return None;
        }
        _ => {}
    }
    let mut progress = Progress::new(entry.value());
    let done = progress.step(writer, entry.value(), SLICE_THRESHOLD);
    (!done).then(|| EntryWriter { entry: entry.frozen(), progress })
}

/// The value as one string, if it is encoded as one.
fn single(value: ValueRef<'_>) -> Option<Cow<'_, [u8]>> {
    match value {
        ValueRef::String(StringRef::Bytes(text)) => Some(text.into()),
        ValueRef::Set(SetRef::Ints(ints)) => Some(ints.bytes().into()),
        ValueRef::Hash(HashRef::Pack(pack)) | ValueRef::ZSet(ZSetRef::Pack(pack)) => {
            Some(pack.to_bytes().into())
        }
        _ => None,
    }
}

impl Progress {
    fn new(value: ValueRef<'_>) -> Self {
        let phase = match value {
            ValueRef::List(_) => Phase::Counting,
            _ => Phase::Writing,
        };
        Self {
            next: 0,
            half: false,
            within: 0,
            compression: Compression::NotStarted,
            list_nodes: 0,
            phase,
        }
    }

    fn step(&mut self, writer: &mut Writer, value: ValueRef<'_>, budget: usize) -> bool {
        let until = writer.len().saturating_add(budget.max(1));
        if let (Phase::Counting, ValueRef::List(list)) = (self.phase, value) {
            self.count_nodes(list, budget);
        }
        if self.phase == Phase::Writing && self.write(value, writer, until) {
            self.phase = Phase::Done;
        }
        self.phase == Phase::Done
    }

    fn count_nodes(&mut self, list: ListRef<'_>, budget: usize) {
        for node in list.nodes_from(self.next).take(budget / 16 + 1) {
            self.list_nodes += 1;
            self.next += node.len();
        }
        if self.next >= list.len() {
            self.next = 0;
            self.phase = Phase::Writing;
        }
    }

    /// Writes until the buffer has `until` bytes. Returns whether the value is complete.
    fn write(&mut self, value: ValueRef<'_>, writer: &mut Writer, until: usize) -> bool {
        if let Some(text) = single(value) {
            return self.text(writer, &text, until);
        }
        if (self.next, self.half) == (0, false) && !self.in_string() {
            match value {
                ValueRef::List(_) => writer.len_field(self.list_nodes),
                ValueRef::Stream(stream) => stream::begin(writer, stream),
                _ => writer.len_field(value.elements() as u64),
            }
        }
        match value {
            ValueRef::List(list) => self.list(writer, list, until),
            ValueRef::Set(set) => self.set(writer, set, until),
            ValueRef::Hash(hash) => self.hash(writer, hash, until),
            ValueRef::ZSet(zset) => self.zset(writer, zset, until),
            ValueRef::Stream(stream) => self.stream(writer, stream, until),
            ValueRef::String(_) => true,
        }
    }

    fn list(&mut self, writer: &mut Writer, list: ListRef<'_>, until: usize) -> bool {
        for node in list.nodes_from(self.next) {
            let plain = match node.first().map(|at| node.get(at)) {
                Some(Item::Str(text)) if text.len() >= PLAIN => Some(text),
                _ => None,
            };
            if !self.in_string() {
                writer.len_field(match plain {
                    Some(_) => container::PLAIN,
                    None => container::PACKED,
                });
            }
            let text = plain.map_or_else(|| Cow::from(node.to_bytes()), Cow::from);
            if !self.text(writer, &text, until) {
                return false;
            }
            self.next += node.len();
            if writer.len() >= until {
                break;
            }
        }
        self.next >= list.len()
    }

    fn set(&mut self, writer: &mut Writer, set: SetRef<'_>, until: usize) -> bool {
        let members = match set {
            SetRef::Table(table) => Members::Table(table, self.next),
            _ => set.iter(),
        };
        let skip = if matches!(set, SetRef::Table(_)) { 0 } else { self.next };
        for member in members.skip(skip) {
            if !self.item(writer, member, until) {
                return false;
            }
            self.next += 1;
            if writer.len() >= until {
                break;
            }
        }
        self.next >= set.len()
    }

    fn hash(&mut self, writer: &mut Writer, hash: HashRef<'_>, until: usize) -> bool {
        let HashRef::Table(table) = hash else { return true };
        for (field, value) in Pairs::Table(table, self.next) {
            if !self.half && !self.item(writer, field, until) {
                return false;
            }
            self.half = true;
            if !self.item(writer, value, until) {
                return false;
            }
            self.half = false;
            self.next += 1;
            if writer.len() >= until {
                break;
            }
        }
        self.next >= hash.len()
    }

    /// Writes from the last member to the first, which is the order in which Redis loads them
    /// fastest.
    fn zset(&mut self, writer: &mut Writer, zset: ZSetRef<'_>, until: usize) -> bool {
        let Some(rank) = zset.len().checked_sub(self.next + 1) else { return true };
        for (member, score) in zset.iter_back_from(rank) {
            if !self.item(writer, member, until) {
                return false;
            }
            writer.raw(&score.to_bits().to_le_bytes());
            self.next += 1;
            if writer.len() >= until {
                break;
            }
        }
        self.next >= zset.len()
    }

    fn stream(&mut self, writer: &mut Writer, stream: StreamRef<'_>, until: usize) -> bool {
        let len = stream.len();
        if self.next < len {
            for node in stream.nodes_from(self.next) {
                if !self.in_string() {
                    writer.string(&node.id().to_bytes());
                }
                if !self.text(writer, &node.pack().to_bytes(), until) {
                    return false;
                }
                self.next += node.live();
                if writer.len() >= until {
                    return false;
                }
            }
        }
        let parts = stream::parts(stream);
        self.next += stream::write_parts(writer, stream, self.next - len, until);
        self.next >= len + parts
    }

    fn item(&mut self, writer: &mut Writer, item: Item<'_>, until: usize) -> bool {
        match item {
            Item::Str(text) => self.text(writer, text, until),
            Item::Int(n) => {
                put_int(writer.out(), n);
                true
            }
        }
    }

    /// Whether a string is partly written.
    fn in_string(&self) -> bool {
        self.within > 0 || !matches!(self.compression, Compression::NotStarted)
    }

    /// Writes a string, or a piece of it. Returns whether it is complete.
    fn text(&mut self, writer: &mut Writer, text: &[u8], until: usize) -> bool {
        if text.len() <= STRING_SLICE_THRESHOLD {
            writer.string(text);
            return true;
        }
        let room = until.saturating_sub(writer.len()).max(1);
        let before = core::mem::replace(&mut self.compression, Compression::NotStarted);
        let after = match before {
            Compression::NotStarted => {
                writer.begin_compression(text).map_or(Compression::Skipped, Compression::Running)
            }
            other => other,
        };
        self.compression = match after {
            Compression::Running(mut pass) => match writer.compress_step(&mut pass, text, room) {
                None => {
                    self.compression = Compression::Running(pass);
                    return false;
                }
                Some(true) => Compression::Done(pass),
                Some(false) => Compression::Skipped,
            },
            other => other,
        };
        let done = match core::mem::replace(&mut self.compression, Compression::Skipped) {
            Compression::Done(pass) => {
                if self.within == 0 {
                    writer.lzf_header(pass.compressed().len() as u64, text.len() as u64);
                }
                let done = self.piece(writer, pass.compressed(), until);
                self.compression = Compression::Done(pass);
                done
            }
            _ => {
                if self.within == 0 {
                    writer.len_field(text.len() as u64);
                }
                self.piece(writer, text, until)
            }
        };
        if done {
            self.compression = Compression::NotStarted;
        }
        done
    }

    /// Writes bytes unchanged, or some of them. Returns whether they are complete.
    fn piece(&mut self, writer: &mut Writer, text: &[u8], until: usize) -> bool {
        let room = until.saturating_sub(writer.len()).max(1);
        let end = self.within.saturating_add(room).min(text.len());
        writer.raw(text.get(self.within..end).unwrap_or_default());
        self.within = if end == text.len() { 0 } else { end };
        self.within == 0
    }
}

/// Elements of a list from this size on are stored outside of listpacks in Redis.
const PLAIN: usize = 1 << 30;
