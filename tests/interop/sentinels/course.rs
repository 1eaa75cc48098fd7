//! The commands of the course notes about Sentinels, typed at a shell in which Redis's program
//! names are links to Limpid.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use limpid_tests::process::{binary, free_port};
use limpid_tests::wait::{until, until_some};
use tempfile::TempDir;

/// A machine of the notes: a home directory, Redis's programs in PATH, and free ports that replace
/// those of the notes, in input and output.
struct Machine {
    home: TempDir,
    /// The ports of the notes, each with the free port that replaces it here.
    ports: Vec<(u16, u16)>,
}

/// A program in its own terminal window. Dropping it kills the program.
struct Window {
    child: Child,
    /// The file of its output.
    log: PathBuf,
    ports: Vec<(u16, u16)>,
}

impl Machine {
    fn new(ports: &[u16]) -> Self {
        let home = TempDir::new().expect("a home directory");
        std::fs::create_dir(home.path().join("bin")).expect("a directory");
        for name in ["redis-server", "redis-sentinel", "redis-cli"] {
            let link = home.path().join("bin").join(name);
            std::os::unix::fs::symlink(binary(), link).expect("a link");
        }
        let ports = ports.iter().map(|port| (*port, free_port())).collect();
        Machine { home, ports }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(translate(name, &self.ports))
    }

    /// Writes a file, where the notes use `vi`.
    fn vi(&self, name: &str, lines: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, translate(lines, &self.ports)).expect("a file");
    }

    /// The content of a file, translated to the ports of the notes.
    fn cat(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.path(name)).expect("a file");
        translate(&text, &inverse(&self.ports))
    }

    fn shell(&self, line: &str) -> Command {
        let mut shell = Command::new("sh");
        let bin = self.home.path().join("bin");
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:{path}", bin.display()));
        // Makes redis-cli print as on a terminal.
        shell.env("HOME", self.home.path()).env("FAKETTY", "1").env("TERM", "dumb");
        shell.current_dir(self.home.path()).stdin(Stdio::null());
        shell.arg("-c").arg(translate(line, &self.ports));
        shell
    }

    /// Runs a command. Returns its output, translated to the ports of the notes.
    fn run(&self, line: &str) -> String {
        let output = self.shell(line).output().expect("a shell");
        let text = [output.stdout, output.stderr].concat();
        translate(&String::from_utf8_lossy(&text), &inverse(&self.ports))
    }

    /// Repeats a command until its output contains all of `wanted`.
    fn until(&self, line: &str, wanted: &[&str]) -> String {
        until_some(
            || format!("`{line}` prints, without {wanted:?}:\n{}", self.run(line)),
            || {
                let printed = self.run(line);
                wanted.iter().all(|part| printed.contains(part)).then_some(printed)
            },
        )
    }

    /// Starts a command in a window.
    fn window(&self, line: &str) -> Window {
        let name = format!("window-{}", line.replace(['/', ' ', '~', '*', '\''], "_"));
        let log = self.home.path().join(translate(&name, &self.ports));
        let file = File::create(&log).expect("a file for what it prints");
        let mut shell = self.shell(&format!("exec {line}"));
        shell.stdout(file.try_clone().expect("the file")).stderr(file).process_group(0);
        let child = shell.spawn().expect("a shell");
        Window { child, log, ports: inverse(&self.ports) }
    }

    /// Starts a server and waits until it serves clients.
    fn server(&self, line: &str) -> Window {
        let server = self.window(line);
        server.shows(&["Ready to accept connections"]);
        server
    }

    /// Starts a Sentinel, and shortens its periods of one and ten seconds to fractions of a second.
    fn sentinel(&self, line: &str, port: u16) -> Window {
        let sentinel = self.window(line);
        sentinel.shows(&["+monitor master"]);
        let hurry = "SENTINEL DEBUG INFO-PERIOD 300 PUBLISH-PERIOD 200";
        self.until(&format!("redis-cli -p {port} {hurry}"), &["OK"]);
        sentinel
    }

    /// Shortens timeouts: the notes wait 30 s, or 5 s, until a master is down, and an election with
    /// split votes is repeated after twice the failover timeout, which is minutes there.
    fn impatient(&self, sentinels: &[u16], master: &str) {
        let set =
            format!("SENTINEL SET {master} down-after-milliseconds 1000 failover-timeout 10000");
        for port in sentinels {
            assert_eq!(self.run(&format!("redis-cli -p {port} {set}")), "OK\n");
        }
    }

    /// The config epoch that a Sentinel has for a master.
    fn epoch(&self, sentinel: u16, master: &str) -> String {
        let told = self.run(&format!("redis-cli -p {sentinel} SENTINEL master {master}"));
        printed(&told, "config-epoch").to_owned()
    }

    /// Waits until a Sentinel reports another master than `than`. Returns its port.
    fn another_master(&self, sentinel: u16, name: &str, than: u16) -> u16 {
        let line = format!("redis-cli -p {sentinel} SENTINEL get-master-addr-by-name {name}");
        until_some(
            || self.run(&line),
            || {
                let printed = self.run(&line);
                let port = printed.lines().find_map(|line| line.strip_prefix("2) \""))?;
                port.trim_end_matches('"').parse().ok().filter(|port| *port != than)
            },
        )
    }
}

impl Window {
    /// Its whole output, translated to the ports of the notes.
    fn text(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        translate(&String::from_utf8_lossy(&text), &self.ports)
    }

    /// Waits until it has printed all parts, in any order.
    fn shows(&self, parts: &[&str]) {
        for part in parts {
            let text = || self.text();
            until(|| format!("no '{part}' in\n{}", text()), || text().contains(part));
        }
    }

    /// Waits until it has printed all parts in this order.
    fn shows_in_order(&self, parts: &[&str]) {
        let missing = || {
            let text = self.text();
            let mut rest = text.as_str();
            for part in parts {
                match rest.split_once(part) {
                    Some((_, after)) => rest = after,
                    None => return Some(*part),
                }
            }
            None
        };
        let why = || format!("no '{}' in its place in\n{}", missing().unwrap_or(""), self.text());
        until(why, || missing().is_none());
    }

    fn kill(&mut self) {
        // The program may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Replaces port numbers in a text.
fn translate(text: &str, ports: &[(u16, u16)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = rest[start..].find(|c: char| !c.is_ascii_digit());
        let end = digits.map_or(rest.len(), |len| start + len);
        let number = &rest[start..end];
        let known = ports.iter().find(|(from, _)| number == from.to_string());
        out.push_str(&rest[..start]);
        out.push_str(&known.map_or_else(|| number.to_owned(), |(_, to)| to.to_string()));
        rest = &rest[end..];
    }
    out + rest
}

fn inverse(ports: &[(u16, u16)]) -> Vec<(u16, u16)> {
    ports.iter().map(|(from, to)| (*to, *from)).collect()
}

/// The value of a field in a reply of names and values, as printed by redis-cli.
fn printed<'t>(reply: &'t str, field: &str) -> &'t str {
    let mut lines = reply.lines().map(|line| line.rsplit_once(") ").map_or(line, |(_, text)| text));
    let found = lines.find(|line| line.trim_matches('"') == field).and_then(|_| lines.next());
    found.unwrap_or_default().trim_matches('"')
}

/// The id of a Sentinel, from its log.
fn id(sentinel: &Window) -> String {
    let text = sentinel.text();
    let id = text.lines().find_map(|line| line.split_once("Sentinel ID is "));
    id.expect("a line with its id").1.to_owned()
}

/// The fields of `SENTINEL masters` in the notes, in their order.
const MASTER_FIELDS: &[&str] = &[
    "name",
    "ip",
    "port",
    "runid",
    "flags",
    "link-pending-commands",
    "link-refcount",
    "last-ping-sent",
    "last-ok-ping-reply",
    "last-ping-reply",
    "down-after-milliseconds",
    "info-refresh",
    "role-reported",
    "role-reported-time",
    "config-epoch",
    "num-slaves",
    "num-other-sentinels",
    "quorum",
    "failover-timeout",
    "parallel-syncs",
];

#[test]
fn one_sentinel_with_a_password_is_told_to_fail_over_and_the_old_master_is_given_the_password() {
    let notes = Machine::new(&[6379, 6380, 6381, 26379]);
    notes.vi("6379.conf", "bind 127.0.0.1\nport 6379\nrequirepass mypass\nprotected-mode no\n");
    for (port, priority) in [(6380, 100), (6381, 90)] {
        notes.vi(
            &format!("{port}.conf"),
            &format!(
                "bind 127.0.0.1\nport {port}\nrequirepass mypass\nslaveof 127.0.0.1 6379\n\
                 masterauth mypass\nslave-priority {priority}\n"
            ),
        );
    }
    let servers = [6379, 6380, 6381].map(|port| {
        notes.vi(&format!("data/{port}/empty"), "");
        notes.server(&format!("redis-server {port}.conf --dir data/{port}"))
    });
    let cli =
        |port: u16, typed: &str| format!("redis-cli -p {port} -a mypass --no-auth-warning {typed}");
    notes.until(&cli(6379, "INFO Replication"), &["slave0:ip=127.0.0.1", "slave1:ip=127.0.0.1"]);
    let added = notes.run(&cli(6379, "SADD students 'tom' 'lucy' 'jerry'"));
    assert_eq!(added, "(integer) 3\n");
    for port in [6379, 6380, 6381] {
        let members = ["\"jerry\"", "\"lucy\"", "\"tom\""];
        notes.until(&cli(port, "SMEMBERS students"), &members);
    }

    notes.vi(
        "redis-sentinel.conf",
        "port 26379
sentinel monitor mymaster 127.0.0.1 6379 1
sentinel auth-pass mymaster mypass
sentinel down-after-milliseconds mymaster 5000
sentinel parallel-syncs mymaster 1
sentinel failover-timeout mymaster 180000
",
    );
    let sentinel = notes.sentinel("redis-sentinel redis-sentinel.conf", 26379);
    let masters = "redis-cli -p 26379 SENTINEL masters";
    let told = notes.until(masters, &["\"num-slaves\"\n   32) \"2\""]);
    let names: Vec<&str> = told.lines().step_by(2).collect();
    assert!(names[0].starts_with("1)  1) \"name\""), "{told}");
    assert!(told.contains("\n    2) \"mymaster\"\n    3) \"ip\"\n"), "{told}");
    for (name, field) in names.iter().zip(MASTER_FIELDS) {
        assert!(name.ends_with(&format!(") \"{field}\"")), "{name} is not {field}:\n{told}");
    }
    for (field, value) in [
        ("ip", "127.0.0.1"),
        ("port", "6379"),
        ("flags", "master"),
        ("role-reported", "master"),
        ("down-after-milliseconds", "5000"),
        ("config-epoch", "0"),
        ("num-other-sentinels", "0"),
        ("quorum", "1"),
        ("failover-timeout", "180000"),
        ("parallel-syncs", "1"),
    ] {
        assert_eq!(printed(&told, field), value, "{field}");
    }
    let slaves = "redis-cli -p 26379 SENTINEL slaves mymaster";
    notes.until(slaves, &["\"127.0.0.1:6380\"", "\"127.0.0.1:6381\""]);
    // The Sentinel must have read the replica's priority, which decides below.
    notes.until(slaves, &[") \"90\"\n", "\"master-port\"", "\"6379\""]);

    let ok = notes.run("redis-cli -p 26379 SENTINEL failover mymaster");
    assert_eq!(ok, "OK\n", "{}", sentinel.text());
    // The lower priority is preferred.
    assert_eq!(notes.another_master(26379, "mymaster", 6379), 6381, "{}", sentinel.text());
    let told = notes.until(masters, &["\"6381\""]);
    assert_eq!((printed(&told, "config-epoch"), printed(&told, "num-slaves")), ("1", "2"));
    notes.until(&cli(6381, "INFO Replication"), &["role:master", "port=6380,state=online"]);

    // The old master has no password for the new one until it is given one.
    servers[0].shows(&["NOAUTH"]);
    let told = notes.run(&cli(6381, "INFO Replication"));
    assert!(told.contains("connected_slaves:1"), "{told}");
    assert_eq!(notes.run(&cli(6379, "CONFIG SET masterauth mypass")), "OK\n");
    assert_eq!(notes.run(&cli(6379, "CONFIG REWRITE")), "OK\n");
    let both = ["connected_slaves:2", "port=6380,state=online", "port=6379,state=online"];
    notes.until(&cli(6381, "INFO Replication"), &both);
    let rewritten = notes.cat("6379.conf");
    for line in ["masterauth ", "replicaof 127.0.0.1 6381"] {
        let there = rewritten.lines().any(|it| it.starts_with(line) && !it.starts_with('#'));
        assert!(there, "no '{line}' in\n{rewritten}");
    }
}

#[test]
fn three_sentinels_started_as_servers_find_each_other_vote_and_rewrite_their_files() {
    let sentinels = [26379, 26380, 26381];
    let notes = Machine::new(&[6379, 6380, 6381, 26379, 26380, 26381]);
    let mut servers = [6379, 6380, 6381].map(|port| {
        notes.vi(&format!("data/{port}/empty"), "");
        let data = notes.path(&format!("data/{port}"));
        let lines = format!("port {port}\nrepl-diskless-sync no\ndir {}\n", data.display());
        notes.vi(&format!("test/{port}.conf"), &lines);
        let follow = if port == 6379 { "" } else { " --replicaof 127.0.0.1 6379" };
        notes.server(&format!("redis-server ~/test/{port}.conf{follow}"))
    });
    let online = ["slave0:ip=127.0.0.1", "slave1:ip=127.0.0.1"];
    notes.until("redis-cli -p 6379 INFO replication", &online);
    for port in [6380, 6381] {
        notes.until(&format!("redis-cli -p {port} INFO replication"), &["master_link_status:up"]);
    }

    let mut started: Vec<Window> = Vec::new();
    for port in sentinels {
        let lines = format!("port {port}\nsentinel monitor mymaster 127.0.0.1 6379 2\n");
        notes.vi(&format!("test/{port}.conf"), &lines);
        let line = format!("redis-server ~/test/{port}.conf --sentinel");
        let sentinel = notes.sentinel(&line, port);
        let at = "@ mymaster 127.0.0.1 6379";
        sentinel.shows_in_order(&[
            "Sentinel ID is ",
            "+monitor master mymaster 127.0.0.1 6379 quorum 2",
        ]);
        for slave in [6380, 6381] {
            sentinel.shows(&[&format!("+slave slave 127.0.0.1:{slave} 127.0.0.1 {slave} {at}")]);
        }
        // Each Sentinel discovers the earlier ones, and these discover it.
        for (other, other_port) in started.iter().zip(sentinels) {
            let known =
                |id: &str, port: u16| format!("+sentinel sentinel {id} 127.0.0.1 {port} {at}");
            sentinel.shows(&[&known(&id(other), other_port)]);
            other.shows(&[&known(&id(&sentinel), port)]);
        }
        started.push(sentinel);
    }

    notes.impatient(&sentinels, "mymaster");
    servers[0].kill();
    for replica in &servers[1..] {
        replica.shows_in_order(&[
            "Connection with master lost.",
            "Caching the disconnected master state.",
            // "Reconnecting" the first time, "Connecting" after that.
            "onnecting to MASTER 127.0.0.1:6379",
            "MASTER <-> REPLICA sync started",
        ]);
    }
    let new = notes.another_master(26379, "mymaster", 6379);
    let other = if new == 6380 { 6381 } else { 6380 };
    let promoted = format!(
        "+failover-state-send-slaveof-noone slave 127.0.0.1:{new} 127.0.0.1 {new} @ mymaster \
         127.0.0.1 6379"
    );
    until(
        || started[0].text(),
        || started.iter().any(|sentinel| sentinel.text().contains(&promoted)),
    );
    notes.until(&format!("redis-cli -p {new} INFO replication"), &["role:master", "state=online"]);
    for port in &sentinels[1..] {
        assert_eq!(notes.another_master(*port, "mymaster", 6379), new);
    }

    // The file has the new state. The epoch is higher if votes were split at first.
    let epoch = notes.epoch(26379, "mymaster");
    let file = || notes.cat("test/26379.conf");
    let lines = [
        "port 26379".to_owned(),
        format!("sentinel myid {}", id(&started[0])),
        format!("sentinel monitor mymaster 127.0.0.1 {new} 2"),
        format!("sentinel config-epoch mymaster {epoch}"),
        "sentinel known-replica mymaster 127.0.0.1 6379".into(),
        format!("sentinel known-replica mymaster 127.0.0.1 {other}"),
        format!("sentinel known-sentinel mymaster 127.0.0.1 26380 {}", id(&started[1])),
        format!("sentinel known-sentinel mymaster 127.0.0.1 26381 {}", id(&started[2])),
    ];
    for line in lines {
        until(
            || format!("no '{line}' in\n{}", file()),
            || file().lines().any(|there| there == line),
        );
    }

    // Discovery: each Sentinel publishes its address and its view of the master.
    let listener = notes.window(&format!("redis-cli -p {new} PSUBSCRIBE '*'"));
    listener.shows_in_order(&[
        "1) \"psubscribe\"\n2) \"*\"\n3) (integer) 1\n",
        "1) \"pmessage\"\n2) \"*\"\n3) \"__sentinel__:hello\"\n4) \"127.0.0.1,",
    ]);
    for (sentinel, port) in started.iter().zip(sentinels) {
        let id = id(sentinel);
        let hello =
            format!("4) \"127.0.0.1,{port},{id},{epoch},mymaster,127.0.0.1,{new},{epoch}\"");
        listener.shows(&[&hello]);
    }
}

#[test]
fn three_sentinels_with_copied_files_log_each_step_of_a_failover() {
    let notes = Machine::new(&[7001, 7002, 7003, 27001, 27002, 27003]);
    let mut servers = [7001, 7002, 7003].map(|port| {
        let dir = notes.path(&format!("{port}"));
        let lines = format!("port {port}\nreplica-announce-ip 127.0.0.1\ndir {}\n", dir.display());
        notes.vi(&format!("{port}/redis.conf"), &format!("{lines}repl-diskless-sync-delay 0\n"));
        notes.server(&format!("redis-server {port}/redis.conf"))
    });
    for port in [7002, 7003] {
        let ok = notes.run(&format!("redis-cli -p {port} slaveof 127.0.0.1 7001"));
        assert_eq!(ok, "OK\n");
    }
    notes.until("redis-cli -p 7001 info replication", &["slave0:", "slave1:"]);
    for port in [7002, 7003] {
        notes.until(&format!("redis-cli -p {port} info replication"), &["master_link_status:up"]);
    }

    notes.run("mkdir s1 s2 s3");
    notes.vi(
        "s1/sentinel.conf",
        // A relative path, so that `sed` below does not find `s1` in the test's directory name.
        "port 27001
sentinel announce-ip 127.0.0.1
sentinel monitor mymaster 127.0.0.1 7001 2
sentinel down-after-milliseconds mymaster 5000
sentinel failover-timeout mymaster 60000
dir \"./s1\"
",
    );
    let copied = notes.run("echo s2 s3 | xargs -t -n 1 cp s1/sentinel.conf");
    assert!(copied.contains("cp s1/sentinel.conf s2"), "{copied}");
    for n in ["2", "3"] {
        let line = format!("sed -i -e 's/27001/2700{n}/g' -e 's/s1/s{n}/g' s{n}/sentinel.conf");
        assert_eq!(notes.run(&line), "");
    }
    let sentinels = [("s1", 27001), ("s2", 27002), ("s3", 27003)]
        .map(|(dir, port)| notes.sentinel(&format!("redis-sentinel {dir}/sentinel.conf"), port));
    for port in [27001, 27002, 27003] {
        let known = ["\"num-slaves\"\n   32) \"2\"", "\"num-other-sentinels\"\n   34) \"2\""];
        notes.until(&format!("redis-cli -p {port} SENTINEL masters"), &known);
    }

    notes.impatient(&[27001, 27002, 27003], "mymaster");
    servers[0].kill();
    let new = notes.another_master(27001, "mymaster", 7001);
    let other = if new == 7002 { 7003 } else { 7002 };
    let leader = until_some(
        || "no Sentinel leads".into(),
        || {
            sentinels.iter().find(|sentinel| {
                sentinel.text().contains("+switch-master")
                    && sentinel.text().contains("+elected-leader")
            })
        },
    );
    let master = "master mymaster 127.0.0.1 7001";
    let slave =
        |port: u16| format!("slave 127.0.0.1:{port} 127.0.0.1 {port} @ mymaster 127.0.0.1 7001");
    let own = id(leader);
    let epoch = notes.epoch(27001, "mymaster");
    let steps = [
        format!("+sdown {master}"),
        format!("+odown {master} #quorum "),
        format!("+new-epoch {epoch}"),
        format!("+try-failover {master}"),
        format!("+elected-leader {master}"),
        format!("+failover-state-select-slave {master}"),
        format!("+selected-slave {}", slave(new)),
        format!("+failover-state-send-slaveof-noone {}", slave(new)),
        format!("+failover-state-wait-promotion {}", slave(new)),
        format!("+promoted-slave {}", slave(new)),
        format!("+failover-state-reconf-slaves {master}"),
        format!("+slave-reconf-sent {}", slave(other)),
        format!("+slave-reconf-inprog {}", slave(other)),
        format!("+slave-reconf-done {}", slave(other)),
        format!("+failover-end {master}"),
        format!("+switch-master mymaster 127.0.0.1 7001 127.0.0.1 {new}"),
    ];
    leader.shows_in_order(&steps.each_ref().map(String::as_str));
    // The votes of the other two are a majority, and may arrive before its own is on disk.
    leader.shows(&[&format!(" voted for {own} {epoch}")]);

    // The promoted replica, and the other one, which follows it now.
    let of = |port: u16| &servers[usize::from(port - 7001)];
    let client = format!("name=sentinel-{}-cmd", &own[..8]);
    of(new).shows_in_order(&[
        "Discarding previously cached master state.",
        "Setting secondary replication ID to ",
        "MASTER MODE enabled (user request from 'id=",
        &client,
        " user=default",
        &format!("Replica 127.0.0.1:{other} asks for synchronization"),
        &format!("Partial resynchronization request from 127.0.0.1:{other} accepted. Sending "),
        " bytes of backlog starting from offset ",
    ]);
    of(other).shows_in_order(&[
        &format!("Connecting to MASTER 127.0.0.1:{new}"),
        "MASTER <-> REPLICA sync started",
        &format!("REPLICAOF 127.0.0.1:{new} enabled (user request from 'id="),
        &client,
        "Non blocking connect for SYNC fired the event.",
        "Master replied to PING, replication can continue...",
        "Trying a partial resynchronization (request ",
        "Successful partial resynchronization with master.",
        "Master replication ID changed to ",
        "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.",
    ]);
    // The file is written in the background.
    for server in [new, other].map(of) {
        server.shows(&["CONFIG REWRITE executed with success."]);
    }
}

#[test]
fn the_same_sentinels_watch_two_masters_and_replace_the_one_that_dies() {
    let notes = Machine::new(&[36379, 36380, 46379, 46380, 26379, 26380, 26381]);
    let mut servers = [36379, 46379, 36380, 46380].map(|port| {
        notes.vi(&format!("{port}/empty"), "");
        let follow = if port % 10 == 0 {
            format!(" --replicaof 127.0.0.1 {}", port - 1)
        } else {
            String::new()
        };
        notes.server(&format!("redis-server --port {port} --dir {port}{follow}"))
    });
    let sentinels = [26379, 26380, 26381];
    let started = sentinels.map(|port| {
        notes.vi(
            &format!("{port}.conf"),
            &format!(
                "port {port}\nsentinel monitor ooxx 127.0.0.1 36379 2\n\
                 sentinel monitor xxoo 127.0.0.1 46379 2\n"
            ),
        );
        notes.sentinel(&format!("redis-server {port}.conf --sentinel"), port)
    });
    for (port, name) in sentinels.iter().flat_map(|port| [(port, "ooxx"), (port, "xxoo")]) {
        let line = format!("redis-cli -p {port} SENTINEL master {name}");
        let known = ["\"num-slaves\"\n32) \"1\"", "\"num-other-sentinels\"\n34) \"2\""];
        notes.until(&line, &known);
        notes.impatient(&[*port], name);
    }
    servers[0].kill();
    for port in sentinels {
        assert_eq!(notes.another_master(port, "ooxx", 36379), 36380);
    }
    notes.until("redis-cli -p 36380 INFO replication", &["role:master"]);
    for sentinel in &started {
        assert!(!sentinel.text().contains("+odown master xxoo"), "{}", sentinel.text());
    }
    let untouched = notes.run("redis-cli -p 26379 SENTINEL get-master-addr-by-name xxoo");
    assert_eq!(untouched, "1) \"127.0.0.1\"\n2) \"46379\"\n");
}

#[test]
fn a_sentinel_without_a_file_does_not_start() {
    let notes = Machine::new(&[]);
    let said = notes.run("redis-sentinel; echo status $?");
    assert!(
        said.contains("Sentinel needs config file on disk to save state. Exiting..."),
        "{said}"
    );
    assert!(said.ends_with("status 1\n"), "{said}");
}
