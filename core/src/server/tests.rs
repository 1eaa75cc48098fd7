//! Tests of the server through the machine contract, with a driver of their own.

use std::collections::BTreeMap;

use super::*;
use crate::machine::{
    Address, Close, ConnId, DiskDone, DiskError, Endpoint, Input, ListenerId, Machine, NetError,
    OomScore, OpId, Output, Signal,
};
use crate::time::{Duration, Mono, Now, Wall};

mod acl;
mod appendonly;
mod debugger;
mod eviction;
mod files;
mod long;
mod migrate;
mod oom_score;
mod persistence;
mod pipelines;
mod scripting;
mod together;
mod tracking;

use files::Files;

/// A command encoded as clients send it, and as an append-only file contains it.
fn encoded(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::resp::value::encode_command(words, &mut bytes);
    bytes
}

/// A test driver without a World: output is collected, and time passes only on request.
#[derive(Clone)]
struct Driver {
    server: Server,
    mono: Mono,
    log: Vec<String>,
    exit: Option<i32>,
    closing: Vec<(ConnId, Close)>,
    last_conn: u64,
    sent: BTreeMap<ConnId, Vec<u8>>,
    peer: Endpoint,
    /// A disk that completes every operation at once.
    files: Files,
    /// Operations that the disk does not complete by itself.
    disk: Vec<(OpId, DiskOp)>,
    /// Whether opening listeners fails.
    refuse: bool,
    /// Whether clients do not read.
    clients_do_not_read: bool,
    /// A single client that does not read.
    not_reading: Option<ConnId>,
    reading: bool,
    /// The requested connections.
    connects: Vec<(ConnId, Address)>,
    /// The last [`Output::KeepAlive`].
    keepalive: Option<Option<Duration>>,
    /// All requested [`Output::OomScore`]s.
    oom_scores: Vec<OomScore>,
    /// The kernel's error for the next ones.
    oom_refusal: Option<&'static str>,
}

impl Driver {
    fn new(text: &str) -> Self {
        Self::with_files(text, Files::default())
    }

    /// A server with these files on its disk.
    fn with_files(text: &str, files: Files) -> Self {
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
            files,
            disk: Vec::new(),
            refuse: false,
            clients_do_not_read: false,
            not_reading: None,
            reading: true,
            connects: Vec::new(),
            keepalive: None,
            oom_scores: Vec::new(),
            oom_refusal: None,
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
        // Operations for which all clients are held back continue by themselves.
        while self.exit.is_none() && self.server.holds_all() && self.is_due() {
            self.server.handle(self.now(), Input::Wake);
            self.outputs();
        }
    }

    fn outputs(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Listen { listener, at, .. } => {
                    let result = if self.refuse { Err(NetError::AddrInUse) } else { Ok(at) };
                    self.server.handle(self.now(), Input::Listening { listener, result });
                }
                Output::Disk { op, what } => match self.files.carry_out(&what) {
                    Some(result) => self.server.handle(self.now(), Input::Disk { op, result }),
                    None => self.disk.push((op, what)),
                },
                Output::Send { conn } | Output::SendSoon { conn }
                    if self.clients_do_not_read || self.not_reading == Some(conn) => {}
                Output::Send { conn } | Output::SendSoon { conn } => self.drain(conn),
                Output::Close { conn, how } => {
                    if how == Close::AfterSending {
                        self.drain(conn);
                        let closed = Input::Closed { conn, error: NetError::Eof };
                        self.server.handle(self.now(), closed);
                    }
                    self.closing.push((conn, how));
                }
                Output::Reading { on, .. } => self.reading = on,
                Output::Connect { conn, to, .. } => self.connects.push((conn, to)),
                Output::KeepAlive(after) => self.keepalive = Some(after),
                Output::OomScore(score) => {
                    self.oom_scores.push(score);
                    let result = self.oom_refusal.map_or(Ok(()), |why| Err(why.to_owned()));
                    self.server.handle(self.now(), Input::OomScore { result });
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
        let drained = outbox.consume(bytes.len());
        self.sent.entry(conn).or_default().extend(bytes);
        if drained {
            self.server.handle(self.now(), Input::Drained { conn });
        }
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

    /// Sends a line and returns the reply.
    fn line(&mut self, conn: ConnId, line: &str) -> String {
        self.send(conn, format!("{line}\r\n").as_bytes())
    }

    /// Lets time pass, and wakes the server when it is due.
    fn pass(&mut self, how_long: Duration) {
        let end = self.mono + how_long;
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= end) {
            self.mono = self.mono.max(at);
            self.input(Input::Wake);
        }
        self.mono = end;
    }

    fn is_due(&self) -> bool {
        self.server.poll_timeout().is_some_and(|at| at <= self.mono)
    }

    fn is_closed(&self, conn: ConnId) -> bool {
        self.closing.iter().any(|(c, _)| *c == conn)
    }
}

#[test]
fn the_server_logs_that_it_is_ready_and_shuts_down() {
    let mut d = Driver::new("");
    assert!(d.log.iter().any(|l| l == "Ready to accept connections tcp"), "{:?}", d.log);
    d.input(Input::Signal(Signal::Terminate));
    assert_eq!(d.exit, Some(0));
    assert!(d.log.iter().any(|l| l == "Redis is now ready to exit, bye bye..."));
}

#[test]
fn a_pipeline_is_answered_in_order_however_it_is_split() {
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
fn select_reports_invalid_numbers_and_unknown_databases() {
    let mut d = Driver::new("");
    let conn = d.connect();
    let text = b"select x\r\nselect 4294967296\r\nselect -1\r\nselect 15\r\n";
    let want = "-ERR value is not an integer or out of range\r\n\
        -ERR value is out of range, value must between -2147483648 and 2147483647\r\n\
        -ERR DB index is out of range\r\n+OK\r\n";
    assert_eq!(d.send(conn, text), want);
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
fn a_protocol_error_is_answered_and_closes_the_connection() {
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
fn protected_mode_and_maxclients_refuse_connections() {
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

/// Completes disk operations from a map of files.
fn with_files(d: &mut Driver, files: &mut BTreeMap<String, Vec<u8>>) {
    use crate::machine::{DiskDone, DiskError, DiskErrorKind, DiskOp};
    while let Some((op, what)) = d.disk.pop() {
        let missing = || DiskError {
            kind: DiskErrorKind::NotFound,
            message: "No such file or directory".into(),
        };
        let result = match what {
            DiskOp::Load { path } => {
                files.get(&path).cloned().map(DiskDone::Data).ok_or_else(missing)
            }
            DiskOp::Replace { path, bytes } => {
                files.insert(path, bytes);
                Ok(DiskDone::Done)
            }
            DiskOp::ChangeDir { path } if path == "nowhere" => Err(missing()),
            _ => Ok(DiskDone::Done),
        };
        d.input(Input::Disk { op, result });
    }
}

#[test]
fn config_set_changes_all_or_nothing() {
    let mut d = Driver::new("");
    let conn = d.connect();
    assert_eq!(d.line(conn, "config set timeout 7 maxclients 9"), "+OK\r\n");
    assert_eq!(d.line(conn, "config get timeout"), "*2\r\n$7\r\ntimeout\r\n$1\r\n7\r\n");
    for (line, error) in [
        (
            "config set timeout 8 maxclients 0",
            "CONFIG SET failed (possibly related to argument 'maxclients') - argument must be \
             between 1 and 4294967295 inclusive",
        ),
        (
            "config set timeout 8 nonsense 0",
            "Unknown option or number of arguments for CONFIG SET - 'nonsense'",
        ),
        (
            "config set daemonize yes",
            "CONFIG SET failed (possibly related to argument 'daemonize') - can't set immutable config",
        ),
        (
            "config set dir /",
            "CONFIG SET failed (possibly related to argument 'dir') - can't set protected config",
        ),
        (
            "config set timeout 1 timeout 2",
            "CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter",
        ),
        ("config set timeout", "wrong number of arguments for 'config|set' command"),
    ] {
        assert_eq!(d.line(conn, line), format!("-ERR {error}\r\n"));
    }
    assert!(d.line(conn, "config get time*").contains("$1\r\n7\r\n"));
    assert!(d.line(conn, "config get *list*size slave-prio*").starts_with("*6\r\n"));
}

#[test]
fn config_rewrite_keeps_the_file_and_answers_when_it_is_written() {
    let mut files = BTreeMap::from([("/etc/r.conf".to_owned(), b"# mine\nport 6379\n".to_vec())]);
    let mut d = Driver::new("");
    let conn = d.connect();
    assert!(d.line(conn, "config rewrite").starts_with("-ERR The server is running without"));
    std::sync::Arc::make_mut(&mut d.server.config).file = Some("/etc/r.conf".into());
    d.line(conn, "config set timeout 7");
    assert_eq!(d.line(conn, "config rewrite"), "");
    assert_eq!(d.line(conn, "ping"), "");
    with_files(&mut d, &mut files);
    assert_eq!(d.take(conn), "+OK\r\n+PONG\r\n");
    let text = String::from_utf8_lossy(&files["/etc/r.conf"]).into_owned();
    assert!(text.starts_with("# mine\nport 6379\n") && text.contains("\ntimeout 7\n"), "{text}");
}

#[test]
fn config_set_port_is_undone_if_listening_fails() {
    let mut d = Driver::new("enable-protected-configs yes");
    let conn = d.connect();
    assert_eq!(d.line(conn, "config set port 7777"), "+OK\r\n");
    assert!(d.line(conn, "info server").contains("listener0:name=tcp,bind=*,bind=::*,port=7777"));
    d.refuse = true;
    assert!(d.line(conn, "config set port 7778").contains("Unable to listen on this port"));
    assert!(d.line(conn, "config get port").contains("7777"));
    assert_eq!(d.line(conn, "config set dir nowhere"), "");
    with_files(&mut d, &mut BTreeMap::new());
    assert!(d.take(conn).contains("'dir') - No such file or directory"));
    assert_eq!(d.line(conn, "config set dir sub"), "");
    with_files(&mut d, &mut BTreeMap::new());
    assert!(d.line(conn, "config get dir").contains("/sub"));
}

#[test]
fn paused_clients_wait_and_lose_nothing() {
    let mut d = Driver::new("");
    let (a, b) = (d.connect(), d.connect());
    assert_eq!(d.line(a, "client pause 1000 write"), "+OK\r\n");
    assert_eq!(d.line(b, "get k"), "$-1\r\n");
    assert_eq!(d.send(b, b"set k v\r\nget k\r\n"), "");
    assert_eq!(d.line(b, "ping"), "");
    d.pass(Duration::from_millis(500));
    assert_eq!(d.take(b), "");
    d.pass(Duration::from_millis(501));
    assert_eq!(d.take(b), "+OK\r\n$1\r\nv\r\n+PONG\r\n");
    d.line(a, "client pause 100000 write");
    d.line(b, "set k w");
    assert_eq!(d.line(a, "client unpause"), "+OK\r\n");
    assert_eq!(d.take(b), "+OK\r\n");
}

#[test]
fn replies_can_be_turned_off() {
    let mut d = Driver::new("");
    let conn = d.connect();
    assert_eq!(d.send(conn, b"client reply skip\r\nset k v\r\nget k\r\n"), "$1\r\nv\r\n");
    assert_eq!(
        d.send(conn, b"client reply off\r\nping\r\nnonsense\r\nclient reply on\r\nping\r\n"),
        "+OK\r\n+PONG\r\n"
    );
}

#[test]
fn clients_are_listed_and_killed() {
    let mut d = Driver::new("");
    let (a, b) = (d.connect(), d.connect());
    d.line(b, "client setname other");
    let list = d.send(a, b"*2\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n");
    assert!(list.contains("id=1 addr=127.0.0.1:40000 laddr=127.0.0.1:6379 fd="), "{list}");
    assert!(list.contains(" qbuf=26 ") && list.contains(" name=other "), "{list}");
    assert!(list.contains("cmd=client|list user=default redir=-1 resp=2"), "{list}");
    assert_eq!(d.line(a, "client kill id 2"), ":1\r\n");
    assert!(d.is_closed(b) && d.server.clients.connected() == 1);
    assert_eq!(d.line(a, "client kill 1.2.3.4:5"), "-ERR No such client\r\n");
    assert_eq!(d.line(a, "client kill addr 127.0.0.1:40000 skipme no"), ":1\r\n");
    assert!(d.is_closed(a));
}

#[test]
fn the_watchdog_names_the_command_that_took_long() {
    for slowlog in ["10000", "-1"] {
        let config = format!("enable-debug-command yes\nslowlog-log-slower-than {slowlog}");
        let mut d = Driver::new(&config);
        let conn = d.connect();
        d.line(conn, "debug sleep 1");
        d.line(conn, "config set watchdog-period 200");
        d.line(conn, "debug sleep 0.1");
        assert!(!d.log.iter().any(|line| line.contains("WATCHDOG")), "{:#?}", d.log);
        d.line(conn, "debug sleep 1");
        let found = d.log.iter().position(|line| line == "--- WATCHDOG TIMER EXPIRED ---");
        let next = &d.log[found.expect("a line") + 1];
        assert!(next.starts_with("debugCommand: 'debug' took 1000 ms"), "{next}");
        let slow = if slowlog == "-1" { ":0\r\n" } else { ":3\r\n" };
        assert_eq!(d.line(conn, "slowlog len"), slow);
        d.line(conn, "config set watchdog-period 0");
        d.log.clear();
        d.line(conn, "debug sleep 1");
        assert!(d.log.is_empty(), "{:#?}", d.log);
    }
}

#[test]
fn slowlog_redacts_passwords() {
    let mut d = Driver::new("slowlog-log-slower-than 0\nslowlog-max-len 3");
    let conn = d.connect();
    d.line(conn, "config set requirepass secret");
    d.line(conn, "auth secret");
    let log = d.line(conn, "slowlog get");
    assert!(log.contains("(redacted)") && !log.contains("secret"), "{log}");
    assert_eq!(d.line(conn, "slowlog len"), ":3\r\n");
    assert_eq!(d.line(conn, "slowlog reset"), "+OK\r\n");
    assert!(d.line(conn, "slowlog get -2").starts_with("-ERR count should be"));
}

#[test]
fn info_counts_commands_and_errors() {
    let mut d = Driver::new("");
    let conn = d.connect();
    d.send(conn, b"set k v\r\nget k\r\nget l\r\nnonsense\r\nset k\r\n");
    let info = d.line(conn, "info everything");
    for field in [
        "redis_version:7.2.6\r\n",
        "connected_clients:1\r\n",
        "keyspace_hits:1\r\n",
        "keyspace_misses:1\r\n",
        "rdb_changes_since_last_save:1\r\n",
        "total_error_replies:2\r\n",
        "errorstat_ERR:count=2\r\n",
        "role:master\r\n",
        "db0:keys=1,expires=0,avg_ttl=0\r\n",
    ] {
        assert!(info.contains(field), "{field}: {info}");
    }
    assert!(info.contains("cmdstat_get:calls=2,") && info.contains("rejected_calls=1"), "{info}");
    let some = d.line(conn, "info keyspace cpu");
    assert!(some.contains("# CPU\r\n") && !some.contains("# Server"), "{some}");
    d.line(conn, "config resetstat");
    assert!(d.line(conn, "info stats").contains("keyspace_hits:0\r\n"));
}

#[test]
fn a_slow_reader_is_disconnected_at_its_output_limit() {
    let mut d = Driver::new("client-output-buffer-limit normal 100000 50000 5");
    let (a, b) = (d.connect(), d.connect());
    let value = "x".repeat(60_000);
    d.line(a, &format!("set k {value}"));
    d.clients_do_not_read = true;
    d.line(a, "get k");
    assert!(!d.is_closed(a));
    d.pass(Duration::from_secs(10));
    assert!(d.is_closed(a), "soft limit");
    d.send(b, b"get k\r\nget k\r\n");
    assert!(d.is_closed(b), "hard limit");
}

#[test]
fn keys_expire_actively_and_wake_the_server_in_time() {
    let mut d = Driver::new("save \"\"");
    let conn = d.connect();
    d.line(conn, "set k v px 1500");
    d.pass(Duration::from_secs(1));
    assert_eq!(d.server.overview().databases[0].keys, 1);
    d.pass(Duration::from_secs(1));
    assert!(d.server.overview().databases.is_empty());
    assert_eq!(d.server.poll_timeout(), None);
    assert!(d.line(conn, "info stats").contains("expired_keys:1\r\n"));
}

#[test]
fn the_overview_shows_the_key_figures() {
    let mut d = Driver::new("requirepass p");
    let conn = d.connect();
    d.send(conn, b"auth p\r\nselect 2\r\nset k hello\r\n");
    let seen = d.server.overview();
    assert_eq!((seen.role, seen.clients, seen.commands), ("master", 1, 3));
    assert_eq!(seen.databases, [inspect::Database { index: 2, keys: 1, expiring: 0 }]);
}

#[test]
fn a_clone_goes_on_as_the_original_would() {
    let mut d = Driver::new("");
    let conn = d.connect();
    d.send(conn, b"set a 1\r\nset b 2\r\n*2\r\n$3\r\nGET\r\n$1\r\n");
    let mut twin = d.clone();
    for driver in [&mut d, &mut twin] {
        assert_eq!(driver.send(conn, b"b\r\nrandomkey\r\n").len(), 14);
    }
    assert_eq!(d.line(conn, "debug nothing"), twin.line(conn, "debug nothing"));
    assert_eq!(d.line(conn, "info everything"), twin.line(conn, "info everything"));
}

#[test]
fn config_set_tcp_keepalive_reaches_the_driver() {
    let mut d = Driver::new("tcp-keepalive 60");
    let conn = d.connect();
    for (setting, wanted) in
        [("60", None), ("7", Some(Some(Duration::from_secs(7)))), ("0", Some(None))]
    {
        assert_eq!(d.line(conn, &format!("config set tcp-keepalive {setting}")), "+OK\r\n");
        assert_eq!(d.keepalive, wanted);
    }
}

#[test]
fn debug_digest_equals_that_of_redis() {
    let mut d = Driver::new("enable-debug-command yes");
    let conn = d.connect();
    assert_eq!(d.line(conn, "debug digest"), format!("+{}\r\n", "0".repeat(40)));
    d.line(conn, "set k v");
    let one = d.line(conn, "debug digest");
    assert_eq!(one, "+264ccf65edec66bccfa7cc659414ccca432057d2\r\n");
}

#[test]
fn command_describes_the_table() {
    let mut d = Driver::new("rename-command config admin\nrename-command keys \"\"");
    let conn = d.connect();
    let count: usize = d.line(conn, "command count").trim()[1..].parse().expect("a number");
    assert_eq!(count, d.server.names.list().len());
    assert!(d.line(conn, "command info get nonsense").ends_with("*0\r\n$-1\r\n"));
    assert_eq!(d.line(conn, "command getkeys mset a 1 b 2"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert!(d.line(conn, "config get port").starts_with("-ERR unknown command 'config'"));
    assert!(d.line(conn, "admin get port").starts_with("*2"));
    assert!(d.line(conn, "keys *").starts_with("-ERR unknown command 'keys'"));
    assert!(d.line(conn, "command docs").len() > 10_000);
}

#[test]
fn back_pressure_stops_reading_from_a_client_that_does_not_read() {
    let mut d = Driver::new("");
    let conn = d.connect();
    let value = "x".repeat(1_000_000);
    d.send(
        conn,
        format!("*3\r\n$3\r\nset\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len()).as_bytes(),
    );
    d.clients_do_not_read = true;
    d.server.max_unsent = 50 << 20;
    d.send(conn, &b"get k\r\n".repeat(200));
    assert!(!d.reading);
    d.clients_do_not_read = false;
    let mut got = 0;
    while d.server.outbox(conn).is_some_and(|outbox| !outbox.is_empty()) {
        let outbox = d.server.outbox(conn).expect("an open connection");
        let n = outbox.len().min(10 << 20);
        got += n;
        if outbox.consume(n) {
            d.input(Input::Drained { conn });
            got += d.take(conn).len();
        }
    }
    assert!(d.reading);
    assert_eq!(got, 200 * (value.len() + "$1000000\r\n\r\n".len()));
}

#[test]
fn a_client_with_an_output_limit_is_read_until_it_exceeds_it() {
    let limits = ["client-output-buffer-limit \"normal 20000000 0 0\"", "maxmemory-clients 20mb"];
    for limit in limits {
        let mut d = Driver::new("");
        let (conn, reader) = (d.connect(), d.connect());
        d.server.max_unsent = 5 << 20;
        d.line(conn, "setrange k 999999 x");
        d.line(conn, &format!("config set {limit}"));
        d.clients_do_not_read = true;
        d.send(reader, &b"get k\r\n".repeat(15));
        assert!(d.reading && !d.is_closed(reader), "{limit}");
        d.send(reader, &b"get k\r\n".repeat(10));
        assert!(d.is_closed(reader), "{limit}");
    }
}
