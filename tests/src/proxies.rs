//! Worlds with proxies in which links, servers and hosts fail, primaries are replaced and slots
//! move: no reply may be lost, duplicated, or sent to another client.
//!
//! Every value contains its key and every key its client, so a reply shows whether it belongs to
//! the request; and each client counts with INCR, so that a request that was carried out twice
//! shows, too.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use limpid_core::lab::{
    NUTCRACKER, PREDIXY, SERVER, predixy_over_cluster, predixy_over_sentinels, programs,
};
use limpid_core::machine::{Close, ConnId, Endpoint, Input, Machine, Outbox, Output};
use limpid_core::resp::value::{Decoder, Value, encode_command};
use limpid_core::rng::Rng;
use limpid_core::server::Server;
use limpid_core::sharding::Slot;
use limpid_core::sim::{
    Action, HostSpec, Launch, LaunchError, Process, ProcessSpec, Scenario, World, plain,
};
use limpid_core::time::{Mono, Now};

/// The number of faults, one after the other.
const FAULTS: u64 = 6;

/// The number of keys of each client.
const KEYS: u64 = 40;

/// The result of one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Replies that were checked.
    pub replies: u64,
    /// How many of them were errors.
    pub errors: u64,
}

/// Runs a world of this seed: with twemproxy, or with predixy and fixed servers, Sentinels, or a
/// Cluster. The error says which invariant failed.
pub fn run(seed: u64) -> Result<Outcome, String> {
    let mut rng = Rng::new(seed ^ 0x9_0c1e5);
    let behind = [Behind::Twemproxy, Behind::Fixed, Behind::Sentinels, Behind::Cluster];
    let behind = behind[(seed % 4) as usize];
    let mut world = World::new(Arc::new(behind.scenario()), seed, programs_here);
    world.run_for(behind.settles());
    let mut done = Vec::new();
    for _ in 0..FAULTS {
        let (fault, mended) = behind.fault(&mut rng);
        done.push(fault.clone());
        act(&mut world, &fault)?;
        if behind == Behind::Cluster && rng.chance(0.5) {
            done.push(reshard(&mut world, &mut rng)?);
        }
        world.run_for(Duration::from_millis(100 + rng.below(behind.longest())));
        for line in &mended {
            act(&mut world, line)?;
        }
        world.run_for(Duration::from_millis(rng.below(behind.longest() / 2)));
    }
    recover(&mut world, behind)?;
    let mut outcome = Outcome { replies: 0, errors: 0 };
    for n in 1..=3 {
        let client = client(&world, n)?;
        let fails = |what: String| Err(format!("{behind:?} {done:?}, client {n}: {what}"));
        if !client.wrong.is_empty() {
            return fails(format!("wrong: {:?}", client.wrong));
        }
        // Slots of an interrupted move stay open: requests for them get errors, but in time.
        if !client.up || world.now().since(client.heard_at) > PATIENCE {
            return fails(format!("not served in the end: {} wait", client.asked.len()));
        }
        outcome.replies += client.replies;
        outcome.errors += client.errors;
    }
    Ok(outcome)
}

/// Runs until every client has been served for a while; fails if that takes too long.
fn recover(world: &mut World, behind: Behind) -> Result<(), String> {
    const STEP: Duration = Duration::from_secs(2);
    const SERVED: u32 = 5;
    let most = behind.recovers().as_secs() / STEP.as_secs();
    let mut served = 0;
    for _ in 0..most {
        world.run_for(STEP);
        let mut all = true;
        for n in 1..=3 {
            let client = client(world, n)?;
            all &= client.up && world.now().since(client.heard_at) < STEP;
        }
        served = if all { served + 1 } else { 0 };
        if served == SERVED {
            break;
        }
    }
    Ok(())
}

fn client(world: &World, n: u64) -> Result<&Inquirer, &'static str> {
    let id = world.proc_named(&format!("asks-{n}")).ok_or("no client")?.id;
    world.machine::<Inquirer>(id).ok_or("no client")
}

/// The proxy of the clients, and the servers behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Behind {
    Twemproxy,
    Fixed,
    Sentinels,
    Cluster,
}

impl Behind {
    fn scenario(self) -> Scenario {
        match self {
            Behind::Twemproxy => scenario(NUTCRACKER),
            Behind::Fixed => scenario(PREDIXY),
            Behind::Sentinels => asked(predixy_over_sentinels(), SELDOM),
            Behind::Cluster => asked(predixy_over_cluster(), SELDOM),
        }
    }

    /// How long the world runs before the first fault.
    fn settles(self) -> Duration {
        match self {
            Behind::Twemproxy | Behind::Fixed => Duration::from_millis(500),
            // Sentinels discover replicas by INFO, every ten seconds.
            Behind::Sentinels => Duration::from_secs(13),
            Behind::Cluster => Duration::from_secs(3),
        }
    }

    /// The longest fault, in milliseconds.
    fn longest(self) -> u64 {
        match self {
            Behind::Twemproxy | Behind::Fixed => 1_500,
            Behind::Sentinels | Behind::Cluster => 12_000,
        }
    }

    /// How long recovery may take.
    fn recovers(self) -> Duration {
        match self {
            Behind::Twemproxy | Behind::Fixed => Duration::from_secs(8),
            Behind::Sentinels | Behind::Cluster => Duration::from_secs(60),
        }
    }

    /// A random fault, and the actions that end it.
    fn fault(self, rng: &mut Rng) -> (String, Vec<String>) {
        let servers = match self {
            Behind::Twemproxy | Behind::Fixed => 3,
            Behind::Sentinels => 4,
            Behind::Cluster => 6,
        };
        let name = if self == Behind::Cluster { "node" } else { "redis" };
        let host = format!("{name}-{}", 1 + rng.below(servers));
        let one = |fault: &str, mended: &str| (format!("{fault} {host}"), vec![mended.to_owned()]);
        match rng.below(7) {
            0 => one("kill", &format!("start {host}")),
            1 => one("pause", &format!("resume {host}")),
            2 => one("partition", "heal"),
            3 => (format!("partition-oneway {host} | proxy-1"), vec!["heal".to_owned()]),
            4 => (format!("loss {host} proxy-1 30"), vec![format!("loss {host} proxy-1 0")]),
            5 if servers > 3 => one("crash", &format!("restart {host}")),
            5 => one("kill", &format!("start {host}")),
            _ => (format!("partition asks-{}", 1 + rng.below(3)), vec!["heal".to_owned()]),
        }
    }
}

/// Moves the slot of a client's key from one primary of a Cluster to another, as far as they accept
/// it.
fn reshard(world: &mut World, rng: &mut Rng) -> Result<String, String> {
    let key = format!("asks-{}:{}", 1 + rng.below(3), rng.below(KEYS));
    let slot = Slot::of(key.as_bytes());
    let mut primaries = Vec::new();
    for n in 1..=6 {
        let proc = world.proc_named(&format!("node-{n}:6379")).ok_or("no node")?.id;
        let Some(cluster) = world.machine::<Server>(proc).and_then(Server::cluster) else {
            continue;
        };
        if !cluster.is_replica() {
            primaries.push((n, cluster.my_id(), cluster.owns(slot)));
        }
    }
    let from = primaries.iter().find(|(_, _, owns)| *owns).copied();
    let to = primaries.iter().find(|(_, _, owns)| !*owns).copied();
    let (Some((a, from, _)), Some((b, to, _))) = (from, to) else {
        return Ok(String::new());
    };
    let number = slot.number();
    let keys: String = (1..=3)
        .flat_map(|n| (0..KEYS).map(move |k| format!("asks-{n}:{k}")))
        .filter(|other| Slot::of(other.as_bytes()) == slot)
        .map(|key| format!(" {key}"))
        .collect();
    for (n, line) in [
        (b, format!("cluster setslot {number} importing {from}")),
        (a, format!("cluster setslot {number} migrating {to}")),
        (a, format!("migrate 10.0.0.{b} 6379 \"\" 0 2000 keys{keys}")),
        (b, format!("cluster setslot {number} node {to}")),
        (a, format!("cluster setslot {number} node {to}")),
    ] {
        let name = format!("reshards-{}", world.procs().count());
        act(world, &format!("run node-{n} {name} redis-cli -h 10.0.0.{n}"))?;
        act(world, &format!("type {name} {line}"))?;
        world.run_for(Duration::from_millis(rng.below(200)));
    }
    Ok(format!("slot {number} of {key} from node-{a} to node-{b}"))
}

fn act(world: &mut World, line: &str) -> Result<(), String> {
    let action: Action = line.parse().map_err(|error| format!("`{line}`: {error}"))?;
    // A refused action, such as killing a process that does not run, is no failure.
    let _ = world.apply(&action);
    Ok(())
}

/// A client that sends batches of requests and checks every reply.
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
    /// The time between two batches.
    every: Duration,
    /// When it last connected or got a reply.
    heard_at: Mono,
    sent: u64,
    replies: u64,
    errors: u64,
    /// How often its counter was certainly incremented; `perhaps` is how often it may have been.
    raised: i64,
    perhaps: i64,
    wrong: Vec<String>,
}

#[derive(Clone, Debug)]
enum Question {
    Set,
    Get(String),
    Mget(Vec<String>),
    Del(i64),
    Incr,
}

/// The timeout for replies: longer than predixy holds a request back. A proxy that has closed a
/// client's connection while the link was cut cannot tell the client.
const PATIENCE: Duration = Duration::from_secs(20);

/// The time between two batches; `SELDOM` where faults last longer, so that the tests do not take
/// longer.
const EVERY: Duration = Duration::from_millis(20);
const SELDOM: Duration = Duration::from_millis(50);

impl Inquirer {
    fn launch(launch: &Launch<'_>) -> Result<Box<dyn Process>, LaunchError> {
        let ip = launch.resolve("proxy-1").expect("a host");
        let port: u16 = launch.args[0].parse().expect("a port");
        let every = Duration::from_millis(launch.args[1].parse().expect("milliseconds"));
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
            next_at: launch.now.mono + every,
            every,
            heard_at: launch.now.mono,
            sent: 0,
            replies: 0,
            errors: 0,
            raised: 0,
            perhaps: 0,
            wrong: Vec::new(),
        }))
    }

    fn connect(&mut self) {
        let conn = ConnId::connected(self.connections);
        self.connections += 1;
        (self.conn, self.up) = (Some(conn), false);
        // Requests on the old connection get no replies any more.
        self.perhaps += self.incrs();
        self.asked.clear();
        self.outbox.clear();
        self.decoder.reset();
        self.outputs.push_back(Output::Connect { conn, to: self.to.clone().into(), from: None });
    }

    /// How many requests in flight increment the counter. With several connections of the proxy to
    /// one server, a later request may be carried out first.
    fn incrs(&self) -> i64 {
        self.asked.iter().filter(|question| matches!(question, Question::Incr)).count() as i64
    }

    fn ask(&mut self) {
        let Some(conn) = self.conn.filter(|_| self.up && self.asked.len() < 50) else { return };
        let mut bytes = Vec::new();
        for _ in 0..1 + self.rng.below(6) {
            let name = self.name.clone();
            let mut key = || format!("{name}:{}", self.rng.below(KEYS));
            let (question, words) = match self.sent % 6 {
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
                4 => (Question::Incr, vec!["INCR".to_owned(), format!("{}:count", self.name)]),
                _ => {
                    let key = key();
                    (Question::Get(key.clone()), vec!["GET".to_owned(), key])
                }
            };
            encode_command(&words, &mut bytes);
            self.asked.push_back(question);
            self.sent += 1;
        }
        self.outbox.write(&bytes);
        self.outputs.push_back(Output::Send { conn });
    }

    fn look_at(&mut self, reply: &Value) {
        let Some(question) = self.asked.pop_front() else {
            return self.wrong.push(format!("nobody asked for {reply:?}"));
        };
        self.replies += 1;
        if reply.is_error() {
            self.errors += 1;
            self.perhaps += i64::from(matches!(question, Question::Incr));
            return;
        }
        if let Question::Incr = question {
            self.raised += 1;
        }
        let is = |key: &String, reply: &Value| {
            *reply == Value::Null || reply.bytes() == Some(value(key).as_bytes())
        };
        let right = match (&question, reply) {
            (Question::Set, reply) => reply.bytes() == Some(b"OK"),
            (Question::Get(key), reply) => is(key, reply),
            (Question::Incr, Value::Integer(n)) => {
                (1..=self.raised + self.perhaps + self.incrs()).contains(n)
            }
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
    // Some values are long, so that they arrive in pieces.
    let long = if key.ends_with('7') { 40_000 } else { 10 };
    format!("{key}={}", "v".repeat(long))
}

impl Machine for Inquirer {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        match input {
            Input::Start => self.connect(),
            Input::Connected { conn, .. } if self.conn == Some(conn) => self.up = true,
            Input::Received { conn, bytes } if self.conn == Some(conn) => {
                self.heard_at = now.mono;
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
                self.next_at = now.mono + self.every;
                let silent = now.mono.since(self.heard_at) > PATIENCE && !self.asked.is_empty();
                if let Some(conn) = self.conn.take_if(|_| silent) {
                    self.outputs.push_back(Output::Close { conn, how: Close::Now });
                }
                match self.conn {
                    None => {
                        self.heard_at = now.mono;
                        self.connect();
                    }
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
    let args: &[&str] = match proxy {
        NUTCRACKER => &["-c", "/etc/nutcracker.yml"],
        _ => &["/etc/predixy.conf"],
    };
    let mut spec = ProcessSpec::new("the-proxy", proxy, args);
    spec.delay = Duration::from_millis(10);
    let mut host = HostSpec::new("proxy-1", Ipv4Addr::new(10, 0, 3, 1)).with(spec);
    for (name, text) in [
        ("/etc/nutcracker.yml", TWEMPROXY),
        ("/etc/predixy.conf", PREDIXY_CONF),
        ("/etc/servers.conf", PREDIXY_SERVERS),
    ] {
        host.files.insert(name.to_owned(), text.to_owned());
    }
    hosts.push(host);
    let scenario = Scenario {
        name: format!("behind-{proxy}"),
        epoch_ms: 1_704_067_200_000,
        hosts,
        link: Default::default(),
        links: Vec::new(),
        tcp: Default::default(),
    };
    asked(scenario, EVERY)
}

/// Replaces the clients of a scenario by ones that check their replies; `every` is the time between
/// batches.
fn asked(mut scenario: Scenario, every: Duration) -> Scenario {
    scenario.hosts.retain(|host| !host.name.starts_with("client"));
    let predixy = |process: &ProcessSpec| process.program == PREDIXY;
    let port = match scenario.hosts.iter().flat_map(|host| &host.processes).any(predixy) {
        true => "7617",
        false => "22121",
    };
    let every = every.as_millis().to_string();
    for n in 1..=3u8 {
        let name = format!("asks-{n}");
        let mut client = ProcessSpec::new(&name, "inquirer", &[port, &every]);
        client.delay = Duration::from_millis(50);
        let ip = Ipv4Addr::new(10, 0, 1, n);
        scenario.hosts.push(HostSpec::new(&name, ip).with(client));
    }
    scenario
}
