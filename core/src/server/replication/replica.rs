//! A replica's view of its primary: the link, the position cached when it is lost, and how a server
//! becomes a replica or a primary.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::handshake::{Link, Step};
use super::stream::Stream;
use super::{Replication, StreamId};
use crate::machine::{Address, Close, ConnId, Endpoint, LogLevel, NetError, Output};
use crate::server::Client;
use crate::server::Server;
use crate::time::{Duration, Mono, Now};

/// The primary of this server, and the connection to it.
#[derive(Clone, Debug)]
pub(super) struct Primary {
    /// The host as it was configured.
    pub(super) host: String,
    pub(super) port: u16,
    /// The connection, until the stream starts.
    pub(super) link: Option<Box<Link>>,
    /// The stream, once it has started.
    pub(super) stream: Option<Stream>,
    /// Since when the link has been down, if it ever was up.
    pub(super) down_since: Option<Mono>,
    /// Since when it has been left alone, because it sent a command that this server does not know.
    pub(super) left_at: Option<Mono>,
}

/// The position from which a stream can be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cached {
    /// The replication id.
    pub(super) id: StreamId,
    /// The offset of the last byte that was executed.
    pub(super) offset: i64,
    /// The database selected there.
    pub(super) db: u32,
}

/// The log line when a primary becomes a replica.
pub(super) const SYNTHESIZED: fn() -> String = || {
    "Before turning into a replica, using my own master parameters to synthesize a cached master: \
     I may be able to synchronize with the new master with just a partial transfer."
        .to_owned()
};

/// The log line when the connection to a primary is being established.
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

    /// The name in the log.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The state of the link, as in ROLE.
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
    /// The position of this server's own stream.
    pub(super) fn here(&self) -> Cached {
        Cached { id: self.id, offset: self.offset, db: self.feed.selected().unwrap_or(0) }
    }

    /// The stream from the primary, if it has started.
    pub(super) fn stream(&self) -> Option<&Stream> {
        self.primary.as_ref()?.stream.as_ref()
    }

    /// The stream from the primary, if it has started.
    pub(super) fn stream_mut(&mut self) -> Option<&mut Stream> {
        self.primary.as_mut()?.stream.as_mut()
    }

    /// The connection to the primary, before the stream starts.
    pub(super) fn link(&self) -> Option<&Link> {
        self.primary.as_ref()?.link.as_deref()
    }

    /// The connection to the primary, before the stream starts.
    pub(super) fn link_mut(&mut self) -> Option<&mut Link> {
        self.primary.as_mut()?.link.as_deref_mut()
    }

    /// Whether the stream from the primary has started.
    pub(in crate::server) fn link_is_up(&self) -> bool {
        self.stream().is_some()
    }

    /// Whether a full sync is being received from the primary.
    pub(in crate::server) fn is_syncing(&self) -> bool {
        self.link().is_some_and(|link| matches!(link.step, Step::Transfer(_)))
    }
}

impl Server {
    /// Whether a full sync is being received from the primary.
    pub(in crate::server) fn replication_syncs(&self) -> bool {
        self.service.replication.is_syncing()
    }

    /// Takes the role in the configuration. The connection is made when the server is ready.
    pub(in crate::server) fn apply_configured_role(&mut self) {
        let configured = self.config.settings().replicaof.clone();
        if let Some((host, port)) = configured {
            self.service.replication.primary = Some(Primary::new(&host, port));
        }
        self.role_changed();
    }

    /// Updates what depends on the role.
    fn role_changed(&mut self) {
        self.followers_changed();
        self.update_expire_mode();
    }

    /// Makes this server a replica, or a replica of another primary.
    pub(super) fn become_replica(&mut self, now: Now<'_>, host: &str, port: u16) {
        let was_primary = !self.service.replication.is_replica();
        // The age of the data is still relative to the previous primary, until the new one has sent
        // something.
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

    /// Disconnects from the primary, if there is one.
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

    /// Drops the cached position of a stream.
    pub(super) fn discard_cached(&mut self) {
        if self.service.replication.cached.take().is_some() {
            self.notice(|| "Discarding previously cached master state.".to_owned());
        }
    }

    /// Writes the primary into the configuration, for CONFIG GET and CONFIG REWRITE.
    fn configure_primary(&mut self, primary: Option<(&str, u16)>) {
        if self.is_clustered() {
            // In a cluster, `nodes.conf` has it instead.
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
        let is_resolving = link.is_resolving;
        if let Some(primary) = &mut self.service.replication.primary {
            primary.link = Some(link);
        }
        self.outputs.push_back(Output::Connect { conn, to, from });
        if !is_resolving {
            self.notice(STARTED);
        }
    }

    /// The primary's host name has been resolved, and connecting has begun.
    pub(super) fn connecting_to_primary(&mut self, conn: ConnId) {
        let link = self.service.replication.link_mut().filter(|link| link.conn == conn);
        if link.is_some_and(|link| core::mem::take(&mut link.is_resolving)) {
            self.notice(STARTED);
        }
    }

    /// The connection to the primary could not be established.
    pub(in crate::server) fn connect_failed(&mut self, conn: ConnId, error: NetError) {
        let ours = self.service.replication.link().is_some_and(|link| link.conn == conn);
        if !ours {
            return;
        }
        if error == NetError::UnknownName {
            self.log(LogLevel::Warning, || format!("Unable to connect to MASTER: {error}"));
        } else {
            self.connecting_to_primary(conn);
            self.log(LogLevel::Warning, || format!("Error condition on socket for SYNC: {error}"));
        }
        if let Some(primary) = &mut self.service.replication.primary {
            primary.link = None;
        }
    }

    /// Closes the connection to the primary before the stream has started, and reconnects: at once
    /// if requested, else soon.
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

    /// Closes a connection to a primary before the stream has started, and aborts its full sync.
    pub(super) fn drop_link(&mut self, link: Link) {
        if !link.is_closed {
            self.outputs.push_back(Output::Close { conn: link.conn, how: Close::Now });
        }
        if let Step::Transfer(transfer) = link.step {
            self.drop_transfer(*transfer);
        }
    }

    /// The connection of the replication stream was closed. The position is cached, unless the
    /// stream was invalid.
    pub(in crate::server) fn primary_disconnected(&mut self, client: &mut Client) {
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

    /// Disconnects clients that are blocked on keys or replicas, which a replica cannot serve.
    fn disconnect_blocked(&mut self, now: Now<'_>) {
        for slot in self.clients.slots() {
            let Some(mut client) = self.clients.take(slot) else { continue };
            let text = "UNBLOCKED force unblock from blocking operation, instance state changed \
                        (master -> replica?)";
            if client.state.blocked.is_some() && self.give_up(now, &mut client, Some(text)) {
                client.close_state = crate::server::CloseState::AfterReply;
                self.flush(now, &mut client);
            }
            self.clients.put(client);
        }
    }
}

impl Server {
    /// Time since the primary last sent anything; `None` if it never did, or there is none.
    pub(in crate::server) fn time_since_primary(&self, now: Mono) -> Option<Duration> {
        let primary = self.service.replication.primary.as_ref()?;
        let stream = primary.stream.as_ref().and_then(|stream| self.clients.get(stream.slot));
        let since = stream.map(|client| client.last_heard).or(primary.down_since)?;
        Some(now.since(since))
    }

    /// The cluster makes this server a replica of another primary, or of the same one at another
    /// address.
    pub(in crate::server) fn become_replica_in_cluster(
        &mut self,
        now: Now<'_>,
        host: &str,
        port: u16,
    ) {
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
    pub(in crate::server) fn become_primary_in_cluster(&mut self, now: Now<'_>) {
        self.become_primary(now);
    }

    /// Resumes the writes that a manual failover has paused.
    pub(in crate::server) fn resume_writes(&mut self, now: Now<'_>) {
        self.pause.end_for(crate::front::PauseReason::Failover);
        self.pause_changed(now.mono);
        self.service.replication.schedule.unpause = true;
        self.wake_replication(now.mono);
    }
}

/// Parses a host as an IP address, if it is one.
pub(in crate::server) fn address_of_name(host: &str) -> Option<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    host.parse().ok()
}
