//! A connection to a backend and what is to be answered on it.

use std::collections::VecDeque;

use super::client::ClientId;
use super::slots::SlotId;
use crate::machine::{ConnId, NetError, Outbox};
use crate::proxy::reply::Scanner;
use crate::time::{Duration, Mono};

/// The engine's name for a backend connection. It is never given to another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct LinkId(pub(super) SlotId);

/// A connection to a backend.
#[derive(Clone, Debug)]
pub struct Link<L> {
    /// The engine's name for it.
    pub id: LinkId,
    /// The connection.
    pub conn: ConnId,
    /// Whether it stands.
    pub up: bool,
    /// What the rule keeps of it.
    pub data: L,
    pub(super) outbox: Outbox,
    pub(super) scanner: Scanner,
    /// The beginning of a reply.
    pub(super) partial: Vec<u8>,
    /// Whether the beginning of the reply at hand has been passed on already.
    pub(super) streaming: bool,
    /// What is to be answered, oldest first.
    pub(super) pending: VecDeque<Pending>,
    /// How long a request may remain unanswered.
    pub(super) timeout: Option<Duration>,
    /// Clients that wait until the outbox has become shorter.
    pub(super) waiting: Vec<ClientId>,
    /// Whether the driver will be told that there is something to send.
    pub(super) marked: bool,
}

/// A request that a backend has yet to answer.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The client or the rule that asked.
    pub owner: Owner,
    /// The command, in the rule's numbers.
    pub command: u16,
    /// When it was asked.
    pub at: Mono,
    /// Where it ends in the stream of bytes to the backend.
    pub end: u64,
    /// How many bytes it has.
    pub len: u64,
    /// How often it was sent to another backend.
    pub hops: u8,
    /// What is needed to send it to another backend, if the rule wanted that kept.
    pub kept: Option<Box<Kept>>,
}

/// A request that may have to be sent to another backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its bytes.
    pub bytes: Box<[u8]>,
    /// Where it belongs, in the rule's numbers.
    pub place: u16,
}

/// The origin of a request to a backend: a client's request or part of one, or the proxy itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A client, with a request or a part of one.
    Client {
        /// Which client.
        id: ClientId,
        /// The number of its request.
        seq: u64,
        /// Which part of it.
        part: u32,
    },
    /// The rule itself, which knows what the number means.
    Rule(u32),
}

/// A backend connection that is gone.
#[derive(Clone, Debug)]
pub struct Gone<L> {
    /// The engine's name for it.
    pub id: LinkId,
    /// Whether it had stood.
    pub up: bool,
    /// How many bytes had left on it.
    pub sent: u64,
    /// What was to be answered on it.
    pub pending: VecDeque<Pending>,
    /// What the rule kept of it.
    pub data: L,
}

/// Why a backend connection is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// The network, or the backend's process.
    Net(NetError),
    /// A request was not answered in time.
    TimedOut,
    /// The backend does not speak the protocol.
    Malformed,
    /// The backend cannot serve now: the rule does not want it any more.
    Unfit,
}

impl<L> Link<L> {
    pub(super) fn new(id: LinkId, conn: ConnId, timeout: Option<Duration>, data: L) -> Self {
        Link {
            id,
            conn,
            up: false,
            data,
            outbox: Outbox::default(),
            scanner: Scanner::default(),
            partial: Vec::new(),
            streaming: false,
            pending: VecDeque::new(),
            timeout,
            waiting: Vec::new(),
            marked: false,
        }
    }

    /// What is to be answered, oldest first.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = &Pending> {
        self.pending.iter()
    }

    /// Requests and bytes of requests that have not left yet, and that have left but are not
    /// answered.
    pub fn queues(&self) -> Queues {
        let left = self.outbox.end() - self.outbox.len() as u64;
        let mut queues = Queues::default();
        for pending in &self.pending {
            let (count, bytes) = if pending.end > left {
                (&mut queues.unsent, &mut queues.unsent_bytes)
            } else {
                (&mut queues.unanswered, &mut queues.unanswered_bytes)
            };
            *count += 1;
            *bytes += pending.len;
        }
        queues
    }
}

/// What is on its way on a backend connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Requests that have not left.
    pub unsent: u64,
    /// Their bytes.
    pub unsent_bytes: u64,
    /// Requests that have left and are not answered.
    pub unanswered: u64,
    /// Their bytes.
    pub unanswered_bytes: u64,
}
