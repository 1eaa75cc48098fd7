//! The job that writes a point-in-time snapshot while commands are executed.
//!
//! Instead of forking, as Redis does, it proceeds in slices: once per event-loop iteration some
//! more keys are serialized, and an entry that is about to change before it was serialized is put
//! aside unchanged (see `store::snapshot`). Entries put aside are serialized first, in the same
//! iteration: so clients that change much pay for it, other clients wait for one slice at most, and
//! copies do not pile up. If the disk or the replicas are slow, serialized bytes pile up instead.
//! Delaying commands would let a snapshot stop the server, and unlimited growth could need as much
//! memory as the data again: so there is a limit ([`MAX_WAITING_DIVISOR`]), and a snapshot that
//! reaches it is aborted.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::{DiskWork, Redis, Server, VERSION};
use super::image::{Encoder, Image, Slice};
use super::save::Save;
use super::seconds_between;
use super::sink::{self, FileSink, Place, Progress, Step};
use crate::cluster::SlotSet;
use crate::command::context::MaxmemoryPolicy;
use crate::front::Service;
use crate::machine::{DiskDone, DiskError, FileId, LogLevel};
use crate::persist::aof::CommandWriter;
use crate::persist::rdb::{Preamble, ReplicationState, WriteOptions, Writer};
use crate::sharding::Slot;
use crate::time::{Duration, Mono, Now, Wall};

/// How much one slice writes. On current hardware that takes about a tenth of a millisecond, which
/// is the longest delay that a snapshot adds to a request.
const SLICE: Slice = Slice { bytes: 32 * 1024, keys: 256 };

/// The slice size while all clients are held back anyway (SAVE).
const LONG_SLICE: Slice = Slice { bytes: 256 * 1024, keys: 8192 };

/// How many entries may stay put aside from one iteration to the next.
const MAX_ASIDE: usize = 512;

/// How many entries put aside one iteration writes at most: more than its commands change, unless
/// they change many at once.
const MAX_ASIDE_WRITTEN: usize = 16 * 1024;

/// How many bytes entries put aside may hold from one iteration to the next.
const MAX_ASIDE_BYTES: usize = 4 << 20;

/// The limit on what waits for the disk or the replicas because commands changed it: this fraction
/// (1/n) of the memory of the data...
const MAX_WAITING_DIVISOR: usize = 4;

/// ...but at least this many bytes, so that a brief delay of the disk does not abort the snapshot
/// of a small server.
const MIN_WAITING_LIMIT: usize = 16 << 20;

/// How many slices of a large value one iteration writes at most, while others are put aside after
/// it.
const MAX_SLICES: usize = 16;

/// What a snapshot is written for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum Purpose {
    /// For the dump, `dbfilename`.
    Save(Save),
    /// The base of the append-only file. It is written to this file and fsynced; `aof` does the
    /// rest.
    RewriteAof {
        /// The temporary name.
        path: String,
    },
    /// A full sync, straight into the connections of replicas.
    Replicas,
    /// Only the keys of these slots, for the node that imports them.
    Slots {
        /// The slots.
        slots: Arc<SlotSet>,
    },
}

/// The error that there is already a snapshot in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Busy;

/// Why a snapshot was not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum Failure {
    /// The disk failed.
    Disk(DiskError),
    /// The disk or the replicas were too slow, so that too much waited for them.
    Behind,
    /// Cancelled: no consumer wants it any more.
    Killed,
}

/// A snapshot that is being written.
#[derive(Clone, Debug)]
pub(in crate::server) struct Job {
    /// Its number, larger than all before.
    number: u64,
    purpose: Purpose,
    image: Image,
    /// Bytes that the sink has no room for yet.
    ready: VecDeque<Vec<u8>>,
    /// Number of these bytes.
    waiting: usize,
    /// Their limit, together with entries that were put aside.
    most_waiting: usize,
    sink: Sink,
    /// Whether all bytes were handed to the sink.
    handed: bool,
    began: Wall,
    /// When to continue, if writing is slowed down by `rdb-key-save-delay`.
    resume: Mono,
    /// Changes since the last save, when it started.
    pub(super) dirty: u64,
}

#[derive(Clone, Debug)]
enum Sink {
    File(FileSink),
    Replicas,
    Slots,
}

impl Job {
    /// What it is written for.
    pub(in crate::server) fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// The name of its temporary file, if any.
    pub(in crate::server) fn temporary(&self) -> Option<String> {
        match &self.sink {
            Sink::File(file) => Some(file.temporary_path()),
            Sink::Replicas | Sink::Slots => None,
        }
    }

    /// The working directory, `directory` so far, is about to change.
    fn keep_in(&mut self, directory: &str) {
        if let Sink::File(file) = &mut self.sink {
            file.keep_in(directory);
        }
    }

    /// The directory of its file, if that is no longer the working directory.
    fn elsewhere(&self) -> Option<&str> {
        match &self.sink {
            Sink::File(file) => file.elsewhere(),
            Sink::Replicas | Sink::Slots => None,
        }
    }

    /// The final name of its file; empty if there is none.
    fn saved_as(&self) -> String {
        match &self.sink {
            Sink::File(file) => file.saved_as(),
            Sink::Replicas | Sink::Slots => String::new(),
        }
    }

    /// When it started.
    pub(in crate::server) fn began(&self) -> Wall {
        self.began
    }

    /// Keys written so far, and the total.
    pub(in crate::server) fn progress(&self) -> (u64, u64) {
        (self.image.keys, self.image.total)
    }

    /// Whether Redis would use a child process that writes RDB (and not the append-only file).
    fn is_rdb(&self) -> bool {
        match &self.purpose {
            Purpose::Save(save) => save.is_background(),
            Purpose::RewriteAof { .. } | Purpose::Slots { .. } => false,
            Purpose::Replicas => true,
        }
    }
}

impl Server {
    /// The snapshot in progress.
    pub(in crate::server) fn snapshot(&self) -> Option<&Job> {
        self.service.persistence.job.as_deref()
    }

    /// Number of snapshots since the start.
    pub(in crate::server) fn snapshots_begun(&self) -> u64 {
        self.service.persistence.jobs
    }

    /// The snapshot in progress, if Redis would use a child process that writes RDB for it: BGSAVE,
    /// or a full sync.
    pub(in crate::server) fn rdb_child(&self) -> Option<&Job> {
        self.snapshot().filter(|job| job.is_rdb())
    }

    /// Starts a snapshot of the current data. When it has ended, successfully or not, the owner of
    /// `purpose` is notified (see [`Server::snapshot_ended`]).
    pub(in crate::server) fn begin_snapshot(
        &mut self,
        now: Now<'_>,
        purpose: Purpose,
    ) -> Result<(), Busy> {
        // A transaction may be half executed.
        if self.service.persistence.job.is_some() || self.is_migrating() {
            return Err(Busy);
        }
        self.service.persistence.jobs += 1;
        let number = self.service.persistence.jobs;
        let image = match &purpose {
            Purpose::Slots { slots } => {
                let encoder = Encoder::Commands(CommandWriter::new(None));
                let slots: Vec<Slot> = slots.iter().collect();
                Image::of_slots(&mut self.service.keyspace, encoder, &slots)
            }
            _ => {
                let encoder = self.encoder(now, matches!(purpose, Purpose::RewriteAof { .. }));
                Image::begin(&mut self.service.keyspace, encoder)
            }
        };
        let sink = match &purpose {
            Purpose::Save(_) => {
                self.dump_replaced_by_save();
                let path = self.config.settings().dbfilename.clone();
                let temporary = format!("temp-{}.rdb", self.facts.pid);
                let incremental = self.config.settings().rdb_save_incremental_fsync;
                self.begin_file(number, temporary, Some(Place { path }), incremental)
            }
            Purpose::RewriteAof { path } => {
                let incremental = self.config.settings().aof.aof_rewrite_incremental_fsync;
                let path = path.clone();
                self.begin_file(number, path, None, incremental)
            }
            Purpose::Replicas => Sink::Replicas,
            Purpose::Slots { .. } => Sink::Slots,
        };
        let (began, resume, dirty) = (now.wall, now.mono, self.service.dirty);
        let (ready, waiting, handed) = (VecDeque::new(), 0, false);
        let most_waiting =
            (self.service.keyspace.memory() / MAX_WAITING_DIVISOR).max(MIN_WAITING_LIMIT);
        self.service.persistence.job = Some(Box::new(Job {
            number,
            purpose,
            image,
            ready,
            waiting,
            most_waiting,
            sink,
            handed,
            began,
            resume,
            dirty,
        }));
        Ok(())
    }

    /// The working directory is about to change. Files that are being written stay where they are,
    /// as those of Redis's child process do.
    pub(in crate::server) fn keep_snapshot_in_place(&mut self) {
        if let Some(job) = &mut self.service.persistence.job {
            job.keep_in(&self.directory);
        }
    }

    fn begin_file(
        &mut self,
        job: u64,
        temporary: String,
        place: Option<Place>,
        incremental: bool,
    ) -> Sink {
        let file = self.next_file();
        let (sink, open) = FileSink::begin(file, temporary, place, incremental);
        self.disk_op(open, DiskWork::Snapshot { job, step: Step::Open });
        Sink::File(sink)
    }

    /// An id for a file that is about to be opened.
    pub(in crate::server) fn next_file(&mut self) -> FileId {
        self.service.last_file += 1;
        FileId(self.service.last_file)
    }

    /// The encoder for a snapshot. `aof_base`: for the base of the append-only file.
    pub(in crate::server) fn encoder(&mut self, now: Now<'_>, aof_base: bool) -> Encoder {
        let aof = &self.config.settings().aof;
        if aof_base && !aof.aof_use_rdb_preamble {
            let timestamp = aof.aof_timestamp_enabled.then_some(now.wall.as_secs());
            let mut writer = CommandWriter::new(timestamp);
            for library in &self.service.persistence.libraries {
                writer.function(library);
            }
            return Encoder::Commands(writer);
        }
        let used_memory = self.memory(None).used;
        let settings = self.config.settings();
        use MaxmemoryPolicy as Policy;
        let counted = match settings.data.maxmemory_policy {
            Policy::VolatileLru | Policy::AllkeysLru => true,
            policy => policy.is_lfu(),
        };
        let mut writer = Writer::new(WriteOptions {
            compression: settings.data.rdb_compression,
            checksum: settings.rdbchecksum,
            access: counted.then_some(self.service.keyspace.env.access),
            now_ms: now.wall.as_millis(),
        });
        let replication = self.replication_position();
        let id = replication.map(|position| position.id);
        let id = id.as_ref().and_then(|id| core::str::from_utf8(id).ok()).unwrap_or_default();
        writer.preamble(&Preamble {
            version: VERSION,
            created_s: now.wall.as_secs(),
            used_memory,
            replication: replication.map(|position| ReplicationState {
                stream_db: position.db,
                id,
                offset: position.offset,
            }),
            aof_base,
        });
        for library in &self.service.persistence.libraries {
            writer.function(library);
        }
        Encoder::Rdb(writer)
    }

    /// When to continue: now if the sink has room, or if too many entries are put aside.
    pub(super) fn snapshot_wake(&self) -> Option<Mono> {
        let job = self.snapshot().filter(|job| !job.handed)?;
        if job.resume <= self.now.0 && self.has_too_much_aside(job) {
            return Some(self.now.0);
        }
        (self.room_for(job) > 0).then(|| job.resume.max(self.now.0))
    }

    /// The configuration has changed: a snapshot or load that is slowed down may be able to
    /// continue sooner.
    pub(in crate::server) fn delays_changed(&mut self) {
        let settings = self.config.settings();
        let (save, load) = (settings.rdb_key_save_delay, settings.key_load_delay);
        let until = |delay: i64| self.now.0 + Duration::from_micros(delay.try_into().unwrap_or(0));
        let (save, load) = (until(save), until(load));
        if let Some(job) = &mut self.service.persistence.job {
            job.resume = job.resume.min(save);
        }
        self.resume_load_by(load);
        self.resume_replay_by(load);
        self.resume_memory_load_by(load);
    }

    fn room_for(&self, job: &Job) -> usize {
        match &job.sink {
            Sink::File(file) => file.room(),
            Sink::Replicas => self.snapshot_room(),
            Sink::Slots => self.slots_snapshot_room(),
        }
    }

    /// Number of entries put aside.
    fn aside(&self, job: &Job) -> usize {
        self.service.keyspace.snapshot_pending() + job.image.waiting()
    }

    fn has_too_much_aside(&self, job: &Job) -> bool {
        !job.image.is_finished()
            && (self.aside(job) > MAX_ASIDE
                || self.service.keyspace.snapshot_holds_more(MAX_ASIDE_BYTES))
    }

    /// Writes the next slice.
    pub(super) fn snapshot_slice(&mut self, now: Now<'_>) {
        let Some(mut job) = self.service.persistence.job.take() else { return };
        if job.resume <= now.mono && !job.image.is_finished() {
            if self.has_too_much_aside(&job) {
                self.write_aside(now, &mut job);
            }
            if job.ready.is_empty() && self.room_for(&job) > 0 {
                let slice = if self.holds_all() { LONG_SLICE } else { SLICE };
                self.write_slice(now, &mut job, slice);
            }
        }
        self.feed_sink(now, &mut job);
        let ended = job.handed && !matches!(job.sink, Sink::File(_));
        let (waits, most) = (job.waiting, job.most_waiting);
        let behind = waits > most || self.service.keyspace.snapshot_holds_more(most - waits);
        self.service.persistence.job = Some(job);
        if ended {
            self.end_snapshot(now, Ok(()));
        } else if behind && !self.holds_all() {
            self.abort_slow_snapshot(now, most);
        }
    }

    /// Aborts a snapshot for which too much waits.
    fn abort_slow_snapshot(&mut self, now: Now<'_>, most: usize) {
        let role = self.writer_role();
        let who = match self.snapshot().map(|job| &job.sink) {
            Some(Sink::Replicas) => "the replicas take",
            Some(Sink::Slots) => "the node that gets the slots takes",
            _ => "the disk takes",
        };
        self.log_as(role, LogLevel::Warning, || {
            format!(
                "The snapshot is given up: {who} it too slowly for what is written meanwhile. More \
                 than {most} bytes of what was changed wait for it, a quarter of the memory of the \
                 data. Take it when fewer writes come, or give it a faster way."
            )
        });
        self.end_snapshot(now, Err(Failure::Behind));
    }

    /// Serializes entries that were put aside, even if the sink has no room: in that form they need
    /// the least memory.
    fn write_aside(&mut self, now: Now<'_>, job: &mut Job) {
        let most = self.service.keyspace.snapshot_pending().min(MAX_ASIDE_WRITTEN) as u64;
        let before = job.image.keys;
        while !job.image.is_within_entry() {
            let written = job.image.keys - before;
            if written >= most || !self.has_too_much_aside(job) || job.resume > now.mono {
                return;
            }
            // If there are many, only those above the limit.
            let many = self.aside(job).saturating_sub(MAX_ASIDE).max(1) as u64;
            self.write_slice(now, job, Slice { keys: many.min(most - written), ..SLICE });
        }
        // Entries wait behind a large value, which therefore is written in few iterations.
        let much = self.service.keyspace.snapshot_holds_more(MAX_ASIDE_BYTES);
        let slices = if much { MAX_SLICES } else { (self.aside(job) / MAX_ASIDE).min(MAX_SLICES) };
        self.write_slice(now, job, Slice { bytes: SLICE.bytes * slices, ..SLICE });
    }

    fn write_slice(&mut self, now: Now<'_>, job: &mut Job, slice: Slice) {
        let delay = u64::try_from(self.config.settings().rdb_key_save_delay).unwrap_or(0);
        let before = job.image.keys;
        let most = match delay {
            0 => u64::MAX,
            delay => (1_000 / delay).max(1),
        };
        job.image.step(&mut self.service.keyspace, slice, most);
        let written = job.image.keys - before;
        job.resume = now.mono + Duration::from_micros(delay.saturating_mul(written));
        if job.image.len() >= sink::CHUNK || job.image.is_finished() {
            let bytes = job.image.take();
            job.waiting += bytes.len();
            job.ready.push_back(bytes);
        }
    }

    /// Hands the sink as much as it has room for.
    fn feed_sink(&mut self, now: Now<'_>, job: &mut Job) {
        while self.room_for(job) > 0
            && let Some(bytes) = job.ready.pop_front()
        {
            job.waiting = job.waiting.saturating_sub(bytes.len());
            let finished = job.image.is_finished() && job.ready.is_empty();
            match &mut job.sink {
                Sink::File(file) => {
                    let number = job.number;
                    let mut operations = Vec::new();
                    file.write(bytes, |step, what| operations.push((step, what)));
                    if finished {
                        operations.push(file.finish());
                    }
                    for (step, what) in operations {
                        self.disk_op(what, DiskWork::Snapshot { job: number, step });
                    }
                }
                Sink::Replicas => self.snapshot_bytes(now, bytes),
                Sink::Slots => self.slots_snapshot_bytes(&bytes),
            }
            job.handed = finished;
        }
    }

    /// A disk operation of a snapshot has completed.
    pub(in crate::server) fn snapshot_disk_done(
        &mut self,
        now: Now<'_>,
        number: u64,
        step: Step,
        result: Result<DiskDone, DiskError>,
    ) {
        let Some(job) =
            self.service.persistence.job.as_deref_mut().filter(|job| job.number == number)
        else {
            return;
        };
        let Sink::File(file) = &mut job.sink else { return };
        match file.ended(step, result.map(drop)) {
            Progress::Wait => {}
            Progress::Next(step, what) => {
                self.disk_op(what, DiskWork::Snapshot { job: number, step });
            }
            Progress::Done => self.end_snapshot(now, Ok(())),
            Progress::Failed(step, error) => {
                self.log_disk_failure(step, &error);
                self.end_snapshot(now, Err(Failure::Disk(error)));
            }
        }
    }

    /// Logs what the disk has refused, in Redis's words.
    fn log_disk_failure(&mut self, step: Step, error: &DiskError) {
        let Some(job) = self.snapshot() else { return };
        let Sink::File(file) = &job.sink else { return };
        let directory = file.elsewhere().unwrap_or_else(|| self.directory_name());
        let temporary = file.temporary();
        let aof = matches!(job.purpose, Purpose::RewriteAof { .. });
        let text = match step {
            Step::Open if aof => {
                format!("Opening the temp file for AOF rewrite in rewriteAppendOnlyFile(): {error}")
            }
            Step::Open => format!(
                "Failed opening the temp RDB file {temporary} (in server root dir {directory}) \
                 for saving: {error}"
            ),
            _ if aof => format!("Write error writing append only file on disk: {error}"),
            Step::Append(_) => {
                format!("Write error while saving DB to the disk(rdbSaveRio): {error}")
            }
            Step::Sync => format!("Write error while saving DB to the disk(fsync): {error}"),
            Step::Close => format!("Write error while saving DB to the disk(fclose): {error}"),
            Step::Rename => format!(
                "Error moving temp DB file {temporary} on the final destination {} (in server \
                 root dir {directory}): {error}",
                self.config.settings().dbfilename
            ),
            Step::SyncDir => format!("Failed to fsync directory while saving DB: {error}"),
        };
        let role = self.writer_role();
        self.log_as(role, LogLevel::Warning, || text);
    }

    /// The role in log lines about a snapshot: a child process where Redis forks one.
    pub(super) fn writer_role(&self) -> char {
        match self.snapshot().map(Job::purpose) {
            Some(Purpose::Save(save)) if !save.is_background() => Redis::log_role(self),
            _ => 'C',
        }
    }

    /// Aborts the snapshot in progress, if there is one. Its owner is notified.
    pub(in crate::server) fn kill_snapshot(&mut self, now: Now<'_>) {
        self.end_snapshot(now, Err(Failure::Killed));
    }

    fn end_snapshot(&mut self, now: Now<'_>, result: Result<(), Failure>) {
        if result.is_ok() && matches!(self.snapshot().map(Job::purpose), Some(Purpose::Save(_))) {
            let role = self.writer_role();
            self.log_as(role, LogLevel::Notice, || "DB saved on disk".to_owned());
            if role == 'C' {
                let copied = self.service.keyspace.snapshot_copied() >> 20;
                self.log_as(role, LogLevel::Notice, || {
                    format!("RDB: {copied} MB of memory used by copy-on-write")
                });
            }
        }
        let Some(job) = self.service.persistence.job.take() else { return };
        if job.is_rdb() {
            self.service.persistence.saves.copied = self.service.keyspace.snapshot_copied();
        }
        self.service.keyspace.end_snapshot();
        let job = *job;
        if let (Err(_), Sink::File(file)) = (&result, job.sink.clone()) {
            for what in file.give_up() {
                self.disk_op(what, DiskWork::Nothing);
            }
        }
        self.snapshot_ended(now, job, result);
    }

    /// Notifies the owner of a snapshot that it has ended.
    fn snapshot_ended(&mut self, now: Now<'_>, job: Job, result: Result<(), Failure>) {
        let took = seconds_between(job.began, now.wall);
        if job.is_rdb() {
            self.service.persistence.saves.took = Some(took);
        }
        match job.purpose {
            Purpose::Save(save) => {
                let file = result.is_ok().then(|| job.saved_as());
                let directory = job.elsewhere().unwrap_or_else(|| self.directory_name()).to_owned();
                self.save_ended(now, save, job.dirty, &directory, result);
                self.dump_ended(now, file);
            }
            Purpose::RewriteAof { .. } => self.rewrite_ended(now, result),
            Purpose::Slots { .. } => self.slots_snapshot_ended(now, result),
            Purpose::Replicas => {
                let text = match &result {
                    Ok(()) => "Background RDB transfer terminated with success",
                    Err(Failure::Disk(_) | Failure::Behind) => "Background transfer error",
                    Err(Failure::Killed) => "Background transfer terminated by signal 10",
                };
                let level = if result.is_ok() { LogLevel::Notice } else { LogLevel::Warning };
                self.log(level, || text.to_owned());
                self.transfer_ended(now, result);
            }
        }
    }
}

/// What to do about a snapshot file that cannot be written: a hint for the log.
pub(super) fn remedy(error: &DiskError, file: &str, directory: &str) -> String {
    use crate::machine::DiskErrorKind as Kind;
    let what = match error.kind {
        Kind::NoSpace => "Free space on its disk",
        Kind::Denied => "Give the server's user write permission there",
        Kind::NotFound | Kind::NotADirectory => {
            "Bring the directory back, or let CONFIG SET dir name another"
        }
        Kind::Io => "Check the disk, or set another directory with CONFIG SET dir",
    };
    format!(
        "The data was not saved to '{file}' in '{directory}'; an earlier file of that name is \
         unchanged. {what}, then save again with BGSAVE."
    )
}
