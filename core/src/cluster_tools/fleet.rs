//! The cluster, as the tools know it: its nodes, and how to ask all of them.

use crate::sharding::Slot;
use crate::time::Duration;

use super::desk::{Desk, Place, error_text, text, words};
use super::node::Node;
use super::options::{Dialect, Options};
use super::{Failed, Outcome};

/// The nodes that answer, the one that was asked first.
pub(super) struct Fleet {
    pub(super) desk: Desk,
    pub(super) options: Options,
    pub(super) nodes: Vec<Node>,
    /// Masters that are known and do not answer.
    pub(super) unreachable_masters: usize,
    /// What a check found.
    pub(super) errors: Vec<String>,
    /// Whether what a check finds is mended.
    pub(super) fixes: bool,
}

impl Fleet {
    pub(super) fn new(desk: Desk, options: Options) -> Fleet {
        Fleet {
            desk,
            options,
            nodes: Vec::new(),
            unreachable_masters: 0,
            errors: Vec::new(),
            fixes: false,
        }
    }

    /// The cluster of the node that the arguments name.
    pub(super) async fn load(desk: Desk, args: &[String], options: Options) -> Outcome<Fleet> {
        let place = place_of(&desk, args)?;
        let mut fleet = Fleet::new(desk, options);
        fleet.load_from(&place).await?;
        Ok(fleet)
    }

    /// Asks a node for the others, and each of them for itself.
    pub(super) async fn load_from(&mut self, place: &Place) -> Outcome {
        let (first, others) = load_node(&self.desk, place).await?;
        self.nodes = vec![first];
        // The nodes are asked at once, and heard in the order in which they were named.
        let asked: Vec<_> = others
            .into_iter()
            .filter(|node| {
                let hidden = ["noaddr", "handshake"].iter().any(|flag| node.has_flag(flag));
                // Redis 4 did not even try to reach them.
                let down = node.has_flag("fail") || !node.connected;
                !(hidden || down && self.desk.dialect() == Dialect::Trib)
            })
            .map(|node| (self.desk.send(&node.place, words("CLUSTER NODES")), node))
            .collect();
        for (sent, friend) in asked {
            let loaded = match sent.reply().await {
                Ok(reply) => {
                    let itself = itself(&text(&reply), &friend.place);
                    if itself.is_none() {
                        let place = &friend.place;
                        self.desk.error(format!("[ERR] Unable to load info for node {place}"));
                    }
                    itself
                }
                Err(trouble) => {
                    self.desk.told_of(&friend.place, &trouble);
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
                    self.desk.warn(format!(
                        "*** WARNING: {place} claims to be slave of unknown node ID {id}."
                    ));
                }
            }
        }
    }

    /// The index of the node with this id.
    pub(super) fn by_id(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id.eq_ignore_ascii_case(id))
    }

    /// The indices of the masters.
    pub(super) fn masters(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| !self.nodes[*index].is_replica()).collect()
    }

    /// The indices of the masters that own a slot by what they say themselves.
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
            self.desk.print(node.describe(0, self.desk.dialect()));
        }
    }

    /// Whether all nodes tell of the same owners of slots.
    pub(super) async fn is_consistent(&self) -> bool {
        let asked: Vec<_> = self
            .nodes
            .iter()
            .map(|node| self.desk.send(&node.place, words("CLUSTER NODES")))
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

    /// Waits until all nodes tell of the same owners of slots.
    pub(super) async fn wait_for_join(&self) {
        let inline = self.desk.dialect() == Dialect::Trib;
        let end = if inline { "" } else { "\n" };
        self.desk.print(format!("Waiting for the cluster to join{end}"));
        let patience = 5 + self.nodes.len() * 15 / 100;
        let mut rounds = 0;
        while !self.is_consistent().await {
            self.desk.print(".");
            self.desk.sleep(Duration::from_secs(1)).await;
            rounds += 1;
            if rounds > patience && !inline {
                rounds = 0;
                self.warn_of_links().await;
            }
        }
        self.desk.print("\n");
    }

    /// Says which nodes are not reached by which.
    async fn warn_of_links(&self) {
        let mut links: Vec<(String, Vec<String>)> = Vec::new();
        for node in &self.nodes {
            let Ok(reply) = self.desk.call(&node.place, words("CLUSTER NODES")).await else {
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
        self.desk.print("\n");
        self.desk.error(format!("Warning: {} node(s) may be unreachable", links.len()));
        for (to, from) in links {
            self.desk.error(format!(" - {to} may be unreachable from:"));
            from.iter().for_each(|from| self.desk.error(format!("   {from}")));
        }
        self.desk.error(
            "Cluster bus ports must be reachable by every node.\n\
             Remember that cluster bus ports are different from standard instance ports.",
        );
    }
}

/// The node that the arguments name: `host:port`, or `host port`.
pub(super) fn place_of(desk: &Desk, args: &[String]) -> Outcome<Place> {
    let place = match args {
        [place] => Place::parse(place),
        [host, port] if !host.contains(':') => Place::parse(&format!("{host}:{port}")),
        [place, ..] => Place::parse(place),
        [] => None,
    };
    place.ok_or_else(|| {
        desk.complain(
            "[ERR] Invalid arguments: you need to pass either a valid address (ie. \
             120.0.0.1:7000) or space separated IP and port (ie. 120.0.0.1 7000)",
        );
        Failed
    })
}

/// Asks a node for itself and for the others that it knows.
pub(super) async fn load_node(desk: &Desk, place: &Place) -> Outcome<(Node, Vec<Node>)> {
    let replies =
        desk.send_all(place, vec![words("INFO cluster"), words("CLUSTER NODES")]).replies().await;
    let replies = replies.map_err(|trouble| desk.told_of(place, &trouble))?;
    let [info, nodes] = replies.as_slice() else { return Err(Failed) };
    if let Some(error) = error_text(info) {
        return desk.replied_with_error(place, &error);
    }
    if !text(info).lines().any(|line| line.trim() == "cluster_enabled:1") {
        let what = "is not configured as a cluster node.";
        return desk.fail(format!("[ERR] Node {place} {what}"));
    }
    if let Some(error) = error_text(nodes) {
        return desk.replied_with_error(place, &error);
    }
    let nodes = text(nodes);
    let Some(node) = itself(&nodes, place) else {
        return desk.fail(format!("[ERR] Unable to load info for node {place}"));
    };
    let others =
        nodes.lines().filter_map(Node::parse).filter(|node| !node.has_flag("myself")).collect();
    Ok((node, others))
}

/// Refuses a node that knows others or has keys.
pub(super) async fn must_be_empty(desk: &Desk, place: &Place) -> Outcome {
    let commands = vec![words("INFO keyspace"), words("CLUSTER INFO")];
    let replies = desk.send_all(place, commands).replies().await;
    let replies = replies.map_err(|trouble| desk.told_of(place, &trouble))?;
    let [keyspace, cluster] = replies.as_slice() else { return Err(Failed) };
    let alone = text(cluster).lines().any(|line| line.trim() == "cluster_known_nodes:1");
    if alone && !text(keyspace).lines().any(|line| line.starts_with("db0:")) {
        return Ok(());
    }
    desk.fail(format!(
        "[ERR] Node {place} is not empty. Either the node already knows other nodes (check with \
         CLUSTER NODES) or contains some key in database 0."
    ))
}

/// What a node says of itself. It may not know its own address.
fn itself(nodes: &str, place: &Place) -> Option<Node> {
    let node = nodes.lines().filter_map(Node::parse).find(|node| node.has_flag("myself"))?;
    Some(Node { place: place.clone(), ..node })
}

/// The slot configuration as a node sees it, in a normal form: equal if the nodes agree.
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
