//! Decodes an RDB file, which arrives in pieces of any size.

use core::fmt;

use super::crc64::Crc64;
use super::cursor::{Cursor, Stop};
use super::module::ModuleReader;
use super::value_reader::ValueReader;
use super::{NEWEST_VERSION, kind, opcode};
use crate::store::value::Limits;
use crate::store::{AccessClock, AccessPolicy, Entry, Value};

/// Options for reading an RDB file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// The thresholds of the compact encodings.
    pub limits: Limits,
    /// Whether the checksum is verified (`rdbchecksum`).
    pub checksum: bool,
    /// The meaning of the access clocks.
    pub access: AccessPolicy,
    /// The current time in milliseconds since 1970, to which access clocks are relative.
    pub now_ms: u64,
    /// How the values of modules are treated.
    pub modules: Modules,
}

/// How the values of modules are treated, since modules are not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Modules {
    /// The file is refused.
    #[default]
    Refuse,
    /// They are skipped, since the file is only checked.
    Skip,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            checksum: true,
            access: AccessPolicy::default(),
            now_ms: 0,
            modules: Modules::default(),
        }
    }
}

/// A record of an RDB file.
#[derive(Clone, Debug)]
pub enum Record {
    /// The RDB version. Always the first record.
    Version(u16),
    /// An auxiliary field about the file.
    Aux {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// A function library: its source.
    Function(Vec<u8>),
    /// The database of the entries that follow.
    Select(u64),
    /// The number of keys in the selected database, which is only a hint by the writer.
    Resize {
        /// All keys.
        keys: u64,
        /// Keys that expire.
        expiring: u64,
    },
    /// Auxiliary data of a module, which is skipped.
    ModuleAux {
        /// The name of the module's type.
        module: String,
    },
    /// A key with its value.
    Entry(Entry),
    /// A key with a value of a module, with [`Modules::Skip`].
    ModuleValue {
        /// The key.
        key: Vec<u8>,
        /// Its expiry time, in milliseconds since 1970.
        expire: Option<u64>,
        /// The name of the module's type.
        module: String,
    },
    /// A key with an empty collection, which is skipped as in Redis.
    EmptyKey(Vec<u8>),
    /// The end. Always the last record.
    End(Checksum),
}

/// The result of verifying the checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It is correct.
    Right,
    /// The file was written with `rdbchecksum no`.
    Disabled,
    /// Verification was not requested.
    Unchecked,
    /// Files before version 5 have none.
    Absent,
}

/// Why an RDB file is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdbError {
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// The reason.
    pub reason: String,
    /// What was being read (a stage of `redis-check-rdb`).
    pub doing: Doing,
}

/// The beginning of the reason when the checksum is wrong.
pub(super) const WRONG_CHECKSUM: &str = "RDB CRC error";

/// What is being read, as `redis-check-rdb` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// `start`
    Start,
    /// `read-type`
    Type,
    /// `read-expire`
    Expire,
    /// `read-key`
    Key,
    /// `read-object-value`
    Value,
    /// `check-sum`
    Checksum,
    /// `read-len`
    Len,
    /// `read-aux`
    Aux,
    /// `read-module-aux`
    ModuleAux,
    /// `read-functions`
    Function,
}

impl fmt::Display for RdbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {}: {}", self.offset, self.reason)
    }
}

impl core::error::Error for RdbError {}

impl Doing {
    /// The name that `redis-check-rdb` prints.
    pub fn name(self) -> &'static str {
        match self {
            Doing::Start => "start",
            Doing::Type => "read-type",
            Doing::Expire => "read-expire",
            Doing::Key => "read-key",
            Doing::Value => "read-object-value",
            Doing::Checksum => "check-sum",
            Doing::Len => "read-len",
            Doing::Aux => "read-aux",
            Doing::ModuleAux => "read-module-aux",
            Doing::Function => "read-functions",
        }
    }
}

/// A decoder of an RDB file, whose bytes are [fed](Reader::feed) in pieces.
///
/// It buffers at most what was fed and not yet decoded, and the value that is being decoded; a
/// length in the file never determines an allocation.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Vec<u8>,
    /// How many of `bytes` are decoded.
    read: usize,
    /// The number of bytes of the file before `bytes`.
    before: u64,
    sum: Crc64,
    /// How many of `bytes` are included in `sum`.
    summed: usize,
    parser: Parser,
}

impl Reader {
    /// A decoder at the beginning of a file.
    pub fn new(options: ReadOptions) -> Self {
        Self {
            bytes: Vec::new(),
            read: 0,
            before: 0,
            sum: Crc64::new(),
            summed: 0,
            parser: Parser::new(options),
        }
    }

    /// Appends the next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.update_checksum();
            self.bytes.drain(..self.read);
            self.before += self.read as u64;
            (self.read, self.summed) = (0, 0);
            let wanted = self.bytes.len() + bytes.len();
            if self.bytes.capacity() / 4 > wanted {
                self.bytes.shrink_to(wanted);
            }
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next record; `None` if more bytes are needed, or after the end.
    ///
    /// The time is bounded by the bytes that have been fed.
    pub fn next_record(&mut self) -> Result<Option<Record>, RdbError> {
        loop {
            let mut cursor = Cursor::new(self.bytes.get(self.read..).unwrap_or_default());
            let step = self.parser.step(&mut cursor);
            let (committed, position) = (cursor.committed(), cursor.position());
            self.read += committed;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Record(record)) => return Ok(Some(record)),
                Ok(Step::Eof) => self.update_checksum(),
                Ok(Step::Sum(stated)) => return self.check(stated).map(Some),
                Ok(Step::End) | Err(Stop::More) => return Ok(None),
                Err(Stop::Bad(reason)) => {
                    let ahead = position.saturating_sub(committed) as u64;
                    return Err(self.error(self.offset() + ahead, reason.into_owned()));
                }
                Err(Stop::Empty) => {
                    self.read += position - committed;
                    return Ok(Some(Record::EmptyKey(self.parser.skip_key())));
                }
            }
        }
    }

    /// Must be called at the end of the file. An error if the RDB data was not complete.
    pub fn end(&self) -> Result<(), RdbError> {
        if self.is_done() {
            return Ok(());
        }
        let offset = self.before + self.bytes.len() as u64;
        Err(self.error(offset, "Unexpected EOF reading RDB file".to_owned()))
    }

    /// Whether the end record has been read.
    pub fn is_done(&self) -> bool {
        matches!(self.parser.state, State::Done)
    }

    /// The number of bytes of the file that are decoded.
    pub fn offset(&self) -> u64 {
        self.before + self.read as u64
    }

    /// The bytes that were fed and not decoded: after the end record, those that follow the RDB
    /// data.
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.read..).unwrap_or_default()
    }

    /// The key whose value is being read.
    pub fn key(&self) -> Option<&[u8]> {
        match &self.parser.state {
            State::Value { key, .. } | State::ModuleValue { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The type byte of the value that is being read.
    pub fn kind(&self) -> Option<u8> {
        match &self.parser.state {
            State::Key(kind) | State::Value { kind, .. } => Some(*kind),
            State::ModuleValue { .. } => Some(kind::MODULE_2),
            _ => None,
        }
    }

    fn error(&self, offset: u64, reason: String) -> RdbError {
        RdbError { offset, reason, doing: self.parser.doing }
    }

    fn check(&self, stated: u64) -> Result<Record, RdbError> {
        if !self.parser.options.checksum {
            return Ok(Record::End(Checksum::Unchecked));
        }
        if stated == 0 {
            return Ok(Record::End(Checksum::Disabled));
        }
        let expected = self.sum.value();
        if stated == expected {
            return Ok(Record::End(Checksum::Right));
        }
        let reason = format!(
            "{WRONG_CHECKSUM}: Wrong RDB checksum expected: ({expected:x}) but got ({stated:x})"
        );
        Err(self.error(self.offset(), reason))
    }

    /// Adds the decoded bytes to the checksum.
    fn update_checksum(&mut self) {
        if self.parser.options.checksum {
            self.sum.update(self.bytes.get(self.summed..self.read).unwrap_or_default());
        }
        self.summed = self.read;
    }
}

/// The state of decoding, apart from the buffer.
#[derive(Clone, Debug)]
struct Parser {
    options: ReadOptions,
    version: u16,
    attributes: Attributes,
    state: State,
    doing: Doing,
}

/// The attributes that precede a key.
#[derive(Clone, Copy, Debug, Default)]
struct Attributes {
    expire: Option<u64>,
    idle: Option<u64>,
    freq: Option<u8>,
}

#[derive(Clone, Debug)]
enum State {
    Magic,
    Record,
    Key(u8),
    Value { kind: u8, key: Vec<u8>, value: Box<ValueReader> },
    ModuleAux(ModuleReader),
    ModuleValue { key: Vec<u8>, value: ModuleReader },
    Checksum,
    Done,
}

/// The result of one decoding step.
enum Step {
    /// No record to report.
    Again,
    Record(Record),
    /// The end opcode, up to which the checksum is computed.
    Eof,
    /// The checksum.
    Sum(u64),
    /// The end was reached before.
    End,
}

impl Parser {
    fn new(options: ReadOptions) -> Self {
        Self {
            options,
            version: 0,
            attributes: Attributes::default(),
            state: State::Magic,
            doing: Doing::Start,
        }
    }

    fn step(&mut self, cursor: &mut Cursor<'_>) -> Result<Step, Stop> {
        match &mut self.state {
            State::Magic => {
                self.version = magic(cursor.array()?)?;
                cursor.commit();
                self.state = State::Record;
                Ok(Step::Record(Record::Version(self.version)))
            }
            State::Record => {
                let step = self.record(cursor)?;
                cursor.commit();
                Ok(step)
            }
            State::Key(kind) => {
                self.doing = Doing::Key;
                let key = cursor.text()?.bytes()?.into_owned();
                cursor.commit();
                self.state = match (*kind, self.options.modules) {
                    (kind::MODULE_2, Modules::Skip) => {
                        State::ModuleValue { key, value: ModuleReader::new(false) }
                    }
                    (kind, _) => {
                        let value = Box::new(ValueReader::new(kind)?);
                        State::Value { kind, key, value }
                    }
                };
                Ok(Step::Again)
            }
            State::ModuleAux(aux) => {
                let module = aux.step(cursor)?;
                self.state = State::Record;
                Ok(Step::Record(Record::ModuleAux { module }))
            }
            State::ModuleValue { key, value } => {
                self.doing = Doing::Value;
                let module = value.step(cursor)?;
                let expire = core::mem::take(&mut self.attributes).expire;
                let key = core::mem::take(key);
                self.state = State::Record;
                Ok(Step::Record(Record::ModuleValue { key, expire, module }))
            }
            State::Value { key, value, .. } => {
                self.doing = Doing::Value;
                let value = value.step(cursor, &self.options.limits)?;
                let entry = entry(key, value, self.attributes, &self.options);
                self.attributes = Attributes::default();
                self.state = State::Record;
                Ok(Step::Record(Record::Entry(entry)))
            }
            State::Checksum => {
                self.doing = Doing::Checksum;
                let sum = u64::from_le_bytes(cursor.array()?);
                cursor.commit();
                self.state = State::Done;
                Ok(Step::Sum(sum))
            }
            State::Done => Ok(Step::End),
        }
    }

    fn record(&mut self, cursor: &mut Cursor<'_>) -> Result<Step, Stop> {
        self.doing = Doing::Type;
        let code = cursor.byte()?;
        let record = match code {
            opcode::EXPIRETIME_MS => {
                self.doing = Doing::Expire;
                self.attributes.expire = time(i64::from_le_bytes(cursor.array()?));
                return Ok(Step::Again);
            }
            opcode::EXPIRETIME => {
                self.doing = Doing::Expire;
                let seconds = i64::from(i32::from_le_bytes(cursor.array()?));
                self.attributes.expire = time(seconds * 1_000);
                return Ok(Step::Again);
            }
            opcode::IDLE => {
                self.attributes.idle = Some(cursor.len()?);
                return Ok(Step::Again);
            }
            opcode::FREQ => {
                self.attributes.freq = Some(cursor.byte()?);
                return Ok(Step::Again);
            }
            opcode::SELECTDB => {
                self.doing = Doing::Len;
                Record::Select(cursor.len()?)
            }
            opcode::RESIZEDB => {
                self.doing = Doing::Len;
                Record::Resize { keys: cursor.len()?, expiring: cursor.len()? }
            }
            opcode::AUX => {
                self.doing = Doing::Aux;
                let (name, value) = (cursor.text()?, cursor.text()?);
                Record::Aux { name: name.bytes()?.into_owned(), value: value.bytes()?.into_owned() }
            }
            opcode::FUNCTION2 => {
                self.doing = Doing::Function;
                Record::Function(cursor.text()?.bytes()?.into_owned())
            }
            opcode::FUNCTION_PRE_GA => {
                self.doing = Doing::Function;
                Record::Function(early_function(cursor)?)
            }
            opcode::MODULE_AUX => {
                self.doing = Doing::ModuleAux;
                self.state = State::ModuleAux(ModuleReader::new(true));
                return Ok(Step::Again);
            }
            opcode::EOF if self.version < 5 => {
                self.state = State::Done;
                Record::End(Checksum::Absent)
            }
            opcode::EOF => {
                self.state = State::Checksum;
                return Ok(Step::Eof);
            }
            kind => {
                if usize::from(kind) >= kind::NAMES.len() || kind == 8 {
                    return Stop::bad(format!("Invalid object type: {kind}"));
                }
                self.state = State::Key(kind);
                return Ok(Step::Again);
            }
        };
        Ok(Step::Record(record))
    }

    /// Resets the current key, and returns it.
    fn skip_key(&mut self) -> Vec<u8> {
        self.attributes = Attributes::default();
        match core::mem::replace(&mut self.state, State::Record) {
            State::Value { key, .. } => key,
            _ => Vec::new(),
        }
    }
}

fn magic(bytes: [u8; 9]) -> Result<u16, Stop> {
    let Some(version) = bytes.strip_prefix(b"REDIS") else {
        return Stop::bad("Wrong signature trying to load DB from file");
    };
    let version = core::str::from_utf8(version).ok().and_then(|v| v.parse().ok()).unwrap_or(0);
    if !(1..=NEWEST_VERSION).contains(&version) {
        return Stop::bad(format!("Can't handle RDB format version {version}"));
    }
    Ok(version)
}

/// A function library in the format of the release candidates of Redis 7.0, converted to that of
/// 7.0.
fn early_function(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, Stop> {
    let (name, engine, described) = (cursor.text()?, cursor.text()?, cursor.len()?);
    if described != 0 {
        cursor.text()?;
    }
    let code = cursor.text()?;
    let mut library = b"#!".to_vec();
    library.extend_from_slice(&engine.bytes()?);
    library.extend_from_slice(b" name=");
    library.extend_from_slice(&name.bytes()?);
    library.push(b'\n');
    library.extend_from_slice(&code.bytes()?);
    Ok(library)
}

/// An expiry time: -1 means none, and other negative times have passed.
fn time(ms: i64) -> Option<u64> {
    (ms != -1).then(|| u64::try_from(ms).unwrap_or(0))
}

fn entry(key: &[u8], value: Value, attributes: Attributes, options: &ReadOptions) -> Entry {
    let Attributes { expire, idle, freq } = attributes;
    let now = options.now_ms;
    let clock = match (options.access, idle, freq) {
        (AccessPolicy::Lfu { .. }, _, Some(freq)) => AccessClock::with_freq(freq, now),
        (AccessPolicy::Lru, Some(idle), _) => {
            AccessClock::idle_since(idle.saturating_mul(1_000), now)
        }
        (access, _, _) => AccessClock::new(access, now),
    };
    Entry::saved(key, value, expire, clock)
}
