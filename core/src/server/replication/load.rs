//! Loading a copy of the data that came from the primary.

use super::StreamId;
use super::handshake::{Link, Step};
use super::replica::Cached;
use super::transfer::{Form, MARK, Way};
use crate::machine::{DiskOp, LogLevel};
use crate::server::config::DisklessLoad;
use crate::server::persistence::intake::{Intake, LoadedPosition};
use crate::server::persistence::loading::{After, LoadFailure};
use crate::server::{DiskWork, Server};
use crate::store::{Flush, Keyspace};
use crate::time::{Duration, Mono, Now};

/// Bytes that are loaded in one slice.
const SLICE: usize = 256 * 1024;

/// Bytes that wait to be loaded before no more are read from the primary.
const MAX_WAITING: usize = 4 << 20;

/// A copy of the data that is loaded as it comes.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    intake: Intake,
    /// Where the keys go, if the old ones stay until all is there.
    aside: Option<Box<Keyspace>>,
    /// Bytes that were handed to the intake.
    handed: u64,
    /// When it goes on, if it was told to be slow (`key-load-delay`).
    resume: Mono,
}

/// How far a slice came.
enum Progress {
    More,
    Done,
    Failed(String),
}

impl Server {
    /// Whether a copy of the data is loaded as it comes, and not from a file.
    pub(super) fn loads_in_memory(&self) -> bool {
        match self.config.settings().repl_diskless_load {
            DisklessLoad::Disabled => false,
            DisklessLoad::SwapDb => true,
            DisklessLoad::OnEmptyDb => self.service.keyspace.summary().next().is_none(),
        }
    }

    /// Loads the copy that is now in the dump's place.
    pub(super) fn load_transferred(&mut self, now: Now<'_>) {
        if self.is_ending() {
            // Nothing may change any more. Should the server stay after all, it asks again.
            return self.abandon_link(now, false);
        }
        self.pause_aof(now);
        if self.rdb_child().is_some() {
            self.kill_for_copy(now);
        }
        self.make_way();
        self.notice(|| "MASTER <-> REPLICA sync: Loading DB in memory".to_owned());
        let options = self.intake_options(now);
        let path = self.transferred_file();
        self.load_file(now, path, options, After::FullSync);
    }

    /// Forgets what is not true any more once the data is another.
    fn attach_to_new_primary(&mut self) {
        self.discard_cached();
        self.disconnect_replicas();
        self.service.replication.backlog = None;
        self.followers_changed();
    }

    /// Forgets all keys, for others to take their place.
    fn make_way(&mut self) {
        self.attach_to_new_primary();
        self.notice(|| "MASTER <-> REPLICA sync: Flushing old data".to_owned());
        self.flush_old();
    }

    fn flush_old(&mut self) {
        let lazy = self.config.settings().replica_lazy_flush;
        self.tell_replaced();
        self.service.keyspace.flush(None, if lazy { Flush::Async } else { Flush::Sync });
    }

    /// Marks watched keys as changed, since the data was replaced.
    fn tell_replaced(&mut self) {
        self.invalidate_all(Now::instantaneous(self.now.0, self.now.1), None);
        for db in 0..self.service.keyspace.count() {
            self.watched_db_replaced(None, db as u32);
        }
    }

    /// The copy that came through a file has been loaded, or could not be.
    pub(in crate::server) fn full_sync_loaded(
        &mut self,
        now: Now<'_>,
        result: Result<LoadedPosition, LoadFailure>,
    ) {
        let file = self.transferred_file();
        if let Err(failure) = &result {
            let path = self.config.settings().dbfilename.clone();
            self.tell_of_load(&path, failure);
            self.log(LogLevel::Warning, || {
                "Failed trying to load the MASTER synchronization DB from disk, check server logs."
                    .to_owned()
            });
            self.abandon_link(now, true);
        }
        if self.config.settings().rdb_del_sync_files && self.keeps_nothing() {
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

    /// All that was in the copy is here: the stream begins behind it.
    fn full_sync_done(&mut self, now: Now<'_>, position: &LoadedPosition) {
        let link =
            self.service.replication.primary.as_mut().and_then(|primary| primary.link.take());
        let Some(link) = link else { return };
        let Step::Transfer(transfer) = &link.step else { return self.put_link(link) };
        let marked = matches!(transfer.form, Some(Form::Mark(_)));
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
            // The primary waits for it before it sends the stream.
            self.send_ack(now, &mut client);
            self.clients.put(client);
        }
    }

    /// Begins to load a copy as it comes.
    pub(super) fn begin_memory_load(
        &mut self,
        now: Now<'_>,
        id: StreamId,
        form: Form,
    ) -> Box<Memory> {
        self.pause_aof(now);
        if self.rdb_child().is_some() {
            self.kill_snapshot(now);
        }
        let aside = self.config.settings().repl_diskless_load == DisklessLoad::SwapDb;
        let aside = aside.then(|| Box::new(self.service.keyspace.staging()));
        if aside.is_none() {
            self.make_way();
        }
        self.notice(|| "MASTER <-> REPLICA sync: Loading DB in memory".to_owned());
        // Data of the same history may be read meanwhile.
        let serves = aside.is_some() && id == self.service.replication.id;
        let size = match form {
            Form::Length(size) => size,
            Form::Mark(_) => 0,
        };
        let mut intake = Intake::new(self.intake_options(now));
        intake.expect(size);
        self.start_loading(now, size, serves);
        Box::new(Memory { intake, aside, handed: 0, resume: now.mono })
    }

    /// Gives up to load a copy as it comes.
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

    /// When loading a copy as it comes is to go on.
    pub(in crate::server) fn memory_load_wake(&self) -> Option<Mono> {
        let link = self.service.replication.link()?;
        let Step::Transfer(transfer) = &link.step else { return None };
        let Way::Memory(memory) = &transfer.way else { return None };
        let goes_on = memory.intake.has_bytes()
            || !link.input.is_empty() && !memory.intake.is_done()
            || memory.intake.is_done() && memory.is_complete(link.input.len(), transfer.form);
        goes_on.then(|| memory.resume.max(self.now.0))
    }

    /// Lets the load that was told to be slow go on at this time at the latest.
    pub(in crate::server) fn hasten_memory_load(&mut self, at: Mono) {
        if let Some(link) = self.service.replication.link_mut()
            && let Step::Transfer(transfer) = &mut link.step
            && let Way::Memory(memory) = &mut transfer.way
        {
            memory.resume = memory.resume.min(at);
        }
    }

    /// Loads some more of a copy as it comes.
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
        let form = transfer.form;
        let Way::Memory(memory) = &mut transfer.way else { return Progress::More };
        let delay = u64::try_from(self.config.settings().key_load_delay).unwrap_or(0);
        let keys = match delay {
            0 => usize::MAX,
            delay => usize::try_from(1_000 / delay).unwrap_or(1).max(1),
        };
        if !memory.intake.is_done() {
            if !memory.intake.has_bytes() {
                let bytes = memory.cut(&mut link.input, form);
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
        let Way::Memory(memory) = &transfer.way else { return Progress::More };
        if !memory.intake.is_done() || !memory.is_complete(link.input.len(), form) {
            return Progress::More;
        }
        transfer.has_all = true;
        if let Some(Form::Mark(mark)) = form {
            let rest = link.input.split_off(MARK);
            if link.input != mark {
                return Progress::Failed("Replication stream EOF marker is broken".to_owned());
            }
            link.input = rest;
        }
        Progress::Done
    }

    /// A copy has been loaded as it came.
    fn memory_loaded(&mut self, now: Now<'_>) {
        let Some(link) = self.service.replication.link_mut() else { return };
        let Step::Transfer(transfer) = &mut link.step else { return };
        let Way::Memory(memory) = core::mem::replace(&mut transfer.way, Way::Loading) else {
            return;
        };
        let Memory { intake, aside, .. } = *memory;
        let summary = intake.summary();
        self.service.persistence.libraries.clone_from(&intake.libraries);
        self.notice(|| summary);
        if let Some(keyspace) = aside {
            self.attach_to_new_primary();
            self.notice(|| "MASTER <-> REPLICA sync: Swapping active DB with loaded DB".to_owned());
            self.tell_replaced();
            self.service.keyspace.adopt(*keyspace, Flush::Async);
            self.notice(|| "MASTER <-> REPLICA sync: Discarding old DB in background".to_owned());
        }
        self.stop_loading();
        self.full_sync_done(now, &intake.position);
    }
}

impl Memory {
    /// Cuts off what of the input belongs to the copy.
    fn cut(&mut self, input: &mut Vec<u8>, form: Option<Form>) -> Vec<u8> {
        let left = match form {
            Some(Form::Length(size)) => usize::try_from(size - self.handed).unwrap_or(usize::MAX),
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

    /// Whether what follows the copy has come as well.
    fn is_complete(&self, waiting: usize, form: Option<Form>) -> bool {
        !matches!(form, Some(Form::Mark(_))) || waiting >= MARK
    }
}
