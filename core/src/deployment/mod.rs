//! A deployment of real servers, as its nodes describe it.
//!
//! * [`Report`] is what one node answered: INFO, and CLUSTER NODES or the tables of a Sentinel. It
//!   names the other nodes, which is how a whole deployment is discovered from one address.
//! * [`Inquiry`] says which commands to send next, so that a report is complete.
//! * [`Deployment`] is the picture that the reports make together: roles, replication, slots, and
//!   what the nodes hold of each other.
//! * [`Change`] is a difference between two pictures: a failover, a broken link, slots that moved.
//!
//! Nothing here connects to anything: `limpid playground --attach` does, and the page draws it. All
//! commands only read.

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
