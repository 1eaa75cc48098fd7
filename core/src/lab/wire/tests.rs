//! Tests that the messages in Worlds with each kind of program are classified correctly.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::lab;
use crate::sim::Scenario;
use crate::time::Duration;

/// The messages in flight during some seconds of a scenario: protocol, kind, label, and the ends of
/// the connection.
fn heard(scenario: Scenario, seconds: u64) -> BTreeSet<(String, String, String, String)> {
    let mut world = World::new(Arc::new(scenario), 7, lab::programs);
    let mut heard = BTreeSet::new();
    // Often enough that no message arrives between two checks.
    for _ in 0..seconds * 10_000 {
        world.run_for(Duration::from_micros(100));
        for message in world.in_flight() {
            let protocol = Protocol::of(&world, &message);
            let kind = protocol.kind_of(message.kind, message.from, message.bytes);
            if kind == MessageKind::Transport {
                continue;
            }
            let label = protocol.label(kind, message.bytes, &|_| None);
            let program = |proc: Option<ProcId>| {
                let proc = proc.and_then(|id| world.proc(id));
                proc.map_or(String::new(), |proc| proc.program.to_owned())
            };
            let ends = format!("{} {}", program(message.procs.0), program(message.procs.1));
            heard.insert((format!("{protocol:?}"), format!("{kind:?}"), ends, label));
        }
    }
    heard
}

#[test]
fn a_cluster_speaks_the_bus_on_its_own_listener_and_replication_on_the_other() {
    let heard = heard(lab::cluster(3, 1), 10);
    let says = |protocol: &str, label: &str| {
        heard.iter().any(|(p, _, _, l)| p == protocol && l.starts_with(label))
    };
    assert!(says("Bus", "PING") && says("Bus", "PONG"), "{heard:#?}");
    assert!(says("Servers", "PSYNC") && says("Servers", "REPLCONF"), "{heard:#?}");
    // A message in one protocol is never decoded in the other.
    assert!(!says("Servers", "PONG +") && !says("Bus", "PSYNC"), "{heard:#?}");
    for (protocol, kind, ends, label) in &heard {
        let between = ends == "redis-server redis-server";
        assert_eq!(matches!(&**protocol, "Bus" | "Servers"), between, "{protocol} {ends} {label}");
        assert_ne!((protocol == "Bus", kind == "Stream"), (true, true), "{label}");
    }
}

#[test]
fn sentinels_watch_servers_and_are_asked_by_clients() {
    let heard = heard(lab::sentinels(), 8);
    let says = |protocol: &str, kind: &str, label: &str| {
        heard.iter().any(|(p, k, _, l)| p == protocol && k == kind && l.starts_with(label))
    };
    assert!(says("Watching", "Beat", "PUBLISH __sentinel__:hel"), "{heard:#?}");
    assert!(says("Sentinels", "Beat", "PING"), "{heard:#?}");
    assert!(says("Servers", "Stream", "PSYNC"), "{heard:#?}");
    // The writer that asks a Sentinel for the master is a client, and monitors nothing.
    assert!(says("Clients", "Reply", "1) \"10.0.0.1\""), "{heard:#?}");
    assert!(heard.iter().all(|(protocol, ..)| protocol != "Bus"), "{heard:#?}");
}
