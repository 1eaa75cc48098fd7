//! Tests with Redis's own programs: as clients and peers of Limpid, and for comparison.

mod acl;
mod aof;
mod cli;
mod cluster;
mod differential;
mod durable;
mod failover;
mod full;
mod lessons;
mod libraries;
mod migrate;
mod mixed;
mod native;
mod programs;
mod proxies;
mod rdb;
mod replication;
mod saving;
mod sentinels;
mod table;
