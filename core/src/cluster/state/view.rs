//! A node's view of its cluster as plain data: for `CLUSTER`, `INFO`, and the page.

use core::fmt::Write;

use serde::Serialize;

use super::route::endpoint;
use super::{Cluster, NodeId, NodeRef, UNOWNED};
use crate::cluster::bus::Kind;
use crate::cluster::{LinkId, NodeLine, SlotSet};
use crate::sharding::Slot;

/// What one node knows of another, or of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeView {
    /// Its node ID.
    pub id: NodeId,
    /// The ID of its shard.
    pub shard: NodeId,
    /// Its flags, as `CLUSTER NODES` prints them.
    pub flags: String,
    /// The ID of its primary.
    pub master: Option<NodeId>,
    /// Its address; may be empty.
    pub ip: String,
    /// Its port for clients.
    pub port: u16,
    /// Its port for clients by TLS, or 0.
    pub tls_port: u16,
    /// Its host name for clients; may be empty.
    pub hostname: String,
    /// The host that clients are given; may be empty.
    pub endpoint: String,
    /// Its config epoch.
    pub config_epoch: u64,
    /// Its replication offset.
    pub offset: u64,
    /// Whether it is a replica.
    pub replica: bool,
    /// Whether it is marked FAIL.
    pub failed: bool,
    /// Whether it is marked PFAIL.
    pub suspected: bool,
    /// Its slots, as inclusive ranges.
    pub slots: Vec<(u16, u16)>,
}

/// A range of slots that one node owns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlotRange {
    /// The first slot.
    pub first: u16,
    /// The last slot.
    pub last: u16,
    /// Its owner.
    pub owner: NodeId,
}

/// A primary and its replicas.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShardView {
    /// Its slots, as inclusive ranges.
    pub slots: Vec<(u16, u16)>,
    /// Its nodes.
    pub nodes: Vec<NodeView>,
}

/// A connection to or from another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// The ID of the link.
    pub link: LinkId,
    /// Whether the other node opened it.
    pub inbound: bool,
    /// The node at the other end.
    pub node: NodeId,
    /// When it was opened, in milliseconds since 1970.
    pub created: u64,
}

/// A summary of one node's view of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSummary {
    /// Its node ID.
    pub id: NodeId,
    /// Its primary, if it is a replica.
    pub master: Option<NodeId>,
    /// The largest epoch that it has seen.
    pub current_epoch: u64,
    /// The config epoch of its slots, or of its primary's slots.
    pub config_epoch: u64,
    /// Whether it considers the cluster to be up.
    pub up: bool,
    /// Whether it may vote: it is a primary with slots.
    pub votes: bool,
    /// How many nodes it knows, including itself.
    pub known: usize,
    /// The nodes that it marks FAIL (`true`) or PFAIL (`false`).
    pub down: Vec<(NodeId, bool)>,
    /// While it asks for votes: the votes that it has, those that it needs, and the epoch.
    pub election: Option<(usize, usize, u64)>,
}

impl Cluster {
    /// A summary of this node's view of the cluster.
    pub fn summary(&self) -> ClusterSummary {
        let down = self.nodes.iter().filter_map(|(_, node)| {
            let down = node.has_failed() || node.may_have_failed();
            down.then_some((node.id, node.has_failed()))
        });
        ClusterSummary {
            id: self.me().id,
            master: self.me().master.map(|master| self.nodes[master].id),
            current_epoch: self.current_epoch,
            config_epoch: self.nodes[self.my_claimant()].config_epoch,
            up: self.up,
            votes: self.me().votes(),
            known: self.nodes.len(),
            down: down.collect(),
            election: self.votes_so_far(),
        }
    }

    /// The ID of this node.
    pub fn my_id(&self) -> NodeId {
        self.me().id
    }

    /// The ID of this node's shard.
    pub fn my_shard(&self) -> NodeId {
        self.me().shard
    }

    /// Whether this node is a replica.
    pub fn is_replica(&self) -> bool {
        self.i_am_replica()
    }

    /// How many nodes this one knows, including itself.
    pub fn known_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The largest epoch that this node has seen.
    pub fn current_epoch(&self) -> u64 {
        self.current_epoch
    }

    /// All known nodes, ordered by ID.
    pub fn node_views(&self) -> Vec<NodeView> {
        self.nodes.iter().map(|(node, _)| self.node_view(node)).collect()
    }

    /// Whether a known node has this bus port.
    pub fn knows_bus_port(&self, port: u16) -> bool {
        self.nodes.iter().any(|(_, node)| node.bus_port == port)
    }

    /// The text of `CLUSTER NODES`.
    pub fn nodes_text(&self) -> String {
        self.nodes.refs().into_iter().map(|node| self.line(node) + "\n").collect()
    }

    /// The lines of `CLUSTER REPLICAS`.
    pub fn replicas_text(&self, name: &[u8]) -> Result<Vec<String>, String> {
        let node = self.find(name)?;
        if self.nodes[node].is_replica() {
            return Err("The specified node is not a master".to_owned());
        }
        Ok(self.nodes.replicas(node).map(|(replica, _)| self.line(replica)).collect())
    }

    fn line(&self, node: NodeRef) -> String {
        let line: NodeLine = self.node_line(node);
        let mut text = String::new();
        let _ = line.write(&mut text, false);
        text
    }

    /// The number of primaries with a valid failure report about a node.
    pub fn count_failure_reports(&mut self, name: &[u8]) -> Result<usize, String> {
        let node = self.find(name)?;
        Ok(self.failure_reports(node))
    }

    /// All slots that have owners, as ranges in ascending order.
    pub fn slot_ranges(&self) -> Vec<SlotRange> {
        let mut ranges: Vec<(u16, u16, NodeRef)> = Vec::new();
        for (slot, &owner) in (0..).zip(self.owners.iter()) {
            match ranges.last_mut() {
                _ if owner == UNOWNED => {}
                Some((_, last, same)) if *same == owner && *last + 1 == slot => *last = slot,
                _ => ranges.push((slot, slot, owner)),
            }
        }
        let ranges = ranges.into_iter();
        ranges
            .map(|(first, last, owner)| SlotRange { first, last, owner: self.nodes[owner].id })
            .collect()
    }

    /// The replicas of a node that clients are given: working, and with data.
    pub fn available_replicas(&self, of: NodeId) -> Vec<NodeView> {
        let Some(of) = self.nodes.find(of) else { return Vec::new() };
        let views = self.nodes.replicas(of).map(|(replica, _)| self.node_view(replica));
        views.filter(|view| !view.failed && view.offset != 0).collect()
    }

    /// A node by its ID.
    pub fn node_view_of(&self, id: NodeId) -> Option<NodeView> {
        self.nodes.find(id).map(|node| self.node_view(node))
    }

    /// All shards, ordered by ID.
    pub fn shards(&self) -> Vec<ShardView> {
        let mut shards: crate::sorted::SortedMap<NodeId, ShardView> = Default::default();
        let known = self.nodes.iter().filter(|(_, node)| !node.in_handshake());
        for (reference, node) in known {
            let view = self.node_view(reference);
            if let Some(shard) = shards.get_mut(&node.shard) {
                if !view.slots.is_empty() {
                    shard.slots.clone_from(&view.slots);
                }
                shard.nodes.push(view);
            } else {
                let shard = ShardView { slots: view.slots.clone(), nodes: vec![view] };
                shards.insert(node.shard, shard);
            }
        }
        shards.into_iter().map(|(_, shard)| shard).collect()
    }

    /// All links whose remote node is known.
    pub fn link_views(&self) -> Vec<LinkView> {
        let links = self.links.iter().filter_map(|(id, link)| {
            let node = self.nodes.get(link.node?)?.id;
            let created = link.created_wall;
            Some(LinkView { link: *id, inbound: link.inbound, node, created })
        });
        links.collect()
    }

    /// Slots that this node owns.
    pub fn my_slots(&self) -> &SlotSet {
        &self.me().slots
    }

    /// Slots that are being moved, with the other node: migrating to it (`true`) or importing from
    /// it.
    pub fn open_slot_views(&self) -> Vec<(Slot, bool, NodeId)> {
        let open = self.node_line(self.myself).open.into_iter();
        open.map(|open| (open.slot, open.direction == crate::cluster::Direction::To, open.node))
            .collect()
    }

    /// The text of `CLUSTER INFO`.
    pub fn info_text(&self) -> String {
        let (mut assigned, mut failed, mut suspected) = (0, 0, 0);
        for (_, node) in self.nodes.iter() {
            assigned += node.slots.len();
            if node.has_failed() {
                failed += node.slots.len();
            } else if node.may_have_failed() {
                suspected += node.slots.len();
            }
        }
        let mut text = format!(
            "cluster_state:{}\r\ncluster_slots_assigned:{assigned}\r\ncluster_slots_ok:{}\r\n\
             cluster_slots_pfail:{suspected}\r\ncluster_slots_fail:{failed}\r\n\
             cluster_known_nodes:{}\r\ncluster_size:{}\r\ncluster_current_epoch:{}\r\n\
             cluster_my_epoch:{}\r\n",
            if self.up { "ok" } else { "fail" },
            assigned - failed - suspected,
            self.nodes.len(),
            self.size,
            self.current_epoch,
            self.nodes[self.my_claimant()].config_epoch,
        );
        for (counts, way) in [(&self.sent, "sent"), (&self.received, "received")] {
            for (kind, count) in Kind::ALL.iter().zip(counts).filter(|(_, count)| **count > 0) {
                let name = kind.name();
                let _ = write!(text, "cluster_stats_messages_{name}_{way}:{count}\r\n");
            }
            let total: u64 = counts.iter().sum();
            let _ = write!(text, "cluster_stats_messages_{way}:{total}\r\n");
        }
        let overrun = self.links_overrun;
        let _ = write!(text, "total_cluster_links_buffer_limit_exceeded:{overrun}\r\n");
        text
    }

    fn node_view(&self, reference: NodeRef) -> NodeView {
        let node = &self.nodes[reference];
        let master = node.master.map(|master| &self.nodes[master]);
        let mine = reference == self.myself;
        NodeView {
            id: node.id,
            shard: node.shard,
            flags: node.flags.to_string(),
            master: master.map(|master| master.id),
            ip: node.ip.clone(),
            port: node.port,
            tls_port: node.tls_port,
            hostname: node.hostname.clone(),
            endpoint: endpoint(self.settings.preferred_endpoint, &node.ip, &node.hostname),
            config_epoch: master.map_or(node.config_epoch, |master| master.config_epoch),
            offset: if mine { self.local.offset } else { node.offset },
            replica: node.is_replica(),
            failed: node.has_failed(),
            suspected: node.may_have_failed(),
            slots: node.slots.ranges().map(|(a, b)| (a.number(), b.number())).collect(),
        }
    }
}
