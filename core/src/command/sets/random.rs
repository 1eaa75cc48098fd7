//! Random members of sets: SRANDMEMBER returns them, SPOP removes them.

use crate::command::collection::{distinct, positive, random_count, write_item};
use crate::command::walk::{self, Walk};
use crate::command::{Class, CommandError, Ctx};
use crate::store::value::Set;
use crate::store::{Value, ValueRef};

/// The most members in one propagated SREM, as in Redis.
const BATCH: usize = 1024;

pub(super) fn srandmember(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    if ctx.args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = match ctx.args.len() {
        2 => None,
        _ => Some(random_count(ctx.args, b"")?.0),
    };
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<Set>(db.key(ctx.args.at(1)))?;
    let (set, count) = match (set, count) {
        (None, None) => {
            ctx.reply.null();
            return Ok(());
        }
        (None, Some(_)) => {
            ctx.reply.array(0);
            return Ok(());
        }
        (Some(set), None) => {
            match set.random(ctx.rng) {
                Some(member) => write_item(&mut ctx.reply, member),
                None => ctx.reply.null(),
            }
            return Ok(());
        }
        (Some(set), Some(count)) => (set, count),
    };
    if count < 0 {
        ctx.reply.array(usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
        let part = (0, usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
        let (value, walk) = (ValueRef::Set(set), Walk::Random { both: false });
        walk::write(&mut ctx.reply, &mut ctx.rest, ctx.rng, value, walk, part);
        return Ok(());
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(set.len());
    ctx.reply.array(count);
    if count == set.len() {
        let value = ValueRef::Set(set);
        walk::write(&mut ctx.reply, &mut ctx.rest, ctx.rng, value, Walk::Elements, (0, count));
    } else {
        for n in distinct(ctx.rng, set.len(), count) {
            if let Some(member) = set.nth(n) {
                write_item(&mut ctx.reply, member);
            }
        }
    }
    Ok(())
}

pub(super) fn spop(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let count = match ctx.args.len() {
        2 => None,
        3 => Some(positive(ctx.args.at(2), "ERR value is out of range, must be positive")?),
        _ => return Err(CommandError::Syntax),
    };
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    if db.check::<Set>(key)?.is_none() || count == Some(0) {
        match count {
            None => ctx.reply.null(),
            Some(_) => ctx.reply.set(0),
        }
        return Ok(());
    }
    let (reply, rng, effects) = (&mut ctx.reply, &mut *ctx.rng, &mut *ctx.effects);
    let propagates = effects.consumers().propagation;
    let index = ctx.db;
    let edited = db.edit(key, |set: &mut Set| {
        let size = set.view().len();
        let n = count.unwrap_or(1).min(size);
        if count.is_some() {
            reply.set(n);
        }
        if n == size && count.is_some() {
            return (n, Some(core::mem::replace(set, Set::Pack(Default::default()))));
        }
        let mut batch = Vec::new();
        for i in 0..n {
            let at = rng.below((size - i) as u64) as usize;
            let Some(member) = set.remove_nth(at) else { break };
            reply.bulk(&member);
            if propagates {
                batch.push(member);
                if batch.len() == BATCH || i + 1 == n {
                    let head = [&b"SREM"[..], name].into_iter();
                    effects.propagate(index, head.chain(batch.iter().map(Vec::as_slice)));
                    batch.clear();
                }
            }
        }
        (n, None)
    })?;
    let Some(((n, rest), gone)) = edited else { return Ok(()) };
    if let Some(rest) = rest {
        let rest = Value::Set(rest);
        let value = rest.view();
        walk::write(&mut ctx.reply, &mut ctx.rest, ctx.rng, value, Walk::Elements, (0, n));
        db.free_later(rest);
        let command: &[u8] = if ctx.config.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
        ctx.effects.propagate(ctx.db, [command, name]);
    }
    ctx.changed_times(n as u64, Class::Set, "spop", name);
    ctx.gone(name, gone);
    Ok(())
}
