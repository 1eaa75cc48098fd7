//! The state of a TCP connection: two ordered streams of segments, and both ends.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::machine::{ConnId, Endpoint, ListenerId};
use crate::time::Mono;

use super::event::Lost;
use super::ids::{HostId, MessageId, ProcId, Side, TcpId};

/// A connection between two processes.
#[derive(Clone, Debug)]
pub(super) struct Conn {
    pub(super) id: TcpId,
    pub(super) opened: Mono,
    /// The client's end and the server's, by [`Side::index`].
    pub(super) ends: [End; 2],
    /// The streams sent by the client and by the server, by [`Side::index`] of the sender.
    pub(super) flows: [Flow; 2],
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) host: HostId,
    /// The process; a server's end has none until the first segment has arrived.
    pub(super) proc: Option<ProcId>,
    /// The process's id for it, once it has one.
    pub(super) conn: Option<ConnId>,
    pub(super) addr: Endpoint,
    pub(super) phase: Phase,
    /// The listener that accepted it.
    pub(super) listener: Option<ListenerId>,
    /// Whether the process is reading.
    pub(super) reading: bool,
    /// Whether to close the end when the output buffer is empty.
    pub(super) closing: bool,
    /// Whether the peer's FIN has arrived.
    pub(super) fin_seen: bool,
    /// Whether the process is already about to be told of bytes to read.
    pub(super) noted: bool,
}

/// The state of one end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The handshake is in progress, or the process has not accepted the connection yet.
    Opening,
    /// Bytes can flow.
    Open,
    /// The process has closed it; data that was sent may still be in flight.
    Closed,
    /// The host has no record of it any more.
    Dead,
}

/// The data that one end sends.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// Segments that the receiving host has not yet received in order, oldest first.
    pub(super) flight: VecDeque<Segment>,
    /// Data that the receiving host has received and its process has not read.
    pub(super) inbox: VecDeque<Piece>,
    /// Window space freed by the receiver, and when the sender learns of it.
    pub(super) credits: VecDeque<(Mono, u32)>,
    /// Bytes of the window in use, as far as the sender knows.
    pub(super) used: u64,
    /// Whether the sender waits for window space.
    pub(super) blocked: bool,
    /// The total number of bytes sent.
    pub(super) sent: u64,
    /// The total number of bytes read by the receiving process.
    pub(super) read: u64,
    /// The arrival time of the last segment, before which no later one may arrive.
    pub(super) last_due: Mono,
    /// The send time of the oldest segment whose acknowledgement a partition blocks.
    pub(super) unacked: Option<Mono>,
    /// The link's index, or `None` within a host.
    pub(super) link: Option<u32>,
}

/// A piece of data that waits to be read.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Bytes(Arc<[u8]>),
    Fin,
}

/// A message in flight.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) id: MessageId,
    pub(super) kind: SegmentKind,
    pub(super) bytes: Arc<[u8]>,
    /// The offset of its first byte in the sender's byte stream.
    pub(super) offset: u64,
    pub(super) sent: Mono,
    pub(super) flight: Flight,
    /// The number of retransmissions.
    pub(super) tries: u32,
}

/// The type of a TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentKind {
    /// A connection request.
    Syn,
    /// The reply to it.
    SynAck,
    /// The last step of the handshake.
    Ack,
    /// Data of a process.
    Data,
    /// The sender closes its side.
    Fin,
    /// The connection was aborted, or is unknown.
    Rst,
}

/// The delivery state of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flight {
    /// It is in flight.
    Flying {
        /// When it arrives.
        due: Mono,
    },
    /// It was lost; the sender has not noticed yet.
    Lost {
        /// When it will be retransmitted.
        again: Mono,
        /// Why it was lost.
        why: Lost,
    },
    /// It has arrived, but an earlier one has not.
    Waiting,
    /// It is held back by an action.
    Held {
        /// The remaining time to its arrival, in nanoseconds.
        left: u64,
    },
}

impl Conn {
    pub(super) fn end(&self, side: Side) -> &End {
        &self.ends[side.index()]
    }

    pub(super) fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side.index()]
    }

    /// The data that `side` sends.
    pub(super) fn flow(&self, side: Side) -> &Flow {
        &self.flows[side.index()]
    }

    pub(super) fn flow_mut(&mut self, side: Side) -> &mut Flow {
        &mut self.flows[side.index()]
    }

    /// Whether nothing can happen on it any more.
    pub(super) fn is_over(&self) -> bool {
        [Side::Client, Side::Server].into_iter().all(|side| {
            let end = self.end(side);
            match end.phase {
                Phase::Dead => self.flow(side).flight.is_empty(),
                Phase::Closed => end.fin_seen && self.flow(side).flight.is_empty(),
                // A server's end that no segment has reached does not exist.
                Phase::Opening => {
                    let alone = self.end(side.other()).phase == Phase::Dead;
                    alone && side == Side::Server && end.proc.is_none()
                }
                Phase::Open => false,
            }
        })
    }
}

impl Segment {
    pub(super) fn is_flying(&self) -> bool {
        matches!(self.flight, Flight::Flying { .. })
    }
}

impl End {
    pub(super) fn new(host: HostId, addr: Endpoint) -> Self {
        End {
            host,
            proc: None,
            conn: None,
            addr,
            phase: Phase::Opening,
            listener: None,
            reading: true,
            closing: false,
            fin_seen: false,
            noted: false,
        }
    }
}

impl Flow {
    pub(super) fn new(link: Option<u32>) -> Self {
        Flow {
            flight: VecDeque::new(),
            inbox: VecDeque::new(),
            credits: VecDeque::new(),
            used: 0,
            blocked: false,
            sent: 0,
            read: 0,
            last_due: Mono::ZERO,
            unacked: None,
            link,
        }
    }

    pub(super) fn position(&self, id: MessageId) -> Option<usize> {
        self.flight.binary_search_by_key(&id, |segment| segment.id).ok()
    }

    /// The window space available, including credits that have arrived by `now`.
    pub(super) fn room(&mut self, now: Mono, window: u32) -> u64 {
        while let Some(&(at, bytes)) = self.credits.front() {
            if at > now {
                break;
            }
            self.used = self.used.saturating_sub(u64::from(bytes));
            self.credits.pop_front();
        }
        u64::from(window).saturating_sub(self.used)
    }
}
