//! Loading data from disk: at the start, and for DEBUG RELOAD.
//!
//! The listeners are open meanwhile. As in Redis, no client is served before the first
//! `loading-process-events-interval-bytes` have been read, so that clients of a server with little
//! data notice nothing; after that, most commands are answered with `-LOADING`.

use super::super::{DiskWork, Server};
use super::intake::{Intake, IntakeOptions};
use super::source::FileSource;
use crate::command::CommandError;
use crate::command::meta::flag;
use crate::machine::{DiskDone, DiskError, DiskErrorKind, FileId, LogLevel};
use crate::persist::rdb::{Doing, Modules, RdbError, ReadOptions};
use crate::time::{Duration, Mono, Now, Wall};

/// Bytes loaded per slice, unless other work is pending.
const SLICE: usize = 256 * 1024;

/// What INFO shows of a load in progress.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Loading {
    /// When it started.
    pub(in crate::server) since: Wall,
    /// Size in bytes; 0 if unknown.
    pub(in crate::server) total: u64,
    /// Bytes loaded so far.
    pub(in crate::server) loaded: u64,
    /// Memory that the data used when it was written.
    pub(in crate::server) used_memory: u64,
    /// Whether the old data is served meanwhile (`repl-diskless-load swapdb`).
    pub(in crate::server) aside: bool,
    /// Whether clients are still held back.
    holds: bool,
    /// When it started, on the monotonic clock.
    began: Mono,
    /// Whether the watchdog has reported it.
    watchdog_reported: bool,
}

/// Key counts of the last load.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::server) struct LoadCounts {
    /// Keys loaded.
    pub(in crate::server) keys: u64,
    /// Keys dropped because they had expired.
    pub(in crate::server) expired: u64,
}

/// What to do when an RDB file has been loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum After {
    /// Make the server ready.
    Start,
    /// Answer DEBUG RELOAD.
    Reload {
        /// The client that waits for it.
        client: u64,
    },
    /// Complete a full sync.
    FullSync,
}

/// Why loading an RDB file has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum LoadFailure {
    /// The file does not exist.
    Missing,
    /// The file could not be read.
    Disk(DiskError),
    /// The file is corrupt.
    Broken(RdbError),
}

/// An RDB file that is being loaded.
#[derive(Clone, Debug)]
pub(in crate::server) struct RdbLoad {
    source: FileSource,
    intake: Intake,
    after: After,
    began: Mono,
    /// When to continue, if loading is slowed down by `key-load-delay`.
    resume: Mono,
}

impl Server {
    /// Whether data is being loaded.
    #[inline]
    pub(in crate::server) fn is_loading(&self) -> bool {
        self.service.persistence.loading.is_some()
    }

    /// Whether the keyspace is partially loaded, so that it must not be saved.
    pub(in crate::server) fn is_loading_in_place(&self) -> bool {
        self.service.persistence.loading.as_ref().is_some_and(|loading| !loading.aside)
    }

    /// Why the data cannot be reloaded from disk now, if it cannot.
    pub(in crate::server) fn reload_refusal(&self) -> Option<CommandError> {
        if self.service.executing {
            return Some(CommandError::text(
                "ERR DEBUG RELOAD and DEBUG LOADAOF are not allowed inside a transaction, since \
                 they go on while others are served",
            ));
        }
        if self.is_loading() || self.service.persistence.reloading {
            return Some(CommandError::text("LOADING Redis is loading the dataset in memory"));
        }
        self.replication_syncs().then_some(CommandError::text(
            "ERR A copy of the data comes from the master. Wait until it is here, or cut the link \
             with REPLICAOF NO ONE",
        ))
    }

    /// The data has been reloaded, or that failed: continues what waited for it.
    pub(in crate::server) fn reload_over(&mut self, now: Now<'_>) {
        self.service.persistence.reloading = false;
        self.delete_history();
        self.resume_link(now);
        self.resume_stream();
    }

    /// The load in progress, for INFO.
    pub(in crate::server) fn loading(&self) -> Option<&Loading> {
        self.service.persistence.loading.as_ref()
    }

    /// Called when a load starts: `total` is its size in bytes, or 0 if unknown. With `aside`, the
    /// old data is served until the new data is complete.
    pub(in crate::server) fn start_loading(&mut self, now: Now<'_>, total: u64, aside: bool) {
        if self.is_loading() {
            self.stop_loading();
        }
        self.service.persistence.loading = Some(Loading {
            since: now.wall,
            total,
            loaded: 0,
            used_memory: 0,
            aside,
            holds: !aside,
            began: now.mono,
            watchdog_reported: false,
        });
        self.service.persistence.loads = LoadCounts::default();
        if !aside {
            self.hold_all();
        }
    }

    /// Called repeatedly with the number of bytes loaded so far.
    pub(in crate::server) fn loading_progress(&mut self, loaded: u64) {
        let interval = self.config.settings().loading_process_events_interval_bytes;
        let Some(loading) = &mut self.service.persistence.loading else { return };
        loading.loaded = loaded;
        if loading.holds && loaded >= interval {
            loading.holds = false;
            self.release_all();
        }
        self.watch_loading();
    }

    /// Lets the watchdog report, once, that loading takes longer than its period.
    fn watch_loading(&mut self) {
        let Some(least) = self.slow_for_watchdog() else { return };
        let now = self.now.0;
        let Some(loading) = &mut self.service.persistence.loading else { return };
        let took = now.0.saturating_sub(loading.began.0);
        if !loading.aside
            && took >= least
            && !core::mem::replace(&mut loading.watchdog_reported, true)
        {
            let took = took / 1_000_000;
            self.log_watchdog(format!(
                "Data is being loaded, and no client was served for {took} ms."
            ));
        }
    }

    /// Called when a load has ended.
    pub(in crate::server) fn stop_loading(&mut self) {
        if let Some(loading) = self.service.persistence.loading.take() {
            if loading.holds {
                self.release_all();
            }
            self.service.eviction.incomplete = self.config.settings().maxmemory > 0;
        }
    }

    /// Whether a command is refused because data is being loaded. For EXEC, `queued` is the union
    /// of its commands' flags, and `lacked` the flags that one of them lacks.
    #[inline]
    pub(in crate::server) fn loading_refusal(
        &self,
        flags: u32,
        queued: u32,
        lacked: u32,
    ) -> Option<CommandError> {
        let refused = match self.service.persistence.loading {
            None => false,
            Some(Loading { aside: true, .. }) => (flags | queued) & flag::NO_ASYNC_LOADING != 0,
            Some(_) => (!flags | lacked) & flag::LOADING != 0,
        };
        refused.then_some(CommandError::text("LOADING Redis is loading the dataset in memory"))
    }

    /// The options for loading snapshots now.
    pub(in crate::server) fn intake_options(&self, now: Now<'_>) -> IntakeOptions {
        let settings = self.config.settings();
        IntakeOptions {
            read: ReadOptions {
                limits: settings.data.limits(self.service.keyspace.seed()),
                checksum: settings.rdbchecksum,
                access: self.service.keyspace.env.access,
                now_ms: now.wall.as_millis(),
                modules: Modules::Refuse,
            },
            drop_expired: !self.is_replica(),
            replace: false,
            libraries: Vec::new(),
        }
    }

    /// Loads the data on disk, and makes the server ready.
    pub(in crate::server) fn load_at_start(&mut self) {
        self.begin_with_aof();
    }

    /// Loads the dump.
    pub(in crate::server) fn load_dump(
        &mut self,
        now: Now<'_>,
        options: IntakeOptions,
        after: After,
    ) {
        let path = self.config.settings().dbfilename.clone();
        self.load_file(now, path, options, after);
    }

    /// Loads a dump from this file.
    pub(in crate::server) fn load_file(
        &mut self,
        now: Now<'_>,
        path: String,
        options: IntakeOptions,
        after: After,
    ) {
        let file = self.next_file();
        let (source, open) = FileSource::open(file, path);
        self.start_loading(now, 0, false);
        let intake = Intake::new(options);
        let load = RdbLoad { source, intake, after, began: now.mono, resume: now.mono };
        self.service.persistence.rdb_load = Some(Box::new(load));
        self.disk_op(open, DiskWork::LoadRdb(file));
    }

    /// The file has been opened, or a chunk of it has been read.
    pub(in crate::server) fn load_disk_done(
        &mut self,
        now: Now<'_>,
        file: FileId,
        result: Result<DiskDone, DiskError>,
    ) {
        // An operation of an abandoned load may complete during the next one.
        let load =
            self.service.persistence.rdb_load.as_mut().filter(|load| load.source.file() == file);
        let Some(load) = load else { return };
        let opening = !load.source.is_open();
        if let Err(error) = load.source.ended(result) {
            let missing = error.kind == DiskErrorKind::NotFound && !load.source.is_open();
            let failure = if missing { LoadFailure::Missing } else { LoadFailure::Disk(error) };
            return self.load_ended(now, Err(failure));
        }
        let total = load.source.len();
        if opening {
            load.intake.expect(total);
        }
        if let Some(loading) = &mut self.service.persistence.loading {
            loading.total = total;
        }
        self.read_on();
    }

    fn read_on(&mut self) {
        while let Some(load) = &mut self.service.persistence.rdb_load
            && let Some(read) = load.source.read_ahead()
        {
            let file = load.source.file();
            self.disk_op(read, DiskWork::LoadRdb(file));
        }
    }

    /// When to continue loading.
    pub(super) fn load_wake(&self) -> Option<Mono> {
        let load = self.service.persistence.rdb_load.as_deref()?;
        let goes_on = load.intake.has_bytes()
            || load.source.is_ready()
            || load.source.is_exhausted()
            || load.intake.is_done();
        goes_on.then(|| load.resume.max(self.now.0))
    }

    /// Makes a load that is slowed down continue at this time at the latest.
    pub(super) fn resume_load_by(&mut self, at: Mono) {
        if let Some(load) = &mut self.service.persistence.rdb_load {
            load.resume = load.resume.min(at);
        }
    }

    /// Loads the next slice.
    pub(super) fn load_slice(&mut self, now: Now<'_>) {
        let Some(mut load) = self.service.persistence.rdb_load.take() else { return };
        if load.resume > now.mono {
            self.service.persistence.rdb_load = Some(load);
            return;
        }
        let result = self.take_in(now, &mut load);
        for (level, text) in core::mem::take(&mut load.intake.lines) {
            self.log(level, || text);
        }
        let (keys, expired) = (load.intake.loaded, load.intake.expired);
        self.service.persistence.loads = LoadCounts { keys, expired };
        let offset = load.intake.offset();
        if let Some(loading) = &mut self.service.persistence.loading {
            loading.used_memory = load.intake.used_memory;
        }
        self.loading_progress(offset);
        self.service.persistence.rdb_load = Some(load);
        match result {
            Ok(false) => self.read_on(),
            Ok(true) => self.load_ended(now, Ok(())),
            Err(error) => self.load_ended(now, Err(LoadFailure::Broken(error))),
        }
    }

    /// Loads a slice. Returns whether it was the last.
    fn take_in(&mut self, now: Now<'_>, load: &mut RdbLoad) -> Result<bool, RdbError> {
        let delay = u64::try_from(self.config.settings().key_load_delay).unwrap_or(0);
        let keys = match delay {
            0 => usize::MAX,
            delay => usize::try_from(1_000 / delay).unwrap_or(1).max(1),
        };
        let taken = load.intake.step(&mut self.service.keyspace, SLICE, keys)?;
        load.resume = now.mono + Duration::from_micros(delay.saturating_mul(taken as u64));
        if load.intake.is_done() {
            return Ok(true);
        }
        if !load.intake.has_bytes() && taken < keys {
            match load.source.take() {
                Some(bytes) => load.intake.hand_in(bytes),
                None if load.source.is_exhausted() => load.intake.end()?,
                None => {}
            }
        }
        Ok(false)
    }

    fn load_ended(&mut self, now: Now<'_>, result: Result<(), LoadFailure>) {
        let Some(load) = self.service.persistence.rdb_load.take() else { return };
        if let Some(close) = load.source.close() {
            self.disk_op(close, DiskWork::Nothing);
        }
        self.stop_loading();
        if result.is_ok() {
            let summary = load.intake.summary();
            self.notice(|| summary);
            self.service.persistence.libraries.clone_from(&load.intake.libraries);
        }
        match load.after {
            After::Start => self.load_at_start_ended(now, &load, result),
            After::Reload { client } => self.reloaded(now, client, &load, result),
            After::FullSync => {
                let result = result.map(|()| load.intake.position.clone());
                self.full_sync_loaded(now, result);
            }
        }
    }

    fn load_at_start_ended(
        &mut self,
        now: Now<'_>,
        load: &RdbLoad,
        result: Result<(), LoadFailure>,
    ) {
        match result {
            Ok(()) => {
                let seconds = now.mono.since(load.began).as_secs_f64();
                self.notice(|| format!("DB loaded from disk: {seconds:.3} seconds"));
                let intake = &load.intake;
                self.position_loaded(now, &intake.position, &intake.left_out);
            }
            Err(LoadFailure::Missing) => {}
            Err(failure) => {
                self.log_load_failure(load.source.path(), &failure);
                if matches!(failure, LoadFailure::Broken(_)) {
                    self.log(LogLevel::Warning, || {
                        "Terminating server after rdb file reading failure.".to_owned()
                    });
                }
                self.log(LogLevel::Warning, || {
                    "Fatal error loading the DB, check server logs. Exiting.".to_owned()
                });
                return self.exit(1);
            }
        }
        self.ready();
    }

    fn reloaded(
        &mut self,
        now: Now<'_>,
        client: u64,
        load: &RdbLoad,
        result: Result<(), LoadFailure>,
    ) {
        let result = match result {
            Ok(()) => {
                self.notice(|| "DB reloaded by DEBUG RELOAD".to_owned());
                Ok(())
            }
            Err(failure) => {
                self.log_load_failure(load.source.path(), &failure);
                Err(CommandError::text("ERR Error trying to load the RDB dump, check server logs."))
            }
        };
        self.reload_over(now);
        self.answer(now, client, result);
    }

    /// Logs why a file could not be loaded, and what to do about it.
    pub(in crate::server) fn log_load_failure(&mut self, path: &str, failure: &LoadFailure) {
        let directory = self.directory_name().to_owned();
        let lines = match failure {
            LoadFailure::Missing => vec![format!("There is no file {path} in {directory}.")],
            LoadFailure::Disk(error) => vec![
                format!("Fatal error: can't open the RDB file {path} for reading: {error}"),
                format!(
                    "The file '{path}' in '{directory}' is left as it is. Let the server's user \
                     read it, or look at the disk; or move the file away to start without data."
                ),
            ],
            LoadFailure::Broken(error) => vec![
                headline(error),
                format!(
                    "Internal error in RDB reading offset {} -> {}",
                    error.offset,
                    if error.doing == Doing::Checksum { "RDB CRC error" } else { &error.reason }
                ),
                format!(
                    "The file '{path}' in '{directory}' is left as it is. Look at it with \
                     'limpid check-rdb {path}', restore it from a copy, or move it away to start \
                     without data."
                ),
            ],
        };
        for line in lines {
            self.log(LogLevel::Warning, || line);
        }
    }
}

/// The first log line of Redis about a file that cannot be loaded.
fn headline(error: &RdbError) -> String {
    let RdbError { reason, doing, .. } = error;
    match doing {
        Doing::Start => reason.clone(),
        Doing::Checksum if reason.starts_with("Wrong") => format!("{reason}. Aborting now."),
        _ if reason.starts_with("Unexpected EOF") => {
            "Short read or OOM loading DB. Unrecoverable error, aborting now.".to_owned()
        }
        _ => format!("RDB ERROR DETECTED [offset {}] {reason}", error.offset),
    }
}
