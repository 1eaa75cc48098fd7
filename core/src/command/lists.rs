//! List commands, except the blocking ones.
//!
//! [`ends`] holds what they share with the blocking commands: pushing, popping, and moving elements
//! between lists.

use super::collection::{index_range, positive, write_item};
use super::meta::{acl, flag, key};
use super::walk::{self, Walk};
use super::{Class, CommandError, Ctx, Group, Handler, KeySpec, Row};
use crate::resp::number::parse_i64;
use crate::resp::reply::Aggregate;
use crate::store::value::{End, Item, List};
use crate::store::{Value, ValueRef};

pub mod ends;

/// The rows of the list commands.
pub static ROWS: &[Row<Handler>] = &[
    row("lindex", 3, lindex)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .complexity("O(log(N)) plus the length of a run, N being the length of the list.")
        .summary("Gives the element at an index; negative ones count from the tail.")
        .syntax("key index"),
    row("linsert", 5, linsert)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::RW | key::INSERT)])
        .since("2.2.0")
        .complexity("O(N), N being the number of elements before the pivot.")
        .summary("Inserts an element before or after the first one that equals the pivot.")
        .syntax("key <where: BEFORE | AFTER> pivot element"),
    row("llen", 2, llen)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO)])
        .summary("Gives the length of a list.")
        .syntax("key"),
    row("lmove", 5, ends::lmove)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::DELETE), KeySpec::one(2, key::RW | key::INSERT)])
        .since("6.2.0")
        .summary("Takes an element from an end of a list and puts it at an end of another, or of the same.")
        .syntax("source destination <wherefrom: LEFT | RIGHT> <whereto: LEFT | RIGHT>"),
    row("lmpop", -4, ends::lmpop)
        .flags(flag::WRITE | flag::MOVABLEKEYS)
        .keys(&[KeySpec::counted(1, key::RW | key::ACCESS | key::DELETE)])
        .since("7.0.0")
        .complexity("O(N+M), N being the number of keys and M the number of elements taken.")
        .summary("Takes elements from an end of the first of some lists that is not empty.")
        .syntax("numkeys key ... <where: LEFT | RIGHT> [COUNT count]"),
    row("lpop", -2, ends::lpop)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::DELETE)])
        .complexity("O(N), N being the number of elements taken.")
        .summary("Takes elements from the head of a list.")
        .syntax("key [count@6.2.0]")
        .history(&[("6.2.0", "New: a count.")]),
    row("lpos", -3, lpos)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("6.0.6")
        .complexity("O(N), N being the number of elements looked at.")
        .summary("Finds the indexes of elements that equal a value.")
        .syntax("key element [RANK rank] [COUNT num-matches] [MAXLEN len]"),
    row("lpush", -3, ends::lpush)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::INSERT)])
        .complexity("O(N), N being the number of elements put.")
        .summary("Puts elements at the head of a list, one after the other.")
        .syntax("key element ...")
        .history(&[("2.4.0", "Takes several elements.")]),
    row("lpushx", -3, ends::lpushx)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::INSERT)])
        .since("2.2.0")
        .complexity("O(N), N being the number of elements put.")
        .summary("Puts elements at the head of a list that exists.")
        .syntax("key element ...")
        .history(&[("4.0.0", "Takes several elements.")]),
    row("lrange", 4, lrange)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .complexity("O(log(N)+M), N being the length of the list and M the number of elements given.")
        .summary("Gives the elements between two indexes, both included.")
        .syntax("key start stop"),
    row("lrem", 4, lrem)
        .flags(flag::WRITE)
        .keys(&[KeySpec::one(1, key::RW | key::DELETE)])
        .complexity("O(N), N being the length of the list.")
        .summary("Removes elements that equal a value: from the head, from the tail, or all.")
        .syntax("key count element"),
    row("lset", 4, lset)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .complexity("O(log(N)) plus the length of a run, N being the length of the list.")
        .summary("Puts a value in the place of the element at an index.")
        .syntax("key index element"),
    row("ltrim", 4, ltrim)
        .flags(flag::WRITE)
        .keys(&[KeySpec::one(1, key::RW | key::DELETE)])
        .complexity("O(N), N being the number of elements removed.")
        .summary("Keeps nothing of a list but what is between two indexes.")
        .syntax("key start stop"),
    row("rpop", -2, ends::rpop)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::DELETE)])
        .complexity("O(N), N being the number of elements taken.")
        .summary("Takes elements from the tail of a list.")
        .syntax("key [count@6.2.0]")
        .history(&[("6.2.0", "New: a count.")]),
    row("rpoplpush", 3, ends::rpoplpush)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::DELETE), KeySpec::one(2, key::RW | key::INSERT)])
        .since("1.2.0")
        .summary("Takes the last element of a list and puts it at the head of another.")
        .syntax("source destination")
        .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
    row("rpush", -3, ends::rpush)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::INSERT)])
        .complexity("O(N), N being the number of elements put.")
        .summary("Puts elements at the tail of a list, one after the other.")
        .syntax("key element ...")
        .history(&[("2.4.0", "Takes several elements.")]),
    row("rpushx", -3, ends::rpushx)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::INSERT)])
        .since("2.2.0")
        .complexity("O(N), N being the number of elements put.")
        .summary("Puts elements at the tail of a list that exists.")
        .syntax("key element ...")
        .history(&[("4.0.0", "Takes several elements.")]),
];

const fn row(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::List, name, arity, handler).acl(acl::LIST)
}

fn llen(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let list = db.view::<List>(db.key(ctx.args.at(1)))?;
    ctx.reply.integer(list.map_or(0, |list| list.len() as i64));
    Ok(())
}

fn lindex(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let Some(list) = db.view::<List>(db.key(ctx.args.at(1)))? else {
        ctx.reply.null();
        return Ok(());
    };
    let index = parse_i64(ctx.args.at(2)).ok_or(CommandError::NotAnInteger)?;
    match place(index, list.len()).and_then(|index| list.get(index)) {
        Some(item) => write_item(&mut ctx.reply, item),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn lrange(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (start, stop) = (ctx.integer(2)?, ctx.integer(3)?);
    let mut db = ctx.keyspace.db(ctx.db);
    let Some(list) = db.view::<List>(db.key(ctx.args.at(1)))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let range = index_range(start, stop, list.len());
    ctx.reply.array(range.len());
    if !range.is_empty() {
        let part = (range.start, range.len());
        let (value, rest) = (ValueRef::List(list), &mut ctx.rest);
        walk::write(&mut ctx.reply, rest, ctx.rng, value, Walk::Elements, part);
    }
    Ok(())
}

fn lset(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (name, text) = (ctx.args.at(1), ctx.args.at(3));
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    db.check::<List>(key)?.ok_or(CommandError::NoSuchKey)?;
    let index = parse_i64(ctx.args.at(2)).ok_or(CommandError::NotAnInteger)?;
    let edited = db.edit(key, |list: &mut List| {
        let index = place(index, list.len())?;
        list.grow([text], &limits);
        list.set(index, text, &limits);
        list.shrink(&limits);
        Some(())
    })?;
    edited.and_then(|(done, _)| done).ok_or(CommandError::OutOfRange)?;
    ctx.changed(Class::List, "lset", name);
    ctx.reply.ok();
    Ok(())
}

fn linsert(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let after = if ctx.args.at(2).eq_ignore_ascii_case(b"after") {
        true
    } else if ctx.args.at(2).eq_ignore_ascii_case(b"before") {
        false
    } else {
        return Err(CommandError::Syntax);
    };
    let (name, pivot, text) = (ctx.args.at(1), Item::of(ctx.args.at(3)), ctx.args.at(4));
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |list: &mut List| {
        list.grow([text], &limits);
        let index = list.view().iter().position(|item| item == pivot)?;
        list.insert(index + usize::from(after), text, &limits);
        Some(list.len())
    })?;
    match edited {
        None => ctx.reply.integer(0),
        Some((None, _)) => ctx.reply.integer(-1),
        Some((Some(len), _)) => {
            ctx.changed(Class::List, "linsert", name);
            ctx.reply.integer(len as i64);
        }
    }
    Ok(())
}

fn lrem(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let count = ctx.integer(2)?;
    let (name, text) = (ctx.args.at(1), ctx.args.at(3));
    let from = if count < 0 { End::Right } else { End::Left };
    let limit = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    };
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |list: &mut List| {
        let removed = list.remove_equal(text, from, limit, &limits);
        if removed > 0 {
            list.shrink(&limits);
        }
        removed
    })?;
    let (removed, gone) = edited.unwrap_or((0, false));
    if removed > 0 {
        ctx.changed_times(removed as u64, Class::List, "lrem", name);
        ctx.gone(name, gone);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

fn ltrim(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let (start, stop) = (ctx.integer(2)?, ctx.integer(3)?);
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let edited = db.edit(key, |list: &mut List| {
        let len = list.len();
        let range = index_range(start, stop, len);
        if range.is_empty() {
            // The elements that are cut off a long list are freed in slices.
            return (len, Some(core::mem::take(list)));
        }
        list.remove(range.end, len - range.end, &limits);
        list.remove(0, range.start, &limits);
        list.shrink(&limits);
        (len - range.len(), None)
    })?;
    if let Some(((removed, rest), gone)) = edited {
        if let Some(rest) = rest {
            db.free_later(Value::List(rest));
        }
        ctx.changed_times(removed as u64, Class::List, "ltrim", name);
        ctx.gone(name, gone);
    }
    ctx.reply.ok();
    Ok(())
}

fn lpos(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let wanted = Item::of(ctx.args.at(2));
    let (mut rank, mut count, mut max_len) = (1i64, None, 0);
    let mut options = ctx.args.from(3).iter();
    while let Some(option) = options.next() {
        let value = options.next().ok_or(CommandError::Syntax)?;
        if option.eq_ignore_ascii_case(b"rank") {
            rank = parse_i64(value).ok_or(CommandError::NotAnInteger)?;
            if rank == i64::MIN {
                return Err(CommandError::text(
                    "ERR value is out of range, value must between \
                     -9223372036854775807 and 9223372036854775807",
                ));
            }
            if rank == 0 {
                return Err(CommandError::text(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the \
                     second ... or use negative to start from the end of the list",
                ));
            }
        } else if option.eq_ignore_ascii_case(b"count") {
            count = Some(positive(value, "ERR COUNT can't be negative")?);
        } else if option.eq_ignore_ascii_case(b"maxlen") {
            max_len = positive(value, "ERR MAXLEN can't be negative")?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let mut db = ctx.keyspace.db(ctx.db);
    let Some(list) = db.view::<List>(db.key(ctx.args.at(1)))? else {
        match count {
            Some(_) => ctx.reply.array(0),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let len = list.len();
    let skip = usize::try_from(rank.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let limit = match count {
        None => 1,
        Some(0) => usize::MAX,
        Some(n) => n,
    };
    let looked_at = if max_len == 0 { usize::MAX } else { max_len };
    let mut found = Vec::new();
    let mut collect = |items: &mut dyn Iterator<Item = Item<'_>>,
                       index: &dyn Fn(usize) -> usize| {
        found.extend(
            items
                .take(looked_at)
                .enumerate()
                .filter(|(_, item)| *item == wanted)
                .map(|(at, _)| index(at))
                .skip(skip)
                .take(limit),
        );
    };
    if rank > 0 {
        collect(&mut list.iter(), &|at| at);
    } else {
        collect(&mut list.iter_back_from(len.saturating_sub(1)), &|at| len - 1 - at);
    }
    if count.is_some() {
        let array = ctx.reply.begin(Aggregate::Array);
        for index in &found {
            ctx.reply.integer(*index as i64);
        }
        ctx.reply.end(array, found.len());
    } else {
        match found.first() {
            Some(index) => ctx.reply.integer(*index as i64),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

/// The index counted from the head, if it is in range.
fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(len as i64)? } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}
