//! Generic key commands: deleting, renaming, copying. `expire` holds expiry times, `scan` the
//! listing of keys, `flush` the commands on whole databases.

use super::meta::{acl, flag, key, special};
use super::{Class, CommandError, Ctx, Group, Handler, KeySpec, Row, expire, flush, scan};
use crate::resp::number::parse_i64;
use crate::store::{StringRef, ValueRef};

/// The rows of the commands on keys of any type, and of those on whole databases.
pub static ROWS: &[Row<Handler>] = &[
    row("copy", -3, copy)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS), KeySpec::one(2, key::OW | key::UPDATE)])
        .since("6.2.0")
        .complexity("O(N) for collections, N being the number of elements; O(1) for strings.")
        .summary("Copies a key with its value and its expiry time.")
        .syntax("source destination [DB destination-db] [REPLACE]"),
    row("del", -2, del)
        .flags(flag::WRITE)
        .keys(&[KeySpec::range(1, -1, 1, key::RM | key::DELETE)])
        .complexity("O(N), N being the number of keys.")
        .summary("Deletes keys.")
        .syntax("key ...")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    row("exists", -2, exists)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::range(1, -1, 1, key::RO)])
        .complexity("O(N), N being the number of keys.")
        .summary("Counts how many of the given keys exist.")
        .syntax("key ...")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .history(&[("3.0.3", "Takes several keys.")]),
    row("expire", -3, expire::expire)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .summary("Lets a key expire after some seconds.")
        .syntax("key seconds [condition@7.0.0: NX | XX | GT | LT]")
        .history(EXPIRE_HISTORY),
    row("expireat", -3, expire::expireat)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .since("1.2.0")
        .summary("Lets a key expire at a time, given in seconds since 1970.")
        .syntax("key unix-time-seconds [condition@7.0.0: NX | XX | GT | LT]")
        .history(EXPIRE_HISTORY),
    row("expiretime", 2, expire::expiretime)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("7.0.0")
        .summary("Tells when a key expires, in seconds since 1970.")
        .syntax("key"),
    row("keys", 2, scan::keys)
        .special(special::ONLY_EXPIRES)
        .flags(flag::READONLY)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .complexity("O(N), N being the number of keys in the database.")
        .summary("Lists all keys whose names match a pattern.")
        .syntax("pattern")
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    row("move", 3, move_key)
        .not_in_cluster("ERR MOVE is not allowed in cluster mode")
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE)])
        .summary("Moves a key to another database.")
        .syntax("key db"),
    row("object", -2, object)
        .acl(0)
        .since("2.2.3")
        .complexity("That of the subcommand.")
        .summary("A container for commands that look into how values are kept.")
        .subcommands(&[
            inspector("encoding", object_encoding)
                .since("2.2.3")
                .summary("Tells how the value of a key is kept."),
            inspector("freq", object_freq)
                .since("4.0.0")
                .summary("Tells how often a key is used, on a logarithmic scale."),
            row("help", 2, object_help)
                .flags(flag::LOADING | flag::STALE)
                .since("6.2.0")
                .summary("Explains the subcommands."),
            inspector("idletime", object_idletime)
                .since("2.2.3")
                .summary("Tells for how many seconds a key has not been used."),
            inspector("refcount", object_refcount)
                .since("2.2.3")
                .summary("Tells how many references there are to the value of a key."),
        ]),
    row("persist", 2, expire::persist)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .since("2.2.0")
        .summary("Lets a key not expire any more.")
        .syntax("key"),
    row("pexpire", -3, expire::pexpire)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .since("2.6.0")
        .summary("Lets a key expire after some milliseconds.")
        .syntax("key milliseconds [condition@7.0.0: NX | XX | GT | LT]")
        .history(EXPIRE_HISTORY),
    row("pexpireat", -3, expire::pexpireat)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .since("2.6.0")
        .summary("Lets a key expire at a time, given in milliseconds since 1970.")
        .syntax("key unix-time-milliseconds [condition@7.0.0: NX | XX | GT | LT]")
        .history(EXPIRE_HISTORY),
    row("pexpiretime", 2, expire::pexpiretime)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("7.0.0")
        .summary("Tells when a key expires, in milliseconds since 1970.")
        .syntax("key"),
    row("pttl", 2, expire::pttl)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.6.0")
        .summary("Tells how many milliseconds a key has left.")
        .syntax("key")
        .tips(&["nondeterministic_output"])
        .history(TTL_HISTORY),
    row("randomkey", 1, scan::randomkey)
        .special(special::ONLY_EXPIRES)
        .flags(flag::READONLY)
        .summary("Gives the name of any key.")
        .tips(&["request_policy:all_shards", "nondeterministic_output"]),
    row("rename", 3, rename)
        .flags(flag::WRITE)
        .keys(&[
            KeySpec::one(1, key::RW | key::ACCESS | key::DELETE),
            KeySpec::one(2, key::OW | key::UPDATE),
        ])
        .summary("Gives a key another name, replacing the key that has it.")
        .syntax("key newkey"),
    row("renamenx", 3, renamenx)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[
            KeySpec::one(1, key::RW | key::ACCESS | key::DELETE),
            KeySpec::one(2, key::OW | key::INSERT),
        ])
        .summary("Gives a key another name, if no key has it.")
        .syntax("key newkey")
        .history(&[("3.2.0", "Renaming a key to its own name is no error any more.")]),
    row("scan", -2, scan::scan)
        .special(special::ONLY_EXPIRES)
        .flags(flag::READONLY)
        .since("2.8.0")
        .complexity("O(1) a call; O(N) for all, N being the number of keys in the database.")
        .summary("Lists keys piece by piece.")
        .syntax("cursor [MATCH pattern] [COUNT count] [TYPE type@6.0.0]")
        .tips(&["nondeterministic_output", "request_policy:special"])
        .history(&[("6.0.0", "New: `TYPE`.")]),
    row("touch", -2, touch)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::range(1, -1, 1, key::RO)])
        .since("3.2.1")
        .complexity("O(N), N being the number of keys.")
        .summary("Marks keys as used now, and counts those that exist.")
        .syntax("key ...")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    row("ttl", 2, expire::ttl)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .summary("Tells how many seconds a key has left.")
        .syntax("key")
        .tips(&["nondeterministic_output"])
        .history(TTL_HISTORY),
    row("type", 2, kind)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO)])
        .summary("Tells the type of the value of a key.")
        .syntax("key"),
    row("unlink", -2, del)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::range(1, -1, 1, key::RM | key::DELETE)])
        .since("4.0.0")
        .complexity("O(1) for each key; the memory is freed later, in slices.")
        .summary("Deletes keys, and frees their memory later.")
        .syntax("key ...")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    server("dbsize", 1, flush::dbsize)
        .flags(flag::READONLY | flag::FAST)
        .acl(acl::KEYSPACE)
        .summary("Counts the keys of the database.")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    server("flushall", -1, flush::flushall)
        .flags(flag::WRITE)
        .complexity("O(N), N being the number of keys in all databases.")
        .summary("Deletes all keys of all databases.")
        .syntax("[flush-type: ASYNC@4.0.0 | SYNC@6.2.0]")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .history(FLUSH_HISTORY),
    server("flushdb", -1, flush::flushdb)
        .flags(flag::WRITE)
        .complexity("O(N), N being the number of keys in the database.")
        .summary("Deletes all keys of the database.")
        .syntax("[flush-type: ASYNC@4.0.0 | SYNC@6.2.0]")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .history(FLUSH_HISTORY),
    server("swapdb", 3, flush::swapdb)
        .not_in_cluster("ERR SWAPDB is not allowed in cluster mode")
        .flags(flag::WRITE | flag::FAST)
        .since("4.0.0")
        .complexity("O(N), N being the number of clients that watch keys of the two databases.")
        .summary("Exchanges the contents of two databases.")
        .syntax("index1 index2"),
];

const BEHIND_SUBCOMMAND: &[KeySpec] = &[KeySpec::one(2, key::RO)];
const EXPIRE_HISTORY: &[(&str, &str)] = &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")];
const TTL_HISTORY: &[(&str, &str)] = &[("2.8.0", "Added the -2 reply.")];
const FLUSH_HISTORY: &[(&str, &str)] = &[
    ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
    ("6.2.0", "Added the `SYNC` flushing mode modifier."),
];

const fn row(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::Generic, name, arity, handler).acl(acl::KEYSPACE)
}

const fn server(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::Server, name, arity, handler).acl(acl::KEYSPACE | acl::DANGEROUS)
}

const fn inspector(name: &'static str, handler: Handler) -> Row<Handler> {
    row(name, 3, handler)
        .flags(flag::READONLY)
        .keys(BEHIND_SUBCOMMAND)
        .syntax("key")
        .tips(&["nondeterministic_output"])
}

fn del(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut count = 0;
    for name in ctx.args.from(1).iter() {
        let mut db = ctx.keyspace.db(ctx.db);
        if db.remove(db.key(name)) {
            count += 1;
            ctx.changed(Class::Generic, "del", name);
        }
    }
    ctx.reply.integer(count);
    Ok(())
}

fn exists(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let keys = ctx.args.from(1).iter();
    let count = keys.filter(|key| db.inspect(db.key(key)).is_some()).count();
    ctx.reply.integer(count as i64);
    Ok(())
}

fn touch(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    // TOUCH counts as an access even for a client with CLIENT NO-TOUCH.
    let before = core::mem::replace(&mut db.env().touch, true);
    let keys = ctx.args.from(1).iter();
    let count = keys.filter(|key| db.read(db.key(key)).is_some()).count();
    db.env().touch = before;
    ctx.reply.integer(count as i64);
    Ok(())
}

fn kind(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let kind = db.inspect(db.key(ctx.args.at(1))).map(|entry| entry.value().kind());
    ctx.reply.simple(kind.map_or("none", |kind| kind.name()));
    Ok(())
}

fn rename(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    rename_to(ctx, true)?;
    ctx.reply.ok();
    Ok(())
}

fn renamenx(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let renamed = rename_to(ctx, false)?;
    ctx.reply.integer(i64::from(renamed));
    Ok(())
}

/// Renames the key. Returns whether it was renamed.
fn rename_to(ctx: &mut Ctx<'_>, replace: bool) -> Result<bool, CommandError> {
    let (from, to) = (ctx.args.at(1), ctx.args.at(2));
    let mut db = ctx.keyspace.db(ctx.db);
    let (from_key, to_key) = (db.key(from), db.key(to));
    if db.probe(from_key).is_none() {
        return Err(CommandError::NoSuchKey);
    }
    if from == to || (!replace && db.probe(to_key).is_some()) {
        return Ok(false);
    }
    if let Some(entry) = db.take(from_key) {
        db.put(to_key, entry.renamed(to));
    }
    ctx.stored(to, true);
    ctx.changed(Class::Generic, "rename_from", from);
    ctx.effects.touched(ctx.db, to);
    ctx.effects.event(ctx.db, Class::Generic, "rename_to", to);
    ctx.effects.ready(ctx.db, to);
    Ok(true)
}

fn copy(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (from, to) = (ctx.args.at(1), ctx.args.at(2));
    let (mut target, mut replace) = (ctx.db, false);
    let mut args = ctx.args.from(3).iter();
    while let Some(word) = args.next() {
        if word.eq_ignore_ascii_case(b"REPLACE") {
            replace = true;
        } else if word.eq_ignore_ascii_case(b"DB") {
            target = database(args.next().ok_or(CommandError::Syntax)?, ctx.keyspace.count())?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if target != 0 && ctx.keyspace.is_by_slot() {
        return Err(CommandError::text(
            "ERR Copying to another database is not allowed in cluster mode",
        ));
    }
    if target == ctx.db && from == to {
        return Err(SAME_OBJECT);
    }
    let mut db = ctx.keyspace.db(ctx.db);
    let clock = db.env().new_clock();
    let key = db.key(from);
    // Counts a hit or a miss, and an access to the source.
    let is_there = db.inspect(key).is_some();
    let Some(source) = db.probe(key).filter(|_| is_there) else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let mut entry = source.clone().renamed(to);
    entry.set_clock(clock);
    let mut db = ctx.keyspace.db(target);
    let key = db.key(to);
    if !replace && db.probe(key).is_some() {
        ctx.reply.integer(0);
        return Ok(());
    }
    db.put(key, entry);
    ctx.effects.event(target, Class::New, "new", to);
    ctx.effects.dirty += 1;
    ctx.effects.touched(target, to);
    ctx.effects.event(target, Class::Generic, "copy_to", to);
    ctx.effects.ready(target, to);
    ctx.reply.integer(1);
    Ok(())
}

fn move_key(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let target = database(ctx.args.at(2), ctx.keyspace.count())?;
    if target == ctx.db {
        return Err(SAME_OBJECT);
    }
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    if db.probe(key).is_none() || ctx.keyspace.db(target).probe(key).is_some() {
        ctx.reply.integer(0);
        return Ok(());
    }
    if let Some(entry) = ctx.keyspace.db(ctx.db).take(key) {
        ctx.keyspace.db(target).put(key, entry);
    }
    ctx.effects.event(target, Class::New, "new", name);
    ctx.changed(Class::Generic, "move_from", name);
    ctx.effects.touched(target, name);
    ctx.effects.event(target, Class::Generic, "move_to", name);
    ctx.effects.ready(target, name);
    ctx.reply.integer(1);
    Ok(())
}

const SAME_OBJECT: CommandError =
    CommandError::text("ERR source and destination objects are the same");

/// Parses the index of one of `count` databases.
pub(crate) fn database(text: &[u8], count: usize) -> Result<usize, CommandError> {
    usize::try_from(database_number(text)?)
        .ok()
        .filter(|&number| number < count)
        .ok_or(CommandError::text("ERR DB index is out of range"))
}

/// Parses the index of a database, which need not exist.
pub(crate) fn database_number(text: &[u8]) -> Result<i32, CommandError> {
    let number = parse_i64(text).ok_or(CommandError::NotAnInteger)?;
    i32::try_from(number).map_err(|_| {
        CommandError::text(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        )
    })
}

/// OBJECT without a subcommand: unreachable, since the arity check refuses it.
fn object(_: &mut Ctx<'_>) -> Result<(), CommandError> {
    Err(CommandError::arity("object"))
}

fn object_help(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    ctx.reply.help(
        "OBJECT",
        &[
            "ENCODING <key>",
            "    How the value of <key> is kept.",
            "FREQ <key>",
            "    How often <key> is used, on a logarithmic scale. Only under an LFU policy.",
            "IDLETIME <key>",
            "    Seconds since <key> was used last. Not under an LFU policy.",
            "REFCOUNT <key>",
            "    How many references there are to the value of <key>.",
        ],
    );
    Ok(())
}

fn object_encoding(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    match db.inspect(db.key(ctx.args.at(2))) {
        None => ctx.reply.null(),
        Some(entry) => ctx.reply.bulk(entry.encoding().name().as_bytes()),
    }
    Ok(())
}

fn object_freq(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let mut db = ctx.keyspace.db(ctx.db);
    match db.inspect(db.key(ctx.args.at(2))).map(|entry| entry.clock()) {
        None => ctx.reply.null(),
        Some(clock) if ctx.config.maxmemory_policy.is_lfu() => {
            let decay = u32::try_from(ctx.config.lfu_decay_time).unwrap_or(u32::MAX);
            ctx.reply.integer(i64::from(clock.freq(decay, now_ms)));
        }
        Some(_) => {
            return Err(CommandError::text(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
                 Please note that when switching between policies at runtime LRU and LFU data \
                 will take some time to adjust.",
            ));
        }
    }
    Ok(())
}

fn object_idletime(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let mut db = ctx.keyspace.db(ctx.db);
    match db.inspect(db.key(ctx.args.at(2))).map(|entry| entry.clock()) {
        None => ctx.reply.null(),
        Some(_) if ctx.config.maxmemory_policy.is_lfu() => {
            return Err(CommandError::text(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. \
                 Please note that when switching between policies at runtime LRU and LFU data \
                 will take some time to adjust.",
            ));
        }
        Some(clock) => ctx.reply.integer(clock.idle_seconds(now_ms) as i64),
    }
    Ok(())
}

/// A value has one owner here. For small integers the reply is that of Redis, where all keys share
/// them unless a policy needs an access clock per key.
fn object_refcount(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let policy = ctx.config.maxmemory_policy;
    let shares = !policy.is_lru() && !policy.is_lfu();
    let mut db = ctx.keyspace.db(ctx.db);
    match db.inspect(db.key(ctx.args.at(2))).map(|entry| entry.value()) {
        None => ctx.reply.null(),
        Some(ValueRef::String(StringRef::Int(0..=9_999))) if shares => {
            ctx.reply.integer(i64::from(i32::MAX));
        }
        Some(_) => ctx.reply.integer(1),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
