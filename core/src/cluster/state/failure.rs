//! Failure detection: PFAIL is this node's own opinion, FAIL that of the majority of the primaries.

use super::{Cluster, NodeFlags, NodeRef};
use crate::cluster::bus::Body;
use crate::machine::LogLevel;

/// How long a failure report is valid, in node timeouts.
const REPORT_VALIDITY: u64 = 2;

/// After how many node timeouts FAIL is cleared for a primary that is reachable again and still
/// owns its slots.
const UNDO_AFTER: u64 = 2;

impl Cluster {
    /// The number of primaries with a valid failure report about a node.
    pub(super) fn failure_reports(&mut self, node: NodeRef) -> usize {
        let (now, oldest) = (self.now(), self.settings.node_timeout * REPORT_VALIDITY);
        let reports = &mut self.nodes[node].reports;
        reports.retain(|_, at| now.saturating_sub(*at) <= oldest);
        reports.len()
    }

    /// Records a primary's report on whether it can reach a node.
    pub(super) fn record_failure_report(&mut self, sender: NodeRef, node: NodeRef, failing: bool) {
        let now = self.now();
        let reports = &mut self.nodes[node].reports;
        let news = match failing {
            true => reports.insert(sender, now).is_none(),
            false => reports.remove(&sender).is_some(),
        };
        if news {
            let by = self.nodes[sender].called();
            let about = self.nodes[node].called();
            let what = if failing { "as not reachable" } else { "is back online" };
            self.log(LogLevel::Verbose, || format!("Node {by} reported node {about} {what}."));
        }
        if failing {
            self.fail_if_most_agree(node);
        }
    }

    /// Marks a node as FAIL if this node and most primaries cannot reach it, and broadcasts that.
    pub(super) fn fail_if_most_agree(&mut self, node: NodeRef) {
        let other = &self.nodes[node];
        if !other.may_have_failed() || other.has_failed() {
            return;
        }
        let votes = self.failure_reports(node) + usize::from(self.me().votes());
        if votes < self.quorum() {
            return;
        }
        let called = self.nodes[node].called();
        self.log(LogLevel::Notice, || {
            format!("Marking node {called} as failing (quorum reached).")
        });
        self.mark_failed(node);
        let id = self.nodes[node].id;
        self.broadcast(Body::Fail(id));
    }

    pub(super) fn mark_failed(&mut self, node: NodeRef) {
        let now = self.now();
        let node = &mut self.nodes[node];
        node.flags.clear(NodeFlags::PFAIL);
        node.flags.set(NodeFlags::FAIL);
        node.failed_at = now;
        self.todo.state = true;
        self.todo.save = true;
        self.todo.election = true;
    }

    /// Clears FAIL for a node that is reachable again, if that is safe.
    pub(super) fn clear_failure_if_safe(&mut self, node: NodeRef) {
        let other = &self.nodes[node];
        let waited = self.now().saturating_sub(other.failed_at);
        let reason = if other.is_replica() {
            "replica is reachable again."
        } else if other.slots.is_empty() {
            "master without slots is reachable again."
        } else if waited > self.settings.node_timeout * UNDO_AFTER {
            "is reachable again and nobody is serving its slots after some time."
        } else {
            return;
        };
        let called = other.called();
        let space = if reason.starts_with("is ") { " " } else { "" };
        self.log(LogLevel::Notice, || {
            format!("Clear FAIL state for node {called}:{space}{reason}")
        });
        self.nodes[node].flags.clear(NodeFlags::FAIL);
        self.todo.state = true;
        self.todo.save = true;
    }
}
