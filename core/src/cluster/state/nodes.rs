//! The nodes that a node knows.

use core::ops::{Index, IndexMut};

use super::LinkId;
use crate::cluster::{NodeFlags, NodeId, SlotSet};
use crate::sorted::SortedMap;

/// A node, as long as it is known. A small number, because each slot has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ref(u16);

impl Ref {
    /// No node.
    pub(super) const NONE: Ref = Ref(u16::MAX);
}

/// What is known of a node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) shard: NodeId,
    pub(super) flags: NodeFlags,
    /// Times are milliseconds on the monotonic clock.
    pub(super) created: u64,
    pub(super) config_epoch: u64,
    pub(super) slots: SlotSet,
    /// The primary of a replica.
    pub(super) master: Option<Ref>,
    /// May be empty.
    pub(super) ip: String,
    pub(super) port: u16,
    pub(super) tls_port: u16,
    pub(super) bus_port: u16,
    pub(super) hostname: String,
    pub(super) human_nodename: String,
    /// When the ping was sent that has not been answered yet.
    pub(super) ping_sent: Option<u64>,
    pub(super) pong_received: Option<u64>,
    /// When the last ping was sent that it has answered.
    pub(super) answered: Option<u64>,
    /// When anything came from it.
    pub(super) data_received: Option<u64>,
    /// When it was marked FAIL.
    pub(super) failed_at: u64,
    /// Primaries that could not reach it, and when they last said so.
    pub(super) reports: SortedMap<Ref, u64>,
    /// The connection that this node has made to it.
    pub(super) link: Option<LinkId>,
    /// The connection that it has made to this node.
    pub(super) inbound: Option<LinkId>,
    /// When this node last voted for one of its replicas.
    pub(super) voted_at: Option<u64>,
    /// Since when it is a primary without replicas that work.
    pub(super) orphaned_since: Option<u64>,
    /// Its replication offset.
    pub(super) offset: u64,
}

impl Node {
    pub(super) fn new(id: NodeId, shard: NodeId, flags: NodeFlags, created: u64) -> Node {
        Node {
            id,
            shard,
            flags,
            created,
            config_epoch: 0,
            slots: SlotSet::new(),
            master: None,
            ip: String::new(),
            port: 0,
            tls_port: 0,
            bus_port: 0,
            hostname: String::new(),
            human_nodename: String::new(),
            ping_sent: None,
            pong_received: None,
            answered: None,
            data_received: None,
            failed_at: 0,
            reports: SortedMap::new(),
            link: None,
            inbound: None,
            voted_at: None,
            orphaned_since: None,
            offset: 0,
        }
    }

    pub(super) fn is_primary(&self) -> bool {
        self.flags.any(NodeFlags::MASTER)
    }

    pub(super) fn is_replica(&self) -> bool {
        self.flags.any(NodeFlags::SLAVE)
    }

    /// Whether it has a vote: a primary with slots.
    pub(super) fn votes(&self) -> bool {
        self.is_primary() && !self.slots.is_empty()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.flags.any(NodeFlags::FAIL)
    }

    pub(super) fn may_have_failed(&self) -> bool {
        self.flags.any(NodeFlags::PFAIL)
    }

    /// Whether it is out of reach in the eyes of this node or of the majority.
    pub(super) fn is_unreachable(&self) -> bool {
        self.flags.any(NodeFlags::PFAIL.and(NodeFlags::FAIL))
    }

    pub(super) fn in_handshake(&self) -> bool {
        self.flags.any(NodeFlags::HANDSHAKE)
    }

    pub(super) fn has_address(&self) -> bool {
        !self.flags.any(NodeFlags::NOADDR) && !self.ip.is_empty()
    }

    /// The name by which log lines call it, as Redis does: with the name for people.
    pub(super) fn called(&self) -> String {
        format!("{} ({})", self.id, self.human_nodename)
    }
}

/// The nodes that a node knows, with itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    places: Vec<Option<Node>>,
    names: SortedMap<NodeId, Ref>,
}

/// More nodes than any cluster has; what goes beyond is not taken in.
const MOST: usize = 20_000;

impl Nodes {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= MOST
    }

    pub(super) fn find(&self, id: NodeId) -> Option<Ref> {
        self.names.get(&id).copied()
    }

    pub(super) fn get(&self, node: Ref) -> Option<&Node> {
        self.places.get(usize::from(node.0))?.as_ref()
    }

    /// Adds a node whose name is new.
    pub(super) fn add(&mut self, node: Node) -> Ref {
        let free = self.places.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        let reference = Ref(place as u16);
        self.names.insert(node.id, reference);
        self.places[place] = Some(node);
        reference
    }

    pub(super) fn remove(&mut self, node: Ref) -> Option<Node> {
        let node = self.places.get_mut(usize::from(node.0))?.take()?;
        self.names.remove(&node.id);
        Some(node)
    }

    pub(super) fn rename(&mut self, node: Ref, id: NodeId) {
        let before = core::mem::replace(&mut self[node].id, id);
        self.names.remove(&before);
        self.names.insert(id, node);
    }

    /// All nodes, in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Ref, &Node)> {
        self.names.values().map(|node| (*node, &self[*node]))
    }

    /// The references of all nodes, in the order of their names.
    pub(super) fn refs(&self) -> Vec<Ref> {
        self.names.values().copied().collect()
    }

    /// The replicas of a node.
    pub(super) fn replicas(&self, of: Ref) -> impl Iterator<Item = (Ref, &Node)> {
        self.iter().filter(move |(_, node)| node.is_replica() && node.master == Some(of))
    }

    /// How many replicas of a node work.
    pub(super) fn working_replicas(&self, of: Ref) -> usize {
        self.replicas(of).filter(|(_, node)| !node.has_failed()).count()
    }

    pub(super) fn for_each_mut(&mut self, change: impl FnMut(&mut Node)) {
        self.places.iter_mut().flatten().for_each(change);
    }
}

impl Index<Ref> for Nodes {
    type Output = Node;

    fn index(&self, node: Ref) -> &Node {
        self.places[usize::from(node.0)].as_ref().expect("references are cut with their nodes")
    }
}

impl IndexMut<Ref> for Nodes {
    fn index_mut(&mut self, node: Ref) -> &mut Node {
        self.places[usize::from(node.0)].as_mut().expect("references are cut with their nodes")
    }
}
