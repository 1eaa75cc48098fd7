//! Parser for the RDB file that a node sends in reply to SYNC.

/// An RDB file that is being received: `$<length>` and the file, or `$EOF:<mark>`, the file and the
/// mark. One-line replies to earlier commands come first.
#[derive(Clone, Debug, Default)]
pub struct Dump {
    buffer: Vec<u8>,
    /// One-line replies that are still to be skipped.
    skip: usize,
    /// The text between `$` and the line end, once it has arrived.
    head: Option<String>,
}

impl Dump {
    /// A parser that first skips so many one-line replies.
    pub fn after(replies: usize) -> Dump {
        Dump { skip: replies, ..Dump::default() }
    }

    /// Takes bytes that have arrived. Returns the file when it is complete, or the node's error.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Result<Vec<u8>, String>> {
        self.buffer.extend_from_slice(bytes);
        while self.head.is_none() {
            let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            match line.strip_prefix('$') {
                // The primary sends empty lines while it creates the file.
                _ if line.is_empty() => {}
                _ if self.skip > 0 => self.skip -= 1,
                Some(head) => self.head = Some(head.to_owned()),
                None => return Some(Err(line)),
            }
        }
        let head = self.head.as_deref()?;
        let length = match (head.strip_prefix("EOF:"), head.parse::<usize>()) {
            (Some(mark), _) if self.buffer.ends_with(mark.as_bytes()) => {
                self.buffer.len() - mark.len()
            }
            (Some(_), _) => return None,
            (None, Ok(length)) if self.buffer.len() >= length => length,
            (None, Ok(_)) => return None,
            (None, Err(_)) => return Some(Err(format!("a length was expected, not {head}"))),
        };
        self.buffer.truncate(length);
        Some(Ok(core::mem::take(&mut self.buffer)))
    }
}
