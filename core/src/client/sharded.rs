//! A client that shards by itself: it knows all servers, and computes from each key which of them has
//! it, as applications do that have no proxy before their servers.
//!
//! With [`Rule::Random`] it uses the servers as one queue: it pushes to any of them and pops from any.
//! With every other rule it sets and gets keys. What it reads must be what it wrote: a key that was
//! written and is not found any more has *missed*, which is what happens to the keys that move when
//! a server joins or leaves.

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

/// What a [`Sharded`] client does.
#[derive(Clone, Debug)]
pub struct ShardedConfig {
    /// The servers, under the names that the rule hashes.
    pub nodes: Vec<(Node, Endpoint)>,
    /// How keys are spread over them.
    pub rule: Rule,
    /// The prefixes of its keys, used in turn; `key:` if there are none.
    pub prefixes: Vec<String>,
    /// Commands a second, on average; none at 0.
    pub per_second: f64,
    /// How many keys are in use.
    pub keys: u64,
    /// How long to wait for a reply, or for a connection, before giving the connection up.
    pub patience: Duration,
    /// How long to wait before connecting again.
    pub retry: Duration,
    /// Two clients with one seed send the same commands.
    pub seed: u64,
}

impl ShardedConfig {
    /// Ten commands a second over 200 keys.
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

/// What the sharding cost and gained, besides [`TrafficStats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardedStats {
    /// Commands sent to each server, in their order.
    pub sent: Vec<u64>,
    /// Keys read that had been written and were found.
    pub hits: u64,
    /// Keys read that had been written and were not found: they are on another server.
    pub misses: u64,
    /// Elements popped from the queue.
    pub popped: u64,
    /// Replies that cannot be: the value of another key, or an element that was popped before.
    pub wrong: u64,
}

/// The client. See the module.
#[derive(Clone, Debug)]
pub struct Sharded {
    config: ShardedConfig,
    sharding: Sharding,
    stats: TrafficStats,
    own: ShardedStats,
    rng: Rng,
    peers: Peers<Endpoint, Question>,
    outputs: VecDeque<Output>,
    /// For each key, whether a write of it was acknowledged.
    written: Vec<bool>,
    /// Elements of the queue that were pushed and not popped yet.
    queued: SortedSet<u64>,
    pushed: u64,
    pace: Pace,
    /// The latest moment seen.
    now: Mono,
}

/// What a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Set(u64),
    Get(u64),
    Push,
    Pop,
}

/// The list that is the queue on every server.
const QUEUE: &str = "queue";

/// Elements that may wait in the queue before it is only popped from.
const MOST_QUEUED: usize = 1_000;

/// Replies that may be awaited from one server; while so many are, it is sent nothing more.
const MOST_PENDING: usize = 16;

impl Sharded {
    /// A client that begins at [`Input::Start`].
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
        client.spread();
        client
    }

    /// What it does.
    pub fn config(&self) -> &ShardedConfig {
        &self.config
    }

    /// What it has seen of its connections and replies.
    pub fn stats(&self) -> &TrafficStats {
        &self.stats
    }

    /// What it has seen of the sharding.
    pub fn sharding_stats(&self) -> &ShardedStats {
        &self.own
    }

    /// Which server has a key.
    pub fn sharding(&self) -> &Sharding {
        &self.sharding
    }

    /// Whether the connection to each server stands, in their order.
    pub fn connected(&self) -> impl Iterator<Item = bool> {
        let up = |at| self.peers.get(at).is_some_and(Peer::is_up);
        self.config.nodes.iter().map(move |(_, at)| up(at))
    }

    /// Commands whose reply it waits for.
    pub fn pending(&self) -> usize {
        self.peers.iter().map(|(_, peer)| peer.in_flight().count()).sum()
    }

    /// The keys that it uses.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        (0..self.config.keys).map(|n| self.key(n))
    }

    /// Sends faster or slower from now on; not at all at 0.
    pub fn set_rate(&mut self, per_second: f64) {
        self.pace.set(per_second, self.now, &mut self.rng);
    }

    /// One more server, which gets its share of the keys from now on. False if there is one of that
    /// name already.
    pub fn add(&mut self, node: Node, at: Endpoint) -> bool {
        if self.config.nodes.iter().any(|(known, _)| known.name == node.name) {
            return false;
        }
        self.config.nodes.push((node, at));
        self.spread();
        self.connect_all();
        true
    }

    /// One server less; its keys belong to the others from now on. False if there is none of that
    /// name.
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
        self.spread();
        self.happened();
        true
    }

    fn spread(&mut self) {
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
        // Drawn whether or not it is sent, so that what comes later does not depend on the past.
        let (reads, n) = (self.rng.below(3) > 0, self.rng.below(self.config.keys.max(1)));
        let key = self.key(n);
        let (words, question) = match (&self.config.rule, reads) {
            (Rule::Random, false) if self.queued.len() < MOST_QUEUED => {
                let element = self.pushed.to_string();
                (vec!["LPUSH".to_owned(), QUEUE.to_owned(), element], Question::Push)
            }
            (Rule::Random, _) => (vec!["RPOP".to_owned(), QUEUE.to_owned()], Question::Pop),
            (_, true) => (vec!["GET".to_owned(), key.clone()], Question::Get(n)),
            (_, false) => {
                let value = format!("{key}={:08x}", self.rng.u64() as u32);
                (vec!["SET".to_owned(), key.clone(), value], Question::Set(n))
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
            .is_some_and(|peer| peer.is_up() && peer.in_flight().count() < MOST_PENDING);
        if !room || self.peers.request(self.now, &at, &words, question).is_err() {
            self.stats.skipped += 1;
            return;
        }
        self.stats.sent += 1;
        if let Some(sent) = self.own.sent.get_mut(node as usize) {
            *sent += 1;
        }
        if question == Question::Push {
            self.queued.insert(self.pushed);
            self.pushed += 1;
        }
    }

    fn answered(&mut self, at: &Endpoint, question: Question, value: &Value) {
        if let Value::Error(text) = value.plain() {
            self.stats.errors += 1;
            self.stats.last_error = Some(String::from_utf8_lossy(text).into_owned());
            return;
        }
        self.stats.replies += 1;
        match question {
            Question::Push => {}
            Question::Set(n) => {
                if let Some(written) = self.written.get_mut(n as usize) {
                    *written = true;
                }
            }
            Question::Get(n) => self.got(at, n, value),
            Question::Pop => {
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
        // What was asked before the servers changed says nothing of how it is now.
        let Place::Node(node) = self.sharding.locate(key.as_bytes()) else { return };
        if self.config.nodes.get(node as usize).is_some_and(|(_, now)| now == at) {
            self.own.misses += u64::from(core::mem::take(written));
        }
    }

    /// Takes in what happened on the connections.
    fn happened(&mut self) {
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
        self.happened();
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
                self.happened();
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
