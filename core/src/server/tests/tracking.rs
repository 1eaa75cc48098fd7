//! Client-side caching: which invalidations clients get, and when.

use super::*;

/// An invalidation of one key in RESP3.
fn told(key: &str) -> String {
    format!(">2\r\n$10\r\ninvalidate\r\n*1\r\n${}\r\n{key}\r\n", key.len())
}

const ALL: &str = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

impl Driver {
    /// A RESP3 connection that has sent `line` and got the reply.
    fn resp3(&mut self, line: &str) -> ConnId {
        let conn = self.connect();
        self.line(conn, "hello 3");
        assert_eq!(self.line(conn, line), "+OK\r\n", "{line}");
        conn
    }

    /// A field of INFO.
    fn info_field(&self, field: &str) -> String {
        let text = self.server.info(&["stats", "clients"]);
        let found = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        found.unwrap_or_default().to_owned()
    }
}

#[test]
fn a_reader_gets_one_invalidation_of_a_changed_key() {
    let mut d = Driver::new("");
    let (reader, writer) = (d.resp3("client tracking on"), d.connect());
    d.line(writer, "mset a 1 b 2");
    d.line(reader, "mget a b");
    d.line(reader, "get a");
    assert_eq!(d.info_field("tracking_total_keys"), "2");
    assert_eq!(d.line(writer, "set a 2"), "+OK\r\n");
    assert_eq!(d.take(reader), told("a"));
    d.line(writer, "set a 3");
    assert_eq!(d.take(reader), "", "it has not read it again");
    d.line(reader, "client tracking off");
    d.line(writer, "set b 3");
    assert_eq!(d.take(reader), "");
    assert_eq!(d.info_field("tracking_total_keys"), "0");
    assert_eq!(d.info_field("tracking_clients"), "0");
}

#[test]
fn own_invalidations_follow_the_reply() {
    let mut d = Driver::new("");
    let conn = d.resp3("client tracking on");
    d.line(conn, "mset a 1 b 2");
    d.line(conn, "mget a b");
    assert_eq!(d.line(conn, "incr a"), format!(":2\r\n{}", told("a")));
    d.line(conn, "multi");
    d.line(conn, "incr b");
    d.line(conn, "get a");
    assert_eq!(d.line(conn, "exec"), format!("*2\r\n:3\r\n$1\r\n2\r\n{}", told("b")));
    let script = "eval \"redis.call('get','b') return redis.call('set','a','x')\" 0";
    assert_eq!(d.line(conn, script), format!("+OK\r\n{}", told("a")));
    assert_eq!(d.line(conn, "flushdb"), format!("+OK\r\n{ALL}"));
    assert_eq!(d.info_field("tracking_total_items"), "0");
}

#[test]
fn expired_and_evicted_keys_are_invalidated() {
    let mut d = Driver::new("");
    let reader = d.resp3("client tracking on");
    d.line(reader, "set a 1 px 100");
    d.line(reader, "get a");
    d.pass(Duration::from_millis(200));
    assert_eq!(d.take(reader), told("a"));
    d.line(reader, "set b 1 ex 1000");
    d.line(reader, "get b");
    let full = d.line(reader, "config set maxmemory-policy volatile-ttl maxmemory 1");
    assert_eq!(full, format!("+OK\r\n{}", told("b")));
}

#[test]
fn bcast_sends_by_prefix_and_noloop_skips_own_changes() {
    let mut d = Driver::new("");
    let all = d.resp3("client tracking on bcast");
    let some = d.resp3("client tracking on bcast noloop prefix user: prefix item:");
    assert_eq!(d.info_field("tracking_total_prefixes"), "3");
    let writer = d.connect();
    d.line(writer, "mset user:1 a other b user:0 c");
    let list = |keys: &[&str]| {
        let keys: String = keys.iter().map(|k| format!("${}\r\n{k}\r\n", k.len())).collect();
        keys
    };
    let seen = d.take(all);
    assert_eq!(
        seen,
        format!(">2\r\n$10\r\ninvalidate\r\n*3\r\n{}", list(&["other", "user:0", "user:1"]))
    );
    assert_eq!(
        d.take(some),
        format!(">2\r\n$10\r\ninvalidate\r\n*2\r\n{}", list(&["user:0", "user:1"]))
    );
    assert_eq!(d.line(some, "set item:1 x px 10"), "+OK\r\n");
    assert_eq!(d.take(all), told("item:1"));
    d.pass(Duration::from_millis(50));
    assert_eq!(d.take(some), told("item:1"), "it was not the one that let it expire");
    assert_eq!(d.line(some, "client tracking off"), "+OK\r\n");
    assert_eq!(d.info_field("tracking_total_prefixes"), "1");
}

#[test]
fn client_caching_applies_to_one_command_or_transaction() {
    let mut d = Driver::new("");
    let (opt_in, writer) = (d.resp3("client tracking on optin"), d.connect());
    d.line(opt_in, "get a");
    d.line(opt_in, "client caching yes");
    d.line(opt_in, "client id");
    d.line(opt_in, "get b");
    d.line(opt_in, "get c");
    d.line(writer, "mset a 1 b 1 c 1");
    assert_eq!(d.take(opt_in), told("b"));
    d.line(opt_in, "client caching yes");
    d.line(opt_in, "multi");
    d.line(opt_in, "get a");
    d.line(opt_in, "get c");
    d.line(opt_in, "exec");
    d.line(opt_in, "get b");
    d.line(writer, "mset a 1 b 1 c 1");
    assert_eq!(d.take(opt_in), told("a") + &told("c"));
    let opt_out = d.resp3("client tracking on optout");
    d.line(opt_out, "client caching no");
    d.line(opt_out, "nonsense");
    d.line(opt_out, "get a");
    d.line(opt_out, "client caching no");
    d.line(opt_out, "get b");
    d.line(writer, "mset a 1 b 1");
    assert_eq!(d.take(opt_out), "", "an unknown command is none");
}

#[test]
fn redirected_invalidations_arrive_as_messages() {
    let mut d = Driver::new("");
    let (receiver, reader, writer) = (d.connect(), d.connect(), d.connect());
    let id = d.line(receiver, "client id")[1..].trim_end().to_owned();
    assert_eq!(d.line(reader, &format!("client tracking on redirect {id}")), "+OK\r\n");
    d.line(reader, "mget a b");
    d.line(writer, "set b 1");
    assert_eq!(d.take(receiver), "", "it does not listen");
    d.line(receiver, "subscribe __redis__:invalidate");
    d.line(writer, "set a 1");
    let message = "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";
    assert_eq!(d.take(receiver), format!("{message}*1\r\n$1\r\na\r\n"));
    d.line(writer, "flushall");
    assert_eq!(d.take(receiver), format!("{message}$-1\r\n"));
    assert_eq!(d.take(reader), "");
    d.line(reader, "hello 3");
    d.line(reader, "get a");
    d.line(receiver, "quit");
    d.line(writer, "set a 2");
    let broken = format!(">2\r\n$21\r\ntracking-redir-broken\r\n:{id}\r\n");
    assert_eq!(d.take(reader), broken);
    assert!(d.line(reader, "client info").contains(" flags=tR "));
    assert!(d.line(reader, "client trackinginfo").contains("broken_redirect"));
}

#[test]
fn the_tracking_table_keeps_its_limit() {
    let mut d = Driver::new("tracking-table-max-keys 3");
    let (reader, other) = (d.resp3("client tracking on"), d.connect());
    for n in 0..10 {
        d.line(reader, &format!("get key:{n}"));
    }
    let told_of = d.take(reader).matches("invalidate").count();
    assert_eq!(d.info_field("tracking_total_keys"), "3");
    d.line(other, "config set tracking-table-max-keys 1");
    d.pass(Duration::from_millis(1));
    assert_eq!(d.info_field("tracking_total_keys"), "1");
    assert_eq!(d.take(reader).matches("invalidate").count(), 2, "{told_of} before");
}

#[test]
fn an_invalidation_follows_the_reply_of_a_served_blocked_client() {
    let mut d = Driver::new("");
    let (waiting, writer) = (d.resp3("client tracking on"), d.connect());
    d.line(writer, "rpush to x");
    d.line(waiting, "lrange to 0 -1");
    assert_eq!(d.line(waiting, "blmove from to left left 0"), "");
    d.line(writer, "rpush from y");
    assert_eq!(d.take(waiting), format!("$1\r\ny\r\n{}", told("to")));
}

#[test]
fn clients_that_disconnect_or_reset_track_no_more() {
    let mut d = Driver::new("");
    let (reader, leaving, writer) =
        (d.resp3("client tracking on"), d.resp3("client tracking on bcast"), d.connect());
    d.line(reader, "get a");
    d.line(reader, "reset");
    d.line(leaving, "quit");
    assert_eq!(d.info_field("tracking_clients"), "0");
    assert_eq!(d.info_field("tracking_total_prefixes"), "0");
    d.line(writer, "set a 1");
    assert_eq!((d.take(reader), d.take(leaving)), (String::new(), String::new()));
    assert!(!d.server.service.consumers.watching, "without a client that tracks, nothing is told");
}
