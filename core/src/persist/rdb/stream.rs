//! Streams: decoding the formats of Redis 5, 7.0 and 7.2, and encoding that of 7.0.

use super::cursor::{Cursor, Stop};
use super::kind;
use super::writer::Writer;
use crate::store::value::listpack::Listpack;
use crate::store::value::stream::{Counters, Group, Node, Stream, StreamId};

/// The decoder of a stream.
#[derive(Clone, Debug)]
pub(super) struct StreamReader {
    form: u8,
    part: Part,
    stream: Stream,
    last_node: Option<StreamId>,
    /// The number of groups still to come, including the current one.
    groups_left: u64,
    group: Option<Group>,
    /// The number of consumers of the group still to come.
    consumers_left: u64,
    consumer: Box<[u8]>,
    /// The number of pending entries that have a consumer.
    owned: u64,
}

/// The next part to decode, and how many of it are left.
#[derive(Clone, Copy, Debug)]
enum Part {
    Count,
    Nodes(u64),
    Counters,
    Group,
    Pending(u64),
    Consumers,
    Consumer,
    Owned(u64),
}

impl StreamReader {
    pub(super) fn new(form: u8) -> Self {
        Self {
            form,
            part: Part::Count,
            stream: Stream::new(),
            last_node: None,
            groups_left: 0,
            group: None,
            consumers_left: 0,
            consumer: Box::default(),
            owned: 0,
        }
    }

    /// Continues to decode. Returns the stream when it is complete.
    pub(super) fn step(&mut self, cursor: &mut Cursor<'_>) -> Result<Stream, Stop> {
        loop {
            let next = self.part(cursor)?;
            cursor.commit();
            match next {
                Some(part) => self.part = part,
                None => return Ok(core::mem::take(&mut self.stream)),
            }
        }
    }

    /// Decodes one part and returns the next. It changes nothing unless all bytes of the part have
    /// arrived.
    fn part(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<Part>, Stop> {
        Ok(Some(match self.part {
            Part::Count => Part::Nodes(cursor.len()?),
            Part::Nodes(0) => Part::Counters,
            Part::Nodes(left) => {
                self.node(cursor)?;
                Part::Nodes(left - 1)
            }
            Part::Counters => {
                self.counters(cursor)?;
                return Ok((self.groups_left > 0).then_some(Part::Group));
            }
            Part::Group => Part::Pending(self.group(cursor)?),
            Part::Pending(0) => Part::Consumers,
            Part::Pending(left) => {
                let (id, time, count) = (cursor.array()?, cursor.array()?, cursor.len()?);
                let (id, time) = (StreamId::from_bytes(id), i64::from_le_bytes(time));
                let group = self.group.as_mut();
                if !group.is_some_and(|group| group.restore_delivery(id, time, count)) {
                    return Stop::bad("Duplicated global PEL entry loading stream consumer group");
                }
                Part::Pending(left - 1)
            }
            Part::Consumers => {
                self.consumers_left = cursor.len()?;
                Part::Consumer
            }
            Part::Consumer if self.consumers_left > 0 => Part::Owned(self.consumer(cursor)?),
            Part::Consumer => {
                self.group_is_complete()?;
                return Ok((self.groups_left > 0).then_some(Part::Group));
            }
            Part::Owned(0) => Part::Consumer,
            Part::Owned(left) => {
                let id = StreamId::from_bytes(cursor.array()?);
                let Some(group) = &mut self.group else { return Ok(None) };
                if group.delivery(id).is_none() {
                    return Stop::bad("Consumer entry not found in group global PEL");
                }
                if !group.restore_owner(id, &self.consumer) {
                    return Stop::bad(
                        "Duplicated consumer PEL entry loading a stream consumer group",
                    );
                }
                self.owned += 1;
                Part::Owned(left - 1)
            }
        }))
    }

    /// Decodes a listpack of entries, with its master ID.
    fn node(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let (id, entries) = (cursor.text()?, cursor.text()?);
        let Ok(id) = <[u8; 16]>::try_from(&*id.bytes()?) else {
            return Stop::bad("Stream node key entry is not the size of a stream ID");
        };
        let id = StreamId::from_bytes(id);
        let pack = Listpack::from_bytes(entries.bytes()?.into_owned());
        let Some(node) = pack.ok().and_then(|pack| Node::from_pack(id, pack).ok()) else {
            return Stop::bad("Stream listpack integrity check failed.");
        };
        if self.last_node.is_some_and(|last| last >= id) {
            return Stop::bad("Listpack re-added with existing key");
        }
        self.last_node = Some(id);
        self.stream.push_node(node);
        Ok(())
    }

    /// Decodes the stream's metadata, and the number of groups.
    fn counters(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let len = cursor.len()?;
        let mut counters = Counters { last_id: read_id(cursor)?, ..Counters::default() };
        if self.form == kind::STREAM_LISTPACKS {
            // Before version 7 only the last ID was saved.
            let first = self.stream.iter_from(0).next();
            counters.first_id = first.map_or(StreamId::MIN, |entry| entry.id);
            counters.entries_added = len;
        } else {
            counters.first_id = read_id(cursor)?;
            counters.max_deleted_id = read_id(cursor)?;
            counters.entries_added = cursor.len()?;
        }
        let groups = cursor.len()?;
        if len != self.stream.len() as u64 {
            return Stop::bad("Stream length inconsistent with rax entries");
        }
        self.stream.set_counters(counters);
        self.groups_left = groups;
        Ok(())
    }

    /// Decodes a group without its entries and consumers; returns the number of its pending
    /// entries.
    fn group(&mut self, cursor: &mut Cursor<'_>) -> Result<u64, Stop> {
        let name = cursor.text()?.bytes()?;
        let last_id = read_id(cursor)?;
        let entries_read = match self.form {
            kind::STREAM_LISTPACKS => self.stream.entries_up_to(last_id),
            _ => Some(cursor.len()?).filter(|read| *read != UNKNOWN),
        };
        let pending = cursor.len()?;
        if self.stream.group(&name).is_some() {
            let name = String::from_utf8_lossy(&name);
            return Stop::bad(format!("Duplicated consumer group name {name}"));
        }
        self.group = Some(Group::new(&name, last_id, entries_read));
        self.owned = 0;
        Ok(pending)
    }

    /// Decodes a consumer; returns the number of its pending entries.
    fn consumer(&mut self, cursor: &mut Cursor<'_>) -> Result<u64, Stop> {
        let name = cursor.text()?.bytes()?;
        let seen = i64::from_le_bytes(cursor.array()?);
        let active = match self.form {
            // -1 if it was never active.
            kind::STREAM_LISTPACKS_3 => {
                Some(i64::from_le_bytes(cursor.array()?)).filter(|active| *active != -1)
            }
            _ => Some(seen),
        };
        let owned = cursor.len()?;
        let Some(group) = &mut self.group else { return Ok(0) };
        if !group.add_consumer(&name, seen) {
            return Stop::bad("Duplicate stream consumer detected.");
        }
        group.change_consumer(&name, |consumer| consumer.active = active);
        self.consumer = name.into();
        self.consumers_left -= 1;
        Ok(owned)
    }

    fn group_is_complete(&mut self) -> Result<(), Stop> {
        let Some(group) = self.group.take() else { return Ok(()) };
        if self.owned < group.pending_count() as u64 {
            return Stop::bad("Stream CG PEL entry without consumer");
        }
        self.stream.add_group(group);
        self.groups_left -= 1;
        Ok(())
    }
}

/// The `entries_read` of a group for which it is unknown.
const UNKNOWN: u64 = u64::MAX;

fn read_id(cursor: &mut Cursor<'_>) -> Result<StreamId, Stop> {
    Ok(StreamId { ms: cursor.len()?, seq: cursor.len()? })
}

/// Writes what precedes the first node.
pub(super) fn begin(writer: &mut Writer, stream: &Stream) {
    writer.len_field(stream.node_count() as u64);
}

/// The number of parts after the nodes: the metadata, and the parts of the groups.
pub(super) fn parts(stream: &Stream) -> usize {
    1 + stream.groups().map(group_parts).sum::<usize>()
}

fn group_parts(group: &Group) -> usize {
    // The group, its pending entries, the number of consumers, the consumers, and the IDs of their
    // pending entries.
    2 + 2 * group.pending_count() + group.consumer_count()
}

/// Writes parts after the nodes, from number `from` on, until the buffer has `until` bytes. Returns
/// how many were written, at least one if any is left.
pub(super) fn write_parts(
    writer: &mut Writer,
    stream: &Stream,
    from: usize,
    until: usize,
) -> usize {
    let mut slice = Slice { writer, skip: from, until, written: 0 };
    slice.part(|writer| write_counters(writer, stream));
    for group in stream.groups() {
        if slice.pass(group_parts(group)) {
            continue;
        }
        slice.part(|writer| write_group(writer, group));
        for delivery in group.pending_from_rank(slice.pass_some(group.pending_count())) {
            if slice.is_full() {
                return slice.written;
            }
            slice.part(|writer| {
                writer.raw(&delivery.id.to_bytes());
                writer.raw(&delivery.time.to_le_bytes());
                writer.len_field(delivery.count);
            });
        }
        slice.part(|writer| writer.len_field(group.consumer_count() as u64));
        for consumer in group.consumers() {
            if slice.pass(1 + consumer.pending_count()) {
                continue;
            }
            slice.part(|writer| {
                writer.string(consumer.name());
                writer.raw(&consumer.seen.to_le_bytes());
                writer.len_field(consumer.pending_count() as u64);
            });
            for id in consumer.pending_from_rank(slice.pass_some(consumer.pending_count())) {
                if slice.is_full() {
                    return slice.written;
                }
                slice.part(|writer| writer.raw(&id.to_bytes()));
            }
        }
        if slice.is_full() {
            break;
        }
    }
    slice.written
}

/// A slice of parts, after those that were written before.
struct Slice<'a> {
    writer: &'a mut Writer,
    /// The number of parts still to be skipped.
    skip: usize,
    until: usize,
    written: usize,
}

impl Slice<'_> {
    fn is_full(&self) -> bool {
        self.written > 0 && self.writer.len() >= self.until
    }

    fn part(&mut self, write: impl FnOnce(&mut Writer)) {
        if self.skip > 0 {
            self.skip -= 1;
        } else if !self.is_full() {
            write(self.writer);
            self.written += 1;
        }
    }

    /// Skips this many parts, if all of them were written before.
    fn pass(&mut self, parts: usize) -> bool {
        let all = self.skip >= parts;
        if all {
            self.skip -= parts;
        }
        all
    }

    /// Skips as many of these parts as were written before, and returns how many.
    fn pass_some(&mut self, parts: usize) -> usize {
        let passed = self.skip.min(parts);
        self.skip -= passed;
        passed
    }
}

fn write_counters(writer: &mut Writer, stream: &Stream) {
    let counters = stream.counters();
    writer.len_field(stream.len() as u64);
    write_id(writer, counters.last_id);
    write_id(writer, counters.first_id);
    write_id(writer, counters.max_deleted_id);
    writer.len_field(counters.entries_added);
    writer.len_field(stream.groups().len() as u64);
}

fn write_group(writer: &mut Writer, group: &Group) {
    writer.string(group.name());
    write_id(writer, group.last_id());
    writer.len_field(group.entries_read().unwrap_or(UNKNOWN));
    writer.len_field(group.pending_count() as u64);
}

fn write_id(writer: &mut Writer, id: StreamId) {
    writer.len_field(id.ms);
    writer.len_field(id.seq);
}
