//! `reshard`: moves slots from several masters to one.

use crate::sharding::Slot;

use super::io::Io;
use super::manager::ClusterManager;
use super::options::{Dialect, Options};
use super::slots::MoveOptions;
use super::{Failed, Outcome};

/// A slot, and the index of its source node.
pub(super) type PlannedMove = (Slot, usize);

pub(super) async fn reshard(io: Io, args: &[String], options: Options) -> Outcome {
    let mut manager = ClusterManager::load(io, args, options).await?;
    manager.check(true).await?;
    if !manager.errors.is_empty() {
        manager.io.print_error("*** Please fix your cluster problems before resharding");
        return Err(Failed);
    }
    let slots = manager.ask_slot_count().await?;
    let target = manager.ask_target().await?;
    let sources = manager.sources(target).await?;
    if sources.is_empty() {
        manager.io.print_error("*** No source nodes given, operation aborted.");
        return Err(Failed);
    }
    manager.io.print(format!("\nReady to move {slots} slots.\n  Source nodes:\n"));
    let dialect = manager.io.dialect();
    let describe = |index: usize| manager.nodes[index].describe(4, dialect);
    sources.iter().for_each(|index| manager.io.print(describe(*index)));
    manager.io.print(format!("  Destination node:\n{}", describe(target)));
    let steps = plan(&manager, &sources, slots);
    manager.io.print("  Resharding plan:\n");
    for (slot, source) in &steps {
        let id = &manager.nodes[*source].id;
        manager.io.print(format!("    Moving slot {slot} from {id}\n"));
    }
    if !manager.options.yes {
        let question = "Do you want to proceed with the proposed reshard plan (yes/no)? ";
        if manager.io.ask(question).await? != "yes" {
            return Err(Failed);
        }
    }
    for steps in steps.chunk_by(|(_, a), (_, b)| a == b) {
        let source = steps[0].1;
        let slots: Vec<Slot> = steps.iter().map(|(slot, _)| *slot).collect();
        let moved = manager.move_slots(source, target, &slots, MoveOptions::default(), "").await;
        if let Err(reason) = moved {
            return match reason.is_empty() {
                true => Err(Failed),
                false => manager.io.fail(format!("clusterManagerMoveSlot failed: {reason}")),
            };
        }
    }
    Ok(())
}

/// Which slots to take from which node: from each in proportion to its share of all slots, rounded
/// up for the largest.
pub(super) fn plan(manager: &ClusterManager, sources: &[usize], slots: usize) -> Vec<PlannedMove> {
    let mut sources = sources.to_vec();
    sources.sort_by_key(|index| core::cmp::Reverse(manager.nodes[*index].slots.len()));
    let total: usize = sources.iter().map(|index| manager.nodes[*index].slots.len()).sum();
    let mut steps: Vec<PlannedMove> = Vec::new();
    for (number, index) in sources.iter().enumerate() {
        let owned = &manager.nodes[*index].slots;
        let share = slots as f32 / total as f32 * owned.len() as f32;
        let share = if number == 0 { share.ceil() } else { share.floor() } as usize;
        let left = slots - steps.len();
        steps.extend(owned.iter().take(share.min(left)).map(|slot| (slot, *index)));
    }
    steps
}

impl ClusterManager {
    async fn ask_slot_count(&self) -> Outcome<usize> {
        if let Some(slots) = self.options.slots.filter(|slots| *slots > 0) {
            return Ok(slots);
        }
        let question = format!("How many slots do you want to move (from 1 to {})? ", Slot::COUNT);
        loop {
            let answer = self.io.ask(&question).await?;
            match answer.parse() {
                Ok(slots) if (1..=usize::from(Slot::COUNT)).contains(&slots) => return Ok(slots),
                _ => {}
            }
        }
    }

    async fn ask_target(&self) -> Outcome<usize> {
        if let Some(id) = &self.options.to {
            return self.master_named(id).ok_or(Failed);
        }
        loop {
            let id = self.io.ask("What is the receiving node ID? ").await?;
            match self.master_named(&id) {
                Some(index) => return Ok(index),
                // Redis 4 asks again.
                None if self.io.dialect() == Dialect::Trib => {}
                None => return Err(Failed),
            }
        }
    }

    async fn sources(&self, target: usize) -> Outcome<Vec<usize>> {
        let all_others = || {
            let mut masters = self.masters();
            masters.retain(|index| *index != target);
            masters
        };
        let mut sources = Vec::new();
        if let Some(from) = &self.options.from {
            for id in from.split(',') {
                if id == "all" {
                    return Ok(all_others());
                }
                if let Some(source) = self.source_named(id, target)? {
                    sources.push(source);
                }
            }
            return Ok(sources);
        }
        self.io.print(
            "Please enter all the source node IDs.\n  \
             Type 'all' to use all the nodes as source nodes for the hash slots.\n  \
             Type 'done' once you entered all the source nodes IDs.\n",
        );
        let blank = if self.io.dialect() == Dialect::Trib { "" } else { " " };
        loop {
            let question = format!("Source node #{}:{blank}", sources.len() + 1);
            let answer = self.io.ask(&question).await?;
            match answer.as_str() {
                "" => {}
                "done" => return Ok(sources),
                "all" => return Ok(all_others()),
                id => match self.source_named(id, target) {
                    Ok(source) => sources.extend(source),
                    Err(_) if self.io.dialect() == Dialect::Trib => {}
                    Err(failed) => return Err(failed),
                },
            }
        }
    }

    /// The index of a source node. Prints an error and returns `None` if it is the target; fails if
    /// no master has this ID.
    fn source_named(&self, id: &str, target: usize) -> Outcome<Option<usize>> {
        let source = self.master_named(id).ok_or(Failed)?;
        if source == target {
            self.io.error("*** It is not possible to use the target node as source node.");
            return Ok(None);
        }
        Ok(Some(source))
    }

    /// The index of the master with this ID; prints an error if there is none.
    fn master_named(&self, id: &str) -> Option<usize> {
        let known = self.by_id(id).filter(|index| !self.nodes[*index].is_replica());
        if known.is_none() {
            self.io.error(format!(
                "*** The specified node ({id}) is not known or not a master, please retry."
            ));
        }
        known
    }
}
