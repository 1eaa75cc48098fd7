//! The sans-I/O contract: the interface between state machines (servers, Sentinels, proxies,
//! clients) and the drivers that do their I/O.
//!
//! Each of these programs is a [`Machine`]. A *driver* (the native event loop on real sockets and
//! files, or the simulated World) feeds it [`Input`]s and carries out its [`Output`]s. The loop of
//! every driver is the same:
//!
//! 1. hand in every input that is ready, each with the time at which it happened;
//! 2. take outputs with [`Machine::poll_output`] until there are none, and carry them out (so one
//!    system call carries the replies to many inputs);
//! 3. wait for the next input, but no longer than [`Machine::poll_timeout`] says; when that time
//!    has come, hand in [`Input::Wake`].
//!
//! What a machine guarantees:
//!
//! * **Deterministic.** The same inputs at the same times give the same outputs, on every
//!   platform. So: no clock, no entropy, no threads, no iteration over a hash map (its order
//!   differs between x86-64 and wasm32; use a `BTreeMap`, or keep an order of your own), no
//!   `usize` on the wire or on disk.
//! * **Bounded.** One call does a bounded amount of work. Longer work is done in slices:
//!   the machine returns a time in the past from `poll_timeout` and continues at the
//!   next [`Input::Wake`]. Slices are counted in items or bytes, never in time.
//! * **Never panics**, whatever the bytes.
//! * **Cloneable**: a clone continues exactly as the original would.
//!
//! What a driver guarantees:
//!
//! * Inputs about one connection come in the order in which they happened; after
//!   [`Input::Closed`] or [`Input::ConnectFailed`] nothing more comes about it.
//! * Disk operations on one file are carried out, and answered, in the order in which they were
//!   asked for; but an append need not wait for an fsync before it, which then promises nothing about
//!   it. Each is answered by exactly one [`Input::Disk`]: at once, before the next output is taken, if
//!   it takes no time, and else when it has ended.
//! * Time never runs backwards on the monotonic clock.

mod disk;
mod oom_score;
mod outbox;
mod process;

use core::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::time::{Duration, Mono, Now};

pub use disk::{DiskDone, DiskError, DiskErrorKind, DiskOp, FileStat, OpenMode};
pub use oom_score::OomScore;
pub use outbox::Outbox;
pub use process::{
    ChildChange, ChildId, Command, ExitStatus, FileMode, Group, KillError, PipeId, Signal,
    SpawnError, Stdio, Stream, StreamError, TerminalMode,
};

/// A program as a state machine, which does no I/O itself.
pub trait Machine {
    /// Handles one input.
    fn handle(&mut self, now: Now<'_>, input: Input<'_>);

    /// The next output to carry out, or `None` when there are no more.
    fn poll_output(&mut self) -> Option<Output>;

    /// When the machine wants [`Input::Wake`]; `None` if it waits for other inputs only.
    fn poll_timeout(&self) -> Option<Mono>;

    /// Prefetches memory for the bytes that are about to be handed in as [`Input::Received`], for
    /// all of them at once. It has no visible effect; a driver may leave it out.
    #[inline]
    fn prefetch<'b>(&mut self, arrived: impl Iterator<Item = (ConnId, &'b [u8])>)
    where
        Self: Sized,
    {
        drop(arrived);
    }

    /// The output buffer of `conn`: bytes waiting to be sent. `None` if the connection is unknown.
    ///
    /// The driver sends from the front and calls [`Outbox::consume`] for what the socket took.
    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox>;
}

/// An event that a driver reports to a machine.
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
        /// The address with the actual port, or the error.
        result: Result<Endpoint, NetError>,
    },
    /// A peer has connected to a listener.
    Accepted {
        /// The new connection: even, and larger than all that were accepted before.
        conn: ConnId,
        /// The listener that it connected to.
        listener: ListenerId,
        /// The peer's address.
        peer: Endpoint,
        /// Our address, as the peer sees it.
        local: Endpoint,
    },
    /// A connection asked for with [`Output::Connect`] is established.
    Connected {
        /// The connection.
        conn: ConnId,
        /// Our address on it.
        local: Endpoint,
        /// The peer's address, resolved if it was given by name.
        peer: Endpoint,
    },
    /// A connection asked for with [`Output::Connect`] could not be made. Its id is invalid now.
    ConnectFailed {
        /// The connection.
        conn: ConnId,
        /// Why it could not be made.
        error: NetError,
    },
    /// Bytes have arrived.
    Received {
        /// The connection.
        conn: ConnId,
        /// The bytes, at least one. They belong to the driver's buffer and are gone afterwards.
        bytes: &'a [u8],
    },
    /// The peer will send no more, but may still read (half-close: it shut down its writing side).
    Ended {
        /// The connection.
        conn: ConnId,
    },
    /// The output buffer has drained to the mark that [`Outbox::set_low_water`] set.
    Drained {
        /// The connection.
        conn: ConnId,
    },
    /// The connection is gone: the peer closed or reset it, or a [`Close::AfterSending`] has been
    /// carried out. Not reported after [`Close::Now`].
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why it was closed.
        error: NetError,
    },
    /// A disk operation has ended.
    Disk {
        /// The operation that [`Output::Disk`] named.
        op: OpId,
        /// What came of it.
        result: Result<DiskDone, DiskError>,
    },
    /// A signal of the operating system, or of the World in its place.
    Signal(Signal),
    /// Resource usage of this process, sent by the driver from time to time.
    Vitals(Vitals),
    /// The answer to [`Output::Read`].
    Read {
        /// The stream.
        stream: Stream,
        /// The bytes, none at the stream's end. They belong to the driver.
        result: Result<&'a [u8], StreamError>,
    },
    /// The answer to [`Output::Write`]: there is room for more.
    Written {
        /// The stream.
        stream: Stream,
        /// Whether the bytes went into it.
        result: Result<(), StreamError>,
    },
    /// The answer to [`Output::Spawn`].
    Spawned {
        /// The child.
        child: ChildId,
        /// Its process id, or why it did not start.
        result: Result<u32, SpawnError>,
    },
    /// A child process ended, was suspended, or was continued.
    ChildChanged {
        /// The child.
        child: ChildId,
        /// What became of it.
        change: ChildChange,
    },
    /// The answer to [`Output::Kill`].
    Killed {
        /// The process id of the request.
        pid: i64,
        /// Whether there was such a process.
        result: Result<(), KillError>,
    },
    /// The answer to [`Output::OomScore`].
    OomScore {
        /// Whether the kernel took it; if not, why, in the words of the operating system.
        result: Result<(), String>,
    },
    /// The standard input is a terminal of this size. Comes after [`Input::Start`], and whenever the
    /// size changes.
    Terminal {
        /// Characters in a line.
        columns: u16,
        /// Lines.
        rows: u16,
    },
}

/// An action that a machine asks its driver for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a listener; answered by [`Input::Listening`].
    Listen {
        /// The machine's name for it.
        listener: ListenerId,
        /// The address. Port 0 means any free port.
        at: Endpoint,
        /// How many connections may wait to be accepted (`tcp-backlog`).
        backlog: u32,
    },
    /// Close a listener. Connections made through it stay.
    Unlisten {
        /// The listener.
        listener: ListenerId,
    },
    /// Connect; answered by [`Input::Connected`] or [`Input::ConnectFailed`].
    Connect {
        /// The machine's name for the connection: odd, and never used before by this machine.
        conn: ConnId,
        /// The address.
        to: Address,
        /// From which local address, if it matters.
        from: Option<Endpoint>,
    },
    /// The outbox of this connection holds bytes to send.
    Send {
        /// The connection.
        conn: ConnId,
    },
    /// The outbox of this connection holds unsolicited messages (pub/sub, replication). A driver
    /// may keep them until it has handled what has arrived meanwhile, so that several leave
    /// together, but not until other clients have the replies to that; [`Output::Send`] on the
    /// connection takes them along.
    SendSoon {
        /// The connection.
        conn: ConnId,
    },
    /// Stop handing in bytes of this connection (back-pressure), or resume.
    Reading {
        /// The connection.
        conn: ConnId,
        /// Whether to hand its bytes in.
        on: bool,
    },
    /// Close the connection. After [`Close::Now`] the machine has forgotten it. After
    /// [`Close::AfterSending`] it reads nothing more from it, and keeps the outbox until
    /// [`Input::Closed`] reports that the rest was sent or lost.
    Close {
        /// The connection.
        conn: ConnId,
        /// Whether to send what is queued first.
        how: Close,
    },
    /// Carry out a disk operation; answered by [`Input::Disk`].
    Disk {
        /// The machine's name for the operation, never used before.
        op: OpId,
        /// The operation.
        what: DiskOp,
    },
    /// A line for the log.
    Log(LogLine),
    /// Enable keepalive probes on connections accepted from now on, after so long without traffic
    /// (`tcp-keepalive`); `None` for never. The initial value is that of the configuration.
    KeepAlive(Option<Duration>),
    /// Block the whole process for so long (`DEBUG SLEEP`).
    Stall(Duration),
    /// Tell the kernel how soon it may end this process when memory runs out; answered by one
    /// [`Input::OomScore`].
    OomScore(OomScore),
    /// Read from a stream; answered by one [`Input::Read`]. At most one read per stream is in
    /// flight.
    Read {
        /// The stream.
        stream: Stream,
        /// The maximum number of bytes.
        most: u32,
    },
    /// Write to a stream; answered by one [`Input::Written`]. Writes keep their order.
    Write {
        /// The stream.
        stream: Stream,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Close a stream. Not answered.
    CloseStream {
        /// The stream.
        stream: Stream,
    },
    /// Start a program; answered by [`Input::Spawned`].
    Spawn {
        /// The machine's name for it.
        child: ChildId,
        /// The command.
        command: Box<Command>,
    },
    /// Send a signal; answered by [`Input::Killed`].
    Kill {
        /// To which process; negative for the process group of that leader.
        pid: i64,
        /// The signal.
        signal: Signal,
    },
    /// Change the mode of the terminal: cooked (the terminal edits lines) or raw.
    TerminalMode(TerminalMode),
    /// Make the process group of a child the terminal's foreground group, or take the terminal
    /// back.
    Foreground {
        /// The child; `None` for the machine's own group.
        group: Option<ChildId>,
    },
    /// End the process. The last output.
    Exit {
        /// The exit status. More than [`SIGNALLED`]: as if the signal of that many more had come.
        code: i32,
    },
}

/// The offset that a shell adds to the number of the signal that ended a process.
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

    /// Whether the peer opened it.
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
    /// A known address.
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
    /// Nothing listens there (`ECONNREFUSED`).
    Refused,
    /// The peer reset the connection.
    Reset,
    /// The peer closed it normally.
    Eof,
    /// No answer came within the transport's timeout.
    TimedOut,
    /// There is no route to the host.
    Unreachable,
    /// No host has that name.
    UnknownName,
    /// The address is in use.
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

impl core::error::Error for NetError {}

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

/// Resource usage of a process as its operating system reports it. For reports only; decisions must
/// not depend on it.
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
    /// The level.
    pub level: LogLevel,
    /// The role of the process: `M` a master, `S` a replica, `X` a Sentinel, `C` a child.
    pub role: char,
    /// The message, a single line.
    pub text: String,
}

/// Redis's four log levels, least important first.
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
    /// The level's character in a log line.
    pub fn mark(self) -> char {
        match self {
            LogLevel::Debug => '.',
            LogLevel::Verbose => '-',
            LogLevel::Notice => '*',
            LogLevel::Warning => '#',
        }
    }
}
