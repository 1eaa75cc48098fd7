//! The rewrite of the append-only file: all data anew, so that the commands of the past can go.
//!
//! From the moment whose data the new base shall hold, commands go to a new incremental file. What
//! the file before it still lacks is written and made durable first, and only then does the
//! manifest name the new one; so whatever happens, no file but the last can be torn. When the base
//! is written, the manifest names it in place of all that was before.
//!
//! This is a state machine over what is known of the files ([`Aof`]): an [`Event`] goes in, the
//! [`Action`]s that follow come out, in the order in which they are to be taken. Next door,
//! `rewriting` takes them, as the server.

mod words;

use core::mem;

pub(super) use words::{Action, Asked, Context, Event, Step};

use super::backoff::{Backoff, Limit};
use super::{Aof, State};
use crate::machine::{DiskDone, DiskError, DiskOp, FileId, LogLevel, OpenMode};
use crate::persist::aof::Manifest;
use crate::persist::aof::manifest::{manifest_name, temp_incr_name};
use crate::server::config::settings::AofSettings;
use crate::server::persistence::sink::path_in;
use crate::server::persistence::snapshot::Failure;
use crate::time::Wall;

/// What is known of rewrites.
#[derive(Clone, Debug, Default)]
pub(super) struct Rewrite {
    /// How far the one under way has come.
    stage: Stage,
    /// Whether one is to begin as soon as nothing is in the way.
    pub(super) scheduled: bool,
    /// How many were begun.
    pub(super) count: u64,
    /// How many failed since the last that did not, and how long the next waits for that.
    pub(super) backoff: Backoff,
    /// Whether the last one failed.
    pub(super) failed: bool,
    /// How many seconds the last one took.
    pub(super) took: Option<i64>,
    /// Bytes that were copied because they changed before they were written.
    pub(super) copied: u64,
    began: Option<Wall>,
    /// Whether the new base is in the format of RDB.
    rdb: bool,
    /// The new incremental file, while the snapshot has been asked for and has not begun.
    incr: Option<NewIncr>,
    /// The new incremental file, before the manifest names it.
    switch: Option<Switch>,
    /// The new base, when it is written before the switch is done.
    written: bool,
    /// Whether commands have gone to an incremental file of its own since it began, which has to
    /// stay when it ends, even if the append-only file is turned off meanwhile.
    keeps: bool,
    /// The client that waits for the reply that it has begun.
    asked: Option<Asked>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    /// Files are made.
    Opening,
    /// The base is written.
    Writing,
    /// Files get their names.
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

/// From one incremental file to the next.
#[derive(Clone, Debug)]
struct Switch {
    file: FileId,
    path: String,
    manifest: Manifest,
    /// Whether the manifest is being written.
    naming: bool,
}

/// The actions that have come together.
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

    /// Closes and removes a file that is not wanted after all.
    fn discard(&mut self, file: FileId, path: String) {
        self.disk(DiskOp::Close { file });
        self.disk(DiskOp::Remove { path });
    }
}

impl Rewrite {
    /// Whether one is under way.
    pub(super) fn is_on(&self) -> bool {
        self.stage != Stage::Idle || self.switch.is_some()
    }

    /// How long the one under way has taken, in seconds.
    pub(super) fn takes(&self, now: Wall) -> Option<i64> {
        let began = self.began.filter(|_| self.is_on())?;
        i64::try_from(now.as_secs().saturating_sub(began.as_secs())).ok()
    }

    fn fail(&mut self) {
        self.failed = true;
        self.backoff.failed();
    }

    /// The working directory becomes another: paths that are relative to it are from now on
    /// relative to `home`.
    pub(super) fn stay_in(&mut self, home: &str) {
        if let Some(switch) = &mut self.switch {
            switch.path = path_in(Some(home), &switch.path);
        }
    }
}

/// The temporary name of a base.
fn temporary_base(pid: u32) -> String {
    format!("temp-rewriteaof-bg-{pid}.aof")
}

/// What the log says when the manifest could not be written.
pub(super) fn manifest_failure(settings: &AofSettings, error: &DiskError) -> String {
    let name = manifest_name(&settings.appendfilename);
    format!("Error trying to write the temporary AOF manifest file temp-{name}: {error}")
}

impl Aof {
    /// A path that is meant to be in the working directory.
    pub(super) fn path(&self, name: &str) -> String {
        path_in(self.home.as_deref(), name)
    }

    /// The path of a file in the directory of the append-only file.
    pub(super) fn path_of_part(&self, settings: &AofSettings, name: &str) -> String {
        self.path(&format!("{}/{name}", settings.appenddirname))
    }

    /// The growth in percent since the last rewrite, if it is enough for another.
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

    /// Removes the file that commands went to while the first base was written: what is to be done
    /// for that.
    pub(super) fn remove_temporary_incr(&self, settings: &AofSettings) -> [Action; 2] {
        let name = temp_incr_name(&settings.appendfilename);
        let path = self.path_of_part(settings, &name);
        let text = format!("Removing the temp incr aof file {name} in the background");
        [Action::Log(LogLevel::Notice, text), Action::Disk(DiskOp::Remove { path }, None)]
    }

    /// Takes in what has happened. Gives what is to be done, in this order.
    pub(super) fn rewrite_event(&mut self, ctx: &mut Context<'_>, event: Event) -> Vec<Action> {
        let mut out = Actions::default();
        match event {
            Event::Begin { asked } => self.begin(ctx, &mut out, asked),
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

    fn begin(&mut self, ctx: &Context<'_>, out: &mut Actions, asked: Option<Asked>) {
        if self.state != State::On && self.home.take().is_some() {
            // Nothing here follows from what is there.
            self.manifest = Manifest::default();
        }
        self.rewrite.stage = Stage::Opening;
        self.rewrite.asked = asked;
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
            (Step::Named, result) => self.incr_named(ctx, out, result.err()),
            (Step::Base { file }, Ok(DiskDone::Opened { len })) => {
                self.name_base(ctx, out, file, len);
            }
            (Step::Base { file }, Ok(_)) => self.name_base(ctx, out, file, 0),
            (Step::Base { .. }, Err(error)) => {
                let from = temporary_base(ctx.pid);
                out.warning(format!("Unable to obtain the AOF file {from} length. stat: {error}"));
                self.fail(ctx, out);
            }
            (Step::BaseNamed { manifest, name, len }, result) => {
                self.base_named(ctx, out, (manifest, len), &name, result.err());
            }
            (Step::IncrNamed { manifest, temporary, name, len }, Ok(_)) => {
                out.notice(format!(
                    "Successfully renamed the temporary AOF incr file {temporary} into {name}"
                ));
                self.name_rewrite(ctx, out, manifest, len, true);
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

    /// The directory is there: opens the file that commands go to from the moment of the snapshot.
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
        let [remove, open] = open_anew(file, &path);
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
        // The working directory may have become another meanwhile.
        incr.path = self.path(&incr.path);
        out.notice(format!("Creating AOF incr file {name} on background rewrite"));
        self.ask_for_snapshot(ctx, out, Some(incr));
    }

    /// The moment whose data the new base shall hold is now.
    fn ask_for_snapshot(&mut self, ctx: &Context<'_>, out: &mut Actions, incr: Option<NewIncr>) {
        self.rewrite.rdb = ctx.settings.aof_use_rdb_preamble;
        self.rewrite.incr = incr;
        if !ctx.is_whole {
            return self.snapshot_refused(out);
        }
        out.push(Action::Snapshot { path: self.temporary_path(ctx) });
    }

    /// Another snapshot is being written, or the data is not whole.
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
                // What came before will be durable with the base. An offset from before the file
                // was turned on may be that of another stream.
                self.log.synced_offset = ctx.offset;
                out.push(Action::FollowersChanged);
            }
            None => {}
        }
        let pid = ctx.pid;
        out.notice(format!("Background append only file rewriting started by pid {pid}"));
        self.answer(out, Ok("Background append only file rewriting started"));
        out.push(Action::WentOn);
    }

    fn answer(&mut self, out: &mut Actions, result: Result<&'static str, &'static str>) {
        if let Some(asked) = self.rewrite.asked.take() {
            out.push(Action::Answer(asked, result));
        }
    }

    /// A rewrite could not even begin.
    fn refuse(&mut self, out: &mut Actions) {
        self.rewrite.stage = Stage::Idle;
        self.rewrite.failed = true;
        if self.state == State::WaitRewrite {
            // The client that turned the file on is not the one that asked for the rewrite that
            // was given up.
            if matches!(self.rewrite.asked, Some(Asked::Change(_))) {
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

    fn incr_named(&mut self, ctx: &mut Context<'_>, out: &mut Actions, error: Option<DiskError>) {
        let Some(switch) = self.rewrite.switch.take() else { return };
        if let Some(error) = error {
            out.warning(manifest_failure(ctx.settings, &error));
            // It may name the file all the same, so that stays; but nothing is written to it.
            let manifest = self.manifest.clone();
            self.rewrite.switch = Some(Switch { manifest, ..switch });
            return self.abort(ctx, out);
        }
        self.manifest = switch.manifest;
        if let Some(file) = self.log.go_over_to(switch.file) {
            out.disk(DiskOp::Close { file });
        }
        out.push(Action::WentOn);
        if mem::take(&mut self.rewrite.written) {
            self.look_at_base(ctx, out);
        }
    }

    /// Stays with the file before, and gives the rewrite up.
    fn abort(&mut self, ctx: &Context<'_>, out: &mut Actions) {
        let Some(switch) = self.rewrite.switch.take() else { return };
        self.log.let_go();
        out.disk(DiskOp::Close { file: switch.file });
        if switch.naming {
            // The manifest may name it by now, and then it has to be there, empty as it is.
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
            Ok(()) => self.look_at_base(ctx, out),
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

    /// The base is written: how long is it?
    fn look_at_base(&mut self, ctx: &mut Context<'_>, out: &mut Actions) {
        self.rewrite.stage = Stage::Finishing;
        out.notice("Background AOF rewrite terminated with success");
        let (file, path) = (ctx.next_file(), self.temporary_path(ctx));
        out.then(DiskOp::Open { file, path, mode: OpenMode::Read }, Step::Base { file });
    }

    fn name_base(&mut self, ctx: &Context<'_>, out: &mut Actions, file: FileId, len: u64) {
        out.disk(DiskOp::Close { file });
        let mut manifest = self.manifest.clone();
        let name = manifest.new_base(&ctx.settings.appendfilename, self.rewrite.rdb);
        let (from, to) = (self.temporary_path(ctx), self.path_of_part(ctx.settings, &name));
        out.then(DiskOp::Rename { from, to }, Step::BaseNamed { manifest, name, len });
    }

    fn base_named(
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
        self.name_rewrite(ctx, out, manifest, len, self.rewrite.keeps);
    }

    /// Names the new base in place of all that was before, but for the last incremental file if
    /// that `keeps` what came since the base.
    fn name_rewrite(
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
        // If it was turned off and on meanwhile, this is not the base that it waits for.
        if self.state == State::WaitRewrite && self.log.is_open() {
            self.state = State::On;
            out.push(Action::OffsetsChanged);
        }
        self.over(ctx, out);
    }

    /// Files could not get their names.
    fn fail(&mut self, ctx: &Context<'_>, out: &mut Actions) {
        self.rewrite.fail();
        out.disk(DiskOp::Remove { path: self.temporary_path(ctx) });
        self.over(ctx, out);
    }

    /// A rewrite has ended, well or not.
    fn over(&mut self, ctx: &Context<'_>, out: &mut Actions) {
        self.rewrite.took = self.rewrite.takes(ctx.now);
        self.rewrite.stage = Stage::Idle;
        self.rewrite.began = None;
        self.rewrite.copied = ctx.copied;
        if self.state == State::WaitRewrite {
            // What came meanwhile is in the next base.
            if let Some(file) = self.log.forget() {
                out.disk(DiskOp::Close { file });
                out.0.extend(self.remove_temporary_incr(ctx.settings));
            }
            self.rewrite.scheduled = true;
            out.push(Action::FollowersChanged);
        }
        out.push(Action::WentOn);
    }

    /// Deletes the files that a rewrite has made superfluous.
    fn delete_history(&mut self, ctx: &Context<'_>, out: &mut Actions) {
        // What is being loaded may be among them.
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

/// The operations that open a new file for commands. One of its name goes: it may be left from a
/// rewrite that was given up, and if it were only cut its commands could come back, should the power
/// fail before what is written instead is durable.
pub(super) fn open_anew(file: FileId, path: &str) -> [DiskOp; 2] {
    let path = path.to_owned();
    [DiskOp::Remove { path: path.clone() }, DiskOp::Open { file, path, mode: OpenMode::Create }]
}

#[cfg(test)]
mod tests;
