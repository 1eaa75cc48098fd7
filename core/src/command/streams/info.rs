//! XINFO: information about streams, groups and consumers.

use super::groups::no_group;
use super::{write_entry, write_id};
use crate::command::{CommandError, Ctx};
use crate::resp::number::parse_i64;
use crate::resp::reply::Reply;
use crate::store::value::stream::{Consumer, Group};
use crate::store::value::{Stream, StreamId};

/// How many entries, and pending entries of each group and consumer, FULL shows by default.
const SHOWN: usize = 10;

pub(super) fn stream(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let args = ctx.args;
    let mut db = ctx.keyspace.db(ctx.db);
    let stream = db.view::<Stream>(db.key(args.at(2)))?.ok_or(CommandError::NoSuchKey)?;
    let options = args.from(3);
    let syntax = || CommandError::subcommand_syntax("XINFO", args.at(1));
    let count = match options.len() {
        0 => None,
        1 | 3 if options.at(0).eq_ignore_ascii_case(b"full") => match options.get(1) {
            None => Some(SHOWN),
            Some(word) if word.eq_ignore_ascii_case(b"count") => {
                let count = parse_i64(options.at(2)).ok_or(CommandError::NotAnInteger)?;
                // COUNT 0 shows all.
                Some(usize::try_from(count).unwrap_or(SHOWN))
            }
            Some(_) => return Err(syntax()),
        },
        _ => return Err(syntax()),
    };
    let reply = &mut ctx.reply;
    reply.map(if count.is_some() { 9 } else { 10 });
    let counters = stream.counters();
    number(reply, "length", stream.len() as i64);
    number(reply, "radix-tree-keys", stream.node_count() as i64);
    number(reply, "radix-tree-nodes", tree_nodes(stream) as i64);
    id(reply, "last-generated-id", counters.last_id);
    id(reply, "max-deleted-entry-id", counters.max_deleted_id);
    number(reply, "entries-added", counters.entries_added as i64);
    id(reply, "recorded-first-entry-id", counters.first_id);
    match count {
        None => summary(reply, stream),
        Some(count) => full(reply, stream, if count == 0 { usize::MAX } else { count }),
    }
    Ok(())
}

fn summary(reply: &mut Reply<'_>, stream: &Stream) {
    number(reply, "groups", stream.groups().len() as i64);
    let last = stream.len().saturating_sub(1);
    let ends = [stream.iter_from(0).next(), stream.iter_back_from(last).next()];
    for (name, entry) in ["first-entry", "last-entry"].into_iter().zip(ends) {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => write_entry(reply, &entry),
            None => reply.null(),
        }
    }
}

fn full(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    reply.bulk(b"entries");
    reply.array(stream.len().min(count));
    stream.iter_from(0).take(count).for_each(|entry| write_entry(reply, &entry));
    reply.bulk(b"groups");
    reply.array(stream.groups().len());
    for group in stream.groups() {
        reply.map(7);
        text(reply, "name", group.name());
        reading(reply, stream, group);
        number(reply, "pel-count", group.pending_count() as i64);
        reply.bulk(b"pending");
        reply.array(group.pending_count().min(count));
        for delivery in group.pending_from_rank(0).take(count) {
            reply.array(4);
            write_id(reply, delivery.id);
            reply.bulk(group.consumer_of(delivery).map_or(&[], Consumer::name));
            reply.integer(delivery.time);
            reply.integer(delivery.count as i64);
        }
        reply.bulk(b"consumers");
        reply.array(group.consumer_count());
        for consumer in group.consumers() {
            reply.map(5);
            text(reply, "name", consumer.name());
            number(reply, "seen-time", consumer.seen);
            number(reply, "active-time", consumer.active.unwrap_or(-1));
            number(reply, "pel-count", consumer.pending_count() as i64);
            reply.bulk(b"pending");
            reply.array(consumer.pending_count().min(count));
            let pending = consumer.pending_from_rank(0).take(count);
            for delivery in pending.filter_map(|id| group.delivery(id)) {
                reply.array(3);
                write_id(reply, delivery.id);
                reply.integer(delivery.time);
                reply.integer(delivery.count as i64);
            }
        }
    }
}

/// Writes a group's last delivered ID, entries read and lag.
fn reading(reply: &mut Reply<'_>, stream: &Stream, group: &Group) {
    id(reply, "last-delivered-id", group.last_id());
    for (name, value) in
        [("entries-read", group.entries_read().map(|read| read as i64)), ("lag", stream.lag(group))]
    {
        reply.bulk(name.as_bytes());
        match value {
            Some(value) => reply.integer(value),
            None => reply.null(),
        }
    }
}

pub(super) fn groups(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let stream = db.view::<Stream>(db.key(ctx.args.at(2)))?.ok_or(CommandError::NoSuchKey)?;
    let reply = &mut ctx.reply;
    reply.array(stream.groups().len());
    for group in stream.groups() {
        reply.map(6);
        text(reply, "name", group.name());
        number(reply, "consumers", group.consumer_count() as i64);
        number(reply, "pending", group.pending_count() as i64);
        reading(reply, stream, group);
    }
    Ok(())
}

pub(super) fn consumers(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (name, group) = (ctx.args.at(2), ctx.args.at(3));
    let now = ctx.now_ms() as i64;
    let mut db = ctx.keyspace.db(ctx.db);
    let stream = db.view::<Stream>(db.key(name))?.ok_or(CommandError::NoSuchKey)?;
    let group = stream.group(group).ok_or_else(|| no_group(group, name))?;
    let reply = &mut ctx.reply;
    reply.array(group.consumer_count());
    for consumer in group.consumers() {
        reply.map(4);
        text(reply, "name", consumer.name());
        number(reply, "pending", consumer.pending_count() as i64);
        number(reply, "idle", now.saturating_sub(consumer.seen).max(0));
        number(reply, "inactive", consumer.active.map_or(-1, |active| now.saturating_sub(active)));
    }
    Ok(())
}

pub(super) fn help(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    ctx.reply.help(
        "XINFO",
        &[
            "CONSUMERS <key> <groupname>",
            "    The consumers of the group.",
            "GROUPS <key>",
            "    The groups of the stream.",
            "STREAM <key> [FULL [COUNT <count>]",
            "    The stream itself.",
        ],
    );
    Ok(())
}

fn text(reply: &mut Reply<'_>, name: &str, value: &[u8]) {
    reply.bulk(name.as_bytes());
    reply.bulk(value);
}

fn number(reply: &mut Reply<'_>, name: &str, value: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(value);
}

fn id(reply: &mut Reply<'_>, name: &str, value: StreamId) {
    reply.bulk(name.as_bytes());
    write_id(reply, value);
}

/// The number of nodes of the radix tree in which Redis would keep the stream's nodes: one for each
/// ID at the end, one where IDs branch, and one for the bytes between.
fn tree_nodes(stream: &Stream) -> usize {
    let ids: Vec<[u8; 16]> = stream.nodes_from(0).map(|node| node.id().to_bytes()).collect();
    if ids.is_empty() { 1 } else { tree_nodes_from(&ids, 0) }
}

/// The number of nodes below a prefix of `depth` bytes. The IDs are sorted, and all different.
fn tree_nodes_from(ids: &[[u8; 16]], depth: usize) -> usize {
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return 0 };
    let common = first.iter().zip(last).skip(depth).take_while(|(a, b)| a == b).count();
    let run = usize::from(common > 0);
    let parts = depth + common;
    let Some(byte) = first.get(parts).filter(|_| ids.len() > 1) else { return run + 1 };
    let mut nodes = run + 1;
    let (mut rest, mut byte) = (ids, *byte);
    while !rest.is_empty() {
        let same = rest.partition_point(|id| id.get(parts).is_some_and(|other| *other <= byte));
        let (group, others) = rest.split_at(same.max(1).min(rest.len()));
        nodes += tree_nodes_from(group, parts + 1);
        rest = others;
        byte = rest.first().and_then(|id| id.get(parts)).copied().unwrap_or(byte);
    }
    nodes
}
