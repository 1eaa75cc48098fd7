//! Tests of the bytes that clients and servers get from the proxy.

use super::*;
use crate::machine::{Address, Close, Input, Machine};
use crate::time::Duration;

const CONFIG: &str = "\
p:
  listen: 127.0.0.1:1
  redis: true
  distribution: modula
  hash: one_at_a_time
  timeout: 400
  auto_eject_hosts: true
  server_failure_limit: 1
  server_retry_timeout: 1000
  servers:
   - 127.0.0.1:11:1 a
   - 127.0.0.1:12:1 b
";

/// A fixture: a proxy between a client and servers, both played by the test.
struct Fixture {
    proxy: Proxy<Twemproxy>,
    now: Duration,
    /// Connections that were requested, with the server's port.
    links: Vec<(u16, ConnId)>,
    /// Outputs about connections to clients.
    closed: Vec<(ConnId, Close)>,
    reading: Vec<(ConnId, bool)>,
}

const CLIENT: ConnId = ConnId(2);

impl Fixture {
    fn new(config: &str) -> Fixture {
        let config = Config::parse("n.yml", config).expect("a good file");
        let proxy = machine(config, Options::default());
        let mut fixture = Fixture {
            proxy,
            now: Duration::ZERO,
            links: Vec::new(),
            closed: Vec::new(),
            reading: Vec::new(),
        };
        fixture.input(Input::Start);
        fixture.accept(CLIENT);
        fixture
    }

    fn accept(&mut self, conn: ConnId) {
        let at = Endpoint::Ip(([127, 0, 0, 1], 9).into());
        self.input(Input::Accepted { conn, listener: ListenerId(1), peer: at.clone(), local: at });
    }

    fn input(&mut self, input: Input<'_>) {
        let now = Now::instantaneous(Mono::ZERO + self.now, Wall(0));
        self.proxy.handle(now, input);
        while let Some(output) = self.proxy.poll_output() {
            match output {
                Output::Connect { conn, to: Address::Endpoint(at), .. } => {
                    self.links.push((at.port(), conn));
                }
                Output::Close { conn, how } => self.closed.push((conn, how)),
                Output::Reading { conn, on } => self.reading.push((conn, on)),
                _ => {}
            }
        }
    }

    fn wake(&mut self, after: Duration) {
        self.now += after;
        self.input(Input::Wake);
    }

    fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        self.input(Input::Received { conn, bytes });
    }

    /// The bytes written to a connection since the last call.
    fn take(&mut self, conn: ConnId) -> String {
        let Some(outbox) = self.proxy.outbox(conn) else { return "(gone)".into() };
        let bytes: Vec<u8> = outbox.slices().flatten().copied().collect();
        if outbox.consume(bytes.len()) {
            self.input(Input::Drained { conn });
        }
        String::from_utf8(bytes).expect("text")
    }

    /// The latest connection to the server with this port.
    fn link(&self, port: u16) -> ConnId {
        self.links.iter().rev().find(|(at, _)| *at == port).expect("a connection").1
    }
}

/// A key for each of the servers.
fn keys() -> (String, String) {
    let pool = &Config::parse("n.yml", CONFIG).expect("a good file").pools[0];
    let sharding = pool.sharding();
    let find = |node| {
        let mut all = (0..).map(|i| format!("k{i}"));
        all.find(|key| sharding.locate(key.as_bytes()) == crate::sharding::Place::Node(node))
    };
    (find(0).expect("a key"), find(1).expect("a key"))
}

fn get(key: &str) -> String {
    format!("*2\r\n$3\r\nget\r\n${}\r\n{key}\r\n", key.len())
}

#[test]
fn replies_leave_in_the_order_of_the_requests() {
    let mut fixture = Fixture::new(CONFIG);
    let (a, b) = keys();
    fixture.send(CLIENT, [get(&a), get(&b), "*1\r\n$4\r\nping\r\n".into()].concat().as_bytes());
    let (to_a, to_b) = (fixture.link(11), fixture.link(12));
    assert_eq!(fixture.take(to_a), get(&a));
    assert_eq!(fixture.take(to_b), get(&b));
    fixture.send(to_b, b"$1\r\nB\r");
    assert_eq!(fixture.take(CLIENT), "");
    fixture.send(to_b, b"\n");
    assert_eq!(fixture.take(CLIENT), "");
    fixture.send(to_a, b"$1\r\nA\r\n");
    assert_eq!(fixture.take(CLIENT), "$1\r\nA\r\n$1\r\nB\r\n+PONG\r\n");
}

#[test]
fn requests_are_split_and_their_replies_joined() {
    let mut fixture = Fixture::new(CONFIG);
    let (a, b) = keys();
    let key = |key: &str| format!("${}\r\n{key}\r\n", key.len());
    fixture
        .send(CLIENT, format!("*4\r\n$4\r\nMGET\r\n{}{}{}", key(&b), key(&a), key(&b)).as_bytes());
    let (to_a, to_b) = (fixture.link(11), fixture.link(12));
    assert_eq!(fixture.take(to_a), format!("*2\r\n$4\r\nmget\r\n{}", key(&a)));
    assert_eq!(fixture.take(to_b), format!("*3\r\n$4\r\nmget\r\n{}{}", key(&b), key(&b)));
    fixture.send(to_a, b"*1\r\n$1\r\n1\r\n");
    assert_eq!(fixture.take(CLIENT), "");
    fixture.send(to_b, b"*2\r\n$1\r\n2\r\n$-1\r\n");
    assert_eq!(fixture.take(CLIENT), "*3\r\n$1\r\n2\r\n$1\r\n1\r\n$-1\r\n");
}

#[test]
fn an_unanswered_request_times_out_and_its_server_is_ejected() {
    let mut fixture = Fixture::new(CONFIG);
    let (a, _) = keys();
    fixture.send(CLIENT, get(&a).as_bytes());
    let to_a = fixture.link(11);
    fixture.wake(Duration::from_millis(399));
    assert_eq!(fixture.take(CLIENT), "");
    fixture.wake(Duration::from_millis(1));
    assert_eq!(fixture.take(CLIENT), "-ERR Connection timed out\r\n");
    assert!(fixture.closed.contains(&(to_a, Close::Now)));
    // The other server has its keys until the ejection is over.
    fixture.send(CLIENT, get(&a).as_bytes());
    let to_b = fixture.link(12);
    assert_eq!(fixture.take(to_b), get(&a));
    fixture.send(to_b, b"$-1\r\n");
    assert_eq!(fixture.take(CLIENT), "$-1\r\n");
    fixture.wake(Duration::from_millis(1_001));
    fixture.send(CLIENT, get(&a).as_bytes());
    let again = fixture.link(11);
    assert_ne!(again, to_a);
    assert_eq!(fixture.take(again), get(&a));
}

#[test]
fn the_reply_for_a_closed_client_goes_to_no_other() {
    let mut fixture = Fixture::new(CONFIG);
    let (a, _) = keys();
    fixture.send(CLIENT, get(&a).as_bytes());
    fixture.input(Input::Closed { conn: CLIENT, error: NetError::Reset });
    // The next client gets the same slot.
    let next = ConnId(4);
    fixture.accept(next);
    fixture.send(next, get(&a).as_bytes());
    let to_a = fixture.link(11);
    fixture.send(to_a, b"$5\r\nfirst\r\n");
    assert_eq!(fixture.take(next), "");
    fixture.send(to_a, b"$6\r\nsecond\r\n");
    assert_eq!(fixture.take(next), "$6\r\nsecond\r\n");
}

#[test]
fn a_refused_command_closes_the_connection() {
    for bad in ["get k\r\n", "*0\r\n", "*2\r\n$4\r\nkeys\r\n", "*3\r\n$3\r\nget\r\n"] {
        let mut fixture = Fixture::new(CONFIG);
        fixture.send(CLIENT, bad.as_bytes());
        assert_eq!(fixture.closed, [(CLIENT, Close::Now)], "{bad:?}");
    }
}

#[test]
fn a_long_reply_is_passed_on_while_it_arrives_and_waits_for_its_client() {
    let mut fixture = Fixture::new(CONFIG);
    let (a, _) = keys();
    fixture.send(CLIENT, get(&a).as_bytes());
    let to_a = fixture.link(11);
    let whole = 4 << 20;
    fixture.send(to_a, format!("${whole}\r\n").as_bytes());
    let piece = vec![b'v'; 64 << 10];
    let mut sent = 0;
    while sent < 2 << 20 {
        fixture.send(to_a, &piece);
        sent += piece.len();
    }
    assert!(fixture.reading.contains(&(to_a, false)), "the server is not read from any more");
    let first = fixture.take(CLIENT).len();
    assert!(first > 1 << 20, "{first}");
    assert_eq!(fixture.reading.last(), Some(&(to_a, true)));
    while sent < whole {
        fixture.send(to_a, &piece);
        sent += piece.len();
    }
    fixture.send(to_a, b"\r\n");
    let second = fixture.take(CLIENT).len();
    assert_eq!(first + second, whole + format!("${whole}\r\n\r\n").len());
}

/// A proxy whose client has a reply of 8 MB, 2.5 MiB of which have arrived.
fn with_long_reply() -> Fixture {
    let mut fixture = Fixture::new(CONFIG);
    let (a, _) = keys();
    fixture.send(CLIENT, get(&a).as_bytes());
    let to_a = fixture.link(11);
    fixture.send(to_a, b"$8000000\r\n");
    for _ in 0..40 {
        fixture.send(to_a, &[b'v'; 64 << 10]);
    }
    fixture
}

#[test]
fn a_client_that_does_not_read_does_not_block_others_for_ever() {
    let mut fixture = with_long_reply();
    fixture.wake(Duration::from_millis(399));
    assert_eq!(fixture.closed, []);
    fixture.wake(engine::STALL_TIMEOUT);
    assert!(fixture.closed.contains(&(CLIENT, Close::Now)), "{:?}", fixture.closed);
}

#[test]
fn a_client_that_reads_slowly_but_steadily_keeps_its_connection() {
    let mut fixture = with_long_reply();
    for _ in 0..5 {
        fixture.proxy.outbox(CLIENT).expect("the client's outbox").consume(1_000);
        fixture.wake(engine::STALL_TIMEOUT);
        assert_eq!(fixture.closed, []);
    }
    fixture.wake(engine::STALL_TIMEOUT);
    assert!(fixture.closed.contains(&(CLIENT, Close::Now)), "{:?}", fixture.closed);
}

#[test]
fn passwords_are_for_clients_and_for_servers() {
    let config =
        CONFIG.replace("  redis: true\n", "  redis: true\n  redis_auth: pw\n  redis_db: 3\n");
    let mut fixture = Fixture::new(&config);
    let (a, _) = keys();
    fixture.send(
        CLIENT,
        format!(
            "*1\r\n$4\r\nping\r\n*2\r\n$4\r\nauth\r\n$1\r\nx\r\n*2\r\n$4\r\nauth\r\n$2\r\npw\r\n{}",
            get(&a)
        )
        .as_bytes(),
    );
    let refused = "-NOAUTH Authentication required\r\n-ERR invalid password\r\n+OK\r\n";
    assert_eq!(fixture.take(CLIENT), refused);
    let to_a = fixture.link(11);
    let before = "*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n";
    assert_eq!(fixture.take(to_a), format!("{before}{}", get(&a)));
    fixture.send(to_a, b"+OK\r\n+OK\r\n$1\r\nv\r\n");
    assert_eq!(fixture.take(CLIENT), "$1\r\nv\r\n");
}
