//! Measures the turns of a server without a network.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use limpid_core::machine::{ConnId, DiskError, DiskErrorKind, Endpoint, Input, Machine, Output};
use limpid_core::server::{Config, Facts, Server};
use limpid_core::time::{Mono, Now, Wall};
use rustix::time::{ClockId, clock_gettime};

/// The most bytes that a driver passes to the machine at once.
const READ: usize = 16 * 1024;

/// The longest turn of a server while keys with values of 64 bytes are added, in CPU time of the
/// thread, which does not depend on other load of the machine.
///
/// Panics if the server does not accept the keys.
pub fn longest(keys: u64) -> Duration {
    let mut turns = Turns::new();
    let mut bytes = Vec::new();
    for key in 0..keys {
        let name = format!("key:{key}");
        let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{name}\r\n$64\r\n", name.len());
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(&[b'x'; 64]);
        bytes.extend_from_slice(b"\r\n");
        while bytes.len() >= READ {
            turns.receive(&bytes[..READ]);
            bytes.drain(..READ);
        }
    }
    turns.receive(&bytes);
    assert_eq!(turns.replied, keys * "+OK\r\n".len() as u64, "the server refused keys");
    turns.longest
}

/// A server with one client, and the measurements.
struct Turns {
    server: Server,
    start: Instant,
    longest: Duration,
    /// Bytes of replies to the client.
    replied: u64,
}

impl Turns {
    const CLIENT: ConnId = ConnId(0);

    fn new() -> Self {
        let mut config = Config::default();
        // No snapshots, since only the growth is measured.
        config.set("save", b"").expect("save takes nothing");
        let server = Server::new(config, Facts::default());
        let mut turns =
            Turns { server, start: Instant::now(), longest: Duration::ZERO, replied: 0 };
        let outputs = turns.turn(Input::Start);
        let listens = outputs.into_iter().filter_map(|output| match output {
            Output::Listen { listener, at, .. } => Some((listener, at)),
            _ => None,
        });
        let listens: Vec<_> = listens.collect();
        let listener = listens.first().expect("a server listens").0;
        // The server looks for its data once all listeners have reported.
        for (listener, at) in listens {
            turns.turn(Input::Listening { listener, result: Ok(at) });
        }
        let address = |port| Endpoint::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let (peer, local) = (address(50_000), address(6_379));
        turns.turn(Input::Accepted { conn: Self::CLIENT, listener, peer, local });
        turns
    }

    /// Gives the server bytes, and runs it until it is idle.
    fn receive(&mut self, bytes: &[u8]) {
        self.turn(Input::Received { conn: Self::CLIENT, bytes });
        while self.server.poll_timeout().is_some_and(|at| at <= self.now()) {
            self.turn(Input::Wake);
        }
    }

    fn now(&self) -> Mono {
        Mono::ZERO + self.start.elapsed()
    }

    fn turn(&mut self, input: Input<'_>) -> Vec<Output> {
        let mono = self.now();
        let wall = Wall::from_millis(1_700_000_000_000 + mono.as_millis());
        let before = thread_time();
        self.server.handle(Now::instantaneous(mono, wall), input);
        self.longest = self.longest.max(thread_time().saturating_sub(before));
        let outputs: Vec<_> = std::iter::from_fn(|| self.server.poll_output()).collect();
        if let Some(outbox) = self.server.outbox(Self::CLIENT) {
            self.replied += outbox.len() as u64;
            outbox.consume(outbox.len());
        }
        // The server tries to load a dump, and there is none.
        for output in &outputs {
            if let Output::Disk { op, .. } = output {
                let (op, message) = (*op, "No such file or directory".to_owned());
                let error = DiskError { kind: DiskErrorKind::NotFound, message };
                self.turn(Input::Disk { op, result: Err(error) });
            }
        }
        outputs
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_server_takes_keys() {
        super::longest(1_000);
    }
}
