//! Replication between Limpid and Redis: commands that only one of them has, passwords, chains,
//! restarts, and every way of a full resync.

use limpid_core::resp::value::Value;
use limpid_core::rng::Rng;
use limpid_tests::client::Client;
use limpid_tests::process::Kind::{self, Limpid, Redis};
use limpid_tests::process::Process;
use limpid_tests::wait;

use crate::replication::{agree, call, count, field, follow, write};

fn server(kind: Kind, more: &[&str]) -> Process {
    let common = ["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"];
    Process::of(kind, &[&common[..], more].concat())
}

/// Repeats a command until its reply is `wanted`.
fn gives(server: &Process, line: &str, wanted: &Value) {
    until(server, line, |reply| reply == wanted);
}

fn until(server: &Process, line: &str, wanted: impl Fn(&Value) -> bool) {
    let reply = || call(server, line);
    wait::until(|| format!("{line}: {:?}\n{}", reply(), server.output()), || wanted(&reply()));
}

fn link(server: &Process, state: &str) {
    wait::until(
        || format!("the link is not {state}:\n{}", server.output()),
        || field(server, "master_link_status") == state,
    );
}

const LIBRARY: &str =
    "#!lua name=mylib\nredis.register_function('hello', function() return 'hello' end)";

#[test]
fn what_only_the_primary_knows_is_not_silently_left_out() {
    let redis = server(Redis, &[]);
    // A renamed command stands for one that the replica does not know.
    let mut limpid = server(Limpid, &["--repl-timeout", "600", "--rename-command", "XADD", ""]);
    let mut primary = Client::new(redis.connect());
    primary.call(&["FUNCTION", "LOAD", LIBRARY]);
    call(&redis, "XADD stream 1-1 a b");
    call(&redis, "XGROUP CREATE stream group 0");
    call(&redis, "SET k before");
    follow(&limpid, &redis);
    // A full resync has all of it.
    gives(&limpid, "GET k", &Value::bulk("before"));
    assert_eq!(call(&limpid, "DUMP stream"), call(&redis, "DUMP stream"));
    call(&redis, "SET k between");
    gives(&limpid, "GET k", &Value::bulk("between"));

    // A command that cannot be carried out ends the stream; those before it are kept.
    call(&redis, "SET last one");
    call(&redis, "XADD stream 2-1 c d");
    call(&redis, "SET k after");
    let line = limpid.wait_for_line("The primary sent 'XADD'").expect("a line");
    assert!(line.contains("repl-timeout") && line.contains("To follow this primary"), "{line}");
    link(&limpid, "down");
    assert_eq!(call(&limpid, "GET last"), Value::bulk("one"));
    assert_eq!(call(&limpid, "GET k"), Value::bulk("between"));

    // After a while there is a full resync.
    let full = count(&redis, "sync_full");
    call(&limpid, "CONFIG SET repl-timeout 1");
    link(&limpid, "up");
    gives(&limpid, "GET k", &Value::bulk("after"));
    assert_eq!(call(&limpid, "DUMP stream"), call(&redis, "DUMP stream"));
    assert_eq!(count(&redis, "sync_full"), full + 1);

    // A transaction with such a command is not carried out at all.
    call(&limpid, "CONFIG SET repl-timeout 600");
    primary.send_raw(b"MULTI\r\nSET k within\r\nXADD stream 3-1 e f\r\nSET k end\r\nEXEC\r\n");
    link(&limpid, "down");
    assert_eq!(call(&limpid, "GET k"), Value::bulk("after"));

    // Data that was only stored is replicated back to a server that knows it.
    call(&limpid, "REPLICAOF NO ONE");
    call(&limpid, "SET k again");
    follow(&redis, &limpid);
    gives(&redis, "GET k", &Value::bulk("again"));
    assert_eq!(call(&redis, "XLEN stream"), Value::Integer(2));
    // A replica refuses functions that might write.
    call(&redis, "REPLICAOF NO ONE");
    assert_eq!(call(&redis, "FCALL hello 0"), Value::bulk("hello"));
}

#[test]
fn passwords_are_asked_for_and_given() {
    let secret = ["--requirepass", "secret", "--masterauth", "secret"];
    for (kind, of) in [(Limpid, Redis), (Redis, Limpid)] {
        let primary = server(of, &secret);
        // A read-only replica can still send copies.
        let mut client = Client::new(primary.connect());
        client.call(&["AUTH", "secret"]);
        let rules = "ACL SETUSER copier on >other +psync +replconf";
        client.call(&rules.split(' ').collect::<Vec<_>>());
        let mut replica = server(kind, &["--masteruser", "copier", "--masterauth", "wrong"]);
        follow(&replica, &primary);
        replica.wait_for_line("Unable to AUTH to MASTER: -WRONGPASS").expect("a refusal");
        link(&replica, "down");
        client.call(&["SET", "k", "v"]);
        call(&replica, "CONFIG SET masterauth other");
        link(&replica, "up");
        gives(&replica, "GET k", &Value::bulk("v"));
        client.call(&["SET", "k", "w"]);
        gives(&replica, "GET k", &Value::bulk("w"));
    }
}

#[test]
fn a_chain_of_both_kinds_holds_the_same_and_goes_on_where_it_was() {
    let kept = ["--save", "3600 1"];
    for kinds in [[Limpid, Redis, Limpid, Redis], [Redis, Limpid, Redis, Limpid]] {
        let mut chain = kinds.map(|kind| server(kind, &kept));
        let mut rng = Rng::new(9);
        write(&chain[0], &mut rng);
        for n in 1..chain.len() {
            follow(&chain[n], &chain[n - 1]);
            link(&chain[n], "up");
        }
        // Databases are selected, swapped and moved between.
        write(&chain[0], &mut rng);
        let all = |chain: &[Process; 4]| {
            chain[1..].iter().for_each(|replica| agree(&chain[0], replica));
        };
        all(&chain);
        // One link is cut: the servers behind it only see a pause.
        let full: Vec<u64> = chain.iter().map(|server| count(server, "sync_full")).collect();
        call(&chain[1], "CLIENT KILL TYPE master");
        write(&chain[0], &mut rng);
        all(&chain);
        call(&chain[2], "CLIENT KILL TYPE master");
        write(&chain[0], &mut rng);
        all(&chain);
        let now: Vec<u64> = chain.iter().map(|server| count(server, "sync_full")).collect();
        assert_eq!(now, full, "{kinds:?}");
        // The first two are gone, and the third takes over.
        chain[0].terminate();
        chain[1].terminate();
        call(&chain[2], "REPLICAOF NO ONE");
        write(&chain[2], &mut rng);
        agree(&chain[2], &chain[3]);
        assert_eq!(count(&chain[2], "sync_full"), full[2], "{kinds:?}");
        // They return with lower offsets than the others.
        chain[1].restart(true);
        follow(&chain[1], &chain[3]);
        agree(&chain[2], &chain[1]);
    }
}

#[test]
fn a_replica_that_was_stopped_goes_on_where_it_was() {
    for (of, kind) in [(Limpid, Redis), (Redis, Limpid), (Limpid, Limpid)] {
        let primary = server(of, &[]);
        let mut rng = Rng::new(3);
        write(&primary, &mut rng);
        let port = primary.port().to_string();
        let to = format!("127.0.0.1 {port}");
        let mut replica = server(kind, &["--save", "3600 1", "--replicaof", &to]);
        agree(&primary, &replica);
        let before = ["sync_full", "sync_partial_ok"].map(|name| count(&primary, name));
        replica.terminate();
        write(&primary, &mut rng);
        replica.restart(true);
        write(&primary, &mut rng);
        agree(&primary, &replica);
        let after = ["sync_full", "sync_partial_ok"].map(|name| count(&primary, name));
        assert_eq!(after, [before[0], before[1] + 1], "{of:?} {kind:?}");
    }
}

#[test]
fn copies_are_sent_and_taken_in_every_way() {
    for (of, kind) in [(Limpid, Redis), (Redis, Limpid)] {
        let primary = server(of, &[]);
        let replica = server(kind, &[]);
        let mut rng = Rng::new(5);
        for diskless in ["yes", "no"] {
            for load in ["disabled", "on-empty-db", "swapdb"] {
                call(&primary, &format!("CONFIG SET repl-diskless-sync {diskless}"));
                call(&replica, &format!("CONFIG SET repl-diskless-load {load}"));
                write(&primary, &mut rng);
                write(&replica, &mut rng);
                let full = count(&primary, "sync_full");
                follow(&replica, &primary);
                agree(&primary, &replica);
                assert_eq!(count(&primary, "sync_full"), full + 1, "{of:?} {diskless} {load}");
                // A new replication id, so that the next synchronization is a full one.
                call(&replica, "REPLICAOF NO ONE");
                call(&replica, "DEBUG CHANGE-REPL-ID");
            }
        }
    }
}

#[test]
fn how_long_keys_were_not_used_and_how_often_they_were_goes_along() {
    for (policy, field) in [("allkeys-lru", "IDLETIME"), ("allkeys-lfu", "FREQ")] {
        for (first, second) in [(Limpid, Redis), (Redis, Limpid)] {
            let options = ["--maxmemory-policy", policy, "--lfu-decay-time", "0"];
            let (first, second) = (server(first, &options), server(second, &options));
            let mut client = Client::new(first.connect());
            client.call(&["SET", "seed", "value"]);
            let payload = client.call(&["DUMP", "seed"]);
            let payload = payload.bytes().expect("a payload").to_vec();
            for n in [0_u64, 1, 7, 100, 200] {
                let (key, n) = (format!("k{n}"), n.to_string());
                // Other commands on the key would count as access.
                let (at, key, n) = (b"33333333333333", key.as_bytes(), n.as_bytes());
                let words: [&[u8]; 7] =
                    [b"RESTORE", key, at, &payload, b"ABSTTL", field.as_bytes(), n];
                assert!(!client.call(&words).is_error());
            }
            client.call(&["SAVE"]);
            let dump = std::fs::read(first.dir().join("dump.rdb")).expect("a dump");
            std::fs::write(second.dir().join("dump.rdb"), dump).expect("a file");
            let mut other = Client::new(second.connect());
            let loaded = other.call(&["DEBUG", "RELOAD", "NOSAVE"]);
            assert!(!loaded.is_error(), "{loaded:?}");
            for n in [0_i64, 1, 7, 100, 200] {
                let key = format!("k{n}");
                let Value::Integer(got) = other.call(&["OBJECT", field, &key]) else {
                    panic!("{key} has no {field}");
                };
                // Some seconds may have passed, and Redis rounds to whole seconds.
                let lru = (n - 1).max(0)..=n + 20;
                let near = if policy == "allkeys-lru" { lru } else { n..=n };
                assert!(near.contains(&got), "{field} of {key} is {got}");
                let expires = other.call(&["PEXPIRETIME", &key]);
                assert_eq!(expires, Value::Integer(33_333_333_333_333));
            }
        }
    }
}
