//! Hash commands.

use super::collection::{Scan, distinct, empty_scan, random_count, write_item};
use super::extended::{Extended, Parsed};
use super::meta::{acl, flag, key};
use super::scan::parse_cursor;
use super::walk::{self, Walk, write_field};
use super::{Class, CommandError, Ctx, Group, Handler, KeySpec, Row};
use crate::resp::Proto;
use crate::resp::number::parse_i64;
use crate::store::value::{Hash, HashRef, Item};
use crate::store::{Value, ValueRef};

/// The rows of the hash commands.
pub static ROWS: &[Row<Handler>] = &[
    row("hdel", -3, hdel)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::DELETE)])
        .since("2.0.0")
        .complexity("O(N), N being the number of fields given.")
        .summary("Deletes fields of a hash.")
        .syntax("key field ...")
        .history(&[("2.4.0", "Takes several fields.")]),
    row("hexists", 3, hexists)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO)])
        .since("2.0.0")
        .summary("Tells whether a hash has a field.")
        .syntax("key field"),
    row("hget", 3, hget)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.0.0")
        .summary("Gives the value of a field.")
        .syntax("key field"),
    row("hgetall", 2, hgetall)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.0.0")
        .complexity("O(N), N being the size of the hash.")
        .summary("Gives all fields of a hash with their values.")
        .syntax("key")
        .tips(&["nondeterministic_output_order"]),
    row("hincrby", 4, hincrby)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE)])
        .since("2.0.0")
        .summary("Adds a number to the integer that a field holds; a missing field counts as 0.")
        .syntax("key field increment#integer"),
    row("hincrbyfloat", 4, hincrbyfloat)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE)])
        .since("2.6.0")
        .summary("Adds a fraction to the number that a field holds; a missing field counts as 0.")
        .syntax("key field increment"),
    row("hkeys", 2, hkeys)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.0.0")
        .complexity("O(N), N being the size of the hash.")
        .summary("Gives all fields of a hash.")
        .syntax("key")
        .tips(&["nondeterministic_output_order"]),
    row("hlen", 2, hlen)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO)])
        .since("2.0.0")
        .summary("Counts the fields of a hash.")
        .syntax("key"),
    row("hmget", -3, hmget)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.0.0")
        .complexity("O(N), N being the number of fields given.")
        .summary("Gives the values of several fields.")
        .syntax("key field ..."),
    row("hmset", -4, hset)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .since("2.0.0")
        .complexity("O(N), N being the number of fields given.")
        .summary("Sets several fields of a hash.")
        .syntax("key <data: field value> ...")
        .deprecated("4.0.0", "`HSET` with multiple field-value pairs"),
    row("hrandfield", -2, hrandfield)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("6.2.0")
        .complexity("O(N), N being the number of fields given.")
        .summary("Gives random fields of a hash.")
        .syntax("key [options: count [WITHVALUES]]")
        .tips(&["nondeterministic_output"]),
    row("hscan", -3, hscan)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.8.0")
        .complexity("O(1) for a call, O(N) for a walk over N fields.")
        .summary("Walks over the fields of a hash, some at a time.")
        .syntax("key cursor [MATCH pattern] [COUNT count]")
        .tips(&["nondeterministic_output"]),
    row("hset", -4, hset)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .since("2.0.0")
        .complexity("O(N), N being the number of fields given.")
        .summary("Sets fields of a hash, creating it if it does not exist.")
        .syntax("key <data: field value> ...")
        .history(&[("4.0.0", "Takes several fields with their values.")]),
    row("hsetnx", 4, hsetnx)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::INSERT)])
        .since("2.0.0")
        .summary("Sets a field of a hash if it does not exist.")
        .syntax("key field value"),
    row("hstrlen", 3, hstrlen)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO)])
        .since("3.2.0")
        .summary("Gives the length of the value of a field.")
        .syntax("key field"),
    row("hvals", 2, hvals)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.0.0")
        .complexity("O(N), N being the size of the hash.")
        .summary("Gives all values of a hash.")
        .syntax("key")
        .tips(&["nondeterministic_output_order"]),
];

const fn row(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::Hash, name, arity, handler).acl(acl::HASH)
}

/// HSET and HMSET, which differ only in their replies.
fn hset(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let multiple = ctx.args.at(0).get(1).is_some_and(|c| c.eq_ignore_ascii_case(&b'm'));
    let pairs = ctx.args.from(2);
    if !pairs.len().is_multiple_of(2) {
        return Err(CommandError::arity(if multiple { "hmset" } else { "hset" }));
    }
    let limits = ctx.limits();
    let set = |hash: &mut Hash| {
        hash.prepare(pairs.iter(), &limits);
        (0..pairs.len())
            .step_by(2)
            .filter(|i| hash.set(pairs.at(*i), pairs.at(i + 1), &limits))
            .count()
    };
    let created = edit_or_create(ctx, name, set)?;
    let (new_fields, created) = created;
    ctx.stored(name, created);
    ctx.changed_times(pairs.len() as u64 / 2, Class::Hash, "hset", name);
    if multiple {
        ctx.reply.ok();
    } else {
        ctx.reply.integer(new_fields as i64);
    }
    Ok(())
}

fn hsetnx(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (name, field, value) = (ctx.args.at(1), ctx.args.at(2), ctx.args.at(3));
    let limits = ctx.limits();
    let (new, created) = edit_or_create(ctx, name, |hash: &mut Hash| {
        let new = hash.view().get(field).is_none();
        if new {
            hash.prepare([field, value], &limits);
            hash.set(field, value, &limits);
        }
        new
    })?;
    if new {
        ctx.stored(name, created);
        ctx.changed(Class::Hash, "hset", name);
    }
    ctx.reply.integer(i64::from(new));
    Ok(())
}

fn hincrby(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let increment = ctx.integer(3)?;
    let (name, field) = (ctx.args.at(1), ctx.args.at(2));
    let limits = ctx.limits();
    let (result, created) = edit_or_create(ctx, name, |hash: &mut Hash| {
        let old = match hash.view().get(field) {
            None => 0,
            Some(Item::Int(n)) => n,
            Some(Item::Str(text)) => {
                parse_i64(text).ok_or(CommandError::text("ERR hash value is not an integer"))?
            }
        };
        let sum = old
            .checked_add(increment)
            .ok_or(CommandError::text("ERR increment or decrement would overflow"))?;
        hash.set(field, itoa::Buffer::new().format(sum).as_bytes(), &limits);
        Ok::<_, CommandError>(sum)
    })?;
    let sum = result?;
    ctx.stored(name, created);
    ctx.changed(Class::Hash, "hincrby", name);
    ctx.reply.integer(sum);
    Ok(())
}

fn hincrbyfloat(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (name, field) = (ctx.args.at(1), ctx.args.at(2));
    let increment = match Extended::parse(ctx.args.at(3)).ok_or(CommandError::NotAFloat)? {
        Parsed::Finite(increment) => increment,
        _ => return Err(CommandError::text("ERR value is NaN or Infinity")),
    };
    let limits = ctx.limits();
    let (result, created) = edit_or_create(ctx, name, |hash: &mut Hash| {
        let old = match hash.view().get(field) {
            None => Parsed::Finite(Extended::ZERO),
            Some(Item::Int(n)) => Parsed::Finite(n.into()),
            Some(Item::Str(text)) => {
                Extended::parse(text).ok_or(CommandError::text("ERR hash value is not a float"))?
            }
        };
        let sum = match old {
            Parsed::Finite(old) => old.checked_add(increment),
            _ => None,
        };
        let sum =
            sum.ok_or(CommandError::text("ERR increment would produce NaN or Infinity"))?.format();
        hash.set(field, &sum, &limits);
        Ok::<_, CommandError>(sum)
    })?;
    let sum = result?;
    ctx.stored(name, created);
    ctx.changed(Class::Hash, "hincrbyfloat", name);
    // Replicas get the result, so that they need not compute the same.
    ctx.effects.propagate(ctx.db, [b"HSET", name, field, &sum]);
    ctx.reply.bulk(&sum);
    Ok(())
}

fn hdel(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let fields = ctx.args.from(2);
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |hash: &mut Hash| {
        fields.iter().filter(|field| hash.remove(field)).count()
    })?;
    let (removed, gone) = edited.unwrap_or((0, false));
    if removed > 0 {
        ctx.changed_times(removed as u64, Class::Hash, "hdel", name);
        ctx.gone(name, gone);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

fn hget(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let hash = db.view::<Hash>(db.key(ctx.args.at(1)))?;
    match hash.and_then(|hash| hash.get(ctx.args.at(2))) {
        Some(value) => write_item(&mut ctx.reply, value),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn hmget(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let hash = db.view::<Hash>(db.key(ctx.args.at(1)))?;
    ctx.reply.array(ctx.args.len() - 2);
    for field in ctx.args.from(2).iter() {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => write_item(&mut ctx.reply, value),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn hexists(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let hash = db.view::<Hash>(db.key(ctx.args.at(1)))?;
    let is = hash.is_some_and(|hash| hash.get(ctx.args.at(2)).is_some());
    ctx.reply.integer(i64::from(is));
    Ok(())
}

fn hlen(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let hash = db.view::<Hash>(db.key(ctx.args.at(1)))?;
    ctx.reply.integer(hash.map_or(0, |hash| hash.len() as i64));
    Ok(())
}

fn hstrlen(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let hash = db.view::<Hash>(db.key(ctx.args.at(1)))?;
    let len = hash.and_then(|hash| hash.get(ctx.args.at(2))).map_or(0, Item::len);
    ctx.reply.integer(len as i64);
    Ok(())
}

fn hgetall(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let Some(hash) = db.view::<Hash>(db.key(ctx.args.at(1)))? else {
        ctx.reply.map(0);
        return Ok(());
    };
    ctx.reply.map(hash.len());
    let walk = Walk::Fields { field: true, value: true, nested: false };
    let (value, all) = (ValueRef::Hash(hash), (0, hash.len()));
    walk::write(&mut ctx.reply, &mut ctx.rest, ctx.rng, value, walk, all);
    Ok(())
}

fn hkeys(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    list(ctx, Walk::Fields { field: true, value: false, nested: false })
}

fn hvals(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    list(ctx, Walk::Fields { field: false, value: true, nested: false })
}

fn list(ctx: &mut Ctx<'_>, walk: Walk) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let hash = db.view::<Hash>(db.key(ctx.args.at(1)))?;
    ctx.reply.array(hash.map_or(0, HashRef::len));
    if let Some(hash) = hash {
        let (value, all) = (ValueRef::Hash(hash), (0, hash.len()));
        walk::write(&mut ctx.reply, &mut ctx.rest, ctx.rng, value, walk, all);
    }
    Ok(())
}

fn hrandfield(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let choice = match ctx.args.len() {
        2 => None,
        _ => Some(random_count(ctx.args, b"withvalues")?),
    };
    let mut db = ctx.keyspace.db(ctx.db);
    let hash = db.view::<Hash>(db.key(ctx.args.at(1)))?;
    let Some((count, with_values)) = choice else {
        match hash.and_then(|hash| hash.random(ctx.rng)) {
            Some((field, _)) => write_item(&mut ctx.reply, field),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let Some(hash) = hash else {
        ctx.reply.array(0);
        return Ok(());
    };
    let nested = with_values && ctx.reply.proto() == Proto::Resp3;
    let head = |n: usize| if with_values && !nested { n.saturating_mul(2) } else { n };
    let reply = &mut ctx.reply;
    if count < 0 {
        let n = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        reply.array(head(n));
        let (value, walk) = (ValueRef::Hash(hash), Walk::Random { both: with_values });
        walk::write(reply, &mut ctx.rest, ctx.rng, value, walk, (0, n));
        return Ok(());
    }
    let n = usize::try_from(count).unwrap_or(usize::MAX).min(hash.len());
    reply.array(head(n));
    if n == hash.len() {
        let walk = Walk::Fields { field: true, value: with_values, nested };
        walk::write(reply, &mut ctx.rest, ctx.rng, ValueRef::Hash(hash), walk, (0, n));
    } else {
        for i in distinct(ctx.rng, hash.len(), n) {
            if let Some(pair) = hash.nth(i) {
                write_field(reply, pair, with_values, nested);
            }
        }
    }
    Ok(())
}

fn hscan(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let cursor = parse_cursor(ctx.args.at(2))?;
    let mut db = ctx.keyspace.db(ctx.db);
    let Some(hash) = db.view::<Hash>(db.key(ctx.args.at(1)))? else {
        empty_scan(&mut ctx.reply);
        return Ok(());
    };
    let options = Scan::parse(ctx.args)?;
    let mut found = Vec::new();
    let next = hash.scan(cursor, options.count, |field, value| {
        if options.wants(field) {
            found.push(field.to_vec());
            found.push(value.to_vec());
        }
    });
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.reply.array(found.len());
    found.iter().for_each(|text| ctx.reply.bulk(text));
    Ok(())
}

/// Lets `edit` change a hash, which is created if it does not exist. Returns the result, and
/// whether the hash was created. A new hash that stays empty is not stored.
fn edit_or_create<R>(
    ctx: &mut Ctx<'_>,
    name: &[u8],
    mut edit: impl FnMut(&mut Hash) -> R,
) -> Result<(R, bool), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    if let Some((result, _)) = db.edit(key, &mut edit)? {
        return Ok((result, false));
    }
    let mut hash = Hash::default();
    let result = edit(&mut hash);
    if !hash.view().is_empty() {
        db.set_value(key, Value::Hash(hash));
    }
    Ok((result, true))
}
