//! Tests of the lab's programs in its topologies.

use std::sync::Arc;

mod cluster;
mod durability;
mod failover;
#[cfg(feature = "shell")]
mod interrupted;
mod links;
mod moves;
mod proxies;
mod replicas;
mod sentinels;

use super::*;
use crate::server::Server;
use crate::sim::{EventKind, ProcState, Session, World};
use crate::time::{Duration, Mono};

mod saving;
#[cfg(feature = "shell")]
mod worlds;

fn world(servers: u8) -> World {
    let mut world = World::new(Arc::new(sandbox(servers)), 1, programs);
    world.run_for(Duration::from_millis(100));
    world
}

fn act(world: &mut World, line: &str) {
    world.apply(&line.parse().expect(line)).unwrap_or_else(|e| panic!("{line}: {e}"));
    world.run_for(Duration::from_millis(50));
}

fn screen(world: &World, name: &str) -> String {
    let id = world.proc_named(name).expect("a terminal").id;
    world.machine::<Terminal>(id).map(Terminal::text).unwrap_or_default()
}

#[test]
fn every_sandbox_runs_and_its_clients_are_served() {
    for servers in SANDBOXES {
        let mut world = world(servers);
        world.run_for(Duration::from_secs(3));
        assert!(world.procs().all(|proc| proc.state == ProcState::Running));
        for n in 1..=servers.max(3) {
            let id = world.proc_named(&format!("traffic-{n}")).expect("a client").id;
            let client = world.machine::<Traffic>(id).expect("traffic").client();
            assert!(client.is_connected(), "{:?}", client.stats());
            let stats = client.stats();
            assert!(stats.replies + stats.errors > 30, "{stats:?}");
        }
    }
}

#[test]
fn what_is_typed_into_a_terminal_travels_and_its_reply_is_shown() {
    let mut world = world(1);
    act(&mut world, "run client-1 t redis-cli -h redis-1");
    act(&mut world, "type t ping");
    act(&mut world, "type t echo \"a b\"");
    assert_eq!(
        screen(&world, "t"),
        "redis-1:6379> ping\nPONG\nredis-1:6379> echo \"a b\"\n\"a b\"\n"
    );
    let bytes: &[u8] = b"*1\r\n$4\r\nping\r\n";
    assert!(world.delivered().iter().any(|message| *message.bytes == *bytes));
}

#[test]
fn a_partitioned_terminal_waits_and_a_crashed_server_is_reported() {
    let mut world = world(1);
    act(&mut world, "run client-1 t redis-cli -h redis-1");
    act(&mut world, "partition redis-1");
    act(&mut world, "type t ping");
    act(&mut world, "type t echo ahead");
    assert_eq!(screen(&world, "t"), "redis-1:6379> ping\n");
    act(&mut world, "heal");
    world.run_for(Duration::from_secs(5));
    assert!(screen(&world, "t").ends_with("PONG\nredis-1:6379> echo ahead\n\"ahead\"\n"));
    act(&mut world, "kill redis-1");
    act(&mut world, "type t ping");
    act(&mut world, "type t ping");
    let text = screen(&world, "t");
    assert!(text.contains("Connection reset by peer"), "{text}");
    assert!(text.contains("Connection refused"), "{text}");
}

#[test]
fn one_command_on_the_command_line_is_run_and_ends_the_program() {
    let mut world = world(1);
    act(&mut world, "run client-1 t redis-cli -h 10.0.0.1 ping");
    let id = world.proc_named("t").expect("it").id;
    assert_eq!(world.proc(id).map(|proc| proc.state), Some(ProcState::Exited { code: 0 }));
}

#[test]
fn a_server_reads_its_file_and_says_what_is_wrong_with_it() {
    let mut scenario = sandbox(1);
    let host = &mut scenario.hosts[0];
    host.files.insert("/etc/redis.conf".into(), "port 7001\nprotected-mode no\n".into());
    host.files.insert("/etc/bad.conf".into(), "prot 7001\n".into());
    host.processes[0].args = vec!["/etc/redis.conf".into()];
    let mut world = World::new(Arc::new(scenario), 1, programs);
    world.run_for(Duration::from_millis(100));
    let id = world.proc_named("redis-1:6379").expect("the server").id;
    assert!(world.listeners(id).all(|at| at.port() == 7001));
    assert!(world.machine::<Server>(id).is_some());
    assert!(world.log(id).expect("a log").iter().any(|line| line.text.contains("Ready to accept")));
    act(&mut world, "run redis-1 bad redis-server /etc/bad.conf");
    let said = |event: &crate::sim::Event| matches!(&event.kind, EventKind::NotStarted(_, why) if why.contains("prot 7001"));
    assert!(world.events().iter().any(said));
}

#[test]
fn traffic_can_be_made_faster_and_stopped() {
    let mut world = world(1);
    let id = world.proc_named("traffic-1").expect("a client").id;
    let sent = |world: &World| world.machine::<Traffic>(id).expect("it").client().stats().sent;
    act(&mut world, "type traffic-1 rate 1000");
    let before = sent(&world);
    world.run_for(Duration::from_secs(1));
    let rate = sent(&world) - before;
    assert!((900..1_100).contains(&rate), "{rate}");
    act(&mut world, "type traffic-1 rate 0");
    let before = sent(&world);
    world.run_for(Duration::from_secs(1));
    assert_eq!(sent(&world), before);
}

#[test]
fn the_parity_session_has_faults_of_every_kind_and_is_always_the_same() {
    assert_eq!(parity_hash(), parity_hash());
    let session: Session = parity::session(7);
    assert_eq!(session.now(), Mono::ZERO + parity::LENGTH);
    let done: Vec<String> =
        session.actions().iter().map(|timed| timed.action.to_string()).collect();
    for (verb, usage) in crate::sim::ACTION_USAGES {
        assert!(done.iter().any(|line| line.starts_with(verb)), "nobody does '{usage}'");
    }
    let happened: Vec<String> =
        session.world().events().iter().map(|event| format!("{:?}", event.kind)).collect();
    for kind in [
        "HostDown",
        "HostUp",
        "Killed",
        "Paused",
        "Resumed",
        "Broken",
        "Loss",
        "Partition",
        "Exited",
        "Dropped",
    ] {
        assert!(happened.iter().any(|event| event.contains(kind)), "no {kind}");
    }
    assert_ne!(parity::session(8).world().trace_hash(), parity_hash());
}
