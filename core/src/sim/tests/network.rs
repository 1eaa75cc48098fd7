//! Tests of connections, links and network faults.

use super::super::testing::tiny;
use super::super::world::World;
use super::{act, acts, ms, probe};
use crate::time::{Duration, Mono};

const PAIR: &[(&str, &str)] = &[("a", "probe"), ("b", "probe")];

/// A World in which `a` is connected to `b`, over a link of 1 ms without jitter.
fn connected(seed: u64) -> World {
    let mut world = tiny(seed, PAIR);
    acts(&mut world, &["latency a b 1ms 0ms", "bandwidth a b unlimited", "type b listen 7000"]);
    acts(&mut world, &["type a connect b:7000"]);
    assert!(probe(&world, "a").was_told("connected 10.0.0.1:32768"), "{:?}", probe(&world, "a"));
    assert!(probe(&world, "b").was_told("accepted 10.0.0.1:32768"));
    world
}

fn told_at(world: &World, name: &str, text: &str) -> u64 {
    let told = &probe(world, name).told;
    let line = told.iter().find(|line| line.contains(text));
    let line = line.unwrap_or_else(|| panic!("{name} was not told {text}: {told:?}"));
    line.split(' ').next().and_then(|t| t.parse().ok()).expect("a time")
}

#[test]
fn a_handshake_takes_one_and_a_half_round_trips() {
    let mut world = tiny(1, PAIR);
    acts(&mut world, &["latency a b 10ms 0ms", "bandwidth a b unlimited", "type b listen 7000"]);
    let start = world.now().0 / 1_000;
    act(&mut world, "type a connect b:7000");
    world.run_for(ms(100));
    assert_eq!(told_at(&world, "a", "connected") - start, 20_000);
    assert_eq!(told_at(&world, "b", "accepted") - start, 30_000);
}

#[test]
fn data_written_before_the_handshake_is_sent_after_it() {
    let mut world = tiny(1, PAIR);
    acts(&mut world, &["type b listen 7000"]);
    act(&mut world, "type a connect b:7000");
    act(&mut world, "type a send 0 early");
    world.run_for(ms(20));
    assert_eq!(probe(&world, "b").received(0), b"early");
}

#[test]
fn bytes_arrive_in_order_under_jitter_and_loss() {
    let mut world = connected(5);
    acts(&mut world, &["latency a b 1ms 30ms", "loss a b 30%"]);
    let mut expected = String::new();
    for i in 0..100 {
        expected += &format!("<{i}>");
        act(&mut world, &format!("type a send 0 <{i}>"));
        world.run_for(ms(2));
    }
    world.run_for(Duration::from_secs(600));
    assert_eq!(probe(&world, "b").received(0), expected.as_bytes());
    let resent = world.delivered().iter().filter(|d| d.tries > 0).count();
    assert!(resent > 10, "{resent}");
}

#[test]
fn bandwidth_delays_long_messages() {
    let mut world = connected(1);
    act(&mut world, "bandwidth a b 8mbit");
    let start = world.now().0 / 1_000;
    act(&mut world, "type a fill 0 500000");
    world.run_for(Duration::from_secs(2));
    assert_eq!(probe(&world, "b").received(0).len(), 500_000);
    let last = probe(&world, "b").told.last().and_then(|l| l.split(' ').next()?.parse().ok());
    let took = last.unwrap_or(0) - start;
    assert!((500_000..520_000).contains(&took), "a megabyte a second: {took} us");
}

#[test]
fn a_closed_port_refuses_immediately_and_an_unknown_address_is_unreachable() {
    let mut world = tiny(1, PAIR);
    act(&mut world, "type a connect b:7001");
    world.run_for(ms(5));
    assert!(probe(&world, "a").was_told("not connected: Connection refused"));
    act(&mut world, "type a connect 10.9.9.9:7001");
    world.run_for(Duration::from_secs(4));
    assert!(probe(&world, "a").was_told("not connected: No route to host"));
    assert_eq!(world.conns().count(), 0);
}

#[test]
fn connecting_over_a_partition_or_to_a_host_without_power_times_out() {
    for fault in ["partition a | b", "partition-oneway b", "crash b"] {
        let mut world = tiny(1, PAIR);
        acts(&mut world, &["type b listen 7000", fault]);
        let start = world.now();
        act(&mut world, "type a connect b:7000");
        world.run_for(Duration::from_secs(60));
        assert!(!probe(&world, "a").was_told("connected"), "{fault}");
        world.run_for(Duration::from_secs(100));
        let at = told_at(&world, "a", "not connected: Connection timed out");
        assert!(at * 1_000 >= start.0 + 127_000_000_000, "{fault}");
        world.run_for(Duration::from_secs(2_000));
        assert_eq!(world.conns().count(), 0, "{fault}");
    }
}

#[test]
fn a_partition_holds_bytes_back_until_it_heals() {
    for cut in ["partition a", "partition-oneway a | b"] {
        let mut world = connected(1);
        acts(&mut world, &[cut, "type a send 0 hello"]);
        world.run_for(Duration::from_secs(5));
        assert_eq!(probe(&world, "b").received(0), b"", "{cut}");
        assert_eq!(world.in_flight().count(), 1);
        act(&mut world, "heal");
        world.run_for(Duration::from_secs(10));
        assert_eq!(probe(&world, "b").received(0), b"hello", "{cut}");
        assert!(world.delivered().iter().last().is_some_and(|d| d.tries >= 4));
    }
}

#[test]
fn a_one_way_partition_lets_the_other_direction_through() {
    let mut world = connected(1);
    acts(&mut world, &["partition-oneway b | a", "type a send 0 there", "type b send 0 back"]);
    assert_eq!(probe(&world, "b").received(0), b"there");
    assert_eq!(probe(&world, "a").received(0), b"");
    // No acknowledgements arrive: in the end the sender gives up.
    world.run_for(Duration::from_secs(1_000));
    assert!(probe(&world, "a").was_told("closed 0: Connection timed out"));
}

#[test]
fn a_partition_that_lasts_breaks_the_connection() {
    let mut world = connected(1);
    acts(&mut world, &["partition a,b", "partition a | b", "type a send 0 hello"]);
    world.run_for(Duration::from_secs(900));
    assert!(!probe(&world, "a").was_told("closed"));
    world.run_for(Duration::from_secs(200));
    assert!(probe(&world, "a").was_told("closed 0: Connection timed out"));
    // The other end notices when it uses the connection.
    assert!(!probe(&world, "b").was_told("closed"));
    acts(&mut world, &["heal", "type b send 0 x"]);
    assert!(probe(&world, "b").was_told("closed 0: Connection reset by peer"));
    assert_eq!(world.conns().count(), 0);
}

#[test]
fn a_crashed_host_is_silent_and_resets_after_its_return() {
    let mut world = connected(1);
    acts(&mut world, &["crash b", "type a send 0 hello"]);
    world.run_for(Duration::from_secs(3));
    assert!(!probe(&world, "a").was_told("closed"));
    act(&mut world, "restart b");
    world.run_for(Duration::from_secs(10));
    assert!(probe(&world, "a").was_told("closed 0: Connection reset by peer"));
    assert!(probe(&world, "b").was_told("start"), "a new process runs");
    assert!(!probe(&world, "b").was_told("accepted"));
}

#[test]
fn a_killed_process_resets_and_an_exiting_one_closes() {
    let mut world = connected(1);
    acts(&mut world, &["kill b"]);
    assert!(probe(&world, "a").was_told("closed 0: Connection reset by peer"));
    let mut world = connected(1);
    acts(&mut world, &["type b exit 3"]);
    assert!(probe(&world, "a").was_told("ended 0"));
    acts(&mut world, &["type a close 0"]);
    assert_eq!(world.conns().count(), 0);
}

#[test]
fn bytes_for_a_paused_process_pile_up_until_the_window_is_full() {
    let mut world = connected(1);
    acts(&mut world, &["pause b", "type a fill 0 3000000"]);
    world.run_for(Duration::from_secs(60));
    let conn = world.conns().next().expect("the connection");
    assert_eq!(conn.ends[1].unread, 1 << 20);
    assert!(conn.ends[0].blocked);
    assert!(!probe(&world, "a").was_told("drained"));
    act(&mut world, "resume b");
    world.run_for(Duration::from_secs(1));
    assert_eq!(probe(&world, "b").received(0).len(), 3_000_000);
    assert!(probe(&world, "a").was_told("drained 0"));
}

#[test]
fn a_process_that_does_not_read_exerts_the_same_back_pressure() {
    let mut world = connected(1);
    acts(&mut world, &["type b read 0 off", "type a fill 0 3000000"]);
    world.run_for(Duration::from_secs(1));
    assert_eq!(probe(&world, "b").received(0), b"");
    acts(&mut world, &["type b read 0 on"]);
    world.run_for(Duration::from_secs(1));
    assert_eq!(probe(&world, "b").received(0).len(), 3_000_000);
}

#[test]
fn closing_after_sending_delivers_what_was_written() {
    let mut world = connected(1);
    act(&mut world, "type a fill 0 2000000");
    act(&mut world, "type a finish 0");
    world.run_for(Duration::from_secs(1));
    let b = probe(&world, "b");
    assert_eq!(b.received(0).len(), 2_000_000);
    assert!(b.was_told("ended 0"));
    assert!(probe(&world, "a").was_told("closed 0: closed"));
    acts(&mut world, &["type b close 0"]);
    assert_eq!(world.conns().count(), 0);
}

#[test]
fn single_messages_can_be_dropped_delayed_duplicated_held_and_released() {
    let mut world = connected(1);
    let sent = |world: &mut World| {
        act(world, "type a send 0 m");
        world.in_flight().next().expect("a message in flight").id
    };
    let received = |world: &World| probe(world, "b").received(0).len();

    let id = sent(&mut world);
    act(&mut world, &format!("drop {id}"));
    world.run_for(ms(100));
    assert_eq!(received(&world), 0);
    world.run_for(ms(150));
    assert_eq!(received(&world), 1, "TCP sends again after 200 ms");

    let id = sent(&mut world);
    act(&mut world, &format!("delay {id} 50ms"));
    world.run_for(ms(45));
    assert_eq!(received(&world), 1);
    world.run_for(ms(10));
    assert_eq!(received(&world), 2);

    let id = sent(&mut world);
    act(&mut world, &format!("duplicate {id}"));
    world.run_for(ms(10));
    assert_eq!(received(&world), 3, "TCP discards the copy");
    assert!(world.delivered().iter().any(|d| d.id == id && d.duplicate));

    let held = sent(&mut world);
    act(&mut world, &format!("hold {held}"));
    act(&mut world, "type a send 0 n");
    world.run_for(Duration::from_secs(100));
    assert_eq!(received(&world), 3, "what follows waits for what is held");
    act(&mut world, &format!("release {held}"));
    world.run_for(ms(5));
    assert_eq!(probe(&world, "b").received(0), b"mmmmn");

    let gone = format!("drop {held}").parse().map(|action| world.apply(&action));
    let text = gone.unwrap_or(Ok(())).map_or_else(|e| e.to_string(), |()| String::new());
    assert!(text.contains("is not on its way"), "{text}");
}

#[test]
fn a_full_backlog_makes_others_wait() {
    let mut world = tiny(1, PAIR);
    acts(&mut world, &["type b listen 7000", "pause b"]);
    acts(&mut world, &["type a connect b:7000"; 3]);
    let connected = |world: &World| {
        probe(world, "a").told.iter().filter(|line| line.contains(" connected")).count()
    };
    world.run_for(ms(500));
    assert_eq!(connected(&world), 2);
    act(&mut world, "resume b");
    world.run_for(Duration::from_secs(5));
    assert_eq!(connected(&world), 3);
}

#[test]
fn a_stalled_process_gets_its_inputs_afterwards_in_order() {
    let mut world = connected(1);
    acts(&mut world, &["type b wake 100", "type b stall 1000", "type a send 0 x"]);
    acts(&mut world, &["type a close 0"]);
    let before = probe(&world, "b").told.len();
    world.run_for(Duration::from_secs(2));
    let told = &probe(&world, "b").told;
    let after: Vec<&str> =
        told[before..].iter().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
    assert_eq!(after[..2], ["received 0 1", "ended 0"]);
    assert!(after.contains(&"wake"));
}

#[test]
fn ports_and_addresses_are_checked() {
    let mut world = tiny(1, PAIR);
    acts(&mut world, &["type b listen 7000", "run b c probe", "type c listen 7000"]);
    assert!(probe(&world, "c").was_told("not listening: Address already in use"));
    acts(&mut world, &["type c connect 127.0.0.1:7000", "type c send 0 local"]);
    assert_eq!(probe(&world, "b").received(0), b"local");
    assert!(probe(&world, "b").was_told("accepted 127.0.0.1:"));
}

#[test]
fn clocks_are_skewed_and_drift() {
    let mut world = tiny(1, PAIR);
    act(&mut world, "skew a -5s");
    act(&mut world, "drift b +1000ppm");
    let start = world.now();
    world.run_until(start + Duration::from_secs(100));
    let ahead = |name| world.host_named(name).map(|host| host.ahead_us);
    assert_eq!(ahead("a"), Some(-5_000_000));
    assert_eq!(ahead("b"), Some(100_000));
    assert!(world.now() > Mono::ZERO);
}

#[test]
fn an_impossible_action_is_an_error_and_changes_nothing() {
    let mut world = tiny(1, PAIR);
    for (line, words) in [
        ("crash redis-9", "there is no host 'redis-9'; hosts are a, b"),
        ("kill x", "there is no process 'x'; processes are a, b"),
        ("resume a", "a is not paused; pause it first"),
        ("start a", "a is running; stop or kill it first"),
        ("run a b probe", "the name 'b' is taken; choose another one"),
    ] {
        let before = (world.trace_hash(), world.events().next());
        let result = world.apply(&line.parse().expect(line));
        assert_eq!(result.map_err(|e| e.to_string()), Err(words.into()));
        assert_eq!((world.trace_hash(), world.events().next()), before);
    }
    acts(&mut world, &["run a c nonsense"]);
    let failed = world.events().iter().any(
        |e| matches!(&e.kind, crate::sim::EventKind::NotStarted(_, why) if why.contains("nonsense")),
    );
    assert!(failed);
}
