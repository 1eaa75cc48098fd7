//! Opening the append-only file when the server starts.
//!
//! The manifest is read even if the append-only file is off, so that one that is turned on later
//! continues its numbering. A file of a version before 7 becomes the base. Then the data is loaded,
//! and the last incremental file is opened, or a first one created.

use super::replay::After;
use super::{Server, State, Step as AofStep};
use crate::machine::{DiskDone, DiskError, DiskErrorKind, DiskOp, FileId, LogLevel, OpenMode};
use crate::persist::aof::manifest::manifest_name;
use crate::persist::aof::{Kind, Manifest, write_timestamp};
use crate::server::DiskWork;
use crate::server::persistence::loading;
use crate::time::Now;

/// What to continue when a disk operation has completed.
#[derive(Clone, Debug)]
pub(in crate::server) enum Step {
    /// The manifest has been read.
    Manifest {
        after: After,
    },
    /// Whether a file of an older version exists, and whether it is in the directory already.
    OldFile {
        file: FileId,
        after: After,
    },
    MovedFile {
        file: FileId,
        after: After,
    },
    /// The directory for the old file exists.
    DirForOld {
        after: After,
    },
    /// The manifest with the old file has been written.
    OldNamed {
        after: After,
    },
    /// The old file has been moved into the directory.
    OldMoved {
        after: After,
    },
    /// The length of a part is known.
    Size {
        file: FileId,
        sizes: Box<PartSizes>,
    },
    /// The directory for the first base exists.
    Dir,
    /// The first base has been written.
    Base {
        manifest: Manifest,
        name: String,
    },
    /// The incremental file has been opened.
    Incr {
        file: FileId,
        manifest: Manifest,
        name: String,
        new: bool,
    },
    /// The manifest with it has been written.
    Named {
        file: FileId,
        len: u64,
        manifest: Manifest,
        name: String,
        new: bool,
    },
}

/// The lengths of the parts.
#[derive(Clone, Debug)]
pub(in crate::server) struct PartSizes {
    pub(super) after: After,
    /// Parts whose length is not known yet.
    left: Vec<(Kind, String)>,
    /// Parts with their lengths.
    pub(super) parts: Vec<(Kind, String, u64)>,
}

impl Server {
    /// Reads the manifest, and then the data.
    pub(in crate::server) fn begin_with_aof(&mut self) {
        self.service.aof.starting = true;
        if self.config.settings().appendonly {
            self.service.aof.state = State::On;
        }
        self.read_manifest(After::Start);
    }

    pub(super) fn start_op(&mut self, what: DiskOp, step: Step) {
        self.disk_op(what, DiskWork::Aof(AofStep::Start(Box::new(step))));
    }

    pub(super) fn read_manifest(&mut self, after: After) {
        let path = self.manifest_path();
        self.start_op(DiskOp::Load { path }, Step::Manifest { after });
    }

    fn manifest_path(&self) -> String {
        self.aof_path(&manifest_name(&self.config.settings().aof.appendfilename))
    }

    pub(super) fn start_disk_done(
        &mut self,
        now: Now<'_>,
        step: Step,
        result: Result<DiskDone, DiskError>,
    ) {
        match step {
            Step::Manifest { after } => self.manifest_read(now, after, result),
            Step::OldFile { file, after } => self.old_file_checked(now, file, after, result),
            Step::MovedFile { file, after } => match result {
                Ok(_) => {
                    self.disk_op(DiskOp::Close { file }, DiskWork::Nothing);
                    self.measure_parts(now, after);
                }
                Err(_) => self.upgrade(after),
            },
            Step::DirForOld { after } => match result {
                Ok(_) => self.name_old_file(after),
                Err(error) => self.no_directory(&error),
            },
            Step::OldNamed { after } => match result {
                Ok(_) => self.move_old_file(after),
                Err(error) => self.no_manifest(&error),
            },
            Step::OldMoved { after } => self.old_file_moved(now, after, result.map(drop)),
            Step::Size { file, sizes } => self.part_measured(now, file, *sizes, result),
            Step::Dir => match result {
                Ok(_) => self.make_parts(now),
                Err(error) => self.no_directory(&error),
            },
            Step::Base { manifest, name } => match result {
                Ok(_) => {
                    self.notice(|| format!("Creating AOF base file {name} on server start"));
                    self.open_incr(manifest);
                }
                Err(error) => {
                    self.log(LogLevel::Warning, || {
                        format!("Write error writing append only file on disk: {error}")
                    });
                    self.exit(1);
                }
            },
            Step::Incr { file, manifest, name, new } => {
                self.incr_opened(file, manifest, name, new, result);
            }
            Step::Named { file, len, manifest, name, new } => match result {
                Ok(_) => self.begun(file, len, manifest, &name, new),
                Err(error) => self.no_manifest(&error),
            },
        }
    }

    fn manifest_read(&mut self, now: Now<'_>, after: After, result: Result<DiskDone, DiskError>) {
        use DiskErrorKind as Kind;
        match result {
            Ok(DiskDone::Data(text)) => match Manifest::parse(&text) {
                Ok(manifest) => self.service.aof.manifest = manifest,
                Err(error) => {
                    for line in error.log_lines() {
                        self.log(LogLevel::Warning, || line);
                    }
                    return self.exit(1);
                }
            },
            Err(error) if !matches!(error.kind, Kind::NotFound | Kind::NotADirectory) => {
                let path = self.manifest_path();
                self.log(LogLevel::Warning, || {
                    format!(
                        "Fatal error: can't open the AOF manifest file {path} for reading: {error}"
                    )
                });
                return self.exit(1);
            }
            _ => {
                self.service.aof.manifest = Manifest::default();
                let name = manifest_name(&self.config.settings().aof.appendfilename);
                self.log(LogLevel::Debug, || format!("The AOF manifest file {name} doesn't exist"));
            }
        }
        if after == After::Start && self.service.aof.state == State::Off {
            self.service.aof.starting = false;
            self.delete_history();
            return self.load_dump(now, self.intake_options(now), loading::After::Start);
        }
        // There may be a file of a version before 7, which no manifest names.
        let (file, path) = (self.next_file(), self.config.settings().aof.appendfilename.clone());
        let open = DiskOp::Open { file, path, mode: OpenMode::Read };
        self.start_op(open, Step::OldFile { file, after });
    }

    fn old_file_checked(
        &mut self,
        now: Now<'_>,
        file: FileId,
        after: After,
        result: Result<DiskDone, DiskError>,
    ) {
        if result.is_err() {
            return self.measure_parts(now, after);
        }
        self.disk_op(DiskOp::Close { file }, DiskWork::Nothing);
        let filename = self.config.settings().aof.appendfilename.clone();
        let manifest = &self.service.aof.manifest;
        if manifest.is_empty() {
            return self.upgrade(after);
        }
        let only = manifest.incr.is_empty();
        if only && manifest.base.as_ref().is_some_and(|base| base.name == filename) {
            // A move that was started may have been completed.
            let (file, path) = (self.next_file(), self.aof_path(&filename));
            let open = DiskOp::Open { file, path, mode: OpenMode::Read };
            return self.start_op(open, Step::MovedFile { file, after });
        }
        self.measure_parts(now, after);
    }

    fn upgrade(&mut self, after: After) {
        let path = self.config.settings().aof.appenddirname.clone();
        self.start_op(DiskOp::MakeDir { path }, Step::DirForOld { after });
        self.disk_op(DiskOp::SyncDir { path: ".".to_owned() }, DiskWork::Nothing);
    }

    fn name_old_file(&mut self, after: After) {
        let filename = self.config.settings().aof.appendfilename.clone();
        self.service.aof.manifest.adopt_base(&filename);
        let (path, bytes) = (self.manifest_path(), self.service.aof.manifest.format().into_bytes());
        self.start_op(DiskOp::Replace { path, bytes }, Step::OldNamed { after });
    }

    fn move_old_file(&mut self, after: After) {
        let from = self.config.settings().aof.appendfilename.clone();
        let to = self.aof_path(&from);
        self.start_op(DiskOp::Rename { from, to }, Step::OldMoved { after });
    }

    fn old_file_moved(&mut self, now: Now<'_>, after: After, result: Result<(), DiskError>) {
        let settings = &self.config.settings().aof;
        let (name, dir) = (settings.appendfilename.clone(), settings.appenddirname.clone());
        if let Err(error) = result {
            self.log(LogLevel::Warning, || {
                format!("Error trying to move the old AOF file {name} into dir {dir}: {error}")
            });
            return self.exit(1);
        }
        self.disk_op(DiskOp::SyncDir { path: dir.clone() }, DiskWork::Nothing);
        self.disk_op(DiskOp::SyncDir { path: ".".to_owned() }, DiskWork::Nothing);
        self.notice(|| {
            format!(
                "Successfully migrated an old-style AOF file ({name}) into the AOF directory \
                 ({dir})."
            )
        });
        self.measure_parts(now, after);
    }

    /// Determines the lengths of all parts before loading any of them.
    fn measure_parts(&mut self, now: Now<'_>, after: After) {
        let mut left: Vec<(Kind, String)> = self
            .service
            .aof
            .manifest
            .parts()
            .map(|(kind, part)| (kind, part.name.clone()))
            .collect();
        if left.is_empty() {
            return match after {
                After::Start => self.open_after_load(),
                After::Debug { .. } => self.aof_not_loaded(now, after),
            };
        }
        left.reverse();
        self.measure_next(now, PartSizes { after, left, parts: Vec::new() });
    }

    fn measure_next(&mut self, now: Now<'_>, sizes: PartSizes) {
        let Some((_, name)) = sizes.left.last() else { return self.load_parts(now, sizes) };
        let (file, path) = (self.next_file(), self.aof_path(name));
        let open = DiskOp::Open { file, path, mode: OpenMode::Read };
        self.start_op(open, Step::Size { file, sizes: Box::new(sizes) });
    }

    fn part_measured(
        &mut self,
        now: Now<'_>,
        file: FileId,
        mut sizes: PartSizes,
        result: Result<DiskDone, DiskError>,
    ) {
        let Some((kind, name)) = sizes.left.pop() else { return };
        match result {
            Ok(done) => {
                self.disk_op(DiskOp::Close { file }, DiskWork::Nothing);
                let len = if let DiskDone::Opened { len } = done { len } else { 0 };
                sizes.parts.push((kind, name, len));
                self.measure_next(now, sizes);
            }
            Err(error) => {
                self.log(LogLevel::Warning, || {
                    format!("Unable to obtain the AOF file {name} length. stat: {error}")
                });
                self.log(LogLevel::Warning, || {
                    format!(
                        "The manifest names the AOF file {name}, which cannot be opened. Put it \
                         back into its directory, or let the server's user read it."
                    )
                });
                self.aof_not_loaded(now, sizes.after);
            }
        }
    }

    /// The data is loaded: opens the file to append to.
    pub(super) fn open_after_load(&mut self) {
        let path = self.config.settings().aof.appenddirname.clone();
        self.start_op(DiskOp::MakeDir { path }, Step::Dir);
        self.disk_op(DiskOp::SyncDir { path: ".".to_owned() }, DiskWork::Nothing);
    }

    fn make_parts(&mut self, now: Now<'_>) {
        let mut manifest = self.service.aof.manifest.clone();
        if !manifest.is_empty() {
            return self.open_incr(manifest);
        }
        // A first start without data.
        let settings = &self.config.settings().aof;
        let rdb = settings.aof_use_rdb_preamble;
        let name = manifest.new_base(&settings.appendfilename, rdb);
        let mut bytes = Vec::new();
        if rdb {
            let mut encoder = self.encoder(now, true);
            encoder.finish();
            bytes = encoder.take();
        } else if settings.aof_timestamp_enabled {
            write_timestamp(&mut bytes, now.wall.as_secs());
        }
        let path = self.aof_path(&name);
        self.start_op(DiskOp::Replace { path, bytes }, Step::Base { manifest, name });
    }

    fn open_incr(&mut self, mut manifest: Manifest) {
        let new = manifest.incr.is_empty();
        let name = match manifest.incr.last() {
            Some(part) => part.name.clone(),
            None => manifest.new_incr(&self.config.settings().aof.appendfilename),
        };
        let (file, path) = (self.next_file(), self.aof_path(&name));
        let open = match new {
            true => self.create_file(file, &path),
            false => DiskOp::Open { file, path, mode: OpenMode::Append },
        };
        self.start_op(open, Step::Incr { file, manifest, name, new });
    }

    fn incr_opened(
        &mut self,
        file: FileId,
        manifest: Manifest,
        name: String,
        new: bool,
        result: Result<DiskDone, DiskError>,
    ) {
        let len = match result {
            Ok(DiskDone::Opened { len }) => len,
            Ok(_) => 0,
            Err(error) => {
                self.log(LogLevel::Warning, || {
                    format!("Can't open the append-only file {name}: {error}")
                });
                return self.exit(1);
            }
        };
        if manifest == self.service.aof.manifest {
            return self.begun(file, len, manifest, &name, new);
        }
        let (path, bytes) = (self.manifest_path(), manifest.format().into_bytes());
        self.start_op(
            DiskOp::Replace { path, bytes },
            Step::Named { file, len, manifest, name, new },
        );
    }

    fn begun(&mut self, file: FileId, len: u64, manifest: Manifest, name: &str, new: bool) {
        self.service.aof.manifest = manifest;
        self.service.aof.log.open(file, len);
        // The existing contents may not be durable: the process that wrote them may have been
        // killed before its fsync.
        self.disk_op(DiskOp::Sync { file }, DiskWork::Nothing);
        self.followers_changed();
        let verb = if new { "Creating" } else { "Opening" };
        self.notice(|| format!("{verb} AOF incr file {name} on server start"));
        self.service.aof.starting = false;
        self.delete_history();
        self.ready();
    }

    fn no_directory(&mut self, error: &DiskError) {
        let dir = self.config.settings().aof.appenddirname.clone();
        self.log(LogLevel::Warning, || {
            format!("Can't open or create append-only dir {dir}: {error}")
        });
        self.exit(1);
    }

    fn no_manifest(&mut self, error: &DiskError) {
        self.manifest_failed(error);
        self.exit(1);
    }
}
