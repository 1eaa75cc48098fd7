//! The commands of notes by people who learned Redis, with their expected output: run with Limpid
//! under Redis's names, and in the page's terminal.

mod cluster;
mod replication;
mod typing;
