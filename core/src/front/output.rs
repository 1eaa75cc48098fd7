//! Client output: flushing outboxes, back-pressure, and output limits.

use super::{Client, CloseState, Flush, Front, PeerInput, Service};
use crate::machine::{Close, ConnId, LogLevel, Outbox, Output};
use crate::time::{Duration, Mono, Now};

/// Outbox size in bytes at which no more requests of a client are read, if no configured limit
/// applies to it: the default of `client-query-buffer-limit`. Redis has no such limit.
pub(super) const MAX_UNSENT: usize = 1 << 30;

/// Outbox size in bytes at which a long reply is suspended if the client has no further requests,
/// and the size below which it is continued.
const MAX_LONG_UNSENT: usize = 1 << 20;
const LOW_LONG_UNSENT: usize = 256 << 10;

/// How many bytes of requests a client may pipeline while its next command has to wait.
const MAX_AHEAD: usize = 1 << 20;

impl<S: Service> Front<S> {
    /// Whether a client's outbox is so large that no more of its requests are executed. Not if a
    /// configured limit (`client-output-buffer-limit`, `maxmemory-clients`) will disconnect it.
    #[inline]
    pub(crate) fn is_full(&self, client: &Client<S>) -> bool {
        client.outbox.len() > self.max_unsent && !self.is_limited(client)
    }

    /// Whether a configured limit applies to a client's output.
    fn is_limited(&self, client: &Client<S>) -> bool {
        self.client_memory.is_some() && !client.no_evict
            || S::output_limit(self, client).is_some_and(|limit| limit.hard != 0)
    }

    /// The high-water and low-water marks of a client's outbox, in bytes. A client that has sent
    /// further requests behind a long reply gets all of the reply, as in Redis, so that unread
    /// output counts against the limits of its class and of all clients.
    pub(crate) fn unsent_marks(&self, client: &Client<S>) -> (usize, usize) {
        if client.long.is_some() && client.requests.waiting() == 0 {
            (MAX_LONG_UNSENT, LOW_LONG_UNSENT)
        } else if self.is_limited(client) {
            (usize::MAX, usize::MAX)
        } else {
            (self.max_unsent, self.max_unsent / 2)
        }
    }

    /// Sends a client's output, and closes the connection afterwards if it is to be closed.
    pub(crate) fn flush(&mut self, now: Now<'_>, client: &mut Client<S>) {
        self.flush_as(now, client, Flush::Now);
    }

    /// As [`Front::flush`], for output that the client has not asked for: it may be delayed until
    /// more follows, unless it is large enough to be sent anyway.
    pub(crate) fn flush_soon(&mut self, now: Now<'_>, client: &mut Client<S>) {
        let enough = client.outbox.len() >= Outbox::CHUNK;
        self.flush_as(now, client, if enough { Flush::Now } else { Flush::Soon });
    }

    #[inline]
    fn flush_as(&mut self, now: Now<'_>, client: &mut Client<S>, sending: Flush) {
        if let Some(total) = &mut self.client_memory {
            client.count_memory(total);
        }
        let may_leave = S::may_send(self, now.mono, client);
        if client.close_state == CloseState::AfterReply && client.long.is_none() {
            S::last_flush(self, client);
            self.release(client);
            self.clients.mark_closing(client);
            self.outputs.push_back(Output::Close { conn: client.conn, how: Close::AfterSending });
            return;
        }
        let waiting = client.outbox.len();
        if waiting == 0 && !client.is_replica() {
            client.above_soft_limit_since = None;
            return;
        }
        self.stats.longest_output = self.stats.longest_output.max(waiting);
        client.outbox_peak = client.outbox_peak.max(waiting);
        if may_leave {
            match (client.sending, sending) {
                (Flush::No | Flush::Soon, Flush::Now) => {
                    client.sending = Flush::Now;
                    self.to_send.push_back(client.slot);
                }
                (Flush::No, Flush::Soon) => {
                    client.sending = Flush::Soon;
                    self.to_send_soon.push_back(client.slot);
                }
                _ => {}
            }
        }
        if self.is_too_slow(now.mono, client) {
            let text = super::clients::describe(client, Some(now.mono));
            self.log(LogLevel::Warning, || {
                format!(
                    "Client {text} scheduled to be closed ASAP for overcoming of output buffer \
                     limits."
                )
            });
            self.stats.output_limit_disconnections += 1;
            self.end_long(client);
            client.outbox.clear();
            client.close_state = CloseState::AfterReply;
            self.release(client);
            self.clients.mark_closing(client);
            self.outputs.push_back(Output::Close { conn: client.conn, how: Close::AfterSending });
        }
    }

    /// Stops reading from a client that is too far ahead, and resumes when it no longer is.
    pub(crate) fn apply_back_pressure(&mut self, client: &mut Client<S>) {
        let full = self.is_full(client);
        let held = client.is_held() || S::holds_all(self);
        let ahead = held && client.requests.waiting() > MAX_AHEAD;
        // Without a long reply the only limit is `max_unsent`.
        if client.long.is_some() || client.outbox.len() > self.max_unsent {
            let (most, low) = self.unsent_marks(client);
            if client.outbox.len() > most {
                client.outbox.set_low_water(low);
            }
        }
        let stop = full || ahead;
        if stop != client.not_reading && client.close_state == CloseState::Open {
            client.not_reading = stop;
            self.outputs.push_back(Output::Reading { conn: client.conn, on: !stop });
        }
    }

    /// A client has read most of an outbox that was full.
    pub(crate) fn drained(&mut self, now: Now<'_>, conn: ConnId) {
        let Some(mut client) = self.clients.slot(conn).and_then(|slot| self.clients.take(slot))
        else {
            return S::peer(self, now, conn, PeerInput::Drained);
        };
        S::drained(self, now, &mut client);
        self.serve_and_leave(now, &mut client);
        self.clients.put(client);
    }

    /// Serves a client's pending requests, and closes it afterwards if the peer has ended.
    pub(crate) fn serve_and_leave(&mut self, now: Now<'_>, client: &mut Client<S>) {
        self.serve(now, client, &[]);
        let held = S::holds_all(self) && client.requests.waiting() > 0;
        let busy = client.pending || client.long.is_some() || held;
        if client.ended && !busy && client.close_state == CloseState::Open {
            client.close_state = CloseState::AfterReply;
            self.flush(now, client);
        }
    }

    /// Whether a client's output exceeds the limit of its class.
    pub(crate) fn is_too_slow(&mut self, now: Mono, client: &mut Client<S>) -> bool {
        let Some(limit) = S::output_limit(self, client) else { return false };
        if limit.hard == 0 && limit.soft == 0 {
            client.above_soft_limit_since = None;
            return false;
        }
        let waiting = S::waiting_bytes(self, client);
        // The whole reply counts against the limit, although only a part of it is in the outbox.
        let long = client.long.as_ref().map_or(0, |long| long.whole()) as u64;
        if limit.hard != 0 && waiting.max(long) >= limit.hard {
            return true;
        }
        if limit.soft == 0 || waiting < limit.soft {
            client.above_soft_limit_since = None;
            return false;
        }
        let since = *client.above_soft_limit_since.get_or_insert(now);
        self.watch_outboxes = true;
        now.since(since) > Duration::from_secs(limit.seconds)
    }

    /// Disconnects a client whose query buffer exceeds its limit.
    pub(crate) fn check_query_buffer(&mut self, client: &mut Client<S>) {
        let waiting = client.requests.waiting();
        self.stats.longest_input = self.stats.longest_input.max(waiting);
        let limit = self.settings().client_query_buffer_limit;
        if waiting as u64 > limit && !client.is_primary() && client.close_state == CloseState::Open
        {
            let text = super::clients::describe(client, None);
            self.log(LogLevel::Warning, || {
                format!("Closing client that reached max query buffer length: {text}")
            });
            self.stats.query_limit_disconnections += 1;
            client.requests.clear();
            self.end_long(client);
            client.outbox.clear();
            client.close_state = CloseState::AfterReply;
        }
    }

    /// The next [`Output::Send`] or [`Output::SendSoon`].
    pub(super) fn next_send(&mut self) -> Option<Output> {
        while let Some(slot) = self.to_send.pop_front() {
            if let Some(client) = self.clients.get_mut(slot)
                && client.sending == Flush::Now
            {
                client.sending = Flush::No;
                self.stats.writes += 1;
                return Some(Output::Send { conn: client.conn });
            }
        }
        while let Some(slot) = self.to_send_soon.pop_front() {
            if let Some(client) = self.clients.get_mut(slot)
                && client.sending == Flush::Soon
            {
                client.sending = Flush::No;
                self.stats.writes += 1;
                return Some(Output::SendSoon { conn: client.conn });
            }
        }
        None
    }

    /// Drops the rest of a long reply.
    pub(super) fn end_long(&mut self, client: &mut Client<S>) {
        if let Some(long) = client.long.take() {
            long.end(|copy| S::free_copy(self, copy));
        }
    }
}
