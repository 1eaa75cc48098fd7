//! How long writes stop when the server that takes them is killed: from `kill -9` to the first
//! write that is acknowledged again, with Sentinels and in a Cluster, of Limpid and of Redis in
//! turn.
//!
//! Each round starts a deployment of its own, waits until all of it know each other, and kills the
//! primary. Timers decide much of what is measured (a PING each second, for one), so the moment of
//! the kill differs from round to round, and is the same for both programs in a round. The medians
//! count.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::server::encode;
use super::verdict::{Findings, Ratio};
use super::{Programs, order_of};

/// The highest median, as a multiple of Redis's.
const GOAL: f64 = 0.9;

/// `down-after-milliseconds`, and `cluster-node-timeout` as well.
const TIMEOUT_MS: u64 = 1_000;

/// How long a deployment may take to start, or to replace a primary.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The time between two checks of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A key of slot 0.
const SLOT_0: &str = "la2";

/// The time between two attempts of the client to write.
const RETRY_INTERVAL: Duration = Duration::from_millis(2);

/// Prints how long writes stop, with Sentinels and in a Cluster. Returns the rows that missed their
/// goal.
pub(super) fn writes_stop(
    programs: &Programs,
    rounds: usize,
    named: impl Fn(&str) -> bool,
) -> Result<Findings> {
    let mut found = Findings::default();
    println!(
        "\nFrom kill -9 of a primary to the first write that is acknowledged, in {rounds} rounds;\n\
         down-after-milliseconds and cluster-node-timeout are {TIMEOUT_MS} ms.\n\
         {:28} {:>8} {:>8} {:>6} {:>6}",
        "", "Limpid", "Redis", "ratio", "goal"
    );
    for (name, measure) in ROWS.iter().filter(|(name, _)| named(name)) {
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            // The kill is at a different moment of the second between two PINGs in each round.
            let phase = Duration::from_millis(1_000 * round as u64 / rounds as u64);
            for which in order_of(round) {
                let took = measure(&Kind::of(programs, which), phase)
                    .with_context(|| format!("{name}, {}", ["Limpid", "Redis"][which]))?;
                times[which].push(took.as_secs_f64() * 1e3);
            }
        }
        let [limpid, redis] = times.map(|times| Ratio::of(&times));
        let verdict = Ratio::of(&[limpid.median / redis.median]).against(GOAL);
        println!(
            "{:28} {:>8.0} {:>8.0} {:>6.2} {GOAL:>6.2}{}",
            format!("{name}, median, ms"),
            limpid.median,
            redis.median,
            limpid.median / redis.median,
            verdict.mark()
        );
        let half = |times: Ratio| format!("{:.0}-{:.0}", times.low, times.high);
        println!("{:28} {:>8} {:>8}", "  half within", half(limpid), half(redis));
        found.note(name, verdict);
    }
    Ok(found)
}

/// A row: its title, and the measurement, which takes the program and the delay between the time at
/// which the deployment is up and the kill.
type Row = (&'static str, fn(&Kind, Duration) -> Result<Duration>);
const ROWS: [Row; 2] = [("failover: Sentinel", sentinels), ("failover: Cluster", cluster)];

/// The program under measurement.
pub(super) struct Kind {
    pub(super) program: PathBuf,
    /// Arguments that come before a server's own.
    first: &'static [&'static str],
}

impl Kind {
    pub(super) fn of(programs: &Programs, which: usize) -> Self {
        match which {
            0 => Kind { program: programs.limpid.clone(), first: &["server"] },
            _ => Kind { program: programs.redis.clone(), first: &[] },
        }
    }
}

/// Measures a primary with two replicas and three Sentinels, and a client that asks the Sentinels.
fn sentinels(kind: &Kind, phase: Duration) -> Result<Duration> {
    let common = ["--save", "", "--repl-diskless-sync-delay", "0"];
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(Node::start(kind, "", &common)?);
    }
    let old = servers[0].port;
    for replica in &servers[1..] {
        replica.call(&["REPLICAOF", "127.0.0.1", &old.to_string()])?;
    }
    for replica in &servers[1..] {
        until("a copy", || replica.info("replication", "master_link_status:up"))?;
    }
    let file = format!(
        "sentinel monitor mymaster 127.0.0.1 {old} 2\n\
         sentinel down-after-milliseconds mymaster {TIMEOUT_MS}\n\
         sentinel failover-timeout mymaster 10000\n"
    );
    let mut sentinels = Vec::new();
    for _ in 0..3 {
        sentinels.push(Node::start(kind, &file, &["--sentinel"])?);
    }
    for sentinel in &sentinels {
        until("the Sentinels to know all", || {
            let told = sentinel.call(&["SENTINEL", "MASTER", "mymaster"])?;
            let is = |field: &str| told.windows(2).any(|pair| pair[0] == field && pair[1] == "2");
            let replicas = sentinel.call(&["SENTINEL", "REPLICAS", "mymaster"])?;
            let ready = replicas
                .windows(2)
                .filter(|pair| pair[0] == "master-link-status" && pair[1] == "ok");
            Ok(is("num-slaves") && is("num-other-sentinels") && ready.count() == 2)
        })?;
    }

    // The client is connected to the Sentinels beforehand, as one that has run for a while.
    let mut asked = sentinels.iter().map(Node::connect).collect::<Result<Vec<_>>>()?;
    std::thread::sleep(phase);
    let killed = servers.remove(0).kill()?;
    until_written(killed, |attempt| {
        let sentinel = &mut asked[attempt % 3];
        let told = sentinel.call(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"])?;
        let port = told.get(1).and_then(|port| port.parse().ok()).unwrap_or(old);
        Ok(port != old && writes(port))
    })
}

/// Measures three primaries with a replica each, and a client that knows all of them.
fn cluster(kind: &Kind, phase: Duration) -> Result<Duration> {
    let timeout = TIMEOUT_MS.to_string();
    let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", &timeout];
    let options = [&options[..], &["--save", "", "--repl-diskless-sync-delay", "0"]].concat();
    let mut nodes = Vec::new();
    for _ in 0..6 {
        nodes.push(Node::start(kind, "", &options)?);
    }
    let slots = ["0 5460", "5461 10922", "10923 16383"];
    for (epoch, node) in nodes.iter().enumerate() {
        node.call(&["CLUSTER", "SET-CONFIG-EPOCH", &(epoch + 1).to_string()])?;
        if epoch > 0 {
            node.call(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port.to_string()])?;
        }
        if let Some(range) = slots.get(epoch).and_then(|range| range.split_once(' ')) {
            node.call(&["CLUSTER", "ADDSLOTSRANGE", range.0, range.1])?;
        }
    }
    for (at, node) in nodes.iter().enumerate() {
        until("all to have met", || {
            // On a busy machine a handshake may take longer than the timeout and be dropped, so
            // MEET is repeated.
            let met = node.cluster_info("cluster_known_nodes:6")?;
            if !met && at > 0 {
                node.call(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port.to_string()])?;
            }
            Ok(met)
        })?;
    }
    for (primary, replica) in nodes[..3].iter().zip(&nodes[3..]) {
        let id = primary.call(&["CLUSTER", "MYID"])?.concat();
        // The node may not know the primary yet, so this is repeated.
        until("a replica", || Ok(replica.call(&["CLUSTER", "REPLICATE", &id])?.concat() == "OK"))?;
    }
    for node in &nodes {
        until("the cluster to work", || {
            let shards = node.call(&["CLUSTER", "NODES"])?.concat();
            let replicas = shards.lines().filter(|line| line.contains("slave")).count();
            Ok(replicas == 3 && node.cluster_info("cluster_state:ok")?)
        })?;
    }
    for replica in &nodes[3..] {
        until("a copy", || replica.info("replication", "master_link_status:up"))?;
    }

    std::thread::sleep(phase);
    let killed = nodes.remove(0).kill()?;
    // The key is in a slot of the killed primary.
    until_written(killed, |attempt| Ok(writes(nodes[attempt % nodes.len()].port)))
}

/// The time from `killed` until a write is acknowledged. `attempt` gets the number of the attempt.
fn until_written(
    killed: Instant,
    mut write: impl FnMut(usize) -> Result<bool>,
) -> Result<Duration> {
    for attempt in 0.. {
        if write(attempt)? {
            break;
        }
        ensure!(killed.elapsed() < TIMEOUT, "no write is acknowledged");
        std::thread::sleep(RETRY_INTERVAL);
    }
    Ok(killed.elapsed())
}

/// Whether the server at a port accepts a write to slot 0: it is reachable, and does not reply with
/// an error or a redirection.
fn writes(port: u16) -> bool {
    let write = || Connection::to(port)?.call(&["SET", SLOT_0, "x"]);
    write().is_ok_and(|reply| reply == ["OK"])
}

pub(super) fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !holds()? {
        ensure!(begin.elapsed() < TIMEOUT, "waited in vain for {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// A running server or Sentinel with a directory of its own.
pub(super) struct Node {
    child: Child,
    pub(super) port: u16,
    dir: PathBuf,
}

impl Node {
    /// Starts a program with a configuration file of a port and `lines`.
    pub(super) fn start(kind: &Kind, lines: &str, options: &[&str]) -> Result<Node> {
        let port = free_port()?;
        let dir = std::env::temp_dir().join(format!("limpid-bench-failover-{port}"));
        std::fs::create_dir_all(&dir)?;
        let file = dir.join("it.conf");
        let own = format!("port {port}\nbind 127.0.0.1\ndir {}\n{lines}", dir.display());
        std::fs::write(&file, own)?;
        let mut command = Command::new(&kind.program);
        command.args(kind.first).arg(&file).args(options).current_dir(&dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot start {:?}", kind.program))?;
        let mut node = Node { child, port, dir };
        until("a program to listen", || {
            if let Some(status) = node.child.try_wait()? {
                bail!("{:?} {options:?} ended at once ({status})", kind.program);
            }
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
        })?;
        Ok(node)
    }

    pub(super) fn connect(&self) -> Result<Connection> {
        Connection::to(self.port)
    }

    pub(super) fn call(&self, words: &[&str]) -> Result<Vec<String>> {
        self.connect()?.call(words)
    }

    /// Whether INFO has this line.
    fn info(&self, section: &str, line: &str) -> Result<bool> {
        Ok(self.call(&["INFO", section])?.concat().lines().any(|there| there == line))
    }

    pub(super) fn cluster_info(&self, line: &str) -> Result<bool> {
        Ok(self.call(&["CLUSTER", "INFO"])?.concat().lines().any(|there| there == line))
    }

    /// Kills it with SIGKILL. Returns the moment just before.
    fn kill(mut self) -> Result<Instant> {
        let now = Instant::now();
        self.child.kill()?;
        Ok(now)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A connection to a server.
pub(super) struct Connection(BufReader<TcpStream>);

impl Connection {
    fn to(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// Sends a command. Returns the strings and numbers of its reply as a flat list; an error
    /// begins with its `-`.
    pub(super) fn call(&mut self, words: &[&str]) -> Result<Vec<String>> {
        let mut request = Vec::new();
        encode(&mut request, &words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        self.0.get_mut().write_all(&request)?;
        let (mut out, mut left) = (Vec::new(), 1_u64);
        while left > 0 {
            left -= 1;
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let line = line.trim_end();
            let number = || line.get(1..).and_then(|n| n.parse().ok()).unwrap_or(0);
            match line.as_bytes().first().context("the connection was closed")? {
                b'*' => left += number(),
                b'$' if line != "$-1" => {
                    let mut text = vec![0; usize::try_from(number())? + 2];
                    self.0.read_exact(&mut text)?;
                    text.truncate(text.len() - 2);
                    out.push(String::from_utf8_lossy(&text).into_owned());
                }
                b'$' => out.push(String::new()),
                b'-' => out.push(line.to_owned()),
                _ => out.push(line[1..].to_owned()),
            }
        }
        Ok(out)
    }
}

/// A free port; the port 10,000 above, for the cluster bus, is free, too.
pub(super) fn free_port() -> Result<u16> {
    for _ in 0..1_000 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let bus = port.checked_add(10_000);
        if bus.is_some_and(|bus| TcpListener::bind((Ipv4Addr::LOCALHOST, bus)).is_ok()) {
            return Ok(port);
        }
    }
    bail!("no port is free whose bus port, ten thousand above, is free too")
}
