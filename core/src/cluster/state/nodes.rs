//! The table of known nodes.

use core::ops::{Index, IndexMut};

use super::LinkId;
use crate::cluster::{NodeFlags, NodeId, SlotSet};
use crate::sorted::SortedMap;

/// An index into [`Nodes`], valid as long as the node is known. Small, because there is one for
/// each slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeRef(u16);

impl NodeRef {
    /// No node.
    pub(super) const NONE: NodeRef = NodeRef(u16::MAX);
}

/// A known node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) shard: NodeId,
    pub(super) flags: NodeFlags,
    /// When it was added. All times are milliseconds on the monotonic clock.
    pub(super) created: u64,
    pub(super) config_epoch: u64,
    pub(super) slots: SlotSet,
    /// The primary that it replicates.
    pub(super) master: Option<NodeRef>,
    /// May be empty.
    pub(super) ip: String,
    pub(super) port: u16,
    pub(super) tls_port: u16,
    pub(super) bus_port: u16,
    pub(super) hostname: String,
    pub(super) human_nodename: String,
    /// When the PING was sent that is not answered yet.
    pub(super) ping_sent: Option<u64>,
    pub(super) pong_received: Option<u64>,
    /// When the last answered PING was sent.
    pub(super) answered: Option<u64>,
    /// When bytes last arrived from it.
    pub(super) data_received: Option<u64>,
    /// When it was marked FAIL.
    pub(super) failed_at: u64,
    /// Primaries that reported it as unreachable, with the time of their last report.
    pub(super) reports: SortedMap<NodeRef, u64>,
    /// The connection that this node opened.
    pub(super) link: Option<LinkId>,
    /// The connection that the other node opened.
    pub(super) inbound: Option<LinkId>,
    /// When this node last voted for one of its replicas (only for a primary).
    pub(super) voted_at: Option<u64>,
    /// Since when it is a primary without working replicas.
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

    /// Whether it may vote: it is a primary with slots.
    pub(super) fn votes(&self) -> bool {
        self.is_primary() && !self.slots.is_empty()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.flags.any(NodeFlags::FAIL)
    }

    pub(super) fn may_have_failed(&self) -> bool {
        self.flags.any(NodeFlags::PFAIL)
    }

    /// Whether it is marked PFAIL or FAIL.
    pub(super) fn is_unreachable(&self) -> bool {
        self.flags.any(NodeFlags::PFAIL.and(NodeFlags::FAIL))
    }

    pub(super) fn in_handshake(&self) -> bool {
        self.flags.any(NodeFlags::HANDSHAKE)
    }

    pub(super) fn has_address(&self) -> bool {
        !self.flags.any(NodeFlags::NOADDR) && !self.ip.is_empty()
    }

    /// The node's ID as in log lines of Redis, with the human-readable name.
    pub(super) fn called(&self) -> String {
        format!("{} ({})", self.id, self.human_nodename)
    }
}

/// The known nodes, including the node itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    places: Vec<Option<Node>>,
    names: SortedMap<NodeId, NodeRef>,
}

/// The maximum number of nodes, far above any real cluster. Further nodes are not added.
const MAX_NODES: usize = 20_000;

impl Nodes {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= MAX_NODES
    }

    pub(super) fn find(&self, id: NodeId) -> Option<NodeRef> {
        self.names.get(&id).copied()
    }

    pub(super) fn get(&self, node: NodeRef) -> Option<&Node> {
        self.places.get(usize::from(node.0))?.as_ref()
    }

    /// Adds a node with a new ID.
    pub(super) fn add(&mut self, node: Node) -> NodeRef {
        let free = self.places.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        let reference = NodeRef(place as u16);
        self.names.insert(node.id, reference);
        self.places[place] = Some(node);
        reference
    }

    pub(super) fn remove(&mut self, node: NodeRef) -> Option<Node> {
        let node = self.places.get_mut(usize::from(node.0))?.take()?;
        self.names.remove(&node.id);
        Some(node)
    }

    pub(super) fn rename(&mut self, node: NodeRef, id: NodeId) {
        let before = core::mem::replace(&mut self[node].id, id);
        self.names.remove(&before);
        self.names.insert(id, node);
    }

    /// All nodes, ordered by ID.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeRef, &Node)> {
        self.names.values().map(|node| (*node, &self[*node]))
    }

    /// The references of all nodes, ordered by ID.
    pub(super) fn refs(&self) -> Vec<NodeRef> {
        self.names.values().copied().collect()
    }

    /// The replicas of a node.
    pub(super) fn replicas(&self, of: NodeRef) -> impl Iterator<Item = (NodeRef, &Node)> {
        self.iter().filter(move |(_, node)| node.is_replica() && node.master == Some(of))
    }

    /// The number of working replicas of a node.
    pub(super) fn working_replicas(&self, of: NodeRef) -> usize {
        self.replicas(of).filter(|(_, node)| !node.has_failed()).count()
    }

    pub(super) fn for_each_mut(&mut self, change: impl FnMut(&mut Node)) {
        self.places.iter_mut().flatten().for_each(change);
    }
}

impl Index<NodeRef> for Nodes {
    type Output = Node;

    fn index(&self, node: NodeRef) -> &Node {
        self.places[usize::from(node.0)].as_ref().expect("references are cut with their nodes")
    }
}

impl IndexMut<NodeRef> for Nodes {
    fn index_mut(&mut self, node: NodeRef) -> &mut Node {
        self.places[usize::from(node.0)].as_mut().expect("references are cut with their nodes")
    }
}
