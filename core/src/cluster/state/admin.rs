//! The changes that the subcommands of `CLUSTER` make. Errors have Redis's texts.

use core::net::IpAddr;

use super::nodes::Node;
use super::{Cluster, Effect, Local, NodeFlags, NodeId, NodeRef};
use crate::cluster::SlotSet;
use crate::cluster::bus::Kind;
use crate::machine::LogLevel;
use crate::sharding::Slot;

/// What `CLUSTER SETSLOT` does to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetSlot<'a> {
    /// MIGRATING: the slot is being moved to this node.
    Migrating(&'a [u8]),
    /// IMPORTING: the slot is being moved from this node.
    Importing(&'a [u8]),
    /// STABLE: the slot is no longer being moved.
    Stable,
    /// NODE: the slot belongs to this node.
    Node(&'a [u8]),
}

/// The variants of `CLUSTER FAILOVER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManualFailover {
    /// With the cooperation of the primary.
    Agreed,
    /// FORCE: without the primary, but with an election.
    Force,
    /// TAKEOVER: without an election.
    Takeover,
}

/// The variants of `CLUSTER RESET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Forget the other nodes and the slots.
    Soft,
    /// Like SOFT, and reset the epochs and change the node's ID.
    Hard,
}

/// Which incoming messages a node drops, for tests (`DEBUG DROP-CLUSTER-PACKET-FILTER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketFilter {
    /// All messages.
    All,
    /// Messages of this type, by its number in the bus protocol.
    Kind(u16),
}

/// Which links to a node `DEBUG CLUSTERLINK KILL` cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkDirection {
    /// The link that this node opened.
    To,
    /// The link that the other node opened.
    From,
    /// Both.
    All,
}

/// How long a forgotten node is banned, in milliseconds.
const FORGET_BAN: u64 = 60_000;

impl Cluster {
    /// `CLUSTER MEET`
    pub fn meet(&mut self, local: Local, ip: &str, port: i64, bus_port: i64) -> Result<(), String> {
        let refusal = || Err(format!("Invalid node address specified: {ip}:{port}"));
        let Ok(address) = ip.parse::<IpAddr>() else { return refusal() };
        let (Ok(tcp), Ok(bus)) = (u16::try_from(port), u16::try_from(bus_port)) else {
            return refusal();
        };
        if tcp == 0 || bus == 0 {
            return refusal();
        }
        self.begin(local);
        let ip = address.to_string();
        let under_way = self.nodes.iter().any(|(_, node)| {
            node.in_handshake() && node.ip == ip && node.port == tcp && node.bus_port == bus
        });
        if !under_way && !self.nodes.is_full() {
            let (id, shard) = (NodeId::random(&mut self.rng), NodeId::random(&mut self.rng));
            let flags = NodeFlags::HANDSHAKE.and(NodeFlags::MEET);
            let mut node = Node::new(id, shard, flags, self.now());
            (node.ip, node.port, node.bus_port) = (ip, tcp, bus);
            self.nodes.add(node);
        }
        self.finish();
        Ok(())
    }

    /// `CLUSTER ADDSLOTS`, `ADDSLOTSRANGE`
    pub fn add_slots(&mut self, local: Local, slots: &SlotSet) -> Result<(), String> {
        if let Some(busy) = slots.iter().find(|slot| self.owner(*slot).is_some()) {
            return Err(format!("Slot {busy} is already busy"));
        }
        self.begin(local);
        for slot in slots.iter() {
            self.importing.remove(&slot);
            self.add_slot(self.myself, slot);
        }
        self.slots_changed();
        Ok(())
    }

    /// `CLUSTER DELSLOTS`, `DELSLOTSRANGE`
    pub fn delete_slots(&mut self, local: Local, slots: &SlotSet) -> Result<(), String> {
        if let Some(free) = slots.iter().find(|slot| self.owner(*slot).is_none()) {
            return Err(format!("Slot {free} is already unassigned"));
        }
        self.begin(local);
        for slot in slots.iter() {
            self.importing.remove(&slot);
            self.delete_slot(slot);
        }
        self.slots_changed();
        Ok(())
    }

    /// `CLUSTER FLUSHSLOTS`. The caller has checked that the server has no keys.
    pub fn flush_slots(&mut self, local: Local) {
        self.begin(local);
        self.delete_slots_of(self.myself);
        self.slots_changed();
    }

    fn slots_changed(&mut self) {
        self.todo.save = true;
        self.todo.state = true;
        self.finish();
    }

    /// `CLUSTER SETSLOT`. `keys` is the number of keys that this node has in the slot.
    pub fn set_slot(
        &mut self,
        local: Local,
        slot: Slot,
        what: SetSlot<'_>,
        keys: usize,
    ) -> Result<(), String> {
        if self.i_am_replica() {
            return Err("Please use SETSLOT only with masters.".to_owned());
        }
        let mine = self.owner(slot) == Some(self.myself);
        let primary = |name: &[u8], unknown: &str| {
            let node = NodeId::parse(name).and_then(|id| self.nodes.find(id));
            let node =
                node.ok_or_else(|| format!("{unknown} {}", String::from_utf8_lossy(name)))?;
            match self.nodes[node].is_replica() {
                true => Err("Target node is not a master".to_owned()),
                false => Ok(node),
            }
        };
        match what {
            SetSlot::Migrating(_) if !mine => {
                return Err(format!("I'm not the owner of hash slot {slot}"));
            }
            SetSlot::Importing(_) if mine => {
                return Err(format!("I'm already the owner of hash slot {slot}"));
            }
            SetSlot::Migrating(name) => {
                let node = primary(name, "I don't know about node")?;
                self.begin(local);
                self.migrating.insert(slot, node);
            }
            SetSlot::Importing(name) => {
                let node = primary(name, "I don't know about node")?;
                self.begin(local);
                self.importing.insert(slot, node);
            }
            SetSlot::Stable => {
                self.begin(local);
                self.importing.remove(&slot);
                self.migrating.remove(&slot);
            }
            SetSlot::Node(name) => {
                let node = primary(name, "Unknown node")?;
                if mine && node != self.myself && keys > 0 {
                    return Err(format!(
                        "Can't assign hashslot {slot} to a different node while I still hold keys \
                         for this hash slot."
                    ));
                }
                self.begin(local);
                self.assign(slot, node, keys);
            }
        }
        self.slots_changed();
        Ok(())
    }

    fn assign(&mut self, slot: Slot, node: NodeRef, keys: usize) {
        if keys == 0 {
            self.migrating.remove(&slot);
        }
        let was_mine = self.owner(slot) == Some(self.myself);
        self.delete_slot(slot);
        self.add_slot(node, slot);
        let empty = self.me().slots.is_empty();
        if was_mine && node != self.myself && empty && self.settings.allow_replica_migration {
            let called = self.nodes[node].called();
            self.log(LogLevel::Notice, || {
                format!(
                    "Configuration change detected. Reconfiguring myself as a replica of {called}"
                )
            });
            self.become_replica_of(node);
            self.todo.sync = true;
        }
        if node == self.myself && self.importing.remove(&slot).is_some() {
            // The other nodes accept the new owner because its epoch is larger.
            if self.bump_epoch() {
                self.log(LogLevel::Notice, || {
                    format!("configEpoch updated after importing slot {slot}")
                });
            }
            self.pong_to_all();
        }
    }

    /// `CLUSTER BUMPEPOCH`. Returns whether the epoch was bumped, and the epoch.
    pub fn bump(&mut self, local: Local) -> (bool, u64) {
        self.begin(local);
        let bumped = self.bump_epoch();
        self.finish();
        (bumped, self.me().config_epoch)
    }

    /// `CLUSTER SET-CONFIG-EPOCH`
    pub fn set_config_epoch(&mut self, local: Local, epoch: u64) -> Result<(), String> {
        if self.nodes.len() > 1 {
            return Err("The user can assign a config epoch only when the node does not know any \
                        other node."
                .to_owned());
        }
        if self.me().config_epoch != 0 {
            return Err("Node config epoch is already non-zero".to_owned());
        }
        self.begin(local);
        self.nodes[self.myself].config_epoch = epoch;
        self.current_epoch = self.current_epoch.max(epoch);
        self.log(LogLevel::Notice, || {
            format!("configEpoch set to {epoch} via CLUSTER SET-CONFIG-EPOCH")
        });
        self.slots_changed();
        Ok(())
    }

    /// `CLUSTER FORGET`
    pub fn forget(&mut self, local: Local, name: &[u8]) -> Result<(), String> {
        let id = NodeId::parse(name);
        let Some(node) = id.and_then(|id| self.nodes.find(id)) else {
            // Another node's gossip may have had it forgotten already.
            return match id.is_some_and(|id| self.is_banned(id)) {
                true => Ok(()),
                false => Err(unknown_node(name)),
            };
        };
        if node == self.myself {
            return Err("I tried hard but I can't forget myself...".to_owned());
        }
        if self.i_am_replica() && self.me().master == Some(node) {
            return Err("Can't forget my master!".to_owned());
        }
        self.begin(local);
        self.ban(self.nodes[node].id, FORGET_BAN);
        self.delete_node(node);
        self.slots_changed();
        Ok(())
    }

    /// `CLUSTER REPLICATE`. `has_keys` is whether the server has any keys.
    pub fn replicate(&mut self, local: Local, name: &[u8], has_keys: bool) -> Result<(), String> {
        let node = self.find(name)?;
        if node == self.myself {
            return Err("Can't replicate myself".to_owned());
        }
        if self.nodes[node].is_replica() {
            return Err("I can only replicate a master, not a replica.".to_owned());
        }
        if self.me().is_primary() && (has_keys || !self.me().slots.is_empty()) {
            return Err(
                "To set a master the node must be empty and without assigned slots.".to_owned()
            );
        }
        self.begin(local);
        self.become_replica_of(node);
        self.slots_changed();
        Ok(())
    }

    /// `CLUSTER FAILOVER`
    pub fn failover(&mut self, local: Local, how: ManualFailover) -> Result<(), String> {
        if self.me().is_primary() {
            return Err("You should send CLUSTER FAILOVER to a replica".to_owned());
        }
        let Some(master) = self.me().master else {
            return Err("I'm a replica but my master is unknown to me".to_owned());
        };
        let out_of_reach = self.nodes[master].has_failed() || self.nodes[master].link.is_none();
        if how == ManualFailover::Agreed && out_of_reach {
            return Err("Master is down or failed, please use CLUSTER FAILOVER FORCE".to_owned());
        }
        self.begin(local);
        match how {
            ManualFailover::Takeover => {
                self.log(LogLevel::Notice, || "Taking over the master (user request).".to_owned());
                self.take_over();
            }
            ManualFailover::Force => {
                self.log(LogLevel::Notice, || "Forced failover user request accepted.".to_owned());
                self.force_manual_failover();
            }
            ManualFailover::Agreed => {
                self.log(LogLevel::Notice, || "Manual failover user request accepted.".to_owned());
                self.begin_manual_failover();
                self.send_to(master, crate::cluster::bus::Body::ManualFailover);
            }
        }
        self.finish();
        Ok(())
    }

    /// `CLUSTER RESET`. `has_keys` is whether the server has any keys.
    pub fn reset(&mut self, local: Local, how: Reset, has_keys: bool) -> Result<(), String> {
        if self.me().is_primary() && has_keys {
            return Err(
                "CLUSTER RESET can't be called with master nodes containing keys".to_owned()
            );
        }
        self.begin(local);
        if self.i_am_replica() {
            self.set_primary(self.myself);
            self.lead();
            self.outgoing.push(Effect::FlushAll);
        }
        self.close_all_slots();
        self.end_manual_failover();
        Slot::all().for_each(|slot| {
            self.delete_slot(slot);
        });
        for node in self.nodes.refs() {
            if node != self.myself {
                self.delete_node(node);
            }
        }
        self.banned.clear();
        if how == Reset::Hard {
            self.current_epoch = 0;
            self.last_vote_epoch = 0;
            let (id, shard) = (NodeId::random(&mut self.rng), NodeId::random(&mut self.rng));
            self.nodes.rename(self.myself, id);
            let me = &mut self.nodes[self.myself];
            me.config_epoch = 0;
            me.shard = shard;
            self.log(LogLevel::Notice, || "configEpoch set to 0 via CLUSTER RESET HARD".to_owned());
            self.log(LogLevel::Notice, || format!("Node hard reset, now I'm {id}"));
        }
        self.todo.sync = true;
        self.slots_changed();
        Ok(())
    }

    /// `CLUSTER SAVECONFIG`
    pub fn save_config(&mut self, local: Local) {
        self.begin(local);
        self.todo.save = true;
        self.finish();
    }

    /// `DEBUG DROP-CLUSTER-PACKET-FILTER`; `None` removes the filter.
    pub fn drop_packets(&mut self, filter: Option<PacketFilter>) {
        self.dropped = filter;
    }

    /// Whether the filter drops messages of this type.
    pub(super) fn drops(&self, kind: Kind) -> bool {
        match self.dropped {
            None => false,
            Some(PacketFilter::All) => true,
            Some(PacketFilter::Kind(number)) => number == kind as u16,
        }
    }

    /// `DEBUG CLUSTERLINK KILL`
    pub fn kill_links(
        &mut self,
        local: Local,
        name: &[u8],
        which: LinkDirection,
    ) -> Result<(), String> {
        let node = self.find(name)?;
        self.begin(local);
        let node = &self.nodes[node];
        let to = node.link.filter(|_| which != LinkDirection::From);
        let from = node.inbound.filter(|_| which != LinkDirection::To);
        for link in [to, from].into_iter().flatten() {
            self.cut(link);
        }
        self.finish();
        Ok(())
    }

    /// Checks the slots after the data has been loaded: this node takes slots with keys that have
    /// no owner, and marks those that others own as importing.
    pub fn check_data(&mut self, local: Local, slots_with_keys: &SlotSet) {
        if self.i_am_replica() {
            return;
        }
        self.begin(local);
        for slot in slots_with_keys.iter() {
            match self.owner(slot) {
                Some(owner) if owner == self.myself || self.importing.contains_key(&slot) => {}
                Some(owner) => {
                    self.log(LogLevel::Notice, || {
                        format!(
                            "I have keys for slot {slot}, but the slot is assigned to another \
                             node. Setting it to importing state."
                        )
                    });
                    self.importing.insert(slot, owner);
                    self.todo.save = true;
                }
                None => {
                    self.log(LogLevel::Notice, || {
                        format!(
                            "I have keys for unassigned slot {slot}. Taking responsibility for it."
                        )
                    });
                    self.add_slot(self.myself, slot);
                    self.todo.save = true;
                }
            }
        }
        self.finish();
    }

    /// Looks up a node by its ID.
    pub(super) fn find(&self, name: &[u8]) -> Result<NodeRef, String> {
        NodeId::parse(name).and_then(|id| self.nodes.find(id)).ok_or_else(|| unknown_node(name))
    }

    pub(super) fn ban(&mut self, id: NodeId, millis: u64) {
        let until = self.now().saturating_add(millis);
        self.banned.insert(id, until);
    }

    pub(super) fn is_banned(&self, id: NodeId) -> bool {
        self.banned.get(&id).is_some_and(|until| *until > self.now())
    }

    /// Removes a node, and every reference to it from slots and other nodes.
    pub(super) fn delete_node(&mut self, node: NodeRef) {
        self.delete_slots_of(node);
        self.importing.retain(|_, other| *other != node);
        self.migrating.retain(|_, other| *other != node);
        self.forget_in_manual_failover(node);
        for link in [self.nodes[node].link, self.nodes[node].inbound].into_iter().flatten() {
            self.cut(link);
        }
        self.following = self.following.filter(|other| *other != node);
        self.nodes.remove(node);
        self.nodes.for_each_mut(|other| {
            other.reports.remove(&node);
            other.master = other.master.filter(|master| *master != node);
        });
    }
}

fn unknown_node(name: &[u8]) -> String {
    format!("Unknown node {}", String::from_utf8_lossy(name))
}
