//! The on-disk format of the append-only file: the manifest, and the records in its files.

pub mod commands;
pub mod manifest;
pub mod records;

mod stream;

pub use commands::{CommandWriter, EntryCommands};
pub use manifest::{Kind, Manifest, ManifestError, Part};
pub use records::{BadRecord, Record, Records};

/// The longest line that is not an argument, including its end: Redis's
/// `AOF_ANNOTATION_LINE_MAX_LEN`.
pub const MAX_LINE: usize = 1024;

/// The beginning of a timestamp annotation, which says when the following commands were executed.
pub const TIMESTAMP: &[u8] = b"#TS:";

/// The magic of an RDB file, and so of a base file in RDB format.
pub const RDB_MAGIC: &[u8] = b"REDIS";

/// Appends a timestamp annotation for the following commands, in seconds since 1970.
pub fn write_timestamp(out: &mut Vec<u8>, seconds: u64) {
    out.extend_from_slice(TIMESTAMP);
    out.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
    out.extend_from_slice(b"\r\n");
}
