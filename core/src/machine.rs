//! The contract between everything that thinks and the world that it never touches.
//!
//! A server, a Sentinel, a proxy, a client: each is a [`Machine`]. A *driver* (the native event
//! loop on real sockets and files, or the simulated World) feeds it [`Input`]s and carries out
//! its [`Output`]s. The loop of every driver is the same:
//!
//! 1. hand in every input that is ready, each with the time at which it happened;
//! 2. take outputs with [`Machine::poll_output`] until there are none, and carry them out (so one
//!    system call carries the replies to many inputs);
//! 3. wait for the next input, but no longer than [`Machine::poll_timeout`] says; when that time
//!    has come, hand in [`Input::Wake`].
//!
//! What a machine promises:
//!
//! * **Deterministic.** The same inputs at the same times give the same outputs, on every
//!   platform. So: no clock, no entropy, no threads, no iteration over a hash map (its order
//!   differs between x86-64 and wasm32; use a `BTreeMap`, or keep an order of your own), no
//!   `usize` on the wire or on disk.
//! * **Bounded.** One call does a bounded amount of work. What takes longer goes on in slices:
//!   the machine asks for a time that has already come with `poll_timeout` and goes on at the
//!   next [`Input::Wake`]. Slices are counted in items or bytes, never in time.
//! * **Never panics**, whatever the bytes.
//! * **Cloneable**: a clone goes on exactly as the original would.
//!
//! What a driver promises:
//!
//! * Inputs about one connection come in the order in which they happened; after
//!   [`Input::Closed`] or [`Input::ConnectFailed`] nothing more comes about it.
//! * Disk operations on one file are carried out, and answered, in the order in which they were
//!   asked for; but an append need not wait for an fsync before it, which then promises nothing about
//!   it. Each is answered by exactly one [`Input::Disk`]: at once, before the next output is taken, if
//!   it takes no time, and else when it has ended.
//! * Time never runs backwards on the monotonic clock.

use core::fmt;
use std::collections::VecDeque;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::time::{Duration, Mono, Now};

/// A state machine that thinks and never touches the world.
pub trait Machine {
    /// Takes in one thing that happened.
    fn handle(&mut self, now: Now<'_>, input: Input<'_>);

    /// The next thing to do, or `None` when everything that was asked for has been taken.
    fn poll_output(&mut self) -> Option<Output>;

    /// When the machine wants [`Input::Wake`]; `None` if only an input can move it.
    fn poll_timeout(&self) -> Option<Mono>;

    /// What is about to be handed in as [`Input::Received`], so that a machine can have what it will
    /// need fetched from memory for all of it at once. That changes nothing that can be seen; a
    /// driver may leave it out.
    #[inline]
    fn foresee<'b>(&mut self, arrived: impl Iterator<Item = (ConnId, &'b [u8])>)
    where
        Self: Sized,
    {
        drop(arrived);
    }

    /// The bytes waiting to leave on `conn`. `None` if the connection is unknown.
    ///
    /// The driver sends from the front and calls [`Outbox::consume`] for what the socket took.
    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox>;
}

/// Something that happened, as a driver tells it to a machine.
#[derive(Debug)]
pub enum Input<'a> {
    /// The process has started. The first input, once.
    Start,
    /// The time asked for with [`Machine::poll_timeout`] has come.
    Wake,
    /// A listener is open, or could not be opened.
    Listening {
        /// The listener that [`Output::Listen`] named.
        listener: ListenerId,
        /// Where it listens, with the real port; or why it does not.
        result: Result<Endpoint, NetError>,
    },
    /// A peer has connected to a listener.
    Accepted {
        /// The new connection: even, and larger than all that were accepted before.
        conn: ConnId,
        /// Through which listener.
        listener: ListenerId,
        /// The peer's address.
        peer: Endpoint,
        /// Our address, as the peer sees it.
        local: Endpoint,
    },
    /// A connection asked for with [`Output::Connect`] stands.
    Connected {
        /// Which connection.
        conn: ConnId,
        /// Our address on it.
        local: Endpoint,
        /// The peer's address: what its name meant, if it was asked for by name.
        peer: Endpoint,
    },
    /// A connection asked for with [`Output::Connect`] could not be made. It is gone.
    ConnectFailed {
        /// Which connection.
        conn: ConnId,
        /// Why.
        error: NetError,
    },
    /// Bytes have arrived.
    Received {
        /// On which connection.
        conn: ConnId,
        /// The bytes, at least one. They belong to the driver's buffer and are gone afterwards.
        bytes: &'a [u8],
    },
    /// The peer will send no more, but may still read (it shut down its writing half).
    Ended {
        /// Which connection.
        conn: ConnId,
    },
    /// The outbox has sunk to the mark that [`Outbox::set_low_water`] set.
    Drained {
        /// Which connection.
        conn: ConnId,
    },
    /// The connection is gone: the peer closed or reset it, or a [`Close::AfterSending`] has been
    /// carried out. Not told after [`Close::Now`].
    Closed {
        /// Which connection.
        conn: ConnId,
        /// Why.
        error: NetError,
    },
    /// A disk operation has ended.
    Disk {
        /// The operation that [`Output::Disk`] named.
        op: OpId,
        /// What came of it.
        result: Result<DiskDone, DiskError>,
    },
    /// The operating system, or whoever plays it, signals.
    Signal(Signal),
    /// What the operating system says of this process; a driver sends it now and then.
    Vitals(Vitals),
}

/// Something that a machine wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a listener; answered by [`Input::Listening`].
    Listen {
        /// The machine's name for it.
        listener: ListenerId,
        /// Where. Port 0 means any free port.
        at: Endpoint,
        /// How many connections may wait to be accepted.
        backlog: u32,
    },
    /// Close a listener. Connections made through it stay.
    Unlisten {
        /// Which.
        listener: ListenerId,
    },
    /// Connect; answered by [`Input::Connected`] or [`Input::ConnectFailed`].
    Connect {
        /// The machine's name for the connection: odd, and never used before by this machine.
        conn: ConnId,
        /// Where to.
        to: Address,
        /// From which local address, if it matters.
        from: Option<Endpoint>,
    },
    /// The outbox of this connection holds bytes to send.
    Send {
        /// Which connection.
        conn: ConnId,
    },
    /// The outbox of this connection holds messages that nobody has asked for. A driver may keep
    /// them until it has handled what has arrived meanwhile, so that several leave together, but not
    /// until others have the answers to that; what was asked for ([`Output::Send`]) takes them along.
    SendSoon {
        /// Which connection.
        conn: ConnId,
    },
    /// Stop handing in bytes of this connection (back-pressure), or go on.
    Reading {
        /// Which connection.
        conn: ConnId,
        /// Whether to hand its bytes in.
        on: bool,
    },
    /// Close the connection. After [`Close::Now`] the machine has forgotten it. After
    /// [`Close::AfterSending`] it reads nothing more from it, and keeps the outbox until
    /// [`Input::Closed`] tells it that the rest was sent or lost.
    Close {
        /// Which connection.
        conn: ConnId,
        /// With what care.
        how: Close,
    },
    /// Carry out a disk operation; answered by [`Input::Disk`].
    Disk {
        /// The machine's name for the operation, never used before.
        op: OpId,
        /// What to do.
        what: DiskOp,
    },
    /// A line for the log.
    Log(LogLine),
    /// Probe connections that will be accepted from now on when nothing has come on them for so
    /// long (`tcp-keepalive`); `None` for never. A driver begins with what the configuration says.
    KeepAlive(Option<Duration>),
    /// Do nothing at all with this process for so long (`DEBUG SLEEP`).
    Stall(Duration),
    /// End the process. The last output.
    Exit {
        /// The exit status. More than [`SIGNALLED`]: as if the signal of that many more had come.
        code: i32,
    },
}

/// What a shell adds to the number of the signal that ended a process.
pub const SIGNALLED: i32 = 128;

/// A connection. Even ones were accepted and are named by the driver, odd ones were asked for and
/// are named by the machine; neither is ever used twice within one life of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ConnId(pub u64);

impl ConnId {
    /// The `n`th accepted connection.
    pub fn accepted(n: u64) -> Self {
        ConnId(n << 1)
    }

    /// The `n`th connection that the machine asked for.
    pub fn connected(n: u64) -> Self {
        ConnId(n << 1 | 1)
    }

    /// Whether the peer came to us.
    pub fn is_accepted(self) -> bool {
        self.0 & 1 == 0
    }
}

/// A listener, named by the machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ListenerId(pub u32);

/// A disk operation, named by the machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct OpId(pub u64);

/// An open file, named by the machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct FileId(pub u64);

/// One end of a connection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Endpoint {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A Unix socket by its path; empty for a peer, which has none.
    Unix(String),
}

impl Endpoint {
    /// The port, or 0 for a Unix socket.
    pub fn port(&self) -> u16 {
        match self {
            Endpoint::Ip(a) => a.port(),
            Endpoint::Unix(_) => 0,
        }
    }
}

impl fmt::Display for Endpoint {
    /// As Redis prints addresses: `127.0.0.1:6379`, `[::1]:6379`, `/tmp/redis.sock:0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Ip(a) => a.fmt(f),
            Endpoint::Unix(path) => write!(f, "{path}:0"),
        }
    }
}

/// Where to connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// A known place.
    Endpoint(Endpoint),
    /// A host by its name. The driver looks it up, as long as that may take, and fails with
    /// [`NetError::UnknownName`] if it means nothing.
    Name {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
}

impl From<Endpoint> for Address {
    fn from(at: Endpoint) -> Self {
        Address::Endpoint(at)
    }
}

/// How to close a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// Send what the outbox holds first, then close.
    AfterSending,
    /// Close now and drop what was not sent.
    Now,
}

/// Why a connection or listener failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum NetError {
    /// Nobody listens there.
    Refused,
    /// The peer reset the connection.
    Reset,
    /// The peer closed it in good order.
    Eof,
    /// No answer came within the patience of the transport.
    TimedOut,
    /// There is no way to that host.
    Unreachable,
    /// No host has that name.
    UnknownName,
    /// The address is taken by somebody else.
    AddrInUse,
    /// The address is not one of this host's.
    AddrNotAvailable,
    /// The operating system does not allow it.
    Denied,
    /// The process has as many files open as it may.
    TooManyFiles,
    /// Anything else.
    Other,
}

impl fmt::Display for NetError {
    /// In the words of `strerror`, which Redis's messages quote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NetError::Refused => "Connection refused",
            NetError::Reset => "Connection reset by peer",
            NetError::Eof => "Connection closed by peer",
            NetError::TimedOut => "Connection timed out",
            NetError::Unreachable => "No route to host",
            NetError::UnknownName => "Name or service not known",
            NetError::AddrInUse => "Address already in use",
            NetError::AddrNotAvailable => "Cannot assign requested address",
            NetError::Denied => "Permission denied",
            NetError::TooManyFiles => "Too many open files",
            NetError::Other => "Input/output error",
        })
    }
}

/// What a machine may do with the disk. Paths are relative to the process's working directory.
///
/// Nothing is durable before an fsync has ended: [`DiskOp::Sync`] for a file's bytes,
/// [`DiskOp::SyncDir`] for names (after a creation, a rename or a removal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskOp {
    /// Open a file under the machine's name for it. Done with [`DiskDone::Opened`].
    Open {
        /// The name by which later operations know it.
        file: FileId,
        /// Where it is.
        path: String,
        /// How to open it.
        mode: OpenMode,
    },
    /// Write bytes at the file's end. One that fails leaves nothing of its bytes there (unless a
    /// power loss tears it), and those behind it, asked for before the machine was told, fail with
    /// it: nothing is ever written behind a gap.
    Append {
        /// Which file.
        file: FileId,
        /// What to write.
        bytes: Vec<u8>,
    },
    /// Read up to `len` bytes from `offset`. Done with [`DiskDone::Data`]; fewer bytes than asked
    /// for mean that the file ends there.
    Read {
        /// Which file.
        file: FileId,
        /// Where to start.
        offset: u64,
        /// How much at most.
        len: u32,
    },
    /// Make what was written durable.
    Sync {
        /// Which file.
        file: FileId,
    },
    /// Cut the file to `len` bytes.
    Truncate {
        /// Which file.
        file: FileId,
        /// Its new length.
        len: u64,
    },
    /// Close the file. Its name is free again.
    Close {
        /// Which file.
        file: FileId,
    },
    /// Read a whole file. Done with [`DiskDone::Data`]. For small files only.
    Load {
        /// Where it is.
        path: String,
    },
    /// Write a whole file under a temporary name, fsync it, rename it into place and fsync the
    /// directory, so that a reader finds the old file or the new one and nothing between. For
    /// small files only.
    Replace {
        /// Where it shall be.
        path: String,
        /// What it shall hold.
        bytes: Vec<u8>,
    },
    /// Give a file another name, replacing what had it.
    Rename {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// Remove a file.
    Remove {
        /// Which.
        path: String,
    },
    /// Make a directory, and those above it. Done as well if it is there already.
    MakeDir {
        /// Which.
        path: String,
    },
    /// List a directory. Done with [`DiskDone::Names`].
    List {
        /// Which.
        path: String,
    },
    /// Make the names in a directory durable.
    SyncDir {
        /// Which.
        path: String,
    },
    /// Make another directory the process's working directory.
    ChangeDir {
        /// Which.
        path: String,
    },
}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// To read what is there; an error if nothing is.
    Read,
    /// To append to what is there, or to a new empty file.
    Append,
    /// To write a new file, or over an old one.
    Create,
}

/// What came of a disk operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskDone {
    /// It is done.
    Done,
    /// The file is open.
    Opened {
        /// Its length in bytes.
        len: u64,
    },
    /// What was read.
    Data(Vec<u8>),
    /// The names in a directory, sorted, without `.` and `..`.
    Names(Vec<String>),
}

/// Why a disk operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskError {
    /// The kind, for decisions.
    pub kind: DiskErrorKind,
    /// The operating system's words, for people.
    pub message: String,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Kinds of disk failure that machines tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskErrorKind {
    /// No such file or directory.
    NotFound,
    /// Not allowed.
    Denied,
    /// The disk is full.
    NoSpace,
    /// Something that is not a directory stands where one was expected, or the reverse.
    NotADirectory,
    /// The device failed, or anything else.
    Io,
}

/// What an operating system signals to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// SIGTERM: please end.
    Terminate,
    /// SIGINT: the person at the terminal wants it to end.
    Interrupt,
}

/// What an operating system knows of a process. Reports only; never a reason for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// Resident memory in bytes.
    pub resident: u64,
    /// Processor time in the kernel.
    pub cpu_system: Duration,
    /// Processor time in the program.
    pub cpu_user: Duration,
    /// Physical memory of the host in bytes.
    pub host_memory: u64,
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How important it is.
    pub level: LogLevel,
    /// Who speaks: `M` a master, `S` a replica, `X` a Sentinel, `C` a child.
    pub role: char,
    /// What it says, one line.
    pub text: String,
}

/// Redis's four levels, from chatter to trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LogLevel {
    /// `.`
    Debug,
    /// `-`
    Verbose,
    /// `*`
    Notice,
    /// `#`
    Warning,
}

impl LogLevel {
    /// The mark in a log line.
    pub fn mark(self) -> char {
        match self {
            LogLevel::Debug => '.',
            LogLevel::Verbose => '-',
            LogLevel::Notice => '*',
            LogLevel::Warning => '#',
        }
    }
}

/// Bytes on their way out of one connection.
///
/// What promises something that has not come true yet (that a write is on disk) can be kept back:
/// see [`Outbox::set_limit`]. A driver sends what [`Outbox::slices`] gives, and closes a connection
/// after sending when the whole outbox is empty.
///
/// Short replies gather in chunks of [`Outbox::CHUNK`] bytes, so that a long answer neither moves
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
    /// Bytes that have left, or were dropped, since the beginning.
    left: u64,
    /// Up to which position bytes may leave; `None` for all.
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

    /// Bytes that may leave now: those that wait, but for those behind a limit.
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

    /// Keeps back what is written behind `position` (see [`Outbox::end`]), because it promises
    /// what has not come true yet. `None` lets everything go.
    pub fn set_limit(&mut self, position: Option<u64>) {
        self.limit = position;
    }

    /// Up to which position bytes may leave, if that is limited.
    #[inline]
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Appends bytes.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        if self.tail.len() + bytes.len() > Self::CHUNK && !self.tail.is_empty() {
            self.full.push_back(core::mem::take(&mut self.tail));
        }
        self.tail.extend_from_slice(bytes);
    }

    /// Appends the parts of one reply, which stay in one chunk together.
    #[inline]
    pub fn write_parts<const N: usize>(&mut self, parts: [&[u8]; N]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.len += len;
        if self.tail.len() + len > Self::CHUNK && !self.tail.is_empty() {
            self.full.push_back(core::mem::take(&mut self.tail));
        }
        self.tail.reserve(len);
        for part in parts {
            self.tail.extend_from_slice(part);
        }
    }

    /// Appends a bulk string of less than a thousand bytes as the protocol writes it. Most replies
    /// are such, or consist of such.
    #[inline]
    pub(crate) fn write_bulk(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() < 1_000);
        let [a, b, c] = [100, 10, 1].map(|unit| b'0' + (bytes.len() / unit % 10) as u8);
        let (head, unused) = match bytes.len() {
            0..10 => ([b'$', c, b'\r', b'\n', 0, 0], 2),
            10..100 => ([b'$', b, c, b'\r', b'\n', 0], 1),
            _ => ([b'$', a, b, c, b'\r', b'\n'], 0),
        };
        let len = head.len() - unused + bytes.len() + 2;
        self.len += len;
        if self.tail.len() + len > Self::CHUNK && !self.tail.is_empty() {
            self.full.push_back(core::mem::take(&mut self.tail));
        }
        self.tail.reserve(len + unused);
        // A copy of a known length is one store.
        self.tail.extend_from_slice(&head);
        self.tail.truncate(self.tail.len() - unused);
        self.tail.extend_from_slice(bytes);
        self.tail.extend_from_slice(b"\r\n");
    }

    /// Appends all that waits in another outbox.
    pub fn append(&mut self, other: Outbox) {
        debug_assert_eq!(other.limit, None);
        for slice in other.slices() {
            self.write(slice);
        }
    }

    /// All that waits, if all of it may leave and it is in one piece, as short replies are.
    #[inline]
    pub fn whole(&self) -> Option<&[u8]> {
        if self.limit.is_some() || !self.full.is_empty() {
            return None;
        }
        self.tail.get(self.sent..).filter(|bytes| !bytes.is_empty())
    }

    /// The bytes that may leave, front first, in as many slices as there are chunks.
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

    /// Forgets the first `n` waiting bytes, which have been sent. True if that brought the outbox
    /// down to its low-water mark, in which case the driver owes an [`Input::Drained`].
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
            // An idle connection shall not hold on to what one long answer needed.
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

    /// Asks for one [`Input::Drained`] when no more than `bytes` wait.
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
    fn what_is_behind_the_limit_stays() {
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
    fn the_low_water_mark_is_told_once() {
        let mut outbox = Outbox::default();
        outbox.write(&[0; 100]);
        outbox.set_low_water(10);
        assert!(!outbox.consume(50));
        assert!(outbox.consume(45));
        assert!(!outbox.consume(5));
    }
}
