//! A client of a cluster that is busy: it writes and reads its own keys at a given rate, follows
//! redirections, and checks every value that it reads.
//!
//! With [`Routing::Learned`] it keeps a map of all slots (`CLUSTER SLOTS`) and a connection to each
//! node that it needs, as client libraries do. With [`Routing::Redirected`] it knows no slots: it
//! stays at one node until that sends it to another, as `redis-cli -c` does.
//!
//! Each value names its key and the number of the write. So a reply that is lost, doubled, or taken
//! for the reply to something else is seen, and so is an acknowledged write that is gone.
//!
//! With [`ClusterTrafficConfig::wait`] it only writes, and sends WAIT behind each write: a write counts as
//! acknowledged when so many replicas have it. Which ones those are, [`ClusterTraffic::acknowledged`]
//! tells.

mod config;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

pub use config::{ClusterTrafficConfig, ClusterTrafficStats, Routing};

use super::pace::Pace;
use crate::machine::{ConnId, Endpoint, Input, Machine, NetError, Outbox, Output, Signal};
use crate::peer::{CloseReason, Event, Peer, PeerConfig, Peers};
use crate::resp::value::Value;
use crate::rng::Rng;
use crate::sharding::Slot;
use crate::time::{Mono, Now, earliest};

/// The client. See the module.
#[derive(Clone, Debug)]
pub struct ClusterTraffic {
    config: ClusterTrafficConfig,
    stats: ClusterTrafficStats,
    rng: Rng,
    peers: Peers<Endpoint, Asked>,
    /// All nodes that it has heard of.
    nodes: Vec<Endpoint>,
    /// For each slot the place of its owner in `nodes`, or [`UNKNOWN`]. Shared between checkpoints.
    owners: Arc<Vec<u16>>,
    /// The place in `nodes` where it is ([`Routing::Redirected`]), or asks for slots next.
    at: usize,
    /// What it knows of its keys. Shared between checkpoints.
    keys: Arc<Vec<Key>>,
    /// Commands to try again, in the order of their times.
    later: VecDeque<(Mono, Request)>,
    /// When to ask for the slots; `None` if there is no need to, or the answer is awaited.
    learn: Option<Mono>,
    /// Whether the answer to that is awaited.
    learning: bool,
    outputs: VecDeque<Output>,
    pace: Pace,
    /// The latest moment seen.
    now: Mono,
}

/// The owner of a slot of which nothing is known.
const UNKNOWN: u16 = u16::MAX;

/// After so many redirections in a row it waits before it tries again.
const IN_A_ROW: u8 = 8;

/// What a client knows of one of its keys. Writes are numbered from 1.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Key {
    /// The latest write that was acknowledged.
    acknowledged: u64,
    /// The latest write that was sent.
    sent: u64,
    /// Whether a command on it is under way. There is one at a time.
    busy: bool,
    /// Of a write that was carried out and waits for the replicas: [`Request::tries`].
    waits: Option<u8>,
}

/// How long WAIT waits, in milliseconds. Less than a client's patience.
const WAIT_TIMEOUT: &str = "500";

/// A command on a key, until it is answered or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    key: u32,
    /// The number of the write; `None` to read.
    write: Option<u64>,
    /// How often it was sent.
    tries: u8,
    /// When it was sent first.
    since: Mono,
}

/// What waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Request(Request),
    /// The WAIT behind a write.
    Wait(Request),
    /// ASKING
    Asking,
    /// CLUSTER SLOTS
    Slots,
}

/// Where an error reply sends a client.
#[derive(Debug, PartialEq, Eq)]
enum Redirection {
    /// The slot belongs to another node from now on.
    Moved(Slot, Endpoint),
    /// This one command has to be asked of another node.
    Ask(Endpoint),
}

impl ClusterTraffic {
    /// A client that begins at [`Input::Start`].
    pub fn new(config: ClusterTrafficConfig) -> Self {
        let pace = Pace::new(config.per_second);
        ClusterTraffic {
            rng: Rng::new(config.seed),
            nodes: config.nodes.clone(),
            owners: Arc::new(vec![UNKNOWN; usize::from(Slot::COUNT)]),
            keys: Arc::new(vec![Key::default(); config.keys.max(1) as usize]),
            config,
            stats: ClusterTrafficStats::default(),
            peers: Peers::new(),
            at: 0,
            later: VecDeque::new(),
            learn: None,
            learning: false,
            outputs: VecDeque::new(),
            pace,
            now: Mono::ZERO,
        }
    }

    /// What it has seen so far.
    pub fn stats(&self) -> &ClusterTrafficStats {
        &self.stats
    }

    /// What it does.
    pub fn config(&self) -> &ClusterTrafficConfig {
        &self.config
    }

    /// The node where it is now, if it goes where it is redirected to.
    pub fn current(&self) -> Option<&Endpoint> {
        (self.config.routing == Routing::Redirected).then(|| self.nodes.get(self.at))?
    }

    /// The node that it holds to own a slot.
    pub fn owner_of(&self, slot: Slot) -> Option<&Endpoint> {
        let owner = self.owners.get(usize::from(slot.number()))?;
        self.nodes.get(usize::from(*owner))
    }

    /// Whether it has a connection that stands.
    pub fn is_connected(&self) -> bool {
        self.peers.iter().any(|(_, peer)| peer.is_up())
    }

    /// Commands that are neither answered nor given up.
    pub fn pending(&self) -> usize {
        self.keys.iter().filter(|key| key.busy).count()
    }

    /// Sends faster or slower from now on; not at all at 0. The driver must look at
    /// [`Machine::poll_timeout`] again afterwards.
    pub fn set_rate(&mut self, per_second: f64) {
        self.pace.set(per_second, self.now, &mut self.rng);
    }

    /// The keys with acknowledged writes, and for each the number of the latest. The value of a key is
    /// its name, `=`, and the number.
    pub fn acknowledged(&self) -> impl Iterator<Item = (String, u64)> {
        let keys = self.keys.iter().zip(0..).filter(|(key, _)| key.acknowledged > 0);
        keys.map(|(key, n)| (self.name(n), key.acknowledged))
    }

    fn name(&self, key: u32) -> String {
        format!("{}{key}", self.config.prefix)
    }

    /// Draws a command and sends it, if its key is free.
    fn send_one(&mut self) {
        // Drawn whether or not it is sent, so that what comes later does not depend on the past.
        let n = self.rng.below(self.keys.len() as u64) as u32;
        let writes = self.rng.below(2) == 0 || self.config.wait > 0;
        let room = self.pending() < self.config.pending as usize;
        let since = self.now;
        let key = Arc::make_mut(&mut self.keys).get_mut(n as usize);
        let Some(key) = key.filter(|key| room && !key.busy) else {
            self.stats.traffic.skipped += 1;
            return;
        };
        key.busy = true;
        key.sent += u64::from(writes);
        let write = writes.then_some(key.sent);
        self.stats.traffic.sent += 1;
        self.route(Request { key: n, write, tries: 0, since });
    }

    /// Sends a command to the node that is held to own its slot.
    fn route(&mut self, request: Request) {
        let slot = Slot::of(self.name(request.key).as_bytes());
        let owner = match self.config.routing {
            Routing::Learned => self.owner_of(slot),
            Routing::Redirected => None,
        };
        let Some(to) = owner.or(self.nodes.get(self.at)).cloned() else { return };
        self.send(request, &to, false);
    }

    fn send(&mut self, mut request: Request, to: &Endpoint, asking: bool) {
        request.tries = request.tries.saturating_add(1);
        if request.tries > self.config.tries {
            return self.fail(request, "given up");
        }
        self.connect(to);
        let name = self.name(request.key);
        let words = match request.write {
            Some(number) => vec!["SET".to_owned(), name.clone(), format!("{name}={number}")],
            None => vec!["GET".to_owned(), name],
        };
        let asks = !asking || self.peers.request(self.now, to, &["ASKING"], Asked::Asking).is_ok();
        if !asks || self.peers.request(self.now, to, &words, Asked::Request(request)).is_err() {
            return self.try_later(request);
        }
        if request.write.is_some() && self.config.wait > 0 {
            let replicas = self.config.wait.to_string();
            let words = ["WAIT", &replicas, WAIT_TIMEOUT];
            // If the connection is gone by now, the write is told to be lost.
            let _ = self.peers.request(self.now, to, &words, Asked::Wait(request));
        }
    }

    /// Makes a connection to a node, unless there is one.
    fn connect(&mut self, to: &Endpoint) {
        if self.peers.get(to).and_then(Peer::conn).is_none() {
            let config = PeerConfig {
                connect_timeout: Some(self.config.patience),
                reply_timeout: Some(self.config.patience),
                ..PeerConfig::new(to.clone())
            };
            self.peers.connect(self.now, to.clone(), config);
        }
    }

    fn try_later(&mut self, request: Request) {
        self.stats.retries += 1;
        self.later.push_back((self.now + self.config.retry, request));
    }

    /// Gives a command up.
    fn fail(&mut self, request: Request, why: &str) {
        self.stats.traffic.errors += 1;
        self.stats.traffic.last_error = Some(why.to_owned());
        self.free(request);
    }

    /// The key of a command that has ended may be used again.
    fn free(&mut self, request: Request) -> Option<&mut Key> {
        let key = Arc::make_mut(&mut self.keys).get_mut(request.key as usize)?;
        key.busy = false;
        Some(key)
    }

    /// Takes in what happened on the connections.
    fn happened(&mut self) {
        while let Some((node, event)) = self.peers.poll_event() {
            match event {
                Event::Connected { .. } => self.stats.traffic.connects += 1,
                Event::Reply { token: Asked::Request(request), value, .. } => {
                    self.answered(&node, request, value.plain());
                }
                Event::Reply { token: Asked::Wait(request), value, .. } => {
                    self.waited(request, value.plain());
                }
                Event::Reply { token: Asked::Slots, value, .. } => {
                    self.learning = false;
                    if !self.learned(&node, value.plain()) {
                        self.at = (self.at + 1) % self.nodes.len().max(1);
                        self.learn = Some(self.now + self.config.retry);
                    }
                }
                Event::Closed { reason, lost } => self.closed(&node, &reason, lost),
                Event::Reply { .. } | Event::Refused { .. } | Event::Push(_) => {}
            }
        }
    }

    fn answered(&mut self, node: &Endpoint, request: Request, value: &Value) {
        let Value::Error(text) = value else { return self.succeeded(request, value) };
        let text = String::from_utf8_lossy(text).into_owned();
        if let Some(redirection) = Redirection::parse(&text, node) {
            let (to, asking) = match redirection {
                Redirection::Moved(slot, to) => {
                    self.stats.moved += 1;
                    let owner = self.place(&to);
                    if let Some(known) =
                        Arc::make_mut(&mut self.owners).get_mut(usize::from(slot.number()))
                    {
                        *known = u16::try_from(owner).unwrap_or(UNKNOWN);
                    }
                    self.learn_soon();
                    (to, false)
                }
                Redirection::Ask(to) => {
                    self.stats.asked += 1;
                    (to, true)
                }
            };
            if self.config.routing == Routing::Redirected {
                self.at = self.place(&to);
            }
            // Nodes that send it to each other do so until they agree.
            return match request.tries % IN_A_ROW {
                0 => self.try_later(request),
                _ => self.send(request, &to, asking),
            };
        }
        let passes = ["TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "LOADING", "READONLY"];
        if passes.iter().any(|word| text.starts_with(word)) {
            self.learn_soon();
            return self.try_later(request);
        }
        self.fail(request, &text);
    }

    fn succeeded(&mut self, request: Request, value: &Value) {
        let prefix = format!("{}=", self.name(request.key));
        let now = self.now;
        let number = match value {
            Value::Null => Some(0),
            _ => value.bytes().and_then(|bytes| {
                core::str::from_utf8(bytes).ok()?.strip_prefix(&prefix)?.parse::<u64>().ok()
            }),
        };
        let is_ok = matches!(value, Value::Simple(text) if text == b"OK");
        if is_ok && request.write.is_some() && self.config.wait > 0 {
            if let Some(key) = Arc::make_mut(&mut self.keys).get_mut(request.key as usize) {
                key.waits = Some(request.tries);
            }
            return;
        }
        let Some(key) = self.free(request) else { return };
        let (mut gone, mut wrong) = (0, 0);
        match (request.write, number) {
            (Some(written), _) if is_ok => key.acknowledged = key.acknowledged.max(written),
            (None, Some(read)) if read <= key.sent => {
                gone = u64::from(read < key.acknowledged);
                // Counted once.
                key.acknowledged = read;
            }
            _ => wrong = 1,
        }
        self.stats.gone += gone;
        self.stats.wrong += wrong;
        self.stats.traffic.replies += 1;
        self.stats.traffic.latency.add(now.since(request.since));
    }

    /// The answer to the WAIT behind a write, or none if the connection is gone. What is said behind a write
    /// that was redirected or refused means nothing.
    fn waited(&mut self, request: Request, value: &Value) {
        let wanted = i64::from(self.config.wait);
        let confirmed = matches!(value, Value::Integer(replicas) if *replicas >= wanted);
        let Some(key) = self.keys.get(request.key as usize) else { return };
        if key.waits != Some(request.tries) {
            return;
        }
        let since = self.now.since(request.since);
        let Some(key) = self.free(request) else { return };
        key.waits = None;
        if confirmed {
            key.acknowledged = key.acknowledged.max(request.write.unwrap_or(0));
        }
        self.stats.unconfirmed += u64::from(!confirmed);
        self.stats.traffic.replies += 1;
        self.stats.traffic.latency.add(since);
    }

    fn closed(&mut self, node: &Endpoint, reason: &CloseReason, lost: Vec<Asked>) {
        let error = match reason {
            CloseReason::ConnectFailed(error) | CloseReason::Lost(error) => *error,
            CloseReason::ConnectTimeout | CloseReason::ReplyTimeout => NetError::TimedOut,
            CloseReason::Requested => NetError::Eof,
            CloseReason::Protocol(_) | CloseReason::Refused { .. } => NetError::Other,
        };
        self.stats.traffic.failures += 1;
        self.stats.traffic.last_failure = Some(error);
        if self.nodes.get(self.at) == Some(node) {
            self.at = (self.at + 1) % self.nodes.len().max(1);
        }
        for asked in lost {
            match asked {
                // A write may or may not have been carried out; to write it again does no harm.
                Asked::Request(request) => self.try_later(request),
                Asked::Wait(request) => self.waited(request, &Value::Null),
                Asked::Slots => self.learning = false,
                Asked::Asking => {}
            }
        }
        self.learn_soon();
    }

    /// The place of a node in `nodes`, which may be new.
    fn place(&mut self, node: &Endpoint) -> usize {
        self.nodes.iter().position(|known| known == node).unwrap_or_else(|| {
            self.nodes.push(node.clone());
            self.nodes.len() - 1
        })
    }

    /// What it knows of the slots is out of date.
    fn learn_soon(&mut self) {
        if self.config.routing == Routing::Learned && !self.learning && self.learn.is_none() {
            self.learn = Some(self.now + self.config.retry);
        }
    }

    /// Asks a node for all slots: one to which a connection stands, if there is one.
    fn ask_for_slots(&mut self) {
        self.learn = None;
        let up = |node: &&Endpoint| self.peers.get(node).is_some_and(Peer::is_up);
        let (before, from) = self.nodes.split_at(self.at.min(self.nodes.len()));
        let found = from.iter().chain(before).find(up).or(self.nodes.get(self.at)).cloned();
        let Some(to) = found else { return };
        self.connect(&to);
        self.learning =
            self.peers.request(self.now, &to, &["CLUSTER", "SLOTS"], Asked::Slots).is_ok();
        if !self.learning {
            self.learn = Some(self.now + self.config.retry);
        }
    }

    /// Takes in an answer to CLUSTER SLOTS; false if it tells of no slots.
    fn learned(&mut self, node: &Endpoint, value: &Value) -> bool {
        let Some(ranges) = value.items().filter(|ranges| !ranges.is_empty()) else { return false };
        let mut owners = vec![UNKNOWN; usize::from(Slot::COUNT)];
        for range in ranges {
            let Some([Value::Integer(first), Value::Integer(last), owner, ..]) = range.items()
            else {
                continue;
            };
            let Some([host, Value::Integer(port), ..]) = owner.items() else { continue };
            let host = host.bytes().map(|host| String::from_utf8_lossy(host).into_owned());
            let port = u16::try_from(*port).unwrap_or_default();
            let Some(owner) = endpoint(&host.unwrap_or_default(), port, node) else { continue };
            let place = u16::try_from(self.place(&owner)).unwrap_or(UNKNOWN);
            let range = usize::try_from(*first).ok().zip(usize::try_from(*last).ok());
            if let Some(slots) = range.and_then(|(first, last)| owners.get_mut(first..=last)) {
                slots.fill(place);
            }
        }
        self.owners = Arc::new(owners);
        self.stats.learned += 1;
        true
    }

    fn due(&mut self) {
        self.peers.wake(self.now);
        self.happened();
        if self.learn.is_some_and(|at| at <= self.now) {
            self.ask_for_slots();
        }
        while self.later.front().is_some_and(|(at, _)| *at <= self.now) {
            if let Some((_, request)) = self.later.pop_front() {
                self.route(request);
            }
        }
        if let Some(due) = self.pace.due(self.now) {
            self.send_one();
            self.pace.sent(due, self.now, &mut self.rng);
        }
    }
}

impl Machine for ClusterTraffic {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        self.now = now.mono;
        match input {
            Input::Start => {
                if self.config.routing == Routing::Learned {
                    self.learn = Some(self.now);
                }
                self.pace.begin(self.now, &mut self.rng);
            }
            Input::Signal(Signal::Terminate | Signal::Interrupt) => {
                self.peers = Peers::new();
                self.later.clear();
                self.learn = None;
                self.pace.stop();
                self.outputs.push_back(Output::Exit { code: 0 });
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
        self.outputs.pop_front().or_else(|| self.peers.poll_output())
    }

    fn poll_timeout(&self) -> Option<Mono> {
        let later = self.later.front().map(|(at, _)| *at);
        earliest([self.pace.next(), self.learn, later, self.peers.poll_timeout()])
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.peers.outbox(conn)
    }
}

impl Redirection {
    /// Reads `MOVED 3999 10.0.0.1:6379` and `ASK 3999 10.0.0.1:6379`, as `from` has said it.
    fn parse(text: &str, from: &Endpoint) -> Option<Self> {
        let mut words = text.split(' ');
        let (word, slot, to) = (words.next()?, words.next()?, words.next()?);
        let slot = Slot::new(slot.parse().ok()?)?;
        let (host, port) = to.rsplit_once(':')?;
        let to = endpoint(host, port.parse().ok()?, from)?;
        match word {
            "MOVED" => Some(Redirection::Moved(slot, to)),
            "ASK" => Some(Redirection::Ask(to)),
            _ => None,
        }
    }
}

/// The address of a node as another one tells it: without a host it is on the same one.
fn endpoint(host: &str, port: u16, from: &Endpoint) -> Option<Endpoint> {
    let ip: IpAddr = match (host, from) {
        ("" | "?", Endpoint::Ip(from)) => from.ip(),
        _ => host.parse().ok()?,
    };
    Some(Endpoint::Ip((ip, port).into()))
}
