//! A cluster as the tools see it: its nodes, and requests to all of them.

use crate::sharding::Slot;
use crate::time::Duration;

use super::io::{Io, Place, error_text, text, words};
use super::node::Node;
use super::options::{Dialect, Options};
use super::{Failed, Outcome};

/// The reachable nodes of a cluster, beginning with the one that was named.
pub(super) struct ClusterManager {
    pub(super) io: Io,
    pub(super) options: Options,
    pub(super) nodes: Vec<Node>,
    /// Number of known masters that cannot be reached.
    pub(super) unreachable_masters: usize,
    /// The errors that a check found.
    pub(super) errors: Vec<String>,
    /// Whether a check repairs what it finds.
    pub(super) fixes: bool,
}

impl ClusterManager {
    pub(super) fn new(io: Io, options: Options) -> ClusterManager {
        ClusterManager {
            io,
            options,
            nodes: Vec::new(),
            unreachable_masters: 0,
            errors: Vec::new(),
            fixes: false,
        }
    }

    /// Loads the cluster of the node that the arguments name.
    pub(super) async fn load(io: Io, args: &[String], options: Options) -> Outcome<ClusterManager> {
        let place = place_from_args(&io, args)?;
        let mut manager = ClusterManager::new(io, options);
        manager.load_from(&place).await?;
        Ok(manager)
    }

    /// Asks a node for its view of the cluster, and then each other node for its own slots.
    pub(super) async fn load_from(&mut self, place: &Place) -> Outcome {
        let (first, others) = load_node(&self.io, place).await?;
        self.nodes = vec![first];
        // The requests are sent at once, and the replies read in the order of the nodes.
        let asked: Vec<_> = others
            .into_iter()
            .filter(|node| {
                let hidden = ["noaddr", "handshake"].iter().any(|flag| node.has_flag(flag));
                // As in Redis 4, which does not try to reach these nodes.
                let down = node.has_flag("fail") || !node.connected;
                !(hidden || down && self.io.dialect() == Dialect::Trib)
            })
            .map(|node| (self.io.send(&node.place, words("CLUSTER NODES")), node))
            .collect();
        for (sent, friend) in asked {
            let loaded = match sent.reply().await {
                Ok(reply) => {
                    let myself = parse_myself(&text(&reply), &friend.place);
                    if myself.is_none() {
                        let place = &friend.place;
                        self.io.error(format!("[ERR] Unable to load info for node {place}"));
                    }
                    myself
                }
                Err(trouble) => {
                    self.io.report_trouble(&friend.place, &trouble);
                    None
                }
            };
            let down = friend.has_flag("fail") || friend.has_flag("noaddr") || !friend.connected;
            match loaded {
                Some(node) if !down => self.nodes.push(node),
                _ if friend.is_replica() => {}
                _ => self.unreachable_masters += 1,
            }
        }
        self.count_replicas();
        Ok(())
    }

    fn count_replicas(&mut self) {
        let masters: Vec<Option<String>> =
            self.nodes.iter().map(|node| node.replicates.clone()).collect();
        for node in &mut self.nodes {
            node.replicas = Some(0);
        }
        for (index, master) in masters.into_iter().enumerate() {
            let Some(id) = master else { continue };
            match self.nodes.iter_mut().find(|node| node.id == id) {
                Some(master) => master.replicas = Some(master.replicas.unwrap_or(0) + 1),
                None => {
                    let place = &self.nodes[index].place;
                    self.io.warn(format!(
                        "*** WARNING: {place} claims to be slave of unknown node ID {id}."
                    ));
                }
            }
        }
    }

    /// The index of the node with this ID.
    pub(super) fn by_id(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id.eq_ignore_ascii_case(id))
    }

    /// The indices of the masters.
    pub(super) fn masters(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| !self.nodes[*index].is_replica()).collect()
    }

    /// The indices of the masters that claim a slot themselves.
    pub(super) fn owners(&self, slot: Slot) -> Vec<usize> {
        let mut masters = self.masters();
        masters.retain(|index| self.nodes[*index].slots.contains(slot));
        masters
    }

    /// The master with the fewest replicas.
    pub(super) fn least_replicated(&self) -> Option<usize> {
        self.masters().into_iter().min_by_key(|index| self.nodes[*index].replicas.unwrap_or(0))
    }

    pub(super) fn place(&self, index: usize) -> Place {
        self.nodes[index].place.clone()
    }

    /// Prints every node.
    pub(super) fn show(&self) {
        for node in &self.nodes {
            self.io.print(node.describe(0, self.io.dialect()));
        }
    }

    /// Whether all nodes report the same slot owners.
    pub(super) async fn is_consistent(&self) -> bool {
        let asked: Vec<_> = self
            .nodes
            .iter()
            .map(|node| self.io.send(&node.place, words("CLUSTER NODES")))
            .collect();
        let mut first = None;
        let mut same = true;
        for sent in asked {
            let signature = match sent.reply().await {
                Ok(reply) if error_text(&reply).is_none() => signature(&text(&reply)),
                _ => return false,
            };
            same &= *first.get_or_insert_with(|| signature.clone()) == signature;
        }
        same
    }

    /// Waits until all nodes report the same slot owners.
    pub(super) async fn wait_for_join(&self) {
        let inline = self.io.dialect() == Dialect::Trib;
        let end = if inline { "" } else { "\n" };
        self.io.print(format!("Waiting for the cluster to join{end}"));
        let patience = 5 + self.nodes.len() * 15 / 100;
        let mut rounds = 0;
        while !self.is_consistent().await {
            self.io.print(".");
            self.io.sleep(Duration::from_secs(1)).await;
            rounds += 1;
            if rounds > patience && !inline {
                rounds = 0;
                self.warn_of_links().await;
            }
        }
        self.io.print("\n");
    }

    /// Prints which nodes cannot be reached by which.
    async fn warn_of_links(&self) {
        let mut links: Vec<(String, Vec<String>)> = Vec::new();
        for node in &self.nodes {
            let Ok(reply) = self.io.call(&node.place, words("CLUSTER NODES")).await else {
                continue;
            };
            for other in text(&reply).lines().filter_map(Node::parse) {
                if other.connected && !other.has_flag("handshake") || other.has_flag("myself") {
                    continue;
                }
                let port = if other.bus_port == 0 { other.place.port } else { other.bus_port };
                let to = format!("The port {port} of node {}", other.place.host);
                match links.iter_mut().find(|(known, _)| *known == to) {
                    Some((_, from)) => from.push(node.place.to_string()),
                    None => links.push((to, vec![node.place.to_string()])),
                }
            }
        }
        if links.is_empty() {
            return;
        }
        self.io.print("\n");
        self.io.error(format!("Warning: {} node(s) may be unreachable", links.len()));
        for (to, from) in links {
            self.io.error(format!(" - {to} may be unreachable from:"));
            from.iter().for_each(|from| self.io.error(format!("   {from}")));
        }
        self.io.error(
            "Cluster bus ports must be reachable by every node.\n\
             Remember that cluster bus ports are different from standard instance ports.",
        );
    }
}

/// The node that the arguments name, as `host:port` or `host port`.
pub(super) fn place_from_args(io: &Io, args: &[String]) -> Outcome<Place> {
    let place = match args {
        [place] => Place::parse(place),
        [host, port] if !host.contains(':') => Place::parse(&format!("{host}:{port}")),
        [place, ..] => Place::parse(place),
        [] => None,
    };
    place.ok_or_else(|| {
        io.print_error(
            "[ERR] Invalid arguments: you need to pass either a valid address (ie. \
             120.0.0.1:7000) or space separated IP and port (ie. 120.0.0.1 7000)",
        );
        Failed
    })
}

/// Loads a node's description of itself, and of the other nodes that it knows.
pub(super) async fn load_node(io: &Io, place: &Place) -> Outcome<(Node, Vec<Node>)> {
    let replies =
        io.send_all(place, vec![words("INFO cluster"), words("CLUSTER NODES")]).replies().await;
    let replies = replies.map_err(|trouble| io.report_trouble(place, &trouble))?;
    let [info, nodes] = replies.as_slice() else { return Err(Failed) };
    if let Some(error) = error_text(info) {
        return io.replied_with_error(place, &error);
    }
    if !text(info).lines().any(|line| line.trim() == "cluster_enabled:1") {
        let what = "is not configured as a cluster node.";
        return io.fail(format!("[ERR] Node {place} {what}"));
    }
    if let Some(error) = error_text(nodes) {
        return io.replied_with_error(place, &error);
    }
    let nodes = text(nodes);
    let Some(node) = parse_myself(&nodes, place) else {
        return io.fail(format!("[ERR] Unable to load info for node {place}"));
    };
    let others =
        nodes.lines().filter_map(Node::parse).filter(|node| !node.has_flag("myself")).collect();
    Ok((node, others))
}

/// Fails if a node knows other nodes or has keys.
pub(super) async fn check_empty(io: &Io, place: &Place) -> Outcome {
    let commands = vec![words("INFO keyspace"), words("CLUSTER INFO")];
    let replies = io.send_all(place, commands).replies().await;
    let replies = replies.map_err(|trouble| io.report_trouble(place, &trouble))?;
    let [keyspace, cluster] = replies.as_slice() else { return Err(Failed) };
    let alone = text(cluster).lines().any(|line| line.trim() == "cluster_known_nodes:1");
    if alone && !text(keyspace).lines().any(|line| line.starts_with("db0:")) {
        return Ok(());
    }
    io.fail(format!(
        "[ERR] Node {place} is not empty. Either the node already knows other nodes (check with \
         CLUSTER NODES) or contains some key in database 0."
    ))
}

/// A node's description of itself, at the address by which it was reached, since it may not know
/// its own.
fn parse_myself(nodes: &str, place: &Place) -> Option<Node> {
    let node = nodes.lines().filter_map(Node::parse).find(|node| node.has_flag("myself"))?;
    Some(Node { place: place.clone(), ..node })
}

/// A node's view of the slots in a canonical form, which is equal if two nodes agree.
fn signature(nodes: &str) -> Vec<String> {
    let mut owners: Vec<String> = nodes
        .lines()
        .filter_map(Node::parse)
        .filter(|node| !node.slots.is_empty())
        .map(|node| {
            let slots = node.slots.ranges().map(|(first, last)| format!("{first}-{last}"));
            format!("{}:{}", node.id, slots.collect::<Vec<_>>().join(","))
        })
        .collect();
    owners.sort();
    owners
}
