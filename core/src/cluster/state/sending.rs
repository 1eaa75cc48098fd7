//! Outgoing bus messages: their contents and their receivers.

use std::sync::Arc;

use super::nodes::Node;
use super::{Cluster, LinkId, NodeFlags, NodeRef};
use crate::cluster::bus::{Body, Extension, Gossip, Greeting, Header, Message};

/// The minimum number of gossip entries in a message.
const MIN_GOSSIP: usize = 3;

/// Each message has gossip about one in this many nodes. With a tenth, the messages that arrive
/// within two node timeouts (the validity of a failure report) include reports on each node from
/// most primaries.
const GOSSIP_SHARE: usize = 10;

impl Cluster {
    /// Publishes a message to subscribers at other nodes: at all nodes or, for a sharded channel,
    /// at those of this shard.
    pub fn publish(&mut self, local: super::Local, channel: &[u8], message: &[u8], sharded: bool) {
        self.begin(local);
        let body = Body::Publish { channel: channel.to_vec(), message: message.to_vec(), sharded };
        let shard = self.me().shard;
        self.broadcast_to(body, |node| !sharded || node.shard == shard);
        self.finish();
    }

    /// Sends PING, PONG or MEET, with gossip.
    pub(super) fn greet(&mut self, link: LinkId, greeting: Greeting) {
        let Some(to) = self.links.get(&link) else { return };
        let (node, inbound) = (to.node, to.inbound);
        let about = self.gossip_for(node);
        let known = node.is_some_and(|node| self.nodes[node].flags.any(NodeFlags::EXTENSIONS));
        let extensions = if known { self.extensions() } else { Vec::new() };
        if let (Some(node), Greeting::Ping, false) = (node, greeting, inbound) {
            let now = self.now();
            self.nodes[node].ping_sent = Some(now);
        }
        self.send(link, Body::Gossip { greeting, about, extensions });
    }

    /// Sends a message on a link.
    pub(super) fn send(&mut self, link: LinkId, body: Body) {
        let bytes = self.encode(body.clone());
        self.count_sent(&body, 1);
        self.send_bytes(link, bytes);
    }

    /// Sends a message to a node, if there is a connection to it.
    pub(super) fn send_to(&mut self, node: NodeRef, body: Body) {
        if let Some(link) = self.nodes[node].link {
            self.send(link, body);
        }
    }

    /// Sends a message to all nodes that can be reached.
    pub(super) fn broadcast(&mut self, body: Body) {
        self.broadcast_to(body, |_| true);
    }

    fn broadcast_to(&mut self, body: Body, wanted: impl Fn(&Node) -> bool) {
        let strangers = NodeFlags::MYSELF.and(NodeFlags::HANDSHAKE);
        let links: Vec<LinkId> = {
            let nodes = self.nodes.iter().map(|(_, node)| node);
            let known = nodes.filter(|node| !node.flags.any(strangers) && wanted(node));
            known.filter_map(|node| node.link).collect()
        };
        let bytes = self.encode(body.clone());
        self.count_sent(&body, links.len() as u64);
        for link in links {
            self.send_bytes(link, Arc::clone(&bytes));
        }
    }

    /// Sends a PONG to all nodes at once, to announce a change.
    pub(super) fn pong_to_all(&mut self) {
        self.pong_to(|_, _| true);
    }

    /// Sends a PONG with the replication offset to the other replicas of this node's primary (or to
    /// this node's replicas).
    pub(super) fn pong_to_replicas(&mut self) {
        let claimant = self.my_claimant();
        self.pong_to(|_, node| node.is_replica() && node.master == Some(claimant));
    }

    /// Sends a PONG to the primaries that may vote, with this node's opinion of other nodes.
    pub(super) fn pong_to_voters(&mut self) {
        self.pong_to(|_, node| node.votes() && !node.is_unreachable());
    }

    fn pong_to(&mut self, wanted: impl Fn(NodeRef, &Node) -> bool) {
        for node in self.nodes.refs() {
            let other = &self.nodes[node];
            if node != self.myself
                && !other.in_handshake()
                && wanted(node, other)
                && let Some(link) = other.link
            {
                self.greet(link, Greeting::Pong);
            }
        }
    }

    /// The gossip for the next message: about some random nodes, and about all that this node
    /// cannot reach.
    fn gossip_for(&mut self, receiver: Option<NodeRef>) -> Vec<Gossip> {
        let unfit = NodeFlags::HANDSHAKE.and(NodeFlags::NOADDR);
        let mut others = Vec::new();
        let mut suspects = Vec::new();
        for (reference, node) in self.nodes.iter() {
            if reference == self.myself || Some(reference) == receiver || node.flags.any(unfit) {
                continue;
            }
            if node.may_have_failed() {
                suspects.push(reference);
            } else if node.link.is_some() || !node.slots.is_empty() {
                others.push(reference);
            }
        }
        let wanted = (self.nodes.len() / GOSSIP_SHARE).max(MIN_GOSSIP).min(others.len());
        for index in 0..wanted {
            let other = self.rng.below((others.len() - index) as u64) as usize + index;
            others.swap(index, other);
        }
        others.truncate(wanted);
        others.extend(suspects);
        others.truncate(u16::MAX.into());
        others.into_iter().map(|node| self.gossip_about(&self.nodes[node])).collect()
    }

    fn gossip_about(&self, node: &Node) -> Gossip {
        let seconds = |at: Option<u64>| (self.wall_of(at) / 1_000) as u32;
        Gossip {
            node: node.id,
            ping_sent: seconds(node.ping_sent),
            pong_received: seconds(node.pong_received),
            ip: node.ip.clone(),
            port: node.port,
            other_port: node.tls_port,
            bus_port: node.bus_port,
            flags: node.flags,
        }
    }

    fn extensions(&self) -> Vec<Extension> {
        let me = self.me();
        let mut extensions = Vec::new();
        if !me.hostname.is_empty() {
            extensions.push(Extension::Hostname(me.hostname.clone()));
        }
        if !me.human_nodename.is_empty() {
            extensions.push(Extension::HumanNodename(me.human_nodename.clone()));
        }
        for (&node, &until) in self.banned.iter().filter(|(_, until)| **until > self.now()) {
            extensions.push(Extension::Forgotten { node, ttl: (until - self.now()) / 1_000 });
        }
        extensions.push(Extension::Shard(me.shard));
        extensions
    }

    fn encode(&self, body: Body) -> Arc<[u8]> {
        let header = self.header(matches!(body, Body::AuthRequest));
        Message { header, body }.encode().into()
    }

    fn header(&self, asks_for_votes: bool) -> Header {
        let me = self.me();
        let claimant = &self.nodes[self.my_claimant()];
        let manual = self.manual.is_under_way();
        Header {
            sender: Some(me.id),
            port: me.port,
            other_port: me.tls_port,
            bus_port: me.bus_port,
            ip: self.settings.announce_ip.clone().unwrap_or_default(),
            current_epoch: self.current_epoch,
            config_epoch: claimant.config_epoch,
            offset: self.local.offset,
            slots: claimant.slots.clone(),
            master: me.master.map(|master| self.nodes[master].id),
            flags: me.flags,
            down: !self.up,
            paused: me.is_primary() && manual,
            force_ack: asks_for_votes && manual,
            extensions: true,
        }
    }

    fn count_sent(&mut self, body: &Body, times: u64) {
        self.sent[body.kind() as usize] += times;
    }

    /// The wall clock at this monotonic time, in milliseconds since 1970; 0 for `None`.
    pub(super) fn wall_of(&self, at: Option<u64>) -> u64 {
        at.map_or(0, |at| self.local.wall.saturating_sub(self.now().saturating_sub(at)).max(1))
    }
}
