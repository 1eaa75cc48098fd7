//! Scenarios with a cluster and traffic clients, and with nodes that are not in a cluster yet.
//! Nodes are at 10.0.0.n, clients at 10.0.1.n.

use std::net::Ipv4Addr;

use crate::sim::{HostSpec, ProcessSpec, Scenario};
use crate::time::Duration;

use super::programs::CLUSTER_TRAFFIC;
use super::topology::{cluster, node, scenario};

/// [`cluster`] with two clients: `app-1` keeps a slot map, `plain-1` knows one node and follows
/// redirections.
pub fn busy_cluster(primaries: u8, replicas: u8) -> Scenario {
    let mut scenario = cluster(primaries, replicas);
    scenario.name = format!("busy-{}", scenario.name);
    scenario.hosts.extend([client("app-1", 1, "learned"), client("plain-1", 2, "redirected")]);
    scenario
}

/// Nodes (1 to 60) in cluster mode that have not met: each knows only itself and owns no slots.
pub fn empty_nodes(count: u8) -> Scenario {
    let count = count.clamp(1, 60);
    scenario(format!("empty-nodes-{count}"), (1..=count).map(|n| node(n, count, None)))
}

/// A client of the cluster, which is configured with two nodes.
fn client(name: &str, n: u8, routing: &str) -> HostSpec {
    let args = ["--node", "node-1", "--node", "node-2", "--rate", "10", "--routing", routing];
    let mut traffic = ProcessSpec::new(name, CLUSTER_TRAFFIC, &args);
    // A starting node refuses commands on keys for two seconds, until it has heard of the others.
    traffic.delay = Duration::from_millis(2_500);
    HostSpec::new(name, Ipv4Addr::new(10, 0, 1, n)).with(traffic)
}
