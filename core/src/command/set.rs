//! SET with all its options, and the commands that are variants of SET or GET.

use super::expire::{expire_time, past};
use super::{Class, CommandError, Ctx};
use crate::resp::number::parse_i64;
use crate::store::{NewExpire, StringRef};

/// The options of SET and GETEX.
#[derive(Clone, Copy, Debug, Default)]
struct Options<'a> {
    /// `NX`
    if_missing: bool,
    /// `XX`
    if_there: bool,
    /// `GET`
    get: bool,
    /// `KEEPTTL`
    keep: bool,
    /// `PERSIST`
    persist: bool,
    /// An expiry time with its unit.
    expire: Option<(Unit, &'a [u8])>,
}

/// The unit of an expiry time, and whether it is relative or absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Ex,
    Px,
    ExAt,
    PxAt,
}

impl Unit {
    fn is_seconds(self) -> bool {
        matches!(self, Unit::Ex | Unit::ExAt)
    }

    fn is_absolute(self) -> bool {
        matches!(self, Unit::ExAt | Unit::PxAt)
    }
}

pub(super) fn set(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    if ctx.args.len() == 3 {
        store(ctx, ctx.args.at(2), NewExpire::Never);
        ctx.reply.ok();
        return Ok(());
    }
    let options = parse(ctx, 3, false)?;
    let (name, value) = (ctx.args.at(1), ctx.args.at(2));
    let expire = match options.expire {
        None if options.keep => NewExpire::Keep,
        None => NewExpire::Never,
        Some((unit, text)) => NewExpire::At(time(ctx, unit, text, "set")?),
    };
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let there = if options.get {
        let old = db.read(key);
        let old = old.map(|value| value.string().ok_or(CommandError::WrongType)).transpose()?;
        match old {
            None => ctx.reply.null(),
            Some(StringRef::Bytes(bytes)) => ctx.reply.bulk(bytes),
            Some(StringRef::Int(n)) => ctx.reply.bulk_integer(n),
        }
        old.is_some()
    } else if options.if_missing || options.if_there {
        db.probe(key).is_some()
    } else {
        true
    };
    if (options.if_missing && there) || (options.if_there && !there) {
        if !options.get {
            ctx.reply.null();
        }
        return Ok(());
    }
    store(ctx, value, expire);
    if let (Some((unit, _)), NewExpire::At(at)) = (options.expire, expire) {
        if unit != Unit::PxAt {
            propagate_set(ctx, value, at);
        }
        ctx.effects.event(ctx.db, Class::Generic, "expire", name);
    } else if options.get {
        // GET matters only to the client's reply, not to replicas.
        let db = ctx.db;
        let args = ctx.args.iter().enumerate();
        let kept = args.filter(|(at, arg)| *at < 3 || !arg.eq_ignore_ascii_case(b"get"));
        ctx.effects.propagate(db, kept.map(|(_, arg)| arg));
    }
    if !options.get {
        ctx.reply.ok();
    }
    Ok(())
}

pub(super) fn setnx(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    if db.probe(db.key(ctx.args.at(1))).is_some() {
        ctx.reply.integer(0);
        return Ok(());
    }
    store(ctx, ctx.args.at(2), NewExpire::Never);
    ctx.reply.integer(1);
    Ok(())
}

pub(super) fn setex(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    set_with_expire(ctx, Unit::Ex, "setex")
}

pub(super) fn psetex(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    set_with_expire(ctx, Unit::Px, "psetex")
}

pub(super) fn getset(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (name, value) = (ctx.args.at(1), ctx.args.at(2));
    reply_with_string(ctx)?;
    store(ctx, value, NewExpire::Never);
    ctx.effects.propagate(ctx.db, [&b"SET"[..], name, value]);
    Ok(())
}

pub(super) fn getdel(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    if reply_with_string(ctx)? {
        delete(ctx, name);
    }
    Ok(())
}

pub(super) fn getex(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let options = parse(ctx, 2, true)?;
    let name = ctx.args.at(1);
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let Some(value) = db.read(key) else {
        ctx.reply.null();
        return Ok(());
    };
    value.string().ok_or(CommandError::WrongType)?;
    let expire = match options.expire {
        None => None,
        Some((unit, text)) => Some((unit, time(ctx, unit, text, "getex")?)),
    };
    // Looked up again, since the borrow ended; this lookup is not counted as an access.
    let mut db = ctx.keyspace.db(ctx.db);
    match db.probe(key).and_then(|entry| entry.value().string()) {
        None => ctx.reply.null(),
        Some(StringRef::Bytes(bytes)) => ctx.reply.bulk(bytes),
        Some(StringRef::Int(n)) => ctx.reply.bulk_integer(n),
    }
    match expire {
        Some((unit, at)) if unit.is_absolute() && past(ctx, at as i64) => delete(ctx, name),
        Some((_, at)) => {
            ctx.keyspace.db(ctx.db).set_expire(key, Some(at));
            let mut digits = itoa::Buffer::new();
            let at = digits.format(at).as_bytes();
            ctx.effects.propagate(ctx.db, [b"PEXPIREAT", name, at]);
            ctx.changed(Class::Generic, "expire", name);
        }
        None if options.persist => {
            let mut db = ctx.keyspace.db(ctx.db);
            if db.probe(key).is_some_and(|entry| entry.expire().is_some()) {
                db.set_expire(key, None);
                ctx.effects.propagate(ctx.db, [b"PERSIST", name]);
                ctx.changed(Class::Generic, "persist", name);
            }
        }
        None => {}
    }
    Ok(())
}

/// Sets the key of a command to a value.
fn store(ctx: &mut Ctx<'_>, value: &[u8], expire: NewExpire) {
    let name = ctx.args.at(1);
    let mut db = ctx.keyspace.db(ctx.db);
    let created = db.set_string(db.key(name), StringRef::compact(value), expire);
    ctx.stored(name, created);
    ctx.changed(Class::String, "set", name);
}

fn set_with_expire(
    ctx: &mut Ctx<'_>,
    unit: Unit,
    command: &'static str,
) -> Result<(), CommandError> {
    let (name, value) = (ctx.args.at(1), ctx.args.at(3));
    let at = time(ctx, unit, ctx.args.at(2), command)?;
    store(ctx, value, NewExpire::At(at));
    propagate_set(ctx, value, at);
    ctx.effects.event(ctx.db, Class::Generic, "expire", name);
    ctx.reply.ok();
    Ok(())
}

/// Propagates SET with an absolute expiry time, so that the delay until replicas get it does not
/// matter.
fn propagate_set(ctx: &mut Ctx<'_>, value: &[u8], at: u64) {
    let mut digits = itoa::Buffer::new();
    let at = digits.format(at).as_bytes();
    ctx.effects.propagate(ctx.db, [b"SET", ctx.args.at(1), value, b"PXAT", at]);
}

fn delete(ctx: &mut Ctx<'_>, name: &[u8]) {
    let mut db = ctx.keyspace.db(ctx.db);
    db.remove(db.key(name));
    ctx.effects.propagate(ctx.db, [b"DEL", name]);
    ctx.changed(Class::Generic, "del", name);
}

/// Replies with the string that the key of a command holds. Returns whether there is one.
fn reply_with_string(ctx: &mut Ctx<'_>) -> Result<bool, CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let Some(value) = db.read(db.key(ctx.args.at(1))) else {
        ctx.reply.null();
        return Ok(false);
    };
    match value.string().ok_or(CommandError::WrongType)? {
        StringRef::Bytes(bytes) => ctx.reply.bulk(bytes),
        StringRef::Int(n) => ctx.reply.bulk_integer(n),
    }
    Ok(true)
}

/// The options of SET, or of GETEX, from the argument at `from` on.
fn parse<'a>(ctx: &Ctx<'a>, from: usize, getex: bool) -> Result<Options<'a>, CommandError> {
    let mut options = Options::default();
    let mut args = ctx.args.from(from).iter();
    while let Some(word) = args.next() {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let unit = match () {
            () if is("EX") => Some(Unit::Ex),
            () if is("PX") => Some(Unit::Px),
            () if is("EXAT") => Some(Unit::ExAt),
            () if is("PXAT") => Some(Unit::PxAt),
            () => None,
        };
        if let Some(unit) = unit {
            // The same unit again replaces the time, another one is an error.
            let other = options.expire.is_some_and(|(before, _)| before != unit);
            match args.next() {
                Some(time) if !other && !options.keep && !options.persist => {
                    options.expire = Some((unit, time));
                }
                _ => return Err(CommandError::Syntax),
            }
        } else if is("NX") && !getex && !options.if_there {
            options.if_missing = true;
        } else if is("XX") && !getex && !options.if_missing {
            options.if_there = true;
        } else if is("GET") && !getex {
            options.get = true;
        } else if is("KEEPTTL") && !getex && options.expire.is_none() {
            options.keep = true;
        } else if is("PERSIST") && getex && options.expire.is_none() {
            options.persist = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(options)
}

/// The expiry time that an option or an argument gives, in milliseconds since 1970.
fn time(
    ctx: &Ctx<'_>,
    unit: Unit,
    text: &[u8],
    command: &'static str,
) -> Result<u64, CommandError> {
    let given = parse_i64(text).ok_or(CommandError::NotAnInteger)?;
    let base = if unit.is_absolute() { 0 } else { ctx.now_ms() };
    let at = Some(given).filter(|&given| given > 0);
    at.and_then(|given| expire_time(given, unit.is_seconds(), base))
        .and_then(|at| u64::try_from(at).ok())
        .ok_or_else(|| super::expire::invalid(command))
}
