//! Redis Cluster: slot ownership, failure detection and failover.
//!
//! * [`bus`]: the messages between nodes and their binary form;
//! * [`NodesConf`]: the file `nodes.conf`, in which a node saves its view of the cluster;
//! * [`Cluster`]: the state machine of one node. It takes messages, times and a short description
//!   ([`Local`]) of the server that it belongs to, and gives [`Effect`]s;
//! * [`SlotSet`], [`NodeId`], [`NodeFlags`]: types that all of these use.
//!
//! Connections, commands and keys are not handled here: the server carries out the effects, asks
//! [`Cluster::route`] which node has to serve a command, and answers `CLUSTER`.

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

/// What is added to the port for clients to get the bus port, unless `cluster-port` is set.
pub const BUS_PORT_OFFSET: u16 = 10_000;
