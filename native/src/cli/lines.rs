//! Lines from standard input, with a way to ask whether one is buffered already.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, BorrowedFd};

/// Standard input, line by line.
pub(super) struct Lines(BufReader<File>);

impl Lines {
    pub(super) fn new() -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Lines(BufReader::new(File::from(input))))
    }

    /// Whether the buffer holds bytes: then polling the descriptor does not show that there is
    /// input.
    pub(super) fn has_buffered(&self) -> bool {
        !self.0.buffer().is_empty()
    }

    /// The next line without its end; `None` at the end of input.
    pub(super) fn next_line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        match self.0.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                Some(line)
            }
        }
    }
}

impl AsFd for Lines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
