//! Zipmaps, the format of small hashes before Redis 2.6.
//!
//! The format is a byte with the number of fields (254: unknown, they must be counted), fields and
//! values alternating, and `0xFF`. Each is a length (one byte, or 254 and four bytes, little
//! endian) and its bytes; between a value's length and its bytes is a byte with the number of
//! unused bytes that follow them.

use super::cursor::Stop;
use crate::store::value::Hash;
use crate::store::value::Limits;

const BROKEN: &str = "Zipmap integrity check failed.";
/// The first byte of a length that is stored in the next four bytes; as a count, "unknown".
const LONG: u8 = 254;
/// The byte after the last value.
const END: u8 = 255;

/// Converts a zipmap to a hash.
pub(super) fn to_hash(bytes: &[u8], limits: &Limits) -> Result<Hash, Stop> {
    let Some((stated, mut rest)) = bytes.split_first() else { return Stop::bad(BROKEN) };
    let mut hash = Hash::default();
    let mut count = 0usize;
    while !matches!(rest, [END]) {
        let Some((field, value)) = pair(&mut rest) else { return Stop::bad(BROKEN) };
        if !hash.set(field, value, limits) {
            return Stop::bad(format!(
                "Hash zipmap with dup elements, or big length ({})",
                field.len()
            ));
        }
        count += 1;
    }
    if count == 0 || (*stated != LONG && usize::from(*stated) != count) {
        return Stop::bad(BROKEN);
    }
    Ok(hash)
}

fn pair<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let len = length(rest)?;
    let field = take(rest, len)?;
    let len = length(rest)?;
    let unused = *take(rest, 1)?.first()?;
    let value = take(rest, len)?;
    take(rest, usize::from(unused))?;
    Some((field, value))
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    match *take(rest, 1)?.first()? {
        END => None,
        LONG => Some(u32::from_le_bytes(*take(rest, 4)?.first_chunk()?) as usize),
        short => Some(usize::from(short)),
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_format_is_read() {
        // From the description in Redis's zipmap.c: foo => bar, hello => world.
        let bytes = b"\x02\x03foo\x03\x00bar\x05hello\x05\x00world\xff";
        let hash = to_hash(bytes, &Limits::default()).unwrap();
        let get = |field: &[u8]| hash.view().get(field).map(|item| item.to_vec());
        assert_eq!(get(b"foo"), Some(b"bar".to_vec()));
        assert_eq!(get(b"hello"), Some(b"world".to_vec()));
        assert_eq!(hash.view().len(), 2);
    }

    #[test]
    fn long_values_unused_bytes_and_an_unknown_count_are_read() {
        let mut bytes = vec![LONG, 1, b'a', LONG, 0x2C, 1, 0, 0, 3];
        bytes.extend([b'v'; 300]);
        bytes.extend(b"???\xff");
        let hash = to_hash(&bytes, &Limits::default()).unwrap();
        assert_eq!(hash.view().get(b"a").unwrap().len(), 300);
        assert!(matches!(hash, Hash::Table(_)));
    }

    #[test]
    fn twice_the_same_field_is_refused() {
        let bytes = b"\x02\x01a\x01\x00x\x01a\x01\x00y\xff";
        assert!(matches!(to_hash(bytes, &Limits::default()), Err(Stop::Bad(_))));
        assert!(matches!(to_hash(b"\x00\xff", &Limits::default()), Err(Stop::Bad(_))));
        assert!(matches!(to_hash(b"", &Limits::default()), Err(Stop::Bad(_))));
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_or_safe(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = to_hash(&bytes, &Limits::default());
        }
    }
}
