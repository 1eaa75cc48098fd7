//! Parsing stream IDs and ranges of them.

use crate::command::CommandError;
use crate::command::error::up_to_nul;
use crate::store::value::StreamId;

/// The longest text that is parsed as an ID.
const LONGEST: usize = 127;

const INVALID: CommandError =
    CommandError::text("ERR Invalid stream ID specified as stream command argument");

/// The ID that XADD was given, complete or in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`
    Any,
    /// `ms-*`
    InMillisecond(u64),
    /// `ms-seq`
    Is(StreamId),
}

/// Parses an ID, excluding `-` and `+`. A lone number is the first ID of its millisecond.
pub(super) fn strict(text: &[u8]) -> Result<StreamId, CommandError> {
    strict_or(text, 0)
}

fn strict_or(text: &[u8], seq: u64) -> Result<StreamId, CommandError> {
    match text {
        b"-" | b"+" => Err(INVALID),
        _ => lenient(text, seq),
    }
}

/// Parses an ID, or `-` for the first and `+` for the last. A lone number is completed with `seq`.
pub(super) fn lenient(text: &[u8], seq: u64) -> Result<StreamId, CommandError> {
    if text.len() > LONGEST {
        return Err(INVALID);
    }
    match up_to_nul(text) {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        text => StreamId::parse(text, seq).ok_or(INVALID),
    }
}

/// Parses the ID of a new entry.
pub(super) fn new(text: &[u8]) -> Result<NewId, CommandError> {
    if text == b"*" {
        return Ok(NewId::Any);
    }
    match text.strip_suffix(b"-*") {
        Some(ms) if !ms.contains(&b'-') => {
            strict(ms).map(|id| NewId::InMillisecond(id.ms)).map_err(|_| INVALID)
        }
        _ => strict(text).map(NewId::Is),
    }
}

/// Parses the start of a range: `(` in front excludes the ID itself.
pub(super) fn start(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => strict_or(id, 0)?
            .next()
            .ok_or(CommandError::text("ERR invalid start ID for the interval")),
        _ => lenient(text, 0),
    }
}

/// Parses the end of a range.
pub(super) fn end(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => strict_or(id, u64::MAX)?
            .previous()
            .ok_or(CommandError::text("ERR invalid end ID for the interval")),
        _ => lenient(text, u64::MAX),
    }
}
