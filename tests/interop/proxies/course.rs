//! The commands of the course notes about proxies, run under the original programs' names.

use std::path::Path;

use limpid_core::resp::value::Value;
use limpid_tests::client::text;
use limpid_tests::process::binary;

use super::{Program, client, ports, redis, until};

/// Starts `limpid` under the name of the original program.
fn named(
    name: &str,
    args: &[&str],
    files: &[(&str, &str)],
    port: u16,
) -> (Program, tempfile::TempDir) {
    let dir = tempfile::TempDir::new().expect("a temporary directory");
    let path = dir.path().join(name);
    std::os::unix::fs::symlink(binary(), &path).expect("a link");
    (Program::start(&path, args, files, port), dir)
}

#[test]
fn twemproxy_shards_over_two_servers_and_refuses_what_it_cannot_shard() {
    let [listen, stats, a, b] = ports();
    let servers = [redis(a, &[]), redis(b, &[])];
    let config = format!(
        "alpha:\n  listen: 127.0.0.1:{listen}\n  hash: fnv1a_64\n  distribution: ketama\n  \
         auto_eject_hosts: true\n  redis: true\n  server_retry_timeout: 2000\n  \
         server_failure_limit: 1\n  servers:\n   - 127.0.0.1:{a}:1\n   - 127.0.0.1:{b}:1\n"
    );
    let stats = stats.to_string();
    let args = ["-c", "nutcracker.yml", "-s", &stats, "-a", "127.0.0.1"];
    let (proxy, _link) = named("nutcracker", &args, &[("nutcracker.yml", &config)], listen);
    let mut typed = proxy.client();
    // Keys that differ in their first letters: FNV-1a puts keys that differ only in the last letter
    // close together on the ring, so that all could be on the same arc.
    for i in 1..=100 {
        let (key, value) = (format!("{i}k"), format!("sss{i}"));
        assert_eq!(text(&typed.call(&["set", &key, &value])), "OK");
        assert_eq!(text(&typed.call(&["get", &key])), value);
    }
    let sizes = servers.each_ref().map(|server| server.client().call(&["dbsize"]));
    let [Value::Integer(one), Value::Integer(two)] = sizes else { panic!("{sizes:?}") };
    assert_eq!(one + two, 100);
    assert!(one > 0 && two > 0);
    for refused in [&["keys", "*"][..], &["watch", "1k"], &["multi"]] {
        let mut typed = proxy.client();
        typed.send(refused);
        assert_eq!(typed.read(), None, "{refused:?}");
    }
}

/// Two groups of a primary and its replica, and three Sentinels that watch them.
pub(super) struct Groups {
    pub(super) masters: [Program; 2],
    pub(super) slaves: [Program; 2],
    pub(super) sentinels: Vec<Program>,
}

impl Groups {
    pub(super) fn start() -> Groups {
        let [a, b, c, d] = ports();
        let masters = [redis(a, &[]), redis(c, &[])];
        let follow =
            |port: u16, of: u16| redis(port, &["--replicaof", "127.0.0.1", &of.to_string()]);
        let slaves = [follow(b, a), follow(d, c)];
        let sentinels = ports::<3>()
            .into_iter()
            .map(|port| {
                let config = format!(
                    "port {port}\nsentinel monitor ooxx 127.0.0.1 {a} 2\n\
                     sentinel monitor xxoo 127.0.0.1 {c} 2\n\
                     sentinel down-after-milliseconds ooxx 1000\n\
                     sentinel down-after-milliseconds xxoo 1000\n"
                );
                let files = [("s.conf", config.as_str())];
                Program::start(Path::new("redis-server"), &["s.conf", "--sentinel"], &files, port)
            })
            .collect();
        let groups = Groups { masters, slaves, sentinels };
        for sentinel in &groups.sentinels {
            until(
                || "the Sentinels know all".to_owned(),
                || {
                    ["ooxx", "xxoo"].iter().all(|name| {
                        let told = sentinel.client().call(&["sentinel", "master", name]);
                        let fields: Vec<String> =
                            told.items().unwrap_or_default().iter().map(text).collect();
                        let is = |field: &str, value: &str| {
                            fields.windows(2).any(|pair| pair[0] == field && pair[1] == value)
                        };
                        is("num-slaves", "1") && is("num-other-sentinels", "2")
                    })
                },
            );
        }
        groups
    }

    /// predixy in front of some of the groups.
    pub(super) fn predixy(&self, groups: &[&str]) -> (Program, tempfile::TempDir) {
        let [listen] = ports();
        let main = format!("Name PredixyExample\nBind 127.0.0.1:{listen}\nInclude sentinel.conf\n");
        let sentinels: String =
            self.sentinels.iter().map(|s| format!("        + 127.0.0.1:{}\n", s.port)).collect();
        let groups: String =
            groups.iter().map(|group| format!("    Group {group} {{\n    }}\n")).collect();
        let pool = format!(
            "SentinelServerPool {{\n    Databases 16\n    Hash crc16\n    HashTag \"{{}}\"\n    \
             Distribution modula\n    MasterReadPriority 60\n    StaticSlaveReadPriority 50\n    \
             DynamicSlaveReadPriority 50\n    RefreshInterval 1\n    ServerTimeout 1\n    \
             ServerFailureLimit 10\n    ServerRetryTimeout 1\n    KeepAlive 120\n    Sentinels {{\n\
             {sentinels}    }}\n{groups}}}\n"
        );
        let files = [("predixy.conf", main.as_str()), ("sentinel.conf", pool.as_str())];
        let started = named("predixy", &["predixy.conf"], &files, listen);
        let mut probe = client(listen);
        until(
            || "it knows the primaries".to_owned(),
            || (0..8).all(|i| !probe.call(&["exists", &format!("probe:{i}")]).is_error()),
        );
        started
    }
}

#[test]
fn predixy_shards_over_two_groups_and_survives_the_loss_of_a_primary() {
    let mut groups = Groups::start();
    let (proxy, _link) = groups.predixy(&["ooxx", "xxoo"]);
    let mut typed = proxy.client();
    for (key, value) in [("k1", "fafa"), ("k2", "sgasg"), ("{oo}k1", "a"), ("{oo}k2", "b")] {
        assert_eq!(text(&typed.call(&["set", key, value])), "OK");
        assert_eq!(text(&typed.call(&["get", key])), value);
    }
    let keys = |server: &Program| {
        let told = server.client().call(&["keys", "*"]);
        let mut keys: Vec<String> = told.items().unwrap_or_default().iter().map(text).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&groups.masters[0]), ["k1"]);
    assert_eq!(keys(&groups.masters[1]), ["k2", "{oo}k1", "{oo}k2"]);
    let refused = typed.call(&["watch", "{oo}k1"]);
    assert_eq!(text(&refused), "ERR forbid transaction in current server pool");
    let values = typed.call(&["mget", "k1", "k2", "none"]);
    let values: Vec<String> = values.items().expect("values").iter().map(text).collect();
    assert_eq!(values, ["fafa", "sgasg", ""]);

    // The replica must have the value before its primary is killed.
    let of = groups.masters[0].port;
    until(|| "the replica has it".to_owned(), || keys(&groups.slaves[0]) == ["k1"]);
    groups.masters[0].kill();
    let mut seen = Vec::new();
    until(
        || format!("another one has the place of {of}"),
        || {
            seen.push(text(&typed.call(&["set", "k1", "again"])));
            seen.last().is_some_and(|last| last == "OK")
        },
    );
    for said in &seen {
        let known = ["OK", "ERR server connection close", "ERR no server connection avaliable"];
        assert!(known.contains(&said.as_str()), "{said}");
    }
    assert_eq!(text(&typed.call(&["get", "k1"])), "again");
    assert_eq!(text(&typed.call(&["get", "k2"])), "sgasg", "the other group did not notice");
}

#[test]
fn predixy_carries_out_transactions_on_one_group() {
    let groups = Groups::start();
    let (proxy, _link) = groups.predixy(&["ooxx"]);
    let mut typed = proxy.client();
    assert_eq!(text(&typed.call(&["set", "k1", "sdasfa"])), "OK");
    assert_eq!(text(&typed.call(&["watch", "k1"])), "OK");
    assert_eq!(text(&typed.call(&["multi"])), "OK");
    assert_eq!(text(&typed.call(&["get", "k1"])), "QUEUED");
    assert_eq!(text(&typed.call(&["set", "k2", "2222"])), "QUEUED");
    let done = typed.call(&["exec"]);
    let done: Vec<String> = done.items().expect("replies").iter().map(text).collect();
    assert_eq!(done, ["sdasfa", "OK"]);
    // Another client has changed the watched key.
    assert_eq!(text(&typed.call(&["watch", "k1"])), "OK");
    let mut other = proxy.client();
    assert_eq!(text(&other.call(&["set", "k1", "other"])), "OK");
    assert_eq!(text(&typed.call(&["multi"])), "OK");
    assert_eq!(text(&typed.call(&["set", "k1", "mine"])), "QUEUED");
    assert_eq!(typed.call(&["exec"]), Value::Null);
    assert_eq!(text(&typed.call(&["get", "k1"])), "other");
}
