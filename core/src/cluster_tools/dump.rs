//! The data of a node as SYNC sends it.

/// An RDB file on its way: `$<length>` and the file, or `$EOF:<mark>`, the file and the mark.
/// Replies to the commands before SYNC come first.
#[derive(Clone, Debug, Default)]
pub struct Dump {
    buffer: Vec<u8>,
    /// Lines that are replies to what was sent before.
    skip: usize,
    /// What follows the `$`, once it is known.
    head: Option<String>,
}

impl Dump {
    /// A file that comes after so many replies of one line.
    pub fn after(replies: usize) -> Dump {
        Dump { skip: replies, ..Dump::default() }
    }

    /// Takes bytes that have arrived. Gives the file when it is whole, or what the node said
    /// instead.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Result<Vec<u8>, String>> {
        self.buffer.extend_from_slice(bytes);
        while self.head.is_none() {
            let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            match line.strip_prefix('$') {
                // Empty lines come while the file is being made.
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
            (None, Err(_)) => return Some(Err(format!("a length is expected, not {head}"))),
        };
        self.buffer.truncate(length);
        Some(Ok(core::mem::take(&mut self.buffer)))
    }
}
