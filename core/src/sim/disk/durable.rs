//! Durability of a disk: syncing files and directories, and the state after a power loss.

use super::{Change, Disk, Entry, Node, NodeId, parent};
use crate::machine::DiskError;
use crate::rng::Rng;
use crate::sorted::{SortedMap, SortedSet};

impl Disk {
    pub(in crate::sim) fn sync(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.synced = node.content.len;
            node.shadow = None;
        }
    }

    pub(in crate::sim) fn sync_dir(&mut self, path: &str) -> Result<(), DiskError> {
        self.expect_dir(path)?;
        let path = &*self.follow(path)?.into_owned();
        // A change that affects other directories, and earlier changes there, are synced as well.
        let mut dirs = SortedSet::from([path.to_string()]);
        let changes = core::mem::take(&mut self.changes);
        for change in changes.into_iter().rev() {
            if change.dirs.is_disjoint(&dirs) {
                self.changes.push(change);
            } else {
                dirs.extend(change.dirs.iter().cloned());
                self.changes.push(Change { dirs: SortedSet::new(), ..change });
            }
        }
        self.changes.reverse();
        let (done, rest) = core::mem::take(&mut self.changes)
            .into_iter()
            .partition::<Vec<_>, _>(|change| change.dirs.is_empty());
        self.changes = rest;
        for change in done {
            apply(&mut self.durable, change.sets);
        }
        self.collect_all();
        Ok(())
    }

    /// Simulates a power loss. Returns how many bytes of remaining files were lost.
    pub(in crate::sim) fn lose_power(&mut self, rng: &mut Rng, scattered: bool) -> u64 {
        // Each directory keeps its changes up to a random point; a shared change is lost with the
        // first directory that loses it.
        let mut cut = SortedSet::new();
        for change in core::mem::take(&mut self.changes) {
            if rng.below(4) == 0 {
                cut.extend(change.dirs.iter().cloned());
            }
            if cut.is_disjoint(&change.dirs) {
                apply(&mut self.durable, change.sets);
            } else {
                cut.extend(change.dirs);
            }
        }
        // A name survives only if its directory does.
        let durable = core::mem::take(&mut self.durable);
        for (path, entry) in durable {
            let up = parent(&path);
            if up == "/" || self.durable.get(up) == Some(&Entry::Dir) {
                self.durable.insert(path, entry);
            }
        }
        self.names.clone_from(&self.durable);
        self.locks.clear();
        let mut lost = 0;
        for node in self.nodes.values_mut() {
            node.open = 0;
            lost += node.lose_power(rng, scattered);
        }
        self.collect_all();
        self.held = self.nodes.values().map(|n| n.content.len).sum();
        lost
    }

    pub(super) fn change(&mut self, sets: Vec<(String, Option<Entry>)>) {
        let gone: Vec<NodeId> = sets
            .iter()
            .filter_map(|(path, _)| match self.names.get(path) {
                Some(Entry::File(id) | Entry::Link(id)) => Some(*id),
                _ => None,
            })
            .collect();
        let dirs = sets.iter().map(|(path, _)| parent(path).to_string()).collect();
        apply(&mut self.names, sets.clone());
        self.changes.push(Change { dirs, sets });
        for id in gone {
            self.collect(id);
        }
    }

    /// Removes a file without names that no process has open.
    pub(super) fn collect(&mut self, id: NodeId) {
        if self.nodes.get(&id).is_none_or(|n| n.open > 0) {
            return;
        }
        let holds = |entry: &Entry| *entry == Entry::File(id) || *entry == Entry::Link(id);
        let held = self.names.values().any(holds)
            || self.durable.values().any(holds)
            || self
                .changes
                .iter()
                .any(|c| c.sets.iter().any(|(_, e)| e.as_ref().is_some_and(holds)));
        if !held && let Some(node) = self.nodes.remove(&id) {
            self.held -= node.content.len;
        }
    }

    fn collect_all(&mut self) {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            self.collect(id);
        }
    }
}

impl Node {
    fn lose_power(&mut self, rng: &mut Rng, scattered: bool) -> u64 {
        let before = self.content.len;
        // A file that was truncated and not synced may return to its previous content.
        if let Some(shadow) = self.shadow.take()
            && rng.below(2) == 0
        {
            self.synced = shadow.len;
            self.content = shadow;
            return before.saturating_sub(self.synced);
        }
        let unsynced = before - self.synced;
        if unsynced > 0 {
            let kept = match rng.below(4) {
                0 => 0,
                1 => unsynced,
                _ => rng.below(unsynced),
            };
            self.content.truncate(self.synced + kept);
            if scattered {
                self.content.lose_pages(self.synced, rng);
            }
        }
        self.synced = self.content.len;
        before - self.content.len
    }
}

fn apply(names: &mut SortedMap<String, Entry>, sets: Vec<(String, Option<Entry>)>) {
    for (path, entry) in sets {
        match entry {
            Some(entry) => names.insert(path, entry),
            None => names.remove(&path),
        };
    }
}
