//! Scenarios: hosts with servers and clients under stable names and addresses.

use std::net::Ipv4Addr;

use crate::sim::{HostSpec, ProcessSpec, Scenario};
use crate::time::Duration;

use super::programs::{SERVER, TRAFFIC};

/// Counts of servers that make good sandboxes.
pub const SANDBOXES: [u8; 4] = [1, 3, 12, 48];

/// Independent servers, `redis-1` at 10.0.0.1 and so on, and as many clients that keep them busy,
/// `client-1` at 10.0.1.1 and so on, each with 20 commands a second.
///
/// A small sandbox has three clients all the same. There are at most 200 servers.
pub fn sandbox(servers: u8) -> Scenario {
    let servers = servers.clamp(1, 200);
    let server = |n: u8| {
        let args = ["--protected-mode", "no"];
        HostSpec::new(&format!("redis-{n}"), Ipv4Addr::new(10, 0, 0, n)).with(ProcessSpec::new(
            &format!("redis-{n}:6379"),
            SERVER,
            &args,
        ))
    };
    let client = |n: u8| {
        let target = format!("redis-{}", (n - 1) % servers + 1);
        let mut traffic = ProcessSpec::new(&format!("traffic-{n}"), TRAFFIC, &["-h", &target]);
        // After the servers, so that the first connection is not refused.
        traffic.delay = Duration::from_millis(5);
        HostSpec::new(&format!("client-{n}"), Ipv4Addr::new(10, 0, 1, n)).with(traffic)
    };
    let clients = servers.max(3);
    Scenario {
        name: format!("sandbox-{servers}"),
        // 2024-01-01 00:00:00 UTC
        epoch_ms: 1_704_067_200_000,
        hosts: (1..=servers).map(server).chain((1..=clients).map(client)).collect(),
        link: Default::default(),
        links: Vec::new(),
        tcp: Default::default(),
    }
}
