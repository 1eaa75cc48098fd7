//! Sorted set commands.

use super::collection::{Scan, distinct, empty_scan, random_count, write_item};
use super::meta::{acl, flag, key};
use super::scan::parse_cursor;
use super::walk::{self, Walk, write_score};
use super::{Class, CommandError, Ctx, Group, Handler, KeySpec, Row};
use crate::resp::Proto;
use crate::resp::number::format_double;
use crate::resp::reply::Reply;
use crate::store::ValueRef;
use crate::store::value::ZSet;

pub(super) mod add;
mod algebra;
mod bounds;
pub mod pop;
mod range;

/// The rows of the sorted set commands.
pub static ROWS: &[Row<Handler>] = &[
    row("zadd", -4, add::zadd)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .since("1.2.0")
        .complexity("O(log(N)) for each member, N being the size of the set.")
        .summary("Adds members with their scores, or changes the scores of members.")
        .syntax("key [condition@3.0.2: NX | XX] [comparison@6.2.0: GT | LT] [change=CH@3.0.2] [increment=INCR@3.0.2] <data: score member> ...")
        .history(&[("2.4.0", "Takes several members."), ("3.0.2", "New: `XX`, `NX`, `CH`, `INCR`."), ("6.2.0", "New: `GT`, `LT`.")]),
    row("zcard", 2, zcard)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO)])
        .since("1.2.0")
        .summary("Counts the members of a sorted set.")
        .syntax("key"),
    row("zcount", 4, range::zcount)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.0.0")
        .complexity("O(log(N)), N being the size of the set.")
        .summary("Counts the members with scores in a range.")
        .syntax("key min#double max#double"),
    row("zdiff", -3, algebra::zdiff)
        .flags(flag::READONLY | flag::MOVABLEKEYS)
        .keys(&[KeySpec::counted(1, key::RO | key::ACCESS)])
        .since("6.2.0")
        .complexity("O(N*K + M*log(M)), N being the size of the first set, K the number of sets and M the size of the result.")
        .summary("Gives the members of the first set that no other has.")
        .syntax("numkeys key ... [WITHSCORES]"),
    row("zdiffstore", -4, algebra::zdiffstore)
        .flags(flag::WRITE | flag::DENYOOM | flag::MOVABLEKEYS)
        .keys(&[KeySpec::one(1, key::OW | key::UPDATE), KeySpec::counted(2, key::RO | key::ACCESS)])
        .since("6.2.0")
        .complexity("O(N*K + M*log(M)), N being the size of the first set, K the number of sets and M the size of the result.")
        .summary("Stores the members of the first set that no other has.")
        .syntax("destination numkeys key ..."),
    row("zincrby", 4, add::zincrby)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE)])
        .since("1.2.0")
        .complexity("O(log(N)), N being the size of the set.")
        .summary("Adds a number to the score of a member, which is added if it does not exist.")
        .syntax("key increment#integer member"),
    row("zinter", -3, algebra::zinter)
        .flags(flag::READONLY | flag::MOVABLEKEYS)
        .keys(&[KeySpec::counted(1, key::RO | key::ACCESS)])
        .since("6.2.0")
        .complexity("O(N*K + M*log(M)), N being the size of the smallest set, K the number of sets and M the size of the result.")
        .summary("Gives the members that all sets have.")
        .syntax("numkeys key ... [WEIGHTS weight ...] [AGGREGATE <aggregate: SUM | MIN | MAX>] [WITHSCORES]"),
    row("zintercard", -3, algebra::zintercard)
        .flags(flag::READONLY | flag::MOVABLEKEYS)
        .keys(&[KeySpec::counted(1, key::RO | key::ACCESS)])
        .since("7.0.0")
        .complexity("O(N*K), N being the size of the smallest set and K the number of sets.")
        .summary("Counts the members that all sets have, up to a limit.")
        .syntax("numkeys key ... [LIMIT limit]"),
    row("zinterstore", -4, algebra::zinterstore)
        .flags(flag::WRITE | flag::DENYOOM | flag::MOVABLEKEYS)
        .keys(&[KeySpec::one(1, key::OW | key::UPDATE), KeySpec::counted(2, key::RO | key::ACCESS)])
        .since("2.0.0")
        .complexity("O(N*K + M*log(M)), N being the size of the smallest set, K the number of sets and M the size of the result.")
        .summary("Stores the members that all sets have.")
        .syntax("destination numkeys key ... [WEIGHTS weight ...] [AGGREGATE <aggregate: SUM | MIN | MAX>]"),
    row("zlexcount", 4, range::zlexcount)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.8.9")
        .complexity("O(log(N)), N being the size of the set.")
        .summary("Counts the members in a lexicographical range.")
        .syntax("key min max"),
    row("zmpop", -4, pop::zmpop)
        .flags(flag::WRITE | flag::MOVABLEKEYS)
        .keys(&[KeySpec::counted(1, key::RW | key::ACCESS | key::DELETE)])
        .since("7.0.0")
        .complexity("O(K + M*log(N)), K being the number of keys, N the size of the set and M the number of members taken.")
        .summary("Takes the members with the lowest or highest scores out of the first of some sorted sets that is not empty.")
        .syntax("numkeys key ... <where: MIN | MAX> [COUNT count]"),
    row("zmscore", -3, zmscore)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("6.2.0")
        .complexity("O(N), N being the number of members given.")
        .summary("Gives the scores of several members.")
        .syntax("key member ..."),
    row("zpopmax", -2, pop::zpopmax)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::DELETE)])
        .since("5.0.0")
        .complexity("O(M*log(N)), N being the size of the set and M the number of members taken.")
        .summary("Takes the members with the highest scores out of a sorted set.")
        .syntax("key [count]"),
    row("zpopmin", -2, pop::zpopmin)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::DELETE)])
        .since("5.0.0")
        .complexity("O(M*log(N)), N being the size of the set and M the number of members taken.")
        .summary("Takes the members with the lowest scores out of a sorted set.")
        .syntax("key [count]"),
    row("zrandmember", -2, zrandmember)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("6.2.0")
        .complexity("O(M*log(N)), N being the size of the set and M the number of members given.")
        .summary("Gives random members of a sorted set.")
        .syntax("key [options: count [WITHSCORES]]")
        .tips(&["nondeterministic_output"]),
    row("zrange", -4, range::zrange)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("1.2.0")
        .complexity("O(log(N)+M), N being the size of the set and M the number of members given.")
        .summary("Gives the members in a range of ranks, scores or strings.")
        .syntax("key start#string stop#string [sortby@6.2.0: BYSCORE | BYLEX] [REV@6.2.0] [LIMIT <limit@6.2.0: offset count>] [WITHSCORES]")
        .history(&[("6.2.0", "New: `REV`, `BYSCORE`, `BYLEX`, `LIMIT`.")]),
    row("zrangebylex", -4, range::zrangebylex)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.8.9")
        .complexity("O(log(N)+M), N being the size of the set and M the number of members given.")
        .summary("Gives the members in a lexicographical range.")
        .syntax("key min max [LIMIT <limit: offset count>]")
        .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    row("zrangebyscore", -4, range::zrangebyscore)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("1.0.5")
        .complexity("O(log(N)+M), N being the size of the set and M the number of members given.")
        .summary("Gives the members with scores in a range.")
        .syntax("key min#double max#double [WITHSCORES@2.0.0] [LIMIT <limit: offset count>]")
        .history(&[("2.0.0", "New: `WITHSCORES`.")])
        .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
    row("zrangestore", -5, range::zrangestore)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::OW | key::UPDATE), KeySpec::one(2, key::RO | key::ACCESS)])
        .since("6.2.0")
        .complexity("O(log(N)+M), N being the size of the set and M the number of members stored.")
        .summary("Stores the members in a range of ranks, scores or strings.")
        .syntax("dst src min max [sortby: BYSCORE | BYLEX] [REV] [LIMIT <limit: offset count>]"),
    row("zrank", -3, zrank)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.0.0")
        .complexity("O(log(N)), N being the size of the set.")
        .summary("Gives the rank of a member, lowest score first.")
        .syntax("key member [WITHSCORE]")
        .history(&[("7.2.0", "New: `WITHSCORE`.")]),
    row("zrem", -3, zrem)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::DELETE)])
        .since("1.2.0")
        .complexity("O(M*log(N)), N being the size of the set and M the number of members given.")
        .summary("Removes members from a sorted set.")
        .syntax("key member ...")
        .history(&[("2.4.0", "Takes several members.")]),
    row("zremrangebylex", 4, range::zremrangebylex)
        .flags(flag::WRITE)
        .keys(&[KeySpec::one(1, key::RW | key::DELETE)])
        .since("2.8.9")
        .complexity("O(M*log(N)), N being the size of the set and M the number of members removed.")
        .summary("Removes the members in a lexicographical range.")
        .syntax("key min max"),
    row("zremrangebyrank", 4, range::zremrangebyrank)
        .flags(flag::WRITE)
        .keys(&[KeySpec::one(1, key::RW | key::DELETE)])
        .since("2.0.0")
        .complexity("O(M*log(N)), N being the size of the set and M the number of members removed.")
        .summary("Removes the members in a range of ranks.")
        .syntax("key start stop"),
    row("zremrangebyscore", 4, range::zremrangebyscore)
        .flags(flag::WRITE)
        .keys(&[KeySpec::one(1, key::RW | key::DELETE)])
        .since("1.2.0")
        .complexity("O(M*log(N)), N being the size of the set and M the number of members removed.")
        .summary("Removes the members with scores in a range.")
        .syntax("key min#double max#double"),
    row("zrevrange", -4, range::zrevrange)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("1.2.0")
        .complexity("O(log(N)+M), N being the size of the set and M the number of members given.")
        .summary("Gives the members in a range of ranks, highest score first.")
        .syntax("key start stop [WITHSCORES]")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` argument"),
    row("zrevrangebylex", -4, range::zrevrangebylex)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.8.9")
        .complexity("O(log(N)+M), N being the size of the set and M the number of members given.")
        .summary("Gives the members in a lexicographical range, last first.")
        .syntax("key max min [LIMIT <limit: offset count>]")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
    row("zrevrangebyscore", -4, range::zrevrangebyscore)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.2.0")
        .complexity("O(log(N)+M), N being the size of the set and M the number of members given.")
        .summary("Gives the members with scores in a range, highest first.")
        .syntax("key max#double min#double [WITHSCORES] [LIMIT <limit: offset count>]")
        .history(&[("2.1.6", "Either end may be left out of the range with `(`.")])
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
    row("zrevrank", -3, zrevrank)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.0.0")
        .complexity("O(log(N)), N being the size of the set.")
        .summary("Gives the rank of a member, highest score first.")
        .syntax("key member [WITHSCORE]")
        .history(&[("7.2.0", "New: `WITHSCORE`.")]),
    row("zscan", -3, zscan)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.8.0")
        .complexity("O(1) for a call, O(N) for a walk over N members.")
        .summary("Walks over the members of a sorted set, some at a time.")
        .syntax("key cursor [MATCH pattern] [COUNT count]")
        .tips(&["nondeterministic_output"]),
    row("zscore", 3, zscore)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("1.2.0")
        .summary("Gives the score of a member.")
        .syntax("key member"),
    row("zunion", -3, algebra::zunion)
        .flags(flag::READONLY | flag::MOVABLEKEYS)
        .keys(&[KeySpec::counted(1, key::RO | key::ACCESS)])
        .since("6.2.0")
        .complexity("O(N + M*log(M)), N being the size of all sets and M the size of the result.")
        .summary("Gives the members of all sets.")
        .syntax("numkeys key ... [WEIGHTS weight ...] [AGGREGATE <aggregate: SUM | MIN | MAX>] [WITHSCORES]"),
    row("zunionstore", -4, algebra::zunionstore)
        .flags(flag::WRITE | flag::DENYOOM | flag::MOVABLEKEYS)
        .keys(&[KeySpec::one(1, key::OW | key::UPDATE), KeySpec::counted(2, key::RO | key::ACCESS)])
        .since("2.0.0")
        .complexity("O(N + M*log(M)), N being the size of all sets and M the size of the result.")
        .summary("Stores the members of all sets.")
        .syntax("destination numkeys key ... [WEIGHTS weight ...] [AGGREGATE <aggregate: SUM | MIN | MAX>]"),
];

const fn row(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::SortedSet, name, arity, handler).acl(acl::SORTEDSET)
}

fn zcard(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<ZSet>(db.key(ctx.args.at(1)))?;
    ctx.reply.integer(set.map_or(0, |set| set.len() as i64));
    Ok(())
}

fn zscore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<ZSet>(db.key(ctx.args.at(1)))?;
    match set.and_then(|set| set.score(ctx.args.at(2))) {
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zmscore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<ZSet>(db.key(ctx.args.at(1)))?;
    ctx.reply.array(ctx.args.len() - 2);
    for member in ctx.args.from(2).iter() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => ctx.reply.double(score),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn zrem(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let members = ctx.args.from(2);
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |set: &mut ZSet| {
        members.iter().filter(|member| set.remove(member).is_some()).count()
    })?;
    let (removed, gone) = edited.unwrap_or((0, false));
    if removed > 0 {
        ctx.changed_times(removed as u64, Class::SortedSet, "zrem", name);
        ctx.gone(name, gone);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

fn zrank(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    rank(ctx, "zrank", false)
}

fn zrevrank(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    rank(ctx, "zrevrank", true)
}

fn rank(ctx: &mut Ctx<'_>, command: &str, reverse: bool) -> Result<(), CommandError> {
    let with_score = match ctx.args.get(3) {
        None => false,
        Some(_) if ctx.args.len() > 4 => return Err(CommandError::arity(command)),
        Some(word) if word.eq_ignore_ascii_case(b"withscore") => true,
        Some(_) => return Err(CommandError::Syntax),
    };
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<ZSet>(db.key(ctx.args.at(1)))?;
    let found = set.and_then(|set| {
        let (rank, score) = set.rank(ctx.args.at(2))?;
        Some((if reverse { set.len() - 1 - rank } else { rank }, score))
    });
    match found {
        Some((rank, score)) => {
            if with_score {
                ctx.reply.array(2);
            }
            ctx.reply.integer(rank as i64);
            if with_score {
                ctx.reply.double(score);
            }
        }
        None if with_score => ctx.reply.null_array(),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zrandmember(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let choice = match ctx.args.len() {
        2 => None,
        _ => Some(random_count(ctx.args, b"withscores")?),
    };
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<ZSet>(db.key(ctx.args.at(1)))?;
    let Some((count, with_scores)) = choice else {
        match set.and_then(|set| set.nth(ctx.rng.below(set.len() as u64) as usize)) {
            Some((member, _)) => write_item(&mut ctx.reply, member),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let Some(set) = set else {
        ctx.reply.array(0);
        return Ok(());
    };
    let reply = &mut ctx.reply;
    if count < 0 {
        let n = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        write_header(reply, n, with_scores);
        let (value, walk) = (ValueRef::ZSet(set), Walk::Random { both: with_scores });
        walk::write(reply, &mut ctx.rest, ctx.rng, value, walk, (0, n));
        return Ok(());
    }
    let n = usize::try_from(count).unwrap_or(usize::MAX).min(set.len());
    write_header(reply, n, with_scores);
    if n == set.len() {
        let walk = Walk::Ranks { reverse: false, scores: with_scores };
        walk::write(reply, &mut ctx.rest, ctx.rng, ValueRef::ZSet(set), walk, (0, n));
    } else {
        for rank in distinct(ctx.rng, set.len(), n) {
            if let Some(pair) = set.nth(rank) {
                write_score(reply, pair, with_scores);
            }
        }
    }
    Ok(())
}

fn zscan(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let cursor = parse_cursor(ctx.args.at(2))?;
    let mut db = ctx.keyspace.db(ctx.db);
    let Some(set) = db.view::<ZSet>(db.key(ctx.args.at(1)))? else {
        empty_scan(&mut ctx.reply);
        return Ok(());
    };
    let options = Scan::parse(ctx.args)?;
    let mut found = Vec::new();
    let next = set.scan(cursor, options.count, |member, score| {
        if options.wants(member) {
            found.push((member.to_vec(), score));
        }
    });
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.reply.array(found.len() * 2);
    for (member, score) in found {
        ctx.reply.bulk(&member);
        ctx.reply.bulk(&format_double(score));
    }
    Ok(())
}

/// Writes the header of an array of `n` members: with scores it is flat in version 2 of the
/// protocol and holds pairs in version 3.
fn write_header(reply: &mut Reply<'_>, n: usize, with_scores: bool) {
    let flat = with_scores && reply.proto() == Proto::Resp2;
    reply.array(if flat { n.saturating_mul(2) } else { n });
}
