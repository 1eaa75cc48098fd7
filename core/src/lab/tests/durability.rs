//! Tests of the guarantees of the append-only file, in Worlds with power failures.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use super::*;
use crate::client::Marks;
use crate::client::marks::has_bit;
use crate::rng::Rng;
use crate::sim::{HostSpec, ProcessSpec, Scenario};
use crate::store::ValueRef;

/// The number of Worlds; `LIMPID_SEEDS` overrides it.
fn seeds(usual: u64) -> u64 {
    std::env::var("LIMPID_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// A server whose append-only file is rewritten continuously, and a client that writes.
fn world(seed: u64, fsync: &str) -> World {
    let args = [
        "--port 6379",
        "--protected-mode no",
        "--appendonly yes",
        "--save ''",
        "--auto-aof-rewrite-min-size 600",
        "--auto-aof-rewrite-percentage 60",
    ];
    let args: Vec<&str> = args.iter().flat_map(|arg| arg.split(' ')).collect();
    let preamble = if seed.is_multiple_of(3) { "no" } else { "yes" };
    let more = ["--appendfsync", fsync, "--aof-use-rdb-preamble", preamble];
    let args = [&args[..], &more].concat();
    let server = ProcessSpec::new("redis-1", SERVER, &args);
    let mut writer = ProcessSpec::new(
        "writer",
        TRAFFIC,
        &["-h", "redis-1", "--rate", "150", "--only", "writes"],
    );
    writer.delay = Duration::from_millis(5);
    let scenario = Scenario {
        name: "durability".into(),
        epoch_ms: 1_700_000_000_000,
        hosts: vec![
            HostSpec::new("redis-1", Ipv4Addr::new(10, 0, 0, 1)).with(server),
            HostSpec::new("client-1", Ipv4Addr::new(10, 0, 0, 2)).with(writer),
        ],
        link: Default::default(),
        links: Vec::new(),
        tcp: Default::default(),
    };
    World::new(Arc::new(scenario), seed, programs)
}

/// The writer's marks, and their key.
fn marks(world: &World) -> (Marks, Vec<u8>) {
    let id = world.proc_named("writer").expect("a client").id;
    let Some(client) = world.machine::<Traffic>(id).map(Traffic::client) else {
        return Default::default();
    };
    (client.marks().clone(), client.config().marks.clone().unwrap_or_default().into_bytes())
}

/// The string of marks that the server has at a key.
fn held(world: &World, key: &[u8]) -> Vec<u8> {
    let id = world.proc_named("redis-1").expect("a server").id;
    let entry = world.machine::<Server>(id).and_then(|server| server.keyspace().peek(0, key));
    match entry.map(crate::store::Entry::value) {
        Some(ValueRef::String(text)) => text.to_vec(),
        _ => Vec::new(),
    }
}

/// The acknowledged marks that are missing.
fn missing(marks: &Marks, held: &[u8]) -> Vec<u64> {
    (0..marks.sent).filter(|n| marks.is_acknowledged(*n) && !has_bit(held, *n)).collect()
}

fn log(world: &World) -> Vec<String> {
    let id = world.proc_named("redis-1").expect("a server").id;
    world.log(id).map(|log| log.iter().map(|line| line.text.clone()).collect()).unwrap_or_default()
}

fn apply(world: &mut World, line: &str) {
    world.apply(&line.parse().expect(line)).unwrap_or_else(|e| panic!("{line}: {e}"));
}

/// Cuts the power, and waits until the server has loaded its data.
fn fail_power(world: &mut World, seed: u64) {
    apply(world, "crash redis-1");
    apply(world, "kill writer");
    apply(world, "restart redis-1");
    world.run_for(Duration::from_secs(1));
    let lines = log(world);
    let start = lines.iter().rposition(|line| line.starts_with("oO0O")).unwrap_or_default();
    let ready = lines.iter().skip(start).any(|line| line.starts_with("Ready"));
    assert!(ready, "seed {seed}: {lines:#?}");
}

#[test]
fn with_always_no_acknowledged_write_is_lost_when_power_fails() {
    let mut rewrites = 0;
    for seed in 0..seeds(200) {
        let mut rng = Rng::new(seed);
        let mut world = world(seed, "always");
        for life in 0..2 {
            world.run_for(Duration::from_micros(100_000 + rng.below(1_500_000)));
            let (marks, key) = marks(&world);
            fail_power(&mut world, seed);
            let lost = missing(&marks, &held(&world, &key));
            assert!(lost.is_empty(), "seed {seed}, life {life}: {lost:?} of {}", marks.count());
            apply(&mut world, "start writer");
        }
        let of_rewrites = |line: &&String| line.contains("Background AOF rewrite finished");
        rewrites += log(&world).iter().filter(of_rewrites).count();
    }
    assert!(rewrites > 100, "power has to fail while files are written anew, too: {rewrites}");
}

#[test]
fn a_process_that_is_killed_loses_nothing_that_it_has_acknowledged() {
    for seed in 0..seeds(60) {
        let mut rng = Rng::new(seed);
        let mut world = world(seed, if seed % 2 == 0 { "no" } else { "everysec" });
        if seed % 3 == 0 {
            // Then many writes are waiting for the disk.
            apply(&mut world, "disk redis-1 slow 20ms");
        }
        for life in 0..2 {
            world.run_for(Duration::from_micros(500_000 + rng.below(1_000_000)));
            let (marks, key) = marks(&world);
            apply(&mut world, "kill redis-1");
            apply(&mut world, "kill writer");
            apply(&mut world, "start redis-1");
            world.run_for(Duration::from_secs(3));
            let lost = missing(&marks, &held(&world, &key));
            assert!(lost.is_empty(), "seed {seed}, life {life}: {lost:?} of {}", marks.count());
            assert!(marks.count() > 0, "seed {seed}, life {life}: {:#?}", log(&world));
            apply(&mut world, "start writer");
        }
    }
}

#[test]
fn with_everysec_no_acknowledged_write_is_lost_that_is_two_seconds_old() {
    for seed in 0..seeds(100) {
        let mut rng = Rng::new(seed);
        let mut world = world(seed, "everysec");
        let mut latest: VecDeque<Marks> = VecDeque::new();
        let step = Duration::from_millis(50);
        for _ in 0..20 + rng.below(60) {
            world.run_for(step);
            latest.push_back(marks(&world).0);
            if latest.len() > 41 {
                latest.pop_front();
            }
        }
        let old = if latest.len() > 40 { latest.pop_front() } else { None };
        let (_, key) = marks(&world);
        fail_power(&mut world, seed);
        let lost = old.map(|old| missing(&old, &held(&world, &key))).unwrap_or_default();
        assert!(lost.is_empty(), "seed {seed}: {lost:?}");
    }
}

#[test]
fn with_everysec_replies_wait_for_a_disk_that_is_too_slow() {
    let mut world = world(1, "everysec");
    world.run_for(Duration::from_millis(500));
    // With fsyncs this slow, nothing would become durable for seconds.
    apply(&mut world, "disk redis-1 slow 5s");
    world.run_for(Duration::from_secs(20));
    let (marks, key) = marks(&world);
    let last = marks.latest.back().map_or(Mono::ZERO, |latest| latest.1);
    let old: Vec<u64> = marks
        .latest
        .iter()
        .filter(|(_, at)| last.since(*at) > Duration::from_secs(2))
        .map(|(number, _)| *number)
        .collect();
    apply(&mut world, "disk redis-1 ok");
    fail_power(&mut world, 1);
    let held = held(&world, &key);
    assert!(old.iter().all(|number| has_bit(&held, *number)), "{old:?}");
}
