//! Worlds with Sentinels: servers that replicate, and who watches them.

use core::time::Duration;
use std::net::Ipv4Addr;

use limpid_core::lab::{self, SENTINEL, SERVER, TRAFFIC};
use limpid_core::sim::{HostSpec, ProcessSpec, Scenario};

/// The port of the first Sentinel of a host, and of a server.
const SENTINEL_PORT: u16 = 26_379;
const PORT: u16 = 6_379;

/// A primary with two replicas, writers and readers, and three Sentinels on hosts of their own.
pub(super) fn three() -> Scenario {
    let mut scenario = lab::replicas(2);
    scenario.hosts.extend((1..=3).map(|n| alone(n, &[("mymaster", 1)], 2)));
    scenario
}

/// A primary on one of three machines, its replicas on the others, and five Sentinels: two, two and
/// one of them on the machines of the servers.
pub(super) fn five_on_three_machines() -> Scenario {
    let machine = |n: u8| {
        let name = format!("machine-{n}");
        let mut host = HostSpec::new(&name, Ipv4Addr::new(10, 0, 0, n));
        host = server(host, &format!("{name}:{PORT}"), (n > 1).then_some(1));
        let count = if n < 3 { 2 } else { 1 };
        for nth in 0..count {
            let port = SENTINEL_PORT + nth;
            host = sentinel(host, &format!("{name}:{port}"), port, &[("mymaster", 1)], 3);
        }
        host
    };
    with_writers((1..=3).map(machine), &["machine-1"])
}

/// Two primaries with a replica each under one set of three Sentinels.
pub(super) fn two_masters() -> Scenario {
    let servers = [(1, None), (2, None), (3, Some(1)), (4, Some(2))].map(|(n, of)| {
        let name = format!("redis-{n}");
        server(HostSpec::new(&name, Ipv4Addr::new(10, 0, 0, n)), &format!("{name}:{PORT}"), of)
    });
    let sentinels = (1..=3).map(|n| alone(n, &[("orders", 1), ("users", 2)], 2));
    with_writers(servers.into_iter().chain(sentinels), &["redis-1", "redis-2"])
}

/// A host with one Sentinel.
fn alone(n: u8, masters: &[(&str, u8)], quorum: u8) -> HostSpec {
    let name = format!("sentinel-{n}");
    let host = HostSpec::new(&name, Ipv4Addr::new(10, 0, 3, n));
    sentinel(host, &format!("{name}:{SENTINEL_PORT}"), SENTINEL_PORT, masters, quorum)
}

/// The host with one more Sentinel, for masters by their names and hosts.
fn sentinel(
    mut host: HostSpec,
    name: &str,
    port: u16,
    masters: &[(&str, u8)],
    quorum: u8,
) -> HostSpec {
    let mut conf = format!("port {port}\nprotected-mode no\n");
    for (master, n) in masters {
        conf += &format!("sentinel monitor {master} 10.0.0.{n} {PORT} {quorum}\n");
        // Shorter than by default: nobody wants to watch for half a minute.
        conf += &format!("sentinel down-after-milliseconds {master} 2000\n");
        conf += &format!("sentinel failover-timeout {master} 10000\n");
    }
    let dir = format!("/sentinel-{port}");
    let file = format!("{dir}/sentinel.conf");
    let mut process = ProcessSpec::new(name, SENTINEL, &[&file]);
    process.dir = dir;
    // After the replicas have come, so that the first look at a primary finds them.
    process.delay = Duration::from_millis(2_500);
    host.files.insert(file, conf);
    host.with(process)
}

/// The host with a server, a replica of that at 10.0.0.`of` if there is one.
fn server(mut host: HostSpec, name: &str, of: Option<u8>) -> HostSpec {
    let mut conf = format!("port {PORT}\nprotected-mode no\nappendonly yes\n");
    if let Some(primary) = of {
        conf += &format!("replicaof 10.0.0.{primary} {PORT}\n");
    }
    conf += "repl-diskless-sync-delay 0\nrepl-ping-replica-period 1\nrepl-timeout 5\n";
    let file = "/data/redis.conf".to_owned();
    let mut process = ProcessSpec::new(name, SERVER, &[&file]);
    process.dir = "/data".to_owned();
    host.files.insert(file, conf);
    host.with(process)
}

/// A scenario of hosts, with a writer for each of these primaries.
fn with_writers(hosts: impl Iterator<Item = HostSpec>, primaries: &[&str]) -> Scenario {
    let mut scenario = lab::replicas(1);
    let writers = (1..).zip(primaries).map(|(n, primary)| {
        let name = format!("writer-{n}");
        let args = ["-h", primary, "--rate", "10", "--only", "writes"];
        let mut traffic = ProcessSpec::new(&name, TRAFFIC, &args);
        traffic.delay = Duration::from_millis(5);
        HostSpec::new(&name, Ipv4Addr::new(10, 0, 1, n)).with(traffic)
    });
    scenario.hosts = hosts.chain(writers).collect();
    scenario
}
