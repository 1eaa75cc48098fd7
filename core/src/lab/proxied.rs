//! Scenarios in which clients or proxies spread keys over servers. Servers are at 10.0.0.n, clients
//! at 10.0.1.n, Sentinels at 10.0.2.n, proxies at 10.0.3.n.

use std::net::Ipv4Addr;

use crate::sim::{HostSpec, ProcessSpec, Scenario};
use crate::time::Duration;

use super::programs::{KEEPALIVED, NUTCRACKER, PREDIXY, SHARDING, TRAFFIC};
use super::topology::{clients_of, cluster, scenario, server};
use super::two_masters;

/// The port of twemproxy in its examples.
const NUTCRACKER_PORT: u16 = 22_121;
/// The default port of predixy.
const PREDIXY_PORT: u16 = 7_617;
/// How many seconds predixy may hold a request while a failover is in progress.
const PATIENCE: u8 = 20;

/// Three servers in use and a fourth in reserve, and clients that shard by themselves, one for each
/// rule: `ring` by ketama, `modulo` by the hash modulo three, `table` by prefix, and `queue`, which
/// pushes to any server and pops from any. (`fnv1a_64`, the default of twemproxy, puts keys that
/// differ in their last characters close together on the ring, so that a few such keys leave whole
/// servers empty.)
pub fn sharding() -> Scenario {
    let nodes = |n: u8| (1..=n).flat_map(|n| ["--node".to_owned(), format!("redis-{n}")]);
    let client = |ip: u8, name: &str, options: &[&str]| {
        let args: Vec<String> =
            nodes(3).chain(options.iter().map(|&option| option.to_owned())).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut process = ProcessSpec::new(name, SHARDING, &args);
        process.delay = Duration::from_millis(5);
        HostSpec::new(name, clients_of(ip)).with(process)
    };
    let by_table =
        ["--table", "user:=redis-1", "--table", "order:=redis-2", "--table", "item:=redis-3"];
    let clients = [
        client(1, "ring", &["--rule", "ketama", "--hash", "murmur"]),
        client(2, "modulo", &["--rule", "modula", "--hash", "murmur"]),
        client(3, "table", &[&["--rule", "table"][..], &by_table].concat()),
        client(4, "queue", &["--rule", "random"]),
    ];
    scenario("sharding".into(), (1..=4).map(server).chain(clients))
}

/// twemproxy, `proxy-1`, in front of `redis-1` to `redis-3`, with clients that also read several
/// keys at once; `redis-4` is in reserve.
pub fn twemproxy() -> Scenario {
    let clients = (1..=3).map(|n| client(n, "proxy-1", NUTCRACKER_PORT, PATIENCE));
    let hosts = (1..=4).map(server).chain([nutcracker_host(1)]).chain(clients);
    scenario("twemproxy".into(), hosts)
}

/// The address that two twemproxies share.
const SHARED: &str = "10.0.3.100";

/// Two twemproxies, `proxy-1` and `proxy-2`, in front of the same three servers, and clients that
/// connect to an address which keepalived assigns to one of the two.
pub fn twemproxies() -> Scenario {
    let clients = (1..=3).map(|n| client(n, SHARED, NUTCRACKER_PORT, 2));
    let proxies = [(1, "MASTER", 100, 2), (2, "BACKUP", 90, 1)];
    let proxies = proxies.map(|(n, state, priority, other)| {
        let file = "/etc/keepalived/keepalived.conf";
        let config = format!(
            "vrrp_instance VI_1 {{\n    state {state}\n    interface eth0\n    \
             virtual_router_id 51\n    priority {priority}\n    advert_int 1\n    unicast_peer {{\n        \
             10.0.3.{other}\n    }}\n    virtual_ipaddress {{\n        {SHARED}\n    }}\n}}\n"
        );
        let name = format!("keepalived-{n}");
        let mut host = nutcracker_host(n).with(ProcessSpec::new(&name, KEEPALIVED, &["-f", file]));
        host.files.insert(file.to_owned(), config);
        host
    });
    let hosts = (1..=3).map(server).chain(proxies).chain(clients);
    scenario("twemproxies".into(), hosts)
}

/// predixy, `proxy-1`, in front of two masters with replicas, monitored by three Sentinels.
pub fn predixy_over_sentinels() -> Scenario {
    let two = two_masters();
    // Their writers would bypass the proxy.
    let hosts = two.hosts.into_iter().filter(|host| !host.name.starts_with("writer"));
    let pool = "\
SentinelServerPool {
    Databases 16
    Hash crc16
    HashTag \"{}\"
    Distribution modula
    MasterReadPriority 60
    StaticSlaveReadPriority 50
    DynamicSlaveReadPriority 50
    RefreshInterval 1
    ServerTimeout 1
    ServerFailureLimit 10
    ServerRetryTimeout 1
    KeepAlive 120
    Sentinels {
        + 10.0.2.1:26379
        + 10.0.2.2:26379
        + 10.0.2.3:26379
    }
    Group ooxx {
    }
    Group xxoo {
    }
}
";
    let clients = (1..=2).map(|n| client(n, "proxy-1", PREDIXY_PORT, PATIENCE));
    let hosts = hosts.chain([predixy_host("sentinel.conf", pool)]).chain(clients);
    scenario("predixy-sentinels".into(), hosts)
}

/// predixy, `proxy-1`, in front of a Cluster of three primaries with a replica each.
pub fn predixy_over_cluster() -> Scenario {
    let pool = "\
ClusterServerPool {
    MasterReadPriority 60
    StaticSlaveReadPriority 50
    DynamicSlaveReadPriority 50
    RefreshInterval 1
    ServerTimeout 1
    ServerFailureLimit 10
    ServerRetryTimeout 1
    Servers {
        + 10.0.0.1:6379
        + 10.0.0.2:6379
        + 10.0.0.3:6379
    }
}
";
    let clients = (1..=2).map(|n| client(n, "proxy-1", PREDIXY_PORT, PATIENCE));
    let nodes = cluster(3, 1).hosts.into_iter();
    scenario(
        "predixy-cluster".into(),
        nodes.chain([predixy_host("cluster.conf", pool)]).chain(clients),
    )
}

/// The host `proxy-n`, with twemproxy in front of three servers.
fn nutcracker_host(n: u8) -> HostSpec {
    let config = format!(
        "alpha:\n  listen: 0.0.0.0:{NUTCRACKER_PORT}\n  hash: murmur\n  \
         distribution: ketama\n  auto_eject_hosts: true\n  redis: true\n  timeout: 400\n  \
         server_retry_timeout: 3000\n  server_failure_limit: 2\n  servers:\n   \
         - 10.0.0.1:6379:1 redis-1\n   - 10.0.0.2:6379:1 redis-2\n   \
         - 10.0.0.3:6379:1 redis-3\n"
    );
    let file = "/etc/nutcracker/nutcracker.yml";
    let name = format!("proxy-{n}");
    let mut process =
        ProcessSpec::new(&format!("{name}:{NUTCRACKER_PORT}"), NUTCRACKER, &["-c", file]);
    process.delay = Duration::from_millis(5);
    let mut host = HostSpec::new(&name, Ipv4Addr::new(10, 0, 3, n)).with(process);
    host.files.insert(file.to_owned(), config);
    host
}

/// The host `proxy-1`, with predixy, whose pool is configured in a separate file.
fn predixy_host(file: &str, pool: &str) -> HostSpec {
    let main = "/etc/predixy/predixy.conf";
    let mut process = ProcessSpec::new(&format!("proxy-1:{PREDIXY_PORT}"), PREDIXY, &[main]);
    process.delay = Duration::from_millis(5);
    let mut host = HostSpec::new("proxy-1", Ipv4Addr::new(10, 0, 3, 1)).with(process);
    let text = format!("Name PredixyExample\nBind 0.0.0.0:{PREDIXY_PORT}\nInclude {file}\n");
    host.files.insert(main.to_owned(), text);
    host.files.insert(format!("/etc/predixy/{file}"), pool.to_owned());
    host
}

/// A client of a proxy, which starts after it; `patience` is its timeout for replies in seconds.
fn client(n: u8, target: &str, port: u16, patience: u8) -> HostSpec {
    let (port, patience) = (port.to_string(), patience.to_string());
    let args = ["-h", target, "-p", &port, "--rate", "5", "--only", "several"];
    let args = [&args[..], &["--patience", &patience]].concat();
    let name = format!("client-{n}");
    let mut traffic = ProcessSpec::new(&name, TRAFFIC, &args);
    traffic.delay = Duration::from_millis(20);
    HostSpec::new(&name, clients_of(n)).with(traffic)
}
