//! Holding replies back until the writes before them are safe.
//!
//! No reply is sent before everything written before it has been handed to the operating system, so
//! that a killed process loses nothing that it has acknowledged. Usually that has already happened
//! when replies are about to be sent (see `keep_all_unwritten`).
//!
//! With `appendfsync always` no reply is sent before everything written before it is durable:
//! neither the reply to the write, nor any other that could reveal it, nor a replica's
//! acknowledgement to its primary, which WAIT counts.
//! With `everysec` replies are held back when the oldest write that is not durable is two seconds
//! old, so that no more than that can be lost; Redis blocks at that point.

use std::collections::BTreeSet;

use super::{Fsync, Server, State};
use crate::server::{Client, Flush};
use crate::time::{Duration, Mono};

/// The age of the oldest write that is not durable at which `everysec` holds replies back.
const MAX_UNSYNCED_AGE: Duration = Duration::from_secs(2);

/// Clients and replies that wait for an fsync.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    /// When replies start to be held back; `None` if they are not.
    from: Option<Mono>,
    /// Slots of clients with replies that are held back.
    waiting: BTreeSet<u32>,
}

/// Replies of one client that are held back until the log is safe up to a position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    log: u64,
    outbox: u64,
}

impl Server {
    /// Holds a client's new replies back if necessary. True if some of its output may be sent.
    #[inline]
    pub(in crate::server) fn gate_replies(&mut self, now: Mono, client: &mut Client) -> bool {
        let open = self.service.aof.gate.from.is_none_or(|from| now < from);
        if open && client.state.gated.is_empty() {
            if client.outbox.limit().is_some() {
                client.outbox.set_limit(None);
            }
            return client.outbox.ready() > 0;
        }
        self.keep(client);
        client.outbox.ready() > 0
    }

    /// Holds a client's output back until everything in the log so far is safe.
    fn keep(&mut self, client: &mut Client) {
        let outbox = client.outbox.end();
        if client.outbox.limit().is_none() {
            client.outbox.set_limit(Some(outbox - client.outbox.len() as u64));
        }
        let log = self.service.aof.log.end();
        match client.state.gated.back_mut() {
            Some(held) if held.log == log => held.outbox = outbox,
            _ => client.state.gated.push_back(Held { log, outbox }),
        }
        self.service.aof.gate.waiting.insert(client.slot);
    }

    /// Whether replies have to wait for a write that has not reached the operating system. With
    /// `always` they have to wait for the fsync as well.
    #[inline]
    pub(in crate::server) fn is_unwritten(&self) -> bool {
        let log = &self.service.aof.log;
        log.written() < log.end()
            && log.is_open()
            && !log.has_failed()
            && self.config.settings().aof.appendfsync != Fsync::Always
    }

    /// Holds a client's replies back if there are unwritten commands before them.
    pub(in crate::server) fn keep_unwritten(&mut self, client: &mut Client) {
        if self.is_unwritten() {
            self.keep(client);
        }
    }

    /// Holds back all replies that are about to be sent while there are unwritten commands before
    /// them: the driver could not write at once, or an fsync is needed.
    #[cold]
    pub(in crate::server) fn keep_all_unwritten(&mut self) {
        let now = core::mem::take(&mut self.to_send).into_iter().map(|slot| (slot, Flush::Now));
        let soon = core::mem::take(&mut self.to_send_soon).into_iter();
        for (slot, due) in now.chain(soon.map(|slot| (slot, Flush::Soon))) {
            let Some(mut client) = self.clients.take(slot) else { continue };
            if client.sending == due {
                client.sending = Flush::No;
                self.keep_unwritten(&mut client);
                if client.outbox.ready() > 0 {
                    // Its earlier output may be sent.
                    client.sending = Flush::Now;
                    self.to_send.push_back(slot);
                }
            }
            self.clients.put(client);
        }
    }

    /// Recomputes when replies start to be held back.
    pub(super) fn aof_gate_changed(&mut self) {
        let log = &self.service.aof.log;
        self.service.aof.gate.from = match self.config.settings().aof.appendfsync {
            _ if self.service.aof.state == State::Off || log.has_failed() => None,
            Fsync::Always if log.durable(self.skips_fsync()) < log.end() => Some(Mono::ZERO),
            Fsync::Always | Fsync::No => None,
            Fsync::Everysec => log.oldest_volatile().map(|since| since + MAX_UNSYNCED_AGE),
        };
    }

    /// When replies start to be held back, if nothing becomes durable before.
    pub(super) fn gate_closes_at(&self) -> Option<Mono> {
        self.service.aof.gate.from
    }

    /// Whether replies are held back.
    pub(super) fn gate_is_closed(&self, now: Mono) -> bool {
        self.service.aof.gate.from.is_some_and(|from| now >= from)
    }

    /// Releases the replies that promise no more than what is safe.
    pub(super) fn open_gate(&mut self, now: Mono) {
        self.aof_gate_changed();
        if self.service.aof.gate.waiting.is_empty() {
            return;
        }
        let safe = if self.gate_is_closed(now) {
            self.service.aof.log.durable(self.skips_fsync())
        } else if self.is_unwritten() {
            self.service.aof.log.written()
        } else {
            u64::MAX
        };
        let mut still = BTreeSet::new();
        for slot in core::mem::take(&mut self.service.aof.gate.waiting) {
            let Some(client) = self.clients.get_mut(slot) else { continue };
            while let Some(held) = client.state.gated.front().filter(|held| held.log <= safe) {
                client.outbox.set_limit(Some(held.outbox));
                client.state.gated.pop_front();
            }
            if !client.state.gated.is_empty() {
                still.insert(slot);
            }
            if client.outbox.ready() > 0 && client.sending != Flush::Now {
                client.sending = Flush::Now;
                self.to_send.push_back(slot);
            }
        }
        self.service.aof.gate.waiting = still;
    }
}
