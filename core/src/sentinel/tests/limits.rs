//! Tests of `failover-timeout` and `parallel-syncs`, and of corrections after a failover.

use super::*;

/// The `failover-timeout` of `Net::new` in milliseconds.
const FAILOVER_TIMEOUT: u64 = 10_000;

/// The Sentinel that leads the failover.
fn leader(net: &Net) -> usize {
    let leads = |at: &usize| !net.logged(*at, &["+elected-leader"]).is_empty();
    (0..net.nodes.len()).find(leads).expect("a leader")
}

#[test]
fn a_failover_ends_if_the_replica_is_not_promoted_in_time_and_is_tried_again() {
    let mut net = Net::new(3, 3, 2);
    net.run(5_000);
    for port in [2, 3] {
        net.server(port).obeys = false;
    }
    net.kill(1);
    net.run(5_000);
    assert_eq!(net.count("+failover-state-wait-promotion"), 1);
    assert_eq!(net.count("-failover-abort-slave-timeout"), 0);
    net.run(FAILOVER_TIMEOUT);
    assert_eq!(net.count("-failover-abort-slave-timeout"), 1);
    assert_eq!(net.masters(), [1, 1, 1]);

    for port in [2, 3] {
        net.server(port).obeys = true;
    }
    net.run(3 * FAILOVER_TIMEOUT);
    let masters = net.masters();
    assert!(masters[0] != 1 && masters.iter().all(|port| *port == masters[0]), "{masters:?}");
}

#[test]
fn a_failover_ends_without_a_replica_that_does_not_follow_in_time() {
    let mut net = Net::new(3, 3, 2);
    net.run(5_000);
    net.server(2).offset = 200;
    // The next INFO replies show that.
    net.run(11_000);
    net.server(3).obeys = false;
    net.kill(1);
    net.run(6_000);
    assert_eq!(net.count("+slave-reconf-sent"), 1);
    assert_eq!(net.count("+failover-end-for-timeout"), 0);
    net.run(FAILOVER_TIMEOUT + 2_000);
    assert_eq!(net.count("+failover-end-for-timeout"), 1);
    assert_eq!(net.masters(), [2, 2, 2]);
    assert_eq!(net.server(3).follows, Some(1));

    // It is sent REPLICAOF again as long as it replicates another master.
    net.server(3).obeys = true;
    net.run(4 * FAILOVER_TIMEOUT);
    assert_eq!(net.server(3).follows, Some(2));
    assert!(net.count("+fix-slave-config") >= 1);
}

#[test]
fn a_replica_of_another_master_is_reconfigured_after_the_timeout() {
    let mut net = Net::new(3, 1, 1);
    net.run(5_000);
    net.server(3).follows = Some(2);
    net.run(FAILOVER_TIMEOUT - 1_000);
    assert_eq!((net.count("+fix-slave-config"), net.server(3).follows), (0, Some(2)));
    net.run(3 * FAILOVER_TIMEOUT);
    assert_eq!(
        net.logged(0, &["+fix-slave-config"]),
        ["+fix-slave-config slave 127.0.0.1:3 127.0.0.1 3 @ mymaster 127.0.0.1 1"]
    );
    assert_eq!(net.server(3).follows, Some(1));
}

#[test]
fn so_many_replicas_are_reconfigured_at_once_as_parallel_syncs_allows() {
    let events = |parallel: &[u8]| {
        let mut net = Net::new(5, 3, 2);
        for node in &mut net.nodes {
            let words = [b"parallel-syncs", parallel];
            assert_eq!(node.sentinel.set(b"mymaster", &words, &|_| false).error, None);
        }
        net.run(5_000);
        net.kill(1);
        net.run(15_000);
        let kinds = ["+slave-reconf-sent", "+slave-reconf-inprog", "+slave-reconf-done"];
        let lines = net.logged(leader(&net), &kinds);
        let word = |line: &String| line.split(' ').next().map(str::to_owned);
        lines.iter().filter_map(word).collect::<Vec<_>>()
    };
    let one = ["+slave-reconf-sent", "+slave-reconf-inprog", "+slave-reconf-done"];
    assert_eq!(events(b"1"), [one, one, one].concat());
    assert_eq!(events(b"3")[..3], ["+slave-reconf-sent"; 3]);
}

#[test]
fn a_sentinel_at_the_address_of_another_takes_its_place() {
    let mut net = Net::new(1, 2, 2);
    net.run(5_000);
    let before = net.nodes[1].sentinel.id().to_owned();
    let new = "c".repeat(40);
    let hello = format!("127.0.0.1,102,{new},0,mymaster,127.0.0.1,1,0");
    net.nodes[0].sentinel.hello(hello.as_bytes());
    net.drain(0);
    let at = "127.0.0.1 102 @ mymaster 127.0.0.1 1";
    assert_eq!(
        net.logged(0, &["+sentinel-invalid-addr"]),
        [format!("+sentinel-invalid-addr sentinel {before} {at}")]
    );
    assert!(net.logged(0, &["+sentinel"]).contains(&format!("+sentinel sentinel {new} {at}")));
    assert_eq!(net.master(0).sentinels.len(), 1);
}
