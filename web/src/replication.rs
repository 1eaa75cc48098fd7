//! Replication as the servers themselves report it, and the shard that each belongs to.

use limpid_core::server::ReplicationView;
use limpid_core::sorted::SortedMap;

use crate::lab::Lab;
use crate::scene::{Follow, FollowState};
use crate::units::BodyId;

impl Lab {
    /// The body that a replica believes to be its primary.
    pub(crate) fn primary_of(&self, view: &ReplicationView) -> Option<BodyId> {
        let primary = view.primary.as_ref()?;
        self.units().at(self.world().scenario(), &primary.host, primary.port)
    }

    /// Replicas with their primaries.
    pub(crate) fn follows(&self) -> Vec<Follow> {
        let views: SortedMap<BodyId, ReplicationView> = self
            .units()
            .servers()
            .filter_map(|unit| Some((unit.id, self.replication(unit.id)?)))
            .collect();
        let mut follows = Vec::new();
        for (&to, view) in views.iter() {
            let (Some(primary), Some(from)) = (&view.primary, self.primary_of(view)) else {
                continue;
            };
            let state = match primary.state {
                "connected" => FollowState::Online,
                "sync" => FollowState::Sync,
                "handshake" => FollowState::Handshake,
                _ => FollowState::Down,
            };
            let ahead = views.get(&from);
            let same = |ahead: &&ReplicationView| {
                ahead.id == view.id || ahead.second.as_ref().is_some_and(|(id, _)| *id == view.id)
            };
            let lag = ahead.filter(same).map(|ahead| ahead.offset.saturating_sub(view.offset));
            follows.push(Follow {
                from,
                to,
                shard: self.shard(from),
                state,
                lag: lag.map(|lag| u64::try_from(lag).unwrap_or_default()),
                cut: self.cut_between(from, to),
            });
        }
        follows
    }

    /// The shard that a body belongs to: that of the primary at the end of its chain.
    pub(crate) fn shard(&self, body: BodyId) -> usize {
        let mut at = body;
        // A ring of replicas has no primary at its end, so the steps are counted.
        for _ in 0..8 {
            let up = self.replication(at).and_then(|view| self.primary_of(&view));
            match up {
                Some(up) if up != at => at = up,
                _ => break,
            }
        }
        let root = self.units().root(at);
        self.units().shard(root)
    }
}
