//! What happened in a World, as data; the page puts it into words.

use crate::machine::{DiskErrorKind, LogLevel, NetError};
use crate::time::{Mono, Wall};

use super::action::Action;
use super::ids::{HostId, MessageId, ProcId, TcpId};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it happened, on the World's clock.
    pub at: Mono,
    /// What happened.
    pub kind: EventKind,
}

/// The things that happen.
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
    /// A program could not start; the words are the program's.
    NotStarted(ProcId, String),
    /// A process ended by itself with this status.
    Exited(ProcId, i32),
    /// A process was killed.
    Killed(ProcId),
    /// A process was frozen.
    Paused(ProcId),
    /// A frozen process goes on.
    Resumed(ProcId),
    /// A connection stands.
    Connected {
        /// The connection.
        tcp: TcpId,
        /// The process that asked for it.
        from: ProcId,
        /// The process that accepted it.
        to: ProcId,
    },
    /// A connection could not be made.
    ConnectFailed {
        /// The connection.
        tcp: TcpId,
        /// The process that asked for it.
        from: ProcId,
        /// Why it could not be made.
        error: NetError,
    },
    /// A connection broke.
    Broken {
        /// The connection.
        tcp: TcpId,
        /// The process that was told.
        proc: ProcId,
        /// Why it broke.
        error: NetError,
    },
    /// A message was lost on its way and will be sent again.
    Lost {
        /// The message.
        message: MessageId,
        /// Why it was lost.
        why: Lost,
    },
    /// A disk operation failed.
    DiskFailed {
        /// On which host.
        host: HostId,
        /// The process that asked for it.
        proc: ProcId,
        /// How.
        error: DiskErrorKind,
    },
    /// A power loss took bytes that had been written and not yet synced.
    BytesLost {
        /// On which host.
        host: HostId,
        /// How many.
        bytes: u64,
    },
}

impl EventKind {
    /// Whether something is another than before: what runs, what is connected, what a disk holds. Lost
    /// messages are sent again, and connections are made and ended in good order all the time.
    pub fn is_change(&self) -> bool {
        !matches!(
            self,
            EventKind::Lost { .. }
                | EventKind::Connected { .. }
                | EventKind::Broken { error: NetError::Eof, .. }
        )
    }
}

/// Why a message did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// By the chance that the link has for it.
    Loss,
    /// A partition lies between the hosts.
    Partition,
    /// The receiving host is down.
    HostDown,
    /// An action dropped it.
    Dropped,
    /// The listener had as many connections waiting as it takes.
    BacklogFull,
}

/// A line that a process logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// When it was logged, on the World's clock.
    pub at: Mono,
    /// The same by the clock of its host.
    pub wall: Wall,
    /// The process id under which it ran.
    pub pid: u32,
    /// How important it is.
    pub level: LogLevel,
    /// The role of the process, as in [`crate::machine::LogLine::role`].
    pub role: char,
    /// What it says.
    pub text: String,
}
