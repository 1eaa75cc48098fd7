//! LZF, the compression of strings in RDB: compression and decompression.
//!
//! Compressed data is a sequence of runs: a byte below 32 is followed by that many literal bytes
//! plus one; any other byte is a back reference, with the length minus two in its upper three bits
//! (7: the next byte is added to it), and the distance minus one in its lower five bits and the
//! last byte.
//!
//! Matches are searched as in the very fast mode of Marc Lehmann's `liblzf`, which Redis uses, so
//! that the result is mostly the same as Redis's, byte for byte.

/// The size of the hash table in bits.
const LOG: u32 = 16;
/// The longest run of literal bytes.
const MAX_LITERAL: usize = 32;
/// The largest distance of a back reference.
const MAX_DISTANCE: usize = 1 << 13;
/// The longest match.
const MAX_MATCH: usize = 264;
/// The largest expansion on decompression: the longest match takes three bytes.
const MAX_RATIO: u64 = 88;

/// Compression is abandoned if it has saved less than one byte in this many.
const MIN_SAVING: usize = 32;
/// How many bytes are compressed before it can be abandoned.
const ABANDON_AFTER: usize = 1 << 20;

/// A compressor for any number of strings.
#[derive(Clone, Debug, Default)]
pub struct Compressor {
    /// The last position of each three-byte hash, counted over all strings.
    seen: Vec<u32>,
    /// The count at the end of the last string.
    count: u32,
}

/// The compression of one string, in progress.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    out: Vec<u8>,
    /// The length of `out` at the start.
    start: usize,
    /// How many bytes of the string are compressed.
    at: usize,
    /// The position in `out` of the length byte of the current literal run.
    head: usize,
    /// The base of positions in this string. Those of earlier strings are smaller.
    base: u32,
}

impl Compressor {
    /// Appends the compressed form of `input` to `out` if it takes at most `limit` bytes; otherwise
    /// leaves `out` unchanged.
    pub fn compress(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> bool {
        let Some(mut pass) = self.begin(input, core::mem::take(out)) else { return false };
        let done = self.step(&mut pass, input, limit, usize::MAX) == Some(true);
        if !done {
            pass.out.truncate(pass.start);
        }
        *out = pass.out;
        done
    }

    /// Starts to compress `input`; the compressed form is appended to `out`. `None` if `input` is
    /// empty, or has 4 GiB or more.
    pub(super) fn begin(&mut self, input: &[u8], mut out: Vec<u8>) -> Option<Pass> {
        let len = u32::try_from(input.len()).ok().filter(|&len| len > 0)?;
        if self.seen.is_empty() || self.count.checked_add(len).is_none() {
            self.seen.clear();
            self.seen.resize(1 << LOG, 0);
            self.count = 1;
        }
        let base = self.count;
        self.count = base.checked_add(len)?;
        let start = out.len();
        out.push(0);
        Some(Pass { head: start, start, at: 0, base, out })
    }

    /// Compresses about `budget` more bytes. Returns whether the compressed form takes at most
    /// `limit` bytes, once that is known.
    pub(super) fn step(
        &mut self,
        pass: &mut Pass,
        input: &[u8],
        limit: usize,
        budget: usize,
    ) -> Option<bool> {
        let until = pass.at.saturating_add(budget);
        while pass.at + 2 < input.len() {
            if pass.at >= until {
                let made = pass.out.len() - pass.start;
                let hopeless = pass.at >= ABANDON_AFTER && made > pass.at - pass.at / MIN_SAVING;
                return hopeless.then_some(false);
            }
            if let Some((distance, len)) = self.find(input, pass) {
                let out = &mut pass.out;
                let literals = out.len() - pass.head - 1;
                if out.len() - pass.start - usize::from(literals == 0) + 4 >= limit {
                    return Some(false);
                }
                end_run(out, pass.head);
                let (distance, code) = (distance - 1, len - 2);
                if code < 7 {
                    out.push((distance >> 8) as u8 | (code << 5) as u8);
                } else {
                    out.push((distance >> 8) as u8 | 7 << 5);
                    out.push((code - 7) as u8);
                }
                out.push(distance as u8);
                pass.head = out.len();
                out.push(0);
                pass.at += len;
                if pass.at + 2 >= input.len() {
                    break;
                }
                // Within a match, only the last two positions are recorded.
                self.remember(input, pass.at - 2, pass.base);
                self.remember(input, pass.at - 1, pass.base);
            } else {
                if pass.out.len() - pass.start >= limit {
                    return Some(false);
                }
                pass.literal(input);
            }
        }
        if pass.out.len() - pass.start + 3 > limit {
            return Some(false);
        }
        while pass.at < input.len() {
            pass.literal(input);
        }
        end_run(&mut pass.out, pass.head);
        Some(true)
    }

    /// The distance and the length of a match at `at`.
    fn find(&mut self, input: &[u8], pass: &Pass) -> Option<(usize, usize)> {
        let at = pass.at;
        let before = self.remember(input, at, pass.base)?;
        let distance = at.checked_sub(before)?;
        // Position 0 is never referred to.
        if before == 0 || distance == 0 || distance > MAX_DISTANCE {
            return None;
        }
        if input.get(before..before + 3)? != input.get(at..at + 3)? {
            return None;
        }
        let most = (input.len() - at - 2).min(MAX_MATCH);
        // liblzf compares sixteen bytes before it checks the limit.
        let most = if most > 16 { most.max(19) } else { most.max(3) };
        let again = input.get(before + 3..)?.iter().zip(input.get(at + 3..)?);
        let same = again.take(most - 3).take_while(|(a, b)| a == b).count();
        Some((distance, 3 + same))
    }

    /// Records `at` for the three bytes there, and returns the previous position with the same
    /// hash.
    fn remember(&mut self, input: &[u8], at: usize, base: u32) -> Option<usize> {
        let [a, b, c] = *input.get(at..)?.first_chunk()?;
        let hash = u32::from_be_bytes([0, a, b, c]);
        let slot = (hash >> (24 - LOG)).wrapping_sub(hash.wrapping_mul(5)) & ((1 << LOG) - 1);
        let slot = self.seen.get_mut(slot as usize)?;
        let before = slot.checked_sub(base).map(|position| position as usize);
        *slot = base + at as u32;
        before
    }
}

impl Pass {
    /// Copies one byte into the literal run, and ends the run when it is full.
    fn literal(&mut self, input: &[u8]) {
        self.out.extend(input.get(self.at));
        self.at += 1;
        if self.out.len() - self.head - 1 == MAX_LITERAL {
            end_run(&mut self.out, self.head);
            self.head = self.out.len();
            self.out.push(0);
        }
    }

    /// The compressed form.
    pub(super) fn compressed(&self) -> &[u8] {
        self.out.get(self.start..).unwrap_or_default()
    }
}

/// Completes a literal run; removes its length byte if it is empty.
fn end_run(out: &mut Vec<u8>, head: usize) {
    match out.len() - head - 1 {
        0 => out.truncate(head),
        literals => out[head] = (literals - 1) as u8,
    }
}

/// Decompresses `input` to a string of `len` bytes; `None` if it is invalid.
pub(super) fn decompress(input: &[u8], len: u64) -> Option<Vec<u8>> {
    if len > (input.len() as u64).saturating_mul(MAX_RATIO) {
        return None;
    }
    let len = usize::try_from(len).ok()?;
    let mut out = Vec::with_capacity(len);
    let mut rest = input;
    while let [control, tail @ ..] = rest {
        let control = usize::from(*control);
        rest = tail;
        if control < MAX_LITERAL {
            let (literals, tail) = rest.split_at_checked(control + 1)?;
            if out.len() + literals.len() > len {
                return None;
            }
            out.extend_from_slice(literals);
            rest = tail;
        } else {
            let mut count = (control >> 5) + 2;
            if control >> 5 == 7 {
                let (more, tail) = rest.split_first()?;
                count += usize::from(*more);
                rest = tail;
            }
            let (low, tail) = rest.split_first()?;
            rest = tail;
            let distance = ((control & 31) << 8 | usize::from(*low)) + 1;
            let from = out.len().checked_sub(distance)?;
            if out.len() + count > len {
                return None;
            }
            copy_within(&mut out, from, count);
        }
    }
    (out.len() == len).then_some(out)
}

/// Appends `count` bytes from `from` on; the ranges may overlap.
fn copy_within(out: &mut Vec<u8>, from: usize, count: usize) {
    let mut left = count;
    while left > 0 {
        let piece = left.min(out.len() - from);
        out.extend_from_within(from..from + piece);
        left -= piece;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compress(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![9];
        let done = Compressor::default().compress(input, &mut out, input.len().saturating_sub(4));
        done.then(|| out.split_off(1))
    }

    #[test]
    fn repeated_letters_compress_to_a_few_bytes() {
        for n in [30, 100, 263, 264, 265, 266, 1_000, 70_000] {
            let input = vec![b'a'; n];
            let packed = compress(&input).unwrap_or_default();
            assert!(packed.len() < 12 + n / 80, "{n}: {}", packed.len());
            assert_eq!(decompress(&packed, n as u64), Some(input));
        }
        // The output of Redis for a hundred letters x.
        assert_eq!(compress(&[b'x'; 100]).unwrap(), b"\x01xx\xe0\x57\x00\x01xx");
    }

    #[test]
    fn incompressible_input_is_left_unchanged() {
        let mut out = b"before".to_vec();
        let input: Vec<u8> = (0..=255).collect();
        assert!(!Compressor::default().compress(&input, &mut out, input.len() - 4));
        assert_eq!(out, b"before");
    }

    #[test]
    fn a_length_that_lies_allocates_nothing() {
        assert_eq!(decompress(b"\x00a", u64::MAX), None);
        assert_eq!(decompress(b"\x00a", 2), None);
        assert_eq!(decompress(b"\x01a", 2), None);
        assert_eq!(decompress(b"\x00a\x20\x01", 4), None);
        assert_eq!(decompress(b"\x00a\x20\x00", 4).as_deref(), Some(&b"aaaa"[..]));
    }

    #[test]
    fn a_string_in_pieces_comes_out_as_one() {
        let input: Vec<u8> = (0..300_000u32).map(|n| (n / 7 % 11 * (n % 13)) as u8).collect();
        let whole = compress(&input).unwrap();
        let mut compressor = Compressor::default();
        let mut pass = compressor.begin(&input, Vec::new()).unwrap();
        let mut steps = 1;
        while compressor.step(&mut pass, &input, input.len() - 4, 1_000).is_none() {
            steps += 1;
        }
        assert!(steps > 250, "{steps}");
        assert_eq!(pass.compressed(), whole);
    }

    #[test]
    fn hopeless_compression_is_abandoned_early() {
        let mut rng = crate::rng::Rng::new(1);
        let input: Vec<u8> = (0..4 << 20).map(|_| rng.u64() as u8).collect();
        let mut compressor = Compressor::default();
        let mut pass = compressor.begin(&input, Vec::new()).unwrap();
        let steps = (0..).find_map(|step| {
            let result = compressor.step(&mut pass, &input, input.len() - 4, 1 << 16)?;
            Some((step, result))
        });
        assert!(matches!(steps, Some((0..20, false))), "{steps:?}");
    }

    proptest! {
        #[test]
        fn compression_round_trips(
            words in proptest::collection::vec((0usize..6, 1usize..40), 0..200), first in 0u8..3
        ) {
            let mut compressor = Compressor::default();
            compressor.compress(&[first; 50], &mut Vec::new(), 40);
            let input: Vec<u8> = words
                .iter()
                .flat_map(|&(word, n)| (0..n).map(move |i| (word * 31 + i * word) as u8))
                .collect();
            for _ in 0..2 {
                let mut out = Vec::new();
                if compressor.compress(&input, &mut out, input.len().saturating_sub(4)) {
                    prop_assert!(out.len() + 4 <= input.len());
                    prop_assert_eq!(decompress(&out, input.len() as u64), Some(input.clone()));
                }
            }
        }

        #[test]
        fn hostile_bytes_are_refused_or_of_the_stated_length(
            bytes in proptest::collection::vec(any::<u8>(), 0..60), len in 0u64..500
        ) {
            if let Some(out) = decompress(&bytes, len) {
                prop_assert_eq!(out.len() as u64, len);
            }
        }
    }
}
