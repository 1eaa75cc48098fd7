//! The string format of a HyperLogLog, byte for byte as in Redis.
//!
//! A header of 16 bytes: `HYLL`, the encoding, three bytes that are zero, and the cached
//! cardinality in eight bytes, little endian, with the highest bit set if it is out of date.
//! Then 16,384 registers of six bits, lowest bits first (dense), or runs of registers (sparse):
//!
//! * `00llllll`: up to 64 registers that are 0;
//! * `01llllll llllllll`: up to 16,384 registers that are 0;
//! * `1vvvvvll`: up to 4 registers with a value from 1 to 32.
//!
//! Lengths and values are stored minus one.

use murmur2::murmur64a;

/// How many registers there are.
pub(super) const REGISTERS: usize = 1 << INDEX_BITS;

/// The bits of an element's hash that select the register; its value is the position of the first
/// set bit among the others.
const INDEX_BITS: u32 = 14;
const VALUE_BITS: u32 = 64 - INDEX_BITS;
const SEED: u64 = 0xadc8_3b19;

const MAGIC: &[u8; 4] = b"HYLL";
const HEADER: usize = 16;
const FORM: usize = 4;
const COUNT: usize = 8;
/// The bit in the last byte of the cached cardinality that marks it as out of date.
const STALE: u8 = 0x80;
const DENSE_LEN: usize = HEADER + REGISTERS * 6 / 8;

const MAX_ZERO: usize = 64;
const MAX_XZERO: usize = REGISTERS;
const MAX_VALUE: u8 = 32;
const MAX_VALUE_RUN: usize = 4;

/// How many runs are examined for adjacent ones that can be merged.
const MERGED: usize = 5;

/// 0.5 / ln 2
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// A HyperLogLog in its string format.
#[derive(Clone, Debug)]
pub(super) struct HyperLogLog(Vec<u8>);

/// The encoding of the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Dense,
    Sparse,
}

/// The error that the registers are corrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

/// All registers, one byte each.
#[derive(Clone, Debug)]
pub(super) struct Registers(Vec<u8>);

/// A run of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    value: u8,
    len: usize,
    /// Its length in bytes.
    size: usize,
}

/// The encoding of a string, if its header is that of a HyperLogLog.
pub(super) fn form_of(bytes: &[u8]) -> Option<Form> {
    if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
        return None;
    }
    match bytes[FORM] {
        0 if bytes.len() == DENSE_LEN => Some(Form::Dense),
        1 => Some(Form::Sparse),
        _ => None,
    }
}

/// Adds an element to a dense HyperLogLog. Returns whether a register changed.
pub(super) fn dense_add(bytes: &mut [u8], element: &[u8]) -> bool {
    let (index, value) = place(element);
    let raised = dense_raise(bytes, index, value);
    if raised {
        set_stale(bytes);
    }
    raised
}

/// Stores the cached cardinality.
pub(super) fn keep_count(bytes: &mut [u8], count: u64) {
    if let Some(field) = bytes.get_mut(COUNT..HEADER) {
        field.copy_from_slice(&count.to_le_bytes());
    }
}

/// The register of an element, and the value that the element raises it to: the position of the
/// first set bit of its hash.
fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, SEED);
    let index = hash as usize & (REGISTERS - 1);
    // A bit behind the last one ends the search.
    let rest = hash >> INDEX_BITS | 1 << VALUE_BITS;
    (index, rest.trailing_zeros() as u8 + 1)
}

fn set_stale(bytes: &mut [u8]) {
    if let Some(last) = bytes.get_mut(HEADER - 1) {
        *last |= STALE;
    }
}

fn dense_get(bytes: &[u8], index: usize) -> u8 {
    let at = HEADER + index * 6 / 8;
    let shift = index * 6 % 8;
    let byte = |at: usize| u16::from(bytes.get(at).copied().unwrap_or(0));
    ((byte(at) | byte(at + 1) << 8) >> shift) as u8 & 0x3F
}

/// Raises a register to a value if it is lower. Returns whether it was.
fn dense_raise(bytes: &mut [u8], index: usize, value: u8) -> bool {
    if dense_get(bytes, index) >= value {
        return false;
    }
    let at = HEADER + index * 6 / 8;
    let shift = index * 6 % 8;
    let (mask, value) = (!(0x3Fu16 << shift), u16::from(value) << shift);
    for (at, mask, value) in
        [(at, mask as u8, value as u8), (at + 1, (mask >> 8) as u8, (value >> 8) as u8)]
    {
        if let Some(byte) = bytes.get_mut(at) {
            *byte = *byte & mask | value;
        }
    }
    true
}

impl HyperLogLog {
    /// An empty HyperLogLog, sparse.
    pub(super) fn new() -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.resize(HEADER, 0);
        bytes[FORM] = 1;
        push_zeros(&mut bytes, REGISTERS);
        Self(bytes)
    }

    /// Reads a string, if its header is that of a HyperLogLog.
    pub(super) fn from_string(bytes: &[u8]) -> Option<Self> {
        form_of(bytes).map(|_| Self(bytes.to_vec()))
    }

    /// Its string format.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The encoding of its registers.
    pub(super) fn form(&self) -> Form {
        form_of(&self.0).unwrap_or(Form::Sparse)
    }

    /// The cached cardinality, unless it is out of date.
    pub(super) fn known_count(&self) -> Option<u64> {
        let field: [u8; 8] = *self.0.get(COUNT..)?.first_chunk()?;
        (field[7] & STALE == 0).then(|| u64::from_le_bytes(field))
    }

    /// Marks the cached cardinality as out of date.
    pub(super) fn forget_count(&mut self) {
        set_stale(&mut self.0);
    }

    /// Adds an element. Returns whether a register changed. A sparse HyperLogLog becomes dense when
    /// it would take more than `limit` bytes.
    pub(super) fn add(&mut self, element: &[u8], limit: u64) -> Result<bool, Corrupt> {
        let (index, value) = place(element);
        match self.form() {
            Form::Dense => Ok(dense_raise(&mut self.0, index, value)),
            Form::Sparse => self.sparse_raise(index, value, limit),
        }
    }

    /// Raises every register to its value in `all`, as far as the encoding allows.
    pub(super) fn raise(&mut self, all: &Registers, limit: u64) {
        for (index, value) in all.iter().enumerate().filter(|(_, value)| *value > 0) {
            match self.form() {
                Form::Dense => {
                    dense_raise(&mut self.0, index, value);
                }
                Form::Sparse => {
                    let _ = self.sparse_raise(index, value, limit);
                }
            }
        }
    }

    /// Raises the registers in `all` to their values here.
    pub(super) fn merge_into(&self, all: &mut Registers) -> Result<(), Corrupt> {
        match self.form() {
            Form::Dense => {
                for index in 0..REGISTERS {
                    all.raise(index, dense_get(&self.0, index));
                }
                Ok(())
            }
            Form::Sparse => {
                let mut next = 0;
                for run in self.runs() {
                    let end = next + run.len;
                    if run.value > 0 {
                        if end > REGISTERS {
                            return Err(Corrupt);
                        }
                        (next..end).for_each(|index| all.raise(index, run.value));
                    }
                    next = end;
                }
                if next == REGISTERS { Ok(()) } else { Err(Corrupt) }
            }
        }
    }

    /// Converts it to the dense encoding.
    pub(super) fn make_dense(&mut self) -> Result<(), Corrupt> {
        if self.form() == Form::Dense {
            return Ok(());
        }
        let mut all = Registers::new();
        self.merge_into(&mut all)?;
        let mut bytes = vec![0; DENSE_LEN];
        bytes[..HEADER].copy_from_slice(&self.0[..HEADER]);
        bytes[FORM] = 0;
        self.0 = bytes;
        for (index, value) in all.iter().enumerate().filter(|(_, value)| *value > 0) {
            dense_raise(&mut self.0, index, value);
        }
        Ok(())
    }

    /// Estimates how many different elements were added.
    pub(super) fn count(&self) -> Result<u64, Corrupt> {
        let mut all = Registers::new();
        self.merge_into(&mut all)?;
        Ok(all.count())
    }

    /// The runs of a sparse HyperLogLog, as PFDEBUG DECODE shows them.
    pub(super) fn describe(&self) -> String {
        let words: Vec<String> = self
            .runs()
            .map(|run| match run {
                Run { value: 0, len, size: 1 } => format!("z:{len}"),
                Run { value: 0, len, .. } => format!("Z:{len}"),
                Run { value, len, .. } => format!("v:{value},{len}"),
            })
            .collect();
        words.join(" ")
    }

    fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        let mut at = HEADER;
        core::iter::from_fn(move || {
            let run = self.run(at)?;
            at += run.size;
            Some(run)
        })
    }

    /// The run that begins at `at`.
    fn run(&self, at: usize) -> Option<Run> {
        let first = *self.0.get(at)?;
        Some(match first {
            0x80.. => {
                Run { value: (first >> 2 & 0x1F) + 1, len: usize::from(first & 3) + 1, size: 1 }
            }
            0x40.. => {
                let low = usize::from(self.0.get(at + 1).copied().unwrap_or(0));
                Run { value: 0, len: (usize::from(first & 0x3F) << 8 | low) + 1, size: 2 }
            }
            _ => Run { value: 0, len: usize::from(first) + 1, size: 1 },
        })
    }

    /// Raises a register of a sparse HyperLogLog to a value if it is lower. Returns whether it was.
    fn sparse_raise(&mut self, index: usize, value: u8, limit: u64) -> Result<bool, Corrupt> {
        if value > MAX_VALUE {
            return self.raise_as_dense(index, value);
        }
        let (mut at, mut first, mut before) = (HEADER, 0, HEADER);
        let run = loop {
            let run = self.run(at).ok_or(Corrupt)?;
            if index < first + run.len {
                break run;
            }
            before = at;
            at += run.size;
            first += run.len;
        };
        if run.value >= value {
            return Ok(false);
        }
        if run.len == 1 && run.size == 1 {
            self.0[at] = value_run(value, 1);
        } else {
            let (left, right) = (index - first, first + run.len - 1 - index);
            let mut split = Vec::with_capacity(5);
            let push = |split: &mut Vec<u8>, len| match (len, run.value) {
                (0, _) => {}
                (len, 0) => push_zeros(split, len),
                (len, old) => split.push(value_run(old, len)),
            };
            push(&mut split, left);
            split.push(value_run(value, 1));
            push(&mut split, right);
            let end = (at + run.size).min(self.0.len());
            let len = self.0.len() - (end - at) + split.len();
            if split.len() > run.size && len as u64 > limit {
                return self.raise_as_dense(index, value);
            }
            self.0.splice(at..end, split);
        }
        self.merge_runs(before);
        Ok(true)
    }

    fn raise_as_dense(&mut self, index: usize, value: u8) -> Result<bool, Corrupt> {
        self.make_dense()?;
        Ok(dense_raise(&mut self.0, index, value))
    }

    /// Merges adjacent runs of the same value, examining a few from `at` on.
    fn merge_runs(&mut self, mut at: usize) {
        let mut left = MERGED;
        while let Some(run) = self.run(at) {
            if left == 0 {
                break;
            }
            left -= 1;
            let next = self.run(at + run.size);
            match next {
                Some(next)
                    if run.value > 0
                        && next.value == run.value
                        && run.len + next.len <= MAX_VALUE_RUN =>
                {
                    self.0[at] = value_run(run.value, run.len + next.len);
                    self.0.remove(at + 1);
                }
                _ => at += run.size,
            }
        }
    }
}

/// The byte that encodes a run of registers with a value.
fn value_run(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len.clamp(1, MAX_VALUE_RUN) - 1) as u8
}

/// Encodes a run of registers that are 0, at most [`MAX_XZERO`].
fn push_zeros(out: &mut Vec<u8>, len: usize) {
    let written = len.min(MAX_XZERO) - 1;
    if len > MAX_ZERO {
        out.push(0x40 | (written >> 8) as u8);
    }
    out.push(written as u8);
}

impl Registers {
    /// All are 0.
    pub(super) fn new() -> Self {
        Self(vec![0; REGISTERS])
    }

    /// The values in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().copied()
    }

    /// Raises a register to a value if it is lower.
    pub(super) fn raise(&mut self, index: usize, value: u8) {
        if let Some(register) = self.0.get_mut(index) {
            *register = value.max(*register);
        }
    }

    /// Estimates how many different elements gave these registers: Otmar Ertl, "New cardinality
    /// estimation algorithms for HyperLogLog sketches", arXiv:1702.01284, algorithm 6.
    pub(super) fn count(&self) -> u64 {
        let mut times = [0u32; 64];
        for value in self.iter() {
            times[usize::from(value & 0x3F)] += 1;
        }
        let q = VALUE_BITS as usize;
        let m = REGISTERS as f64;
        let mut z = m * tau((m - f64::from(times[q + 1])) / m);
        for value in (1..=q).rev() {
            z += f64::from(times[value]);
            z *= 0.5;
        }
        z += m * sigma(f64::from(times[0]) / m);
        (ALPHA * m * m / z).round() as u64
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if before == z {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: u64 = 3000;

    #[test]
    fn an_empty_hyperloglog_is_one_run() {
        let hll = HyperLogLog::new();
        assert_eq!(hll.describe(), "Z:16384");
        assert_eq!(hll.as_bytes().len(), HEADER + 2);
        assert_eq!(hll.count(), Ok(0));
        assert_eq!(hll.known_count(), Some(0));
    }

    #[test]
    fn a_value_that_is_too_large_makes_it_dense() {
        let mut hll = HyperLogLog::new();
        assert_eq!(hll.sparse_raise(5, 33, LIMIT), Ok(true));
        assert_eq!((hll.form(), dense_get(hll.as_bytes(), 5)), (Form::Dense, 33));
    }

    #[test]
    fn other_strings_are_recognised_by_their_header() {
        let mut bytes = HyperLogLog::new().0;
        assert_eq!(form_of(&bytes), Some(Form::Sparse));
        bytes[FORM] = 0;
        assert_eq!(form_of(&bytes), None, "not as long as a dense one is");
        bytes[FORM] = 2;
        assert_eq!(form_of(&bytes), None);
        assert_eq!(form_of(b"HYLL"), None);
    }

    proptest! {
        #[test]
        fn both_forms_hold_the_same(changes in prop::collection::vec((0usize..REGISTERS, 1u8..=32), 0..300)) {
            let (mut sparse, mut dense) = (HyperLogLog::new(), HyperLogLog::new());
            dense.make_dense().unwrap();
            let mut expected = Registers::new();
            for (index, value) in changes {
                let was = expected.0[index];
                expected.raise(index, value);
                prop_assert_eq!(sparse.sparse_raise(index, value, 10_000), Ok(value > was));
                prop_assert_eq!(dense_raise(&mut dense.0, index, value), value > was);
            }
            prop_assert_eq!(sparse.form(), Form::Sparse);
            for hll in [sparse, dense] {
                let mut got = Registers::new();
                hll.merge_into(&mut got).unwrap();
                prop_assert_eq!(&got.0, &expected.0);
            }
        }

        #[test]
        fn hostile_registers_break_nothing(
            form in 0u8..3,
            body in prop::collection::vec(any::<u8>(), 0..200),
            elements in prop::collection::vec(any::<u64>(), 0..20),
        ) {
            let mut bytes = b"HYLL".to_vec();
            bytes.resize(HEADER, 0);
            bytes[FORM] = form;
            bytes.extend(body);
            if let Some(mut hll) = HyperLogLog::from_string(&bytes) {
                let _ = hll.count();
                let _ = hll.describe();
                for element in elements {
                    let _ = hll.add(&element.to_le_bytes(), LIMIT);
                }
                let _ = hll.make_dense();
            }
        }
    }
}
