//! The state of a pool: its servers, their connections, and ejection.

use std::collections::VecDeque;

use super::config::Pool;
use super::{LinkData, Nutcracker, sent};
use crate::machine::NetError;
use crate::proxy::engine::{ClosedLink, LinkError, LinkId, Owner};
use crate::proxy::request::write;
use crate::sharding::Sharding;
use crate::time::{Mono, Now, Wall};

/// The state of a pool.
#[derive(Clone, Debug)]
pub(super) struct PoolState {
    pub(super) config: Pool,
    pub(super) sharding: Sharding,
    /// In the order of the configuration.
    pub(super) servers: Vec<Server>,
    /// Number of servers that are not ejected.
    live: usize,
    /// When the first ejected server is tried again.
    next_rebuild: Option<Mono>,
    /// Whether it was removed from the configuration.
    pub(super) leaving: bool,
    pub(super) client_eof: u64,
    pub(super) client_err: u64,
    pub(super) client_connections: u64,
    pub(super) server_ejects: u64,
    pub(super) forward_error: u64,
    pub(super) fragments: u64,
}

/// The state of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    /// Its connections; the least recently used one comes first.
    pub(super) links: VecDeque<LinkId>,
    /// Number of failures since the last successful reply.
    failures: u32,
    /// Until when it is ejected.
    ejected_until: Option<Mono>,
    pub(super) counters: Counters,
}

/// The counters of a server for the statistics.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub(super) eof: u64,
    pub(super) err: u64,
    pub(super) timedout: u64,
    pub(super) connections: u64,
    pub(super) ejected_at: Option<Wall>,
    pub(super) requests: u64,
    pub(super) request_bytes: u64,
    pub(super) responses: u64,
    pub(super) response_bytes: u64,
}

impl Server {
    /// Handles a successful reply.
    #[inline]
    pub(super) fn replied(&mut self, bytes: usize) {
        self.failures = 0;
        self.counters.responses += 1;
        self.counters.response_bytes += bytes as u64;
    }

    /// Whether it is ejected.
    pub(super) fn is_ejected(&self) -> bool {
        self.ejected_until.is_some()
    }
}

impl PoolState {
    pub(super) fn new(config: Pool) -> PoolState {
        PoolState {
            sharding: config.sharding(),
            servers: vec![Server::default(); config.servers.len()],
            live: config.servers.len(),
            next_rebuild: None,
            leaving: false,
            client_eof: 0,
            client_err: 0,
            client_connections: 0,
            server_ejects: 0,
            forward_error: 0,
            fragments: 0,
            config,
        }
    }

    /// Readmits servers whose ejection is over. False if all servers are ejected.
    #[inline]
    pub(super) fn update(&mut self, now: Now<'_>) -> bool {
        match self.next_rebuild {
            None => true,
            Some(at) if now.mono <= at => self.live > 0,
            Some(_) => {
                self.rebuild(now.mono);
                true
            }
        }
    }

    /// Distributes the keys over the servers that are not ejected.
    fn rebuild(&mut self, now: Mono) {
        for server in &mut self.servers {
            if server.ejected_until.is_some_and(|until| until < now) {
                server.ejected_until = None;
            }
        }
        self.live = self.servers.iter().filter(|server| !server.is_ejected()).count();
        self.next_rebuild = self.servers.iter().filter_map(|server| server.ejected_until).min();
        if self.live > 0 {
            let servers = &self.servers;
            self.sharding.spread(|i| servers.get(i).is_some_and(|server| !server.is_ejected()));
        }
    }

    /// A connection to a server, and whether it is new: the least recently used one, or a new one
    /// as long as fewer than allowed exist.
    #[inline]
    pub(super) fn link(
        &mut self,
        engine: &mut Nutcracker,
        now: Now<'_>,
        pool: usize,
        server: usize,
    ) -> Option<(LinkId, bool)> {
        let most = self.config.server_connections;
        let links = &mut self.servers.get_mut(server)?.links;
        if links.len() >= most {
            if most > 1 {
                links.rotate_left(1);
            }
            return links.back().map(|link| (*link, false));
        }
        let link = self.open(engine, now, pool, server)?;
        self.servers.get_mut(server)?.links.push_back(link);
        Some((link, true))
    }

    fn open(
        &self,
        engine: &mut Nutcracker,
        now: Now<'_>,
        pool: usize,
        server: usize,
    ) -> Option<LinkId> {
        let to = self.config.servers.get(server)?.address.clone();
        let data = LinkData { pool, server: Some(server) };
        let link = engine.open(to, self.config.timeout, data);
        let mut send = |command, args: [&[u8]; 2]| {
            let mut request = Vec::new();
            write(&mut request, args);
            engine.send(now.mono, link, Owner::Rule(0), command, [&request]);
        };
        if let Some(password) = &self.config.redis_auth {
            send(sent::AUTH, [b"AUTH", password.as_bytes()]);
        }
        if self.config.redis_db > 0 {
            send(sent::SELECT, [b"SELECT", self.config.redis_db.to_string().as_bytes()]);
        }
        Some(link)
    }

    /// Counts a request to a server.
    #[inline]
    pub(super) fn requested(&mut self, server: usize, bytes: usize) {
        if let Some(server) = self.servers.get_mut(server) {
            server.counters.requests += 1;
            server.counters.request_bytes += bytes as u64;
        }
    }

    /// Counts a lost connection as a failure of its server.
    pub(super) fn failed(
        &mut self,
        engine: &mut Nutcracker,
        now: Now<'_>,
        index: usize,
        gone: &ClosedLink<LinkData>,
        why: LinkError,
    ) {
        let Some(server) = self.servers.get_mut(index) else { return };
        server.links.retain(|link| *link != gone.id);
        if gone.up {
            server.counters.connections = server.counters.connections.saturating_sub(1);
        }
        match why {
            LinkError::Net(NetError::Eof) => server.counters.eof += 1,
            LinkError::TimedOut | LinkError::Net(NetError::TimedOut) => {
                server.counters.timedout += 1
            }
            LinkError::Net(_) | LinkError::Malformed | LinkError::Unfit => server.counters.err += 1,
        }
        if !self.config.auto_eject_hosts {
            return;
        }
        server.failures += 1;
        if server.failures < self.config.server_failure_limit {
            return;
        }
        server.failures = 0;
        server.counters.ejected_at = Some(now.wall);
        server.ejected_until = Some(now.mono + self.config.server_retry_timeout);
        self.server_ejects += 1;
        self.rebuild(now.mono);
        let name = self.config.servers.get(index).map_or("", |server| &server.name);
        let text = format!(
            "update pool '{}' to delete server '{name}' for next {} secs",
            self.config.name,
            self.config.server_retry_timeout.as_secs()
        );
        engine.log(crate::machine::LogLevel::Verbose, text);
    }

    /// Applies a changed configuration.
    pub(super) fn apply_config(&mut self, engine: &mut Nutcracker, pool: usize, new: Pool) {
        let old = core::mem::replace(&mut self.config, new);
        let mut servers = core::mem::take(&mut self.servers);
        let same_link = old.redis_auth == self.config.redis_auth
            && old.redis_db == self.config.redis_db
            && old.timeout == self.config.timeout;
        let mut places = vec![None; servers.len()];
        for (place, wanted) in self.config.servers.iter().enumerate() {
            let known = old.servers.iter().position(|known| {
                known.name == wanted.name && known.address == wanted.address && same_link
            });
            let known = known.filter(|_| same_link);
            self.servers.push(match known.and_then(|i| Some((i, servers.get_mut(i)?))) {
                Some((i, server)) => {
                    if let Some(entry) = places.get_mut(i) {
                        *entry = Some(place);
                    }
                    core::mem::take(server)
                }
                None => Server::default(),
            });
        }
        self.sharding = self.config.sharding();
        // An ejected server stays ejected until its retry time.
        self.live = self.servers.iter().filter(|server| !server.is_ejected()).count();
        self.next_rebuild = self.servers.iter().filter_map(|server| server.ejected_until).min();
        if self.live > 0 {
            let servers = &self.servers;
            self.sharding.spread(|i| servers.get(i).is_some_and(|server| !server.is_ejected()));
        }
        self.place_links(engine, pool, |server| places.get(server).copied().flatten());
    }

    /// Closes all connections once their pending requests are answered.
    pub(super) fn retire_all(&mut self, engine: &mut Nutcracker, pool: usize) {
        for server in &mut self.servers {
            server.links.clear();
        }
        self.place_links(engine, pool, |_| None);
    }

    /// Updates the server indices of connections. Those whose server was removed are closed once
    /// their pending requests are answered.
    fn place_links(
        &mut self,
        engine: &mut Nutcracker,
        pool: usize,
        place: impl Fn(usize) -> Option<usize>,
    ) {
        let mut idle = Vec::new();
        for link in engine.links_mut().filter(|link| link.data.pool == pool) {
            let Some(server) = link.data.server else { continue };
            link.data.server = place(server);
            if link.data.server.is_none() && link.pending().len() == 0 {
                idle.push(link.id);
            }
        }
        for link in idle {
            engine.close(link);
        }
    }

    /// Closes a connection of a removed server, if it has no pending requests.
    pub(super) fn close_idle(&self, engine: &mut Nutcracker, link: LinkId) {
        if engine.link(link).is_some_and(|link| link.pending().len() == 0) {
            engine.close(link);
        }
    }
}
