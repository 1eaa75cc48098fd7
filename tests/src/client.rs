//! A blocking RESP client that keeps the raw bytes of every reply.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use limpid_core::resp::value::{Decoder, Value, encode_command};

/// A connection to a server under test.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    decoder: Decoder,
    /// Bytes that arrived and belong to no returned reply.
    unread: Vec<u8>,
    /// How much of `unread` the decoder has been fed.
    fed: usize,
    /// [`Decoder::consumed`] at the end of the last reply.
    consumed: u64,
}

/// A reply, raw and decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The raw bytes.
    pub raw: Vec<u8>,
    /// The decoded value.
    pub value: Value,
}

impl Client {
    /// Creates a client on `stream`; the caller sets its timeouts.
    pub fn new(stream: TcpStream) -> Self {
        let decoder = Decoder::new();
        Client { stream, decoder, unread: Vec::new(), fed: 0, consumed: 0 }
    }

    /// Sends a command without waiting. A closed connection is noticed at the next read.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        let mut bytes = Vec::new();
        encode_command(args, &mut bytes);
        self.send_raw(&bytes);
    }

    /// Sends any bytes without waiting.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        // An error is noticed at the next read.
        let _ = self.stream.write_all(bytes);
    }

    /// The next reply; `None` if the connection was closed instead.
    ///
    /// Panics if nothing arrives within the stream's timeout, or on invalid RESP.
    pub fn read(&mut self) -> Option<Reply> {
        loop {
            if let Some(reply) = self.decoded() {
                return Some(reply);
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => self.unread.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("no reply; so far: {:?}", String::from_utf8_lossy(&self.unread))
                }
                Err(_) => return None,
            }
        }
    }

    /// The replies that have arrived, without waiting; `false` if the connection is closed.
    ///
    /// Panics on invalid RESP.
    pub fn arrived(&mut self) -> (Vec<Reply>, bool) {
        self.stream.set_nonblocking(true).expect("a socket");
        let mut chunk = [0; 16 * 1024];
        let open = loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => break false,
                Ok(n) => self.unread.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => break e.kind() == ErrorKind::WouldBlock,
            }
        };
        self.stream.set_nonblocking(false).expect("a socket");
        (std::iter::from_fn(|| self.decoded()).collect(), open)
    }

    /// Decodes the next reply from the bytes that were read.
    fn decoded(&mut self) -> Option<Reply> {
        self.decoder.feed(&self.unread[self.fed..]);
        self.fed = self.unread.len();
        match self.decoder.next_value() {
            Ok(Some(value)) => {
                let len = (self.decoder.consumed() - self.consumed) as usize;
                self.consumed = self.decoder.consumed();
                let raw = self.unread.drain(..len).collect();
                self.fed -= len;
                Some(Reply { raw, value })
            }
            Ok(None) => None,
            Err(error) => panic!("{error:?} in {:?}", String::from_utf8_lossy(&self.unread)),
        }
    }

    /// What INFO says in a section. Panics if the connection is closed.
    pub fn info(&mut self, section: &str) -> String {
        text(&self.call(&["INFO", section]))
    }

    /// Sends a command and returns its decoded reply. Panics if the connection is closed.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        self.send(args);
        self.read().expect("a reply, not the end of the connection").value
    }
}

/// The text of a reply; empty if it is none, such as a number or an array.
pub fn text(reply: &Value) -> String {
    String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned()
}

/// The value of a field of INFO; empty if the text does not have it.
pub fn field(info: &str, name: &str) -> String {
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_default().trim().to_owned()
}
