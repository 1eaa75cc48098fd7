//! Sending a full sync to replicas.
//!
//! It is a snapshot: written to the dump file, which is then sent to each replica that waited for
//! it, or sent to all of them while it is being written (`repl-diskless-sync`). Changes made
//! meanwhile stay in the backlog.

use super::primary::{Replica, State as Stage, Wants};
use crate::command::CommandError;
use crate::machine::{DiskDone, DiskError, DiskOp, FileId, LogLevel, OpenMode};
use crate::persist::rdb::{Preamble, ReplicationState, WriteOptions, Writer};
use crate::resp::reply::Reply;
use crate::server::persistence::save::Save;
use crate::server::persistence::snapshot::{Failure, Purpose};
use crate::server::{Client, CloseState};
use crate::server::{DiskWork, Server, VERSION};
use crate::time::{Duration, Mono, Now};

/// How many bytes of a full sync a replica's outbox may hold.
const WINDOW: usize = 2 << 20;

/// Bytes per read of the file.
const CHUNK: u32 = 512 << 10;

/// The minimum time between the starts of two full syncs. A replica that cannot use what it
/// receives (its disk is full) asks again at once. Redis limits the rate by how often it checks for
/// the end of its child process: ten times a second with the default `hz`.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// The state of sending full syncs.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// The target of the full sync in progress.
    target: Option<Target>,
    /// When the last one was started.
    begun: Option<Mono>,
    /// Whether the dump was written only for replicas (`rdb-del-sync-files`).
    pub(super) file_is_for_replicas: bool,
}

/// Where a full sync is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// To the dump file.
    Disk,
    /// To the replicas, with this end mark.
    Sockets([u8; 40]),
}

/// A file that is being sent to a replica.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    file: FileId,
    size: u64,
    /// Bytes read so far.
    offset: u64,
    /// Whether a read is in progress.
    reading: bool,
}

/// What a replica that is being sent a file waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Work {
    Open,
    Read,
}

impl State {
    /// Whether a diskless full sync is in progress.
    pub(super) fn is_diskless(&self) -> bool {
        matches!(self.target, Some(Target::Sockets(_)))
    }
}

impl Server {
    /// A replica has requested a full sync.
    pub(super) fn request_full_sync(&mut self, now: Now<'_>, client: &mut Client) {
        self.service.replication.stats.sync_full += 1;
        self.add_replica(now.mono, client, Stage::WaitsForBegin);
        if self.service.replication.replicas.len() == 1
            && self.service.replication.backlog.is_none()
        {
            // The stream has a gap here, so partial resynchronization from before it is refused.
            self.change_stream_id();
            self.service.replication.open_backlog();
            self.followers_changed();
            let text = |id: [u8; 40]| String::from_utf8_lossy(&id).into_owned();
            let ids = (text(self.service.replication.id), text(self.service.replication.second_id));
            self.notice(|| {
                format!(
                    "Replication backlog created, my new replication IDs are '{}' and '{}'",
                    ids.0, ids.1
                )
            });
        }
        self.service.replication.arrived = true;
        let settings = self.config.settings();
        let delayed = settings.repl_diskless_sync && settings.repl_diskless_sync_delay > 0;
        let eof = client.state.replica.as_deref().is_some_and(|replica| replica.can.eof);
        if self.rdb_child().is_some() {
            match self.service.replication.sync.target {
                Some(Target::Sockets(_)) => self.notice(|| {
                    "Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC".to_owned()
                }),
                _ => self.attach(client),
            }
        } else if delayed && eof {
            self.notice(|| "Delay next BGSAVE for diskless SYNC".to_owned());
        } else if self.snapshot().is_some() {
            self.notice(|| {
                "No BGSAVE in progress, but another BG operation is active. BGSAVE for \
                 replication delayed"
                    .to_owned()
            });
        }
    }

    /// Lets a replica share the full sync that is being written for another, if possible.
    fn attach(&mut self, client: &mut Client) {
        let Some(own) = client.state.replica.as_deref() else { return };
        let other = self
            .all_replicas()
            .map(|(_, replica)| replica)
            .find(|other| {
                other.state == Stage::WaitsForEnd && (!other.wants.only_copy || own.wants.only_copy)
            })
            .filter(|other| own.can.covers(other.can) && own.wants.same_copy(other.wants))
            .map(|other| (other.initial_offset, other.next));
        let Some((offset, next)) = other else {
            return self.notice(|| {
                "Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC"
                    .to_owned()
            });
        };
        self.prepare(client, offset);
        if let Some(replica) = &mut client.state.replica {
            replica.next = next;
        }
        self.notice(|| "Waiting for end of BGSAVE for SYNC".to_owned());
    }

    /// Replies FULLRESYNC with this offset to a replica.
    fn prepare(&mut self, client: &mut Client, offset: i64) {
        let Some(replica) = client.state.replica.as_deref_mut() else { return };
        replica.state = Stage::WaitsForEnd;
        replica.initial_offset = offset;
        replica.next = offset + 1;
        // A replica that starts reading there has no database selected.
        self.service.replication.feed.reset();
        if !replica.old {
            let id = String::from_utf8_lossy(&self.service.replication.id);
            client.outbox.write(format!("+FULLRESYNC {id} {offset}\r\n").as_bytes());
        }
    }

    /// Starts a full sync, if a replica waits for one and nothing prevents it.
    pub(super) fn begin_sync(&mut self, now: Now<'_>) {
        if self.snapshot().is_some() || self.holds_all() || self.is_loading_in_place() {
            return;
        }
        if self.next_sync_allowed().is_some_and(|until| now.mono < until) {
            return;
        }
        let settings = self.config.settings();
        let mut waiting = self.waiting_for_begin();
        let Some(first) = waiting.next() else { return };
        let (wants, mut can) = (first.wants, first.can);
        let (mut count, mut since) = (1, first.since);
        for replica in waiting.filter(|replica| replica.wants.same_copy(wants)) {
            can = can.and(replica.can);
            since = since.min(replica.since);
            count += 1;
        }
        let most = settings.repl_diskless_sync_max_replicas;
        let delay = Duration::from_secs(settings.repl_diskless_sync_delay);
        let can_wait = settings.repl_diskless_sync && !(most > 0 && count >= most);
        if can_wait && now.mono < since + delay {
            return;
        }
        let diskless = (settings.repl_diskless_sync || wants.is_filtered()) && can.eof;
        self.notice(|| {
            let target = if diskless { "replicas sockets" } else { "disk" };
            format!("Starting BGSAVE for SYNC with target: {target}")
        });
        if self.replication_position().is_none() {
            self.log(LogLevel::Warning, || {
                "BGSAVE for replication: replication information not available, can't generate \
                 the RDB file right now. Try later."
                    .to_owned()
            });
            return self.sync_refused(now);
        }
        self.service.replication.sync.begun = Some(now.mono);
        if diskless { self.begin_diskless(now, wants) } else { self.begin_disk(now, wants) }
    }

    /// When a delayed full sync has to be started.
    pub(super) fn sync_due(&self) -> Option<Mono> {
        if self.snapshot().is_some() || self.holds_all() || self.is_loading_in_place() {
            return None;
        }
        let delay = Duration::from_secs(self.config.settings().repl_diskless_sync_delay);
        let due = self.waiting_for_begin().map(|replica| replica.since + delay).min()?;
        Some(self.next_sync_allowed().map_or(due, |until| due.max(until)))
    }

    fn next_sync_allowed(&self) -> Option<Mono> {
        self.service.replication.sync.begun.map(|begun| begun + MIN_INTERVAL)
    }

    fn waiting_for_begin(&self) -> impl Iterator<Item = &Replica> {
        let replicas = self.all_replicas().map(|(_, replica)| replica);
        replicas.filter(|replica| replica.state == Stage::WaitsForBegin)
    }

    /// Calls `visit` with each replica in a state, which is taken out of its slot meanwhile.
    fn each_replica(&mut self, stage: Stage, mut visit: impl FnMut(&mut Server, &mut Client)) {
        for slot in self.service.replication.replicas.clone() {
            let Some(mut client) = self.clients.take(slot) else { continue };
            let open = client.close_state == CloseState::Open;
            if open && client.state.replica.as_deref().is_some_and(|replica| replica.state == stage)
            {
                visit(self, &mut client);
            }
            self.clients.put(client);
        }
    }

    fn begin_disk(&mut self, now: Now<'_>, wants: Wants) {
        if self.begin_background_save(now).is_err() {
            return self.sync_refused(now);
        }
        let sync = &mut self.service.replication.sync;
        sync.target = Some(Target::Disk);
        sync.file_is_for_replicas = self.config.settings().rdb_del_sync_files;
        let offset = self.service.replication.offset;
        self.each_replica(Stage::WaitsForBegin, |server, client| {
            if client.state.replica.as_deref().is_some_and(|replica| replica.wants.same_copy(wants))
            {
                server.prepare(client, offset);
                server.flush(now, client);
            }
        });
    }

    fn begin_diskless(&mut self, now: Now<'_>, wants: Wants) {
        let mark = self.rng.hex40();
        let offset = self.service.replication.offset;
        if !wants.no_data && self.begin_snapshot(now, Purpose::Replicas).is_err() {
            return self.sync_refused(now);
        }
        self.service.replication.sync.target = Some(Target::Sockets(mark));
        let pid = self.facts.pid;
        self.notice(|| format!("Background RDB transfer started by pid {pid}"));
        self.each_replica(Stage::WaitsForBegin, |server, client| {
            if client.state.replica.as_deref().is_some_and(|replica| replica.wants.same_copy(wants))
            {
                server.prepare(client, offset);
                client.outbox.write_parts([b"$EOF:", &mark, b"\r\n"]);
                server.flush(now, client);
            }
        });
        if wants.no_data {
            let bytes = self.empty_rdb(now, wants);
            self.snapshot_bytes(now, bytes);
            self.transfer_ended(now, Ok(()));
        }
    }

    /// An RDB file without keys, for `rdb-filter-only`.
    fn empty_rdb(&mut self, now: Now<'_>, wants: Wants) -> Vec<u8> {
        let used_memory = self.memory(None).used;
        let settings = self.config.settings();
        let mut writer = Writer::new(WriteOptions {
            compression: settings.data.rdb_compression,
            checksum: settings.rdbchecksum,
            access: None,
            now_ms: now.wall.as_millis(),
        });
        let position = self.replication_position();
        let id = position.map(|position| position.id);
        let id = id.as_ref().and_then(|id| core::str::from_utf8(id).ok()).unwrap_or_default();
        writer.preamble(&Preamble {
            version: VERSION,
            created_s: now.wall.as_secs(),
            used_memory,
            replication: position.map(|position| ReplicationState {
                stream_db: position.db,
                id,
                offset: position.offset,
            }),
            aof_base: false,
        });
        if !wants.no_functions {
            for library in &self.service.persistence.libraries {
                writer.function(library);
            }
        }
        writer.finish();
        writer.take()
    }

    /// Disconnects replicas whose full sync cannot be started.
    fn sync_refused(&mut self, now: Now<'_>) {
        self.log(LogLevel::Warning, || "BGSAVE for replication failed".to_owned());
        self.each_replica(Stage::WaitsForBegin, |server, client| {
            client.state.replica = None;
            let error = CommandError::text("ERR BGSAVE failed, replication can't continue");
            Reply::new(&mut client.outbox, &mut server.scratch, client.proto)
                .error(error.as_bytes());
            client.close_state = CloseState::AfterReply;
            server.flush(now, client);
        });
        let gone: Vec<u32> = self
            .service
            .replication
            .replicas
            .iter()
            .copied()
            .filter(|slot| self.clients.get(*slot).is_none_or(|client| !client.is_replica()))
            .collect();
        self.service.replication.replicas.retain(|slot| !gone.contains(slot));
        self.followers_changed();
    }

    /// How many bytes of a diskless full sync can be sent now: as many as the slowest replica
    /// accepts.
    pub(in crate::server) fn snapshot_room(&self) -> usize {
        self.all_replicas()
            .filter(|(_, replica)| replica.state == Stage::WaitsForEnd)
            .map(|(client, _)| WINDOW.saturating_sub(client.outbox.len()))
            .min()
            .unwrap_or(0)
    }

    /// Sends bytes of a diskless full sync.
    pub(in crate::server) fn snapshot_bytes(&mut self, now: Now<'_>, bytes: Vec<u8>) {
        self.each_replica(Stage::WaitsForEnd, |server, client| {
            server.service.replication.stats.net_output += bytes.len() as u64;
            client.outbox.write(&bytes);
            client.outbox.set_low_water(WINDOW / 2);
            server.flush(now, client);
        });
    }

    /// A diskless full sync has ended.
    pub(in crate::server) fn transfer_ended(&mut self, now: Now<'_>, result: Result<(), Failure>) {
        let Some(Target::Sockets(mark)) = self.service.replication.sync.target.take() else {
            return;
        };
        if result.is_err() {
            self.sync_failed();
        } else {
            let up = self.snapshot_readers();
            self.notice(|| {
                format!("Diskless rdb transfer, done reading from pipe, {up} replicas still up.")
            });
            self.each_replica(Stage::WaitsForEnd, |server, client| {
                client.outbox.write(&mark);
                let name = client.replica_name();
                server.notice(|| {
                    format!(
                        "Streamed RDB transfer with replica {name} succeeded (socket). Waiting for \
                         REPLCONF ACK from replica to enable streaming"
                    )
                });
                server.put_online(now, client);
                if let Some(replica) = client.state.replica.as_deref_mut() {
                    replica.on_ack = true;
                }
                server.flush(now, client);
            });
        }
        self.service.replication.arrived = true;
    }

    fn snapshot_readers(&self) -> usize {
        self.all_replicas().filter(|(_, replica)| replica.state == Stage::WaitsForEnd).count()
    }

    fn sync_failed(&mut self) {
        let mut gone = Vec::new();
        self.each_replica(Stage::WaitsForEnd, |server, client| {
            server.log(LogLevel::Warning, || {
                "SYNC failed. BGSAVE child returned an error".to_owned()
            });
            gone.push(client.slot);
        });
        gone.into_iter().for_each(|slot| self.cut_off(slot));
    }

    /// The dump has been written to this file, or has failed: replicas may be waiting for it.
    pub(in crate::server) fn dump_ended(&mut self, _now: Now<'_>, path: Option<String>) {
        self.service.replication.sync.target = None;
        self.service.replication.arrived = true;
        let Some(path) = path else { return self.sync_failed() };
        self.each_replica(Stage::WaitsForEnd, |server, client| {
            let file = server.next_file();
            let path = path.clone();
            let sending = Sending { file, size: 0, offset: 0, reading: false };
            if let Some(replica) = client.state.replica.as_deref_mut() {
                replica.file = Some(sending);
                replica.state = Stage::Sending;
            }
            let work = DiskWork::Sending { client: client.id, work: Work::Open };
            server.disk_op(DiskOp::Open { file, path, mode: OpenMode::Read }, work);
        });
    }

    /// A chunk of the file for a replica has been read.
    pub(in crate::server) fn sending_disk_done(
        &mut self,
        now: Now<'_>,
        id: u64,
        work: Work,
        result: Result<DiskDone, DiskError>,
    ) {
        let slot = self.clients.by_id(id);
        let Some(mut client) = slot.and_then(|slot| self.clients.take(slot)) else { return };
        let failed = match result {
            Err(error) if work == Work::Open => {
                Some(format!("SYNC failed. Can't open/stat DB after BGSAVE: {error}"))
            }
            Err(error) => Some(format!("Read error sending DB to replica: {error}")),
            Ok(done) => self.continue_sending(now, &mut client, done),
        };
        let slot = client.slot;
        self.clients.put(client);
        if let Some(text) = failed {
            self.log(LogLevel::Warning, || text);
            self.cut_off(slot);
        }
    }

    /// Handles a chunk that was read. Returns the error if it cannot continue.
    fn continue_sending(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        done: DiskDone,
    ) -> Option<String> {
        let replica = client.state.replica.as_deref_mut()?;
        let sending = replica.file.as_mut()?;
        match done {
            DiskDone::Opened { len } => {
                sending.size = len;
                client.outbox.write(format!("${len}\r\n").as_bytes());
            }
            DiskDone::Data(bytes) => {
                sending.reading = false;
                sending.offset += bytes.len() as u64;
                if bytes.is_empty() {
                    return Some("Read error sending DB to replica: premature EOF".to_owned());
                }
                self.service.replication.stats.net_output += bytes.len() as u64;
                client.outbox.write(&bytes);
            }
            DiskDone::Done | DiskDone::Names(_) | DiskDone::Stat(_) => {}
        }
        self.send_more(now, client);
        self.flush(now, client);
        None
    }

    /// Reads more of the file for a replica, if its outbox has room.
    pub(in crate::server) fn send_more(&mut self, now: Now<'_>, client: &mut Client) {
        let Some(replica) = client.state.replica.as_deref_mut() else { return };
        let Some(sending) = &mut replica.file else { return };
        if sending.size == 0 || sending.reading {
            return;
        }
        let (file, offset, left) = (sending.file, sending.offset, sending.size - sending.offset);
        if left == 0 {
            replica.file = None;
            self.disk_op(DiskOp::Close { file }, DiskWork::Nothing);
            return self.put_online(now, client);
        }
        if client.outbox.len() >= WINDOW {
            client.outbox.set_low_water(WINDOW / 2);
            return;
        }
        sending.reading = true;
        let len = u32::try_from(left).unwrap_or(u32::MAX).min(CHUNK);
        let work = DiskWork::Sending { client: client.id, work: Work::Read };
        self.disk_op(DiskOp::Read { file, offset, len }, work);
    }

    /// Closes the file that a replica was being sent.
    pub(super) fn stop_sending(&mut self, sending: &Sending) {
        self.disk_op(DiskOp::Close { file: sending.file }, DiskWork::Nothing);
    }

    /// A replica that waited for a snapshot has disconnected. If no other replica waits for it, the
    /// snapshot is aborted.
    pub(super) fn waiting_replica_disconnected(&mut self) {
        if self.snapshot_readers() > 0 {
            return;
        }
        let (mono, wall) = self.now;
        let now = Now::instantaneous(mono, wall);
        match self.service.replication.sync.target {
            Some(Target::Sockets(_)) => {
                self.log(LogLevel::Warning, || {
                    "Diskless rdb transfer, last replica dropped, killing fork child.".to_owned()
                });
                self.kill_snapshot(now);
            }
            // With save points the dump is wanted anyway.
            Some(Target::Disk) if self.config.settings().save.is_empty() => {
                if let Some(Purpose::Save(Save::Background)) = self.snapshot().map(|s| s.purpose())
                {
                    self.kill_snapshot(now);
                }
            }
            _ => {}
        }
    }

    /// Whether the server persists nothing.
    pub(super) fn persists_nothing(&self) -> bool {
        let settings = self.config.settings();
        settings.save.is_empty() && !settings.appendonly
    }

    /// Deletes a dump that was written only for replicas, once they have it (`rdb-del-sync-files`).
    pub(super) fn remove_sync_file(&mut self) {
        if !self.config.settings().rdb_del_sync_files {
            self.service.replication.sync.file_is_for_replicas = false;
            return;
        }
        let busy = |replica: &Replica| {
            let stages = [Stage::WaitsForBegin, Stage::WaitsForEnd, Stage::Sending];
            stages.contains(&replica.state)
        };
        if self.service.replication.sync.file_is_for_replicas
            && self.persists_nothing()
            && !self.all_replicas().any(|(_, replica)| busy(replica))
        {
            self.service.replication.sync.file_is_for_replicas = false;
            self.notice(|| {
                "Removing the RDB file used to feed replicas in a persistence-less instance"
                    .to_owned()
            });
            let path = self.config.settings().dbfilename.clone();
            self.disk_op(DiskOp::Remove { path }, DiskWork::Nothing);
        }
    }
}
