//! The payloads of DUMP and RESTORE: one value, a version and a checksum.

use core::fmt;

use super::crc64::Crc64;
use super::cursor::{Cursor, Stop};
use super::entry_writer::{self, EntryWriter};
use super::value_reader::ValueReader;
use super::writer::{WriteOptions, Writer};
use super::{NEWEST_VERSION, opcode};
use crate::store::value::Limits;
use crate::store::{Entry, Value, ValueRef};

/// Bytes of version and checksum.
const FOOTER: usize = 10;

/// Why a payload cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// It is of a newer version, or its checksum is wrong.
    Footer,
    /// It holds something else than libraries of functions.
    NotALibrary,
    /// What it holds is not a value.
    Value {
        /// Where it goes wrong, in bytes.
        offset: usize,
        /// What is wrong there.
        reason: String,
    },
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PayloadError::Footer => f.write_str("DUMP payload version or checksum are wrong"),
            PayloadError::NotALibrary => f.write_str("given type is not a function"),
            PayloadError::Value { offset, reason } => write!(f, "offset {offset} -> {reason}"),
        }
    }
}

impl core::error::Error for PayloadError {}

/// The payload of a value, which Redis 7.0 and later take.
pub fn dump(value: ValueRef<'_>, compression: bool) -> Vec<u8> {
    let mut writer = Writer::bare(WriteOptions { compression, ..WriteOptions::default() });
    EntryWriter::whole(&mut writer, value);
    writer.finish_payload()
}

/// Makes payloads, one after the other, in slices.
#[derive(Clone, Debug)]
pub struct PayloadWriter {
    writer: Writer,
    rest: Option<EntryWriter>,
}

impl PayloadWriter {
    /// One that has nothing to do yet.
    pub fn new(compression: bool) -> Self {
        let options = WriteOptions { compression, ..WriteOptions::default() };
        Self { writer: Writer::bare(options), rest: None }
    }

    /// Begins the payload of an entry as it is now. Of a small one nothing is missing but the end.
    pub fn begin(&mut self, entry: &Entry) {
        self.writer.raw(&[entry_writer::kind_of(entry.value())]);
        self.rest = entry_writer::begin(&mut self.writer, entry);
    }

    /// Writes about `budget` bytes more. Gives the payload when it is complete.
    pub fn step(&mut self, budget: usize) -> Option<Vec<u8>> {
        if let Some(rest) = &mut self.rest
            && !rest.step(&mut self.writer, budget)
        {
            self.writer.add_up();
            return None;
        }
        Some(self.writer.finish_payload())
    }

    /// Whether the payload needs no copy of the entry any more.
    pub fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// The copy of the entry, when it is not needed any more.
    pub fn take_copy(&mut self) -> Option<Entry> {
        self.rest.take().map(EntryWriter::into_entry)
    }
}

/// How many bytes a value takes in a file, without its key and the byte that tells its form.
pub fn serialized_len(value: ValueRef<'_>, compression: bool) -> usize {
    dump(value, compression).len() - FOOTER - 1
}

/// The value that a payload holds, after checking every byte of it. Without `checksum` the
/// checksum may be wrong.
pub fn restore(payload: &[u8], limits: &Limits, checksum: bool) -> Result<Value, PayloadError> {
    let mut cursor = Cursor::new(body_of(payload, checksum)?);
    value(&mut cursor, limits).map_err(|stop| stopped(&cursor, stop))
}

/// What a payload holds before its footer, after checking that.
fn body_of(payload: &[u8], checksum: bool) -> Result<&[u8], PayloadError> {
    let body = payload.len().checked_sub(FOOTER).ok_or(PayloadError::Footer)?;
    let (body, footer) = payload.split_at(body);
    let (version, sum) = match *footer {
        [a, b, ref sum @ ..] => (u16::from_le_bytes([a, b]), sum),
        _ => return Err(PayloadError::Footer),
    };
    let summed = payload.get(..payload.len() - sum.len()).unwrap_or_default();
    if version > NEWEST_VERSION || (checksum && Crc64::of(summed).to_le_bytes() != *sum) {
        return Err(PayloadError::Footer);
    }
    Ok(body)
}

fn stopped(cursor: &Cursor<'_>, stop: Stop) -> PayloadError {
    PayloadError::Value {
        offset: cursor.position(),
        reason: match stop {
            Stop::More => "Unexpected end".to_owned(),
            Stop::Bad(reason) => reason.into_owned(),
            Stop::Empty => "No elements".to_owned(),
        },
    }
}

/// The payload of libraries of functions, which FUNCTION DUMP gives.
pub fn dump_libraries<'a>(sources: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut writer = Writer::bare(WriteOptions::default());
    for source in sources {
        writer.function(source);
    }
    writer.finish_payload()
}

/// The sources of the libraries that a payload holds.
pub fn restore_libraries(payload: &[u8]) -> Result<Vec<Vec<u8>>, PayloadError> {
    let body = body_of(payload, true)?;
    let mut cursor = Cursor::new(body);
    let mut sources = Vec::new();
    while cursor.position() < body.len() {
        if body.get(cursor.position()) != Some(&opcode::FUNCTION2) {
            return Err(PayloadError::NotALibrary);
        }
        let source = library(&mut cursor).map_err(|stop| stopped(&cursor, stop))?;
        sources.push(source);
    }
    Ok(sources)
}

fn library(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, Stop> {
    cursor.byte()?;
    Ok(cursor.text()?.bytes()?.into_owned())
}

fn value(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Value, Stop> {
    let kind = cursor.byte()?;
    cursor.commit();
    ValueReader::new(kind)?.step(cursor, limits)
}
