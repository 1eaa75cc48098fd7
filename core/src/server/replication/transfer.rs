//! Receiving a copy of the data from the primary.
//!
//! It comes as a snapshot: with its length told first, or between two marks if the primary makes
//! it while it sends it. It goes to a file and is loaded from there, or straight into the loader
//! (`repl-diskless-load`).

use super::handshake::{Link, Step};
use super::load::Memory;
use crate::machine::{DiskDone, DiskError, DiskOp, FileId, LogLevel, OpenMode, Output};
use crate::server::persistence::sink::path_in;
use crate::server::persistence::snapshot::Purpose;
use crate::server::{DiskWork, Server};
use crate::time::Now;

/// Bytes that may be on their way to the disk before no more are read from the primary.
const MAX_IN_FLIGHT: usize = 8 << 20;

/// The length of the mark at the end of a copy whose length is not told.
pub(super) const MARK: usize = 40;

/// A copy of the data on its way.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    /// How it comes, once that is known.
    pub(super) form: Option<Form>,
    /// Bytes of it that have come.
    pub(super) read: u64,
    pub(super) way: Way,
    /// Where the file is that it goes to, if that is not the working directory any more.
    elsewhere: Option<String>,
    /// The last bytes that came: they may be the mark.
    held: Vec<u8>,
    /// Whether all has come.
    pub(super) has_all: bool,
}

/// How a copy of the data comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// With its length.
    Length(u64),
    /// Up to a mark.
    Mark([u8; MARK]),
}

/// Where a copy of the data goes.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// That is not known yet.
    Undecided,
    /// Into a file.
    Disk { file: FileId, path: String, in_flight: usize, place: Place },
    /// It is being loaded from there.
    Loading,
    /// Straight into the loader.
    Memory(Box<Memory>),
}

/// Whether the file of a copy has the dump's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has one of its own, and may not be complete.
    Temporary,
    /// It is getting the dump's.
    Dump,
    /// It got the dump's, but a save that was begun meanwhile may have taken it away again.
    Lost,
}

/// What waits for the disk while a copy of the data comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum Work {
    Open,
    Write(usize),
    Sync,
    Rename,
    SyncDir,
    /// Nothing does.
    Nothing,
}

impl Transfer {
    pub(super) fn new() -> Self {
        let (form, way, elsewhere) = (None, Way::Undecided, None);
        Self { form, read: 0, way, elsewhere, held: Vec::new(), has_all: false }
    }

    /// Whether all has come.
    pub(super) fn has_all(&self) -> bool {
        self.has_all
    }

    /// Whether it is known how it comes.
    pub(super) fn knows_form(&self) -> bool {
        self.form.is_some()
    }

    /// Its length, if that is known; 0 if it comes up to a mark; -1 if it has not begun.
    pub(super) fn size(&self) -> i64 {
        match self.form {
            None => -1,
            Some(Form::Length(size)) => i64::try_from(size).unwrap_or(i64::MAX),
            Some(Form::Mark(_)) => 0,
        }
    }

    /// Cuts off what of the input belongs to the copy and can be used.
    fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
        match self.form {
            Some(Form::Length(size)) => {
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
            Some(Form::Mark(mark)) => {
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
    /// Goes on with a copy of the data that comes.
    pub(super) fn transfer_received(&mut self, now: Now<'_>, mut link: Box<Link>) {
        while let Step::Transfer(transfer) = &link.step
            && !transfer.knows_form()
        {
            let Some(line) = link.line() else { break };
            if let Err(text) = self.transfer_announced(now, &mut link, &line) {
                self.put_link(link);
                self.log(LogLevel::Warning, || text);
                return self.abandon_link(now, true);
            }
        }
        let Step::Transfer(transfer) = &mut link.step else { return self.put_link(link) };
        if transfer.has_all || matches!(transfer.way, Way::Undecided | Way::Loading) {
            return self.put_link(link);
        }
        if let Way::Memory(_) = &transfer.way {
            let full = link.input.len() > MAX_IN_FLIGHT;
            self.hold_link(&mut link, full);
            return self.put_link(link);
        }
        let bytes = transfer.take(&mut link.input);
        let has_all = transfer.has_all;
        if let Way::Disk { file, in_flight, .. } = &mut transfer.way {
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

    /// Stops reading from the primary, or goes on.
    pub(super) fn hold_link(&mut self, link: &mut Link, stop: bool) {
        if link.not_reading != stop && !link.is_closed {
            link.not_reading = stop;
            self.outputs.push_back(Output::Reading { conn: link.conn, on: !stop });
        }
    }

    fn transfer_op(&mut self, what: DiskOp, work: Work) {
        self.disk_op(what, DiskWork::Transfer(work));
    }

    /// Takes in the line that says how the copy comes.
    fn transfer_announced(
        &mut self,
        now: Now<'_>,
        link: &mut Link,
        line: &[u8],
    ) -> Result<(), String> {
        let Step::Transfer(transfer) = &mut link.step else { return Ok(()) };
        let text = String::from_utf8_lossy(line);
        let form = match line {
            // The primary shows that it lives.
            [] => return Ok(()),
            [b'-', rest @ ..] => {
                let rest = String::from_utf8_lossy(rest);
                return Err(format!("MASTER aborted replication with an error: {rest}"));
            }
            [b'$', b'E', b'O', b'F', b':', mark @ ..] => {
                let mark = mark.get(..MARK).and_then(|mark| mark.try_into().ok());
                mark.map(Form::Mark)
            }
            [b'$', ..] => text.get(1..).and_then(|digits| digits.parse().ok()).map(Form::Length),
            _ => None,
        };
        let Some(form) = form else {
            return Err(format!(
                "Bad protocol from MASTER, the first byte is not '$' (we received '{text}'), are \
                 you sure the host and port are right?"
            ));
        };
        transfer.form = Some(form);
        let in_memory = self.loads_in_memory();
        let target = if in_memory { "to parser" } else { "to disk" };
        self.notice(|| match form {
            Form::Mark(_) => format!(
                "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF {target}"
            ),
            Form::Length(size) => {
                format!("MASTER <-> REPLICA sync: receiving {size} bytes from master {target}")
            }
        });
        if in_memory {
            transfer.way = Way::Memory(self.begin_memory_load(now, link.id, form));
            return Ok(());
        }
        let path = format!("temp-{}.{}.rdb", self.now.1.as_secs(), self.facts.pid);
        let file = self.next_file();
        transfer.way =
            Way::Disk { file, path: path.clone(), in_flight: 0, place: Place::Temporary };
        self.transfer_op(DiskOp::Open { file, path, mode: OpenMode::Create }, Work::Open);
        Ok(())
    }

    /// A disk operation for a copy of the data has ended.
    pub(in crate::server) fn transfer_disk_done(
        &mut self,
        now: Now<'_>,
        work: Work,
        result: Result<DiskDone, DiskError>,
    ) {
        let dbfilename = self.config.settings().dbfilename.clone();
        let Some(link) = self.service.replication.link_mut() else { return };
        let Step::Transfer(transfer) = &mut link.step else { return };
        let Way::Disk { file, path, in_flight, place } = &mut transfer.way else { return };
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
                self.clear_way_for_dump(now);
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
                transfer.way = Way::Loading;
                self.load_transferred(now);
            }
        }
    }

    /// The working directory becomes another: what comes from the primary stays where it is.
    pub(in crate::server) fn keep_transfer_in_place(&mut self) {
        // Nor is a file that was made for replicas where it would be looked for.
        self.service.replication.sync.file_is_for_replicas = false;
        let directory = self.directory.clone();
        if let Some(link) = self.service.replication.link_mut()
            && let Step::Transfer(transfer) = &mut link.step
            && matches!(transfer.way, Way::Disk { .. } | Way::Loading)
        {
            transfer.elsewhere.get_or_insert(directory);
        }
    }

    /// The file that the copy of the data has become.
    pub(super) fn transferred_file(&self) -> String {
        let link =
            self.service.replication.primary.as_ref().and_then(|primary| primary.link.as_deref());
        let elsewhere = match link.map(|link| &link.step) {
            Some(Step::Transfer(transfer)) => transfer.elsewhere.as_deref(),
            _ => None,
        };
        path_in(elsewhere, &self.config.settings().dbfilename)
    }

    /// A copy of the data is about to get the dump's name: what this server saves itself must not
    /// take the name after it.
    fn clear_way_for_dump(&mut self, now: Now<'_>) {
        match self.snapshot().map(|job| job.purpose().clone()) {
            Some(Purpose::Save(save)) if save.is_background() => self.kill_for_copy(now),
            Some(Purpose::Save(_)) => self.dump_taken_by_save(),
            _ => {}
        }
    }

    /// A snapshot gives way to a copy of the data that came from the primary.
    pub(super) fn kill_for_copy(&mut self, now: Now<'_>) {
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

    /// A save has begun. If the data that came from the primary is on its way into the dump's
    /// place, that place will be the save's instead.
    pub(in crate::server) fn dump_taken_by_save(&mut self) {
        if let Some(link) = self.service.replication.link_mut()
            && let Step::Transfer(transfer) = &mut link.step
            && let Way::Disk { place, .. } = &mut transfer.way
            && *place == Place::Dump
        {
            *place = Place::Lost;
        }
    }

    /// Gives up a copy of the data that was on its way.
    pub(super) fn drop_transfer(&mut self, transfer: Transfer) {
        let elsewhere = transfer.elsewhere;
        match transfer.way {
            Way::Disk { file, path, .. } => {
                let path = path_in(elsewhere.as_deref(), &path);
                self.transfer_op(DiskOp::Close { file }, Work::Nothing);
                self.transfer_op(DiskOp::Remove { path }, Work::Nothing);
            }
            Way::Memory(memory) => self.drop_memory_load(*memory),
            Way::Undecided | Way::Loading => {}
        }
    }
}
