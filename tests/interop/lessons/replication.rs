//! A primary with replicas, set up with configuration files and by commands as in the notes, with
//! the expected INFO fields and log lines.

use std::path::Path;
use std::process::Command;

use limpid_tests::process::{Process, free_port};
use limpid_tests::wait::until;
use tempfile::TempDir;

/// The fields of INFO Persistence in the notes.
const PERSISTENCE: &[&str] = &[
    "loading",
    "rdb_changes_since_last_save",
    "rdb_bgsave_in_progress",
    "rdb_last_save_time",
    "rdb_last_bgsave_status",
    "rdb_last_bgsave_time_sec",
    "rdb_current_bgsave_time_sec",
    "aof_enabled",
    "aof_rewrite_in_progress",
    "aof_rewrite_scheduled",
    "aof_last_rewrite_time_sec",
    "aof_current_rewrite_time_sec",
    "aof_last_bgrewrite_status",
    "aof_last_write_status",
    "aof_current_size",
    "aof_base_size",
    "aof_pending_rewrite",
    "aof_buffer_length",
    "aof_rewrite_buffer_length",
    "aof_pending_bio_fsync",
    "aof_delayed_fsync",
];

/// A machine of the notes: a port, a directory for data, and a configuration file.
struct Instance {
    port: u16,
    data: TempDir,
}

impl Instance {
    fn new() -> Self {
        Instance { port: free_port(), data: TempDir::new().expect("a temporary directory") }
    }

    fn conf(&self) -> String {
        self.data.path().join("redis.conf").to_str().expect("UTF-8").to_owned()
    }

    fn dir(&self) -> &Path {
        self.data.path()
    }

    /// Writes the configuration file.
    fn configure(&self, more: &str) {
        let (port, dir) = (self.port, self.dir().display());
        let conf = format!("bind 127.0.0.1\nport {port}\ndir {dir}\n{more}");
        std::fs::write(self.conf(), conf).expect("a file");
    }

    /// `redis-server redis.conf …`, ready.
    fn start(&self, more: &[&str]) -> Process {
        let conf = self.conf();
        let args = [&[conf.as_str()], more].concat();
        let mut server = Process::named("redis-server", &args, self.port);
        server.wait_for_line("Ready to accept connections").expect("a start");
        server
    }

    /// `redis-cli -p port …`.
    fn cli(&self, words: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &self.port.to_string(), "-a", "mypass", "--no-auth-warning"]);
        let output = cli.arg("--no-raw").args(words).output().expect("redis-cli");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // Without a password on the server, redis-cli prints a warning first.
        let text = text.lines().filter(|line| !line.starts_with("AUTH failed"));
        text.collect::<Vec<_>>().join("\n")
    }

    /// Repeats a command until its reply is `wanted`.
    fn gives(&self, words: &[&str], wanted: &str) {
        self.until(words, |answer| answer == wanted);
    }

    fn until(&self, words: &[&str], wanted: impl Fn(&str) -> bool) {
        let answer = || self.cli(words);
        until(|| format!("{words:?} gives {}", answer()), || wanted(&answer()));
    }

    /// The fields of a section of INFO.
    fn info(&self, section: &str) -> Vec<(String, String)> {
        let text = self.cli(&["--raw", "INFO", section]);
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    }
}

fn logged(server: &mut Process, lines: &[&str]) {
    for line in lines {
        if let Err(log) = server.wait_for_line(line) {
            panic!("'{line}' is not in the log:\n{log}");
        }
    }
}

#[test]
fn an_append_only_file_from_a_configuration_file() {
    let instance = Instance::new();
    instance.configure(
        "appendonly yes\nappendfilename \"appendonly.aof\"\nappendfsync everysec\n\
         no-appendfsync-on-rewrite no\nauto-aof-rewrite-percentage 100\n\
         auto-aof-rewrite-min-size 64mb\n",
    );
    let mut server = instance.start(&[]);
    assert_eq!(instance.cli(&["SET", "mykey", "10"]), "OK");
    let info = instance.info("Persistence");
    for name in PERSISTENCE {
        assert!(info.iter().any(|(field, _)| field == name), "no {name} in {info:?}");
    }
    let is = |name: &str, value: &str| info.contains(&(name.to_owned(), value.to_owned()));
    assert!(is("aof_enabled", "1") && is("aof_last_write_status", "ok"), "{info:?}");
    server.terminate();
    // Since Redis 7 there are several files, in their own directory.
    let mut files: Vec<String> = std::fs::read_dir(instance.dir().join("appendonlydir"))
        .expect("the directory")
        .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let wanted =
        ["1.base.rdb", "1.incr.aof", "manifest"].map(|end| format!("appendonly.aof.{end}"));
    assert_eq!(files, wanted);
    let _server = instance.start(&[]);
    instance.gives(&["GET", "mykey"], "\"10\"");
}

#[test]
fn replicas_with_a_password_from_configuration_files() {
    let (primary, first, second) = (Instance::new(), Instance::new(), Instance::new());
    primary.configure("requirepass mypass\nprotected-mode no\nrepl-diskless-sync-delay 0\n");
    let replica = |priority: u8| {
        let port = primary.port;
        format!(
            "requirepass mypass\nslaveof 127.0.0.1 {port}\nmasterauth mypass\n\
             slave-priority {priority}\n"
        )
    };
    first.configure(&replica(100));
    second.configure(&replica(90));
    let (_primary, _first) = (primary.start(&[]), first.start(&[]));
    primary.until(&["INFO", "Replication"], |info| info.contains("state=online"));
    assert_eq!(primary.cli(&["SET", "mykey", "10"]), "OK");
    assert_eq!(primary.cli(&["GET", "mykey"]), "\"10\"");
    first.gives(&["GET", "mykey"], "\"10\"");
    primary.until(&["CLIENT", "LIST"], |list| {
        list.contains("flags=S") && list.contains("cmd=replconf")
    });

    let _second = second.start(&[]);
    primary.until(&["INFO", "Replication"], |info| info.matches("state=online").count() == 2);
    second.gives(&["GET", "mykey"], "\"10\"");
    let info = primary.info("Replication");
    let names: Vec<&str> = info.iter().map(|(name, _)| name.as_str()).collect();
    let wanted = [
        "role",
        "connected_slaves",
        "slave0",
        "slave1",
        "master_failover_state",
        "master_replid",
        "master_replid2",
        "master_repl_offset",
        "second_repl_offset",
        "repl_backlog_active",
        "repl_backlog_size",
        "repl_backlog_first_byte_offset",
        "repl_backlog_histlen",
    ];
    assert_eq!(names, wanted);
    let value = |name: &str| info.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
    assert_eq!((value("role"), value("connected_slaves")), ("master", "2"));
    assert_eq!((value("repl_backlog_active"), value("repl_backlog_size")), ("1", "1048576"));
    let start = format!("ip=127.0.0.1,port={},state=online,offset=", first.port);
    assert!(value("slave0").starts_with(&start) && value("slave0").contains(",lag="), "{info:?}");
    let theirs = second.info("Replication");
    assert!(theirs.contains(&("slave_priority".into(), "90".into())), "{theirs:?}");
    // Only the primary accepts writes.
    let refused = "(error) READONLY You can't write against a read only replica.";
    assert_eq!(first.cli(&["SET", "num", "666"]), refused);
    assert_eq!(second.cli(&["SET", "num", "888"]), refused);
}

#[test]
fn three_servers_are_told_to_follow_go_down_come_back_and_change_places() {
    let [a, b, c] = [Instance::new(), Instance::new(), Instance::new()];
    for instance in [&a, &b, &c] {
        // The default at the time of the notes.
        instance.configure("daemonize no\nappendonly no\nrepl-diskless-sync no\n");
    }
    let (mut first, mut second, mut third) = (a.start(&[]), b.start(&[]), c.start(&[]));
    let port = a.port.to_string();
    assert_eq!(b.cli(&["REPLICAOF", "127.0.0.1", &port]), "OK");
    logged(
        &mut second,
        &[
            "Before turning into a replica, using my own master parameters to synthesize a cached \
             master: I may be able to synchronize with the new master with just a partial transfer.",
            &format!("REPLICAOF 127.0.0.1:{port} enabled (user request from 'id="),
            &format!("Connecting to MASTER 127.0.0.1:{port}"),
            "MASTER <-> REPLICA sync started",
            "Non blocking connect for SYNC fired the event.",
            "Master replied to PING, replication can continue...",
            "Trying a partial resynchronization (request ",
            "Full resync from master: ",
            "Discarding previously cached master state.",
            "MASTER <-> REPLICA sync: receiving ",
            "MASTER <-> REPLICA sync: Flushing old data",
            "MASTER <-> REPLICA sync: Loading DB in memory",
            "MASTER <-> REPLICA sync: Finished with success",
        ],
    );
    logged(
        &mut first,
        &[
            &format!("Replica 127.0.0.1:{} asks for synchronization", b.port),
            "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '",
            "Starting BGSAVE for SYNC with target: disk",
            "Background saving started by pid ",
            "DB saved on disk",
            "RDB: 0 MB of memory used by copy-on-write",
            "Background saving terminated with success",
            &format!("Synchronization with replica 127.0.0.1:{} succeeded", b.port),
        ],
    );

    assert_eq!(a.cli(&["SET", "k1", "hello"]), "OK");
    b.gives(&["GET", "k1"], "\"hello\"");
    let refused = "(error) READONLY You can't write against a read only replica.";
    assert_eq!(b.cli(&["SET", "k1", "222"]), refused);
    assert_eq!(c.cli(&["SET", "key2", "ccc"]), "OK");
    assert_eq!(a.cli(&["GET", "key2"]), "(nil)");
    assert_eq!(c.cli(&["REPLICAOF", "127.0.0.1", &port]), "OK");
    c.gives(&["KEYS", "*"], "1) \"k1\"");

    // A replica is down and misses writes. Its dump has the replication offset, so it gets only
    // those.
    third.terminate();
    logged(&mut first, &[&format!("Connection with replica 127.0.0.1:{} lost.", c.port)]);
    for (key, value) in [("k3", "aaa"), ("k4", "444"), ("k2", "4123313"), ("k5", "141jddpfipj")] {
        assert_eq!(a.cli(&["SET", key, value]), "OK");
    }
    let follow = ["--replicaof", "127.0.0.1", &port];
    let mut third = c.start(&follow);
    c.gives(&["DBSIZE"], "(integer) 5");
    c.gives(&["GET", "k5"], "\"141jddpfipj\"");
    let accepted = format!("Partial resynchronization request from 127.0.0.1:{} accepted.", c.port);
    let line = first.wait_for_line(&accepted).expect("the line");
    let rest = line.split("accepted. ").nth(1).unwrap_or_default();
    let shape = rest.replace(|c: char| c.is_ascii_digit(), "");
    assert_eq!(shape, "Sending  bytes of backlog starting from offset .");
    assert!(!third.output().contains("Full resync from master"), "{}", third.output());

    // An append-only file has no offset, so there is a full resync.
    third.terminate();
    let mut third = c.start(&[&follow[..], &["--appendonly", "yes"]].concat());
    logged(
        &mut third,
        &[
            "Full resync from master: ",
            "MASTER <-> REPLICA sync: receiving ",
            "MASTER <-> REPLICA sync: Flushing old data",
            "MASTER <-> REPLICA sync: Loading DB in memory",
            "MASTER <-> REPLICA sync: Finished with success",
            "Background AOF rewrite terminated with success",
        ],
    );
    c.gives(&["DBSIZE"], "(integer) 5");

    // The primary is gone, and another takes its place.
    first.terminate();
    c.until(&["INFO", "replication"], |info| info.contains("master_link_status:down"));
    assert_eq!(c.cli(&["REPLICAOF", "no", "one"]), "OK");
    logged(&mut third, &["MASTER MODE enabled (user request from 'id="]);
    assert_eq!(b.cli(&["REPLICAOF", "127.0.0.1", &c.port.to_string()]), "OK");
    assert_eq!(c.cli(&["SET", "k6", "sada"]), "OK");
    b.gives(&["GET", "k6"], "\"sada\"");
    second.terminate();
}

#[test]
fn announced_addresses_the_old_name_of_the_command_and_shutdown() {
    let [a, b, c] = [Instance::new(), Instance::new(), Instance::new()];
    for instance in [&a, &b, &c] {
        instance.configure(
            "replica-announce-ip 127.0.0.1\nsave 3600 1\nsave 300 100\nsave 60 10000\n\
             appendonly no\nrepl-diskless-sync-delay 0\n",
        );
    }
    let mut servers = [a.start(&[]), b.start(&[]), c.start(&[])];
    let port = a.port.to_string();
    for (n, replica) in [&b, &c].into_iter().enumerate() {
        assert_eq!(replica.cli(&["SLAVEOF", "127.0.0.1", &port]), "OK");
        a.until(&["INFO", "replication"], |info| info.matches("state=online").count() == n + 1);
    }
    let info = a.info("replication");
    for (name, replica) in [("slave0", &b), ("slave1", &c)] {
        let start = format!("ip=127.0.0.1,port={},state=online,offset=", replica.port);
        let found = info.iter().any(|(n, value)| n == name && value.starts_with(&start));
        assert!(found, "{info:?}");
    }
    for (name, value) in [
        ("role", "master"),
        ("connected_slaves", "2"),
        ("master_failover_state", "no-failover"),
        ("master_replid2", &"0".repeat(40)),
        ("second_repl_offset", "-1"),
        ("repl_backlog_active", "1"),
        ("repl_backlog_size", "1048576"),
        ("repl_backlog_first_byte_offset", "1"),
    ] {
        assert!(info.contains(&(name.to_owned(), value.to_owned())), "{name} in {info:?}");
    }
    assert_eq!(a.cli(&["SET", "num", "123"]), "OK");
    for replica in [&b, &c] {
        replica.gives(&["GET", "num"], "\"123\"");
        let refused = "(error) READONLY You can't write against a read only replica.";
        assert_eq!(replica.cli(&["SET", "num", "666"]), refused);
    }
    // All are shut down, one after the other.
    for (instance, server) in [&a, &b, &c].into_iter().zip(&mut servers) {
        assert_eq!(instance.cli(&["SHUTDOWN"]), "");
        assert!(server.wait().success());
        assert!(instance.dir().join("dump.rdb").exists());
    }
}

/// The commands that a Sentinel sends in a failover, and the servers' log lines.
#[test]
fn a_replica_is_promoted_as_a_sentinel_does_it_and_the_other_goes_on_with_it() {
    let [a, b, c] = [Instance::new(), Instance::new(), Instance::new()];
    for instance in [&a, &b, &c] {
        instance.configure("repl-diskless-sync-delay 0\nsave \"\"\n");
    }
    let port = a.port.to_string();
    let follow = ["--replicaof", "127.0.0.1", &port];
    let mut first = a.start(&[]);
    let (mut second, mut third) = (b.start(&follow), c.start(&follow));
    a.until(&["INFO", "replication"], |info| info.matches("state=online").count() == 2);
    assert_eq!(a.cli(&["SET", "k", "v"]), "OK");
    for replica in [&b, &c] {
        replica.gives(&["GET", "k"], "\"v\"");
    }
    first.kill();
    for replica in [&mut second, &mut third] {
        logged(replica, &["Error condition on socket for SYNC: Connection refused"]);
    }

    let tell = |instance: &Instance, host: &str, port: &str| {
        let lines = format!("MULTI\nSLAVEOF {host} {port}\nCONFIG REWRITE\nEXEC\n");
        let stream = std::net::TcpStream::connect(("127.0.0.1", instance.port)).expect("a server");
        let mut client = limpid_tests::client::Client::new(stream);
        client.send_raw(lines.as_bytes());
        for _ in 0..4 {
            let reply = client.read().expect("a reply").value;
            assert!(!reply.is_error(), "{reply:?}");
        }
    };
    tell(&c, "NO", "ONE");
    logged(
        &mut third,
        &[
            "Discarding previously cached master state.",
            "Setting secondary replication ID to ",
            "MASTER MODE enabled (user request from 'id=",
            "CONFIG REWRITE executed with success.",
        ],
    );
    let line = third.wait_for_line("Setting secondary replication ID to ").expect("the line");
    let (old, rest) = line
        .split_once("ID to ")
        .and_then(|(_, rest)| rest.split_once(", valid up to offset: "))
        .expect("the id");
    let (offset, new) = rest.split_once(". New replication ID is ").expect("the offset");
    tell(&b, "127.0.0.1", &c.port.to_string());
    logged(
        &mut second,
        &[
            &format!("Connecting to MASTER 127.0.0.1:{}", c.port),
            &format!("REPLICAOF 127.0.0.1:{} enabled (user request from 'id=", c.port),
            "CONFIG REWRITE executed with success.",
            "Master replied to PING, replication can continue...",
            &format!("Trying a partial resynchronization (request {old}:{offset})."),
            "Successful partial resynchronization with master.",
            &format!("Master replication ID changed to {new}"),
            "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.",
        ],
    );
    let accepted = format!("Partial resynchronization request from 127.0.0.1:{} accepted.", b.port);
    let line = third.wait_for_line(&accepted).expect("the line");
    assert!(line.ends_with(&format!("starting from offset {offset}.")), "{line}");
    let conf = std::fs::read_to_string(b.conf()).expect("the file");
    assert!(conf.contains(&format!("replicaof 127.0.0.1 {}", c.port)), "{conf}");
}

#[test]
fn what_the_notes_configure_about_replicas_is_heeded() {
    let primary = Instance::new();
    primary.configure(
        "replica-serve-stale-data yes\nreplica-read-only yes\nrepl-diskless-sync no\n\
         repl-backlog-size 1mb\nmin-replicas-to-write 3\nmin-replicas-max-lag 10\n",
    );
    let _server = primary.start(&[]);
    let refused = "(error) NOREPLICAS Not enough good replicas to write.";
    assert_eq!(primary.cli(&["SET", "k", "v"]), refused);
    assert_eq!(primary.cli(&["CONFIG", "SET", "min-replicas-to-write", "0"]), "OK");
    assert_eq!(primary.cli(&["SET", "k", "v"]), "OK");
    // A replica whose primary has never existed.
    let lost = Instance::new();
    let nobody = free_port().to_string();
    lost.configure(&format!("replicaof 127.0.0.1 {nobody}\nreplica-serve-stale-data no\n"));
    let _lost = lost.start(&[]);
    let down = "(error) MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set \
                to 'no'.";
    assert_eq!(lost.cli(&["GET", "k"]), down);
    assert_eq!(lost.cli(&["CONFIG", "SET", "replica-serve-stale-data", "yes"]), "OK");
    assert_eq!(lost.cli(&["GET", "k"]), "(nil)");
}
