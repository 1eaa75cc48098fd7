//! XREAD and XREADGROUP.

use smallvec::SmallVec;

use super::groups::{Progress, propagate_last_id};
use super::{id_text, ids, write_entry, write_id};
use crate::command::context::{EmptyReply, Wait};
use crate::command::error::up_to_nul;
use crate::command::walk;
use crate::command::{Class, CommandError, Ctx};
use crate::resp::Proto;
use crate::resp::number::parse_i64;
use crate::resp::request::{Args, OwnedArgs};
use crate::store::value::stream::Iter;
use crate::store::value::{Stream, StreamId};
use crate::store::{Type, ValueRef};
use crate::time::Duration;

/// The parsed arguments of a read.
struct Query<'a> {
    /// The most entries of each stream; 0 for any number.
    count: usize,
    /// BLOCK: how long to block; the inner `None` is for ever.
    block: Option<Option<Duration>>,
    group: Option<Reader<'a>>,
    /// The position of the first key, and the number of keys.
    keys_at: usize,
    keys: usize,
}

/// A consumer of a group.
#[derive(Clone, Copy)]
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    /// `NOACK`: its entries need not be acknowledged.
    no_ack: bool,
}

/// The position in a stream after which it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// After this ID.
    Behind(StreamId),
    /// `>`: entries that were never delivered to the group.
    New,
}

pub(super) fn xread(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let query = Query::parse(ctx, false)?;
    let starts = starts(ctx, &query)?;
    let mut served = SmallVec::<[(usize, StreamId); 2]>::new();
    let mut db = ctx.keyspace.db(ctx.db);
    for (index, start) in starts.iter().enumerate() {
        let From::Behind(id) = *start else { continue };
        let stream = db.view::<Stream>(db.key(query.key(ctx.args, index)))?;
        if stream.and_then(Stream::top_id).is_some_and(|top| top > id) {
            served.push((index, id));
        }
    }
    if served.is_empty() {
        wait(ctx, &query, &starts);
        return Ok(());
    }
    write_header(ctx, served.len());
    let last = served.len() - 1;
    for (n, (index, id)) in served.into_iter().enumerate() {
        let name = query.key(ctx.args, index);
        write_name(ctx, name);
        let db = ctx.keyspace.db(ctx.db);
        let value = db.peek(db.key(name));
        let Some(ValueRef::Stream(stream)) = value else { continue };
        let (from, entries) = behind(stream, id);
        let count = query.limit(stream.len() - from);
        ctx.reply.array(count);
        if n == last {
            // The last stream may be written in slices.
            walk::write_entries(&mut ctx.reply, &mut ctx.rest, (stream, entries), (from, count));
        } else {
            entries.take(count).for_each(|entry| write_entry(&mut ctx.reply, &entry));
        }
    }
    Ok(())
}

pub(super) fn xreadgroup(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let query = Query::parse(ctx, true)?;
    let Some(reader) = query.group else {
        return Err(CommandError::text("ERR Missing GROUP option for XREADGROUP"));
    };
    let starts = starts(ctx, &query)?;
    // Propagated as XCLAIM and XGROUP instead.
    ctx.effects.prevent_propagation();
    let mut served = SmallVec::<[(usize, From); 2]>::new();
    for (index, start) in starts.iter().enumerate() {
        if begin(ctx, query.key(ctx.args, index), reader, *start)? {
            served.push((index, *start));
        }
    }
    if served.is_empty() {
        wait(ctx, &query, &starts);
        return Ok(());
    }
    write_header(ctx, served.len());
    for (index, start) in served {
        let name = query.key(ctx.args, index);
        write_name(ctx, name);
        match start {
            From::New => deliver(ctx, name, reader, &query)?,
            From::Behind(id) => deliver_again(ctx, name, reader, id, &query)?,
        }
        ctx.effects.dirty += 1;
    }
    Ok(())
}

impl<'a> Query<'a> {
    fn parse(ctx: &Ctx<'a>, group: bool) -> Result<Self, CommandError> {
        let args = ctx.args;
        let name = if group { "xreadgroup" } else { "xread" };
        let mut query = Query { count: 0, block: None, group: None, keys_at: 0, keys: 0 };
        let (mut reader, mut no_ack) = (None, false);
        let mut at = 1;
        while let Some(word) = args.get(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let more = args.len() - at - 1;
            if is("BLOCK") && more > 0 {
                if ctx.caller.in_script {
                    let name = String::from_utf8_lossy(args.at(0));
                    return Err(CommandError::composed(format!(
                        "ERR {name} command is not allowed with BLOCK option from scripts"
                    )));
                }
                query.block = Some(parse_timeout(args.at(at + 1))?);
                at += 1;
            } else if is("COUNT") && more > 0 {
                let count = parse_i64(args.at(at + 1)).ok_or(CommandError::NotAnInteger)?;
                query.count = usize::try_from(count).unwrap_or(0);
                at += 1;
            } else if is("STREAMS") && more > 0 {
                query.keys_at = at + 1;
                if !more.is_multiple_of(2) {
                    let symbol = if group { '>' } else { '$' };
                    return Err(CommandError::composed(format!(
                        "ERR Unbalanced '{name}' list of streams: for each stream key an ID or \
                         '{symbol}' must be specified."
                    )));
                }
                query.keys = more / 2;
                break;
            } else if is("GROUP") && more > 1 {
                if !group {
                    return Err(CommandError::text(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD \
                         instead.",
                    ));
                }
                reader = Some((args.at(at + 1), args.at(at + 2)));
                at += 2;
            } else if is("NOACK") {
                if !group {
                    return Err(CommandError::text(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD \
                         instead.",
                    ));
                }
                no_ack = true;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        if query.keys_at == 0 {
            return Err(CommandError::Syntax);
        }
        query.group = reader.map(|(group, consumer)| Reader { group, consumer, no_ack });
        if group && query.group.is_none() {
            return Err(CommandError::text("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(query)
    }

    fn key(&self, args: Args<'a>, index: usize) -> &'a [u8] {
        args.at(self.keys_at + index)
    }

    /// How many of the available entries are returned.
    fn limit(&self, entries: usize) -> usize {
        if self.count == 0 { entries } else { entries.min(self.count) }
    }
}

/// The number of entries up to this ID, and an iterator over those after it.
fn behind(stream: &Stream, id: StreamId) -> (usize, Iter<'_>) {
    // There is nothing after the largest possible ID.
    id.next().map_or_else(|| (stream.len(), stream.iter_from(stream.len())), |id| stream.seek(id))
}

/// The start position of each stream; mostly there is one stream.
type Starts = SmallVec<[From; 2]>;

/// Resolves the start positions. The keys must hold streams, with the group if one is given.
fn starts(ctx: &mut Ctx<'_>, query: &Query<'_>) -> Result<Starts, CommandError> {
    let args = ctx.args;
    let mut db = ctx.keyspace.db(ctx.db);
    (0..query.keys)
        .map(|index| {
            let name = args.at(query.keys_at + index);
            let stream = db.view::<Stream>(db.key(name))?;
            if let Some(Reader { group, .. }) = query.group
                && stream.and_then(|stream| stream.group(group)).is_none()
            {
                return Err(no_group(name, group));
            }
            match args.at(query.keys_at + query.keys + index) {
                b"$" if query.group.is_some() => Err(CommandError::text(
                    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read \
                     the history of this consumer by specifying a proper ID, or use the > ID to \
                     get new messages. The $ ID would just return an empty result set.",
                )),
                b"$" => {
                    let last = stream.map(|stream| stream.counters().last_id);
                    Ok(From::Behind(last.unwrap_or_default()))
                }
                b">" if query.group.is_none() => Err(CommandError::text(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
                     <group> <consumer> option.",
                )),
                b">" => Ok(From::New),
                text => match ids::strict(text)? {
                    // The largest ID means `>`, as in Redis.
                    StreamId::MAX if query.group.is_some() => Ok(From::New),
                    id => Ok(From::Behind(id)),
                },
            }
        })
        .collect()
}

fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    let parts: [&[u8]; 5] = [
        b"NOGROUP No such key '",
        up_to_nul(key),
        b"' or consumer group '",
        up_to_nul(group),
        b"' in XREADGROUP with GROUP option",
    ];
    CommandError::Text(parts.concat().into())
}

/// Records that a consumer asks for entries, creating it if it is new. Returns whether there are
/// entries for it.
fn begin(
    ctx: &mut Ctx<'_>,
    name: &[u8],
    reader: Reader<'_>,
    start: From,
) -> Result<bool, CommandError> {
    let now = ctx.now_ms() as i64;
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |stream: &mut Stream| {
        let top = stream.top_id();
        stream.change_group(reader.group, |group| {
            let created = group.add_consumer(reader.consumer, now);
            group.change_consumer(reader.consumer, |consumer| consumer.seen = now);
            let new = top.is_some_and(|top| top > group.last_id());
            (created, new || start != From::New)
        })
    })?;
    let (created, serves) = edited.and_then(|(done, _)| done).unwrap_or_default();
    if created {
        ctx.effects.dirty += 1;
        ctx.effects.event(ctx.db, Class::Stream, "xgroup-createconsumer", name);
        if reader.no_ack {
            let words = [b"XGROUP", &b"CREATECONSUMER"[..], name, reader.group, reader.consumer];
            ctx.effects.also_propagate(ctx.db, words);
        }
    }
    Ok(serves)
}

/// Delivers entries that the group has not delivered yet.
fn deliver(
    ctx: &mut Ctx<'_>,
    name: &[u8],
    reader: Reader<'_>,
    query: &Query<'_>,
) -> Result<(), CommandError> {
    let now = ctx.now_ms() as i64;
    let reply = &mut ctx.reply;
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |stream: &mut Stream| {
        let group = stream.group(reader.group)?;
        let mut progress = Progress { id: group.last_id(), read: group.entries_read() };
        let (from, entries) = behind(stream, progress.id);
        let count = query.limit(stream.len() - from);
        reply.array(count);
        let mut delivered = SmallVec::<[StreamId; 10]>::new();
        for entry in entries.take(count) {
            write_entry(reply, &entry);
            let read = stream.entries_read_with(progress.read, entry.id);
            progress = Progress { id: entry.id, read };
            delivered.push(entry.id);
        }
        stream.change_group(reader.group, |group| {
            group.set_last_id(progress.id, progress.read);
            if !reader.no_ack {
                group.deliver_all(delivered.iter().copied(), reader.consumer, now, 1);
                group.change_consumer(reader.consumer, |consumer| consumer.active = Some(now));
            }
        });
        Some((delivered, progress))
    })?;
    let Some((delivered, progress)) = edited.and_then(|(done, _)| done) else { return Ok(()) };
    if reader.no_ack {
        if !delivered.is_empty() {
            propagate_last_id(ctx, name, reader.group, progress);
        }
    } else if ctx.effects.consumers().propagation {
        for id in delivered {
            let claim = Claim { id, consumer: reader.consumer, time: now, count: 1, last: id };
            claim.propagate(ctx, name, reader.group);
        }
    }
    Ok(())
}

/// Returns the consumer's pending entries: delivered to it and not acknowledged.
fn deliver_again(
    ctx: &mut Ctx<'_>,
    name: &[u8],
    reader: Reader<'_>,
    behind: StreamId,
    query: &Query<'_>,
) -> Result<(), CommandError> {
    let now = ctx.now_ms() as i64;
    let reply = &mut ctx.reply;
    let mut db = ctx.keyspace.db(ctx.db);
    db.edit(db.key(name), |stream: &mut Stream| {
        let consumer = stream.group(reader.group)?.consumer(reader.consumer)?;
        let pending = behind.next().into_iter().flat_map(|from| consumer.pending_from(from));
        let limit = if query.count == 0 { usize::MAX } else { query.count };
        let pending: Vec<StreamId> = pending.take(limit).collect();
        reply.array(pending.len());
        let mut again = Vec::new();
        for id in pending {
            match stream.find(id) {
                Some((_, entry)) => {
                    write_entry(reply, &entry);
                    again.push(id);
                }
                None => {
                    reply.array(2);
                    write_id(reply, id);
                    reply.null_array();
                }
            }
        }
        stream.change_group(reader.group, |group| {
            for id in again {
                let count = group.delivery(id).map_or(0, |delivery| delivery.count);
                group.deliver(id, reader.consumer, now, count.wrapping_add(1));
            }
        })
    })?;
    Ok(())
}

/// A delivery to a consumer, to be propagated.
pub(super) struct Claim<'a> {
    pub(super) id: StreamId,
    pub(super) consumer: &'a [u8],
    pub(super) time: i64,
    pub(super) count: u64,
    /// The group's last delivered ID.
    pub(super) last: StreamId,
}

impl Claim<'_> {
    /// Propagates it as an XCLAIM that has the same effect.
    pub(super) fn propagate(&self, ctx: &mut Ctx<'_>, key: &[u8], group: &[u8]) {
        let (id, last) = (id_text(self.id), id_text(self.last));
        let (time, count) = (self.time.to_string(), (self.count as i64).to_string());
        let words: [&[u8]; 14] = [
            b"XCLAIM",
            key,
            group,
            self.consumer,
            b"0",
            &id,
            b"TIME",
            time.as_bytes(),
            b"RETRYCOUNT",
            count.as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            &last,
        ];
        ctx.effects.also_propagate(ctx.db, words);
    }
}

fn write_header(ctx: &mut Ctx<'_>, streams: usize) {
    match ctx.reply.proto() {
        Proto::Resp2 => ctx.reply.array(streams),
        Proto::Resp3 => ctx.reply.map(streams),
    }
}

fn write_name(ctx: &mut Ctx<'_>, name: &[u8]) {
    if ctx.reply.proto() == Proto::Resp2 {
        ctx.reply.array(2);
    }
    ctx.reply.bulk(name);
}

/// Blocks the client, if it asked for that and may block.
fn wait(ctx: &mut Ctx<'_>, query: &Query<'_>, starts: &[From]) {
    let timeout = match query.block {
        Some(timeout) if !ctx.caller.deny_blocking => timeout,
        _ => return ctx.reply.null_array(),
    };
    let args = ctx.args;
    let ids_at = query.keys_at + query.keys;
    // `$` means the last ID at this moment.
    let mut resolved = OwnedArgs::default();
    for (at, word) in args.iter().enumerate() {
        match at.checked_sub(ids_at).and_then(|index| starts.get(index)) {
            Some(From::Behind(id)) if word == b"$" => resolved.push(&id_text(*id)),
            _ => resolved.push(word),
        }
    }
    let keys = (0..query.keys).map(|index| query.key(args, index).into()).collect();
    ctx.wait = Some(Wait {
        keys,
        timeout,
        empty: EmptyReply::NullArray,
        kind: Type::Stream,
        args: Some(resolved),
        unblock_on_nokey: query.group.is_some(),
    });
}

/// Parses a timeout in milliseconds; 0 is for ever.
fn parse_timeout(text: &[u8]) -> Result<Option<Duration>, CommandError> {
    let millis = parse_i64(text)
        .ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    let negative = CommandError::text("ERR timeout is negative");
    let millis = u64::try_from(millis).map_err(|_| negative)?;
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}
