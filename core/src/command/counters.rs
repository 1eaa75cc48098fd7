//! Numeric strings: INCR, DECR, INCRBYFLOAT and related commands.

use super::extended::{Extended, Parsed};
use super::{Class, CommandError, Ctx};
use crate::store::{NewExpire, StringRef};

const NOT_FINITE: CommandError = CommandError::text("ERR increment would produce NaN or Infinity");

pub(super) fn incr(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    add(ctx, 1)
}

pub(super) fn decr(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    add(ctx, -1)
}

pub(super) fn incrby(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let increment = ctx.integer(2)?;
    add(ctx, increment)
}

pub(super) fn decrby(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let decrement = ctx.integer(2)?;
    let increment =
        decrement.checked_neg().ok_or(CommandError::text("ERR decrement would overflow"))?;
    add(ctx, increment)
}

pub(super) fn incrbyfloat(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    // Storing the sum counts the access.
    let old = match db.peek(key) {
        None => Some(Parsed::Finite(Extended::ZERO)),
        Some(value) => match value.string().ok_or(CommandError::WrongType)? {
            StringRef::Int(n) => Some(Parsed::Finite(n.into())),
            StringRef::Bytes(bytes) => Extended::parse(bytes),
        },
    };
    let old = old.ok_or(CommandError::NotAFloat)?;
    let increment = Extended::parse(ctx.args.at(2)).ok_or(CommandError::NotAFloat)?;
    let sum = match (old, increment) {
        (Parsed::Finite(a), Parsed::Finite(b)) => a.checked_add(b).ok_or(NOT_FINITE)?,
        _ => return Err(NOT_FINITE),
    };
    let text = sum.format();
    let created = db.set_string(key, StringRef::Bytes(&text), NewExpire::Keep);
    ctx.stored(name, created);
    ctx.changed(Class::String, "incrbyfloat", name);
    // Replicas get the result, so that they need not compute the same.
    ctx.effects.propagate(ctx.db, [b"SET", name, &text, b"KEEPTTL"]);
    ctx.reply.bulk(&text);
    Ok(())
}

fn add(ctx: &mut Ctx<'_>, increment: i64) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    // Storing the sum counts the access.
    let old = match db.peek(key) {
        None => 0,
        Some(value) => {
            let string = value.string().ok_or(CommandError::WrongType)?;
            string.int().ok_or(CommandError::NotAnInteger)?
        }
    };
    let sum = old
        .checked_add(increment)
        .ok_or(CommandError::text("ERR increment or decrement would overflow"))?;
    let created = db.set_string(key, StringRef::Int(sum), NewExpire::Keep);
    ctx.stored(name, created);
    ctx.changed(Class::String, "incrby", name);
    ctx.reply.integer(sum);
    Ok(())
}
