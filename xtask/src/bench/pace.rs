//! A steady load of writes at a fixed rate, and the latency of each.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::server::{Server, encode};

/// The number of connections.
const CLIENTS: usize = 20;

/// The interval between two writes of a connection.
const EVERY: Duration = Duration::from_millis(1);

/// The total number of writes per second.
pub(crate) const PER_SECOND: u64 = CLIENTS as u64 * 1_000;

/// Clients that write at a fixed rate, whether the server keeps up or not.
pub(crate) struct SteadyLoad {
    clients: Vec<TcpStream>,
    keys: u64,
    value: Vec<u8>,
    seed: u64,
}

impl SteadyLoad {
    /// Connects the clients, which will SET random ones of `keys` keys.
    pub(crate) fn new(server: &Server, keys: u64, value: &[u8]) -> Result<Self> {
        let clients = (0..CLIENTS).map(|_| server.connect()).collect::<Result<_>>()?;
        Ok(SteadyLoad { clients, keys, value: value.to_vec(), seed: 1 })
    }

    /// Writes until `done` returns true at the end of an interval. A write that is due while the
    /// server is blocked counts from the moment at which it was due, so that a stall shows in all
    /// writes that it delayed (coordinated omission).
    pub(crate) fn run(&mut self, mut done: impl FnMut(Duration) -> Result<bool>) -> Result<Waits> {
        let begin = Instant::now();
        let (mut waits, mut batch, mut due) = (Waits::default(), Vec::new(), begin);
        loop {
            let early = due.saturating_duration_since(Instant::now());
            std::thread::sleep(early);
            // A connection that is not late measures from the time of sending.
            let since = if early.is_zero() { due } else { Instant::now() };
            for client in &mut self.clients {
                // Knuth's linear congruential generator: good enough to choose keys.
                self.seed = self
                    .seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                batch.clear();
                let key = format!("key:{:012}", (self.seed >> 33) % self.keys);
                encode(&mut batch, &[b"SET", key.as_bytes(), &self.value]);
                client.write_all(&batch)?;
            }
            for client in &mut self.clients {
                let mut reply = [0; 5];
                client.read_exact(&mut reply)?;
                ensure!(&reply == b"+OK\r\n", "{}", String::from_utf8_lossy(&reply));
                waits.0.push(since.elapsed());
            }
            due += EVERY;
            if done(begin.elapsed())? {
                return Ok(waits);
            }
        }
    }
}

/// The latencies of writes.
#[derive(Default)]
pub(crate) struct Waits(Vec<Duration>);

impl Waits {
    /// The latency in milliseconds that only a fraction `part` of the writes exceeded.
    pub(crate) fn all_but(&mut self, part: f64) -> f64 {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let at = (self.0.len() as f64 * (1.0 - part)) as usize;
        self.0.get(at.min(last)).map_or(f64::NAN, |wait| wait.as_secs_f64() * 1e3)
    }
}
