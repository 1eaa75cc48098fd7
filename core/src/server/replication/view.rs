//! What an observer sees of replication: the page. Nothing here changes anything.

use super::StreamId;
use crate::server::Server;
use crate::time::Duration;

/// What a server believes of its stream, its primary and its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicationView {
    /// The stream's id, forty hexadecimal digits.
    pub id: String,
    /// The id that the stream had before this server took over, with the first offset that is not
    /// that id's.
    pub second: Option<(String, i64)>,
    /// The offset of the stream's last byte.
    pub offset: i64,
    /// The part of the stream that is kept.
    pub backlog: Option<BacklogView>,
    /// The primary, if this server is a replica.
    pub primary: Option<PrimaryView>,
    /// The replicas, in the order in which they came.
    pub replicas: Vec<ReplicaView>,
}

/// The part of a stream that is kept for replicas that come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacklogView {
    /// How many bytes are kept at most.
    pub size: u64,
    /// The offset of the first byte.
    pub first: i64,
    /// How many bytes there are.
    pub len: u64,
}

/// A primary, as its replica sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryView {
    /// Its host, as it was given.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `connect`, `connecting`, `handshake`, `sync` or `connected`, as ROLE tells it.
    pub state: &'static str,
    /// Since when it was not heard of, if the stream flows.
    pub silent: Option<Duration>,
    /// Since when the stream does not flow, if it ever did.
    pub down: Option<Duration>,
}

/// A replica, as its primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// The address at which it can be reached.
    pub address: String,
    /// The port at which it says it listens.
    pub port: u16,
    /// `wait_bgsave`, `send_bulk` or `online`, as INFO tells it.
    pub state: &'static str,
    /// The offset up to which it has acknowledged the stream.
    pub acked: i64,
    /// Since when it was not heard of.
    pub silent: Duration,
}

impl Server {
    /// What this server believes of its stream, its primary and its replicas.
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
