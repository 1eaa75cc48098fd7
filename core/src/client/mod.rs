//! redis-cli without a terminal, and clients that generate traffic. This is the parsing of lines,
//! the formats of replies, hints and completion, the session that combines them, and the clients as
//! [`Machine`]s.
//!
//! Nothing here reads keys or draws to a screen; `native` and `web` do.
//!
//! [`Machine`]: crate::machine::Machine

pub mod cluster_traffic;
pub mod format;
pub mod help;
mod hint;
pub mod machine;
pub use crate::resp::quote;
pub mod marks;
mod pace;
mod secrets;
pub mod session;
pub mod sharded;
pub mod traffic;

pub use cluster_traffic::{ClusterTraffic, ClusterTrafficConfig, ClusterTrafficStats, Routing};
pub use format::{Format, Output};
pub use help::Help;
pub use machine::{CliMachine, Printed};
pub use marks::Marks;
pub use session::{Action, Session, SessionConfig, Target, Waiting};
pub use sharded::{Sharded, ShardedConfig, ShardedStats};
pub use traffic::{Mix, Sentinels, Traffic, TrafficConfig, TrafficStats};
