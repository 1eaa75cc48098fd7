//! Tests of saving to disks that fail and lose power, in virtual time.

use super::*;
use crate::rng::Rng;

/// A server without traffic, with these arguments, and a terminal on another host.
fn single_server(seed: u64, args: &[&str]) -> World {
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

/// The output of a terminal after a line.
fn ask_in(world: &mut World, terminal: &str, line: &str) -> String {
    let before = screen(world, terminal).len();
    act(world, &format!("type {terminal} {line}"));
    screen(world, terminal).get(before..).unwrap_or_default().to_owned()
}

fn ask(world: &mut World, line: &str) -> String {
    ask_in(world, "t", line)
}

/// The output of a new terminal, since an old one would have a broken connection after a restart.
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
    let mut world = single_server(1, &["--save", "60 1"]);
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
        let mut world = single_server(seed, &["--save", "", "--rdb-key-save-delay", "50"]);
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
    let mut world = single_server(1, &["--save", "3600 1"]);
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

#[test]
fn a_snapshot_on_a_stalled_disk_has_a_memory_limit() {
    let args =
        ["--save", "3600 1000000", "--enable-debug-command", "yes", "--rdbcompression", "no"];
    let mut world = single_server(1, &args);
    ask(&mut world, "debug populate 300 key 100000");
    act(&mut world, "disk redis-1 slow 1000s");
    ask(&mut world, "bgsave");
    let in_progress =
        |world: &mut World| ask(world, "info persistence").contains("rdb_bgsave_in_progress:1");
    let mut changed = 0;
    while in_progress(&mut world) {
        // Ten keys of 100,000 bytes each.
        assert!(changed < 300, "nothing is given up: {}", log(&world));
        for n in changed..changed + 10 {
            ask(&mut world, &format!("set key:{n} other"));
        }
        changed += 10;
    }
    // 16 MiB may be buffered, plus some of the keys next to changed ones.
    assert!((50..=200).contains(&changed), "{changed}: {}", log(&world));
    let log = log(&world);
    assert!(log.contains("The snapshot is given up: the disk takes it too slowly"), "{log}");
    assert!(log.contains("Background saving error"), "{log}");
    assert!(ask(&mut world, "info persistence").contains("rdb_last_bgsave_status:err"));
    assert!(ask(&mut world, "set k v").contains("MISCONF"));
    act(&mut world, "disk redis-1 ok");
    // Earlier disk operations are still as slow.
    world.run_for(Duration::from_secs(10_000));
    assert!(ask(&mut world, "bgsave").contains("started"));
    world.run_for(Duration::from_secs(10));
    let text = ask(&mut world, "info persistence");
    assert!(text.contains("rdb_last_bgsave_status:ok"), "{text}");
    assert!(ask(&mut world, "set k v").contains("OK"));
    assert_eq!(files(&world).len(), 1, "nothing is left of the one that was given up");
}

#[test]
fn a_rewrite_for_which_too_much_waits_is_given_up() {
    let args = ["--save", "", "--enable-debug-command", "yes", "--rdbcompression", "no"];
    let mut world = single_server(1, &[&args[..], &["--appendonly", "yes"]].concat());
    ask(&mut world, "debug populate 300 key 100000");
    ask(&mut world, "bgrewriteaof");
    let started = |world: &World| log(world).matches("file rewriting started by pid").count();
    let has = |world: &mut World, field: &str| ask(world, "info persistence").contains(field);
    while !has(&mut world, "aof_rewrite_in_progress:0") {
        world.run_for(Duration::from_millis(10));
    }
    act(&mut world, "disk redis-1 slow 2s");
    act(&mut world, "type t bgrewriteaof");
    while started(&world) < 2 {
        world.run_for(Duration::from_millis(10));
    }
    // A single command with more data than the 16 MiB that may be buffered.
    let words: String = (0..250).map(|n| format!(" key:{n} other")).collect();
    act(&mut world, &format!("type t mset{words}"));
    while !has(&mut world, "aof_rewrite_in_progress:0") {
        assert!(
            world.now().since(Default::default()) < Duration::from_secs(300),
            "{}",
            log(&world)
        );
        world.run_for(Duration::from_secs(1));
    }
    let text = log(&world);
    assert!(text.contains("The snapshot is given up: the disk takes it too slowly"), "{text}");
    assert!(text.contains("Background AOF rewrite terminated with error"), "{text}");
    assert!(has(&mut world, "aof_last_bgrewrite_status:err"));
    assert!(has(&mut world, "aof_last_write_status:ok"));
    let left = |world: &World| {
        let host = world.host_named("redis-1").expect("the host");
        host.disk.tree().any(|(path, _)| path.contains("temp-"))
    };
    assert!(!left(&world), "nothing is left of it");
    // The writes are in the files nevertheless, and the next rewrite succeeds.
    act(&mut world, "disk redis-1 ok");
    world.run_for(Duration::from_secs(10));
    act(&mut world, "crash redis-1");
    act(&mut world, "restart redis-1");
    world.run_for(Duration::from_secs(5));
    for n in [0, 249] {
        let value = ask_anew(&mut world, &format!("get key:{n}"));
        assert!(value.contains("\"other\""), "{value} {}", log(&world));
    }
    assert!(ask_anew(&mut world, "strlen key:299").contains("(integer) 100000"));
    assert!(ask_anew(&mut world, "dbsize").contains("(integer) 300"));
    ask_anew(&mut world, "bgrewriteaof");
    world.run_for(Duration::from_secs(5));
    let text = ask_anew(&mut world, "info persistence");
    assert!(text.contains("aof_last_bgrewrite_status:ok"), "{text}");
    assert!(text.contains("aof_rewrite_in_progress:0"), "{text}");
    assert!(!left(&world));
}

#[test]
fn no_save_starts_while_a_shutdown_waits_for_the_disk() {
    let args = ["--save", "5 1", "--appendonly", "yes"];
    let mut world = single_server(1, &args);
    act(&mut world, "run client-2 other redis-cli -h redis-1");
    act(&mut world, "disk redis-1 slow 20s");
    // The rewrite waits for the dump, which is aborted by the shutdown.
    for line in ["set k v", "bgsave", "bgrewriteaof"] {
        act(&mut world, &format!("run client-1 {} redis-cli -h redis-1 {line}", &line[..3]));
        world.run_for(Duration::from_millis(50));
    }
    ask_in(&mut world, "other", "shutdown");
    let state = |world: &World| world.proc_named("redis-1:6379").expect("the server").state;
    while state(&world) == ProcState::Running {
        assert!(
            world.now().since(Default::default()) < Duration::from_secs(600),
            "{}",
            log(&world)
        );
        world.run_for(Duration::from_secs(1));
    }
    let log = log(&world);
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text:?} in {log}"));
    let (_, after) = log.split_at(at("Calling fsync() on the AOF file."));
    assert!(!after.contains("Saving..."), "{log}");
    assert!(!after.contains("Background saving started"), "{log}");
    assert!(!after.contains("file rewriting started"), "{log}");
    assert!(after.contains("Saving the final RDB snapshot before exiting."), "{log}");
    act(&mut world, "disk redis-1 ok");
    act(&mut world, "start redis-1:6379");
    assert!(ask_anew(&mut world, "get k").contains("\"v\""));
}

#[test]
fn config_set_dir_does_not_move_what_is_being_written() {
    let args = ["--save", "", "--appendonly", "yes", "--enable-protected-configs", "yes"];
    let mut world = single_server(1, &args);
    let ending = |world: &World, end: &str| -> Vec<String> {
        files(world).into_iter().filter(|path| path.ends_with(end)).collect()
    };
    // The only other directory.
    let elsewhere = "config set dir /appendonlydir";
    for round in 0..2 {
        for n in 0..20 {
            ask(&mut world, &format!("set key:{n} {round}"));
        }
        act(&mut world, "disk redis-1 slow 5ms");
        for line in ["bgsave", elsewhere, "bgrewriteaof"] {
            world.apply(&format!("type t {line}").parse().expect("a line")).expect("typed");
            world.run_for(Duration::from_millis(12));
        }
        world.run_for(Duration::from_secs(5));
        act(&mut world, "disk redis-1 ok");
        let text = ask(&mut world, "info persistence");
        assert!(text.contains("rdb_last_bgsave_status:ok"), "{}", log(&world));
        assert!(text.contains("aof_last_bgrewrite_status:ok"), "{}", log(&world));
        assert!(text.contains("aof_rewrite_in_progress:0"), "{}", log(&world));
        assert!(text.contains("aof_rewrites:1") || round > 0, "{text} {}", log(&world));
        // A save that starts later uses the new directory.
        let dumps: &[&str] =
            if round == 0 { &["/dump.rdb"] } else { &["/appendonlydir/dump.rdb", "/dump.rdb"] };
        assert_eq!(ending(&world, "dump.rdb"), dumps, "{}", log(&world));
    }
    assert_eq!(ending(&world, ".base.rdb").len(), 1, "{:?}", files(&world));
    assert!(files(&world).iter().all(|path| !path.contains("temp")), "{:?}", files(&world));
    assert!(log(&world).contains("The append-only file stays in /appendonlydir."));
    ask(&mut world, "set key:0 last");
    act(&mut world, "kill redis-1:6379");
    act(&mut world, "start redis-1:6379");
    assert!(ask_anew(&mut world, "get key:0").contains("\"last\""), "{}", log(&world));
    assert!(ask_anew(&mut world, "get key:19").contains("\"1\""), "{}", log(&world));
    // Switching it off and on again moves it.
    for line in [elsewhere, "config set appendonly no", "config set appendonly yes"] {
        assert!(ask_anew(&mut world, line).contains("OK"), "{line}");
    }
    world.run_for(Duration::from_secs(1));
    let moved = ending(&world, ".base.rdb");
    let moved = moved.iter().filter(|path| path.starts_with("/appendonlydir/appendonlydir/"));
    assert_eq!(moved.count(), 1, "{:?} {}", files(&world), log(&world));
}
