//! String commands: reading, writing and editing bytes. `set` holds SET and its variants,
//! `counters` the numeric commands, `lcs` LCS.

use super::meta::{acl, flag, key};
use super::walk::{LONG_TEXT, Rest};
use super::{Class, CommandError, Ctx, Group, Handler, KeySpec, Row, counters, lcs, set};
use crate::resp::number::parse_i64;
use crate::store::{NewExpire, PREFETCH_BATCH, StringRef};

/// The rows of the string commands.
pub static ROWS: &[Row<Handler>] = &[
    row("append", 3, append)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::INSERT)])
        .since("2.0.0")
        .complexity("O(1) amortized: room for growth is kept behind a string that is appended to.")
        .summary("Adds bytes to the end of a string, creating it if it does not exist.")
        .syntax("key value"),
    row("decr", 2, counters::decr)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE)])
        .summary("Takes one from the integer that a key holds; a missing key counts as 0.")
        .syntax("key"),
    row("decrby", 3, counters::decrby)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE)])
        .summary("Takes a number from the integer that a key holds; a missing key counts as 0.")
        .syntax("key decrement"),
    row("get", 2, get)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .summary("Gives the string that a key holds.")
        .syntax("key"),
    row("getdel", 2, set::getdel)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::DELETE)])
        .since("6.2.0")
        .summary("Gives the string that a key holds, and deletes the key.")
        .syntax("key"),
    row("getex", -2, set::getex)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE)
            .notes("RW and UPDATE because it changes the TTL")])
        .since("6.2.0")
        .summary("Gives the string that a key holds, and changes when the key expires.")
        .syntax("key [expiration: EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]"),
    row("getrange", 4, getrange)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.4.0")
        .complexity("O(N), N being the length of what is returned.")
        .summary("Gives a part of the string that a key holds.")
        .syntax("key start end"),
    row("getset", 3, set::getset)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE)])
        .summary("Sets a string and gives the one that was there before.")
        .syntax("key value")
        .deprecated("6.2.0", "`SET` with the `!GET` argument"),
    row("incr", 2, counters::incr)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE)])
        .summary("Adds one to the integer that a key holds; a missing key counts as 0.")
        .syntax("key"),
    row("incrby", 3, counters::incrby)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE)])
        .summary("Adds a number to the integer that a key holds; a missing key counts as 0.")
        .syntax("key increment#integer"),
    row("incrbyfloat", 3, counters::incrbyfloat)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE)])
        .since("2.6.0")
        .summary("Adds a fraction to the number that a key holds; a missing key counts as 0.")
        .syntax("key increment"),
    row("lcs", -3, lcs::lcs)
        .flags(flag::READONLY)
        .keys(&[KeySpec::range(1, 1, 1, key::RO | key::ACCESS)])
        .since("7.0.0")
        .complexity("O(N*M), N and M being the lengths of the two strings.")
        .summary("Finds the longest common subsequence of two strings.")
        .syntax("key1 key2#key:0 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]"),
    row("mget", -2, mget)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::range(1, -1, 1, key::RO | key::ACCESS)])
        .complexity("O(N), N being the number of keys.")
        .summary("Gives the strings that several keys hold.")
        .syntax("key ...")
        .tips(&["request_policy:multi_shard"]),
    row("mset", -3, mset)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::range(1, -1, 2, key::OW | key::UPDATE)])
        .since("1.0.1")
        .complexity("O(N), N being the number of keys.")
        .summary("Sets several strings at once.")
        .syntax("<data: key value> ...")
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    row("msetnx", -3, msetnx)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::range(1, -1, 2, key::OW | key::INSERT)])
        .since("1.0.1")
        .complexity("O(N), N being the number of keys.")
        .summary("Sets several strings at once, if none of the keys exists.")
        .syntax("<data: key value> ...")
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"]),
    row("psetex", 4, set::psetex)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::OW | key::UPDATE)])
        .since("2.6.0")
        .summary("Sets a string that expires after some milliseconds.")
        .syntax("key milliseconds value")
        .deprecated("2.6.12", "`SET` with the `PX` argument"),
    row("set", -3, set::set)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS)
            .notes("RW and ACCESS due to the optional `GET` argument")])
        .summary("Sets a string, whatever the key held before.")
        .syntax("key value [condition@2.6.12: NX | XX] [GET@6.2.0] [expiration: EX seconds@2.6.12 | PX milliseconds@2.6.12 | EXAT unix-time-seconds@6.2.0 | PXAT unix-time-milliseconds@6.2.0 | KEEPTTL@6.0.0]")
        .history(&[
            ("2.6.12", "New: `EX`, `PX`, `NX`, `XX`."),
            ("6.0.0", "New: `KEEPTTL`."),
            ("6.2.0", "New: `GET`, `EXAT`, `PXAT`."),
            ("7.0.0", "`GET` goes with `NX`."),
        ]),
    row("setex", 4, set::setex)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::OW | key::UPDATE)])
        .since("2.0.0")
        .summary("Sets a string that expires after some seconds.")
        .syntax("key seconds value")
        .deprecated("2.6.12", "`SET` with the `EX` argument"),
    row("setnx", 3, set::setnx)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::OW | key::INSERT)])
        .summary("Sets a string if the key does not exist.")
        .syntax("key value")
        .deprecated("2.6.12", "`SET` with the `NX` argument"),
    row("setrange", 4, setrange)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .since("2.2.0")
        .complexity("O(M), M being the length of the value; more when the string must move.")
        .summary("Overwrites a part of a string, lengthening it with zero bytes if need be.")
        .syntax("key offset value"),
    row("strlen", 2, strlen)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO)])
        .since("2.2.0")
        .summary("Gives the length of a string in bytes.")
        .syntax("key"),
    row("substr", 4, getrange)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .complexity("O(N), N being the length of what is returned.")
        .summary("Gives a part of the string that a key holds.")
        .syntax("key start end")
        .deprecated("2.0.0", "`GETRANGE`"),
];

const fn row(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::String, name, arity, handler).acl(acl::STRING)
}

fn get(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(ctx.args.at(1));
    match db.read(key) {
        None => ctx.reply.null(),
        Some(value) => match value.string().ok_or(CommandError::WrongType)? {
            StringRef::Bytes(bytes) if bytes.len() >= LONG_TEXT => {
                let len = bytes.len();
                ctx.reply.bulk_header(len);
                let copy = db.frozen(key).filter(|_| !ctx.reply.is_muted());
                ctx.rest = copy.map(|copy| Rest::text(copy, len, ctx.reply.proto()));
            }
            StringRef::Bytes(bytes) => ctx.reply.bulk(bytes),
            StringRef::Int(n) => ctx.reply.bulk_integer(n),
        },
    }
    Ok(())
}

fn strlen(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let len = match db.read(db.key(ctx.args.at(1))) {
        None => 0,
        Some(value) => value.string().ok_or(CommandError::WrongType)?.len(),
    };
    ctx.reply.integer(len as i64);
    Ok(())
}

fn mget(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    ctx.reply.array(ctx.args.len() - 1);
    let mut db = ctx.keyspace.db(ctx.db);
    for start in (1..ctx.args.len()).step_by(PREFETCH_BATCH) {
        let keys = || ctx.args.from(start).iter().take(PREFETCH_BATCH);
        db.prefetch(keys());
        for key in keys() {
            match db.read(db.key(key)).and_then(|value| value.string()) {
                None => ctx.reply.null(),
                Some(StringRef::Bytes(bytes)) => ctx.reply.bulk(bytes),
                Some(StringRef::Int(n)) => ctx.reply.bulk_integer(n),
            }
        }
    }
    Ok(())
}

fn mset(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    if ctx.args.len().is_multiple_of(2) {
        return Err(CommandError::arity("mset"));
    }
    set_pairs(ctx);
    ctx.reply.ok();
    Ok(())
}

fn msetnx(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    if ctx.args.len().is_multiple_of(2) {
        return Err(CommandError::arity("msetnx"));
    }
    let mut db = ctx.keyspace.db(ctx.db);
    if ctx.args.from(1).iter().step_by(2).any(|key| db.probe(db.key(key)).is_some()) {
        ctx.reply.integer(0);
        return Ok(());
    }
    set_pairs(ctx);
    ctx.reply.integer(1);
    Ok(())
}

fn set_pairs(ctx: &mut Ctx<'_>) {
    for place in (1..ctx.args.len()).step_by(2) {
        if place % (2 * PREFETCH_BATCH) == 1 {
            ctx.keyspace.db(ctx.db).prefetch(ctx.args.from(place).iter().step_by(2));
        }
        let (key, value) = (ctx.args.at(place), ctx.args.at(place + 1));
        let mut db = ctx.keyspace.db(ctx.db);
        let created = db.set_string(db.key(key), StringRef::compact(value), NewExpire::Never);
        ctx.stored(key, created);
        ctx.changed(Class::String, "set", key);
    }
}

fn append(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (name, value) = (ctx.args.at(1), ctx.args.at(2));
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let old = match db.probe(key) {
        None => None,
        Some(entry) => Some(entry.value().string().ok_or(CommandError::WrongType)?.len()),
    };
    let len = match old {
        None => {
            db.set_string(key, StringRef::compact(value), NewExpire::Never);
            value.len()
        }
        Some(old) => {
            let len = checked_len(old, value.len(), ctx.config.proto_max_bulk_len)?;
            db.edit_string(key, len, |bytes| {
                if let Some(end) = bytes.get_mut(old..) {
                    end.copy_from_slice(value);
                }
            });
            len
        }
    };
    ctx.stored(name, old.is_none());
    ctx.changed(Class::String, "append", name);
    ctx.reply.integer(len as i64);
    Ok(())
}

fn setrange(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (name, value) = (ctx.args.at(1), ctx.args.at(3));
    let offset = parse_i64(ctx.args.at(2)).ok_or(CommandError::NotAnInteger)?;
    let offset =
        usize::try_from(offset).map_err(|_| CommandError::text("ERR offset is out of range"))?;
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let old = match db.probe(key) {
        None => None,
        Some(entry) => Some(entry.value().string().ok_or(CommandError::WrongType)?.len()),
    };
    if value.is_empty() {
        ctx.reply.integer(old.unwrap_or(0) as i64);
        return Ok(());
    }
    let end = checked_len(offset, value.len(), ctx.config.proto_max_bulk_len)?;
    db.edit_string(key, end, |bytes| {
        if let Some(place) = bytes.get_mut(offset..end) {
            place.copy_from_slice(value);
        }
    });
    ctx.stored(name, old.is_none());
    ctx.changed(Class::String, "setrange", name);
    ctx.reply.integer(old.unwrap_or(0).max(end) as i64);
    Ok(())
}

fn getrange(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (start, end) = (ctx.integer(2)?, ctx.integer(3)?);
    let mut db = ctx.keyspace.db(ctx.db);
    let string = match db.read(db.key(ctx.args.at(1))) {
        None => StringRef::Bytes(b""),
        Some(value) => value.string().ok_or(CommandError::WrongType)?,
    };
    let mut digits = itoa::Buffer::new();
    let bytes = string.bytes(&mut digits);
    ctx.reply.bulk(part(bytes, start, end));
    Ok(())
}

/// The bytes from `start` to `end`, both included; negative positions count from the end.
fn part(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let len = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let place = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at };
    let (start, end) = (place(start), place(end).min(len - 1));
    if start > end {
        return b"";
    }
    bytes.get(start as usize..=end as usize).unwrap_or_default()
}

/// The length of a string that is extended by `add` bytes, if that is within the limit.
fn checked_len(len: usize, add: usize, limit: u64) -> Result<usize, CommandError> {
    len.checked_add(add)
        .filter(|&len| len as u64 <= limit)
        .ok_or(CommandError::text("ERR string exceeds maximum allowed size (proto-max-bulk-len)"))
}
