//! RDB, Redis's binary format for data: for files, full synchronization of replicas, and the
//! payloads of DUMP.
//!
//! A file is a magic string with a version, records that each begin with a type byte (an auxiliary
//! field, a database, a key with its value), an end mark and a checksum. [`Writer`] encodes them
//! and [`Reader`] decodes them, in pieces of any size; neither knows of files or servers.
//!
//! It writes version 10, which Redis 7.0 and later read, and reads everything that Redis 2.8 to 7.2
//! write. The constants below are those of Redis's `rdb.h`.

pub mod commands;

mod check;
mod crc64;
mod cursor;
mod entry_writer;
mod lzf;
mod module;
mod packed;
mod payload;
mod reader;
mod stream;
mod string;
#[cfg(test)]
mod tests;
mod value_reader;
mod writer;
mod ziplist;
mod zipmap;

pub use check::Checker;
pub use crc64::Crc64;
pub use entry_writer::EntryWriter;
pub use lzf::Compressor;
pub use payload::{
    PayloadError, PayloadWriter, dump, dump_libraries, restore, restore_libraries, serialized_len,
};
pub use reader::{Checksum, Doing, Modules, RdbError, ReadOptions, Reader, Record};
pub use writer::{Preamble, ReplicationState, WriteOptions, Writer};

/// The version that is written: the newest that Redis 7.0 reads.
pub const WRITTEN_VERSION: u16 = 10;
/// The newest version that is read: that of Redis 7.2.
pub const NEWEST_VERSION: u16 = 11;

/// The type bytes of values.
mod kind {
    pub(super) const STRING: u8 = 0;
    pub(super) const LIST: u8 = 1;
    pub(super) const SET: u8 = 2;
    pub(super) const ZSET: u8 = 3;
    pub(super) const HASH: u8 = 4;
    pub(super) const ZSET_2: u8 = 5;
    pub(super) const MODULE_PRE_GA: u8 = 6;
    pub(super) const MODULE_2: u8 = 7;
    pub(super) const HASH_ZIPMAP: u8 = 9;
    pub(super) const LIST_ZIPLIST: u8 = 10;
    pub(super) const SET_INTSET: u8 = 11;
    pub(super) const ZSET_ZIPLIST: u8 = 12;
    pub(super) const HASH_ZIPLIST: u8 = 13;
    pub(super) const LIST_QUICKLIST: u8 = 14;
    pub(super) const STREAM_LISTPACKS: u8 = 15;
    pub(super) const HASH_LISTPACK: u8 = 16;
    pub(super) const ZSET_LISTPACK: u8 = 17;
    pub(super) const LIST_QUICKLIST_2: u8 = 18;
    pub(super) const STREAM_LISTPACKS_2: u8 = 19;
    pub(super) const SET_LISTPACK: u8 = 20;
    pub(super) const STREAM_LISTPACKS_3: u8 = 21;

    /// The names that `redis-check-rdb` prints, by number.
    pub(super) const NAMES: [&str; 22] = [
        "string",
        "list-linked",
        "set-hashtable",
        "zset-v1",
        "hash-hashtable",
        "zset-v2",
        "module-pre-release",
        "module-value",
        "",
        "hash-zipmap",
        "list-ziplist",
        "set-intset",
        "zset-ziplist",
        "hash-ziplist",
        "quicklist",
        "stream",
        "hash-listpack",
        "zset-listpack",
        "quicklist-v2",
        "stream-v2",
        "set-listpack",
        "stream-v3",
    ];
}

/// The name of a value type, as `redis-check-rdb` prints it.
pub fn kind_name(kind: u8) -> &'static str {
    kind::NAMES.get(usize::from(kind)).copied().unwrap_or("unknown")
}

/// The opcodes: the first byte of every other record.
mod opcode {
    pub(super) const FUNCTION2: u8 = 245;
    pub(super) const FUNCTION_PRE_GA: u8 = 246;
    pub(super) const MODULE_AUX: u8 = 247;
    pub(super) const IDLE: u8 = 248;
    pub(super) const FREQ: u8 = 249;
    pub(super) const AUX: u8 = 250;
    pub(super) const RESIZEDB: u8 = 251;
    pub(super) const EXPIRETIME_MS: u8 = 252;
    pub(super) const EXPIRETIME: u8 = 253;
    pub(super) const SELECTDB: u8 = 254;
    pub(super) const EOF: u8 = 255;
}

/// The containers of elements in the nodes of a `LIST_QUICKLIST_2`.
mod container {
    /// One element, unchanged.
    pub(super) const PLAIN: u64 = 1;
    /// A listpack.
    pub(super) const PACKED: u64 = 2;
}
