//! The contract between state machines and the drivers that perform their I/O (sans-I/O).
//!
//! A server, a Sentinel, a proxy, a client: each is a [`Machine`], which never touches the outside
//! world. A *driver* (the native event loop with real sockets and files, or the simulated World)
//! feeds it [`Input`]s and carries out its [`Output`]s. The loop of every driver is the same:
//!
//! 1. pass in every input that is ready, each with the time at which it happened;
//! 2. take outputs with [`Machine::poll_output`] until there are none, and carry them out (so that
//!    one system call sends the replies to many inputs);
//! 3. wait for the next input, but no longer than until [`Machine::poll_timeout`]; at that time,
//!    pass in [`Input::Wake`].
//!
//! What a machine guarantees:
//!
//! * **Deterministic.** The same inputs at the same times give the same outputs, on every
//!   platform. So: no clock, no entropy, no threads, no iteration over a hash map (its order
//!   differs between x86-64 and wasm32; use a `BTreeMap`, or keep an order of your own), no
//!   `usize` on the wire or on disk.
//! * **Bounded.** One call does a bounded amount of work. Longer work proceeds in slices: the
//!   machine returns a time in the past from `poll_timeout` and continues at the next
//!   [`Input::Wake`]. Slices are measured in items or bytes, never in time.
//! * **Never panics**, whatever the bytes.
//! * **Cloneable**: a clone behaves exactly as the original would.
//!
//! What a driver guarantees:
//!
//! * Inputs about one connection are passed in in the order in which they happened; after
//!   [`Input::Closed`] or [`Input::ConnectFailed`] there are no more about it.
//! * Disk operations on one file are carried out and completed in the order in which they were
//!   requested, except that an append need not wait for an earlier fsync, which then does not cover
//!   it. Each is answered by exactly one [`Input::Disk`]: at once, before the next output is taken,
//!   if it takes no time, otherwise when it has completed.
//! * The monotonic clock never runs backwards.

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

/// A program as a state machine, without I/O of its own.
pub trait Machine {
    /// Handles one input.
    fn handle(&mut self, now: Now<'_>, input: Input<'_>);

    /// The next output, or `None` when all outputs have been taken.
    fn poll_output(&mut self) -> Option<Output>;

    /// When the machine wants [`Input::Wake`]; `None` if it only waits for other inputs.
    fn poll_timeout(&self) -> Option<Mono>;

    /// Prefetches memory for the bytes of several connections that are about to be handed in as
    /// [`Input::Received`]. Has no visible effect; a driver may skip it.
    #[inline]
    fn prefetch<'b>(&mut self, arrived: impl Iterator<Item = (ConnId, &'b [u8])>)
    where
        Self: Sized,
    {
        drop(arrived);
    }

    /// The output buffer of `conn`. `None` if the connection is unknown.
    ///
    /// The driver sends bytes from its start and calls [`Outbox::consume`] for those that the
    /// socket accepted.
    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox>;
}

/// An event that a driver reports to a machine.
#[derive(Debug)]
pub enum Input<'a> {
    /// The process has started. Sent once, as the first input.
    Start,
    /// The time asked for with [`Machine::poll_timeout`] has come.
    Wake,
    /// A listener is open, or could not be opened.
    Listening {
        /// The id from [`Output::Listen`].
        listener: ListenerId,
        /// The address, with the actual port; or the error.
        result: Result<Endpoint, NetError>,
    },
    /// A peer has connected to a listener.
    Accepted {
        /// The new connection: even, and larger than all that were accepted before.
        conn: ConnId,
        /// The listener.
        listener: ListenerId,
        /// The peer's address.
        peer: Endpoint,
        /// The local address.
        local: Endpoint,
    },
    /// A connection requested with [`Output::Connect`] is established.
    Connected {
        /// The connection.
        conn: ConnId,
        /// The local address.
        local: Endpoint,
        /// The peer's address: what its name was resolved to, if it was given by name.
        peer: Endpoint,
    },
    /// A connection requested with [`Output::Connect`] could not be established, and is gone.
    ConnectFailed {
        /// The connection.
        conn: ConnId,
        /// The error.
        error: NetError,
    },
    /// Bytes have been received.
    Received {
        /// The connection.
        conn: ConnId,
        /// The bytes, at least one, in a buffer of the driver.
        bytes: &'a [u8],
    },
    /// The peer has shut down its writing half: it sends no more, but may still read.
    Ended {
        /// The connection.
        conn: ConnId,
    },
    /// The outbox has sunk to the low-water mark ([`Outbox::set_low_water`]).
    Drained {
        /// The connection.
        conn: ConnId,
    },
    /// The connection is closed: by the peer, by an error, or after [`Close::AfterSending`]. Not
    /// reported after [`Close::Now`].
    Closed {
        /// The connection.
        conn: ConnId,
        /// The reason.
        error: NetError,
    },
    /// A disk operation has completed.
    Disk {
        /// The id from [`Output::Disk`].
        op: OpId,
        /// Its result.
        result: Result<DiskDone, DiskError>,
    },
    /// A signal from the operating system, or from the World.
    Signal(Signal),
    /// Resource usage of this process; a driver sends it from time to time.
    Vitals(Vitals),
    /// The answer to [`Output::Read`].
    Read {
        /// The stream.
        stream: Stream,
        /// The bytes, none at the end of the stream, in a buffer of the driver.
        result: Result<&'a [u8], StreamError>,
    },
    /// The answer to [`Output::Write`]: more can be written.
    Written {
        /// The stream.
        stream: Stream,
        /// Whether the bytes were written.
        result: Result<(), StreamError>,
    },
    /// The answer to [`Output::Spawn`].
    Spawned {
        /// The child.
        child: ChildId,
        /// Its process id, or the error.
        result: Result<u32, SpawnError>,
    },
    /// A child has ended, was suspended or was continued.
    ChildChanged {
        /// The child.
        child: ChildId,
        /// The change.
        change: ChildChange,
    },
    /// The answer to [`Output::Kill`].
    Killed {
        /// The pid from [`Output::Kill`].
        pid: i64,
        /// Whether there was such a process.
        result: Result<(), KillError>,
    },
    /// The answer to [`Output::OomScore`].
    OomScore {
        /// Success, or the operating system's error message.
        result: Result<(), String>,
    },
    /// The standard input is a terminal of this size. Sent after [`Input::Start`], and whenever the
    /// size changes.
    Terminal {
        /// Number of columns.
        columns: u16,
        /// Number of rows.
        rows: u16,
    },
}

/// An action that a machine requests from its driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a listener; answered by [`Input::Listening`].
    Listen {
        /// The id that the machine assigns.
        listener: ListenerId,
        /// The address. Port 0 means any free port.
        at: Endpoint,
        /// How many connections may wait to be accepted.
        backlog: u32,
    },
    /// Close a listener. Connections that it has accepted stay open.
    Unlisten {
        /// The listener.
        listener: ListenerId,
    },
    /// Connect; answered by [`Input::Connected`] or [`Input::ConnectFailed`].
    Connect {
        /// The id that the machine assigns: odd, and never used before by this machine.
        conn: ConnId,
        /// The address.
        to: Address,
        /// The local address, if it matters.
        from: Option<Endpoint>,
    },
    /// Send the bytes in the outbox of this connection.
    Send {
        /// The connection.
        conn: ConnId,
    },
    /// Send messages that the peer has not requested. A driver may delay them until it has handled
    /// what has arrived meanwhile, so that several are sent together, but not until other clients
    /// have the replies to that; replies ([`Output::Send`]) are sent together with them.
    SendSoon {
        /// The connection.
        conn: ConnId,
    },
    /// Stop or resume reading from this connection (back-pressure).
    Reading {
        /// The connection.
        conn: ConnId,
        /// Whether to read.
        on: bool,
    },
    /// Close the connection. After [`Close::Now`] the machine has forgotten it. After
    /// [`Close::AfterSending`] it reads nothing more from it, and keeps the outbox until
    /// [`Input::Closed`] reports that the rest was sent or lost.
    Close {
        /// The connection.
        conn: ConnId,
        /// Whether to send the outbox first.
        how: Close,
    },
    /// Carry out a disk operation; answered by [`Input::Disk`].
    Disk {
        /// The id that the machine assigns, never used before.
        op: OpId,
        /// The operation.
        what: DiskOp,
    },
    /// A line for the log.
    Log(LogLine),
    /// Set the TCP keepalive time of connections accepted from now on (`tcp-keepalive`); `None`
    /// turns it off. A driver starts with the configured value.
    KeepAlive(Option<Duration>),
    /// Block the process for this time (`DEBUG SLEEP`).
    Stall(Duration),
    /// Set the OOM score of the process; answered by one [`Input::OomScore`].
    OomScore(OomScore),
    /// Read from a stream; answered by one [`Input::Read`]. At most one read per stream is in
    /// progress.
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
        /// The id that the machine assigns.
        child: ChildId,
        /// The program, its arguments and its environment.
        command: Box<Command>,
    },
    /// Send a signal; answered by [`Input::Killed`].
    Kill {
        /// The process; negative for the process group of that leader.
        pid: i64,
        /// The signal.
        signal: Signal,
    },
    /// Change the mode of the terminal: cooked (the terminal edits lines) or raw.
    TerminalMode(TerminalMode),
    /// Set the terminal's foreground process group.
    Foreground {
        /// The child whose group it is; `None` for the machine's own.
        group: Option<ChildId>,
    },
    /// Exit the process. The last output.
    Exit {
        /// The exit status. [`SIGNALLED`] plus a signal's number: as if killed by that signal.
        code: i32,
    },
}

/// The exit status of a process killed by signal n is this plus n.
pub const SIGNALLED: i32 = 128;

/// The id of a connection. Even ids are of accepted connections and assigned by the driver, odd ids
/// of outgoing ones and assigned by the machine; none is ever reused within the life of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ConnId(pub u64);

impl ConnId {
    /// The `n`th accepted connection.
    pub fn accepted(n: u64) -> Self {
        ConnId(n << 1)
    }

    /// The `n`th outgoing connection.
    pub fn connected(n: u64) -> Self {
        ConnId(n << 1 | 1)
    }

    /// Whether the connection was accepted.
    pub fn is_accepted(self) -> bool {
        self.0 & 1 == 0
    }
}

/// The id of a listener, assigned by the machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ListenerId(pub u32);

/// The id of a disk operation, assigned by the machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct OpId(pub u64);

/// The id of an open file, assigned by the machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct FileId(pub u64);

/// The address of one end of a connection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Endpoint {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// The path of a Unix socket; empty for a peer.
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
    /// A host name. The driver resolves it, and fails with [`NetError::UnknownName`] if it does not
    /// exist.
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
    /// The transport timed out (`ETIMEDOUT`).
    TimedOut,
    /// There is no route to that host.
    Unreachable,
    /// No host has that name.
    UnknownName,
    /// The address is in use.
    AddrInUse,
    /// The address is not one of this host's.
    AddrNotAvailable,
    /// Permission denied by the operating system.
    Denied,
    /// The process has reached its limit of open files.
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

/// Resource usage of a process. For reports only: no decision may depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// Resident set size in bytes.
    pub resident: u64,
    /// CPU time in the kernel.
    pub cpu_system: Duration,
    /// CPU time in user mode.
    pub cpu_user: Duration,
    /// Physical memory of the host in bytes.
    pub host_memory: u64,
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The log level.
    pub level: LogLevel,
    /// The role of the process: `M` a master, `S` a replica, `X` a Sentinel, `C` a child.
    pub role: char,
    /// The message, one line.
    pub text: String,
}

/// Redis's four log levels.
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
    /// The character in a log line.
    pub fn mark(self) -> char {
        match self {
            LogLevel::Debug => '.',
            LogLevel::Verbose => '-',
            LogLevel::Notice => '*',
            LogLevel::Warning => '#',
        }
    }
}
