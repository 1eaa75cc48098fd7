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

/// The size of version and checksum in bytes.
const FOOTER: usize = 10;

/// Why a payload cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// Its version is newer, or its checksum is wrong.
    Footer,
    /// It contains something other than function libraries.
    NotALibrary,
    /// Its value is invalid.
    Value {
        /// The offset of the error, in bytes.
        offset: usize,
        /// The reason.
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

/// The payload of a value, which Redis 7.0 and later accept.
pub fn dump(value: ValueRef<'_>, compression: bool) -> Vec<u8> {
    let mut writer = Writer::bare(WriteOptions { compression, ..WriteOptions::default() });
    EntryWriter::whole(&mut writer, value);
    writer.finish_payload()
}

/// A writer of payloads, in slices.
#[derive(Clone, Debug)]
pub struct PayloadWriter {
    writer: Writer,
    rest: Option<EntryWriter>,
}

impl PayloadWriter {
    /// An idle writer.
    pub fn new(compression: bool) -> Self {
        let options = WriteOptions { compression, ..WriteOptions::default() };
        Self { writer: Writer::bare(options), rest: None }
    }

    /// Starts the payload of an entry in its current state. A small entry is written at once,
    /// except for the footer.
    pub fn begin(&mut self, entry: &Entry) {
        self.writer.raw(&[entry_writer::kind_of(entry.value())]);
        self.rest = entry_writer::begin(&mut self.writer, entry);
    }

    /// Writes about `budget` more bytes. Returns the payload when it is complete.
    pub fn step(&mut self, budget: usize) -> Option<Vec<u8>> {
        if let Some(rest) = &mut self.rest
            && !rest.step(&mut self.writer, budget)
        {
            self.writer.update_checksum();
            return None;
        }
        Some(self.writer.finish_payload())
    }

    /// Whether the copy of the entry is no longer needed.
    pub fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// Takes the copy of the entry, once it is no longer needed.
    pub fn take_copy(&mut self) -> Option<Entry> {
        self.rest.take().map(EntryWriter::into_entry)
    }
}

/// The size of a value in an RDB file, without its key and type byte.
pub fn serialized_len(value: ValueRef<'_>, compression: bool) -> usize {
    dump(value, compression).len() - FOOTER - 1
}

/// Decodes and validates the value of a payload. Without `checksum`, a wrong checksum is accepted.
pub fn restore(payload: &[u8], limits: &Limits, checksum: bool) -> Result<Value, PayloadError> {
    let mut cursor = Cursor::new(body_of(payload, checksum)?);
    value(&mut cursor, limits).map_err(|stop| stopped(&cursor, stop))
}

/// The content of a payload before its footer, which is validated.
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

/// The payload of FUNCTION DUMP: function libraries.
pub fn dump_libraries<'a>(sources: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut writer = Writer::bare(WriteOptions::default());
    for source in sources {
        writer.function(source);
    }
    writer.finish_payload()
}

/// The sources of the libraries in a payload.
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
