//! Bitmap commands: strings as arrays of bits, the highest bit of the first byte being bit 0.

use super::meta::{acl, flag, key};
use super::{Class, CommandError, Ctx, Group, Handler, KeySpec, Row};
use crate::resp::number::parse_i64;
use crate::store::{DbMut, NewExpire, StringRef};

mod field;

/// The rows of the bitmap commands.
pub static ROWS: &[Row<Handler>] = &[
    row("bitcount", -2, bitcount)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.6.0")
        .complexity("O(N), N being the number of bytes looked at.")
        .summary("Counts the bits that are set in a string, or in a part of it.")
        .syntax("key [range: start end [unit@7.0.0: BYTE | BIT]]")
        .history(&[("7.0.0", "New: `BYTE` and `BIT`.")]),
    row("bitfield", -2, field::bitfield)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS).notes("This command allows both access and modification of the key")])
        .since("3.2.0")
        .complexity("O(1) for each operation.")
        .summary("Reads and changes integers of any width at any place of a string.")
        .syntax("key [operation: GET <get-block: encoding offset> | <write: [OVERFLOW <overflow-block: WRAP | SAT | FAIL>] <write-operation: SET <set-block: encoding offset value#integer> | INCRBY <incrby-block: encoding offset increment#integer>>>] ..."),
    row("bitfield_ro", -2, field::bitfield_ro)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("6.0.0")
        .complexity("O(1) for each operation.")
        .summary("Reads integers of any width at any place of a string.")
        .syntax("key [GET <get-block: encoding offset>] ..."),
    row("bitop", -4, bitop)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(2, key::OW | key::UPDATE), KeySpec::range(3, -1, 1, key::RO | key::ACCESS)])
        .since("2.6.0")
        .complexity("O(N), N being the length of the longest string.")
        .summary("Combines strings bit by bit and stores the result.")
        .syntax("<operation: AND | OR | XOR | NOT> destkey key ..."),
    row("bitpos", -3, bitpos)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.8.7")
        .complexity("O(N), N being the number of bytes looked at.")
        .summary("Finds the first bit that is set, or the first that is not.")
        .syntax("key bit#integer [range: start [end-unit-block: end [unit@7.0.0: BYTE | BIT]]]")
        .history(&[("7.0.0", "New: `BYTE` and `BIT`.")]),
    row("getbit", 3, getbit)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .since("2.2.0")
        .summary("Gives a bit of a string.")
        .syntax("key offset"),
    row("setbit", 4, setbit)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE)])
        .since("2.2.0")
        .complexity("O(1), apart from lengthening the string.")
        .summary("Sets or clears a bit of a string, lengthening it if need be, and gives what the bit was.")
        .syntax("key offset value#integer"),
];

const fn row(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::Bitmap, name, arity, handler).acl(acl::BITMAP)
}

const BAD_OFFSET: CommandError =
    CommandError::text("ERR bit offset is not an integer or out of range");

fn setbit(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = ctx.args.at(1);
    let offset = bit_offset(ctx, ctx.args.at(2), None)?;
    let on = match ctx.args.at(3) {
        b"0" => false,
        b"1" => true,
        _ => return Err(CommandError::text("ERR bit is not an integer or out of range")),
    };
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let old_len = string_len(&mut db, name)?;
    let byte = (offset >> 3) as usize;
    let mask = 0x80 >> (offset & 7);
    let was = db.edit_string(key, byte + 1, |bytes| match bytes.get_mut(byte) {
        Some(place) => {
            let was = *place & mask != 0;
            *place = if on { *place | mask } else { *place & !mask };
            was
        }
        None => false,
    });
    let was = was.unwrap_or(false);
    let grown = old_len.is_none_or(|len| len <= byte);
    if grown || was != on {
        ctx.stored(name, old_len.is_none());
        ctx.changed(Class::String, "setbit", name);
    }
    ctx.reply.integer(i64::from(was));
    Ok(())
}

fn getbit(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let offset = bit_offset(ctx, ctx.args.at(2), None)?;
    let mut db = ctx.keyspace.db(ctx.db);
    let mut digits = itoa::Buffer::new();
    let bytes = read(&mut db, ctx.args.at(1), &mut digits)?.unwrap_or_default();
    let byte = bytes.get((offset >> 3) as usize).copied().unwrap_or(0);
    ctx.reply.integer(i64::from(byte >> (7 - (offset & 7)) & 1));
    Ok(())
}

fn bitcount(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let mut digits = itoa::Buffer::new();
    let Some(bytes) = read(&mut db, ctx.args.at(1), &mut digits)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let count = match ctx.args.len() {
        2 => count_ones(bytes),
        4 | 5 => {
            let start = parse_i64(ctx.args.at(2)).ok_or(CommandError::NotAnInteger)?;
            let end = parse_i64(ctx.args.at(3)).ok_or(CommandError::NotAnInteger)?;
            if start < 0 && end < 0 && start > end {
                0
            } else {
                let bits = ctx.args.get(4).map(parse_unit).transpose()?.unwrap_or(false);
                let range = bit_range(start, end, bits, bytes.len());
                range.map_or(0, |(first, last)| count_between(bytes, first, last))
            }
        }
        _ => return Err(CommandError::Syntax),
    };
    ctx.reply.integer(count as i64);
    Ok(())
}

fn bitpos(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let bit = match parse_i64(ctx.args.at(2)).ok_or(CommandError::NotAnInteger)? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::text("ERR The bit argument must be 1 or 0.")),
    };
    let mut db = ctx.keyspace.db(ctx.db);
    let mut digits = itoa::Buffer::new();
    let Some(bytes) = read(&mut db, ctx.args.at(1), &mut digits)? else {
        ctx.reply.integer(if bit { -1 } else { 0 });
        return Ok(());
    };
    if ctx.args.len() > 6 {
        return Err(CommandError::Syntax);
    }
    let integer = |text| parse_i64(text).ok_or(CommandError::NotAnInteger);
    let start = ctx.args.get(3).map(integer).transpose()?.unwrap_or(0);
    let bits = ctx.args.get(5).map(parse_unit).transpose()?.unwrap_or(false);
    let end = ctx.args.get(4).map(integer).transpose()?;
    let range = bit_range(start, end.unwrap_or(-1), bits, bytes.len());
    let position = match range {
        None => -1,
        Some((first, last)) => match find_bit(bytes, bit, first, last) {
            Some(position) => position as i64,
            // All bits behind the end of the string are clear, unless the range has an explicit
            // end.
            None if !bit && end.is_none() => last as i64 + 1,
            None => -1,
        },
    };
    ctx.reply.integer(position);
    Ok(())
}

fn bitop(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let word = ctx.args.at(1);
    let not = word.eq_ignore_ascii_case(b"not");
    // One loop per operation, so that the compiler can vectorise each.
    let combine: fn(&mut [u8], &[u8]) = if word.eq_ignore_ascii_case(b"and") {
        |all, bytes| combine_bytes(all, bytes, |a, b| a & b)
    } else if word.eq_ignore_ascii_case(b"or") {
        |all, bytes| combine_bytes(all, bytes, |a, b| a | b)
    } else if word.eq_ignore_ascii_case(b"xor") {
        |all, bytes| combine_bytes(all, bytes, |a, b| a ^ b)
    } else if not {
        |_, _| ()
    } else {
        return Err(CommandError::Syntax);
    };
    if not && ctx.args.len() != 4 {
        return Err(CommandError::text("ERR BITOP NOT must be called with a single source key."));
    }
    let mut db = ctx.keyspace.db(ctx.db);
    let mut result: Option<Vec<u8>> = None;
    let sources = ctx.args.from(3);
    for name in sources.iter() {
        let mut digits = itoa::Buffer::new();
        let bytes = read(&mut db, name, &mut digits)?.unwrap_or_default();
        match &mut result {
            None => result = Some(bytes.to_vec()),
            Some(result) => {
                if result.len() < bytes.len() {
                    result.resize(bytes.len(), 0);
                }
                combine(result, bytes);
            }
        }
    }
    let mut result = result.unwrap_or_default();
    if not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let name = ctx.args.at(2);
    let key = db.key(name);
    if result.is_empty() {
        if db.discard(key) {
            ctx.changed(Class::Generic, "del", name);
        }
    } else {
        let created = db.set_string(key, StringRef::Bytes(&result), NewExpire::Never);
        // The result has the encoding `raw`, however short it is.
        db.edit_string(key, 0, |_| ());
        ctx.stored(name, created);
        ctx.changed(Class::String, "set", name);
    }
    ctx.reply.integer(result.len() as i64);
    Ok(())
}

/// Combines bytes with others, which are padded with zeros.
#[inline]
fn combine_bytes(all: &mut [u8], bytes: &[u8], combine: impl Fn(u8, u8) -> u8) {
    let (common, rest) = all.split_at_mut(bytes.len().min(all.len()));
    common.iter_mut().zip(bytes).for_each(|(a, b)| *a = combine(*a, *b));
    rest.iter_mut().for_each(|a| *a = combine(*a, 0));
}

/// The string of a key, or `None` if the key does not exist.
fn read<'b>(
    db: &'b mut DbMut<'_>,
    name: &[u8],
    digits: &'b mut itoa::Buffer,
) -> Result<Option<&'b [u8]>, CommandError> {
    match db.read(db.key(name)) {
        None => Ok(None),
        Some(value) => {
            let string = value.string().ok_or(CommandError::WrongType)?;
            Ok(Some(string.bytes(digits)))
        }
    }
}

/// The length of the string of a key that is about to be changed.
fn string_len(db: &mut DbMut<'_>, name: &[u8]) -> Result<Option<usize>, CommandError> {
    match db.probe(db.key(name)) {
        None => Ok(None),
        Some(entry) => Ok(Some(entry.value().string().ok_or(CommandError::WrongType)?.len())),
    }
}

/// Parses the offset of a bit. With `width`, `#n` is the beginning of the `n`th field of that
/// width.
fn bit_offset(ctx: &Ctx<'_>, text: &[u8], width: Option<u32>) -> Result<u64, CommandError> {
    let (digits, factor) = match (text, width) {
        ([b'#', rest @ ..], Some(width)) => (rest, i64::from(width)),
        _ => (text, 1),
    };
    let offset = parse_i64(digits).and_then(|n| n.checked_mul(factor)).ok_or(BAD_OFFSET)?;
    let offset = u64::try_from(offset).map_err(|_| BAD_OFFSET)?;
    if offset >> 3 >= ctx.config.proto_max_bulk_len && !ctx.caller.from_primary {
        return Err(BAD_OFFSET);
    }
    Ok(offset)
}

/// Parses the unit of a range: whether it counts bits.
fn parse_unit(word: &[u8]) -> Result<bool, CommandError> {
    if word.eq_ignore_ascii_case(b"bit") {
        Ok(true)
    } else if word.eq_ignore_ascii_case(b"byte") {
        Ok(false)
    } else {
        Err(CommandError::Syntax)
    }
}

/// The first and the last bit of a range in bytes or in bits; `None` if it is empty.
fn bit_range(start: i64, end: i64, bits: bool, len: usize) -> Option<(u64, u64)> {
    let total = if bits { len as i64 * 8 } else { len as i64 };
    let place = |n: i64| if n < 0 { n.saturating_add(total).max(0) } else { n };
    let (start, end) = (place(start), place(end).min(total - 1));
    if start > end {
        return None;
    }
    let (start, end) = (start as u64, end as u64);
    Some(if bits { (start, end) } else { (start * 8, end * 8 + 7) })
}

fn count_ones(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let mut count = 0u64;
    for word in &mut words {
        let word = word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        count += u64::from(word.count_ones());
    }
    count + words.remainder().iter().map(|b| u64::from(b.count_ones())).sum::<u64>()
}

fn count_between(bytes: &[u8], first: u64, last: u64) -> u64 {
    let (from, to) = ((first / 8) as usize, (last / 8) as usize);
    let Some(bytes) = bytes.get(from..=to) else { return 0 };
    let before = bytes.first().map_or(0, |b| b & !(0xFF >> (first & 7)));
    let after = bytes.last().map_or(0, |b| b & (0x7F >> (last & 7)));
    count_ones(bytes) - u64::from(before.count_ones()) - u64::from(after.count_ones())
}

fn find_bit(bytes: &[u8], bit: bool, first: u64, last: u64) -> Option<u64> {
    let none = if bit { 0x00 } else { 0xFF };
    let (mut at, to) = ((first / 8) as usize, (last / 8) as usize);
    let is = |position: u64| {
        let byte = bytes.get((position / 8) as usize)?;
        Some(byte >> (7 - (position & 7)) & 1 == u8::from(bit))
    };
    let within = |byte: usize| {
        let (start, end) = (byte as u64 * 8, byte as u64 * 8 + 7);
        (start.max(first)..=end.min(last)).find(|position| is(*position) == Some(true))
    };
    if let Some(found) = within(at) {
        return Some(found);
    }
    at += 1;
    // In blocks, whose comparison the compiler can vectorise.
    const PIECE: usize = 256;
    if let Some(rest) = bytes.get(at..=to) {
        let without = |piece: &&[u8]| piece.iter().fold(0, |odd, byte| odd | (byte ^ none)) == 0;
        at += rest.chunks(PIECE).take_while(without).count() * PIECE;
    }
    (at..=to).find_map(within)
}
