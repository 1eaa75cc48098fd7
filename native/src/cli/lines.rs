//! Lines from a pipe or a file, of which one may ask whether there are more.

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

    /// Whether bytes wait in the buffer, so that looking at the descriptor would tell too little.
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
