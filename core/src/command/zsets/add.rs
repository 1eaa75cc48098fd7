//! ZADD with its options, and ZINCRBY.

use crate::command::{Class, CommandError, Ctx};
use crate::resp::number::parse_double;
use crate::store::Value;
use crate::store::value::{Limits, ZSet};

/// The options of ZADD.
#[derive(Clone, Copy, Default)]
pub(in crate::command) struct Options {
    /// `NX`
    pub(in crate::command) only_new: bool,
    /// `XX`
    pub(in crate::command) only_existing: bool,
    greater: bool,
    less: bool,
    /// `CH`
    pub(in crate::command) changed: bool,
    increment: bool,
}

/// The result of adding members.
#[derive(Default)]
struct Outcome {
    added: usize,
    updated: usize,
    /// The last score, unless the member was left unchanged.
    score: Option<f64>,
}

const NOT_A_NUMBER: CommandError = CommandError::text("ERR resulting score is not a number (NaN)");

pub(super) fn zadd(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut options = Options::default();
    let mut at = 2;
    while let Some(word) = ctx.args.get(at) {
        let flag = match word.len() {
            2 if word.eq_ignore_ascii_case(b"nx") => &mut options.only_new,
            2 if word.eq_ignore_ascii_case(b"xx") => &mut options.only_existing,
            2 if word.eq_ignore_ascii_case(b"gt") => &mut options.greater,
            2 if word.eq_ignore_ascii_case(b"lt") => &mut options.less,
            2 if word.eq_ignore_ascii_case(b"ch") => &mut options.changed,
            4 if word.eq_ignore_ascii_case(b"incr") => &mut options.increment,
            _ => break,
        };
        *flag = true;
        at += 1;
    }
    add_arguments(ctx, at, options)
}

pub(super) fn zincrby(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    add_arguments(ctx, 2, Options { increment: true, ..Options::default() })
}

/// Adds the scores and members among the arguments from `at` on.
fn add_arguments(ctx: &mut Ctx<'_>, at: usize, options: Options) -> Result<(), CommandError> {
    let arguments = ctx.args.from(at);
    let count = arguments.len() / 2;
    if count == 0 || !arguments.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    if options.only_new && options.only_existing {
        return Err(CommandError::text(
            "ERR XX and NX options at the same time are not compatible",
        ));
    }
    if [options.greater, options.less, options.only_new].iter().filter(|o| **o).count() > 1 {
        return Err(CommandError::text(
            "ERR GT, LT, and/or NX options at the same time are not compatible",
        ));
    }
    if options.increment && count > 1 {
        return Err(CommandError::text("ERR INCR option supports a single increment-element pair"));
    }
    let mut pairs = smallvec::SmallVec::<[(f64, &[u8]); 8]>::new();
    for i in 0..count {
        let score = parse_double(arguments.at(2 * i)).ok_or(CommandError::NotAFloat)?;
        pairs.push((score, arguments.at(2 * i + 1)));
    }
    add(ctx, &pairs, options)
}

/// Adds members with their scores to the sorted set of a command, and replies.
pub(in crate::command) fn add(
    ctx: &mut Ctx<'_>,
    pairs: &[(f64, &[u8])],
    options: Options,
) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let count = pairs.len();
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let apply = |set: &mut ZSet| {
        let mut outcome = Outcome::default();
        for (score, member) in pairs {
            put(set, member, *score, options, &limits, &mut outcome)?;
        }
        Ok::<_, CommandError>(outcome)
    };
    let edited = db.edit(key, |set: &mut ZSet| {
        set.prepare(count, &limits);
        apply(set)
    })?;
    let (outcome, created) = match edited {
        Some((outcome, _)) => (outcome?, false),
        None if options.only_existing => (Outcome::default(), false),
        None => {
            let first = pairs.first().map_or(0, |(_, member)| member.len());
            let mut set = ZSet::new(count, first, &limits);
            let outcome = apply(&mut set)?;
            if !set.is_empty() {
                db.set_value(key, Value::ZSet(set));
            }
            (outcome, true)
        }
    };
    let changes = outcome.added + outcome.updated;
    if changes > 0 {
        ctx.stored(name, created);
        let event = if options.increment { "zincr" } else { "zadd" };
        ctx.changed_times(changes as u64, Class::SortedSet, event, name);
        ctx.effects.ready(ctx.db, name);
    }
    match outcome.score {
        Some(score) if options.increment => ctx.reply.double(score),
        None if options.increment => ctx.reply.null(),
        _ => {
            let n = if options.changed { changes } else { outcome.added };
            ctx.reply.integer(n as i64);
        }
    }
    Ok(())
}

#[inline]
fn put(
    set: &mut ZSet,
    member: &[u8],
    score: f64,
    options: Options,
    limits: &Limits,
    outcome: &mut Outcome,
) -> Result<(), CommandError> {
    let Options { only_new, only_existing, greater, less, increment, .. } = options;
    outcome.score = None;
    let mut score = score;
    if only_new || only_existing || greater || less || increment {
        match set.view().score(member) {
            None if only_existing => return Ok(()),
            None => {}
            Some(_) if only_new => return Ok(()),
            Some(current) => {
                if increment {
                    score += current;
                    if score.is_nan() {
                        return Err(NOT_A_NUMBER);
                    }
                }
                if (less && score >= current) || (greater && score <= current) {
                    return Ok(());
                }
            }
        }
    }
    outcome.score = Some(score);
    match set.insert(member, score, limits) {
        None => outcome.added += 1,
        Some(before) if before != score => outcome.updated += 1,
        Some(_) => {}
    }
    Ok(())
}
