//! The harness for tests that need several crates or real processes.

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
pub mod seeds;
pub mod sentinels;
pub mod soak;
pub mod turns;
pub mod wait;
