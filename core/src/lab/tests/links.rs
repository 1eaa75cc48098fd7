//! Tests of slow, silent and broken links between primaries and replicas.

use super::replicas::Servers;
use super::*;

const FOLLOWS: [&str; 2] = ["--replicaof", "10.0.0.1 6379"];

fn online(servers: &mut Servers) {
    servers.until("it is online", |s| s.field(1, "slave0").contains("state=online"));
}

fn same(servers: &mut Servers, n: u8) {
    servers.until("they agree", |s| {
        s.field(n, "master_link_status") == "up"
            && s.server(n).data_digest() == s.server(1).data_digest()
    });
}

#[test]
fn a_replica_that_reads_too_slowly_is_cut_off_and_comes_back() {
    // The limit is at least the size of the backlog, and bytes in flight do not count.
    let limit = ["--client-output-buffer-limit", "replica 100kb 0 0", "--repl-backlog-size", "1mb"];
    let mut servers = Servers::new(3, &[&limit, &FOLLOWS]);
    online(&mut servers);
    act(&mut servers.world, "bandwidth redis-1 redis-2 1mbit");
    let value = "x".repeat(200_000);
    for n in 0..15 {
        servers.ask(1, &format!("set key:{n} {value}"));
    }
    let line = "scheduled to be closed ASAP for overcoming of output buffer limits.";
    assert_eq!(servers.says(1, line), 1, "{:#?}", servers.log(1));
    assert_eq!(servers.field(1, "client_output_buffer_limit_disconnections"), "1");
    act(&mut servers.world, "bandwidth redis-1 redis-2 unlimited");
    servers.until("it comes back", |s| s.field(1, "sync_full") == "2");
    online(&mut servers);
    same(&mut servers, 2);
    assert_eq!(servers.ask(2, "dbsize"), "(integer) 15\n");
}

#[test]
fn a_silent_replica_times_out() {
    let timeout = ["--repl-timeout", "3", "--repl-ping-replica-period", "1"];
    let mut servers = Servers::new(3, &[&timeout, &FOLLOWS]);
    online(&mut servers);
    act(&mut servers.world, "pause redis-2:6379");
    let line = "Disconnecting timedout replica (streaming sync): 10.0.0.2:6379";
    servers.until("it is given up", |s| s.says(1, line) == 1);
    assert_eq!(servers.field(1, "connected_slaves"), "0");
    assert_eq!(servers.ask(1, "set k v"), "OK\n");
    act(&mut servers.world, "resume redis-2:6379");
    same(&mut servers, 2);
    assert_eq!(servers.field(1, "sync_full"), "1");
}

#[test]
fn a_silent_primary_times_out() {
    let timeout = ["--repl-timeout", "3", "--replica-serve-stale-data", "no"];
    let mut servers = Servers::new(3, &[&[], &[&FOLLOWS[..], &timeout].concat()]);
    online(&mut servers);
    assert_eq!(servers.ask(1, "set k v"), "OK\n");
    same(&mut servers, 2);
    act(&mut servers.world, "pause redis-1:6379");
    servers.until("it is given up", |s| {
        s.says(2, "MASTER timeout: no data nor PING received...") == 1
    });
    assert_eq!(servers.field(2, "master_link_status"), "down");
    let refused = servers.ask(2, "get k");
    assert!(refused.contains("MASTERDOWN Link with MASTER is down"), "{refused}");
    act(&mut servers.world, "resume redis-1:6379");
    same(&mut servers, 2);
    assert_eq!(servers.ask(2, "get k"), "\"v\"\n");
    assert_eq!(servers.field(1, "sync_full"), "1");
}

#[test]
fn without_enough_replicas_that_follow_closely_writes_are_refused() {
    let wants = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"];
    let mut servers = Servers::new(3, &[&wants, &FOLLOWS]);
    online(&mut servers);
    servers.until("it counts", |s| s.field(1, "min_slaves_good_slaves") == "1");
    assert_eq!(servers.ask(1, "set k v"), "OK\n");
    act(&mut servers.world, "partition redis-1 | redis-2");
    servers.until("it lags", |s| s.field(1, "min_slaves_good_slaves") == "0");
    let refused = servers.ask(1, "set k w");
    assert!(refused.contains("NOREPLICAS Not enough good replicas to write."), "{refused}");
    assert_eq!(servers.ask(1, "get k"), "\"v\"\n");
    act(&mut servers.world, "heal");
    servers.until("it counts again", |s| s.field(1, "min_slaves_good_slaves") == "1");
    assert_eq!(servers.ask(1, "set k w"), "OK\n");
    same(&mut servers, 2);
}

#[test]
fn a_replica_that_was_restarted_goes_on_from_its_dump() {
    for how in ["stop", "kill"] {
        let mut servers = Servers::new(3, &[&[], &[&FOLLOWS[..], &["--save", "3600 1"]].concat()]);
        online(&mut servers);
        for n in 0..20 {
            servers.ask(1, &format!("set key:{n} v"));
        }
        same(&mut servers, 2);
        servers.ask(2, "save");
        servers.ask(1, "incr n");
        act(&mut servers.world, &format!("{how} redis-2:6379"));
        servers.world.run_for(Duration::from_secs(2));
        servers.ask(1, "incr n");
        act(&mut servers.world, "start redis-2:6379");
        same(&mut servers, 2);
        assert_eq!(servers.ask(2, "get n"), "\"2\"\n");
        assert_eq!(servers.field(1, "sync_full"), "1", "{how}");
        let line = "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.";
        assert_eq!(servers.says(2, line), 1, "{how}");
    }
}

#[test]
fn a_chain_goes_on_when_its_middle_is_gone_for_a_while() {
    let middle = ["--replicaof", "10.0.0.2 6379"];
    let mut servers = Servers::new(3, &[&[], &FOLLOWS, &middle]);
    servers.until("the end is online", |s| s.field(2, "slave0").contains("state=online"));
    for how in ["partition redis-1 | redis-2", "partition redis-2 | redis-3", "pause redis-2:6379"]
    {
        act(&mut servers.world, how);
        servers.ask(1, "incr n");
        servers.world.run_for(Duration::from_secs(90));
        act(&mut servers.world, "heal");
        if how.starts_with("pause") {
            act(&mut servers.world, "resume redis-2:6379");
        }
        same(&mut servers, 2);
        same(&mut servers, 3);
        assert_eq!(servers.field(1, "sync_full"), "1", "{how}");
        assert_eq!(servers.field(2, "sync_full"), "1", "{how}");
    }
    // Without the middle one, the last server asks the first, and continues the same stream.
    act(&mut servers.world, "kill redis-2:6379");
    servers.ask(1, "incr n");
    servers.ask(3, "replicaof 10.0.0.1 6379");
    same(&mut servers, 3);
    assert_eq!(servers.field(1, "sync_full"), "1");
}

#[test]
fn an_interrupted_full_resync_harms_nothing() {
    for (sync, load) in
        [("no", "disabled"), ("yes", "disabled"), ("no", "swapdb"), ("yes", "swapdb")]
    {
        let primary = ["--repl-diskless-sync", sync, "--repl-diskless-sync-delay", "0"];
        let primary = [&primary[..], &["--rdbcompression", "no"]].concat();
        let replica = [&FOLLOWS[..], &["--repl-diskless-load", load]].concat();
        let mut servers = Servers::new(3, &[&primary, &replica]);
        online(&mut servers);
        servers.ask(1, "set old 1");
        same(&mut servers, 2);
        // It has to start again, and cannot finish.
        servers.ask(1, "debug populate 600 key 10000");
        servers.ask(1, "debug change-repl-id");
        let before = servers.server(2).data_digest();
        // More than can be in flight on a link.
        act(&mut servers.world, "bandwidth redis-1 redis-2 10mbit");
        servers.ask(2, "client kill type master");
        for n in 1..=2 {
            servers.until("a copy arrives", |s| s.field(2, "master_sync_in_progress") == "1");
            servers.world.run_for(Duration::from_millis(300));
            servers.ask(1, "client kill type replica");
            servers.ask(1, "incr n");
            servers.until("it is noticed", |s| s.says(2, " after failure") == n);
            assert_eq!(servers.server(2).data_digest(), before, "{sync}/{load}");
        }
        act(&mut servers.world, "bandwidth redis-1 redis-2 unlimited");
        same(&mut servers, 2);
        assert_eq!(servers.ask(2, "dbsize"), "(integer) 602\n", "{sync}/{load}");
    }
}

#[test]
fn a_replicas_own_dump_is_not_mistaken_for_a_full_resync() {
    let copies = ["--repl-diskless-load", "disabled", "--save", ""];
    for (save, wait) in ["bgsave", "save"].into_iter().flat_map(|s| (0..14).map(move |n| (s, n))) {
        let mut servers = Servers::new(3, &[&["--repl-diskless-sync-delay", "0"], &copies]);
        servers.ask(1, "set here 1");
        servers.ask(2, "set there 2");
        // Each operation takes long, so that the two overlap.
        act(&mut servers.world, "disk redis-2 slow 50ms");
        servers.begin(2, "replicaof 10.0.0.1 6379");
        servers.world.run_for(Duration::from_millis(20 * wait));
        servers.begin(2, save);
        same(&mut servers, 2);
        assert_eq!(servers.ask(2, "keys *"), "1) \"here\"\n", "{save} {wait}");
        assert_eq!(servers.ask(1, "set here 3"), "OK\n");
        same(&mut servers, 2);
    }
}

#[test]
fn a_replica_that_cannot_load_a_full_resync_does_not_keep_its_primary_busy() {
    for sync in ["no", "yes"] {
        let primary = ["--repl-diskless-sync", sync, "--repl-diskless-sync-delay", "0"];
        let disk = ["--repl-diskless-load", "disabled"];
        let mut servers = Servers::new(3, &[&primary, &disk]);
        servers.ask(1, "set k v");
        act(&mut servers.world, "disk redis-2 full");
        servers.ask(2, "replicaof 10.0.0.1 6379");
        servers.world.run_for(Duration::from_secs(10));
        // As in redis-server, which checks for the end of its child ten times per second.
        let copies: u64 = servers.field(1, "sync_full").parse().expect("a number");
        assert!((50..=110).contains(&copies), "{copies} with {sync}: {:#?}", servers.log(2));
        act(&mut servers.world, "disk redis-2 ok");
        same(&mut servers, 2);
    }
}
