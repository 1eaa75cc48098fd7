use super::*;
use crate::machine::{Address, Close, ConnId, Endpoint, Input, NetError, Output};
use crate::resp::value::Value;
use crate::time::{Duration, Mono};

/// Connections keyed by a letter, with numbered requests.
type Letters = Peers<char, u32>;

fn address(port: u16) -> Endpoint {
    Endpoint::Ip(([127, 0, 0, 1], port).into())
}

fn at(ms: u64) -> Mono {
    Mono(ms * 1_000_000)
}

fn config() -> PeerConfig {
    PeerConfig::new(address(6379))
}

fn outputs(peers: &mut Letters) -> Vec<Output> {
    core::iter::from_fn(|| peers.poll_output()).collect()
}

fn events(peers: &mut Letters) -> Vec<(char, Event<u32>)> {
    core::iter::from_fn(|| peers.poll_event()).collect()
}

/// The id under which the driver was asked to connect.
fn asked(peers: &mut Letters) -> ConnId {
    let asked = outputs(peers).into_iter().find_map(|output| match output {
        Output::Connect { conn, .. } => Some(conn),
        _ => None,
    });
    asked.expect("a connection is asked for")
}

fn connected(peers: &mut Letters, ms: u64, conn: ConnId) {
    let input = Input::Connected { conn, local: address(40_000), peer: address(6379) };
    assert!(peers.handle(at(ms), &input));
}

fn received(peers: &mut Letters, ms: u64, conn: ConnId, bytes: &[u8]) {
    assert!(peers.handle(at(ms), &Input::Received { conn, bytes }));
}

fn sent(peers: &mut Letters, conn: ConnId) -> String {
    let outbox = peers.outbox(conn).expect("an outbox");
    let bytes: Vec<u8> = outbox.slices().flatten().copied().collect();
    outbox.consume(bytes.len());
    String::from_utf8(bytes).expect("text")
}

/// An established connection without a preamble.
fn up(config: PeerConfig) -> (Letters, ConnId) {
    let mut peers = Letters::new();
    peers.connect(at(0), 'a', config);
    let conn = asked(&mut peers);
    connected(&mut peers, 0, conn);
    outputs(&mut peers);
    events(&mut peers);
    (peers, conn)
}

fn ok(token: u32, value: Value, ms: u64) -> (char, Event<u32>) {
    ('a', Event::Reply { token, value, took: Duration::from_millis(ms) })
}

#[test]
fn requests_made_while_connecting_are_sent_after_the_preamble() {
    let mut peers = Letters::new();
    let preamble = Preamble::new().auth(None, b"secret").select(2).name("me");
    peers.connect(at(0), 'a', PeerConfig { preamble, ..config() });
    let conn = asked(&mut peers);
    peers.request(at(1), &'a', &["PING"], 7).expect("taken");
    assert_eq!(outputs(&mut peers), [], "nothing can be sent yet");
    connected(&mut peers, 5, conn);
    assert_eq!(outputs(&mut peers), [Output::Send { conn }]);
    assert_eq!(
        sent(&mut peers, conn),
        "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n\
         *3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$2\r\nme\r\n*1\r\n$4\r\nPING\r\n"
    );
    received(&mut peers, 6, conn, b"+OK\r\n+OK\r\n-ERR no names here\r\n+PO");
    received(&mut peers, 9, conn, b"NG\r\n");
    let refused = Event::Refused { command: b"CLIENT".into(), error: b"ERR no names here".into() };
    let up = Event::Connected { local: address(40_000), peer: address(6379) };
    let pong = ok(7, Value::Simple(b"PONG".into()), 8);
    assert_eq!(events(&mut peers), [('a', up), ('a', refused), pong]);
}

#[test]
fn replies_are_matched_to_requests_in_order() {
    let (mut peers, conn) = up(config());
    for token in 1..=3 {
        peers.request(at(1), &'a', &["GET", "k"], token).expect("taken");
    }
    received(&mut peers, 2, conn, b":1\r\n-ERR two\r\n");
    assert_eq!(
        events(&mut peers),
        [ok(1, Value::Integer(1), 1), ok(2, Value::Error(b"ERR two".into()), 1)]
    );
    let peer = peers.get(&'a').expect("known");
    assert_eq!((peer.pending(), peer.in_flight().next().map(|w| w.token)), (1, Some(3)));
    assert_eq!((peer.tally().requests, peer.tally().replies, peer.tally().errors), (3, 2, 1));
    assert!(peers.handle(at(3), &Input::Closed { conn, error: NetError::Reset }));
    let reason = CloseReason::Lost(NetError::Reset);
    assert_eq!(events(&mut peers), [('a', Event::Closed { reason, lost: vec![3] })]);
    assert_eq!(peers.request(at(4), &'a', &["PING"], 4), Err(RequestError::Down));
}

#[test]
fn published_messages_are_separated_from_replies() {
    let (mut peers, conn) = up(config());
    peers.subscribe(&'a', b"SUBSCRIBE", &["news"]).expect("taken");
    peers.request(at(1), &'a', &["PING"], 1).expect("taken");
    received(
        &mut peers,
        2,
        conn,
        b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n\
          *2\r\n$4\r\npong\r\n$0\r\n\r\n",
    );
    let word = |text: &str| Value::bulk(text.as_bytes());
    let confirmed = Event::Push(vec![word("subscribe"), word("news"), Value::Integer(1)]);
    let message = Event::Push(vec![word("message"), word("news"), word("hi")]);
    let pong = ok(1, Value::Array(vec![word("pong"), word("")]), 1);
    assert_eq!(events(&mut peers), [('a', confirmed), ('a', message), pong]);
}

#[test]
fn a_failed_auth_closes_the_connection() {
    let mut peers = Letters::new();
    let preamble = Preamble::new().auth(Some(b"app"), b"wrong");
    peers.connect(at(0), 'a', PeerConfig { preamble, ..config() });
    let conn = asked(&mut peers);
    connected(&mut peers, 1, conn);
    peers.request(at(1), &'a', &["GET", "k"], 1).expect("taken");
    events(&mut peers);
    received(&mut peers, 2, conn, b"-WRONGPASS no\r\n-NOAUTH Authentication required.\r\n");
    let reason = CloseReason::Refused { command: b"AUTH".into(), error: b"WRONGPASS no".into() };
    assert_eq!(reason.to_string(), "AUTH failed: WRONGPASS no");
    assert_eq!(events(&mut peers), [('a', Event::Closed { reason, lost: vec![1] })]);
    assert!(outputs(&mut peers).contains(&Output::Close { conn, how: Close::Now }));
}

#[test]
fn reconnecting_backs_off_exponentially() {
    let mut peers = Letters::new();
    let ms = Duration::from_millis;
    let backoff = Some(Backoff { first: ms(100), longest: ms(300) });
    peers.connect(at(0), 'a', PeerConfig { backoff, ..config() });
    let mut now = 0;
    for delay in [100, 200, 300, 300] {
        let conn = asked(&mut peers);
        assert!(peers.handle(at(now), &Input::ConnectFailed { conn, error: NetError::Refused }));
        assert_eq!(peers.poll_timeout(), Some(at(now + delay)));
        now += delay;
        peers.wake(at(now));
    }
    let conn = asked(&mut peers);
    connected(&mut peers, now, conn);
    assert!(peers.handle(at(now), &Input::Ended { conn }));
    assert_eq!(peers.poll_timeout(), Some(at(now + 100)), "success makes it begin anew");
    assert_eq!(peers.get(&'a').map(|peer| peer.tally().failures), Some(5));
}

#[test]
fn connecting_and_replies_time_out() {
    let timeout = Some(Duration::from_millis(50));
    let config = PeerConfig { connect_timeout: timeout, reply_timeout: timeout, ..config() };
    let mut peers = Letters::new();
    peers.connect(at(0), 'a', config.clone());
    peers.wake(at(49));
    assert_eq!(events(&mut peers), []);
    peers.wake(at(50));
    let closed = |reason, lost| ('a', Event::Closed { reason, lost });
    assert_eq!(events(&mut peers), [closed(CloseReason::ConnectTimeout, vec![])]);

    let (mut peers, conn) = up(config);
    assert_eq!(peers.poll_timeout(), None, "nobody waits");
    peers.request(at(100), &'a', &["GET", "k"], 1).expect("taken");
    peers.request(at(120), &'a', &["GET", "k"], 2).expect("taken");
    received(&mut peers, 149, conn, b"$-1\r\n");
    events(&mut peers);
    peers.wake(at(169));
    assert_eq!(events(&mut peers), []);
    peers.wake(at(170));
    assert_eq!(events(&mut peers), [closed(CloseReason::ReplyTimeout, vec![2])]);
}

#[test]
fn a_full_outbox_refuses_requests() {
    let (mut peers, conn) = up(PeerConfig { outbox_limit: 20, ..config() });
    peers.request(at(1), &'a', &["SET", "k", "a longer value"], 1).expect("taken");
    let refused = peers.request(at(1), &'a', &["PING"], 2);
    assert_eq!(refused, Err(RequestError::OutboxFull));
    sent(&mut peers, conn);
    peers.request(at(2), &'a', &["PING"], 3).expect("taken when there is room again");
}

#[test]
fn invalid_protocol_closes_the_connection() {
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"+OK\r\n"] {
        let (mut peers, conn) = up(config());
        received(&mut peers, 1, conn, bytes);
        let events = events(&mut peers);
        let [('a', Event::Closed { reason: CloseReason::Protocol(_), .. })] = events.as_slice()
        else {
            panic!("{events:?}");
        };
    }
}

#[test]
fn inputs_reach_the_right_connection() {
    let mut peers = Letters::new();
    peers.connect(at(0), 'a', config());
    peers.connect(at(0), 'b', config());
    let conns: Vec<ConnId> = outputs(&mut peers)
        .into_iter()
        .filter_map(|output| match output {
            Output::Connect { conn, .. } => Some(conn),
            _ => None,
        })
        .collect();
    let [a, b] = conns[..] else { panic!("{conns:?}") };
    connected(&mut peers, 1, b);
    assert!(peers.get(&'b').is_some_and(Peer::is_up));
    assert!(!peers.get(&'a').is_some_and(Peer::is_up));
    peers.remove(&'a');
    assert!(!peers.handle(at(2), &Input::Received { conn: a, bytes: b"+OK\r\n" }));
    assert!(peers.outbox(a).is_none());
    let own = peers.next_conn();
    assert!(own > b, "names are never given out twice");
    assert!(!peers.handle(at(2), &Input::Ended { conn: own }), "another room's connection");
}

#[test]
fn host_names_are_resolved_by_the_driver() {
    let mut peers = Letters::new();
    let to = Address::Name { host: "redis-1".into(), port: 6379 };
    peers.connect(at(0), 'a', PeerConfig::new(to.clone()));
    let conn = ConnId::connected(0);
    assert_eq!(outputs(&mut peers), [Output::Connect { conn, to, from: None }]);
    let failed = Input::ConnectFailed { conn, error: NetError::UnknownName };
    assert!(peers.handle(at(1), &failed));
    let reason = CloseReason::ConnectFailed(NetError::UnknownName);
    assert_eq!(reason.to_string(), "Name or service not known");
    assert_eq!(events(&mut peers), [('a', Event::Closed { reason, lost: vec![] })]);
}
