//! Slots that change hands at one moment, with all their keys (`CLUSTER MIGRATESLOTS`). What happens to
//! the keys is for the server to know.

use super::{Cluster, Local, NodeId};
use crate::cluster::SlotSet;
use crate::machine::LogLevel;
use crate::sharding::Slot;

impl Cluster {
    /// Carries out no command on these slots from now on, until this is called with `None`.
    pub fn close_slots(&mut self, slots: Option<SlotSet>) {
        self.closed = slots.map(Box::new);
    }

    /// The slots on which no command is carried out.
    #[inline]
    pub fn closed_slots(&self) -> Option<&SlotSet> {
        self.closed.as_deref()
    }

    /// Keys of these slots are arriving from their owner. `nodes.conf` keeps this, so that a node that
    /// crashes knows these keys for what they are.
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

    /// Whether `nodes.conf` tells of keys in slots that are not this node's.
    pub fn has_arriving(&self) -> bool {
        !self.arriving.is_empty()
    }

    /// The slots whose keys were arriving, or have not all been deleted.
    pub fn arriving_slots(&self) -> &SlotSet {
        &self.arriving
    }

    /// Takes the slots whose keys were arriving: nothing of them is here any more.
    pub fn take_arriving(&mut self, local: Local) -> SlotSet {
        self.begin(local);
        let slots = core::mem::take(&mut self.arriving);
        self.todo.save |= !slots.is_empty();
        self.finish();
        slots
    }

    /// The epoch in which this node is about to take slots over: larger than all, and told to all nodes
    /// now, so that whoever is elected in this node's place later gets a larger one.
    pub fn reserve_epoch(&mut self, local: Local) -> u64 {
        self.begin(local);
        let epoch = self.largest_epoch() + 1;
        self.announce(epoch);
        self.finish();
        epoch
    }

    /// Another node is about to take slots over in this epoch. All nodes are told, for the same reason.
    pub fn announce_epoch(&mut self, local: Local, epoch: u64) {
        self.begin(local);
        self.announce(epoch);
        self.finish();
    }

    /// The primary of this node is about to take slots over in this epoch.
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

    /// Makes slots this node's own, whose keys are all here, in the epoch that was reserved for it, which
    /// is why the others believe it. False if their owner has got as large an epoch meanwhile.
    #[must_use]
    pub fn take_over_slots(&mut self, local: Local, slots: &SlotSet, epoch: u64) -> bool {
        let mut owners = slots.iter().filter_map(|slot| self.owner(slot));
        if owners.any(|owner| self.nodes[owner].config_epoch >= epoch) {
            return false;
        }
        self.begin(local);
        let me = &mut self.nodes[self.myself];
        // It may have taken over others in a larger one since.
        me.config_epoch = me.config_epoch.max(epoch);
        let epoch = me.config_epoch;
        self.log(LogLevel::Notice, || {
            format!("configEpoch set to {epoch} for slots that have come")
        });
        self.claim(slots);
        self.finish();
        true
    }

    /// Makes slots this node's own in its present epoch, since their owner has given them to it.
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

    /// Gives this node an epoch in which no other node can have taken slots over from it.
    pub fn keep_slots(&mut self, local: Local) {
        self.begin(local);
        self.bump_epoch();
        self.pong_to_all();
        self.finish();
    }

    /// Whether a node has answered a ping that was sent at this time (on the monotonic clock, in
    /// milliseconds) or later. What it claims is known then.
    pub fn has_answered_since(&self, node: NodeId, at: u64) -> bool {
        let node = self.nodes.find(node).and_then(|node| self.nodes.get(node));
        node.is_some_and(|node| node.answered >= Some(at))
    }

    /// Whether all other primaries that work have done so.
    pub fn primaries_have_answered_since(&self, at: u64) -> bool {
        let others = self.nodes.iter().filter(|(node, _)| *node != self.myself);
        let mut primaries = others
            .filter(|(_, node)| node.is_primary() && node.has_address() && !node.has_failed());
        primaries.all(|(_, node)| node.answered >= Some(at))
    }

    /// Whether a node has failed, and no replica of it is left that could take its place: it has none,
    /// or one has done so.
    pub fn is_given_up(&self, node: NodeId) -> bool {
        let Some(node) = self.nodes.find(node) else { return true };
        self.nodes[node].has_failed() && self.nodes.working_replicas(node) == 0
    }

    /// Whether the owner of a slot has said that it is not its own any more, and no other node claims it.
    pub fn is_given_away(&self, slot: Slot) -> bool {
        self.is_unclaimed(slot)
    }

    /// Slots of this node belong to another one now, which has told so.
    pub fn hand_over(&mut self, local: Local, slots: &SlotSet, to: NodeId) {
        self.begin(local);
        if let Some(node) = self.nodes.find(to) {
            let mut claims = self.nodes[node].slots.clone();
            slots.iter().for_each(|slot| {
                claims.insert(slot);
            });
            // Until their keys have been deleted here, a crash must not make them this node's again.
            self.mark_arriving(slots);
            // Its epoch is the largest: it has just made it.
            self.take_claims(node, u64::MAX, &claims);
        }
        self.finish();
    }
}
