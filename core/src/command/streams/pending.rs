//! Pending entries, which were delivered to consumers and not acknowledged: XACK, XPENDING, XCLAIM
//! and XAUTOCLAIM.

use smallvec::SmallVec;

use super::groups::{Progress, propagate_last_id};
use super::read::Claim;
use super::{ids, write_entry, write_id};
use crate::command::error::up_to_nul;
use crate::command::{Class, CommandError, Ctx};
use crate::resp::number::parse_i64;
use crate::resp::reply::Aggregate;
use crate::sorted;
use crate::store::value::stream::Delivery;
use crate::store::value::{Stream, StreamId};

/// The most pending entries that XAUTOCLAIM examines, per entry of its COUNT.
const ATTEMPTS: u64 = 10;

fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    let parts: [&[u8]; 5] = [
        b"NOGROUP No such key '",
        up_to_nul(key),
        b"' or consumer group '",
        up_to_nul(group),
        b"'",
    ];
    CommandError::Text(parts.concat().into())
}

pub(super) fn xack(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (name, group) = (ctx.args.at(1), ctx.args.at(2));
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    if db.view::<Stream>(key)?.and_then(|stream| stream.group(group)).is_none() {
        ctx.reply.integer(0);
        return Ok(());
    }
    // All IDs are parsed before any entry is acknowledged.
    let ids = ctx.args.from(3).iter().map(ids::strict);
    let ids = ids.collect::<Result<SmallVec<[StreamId; 8]>, _>>()?;
    let edited = db.edit(key, |stream: &mut Stream| {
        stream.change_group(group, |group| {
            ids.into_iter().filter(|id| group.acknowledge(*id)).count()
        })
    })?;
    let acknowledged = edited.and_then(|(done, _)| done).unwrap_or(0);
    ctx.effects.dirty += acknowledged as u64;
    ctx.reply.integer(acknowledged as i64);
    Ok(())
}

pub(super) fn xpending(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let args = ctx.args;
    let (name, group) = (args.at(1), args.at(2));
    if args.len() != 3 && !(6..=9).contains(&args.len()) {
        return Err(CommandError::Syntax);
    }
    let range = if args.len() > 3 { Some(PendingRange::parse(ctx)?) } else { None };
    let now = ctx.now_ms() as i64;
    let mut db = ctx.keyspace.db(ctx.db);
    let stream = db.view::<Stream>(db.key(name))?;
    let Some(group) = stream.and_then(|stream| stream.group(group)) else {
        return Err(no_group(name, group));
    };
    let reply = &mut ctx.reply;
    let Some(range) = range else {
        reply.array(4);
        reply.integer(group.pending_count() as i64);
        let ends = (group.pending_from(StreamId::MIN).next(), group.last_pending());
        let (Some(first), Some(last)) = ends else {
            reply.null();
            reply.null();
            reply.null_array();
            return Ok(());
        };
        write_id(reply, first.id);
        write_id(reply, last.id);
        let busy = group.consumers().filter(|consumer| consumer.pending_count() > 0);
        let busy: Vec<_> = busy.collect();
        reply.array(busy.len());
        for consumer in busy {
            reply.array(2);
            reply.bulk(consumer.name());
            reply.bulk_integer(consumer.pending_count() as i64);
        }
        return Ok(());
    };
    let consumer = match range.consumer {
        None => None,
        Some(name) => match group.consumer(name) {
            Some(consumer) => Some(consumer),
            None => {
                reply.array(0);
                return Ok(());
            }
        },
    };
    let of_group = group.pending_from(range.start).take_while(|_| consumer.is_none());
    let of_consumer = consumer.into_iter().flat_map(|consumer| {
        consumer.pending_from(range.start).filter_map(|id| group.delivery(id))
    });
    let wanted: Vec<&Delivery> = of_group
        .chain(of_consumer)
        .take_while(|delivery| delivery.id <= range.end)
        .filter(|delivery| range.idle == 0 || now.saturating_sub(delivery.time) >= range.idle)
        .take(range.count)
        .collect();
    reply.array(wanted.len());
    for delivery in wanted {
        reply.array(4);
        write_id(reply, delivery.id);
        reply.bulk(group.consumer_of(delivery).map_or(&[], |consumer| consumer.name()));
        reply.integer(now.saturating_sub(delivery.time).max(0));
        reply.integer(delivery.count as i64);
    }
    Ok(())
}

/// The range of pending entries that XPENDING shows.
struct PendingRange<'a> {
    /// The minimum time since they were delivered, in milliseconds; 0 for any.
    idle: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> PendingRange<'a> {
    fn parse(ctx: &Ctx<'a>) -> Result<Self, CommandError> {
        let args = ctx.args;
        let integer = |at: usize| parse_i64(args.at(at)).ok_or(CommandError::NotAnInteger);
        let (mut idle, mut at) = (0, 3);
        if args.at(3).eq_ignore_ascii_case(b"idle") {
            idle = integer(4)?;
            if args.len() < 8 {
                return Err(CommandError::Syntax);
            }
            at = 5;
        }
        let count = usize::try_from(integer(at + 2)?).unwrap_or(0);
        let (start, end) = (ids::start(args.at(at))?, ids::end(args.at(at + 1))?);
        Ok(PendingRange { idle, start, end, count, consumer: args.get(at + 3) })
    }
}

/// The options of XCLAIM.
struct Claiming {
    ids: Vec<StreamId>,
    idle: i64,
    /// The delivery time to set; `None` for now.
    time: Option<i64>,
    retries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

pub(super) fn xclaim(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let args = ctx.args;
    let (name, group, consumer) = (args.at(1), args.at(2), args.at(3));
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    if db.view::<Stream>(key)?.and_then(|stream| stream.group(group)).is_none() {
        return Err(no_group(name, group));
    }
    let now = ctx.now_ms() as i64;
    let claiming = Claiming::parse(ctx, now)?;
    // A time that is negative or in the future becomes now.
    let time = claiming.time.filter(|time| (0..=now).contains(time)).unwrap_or(now);
    let created = touch_consumer(ctx, name, group, consumer, now)?;
    let reply = &mut ctx.reply;
    let array = reply.begin(Aggregate::Array);
    let mut count = 0;
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(key, |stream: &mut Stream| {
        let mut claims = Vec::new();
        let moved = stream
            .change_group(group, |group| {
                let moved = claiming.last_id > group.last_id();
                if moved {
                    group.set_last_id(claiming.last_id, group.entries_read());
                }
                moved
            })
            .unwrap_or_default();
        for id in &claiming.ids {
            let id = *id;
            let found = stream.find(id).map(|(_, entry)| entry);
            let pending = stream.group(group).and_then(|group| group.delivery(id).copied());
            let Some(entry) = found else {
                // The entry was deleted from the stream, so it is dropped from the pending entries.
                claims.extend(pending.and_then(|old| OwnedClaim::of(stream, group, &old)));
                if pending.is_some() {
                    stream.change_group(group, |group| group.acknowledge(id));
                }
                continue;
            };
            let before = match pending {
                None if !claiming.force => continue,
                Some(old) if claiming.idle > 0 && now.saturating_sub(old.time) < claiming.idle => {
                    continue;
                }
                // A new pending entry counts as delivered once.
                old => old.map_or(1, |old| old.count),
            };
            let times = match claiming.retries {
                Some(retries) => retries,
                None if claiming.just_id => before,
                None => before.wrapping_add(1),
            };
            if claiming.just_id {
                write_id(reply, id);
            } else {
                write_entry(reply, &entry);
            }
            count += 1;
            stream.change_group(group, |group| {
                group.deliver(id, consumer, time, times);
                group.change_consumer(consumer, |consumer| consumer.active = Some(now));
            });
            claims.push(OwnedClaim { id, consumer: consumer.into(), time, count: times });
        }
        let state = stream.group(group);
        let state = state.map(|group| Progress { id: group.last_id(), read: group.entries_read() });
        (claims, moved, state)
    })?;
    reply.end(array, count);
    ctx.effects.prevent_propagation();
    let Some(((claims, moved, Some(progress)), _)) = edited else { return Ok(()) };
    if created {
        report_new_consumer(ctx, name);
    }
    let silent = claims.is_empty();
    propagate_claims(ctx, name, group, &claims, progress);
    if moved && silent {
        propagate_last_id(ctx, name, group, progress);
        ctx.effects.dirty += 1;
    }
    Ok(())
}

impl Claiming {
    fn parse(ctx: &Ctx<'_>, now: i64) -> Result<Self, CommandError> {
        const IDLE: &str = "ERR Invalid min-idle-time argument for XCLAIM";
        let args = ctx.args;
        let integer = |text: &[u8], error| parse_i64(text).ok_or(CommandError::text(error));
        let mut claiming = Claiming {
            ids: Vec::new(),
            idle: integer(args.at(4), IDLE)?.max(0),
            time: None,
            retries: None,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
        };
        let mut at = 5;
        while let Some(id) = args.get(at).and_then(|text| ids::strict(text).ok()) {
            claiming.ids.push(id);
            at += 1;
        }
        while let Some(word) = args.get(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let value = args.get(at + 1);
            match value {
                _ if is("FORCE") => claiming.force = true,
                _ if is("JUSTID") => claiming.just_id = true,
                Some(value) if is("IDLE") => {
                    let idle = integer(value, "ERR Invalid IDLE option argument for XCLAIM")?;
                    claiming.time = Some(now.wrapping_sub(idle));
                    at += 1;
                }
                Some(value) if is("TIME") => {
                    let error = "ERR Invalid TIME option argument for XCLAIM";
                    claiming.time = Some(integer(value, error)?);
                    at += 1;
                }
                Some(value) if is("RETRYCOUNT") => {
                    let error = "ERR Invalid RETRYCOUNT option argument for XCLAIM";
                    claiming.retries = u64::try_from(integer(value, error)?).ok();
                    at += 1;
                }
                Some(value) if is("LASTID") => {
                    claiming.last_id = ids::strict(value)?;
                    at += 1;
                }
                _ => {
                    let before = "ERR Unrecognized XCLAIM option '";
                    return Err(CommandError::quoting(before, word, "'"));
                }
            }
            at += 1;
        }
        Ok(claiming)
    }
}

pub(super) fn xautoclaim(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    const IDLE: &str = "ERR Invalid min-idle-time argument for XAUTOCLAIM";
    const COUNT: CommandError = CommandError::text("ERR COUNT must be > 0");
    let args = ctx.args;
    let (name, group, consumer) = (args.at(1), args.at(2), args.at(3));
    let idle = parse_i64(args.at(4)).ok_or(CommandError::text(IDLE))?.max(0);
    let start = ids::start(args.at(5))?;
    let (mut limit, mut just_id) = (100, false);
    let mut options = args.from(6).iter();
    while let Some(option) = options.next() {
        if option.eq_ignore_ascii_case(b"justid") {
            just_id = true;
            continue;
        }
        let value = options.next().filter(|_| option.eq_ignore_ascii_case(b"count"));
        let count = parse_i64(value.ok_or(CommandError::Syntax)?).ok_or(COUNT)?;
        // A limit of Redis: the array of 16 bytes per entry must fit into the address space.
        if !(1..=i64::MAX / 16).contains(&count) {
            return Err(COUNT);
        }
        limit = count as u64;
    }
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    if db.view::<Stream>(key)?.and_then(|stream| stream.group(group)).is_none() {
        return Err(no_group(name, group));
    }
    let now = ctx.now_ms() as i64;
    let created = touch_consumer(ctx, name, group, consumer, now)?;
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(key, |stream: &mut Stream| {
        let mut found = Found::default();
        let of_group = stream.group(group)?;
        let attempts = limit.saturating_mul(ATTEMPTS);
        let mut pending = of_group.pending_from(start);
        let mut left = limit;
        for _ in 0..attempts {
            if left == 0 {
                break;
            }
            let Some(delivery) = pending.next() else { break };
            if stream.find(delivery.id).is_none() {
                found.gone.push(*delivery);
            } else if idle > 0 && now.saturating_sub(delivery.time) < idle {
                continue;
            } else {
                found.claimed.push(*delivery);
            }
            left -= 1;
        }
        found.next = pending.next().map_or(StreamId::MIN, |delivery| delivery.id);
        drop(pending);
        found.progress = Progress { id: of_group.last_id(), read: of_group.entries_read() };
        let mut claims: Vec<OwnedClaim> =
            found.gone.iter().filter_map(|old| OwnedClaim::of(stream, group, old)).collect();
        stream.change_group(group, |group| {
            for old in &found.gone {
                group.acknowledge(old.id);
            }
            for old in &found.claimed {
                let count = if just_id { old.count } else { old.count.wrapping_add(1) };
                group.deliver(old.id, consumer, now, count);
                claims.push(OwnedClaim { id: old.id, consumer: consumer.into(), time: now, count });
            }
            if !found.claimed.is_empty() {
                group.change_consumer(consumer, |consumer| consumer.active = Some(now));
            }
        });
        // Sorted by ID.
        sorted::sort_by_key(&mut claims, |claim| claim.id);
        Some((found, claims))
    })?;
    let Some((found, claims)) = edited.and_then(|(done, _)| done) else {
        return Err(no_group(name, group));
    };
    let reply = &mut ctx.reply;
    reply.array(3);
    write_id(reply, found.next);
    reply.array(found.claimed.len());
    let value = db.peek(key);
    let stream = value.and_then(<Stream as crate::store::Collection>::read);
    for delivery in &found.claimed {
        match stream.and_then(|stream| stream.find(delivery.id)) {
            Some((_, entry)) if !just_id => write_entry(reply, &entry),
            _ => write_id(reply, delivery.id),
        }
    }
    reply.array(found.gone.len());
    found.gone.iter().for_each(|delivery| write_id(reply, delivery.id));
    ctx.effects.prevent_propagation();
    if created {
        report_new_consumer(ctx, name);
    }
    propagate_claims(ctx, name, group, &claims, found.progress);
    Ok(())
}

/// The result of XAUTOCLAIM.
#[derive(Default)]
struct Found {
    claimed: Vec<Delivery>,
    /// Pending entries that were deleted from the stream.
    gone: Vec<Delivery>,
    /// The ID to continue at.
    next: StreamId,
    progress: Progress,
}

/// A delivery to be propagated to replicas and the append-only file.
struct OwnedClaim {
    id: StreamId,
    consumer: Box<[u8]>,
    time: i64,
    count: u64,
}

impl OwnedClaim {
    /// An unchanged delivery.
    fn of(stream: &Stream, group: &[u8], old: &Delivery) -> Option<Self> {
        let consumer = stream.group(group)?.consumer_of(old)?.name().into();
        Some(OwnedClaim { id: old.id, consumer, time: old.time, count: old.count })
    }
}

/// Records that a consumer asks for entries. Returns whether it is new.
fn touch_consumer(
    ctx: &mut Ctx<'_>,
    name: &[u8],
    group: &[u8],
    consumer: &[u8],
    now: i64,
) -> Result<bool, CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |stream: &mut Stream| {
        stream.change_group(group, |group| {
            let created = group.add_consumer(consumer, now);
            group.change_consumer(consumer, |consumer| consumer.seen = now);
            created
        })
    })?;
    Ok(edited.and_then(|(created, _)| created).unwrap_or_default())
}

fn report_new_consumer(ctx: &mut Ctx<'_>, name: &[u8]) {
    ctx.effects.dirty += 1;
    ctx.effects.event(ctx.db, Class::Stream, "xgroup-createconsumer", name);
}

fn propagate_claims(
    ctx: &mut Ctx<'_>,
    name: &[u8],
    group: &[u8],
    claims: &[OwnedClaim],
    progress: Progress,
) {
    ctx.effects.dirty += claims.len() as u64;
    if !ctx.effects.consumers().propagation {
        return;
    }
    for OwnedClaim { id, consumer, time, count } in claims {
        let (id, time, count) = (*id, *time, *count);
        Claim { id, consumer, time, count, last: progress.id }.propagate(ctx, name, group);
    }
}
