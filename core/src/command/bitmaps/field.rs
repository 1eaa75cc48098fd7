//! BITFIELD: integers of any width at any bit offset of a string.

use super::{bit_offset, read, string_len};
use crate::command::{Class, CommandError, Ctx};
use crate::resp::number::parse_i64;
use crate::resp::reply::Reply;

pub(super) fn bitfield(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let operations = parse(ctx)?;
    if operations.iter().all(|operation| operation.action == Action::Get) {
        return only_read(ctx, &operations);
    }
    let name = ctx.args.at(1);
    let mut db = ctx.keyspace.db(ctx.db);
    let old_len = string_len(&mut db, name)?;
    let writes = operations.iter().filter(|operation| operation.action != Action::Get);
    let last = writes.map(|o| o.offset + u64::from(o.bits) - 1).max().unwrap_or(0);
    let len = (last >> 3) as usize + 1;
    let grown = old_len.is_none_or(|old| old < len);
    let mut changes = 0;
    let reply = &mut ctx.reply;
    reply.array(operations.len());
    let key = db.key(name);
    db.edit_string(key, len, |bytes| {
        for operation in &operations {
            let old = operation.get(bytes);
            let Some((new, shown)) = operation.apply(old) else {
                reply.null();
                continue;
            };
            write(reply, shown);
            if operation.action != Action::Get {
                operation.put(bytes, new);
                changes += u64::from(grown || new != old);
            }
        }
    });
    ctx.stored(name, old_len.is_none());
    if changes > 0 {
        ctx.changed_times(changes, Class::String, "setbit", name);
    } else if grown {
        // Every write failed on overflow, but the string has grown all the same. That is
        // propagated, although Redis does not do so.
        ctx.effects.force_propagation();
    }
    Ok(())
}

pub(super) fn bitfield_ro(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let operations = parse(ctx)?;
    let reads = operations.iter().all(|operation| operation.action == Action::Get);
    if !reads {
        return Err(CommandError::text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    only_read(ctx, &operations)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy)]
struct Operation {
    action: Action,
    overflow: Overflow,
    signed: bool,
    bits: u32,
    offset: u64,
}

fn parse(ctx: &Ctx<'_>) -> Result<Vec<Operation>, CommandError> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut words = ctx.args.from(2).iter();
    while let Some(word) = words.next() {
        let left = words.len();
        let set = word.eq_ignore_ascii_case(b"set") && left >= 3;
        let add = word.eq_ignore_ascii_case(b"incrby") && left >= 3;
        let get = word.eq_ignore_ascii_case(b"get") && left >= 2;
        if !(set || add || get) {
            if !word.eq_ignore_ascii_case(b"overflow") {
                return Err(CommandError::Syntax);
            }
            let word = words.next().ok_or(CommandError::Syntax)?;
            overflow = if word.eq_ignore_ascii_case(b"wrap") {
                Overflow::Wrap
            } else if word.eq_ignore_ascii_case(b"sat") {
                Overflow::Saturate
            } else if word.eq_ignore_ascii_case(b"fail") {
                Overflow::Fail
            } else {
                return Err(CommandError::text("ERR Invalid OVERFLOW type specified"));
            };
            continue;
        }
        let (signed, bits) = parse_type(words.next().unwrap_or_default())?;
        let offset = bit_offset(ctx, words.next().unwrap_or_default(), Some(bits))?;
        let action = if get {
            Action::Get
        } else {
            let value = words.next().and_then(parse_i64).ok_or(CommandError::NotAnInteger)?;
            if set { Action::Set(value) } else { Action::Add(value) }
        };
        operations.push(Operation { action, overflow, signed, bits, offset });
    }
    Ok(operations)
}

fn parse_type(text: &[u8]) -> Result<(bool, u32), CommandError> {
    let parsed = match text {
        [b'i', digits @ ..] => {
            parse_i64(digits).filter(|n| (1..=64).contains(n)).map(|n| (true, n))
        }
        [b'u', digits @ ..] => {
            parse_i64(digits).filter(|n| (1..=63).contains(n)).map(|n| (false, n))
        }
        _ => None,
    };
    parsed.map(|(signed, n)| (signed, n as u32)).ok_or(CommandError::text(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but \
         i64 is.",
    ))
}

fn only_read(ctx: &mut Ctx<'_>, operations: &[Operation]) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let mut digits = itoa::Buffer::new();
    let bytes = read(&mut db, ctx.args.at(1), &mut digits)?.unwrap_or_default();
    ctx.reply.array(operations.len());
    for operation in operations {
        write(&mut ctx.reply, operation.get(bytes));
    }
    Ok(())
}

fn write(reply: &mut Reply<'_>, value: i128) {
    reply.integer(value as i64);
}

impl Operation {
    /// Reads the integer; bits behind the end are clear.
    fn get(&self, bytes: &[u8]) -> i128 {
        let first = (self.offset >> 3) as usize;
        let mut window = 0u128;
        for i in 0..9 {
            window = window << 8 | u128::from(bytes.get(first + i).copied().unwrap_or(0));
        }
        let shift = 72 - (self.offset & 7) as u32 - self.bits;
        let value = (window >> shift) as i128 & ((1 << self.bits) - 1);
        if self.signed && value >> (self.bits - 1) & 1 == 1 {
            value - (1 << self.bits)
        } else {
            value
        }
    }

    fn put(&self, bytes: &mut [u8], value: i128) {
        let first = (self.offset >> 3) as usize;
        let shift = 72 - (self.offset & 7) as u32 - self.bits;
        let mask = ((1u128 << self.bits) - 1) << shift;
        let value = (value as u128) << shift & mask;
        for i in 0..9 {
            let down = 64 - 8 * i as u32;
            if let Some(byte) = bytes.get_mut(first + i) {
                *byte = *byte & !((mask >> down) as u8) | (value >> down) as u8;
            }
        }
    }

    /// The new value, and the reply; `None` on an overflow that must fail.
    fn apply(&self, old: i128) -> Option<(i128, i128)> {
        let wanted = match self.action {
            Action::Get => return Some((old, old)),
            // For an unsigned field, a negative number is the large one with the same bits.
            Action::Set(value) if !self.signed => i128::from(value as u64),
            Action::Set(value) => i128::from(value),
            Action::Add(value) => old + i128::from(value),
        };
        let (min, max) = if self.signed {
            (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1)
        } else {
            (0, (1 << self.bits) - 1)
        };
        let new = if (min..=max).contains(&wanted) {
            wanted
        } else {
            match self.overflow {
                Overflow::Fail => return None,
                Overflow::Saturate => wanted.clamp(min, max),
                Overflow::Wrap => (wanted - min).rem_euclid(1 << self.bits) + min,
            }
        };
        let shown = if matches!(self.action, Action::Set(_)) { old } else { new };
        Some((new, shown))
    }
}
