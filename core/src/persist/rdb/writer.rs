//! Encodes an RDB file, record by record.

use super::crc64::Crc64;
use super::entry_writer::{self, EntryWriter};
use super::lzf::{Compressor, Pass};
use super::string::{put_len, put_string};
use super::{WRITTEN_VERSION, opcode, string};
use crate::store::{AccessPolicy, Entry, Keyed};

/// Options for writing an RDB file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Whether strings are compressed (`rdbcompression`).
    pub compression: bool,
    /// Whether there is a checksum at the end (`rdbchecksum`); if not, it is zero.
    pub checksum: bool,
    /// The meaning of the access clocks, if they are written: when `maxmemory-policy` is LRU or
    /// LFU.
    pub access: Option<AccessPolicy>,
    /// The current time in milliseconds since 1970, to which idle times are relative.
    pub now_ms: u64,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { compression: true, checksum: true, access: None, now_ms: 0 }
    }
}

/// The auxiliary fields at the beginning of a file.
#[derive(Clone, Copy, Debug)]
pub struct Preamble<'a> {
    /// The version of the server (`redis-ver`).
    pub version: &'a str,
    /// The time of the snapshot, in seconds since 1970 (`ctime`).
    pub created_s: u64,
    /// The memory used by the data, in bytes (`used-mem`).
    pub used_memory: u64,
    /// The replication state, if there is a backlog.
    pub replication: Option<ReplicationState<'a>>,
    /// Whether this is the base of an append-only file (`aof-base`).
    pub aof_base: bool,
}

/// The position in the replication stream at the time of the snapshot.
#[derive(Clone, Copy, Debug)]
pub struct ReplicationState<'a> {
    /// The database that is selected in the stream (`repl-stream-db`); -1 if none is yet.
    pub stream_db: i64,
    /// The replication ID of the stream, forty characters (`repl-id`).
    pub id: &'a str,
    /// The replication offset (`repl-offset`).
    pub offset: u64,
}

/// An encoder of an RDB file with a buffer, from which the bytes are [taken](Writer::take).
///
/// The order of records is: the preamble; function libraries; for each database [`Writer::select`],
/// [`Writer::resize`] and its entries; and [`Writer::finish`].
#[derive(Clone, Debug)]
pub struct Writer {
    out: Vec<u8>,
    options: WriteOptions,
    compressor: Compressor,
    sum: Crc64,
    /// How many of the bytes in `out` are included in `sum`.
    summed: usize,
    /// How many bytes have been taken.
    taken: u64,
}

impl Writer {
    /// A writer that has written the magic string only.
    pub fn new(options: WriteOptions) -> Self {
        let mut writer = Self::bare(options);
        writer.out.extend_from_slice(format!("REDIS{WRITTEN_VERSION:04}").as_bytes());
        writer
    }

    /// A writer that has written nothing, not even the magic string.
    pub(super) fn bare(options: WriteOptions) -> Self {
        Self {
            out: Vec::new(),
            options,
            compressor: Compressor::default(),
            sum: Crc64::new(),
            summed: 0,
            taken: 0,
        }
    }

    /// Writes the auxiliary fields about the file.
    pub fn preamble(&mut self, preamble: &Preamble<'_>) {
        let Preamble { version, created_s, used_memory, replication, aof_base } = preamble;
        self.aux("redis-ver", version);
        self.aux("redis-bits", "64");
        self.aux("ctime", &created_s.to_string());
        self.aux("used-mem", &used_memory.to_string());
        if let Some(ReplicationState { stream_db, id, offset }) = replication {
            self.aux("repl-stream-db", &stream_db.to_string());
            self.aux("repl-id", id);
            self.aux("repl-offset", &offset.to_string());
        }
        self.aux("aof-base", if *aof_base { "1" } else { "0" });
    }

    /// Writes an auxiliary field. Readers skip fields that they do not know.
    pub fn aux(&mut self, name: &str, value: &str) {
        self.out.push(opcode::AUX);
        self.string(name.as_bytes());
        self.string(value.as_bytes());
    }

    /// Writes a function library: its source.
    pub fn function(&mut self, code: &[u8]) {
        self.out.push(opcode::FUNCTION2);
        self.string(code);
    }

    /// Selects the database of the entries that follow.
    pub fn select(&mut self, db: u64) {
        self.out.push(opcode::SELECTDB);
        self.len_field(db);
    }

    /// Writes the number of keys in the selected database, and of those that expire, so that a
    /// reader can reserve memory.
    pub fn resize(&mut self, keys: u64, expiring: u64) {
        self.out.push(opcode::RESIZEDB);
        self.len_field(keys);
        self.len_field(expiring);
    }

    /// Writes an entry. Of a large one only the beginning is written; the returned writer must
    /// write the rest in slices before anything else is written.
    #[must_use = "a large entry has to be written to its end"]
    pub fn entry(&mut self, entry: &Entry) -> Option<EntryWriter> {
        if let Some(at) = entry.expire() {
            self.out.push(opcode::EXPIRETIME_MS);
            self.out.extend_from_slice(&at.to_le_bytes());
        }
        let now = self.options.now_ms;
        match self.options.access {
            Some(AccessPolicy::Lru) => {
                self.out.push(opcode::IDLE);
                self.len_field(entry.clock().idle_seconds(now));
            }
            Some(AccessPolicy::Lfu { decay_minutes, .. }) => {
                self.out.push(opcode::FREQ);
                self.out.push(entry.clock().freq(decay_minutes, now));
            }
            None => {}
        }
        self.out.push(entry_writer::kind_of(entry.value()));
        self.string(entry.key());
        entry_writer::begin(self, entry)
    }

    /// Writes the end mark and the checksum.
    pub fn finish(&mut self) {
        self.out.push(opcode::EOF);
        self.update_checksum();
        let sum = if self.options.checksum { self.sum.value() } else { 0 };
        self.out.extend_from_slice(&sum.to_le_bytes());
        self.summed = self.out.len();
    }

    /// Ends a payload, and takes it.
    pub(super) fn finish_payload(&mut self) -> Vec<u8> {
        self.out.extend_from_slice(&WRITTEN_VERSION.to_le_bytes());
        let mut payload = self.take();
        payload.extend_from_slice(&self.sum.value().to_le_bytes());
        self.sum = Crc64::new();
        payload
    }

    /// The number of bytes in the buffer.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the buffer is empty.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The total number of bytes written, including those that were taken.
    pub fn written(&self) -> u64 {
        self.taken + self.out.len() as u64
    }

    /// Takes the bytes out of the buffer.
    pub fn take(&mut self) -> Vec<u8> {
        self.update_checksum();
        self.summed = 0;
        self.taken += self.out.len() as u64;
        core::mem::take(&mut self.out)
    }

    pub(super) fn len_field(&mut self, len: u64) {
        put_len(&mut self.out, len);
    }

    pub(super) fn string(&mut self, text: &[u8]) {
        let compressor = self.options.compression.then_some(&mut self.compressor);
        put_string(&mut self.out, text, compressor);
    }

    /// Starts to compress a string, if compression is enabled.
    pub(super) fn begin_compression(&mut self, text: &[u8]) -> Option<Box<Pass>> {
        let pass = self.options.compression.then(|| self.compressor.begin(text, Vec::new()));
        pass.flatten().map(Box::new)
    }

    /// Compresses `budget` more bytes. Returns whether it is worthwhile, once that is known.
    pub(super) fn compress_step(
        &mut self,
        pass: &mut Pass,
        text: &[u8],
        budget: usize,
    ) -> Option<bool> {
        let limit = text.len().saturating_sub(string::WORTHWHILE);
        self.compressor.step(pass, text, limit, budget)
    }

    /// Writes the header of a compressed string.
    pub(super) fn lzf_header(&mut self, compressed: u64, len: u64) {
        self.out.push(string::LZF);
        self.len_field(compressed);
        self.len_field(len);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Adds new bytes to the checksum. That also happens when bytes are taken, but then for all of
    /// them at once.
    pub fn update_checksum(&mut self) {
        if self.options.checksum {
            self.sum.update(self.out.get(self.summed..).unwrap_or_default());
        }
        self.summed = self.out.len();
    }
}
