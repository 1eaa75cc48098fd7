//! Reads the state of Sentinels as plain data.

use limpid_core::sentinel::view::{InstanceView, MasterView};
use limpid_core::sentinel::{SentinelServer, SentinelView};

use super::SentinelNode;
use crate::kinds::NodeView;
use crate::lab::Lab;
use crate::scene::Judgement;
use crate::units::{BodyId, Unit};

/// What the map shows of a Sentinel.
pub(super) fn node(lab: &Lab, unit: &Unit) -> NodeView {
    NodeView::Sentinel(SentinelNode(lab.sentinel(unit)))
}

/// The text of INFO. A clone of the machine answers, so that reading changes nothing.
pub(super) fn info(lab: &Lab, unit: &Unit) -> Option<String> {
    Some(lab.machine::<SentinelServer>(unit)?.info(&[]))
}

impl Lab {
    /// The beliefs of a Sentinel, if it runs.
    pub(crate) fn sentinel(&self, unit: &Unit) -> Option<SentinelView> {
        Some(self.machine::<SentinelServer>(unit)?.watch().view(self.world().now()))
    }

    /// The beliefs of each running Sentinel.
    pub(crate) fn sentinels(&self) -> Vec<(&Unit, Option<SentinelView>)> {
        let units = self.units().iter().filter(|unit| unit.kind == &super::KIND);
        units.map(|unit| (unit, self.sentinel(unit))).collect()
    }

    /// The body that a Sentinel means by a host and a port.
    pub(crate) fn seen_body(&self, seen: &InstanceView) -> Option<BodyId> {
        self.units().at(self.world().scenario(), &seen.host, seen.port)
    }
}

/// The beliefs of all running Sentinels about one server, taken together; `None` if none watches
/// it.
pub(crate) fn judgement(
    lab: &Lab,
    views: &[(&Unit, Option<SentinelView>)],
    body: BodyId,
) -> Option<Judgement> {
    let mut judgement = Judgement::default();
    for view in views.iter().filter_map(|(_, view)| view.as_ref()) {
        for master in &view.masters {
            let Some((seen, is_master)) = seen_as(lab, master, body) else { continue };
            judgement.watched_by += 1;
            judgement.down_for += usize::from(seen.sdown.is_some());
            judgement.objectively |= is_master && master.odown.is_some();
        }
    }
    (judgement.watched_by > 0).then_some(judgement)
}

/// A Sentinel's belief about a body, and whether it sees it as the master, if it is one of that
/// master's servers.
pub(crate) fn seen_as<'a>(
    lab: &Lab,
    master: &'a MasterView,
    body: BodyId,
) -> Option<(&'a InstanceView, bool)> {
    if lab.seen_body(&master.seen) == Some(body) {
        return Some((&master.seen, true));
    }
    let mut replicas = master.replicas.iter().map(|replica| &replica.seen);
    replicas.find(|seen| lab.seen_body(seen) == Some(body)).map(|seen| (seen, false))
}
