//! HyperLogLog commands: strings that estimate how many different elements were added to them.
//! `registers` holds the format of these strings.

mod registers;

use super::meta::{acl, flag, key};
use super::{Class, CommandError, Ctx, Group, Handler, KeySpec, Row};
use crate::rng::Rng;
use crate::store::{DbMut, Key, NewExpire, StringRef};
use registers::{Corrupt, Form, HyperLogLog, REGISTERS, Registers};

/// The rows of the HyperLogLog commands.
pub static ROWS: &[Row<Handler>] = &[
    row("pfadd", -2, pfadd)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::INSERT)])
        .complexity("O(1) for each element.")
        .summary("Adds elements to a HyperLogLog, creating it if it does not exist.")
        .syntax("key [element] ..."),
    row("pfcount", -2, pfcount)
        .flags(flag::READONLY | flag::MAY_REPLICATE)
        .keys(&[KeySpec::range(1, -1, 1, key::RW | key::ACCESS).notes("RW because it may change the internal representation of the key, and propagate to replicas")])
        .complexity("O(1) for one key, O(N) for N keys, with much larger constants.")
        .summary("Estimates how many different elements were added to one or several HyperLogLogs.")
        .syntax("key ..."),
    row("pfdebug", 3, pfdebug)
        .system()
        .flags(flag::WRITE | flag::DENYOOM | flag::ADMIN)
        .keys(&[KeySpec::one(2, key::RW | key::ACCESS)])
        .complexity("N/A")
        .summary("Shows what is in a HyperLogLog, for tests.")
        .syntax("subcommand key"),
    row("pfmerge", -2, pfmerge)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[
            KeySpec::one(1, key::RW | key::ACCESS | key::INSERT),
            KeySpec::range(2, -1, 1, key::RO | key::ACCESS),
        ])
        .complexity("O(N), N being the number of keys, with large constants.")
        .summary("Merges HyperLogLogs into one, as if all elements had been added to it.")
        .syntax("destkey#key [sourcekey] ..."),
    row("pfselftest", 1, pfselftest)
        .system()
        .flags(flag::ADMIN)
        .complexity("N/A")
        .summary("Tests that HyperLogLogs keep what they are given and estimate well."),
];

const fn row(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::Hyperloglog, name, arity, handler).acl(acl::HYPERLOGLOG).since("2.8.9")
}

const NOT_ONE: CommandError =
    CommandError::text("WRONGTYPE Key is not a valid HyperLogLog string value.");

impl From<Corrupt> for CommandError {
    fn from(_: Corrupt) -> Self {
        CommandError::text("INVALIDOBJ Corrupted HLL object detected")
    }
}

fn pfadd(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (name, elements) = (ctx.args.at(1), ctx.args.from(2));
    let mut changes = 0;
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let old = match db.probe(key) {
        None => None,
        Some(entry) => Some(string_of(entry.value().string())?),
    };
    let created = old.is_none();
    match old.map(|bytes| (registers::form_of(bytes), bytes)) {
        Some((Some(Form::Dense), bytes)) => {
            let len = bytes.len();
            let added = db.edit_string(key, len, |bytes| {
                elements.iter().filter(|element| registers::dense_add(bytes, element)).count()
            });
            changes += added.unwrap_or_default();
        }
        Some((None, _)) => return Err(NOT_ONE),
        sparse => {
            let mut hll = match sparse {
                Some((_, bytes)) => HyperLogLog::from_string(bytes).ok_or(NOT_ONE)?,
                None => HyperLogLog::new(),
            };
            changes += usize::from(created);
            let limit = ctx.config.hll_sparse_max_bytes;
            for element in elements.iter() {
                changes += usize::from(hll.add(element, limit)?);
            }
            if changes > 0 {
                hll.forget_count();
                keep(&mut db, key, &hll);
            }
        }
    }
    if changes > 0 {
        ctx.stored(name, created);
        ctx.changed_times(changes as u64, Class::String, "pfadd", name);
    }
    ctx.reply.integer(i64::from(changes > 0));
    Ok(())
}

fn pfcount(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let keys = ctx.args.from(1);
    let mut db = ctx.keyspace.db(ctx.db);
    if keys.len() > 1 {
        let mut all = Registers::new();
        for name in keys.iter() {
            if let Some(value) = db.read(db.key(name)) {
                let hll = HyperLogLog::from_string(string_of(value.string())?).ok_or(NOT_ONE)?;
                hll.merge_into(&mut all)?;
            }
        }
        ctx.reply.integer(all.count() as i64);
        return Ok(());
    }
    let name = keys.at(0);
    let key = db.key(name);
    let Some(value) = db.read(key) else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let hll = HyperLogLog::from_string(string_of(value.string())?).ok_or(NOT_ONE)?;
    let count = match hll.known_count() {
        Some(count) => count,
        None => {
            let (len, count) = (hll.as_bytes().len(), hll.count()?);
            db.edit_string(key, len, |bytes| registers::keep_count(bytes, count));
            // Although the command only reads, it has changed the string (its cached cardinality):
            // replicas and the append-only file get the same bytes.
            ctx.effects.dirty += 1;
            ctx.effects.touched(ctx.db, name);
            count
        }
    };
    ctx.reply.integer(count as i64);
    Ok(())
}

fn pfmerge(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut all = Registers::new();
    let mut dense = false;
    let mut db = ctx.keyspace.db(ctx.db);
    for name in ctx.args.from(1).iter() {
        if let Some(value) = db.read(db.key(name)) {
            let hll = HyperLogLog::from_string(string_of(value.string())?).ok_or(NOT_ONE)?;
            dense |= hll.form() == Form::Dense;
            hll.merge_into(&mut all)?;
        }
    }
    let name = ctx.args.at(1);
    let key = db.key(name);
    let old = match db.probe(key) {
        None => None,
        Some(entry) => Some(string_of(entry.value().string())?),
    };
    let created = old.is_none();
    let mut hll = match old {
        Some(bytes) => HyperLogLog::from_string(bytes).ok_or(NOT_ONE)?,
        None => HyperLogLog::new(),
    };
    if dense {
        hll.make_dense()?;
    }
    hll.raise(&all, ctx.config.hll_sparse_max_bytes);
    hll.forget_count();
    keep(&mut db, key, &hll);
    ctx.stored(name, created);
    ctx.changed(Class::String, "pfadd", name);
    ctx.reply.ok();
    Ok(())
}

fn pfdebug(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (subcommand, name) = (ctx.args.at(1), ctx.args.at(2));
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let entry = db.probe(key);
    let entry = entry.ok_or(CommandError::text("ERR The specified key does not exist"))?;
    let bytes = string_of(entry.value().string())?;
    let mut hll = HyperLogLog::from_string(bytes).ok_or(NOT_ONE)?;
    let sparse = hll.form() == Form::Sparse;
    match subcommand.to_ascii_lowercase().as_slice() {
        b"decode" if sparse => ctx.reply.bulk(hll.describe().as_bytes()),
        b"decode" => return Err(CommandError::text("ERR HLL encoding is not sparse")),
        b"encoding" => ctx.reply.simple(if sparse { "sparse" } else { "dense" }),
        word @ (b"getreg" | b"todense") => {
            if sparse {
                hll.make_dense()?;
                keep(&mut db, key, &hll);
                ctx.effects.dirty += 1;
                ctx.effects.touched(ctx.db, name);
            }
            if word == b"todense" {
                ctx.reply.integer(i64::from(sparse));
            } else {
                ctx.reply.array(REGISTERS);
                let mut all = Registers::new();
                hll.merge_into(&mut all)?;
                all.iter().for_each(|value| ctx.reply.integer(i64::from(value)));
            }
        }
        _ => {
            return Err(CommandError::quoting("ERR Unknown PFDEBUG subcommand '", subcommand, "'"));
        }
    }
    Ok(())
}

/// How often the self-test writes the registers and reads them back.
const CYCLES: usize = 20;
/// How many elements the self-test adds to measure the error of the estimate. Redis adds a hundred
/// times as many, which blocks it for seconds.
const ELEMENTS: u64 = 100_000;

fn pfselftest(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    self_test(ctx.rng, ctx.config.hll_sparse_max_bytes)?;
    ctx.reply.ok();
    Ok(())
}

fn self_test(rng: &mut Rng, limit: u64) -> Result<(), CommandError> {
    for _ in 0..CYCLES {
        let mut expected = Registers::new();
        let mut hll = HyperLogLog::new();
        hll.make_dense()?;
        for index in 0..REGISTERS {
            expected.raise(index, rng.below(64) as u8);
        }
        hll.raise(&expected, limit);
        let mut got = Registers::new();
        hll.merge_into(&mut got)?;
        let differing = expected.iter().zip(got.iter()).enumerate().find(|(_, (a, b))| a != b);
        if let Some((index, (expected, got))) = differing {
            return Err(CommandError::composed(format!(
                "TESTFAILED Register {index} should be {expected} but is {got}"
            )));
        }
    }
    let (mut sparse, mut dense) = (HyperLogLog::new(), HyperLogLog::new());
    dense.make_dense()?;
    let seed = rng.u64();
    // The standard error with this number of registers.
    let error = 1.04 / (REGISTERS as f64).sqrt();
    let mut checkpoint = 1;
    for n in 1..=ELEMENTS {
        let element = (n ^ seed).to_le_bytes();
        sparse.add(&element, limit)?;
        dense.add(&element, limit)?;
        if n < checkpoint {
            continue;
        }
        if n < limit / 2 && sparse.form() != Form::Sparse {
            return Err(CommandError::text("TESTFAILED sparse encoding not used"));
        }
        let count = dense.count()?;
        if sparse.count()? != count {
            return Err(CommandError::text("TESTFAILED dense/sparse disagree"));
        }
        let tolerated = (error * 6.0 * n as f64).ceil().max(1.0) as u64;
        let off = count.abs_diff(n);
        if off > tolerated {
            return Err(CommandError::composed(format!(
                "TESTFAILED Too big error. card:{n} abserr:{off}"
            )));
        }
        checkpoint *= 10;
    }
    Ok(())
}

/// Stores a HyperLogLog as the value of a key, as a string with the encoding `raw`, however short.
fn keep(db: &mut DbMut<'_>, key: Key<'_>, hll: &HyperLogLog) {
    db.set_string(key, StringRef::Bytes(hll.as_bytes()), NewExpire::Keep);
    db.edit_string(key, 0, |_| ());
}

/// The bytes of a string; a number is no HyperLogLog.
fn string_of(value: Option<StringRef<'_>>) -> Result<&[u8], CommandError> {
    match value {
        Some(StringRef::Bytes(bytes)) => Ok(bytes),
        Some(StringRef::Int(_)) => Err(NOT_ONE),
        None => Err(CommandError::WrongType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_test_passes() {
        for seed in 0..3 {
            assert_eq!(self_test(&mut Rng::new(seed), 3000), Ok(()));
        }
    }
}
