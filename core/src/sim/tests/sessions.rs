//! Tests of sessions: replay, rewind and branches.

use proptest::prelude::*;

use super::super::action::Action;
use super::super::event::EventKind;
use super::super::session::{Future, Record, Session, Step, Timed};
use super::super::testing::{programs, scenario};
use super::{ms, probe};
use crate::time::{Duration, Mono};

const HOSTS: &[(&str, &str)] = &[("a", "probe"), ("b", "probe"), ("c", "echo")];

fn session(seed: u64) -> Session {
    Session::new(scenario(HOSTS), seed, programs)
}

fn action(line: &str) -> Action {
    line.parse().unwrap_or_else(|e| panic!("{line}: {e}"))
}

/// Advances the session and applies an action.
fn then(session: &mut Session, after: Duration, line: &str) {
    let time = session.now() + after;
    session.advance(time, u64::MAX);
    session.act(action(line), Future::Discard).unwrap_or_else(|e| panic!("{line}: {e}"));
}

fn busy(seed: u64) -> Session {
    let mut session = session(seed);
    for line in ["type a connect c:7", "type b listen 9", "type a connect b:9"] {
        then(&mut session, ms(10), line);
    }
    for i in 0..40 {
        then(&mut session, ms(7), &format!("type a send {} message {i}", i % 2));
    }
    session
}

#[test]
fn going_back_and_forth_changes_nothing() {
    let mut session = busy(3);
    session.seek(Mono::ZERO + Duration::from_secs(1));
    let end = session.world().trace_hash();
    let mut hashes = Vec::new();
    for t in (0..1_000).step_by(37) {
        session.seek(Mono::ZERO + ms(t));
        assert_eq!(session.now(), Mono::ZERO + ms(t));
        hashes.push((t, session.world().trace_hash()));
    }
    for (t, hash) in hashes.into_iter().rev() {
        session.seek(Mono::ZERO + ms(t));
        assert_eq!(session.world().trace_hash(), hash, "at {t} ms");
    }
    session.seek(Mono::ZERO + Duration::from_secs(1));
    assert_eq!(session.world().trace_hash(), end);
    assert_eq!(session.horizon(), Mono::ZERO + Duration::from_secs(1));
}

#[test]
fn pieces_of_any_size_lead_to_the_same_end() {
    let record = busy(4).record();
    let end = Mono::ZERO + Duration::from_secs(2);
    let mut whole = Session::from_record(record.clone(), programs);
    whole.advance(end, u64::MAX);
    for piece in [1, 3, 17] {
        let mut pieces = Session::from_record(record.clone(), programs);
        while !pieces.advance(end, piece) {}
        assert_eq!(pieces.world().trace_hash(), whole.world().trace_hash());
    }
    let mut steps = Session::from_record(record, programs);
    while steps.now() < end && steps.step(Step::Event, 1) {}
    steps.advance(end, u64::MAX);
    assert_eq!(steps.world().trace_hash(), whole.world().trace_hash());
}

#[test]
fn a_step_back_leads_to_the_event_before() {
    let mut session = busy(5);
    let mut seen = vec![(session.world().steps(), session.world().trace_hash())];
    while seen.len() < 8 && session.step(Step::Event, 1) {
        seen.push((session.world().steps(), session.world().trace_hash()));
    }
    for pair in seen.windows(2).rev() {
        assert!(session.step_back());
        assert_eq!(session.world().steps(), pair[0].0);
        assert_eq!(session.world().trace_hash(), pair[0].1);
    }
}

#[test]
fn acting_in_the_past_keeps_the_future_as_a_branch_or_forgets_it() {
    let mut session = busy(6);
    session.seek(Mono::ZERO + ms(600));
    let old = session.world().trace_hash();
    session.seek(Mono::ZERO + ms(100));
    assert!(session.is_past());
    session.act(action("crash b"), Future::Keep).expect("b is up");
    assert!(!session.is_past());
    assert_eq!(session.branches().len(), 1);
    session.advance(Mono::ZERO + ms(600), u64::MAX);
    assert_ne!(session.world().trace_hash(), old);
    assert!(session.switch(0));
    assert_eq!(session.now(), Mono::ZERO + ms(100));
    session.seek(Mono::ZERO + ms(600));
    assert_eq!(session.world().trace_hash(), old);
    assert_eq!(session.branches().len(), 1, "the other one is kept now");

    session.seek(Mono::ZERO + ms(50));
    session.act(action("crash b"), Future::Discard).expect("b is up");
    assert_eq!(session.branches().len(), 1);
    assert_eq!(session.horizon(), Mono::ZERO + ms(50));
}

#[test]
fn undoing_an_action_removes_all_its_effects() {
    let mut plain = busy(7);
    plain.seek(Mono::ZERO + Duration::from_secs(1));
    let expected = plain.world().trace_hash();
    let mut session = busy(7);
    session.seek(Mono::ZERO + ms(200));
    session.act(action("partition a"), Future::Keep).expect("a is there");
    let number = session.actions().len() - 1;
    session.seek(Mono::ZERO + Duration::from_secs(1));
    assert!(session.undo(number));
    assert_eq!(session.now(), Mono::ZERO + Duration::from_secs(1));
    assert!(session.switch(0));
    session.seek(Mono::ZERO + Duration::from_secs(1));
    assert_eq!(session.world().trace_hash(), expected);
}

#[test]
fn steps_stop_at_hosts_and_at_changes() {
    let mut session = busy(8);
    session.seek(Mono::ZERO + ms(5));
    let c = session.world().host_named("c").expect("a host").id;
    assert!(session.step(Step::AtHost(c), 1_000));
    assert_eq!(session.world().touched(), Some(c));

    // Lost messages are retransmitted, and are not changes.
    let mut session = busy(8);
    then(&mut session, ms(10), "partition a");
    then(&mut session, ms(1), "type a send 0 unheard");
    let sent = session.now();
    then(&mut session, ms(900), "crash b");
    session.seek(sent);
    let before = session.world().events().next();
    assert!(session.step(Step::Change, 100_000));
    assert_eq!(session.now(), sent + ms(900));
    let mut events = session.world().events().since(before);
    assert!(events.any(|event| matches!(event.kind, EventKind::Lost { .. })));
}

#[test]
fn markers_are_set_at_notable_events() {
    let mut session = busy(9);
    then(&mut session, ms(10), "crash b");
    let known = session.markers().len();
    assert_eq!(known, session.actions().len() + 1, "each action, and the power loss");
    session.seek(Mono::ZERO + ms(20));
    session.seek(Mono::ZERO + ms(900));
    assert_eq!(session.markers().len(), known);
    assert!(session.markers().is_sorted_by_key(|marker| marker.at));
    let mut copy = Session::from_record(session.record(), programs);
    assert_eq!(copy.markers(), []);
    copy.seek(Mono::ZERO + ms(900));
    assert_eq!(copy.markers(), session.markers());
    let crash = session.actions().len() - 1;
    assert!(session.undo(crash));
    assert_eq!(session.markers().len(), known - 2);
}

#[test]
fn a_timed_action_is_read_back() {
    for line in [
        "12.5s crash a",
        "1ms type a send 0 x  y",
        "2s write a \"/it's a file\" port 6379\\n",
        "3.000000001s heal",
    ] {
        let timed: Timed = line.parse().expect(line);
        assert_eq!(timed.to_string(), line);
    }
    let wrong = "soon crash a".parse::<Timed>().map_err(|e| e.to_string());
    assert_eq!(wrong, Err("'soon' is not a time; write it like 12.5s crash redis-1".into()));
}

/// Random actions of every kind, most of them possible.
fn any_action() -> impl Strategy<Value = Action> {
    let host = prop_oneof![Just("a"), Just("b"), Just("c")];
    let lines = (0..44u32, host.clone(), host, 0..60u64).prop_map(|(kind, x, y, n)| match kind {
        0 => format!("crash {x}"),
        1 => format!("restart {x}"),
        2 => format!("restart {x} --no-disk"),
        3 => format!("pause {x}"),
        4 | 5 => format!("resume {x}"),
        6 => format!("kill {x}"),
        7 => format!("start {x}"),
        8 => format!("stop {x}"),
        9 => format!("partition {x} | {y}"),
        10 => format!("partition-oneway {x}"),
        11 | 12 => "heal".into(),
        13 => format!("latency {x} {y} {n}ms {n}ms"),
        14 => format!("loss {x} * {n}%"),
        15 => format!("bandwidth {x} {y} {}kbit", n + 1),
        16 => format!("skew {x} -{n}s"),
        17 => format!("drift {x} +{n}ppm"),
        18 => format!("disk {x} full"),
        19 => format!("disk {x} ok"),
        20 => format!("disk {x} slow {n}ms"),
        21 => format!("drop #{n}"),
        22 => format!("delay #{n} {n}ms"),
        23 => format!("duplicate #{n}"),
        24 => format!("hold #{n}"),
        25 => format!("release #{n}"),
        26 => format!("run {x} p{n} probe"),
        27 => format!("interrupt {x}"),
        28 => format!("type {x} listen {n}"),
        29..=32 => format!("type {x} connect c:7"),
        33..=36 => format!("type {x} send {} bytes", n % 4),
        37 => format!("type {x} fill {} {}", n % 3, n * 50_000),
        38 => format!("type {x} close {}", n % 3),
        39 => format!("type {x} finish {}", n % 3),
        40 => format!("type {x} stall {n}"),
        41 => format!("type {x} open 1 /f"),
        42 => format!("type {x} append 1 {n}"),
        _ => format!("type {x} sync 1"),
    });
    lines.prop_map(|line| action(&line))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_same_session_is_the_same_every_time(
        seed: u64,
        actions in prop::collection::vec((0..3_000u64, any_action()), 1..60),
        cut in 0..180_000u64,
    ) {
        let mut at = Mono::ZERO;
        let mut timed = Vec::new();
        for (gap, action) in actions {
            at += ms(gap);
            timed.push(Timed { at, action });
        }
        let end = at + Duration::from_secs(5);
        let record = Record { seed, scenario: scenario(HOSTS), actions: timed };
        let mut first = Session::from_record(record.clone(), programs);
        first.advance(end, u64::MAX);
        let hash = first.world().trace_hash();
        let mut second = Session::from_record(record.clone(), programs);
        second.advance(end, u64::MAX);
        prop_assert_eq!(second.world().trace_hash(), hash, "the same seed");
        second.seek(Mono::ZERO + ms(cut % (end.as_millis() + 1)));
        let mut copy = second.clone();
        second.advance(end, 7);
        second.seek(end);
        prop_assert_eq!(second.world().trace_hash(), hash, "rewound");
        copy.advance(end, u64::MAX);
        prop_assert_eq!(copy.world().trace_hash(), hash, "cloned");
        let restored: Record =
            serde_json::from_str(&serde_json::to_string(&record).expect("plain data")).expect("it");
        prop_assert_eq!(restored, record);
    }

    #[test]
    fn actions_are_read_back_from_their_text(action in any_action()) {
        prop_assert_eq!(action.to_string().parse::<Action>().ok(), Some(action));
    }

    #[test]
    fn any_text_is_an_action_or_an_error(text in "\\PC{0,60}", verb in 0..24usize) {
        let verbs = super::super::ACTION_USAGES;
        let _ = text.parse::<Action>();
        let line = format!("{} {text}", verbs[verb % verbs.len()].0);
        if let Ok(action) = line.parse::<Action>() {
            prop_assert_eq!(action.to_string().parse::<Action>().ok(), Some(action));
        }
    }
}

#[test]
fn typed_input_is_replayed_after_a_rewind() {
    let mut session = session(1);
    then(&mut session, ms(5), "type a nonsense");
    session.seek(Mono::ZERO);
    session.seek(Mono::ZERO + ms(6));
    assert!(probe(session.world(), "a").was_told("unknown: nonsense"));
}
