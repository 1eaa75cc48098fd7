//! Loading the append-only file in slices: executing the commands of its parts again. Reading a
//! part is the job of the state machine in `part`.

use core::mem;
use std::collections::VecDeque;

use super::part::{End, Next, Part};
use super::starting::PartSizes;
use super::{Server, Step as AofStep};
use crate::command::meta::special;
use crate::machine::{
    ConnId, DiskDone, DiskError, DiskErrorKind, DiskOp, Endpoint, FileId, LogLevel, OpenMode,
};
use crate::persist::aof::{BadRecord, Kind};
use crate::persist::rdb::RdbError;
use crate::resp::request::OwnedArgs;
use crate::server::DiskWork;
use crate::server::persistence::intake::Intake;
use crate::server::{Client, ReplyMode};
use crate::store::ExpireMode;
use crate::time::{Duration, Mono, Now};

/// Commands executed per slice.
const COMMANDS: usize = 512;

/// Bytes loaded per slice.
const SLICE: usize = 256 * 1024;

/// What to do when everything is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum After {
    /// Make the server ready.
    Start,
    /// Answer DEBUG LOADAOF.
    Debug {
        /// The client that waits for it.
        client: u64,
    },
}

/// An append-only file that is being loaded.
#[derive(Clone, Debug)]
pub(super) struct Load {
    after: After,
    /// Parts after the current one.
    parts: VecDeque<(Kind, String)>,
    part: Part,
    /// The pseudo client that executes the commands.
    client: Box<Client>,
    /// Total size of the parts before the current one.
    before: u64,
    total: u64,
    base: u64,
    began: Mono,
    /// When to continue, if loading is slowed down by `key-load-delay`.
    resume: Mono,
    /// Whether the part is torn and being truncated.
    cutting: bool,
    /// Whether the part is the single file of a version before 7.
    old: bool,
}

/// Why a part cannot be loaded.
enum Broken {
    Format,
    Unknown(Vec<u8>),
    Rdb(RdbError),
}

/// What to continue when a disk operation has completed.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) enum Step {
    /// A part has been opened, or a chunk of it read.
    Read { file: FileId },
    /// A torn part has been opened, to be truncated.
    CutOpened { file: FileId },
    /// It has been truncated.
    Cut { file: FileId },
}

impl Server {
    fn replay_op(&mut self, what: DiskOp, step: Step) {
        self.disk_op(what, DiskWork::Aof(AofStep::Replay(step)));
    }

    /// Loads the parts, whose lengths are known.
    pub(super) fn load_parts(&mut self, now: Now<'_>, sizes: PartSizes) {
        let PartSizes { after, parts, .. } = sizes;
        let total = parts.iter().map(|(_, _, len)| len).sum();
        let base = parts.iter().find(|(kind, ..)| *kind == Kind::Base).map_or(0, |part| part.2);
        if after != After::Start {
            // All parts exist.
            self.forget_data();
        }
        if total == 0 {
            return self.aof_loaded(now, after, true);
        }
        self.start_loading(now, total, false);
        self.end_reload_hold();
        // Empty parts need not be read. An aborted rewrite may leave one after the part that was
        // written last, which is therefore allowed to be torn.
        let held = parts.into_iter().filter(|(_, _, len)| *len > 0);
        let mut parts: VecDeque<(Kind, String)> =
            held.map(|(kind, name, _)| (kind, name)).collect();
        let Some(first) = parts.pop_front() else { return };
        let part = self.open_part(now, first);
        let nowhere = Endpoint::Unix(String::new());
        let mut client =
            Box::new(Client::new(0, ConnId(u64::MAX), nowhere.clone(), nowhere, now.mono));
        client.grant_everything();
        client.state.from_primary = true;
        client.replies = ReplyMode::Off;
        self.service.aof.load = Some(Box::new(Load {
            after,
            parts,
            part,
            client,
            before: 0,
            total,
            base,
            began: now.mono,
            resume: now.mono,
            cutting: false,
            old: false,
        }));
    }

    /// Starts to read a part.
    fn open_part(&mut self, now: Now<'_>, part: (Kind, String)) -> Part {
        let (file, path) = (self.next_file(), self.aof_path(&part.1));
        let (part, open) = Part::open(now.mono, part, file, path);
        self.replay_op(open, Step::Read { file });
        part
    }

    pub(super) fn replay_disk_done(
        &mut self,
        now: Now<'_>,
        step: Step,
        result: Result<DiskDone, DiskError>,
    ) {
        match step {
            // A part may end while more of it is being read.
            Step::Read { file }
                if self.service.aof.load.as_ref().is_none_or(|load| load.part.file() != file) => {}
            Step::Read { .. } => self.part_read(now, result),
            Step::CutOpened { file } => match result {
                Ok(_) => {
                    let Some(load) = &self.service.aof.load else { return };
                    let len = load.part.valid();
                    self.replay_op(DiskOp::Truncate { file, len }, Step::Cut { file });
                }
                Err(error) => self.part_not_cut(now, &error),
            },
            Step::Cut { file } => {
                self.disk_op(DiskOp::Sync { file }, DiskWork::Nothing);
                self.disk_op(DiskOp::Close { file }, DiskWork::Nothing);
                match result {
                    Ok(_) => self.part_cut(now),
                    Err(error) => self.part_not_cut(now, &error),
                }
            }
        }
    }

    fn part_read(&mut self, now: Now<'_>, result: Result<DiskDone, DiskError>) {
        let Some(load) = &mut self.service.aof.load else { return };
        if let Err(error) = load.part.read(result) {
            let (name, open) = (load.part.name.clone(), load.part.is_open());
            let missing = error.kind == DiskErrorKind::NotFound;
            self.log(LogLevel::Warning, || match (open, missing) {
                (true, _) => {
                    format!("Unrecoverable error reading the append only file {name}: {error}")
                }
                (false, true) => format!("The append log file {name} doesn't exist: {error}"),
                (false, false) => format!(
                    "Fatal error: can't open the append log file {name} for reading: {error}"
                ),
            });
            return self.load_failed(now);
        }
        self.read_part_on();
    }

    fn read_part_on(&mut self) {
        while let Some(load) = &mut self.service.aof.load
            && let Some(read) = load.part.read_ahead()
        {
            let file = load.part.file();
            self.replay_op(read, Step::Read { file });
        }
    }

    /// When to continue loading.
    pub(in crate::server) fn replay_wake(&self) -> Option<Mono> {
        let load = self.service.aof.load.as_deref().filter(|load| !load.cutting)?;
        load.part.can_advance().then(|| load.resume.max(self.now.0))
    }

    /// Makes a load that is slowed down continue at this time at the latest.
    pub(in crate::server) fn resume_replay_by(&mut self, at: Mono) {
        if let Some(load) = &mut self.service.aof.load {
            load.resume = load.resume.min(at);
        }
    }

    /// Loads the next slice.
    pub(in crate::server) fn replay_slice(&mut self, now: Now<'_>) {
        let Some(mut load) = self.service.aof.load.take() else { return };
        if load.cutting || load.resume > now.mono {
            self.service.aof.load = Some(load);
            return;
        }
        let consumers = mem::take(&mut self.service.consumers);
        let mode = mem::replace(&mut self.service.keyspace.env.expire_mode, ExpireMode::Ignore);
        let result = self.load_slice_of(now, &mut load);
        self.service.keyspace.env.expire_mode = mode;
        self.service.consumers = consumers;
        for (level, text) in load.part.take_lines() {
            self.log(level, || text);
        }
        self.loading_progress(load.before + load.part.offset());
        self.service.aof.load = Some(load);
        match result {
            Ok(None) => self.read_part_on(),
            Ok(Some(End::Whole)) => self.part_loaded(now),
            Ok(Some(end @ (End::Torn | End::OpenTransaction))) => self.part_torn(now, end),
            Err(broken) => self.part_broken(now, broken),
        }
    }

    /// Executes a slice of the part's commands. Returns how the part ends, if it does.
    fn load_slice_of(&mut self, now: Now<'_>, load: &mut Load) -> Result<Option<End>, Broken> {
        let delay = u64::try_from(self.config.settings().key_load_delay).unwrap_or(0);
        let most = match delay {
            0 => COMMANDS,
            delay => usize::try_from(1_000 / delay).unwrap_or(1).clamp(1, COMMANDS),
        };
        let (mut taken, mut bytes, mut end) = (0, 0, None);
        while taken < most && bytes <= SLICE {
            match load.part.advance().map_err(|BadRecord| Broken::Format)? {
                Next::Wait => break,
                Next::RdbBegins => self.begin_rdb(now, load),
                Next::Rdb => {
                    let keys = if delay == 0 { usize::MAX } else { most };
                    let keyspace = &mut self.service.keyspace;
                    let (keys, done) =
                        load.part.take_in(keyspace, SLICE, keys).map_err(Broken::Rdb)?;
                    taken += keys;
                    if let Some(intake) = done {
                        self.rdb_taken_in(load.old, *intake);
                    }
                    break;
                }
                Next::Command(args) => {
                    taken += 1;
                    bytes += args.as_args().bytes();
                    self.replay(now, &mut load.client, &args)?;
                    load.part.carried_out(load.client.state.transaction.is_some());
                }
                Next::End(how) => {
                    end = Some(how);
                    break;
                }
            }
        }
        load.resume = now.mono + Duration::from_micros(delay.saturating_mul(taken as u64));
        Ok(end)
    }

    /// The part is RDB.
    fn begin_rdb(&mut self, now: Now<'_>, load: &mut Load) {
        load.old = load.part.name == self.config.settings().aof.appendfilename;
        let text = match load.old {
            true => "Reading RDB preamble from AOF file...",
            false => "Reading RDB base file on AOF loading...",
        };
        self.notice(|| text.to_owned());
        let mut options = self.intake_options(now);
        options.drop_expired = false;
        load.part.begin_rdb(Intake::new(options));
    }

    /// The RDB base has been loaded completely.
    fn rdb_taken_in(&mut self, old: bool, mut intake: Intake) {
        for (level, text) in mem::take(&mut intake.lines) {
            self.log(level, || text);
        }
        let summary = intake.summary();
        self.service.persistence.libraries = intake.libraries;
        self.notice(|| summary);
        if old {
            self.notice(|| "Reading the remaining AOF tail...".to_owned());
        }
    }

    /// Executes one command, or queues it in a transaction.
    fn replay(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        args: &OwnedArgs,
    ) -> Result<(), Broken> {
        let args = args.as_args();
        let Ok(command) = self.find_command(args) else {
            return Err(Broken::Unknown(args.at(0).to_vec()));
        };
        if !command.meta.takes(args.len()) {
            return Err(Broken::Format);
        }
        match &mut client.state.transaction {
            Some(transaction) if !command.meta.is(special::EXEC) => {
                transaction.queue(command, command.meta.flags, args);
            }
            _ => self.call_again(now, client, command, args),
        }
        Ok(())
    }

    fn part_loaded(&mut self, now: Now<'_>) {
        let Some(load) = &self.service.aof.load else { return };
        let part = &load.part;
        if part.len() > 0 {
            let kind = if part.kind == Kind::Base { "base" } else { "incr" };
            let (name, seconds) = (&part.name, now.mono.since(part.began).as_secs_f64());
            let text = format!("DB loaded from {kind} file {name}: {seconds:.3} seconds");
            self.notice(|| text);
        }
        self.next_part(now);
    }

    fn next_part(&mut self, now: Now<'_>) {
        let Some(load) = &mut self.service.aof.load else { return };
        let close = load.part.close();
        load.before += load.part.len();
        load.client.state.transaction = None;
        load.client.state.db = 0;
        let next = load.parts.pop_front();
        if let Some(close) = close {
            self.disk_op(close, DiskWork::Nothing);
        }
        let Some(next) = next else { return self.load_complete(now) };
        let part = self.open_part(now, next);
        if let Some(load) = &mut self.service.aof.load {
            load.part = part;
        }
    }

    fn part_torn(&mut self, now: Now<'_>, end: End) {
        let Some(load) = &mut self.service.aof.load else { return };
        let (name, valid) = (load.part.name.clone(), load.part.valid());
        let last = load.parts.is_empty();
        if end == End::OpenTransaction {
            self.log(LogLevel::Warning, || {
                format!("Revert incomplete MULTI/EXEC transaction in AOF file {name}")
            });
        }
        if !self.config.settings().aof.aof_load_truncated {
            self.log(LogLevel::Warning, || {
                format!(
                    "Unexpected end of file reading the append only file {name}. You can: 1) Make \
                     a backup of your AOF file, then use ./redis-check-aof --fix \
                     <filename.manifest>. 2) Alternatively you can set the 'aof-load-truncated' \
                     configuration option to yes and restart the server."
                )
            });
            return self.load_failed(now);
        }
        self.log(LogLevel::Warning, || {
            format!("!!! Warning: short read while loading the AOF file {name}!!!")
        });
        if !last {
            // Redis truncates such a file; here it is left as it is.
            self.log(LogLevel::Warning, || {
                "Fatal error: the truncated file is not the last file".to_owned()
            });
            return self.load_failed(now);
        }
        self.log(LogLevel::Warning, || {
            format!("!!! Truncating the AOF {name} at offset {valid} !!!")
        });
        let (file, path) = (self.next_file(), self.aof_path(&name));
        if let Some(load) = &mut self.service.aof.load {
            load.cutting = true;
        }
        let open = DiskOp::Open { file, path, mode: OpenMode::Append };
        self.replay_op(open, Step::CutOpened { file });
    }

    fn part_cut(&mut self, now: Now<'_>) {
        let Some(load) = &mut self.service.aof.load else { return };
        load.cutting = false;
        let name = load.part.name.clone();
        self.log(LogLevel::Warning, || {
            format!("AOF {name} loaded anyway because aof-load-truncated is enabled")
        });
        self.part_loaded(now);
    }

    fn part_not_cut(&mut self, now: Now<'_>, error: &DiskError) {
        let Some(load) = &self.service.aof.load else { return };
        let name = load.part.name.clone();
        self.log(LogLevel::Warning, || format!("Error truncating the AOF file {name}: {error}"));
        self.load_failed(now);
    }

    fn part_broken(&mut self, now: Now<'_>, broken: Broken) {
        let Some(load) = &mut self.service.aof.load else { return };
        let (name, old, valid) = (load.part.name.clone(), load.old, load.part.valid());
        match broken {
            Broken::Format => {
                self.log(LogLevel::Warning, || {
                    format!("The AOF file {name} is in order up to byte {valid}.")
                });
                self.log(LogLevel::Warning, || {
                    format!(
                        "Bad file format reading the append only file {name}: make a backup of \
                         your AOF file, then use ./redis-check-aof --fix <filename.manifest>"
                    )
                });
            }
            Broken::Unknown(command) => {
                let command = String::from_utf8_lossy(&command).into_owned();
                self.log(LogLevel::Warning, || {
                    // One line, since tools read the last one.
                    format!(
                        "Unknown command '{command}' reading the append only file {name}. Nothing \
                         was changed. To open these files here, load them with a server \
                         that knows '{command}', let it rewrite them by BGREWRITEAOF with \
                         'aof-use-rdb-preamble yes', and stop it: what is in an RDB base is kept \
                         here even if no command can change it."
                    )
                });
            }
            Broken::Rdb(error) => {
                self.log(LogLevel::Warning, || {
                    let RdbError { offset, reason, .. } = error;
                    format!("Internal error in RDB reading offset {offset} -> {reason}")
                });
                let what = if old { "preamble of the AOF" } else { "base" };
                self.log(LogLevel::Warning, || {
                    format!("Error reading the RDB {what} file {name}, AOF loading aborted")
                });
            }
        }
        self.load_failed(now);
    }

    fn load_failed(&mut self, now: Now<'_>) {
        let Some(load) = self.service.aof.load.take() else { return };
        if let Some(close) = load.part.close() {
            self.disk_op(close, DiskWork::Nothing);
        }
        self.stop_loading();
        self.aof_not_loaded(now, load.after);
    }

    fn load_complete(&mut self, now: Now<'_>) {
        let Some(load) = self.service.aof.load.take() else { return };
        self.service.aof.current_size = load.total;
        self.service.aof.base_size = load.base;
        self.stop_loading();
        if load.after == After::Start {
            let seconds = now.mono.since(load.began).as_secs_f64();
            self.notice(|| format!("DB loaded from append only file: {seconds:.3} seconds"));
        }
        self.aof_loaded(now, load.after, false);
    }
}
