//! Clients that check whether a reply is theirs: every value contains its client, key and round,
//! and each client increments a counter, so that a request that is carried out twice shows, too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use limpid_core::resp::value::{Value, encode_command};
use limpid_tests::wait::until;

use super::client;

/// The number of clients.
const CLIENTS: u64 = 8;

/// Keys of each client.
const KEYS: u64 = 12;

/// The pause of a client after each round, so that servers and Sentinels get processor time on a
/// small machine.
const PAUSE: Duration = Duration::from_millis(10);

/// The errors of proxies while a server is down, in the words of the originals.
const KNOWN: [&str; 6] = [
    "ERR Connection refused",
    "ERR Connection reset by peer",
    "ERR Connection timed out",
    "ERR unknown",
    "ERR server connection close",
    "ERR no server connection avaliable",
];

/// Clients that send requests continuously, each on one connection.
pub(super) struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Seen>>,
}

#[derive(Default)]
struct Shared {
    ends: AtomicBool,
    /// Whether acknowledged writes may be lost, since servers die or lag behind.
    forgetful: AtomicBool,
    progress: [Progress; CLIENTS as usize],
}

/// The progress of a client, in rounds counted from 1.
#[derive(Default)]
struct Progress {
    /// The last round that was started.
    begun: AtomicU64,
    /// The last round without an error.
    served: AtomicU64,
    /// The last round with an error.
    refused: AtomicU64,
}

/// The statistics of a client.
#[derive(Default)]
pub(super) struct Seen {
    /// Replies that were checked.
    pub(super) replies: u64,
    /// The errors among them.
    pub(super) errors: u64,
    texts: BTreeSet<String>,
}

impl Crowd {
    /// Starts clients of the proxy on this port.
    pub(super) fn start(port: u16) -> Crowd {
        let shared = Arc::<Shared>::default();
        let threads = (0..CLIENTS).map(|n| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || Asking::new(n, port).run(&shared))
        });
        let crowd = Crowd { threads: threads.collect(), shared };
        crowd.is_served();
        crowd
    }

    /// Allows acknowledged writes to be lost from now on.
    pub(super) fn may_forget(&self) {
        self.shared.forgetful.store(true, Ordering::SeqCst);
    }

    /// Waits until each client has finished a round without an error that started after this call.
    pub(super) fn is_served(&self) {
        self.has("served", |progress| &progress.served);
    }

    /// Waits until each client has got an error in a round that started after this call.
    pub(super) fn is_refused(&self) {
        self.has("refused", |progress| &progress.refused);
    }

    fn has(&self, what: &str, last: fn(&Progress) -> &AtomicU64) {
        let begun = |progress: &Progress| progress.begun.load(Ordering::SeqCst);
        let before: Vec<u64> = self.shared.progress.iter().map(begun).collect();
        for (n, (progress, before)) in self.shared.progress.iter().zip(before).enumerate() {
            until(
                || format!("client {n} is not {what}"),
                || {
                    assert!(!self.threads[n].is_finished(), "client {n} has seen what is wrong");
                    last(progress).load(Ordering::SeqCst) > before
                },
            );
        }
    }

    /// Stops all clients. Returns their statistics together.
    pub(super) fn end(mut self) -> Seen {
        self.is_served();
        self.shared.ends.store(true, Ordering::SeqCst);
        let mut all = Seen::default();
        for thread in self.threads.drain(..) {
            let seen = thread.join().expect("nothing wrong");
            all.replies += seen.replies;
            all.errors += seen.errors;
            all.texts.extend(seen.texts);
        }
        println!("{} replies, {} errors: {:?}", all.replies, all.errors, all.texts);
        all
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
    }
}

/// One client.
struct Asking {
    n: u64,
    port: u16,
    round: u64,
    /// The round of the last acknowledged value of each key.
    acknowledged: [u64; KEYS as usize],
    counts: Counts,
    seen: Seen,
}

/// A client's knowledge of its counter.
#[derive(Default)]
struct Counts {
    asked: i64,
    acknowledged: i64,
    last: i64,
}

impl Asking {
    fn new(n: u64, port: u16) -> Asking {
        let (acknowledged, counts, seen) = Default::default();
        Asking { n, port, round: 0, acknowledged, counts, seen }
    }

    fn key(&self, k: u64) -> String {
        format!("client:{}:{k}", self.n)
    }

    fn run(mut self, shared: &Shared) -> Seen {
        let mut client = client(self.port);
        let progress = &shared.progress[self.n as usize];
        while !shared.ends.load(Ordering::SeqCst) {
            self.round += 1;
            progress.begun.store(self.round, Ordering::SeqCst);
            let errors = self.seen.errors;
            let mut bytes = Vec::new();
            for k in 0..KEYS {
                let key = self.key(k);
                encode_command(&["SET", &key, &format!("{key}:{}", self.round)], &mut bytes);
                encode_command(&["GET", &key], &mut bytes);
            }
            encode_command(&["INCR", &self.key(KEYS)], &mut bytes);
            let keys: Vec<String> = (0..KEYS).map(|k| self.key(k)).collect();
            let touch = [&["TOUCH".to_owned()][..], &keys].concat();
            encode_command(&touch, &mut bytes);
            client.send_raw(&bytes);
            self.counts.asked += 1;
            let mut reply = || client.read().expect("a proxy keeps its clients").value;
            for k in 0..KEYS {
                let (set, get) = (reply(), reply());
                self.looks_at_set(k, &set);
                self.looks_at_get(k, &get, shared);
            }
            let (incr, touched) = (reply(), reply());
            self.looks_at_count(&incr, shared);
            if !self.is_error(&touched) {
                let Value::Integer(touched) = touched else { panic!("TOUCH: {touched:?}") };
                assert!((0..=KEYS as i64).contains(&touched), "TOUCH: {touched}");
            }
            let last =
                if self.seen.errors == errors { &progress.served } else { &progress.refused };
            last.store(self.round, Ordering::SeqCst);
            std::thread::sleep(PAUSE);
        }
        // No further reply arrives.
        assert_eq!(client.call(&["PING"]), Value::Simple(b"PONG".to_vec()));
        assert!(client.arrived().0.is_empty());
        let count = client.call(&["INCR", &self.key(KEYS)]);
        let Value::Integer(count) = count else { panic!("INCR: {count:?}") };
        let Counts { asked, acknowledged, .. } = self.counts;
        assert!(count <= asked + 1, "counted twice: {count} after {asked}");
        let forgetful = shared.forgetful.load(Ordering::SeqCst);
        assert!(forgetful || count > acknowledged, "lost: {count} after {acknowledged}");
        self.seen
    }

    /// Whether a reply is an error. Panics if it is not one of [`KNOWN`].
    fn is_error(&mut self, reply: &Value) -> bool {
        self.seen.replies += 1;
        let Value::Error(text) = reply else { return false };
        let text = String::from_utf8_lossy(text).into_owned();
        assert!(KNOWN.contains(&text.as_str()), "{text}");
        self.seen.errors += 1;
        self.seen.texts.insert(text);
        true
    }

    fn looks_at_set(&mut self, k: u64, reply: &Value) {
        if !self.is_error(reply) {
            assert_eq!(*reply, Value::Simple(b"OK".to_vec()), "SET {}", self.key(k));
            self.acknowledged[k as usize] = self.round;
        }
    }

    fn looks_at_get(&mut self, k: u64, reply: &Value, shared: &Shared) {
        if self.is_error(reply) {
            return;
        }
        let key = self.key(k);
        let acknowledged = self.acknowledged[k as usize];
        let forgetful = shared.forgetful.load(Ordering::SeqCst);
        let written = match reply {
            Value::Null => 0,
            Value::Bulk(value) => {
                let value = String::from_utf8_lossy(value);
                let written = value.strip_prefix(&format!("{key}:")).and_then(|n| n.parse().ok());
                written.unwrap_or_else(|| panic!("GET {key}: {value} is another one's"))
            }
            other => panic!("GET {key}: {other:?}"),
        };
        let right = if forgetful { 0 } else { acknowledged }..=self.round;
        assert!(right.contains(&written), "GET {key}: {written}, not within {right:?}");
    }

    fn looks_at_count(&mut self, reply: &Value, shared: &Shared) {
        if self.is_error(reply) {
            return;
        }
        let Value::Integer(count) = *reply else { panic!("INCR: {reply:?}") };
        let Counts { asked, last, .. } = self.counts;
        let least = if shared.forgetful.load(Ordering::SeqCst) { 0 } else { last };
        assert!(count > least && count <= asked, "INCR: {count}, {asked} asked, {least} before");
        self.counts.acknowledged += 1;
        self.counts.last = count;
    }
}
