//! Listeners: those of the configuration, and replacing them on CONFIG SET port or bind.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::config::Change;
use super::{Front, Purpose, Service};
use crate::machine::{Endpoint, ListenerId, LogLevel, NetError, Output};
use crate::sorted::SortedMap;
use crate::time::Now;

/// All listeners, open or requested.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listeners {
    all: SortedMap<ListenerId, Listener>,
    last: u32,
    ready: bool,
}

/// A listener that the configuration asks for.
struct Wanted {
    at: Endpoint,
    /// Whether the program starts without it.
    optional: bool,
    purpose: Purpose,
}

#[derive(Clone, Debug)]
struct Listener {
    at: Endpoint,
    purpose: Purpose,
    /// Whether the program starts without it.
    optional: bool,
    /// The actual address, once it is open.
    open: Option<Endpoint>,
    answered: bool,
    /// Whether it belongs to a CONFIG SET that has not completed.
    new: bool,
    /// Whether it is closed when that CONFIG SET succeeds.
    retiring: bool,
}

impl<S: Service> Front<S> {
    /// The purpose of the open listener at this address.
    pub fn purpose_of(&self, at: &Endpoint) -> Option<Purpose> {
        let is_there = |open: &Endpoint| match (open, at) {
            (Endpoint::Ip(open), Endpoint::Ip(at)) => open.port() == at.port(),
            (Endpoint::Unix(open), Endpoint::Unix(at)) => open == at,
            _ => false,
        };
        let mut all = self.listeners.all.values();
        all.find(|listener| listener.open.as_ref().is_some_and(is_there)).map(|l| l.purpose)
    }
}

impl Listeners {
    /// Whether this is a Unix socket.
    pub(crate) fn is_unix(&self, id: ListenerId) -> bool {
        self.all.get(&id).is_some_and(|l| matches!(l.at, Endpoint::Unix(_)))
    }

    /// The purpose of connections accepted by a listener.
    pub(crate) fn purpose(&self, id: ListenerId) -> Purpose {
        self.all.get(&id).map_or(Purpose::Clients, |l| l.purpose)
    }

    /// The addresses of the open listeners for clients.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Endpoint> {
        let clients = self.all.values().filter(|l| l.purpose == Purpose::Clients);
        clients.filter_map(|l| l.open.as_ref())
    }
}

impl<S: Service> Front<S> {
    /// Opens all listeners of the configuration.
    pub(crate) fn listen(&mut self) {
        // No connection is accepted before the users have been loaded.
        if !self.users_are_ready() {
            return;
        }
        let wanted = match self.wanted_listeners() {
            Ok(wanted) => wanted,
            Err((name, port)) => {
                self.log(LogLevel::Warning, || {
                    format!(
                        "Could not create server TCP listening socket {name}:{port}: Name or \
                         service not known"
                    )
                });
                return self.abort_listening(port);
            }
        };
        if wanted.is_empty() {
            self.log(LogLevel::Warning, || {
                "Configured to not listen anywhere, exiting.".to_owned()
            });
            return self.exit(1);
        }
        for listener in wanted {
            self.listen_at(listener);
        }
    }

    /// The listeners of the configuration: every address of `bind` with every port of the service,
    /// and the Unix socket. The error is an address that cannot be parsed, with its port.
    fn wanted_listeners(&self) -> Result<Vec<Wanted>, (String, u16)> {
        let settings = self.config.front();
        let mut wanted = Vec::new();
        for (purpose, port) in S::ports(&self.config) {
            for address in settings.bind.iter().filter(|_| port != 0) {
                let optional = address.starts_with('-');
                let name = address.strip_prefix('-').unwrap_or(address);
                match bind_address(name) {
                    Some(ip) => {
                        let at = Endpoint::Ip(SocketAddr::new(ip, port));
                        wanted.push(Wanted { at, optional, purpose });
                    }
                    None if optional => {}
                    None => return Err((name.to_owned(), port)),
                }
            }
        }
        if let Some(path) = &settings.unixsocket {
            let at = Endpoint::Unix(path.clone());
            wanted.push(Wanted { at, optional: false, purpose: Purpose::Clients });
        }
        Ok(wanted)
    }

    fn listen_at(&mut self, Wanted { at, optional, purpose }: Wanted) {
        self.listeners.last += 1;
        let listener = ListenerId(self.listeners.last);
        let new = self.relisten.is_some();
        let entry = Listener {
            at: at.clone(),
            purpose,
            optional,
            open: None,
            answered: false,
            new,
            retiring: false,
        };
        self.listeners.all.insert(listener, entry);
        let backlog = self.settings().tcp_backlog;
        self.outputs.push_back(Output::Listen { listener, at, backlog });
    }

    /// Replaces the listeners after a configuration change. Those that both configurations have
    /// stay open. False if there is nothing to wait for.
    pub(crate) fn replace_listeners(&mut self, change: &Change<S::Schema>) -> bool {
        // The addresses have been checked before.
        let mut wanted = self.wanted_listeners().unwrap_or_default();
        for listener in self.listeners.all.values_mut() {
            listener.retiring = !wanted.iter().any(|wanted| wanted.at == listener.at);
        }
        wanted.retain(|wanted| !self.listeners.all.values().any(|l| l.at == wanted.at));
        if wanted.is_empty() {
            self.retire();
            return false;
        }
        self.relisten = Some(change.clone());
        for listener in wanted {
            self.listen_at(listener);
        }
        true
    }

    /// Closes the listeners that are no longer wanted.
    fn retire(&mut self) {
        let all = &mut self.listeners.all;
        let gone: Vec<ListenerId> =
            all.iter().filter(|(_, l)| l.retiring).map(|(id, _)| *id).collect();
        for listener in gone {
            all.remove(&listener);
            self.outputs.push_back(Output::Unlisten { listener });
        }
        for listener in all.values_mut() {
            (listener.retiring, listener.new) = (false, false);
        }
    }

    /// Completes a CONFIG SET when all its listeners have answered.
    fn finish_relisten(&mut self, now: Now<'_>, failed: bool) {
        let all = &mut self.listeners.all;
        if !failed && !all.values().all(|l| l.answered) {
            return;
        }
        let Some(change) = self.relisten.take() else { return };
        if failed {
            // After a failure the new listeners are closed instead of the old ones.
            all.values_mut().for_each(|l| l.retiring = l.new);
        }
        self.retire();
        let result = if failed {
            Err(match change.waits {
                "port" => "Unable to listen on this port. Check server logs.".to_owned(),
                _ => "Failed to bind to specified addresses.".to_owned(),
            })
        } else {
            Ok(())
        };
        self.listeners_or_directory_changed(now, change, result);
    }

    pub(crate) fn listening(
        &mut self,
        now: Now<'_>,
        id: ListenerId,
        result: Result<Endpoint, NetError>,
    ) {
        let Some(listener) = self.listeners.all.get_mut(&id) else { return };
        listener.answered = true;
        match result {
            Ok(at) => listener.open = Some(at),
            Err(error) => {
                let Listener { at, purpose, optional, .. } = listener.clone();
                self.listeners.all.remove(&id);
                let missing = matches!(error, NetError::AddrNotAvailable | NetError::Unreachable);
                if !(optional && missing) {
                    if self.relisten.is_some() {
                        self.log(LogLevel::Warning, || {
                            format!("Could not create server TCP listening socket {at}: {error}")
                        });
                        return self.finish_relisten(now, true);
                    }
                    return self.listen_failed(&at, purpose, error);
                }
            }
        }
        if self.relisten.is_some() {
            return self.finish_relisten(now, false);
        }
        let all = &self.listeners.all;
        if self.listeners.ready || !all.values().all(|l| l.answered) {
            return;
        }
        self.listeners.ready = true;
        if all.is_empty() {
            let port = self.config.front().port;
            return self.abort_listening(port);
        }
        S::listening(self, now);
    }

    /// Logs that clients can connect.
    pub(crate) fn announce_ready(&mut self) {
        let all = &self.listeners.all;
        let clients = || all.values().filter(|l| l.purpose == Purpose::Clients);
        let tcp = clients().any(|l| matches!(l.at, Endpoint::Ip(_)));
        let unix = clients().any(|l| matches!(l.at, Endpoint::Unix(_)));
        if tcp {
            self.notice(|| "Ready to accept connections tcp".to_owned());
        }
        if unix {
            self.notice(|| "Ready to accept connections unix".to_owned());
        }
    }

    fn listen_failed(&mut self, at: &Endpoint, purpose: Purpose, error: NetError) {
        match at {
            Endpoint::Ip(address) => {
                let (ip, port) = (bind_name(address.ip()), address.port());
                self.log(LogLevel::Warning, || {
                    format!(
                        "Could not create server TCP listening socket {ip}:{port}: bind: {error}"
                    )
                });
                // The only service port that Redis names in this line is the cluster bus.
                if purpose != Purpose::Clients {
                    self.log(LogLevel::Warning, || {
                        format!("Failed listening on port {port} (cluster), aborting.")
                    });
                    return self.exit(1);
                }
                self.abort_listening(port);
            }
            Endpoint::Unix(_) => {
                self.log(LogLevel::Warning, || {
                    format!("Failed opening Unix socket: bind: {error}")
                });
                self.exit(1);
            }
        }
    }

    fn abort_listening(&mut self, port: u16) {
        self.log(LogLevel::Warning, || format!("Failed listening on port {port} (tcp), aborting."));
        self.exit(1);
    }
}

/// Parses an address of `bind`.
pub(crate) fn bind_address(name: &str) -> Option<IpAddr> {
    match name {
        "*" => Some(Ipv4Addr::UNSPECIFIED.into()),
        "::*" => Some(Ipv6Addr::UNSPECIFIED.into()),
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        _ => name.parse().ok(),
    }
}

/// An address in the syntax of `bind`.
pub(crate) fn bind_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => "*".to_owned(),
        IpAddr::V6(v6) if v6.is_unspecified() => "::*".to_owned(),
        ip => ip.to_string(),
    }
}
