//! Popping the members with the lowest or highest scores, shared with the blocking commands.

use crate::command::collection::positive;
use crate::command::{Class, CommandError, Ctx};
use crate::resp::Proto;
use crate::resp::reply::Reply;
use crate::store::value::ZSet;

/// The two ends of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extreme {
    /// The lowest scores.
    Min,
    /// The highest scores.
    Max,
}

/// The format of the reply with popped members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Members and scores alternating: ZPOPMIN.
    Flat,
    /// Pairs: ZPOPMIN with a count, in version 3 of the protocol.
    Pairs,
    /// The key, then members and scores alternating: BZPOPMIN.
    KeyFlat,
    /// The key, then an array of pairs: ZMPOP.
    KeyPairs,
}

pub(super) fn zpopmin(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    zpop(ctx, Extreme::Min)
}

pub(super) fn zpopmax(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    zpop(ctx, Extreme::Max)
}

pub(super) fn zmpop(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (keys, extreme, count) = parse_mpop(ctx, 1)?;
    for index in keys {
        let name = ctx.args.at(index);
        if let Some(n) = take(ctx, name, extreme, count, Shape::KeyPairs)? {
            propagate(ctx, name, extreme, Some(n));
            return Ok(());
        }
    }
    ctx.reply.null_array();
    Ok(())
}

/// Parses the arguments of ZMPOP from `at` on (BZMPOP has its timeout first): the positions of the
/// keys, the end to pop from, and the number of members.
pub fn parse_mpop(
    ctx: &Ctx<'_>,
    at: usize,
) -> Result<(core::ops::Range<usize>, Extreme, usize), CommandError> {
    crate::command::collection::parse_mpop(ctx, at, |word| {
        if word.eq_ignore_ascii_case(b"min") {
            Ok(Extreme::Min)
        } else if word.eq_ignore_ascii_case(b"max") {
            Ok(Extreme::Max)
        } else {
            Err(CommandError::Syntax)
        }
    })
}

/// Pops up to `count` members and replies with them. Returns how many there were, or `None`,
/// without a reply, if there is no such set. Reports the change; propagation is left to the caller
/// (see [`propagate`]).
pub fn take(
    ctx: &mut Ctx<'_>,
    name: &[u8],
    extreme: Extreme,
    count: usize,
    shape: Shape,
) -> Result<Option<usize>, CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let reply = &mut ctx.reply;
    let edited = db.edit(db.key(name), |set: &mut ZSet| {
        let n = count.min(set.len());
        write_header(reply, name, n, shape);
        for _ in 0..n {
            let rank = match extreme {
                Extreme::Min => 0,
                Extreme::Max => set.len() - 1,
            };
            set.remove_ranks(rank, 1, |member, score| {
                if matches!(shape, Shape::Pairs | Shape::KeyPairs) {
                    reply.array(2);
                }
                reply.bulk(member);
                reply.double(score);
            });
        }
        n
    })?;
    let Some((n, gone)) = edited else { return Ok(None) };
    let event = match extreme {
        Extreme::Min => "zpopmin",
        Extreme::Max => "zpopmax",
    };
    ctx.changed_times(n as u64, Class::SortedSet, event, name);
    ctx.gone(name, gone);
    Ok(Some(n))
}

/// Propagates the popping as ZPOPMIN or ZPOPMAX.
pub fn propagate(ctx: &mut Ctx<'_>, name: &[u8], extreme: Extreme, count: Option<usize>) {
    let command: &[u8] = match extreme {
        Extreme::Min => b"ZPOPMIN",
        Extreme::Max => b"ZPOPMAX",
    };
    match count {
        None => ctx.effects.propagate(ctx.db, [command, name]),
        Some(n) => {
            let mut digits = itoa::Buffer::new();
            ctx.effects.propagate(ctx.db, [command, name, digits.format(n).as_bytes()]);
        }
    }
}

fn zpop(ctx: &mut Ctx<'_>, extreme: Extreme) -> Result<(), CommandError> {
    let count = match ctx.args.len() {
        2 => None,
        3 => Some(positive(ctx.args.at(2), "ERR value is out of range, must be positive")?),
        _ => return Err(CommandError::Syntax),
    };
    let shape = match (ctx.reply.proto(), count) {
        (Proto::Resp3, Some(_)) => Shape::Pairs,
        _ => Shape::Flat,
    };
    let name = ctx.args.at(1);
    if count == Some(0) {
        let mut db = ctx.keyspace.db(ctx.db);
        db.check::<ZSet>(db.key(name))?;
        ctx.reply.array(0);
        return Ok(());
    }
    if take(ctx, name, extreme, count.unwrap_or(1), shape)?.is_none() {
        ctx.reply.array(0);
    }
    Ok(())
}

fn write_header(reply: &mut Reply<'_>, name: &[u8], n: usize, shape: Shape) {
    match shape {
        Shape::Flat => reply.array(n * 2),
        Shape::Pairs => reply.array(n),
        Shape::KeyFlat => {
            reply.array(n * 2 + 1);
            reply.bulk(name);
        }
        Shape::KeyPairs => {
            reply.array(2);
            reply.bulk(name);
            reply.array(n);
        }
    }
}
