//! Client libraries with cluster support: each keeps writing through a resharding and a failover.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use limpid_core::sharding::Slot;
use limpid_tests::process::PATIENCE;
use limpid_tests::wait::until;
use redis::Commands;
use redis::cluster::{ClusterClient, ClusterClientBuilder};

use super::{Cluster, LIMPID, PATIENT, text};
use crate::libraries::library;

/// An application in another language, which writes continuously and prints "ready" when writes
/// succeed.
struct Application {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Application {
    fn start(mut interpreter: Command, script: &str, cluster: &Cluster) -> Application {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/cluster").join(script);
        let ports = cluster.nodes.iter().map(|node| node.port().to_string());
        interpreter.arg(path).args(ports.take(3));
        interpreter.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = interpreter.spawn().expect("the interpreter is on PATH");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Application { child, stdin, stdout }
    }

    /// Sends a line and waits for the answer.
    fn says(&mut self, line: &str, wanted: &str) {
        writeln!(self.stdin, "{line}").expect("it reads");
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).expect("its output");
        assert_eq!(answer.trim(), wanted, "after '{line}'");
    }
}

/// Runs an application in another language through a resharding and a failover.
fn plays(interpreter: Command, script: &str) {
    let mut cluster = Cluster::create_with(&LIMPID, PATIENT);
    let mut application = Application::start(interpreter, script, &cluster);
    application.says("move", "ready");
    cluster.reshard(0, 1, 2000);
    application.says("move", "ready");
    cluster.reshard(1, 0, 1000);
    application.says("move", "ready");
    application.says("fail", "ready");
    cluster.loses(2);
    application.says("fail", "ready");
    application.says("end", "done");
    assert!(application.child.wait().expect("its status").success(), "{script}");
}

#[test]
fn redis_py_writes_through_a_resharding_and_a_failover() {
    plays(Command::new(library("python/bin/python")), "client.py");
}

#[test]
fn ioredis_writes_through_a_resharding_and_a_failover() {
    let mut node = Command::new("node");
    node.env("NODE_PATH", library("node/node_modules"));
    plays(node, "client.cjs");
}

#[test]
fn redis_rs_writes_through_a_resharding_and_a_failover() {
    let mut cluster = Cluster::create_with(&LIMPID, PATIENT);
    let writer = Writer::new(&cluster);
    thread::scope(|scope| {
        scope.spawn(|| writer.run());
        let _end = writer.ends();
        writer.goes_on();
        cluster.reshard(0, 1, 2000);
        writer.goes_on();
        writer.may_fail.store(true, Ordering::SeqCst);
        writer.remember();
        cluster.loses(2);
        writer.goes_on();
    });
    writer.all_there();
}

/// An application in Rust, which continuously increments many keys of a cluster.
pub(super) struct Writer {
    client: ClusterClient,
    running: AtomicBool,
    /// Whether commands may fail at present.
    may_fail: AtomicBool,
    rounds: AtomicU64,
    /// The highest acknowledged count of each key.
    acknowledged: Mutex<Vec<i64>>,
    /// The same just before a primary is killed.
    before_failure: Mutex<Option<Vec<i64>>>,
}

/// The first slot of the third primary, which is the one that is killed.
const FIRST_SLOT_THAT_DIES: u16 = 10_923;

/// Stops the writer when dropped, also if the test fails.
pub(super) struct End<'w>(&'w Writer);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::SeqCst);
    }
}

impl Writer {
    const KEYS: usize = 100;

    pub(super) fn new(cluster: &Cluster) -> Writer {
        let nodes = cluster.nodes.iter().take(3);
        let nodes = nodes.map(|node| format!("redis://127.0.0.1:{}/", node.port()));
        let builder = ClusterClientBuilder::new(nodes).retries(50);
        let builder = builder.response_timeout(PATIENCE).connection_timeout(Duration::from_secs(2));
        Writer {
            client: builder.build().expect("a client"),
            running: AtomicBool::new(true),
            may_fail: AtomicBool::new(false),
            rounds: AtomicU64::new(0),
            acknowledged: Mutex::new(vec![0; Self::KEYS]),
            before_failure: Mutex::new(None),
        }
    }

    /// Writes until [`End`] is dropped.
    pub(super) fn run(&self) {
        let mut connection = self.client.get_connection().expect("a connection");
        while self.running.load(Ordering::SeqCst) {
            for n in 0..Self::KEYS {
                match connection.incr::<_, _, i64>(format!("key:{n}"), 1) {
                    Ok(count) => {
                        let mut known = self.acknowledged.lock().expect("counts");
                        known[n] = known[n].max(count);
                    }
                    Err(_) if self.may_fail.load(Ordering::SeqCst) => {}
                    Err(error) => panic!("key:{n}: {error}"),
                }
            }
            self.rounds.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(super) fn ends(&self) -> End<'_> {
        End(self)
    }

    /// Waits for the end of a round that has not started yet.
    pub(super) fn goes_on(&self) {
        let begin = self.rounds.load(Ordering::SeqCst);
        let rounds = || self.rounds.load(Ordering::SeqCst);
        until(|| "no write arrives any more".to_owned(), || rounds() >= begin + 2);
    }

    /// Remembers the counts that are acknowledged now, before the third primary is killed. Later
    /// writes that it acknowledges may be lost with it.
    fn remember(&self) {
        let known = self.acknowledged.lock().expect("counts").clone();
        *self.before_failure.lock().expect("counts") = Some(known);
    }

    /// Fails unless every acknowledged count is there.
    pub(super) fn all_there(&self) {
        let mut connection = self.client.get_connection().expect("a connection");
        let known = self.acknowledged.lock().expect("counts");
        let before_failure = self.before_failure.lock().expect("counts");
        for n in 0..Self::KEYS {
            let key = format!("key:{n}");
            let known = match before_failure.as_ref() {
                Some(before) if Slot::of(key.as_bytes()).number() >= FIRST_SLOT_THAT_DIES => {
                    before[n]
                }
                _ => known[n],
            };
            let there: i64 = connection.get(&key).expect("a count");
            assert!(there >= known, "key:{n} counts {there} of {known}");
        }
    }
}

impl Cluster {
    /// Moves slots from one primary to another with Debian's redis-cli.
    pub(crate) fn reshard(&self, from: usize, to: usize, slots: u32) {
        // Replicas learn of earlier moves by gossip; until then the tool refuses to start.
        let check = || super::cli_output(&["--cluster", "check", &super::address(&self.nodes[0])]);
        until(|| check().1, || check().0);
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        super::cli(&[
            "--cluster",
            "reshard",
            &super::address(from),
            "--cluster-from",
            &text(from, "CLUSTER MYID"),
            "--cluster-to",
            &text(to, "CLUSTER MYID"),
            "--cluster-slots",
            &slots.to_string(),
            "--cluster-yes",
        ]);
    }

    /// Kills a primary whose replica has all writes up to now, and waits until the others serve
    /// every slot again.
    fn loses(&mut self, victim: usize) {
        let id = text(&self.nodes[victim], "CLUSTER MYID");
        let replication = || text(&self.nodes[victim], "INFO replication");
        let written = offset(&replication(), "master_repl_offset:", "\r");
        until(
            || format!("no replica has {written}: {}", replication()),
            || {
                replication().contains("slave0:")
                    && offset(&replication(), ",offset=", ",") >= written
            },
        );
        self.nodes[victim].kill();
        for node in self.living(&[victim]) {
            let nodes = || text(node, "CLUSTER NODES");
            until(
                || format!("nobody took over: {}", nodes()),
                || {
                    let of_victim = |line: &&str| line.starts_with(&id) && line.contains("fail ");
                    nodes().lines().any(|line| of_victim(&line) && line.split(' ').count() == 8)
                        && text(node, "CLUSTER INFO").contains("cluster_state:ok")
                },
            );
        }
    }
}

/// The number between two texts in INFO.
fn offset(info: &str, before: &str, after: &str) -> u64 {
    let number = info.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    number.and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}
