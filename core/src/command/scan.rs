//! Listing keys: KEYS, SCAN, RANDOMKEY.

use super::{CommandError, Ctx};
use crate::glob;
use crate::resp::number::parse_i64;
use crate::resp::reply::Aggregate;
use crate::store::Keyed;

/// How many keys a call of SCAN visits by default.
const DEFAULT_COUNT: usize = 10;

pub(super) fn keys(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let pattern = ctx.args.at(1);
    let db = ctx.keyspace.db(ctx.db);
    let list = ctx.reply.begin(Aggregate::Array);
    let mut count = 0;
    for entry in db.iter().filter(|entry| pattern == b"*" || glob::matches(pattern, entry.key())) {
        ctx.reply.bulk(entry.key());
        count += 1;
    }
    ctx.reply.end(list, count);
    Ok(())
}

pub(super) fn scan(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let cursor = parse_cursor(ctx.args.at(1))?;
    let (mut count, mut pattern, mut kind) = (DEFAULT_COUNT, None, None);
    let mut args = ctx.args.from(2).iter();
    while let Some(word) = args.next() {
        let value = args.next().ok_or(CommandError::Syntax)?;
        if word.eq_ignore_ascii_case(b"COUNT") {
            let given = parse_i64(value).ok_or(CommandError::NotAnInteger)?;
            count = usize::try_from(given)
                .ok()
                .filter(|&count| count > 0)
                .ok_or(CommandError::Syntax)?;
        } else if word.eq_ignore_ascii_case(b"MATCH") {
            pattern = Some(value).filter(|pattern| *pattern != b"*");
        } else if word.eq_ignore_ascii_case(b"TYPE") {
            kind = Some(value);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let mut found = Vec::new();
    let mut db = ctx.keyspace.db(ctx.db);
    let next = db.scan(cursor, count, |entry| {
        let key = entry.key();
        if pattern.is_none_or(|pattern| glob::matches(pattern, key))
            && kind.is_none_or(|kind| {
                kind.eq_ignore_ascii_case(entry.value().kind().name().as_bytes())
            })
        {
            found.push(Box::<[u8]>::from(key));
        }
    });
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.reply.array(found.len());
    for key in found {
        ctx.reply.bulk(&key);
    }
    Ok(())
}

pub(super) fn randomkey(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    match ctx.keyspace.db(ctx.db).random() {
        None => ctx.reply.null(),
        Some(entry) => ctx.reply.bulk(entry.key()),
    }
    Ok(())
}

/// Parses the cursor of SCAN, HSCAN, SSCAN and ZSCAN as C's `strtoul` does: with an optional sign,
/// zero for an empty text, and up to the first NUL byte.
pub(super) fn parse_cursor(text: &[u8]) -> Result<u64, CommandError> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let (negative, digits) = match text {
        [] => return Ok(0),
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let unsigned = digits.first().is_some_and(u8::is_ascii_digit);
    let number = core::str::from_utf8(digits).ok().filter(|_| unsigned);
    let number = number.and_then(|digits| digits.parse::<u64>().ok());
    number
        .map(|number| if negative { number.wrapping_neg() } else { number })
        .ok_or(CommandError::text("ERR invalid cursor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_redis_reads_them() {
        let cases: [(&[u8], Option<u64>); 9] = [
            (b"0", Some(0)),
            (b"", Some(0)),
            (b"007", Some(7)),
            (b"+7", Some(7)),
            (b"-1", Some(u64::MAX)),
            (b"7\0x", Some(7)),
            (b" 7", None),
            (b"7x", None),
            (b"18446744073709551616", None),
        ];
        for (text, cursor) in cases {
            assert_eq!(parse_cursor(text).ok(), cursor, "{text:?}");
        }
    }
}
