//! Blocking commands on lists and sorted sets: BLPOP, BZPOPMIN and related commands.

use super::context::{EmptyReply, Wait};
use super::lists::ends;
use super::meta::{KeySpec, acl, flag, key};
use super::zsets::pop;
use super::{CommandError, Ctx, Group, Handler, Row};
use crate::resp::number::parse_double;
use crate::store::Type;
use crate::store::value::End;
use crate::time::Duration;

/// Rows of the command table.
pub static ROWS: &[Row<Handler>] = &[
    list("blmove", 6, blmove)
        .flags(flag::WRITE | flag::DENYOOM | flag::BLOCKING)
        .keys(MOVING)
        .since("6.2.0")
        .summary("Moves an element from one list to another, waiting for one if there is none.")
        .syntax("source destination <wherefrom: LEFT | RIGHT> <whereto: LEFT | RIGHT> timeout"),
    list("blmpop", -5, blmpop)
        .flags(flag::WRITE | flag::BLOCKING | flag::MOVABLEKEYS)
        .keys(&[KeySpec::counted(2, TAKING)])
        .since("7.0.0")
        .complexity("O(N+M), N being the number of keys and M the number of elements taken.")
        .summary("Takes elements from the first of some lists that has any, waiting if none has.")
        .syntax("timeout numkeys key ... <where: LEFT | RIGHT> [COUNT count]"),
    list("blpop", -3, |ctx| pop_list(ctx, End::Left))
        .flags(flag::WRITE | flag::BLOCKING)
        .keys(&[KeySpec::range(1, -2, 1, TAKING)])
        .since("2.0.0")
        .complexity("O(N), N being the number of keys.")
        .summary("Takes the first element of the first list that has any, waiting if none has.")
        .syntax("key ... timeout")
        .history(&[("6.0.0", "The timeout may have a fraction.")]),
    list("brpop", -3, |ctx| pop_list(ctx, End::Right))
        .flags(flag::WRITE | flag::BLOCKING)
        .keys(&[KeySpec::range(1, -2, 1, TAKING)])
        .since("2.0.0")
        .complexity("O(N), N being the number of keys.")
        .summary("Takes the last element of the first list that has any, waiting if none has.")
        .syntax("key ... timeout")
        .history(&[("6.0.0", "The timeout may have a fraction.")]),
    list("brpoplpush", 4, brpoplpush)
        .flags(flag::WRITE | flag::DENYOOM | flag::BLOCKING)
        .keys(MOVING)
        .since("2.2.0")
        .summary("Moves the last element of a list to the front of another, waiting if need be.")
        .syntax("source destination timeout")
        .history(&[("6.0.0", "The timeout may have a fraction.")])
        .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments"),
    zset("bzmpop", -5, bzmpop)
        .flags(flag::WRITE | flag::BLOCKING | flag::MOVABLEKEYS)
        .keys(&[KeySpec::counted(2, TAKING)])
        .since("7.0.0")
        .complexity("O(K + M*log(N)), K being the number of keys, N the size of the set and M the number of members taken.")
        .summary("Takes members from the first of some sorted sets that has any, waiting if none has.")
        .syntax("timeout numkeys key ... <where: MIN | MAX> [COUNT count]"),
    zset("bzpopmax", -3, |ctx| pop_zset(ctx, pop::Extreme::Max))
        .flags(flag::WRITE | flag::BLOCKING | flag::FAST)
        .keys(&[KeySpec::range(1, -2, 1, TAKING)])
        .since("5.0.0")
        .complexity("O(log(N)), N being the number of members.")
        .summary("Takes the member with the highest score, waiting if there is none.")
        .syntax("key ... timeout")
        .history(&[("6.0.0", "The timeout may have a fraction.")]),
    zset("bzpopmin", -3, |ctx| pop_zset(ctx, pop::Extreme::Min))
        .flags(flag::WRITE | flag::BLOCKING | flag::FAST)
        .keys(&[KeySpec::range(1, -2, 1, TAKING)])
        .since("5.0.0")
        .complexity("O(log(N)), N being the number of members.")
        .summary("Takes the member with the lowest score, waiting if there is none.")
        .syntax("key ... timeout")
        .history(&[("6.0.0", "The timeout may have a fraction.")]),
];

const TAKING: u32 = key::RW | key::ACCESS | key::DELETE;
const MOVING: &[KeySpec] = &[KeySpec::one(1, TAKING), KeySpec::one(2, key::RW | key::INSERT)];

const fn list(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::List, name, arity, handler).acl(acl::LIST)
}

const fn zset(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::SortedSet, name, arity, handler).acl(acl::SORTEDSET)
}

fn pop_list(ctx: &mut Ctx<'_>, end: End) -> Result<(), CommandError> {
    let last = ctx.args.len() - 1;
    let timeout = parse_timeout(ctx.arg(last))?;
    for index in 1..last {
        let name = ctx.arg(index);
        let taken = ends::take(ctx, name, end, |ctx, text| {
            ctx.reply.array(2);
            ctx.reply.bulk(name);
            ctx.reply.bulk(text);
        })?;
        if taken.is_some() {
            let command: &[u8] = if end == End::Left { b"LPOP" } else { b"RPOP" };
            ctx.effects.propagate(ctx.db, [command, name]);
            return Ok(());
        }
    }
    wait(ctx, 1..last, timeout, EmptyReply::NullArray, Type::List);
    Ok(())
}

fn blmpop(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (keys, end, count) = ends::parse_mpop(ctx, 2)?;
    let timeout = parse_timeout(ctx.arg(1))?;
    for index in keys.clone() {
        if ends::take_with_key(ctx, ctx.arg(index), end, count)? {
            return Ok(());
        }
    }
    wait(ctx, keys, timeout, EmptyReply::NullArray, Type::List);
    Ok(())
}

fn blmove(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (from, to) = (ends::parse_end(ctx.arg(3))?, ends::parse_end(ctx.arg(4))?);
    let timeout = parse_timeout(ctx.arg(5))?;
    if ends::move_element(ctx, ctx.arg(1), ctx.arg(2), from, to)? {
        ctx.effects.propagate(ctx.db, [b"LMOVE", ctx.arg(1), ctx.arg(2), ctx.arg(3), ctx.arg(4)]);
    } else {
        wait(ctx, 1..2, timeout, EmptyReply::Null, Type::List);
    }
    Ok(())
}

fn brpoplpush(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let timeout = parse_timeout(ctx.arg(3))?;
    if ends::move_element(ctx, ctx.arg(1), ctx.arg(2), End::Right, End::Left)? {
        ctx.effects.propagate(ctx.db, [b"RPOPLPUSH", ctx.arg(1), ctx.arg(2)]);
    } else {
        wait(ctx, 1..2, timeout, EmptyReply::Null, Type::List);
    }
    Ok(())
}

fn pop_zset(ctx: &mut Ctx<'_>, extreme: pop::Extreme) -> Result<(), CommandError> {
    let last = ctx.args.len() - 1;
    let timeout = parse_timeout(ctx.arg(last))?;
    for index in 1..last {
        let name = ctx.arg(index);
        if pop::take(ctx, name, extreme, 1, pop::Shape::KeyFlat)?.is_some() {
            pop::propagate(ctx, name, extreme, None);
            return Ok(());
        }
    }
    wait(ctx, 1..last, timeout, EmptyReply::NullArray, Type::ZSet);
    Ok(())
}

fn bzmpop(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (keys, extreme, count) = pop::parse_mpop(ctx, 2)?;
    let timeout = parse_timeout(ctx.arg(1))?;
    for index in keys.clone() {
        let name = ctx.arg(index);
        if let Some(n) = pop::take(ctx, name, extreme, count, pop::Shape::KeyPairs)? {
            pop::propagate(ctx, name, extreme, Some(n));
            return Ok(());
        }
    }
    wait(ctx, keys, timeout, EmptyReply::NullArray, Type::ZSet);
    Ok(())
}

/// Blocks the client, or replies at once where blocking is not allowed.
fn wait(
    ctx: &mut Ctx<'_>,
    keys: core::ops::Range<usize>,
    timeout: Option<Duration>,
    empty: EmptyReply,
    kind: Type,
) {
    if ctx.caller.deny_blocking {
        match empty {
            EmptyReply::Null => ctx.reply.null(),
            EmptyReply::NullArray => ctx.reply.null_array(),
        }
        return;
    }
    let keys = keys.map(|index| ctx.arg(index).into()).collect();
    ctx.wait = Some(Wait { keys, timeout, empty, kind, args: None, unblock_on_nokey: false });
}

/// Parses a timeout: seconds with fractions, of which whole milliseconds count. 0 is for ever.
fn parse_timeout(text: &[u8]) -> Result<Option<Duration>, CommandError> {
    let seconds = parse_double(text)
        .ok_or(CommandError::text("ERR timeout is not a float or out of range"))?;
    // Rounded up first: less than a millisecond below zero is for ever, as zero is.
    let millis = (seconds * 1000.0).ceil();
    if millis < 0.0 {
        return Err(CommandError::text("ERR timeout is negative"));
    }
    if millis > i64::MAX as f64 {
        return Err(CommandError::text("ERR timeout is out of range"));
    }
    Ok((millis > 0.0).then(|| Duration::from_millis(millis as u64)))
}
