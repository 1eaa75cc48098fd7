//! Tests of FAILOVER: a primary hands over to a replica, or remains the primary.

use super::replicas::Servers;
use super::*;

/// A primary (1), a connected replica (2), and one that can be partitioned (3).
fn three() -> Servers {
    let follows = ["--replicaof", "10.0.0.1 6379"];
    let mut servers = Servers::new(7, &[&[], &follows, &follows]);
    servers.until("both are online", |s| {
        ["slave0", "slave1"].iter().all(|slave| s.field(1, slave).contains("state=online"))
    });
    servers
}

/// Partitions replica 3, and writes something that it does not receive.
fn cut_off(servers: &mut Servers) {
    act(&mut servers.world, "partition redis-1 | redis-3");
    assert_eq!(servers.ask(1, "set behind 1"), "OK\n");
    servers.world.run_for(Duration::from_millis(1_500));
}

fn state(servers: &Servers, n: u8) -> String {
    servers.field(n, "master_failover_state")
}

#[test]
fn a_replica_with_all_data_takes_over_and_the_others_resync_partially() {
    let mut servers = three();
    for n in 0..50 {
        servers.ask(1, &format!("set key:{n} value"));
    }
    let copies = servers.field(1, "sync_full");
    assert_eq!(servers.ask(1, "failover"), "OK\n");
    assert!(servers.ask(1, "failover").contains("ERR FAILOVER already in progress."));
    servers.until("it is over", |s| state(s, 1) == "no-failover" && s.field(1, "role") == "slave");
    let (next, other) = match servers.field(2, "role").as_str() {
        "master" => (2, 3),
        _ => (3, 2),
    };
    assert_eq!(servers.field(next, "role"), "master");
    servers.until("the old one follows", |s| s.field(1, "master_link_status") == "up");
    assert_eq!(servers.ask(next, "set after 1"), "OK\n");
    servers.until("it has what came after", |s| {
        s.server(1).data_digest() == s.server(next).data_digest()
    });
    assert!(servers.ask(1, "set k v").contains("READONLY"));
    // It has resynchronized partially, and so does the other replica after its REPLICAOF.
    servers.ask(other, &format!("replicaof 10.0.0.{next} 6379"));
    servers.until("all are the same", |s| {
        s.server(other).data_digest() == s.server(next).data_digest()
    });
    assert_eq!(servers.field(next, "sync_full"), "0");
    assert_eq!(servers.field(1, "sync_full"), copies);
    assert!(servers.says(next, "Failover request received for replid ") == 1);
    assert!(servers.says(next, "MASTER MODE enabled (failover request from '") == 1);
}

#[test]
fn a_replica_that_never_catches_up_does_not_take_over() {
    let mut servers = three();
    cut_off(&mut servers);
    assert_eq!(servers.ask(1, "failover to 10.0.0.3 6379 timeout 3000"), "OK\n");
    assert_eq!(state(&servers, 1), "waiting-for-sync");
    // Writes are blocked during the failover; reads are not.
    let writer = servers.begin(1, "set meanwhile 1");
    assert_eq!(servers.ask(1, "get behind"), "\"1\"\n");
    assert_eq!(servers.shown(&writer), "");
    servers.until("it is given up", |s| state(s, 1) == "no-failover");
    let line = "FAILOVER to 10.0.0.3:6379 aborted: Replica never caught up before timeout";
    assert_eq!(servers.says(1, line), 1);
    servers.until("the writer is served", |s| s.shown(&writer).starts_with("OK\n"));
    assert_eq!(servers.field(1, "role"), "master");
    act(&mut servers.world, "heal");
    servers.until("all are the same", |s| {
        [2, 3].iter().all(|n| s.server(*n).data_digest() == s.server(1).data_digest())
    });
}

#[test]
fn a_failover_can_be_aborted_while_it_waits() {
    let mut servers = three();
    assert!(servers.ask(1, "failover abort").contains("ERR No failover in progress."));
    cut_off(&mut servers);
    assert_eq!(servers.ask(1, "failover to 10.0.0.3 6379"), "OK\n");
    let writer = servers.begin(1, "set meanwhile 1");
    servers.world.run_for(Duration::from_secs(4));
    assert_eq!(
        (state(&servers, 1).as_str(), servers.shown(&writer).as_str()),
        ("waiting-for-sync", "")
    );
    assert_eq!(servers.ask(1, "failover abort"), "OK\n");
    assert_eq!(servers.says(1, "FAILOVER to 10.0.0.3:6379 aborted: Failover manually aborted"), 1);
    servers.until("the writer is served", |s| s.shown(&writer).starts_with("OK\n"));
    assert_eq!(
        (state(&servers, 1).as_str(), servers.field(1, "role").as_str()),
        ("no-failover", "master")
    );
    servers.until("the other has it", |s| s.server(2).data_digest() == s.server(1).data_digest());
}

#[test]
fn failover_force_promotes_a_replica_that_lags() {
    let mut servers = three();
    // It does not hear from the primary any more, but the primary hears from it.
    act(&mut servers.world, "partition-oneway redis-1 | redis-3");
    assert_eq!(servers.ask(1, "set behind 1"), "OK\n");
    let line = "failover to 10.0.0.3 6379 timeout 1000 force";
    assert_eq!(servers.ask(1, line), "OK\n");
    servers.until("the time is over", |s| state(s, 1) == "failover-in-progress");
    assert_eq!(servers.says(1, "FAILOVER to 10.0.0.3:6379 time out exceeded, failing over."), 1);
    let writer = servers.begin(1, "set meanwhile 1");
    act(&mut servers.world, "heal");
    servers.until("it has taken over", |s| s.field(3, "role") == "master");
    servers.until("the old one follows", |s| s.field(1, "master_link_status") == "up");
    assert_eq!(state(&servers, 1), "no-failover");
    servers.until("who waited is told", |s| s.shown(&writer).contains("READONLY"));
    servers.until("they agree", |s| s.server(1).data_digest() == s.server(3).data_digest());
}

#[test]
fn a_replica_that_lost_its_data_does_not_take_over() {
    let mut servers = three();
    cut_off(&mut servers);
    act(&mut servers.world, "kill redis-3");
    servers.ask(1, "failover to 10.0.0.3 6379 timeout 200 force");
    act(&mut servers.world, "heal");
    let refused = "Error condition on socket for SYNC: Connection refused";
    servers.until("it is asked in vain", |s| s.says(1, refused) > 1);
    assert_eq!(state(&servers, 1), "failover-in-progress");
    // Its disk is lost.
    act(&mut servers.world, "crash redis-3");
    act(&mut servers.world, "restart redis-3 --no-disk");
    servers.until("it is given up", |s| state(s, 1) == "no-failover");
    let line = "FAILOVER to 10.0.0.3:6379 aborted: Failover target rejected psync request";
    assert_eq!(servers.says(1, line), 1, "{:#?} {:#?}", servers.log(1), servers.log(3));
    servers.until("it is the primary again", |s| s.field(1, "role") == "master");
    assert_eq!(servers.ask(1, "set after 1"), "OK\n");
    servers.until("the other has it", |s| s.server(2).data_digest() == s.server(1).data_digest());
    assert_eq!(servers.field(2, "sync_full"), "0");
}

#[test]
fn a_failover_in_progress_can_be_aborted() {
    let mut servers = three();
    cut_off(&mut servers);
    servers.ask(1, "failover to 10.0.0.3 6379 timeout 200 force");
    servers.until("the time is over", |s| state(s, 1) == "failover-in-progress");
    let id = servers.field(2, "master_replid");
    assert_eq!(servers.ask(1, "failover abort"), "OK\n");
    assert_eq!(
        (state(&servers, 1).as_str(), servers.field(1, "role").as_str()),
        ("no-failover", "master")
    );
    assert_eq!(servers.ask(1, "set after 1"), "OK\n");
    servers.until("the other has it", |s| s.server(2).data_digest() == s.server(1).data_digest());
    assert_ne!(
        servers.field(1, "master_replid"),
        id,
        "another might have taken the place with that"
    );
    act(&mut servers.world, "heal");
    servers.until("all are the same", |s| s.server(3).data_digest() == s.server(1).data_digest());
}
