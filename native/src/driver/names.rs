//! Name resolution on threads of its own, since a lookup may block for long.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use limpid_core::machine::{ConnId, Endpoint};

use super::mailbox::{Mailbox, Message};

/// An outgoing connection to a host name: it waits for the host's addresses, and tries one after
/// the other.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) conn: ConnId,
    port: u16,
    pub(super) from: Option<Endpoint>,
    /// Addresses that have not been tried, the next one last.
    left: Vec<IpAddr>,
}

impl Wanted {
    /// Takes the next address to try.
    pub(super) fn next(&mut self) -> Option<Endpoint> {
        self.left.pop().map(|ip| Endpoint::Ip(SocketAddr::new(ip, self.port)))
    }
}

/// The resolver of host names.
#[derive(Debug)]
pub(super) struct Names {
    mailbox: Arc<Mailbox>,
    /// Lookups in flight, one for each name, with the connections that wait for them.
    sought: HashMap<String, Vec<Wanted>>,
    /// Connections that are being established and have further addresses to try.
    trying: HashMap<ConnId, Wanted>,
}

impl Names {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Names { mailbox, sought: HashMap::new(), trying: HashMap::new() }
    }

    /// Looks a name up for a connection. The result arrives by the mailbox. False if no thread
    /// could be started.
    pub(super) fn look_up(
        &mut self,
        conn: ConnId,
        host: &str,
        port: u16,
        from: Option<Endpoint>,
    ) -> bool {
        let wanted = Wanted { conn, port, from, left: Vec::new() };
        if let Some(waiting) = self.sought.get_mut(host) {
            waiting.push(wanted);
            return true;
        }
        let (name, mailbox) = (host.to_owned(), self.mailbox.clone());
        let thread = std::thread::Builder::new().name("name".to_owned()).spawn(move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            let addresses = found.map(|all| all.map(|one| one.ip()).collect()).unwrap_or_default();
            mailbox.put([Message::Name(name, addresses)]);
        });
        if thread.is_ok() {
            self.sought.insert(host.to_owned(), vec![wanted]);
        }
        thread.is_ok()
    }

    /// Takes the result of a lookup: the addresses of a host, none if it is unknown. Returns the
    /// connections that waited for it.
    pub(super) fn found(&mut self, host: &str, mut addresses: Vec<IpAddr>) -> Vec<Wanted> {
        addresses.reverse();
        let mut waited = self.sought.remove(host).unwrap_or_default();
        waited.iter_mut().for_each(|wanted| wanted.left.clone_from(&addresses));
        waited
    }

    /// Keeps the other addresses of a connection that is being established, in case it fails.
    pub(super) fn keep(&mut self, wanted: Wanted) {
        if !wanted.left.is_empty() {
            self.trying.insert(wanted.conn, wanted);
        }
    }

    /// Removes a connection that was established, has failed, or is not wanted any more. Returns it
    /// with the addresses that are left to try.
    pub(super) fn take(&mut self, conn: ConnId) -> Option<Wanted> {
        self.trying.remove(&conn)
    }

    /// Forgets a connection that was cancelled.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.trying.remove(&conn);
        self.sought.values_mut().for_each(|waiting| waiting.retain(|wanted| wanted.conn != conn));
    }
}
