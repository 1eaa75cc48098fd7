//! Pushing to and popping from the ends of lists, and moving elements between lists, shared with
//! the blocking commands.

use crate::command::collection::{positive, write_item};
use crate::command::{Class, CommandError, Ctx};
use crate::store::Value;
use crate::store::value::{End, Item, List};

pub(super) fn lpush(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    push(ctx, End::Left, false)
}

pub(super) fn rpush(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    push(ctx, End::Right, false)
}

pub(super) fn lpushx(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    push(ctx, End::Left, true)
}

pub(super) fn rpushx(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    push(ctx, End::Right, true)
}

pub(super) fn lpop(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    pop(ctx, End::Left)
}

pub(super) fn rpop(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    pop(ctx, End::Right)
}

pub(super) fn lmpop(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (keys, end, count) = parse_mpop(ctx, 1)?;
    for index in keys {
        if take_with_key(ctx, ctx.args.at(index), end, count)? {
            return Ok(());
        }
    }
    ctx.reply.null_array();
    Ok(())
}

pub(super) fn lmove(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (from, to) = (parse_end(ctx.args.at(3))?, parse_end(ctx.args.at(4))?);
    if !move_element(ctx, ctx.args.at(1), ctx.args.at(2), from, to)? {
        ctx.reply.null();
    }
    Ok(())
}

pub(super) fn rpoplpush(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    if !move_element(ctx, ctx.args.at(1), ctx.args.at(2), End::Right, End::Left)? {
        ctx.reply.null();
    }
    Ok(())
}

/// Parses `LEFT` or `RIGHT`.
pub fn parse_end(word: &[u8]) -> Result<End, CommandError> {
    if word.eq_ignore_ascii_case(b"left") {
        Ok(End::Left)
    } else if word.eq_ignore_ascii_case(b"right") {
        Ok(End::Right)
    } else {
        Err(CommandError::Syntax)
    }
}

/// Parses the arguments of LMPOP from `at` on (BLMPOP has its timeout first): the positions of the
/// keys, the end to pop from, and the number of elements.
pub fn parse_mpop(
    ctx: &Ctx<'_>,
    at: usize,
) -> Result<(core::ops::Range<usize>, End, usize), CommandError> {
    crate::command::collection::parse_mpop(ctx, at, parse_end)
}

/// Pops one element from an end of a list and passes it to `f`; `None` if there is no such list.
/// Reports the change; the reply and the propagation are left to the caller.
pub fn take<R>(
    ctx: &mut Ctx<'_>,
    name: &[u8],
    end: End,
    f: impl FnOnce(&mut Ctx<'_>, &[u8]) -> R,
) -> Result<Option<R>, CommandError> {
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |list: &mut List| {
        let text = list.pop(end, |item| item.to_vec());
        list.shrink(&limits);
        text
    })?;
    let Some((Some(text), gone)) = edited else { return Ok(None) };
    after_pop(ctx, name, end, 1, gone);
    Ok(Some(f(ctx, &text)))
}

/// Pops up to `count` elements from an end of a list, replies with the key and the elements, and
/// propagates that as LPOP or RPOP. False if there is no such list.
pub fn take_with_key(
    ctx: &mut Ctx<'_>,
    name: &[u8],
    end: End,
    count: usize,
) -> Result<bool, CommandError> {
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let reply = &mut ctx.reply;
    let edited = db.edit(db.key(name), |list: &mut List| {
        let n = count.min(list.len());
        reply.array(2);
        reply.bulk(name);
        reply.array(n);
        pop_some(list, end, n, |item| write_item(reply, item));
        list.shrink(&limits);
        n
    })?;
    let Some((n, gone)) = edited else { return Ok(false) };
    after_pop(ctx, name, end, n, gone);
    let command: &[u8] = if end == End::Left { b"LPOP" } else { b"RPOP" };
    let mut digits = itoa::Buffer::new();
    ctx.effects.propagate(ctx.db, [command, name, digits.format(n).as_bytes()]);
    Ok(true)
}

/// Moves an element and replies with it. False, without a reply, if the source does not exist.
pub fn move_element(
    ctx: &mut Ctx<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
    to: End,
) -> Result<bool, CommandError> {
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    if db.check::<List>(db.key(source))?.is_none() {
        return Ok(false);
    }
    db.check::<List>(db.key(destination))?;
    let text = db.edit(db.key(source), |list: &mut List| {
        let text = list.pop(from, |item| item.to_vec()).unwrap_or_default();
        if source == destination {
            list.push(to, &text, &limits);
        }
        list.shrink(&limits);
        text
    })?;
    let Some((text, gone)) = text else { return Ok(false) };
    let event = if to == End::Left { "lpush" } else { "rpush" };
    if source != destination {
        let created = put(&mut db, destination, to, [&text[..]], &limits)?;
        ctx.stored(destination, created);
    }
    ctx.effects.touched(ctx.db, destination);
    ctx.effects.event(ctx.db, Class::List, event, destination);
    ctx.effects.ready(ctx.db, destination);
    after_pop(ctx, source, from, 1, gone);
    ctx.reply.bulk(&text);
    Ok(true)
}

fn push(ctx: &mut Ctx<'_>, end: End, only_existing: bool) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let texts = ctx.args.from(2);
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |list: &mut List| {
        list.grow(texts.iter(), &limits);
        texts.iter().for_each(|text| list.push(end, text, &limits));
        list.len()
    })?;
    let (len, created) = match edited {
        Some((len, _)) => (len, false),
        None if only_existing => {
            ctx.reply.integer(0);
            return Ok(());
        }
        None => {
            let mut list = List::default();
            list.grow(texts.iter(), &limits);
            texts.iter().for_each(|text| list.push(end, text, &limits));
            db.set_value(db.key(name), Value::List(list));
            (texts.len(), true)
        }
    };
    ctx.stored(name, created);
    let event = if end == End::Left { "lpush" } else { "rpush" };
    ctx.changed_times(texts.len() as u64, Class::List, event, name);
    ctx.effects.ready(ctx.db, name);
    ctx.reply.integer(len as i64);
    Ok(())
}

fn pop(ctx: &mut Ctx<'_>, end: End) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let count = match ctx.args.len() {
        2 => None,
        3 => Some(positive(ctx.args.at(2), "ERR value is out of range, must be positive")?),
        _ if end == End::Left => return Err(CommandError::arity("lpop")),
        _ => return Err(CommandError::arity("rpop")),
    };
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    if count == Some(0) {
        match db.check::<List>(db.key(name))? {
            Some(_) => ctx.reply.array(0),
            None => ctx.reply.null_array(),
        }
        return Ok(());
    }
    let reply = &mut ctx.reply;
    let edited = db.edit(db.key(name), |list: &mut List| {
        let n = count.unwrap_or(1).min(list.len());
        if count.is_some() {
            reply.array(n);
        }
        pop_some(list, end, n, |item| write_item(reply, item));
        list.shrink(&limits);
        n
    })?;
    match (edited, count) {
        (Some((n, gone)), _) => after_pop(ctx, name, end, n, gone),
        (None, Some(_)) => ctx.reply.null_array(),
        (None, None) => ctx.reply.null(),
    }
    Ok(())
}

/// Pushes elements to an end of a list, which is created if need be. Returns whether it was
/// created.
pub(super) fn put<'t>(
    db: &mut crate::store::DbMut<'_>,
    name: &[u8],
    end: End,
    texts: impl IntoIterator<Item = &'t [u8]> + Clone,
    limits: &crate::store::value::Limits,
) -> Result<bool, CommandError> {
    let put = |list: &mut List| {
        list.grow(texts.clone(), limits);
        texts.clone().into_iter().for_each(|text| list.push(end, text, limits));
    };
    let key = db.key(name);
    if db.edit(key, put)?.is_some() {
        return Ok(false);
    }
    let mut list = List::default();
    put(&mut list);
    db.set_value(key, Value::List(list));
    Ok(true)
}

fn pop_some(list: &mut List, end: End, n: usize, mut f: impl FnMut(Item<'_>)) {
    for _ in 0..n {
        list.pop(end, &mut f);
    }
}

fn after_pop(ctx: &mut Ctx<'_>, name: &[u8], end: End, n: usize, gone: bool) {
    let event = if end == End::Left { "lpop" } else { "rpop" };
    ctx.changed_times(n as u64, Class::List, event, name);
    ctx.gone(name, gone);
}
