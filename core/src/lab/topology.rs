//! Scenarios: hosts with servers and clients, with stable names and addresses.
//!
//! Servers are at 10.0.0.n, clients at 10.0.1.n. A replicated server has its files in a directory
//! of its own, with the `redis.conf` it was started with.

use std::net::Ipv4Addr;

use crate::cluster::{BUS_PORT_OFFSET, NodeFlags, NodeId, NodeLine, NodesConf};
use crate::rng::Rng;
use crate::sharding::Slot;
use crate::sim::{HostSpec, ProcessSpec, Scenario};
use crate::time::Duration;

use super::programs::{SERVER, TRAFFIC};

/// The port of a server that is alone on its host.
const PORT: u16 = 6379;

/// Suggested numbers of servers in a sandbox.
pub const SANDBOXES: [u8; 4] = [1, 3, 12, 48];

/// Independent servers, `redis-1` at 10.0.0.1 and so on, and as many traffic clients, `client-1` at
/// 10.0.1.1 and so on, with 20 commands per second each.
///
/// There are at least three clients, and at most 200 servers.
pub fn sandbox(servers: u8) -> Scenario {
    let servers = servers.clamp(1, 200);
    let client = |n: u8| {
        let target = format!("redis-{}", (n - 1) % servers + 1);
        let mut traffic = ProcessSpec::new(&format!("traffic-{n}"), TRAFFIC, &["-h", &target]);
        // The clients start after the servers, so that their first connections are not refused.
        traffic.delay = Duration::from_millis(5);
        HostSpec::new(&format!("client-{n}"), Ipv4Addr::new(10, 0, 1, n)).with(traffic)
    };
    let clients = servers.max(3);
    let hosts = (1..=servers).map(server).chain((1..=clients).map(client));
    scenario(format!("sandbox-{servers}"), hosts)
}

/// A primary, `redis-1`, with `count` replicas (at most 40), `redis-2` and so on; `writer-1` and
/// `writer-2` write to the primary, and each replica has a reader.
pub fn replicas(count: u8) -> Scenario {
    let count = count.clamp(1, 40);
    let servers = (1..=count + 1).map(|n| alone(n, (n > 1).then_some(1)));
    let writers = (1..=2).map(|n| writer(n, n, &name(1), PORT));
    let readers = (1..=count).map(|n| reader(n, 2 + n, &name(n + 1), PORT));
    scenario(format!("replicas-{count}"), servers.chain(writers).chain(readers))
}

/// A chain of `count` replicas (at most 40): a primary, `redis-1`, a replica of it, `redis-2`, a
/// replica of that, and so on. `writer-1` writes to the primary, and each replica has a reader.
pub fn chain(count: u8) -> Scenario {
    let count = count.clamp(1, 40);
    let servers = (1..=count + 1).map(|n| alone(n, (n > 1).then(|| n - 1)));
    let readers = (1..=count).map(|n| reader(n, 1 + n, &name(n + 1), PORT));
    let writer = writer(1, 1, &name(1), PORT);
    scenario(format!("chain-{count}"), servers.chain([writer]).chain(readers))
}

/// Several instances on each of `count` machines (2 to 20): a primary at port 6379, and a replica
/// of the next machine's primary at port 6380, so that no machine has a complete shard. `writer-n`
/// writes to the primary of `machine-n`, `reader-n` reads from the replica on it.
pub fn machines(count: u8) -> Scenario {
    let count = count.clamp(2, 20);
    let machine = |n: u8| format!("machine-{n}");
    let host = |n: u8| {
        let mut host = HostSpec::new(&machine(n), Ipv4Addr::new(10, 0, 0, n));
        for (port, of) in [(PORT, None), (PORT + 1, Some(n % count + 1))] {
            let dir = format!("/data/{port}");
            host = with_server(host, &format!("{}:{port}", machine(n)), port, &dir, of);
        }
        host
    };
    let writers = (1..=count).map(|n| writer(n, n, &machine(n), PORT));
    let readers = (1..=count).map(|n| reader(n, count + n, &machine(n), PORT + 1));
    scenario(format!("machines-{count}"), (1..=count).map(host).chain(writers).chain(readers))
}

/// A running cluster of primaries (3 to 60) with replicas (at most 4 each): `node-1` and so on,
/// primaries first, then replicas, assigned to the primaries round-robin. Their `nodes.conf`
/// contains what they know of each other, as after a restart.
pub fn cluster(primaries: u8, replicas: u8) -> Scenario {
    let primaries = primaries.clamp(3, 60);
    let count = primaries * (replicas.min(4) + 1).min(240 / primaries);
    let hosts = (1..=count).map(|n| node(n, count, Some(nodes_conf(n, primaries, count))));
    scenario(format!("cluster-{primaries}-{}", count / primaries - 1), hosts)
}

/// The host of one of `count` cluster nodes. Its `nodes.conf` describes the others; without one it
/// knows only itself.
pub(super) fn node(n: u8, count: u8, nodes_conf: Option<String>) -> HostSpec {
    /// With more nodes than this, the node timeout is longer.
    const MANY: u8 = 40;
    let name = format!("node-{n}");
    let timeout = if count > MANY { 10_000 } else { 3_000 };
    let conf = format!(
        "# {name}\nport {PORT}\nprotected-mode no\nappendonly yes\ncluster-enabled yes\n\
         cluster-node-timeout {timeout}\nrepl-diskless-sync-delay 0\n"
    );
    let mut process = ProcessSpec::new(&format!("{name}:{PORT}"), SERVER, &["redis.conf"]);
    process.dir = "/data".to_owned();
    let mut host = HostSpec::new(&name, Ipv4Addr::new(10, 0, 0, n));
    host.files.insert("/data/redis.conf".to_owned(), conf);
    if let Some(nodes_conf) = nodes_conf {
        host.files.insert("/data/nodes.conf".to_owned(), nodes_conf);
    }
    host.with(process)
}

/// The `nodes.conf` of `node-n` in [`cluster`].
fn nodes_conf(myself: u8, primaries: u8, count: u8) -> String {
    let id = |n: u8| NodeId::random(&mut Rng::new(n.into()));
    let slot = |n: u8| u32::from(n) * u32::from(Slot::COUNT) / u32::from(primaries);
    let nodes = (1..=count).map(|n| {
        let primary = (n - 1) % primaries + 1;
        let is_replica = n > primaries;
        let role = if is_replica { NodeFlags::SLAVE } else { NodeFlags::MASTER };
        let mine = if n == myself { NodeFlags::MYSELF } else { NodeFlags::default() };
        let slots = if is_replica { 0..0 } else { slot(n - 1)..slot(n) };
        NodeLine {
            id: id(n),
            ip: format!("10.0.0.{n}"),
            port: PORT,
            tls_port: 0,
            bus_port: PORT + BUS_PORT_OFFSET,
            hostname: String::new(),
            human_nodename: format!("node-{n}"),
            shard: Some(id(primary)),
            flags: mine.and(role),
            master: is_replica.then(|| id(primary)),
            ping_sent: 0,
            pong_received: 0,
            config_epoch: primary.into(),
            connected: true,
            slots: slots.filter_map(|number| Slot::new(number as u16)).collect(),
            open: Vec::new(),
        }
    });
    let current_epoch = primaries.into();
    NodesConf { nodes: nodes.collect(), current_epoch, ..NodesConf::default() }.to_string()
}

/// The host `redis-n` at 10.0.0.n, with one server that keeps its data in memory.
pub(super) fn server(n: u8) -> HostSpec {
    let args = ["--protected-mode", "no"];
    let process = ProcessSpec::new(&format!("{}:{PORT}", name(n)), SERVER, &args);
    HostSpec::new(&name(n), Ipv4Addr::new(10, 0, 0, n)).with(process)
}

/// The address of the `n`th client.
pub(super) fn clients_of(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, n)
}

pub(super) fn scenario(name: String, hosts: impl Iterator<Item = HostSpec>) -> Scenario {
    Scenario {
        name,
        // 2024-01-01 00:00:00 UTC
        epoch_ms: 1_704_067_200_000,
        hosts: hosts.collect(),
        link: Default::default(),
        links: Vec::new(),
        tcp: Default::default(),
    }
}

fn name(n: u8) -> String {
    format!("redis-{n}")
}

/// A host with one server, a replica of the primary at 10.0.0.`of` if that is given.
pub(super) fn alone(n: u8, of: Option<u8>) -> HostSpec {
    let host = HostSpec::new(&name(n), Ipv4Addr::new(10, 0, 0, n));
    with_server(host, &format!("{}:{PORT}", name(n)), PORT, "/data", of)
}

/// Adds a server to a host, with its data in a directory of its own.
fn with_server(mut host: HostSpec, name: &str, port: u16, dir: &str, of: Option<u8>) -> HostSpec {
    let mut conf = format!("# {name}\nport {port}\nprotected-mode no\nappendonly yes\n");
    if let Some(primary) = of {
        conf.push_str(&format!("replicaof 10.0.0.{primary} {PORT}\n"));
    }
    // A broken link is detected after `repl-timeout`, which is lowered from a minute so that a
    // person can watch.
    conf.push_str("repl-diskless-sync-delay 0\nrepl-ping-replica-period 1\nrepl-timeout 5\n");
    let file = format!("{dir}/redis.conf");
    let mut process = ProcessSpec::new(name, SERVER, &[&file]);
    process.dir = dir.to_owned();
    host.files.insert(file, conf);
    host.with(process)
}

fn writer(n: u8, ip: u8, target: &str, port: u16) -> HostSpec {
    client(&format!("writer-{n}"), ip, target, port, "writes")
}

fn reader(n: u8, ip: u8, target: &str, port: u16) -> HostSpec {
    client(&format!("reader-{n}"), ip, target, port, "reads")
}

/// A client that only reads or only writes, ten times per second.
fn client(name: &str, ip: u8, target: &str, port: u16, only: &str) -> HostSpec {
    let port = port.to_string();
    let args = ["-h", target, "-p", &port, "--rate", "10", "--only", only];
    let mut traffic = ProcessSpec::new(name, TRAFFIC, &args);
    traffic.delay = Duration::from_millis(5);
    HostSpec::new(name, Ipv4Addr::new(10, 0, 1, ip)).with(traffic)
}
