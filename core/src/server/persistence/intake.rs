//! Loading keys from the bytes of a snapshot.

use crate::machine::LogLevel;
use crate::persist::rdb::{Checksum, RdbError, ReadOptions, Reader, Record};
use crate::store::{Entry, Keyed, Keyspace, PREFETCH_BATCH};

/// Bytes that the parser gets at once.
const PIECE: usize = 64 * 1024;

/// The smallest size of a key with its value, in bytes.
const MIN_KEY_SIZE: u64 = 3;

/// Buckets that are allocated at once for announced keys.
const ROOM: usize = 4096;

/// How many empty keys are logged.
const EMPTY_TOLD: u64 = 10;

/// How a snapshot is loaded.
#[derive(Clone, Debug)]
pub(in crate::server) struct IntakeOptions {
    /// Options of the parser.
    pub(in crate::server) read: ReadOptions,
    /// Whether expired keys are dropped: a primary does that, but not with the base of an
    /// append-only file, since the commands after it rely on all keys.
    pub(in crate::server) drop_expired: bool,
    /// Whether existing keys and libraries may be replaced (DEBUG RELOAD MERGE).
    pub(in crate::server) replace: bool,
    /// The sources of existing libraries, which stay (DEBUG RELOAD NOFLUSH).
    pub(in crate::server) libraries: Vec<Vec<u8>>,
}

/// The replication position that a snapshot contains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct LoadedPosition {
    /// The replication id.
    pub(in crate::server) id: Option<[u8; 40]>,
    /// The replication offset.
    pub(in crate::server) offset: Option<i64>,
    /// The database that was selected in the replication stream.
    pub(in crate::server) db: Option<i64>,
}

/// A snapshot that is being loaded.
#[derive(Clone, Debug)]
pub(in crate::server) struct Intake {
    reader: Reader,
    options: IntakeOptions,
    /// The last bytes handed in, and how much of them the parser has got.
    bytes: Vec<u8>,
    fed: usize,
    /// Whether the parser has consumed everything and needs more.
    needs_input: bool,
    db: u64,
    /// Announced keys for which room has to be allocated.
    coming: usize,
    /// How many more keys the file may contain, judging by its length, beyond those already
    /// announced.
    possible: u64,
    /// Databases for which room was allocated.
    reserved: Vec<usize>,
    /// Keys to be inserted into the keyspace, with their offsets in the file. They are inserted in
    /// batches, so that their memory accesses overlap.
    batch: Vec<(u64, Entry)>,
    /// Keys inserted so far.
    pub(in crate::server) loaded: u64,
    /// Keys dropped because they had expired.
    pub(in crate::server) expired: u64,
    empty: u64,
    /// The memory that the data used when it was written, according to the snapshot.
    pub(in crate::server) used_memory: u64,
    /// The replication position in the snapshot.
    pub(in crate::server) position: LoadedPosition,
    /// The sources of function libraries.
    pub(in crate::server) libraries: Vec<Vec<u8>>,
    /// Keys dropped since this was last taken.
    pub(in crate::server) left_out: Vec<(u64, Vec<u8>)>,
    /// Lines for the log.
    pub(in crate::server) lines: Vec<(LogLevel, String)>,
}

impl Intake {
    /// An intake that has not loaded anything yet.
    pub(in crate::server) fn new(options: IntakeOptions) -> Self {
        let libraries = options.libraries.clone();
        Self {
            reader: Reader::new(options.read.clone()),
            options,
            bytes: Vec::new(),
            fed: 0,
            needs_input: true,
            db: 0,
            coming: 0,
            possible: 0,
            reserved: Vec::new(),
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

    /// Sets the number of bytes to come. Announced sizes are believed only as far as that many
    /// bytes can contain them.
    pub(in crate::server) fn expect(&mut self, bytes: u64) {
        self.possible = bytes / MIN_KEY_SIZE;
    }

    /// Hands in the next bytes. The previous ones must have been consumed.
    pub(in crate::server) fn hand_in(&mut self, bytes: Vec<u8>) {
        debug_assert!(!self.has_bytes());
        self.bytes = bytes;
        self.fed = 0;
        self.needs_input = false;
    }

    /// Whether not all bytes have been consumed.
    pub(in crate::server) fn has_bytes(&self) -> bool {
        !self.needs_input
    }

    /// Loads about `budget` bytes, but no more than `keys` keys. Returns the number of keys.
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
                    self.needs_input = true;
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
            && let Some(number) = self.reserved.last()
            && keyspace.db(*number).shrink_step(ROOM)
        {
            self.reserved.pop();
        }
        Ok(taken)
    }

    /// Whether the end of the snapshot has been reached.
    pub(in crate::server) fn is_done(&self) -> bool {
        self.reader.is_done() && self.reserved.is_empty()
    }

    /// Called when there are no more bytes. An error if the snapshot is incomplete.
    pub(in crate::server) fn end(&self) -> Result<(), RdbError> {
        self.reader.end()
    }

    /// Number of bytes consumed.
    pub(in crate::server) fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// The bytes after the snapshot, once it is done.
    pub(in crate::server) fn rest(&self) -> Vec<u8> {
        let mut rest = self.reader.unread().to_vec();
        rest.extend_from_slice(self.bytes.get(self.fed..).unwrap_or_default());
        rest
    }

    /// The log line after success.
    pub(in crate::server) fn summary(&self) -> String {
        let Self { loaded, expired, empty, .. } = self;
        let empty = match empty {
            0 => String::new(),
            empty => format!(", empty keys skipped: {empty}"),
        };
        format!("Done loading RDB, keys loaded: {loaded}, keys expired: {expired}{empty}.")
    }

    /// Handles a record. Returns whether it is a key.
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
                self.reserved.push(usize::try_from(self.db).unwrap_or(usize::MAX));
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

    /// Inserts the batch into the keyspace.
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

/// The library name in the shebang line of a source.
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

    /// Loads a file that announces this many keys and contains these. Returns their number, the
    /// memory that they use, and the peak during loading.
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
    fn room_is_allocated_for_announced_keys_within_the_size_of_the_file() {
        let values = vec![20; 60_000];
        let (keys, memory, _) = load(60_000, &values);
        let (same, as_usual, _) = load(0, &values);
        assert_eq!((keys, same), (60_000, 60_000));
        assert!(memory.abs_diff(as_usual) < as_usual / 20, "{memory} {as_usual}");

        let (keys, memory, most) = load(u64::MAX, &[20; 3]);
        assert_eq!(keys, 3);
        assert!(most < 4_000 && memory < 2_000, "{most} {memory}");

        // A file that could contain them, but has one large value instead.
        let (keys, memory, most) = load(500_000, &[3_000_000]);
        assert_eq!(keys, 1);
        assert!(most > 5_000_000, "{most}");
        assert!(memory < 3_500_000, "{memory}");
    }
}
