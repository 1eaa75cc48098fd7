//! Name resolution on threads of its own, since an answer may take long.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use limpid_core::machine::{ConnId, Endpoint};

use super::mailbox::{Mailbox, Message};

/// A connection that is to be made to a host whose addresses are not known yet, or to the next of
/// them if the one before leads nowhere.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) conn: ConnId,
    port: u16,
    pub(super) from: Option<Endpoint>,
    /// Addresses that were not tried, the next one last.
    left: Vec<IpAddr>,
}

impl Wanted {
    /// Where to try next.
    pub(super) fn next(&mut self) -> Option<Endpoint> {
        self.left.pop().map(|ip| Endpoint::Ip(SocketAddr::new(ip, self.port)))
    }
}

/// Looks names up.
#[derive(Debug)]
pub(super) struct Names {
    mailbox: Arc<Mailbox>,
    /// Names that are being looked up, each once, with the connections that wait for them.
    sought: HashMap<String, Vec<Wanted>>,
    /// Connections that are being made to hosts with more addresses than one.
    trying: HashMap<ConnId, Wanted>,
}

impl Names {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Names { mailbox, sought: HashMap::new(), trying: HashMap::new() }
    }

    /// Looks a name up for a connection. What it means comes by the mailbox. False if the system
    /// has no thread for that.
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

    /// Takes the addresses of a host, none if it is unknown. Returns the connections that waited
    /// for them.
    pub(super) fn found(&mut self, host: &str, mut addresses: Vec<IpAddr>) -> Vec<Wanted> {
        addresses.reverse();
        let mut waited = self.sought.remove(host).unwrap_or_default();
        waited.iter_mut().for_each(|wanted| wanted.left.clone_from(&addresses));
        waited
    }

    /// A connection is being made, and may be tried at another address if that fails.
    pub(super) fn keep(&mut self, wanted: Wanted) {
        if !wanted.left.is_empty() {
            self.trying.insert(wanted.conn, wanted);
        }
    }

    /// The connection stands, has failed, or is not wanted any more. Gives what else could be
    /// tried.
    pub(super) fn take(&mut self, conn: ConnId) -> Option<Wanted> {
        self.trying.remove(&conn)
    }

    /// The connection was cancelled.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.trying.remove(&conn);
        self.sought.values_mut().for_each(|waiting| waiting.retain(|wanted| wanted.conn != conn));
    }
}
