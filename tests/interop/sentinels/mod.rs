//! Sentinels of both kinds watching servers of both kinds: detection, votes, leadership, clients
//! and configuration files.

mod clients;
mod commands;
mod course;
mod scripts;

use limpid_core::resp::value::Value;
use limpid_tests::client::Client;
use limpid_tests::process::Kind::{self, Limpid, Redis};
use limpid_tests::process::Process;
use limpid_tests::wait::{until, until_some};

/// A master with two replicas, and three Sentinels.
struct Group {
    servers: Vec<Process>,
    sentinels: Vec<Process>,
}

/// Directives of Sentinels that all tests share, with short timeouts.
const QUICK: &str = "sentinel failover-timeout mymaster 5000\n";

impl Group {
    /// Starts servers, the master first, and Sentinels, each with further lines of its file.
    fn new(servers: [Kind; 3], sentinels: [(Kind, &str); 3], directives: &[&str]) -> Self {
        let common = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
        let directives = [&common[..], directives].concat();
        let servers: Vec<Process> =
            servers.into_iter().map(|kind| Process::of(kind, &directives)).collect();
        let master = servers[0].port().to_string();
        let mut group = Group { servers, sentinels: Vec::new() };
        for replica in &group.servers[1..] {
            group.call(replica, &["REPLICAOF", "127.0.0.1", &master]);
        }
        for replica in &group.servers[1..] {
            until(
                || format!("the replica has no copy:\n{}", replica.output()),
                || group.role(replica) == format!("slave of {master}, connected"),
            );
        }
        for (kind, lines) in sentinels {
            let lines = lines.replace("PORT", &master);
            group.sentinels.push(Process::sentinel(kind, &format!("{lines}\n{QUICK}")));
        }
        for sentinel in &group.sentinels {
            group.hurry(sentinel);
            group.knows_all(sentinel);
        }
        group
    }

    /// Sends a command. Repeats it if the connection is closed: a Sentinel that makes a server a
    /// replica disconnects its clients.
    fn call(&self, process: &Process, words: &[&str]) -> Value {
        until_some(
            || process.output(),
            || {
                let mut client = Client::new(process.connect());
                client.send(&["PING"]);
                if matches!(client.read()?.value, Value::Error(_)) {
                    client.send(&["AUTH", "secret"]);
                    client.read()?;
                }
                client.send(words);
                Some(client.read()?.value)
            },
        )
    }

    fn role(&self, server: &Process) -> String {
        let told = words(&self.call(server, &["ROLE"]));
        match told.first().map(String::as_str) {
            Some("slave") => format!("slave of {}, {}", told[2], told[3]),
            other => other.unwrap_or_default().to_owned(),
        }
    }

    /// Shortens the periods of a Sentinel from one and ten seconds to fractions of a second.
    fn hurry(&self, sentinel: &Process) {
        let periods = ["INFO-PERIOD", "300", "PUBLISH-PERIOD", "200"];
        let reply = self.call(sentinel, &[&["SENTINEL", "DEBUG"], &periods[..]].concat());
        assert_eq!(reply, Value::Simple(b"OK".to_vec()));
    }

    /// Waits until a Sentinel knows both replicas and both other Sentinels.
    fn knows_all(&self, sentinel: &Process) {
        let known = || {
            let facts = facts(&self.call(sentinel, &["SENTINEL", "MASTER", "mymaster"]));
            ["num-slaves", "num-other-sentinels"].map(facts)
        };
        until(
            || format!("it knows {:?}:\n{}", known(), sentinel.output()),
            || known() == ["2", "2"],
        );
    }

    /// The port of the master, according to a Sentinel.
    fn master(&self, sentinel: &Process) -> u16 {
        let asked = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"];
        words(&self.call(sentinel, &asked)).get(1).and_then(|port| port.parse().ok()).unwrap_or(0)
    }

    /// Waits until all Sentinels agree on another master, which has that role. Returns its index.
    fn agree_on_another(&self, than: u16) -> usize {
        let port = until_some(
            || format!("no other master:\n{}", self.told()),
            || {
                let ports: Vec<u16> = self.sentinels.iter().map(|s| self.master(s)).collect();
                let first = ports[0];
                (first != than && ports.iter().all(|port| *port == first)).then_some(first)
            },
        );
        let place = self.servers.iter().position(|server| server.port() == port);
        let place = place.expect("the master is one of the servers");
        until(
            || format!("{port} is not a master:\n{}", self.told()),
            || self.role(&self.servers[place]) == "master",
        );
        place
    }

    /// Waits until all other servers replicate this one.
    fn all_follow(&self, master: usize) {
        let wanted = format!("slave of {}, connected", self.servers[master].port());
        for (place, server) in self.servers.iter().enumerate() {
            if place != master {
                until(
                    || format!("{} is {}:\n{}", server.port(), self.role(server), self.told()),
                    || self.role(server) == wanted,
                );
            }
        }
    }

    /// Waits until a Sentinel knows by INFO that both replicas follow this master. If its last INFO
    /// of a restarted server says master, it makes that one a replica again, even after another
    /// failover has promoted it.
    fn heard_of_replicas(&self, sentinel: &Process, master: usize) {
        let master = self.servers[master].port().to_string();
        let heard = || {
            let told = self.call(sentinel, &["SENTINEL", "REPLICAS", "mymaster"]);
            let Value::Array(replicas) = told else { return Vec::new() };
            let told = |replica| ["role-reported", "master-port"].map(facts(replica));
            replicas.iter().map(told).collect()
        };
        until(
            || format!("it has heard {:?}:\n{}", heard(), sentinel.output()),
            || {
                heard().len() == 2
                    && heard().iter().all(|[role, of]| role == "slave" && *of == master)
            },
        );
    }

    fn told(&self) -> String {
        let outputs = self.sentinels.iter().chain(&self.servers).map(Process::output);
        outputs.collect::<Vec<_>>().join("\n----\n")
    }
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(words).collect(),
        Value::Bulk(text) | Value::Simple(text) | Value::Error(text) => {
            vec![String::from_utf8_lossy(text).into_owned()]
        }
        Value::Integer(number) => vec![number.to_string()],
        other => vec![format!("{other:?}")],
    }
}

/// Returns a function that looks up fields in a reply of names and values.
fn facts(value: &Value) -> impl Fn(&str) -> String + use<> {
    let words = words(value);
    move |name| {
        let found = words.chunks(2).find(|pair| pair[0] == name);
        found.map(|pair| pair[1].clone()).unwrap_or_default()
    }
}

/// The file of the Sentinel that will lead: it detects a failure first, and with a quorum of 1
/// alone.
const LEADER: &str = "sentinel monitor mymaster 127.0.0.1 PORT 1
sentinel down-after-milliseconds mymaster 1000";
/// The file of the other Sentinels.
const FOLLOWER: &str = "sentinel monitor mymaster 127.0.0.1 PORT 3
sentinel down-after-milliseconds mymaster 30000";

/// One Sentinel leads a failover, two vote for it; then another one is told to lead; then each is
/// reset, and restarted as one of the other kind with the same file.
fn leads(leader: Kind, followers: Kind, master: Kind) {
    let sentinels = [(leader, LEADER), (followers, FOLLOWER), (followers, FOLLOWER)];
    let mut group = Group::new([master, Limpid, Redis], sentinels, &[]);
    let first = group.servers[0].port();
    group.call(&group.servers[0], &["SET", "written", "before"]);
    until(
        || "the replicas did not get the write".to_owned(),
        || group.call(&group.servers[0], &["WAIT", "2", "100"]) == Value::Integer(2),
    );

    group.servers[0].kill();
    let second = group.agree_on_another(first);
    assert!(group.sentinels[0].output().contains("+elected-leader master mymaster"));
    for voter in &group.sentinels[1..] {
        assert!(voter.output().contains("+vote-for-leader"), "{}", voter.output());
        assert!(!voter.output().contains("+elected-leader"), "{}", voter.output());
    }
    let epochs: Vec<String> = group.sentinels.iter().map(|s| epoch(&group, s)).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0] && epoch != "0"), "{epochs:?}");
    let told = group.call(&group.servers[second], &["GET", "written"]);
    assert_eq!(told, Value::bulk("before"));

    // A longer timeout, so that a busy machine does not look like a dead master.
    let set = ["SENTINEL", "SET", "mymaster", "down-after-milliseconds", "30000", "quorum", "3"];
    assert_eq!(group.call(&group.sentinels[0], &set), Value::Simple(b"OK".to_vec()));

    // The old master is turned into a replica when it comes back.
    group.servers[0].restart(true);
    group.all_follow(second);

    // Another Sentinel is told to lead, once all know that the old master is a replica.
    for sentinel in &group.sentinels {
        group.heard_of_replicas(sentinel, second);
    }
    let before = group.servers[second].port();
    let ok = group.call(&group.sentinels[1], &["SENTINEL", "FAILOVER", "mymaster"]);
    assert_eq!(ok, Value::Simple(b"OK".to_vec()), "{}", group.sentinels[1].output());
    let third = group.agree_on_another(before);
    group.all_follow(third);

    // After SENTINEL RESET, it discovers everything again.
    let reset = group.call(&group.sentinels[2], &["SENTINEL", "RESET", "my*"]);
    assert_eq!(reset, Value::Integer(1));
    group.knows_all(&group.sentinels[2]);

    // Each kind reads the file of the other one.
    let (port, ids) = (group.servers[third].port(), identities(&group));
    for (place, kind) in [(0, other(leader)), (1, other(followers))] {
        group.sentinels[place].become_sentinel(kind);
        let sentinel = &group.sentinels[place];
        assert_eq!(group.master(sentinel), port);
        group.hurry(sentinel);
        group.knows_all(sentinel);
    }
    group.sentinels[2].restart(true);
    group.hurry(&group.sentinels[2]);
    group.knows_all(&group.sentinels[2]);
    assert_eq!(identities(&group), ids);
}

fn other(kind: Kind) -> Kind {
    match kind {
        Limpid => Redis,
        Redis => Limpid,
    }
}

fn epoch(group: &Group, sentinel: &Process) -> String {
    facts(&group.call(sentinel, &["SENTINEL", "MASTER", "mymaster"]))("config-epoch")
}

fn identities(group: &Group) -> Vec<Vec<String>> {
    let ask = |sentinel| words(&group.call(sentinel, &["SENTINEL", "MYID"]));
    group.sentinels.iter().map(ask).collect()
}

#[test]
fn limpid_leads_limpid() {
    leads(Limpid, Limpid, Redis);
}

#[test]
fn limpid_leads_redis() {
    leads(Limpid, Redis, Limpid);
}

#[test]
fn redis_leads_limpid() {
    leads(Redis, Limpid, Limpid);
}

#[test]
fn redis_leads_redis_over_limpid() {
    leads(Redis, Redis, Limpid);
}

#[test]
fn passwords_and_names_of_hosts_hold_through_a_failover() {
    let lines = "sentinel resolve-hostnames yes
sentinel monitor mymaster localhost PORT 2
sentinel auth-pass mymaster secret
sentinel down-after-milliseconds mymaster 1000";
    let sentinels = [(Limpid, lines), (Redis, lines), (Limpid, lines)];
    let passwords = ["--requirepass", "secret", "--masterauth", "secret"];
    let mut group = Group::new([Limpid, Redis, Limpid], sentinels, &passwords);
    let first = group.servers[0].port();
    group.servers[0].kill();
    let second = group.agree_on_another(first);
    group.servers[0].restart(true);
    group.all_follow(second);
}
