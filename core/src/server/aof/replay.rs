//! Loading the parts of the append-only file: a base that is RDB is taken in, commands are carried
//! out once more, in slices.

use core::mem;
use std::collections::VecDeque;

use super::starting::Sizes;
use super::{Server, Step as AofStep};
use crate::command::meta::special;
use crate::machine::{
    ConnId, DiskDone, DiskError, DiskErrorKind, DiskOp, Endpoint, FileId, LogLevel, OpenMode,
};
use crate::persist::aof::{Kind, RDB_MAGIC, Record, Records};
use crate::persist::rdb::RdbError;
use crate::resp::request::OwnedArgs;
use crate::server::DiskWork;
use crate::server::persistence::intake::Intake;
use crate::server::persistence::source::FileSource;
use crate::server::{Client, ReplyMode};
use crate::store::ExpireMode;
use crate::time::{Duration, Mono, Now};

/// Commands that one slice carries out.
const COMMANDS: usize = 512;

/// Bytes that one slice takes in.
const SLICE: usize = 256 * 1024;

/// What follows when everything is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum After {
    /// The server is ready.
    Start,
    /// DEBUG LOADAOF is answered.
    Debug {
        /// The client that waits for it.
        client: u64,
    },
}

/// An append-only file that is being loaded.
#[derive(Clone, Debug)]
pub(super) struct Load {
    after: After,
    /// Parts that come after the one at hand.
    parts: VecDeque<(Kind, String)>,
    kind: Kind,
    name: String,
    file: FileId,
    source: FileSource,
    form: Form,
    /// The pseudo client that executes the commands.
    client: Box<Client>,
    /// Up to where the part is in order.
    valid: u64,
    /// Where the transaction begins that has not ended.
    multi: u64,
    /// Bytes of the parts before.
    before: u64,
    total: u64,
    base: u64,
    began: Mono,
    part_began: Mono,
    /// When it goes on, if it was told to be slow (`key-load-delay`).
    resume: Mono,
    /// Whether the part ends in the middle and is being cut.
    cutting: bool,
    /// Whether there may be whole records among the bytes that have come.
    unread: bool,
    /// Whether the part is the whole file of a version before 7.
    old: bool,
}

impl Load {
    /// What stands before the end, if a transaction is open there, ends before that transaction:
    /// were its beginning left, all that is appended later would become a part of it.
    fn leave_transaction(&mut self) {
        if self.client.state.transaction.is_some() {
            self.valid = self.multi;
        }
    }
}

/// In what form a part is.
#[derive(Clone, Debug)]
enum Form {
    /// The first bytes will show it.
    Unknown(Vec<u8>),
    Rdb(Box<Intake>),
    Commands(Box<Records>),
}

/// How far a slice has come.
enum Progress {
    More,
    /// The part has been loaded.
    Whole,
    /// It ends in the middle of something.
    Torn,
}

/// Why a part cannot be loaded.
enum Broken {
    Format,
    Unknown(Vec<u8>),
    Rdb(RdbError),
}

/// What of a load waits for the disk.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) enum Step {
    /// A part is opened, or a piece of it read.
    Read { file: FileId },
    /// A torn part is open to be cut.
    CutOpened { file: FileId },
    /// It is cut.
    Cut { file: FileId },
}

impl Server {
    fn replay_op(&mut self, what: DiskOp, step: Step) {
        self.disk_op(what, DiskWork::Aof(AofStep::Replay(step)));
    }

    /// Loads the parts, whose lengths are known.
    pub(super) fn load_parts(&mut self, now: Now<'_>, sizes: Sizes) {
        let Sizes { after, parts, .. } = sizes;
        let total = parts.iter().map(|(_, _, len)| len).sum();
        let base = parts.iter().find(|(kind, ..)| *kind == Kind::Base).map_or(0, |part| part.2);
        if after != After::Start {
            // All parts are there.
            self.forget_data();
        }
        if total == 0 {
            return self.aof_loaded(now, after, true);
        }
        self.start_loading(now, total, false);
        self.end_reload_hold();
        // Of those that hold nothing nothing is to be read. A rewrite that was given up may leave one
        // behind that which was written last, which therefore may be torn.
        let held = parts.into_iter().filter(|(_, _, len)| *len > 0);
        let mut parts: VecDeque<(Kind, String)> =
            held.map(|(kind, name, _)| (kind, name)).collect();
        let Some((kind, name)) = parts.pop_front() else { return };
        let file = self.next_file();
        let (source, open) = FileSource::open(file, self.aof_path(&name));
        let nowhere = Endpoint::Unix(String::new());
        let mut client =
            Box::new(Client::new(0, ConnId(u64::MAX), nowhere.clone(), nowhere, now.mono));
        client.trust();
        client.state.from_primary = true;
        client.replies = ReplyMode::Off;
        self.service.aof.load = Some(Box::new(Load {
            after,
            parts,
            kind,
            name,
            file,
            source,
            form: Form::Unknown(Vec::new()),
            client,
            valid: 0,
            multi: 0,
            before: 0,
            total,
            base,
            began: now.mono,
            part_began: now.mono,
            resume: now.mono,
            cutting: false,
            unread: false,
            old: false,
        }));
        self.replay_op(open, Step::Read { file });
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
                if self.service.aof.load.as_ref().is_none_or(|load| load.file != file) => {}
            Step::Read { .. } => self.part_read(now, result),
            Step::CutOpened { file } => match result {
                Ok(_) => {
                    let Some(load) = &self.service.aof.load else { return };
                    let len = load.valid;
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
        if let Err(error) = load.source.ended(result) {
            let (name, open) = (load.name.clone(), load.source.is_open());
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
            && let Some(read) = load.source.read_ahead()
        {
            let file = load.file;
            self.replay_op(read, Step::Read { file });
        }
    }

    /// When the load is to go on.
    pub(in crate::server) fn replay_wake(&self) -> Option<Mono> {
        let load = self.service.aof.load.as_deref().filter(|load| !load.cutting)?;
        let has_bytes = match &load.form {
            Form::Unknown(_) => false,
            Form::Rdb(intake) => intake.has_bytes() || intake.is_done(),
            Form::Commands(_) => load.unread,
        };
        let goes_on = has_bytes
            || load.source.is_ready()
            || load.source.is_open() && load.source.is_exhausted();
        goes_on.then(|| load.resume.max(self.now.0))
    }

    /// Lets the load that was told to be slow go on at this time at the latest.
    pub(in crate::server) fn hasten_replay(&mut self, at: Mono) {
        if let Some(load) = &mut self.service.aof.load {
            load.resume = load.resume.min(at);
        }
    }

    /// Loads some more.
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
        if let Form::Rdb(intake) = &mut load.form {
            for (level, text) in mem::take(&mut intake.lines) {
                self.log(level, || text);
            }
        }
        let offset = match &load.form {
            Form::Unknown(_) => 0,
            Form::Rdb(intake) => intake.offset(),
            Form::Commands(records) => records.offset(),
        };
        self.loading_progress(load.before + offset);
        self.service.aof.load = Some(load);
        match result {
            Ok(Progress::More) => self.read_part_on(),
            Ok(Progress::Whole) => self.part_loaded(now),
            Ok(Progress::Torn) => self.part_torn(now),
            Err(broken) => self.part_broken(now, broken),
        }
    }

    fn load_slice_of(&mut self, now: Now<'_>, load: &mut Load) -> Result<Progress, Broken> {
        let delay = u64::try_from(self.config.settings().key_load_delay).unwrap_or(0);
        let most = match delay {
            0 => COMMANDS,
            delay => usize::try_from(1_000 / delay).unwrap_or(1).clamp(1, COMMANDS),
        };
        let taken = match &mut load.form {
            Form::Unknown(first) => {
                match load.source.take() {
                    Some(bytes) => first.extend_from_slice(&bytes),
                    None if load.source.is_exhausted() => {}
                    None => return Ok(Progress::More),
                }
                if first.len() < RDB_MAGIC.len() && !load.source.is_exhausted() {
                    return Ok(Progress::More);
                }
                let bytes = mem::take(first);
                self.begin_part(now, load, bytes);
                return Ok(Progress::More);
            }
            Form::Rdb(intake) => {
                let keys = if delay == 0 { usize::MAX } else { most };
                let taken =
                    intake.step(&mut self.service.keyspace, SLICE, keys).map_err(Broken::Rdb)?;
                if intake.is_done() {
                    let (rest, offset) = (intake.rest(), intake.offset());
                    for (level, text) in mem::take(&mut intake.lines) {
                        self.log(level, || text);
                    }
                    self.service.persistence.libraries.clone_from(&intake.libraries);
                    let summary = intake.summary();
                    self.notice(|| summary);
                    if load.old {
                        self.notice(|| "Reading the remaining AOF tail...".to_owned());
                    }
                    let mut records = Records::starting_at(offset);
                    records.feed(&rest);
                    load.valid = offset;
                    load.form = Form::Commands(Box::new(records));
                    load.unread = true;
                } else if !intake.has_bytes() && taken < keys {
                    match load.source.take() {
                        Some(bytes) => intake.hand_in(bytes),
                        None if load.source.is_exhausted() => {
                            intake.end().map_err(Broken::Rdb)?;
                        }
                        None => {}
                    }
                }
                taken
            }
            Form::Commands(_) => {
                let taken = self.replay_records(now, load, most)?;
                if taken < most {
                    load.unread = false;
                    let Form::Commands(records) = &mut load.form else {
                        return Ok(Progress::More);
                    };
                    match load.source.take() {
                        Some(bytes) => {
                            records.feed(&bytes);
                            load.unread = true;
                        }
                        None if load.source.is_exhausted() => {
                            return Ok(self.end_of_part(load));
                        }
                        None => {}
                    }
                }
                taken
            }
        };
        load.resume = now.mono + Duration::from_micros(delay.saturating_mul(taken as u64));
        Ok(Progress::More)
    }

    /// The first bytes of a part are there.
    fn begin_part(&mut self, now: Now<'_>, load: &mut Load, bytes: Vec<u8>) {
        if !bytes.starts_with(RDB_MAGIC) {
            let mut records = Records::default();
            records.feed(&bytes);
            load.form = Form::Commands(Box::new(records));
            load.unread = true;
            return;
        }
        load.old = load.name == self.config.settings().aof.appendfilename;
        let text = match load.old {
            true => "Reading RDB preamble from AOF file...",
            false => "Reading RDB base file on AOF loading...",
        };
        self.notice(|| text.to_owned());
        let mut options = self.intake_options(now);
        options.drop_expired = false;
        let mut intake = Intake::new(options);
        intake.expect(load.source.len());
        intake.hand_in(bytes);
        load.form = Form::Rdb(Box::new(intake));
    }

    /// Carries out the next commands. Returns how many; fewer than `most` mean that no more have
    /// come whole.
    fn replay_records(
        &mut self,
        now: Now<'_>,
        load: &mut Load,
        most: usize,
    ) -> Result<usize, Broken> {
        let (mut taken, mut bytes) = (0, 0);
        while taken < most {
            let Form::Commands(records) = &mut load.form else { return Ok(taken) };
            let args: OwnedArgs = match records.next_record() {
                Ok(Some(Record::Command(args))) => args.into(),
                Ok(Some(Record::Annotation(_))) => {
                    load.valid = records.offset();
                    continue;
                }
                Ok(None) => return Ok(taken),
                Err(_) => return Err(Broken::Format),
            };
            let offset = records.offset();
            taken += 1;
            bytes += args.as_args().bytes();
            let before = load.valid;
            if self.replay(now, &mut load.client, &args)? {
                load.multi = before;
            }
            load.valid = offset;
            if bytes > SLICE {
                // The rest of the slice went into these few.
                taken = most;
            }
        }
        Ok(taken)
    }

    /// Carries out one command. True if it begins a transaction.
    fn replay(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        args: &OwnedArgs,
    ) -> Result<bool, Broken> {
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
        Ok(command.meta.is(special::MULTI))
    }

    fn end_of_part(&mut self, load: &mut Load) -> Progress {
        let Form::Commands(records) = &load.form else { return Progress::Whole };
        if records.is_torn() {
            load.leave_transaction();
            return Progress::Torn;
        }
        if load.client.state.transaction.is_some() {
            let name = &load.name;
            self.log(LogLevel::Warning, || {
                format!("Revert incomplete MULTI/EXEC transaction in AOF file {name}")
            });
            load.leave_transaction();
            return Progress::Torn;
        }
        Progress::Whole
    }

    fn part_loaded(&mut self, now: Now<'_>) {
        let Some(load) = &self.service.aof.load else { return };
        if load.source.len() > 0 {
            let kind = if load.kind == Kind::Base { "base" } else { "incr" };
            let (name, seconds) = (&load.name, now.mono.since(load.part_began).as_secs_f64());
            let text = format!("DB loaded from {kind} file {name}: {seconds:.3} seconds");
            self.notice(|| text);
        }
        self.next_part(now);
    }

    fn next_part(&mut self, now: Now<'_>) {
        let Some(load) = &mut self.service.aof.load else { return };
        let close = load.source.close();
        load.before += load.source.len();
        load.client.state.transaction = None;
        load.client.state.db = 0;
        if let Some(close) = close {
            self.disk_op(close, DiskWork::Nothing);
        }
        let next = self.service.aof.load.as_mut().and_then(|load| load.parts.pop_front());
        let Some((kind, name)) = next else { return self.load_complete(now) };
        let file = self.next_file();
        let (source, open) = FileSource::open(file, self.aof_path(&name));
        if let Some(load) = &mut self.service.aof.load {
            (load.file, load.source) = (file, source);
            load.form = Form::Unknown(Vec::new());
            (load.kind, load.name) = (kind, name);
            (load.valid, load.multi, load.unread) = (0, 0, false);
            load.part_began = now.mono;
        }
        self.replay_op(open, Step::Read { file });
    }

    fn part_torn(&mut self, now: Now<'_>) {
        let Some(load) = &mut self.service.aof.load else { return };
        let (name, valid, last) = (load.name.clone(), load.valid, load.parts.is_empty());
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
            // Other than Redis, which cuts it all the same, we leave it as it is.
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
        let name = load.name.clone();
        self.log(LogLevel::Warning, || {
            format!("AOF {name} loaded anyway because aof-load-truncated is enabled")
        });
        self.part_loaded(now);
    }

    fn part_not_cut(&mut self, now: Now<'_>, error: &DiskError) {
        let Some(load) = &self.service.aof.load else { return };
        let name = load.name.clone();
        self.log(LogLevel::Warning, || format!("Error truncating the AOF file {name}: {error}"));
        self.load_failed(now);
    }

    fn part_broken(&mut self, now: Now<'_>, broken: Broken) {
        let Some(load) = &mut self.service.aof.load else { return };
        load.leave_transaction();
        let (name, old) = (load.name.clone(), load.old);
        let valid = load.valid;
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
                    // In one line: tools read the last one.
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
        if let Some(close) = load.source.close() {
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
