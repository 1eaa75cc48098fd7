//! The commands that rebuild a stream: an XADD per entry, an XSETID, and for each group an XGROUP
//! CREATE, an XGROUP CREATECONSUMER per consumer, and an XCLAIM per pending entry.

use crate::command::feed::write_words;
use crate::store::value::stream::{Delivery, Entry, Group, Stream, StreamId};

/// The number of commands.
pub(super) fn commands(stream: &Stream) -> usize {
    stream.len() + 1 + stream.groups().map(of_group).sum::<usize>()
}

fn of_group(group: &Group) -> usize {
    1 + group.consumer_count() + group.pending_count()
}

/// Writes commands from number `from` on, until the buffer has `until` bytes. Returns how many were
/// written, at least one if any is left.
pub(super) fn write(
    out: &mut Vec<u8>,
    key: &[u8],
    stream: &Stream,
    from: usize,
    until: usize,
) -> usize {
    let mut written = 0;
    if from < stream.len() {
        for entry in stream.iter_from(from) {
            write_entry(out, key, &entry);
            written += 1;
            if out.len() >= until {
                return written;
            }
        }
    }
    let mut skip = (from + written).saturating_sub(stream.len());
    match skip.checked_sub(1) {
        Some(less) => skip = less,
        None => {
            write_counters(out, key, stream);
            written += 1;
        }
    }
    for group in stream.groups() {
        if skip >= of_group(group) {
            skip -= of_group(group);
            continue;
        }
        match skip.checked_sub(1) {
            Some(less) => skip = less,
            None => {
                write_group(out, key, group);
                written += 1;
            }
        }
        for consumer in group.consumers().skip(skip) {
            write_words(
                out,
                [b"XGROUP", &b"CREATECONSUMER"[..], key, group.name(), consumer.name()],
            );
            written += 1;
            if out.len() >= until {
                return written;
            }
        }
        for delivery in group.pending_from_rank(skip.saturating_sub(group.consumer_count())) {
            write_delivery(out, key, group, delivery);
            written += 1;
            if out.len() >= until {
                return written;
            }
        }
        skip = 0;
        if out.len() >= until {
            break;
        }
    }
    written
}

fn write_entry(out: &mut Vec<u8>, key: &[u8], entry: &Entry<'_>) {
    let mut words = vec![b"XADD".to_vec(), key.to_vec(), text(entry.id)];
    for (field, value) in entry.fields() {
        words.extend([field.to_vec(), value.to_vec()]);
    }
    write_words(out, words.iter().map(Vec::as_slice));
}

fn write_counters(out: &mut Vec<u8>, key: &[u8], stream: &Stream) {
    let counters = stream.counters();
    if stream.is_empty() {
        // The stream exists after an entry was added and removed. 0-0 is not a valid ID.
        let id = text(counters.last_id.max(StreamId::new(0, 1)));
        write_words(out, [b"XADD", key, b"MAXLEN", b"0", &id, b"x", b"y"]);
    }
    let (last, deleted) = (text(counters.last_id), text(counters.max_deleted_id));
    let added = counters.entries_added.to_string();
    write_words(
        out,
        [b"XSETID", key, &last, b"ENTRIESADDED", added.as_bytes(), b"MAXDELETEDID", &deleted],
    );
}

fn write_group(out: &mut Vec<u8>, key: &[u8], group: &Group) {
    let last = text(group.last_id());
    let read = group.entries_read().map_or("-1".to_owned(), |read| read.to_string());
    write_words(
        out,
        [b"XGROUP", b"CREATE", key, group.name(), &last, b"ENTRIESREAD", read.as_bytes()],
    );
}

fn write_delivery(out: &mut Vec<u8>, key: &[u8], group: &Group, delivery: &Delivery) {
    let Some(consumer) = group.consumer_of(delivery) else { return };
    let (id, time, count) =
        (text(delivery.id), delivery.time.to_string(), delivery.count.to_string());
    let words: [&[u8]; 12] = [
        b"XCLAIM",
        key,
        group.name(),
        consumer.name(),
        b"0",
        &id,
        b"TIME",
        time.as_bytes(),
        b"RETRYCOUNT",
        count.as_bytes(),
        b"JUSTID",
        b"FORCE",
    ];
    write_words(out, words);
}

fn text(id: StreamId) -> Vec<u8> {
    id.to_string().into_bytes()
}
