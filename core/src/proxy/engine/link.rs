//! A connection to a backend, with its pending requests.

use std::collections::VecDeque;

use super::client::ClientId;
use super::slab::SlabId;
use crate::machine::{ConnId, NetError, Outbox};
use crate::proxy::reply::Scanner;
use crate::time::{Duration, Mono};

/// The ID of a backend connection. IDs are never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct LinkId(pub(super) SlabId);

/// A connection to a backend.
#[derive(Clone, Debug)]
pub struct Link<L> {
    /// Its ID.
    pub id: LinkId,
    /// The connection.
    pub conn: ConnId,
    /// Whether it is established.
    pub up: bool,
    /// The rule's data about it.
    pub data: L,
    pub(super) outbox: Outbox,
    pub(super) scanner: Scanner,
    /// An incomplete reply.
    pub(super) partial: Vec<u8>,
    /// Whether the beginning of the current reply was already forwarded.
    pub(super) streaming: bool,
    /// Pending requests, oldest first.
    pub(super) pending: VecDeque<Pending>,
    /// The timeout for a request.
    pub(super) timeout: Option<Duration>,
    /// Whether nothing is read from the backend until a client has taken its reply. The timeout does
    /// not run meanwhile: it is not the backend that is slow.
    pub(super) paused: bool,
    /// When reading was last resumed.
    pub(super) resumed_at: Mono,
    /// Clients that are paused until the outbox is shorter.
    pub(super) waiting: Vec<ClientId>,
    /// Whether the link is already in the list of connections with data to send.
    pub(super) marked: bool,
}

/// A request that the backend has not answered yet.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The client or the rule that sent it.
    pub owner: Owner,
    /// The command's number in the rule's table.
    pub command: u16,
    /// When it was sent.
    pub at: Mono,
    /// The position of its end in the stream of bytes to the backend.
    pub end: u64,
    /// Its length in bytes.
    pub len: u64,
    /// How often it was redirected to another backend.
    pub hops: u8,
    /// A copy for sending it to another backend, if the rule wanted one.
    pub copy: Option<Box<RequestCopy>>,
}

/// A copy of a request that may have to be sent to another backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestCopy {
    /// Its bytes.
    pub bytes: Box<[u8]>,
    /// Its destination, as a number of the rule.
    pub place: u16,
}

/// The origin of a request to a backend: a client's request or part of one, or the proxy itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A client's request, or a part of one.
    Client {
        /// The client.
        id: ClientId,
        /// The number of the request.
        seq: u64,
        /// The part.
        part: u32,
    },
    /// The rule itself, with a number of its own.
    Rule(u32),
}

/// A closed backend connection.
#[derive(Clone, Debug)]
pub struct ClosedLink<L> {
    /// Its ID.
    pub id: LinkId,
    /// Whether it had been established.
    pub up: bool,
    /// The number of bytes sent on it.
    pub sent: u64,
    /// Its pending requests.
    pub pending: VecDeque<Pending>,
    /// The rule's data about it.
    pub data: L,
}

/// Why a backend connection was closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkError {
    /// A network error, or the end of the backend's process.
    Net(NetError),
    /// A request timed out.
    TimedOut,
    /// The backend violated the protocol.
    Malformed,
    /// The backend cannot serve requests now, and the rule gave it up.
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
            paused: false,
            resumed_at: Mono::ZERO,
            waiting: Vec::new(),
            marked: false,
        }
    }

    /// Pending requests, oldest first.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = &Pending> {
        self.pending.iter()
    }

    /// The numbers and bytes of pending requests, by whether they were already sent.
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

/// The queues of a backend connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Requests that were not sent yet.
    pub unsent: u64,
    /// Their bytes.
    pub unsent_bytes: u64,
    /// Requests that were sent and not answered yet.
    pub unanswered: u64,
    /// Their bytes.
    pub unanswered_bytes: u64,
}
