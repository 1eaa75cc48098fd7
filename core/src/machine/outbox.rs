//! The output buffer of a connection.

use std::collections::VecDeque;

/// The output buffer of a connection: bytes that a machine has written and the driver has yet to
/// send.
///
/// Replies that must not be sent yet (because the write that they confirm is not on disk) can be
/// held back: see [`Outbox::set_limit`]. A driver sends what [`Outbox::slices`] gives, and closes a
/// connection after sending when the whole outbox is empty.
///
/// Short replies gather in chunks of [`Outbox::CHUNK`] bytes, so that a long reply neither moves
/// nor grows a single buffer, and so that a driver can hand many chunks to one system call.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    /// Full chunks, oldest first.
    full: VecDeque<Vec<u8>>,
    /// The chunk that is being written to.
    tail: Vec<u8>,
    /// How much of the first chunk has been sent.
    sent: usize,
    /// Bytes waiting, over all chunks.
    len: usize,
    low_water: Option<usize>,
    /// Bytes that were sent or dropped since the connection was opened.
    left: u64,
    /// The position up to which bytes may be sent; `None` for all.
    limit: Option<u64>,
}

impl Outbox {
    /// Bytes after which a new chunk is begun: Redis's `PROTO_REPLY_CHUNK_BYTES`.
    pub const CHUNK: usize = 16 * 1024;

    /// Bytes waiting.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The position behind the last byte, counted since the connection was opened.
    pub fn end(&self) -> u64 {
        self.left + self.len as u64
    }

    /// Bytes that may be sent now: those waiting, up to the limit.
    #[inline]
    pub fn ready(&self) -> usize {
        match self.limit {
            None => self.len,
            Some(limit) => {
                let ready = limit.saturating_sub(self.left);
                self.len.min(usize::try_from(ready).unwrap_or(usize::MAX))
            }
        }
    }

    /// Holds back what is written behind `position` (see [`Outbox::end`]), such as replies to
    /// writes that are not on disk yet. `None` removes the limit.
    pub fn set_limit(&mut self, position: Option<u64>) {
        self.limit = position;
    }

    /// The position up to which bytes may be sent, if there is a limit.
    #[inline]
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Appends bytes.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.tail.extend_from_slice(bytes);
    }

    /// Appends the parts of one reply, which stay in one chunk together.
    #[inline]
    pub fn write_parts<const N: usize>(&mut self, parts: [&[u8]; N]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.make_room(len);
        self.tail.reserve(len);
        for part in parts {
            self.tail.extend_from_slice(part);
        }
    }

    /// Appends a bulk string of less than a thousand bytes in protocol form. Most replies consist
    /// of such.
    #[inline]
    pub(crate) fn write_bulk(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() < 1_000);
        let head = match BULK_HEADERS.get(bytes.len()) {
            Some(head) => *head,
            None => bulk_header(bytes.len()),
        };
        let used = usize::from(head[7]);
        let len = used + bytes.len() + 2;
        self.make_room(len);
        self.tail.reserve(len + head.len());
        let start = self.tail.len();
        // A copy of a known length is one store.
        self.tail.extend_from_slice(&head);
        self.tail.truncate(start + used);
        self.tail.extend_from_slice(bytes);
        self.tail.extend_from_slice(b"\r\n");
    }

    /// Accounts for `len` bytes that are about to be written, and begins a new chunk for them if
    /// they do not fit into this one.
    #[inline]
    fn make_room(&mut self, len: usize) {
        self.len += len;
        if self.tail.len() + len > Self::CHUNK && !self.tail.is_empty() {
            self.begin_chunk();
        }
    }

    #[cold]
    fn begin_chunk(&mut self) {
        // A reply that fills one chunk probably fills the next. Allocating the whole chunk avoids
        // copying it while it grows.
        let fresh = Vec::with_capacity(Self::CHUNK);
        self.full.push_back(core::mem::replace(&mut self.tail, fresh));
    }

    /// Appends everything that waits in another outbox.
    pub fn append(&mut self, other: Outbox) {
        debug_assert_eq!(other.limit, None);
        for slice in other.slices() {
            self.write(slice);
        }
    }

    /// All waiting bytes, if they may all be sent and are contiguous, as short replies are.
    #[inline]
    pub fn whole(&self) -> Option<&[u8]> {
        if self.limit.is_some() || !self.full.is_empty() {
            return None;
        }
        self.tail.get(self.sent..).filter(|bytes| !bytes.is_empty())
    }

    /// The bytes that may be sent, front first, one slice per chunk.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let (mut skip, mut ready) = (self.sent, self.ready());
        self.full
            .iter()
            .chain([&self.tail])
            .map(move |chunk| {
                let slice = &chunk[core::mem::take(&mut skip)..];
                let slice = &slice[..slice.len().min(ready)];
                ready -= slice.len();
                slice
            })
            .filter(|slice| !slice.is_empty())
    }

    /// Removes the first `n` waiting bytes, which have been sent. True if that brought the outbox
    /// down to its low-water mark: the driver must then hand in an
    /// [`Input::Drained`](super::Input::Drained).
    #[inline(always)]
    pub fn consume(&mut self, n: usize) -> bool {
        let n = n.min(self.len);
        let before = self.len;
        self.len -= n;
        self.sent += n;
        self.left += n as u64;
        while let Some(first) = self.full.front() {
            if self.sent < first.len() {
                break;
            }
            self.sent -= first.len();
            self.full.pop_front();
        }
        if self.full.is_empty() && self.sent == self.tail.len() {
            self.tail.clear();
            self.sent = 0;
            // An idle connection gives back the memory of a long reply.
            if self.tail.capacity() > Self::CHUNK {
                self.tail.shrink_to(Self::CHUNK);
            }
        }
        let reached = self.low_water.is_some_and(|mark| before > mark && self.len <= mark);
        if reached {
            self.low_water = None;
        }
        reached
    }

    /// Asks for one [`Input::Drained`](super::Input::Drained) when no more than `bytes` wait.
    pub fn set_low_water(&mut self, bytes: usize) {
        self.low_water = Some(bytes);
    }

    /// Drops what waits.
    pub fn clear(&mut self) {
        *self = Outbox { left: self.end(), ..Outbox::default() };
    }

    /// Memory that the buffers hold, in bytes.
    pub fn capacity(&self) -> usize {
        self.full.iter().map(Vec::capacity).sum::<usize>() + self.tail.capacity()
    }
}

/// The headers of the shortest bulk strings, by their length.
const BULK_HEADERS: [[u8; 8]; 128] = {
    let mut heads = [[0; 8]; 128];
    let mut len = 0;
    while len < heads.len() {
        heads[len] = bulk_header(len);
        len += 1;
    }
    heads
};

/// The header of a bulk string of less than a thousand bytes (`$`, the length, CRLF), with the
/// header's own length in the last byte.
const fn bulk_header(len: usize) -> [u8; 8] {
    let [a, b, c] = [len / 100 % 10, len / 10 % 10, len % 10];
    let [a, b, c] = [b'0' + a as u8, b'0' + b as u8, b'0' + c as u8];
    match len {
        0..10 => [b'$', c, b'\r', b'\n', 0, 0, 0, 4],
        10..100 => [b'$', b, c, b'\r', b'\n', 0, 0, 5],
        _ => [b'$', a, b, c, b'\r', b'\n', 0, 6],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(outbox: &Outbox) -> Vec<u8> {
        outbox.slices().flatten().copied().collect()
    }

    #[test]
    fn an_outbox_gives_back_what_went_in_however_it_is_drained() {
        let mut rng = crate::rng::Rng::new(3);
        let (mut outbox, mut expected, mut got) = (Outbox::default(), Vec::new(), Vec::new());
        for i in 0..2_000u64 {
            let piece = vec![i as u8; rng.below(3_000) as usize];
            outbox.write(&piece);
            expected.extend_from_slice(&piece);
            let n = rng.below(4_000) as usize;
            got.extend(all(&outbox).into_iter().take(n));
            outbox.consume(n);
            assert_eq!(outbox.len(), expected.len() - got.len());
        }
        got.extend(all(&outbox));
        assert_eq!(got, expected);
    }

    #[test]
    fn bulk_strings_of_all_short_lengths_have_their_heads() {
        for len in 0..1_000 {
            let mut outbox = Outbox::default();
            outbox.write_bulk(&vec![b'x'; len]);
            let text = format!("${len}\r\n{}\r\n", "x".repeat(len));
            assert_eq!((all(&outbox), outbox.len()), (text.clone().into_bytes(), text.len()));
        }
    }

    #[test]
    fn bytes_behind_the_limit_are_held_back() {
        let mut outbox = Outbox::default();
        outbox.write(&[1; 20_000]);
        outbox.set_limit(Some(outbox.end()));
        outbox.write(&[2; 20_000]);
        assert_eq!((outbox.len(), outbox.ready()), (40_000, 20_000));
        assert_eq!(all(&outbox), [1; 20_000]);
        outbox.consume(15_000);
        assert_eq!(all(&outbox), [1; 5_000]);
        outbox.set_limit(Some(outbox.end() - 1));
        assert_eq!(outbox.ready(), 24_999);
        outbox.consume(24_999);
        assert_eq!((outbox.ready(), outbox.slices().count()), (0, 0));
        assert!(!outbox.is_empty());
        outbox.set_limit(None);
        assert_eq!(all(&outbox), [2]);
    }

    #[test]
    fn the_low_water_mark_is_reported_once() {
        let mut outbox = Outbox::default();
        outbox.write(&[0; 100]);
        outbox.set_low_water(10);
        assert!(!outbox.consume(50));
        assert!(outbox.consume(45));
        assert!(!outbox.consume(5));
    }
}
