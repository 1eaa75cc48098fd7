//! Replica migration: a replica of a primary that has several moves to a primary that has none
//! left.

use super::{Cluster, NodeFlags, NodeRef};
use crate::machine::LogLevel;

/// How long a primary must have been without replicas, in milliseconds. After a failover this gives
/// the remaining replicas time to announce their new primary.
const ORPHANED_FOR: u64 = 5_000;

impl Cluster {
    /// Moves to a primary without replicas, if there is one and this node is the one to move.
    pub(super) fn consider_migration(&mut self) {
        let Some(mine) = self.me().master else { return };
        let now = self.now();
        let most = self.nodes.refs().into_iter().filter(|node| self.nodes[*node].is_primary());
        let most = most.map(|node| self.nodes.working_replicas(node)).max().unwrap_or(0);
        let mut target = None;
        for node in self.nodes.refs() {
            let orphaned = self.is_orphaned(node);
            let other = &mut self.nodes[node];
            if !orphaned {
                other.orphaned_since = None;
                continue;
            }
            let since = *other.orphaned_since.get_or_insert(now);
            if target.is_none() && now.saturating_sub(since) > ORPHANED_FOR {
                target = Some(node);
            }
        }
        let spare = self.nodes.replicas(mine).filter(|(_, node)| !node.is_unreachable()).count();
        let Some(target) = target.filter(|_| {
            self.up
                && most >= 2
                && spare as u64 > self.settings.migration_barrier
                && self.is_first_candidate(most)
        }) else {
            return;
        };
        let id = self.nodes[target].id;
        self.log(LogLevel::Notice, || format!("Migrating to orphaned master {id}"));
        self.become_replica_of(target);
    }

    /// Whether a primary is working, has slots, is a target of replica migration and has no working
    /// replica.
    fn is_orphaned(&self, node: NodeRef) -> bool {
        let other = &self.nodes[node];
        other.votes()
            && !other.has_failed()
            && other.flags.any(NodeFlags::MIGRATE_TO)
            && self.nodes.working_replicas(node) == 0
    }

    /// Whether this node has the smallest ID among the replicas of the primaries with the most
    /// replicas.
    fn is_first_candidate(&self, most: usize) -> bool {
        let replicas = self.nodes.iter().filter(|(_, node)| node.is_replica());
        let candidates = replicas.filter(|(_, node)| {
            node.master.is_some_and(|master| self.nodes.working_replicas(master) == most)
        });
        candidates.map(|(reference, _)| reference).next() == Some(self.myself)
    }
}
