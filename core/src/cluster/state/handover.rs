//! Atomic slot migration (`CLUSTER MIGRATESLOTS`): slots change owners in one step, after all their
//! keys have been copied. `server::cluster::handover` copies the keys.

use super::{Cluster, Local, NodeId};
use crate::cluster::SlotSet;
use crate::machine::LogLevel;
use crate::sharding::Slot;

impl Cluster {
    /// Refuses commands on these slots until this is called with `None`.
    pub fn close_slots(&mut self, slots: Option<SlotSet>) {
        self.closed = slots.map(Box::new);
    }

    /// The slots on which commands are refused.
    #[inline]
    pub fn closed_slots(&self) -> Option<&SlotSet> {
        self.closed.as_deref()
    }

    /// Records that keys of these slots are arriving. `nodes.conf` stores this, so that the node
    /// deletes such keys if it crashes meanwhile.
    pub fn set_arriving(&mut self, local: Local, slots: &SlotSet) {
        self.begin(local);
        self.mark_arriving(slots);
        self.finish();
    }

    fn mark_arriving(&mut self, slots: &SlotSet) {
        slots.iter().for_each(|slot| {
            self.arriving.insert(slot);
        });
        self.todo.save = true;
        self.todo.sync = true;
    }

    /// Whether keys in slots that this node does not own are recorded in `nodes.conf`.
    pub fn has_arriving(&self) -> bool {
        !self.arriving.is_empty()
    }

    /// The slots whose keys were arriving and may not all have been deleted.
    pub fn arriving_slots(&self) -> &SlotSet {
        &self.arriving
    }

    /// Clears and returns the slots whose keys were arriving: none of their keys is left.
    pub fn take_arriving(&mut self, local: Local) -> SlotSet {
        self.begin(local);
        let slots = core::mem::take(&mut self.arriving);
        self.todo.save |= !slots.is_empty();
        self.finish();
        slots
    }

    /// Reserves the epoch in which this node will take over slots. It is the largest, and all nodes
    /// are told of it now, so that an election in this shard later gets a larger one.
    pub fn reserve_epoch(&mut self, local: Local) -> u64 {
        self.begin(local);
        let epoch = self.largest_epoch() + 1;
        self.announce(epoch);
        self.finish();
        epoch
    }

    /// Another node has reserved this epoch to take over slots. All nodes are told of it, for the
    /// same reason.
    pub fn announce_epoch(&mut self, local: Local, epoch: u64) {
        self.begin(local);
        self.announce(epoch);
        self.finish();
    }

    /// This node's primary has reserved this epoch to take over slots.
    pub fn learn_epoch(&mut self, local: Local, epoch: u64) {
        self.begin(local);
        self.todo.save |= epoch > self.current_epoch;
        self.current_epoch = self.current_epoch.max(epoch);
        self.finish();
    }

    fn announce(&mut self, epoch: u64) {
        self.current_epoch = self.current_epoch.max(epoch);
        self.todo.save = true;
        self.pong_to_all();
    }

    /// Takes ownership of slots whose keys are all here, in the reserved epoch, which makes the
    /// other nodes accept the claim. False if the current owner has an epoch at least as large by
    /// now.
    #[must_use]
    pub fn take_over_slots(&mut self, local: Local, slots: &SlotSet, epoch: u64) -> bool {
        let mut owners = slots.iter().filter_map(|slot| self.owner(slot));
        if owners.any(|owner| self.nodes[owner].config_epoch >= epoch) {
            return false;
        }
        self.begin(local);
        let me = &mut self.nodes[self.myself];
        // Meanwhile this node may have taken over other slots in a larger epoch.
        me.config_epoch = me.config_epoch.max(epoch);
        let epoch = me.config_epoch;
        self.log(LogLevel::Notice, || format!("configEpoch set to {epoch} for migrated slots"));
        self.claim(slots);
        self.finish();
        true
    }

    /// Takes ownership of slots in the current config epoch, since their owner has handed them
    /// over.
    pub fn claim_slots(&mut self, local: Local, slots: &SlotSet) {
        self.begin(local);
        self.claim(slots);
        self.finish();
    }

    fn claim(&mut self, slots: &SlotSet) {
        for slot in slots.iter() {
            self.arriving.remove(slot);
            self.delete_slot(slot);
            self.add_slot(self.myself, slot);
        }
        self.todo.save = true;
        self.todo.sync = true;
        self.todo.state = true;
        self.pong_to_all();
    }

    /// Gives this node a new epoch, larger than any in which another node could take its slots
    /// over.
    pub fn keep_slots(&mut self, local: Local) {
        self.begin(local);
        self.bump_epoch();
        self.pong_to_all();
        self.finish();
    }

    /// Whether a node has answered a ping that was sent at or after this time (monotonic clock, in
    /// milliseconds), so that its present claims are known.
    pub fn has_answered_since(&self, node: NodeId, at: u64) -> bool {
        let node = self.nodes.find(node).and_then(|node| self.nodes.get(node));
        node.is_some_and(|node| node.answered >= Some(at))
    }

    /// Whether all other primaries that have not failed have answered a ping since this time.
    pub fn primaries_have_answered_since(&self, at: u64) -> bool {
        let others = self.nodes.iter().filter(|(node, _)| *node != self.myself);
        let mut primaries = others
            .filter(|(_, node)| node.is_primary() && node.has_address() && !node.has_failed());
        primaries.all(|(_, node)| node.answered >= Some(at))
    }

    /// Whether a node has failed and no replica of it can take its place any more: it has none, or
    /// one has already done so.
    pub fn is_given_up(&self, node: NodeId) -> bool {
        let Some(node) = self.nodes.find(node) else { return true };
        self.nodes[node].has_failed() && self.nodes.working_replicas(node) == 0
    }

    /// Whether the owner of a slot no longer claims it, and no other node does.
    pub fn is_given_away(&self, slot: Slot) -> bool {
        self.is_unclaimed(slot)
    }

    /// Records that slots of this node have a new owner, which has announced it.
    pub fn hand_over(&mut self, local: Local, slots: &SlotSet, to: NodeId) {
        self.begin(local);
        if let Some(node) = self.nodes.find(to) {
            let mut claims = self.nodes[node].slots.clone();
            slots.iter().for_each(|slot| {
                claims.insert(slot);
            });
            // After a crash, keys that have not been deleted yet must not make this node claim the
            // slots again.
            self.mark_arriving(slots);
            // The new owner has just created its epoch, so it is the largest.
            self.take_claims(node, u64::MAX, &claims);
        }
        self.finish();
    }
}
