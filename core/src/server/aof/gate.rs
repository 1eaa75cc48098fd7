//! Replies that wait.
//!
//! With `appendfsync always` no reply leaves before everything is durable that was written before
//! it: neither the one to the write, nor any other from which somebody could learn of the write.
//! With `everysec` replies stay when the oldest write that is not durable is two seconds old, so
//! that no more than that can ever be lost; Redis comes to a halt at that point.

use std::collections::BTreeSet;

use super::{Fsync, Server, State};
use crate::server::clients::{Client, Due};
use crate::time::{Duration, Mono};

/// How old the oldest write that is not durable may be before replies stay, with `everysec`.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who waits for the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    /// From when on replies stay; `None` if they may leave.
    from: Option<Mono>,
    /// Slots of clients some of whose replies stay.
    waiting: BTreeSet<u32>,
}

/// Replies of one client that stay until the log is durable up to a position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    log: u64,
    outbox: u64,
}

impl Server {
    /// Keeps a client's new replies if they must wait. True if some of what waits may leave.
    #[inline]
    pub(in crate::server) fn gate_replies(&mut self, now: Mono, client: &mut Client) -> bool {
        // What a replica tells its primary promises nothing about this file.
        let promises = !client.from_primary;
        if !promises || self.aof.gate.from.is_none_or(|from| now < from) {
            if client.gated.is_empty() && client.outbox.limit().is_some() {
                client.outbox.set_limit(None);
            }
            return client.outbox.ready() > 0;
        }
        let outbox = client.outbox.end();
        if client.outbox.limit().is_none() {
            client.outbox.set_limit(Some(outbox - client.outbox.len() as u64));
        }
        let log = self.aof.log.end();
        match client.gated.back_mut() {
            Some(held) if held.log == log => held.outbox = outbox,
            _ => client.gated.push_back(Held { log, outbox }),
        }
        self.aof.gate.waiting.insert(client.slot);
        client.outbox.ready() > 0
    }

    /// Brings up to date from when on replies stay.
    pub(super) fn aof_gate_changed(&mut self) {
        let log = &self.aof.log;
        self.aof.gate.from = match self.config.settings().aof.appendfsync {
            _ if self.aof.state == State::Off || log.has_failed() => None,
            Fsync::Always if log.durable(self.skips_fsync()) < log.end() => Some(Mono::ZERO),
            Fsync::Always | Fsync::No => None,
            Fsync::Everysec => log.oldest_volatile().map(|since| since + PATIENCE),
        };
    }

    /// When replies begin to stay if nothing becomes durable until then.
    pub(super) fn gate_closes_at(&self) -> Option<Mono> {
        self.aof.gate.from
    }

    /// Whether replies stay.
    pub(super) fn gate_is_closed(&self, now: Mono) -> bool {
        self.aof.gate.from.is_some_and(|from| now >= from)
    }

    /// Lets go what promises no more than is durable.
    pub(super) fn open_gate(&mut self, now: Mono) {
        self.aof_gate_changed();
        if self.aof.gate.waiting.is_empty() {
            return;
        }
        let durable = if self.gate_is_closed(now) {
            self.aof.log.durable(self.skips_fsync())
        } else {
            u64::MAX
        };
        let mut still = BTreeSet::new();
        for slot in core::mem::take(&mut self.aof.gate.waiting) {
            let Some(client) = self.clients.get_mut(slot) else { continue };
            while let Some(held) = client.gated.front().filter(|held| held.log <= durable) {
                client.outbox.set_limit(Some(held.outbox));
                client.gated.pop_front();
            }
            if !client.gated.is_empty() {
                still.insert(slot);
            }
            if client.outbox.ready() > 0 && client.sending != Due::Now {
                client.sending = Due::Now;
                self.to_send.push_back(slot);
            }
        }
        self.aof.gate.waiting = still;
    }
}
