//! Unions, intersections and differences of sorted sets. Sets take part as sorted sets with all
//! scores 1.

use super::write_header;
use crate::command::collection::{Operation, double, positive};
use crate::command::sets::store_result;
use crate::command::walk::write_score;
use crate::command::{Class, CommandError, Ctx};
use crate::resp::number::parse_i64;
use crate::sorted::sort_by_key;
use crate::store::value::{Item, Limits, SetRef, ZSet, ZSetRef};
use crate::store::{Value, ValueRef};

pub(super) fn zunion(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    show(ctx, Operation::Union, "zunion")
}

pub(super) fn zinter(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    show(ctx, Operation::Intersection, "zinter")
}

pub(super) fn zdiff(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    show(ctx, Operation::Difference, "zdiff")
}

pub(super) fn zunionstore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    store(ctx, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    store(ctx, Operation::Intersection, "zinterstore")
}

pub(super) fn zdiffstore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    store(ctx, Operation::Difference, "zdiffstore")
}

pub(super) fn zintercard(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let query = Query::parse(ctx, 1, Operation::Intersection, Purpose::Count, "zintercard")?;
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
    let mut db = ctx.keyspace.db(ctx.db);
    let sources = sources(&mut db, &query);
    let mut count = 0;
    intersect(&sources, &query, |_, _| {
        count += 1;
        count < limit
    });
    ctx.reply.integer(count as i64);
    Ok(())
}

fn show(ctx: &mut Ctx<'_>, operation: Operation, command: &str) -> Result<(), CommandError> {
    let query = Query::parse(ctx, 1, operation, Purpose::Show, command)?;
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let result = compute(&sources(&mut db, &query), &query, operation, &limits);
    let view = result.view();
    let reply = &mut ctx.reply;
    write_header(reply, view.len(), query.with_scores);
    for pair in view.iter_from(0) {
        write_score(reply, pair, query.with_scores);
    }
    ctx.keyspace.db(ctx.db).free_later(Value::ZSet(result));
    Ok(())
}

fn store(
    ctx: &mut Ctx<'_>,
    operation: Operation,
    command: &'static str,
) -> Result<(), CommandError> {
    let query = Query::parse(ctx, 2, operation, Purpose::Store, command)?;
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let mut result = compute(&sources(&mut db, &query), &query, operation, &limits);
    result.compact(&limits);
    let len = result.len();
    let value = (len > 0).then_some(Value::ZSet(result));
    store_result(ctx, ctx.args.at(1), command, value, Class::SortedSet);
    ctx.reply.integer(len as i64);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Show,
    Store,
    Count,
}

#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

struct Query<'a> {
    /// The keys and their weights.
    keys: Vec<(&'a [u8], f64)>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: usize,
}

impl<'a> Query<'a> {
    /// Parses the arguments; the number of keys is at `at`. The keys are looked up before the
    /// options are parsed, as in Redis: a wrong type is reported before a bad option.
    fn parse(
        ctx: &mut Ctx<'a>,
        at: usize,
        operation: Operation,
        purpose: Purpose,
        command: &str,
    ) -> Result<Self, CommandError> {
        let numkeys = parse_i64(ctx.args.at(at)).ok_or(CommandError::NotAnInteger)?;
        if numkeys < 1 {
            return Err(CommandError::composed(format!(
                "ERR at least 1 input key is needed for '{command}' command"
            )));
        }
        let first = at + 1;
        let numkeys = usize::try_from(numkeys).unwrap_or(usize::MAX);
        if numkeys > ctx.args.len() - first {
            return Err(CommandError::Syntax);
        }
        let mut keys: Vec<(&'a [u8], f64)> =
            ctx.args.from(first).iter().take(numkeys).map(|name| (name, 1.0)).collect();
        let mut db = ctx.keyspace.db(ctx.db);
        for (name, _) in &keys {
            match db.read(db.key(name)) {
                None | Some(ValueRef::Set(_) | ValueRef::ZSet(_)) => {}
                Some(_) => return Err(CommandError::WrongType),
            }
        }
        let (mut aggregate, mut with_scores, mut limit) = (Aggregate::Sum, false, 0);
        let weighted = operation != Operation::Difference && purpose != Purpose::Count;
        let mut options = ctx.args.from(first + numkeys).iter();
        while let Some(option) = options.next() {
            if weighted && option.eq_ignore_ascii_case(b"weights") && options.len() >= keys.len() {
                for (_, weight) in &mut keys {
                    let text = options.next().unwrap_or_default();
                    *weight = double(text, "ERR weight value is not a float")?;
                }
            } else if weighted && option.eq_ignore_ascii_case(b"aggregate") {
                let word = options.next().ok_or(CommandError::Syntax)?;
                aggregate = if word.eq_ignore_ascii_case(b"sum") {
                    Aggregate::Sum
                } else if word.eq_ignore_ascii_case(b"min") {
                    Aggregate::Min
                } else if word.eq_ignore_ascii_case(b"max") {
                    Aggregate::Max
                } else {
                    return Err(CommandError::Syntax);
                };
            } else if purpose == Purpose::Show && option.eq_ignore_ascii_case(b"withscores") {
                with_scores = true;
            } else if purpose == Purpose::Count && option.eq_ignore_ascii_case(b"limit") {
                let value = options.next().ok_or(CommandError::Syntax)?;
                limit = positive(value, "ERR LIMIT can't be negative")?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(Query { keys, aggregate, with_scores, limit })
    }
}

/// An input: a sorted set, or a set, whose members all have the score 1.
#[derive(Clone, Copy)]
enum Source<'a> {
    Sorted(ZSetRef<'a>),
    Plain(SetRef<'a>),
    Missing,
}

impl<'a> Source<'a> {
    fn len(self) -> usize {
        match self {
            Source::Sorted(set) => set.len(),
            Source::Plain(set) => set.len(),
            Source::Missing => 0,
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Sorted(set) => set.score(member),
            Source::Plain(set) => set.contains(member).then_some(1.0),
            Source::Missing => None,
        }
    }

    /// Calls `f` with each member, until it returns false.
    fn each(self, mut f: impl FnMut(Item<'a>, f64) -> bool) {
        match self {
            Source::Sorted(set) => {
                let _ = set.iter_from(0).all(|(member, score)| f(member, score));
            }
            Source::Plain(set) => {
                let _ = set.iter().all(|member| f(member, 1.0));
            }
            Source::Missing => {}
        }
    }
}

fn sources<'d>(db: &'d mut crate::store::DbMut<'_>, query: &Query<'_>) -> Vec<(Source<'d>, f64)> {
    let db = &*db;
    let source = |name: &[u8]| match db.peek(db.key(name)) {
        Some(ValueRef::ZSet(set)) => Source::Sorted(set),
        Some(ValueRef::Set(set)) => Source::Plain(set),
        _ => Source::Missing,
    };
    query.keys.iter().map(|(name, weight)| (source(name), *weight)).collect()
}

fn compute(
    sources: &[(Source<'_>, f64)],
    query: &Query<'_>,
    operation: Operation,
    limits: &Limits,
) -> ZSet {
    let mut digits = itoa::Buffer::new();
    let mut result = ZSet::new(usize::MAX, 0, limits);
    match operation {
        Operation::Intersection => intersect(sources, query, |member, score| {
            result.insert(member, score, limits);
            true
        }),
        Operation::Union => {
            let mut sorted = sources.to_vec();
            sort_by_key(&mut sorted, |(source, _)| source.len());
            for (source, weight) in sorted {
                source.each(|member, score| {
                    let member = member.bytes(&mut digits);
                    let score = weighted(score, weight);
                    let score = match result.view().score(member) {
                        Some(before) => {
                            let sum = combined(query.aggregate, before, score);
                            if before == 0.0 && sum == 0.0 {
                                // 0 and -0 are equal, but print differently.
                                result.remove(member);
                            }
                            sum
                        }
                        None => score,
                    };
                    result.insert(member, score, limits);
                    true
                });
            }
        }
        Operation::Difference => {
            let Some(((first, _), others)) = sources.split_first() else { return result };
            first.each(|member, score| {
                let member = member.bytes(&mut digits);
                if !others.iter().any(|(other, _)| other.score(member).is_some()) {
                    result.insert(member, score, limits);
                }
                true
            });
        }
    }
    result
}

/// Calls `f` with the members that all sources have, with their scores, until it returns false. The
/// sources are visited from the smallest to the largest, which decides the last digit of a sum of
/// fractions.
fn intersect(
    sources: &[(Source<'_>, f64)],
    query: &Query<'_>,
    mut f: impl FnMut(&[u8], f64) -> bool,
) {
    let mut sorted = sources.to_vec();
    sort_by_key(&mut sorted, |(source, _)| source.len());
    let Some(((first, weight), others)) = sorted.split_first() else { return };
    let mut digits = itoa::Buffer::new();
    first.each(|member, score| {
        let member = member.bytes(&mut digits);
        let mut score = weighted(score, *weight);
        for (other, weight) in others {
            match other.score(member) {
                Some(value) => score = combined(query.aggregate, score, value * weight),
                None => return true,
            }
        }
        f(member, score)
    });
}

fn weighted(score: f64, weight: f64) -> f64 {
    let product = score * weight;
    if product.is_nan() { 0.0 } else { product }
}

/// Combines two scores. Infinities of both signs add up to zero.
fn combined(aggregate: Aggregate, a: f64, b: f64) -> f64 {
    match aggregate {
        Aggregate::Sum if (a + b).is_nan() => 0.0,
        Aggregate::Sum => a + b,
        Aggregate::Min if b < a => b,
        Aggregate::Max if b > a => b,
        _ => a,
    }
}
