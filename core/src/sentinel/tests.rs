//! Sentinels in virtual time, among servers that say as much as a Sentinel asks.

mod limits;

use std::collections::BTreeMap;

use super::config::Line;
use super::master::Master;
use super::*;
use crate::machine::{Address, Endpoint, NetError};
use crate::resp::quote::split_args;
use crate::resp::value::{Decoder, encode_command};
use crate::time::NoTime;

/// Milliseconds that everything takes on the way.
const LATENCY: u64 = 1;

/// A server: its role, and what it needs to tell about it.
struct Server {
    port: u16,
    up: bool,
    run_id: String,
    /// The port of the server that it follows.
    follows: Option<u16>,
    offset: u64,
    priority: u32,
    /// Whether it does what it is told, or only says so.
    obeys: bool,
    /// Connections that listen to the hello channel: which Sentinel's, and its name.
    listeners: Vec<(usize, ConnId)>,
    /// What it was told, except for the usual questions.
    told: Vec<String>,
}

/// A Sentinel, and what became of its effects.
struct Guard {
    port: u16,
    up: bool,
    sentinel: Sentinel,
    log: Vec<String>,
    exit: Option<i32>,
    /// How long its disk takes for a write, in milliseconds; `None` if writes fail.
    disk: Option<u64>,
    /// Questions for a vote that wait for the disk.
    ballots: Vec<(usize, ConnId, Verdicts)>,
}

enum Delivery {
    ToServer(usize, ConnId, Vec<u8>),
    Connected(usize, ConnId, u16),
    Failed(usize, ConnId),
    Bytes(usize, ConnId, Vec<u8>),
    Closed(usize, ConnId),
    Saved(usize),
}

struct Net {
    now: u64,
    /// What is added to the time to get the wall clock's.
    wall: u64,
    seq: u64,
    queue: BTreeMap<(u64, u64), Delivery>,
    servers: Vec<Server>,
    guards: Vec<Guard>,
    /// The ports to which Sentinels are connected, with what arrived there.
    conns: BTreeMap<(usize, ConnId), (u16, Decoder)>,
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::Ip(([127, 0, 0, 1], port).into())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn load(sentinel: &mut Sentinel, file: &str) -> Result<(), (usize, String)> {
    let lines = file.lines().enumerate().map(|(at, line)| {
        let words = split_args(line.as_bytes()).expect("balanced quotes");
        let words = words.iter().skip(1).map(|word| text(word)).collect();
        Line { number: at + 1, text: line.into(), words }
    });
    sentinel.load(&lines.collect::<Vec<_>>(), &mut |path| path.starts_with("/bin/"))
}

impl Net {
    /// A master at port 1 with replicas at the ports behind it, and Sentinels at 101 and so on which
    /// know of the master.
    fn new(servers: u16, sentinels: u16, quorum: u32) -> Self {
        let server = |port: u16| Server {
            port,
            up: true,
            run_id: format!("{port:040}"),
            follows: (port > 1).then_some(1),
            offset: 100,
            priority: 100,
            obeys: true,
            listeners: Vec::new(),
            told: Vec::new(),
        };
        let guard = |port: u16| {
            let mut sentinel = Sentinel::new(Rng::new(u64::from(port)));
            let file = format!(
                "sentinel monitor mymaster 127.0.0.1 1 {quorum}\n\
                 sentinel down-after-milliseconds mymaster 1000\n\
                 sentinel failover-timeout mymaster 10000"
            );
            load(&mut sentinel, &file).expect("good lines");
            sentinel.settings_mut().port = port;
            let (log, ballots) = (Vec::new(), Vec::new());
            Guard { port, up: true, sentinel, log, exit: None, disk: Some(1), ballots }
        };
        let mut net = Net {
            now: 0,
            wall: 1_600_000_000_000,
            seq: 0,
            queue: BTreeMap::new(),
            servers: (1..=servers).map(server).collect(),
            guards: (101..101 + sentinels).map(guard).collect(),
            conns: BTreeMap::new(),
        };
        for at in 0..net.guards.len() {
            let now = net.time();
            net.guards[at].sentinel.start(now);
            net.drain(at);
        }
        net
    }

    fn time(&self) -> Now<'static> {
        static NO_TIME: NoTime = NoTime;
        Now::new(Mono(self.now * 1_000_000), Wall::from_millis(self.wall + self.now), &NO_TIME)
    }

    fn later(&mut self, ms: u64, what: Delivery) {
        self.seq += 1;
        self.queue.insert((self.now + ms, self.seq), what);
    }

    fn is_up(&self, port: u16) -> bool {
        let server = self.servers.iter().find(|server| server.port == port).map(|s| s.up);
        let guard = self.guards.iter().find(|guard| guard.port == port).map(|g| g.up);
        server.or(guard).unwrap_or(false)
    }

    /// Does what a Sentinel wants done.
    fn drain(&mut self, at: usize) {
        while let Some(effect) = self.guards[at].sentinel.poll_effect() {
            let guard = &mut self.guards[at];
            match effect {
                Effect::Log(level, line) if level >= LogLevel::Notice => guard.log.push(line),
                Effect::Save => {
                    let takes = guard.disk.unwrap_or(1);
                    if guard.sentinel.begin_save().is_some() {
                        self.later(takes, Delivery::Saved(at));
                    }
                }
                Effect::Exit(code) => {
                    guard.exit = Some(code);
                    let port = guard.port;
                    self.kill(port);
                    return;
                }
                Effect::Log(..) | Effect::Publish { .. } | Effect::Run(_) | Effect::Kill(_) => {}
            }
        }
        while let Some(output) = self.guards[at].sentinel.poll_output() {
            match output {
                Output::Connect { conn, to: Address::Endpoint(to), .. } => {
                    if self.is_up(to.port()) {
                        self.conns.insert((at, conn), (to.port(), Decoder::new()));
                        self.later(2 * LATENCY, Delivery::Connected(at, conn, to.port()));
                    } else {
                        self.later(2 * LATENCY, Delivery::Failed(at, conn));
                    }
                }
                Output::Send { conn } => {
                    let Some(outbox) = self.guards[at].sentinel.outbox(conn) else { continue };
                    let bytes: Vec<u8> = outbox.slices().flatten().copied().collect();
                    outbox.consume(bytes.len());
                    self.later(LATENCY, Delivery::ToServer(at, conn, bytes));
                }
                Output::Close { conn, .. } => {
                    self.conns.remove(&(at, conn));
                    for server in &mut self.servers {
                        server.listeners.retain(|listener| *listener != (at, conn));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Lets time go by.
    fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let delivery = self.queue.keys().next().map(|(at, _)| *at);
            let wake = |guard: &Guard| {
                let at = guard.sentinel.poll_timeout().filter(|_| guard.up)?;
                Some(at.0.div_ceil(1_000_000))
            };
            let wake = self.guards.iter().filter_map(wake).min();
            let Some(next) = delivery.into_iter().chain(wake).min().filter(|at| *at <= end) else {
                break;
            };
            self.now = next.max(self.now);
            match self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
                Some(entry) => {
                    let delivery = entry.remove();
                    self.deliver(delivery);
                }
                None => {
                    for at in 0..self.guards.len() {
                        if self.guards[at].up {
                            let now = self.time();
                            self.guards[at].sentinel.wake(now);
                            self.drain(at);
                        }
                    }
                }
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, delivery: Delivery) {
        let now = self.time();
        let (at, input) = match delivery {
            Delivery::ToServer(at, conn, bytes) => return self.asked(at, conn, &bytes),
            Delivery::Saved(at) => {
                let guard = &mut self.guards[at];
                let result =
                    if guard.disk.is_some() { Ok(()) } else { Err("No space left on device") };
                guard.sentinel.saved(now, result);
                for (asker, conn, verdict) in core::mem::take(&mut guard.ballots) {
                    self.answer_verdict(at, asker, conn, verdict);
                }
                return self.drain(at);
            }
            Delivery::Connected(at, conn, port) => {
                let peer = endpoint(port);
                (at, Input::Connected { conn, local: endpoint(50_000), peer })
            }
            Delivery::Failed(at, conn) => {
                (at, Input::ConnectFailed { conn, error: NetError::Refused })
            }
            Delivery::Closed(at, conn) => (at, Input::Closed { conn, error: NetError::Eof }),
            Delivery::Bytes(at, conn, ref bytes) => (at, Input::Received { conn, bytes }),
        };
        if self.guards[at].up {
            self.guards[at].sentinel.handle(now, &input);
            self.drain(at);
        }
    }

    /// Bytes of a Sentinel have arrived at a server or another Sentinel.
    fn asked(&mut self, at: usize, conn: ConnId, bytes: &[u8]) {
        let Some((port, decoder)) = self.conns.get_mut(&(at, conn)) else { return };
        let port = *port;
        decoder.feed(bytes);
        let mut requests = Vec::new();
        while let Ok(Some(value)) = decoder.next_value() {
            let words = value.items().expect("a request").iter();
            requests
                .push(words.map(|word| text(word.bytes().expect("a word"))).collect::<Vec<_>>());
        }
        for words in requests {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            if let Some(server) = self.servers.iter().position(|s| s.port == port && s.up) {
                let reply = self.serve(server, at, conn, &words);
                self.later(LATENCY, Delivery::Bytes(at, conn, reply));
            } else if let Some(guard) = self.guards.iter().position(|g| g.port == port && g.up) {
                self.serve_sentinel(guard, at, conn, &words);
            }
        }
    }

    fn serve(&mut self, server: usize, at: usize, conn: ConnId, words: &[&str]) -> Vec<u8> {
        let server = &mut self.servers[server];
        match words {
            ["PING"] => b"+PONG\r\n".to_vec(),
            ["INFO"] => {
                let port = server.port;
                let info = self.info(port);
                format!("${}\r\n{info}\r\n", info.len()).into_bytes()
            }
            ["SUBSCRIBE", channel] => {
                server.listeners.push((at, conn));
                format!("*3\r\n$9\r\nsubscribe\r\n$18\r\n{channel}\r\n:1\r\n").into_bytes()
            }
            ["PUBLISH", channel, message] => {
                let mut bytes = Vec::new();
                encode_command(&["message", channel, message], &mut bytes);
                for (at, conn) in server.listeners.clone() {
                    self.later(LATENCY, Delivery::Bytes(at, conn, bytes.clone()));
                }
                b":1\r\n".to_vec()
            }
            ["SLAVEOF", "NO", "ONE"] => {
                server.follows = server.follows.filter(|_| !server.obeys);
                server.told.push(words.join(" "));
                b"+QUEUED\r\n".to_vec()
            }
            ["SLAVEOF", _, port] => {
                if server.obeys {
                    server.follows = port.parse().ok();
                }
                server.told.push(words.join(" "));
                b"+QUEUED\r\n".to_vec()
            }
            _ => {
                server.told.push(words.join(" "));
                b"+OK\r\n".to_vec()
            }
        }
    }

    fn info(&self, port: u16) -> String {
        let of = |port: u16| self.servers.iter().find(|server| server.port == port);
        let server = of(port).expect("a server");
        let Server { run_id, offset, priority, .. } = server;
        let mut info = format!("run_id:{run_id}\r\n");
        match server.follows {
            None => {
                info += "role:master\r\n";
                let replicas = self.servers.iter().filter(|s| s.up && s.follows == Some(port));
                for (n, replica) in replicas.enumerate() {
                    let port = replica.port;
                    info += &format!("slave{n}:ip=127.0.0.1,port={port},state=online\r\n");
                }
            }
            Some(master) => {
                let up = of(master).is_some_and(|master| master.up && master.follows.is_none());
                let status = if up { "up" } else { "down" };
                info += &format!(
                    "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:{master}\r\n\
                     master_link_status:{status}\r\nslave_repl_offset:{offset}\r\n\
                     slave_priority:{priority}\r\n"
                );
            }
        }
        info
    }

    fn serve_sentinel(&mut self, guard: usize, at: usize, conn: ConnId, words: &[&str]) {
        let reply: &[u8] = match words {
            ["PING"] => b"+PONG\r\n",
            ["PUBLISH", _, message] => {
                self.guards[guard].sentinel.hello(message.as_bytes());
                b":1\r\n"
            }
            ["SENTINEL", "is-master-down-by-addr", host, port, epoch, id] => {
                let (port, epoch) =
                    (port.parse().expect("a port"), epoch.parse().expect("an epoch"));
                let candidate = (*id != "*").then_some(*id);
                let verdict =
                    self.guards[guard].sentinel.is_master_down(host, port, epoch, candidate);
                match &verdict.ballot {
                    Some(ballot) if ballot.leader.is_none() => {
                        self.guards[guard].ballots.push((at, conn, verdict));
                    }
                    _ => self.answer_verdict(guard, at, conn, verdict),
                }
                b""
            }
            _ => b"+OK\r\n",
        };
        if !reply.is_empty() {
            self.later(LATENCY, Delivery::Bytes(at, conn, reply.to_vec()));
        }
        self.drain(guard);
    }

    fn answer_verdict(&mut self, guard: usize, at: usize, conn: ConnId, verdict: Verdicts) {
        let ballot =
            verdict.ballot.and_then(|_| self.guards[guard].sentinel.ballot(&verdict.master));
        let (leader, epoch) = match ballot {
            Some(Ballot { leader: Some(leader), epoch, .. }) => (leader, epoch),
            _ => ("*".into(), 0),
        };
        let down = u8::from(verdict.down);
        let reply = format!("*3\r\n:{down}\r\n${}\r\n{leader}\r\n:{epoch}\r\n", leader.len());
        self.later(LATENCY, Delivery::Bytes(at, conn, reply.into_bytes()));
    }

    fn kill(&mut self, port: u16) {
        for server in self.servers.iter_mut().filter(|server| server.port == port) {
            server.up = false;
            server.listeners.clear();
        }
        for guard in self.guards.iter_mut().filter(|guard| guard.port == port) {
            guard.up = false;
        }
        let gone: Vec<_> =
            self.conns.iter().filter(|(_, (to, _))| *to == port).map(|(key, _)| *key).collect();
        for (at, conn) in gone {
            self.conns.remove(&(at, conn));
            self.later(LATENCY, Delivery::Closed(at, conn));
        }
    }

    fn revive(&mut self, port: u16) {
        self.server(port).up = true;
    }

    fn server(&mut self, port: u16) -> &mut Server {
        self.servers.iter_mut().find(|server| server.port == port).expect("a server")
    }

    fn master(&self, at: usize) -> &Master {
        self.guards[at].sentinel.master(b"mymaster").expect("monitored")
    }

    /// The ports where the Sentinels that are up hold the master to be.
    fn masters(&self) -> Vec<u16> {
        let up = (0..self.guards.len()).filter(|at| self.guards[*at].up);
        up.map(|at| self.master(at).current_addr().port).collect()
    }

    /// Lines of the log that begin with one of these words.
    fn logged(&self, at: usize, words: &[&str]) -> Vec<String> {
        let is = |line: &&String| words.iter().any(|word| line.split(' ').next() == Some(word));
        self.guards[at].log.iter().filter(is).cloned().collect()
    }

    /// How often an event came, at all Sentinels together.
    fn count(&self, event: &str) -> usize {
        (0..self.guards.len()).map(|at| self.logged(at, &[event]).len()).sum()
    }
}

#[test]
fn replicas_and_other_sentinels_are_found() {
    let mut net = Net::new(3, 3, 2);
    net.run(5_000);
    for at in 0..3 {
        let master = net.master(at);
        assert_eq!((master.replicas.len(), master.sentinels.len()), (2, 2));
        assert!(!master.instance.sdown);
    }
    let lines = net.logged(0, &["+monitor", "+slave"]);
    assert_eq!(
        lines,
        [
            "+monitor master mymaster 127.0.0.1 1 quorum 2",
            "+slave slave 127.0.0.1:2 127.0.0.1 2 @ mymaster 127.0.0.1 1",
            "+slave slave 127.0.0.1:3 127.0.0.1 3 @ mymaster 127.0.0.1 1",
        ]
    );
    let id = net.guards[1].sentinel.id();
    let other = format!("+sentinel sentinel {id} 127.0.0.1 102 @ mymaster 127.0.0.1 1");
    assert!(net.logged(0, &["+sentinel"]).contains(&other));
    let name = format!("CLIENT SETNAME sentinel-{}-cmd", &net.guards[0].sentinel.id()[..8]);
    assert!(net.servers[0].told.contains(&name));
}

#[test]
fn a_sentinel_connects_from_its_source_address() {
    let mut sentinel = Sentinel::new(Rng::new(1));
    load(&mut sentinel, "sentinel monitor mymaster 127.0.0.1 1 2").expect("a good line");
    sentinel.settings_mut().bind_source_addr = Some([127, 0, 0, 9].into());
    static NO_TIME: NoTime = NoTime;
    let now = Now::new(Mono(0), Wall::from_millis(1_600_000_000_000), &NO_TIME);
    sentinel.start(now);
    let later = Now::new(Mono(2_000_000_000), Wall::from_millis(1_600_000_002_000), &NO_TIME);
    sentinel.wake(later);
    let mut from = Vec::new();
    while let Some(output) = sentinel.poll_output() {
        if let Output::Connect { from: Some(address), .. } = output {
            from.push(address);
        }
    }
    // For commands, and for the hello channel.
    assert_eq!(from, vec![Endpoint::Ip(([127, 0, 0, 9], 0).into()); 2]);
}

#[test]
fn a_dead_master_is_replaced_and_turned_into_a_replica_when_it_comes_back() {
    let mut net = Net::new(3, 3, 2);
    net.run(5_000);
    net.server(3).offset = 200;
    // The next reports tell of that.
    net.run(11_000);
    net.kill(1);
    net.run(5_000);
    assert_eq!(net.masters(), [3, 3, 3], "the one that has come farthest");
    assert_eq!(net.server(2).follows, Some(3));
    assert_eq!((net.count("+elected-leader"), net.count("+promoted-slave")), (1, 1));
    let leader = (0..3).find(|at| !net.logged(*at, &["+elected-leader"]).is_empty()).expect("one");
    let log = &net.guards[leader].log;
    let first = log.iter().position(|line| line.starts_with("+sdown")).expect("an event");
    let events: Vec<&str> = log[first..]
        .iter()
        .filter_map(|line| line.split(' ').next())
        .filter(|word| word.starts_with(['+', '-']))
        .collect();
    assert_eq!(
        events[..17],
        [
            "+sdown",
            "+odown",
            "+new-epoch",
            "+try-failover",
            "+vote-for-leader",
            "+elected-leader",
            "+failover-state-select-slave",
            "+selected-slave",
            "+failover-state-send-slaveof-noone",
            "+failover-state-wait-promotion",
            "+promoted-slave",
            "+failover-state-reconf-slaves",
            "+slave-reconf-sent",
            "+slave-reconf-inprog",
            "+slave-reconf-done",
            "+failover-end",
            "+switch-master",
        ],
        "{log:#?}"
    );
    for at in 0..3 {
        let switch = net.logged(at, &["+switch-master"]);
        assert_eq!(switch, ["+switch-master mymaster 127.0.0.1 1 127.0.0.1 3"]);
        assert_eq!((net.master(at).config_epoch, net.guards[at].sentinel.epoch()), (1, 1));
    }
    net.revive(1);
    net.run(30_000);
    assert_eq!(net.server(1).follows, Some(3));
    assert!(net.count("+convert-to-slave") >= 1);
    assert_eq!(net.masters(), [3, 3, 3]);
}

#[test]
fn without_a_majority_there_is_no_leader() {
    let mut net = Net::new(3, 3, 1);
    net.run(5_000);
    net.kill(102);
    net.kill(103);
    net.kill(1);
    net.run(60_000);
    assert!(net.count("+try-failover") >= 2, "it is tried again after twice failover-timeout");
    assert_eq!(net.count("+elected-leader"), 0);
    assert_eq!(net.count("-failover-abort-not-elected"), net.count("+try-failover"));
    assert_eq!(net.masters(), [1]);
}

#[test]
fn below_the_quorum_a_master_is_not_down_for_all() {
    let mut net = Net::new(2, 3, 3);
    net.run(5_000);
    net.kill(103);
    net.kill(1);
    net.run(20_000);
    assert_eq!((net.count("+odown"), net.count("+try-failover")), (0, 0));
    let view = net.guards[0].sentinel.view(net.time().mono);
    assert!(view.masters[0].seen.sdown.is_some());
    assert_eq!((view.masters[0].down_votes, view.masters[0].odown), (2, None));
}

#[test]
fn a_replica_with_priority_zero_is_never_promoted() {
    let mut net = Net::new(3, 3, 2);
    (net.server(2).priority, net.server(2).offset) = (0, 1_000);
    net.run(5_000);
    net.kill(1);
    net.run(5_000);
    assert_eq!(net.masters(), [3, 3, 3]);
    net.kill(3);
    net.run(60_000);
    assert!(net.count("-failover-abort-no-good-slave") >= 1);
    assert_eq!(net.masters(), [3, 3, 3]);
}

#[test]
fn a_person_may_ask_for_a_failover() {
    let mut net = Net::new(2, 1, 1);
    net.run(3_000);
    assert_eq!(net.guards[0].sentinel.failover(b"nobody"), Err("No such master with that name"));
    net.guards[0].sentinel.failover(b"mymaster").expect("a replica");
    assert_eq!(
        net.guards[0].sentinel.failover(b"mymaster"),
        Err("INPROG Failover already in progress")
    );
    net.run(20_000);
    assert_eq!(net.masters(), [2]);
    assert_eq!(net.server(1).follows, Some(2), "the old master is up and is turned around");
}

#[test]
fn no_vote_is_given_before_it_is_on_disk() {
    let mut net = Net::new(2, 3, 2);
    net.run(5_000);
    net.guards[1].disk = None;
    net.guards[2].disk = None;
    net.kill(1);
    net.run(30_000);
    assert_eq!(net.count("+elected-leader"), 0, "only one Sentinel can vote");
    net.guards[1].disk = Some(500);
    net.run(60_000);
    assert_eq!(net.masters(), [2, 2, 2]);
}

#[test]
fn a_clock_that_jumps_keeps_a_sentinel_from_acting() {
    let mut net = Net::new(2, 1, 1);
    net.run(5_000);
    net.wall += 100_000;
    net.run(200);
    assert_eq!(net.logged(0, &["+tilt"]), ["+tilt #tilt mode entered"]);
    net.kill(1);
    net.run(20_000);
    assert_eq!(net.count("+sdown"), 0);
    net.run(15_000);
    assert_eq!(net.logged(0, &["-tilt"]), ["-tilt #tilt mode exited"]);
    assert_eq!(net.masters(), [2]);
}

#[test]
fn a_newer_configuration_is_believed_and_an_older_one_is_not() {
    let mut net = Net::new(2, 1, 1);
    net.run(3_000);
    let id = "b".repeat(40);
    let hello = |epoch: u64, port: u16| {
        format!("127.0.0.1,999,{id},{epoch},mymaster,127.0.0.1,{port},{epoch}")
    };
    net.guards[0].sentinel.hello(hello(7, 2).as_bytes());
    assert_eq!((net.masters(), net.guards[0].sentinel.epoch()), (vec![2], 7));
    net.guards[0].sentinel.hello(hello(6, 1).as_bytes());
    assert_eq!(net.masters(), [2]);
    net.drain(0);
    assert_eq!(
        net.logged(0, &["+new-epoch", "+config-update-from", "+switch-master"]),
        [
            "+new-epoch 7".to_owned(),
            format!("+config-update-from sentinel {id} 127.0.0.1 999 @ mymaster 127.0.0.1 1"),
            "+switch-master mymaster 127.0.0.1 1 127.0.0.1 2".to_owned(),
        ]
    );
    let moved = hello(7, 2).replace(",999,", ",998,");
    net.guards[0].sentinel.hello(moved.as_bytes());
    net.drain(0);
    assert_eq!(
        net.logged(0, &["+sentinel-address-switch"]),
        [format!(
            "+sentinel-address-switch master mymaster 127.0.0.1 2 ip 127.0.0.1 port 998 for {id}"
        )]
    );
    assert_eq!(net.master(0).sentinels.len(), 1);
}

#[test]
fn a_restart_is_noticed_and_may_count_as_being_down() {
    let mut net = Net::new(2, 1, 1);
    net.run(3_000);
    let file = "sentinel master-reboot-down-after-period mymaster 2000";
    load(&mut net.guards[0].sentinel, file).expect("a good line");
    net.server(1).run_id = "e".repeat(40);
    net.run(11_000);
    assert_eq!(net.logged(0, &["+reboot"]), ["+reboot master mymaster 127.0.0.1 1"]);
    assert_eq!(net.count("+sdown"), 0, "it answers PING");
}

#[test]
fn what_is_written_is_read_back() {
    let file = "sentinel known-replica m 127.0.0.1 6380\n\
        sentinel monitor m 127.0.0.1 6379 2\n\
        sentinel auth-pass m \"a b\"\n\
        sentinel rename-command m CONFIG GUESSME\n\
        sentinel notification-script m /bin/true\n\
        sentinel leader-epoch m 4\n\
        sentinel config-epoch m 3\n\
        sentinel known-sentinel m 127.0.0.1 26380 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n\
        sentinel current-epoch 5\n\
        sentinel announce-ip 10.0.0.9\n\
        sentinel myid aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let mut sentinel = Sentinel::new(Rng::new(1));
    load(&mut sentinel, file).expect("good lines, in any order");
    let lines = |sentinel: &Sentinel| {
        sentinel.lines().into_iter().map(|(_, line)| line).collect::<Vec<_>>()
    };
    let written = lines(&sentinel);
    for line in ["sentinel auth-pass m \"a b\"", "sentinel current-epoch 5"] {
        assert!(written.iter().any(|written| written == line), "{written:#?}");
    }
    let mut again = Sentinel::new(Rng::new(2));
    load(&mut again, &written.join("\n")).expect("its own lines");
    assert_eq!(lines(&again), written);
}

#[test]
fn a_line_that_is_wrong_is_refused_with_redis_words() {
    for (file, error) in [
        ("sentinel monitor m 127.0.0.1 6379 0", "Quorum must be 1 or greater."),
        ("sentinel monitor m nobody 6379 1", "Can't resolve instance hostname."),
        ("sentinel monitor m 127.0.0.1 99999 1", "Invalid port number."),
        ("sentinel auth-pass m x", "No such master with specified name."),
        ("sentinel myid short", "Malformed Sentinel id in myid option."),
        ("sentinel sing", "Unrecognized sentinel configuration statement."),
        ("sentinel", "Unrecognized sentinel configuration statement."),
    ] {
        let result = load(&mut Sentinel::new(Rng::new(1)), file);
        assert_eq!(result, Err((0, error.to_owned())), "{file}");
    }
    let twice = "sentinel monitor m 127.0.0.1 1 1\nsentinel monitor m 127.0.0.1 1 1";
    let result = load(&mut Sentinel::new(Rng::new(1)), twice);
    assert_eq!(result, Err((1, "Duplicate master name.".to_owned())));
}

#[test]
fn servers_are_spoken_to_with_their_password_and_their_names_of_commands() {
    let mut net = Net::new(1, 1, 1);
    let file = "sentinel auth-user mymaster app\nsentinel auth-pass mymaster secret\n\
                sentinel rename-command mymaster CLIENT PATRON";
    load(&mut net.guards[0].sentinel, file).expect("good lines");
    // The connections of before the file was read.
    net.guards[0].sentinel.reset(b"*");
    net.run(2_000);
    let told = &net.servers[0].told;
    assert!(told.contains(&"AUTH app secret".to_owned()), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("PATRON SETNAME sentinel-")), "{told:?}");
}

#[test]
fn one_link_serves_all_masters_of_the_same_sentinel() {
    let mut net = Net::new(2, 2, 1);
    for at in 0..2 {
        let sentinel = &mut net.guards[at].sentinel;
        sentinel.monitor("second", "127.0.0.1", 2, 1).expect("a new master");
    }
    net.server(2).follows = None;
    net.run(5_000);
    let sentinel = &net.guards[0].sentinel;
    let link = |name: &[u8]| {
        let other = sentinel.master(name).expect("monitored").sentinels.values().next();
        other.expect("the other Sentinel").instance.link
    };
    assert_eq!(link(b"mymaster"), link(b"second"));
    assert_eq!(sentinel.link(link(b"second")).map(|link| link.users), Some(2));
    assert!(net.guards[0].sentinel.remove(b"second"));
    net.run(2_000);
    let sentinel = &net.guards[0].sentinel;
    let other = sentinel.master(b"mymaster").and_then(|m| m.sentinels.values().next());
    assert!(!other.expect("still there").instance.sdown);
}

#[test]
fn a_sentinel_may_be_told_to_crash_when_it_is_elected() {
    let mut net = Net::new(2, 3, 2);
    net.run(5_000);
    for at in 0..3 {
        let failure = SimulatedFailure { after_election: true, after_promotion: false };
        net.guards[at].sentinel.simulate(failure);
    }
    net.kill(1);
    net.run(4_000);
    let crashed: Vec<i32> = net.guards.iter().filter_map(|guard| guard.exit).collect();
    assert_eq!(crashed, [99]);
}

#[test]
fn options_of_a_master_are_set_until_one_is_wrong() {
    let mut net = Net::new(1, 1, 1);
    let words = |line: &str| split_args(line.as_bytes()).expect("words");
    let set = |net: &mut Net, line: &str| {
        let words = words(line);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let outcome = net.guards[0].sentinel.set(b"mymaster", &words, &|path| path == "/bin/true");
        net.drain(0);
        (outcome.changed, outcome.error)
    };
    assert_eq!(set(&mut net, "quorum 3 auth-pass secret rename-command CONFIG X"), (true, None));
    assert_eq!(
        net.logged(0, &["+set"]),
        [
            "+set master mymaster 127.0.0.1 1 quorum 3",
            "+set master mymaster 127.0.0.1 1 auth-pass ******",
            "+set master mymaster 127.0.0.1 1 rename-command CONFIG X",
        ]
    );
    let error = "ERR Invalid argument 'x' for SENTINEL SET 'failover-timeout'";
    let line = "down-after-milliseconds 7 failover-timeout x";
    assert_eq!(set(&mut net, line), (true, Some(error.into())));
    assert_eq!(net.master(0).instance.down_after, Duration::from_millis(7));
    let error = "ERR Unknown option or number of arguments for SENTINEL SET 'quorum'";
    assert_eq!(set(&mut net, "quorum"), (false, Some(error.into())));
    let (changed, error) = set(&mut net, "notification-script /bin/true");
    assert!(!changed && error.is_some_and(|error| error.starts_with("ERR Reconfiguration of")));
    net.guards[0].sentinel.settings_mut().deny_scripts_reconfig = false;
    let line = "rename-command a b client-reconfig-script /missing";
    let error = "ERR Client reconfiguration script seems non existing or non executable";
    assert_eq!(set(&mut net, line), (true, Some(error.into())));
    assert_eq!(set(&mut net, "notification-script /bin/true"), (true, None));
    assert_eq!(net.master(0).notification_script.as_deref(), Some("/bin/true"));
    assert_eq!(set(&mut net, "notification-script ''"), (true, None), "none any more");
    assert_eq!(net.master(0).notification_script, None);
}
