//! Receiving a full sync from the primary.
//!
//! It is a snapshot with its length in front, or, if the primary writes it while sending, with an
//! end mark. It is written to a file and loaded from there, or loaded directly
//! (`repl-diskless-load`).

use super::handshake::{Link, Step};
use super::load::Memory;
use crate::machine::{DiskDone, DiskError, DiskOp, FileId, LogLevel, OpenMode, Output};
use crate::server::persistence::sink::path_in;
use crate::server::persistence::snapshot::Purpose;
use crate::server::{DiskWork, Server};
use crate::time::Now;

/// Bytes in flight to the disk at which the replica stops reading from the primary.
const MAX_IN_FLIGHT: usize = 8 << 20;

/// The length of the end mark of a full sync without a known length.
pub(super) const MARK: usize = 40;

/// A full sync that is being received.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    /// Its framing, once known.
    pub(super) framing: Option<Framing>,
    /// Bytes received.
    pub(super) read: u64,
    pub(super) destination: Destination,
    /// The directory of its file, if that is no longer the working directory.
    elsewhere: Option<String>,
    /// The last bytes received, which may be the end mark.
    held: Vec<u8>,
    /// Whether everything has been received.
    pub(super) has_all: bool,
}

/// The framing of a full sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Its length in front.
    Length(u64),
    /// An end mark.
    EndMark([u8; MARK]),
}

/// Where a full sync goes.
#[derive(Clone, Debug)]
pub(super) enum Destination {
    /// Not known yet.
    Undecided,
    /// To a file.
    Disk { file: FileId, path: String, in_flight: usize, place: Place },
    /// It is being loaded from the file.
    Loading,
    /// Directly to the loader.
    Memory(Box<Memory>),
}

/// Whether the file of a full sync has the dump's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has a temporary name, and may be incomplete.
    Temporary,
    /// It is being renamed to the dump.
    Dump,
    /// It was renamed to the dump, but a save started meanwhile may have replaced it.
    Lost,
}

/// Disk operations while a full sync is received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum Work {
    Open,
    Write(usize),
    Sync,
    Rename,
    SyncDir,
    /// Nothing to continue.
    Nothing,
}

impl Transfer {
    pub(super) fn new() -> Self {
        let (framing, destination, elsewhere) = (None, Destination::Undecided, None);
        Self { framing, read: 0, destination, elsewhere, held: Vec::new(), has_all: false }
    }

    /// Whether everything has been received.
    pub(super) fn has_all(&self) -> bool {
        self.has_all
    }

    /// Whether its framing is known.
    pub(super) fn knows_framing(&self) -> bool {
        self.framing.is_some()
    }

    /// Its length in bytes, if known; 0 if it has an end mark; -1 if it has not started.
    pub(super) fn size(&self) -> i64 {
        match self.framing {
            None => -1,
            Some(Framing::Length(size)) => i64::try_from(size).unwrap_or(i64::MAX),
            Some(Framing::EndMark(_)) => 0,
        }
    }

    /// Removes from the input the bytes of the full sync that can be used.
    fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
        match self.framing {
            Some(Framing::Length(size)) => {
                let left = usize::try_from(size - self.read).unwrap_or(usize::MAX);
                let bytes = if input.len() <= left {
                    core::mem::take(input)
                } else {
                    let rest = input.split_off(left);
                    core::mem::replace(input, rest)
                };
                self.read += bytes.len() as u64;
                self.has_all = self.read == size;
                bytes
            }
            Some(Framing::EndMark(mark)) => {
                self.read += input.len() as u64;
                let mut bytes = core::mem::take(&mut self.held);
                bytes.append(input);
                let last = bytes.len().saturating_sub(MARK);
                let held = bytes.split_off(last);
                self.has_all = held == mark;
                if !self.has_all {
                    self.held = held;
                }
                bytes
            }
            None => Vec::new(),
        }
    }
}

impl Server {
    /// Continues a full sync with the bytes received.
    pub(super) fn transfer_received(&mut self, now: Now<'_>, mut link: Box<Link>) {
        while let Step::Transfer(transfer) = &link.step
            && !transfer.knows_framing()
        {
            let Some(line) = link.line() else { break };
            if let Err(text) = self.transfer_announced(now, &mut link, &line) {
                self.put_link(link);
                self.log(LogLevel::Warning, || text);
                return self.abandon_link(now, true);
            }
        }
        let Step::Transfer(transfer) = &mut link.step else { return self.put_link(link) };
        if transfer.has_all
            || matches!(transfer.destination, Destination::Undecided | Destination::Loading)
        {
            return self.put_link(link);
        }
        if let Destination::Memory(_) = &transfer.destination {
            let full = link.input.len() > MAX_IN_FLIGHT;
            self.hold_link(&mut link, full);
            return self.put_link(link);
        }
        let bytes = transfer.take(&mut link.input);
        let has_all = transfer.has_all;
        if let Destination::Disk { file, in_flight, .. } = &mut transfer.destination {
            let file = *file;
            let len = bytes.len();
            *in_flight += len;
            let full = *in_flight > MAX_IN_FLIGHT;
            if len > 0 {
                self.transfer_op(DiskOp::Append { file, bytes }, Work::Write(len));
            }
            if has_all {
                self.transfer_op(DiskOp::Sync { file }, Work::Sync);
            }
            self.hold_link(&mut link, full || has_all);
        }
        self.put_link(link);
    }

    /// Stops or resumes reading from the primary.
    pub(super) fn hold_link(&mut self, link: &mut Link, stop: bool) {
        if link.not_reading != stop && !link.is_closed {
            link.not_reading = stop;
            self.outputs.push_back(Output::Reading { conn: link.conn, on: !stop });
        }
    }

    fn transfer_op(&mut self, what: DiskOp, work: Work) {
        self.disk_op(what, DiskWork::Transfer(work));
    }

    /// Parses the line that announces the framing.
    fn transfer_announced(
        &mut self,
        now: Now<'_>,
        link: &mut Link,
        line: &[u8],
    ) -> Result<(), String> {
        let Step::Transfer(transfer) = &mut link.step else { return Ok(()) };
        let text = String::from_utf8_lossy(line);
        let framing = match line {
            // An empty line keeps the connection alive.
            [] => return Ok(()),
            [b'-', rest @ ..] => {
                let rest = String::from_utf8_lossy(rest);
                return Err(format!("MASTER aborted replication with an error: {rest}"));
            }
            [b'$', b'E', b'O', b'F', b':', mark @ ..] => {
                let mark = mark.get(..MARK).and_then(|mark| mark.try_into().ok());
                mark.map(Framing::EndMark)
            }
            [b'$', ..] => text.get(1..).and_then(|digits| digits.parse().ok()).map(Framing::Length),
            _ => None,
        };
        let Some(framing) = framing else {
            return Err(format!(
                "Bad protocol from MASTER, the first byte is not '$' (we received '{text}'), are \
                 you sure the host and port are right?"
            ));
        };
        transfer.framing = Some(framing);
        let in_memory = self.loads_in_memory();
        let target = if in_memory { "to parser" } else { "to disk" };
        self.notice(|| match framing {
            Framing::EndMark(_) => format!(
                "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF {target}"
            ),
            Framing::Length(size) => {
                format!("MASTER <-> REPLICA sync: receiving {size} bytes from master {target}")
            }
        });
        if in_memory {
            transfer.destination =
                Destination::Memory(self.begin_memory_load(now, link.id, framing));
            return Ok(());
        }
        let path = format!("temp-{}.{}.rdb", self.now.1.as_secs(), self.facts.pid);
        let file = self.next_file();
        transfer.destination =
            Destination::Disk { file, path: path.clone(), in_flight: 0, place: Place::Temporary };
        self.transfer_op(DiskOp::Open { file, path, mode: OpenMode::Create }, Work::Open);
        Ok(())
    }

    /// A disk operation of a full sync has completed.
    pub(in crate::server) fn transfer_disk_done(
        &mut self,
        now: Now<'_>,
        work: Work,
        result: Result<DiskDone, DiskError>,
    ) {
        let dbfilename = self.config.settings().dbfilename.clone();
        let Some(link) = self.service.replication.link_mut() else { return };
        let Step::Transfer(transfer) = &mut link.step else { return };
        let Destination::Disk { file, path, in_flight, place } = &mut transfer.destination else {
            return;
        };
        if let Err(error) = result {
            let text = match work {
                Work::Nothing => return,
                Work::Open => format!(
                    "Opening the temp file needed for MASTER <-> REPLICA synchronization: {error}"
                ),
                Work::Write(_) => format!(
                    "Write error or short write writing to the DB dump file needed for MASTER <-> \
                     REPLICA synchronization: {error}"
                ),
                Work::Sync => format!(
                    "Failed trying to sync the temp DB to disk in MASTER <-> REPLICA \
                     synchronization: {error}"
                ),
                Work::Rename => format!(
                    "Failed trying to rename the temp DB into {dbfilename} in MASTER <-> REPLICA \
                     synchronization: {error}"
                ),
                Work::SyncDir => format!(
                    "Failed trying to sync DB directory {dbfilename} in MASTER <-> REPLICA \
                     synchronization: {error}"
                ),
            };
            self.log(LogLevel::Warning, || text);
            return self.abandon_link(now, !matches!(work, Work::Open));
        }
        match work {
            Work::Open | Work::Nothing => {}
            Work::Write(len) => {
                *in_flight = in_flight.saturating_sub(len);
                let resume =
                    link.not_reading && *in_flight < MAX_IN_FLIGHT / 2 && !transfer.has_all;
                if resume && !link.is_closed {
                    link.not_reading = false;
                    let conn = link.conn;
                    self.outputs.push_back(Output::Reading { conn, on: true });
                }
            }
            Work::Sync => {
                let elsewhere = transfer.elsewhere.as_deref();
                let (from, to) = (path_in(elsewhere, path), path_in(elsewhere, &dbfilename));
                let file = *file;
                *place = Place::Dump;
                self.cancel_saves_for_dump(now);
                self.transfer_op(DiskOp::Close { file }, Work::Nothing);
                self.transfer_op(DiskOp::Rename { from, to }, Work::Rename);
            }
            Work::Rename => {
                let path = path_in(transfer.elsewhere.as_deref(), ".");
                self.transfer_op(DiskOp::SyncDir { path }, Work::SyncDir);
            }
            Work::SyncDir if *place == Place::Lost => {
                self.log(LogLevel::Warning, || {
                    format!(
                        "The data that came from the primary was in {dbfilename}, but this server \
                         saved its own to that file before it was loaded. It is asked for again"
                    )
                });
                self.abandon_link(now, true);
            }
            Work::SyncDir => {
                transfer.destination = Destination::Loading;
                self.load_transferred(now);
            }
        }
    }

    /// The working directory is about to change: files of a full sync stay where they are.
    pub(in crate::server) fn keep_transfer_in_place(&mut self) {
        // A dump written only for replicas can no longer be found under its name either.
        self.service.replication.sync.file_is_for_replicas = false;
        let directory = self.directory.clone();
        if let Some(link) = self.service.replication.link_mut()
            && let Step::Transfer(transfer) = &mut link.step
            && matches!(transfer.destination, Destination::Disk { .. } | Destination::Loading)
        {
            transfer.elsewhere.get_or_insert(directory);
        }
    }

    /// The file of the received full sync.
    pub(super) fn transferred_file(&self) -> String {
        let link =
            self.service.replication.primary.as_ref().and_then(|primary| primary.link.as_deref());
        let elsewhere = match link.map(|link| &link.step) {
            Some(Step::Transfer(transfer)) => transfer.elsewhere.as_deref(),
            _ => None,
        };
        path_in(elsewhere, &self.config.settings().dbfilename)
    }

    /// The full sync is about to be renamed to the dump: this server's own save must not replace it
    /// afterwards.
    fn cancel_saves_for_dump(&mut self, now: Now<'_>) {
        match self.snapshot().map(|job| job.purpose().clone()) {
            Some(Purpose::Save(save)) if save.is_background() => {
                self.kill_snapshot_for_full_sync(now)
            }
            Some(Purpose::Save(_)) => self.dump_replaced_by_save(),
            _ => {}
        }
    }

    /// Aborts a snapshot in favour of the full sync received from the primary.
    pub(super) fn kill_snapshot_for_full_sync(&mut self, now: Now<'_>) {
        let pid = self.facts.pid;
        self.notice(|| {
            format!(
                "Replica is about to load the RDB file received from the master, but there is a \
                 pending RDB child running. Killing process {pid} and removing its temp file to \
                 avoid any race"
            )
        });
        self.kill_snapshot(now);
    }

    /// A save has started. If the full sync is being renamed to the dump, the save will replace it.
    pub(in crate::server) fn dump_replaced_by_save(&mut self) {
        if let Some(link) = self.service.replication.link_mut()
            && let Step::Transfer(transfer) = &mut link.step
            && let Destination::Disk { place, .. } = &mut transfer.destination
            && *place == Place::Dump
        {
            *place = Place::Lost;
        }
    }

    /// Aborts a full sync that is being received.
    pub(super) fn drop_transfer(&mut self, transfer: Transfer) {
        let elsewhere = transfer.elsewhere;
        match transfer.destination {
            Destination::Disk { file, path, .. } => {
                let path = path_in(elsewhere.as_deref(), &path);
                self.transfer_op(DiskOp::Close { file }, Work::Nothing);
                self.transfer_op(DiskOp::Remove { path }, Work::Nothing);
            }
            Destination::Memory(memory) => self.drop_memory_load(*memory),
            Destination::Undecided | Destination::Loading => {}
        }
    }
}
