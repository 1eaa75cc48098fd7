//! Writing an RDB file, record by record.

use super::crc64::Crc64;
use super::entry_writer::{self, EntryWriter};
use super::lzf::{Compressor, Pass};
use super::string::{put_len, put_string};
use super::{WRITTEN_VERSION, opcode, string};
use crate::store::{AccessPolicy, Entry, Keyed};

/// What is written, besides the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Whether strings are compressed (`rdbcompression`).
    pub compression: bool,
    /// Whether there is a checksum at the end (`rdbchecksum`); if not, it is zero.
    pub checksum: bool,
    /// What access clocks count, if they are written: when `maxmemory-policy` is one of LRU or LFU.
    pub access: Option<AccessPolicy>,
    /// The wall clock in milliseconds since 1970, from which idle times are reckoned.
    pub now_ms: u64,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { compression: true, checksum: true, access: None, now_ms: 0 }
    }
}

/// The fields about itself that a file begins with.
#[derive(Clone, Copy, Debug)]
pub struct Preamble<'a> {
    /// The version of the server (`redis-ver`).
    pub version: &'a str,
    /// When the data was as it is written, in seconds since 1970 (`ctime`).
    pub created_s: u64,
    /// How much memory the data takes, in bytes (`used-mem`).
    pub used_memory: u64,
    /// Where the stream of replication stood, if there is one.
    pub replication: Option<ReplicationState<'a>>,
    /// Whether this is the base of an append-only file (`aof-base`).
    pub aof_base: bool,
}

/// Where the stream of replication stood when the data was as it is written.
#[derive(Clone, Copy, Debug)]
pub struct ReplicationState<'a> {
    /// The database that is selected in the stream (`repl-stream-db`); -1 if none is yet.
    pub stream_db: i64,
    /// The forty letters that name the stream (`repl-id`).
    pub id: &'a str,
    /// How many bytes of the stream there had been (`repl-offset`).
    pub offset: u64,
}

/// Writes an RDB file into a buffer, from which the bytes are [taken](Writer::take) as they come.
///
/// Records are written one after the other: the preamble; libraries of functions; for each
/// database [`Writer::select`], [`Writer::resize`] and its entries; and [`Writer::finish`].
#[derive(Clone, Debug)]
pub struct Writer {
    out: Vec<u8>,
    options: WriteOptions,
    compressor: Compressor,
    sum: Crc64,
    /// How many of the bytes in `out` are in `sum`.
    summed: usize,
    /// How many bytes have been taken.
    taken: u64,
}

impl Writer {
    /// A file that has its magic word and nothing else.
    pub fn new(options: WriteOptions) -> Self {
        let mut writer = Self::bare(options);
        writer.out.extend_from_slice(format!("REDIS{WRITTEN_VERSION:04}").as_bytes());
        writer
    }

    /// Nothing yet, not even the magic word.
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

    /// Writes the fields that tell about the file.
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

    /// Writes a library of functions: its source text.
    pub fn function(&mut self, code: &[u8]) {
        self.out.push(opcode::FUNCTION2);
        self.string(code);
    }

    /// The entries that follow belong to this database.
    pub fn select(&mut self, db: u64) {
        self.out.push(opcode::SELECTDB);
        self.len_field(db);
    }

    /// Tells how many keys the selected database has, and how many of them expire, so that a reader can
    /// make room.
    pub fn resize(&mut self, keys: u64, expiring: u64) {
        self.out.push(opcode::RESIZEDB);
        self.len_field(keys);
        self.len_field(expiring);
    }

    /// Writes an entry. Of a large one only the beginning is written now; what comes back writes
    /// the rest in slices, and nothing else may be written before it is done.
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
        self.add_up();
        let sum = if self.options.checksum { self.sum.value() } else { 0 };
        self.out.extend_from_slice(&sum.to_le_bytes());
        self.summed = self.out.len();
    }

    /// Ends what is a payload by itself, and takes it.
    pub(super) fn finish_payload(&mut self) -> Vec<u8> {
        self.out.extend_from_slice(&WRITTEN_VERSION.to_le_bytes());
        let mut payload = self.take();
        payload.extend_from_slice(&self.sum.value().to_le_bytes());
        self.sum = Crc64::new();
        payload
    }

    /// How many bytes are there to be taken.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether there is nothing to be taken.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// How many bytes have been written in all, with those that were taken.
    pub fn written(&self) -> u64 {
        self.taken + self.out.len() as u64
    }

    /// Takes what has been written since it was taken last.
    pub fn take(&mut self) -> Vec<u8> {
        self.add_up();
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

    /// Begins to compress a string, if strings are to be compressed.
    pub(super) fn begin_squeeze(&mut self, text: &[u8]) -> Option<Box<Pass>> {
        let pass = self.options.compression.then(|| self.compressor.begin(text, Vec::new()));
        pass.flatten().map(Box::new)
    }

    /// Compresses `budget` bytes more: whether it is worth it, when that is known.
    pub(super) fn go_on_squeezing(
        &mut self,
        pass: &mut Pass,
        text: &[u8],
        budget: usize,
    ) -> Option<bool> {
        let limit = text.len().saturating_sub(string::WORTHWHILE);
        self.compressor.go_on(pass, text, limit, budget)
    }

    /// Announces a compressed string.
    pub(super) fn lzf_head(&mut self, compressed: u64, len: u64) {
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

    /// Takes what is new into the checksum. That is done anyhow when bytes are taken, but then of
    /// all of them at once.
    pub fn add_up(&mut self) {
        if self.options.checksum {
            self.sum.update(self.out.get(self.summed..).unwrap_or_default());
        }
        self.summed = self.out.len();
    }
}
