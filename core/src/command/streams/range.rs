//! XRANGE, XREVRANGE, XLEN, XDEL and XSETID.

use super::ids;
use crate::command::walk::{self, Walk};
use crate::command::{Class, CommandError, Ctx};
use crate::resp::number::parse_i64;
use crate::store::ValueRef;
use crate::store::value::{Stream, StreamId};

pub(super) fn xrange(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    range(ctx, false)
}

pub(super) fn xrevrange(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    range(ctx, true)
}

fn range(ctx: &mut Ctx<'_>, reverse: bool) -> Result<(), CommandError> {
    let args = ctx.args;
    let (start, end) = if reverse { (3, 2) } else { (2, 3) };
    let (start, end) = (ids::start(args.at(start))?, ids::end(args.at(end))?);
    let mut count = None;
    let mut options = args.from(4).iter();
    while let Some(option) = options.next() {
        let value = options.next().filter(|_| option.eq_ignore_ascii_case(b"count"));
        let n = parse_i64(value.ok_or(CommandError::Syntax)?).ok_or(CommandError::NotAnInteger)?;
        // -1 means all, as without COUNT; other negative numbers mean none.
        count = Some(usize::try_from(n).unwrap_or(0));
    }
    let mut db = ctx.keyspace.db(ctx.db);
    let Some(stream) = db.view::<Stream>(db.key(args.at(1)))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    if count == Some(0) {
        ctx.reply.null_array();
        return Ok(());
    }
    let (from, entries) = stream.seek(start);
    let until = end.next().map_or(stream.len(), |next| stream.rank(next)).max(from);
    let n = (until - from).min(count.unwrap_or(usize::MAX));
    ctx.reply.array(n);
    let (reply, rest) = (&mut ctx.reply, &mut ctx.rest);
    if reverse {
        let (at, walk) = (until.saturating_sub(1), Walk::Entries { reverse });
        walk::write(reply, rest, ctx.rng, ValueRef::Stream(stream), walk, (at, n));
    } else {
        walk::write_entries(reply, rest, (stream, entries), (from, n));
    }
    Ok(())
}

pub(super) fn xlen(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let len = db.view::<Stream>(db.key(ctx.args.at(1)))?.map_or(0, Stream::len);
    ctx.reply.integer(len as i64);
    Ok(())
}

pub(super) fn xdel(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    if db.check::<Stream>(key)?.is_none() {
        ctx.reply.integer(0);
        return Ok(());
    }
    // All IDs are parsed before any entry is deleted.
    let ids = ctx.args.from(2).iter().map(ids::strict).collect::<Result<Vec<_>, _>>()?;
    let edited = db
        .edit(key, |stream: &mut Stream| ids.into_iter().filter(|id| stream.delete(*id)).count())?;
    let deleted = edited.map_or(0, |(deleted, _)| deleted);
    if deleted > 0 {
        ctx.changed_times(deleted as u64, Class::Stream, "xdel", name);
    }
    ctx.reply.integer(deleted as i64);
    Ok(())
}

pub(super) fn xsetid(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (args, name) = (ctx.args, ctx.args.at(1));
    let id = ids::strict(args.at(2))?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    let mut options = args.from(3).iter();
    while let Some(option) = options.next() {
        let value = options.next().ok_or(CommandError::Syntax)?;
        if option.eq_ignore_ascii_case(b"entriesadded") {
            let n = parse_i64(value).ok_or(CommandError::NotAnInteger)?;
            let negative = CommandError::text("ERR entries_added must be positive");
            added = Some(u64::try_from(n).map_err(|_| negative)?);
        } else if option.eq_ignore_ascii_case(b"maxdeletedid") {
            max_deleted = ids::strict(value)?;
            if id < max_deleted {
                return Err(CommandError::text(
                    "ERR The ID specified in XSETID is smaller than the provided \
                     max_deleted_entry_id",
                ));
            }
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |stream: &mut Stream| {
        let mut counters = stream.counters();
        if id < counters.max_deleted_id {
            return Err(CommandError::text(
                "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
            ));
        }
        if stream.top_id().is_some_and(|top| id < top) {
            return Err(CommandError::text(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if added.is_some_and(|added| added < stream.len() as u64) {
            return Err(CommandError::text(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
        counters.last_id = id;
        counters.entries_added = added.unwrap_or(counters.entries_added);
        if max_deleted != StreamId::MIN {
            counters.max_deleted_id = max_deleted;
        }
        stream.set_counters(counters);
        Ok(())
    })?;
    match edited {
        None => return Err(CommandError::NoSuchKey),
        Some((result, _)) => result?,
    }
    // It does not touch watched keys: the entries are the same.
    ctx.effects.dirty += 1;
    ctx.effects.event(ctx.db, Class::Stream, "xsetid", name);
    ctx.reply.ok();
    Ok(())
}
