//! The scene of a deployment: bodies with what they report, and the lines between them.

use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use limpid_core::deployment::{self, Deployment, Node, Watched};
use limpid_core::sentinel::SentinelView;
use limpid_core::sentinel::failover::FailoverState;
use limpid_core::sentinel::report::Role;
use limpid_core::sentinel::view::{InstanceView, MasterView};
use limpid_core::sim::HostId;

use crate::cluster::{Circle, Claim};
use crate::kinds::sentinel::{self, SentinelNode};
use crate::kinds::server::{self, ClusterNode, ServerNode, Stream};
use crate::kinds::{Kind, NodeView};
use crate::layout::{Layout, apart, circle, replicated, watch};
use crate::scene::{Body, Cut, Follow, FollowState, Health, Judgement, Scene};
use crate::units::BodyId;

/// The primary that each node had when it was first seen, so that a failover moves no body on the
/// map.
#[derive(Default)]
pub(super) struct Homes(BTreeMap<String, Option<String>>);

impl Homes {
    /// Remembers the primaries of nodes that were not known yet.
    pub(super) fn learn(&mut self, deployment: &Deployment) {
        for node in deployment.nodes.iter().filter(|node| !node.report.info.is_empty()) {
            let up = node.primary.and_then(|(at, _)| deployment.nodes.get(at));
            let up = up.map(|up| up.report.address.clone());
            self.0.entry(node.report.address.clone()).or_insert(up);
        }
    }
}

/// The shard of each node: that of the primary that it had when it was first seen, and so on up, so
/// that a replica that takes over keeps its hue.
fn shards(deployment: &Deployment, homes: &[Option<usize>]) -> Vec<usize> {
    let root = |mut at: usize| {
        // The steps are limited, since a ring of replicas has no end.
        for _ in homes {
            match homes.get(at) {
                Some(&Some(up)) => at = up,
                _ => break,
            }
        }
        at
    };
    let is_server = |at: &usize| {
        deployment.nodes.get(*at).is_some_and(|node| node.kind == deployment::Kind::Server)
    };
    let roots: Vec<usize> = (0..homes.len()).map(root).collect();
    let mut known: Vec<usize> = roots.iter().copied().filter(is_server).collect();
    known.sort_unstable();
    known.dedup();
    roots.iter().map(|root| known.binary_search(root).unwrap_or_default()).collect()
}

/// The id of a node's body, by its index in the deployment.
fn id(place: usize) -> BodyId {
    BodyId::Host(HostId(u16::try_from(place).unwrap_or(u16::MAX)))
}

/// The layout for a deployment.
pub(super) fn layout(deployment: &Deployment) -> Layout {
    let replicates = deployment.nodes.iter().any(|node| node.primary.is_some());
    match (deployment.has_cluster(), deployment.has_sentinels()) {
        (true, _) => circle::cluster,
        (_, true) => watch::over_streams,
        _ if replicates => replicated::streams,
        _ => apart::flow,
    }
}

/// Builds the scene of a deployment.
pub(super) fn scene(deployment: &Deployment, homes: &Homes) -> Scene {
    let place = |address: &String| {
        let mut nodes = deployment.nodes.iter();
        nodes.position(|node| node.report.address == *address)
    };
    let home =
        |node: &Node| homes.0.get(&node.report.address).and_then(Option::as_ref).and_then(place);
    let homes: Vec<Option<usize>> = deployment.nodes.iter().map(home).collect();
    let shards = shards(deployment, &homes);
    let bodies = deployment.nodes.iter().zip(&homes).enumerate().map(|(at, (node, home))| {
        Rc::new(body(at, node, home.filter(|&home| home != at).map(id), shards[at]))
    });
    let follows = deployment.nodes.iter().enumerate().filter_map(|(at, node)| {
        let (primary, link) = node.primary?;
        let (state, lag) = match node.report.error {
            Some(_) => (FollowState::Down, None),
            None => follow_state(link),
        };
        let (from, to, shard) = (id(primary), id(at), shards[primary]);
        Some(Rc::new(Follow { from, to, shard, state, lag, cut: Cut::No }))
    });
    Scene {
        bodies: bodies.collect(),
        follows: follows.collect(),
        circle: deployment.has_cluster().then(|| Rc::new(slots(deployment))),
        ..Scene::default()
    }
}

fn follow_state(link: deployment::Link) -> (FollowState, Option<u64>) {
    match link {
        deployment::Link::Down => (FollowState::Down, None),
        deployment::Link::Sync => (FollowState::Sync, None),
        deployment::Link::Online(lag) => (FollowState::Online, lag),
    }
}

fn body(at: usize, node: &Node, home: Option<BodyId>, shard: usize) -> Body {
    let report = &node.report;
    let (kind, view): (&'static Kind, NodeView) = match node.kind {
        deployment::Kind::Server => (&server::KIND, NodeView::Server(server_node(node))),
        deployment::Kind::Sentinel => (&sentinel::KIND, NodeView::Sentinel(sentinel_node(node))),
    };
    let is_server = node.kind == deployment::Kind::Server;
    // Many nodes may have the same host, so the port comes first.
    let name = report.address.rsplit_once(':').map_or("", |(_, port)| port);
    Body {
        id: id(at),
        kind,
        name: format!(":{name}"),
        host: report.address.clone(),
        process: None,
        address: report.address.clone(),
        home,
        shard: is_server.then_some(shard),
        health: if report.error.is_some() { Health::Crashed } else { Health::Online },
        node: view,
        judged: node.judged.map(|judged| Judgement {
            watched_by: judged.watched_by,
            down_for: judged.down_for,
            objectively: judged.objectively,
            in_cluster: judged.in_cluster,
        }),
    }
}

fn server_node(node: &Node) -> ServerNode {
    let follows = node.primary.map(|(_, link)| follow_state(link));
    let stream = node
        .offset
        .map(|offset| Stream { offset: i64::try_from(offset).unwrap_or(i64::MAX), follows });
    ServerNode {
        is_replica: node.is_replica,
        keys: node.keys,
        rate: node.rate,
        stream,
        cluster: node.cluster.as_ref().map(|role| ClusterNode {
            epoch: role.epoch,
            slots: role.slot_count(),
            up: true,
            election: None,
        }),
    }
}

/// A Sentinel's tables, as far as its mark shows them.
fn sentinel_node(node: &Node) -> SentinelNode {
    let report = &node.report;
    if report.info.is_empty() {
        return SentinelNode(None);
    }
    SentinelNode(Some(SentinelView {
        id: report.run_id().unwrap_or_default().to_owned(),
        epoch: report
            .masters
            .iter()
            .map(|master| number(master, "config-epoch"))
            .max()
            .unwrap_or(0),
        tilt: (report.field("sentinel_tilt") == Some("1")).then_some(Duration::ZERO),
        masters: report.masters.iter().map(master).collect(),
        scripts: (0, 0),
    }))
}

fn number<T: core::str::FromStr + Default>(master: &Watched, name: &str) -> T {
    master.field(name).parse().unwrap_or_default()
}

fn master(watched: &Watched) -> MasterView {
    let flag = |name: &str| watched.has_flag(name).then_some(Duration::ZERO);
    let down_after = Duration::from_millis(number(watched, "down-after-milliseconds"));
    let silence = Duration::from_millis(number(watched, "last-ping-sent"));
    let failover = match watched.has_flag("failover_in_progress") {
        true => FailoverState::ReconfReplicas,
        false => FailoverState::None,
    };
    MasterView {
        seen: InstanceView {
            name: watched.name().to_owned(),
            host: watched.field("ip").to_owned(),
            port: number(watched, "port"),
            run_id: None,
            disconnected: watched.has_flag("disconnected"),
            silence: (silence, down_after),
            sdown: flag("s_down"),
        },
        current: watched.address(),
        role: Role::Master,
        quorum: number(watched, "quorum"),
        down_votes: usize::from(watched.has_flag("s_down")),
        odown: flag("o_down"),
        config_epoch: number(watched, "config-epoch"),
        vote: None,
        vote_epoch: 0,
        failover,
        failover_epoch: 0,
        in_state: None,
        next_attempt: None,
        promoted: None,
        replicas: Vec::new(),
        sentinels: Vec::new(),
    }
}

/// Slots with their owners; of two nodes that claim the same slot, the one with the higher epoch.
fn slots(deployment: &Deployment) -> Circle {
    let mut claims: Vec<Claim> = Vec::new();
    let mut owners = deployment.nodes.iter().enumerate().collect::<Vec<_>>();
    owners.sort_by_key(|(_, node)| node.cluster.as_ref().map(|role| role.epoch));
    for (at, node) in owners.into_iter().rev() {
        let Some(role) = node.cluster.as_ref().filter(|_| !node.is_replica) else { continue };
        // A node that does not answer may have been replaced: then another has a higher epoch.
        for &(first, last) in &role.slots {
            let served = node.report.error.is_none();
            for (first, last) in unclaimed(&claims, first, last) {
                claims.push(Claim { first, last, owner: id(at), served, rival: None });
            }
        }
    }
    claims.sort_by_key(|claim| claim.first);
    Circle { claims, moving: Vec::new() }
}

/// The parts of a range of slots that no claim has yet.
fn unclaimed(claims: &[Claim], first: u16, last: u16) -> Vec<(u16, u16)> {
    let mut parts = vec![(first, last)];
    for claim in claims {
        let rest = parts.into_iter().flat_map(|(first, last)| {
            let below = claim.first.checked_sub(1).map(|end| (first, last.min(end)));
            let above = (first.max(claim.last.saturating_add(1)), last);
            [below, Some(above)].into_iter().flatten().filter(|(first, last)| first <= last)
        });
        parts = rest.collect();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_range_that_others_claim_in_part_the_rest_is_left() {
        let claim = |first, last| Claim { first, last, owner: id(0), served: true, rival: None };
        let claims = [claim(50, 60), claim(0, 9), claim(100, 16_383)];
        assert_eq!(unclaimed(&claims, 5, 120), [(10, 49), (61, 99)]);
        assert_eq!(unclaimed(&claims, 20, 30), [(20, 30)]);
        assert!(unclaimed(&claims, 52, 58).is_empty());
    }
}
