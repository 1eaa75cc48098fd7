//! Mutations of valid inputs.

use limpid_core::rng::Rng;

/// The longest input, in bytes.
const LONGEST: usize = 16 * 1024;

/// Numbers at the limits of integer formats.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// One of `seeds` with up to a dozen changes; sometimes random bytes.
pub(super) fn input(rng: &mut Rng, seeds: &[Vec<u8>], pieces: &[&[u8]]) -> Vec<u8> {
    if seeds.is_empty() || rng.chance(0.03) {
        return (0..rng.below(64)).map(|_| rng.below(256) as u8).collect();
    }
    let mut bytes = pick(rng, seeds).clone();
    for _ in 0..rng.below(12) {
        change(rng, &mut bytes, seeds, pieces);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>, seeds: &[Vec<u8>], pieces: &[&[u8]]) {
    let at = place(rng, bytes.len() + 1);
    match rng.below(11) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.below(8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = rng.below(256) as u8;
            }
        }
        2 => bytes.insert(at, rng.below(256) as u8),
        3 => {
            let end = (at + place(rng, 9)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 => bytes.truncate(at),
        5 => {
            // Duplicates a part.
            let end = (at + place(rng, 64)).min(bytes.len());
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        6 => {
            // Inserts a number from the limits, in binary with either byte order.
            let edge = EDGES[place(rng, EDGES.len())];
            let width = 1 << rng.below(4);
            let (low, high) = (edge.to_le_bytes(), edge.to_be_bytes());
            let number = if rng.chance(0.5) { &low[..width] } else { &high[8 - width..] };
            let end = (at + width).min(bytes.len());
            bytes.splice(at..end, number.iter().copied());
        }
        7 => {
            // Replaces digits by such a number.
            let digits = |byte: &u8| byte.is_ascii_digit();
            let from = at + bytes[at..].iter().position(digits).unwrap_or(0);
            let end = from + bytes[from..].iter().take_while(|byte| digits(byte)).count();
            let edge = EDGES[place(rng, EDGES.len())];
            let text = if rng.chance(0.3) { format!("-{edge}") } else { edge.to_string() };
            bytes.splice(from..end, text.bytes());
        }
        8 => {
            // Appends the end of another input.
            let other = pick(rng, seeds);
            let from = place(rng, other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ if pieces.is_empty() => {}
        _ => {
            let piece = pieces[place(rng, pieces.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
    }
}

fn pick<'s>(rng: &mut Rng, seeds: &'s [Vec<u8>]) -> &'s Vec<u8> {
    &seeds[place(rng, seeds.len())]
}

fn place(rng: &mut Rng, below: usize) -> usize {
    rng.below(below.max(1) as u64) as usize
}
