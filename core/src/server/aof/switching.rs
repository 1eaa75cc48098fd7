//! `CONFIG SET appendonly`: turning the append-only file on and off.

use super::{Server, State};
use crate::machine::LogLevel;
use crate::server::Change;
use crate::time::Now;

impl Server {
    /// Turns the append-only file on or off if a configuration change says so. True if the change
    /// waits for that.
    pub(in crate::server) fn switch_aof_for(&mut self, now: Now<'_>, mut change: Change) -> bool {
        let switches = change.old.settings().appendonly != self.config.settings().appendonly;
        change.waits = "appendonly";
        switches && self.switch_aof(now, change)
    }

    /// Turns the append-only file on or off as configured. True if the client has to wait until
    /// that is done; false if it is done, or starts later.
    fn switch_aof(&mut self, now: Now<'_>, change: Change) -> bool {
        let wanted = self.config.settings().appendonly;
        match (wanted, self.service.aof.state) {
            (false, State::On | State::WaitRewrite) => {
                self.stop_aof(now);
                false
            }
            (true, State::Off) => self.start_aof(now, Some(change)),
            _ => false,
        }
    }

    /// Turns the append-only file on, by writing its first base. True if `change` waits for that.
    pub(in crate::server) fn start_aof(&mut self, now: Now<'_>, change: Option<Change>) -> bool {
        if self.service.aof.state != State::Off {
            return false;
        }
        self.service.aof.state = State::WaitRewrite;
        if self.service.aof.log.has_failed() {
            self.log(LogLevel::Warning, || "AOF reopen, just ignore the last error.".to_owned());
        }
        if self.snapshot_runs() && !self.service.aof.rewrite.is_on() {
            self.service.aof.rewrite.scheduled = true;
            self.notice(|| {
                "AOF was enabled but there is already another background operation. An AOF \
                 background was scheduled to start when possible."
                    .to_owned()
            });
            return false;
        }
        if self.service.executing {
            self.service.aof.rewrite.scheduled = true;
            self.notice(|| {
                "AOF was enabled during a transaction. An AOF background was scheduled to start \
                 when possible."
                    .to_owned()
            });
            return false;
        }
        if self.service.aof.rewrite.is_on() {
            self.notice(|| {
                "AOF was enabled but there is already an AOF rewriting in background. Stopping \
                 background AOF and starting a rewrite now."
                    .to_owned()
            });
            self.kill_rewrite(now);
        }
        match change {
            // The aborted rewrite has to delete its files first.
            _ if self.service.aof.rewrite.is_on() => {
                self.service.aof.rewrite.scheduled = true;
                false
            }
            Some(change) => {
                self.rewrite_for_change(now, change);
                true
            }
            None => {
                self.service.aof.rewrite.scheduled = true;
                false
            }
        }
    }

    /// Turns the append-only file off.
    pub(in crate::server) fn stop_aof(&mut self, now: Now<'_>) {
        if self.service.aof.state == State::Off {
            return;
        }
        self.abort_switch(now);
        let before = core::mem::replace(&mut self.service.aof.state, State::Off);
        let temporary = before == State::WaitRewrite && self.service.aof.log.is_open();
        self.close_log_in_background();
        if temporary {
            // There is no base for it to follow.
            self.remove_temporary_incr(now);
        }
        self.service.aof.feed.reset();
        self.kill_rewrite(now);
        self.unschedule_rewrite();
        self.followers_changed();
        self.open_gate(now.mono);
    }

    /// Updates what is derived from the configuration.
    pub(in crate::server) fn aof_settings_changed(&mut self) {
        if self.service.aof.state != State::Off {
            self.open_gate(self.now.0);
            self.drive_log();
        }
        if !self.service.aof.is_starting() && !self.service.aof.rewrite.is_on() {
            self.delete_history();
        }
    }
}
