//! `--pipe`: sends standard input to the server unchanged, and counts the replies.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use limpid_core::resp::value::{Value, encode_command};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::client::{Client, strerror};
use super::options::Options;
use super::{fail, print};

/// Runs the transfer. The exit status says whether there were errors.
pub(super) fn transfer(client: &mut Client, options: &Options) -> i32 {
    match Transfer::new(client).run(options) {
        Ok(code) => code,
        Err(message) => fail(&message),
    }
}

struct Transfer<'a> {
    client: &'a mut Client,
    input: io::Stdin,
    /// Bytes read from standard input and not sent yet.
    buffer: Vec<u8>,
    sent: usize,
    /// The argument of a final ECHO, sent at the end of input: its reply is the last one.
    last: Option<Vec<u8>>,
    errors: u64,
    replies: u64,
    heard: Instant,
}

impl<'a> Transfer<'a> {
    fn new(client: &'a mut Client) -> Self {
        Transfer {
            client,
            input: io::stdin(),
            buffer: Vec::new(),
            sent: 0,
            last: None,
            errors: 0,
            replies: 0,
            heard: Instant::now(),
        }
    }

    fn run(mut self, options: &Options) -> Result<i32, String> {
        let timeout = Duration::from_secs(options.pipe_timeout);
        self.client.stream.set_nonblocking(true).map_err(|error| strerror(&error))?;
        loop {
            let writes = self.last.is_none() || self.sent < self.buffer.len();
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, writes);
            let mut fds = [PollFd::new(&self.client.stream, flags)];
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            // If a signal interrupts it, the loop polls again.
            let _ = poll(&mut fds, Some(&second));
            let ready = fds[0].revents();
            if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) && self.read()? {
                break;
            }
            if ready.contains(PollFlags::OUT) {
                self.write()?;
            }
            if self.last.is_some() && !timeout.is_zero() && self.heard.elapsed() > timeout {
                let seconds = options.pipe_timeout;
                eprintln!("No replies for {seconds} seconds: exiting.");
                self.errors += 1;
                break;
            }
        }
        print(&format!("errors: {}, replies: {}\n", self.errors, self.replies));
        Ok(i32::from(self.errors > 0))
    }

    /// Reads replies; true once the last one has arrived.
    fn read(&mut self) -> Result<bool, String> {
        let mut bytes = vec![0; 64 * 1024];
        let failed = match self.client.stream.read(&mut bytes) {
            Ok(0) => Some(strerror(&io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => {
                self.client.decoder.feed(bytes.get(..n).unwrap_or_default());
                None
            }
            Err(error) if is_temporary(&error) => None,
            Err(error) => Some(strerror(&error)),
        };
        // Even after the connection ended: its last reply may say why.
        loop {
            match self.client.decoder.next_value() {
                Ok(None) => break,
                Ok(Some(Value::Error(text))) => {
                    eprintln!("{}", String::from_utf8_lossy(&text));
                    self.errors += 1;
                    self.replies += 1;
                }
                Ok(Some(Value::Bulk(text))) if self.last.as_ref() == Some(&text) => {
                    print("Last reply received from server.\n");
                    return Ok(true);
                }
                Ok(Some(_)) => self.replies += 1,
                Err(error) => return Err(format!("Error reading replies from server: {error}")),
            }
            self.heard = Instant::now();
        }
        match failed {
            Some(reason) => Err(format!("Error: {reason}")),
            None => Ok(false),
        }
    }

    /// Sends buffered input, and reads more, until the socket takes no more.
    fn write(&mut self) -> Result<(), String> {
        loop {
            while let Some(rest) = self.buffer.get(self.sent..).filter(|rest| !rest.is_empty()) {
                match self.client.stream.write(rest) {
                    Ok(n) => self.sent += n,
                    Err(error) if is_temporary(&error) => return Ok(()),
                    Err(error) => {
                        return Err(format!("Error writing to the server: {}", strerror(&error)));
                    }
                }
            }
            if self.last.is_some() {
                return Ok(());
            }
            self.sent = 0;
            self.buffer.resize(64 * 1024, 0);
            let n = self.input.lock().read(&mut self.buffer);
            let n = n.map_err(|error| format!("Error reading from stdin: {}", strerror(&error)))?;
            self.buffer.truncate(n);
            if n == 0 {
                self.finish();
            } else if n < 64 * 1024 {
                // A slow producer must not keep us from reading replies.
                return Ok(());
            }
        }
    }

    /// At the end of input: sends an ECHO whose reply can be recognized.
    fn finish(&mut self) {
        let magic = magic();
        // Starts with a line end, in case the input ended in the middle of a line.
        self.buffer = b"\r\n".to_vec();
        encode_command(&[&b"ECHO"[..], &magic], &mut self.buffer);
        self.last = Some(magic);
        self.heard = Instant::now();
        print("All data transferred. Waiting for the last reply...\n");
    }
}

/// Twenty random bytes, which no other reply will hold.
fn magic() -> Vec<u8> {
    let mut bytes = Vec::new();
    for i in 0..3u64 {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(i);
        bytes.extend_from_slice(&hasher.finish().to_le_bytes());
    }
    bytes.truncate(20);
    bytes
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
