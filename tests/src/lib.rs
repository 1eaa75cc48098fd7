//! What the tests that need more than one crate, or a real peer, have in common.

pub mod client;
pub mod process;
