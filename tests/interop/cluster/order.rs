//! The order in which a cluster node checks a request: redirections come before other errors.
//! Compares a node of Limpid with one of Redis, in every state of a slot.

use limpid_core::resp::value::Value;
use limpid_tests::client::Client;
use limpid_tests::process::Kind::{self, Limpid, Redis};
use limpid_tests::process::Process;
use limpid_tests::wait::until;

use super::{call, text};

/// The slot of "b", which is on the first of two nodes, as is "hello"; "a" and "foo" are on the
/// other.
const SLOT: &str = "3300";

/// The requests in each state; lines between MULTI and EXEC use one connection.
const REQUESTS: &[&str] = &[
    "SET b 1",
    "MOVE b 1",
    "MOVE b 0",
    "MOVE b x",
    "MOVE a 1",
    "MOVE b",
    "EXISTS b",
    "COPY b {b}2",
    "COPY b {b}2 DB 0",
    "COPY b {b}2 DB 1",
    "COPY b {b}2 DB 99",
    "COPY b {b}2 DB x",
    "COPY b {b}2 DB",
    "COPY b b",
    "COPY b b DB 1",
    "COPY a {a}2 DB 1",
    "COPY b a DB 1",
    "COPY a b DB 1",
    "SELECT 0",
    "SELECT 1",
    "SELECT 99",
    "SELECT x",
    "SELECT -1",
    "SWAPDB 0 0",
    "SWAPDB 0 1",
    "SWAPDB x",
    "MSET b 1 a 2",
    "MSET a 1 b 2",
    "MSET a 1 foo 2",
    "MSET hello 1 b 2",
    "MGET b hello",
    "MGET a {a}2",
    "GET hello",
    "SORT b BY x",
    "SORT b BY x*",
    "SORT b BY x LIMIT",
    "SORT b GET #",
    "SORT b GET x* STORE a",
    "SORT b BY x STORE {b}2",
    "SORT a BY x",
    "SORT_RO hello GET x",
    "SPUBLISH b x",
    "SPUBLISH a x",
    "SSUBSCRIBE b a",
    "SSUBSCRIBE a b",
    "MIGRATE 127.0.0.1 1 b 0 100",
    "MIGRATE 127.0.0.1 1 a 0 100",
    "REPLICAOF NO ONE",
    "SLAVEOF 127.0.0.1 1",
    "FAILOVER",
    "EVAL return 2 a b",
    "EVAL return 2 b a",
    "EVAL return 1 hello",
    "EVAL return(redis.pcall('move','b',1)) 0",
    "EVAL return(redis.pcall('move',KEYS[1],1)) 1 b",
    "EVAL return(redis.pcall('move','a',1)) 0",
    "EVAL return(redis.pcall('mset','hello',1,'b',1)) 0",
    "EVAL return(redis.pcall('mset','b',1,'a',1)) 0",
    "EVAL return(redis.pcall('get','b')) 1 hello",
    "EVAL return(redis.pcall('swapdb',0,1)) 0",
    "EVAL return(redis.pcall('select',1)) 0",
    "EVAL return(redis.pcall('copy','b','{b}2','db',1)) 0",
    "EVAL return(redis.pcall('copy','a','{a}2','db',1)) 0",
    "EVAL #!lua\nreturn(redis.pcall('get','b')) 0",
    "EVAL #!lua\nreturn(redis.pcall('set','hello',1)) 0",
    "MULTI",
    "MOVE b 1",
    "SWAPDB 0 1",
    "SELECT 1",
    "COPY b {b}2 DB 1",
    "REPLICAOF NO ONE",
    "EXEC",
    "MULTI",
    "MOVE hello 1",
    "SWAPDB 0 1",
    "FAILOVER",
    "EXEC",
    "MULTI",
    "MOVE a 1",
    "EXEC",
    "MULTI",
    "SET hello 1",
    "SET {b}3 1",
    "EXEC",
    "MULTI",
    "SET b 1",
    "SET hello 1",
    "EXEC",
    "DISCARD",
    "EXISTS b",
    "DEL hello",
    "DEL b {b}2 {b}3",
];

/// The states: commands for both nodes, and a line of `CLUSTER INFO` to wait for.
const STATES: &[(&[&str], &str)] = &[
    (&[], "cluster_state:ok"),
    (&["CLUSTER DELSLOTS 3300"], "cluster_state:fail"),
    (&["CONFIG SET cluster-allow-reads-when-down yes"], "cluster_state:fail"),
    (&["CONFIG SET cluster-require-full-coverage no"], "cluster_state:ok"),
];

struct Pair {
    nodes: [Process; 2],
}

impl Pair {
    fn new(kind: Kind) -> Pair {
        let nodes = [0, 1].map(|_| Process::node(kind, &[]));
        call(&nodes[0], "CLUSTER ADDSLOTSRANGE 0 8191");
        call(&nodes[1], "CLUSTER ADDSLOTSRANGE 8192 16383");
        call(&nodes[1], "CLUSTER SET-CONFIG-EPOCH 2");
        call(&nodes[0], &format!("CLUSTER MEET 127.0.0.1 {}", nodes[1].port()));
        Pair { nodes }
    }

    fn comes_into(&self, orders: &[&str], told: &str) {
        for order in orders {
            for node in &self.nodes {
                // SETSLOT fails on a node that has just learned by gossip that it owns the slot no
                // more.
                call(node, order);
            }
        }
        for node in &self.nodes {
            until(
                || format!("not so: {}", text(node, "CLUSTER INFO")),
                || {
                    let info = text(node, "CLUSTER INFO");
                    info.contains(told) && info.contains("cluster_known_nodes:2")
                },
            );
        }
    }

    /// The replies of the first node to all requests.
    fn replies(&self) -> Vec<String> {
        let mut client = Client::new(self.nodes[0].connect());
        let other = self.nodes[1].port().to_string();
        let replies = REQUESTS.iter().map(|line| {
            let reply: Value = client.call(&line.split(' ').collect::<Vec<_>>());
            format!("{line}: {}", reply_text(&reply)).replace(&other, "other")
        });
        replies.collect()
    }
}

fn reply_text(reply: &Value) -> String {
    match (reply.items(), reply) {
        (Some(items), _) => {
            let items: Vec<String> = items.iter().map(reply_text).collect();
            format!("[{}]", items.join(", "))
        }
        (None, Value::Error(text)) => format!("error {}", String::from_utf8_lossy(text)),
        (None, other) => format!("{other:?}"),
    }
}

#[test]
fn refusals_come_in_the_order_of_redis() {
    let pairs = [Redis, Limpid].map(Pair::new);
    let owner = |pair: &Pair| text(&pair.nodes[0], "CLUSTER NODES").contains("myself");
    assert!(pairs.iter().all(owner));
    for (orders, told) in STATES {
        for pair in &pairs {
            pair.comes_into(orders, told);
        }
        let [expected, found] = [0, 1].map(|n| pairs[n].replies());
        let differences: Vec<String> = expected
            .iter()
            .zip(&found)
            .filter(|(expected, found)| expected != found)
            .map(|(expected, found)| format!("{expected}\n    {found}"))
            .collect();
        assert!(differences.is_empty(), "{told} {orders:?}\n{}", differences.join("\n"));
    }
    let slot = call(&pairs[1].nodes[0], "CLUSTER KEYSLOT b");
    assert_eq!(slot, Value::Integer(SLOT.parse().expect("a number")));
}
