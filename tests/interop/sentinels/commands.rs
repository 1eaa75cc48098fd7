//! Compares a Sentinel of Redis with one of Limpid in the same state: replies, and configuration
//! files.

use limpid_core::resp::value::Value;
use limpid_tests::client::Client;
use limpid_tests::process::Kind::{self, Limpid, Redis};
use limpid_tests::process::{Process, free_port};
use limpid_tests::wait::until;

use super::{facts, words};

/// A Sentinel with its own master and replica.
struct Watch {
    sentinel: Process,
    master: Process,
    replica: Process,
    /// A port on which nothing listens.
    gone: u16,
}

impl Watch {
    fn new(kind: Kind) -> Self {
        let server = || Process::of(Limpid, &["--repl-diskless-sync-delay", "0"]);
        let (master, replica) = (server(), server());
        let port = master.port().to_string();
        Client::new(replica.connect()).call(&["REPLICAOF", "127.0.0.1", &port]);
        let lines = format!(
            "sentinel monitor mymaster 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds mymaster 60000\n"
        );
        let sentinel = Process::sentinel(kind, &lines);
        let watch = Watch { sentinel, master, replica, gone: free_port() };
        watch.ask("SENTINEL DEBUG INFO-PERIOD 200");
        // Waits until the Sentinel has discovered the replica and read its INFO.
        until(
            || format!("{:?}: {}", kind, watch.sentinel.output()),
            || {
                let replicas = watch.ask("SENTINEL REPLICAS mymaster");
                let Some([replica]) = replicas.items() else { return false };
                facts(replica)("master-link-status") == "ok"
            },
        );
        watch
    }

    fn ask(&self, line: &str) -> Value {
        let line = line
            .replace("MASTER-PORT", &self.master.port().to_string())
            .replace("GONE-PORT", &self.gone.to_string());
        Client::new(self.sentinel.connect()).call(&line.split(' ').collect::<Vec<_>>())
    }

    /// A reply in which ports, ids and times are replaced, which differ between the two.
    fn told(&self, line: &str) -> Value {
        let mut reply = self.ask(line);
        self.level(&mut reply);
        reply
    }

    fn level(&self, value: &mut Value) {
        match value {
            Value::Array(items) => {
                for at in 1..items.len() {
                    let passes = matches!(&items[at - 1], Value::Bulk(name) if PASSES.contains(&text(name).as_str()));
                    if passes {
                        items[at] = Value::bulk("some");
                    }
                }
                items.iter_mut().for_each(|item| self.level(item));
            }
            Value::Bulk(bytes) => *bytes = self.level_text(&text(bytes)).into_bytes(),
            _ => {}
        }
    }

    fn level_text(&self, text: &str) -> String {
        let is_id = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        // Except the ids of candidates, which are the same for both.
        if is_id && !CANDIDATES.contains(&text) {
            return "some id".into();
        }
        text.replace(&self.master.port().to_string(), "MASTER-PORT")
            .replace(&self.replica.port().to_string(), "REPLICA-PORT")
            .replace(&self.gone.to_string(), "GONE-PORT")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fields that change with time.
const PASSES: [&str; 10] = [
    "link-pending-commands",
    "last-ping-sent",
    "last-ok-ping-reply",
    "last-ping-reply",
    "info-refresh",
    "role-reported-time",
    "slave-repl-offset",
    "master-link-down-time",
    "s-down-time",
    "flags",
];

/// The ids of two Sentinels that are candidates for leadership.
const CANDIDATES: [&str; 2] =
    ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"];

/// Commands that are sent one after the other.
const LINES: &[&str] = &[
    "PING",
    "ROLE",
    "GET key",
    "PUBLISH channel message",
    "SENTINEL",
    "SENTINEL SING",
    "SENTINEL MYID more",
    "SENTINEL MYID",
    "SENTINEL MASTERS",
    "SENTINEL MASTER mymaster",
    "SENTINEL MASTER nobody",
    "SENTINEL MASTER",
    "SENTINEL REPLICAS mymaster",
    "SENTINEL SLAVES mymaster",
    "SENTINEL SLAVES nobody",
    "SENTINEL SENTINELS mymaster",
    "SENTINEL SENTINELS nobody",
    "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster",
    "SENTINEL GET-MASTER-ADDR-BY-NAME nobody",
    "SENTINEL CKQUORUM mymaster",
    "SENTINEL CKQUORUM nobody",
    "SENTINEL PENDING-SCRIPTS",
    "SENTINEL FLUSHCONFIG",
    "SENTINEL FLUSHCONFIG more",
    // Votes: one per epoch, and none in an old epoch.
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 MASTER-PORT 0 *",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 GONE-PORT 0 *",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 port 0 *",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 MASTER-PORT epoch *",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 MASTER-PORT 0",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 MASTER-PORT 7 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 MASTER-PORT 7 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 MASTER-PORT 6 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 MASTER-PORT 8 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    // Another master.
    "SENTINEL MONITOR other 127.0.0.1 GONE-PORT 2",
    "SENTINEL MONITOR other 127.0.0.1 GONE-PORT 2",
    "SENTINEL MONITOR third 127.0.0.1 GONE-PORT 0",
    "SENTINEL MONITOR third 127.0.0.1 GONE-PORT many",
    "SENTINEL MONITOR third 127.0.0.1 port 1",
    "SENTINEL MONITOR third 127.0.0.1 70000 1",
    "SENTINEL MONITOR third no.such.host GONE-PORT 1",
    "SENTINEL GET-MASTER-ADDR-BY-NAME other",
    "SENTINEL CKQUORUM other",
    "SENTINEL FAILOVER other",
    "SENTINEL FAILOVER nobody",
    "SENTINEL REPLICAS other",
    "SENTINEL SET other",
    "SENTINEL SET nobody quorum 1",
    "SENTINEL SET other quorum 0",
    "SENTINEL SET other quorum many",
    "SENTINEL SET other quorum 1 parallel-syncs 2 failover-timeout 1000",
    "SENTINEL SET other down-after-milliseconds 60000 auth-user app auth-pass secret",
    "SENTINEL SET other master-reboot-down-after-period 100",
    "SENTINEL SET other rename-command CONFIG GUESSME",
    "SENTINEL SET other rename-command CONFIG",
    "SENTINEL SET other sing loudly",
    "SENTINEL SET other failover-timeout -1",
    "SENTINEL SET other notification-script /bin/true",
    "SENTINEL SET other client-reconfig-script /bin/true",
    "SENTINEL MASTER other",
    "SENTINEL CKQUORUM other",
    "SENTINEL REMOVE other",
    "SENTINEL REMOVE other",
    // The Sentinel itself.
    "SENTINEL CONFIG",
    "SENTINEL CONFIG GET resolve-hostnames",
    "SENTINEL CONFIG GET announce-hostnames",
    "SENTINEL CONFIG SET announce-ip 10.1.2.3",
    "SENTINEL CONFIG GET announce-ip",
    "SENTINEL CONFIG SET announce-port 4321",
    "SENTINEL CONFIG GET announce-port",
    "SENTINEL CONFIG SET sentinel-user watcher",
    "SENTINEL CONFIG GET sentinel-user",
    "SENTINEL CONFIG SET sentinel-pass secret",
    "SENTINEL CONFIG GET sentinel-pass",
    "SENTINEL DEBUG",
    "SENTINEL DEBUG PING-PERIOD 900 ASK-PERIOD 800",
    "SENTINEL DEBUG PING-PERIOD soon",
    "SENTINEL DEBUG SING 1",
    "SENTINEL DEBUG",
    "SENTINEL SIMULATE-FAILURE HELP",
    "SENTINEL SIMULATE-FAILURE sing",
    "SENTINEL SIMULATE-FAILURE crash-after-election crash-after-promotion",
    "INFO sentinel",
    "SENTINEL RESET nobody",
    "SENTINEL RESET my*",
];

#[test]
fn every_subcommand_answers_as_in_redis() {
    let [redis, limpid] = [Redis, Limpid].map(Watch::new);
    let mut differences = Vec::new();
    for line in LINES {
        let (wanted, given) = (redis.told(line), limpid.told(line));
        if wanted != given {
            let [wanted, given] = [wanted, given].map(|reply| words(&reply).join(" | "));
            differences.push(format!("{line}\n  Redis:  {wanted}\n  Limpid: {given}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));

    // New in 7.2: several options at once, and the log level.
    let set = limpid.ask("SENTINEL CONFIG SET loglevel debug announce-port 1234");
    assert_eq!(set, Value::Simple(b"OK".to_vec()));
    let got = words(&limpid.ask("SENTINEL CONFIG GET loglevel announce-port"));
    assert_eq!(got, ["announce-port", "1234", "loglevel", "debug"]);

    // The last INFO replies of both servers, each with its age.
    for watch in [&redis, &limpid] {
        until(
            || format!("{:?}", watch.ask("SENTINEL INFO-CACHE mymaster")),
            || {
                let cache = watch.ask("SENTINEL INFO-CACHE mymaster nobody");
                let Some([name, Value::Array(reports)]) = cache.items() else { return false };
                let is_report = |report: &Value| {
                    let Some([Value::Integer(_), Value::Bulk(info)]) = report.items() else {
                        return false;
                    };
                    text(info).contains("run_id:")
                };
                *name == Value::bulk("mymaster")
                    && reports.len() == 2
                    && reports.iter().all(is_report)
            },
        );
    }

    // The help lists all subcommands, with its own texts.
    let names = |watch: &Watch| {
        let lines = words(&watch.ask("SENTINEL HELP"));
        let first = |line: &String| line.split(' ').next().map(str::to_owned).unwrap_or_default();
        let mut names: Vec<String> =
            lines[1..].iter().filter(|line| !line.starts_with(' ')).map(first).collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(names(&limpid), names(&redis));
}

/// All directives, with values that differ from the defaults.
const DIRECTIVES: &[&str] = &[
    "sentinel myid cccccccccccccccccccccccccccccccccccccccc",
    "sentinel deny-scripts-reconfig no",
    "sentinel resolve-hostnames yes",
    "sentinel announce-hostnames yes",
    "sentinel monitor mymaster 127.0.0.1 PORT 2",
    "sentinel down-after-milliseconds mymaster 12345",
    "sentinel failover-timeout mymaster 54321",
    "sentinel parallel-syncs mymaster 3",
    "sentinel notification-script mymaster /bin/true",
    "sentinel client-reconfig-script mymaster /bin/false",
    "sentinel auth-pass mymaster secret",
    "sentinel auth-user mymaster app",
    "sentinel master-reboot-down-after-period mymaster 7000",
    "sentinel rename-command mymaster CONFIG GUESSME",
    "sentinel config-epoch mymaster 4",
    "sentinel leader-epoch mymaster 5",
    "sentinel known-replica mymaster 127.0.0.1 1001",
    "sentinel known-sentinel mymaster 127.0.0.1 1002 dddddddddddddddddddddddddddddddddddddddd",
    "sentinel current-epoch 6",
    "sentinel announce-ip \"10.1.2.3\"",
    "sentinel announce-port 4321",
    "sentinel sentinel-user watcher",
    "sentinel sentinel-pass hush",
];

#[test]
fn every_directive_survives_in_the_file_of_either_kind() {
    let master = Process::server(&[]);
    let port = master.port().to_string();
    let mut wanted: Vec<String> =
        DIRECTIVES.iter().map(|line| line.replace("PORT", &port)).collect();
    let mut sentinel = Process::sentinel(Limpid, &wanted.join("\n"));
    wanted.sort();
    for kind in [Limpid, Redis, Limpid] {
        sentinel.become_sentinel(kind);
        let flushed = Client::new(sentinel.connect()).call(&["SENTINEL", "FLUSHCONFIG"]);
        assert_eq!(flushed, Value::Simple(b"OK".to_vec()), "{}", sentinel.output());
        let file = std::fs::read_to_string(sentinel.dir().join("sentinel.conf")).expect("a file");
        let lines = file.lines().filter(|line| line.starts_with("sentinel "));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, wanted, "{kind:?}");
    }
}
