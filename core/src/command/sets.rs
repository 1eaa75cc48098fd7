//! Set commands.

use super::collection::{Scan, empty_scan};
use super::meta::{acl, flag, key};
use super::scan::parse_cursor;
use super::walk::{self, Walk};
use super::{Class, CommandError, Ctx, Group, Handler, KeySpec, Row};
use crate::resp::reply::Aggregate;
use crate::store::value::{Item, Set};
use crate::store::{Value, ValueRef};

mod algebra;
mod random;

pub(super) use algebra::store_result;

/// The rows of the set commands.
pub static ROWS: &[Row<Handler>] = &[
    row("sadd", -3, sadd)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::INSERT)])
        .complexity("O(N), N being the number of members given.")
        .summary("Adds members to a set, creating it if it does not exist.")
        .syntax("key member ...")
        .history(&[("2.4.0", "Takes several members.")]),
    row("scard", 2, scard)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO)])
        .summary("Counts the members of a set.")
        .syntax("key"),
    row("sdiff", -2, algebra::sdiff)
        .flags(flag::READONLY)
        .keys(&[KeySpec::range(1, -1, 1, key::RO | key::ACCESS)])
        .complexity("O(N), N being the number of members of all sets.")
        .summary("Gives the members of the first set that no other set has.")
        .syntax("key ...")
        .tips(&["nondeterministic_output_order"]),
    row("sdiffstore", -3, algebra::sdiffstore)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[
            KeySpec::one(1, key::OW | key::UPDATE),
            KeySpec::range(2, -1, 1, key::RO | key::ACCESS),
        ])
        .complexity("O(N), N being the number of members of all sets.")
        .summary("Stores the members of the first set that no other set has.")
        .syntax("destination key ..."),
    row("sinter", -2, algebra::sinter)
        .flags(flag::READONLY)
        .keys(&[KeySpec::range(1, -1, 1, key::RO | key::ACCESS)])
        .complexity("O(N*M), N being the size of the smallest set and M the number of sets.")
        .summary("Gives the members that all sets have.")
        .syntax("key ...")
        .tips(&["nondeterministic_output_order"]),
    row("sintercard", -3, algebra::sintercard)
        .flags(flag::READONLY | flag::MOVABLEKEYS)
        .keys(&[KeySpec::counted(1, key::RO | key::ACCESS)])
        .since("7.0.0")
        .complexity("O(N*M), N being the size of the smallest set and M the number of sets.")
        .summary("Counts the members that all sets have, up to a limit.")
        .syntax("numkeys key ... [LIMIT limit]"),
    row("sinterstore", -3, algebra::sinterstore)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[
            KeySpec::one(1, key::RW | key::UPDATE),
            KeySpec::range(2, -1, 1, key::RO | key::ACCESS),
        ])
        .complexity("O(N*M), N being the size of the smallest set and M the number of sets.")
        .summary("Stores the members that all sets have.")
        .syntax("destination key ..."),
    row("sismember", 3, sismember)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO)])
        .summary("Tells whether a string is a member of a set.")
        .syntax("key member"),
    row("smembers", 2, smembers)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .complexity("O(N), N being the number of members.")
        .summary("Gives all members of a set.")
        .syntax("key")
        .tips(&["nondeterministic_output_order"]),
    row("smismember", -3, smismember)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("6.2.0")
        .complexity("O(N), N being the number of strings.")
        .summary("Tells of several strings whether they are members of a set.")
        .syntax("key member ..."),
    row("smove", 4, smove)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[
            KeySpec::one(1, key::RW | key::ACCESS | key::DELETE),
            KeySpec::one(2, key::RW | key::INSERT),
        ])
        .summary("Moves a member from one set to another.")
        .syntax("source destination member"),
    row("spop", -2, random::spop)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::DELETE)])
        .complexity("O(N), N being the number of members taken.")
        .summary("Takes random members out of a set.")
        .syntax("key [count@3.2.0]")
        .tips(&["nondeterministic_output"])
        .history(&[("3.2.0", "New: a count.")]),
    row("srandmember", -2, random::srandmember)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .complexity("O(N), N being the number of members given.")
        .summary("Gives random members of a set.")
        .syntax("key [count@2.6.0]")
        .tips(&["nondeterministic_output"])
        .history(&[("2.6.0", "New: a count.")]),
    row("srem", -3, srem)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::DELETE)])
        .complexity("O(N), N being the number of members given.")
        .summary("Removes members from a set.")
        .syntax("key member ...")
        .history(&[("2.4.0", "Takes several members.")]),
    row("sscan", -3, sscan)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.8.0")
        .complexity("O(1) for a call, O(N) for a walk over N members.")
        .summary("Walks over the members of a set, some at a time.")
        .syntax("key cursor [MATCH pattern] [COUNT count]")
        .tips(&["nondeterministic_output"]),
    row("sunion", -2, algebra::sunion)
        .flags(flag::READONLY)
        .keys(&[KeySpec::range(1, -1, 1, key::RO | key::ACCESS)])
        .complexity("O(N), N being the number of members of all sets.")
        .summary("Gives the members of all sets.")
        .syntax("key ...")
        .tips(&["nondeterministic_output_order"]),
    row("sunionstore", -3, algebra::sunionstore)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[
            KeySpec::one(1, key::OW | key::UPDATE),
            KeySpec::range(2, -1, 1, key::RO | key::ACCESS),
        ])
        .complexity("O(N), N being the number of members of all sets.")
        .summary("Stores the members of all sets.")
        .syntax("destination key ..."),
];

const fn row(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::Set, name, arity, handler).acl(acl::SET)
}

fn sadd(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let members = ctx.args.from(2);
    let limits = ctx.limits();
    let add = |set: &mut Set| members.iter().filter(|m| set.insert(m, &limits)).count();
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let edited = db.edit(key, |set: &mut Set| {
        set.prepare(members.len(), &limits);
        add(set)
    })?;
    let (added, created) = match edited {
        Some((added, _)) => (added, false),
        None => {
            let mut set = Set::new(members.at(0), members.len(), &limits);
            let added = add(&mut set);
            db.set_value(key, Value::Set(set));
            (added, true)
        }
    };
    ctx.stored(name, created);
    if added > 0 {
        ctx.changed_times(added as u64, Class::Set, "sadd", name);
    }
    ctx.reply.integer(added as i64);
    Ok(())
}

fn srem(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let members = ctx.args.from(2);
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |set: &mut Set| {
        members.iter().filter(|member| set.remove(member)).count()
    })?;
    let (removed, gone) = edited.unwrap_or((0, false));
    if removed > 0 {
        ctx.changed_times(removed as u64, Class::Set, "srem", name);
        ctx.gone(name, gone);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

fn scard(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<Set>(db.key(ctx.args.at(1)))?;
    ctx.reply.integer(set.map_or(0, |set| set.len() as i64));
    Ok(())
}

fn sismember(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<Set>(db.key(ctx.args.at(1)))?;
    let is = set.is_some_and(|set| set.contains(ctx.args.at(2)));
    ctx.reply.integer(i64::from(is));
    Ok(())
}

fn smismember(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<Set>(db.key(ctx.args.at(1)))?;
    ctx.reply.array(ctx.args.len() - 2);
    for member in ctx.args.from(2).iter() {
        let is = set.is_some_and(|set| set.contains(member));
        ctx.reply.integer(i64::from(is));
    }
    Ok(())
}

fn smembers(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let Some(set) = db.view::<Set>(db.key(ctx.args.at(1)))? else {
        ctx.reply.set(0);
        return Ok(());
    };
    ctx.reply.set(set.len());
    let (value, all) = (ValueRef::Set(set), (0, set.len()));
    walk::write(&mut ctx.reply, &mut ctx.rest, ctx.rng, value, Walk::Elements, all);
    Ok(())
}

fn smove(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (source, destination, member) = (ctx.args.at(1), ctx.args.at(2), ctx.args.at(3));
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let (from, to) = (db.key(source), db.key(destination));
    let there = match db.probe(from).map(|entry| entry.value()) {
        None => {
            ctx.reply.integer(0);
            return Ok(());
        }
        Some(value) => <Set as crate::store::Collection>::read(value)
            .map(|set| set.contains(member))
            .ok_or(CommandError::WrongType)?,
    };
    db.check::<Set>(to)?;
    if source == destination || !there {
        ctx.reply.integer(i64::from(there));
        return Ok(());
    }
    let removed = db.edit(from, |set: &mut Set| set.remove(member))?;
    let gone = removed.is_some_and(|(_, gone)| gone);
    let added = db.edit(to, |set: &mut Set| set.insert(member, &limits))?;
    if added.is_none() {
        let mut set = Set::new(member, 1, &limits);
        set.insert(member, &limits);
        db.set_value(to, Value::Set(set));
    }
    ctx.changed(Class::Set, "srem", source);
    ctx.gone(source, gone);
    ctx.stored(destination, added.is_none());
    if added.is_none_or(|(new, _)| new) {
        ctx.changed(Class::Set, "sadd", destination);
    }
    ctx.reply.integer(1);
    Ok(())
}

fn sscan(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let cursor = parse_cursor(ctx.args.at(2))?;
    let mut db = ctx.keyspace.db(ctx.db);
    let Some(set) = db.view::<Set>(db.key(ctx.args.at(1)))? else {
        empty_scan(&mut ctx.reply);
        return Ok(());
    };
    let options = Scan::parse(ctx.args)?;
    let (mut found, mut count) = (Vec::new(), 0);
    let next = set.scan(cursor, options.count, |member: Item<'_>| {
        if options.wants(member) {
            found.push(member.to_vec());
            count += 1;
        }
    });
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    let list = ctx.reply.begin(Aggregate::Array);
    found.iter().for_each(|member| ctx.reply.bulk(member));
    ctx.reply.end(list, count);
    Ok(())
}
