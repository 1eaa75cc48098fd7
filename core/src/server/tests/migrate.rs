//! MIGRATE to a target whose replies are scripted.

use super::*;

const HERE: &str = "save \"\"\nenable-debug-command yes";

impl Driver {
    /// Establishes the last requested connection.
    fn connected(&mut self) -> ConnId {
        let (conn, to) = self.connects.last().cloned().expect("a connection that is wanted");
        let Address::Endpoint(peer) = to else { panic!("{to:?}") };
        let local = Endpoint::Ip(([127, 0, 0, 1], 50_000).into());
        self.input(Input::Connected { conn, local, peer });
        conn
    }

    /// Number of kept connections.
    fn kept(&mut self) -> String {
        let text = self.server.info(&["stats"]);
        let field = text.lines().find_map(|line| line.strip_prefix("migrate_cached_sockets:"));
        field.expect("the field").to_owned()
    }

    /// The target's replies.
    fn answer(&mut self, conn: ConnId, text: &str) {
        self.input(Input::Received { conn, bytes: text.as_bytes() });
    }

    /// The requests that the target has received, without payloads.
    fn asked(&mut self, conn: ConnId) -> Vec<String> {
        let bytes = self.sent.remove(&conn).unwrap_or_default();
        let mut requests = crate::resp::request::Requests::default();
        let (mut all, mut rest) = (Vec::new(), &bytes[..]);
        let limits = crate::resp::request::Limits { bulk: 1 << 30, unauthenticated: false };
        while let Some(args) = requests.next(&mut rest, limits).expect("requests") {
            let words = args.iter().enumerate();
            let words = words.filter(|(at, _)| args.at(0) != b"RESTORE" || *at != 3);
            let words: Vec<_> =
                words.map(|(_, word)| String::from_utf8_lossy(word).into_owned()).collect();
            all.push(words.join(" "));
        }
        assert!(rest.is_empty());
        all
    }
}

#[test]
fn clients_wait_while_a_key_is_migrated() {
    let mut d = Driver::new(HERE);
    let (a, b) = (d.connect(), d.connect());
    d.line(a, "set k v px 5000");
    assert_eq!(d.line(a, "migrate 127.0.0.1 7777 k 3 500"), "");
    assert_eq!(d.connects.last().map(|(_, to)| to), Some(&Address::Endpoint(place(7777))));
    assert_eq!(d.line(b, "get k"), "");
    let there = d.connected();
    assert_eq!(d.asked(there), ["SELECT 3", "RESTORE k 5000"]);
    d.answer(there, "+OK\r\n+O");
    assert_eq!(d.take(a), "");
    assert_eq!(d.take(b), "");
    d.answer(there, "K\r\n");
    assert_eq!(d.take(a), "+OK\r\n");
    d.pass(Duration::ZERO);
    assert_eq!(d.take(b), "$-1\r\n");
    assert_eq!(d.kept(), "1");

    // The next MIGRATE uses the same connection, and needs no SELECT.
    d.line(a, "set k v");
    d.line(a, "migrate 127.0.0.1 7777 k 3 500 copy replace");
    assert_eq!(d.connects.len(), 1);
    assert_eq!(d.asked(there), ["RESTORE k 0 REPLACE"]);
    d.answer(there, "+OK\r\n");
    assert_eq!(d.line(a, "get k"), "+OK\r\n$1\r\nv\r\n");
    // An idle connection is closed after a while.
    d.pass(Duration::from_secs(9));
    assert!(!d.is_closed(there));
    d.pass(Duration::from_secs(2));
    assert!(d.is_closed(there));
    assert_eq!(d.kept(), "0");
    let stats = d.server.info(&["commandstats"]);
    assert!(stats.contains("cmdstat_migrate:calls=2,"), "{stats}");
}

fn place(port: u16) -> Endpoint {
    Endpoint::Ip(([127, 0, 0, 1], port).into())
}

#[test]
fn several_keys_move_together_and_refused_ones_stay() {
    let mut d = Driver::new(&format!("{HERE}\nappendonly yes\nnotify-keyspace-events Eg"));
    let (a, b) = (d.connect(), d.connect());
    d.line(b, "subscribe __keyevent@0__:del");
    d.line(a, "mset a 1 b 2 c 3 d 4");
    let line = "migrate 127.0.0.1 7777 \"\" 0 500 replace auth2 me secret keys a b no c d";
    assert_eq!(d.line(a, line), "");
    let there = d.connected();
    let login = ["AUTH me secret", "SELECT 0"];
    let keys = ["a", "b", "c", "d"].map(|key| format!("RESTORE {key} 0 REPLACE"));
    assert_eq!(d.asked(there), [&login.map(String::from)[..], &keys].concat());
    d.answer(there, "+OK\r\n+OK\r\n+OK\r\n-ERR first\r\n-ERR second\r\n+OK\r\n");
    let error = "-ERR Target instance replied with error: ERR first\r\n";
    assert_eq!(d.take(a), error);
    assert_eq!(d.line(a, "exists a b c d"), ":2\r\n");
    let told = d.take(b);
    assert_eq!(
        told.matches("$1\r\na\r\n").count() + told.matches("$1\r\nd\r\n").count(),
        2,
        "{told}"
    );
    d.pass(Duration::from_secs(2));
    let files: Vec<_> = d.files.all.values().map(|text| String::from_utf8_lossy(text)).collect();
    let deleted = "*3\r\n$3\r\nDEL\r\n$1\r\na\r\n$1\r\nd\r\n";
    assert!(files.iter().any(|text| text.ends_with(deleted)), "{files:?}");
    // After an error the selected database is unknown.
    d.line(a, "migrate 127.0.0.1 7777 b 0 500");
    assert_eq!(d.asked(there), ["SELECT 0", "RESTORE b 0"]);
    // If SELECT is refused, the keys may be in another database.
    d.answer(there, "-ERR DB index is out of range\r\n+OK\r\n");
    let error = "-ERR Target instance replied with error: ERR DB index is out of range\r\n";
    assert_eq!(d.take(a), error);
    assert_eq!(d.line(a, "exists b"), ":1\r\n");
}

#[test]
fn invalid_arguments_of_migrate_are_reported_at_once() {
    let mut d = Driver::new(HERE);
    let conn = d.connect();
    d.line(conn, "set k v");
    for (line, reply) in [
        ("127.0.0.1 7777 no 0 500", "+NOKEY"),
        ("127.0.0.1 7777 \"\" 0 500 keys no none", "+NOKEY"),
        ("127.0.0.1 7777 \"\" 0 500 keys", "+NOKEY"),
        ("127.0.0.1 7777 k 0 500 kopy", "-ERR syntax error"),
        ("127.0.0.1 7777 k 0 500 auth", "-ERR syntax error"),
        ("127.0.0.1 7777 k 0 500 auth2 me", "-ERR syntax error"),
        ("127.0.0.1 7777 k x 500", "-ERR value is not an integer or out of range"),
        ("127.0.0.1 7777 k 0 x", "-ERR value is not an integer or out of range"),
        (
            "127.0.0.1 7777 k 0 500 keys k",
            "-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
        ),
        ("127.0.0.1 0 k 0 500", "-IOERR error or timeout connecting to the client"),
        ("127.0.0.1 x k 0 500", "-IOERR error or timeout connecting to the client"),
        ("127.0.0.1 77777 k 0 500", "-IOERR error or timeout connecting to the client"),
        ("127.0.0.1 7777 k 0", "-ERR wrong number of arguments for 'migrate' command"),
    ] {
        assert_eq!(d.line(conn, &format!("migrate {line}")), format!("{reply}\r\n"), "{line}");
    }
    assert!(d.connects.is_empty());
    assert_eq!(d.line(conn, "migrate redis-2 7777 k 0 500"), "");
    let named = Address::Name { host: "redis-2".into(), port: 7777 };
    assert_eq!(d.connects.last().map(|(_, to)| to), Some(&named));
    let (there, _) = d.connects[0].clone();
    d.input(Input::ConnectFailed { conn: there, error: NetError::UnknownName });
    assert_eq!(d.take(conn), "-IOERR error or timeout connecting to the client\r\n");
    assert_eq!(d.kept(), "0");
}

#[test]
fn timeouts_and_invalid_replies_of_the_target_abort_migrate() {
    let connecting = "-IOERR error or timeout connecting to the client\r\n";
    let reading = "-IOERR error or timeout reading to target instance\r\n";
    let mut d = Driver::new(HERE);
    let conn = d.connect();
    d.line(conn, "mset k 1 l 2");
    // The target does not accept the connection.
    d.line(conn, "migrate 127.0.0.1 7777 k 0 500");
    d.pass(Duration::from_millis(499));
    assert_eq!(d.take(conn), "");
    d.pass(Duration::from_millis(1));
    assert_eq!(d.take(conn), connecting);
    assert!(d.is_closed(d.connects[0].0));
    // It accepts it, and does not reply. A timeout of 0 means a second.
    d.line(conn, "migrate 127.0.0.1 7777 k 0 0");
    let there = d.connected();
    d.answer(there, "+OK\r\n");
    d.pass(Duration::from_millis(999));
    assert_eq!(d.take(conn), "");
    d.pass(Duration::from_millis(1));
    assert_eq!(d.take(conn), reading);
    assert!(d.is_closed(there));
    // It sends invalid replies.
    for text in ["hello\r\n", "+OK\r\n:1\r\n", "\n", &"x".repeat(2_000)] {
        d.line(conn, "migrate 127.0.0.1 7777 k 0 500");
        let there = d.connected();
        d.answer(there, text);
        assert_eq!(d.take(conn), reading, "{text}");
        assert!(d.is_closed(there));
    }
    // A surplus reply does no harm, but the connection is not used again.
    d.line(conn, "migrate 127.0.0.1 7777 l 0 500");
    let there = d.connected();
    d.answer(there, "+OK\r\n+OK\r\n+OK\r\n");
    assert_eq!(d.take(conn), "+OK\r\n");
    assert!(d.is_closed(there));
    assert_eq!(d.line(conn, "exists k l"), ":1\r\n");
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced_once() {
    let mut d = Driver::new(HERE);
    let conn = d.connect();
    d.line(conn, "mset a 1 b 2 c 3 d 4");
    d.line(conn, "migrate 127.0.0.1 7777 a 0 500");
    let first = d.connected();
    d.answer(first, "+OK\r\n+OK\r\n");
    assert_eq!(d.take(conn), "+OK\r\n");
    // It is closed when the next key is sent.
    d.line(conn, "migrate 127.0.0.1 7777 b 0 500");
    d.asked(first);
    d.input(Input::Closed { conn: first, error: NetError::Reset });
    let second = d.connected();
    assert_ne!(first, second);
    assert_eq!(d.asked(second), ["SELECT 0", "RESTORE b 0"]);
    d.answer(second, "+OK\r\n+OK\r\n");
    assert_eq!(d.take(conn), "+OK\r\n");
    // A connection that was closed while idle is not used.
    d.input(Input::Ended { conn: second });
    assert!(d.is_closed(second));
    d.line(conn, "migrate 127.0.0.1 7777 c 0 500");
    let third = d.connected();
    assert_ne!(second, third);
    d.input(Input::Ended { conn: third });
    let fourth = d.connected();
    assert_ne!(third, fourth);
    d.input(Input::Closed { conn: fourth, error: NetError::Eof });
    assert_eq!(d.take(conn), "-IOERR error or timeout reading to target instance\r\n");
    // After the first reply the dialogue is not repeated, since more keys may have been taken.
    d.line(conn, "migrate 127.0.0.1 7777 \"\" 0 500 keys c d");
    let there = d.connected();
    d.answer(there, "+OK\r\n+OK\r\n");
    d.input(Input::Closed { conn: there, error: NetError::Reset });
    assert_eq!(d.take(conn), "-IOERR error or timeout reading to target instance\r\n");
    assert_eq!(d.line(conn, "keys *"), "*1\r\n$1\r\nd\r\n");
}

#[test]
fn a_transaction_continues_after_migrate() {
    let mut d = Driver::new(&format!("{HERE}\nappendonly yes"));
    let (a, b, c) = (d.connect(), d.connect(), d.connect());
    d.line(c, "subscribe news");
    d.line(b, "blpop list 0");
    d.line(a, "mset k 1 l 2");
    let moves = ["migrate 127.0.0.1 7777 k 0 500", "migrate 127.0.0.1 7777 l 0 500 copy"];
    let all = ["multi", "incr n", "lpush list x", "publish news hi", moves[0], "incr n", moves[1]];
    let all = [&all[..], &["migrate 127.0.0.1 7777 no 0 500", "incr n", "exec", "ping"]].concat();
    let queued = "+OK\r\n".to_owned() + &"+QUEUED\r\n".repeat(8);
    assert_eq!(d.send(a, (all.join("\r\n") + "\r\n").as_bytes()), "");
    let there = d.connected();
    assert_eq!(d.asked(there), ["SELECT 0", "RESTORE k 0"]);
    // Half of the transaction is executed, which is not visible outside.
    assert_eq!([a, b, c].map(|conn| d.take(conn)), [""; 3]);
    d.send(b, b"get n\r\n");
    d.input(Input::Signal(Signal::Terminate));
    d.answer(there, "+OK\r\n+OK\r\n");
    assert_eq!(d.asked(there), ["RESTORE l 0"]);
    assert_eq!([a, b, c].map(|conn| d.take(conn)), [""; 3]);
    d.answer(there, "-BUSYKEY Target key name already exists.\r\n");
    let refusal = "-ERR Target instance replied with error: BUSYKEY Target key name already \
                   exists.\r\n";
    let replies = format!("*8\r\n:1\r\n:1\r\n:1\r\n+OK\r\n:2\r\n{refusal}+NOKEY\r\n:3\r\n");
    assert_eq!(d.take(a), format!("{queued}{replies}+PONG\r\n"));
    assert!(d.take(b).starts_with("*2\r\n$4\r\nlist\r\n$1\r\nx\r\n"));
    assert!(d.take(c).contains("hi"));
    assert_eq!(d.exit, Some(0));
    let files: Vec<_> = d.files.all.values().map(|text| String::from_utf8_lossy(text)).collect();
    let done = ["incr n", "lpush list x", "DEL k", "incr n"];
    let found = |text: &str| {
        done.iter()
            .try_fold(text, |rest, words| {
                let last = words.split(' ').map(|word| format!("${}\r\n{word}\r\n", word.len()));
                rest.split_once(&last.collect::<String>()).map(|(_, rest)| rest)
            })
            .is_some()
    };
    let whole = files.iter().find(|text| found(text)).unwrap_or_else(|| panic!("{files:?}"));
    assert_eq!(whole.matches("MULTI").count(), 1, "{whole}");
    let stats = d.server.info(&["commandstats"]);
    for count in ["cmdstat_migrate:calls=3,", "cmdstat_exec:calls=1,", "cmdstat_incr:calls=3,"] {
        assert!(stats.contains(count), "{count} {stats}");
    }
}

#[test]
fn a_disconnecting_client_does_not_stop_its_migrate() {
    for exec in [false, true] {
        for half in [false, true] {
            let mut d = Driver::new(HERE);
            let (a, b) = (d.connect(), d.connect());
            d.line(a, "mset k 1 l 2");
            if exec {
                d.send(a, b"multi\r\nincr n\r\nmigrate 127.0.0.1 7777 k 0 500\r\nincr n\r\n");
                d.line(a, "exec");
            } else {
                d.line(a, "migrate 127.0.0.1 7777 k 0 500");
            }
            let there = d.connected();
            if half {
                d.input(Input::Ended { conn: a });
            } else {
                d.input(Input::Closed { conn: a, error: NetError::Reset });
            }
            d.line(b, "exists k n");
            d.answer(there, "+OK\r\n+OK\r\n");
            d.pass(Duration::ZERO);
            assert_eq!(d.take(b), if exec { ":1\r\n" } else { ":0\r\n" });
            assert_eq!(d.server.clients.connected(), 1);
            if half {
                // The client still gets its reply.
                assert!(d.take(a).contains("+OK\r\n"));
                assert!(d.is_closed(a));
            }
            let left = d.server.clients.iter().count();
            assert_eq!(left, 1);
        }
    }
}

#[test]
fn a_large_value_is_sent_in_slices_and_is_what_dump_gives() {
    let mut d = Driver::new(HERE);
    let conn = d.connect();
    for n in 0..100 {
        let words: String = (0..1_000).map(|m| format!(" member-{n}-{m} {m}")).collect();
        d.line(conn, &format!("hset h{words}"));
    }
    let dump = d.sent_bytes(conn, "dump h");
    d.line(conn, "mset a 1 z 2");
    d.line(conn, "migrate 127.0.0.1 7777 \"\" 0 500 keys a h z");
    let (there, _) = d.connects[0].clone();
    d.clients_do_not_read = true;
    d.connected();
    d.clients_do_not_read = false;
    let mut sent = Vec::new();
    while let Some(waiting) = d.server.outbox(there).map(|outbox| outbox.len()).filter(|n| *n > 0) {
        assert!(waiting < 300_000, "{waiting}");
        d.clients_do_not_read = true;
        let outbox = d.server.outbox(there).expect("it");
        sent.extend(outbox.slices().flatten().copied());
        if outbox.consume(waiting) {
            d.input(Input::Drained { conn: there });
        }
        d.clients_do_not_read = false;
    }
    let at = sent.windows(dump.len()).position(|window| window == dump);
    assert!(at.is_some(), "{} bytes, of which {} should be the payload", sent.len(), dump.len());
    d.answer(there, &"+OK\r\n".repeat(4));
    assert_eq!(d.line(conn, "dbsize"), "+OK\r\n:0\r\n");
}

impl Driver {
    /// Sends a line and returns the bulk string of the reply.
    fn sent_bytes(&mut self, conn: ConnId, line: &str) -> Vec<u8> {
        self.take(conn);
        self.input(Input::Received { conn, bytes: format!("{line}\r\n").as_bytes() });
        self.pass(Duration::ZERO);
        let bytes = self.sent.remove(&conn).expect("a reply");
        let start = bytes.windows(2).position(|two| two == b"\r\n").expect("a head") + 2;
        bytes[start..bytes.len() - 2].to_vec()
    }
}

#[test]
fn passwords_for_the_target_are_not_logged() {
    let mut d = Driver::new(&format!("{HERE}\nslowlog-log-slower-than 0"));
    let (a, b) = (d.connect(), d.connect());
    d.line(a, "set k v");
    d.line(b, "monitor");
    d.line(a, "migrate 127.0.0.1 7777 \"\" 0 500 copy auth2 me secret keys k auth open");
    let there = d.connected();
    d.answer(there, "+OK\r\n+OK\r\n+OK\r\n");
    assert_eq!(d.take(a), "+OK\r\n");
    let shown = d.take(b);
    assert!(
        shown.contains(r#""auth2" "(redacted)" "(redacted)" "keys" "k" "auth" "open""#),
        "{shown}"
    );
    let slow = d.line(a, "slowlog get 1");
    assert!(slow.contains("(redacted)") && !slow.contains("secret"), "{slow}");
}
