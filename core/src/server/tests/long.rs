//! Long replies, which are written in slices.

use super::*;

const MEMBERS: usize = 20_000;

/// A server with a large set `s`, list `l`, hash `h` and sorted set `z`.
fn filled(config: &str) -> (Driver, ConnId) {
    let mut driver = Driver::new(config);
    let conn = driver.connect();
    for n in 0..MEMBERS {
        let m = format!("member:{n:05}");
        let lines = format!("sadd s {m}\r\nrpush l {m}\r\nhset h {m} {n}\r\nzadd z {n} {m}\r\n");
        driver.send(conn, lines.as_bytes());
    }
    (driver, conn)
}

/// The elements of a flat array that is all of `reply`.
fn elements(reply: &str) -> Vec<&str> {
    let mut lines = reply.split("\r\n");
    let head = lines.next().unwrap_or_default();
    let len: usize = head[1..].parse().expect("a length");
    let elements: Vec<&str> = lines.skip(1).step_by(2).take(len).collect();
    assert_eq!(elements.len(), len, "{head}");
    elements
}

/// All output until there is no more.
fn rest(driver: &mut Driver, conn: ConnId) -> String {
    driver.pass(Duration::ZERO);
    driver.take(conn)
}

#[test]
fn other_clients_wait_for_at_most_one_slice() {
    let (mut driver, conn) = filled("");
    let other = driver.connect();
    let mut all = driver.line(conn, "smembers s");
    let mut slices = 1;
    while driver.server.poll_timeout().is_some_and(|at| at <= driver.mono) {
        assert_eq!(driver.line(other, "ping"), "+PONG\r\n");
        driver.input(Input::Wake);
        let slice = driver.take(conn);
        assert!(slice.len() < 100_000, "{}", slice.len());
        all += &slice;
        slices += 1;
    }
    assert!(slices > 10, "{slices}");
    assert_eq!(elements(&all).len(), MEMBERS);
}

#[test]
fn a_long_reply_is_a_consistent_snapshot() {
    let changes = ["del s l h z", "srem s member:15000", "rpop l", "hset h member:19999 x"];
    let commands = ["smembers s", "lrange l 0 -1", "hgetall h", "hkeys h", "hvals h"];
    let ranges = ["zrange z 0 -1", "zrange z 0 -1 rev withscores", "zrangebyscore z 3 inf"];
    for command in commands.into_iter().chain(ranges) {
        let (mut driver, conn) = filled("");
        let other = driver.connect();
        let begin = driver.line(conn, command);
        let wanted = begin.clone() + &rest(&mut driver, conn);
        assert!(begin.len() < wanted.len() / 5, "{command}");
        for change in changes {
            let mut twin = driver.clone();
            let mut got = twin.line(conn, command);
            twin.line(other, change);
            got += &rest(&mut twin, conn);
            assert!(got == wanted, "{command} with {change}");
        }
        // The elements themselves, and their order.
        let got = elements(&wanted);
        let names = |from: usize| (from..MEMBERS).map(|n| format!("member:{n:05}"));
        let numbers = (0..MEMBERS).map(|n| n.to_string());
        let expected: Vec<String> = match command {
            "hgetall h" => names(0).zip(numbers).flat_map(|(f, v)| [f, v]).collect(),
            "hvals h" => numbers.collect(),
            "zrangebyscore z 3 inf" => names(3).collect(),
            "zrange z 0 -1 rev withscores" => {
                names(0).zip(numbers).rev().flat_map(|(m, s)| [m, s]).collect()
            }
            _ => names(0).collect(),
        };
        assert!(got == expected, "{command}");
    }
}

#[test]
fn results_of_spop_and_set_operations_are_written_in_slices() {
    for (command, left) in
        [("spop s 20000", 0), ("sunion s", 1), ("sdiff s t", 1), ("sunion s t", 1)]
    {
        let (mut driver, conn) = filled("");
        driver.line(conn, "sadd t of-another");
        let mut all = driver.line(conn, command);
        let slices = !command.starts_with("sdiff");
        assert_eq!(all.len() < 100_000, slices, "{command}");
        all += &rest(&mut driver, conn);
        let others = usize::from(command == "sunion s t");
        assert_eq!(elements(&all).len(), MEMBERS + others, "{command}");
        assert_eq!(driver.line(conn, "exists s"), format!(":{left}\r\n"), "{command}");
    }
}

#[test]
fn pipelined_requests_are_answered_after_a_long_reply() {
    let (mut driver, conn) = filled("");
    let mut got = driver.send(conn, b"lrange l 0 -1\r\nping\r\n");
    got += &driver.line(conn, "llen l");
    got += &rest(&mut driver, conn);
    assert_eq!(elements(&got).len(), MEMBERS);
    assert!(got.ends_with("member:19999\r\n+PONG\r\n:20000\r\n"), "{:?}", &got[got.len() - 60..]);
}

#[test]
fn a_transaction_may_have_several_long_replies() {
    let (mut driver, conn) = filled("");
    driver.send(conn, b"multi\r\nlrange l 0 -1\r\nrpush l last\r\nlrange l 0 -1\r\nping\r\n");
    let mut got = driver.line(conn, "exec");
    got += &driver.line(conn, "echo behind");
    got += &rest(&mut driver, conn);
    let text = got.strip_prefix("*4\r\n").expect("four replies");
    let second = text[1..].find("*20001").expect("the second list") + 1;
    assert_eq!(elements(text).last(), Some(&"member:19999"));
    assert!(text[..second].ends_with("member:19999\r\n:20001\r\n"));
    assert_eq!(elements(&text[second..]).last(), Some(&"last"));
    assert!(text.ends_with("+PONG\r\n$6\r\nbehind\r\n"));
}

#[test]
fn a_client_that_kills_itself_in_a_transaction_gets_the_replies_until_then() {
    let (mut driver, conn) = filled("");
    let id = driver.line(conn, "client id").trim_start_matches(':').trim_end().to_owned();
    driver.send(conn, b"multi\r\nlrange l 0 -1\r\nset a 1\r\n");
    driver.line(conn, &format!("client kill id {id} skipme no"));
    driver.line(conn, "set b 2");
    let mut got = driver.line(conn, "exec");
    got += &driver.line(conn, "set c 3");
    assert!(!driver.is_closed(conn));
    got += &rest(&mut driver, conn);
    assert!(driver.is_closed(conn));
    let text = got.strip_prefix("*4\r\n").expect("four replies");
    assert_eq!(elements(text).last(), Some(&"member:19999"));
    // The commands that follow are executed without a reply.
    assert!(text.ends_with("member:19999\r\n+OK\r\n:1\r\n"));
    let other = driver.connect();
    assert_eq!(driver.line(other, "mget a b c"), "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n");
}

#[test]
fn a_message_follows_the_reply() {
    let (mut driver, conn) = filled("");
    let other = driver.connect();
    driver.line(conn, "hello 3");
    driver.line(conn, "subscribe news");
    let mut got = driver.line(conn, "smembers s");
    assert_eq!(driver.line(other, "publish news now"), ":1\r\n");
    got += &rest(&mut driver, conn);
    assert!(got.starts_with("~20000\r\n"));
    let message = ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\nnow\r\n";
    assert!(got.ends_with(message) && got.matches('>').count() == 1);
}

#[test]
fn memory_of_a_long_reply_is_bounded_by_what_is_read() {
    let (mut driver, conn) = filled("");
    driver.line(conn, &format!("set long {}", "x".repeat(8 << 20)));
    driver.clients_do_not_read = true;
    for command in ["get long", "srandmember s -1000000"] {
        driver.line(conn, command);
        driver.pass(Duration::ZERO);
        let waiting = driver.server.outbox(conn).map_or(0, |outbox| outbox.len());
        assert!((1 << 20..2 << 20).contains(&waiting), "{waiting}");
        driver.clients_do_not_read = false;
        driver.drain(conn);
        driver.outputs();
        let got = rest(&mut driver, conn);
        match command {
            "get long" => assert_eq!(got.len(), "$8388608\r\n\r\n".len() + (8 << 20)),
            _ => assert_eq!(elements(&got).len(), 1_000_000),
        }
        driver.clients_do_not_read = true;
    }
}

#[test]
fn further_requests_complete_a_long_reply_which_then_counts_against_limits() {
    for (config, stays) in [("", true), ("client-output-buffer-limit normal 20mb 0 0", false)] {
        let mut driver = Driver::new(config);
        let (conn, other) = (driver.connect(), driver.connect());
        driver.line(other, &format!("set long {}", "x".repeat(4 << 20)));
        driver.clients_do_not_read = true;
        driver.send(conn, &b"get long\r\n".repeat(10));
        driver.pass(Duration::ZERO);
        let waiting = driver.server.outbox(conn).map_or(0, |outbox| outbox.len());
        if !stays {
            assert_eq!(waiting, 0);
            continue;
        }
        assert!(waiting > 36 << 20, "{waiting}");
        driver.clients_do_not_read = false;
        driver.drain(conn);
        driver.outputs();
        let got = rest(&mut driver, conn);
        assert_eq!(got.len(), 10 * ("$4194304\r\n\r\n".len() + (4 << 20)));
    }
}

#[test]
fn a_client_that_disconnects_during_a_long_reply_leaves_nothing_behind() {
    let (mut driver, conn) = filled("");
    let other = driver.connect();
    for kill in [false, true] {
        let reader = driver.connect();
        driver.line(reader, "smembers s");
        if kill {
            driver.line(other, "client kill skipme yes");
        } else {
            driver.input(Input::Closed { conn: reader, error: NetError::Reset });
        }
        driver.pass(Duration::ZERO);
        assert!(!driver.server.service.keyspace.has_pending_frees());
    }
    // No one else refers to the set now, so a change copies nothing: it can be freed in slices.
    driver.line(conn, "del s");
    driver.pass(Duration::ZERO);
    assert!(!driver.server.service.keyspace.has_pending_frees());
}

#[test]
fn a_client_that_half_closes_gets_all_replies() {
    let (mut driver, conn) = filled("");
    let mut got = driver.send(conn, b"smembers s\r\nping\r\n");
    driver.input(Input::Ended { conn });
    assert!(!driver.is_closed(conn));
    got += &rest(&mut driver, conn);
    assert!(driver.is_closed(conn));
    assert_eq!(elements(&got).len(), MEMBERS);
    assert!(got.ends_with("+PONG\r\n"));
}

#[test]
fn a_reply_may_not_be_longer_than_the_limit_of_the_output_buffer() {
    let (mut driver, _) = filled("client-output-buffer-limit normal 100000 0 0");
    for command in ["smembers s", "hrandfield h -999999999", "zrandmember z -9223372036854775807"] {
        let reader = driver.connect();
        driver.line(reader, command);
        driver.pass(Duration::ZERO);
        assert!(driver.is_closed(reader), "{command}");
    }
}

#[test]
fn a_reply_that_certainly_exceeds_the_limit_is_not_started() {
    let (mut driver, conn) = filled("client-output-buffer-limit normal 100000 0 0");
    driver.line(conn, "hset small a b");
    let reader = driver.connect();
    assert_eq!(driver.line(reader, "hrandfield small -999999999"), "");
    assert!(driver.is_closed(reader));
}

#[test]
fn a_suppressed_reply_is_not_written() {
    let (mut driver, conn) = filled("");
    driver.send(conn, b"client reply skip\r\nsmembers s\r\n");
    assert_eq!(driver.line(conn, "ping"), "+PONG\r\n");
}

#[test]
fn the_payload_of_a_large_value_is_made_in_slices() {
    let (mut driver, conn) = filled("");
    let other = driver.connect();
    driver.line(conn, &format!("set text {}", "some-text-".repeat(100_000)));
    for name in ["s", "l", "h", "z", "text"] {
        let value = driver.server.service.keyspace.peek(0, name.as_bytes()).expect("a key");
        let payload = crate::persist::rdb::dump(value.value(), true);
        let whole =
            [format!("${}\r\n", payload.len()).as_bytes(), &payload, b"\r\n+PONG\r\n"].concat();
        let mut twin = driver.clone();
        twin.send(conn, format!("dump {name}\r\nping\r\n").as_bytes());
        twin.line(other, &format!("del {name}"));
        let mut turns = 0;
        while twin.server.poll_timeout().is_some_and(|at| at <= twin.mono) {
            assert_eq!(twin.line(other, "ping"), "+PONG\r\n");
            twin.input(Input::Wake);
            turns += 1;
        }
        assert!(turns > 0, "{name}: {turns}");
        assert!(twin.sent.remove(&conn).expect("a reply") == whole, "{name}");
    }
    // In a transaction, and with CLIENT REPLY OFF.
    driver.send(conn, b"multi\r\ndump s\r\ndump no\r\nexec\r\n");
    let reply = driver.take(conn) + &rest(&mut driver, conn);
    assert!(reply.ends_with("\r\n$-1\r\n"), "{:?}", &reply[reply.len() - 60..]);
    assert_eq!(driver.send(conn, b"client reply off\r\ndump s\r\nclient reply on\r\n"), "+OK\r\n");
}
