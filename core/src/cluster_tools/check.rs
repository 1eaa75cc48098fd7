//! `check`, `info` and `fix`: inspect a cluster and repair it.

use crate::cluster::SlotSet;
use crate::resp::value::Value;
use crate::sharding::Slot;

use super::io::{Io, error_text, words};
use super::manager::ClusterManager;
use super::options::{Dialect, Options};
use super::{Failed, Outcome};

pub(super) async fn check(io: Io, args: &[String], options: Options) -> Outcome {
    let mut manager = ClusterManager::load(io, args, options).await?;
    if manager.io.dialect() == Dialect::Cli {
        manager.show_masters().await?;
    }
    if manager.check(true).await? { Ok(()) } else { Err(Failed) }
}

pub(super) async fn info(io: Io, args: &[String], options: Options) -> Outcome {
    ClusterManager::load(io, args, options).await?.show_masters().await
}

pub(super) async fn fix(io: Io, args: &[String], options: Options) -> Outcome {
    let mut manager = ClusterManager::load(io, args, options).await?;
    manager.fixes = true;
    if manager.io.dialect() == Dialect::Cli {
        manager.show_masters().await?;
    }
    if manager.check(true).await? { Ok(()) } else { Err(Failed) }
}

impl ClusterManager {
    /// Prints a line for each master, with its keys, slots and replicas, and the totals.
    pub(super) async fn show_masters(&self) -> Outcome {
        let asked: Vec<_> = self
            .masters()
            .into_iter()
            .map(|index| (index, self.io.send(&self.nodes[index].place, words("DBSIZE"))))
            .collect();
        let (mut keys, masters) = (0, asked.len());
        for (index, sent) in asked {
            let node = &self.nodes[index];
            let size = match sent.reply().await {
                Ok(Value::Integer(size)) => size,
                Ok(reply) => {
                    let error = error_text(&reply).unwrap_or_default();
                    return self.io.replied_with_error(&node.place, &error);
                }
                Err(trouble) => return Err(self.io.report_trouble(&node.place, &trouble)),
            };
            keys += size;
            self.io.print(format!(
                "{} ({}...) -> {size} keys | {} slots | {} slaves.\n",
                node.place,
                node.short_id(),
                node.slots.len(),
                node.replicas.unwrap_or(0)
            ));
        }
        self.io.success(format!("[OK] {keys} keys in {masters} masters."));
        let average = keys as f64 / f64::from(Slot::COUNT);
        self.io.print(format!("{average:.2} keys per slot on average.\n"));
        Ok(())
    }

    /// Checks the cluster, and repairs it if `fixes` is set. Returns whether it is healthy.
    pub(super) async fn check(&mut self, shows: bool) -> Outcome<bool> {
        let first = self.place(0);
        self.io.info(format!(">>> Performing Cluster Check (using node {first})"));
        if shows {
            self.show();
        }
        let mut well = true;
        if self.is_consistent().await {
            self.io.success("[OK] All nodes agree about slots configuration.");
        } else {
            self.record_error("[ERR] Nodes don't agree about configuration!".into());
            well = false;
        }
        self.io.info(">>> Check for open slots...");
        let open = self.open_slots();
        if !open.is_empty() {
            well = false;
            let list: Vec<String> = open.iter().map(|slot| slot.to_string()).collect();
            let list = list.join(",");
            self.io.error(format!("[WARNING] The following slots are open: {list}."));
            if self.fixes {
                well = true;
                for slot in open.iter() {
                    self.fix_open_slot(slot).await?;
                }
            }
        }
        self.io.info(">>> Check slots coverage...");
        let covered: SlotSet =
            self.masters().into_iter().flat_map(|index| self.nodes[index].slots.iter()).collect();
        if covered.len() == usize::from(Slot::COUNT) {
            self.io.success(format!("[OK] All {} slots covered.", Slot::COUNT));
        } else {
            self.record_error(format!(
                "[ERR] Not all {} slots are covered by nodes.\n",
                Slot::COUNT
            ));
            well = false;
            if self.fixes {
                well = self.fix_coverage(&covered).await?;
            }
        }
        if self.options.search_multiple_owners {
            well &= self.check_owners().await?;
        }
        Ok(well)
    }

    fn record_error(&mut self, error: String) {
        self.io.error(&error);
        self.errors.push(error);
    }

    /// The slots that any node reports as migrating or importing; prints which node reports what.
    fn open_slots(&mut self) -> SlotSet {
        let mut open = SlotSet::new();
        let mut found = Vec::new();
        for node in &self.nodes {
            for (slots, state) in [(&node.migrating, "migrating"), (&node.importing, "importing")] {
                if slots.is_empty() {
                    continue;
                }
                let list: Vec<String> = slots.keys().map(u16::to_string).collect();
                let (place, list) = (&node.place, list.join(","));
                found.push(format!("[WARNING] Node {place} has slots in {state} state {list}."));
                slots.keys().filter_map(|slot| Slot::new(*slot)).for_each(|slot| {
                    open.insert(slot);
                });
            }
        }
        found.into_iter().for_each(|error| self.record_error(error));
        open
    }

    async fn check_owners(&mut self) -> Outcome<bool> {
        self.io.info(">>> Check for multiple slot owners...");
        let (mut well, mut left) = (true, 0);
        for slot in Slot::all() {
            let owners = self.owners(slot);
            if owners.len() < 2 {
                continue;
            }
            let count = owners.len();
            self.io.error(format!("[WARNING] Slot {slot} has {count} owners:"));
            owners.iter().for_each(|owner| {
                self.io.error(format!("    {}", self.nodes[*owner].place));
            });
            if !self.fixes {
                (well, left) = (false, left + 1);
            } else if self.fix_owners(slot, owners).await.is_err() {
                let message = format!("Failed to fix multiple owners for slot {slot}");
                return self.io.fail(message);
            }
        }
        if left == 0 {
            self.io.success("[OK] No multiple owners found.");
        }
        Ok(well)
    }
}
