//! Slot ownership. When two nodes claim a slot, the larger config epoch wins.

use std::sync::Arc;

use super::{Cluster, Effect, NodeFlags, NodeRef, UNOWNED};
use crate::cluster::SlotSet;
use crate::machine::LogLevel;
use crate::sharding::Slot;

/// How long a primary does not serve after its start, in milliseconds: it may not have heard of a
/// failover yet.
const WRITABLE_AFTER: u64 = 2_000;

/// Bounds, in milliseconds, of how long a primary that was in a minority does not serve. Between
/// them the time is the node timeout.
const MAX_REJOIN_DELAY: u64 = 5_000;
const MIN_REJOIN_DELAY: u64 = 500;

impl Cluster {
    /// Assigns a slot that has no owner.
    pub(super) fn add_slot(&mut self, node: NodeRef, slot: Slot) {
        if self.owner(slot).is_some() {
            return;
        }
        Arc::make_mut(&mut self.owners)[usize::from(slot)] = node;
        let first = self.nodes[node].slots.is_empty();
        self.nodes[node].slots.insert(slot);
        // A primary with its first slot becomes a target of replica migration, if any primary has
        // replicas.
        if first && self.nodes.iter().any(|(_, node)| node.is_replica() && node.master.is_some()) {
            self.nodes[node].flags.set(NodeFlags::MIGRATE_TO);
        }
        self.reroute();
    }

    /// Takes a slot from its owner. Returns whether it had one.
    pub(super) fn delete_slot(&mut self, slot: Slot) -> bool {
        let Some(owner) = self.owner(slot) else { return false };
        Arc::make_mut(&mut self.owners)[usize::from(slot)] = UNOWNED;
        self.nodes[owner].slots.remove(slot);
        self.unclaimed.remove(slot);
        self.reroute();
        true
    }

    pub(super) fn delete_slots_of(&mut self, node: NodeRef) {
        let slots = self.nodes[node].slots.clone();
        slots.iter().for_each(|slot| {
            self.delete_slot(slot);
        });
    }

    pub(super) fn close_all_slots(&mut self) {
        self.migrating.clear();
        self.importing.clear();
    }

    /// Whether a slot is unclaimed: it has no owner, or its owner no longer claims it.
    pub(super) fn is_unclaimed(&self, slot: Slot) -> bool {
        self.owner(slot).is_none() || self.unclaimed.contains(slot)
    }

    /// Handles a primary's claim to slots. It gets those that have no owner, or one with a smaller
    /// epoch. This node becomes its replica if it has taken the last slots of this node or of its
    /// primary.
    pub(super) fn take_claims(&mut self, sender: NodeRef, epoch: u64, slots: &SlotSet) {
        if sender == self.myself {
            self.log(LogLevel::Notice, || "Discarding UPDATE message about myself.".to_owned());
            return;
        }
        let mine = if self.me().is_primary() { Some(self.myself) } else { self.me().master };
        let mut taken_from_mine = 0;
        let mut lost = SlotSet::new();
        let confirmed = self.unclaimed.iter().filter(|slot| slots.contains(*slot));
        let confirmed: Vec<Slot> =
            confirmed.filter(|slot| self.owner(*slot) == Some(sender)).collect();
        for slot in confirmed {
            self.unclaimed.remove(slot);
        }
        // Most claims name thousands of slots, nearly all of which the sender is already known to
        // own.
        for slot in slots.without(&self.nodes[sender].slots).iter() {
            let owner = self.owner(slot);
            // The owner of a slot that is being imported is only changed by CLUSTER SETSLOT.
            if self.importing.contains_key(&slot) {
                continue;
            }
            let outdated = |owner: NodeRef| self.nodes[owner].config_epoch < epoch;
            if !(self.is_unclaimed(slot) || owner.is_some_and(outdated)) {
                continue;
            }
            if owner.is_some() && owner == mine {
                taken_from_mine += 1;
                lost.insert(slot);
            }
            self.delete_slot(slot);
            self.add_slot(sender, slot);
            self.todo.save = true;
            self.todo.sync = true;
            self.todo.state = true;
        }
        let given_up = self.nodes[sender].slots.without(slots);
        given_up.iter().for_each(|slot| {
            self.unclaimed.insert(slot);
        });
        let left_without =
            taken_from_mine > 0 && mine.is_some_and(|mine| self.nodes[mine].slots.is_empty());
        let took_all_it_has = slots.len() == taken_from_mine;
        if left_without && (self.settings.allow_replica_migration || took_all_it_has) {
            let called = self.nodes[sender].called();
            self.log(LogLevel::Notice, || {
                format!(
                    "Configuration change detected. Reconfiguring myself as a replica of {called}"
                )
            });
            self.become_replica_of(sender);
            self.todo.sync = true;
        } else if let Some(master) = self.me().master
            && let Some(grandmaster) = self.nodes[master].master
            && grandmaster != self.myself
        {
            let called = self.nodes[grandmaster].called();
            self.log(LogLevel::Notice, || {
                format!(
                    "I'm a sub-replica! Reconfiguring myself as a replica of grandmaster {called}"
                )
            });
            self.become_replica_of(grandmaster);
            self.todo.sync = true;
        } else if !lost.is_empty() {
            self.outgoing.push(Effect::DropKeys(lost));
        }
    }

    /// Marks a node as a primary.
    pub(super) fn set_primary(&mut self, node: NodeRef) {
        if self.nodes[node].is_primary() {
            return;
        }
        let other = &mut self.nodes[node];
        if other.master.take().is_some() && node != self.myself {
            other.flags.set(NodeFlags::MIGRATE_TO);
        }
        other.flags.clear(NodeFlags::SLAVE);
        other.flags.set(NodeFlags::MASTER);
        self.todo.save = true;
        self.todo.state = true;
    }

    /// Makes this node a replica of another. This node must not own slots.
    pub(super) fn become_replica_of(&mut self, master: NodeRef) {
        if master == self.myself {
            return;
        }
        if self.me().is_primary() {
            let me = &mut self.nodes[self.myself];
            me.flags.clear(NodeFlags::MASTER.and(NodeFlags::MIGRATE_TO));
            me.flags.set(NodeFlags::SLAVE);
            self.close_all_slots();
        }
        let shard = self.nodes[master].shard;
        let me = &mut self.nodes[self.myself];
        me.master = Some(master);
        me.shard = shard;
        self.follow(master);
        self.end_manual_failover();
        self.todo.save = true;
        self.todo.state = true;
    }

    /// Makes the server replicate a node.
    pub(super) fn follow(&mut self, master: NodeRef) {
        let node = &self.nodes[master];
        let (host, port) = (node.ip.clone(), node.port);
        if !node.has_address() {
            // `cron` follows it as soon as its address is known.
            self.following = None;
            return;
        }
        self.following = Some(master);
        self.outgoing.push(Effect::Follow { host, port });
        self.reroute();
    }

    /// The address of the primary that a node which was just loaded has to replicate, if it is a
    /// replica and the address is known. The server replicates it from the start.
    pub fn resume_role(&mut self) -> Option<(String, u16)> {
        let master = self.me().master.filter(|_| self.i_am_replica())?;
        let node = self.nodes.get(master).filter(|node| node.has_address())?;
        let address = (node.ip.clone(), node.port);
        self.following = Some(master);
        Some(address)
    }

    /// Gives this node a config epoch larger than all that it knows, without consensus. Returns
    /// whether it did not have the largest one already.
    pub(super) fn bump_epoch(&mut self) -> bool {
        let largest = self.largest_epoch();
        if self.me().config_epoch != 0 && self.me().config_epoch == largest {
            return false;
        }
        self.current_epoch += 1;
        let epoch = self.current_epoch;
        self.nodes[self.myself].config_epoch = epoch;
        self.todo.save = true;
        self.todo.sync = true;
        self.log(LogLevel::Notice, || format!("New configEpoch set to {epoch}"));
        true
    }

    pub(super) fn largest_epoch(&self) -> u64 {
        let epochs = self.nodes.iter().map(|(_, node)| node.config_epoch);
        epochs.max().unwrap_or(0).max(self.current_epoch)
    }

    /// Resolves a collision of config epochs: of two primaries, the one with the smaller ID takes a
    /// new epoch.
    pub(super) fn resolve_epoch_collision(&mut self, other: NodeRef) {
        let (me, sender) = (self.me(), &self.nodes[other]);
        let collide = me.config_epoch == sender.config_epoch
            && me.is_primary()
            && sender.is_primary()
            && sender.id > me.id;
        if !collide {
            return;
        }
        let called = sender.called();
        self.current_epoch += 1;
        let epoch = self.current_epoch;
        self.nodes[self.myself].config_epoch = epoch;
        self.todo.save = true;
        self.todo.sync = true;
        self.log(LogLevel::Verbose, || {
            format!("WARNING: configEpoch collision with node {called}. configEpoch set to {epoch}")
        });
    }

    /// Recomputes whether the cluster is up: all slots have owners that have not failed, and most
    /// primaries can be reached.
    pub(super) fn update_state(&mut self) {
        let now = self.now();
        let first_update = *self.first_update.get_or_insert(now);
        let just_started = now.saturating_sub(first_update) < WRITABLE_AFTER;
        self.size = self.nodes.iter().filter(|(_, node)| node.votes()).count();
        if self.me().is_primary() && !self.up && just_started {
            return;
        }
        let reachable =
            self.nodes.iter().filter(|(_, node)| node.votes() && !node.is_unreachable()).count();
        let mut up = !self.settings.require_full_coverage || self.covers_all_slots();
        if reachable < self.quorum() {
            up = false;
            self.minority_at = Some(now);
        }
        if up == self.up {
            return;
        }
        let delay = self.settings.node_timeout.clamp(MIN_REJOIN_DELAY, MAX_REJOIN_DELAY);
        let was_in_minority = self.minority_at.is_some_and(|at| now.saturating_sub(at) < delay);
        if up && self.me().is_primary() && was_in_minority {
            return;
        }
        self.up = up;
        let (level, state) =
            if up { (LogLevel::Notice, "ok") } else { (LogLevel::Warning, "fail") };
        self.log(level, || format!("Cluster state changed: {state}"));
        self.reroute();
    }

    fn covers_all_slots(&self) -> bool {
        let working = self.nodes.iter().filter(|(_, node)| !node.has_failed());
        let covered: usize = working.map(|(_, node)| node.slots.len()).sum();
        covered == usize::from(Slot::COUNT)
    }

    /// Tells the server that routes have changed; at most once in each call from outside.
    pub(super) fn reroute(&mut self) {
        self.rerouted = true;
    }
}
