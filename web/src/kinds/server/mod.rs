//! Servers, drawn as a disc in the hue of the shard on the plate of the host; a primary's disc is
//! inside a ring.

#[cfg(feature = "whole")]
pub(crate) mod contents;
mod mark;
mod read;

pub(crate) use read::KeyRow;

use limpid_core::lab::SERVER;

use super::{Kind, NodeView, Role, per_second};
use crate::figures;
use crate::i18n::{Locale, common};
#[cfg(not(feature = "whole"))]
use crate::inspector::later;
use crate::inspector::{
    config, connections, files, info, keys, log, matrix, replication, slots, watched,
};
#[cfg(feature = "whole")]
use crate::inspector::{scripts, users};
use crate::layout::{Outline, Part, Rim};
use crate::scene::{Body, FollowState, Health};

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "server",
    programs: &[SERVER],
    port: Some(6379),
    part: Part::Server,
    outline: Outline {
        aside: 50.0,
        above: 32.0,
        below: 66.0,
        rim: Rim::Plate { aside: 50.0, above: 32.0, below: 78.0 },
    },
    read: read::node,
    mark: mark::mark,
    reach: mark::reach,
    name_at: 41.0,
    line,
    second_line: stream_line,
    info: read::info,
    tabs: &[
        &info::TAB,
        &replication::TAB,
        &watched::TAB,
        &slots::TAB,
        &matrix::TAB,
        &keys::TAB,
        &files::TAB,
        &config::TAB,
        #[cfg(feature = "whole")]
        &users::TAB,
        #[cfg(not(feature = "whole"))]
        &later::USERS,
        #[cfg(feature = "whole")]
        &scripts::TAB,
        &connections::TAB,
        &log::TAB,
    ],
};

/// A server that takes writes.
const PRIMARY: Role = Role { name: "primary", text: common::ROLE_PRIMARY };
/// A server that follows another.
const REPLICA: Role = Role { name: "replica", text: words::ROLE_REPLICA };

/// What the map shows of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ServerNode {
    /// Whether it follows another.
    pub is_replica: bool,
    /// Keys over all databases.
    pub keys: u64,
    /// Messages per second of virtual time.
    pub rate: u64,
    /// The state of its replication stream, if it replicates.
    pub stream: Option<Stream>,
    /// Its view of its cluster, if it is in cluster mode.
    pub cluster: Option<ClusterNode>,
}

/// A node's view of its cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ClusterNode {
    /// Its config epoch, or that of its primary.
    pub epoch: u64,
    /// How many slots it owns.
    pub slots: usize,
    /// Whether it considers the cluster up.
    pub up: bool,
    /// During its election: the votes that it has, the votes that it needs, and the epoch.
    pub election: Option<(usize, usize, u64)>,
}

/// The state of a server's replication stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stream {
    /// The offset of its last byte.
    pub offset: i64,
    /// A replica's link to its primary, with its lag in bytes.
    pub follows: Option<(FollowState, Option<u64>)>,
}

impl ServerNode {
    pub(super) fn role(&self) -> Role {
        if self.is_replica { REPLICA } else { PRIMARY }
    }

    /// Whether it is a replica and its link is down.
    fn is_stale(&self) -> bool {
        let follows = self.stream.and_then(|stream| stream.follows);
        follows.is_some_and(|(state, _)| state != FollowState::Online)
    }
}

fn line(body: &Body, locale: Locale) -> String {
    let NodeView::Server(server) = &body.node else { return String::new() };
    if let Some(node) = &server.cluster {
        return cluster_line(node, server, locale);
    }
    let keys = match server.keys {
        1 => locale.say(words::KEY_COUNT).to_owned(),
        n => locale.fill(words::KEYS_COUNT, &[("n", &figures::count(n))]),
    };
    match server.rate {
        0 => keys,
        n => format!("{keys} · {}", per_second(locale, n)),
    }
}

/// The line of a cluster node: its election, that the cluster is down, or the slots that it serves.
fn cluster_line(node: &ClusterNode, server: &ServerNode, locale: Locale) -> String {
    let epoch = node.epoch.to_string();
    match node.election {
        Some((votes, needed, epoch)) => locale.fill(
            words::VOTES,
            &[
                ("votes", &votes.to_string()),
                ("needed", &needed.to_string()),
                ("epoch", &epoch.to_string()),
            ],
        ),
        None if !node.up => locale.say(words::CLUSTER_DOWN).to_owned(),
        None if server.is_replica => locale.fill(words::EPOCH, &[("epoch", &epoch)]),
        None => locale
            .fill(words::SLOTS, &[("epoch", &epoch), ("n", &figures::count(node.slots as u64))]),
    }
}

/// The line with the replication offset and the lag: `@1 234 −56 B`.
fn stream_line(body: &Body, locale: Locale) -> Option<String> {
    let NodeView::Server(server) = &body.node else { return None };
    let stream = server.stream.filter(|_| body.health == Health::Online)?;
    let offset = figures::count(u64::try_from(stream.offset).unwrap_or_default());
    Some(match stream.follows {
        // If there is no room for both, the lag matters more than the offset.
        Some((FollowState::Online, Some(lag))) if lag >= 1_000 || lag > 0 && offset.len() > 7 => {
            format!("−{}", figures::bytes(lag))
        }
        Some((FollowState::Online, Some(lag))) if lag > 0 => {
            format!("@{offset} −{}", figures::bytes(lag))
        }
        None | Some((FollowState::Online, _)) => format!("@{offset}"),
        Some((state, _)) => locale.say(state.text()).to_owned(),
    })
}

mod words {
    crate::i18n::texts! {
        ROLE_REPLICA: "replica", "从节点";
        KEYS_COUNT: "{n} keys", "{n} 个键";
        KEY_COUNT: "1 key", "1 个键";
        VOTES: "votes {votes}/{needed} e{epoch}", "得票 {votes}/{needed} e{epoch}";
        CLUSTER_DOWN: "cluster down", "集群不可用";
        EPOCH: "e{epoch}", "e{epoch}";
        SLOTS: "e{epoch} · {n} slots", "e{epoch} · {n} 槽";
    }
}
