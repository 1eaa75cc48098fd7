//! A process of a World: its specification, its open resources, and its pending inputs.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::machine::{
    ChildChange, ChildId, ConnId, DiskDone, DiskError, Endpoint, FileId, KillError, ListenerId,
    NetError, OpId, Signal, SpawnError, Stream, StreamError,
};
use crate::sorted::SortedMap;
use crate::time::Mono;

use super::children::Relations;
use super::device::OpenFile;
use super::event::LogEntry;
use super::ids::{HostId, Side, TcpId};
use super::process::Process;
use super::ring::Ring;
use super::scenario::ProcessSpec;

/// A process: its specification, and its machine while it runs.
#[derive(Clone, Debug)]
pub(super) struct Proc {
    pub(super) host: HostId,
    pub(super) spec: Arc<ProcessSpec>,
    pub(super) state: ProcState,
    /// The incarnation: how often it has been started. What belongs to an earlier one is ignored.
    pub(super) incarnation: u32,
    pub(super) pid: u32,
    pub(super) machine: Option<Box<dyn Process>>,
    /// The time until which it is blocked by its own
    /// [`Output::Stall`](crate::machine::Output::Stall).
    pub(super) stalled: Mono,
    /// Inputs to be delivered when it can run.
    pub(super) pending: VecDeque<PendingInput>,
    /// Whether the event queue holds an entry for their delivery.
    pub(super) delivery_scheduled: bool,
    /// The entry of the event queue that wakes it.
    pub(super) wake: Option<(Mono, u64)>,
    pub(super) conns: SortedMap<ConnId, (TcpId, Side)>,
    pub(super) accepted: u64,
    pub(super) listeners: SortedMap<ListenerId, Listener>,
    pub(super) files: SortedMap<FileId, OpenFile>,
    pub(super) dir: String,
    pub(super) log: Ring<LogEntry>,
    /// The file that its log is written to in addition, if any.
    pub(super) log_file: Option<String>,
    /// Inputs to be delivered with a short delay, each with an entry in the event queue.
    pub(super) later: VecDeque<PendingInput>,
    /// Its parent, children, terminal and streams.
    pub(super) relations: Relations,
    /// Whether it is a shell tool: it produces no events, and is removed when it ends.
    pub(super) tool: bool,
    /// Whether its slot can be reused by another process.
    pub(super) gone: bool,
    /// When it was last started.
    pub(super) started: Mono,
}

/// A listener of a process.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) at: Endpoint,
    pub(super) backlog: u32,
    /// Connections that the process has not accepted yet.
    pub(super) waiting: u32,
}

/// The state of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcState {
    /// It was not started since its host came up, or its host is down.
    Down,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It exited.
    Exited {
        /// Its exit status.
        code: i32,
    },
    /// It was killed.
    Killed,
    /// Its program failed to start.
    Failed,
}

/// An input to be delivered to a process when it can run.
#[derive(Clone, Debug)]
pub(super) enum PendingInput {
    Start,
    Listening(ListenerId, Result<Endpoint, NetError>),
    /// A connection waits to be accepted.
    Accept(TcpId),
    Connected(TcpId),
    ConnectFailed(ConnId, NetError),
    /// A connection has something to read.
    Readable(TcpId, Side),
    Drained(ConnId),
    Closed(ConnId, NetError),
    Disk(OpId, Result<DiskDone, DiskError>),
    Signal(Signal),
    Line(String),
    Interrupt,
    Read(Stream, Result<Vec<u8>, StreamError>),
    Written(Stream, Result<(), StreamError>),
    Spawned(ChildId, Result<u32, SpawnError>),
    Child(ChildId, ChildChange),
    KillAnswer(i64, Result<(), KillError>),
    Terminal(u16, u16),
    /// The OOM score that the process asked for is set.
    OomScore,
}

impl Proc {
    /// The number of log lines that are kept.
    const LOG: usize = 512;

    pub(super) fn new(host: HostId, spec: Arc<ProcessSpec>) -> Self {
        Proc {
            host,
            spec,
            state: ProcState::Down,
            incarnation: 0,
            pid: 0,
            machine: None,
            stalled: Mono::ZERO,
            pending: VecDeque::new(),
            delivery_scheduled: false,
            wake: None,
            conns: SortedMap::new(),
            accepted: 0,
            listeners: SortedMap::new(),
            files: SortedMap::new(),
            dir: String::new(),
            log: Ring::new(Self::LOG),
            log_file: None,
            later: VecDeque::new(),
            relations: Relations::default(),
            tool: false,
            gone: false,
            started: Mono::ZERO,
        }
    }

    /// Resets everything that belongs to one incarnation.
    pub(super) fn reset(&mut self) {
        self.machine = None;
        self.stalled = Mono::ZERO;
        self.pending.clear();
        self.delivery_scheduled = false;
        self.wake = None;
        self.conns.clear();
        self.accepted = 0;
        self.listeners.clear();
        self.files.clear();
        self.later.clear();
        self.relations = Relations::default();
        self.log_file = None;
    }
}
