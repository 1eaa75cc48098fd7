//! XADD and XTRIM.

use smallvec::SmallVec;

use super::ids::{self, NewId};
use super::{id_text, write_id};
use crate::command::{Class, CommandError, Ctx};
use crate::resp::number::parse_i64;
use crate::store::Collection;
use crate::store::value::stream::{MAX_NODE_BYTES, NodeLimits, Trim};
use crate::store::value::{Stream, StreamId};

/// The options of XADD and XTRIM.
#[derive(Default)]
struct Options {
    /// `NOMKSTREAM`
    only_existing: bool,
    trim: Option<Trimming>,
    /// The position of the ID.
    id_at: usize,
}

#[derive(Clone, Copy)]
struct Trimming {
    to: Trim,
    /// `~`: trims approximately.
    about: bool,
    /// LIMIT: the most entries to remove; 0 for any number.
    limit: u64,
    /// The position of the threshold.
    at: usize,
}

const EXHAUSTED: CommandError = CommandError::text(
    "ERR The stream has exhausted the last possible ID, unable to add more items",
);
const TOO_SMALL: CommandError = CommandError::text(
    "ERR The ID specified in XADD is equal or smaller than the target stream top item",
);
const TOO_LARGE: CommandError = CommandError::text("ERR Elements are too large to be stored");

pub(super) fn xadd(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let options = Options::parse(ctx, true)?;
    let args = ctx.args;
    let (name, words) = (args.at(1), args.from(options.id_at + 1));
    let new_id = ids::new(args.get(options.id_at).unwrap_or(b"*"))?;
    if words.len() < 2 || !words.len().is_multiple_of(2) {
        return Err(CommandError::arity("xadd"));
    }
    if new_id == NewId::Is(StreamId::MIN) {
        return Err(CommandError::text("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let pairs: SmallVec<[(&[u8], &[u8]); 8]> =
        (0..words.len() / 2).map(|i| (words.at(2 * i), words.at(2 * i + 1))).collect();
    let limits = NodeLimits {
        bytes: ctx.config.stream_node_max_bytes,
        entries: ctx.config.stream_node_max_entries,
    };
    let now = ctx.now_ms();
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let append = |stream: &mut Stream| {
        let id = choose(new_id, stream.counters().last_id, now)?;
        if words.bytes() > MAX_NODE_BYTES {
            return Err(TOO_LARGE);
        }
        stream.append(id, &pairs, limits);
        let trimmed = options.trim.map(|trim| (trim, trim.trim(stream)));
        Ok((id, trimmed.map(|(trim, removed)| (trim, removed, trim.exact_threshold(stream)))))
    };
    let (done, created) = match db.edit(key, append)? {
        Some((done, _)) => (done?, false),
        None if options.only_existing => {
            ctx.reply.null();
            return Ok(());
        }
        None => {
            let mut stream = Stream::new();
            let done = append(&mut stream)?;
            db.set_value(key, stream.into_value());
            (done, true)
        }
    };
    let (id, trimmed) = done;
    write_id(&mut ctx.reply, id);
    ctx.stored(name, created);
    ctx.changed(Class::Stream, "xadd", name);
    if trimmed.as_ref().is_some_and(|(_, removed, _)| *removed > 0) {
        ctx.effects.event(ctx.db, Class::Stream, "xtrim", name);
    }
    let chosen = !matches!(new_id, NewId::Is(_));
    let about = trimmed.filter(|(trim, ..)| trim.about);
    if chosen || about.is_some() {
        let id = id_text(id);
        let (trim, threshold) = match &about {
            Some((trim, _, threshold)) => (Some(trim), &threshold[..]),
            None => (None, &[][..]),
        };
        propagate(ctx, trim, threshold, chosen.then_some((options.id_at, &id[..])));
    }
    ctx.effects.ready(ctx.db, name);
    Ok(())
}

pub(super) fn xtrim(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let options = Options::parse(ctx, false)?;
    let Some(trim) = options.trim else {
        return Err(CommandError::text(
            "ERR syntax error, XTRIM must be called with a trimming strategy",
        ));
    };
    let name = ctx.args.at(1);
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |stream: &mut Stream| {
        let removed = trim.trim(stream);
        (removed, trim.exact_threshold(stream))
    })?;
    let (removed, threshold) = edited.map_or_else(Default::default, |(done, _)| done);
    if removed > 0 {
        ctx.changed_times(removed, Class::Stream, "xtrim", name);
        if trim.about {
            propagate(ctx, Some(&trim), &threshold, None);
        }
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

/// The ID of an entry that is added after `last`.
fn choose(new: NewId, last: StreamId, now: u64) -> Result<StreamId, CommandError> {
    if last == StreamId::MAX {
        return Err(EXHAUSTED);
    }
    let id = match new {
        NewId::Any if now > last.ms => Some(StreamId::new(now, 0)),
        NewId::Any => last.next(),
        NewId::InMillisecond(ms) if ms == last.ms => {
            last.seq.checked_add(1).map(|seq| StreamId::new(ms, seq))
        }
        NewId::InMillisecond(ms) => Some(StreamId::new(ms, 0)),
        NewId::Is(id) => Some(id),
    };
    id.filter(|id| *id > last).ok_or(TOO_SMALL)
}

/// Propagates the command with the ID that was generated and the exact trimming threshold.
fn propagate(
    ctx: &mut Ctx<'_>,
    trim: Option<&Trimming>,
    threshold: &[u8],
    id: Option<(usize, &[u8])>,
) {
    let (db, args) = (ctx.db, ctx.args);
    let words = args.iter().enumerate().map(|(at, word)| match (trim, id) {
        (Some(trim), _) if at == trim.at => threshold,
        (Some(trim), _) if at + 1 == trim.at => b"=",
        (_, Some((id_at, id))) if at == id_at => id,
        _ => word,
    });
    ctx.effects.propagate(db, words);
}

impl Trimming {
    fn trim(&self, stream: &mut Stream) -> u64 {
        stream.trim(self.to, self.about, self.limit)
    }

    /// The threshold for exact trimming that leaves the same entries.
    fn exact_threshold(&self, stream: &Stream) -> Vec<u8> {
        match self.to {
            _ if !self.about => Vec::new(),
            Trim::MaxLen(_) => stream.len().to_string().into_bytes(),
            Trim::MinId(_) => id_text(stream.front_id().unwrap_or(StreamId::MAX)).to_vec(),
        }
    }
}

impl Options {
    /// Parses the options, which follow the key. Those of XADD end with the ID.
    fn parse(ctx: &Ctx<'_>, adding: bool) -> Result<Self, CommandError> {
        let args = ctx.args;
        let mut options = Options { id_at: args.len(), ..Options::default() };
        let (mut limit, mut at) = (None, 2);
        while let Some(word) = args.get(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let more = at + 1 < args.len();
            if adding && word == b"*" {
                options.id_at = at;
                break;
            } else if more && (is("MAXLEN") || is("MINID")) {
                if options.trim.is_some() {
                    return Err(CommandError::text(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not \
                         compatible",
                    ));
                }
                let operator = args
                    .get(at + 1)
                    .filter(|next| at + 2 < args.len() && matches!(*next, b"~" | b"="));
                let place = if operator.is_some() { at + 2 } else { at + 1 };
                let threshold = args.at(place);
                let to = if is("MAXLEN") {
                    let max = parse_i64(threshold).ok_or(CommandError::NotAnInteger)?;
                    let negative = CommandError::text("ERR The MAXLEN argument must be >= 0.");
                    Trim::MaxLen(u64::try_from(max).map_err(|_| negative)?)
                } else {
                    Trim::MinId(ids::strict(threshold)?)
                };
                let about = operator == Some(b"~");
                options.trim = Some(Trimming { to, about, limit: 0, at: place });
                at = place;
            } else if more && is("LIMIT") {
                let given = parse_i64(args.at(at + 1)).ok_or(CommandError::NotAnInteger)?;
                let negative = CommandError::text("ERR The LIMIT argument must be >= 0.");
                limit = Some(u64::try_from(given).map_err(|_| negative)?);
                at += 1;
            } else if adding && is("NOMKSTREAM") {
                options.only_existing = true;
            } else if adding {
                ids::new(word)?;
                options.id_at = at;
                break;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        let Some(trim) = &mut options.trim else {
            return match limit {
                Some(1..) => Err(CommandError::text(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                )),
                _ => Ok(options),
            };
        };
        if !ctx.caller.from_primary {
            trim.limit = match limit {
                Some(_) if !trim.about => {
                    return Err(CommandError::text(
                        "ERR syntax error, LIMIT cannot be used without the special ~ option",
                    ));
                }
                Some(limit) => limit,
                None if trim.about => default_limit(ctx.config.stream_node_max_entries),
                None => 0,
            };
        }
        Ok(options)
    }
}

/// The default LIMIT of approximate trimming: the entries of a hundred nodes.
fn default_limit(node_entries: u64) -> u64 {
    match node_entries.saturating_mul(100) {
        0 => 10_000,
        n => n.min(1_000_000),
    }
}
