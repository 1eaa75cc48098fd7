//! A client that is busy: it sends a mix of commands at a given rate, looks at the replies, and
//! comes back when its connection is lost. It stands for the applications that use a server.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::marks::Marks;
use crate::machine::{Close, ConnId, Endpoint, Input, Machine, NetError, Outbox, Output, Signal};
use crate::resp::value::{Decoder, Value, encode_command};
use crate::rng::Rng;
use crate::time::{Duration, Mono, Now};

/// What a [`Traffic`] client does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrafficConfig {
    /// The server.
    pub target: Endpoint,
    /// Commands sent first on every connection: AUTH, SELECT, CLIENT SETNAME.
    pub greeting: Vec<Vec<String>>,
    /// Commands a second, on average; the gaps between them vary as those of independent users
    /// do. None at 0.
    pub per_second: f64,
    /// How often each command is chosen, in relation to the others.
    pub mix: Mix,
    /// The key in which it leaves its marks; without one it leaves none.
    pub marks: Option<String>,
    /// How many keys of each kind are in use.
    pub keys: u64,
    /// Bytes of a value that is set.
    pub value_len: u32,
    /// Commands that may wait for their reply at once; when so many do, none is added.
    pub pending: u32,
    /// How long to wait for a reply, or for a connection, before giving the connection up.
    pub patience: Duration,
    /// How long to wait before connecting again.
    pub retry: Duration,
    /// Two clients with one seed send the same commands.
    pub seed: u64,
}

impl TrafficConfig {
    /// Twenty commands a second over a hundred keys, mostly reading.
    pub fn new(target: Endpoint, seed: u64) -> Self {
        TrafficConfig {
            target,
            greeting: Vec::new(),
            per_second: 20.0,
            mix: Mix::default(),
            marks: None,
            keys: 100,
            value_len: 16,
            pending: 16,
            patience: Duration::from_secs(2),
            retry: Duration::from_millis(500),
            seed,
        }
    }
}

/// Weights of the commands.
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
}

impl Mix {
    /// Reading only: what a client of a replica does.
    pub const READS: Mix = Mix { get: 1, set: 0, incr: 0, mark: 0 };
    /// Writing only, with marks that tell later which writes are where.
    pub const WRITES: Mix = Mix { get: 0, set: 2, incr: 1, mark: 3 };
}

impl Default for Mix {
    fn default() -> Self {
        Mix { get: 5, set: 3, incr: 2, mark: 0 }
    }
}

/// What a [`Traffic`] client has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficStats {
    /// Commands sent.
    pub sent: u64,
    /// Replies that were no errors.
    pub replies: u64,
    /// Replies that were errors.
    pub errors: u64,
    /// Commands whose reply never came: the connection went first.
    pub lost: u64,
    /// Commands not sent because too many were waiting, or because there was no connection.
    pub skipped: u64,
    /// Connections made.
    pub connects: u64,
    /// Connections that could not be made, broke, or were given up.
    pub failures: u64,
    /// The last error reply.
    pub last_error: Option<String>,
    /// The last reason for a failed connection.
    pub last_failure: Option<NetError>,
    /// From sending to reply.
    pub latency: Latencies,
}

/// Times between a command and its reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// The latest.
    pub last: Duration,
    /// The longest.
    pub max: Duration,
    /// All together; divide by the count of replies and errors for the mean.
    pub total: Duration,
    /// How many took less than 2ⁱ microseconds, and not less than half of that.
    pub buckets: [u64; 32],
}

impl Latencies {
    /// A time that the given share of replies (0.5, 0.99) did not exceed, to within a factor of
    /// two. Zero before the first reply.
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

    fn add(&mut self, took: Duration) {
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

/// The client. See the module.
#[derive(Clone, Debug)]
pub struct Traffic {
    config: TrafficConfig,
    stats: TrafficStats,
    /// Shared between checkpoints.
    marks: Arc<Marks>,
    rng: Rng,
    link: Link,
    connections: u64,
    outputs: VecDeque<Output>,
    /// When the next command is due.
    next: Option<Mono>,
    /// The latest moment seen.
    now: Mono,
}

#[derive(Clone, Debug)]
enum Link {
    /// Not to be connected, before the start and after the end.
    Idle,
    /// To be connected at this time.
    Waiting(Mono),
    Connecting {
        conn: ConnId,
        since: Mono,
        outbox: Outbox,
    },
    Open(Box<Open>),
}

#[derive(Clone, Debug)]
struct Open {
    conn: ConnId,
    outbox: Outbox,
    decoder: Decoder,
    /// Commands that wait for their reply.
    pending: VecDeque<Pending>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    sent: Mono,
    /// Whether it is of the mix.
    counted: bool,
    /// The mark that it leaves.
    mark: Option<u64>,
}

impl Traffic {
    /// A client that begins at [`Input::Start`].
    pub fn new(config: TrafficConfig) -> Self {
        Traffic {
            rng: Rng::new(config.seed),
            config,
            stats: TrafficStats::default(),
            marks: Arc::default(),
            link: Link::Idle,
            connections: 0,
            outputs: VecDeque::new(),
            next: None,
            now: Mono::ZERO,
        }
    }

    /// What it has seen so far.
    pub fn stats(&self) -> &TrafficStats {
        &self.stats
    }

    /// Which of its marks are acknowledged.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// What it does.
    pub fn config(&self) -> &TrafficConfig {
        &self.config
    }

    /// Whether its connection stands.
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Open(_))
    }

    /// Commands whose reply it waits for.
    pub fn pending(&self) -> usize {
        match &self.link {
            Link::Open(open) => open.pending.len(),
            _ => 0,
        }
    }

    /// Sends faster or slower from now on; not at all at 0. The driver must look at
    /// [`Machine::poll_timeout`] again afterwards.
    pub fn set_rate(&mut self, per_second: f64) {
        self.config.per_second = per_second;
        self.next = self.gap().map(|gap| self.now + gap);
    }

    /// Turns to another server. The connection that stands is given up.
    pub fn set_target(&mut self, target: Endpoint) {
        self.config.target = target;
        if let Some(conn) = self.conn() {
            self.outputs.push_back(Output::Close { conn, how: Close::Now });
            self.failed(NetError::Eof);
            self.link = Link::Waiting(self.now);
        }
    }

    /// A gap between two commands, up to twice the mean.
    fn gap(&mut self) -> Option<Duration> {
        let rate = self.config.per_second;
        if rate.is_nan() || rate <= 0.0 {
            return None;
        }
        // An exponential distribution would need `ln`, whose last bit may differ between platforms.
        // A triangle has the same mean and needs nothing but exact operations.
        let unit = self.rng.unit() + self.rng.unit();
        let seconds = (unit / rate).min(86_400.0);
        Some(Duration::from_micros((seconds * 1e6) as u64).max(Duration::from_micros(1)))
    }

    fn connect(&mut self) {
        let conn = ConnId::connected(self.connections);
        self.connections += 1;
        self.link = Link::Connecting { conn, since: self.now, outbox: Outbox::default() };
        let to = self.config.target.clone();
        self.outputs.push_back(Output::Connect { conn, to: to.into(), from: None });
    }

    fn failed(&mut self, error: NetError) {
        self.stats.failures += 1;
        self.stats.last_failure = Some(error);
        if let Link::Open(open) = &self.link {
            self.stats.lost += open.pending.iter().filter(|p| p.counted).count() as u64;
        }
        self.link = Link::Waiting(self.now + self.config.retry);
    }

    fn give_up(&mut self) {
        if let Some(conn) = self.conn() {
            self.outputs.push_back(Output::Close { conn, how: Close::Now });
            self.failed(NetError::TimedOut);
        }
    }

    fn conn(&self) -> Option<ConnId> {
        match &self.link {
            Link::Connecting { conn, .. } => Some(*conn),
            Link::Open(open) => Some(open.conn),
            Link::Idle | Link::Waiting(_) => None,
        }
    }

    fn greet(&mut self, conn: ConnId) {
        let mut open = Open {
            conn,
            outbox: Outbox::default(),
            decoder: Decoder::new(),
            pending: VecDeque::new(),
        };
        self.stats.connects += 1;
        for command in &self.config.greeting {
            let mut bytes = Vec::new();
            encode_command(command, &mut bytes);
            open.outbox.write(&bytes);
            open.pending.push_back(Pending { sent: self.now, counted: false, mark: None });
        }
        if !open.outbox.is_empty() {
            self.outputs.push_back(Output::Send { conn });
        }
        self.link = Link::Open(Box::new(open));
        if self.next.is_none() {
            self.next = self.gap().map(|gap| self.now + gap);
        }
    }

    fn send_one(&mut self) {
        // Drawn whether or not it is sent, so that what comes later does not depend on the past.
        let (command, mark) = self.command();
        match &mut self.link {
            Link::Open(open) if open.pending.len() < self.config.pending.max(1) as usize => {
                let mut bytes = Vec::new();
                encode_command(&command, &mut bytes);
                open.outbox.write(&bytes);
                open.pending.push_back(Pending { sent: self.now, counted: true, mark });
                self.stats.sent += 1;
                if mark.is_some() {
                    Arc::make_mut(&mut self.marks).sent += 1;
                }
                self.outputs.push_back(Output::Send { conn: open.conn });
            }
            _ => self.stats.skipped += 1,
        }
    }

    /// A command of the mix, and the mark that it leaves.
    fn command(&mut self) -> (Vec<String>, Option<u64>) {
        let Mix { get, set, incr, mark } = self.config.mix;
        let sum = [get, set, incr, mark].into_iter().map(u64::from).sum();
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

    fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        let Link::Open(open) = &mut self.link else { return };
        if open.conn != conn {
            return;
        }
        open.decoder.feed(bytes);
        loop {
            match open.decoder.next_value() {
                Ok(Some(Value::Push(_))) => {}
                Ok(Some(value)) => {
                    let Some(Pending { sent, counted, mark }) = open.pending.pop_front() else {
                        continue;
                    };
                    if let Value::Error(text) = value.plain() {
                        self.stats.errors += u64::from(counted);
                        self.stats.last_error = Some(String::from_utf8_lossy(text).into_owned());
                    } else {
                        self.stats.replies += u64::from(counted);
                        if let Some(number) = mark {
                            Arc::make_mut(&mut self.marks).acknowledge(number, self.now);
                        }
                    }
                    if counted {
                        self.stats.latency.add(self.now.since(sent));
                    }
                }
                Ok(None) => return,
                Err(_) => {
                    self.outputs.push_back(Output::Close { conn, how: Close::Now });
                    return self.failed(NetError::Other);
                }
            }
        }
    }

    /// When to stop waiting for what is being waited for.
    fn deadline(&self) -> Option<Mono> {
        match &self.link {
            Link::Connecting { since, .. } => Some(*since + self.config.patience),
            Link::Open(open) => open.pending.front().map(|p| p.sent + self.config.patience),
            Link::Idle | Link::Waiting(_) => None,
        }
    }

    fn due(&mut self) {
        if self.deadline().is_some_and(|at| at <= self.now) {
            self.give_up();
        }
        if let Link::Waiting(at) = self.link
            && at <= self.now
        {
            self.connect();
        }
        if let Some(at) = self.next
            && at <= self.now
        {
            self.send_one();
            // Counted from the time that was due, so that a late wake-up costs no command; but
            // after a long pause there is nothing to catch up on.
            let from = if self.now.since(at) > Duration::from_secs(1) { self.now } else { at };
            self.next = self.gap().map(|gap| from + gap);
        }
    }
}

impl Machine for Traffic {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        self.now = now.mono;
        match input {
            Input::Start => self.connect(),
            Input::Connected { conn, .. } if self.conn() == Some(conn) => self.greet(conn),
            Input::ConnectFailed { conn, error } | Input::Closed { conn, error }
                if self.conn() == Some(conn) =>
            {
                self.failed(error);
            }
            Input::Ended { conn } if self.conn() == Some(conn) => {
                self.outputs.push_back(Output::Close { conn, how: Close::Now });
                self.failed(NetError::Eof);
            }
            Input::Received { conn, bytes } => self.received(conn, bytes),
            Input::Signal(Signal::Terminate | Signal::Interrupt) => {
                if let Some(conn) = self.conn() {
                    self.outputs.push_back(Output::Close { conn, how: Close::Now });
                }
                self.link = Link::Idle;
                self.next = None;
                self.outputs.push_back(Output::Exit { code: 0 });
                return;
            }
            _ => {}
        }
        self.due();
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        let reconnect = match self.link {
            Link::Waiting(at) => Some(at),
            _ => None,
        };
        [self.next, reconnect, self.deadline()].into_iter().flatten().min()
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        match &mut self.link {
            Link::Connecting { conn: own, outbox, .. } if *own == conn => Some(outbox),
            Link::Open(open) if open.conn == conn => Some(&mut open.outbox),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Address;
    use crate::time::Wall;

    /// Runs a client for so many virtual seconds against a peer that answers `reply` to each
    /// command after a delay, or never; returns what it asked for besides sending.
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
    fn a_silent_server_is_given_up_and_tried_again() {
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
    fn marks_are_left_once_each_and_remembered_when_acknowledged() {
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
    fn another_target_is_turned_to_at_once() {
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
