//! The append-only file: the stream of commands on disk.

use super::Server;
use super::persistence::snapshot::Failure;
use crate::command::effects::Propagated;
use crate::time::Now;

impl Server {
    /// Whether the append-only file wants commands.
    pub(super) fn aof_follows(&self) -> bool {
        false
    }

    /// Appends commands to the file.
    pub(super) fn feed_aof(&mut self, _commands: &[Propagated], _whole: bool) {}

    /// The snapshot that was to become the base of the file is on disk under this name, or will
    /// not be.
    pub(super) fn rewrite_ended(
        &mut self,
        _now: Now<'_>,
        _path: String,
        _result: Result<(), Failure>,
    ) {
    }
}
