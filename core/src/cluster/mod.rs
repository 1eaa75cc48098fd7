//! Redis Cluster: slot ownership, failure detection and failover.
//!
//! * [`bus`]: the messages between nodes and their binary form;
//! * [`NodesConf`]: the file in which a node keeps what it knows;
//! * [`Cluster`]: the state machine of one node. It takes messages, times and a short description
//!   ([`Local`]) of the server that it belongs to, and gives [`Effect`]s;
//! * [`SlotSet`], [`NodeId`], [`NodeFlags`]: the words that all of these use.
//!
//! Connections, commands and keys are not here: the server carries the effects out, asks
//! [`Cluster::route`] where a command belongs, and answers `CLUSTER`.

pub mod bus;
mod flags;
mod node_id;
mod nodes_conf;
mod slot_set;
pub mod state;

pub use flags::NodeFlags;
pub use node_id::NodeId;
pub use nodes_conf::{Damaged, Direction, NodeLine, NodesConf, OpenSlot};
pub use slot_set::SlotSet;
pub use state::{Cluster, Effect, LinkId, Local, PreferredEndpoint, Settings};

/// How far the port of the bus is from the port for clients, unless `cluster-port` says otherwise.
pub const BUS_PORT_OFFSET: u16 = 10_000;
