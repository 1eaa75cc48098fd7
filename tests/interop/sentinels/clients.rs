//! Client libraries that ask Sentinels for the master, during a failover.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use limpid_tests::process::Kind::Limpid;
use limpid_tests::wait::until_some;
use redis::sentinel::SentinelClientBuilder;
use redis::{Commands, ConnectionAddr};

use super::Group;
use crate::libraries::library;

const LINES: &str = "sentinel monitor mymaster 127.0.0.1 PORT 2
sentinel down-after-milliseconds mymaster 1000";

fn group() -> Group {
    Group::new([Limpid; 3], [(Limpid, LINES); 3], &[])
}

/// Runs a scenario that prints "writing" after it has written to the first master, and "done" after
/// it has written to the next; in between the master is killed.
fn goes_on(mut interpreter: Command, scenario: &str) {
    let mut group = group();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/sentinels").join(scenario);
    let ports = group.sentinels.iter().map(|sentinel| sentinel.port().to_string());
    interpreter.arg(path).args(ports).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = interpreter.spawn().expect("the interpreter is on PATH");
    let told = BufReader::new(child.stdout.take().expect("its output"));
    for line in told.lines().map_while(Result::ok) {
        if line == "writing" {
            group.servers[0].kill();
        }
    }
    let status = child.wait().expect("its status");
    assert!(status.success(), "{scenario}: {status}\n{}", group.told());
}

#[test]
fn redis_py_goes_on_through_a_failover() {
    goes_on(Command::new(library("python/bin/python")), "client.py");
}

#[test]
fn ioredis_goes_on_through_a_failover() {
    let mut node = Command::new("node");
    node.env("NODE_PATH", library("node/node_modules"));
    goes_on(node, "client.cjs");
}

#[test]
fn redis_rs_goes_on_through_a_failover() {
    let mut group = group();
    let ports = group.sentinels.iter();
    let address = |port| ConnectionAddr::Tcp("127.0.0.1".to_owned(), port);
    let ports = ports.map(|sentinel| address(sentinel.port()));
    let kind = redis::sentinel::SentinelServerType::Master;
    let builder = SentinelClientBuilder::new(ports, "mymaster".to_owned(), kind);
    let mut client = builder.expect("addresses").build().expect("a client");
    let mut write = || client.get_connection()?.incr::<_, _, i64>("count", 1);
    let before = write().expect("a write through the first master");
    group.servers[0].kill();
    let after = until_some(|| group.told(), || write().ok());
    // Only writes that no replica had yet may be lost with the master.
    assert!(after >= 1 && after <= before + 1, "{before} {after}");
}
