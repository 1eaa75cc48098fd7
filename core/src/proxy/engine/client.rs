//! A client and its unanswered requests.

use std::collections::VecDeque;

use super::join::Join;
use super::link::LinkId;
use super::slots::SlotId;
use super::{MAX_ASKS, MAX_HELD};
use crate::machine::{ConnId, Endpoint, ListenerId, Outbox};
use crate::proxy::request::Requests;
use crate::time::Mono;

/// The engine's name for a client. It is never given to another one.
pub type ClientId = SlotId;

/// A connected client.
#[derive(Clone, Debug)]
pub struct Client<C> {
    /// The engine's name for it.
    pub id: ClientId,
    /// Its connection.
    pub conn: ConnId,
    /// The listener that it came through.
    pub listener: ListenerId,
    /// Its address.
    pub peer: Endpoint,
    /// When it connected.
    pub since: Mono,
    /// When it last sent something.
    pub last_heard: Mono,
    /// What the rule keeps of it.
    pub data: C,
    /// Whether its requests may be lines of words too.
    inline: bool,
    /// The number of its next request, while it is idle.
    next: u64,
    /// What is under way; nothing while it is idle, since most of many clients are.
    work: Option<Box<Work>>,
}

/// What is under way for a client: what it has sent, what it waits for, and what it has yet to take.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    pub(super) outbox: Outbox,
    pub(super) requests: Requests,
    /// Unanswered requests, oldest first.
    pub(super) asks: VecDeque<Ask>,
    /// The number of the oldest.
    pub(super) first: u64,
    /// Bytes of replies that wait for their turn.
    pub(super) held: usize,
    /// Whether the driver will be told that there is something to send.
    pub(super) marked: bool,
    /// Whether no requests are read.
    pub(super) paused: bool,
    /// Whether that is until all of them are answered.
    pub(super) waits: bool,
    /// Whether the driver hands none of its bytes in.
    pub(super) not_reading: bool,
    /// Whether a backend has too many already.
    pub(super) blocked: bool,
    /// Whether it will send no more.
    pub(super) ended: bool,
    /// Whether nothing that it sends is looked at any more.
    pub(super) finishing: bool,
    /// Whether the reply that has just left was its last.
    pub(super) finish_soon: bool,
    /// Whether the driver has been told to close the connection.
    pub(super) closing: bool,
    /// The backend connection that is not read from because this client takes nothing.
    pub(super) holds_up: Option<LinkId>,
    /// Until when it must have taken something, and how much it had then.
    pub(super) patience: Option<(Mono, u64)>,
}

/// An unanswered request.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// What has come of the reply before its turn.
    pub(super) bytes: Vec<u8>,
    /// Whether that is all of it.
    pub(super) done: bool,
    /// Whether the connection ends behind it.
    pub(super) last: bool,
    /// How replies of several backends are put together.
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

    /// How many of its requests are unanswered.
    pub fn unanswered(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.asks.len())
    }

    /// What is under way, as far as anything is.
    pub(super) fn under_way(&self) -> Option<&Work> {
        self.work.as_deref()
    }

    /// What is under way; that begins if it was idle.
    #[inline]
    pub(super) fn work(&mut self) -> &mut Work {
        self.work_from(&mut Vec::new())
    }

    /// The same, with buffers that another client needs no more.
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

    /// Gives the buffers back, if nothing is under way any more.
    pub(super) fn rest(&mut self) -> Option<Box<Work>> {
        let work = self.work.take_if(|work| work.is_over())?;
        self.next = work.first;
        Some(work)
    }
}

impl Work {
    /// Whether everything has come, was answered, and was taken.
    fn is_over(&self) -> bool {
        let waits = self.paused || self.waits || self.not_reading || self.blocked || self.marked;
        let ends = self.ended || self.finishing || self.finish_soon || self.closing;
        let owes = self.holds_up.is_some() || self.patience.is_some() || self.held > 0;
        self.asks.is_empty()
            && self.outbox.is_empty()
            && self.requests.is_idle()
            && !(waits || ends || owes)
    }

    /// Whether its next request may be looked at.
    #[inline]
    pub(super) fn may_go(&self) -> bool {
        !self.blocked
            && (!self.waits || self.asks.is_empty())
            && self.asks.len() < MAX_ASKS
            && self.held + self.outbox.len() < MAX_HELD
    }

    /// No more requests are read for now.
    pub(super) fn pause(&mut self) {
        self.paused = true;
        if self.holds_up.is_none() {
            self.outbox.set_low_water(MAX_HELD / 4);
        }
    }

    /// Lets replies leave whose turn has come.
    pub(super) fn advance(&mut self) {
        while let Some(ask) = self.asks.front_mut() {
            if ask.join.is_some() {
                return;
            }
            if !ask.bytes.is_empty() {
                let bytes = core::mem::take(&mut ask.bytes);
                self.held = self.held.saturating_sub(bytes.len());
                self.outbox.write(&bytes);
            }
            if !ask.done {
                return;
            }
            let last = ask.last;
            self.asks.pop_front();
            self.first += 1;
            self.finish_soon |= last;
        }
    }

    /// Forgets all unanswered requests: their replies will be dropped.
    pub(super) fn drop_asks(&mut self) {
        self.first += self.asks.len() as u64;
        self.asks.clear();
        self.held = 0;
    }
}
