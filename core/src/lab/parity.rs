//! A session with faults of every kind. The tests run it natively and in a browser and compare the
//! hashes, which have to be equal.

use crate::sim::{Record, Session, Timed};
use crate::time::{Duration, Mono};

use super::programs::programs;
use super::topology::sandbox;

/// The duration of the session.
pub const LENGTH: Duration = Duration::from_secs(30);

/// The actions of the session with their times.
const ACTIONS: &str = "\
    50ms run client-1 t1 redis-cli -h redis-1
    100ms type t1 set greeting hello
    110ms type t1 get greeting
    120ms type t1 client list
    130ms type t1 info
    1s latency redis-1 client-1 20ms 15ms
    1.5s loss redis-2 client-2 20%
    2s bandwidth redis-3 client-3 64kbit
    2.5s type traffic-3 rate 200
    3s skew redis-1 +5s
    3s drift redis-2 -200ppm
    4s partition redis-1 | client-1
    4.1s type t1 incr counter
    5s add-host desk
    5.1s login desk shell 80 24
    5.2s keys shell sleep 1 & ls -l / | sort > out; redis-cli -h redis-1 get greeting; ps -ef\\r
    5.5s resize shell 100 30
    6s heal
    6.5s partition-oneway client-2 | redis-2
    7.5s heal redis-2 | client-2
    7.8s write redis-1 /data/note kept
    7.9s reload redis-1
    8s pause redis-3
    10s resume redis-3
    11s crash redis-2
    13s restart redis-2
    14s kill redis-1:6379
    14.2s type t1 ping
    15s start redis-1:6379
    15.5s type t1 ping
    16s stop redis-3
    17s start redis-3
    18s disk redis-1 full
    18.1s disk redis-2 fail-syncs
    18.2s disk redis-3 slow 30ms
    18.5s type t1 config rewrite
    19s disk redis-1 ok
    20s restart redis-3 --no-disk
    21s loss * * 2%
    22s interrupt t1
    23s loss * * 0%
";

/// The faults that hit single messages.
const TO_MESSAGES: [&str; 4] = ["drop", "duplicate", "delay", "hold"];

/// Runs the session to its end.
pub fn session(seed: u64) -> Session {
    let timed = |line: &str| line.parse::<Timed>().ok();
    let record =
        Record { seed, scenario: sandbox(3), actions: ACTIONS.lines().filter_map(timed).collect() };
    let mut session = Session::from_record(record, programs);
    let end = Mono::ZERO + LENGTH;
    session.advance(Mono::ZERO + Duration::from_secs(24), u64::MAX);
    // Which messages are in flight depends on everything before, so the faults on messages are
    // chosen along the way.
    for round in 0..24 {
        let flying = session.world().in_flight().map(|message| message.id).next();
        if let Some(message) = flying {
            let verb = TO_MESSAGES[round % TO_MESSAGES.len()];
            let time = if verb == "delay" { " 70ms" } else { "" };
            let action = format!("{verb} {message}{time}").parse();
            let _ = action.map(|action| session.act(action, crate::sim::Future::Discard));
        }
        let next = session.now() + Duration::from_millis(200);
        session.advance(next, u64::MAX);
        let held = session
            .world()
            .in_flight()
            .find(|message| matches!(message.flight, crate::sim::Flight::Held { .. }));
        if let Some(message) = held.map(|message| message.id) {
            let action = format!("release {message}").parse();
            let _ = action.map(|action| session.act(action, crate::sim::Future::Discard));
        }
    }
    session.advance(end, u64::MAX);
    session
}

/// The hash over all events of the session, with a rewind in between that must not change it.
pub fn parity_hash() -> u64 {
    let mut session = session(7);
    let end = session.now();
    session.seek(Mono::ZERO + LENGTH / 2);
    session.seek(end);
    session.world().trace_hash()
}
