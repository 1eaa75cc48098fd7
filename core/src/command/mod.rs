//! The shape of the command table, and the commands on data: one file a group, the groups of the
//! Redis documentation.
//!
//! A command that administers something (CLIENT, CONFIG, INFO) stands beside what it administers.
