//! ACL files: Limpid and Redis read each other's.

use std::path::Path;

use limpid_core::resp::value::Value;
use limpid_tests::client::Client;
use limpid_tests::process::{Kind, Process, free_port};
use tempfile::TempDir;

/// Users with rules of every kind.
const USERS: &[&str] = &[
    "reader on >secret ~cached:* %R~all:* resetchannels &news.* -@all +@read +acl|whoami",
    "writer on >one >two ~* &* +@all -@dangerous -@admin",
    "split on nopass resetkeys resetchannels -@all +get (~b:* &* +set) (%W~c:* +@write -del)",
    "closed off ~x allchannels +@all",
];

/// ACL DRYRUN probes for each user, whose replies must not depend on which server wrote the file.
const PROBES: &[&str] = &[
    "GET cached:1",
    "SET cached:1 v",
    "GET all:1",
    "SET all:1 v",
    "SET b:1 v",
    "GET b:1",
    "LPUSH c:1 v",
    "DEL c:1",
    "PUBLISH news.today m",
    "PUBLISH other m",
    "PSUBSCRIBE news.*",
    "FLUSHALL",
    "CONFIG GET port",
    "ACL WHOAMI",
    "SORT cached:1 BY w_*",
];

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>())
}

/// Creates the users, rule by rule.
fn make_users(client: &mut Client) {
    for user in USERS {
        // A selector may be one argument or several.
        let reply = call(client, &format!("ACL SETUSER {user}"));
        assert_eq!(reply, Value::Simple(b"OK".to_vec()), "{user}");
    }
}

/// Which of the probes each user is allowed.
fn rights(client: &mut Client) -> Vec<String> {
    let names = USERS.iter().map(|user| user.split(' ').next().unwrap_or_default());
    names
        .flat_map(|name| PROBES.iter().map(move |probe| (name, *probe)))
        .map(|(name, probe)| {
            let reply = call(client, &format!("ACL DRYRUN {name} {probe}"));
            let may = matches!(reply, Value::Simple(_));
            assert!(may || matches!(reply, Value::Bulk(_)), "{name} {probe}: {reply:?}");
            format!("{name} {probe}: {may}")
        })
        .collect()
}

fn with_file(kind: Kind, path: &Path) -> Process {
    Process::of(kind, &["--aclfile", path.to_str().expect("a path in UTF-8")])
}

#[test]
fn a_file_of_users_goes_from_one_to_the_other_and_back() {
    let dir = TempDir::new().expect("a temporary directory");
    let path = dir.path().join("users.acl");
    for (first, second) in [(Kind::Limpid, Kind::Redis), (Kind::Redis, Kind::Limpid)] {
        std::fs::write(&path, "").expect("an empty file of users");
        let writer = with_file(first, &path);
        let mut client = Client::new(writer.connect());
        make_users(&mut client);
        let wanted = rights(&mut client);
        assert_eq!(call(&mut client, "ACL SAVE"), Value::Simple(b"OK".to_vec()));
        let reader = with_file(second, &path);
        let mut client = Client::new(reader.connect());
        assert_eq!(rights(&mut client), wanted, "{second:?} reads what {first:?} has written");
        for (password, may) in [("one", true), ("two", true), ("three", false)] {
            let reply = call(&mut client, &format!("AUTH writer {password}"));
            assert_eq!(!reply.is_error(), may, "{password}: {reply:?}");
        }
        call(&mut client, "AUTH default x");
        assert_eq!(call(&mut client, "ACL SAVE"), Value::Simple(b"OK".to_vec()));
        // And back, with ACL LOAD into a running server.
        let mut client = Client::new(writer.connect());
        call(&mut client, "ACL DELUSER reader writer split closed");
        assert_eq!(call(&mut client, "ACL LOAD"), Value::Simple(b"OK".to_vec()));
        assert_eq!(rights(&mut client), wanted, "{first:?} reads what {second:?} has written");
    }
}

#[test]
fn users_that_config_rewrite_has_written_are_read_by_redis() {
    let port = free_port();
    let conf = format!("port {port}\nbind 127.0.0.1\nsave \"\"\n# users\nuser old on nopass\n");
    let mut limpid = Process::start(&["server", "redis.conf"], &[("redis.conf", &conf)], port);
    limpid.wait_for_line("Ready to accept connections").expect("a server that is ready");
    let mut client = Client::new(limpid.connect());
    make_users(&mut client);
    call(&mut client, "ACL DELUSER old");
    let wanted = rights(&mut client);
    assert_eq!(call(&mut client, "CONFIG REWRITE"), Value::Simple(b"OK".to_vec()));
    let text = std::fs::read_to_string(limpid.dir().join("redis.conf")).expect("the file");
    assert!(!text.contains("user old"), "{text}");
    let users: String =
        text.lines().filter(|line| line.starts_with("user ")).map(|l| format!("{l}\n")).collect();
    assert_eq!(users.lines().count(), USERS.len() + 1, "{text}");
    let dir = TempDir::new().expect("a temporary directory");
    let path = dir.path().join("users.conf");
    std::fs::write(&path, &users).expect("the lines about users");
    for kind in [Kind::Redis, Kind::Limpid] {
        let reader = Process::of(kind, &["--include", path.to_str().expect("a path in UTF-8")]);
        assert_eq!(rights(&mut Client::new(reader.connect())), wanted, "{kind:?}");
    }
}

#[test]
fn a_sentinel_keeps_its_users_in_its_file() {
    let master = Process::server(&[]);
    let monitor = format!("sentinel monitor mymaster 127.0.0.1 {} 1\n", master.port());
    let mut sentinel = Process::sentinel(Kind::Limpid, &monitor);
    let mut client = Client::new(sentinel.connect());
    let rules = "on >secret -@all +sentinel|get-master-addr-by-name +acl|whoami";
    call(&mut client, &format!("ACL SETUSER watcher {rules}"));
    assert_eq!(call(&mut client, "SENTINEL FLUSHCONFIG"), Value::Simple(b"OK".to_vec()));
    for kind in [Kind::Limpid, Kind::Redis, Kind::Limpid] {
        sentinel.become_sentinel(kind);
        let mut client = Client::new(sentinel.connect());
        call(&mut client, "AUTH watcher secret");
        assert_eq!(call(&mut client, "ACL WHOAMI"), Value::bulk("watcher"), "{kind:?}");
        let address = call(&mut client, "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster");
        assert_eq!(address.items().map(<[Value]>::len), Some(2), "{kind:?}: {address:?}");
        let denied = call(&mut client, "SENTINEL FAILOVER mymaster");
        assert!(matches!(&denied, Value::Error(text) if text.starts_with(b"NOPERM")), "{denied:?}");
    }
}
