//! Holding back all requests. Some commands block the whole server in Redis: during SAVE and DEBUG
//! RELOAD no client is served. Here they proceed in slices, so clients must be kept from changing
//! what is being written, and from seeing what is half loaded.

use core::mem;

use super::super::Server;

/// Whether clients are held back, and for how many reasons.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::server) struct Hold {
    reasons: u32,
}

impl Hold {
    /// Whether clients are held back.
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
        // Between the steps of starting there is nothing to serve yet.
        persistence.hold.is_on() || !persistence.ready && persistence.loading.is_none()
    }

    /// Holds all requests back, and queues new ones. Each call needs a matching
    /// [`Server::release_all`].
    pub(in crate::server) fn hold_all(&mut self) {
        self.service.persistence.hold.reasons += 1;
    }

    /// Resumes all clients, unless there is another reason to hold them back.
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
