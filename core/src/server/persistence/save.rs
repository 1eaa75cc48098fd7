//! The dump: SAVE, BGSAVE, LASTSAVE, save points, and failed saves.

use std::collections::VecDeque;

use super::super::Server;
use super::super::{Call, Handler, row};
use super::reload::Reload;
use super::snapshot::{Failure, Purpose, remedy};
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};
use crate::machine::LogLevel;
use crate::time::{Mono, Now};

/// Rows of the command table.
pub(in crate::server) static ROWS: &[Row<Handler>] = &[
    row(Group::Server, "bgsave", -1, bgsave)
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING)
        .summary("Saves the data to disk while commands go on.")
        .syntax("[SCHEDULE@3.2.2]")
        .history(&[("3.2.2", "New: `SCHEDULE`.")]),
    row(Group::Server, "lastsave", 1, lastsave)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .acl(acl::ADMIN | acl::DANGEROUS)
        .summary("Tells when data was saved last, in seconds since 1970.")
        .tips(&["nondeterministic_output"]),
    row(Group::Server, "save", 1, save)
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING | flag::NO_MULTI)
        .complexity("O(N), N being the number of keys in all databases.")
        .summary("Saves the data to disk; all clients wait for it."),
];

/// Seconds until a failed save is retried: Redis's `CONFIG_BGSAVE_RETRY_DELAY`.
const RETRY_DELAY: u64 = 5;

/// Why the data is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Save {
    /// BGSAVE, a save point, or a full sync through a file.
    Background,
    /// SAVE by this client.
    Command {
        /// The client's id.
        client: u64,
    },
    /// FLUSHALL.
    Flush,
    /// DEBUG RELOAD.
    Reload(Reload),
    /// Shutdown.
    Shutdown,
}

impl Save {
    /// Whether clients are served meanwhile.
    pub(in crate::server) fn is_background(self) -> bool {
        self == Save::Background
    }
}

/// The state of saves.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Saves {
    /// Time of the last successful save, in seconds since 1970.
    pub(in crate::server) last: u64,
    /// Whether the last background save has failed.
    pub(in crate::server) failed: bool,
    /// When the last background save was started.
    tried: u64,
    /// Duration of the last save in seconds.
    pub(in crate::server) took: Option<i64>,
    /// Bytes that were copied during the last one because they changed before they were written
    /// (copy-on-write).
    pub(in crate::server) copied: u64,
    /// Saves started so far.
    pub(in crate::server) count: u64,
    /// Whether a background save is scheduled to start as soon as possible.
    pub(in crate::server) scheduled: bool,
    /// Foreground saves (for which all clients wait) that have to wait for another snapshot to end.
    next: VecDeque<Save>,
    /// The second in which the save points were last checked.
    last_checked: u64,
}

impl Server {
    /// Starts a background save.
    pub(in crate::server) fn begin_background_save(&mut self, now: Now<'_>) -> Result<(), ()> {
        if self.snapshot().is_some() {
            return Err(());
        }
        self.service.persistence.saves.count += 1;
        self.service.persistence.saves.tried = now.wall.as_secs();
        self.service.persistence.saves.scheduled = false;
        self.begin_snapshot(now, Purpose::Save(Save::Background)).map_err(drop)?;
        let pid = self.facts.pid;
        self.notice(|| format!("Background saving started by pid {pid}"));
        Ok(())
    }

    /// Saves in the foreground: all clients are held back. Another snapshot in progress is
    /// completed first.
    pub(in crate::server) fn begin_foreground_save(&mut self, now: Now<'_>, save: Save) {
        if save == Save::Flush && self.service.persistence.saves.next.back() == Some(&save) {
            // A save that has not started yet serves this request, too.
            return;
        }
        self.hold_all();
        if self.begin_snapshot(now, Purpose::Save(save)).is_err() {
            self.service.persistence.saves.next.push_back(save);
        }
    }

    /// The dump is on disk, or saving has failed.
    pub(super) fn save_ended(
        &mut self,
        now: Now<'_>,
        save: Save,
        dirty: u64,
        directory: &str,
        result: Result<(), Failure>,
    ) {
        let saves = &mut self.service.persistence.saves;
        if result.is_ok() {
            saves.last = now.wall.as_secs();
            saves.failed = false;
            self.service.dirty = self.service.dirty.saturating_sub(dirty);
        }
        if let Err(Failure::Disk(error)) = &result {
            let file = &self.config.settings().dbfilename;
            let text = remedy(error, file, directory);
            self.log(LogLevel::Warning, || text);
        }
        match save {
            Save::Background => self.background_save_ended(&result),
            Save::Command { client } => {
                self.release_all();
                let result = result.map_err(|_| CommandError::text("ERR"));
                self.answer(now, client, result);
            }
            Save::Reload(reload) => {
                if result.is_ok() {
                    self.load_again(now, reload);
                } else {
                    self.reload_over(now);
                    self.answer(now, reload.client, Err(CommandError::text("ERR")));
                }
                self.release_all();
            }
            Save::Flush => self.release_all(),
            Save::Shutdown => {
                self.release_all();
                self.shutdown_saved(now, &result);
            }
        }
    }

    fn background_save_ended(&mut self, result: &Result<(), Failure>) {
        match result {
            Ok(()) => self.notice(|| "Background saving terminated with success".to_owned()),
            Err(Failure::Disk(_) | Failure::Behind) => {
                self.service.persistence.saves.failed = true;
                self.log(LogLevel::Warning, || "Background saving error".to_owned());
            }
            Err(Failure::Killed) => {
                let text = "Background saving terminated by signal 10";
                self.log(LogLevel::Warning, || text.to_owned());
            }
        }
    }

    /// Starts the saves that are due.
    pub(in crate::server) fn check_save_points(&mut self, now: Now<'_>) {
        // Partially loaded data must not replace the dump.
        if self.snapshot().is_some() || self.is_loading_in_place() {
            return;
        }
        if let Some(save) = self.service.persistence.saves.next.pop_front() {
            // Nothing is in its way, and all clients are held back for it already.
            let _ = self.begin_snapshot(now, Purpose::Save(save));
            return;
        }
        if self.is_ending() {
            return;
        }
        let second = now.wall.as_secs();
        let saves = &mut self.service.persistence.saves;
        if saves.last_checked == second && !saves.scheduled {
            return;
        }
        saves.last_checked = second;
        let patient = saves.failed && second.saturating_sub(saves.tried) <= RETRY_DELAY;
        if patient {
            return;
        }
        let (last, scheduled) = (saves.last, saves.scheduled);
        let due = self.config.settings().save.iter().copied().find(|(seconds, changes)| {
            self.service.dirty >= *changes && second.saturating_sub(last) > *seconds
        });
        if let Some((seconds, changes)) = due {
            self.notice(|| format!("{changes} changes in {seconds} seconds. Saving..."));
        }
        if due.is_some() || scheduled {
            // Nothing is in its way.
            let _ = self.begin_background_save(now);
        }
    }

    /// When to check the save points again.
    pub(super) fn saves_wake(&self) -> Option<Mono> {
        if self.snapshot().is_some() || self.is_loading_in_place() || self.is_migrating() {
            return None;
        }
        let saves = &self.service.persistence.saves;
        if !saves.next.is_empty() {
            return Some(self.now.0);
        }
        if self.is_ending() {
            return None;
        }
        let points = self.config.settings().save.iter();
        let points = points
            .filter(|(_, changes)| self.service.dirty >= *changes)
            .map(|(seconds, _)| saves.last.saturating_add(*seconds).saturating_add(1));
        let scheduled = saves.scheduled.then_some(0);
        let second = points.chain(scheduled).min()?;
        let patience = if saves.failed { saves.tried + RETRY_DELAY + 1 } else { 0 };
        // They are checked once per second.
        Some(self.at_second(second.max(patience).max(saves.last_checked + 1)))
    }

    /// Why writes, and PING, are refused after a failed save, if they are.
    #[inline]
    pub(in crate::server) fn write_refusal(&self) -> Option<CommandError> {
        let settings = self.config.settings();
        let denied = self.service.persistence.saves.failed
            && settings.stop_writes_on_bgsave_error
            && !settings.save.is_empty();
        if !denied {
            return self.aof_refusal();
        }
        Some(CommandError::text(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to \
             persist to disk. Commands that may modify the data set are disabled, because this \
             instance is configured to report errors during writes if RDB snapshotting fails \
             (stop-writes-on-bgsave-error option). Please check the Redis logs for details about \
             the RDB error.",
        ))
    }

    /// After FLUSHALL: a snapshot in progress is useless now, and if there are save points, the
    /// dump is emptied as well.
    pub(in crate::server) fn flushed_all(&mut self, now: Now<'_>) {
        if self.rdb_child().is_some() {
            self.kill_snapshot(now);
        }
        if !self.config.settings().save.is_empty() {
            self.begin_foreground_save(now, Save::Flush);
        }
    }
}

fn bgsave(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let schedule = match call.args.get(1) {
        None => false,
        Some(word) if call.args.len() == 2 && word.eq_ignore_ascii_case(b"schedule") => true,
        Some(_) => return Err(CommandError::Syntax),
    };
    if server.rdb_child().is_some() {
        return Err(CommandError::text("ERR Background save already in progress"));
    }
    if server.service.executing || schedule && server.snapshot().is_some() {
        server.service.persistence.saves.scheduled = true;
        call.reply().simple("Background saving scheduled");
        return Ok(());
    }
    if server.begin_background_save(call.now).is_err() {
        return Err(CommandError::text(
            "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE \
             SCHEDULE in order to schedule a BGSAVE whenever possible.",
        ));
    }
    call.reply().simple("Background saving started");
    Ok(())
}

fn save(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if server.rdb_child().is_some() {
        return Err(CommandError::text("ERR Background save already in progress"));
    }
    server.service.persistence.saves.count += 1;
    call.client.waiting = true;
    let client = call.client.id;
    server.begin_foreground_save(call.now, Save::Command { client });
    Ok(())
}

fn lastsave(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let at = server.service.persistence.saves.last;
    call.reply().integer(at as i64);
    Ok(())
}
