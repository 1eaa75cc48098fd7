//! The server driven through the contract, as a driver drives it.

use super::*;
use crate::machine::{Close, Endpoint, ListenerId, NetError, Signal};

/// A driver without a world: what is sent is gathered, and time passes when it is told to.
struct Driver {
    server: Server,
    mono: Mono,
    log: Vec<String>,
    exit: Option<i32>,
    closing: Vec<(ConnId, Close)>,
    last_conn: u64,
    sent: BTreeMap<ConnId, Vec<u8>>,
    peer: Endpoint,
}

impl Driver {
    fn new(text: &str) -> Self {
        let config = Config::parse(text.as_bytes(), &[], &mut |_| Err(String::new()));
        let mut driver = Self {
            server: Server::new(config.expect("a good configuration"), Facts::default()),
            mono: Mono(1_000_000_000),
            log: Vec::new(),
            exit: None,
            closing: Vec::new(),
            last_conn: 0,
            sent: BTreeMap::new(),
            peer: Endpoint::Ip(([127, 0, 0, 1], 40_000).into()),
        };
        driver.input(Input::Start);
        driver
    }

    fn now(&self) -> Now<'static> {
        Now::instantaneous(self.mono, Wall(1_700_000_000_000_000 + self.mono.0 / 1000))
    }

    fn input(&mut self, input: Input<'_>) {
        self.server.handle(self.now(), input);
        self.outputs();
    }

    fn outputs(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Listen { listener, at, .. } => {
                    self.server.handle(self.now(), Input::Listening { listener, result: Ok(at) });
                }
                Output::Send { conn } => self.drain(conn),
                Output::Close { conn, how } => {
                    if how == Close::AfterSending {
                        self.drain(conn);
                        let closed = Input::Closed { conn, error: NetError::Eof };
                        self.server.handle(self.now(), closed);
                    }
                    self.closing.push((conn, how));
                }
                Output::Log(line) => self.log.push(line.text),
                Output::Exit { code } => self.exit = Some(code),
                _ => {}
            }
        }
    }

    fn drain(&mut self, conn: ConnId) {
        let outbox = self.server.outbox(conn).expect("an open connection");
        let bytes: Vec<u8> = outbox.slices().flatten().copied().collect();
        outbox.consume(bytes.len());
        self.sent.entry(conn).or_default().extend(bytes);
    }

    fn connect(&mut self) -> ConnId {
        self.last_conn += 1;
        let conn = ConnId::accepted(self.last_conn);
        let local = Endpoint::Ip(([127, 0, 0, 1], 6379).into());
        let (listener, peer) = (ListenerId(1), self.peer.clone());
        self.input(Input::Accepted { conn, listener, peer, local });
        conn
    }

    fn send(&mut self, conn: ConnId, bytes: &[u8]) -> String {
        self.input(Input::Received { conn, bytes });
        self.take(conn)
    }

    fn take(&mut self, conn: ConnId) -> String {
        let bytes = self.sent.remove(&conn).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends a line and gives the reply.
    fn line(&mut self, conn: ConnId, line: &str) -> String {
        self.send(conn, format!("{line}\r\n").as_bytes())
    }

    /// Lets time pass, and wakes the server when it asked to be woken.
    fn pass(&mut self, how_long: Duration) {
        let end = self.mono + how_long;
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= end) {
            self.mono = self.mono.max(at);
            self.input(Input::Wake);
        }
        self.mono = end;
    }

    fn is_closed(&self, conn: ConnId) -> bool {
        self.closing.iter().any(|(c, _)| *c == conn)
    }
}

#[test]
fn it_says_that_it_is_ready_and_ends_when_asked() {
    let mut d = Driver::new("");
    assert!(d.log.iter().any(|l| l == "Ready to accept connections tcp"), "{:?}", d.log);
    d.input(Input::Signal(Signal::Terminate));
    assert_eq!(d.exit, Some(0));
    assert!(d.log.iter().any(|l| l == "Redis is now ready to exit, bye bye..."));
}

#[test]
fn a_pipeline_is_answered_in_order_however_it_is_cut() {
    let text = b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nping x\r\nnonsense a b\r\n\
        *2\r\n$6\r\nselect\r\n$2\r\n99\r\n";
    let want = "+PONG\r\n$2\r\nhi\r\n$1\r\nx\r\n-ERR unknown command 'nonsense', with args \
        beginning with: 'a' 'b' \r\n-ERR DB index is out of range\r\n";
    let mut d = Driver::new("");
    let conn = d.connect();
    assert_eq!(d.send(conn, text), want);
    for cut in 1..text.len() {
        let (a, b) = text.split_at(cut);
        let first = d.send(conn, a);
        assert_eq!(first + &d.send(conn, b), want, "cut at {cut}");
    }
}

#[test]
fn hello_switches_the_protocol() {
    let mut d = Driver::new("requirepass secret");
    let conn = d.connect();
    assert!(d.line(conn, "ping").starts_with("-NOAUTH Authentication required."));
    assert!(d.line(conn, "hello 3").starts_with("-NOAUTH HELLO must be called"));
    assert!(d.line(conn, "auth wrong").starts_with("-WRONGPASS"));
    assert!(d.line(conn, "hello 3 auth default secret setname me").starts_with("%7\r\n"));
    assert_eq!(d.line(conn, "client getname"), "$2\r\nme\r\n");
    assert_eq!(d.line(conn, "reset"), "+RESET\r\n");
    assert_eq!(d.line(conn, "client getname"), "-NOAUTH Authentication required.\r\n");
    assert!(d.line(conn, "hello 4").starts_with("-NOPROTO"));
}

#[test]
fn who_breaks_the_protocol_is_told_and_closed() {
    let mut d = Driver::new("");
    let conn = d.connect();
    assert_eq!(
        d.send(conn, b"ping\r\n*x\r\nping\r\n"),
        "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"
    );
    assert!(d.is_closed(conn));
    assert_eq!(d.server.clients.connected(), 0);
}

#[test]
fn strangers_are_kept_out() {
    let mut d = Driver::new("maxclients 1\nbind *");
    d.peer = Endpoint::Ip(([10, 0, 0, 9], 40_000).into());
    let conn = d.connect();
    assert!(d.take(conn).starts_with("-DENIED Redis is running in protected mode"));
    d.peer = Endpoint::Ip(([127, 0, 0, 1], 40_000).into());
    let conn = d.connect();
    assert_eq!(d.line(conn, "ping"), "+PONG\r\n");
    let conn = d.connect();
    assert_eq!(d.take(conn), "-ERR max number of clients reached\r\n");
}

#[test]
fn idle_clients_are_closed_and_an_idle_server_sleeps() {
    let mut d = Driver::new("");
    let conn = d.connect();
    d.line(conn, "ping");
    assert_eq!(d.server.poll_timeout(), None);
    let mut d = Driver::new("timeout 5");
    let conn = d.connect();
    d.pass(Duration::from_secs(4));
    assert!(!d.is_closed(conn));
    d.pass(Duration::from_secs(4));
    assert!(d.is_closed(conn));
}

#[test]
fn a_long_pipeline_does_not_keep_others_waiting() {
    let mut d = Driver::new("");
    let (a, b) = (d.connect(), d.connect());
    let many = b"ping\r\n".repeat(5000);
    let first = d.send(a, &many);
    assert!(first.len() < 5000 * 7, "all at once");
    assert_eq!(d.line(b, "ping"), "+PONG\r\n");
    d.pass(Duration::from_millis(1));
    assert_eq!((first + &d.take(a)).len(), 5000 * 7);
}
