//! Ranges of sorted sets by rank, score and string: returning, storing, counting and removing them.

use core::ops::Range;

use super::bounds::Bounds;
use super::write_header;
use crate::command::collection::index_range;
use crate::command::sets::store_result;
use crate::command::walk::{self, Walk};
use crate::command::{Class, CommandError, Ctx};
use crate::resp::number::parse_i64;
use crate::store::value::{ZSet, ZSetRef};
use crate::store::{Value, ValueRef};

pub(super) fn zrange(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    show(ctx, None, None)
}

pub(super) fn zrevrange(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    show(ctx, Some(By::Rank), Some(true))
}

pub(super) fn zrangebyscore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    show(ctx, Some(By::Score), Some(false))
}

pub(super) fn zrevrangebyscore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    show(ctx, Some(By::Score), Some(true))
}

pub(super) fn zrangebylex(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    show(ctx, Some(By::Lex), Some(false))
}

pub(super) fn zrevrangebylex(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    show(ctx, Some(By::Lex), Some(true))
}

pub(super) fn zrangestore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let query = Query::parse(ctx, 2, None, None, true)?;
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let source = db.view::<ZSet>(db.key(ctx.args.at(2)))?;
    let result = source.map(|set| {
        let (ranks, len) = query.ranks(set);
        let expected = if query.limit.is_none() { len } else { 0 };
        let mut result = ZSet::new(expected, 0, &limits);
        let mut digits = itoa::Buffer::new();
        for (member, score) in set.iter_from(ranks.start).take(ranks.len()) {
            result.insert(member.bytes(&mut digits), score, &limits);
        }
        result
    });
    let result = result.filter(|set| !set.is_empty());
    let len = result.as_ref().map_or(0, ZSet::len);
    let value = result.map(Value::ZSet);
    store_result(ctx, ctx.args.at(1), "zrangestore", value, Class::SortedSet);
    ctx.reply.integer(len as i64);
    Ok(())
}

pub(super) fn zcount(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let bounds = Bounds::scores(ctx.args.at(2), ctx.args.at(3))?;
    count(ctx, &bounds)
}

pub(super) fn zlexcount(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let bounds = Bounds::strings(ctx.args.at(2), ctx.args.at(3))?;
    count(ctx, &bounds)
}

pub(super) fn zremrangebyrank(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (start, stop) = (ctx.integer(2)?, ctx.integer(3)?);
    remove(ctx, "zremrangebyrank", |set| index_range(start, stop, set.len()))
}

pub(super) fn zremrangebyscore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let bounds = Bounds::scores(ctx.args.at(2), ctx.args.at(3))?;
    remove(ctx, "zremrangebyscore", |set| bounds.ranks(set))
}

pub(super) fn zremrangebylex(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let bounds = Bounds::strings(ctx.args.at(2), ctx.args.at(3))?;
    remove(ctx, "zremrangebylex", |set| bounds.ranks(set))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// The arguments of ZRANGE and its variants.
struct Query<'a> {
    wanted: Wanted<'a>,
    reverse: bool,
    with_scores: bool,
    /// The LIMIT: members to skip, and members to return; negative numbers as in Redis.
    limit: Option<(i64, i64)>,
}

enum Wanted<'a> {
    Ranks(i64, i64),
    Within(Bounds<'a>),
}

impl<'a> Query<'a> {
    /// Parses the arguments; the key is at `at`. What the command's name implies cannot be given as
    /// an option again.
    fn parse(
        ctx: &Ctx<'a>,
        at: usize,
        by: Option<By>,
        reverse: Option<bool>,
        store: bool,
    ) -> Result<Self, CommandError> {
        let (mut by, mut reverse) = (by, reverse);
        let (mut with_scores, mut limit) = (false, None);
        let mut options = ctx.args.from(at + 3).iter();
        while let Some(option) = options.next() {
            if !store && option.eq_ignore_ascii_case(b"withscores") {
                with_scores = true;
            } else if option.eq_ignore_ascii_case(b"limit") && options.len() >= 2 {
                let mut number =
                    || options.next().and_then(parse_i64).ok_or(CommandError::NotAnInteger);
                limit = Some((number()?, number()?));
            } else if reverse.is_none() && option.eq_ignore_ascii_case(b"rev") {
                reverse = Some(true);
            } else if by.is_none() && option.eq_ignore_ascii_case(b"bylex") {
                by = Some(By::Lex);
            } else if by.is_none() && option.eq_ignore_ascii_case(b"byscore") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if by == By::Rank && limit.is_some_and(|(_, count)| count != -1) {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if by == By::Lex && with_scores {
            return Err(CommandError::text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (first, second) = (ctx.args.at(at + 1), ctx.args.at(at + 2));
        let (min, max) = if reverse { (second, first) } else { (first, second) };
        let wanted = match by {
            By::Rank => Wanted::Ranks(
                parse_i64(first).ok_or(CommandError::NotAnInteger)?,
                parse_i64(second).ok_or(CommandError::NotAnInteger)?,
            ),
            By::Score => Wanted::Within(Bounds::scores(min, max)?),
            By::Lex => Wanted::Within(Bounds::strings(min, max)?),
        };
        let limit = limit.filter(|_| by != By::Rank);
        Ok(Query { wanted, reverse, with_scores, limit })
    }

    /// The ranks of the members to return, counted from the lowest score, and their number.
    fn ranks(&self, set: ZSetRef<'_>) -> (Range<usize>, usize) {
        let mut ranks = match &self.wanted {
            Wanted::Ranks(start, stop) => {
                let range = index_range(*start, *stop, set.len());
                if self.reverse && !range.is_empty() {
                    set.len() - range.end..set.len() - range.start
                } else {
                    range
                }
            }
            Wanted::Within(bounds) => bounds.ranks(set),
        };
        if let Some((offset, count)) = self.limit {
            let skip = usize::try_from(offset).unwrap_or(usize::MAX).min(ranks.len());
            let left = ranks.len() - skip;
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(left);
            ranks = if self.reverse {
                ranks.end - skip - count..ranks.end - skip
            } else {
                ranks.start + skip..ranks.start + skip + count
            };
        }
        let len = ranks.len();
        (ranks, len)
    }
}

fn show(ctx: &mut Ctx<'_>, by: Option<By>, reverse: Option<bool>) -> Result<(), CommandError> {
    let query = Query::parse(ctx, 1, by, reverse, false)?;
    let mut db = ctx.keyspace.db(ctx.db);
    let Some(set) = db.view::<ZSet>(db.key(ctx.args.at(1)))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let (ranks, len) = query.ranks(set);
    let reply = &mut ctx.reply;
    write_header(reply, len, query.with_scores);
    if len == 0 {
        return Ok(());
    }
    let first = if query.reverse { ranks.end - 1 } else { ranks.start };
    let walk = Walk::Ranks { reverse: query.reverse, scores: query.with_scores };
    walk::write(reply, &mut ctx.rest, ctx.rng, ValueRef::ZSet(set), walk, (first, len));
    Ok(())
}

fn count(ctx: &mut Ctx<'_>, bounds: &Bounds<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<ZSet>(db.key(ctx.args.at(1)))?;
    ctx.reply.integer(set.map_or(0, |set| bounds.ranks(set).len() as i64));
    Ok(())
}

fn remove(
    ctx: &mut Ctx<'_>,
    event: &'static str,
    ranks: impl Fn(ZSetRef<'_>) -> Range<usize>,
) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |set: &mut ZSet| {
        let ranks = ranks(set.view());
        if !ranks.is_empty() && ranks.len() == set.len() {
            // A whole set is freed in slices.
            return (ranks.len(), Some(core::mem::take(set)));
        }
        set.remove_ranks(ranks.start, ranks.len(), |_, _| ());
        (ranks.len(), None)
    })?;
    let ((removed, rest), gone) = edited.unwrap_or(((0, None), false));
    if let Some(rest) = rest {
        db.free_later(Value::ZSet(rest));
    }
    if removed > 0 {
        ctx.changed_times(removed as u64, Class::SortedSet, event, name);
        ctx.gone(name, gone);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}
