//! `fix`: repairs slots that are open, have no owner, or have several.

use crate::cluster::SlotSet;
use crate::resp::value::Value;
use crate::rng::Rng;
use crate::sharding::Slot;

use super::create::add_slots;
use super::io::words;
use super::manager::ClusterManager;
use super::slots::MoveOptions;
use super::{Failed, Outcome};

/// Slots without an owner, by the number of nodes that have keys in them, with these nodes.
#[derive(Default)]
struct Uncovered {
    without_keys: Vec<Slot>,
    in_one: Vec<(Slot, usize)>,
    in_many: Vec<(Slot, Vec<usize>)>,
}

impl ClusterManager {
    /// Gives every uncovered slot an owner: a node that has keys in it, if there is one.
    pub(super) async fn fix_coverage(&mut self, covered: &SlotSet) -> Outcome<bool> {
        self.refuse_if_unreachable("slots coverage")?;
        self.io.info(">>> Fixing slots coverage...");
        let uncovered = self.sort_uncovered(covered).await?;
        let total = usize::from(Slot::COUNT) - covered.len();
        let mut fixed = 0;
        if !uncovered.without_keys.is_empty() {
            let list = list(uncovered.without_keys.iter());
            let what = "The following uncovered slots have no keys across the cluster:";
            self.io.print(format!("{what}\n{list}\n"));
            let question = "Fix these slots by covering with a random node?";
            if self.io.confirm(question).await {
                let mut rng = Rng::new(self.io.seed().await);
                for slot in uncovered.without_keys {
                    let masters = self.masters();
                    let any = rng.below((masters.len() as u64).max(1)) as usize;
                    let Some(owner) = masters.get(any).copied() else { return Err(Failed) };
                    self.cover(slot, owner).await?;
                    fixed += 1;
                }
            }
        }
        if !uncovered.in_one.is_empty() {
            let list = list(uncovered.in_one.iter().map(|(slot, _)| slot));
            let what = "The following uncovered slots have keys in just one node:";
            self.io.print(format!("{what}\n{list}\n"));
            if self.io.confirm("Fix these slots by covering with those nodes?").await {
                for (slot, owner) in uncovered.in_one {
                    self.cover(slot, owner).await?;
                    fixed += 1;
                }
            }
        }
        if !uncovered.in_many.is_empty() {
            let list = list(uncovered.in_many.iter().map(|(slot, _)| slot));
            let what = "The following uncovered slots have keys in multiple nodes:";
            self.io.print(format!("{what}\n{list}\n"));
            if self.io.confirm("Fix these slots by moving keys into a single node?").await {
                for (slot, holders) in uncovered.in_many {
                    self.gather_slot(slot, &holders).await?;
                    fixed += 1;
                }
            }
        }
        Ok(fixed == total)
    }

    async fn sort_uncovered(&self, covered: &SlotSet) -> Outcome<Uncovered> {
        let mut uncovered = Uncovered::default();
        let missing: Vec<Slot> = Slot::all().filter(|slot| !covered.contains(*slot)).collect();
        let mut counts = Vec::new();
        for index in self.masters() {
            let commands = missing
                .iter()
                .map(|slot| words(&format!("CLUSTER COUNTKEYSINSLOT {slot}")))
                .collect();
            let place = self.place(index);
            let replies = self.io.send_all(&place, commands).replies().await;
            let replies = replies.map_err(|trouble| self.io.report_trouble(&place, &trouble))?;
            counts.push((index, replies));
        }
        for (number, slot) in missing.into_iter().enumerate() {
            let has_keys = |replies: &[Value]| matches!(replies.get(number), Some(Value::Integer(keys)) if *keys > 0);
            let holders: Vec<usize> = counts
                .iter()
                .filter(|(_, replies)| has_keys(replies))
                .map(|(index, _)| *index)
                .collect();
            match holders.as_slice() {
                [] => uncovered.without_keys.push(slot),
                [one] => uncovered.in_one.push((slot, *one)),
                _ => uncovered.in_many.push((slot, holders)),
            }
        }
        Ok(uncovered)
    }

    async fn cover(&mut self, slot: Slot, owner: usize) -> Outcome {
        let place = self.place(owner);
        self.io.info(format!(">>> Covering slot {slot} with {place}"));
        self.assign_owner(slot, owner).await
    }

    /// Makes the node with the most keys the owner, and moves the other nodes' keys there.
    async fn gather_slot(&mut self, slot: Slot, holders: &[usize]) -> Outcome {
        let Some(target) = self.holder_of_most(slot, holders).await? else { return Err(Failed) };
        let place = self.place(target);
        self.io.info(format!(">>> Covering slot {slot} moving keys to {place}"));
        self.assign_owner(slot, target).await?;
        let id = self.nodes[target].id.clone();
        for source in holders.iter().copied().filter(|source| *source != target) {
            let from = self.place(source);
            // Keys can only be read in a slot that is served, so the slot is opened temporarily.
            self.state(source, slot, &format!("IMPORTING {id}")).await?;
            let how = MoveOptions { cold: true, ..MoveOptions::default() };
            if let Err(reason) = self.move_slot(source, target, slot, how).await {
                return self.io.replied_with_error(&from, &reason);
            }
            self.state(source, slot, "STABLE").await?;
        }
        Ok(())
    }

    /// Makes a node the owner of a slot without one, in a new epoch that wins over other claims.
    async fn assign_owner(&mut self, slot: Slot, owner: usize) -> Outcome {
        let place = self.place(owner);
        let del = words(&format!("CLUSTER DELSLOTS {slot}"));
        // DELSLOTS fails if the slot is unassigned, which is the normal case.
        self.io.reply(&place, del).await?;
        self.io.expect(&place, add_slots(core::iter::once(slot))).await?;
        self.state(owner, slot, "STABLE").await?;
        self.io.expect(&place, words("CLUSTER BUMPEPOCH")).await?;
        self.nodes[owner].slots.insert(slot);
        Ok(())
    }

    async fn state(&self, index: usize, slot: Slot, state: &str) -> Outcome {
        let place = self.place(index);
        match self.set_slot(&place, slot, state).await {
            Ok(()) => Ok(()),
            Err(error) => self.io.replied_with_error(&place, &error),
        }
    }

    async fn holder_of_most(&self, slot: Slot, among: &[usize]) -> Outcome<Option<usize>> {
        let mut best: Option<(i64, usize)> = None;
        for index in among {
            let keys = self.keys_in_slot(&self.place(*index), slot).await?;
            if best.is_none_or(|(most, _)| keys > most) {
                best = Some((keys, *index));
            }
        }
        Ok(best.map(|(_, index)| index))
    }

    /// Closes an open slot by finishing or undoing its migration.
    pub(super) async fn fix_open_slot(&mut self, slot: Slot) -> Outcome {
        self.refuse_if_unreachable("open slots")?;
        self.io.info(format!(">>> Fixing open slot {slot}"));
        let owners = self.owners(slot);
        let mut owner = owners.first().copied().filter(|_| owners.len() == 1);
        let (mut migrating, mut importing) = (Vec::new(), Vec::new());
        for index in self.masters() {
            let node = &self.nodes[index];
            if node.migrating.contains_key(&slot.number()) {
                migrating.push(index);
            } else if node.importing.contains_key(&slot.number()) {
                importing.push(index);
            } else if Some(index) != owner {
                let place = node.place.clone();
                if self.keys_in_slot(&place, slot).await? > 0 {
                    let what = format!("*** Found keys about slot {slot} in non-owner node");
                    self.io.warn(format!("{what} {place}!"));
                    importing.push(index);
                }
            }
        }
        let places = |those: &[usize]| {
            let places: Vec<_> = those.iter().map(|index| self.place(*index).to_string()).collect();
            places.join(",")
        };
        let (migrating_text, importing_text) = (places(&migrating), places(&importing));
        if !migrating.is_empty() {
            self.io.print(format!("Set as migrating in: {migrating_text}\n"));
        }
        if !importing.is_empty() {
            self.io.print(format!("Set as importing in: {importing_text}\n"));
        }
        if owner.is_none() {
            let elected = self.elect_owner(slot, &owners).await?;
            for index in owners.iter().filter(|index| **index != elected) {
                let del = words(&format!("CLUSTER DELSLOTS {slot}"));
                self.io.reply(&self.place(*index), del).await?;
                let id = self.nodes[elected].id.clone();
                self.state(*index, slot, &format!("IMPORTING {id}")).await?;
                self.nodes[*index].slots.remove(slot);
                importing.push(*index);
            }
            migrating.retain(|index| *index != elected);
            importing.retain(|index| *index != elected);
            importing.sort_unstable();
            importing.dedup();
            owner = Some(elected);
        }
        let Some(owner) = owner else { return Err(Failed) };
        self.close_slot(slot, owner, &migrating, &importing).await
    }

    async fn elect_owner(&mut self, slot: Slot, owners: &[usize]) -> Outcome<usize> {
        self.io.info(">>> No single clear owner for the slot, selecting an owner by # of keys...");
        let among = if owners.is_empty() { self.masters() } else { owners.to_vec() };
        let Some(elected) = self.holder_of_most(slot, &among).await? else {
            return self.io.fail("[ERR] Can't select a slot owner. Impossible to fix.");
        };
        let place = self.place(elected);
        self.io.warn(format!("*** Configuring {place} as the slot owner"));
        self.state(elected, slot, "STABLE").await?;
        self.assign_owner(slot, elected).await?;
        Ok(elected)
    }

    async fn close_slot(
        &mut self,
        slot: Slot,
        owner: usize,
        migrating: &[usize],
        importing: &[usize],
    ) -> Outcome {
        let warm = MoveOptions::default();
        match (migrating, importing) {
            ([source], [target]) => {
                let (from, to) = (self.place(*source), self.place(*target));
                self.io.info(format!(">>> Case 1: Moving slot {slot} from {from} to {to}"));
                self.moved(*source, *target, slot, warm).await
            }
            ([], [_, ..]) => {
                let (to, id) = (self.place(owner), self.nodes[owner].id.clone());
                self.io
                    .info(format!(">>> Case 2: Moving all the {slot} slot keys to its owner {to}"));
                for source in importing.iter().copied().filter(|source| *source != owner) {
                    self.moved(source, owner, slot, MoveOptions { cold: true, ..warm }).await?;
                    let from = self.place(source);
                    self.io.info(format!(">>> Setting {slot} as STABLE in {from}"));
                    self.state(source, slot, "STABLE").await?;
                }
                for index in self.masters().into_iter().filter(|index| *index != owner) {
                    self.state(index, slot, &format!("NODE {id}")).await?;
                }
                Ok(())
            }
            ([source], [_, _, ..]) => self.close_among_many(slot, owner, *source, importing).await,
            ([source], []) => {
                let place = self.place(*source);
                // Other nodes must not be left with keys of the slot.
                if *source != owner && self.keys_in_slot(&place, slot).await? > 0 {
                    return self.cannot_fix(owner, migrating, importing);
                }
                self.io.info(format!(">>> Case 4: Closing slot {slot} on {place}"));
                self.state(*source, slot, "STABLE").await
            }
            _ => self.cannot_fix(owner, migrating, importing),
        }
    }

    /// Closes a slot with one migrating and several importing nodes.
    async fn close_among_many(
        &mut self,
        slot: Slot,
        owner: usize,
        source: usize,
        importing: &[usize],
    ) -> Outcome {
        for index in importing {
            if self.keys_in_slot(&self.place(*index), slot).await? > 0 {
                return self.cannot_fix(owner, &[source], importing);
            }
        }
        let to = self.nodes[source].migrating.get(&slot.number()).cloned();
        let target =
            importing.iter().copied().find(|index| to.as_ref() == Some(&self.nodes[*index].id));
        if let Some(target) = target {
            let (from, to) = (self.place(source), self.place(target));
            self.io.info(format!(
                ">>> Case 3: Moving slot {slot} from {from} to {to} and closing it on all the \
                 other importing nodes."
            ));
            self.moved(source, target, slot, MoveOptions::default()).await?;
        } else {
            self.io.info(format!(
                ">>> Case 3: Closing slot {slot} on both migrating and importing nodes."
            ));
            self.state(source, slot, "STABLE").await?;
        }
        for index in importing.iter().copied().filter(|index| Some(*index) != target) {
            self.state(index, slot, "STABLE").await?;
        }
        Ok(())
    }

    async fn moved(&mut self, from: usize, to: usize, slot: Slot, how: MoveOptions) -> Outcome {
        match self.move_slot(from, to, slot, how).await {
            Ok(()) => Ok(()),
            Err(reason) => self.io.replied_with_error(&self.place(from), &reason),
        }
    }

    fn cannot_fix(&self, owner: usize, from: &[usize], to: &[usize]) -> Outcome {
        let places = |those: &[usize]| {
            let places: Vec<_> = those.iter().map(|index| self.place(*index).to_string()).collect();
            places.join(",")
        };
        self.io.fail(format!(
            "[ERR] Sorry, redis-cli can't fix this slot yet (work in progress). Slot is set as \
             migrating in {}, as importing in {}, owner is {}",
            places(from),
            places(to),
            self.place(owner)
        ))
    }

    /// Gives a slot that several nodes claim to the one with the most keys.
    pub(super) async fn fix_owners(&mut self, slot: Slot, owners: Vec<usize>) -> Outcome {
        self.io.info(format!(">>> Fixing multiple owners for slot {slot}..."));
        let Some(owner) = self.holder_of_most(slot, &owners).await? else { return Err(Failed) };
        let (place, id) = (self.place(owner), self.nodes[owner].id.clone());
        self.io.info(format!(">>> Setting slot {slot} owner: {place}"));
        self.assign_owner(slot, owner).await?;
        for index in owners.into_iter().filter(|index| *index != owner) {
            let del = words(&format!("CLUSTER DELSLOTS {slot}"));
            self.io.reply(&self.place(index), del).await?;
            self.state(index, slot, &format!("IMPORTING {id}")).await?;
            self.moved(index, owner, slot, MoveOptions { cold: true, ..MoveOptions::default() })
                .await?;
            self.state(index, slot, "STABLE").await?;
            self.nodes[index].slots.remove(slot);
        }
        for index in self.masters().into_iter().filter(|index| *index != owner) {
            self.state(index, slot, &format!("NODE {id}")).await?;
        }
        Ok(())
    }

    fn refuse_if_unreachable(&self, what: &str) -> Outcome {
        let count = self.unreachable_masters;
        if count == 0 || self.options.fix_with_unreachable_masters {
            return Ok(());
        }
        self.io.warn(format!(
            "*** Fixing {what} with {count} unreachable masters is dangerous: redis-cli will \
             assume that slots about masters that are not reachable are not covered, and will try \
             to reassign them to the reachable nodes. This can cause data loss and is rarely what \
             you want to do. If you really want to proceed use the \
             --cluster-fix-with-unreachable-masters option."
        ));
        Err(Failed)
    }
}

/// Slots in the tool's notation: `[0-5],[7]`.
fn list<'s>(slots: impl Iterator<Item = &'s Slot>) -> String {
    let slots: SlotSet = slots.copied().collect();
    let range = |(first, last): (Slot, Slot)| match first == last {
        true => format!("[{first}]"),
        false => format!("[{first}-{last}]"),
    };
    slots.ranges().map(range).collect::<Vec<_>>().join(",")
}
