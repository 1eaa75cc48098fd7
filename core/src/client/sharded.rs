//! A client-side sharding client: it computes from each key which server has it, as applications
//! without a proxy do.
//!
//! With [`Rule::Random`] it uses the servers as one queue: it pushes to any of them and pops from
//! any. With every other rule it sets and gets keys, and verifies what it reads. A read of a key
//! that was written but is not found is a *miss*; misses occur for keys that move when a server is
//! added or removed.

use std::collections::VecDeque;

use super::pace::Pace;
use super::traffic::TrafficStats;
use crate::machine::{ConnId, Endpoint, Input, Machine, NetError, Outbox, Output, Signal};
use crate::peer::{Backoff, CloseReason, Event, Peer, PeerConfig, Peers};
use crate::resp::value::Value;
use crate::rng::Rng;
use crate::sharding::{Node, Place, Rule, Sharding};
use crate::sorted::SortedSet;
use crate::time::{Duration, Mono, Now, earliest};

/// Configuration of a [`Sharded`] client.
#[derive(Clone, Debug)]
pub struct ShardedConfig {
    /// The servers, with the names that the rule hashes.
    pub nodes: Vec<(Node, Endpoint)>,
    /// The rule that maps keys to servers.
    pub rule: Rule,
    /// The prefixes of its keys, used in turn; `key:` if empty.
    pub prefixes: Vec<String>,
    /// Commands per second, on average; 0 for none.
    pub per_second: f64,
    /// The number of its keys.
    pub keys: u64,
    /// The timeout for a reply, or for connecting. Afterwards the connection is closed.
    pub patience: Duration,
    /// The delay before it reconnects.
    pub retry: Duration,
    /// The random seed: two clients with the same seed send the same commands.
    pub seed: u64,
}

impl ShardedConfig {
    /// Ten commands per second over 200 keys.
    pub fn new(nodes: Vec<(Node, Endpoint)>, rule: Rule, seed: u64) -> Self {
        ShardedConfig {
            nodes,
            rule,
            prefixes: vec!["key:".to_owned()],
            per_second: 10.0,
            keys: 200,
            patience: Duration::from_secs(2),
            retry: Duration::from_millis(500),
            seed,
        }
    }
}

/// Statistics of the sharding, in addition to [`TrafficStats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardedStats {
    /// Commands sent to each server, in the order of the servers.
    pub sent: Vec<u64>,
    /// Reads of written keys that were found.
    pub hits: u64,
    /// Reads of written keys that were not found, because they are on another server.
    pub misses: u64,
    /// Elements popped from the queue.
    pub popped: u64,
    /// Invalid replies: the value of another key, or an element that was already popped.
    pub wrong: u64,
}

/// A client-side sharding client. See the module.
#[derive(Clone, Debug)]
pub struct Sharded {
    config: ShardedConfig,
    sharding: Sharding,
    stats: TrafficStats,
    own: ShardedStats,
    rng: Rng,
    peers: Peers<Endpoint, InFlight>,
    outputs: VecDeque<Output>,
    /// For each key, whether a write of it has been acknowledged.
    written: Vec<bool>,
    /// Elements that were pushed to the queue and not popped yet.
    queued: SortedSet<u64>,
    pushed: u64,
    pace: Pace,
    /// The latest moment seen.
    now: Mono,
}

/// The command that a reply belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InFlight {
    Set(u64),
    Get(u64),
    Push,
    Pop,
}

/// The list that serves as the queue on every server.
const QUEUE: &str = "queue";

/// The maximum length of the queue; then elements are only popped.
const MAX_QUEUED: usize = 1_000;

/// The maximum number of commands in flight to one server; then no more are sent to it.
const MAX_IN_FLIGHT: usize = 16;

impl Sharded {
    /// A client that starts at [`Input::Start`].
    pub fn new(config: ShardedConfig) -> Self {
        let pace = Pace::new(config.per_second);
        let mut client = Sharded {
            rng: Rng::new(config.seed),
            sharding: Sharding::new(Vec::new(), config.rule.clone(), None),
            stats: TrafficStats::default(),
            own: ShardedStats::default(),
            peers: Peers::new(),
            outputs: VecDeque::new(),
            written: vec![false; usize::try_from(config.keys).unwrap_or_default()],
            queued: SortedSet::default(),
            pushed: 0,
            pace,
            now: Mono::ZERO,
            config,
        };
        client.rebuild_sharding();
        client
    }

    /// Its configuration.
    pub fn config(&self) -> &ShardedConfig {
        &self.config
    }

    /// Statistics of its connections and replies.
    pub fn stats(&self) -> &TrafficStats {
        &self.stats
    }

    /// Statistics of the sharding.
    pub fn sharding_stats(&self) -> &ShardedStats {
        &self.own
    }

    /// The mapping of keys to servers.
    pub fn sharding(&self) -> &Sharding {
        &self.sharding
    }

    /// Whether it is connected to each server, in the order of the servers.
    pub fn connected(&self) -> impl Iterator<Item = bool> {
        let up = |at| self.peers.get(at).is_some_and(Peer::is_up);
        self.config.nodes.iter().map(move |(_, at)| up(at))
    }

    /// The number of commands in flight.
    pub fn pending(&self) -> usize {
        self.peers.iter().map(|(_, peer)| peer.in_flight().count()).sum()
    }

    /// All of its keys.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        (0..self.config.keys).map(|n| self.key(n))
    }

    /// Changes the rate in commands per second; 0 stops it.
    pub fn set_rate(&mut self, per_second: f64) {
        self.pace.set(per_second, self.now, &mut self.rng);
    }

    /// Adds a server, which gets its share of the keys from now on. False if the name exists
    /// already.
    pub fn add(&mut self, node: Node, at: Endpoint) -> bool {
        if self.config.nodes.iter().any(|(known, _)| known.name == node.name) {
            return false;
        }
        self.config.nodes.push((node, at));
        self.rebuild_sharding();
        self.connect_all();
        true
    }

    /// Removes a server, whose keys go to the others from now on. False if there is no such name.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let Some(place) = self.config.nodes.iter().position(|(known, _)| known.name == name) else {
            return false;
        };
        let (_, at) = self.config.nodes.remove(place);
        if let Rule::Table(rows) = &mut self.config.rule {
            let gone = place as u32;
            rows.retain(|(_, node)| *node != gone);
            for (_, node) in rows.iter_mut().filter(|(_, node)| *node > gone) {
                *node -= 1;
            }
        }
        self.own.sent.remove(place);
        if !self.config.nodes.iter().any(|(_, other)| *other == at) {
            self.peers.close(&at);
        }
        self.rebuild_sharding();
        self.handle_events();
        true
    }

    fn rebuild_sharding(&mut self) {
        let nodes = self.config.nodes.iter().map(|(node, _)| node.clone()).collect();
        self.sharding = Sharding::new(nodes, self.config.rule.clone(), None);
        self.own.sent.resize(self.config.nodes.len(), 0);
    }

    fn connect_all(&mut self) {
        for (_, at) in &self.config.nodes {
            if self.peers.get(at).is_none() {
                let config = PeerConfig {
                    connect_timeout: Some(self.config.patience),
                    reply_timeout: Some(self.config.patience),
                    backoff: Some(Backoff::constant(self.config.retry)),
                    ..PeerConfig::new(at.clone())
                };
                self.peers.connect(self.now, at.clone(), config);
            }
        }
    }

    fn key(&self, n: u64) -> String {
        let prefixes = &self.config.prefixes;
        let place = (n % prefixes.len().max(1) as u64) as usize;
        format!("{}{n}", prefixes.get(place).map_or("key:", String::as_str))
    }

    fn send_one(&mut self) {
        // Drawn even if it is not sent, so that later draws do not depend on that.
        let (reads, n) = (self.rng.below(3) > 0, self.rng.below(self.config.keys.max(1)));
        let key = self.key(n);
        let (words, question) = match (&self.config.rule, reads) {
            (Rule::Random, false) if self.queued.len() < MAX_QUEUED => {
                let element = self.pushed.to_string();
                (vec!["LPUSH".to_owned(), QUEUE.to_owned(), element], InFlight::Push)
            }
            (Rule::Random, _) => (vec!["RPOP".to_owned(), QUEUE.to_owned()], InFlight::Pop),
            (_, true) => (vec!["GET".to_owned(), key.clone()], InFlight::Get(n)),
            (_, false) => {
                let value = format!("{key}={:08x}", self.rng.u64() as u32);
                (vec!["SET".to_owned(), key.clone(), value], InFlight::Set(n))
            }
        };
        let node = self.sharding.pick(key.as_bytes(), &mut self.rng);
        let at = node.and_then(|node| self.config.nodes.get(node as usize));
        let Some((at, node)) = at.map(|(_, at)| at.clone()).zip(node) else {
            self.stats.skipped += 1;
            return;
        };
        let room = self
            .peers
            .get(&at)
            .is_some_and(|peer| peer.is_up() && peer.in_flight().count() < MAX_IN_FLIGHT);
        if !room || self.peers.request(self.now, &at, &words, question).is_err() {
            self.stats.skipped += 1;
            return;
        }
        self.stats.sent += 1;
        if let Some(sent) = self.own.sent.get_mut(node as usize) {
            *sent += 1;
        }
        if question == InFlight::Push {
            self.queued.insert(self.pushed);
            self.pushed += 1;
        }
    }

    fn answered(&mut self, at: &Endpoint, question: InFlight, value: &Value) {
        if let Value::Error(text) = value.plain() {
            self.stats.errors += 1;
            self.stats.last_error = Some(String::from_utf8_lossy(text).into_owned());
            return;
        }
        self.stats.replies += 1;
        match question {
            InFlight::Push => {}
            InFlight::Set(n) => {
                if let Some(written) = self.written.get_mut(n as usize) {
                    *written = true;
                }
            }
            InFlight::Get(n) => self.got(at, n, value),
            InFlight::Pop => {
                let element = value.bytes().and_then(|bytes| core::str::from_utf8(bytes).ok());
                let Some(element) = element.and_then(|text| text.parse().ok()) else { return };
                self.own.popped += 1;
                self.own.wrong += u64::from(!self.queued.remove(&element));
            }
        }
    }

    fn got(&mut self, at: &Endpoint, n: u64, value: &Value) {
        let key = self.key(n);
        if let Some(bytes) = value.bytes() {
            let own = bytes.starts_with(format!("{key}=").as_bytes());
            self.own.wrong += u64::from(!own);
            self.own.hits += u64::from(own);
            return;
        }
        let Some(written) = self.written.get_mut(n as usize) else { return };
        // A reply to a command from before the servers changed says nothing about the present
        // mapping.
        let Place::Node(node) = self.sharding.locate(key.as_bytes()) else { return };
        if self.config.nodes.get(node as usize).is_some_and(|(_, now)| now == at) {
            self.own.misses += u64::from(core::mem::take(written));
        }
    }

    /// Handles the events of the connections.
    fn handle_events(&mut self) {
        while let Some((at, event)) = self.peers.poll_event() {
            match event {
                Event::Connected { .. } => self.stats.connects += 1,
                Event::Reply { token, value, took } => {
                    self.stats.latency.add(took);
                    self.answered(&at, token, &value);
                }
                Event::Closed { reason: CloseReason::Requested, .. } => {}
                Event::Closed { reason, lost } => {
                    self.stats.failures += 1;
                    self.stats.lost += lost.len() as u64;
                    self.stats.last_failure = Some(match reason {
                        CloseReason::ConnectFailed(error) | CloseReason::Lost(error) => error,
                        CloseReason::ConnectTimeout | CloseReason::ReplyTimeout => {
                            NetError::TimedOut
                        }
                        _ => NetError::Other,
                    });
                }
                Event::Refused { .. } | Event::Push(_) => {}
            }
        }
    }

    fn due(&mut self) {
        self.peers.wake(self.now);
        self.handle_events();
        if let Some(due) = self.pace.due(self.now) {
            self.send_one();
            self.pace.sent(due, self.now, &mut self.rng);
        }
    }
}

impl Machine for Sharded {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        self.now = now.mono;
        match input {
            Input::Start => {
                self.connect_all();
                self.pace.begin(self.now, &mut self.rng);
            }
            Input::Signal(signal) => {
                if let Signal::Terminate | Signal::Interrupt = signal {
                    self.outputs.push_back(Output::Exit { code: 0 });
                }
                return;
            }
            input => {
                self.peers.handle(self.now, &input);
                self.handle_events();
            }
        }
        self.due();
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.peers.poll_output().or_else(|| self.outputs.pop_front())
    }

    fn poll_timeout(&self) -> Option<Mono> {
        earliest([self.pace.next(), self.peers.poll_timeout()])
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.peers.outbox(conn)
    }
}
