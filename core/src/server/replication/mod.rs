//! Replication: a primary and its replicas.

use super::Server;
use crate::command::effects::Propagated;

impl Server {
    /// Whether replicas, or the backlog that is kept for them, want commands.
    pub(super) fn replicas_follow(&self) -> bool {
        false
    }

    /// Sends commands to the replicas.
    pub(super) fn feed_replicas(&mut self, _commands: &[Propagated], _whole: bool) {}
}
