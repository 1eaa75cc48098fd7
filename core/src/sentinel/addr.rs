//! Addresses of monitored servers: the host as configured, its IP address, and a port.

use std::net::IpAddr;

use crate::machine::{Address, Endpoint};
use crate::sorted::SortedMap;

/// The address of a master, a replica or a Sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addr {
    /// The host as it was given: a host name, or an IP address.
    pub host: String,
    /// The IP address; `None` for a host name that is not resolved yet.
    pub ip: Option<IpAddr>,
    /// The port; 0 if the address is known to be wrong.
    pub port: u16,
}

/// A cache of resolved host names.
///
/// The driver resolves names when it connects, so entries come from connections that were opened by
/// name.
#[derive(Clone, Debug, Default)]
pub struct HostNames {
    /// Whether host names are allowed (`sentinel resolve-hostnames`).
    pub resolve: bool,
    known: SortedMap<String, IpAddr>,
}

impl HostNames {
    /// The maximum number of cached names.
    const MAX_NAMES: usize = 1_000;

    /// The address of a host. `None` if it is not an IP address and host names are not allowed.
    pub fn addr(&self, host: &str, port: u16) -> Option<Addr> {
        let ip = self.ip(host);
        (ip.is_some() || self.resolve && is_host_name(host)).then(|| Addr {
            host: host.to_owned(),
            ip,
            port,
        })
    }

    /// Caches the IP address of a connection that was opened by name.
    pub fn learn(&mut self, host: &str, ip: IpAddr) {
        if self.known.len() >= Self::MAX_NAMES {
            self.known.clear();
        }
        self.known.insert(host.to_ascii_lowercase(), ip);
    }

    fn ip(&self, host: &str) -> Option<IpAddr> {
        if let Ok(ip) = host.parse() {
            return Some(ip);
        }
        if !self.resolve {
            return None;
        }
        self.known.get(host.to_ascii_lowercase().as_str()).copied()
    }

    /// Whether an address is on this host, which is given by name or IP address.
    pub fn is_at(&self, addr: &Addr, host: &str) -> bool {
        match self.ip(host) {
            Some(ip) => addr.ip == Some(ip) || addr.host.eq_ignore_ascii_case(host),
            None => addr.host.eq_ignore_ascii_case(host),
        }
    }
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

impl Addr {
    /// Whether both addresses are equal, by IP address or by name.
    pub fn same_as(&self, other: &Addr) -> bool {
        self.port == other.port
            && (self.ip.is_some() && self.ip == other.ip
                || self.host.eq_ignore_ascii_case(&other.host))
    }

    /// The host as shown to others: by its name if `names` is set, else by its IP address.
    pub fn announced(&self, names: bool) -> String {
        match self.ip {
            Some(ip) if !names => ip.to_string(),
            _ => self.host.clone(),
        }
    }

    /// The address to connect to.
    pub fn to_connect(&self) -> Address {
        // A name is resolved again for every connection, since its IP address may have changed.
        match self.host.parse::<IpAddr>() {
            Ok(ip) => Address::Endpoint(Endpoint::Ip((ip, self.port).into())),
            Err(_) => Address::Name { host: self.host.clone(), port: self.port },
        }
    }

    /// `host:port`, with brackets around an IPv6 address.
    pub fn with_port(&self, names: bool) -> String {
        let host = self.announced(names);
        match host.contains(':') {
            true => format!("[{host}]:{}", self.port),
            false => format!("{host}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hosts_only_if_that_is_allowed() {
        let mut names = HostNames::default();
        assert_eq!(names.addr("redis-1", 6379), None);
        let ip = names.addr("10.0.0.1", 6379).expect("an address");
        names.resolve = true;
        assert_eq!(names.addr("not a host", 6379), None);
        let named = names.addr("redis-1", 6379).expect("a name");
        assert!(!named.same_as(&ip), "nothing is known about the name");
        names.learn("Redis-1", [10, 0, 0, 1].into());
        let named = names.addr("redis-1", 6379).expect("a name");
        assert!(named.same_as(&ip) && names.is_at(&ip, "REDIS-1"));
        assert_eq!(
            (named.announced(true), named.announced(false)),
            ("redis-1".into(), "10.0.0.1".into())
        );
    }

    #[test]
    fn addresses_are_written_with_their_port() {
        let names = HostNames::default();
        let written = |host: &str| names.addr(host, 1).expect("an address").with_port(false);
        assert_eq!(
            (written("127.0.0.1"), written("::1")),
            ("127.0.0.1:1".into(), "[::1]:1".into())
        );
    }
}
