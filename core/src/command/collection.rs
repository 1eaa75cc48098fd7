//! What the commands on collections share: ranges, counts, scans, and reporting of changes.

use core::ops::Range;

use super::{Class, CommandError, Ctx};
use crate::glob;
use crate::resp::number::{parse_double, parse_i64};
use crate::resp::reply::Reply;
use crate::resp::request::Args;
use crate::store::value::{Item, Limits};

impl Ctx<'_> {
    /// The thresholds of the compact encodings.
    pub fn limits(&mut self) -> Limits {
        let seed = self.keyspace.seed();
        self.config.limits(seed)
    }

    /// Reports `n` changes to a key at once.
    #[inline]
    pub(super) fn changed_times(&mut self, n: u64, class: Class, event: &'static str, key: &[u8]) {
        self.effects.dirty += n;
        if self.effects.consumers().follow_keys() {
            self.report_change(class, event, key);
        }
    }

    /// Reports that a key was deleted with its last element, if `gone`.
    pub(super) fn gone(&mut self, key: &[u8], gone: bool) {
        if gone {
            self.effects.event(self.db, Class::Generic, "del", key);
        }
    }
}

/// The operations on sets and sorted sets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Union,
    Intersection,
    Difference,
}

/// Parses a count that must not be negative; `error` also stands for what is not an integer.
pub(super) fn positive(text: &[u8], error: &'static str) -> Result<usize, CommandError> {
    parse_i64(text).and_then(|n| usize::try_from(n).ok()).ok_or(CommandError::text(error))
}

/// The range of LRANGE and similar commands: indexes from `start` to `stop`, both included,
/// negative ones counted from the end.
pub(super) fn index_range(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_end = |n: i64| if n < 0 { n.saturating_add(len) } else { n };
    let start = from_end(start).max(0);
    let stop = from_end(stop).min(len - 1);
    if start > stop || start >= len { 0..0 } else { start as usize..stop as usize + 1 }
}

/// The count of HRANDFIELD, SRANDMEMBER and ZRANDMEMBER: negative if elements may repeat. The
/// second result is whether the next argument is `word`, which asks for pairs.
pub(super) fn random_count(args: Args<'_>, word: &[u8]) -> Result<(i64, bool), CommandError> {
    let count = parse_i64(args.at(2)).ok_or(CommandError::NotAnInteger)?;
    if count == i64::MIN {
        return Err(CommandError::text(
            "ERR value is out of range, value must between \
             -9223372036854775807 and 9223372036854775807",
        ));
    }
    let pairs = match args.get(3) {
        None => return Ok((count, false)),
        Some(text) => args.len() == 4 && text.eq_ignore_ascii_case(word),
    };
    if !pairs {
        return Err(CommandError::Syntax);
    }
    if count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CommandError::text("ERR value is out of range"));
    }
    Ok((count, true))
}

/// `count` different numbers below `len` (or all of them), in no particular order.
pub(super) fn distinct(rng: &mut crate::rng::Rng, len: usize, count: usize) -> Vec<usize> {
    let count = count.min(len);
    if count * 3 > len {
        // For a large share: a partial shuffle.
        let mut all: Vec<usize> = (0..len).collect();
        for i in 0..count {
            let j = i + rng.below((len - i) as u64) as usize;
            all.swap(i, j);
        }
        all.truncate(count);
        return all;
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count {
        let n = rng.below(len as u64) as usize;
        if seen.insert(n) {
            drawn.push(n);
        }
    }
    drawn
}

/// Writes an element.
#[inline]
pub(super) fn write_item(reply: &mut Reply<'_>, item: Item<'_>) {
    match item {
        Item::Str(text) => reply.bulk(text),
        Item::Int(n) => reply.bulk_integer(n),
    }
}

/// The options of SSCAN, HSCAN and ZSCAN.
pub(super) struct Scan<'a> {
    pub(super) count: usize,
    pattern: Option<&'a [u8]>,
}

impl<'a> Scan<'a> {
    /// Reads the options behind the cursor. They count only if the key exists.
    pub(super) fn parse(args: Args<'a>) -> Result<Self, CommandError> {
        let mut scan = Scan { count: 10, pattern: None };
        let mut options = args.from(3).iter();
        while let Some(option) = options.next() {
            let value = options.next().ok_or(CommandError::Syntax)?;
            if option.eq_ignore_ascii_case(b"count") {
                let count = parse_i64(value).ok_or(CommandError::NotAnInteger)?;
                if count < 1 {
                    return Err(CommandError::Syntax);
                }
                scan.count = usize::try_from(count).unwrap_or(usize::MAX);
            } else if option.eq_ignore_ascii_case(b"match") {
                scan.pattern = Some(value).filter(|pattern| *pattern != b"*");
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(scan)
    }

    /// Whether an element matches the pattern.
    pub(super) fn wants(&self, item: Item<'_>) -> bool {
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, item.bytes(&mut itoa::Buffer::new())))
    }
}

/// Writes the reply of a finished scan without elements.
pub(super) fn empty_scan(reply: &mut Reply<'_>) {
    reply.array(2);
    reply.bulk(b"0");
    reply.array(0);
}

/// Parses the arguments of LMPOP and ZMPOP from `at` on: the positions of the keys, the end (parsed
/// by `end`), and the number of elements.
pub(super) fn parse_mpop<E>(
    ctx: &Ctx<'_>,
    at: usize,
    end: impl Fn(&[u8]) -> Result<E, CommandError>,
) -> Result<(Range<usize>, E, usize), CommandError> {
    const NUMKEYS: &str = "ERR numkeys should be greater than 0";
    const COUNT: &str = "ERR count should be greater than 0";
    let at_least_one = |text: &[u8], error| match positive(text, error)? {
        0 => Err(CommandError::text(error)),
        n => Ok(n),
    };
    let numkeys = at_least_one(ctx.args.at(at), NUMKEYS)?;
    let first = at + 1;
    let word_at = first.checked_add(numkeys).filter(|i| *i < ctx.args.len());
    let word_at = word_at.ok_or(CommandError::Syntax)?;
    let end = end(ctx.args.at(word_at))?;
    let mut count = None;
    let mut options = ctx.args.from(word_at + 1).iter();
    while let Some(option) = options.next() {
        let value = options.next().filter(|_| count.is_none()).ok_or(CommandError::Syntax)?;
        if !option.eq_ignore_ascii_case(b"count") {
            return Err(CommandError::Syntax);
        }
        count = Some(at_least_one(value, COUNT)?);
    }
    Ok((first..word_at, end, count.unwrap_or(1)))
}

/// Parses a double leniently, as Redis does where it checks only the end of what `strtod` read:
/// leading blanks are allowed, and an empty text is zero.
pub(super) fn lenient_double(text: &[u8]) -> Option<f64> {
    let text = text.split(|b| *b == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let blanks = text.iter().take_while(|b| matches!(b, b' ' | b'\t'..=b'\r')).count();
    parse_double(text.get(blanks..)?)
}

/// Parses a double, or returns an error with this text.
pub(super) fn double(text: &[u8], error: &'static str) -> Result<f64, CommandError> {
    parse_double(text).ok_or(CommandError::text(error))
}
