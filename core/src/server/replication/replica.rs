//! A replica's view of its primary: the link, what is known when it is cut, and how a server
//! becomes a replica and a primary again.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::handshake::{Link, Step};
use super::stream::Stream;
use super::{Replication, StreamId};
use crate::machine::{Address, Close, ConnId, Endpoint, LogLevel, NetError, Output};
use crate::server::Client;
use crate::server::Server;
use crate::time::{Duration, Mono, Now};

/// The primary of this server, and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Primary {
    /// Its host as it was given.
    pub(super) host: String,
    pub(super) port: u16,
    /// The connection, until the stream flows.
    pub(super) link: Option<Box<Link>>,
    /// The stream, once it flows.
    pub(super) stream: Option<Stream>,
    /// Since when it does not flow, if it ever did.
    pub(super) down_since: Option<Mono>,
    /// Since when it is left alone because it sent what this server cannot carry out.
    pub(super) left_at: Option<Mono>,
}

/// Where a stream can be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cached {
    /// Its id.
    pub(super) id: StreamId,
    /// The offset of the last byte that was carried out.
    pub(super) offset: i64,
    /// The database that is selected there.
    pub(super) db: u32,
}

/// What the log says when a primary becomes a replica.
pub(super) const SYNTHESIZED: fn() -> String = || {
    "Before turning into a replica, using my own master parameters to synthesize a cached master: \
     I may be able to synchronize with the new master with just a partial transfer."
        .to_owned()
};

/// What the log says when the connection to a primary is being made.
const STARTED: fn() -> String = || "MASTER <-> REPLICA sync started".to_owned();

impl Primary {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            link: None,
            stream: None,
            down_since: None,
            left_at: None,
        }
    }

    /// Its name in the log.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// How far the way to it has come, as ROLE tells it.
    pub(super) fn state(&self) -> &'static str {
        match (&self.stream, &self.link) {
            (Some(_), _) => "connected",
            (None, None) => "connect",
            (None, Some(link)) => match link.step {
                Step::Connecting => "connecting",
                Step::Transfer(_) => "sync",
                _ => "handshake",
            },
        }
    }
}

impl Replication {
    /// Where our own stream is.
    pub(super) fn here(&self) -> Cached {
        Cached { id: self.id, offset: self.offset, db: self.feed.selected().unwrap_or(0) }
    }

    /// The stream from the primary, if it flows.
    pub(super) fn stream(&self) -> Option<&Stream> {
        self.primary.as_ref()?.stream.as_ref()
    }

    /// The stream from the primary, if it flows.
    pub(super) fn stream_mut(&mut self) -> Option<&mut Stream> {
        self.primary.as_mut()?.stream.as_mut()
    }

    /// The connection to the primary, before the stream flows.
    pub(super) fn link(&self) -> Option<&Link> {
        self.primary.as_ref()?.link.as_deref()
    }

    /// The connection to the primary, before the stream flows.
    pub(super) fn link_mut(&mut self) -> Option<&mut Link> {
        self.primary.as_mut()?.link.as_deref_mut()
    }

    /// Whether the stream from the primary flows.
    pub(in crate::server) fn link_is_up(&self) -> bool {
        self.stream().is_some()
    }

    /// Whether a copy of the data is being received from the primary.
    pub(in crate::server) fn is_syncing(&self) -> bool {
        self.link().is_some_and(|link| matches!(link.step, Step::Transfer(_)))
    }
}

impl Server {
    /// Whether a copy of the data is being received from the primary.
    pub(in crate::server) fn replication_syncs(&self) -> bool {
        self.service.replication.is_syncing()
    }

    /// Takes the role that the configuration names. The connection is made when the server is
    /// ready.
    pub(in crate::server) fn take_role(&mut self) {
        let configured = self.config.settings().replicaof.clone();
        if let Some((host, port)) = configured {
            self.service.replication.primary = Some(Primary::new(&host, port));
        }
        self.role_changed();
    }

    /// Brings up to date what depends on the role.
    fn role_changed(&mut self) {
        self.followers_changed();
        self.rest_expiry();
    }

    /// Makes this server a replica of another, or of yet another.
    pub(super) fn become_replica(&mut self, now: Now<'_>, host: &str, port: u16) {
        let was_primary = !self.service.replication.is_replica();
        // The age of the data goes by the primary before, until the new one has sent something.
        let down_since = self.service.replication.primary.as_ref().and_then(|old| {
            let fed = old.stream.as_ref().map(|_| now.mono);
            fed.or(old.down_since)
        });
        self.leave_primary();
        self.disconnect_blocked(now);
        self.configure_primary(Some((host, port)));
        self.service.replication.primary = Some(Primary { down_since, ..Primary::new(host, port) });
        if was_primary {
            self.discard_cached();
            self.notice(SYNTHESIZED);
            self.service.replication.cached = Some(self.service.replication.here());
        }
        self.role_changed();
        self.adjust_oom_score(None);
        self.notice(|| format!("Connecting to MASTER {host}:{port}"));
        self.connect_to_primary(now);
    }

    /// Makes this server a primary.
    pub(super) fn become_primary(&mut self, now: Now<'_>) {
        if !self.service.replication.is_replica() {
            return;
        }
        self.leave_primary();
        self.discard_cached();
        self.configure_primary(None);
        // Replicas of ours, or of our old primary, may resynchronize partially with the new
        // replication id.
        let replication = &mut self.service.replication;
        (replication.second_id, replication.second_offset) =
            (replication.id, replication.offset + 1);
        replication.id = self.rng.hex40();
        let text = |id: StreamId| String::from_utf8_lossy(&id).into_owned();
        let (old, new) = (text(replication.second_id), text(replication.id));
        let offset = replication.second_offset;
        self.notice(|| {
            format!(
                "Setting secondary replication ID to {old}, valid up to offset: {offset}. New \
                 replication ID is {new}"
            )
        });
        self.disconnect_replicas();
        self.service.replication.feed.reset();
        self.service.replication.no_replicas_since = now.mono;
        self.role_changed();
        self.adjust_oom_score(None);
        self.wake_replication(now.mono);
        self.resume_aof(now);
    }

    /// Parts from the primary, if there is one.
    fn leave_primary(&mut self) {
        let Some(primary) = self.service.replication.primary.take() else { return };
        if let Some(stream) = primary.stream {
            if let Some(client) = self.clients.get(stream.slot) {
                let cached = Cached {
                    id: self.service.replication.id,
                    offset: stream.applied,
                    db: client.state.db as u32,
                };
                self.notice(|| "Connection with master lost.".to_owned());
                self.notice(|| "Caching the disconnected master state.".to_owned());
                self.service.replication.cached = Some(cached);
            }
            self.cut_off(stream.slot);
        }
        if let Some(link) = primary.link {
            self.drop_link(*link);
        }
    }

    /// Forgets where a stream could be gone on with.
    pub(super) fn discard_cached(&mut self) {
        if self.service.replication.cached.take().is_some() {
            self.notice(|| "Discarding previously cached master state.".to_owned());
        }
    }

    /// Puts the primary into the configuration, for CONFIG GET and CONFIG REWRITE.
    fn configure_primary(&mut self, primary: Option<(&str, u16)>) {
        if self.is_clustered() {
            // The cluster decides, and remembers.
            return;
        }
        let text = primary.map(|(host, port)| format!("{host} {port}")).unwrap_or_default();
        std::sync::Arc::make_mut(&mut self.config).replace("replicaof", text.into_bytes());
    }

    /// Connects to the primary.
    pub(super) fn connect_to_primary(&mut self, now: Now<'_>) {
        let Some(primary) = &self.service.replication.primary else { return };
        let (host, port) = (primary.host.clone(), primary.port);
        self.wake_replication(now.mono);
        let to = match address_of_name(&host) {
            Some(ip) => Address::Endpoint(Endpoint::Ip(SocketAddr::new(ip, port))),
            None => Address::Name { host, port },
        };
        let from = self.config.front().bind_source_addr.as_deref().and_then(address_of_name);
        let from = from.map(|ip| Endpoint::Ip(SocketAddr::new(ip, 0)));
        if let Some(primary) = &mut self.service.replication.primary {
            primary.left_at = None;
        }
        let conn = self.new_conn();
        let link = Box::new(Link::new(conn, &to, now.mono));
        let is_sought = link.is_sought;
        if let Some(primary) = &mut self.service.replication.primary {
            primary.link = Some(link);
        }
        self.outputs.push_back(Output::Connect { conn, to, from });
        if !is_sought {
            self.notice(STARTED);
        }
    }

    /// The primary's name means an address, and the connection to it has been begun.
    pub(super) fn begun_to_connect(&mut self, conn: ConnId) {
        let link = self.service.replication.link_mut().filter(|link| link.conn == conn);
        if link.is_some_and(|link| core::mem::take(&mut link.is_sought)) {
            self.notice(STARTED);
        }
    }

    /// The connection to the primary could not be made.
    pub(in crate::server) fn connect_failed(&mut self, conn: ConnId, error: NetError) {
        let ours = self.service.replication.link().is_some_and(|link| link.conn == conn);
        if !ours {
            return;
        }
        if error == NetError::UnknownName {
            self.log(LogLevel::Warning, || format!("Unable to connect to MASTER: {error}"));
        } else {
            self.begun_to_connect(conn);
            self.log(LogLevel::Warning, || format!("Error condition on socket for SYNC: {error}"));
        }
        if let Some(primary) = &mut self.service.replication.primary {
            primary.link = None;
        }
    }

    /// Gives up the connection to the primary before the stream flows, and tries again: at once
    /// if told so, else soon.
    pub(super) fn abandon_link(&mut self, now: Now<'_>, at_once: bool) {
        let Some(primary) = &mut self.service.replication.primary else { return };
        let Some(link) = primary.link.take() else { return };
        let name = primary.name();
        self.drop_link(*link);
        if at_once {
            self.notice(|| format!("Reconnecting to MASTER {name} after failure"));
            self.connect_to_primary(now);
        }
    }

    /// Closes a connection to a primary before the stream flows, and what it had begun.
    pub(super) fn drop_link(&mut self, link: Link) {
        if !link.is_closed {
            self.outputs.push_back(Output::Close { conn: link.conn, how: Close::Now });
        }
        if let Step::Transfer(transfer) = link.step {
            self.drop_transfer(*transfer);
        }
    }

    /// The connection on which the stream came is closed. `broken`: what came on it could not be
    /// understood, so that it cannot be gone on with.
    pub(in crate::server) fn primary_left(&mut self, client: &mut Client) {
        client.state.from_primary = false;
        let Some(primary) = &mut self.service.replication.primary else { return };
        let Some(stream) = primary.stream.take_if(|stream| stream.slot == client.slot) else {
            return;
        };
        primary.down_since = Some(self.now.0);
        let (name, is_left) = (primary.name(), primary.left_at.is_some());
        self.notice(|| "Connection with master lost.".to_owned());
        if !stream.is_broken && !stream.is_old {
            self.notice(|| "Caching the disconnected master state.".to_owned());
            let id = self.service.replication.id;
            let db = client.state.db as u32;
            self.service.replication.cached = Some(Cached { id, offset: stream.applied, db });
        }
        if is_left {
            return;
        }
        self.notice(|| format!("Reconnecting to MASTER {name}"));
        let (mono, wall) = self.now;
        self.connect_to_primary(Now::instantaneous(mono, wall));
    }

    /// Clients that wait for keys or for replicas wait in vain on a replica.
    fn disconnect_blocked(&mut self, now: Now<'_>) {
        for slot in self.clients.slots() {
            let Some(mut client) = self.clients.take(slot) else { continue };
            let text = "UNBLOCKED force unblock from blocking operation, instance state changed \
                        (master -> replica?)";
            if client.state.blocked.is_some() && self.give_up(now, &mut client, Some(text)) {
                client.standing = crate::server::Standing::Closing;
                self.flush(now, &mut client);
            }
            self.clients.put(client);
        }
    }
}

impl Server {
    /// For how long nothing has been heard of the primary; `None` if nothing ever was, or if there
    /// is none.
    pub(in crate::server) fn primary_silence(&self, now: Mono) -> Option<Duration> {
        let primary = self.service.replication.primary.as_ref()?;
        let stream = primary.stream.as_ref().and_then(|stream| self.clients.get(stream.slot));
        let since = stream.map(|client| client.last_heard).or(primary.down_since)?;
        Some(now.since(since))
    }

    /// The cluster makes this server a replica of another, or of the same at another address.
    pub(in crate::server) fn follow_in_cluster(&mut self, now: Now<'_>, host: &str, port: u16) {
        let primary = self.service.replication.primary.as_ref();
        if primary.is_some_and(|primary| primary.host == host && primary.port == port) {
            return;
        }
        self.become_replica(now, host, port);
    }

    /// Makes this server a replica before it has loaded its data. The connection is made when the
    /// server is ready.
    pub(in crate::server) fn resume_as_replica(&mut self, host: &str, port: u16) {
        self.service.replication.primary = Some(Primary::new(host, port));
        self.role_changed();
        self.adjust_oom_score(None);
    }

    /// The cluster makes this server a primary.
    pub(in crate::server) fn lead_in_cluster(&mut self, now: Now<'_>) {
        self.become_primary(now);
    }

    /// Lets writes go on that a manual failover held back.
    pub(in crate::server) fn resume_writes(&mut self, now: Now<'_>) {
        self.pause.end_for(crate::front::PauseReason::Failover);
        self.pause_changed(now.mono);
        self.service.replication.schedule.unpause = true;
        self.wake_replication(now.mono);
    }
}

/// The address that a host's name means, if it is one.
pub(in crate::server) fn address_of_name(host: &str) -> Option<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    host.parse().ok()
}
