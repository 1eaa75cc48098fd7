//! MIGRATE between Limpid and Redis's own redis-server, in both directions.

use limpid_core::resp::value::Value;
use limpid_core::rng::Rng;
use limpid_tests::client::Client;
use limpid_tests::process::Kind::{self, Limpid, Redis};
use limpid_tests::process::Process;

use crate::replication::{agree, call, follow, write};

fn server(kind: Kind, more: &[&str]) -> Process {
    let common = ["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"];
    Process::of(kind, &[&common[..], more].concat())
}

#[test]
fn all_keys_move_from_limpid_to_redis_and_back() {
    there_and_back(server(Limpid, &[]), server(Redis, &["--requirepass", "secret"]), 1);
}

#[test]
fn all_keys_move_from_redis_to_limpid_and_back() {
    there_and_back(server(Redis, &["--requirepass", "secret"]), server(Limpid, &[]), 2);
}

fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

/// Moves keys of every type to another server and back: all must arrive, and none may remain.
fn there_and_back(first: Process, second: Process, seed: u64) {
    let mut ends = [&first, &second].map(|server| {
        let mut client = Client::new(server.connect());
        client.call(&["AUTH", "secret"]);
        client
    });
    let mut rng = Rng::new(seed);
    let from = if seed == 1 { &first } else { &second };
    write(from, &mut rng);
    let [one, two] = &mut ends;
    let (one, two) = if seed == 1 { (one, two) } else { (two, one) };
    // A list of many nodes, a long string, and one that cannot be compressed.
    let words: Vec<String> = (0..20_000).map(|n| format!("element {n}")).collect();
    one.call(&[&["RPUSH".to_owned(), "long".to_owned()][..], &words].concat());
    one.call(&["SET", "text", &"text ".repeat(400_000)]);
    let noise: String = (0..300_000).map(|_| char::from(33 + rng.below(90) as u8)).collect();
    one.call(&["SET", "noise", &noise]);
    let to = if seed == 1 { &second } else { &first };
    for db in ["1", "2", "3"] {
        one.call(&["SELECT", db]);
        one.call(&["FLUSHDB"]);
    }
    one.call(&["SELECT", "0"]);
    // No key may expire or be evicted meanwhile.
    for key in one.call(&["KEYS", "*"]).items().expect("keys") {
        one.call(&[&b"PERSIST"[..], key.bytes().expect("a key")]);
    }
    let before = one.call(&["DEBUG", "DIGEST"]);
    let count = one.call(&["DBSIZE"]);
    for round in 0..2 {
        let (here, there, port) = match round {
            0 => (&mut *one, &mut *two, to.port()),
            _ => (&mut *two, &mut *one, from.port()),
        };
        let keys = here.call(&["KEYS", "*"]);
        let keys: Vec<&[u8]> =
            keys.items().expect("keys").iter().filter_map(Value::bytes).collect();
        let port = port.to_string();
        let head: [&[u8]; 6] = [b"MIGRATE", b"127.0.0.1", port.as_bytes(), b"", b"0", b"10000"];
        let login: &[&[u8]] = if round == 0 { &[b"AUTH", b"secret"] } else { &[] };
        let reply = here.call(&[&head[..], login, &[b"KEYS"], &keys].concat());
        assert_eq!(reply, ok(), "round {round}");
        assert_eq!(here.call(&["DBSIZE"]), Value::Integer(0));
        assert_eq!(there.call(&["DBSIZE"]), count);
        assert_eq!(there.call(&["DEBUG", "DIGEST"]), before, "round {round}");
    }
}

#[test]
fn it_answers_what_redis_answers() {
    let servers = [Limpid, Redis].map(|kind| (server(kind, &[]), server(Redis, &[])));
    for (_, target) in &servers {
        call(target, "SET taken 1");
    }
    let nobody = {
        let gone = server(Redis, &[]);
        gone.port().to_string()
    };
    for line in [
        "MIGRATE HOST PORT no 0 1000",
        "MIGRATE HOST PORT k 0 1000",
        "MIGRATE HOST PORT taken 0 1000",
        "MIGRATE HOST PORT taken 0 1000 REPLACE COPY",
        "MIGRATE HOST PORT taken 99 1000 REPLACE",
        "MIGRATE HOST PORT taken 1 1000 AUTH wrong",
        "MIGRATE HOST PORT taken 1 1000 AUTH2 nobody wrong",
        "MIGRATE HOST PORT taken 1 -5",
        "MIGRATE HOST PORT taken 1 1000",
        "MIGRATE HOST PORT k 1 x",
        "MIGRATE HOST PORT k y x",
        "MIGRATE HOST PORT k y 1 REPLACEMENT",
        "MIGRATE HOST PORT a 0 1000 KEYS a b",
        "MIGRATE HOST PORT k 0",
        "MIGRATE HOST NOBODY a 0 1000",
        "MIGRATE nowhere.invalid PORT a 0 1000",
        "EXISTS a b k taken",
        "TTL t",
        "COMMAND GETKEYS MIGRATE h p k 0 1",
        "COMMAND GETKEYS MIGRATE h p k 0 1 COPY AUTH KEYS",
        "COMMAND GETKEYSANDFLAGS MIGRATE h p k 0 1 COPY AUTH2 x y",
    ] {
        let replies = servers.each_ref().map(|(source, target)| {
            let line = line.replace("HOST", "127.0.0.1").replace("NOBODY", &nobody);
            let line = line.replace("PORT", &target.port().to_string());
            for write in ["SET k v", "SET taken 2", "MSET a 1 b 2", "SET t 1 EX 100"] {
                call(source, write);
            }
            call(source, &line)
        });
        assert_eq!(replies[0], replies[1], "{line}");
    }
    let digests = servers.each_ref().map(|(_, target)| call(target, "DEBUG DIGEST"));
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn a_redis_replica_of_limpid_loses_what_moves() {
    let (primary, replica) = (server(Limpid, &[]), server(Redis, &[]));
    let target = server(Redis, &[]);
    follow(&replica, &primary);
    let mut rng = Rng::new(5);
    write(&primary, &mut rng);
    call(&primary, "MSET a 1 b 2");
    agree(&primary, &replica);
    let port = target.port();
    let mut client = Client::new(primary.connect());
    let line = format!("MIGRATE 127.0.0.1 {port} k1 0 1000 KEYS a b").replace("k1", "");
    let words: Vec<&str> = line.split(' ').collect();
    client.call(&["MULTI"]);
    client.call(&["INCR", "counter"]);
    client.call(&words);
    client.call(&["INCR", "counter"]);
    let reply = client.call(&["EXEC"]);
    let items = reply.items().expect("replies");
    assert_eq!(items[1], ok(), "{items:?}");
    assert_eq!(call(&target, "MGET a b"), Value::Array(vec![Value::bulk("1"), Value::bulk("2")]));
    agree(&primary, &replica);
    assert_eq!(call(&replica, "EXISTS a b"), Value::Integer(0));
}
