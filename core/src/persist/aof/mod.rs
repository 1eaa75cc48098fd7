//! The append-only file as it lies on disk: the manifest that names its parts, and the records in
//! them.

pub mod commands;
pub mod manifest;
pub mod records;

mod stream;

pub use commands::{CommandWriter, EntryCommands};
pub use manifest::{Kind, Manifest, ManifestError, Part};
pub use records::{BadRecord, Record, Records};

/// The longest line of a part that is no argument, with its end: Redis's
/// `AOF_ANNOTATION_LINE_MAX_LEN`.
pub const MAX_LINE: usize = 1024;

/// What a line begins with that tells when the commands behind it were carried out.
pub const TIMESTAMP: &[u8] = b"#TS:";

/// What every RDB begins with, and so a base part in that format.
pub const RDB_MAGIC: &[u8] = b"REDIS";

/// Appends a line that tells when the commands behind it were carried out, in seconds since 1970.
pub fn write_timestamp(out: &mut Vec<u8>, seconds: u64) {
    out.extend_from_slice(TIMESTAMP);
    out.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
    out.extend_from_slice(b"\r\n");
}
