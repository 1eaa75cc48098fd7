//! Tests of Sentinels in virtual time, with servers that implement what a Sentinel needs.

mod limits;

use std::collections::BTreeMap;

use super::config::Line;
use super::master::Master;
use super::*;
use crate::machine::{Address, Endpoint, NetError};
use crate::resp::quote::split_args;
use crate::resp::value::{Decoder, encode_command};
use crate::time::NoTime;

/// One-way latency in milliseconds.
const LATENCY: u64 = 1;

/// A simulated server.
struct Server {
    port: u16,
    up: bool,
    run_id: String,
    /// The port of the server that it replicates.
    follows: Option<u16>,
    offset: u64,
    priority: u32,
    /// Whether it executes REPLICAOF, or only replies with OK.
    obeys: bool,
    /// Subscriptions to the hello channel: the Sentinel, and its connection.
    listeners: Vec<(usize, ConnId)>,
    /// The commands that it received, except for routine ones.
    received: Vec<String>,
}

/// A Sentinel, with the results of its effects.
struct SentinelNode {
    port: u16,
    up: bool,
    sentinel: Sentinel,
    log: Vec<String>,
    exit: Option<i32>,
    /// The duration of a disk write in milliseconds; `None` if writes fail.
    disk: Option<u64>,
    /// Vote requests that wait for the disk.
    ballots: Vec<(usize, ConnId, DownReply)>,
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
    /// The offset of the wall clock to the monotonic clock.
    wall: u64,
    seq: u64,
    queue: BTreeMap<(u64, u64), Delivery>,
    servers: Vec<Server>,
    nodes: Vec<SentinelNode>,
    /// For each connection of a Sentinel the remote port, and the bytes that arrived.
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
    /// A master at port 1 with replicas at the following ports, and Sentinels at 101 and so on that
    /// monitor the master.
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
            received: Vec::new(),
        };
        let node = |port: u16| {
            let mut sentinel = Sentinel::new(Rng::new(u64::from(port)));
            let file = format!(
                "sentinel monitor mymaster 127.0.0.1 1 {quorum}\n\
                 sentinel down-after-milliseconds mymaster 1000\n\
                 sentinel failover-timeout mymaster 10000"
            );
            load(&mut sentinel, &file).expect("good lines");
            sentinel.settings_mut().port = port;
            let (log, ballots) = (Vec::new(), Vec::new());
            SentinelNode { port, up: true, sentinel, log, exit: None, disk: Some(1), ballots }
        };
        let mut net = Net {
            now: 0,
            wall: 1_600_000_000_000,
            seq: 0,
            queue: BTreeMap::new(),
            servers: (1..=servers).map(server).collect(),
            nodes: (101..101 + sentinels).map(node).collect(),
            conns: BTreeMap::new(),
        };
        for at in 0..net.nodes.len() {
            let now = net.time();
            net.nodes[at].sentinel.start(now);
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
        let node = self.nodes.iter().find(|node| node.port == port).map(|g| g.up);
        server.or(node).unwrap_or(false)
    }

    /// Carries out the outputs and effects of a Sentinel.
    fn drain(&mut self, at: usize) {
        while let Some(effect) = self.nodes[at].sentinel.poll_effect() {
            let node = &mut self.nodes[at];
            match effect {
                Effect::Log(level, line) if level >= LogLevel::Notice => node.log.push(line),
                Effect::Save => {
                    let takes = node.disk.unwrap_or(1);
                    if node.sentinel.begin_save().is_some() {
                        self.later(takes, Delivery::Saved(at));
                    }
                }
                Effect::Exit(code) => {
                    node.exit = Some(code);
                    let port = node.port;
                    self.kill(port);
                    return;
                }
                Effect::Log(..) | Effect::Publish { .. } | Effect::Run(_) | Effect::Kill(_) => {}
            }
        }
        while let Some(output) = self.nodes[at].sentinel.poll_output() {
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
                    let Some(outbox) = self.nodes[at].sentinel.outbox(conn) else { continue };
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

    /// Lets time pass.
    fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let delivery = self.queue.keys().next().map(|(at, _)| *at);
            let wake = |node: &SentinelNode| {
                let at = node.sentinel.poll_timeout().filter(|_| node.up)?;
                Some(at.0.div_ceil(1_000_000))
            };
            let wake = self.nodes.iter().filter_map(wake).min();
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
                    for at in 0..self.nodes.len() {
                        if self.nodes[at].up {
                            let now = self.time();
                            self.nodes[at].sentinel.wake(now);
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
                let node = &mut self.nodes[at];
                let result =
                    if node.disk.is_some() { Ok(()) } else { Err("No space left on device") };
                node.sentinel.saved(now, result);
                for (asker, conn, verdict) in core::mem::take(&mut node.ballots) {
                    self.write_down_reply(at, asker, conn, verdict);
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
        if self.nodes[at].up {
            self.nodes[at].sentinel.handle(now, &input);
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
            } else if let Some(node) = self.nodes.iter().position(|g| g.port == port && g.up) {
                self.serve_sentinel(node, at, conn, &words);
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
                server.received.push(words.join(" "));
                b"+QUEUED\r\n".to_vec()
            }
            ["SLAVEOF", _, port] => {
                if server.obeys {
                    server.follows = port.parse().ok();
                }
                server.received.push(words.join(" "));
                b"+QUEUED\r\n".to_vec()
            }
            _ => {
                server.received.push(words.join(" "));
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

    fn serve_sentinel(&mut self, node: usize, at: usize, conn: ConnId, words: &[&str]) {
        let reply: &[u8] = match words {
            ["PING"] => b"+PONG\r\n",
            ["PUBLISH", _, message] => {
                self.nodes[node].sentinel.hello(message.as_bytes());
                b":1\r\n"
            }
            ["SENTINEL", "is-master-down-by-addr", host, port, epoch, id] => {
                let (port, epoch) =
                    (port.parse().expect("a port"), epoch.parse().expect("an epoch"));
                let candidate = (*id != "*").then_some(*id);
                let verdict =
                    self.nodes[node].sentinel.is_master_down(host, port, epoch, candidate);
                match &verdict.ballot {
                    Some(ballot) if ballot.leader.is_none() => {
                        self.nodes[node].ballots.push((at, conn, verdict));
                    }
                    _ => self.write_down_reply(node, at, conn, verdict),
                }
                b""
            }
            _ => b"+OK\r\n",
        };
        if !reply.is_empty() {
            self.later(LATENCY, Delivery::Bytes(at, conn, reply.to_vec()));
        }
        self.drain(node);
    }

    fn write_down_reply(&mut self, node: usize, at: usize, conn: ConnId, verdict: DownReply) {
        let ballot = verdict.ballot.and_then(|_| self.nodes[node].sentinel.ballot(&verdict.master));
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
        for node in self.nodes.iter_mut().filter(|node| node.port == port) {
            node.up = false;
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
        self.nodes[at].sentinel.master(b"mymaster").expect("monitored")
    }

    /// The ports of the master according to the Sentinels that are up.
    fn masters(&self) -> Vec<u16> {
        let up = (0..self.nodes.len()).filter(|at| self.nodes[*at].up);
        up.map(|at| self.master(at).current_addr().port).collect()
    }

    /// Log lines that begin with one of these words.
    fn logged(&self, at: usize, words: &[&str]) -> Vec<String> {
        let is = |line: &&String| words.iter().any(|word| line.split(' ').next() == Some(word));
        self.nodes[at].log.iter().filter(is).cloned().collect()
    }

    /// How often an event was logged, by all Sentinels together.
    fn count(&self, event: &str) -> usize {
        (0..self.nodes.len()).map(|at| self.logged(at, &[event]).len()).sum()
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
    let id = net.nodes[1].sentinel.id();
    let other = format!("+sentinel sentinel {id} 127.0.0.1 102 @ mymaster 127.0.0.1 1");
    assert!(net.logged(0, &["+sentinel"]).contains(&other));
    let name = format!("CLIENT SETNAME sentinel-{}-cmd", &net.nodes[0].sentinel.id()[..8]);
    assert!(net.servers[0].received.contains(&name));
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
    // One for commands, one for the hello channel.
    assert_eq!(from, vec![Endpoint::Ip(([127, 0, 0, 9], 0).into()); 2]);
}

#[test]
fn a_dead_master_is_replaced_and_turned_into_a_replica_when_it_comes_back() {
    let mut net = Net::new(3, 3, 2);
    net.run(5_000);
    net.server(3).offset = 200;
    // The next INFO replies show the new offset.
    net.run(11_000);
    net.kill(1);
    net.run(5_000);
    assert_eq!(net.masters(), [3, 3, 3], "the one that has come farthest");
    assert_eq!(net.server(2).follows, Some(3));
    assert_eq!((net.count("+elected-leader"), net.count("+promoted-slave")), (1, 1));
    let leader = (0..3).find(|at| !net.logged(*at, &["+elected-leader"]).is_empty()).expect("one");
    let log = &net.nodes[leader].log;
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
        assert_eq!((net.master(at).config_epoch, net.nodes[at].sentinel.epoch()), (1, 1));
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
fn below_the_quorum_a_master_is_not_odown() {
    let mut net = Net::new(2, 3, 3);
    net.run(5_000);
    net.kill(103);
    net.kill(1);
    net.run(20_000);
    assert_eq!((net.count("+odown"), net.count("+try-failover")), (0, 0));
    let view = net.nodes[0].sentinel.view(net.time().mono);
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
fn a_failover_can_be_requested() {
    let mut net = Net::new(2, 1, 1);
    net.run(3_000);
    assert_eq!(net.nodes[0].sentinel.failover(b"nobody"), Err("No such master with that name"));
    net.nodes[0].sentinel.failover(b"mymaster").expect("a replica");
    assert_eq!(
        net.nodes[0].sentinel.failover(b"mymaster"),
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
    net.nodes[1].disk = None;
    net.nodes[2].disk = None;
    net.kill(1);
    net.run(30_000);
    assert_eq!(net.count("+elected-leader"), 0, "only one Sentinel can vote");
    net.nodes[1].disk = Some(500);
    net.run(60_000);
    assert_eq!(net.masters(), [2, 2, 2]);
}

#[test]
fn a_clock_that_jumps_puts_a_sentinel_into_tilt() {
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
fn a_newer_configuration_is_accepted_and_an_older_one_is_not() {
    let mut net = Net::new(2, 1, 1);
    net.run(3_000);
    let id = "b".repeat(40);
    let hello = |epoch: u64, port: u16| {
        format!("127.0.0.1,999,{id},{epoch},mymaster,127.0.0.1,{port},{epoch}")
    };
    net.nodes[0].sentinel.hello(hello(7, 2).as_bytes());
    assert_eq!((net.masters(), net.nodes[0].sentinel.epoch()), (vec![2], 7));
    net.nodes[0].sentinel.hello(hello(6, 1).as_bytes());
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
    net.nodes[0].sentinel.hello(moved.as_bytes());
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
    load(&mut net.nodes[0].sentinel, file).expect("a good line");
    net.server(1).run_id = "e".repeat(40);
    net.run(11_000);
    assert_eq!(net.logged(0, &["+reboot"]), ["+reboot master mymaster 127.0.0.1 1"]);
    assert_eq!(net.count("+sdown"), 0, "it answers PING");
}

#[test]
fn the_written_state_round_trips() {
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
fn an_invalid_line_is_refused_with_the_text_of_redis() {
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
fn servers_get_their_password_and_renamed_commands() {
    let mut net = Net::new(1, 1, 1);
    let file = "sentinel auth-user mymaster app\nsentinel auth-pass mymaster secret\n\
                sentinel rename-command mymaster CLIENT PATRON";
    load(&mut net.nodes[0].sentinel, file).expect("good lines");
    // Connections from before the file was read have to be replaced.
    net.nodes[0].sentinel.reset(b"*");
    net.run(2_000);
    let told = &net.servers[0].received;
    assert!(told.contains(&"AUTH app secret".to_owned()), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("PATRON SETNAME sentinel-")), "{told:?}");
}

#[test]
fn one_link_serves_all_masters_of_the_same_sentinel() {
    let mut net = Net::new(2, 2, 1);
    for at in 0..2 {
        let sentinel = &mut net.nodes[at].sentinel;
        sentinel.monitor("second", "127.0.0.1", 2, 1).expect("a new master");
    }
    net.server(2).follows = None;
    net.run(5_000);
    let sentinel = &net.nodes[0].sentinel;
    let link = |name: &[u8]| {
        let other = sentinel.master(name).expect("monitored").sentinels.values().next();
        other.expect("the other Sentinel").instance.link
    };
    assert_eq!(link(b"mymaster"), link(b"second"));
    assert_eq!(sentinel.link(link(b"second")).map(|link| link.users), Some(2));
    assert!(net.nodes[0].sentinel.remove(b"second"));
    net.run(2_000);
    let sentinel = &net.nodes[0].sentinel;
    let other = sentinel.master(b"mymaster").and_then(|m| m.sentinels.values().next());
    assert!(!other.expect("still there").instance.sdown);
}

#[test]
fn a_sentinel_may_be_told_to_crash_when_it_is_elected() {
    let mut net = Net::new(2, 3, 2);
    net.run(5_000);
    for at in 0..3 {
        let failure = SimulatedFailure { after_election: true, after_promotion: false };
        net.nodes[at].sentinel.simulate(failure);
    }
    net.kill(1);
    net.run(4_000);
    let crashed: Vec<i32> = net.nodes.iter().filter_map(|node| node.exit).collect();
    assert_eq!(crashed, [99]);
}

#[test]
fn options_of_a_master_are_set_until_one_is_wrong() {
    let mut net = Net::new(1, 1, 1);
    let words = |line: &str| split_args(line.as_bytes()).expect("words");
    let set = |net: &mut Net, line: &str| {
        let words = words(line);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let outcome = net.nodes[0].sentinel.set(b"mymaster", &words, &|path| path == "/bin/true");
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
    net.nodes[0].sentinel.settings_mut().deny_scripts_reconfig = false;
    let line = "rename-command a b client-reconfig-script /missing";
    let error = "ERR Client reconfiguration script seems non existing or non executable";
    assert_eq!(set(&mut net, line), (true, Some(error.into())));
    assert_eq!(set(&mut net, "notification-script /bin/true"), (true, None));
    assert_eq!(net.master(0).notification_script.as_deref(), Some("/bin/true"));
    assert_eq!(set(&mut net, "notification-script ''"), (true, None), "none any more");
    assert_eq!(net.master(0).notification_script, None);
}
