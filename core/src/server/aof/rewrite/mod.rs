//! AOF rewrite: writes all data anew, so that old commands can be deleted.
//!
//! From the moment of the snapshot, commands go to a new incremental file. The file before it is
//! completed and fsynced first, and only then does the manifest name the new one; so whatever
//! happens, only the last file can be torn. When the base is written, the manifest names it in
//! place of all earlier files.
//!
//! This is a state machine over the files ([`Aof`]): an [`Event`] goes in, and the resulting
//! [`Action`]s come out, to be taken in that order. `rewriting` takes them, as the server.

mod events;

use core::mem;

pub(super) use events::{Action, Context, Event, Requester, Step};

use super::backoff::{Backoff, Limit};
use super::{Aof, State};
use crate::machine::{DiskDone, DiskError, DiskOp, FileId, LogLevel, OpenMode};
use crate::persist::aof::Manifest;
use crate::persist::aof::manifest::{manifest_name, temp_incr_name};
use crate::server::config::settings::AofSettings;
use crate::server::persistence::sink::path_in;
use crate::server::persistence::snapshot::Failure;
use crate::time::Wall;

/// The state of rewrites.
#[derive(Clone, Debug, Default)]
pub(super) struct Rewrite {
    /// The stage of the current one.
    stage: Stage,
    /// Whether one is to start as soon as possible.
    pub(super) scheduled: bool,
    /// Rewrites started so far.
    pub(super) count: u64,
    /// Consecutive failures, and the delay of the next rewrite.
    pub(super) backoff: Backoff,
    /// Whether the last one failed.
    pub(super) failed: bool,
    /// Duration of the last one in seconds.
    pub(super) took: Option<i64>,
    /// Bytes that were copied because they changed before they were written (copy-on-write).
    pub(super) copied: u64,
    began: Option<Wall>,
    /// Whether the new base is in RDB format.
    rdb: bool,
    /// The new incremental file, until the requested snapshot has begun.
    incr: Option<NewIncr>,
    /// The new incremental file, until the manifest names it.
    switch: Option<Switch>,
    /// The new base, if it has been written before the switch is complete.
    written: bool,
    /// Whether commands have gone to an incremental file of its own since it began. That file has
    /// to stay even if the append-only file is turned off meanwhile.
    keeps: bool,
    /// The client that waits for the reply that a rewrite has started.
    requester: Option<Requester>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    /// Creating files.
    Opening,
    /// Writing the base.
    Writing,
    /// Renaming files.
    Finishing,
}

/// A new incremental file.
#[derive(Clone, Debug)]
struct NewIncr {
    file: FileId,
    path: String,
    /// The manifest that names it; `None` for a temporary file, while there is no first base.
    manifest: Option<Manifest>,
}

/// The switch from one incremental file to the next.
#[derive(Clone, Debug)]
struct Switch {
    file: FileId,
    path: String,
    manifest: Manifest,
    /// Whether the manifest is being written.
    naming: bool,
}

/// Collects the resulting actions.
#[derive(Default)]
struct Actions(Vec<Action>);

impl Actions {
    fn then(&mut self, what: DiskOp, step: Step) {
        self.0.push(Action::Disk(what, Some(step)));
    }

    fn disk(&mut self, what: DiskOp) {
        self.0.push(Action::Disk(what, None));
    }

    fn notice(&mut self, text: impl Into<String>) {
        self.0.push(Action::Log(LogLevel::Notice, text.into()));
    }

    fn warning(&mut self, text: impl Into<String>) {
        self.0.push(Action::Log(LogLevel::Warning, text.into()));
    }

    fn push(&mut self, action: Action) {
        self.0.push(action);
    }

    /// Closes and deletes a file that is no longer wanted.
    fn discard(&mut self, file: FileId, path: String) {
        self.disk(DiskOp::Close { file });
        self.disk(DiskOp::Remove { path });
    }
}

impl Rewrite {
    /// Whether a rewrite is in progress.
    pub(super) fn is_on(&self) -> bool {
        self.stage != Stage::Idle || self.switch.is_some()
    }

    /// How long the current one has taken, in seconds.
    pub(super) fn takes(&self, now: Wall) -> Option<i64> {
        let began = self.began.filter(|_| self.is_on())?;
        i64::try_from(now.as_secs().saturating_sub(began.as_secs())).ok()
    }

    fn fail(&mut self) {
        self.failed = true;
        self.backoff.failed();
    }

    /// The working directory is about to change: paths that were relative to it become relative to
    /// `home`.
    pub(super) fn keep_in(&mut self, home: &str) {
        if let Some(switch) = &mut self.switch {
            switch.path = path_in(Some(home), &switch.path);
        }
    }
}

/// The temporary name of a base.
fn temporary_base(pid: u32) -> String {
    format!("temp-rewriteaof-bg-{pid}.aof")
}

/// The log line when writing the manifest has failed.
pub(super) fn manifest_failure(settings: &AofSettings, error: &DiskError) -> String {
    let name = manifest_name(&settings.appendfilename);
    format!("Error trying to write the temporary AOF manifest file temp-{name}: {error}")
}

impl Aof {
    /// The path of a file in the original working directory.
    pub(super) fn path(&self, name: &str) -> String {
        path_in(self.home.as_deref(), name)
    }

    /// The path of a file in the directory of the append-only file.
    pub(super) fn path_of_part(&self, settings: &AofSettings, name: &str) -> String {
        self.path(&format!("{}/{name}", settings.appenddirname))
    }

    /// The growth in percent since the last rewrite, if it is enough to trigger another.
    pub(super) fn due_growth(&self, settings: &AofSettings) -> Option<u64> {
        let percentage = settings.auto_aof_rewrite_percentage;
        let large = self.current_size > settings.auto_aof_rewrite_min_size;
        if self.state != State::On || percentage == 0 || !large {
            return None;
        }
        let base = u128::from(self.base_size.max(1));
        let growth = (u128::from(self.current_size) * 100 / base).saturating_sub(100);
        let growth = u64::try_from(growth).unwrap_or(u64::MAX);
        (growth >= percentage).then_some(growth)
    }

    /// The actions that delete the file to which commands went while the first base was written.
    pub(super) fn remove_temporary_incr(&self, settings: &AofSettings) -> [Action; 2] {
        let name = temp_incr_name(&settings.appendfilename);
        let path = self.path_of_part(settings, &name);
        let text = format!("Removing the temp incr aof file {name} in the background");
        [Action::Log(LogLevel::Notice, text), Action::Disk(DiskOp::Remove { path }, None)]
    }

    /// Handles an event. Returns the resulting actions, in order.
    pub(super) fn rewrite_event(&mut self, ctx: &mut Context<'_>, event: Event) -> Vec<Action> {
        let mut out = Actions::default();
        match event {
            Event::Begin { requester } => self.begin(ctx, &mut out, requester),
            Event::Due { growth } => self.begin_if_clear(ctx, &mut out, growth),
            Event::Disk(step, result) => self.disk_done(ctx, &mut out, step, result),
            Event::Snapshot { begun: true } => self.snapshot_begun(ctx, &mut out),
            Event::Snapshot { begun: false } => self.snapshot_refused(&mut out),
            Event::SnapshotEnded(result) => self.snapshot_ended(ctx, &mut out, result),
            Event::Durable => self.name_new_incr(ctx, &mut out),
            Event::Abort => self.abort(ctx, &mut out),
            Event::Collect => self.delete_history(ctx, &mut out),
        }
        out.0
    }

    /// The path of a base that is being written.
    fn temporary_path(&self, ctx: &Context<'_>) -> String {
        self.path(&temporary_base(ctx.pid))
    }

    fn write_manifest(
        &self,
        ctx: &Context<'_>,
        out: &mut Actions,
        manifest: &Manifest,
        step: Step,
    ) {
        let name = manifest_name(&ctx.settings.appendfilename);
        let path = self.path_of_part(ctx.settings, &name);
        out.then(DiskOp::Replace { path, bytes: manifest.format().into_bytes() }, step);
    }

    fn begin_if_clear(&mut self, ctx: &Context<'_>, out: &mut Actions, growth: Option<u64>) {
        match self.rewrite.backoff.limit(ctx.now) {
            Limit::None => {
                if let Some(growth) = growth {
                    out.notice(format!("Starting automatic rewriting of AOF on {growth}% growth"));
                }
                self.begin(ctx, out, None);
            }
            Limit::Begins { minutes } => out.warning(format!(
                "Background AOF rewrite has repeatedly failed and triggered the limit, will retry \
                 in {minutes} minutes"
            )),
            Limit::GoesOn => {}
        }
    }

    fn begin(&mut self, ctx: &Context<'_>, out: &mut Actions, requester: Option<Requester>) {
        if self.state != State::On && self.home.take().is_some() {
            // The existing files do not contribute to the new base.
            self.manifest = Manifest::default();
        }
        self.rewrite.stage = Stage::Opening;
        self.rewrite.requester = requester;
        self.rewrite.written = false;
        let path = self.path(&ctx.settings.appenddirname);
        out.then(DiskOp::MakeDir { path }, Step::Dir);
        out.disk(DiskOp::SyncDir { path: self.path(".") });
    }

    fn disk_done(
        &mut self,
        ctx: &mut Context<'_>,
        out: &mut Actions,
        step: Step,
        result: Result<DiskDone, DiskError>,
    ) {
        match (step, result) {
            (Step::Dir, Ok(_)) => self.open_incr(ctx, out),
            (Step::Dir, Err(error)) => {
                let dir = &ctx.settings.appenddirname;
                out.warning(format!("Can't open or create append-only dir {dir}: {error}"));
                self.refuse(out);
            }
            (Step::Incr { file, path, name, manifest }, Ok(_)) => {
                self.incr_opened(ctx, out, NewIncr { file, path, manifest }, &name);
            }
            (Step::Incr { name, .. }, Err(error)) => {
                out.warning(format!("Can't open the append-only file {name}: {error}"));
                self.refuse(out);
            }
            (Step::Named, result) => self.incr_in_manifest(ctx, out, result.err()),
            (Step::Base { file }, Ok(DiskDone::Opened { len })) => {
                self.rename_base(ctx, out, file, len);
            }
            (Step::Base { file }, Ok(_)) => self.rename_base(ctx, out, file, 0),
            (Step::Base { .. }, Err(error)) => {
                let from = temporary_base(ctx.pid);
                out.warning(format!("Unable to obtain the AOF file {from} length. stat: {error}"));
                self.fail(ctx, out);
            }
            (Step::BaseNamed { manifest, name, len }, result) => {
                self.base_renamed(ctx, out, (manifest, len), &name, result.err());
            }
            (Step::IncrNamed { manifest, temporary, name, len }, Ok(_)) => {
                out.notice(format!(
                    "Successfully renamed the temporary AOF incr file {temporary} into {name}"
                ));
                self.write_final_manifest(ctx, out, manifest, len, true);
            }
            (Step::IncrNamed { temporary, name, .. }, Err(error)) => {
                out.warning(format!(
                    "Error trying to rename the temporary AOF incr file {temporary} into {name}: \
                     {error}"
                ));
                self.fail(ctx, out);
            }
            (Step::Done { manifest, len }, Ok(_)) => self.done(ctx, out, manifest, len),
            (Step::Done { .. }, Err(error)) => {
                out.warning(manifest_failure(ctx.settings, &error));
                self.fail(ctx, out);
            }
            (Step::Forgotten, Ok(_)) => {}
            (Step::Forgotten, Err(error)) => out.warning(manifest_failure(ctx.settings, &error)),
        }
    }

    /// The directory exists: opens the file for commands from the moment of the snapshot.
    fn open_incr(&mut self, ctx: &mut Context<'_>, out: &mut Actions) {
        let filename = &ctx.settings.appendfilename;
        let (name, manifest) = match self.state {
            State::Off => return self.ask_for_snapshot(ctx, out, None),
            State::WaitRewrite => (temp_incr_name(filename), None),
            State::On => {
                let mut manifest = self.manifest.clone();
                (manifest.new_incr(filename), Some(manifest))
            }
        };
        let (file, path) = (ctx.next_file(), self.path_of_part(ctx.settings, &name));
        let [remove, open] = create_file(file, &path);
        out.disk(remove);
        out.then(open, Step::Incr { file, path, name, manifest });
    }

    fn incr_opened(&mut self, ctx: &Context<'_>, out: &mut Actions, mut incr: NewIncr, name: &str) {
        let is_meant = match self.state {
            State::On => incr.manifest.is_some(),
            State::WaitRewrite => incr.manifest.is_none(),
            State::Off => false,
        };
        if !is_meant || self.rewrite.stage != Stage::Opening {
            // The append-only file was turned off meanwhile.
            out.discard(incr.file, incr.path);
            return self.refuse(out);
        }
        // The working directory may have changed meanwhile.
        incr.path = self.path(&incr.path);
        out.notice(format!("Creating AOF incr file {name} on background rewrite"));
        self.ask_for_snapshot(ctx, out, Some(incr));
    }

    /// Requests the snapshot: the new base holds the data as of now.
    fn ask_for_snapshot(&mut self, ctx: &Context<'_>, out: &mut Actions, incr: Option<NewIncr>) {
        self.rewrite.rdb = ctx.settings.aof_use_rdb_preamble;
        self.rewrite.incr = incr;
        if !ctx.is_whole {
            return self.snapshot_refused(out);
        }
        out.push(Action::Snapshot { path: self.temporary_path(ctx) });
    }

    /// Another snapshot is being written, or the data is incomplete.
    fn snapshot_refused(&mut self, out: &mut Actions) {
        if let Some(NewIncr { file, path, .. }) = self.rewrite.incr.take() {
            out.discard(file, path);
        }
        self.rewrite.stage = Stage::Idle;
        self.rewrite.scheduled = true;
        self.answer(out, Ok("Background append only file rewriting scheduled"));
    }

    fn snapshot_begun(&mut self, ctx: &Context<'_>, out: &mut Actions) {
        let incr = self.rewrite.incr.take();
        let rewrite = &mut self.rewrite;
        rewrite.stage = Stage::Writing;
        rewrite.scheduled = false;
        rewrite.count += 1;
        rewrite.keeps = incr.as_ref().is_some_and(|incr| incr.manifest.is_some());
        rewrite.began = Some(ctx.now);
        self.feed.reset();
        match incr {
            Some(NewIncr { file, path, manifest: Some(manifest) }) => {
                rewrite.switch = Some(Switch { file, path, manifest, naming: false });
                self.log.hold(ctx.offset);
            }
            Some(NewIncr { file, manifest: None, .. }) => {
                self.log.open(file, 0);
                // Everything before is durable with the base. An offset from before the file was
                // turned on may belong to another replication stream.
                self.log.synced_offset = ctx.offset;
                out.push(Action::FollowersChanged);
            }
            None => {}
        }
        let pid = ctx.pid;
        out.notice(format!("Background append only file rewriting started by pid {pid}"));
        self.answer(out, Ok("Background append only file rewriting started"));
        out.push(Action::Resume);
    }

    fn answer(&mut self, out: &mut Actions, result: Result<&'static str, &'static str>) {
        if let Some(requester) = self.rewrite.requester.take() {
            out.push(Action::Answer(requester, result));
        }
    }

    /// The rewrite could not start.
    fn refuse(&mut self, out: &mut Actions) {
        self.rewrite.stage = Stage::Idle;
        self.rewrite.failed = true;
        if self.state == State::WaitRewrite {
            // The client that turned the file on is not the one that asked for the aborted rewrite.
            if matches!(self.rewrite.requester, Some(Requester::Change(_))) {
                self.state = State::Off;
                out.warning(
                    "Redis needs to enable the AOF but can't trigger a background AOF rewrite \
                     operation. Check the above logs for more info about the error.",
                );
            } else {
                self.rewrite.scheduled = true;
                self.rewrite.backoff.failed();
            }
        }
        self.answer(out, Err("Unable to turn on AOF. Check server logs."));
        out.push(Action::FollowersChanged);
    }

    fn name_new_incr(&mut self, ctx: &Context<'_>, out: &mut Actions) {
        let Some(switch) = &mut self.rewrite.switch else { return };
        if !mem::replace(&mut switch.naming, true) {
            let manifest = switch.manifest.clone();
            self.write_manifest(ctx, out, &manifest, Step::Named);
        }
    }

    fn incr_in_manifest(
        &mut self,
        ctx: &mut Context<'_>,
        out: &mut Actions,
        error: Option<DiskError>,
    ) {
        let Some(switch) = self.rewrite.switch.take() else { return };
        if let Some(error) = error {
            out.warning(manifest_failure(ctx.settings, &error));
            // The manifest may name the file all the same, so it has to stay; but nothing is
            // written to it.
            let manifest = self.manifest.clone();
            self.rewrite.switch = Some(Switch { manifest, ..switch });
            return self.abort(ctx, out);
        }
        self.manifest = switch.manifest;
        if let Some(file) = self.log.switch_to(switch.file) {
            out.disk(DiskOp::Close { file });
        }
        out.push(Action::Resume);
        if mem::take(&mut self.rewrite.written) {
            self.stat_base(ctx, out);
        }
    }

    /// Keeps the previous file, and aborts the rewrite.
    fn abort(&mut self, ctx: &Context<'_>, out: &mut Actions) {
        let Some(switch) = self.rewrite.switch.take() else { return };
        self.log.release();
        out.disk(DiskOp::Close { file: switch.file });
        if switch.naming {
            // The manifest may already name the file, which therefore has to exist, even if it is
            // empty.
            self.manifest = switch.manifest;
        } else {
            out.disk(DiskOp::Remove { path: switch.path });
        }
        if mem::take(&mut self.rewrite.written) {
            return self.fail(ctx, out);
        }
        self.rewrite.fail();
        out.push(Action::KillSnapshot);
    }

    fn snapshot_ended(
        &mut self,
        ctx: &mut Context<'_>,
        out: &mut Actions,
        result: Result<(), Failure>,
    ) {
        match result {
            Ok(()) if self.rewrite.switch.is_some() => self.rewrite.written = true,
            Ok(()) => self.stat_base(ctx, out),
            Err(Failure::Killed) => {
                out.warning("Background AOF rewrite terminated by signal 10");
                self.over(ctx, out);
            }
            Err(Failure::Disk(_) | Failure::Behind) => {
                self.rewrite.fail();
                out.warning("Background AOF rewrite terminated with error");
                self.over(ctx, out);
            }
        }
    }

    /// The base has been written: asks for its length.
    fn stat_base(&mut self, ctx: &mut Context<'_>, out: &mut Actions) {
        self.rewrite.stage = Stage::Finishing;
        out.notice("Background AOF rewrite terminated with success");
        let (file, path) = (ctx.next_file(), self.temporary_path(ctx));
        out.then(DiskOp::Open { file, path, mode: OpenMode::Read }, Step::Base { file });
    }

    fn rename_base(&mut self, ctx: &Context<'_>, out: &mut Actions, file: FileId, len: u64) {
        out.disk(DiskOp::Close { file });
        let mut manifest = self.manifest.clone();
        let name = manifest.new_base(&ctx.settings.appendfilename, self.rewrite.rdb);
        let (from, to) = (self.temporary_path(ctx), self.path_of_part(ctx.settings, &name));
        out.then(DiskOp::Rename { from, to }, Step::BaseNamed { manifest, name, len });
    }

    fn base_renamed(
        &mut self,
        ctx: &Context<'_>,
        out: &mut Actions,
        (mut manifest, len): (Manifest, u64),
        name: &str,
        error: Option<DiskError>,
    ) {
        let temporary = temporary_base(ctx.pid);
        if let Some(error) = error {
            out.warning(format!(
                "Error trying to rename the temporary AOF base file {temporary} into {name}: \
                 {error}"
            ));
            return self.fail(ctx, out);
        }
        out.notice(format!(
            "Successfully renamed the temporary AOF base file {temporary} into {name}"
        ));
        if self.state == State::WaitRewrite && self.log.is_open() {
            let temporary = temp_incr_name(&ctx.settings.appendfilename);
            let name = manifest.new_incr(&ctx.settings.appendfilename);
            let from = self.path_of_part(ctx.settings, &temporary);
            let to = self.path_of_part(ctx.settings, &name);
            let step = Step::IncrNamed { manifest, temporary, name, len };
            return out.then(DiskOp::Rename { from, to }, step);
        }
        self.write_final_manifest(ctx, out, manifest, len, self.rewrite.keeps);
    }

    /// Writes a manifest with the new base in place of all earlier files, except for the last
    /// incremental file if that `keeps` the commands since the base.
    fn write_final_manifest(
        &self,
        ctx: &Context<'_>,
        out: &mut Actions,
        mut manifest: Manifest,
        len: u64,
        keeps: bool,
    ) {
        manifest.retire_incr(usize::from(keeps));
        self.write_manifest(ctx, out, &manifest.clone(), Step::Done { manifest, len });
    }

    fn done(&mut self, ctx: &Context<'_>, out: &mut Actions, manifest: Manifest, len: u64) {
        self.manifest = manifest;
        if self.state != State::Off {
            self.current_size = len + self.log.size();
            self.base_size = self.current_size;
        }
        self.delete_history(ctx, out);
        self.rewrite.failed = false;
        self.rewrite.backoff.reset();
        out.notice("Background AOF rewrite finished successfully");
        // If the file was turned off and on meanwhile, this is not the base that it waits for.
        if self.state == State::WaitRewrite && self.log.is_open() {
            self.state = State::On;
            out.push(Action::OffsetsChanged);
        }
        self.over(ctx, out);
    }

    /// Renaming files has failed.
    fn fail(&mut self, ctx: &Context<'_>, out: &mut Actions) {
        self.rewrite.fail();
        out.disk(DiskOp::Remove { path: self.temporary_path(ctx) });
        self.over(ctx, out);
    }

    /// A rewrite has ended, successfully or not.
    fn over(&mut self, ctx: &Context<'_>, out: &mut Actions) {
        self.rewrite.took = self.rewrite.takes(ctx.now);
        self.rewrite.stage = Stage::Idle;
        self.rewrite.began = None;
        self.rewrite.copied = ctx.copied;
        if self.state == State::WaitRewrite {
            // The commands received meanwhile are in the next base.
            if let Some(file) = self.log.forget() {
                out.disk(DiskOp::Close { file });
                out.0.extend(self.remove_temporary_incr(ctx.settings));
            }
            self.rewrite.scheduled = true;
            out.push(Action::FollowersChanged);
        }
        out.push(Action::Resume);
    }

    /// Deletes the files that a rewrite has made obsolete.
    fn delete_history(&mut self, ctx: &Context<'_>, out: &mut Actions) {
        // They may still be needed by a load in progress.
        let may = !ctx.settings.aof_disable_auto_gc && !ctx.reloading;
        if !may || self.manifest.history.is_empty() {
            return;
        }
        for part in mem::take(&mut self.manifest.history) {
            let path = self.path_of_part(ctx.settings, &part.name);
            out.notice(format!("Removing the history file {} in the background", part.name));
            out.disk(DiskOp::Remove { path });
        }
        let manifest = self.manifest.clone();
        self.write_manifest(ctx, out, &manifest, Step::Forgotten);
    }
}

/// The operations that create a new file for commands. An existing file of the same name is
/// deleted: it may be left from an aborted rewrite, and if it were only truncated, its commands
/// could reappear if the power fails before the new contents are durable.
pub(super) fn create_file(file: FileId, path: &str) -> [DiskOp; 2] {
    let path = path.to_owned();
    [DiskOp::Remove { path: path.clone() }, DiskOp::Open { file, path, mode: OpenMode::Create }]
}

#[cfg(test)]
mod tests;
