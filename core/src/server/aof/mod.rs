//! The append-only file: the stream of commands on disk.

use super::Server;
use crate::command::effects::Propagated;

impl Server {
    /// Whether the append-only file wants commands.
    pub(super) fn aof_follows(&self) -> bool {
        false
    }

    /// Appends commands to the file.
    pub(super) fn feed_aof(&mut self, _commands: &[Propagated], _whole: bool) {}
}
