//! From the bytes of a snapshot to keys.

use crate::machine::LogLevel;
use crate::persist::rdb::{Checksum, RdbError, ReadOptions, Reader, Record};
use crate::store::{Entry, Keyed, Keyspace, PREFETCH_BATCH};

/// Bytes that the reader is fed at once.
const PIECE: usize = 64 * 1024;

/// Bytes of a key with its value at least.
const LEAST_KEY: u64 = 3;

/// Buckets that are made at once for keys that are announced.
const ROOM: usize = 4096;

/// Keys without elements of which the log is told.
const EMPTY_TOLD: u64 = 10;

/// How a snapshot is taken in.
#[derive(Clone, Debug)]
pub(in crate::server) struct IntakeOptions {
    /// How its bytes are read.
    pub(in crate::server) read: ReadOptions,
    /// Whether keys whose time has come are left out: a primary does that, but not with the base
    /// of an append-only file, since the commands behind it count on all its keys.
    pub(in crate::server) drop_expired: bool,
    /// Whether a key or a library may take the place of one that is there (DEBUG RELOAD MERGE).
    pub(in crate::server) replace: bool,
    /// The source texts of libraries that are there and stay (DEBUG RELOAD NOFLUSH).
    pub(in crate::server) libraries: Vec<Vec<u8>>,
}

/// What a snapshot tells of the stream of replication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct LoadedPosition {
    /// The name of the stream.
    pub(in crate::server) id: Option<[u8; 40]>,
    /// Bytes of it so far.
    pub(in crate::server) offset: Option<i64>,
    /// The database that was selected in it.
    pub(in crate::server) db: Option<i64>,
}

/// A snapshot that is being taken in.
#[derive(Clone, Debug)]
pub(in crate::server) struct Intake {
    reader: Reader,
    options: IntakeOptions,
    /// What was handed in last, and how much of it the reader has been fed.
    bytes: Vec<u8>,
    fed: usize,
    /// Whether the reader has read all that it was fed and wants more.
    starved: bool,
    db: u64,
    /// Keys for which room is to be made before they come.
    coming: usize,
    /// Keys that the file may have at most, as long as it is, and that are not announced yet.
    possible: u64,
    /// Databases for which room was made.
    roomy: Vec<usize>,
    /// Keys that are about to be put into the keyspace, with where the file has come to. Some at a
    /// time, so that their places in memory are waited for side by side.
    batch: Vec<(u64, Entry)>,
    /// Keys that were put into the keyspace.
    pub(in crate::server) loaded: u64,
    /// Keys that were left out because their time had come.
    pub(in crate::server) expired: u64,
    empty: u64,
    /// The memory that the writer's data took, as it says.
    pub(in crate::server) used_memory: u64,
    /// What it tells of the stream of replication.
    pub(in crate::server) position: LoadedPosition,
    /// Libraries of functions, as their source texts.
    pub(in crate::server) libraries: Vec<Vec<u8>>,
    /// The keys that were left out since they were taken from here.
    pub(in crate::server) left_out: Vec<(u64, Vec<u8>)>,
    /// What the log is to be told.
    pub(in crate::server) lines: Vec<(LogLevel, String)>,
}

impl Intake {
    /// Nothing taken in yet.
    pub(in crate::server) fn new(options: IntakeOptions) -> Self {
        let libraries = options.libraries.clone();
        Self {
            reader: Reader::new(options.read.clone()),
            options,
            bytes: Vec::new(),
            fed: 0,
            starved: true,
            db: 0,
            coming: 0,
            possible: 0,
            roomy: Vec::new(),
            batch: Vec::new(),
            loaded: 0,
            expired: 0,
            empty: 0,
            used_memory: 0,
            position: LoadedPosition::default(),
            libraries,
            left_out: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Tells how many bytes there will be. What is announced in them is believed as far as they can
    /// hold it.
    pub(in crate::server) fn expect(&mut self, bytes: u64) {
        self.possible = bytes / LEAST_KEY;
    }

    /// Hands in the bytes that follow. Those of before must have been taken in.
    pub(in crate::server) fn hand_in(&mut self, bytes: Vec<u8>) {
        debug_assert!(!self.has_bytes());
        self.bytes = bytes;
        self.fed = 0;
        self.starved = false;
    }

    /// Whether not all bytes that were handed in have been taken in.
    pub(in crate::server) fn has_bytes(&self) -> bool {
        !self.starved
    }

    /// Takes in about `budget` bytes of what was handed in, but no more than `keys` keys. Returns
    /// how many keys that were.
    pub(in crate::server) fn step(
        &mut self,
        keyspace: &mut Keyspace,
        budget: usize,
        keys: usize,
    ) -> Result<usize, RdbError> {
        let start = self.reader.offset();
        let mut taken = 0;
        while taken < keys && !self.reader.is_done() {
            if self.coming > 0 {
                let number = usize::try_from(self.db).unwrap_or(usize::MAX);
                if !keyspace.db(number).reserve_step(self.coming, ROOM) {
                    break;
                }
                self.coming = 0;
            }
            let record = match self.reader.next_record() {
                Ok(record) => record,
                Err(error) => {
                    self.settle(keyspace)?;
                    return Err(error);
                }
            };
            match record {
                Some(record) => taken += usize::from(self.record(keyspace, record)?),
                None if self.fed >= self.bytes.len() => {
                    self.starved = true;
                    break;
                }
                None => {
                    let rest = self.bytes.get(self.fed..).unwrap_or_default();
                    let piece = rest.get(..PIECE).unwrap_or(rest);
                    self.reader.feed(piece);
                    self.fed += piece.len();
                }
            }
            if self.reader.offset() - start >= budget as u64 {
                break;
            }
        }
        self.settle(keyspace)?;
        while self.reader.is_done()
            && let Some(number) = self.roomy.last()
            && keyspace.db(*number).shrink_step(ROOM)
        {
            self.roomy.pop();
        }
        Ok(taken)
    }

    /// Whether the snapshot has been taken in to its end.
    pub(in crate::server) fn is_done(&self) -> bool {
        self.reader.is_done() && self.roomy.is_empty()
    }

    /// Says that no more bytes will come. An error if there should be more.
    pub(in crate::server) fn end(&self) -> Result<(), RdbError> {
        self.reader.end()
    }

    /// How many bytes have been taken in.
    pub(in crate::server) fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// What follows the snapshot in the bytes that were handed in, once it is done.
    pub(in crate::server) fn rest(&self) -> Vec<u8> {
        let mut rest = self.reader.unread().to_vec();
        rest.extend_from_slice(self.bytes.get(self.fed..).unwrap_or_default());
        rest
    }

    /// The line that tells that all is well.
    pub(in crate::server) fn summary(&self) -> String {
        let Self { loaded, expired, empty, .. } = self;
        let empty = match empty {
            0 => String::new(),
            empty => format!(", empty keys skipped: {empty}"),
        };
        format!("Done loading RDB, keys loaded: {loaded}, keys expired: {expired}{empty}.")
    }

    /// Takes in a record. Returns whether it is a key.
    fn record(&mut self, keyspace: &mut Keyspace, record: Record) -> Result<bool, RdbError> {
        match record {
            Record::Entry(entry) => {
                self.entry(keyspace, entry)?;
                return Ok(true);
            }
            Record::EmptyKey(key) => {
                self.empty += 1;
                if self.empty <= EMPTY_TOLD {
                    let key = String::from_utf8_lossy(&key);
                    self.notice(format!("rdbLoadObject skipping empty key: {key}"));
                }
                return Ok(true);
            }
            Record::Select(db) => {
                self.settle(keyspace)?;
                if db >= keyspace.count() as u64 {
                    return Err(refuse(
                        self.reader.offset(),
                        format!(
                            "FATAL: Data file was created with a Redis server configured to handle \
                         more than {} databases. Exiting",
                            keyspace.count()
                        ),
                    ));
                }
                self.db = db;
            }
            Record::Aux { name, value } => self.aux(&name, &value),
            Record::End(Checksum::Disabled) => self.notice(
                "RDB file was saved with checksum disabled: no check performed.".to_owned(),
            ),
            Record::Function(library) => self.library(library)?,
            Record::ModuleAux { module } => {
                self.notice(format!("Passing over AUX data of the module type '{module}'"));
            }
            Record::ModuleValue { .. } | Record::End(_) | Record::Version(_) => {}
            Record::Resize { keys, .. } => {
                let keys = keys.min(self.possible);
                self.possible -= keys;
                self.coming = usize::try_from(keys).unwrap_or(0);
                self.roomy.push(usize::try_from(self.db).unwrap_or(usize::MAX));
            }
        }
        Ok(false)
    }

    fn library(&mut self, source: Vec<u8>) -> Result<(), RdbError> {
        let name = library_name(&source);
        let same = |other: &&mut Vec<u8>| name.is_some() && library_name(other) == name;
        match self.libraries.iter_mut().find(same) {
            Some(other) if self.options.replace => *other = source,
            Some(_) => {
                let name = String::from_utf8_lossy(name.unwrap_or_default());
                let reason = format!("RDB has a library '{name}' that already exists");
                return Err(refuse(self.reader.offset(), reason));
            }
            None => self.libraries.push(source),
        }
        Ok(())
    }

    fn entry(&mut self, keyspace: &mut Keyspace, entry: Entry) -> Result<(), RdbError> {
        if self.options.drop_expired
            && entry.expire().is_some_and(|at| at < self.options.read.now_ms)
        {
            self.expired += 1;
            self.left_out.push((self.db, entry.key().to_vec()));
            return Ok(());
        }
        self.batch.push((self.reader.offset(), entry));
        if self.batch.len() < PREFETCH_BATCH { Ok(()) } else { self.settle(keyspace) }
    }

    /// Puts what was gathered into the keyspace.
    fn settle(&mut self, keyspace: &mut Keyspace) -> Result<(), RdbError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let number = usize::try_from(self.db).unwrap_or(usize::MAX);
        let mut db = keyspace.db(number);
        db.prefetch(self.batch.iter().map(|(_, entry)| entry.key()));
        for (offset, entry) in self.batch.drain(..) {
            if let Err(entry) = db.load(entry, self.options.replace) {
                let key = String::from_utf8_lossy(entry.key());
                let reason = format!("RDB has duplicated key '{key}' in DB {number}");
                return Err(refuse(offset, reason));
            }
            self.loaded += 1;
        }
        Ok(())
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) {
        let text = String::from_utf8_lossy(value).into_owned();
        let number = text.parse::<i64>().ok();
        match name.to_ascii_lowercase().as_slice() {
            [b'%', ..] => {
                let name = String::from_utf8_lossy(name);
                self.notice(format!("RDB '{name}': {text}"));
            }
            b"redis-ver" => self.notice(format!("Loading RDB produced by version {text}")),
            b"ctime" => {
                let now = self.options.read.now_ms / 1_000;
                let age = now.saturating_sub(number.unwrap_or(0).unsigned_abs());
                self.notice(format!("RDB age {age} seconds"));
            }
            b"used-mem" => {
                self.used_memory = number.unwrap_or(0).unsigned_abs();
                let megabytes = self.used_memory as f64 / f64::from(1 << 20);
                self.notice(format!("RDB memory usage when created {megabytes:.2} Mb"));
            }
            b"repl-stream-db" => self.position.db = number,
            b"repl-id" => self.position.id = value.try_into().ok(),
            b"repl-offset" => self.position.offset = number,
            b"aof-preamble" if number.unwrap_or(0) != 0 => {
                self.notice("RDB has an AOF tail".to_owned());
            }
            b"aof-base" if number.unwrap_or(0) != 0 => self.notice("RDB is base AOF".to_owned()),
            b"redis-bits" | b"aof-preamble" | b"aof-base" | b"lua" => {}
            _ => {
                let name = String::from_utf8_lossy(name);
                let text = format!("Unrecognized RDB AUX field: '{name}'");
                self.lines.push((LogLevel::Debug, text));
            }
        }
    }

    fn notice(&mut self, text: String) {
        self.lines.push((LogLevel::Notice, text));
    }
}

/// The name that the first line of a library's source gives it.
fn library_name(source: &[u8]) -> Option<&[u8]> {
    let line = source.split(|&byte| byte == b'\n').next()?;
    line.split(u8::is_ascii_whitespace).find_map(|word| word.strip_prefix(b"name="))
}

fn refuse(offset: u64, reason: String) -> RdbError {
    RdbError { offset, reason, doing: crate::persist::rdb::Doing::Value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keyspace;

    /// Loads a file that announces so many keys and has these. Gives their number, the memory that
    /// they take, and the most that they took meanwhile.
    fn load(announced: u64, values: &[usize]) -> (usize, usize, usize) {
        let mut file = b"REDIS0010\xfe\x00\xfb\x81".to_vec();
        file.extend(announced.to_be_bytes());
        file.push(0);
        for (n, len) in values.iter().enumerate() {
            let key = format!("{n:08}");
            file.extend([0, 8]);
            file.extend(key.as_bytes());
            file.push(0x80);
            file.extend((*len as u32).to_be_bytes());
            file.resize(file.len() + len, b'x');
        }
        file.extend([0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
        let mut keyspace = Keyspace::new(16, 1);
        let options = IntakeOptions {
            read: ReadOptions::default(),
            drop_expired: false,
            replace: false,
            libraries: Vec::new(),
        };
        let mut intake = Intake::new(options);
        intake.expect(file.len() as u64);
        intake.hand_in(file);
        let mut most = 0;
        while !intake.is_done() {
            assert!(intake.has_bytes());
            intake.step(&mut keyspace, usize::MAX, usize::MAX).unwrap();
            most = most.max(keyspace.memory());
        }
        assert_eq!(intake.rest(), b"");
        let keys = keyspace.summary().map(|(_, keys, ..)| keys).sum();
        (keys, keyspace.memory(), most)
    }

    #[test]
    fn room_is_made_for_keys_that_are_announced_as_far_as_the_file_can_hold_them() {
        let values = vec![20; 60_000];
        let (keys, memory, _) = load(60_000, &values);
        let (same, as_usual, _) = load(0, &values);
        assert_eq!((keys, same), (60_000, 60_000));
        assert!(memory.abs_diff(as_usual) < as_usual / 20, "{memory} {as_usual}");

        let (keys, memory, most) = load(u64::MAX, &[20; 3]);
        assert_eq!(keys, 3);
        assert!(most < 4_000 && memory < 2_000, "{most} {memory}");

        // The file could hold them, but has one large value instead.
        let (keys, memory, most) = load(500_000, &[3_000_000]);
        assert_eq!(keys, 1);
        assert!(most > 5_000_000, "{most}");
        assert!(memory < 3_500_000, "{memory}");
    }
}
