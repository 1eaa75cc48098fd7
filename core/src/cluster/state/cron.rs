//! Periodic work: connections, pings, failure detection, elections.

use super::{Cluster, Effect, Local, NodeFlags, NodeRef};
use crate::cluster::bus::Greeting;

/// The period of [`Cluster::tick`], in milliseconds.
const TICK: u64 = 100;

/// One node out of a random sample is pinged every so many ticks.
const PING_EVERY: u64 = 10;

/// The size of that sample; the node whose last pong is the oldest is pinged.
const PING_DRAWS: usize = 5;

impl Cluster {
    /// Does the periodic work. To be called at [`Cluster::next_tick`].
    pub fn tick(&mut self, local: Local) {
        self.begin(local);
        if local.now < self.next_tick {
            // Only an election is due.
            self.continue_election();
            return self.finish();
        }
        self.next_tick = local.now + TICK;
        self.ticks += 1;
        self.connect_all();
        if self.ticks.is_multiple_of(PING_EVERY) {
            self.ping_some();
        }
        let mut suspected = false;
        for node in self.nodes.refs() {
            suspected |= self.check_node(node);
        }
        if suspected {
            // The sooner the voters hear of it, the sooner the majority can agree on FAIL.
            self.pong_to_voters();
            self.todo.state = true;
        }
        self.check_manual_timeout();
        if self.i_am_replica() {
            if self.following.is_none()
                && let Some(master) = self.me().master
                && self.nodes[master].has_address()
            {
                self.follow(master);
            }
            self.continue_manual_failover();
            self.continue_election();
            if self.settings.allow_replica_migration && self.i_am_replica() {
                self.consider_migration();
            }
        }
        self.banned.retain(|_, until| *until > local.now);
        self.todo.state |= !self.up;
        self.finish();
    }

    /// Connects to all nodes to which there is no connection, and removes nodes whose handshake has
    /// timed out.
    fn connect_all(&mut self) {
        let (now, patience) = (self.now(), self.settings.handshake_timeout());
        for node in self.nodes.refs() {
            let other = &self.nodes[node];
            if node == self.myself || !other.has_address() {
                continue;
            }
            if other.in_handshake() && now.saturating_sub(other.created) > patience {
                self.delete_node(node);
            } else if other.link.is_none() {
                let (host, port) = (other.ip.clone(), other.bus_port);
                let link = self.add_link(Some(node), host.clone());
                self.nodes[node].link = Some(link);
                self.effects.push_back(Effect::Connect { link, host, port });
            }
        }
    }

    fn ping_some(&mut self) {
        let strangers = NodeFlags::MYSELF.and(NodeFlags::HANDSHAKE);
        let nodes = self.nodes.refs();
        let mut silent: Option<NodeRef> = None;
        for _ in 0..PING_DRAWS {
            let node = nodes[self.rng.below(nodes.len() as u64) as usize];
            let other = &self.nodes[node];
            if !self.is_connected(node) || other.ping_sent.is_some() || other.flags.any(strangers) {
                continue;
            }
            let longest = silent.map(|silent| self.nodes[silent].pong_received);
            if longest.is_none_or(|longest| longest > other.pong_received) {
                silent = Some(node);
            }
        }
        if let Some(link) = silent.and_then(|node| self.nodes[node].link) {
            self.greet(link, Greeting::Ping);
        }
    }

    fn is_connected(&self, node: NodeRef) -> bool {
        let link = self.nodes[node].link.and_then(|link| self.links.get(&link));
        link.is_some_and(|link| link.connected)
    }

    /// Pings a node that has been silent for long, and marks it PFAIL after the node timeout.
    /// Returns whether that was done now.
    fn check_node(&mut self, node: NodeRef) -> bool {
        let others = NodeFlags::MYSELF.and(NodeFlags::NOADDR).and(NodeFlags::HANDSHAKE);
        if self.nodes[node].flags.any(others) {
            return false;
        }
        let (now, timeout) = (self.now(), self.settings.node_timeout);
        let since = |at: Option<u64>| at.map_or(u64::MAX, |at| now.saturating_sub(at));
        let other = &self.nodes[node];
        let (ping_delay, data_delay) = (since(other.ping_sent), since(other.data_received));
        let waits = other.ping_sent.is_some();
        if let Some(id) = other.link
            && let Some(link) = self.links.get(&id)
            && now.saturating_sub(link.created) > timeout
            && waits
            && ping_delay.min(data_delay) > timeout / 2
        {
            // The connection itself may be broken. The next tick opens a new one.
            self.cut(id);
        }
        let other = &self.nodes[node];
        let connected = self.is_connected(node);
        let asks_for_more = self.me().is_primary() && self.manual.replica() == Some(node);
        let silent = since(other.pong_received) > self.settings.ping_interval();
        if let Some(link) = other.link.filter(|_| connected)
            && ((!waits && silent) || asks_for_more)
        {
            self.greet(link, Greeting::Ping);
            return false;
        }
        if !waits && silent && other.link.is_some() {
            // Connecting may take minutes where packets are dropped, so the node timeout counts
            // from now on.
            self.nodes[node].ping_sent = Some(now);
            return false;
        }
        if !waits || ping_delay.min(data_delay) <= timeout || other.is_unreachable() {
            return false;
        }
        self.nodes[node].flags.set(NodeFlags::PFAIL);
        self.todo.state = true;
        self.fail_if_most_agree(node);
        true
    }
}
