//! DBSIZE, FLUSHDB, FLUSHALL and SWAPDB: commands on whole databases.

use super::{CommandError, Ctx};
use crate::resp::number::parse_i64;
use crate::store::Flush;

pub(super) fn dbsize(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let len = ctx.keyspace.db(ctx.db).visible_len();
    ctx.reply.integer(len as i64);
    Ok(())
}

pub(super) fn flushdb(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let how = parse(ctx)?;
    ctx.effects.flushed(ctx.db);
    ctx.effects.cleared();
    ctx.effects.dirty += ctx.keyspace.flush(Some(ctx.db), how);
    ctx.effects.force_propagation();
    ctx.reply.ok();
    Ok(())
}

pub(super) fn flushall(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let how = parse(ctx)?;
    for db in 0..ctx.keyspace.count() {
        ctx.effects.flushed(db);
    }
    ctx.effects.dirty += ctx.keyspace.flush(None, how);
    ctx.effects.emptied();
    ctx.effects.cleared();
    ctx.effects.force_propagation();
    ctx.reply.ok();
    Ok(())
}

pub(super) fn swapdb(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let first = number(ctx.args.at(1), "ERR invalid first DB index")?;
    let second = number(ctx.args.at(2), "ERR invalid second DB index")?;
    let count = ctx.keyspace.count();
    let checked = |index: i32| usize::try_from(index).ok().filter(|&index| index < count);
    let (Some(first), Some(second)) = (checked(first), checked(second)) else {
        return Err(CommandError::text("ERR DB index is out of range"));
    };
    ctx.keyspace.swap(first, second);
    if first != second {
        ctx.effects.flushed(first);
        ctx.effects.flushed(second);
    }
    ctx.effects.dirty += 1;
    ctx.reply.ok();
    Ok(())
}

fn parse(ctx: &Ctx<'_>) -> Result<Flush, CommandError> {
    match ctx.args.get(1) {
        None if ctx.config.lazyfree_lazy_user_flush => Ok(Flush::Async),
        None => Ok(Flush::Sync),
        Some(_) if ctx.args.len() > 2 => Err(CommandError::Syntax),
        Some(word) if word.eq_ignore_ascii_case(b"ASYNC") => Ok(Flush::Async),
        Some(word) if word.eq_ignore_ascii_case(b"SYNC") => Ok(Flush::Sync),
        Some(_) => Err(CommandError::Syntax),
    }
}

fn number(text: &[u8], error: &'static str) -> Result<i32, CommandError> {
    let number = parse_i64(text).and_then(|number| i32::try_from(number).ok());
    number.ok_or(CommandError::text(error))
}
