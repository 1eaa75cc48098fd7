//! Slots that change hands at one moment, with all their keys (`CLUSTER MIGRATESLOTS`). What happens to
//! the keys is for the server to know.

use super::{Cluster, Local, NodeId};
use crate::cluster::SlotSet;
use crate::machine::LogLevel;

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

    /// Makes slots this node's own, whose keys are all here. The others believe it because of a larger
    /// epoch, for which nobody is asked.
    pub fn take_over_slots(&mut self, local: Local, slots: &SlotSet) {
        self.begin(local);
        for slot in slots.iter() {
            self.arriving.remove(slot);
            self.delete_slot(slot);
            self.add_slot(self.myself, slot);
        }
        self.current_epoch = self.largest_epoch() + 1;
        let epoch = self.current_epoch;
        self.nodes[self.myself].config_epoch = epoch;
        self.log(LogLevel::Notice, || {
            format!("configEpoch set to {epoch} for slots that have come")
        });
        self.todo.save = true;
        self.todo.sync = true;
        self.todo.state = true;
        self.pong_to_all();
        self.finish();
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
