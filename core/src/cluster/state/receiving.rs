//! Handling of incoming messages.

use super::nodes::Node;
use super::{Cluster, Effect, LinkId, Local, NodeFlags, NodeRef};
use crate::cluster::bus::{
    BadFrame, Body, Extension, Gossip, Greeting, Header, Malformed, Message, decode,
};
use crate::cluster::{NodeId, SlotSet};
use crate::machine::LogLevel;

/// How far ahead a time in another node's gossip may be, in milliseconds, to be accepted.
const CLOCK_TOLERANCE: u64 = 500;

/// The flags that are taken over from gossip when a node is added.
const GOSSIPED: NodeFlags = NodeFlags::MASTER
    .and(NodeFlags::SLAVE)
    .and(NodeFlags::PFAIL)
    .and(NodeFlags::FAIL)
    .and(NodeFlags::NOFAILOVER)
    .and(NodeFlags::MIGRATE_TO)
    .and(NodeFlags::EXTENSIONS);

/// The sender of a message, and the link on which it arrived.
#[derive(Clone, Copy)]
struct From {
    link: LinkId,
    /// The node at the other end of the link, even during the handshake.
    peer: Option<NodeRef>,
    inbound: bool,
    /// The sender, if it is a known node.
    sender: Option<NodeRef>,
}

impl Cluster {
    /// Handles bytes that arrived on a link.
    pub fn receive(&mut self, local: Local, link: LinkId, bytes: &[u8]) {
        self.begin(local);
        let Some(entry) = self.links.get_mut(&link) else { return };
        let mut framer = core::mem::take(&mut entry.framer);
        framer.push(bytes);
        // A message may close the link.
        while self.links.contains_key(&link) {
            match framer.next_frame() {
                Ok(Some(frame)) => self.receive_frame(link, frame),
                Ok(None) => break,
                Err(BadFrame) => {
                    let peer = self.links.get(&link).map(|link| link.peer_ip.clone());
                    let peer = peer.unwrap_or_default();
                    self.log(LogLevel::Warning, || {
                        format!(
                            "Bad message length or signature received on the Cluster bus from \
                             {peer}"
                        )
                    });
                    self.cut(link);
                }
            }
        }
        if let Some(entry) = self.links.get_mut(&link) {
            entry.framer = framer;
        }
        self.finish();
    }

    fn receive_frame(&mut self, link: LinkId, frame: &[u8]) {
        let message = match decode(frame) {
            Ok(message) => message,
            Err(malformed) => return self.log_malformed(malformed, frame.len()),
        };
        if self.drops(message.body.kind()) {
            return;
        }
        self.received[message.body.kind() as usize] += 1;
        let Some(from) = self.sender(link, &message) else { return };
        self.update_sender(from.sender, &message.header);
        let Message { header, body } = message;
        match body {
            Body::Gossip { greeting, about, extensions } => {
                self.receive_greeting(from, greeting, &header, &about, &extensions);
            }
            Body::Fail(node) => self.receive_fail(from.sender, node, &header),
            Body::Publish { channel, message, sharded } => {
                if from.sender.is_some() {
                    self.outgoing.push(Effect::Publish { channel, message, sharded });
                }
            }
            Body::AuthRequest => {
                if let Some(sender) = from.sender {
                    self.vote(sender, &header);
                }
            }
            Body::AuthAck => {
                if let Some(sender) = from.sender {
                    self.count_vote(sender, header.current_epoch);
                }
            }
            Body::ManualFailover => {
                if let Some(sender) = from.sender {
                    self.pause_for(sender, from.link);
                }
            }
            Body::Update { node, config_epoch, slots } => {
                if from.sender.is_some() {
                    self.receive_update(node, config_epoch, &slots);
                }
            }
            Body::Module { .. } => {}
        }
    }

    fn log_malformed(&mut self, malformed: Malformed, len: usize) {
        let text = match malformed {
            // As in Redis, messages of other protocol versions are ignored silently.
            Malformed::Version(_) => return,
            Malformed::Kind(number) => format!("Received unknown packet type: {number}"),
            Malformed::Length(kind) => {
                format!(
                    "Received invalid {} packet of length {len}: its length does not fit its contents",
                    kind.name()
                )
            }
            Malformed::Padding(kind) => {
                format!("Received a {} packet without proper padding", kind.name())
            }
            Malformed::Name(kind) => {
                format!("Received a {} packet about an impossible node name", kind.name())
            }
        };
        self.log(LogLevel::Warning, || text);
    }

    /// Finds the sender of a message: the node that the link belongs to or, if that is not known
    /// yet, the node named in the message.
    fn sender(&mut self, id: LinkId, message: &Message) -> Option<From> {
        let link = self.links.get(&id)?;
        let (peer, inbound) = (link.node, link.inbound);
        if let Some(peer) = peer.filter(|peer| !self.nodes[*peer].in_handshake()) {
            return Some(From { link: id, peer: Some(peer), inbound, sender: Some(peer) });
        }
        let sender = message.header.sender.and_then(|name| self.nodes.find(name));
        if let Some(sender) = sender.filter(|_| peer.is_none()) {
            self.identify(id, sender);
            return Some(From { link: id, peer: Some(sender), inbound, sender: Some(sender) });
        }
        Some(From { link: id, peer, inbound, sender })
    }

    /// Updates what every message says about its sender: it is alive, its epochs, its offset.
    fn update_sender(&mut self, sender: Option<NodeRef>, header: &Header) {
        let Some(sender) = sender else { return };
        let now = self.now();
        let node = &mut self.nodes[sender];
        if header.extensions {
            node.flags.set(NodeFlags::EXTENSIONS);
        }
        node.data_received = Some(now);
        if node.in_handshake() || sender == self.myself {
            return;
        }
        node.offset = header.offset;
        self.current_epoch = self.current_epoch.max(header.current_epoch);
        if header.config_epoch > node.config_epoch {
            node.config_epoch = header.config_epoch;
            self.todo.save = true;
            self.todo.sync = true;
        }
        let from_my_primary = self.i_am_replica() && self.me().master == Some(sender);
        if from_my_primary && header.paused {
            self.primary_has_paused(header.offset);
        }
    }

    fn receive_greeting(
        &mut self,
        from: From,
        greeting: Greeting,
        header: &Header,
        about: &[Gossip],
        extensions: &[Extension],
    ) {
        if greeting != Greeting::Pong {
            self.learn_own_ip(from.link, greeting);
            if from.sender.is_none() && greeting == Greeting::Meet {
                self.receive_meet(from.link, header);
                self.receive_gossip(None, about);
            }
            self.greet(from.link, Greeting::Pong);
        }
        if let Some(sender) = from.sender
            && self.nodes[sender].flags.any(NodeFlags::MEET)
        {
            self.nodes[sender].flags.clear(NodeFlags::MEET);
            let called = self.nodes[sender].called();
            self.log(LogLevel::Notice, || {
                format!("Successfully completed handshake with {called}")
            });
        }
        let sender = match from.peer.filter(|_| !from.inbound) {
            Some(peer) => match self.check_identity(from, peer, header) {
                Some(known) => known,
                None => return,
            },
            None => from.sender,
        };
        if let Some(peer) = from.peer.filter(|_| !from.inbound && greeting == Greeting::Pong) {
            self.answered(peer);
        }
        let Some(sender) = sender.filter(|sender| *sender != self.myself) else { return };
        let nofailover = header.flags.any(NodeFlags::NOFAILOVER);
        self.nodes[sender].flags.clear(NodeFlags::NOFAILOVER);
        if nofailover {
            self.nodes[sender].flags.set(NodeFlags::NOFAILOVER);
        }
        if greeting == Greeting::Ping
            && !self.nodes[sender].in_handshake()
            && self.update_address(sender, from.link, header)
        {
            self.todo.save = true;
            self.todo.state = true;
        }
        self.learn_role(sender, header);
        self.learn_slots(sender, header);
        if self.me().is_primary()
            && self.nodes[sender].is_primary()
            && header.config_epoch == self.me().config_epoch
        {
            self.resolve_epoch_collision(sender);
        }
        self.receive_gossip(Some(sender), about);
        if self.nodes.get(sender).is_some() {
            self.receive_extensions(sender, extensions);
        }
    }

    /// A node does not know its own address: it takes the local address of a connection that
    /// another node opened to it.
    fn learn_own_ip(&mut self, link: LinkId, greeting: Greeting) {
        let unknown = self.me().ip.is_empty();
        if self.settings.announce_ip.is_some() || !(unknown || greeting == Greeting::Meet) {
            return;
        }
        let Some(ip) = self.links.get(&link).map(|link| link.local_ip.clone()) else { return };
        if !ip.is_empty() && ip != self.me().ip {
            self.log(LogLevel::Notice, || format!("IP address for this node updated to {ip}"));
            self.nodes[self.myself].ip = ip;
            self.todo.save = true;
        }
    }

    /// Handles MEET from an unknown node: adds it, and starts a handshake with it.
    fn receive_meet(&mut self, link: LinkId, header: &Header) {
        if self.nodes.is_full() {
            return;
        }
        let Some(ip) = self.announced_ip(link, header) else { return };
        let (id, shard) = (NodeId::random(&mut self.rng), NodeId::random(&mut self.rng));
        let mut node = Node::new(id, shard, NodeFlags::HANDSHAKE, self.now());
        node.ip = ip;
        (node.port, node.tls_port) = (header.port, header.other_port);
        node.bus_port = header.bus_port;
        self.nodes.add(node);
        self.todo.save = true;
    }

    /// Checks that a reply on a connection that this node opened comes from the expected node.
    /// `None` if the link was closed.
    fn check_identity(
        &mut self,
        from: From,
        peer: NodeRef,
        header: &Header,
    ) -> Option<Option<NodeRef>> {
        if self.nodes[peer].in_handshake() {
            if let Some(sender) = from.sender {
                let called = self.nodes[sender].called();
                self.log(LogLevel::Verbose, || {
                    format!(
                        "Handshake: we already know node {called}, updating the address if needed."
                    )
                });
                if self.update_address(sender, from.link, header) {
                    self.todo.save = true;
                    self.todo.state = true;
                }
                self.delete_node(peer);
                return None;
            }
            let name = header.sender?;
            self.nodes.rename(peer, name);
            let role = header.flags.0 & NodeFlags::MASTER.and(NodeFlags::SLAVE).0;
            let node = &mut self.nodes[peer];
            node.flags.clear(NodeFlags::HANDSHAKE);
            node.flags.set(NodeFlags(role));
            self.todo.save = true;
            self.log(LogLevel::Debug, || format!("Handshake with node {name} completed."));
            // The rest of the message is ignored; the next one is handled in full.
            return Some(None);
        }
        if header.sender != Some(self.nodes[peer].id) {
            let node = &mut self.nodes[peer];
            node.flags.set(NodeFlags::NOADDR);
            node.ip.clear();
            (node.port, node.tls_port, node.bus_port) = (0, 0, 0);
            let id = node.id;
            self.log(LogLevel::Debug, || {
                format!("PONG contains mismatching sender ID. About node {id}")
            });
            self.cut(from.link);
            self.todo.save = true;
            return None;
        }
        Some(from.sender)
    }

    /// Handles a PONG of a node.
    fn answered(&mut self, node: NodeRef) {
        let now = self.now();
        let other = &mut self.nodes[node];
        other.pong_received = Some(now);
        other.answered = other.ping_sent.take().or(other.answered);
        if other.may_have_failed() {
            other.flags.clear(NodeFlags::PFAIL);
            self.todo.save = true;
            self.todo.state = true;
        } else if other.has_failed() {
            self.clear_failure_if_safe(node);
        }
    }

    /// The address that a node announces, or else that of its connection.
    fn announced_ip(&self, link: LinkId, header: &Header) -> Option<String> {
        if header.ip.is_empty() {
            let link = self.links.get(&link)?;
            return Some(link.peer_ip.clone()).filter(|ip| !ip.is_empty());
        }
        Some(header.ip.clone())
    }

    /// Updates the address of a node that pings from another one. Returns whether it changed.
    fn update_address(&mut self, node: NodeRef, link: LinkId, header: &Header) -> bool {
        if self.nodes[node].link == Some(link) || node == self.myself {
            return false;
        }
        let Some(ip) = self.announced_ip(link, header) else { return false };
        let other = &self.nodes[node];
        if (other.port, other.tls_port, other.bus_port)
            == (header.port, header.other_port, header.bus_port)
            && other.ip == ip
        {
            return false;
        }
        self.cut_link_to(node);
        let other = &mut self.nodes[node];
        other.ip = ip;
        (other.port, other.tls_port) = (header.port, header.other_port);
        other.bus_port = header.bus_port;
        other.flags.clear(NodeFlags::NOADDR);
        let (called, ip, port) = (other.called(), other.ip.clone(), other.port);
        self.log(LogLevel::Notice, || {
            format!("Address updated for node {called}, now {ip}:{port}")
        });
        if self.i_am_replica() && self.me().master == Some(node) {
            self.follow(node);
        }
        true
    }

    /// Updates the role and the primary of the sender.
    fn learn_role(&mut self, sender: NodeRef, header: &Header) {
        let Some(master) = header.master else { return self.set_primary(sender) };
        if self.nodes[sender].is_primary() {
            self.delete_slots_of(sender);
            let node = &mut self.nodes[sender];
            node.flags.clear(NodeFlags::MASTER.and(NodeFlags::MIGRATE_TO));
            node.flags.set(NodeFlags::SLAVE);
            self.todo.save = true;
            self.todo.state = true;
        } else if !self.nodes[sender].is_replica() {
            self.nodes[sender].flags.set(NodeFlags::SLAVE);
        }
        let Some(master) = self.nodes.find(master).filter(|master| *master != sender) else {
            return;
        };
        if self.nodes[sender].master != Some(master) {
            self.nodes[sender].master = Some(master);
            self.nodes[sender].shard = self.nodes[master].shard;
            self.todo.save = true;
        }
    }

    /// Compares the slots in the header with the known owners. Newer claims are accepted; a sender
    /// whose claims are outdated is sent an UPDATE.
    fn learn_slots(&mut self, sender: NodeRef, header: &Header) {
        let node = &self.nodes[sender];
        let claimant = if node.is_primary() { Some(sender) } else { node.master };
        let Some(claimant) = claimant.and_then(|claimant| self.nodes.get(claimant)) else { return };
        if claimant.slots == header.slots {
            return;
        }
        if node.is_primary() {
            self.take_claims(sender, header.config_epoch, &header.slots);
        }
        let newer_owner = header.slots.iter().find_map(|slot| {
            let owner = self.owner(slot).filter(|owner| *owner != sender)?;
            let newer = self.nodes[owner].config_epoch > header.config_epoch;
            (newer && !self.is_unclaimed(slot)).then_some(owner)
        });
        let Some(owner) = newer_owner else { return };
        let (about, to) = (self.nodes[owner].id, self.nodes[sender].id);
        self.log(LogLevel::Verbose, || {
            format!(
                "Node {to} has old slots configuration, sending an UPDATE message about {about}"
            )
        });
        let node = &self.nodes[owner];
        let slots = node.slots.without(&self.unclaimed);
        let config_epoch = node.config_epoch;
        self.send_to(sender, Body::Update { node: about, config_epoch, slots });
    }

    fn receive_gossip(&mut self, sender: Option<NodeRef>, about: &[Gossip]) {
        for gossip in about {
            match self.nodes.find(gossip.node) {
                Some(node) => self.gossip_about_known(sender, node, gossip),
                None => self.gossip_about_unknown(sender, gossip),
            }
        }
    }

    fn gossip_about_known(&mut self, sender: Option<NodeRef>, node: NodeRef, gossip: &Gossip) {
        if node == self.myself {
            return;
        }
        let failing = gossip.flags.any(NodeFlags::PFAIL.and(NodeFlags::FAIL));
        if let Some(sender) = sender.filter(|sender| self.nodes[*sender].votes())
            && sender != node
        {
            self.record_failure_report(sender, node, failing);
        }
        if failing {
            return;
        }
        // A pong that another node received counts as if this node had received it.
        let seen = u64::from(gossip.pong_received) * 1_000;
        if self.nodes[node].ping_sent.is_none()
            && self.failure_reports(node) == 0
            && !gossip.flags.any(NodeFlags::PFAIL.and(NodeFlags::FAIL))
            && seen <= self.local.wall + CLOCK_TOLERANCE
            && seen > self.wall_of(self.nodes[node].pong_received)
        {
            let ago = self.local.wall.saturating_sub(seen);
            self.nodes[node].pong_received = Some(self.now().saturating_sub(ago));
        }
        let other = &self.nodes[node];
        let moved = (other.port, other.tls_port, other.bus_port)
            != (gossip.port, gossip.other_port, gossip.bus_port)
            || !other.ip.eq_ignore_ascii_case(&gossip.ip);
        if other.is_unreachable() && !gossip.flags.any(NodeFlags::NOADDR) && moved {
            self.cut_link_to(node);
            let other = &mut self.nodes[node];
            set_address(other, gossip);
            other.flags.clear(NodeFlags::NOADDR);
        }
    }

    /// Adds an unknown node if a known node gossips about it. Its ID is known, so another node at
    /// its address cannot be mistaken for it.
    fn gossip_about_unknown(&mut self, sender: Option<NodeRef>, gossip: &Gossip) {
        if sender.is_none()
            || gossip.flags.any(NodeFlags::NOADDR)
            || gossip.ip.is_empty()
            || self.is_banned(gossip.node)
            || self.nodes.is_full()
        {
            return;
        }
        let shard = NodeId::random(&mut self.rng);
        let flags = NodeFlags(gossip.flags.0 & GOSSIPED.0);
        let mut node = Node::new(gossip.node, shard, flags, self.now());
        set_address(&mut node, gossip);
        node.failed_at = self.now();
        self.nodes.add(node);
    }

    fn receive_extensions(&mut self, sender: NodeRef, extensions: &[Extension]) {
        let (mut hostname, mut human_nodename, mut shard) = ("", "", None);
        for extension in extensions {
            match extension {
                Extension::Hostname(text) => hostname = text,
                Extension::HumanNodename(text) => human_nodename = text,
                Extension::Shard(id) => shard = Some(*id),
                Extension::Forgotten { node, ttl } => self.receive_forgotten(sender, *node, *ttl),
                Extension::Unknown(number) => self
                    .log(LogLevel::Warning, || format!("Received unknown extension type {number}")),
            }
        }
        let Some(node) = self.nodes.get(sender) else { return };
        let is_primary = node.master.is_none();
        if node.hostname != hostname || node.human_nodename != human_nodename {
            let node = &mut self.nodes[sender];
            node.hostname = hostname.to_owned();
            node.human_nodename = human_nodename.to_owned();
            self.todo.save = true;
        }
        if let Some(shard) = shard.filter(|_| is_primary) {
            self.learn_shard(sender, shard);
        }
    }

    /// Takes over a primary's shard ID, also for its replicas. What replicas say is ignored: if
    /// their primary's version does not send the ID, each node has made one up.
    fn learn_shard(&mut self, primary: NodeRef, shard: NodeId) {
        let replicas = self.nodes.replicas(primary).map(|(replica, _)| replica);
        let members: Vec<NodeRef> = replicas.chain([primary]).collect();
        for member in members {
            self.todo.save |= self.nodes[member].shard != shard;
            self.nodes[member].shard = shard;
        }
    }

    fn receive_forgotten(&mut self, sender: NodeRef, id: NodeId, ttl: u64) {
        let Some(node) = self.nodes.find(id) else { return };
        let my_primary = self.i_am_replica() && self.me().master == Some(node);
        if node == self.myself || node == sender || my_primary {
            return;
        }
        self.ban(id, ttl.saturating_mul(1_000));
        self.delete_node(node);
        self.todo.save = true;
        self.todo.state = true;
    }

    fn receive_fail(&mut self, sender: Option<NodeRef>, about: NodeId, header: &Header) {
        let Some(sender) = sender else {
            let name = header.sender.map(|name| name.to_string()).unwrap_or_default();
            return self.log(LogLevel::Notice, || {
                format!("Ignoring FAIL message from unknown node {name} about {about}")
            });
        };
        let Some(node) = self.nodes.find(about) else { return };
        if node == self.myself || self.nodes[node].has_failed() {
            return;
        }
        let (from, about) = (self.nodes[sender].called(), self.nodes[node].called());
        self.log(LogLevel::Notice, || format!("FAIL message received from {from} about {about}"));
        self.mark_failed(node);
    }

    fn receive_update(&mut self, about: NodeId, config_epoch: u64, slots: &SlotSet) {
        let Some(node) = self.nodes.find(about) else { return };
        if self.nodes[node].config_epoch >= config_epoch {
            return;
        }
        if node != self.myself {
            self.set_primary(node);
            self.nodes[node].config_epoch = config_epoch;
            self.todo.save = true;
            self.todo.sync = true;
        }
        self.take_claims(node, config_epoch, slots);
    }
}

fn set_address(node: &mut Node, gossip: &Gossip) {
    node.ip.clone_from(&gossip.ip);
    (node.port, node.tls_port) = (gossip.port, gossip.other_port);
    node.bus_port = gossip.bus_port;
}
