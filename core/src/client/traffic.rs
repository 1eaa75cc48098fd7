//! A client that generates traffic: it sends a mix of commands at a given rate, checks the replies,
//! and reconnects. It represents the applications that use a server.
//!
//! It connects to one server, or asks Sentinels for the master: at its start, after its connection
//! is lost, and when the server turns out to be a replica.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::marks::Marks;
use super::pace::Pace;
use crate::machine::{ConnId, Endpoint, Input, Machine, NetError, Outbox, Output, Signal};
use crate::peer::{CloseReason, Event, Peer, PeerConfig, Peers, Preamble};
use crate::resp::value::Value;
use crate::rng::Rng;
use crate::time::{Duration, Mono, Now, earliest};

/// The timeout of WAIT in milliseconds; commands after it wait as long.
const WAIT_MS: &str = "500";

/// Configuration of a [`Traffic`] client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrafficConfig {
    /// The server. With Sentinels, the last known master.
    pub target: Endpoint,
    /// The Sentinels to ask for the master, and the master's name; without them the target is used.
    #[serde(default)]
    pub sentinels: Option<Sentinels>,
    /// Commands sent first on every connection: AUTH, SELECT, CLIENT SETNAME.
    pub greeting: Vec<Vec<String>>,
    /// Commands per second, on average, with random gaps like those of independent users; 0 for
    /// none.
    pub per_second: f64,
    /// The weights of the commands.
    pub mix: Mix,
    /// The key in which it sets its marks; without a key there are none.
    pub marks: Option<String>,
    /// How many replicas have to acknowledge each mark, by a WAIT after it; 0 for no WAIT.
    #[serde(default)]
    pub wait: u32,
    /// The number of keys of each type.
    pub keys: u64,
    /// The length of the values that are set, in bytes.
    pub value_len: u32,
    /// The maximum number of commands in flight; when it is reached, commands are skipped.
    pub pending: u32,
    /// The timeout for a reply, or for connecting. Afterwards the connection is closed.
    pub patience: Duration,
    /// The delay before it reconnects.
    pub retry: Duration,
    /// The random seed: two clients with the same seed send the same commands.
    pub seed: u64,
}

impl TrafficConfig {
    /// Twenty commands per second over a hundred keys, mostly reads.
    pub fn new(target: Endpoint, seed: u64) -> Self {
        TrafficConfig {
            target,
            sentinels: None,
            greeting: Vec::new(),
            per_second: 20.0,
            mix: Mix::default(),
            marks: None,
            wait: 0,
            keys: 100,
            value_len: 16,
            pending: 16,
            patience: Duration::from_secs(2),
            retry: Duration::from_millis(500),
            seed,
        }
    }
}

/// Sentinels, and the name of the master to ask them for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentinels {
    /// Their addresses, which are tried in turn.
    pub at: Vec<Endpoint>,
    /// The name of the master.
    pub master: String,
}

/// Relative weights of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix {
    /// `GET key:N`
    pub get: u32,
    /// `SET key:N value`
    pub set: u32,
    /// `INCR counter:N`
    pub incr: u32,
    /// `SETBIT marks N 1`, each N once: see [`Marks`].
    #[serde(default)]
    pub mark: u32,
    /// `MGET` of four keys, which a proxy splits.
    #[serde(default)]
    pub mget: u32,
}

impl Mix {
    /// Only reads, for a client of a replica.
    pub const READS: Mix = Mix { get: 1, set: 0, incr: 0, mark: 0, mget: 0 };
    /// Only writes, with marks that show later which server has which write.
    pub const WRITES: Mix = Mix { get: 0, set: 2, incr: 1, mark: 3, mget: 0 };
    /// Writes, and reads of several keys at once, for a client of a proxy.
    pub const SEVERAL: Mix = Mix { get: 1, set: 3, incr: 0, mark: 0, mget: 2 };
}

impl Default for Mix {
    fn default() -> Self {
        Mix { get: 5, set: 3, incr: 2, mark: 0, mget: 0 }
    }
}

/// Statistics of a [`Traffic`] client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficStats {
    /// Commands sent.
    pub sent: u64,
    /// Replies that were not errors.
    pub replies: u64,
    /// Replies that were errors.
    pub errors: u64,
    /// Commands whose connection was lost before their reply.
    pub lost: u64,
    /// Commands that were not sent because too many were in flight, or there was no connection.
    pub skipped: u64,
    /// Connections established.
    pub connects: u64,
    /// Connections that could not be established, broke, or timed out.
    pub failures: u64,
    /// The last error reply.
    pub last_error: Option<String>,
    /// The error of the last failed connection.
    pub last_failure: Option<NetError>,
    /// The latencies of the replies.
    pub latency: Latencies,
}

/// Latencies: times between a command and its reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// The latest.
    pub last: Duration,
    /// The longest.
    pub max: Duration,
    /// The sum; divide it by the number of replies and errors for the mean.
    pub total: Duration,
    /// A histogram: bucket i counts those below 2ⁱ microseconds, and not below half of that.
    pub buckets: [u64; 32],
}

impl Latencies {
    /// The latency that the given share of replies (0.5, 0.99) did not exceed, to within a factor
    /// of two. Zero before the first reply.
    pub fn quantile(&self, share: f64) -> Duration {
        let count: u64 = self.buckets.iter().sum();
        let rank = (count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (i, n) in self.buckets.iter().enumerate() {
            seen += n;
            if seen >= rank && seen > 0 {
                return Duration::from_micros(1 << i).min(self.max);
            }
        }
        Duration::ZERO
    }

    /// Adds a latency.
    pub(super) fn add(&mut self, took: Duration) {
        self.last = took;
        self.max = self.max.max(took);
        self.total = self.total.saturating_add(took);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let i = (u64::BITS - micros.leading_zeros()).min(31) as usize;
        if let Some(bucket) = self.buckets.get_mut(i) {
            *bucket += 1;
        }
    }
}

/// A traffic client. See the module.
#[derive(Clone, Debug)]
pub struct Traffic {
    config: TrafficConfig,
    stats: TrafficStats,
    /// Shared between checkpoints.
    marks: Arc<Marks>,
    rng: Rng,
    peers: Peers<Lane, Pending>,
    /// When to connect again; `None` while there is a connection, and before the start.
    retry: Option<Mono>,
    /// The index of the Sentinel to ask next.
    sentinel: usize,
    outputs: VecDeque<Output>,
    pace: Pace,
    /// The latest moment seen.
    now: Mono,
}

/// The connections of a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Lane {
    Server,
    Sentinel,
}

/// A command in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    /// A command of the mix, and the number of its mark.
    Command(Option<u64>),
    /// The WAIT after a mark.
    Wait(u64),
    /// The request for the master's address.
    Where,
}

impl Traffic {
    /// A client that starts at [`Input::Start`].
    pub fn new(config: TrafficConfig) -> Self {
        let pace = Pace::new(config.per_second);
        Traffic {
            rng: Rng::new(config.seed),
            config,
            stats: TrafficStats::default(),
            marks: Arc::default(),
            peers: Peers::new(),
            retry: None,
            sentinel: 0,
            outputs: VecDeque::new(),
            pace,
            now: Mono::ZERO,
        }
    }

    /// Its statistics so far.
    pub fn stats(&self) -> &TrafficStats {
        &self.stats
    }

    /// Its marks.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Its configuration.
    pub fn config(&self) -> &TrafficConfig {
        &self.config
    }

    /// Whether it is connected.
    pub fn is_connected(&self) -> bool {
        self.peers.get(&Lane::Server).is_some_and(Peer::is_up)
    }

    /// The number of commands in flight.
    pub fn pending(&self) -> usize {
        self.peers.get(&Lane::Server).map_or(0, |server| server.in_flight().count())
    }

    /// Changes the rate in commands per second; 0 stops it. The driver must look at
    /// [`Machine::poll_timeout`] again afterwards.
    pub fn set_rate(&mut self, per_second: f64) {
        self.pace.set(per_second, self.now, &mut self.rng);
    }

    /// Sets how many replicas have to acknowledge each mark; 0 for no WAIT.
    pub fn set_wait(&mut self, replicas: u32) {
        self.config.wait = replicas;
    }

    /// Switches to another server. The current connection is closed.
    pub fn set_target(&mut self, target: Endpoint) {
        self.config.target = target;
        if self.peers.close(&Lane::Server) {
            self.retry = Some(self.now);
        }
        self.handle_events();
    }

    /// Connects to the server, or to a Sentinel in order to find it.
    fn connect(&mut self) {
        self.retry = None;
        let Some(sentinels) = &self.config.sentinels else { return self.connect_server() };
        let Some(at) = sentinels.at.get(self.sentinel % sentinels.at.len().max(1)) else { return };
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &sentinels.master];
        self.peers.connect(self.now, Lane::Sentinel, self.peer(at.clone()));
        // A new connection always accepts a request.
        let _ = self.peers.request(self.now, &Lane::Sentinel, &words, Pending::Where);
    }

    fn connect_server(&mut self) {
        let greeting = self.config.greeting.iter();
        let preamble = greeting.fold(Preamble::new(), |preamble, words| preamble.command(words));
        let config = PeerConfig { preamble, ..self.peer(self.config.target.clone()) };
        self.peers.connect(self.now, Lane::Server, config);
    }

    fn peer(&self, to: Endpoint) -> PeerConfig {
        PeerConfig {
            connect_timeout: Some(self.config.patience),
            reply_timeout: Some(self.config.patience),
            ..PeerConfig::new(to)
        }
    }

    /// Handles the events of the connections.
    fn handle_events(&mut self) {
        while let Some((lane, event)) = self.peers.poll_event() {
            match event {
                Event::Connected { .. } if lane == Lane::Server => {
                    self.stats.connects += 1;
                    if self.pace.next().is_none() {
                        self.pace.begin(self.now, &mut self.rng);
                    }
                }
                Event::Reply { token: Pending::Where, value, .. } => self.learn_master(&value),
                Event::Reply { token: Pending::Wait(mark), value, .. } => {
                    let enough = |count: i64| count >= i64::from(self.config.wait.max(1));
                    if matches!(value.plain(), Value::Integer(count) if enough(*count)) {
                        Arc::make_mut(&mut self.marks).confirm(mark);
                    }
                }
                Event::Reply { token: Pending::Command(mark), value, took } => {
                    self.answered(mark, &value);
                    self.stats.latency.add(took);
                }
                Event::Refused { error, .. } => {
                    self.stats.last_error = Some(String::from_utf8_lossy(&error).into_owned());
                }
                Event::Closed { reason, lost } => self.closed(lane, &reason, lost.len()),
                Event::Connected { .. } | Event::Push(_) => {}
            }
        }
    }

    /// Handles a Sentinel's reply: the master's address, or that it does not know the master.
    fn learn_master(&mut self, value: &Value) {
        self.peers.close(&Lane::Sentinel);
        let text = |value: &Value| value.bytes().map(|b| String::from_utf8_lossy(b).into_owned());
        let place = value.plain().items().and_then(|items| {
            let [host, port] = items else { return None };
            let ip: std::net::IpAddr = text(host)?.parse().ok()?;
            Some(Endpoint::Ip((ip, text(port)?.parse().ok()?).into()))
        });
        match place {
            Some(place) => {
                self.config.target = place;
                self.connect_server();
            }
            None => {
                self.sentinel += 1;
                self.retry = Some(self.now + self.config.retry);
            }
        }
    }

    fn closed(&mut self, lane: Lane, reason: &CloseReason, lost: usize) {
        let error = match reason {
            CloseReason::ConnectFailed(error) | CloseReason::Lost(error) => *error,
            CloseReason::ConnectTimeout | CloseReason::ReplyTimeout => NetError::TimedOut,
            CloseReason::Requested if lane == Lane::Sentinel => return,
            CloseReason::Requested => NetError::Eof,
            CloseReason::Protocol(_) | CloseReason::Refused { .. } => NetError::Other,
        };
        self.stats.failures += 1;
        self.stats.last_failure = Some(error);
        match lane {
            Lane::Server => self.stats.lost += lost as u64,
            Lane::Sentinel => self.sentinel += 1,
        }
        if self.retry.is_none() {
            self.retry = Some(self.now + self.config.retry);
        }
    }

    fn answered(&mut self, mark: Option<u64>, value: &Value) {
        let Value::Error(text) = value.plain() else {
            self.stats.replies += 1;
            if let Some(number) = mark {
                Arc::make_mut(&mut self.marks).acknowledge(number, self.now);
            }
            return;
        };
        self.stats.errors += 1;
        self.stats.last_error = Some(String::from_utf8_lossy(text).into_owned());
        // The Sentinels may know of a new master.
        if text.starts_with(b"READONLY") && self.config.sentinels.is_some() {
            self.peers.close(&Lane::Server);
        }
    }

    fn send_one(&mut self) {
        // Drawn even if it is not sent, so that later draws do not depend on that.
        let (command, mark) = self.command();
        let room = self.pending() < self.config.pending.max(1) as usize;
        let (now, token) = (self.now, Pending::Command(mark));
        if room
            && self.is_connected()
            && self.peers.request(now, &Lane::Server, &command, token).is_ok()
        {
            self.stats.sent += 1;
            if let Some(mark) = mark {
                Arc::make_mut(&mut self.marks).sent += 1;
                self.send_wait(mark);
            }
        } else {
            self.stats.skipped += 1;
        }
    }

    /// Sends a WAIT for the mark that was just sent.
    fn send_wait(&mut self, mark: u64) {
        if self.config.wait > 0 {
            let words = ["WAIT", &self.config.wait.to_string(), WAIT_MS];
            // If the connection does not accept it, the mark stays unconfirmed.
            let _ = self.peers.request(self.now, &Lane::Server, &words, Pending::Wait(mark));
        }
    }

    /// A random command of the mix, and the number of its mark.
    fn command(&mut self) -> (Vec<String>, Option<u64>) {
        let Mix { get, set, incr, mark, mget } = self.config.mix;
        let sum = [get, set, incr, mark, mget].into_iter().map(u64::from).sum();
        let pick = self.rng.below(sum);
        let n = self.rng.below(self.config.keys.max(1));
        let number = self.marks.sent;
        if pick < u64::from(get) {
            (vec!["GET".into(), format!("key:{n}")], None)
        } else if pick < u64::from(get) + u64::from(set) {
            let mut value = String::new();
            while value.len() < self.config.value_len as usize {
                value.push_str(&format!("{:016x}", self.rng.u64()));
            }
            value.truncate(self.config.value_len as usize);
            (vec!["SET".into(), format!("key:{n}"), value], None)
        } else if pick < u64::from(get) + u64::from(set) + u64::from(mget) {
            let keys = (0..4).map(|i| format!("key:{}", (n + i) % self.config.keys.max(1)));
            (["MGET".to_owned()].into_iter().chain(keys).collect(), None)
        } else if let Some(key) = &self.config.marks
            && pick >= sum - u64::from(mark)
            && number < Marks::MOST
        {
            let words = vec!["SETBIT".into(), key.clone(), number.to_string(), "1".into()];
            (words, Some(number))
        } else {
            (vec!["INCR".into(), format!("counter:{n}")], None)
        }
    }

    fn due(&mut self) {
        self.peers.wake(self.now);
        self.handle_events();
        if self.retry.is_some_and(|at| at <= self.now) {
            self.connect();
        }
        if let Some(due) = self.pace.due(self.now) {
            self.send_one();
            self.pace.sent(due, self.now, &mut self.rng);
        }
    }
}

impl Machine for Traffic {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        self.now = now.mono;
        match input {
            Input::Start => self.connect(),
            Input::Signal(Signal::Terminate | Signal::Interrupt) => {
                self.peers.close(&Lane::Server);
                self.peers.close(&Lane::Sentinel);
                while let Some(output) = self.peers.poll_output() {
                    self.outputs.push_back(output);
                }
                self.peers = Peers::new();
                self.retry = None;
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
        earliest([self.pace.next(), self.retry, self.peers.poll_timeout()])
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.peers.outbox(conn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Address, Close};
    use crate::time::Wall;

    /// Runs a client for some virtual seconds against a server that sends `reply` to each command
    /// after a delay, or never; returns the outputs other than sending.
    fn run(
        traffic: &mut Traffic,
        seconds: u64,
        reply: Option<&[u8]>,
        delay_ms: u64,
    ) -> Vec<Output> {
        let (mut asked, mut t) = (Vec::new(), Mono::ZERO);
        let mut replies: VecDeque<(Mono, ConnId, usize)> = VecDeque::new();
        let end = Mono::ZERO + Duration::from_secs(seconds);
        handle(traffic, t, Input::Start);
        loop {
            while let Some(output) = traffic.poll_output() {
                match &output {
                    Output::Connect { conn, to, .. } => {
                        let Address::Endpoint(to) = to else { panic!("no place: {to:?}") };
                        let (conn, local, peer) = (*conn, to.clone(), to.clone());
                        handle(traffic, t, Input::Connected { conn, local, peer });
                    }
                    Output::Send { conn } => {
                        let outbox = traffic.outbox(*conn).unwrap();
                        let bytes: Vec<u8> = outbox.slices().flatten().copied().collect();
                        outbox.consume(bytes.len());
                        let commands = bytes.iter().filter(|&&b| b == b'*').count();
                        replies.push_back((t + Duration::from_millis(delay_ms), *conn, commands));
                        continue;
                    }
                    _ => {}
                }
                asked.push(output);
            }
            let wake = traffic.poll_timeout().unwrap();
            match (replies.front(), reply) {
                (Some(&(at, conn, n)), Some(reply)) if at <= wake => {
                    replies.pop_front();
                    t = at;
                    handle(traffic, t, Input::Received { conn, bytes: &reply.repeat(n) });
                }
                _ => {
                    t = wake.max(t);
                    handle(traffic, t, Input::Wake);
                }
            }
            if t >= end {
                return asked;
            }
        }
    }

    fn handle(traffic: &mut Traffic, t: Mono, input: Input<'_>) {
        traffic.handle(Now::instantaneous(t, Wall(t.0 / 1_000)), input);
    }

    fn config() -> TrafficConfig {
        TrafficConfig::new(Endpoint::Ip(([10, 0, 0, 1], 6379).into()), 1)
    }

    #[test]
    fn it_keeps_its_rate_and_measures_replies() {
        let mut traffic = Traffic::new(config());
        run(&mut traffic, 100, Some(b"+OK\r\n"), 3);
        let stats = traffic.stats();
        assert!((1_900..2_100).contains(&stats.sent), "{stats:?}");
        assert!(stats.replies >= stats.sent - 2 && stats.errors == 0, "{stats:?}");
        assert_eq!(stats.latency.max, Duration::from_millis(3));
        assert_eq!(stats.latency.quantile(0.99), Duration::from_millis(3));
        assert_eq!((stats.connects, stats.failures), (1, 0));
    }

    #[test]
    fn errors_are_counted_and_remembered() {
        let mut traffic = Traffic::new(config());
        run(&mut traffic, 5, Some(b"-LOADING wait\r\n"), 1);
        assert_eq!(traffic.stats().replies, 0);
        assert!(traffic.stats().errors > 50);
        assert_eq!(traffic.stats().last_error.as_deref(), Some("LOADING wait"));
    }

    #[test]
    fn a_silent_server_times_out_and_is_connected_to_again() {
        let mut traffic = Traffic::new(config());
        let asked = run(&mut traffic, 10, None, 0);
        let stats = traffic.stats();
        assert!(stats.failures >= 3 && stats.connects >= stats.failures, "{stats:?}");
        assert!(stats.lost > 0 && stats.skipped > 0, "{stats:?}");
        assert!(asked.iter().any(|o| matches!(o, Output::Close { how: Close::Now, .. })));
        let conns: Vec<_> = asked
            .iter()
            .filter_map(|o| if let Output::Connect { conn, .. } = o { Some(conn.0) } else { None })
            .collect();
        assert!(
            conns.windows(2).all(|w| w[0] < w[1]),
            "a connection's name is used once: {conns:?}"
        );
    }

    #[test]
    fn the_same_seed_sends_the_same_commands() {
        let (mut a, mut b) = (Traffic::new(config()), Traffic::new(config()));
        assert!((0..100).all(|_| a.command() == b.command()));
    }

    #[test]
    fn each_mark_is_set_once_and_recorded_when_acknowledged() {
        let mix = Mix::WRITES;
        let marks = Some("marks".to_string());
        let mut traffic = Traffic::new(TrafficConfig { mix, marks, ..config() });
        run(&mut traffic, 10, Some(b":0\r\n"), 3);
        let marks = traffic.marks();
        assert!(marks.sent > 70, "{marks:?}");
        assert!(marks.count() >= marks.sent - 1);
        assert!((0..marks.count()).all(|n| marks.is_acknowledged(n)));
        assert!(!marks.is_acknowledged(marks.sent));
        assert_eq!(marks.latest.back().map(|(n, _)| *n), Some(marks.count() - 1));
    }

    #[test]
    fn a_mark_is_confirmed_when_enough_replicas_have_it() {
        for (replicas, confirmed) in [("2", true), ("1", false)] {
            let (mix, marks) = (Mix { mark: 1, ..Mix::READS }, Some("marks".to_string()));
            let mut traffic = Traffic::new(TrafficConfig { mix, marks, wait: 2, ..config() });
            // SETBIT gets the same reply as WAIT, which is a number, too.
            run(&mut traffic, 10, Some(format!(":{replicas}\r\n").as_bytes()), 3);
            let marks = traffic.marks();
            assert!(marks.count() > 20, "{marks:?}");
            assert_eq!(marks.is_confirmed(0), confirmed);
            assert!((0..marks.sent).all(|n| marks.is_acknowledged(n) || !marks.is_confirmed(n)));
        }
    }

    #[test]
    fn a_new_target_is_connected_to_at_once() {
        let mut traffic = Traffic::new(config());
        run(&mut traffic, 1, Some(b"+OK\r\n"), 3);
        let other = Endpoint::Ip(([10, 0, 0, 2], 6380).into());
        traffic.set_target(other.clone());
        assert_eq!(traffic.poll_timeout(), Some(traffic.now));
        let now = traffic.now;
        handle(&mut traffic, now, Input::Wake);
        let asked: Vec<Output> = core::iter::from_fn(|| traffic.poll_output()).collect();
        assert!(
            asked
                .iter()
                .any(|o| matches!(o, Output::Connect { to, .. } if *to == other.clone().into()))
        );
    }

    #[test]
    fn the_greeting_comes_first_and_is_not_counted() {
        let greeting = vec![vec!["AUTH".to_string(), "secret".to_string()]];
        let mut traffic = Traffic::new(TrafficConfig { greeting, per_second: 0.0, ..config() });
        handle(&mut traffic, Mono::ZERO, Input::Start);
        let conn = ConnId::connected(0);
        let local = traffic.config().target.clone();
        let peer = local.clone();
        handle(&mut traffic, Mono::ZERO, Input::Connected { conn, local, peer });
        let bytes: Vec<u8> = traffic.outbox(conn).unwrap().slices().flatten().copied().collect();
        assert_eq!(bytes, b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n");
        handle(&mut traffic, Mono(5), Input::Received { conn, bytes: b"+OK\r\n" });
        assert_eq!(traffic.stats().replies, 0);
        assert_eq!(traffic.poll_timeout(), None);
    }
}
