//! Scenarios with a cluster whose clients keep it busy, and with nodes that are yet to become one.
//! Nodes are at 10.0.0.n, clients at 10.0.1.n.

use std::net::Ipv4Addr;

use crate::sim::{HostSpec, ProcessSpec, Scenario};
use crate::time::Duration;

use super::programs::CLUSTER_TRAFFIC;
use super::topology::{cluster, node, scenario};

/// [`cluster`] with two clients: `app-1` learns which node has which slot, `plain-1` knows one node
/// and goes where it is redirected to.
pub fn busy_cluster(primaries: u8, replicas: u8) -> Scenario {
    let mut scenario = cluster(primaries, replicas);
    scenario.name = format!("busy-{}", scenario.name);
    scenario.hosts.extend([client("app-1", 1, "learned"), client("plain-1", 2, "redirected")]);
    scenario
}

/// So many nodes (1 to 60) in cluster mode that have not met: each knows only itself and owns no
/// slot.
pub fn empty_nodes(count: u8) -> Scenario {
    let count = count.clamp(1, 60);
    scenario(format!("empty-nodes-{count}"), (1..=count).map(|n| node(n, count, None)))
}

/// A client of the cluster, which is told of two nodes.
fn client(name: &str, n: u8, routing: &str) -> HostSpec {
    let args = ["--node", "node-1", "--node", "node-2", "--rate", "10", "--routing", routing];
    let mut traffic = ProcessSpec::new(name, CLUSTER_TRAFFIC, &args);
    // A node that starts refuses keys until it has listened to the others for two seconds.
    traffic.delay = Duration::from_millis(2_500);
    HostSpec::new(name, Ipv4Addr::new(10, 0, 1, n)).with(traffic)
}
