//! Differences between two pictures of a deployment.

use super::picture::{Deployment, Link, Node};

/// A difference to show to a person. Nodes are named by their addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node was discovered.
    Appeared(String),
    /// It does not answer any more, with the error.
    Lost(String, String),
    /// It answers again.
    Returned(String),
    /// It was restarted: another process answers at its address.
    Restarted(String),
    /// It became a primary.
    Promoted(String),
    /// It became a replica of another node, or of one that is not known.
    Follows(String, Option<String>),
    /// It lost the link to its primary.
    LinkLost(String),
    /// It receives the replication stream of its primary again.
    LinkUp(String),
    /// How many observers consider it to be down: their number, the number of all observers, and
    /// whether they have agreed on it.
    Judged(String, usize, usize, bool),
    /// Its number of slots changed: the new number, and the old one.
    Slots(String, usize, usize),
}

/// The differences between two pictures, in the order of the nodes.
pub fn changes(before: &Deployment, after: &Deployment) -> Vec<Change> {
    let mut found = Vec::new();
    for node in &after.nodes {
        match before.node(&node.report.address) {
            None => found.push(Change::Appeared(node.report.address.clone())),
            Some(old) => compare((before, old), (after, node), &mut found),
        }
    }
    found
}

fn compare(
    (before, old): (&Deployment, &Node),
    (after, new): (&Deployment, &Node),
    found: &mut Vec<Change>,
) {
    let name = || new.report.address.clone();
    match (&old.report.error, &new.report.error) {
        (None, Some(error)) => found.push(Change::Lost(name(), error.clone())),
        (Some(_), None) => found.push(Change::Returned(name())),
        _ => {}
    }
    let answered = !old.report.info.is_empty() && !new.report.info.is_empty();
    if answered && old.report.run_id() != new.report.run_id() {
        found.push(Change::Restarted(name()));
    }
    if answered {
        let primary = |deployment: &Deployment, node: &Node| {
            let known = node.primary.and_then(|(at, _)| deployment.nodes.get(at));
            known.map(|primary| primary.report.address.clone()).or_else(|| node.report.primary())
        };
        let (was, is) = (primary(before, old), primary(after, new));
        match (old.is_replica, new.is_replica) {
            (true, false) => found.push(Change::Promoted(name())),
            (_, true) if was != is => found.push(Change::Follows(name(), is)),
            _ => {}
        }
        let online = |node: &Node| matches!(node.primary, Some((_, Link::Online(_))));
        match (online(old), online(new)) {
            (true, false) if new.is_replica => found.push(Change::LinkLost(name())),
            (false, true) if old.is_replica => found.push(Change::LinkUp(name())),
            _ => {}
        }
        let slots = |node: &Node| node.cluster.as_ref().map_or(0, |role| role.slot_count());
        if slots(old) != slots(new) {
            found.push(Change::Slots(name(), slots(new), slots(old)));
        }
    }
    let (was, is) = (old.judged.unwrap_or_default(), new.judged.unwrap_or_default());
    if (was.down_for, was.objectively) != (is.down_for, is.objectively) {
        found.push(Change::Judged(name(), is.down_for, is.watched_by, is.objectively));
    }
}
