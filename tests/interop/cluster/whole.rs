//! Slots that move as a whole (`CLUSTER MIGRATESLOTS`), and Debian's `redis-benchmark --cluster` on
//! a cluster of Limpid.

use std::process::Command;
use std::thread;

use limpid_core::resp::value::Value;
use limpid_tests::process::Kind::{Limpid, Redis};
use limpid_tests::process::{Process, binary};
use limpid_tests::wait::until;

use super::{Cluster, LIMPID, PATIENT, address, call, clients, text};

/// Runs Limpid's cluster tool. Returns its output.
fn tool(args: &[&str]) -> String {
    let out = Command::new(binary()).args(["cli", "--cluster"]).args(args).output();
    let out = out.expect("the tool starts");
    let printed = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{args:?}: {printed}");
    printed
}

fn reshard(from: &Process, to: &Process, slots: u32) -> String {
    let (at, slots) = (address(from), slots.to_string());
    let (from, to) = (text(from, "CLUSTER MYID"), text(to, "CLUSTER MYID"));
    tool(&[
        "reshard",
        &at,
        "--cluster-from",
        &from,
        "--cluster-to",
        &to,
        "--cluster-slots",
        &slots,
        "--cluster-yes",
    ])
}

/// Waits until the tool reports that all nodes agree.
fn all_agree(cluster: &Cluster) {
    let first = address(&cluster.nodes[0]);
    let check = || super::cli_output(&["--cluster", "check", &first]);
    until(|| check().1, || check().0);
}

#[test]
fn a_client_that_writes_is_not_asked_to_ask_while_slots_move_as_a_whole() {
    let cluster = Cluster::create_with(&LIMPID, PATIENT);
    let writer = clients::Writer::new(&cluster);
    thread::scope(|scope| {
        scope.spawn(|| writer.run());
        let _end = writer.ends();
        for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 1)] {
            writer.goes_on();
            let told = reshard(&cluster.nodes[from], &cluster.nodes[to], 1000);
            assert!(told.contains("Moving slot "), "{told}");
            all_agree(&cluster);
        }
        writer.goes_on();
    });
    writer.all_there();
    for node in &cluster.nodes[..3] {
        let errors = text(node, "INFO errorstats");
        for word in ["ASK", "TRYAGAIN", "CLUSTERDOWN"] {
            assert!(!errors.contains(word), "{errors}");
        }
        let called = text(node, "INFO commandstats");
        assert!(!called.contains("cmdstat_migrate:"), "{called}");
        let port = node.port().to_string();
        let moves = super::cli(&["-p", &port, "cluster", "getslotmigrations"]);
        assert!(moves.contains("success") && !moves.contains("failed"), "{moves}");
    }
}

#[test]
fn slots_move_key_by_key_where_the_other_node_knows_nothing_else() {
    let cluster = Cluster::create_with(&[Limpid, Redis, Limpid, Limpid, Redis, Limpid], PATIENT);
    for n in 0..100 {
        let reply = cluster.set(&cluster.nodes[0], &format!("key:{n}"), &n.to_string());
        assert_eq!(reply, Value::Simple("OK".into()));
    }
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        reshard(&cluster.nodes[from], &cluster.nodes[to], 150);
        all_agree(&cluster);
    }
    let told = super::cli(&["--cluster", "info", &address(&cluster.nodes[0])]);
    assert!(told.contains("[OK] 100 keys in 3 masters."), "{told}");
    let port = cluster.nodes[1].port().to_string();
    for n in 0..100 {
        let got = super::cli(&["-p", &port, "-c", "get", &format!("key:{n}")]);
        assert_eq!(got, format!("{n}\n"));
    }
}

#[test]
fn redis_benchmark_loads_every_primary_of_a_cluster() {
    let cluster = Cluster::create_with(&LIMPID, PATIENT);
    let port = cluster.nodes[0].port().to_string();
    let args =
        ["--cluster", "-p", &port, "-n", "6000", "-r", "1000", "-t", "set,get,lpush", "--csv"];
    let out = Command::new("redis-benchmark").args(args).output().expect("redis-benchmark");
    let printed = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{printed}{}", String::from_utf8_lossy(&out.stderr));
    for row in ["\"SET\",", "\"GET\",", "\"LPUSH\","] {
        assert!(printed.contains(row), "no {row} in {printed}");
    }
    for node in &cluster.nodes[..3] {
        assert!(matches!(call(node, "DBSIZE"), Value::Integer(keys) if keys > 10));
    }
}
