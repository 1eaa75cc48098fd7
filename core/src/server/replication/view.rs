//! A read-only view of replication, for the page.

use super::StreamId;
use crate::server::Server;
use crate::time::Duration;

/// A server's view of its replication stream, its primary and its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicationView {
    /// The replication id, forty hexadecimal digits.
    pub id: String,
    /// The id that the stream had before this server took over, with the first offset that does not
    /// belong to it.
    pub second: Option<(String, i64)>,
    /// The offset of the last byte of the stream.
    pub offset: i64,
    /// The backlog.
    pub backlog: Option<BacklogView>,
    /// The primary, if this server is a replica.
    pub primary: Option<PrimaryView>,
    /// The replicas, in the order in which they connected.
    pub replicas: Vec<ReplicaView>,
}

/// The replication backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacklogView {
    /// Configured size in bytes.
    pub size: u64,
    /// The offset of the first byte.
    pub first: i64,
    /// Current size in bytes.
    pub len: u64,
}

/// A primary, as seen by its replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryView {
    /// The host as it was configured.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `connect`, `connecting`, `handshake`, `sync` or `connected`, as in ROLE.
    pub state: &'static str,
    /// Time since anything was last received, if the link is up.
    pub silent: Option<Duration>,
    /// Time since the link went down, if it ever was up.
    pub down: Option<Duration>,
}

/// A replica, as seen by its primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// Its address.
    pub address: String,
    /// The port that it announced.
    pub port: u16,
    /// `wait_bgsave`, `send_bulk` or `online`, as in INFO.
    pub state: &'static str,
    /// The offset that it has acknowledged.
    pub acked: i64,
    /// Time since anything was last received.
    pub silent: Duration,
}

impl Server {
    /// This server's view of its replication stream, its primary and its replicas.
    pub fn replication_view(&self) -> ReplicationView {
        let replication = &self.service.replication;
        let now = self.now.0;
        let text = |id: &StreamId| String::from_utf8_lossy(id).into_owned();
        let second = replication.second_offset;
        let size = self.config.settings().repl_backlog_size;
        let backlog = replication.backlog.as_ref();
        let replicas = self.all_replicas().filter(|(_, replica)| !replica.state.name().is_empty());
        ReplicationView {
            id: text(&replication.id),
            second: (second >= 0).then(|| (text(&replication.second_id), second)),
            offset: replication.offset,
            backlog: backlog.map(|backlog| BacklogView {
                size,
                first: backlog.first(),
                len: backlog.len(),
            }),
            primary: replication.primary.as_ref().map(|primary| {
                let slot = primary.stream.as_ref().map(|stream| stream.slot);
                let client = slot.and_then(|slot| self.clients.get(slot));
                PrimaryView {
                    host: primary.host.clone(),
                    port: primary.port,
                    state: primary.state(),
                    silent: client.map(|client| now.since(client.last_heard)),
                    down: primary.down_since.map(|since| now.since(since)),
                }
            }),
            replicas: replicas
                .map(|(client, replica)| ReplicaView {
                    address: client.replica_address(),
                    port: u16::try_from(replica.port).unwrap_or_default(),
                    state: replica.state.name(),
                    acked: replica.acked,
                    silent: now.since(replica.acked_at),
                })
                .collect(),
        }
    }
}
