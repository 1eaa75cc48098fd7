//! The forms that data takes on disk and on the wire between servers: RDB, and the manifest of the
//! append-only file.
//!
//! Here is how bytes are made and read, and nothing else: when they are written, and where they
//! come from, is decided in [`server`](crate::server).

pub mod aof;
pub mod rdb;
