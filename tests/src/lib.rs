//! What the tests that need more than one crate, or a real peer, have in common.

pub mod chaos;
pub mod client;
pub mod process;
pub mod replicas;
pub mod turns;
