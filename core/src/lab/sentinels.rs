//! Scenarios with Sentinels. Servers are at 10.0.0.n, writers at 10.0.1.n, and Sentinels on hosts
//! of their own at 10.0.2.n.

use std::net::Ipv4Addr;

use crate::sim::{HostSpec, ProcessSpec, Scenario};
use crate::time::Duration;

use super::programs::{SENTINEL, TRAFFIC};
use super::topology::{alone, scenario};

/// The default port of a Sentinel.
const PORT: u16 = 26_379;

/// A master, `redis-1`, with two replicas, monitored by `sentinel-1` to `sentinel-3` with a quorum
/// of two; `writer-1` asks the Sentinels for the master.
pub fn sentinels() -> Scenario {
    let servers = (1..=3).map(|n| alone(n, (n > 1).then_some(1)));
    let monitor = monitor("mymaster", 1, 2);
    let sentinels = (1..=3).map(|n| sentinel(n, &monitor));
    let all: Vec<String> = (1..=3).map(|n| format!("sentinel-{n}")).collect();
    let writer = writer(1, "mymaster", &all);
    scenario("sentinels-3".into(), servers.chain(sentinels).chain([writer]))
}

/// The same with five Sentinels on the three servers' machines: two on the first, two on the
/// second, one on the third. A crash of the first machine takes the master and two votes.
pub fn sentinels_on_servers() -> Scenario {
    let monitor = monitor("mymaster", 1, 3);
    let ports = |n: u8| if n < 3 { vec![PORT, PORT + 1] } else { vec![PORT] };
    let servers = (1..=3).map(|n| {
        let host = alone(n, (n > 1).then_some(1));
        ports(n).into_iter().fold(host, |host, port| with_sentinel(host, port, &monitor))
    });
    let all = (1..=3).flat_map(|n| ports(n).into_iter().map(move |p| format!("redis-{n}:{p}")));
    let writer = writer(1, "mymaster", &all.collect::<Vec<_>>());
    scenario("sentinels-5-on-3".into(), servers.chain([writer]))
}

/// Two masters, `redis-1` and `redis-3`, with the names `ooxx` and `xxoo` and a replica each,
/// monitored by the same three Sentinels; a writer for each master.
pub fn two_masters() -> Scenario {
    let servers = [(1, None), (2, Some(1)), (3, None), (4, Some(3))];
    let servers = servers.into_iter().map(|(n, of)| alone(n, of));
    let monitors = [monitor("ooxx", 1, 2), monitor("xxoo", 3, 2)].concat();
    let sentinels = (1..=3).map(|n| sentinel(n, &monitors));
    let all: Vec<String> = (1..=3).map(|n| format!("sentinel-{n}")).collect();
    let writers = [writer(1, "ooxx", &all), writer(2, "xxoo", &all)];
    scenario("sentinels-2-masters".into(), servers.chain(sentinels).chain(writers))
}

/// A master, `redis-1`, with one replica, and Sentinels on hosts of their own with a quorum of one.
/// Timeouts are short and there are no clients, since an experiment runs many such Worlds.
#[cfg(feature = "shell")]
pub(super) fn few_sentinels(count: u8) -> Scenario {
    let servers = (1..=2).map(|n| alone(n, (n > 1).then_some(1)));
    let monitor = "sentinel monitor mymaster 10.0.0.1 6379 1\n\
                   sentinel down-after-milliseconds mymaster 1000\n\
                   sentinel failover-timeout mymaster 3000\n";
    let sentinels = (1..=count).map(|n| sentinel(n, monitor));
    scenario(format!("sentinels-{count}-of-2"), servers.chain(sentinels))
}

/// The directives by which a Sentinel monitors the master at 10.0.0.`n`. The timeout is shorter
/// than the default of half a minute, so that a person can watch.
fn monitor(name: &str, n: u8, quorum: u8) -> String {
    format!(
        "sentinel monitor {name} 10.0.0.{n} 6379 {quorum}\n\
         sentinel down-after-milliseconds {name} 3000\n\
         sentinel failover-timeout {name} 15000\n"
    )
}

fn sentinel(n: u8, monitors: &str) -> HostSpec {
    let host = HostSpec::new(&format!("sentinel-{n}"), Ipv4Addr::new(10, 0, 2, n));
    with_sentinel(host, PORT, monitors)
}

/// Adds a Sentinel to a host, with its file in a directory of its own.
fn with_sentinel(mut host: HostSpec, port: u16, monitors: &str) -> HostSpec {
    let dir = format!("/sentinel/{port}");
    let file = format!("{dir}/sentinel.conf");
    host.files.insert(file.clone(), format!("port {port}\n{monitors}"));
    let name = format!("{}:{port}", host.name);
    let mut process = ProcessSpec::new(&name, SENTINEL, &[&file]);
    process.dir = dir;
    host.with(process)
}

/// A client that asks Sentinels for the master and writes ten times per second.
fn writer(n: u8, master: &str, sentinels: &[String]) -> HostSpec {
    let mut args = vec!["--master", master, "--rate", "10", "--only", "writes"];
    for sentinel in sentinels {
        args.extend(["--sentinel", sentinel]);
    }
    let name = format!("writer-{n}");
    let mut traffic = ProcessSpec::new(&name, TRAFFIC, &args);
    traffic.delay = Duration::from_millis(20);
    HostSpec::new(&name, Ipv4Addr::new(10, 0, 1, n)).with(traffic)
}
