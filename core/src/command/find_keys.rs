//! Finds the keys among a command's arguments, from its key specifications.

use super::meta::{Begin, Find, Meta, flag, key, special};
use super::{KeySpec, migrate};
use crate::resp::number::parse_i64;
use crate::resp::request::Args;

/// The positions of a command's keys among its arguments, each with bits of [`key`].
///
/// `None` if the arguments do not fit the specification.
pub fn keys(meta: &Meta, args: Args<'_>) -> Option<Vec<(usize, u32)>> {
    let mut found = Vec::new();
    if meta.is(special::MIGRATE) {
        // The second specification would mistake a user name or password `KEYS` for the keyword.
        let (first, count) = migrate::key_positions(args);
        let flags = key::RW | key::ACCESS | key::DELETE;
        found.extend((first..).take(count).map(|at| (at, flags)));
        return Some(found);
    }
    for spec in meta.keys {
        let Some((first, last, step)) = range(spec, args)? else { continue };
        let flags = match spec.flags & key::VARIABLE_FLAGS {
            0 => spec.flags,
            _ => variable_flags(meta, spec.flags, args),
        };
        for at in (first..=last).step_by(step) {
            if at >= args.len() {
                return None;
            }
            found.push((at, flags));
        }
    }
    if meta.is(special::SORT) {
        found.extend(sort_destination(args).map(|at| (at, key::OW | key::UPDATE)));
    }
    Some(found)
}

/// The position of SORT's destination key: STORE may stand anywhere, and the last one counts.
fn sort_destination(args: Args<'_>) -> Option<usize> {
    let (mut at, mut found) = (2, None);
    while let Some(word) = args.get(at) {
        at += if word.eq_ignore_ascii_case(b"limit") {
            3
        } else if word.eq_ignore_ascii_case(b"get") || word.eq_ignore_ascii_case(b"by") {
            2
        } else if word.eq_ignore_ascii_case(b"store") && at + 1 < args.len() {
            found = Some(at + 1);
            2
        } else {
            1
        };
    }
    found
}

/// The first key, the last, and the step between two. The outer `None`: the arguments do not fit.
/// The inner one: the specification matches no keys.
fn range(spec: &KeySpec, args: Args<'_>) -> Option<Option<(usize, usize, usize)>> {
    let len = i64::try_from(args.len()).ok()?;
    let begin = match spec.begin {
        Begin::Index(index) => i64::from(index),
        Begin::Keyword(word, from) => match behind(word, from, args) {
            Some(at) => at as i64,
            None => return Some(None),
        },
        Begin::Unknown => return Some(None),
    };
    let (first, last, step) = match spec.find {
        Find::Range { last, step, limit } => {
            let last = i64::from(last);
            let last = if last >= 0 {
                begin + last
            } else if limit <= 1 {
                len + last
            } else {
                // Only the first 1/`limit` of the remaining arguments are keys.
                begin + (len - begin) / i64::from(limit) + last
            };
            (begin, last, i64::from(step))
        }
        Find::Keynum { at, first, step } => {
            let at = usize::try_from(begin + i64::from(at)).ok()?;
            let count = parse_i64(args.get(at)?).filter(|n| (0..=len).contains(n))?;
            let first = begin + i64::from(first);
            (first, first + (count - 1) * i64::from(step), i64::from(step))
        }
        Find::Unknown => return Some(None),
    };
    if first < 1 || last < first || first >= len {
        return Some(None);
    }
    let place = |at: i64| usize::try_from(at).ok();
    Some(Some((place(first)?, place(last)?, place(step)?.max(1))))
}

/// The position after a keyword, searched from `from` on, or backwards from the end.
fn behind(word: &str, from: i32, args: Args<'_>) -> Option<usize> {
    let is_word = |at: &usize| args.at(*at).eq_ignore_ascii_case(word.as_bytes());
    let places = 1..args.len();
    let found = if from >= 0 {
        places.skip_while(|at| *at < from as usize).find(is_word)
    } else {
        let end = args.len().checked_sub(from.unsigned_abs() as usize)?;
        places.rev().skip_while(|at| *at > end).find(is_word)
    };
    found.map(|at| at + 1)
}

/// Resolves the variable flags of SET and BITFIELD, which depend on their options.
fn variable_flags(meta: &Meta, flags: u32, args: Args<'_>) -> u32 {
    let has =
        |word: &[u8], from: usize| args.from(from).iter().any(|arg| arg.eq_ignore_ascii_case(word));
    match meta.name {
        "set" if has(b"get", 3) => key::RW | key::ACCESS | key::UPDATE,
        "set" => key::OW | key::UPDATE,
        "bitfield" if !has(b"set", 2) && !has(b"incrby", 2) => key::RO | key::ACCESS,
        "bitfield" => key::RW | key::ACCESS | key::UPDATE,
        _ => flags & !key::VARIABLE_FLAGS,
    }
}

/// The single key range that COMMAND reports to older clients: the first key, the last (from the
/// end if negative), the step, and whether it is incomplete (`movablekeys`).
pub fn legacy_range(specs: &[KeySpec]) -> (i32, i32, i32, bool) {
    let incomplete = |spec: &KeySpec| spec.flags & key::INCOMPLETE != 0;
    let absolute = |last: i32, index: i32| if last >= 0 { last + index } else { last };
    if let [spec] = specs
        && let (Begin::Index(index), Find::Range { last, step, .. }) = (spec.begin, spec.find)
    {
        return (index, absolute(last, index), step, incomplete(spec));
    }
    let (mut first, mut last, mut more) = (None, 0i32, false);
    let mut previous = 0;
    for spec in specs {
        match (spec.begin, spec.find) {
            (Begin::Index(index), Find::Range { last: l, step: 1, .. })
                if previous == 0 || previous == index - 1 =>
            {
                more |= incomplete(spec);
                first = Some(first.unwrap_or(index).min(index));
                // A negative position lies behind all positive ones.
                last = (last as u32).max(absolute(l, index) as u32) as i32;
                previous = last;
            }
            _ => more = true,
        }
    }
    match first {
        Some(first) => (first, last, 1, more),
        None => (0, 0, 0, more),
    }
}

/// All flags of a command, including those that follow from its key specifications.
pub fn all_flags(meta: &Meta) -> u32 {
    let (.., more) = legacy_range(meta.keys);
    meta.flags | if more { flag::MOVABLEKEYS } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn legacy_ranges_are_reported() {
        let one = [KeySpec::range(1, -1, 1, key::RO)];
        assert_eq!(legacy_range(&one), (1, -1, 1, false));
        let two = [KeySpec::one(1, key::RW), KeySpec::one(2, key::RW)];
        assert_eq!(legacy_range(&two), (1, 2, 1, false));
        let counted = [KeySpec::counted(1, key::RO)];
        assert_eq!(legacy_range(&counted), (0, 0, 0, true));
    }
}
