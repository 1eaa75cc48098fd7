//! The payloads of DUMP and RESTORE: one value, a version and a checksum.

use core::fmt;

use super::crc64::Crc64;
use super::cursor::{Cursor, Stop};
use super::entry_writer::EntryWriter;
use super::value_reader::ValueReader;
use super::writer::{WriteOptions, Writer};
use super::{NEWEST_VERSION, WRITTEN_VERSION};
use crate::store::value::Limits;
use crate::store::{Value, ValueRef};

/// Bytes of version and checksum.
const FOOTER: usize = 10;

/// Why a payload cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// It is of a newer version, or its checksum is wrong.
    Footer,
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
            PayloadError::Value { offset, reason } => write!(f, "offset {offset} -> {reason}"),
        }
    }
}

impl core::error::Error for PayloadError {}

/// The payload of a value, which Redis 7.0 and later take.
pub fn dump(value: ValueRef<'_>, compression: bool) -> Vec<u8> {
    let mut writer = Writer::bare(WriteOptions { compression, ..WriteOptions::default() });
    EntryWriter::whole(&mut writer, value);
    writer.raw(&WRITTEN_VERSION.to_le_bytes());
    let mut payload = writer.take();
    let sum = Crc64::of(&payload);
    payload.extend_from_slice(&sum.to_le_bytes());
    payload
}

/// How many bytes a value takes in a file, without its key and the byte that tells its form.
pub fn serialized_len(value: ValueRef<'_>, compression: bool) -> usize {
    dump(value, compression).len() - FOOTER - 1
}

/// The value that a payload holds, after checking every byte of it. Without `checksum` the
/// checksum may be wrong.
pub fn restore(payload: &[u8], limits: &Limits, checksum: bool) -> Result<Value, PayloadError> {
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
    let mut cursor = Cursor::new(body);
    value(&mut cursor, limits).map_err(|stop| PayloadError::Value {
        offset: cursor.position(),
        reason: match stop {
            Stop::More => "Unexpected end".to_owned(),
            Stop::Bad(reason) => reason.into_owned(),
            Stop::Empty => "No elements".to_owned(),
        },
    })
}

fn value(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Value, Stop> {
    let kind = cursor.byte()?;
    cursor.commit();
    ValueReader::new(kind)?.step(cursor, limits)
}
