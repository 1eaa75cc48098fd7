//! Connections to and from other nodes.
//!
//! A node opens a connection to every node that it knows. It sends requests on the connections that
//! it opened, and replies on those that other nodes opened.

use std::sync::Arc;

use super::{Cluster, Effect, LinkId, Local, NodeFlags, NodeRef};
use crate::cluster::bus::{Framer, Greeting};
use crate::machine::LogLevel;

/// A connection to or from another node.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// The node at the other end, once it is known.
    pub(super) node: Option<NodeRef>,
    /// Whether the other node opened the connection.
    pub(super) inbound: bool,
    pub(super) created: u64,
    /// When it was opened, by the wall clock, for CLUSTER LINKS.
    pub(super) created_wall: u64,
    pub(super) connected: bool,
    /// The remote address, and the local one.
    pub(super) peer_ip: String,
    pub(super) local_ip: String,
    pub(super) framer: Framer,
    /// Messages to send as soon as the connection is established.
    queued: Vec<Arc<[u8]>>,
}

/// The maximum of messages queued for a connection that is not established yet. Further ones are
/// dropped, as they would be lost if the connection failed.
const MAX_QUEUED: usize = 64;

impl Cluster {
    /// A node has connected. Returns the ID of the link.
    pub fn accepted(&mut self, local: Local, peer_ip: String, local_ip: String) -> LinkId {
        self.begin(local);
        let link = self.add_link(None, peer_ip);
        if let Some(link) = self.links.get_mut(&link) {
            link.local_ip = local_ip;
            link.connected = true;
        }
        self.finish();
        link
    }

    /// A connection that was requested is established.
    pub fn connected(&mut self, local: Local, id: LinkId, local_ip: String) {
        self.begin(local);
        let Some(link) = self.links.get_mut(&id) else { return };
        link.connected = true;
        link.local_ip = local_ip;
        let queued = core::mem::take(&mut link.queued);
        if let Some(node) = link.node {
            // If an earlier PING is unanswered, the node timeout goes on counting from that one.
            let ping_sent = self.nodes[node].ping_sent;
            let meet = self.nodes[node].flags.any(NodeFlags::MEET);
            self.greet(id, if meet { Greeting::Meet } else { Greeting::Ping });
            if ping_sent.is_some() {
                self.nodes[node].ping_sent = ping_sent;
            }
        }
        for bytes in queued {
            self.outgoing.push(Effect::Send { link: id, bytes });
        }
        self.finish();
    }

    /// A link was closed, or the connection attempt failed.
    pub fn link_lost(&mut self, local: Local, link: LinkId, reason: &str) {
        self.begin(local);
        if let Some(lost) = self.forget_link(link)
            && !lost.connected
            && let Some(node) = lost.node
        {
            // The node timeout counts from the first failure.
            let now = self.now();
            let node = &mut self.nodes[node];
            node.ping_sent.get_or_insert(now);
            let (id, ip, port) = (node.id, node.ip.clone(), node.bus_port);
            self.log(LogLevel::Verbose, || {
                format!("Connection with Node {id} at {ip}:{port} failed: {reason}")
            });
        }
        self.finish();
    }

    /// Cuts a link whose output buffer has exceeded `cluster-link-sendbuf-limit`.
    pub fn link_overrun(&mut self, local: Local, id: LinkId, waiting: u64) {
        self.begin(local);
        if let Some(link) = self.links.get(&id) {
            let way = if link.inbound { "from" } else { "to" };
            let name = link.node.map(|node| self.nodes[node].id.to_string()).unwrap_or_default();
            self.log(LogLevel::Warning, || {
                format!(
                    "Freeing cluster link({way} node {name}, used memory: {waiting}) due to \
                     exceeding send buffer memory limit."
                )
            });
            self.links_overrun += 1;
            self.cut(id);
        }
        self.finish();
    }

    /// Adds a link to a node, or from a node that is not identified yet.
    pub(super) fn add_link(&mut self, node: Option<NodeRef>, peer_ip: String) -> LinkId {
        self.last_link += 1;
        let id = LinkId(self.last_link);
        let link = Link {
            node,
            inbound: node.is_none(),
            created: self.now(),
            created_wall: self.local.wall,
            connected: false,
            peer_ip,
            local_ip: String::new(),
            framer: Framer::default(),
            queued: Vec::new(),
        };
        self.links.insert(id, link);
        id
    }

    /// Closes a link.
    pub(super) fn cut(&mut self, link: LinkId) {
        if self.forget_link(link).is_some() {
            self.effects.push_back(Effect::Close { link });
        }
    }

    /// Closes the connection to a node; the next tick opens a new one.
    pub(super) fn cut_link_to(&mut self, node: NodeRef) {
        if let Some(link) = self.nodes[node].link {
            self.cut(link);
        }
    }

    fn forget_link(&mut self, id: LinkId) -> Option<Link> {
        let link = self.links.remove(&id)?;
        if let Some(node) = link.node {
            let node = &mut self.nodes[node];
            match link.inbound {
                true => node.inbound = node.inbound.filter(|other| *other != id),
                false => node.link = node.link.filter(|other| *other != id),
            }
        }
        Some(link)
    }

    /// The node at the other end of an inbound link has identified itself.
    pub(super) fn identify(&mut self, link: LinkId, node: NodeRef) {
        if let Some(before) = self.nodes[node].inbound.filter(|before| *before != link) {
            // It has opened a new connection, which replaces the old one.
            self.cut(before);
        }
        if let Some(known) = self.links.get_mut(&link) {
            known.node = Some(node);
            self.nodes[node].inbound = Some(link);
        }
    }

    /// Sends bytes once the link is established and the state that they depend on is saved.
    pub(super) fn send_bytes(&mut self, id: LinkId, bytes: Arc<[u8]>) {
        match self.links.get_mut(&id) {
            Some(link) if link.connected => self.outgoing.push(Effect::Send { link: id, bytes }),
            Some(link) if link.queued.len() < MAX_QUEUED => link.queued.push(bytes),
            _ => {}
        }
    }
}
