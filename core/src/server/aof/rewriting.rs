//! The server's side of AOF rewrites: BGREWRITEAOF, triggers, and taking the actions of the state
//! machine in `rewrite`.

use std::sync::Arc;

use super::rewrite::{Action, Context, Event, Requester, Step, create_file, manifest_failure};
use super::{Server, State, Step as AofStep};
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};
use crate::machine::{DiskDone, DiskError, DiskOp, FileId, LogLevel};
use crate::persist::aof::Manifest;
use crate::server::persistence::sink::path_in;
use crate::server::persistence::snapshot::{Failure, Purpose};
use crate::server::{Call, Change, DiskWork, Handler, row};
use crate::time::{Duration, Mono, Now};

/// Rows of the command table.
pub(in crate::server) static ROWS: &[Row<Handler>] =
    &[row(Group::Server, "bgrewriteaof", 1, bgrewriteaof)
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING)
        .summary("Writes the append-only file anew while commands go on.")];

fn bgrewriteaof(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if server.service.aof.rewrite.is_on() {
        return Err(CommandError::text(
            "ERR Background append only file rewriting already in progress",
        ));
    }
    if server.snapshot_runs() || server.service.executing {
        server.service.aof.rewrite.scheduled = true;
        // Earlier failures do not delay an explicit request.
        server.service.aof.rewrite.backoff.reset();
        call.reply().simple("Background append only file rewriting scheduled");
    } else {
        call.client.waiting = true;
        let requester = Some(Requester::Client(call.client.id));
        server.rewrite_event(call.now, Event::Begin { requester });
    }
    Ok(())
}

impl Server {
    /// Passes an event to the rewrite, and takes the resulting actions.
    fn rewrite_event(&mut self, now: Now<'_>, event: Event) {
        let config = Arc::clone(&self.config);
        let reloading = self.service.persistence.reloading;
        let mut ctx = Context {
            settings: &config.settings().aof,
            pid: self.facts.pid,
            now: now.wall,
            offset: self.stream_offset(),
            is_whole: !self.is_loading_in_place() && !reloading,
            reloading,
            copied: self.service.keyspace.snapshot_copied(),
            last_file: &mut self.service.last_file,
        };
        let actions = self.service.aof.rewrite_event(&mut ctx, event);
        self.take_rewrite_actions(now, actions);
    }

    fn take_rewrite_actions(&mut self, now: Now<'_>, actions: impl IntoIterator<Item = Action>) {
        for action in actions {
            match action {
                Action::Disk(what, Some(step)) => {
                    self.disk_op(what, DiskWork::Aof(AofStep::Rewrite(Box::new(step))));
                }
                Action::Disk(what, None) => self.disk_op(what, DiskWork::Nothing),
                Action::Log(level, text) => self.log(level, || text),
                Action::Snapshot { path } => {
                    let begun = self.begin_snapshot(now, Purpose::RewriteAof { path }).is_ok();
                    self.rewrite_event(now, Event::Snapshot { begun });
                }
                Action::KillSnapshot => self.kill_rewrite(now),
                Action::Answer(requester, result) => self.answer_requester(now, requester, result),
                Action::FollowersChanged => self.followers_changed(),
                Action::OffsetsChanged => self.offsets_changed(),
                Action::Resume => self.continue_aof(now),
            }
        }
    }

    fn answer_requester(
        &mut self,
        now: Now<'_>,
        requester: Requester,
        result: Result<&'static str, &'static str>,
    ) {
        match requester {
            Requester::Client(client) => {
                let result = result.map_err(|_| {
                    CommandError::text(
                        "ERR Can't execute an AOF background rewriting. Please check the server \
                         logs for more information.",
                    )
                });
                self.answer_status(now, client, result);
            }
            Requester::Change(change) => {
                self.change_done(now, &change, result.map(drop).map_err(str::to_owned));
                self.adjust_oom_score(None);
            }
        }
    }

    /// A disk operation of the rewrite has completed.
    pub(super) fn rewrite_disk_done(
        &mut self,
        now: Now<'_>,
        step: Step,
        result: Result<DiskDone, DiskError>,
    ) {
        self.rewrite_event(now, Event::Disk(step, result));
    }

    /// Whether a snapshot is being written for any purpose.
    pub(super) fn snapshot_runs(&self) -> bool {
        self.snapshot().is_some()
    }

    /// The path of a file in the append-only directory.
    pub(super) fn aof_path(&self, name: &str) -> String {
        self.service.aof.path_of_part(&self.config.settings().aof, name)
    }

    /// The working directory is about to change. The files stay where they are: if they were spread
    /// over two directories, a crash would leave half of the data in each.
    pub(in crate::server) fn keep_aof_in_place(&mut self) {
        let aof = &mut self.service.aof;
        if aof.state != State::Off || aof.rewrite.is_on() || aof.manifest != Manifest::default() {
            let home = aof.home.get_or_insert_with(|| self.directory.clone());
            aof.rewrite.keep_in(home);
        }
    }

    /// Logs where the files are after the working directory has changed.
    pub(in crate::server) fn log_aof_location(&mut self) {
        if let (Some(home), true) = (&self.service.aof.home, self.service.aof.state != State::Off) {
            let path = path_in(Some(home), &self.config.settings().aof.appenddirname);
            self.notice(|| {
                format!(
                    "The append-only file stays in {path}. To move it to the new directory, turn \
                     it off and on again with CONFIG SET appendonly."
                )
            });
        }
    }

    /// The operation that creates a new file for commands; an existing one is deleted first.
    pub(super) fn create_file(&mut self, file: FileId, path: &str) -> DiskOp {
        let [remove, open] = create_file(file, path);
        self.disk_op(remove, DiskWork::Nothing);
        open
    }

    pub(super) fn manifest_failed(&mut self, error: &DiskError) {
        let text = manifest_failure(&self.config.settings().aof, error);
        self.log(LogLevel::Warning, || text);
    }

    /// The file before the new one is complete and durable: the manifest may name the new one.
    pub(super) fn name_new_incr(&mut self) {
        self.rewrite_event(Now::instantaneous(self.now.0, self.now.1), Event::Durable);
    }

    /// Keeps the previous file if the new one is not in the manifest yet, and aborts the rewrite.
    pub(super) fn abort_switch(&mut self, now: Now<'_>) {
        self.rewrite_event(now, Event::Abort);
    }

    /// Aborts the base that is being written.
    pub(super) fn kill_rewrite(&mut self, now: Now<'_>) {
        let ours =
            self.snapshot().is_some_and(|job| matches!(job.purpose(), Purpose::RewriteAof { .. }));
        if ours {
            let pid = self.facts.pid;
            self.notice(|| format!("Killing running AOF rewrite child: {pid}"));
            self.kill_snapshot(now);
        }
    }

    /// The snapshot for the new base is on disk, or has failed.
    pub(in crate::server) fn rewrite_ended(&mut self, now: Now<'_>, result: Result<(), Failure>) {
        self.rewrite_event(now, Event::SnapshotEnded(result));
    }

    /// Deletes the file to which commands went while the first base was written.
    pub(super) fn remove_temporary_incr(&mut self, now: Now<'_>) {
        let actions = self.service.aof.remove_temporary_incr(&self.config.settings().aof);
        self.take_rewrite_actions(now, actions);
    }

    /// Deletes the files that a rewrite has made obsolete.
    pub(in crate::server) fn delete_history(&mut self) {
        self.rewrite_event(Now::instantaneous(self.now.0, self.now.1), Event::Collect);
    }

    /// Starts a rewrite if one is scheduled or due.
    pub(in crate::server) fn rewrite_cron(&mut self, now: Now<'_>) {
        let aof = &self.service.aof;
        if aof.state == State::Off && !aof.rewrite.scheduled
            || aof.rewrite.is_on()
            || self.snapshot_runs()
            || self.service.aof.is_starting()
            || self.is_loading()
            || self.service.persistence.reloading
            || self.is_ending()
        {
            return;
        }
        if aof.rewrite.scheduled {
            return self.rewrite_event(now, Event::Due { growth: None });
        }
        let growth = aof.due_growth(&self.config.settings().aof);
        if growth.is_some() {
            self.rewrite_event(now, Event::Due { growth });
        }
    }

    /// When a delayed rewrite may start.
    pub(in crate::server) fn rewrite_wake(&self) -> Option<Mono> {
        let rewrite = &self.service.aof.rewrite;
        if rewrite.is_on() || self.snapshot_runs() || self.is_migrating() || self.is_ending() {
            return None;
        }
        if rewrite.scheduled
            && rewrite.backoff.is_clear()
            && !self.service.aof.is_starting()
            && !self.is_loading()
            && !self.service.persistence.reloading
        {
            return Some(self.now.0);
        }
        let until = rewrite.backoff.until()?;
        let wait = until.saturating_sub(self.now.1.as_secs()).min(60);
        Some(self.now.0 + Duration::from_secs(wait.max(1)))
    }

    /// Starts the rewrite that turns the append-only file on; `change` waits until it has started.
    pub(super) fn rewrite_for_change(&mut self, now: Now<'_>, change: Change) {
        self.rewrite_event(now, Event::Begin { requester: Some(Requester::Change(change)) });
    }

    /// Cancels a scheduled rewrite.
    pub(super) fn unschedule_rewrite(&mut self) {
        self.service.aof.rewrite.scheduled = false;
    }
}
