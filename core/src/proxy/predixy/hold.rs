//! Holds requests while their group has no primary: during a failover, clients notice a latency
//! instead of errors, as long as no command can be executed twice.
//!
//! Requests are held if no server has executed them: there is no server or no connection, they were
//! not sent before the connection was lost, or a server refused them temporarily (READONLY,
//! LOADING, MASTERDOWN, CLUSTERDOWN). Reads are also held if their reply was lost. A write that was
//! sent and not answered may have been executed, so its client gets the error of the original. The
//! requests of a client keep their order: while one is held, so are later ones. Nothing is held for
//! pools with fixed servers, whose primaries are never replaced.

use std::collections::VecDeque;

use super::command::Access;
use super::{ClientId, Owner, Predixy, PredixyEngine};
use crate::proxy::engine::Pending;
use crate::sharding::Slot;
use crate::time::{Duration, Mono, Now};

/// The maximum time for which a request is held. A Sentinel failover with common settings takes
/// less once the primary is known to be down.
pub(super) const MAX_HOLD: Duration = Duration::from_secs(15);

/// The maximum of held requests, in bytes; further requests get their error at once.
const MAX_BYTES: usize = 16 << 20;

/// The interval at which held requests are retried.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Requests that wait for a primary, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct HoldQueue {
    requests: VecDeque<Held>,
    bytes: usize,
    again_at: Option<Mono>,
}

/// A request of a client, or a part of one, with its destination.
#[derive(Clone, Debug)]
pub(super) struct RoutedRequest<B> {
    /// The client's request, or the part of it.
    pub(super) owner: Owner,
    /// The number of the command.
    pub(super) command: u16,
    /// The permission that it requires.
    pub(super) access: Access,
    /// Its destination.
    pub(super) to: Destination,
    /// The time until which it is held; `None` if it was not held yet.
    pub(super) until: Option<Mono>,
    /// The bytes of the request.
    pub(super) bytes: B,
}

/// A held request, and the error for its client if no primary appears.
#[derive(Clone, Debug)]
struct Held {
    routed: RoutedRequest<Box<[u8]>>,
    error: &'static [u8],
}

/// The destination of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// A group.
    Group(usize),
    /// The owner of this slot in a Cluster.
    Slot(Slot),
}

impl Destination {
    /// The number that the engine stores.
    pub(super) fn number(self) -> u16 {
        match self {
            Destination::Group(group) => u16::try_from(group).unwrap_or(u16::MAX),
            Destination::Slot(slot) => slot.number(),
        }
    }
}

impl HoldQueue {
    /// When held requests are retried.
    pub(super) fn timeout(&self) -> Option<Mono> {
        self.again_at
    }

    /// Whether a request of this client is held.
    #[inline]
    pub(super) fn holds(&self, client: ClientId) -> bool {
        // Usually there are none at all.
        self.requests.iter().any(|held| client_of(held.routed.owner) == Some(client))
    }
}

fn client_of(owner: Owner) -> Option<ClientId> {
    match owner {
        Owner::Client { id, .. } => Some(id),
        Owner::Rule(_) => None,
    }
}

/// Whether an error means that the server cannot serve requests now.
pub(super) fn is_refusal(reply: &[u8]) -> bool {
    const WORDS: [&[u8]; 4] = [b"-READONLY", b"-LOADING", b"-MASTERDOWN", b"-CLUSTERDOWN"];
    WORDS.iter().any(|word| reply.starts_with(word))
}

impl Predixy {
    /// Whether failed primaries are replaced.
    #[inline]
    pub(super) fn is_dynamic(&self) -> bool {
        self.topology.is_cluster() || self.topology.has_sentinels
    }

    /// Holds a request, or replies with its error if that is not possible.
    pub(super) fn hold(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        mut routed: RoutedRequest<Box<[u8]>>,
        error: &'static [u8],
    ) {
        let until = *routed.until.get_or_insert(now.mono + MAX_HOLD);
        let full = self.hold_queue.bytes + routed.bytes.len() > MAX_BYTES;
        if !self.is_dynamic() || full || until <= now.mono {
            return engine.deliver_reply(routed.owner, error);
        }
        self.hold_queue.bytes += routed.bytes.len();
        self.hold_queue.requests.push_back(Held { routed, error });
        let again = now.mono + RETRY_INTERVAL;
        self.hold_queue.again_at = Some(self.hold_queue.again_at.map_or(again, |at| at.min(again)));
        // Refresh soon, since there may be a new primary already.
        self.refresh_at = self.refresh_at.min(again);
    }

    /// Retries the held requests.
    pub(super) fn try_held(&mut self, engine: &mut PredixyEngine, now: Now<'_>) {
        if self.hold_queue.again_at.is_none_or(|at| at > now.mono) {
            return;
        }
        self.hold_queue.again_at = None;
        self.hold_queue.bytes = 0;
        for Held { routed, error } in core::mem::take(&mut self.hold_queue.requests) {
            let Owner::Client { id: client, .. } = routed.owner else { continue };
            if engine.client(client).is_none() {
                continue;
            }
            // A request that is held again is in the new queue already.
            if self.hold_queue.holds(client) {
                self.hold(engine, now, routed, error);
            } else {
                let RoutedRequest { owner, command, access, to, until, ref bytes } = routed;
                self.send_routed(
                    engine,
                    now,
                    RoutedRequest { owner, command, access, to, until, bytes },
                );
            }
        }
    }

    /// Decides about a request whose connection was lost before its reply.
    pub(super) fn hold_after_loss(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        mut pending: Pending,
        unsent: bool,
        error: &'static [u8],
    ) {
        match self.routed_from(&mut pending) {
            Some(routed) if unsent || routed.access == Access::Read => {
                self.hold(engine, now, routed, error);
            }
            _ => engine.deliver_reply(pending.owner, error),
        }
    }

    /// The request that was sent to a server; `None` if no copy was kept.
    pub(super) fn routed_from(&self, pending: &mut Pending) -> Option<RoutedRequest<Box<[u8]>>> {
        let access = self.config.commands.get(pending.command)?.mode.access;
        let kept = pending.copy.take()?;
        let to = match self.topology.is_cluster() {
            true => Destination::Slot(Slot::new(kept.place)?),
            false => Destination::Group(kept.place.into()),
        };
        let (owner, command, bytes) = (pending.owner, pending.command, kept.bytes);
        Some(RoutedRequest { owner, command, access, to, until: None, bytes })
    }
}
