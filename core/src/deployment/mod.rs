//! A deployment of real servers, as its nodes report it.
//!
//! * [`Report`] is what one node replied to INFO, and to CLUSTER NODES or a Sentinel's commands. It
//!   names other nodes, by which a whole deployment is discovered from one address.
//! * [`Inquiry`] gives the commands to send to a node for a complete report.
//! * [`Deployment`] is the picture that all reports give: roles, replication, slots, and what the
//!   nodes know about each other.
//! * [`Change`] is a difference between two pictures, such as a failover, a broken link or moved
//!   slots.
//!
//! Nothing here opens connections: `limpid playground --attach` does, and the page draws the
//! picture. All commands are read-only.

mod change;
mod inquiry;
mod picture;
mod report;

#[cfg(test)]
mod tests;

pub use change::{Change, changes};
pub use inquiry::Inquiry;
pub use picture::{ClusterRole, Deployment, Judgement, Link, Node};
pub use report::{Kind, Report, Watched};
