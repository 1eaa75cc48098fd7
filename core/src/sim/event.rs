//! Events of a World, as data; the page translates them into text.

use crate::machine::{DiskErrorKind, LogLevel, NetError};
use crate::time::{Mono, Wall};

use super::action::Action;
use super::ids::{HostId, MessageId, ProcId, TcpId};

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it happened, on the World's clock.
    pub at: Mono,
    /// What happened.
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// An action on the World.
    Action(Action),
    /// A host came up.
    HostUp(HostId),
    /// A host lost its power.
    HostDown(HostId),
    /// A process started.
    Started(ProcId),
    /// A program failed to start; with the reason that it gave.
    NotStarted(ProcId, String),
    /// A process exited with this status.
    Exited(ProcId, i32),
    /// A process was killed.
    Killed(ProcId),
    /// A process was frozen.
    Paused(ProcId),
    /// A frozen process was resumed.
    Resumed(ProcId),
    /// A connection was established.
    Connected {
        /// The connection.
        tcp: TcpId,
        /// The process that asked for it.
        from: ProcId,
        /// The process that accepted it.
        to: ProcId,
    },
    /// A connection attempt failed.
    ConnectFailed {
        /// The connection.
        tcp: TcpId,
        /// The process that asked for it.
        from: ProcId,
        /// Why it failed.
        error: NetError,
    },
    /// A connection was broken.
    Broken {
        /// The connection.
        tcp: TcpId,
        /// The process that was notified.
        proc: ProcId,
        /// Why it broke.
        error: NetError,
    },
    /// A message was lost and will be retransmitted.
    Lost {
        /// The message.
        message: MessageId,
        /// Why it was lost.
        why: Lost,
    },
    /// A disk operation failed.
    DiskFailed {
        /// The host.
        host: HostId,
        /// The process that asked for it.
        proc: ProcId,
        /// The error.
        error: DiskErrorKind,
    },
    /// A power loss destroyed bytes that were written and not synced.
    BytesLost {
        /// The host.
        host: HostId,
        /// The number of bytes.
        bytes: u64,
    },
}

impl EventKind {
    /// Whether the event changes anything lasting: what runs, what is connected, what a disk holds.
    /// Not lost messages, which are retransmitted, nor connections that are opened and closed
    /// normally.
    pub fn is_change(&self) -> bool {
        !matches!(
            self,
            EventKind::Lost { .. }
                | EventKind::Connected { .. }
                | EventKind::Broken { error: NetError::Eof, .. }
        )
    }
}

/// Why a message was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Random loss on the link.
    Loss,
    /// A partition between the hosts.
    Partition,
    /// The receiving host is down.
    HostDown,
    /// An action.
    Dropped,
    /// The listener's backlog was full.
    BacklogFull,
}

/// A line of a process's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// When it was logged, on the World's clock.
    pub at: Mono,
    /// The time on the host's wall clock.
    pub wall: Wall,
    /// The process id at that time.
    pub pid: u32,
    /// Its level.
    pub level: LogLevel,
    /// The role of the process, as in [`crate::machine::LogLine::role`].
    pub role: char,
    /// The message.
    pub text: String,
}
