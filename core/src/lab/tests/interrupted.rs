//! Tests of interrupted slot migrations: whatever fails, and whenever, in the end each slot has one
//! owner, which has every key once, and no other primary has any of them.

use super::cluster::{Nodes, filled_nodes, filled_with};
use super::*;
use crate::cluster::Cluster;
use crate::sharding::Slot;

/// The number of keys with the tag.
const KEYS: usize = 7;

/// The results of the interrupted migrations.
struct Interrupted {
    moved: usize,
    stayed: usize,
}

impl Nodes {
    fn apply(&mut self, line: &str) {
        // Starting what runs, and killing what is dead, is refused.
        let _ = self.world.apply(&line.parse().expect(line));
    }

    /// Whether node 2, or the replica that replaced it, owns the slot. `None` if several nodes own
    /// it, if an owner lacks keys, or if another primary has some.
    fn owner_of_all(&self, slot: Slot) -> Option<u8> {
        if !self.are_up() {
            return None;
        }
        let mut owner = None;
        // Comparing the nodes' views costs more, so it comes last.
        for n in 1..=6 {
            let node = self.server(n)?.cluster()?;
            let keys = self.keys(n, slot)?;
            match (node.owns(slot), node.is_replica()) {
                (true, _) if keys == KEYS => owner = Some(n),
                (false, false) if keys == 0 => {}
                (false, true) => {}
                _ => return None,
            }
        }
        owner.filter(|_| self.agree())
    }

    /// Starts what is down, and repairs what can be repaired.
    fn heal(&mut self) {
        self.apply("heal");
        for n in 1..=6 {
            self.apply(&format!("resume node-{n}"));
            // Restarting a host that is on would cut its power.
            let on = self.world.host_named(&format!("node-{n}")).is_some_and(|host| host.on);
            self.apply(&if on {
                format!("start node-{n}:6379")
            } else {
                format!("restart node-{n}")
            });
        }
    }

    /// Runs the cluster tool's `fix`, and confirms all its questions, to finish a key-by-key
    /// migration.
    fn fix(&mut self) {
        self.terminals += 1;
        let name = format!("fix-{}", self.terminals);
        self.apply(&format!("login node-3 {name}"));
        self.world.run_for(Duration::from_millis(100));
        self.apply(&format!("type {name} redis-trib.rb fix 10.0.0.3:6379; echo fixed"));
        for _ in 0..200 {
            self.world.run_for(Duration::from_millis(100));
            let text = self.world.tty_named(&name).map(|tty| tty.text()).unwrap_or_default();
            if text.lines().any(|line| line == "fixed") {
                return;
            }
            if text.trim_end().ends_with("(type 'yes' to accept):") {
                self.apply(&format!("type {name} yes"));
            }
        }
        self.print_logs();
        panic!("{:?}", self.world.tty_named(&name).map(|tty| tty.text()));
    }

    /// Prints what is needed to find out why a test failed.
    fn print_all(&self, slot: Slot) {
        self.print_logs();
        for n in 1..=6 {
            let view = self.server(n).and_then(Server::cluster).map(Cluster::nodes_text);
            println!("node-{n}: {:?} keys\n{}", self.keys(n, slot), view.unwrap_or_default());
        }
    }

    /// Waits until the slot has one owner with all keys; returns the owner.
    fn until_one_owner(&mut self, slot: Slot) -> u8 {
        for _ in 0..600 {
            if let Some(owner) = self.owner_of_all(slot) {
                return owner;
            }
            self.world.run_for(Duration::from_millis(100));
        }
        self.print_all(slot);
        panic!("the slot has no owner with all keys, or another primary has some");
    }
}

/// A method of moving a slot from node 1 to node 2.
struct Method {
    begin: fn(&mut Nodes),
    /// What an administrator does once all nodes are back, if the migration stopped half-way.
    clean_up: fn(&mut Nodes),
    /// The maximum duration of a fault.
    outage: Duration,
}

/// Runs a migration again and again from the same state, each time with one of the faults at
/// another time. The times are evenly spread over the duration of an undisturbed migration.
fn interrupt(
    before: &Nodes,
    slot: Slot,
    method: &Method,
    faults: &[&str],
    points: u32,
) -> Interrupted {
    let mut undisturbed = before.clone();
    let since = undisturbed.world.now();
    (method.begin)(&mut undisturbed);
    for _ in 0..60_000 {
        if undisturbed.owner_of_all(slot) == Some(2) {
            break;
        }
        undisturbed.world.run_for(Duration::from_millis(1));
    }
    assert_eq!(undisturbed.owner_of_all(slot), Some(2));
    let length = undisturbed.world.now().since(since);

    let mut found = Interrupted { moved: 0, stayed: 0 };
    for point in 0..points {
        let fault = faults[point as usize % faults.len()];
        let at = length * point / points;
        let mut nodes = before.clone();
        (method.begin)(&mut nodes);
        nodes.world.run_for(at);
        nodes.apply(fault);
        nodes.world.run_for(method.outage * (point % 4 + 1) / 4);
        nodes.heal();
        (method.clean_up)(&mut nodes);
        for _ in 0..180 {
            if nodes.owner_of_all(slot).is_some() {
                break;
            }
            nodes.world.run_for(Duration::from_secs(1));
        }
        let owner = nodes.owner_of_all(slot);
        if owner.is_none() {
            nodes.print_all(slot);
        }
        assert!(
            owner.is_some(),
            "not every key is there once after `{fault}` {at:?} after the beginning of the move"
        );
        match owner {
            Some(2 | 5) => found.moved += 1,
            _ => found.stayed += 1,
        }
    }
    found
}

fn start_atomic_migration(nodes: &mut Nodes) {
    let target = nodes.node(2).my_id();
    nodes.apply("run node-1 mover redis-cli -h 10.0.0.1");
    let line = format!("cluster migrateslots slotsrange 3000 3600 node {target}");
    nodes.apply(&format!("type mover {line}"));
}

/// Starts a migration, and stops right after the target has taken over, before any other node
/// knows.
fn until_just_taken(nodes: &mut Nodes, slot: Slot) {
    start_atomic_migration(nodes);
    for _ in 0..100_000 {
        if nodes.node(2).owns(slot) {
            break;
        }
        nodes.world.run_for(Duration::from_micros(100));
    }
    assert!(nodes.node(2).owns(slot) && nodes.node(1).owns(slot), "it is not told of yet");
}

#[test]
fn an_atomic_migration_interrupted_anywhere_leaves_every_key_once() {
    let before = filled_with(21, "b");
    let faults = [
        "kill node-1",
        "kill node-2",
        "crash node-2",
        "partition node-1 | node-2",
        "partition node-2",
        "pause node-2",
        "pause node-1",
    ];
    // The outage is long enough for a failover.
    let method =
        Method { begin: start_atomic_migration, clean_up: |_| (), outage: Duration::from_secs(16) };
    let slot = Slot::of(b"b");
    let found = interrupt(&before, slot, &method, &faults, 21);
    assert!(found.moved > 0 && found.stayed > 0, "{} and {}", found.moved, found.stayed);
}

/// A tag of keys in the second slot of the first node.
const SECOND: &str = "22179";

/// As between nodes of Redis: the nodes do not know MIGRATESLOTS. They fsync before they reply, and
/// come back before a failover, since replicas may lack keys that have moved.
#[test]
fn a_key_by_key_migration_interrupted_anywhere_leaves_every_key_once_after_fix() {
    let mut scenario = cluster(3, 1);
    for host in &mut scenario.hosts {
        let conf = host.files.get_mut("/data/redis.conf").expect("a configuration");
        conf.push_str(
            "appendfsync always\nuser default on nopass ~* &* +@all -cluster|migrateslots\n",
        );
    }
    let before = filled_nodes(Nodes::of(scenario, 25), SECOND);
    let begin = |nodes: &mut Nodes| {
        let [from, to] = [1, 2].map(|n| nodes.node(n).my_id());
        nodes.apply(&format!(
            "run node-3 mover redis-trib.rb reshard --from {from} --to {to} --slots 3 --yes \
             10.0.0.3:6379"
        ));
    };
    let clean_up = |nodes: &mut Nodes| {
        nodes.until("all are up", Nodes::are_up);
        nodes.apply("kill mover");
        nodes.fix();
    };
    let method = Method { begin, clean_up, outage: Duration::from_secs(1) };
    let faults = [
        "kill mover",
        "kill node-1",
        "kill node-2",
        "partition node-1 | node-2",
        "crash node-1",
        "crash node-2",
        "pause node-2",
        "partition node-3",
        "pause node-1",
    ];
    let found = interrupt(&before, Slot::of(SECOND.as_bytes()), &method, &faults, 27);
    assert!(found.moved > 0 && found.stayed > 0, "{} and {}", found.moved, found.stayed);
}

/// The source and the target are partitioned from each other, but not from the others.
#[test]
fn a_source_that_is_not_answered_hears_from_others_that_the_target_has_taken_over() {
    let slot = Slot::of(b"b");
    let mut nodes = filled_with(22, "b");
    until_just_taken(&mut nodes, slot);
    nodes.apply("partition node-1 | node-2");
    nodes.until("the source knows", |nodes| {
        nodes.node(1).owner_of(slot) == Some(nodes.node(2).my_id())
            && nodes.node(1).closed_slots().is_none()
    });
    assert_eq!(nodes.ask(2, "get {b}text"), "\"before\"\n");
    nodes.until("the source has deleted the keys", |nodes| nodes.keys(1, slot) == Some(0));
    nodes.apply("heal");
    assert_eq!(nodes.until_one_owner(slot), 2);
}

/// The target fails right after its takeover, which only some nodes have heard of, and its replica
/// takes over. Keys written afterwards must still be there when the target returns with its claim.
#[test]
fn a_target_that_is_lost_right_after_its_takeover_has_the_keys_nowhere_twice() {
    let slot = Slot::of(b"b");
    let before = filled_with(23, "b");
    for (unheard, source_knows, owner) in [
        // No node has heard of it: the source keeps the slots.
        ("node-1,node-3,node-4,node-5,node-6", Some(false), 1),
        // The source has heard of it and has given the slots up, but the replica has not heard.
        ("node-3,node-4,node-5,node-6", Some(true), 5),
        // The replica has heard of it, and the source hears of it from the replica, if at all.
        ("node-1,node-3,node-4,node-6", None, 5),
    ] {
        let mut nodes = before.clone();
        until_just_taken(&mut nodes, slot);
        nodes.apply(&format!("partition node-2 | {unheard}"));
        nodes.world.run_for(Duration::from_millis(500));
        let knows = nodes.node(1).owner_of(slot) == Some(nodes.node(2).my_id());
        assert!(source_knows.is_none_or(|expected| knows == expected), "without {unheard}");
        nodes.apply("crash node-2");
        nodes.apply("heal");
        nodes.until("the replica has taken over", |nodes| {
            !nodes.node(5).is_replica() && nodes.node(5).is_up()
        });
        nodes.until("the slot is served", |nodes| {
            nodes.node(owner).owns(slot) && nodes.node(owner).closed_slots().is_none()
        });
        nodes.until("the keys are there once", |nodes| {
            [1, 5].iter().all(|&n| nodes.keys(n, slot) == Some(if n == owner { KEYS } else { 0 }))
        });
        nodes.until("it is up", |nodes| nodes.node(owner).is_up());
        assert_eq!(nodes.ask(owner, "set {b}text later"), "OK\n", "without {unheard}");
        nodes.apply("restart node-2");
        assert_eq!(nodes.until_one_owner(slot), owner, "without {unheard}");
        assert_eq!(nodes.ask(owner, "get {b}text"), "\"later\"\n", "without {unheard}");
    }
}

/// The target pauses while the slots are closed. If it learns too late that it may take over, the
/// slots stay closed until it has reported that it did not.
#[test]
fn a_source_without_an_answer_goes_on_when_the_target_does_not_claim_the_slots() {
    let slot = Slot::of(b"b");
    let mut before = filled_with(24, "b");
    start_atomic_migration(&mut before);
    let is_closed = |nodes: &Nodes| nodes.node(1).closed_slots().is_some();
    for _ in 0..100_000 {
        if is_closed(&before) {
            break;
        }
        before.world.run_for(Duration::from_micros(100));
    }
    assert!(is_closed(&before), "the slots are closed");
    let mut found = Interrupted { moved: 0, stayed: 0 };
    for step in 0..10 {
        let mut nodes = before.clone();
        nodes.world.run_for(Duration::from_micros(250) * step);
        nodes.apply("pause node-2");
        nodes.world.run_for(Duration::from_millis(2_500));
        nodes.apply("resume node-2");
        nodes.until("the slots are open", |nodes| !is_closed(nodes));
        let owner = nodes.until_one_owner(slot);
        match owner {
            2 => found.moved += 1,
            _ => found.stayed += 1,
        }
        assert_eq!(nodes.ask(owner, "set {b}text later"), "OK\n", "step {step}");
    }
    assert!(found.moved > 0 && found.stayed > 0, "{} and {}", found.moved, found.stayed);
}
