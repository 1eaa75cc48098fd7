//! Expiry times: EXPIRE, TTL, PERSIST and related commands.

use super::{Class, CommandError, Ctx};

use crate::store::ExpireMode;

/// The conditions under which an expiry time is set.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    /// `NX`: the key has no expiry time.
    none: bool,
    /// `XX`: the key has an expiry time.
    some: bool,
    /// `GT`: the new one is later.
    later: bool,
    /// `LT`: the new one is earlier.
    earlier: bool,
}

impl Conditions {
    /// Whether the conditions allow a new time. Without an expiry time a key counts as expiring
    /// last.
    fn allow(self, old: Option<u64>, new: i64) -> bool {
        let old = old.map(|at| i64::try_from(at).unwrap_or(i64::MAX));
        !(self.none && old.is_some()
            || self.some && old.is_none()
            || self.later && old.is_none_or(|old| new <= old)
            || self.earlier && old.is_some_and(|old| new >= old))
    }
}

pub(super) fn expire(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let base = ctx.now_ms();
    set(ctx, base, true, "expire")
}

pub(super) fn pexpire(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let base = ctx.now_ms();
    set(ctx, base, false, "pexpire")
}

pub(super) fn expireat(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    set(ctx, 0, true, "expireat")
}

pub(super) fn pexpireat(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    set(ctx, 0, false, "pexpireat")
}

pub(super) fn ttl(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    reply_with_time(ctx, |at, now| seconds(at.saturating_sub(now)))
}

pub(super) fn pttl(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    reply_with_time(ctx, |at, now| at.saturating_sub(now))
}

pub(super) fn expiretime(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    reply_with_time(ctx, |at, _| seconds(at))
}

pub(super) fn pexpiretime(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    reply_with_time(ctx, |at, _| at)
}

pub(super) fn persist(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let expires = db.probe(key).is_some_and(|entry| entry.expire().is_some());
    if expires {
        db.set_expire(key, None);
        ctx.changed(Class::Generic, "persist", name);
    }
    ctx.reply.integer(i64::from(expires));
    Ok(())
}

/// `given` seconds or milliseconds after `base_ms`, in milliseconds, if that fits into 64 bits.
pub(super) fn expire_time(given: i64, seconds: bool, base_ms: u64) -> Option<i64> {
    let given = if seconds { given.checked_mul(1_000)? } else { given };
    given.checked_add(i64::try_from(base_ms).ok()?)
}

/// Whether a key that expires at `at` is deleted immediately. Not in the modes in which expired keys
/// are not deleted (see [`ExpireMode`]).
pub(crate) fn past(ctx: &Ctx<'_>, at: i64) -> bool {
    ctx.keyspace.env.expire_mode == ExpireMode::Delete
        && at <= i64::try_from(ctx.now_ms()).unwrap_or(i64::MAX)
}

/// The error for an invalid expiry time.
pub(super) fn invalid(command: &str) -> CommandError {
    CommandError::composed(format!("ERR invalid expire time in '{command}' command"))
}

fn set(
    ctx: &mut Ctx<'_>,
    base_ms: u64,
    seconds: bool,
    command: &'static str,
) -> Result<(), CommandError> {
    let conditions = parse(ctx)?;
    let name = ctx.args.at(1);
    let given = ctx.integer(2)?;
    let at = expire_time(given, seconds, base_ms).ok_or_else(|| invalid(command))?;
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let Some(old) = db.probe(key).map(|entry| entry.expire()) else {
        ctx.reply.integer(0);
        return Ok(());
    };
    if !conditions.allow(old, at) {
        ctx.reply.integer(0);
        return Ok(());
    }
    if past(ctx, at) {
        ctx.keyspace.db(ctx.db).remove(key);
        let word: &[u8] = if ctx.config.lazyfree_lazy_expire { b"UNLINK" } else { b"DEL" };
        ctx.effects.propagate(ctx.db, [word, name]);
        ctx.changed(Class::Generic, "del", name);
    } else {
        ctx.keyspace.db(ctx.db).set_expire(key, Some(u64::try_from(at).unwrap_or(0)));
        if command != "pexpireat" {
            let mut digits = itoa::Buffer::new();
            let at = digits.format(at).as_bytes();
            let head = [b"PEXPIREAT", name, at];
            ctx.effects.propagate(ctx.db, head.into_iter().chain(ctx.args.from(3).iter()));
        }
        ctx.changed(Class::Generic, "expire", name);
    }
    ctx.reply.integer(1);
    Ok(())
}

fn parse(ctx: &Ctx<'_>) -> Result<Conditions, CommandError> {
    let mut conditions = Conditions::default();
    for word in ctx.args.from(3).iter() {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("NX") => conditions.none = true,
            () if is("XX") => conditions.some = true,
            () if is("GT") => conditions.later = true,
            () if is("LT") => conditions.earlier = true,
            () => {
                return Err(CommandError::quoting("ERR Unsupported option ", word, ""));
            }
        }
    }
    let Conditions { none, some, later, earlier } = conditions;
    if none && (some || later || earlier) {
        return Err(CommandError::text(
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        ));
    }
    if later && earlier {
        return Err(CommandError::text(
            "ERR GT and LT options at the same time are not compatible",
        ));
    }
    Ok(conditions)
}

/// Replies with `time`, applied to the key's expiry time and the current time; -1 if the key does
/// not expire and -2 if it does not exist.
fn reply_with_time(ctx: &mut Ctx<'_>, time: impl Fn(u64, u64) -> u64) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let mut db = ctx.keyspace.db(ctx.db);
    let answer = match db.inspect(db.key(ctx.args.at(1))).map(|entry| entry.expire()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => i64::try_from(time(at, now_ms)).unwrap_or(i64::MAX),
    };
    ctx.reply.integer(answer);
    Ok(())
}

/// Converts milliseconds to seconds, rounded.
fn seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_compare_with_the_time_that_is_there() {
        let gt = Conditions { later: true, ..Conditions::default() };
        assert!(gt.allow(Some(5), 6) && !gt.allow(Some(5), 5) && !gt.allow(None, 6));
        let lt = Conditions { earlier: true, ..Conditions::default() };
        assert!(lt.allow(Some(5), 4) && !lt.allow(Some(5), 5) && lt.allow(None, 6));
        let nx = Conditions { none: true, ..Conditions::default() };
        assert!(nx.allow(None, 1) && !nx.allow(Some(1), 2));
        let xx = Conditions { some: true, ..Conditions::default() };
        assert!(!xx.allow(None, 1) && xx.allow(Some(1), 2));
    }

    #[test]
    fn times_that_do_not_fit_are_refused() {
        assert_eq!(expire_time(i64::MAX / 1_000 + 1, true, 0), None);
        assert_eq!(expire_time(i64::MAX, false, 1), None);
        assert_eq!(expire_time(-5, true, 6_000), Some(1_000));
    }
}
