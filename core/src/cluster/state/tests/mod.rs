//! Tests of whole clusters: several nodes in virtual time.

mod net;

use net::{Net, slots};

use super::{ManualFailover, Presence, Request, Reset, Route, SetSlot};
use crate::cluster::NodesConf;
use crate::sharding::Slot;

const TIMEOUT: u64 = 2_000;

fn slot(number: u16) -> Slot {
    Slot::new(number).expect("a slot")
}

#[test]
fn nodes_that_meet_discover_all_others() {
    for seed in 0..20 {
        let mut net = Net::new(5, seed, TIMEOUT);
        // Each node is introduced to one other only.
        (1..5).for_each(|node| net.meet(node - 1, node));
        net.until("all know all", |net| {
            net.nodes().all(|node| node.known_nodes() == 5)
                && net.nodes().all(|node| node.nodes_text().matches(" connected").count() == 5)
        });
        // In the end all epochs are different.
        net.until("epochs differ", |net| {
            let mut epochs: Vec<u64> = net
                .nodes()
                .map(|node| {
                    node.nodes_conf()
                        .nodes
                        .iter()
                        .find(|line| line.id == node.my_id())
                        .map_or(0, |line| line.config_epoch)
                })
                .collect();
            epochs.sort_unstable();
            epochs.dedup();
            epochs.len() == 5
        });
    }
}

#[test]
fn the_cluster_is_up_when_all_slots_are_served_and_not_before() {
    let mut net = Net::new(3, 1, TIMEOUT);
    net.meet_all();
    net.run(3_000);
    assert!(net.nodes().all(|node| !node.is_up()));
    net.assign_evenly(3);
    net.until("up", |net| net.nodes().all(|node| node.is_up()));
    assert_eq!(net.log_of(0).iter().filter(|line| line.contains("state changed: ok")).count(), 1);
}

#[test]
fn a_replica_takes_over_from_a_primary_that_died() {
    for seed in 0..30 {
        let mut net = Net::cluster(3, 3, seed, TIMEOUT);
        let mine = net.node(0).my_slots().clone();
        net.kill(0);
        net.until("taken over", |net| net.node(3).my_slots() == &mine);
        net.until("up again", |net| (1..6).all(|node| net.node(node).is_up()));
        let owner = net.node(3).my_id();
        net.until("all agree", |net| {
            (1..6).all(|node| net.node(node).owner_of(slot(0)) == Some(owner))
        });
        // The old primary comes back as a replica of the new one.
        net.start(0);
        net.until("back as a replica", |net| net.node(0).is_replica());
        net.until("all see it", |net| {
            let id = net.node(0).my_id();
            net.nodes().all(|node| {
                node.node_view_of(id).is_some_and(|view| view.master == Some(owner) && !view.failed)
            })
        });
        // After the restart no node is marked PFAIL because of PINGs from before it stopped.
        assert!(!net.node(1).is_replica() && !net.node(2).is_replica(), "seed {seed}");
    }
}

#[test]
fn one_replica_wins_and_it_is_the_one_with_the_most_data() {
    for seed in 0..20 {
        let mut net = Net::cluster(3, 6, seed, TIMEOUT);
        // Replicas 3 and 6 belong to primary 0.
        net.set_offset(6, 1_000);
        net.set_offset(3, 500);
        net.run(3_000);
        net.kill(0);
        net.until("taken over", |net| net.node(6).owns(slot(0)));
        net.run(10_000);
        assert!(net.node(3).is_replica());
        net.one_owner_a_slot();
    }
}

#[test]
fn a_minority_stops_serving_and_a_majority_fails_over() {
    for seed in 0..10 {
        let mut net = Net::cluster(3, 3, seed, TIMEOUT);
        // Primary 0 is isolated from the others.
        net.partition(&[0]);
        net.until("the minority is down", |net| !net.node(0).is_up());
        net.until("the majority has a new primary", |net| {
            net.node(3).owns(slot(0)) && net.node(1).is_up()
        });
        net.heal();
        net.until("the old primary follows", |net| net.node(0).is_replica());
        net.run(2_000);
        net.one_owner_a_slot();
    }
}

#[test]
fn without_a_majority_no_replica_takes_over() {
    let mut net = Net::cluster(3, 3, 1, TIMEOUT);
    net.kill(0);
    net.kill(1);
    net.run(60_000);
    assert!(!net.node(3).owns(slot(0)) && !net.node(4).owns(slot(6000)));
    assert!(!net.node(2).is_up());
}

#[test]
fn a_replica_whose_data_is_old_does_not_take_over() {
    let mut net = Net::cluster(3, 3, 1, TIMEOUT);
    net.set_silence(3, 10_000 + TIMEOUT * 12);
    net.kill(0);
    net.run(30_000);
    assert!(net.node(3).is_replica());
    assert!(net.log_of(3).iter().any(|line| line.contains("cluster-replica-validity-factor")));
    net.set_silence(3, 0);
    net.until("taken over", |net| net.node(3).owns(slot(0)));
}

#[test]
fn votes_are_on_disk_before_they_are_sent() {
    let mut net = Net::cluster(3, 3, 1, TIMEOUT);
    // The disks of both voters stall.
    net.stop_disk(1);
    net.stop_disk(2);
    net.kill(0);
    net.run(8_000);
    assert!(!net.node(3).owns(slot(0)));
    net.start_disk(1);
    net.start_disk(2);
    net.until("taken over", |net| net.node(3).owns(slot(0)));
    let conf = net.file_of(1);
    assert!(conf.contains(&format!("lastVoteEpoch {}", net.node(3).current_epoch())), "{conf}");
}

#[test]
fn a_manual_failover_exchanges_the_roles_and_loses_nothing() {
    for seed in 0..20 {
        let mut net = Net::cluster(3, 3, seed, TIMEOUT);
        net.set_offset(0, 70);
        net.set_offset(3, 60);
        net.failover(3, ManualFailover::Agreed);
        net.run(1_000);
        // The replica waits for the rest of the stream.
        assert!(net.node(3).is_replica() && net.writes_paused(0));
        net.set_offset(3, 70);
        net.until("exchanged", |net| net.node(3).owns(slot(0)) && net.node(0).is_replica());
        net.until("writes go on", |net| !net.writes_paused(0));
        net.run(1_000);
        net.one_owner_a_slot();
    }
}

#[test]
fn a_manual_failover_times_out() {
    let mut net = Net::cluster(3, 3, 1, TIMEOUT);
    net.set_offset(0, 70);
    net.set_offset(3, 60);
    net.failover(3, ManualFailover::Agreed);
    net.run(6_000);
    assert!(net.node(3).is_replica() && !net.writes_paused(0) && net.node(0).owns(slot(0)));
    assert!(net.log_of(3).iter().any(|line| line == "Manual failover timed out."));
}

#[test]
fn force_needs_votes_and_takeover_does_not() {
    let mut net = Net::cluster(3, 3, 1, TIMEOUT);
    net.kill(0);
    net.kill(1);
    net.run(5_000);
    net.failover(3, ManualFailover::Force);
    net.run(5_000);
    assert!(!net.node(3).owns(slot(0)));
    net.failover(3, ManualFailover::Takeover);
    net.run(1_000);
    assert!(net.node(3).owns(slot(0)));
    net.until("told", |net| net.node(2).owner_of(slot(0)) == Some(net.node(3).my_id()));
}

#[test]
fn a_node_that_missed_a_failover_learns_the_new_owner() {
    for seed in 0..10 {
        let mut net = Net::cluster(3, 3, seed, TIMEOUT);
        net.kill(0);
        net.until("taken over", |net| net.node(3).owns(slot(0)));
        // Node 5 loses its state: its file is older than the failover.
        let text = net.file_of(0);
        let owner = net.node(0).my_id();
        assert!(text.contains(owner.as_str()));
        net.start(0);
        net.until("put right", |net| {
            net.nodes().all(|node| node.owner_of(slot(0)) == Some(net.node(3).my_id()))
        });
    }
}

#[test]
fn a_replica_migrates_to_a_primary_without_any() {
    for seed in 0..10 {
        // Primary 0 has replicas 3 and 6.
        let mut net = Net::cluster(3, 4, seed, TIMEOUT);
        net.kill(4);
        let orphan = net.node(1).my_id();
        net.until("migrated", |net| {
            [3, 6].into_iter().any(|node| {
                let id = net.node(node).my_id();
                net.node(2).node_view_of(id).is_some_and(|view| view.master == Some(orphan))
            })
        });
        net.run(20_000);
        let left = net.node(2).available_replicas(net.node(0).my_id());
        assert_eq!(left.len(), 1);
    }
}

#[test]
fn a_migrating_slot_redirects_with_ask_and_then_with_moved() {
    let mut net = Net::cluster(2, 0, 1, TIMEOUT);
    let moving = slot(0);
    let names = [net.node(0).my_id(), net.node(1).my_id()];
    net.set_slot(1, moving, SetSlot::Importing(names[0].as_bytes()), 0).expect("importing");
    net.set_slot(0, moving, SetSlot::Migrating(names[1].as_bytes()), 2).expect("migrating");
    let keys = |here, missing| move || Presence { here, missing, several: here + missing > 1 };
    let plain = Request::default();
    let asking = Request { asking: true, ..plain };
    assert_eq!(net.node(0).route(moving, plain, keys(1, 0)), Route::Here);
    assert!(matches!(net.node(0).route(moving, plain, keys(0, 1)), Route::Ask { .. }));
    assert!(
        matches!(net.node(0).route(moving, plain, keys(1, 1)), Route::Refused(text) if text.starts_with("TRYAGAIN"))
    );
    assert!(matches!(net.node(1).route(moving, plain, keys(0, 1)), Route::Moved { .. }));
    assert_eq!(net.node(1).route(moving, asking, keys(0, 1)), Route::Here);
    assert!(matches!(net.node(1).route(moving, asking, keys(1, 1)), Route::Refused(_)));
    let refusal = net.set_slot(0, moving, SetSlot::Node(names[1].as_bytes()), 2);
    assert!(refusal.expect_err("it still has keys").contains("while I still hold keys"));
    net.set_slot(1, moving, SetSlot::Node(names[1].as_bytes()), 2).expect("it is its own");
    net.set_slot(0, moving, SetSlot::Node(names[1].as_bytes()), 0).expect("given away");
    net.run(1_000);
    net.one_owner_a_slot();
    assert!(net.nodes().all(|node| node.owner_of(moving) == Some(names[1])));
    assert_eq!(net.node(1).route(moving, plain, keys(0, 1)), Route::Here);
}

#[test]
fn a_forgotten_node_is_banned_for_a_minute() {
    let mut net = Net::cluster(3, 1, 1, TIMEOUT);
    let gone = net.node(3).my_id();
    net.kill(3);
    for node in 0..3 {
        net.forget(node, gone);
        // The other nodes still know it and gossip about it.
        net.run(5_000);
    }
    assert!((0..3).all(|node| net.node(node).node_view_of(gone).is_none()));
    net.run(30_000);
    assert!((0..3).all(|node| net.node(node).node_view_of(gone).is_none()));
}

#[test]
fn a_node_whose_address_changed_is_found_again() {
    let mut net = Net::cluster(3, 3, 1, TIMEOUT);
    net.kill(4);
    net.change_ip(4, "10.0.9.9");
    net.start(4);
    let id = net.node(4).my_id();
    net.until("found", |net| {
        net.nodes().filter(|node| node.my_id() != id).all(|node| {
            node.node_view_of(id).is_some_and(|view| view.ip == "10.0.9.9" && !view.failed)
        })
    });
}

#[test]
fn a_reset_node_knows_no_others() {
    let mut net = Net::cluster(2, 1, 1, TIMEOUT);
    let before = net.node(2).my_id();
    net.reset(2, Reset::Hard);
    assert_eq!(net.node(2).known_nodes(), 1);
    assert!(!net.node(2).is_replica() && net.node(2).my_id() != before);
    assert_eq!(net.node(2).current_epoch(), 0);
}

/// Redis 7.0 sends no shard ID, so every other node makes up one for it.
#[test]
fn replicas_are_in_the_shards_of_their_primaries_with_nodes_of_any_version() {
    for old in [&[0, 1][..], &[2, 3], &[0, 3]] {
        let mut net = Net::cluster_with_old(2, 2, 1, TIMEOUT, old);
        let agree = |net: &Net| {
            net.nodes().all(|node| {
                let shards = node.shards();
                shards.len() == 2 && shards.iter().all(|shard| shard.nodes.len() == 2)
            })
        };
        assert!(agree(&net), "{old:?}");
        // A replica in a shard other than its primary's would be refused by Redis 7.2.
        let conf = NodesConf::parse(&net.file_of(1)).expect("a good file").expect("a file");
        for node in conf.nodes.iter().filter(|node| node.master.is_some()) {
            let primary = conf.nodes.iter().find(|other| Some(other.id) == node.master);
            assert_eq!(primary.expect("a primary").shard, node.shard, "{old:?}");
        }
        net.publish(0, b"shard", true);
        net.run(100);
        assert_eq!(
            (net.published(2), net.published(3)),
            (&[b"shard".to_vec()][..], &[][..]),
            "{old:?}"
        );
        net.failover(2, ManualFailover::Takeover);
        net.until("it took over", |net| !net.node(2).is_replica() && net.node(0).is_replica());
        net.run(5_000);
        assert!(agree(&net), "{old:?}");
    }
}

#[test]
fn a_file_of_an_older_version_keeps_replicas_with_their_primaries() {
    let mut net = Net::cluster(2, 2, 1, TIMEOUT);
    net.kill(3);
    net.write_file(3, |text| {
        let words = text.split(' ').map(|word| match word.split_once(",,") {
            Some((address, _)) => address,
            None => word,
        });
        words.collect::<Vec<_>>().join(" ")
    });
    net.start(3);
    let shards = net.node(3).shards();
    let sizes: Vec<usize> = shards.iter().map(|shard| shard.nodes.len()).collect();
    assert_eq!(sizes, [2, 2], "{}", net.file_of(3));
}

#[test]
fn messages_to_subscribers_reach_all_nodes_or_those_of_the_shard() {
    let mut net = Net::cluster(2, 2, 1, TIMEOUT);
    net.publish(0, b"news", false);
    net.publish(0, b"shard", true);
    net.run(100);
    assert_eq!(net.published(1), [b"news"]);
    assert_eq!(net.published(2), [&b"news"[..], b"shard"]);
    assert_eq!(net.published(3), [b"news"]);
}

#[test]
fn invalid_bus_messages_change_nothing() {
    let mut net = Net::cluster(3, 0, 1, TIMEOUT);
    let before = net.node(0).nodes_conf();
    let mut rng = crate::rng::Rng::new(5);
    for _ in 0..500 {
        net.inject(0, &mut rng);
    }
    let after = net.node(0).nodes_conf();
    let essence = |conf: &crate::cluster::NodesConf| -> Vec<_> {
        conf.nodes.iter().map(|node| (node.id, node.slots.clone(), node.config_epoch)).collect()
    };
    assert_eq!(essence(&before), essence(&after));
    assert_eq!(slots(0..10).len(), 10);
}
