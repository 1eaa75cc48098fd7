//! Mixed clusters of Limpid and redis-server, built and changed by Debian's `redis-cli --cluster`.

mod clients;
mod leaving;
mod order;
pub(crate) mod tools;
mod whole;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use limpid_core::resp::value::Value;
use limpid_tests::client::{self, Client};
use limpid_tests::process::Kind::{self, Limpid, Redis};
use limpid_tests::process::{Process, binary, free_bus_port};
use limpid_tests::wait::{until, until_some};

/// `cluster-node-timeout` in milliseconds.
const TIMEOUT: &str = "2000";
/// The same for tests in which no node may be considered dead only because the machine is busy.
pub(crate) const PATIENT: &str = "6000";

const LIMPID: [Kind; 6] = [Limpid; 6];
/// Primaries, then their replicas; every combination of kinds occurs.
const MIXED: [Kind; 6] = [Limpid, Redis, Limpid, Redis, Limpid, Limpid];
const OTHER_WAY: [Kind; 6] = [Redis, Limpid, Redis, Limpid, Redis, Limpid];

/// A cluster of three primaries with a replica each.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Process>,
}

impl Cluster {
    /// Builds it with `redis-cli --cluster create`.
    pub(crate) fn create(kinds: &[Kind]) -> Cluster {
        Cluster::create_with(kinds, TIMEOUT)
    }

    /// The same with another `cluster-node-timeout`.
    pub(crate) fn create_with(kinds: &[Kind], timeout: &str) -> Cluster {
        let start = |kind: &Kind| {
            Process::node(
                *kind,
                &["--cluster-node-timeout", timeout, "--repl-diskless-sync-delay", "0"],
            )
        };
        // The nodes start in parallel.
        let nodes = thread::scope(|scope| {
            let starts: Vec<_> =
                kinds.iter().map(|kind| scope.spawn(move || start(kind))).collect();
            starts.into_iter().map(|start| start.join().expect("a node")).collect()
        });
        let cluster = Cluster { nodes };
        let addresses: Vec<String> = cluster.nodes.iter().map(address).collect();
        let mut args = vec!["--cluster", "create"];
        args.extend(addresses.iter().map(String::as_str));
        args.extend(["--cluster-replicas", "1", "--cluster-yes"]);
        let out = cli(&args);
        assert!(out.contains("[OK] All 16384 slots covered."), "{out}");
        for node in &cluster.nodes {
            until(
                || format!("not up: {}", text(node, "CLUSTER INFO")),
                || text(node, "CLUSTER INFO").contains("cluster_state:ok"),
            );
        }
        cluster.replicas_are_known();
        cluster
    }

    /// Waits until every node reports three replicas to clients.
    fn replicas_are_known(&self) {
        for node in &self.nodes {
            until(
                || format!("replicas are missing: {}", text(node, "CLUSTER NODES")),
                || {
                    let slots = call(node, "CLUSTER SLOTS");
                    let ranges = slots.items().unwrap_or_default();
                    ranges.iter().all(|range| range.items().is_some_and(|items| items.len() == 4))
                },
            );
        }
    }

    /// The running nodes.
    fn living<'c>(&'c self, but: &'c [usize]) -> impl Iterator<Item = &'c Process> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter(|(index, _)| !but.contains(index)).map(|(_, node)| node)
    }

    /// The index of a slot's owner, according to the node `asked`.
    fn owner(&self, asked: &Process, slot: i64) -> Option<usize> {
        let slots = call(asked, "CLUSTER SLOTS");
        let range = slots.items()?.iter().find(|range| {
            let Some([Value::Integer(first), Value::Integer(last), ..]) = range.items() else {
                return false;
            };
            (*first..=*last).contains(&slot)
        })?;
        let port = range.items()?.get(2)?.items()?.get(1)?.clone();
        self.nodes.iter().position(|node| Value::Integer(node.port().into()) == port)
    }

    /// The index of the primary that a replica follows.
    fn primary_of(&self, replica: &Process) -> usize {
        let information = text(replica, "INFO replication");
        let is_it =
            |node: &Process| information.contains(&format!("master_port:{}\r", node.port()));
        self.nodes.iter().position(is_it).expect("a primary")
    }

    /// A key that belongs to a primary.
    fn key_of(&self, primary: usize) -> String {
        let node = &self.nodes[primary];
        let mine = |key: &String| {
            let slot = call(node, &format!("CLUSTER KEYSLOT {key}"));
            matches!(slot, Value::Integer(slot) if self.owner(node, slot) == Some(primary))
        };
        (0..).map(|n| format!("key:{n}")).find(mine).expect("a key")
    }

    /// Sets a key wherever it belongs, following redirections as clients do.
    fn set(&self, asked: &Process, key: &str, value: &str) -> Value {
        let mut node = asked;
        for _ in 0..5 {
            let reply = Client::new(node.connect()).call(&["SET", key, value]);
            let Value::Error(error) = &reply else { return reply };
            let error = String::from_utf8_lossy(error);
            let Some(target) = error.strip_prefix("MOVED ").and_then(|rest| rest.split(':').nth(1))
            else {
                return reply.clone();
            };
            let found = self.nodes.iter().find(|node| node.port().to_string() == target);
            node = found.expect("one of the nodes");
        }
        panic!("{key} is redirected for ever")
    }
}

fn address(node: &Process) -> String {
    format!("127.0.0.1:{}", node.port())
}

pub(crate) fn call(node: &Process, line: &str) -> Value {
    Client::new(node.connect()).call(&line.split(' ').collect::<Vec<_>>())
}

fn error(text: &str) -> Value {
    Value::Error(text.into())
}

pub(crate) fn text(node: &Process, line: &str) -> String {
    client::text(&call(node, line))
}

/// Runs Debian's redis-cli. Returns its output.
fn cli(args: &[&str]) -> String {
    let (success, text) = cli_output(args);
    assert!(success, "redis-cli {args:?}:\n{text}");
    text
}

/// Runs Debian's redis-cli. Returns whether it succeeds, and its output.
fn cli_output(args: &[&str]) -> (bool, String) {
    let out = Command::new("redis-cli").args(args).output().expect("redis-cli is on PATH");
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn redis_cli_builds_and_checks_a_cluster_of_limpid() {
    let cluster = Cluster::create(&LIMPID);
    let first = address(&cluster.nodes[0]);
    let out = cli(&["--cluster", "check", &first]);
    assert!(out.contains("[OK] All nodes agree about slots configuration."), "{out}");
    let out = cli(&["--cluster", "info", &first]);
    assert!(out.contains("[OK] 0 keys in 3 masters."), "{out}");
    assert_eq!(call(&cluster.nodes[0], "CLUSTER KEYSLOT k1"), Value::Integer(12706));
    let port = cluster.nodes[0].port().to_string();
    assert_eq!(cli(&["-p", &port, "-c", "set", "k1", "a"]), "OK\n");
    assert_eq!(cli(&["-p", &port, "-c", "get", "k1"]), "a\n");
    let owner = cluster.owner(&cluster.nodes[1], 12706).expect("an owner");
    let moved = error(&format!("MOVED 12706 {}", address(&cluster.nodes[owner])));
    let other = (0..3).find(|node| *node != owner).expect("another");
    assert_eq!(call(&cluster.nodes[other], "GET k1"), moved);
    assert_eq!(call(&cluster.nodes[owner], "CLUSTER COUNTKEYSINSLOT 12706"), Value::Integer(1));
    let cross = error("CROSSSLOT Keys in request don't hash to the same slot");
    assert_eq!(call(&cluster.nodes[owner], "MGET k1 k2"), cross);
    let refused = error("ERR SELECT is not allowed in cluster mode");
    assert_eq!(call(&cluster.nodes[owner], "SELECT 1"), refused);
}

/// Kills a primary, and checks that its replica takes over and that it returns as a replica.
fn fails_over(kinds: &[Kind], victim: usize) {
    let mut cluster = Cluster::create(kinds);
    let asked = (victim + 1) % 3;
    for n in 0..50 {
        let reply = cluster.set(&cluster.nodes[asked], &format!("key:{n}"), "before");
        assert_eq!(reply, Value::Simple("OK".into()));
    }
    let slots = call(&cluster.nodes[asked], "CLUSTER SLOTS");
    let port = Value::Integer(cluster.nodes[victim].port().into());
    let ranges = slots.items().expect("ranges");
    let first = ranges.iter().find_map(|range| match range.items()? {
        [Value::Integer(first), _, owner, ..] if owner.items()?[1] == port => Some(*first),
        _ => None,
    });
    let slot = first.expect("the slots of the victim");
    cluster.nodes[victim].kill();
    let asked = &cluster.nodes[asked];
    let heir = until_some(
        || format!("nobody took over: {}", text(asked, "CLUSTER NODES")),
        || cluster.owner(asked, slot).filter(|owner| *owner != victim),
    );
    for node in cluster.living(&[victim]) {
        until(
            || format!("not up: {}", text(node, "CLUSTER INFO")),
            || {
                text(node, "CLUSTER INFO").contains("cluster_state:ok")
                    && cluster.owner(node, slot) == Some(heir)
            },
        );
    }
    for n in 0..50 {
        let reply = cluster.set(asked, &format!("key:{n}"), "after");
        assert_eq!(reply, Value::Simple("OK".into()), "key:{n}");
    }
    cluster.nodes[victim].restart(true);
    let heir = text(&cluster.nodes[heir], "CLUSTER MYID");
    let back = &cluster.nodes[victim];
    until(
        || format!("it does not follow: {}", text(back, "CLUSTER NODES")),
        || {
            let nodes = text(back, "CLUSTER NODES");
            let mine = nodes.lines().find(|line| line.contains("myself"));
            mine.is_some_and(|line| line.contains("slave") && line.contains(&heir))
                && text(back, "INFO replication").contains("master_link_status:up")
        },
    );
}

#[test]
fn limpid_takes_over_from_limpid() {
    fails_over(&LIMPID, 0);
}

#[test]
fn nodes_of_both_kinds_vote_for_each_other() {
    fails_over(&MIXED, 0);
    fails_over(&OTHER_WAY, 1);
}

#[test]
fn a_manual_failover_exchanges_primary_and_replica() {
    for kinds in [&LIMPID, &MIXED, &OTHER_WAY] {
        let cluster = Cluster::create(kinds);
        for replica in 3..6 {
            let node = &cluster.nodes[replica];
            assert_eq!(call(node, "CLUSTER FAILOVER"), Value::Simple("OK".into()));
            until(
                || format!("{replica} did not take over: {}", text(node, "CLUSTER NODES")),
                || text(node, "INFO replication").contains("role:master"),
            );
        }
        cluster.replicas_are_known();
    }
}

/// Redis 7.0 does not say to which shard it belongs.
#[test]
fn replicas_of_the_other_kind_belong_to_the_shards_of_their_primaries() {
    for kinds in [&MIXED, &OTHER_WAY] {
        let cluster = Cluster::create(kinds);
        for node in &cluster.nodes {
            let shards = call(node, "CLUSTER SHARDS");
            let nodes =
                shards.items().unwrap_or_default().iter().map(|shard| shard.items()?.last());
            let sizes: Vec<Option<usize>> =
                nodes.map(|nodes| Some(nodes?.items()?.len())).collect();
            assert_eq!(sizes, [Some(2); 3], "{shards:?}");
        }
    }
}

#[test]
fn slots_move_in_both_directions_between_the_kinds() {
    let cluster = Cluster::create(&[Limpid, Redis, Limpid, Limpid, Redis, Limpid]);
    for n in 0..200 {
        cluster.set(&cluster.nodes[0], &format!("key:{n}"), &n.to_string());
    }
    let ids: Vec<String> = cluster.nodes.iter().map(|node| text(node, "CLUSTER MYID")).collect();
    let first = address(&cluster.nodes[0]);
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let out = cli(&[
            "--cluster",
            "reshard",
            &first,
            "--cluster-from",
            &ids[from],
            "--cluster-to",
            &ids[to],
            "--cluster-slots",
            "1000",
            "--cluster-yes",
        ]);
        assert!(!out.contains("[ERR]"), "{out}");
        // Replicas learn of it a moment later by gossip.
        let check = || cli_output(&["--cluster", "check", &first]);
        until(|| check().1, || check().0);
    }
    let out = cli(&["--cluster", "info", &first]);
    assert!(out.contains("[OK] 200 keys in 3 masters."), "{out}");
    let port = cluster.nodes[2].port().to_string();
    for n in 0..200 {
        let key = format!("key:{n}");
        assert_eq!(cli(&["-p", &port, "-c", "get", &key]), format!("{n}\n"));
    }
}

#[test]
fn sharded_messages_reach_the_replicas_and_leave_with_the_slot() {
    let cluster = Cluster::create(&LIMPID);
    let owner = cluster.owner(&cluster.nodes[0], 12706).expect("an owner");
    let mut listener = Client::new(cluster.nodes[owner].connect());
    let subscribed = listener.call(&["SSUBSCRIBE", "k1"]);
    assert_eq!(subscribed.items().map(<[Value]>::len), Some(3));
    assert_eq!(call(&cluster.nodes[owner], "SPUBLISH k1 hello"), Value::Integer(1));
    let message = listener.read().expect("a message").value;
    assert_eq!(message.items().and_then(|items| items[2].bytes()), Some(&b"hello"[..]));
    let other = (0..3).find(|node| *node != owner).expect("another");
    let moved = call(&cluster.nodes[other], "SPUBLISH k1 hello");
    assert!(matches!(&moved, Value::Error(text) if text.starts_with(b"MOVED 12706 ")), "{moved:?}");
    // Messages of plain channels reach all nodes.
    let mut far = Client::new(cluster.nodes[other].connect());
    far.call(&["SUBSCRIBE", "news"]);
    call(&cluster.nodes[owner], "PUBLISH news today");
    let message = far.read().expect("a message").value;
    assert_eq!(message.items().and_then(|items| items[2].bytes()), Some(&b"today"[..]));
}

#[test]
fn a_script_that_says_that_it_writes_is_redirected_by_replicas_of_both_kinds() {
    let cluster = Cluster::create(&OTHER_WAY);
    for replica in &cluster.nodes[3..] {
        let key = cluster.key_of(cluster.primary_of(replica));
        assert_eq!(cluster.set(&cluster.nodes[0], &key, "here"), Value::Simple(b"OK".to_vec()));
        let mut client = Client::new(replica.connect());
        assert_eq!(client.call(&["READONLY"]), Value::Simple(b"OK".to_vec()));
        until(
            || format!("{key} has not come"),
            || client.call(&["GET", &key]).bytes() == Some(b"here"),
        );
        let mut run = |script: &str| client.call(&["EVAL", script, "1", &key]);
        let moved = run("#!lua\nreturn redis.call('del', KEYS[1])");
        assert!(matches!(&moved, Value::Error(e) if e.starts_with(b"MOVED ")), "{moved:?}");
        let read = run("#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])");
        assert_eq!(read.bytes(), Some(&b"here"[..]), "{read:?}");
        let read = run("return redis.call('get', KEYS[1])");
        assert_eq!(read.bytes(), Some(&b"here"[..]), "{read:?}");
    }
}

#[test]
fn clients_are_not_told_of_a_replica_that_loads_a_copy() {
    // A Limpid as a replica of a Redis, and of a Limpid.
    for kinds in [&[Redis, Redis, Redis, Limpid, Limpid, Limpid], &LIMPID] {
        let cluster = Cluster::create_with(kinds, PATIENT);
        let replica = &cluster.nodes[3];
        let index = cluster.primary_of(replica);
        let primary = &cluster.nodes[index];
        let told = || {
            let port = Value::Integer(replica.port().into());
            let slots = call(primary, "CLUSTER SLOTS");
            let items = slots.items().unwrap_or_default().iter().filter_map(Value::items);
            items.flatten().filter_map(Value::items).any(|node| node.contains(&port))
        };
        assert!(told());
        // The replica loses its link and misses more than the backlog holds. It loads the copy
        // slowly, at ten keys per second, and serves its connections in between.
        let key = cluster.key_of(index);
        let ok = Value::Simple(b"OK".to_vec());
        assert_eq!(call(replica, "CONFIG SET loading-process-events-interval-bytes 1024"), ok);
        assert_eq!(call(replica, "CONFIG SET key-load-delay 100000"), ok);
        assert_eq!(call(primary, "CONFIG SET repl-backlog-size 16384"), ok);
        let mut client = Client::new(primary.connect());
        client.call(&["MULTI"]);
        client.call(&["CLIENT", "KILL", "TYPE", "replica"]);
        for n in 0..400 {
            client.call(&["SET", &format!("{{{key}}}{n}"), &"a".repeat(1024)]);
        }
        assert!(client.call(&["EXEC"]).items().is_some());
        until(|| format!("still told of: {}", text(replica, "INFO replication")), || !told());
        assert!(text(replica, "INFO persistence").contains("loading:1"));
        assert_eq!(call(replica, "CONFIG SET key-load-delay 0"), ok);
        until(|| format!("not told of again: {}", text(replica, "INFO replication")), told);
    }
}

#[test]
fn a_damaged_nodes_conf_stops_the_start_with_its_line() {
    let mut node = Process::node(Limpid, &[]);
    node.terminate();
    let path = node.dir().join("nodes.conf");
    let text = std::fs::read_to_string(&path).expect("nodes.conf");
    std::fs::write(&path, text.replace("myself,master", "myself,baker")).expect("nodes.conf");
    let port = node.port().to_string();
    let args = ["server", "--port", &port, "--cluster-enabled", "yes"];
    let conf = std::fs::read_to_string(&path).expect("nodes.conf");
    let mut damaged = Process::start(&args, &[("nodes.conf", &conf)], node.port());
    let line = damaged.wait_for_line("corrupted cluster config file").expect("a line");
    assert!(line.contains("line 1: a flag is unknown"), "{line}");
    assert_eq!(damaged.wait().code(), Some(1));
}

#[test]
fn slots_move_between_the_kinds_while_a_client_writes() {
    let cluster = Cluster::create_with(&[Limpid, Redis, Limpid, Redis, Limpid, Redis], PATIENT);
    let writer = clients::Writer::new(&cluster);
    thread::scope(|scope| {
        scope.spawn(|| writer.run());
        let _end = writer.ends();
        for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 1)] {
            writer.goes_on();
            cluster.reshard(from, to, 1500);
        }
        writer.goes_on();
    });
    writer.all_there();
}

#[test]
fn a_node_goes_on_with_the_nodes_conf_of_the_other_kind() {
    let mut cluster = Cluster::create(&MIXED);
    for n in 0..30 {
        cluster.set(&cluster.nodes[0], &format!("key:{n}"), "before");
    }
    // A primary and a replica of each kind become the other kind and back.
    for index in [0, 1, 3, 4, 0, 1] {
        let ids = |cluster: &Cluster| text(&cluster.nodes[index], "CLUSTER MYID");
        let before = ids(&cluster);
        let kind = if text(&cluster.nodes[index], "INFO server").contains("limpid_version") {
            Redis
        } else {
            Limpid
        };
        assert_eq!(call(&cluster.nodes[index], "SAVE"), Value::Simple("OK".into()));
        cluster.nodes[index].become_node(kind);
        assert_eq!(ids(&cluster), before);
        for node in &cluster.nodes {
            until(
                || format!("not up: {}{}", text(node, "CLUSTER INFO"), text(node, "CLUSTER NODES")),
                || {
                    let nodes = text(node, "CLUSTER NODES");
                    text(node, "CLUSTER INFO").contains("cluster_state:ok")
                        && !nodes.contains("fail")
                        && !nodes.contains("disconnected")
                },
            );
        }
    }
    cluster.replicas_are_known();
    for n in 0..30 {
        let port = cluster.nodes[n % 6].port().to_string();
        assert_eq!(cli(&["-p", &port, "-c", "get", &format!("key:{n}")]), "before\n");
    }
}

#[test]
fn nodes_of_either_kind_do_not_share_a_nodes_conf() {
    for holder in [Limpid, Redis] {
        let node = Process::node(holder, &[]);
        // A node writes its file when it starts, and holds the lock from then on.
        let is_locked = || {
            let file = std::fs::metadata(node.dir().join("nodes.conf")).expect("nodes.conf");
            let locks = std::fs::read_to_string("/proc/locks").expect("the system's locks");
            file.len() > 0 && locks.contains(&format!(":{} ", file.ino()))
        };
        until(|| format!("{holder:?} has not locked its nodes.conf"), is_locked);
        let port = free_bus_port().to_string();
        for (program, first) in [(binary(), &["server"][..]), (Path::new("redis-server"), &[])] {
            let mut second = Command::new(program);
            second.args(first).args(["--port", &port, "--cluster-enabled", "yes"]);
            let out = second.current_dir(node.dir()).output().expect("it starts");
            assert_eq!(out.status.code(), Some(1));
            let told = String::from_utf8_lossy(&out.stdout);
            let used = "the cluster configuration file nodes.conf is already used by a different";
            assert!(told.contains(used), "{program:?} beside {holder:?}: {told}");
        }
    }
}
