//! The append-only file: the stream of commands on disk.

use super::Server;
use super::info::Text;
use super::persistence::snapshot::Failure;
use super::shutdown::AofAtShutdown;
use crate::command::effects::Propagated;
use crate::time::Now;

impl Server {
    /// Whether the append-only file wants commands.
    pub(super) fn aof_follows(&self) -> bool {
        false
    }

    /// Appends commands to the file.
    pub(super) fn feed_aof(&mut self, _commands: &[Propagated], _whole: bool) {}

    /// The server is to end: what was written has to be made durable. With `force`, it ends whatever
    /// becomes of that.
    pub(super) fn aof_at_shutdown(&mut self, _now: Now<'_>, _force: bool) -> AofAtShutdown {
        AofAtShutdown::Ready
    }

    /// What INFO tells whether there is a file or not.
    pub(super) fn aof_fields(&self, text: &mut Text) {
        text.field("aof_enabled", 0);
        text.field("aof_rewrite_in_progress", 0);
        text.field("aof_rewrite_scheduled", 0);
        text.field("aof_last_rewrite_time_sec", -1);
        text.field("aof_current_rewrite_time_sec", -1);
        text.field("aof_last_bgrewrite_status", "ok");
        text.field("aof_rewrites", 0);
        text.field("aof_rewrites_consecutive_failures", 0);
        text.field("aof_last_write_status", "ok");
        text.field("aof_last_cow_size", 0);
    }

    /// What INFO tells besides if there is a file.
    pub(super) fn aof_size_fields(&self, _text: &mut Text) {}

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
