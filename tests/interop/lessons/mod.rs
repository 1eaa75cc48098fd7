//! What the notes of people who learned Redis tell to type, and what it gives: with Limpid under
//! Redis's names, and in the page's terminal.

mod cluster;
mod replication;
mod typing;
