//! A client connection with its unanswered requests.

use std::collections::VecDeque;

use super::join::Join;
use super::link::LinkId;
use super::slab::SlabId;
use super::{MAX_HELD, MAX_UNANSWERED};
use crate::machine::{ConnId, Endpoint, ListenerId, Outbox};
use crate::proxy::request::Requests;
use crate::time::Mono;

/// The ID of a client. IDs are never reused.
pub type ClientId = SlabId;

/// A connected client.
#[derive(Clone, Debug)]
pub struct Client<C> {
    /// Its ID.
    pub id: ClientId,
    /// Its connection.
    pub conn: ConnId,
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// Its address.
    pub peer: Endpoint,
    /// When it connected.
    pub since: Mono,
    /// When it last sent data.
    pub last_heard: Mono,
    /// The rule's data about it.
    pub data: C,
    /// Whether inline requests are accepted.
    inline: bool,
    /// The number of its next request, if it is idle.
    next: u64,
    /// Its buffers and requests; `None` while it is idle, as most clients are.
    work: Option<Box<Work>>,
}

/// The state of a client that is not idle: buffers, requests and replies.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    pub(super) outbox: Outbox,
    pub(super) requests: Requests,
    /// Unanswered requests, oldest first.
    pub(super) unanswered: VecDeque<Unanswered>,
    /// The number of the oldest unanswered request.
    pub(super) first: u64,
    /// Bytes of replies that wait for earlier ones.
    pub(super) held: usize,
    /// Whether the client is already in the list of connections with data to send.
    pub(super) marked: bool,
    /// Whether no requests are read.
    pub(super) paused: bool,
    /// Whether it is paused until all of its requests are answered.
    pub(super) waits: bool,
    /// Whether the driver does not read from the connection.
    pub(super) not_reading: bool,
    /// Whether its next backend has too many queued bytes.
    pub(super) blocked: bool,
    /// Whether it has sent its last byte.
    pub(super) ended: bool,
    /// Whether its further requests are ignored.
    pub(super) finishing: bool,
    /// Whether the last reply has just been sent.
    pub(super) finish_soon: bool,
    /// Whether the driver was told to close the connection.
    pub(super) closing: bool,
    /// The backend connection that is blocked because this client does not take a reply.
    pub(super) blocks_link: Option<LinkId>,
    /// The deadline for taking data, and the position in the outbox that must be passed by then.
    pub(super) stall_deadline: Option<(Mono, u64)>,
}

/// An unanswered request of a client.
#[derive(Clone, Debug, Default)]
pub struct Unanswered {
    /// The reply as far as it has arrived, while it waits for earlier replies.
    pub(super) bytes: Vec<u8>,
    /// Whether the reply is complete.
    pub(super) done: bool,
    /// Whether the connection is closed after the reply.
    pub(super) last: bool,
    /// How the replies of several backends are joined.
    pub(super) join: Option<Box<Join>>,
}

impl<C> Client<C> {
    pub(super) fn new(
        id: ClientId,
        conn: ConnId,
        listener: ListenerId,
        peer: Endpoint,
        now: Mono,
        inline: bool,
        data: C,
    ) -> Self {
        Client {
            id,
            conn,
            listener,
            peer,
            since: now,
            last_heard: now,
            data,
            inline,
            next: 0,
            work: None,
        }
    }

    /// The number of its unanswered requests.
    pub fn unanswered(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.unanswered.len())
    }

    /// Its buffers and requests, unless it is idle.
    pub(super) fn under_way(&self) -> Option<&Work> {
        self.work.as_deref()
    }

    /// Its buffers and requests, which are created if it is idle.
    #[inline]
    pub(super) fn work(&mut self) -> &mut Work {
        self.work_from(&mut Vec::new())
    }

    /// The same, but reuses a spare buffer.
    #[inline]
    #[expect(clippy::vec_box, reason = "the box of another client changes hands as it is")]
    pub(super) fn work_from(&mut self, spare: &mut Vec<Box<Work>>) -> &mut Work {
        self.work.get_or_insert_with(|| {
            let mut work = spare.pop().unwrap_or_default();
            work.requests.set_inline(self.inline);
            work.first = self.next;
            work
        })
    }

    /// Returns the buffers, if the client has become idle.
    pub(super) fn release_buffers(&mut self) -> Option<Box<Work>> {
        let work = self.work.take_if(|work| work.is_over())?;
        self.next = work.first;
        Some(work)
    }
}

impl Work {
    /// Whether all requests are answered and all replies sent.
    fn is_over(&self) -> bool {
        let waits = self.paused || self.waits || self.not_reading || self.blocked || self.marked;
        let ends = self.ended || self.finishing || self.finish_soon || self.closing;
        let owes = self.blocks_link.is_some() || self.stall_deadline.is_some() || self.held > 0;
        self.unanswered.is_empty()
            && self.outbox.is_empty()
            && self.requests.is_idle()
            && !(waits || ends || owes)
    }

    /// Whether its next request may be handled.
    #[inline]
    pub(super) fn may_serve(&self) -> bool {
        !self.blocked
            && (!self.waits || self.unanswered.is_empty())
            && self.unanswered.len() < MAX_UNANSWERED
            && self.held + self.outbox.len() < MAX_HELD
    }

    /// Stops reading requests.
    pub(super) fn pause(&mut self) {
        self.paused = true;
        if self.blocks_link.is_none() {
            self.outbox.set_low_water(MAX_HELD / 4);
        }
    }

    /// Sends the replies that do not wait for earlier ones.
    pub(super) fn advance(&mut self) {
        while let Some(entry) = self.unanswered.front_mut() {
            if entry.join.is_some() {
                return;
            }
            if !entry.bytes.is_empty() {
                let bytes = core::mem::take(&mut entry.bytes);
                self.held = self.held.saturating_sub(bytes.len());
                self.outbox.write(&bytes);
            }
            if !entry.done {
                return;
            }
            let last = entry.last;
            self.unanswered.pop_front();
            self.first += 1;
            self.finish_soon |= last;
        }
    }

    /// Drops all unanswered requests; their replies will be ignored.
    pub(super) fn drop_unanswered(&mut self) {
        self.first += self.unanswered.len() as u64;
        self.unanswered.clear();
        self.held = 0;
    }
}
