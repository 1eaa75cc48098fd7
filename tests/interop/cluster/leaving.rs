//! Clients that are blocked, watch keys or subscribe when their slot moves to another node: a node
//! of Limpid behaves like one of Redis.

use limpid_core::resp::value::Value;
use limpid_tests::client::Client;
use limpid_tests::process::Kind::{self, Limpid, Redis};
use limpid_tests::process::Process;
use limpid_tests::wait::until;

use super::{address, call, text};

/// Two nodes, the first of which has all slots.
struct Pair {
    nodes: [Process; 2],
    ids: [String; 2],
}

/// The slot of "k1".
const SLOT: i64 = 12706;

impl Pair {
    fn new(kinds: [Kind; 2]) -> Pair {
        let nodes = kinds.map(|kind| Process::node(kind, &[]));
        let ids = [0, 1].map(|n| text(&nodes[n], "CLUSTER MYID"));
        call(&nodes[0], "CLUSTER ADDSLOTSRANGE 0 16383");
        call(&nodes[1], "CLUSTER SET-CONFIG-EPOCH 2");
        call(&nodes[0], &format!("CLUSTER MEET 127.0.0.1 {}", nodes[1].port()));
        let pair = Pair { nodes, ids };
        for node in &pair.nodes {
            until(
                || format!("not up: {}", text(node, "CLUSTER INFO")),
                || {
                    let info = text(node, "CLUSTER INFO");
                    info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:2")
                },
            );
        }
        pair
    }

    fn client(&self) -> Client {
        Client::new(self.nodes[0].connect())
    }

    fn open_slot(&self) {
        let [first, second] = &self.ids;
        for (node, how) in [(1, format!("IMPORTING {first}")), (0, format!("MIGRATING {second}"))] {
            let reply = call(&self.nodes[node], &format!("CLUSTER SETSLOT {SLOT} {how}"));
            assert_eq!(reply, Value::Simple("OK".into()), "{how}");
        }
    }

    fn move_key(&self) {
        let line = format!("MIGRATE 127.0.0.1 {} k1 0 5000", self.nodes[1].port());
        assert_eq!(call(&self.nodes[0], &line), Value::Simple("OK".into()));
    }

    fn close_slot(&self) {
        for node in [1, 0] {
            let line = format!("CLUSTER SETSLOT {SLOT} NODE {}", self.ids[1]);
            assert_eq!(call(&self.nodes[node], &line), Value::Simple("OK".into()));
        }
    }

    /// `MOVED` or `ASK` to the second node.
    fn elsewhere(&self, how: &str) -> Value {
        Value::Error(format!("{how} {SLOT} {}", address(&self.nodes[1])).into_bytes())
    }

    fn until_blocked(&self, count: u32) {
        let node = &self.nodes[0];
        let wanted = format!("blocked_clients:{count}\r\n");
        until(|| "no client waits".to_owned(), || text(node, "INFO clients").contains(&wanted));
    }
}

fn with_every_pair(play: impl Fn(&Pair)) {
    for kinds in [[Redis, Redis], [Limpid, Limpid], [Limpid, Redis], [Redis, Limpid]] {
        play(&Pair::new(kinds));
    }
}

#[test]
fn a_client_blocked_on_a_key_is_redirected_when_its_slot_leaves() {
    with_every_pair(|pair| {
        let mut waiting = pair.client();
        waiting.send(&["BLPOP", "k1", "0"]);
        pair.until_blocked(1);
        pair.open_slot();
        pair.close_slot();
        let reply = waiting.read().expect("an answer").value;
        assert_eq!(reply, pair.elsewhere("MOVED"));
        // On the new node the client is served.
        let mut there = Client::new(pair.nodes[1].connect());
        there.call(&["RPUSH", "k1", "value"]);
        assert_eq!(there.call(&["LPOP", "k1"]), Value::Bulk(b"value".to_vec()));
    });
}

#[test]
fn a_transaction_on_a_watched_key_that_left_is_not_carried_out() {
    with_every_pair(|pair| {
        let (mut early, mut late) = (pair.client(), pair.client());
        early.call(&["SET", "k1", "value"]);
        for client in [&mut early, &mut late] {
            assert_eq!(client.call(&["WATCH", "k1"]), Value::Simple("OK".into()));
            assert_eq!(client.call(&["MULTI"]), Value::Simple("OK".into()));
            let queued = client.call(&["SET", "k1", "other"]);
            assert_eq!(queued, Value::Simple("QUEUED".into()));
        }
        pair.open_slot();
        pair.move_key();
        assert_eq!(early.call(&["EXEC"]), pair.elsewhere("ASK"));
        pair.close_slot();
        assert_eq!(late.call(&["EXEC"]), pair.elsewhere("MOVED"));
        assert_eq!(late.call(&["GET", "k1"]), pair.elsewhere("MOVED"));
        let mut there = Client::new(pair.nodes[1].connect());
        assert_eq!(there.call(&["GET", "k1"]), Value::Bulk(b"value".to_vec()));
    });
}

#[test]
fn keys_that_are_half_gone_are_asked_for_again_or_elsewhere() {
    with_every_pair(|pair| {
        let mut client = pair.client();
        client.call(&["MSET", "{k1}a", "1", "k1", "2"]);
        pair.open_slot();
        assert_eq!(client.call(&["GET", "k1"]), Value::Bulk(b"2".to_vec()));
        pair.move_key();
        assert_eq!(client.call(&["GET", "k1"]), pair.elsewhere("ASK"));
        let again = "TRYAGAIN Multiple keys request during rehashing of slot";
        let again = Value::Error(again.into());
        assert_eq!(client.call(&["MGET", "k1", "{k1}a"]), again);
        let mut there = Client::new(pair.nodes[1].connect());
        let moved = there.call(&["GET", "k1"]);
        let back = format!("MOVED {SLOT} {}", address(&pair.nodes[0]));
        assert_eq!(moved, Value::Error(back.into_bytes()));
        assert_eq!(there.call(&["ASKING"]), Value::Simple("OK".into()));
        assert_eq!(there.call(&["GET", "k1"]), Value::Bulk(b"2".to_vec()));
        there.call(&["ASKING"]);
        assert_eq!(there.call(&["MGET", "k1", "{k1}a"]), again);
    });
}

#[test]
fn subscribers_of_a_sharded_channel_are_told_that_its_slot_left() {
    with_every_pair(|pair| {
        let mut listener = pair.client();
        let subscribed = listener.call(&["SSUBSCRIBE", "k1"]);
        assert_eq!(subscribed.items().map(<[Value]>::len), Some(3));
        pair.open_slot();
        pair.close_slot();
        let told = listener.read().expect("a message").value;
        let items = told.items().expect("a list");
        assert_eq!(items[0].bytes(), Some(&b"sunsubscribe"[..]));
        assert_eq!(items[1].bytes(), Some(&b"k1"[..]));
        assert_eq!(items[2], Value::Integer(0));
    });
}
