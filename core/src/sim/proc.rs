//! A process: its recipe, what it has open, and what it is to be told.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::machine::{
    ChildChange, ChildId, ConnId, DiskDone, DiskError, Endpoint, FileId, KillError, ListenerId,
    NetError, OpId, Signal, SpawnError, Stream, StreamError,
};
use crate::sorted::SortedMap;
use crate::time::Mono;

use super::children::Kin;
use super::device::OpenFile;
use super::event::LogEntry;
use super::ids::{HostId, Side, TcpId};
use super::process::Process;
use super::ring::Ring;
use super::scenario::ProcessSpec;

/// A process: its recipe, and its machine while it runs.
#[derive(Clone, Debug)]
pub(super) struct Proc {
    pub(super) host: HostId,
    pub(super) spec: Arc<ProcessSpec>,
    pub(super) state: ProcState,
    /// How often it has been started; what belongs to an earlier life is void.
    pub(super) life: u32,
    pub(super) pid: u32,
    pub(super) machine: Option<Box<dyn Process>>,
    /// Until when it stands still, by its own wish.
    pub(super) stalled: Mono,
    /// What it is to be told.
    pub(super) mail: VecDeque<Note>,
    /// Whether the queue holds an entry to read the mail.
    pub(super) mail_due: bool,
    /// The queue's entry that wakes it.
    pub(super) wake: Option<(Mono, u64)>,
    pub(super) conns: SortedMap<ConnId, (TcpId, Side)>,
    pub(super) accepted: u64,
    pub(super) listeners: SortedMap<ListenerId, Listener>,
    pub(super) files: SortedMap<FileId, OpenFile>,
    pub(super) dir: String,
    pub(super) log: Ring<LogEntry>,
    /// Where its log goes besides, if that is a file.
    pub(super) log_file: Option<String>,
    /// What it is to be told a moment later, each with an entry in the queue.
    pub(super) later: VecDeque<Note>,
    /// Its parent, its children, its terminal, its streams.
    pub(super) kin: Kin,
    /// Whether it is a small program of a shell: no event, and nothing is left of it at its end.
    pub(super) tool: bool,
    /// Whether the place is free for another process.
    pub(super) gone: bool,
    /// When it was started last.
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

/// How a process is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcState {
    /// It has not been started since its host came up, or its host is down.
    Down,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It has ended by itself.
    Exited {
        /// Its exit status.
        code: i32,
    },
    /// It was killed.
    Killed,
    /// Its program could not start.
    Failed,
}

/// What a process is to be told, when it next listens.
#[derive(Clone, Debug)]
pub(super) enum Note {
    Start,
    Listening(ListenerId, Result<Endpoint, NetError>),
    /// A connection waits to be accepted.
    Accept(TcpId),
    Connected(TcpId),
    ConnectFailed(ConnId, NetError),
    /// A connection holds something to read.
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
    /// The score that a process asked for is set.
    OomScore,
}

impl Proc {
    /// Log lines that are remembered.
    const LOG: usize = 512;

    pub(super) fn new(host: HostId, spec: Arc<ProcessSpec>) -> Self {
        Proc {
            host,
            spec,
            state: ProcState::Down,
            life: 0,
            pid: 0,
            machine: None,
            stalled: Mono::ZERO,
            mail: VecDeque::new(),
            mail_due: false,
            wake: None,
            conns: SortedMap::new(),
            accepted: 0,
            listeners: SortedMap::new(),
            files: SortedMap::new(),
            dir: String::new(),
            log: Ring::new(Self::LOG),
            log_file: None,
            later: VecDeque::new(),
            kin: Kin::default(),
            tool: false,
            gone: false,
            started: Mono::ZERO,
        }
    }

    /// Forgets all that belongs to one life.
    pub(super) fn reset(&mut self) {
        self.machine = None;
        self.stalled = Mono::ZERO;
        self.mail.clear();
        self.mail_due = false;
        self.wake = None;
        self.conns.clear();
        self.accepted = 0;
        self.listeners.clear();
        self.files.clear();
        self.later.clear();
        self.kin = Kin::default();
        self.log_file = None;
    }
}
