//! Saving to disks that fail and lose power, in virtual time.

use super::*;
use crate::rng::Rng;

/// A server without traffic, with these arguments, and a terminal on another host.
fn lonely(seed: u64, args: &[&str]) -> World {
    let mut scenario = sandbox(1);
    let more = args.iter().map(|arg| (*arg).to_owned());
    scenario.hosts[0].processes[0].args.extend(more);
    for host in &mut scenario.hosts[1..] {
        host.processes.clear();
    }
    let mut world = World::new(Arc::new(scenario), seed, programs);
    world.run_for(Duration::from_millis(100));
    act(&mut world, "run client-1 t redis-cli -h redis-1");
    world
}

/// What a terminal shows in answer to a line.
fn ask_in(world: &mut World, terminal: &str, line: &str) -> String {
    let before = screen(world, terminal).len();
    act(world, &format!("type {terminal} {line}"));
    screen(world, terminal).get(before..).unwrap_or_default().to_owned()
}

fn ask(world: &mut World, line: &str) -> String {
    ask_in(world, "t", line)
}

/// What a server that has been down answers: to a new terminal, which no old connection keeps.
fn ask_anew(world: &mut World, line: &str) -> String {
    if world.proc_named("new").is_none() {
        world.run_for(Duration::from_secs(1));
        act(world, "run client-2 new redis-cli -h redis-1");
    }
    ask_in(world, "new", line)
}

fn log(world: &World) -> String {
    let id = world.proc_named("redis-1:6379").expect("the server").id;
    let lines = world.log(id).expect("a log").iter();
    lines.map(|line| line.text.clone()).collect::<Vec<_>>().join("\n")
}

fn files(world: &World) -> Vec<String> {
    let host = world.host_named("redis-1").expect("the host");
    host.disk.tree().filter(|(path, _)| path.ends_with(".rdb")).map(|f| f.0.to_owned()).collect()
}

#[test]
fn save_points_come_in_virtual_time() {
    let mut world = lonely(1, &["--save", "60 1"]);
    ask(&mut world, "set k v");
    world.run_for(Duration::from_secs(30));
    assert_eq!(files(&world), [""; 0]);
    world.run_for(Duration::from_secs(32));
    assert_eq!(files(&world).len(), 1, "{}", log(&world));
    assert!(log(&world).contains("1 changes in 60 seconds. Saving..."));
    act(&mut world, "crash redis-1");
    act(&mut world, "restart redis-1");
    assert!(ask_anew(&mut world, "get k").contains("\"v\""), "{}", log(&world));
    assert!(log(&world).contains("DB loaded from disk"));
}

#[test]
fn power_that_fails_at_any_moment_leaves_a_whole_dump() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut world = lonely(seed, &["--save", "", "--rdb-key-save-delay", "50"]);
        for n in 0..60 {
            world
                .apply(&format!("type t set key:{n} old").parse().expect("a line"))
                .expect("typed");
        }
        world.run_for(Duration::from_secs(1));
        assert!(ask(&mut world, "save").contains("OK"), "seed {seed}");
        for n in 0..60 {
            world
                .apply(&format!("type t set key:{n} new").parse().expect("a line"))
                .expect("typed");
        }
        world.run_for(Duration::from_secs(1));
        world.apply(&"type t bgsave".parse().expect("a line")).expect("typed");
        world.run_for(Duration::from_micros(rng.below(30_000)));
        let verb = if seed % 3 == 0 { "kill redis-1:6379" } else { "crash redis-1" };
        act(&mut world, verb);
        act(&mut world, if seed % 3 == 0 { "start redis-1:6379" } else { "restart redis-1" });
        let size = ask_anew(&mut world, "dbsize");
        assert!(size.contains("(integer) 60"), "seed {seed}: {size} {}", log(&world));
        let first = ask_anew(&mut world, "get key:0");
        let last = ask_anew(&mut world, "get key:59");
        let value = |text: &str| text.contains("new");
        assert_eq!(value(&first), value(&last), "seed {seed}: one moment, not two");
    }
}

#[test]
fn a_full_disk_keeps_the_old_dump_and_refuses_writes() {
    let mut world = lonely(1, &["--save", "3600 1"]);
    ask(&mut world, "set k old");
    ask(&mut world, "save");
    act(&mut world, "disk redis-1 full");
    ask(&mut world, "set k new");
    ask(&mut world, "bgsave");
    world.run_for(Duration::from_secs(1));
    assert!(log(&world).contains("No space left on device"), "{}", log(&world));
    assert!(ask(&mut world, "set k newer").contains("MISCONF"));
    assert_eq!(files(&world).len(), 1);
    act(&mut world, "disk redis-1 ok");
    ask(&mut world, "bgsave");
    world.run_for(Duration::from_secs(1));
    assert!(ask(&mut world, "set k newer").contains("OK"));
    for fault in ["fail-writes", "fail-syncs"] {
        act(&mut world, &format!("disk redis-1 {fault}"));
        assert!(ask(&mut world, "save").contains("ERR"), "{fault}");
        assert_eq!(files(&world).len(), 1, "{fault}");
    }
    act(&mut world, "crash redis-1");
    act(&mut world, "restart redis-1");
    act(&mut world, "disk redis-1 ok");
    assert!(ask_anew(&mut world, "get k").contains("\"new\""), "{}", log(&world));
}
