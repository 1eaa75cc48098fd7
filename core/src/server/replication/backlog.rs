//! The replication backlog: the latest part of the replication stream, from which replicas resume
//! after a disconnect.
//!
//! It is also the only buffer of the stream. For a replica that is slow, or still being sent its
//! full sync, only the offset is kept; what it needs stays in the backlog, even beyond the
//! configured size. So ten slow replicas use no more memory than one.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::machine::Outbox;

/// Size in bytes at which a new chunk is started. The backlog is trimmed by whole chunks.
const PIECE: usize = 16 * 1024;

/// Overhead of a chunk in bytes, for memory statistics.
const OVERHEAD: usize = 64;

/// The smallest `repl-backlog-size` that has an effect: Redis's `CONFIG_REPL_BACKLOG_MIN_SIZE`.
pub(super) const MIN_SIZE: u64 = 16 * 1024;

/// The latest part of the replication stream. Offsets count bytes from 1, as in the protocol.
#[derive(Clone, Debug)]
pub(super) struct Backlog {
    /// Complete chunks, each with the offset of its first byte.
    pieces: VecDeque<(i64, Arc<Vec<u8>>)>,
    /// The chunk that is being written.
    tail: Vec<u8>,
    /// The offset of the first byte in the backlog.
    first: i64,
    /// The offset of the next byte.
    next: i64,
}

impl Backlog {
    /// An empty backlog, for a stream that is at this offset.
    pub(super) fn new(offset: i64) -> Self {
        let next = offset.saturating_add(1);
        Self { pieces: VecDeque::new(), tail: Vec::new(), first: next, next }
    }

    /// The offset of the first byte in the backlog, or of the next one if it is empty.
    pub(super) fn first(&self) -> i64 {
        self.first
    }

    /// The offset of the next byte.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Size of its contents in bytes.
    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.next - self.first).unwrap_or_default()
    }

    /// Memory in bytes.
    pub(super) fn memory(&self) -> usize {
        let tail = if self.tail.is_empty() { 0 } else { self.tail.len().max(PIECE) + OVERHEAD };
        self.pieces.iter().map(|(_, piece)| piece.len() + OVERHEAD).sum::<usize>() + tail
    }

    /// Appends what `write` adds to its argument. Returns the number of bytes.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let before = self.tail.len();
        if self.tail.capacity() == 0 {
            self.tail.reserve(PIECE);
        }
        write(&mut self.tail);
        let added = self.tail.len().saturating_sub(before);
        self.next += added as i64;
        if self.tail.len() >= PIECE {
            self.freeze();
        }
        added
    }

    /// Turns the tail into chunks. A long argument is split, so that it can be trimmed in parts.
    fn freeze(&mut self) {
        let tail = core::mem::take(&mut self.tail);
        let mut start = self.next - tail.len() as i64;
        if tail.len() < 2 * PIECE {
            self.pieces.push_back((start, Arc::new(tail)));
            return;
        }
        for piece in tail.chunks(PIECE) {
            self.pieces.push_back((start, Arc::new(piece.to_vec())));
            start += piece.len() as i64;
        }
    }

    /// Drops chunks that neither the configured `size` covers nor a replica that has yet to read
    /// from `needed` on requires.
    pub(super) fn trim(&mut self, size: u64, needed: i64) {
        while let Some((start, piece)) = self.pieces.front() {
            let end = start + piece.len() as i64;
            let left = u64::try_from(self.next - end).unwrap_or_default();
            if left < size.max(MIN_SIZE) || end > needed {
                return;
            }
            self.first = end;
            self.pieces.pop_front();
        }
    }

    /// Whether it can be read from this offset.
    pub(super) fn holds(&self, offset: i64) -> bool {
        (self.first..=self.next).contains(&offset)
    }

    /// Copies up to `most` bytes from an offset into an outbox. Returns how many.
    pub(super) fn read(&self, offset: i64, most: usize, out: &mut Outbox) -> usize {
        let mut left = most;
        let mut at = offset.max(self.first);
        let begin = self.pieces.partition_point(|(start, piece)| start + piece.len() as i64 <= at);
        let tail_start = self.next - self.tail.len() as i64;
        let pieces =
            self.pieces.iter().skip(begin).map(|(start, piece)| (*start, piece.as_slice()));
        for (start, piece) in pieces.chain([(tail_start, self.tail.as_slice())]) {
            let from = usize::try_from(at - start).unwrap_or_default();
            let bytes = piece.get(from..).unwrap_or_default();
            let bytes = bytes.get(..left).unwrap_or(bytes);
            out.write(bytes);
            at += bytes.len() as i64;
            left -= bytes.len();
            if left == 0 {
                break;
            }
        }
        most - left
    }

    /// The last bytes, at most `most`.
    pub(super) fn latest(&self, most: usize) -> Vec<u8> {
        let mut out = Outbox::default();
        let from = self.first.max(self.next - most as i64);
        self.read(from, most, &mut out);
        out.slices().flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn the_backlog_can_be_read_from_any_offset() {
        let mut rng = Rng::new(7);
        let mut backlog = Backlog::new(1_000);
        let mut all = vec![0u8; 1_001];
        for i in 0..400u64 {
            let bytes =
                vec![i as u8; rng.below(if i % 50 == 0 { 100_000 } else { 3_000 }) as usize];
            assert_eq!(backlog.append(|out| out.extend_from_slice(&bytes)), bytes.len());
            all.extend_from_slice(&bytes);
            backlog.trim(50_000, i64::MAX);
            assert_eq!(backlog.next(), all.len() as i64);
            assert!(
                backlog.len() < 200_000 && (backlog.len() >= 50_000 || backlog.first() == 1_001)
            );
            let from = backlog.first() + rng.below(backlog.len().max(1)) as i64;
            let (most, mut out) = (rng.below(80_000) as usize, Outbox::default());
            let read = backlog.read(from, most, &mut out);
            let got: Vec<u8> = out.slices().flatten().copied().collect();
            let end = (from as usize + most).min(all.len());
            assert_eq!((read, got.as_slice()), (got.len(), &all[from as usize..end]));
        }
        assert!(backlog.holds(backlog.next()) && backlog.holds(backlog.first()));
        assert!(!backlog.holds(backlog.next() + 1) && !backlog.holds(backlog.first() - 1));
    }

    #[test]
    fn a_slow_replica_keeps_the_backlog_beyond_its_size() {
        let mut backlog = Backlog::new(0);
        for _ in 0..100 {
            backlog.append(|out| out.resize(out.len() + PIECE, b'x'));
        }
        backlog.trim(MIN_SIZE, 10 * PIECE as i64);
        assert!(backlog.holds(10 * PIECE as i64));
        let long = backlog.memory();
        backlog.trim(MIN_SIZE, i64::MAX);
        assert!(backlog.memory() < long / 10 && backlog.len() >= MIN_SIZE);
        assert_eq!(backlog.latest(3), b"xxx");
    }
}
