//! FAILOVER with faults: Limpid behaves and logs as redis-server does.

use std::process::Command;

use limpid_core::resp::value::Value;
use limpid_tests::client::{self, Client, field};
use limpid_tests::process::Kind::{self, Limpid, Redis};
use limpid_tests::process::Process;
use limpid_tests::wait::until;

/// A primary and its replica of one kind, with a record of what was observed.
struct Pair {
    primary: Process,
    replica: Process,
    /// A client that writes during the pause.
    writer: Client,
    seen: Vec<String>,
}

impl Pair {
    fn new(kind: Kind) -> Self {
        let own = ["--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes"];
        let primary = Process::of(kind, &own);
        let of = ["--replicaof", &format!("127.0.0.1 {}", primary.port())];
        let replica = Process::of(kind, &[&own[..], &of].concat());
        let writer = Client::new(primary.connect());
        let mut pair = Pair { primary, replica, writer, seen: Vec::new() };
        pair.online();
        // The primary reports it as soon as it has sent everything.
        pair.until("it has all", |pair| {
            field(&pair.info(&pair.replica), "master_link_status") == "up"
        });
        pair
    }

    /// Sends a command to the primary and records the reply. `<replica>` stands for the replica's
    /// host and port.
    fn ask(&mut self, line: &str) {
        let words = line.replace("<replica>", &format!("127.0.0.1 {}", self.replica.port()));
        let words: Vec<&str> = words.split(' ').collect();
        let reply = Client::new(self.primary.connect()).call(&words);
        self.note(format!("{line}: {}", text(&reply)));
    }

    fn note(&mut self, what: String) {
        let names = [(self.primary.port(), "<primary>"), (self.replica.port(), "<replica>")];
        let what =
            names.iter().fold(what, |text, (port, name)| text.replace(&port.to_string(), name));
        self.seen.push(what);
    }

    fn info(&self, of: &Process) -> String {
        Client::new(of.connect()).info("replication")
    }

    /// A field of the primary's INFO.
    fn field(&self, name: &str) -> String {
        field(&self.info(&self.primary), name)
    }

    /// Records the state of the primary.
    fn state(&mut self) {
        let info = self.info(&self.primary);
        let of = |name| field(&info, name);
        let text = format!("{} {}", of("role"), of("master_failover_state"));
        self.note(text);
    }

    fn online(&mut self) {
        self.until("it is online", |pair| pair.field("slave0").contains("state=online"));
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        until(|| format!("{what}? {}", self.primary.output()), || holds(self));
    }

    fn says(&self, text: &str) -> usize {
        self.primary.output().matches(text).count()
    }

    fn signal(&self, signal: &str) {
        let pid = self.replica.pid().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    /// Stops the replica while it lacks writes, starts a failover, and lets the writer send a
    /// write.
    fn hand_over(&mut self, line: &str) {
        self.signal("-STOP");
        self.ask("SET behind 1");
        self.ask(line);
        self.writer.send(&["SET", "meanwhile", "1"]);
        self.ask("GET behind");
    }

    fn kill_replica(&mut self) {
        self.replica.kill();
        self.until("it is gone", |pair| {
            pair.field("role") == "slave" || pair.field("connected_slaves") == "0"
        });
    }

    /// Records how many replies the writer has received.
    fn written(&mut self) {
        let replies = self.writer.arrived().0.len();
        self.note(format!("the writer has {replies} replies"));
    }

    /// Records the next reply to the writer.
    fn writer_hears(&mut self) {
        let reply = self.writer.read().map(|reply| text(&reply.value));
        self.note(format!("the writer: {reply:?}"));
    }

    /// The whole record, with both servers' log lines about the failover.
    fn end(mut self) -> Vec<String> {
        for process in [&mut self.primary, &mut self.replica] {
            process.kill();
            process.wait();
        }
        for (who, output) in
            [("primary", self.primary.output()), ("replica", self.replica.output())]
        {
            let lines = output.lines().filter(|line| line.to_lowercase().contains("failover"));
            for line in lines {
                // Without process, role, time and level, which differs in 7.0.
                // Replication ids and client ids differ.
                let text = line.split(' ').skip(6).collect::<Vec<_>>().join(" ");
                let ends = ["id=", "for replid "].map(|end| text.find(end).unwrap_or(text.len()));
                self.note(format!("{who}: {}", &text[..ends[0].min(ends[1])]));
            }
        }
        self.seen
    }
}

/// A reply as text.
fn text(reply: &Value) -> String {
    reply.bytes().map_or_else(|| format!("{reply:?}"), |_| client::text(reply))
}

/// Runs the same with both kinds, and compares the records.
fn same(play: impl Fn(&mut Pair)) {
    let [limpid, redis] = [Limpid, Redis].map(|kind| {
        let mut pair = Pair::new(kind);
        play(&mut pair);
        pair.end()
    });
    assert_eq!(limpid, redis);
}

const IN_PROGRESS: &str = "failover-in-progress";

#[test]
fn failover_keeps_waiting_for_a_dead_target_until_abort() {
    same(|pair| {
        pair.hand_over("FAILOVER TO <replica> TIMEOUT 600000");
        pair.state();
        pair.kill_replica();
        pair.state();
        pair.ask("FAILOVER TO <replica>");
        pair.ask("REPLICAOF NO ONE");
        pair.written();
        pair.ask("FAILOVER ABORT");
        pair.writer_hears();
        pair.state();
        pair.ask("FAILOVER ABORT");
    });
}

#[test]
fn a_dead_replica_cannot_rejoin_while_failover_waits_for_any_target() {
    same(|pair| {
        pair.hand_over("FAILOVER TIMEOUT 600000");
        pair.kill_replica();
        pair.replica.restart(true);
        let refused = "Can't SYNC while failing over";
        let replica = &pair.replica;
        until(|| replica.output(), || replica.output().contains(refused));
        pair.state();
        pair.written();
        pair.ask("FAILOVER ABORT");
        pair.writer_hears();
        pair.online();
        pair.state();
    });
}

#[test]
fn the_timeout_ends_for_dead_and_slow_targets() {
    same(|pair| {
        pair.hand_over("FAILOVER TO <replica> TIMEOUT 1500");
        pair.kill_replica();
        pair.writer_hears();
        pair.until("it is over", |pair| pair.field("master_failover_state") == "no-failover");
        pair.state();
    });
}

#[test]
fn with_force_a_dead_target_is_asked_until_the_failover_is_aborted() {
    same(|pair| {
        pair.hand_over("FAILOVER TO <replica> TIMEOUT 1500 FORCE");
        pair.kill_replica();
        pair.until("it is tried", |pair| pair.field("master_failover_state") == IN_PROGRESS);
        pair.until("it is tried again", |pair| pair.says("Connection refused") > 1);
        pair.state();
        pair.written();
        pair.ask("REPLICAOF NO ONE");
        pair.ask("FAILOVER");
        pair.ask("FAILOVER ABORT");
        pair.writer_hears();
        pair.state();
        pair.ask("GET meanwhile");
    });
}

#[test]
fn with_force_a_target_that_comes_back_takes_over_with_its_dump() {
    same(|pair| {
        pair.hand_over("FAILOVER TO <replica> TIMEOUT 1500 FORCE");
        pair.kill_replica();
        pair.until("it is tried", |pair| pair.field("master_failover_state") == IN_PROGRESS);
        pair.replica.restart(true);
        pair.writer_hears();
        pair.until("the link is up", |pair| pair.field("master_link_status") == "up");
        pair.state();
        pair.ask("GET behind");
    });
}

#[test]
fn with_force_a_target_that_comes_back_without_data_is_refused() {
    same(|pair| {
        pair.hand_over("FAILOVER TO <replica> TIMEOUT 1500 FORCE");
        pair.kill_replica();
        pair.until("it is tried", |pair| pair.field("master_failover_state") == IN_PROGRESS);
        // The dump of the copy that it got from the primary.
        let dump = pair.replica.dir().join("dump.rdb");
        std::fs::remove_file(dump).expect("a dump");
        pair.replica.restart(true);
        pair.writer_hears();
        pair.until("it is over", |pair| pair.field("master_failover_state") == "no-failover");
        pair.state();
        pair.online();
    });
}

#[test]
fn with_force_a_stopped_target_takes_over_with_the_data_it_has() {
    same(|pair| {
        pair.hand_over("FAILOVER TO <replica> TIMEOUT 1500 FORCE");
        pair.until("it is tried", |pair| pair.field("master_failover_state") == IN_PROGRESS);
        pair.state();
        pair.written();
        pair.signal("-CONT");
        pair.writer_hears();
        pair.until("the link is up", |pair| pair.field("master_link_status") == "up");
        pair.state();
        let role = field(&pair.info(&pair.replica), "role");
        pair.note(format!("the replica: {role}"));
    });
}

#[test]
fn a_forced_failover_can_be_aborted_while_a_stopped_target_is_asked() {
    same(|pair| {
        pair.hand_over("FAILOVER TO <replica> TIMEOUT 1500 FORCE");
        pair.until("it is tried", |pair| pair.field("master_failover_state") == IN_PROGRESS);
        pair.ask("FAILOVER ABORT");
        pair.writer_hears();
        pair.state();
        pair.signal("-CONT");
        pair.online();
        pair.state();
        let role = field(&pair.info(&pair.replica), "role");
        pair.note(format!("the replica: {role}"));
    });
}

#[test]
fn what_cannot_be_handed_over_is_refused() {
    same(|pair| {
        for line in [
            "FAILOVER ABORT",
            "FAILOVER ABORT TIMEOUT 1",
            "FAILOVER FORCE",
            "FAILOVER FORCE TIMEOUT 100",
            "FAILOVER TO <replica> FORCE",
            "FAILOVER TO <replica> FORCE FORCE TIMEOUT 100",
            "FAILOVER TO <replica> TO <replica>",
            "FAILOVER TO 127.0.0.1",
            "FAILOVER TO 127.0.0.1 x",
            "FAILOVER TO 127.0.0.1 -1",
            "FAILOVER TO 127.0.0.2 1",
            "FAILOVER TIMEOUT",
            "FAILOVER TIMEOUT 0",
            "FAILOVER TIMEOUT -1",
            "FAILOVER TIMEOUT x",
            "FAILOVER TIMEOUT 1 TIMEOUT 1",
            "FAILOVER SIDEWAYS",
            "PSYNC ? -1 FAILOVER",
        ] {
            pair.ask(line);
        }
        pair.state();
        let reply = Client::new(pair.replica.connect()).call(&["FAILOVER"]);
        pair.note(format!("the replica: {}", text(&reply)));
        let words = ["PSYNC", "8371445ee47dffbb2acd0b0e9e9d0ea2eeebe2b6", "1", "FAILOVER"];
        let reply = Client::new(pair.replica.connect()).call(&words);
        pair.note(format!("the replica: {}", text(&reply)));
        pair.replica.kill();
        pair.until("it is gone", |pair| pair.field("connected_slaves") == "0");
        pair.ask("FAILOVER");
    });
}
