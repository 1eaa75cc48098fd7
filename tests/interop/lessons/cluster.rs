//! The notes about clusters, typed at a shell with Limpid under Redis's names: `redis-trib.rb`,
//! `redis-cli --cluster`, `create-cluster`, and nodes that meet by hand.
//!
//! A machine of the notes is an address of the loopback here, and its port is a free one; what is
//! printed is compared in the notes' own addresses. On the loopback a node cannot see from which of
//! these addresses another one comes, so each announces its own.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use limpid_tests::process::{binary, free_bus_port};
use limpid_tests::wait::{until, until_some};
use tempfile::TempDir;

use crate::cluster::tools::sorted;

/// A directory in which commands are typed, and the servers that these start.
struct Desk {
    dir: TempDir,
    /// The addresses of the notes, where these are here, and the name that the node has in its cluster.
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
    /// `noted`: the addresses of the notes. Those that differ in their last number are machines.
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

    /// What is typed, in the addresses that the hosts have here; `#n` stands for a node's name.
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

    /// What is printed, in the addresses of the notes.
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

    /// What a line at the shell prints, with this typed into it.
    fn types(&self, line: &str, input: &str) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{} 2>&1", self.meant(line))]).current_dir(self.dir.path());
        shell.env("PATH", format!("{}:{path}", self.dir.path().join("bin").display()));
        shell.env("TERM", "dumb").env("FAKETTY", "1");
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn().expect("a shell");
        let mut stdin = child.stdin.take().expect("piped");
        // Some end without reading.
        let _ = stdin.write_all(self.meant(input).as_bytes());
        drop(stdin);
        let out = child.wait_with_output().expect("what it prints");
        self.noted(&String::from_utf8_lossy(&out.stdout))
    }

    /// What a line at the shell prints, where the order of the nodes does not count.
    #[track_caller]
    fn prints(&self, line: &str, wanted: &str) {
        assert_eq!(sorted(&self.types(line, "")), sorted(&format!("{wanted}\n")), "{line}");
    }

    /// What a client prints line by line at a terminal.
    #[track_caller]
    /// Waits until what a line prints holds.
    fn until(&self, line: &str, wanted: impl Fn(&str) -> bool) {
        let printed = || self.types(line, "");
        until(|| format!("{line} gives {}", printed()), || wanted(&printed()));
    }

    /// Learns the names of the nodes, which answer.
    fn know(&mut self) {
        for n in 0..self.hosts.len() {
            self.know_one(n);
        }
    }

    fn login(&self) -> String {
        self.password.map_or_else(String::new, |word| format!("-a {word} --no-auth-warning"))
    }

    /// Waits until every node of these agrees on the others and serves its slots, which a node does
    /// only some time after it has heard of the others.
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

    /// Waits until every node knows so many.
    fn agree_on_members(&self, count: usize) {
        for Host { ip, port, .. } in &self.hosts {
            let line = format!("redis-cli -h {ip} -p {port} {} --raw cluster nodes", self.login());
            self.until(&line, |nodes| {
                nodes.lines().count() == count && !nodes.contains("handshake")
            });
        }
    }

    /// Learns the name of a node that has a new one.
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
        // They run in the background, so that nobody else ends them.
        for n in 0..self.hosts.len() {
            let Host { ip, port, .. } = &self.hosts[n];
            self.types(
                &format!("redis-cli -h {ip} -p {port} {} shutdown nosave", self.login()),
                "",
            );
        }
    }
}

/// Which master a replica gets is up to chance where all stand on one machine.
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

    // They are stopped, and each file is given the slots of its node.
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
