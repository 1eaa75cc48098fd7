//! How clients affect each other: transactions, pub/sub, MONITOR, blocking.

use super::*;

#[test]
fn a_transaction_runs_as_one() {
    let mut driver = Driver::new("");
    let conn = driver.connect();
    assert_eq!(driver.line(conn, "multi"), "+OK\r\n");
    assert_eq!(driver.line(conn, "set k 1"), "+QUEUED\r\n");
    assert_eq!(driver.line(conn, "incr k"), "+QUEUED\r\n");
    assert_eq!(driver.line(conn, "exec"), "*2\r\n+OK\r\n:2\r\n");
    assert_eq!(driver.line(conn, "exec"), "-ERR EXEC without MULTI\r\n");
}

#[test]
fn a_transaction_with_a_bad_command_is_refused_whole() {
    let mut driver = Driver::new("");
    let conn = driver.connect();
    driver.line(conn, "multi");
    driver.line(conn, "set k 1");
    assert!(driver.line(conn, "set k").starts_with("-ERR wrong number"));
    assert!(driver.line(conn, "exec").starts_with("-EXECABORT"));
    assert_eq!(driver.line(conn, "exists k"), ":0\r\n");
    // EXEC reports every refusal this way, even without a transaction.
    assert!(driver.line(conn, "exec k").starts_with("-EXECABORT Transaction discarded because of"));
}

#[test]
fn a_failed_command_does_not_stop_the_transaction() {
    let mut driver = Driver::new("");
    let conn = driver.connect();
    driver.line(conn, "set k a");
    driver.send(conn, b"multi\r\nincr k\r\nset other 1\r\n");
    let reply = driver.line(conn, "exec");
    assert!(reply.starts_with("*2\r\n-ERR value is not an integer"), "{reply}");
    assert!(reply.ends_with("+OK\r\n"), "{reply}");
}

#[test]
fn a_watched_key_that_changes_stops_the_transaction() {
    let mut driver = Driver::new("");
    let (a, b) = (driver.connect(), driver.connect());
    let run = |driver: &mut Driver, between: &[&str]| {
        driver.send(b, b"flushall\r\nset k 1\r\nset px 1 px 1000\r\n");
        assert_eq!(driver.line(a, "watch k px absent"), "+OK\r\n");
        for line in between {
            driver.line(b, line);
        }
        driver.send(a, b"multi\r\nping\r\n");
        driver.line(a, "exec")
    };
    assert_eq!(run(&mut driver, &["get k", "set other 1"]), "*1\r\n+PONG\r\n");
    assert_eq!(run(&mut driver, &["set k 2"]), "*-1\r\n");
    assert_eq!(run(&mut driver, &["del k"]), "*-1\r\n");
    assert_eq!(run(&mut driver, &["del absent"]), "*1\r\n+PONG\r\n");
    assert_eq!(run(&mut driver, &["set absent 1"]), "*-1\r\n");
    assert_eq!(run(&mut driver, &["flushall"]), "*-1\r\n");
    assert_eq!(run(&mut driver, &["swapdb 0 1"]), "*-1\r\n");
    driver.line(b, "swapdb 0 1");
    driver.send(b, b"flushall\r\nset gone 1 px 10\r\n");
    driver.line(a, "watch gone");
    driver.mono += Duration::from_millis(20);
    driver.send(a, b"multi\r\nping\r\n");
    assert_eq!(driver.line(a, "exec"), "*-1\r\n", "the key expired after WATCH");
}

#[test]
fn unwatch_and_discard_end_watches() {
    let mut driver = Driver::new("");
    let (a, b) = (driver.connect(), driver.connect());
    driver.line(a, "watch k");
    driver.line(b, "set k 1");
    driver.line(a, "unwatch");
    driver.send(a, b"multi\r\nping\r\n");
    assert_eq!(driver.line(a, "exec"), "*1\r\n+PONG\r\n");
    driver.line(a, "watch k");
    driver.line(a, "multi");
    assert_eq!(driver.line(a, "multi"), "-ERR MULTI calls can not be nested\r\n");
    assert_eq!(driver.line(a, "watch k"), "-ERR WATCH inside MULTI is not allowed\r\n");
    assert_eq!(driver.line(a, "discard"), "+OK\r\n");
    driver.line(b, "set k 2");
    driver.send(a, b"multi\r\nping\r\n");
    assert_eq!(driver.line(a, "exec"), "*1\r\n+PONG\r\n");
}

#[test]
fn messages_reach_subscribers() {
    let mut driver = Driver::new("");
    let (a, b, c) = (driver.connect(), driver.connect(), driver.connect());
    assert_eq!(
        driver.line(a, "subscribe news other"),
        "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$5\r\nother\r\n:2\r\n"
    );
    driver.line(b, "hello 3");
    assert_eq!(driver.line(b, "psubscribe n*s"), ">3\r\n$10\r\npsubscribe\r\n$3\r\nn*s\r\n:1\r\n");
    assert_eq!(driver.line(c, "publish news hi"), ":2\r\n");
    assert_eq!(driver.take(a), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
    assert_eq!(driver.take(b), ">4\r\n$8\r\npmessage\r\n$3\r\nn*s\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
    assert!(driver.line(a, "get k").starts_with("-ERR Can't execute 'get': only"));
    assert_eq!(driver.line(a, "ping"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    assert_eq!(driver.line(b, "ping"), "+PONG\r\n");
    assert_eq!(driver.line(c, "pubsub numsub news"), "*2\r\n$4\r\nnews\r\n:1\r\n");
    assert_eq!(driver.line(c, "pubsub numpat"), ":1\r\n");
    driver.line(a, "unsubscribe");
    assert_eq!(driver.line(a, "get k"), "$-1\r\n");
    assert_eq!(driver.line(c, "publish news hi"), ":1\r\n");
}

#[test]
fn a_subscriber_that_leaves_is_forgotten() {
    let mut driver = Driver::new("");
    let (a, b) = (driver.connect(), driver.connect());
    driver.line(a, "subscribe news");
    driver.input(Input::Closed { conn: a, error: NetError::Reset });
    assert_eq!(driver.line(b, "publish news hi"), ":0\r\n");
    assert_eq!(driver.line(b, "pubsub channels"), "*0\r\n");
}

#[test]
fn messages_may_be_delayed_and_replies_are_not() {
    let mut driver = Driver::new("");
    let (a, b) = (driver.connect(), driver.connect());
    driver.line(a, "hello 3");
    driver.line(a, "subscribe news");
    let outputs = |driver: &mut Driver, requests: &[(ConnId, &[u8])]| -> Vec<Output> {
        for (conn, bytes) in requests {
            let (conn, bytes) = (*conn, *bytes);
            driver.server.handle(driver.now(), Input::Received { conn, bytes });
        }
        std::iter::from_fn(|| driver.server.poll_output()).collect()
    };
    let publish: &[u8] = b"publish news hi\r\n";
    let [to_a, to_b] = [a, b].map(|conn| Output::Send { conn });
    let soon = Output::SendSoon { conn: a };
    assert_eq!(outputs(&mut driver, &[(b, publish), (b, publish)]), [to_b.clone(), soon]);
    // A reply is sent together with the messages before it.
    let both = [(b, publish), (a, &b"ping\r\n"[..])];
    assert_eq!(outputs(&mut driver, &both), [to_b.clone(), to_a.clone()]);
    driver.drain(a);
    let message = ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n";
    assert_eq!(driver.take(a), message.repeat(3) + "+PONG\r\n");
    // A message is sent at once if it is too large to gain from waiting.
    let long = format!("publish news {}\r\n", "x".repeat(20_000));
    assert_eq!(outputs(&mut driver, &[(b, long.as_bytes())]), [to_a, to_b]);
}

#[test]
fn a_slow_subscriber_is_disconnected() {
    let mut driver = Driver::new("client-output-buffer-limit pubsub 1000 0 0");
    let (a, b) = (driver.connect(), driver.connect());
    driver.line(a, "subscribe news");
    let long = "x".repeat(2000);
    driver.line(b, &format!("publish news {long}"));
    assert!(driver.is_closed(a));
    assert_eq!(driver.line(b, "publish news hi"), ":0\r\n");
}

#[test]
fn events_on_keys_are_published() {
    let mut driver = Driver::new("notify-keyspace-events KEA");
    let (a, b) = (driver.connect(), driver.connect());
    driver.line(a, "psubscribe __key*");
    driver.line(b, "set k 1 px 10");
    let told = driver.take(a);
    assert!(told.contains("__keyspace@0__:k\r\n$3\r\nset\r\n"), "{told}");
    assert!(told.contains("__keyevent@0__:set\r\n$1\r\nk\r\n"), "{told}");
    driver.pass(Duration::from_millis(200));
    let told = driver.take(a);
    assert!(told.contains("__keyevent@0__:expired\r\n$1\r\nk\r\n"), "{told}");
}

#[test]
fn the_expired_event_precedes_that_of_the_command_which_found_it() {
    let mut driver = Driver::new("notify-keyspace-events Ex$\nenable-debug-command yes");
    let (a, b) = (driver.connect(), driver.connect());
    driver.line(b, "debug set-active-expire 0");
    driver.line(b, "set k 1 px 10");
    driver.line(a, "psubscribe __key*");
    driver.pass(Duration::from_millis(200));
    driver.line(b, "set k 2 get");
    let told = driver.take(a);
    let place = |event: &str| told.find(event).unwrap_or_else(|| panic!("{event}: {told}"));
    assert!(place("keyevent@0__:expired") < place("keyevent@0__:set"), "{told}");
}

#[test]
fn monitor_shows_commands_but_no_secrets() {
    let mut driver = Driver::new("requirepass secret");
    let (a, b) = (driver.connect(), driver.connect());
    driver.line(a, "auth secret");
    assert_eq!(driver.line(a, "monitor"), "+OK\r\n");
    driver.send(b, b"auth secret\r\nset k \"a\\n\"\r\nmulti\r\nget k\r\nexec\r\n");
    let seen = driver.take(a);
    let lines: Vec<_> = seen.lines().filter_map(|l| l.split_once("] ").map(|(_, c)| c)).collect();
    assert_eq!(
        lines,
        [r#""auth" "(redacted)""#, r#""set" "k" "a\n""#, r#""multi""#, r#""get" "k""#, r#""exec""#]
    );
}

#[test]
fn passwords_are_hidden_wherever_commands_are_shown() {
    let mut driver = Driver::new("slowlog-log-slower-than 0");
    let (a, b) = (driver.connect(), driver.connect());
    assert_eq!(driver.line(a, "monitor"), "+OK\r\n");
    for (line, shown) in [
        // Administrative commands are not shown at all.
        ("acl setuser me on >secret ~* +@all", ""),
        ("config set maxmemory 0 masterauth secret", ""),
        ("config set requirepass secret", ""),
        ("hello 2 auth me secret", r#""hello" "2" "auth" "(redacted)" "(redacted)""#),
        ("auth me secret", r#""auth" "(redacted)" "(redacted)""#),
        // Nor when they fail.
        ("hello 9 auth me secret", r#""hello" "9" "auth" "(redacted)" "(redacted)""#),
        ("auth me wrong-secret", r#""auth" "(redacted)" "(redacted)""#),
    ] {
        driver.line(b, line);
        let seen = driver.take(a);
        assert!(seen.contains(shown) && !seen.contains("secret"), "{line}: {seen}");
        let told = driver.line(b, "client list");
        assert!(told.contains("name=") && !told.contains("secret"), "{told}");
        driver.take(a);
    }
    let log = driver.line(b, "slowlog get -1");
    for shown in [
        "setuser\r\n$10\r\n(redacted)\r\n$10\r\n(redacted)",
        "masterauth\r\n$10\r\n(redacted)",
        "requirepass\r\n$10\r\n(redacted)",
        "auth\r\n$10\r\n(redacted)\r\n$10\r\n(redacted)",
    ] {
        assert!(log.contains(shown) && !log.contains("secret"), "{shown}: {log}");
    }
}

#[test]
fn blocked_clients_are_served_in_order() {
    let mut driver = Driver::new("");
    let (a, b, c) = (driver.connect(), driver.connect(), driver.connect());
    assert_eq!(driver.line(a, "blpop k other 0"), "");
    assert_eq!(driver.line(b, "brpop k 0"), "");
    assert_eq!(driver.send(c, b"rpush k 1 2 3\r\nllen k\r\n"), ":3\r\n:1\r\n");
    assert_eq!(driver.take(a), "*2\r\n$1\r\nk\r\n$1\r\n1\r\n");
    assert_eq!(driver.take(b), "*2\r\n$1\r\nk\r\n$1\r\n3\r\n");
    assert_eq!(driver.line(a, "ping"), "+PONG\r\n");
}

#[test]
fn requests_pipelined_after_a_blocked_command_are_answered_afterwards() {
    let mut driver = Driver::new("");
    let (a, b) = (driver.connect(), driver.connect());
    assert_eq!(driver.send(a, b"blpop k 0\r\nping\r\n"), "");
    driver.line(b, "lpush k x");
    driver.pass(Duration::from_millis(1));
    assert_eq!(driver.take(a), "*2\r\n$1\r\nk\r\n$1\r\nx\r\n+PONG\r\n");
}

#[test]
fn blocking_commands_time_out() {
    let mut driver = Driver::new("");
    let a = driver.connect();
    driver.line(a, "blpop k 0.1");
    driver.pass(Duration::from_millis(99));
    assert_eq!(driver.take(a), "");
    driver.pass(Duration::from_millis(2));
    assert_eq!(driver.take(a), "*-1\r\n");
    driver.line(a, "blmove k other left right 0.1");
    driver.pass(Duration::from_millis(101));
    assert_eq!(driver.take(a), "$-1\r\n");
    assert_eq!(driver.line(a, "blpop k -1"), "-ERR timeout is negative\r\n");
    assert_eq!(driver.line(a, "blpop k -0.001"), "-ERR timeout is negative\r\n");
    driver.send(a, b"multi\r\nblpop k 0\r\n");
    assert_eq!(driver.line(a, "exec"), "*1\r\n*-1\r\n");
    // Rounded up to whole milliseconds this is 0, which means for ever.
    assert_eq!(driver.line(a, "blpop k -0.0009"), "");
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.take(a), "");
}

#[test]
fn blocked_moves_can_form_a_chain() {
    let mut driver = Driver::new("");
    let (a, b, c) = (driver.connect(), driver.connect(), driver.connect());
    driver.line(a, "blmove one two left right 0");
    driver.line(b, "blpop two 0");
    driver.line(c, "rpush one x");
    assert_eq!(driver.take(a), "$1\r\nx\r\n");
    assert_eq!(driver.take(b), "*2\r\n$3\r\ntwo\r\n$1\r\nx\r\n");
}

#[test]
fn a_key_of_the_wrong_type_does_not_unblock() {
    let mut driver = Driver::new("");
    let (a, b) = (driver.connect(), driver.connect());
    driver.line(a, "blpop k 0");
    driver.send(b, b"multi\r\nlpush k a\r\ndel k\r\nset k text\r\nexec\r\n");
    assert_eq!(driver.take(a), "");
    driver.send(b, b"del k\r\nzadd k 1 m\r\n");
    assert_eq!(driver.take(a), "");
    driver.line(a, "ping");
    let id = "client unblock 1 error";
    assert_eq!(driver.line(b, id), ":1\r\n");
    let told = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n+PONG\r\n";
    assert_eq!(driver.take(a), told);
    driver.line(a, "bzpopmin z 0");
    driver.line(b, "zadd z 2 m");
    assert_eq!(driver.take(a), "*3\r\n$1\r\nz\r\n$1\r\nm\r\n$1\r\n2\r\n");
}

#[test]
fn noeviction_refuses_writes_when_memory_is_full() {
    let mut driver = Driver::new("");
    let (a, b) = (driver.connect(), driver.connect());
    let oom = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    driver.send(a, b"set k v\r\nmulti\r\nset k w\r\n");
    driver.line(b, "config set maxmemory 1");
    assert_eq!(driver.line(b, "set k x"), oom);
    assert_eq!(driver.line(b, "get k"), "$1\r\nv\r\n");
    assert_eq!(driver.line(b, "del other"), ":0\r\n");
    let aborted = driver.line(a, "exec");
    assert_eq!(aborted, oom.replace("-OOM", "-EXECABORT Transaction discarded because of: OOM"));
    assert_eq!(driver.line(a, "multi"), "+OK\r\n");
    assert_eq!(driver.line(a, "get k"), oom);
    assert_eq!(driver.line(a, "discard"), "+OK\r\n");
}

#[test]
fn maxmemory_policy_selects_the_evicted_keys() {
    let policies = "volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu \
                    allkeys-random";
    for policy in policies.split_ascii_whitespace() {
        let mut driver = Driver::new(&format!("maxmemory-policy {policy}"));
        let conn = driver.connect();
        let value = "x".repeat(200);
        for n in 0..600 {
            driver.line(conn, &format!("set keep:{n} {value}"));
            driver.line(conn, &format!("set old:{n} {value} ex {}", 5_000 + n));
        }
        driver.pass(Duration::from_secs(5));
        // These keys are used later, and more often, than the rest.
        let used: Vec<String> = (0..50).map(|n| format!("old:{}", n * 12)).collect();
        for _ in 0..20 {
            driver.line(conn, &format!("touch {}", used.join(" ")));
        }
        let info = driver.line(conn, "info memory");
        let before = info.split("used_memory:").nth(1).and_then(|rest| rest.lines().next());
        let before: u64 = before.and_then(|n| n.parse().ok()).expect("a number");
        let limit = before - 60_000;
        driver.line(conn, &format!("config set maxmemory {limit} notify-keyspace-events eE"));
        driver.pass(Duration::from_secs(1));
        let count = |driver: &mut Driver, keys: &[String]| -> usize {
            let reply = driver.line(conn, &format!("exists {}", keys.join(" ")));
            reply.trim_matches([':', '\r', '\n']).parse().expect("a number")
        };
        let all = |name: &str| (0..600).map(|n| format!("{name}:{n}")).collect::<Vec<_>>();
        let (keep, old) = (count(&mut driver, &all("keep")), count(&mut driver, &all("old")));
        let evicted = 1_200 - keep - old;
        assert!((150..500).contains(&evicted), "{policy}: {evicted}");
        if policy.starts_with("volatile") {
            assert_eq!(keep, 600, "{policy}");
        }
        if policy == "volatile-ttl" {
            assert_eq!(count(&mut driver, &all("old")[..evicted]), 0);
        }
        if policy.ends_with("lru") || policy.ends_with("lfu") {
            assert!(count(&mut driver, &used) >= 45, "{policy}");
        }
        let info = driver.line(conn, "info stats");
        assert!(info.contains(&format!("evicted_keys:{evicted}\r\n")), "{info}");
        assert!(driver.line(conn, &format!("set new {value}")).starts_with("+OK"), "{policy}");
    }
}

#[test]
fn a_client_that_publishes_to_itself_reads_the_reply_first() {
    let mut driver = Driver::new("");
    let conn = driver.connect();
    driver.send(conn, b"hello 3\r\nsubscribe ch\r\n");
    let push = ">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\na\r\n";
    assert_eq!(driver.line(conn, "publish ch a"), format!(":1\r\n{push}"));
    driver.send(conn, b"multi\r\npublish ch a\r\nping\r\n");
    assert_eq!(driver.line(conn, "exec"), format!("*2\r\n:1\r\n+PONG\r\n{push}"));
}

#[test]
fn swapdb_unblocks_clients_and_keeps_watches_of_expired_keys() {
    let mut driver = Driver::new("");
    let (a, b) = (driver.connect(), driver.connect());
    driver.send(a, b"blpop k 0\r\n");
    driver.send(b, b"select 1\r\nrpush k v\r\n");
    assert_eq!(driver.line(b, "swapdb 0 1"), "+OK\r\n");
    assert_eq!(driver.take(a), "*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
    // An expired key counts as missing.
    driver.send(b, b"debug set-active-expire 0\r\nset gone v px 1\r\n");
    driver.pass(Duration::from_millis(10));
    driver.line(a, "watch gone");
    driver.line(b, "swapdb 0 1");
    driver.send(a, b"multi\r\nping\r\n");
    assert_eq!(driver.line(a, "exec"), "*1\r\n+PONG\r\n");
}

#[test]
fn a_blocked_command_is_counted_once() {
    let mut driver = Driver::new("slowlog-log-slower-than 0\nenable-debug-command yes");
    let (a, b, c) = (driver.connect(), driver.connect(), driver.connect());
    driver.line(c, "monitor");
    driver.send(a, b"blpop k 0\r\n");
    assert!(!driver.line(b, "info commandstats").contains("cmdstat_blpop"));
    driver.line(b, "rpush k v");
    let stats = driver.line(b, "info commandstats");
    assert!(stats.contains("cmdstat_blpop:calls=1,"), "{stats}");
    assert_eq!(driver.take(c).matches("\"blpop\"").count(), 1);
    driver.send(a, b"blpop k 0.01\r\n");
    driver.pass(Duration::from_millis(20));
    let stats = driver.line(b, "info commandstats");
    assert!(stats.contains("cmdstat_blpop:calls=2,"), "{stats}");
}

#[test]
fn time_passes_during_debug_sleep() {
    let mut driver = Driver::new("slowlog-log-slower-than 100000\nenable-debug-command yes");
    let (a, b) = (driver.connect(), driver.connect());
    driver.send(a, b"blpop k 1\r\n");
    driver.send(b, b"multi\r\nrpush k v\r\npexpire k 100\r\ndebug sleep 0.2\r\n");
    driver.line(b, "exec");
    assert_eq!(driver.take(a), "");
    assert_eq!(driver.line(b, "slowlog len"), ":1\r\n");
}

#[test]
fn the_largest_clients_are_evicted_except_for_no_evict() {
    let mut driver = Driver::new("");
    let (a, b, c) = (driver.connect(), driver.connect(), driver.connect());
    driver.line(a, "client no-evict on");
    driver.line(a, "config set maxmemory-clients 1mb");
    // Half a request each.
    let half = [b"*2\r\n$3\r\nget\r\n$3000000\r\n".to_vec(), vec![b'x'; 2_000_000]].concat();
    driver.send(b, &half);
    driver.line(c, "ping");
    driver.pass(Duration::from_millis(20));
    assert!(driver.is_closed(b) && !driver.is_closed(c));
    driver.send(a, &half);
    driver.pass(Duration::from_millis(20));
    assert!(!driver.is_closed(a));
}

#[test]
fn a_client_unblocked_with_an_error_counts_as_an_error() {
    let mut driver = Driver::new("");
    let (a, b) = (driver.connect(), driver.connect());
    driver.send(a, b"client id\r\nblpop k 0\r\n");
    driver.line(b, "client unblock 1 error");
    assert!(driver.take(a).contains("-UNBLOCKED "));
    let info = driver.line(b, "info errorstats commandstats");
    assert!(info.contains("errorstat_UNBLOCKED:count=1\r\n"), "{info}");
    let blpop = info.lines().find(|line| line.starts_with("cmdstat_blpop:calls=1,"));
    assert!(blpop.is_some_and(|line| line.ends_with("failed_calls=1")), "{info}");
}

#[test]
fn removing_maxmemory_clients_leaves_no_wake_ups() {
    let mut driver = Driver::new("");
    let conn = driver.connect();
    driver.line(conn, "config set maxmemory 100mb maxmemory-clients 50mb");
    driver.pass(Duration::from_millis(50));
    driver.line(conn, "config set maxmemory-clients 0");
    driver.pass(Duration::from_millis(50));
    assert_eq!(driver.server.poll_timeout(), None);
}

#[test]
fn min_replicas_to_write_refuses_writes() {
    let mut driver = Driver::new("");
    let (a, b) = (driver.connect(), driver.connect());
    driver.send(a, b"set k 1\r\nmulti\r\nincr k\r\n");
    driver.line(b, "config set min-replicas-to-write 1");
    let refusal = "NOREPLICAS Not enough good replicas to write.\r\n";
    assert_eq!(driver.line(b, "incr k"), format!("-{refusal}"));
    let aborted = format!("-EXECABORT Transaction discarded because of: {refusal}");
    assert_eq!(driver.line(a, "exec"), aborted);
    assert_eq!(driver.line(b, "get k"), "$1\r\n1\r\n");
}

#[test]
fn an_invalid_bind_address_is_refused() {
    let mut driver = Driver::new("");
    let conn = driver.connect();
    let reply = driver.line(conn, "config set bind 999.999.999.999");
    assert!(reply.ends_with("Failed to bind to specified addresses.\r\n"), "{reply}");
    assert!(!driver.line(conn, "config get bind").contains("999"));
}

#[test]
fn a_replica_that_would_get_a_reply_is_disconnected() {
    for line in ["get k", "nonsense", "slowlog get", "set k"] {
        let mut d = Driver::new("save \"\"");
        let replica = d.connect();
        d.line(replica, "psync ? -1");
        let text = d.line(replica, line);
        assert!(d.is_closed(replica), "{line}");
        // It would take an error for a part of the stream.
        assert!(!text.contains('-') && !text.contains("ERR"), "{line}: {text}");
        let told = |line: &String| line.starts_with("Replica generated a reply to command '");
        assert!(d.log.iter().any(told), "{line}: {:?}", d.log);
    }
    // A client that was not a replica yet gets the error.
    let mut d = Driver::new("");
    let client = d.connect();
    assert_eq!(
        d.line(client, "psync id offset"),
        "-ERR value is not an integer or out of range\r\n"
    );
    assert!(!d.is_closed(client));
}

#[test]
fn an_empty_result_deletes_its_destination_even_if_that_has_expired() {
    let mut driver = Driver::new("notify-keyspace-events AKE\nenable-debug-command yes");
    let (conn, other) = (driver.connect(), driver.connect());
    driver.line(conn, "debug set-active-expire 0");
    driver.send(conn, b"sadd s a\r\nzadd z 1 a\r\n");
    driver.line(other, "psubscribe __keyevent*");
    for command in [
        "sinterstore d s none",
        "sdiffstore d s s",
        "zunionstore d 1 none",
        "zrangestore d z 5 9",
        "sort none store d",
        "bitop and d none",
    ] {
        driver.line(conn, "set d v px 1");
        driver.pass(Duration::from_millis(10));
        driver.take(other);
        assert_eq!(driver.line(conn, command), ":0\r\n");
        let told = driver.take(other);
        assert!(told.contains(":del\r\n$1\r\nd\r\n") && !told.contains("expired"), "{told}");
        assert_eq!(driver.line(conn, "exists d"), ":0\r\n");
    }
    assert!(driver.line(conn, "info stats").contains("expired_keys:0\r\n"));
}

#[test]
fn a_reconnected_replica_counts_once_for_wait() {
    let mut driver = Driver::new("repl-diskless-sync-delay 0\nsave \"\"");
    let conn = driver.connect();
    for (port, count) in [(7000, 1), (7000, 1), (7001, 2)] {
        let replica = driver.connect();
        driver.line(replica, &format!("replconf listening-port {port} capa eof capa psync2"));
        driver.line(replica, "psync ? -1");
        driver.pass(Duration::from_secs(2));
        driver.line(replica, "replconf ack 1000000");
        assert_eq!(driver.line(conn, "wait 0 0"), format!(":{count}\r\n"));
    }
}
