//! The bounds of ranges by score and by string.

use core::ops::Range;

use crate::command::CommandError;
use crate::command::collection::lenient_double;
use crate::store::value::ZSetRef;

/// A range of a sorted set.
pub(super) enum Bounds<'a> {
    /// Scores between two numbers.
    Score {
        /// The lower score, and whether it is excluded.
        min: (f64, bool),
        /// The upper score, and whether it is excluded.
        max: (f64, bool),
    },
    /// Members between two strings.
    Lex {
        /// The lower end.
        min: LexBound<'a>,
        /// The upper end.
        max: LexBound<'a>,
    },
}

/// A bound of a lexicographical range.
#[derive(Clone, Copy)]
pub(super) enum LexBound<'a> {
    /// `-`
    Lowest,
    /// `+`
    Highest,
    /// `[text`
    Included(&'a [u8]),
    /// `(text`
    Excluded(&'a [u8]),
}

impl<'a> Bounds<'a> {
    /// Parses scores, as ZRANGEBYSCORE takes them: `1.5`, `(1.5`, `-inf`.
    pub(super) fn scores(min: &[u8], max: &[u8]) -> Result<Self, CommandError> {
        match (score(min), score(max)) {
            (Some(min), Some(max)) => Ok(Bounds::Score { min, max }),
            _ => Err(CommandError::text("ERR min or max is not a float")),
        }
    }

    /// Parses strings, as ZRANGEBYLEX takes them: `[a`, `(a`, `-`, `+`.
    pub(super) fn strings(min: &'a [u8], max: &'a [u8]) -> Result<Self, CommandError> {
        match (lex(min), lex(max)) {
            (Some(min), Some(max)) => Ok(Bounds::Lex { min, max }),
            _ => Err(CommandError::text("ERR min or max not valid string range item")),
        }
    }

    /// The ranks of the members in the range.
    pub(super) fn ranks(&self, set: ZSetRef<'_>) -> Range<usize> {
        let (start, end) = match *self {
            Bounds::Score { min: (min, min_out), max: (max, max_out) } => (
                set.count_while(|score, _| score < min || (min_out && score == min)),
                set.count_while(|score, _| score < max || (!max_out && score == max)),
            ),
            Bounds::Lex { min, max } => {
                let below = |member: &[u8]| match min {
                    LexBound::Lowest => false,
                    LexBound::Highest => true,
                    LexBound::Included(text) => member < text,
                    LexBound::Excluded(text) => member <= text,
                };
                let not_above = |member: &[u8]| match max {
                    LexBound::Lowest => false,
                    LexBound::Highest => true,
                    LexBound::Included(text) => member <= text,
                    LexBound::Excluded(text) => member < text,
                };
                // If scores differ, members are not in lexicographical order; then, as in Redis,
                // the members at both ends decide whether the range is empty.
                let is = |rank, f: &dyn Fn(&[u8]) -> bool| {
                    let member = set.nth(rank).map(|(member, _)| member);
                    member.is_some_and(|member| f(member.bytes(&mut itoa::Buffer::new())))
                };
                if !is(0, &not_above) || is(set.len().saturating_sub(1), &below) {
                    return 0..0;
                }
                (
                    set.count_while(|_, member| below(member)),
                    set.count_while(|_, member| not_above(member)),
                )
            }
        };
        start..end.max(start)
    }
}

/// Parses a score, and whether it is excluded. Too large numbers are infinite.
fn score(text: &[u8]) -> Option<(f64, bool)> {
    let (text, out) = match text {
        [b'(', rest @ ..] => (rest, true),
        _ => (text, false),
    };
    let large = || core::str::from_utf8(text).ok()?.trim_start().parse::<f64>().ok();
    let value = lenient_double(text).or_else(large).filter(|value| !value.is_nan())?;
    Some((value, out))
}

fn lex(text: &[u8]) -> Option<LexBound<'_>> {
    match text {
        b"-" => Some(LexBound::Lowest),
        b"+" => Some(LexBound::Highest),
        [b'[', rest @ ..] => Some(LexBound::Included(rest)),
        [b'(', rest @ ..] => Some(LexBound::Excluded(rest)),
        _ => None,
    }
}
