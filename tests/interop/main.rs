//! Redis's own programs as clients of Limpid, and as a mirror for it.

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
