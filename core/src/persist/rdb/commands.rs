//! DUMP and RESTORE. They are here because they consist mostly of encoding and decoding.

use super::payload::{PayloadError, PayloadWriter, restore};
use crate::command::meta::{acl, flag, key};
use crate::command::walk::Render;
use crate::command::{Class, CommandError, Ctx, Group, Handler, KeySpec, Rest, Row, is_past};
use crate::resp::number::parse_i64;
use crate::store::{AccessClock, AccessPolicy, Entry};

/// Rows of the command table.
pub static ROWS: &[Row<Handler>] = &[
    Row::new(Group::Generic, "dump", 2, dump_key as Handler)
        .acl(acl::KEYSPACE)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.6.0")
        .complexity("O(N), N being the size of the value.")
        .summary("Gives the value of a key as a payload, from which RESTORE makes it again.")
        .syntax("key")
        .tips(&["nondeterministic_output"]),
    restoring(Group::Generic, "restore")
        .flags(flag::WRITE | flag::DENYOOM)
        .since("2.6.0")
        .summary("Makes a key from a payload of DUMP."),
    restoring(Group::Server, "restore-asking")
        .system()
        .flags(flag::WRITE | flag::DENYOOM | flag::ASKING)
        .since("3.0.0")
        .summary("Makes a key from a payload while its slot moves to another node of a cluster."),
];

const OVERWRITTEN: &[KeySpec] = &[KeySpec::one(1, key::OW | key::UPDATE)];

const fn restoring(group: Group, name: &'static str) -> Row<Handler> {
    Row::new(group, name, -4, restore_key as Handler)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .keys(OVERWRITTEN)
        .complexity("O(N), N being the size of the value; O(N*log(N)) for sorted sets.")
        .syntax("key ttl serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME seconds@5.0.0] [FREQ frequency@5.0.0]")
        .history(&[
            ("3.0.0", "New: `REPLACE`."),
            ("5.0.0", "New: `ABSTTL`."),
            ("5.0.0", "New: `IDLETIME`, `FREQ`."),
        ])
}

fn dump_key(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let mut db = ctx.keyspace.db(ctx.db);
    let is_there = db.read(db.key(name)).is_some();
    let Some(entry) = ctx.keyspace.peek(ctx.db, name).filter(|_| is_there) else {
        ctx.reply.null();
        return Ok(());
    };
    let mut writer = PayloadWriter::new(ctx.config.rdb_compression);
    writer.begin(entry);
    if !writer.is_whole() {
        if !ctx.reply.is_muted() {
            ctx.rest = Some(Rest::rendered(Box::new(Dump(writer)), ctx.reply.proto()));
        }
    } else if let Some(payload) = writer.step(SLICE) {
        ctx.reply.bulk(&payload);
    }
    Ok(())
}

/// The number of bytes of a payload that are written at once.
const SLICE: usize = 64 * 1024;

/// The payload of a large value, rendered in slices.
#[derive(Clone, Debug)]
struct Dump(PayloadWriter);

impl Render for Dump {
    fn step(&mut self) -> Option<Vec<u8>> {
        self.0.step(SLICE)
    }

    fn take_copy(&mut self) -> Option<Entry> {
        self.0.take_copy()
    }

    fn boxed(&self) -> Box<dyn Render> {
        Box::new(self.clone())
    }
}

/// The options after the payload.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle: Option<u64>,
    freq: Option<u8>,
}

fn restore_key(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let options = options(ctx)?;
    let (name, payload) = (ctx.arg(1), ctx.arg(3));
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    if !options.replace && db.probe(key).is_some() {
        return Err(CommandError::text("BUSYKEY Target key name already exists."));
    }
    let ttl = ctx.integer(2)?;
    if ttl < 0 {
        return Err(CommandError::text("ERR Invalid TTL value, must be >= 0"));
    }
    let limits = ctx.limits();
    let value = match restore(payload, &limits, !ctx.config.skip_checksum_validation) {
        Ok(value) => value,
        Err(PayloadError::Footer) => {
            return Err(CommandError::text("ERR DUMP payload version or checksum are wrong"));
        }
        Err(error) => {
            ctx.remark = Some(format!("Internal error in RDB reading {error}"));
            return Err(CommandError::text("ERR Bad data format"));
        }
    };
    let now = ctx.now_ms();
    let expire = match (ttl, options.absolute) {
        (0, _) => None,
        (at, true) => Some(at),
        // Redis does not check for overflow here: a time that wraps around has passed.
        (ttl, false) => Some(ttl.wrapping_add(i64::try_from(now).unwrap_or(i64::MAX))),
    };
    let gone = options.replace && ctx.keyspace.db(ctx.db).remove(key);
    ctx.reply.ok();
    if expire.is_some_and(|at| is_past(ctx, at)) {
        if gone {
            let word: &[u8] = if ctx.config.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
            ctx.effects.propagate(ctx.db, [word, name]);
            ctx.changed(Class::Generic, "del", name);
        }
        return Ok(());
    }
    let clock = match (ctx.keyspace.env.access, options.idle, options.freq) {
        (AccessPolicy::Lfu { .. }, _, Some(freq)) => AccessClock::with_freq(freq, now),
        (AccessPolicy::Lru, Some(idle), _) => {
            AccessClock::idle_since(idle.saturating_mul(1_000), now)
        }
        (access, _, _) => AccessClock::new(access, now),
    };
    let at = expire.map(|at| u64::try_from(at).unwrap_or(0));
    ctx.keyspace.db(ctx.db).put(key, Entry::saved(name, value, at, clock));
    if let Some(at) = expire
        && !options.absolute
    {
        // The expiry time is propagated as an absolute time, since replicas receive it later.
        let mut digits = itoa::Buffer::new();
        let head = [ctx.arg(0), name, digits.format(at).as_bytes()];
        let tail = ctx.args.from(3).iter().chain([&b"ABSTTL"[..]]);
        ctx.effects.propagate(ctx.db, head.into_iter().chain(tail));
    }
    ctx.stored(name, true);
    ctx.changed(Class::Generic, "restore", name);
    ctx.effects.ready(ctx.db, name);
    Ok(())
}

fn options(ctx: &Ctx<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut words = ctx.args.from(4).iter();
    while let Some(word) = words.next() {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("REPLACE") {
            options.replace = true;
        } else if is("ABSTTL") {
            options.absolute = true;
        } else if is("IDLETIME") && options.freq.is_none() {
            let seconds = number(words.next())?;
            options.idle = Some(
                u64::try_from(seconds)
                    .map_err(|_| CommandError::text("ERR Invalid IDLETIME value, must be >= 0"))?,
            );
        } else if is("FREQ") && options.idle.is_none() {
            let freq = number(words.next())?;
            options.freq = Some(u8::try_from(freq).map_err(|_| {
                CommandError::text("ERR Invalid FREQ value, must be >= 0 and <= 255")
            })?);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(options)
}

fn number(word: Option<&[u8]>) -> Result<i64, CommandError> {
    parse_i64(word.ok_or(CommandError::Syntax)?).ok_or(CommandError::NotAnInteger)
}
