//! A connection as TCP shows it: two ordered streams of segments, and what each end knows.

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
    /// What the client sends and what the server sends, by [`Side::index`] of the sender.
    pub(super) flows: [Flow; 2],
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) host: HostId,
    /// The owner; a server's end has none until the first segment has arrived.
    pub(super) proc: Option<ProcId>,
    /// The process's name for it, as soon as it has one.
    pub(super) conn: Option<ConnId>,
    pub(super) addr: Endpoint,
    pub(super) phase: Phase,
    /// Through which listener it came.
    pub(super) listener: Option<ListenerId>,
    /// Whether the process wants bytes.
    pub(super) reading: bool,
    /// Whether the end is to be closed when the outbox is empty.
    pub(super) closing: bool,
    /// Whether the peer's FIN has arrived.
    pub(super) fin_seen: bool,
    /// Whether a note about bytes to read is on its way to the process.
    pub(super) noted: bool,
}

/// How far an end is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The handshake is not over, or the process has not accepted yet.
    Opening,
    /// Bytes can flow.
    Open,
    /// The process has closed it; what was sent is still on its way.
    Closed,
    /// The host knows nothing of it any more.
    Dead,
}

/// What one end sends.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// Segments that the receiving host does not have in order yet, oldest first.
    pub(super) flight: VecDeque<Segment>,
    /// What the receiving host has and its process has not read.
    pub(super) inbox: VecDeque<Piece>,
    /// Room in the window that the receiver has given back, and when the sender learns of it.
    pub(super) credits: VecDeque<(Mono, u32)>,
    /// Bytes of the window that are in use as far as the sender knows.
    pub(super) used: u64,
    /// Whether the sender waits for room.
    pub(super) blocked: bool,
    /// Bytes ever sent.
    pub(super) sent: u64,
    /// Bytes that the receiving process has read.
    pub(super) read: u64,
    /// When the last segment is due: no later one may come before it.
    pub(super) last_due: Mono,
    /// When the oldest segment was sent whose acknowledgement a partition keeps back.
    pub(super) unacked: Option<Mono>,
    /// The link's number, or `None` within a host.
    pub(super) link: Option<u32>,
}

/// What waits to be read.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Bytes(Arc<[u8]>),
    Fin,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) id: MessageId,
    pub(super) kind: SegmentKind,
    pub(super) bytes: Arc<[u8]>,
    /// Number of its first byte in what the end has sent.
    pub(super) offset: u64,
    pub(super) sent: Mono,
    pub(super) flight: Flight,
    /// How often it has been sent again.
    pub(super) tries: u32,
}

/// What a message is to the transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentKind {
    /// A request to connect.
    Syn,
    /// The answer to it.
    SynAck,
    /// The end of the handshake.
    Ack,
    /// Bytes of a process.
    Data,
    /// The sender closes.
    Fin,
    /// The connection is broken off, or was never known.
    Rst,
}

/// How a message fares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flight {
    /// It is under way.
    Flying {
        /// When it arrives.
        due: Mono,
    },
    /// It was lost; the sender does not know yet.
    Lost {
        /// When it will be sent again.
        again: Mono,
        /// Why it was lost.
        why: Lost,
    },
    /// It has arrived, but one before it has not.
    Waiting,
    /// It is held back by the person at the World.
    Held {
        /// How much of its way is left, in nanoseconds.
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

    /// What `side` sends.
    pub(super) fn flow(&self, side: Side) -> &Flow {
        &self.flows[side.index()]
    }

    pub(super) fn flow_mut(&mut self, side: Side) -> &mut Flow {
        &mut self.flows[side.index()]
    }

    /// Whether nothing will ever happen on it again.
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

    /// Room in the window, after credits that have come by `now`.
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
