//! Shutting the server down, once SHUTDOWN or a signal has requested it.
//!
//! Replicas may catch up first, then the append-only file is fsynced and the data is saved; if that
//! fails the shutdown is cancelled, unless FORCE was given.

use super::aof::AofAtShutdown;
use super::persistence::save::Save;
use super::persistence::snapshot::{Failure, Purpose};
use super::{PauseReason, Server};
use crate::front::ShutdownOptions;
use crate::machine::{DiskOp, LogLevel, Signal};
use crate::time::{Duration, Mono, Now};

/// The stage of a shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// None in progress.
    #[default]
    No,
    /// Replicas may catch up until this time.
    Waiting { until: Mono },
    /// The append-only file is being fsynced.
    Syncing,
    /// The data is being saved.
    Saving,
    /// The process is exiting.
    Done,
}

impl Server {
    /// Handles a signal.
    pub(super) fn signal(&mut self, signal: Signal) {
        if !self.is_shutdown_signal(signal) {
            return;
        }
        if self.shutdown.is_wanted() && signal == Signal::Interrupt {
            if let Some(path) = self.temporary_dump() {
                self.disk_op(DiskOp::Remove { path }, super::DiskWork::Nothing);
            }
        } else if self.is_loading() {
            let text = "Received shutdown signal during loading, scheduling shutdown.";
            return self.schedule_shutdown(signal, text);
        }
        self.signalled(signal);
    }

    /// Starts a requested shutdown, and continues one in progress.
    pub(super) fn shutdown_cron(&mut self, now: Now<'_>) {
        // DEBUG RELOAD, DEBUG LOADAOF and MIGRATE are completed first, as far as they hold other
        // clients back.
        if self.service.persistence.reloading && !self.is_loading() || self.is_migrating() {
            return;
        }
        let paused = self.service.cron_paused && self.shutdown.waits_for_signal();
        match self.service.shutdown {
            Stage::No if !paused => self.begin_shutdown(now),
            Stage::Waiting { until } if now.mono >= until || self.replicas_are_in_sync() => {
                self.finish_shutdown(now);
            }
            _ => {}
        }
    }

    /// Whether a shutdown is so far advanced that no more files may be written.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.service.shutdown, Stage::Syncing | Stage::Saving | Stage::Done)
    }

    /// Starts a shutdown.
    pub(super) fn shut_down(&mut self, now: Now<'_>, mut how: ShutdownOptions) {
        // Partially loaded data must not replace the dump.
        if self.is_loading() {
            (how.save, how.nosave) = (false, true);
        }
        self.shutdown.how = how;
        self.notice(|| "User requested shutdown...".to_owned());
        let timeout = self.config.settings().shutdown_timeout;
        if !how.now && timeout > 0 && !self.replicas_are_in_sync() {
            let until = now.mono + Duration::from_secs(timeout);
            self.service.shutdown = Stage::Waiting { until };
            self.shutdown.until = Some(until);
            self.ask_replicas_for_offsets(now);
            self.pause.begin_for(PauseReason::Shutdown);
            self.pause_changed(now.mono);
            self.notice(|| "Waiting for replicas before shutting down.".to_owned());
            return;
        }
        self.finish_shutdown(now);
    }

    fn finish_shutdown(&mut self, now: Now<'_>) {
        self.shutdown.until = None;
        self.log_replicas_at_shutdown(now);
        if self.rdb_child().is_some() {
            self.log(LogLevel::Warning, || {
                "There is a child saving an .rdb. Killing it!".to_owned()
            });
            self.kill_snapshot(now);
        }
        // From here on nothing may change.
        self.hold_all();
        self.service.shutdown = Stage::Syncing;
        match self.aof_at_shutdown(now, self.shutdown.how.force) {
            AofAtShutdown::Ready => self.shutdown_aof_done(now),
            AofAtShutdown::Wait => {}
            AofAtShutdown::Refused => self.refuse_shutdown(now),
        }
    }

    /// The append-only file is fsynced, as far as possible.
    pub(super) fn shutdown_aof_done(&mut self, now: Now<'_>) {
        if self.service.shutdown != Stage::Syncing {
            return;
        }
        let ShutdownOptions { save, nosave, .. } = self.shutdown.how;
        let wanted = save || !nosave && !self.config.settings().save.is_empty();
        // Partially loaded data must not replace the dump.
        if !wanted || self.is_loading_in_place() {
            return self.exit_process();
        }
        self.service.shutdown = Stage::Saving;
        self.notice(|| "Saving the final RDB snapshot before exiting.".to_owned());
        self.begin_foreground_save(now, Save::Shutdown);
    }

    /// The data has been saved, or saving has failed.
    pub(super) fn shutdown_saved(&mut self, now: Now<'_>, result: &Result<(), Failure>) {
        if result.is_ok() {
            return self.exit_process();
        }
        if self.shutdown.how.force {
            let text = "Error trying to save the DB. Exit anyway.";
            self.log(LogLevel::Warning, || text.to_owned());
            return self.exit_process();
        }
        let text = "Error trying to save the DB, can't exit.";
        self.log(LogLevel::Warning, || text.to_owned());
        self.refuse_shutdown(now);
    }

    fn refuse_shutdown(&mut self, now: Now<'_>) {
        self.log(LogLevel::Warning, || {
            "Errors trying to shut down the server. Check the logs for more information.".to_owned()
        });
        self.release_all();
        self.cancel_shutdown(now, None);
        self.resume_link(now);
    }

    /// Cancels the shutdown. `caller` is a client that is taken out of its slot, and does not wait
    /// for it.
    pub(super) fn cancel_shutdown(&mut self, now: Now<'_>, caller: Option<u64>) {
        let clients = self.forget_shutdown();
        self.service.shutdown = Stage::No;
        self.pause.end_for(PauseReason::Shutdown);
        self.pause_changed(now.mono);
        self.resume_paused(now);
        self.answer_shutdown(now, clients, caller);
    }

    /// Exits the process.
    fn exit_process(&mut self) {
        self.service.shutdown = Stage::Done;
        let settings = self.config.front();
        if settings.daemonize || settings.pidfile.is_some() {
            self.notice(|| "Removing the pid file.".to_owned());
        }
        self.flush_replicas();
        if self.config.front().unixsocket.is_some() {
            self.notice(|| "Removing the unix socket file.".to_owned());
        }
        self.log(LogLevel::Warning, || "Redis is now ready to exit, bye bye...".to_owned());
        self.exit(0);
    }

    /// The temporary file of a dump that is being written.
    fn temporary_dump(&self) -> Option<String> {
        let job = self.snapshot()?;
        matches!(job.purpose(), Purpose::Save(_)).then(|| job.temporary())?
    }
}
