//! Tests of replication, in virtual time.

use super::*;

/// Servers on separate hosts, without traffic, each with its arguments.
pub(super) struct Servers {
    pub(super) world: World,
    terminals: u32,
}

impl Servers {
    pub(super) fn new(seed: u64, servers: &[&[&str]]) -> Self {
        let mut scenario = sandbox(servers.len() as u8);
        for (host, args) in scenario.hosts.iter_mut().zip(servers) {
            let more = ["--protected-mode", "no", "--enable-debug-command", "yes"];
            let more = more.iter().chain(args.iter()).map(|arg| (*arg).to_owned());
            host.processes[0].args.extend(more);
        }
        for host in &mut scenario.hosts[servers.len()..] {
            host.processes.clear();
        }
        let mut world = World::new(Arc::new(scenario), seed, programs);
        world.run_for(Duration::from_millis(100));
        Self { world, terminals: 0 }
    }

    /// Starts a command on a server. Returns the name of the terminal.
    pub(super) fn begin(&mut self, server: u8, words: &str) -> String {
        self.terminals += 1;
        let name = format!("t{}", self.terminals);
        for line in [
            format!("run redis-{server} {name} redis-cli -h 10.0.0.{server}"),
            format!("type {name} {words}"),
        ] {
            self.world.apply(&line.parse().expect(&line)).expect(&line);
        }
        name
    }

    /// Runs a command on a server, by a client with these options.
    pub(super) fn ask_as(&mut self, server: u8, options: &str, words: &str) -> String {
        self.terminals += 1;
        let name = format!("t{}", self.terminals);
        let line = format!("run redis-{server} {name} redis-cli -h 10.0.0.{server} {options}");
        act(&mut self.world, &line);
        act(&mut self.world, &format!("type {name} {words}"));
        self.shown(&name)
    }

    /// The output of a terminal after the typed line.
    pub(super) fn shown(&self, terminal: &str) -> String {
        let text = screen(&self.world, terminal);
        text.split_once('\n').map(|(_, answer)| answer.to_owned()).unwrap_or_default()
    }

    /// Runs a command on a server. Returns its output within a second.
    pub(super) fn ask(&mut self, server: u8, words: &str) -> String {
        let name = self.begin(server, words);
        for _ in 0..100 {
            self.world.run_for(Duration::from_millis(10));
            if !self.shown(&name).is_empty() {
                break;
            }
        }
        self.shown(&name)
    }

    pub(super) fn server(&self, n: u8) -> &Server {
        let id = self.world.proc_named(&format!("redis-{n}:6379")).expect("a server").id;
        self.world.machine(id).expect("a server that runs")
    }

    pub(super) fn field(&self, n: u8, name: &str) -> String {
        let text = self.server(n).info(&["everything"]);
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.unwrap_or_default().to_owned()
    }

    pub(super) fn log(&self, n: u8) -> Vec<String> {
        let id = self.world.proc_named(&format!("redis-{n}:6379")).expect("a server").id;
        let lines = self.world.log(id).expect("a log").iter();
        lines.map(|line| line.text.clone()).collect()
    }

    pub(super) fn says(&self, n: u8, text: &str) -> usize {
        self.log(n).iter().filter(|line| line.contains(text)).count()
    }

    /// Runs the World until a condition is true.
    pub(super) fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..6_000 {
            if holds(self) {
                return;
            }
            self.world.run_for(Duration::from_millis(10));
        }
        panic!("it is never so that {what}: {:#?} {:#?}", self.log(1), self.log(2));
    }
}

#[test]
fn a_primary_may_be_named() {
    let mut servers = Servers::new(1, &[&[], &["--replicaof", "Redis-1 6379"]]);
    servers.until("the link is up", |s| s.field(2, "master_link_status") == "up");
    assert_eq!(servers.field(2, "master_host"), "Redis-1");
    let role = servers.ask(2, "role");
    assert!(role.contains("\"Redis-1\""), "{role}");
    assert_eq!(servers.ask(1, "set k v"), "OK\n");
    assert_eq!(servers.ask(2, "get k"), "\"v\"\n");
    assert!(servers.says(2, "Connecting to MASTER Redis-1:6379") == 1);
    assert!(servers.ask(2, "client list").contains("addr=10.0.0.1:6379 "));

    // The name cannot be resolved; the replica retries every second.
    servers.ask(2, "replicaof nowhere 6379");
    servers.world.run_for(Duration::from_secs(3));
    assert!(servers.says(2, "Unable to connect to MASTER: Name or service not known") >= 3);
    assert_eq!(servers.field(2, "master_host"), "nowhere");
    assert_eq!(servers.says(2, "sync started"), 1);
    // The host exists, but nothing listens on the port.
    servers.ask(2, "replicaof redis-1 6380");
    servers.world.run_for(Duration::from_secs(2));
    assert!(servers.says(2, "Error condition on socket for SYNC: Connection refused") >= 2);
    servers.ask(2, "replicaof redis-1 6379");
    servers.until("the link is up again", |s| s.field(2, "master_link_status") == "up");
}

#[test]
fn a_replica_may_announce_a_name_by_which_it_takes_over() {
    let mut servers = Servers::new(
        1,
        &[&[], &["--replicaof", "redis-1 6379", "--replica-announce-ip", "redis-2"]],
    );
    servers.until("the link is up", |s| s.field(2, "master_link_status") == "up");
    servers.until("it is online", |s| {
        s.field(1, "slave0").starts_with("ip=redis-2,port=6379,state=online")
    });
    assert_eq!(servers.ask(1, "failover to redis-2 6379"), "OK\n");
    servers.until("they have changed places", |s| s.field(1, "master_link_status") == "up");
    assert_eq!(servers.field(1, "master_host"), "redis-2");
    assert_eq!(servers.field(2, "role"), "master");
}

#[test]
fn waitaof_counts_the_files_of_replicas() {
    let replica = ["--replicaof", "redis-1 6379", "--appendonly"];
    let with_file = [&replica[..], &["yes"]].concat();
    let without = [&replica[..], &["no"]].concat();
    let mut servers = Servers::new(1, &[&["--appendonly", "yes"], &with_file, &without]);
    servers.until("both are online", |s| {
        s.field(1, "slave0").contains("online") && s.field(1, "slave1").contains("online")
    });
    servers.until("the file of the replica is there", |s| {
        s.field(2, "aof_rewrite_in_progress") == "0" && s.field(2, "aof_rewrites") != "0"
    });
    // On one connection, since a client waits for its own writes.
    act(&mut servers.world, "run redis-3 t redis-cli -h redis-1");
    let said = |servers: &mut Servers, line: &str| {
        let before = screen(&servers.world, "t").len();
        act(&mut servers.world, &format!("type t {line}"));
        servers.world.run_for(Duration::from_secs(3));
        let text = screen(&servers.world, "t").split_off(before);
        // The output also contains the duration.
        let lines = text.lines().skip(1).filter(|line| !line.ends_with("s)"));
        lines.map(str::trim).collect::<Vec<_>>().join(" ")
    };
    for policy in ["everysec", "always"] {
        servers.ask(2, &format!("config set appendfsync {policy}"));
        assert_eq!(
            said(&mut servers, "incr k"),
            match policy {
                "always" => "(integer) 2",
                _ => "(integer) 1",
            }
        );
        assert_eq!(said(&mut servers, "waitaof 0 1 0"), "1) (integer) 1 2) (integer) 1");
    }
    assert_eq!(said(&mut servers, "incr k"), "(integer) 3");
    assert_eq!(said(&mut servers, "waitaof 1 0 0"), "1) (integer) 1 2) (integer) 1");
    // The other server has no append-only file, so at most one can acknowledge.
    assert_eq!(said(&mut servers, "waitaof 1 2 1000"), "1) (integer) 1 2) (integer) 1");
    assert_eq!(said(&mut servers, "wait 2 0"), "(integer) 2");
    // This policy never fsyncs by itself; only the end of a rewrite does.
    servers.ask(2, "config set appendfsync no");
    assert_eq!(said(&mut servers, "incr k"), "(integer) 4");
    assert_eq!(said(&mut servers, "waitaof 1 1 1000"), "1) (integer) 1 2) (integer) 0");
    servers.ask(2, "bgrewriteaof");
    assert_eq!(said(&mut servers, "waitaof 1 1 0"), "1) (integer) 1 2) (integer) 1");
    // Without an append-only file of its own, the primary only counts those of replicas.
    servers.ask(1, "config set appendonly no");
    assert_eq!(said(&mut servers, "incr k"), "(integer) 5");
    assert!(
        said(&mut servers, "waitaof 1 0 0").contains(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."
        )
    );
    servers.ask(2, "config set appendfsync always");
    assert_eq!(said(&mut servers, "waitaof 0 1 0"), "1) (integer) 0 2) (integer) 1");
    for (line, error) in [
        ("waitaof 2 0 0", "ERR value is out of range, value must between 0 and 1"),
        ("waitaof x 0 0", "ERR value is not an integer or out of range"),
        ("waitaof 0 -1 0", "ERR value is out of range, must be positive"),
        ("waitaof 0 0 -1", "ERR timeout is negative"),
        ("waitaof 0 0 x", "ERR timeout is not an integer or out of range"),
        ("waitaof 0 0", "ERR wrong number of arguments for 'waitaof' command"),
    ] {
        assert_eq!(said(&mut servers, line), format!("(error) {error}"), "{line}");
    }
    let refused = servers.ask(2, "waitaof 0 0 0");
    assert!(refused.contains("ERR WAITAOF cannot be used with replica instances."), "{refused}");
}

#[test]
fn a_replica_that_changes_its_primary_tells_what_is_durable_of_the_new_stream() {
    let aof = ["--appendonly", "yes"];
    let replica = [&aof[..], &["--appendfsync", "no", "--replicaof", "redis-1 6379"]].concat();
    let mut servers = Servers::new(1, &[&aof, &aof, &replica]);
    servers.until("it is online", |s| s.field(1, "slave0").contains("online"));
    for _ in 0..20 {
        servers.ask(1, "set k some-long-value-so-that-the-stream-of-this-one-is-longer");
    }
    servers.until("the file is there", |s| s.field(3, "aof_rewrite_in_progress") == "0");
    servers.ask(3, "config set appendfsync everysec");
    servers.ask(1, "set k w");
    servers.world.run_for(Duration::from_secs(3));
    servers.ask(3, "config set appendfsync no");
    // No replica has the write until one connects and gets all data by a full resync.
    act(&mut servers.world, "run redis-2 t redis-cli -h redis-2");
    act(&mut servers.world, "type t incr k");
    act(&mut servers.world, "type t waitaof 1 1 0");
    servers.ask(3, "replicaof redis-2 6379");
    servers.world.run_for(Duration::from_secs(8));
    let text = screen(&servers.world, "t");
    assert!(text.contains("1) (integer) 1\n2) (integer) 1\n"), "{text}");
    // The next write is not durable, although the previous stream had a larger offset.
    act(&mut servers.world, "type t incr k");
    act(&mut servers.world, "type t waitaof 1 1 3000");
    servers.world.run_for(Duration::from_secs(4));
    let text = screen(&servers.world, "t");
    assert!(text.contains("1) (integer) 1\n2) (integer) 0\n"), "{text}");
}

#[test]
fn the_watchdog_reports_a_full_resync_that_loads_slowly() {
    let primary = ["--repl-diskless-sync-delay", "0", "--rdb-key-save-delay", "10000"];
    for (period, wanted) in [("200", 1), ("0", 0)] {
        let replica = ["--repl-diskless-load", "on-empty-db", "--watchdog-period", period];
        let mut servers = Servers::new(1, &[&primary, &replica]);
        servers.ask(1, "debug populate 100 key 100000");
        servers.ask(2, "replicaof redis-1 6379");
        servers.until("the link is up", |s| s.field(2, "master_link_status") == "up");
        assert_eq!(servers.says(2, "WATCHDOG TIMER EXPIRED"), wanted, "{period}");
        assert_eq!(servers.says(2, "Data is being loaded, and no client was served for"), wanted);
    }
}
