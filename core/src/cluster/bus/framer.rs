//! Splits a stream of bytes into messages.

use super::codec::{HEADER_LEN, SIGNATURE};

/// Splits the bytes of one connection into messages.
#[derive(Clone, Debug, Default)]
pub struct Framer {
    bytes: Vec<u8>,
    /// How many of the bytes belong to messages that were already handed out.
    used: usize,
}

/// The bytes that arrived are not the start of a message. The connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFrame;

/// The maximum length of a message, which limits how much one peer can make this process buffer.
/// The longest message of Redis is a PUBLISH with a channel and a message of 512 MB each.
const MAX_MESSAGE: usize = HEADER_LEN + 8 + 2 * (512 << 20);

/// Bytes of capacity that an idle connection keeps.
const KEPT: usize = 16 << 10;

impl Framer {
    /// Appends bytes that have arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes of the next message, if all of it has arrived.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, BadFrame> {
        let waiting = &self.bytes[self.used..];
        let Some((head, _)) = waiting.split_first_chunk::<8>() else { return Ok(None) };
        let [a, b, c, d, length @ ..] = *head;
        let length = u32::from_be_bytes(length) as usize;
        if [a, b, c, d] != SIGNATURE || !(HEADER_LEN..=MAX_MESSAGE).contains(&length) {
            return Err(BadFrame);
        }
        if waiting.len() < length {
            return Ok(None);
        }
        let start = self.used;
        self.used += length;
        Ok(Some(&self.bytes[start..start + length]))
    }

    /// Memory that the buffer takes, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
