//! Clusters of servers in a World.

use super::*;
use crate::cluster::{Cluster, SlotSet};
use crate::rng::Rng;
use crate::sharding::Slot;

struct Nodes {
    world: World,
    count: u8,
    terminals: u32,
}

impl Nodes {
    /// A cluster that is up.
    fn new(seed: u64, primaries: u8, replicas: u8) -> Nodes {
        let scenario = cluster(primaries, replicas);
        let count = scenario.hosts.len() as u8;
        let world = World::new(Arc::new(scenario), seed, programs);
        let mut nodes = Nodes { world, count, terminals: 0 };
        nodes.until("all are up", |nodes| nodes.living().all(|(_, node)| node.is_up()));
        nodes
    }

    fn server(&self, n: u8) -> Option<&Server> {
        let id = self.world.proc_named(&format!("node-{n}:6379"))?.id;
        self.world.machine(id)
    }

    fn node(&self, n: u8) -> &Cluster {
        self.server(n).and_then(Server::cluster).expect("a node that lives")
    }

    fn living(&self) -> impl Iterator<Item = (u8, &Cluster)> {
        (1..=self.count).filter_map(|n| Some((n, self.server(n)?.cluster()?)))
    }

    /// What a client of a node is answered within a second.
    fn ask(&mut self, n: u8, words: &str) -> String {
        self.terminals += 1;
        let name = format!("t{}", self.terminals);
        act(&mut self.world, &format!("run node-{n} {name} redis-cli -h 10.0.0.{n}"));
        act(&mut self.world, &format!("type {name} {words}"));
        let shown = |world: &World| {
            let text = screen(world, &name);
            text.split_once('\n').map(|(_, answer)| answer.to_owned()).unwrap_or_default()
        };
        for _ in 0..100 {
            if !shown(&self.world).is_empty() {
                break;
            }
            self.world.run_for(Duration::from_millis(10));
        }
        shown(&self.world)
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..12_000 {
            if holds(self) {
                return;
            }
            self.world.run_for(Duration::from_millis(10));
        }
        for n in 1..=self.count {
            if let Some(id) = self.world.proc_named(&format!("node-{n}:6379")).map(|proc| proc.id) {
                let log = self.world.log(id).map(|log| log.iter().map(|line| &line.text));
                println!("{n}: {:#?}", log.map(Iterator::collect::<Vec<_>>));
            }
        }
        panic!("it is never so that {what}");
    }

    /// All that live have the same owner for every slot, and each slot has one.
    fn agree(&self) -> bool {
        let mut owned = SlotSet::new();
        for (_, node) in self.living() {
            if node.my_slots().iter().any(|slot| !owned.insert(slot)) {
                return false;
            }
        }
        let owners =
            |node: &Cluster| Slot::all().map(|slot| node.owner_of(slot)).collect::<Vec<_>>();
        let mut views = self.living().map(|(_, node)| owners(node));
        let Some(first) = views.next() else { return false };
        owned.len() == usize::from(Slot::COUNT) && views.all(|view| view == first)
    }
}

#[test]
fn a_replica_takes_over_and_its_primary_comes_back_as_a_replica() {
    let mut nodes = Nodes::new(1, 3, 1);
    nodes.until("the replica follows", |nodes| {
        nodes.server(4).is_some_and(|server| server.replication_view().primary.is_some())
    });
    nodes.world.run_for(Duration::from_secs(2));
    // The key is in slot 3300.
    assert_eq!(nodes.ask(1, "set b before"), "OK\n");
    assert!(nodes.ask(2, "get b").contains("MOVED 3300 10.0.0.1:6379"));
    act(&mut nodes.world, "kill node-1");
    nodes.until("taken over", |nodes| nodes.node(4).owns(Slot::of(b"b")));
    nodes.until("up", |nodes| nodes.living().all(|(_, node)| node.is_up()));
    assert_eq!(nodes.ask(4, "get b"), "\"before\"\n");
    assert_eq!(nodes.ask(4, "set b after"), "OK\n");
    act(&mut nodes.world, "start node-1:6379");
    nodes.until("it is a replica", |nodes| {
        nodes.living().any(|(n, node)| n == 1 && node.is_replica())
    });
    nodes.until("it has the data", |nodes| {
        let digest = |n| nodes.server(n).map(Server::data_digest);
        digest(1) == digest(4)
    });
    assert!(nodes.agree());
}

#[test]
fn views_converge_after_every_kind_of_trouble() {
    for seed in 0..6 {
        let mut nodes = Nodes::new(seed, 3, 2);
        let mut rng = Rng::new(seed ^ 0x5eed);
        for _ in 0..6 {
            let n = rng.below(u64::from(nodes.count)) + 1;
            let line = match rng.below(4) {
                0 => format!("kill node-{n}"),
                1 => format!("partition node-{n}"),
                2 => "heal".to_owned(),
                _ => format!("start node-{n}:6379"),
            };
            // What runs cannot be started, and what is dead cannot be killed.
            let _ = nodes.world.apply(&line.parse().expect(&line));
            nodes.world.run_for(Duration::from_millis(rng.below(8_000)));
        }
        let _ = nodes.world.apply(&"heal".parse().expect("heal"));
        for n in 1..=nodes.count {
            let line = format!("start node-{n}:6379");
            let _ = nodes.world.apply(&line.parse().expect(&line));
        }
        nodes.until("all are up and agree", |nodes| {
            nodes.living().count() == usize::from(nodes.count)
                && nodes.living().all(|(_, node)| node.is_up())
                && nodes.agree()
        });
    }
}

#[test]
fn forty_nodes_gossip_and_agree_on_a_failure() {
    let mut nodes = Nodes::new(3, 20, 1);
    nodes.world.run_for(Duration::from_secs(5));
    assert!(nodes.agree());
    act(&mut nodes.world, "kill node-7");
    nodes
        .until("taken over", |nodes| nodes.living().any(|(n, node)| n == 27 && !node.is_replica()));
}

#[test]
fn clients_of_both_kinds_write_through_a_failover_and_a_slot_that_moves() {
    let scenario = busy_cluster(3, 1);
    let mut nodes =
        Nodes { world: World::new(Arc::new(scenario), 5, programs), count: 6, terminals: 0 };
    nodes.until("all are up", |nodes| nodes.living().all(|(_, node)| node.is_up()));
    let client = |nodes: &Nodes, name: &str| {
        let id = nodes.world.proc_named(name).expect("a client").id;
        let client = nodes.world.machine::<ClusterTraffic>(id).expect("it runs").client();
        client.stats().clone()
    };
    nodes.world.run_for(Duration::from_secs(10));
    for name in ["app-1", "plain-1"] {
        let stats = client(&nodes, name);
        assert!(stats.traffic.replies > 50, "{name}: {stats:?}");
        assert_eq!((stats.gone, stats.wrong, stats.traffic.errors), (0, 0, 0), "{name}: {stats:?}");
    }
    assert!(client(&nodes, "app-1").learned > 0);
    assert!(client(&nodes, "plain-1").moved > 10);

    // The slot of "b" goes from the first node to the second while they write.
    let (one, two) = (nodes.node(1).my_id(), nodes.node(2).my_id());
    assert_eq!(nodes.ask(2, &format!("cluster setslot 3300 importing {one}")), "OK\n");
    assert_eq!(nodes.ask(1, &format!("cluster setslot 3300 migrating {two}")), "OK\n");
    assert_eq!(nodes.ask(2, &format!("cluster setslot 3300 node {two}")), "OK\n");
    assert_eq!(nodes.ask(1, &format!("cluster setslot 3300 node {two}")), "OK\n");
    nodes.until("all know", |nodes| {
        nodes.living().all(|(_, node)| node.owner_of(Slot::of(b"b")) == Some(two))
    });

    act(&mut nodes.world, "kill node-3");
    nodes.until("taken over", |nodes| {
        nodes.living().any(|(n, node)| n == 6 && !node.is_replica() && node.is_up())
    });
    let before = client(&nodes, "app-1").traffic.replies;
    nodes.world.run_for(Duration::from_secs(10));
    for name in ["app-1", "plain-1"] {
        let stats = client(&nodes, name);
        assert_eq!((stats.wrong, stats.traffic.errors), (0, 0), "{name}: {stats:?}");
    }
    assert!(client(&nodes, "app-1").traffic.replies > before + 50);
}

#[test]
fn nodes_that_have_not_met_become_a_cluster_by_hand() {
    let mut nodes =
        Nodes { world: World::new(Arc::new(empty_nodes(3)), 5, programs), count: 3, terminals: 0 };
    nodes.world.run_for(Duration::from_secs(1));
    assert_eq!(nodes.ask(1, "cluster meet 10.0.0.2 6379"), "OK\n");
    assert_eq!(nodes.ask(1, "cluster meet 10.0.0.3 6379"), "OK\n");
    for (n, range) in [(1, "0 5460"), (2, "5461 10922"), (3, "10923 16383")] {
        assert_eq!(nodes.ask(n, &format!("cluster addslotsrange {range}")), "OK\n");
    }
    nodes.until("they are a cluster", |nodes| {
        nodes.living().count() == 3 && nodes.living().all(|(_, node)| node.is_up()) && nodes.agree()
    });
}
