//! Proxies while links, servers and hosts fail: no reply is lost, doubled, or given to another.
//!
//! Every value tells its key and every key its client, so a reply shows by itself whether it is the
//! one that was asked for.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use super::*;
use crate::machine::{Close, ConnId, Endpoint, Input, Machine, Outbox, Output};
use crate::proxy::Proxy;
use crate::proxy::twemproxy::Twemproxy;
use crate::resp::value::{Decoder, Value, encode_command};
use crate::rng::Rng;
use crate::sim::{HostSpec, Launch, LaunchError, Process, ProcessSpec, Scenario, plain};
use crate::time::Now;

/// A client that asks many things at once and looks at every reply.
#[derive(Clone)]
struct Inquirer {
    name: String,
    to: Endpoint,
    rng: Rng,
    conn: Option<ConnId>,
    up: bool,
    connections: u64,
    outbox: Outbox,
    outputs: VecDeque<Output>,
    decoder: Decoder,
    asked: VecDeque<Question>,
    next_at: Mono,
    good: u64,
    errors: u64,
    wrong: Vec<String>,
}

#[derive(Clone, Debug)]
enum Question {
    Set,
    Get(String),
    Mget(Vec<String>),
    Del(i64),
}

const EVERY: Duration = Duration::from_millis(20);

impl Inquirer {
    fn launch(launch: &Launch<'_>) -> Result<Box<dyn Process>, LaunchError> {
        let ip = launch.resolve("proxy").expect("a host");
        let port: u16 = launch.args[0].parse().expect("a port");
        Ok(plain(Inquirer {
            name: launch.host.to_owned(),
            to: Endpoint::Ip((ip, port).into()),
            rng: Rng::new(launch.seed),
            conn: None,
            up: false,
            connections: 0,
            outbox: Outbox::default(),
            outputs: VecDeque::new(),
            decoder: Decoder::new(),
            asked: VecDeque::new(),
            next_at: launch.now.mono + EVERY,
            good: 0,
            errors: 0,
            wrong: Vec::new(),
        }))
    }

    fn connect(&mut self) {
        let conn = ConnId::connected(self.connections);
        self.connections += 1;
        (self.conn, self.up) = (Some(conn), false);
        // What was asked on the old connection is not answered any more.
        self.asked.clear();
        self.outbox.clear();
        self.decoder.reset();
        self.outputs.push_back(Output::Connect { conn, to: self.to.clone().into(), from: None });
    }

    fn ask(&mut self) {
        let Some(conn) = self.conn.filter(|_| self.up && self.asked.len() < 50) else { return };
        let mut bytes = Vec::new();
        for _ in 0..1 + self.rng.below(6) {
            let name = self.name.clone();
            let mut key = || format!("{name}:{}", self.rng.below(40));
            let (question, words) = match self.connections % 2 + self.good % 5 {
                0 | 1 => {
                    let key = key();
                    let value = value(&key);
                    (Question::Set, vec!["SET".to_owned(), key, value])
                }
                2 => {
                    let keys: Vec<String> = (0..4).map(|_| key()).collect();
                    let words = ["MGET".to_owned()].into_iter().chain(keys.clone());
                    (Question::Mget(keys), words.collect())
                }
                3 => {
                    let mut keys = vec![key(), key()];
                    keys.dedup();
                    let most = keys.len() as i64;
                    let words = ["DEL".to_owned()].into_iter().chain(keys);
                    (Question::Del(most), words.collect())
                }
                _ => {
                    let key = key();
                    (Question::Get(key.clone()), vec!["GET".to_owned(), key])
                }
            };
            encode_command(&words, &mut bytes);
            self.asked.push_back(question);
            self.good = self.good.wrapping_add(1);
        }
        self.outbox.write(&bytes);
        self.outputs.push_back(Output::Send { conn });
    }

    fn look_at(&mut self, reply: &Value) {
        let Some(question) = self.asked.pop_front() else {
            return self.wrong.push(format!("nobody asked for {reply:?}"));
        };
        if reply.is_error() {
            self.errors += 1;
            return;
        }
        let is = |key: &String, reply: &Value| {
            *reply == Value::Null || reply.bytes() == Some(value(key).as_bytes())
        };
        let right = match (&question, reply) {
            (Question::Set, reply) => reply.bytes() == Some(b"OK"),
            (Question::Get(key), reply) => is(key, reply),
            (Question::Del(most), Value::Integer(n)) => (0..=*most).contains(n),
            (Question::Mget(keys), Value::Array(values)) => {
                keys.len() == values.len() && keys.iter().zip(values).all(|(k, v)| is(k, v))
            }
            _ => false,
        };
        if !right {
            self.wrong.push(format!("{question:?} was answered {reply:?}"));
        }
    }
}

fn value(key: &str) -> String {
    // Some are long, so that they come in pieces.
    let long = if key.ends_with('7') { 40_000 } else { 10 };
    format!("{key}={}", "v".repeat(long))
}

impl Machine for Inquirer {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        match input {
            Input::Start => self.connect(),
            Input::Connected { conn, .. } if self.conn == Some(conn) => self.up = true,
            Input::Received { conn, bytes } if self.conn == Some(conn) => {
                self.decoder.feed(bytes);
                while let Ok(Some(reply)) = self.decoder.next_value() {
                    self.look_at(&reply);
                }
            }
            Input::Ended { conn } if self.conn == Some(conn) => {
                self.outputs.push_back(Output::Close { conn, how: Close::Now });
                self.conn = None;
            }
            Input::Closed { conn, .. } | Input::ConnectFailed { conn, .. }
                if self.conn == Some(conn) =>
            {
                self.conn = None;
            }
            Input::Wake => {
                self.next_at = now.mono + EVERY;
                match self.conn {
                    None => self.connect(),
                    Some(_) => self.ask(),
                }
            }
            _ => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        Some(self.next_at)
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        (self.conn == Some(conn)).then_some(&mut self.outbox)
    }
}

fn programs_here(launch: &Launch<'_>) -> Result<Box<dyn Process>, LaunchError> {
    match launch.program {
        "inquirer" => Inquirer::launch(launch),
        _ => programs(launch),
    }
}

const TWEMPROXY: &str = "\
pool:
  listen: 0.0.0.0:22121
  redis: true
  timeout: 400
  auto_eject_hosts: true
  server_retry_timeout: 1000
  server_failure_limit: 2
  server_connections: 2
  servers:
   - 10.0.0.1:6379:1
   - 10.0.0.2:6379:1
   - 10.0.0.3:6379:1
";

const PREDIXY_CONF: &str = "\
Name world
Bind 0.0.0.0:7617
Include servers.conf
";

const PREDIXY_SERVERS: &str = "\
StandaloneServerPool {
    RefreshMethod fixed
    Hash crc16
    Distribution modula
    ServerTimeout 400ms
    ServerFailureLimit 2
    ServerRetryTimeout 1
    Group one {
        + 10.0.0.1:6379
    }
    Group two {
        + 10.0.0.2:6379
    }
    Group three {
        + 10.0.0.3:6379
    }
}
";

/// Three servers, a proxy in front of them, and clients of it.
fn scenario(proxy: &str) -> Scenario {
    let mut hosts = Vec::new();
    for n in 1..=3u8 {
        let args = ["--protected-mode", "no", "--save", ""];
        let server = ProcessSpec::new(&format!("redis-{n}:6379"), SERVER, &args);
        hosts.push(HostSpec::new(&format!("redis-{n}"), Ipv4Addr::new(10, 0, 0, n)).with(server));
    }
    let (args, port): (&[&str], &str) = match proxy {
        NUTCRACKER => (&["-c", "/etc/nutcracker.yml"], "22121"),
        _ => (&["/etc/predixy.conf"], "7617"),
    };
    let mut spec = ProcessSpec::new("the-proxy", proxy, args);
    spec.delay = Duration::from_millis(10);
    let mut host = HostSpec::new("proxy", Ipv4Addr::new(10, 0, 2, 1)).with(spec);
    for (name, text) in [
        ("/etc/nutcracker.yml", TWEMPROXY),
        ("/etc/predixy.conf", PREDIXY_CONF),
        ("/etc/servers.conf", PREDIXY_SERVERS),
    ] {
        host.files.insert(name.to_owned(), text.to_owned());
    }
    hosts.push(host);
    for n in 1..=3u8 {
        let mut client = ProcessSpec::new(&format!("asks-{n}"), "inquirer", &[port]);
        client.delay = Duration::from_millis(50);
        hosts.push(HostSpec::new(&format!("client-{n}"), Ipv4Addr::new(10, 0, 1, n)).with(client));
    }
    Scenario {
        name: format!("behind-{proxy}"),
        epoch_ms: 1_704_067_200_000,
        hosts,
        link: Default::default(),
        links: Vec::new(),
        tcp: Default::default(),
    }
}

fn inquirer(world: &World, n: u8) -> &Inquirer {
    let id = world.proc_named(&format!("asks-{n}")).expect("a client").id;
    world.machine::<Inquirer>(id).expect("its machine")
}

/// Runs one World with its faults, and gives how many replies were looked at.
fn run(proxy: &str, seed: u64) -> u64 {
    let mut world = World::new(Arc::new(scenario(proxy)), seed, programs_here);
    let mut rng = Rng::new(seed);
    world.run_for(Duration::from_millis(500));
    let mut done = Vec::new();
    for _ in 0..6 {
        let n = 1 + rng.below(3);
        let (fault, mended) = match rng.below(6) {
            0 => (format!("kill redis-{n}"), format!("start redis-{n}")),
            1 => (format!("pause redis-{n}"), format!("resume redis-{n}")),
            2 => (format!("partition redis-{n}"), "heal".to_owned()),
            3 => (format!("partition-oneway redis-{n} | proxy"), "heal".to_owned()),
            4 => (format!("loss redis-{n} proxy 30"), format!("loss redis-{n} proxy 0")),
            _ => (format!("partition client-{n}"), "heal".to_owned()),
        };
        done.push(fault.clone());
        act(&mut world, &fault);
        world.run_for(Duration::from_millis(100 + rng.below(1_500)));
        act(&mut world, &mended);
        world.run_for(Duration::from_millis(rng.below(800)));
    }
    world.run_for(Duration::from_secs(8));
    let mut seen = 0;
    for n in 1..=3 {
        let client = inquirer(&world, n);
        assert!(client.wrong.is_empty(), "{proxy} seed {seed} {done:?}: {:?}", client.wrong);
        assert!(client.up, "{proxy} seed {seed} {done:?}: client {n} is not served in the end");
        let before = client.asked.len();
        assert!(before < 50, "{proxy} seed {seed} {done:?}: {before} replies are missing");
        seen += client.good;
    }
    seen
}

/// How many Worlds; `LIMPID_SEEDS` asks for more.
fn seeds() -> u64 {
    std::env::var("LIMPID_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(12)
}

#[test]
fn behind_twemproxy_every_reply_belongs_to_its_request_whatever_fails() {
    let seen: u64 = (0..seeds()).map(|seed| run(NUTCRACKER, seed)).sum();
    assert!(seen > 20_000, "{seen}");
}

#[test]
fn behind_predixy_every_reply_belongs_to_its_request_whatever_fails() {
    let seen: u64 = (0..seeds()).map(|seed| run(PREDIXY, seed)).sum();
    assert!(seen > 20_000, "{seen}");
}

#[test]
fn an_ejected_server_leaves_the_ring_and_comes_back() {
    let mut world = World::new(Arc::new(scenario(NUTCRACKER)), 1, programs_here);
    let second = |world: &World| {
        let id = world.proc_named("the-proxy").expect("the proxy").id;
        let proxy = world.machine::<Proxy<Twemproxy>>(id).expect("its machine");
        let pool = proxy.view().pools.remove(0);
        pool.servers.into_iter().find(|server| server.name == "10.0.0.2:6379").expect("a server")
    };
    world.run_for(Duration::from_secs(1));
    let before = second(&world);
    assert!(before.in_use && before.requests > 0, "{before:?}");
    act(&mut world, "kill redis-2");
    world.run_for(Duration::from_millis(500));
    assert!(!second(&world).in_use, "the others have its keys");
    let errors = |world: &World| (1..=3).map(|n| inquirer(world, n).errors).sum::<u64>();
    act(&mut world, "start redis-2");
    world.run_for(Duration::from_secs(2));
    let after = second(&world);
    assert!(after.in_use && after.requests > before.requests, "{after:?}");
    let failed = errors(&world);
    world.run_for(Duration::from_secs(2));
    assert_eq!(errors(&world), failed, "nothing fails once it is back");
}
