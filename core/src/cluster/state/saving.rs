//! Saving of `nodes.conf`, and the effects that are held back until it is on disk.
//!
//! A node must not act on a vote or an epoch that a crash could make it forget. So while such a
//! change is being written, no effect is released: no message, no change of the server's role.

use std::collections::VecDeque;

use super::nodes::Node;
use super::{Cluster, Effect, Local, NodeFlags, NodeRef};
use crate::cluster::{Direction, NodeLine, NodesConf, OpenSlot};
use crate::rng::Rng;
use crate::sorted;

/// How far the state is saved, and the effects that wait for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Saving {
    /// Number of changes so far.
    changes: u64,
    /// The last change in the file that is being written.
    writing: Option<u64>,
    /// The last change in the file on disk.
    saved: u64,
    /// The last change that must be on disk before effects are released.
    needed: u64,
    /// Effects that wait for that.
    held: VecDeque<Effect>,
}

impl Saving {
    /// Counts a change; with `sync` effects are held back until it is on disk.
    pub(super) fn changed(&mut self, sync: bool) {
        self.changes += 1;
        if sync {
            self.needed = self.changes;
        }
    }

    fn is_closed(&self) -> bool {
        self.needed > self.saved
    }
}

impl Cluster {
    /// The file of [`Effect::Save`] is on disk. (If it cannot be written, the server exits: a node
    /// that could forget its votes must not vote.)
    pub fn saved(&mut self, local: Local) {
        self.begin(local);
        if let Some(changes) = self.saving.writing.take() {
            self.saving.saved = changes;
        }
        self.finish();
    }

    /// The number of the last change, and that of the last change on disk.
    pub fn saves(&self) -> (u64, u64) {
        (self.saving.changes, self.saving.saved)
    }

    /// Starts a write if something has changed and none is under way.
    pub(super) fn save(&mut self) {
        if self.saving.writing.is_none() && self.saving.changes > self.saving.saved {
            self.saving.writing = Some(self.saving.changes);
            let text = self.nodes_conf().to_string();
            self.effects.push_back(Effect::Save { text });
        }
    }

    /// Releases the effects that need not wait any longer.
    pub(super) fn release(&mut self) {
        if core::mem::take(&mut self.rerouted) {
            self.outgoing.push(Effect::Reroute);
        }
        if self.saving.is_closed() {
            self.saving.held.extend(self.outgoing.drain(..));
        } else {
            self.effects.extend(self.saving.held.drain(..));
            self.effects.extend(self.outgoing.drain(..));
        }
    }

    /// The contents for `nodes.conf`.
    pub fn nodes_conf(&self) -> NodesConf {
        let known = self.nodes.iter().filter(|(_, node)| !node.in_handshake());
        NodesConf {
            nodes: known.map(|(node, _)| self.node_line(node)).collect(),
            current_epoch: self.current_epoch,
            last_vote_epoch: self.last_vote_epoch,
            arriving: self.arriving.clone(),
        }
    }

    /// A node as a line of `nodes.conf` or of `CLUSTER NODES`.
    pub(super) fn node_line(&self, reference: NodeRef) -> NodeLine {
        let node = &self.nodes[reference];
        let master = node.master.map(|master| &self.nodes[master]);
        let open = if reference == self.myself { self.open_slots() } else { Vec::new() };
        NodeLine {
            id: node.id,
            ip: node.ip.clone(),
            port: node.port,
            tls_port: node.tls_port,
            bus_port: node.bus_port,
            hostname: node.hostname.clone(),
            human_nodename: node.human_nodename.clone(),
            shard: Some(node.shard),
            flags: node.flags,
            master: master.map(|master| master.id),
            ping_sent: self.wall_of(node.ping_sent),
            pong_received: self.wall_of(node.pong_received),
            config_epoch: master.map_or(node.config_epoch, |master| master.config_epoch),
            connected: reference == self.myself || node.link.is_some(),
            slots: node.slots.clone(),
            open,
        }
    }

    fn open_slots(&self) -> Vec<OpenSlot> {
        let line = |slot, direction, node: NodeRef| OpenSlot {
            slot,
            direction,
            node: self.nodes[node].id,
        };
        let to = self.migrating.iter().map(|(slot, node)| line(*slot, Direction::To, *node));
        let from = self.importing.iter().map(|(slot, node)| line(*slot, Direction::From, *node));
        let mut open: Vec<OpenSlot> = to.chain(from).collect();
        sorted::sort_by_key(&mut open, |open| open.slot);
        open
    }

    /// A node restored from a file.
    pub(super) fn restore(
        settings: super::Settings,
        mut rng: Rng,
        conf: &NodesConf,
        now: u64,
    ) -> Self {
        let mut nodes = super::Nodes::default();
        let mut myself = None;
        for line in &conf.nodes {
            // Older versions do not save the shards.
            let shard = line.shard.unwrap_or_else(|| super::NodeId::random(&mut rng));
            let mut node = Node::new(line.id, shard, line.flags, now);
            node.ip.clone_from(&line.ip);
            (node.port, node.tls_port) = (line.port, line.tls_port);
            node.bus_port = line.bus_port;
            node.hostname.clone_from(&line.hostname);
            node.human_nodename.clone_from(&line.human_nodename);
            node.ping_sent = (line.ping_sent > 0).then_some(now);
            node.pong_received = (line.pong_received > 0).then_some(now);
            node.failed_at = now;
            node.config_epoch = if line.master.is_some() { 0 } else { line.config_epoch };
            let reference = nodes.add(node);
            if line.flags.any(NodeFlags::MYSELF) {
                myself = Some(reference);
            }
        }
        let myself = myself.unwrap_or_else(|| {
            let id = super::NodeId::random(&mut rng);
            let flags = NodeFlags::MYSELF.and(NodeFlags::MASTER);
            nodes.add(Node::new(id, id, flags, 0))
        });
        let mut cluster = Self::around(settings, rng, nodes, myself);
        for line in &conf.nodes {
            cluster.restore_relations(line);
        }
        cluster.current_epoch = conf.current_epoch;
        cluster.current_epoch = cluster.largest_epoch();
        cluster.last_vote_epoch = conf.last_vote_epoch;
        cluster.arriving.clone_from(&conf.arriving);
        cluster
    }

    /// Restores the primary and the moving slots of a line, which refer to other nodes.
    fn restore_relations(&mut self, line: &NodeLine) {
        let Some(node) = self.nodes.find(line.id) else { return };
        if let Some(master) = line.master.filter(|master| *master != line.id) {
            let shard = self.nodes[node].shard;
            let master = self.find_or_add(master, shard);
            self.nodes[node].master = Some(master);
            self.nodes[node].shard = self.nodes[master].shard;
        }
        line.slots.iter().for_each(|slot| self.add_slot(node, slot));
        for open in &line.open {
            let shard = super::NodeId::random(&mut self.rng);
            let other = self.find_or_add(open.node, shard);
            match open.direction {
                Direction::To => self.migrating.insert(open.slot, other),
                Direction::From => self.importing.insert(open.slot, other),
            };
        }
    }

    /// The node with this ID. A node without a line of its own is added with this shard; nothing
    /// but its ID is known.
    fn find_or_add(&mut self, id: super::NodeId, shard: super::NodeId) -> NodeRef {
        let known = self.nodes.find(id);
        known.unwrap_or_else(|| self.nodes.add(Node::new(id, shard, NodeFlags::NOADDR, 0)))
    }
}
