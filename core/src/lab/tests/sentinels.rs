//! Tests of Sentinels among servers in a World.

use super::*;
use crate::sentinel::SentinelServer;
use crate::sim::Scenario;

fn begin(scenario: Scenario) -> World {
    let mut world = World::new(Arc::new(scenario), 3, programs);
    world.run_for(Duration::from_secs(15));
    world
}

fn sentinel<'w>(world: &'w World, name: &str) -> &'w SentinelServer {
    let proc = world.proc_named(name).expect("a Sentinel").id;
    let program = world.machine::<crate::sim::Plain<SentinelServer>>(proc);
    &program.expect("a Sentinel that runs").0
}

/// The addresses that the Sentinels give to clients.
fn masters(world: &World, names: &[&str], master: &str) -> Vec<String> {
    let of = |name: &&str| {
        let view = sentinel(world, name).view();
        let found = view.masters.iter().find(|m| m.seen.name == master);
        found.map(|m| m.current.clone()).unwrap_or_default()
    };
    names.iter().map(of).collect()
}

fn acknowledged(world: &World, writer: &str) -> u64 {
    let id = world.proc_named(writer).expect("a writer").id;
    world.machine::<Traffic>(id).expect("traffic").client().stats().replies
}

const THREE: [&str; 3] = ["sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"];

#[test]
fn a_master_that_crashes_is_replaced_and_the_writer_goes_on() {
    let mut world = begin(sentinels());
    assert_eq!(masters(&world, &THREE, "mymaster"), ["10.0.0.1:6379"; 3]);
    for name in THREE {
        let view = sentinel(&world, name).view();
        let master = &view.masters[0];
        assert_eq!((master.replicas.len(), master.sentinels.len()), (2, 2), "{name}");
    }
    act(&mut world, "crash redis-1");
    world.run_for(Duration::from_secs(10));
    let now = masters(&world, &THREE, "mymaster");
    assert!(now[0] != "10.0.0.1:6379" && now.iter().all(|at| *at == now[0]), "{now:?}");
    let before = acknowledged(&world, "writer-1");
    world.run_for(Duration::from_secs(5));
    assert!(acknowledged(&world, "writer-1") > before + 30, "it writes to the new master");
    act(&mut world, "restart redis-1");
    world.run_for(Duration::from_secs(30));
    let id = world.proc_named("redis-1:6379").expect("a server").id;
    let old = world.machine::<crate::sim::Plain<Server>>(id).expect("it runs");
    assert!(old.0.replication_view().primary.is_some(), "it follows the new master");
    let disk = world.host_named("sentinel-1").expect("a host").disk;
    let text = disk.read_file("/sentinel/26379/sentinel.conf").expect("its file");
    let text = String::from_utf8(text).expect("text");
    for line in ["sentinel monitor mymaster 10.0.0.", "sentinel current-epoch 1", "sentinel myid "]
    {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn without_a_majority_nothing_is_replaced() {
    let mut world = begin(sentinels());
    for line in ["crash sentinel-2", "crash sentinel-3", "crash redis-1"] {
        act(&mut world, line);
    }
    world.run_for(Duration::from_secs(60));
    assert_eq!(masters(&world, &THREE[..1], "mymaster"), ["10.0.0.1:6379"]);
    assert_eq!(sentinel(&world, THREE[0]).view().masters[0].failover_epoch, 0);
}

#[test]
fn five_sentinels_on_three_machines_survive_the_loss_of_one() {
    let mut world = begin(sentinels_on_servers());
    act(&mut world, "crash redis-1");
    world.run_for(Duration::from_secs(20));
    let left = ["redis-2:26379", "redis-2:26380", "redis-3:26379"];
    let now = masters(&world, &left, "mymaster");
    assert!(now[0] != "10.0.0.1:6379" && now.iter().all(|at| *at == now[0]), "{now:?}");
}

#[test]
fn one_set_of_sentinels_watches_two_masters() {
    let mut world = begin(two_masters());
    act(&mut world, "crash redis-3");
    world.run_for(Duration::from_secs(12));
    assert_eq!(masters(&world, &THREE, "ooxx"), ["10.0.0.1:6379"; 3]);
    assert_eq!(masters(&world, &THREE, "xxoo"), ["10.0.0.4:6379"; 3]);
    let before = acknowledged(&world, "writer-2");
    world.run_for(Duration::from_secs(5));
    assert!(acknowledged(&world, "writer-2") > before + 30);
}

#[test]
fn a_terminal_asks_a_sentinel() {
    let mut world = begin(sentinels());
    act(&mut world, "run writer-1 t redis-cli -h sentinel-1 -p 26379");
    act(&mut world, "type t sentinel get-master-addr-by-name mymaster");
    act(&mut world, "type t sentinel ckquorum mymaster");
    act(&mut world, "type t set k v");
    act(&mut world, "type t role");
    assert_eq!(
        screen(&world, "t"),
        "sentinel-1:26379> sentinel get-master-addr-by-name mymaster\n\
         1) \"10.0.0.1\"\n2) \"6379\"\n\
         sentinel-1:26379> sentinel ckquorum mymaster\n\
         OK 3 usable Sentinels. Quorum and failover authorization can be reached\n\
         sentinel-1:26379> set k v\n\
         (error) ERR unknown command 'set', with args beginning with: 'k' 'v' \n\
         sentinel-1:26379> role\n1) \"sentinel\"\n2) 1) \"mymaster\"\n"
    );
}

/// The lines typed on `sentinel-1` to have a script run at every warning.
const NOTIFY: &[&str] = &[
    "printf '#!/bin/sh\\necho \"$@\" >> /root/told\\n' > /root/notify.sh",
    "chmod +x /root/notify.sh",
    "echo 'sentinel notification-script mymaster /root/notify.sh' >> /sentinel/26379/sentinel.conf",
    "exit",
];

#[test]
fn a_notification_script_is_run_by_the_shell_of_the_host() {
    let mut world = begin(sentinels());
    act(&mut world, "stop sentinel-1");
    act(&mut world, "login sentinel-1 t");
    for line in NOTIFY {
        world.run_for(Duration::from_millis(500));
        act(&mut world, &format!("keys t {line}\\r"));
    }
    act(&mut world, "start sentinel-1");
    world.run_for(Duration::from_secs(5));
    act(&mut world, "crash redis-1");
    world.run_for(Duration::from_secs(15));
    let disk = world.host_named("sentinel-1").expect("a host").disk;
    let told = disk.read_file("/root/told").expect("what the script wrote");
    let told = String::from_utf8(told).expect("text");
    for line in ["+monitor master mymaster 10.0.0.1 6379", "+sdown master mymaster"] {
        assert!(told.contains(line), "{told}");
    }
    assert!(told.contains("+switch-master mymaster 10.0.0.1 6379 10.0.0."), "{told}");
}
