//! A blocking connection, for the modes that do not go through a `Session` (`--scan`, `--stat`,
//! ...).

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use limpid_core::client::Target;
use limpid_core::client::session::Protocol;
use limpid_core::resp::value::{Decoder, Value, encode_command};

use super::options::Options;

/// The TCP keepalive interval of redis-cli: shows that a peer is gone while a command blocks.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A TCP or Unix socket.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(super) fn connect(target: &Target) -> io::Result<Self> {
        match target {
            Target::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))?;
                stream.set_nodelay(true)?;
                let keepalive =
                    socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
                socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                Ok(Stream::Tcp(stream))
            }
            Target::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path)?)),
        }
    }

    /// Makes reads fail after `timeout`.
    pub(super) fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(timeout)),
        }
    }

    pub(super) fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_nonblocking(on),
            Stream::Unix(stream) => stream.set_nonblocking(on),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

/// A connection that is authenticated and has its database and protocol selected.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: Stream,
    pub(super) decoder: Decoder,
}

impl Client {
    /// Connects, authenticates, selects the database and the protocol.
    pub(super) fn open(options: &Options) -> Result<Self, String> {
        let (target, shown) = match &options.socket {
            Some(path) => (Target::Unix(path.clone()), path.clone()),
            None => {
                let (host, port) = (&options.host, options.port);
                (Target::Tcp(host.clone(), port), format!("{host}:{port}"))
            }
        };
        let stream = Stream::connect(&target).map_err(|error| {
            format!("Could not connect to Redis at {shown}: {}", strerror(&error))
        })?;
        let mut client = Client { stream, decoder: Decoder::new() };
        if let Some(password) = &options.password {
            match &options.user {
                Some(user) => client.greet("AUTH", &[b"AUTH", user.as_bytes(), password])?,
                None => client.greet("AUTH", &[b"AUTH", password])?,
            }
        }
        if options.db != 0 {
            let db = options.db.to_string();
            client.greet(&format!("SELECT {db}"), &[b"SELECT", db.as_bytes()])?;
        }
        if let Protocol::Resp3 = options.protocol() {
            client.greet("HELLO 3", &[b"HELLO", b"3"])?;
        }
        Ok(client)
    }

    /// Sends a command and waits for its reply.
    pub(super) fn command<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Value> {
        self.send(args)?;
        self.reply()
    }

    /// Sends a command whose reply is fetched later.
    pub(super) fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        let mut bytes = Vec::new();
        encode_command(args, &mut bytes);
        self.stream.write_all(&bytes)
    }

    /// Sends commands at once and fetches their replies.
    pub(super) fn pipeline(&mut self, commands: &[Vec<&[u8]>]) -> io::Result<Vec<Value>> {
        let mut bytes = Vec::new();
        for args in commands {
            encode_command(args, &mut bytes);
        }
        self.stream.write_all(&bytes)?;
        commands.iter().map(|_| self.reply()).collect()
    }

    /// Reads the next reply, skipping push messages.
    pub(super) fn reply(&mut self) -> io::Result<Value> {
        loop {
            let value = self.decoder.next_value().map_err(io::Error::other)?;
            match value {
                Some(Value::Push(_)) => {}
                Some(value) => return Ok(value),
                None => {
                    let mut buffer = [0; 16 * 1024];
                    match self.stream.read(&mut buffer) {
                        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        Ok(n) => self.decoder.feed(buffer.get(..n).unwrap_or_default()),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    fn greet(&mut self, what: &str, args: &[&[u8]]) -> Result<(), String> {
        match self.command(args) {
            Ok(Value::Error(text)) => {
                Err(format!("{what} failed: {}", String::from_utf8_lossy(&text)))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(format!("Error: {}", strerror(&error))),
        }
    }
}

/// An error's text as redis-cli prints it: that of `strerror`, without the error number.
pub(super) fn strerror(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "Server closed the connection".to_string();
    }
    let text = error.to_string();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    text.split(" (os error").next().unwrap_or(text).to_string()
}
