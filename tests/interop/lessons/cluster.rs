//! The commands of course notes about clusters, typed at a shell with Limpid under Redis's names:
//! `redis-trib.rb`, `redis-cli --cluster`, `create-cluster`, and CLUSTER MEET by hand.
//!
//! A machine of the notes is a loopback address here, with a free port; output is compared after
//! translating it to the notes' addresses. A node cannot tell from which loopback address another
//! one connects, so each announces its own.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use limpid_tests::process::{binary, free_bus_port};
use limpid_tests::wait::{until, until_some};
use tempfile::TempDir;

use crate::cluster::tools::sorted;

/// The working directory of the typed commands, with the servers that they start.
struct Desk {
    dir: TempDir,
    /// The addresses of the notes, with their addresses here, and the node ids.
    hosts: Vec<Host>,
    password: Option<&'static str>,
}

struct Host {
    noted: &'static str,
    ip: String,
    port: u16,
    id: String,
}

impl Host {
    fn address(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }
}

impl Desk {
    /// `noted`: the addresses of the notes. Each different IP address is a machine.
    fn new(noted: &[&'static str]) -> Desk {
        let dir = TempDir::new().expect("a temporary directory");
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).expect("a directory");
        for name in ["redis-server", "redis-cli", "redis-trib.rb", "create-cluster"] {
            symlink(binary(), bin.join(name)).expect("a link");
        }
        let host = |noted: &&'static str| {
            let (ip, _) = noted.split_once(':').expect("an address");
            let ip = match ip {
                "127.0.0.1" => ip.to_owned(),
                _ => format!("127.0.3.{}", ip.rsplit('.').next().expect("a number")),
            };
            Host { noted, ip, port: free_bus_port(), id: String::new() }
        };
        Desk { dir, hosts: noted.iter().map(host).collect(), password: None }
    }

    /// Translates input to the addresses of the hosts here; `#n` stands for a node id.
    fn meant(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (n, host) in self.hosts.iter().enumerate() {
            text = text.replace(host.noted, &host.address()).replace(&format!("#{n}"), &host.id);
            let (ip, port) = host.noted.split_once(':').expect("an address");
            text = text.replace(
                &format!("-h {ip} -p {port}"),
                &format!("-h {} -p {}", host.ip, host.port),
            );
            text = text.replace(&format!("-p {port}"), &format!("-p {}", host.port));
        }
        text
    }

    /// Translates output to the addresses of the notes.
    fn noted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (n, host) in self.hosts.iter().enumerate() {
            text = text.replace(&host.address(), host.noted);
            if !host.id.is_empty() {
                text = text.replace(&host.id, &format!("#{n}"));
                text = text.replace(&format!("{}...", &host.id[..8]), &format!("#{n}..."));
            }
            let port = host.noted.split(':').nth(1).expect("a port");
            text = text.replace(&host.port.to_string(), port);
        }
        text
    }

    /// Runs a shell command with `input`. Returns its output.
    fn types(&self, line: &str, input: &str) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{} 2>&1", self.meant(line))]).current_dir(self.dir.path());
        shell.env("PATH", format!("{}:{path}", self.dir.path().join("bin").display()));
        shell.env("TERM", "dumb").env("FAKETTY", "1");
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn().expect("a shell");
        let mut stdin = child.stdin.take().expect("piped");
        // Some programs end without reading their input.
        let _ = stdin.write_all(self.meant(input).as_bytes());
        drop(stdin);
        let out = child.wait_with_output().expect("what it prints");
        self.noted(&String::from_utf8_lossy(&out.stdout))
    }

    /// Checks the output of a shell command, in which the order of nodes does not matter.
    #[track_caller]
    fn prints(&self, line: &str, wanted: &str) {
        assert_eq!(sorted(&self.types(line, "")), sorted(&format!("{wanted}\n")), "{line}");
    }

    /// Checks what a client prints for each line at a terminal.
    #[track_caller]
    fn session(&self, client: &str, lines: &[(&str, &str)]) {
        let input: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
        let wanted: String = lines.iter().map(|(_, printed)| format!("{printed}\n")).collect();
        assert_eq!(self.types(client, &input), wanted, "{client}");
    }

    /// Repeats a shell command until its output satisfies `wanted`.
    fn until(&self, line: &str, wanted: impl Fn(&str) -> bool) {
        let printed = || self.types(line, "");
        until(|| format!("{line} gives {}", printed()), || wanted(&printed()));
    }

    /// Reads the ids of all nodes, which must be running.
    fn know(&mut self) {
        for n in 0..self.hosts.len() {
            self.know_one(n);
        }
    }

    fn login(&self) -> String {
        self.password.map_or_else(String::new, |word| format!("-a {word} --no-auth-warning"))
    }

    /// Waits until these nodes agree on each other and serve their slots, which a node does only
    /// some time after it has met the others.
    fn agree(&self, hosts: &[usize]) {
        for &n in hosts {
            let Host { ip, port, .. } = &self.hosts[n];
            let line = format!("redis-cli -h {ip} -p {port} {} cluster nodes", self.login());
            self.until(&line, |nodes| {
                nodes.lines().count() == hosts.len()
                    && !nodes.contains("fail")
                    && !nodes.contains("handshake")
                    && !nodes.contains("disconnected")
            });
            let check = format!("redis-cli --cluster check {ip}:{port} {}", self.login());
            self.until(&check, |told| told.contains("[OK] All nodes agree"));
            let state = format!("redis-cli -h {ip} -p {port} {} cluster info", self.login());
            self.until(&state, |info| info.contains("cluster_state:ok"));
        }
    }

    /// Waits until every node knows this many nodes.
    fn agree_on_members(&self, count: usize) {
        for Host { ip, port, .. } in &self.hosts {
            let line = format!("redis-cli -h {ip} -p {port} {} --raw cluster nodes", self.login());
            self.until(&line, |nodes| {
                nodes.lines().count() == count && !nodes.contains("handshake")
            });
        }
    }

    /// Reads the id of a node that has a new one.
    fn know_one(&mut self, n: usize) {
        let Host { ip, port, .. } = &self.hosts[n];
        let line = format!("redis-cli -h {ip} -p {port} {} --raw cluster myid", self.login());
        let id = until_some(
            || format!("{line}: no name"),
            || Some(self.types(&line, "").trim().to_owned()).filter(|id| id.len() == 40),
        );
        self.hosts[n].id = id;
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), self.meant(text)).expect(file);
    }

    fn read(&self, file: &str) -> String {
        self.noted(&std::fs::read_to_string(self.dir.path().join(file)).expect(file))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // The servers run in the background, so they are ended here.
        for n in 0..self.hosts.len() {
            let Host { ip, port, .. } = &self.hosts[n];
            self.types(
                &format!("redis-cli -h {ip} -p {port} {} shutdown nosave", self.login()),
                "",
            );
        }
    }
}

/// Hides which master a replica gets, since that is random if all nodes are on one machine.
fn any_master(text: &str) -> String {
    let line = |line: &str| match line.trim_start().starts_with("replicates ") {
        true => "   replicates a master\n".to_owned(),
        false => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

const TRIB_HELP: &str = "Usage: redis-trib <command> <options> <arguments ...>

  create          host1:port1 ... hostN:portN
                  --replicas <arg>
  check           host:port
  info            host:port
  fix             host:port
                  --timeout <arg>
  reshard         host:port
                  --from <arg>
                  --to <arg>
                  --slots <arg>
                  --yes
                  --timeout <arg>
                  --pipeline <arg>
  rebalance       host:port
                  --weight <arg>
                  --auto-weights
                  --use-empty-masters
                  --timeout <arg>
                  --simulate
                  --pipeline <arg>
                  --threshold <arg>
  add-node        new_host:new_port existing_host:existing_port
                  --slave
                  --master-id <arg>
  del-node        host:port node_id
  set-timeout     host:port milliseconds
  call            host:port command arg arg .. arg
  import          host:port
                  --from <arg>
                  --copy
                  --replace
  help            (show this help)

For check, fix, reshard, del-node, set-timeout you can specify the host and port of any working node in the cluster.";

#[test]
fn the_script_create_cluster_makes_one_and_clients_are_redirected() {
    let mut desk = Desk::new(&[
        "127.0.0.1:30001",
        "127.0.0.1:30002",
        "127.0.0.1:30003",
        "127.0.0.1:30004",
        "127.0.0.1:30005",
        "127.0.0.1:30006",
    ]);
    // Six free ports in a row.
    let base = until_some(
        || "no six free ports in a row".to_owned(),
        || {
            let ports: Vec<u16> = (0..6).map(|_| free_bus_port()).collect();
            ports.windows(2).all(|pair| pair[1] == pair[0] + 1).then(|| ports[0] - 1)
        },
    );
    for (host, port) in desk.hosts.iter_mut().zip(base + 1..) {
        host.port = port;
    }
    // A long timeout: on a busy machine no node may be considered dead before it is killed.
    desk.write("config.sh", &format!("PORT={base}\nTIMEOUT=8000\n"));
    desk.prints(
        "create-cluster start",
        "Starting 30001\nStarting 30002\nStarting 30003\nStarting 30004\nStarting 30005\nStarting 30006",
    );
    desk.know();
    let wanted = ">>> Performing hash slots allocation on 6 nodes...
Master[0] -> Slots 0 - 5460
Master[1] -> Slots 5461 - 10922
Master[2] -> Slots 10923 - 16383
Adding replica 127.0.0.1:30005 to 127.0.0.1:30001
Adding replica 127.0.0.1:30006 to 127.0.0.1:30002
Adding replica 127.0.0.1:30004 to 127.0.0.1:30003
>>> Trying to optimize slaves allocation for anti-affinity
[WARNING] Some slaves are in the same host as their master
M: #0 127.0.0.1:30001
   slots:[0-5460] (5461 slots) master
M: #1 127.0.0.1:30002
   slots:[5461-10922] (5462 slots) master
M: #2 127.0.0.1:30003
   slots:[10923-16383] (5461 slots) master
S: #3 127.0.0.1:30004
   replicates a master
S: #4 127.0.0.1:30005
   replicates a master
S: #5 127.0.0.1:30006
   replicates a master
Can I set the above configuration? (type 'yes' to accept): >>> Nodes configuration updated
>>> Assign a different config epoch to each node
>>> Sending CLUSTER MEET messages to join the cluster
Waiting for the cluster to join

>>> Performing Cluster Check (using node 127.0.0.1:30001)
M: #0 127.0.0.1:30001
   slots:[0-5460] (5461 slots) master
   1 additional replica(s)
M: #1 127.0.0.1:30002
   slots:[5461-10922] (5462 slots) master
   1 additional replica(s)
M: #2 127.0.0.1:30003
   slots:[10923-16383] (5461 slots) master
   1 additional replica(s)
S: #3 127.0.0.1:30004
   slots: (0 slots) slave
   replicates a master
S: #4 127.0.0.1:30005
   slots: (0 slots) slave
   replicates a master
S: #5 127.0.0.1:30006
   slots: (0 slots) slave
   replicates a master
[OK] All nodes agree about slots configuration.
>>> Check for open slots...
>>> Check slots coverage...
[OK] All 16384 slots covered.
";
    let told = any_master(&desk.types("create-cluster create", "yes\n"));
    assert_eq!(sorted(&told), sorted(wanted));
    desk.agree(&[0, 1, 2, 3, 4, 5]);
    for port in 30001..=30006 {
        desk.until(&format!("redis-cli -p {port} cluster info"), |told| {
            told.contains("cluster_state:ok")
        });
    }

    desk.session("redis-cli -p 30001", &[("set k1 adfa", "(error) MOVED 12706 127.0.0.1:30003")]);
    let to = |slot: u16, node: u16, reply: &str| {
        format!("-> Redirected to slot [{slot}] located at 127.0.0.1:3000{node}\n{reply}")
    };
    desk.session(
        "redis-cli -c -p 30001",
        &[
            ("set k1 123123", &to(12706, 3, "OK")),
            ("get k1", "\"123123\""),
            ("set k2 24234", &to(449, 1, "OK")),
            ("get k2", "\"24234\""),
            ("get k1", &to(12706, 3, "\"123123\"")),
            // A redirection to another node ends a transaction.
            ("watch k1", "OK"),
            ("multi", "OK"),
            ("set k1 12321", "QUEUED"),
            ("set k2 324234", &to(449, 1, "OK")),
            ("exec", "(error) ERR EXEC without MULTI"),
            // Keys with the same hash tag are in the same slot.
            ("set {oo}k1 fdaf", "OK"),
            ("set {oo}k2 fafdadfasdfaf", "OK"),
            ("watch {oo}k1", "OK"),
            ("multi", "OK"),
            ("set {oo}k2 fadfafd", "QUEUED"),
            ("get {oo}k1", "QUEUED"),
            ("exec", "1) OK\n2) \"fdaf\""),
        ],
    );

    // 2000 slots move from the first node to the second.
    let told =
        desk.types("redis-cli --cluster reshard 127.0.0.1:30001", "2000\n#1\n#0\ndone\nyes\n");
    for line in [
        "How many slots do you want to move (from 1 to 16384)? What is the receiving node ID? ",
        "Please enter all the source node IDs.",
        "  Type 'all' to use all the nodes as source nodes for the hash slots.",
        "  Type 'done' once you entered all the source nodes IDs.",
        "Source node #1: Source node #2: ",
        "Do you want to proceed with the proposed reshard plan (yes/no)? ",
        "Moving slot 1999 from 127.0.0.1:30001 to 127.0.0.1:30002: ",
    ] {
        assert!(told.contains(line), "no '{line}' in\n{told}");
    }
    desk.agree(&[0, 1, 2, 3, 4, 5]);
    let info = "127.0.0.1:30001 (#0...) -> 0 keys | 3461 slots | 1 slaves.
127.0.0.1:30002 (#1...) -> 3 keys | 7462 slots | 1 slaves.
127.0.0.1:30003 (#2...) -> 1 keys | 5461 slots | 1 slaves.
[OK] 4 keys in 3 masters.
0.00 keys per slot on average.";
    desk.prints("redis-cli --cluster info 127.0.0.1:30001", info);
    let told = desk.types("redis-cli --cluster check 127.0.0.1:30001", "");
    assert!(
        told.contains("slots:[2000-5460] (3461 slots) master\n   1 additional replica(s)"),
        "{told}"
    );
    assert!(told.contains("slots:[0-1999],[5461-10922] (7462 slots) master"), "{told}");

    // A master is killed, its replica takes over, and it returns as a replica. A replica without a
    // copy of the data could not take over.
    for port in 30001..=30006 {
        desk.until(&format!("redis-cli -p {port} info replication"), |told| {
            told.contains("role:master") || told.contains("master_link_status:up")
        });
    }
    desk.types("kill -9 $(redis-cli -p 30003 info server | sed -n 's/^process_id://p')", "");
    desk.until("redis-cli -c -p 30001 get k1", |told| told == "\"123123\"\n");
    desk.types("create-cluster restart", "");
    desk.until("redis-cli -p 30003 role", |told| told.starts_with("1) \"slave\""));

    desk.prints(
        "create-cluster stop",
        "Stopping 30001\nStopping 30002\nStopping 30003\nStopping 30004\nStopping 30005\nStopping 30006",
    );
    desk.prints("create-cluster clean; ls", "bin\nconfig.sh");
}

#[test]
fn nodes_meet_by_hand_and_get_their_slots_from_their_files() {
    let mut desk = Desk::new(&["172.16.1.100:6379", "172.16.1.70:6379", "172.16.1.30:6379"]);
    desk.password = Some("mypass");
    for n in 0..3 {
        let Host { ip, port, .. } = &desk.hosts[n];
        let conf = format!(
            "bind {ip}\ncluster-announce-ip {ip}\nport {port}\nrequirepass mypass\n\
             cluster-enabled yes\nsave \"\"\n\
             cluster-config-file nodes-6379.conf\ncluster-node-timeout 15000\ndaemonize yes\n\
             dir {}\n",
            desk.dir.path().join(n.to_string()).display()
        );
        std::fs::create_dir(desk.dir.path().join(n.to_string())).expect("a directory");
        desk.write(&format!("{n}.conf"), &conf);
        desk.types(&format!("redis-server {n}.conf"), "");
    }
    desk.know();
    let cli = "redis-cli -a mypass --no-auth-warning -h 172.16.1.100 -p 6379";
    let alone = "#0 172.16.1.100:6379@16379 myself,master - 0 0 0 connected";
    let told = desk.types(&format!("{cli} --raw cluster nodes"), "");
    assert_eq!(told.replace(&(desk.hosts[0].port + 10_000).to_string(), "16379").trim(), alone);
    let meet = |desk: &Desk| {
        for n in [1, 2] {
            let Host { ip, port, .. } = &desk.hosts[n];
            desk.prints(&format!("{cli} cluster meet {ip} {port}"), "OK");
        }
    };
    let has = |desk: &Desk, lines: &[&str]| {
        desk.until(&format!("{cli} --raw cluster info"), |info| {
            lines.iter().all(|line| info.lines().any(|told| told == *line))
        });
    };
    meet(&desk);
    has(
        &desk,
        &[
            "cluster_state:fail",
            "cluster_slots_assigned:0",
            "cluster_known_nodes:3",
            "cluster_size:0",
        ],
    );
    desk.agree_on_members(3);

    // The nodes are stopped, and their slots are added to each nodes.conf.
    for (n, slots) in [(0, "0-5000"), (1, "5001-10000"), (2, "10001-16383")] {
        let Host { ip, port, .. } = &desk.hosts[n];
        desk.types(&format!("redis-cli -h {ip} -p {port} {} shutdown", desk.login()), "");
        let file = format!("{n}/nodes-6379.conf");
        let edited: String = desk
            .read(&file)
            .lines()
            .map(|line| match line.contains("myself") {
                true => format!("{line} {slots}\n"),
                false => format!("{line}\n"),
            })
            .collect();
        desk.write(&file, &edited);
        desk.types(&format!("redis-server {n}.conf"), "");
    }
    meet(&desk);
    has(
        &desk,
        &[
            "cluster_state:ok",
            "cluster_slots_assigned:16384",
            "cluster_slots_ok:16384",
            "cluster_slots_pfail:0",
            "cluster_slots_fail:0",
            "cluster_known_nodes:3",
            "cluster_size:3",
        ],
    );
}

#[test]
fn redis_trib_makes_a_cluster_of_servers_on_one_machine() {
    let mut desk = Desk::new(&[
        "127.0.0.1:7000",
        "127.0.0.1:7001",
        "127.0.0.1:7002",
        "127.0.0.1:7003",
        "127.0.0.1:7004",
        "127.0.0.1:7005",
    ]);
    desk.prints("redis-trib.rb help", TRIB_HELP);
    desk.write(
        "redis.conf",
        "port 6379\ncluster-enabled yes\ncluster-config-file nodes.conf\ncluster-node-timeout 5000\n\
         dir DIR/6379\nbind 0.0.0.0\ndaemonize yes\nreplica-announce-ip 127.0.0.1\n\
         protected-mode no\ndatabases 1\nlogfile DIR/6379/run.log\n",
    );
    let ports: Vec<String> = desk.hosts.iter().map(|host| host.port.to_string()).collect();
    let ports = ports.join(" ");
    desk.types("sed -i \"s#DIR#$PWD#\" redis.conf", "");
    desk.types(&format!("mkdir {ports} && echo {ports} | xargs -n 1 cp redis.conf"), "");
    desk.types(
        &format!("printf '%s\\n' {ports} | xargs -I{{}} sed -i 's/6379/{{}}/g' {{}}/redis.conf"),
        "",
    );
    desk.types(&format!("printf '%s\\n' {ports} | xargs -I{{}} redis-server {{}}/redis.conf"), "");
    desk.know();
    let told = desk.types(
        "redis-trib.rb create --replicas 1 127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002 \
         127.0.0.1:7003 127.0.0.1:7004 127.0.0.1:7005",
        "yes\n",
    );
    let nodes = "M: #0 127.0.0.1:7000
   slots:0-5460 (5461 slots) master
   1 additional replica(s)
M: #1 127.0.0.1:7001
   slots:5461-10922 (5462 slots) master
   1 additional replica(s)
M: #2 127.0.0.1:7002
   slots:10923-16383 (5461 slots) master
   1 additional replica(s)
S: #3 127.0.0.1:7003
   slots: (0 slots) slave
   replicates a master
S: #4 127.0.0.1:7004
   slots: (0 slots) slave
   replicates a master
S: #5 127.0.0.1:7005
   slots: (0 slots) slave
   replicates a master
[OK] All nodes agree about slots configuration.
>>> Check for open slots...
>>> Check slots coverage...
[OK] All 16384 slots covered.
";
    assert!(
        told.starts_with(
            ">>> Creating cluster\n>>> Performing hash slots allocation on 6 nodes...\n\
             Using 3 masters:\n127.0.0.1:7000\n127.0.0.1:7001\n127.0.0.1:7002\n"
        ),
        "{told}"
    );
    let check = format!(">>> Performing Cluster Check (using node 127.0.0.1:7000)\n{nodes}");
    let told = sorted(&any_master(&told));
    assert!(told.ends_with(&sorted(&check)), "{told}");
    desk.agree(&[0, 1, 2, 3, 4, 5]);
    let told = desk.types("redis-trib.rb check 127.0.0.1:7000", "");
    assert_eq!(sorted(&any_master(&told)), sorted(&check));
    desk.prints("redis-cli -c -p 7000 --raw set x 99 | tail -n 1", "OK");
    desk.prints(
        "redis-trib.rb info 127.0.0.1:7000",
        "127.0.0.1:7000 (#0...) -> 0 keys | 5461 slots | 1 slaves.
127.0.0.1:7001 (#1...) -> 0 keys | 5462 slots | 1 slaves.
127.0.0.1:7002 (#2...) -> 1 keys | 5461 slots | 1 slaves.
[OK] 1 keys in 3 masters.
0.00 keys per slot on average.",
    );
}

#[test]
fn a_cluster_of_machines_fails_over_grows_and_shrinks() {
    let mut desk = Desk::new(&[
        "192.168.4.51:6351",
        "192.168.4.52:6352",
        "192.168.4.53:6353",
        "192.168.4.54:6354",
        "192.168.4.55:6355",
        "192.168.4.56:6356",
        "192.168.4.58:6358",
    ]);
    let start = |desk: &Desk, n: usize| {
        desk.types(&format!("cd {n} && redis-server redis.conf"), "");
    };
    for n in 0..7 {
        let Host { ip, port, .. } = &desk.hosts[n];
        let conf = format!(
            "bind {ip}\ncluster-announce-ip {ip}\nport {port}\ncluster-enabled yes\n\
             cluster-config-file nodes-6379.conf\n\
             cluster-node-timeout 8000\ndaemonize yes\nrepl-diskless-sync-delay 0\n"
        );
        std::fs::create_dir(desk.dir.path().join(n.to_string())).expect("a directory");
        desk.write(&format!("{n}/redis.conf"), &conf);
        start(&desk, n);
    }
    desk.know();
    let told = desk.types("redis-cli -h 192.168.4.51 -p 6351 --raw cluster info", "");
    for line in [
        "cluster_state:fail",
        "cluster_slots_assigned:0",
        "cluster_known_nodes:1",
        "cluster_size:0",
    ] {
        assert!(told.lines().any(|known| known == line), "no {line} in {told}");
    }
    let told = sorted(&desk.types(
        "redis-trib.rb create --replicas 1 192.168.4.51:6351 192.168.4.52:6352 192.168.4.53:6353 \
         192.168.4.54:6354 192.168.4.55:6355 192.168.4.56:6356",
        "yes\n",
    ));
    let wanted = ">>> Creating cluster
>>> Performing hash slots allocation on 6 nodes...
Using 3 masters:
192.168.4.51:6351
192.168.4.52:6352
192.168.4.53:6353
Adding replica 192.168.4.55:6355 to 192.168.4.51:6351
Adding replica 192.168.4.56:6356 to 192.168.4.52:6352
Adding replica 192.168.4.54:6354 to 192.168.4.53:6353
";
    assert!(told.starts_with(wanted), "{told}");
    assert!(told.ends_with("[OK] All 16384 slots covered.\n"), "{told}");
    desk.agree(&[0, 1, 2, 3, 4, 5]);
    let told = desk.types("redis-cli -h 192.168.4.51 -p 6351 --raw cluster info", "");
    for line in [
        "cluster_state:ok",
        "cluster_slots_assigned:16384",
        "cluster_slots_ok:16384",
        "cluster_known_nodes:6",
        "cluster_size:3",
        "cluster_current_epoch:6",
        "cluster_my_epoch:1",
    ] {
        assert!(told.lines().any(|known| known == line), "no {line} in {told}");
    }
    let file = desk.read("0/nodes-6379.conf");
    assert!(file.contains("vars currentEpoch 6 lastVoteEpoch 0"), "{file}");
    let mine = file.lines().find(|line| line.contains("myself")).expect("its line");
    assert!(
        mine.starts_with("#0 192.168.4.51:6351@") && mine.ends_with(" 1 connected 0-5460"),
        "{mine}"
    );

    let to = |slot: u16, node: u16, reply: &str| {
        format!("-> Redirected to slot [{slot}] located at 192.168.4.5{node}:635{node}\n{reply}")
    };
    desk.session(
        "redis-cli -c -h 192.168.4.52 -p 6352",
        &[
            ("keys *", "(empty array)"),
            ("set name yaya", "OK"),
            ("set age girl", &to(741, 1, "OK")),
            ("keys *", "1) \"age\""),
            ("set school tarena", &to(8455, 2, "OK")),
            ("set x 99", &to(16287, 3, "OK")),
            ("keys *", "1) \"x\""),
            ("get x", "\"99\""),
            ("get age", &to(741, 1, "\"girl\"")),
            ("get name", &to(5798, 2, "\"yaya\"")),
        ],
    );
    desk.until("redis-cli -h 192.168.4.54 -p 6354 keys '*'", |told| told == "1) \"x\"\n");
    desk.session("redis-cli -c -h 192.168.4.54 -p 6354", &[("get x", &to(16287, 3, "\"99\""))]);

    // The first master is shut down, and its replica takes over.
    desk.types("redis-cli -h 192.168.4.51 -p 6351 shutdown", "");
    desk.prints(
        "redis-trib.rb info 192.168.4.51:6351",
        "[ERR] Sorry, can't connect to node 192.168.4.51:6351",
    );
    let masters = "192.168.4.52:6352 (#1...) -> 2 keys | 5462 slots | 1 slaves.
192.168.4.53:6353 (#2...) -> 1 keys | 5461 slots | 1 slaves.
192.168.4.55:6355 (#4...) -> 1 keys | 5461 slots | 0 slaves.
[OK] 4 keys in 3 masters.
0.00 keys per slot on average.
";
    desk.until("redis-trib.rb info 192.168.4.52:6352", |told| sorted(told) == sorted(masters));
    start(&desk, 0);
    desk.agree(&[0, 1, 2, 3, 4, 5]);

    // A new master, which gets a quarter of the slots.
    let told = desk.types("redis-trib.rb add-node 192.168.4.58:6358 192.168.4.53:6353", "");
    assert!(
        told.starts_with(">>> Adding node 192.168.4.58:6358 to cluster 192.168.4.53:6353\n"),
        "{told}"
    );
    assert!(
        told.ends_with(
            ">>> Send CLUSTER MEET to node 192.168.4.58:6358 to make it join the cluster.\n\
             [OK] New node added correctly.\n"
        ),
        "{told}"
    );
    desk.agree(&[0, 1, 2, 3, 4, 5, 6]);
    let told = desk.types("redis-trib.rb reshard 192.168.4.53:6353", "4096\n#6\nall\nyes\n");
    assert!(!told.contains("[ERR]"), "{told}");
    desk.agree(&[0, 1, 2, 3, 4, 5, 6]);
    let told = desk.types("redis-trib.rb check 192.168.4.58:6358", "");
    let quarter =
        "slots:0-1364,5461-6826,10923-12287 (4096 slots) master\n   0 additional replica(s)";
    assert!(told.contains(quarter), "{told}");

    // Its slots are moved back, and it is removed; so is a replica, which is added again later.
    let told = desk.types("redis-trib.rb reshard 192.168.4.56:6356", "4096\n#1\n#6\ndone\nyes\n");
    assert!(!told.contains("[ERR]"), "{told}");
    desk.agree(&[0, 1, 2, 3, 4, 5, 6]);
    for n in [6, 3] {
        desk.prints(
            &format!("redis-trib.rb del-node 192.168.4.53:6353 #{n}"),
            &format!(
                ">>> Removing node #{n} from cluster 192.168.4.53:6353
>>> Sending CLUSTER FORGET messages to the cluster...
>>> SHUTDOWN the node."
            ),
        );
    }
    desk.agree(&[0, 1, 2, 4, 5]);
    desk.types("rm -rf 3/dump.rdb 3/nodes-6379.conf", "");
    start(&desk, 3);
    desk.know_one(3);
    let told = desk.types("redis-trib.rb add-node --slave 192.168.4.54:6354 192.168.4.52:6352", "");
    for line in [
        "Automatically selected master 192.168.4.53:6353",
        ">>> Send CLUSTER MEET to node 192.168.4.54:6354 to make it join the cluster.",
        ">>> Configure node as replica of 192.168.4.53:6353.",
        "[OK] New node added correctly.",
    ] {
        assert!(told.lines().any(|known| known == line), "no '{line}' in\n{told}");
    }
    desk.agree(&[0, 1, 2, 3, 4, 5]);
    desk.until("redis-cli -h 192.168.4.54 -p 6354 keys '*'", |told| told == "1) \"x\"\n");
}
