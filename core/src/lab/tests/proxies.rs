//! Tests of the scenarios with proxies.

use super::*;
use crate::client;
use crate::proxy::predixy::Predixy;
use crate::proxy::twemproxy::Twemproxy;
use crate::proxy::{PoolView, Proxy, ServerView};

fn traffic<'w>(world: &'w World, name: &str) -> &'w client::Traffic {
    let id = world.proc_named(name).expect("a client").id;
    world.machine::<Traffic>(id).expect("its machine").client()
}

fn pool(world: &World) -> PoolView {
    let id = world.procs().find(|proc| proc.name.starts_with("proxy-1")).expect("a proxy").id;
    let twemproxy = world.machine::<Proxy<Twemproxy>>(id).map(Proxy::<Twemproxy>::view);
    let predixy = || world.machine::<Proxy<Predixy>>(id).map(Proxy::<Predixy>::view);
    twemproxy.or_else(predixy).expect("its machine").pools.remove(0)
}

fn server(world: &World, name: &str) -> ServerView {
    pool(world).servers.into_iter().find(|server| server.name == name).expect("a server")
}

#[test]
fn an_ejected_server_leaves_the_ring_and_comes_back() {
    let mut world = World::new(Arc::new(twemproxy()), 1, programs);
    world.run_for(Duration::from_secs(5));
    let before = server(&world, "redis-2");
    assert!(before.in_use && before.requests > 0, "{before:?}");
    assert_eq!(
        (1..=3).map(|n| traffic(&world, &format!("client-{n}")).stats().errors).sum::<u64>(),
        0
    );
    act(&mut world, "kill redis-2:6379");
    world.run_for(Duration::from_secs(2));
    assert!(!server(&world, "redis-2").in_use, "the others have its keys");
    act(&mut world, "start redis-2:6379");
    world.run_for(Duration::from_secs(8));
    let after = server(&world, "redis-2");
    assert!(after.in_use && after.requests > before.requests, "{after:?}");
}

#[test]
fn an_address_moves_to_the_host_that_is_left_and_back() {
    let mut world = World::new(Arc::new(twemproxies()), 1, programs);
    let holders = |world: &World| {
        let holds = |host: &crate::sim::HostView<'_>| world.claimed(host.id).next().is_some();
        let hosts = world.hosts().filter(holds).map(|host| host.name.to_owned());
        hosts.collect::<Vec<_>>().join(" ")
    };
    let replies = |world: &World| {
        (1..=3).map(|n| traffic(world, &format!("client-{n}")).stats().replies).min()
    };
    world.run_for(Duration::from_secs(5));
    assert_eq!(holders(&world), "proxy-1");
    for (line, holder) in [
        ("crash proxy-1", "proxy-2"),
        ("restart proxy-1", "proxy-1"),
        ("kill keepalived-1", "proxy-2"),
        ("start keepalived-1", "proxy-1"),
        ("stop keepalived-1", "proxy-2"),
        ("start keepalived-1", "proxy-1"),
    ] {
        act(&mut world, line);
        world.run_for(Duration::from_secs(8));
        assert_eq!(holders(&world), holder, "{line}");
        let before = replies(&world);
        world.run_for(Duration::from_secs(5));
        assert!(replies(&world) > before.map(|count| count + 10), "{line}: nobody is served");
    }
    // During a partition both hosts take the address; clients reach the one that took it last.
    act(&mut world, "partition proxy-1 | proxy-2");
    world.run_for(Duration::from_secs(8));
    assert_eq!(holders(&world), "proxy-2");
    act(&mut world, "heal");
    world.run_for(Duration::from_secs(8));
    assert_eq!(holders(&world), "proxy-1");
}

#[test]
fn a_master_that_dies_behind_predixy_costs_its_readers_time_and_no_error() {
    let mut world = World::new(Arc::new(predixy_over_sentinels()), 1, programs);
    world.run_for(Duration::from_secs(13));
    act(&mut world, "run client-1 reads traffic -h proxy-1 -p 7617 --only reads --patience 20");
    world.run_for(Duration::from_secs(2));
    act(&mut world, "crash redis-1");
    world.run_for(Duration::from_secs(20));
    assert_eq!(server(&world, "10.0.0.2:6379").role, "master");
    let reads = traffic(&world, "reads").stats();
    assert_eq!((reads.errors, reads.lost), (0, 0), "{reads:?}");
    assert!(reads.replies > 200, "{reads:?}");
}

#[test]
fn a_client_that_shards_reads_what_it_wrote_until_a_server_joins() {
    let mut world = World::new(Arc::new(sharding()), 1, programs);
    let client = |world: &World, name: &str| {
        let id = world.proc_named(name).expect("a client").id;
        world.machine::<Sharding>(id).expect("its machine").client().clone()
    };
    world.run_for(Duration::from_secs(60));
    for name in ["ring", "modulo", "table", "queue"] {
        let client = client(&world, name);
        let (stats, own) = (client.stats(), client.sharding_stats());
        assert!(stats.replies > 400 && stats.errors == 0, "{name}: {stats:?}");
        assert!(own.sent.len() == 3 && own.sent.iter().all(|sent| *sent > 50), "{name}: {own:?}");
        assert!(own.misses == 0 && own.wrong == 0, "{name}: {own:?}");
        assert!(own.hits + own.popped > 50, "{name}: {own:?}");
    }
    let mut missed = [0; 2];
    for (name, missed) in ["ring", "modulo"].iter().zip(&mut missed) {
        act(&mut world, &format!("type {name} add redis-4"));
        world.run_for(Duration::from_secs(60));
        *missed = client(&world, name).sharding_stats().misses;
        assert_eq!(client(&world, name).sharding_stats().wrong, 0);
    }
    // With a ring a quarter of the keys moves, with modulo three quarters.
    assert!(missed[0] > 10 && missed[1] > 2 * missed[0], "{missed:?}");
}
