//! What the tests that need more than one crate, or a real peer, have in common.

pub mod chaos;
pub mod client;
pub mod clusters;
pub mod crashes;
pub mod hostile;
pub mod kills;
pub mod process;
pub mod proxies;
pub mod proxy;
pub mod replicas;
pub mod sentinels;
pub mod soak;
pub mod turns;
pub mod wait;
