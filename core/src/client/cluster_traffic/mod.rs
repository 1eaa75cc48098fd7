//! A client that generates traffic on a cluster: it writes and reads its own keys at a given rate,
//! follows redirections, and verifies every value that it reads.
//!
//! With [`Routing::Learned`] it keeps a map of all slots (`CLUSTER SLOTS`) and a connection to each
//! node that it needs, as client libraries do. With [`Routing::Redirected`] it has no map: it stays
//! at one node until that redirects it, as `redis-cli -c` does.
//!
//! Each value contains its key and the number of the write. So lost, duplicated and mismatched
//! replies are detected, and so are acknowledged writes that are missing.
//!
//! With [`ClusterTrafficConfig::wait`] it only writes, and sends WAIT after each write. A write
//! counts as acknowledged when that many replicas have it; [`ClusterTraffic::acknowledged`] lists
//! these writes.

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

/// A cluster traffic client. See the module.
#[derive(Clone, Debug)]
pub struct ClusterTraffic {
    config: ClusterTrafficConfig,
    stats: ClusterTrafficStats,
    rng: Rng,
    peers: Peers<Endpoint, InFlight>,
    /// All known nodes.
    nodes: Vec<Endpoint>,
    /// For each slot the index of its owner in `nodes`, or [`UNKNOWN`]. Shared between checkpoints.
    owners: Arc<Vec<u16>>,
    /// The index in `nodes` of the current node ([`Routing::Redirected`]), or of the next node to
    /// ask for the slots.
    at: usize,
    /// The state of its keys. Shared between checkpoints.
    keys: Arc<Vec<Key>>,
    /// Commands to retry, ordered by time.
    later: VecDeque<(Mono, Request)>,
    /// When to request the slots; `None` if there is no need to, or a request is in flight.
    learn: Option<Mono>,
    /// Whether that request is in flight.
    learning: bool,
    outputs: VecDeque<Output>,
    pace: Pace,
    /// The latest moment seen.
    now: Mono,
}

/// The owner of a slot whose owner is not known.
const UNKNOWN: u16 = u16::MAX;

/// After so many redirections in a row a command is delayed.
const REDIRECTIONS_BEFORE_DELAY: u8 = 8;

/// The state of one of the client's keys. Writes are numbered from 1.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Key {
    /// The number of the latest acknowledged write.
    acknowledged: u64,
    /// The number of the latest write that was sent.
    sent: u64,
    /// Whether a command on it is in flight. There is at most one.
    busy: bool,
    /// If a write was executed and its WAIT is in flight: the write's [`Request::tries`].
    waits: Option<u8>,
}

/// The timeout of WAIT in milliseconds; less than the client's timeout for replies.
const WAIT_TIMEOUT: &str = "500";

/// A command on a key, until it has succeeded or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    key: u32,
    /// The number of the write; `None` for a read.
    write: Option<u64>,
    /// How often it has been sent.
    tries: u8,
    /// When it was first sent.
    since: Mono,
}

/// A command in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InFlight {
    Request(Request),
    /// The WAIT behind a write.
    Wait(Request),
    /// ASKING
    Asking,
    /// CLUSTER SLOTS
    Slots,
}

/// A redirection by an error reply.
#[derive(Debug, PartialEq, Eq)]
enum Redirection {
    /// MOVED: the slot belongs to another node from now on.
    Moved(Slot, Endpoint),
    /// ASK: only this command goes to another node.
    Ask(Endpoint),
}

impl ClusterTraffic {
    /// A client that starts at [`Input::Start`].
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

    /// Its statistics so far.
    pub fn stats(&self) -> &ClusterTrafficStats {
        &self.stats
    }

    /// Its configuration.
    pub fn config(&self) -> &ClusterTrafficConfig {
        &self.config
    }

    /// The node it currently uses, with [`Routing::Redirected`].
    pub fn current(&self) -> Option<&Endpoint> {
        (self.config.routing == Routing::Redirected).then(|| self.nodes.get(self.at))?
    }

    /// The node that the slot map names as the owner of a slot.
    pub fn owner_of(&self, slot: Slot) -> Option<&Endpoint> {
        let owner = self.owners.get(usize::from(slot.number()))?;
        self.nodes.get(usize::from(*owner))
    }

    /// Whether any connection is established.
    pub fn is_connected(&self) -> bool {
        self.peers.iter().any(|(_, peer)| peer.is_up())
    }

    /// The number of commands that have neither succeeded nor failed yet.
    pub fn pending(&self) -> usize {
        self.keys.iter().filter(|key| key.busy).count()
    }

    /// Changes the rate in commands per second; 0 stops it. The driver must look at
    /// [`Machine::poll_timeout`] again afterwards.
    pub fn set_rate(&mut self, per_second: f64) {
        self.pace.set(per_second, self.now, &mut self.rng);
    }

    /// The keys with acknowledged writes, and the number of each key's latest one. The value of a
    /// key is its name, `=`, and the number.
    pub fn acknowledged(&self) -> impl Iterator<Item = (String, u64)> {
        let keys = self.keys.iter().zip(0..).filter(|(key, _)| key.acknowledged > 0);
        keys.map(|(key, n)| (self.name(n), key.acknowledged))
    }

    fn name(&self, key: u32) -> String {
        format!("{}{key}", self.config.prefix)
    }

    /// Picks a random command, and sends it unless its key is busy.
    fn send_one(&mut self) {
        // Drawn even if it is not sent, so that later draws do not depend on that.
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

    /// Sends a command to the presumed owner of its slot.
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
        let asks =
            !asking || self.peers.request(self.now, to, &["ASKING"], InFlight::Asking).is_ok();
        if !asks || self.peers.request(self.now, to, &words, InFlight::Request(request)).is_err() {
            return self.try_later(request);
        }
        if request.write.is_some() && self.config.wait > 0 {
            let replicas = self.config.wait.to_string();
            let words = ["WAIT", &replicas, WAIT_TIMEOUT];
            // If the connection is already lost, so is the write.
            let _ = self.peers.request(self.now, to, &words, InFlight::Wait(request));
        }
    }

    /// Connects to a node, unless a connection exists.
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

    /// Ends a command as failed.
    fn fail(&mut self, request: Request, why: &str) {
        self.stats.traffic.errors += 1;
        self.stats.traffic.last_error = Some(why.to_owned());
        self.free(request);
    }

    /// Marks the key of a command that has ended as free.
    fn free(&mut self, request: Request) -> Option<&mut Key> {
        let key = Arc::make_mut(&mut self.keys).get_mut(request.key as usize)?;
        key.busy = false;
        Some(key)
    }

    /// Handles the events of the connections.
    fn handle_events(&mut self) {
        while let Some((node, event)) = self.peers.poll_event() {
            match event {
                Event::Connected { .. } => self.stats.traffic.connects += 1,
                Event::Reply { token: InFlight::Request(request), value, .. } => {
                    self.answered(&node, request, value.plain());
                }
                Event::Reply { token: InFlight::Wait(request), value, .. } => {
                    self.waited(request, value.plain());
                }
                Event::Reply { token: InFlight::Slots, value, .. } => {
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
                    self.refresh_slots_soon();
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
            // Nodes may redirect to each other until they agree, hence the delay.
            return match request.tries % REDIRECTIONS_BEFORE_DELAY {
                0 => self.try_later(request),
                _ => self.send(request, &to, asking),
            };
        }
        let passes = ["TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "LOADING", "READONLY"];
        if passes.iter().any(|word| text.starts_with(word)) {
            self.refresh_slots_soon();
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
                // Each missing write is counted once.
                key.acknowledged = read;
            }
            _ => wrong = 1,
        }
        self.stats.gone += gone;
        self.stats.wrong += wrong;
        self.stats.traffic.replies += 1;
        self.stats.traffic.latency.add(now.since(request.since));
    }

    /// Handles the reply to the WAIT after a write, or `Null` if the connection is lost. Ignored if
    /// the write itself was redirected or refused.
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

    fn closed(&mut self, node: &Endpoint, reason: &CloseReason, lost: Vec<InFlight>) {
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
                // A write may or may not have been executed; executing it twice does no harm.
                InFlight::Request(request) => self.try_later(request),
                InFlight::Wait(request) => self.waited(request, &Value::Null),
                InFlight::Slots => self.learning = false,
                InFlight::Asking => {}
            }
        }
        self.refresh_slots_soon();
    }

    /// The index of a node in `nodes`; adds it if it is new.
    fn place(&mut self, node: &Endpoint) -> usize {
        self.nodes.iter().position(|known| known == node).unwrap_or_else(|| {
            self.nodes.push(node.clone());
            self.nodes.len() - 1
        })
    }

    /// Schedules a request for the slots, since the slot map is out of date.
    fn refresh_slots_soon(&mut self) {
        if self.config.routing == Routing::Learned && !self.learning && self.learn.is_none() {
            self.learn = Some(self.now + self.config.retry);
        }
    }

    /// Requests the slots from a node, if possible one that is connected.
    fn request_slots(&mut self) {
        self.learn = None;
        let up = |node: &&Endpoint| self.peers.get(node).is_some_and(Peer::is_up);
        let (before, from) = self.nodes.split_at(self.at.min(self.nodes.len()));
        let found = from.iter().chain(before).find(up).or(self.nodes.get(self.at)).cloned();
        let Some(to) = found else { return };
        self.connect(&to);
        self.learning =
            self.peers.request(self.now, &to, &["CLUSTER", "SLOTS"], InFlight::Slots).is_ok();
        if !self.learning {
            self.learn = Some(self.now + self.config.retry);
        }
    }

    /// Handles the reply to CLUSTER SLOTS; false if it contains no slots.
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
        self.handle_events();
        if self.learn.is_some_and(|at| at <= self.now) {
            self.request_slots();
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
                self.handle_events();
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
    /// Parses `MOVED 3999 10.0.0.1:6379` and `ASK 3999 10.0.0.1:6379`, received from `from`.
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

/// The address of a node as `from` reports it; an empty host means that of `from`.
fn endpoint(host: &str, port: u16, from: &Endpoint) -> Option<Endpoint> {
    let ip: IpAddr = match (host, from) {
        ("" | "?", Endpoint::Ip(from)) => from.ip(),
        _ => host.parse().ok()?,
    };
    Some(Endpoint::Ip((ip, port).into()))
}
