//! Holding back all requests. Some commands block the whole server in Redis: while SAVE writes and
//! DEBUG RELOAD reads, no client is served. Here they go on in slices, so clients have to be kept
//! from changing what is being written, and from seeing what is half read.

use core::mem;

use super::super::Server;

/// Whether clients wait, and for how many reasons.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::server) struct Hold {
    reasons: u32,
}

impl Hold {
    /// Whether clients wait.
    #[inline]
    pub(in crate::server) fn is_on(self) -> bool {
        self.reasons > 0
    }
}

impl Server {
    /// Whether all requests are held back now.
    #[inline]
    pub(in crate::server) fn holds_all(&self) -> bool {
        let persistence = &self.service.persistence;
        // Between the steps of starting there is nothing yet that could be asked for.
        persistence.hold.is_on() || !persistence.ready && persistence.loading.is_none()
    }

    /// Lets all clients wait, with what they ask from now on kept for later. Each call needs one
    /// of [`Server::release_all`].
    pub(in crate::server) fn hold_all(&mut self) {
        self.service.persistence.hold.reasons += 1;
    }

    /// Lets all clients go on, unless there is another reason for them to wait.
    pub(in crate::server) fn release_all(&mut self) {
        let reasons = &mut self.service.persistence.hold.reasons;
        if mem::replace(reasons, reasons.saturating_sub(1)) != 1 {
            return;
        }
        for slot in self.clients.slots() {
            if let Some(client) = self.clients.get_mut(slot)
                && (client.requests.waiting() > 0 || client.ended)
                && !client.pending
            {
                client.pending = true;
                self.pending.push_back(slot);
            }
        }
    }
}
