//! How a server ends: SHUTDOWN and the signals.
//!
//! Replicas may catch up first, then the append-only file is made durable, and the data saved; if
//! that fails the server stays, unless it was told to go anyway.

use core::mem;

use super::Server;
use super::config::ShutdownOn;
use super::dispatch::{Call, Handler, row};
use super::pause::Reason;
use super::persistence::save::Save;
use super::persistence::snapshot::{Failure, Purpose};
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};
use crate::machine::{DiskOp, LogLevel, Signal};
use crate::time::{Duration, Mono, Now};

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[row(Group::Server, "shutdown", -1, shutdown)
    .flags(
        flag::ADMIN
            | flag::NOSCRIPT
            | flag::LOADING
            | flag::STALE
            | flag::NO_MULTI
            | flag::ALLOW_BUSY,
    )
    .complexity("O(1), or O(N) if it saves, N being the number of keys in all databases.")
    .summary("Ends the server.")
    .syntax("[save-selector: NOSAVE | SAVE] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]")
    .history(&[("7.0.0", "New: `NOW`, `FORCE`, `ABORT`.")])];

/// How far the end has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Shutdown {
    stage: Stage,
    /// A signal or a command wants it, and it has not begun.
    wanted: Option<Wanted>,
    how: ShutdownOn,
    /// Ids of the clients that wait for it.
    pub(super) clients: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Signal(Signal),
    Command(ShutdownOn),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nobody wants it.
    #[default]
    No,
    /// Replicas may catch up until then.
    Waiting { until: Mono },
    /// The append-only file is made durable.
    Syncing,
    /// The data is saved.
    Saving,
    /// It has been carried out.
    Done,
}

/// What the append-only file says when the server is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AofAtShutdown {
    /// Everything is on disk.
    Ready,
    /// It is being made durable; [`Server::shutdown_aof_done`] will be called.
    Wait,
    /// The server must not end.
    Refused,
}

impl Server {
    pub(super) fn signal(&mut self, signal: Signal) {
        let asked = self.shutdown.wanted.is_some() || self.shutdown.stage != Stage::No;
        if asked && signal == Signal::Interrupt {
            self.log(LogLevel::Warning, || "You insist... exiting now.".to_owned());
            if let Some(path) = self.temporary_dump() {
                self.disk_op(DiskOp::Remove { path }, super::DiskWork::Nothing);
            }
            return self.exit(1);
        }
        let text = match signal {
            Signal::Terminate | Signal::Interrupt if self.is_loading() => {
                "Received shutdown signal during loading, scheduling shutdown."
            }
            Signal::Terminate => "Received SIGTERM scheduling shutdown...",
            Signal::Interrupt => "Received SIGINT scheduling shutdown...",
            Signal::Hangup => return,
        };
        self.log(LogLevel::Warning, || text.to_owned());
        self.shutdown.wanted = Some(Wanted::Signal(signal));
    }

    /// Begins what is wanted, and goes on with what has begun.
    pub(super) fn go_on_shutting_down(&mut self, now: Now<'_>) {
        // DEBUG RELOAD, DEBUG LOADAOF and MIGRATE are carried out first, as far as they keep others
        // waiting.
        if self.persistence.reloading && !self.is_loading() || self.is_migrating() {
            return;
        }
        match (self.shutdown.stage, self.shutdown.wanted) {
            (Stage::No, Some(wanted)) => {
                if self.cron_paused && matches!(wanted, Wanted::Signal(_)) {
                    return;
                }
                let settings = self.config.settings();
                let how = match wanted {
                    Wanted::Signal(Signal::Terminate) => settings.shutdown_on_sigterm,
                    Wanted::Signal(Signal::Interrupt | Signal::Hangup) => {
                        settings.shutdown_on_sigint
                    }
                    Wanted::Command(how) => how,
                };
                if !matches!(wanted, Wanted::Signal(_)) {
                    self.shutdown.wanted = None;
                }
                self.shut_down(now, how);
            }
            (Stage::Waiting { until }, _) if now.mono >= until || self.replicas_are_in_sync() => {
                self.finish_shutdown(now);
            }
            _ => {}
        }
    }

    /// When that is to be gone on with.
    pub(super) fn shutdown_wake(&self) -> Option<Mono> {
        match self.shutdown.stage {
            Stage::Waiting { until } => Some(until),
            _ => None,
        }
    }

    /// When the server will end at the latest, if it waits for replicas.
    pub(super) fn shutdown_deadline(&self) -> Option<Mono> {
        self.shutdown_wake()
    }

    /// Whether the end has come so far that nothing is to be begun any more that writes files.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.shutdown.stage, Stage::Syncing | Stage::Saving | Stage::Done)
    }

    fn shut_down(&mut self, now: Now<'_>, mut how: ShutdownOn) {
        // Half of the data must not take the place of the whole.
        if self.is_loading() {
            (how.save, how.nosave) = (false, true);
        }
        self.shutdown.how = how;
        self.notice(|| "User requested shutdown...".to_owned());
        let timeout = self.config.settings().shutdown_timeout;
        if !how.now && timeout > 0 && !self.replicas_are_in_sync() {
            let until = now.mono + Duration::from_secs(timeout);
            self.shutdown.stage = Stage::Waiting { until };
            self.ask_replicas_for_offsets(now);
            self.pause.begin_for(Reason::Shutdown);
            self.pause_changed(now.mono);
            self.notice(|| "Waiting for replicas before shutting down.".to_owned());
            return;
        }
        self.finish_shutdown(now);
    }

    fn finish_shutdown(&mut self, now: Now<'_>) {
        self.tell_of_replicas_at_shutdown(now);
        if self.rdb_child().is_some() {
            self.log(LogLevel::Warning, || {
                "There is a child saving an .rdb. Killing it!".to_owned()
            });
            self.kill_snapshot(now);
        }
        // From here on nothing may change any more.
        self.hold_all();
        self.shutdown.stage = Stage::Syncing;
        match self.aof_at_shutdown(now, self.shutdown.how.force) {
            AofAtShutdown::Ready => self.shutdown_aof_done(now),
            AofAtShutdown::Wait => {}
            AofAtShutdown::Refused => self.refuse_shutdown(now),
        }
    }

    /// The append-only file is on disk, as far as that is possible.
    pub(super) fn shutdown_aof_done(&mut self, now: Now<'_>) {
        if self.shutdown.stage != Stage::Syncing {
            return;
        }
        let ShutdownOn { save, nosave, .. } = self.shutdown.how;
        let wanted = save || !nosave && !self.config.settings().save.is_empty();
        // Half of the data must not take the place of the whole.
        if !wanted || self.is_loading_in_place() {
            return self.leave();
        }
        self.shutdown.stage = Stage::Saving;
        self.notice(|| "Saving the final RDB snapshot before exiting.".to_owned());
        self.begin_foreground_save(now, Save::Shutdown);
    }

    /// The data has been saved, or cannot be.
    pub(super) fn shutdown_saved(&mut self, now: Now<'_>, result: &Result<(), Failure>) {
        if result.is_ok() {
            return self.leave();
        }
        if self.shutdown.how.force {
            let text = "Error trying to save the DB. Exit anyway.";
            self.log(LogLevel::Warning, || text.to_owned());
            return self.leave();
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
        self.link_goes_on(now);
    }

    /// Stays. `caller` is a client that is taken out meanwhile, and does not wait.
    fn cancel_shutdown(&mut self, now: Now<'_>, caller: Option<u64>) {
        let clients = mem::take(&mut self.shutdown).clients;
        self.pause.end_for(Reason::Shutdown);
        self.pause_changed(now.mono);
        self.let_paused_go_on(now);
        for client in clients.into_iter().filter(|id| Some(*id) != caller) {
            let error = CommandError::text("ERR Errors trying to SHUTDOWN. Check logs.");
            self.answer(now, client, Err(error));
        }
    }

    /// Ends the process.
    fn leave(&mut self) {
        self.shutdown.stage = Stage::Done;
        let settings = self.config.settings();
        if settings.daemonize || settings.pidfile.is_some() {
            self.notice(|| "Removing the pid file.".to_owned());
        }
        self.flush_replicas();
        if self.config.settings().unixsocket.is_some() {
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

fn shutdown(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let (mut how, mut abort) = (ShutdownOn::default(), false);
    for option in call.args.from(1).iter() {
        match option.to_ascii_lowercase().as_slice() {
            b"nosave" => how.nosave = true,
            b"save" => how.save = true,
            b"now" => how.now = true,
            b"force" => how.force = true,
            b"abort" => abort = true,
            _ => return Err(CommandError::Syntax),
        }
    }
    if (abort && how != ShutdownOn::default()) || (how.save && how.nosave) {
        return Err(CommandError::Syntax);
    }
    if abort {
        if server.shutdown.stage == Stage::No && server.shutdown.wanted.is_none() {
            return Err(CommandError::text("ERR No shutdown in progress."));
        }
        server.cancel_shutdown(call.now, Some(call.client.id));
        server.notice(|| "Shutdown manually aborted.".to_owned());
        return call.ok();
    }
    // It begins as soon as this command has ended.
    call.client.waiting = true;
    server.shutdown.clients.push(call.client.id);
    if server.shutdown.stage == Stage::No {
        server.shutdown.wanted = Some(Wanted::Command(how));
    }
    Ok(())
}
