//! Requests that are held back while their group has no primary: during a failover clients notice a
//! latency, rather than an error, as long as nothing can happen twice.
//!
//! Held are requests that no server has carried out: those for which there is no server or no
//! connection, those that had not left when the connection was lost, those that a server refuses
//! because it is none to ask (READONLY, LOADING, MASTERDOWN, CLUSTERDOWN), and reads whose reply was
//! lost. A write that was sent and not answered may have been carried out, so its client gets the
//! error of the original. Requests of one client keep their order: while one is held, so are those
//! behind it. Pools whose servers are fixed hold nothing, since nobody replaces their primaries.

use std::collections::VecDeque;

use super::command::Access;
use super::{ClientId, Owner, Predixy, PredixyEngine};
use crate::proxy::engine::Pending;
use crate::sharding::Slot;
use crate::time::{Duration, Mono, Now};

/// How long a request is held at most: a failover by Sentinels with usual settings takes less once
/// the primary is known to be down.
pub(super) const LONGEST: Duration = Duration::from_secs(15);

/// Bytes of requests that are held at most; others get their error at once.
const MAX_BYTES: usize = 16 << 20;

/// How often held requests are tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// Requests that wait for a primary, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Holding {
    requests: VecDeque<Held>,
    bytes: usize,
    again_at: Option<Mono>,
}

/// A request of a client, or a part of one, on its way to a server.
#[derive(Clone, Debug)]
pub(super) struct Errand<B> {
    /// The client and the request that this belongs to, or the part of the request.
    pub(super) owner: Owner,
    /// The command, by its number.
    pub(super) command: u16,
    /// What it does to keys.
    pub(super) access: Access,
    /// Where it belongs.
    pub(super) to: Destination,
    /// Until when it is held; `None` before it has been held for the first time.
    pub(super) until: Option<Mono>,
    /// The request.
    pub(super) bytes: B,
}

/// An errand that waits for a primary, and what its client is told if none comes.
#[derive(Clone, Debug)]
struct Held {
    errand: Errand<Box<[u8]>>,
    error: &'static [u8],
}

/// Where a request belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// To a group.
    Group(usize),
    /// To the owner of this slot of a Cluster.
    Slot(Slot),
}

impl Destination {
    /// As the engine keeps it.
    pub(super) fn number(self) -> u16 {
        match self {
            Destination::Group(group) => u16::try_from(group).unwrap_or(u16::MAX),
            Destination::Slot(slot) => slot.number(),
        }
    }
}

impl Holding {
    /// When they are tried again.
    pub(super) fn timeout(&self) -> Option<Mono> {
        self.again_at
    }

    /// Whether a request of this client is held.
    #[inline]
    pub(super) fn holds(&self, client: ClientId) -> bool {
        // Mostly there are none at all.
        self.requests.iter().any(|held| client_of(held.errand.owner) == Some(client))
    }
}

fn client_of(owner: Owner) -> Option<ClientId> {
    match owner {
        Owner::Client { id, .. } => Some(id),
        Owner::Rule(_) => None,
    }
}

/// Whether a server says by this error that it is none to ask now.
pub(super) fn is_refusal(reply: &[u8]) -> bool {
    const WORDS: [&[u8]; 4] = [b"-READONLY", b"-LOADING", b"-MASTERDOWN", b"-CLUSTERDOWN"];
    WORDS.iter().any(|word| reply.starts_with(word))
}

impl Predixy {
    /// Whether somebody replaces primaries that fail.
    #[inline]
    pub(super) fn is_dynamic(&self) -> bool {
        self.topology.is_cluster() || self.topology.has_sentinels
    }

    /// Holds a request back, or answers it with its error where that cannot be.
    pub(super) fn hold(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        mut errand: Errand<Box<[u8]>>,
        error: &'static [u8],
    ) {
        let until = *errand.until.get_or_insert(now.mono + LONGEST);
        let full = self.holding.bytes + errand.bytes.len() > MAX_BYTES;
        if !self.is_dynamic() || full || until <= now.mono {
            return engine.settle(errand.owner, error);
        }
        self.holding.bytes += errand.bytes.len();
        self.holding.requests.push_back(Held { errand, error });
        let again = now.mono + AGAIN;
        self.holding.again_at = Some(self.holding.again_at.map_or(again, |at| at.min(again)));
        // There may be another primary already.
        self.refresh_at = self.refresh_at.min(again);
    }

    /// Tries to send what is held.
    pub(super) fn try_held(&mut self, engine: &mut PredixyEngine, now: Now<'_>) {
        if self.holding.again_at.is_none_or(|at| at > now.mono) {
            return;
        }
        self.holding.again_at = None;
        self.holding.bytes = 0;
        for Held { errand, error } in core::mem::take(&mut self.holding.requests) {
            let Owner::Client { id: client, .. } = errand.owner else { continue };
            if engine.client(client).is_none() {
                continue;
            }
            // What is held again stands in the new queue already.
            if self.holding.holds(client) {
                self.hold(engine, now, errand, error);
            } else {
                let Errand { owner, command, access, to, until, ref bytes } = errand;
                self.send_errand(engine, now, Errand { owner, command, access, to, until, bytes });
            }
        }
    }

    /// What becomes of a request whose connection is lost before it was answered.
    pub(super) fn rescue(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        mut pending: Pending,
        unsent: bool,
        error: &'static [u8],
    ) {
        match self.errand_of(&mut pending) {
            Some(errand) if unsent || errand.access == Access::Read => {
                self.hold(engine, now, errand, error);
            }
            _ => engine.settle(pending.owner, error),
        }
    }

    /// The errand that a request was sent for; `None` if it was not kept.
    pub(super) fn errand_of(&self, pending: &mut Pending) -> Option<Errand<Box<[u8]>>> {
        let access = self.config.commands.get(pending.command)?.mode.access;
        let kept = pending.kept.take()?;
        let to = match self.topology.is_cluster() {
            true => Destination::Slot(Slot::new(kept.place)?),
            false => Destination::Group(kept.place.into()),
        };
        let (owner, command, bytes) = (pending.owner, pending.command, kept.bytes);
        Some(Errand { owner, command, access, to, until: None, bytes })
    }
}
