//! Periodic tasks, and when they want to run next.

use super::{CloseState, Front, Service};
use crate::front::ClientState;
use crate::machine::LogLevel;
use crate::time::{Duration, Mono, Now, earliest};

/// How many clients with further requests are served in one event-loop iteration.
const TURNS: usize = 16;

/// How often the clients are checked for timeouts and output limits.
const CLIENTS_PERIOD: Duration = Duration::from_secs(1);

impl<S: Service> Front<S> {
    /// Runs the front's periodic tasks that are due. A service with tasks of its own calls the
    /// steps one by one.
    pub(crate) fn cron(&mut self, now: Now<'_>) {
        self.stats.sample(now.mono);
        self.serve_pending(now);
        self.end_pause_if_due(now);
        self.deliver_queued_for_others(now);
        self.watch_clients(now);
        self.begin_shutdown(now);
    }

    /// When [`Front::cron`] has something to do next.
    pub(crate) fn cron_wake(&self) -> Option<Mono> {
        if self.has_pending_requests() {
            return Some(self.now.0);
        }
        earliest([self.clients_due, self.pause.until()])
    }

    /// Whether a client with further requests waits to be served.
    #[inline]
    pub(crate) fn has_pending_requests(&self) -> bool {
        !self.pending.is_empty() && !S::holds_all(self)
    }

    /// Continues serving clients that had more requests than one event-loop iteration executes.
    #[inline]
    pub(crate) fn serve_pending(&mut self, now: Now<'_>) {
        if self.has_pending_requests() {
            self.serve_pending_now(now);
        }
    }

    fn serve_pending_now(&mut self, now: Now<'_>) {
        for _ in 0..TURNS.min(self.pending.len()) {
            let Some(slot) = self.pending.pop_front() else { return };
            let Some(mut client) = self.clients.take(slot) else { continue };
            if !core::mem::take(&mut client.pending) {
                self.clients.put(client);
                continue;
            }
            self.serve_and_leave(now, &mut client);
            self.clients.put(client);
        }
    }

    /// Ends CLIENT PAUSE if it has expired.
    #[inline]
    pub(crate) fn end_pause_if_due(&mut self, now: Now<'_>) {
        if self.pause.until().is_some_and(|until| now.mono >= until) {
            self.end_pause(now);
        }
    }

    /// Closes clients that have exceeded `timeout` or an output limit.
    pub(crate) fn watch_clients(&mut self, now: Now<'_>) {
        let timeout = self.settings().timeout;
        if timeout == 0 && !self.watch_outboxes || self.clients.connected() == 0 {
            self.clients_due = None;
            return;
        }
        match self.clients_due {
            Some(at) if now.mono < at => return,
            Some(_) => {}
            None => {
                self.clients_due = Some(now.mono + CLIENTS_PERIOD);
                return;
            }
        }
        self.clients_due = Some(now.mono + CLIENTS_PERIOD);
        self.watch_outboxes = false;
        for slot in self.clients.slots() {
            let Some(mut client) = self.clients.take(slot) else { continue };
            if client.close_state == CloseState::Open {
                let idle = now.mono.since(client.last_heard).as_secs();
                let waits = client.paused
                    || client.state.is_blocked()
                    || client.subscriptions.is_some()
                    || client.state.kind() != super::ClientKind::Normal;
                if timeout > 0 && idle > timeout && !waits {
                    self.log(LogLevel::Verbose, || "Closing idle client".to_owned());
                    client.close_state = CloseState::AfterReply;
                }
                self.flush(now, &mut client);
            }
            self.clients.put(client);
        }
    }
}
