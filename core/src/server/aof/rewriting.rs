//! Writing all data anew, so that the commands of the past can go.
//!
//! From the moment whose data the new base shall hold, commands go to a new incremental file. What
//! the file before it still lacks is written and made durable first, and only then does the
//! manifest name the new one; so whatever happens, no file but the last can be torn. When the base
//! is written, the manifest names it in place of all that was before.

use super::{Aof, Server, State, Step as AofStep};
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};
use crate::machine::{DiskDone, DiskError, DiskOp, FileId, LogLevel, OpenMode};
use crate::persist::aof::Manifest;
use crate::persist::aof::manifest::{manifest_name, temp_incr_name};
use crate::server::Change;
use crate::server::DiskWork;
use crate::server::persistence::sink::path_in;
use crate::server::persistence::snapshot::{Failure, Purpose};
use crate::server::{Call, Handler, row};
use crate::time::{Duration, Mono, Now, Wall};

/// Rows of the command table.
pub(in crate::server) static ROWS: &[Row<Handler>] =
    &[row(Group::Server, "bgrewriteaof", 1, bgrewriteaof)
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING)
        .summary("Writes the append-only file anew while commands go on.")];

/// How many rewrites fail one after the other before the next has to wait: Redis's
/// `AOF_REWRITE_LIMITE_THRESHOLD`.
const FAILURES: u64 = 3;

/// Minutes that a rewrite waits at most after others have failed: Redis's
/// `AOF_REWRITE_LIMITE_MAX_MINUTES`.
const MOST_MINUTES: u64 = 60;

/// What is known of rewrites.
#[derive(Clone, Debug, Default)]
pub(super) struct Rewrite {
    /// How far the one under way has come.
    stage: Stage,
    /// Whether one is to begin as soon as nothing is in the way.
    pub(super) scheduled: bool,
    /// How many were begun.
    pub(super) count: u64,
    /// How many failed since the last that did not.
    pub(super) failures: u64,
    /// Whether the last one failed.
    pub(super) failed: bool,
    /// How many seconds the last one took.
    pub(super) took: Option<i64>,
    /// Bytes that were copied because they changed before they were written.
    pub(super) copied: u64,
    began: Option<Wall>,
    /// Whether the new base is in the format of RDB.
    rdb: bool,
    /// The new incremental file, before the manifest names it.
    switch: Option<Switch>,
    /// The new base, when it is written before the switch is done.
    written: bool,
    /// Whether commands have gone to an incremental file of its own since it began, which has to
    /// stay when it ends, even if the append-only file is turned off meanwhile.
    keeps: bool,
    /// Clients that wait for the reply that it has begun.
    asked: Option<Asked>,
    /// Minutes that the next one has to wait after failures, and until when.
    delay: u64,
    limited_until: Option<u64>,
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

/// From one incremental file to the next.
#[derive(Clone, Debug)]
struct Switch {
    file: FileId,
    path: String,
    manifest: Manifest,
    /// Whether the manifest is being written.
    naming: bool,
}

/// A client that waits for the reply that a rewrite has begun.
#[derive(Clone, Debug)]
enum Asked {
    /// BGREWRITEAOF.
    Client(u64),
    /// CONFIG SET appendonly yes.
    Change(Change),
}

/// What of a rewrite waits for the disk.
#[derive(Clone, Debug)]
pub(in crate::server) enum Step {
    /// The directory is made.
    Dir,
    /// The new incremental file is open.
    Incr { file: FileId, path: String, name: String, manifest: Option<Manifest> },
    /// The manifest names it.
    Named,
    /// The new base has been looked at, for its length.
    Base { file: FileId },
    /// It has its name.
    BaseNamed { manifest: Manifest, name: String, len: u64 },
    /// The incremental file that was written meanwhile has its name.
    IncrNamed { manifest: Manifest, temporary: String, name: String, len: u64 },
    /// The manifest names the new base.
    Done { manifest: Manifest, len: u64 },
    /// The manifest does not name history any more.
    Forgotten,
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
}

impl Aof {
    /// The temporary name of a base.
    fn temporary(pid: u32) -> String {
        format!("temp-rewriteaof-bg-{pid}.aof")
    }

    /// A path that is meant to be in the working directory.
    fn path(&self, name: &str) -> String {
        path_in(self.home.as_deref(), name)
    }
}

fn bgrewriteaof(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if server.service.aof.rewrite.is_on() {
        return Err(CommandError::text(
            "ERR Background append only file rewriting already in progress",
        ));
    }
    if server.snapshot_runs() || server.service.executing {
        server.service.aof.rewrite.scheduled = true;
        // A rewrite that was asked for is not delayed by earlier failures.
        server.service.aof.rewrite.failures = 0;
        call.reply().simple("Background append only file rewriting scheduled");
    } else {
        call.client.waiting = true;
        server.begin_rewrite(Some(Asked::Client(call.client.id)));
    }
    Ok(())
}

impl Server {
    /// Whether a snapshot is being written, for whatever purpose.
    pub(super) fn snapshot_runs(&self) -> bool {
        self.snapshot().is_some()
    }

    /// The path of a file in the directory of the append-only file.
    pub(super) fn aof_path(&self, name: &str) -> String {
        self.service.aof.path(&format!("{}/{name}", self.config.settings().aof.appenddirname))
    }

    /// The path of a base that is being written.
    fn temporary_path(&self) -> String {
        self.service.aof.path(&Aof::temporary(self.facts.pid))
    }

    /// The working directory becomes another. The files stay where they are: while some are here
    /// and some there, a crash would leave half of the data in each place.
    pub(in crate::server) fn aof_stays(&mut self) {
        let aof = &mut self.service.aof;
        if aof.state != State::Off || aof.rewrite.is_on() || aof.manifest != Manifest::default() {
            let home = aof.home.get_or_insert_with(|| self.directory.clone());
            if let Some(switch) = &mut aof.rewrite.switch {
                switch.path = path_in(Some(home), &switch.path);
            }
        }
    }

    /// Tells where the files are when the working directory has become another.
    pub(in crate::server) fn tell_where_aof_is(&mut self) {
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

    pub(super) fn rewrite_op(&mut self, what: DiskOp, step: Step) {
        self.disk_op(what, DiskWork::Aof(AofStep::Rewrite(Box::new(step))));
    }

    /// Writes the manifest.
    fn write_manifest(&mut self, manifest: &Manifest, step: Step) {
        let path = self.aof_path(&manifest_name(&self.config.settings().aof.appendfilename));
        let bytes = manifest.format().into_bytes();
        self.rewrite_op(DiskOp::Replace { path, bytes }, step);
    }

    /// The operation that opens a new file for commands. One of its name goes: it may be left from
    /// a rewrite that was given up, and if it were only cut its commands could come back, should the
    /// power fail before what is written instead is durable.
    pub(super) fn open_anew(&mut self, file: FileId, path: &str) -> DiskOp {
        let path = path.to_owned();
        self.disk_op(DiskOp::Remove { path: path.clone() }, DiskWork::Nothing);
        DiskOp::Open { file, path, mode: OpenMode::Create }
    }

    pub(super) fn manifest_failed(&mut self, error: &DiskError) {
        let name = manifest_name(&self.config.settings().aof.appendfilename);
        self.log(LogLevel::Warning, || {
            format!("Error trying to write the temporary AOF manifest file temp-{name}: {error}")
        });
    }

    /// Begins a rewrite.
    fn begin_rewrite(&mut self, asked: Option<Asked>) {
        if self.service.aof.state != State::On && self.service.aof.home.take().is_some() {
            // Nothing here follows from what is there.
            self.service.aof.manifest = Manifest::default();
        }
        let rewrite = &mut self.service.aof.rewrite;
        rewrite.stage = Stage::Opening;
        rewrite.asked = asked;
        rewrite.written = false;
        let path = self.service.aof.path(&self.config.settings().aof.appenddirname);
        let above = self.service.aof.path(".");
        self.rewrite_op(DiskOp::MakeDir { path }, Step::Dir);
        self.disk_op(DiskOp::SyncDir { path: above }, DiskWork::Nothing);
    }

    pub(super) fn rewrite_disk_done(
        &mut self,
        now: Now<'_>,
        step: Step,
        result: Result<DiskDone, DiskError>,
    ) {
        match step {
            Step::Dir => self.rewrite_dir_made(now, result.map(drop)),
            Step::Incr { file, path, name, manifest } => {
                self.new_incr_opened(now, file, path, &name, manifest, result.map(drop));
            }
            Step::Named => self.new_incr_named(now, result.map(drop)),
            Step::Base { file } => self.base_looked_at(now, file, result),
            Step::BaseNamed { manifest, name, len } => {
                self.base_named(now, manifest, &name, len, result.map(drop));
            }
            Step::IncrNamed { manifest, temporary, name, len } => match result {
                Ok(_) => {
                    self.notice(|| {
                        format!(
                            "Successfully renamed the temporary AOF incr file {temporary} into \
                             {name}"
                        )
                    });
                    self.name_rewrite(manifest, len, true);
                }
                Err(error) => {
                    self.log(LogLevel::Warning, || {
                        format!(
                            "Error trying to rename the temporary AOF incr file {temporary} into \
                             {name}: {error}"
                        )
                    });
                    self.rewrite_failed(now);
                }
            },
            Step::Done { manifest, len } => match result {
                Ok(_) => self.rewrite_done(now, manifest, len),
                Err(error) => {
                    self.manifest_failed(&error);
                    self.rewrite_failed(now);
                }
            },
            Step::Forgotten => {
                if let Err(error) = result {
                    self.manifest_failed(&error);
                }
            }
        }
    }

    fn rewrite_dir_made(&mut self, now: Now<'_>, result: Result<(), DiskError>) {
        let settings = &self.config.settings().aof;
        if let Err(error) = result {
            let dir = settings.appenddirname.clone();
            self.log(LogLevel::Warning, || {
                format!("Can't open or create append-only dir {dir}: {error}")
            });
            return self.rewrite_refused(now);
        }
        let filename = settings.appendfilename.clone();
        let (name, manifest) = match self.service.aof.state {
            State::Off => return self.take_image(now, None),
            State::WaitRewrite => (temp_incr_name(&filename), None),
            State::On => {
                let mut manifest = self.service.aof.manifest.clone();
                (manifest.new_incr(&filename), Some(manifest))
            }
        };
        let (file, path) = (self.next_file(), self.aof_path(&name));
        let open = self.open_anew(file, &path);
        self.rewrite_op(open, Step::Incr { file, path, name, manifest });
    }

    fn new_incr_opened(
        &mut self,
        now: Now<'_>,
        file: FileId,
        path: String,
        name: &str,
        manifest: Option<Manifest>,
        result: Result<(), DiskError>,
    ) {
        if let Err(error) = result {
            self.log(LogLevel::Warning, || {
                format!("Can't open the append-only file {name}: {error}")
            });
            return self.rewrite_refused(now);
        }
        let meant = match self.service.aof.state {
            State::On => manifest.is_some(),
            State::WaitRewrite => manifest.is_none(),
            State::Off => false,
        };
        if !meant || self.service.aof.rewrite.stage != Stage::Opening {
            // The append-only file was turned off meanwhile.
            self.disk_op(DiskOp::Close { file }, DiskWork::Nothing);
            self.disk_op(DiskOp::Remove { path }, DiskWork::Nothing);
            return self.rewrite_refused(now);
        }
        // The working directory may have become another meanwhile.
        let path = self.service.aof.path(&path);
        self.notice(|| format!("Creating AOF incr file {name} on background rewrite"));
        self.take_image(now, Some((file, path, manifest)));
    }

    /// The moment whose data the new base shall hold is now.
    fn take_image(&mut self, now: Now<'_>, incr: Option<(FileId, String, Option<Manifest>)>) {
        let path = self.temporary_path();
        self.service.aof.rewrite.rdb = self.config.settings().aof.aof_use_rdb_preamble;
        // Half of the data must not take the place of the whole.
        let is_whole = !self.is_loading_in_place() && !self.service.persistence.reloading;
        if !is_whole || self.begin_snapshot(now, Purpose::RewriteAof { path }).is_err() {
            // Somebody else was quicker.
            if let Some((file, path, _)) = incr {
                self.disk_op(DiskOp::Close { file }, DiskWork::Nothing);
                self.disk_op(DiskOp::Remove { path }, DiskWork::Nothing);
            }
            self.service.aof.rewrite.stage = Stage::Idle;
            self.service.aof.rewrite.scheduled = true;
            return self.tell_asked(now, Ok("Background append only file rewriting scheduled"));
        }
        let rewrite = &mut self.service.aof.rewrite;
        rewrite.stage = Stage::Writing;
        rewrite.scheduled = false;
        rewrite.count += 1;
        rewrite.keeps = matches!(incr, Some((_, _, Some(_))));
        rewrite.began = Some(now.wall);
        self.service.aof.feed.begin_anew();
        match incr {
            Some((file, path, Some(manifest))) => {
                let naming = false;
                self.service.aof.rewrite.switch = Some(Switch { file, path, manifest, naming });
                self.service.aof.log.hold(self.stream_offset());
            }
            Some((file, _, None)) => {
                self.service.aof.log.open(file, 0);
                // What came before will be durable with the base. An offset from before the file
                // was turned on may be that of another stream.
                self.service.aof.log.synced_offset = self.stream_offset();
                self.followers_changed();
            }
            None => {}
        }
        let pid = self.facts.pid;
        self.notice(|| format!("Background append only file rewriting started by pid {pid}"));
        self.tell_asked(now, Ok("Background append only file rewriting started"));
        self.aof_went_on(now);
    }

    fn tell_asked(&mut self, now: Now<'_>, result: Result<&str, &str>) {
        match (self.service.aof.rewrite.asked.take(), result) {
            (None, _) => {}
            (Some(Asked::Client(client)), result) => {
                let result = result.map_err(|_| {
                    CommandError::text(
                        "ERR Can't execute an AOF background rewriting. Please check the server \
                         logs for more information.",
                    )
                });
                self.answer_status(now, client, result);
            }
            (Some(Asked::Change(change)), Ok(_)) => self.change_done(now, &change, Ok(())),
            (Some(Asked::Change(change)), Err(why)) => {
                self.change_done(now, &change, Err(why.to_owned()));
            }
        }
    }

    /// A rewrite could not even begin.
    fn rewrite_refused(&mut self, now: Now<'_>) {
        let rewrite = &mut self.service.aof.rewrite;
        rewrite.stage = Stage::Idle;
        rewrite.failed = true;
        if self.service.aof.state == State::WaitRewrite {
            // The client that turned the file on is not the one that asked for the rewrite that
            // was given up.
            if matches!(rewrite.asked, Some(Asked::Change(_))) {
                self.service.aof.state = State::Off;
                self.log(LogLevel::Warning, || {
                    "Redis needs to enable the AOF but can't trigger a background AOF rewrite \
                     operation. Check the above logs for more info about the error."
                        .to_owned()
                });
            } else {
                self.service.aof.rewrite.scheduled = true;
                self.service.aof.rewrite.failures += 1;
            }
        }
        self.tell_asked(now, Err("Unable to turn on AOF. Check server logs."));
        self.followers_changed();
    }

    /// The file before the new one is complete and durable: now the manifest may name the new one.
    pub(super) fn name_new_incr(&mut self) {
        let Some(switch) = &mut self.service.aof.rewrite.switch else { return };
        if !core::mem::replace(&mut switch.naming, true) {
            let manifest = switch.manifest.clone();
            self.write_manifest(&manifest, Step::Named);
        }
    }

    fn new_incr_named(&mut self, now: Now<'_>, result: Result<(), DiskError>) {
        let Some(switch) = self.service.aof.rewrite.switch.take() else { return };
        if let Err(error) = result {
            self.manifest_failed(&error);
            // It may name the file all the same, so that stays; but nothing is written to it.
            let manifest = self.service.aof.manifest.clone();
            self.service.aof.rewrite.switch = Some(Switch { manifest, ..switch });
            return self.abort_switch(now);
        }
        self.service.aof.manifest = switch.manifest;
        if let Some(before) = self.service.aof.log.go_over_to(switch.file) {
            self.disk_op(DiskOp::Close { file: before }, DiskWork::Nothing);
        }
        self.aof_went_on(now);
        if core::mem::take(&mut self.service.aof.rewrite.written) {
            self.finish_rewrite();
        }
    }

    /// Stays with the file before, and gives the rewrite up.
    pub(super) fn abort_switch(&mut self, now: Now<'_>) {
        let Some(switch) = self.service.aof.rewrite.switch.take() else { return };
        self.service.aof.log.let_go();
        self.disk_op(DiskOp::Close { file: switch.file }, DiskWork::Nothing);
        if switch.naming {
            // The manifest may name it by now, and then it has to be there, empty as it is.
            self.service.aof.manifest = switch.manifest;
        } else {
            self.disk_op(DiskOp::Remove { path: switch.path }, DiskWork::Nothing);
        }
        if core::mem::take(&mut self.service.aof.rewrite.written) {
            return self.rewrite_failed(now);
        }
        self.kill_rewrite(now);
        self.service.aof.rewrite.failed = true;
        self.service.aof.rewrite.failures += 1;
    }

    /// Gives up the base that is being written.
    pub(super) fn kill_rewrite(&mut self, now: Now<'_>) {
        let ours =
            self.snapshot().is_some_and(|job| matches!(job.purpose(), Purpose::RewriteAof { .. }));
        if ours {
            let pid = self.facts.pid;
            self.notice(|| format!("Killing running AOF rewrite child: {pid}"));
            self.kill_snapshot(now);
        }
    }

    /// The snapshot that was to become the base of the file is on disk under this name, or will
    /// not be.
    pub(in crate::server) fn rewrite_ended(
        &mut self,
        now: Now<'_>,
        _path: String,
        result: Result<(), Failure>,
    ) {
        match result {
            Ok(()) if self.service.aof.rewrite.switch.is_some() => {
                self.service.aof.rewrite.written = true
            }
            Ok(()) => self.finish_rewrite(),
            Err(failure) => {
                if failure == Failure::Killed {
                    self.log(LogLevel::Warning, || {
                        "Background AOF rewrite terminated by signal 10".to_owned()
                    });
                } else {
                    self.service.aof.rewrite.failed = true;
                    self.service.aof.rewrite.failures += 1;
                    self.log(LogLevel::Warning, || {
                        "Background AOF rewrite terminated with error".to_owned()
                    });
                }
                self.rewrite_over(now);
            }
        }
    }

    /// The base is written.
    fn finish_rewrite(&mut self) {
        self.service.aof.rewrite.stage = Stage::Finishing;
        self.notice(|| "Background AOF rewrite terminated with success".to_owned());
        let (file, path) = (self.next_file(), self.temporary_path());
        self.rewrite_op(DiskOp::Open { file, path, mode: OpenMode::Read }, Step::Base { file });
    }

    fn base_looked_at(&mut self, now: Now<'_>, file: FileId, result: Result<DiskDone, DiskError>) {
        let len = match result {
            Ok(DiskDone::Opened { len }) => len,
            Ok(_) => 0,
            Err(error) => {
                let from = Aof::temporary(self.facts.pid);
                self.log(LogLevel::Warning, || {
                    format!("Unable to obtain the AOF file {from} length. stat: {error}")
                });
                return self.rewrite_failed(now);
            }
        };
        let from = self.temporary_path();
        self.disk_op(DiskOp::Close { file }, DiskWork::Nothing);
        let mut manifest = self.service.aof.manifest.clone();
        let filename = self.config.settings().aof.appendfilename.clone();
        let name = manifest.new_base(&filename, self.service.aof.rewrite.rdb);
        let to = self.aof_path(&name);
        self.rewrite_op(DiskOp::Rename { from, to }, Step::BaseNamed { manifest, name, len });
    }

    fn base_named(
        &mut self,
        now: Now<'_>,
        mut manifest: Manifest,
        name: &str,
        len: u64,
        result: Result<(), DiskError>,
    ) {
        let temporary = Aof::temporary(self.facts.pid);
        if let Err(error) = result {
            self.log(LogLevel::Warning, || {
                format!(
                    "Error trying to rename the temporary AOF base file {temporary} into {name}: \
                     {error}"
                )
            });
            return self.rewrite_failed(now);
        }
        self.notice(|| {
            format!("Successfully renamed the temporary AOF base file {temporary} into {name}")
        });
        if self.service.aof.state == State::WaitRewrite && self.service.aof.log.is_open() {
            let filename = &self.config.settings().aof.appendfilename;
            let temporary = temp_incr_name(filename);
            let name = manifest.new_incr(filename);
            let (from, to) = (self.aof_path(&temporary), self.aof_path(&name));
            let step = Step::IncrNamed { manifest, temporary, name, len };
            return self.rewrite_op(DiskOp::Rename { from, to }, step);
        }
        self.name_rewrite(manifest, len, self.service.aof.rewrite.keeps);
    }

    /// Names the new base in place of all that was before, but for the last incremental file if
    /// that `keeps` what came since the base.
    fn name_rewrite(&mut self, mut manifest: Manifest, len: u64, keeps: bool) {
        manifest.retire_incr(usize::from(keeps));
        self.write_manifest(&manifest.clone(), Step::Done { manifest, len });
    }

    fn rewrite_done(&mut self, now: Now<'_>, manifest: Manifest, len: u64) {
        self.service.aof.manifest = manifest;
        if self.service.aof.state != State::Off {
            self.service.aof.current_size = len + self.service.aof.log.size();
            self.service.aof.base_size = self.service.aof.current_size;
        }
        self.delete_history();
        self.service.aof.rewrite.failed = false;
        self.service.aof.rewrite.failures = 0;
        self.notice(|| "Background AOF rewrite finished successfully".to_owned());
        // If it was turned off and on meanwhile, this is not the base that it waits for.
        if self.service.aof.state == State::WaitRewrite && self.service.aof.log.is_open() {
            self.service.aof.state = State::On;
            self.offsets_changed();
        }
        self.rewrite_over(now);
    }

    fn rewrite_failed(&mut self, now: Now<'_>) {
        self.service.aof.rewrite.failed = true;
        self.service.aof.rewrite.failures += 1;
        let path = self.temporary_path();
        self.disk_op(DiskOp::Remove { path }, DiskWork::Nothing);
        self.rewrite_over(now);
    }

    /// A rewrite has ended, well or not.
    fn rewrite_over(&mut self, now: Now<'_>) {
        self.service.aof.rewrite.took = self.service.aof.rewrite.takes(now.wall);
        self.service.aof.rewrite.stage = Stage::Idle;
        self.service.aof.rewrite.began = None;
        self.service.aof.rewrite.copied = self.service.keyspace.snapshot_copied();
        if self.service.aof.state == State::WaitRewrite {
            // What came meanwhile is in the next base.
            if let Some(file) = self.service.aof.log.forget() {
                self.disk_op(DiskOp::Close { file }, DiskWork::Nothing);
                self.remove_temporary_incr();
            }
            self.service.aof.rewrite.scheduled = true;
            self.followers_changed();
        }
        self.aof_went_on(now);
    }

    /// Removes the file that commands went to while the first base was written.
    pub(super) fn remove_temporary_incr(&mut self) {
        let name = temp_incr_name(&self.config.settings().aof.appendfilename);
        let path = self.aof_path(&name);
        self.notice(|| format!("Removing the temp incr aof file {name} in the background"));
        self.disk_op(DiskOp::Remove { path }, DiskWork::Nothing);
    }

    /// Deletes the files that a rewrite has made superfluous.
    pub(in crate::server) fn delete_history(&mut self) {
        let disabled = self.config.settings().aof.aof_disable_auto_gc;
        // What is being loaded may be among them.
        if disabled
            || self.service.persistence.reloading
            || self.service.aof.manifest.history.is_empty()
        {
            return;
        }
        for part in core::mem::take(&mut self.service.aof.manifest.history) {
            let path = self.aof_path(&part.name);
            self.notice(|| format!("Removing the history file {} in the background", part.name));
            self.disk_op(DiskOp::Remove { path }, DiskWork::Nothing);
        }
        let manifest = self.service.aof.manifest.clone();
        self.write_manifest(&manifest, Step::Forgotten);
    }

    /// Begins a rewrite if one was scheduled or is due.
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
            if !self.rewrite_is_limited(now) {
                self.begin_rewrite(None);
            }
            return;
        }
        let settings = &self.config.settings().aof;
        let percentage = settings.auto_aof_rewrite_percentage;
        let large = aof.current_size > settings.auto_aof_rewrite_min_size;
        if aof.state != State::On || percentage == 0 || !large {
            return;
        }
        let base = aof.base_size.max(1);
        let growth = (u128::from(aof.current_size) * 100 / u128::from(base)).saturating_sub(100);
        if growth >= u128::from(percentage) && !self.rewrite_is_limited(now) {
            self.notice(|| format!("Starting automatic rewriting of AOF on {growth}% growth"));
            self.begin_rewrite(None);
        }
    }

    /// When a rewrite that has to wait may begin.
    pub(in crate::server) fn rewrite_wake(&self) -> Option<Mono> {
        let rewrite = &self.service.aof.rewrite;
        if rewrite.is_on() || self.snapshot_runs() || self.is_migrating() || self.is_ending() {
            return None;
        }
        if rewrite.scheduled
            && rewrite.failures < FAILURES
            && !self.service.aof.is_starting()
            && !self.is_loading()
            && !self.service.persistence.reloading
        {
            return Some(self.now.0);
        }
        let until = rewrite.limited_until?;
        let wait = until.saturating_sub(self.now.1.as_secs()).min(60);
        Some(self.now.0 + Duration::from_secs(wait.max(1)))
    }

    /// Whether a rewrite has to wait because too many failed before.
    fn rewrite_is_limited(&mut self, now: Now<'_>) -> bool {
        let rewrite = &mut self.service.aof.rewrite;
        if rewrite.failures < FAILURES {
            (rewrite.delay, rewrite.limited_until) = (0, None);
            return false;
        }
        if let Some(until) = rewrite.limited_until {
            if now.wall.as_secs() < until {
                return true;
            }
            rewrite.limited_until = None;
            return false;
        }
        let minutes = (rewrite.delay * 2).clamp(1, MOST_MINUTES);
        rewrite.delay = minutes;
        rewrite.limited_until = Some(now.wall.as_secs() + minutes * 60);
        self.log(LogLevel::Warning, || {
            format!(
                "Background AOF rewrite has repeatedly failed and triggered the limit, will retry \
                 in {minutes} minutes"
            )
        });
        true
    }

    /// Makes a client that asked for the append-only file wait until it has begun. Gives the
    /// change back if there is nothing to wait for.
    pub(super) fn rewrite_for_change(&mut self, change: Change) {
        self.begin_rewrite(Some(Asked::Change(change)));
    }

    /// Forgets that a rewrite was scheduled.
    pub(super) fn unschedule_rewrite(&mut self) {
        self.service.aof.rewrite.scheduled = false;
    }
}
