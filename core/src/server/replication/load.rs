//! Loading a full sync received from the primary.

use super::StreamId;
use super::handshake::{Link, Step};
use super::replica::Cached;
use super::transfer::{Destination, Framing, MARK};
use crate::machine::{DiskOp, LogLevel};
use crate::server::config::DisklessLoad;
use crate::server::persistence::intake::{Intake, LoadedPosition};
use crate::server::persistence::loading::{After, LoadFailure};
use crate::server::{DiskWork, Server};
use crate::store::{Flush, Keyspace};
use crate::time::{Duration, Mono, Now};

/// Bytes loaded per slice.
const SLICE: usize = 256 * 1024;

/// Bytes waiting to be loaded at which the replica stops reading from the primary.
const MAX_WAITING: usize = 4 << 20;

/// A full sync that is loaded while it is received, without a file.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    intake: Intake,
    /// The keyspace being filled, if the old one stays until loading has finished.
    aside: Option<Box<Keyspace>>,
    /// Bytes handed to the intake.
    handed: u64,
    /// When to continue, if loading is slowed down by `key-load-delay`.
    resume: Mono,
}

/// The result of a slice.
enum Progress {
    More,
    Done,
    Failed(String),
}

impl Server {
    /// Whether a full sync is being loaded without a file.
    pub(super) fn loads_in_memory(&self) -> bool {
        match self.config.settings().repl_diskless_load {
            DisklessLoad::Disabled => false,
            DisklessLoad::SwapDb => true,
            DisklessLoad::OnEmptyDb => self.service.keyspace.summary().next().is_none(),
        }
    }

    /// Loads the full sync whose file has just got the dump's name.
    pub(super) fn load_transferred(&mut self, now: Now<'_>) {
        if self.is_ending() {
            // Nothing may change during a shutdown. If the shutdown is aborted, the replica asks
            // again.
            return self.abandon_link(now, false);
        }
        self.pause_aof(now);
        if self.rdb_child().is_some() {
            self.kill_snapshot_for_full_sync(now);
        }
        self.flush_for_sync();
        self.notice(|| "MASTER <-> REPLICA sync: Loading DB in memory".to_owned());
        let options = self.intake_options(now);
        let path = self.transferred_file();
        self.load_file(now, path, options, After::FullSync);
    }

    /// Drops the state that belongs to the old data.
    fn attach_to_new_primary(&mut self) {
        self.discard_cached();
        self.disconnect_replicas();
        self.service.replication.backlog = None;
        self.followers_changed();
    }

    /// Drops all keys, to be replaced by the full sync.
    fn flush_for_sync(&mut self) {
        self.attach_to_new_primary();
        self.notice(|| "MASTER <-> REPLICA sync: Flushing old data".to_owned());
        self.flush_old();
    }

    fn flush_old(&mut self) {
        let lazy = self.config.settings().replica_lazy_flush;
        self.mark_watched_changed();
        self.service.keyspace.flush(None, if lazy { Flush::Async } else { Flush::Sync });
    }

    /// Marks watched keys as changed, since the data was replaced.
    fn mark_watched_changed(&mut self) {
        self.invalidate_all(Now::instantaneous(self.now.0, self.now.1), None);
        for db in 0..self.service.keyspace.count() {
            self.watched_db_replaced(None, db as u32);
        }
    }

    /// The full sync has been loaded from its file, or loading has failed.
    pub(in crate::server) fn full_sync_loaded(
        &mut self,
        now: Now<'_>,
        result: Result<LoadedPosition, LoadFailure>,
    ) {
        let file = self.transferred_file();
        if let Err(failure) = &result {
            let path = self.config.settings().dbfilename.clone();
            self.log_load_failure(&path, failure);
            self.log(LogLevel::Warning, || {
                "Failed trying to load the MASTER synchronization DB from disk, check server logs."
                    .to_owned()
            });
            self.abandon_link(now, true);
        }
        if self.config.settings().rdb_del_sync_files && self.persists_nothing() {
            self.notice(|| {
                "Removing the RDB file obtained from the master. This replica has persistence \
                 disabled"
                    .to_owned()
            });
            self.disk_op(DiskOp::Remove { path: file }, DiskWork::Nothing);
        }
        if let Ok(position) = result {
            self.full_sync_done(now, &position);
        }
    }

    /// The full sync is complete: the stream continues from its position.
    fn full_sync_done(&mut self, now: Now<'_>, position: &LoadedPosition) {
        let link =
            self.service.replication.primary.as_mut().and_then(|primary| primary.link.take());
        let Some(link) = link else { return };
        let Step::Transfer(transfer) = &link.step else { return self.put_link(link) };
        let marked = matches!(transfer.framing, Some(Framing::EndMark(_)));
        let replication = &mut self.service.replication;
        replication.id = link.id;
        replication.offset = link.offset;
        replication.forget_second_id();
        let db = position.db.and_then(|db| u32::try_from(db).ok()).unwrap_or(0);
        replication.cached = Some(Cached { id: link.id, offset: link.offset, db });
        self.service.dirty += 1;
        self.notice(|| "MASTER <-> REPLICA sync: Finished with success".to_owned());
        self.resume_aof(now);
        self.begin_stream(now, *link);
        if marked
            && let Some(slot) = self.service.replication.stream().map(|stream| stream.slot)
            && let Some(mut client) = self.clients.take(slot)
        {
            // The primary waits for this acknowledgement before it sends the stream.
            self.send_ack(now, &mut client);
            self.clients.put(client);
        }
    }

    /// Starts to load a full sync while it is received.
    pub(super) fn begin_memory_load(
        &mut self,
        now: Now<'_>,
        id: StreamId,
        framing: Framing,
    ) -> Box<Memory> {
        self.pause_aof(now);
        if self.rdb_child().is_some() {
            self.kill_snapshot(now);
        }
        let aside = self.config.settings().repl_diskless_load == DisklessLoad::SwapDb;
        let aside = aside.then(|| Box::new(self.service.keyspace.staging()));
        if aside.is_none() {
            self.flush_for_sync();
        }
        self.notice(|| "MASTER <-> REPLICA sync: Loading DB in memory".to_owned());
        // Data of the same history may be read meanwhile.
        let serves = aside.is_some() && id == self.service.replication.id;
        let size = match framing {
            Framing::Length(size) => size,
            Framing::EndMark(_) => 0,
        };
        let mut intake = Intake::new(self.intake_options(now));
        intake.expect(size);
        self.start_loading(now, size, serves);
        Box::new(Memory { intake, aside, handed: 0, resume: now.mono })
    }

    /// Aborts loading a full sync without a file.
    pub(super) fn drop_memory_load(&mut self, memory: Memory) {
        self.stop_loading();
        if memory.aside.is_some() {
            self.notice(|| {
                "MASTER <-> REPLICA sync: Discarding temporary DB in background".to_owned()
            });
        } else {
            self.flush_old();
        }
    }

    /// When to continue loading a full sync without a file.
    pub(in crate::server) fn memory_load_wake(&self) -> Option<Mono> {
        let link = self.service.replication.link()?;
        let Step::Transfer(transfer) = &link.step else { return None };
        let Destination::Memory(memory) = &transfer.destination else { return None };
        let goes_on = memory.intake.has_bytes()
            || !link.input.is_empty() && !memory.intake.is_done()
            || memory.intake.is_done() && memory.is_complete(link.input.len(), transfer.framing);
        goes_on.then(|| memory.resume.max(self.now.0))
    }

    /// Makes a load that is slowed down continue at this time at the latest.
    pub(in crate::server) fn resume_memory_load_by(&mut self, at: Mono) {
        if let Some(link) = self.service.replication.link_mut()
            && let Step::Transfer(transfer) = &mut link.step
            && let Destination::Memory(memory) = &mut transfer.destination
        {
            memory.resume = memory.resume.min(at);
        }
    }

    /// Loads the next slice of a full sync without a file.
    pub(in crate::server) fn memory_load_slice(&mut self, now: Now<'_>) {
        if self.memory_load_wake().is_none_or(|at| at > now.mono) {
            return;
        }
        let Some(mut link) = self.service.replication.primary.as_mut().and_then(|p| p.link.take())
        else {
            return;
        };
        let progress = self.load_more(now, &mut link);
        let waiting = link.input.len();
        if link.not_reading && waiting < MAX_WAITING / 2 {
            self.hold_link(&mut link, false);
        }
        self.put_link(link);
        match progress {
            Progress::More => {}
            Progress::Done => self.memory_loaded(now),
            Progress::Failed(text) => {
                self.log(LogLevel::Warning, || text);
                self.abandon_link(now, true);
            }
        }
    }

    fn load_more(&mut self, now: Now<'_>, link: &mut Link) -> Progress {
        let Step::Transfer(transfer) = &mut link.step else { return Progress::More };
        let framing = transfer.framing;
        let Destination::Memory(memory) = &mut transfer.destination else { return Progress::More };
        let delay = u64::try_from(self.config.settings().key_load_delay).unwrap_or(0);
        let keys = match delay {
            0 => usize::MAX,
            delay => usize::try_from(1_000 / delay).unwrap_or(1).max(1),
        };
        if !memory.intake.is_done() {
            if !memory.intake.has_bytes() {
                let bytes = memory.cut(&mut link.input, framing);
                transfer.read += bytes.len() as u64;
                memory.intake.hand_in(bytes);
            }
            let keyspace = memory.aside.as_deref_mut().unwrap_or(&mut self.service.keyspace);
            let taken = match memory.intake.step(keyspace, SLICE, keys) {
                Ok(taken) => taken,
                Err(error) => {
                    let text = format!(
                        "Failed trying to load the MASTER synchronization DB from socket, check \
                         server logs. {}, at offset {}",
                        error.reason, error.offset
                    );
                    return Progress::Failed(text);
                }
            };
            memory.resume = now.mono + Duration::from_micros(delay.saturating_mul(taken as u64));
            let offset = memory.intake.offset();
            if memory.intake.is_done() {
                let mut rest = memory.intake.rest();
                rest.append(&mut link.input);
                link.input = rest;
            }
            let lines = core::mem::take(&mut memory.intake.lines);
            for (level, text) in lines {
                self.log(level, || text);
            }
            self.loading_progress(offset);
        }
        let Destination::Memory(memory) = &transfer.destination else { return Progress::More };
        if !memory.intake.is_done() || !memory.is_complete(link.input.len(), framing) {
            return Progress::More;
        }
        transfer.has_all = true;
        if let Some(Framing::EndMark(mark)) = framing {
            let rest = link.input.split_off(MARK);
            if link.input != mark {
                return Progress::Failed("Replication stream EOF marker is broken".to_owned());
            }
            link.input = rest;
        }
        Progress::Done
    }

    /// A full sync without a file has been loaded.
    fn memory_loaded(&mut self, now: Now<'_>) {
        let Some(link) = self.service.replication.link_mut() else { return };
        let Step::Transfer(transfer) = &mut link.step else { return };
        let Destination::Memory(memory) =
            core::mem::replace(&mut transfer.destination, Destination::Loading)
        else {
            return;
        };
        let Memory { intake, aside, .. } = *memory;
        let summary = intake.summary();
        self.service.persistence.libraries.clone_from(&intake.libraries);
        self.notice(|| summary);
        if let Some(keyspace) = aside {
            self.attach_to_new_primary();
            self.notice(|| "MASTER <-> REPLICA sync: Swapping active DB with loaded DB".to_owned());
            self.mark_watched_changed();
            self.service.keyspace.adopt(*keyspace, Flush::Async);
            self.notice(|| "MASTER <-> REPLICA sync: Discarding old DB in background".to_owned());
        }
        self.stop_loading();
        self.full_sync_done(now, &intake.position);
    }
}

impl Memory {
    /// Removes from the input the bytes that belong to the full sync.
    fn cut(&mut self, input: &mut Vec<u8>, framing: Option<Framing>) -> Vec<u8> {
        let left = match framing {
            Some(Framing::Length(size)) => {
                usize::try_from(size - self.handed).unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        };
        let bytes = if input.len() <= left {
            core::mem::take(input)
        } else {
            let rest = input.split_off(left);
            core::mem::replace(input, rest)
        };
        self.handed += bytes.len() as u64;
        bytes
    }

    /// Whether the end mark has been received as well.
    fn is_complete(&self, waiting: usize, framing: Option<Framing>) -> bool {
        !matches!(framing, Some(Framing::EndMark(_))) || waiting >= MARK
    }
}
