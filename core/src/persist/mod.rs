//! Serialization formats for disk and replication: RDB, and the manifest and records of the
//! append-only file.
//!
//! Only encoding and decoding is here: when data is written, and where it comes from, is decided in
//! [`server`](crate::server).

pub mod aof;
pub mod rdb;
