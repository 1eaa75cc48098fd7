//! Tests of clusters in a World.

use super::*;
use crate::cluster::{Cluster, SlotSet};
use crate::rng::Rng;
use crate::sharding::Slot;
use crate::sim::Scenario;

#[derive(Clone)]
pub(super) struct Nodes {
    pub(super) world: World,
    count: u8,
    pub(super) terminals: u32,
}

impl Nodes {
    /// A running cluster.
    pub(super) fn new(seed: u64, primaries: u8, replicas: u8) -> Nodes {
        Nodes::of(cluster(primaries, replicas), seed)
    }

    /// The cluster of a scenario whose hosts are nodes.
    pub(super) fn of(scenario: Scenario, seed: u64) -> Nodes {
        let count = scenario.hosts.len() as u8;
        let world = World::new(Arc::new(scenario), seed, programs);
        let mut nodes = Nodes { world, count, terminals: 0 };
        nodes.until("all are up", Nodes::are_up);
        nodes
    }

    /// Whether all nodes are running and serve clients.
    pub(super) fn are_up(&self) -> bool {
        self.living().count() == usize::from(self.count)
            && self.living().all(|(_, node)| node.is_up())
    }

    pub(super) fn server(&self, n: u8) -> Option<&Server> {
        let id = self.world.proc_named(&format!("node-{n}:6379"))?.id;
        self.world.machine(id)
    }

    pub(super) fn node(&self, n: u8) -> &Cluster {
        self.server(n).and_then(Server::cluster).expect("a node that lives")
    }

    fn living(&self) -> impl Iterator<Item = (u8, &Cluster)> {
        (1..=self.count).filter_map(|n| Some((n, self.server(n)?.cluster()?)))
    }

    /// The number of keys in a slot of a node, if the node is alive.
    pub(super) fn keys(&self, n: u8, slot: Slot) -> Option<usize> {
        Some(self.server(n)?.keyspace().count_in_slot(slot))
    }

    /// Runs a command on a node; returns its output within a second.
    pub(super) fn ask(&mut self, n: u8, words: &str) -> String {
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

    pub(super) fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..12_000 {
            if holds(self) {
                return;
            }
            self.world.run_for(Duration::from_millis(10));
        }
        self.print_logs();
        panic!("it is never so that {what}");
    }

    pub(super) fn print_logs(&self) {
        for n in 1..=self.count {
            if let Some(id) = self.world.proc_named(&format!("node-{n}:6379")).map(|proc| proc.id) {
                let log = self.world.log(id).map(|log| log.iter().map(|line| &line.text));
                println!("{n}: {:#?}", log.map(Iterator::collect::<Vec<_>>));
            }
        }
    }

    /// Whether all living nodes agree on the owner of every slot, and every slot has one.
    pub(super) fn agree(&self) -> bool {
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
fn cluster_views_converge_after_faults_of_every_kind() {
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
            // Starting a running process and killing a dead one are refused.
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

    // The slot of "b" moves from the first node to the second during the writes.
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

/// Keys of every type with the tag `{b}` (slot 3300).
fn fill(nodes: &mut Nodes) {
    fill_tag(nodes, "b");
}

/// Creates seven keys of every type, with a tag whose slot belongs to the first node.
pub(super) fn fill_tag(nodes: &mut Nodes, tag: &str) {
    for line in [
        "set {b}text before",
        "rpush {b}list 1 2 3",
        "hset {b}hash a 1 b 2",
        "sadd {b}set x y",
        "zadd {b}zset 1 one 2 two",
        "xadd {b}stream 1-1 field value",
        "set {b}going soon px 60000000",
    ] {
        let line = line.replace("{b}", &format!("{{{tag}}}"));
        let told = nodes.ask(1, &line);
        assert!(!told.contains("error"), "{line}: {told}");
    }
}

fn moves(nodes: &Nodes, from: u8) -> bool {
    nodes.server(from).is_some_and(|server| !server.leaving_slots().is_empty())
}

#[test]
fn an_atomic_migration_moves_keys_of_every_type() {
    let mut nodes = Nodes::new(7, 3, 1);
    fill(&mut nodes);
    let slot = Slot::of(b"b");
    let digest = |nodes: &Nodes, n| nodes.server(n).map(Server::data_digest);
    let before = digest(&nodes, 1);
    let target = nodes.node(2).my_id();
    let line = format!("cluster migrateslots slotsrange 3300 3301 node {target}");
    assert_eq!(nodes.ask(1, &line), "OK\n");
    nodes.until("the slot has moved", |nodes| nodes.node(2).owns(slot) && !moves(nodes, 1));
    nodes.until("its keys are gone here", |nodes| {
        nodes.server(1).is_some_and(|server| server.keyspace().count_in_slot(slot) == 0)
    });
    assert_eq!(digest(&nodes, 2), before);
    nodes.until("all agree", Nodes::agree);
    assert!(nodes.ask(1, "get {b}text").contains("MOVED 3300 10.0.0.2:6379"));
    assert_eq!(nodes.ask(2, "get {b}text"), "\"before\"\n");
    let told = nodes.ask(1, "cluster getslotmigrations");
    assert!(told.contains("\"EXPORT\"") && told.contains("\"success\""), "{told}");
    let told = nodes.ask(2, "cluster getslotmigrations");
    assert!(told.contains("\"IMPORT\"") && told.contains("\"success\""), "{told}");
    nodes.until("its replica has them", |nodes| digest(nodes, 5) == digest(nodes, 2));
}

#[test]
fn invalid_slot_migrations_are_refused() {
    let mut nodes = Nodes::new(8, 3, 1);
    let (one, two, replica) = (nodes.node(1).my_id(), nodes.node(2).my_id(), nodes.node(4).my_id());
    for (line, refusal) in [
        (
            format!("slotsrange 5 4 node {two}"),
            "start slot number 5 is greater than end slot number 4",
        ),
        (format!("slotsrange 0 3 2 5 node {two}"), "Slot 2 specified multiple times"),
        (format!("slotsrange 16000 16001 node {two}"), "I'm not the owner of hash slot 16000"),
        (format!("slotsrange 0 1 node {one}"), "The target is this node"),
        (format!("slotsrange 0 1 node {replica}"), "Target node is not a master"),
        (format!("slotsrange 0 1 node {}", "f".repeat(40)), "I don't know about node"),
        (format!("slotsrange 0 1 2 node {two}"), "syntax error"),
    ] {
        let told = nodes.ask(1, &format!("cluster migrateslots {line}"));
        assert!(told.contains(refusal), "{line}: {told}");
    }
}

#[test]
fn a_redirection_comes_before_not_allowed_in_cluster_mode() {
    let mut nodes = Nodes::new(15, 3, 1);
    assert_eq!(nodes.ask(2, "move {b} 1"), "(error) MOVED 3300 10.0.0.1:6379\n");
    nodes.ask(1, "set {b} here");
    let refused = "(error) ERR MOVE is not allowed in cluster mode\n";
    assert_eq!(nodes.ask(1, "move {b} 1"), refused);
    assert_eq!(nodes.ask(1, "get {b}"), "\"here\"\n");
    let refused = "(error) ERR BY option of SORT denied in Cluster mode.\n";
    assert_eq!(nodes.ask(1, "sort {b} by weight_*"), refused);
    assert_eq!(nodes.ask(1, "cluster delslots 3300"), "OK\n");
    let told = nodes.ask(1, "mset {b} 1 a 2");
    assert_eq!(told, "(error) CLUSTERDOWN Hash slot not served\n");
    let told = nodes.ask(1, "mset a 1 {b} 2");
    assert!(told.starts_with("(error) CROSSSLOT"), "{told}");
}

/// Clients that write all the time see neither ASK nor TRYAGAIN nor an error.
#[test]
fn clients_write_during_an_atomic_slot_migration() {
    for seed in 0..4 {
        let world = World::new(Arc::new(busy_cluster(3, 1)), seed, programs);
        let mut nodes = Nodes { world, count: 6, terminals: 0 };
        nodes.until("all are up", Nodes::are_up);
        nodes.world.run_for(Duration::from_secs(4));
        for (from, to) in [(1, 2), (2, 3), (3, 1), (1, 2)] {
            nodes.until("all agree", Nodes::agree);
            let (source, target) = (nodes.node(from).my_id(), nodes.node(to).my_id());
            let before = nodes.node(to).my_slots().len();
            nodes.terminals += 1;
            let tool = nodes.terminals;
            act(
                &mut nodes.world,
                &format!(
                    "run app-1 tool-{tool} redis-trib.rb reshard --from {source} --to {target} \
                     --slots 2000 --yes 10.0.0.1:6379"
                ),
            );
            nodes
                .until("they have moved", |nodes| nodes.node(to).my_slots().len() == before + 2000);
        }
        nodes.world.run_for(Duration::from_secs(2));
        nodes.until("all agree", Nodes::agree);
        for name in ["app-1", "plain-1"] {
            let id = nodes.world.proc_named(name).expect("a client").id;
            let client: &ClusterTraffic = nodes.world.machine(id).expect("its machine");
            let stats = client.client().stats();
            assert_eq!(
                (stats.asked, stats.retries, stats.gone, stats.wrong),
                (0, 0, 0, 0),
                "{name}"
            );
            assert_eq!(stats.traffic.errors, 0, "{:?}", stats.traffic.last_error);
            assert!(stats.traffic.replies > 50, "{}", stats.traffic.replies);
        }
    }
}

/// Starts moving the slot of `{b}` and its neighbours from the first node to the second.
fn move_slots(nodes: &mut Nodes) {
    let target = nodes.node(2).my_id();
    let line = format!("cluster migrateslots slotsrange 3000 3600 node {target}");
    assert_eq!(nodes.ask(1, &line), "OK\n");
}

/// A cluster in which the first node and its replica have the keys of [`fill`].
fn filled(seed: u64) -> Nodes {
    filled_with(seed, "b")
}

pub(super) fn filled_with(seed: u64, tag: &str) -> Nodes {
    filled_nodes(Nodes::new(seed, 3, 1), tag)
}

pub(super) fn filled_nodes(mut nodes: Nodes, tag: &str) -> Nodes {
    nodes.until("the replicas follow", |nodes| {
        (4..=6).all(|n| {
            let server = nodes.server(n);
            let primary = server.and_then(|server| server.replication_view().primary);
            primary.is_some_and(|primary| primary.down.is_none())
        })
    });
    fill_tag(&mut nodes, tag);
    let slot = Slot::of(tag.as_bytes());
    nodes.until("the replica has them", |nodes| nodes.keys(4, slot) == Some(7));
    nodes
}

fn keys_of_b(nodes: &Nodes, n: u8) -> usize {
    nodes.keys(n, Slot::of(b"b")).unwrap_or(0)
}

#[test]
fn arriving_keys_are_invisible_until_the_target_owns_them() {
    let mut nodes = filled(9);
    act(&mut nodes.world, "latency node-1 node-2 400ms 0ms");
    move_slots(&mut nodes);
    nodes.until("keys have arrived", |nodes| keys_of_b(nodes, 2) == 7 && keys_of_b(nodes, 5) == 7);
    for n in [2, 5] {
        assert_eq!(nodes.ask(n, "dbsize"), "(integer) 0\n");
        assert_eq!(nodes.ask(n, "keys *"), "(empty array)\n");
        assert_eq!(nodes.ask(n, "randomkey"), "(nil)\n");
        assert_eq!(nodes.ask(n, "scan 0"), "1) \"0\"\n2) (empty array)\n");
    }
    assert!(!nodes.node(2).owns(Slot::of(b"b")), "they were looked at too late");
    nodes.until("the slot has moved", |nodes| nodes.node(2).owns(Slot::of(b"b")));
    assert_eq!(nodes.ask(2, "dbsize"), "(integer) 7\n");
    nodes.until("the source has deleted them", |nodes| keys_of_b(nodes, 1) == 0);
    assert_eq!(nodes.ask(1, "dbsize"), "(integer) 0\n");
}

#[test]
fn a_target_that_dies_right_after_the_takeover_leaves_the_keys_to_its_replica() {
    let mut nodes = filled(10);
    act(&mut nodes.world, "latency node-2 node-5 300ms 0ms");
    move_slots(&mut nodes);
    nodes.until("the slot has moved", |nodes| nodes.node(2).owns(Slot::of(b"b")));
    act(&mut nodes.world, "kill node-2");
    nodes.until("the replica takes over", |nodes| nodes.node(5).owns(Slot::of(b"b")));
    assert_eq!(keys_of_b(&nodes, 5), 7);
    nodes.until("it serves", |nodes| nodes.node(5).is_up());
    assert_eq!(nodes.ask(5, "get {b}text"), "\"before\"\n");
}

#[test]
fn a_move_waits_for_the_replicas_of_the_target_before_clients_have_to() {
    let mut nodes = filled(11);
    act(&mut nodes.world, "partition node-2 | node-5");
    move_slots(&mut nodes);
    // The replica is waited for as long as it may just be slow. Meanwhile the slots stay open.
    nodes.world.run_for(Duration::from_secs(5));
    assert!(moves(&nodes, 1) && keys_of_b(&nodes, 2) == 7);
    assert_eq!(nodes.ask(1, "set {b}text during"), "OK\n");
    let told = nodes.ask(1, "cluster getslotmigrations");
    assert!(told.contains("\"streaming\""), "{told}");
    act(&mut nodes.world, "heal");
    nodes.until("the slot has moved", |nodes| nodes.node(2).owns(Slot::of(b"b")));
    assert_eq!(nodes.ask(2, "get {b}text"), "\"during\"\n");
    nodes.until("its replica has them", |nodes| keys_of_b(nodes, 5) == 7);
}

#[test]
fn slots_in_an_atomic_migration_cannot_be_migrated_key_by_key() {
    let mut nodes = filled(14);
    let (one, two, three) = (nodes.node(1).my_id(), nodes.node(2).my_id(), nodes.node(3).my_id());
    act(&mut nodes.world, "partition node-2 | node-5");
    let line = format!("cluster migrateslots slotsrange 0 3600 node {two}");
    assert_eq!(nodes.ask(1, &line), "OK\n");
    nodes.until("keys have arrived", |nodes| keys_of_b(nodes, 2) == 7);
    for (n, words) in [
        (1, format!("migrating {three}")),
        (1, format!("node {three}")),
        (2, format!("importing {one}")),
        (2, format!("node {two}")),
    ] {
        let told = nodes.ask(n, &format!("cluster setslot 3300 {words}"));
        assert!(told.contains("Slot 3300 is being moved already"), "{words}: {told}");
    }
    // The tool reports that as well, and leaves no slot open.
    act(
        &mut nodes.world,
        &format!(
            "run node-3 tool redis-trib.rb reshard --from {one} --to {three} --slots 3 --yes \
             10.0.0.3:6379"
        ),
    );
    nodes.world.run_for(Duration::from_secs(3));
    assert!(nodes.living().all(|(_, node)| node.open_slot_views().is_empty()));
    assert!(moves(&nodes, 1) && nodes.node(1).owns(Slot::of(b"b")));
    act(&mut nodes.world, "heal");
    nodes.until("the slots have moved", |nodes| nodes.node(2).owns(Slot::of(b"b")));
    assert!(nodes.node(2).owns(Slot::new(0).expect("a slot")));
    assert_eq!(nodes.ask(2, &format!("cluster setslot 1 migrating {three}")), "OK\n");
}

#[test]
fn a_replica_that_is_gone_for_long_does_not_block_a_slot_migration() {
    let mut nodes = filled(13);
    act(&mut nodes.world, "partition node-2 | node-5");
    move_slots(&mut nodes);
    nodes.until("the slot has moved", |nodes| nodes.node(2).owns(Slot::of(b"b")));
    assert_eq!(nodes.ask(2, "get {b}text"), "\"before\"\n");
}

#[test]
fn an_isolated_node_stops_serving_soon_after_its_start() {
    let mut nodes = Nodes::new(12, 3, 1);
    act(&mut nodes.world, "partition node-3");
    act(&mut nodes.world, "crash node-3");
    act(&mut nodes.world, "restart node-3");
    nodes.world.run_for(Duration::from_secs(8));
    assert!(!nodes.node(3).is_up());
    nodes.until("its replica has taken over", |nodes| {
        !nodes.node(6).is_replica() && nodes.node(6).is_up()
    });
    act(&mut nodes.world, "heal");
    nodes.until("all agree", |nodes| nodes.are_up() && nodes.agree());
}
