//! Effects of the commands on collections besides their replies: on replicas, subscribers and
//! blocked clients.

use super::effects::Consumers;
use super::*;
use crate::machine::Outbox;
use crate::resp::Proto;
use crate::resp::reply::{Reply, Scratch};
use crate::resp::request::OwnedArgs;
use crate::rng::Rng;
use crate::store::Keyspace;
use crate::time::{Mono, Now, Wall};

struct Fixture {
    keyspace: Keyspace,
    rng: Rng,
    config: DataConfig,
    proto: Proto,
}

/// The result of one command.
struct Outcome {
    reply: String,
    propagated: Vec<String>,
    events: Vec<String>,
    ready: Vec<String>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            keyspace: Keyspace::new(16, 1),
            rng: Rng::new(1),
            config: DataConfig::default(),
            proto: Proto::Resp2,
        }
    }

    fn run(&mut self, line: &str) -> Outcome {
        let args: OwnedArgs = line.split(' ').collect();
        let name = line.split(' ').next().unwrap_or_default().to_lowercase();
        let tables =
            [lists::ROWS, sets::ROWS, hashes::ROWS, zsets::ROWS, bitmaps::ROWS, sort::ROWS];
        let row = tables.into_iter().flatten().find(|row| row.meta.name == name).expect("a row");
        assert!(row.meta.takes(args.as_args().len()), "{line}");
        let mut effects = Effects::default();
        effects.begin(Consumers {
            propagation: true,
            watching: true,
            blocked: true,
            events: u16::MAX,
        });
        let (mut out, mut scratch) = (Outbox::default(), Scratch::default());
        let mut ctx = Ctx {
            now: Now::instantaneous(Mono::ZERO, Wall(0)),
            keyspace: &mut self.keyspace,
            db: 0,
            args: args.as_args(),
            reply: Reply::new(&mut out, &mut scratch, self.proto),
            effects: &mut effects,
            rng: &mut self.rng,
            config: &self.config,
            caller: Caller::default(),
            wait: None,
            rest: None,
            remark: None,
        };
        if let Err(error) = (row.handler)(&mut ctx) {
            ctx.reply.error(error.as_bytes());
        }
        while ctx.rest.as_mut().is_some_and(|rest| !rest.write(&mut ctx.reply, ctx.rng)) {}
        effects.finish(0, args.as_args());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Outcome {
            reply: text(&out.slices().flatten().copied().collect::<Vec<_>>()),
            propagated: effects
                .take_commands()
                .iter()
                .map(|c| c.args.as_args().iter().map(text).collect::<Vec<_>>().join(" "))
                .collect(),
            events: effects
                .take_events()
                .iter()
                .map(|event| format!("{} {}", event.name, text(&event.key)))
                .collect(),
            ready: effects.take_ready().iter().map(|(_, key)| text(key)).collect(),
        }
    }

    /// Asserts that replicas get `propagated` and subscribers `events`.
    fn tells(&mut self, line: &str, propagated: &[&str], events: &[&str]) {
        let outcome = self.run(line);
        assert_eq!(outcome.propagated, propagated, "{line}: {}", outcome.reply);
        assert_eq!(outcome.events, events, "{line}: {}", outcome.reply);
    }
}

#[test]
fn random_commands_are_propagated_by_their_result() {
    let mut bench = Fixture::new();
    bench.run("SADD s a b c");
    let popped = bench.run("SPOP s");
    let member = popped.reply.split("\r\n").nth(1).expect("a member");
    assert_eq!(popped.propagated, [format!("SREM s {member}")]);
    bench.tells("SPOP s 10", &["DEL s"], &["spop s", "del s"]);
    bench.tells("SPOP s 10", &[], &[]);
    bench.run("ZADD z 1 a 2 b");
    bench.tells("ZRANDMEMBER z 5", &[], &[]);
    bench.tells("HINCRBYFLOAT h f 0.1", &["HSET h f 0.1"], &["new h", "hincrbyfloat h"]);
}

#[test]
fn commands_on_several_keys_are_propagated_for_the_changed_key() {
    let mut bench = Fixture::new();
    bench.run("RPUSH l 1 2 3");
    bench.tells("LMPOP 2 none l LEFT COUNT 2", &["LPOP l 2"], &["lpop l"]);
    bench.tells("LMPOP 2 none l RIGHT COUNT 9", &["RPOP l 1"], &["rpop l", "del l"]);
    bench.run("ZADD z 1 a 2 b");
    bench.tells("ZMPOP 2 none z MAX", &["ZPOPMAX z 1"], &["zpopmax z"]);
}

#[test]
fn the_last_element_takes_the_key_with_it() {
    for (fill, empty, events) in [
        ("RPUSH k a", "LPOP k", ["lpop k", "del k"]),
        ("RPUSH k a a", "LREM k 0 a", ["lrem k", "del k"]),
        ("RPUSH k a", "LTRIM k 1 0", ["ltrim k", "del k"]),
        ("SADD k a", "SREM k a", ["srem k", "del k"]),
        ("HSET k a b", "HDEL k a", ["hdel k", "del k"]),
        ("ZADD k 1 a", "ZREM k a", ["zrem k", "del k"]),
        ("ZADD k 1 a", "ZREMRANGEBYSCORE k 0 5", ["zremrangebyscore k", "del k"]),
        ("ZADD k 1 a", "ZPOPMIN k 7", ["zpopmin k", "del k"]),
    ] {
        let mut bench = Fixture::new();
        bench.run(fill);
        bench.tells(empty, &[empty], &events);
        assert!(bench.keyspace.db(0).is_empty(), "{empty}");
    }
}

#[test]
fn a_move_is_reported_for_both_keys() {
    let mut bench = Fixture::new();
    bench.run("RPUSH a 1");
    let moved = bench.run("LMOVE a b LEFT RIGHT");
    assert_eq!(moved.propagated, ["LMOVE a b LEFT RIGHT"]);
    assert_eq!(moved.events, ["new b", "rpush b", "lpop a", "del a"]);
    assert_eq!(moved.ready, ["b"]);
    bench.run("SADD s x");
    bench.tells("SMOVE s t x", &["SMOVE s t x"], &["srem s", "del s", "new t", "sadd t"]);
}

#[test]
fn commands_that_fill_a_key_wake_blocked_clients() {
    let mut bench = Fixture::new();
    for line in ["LPUSH a 1", "ZADD b 1 m", "SORT a STORE c", "ZUNIONSTORE d 1 b"] {
        let ready = bench.run(line).ready;
        assert_eq!(ready.len(), 1, "{line}");
    }
}

#[test]
fn commands_without_effect_report_nothing() {
    let mut bench = Fixture::new();
    bench.run("SADD s a");
    bench.run("ZADD z 1 a");
    bench.run("HSET h f v");
    for line in [
        "SADD s a",
        "SREM s b",
        "ZADD z 1 a",
        "ZADD z NX 5 a",
        "HSETNX h f w",
        "HDEL h g",
        "LPUSHX none 1",
        "LTRIM none 0 1",
        "BITOP AND none none none",
    ] {
        bench.tells(line, &[], &[]);
    }
}

#[test]
fn pairs_are_nested_in_version_3() {
    let mut bench = Fixture::new();
    bench.run("ZADD z 1.5 a");
    bench.run("HSET h f v");
    let flat = [
        ("ZRANGE z 0 -1 WITHSCORES", "*2\r\n$1\r\na\r\n$3\r\n1.5\r\n"),
        ("HRANDFIELD h 1 WITHVALUES", "*2\r\n$1\r\nf\r\n$1\r\nv\r\n"),
        ("HGETALL h", "*2\r\n$1\r\nf\r\n$1\r\nv\r\n"),
        ("SMEMBERS none", "*0\r\n"),
        ("LMPOP 1 none LEFT", "*-1\r\n"),
    ];
    let nested = [
        ("ZRANGE z 0 -1 WITHSCORES", "*1\r\n*2\r\n$1\r\na\r\n,1.5\r\n"),
        ("HRANDFIELD h 1 WITHVALUES", "*1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"),
        ("HGETALL h", "%1\r\n$1\r\nf\r\n$1\r\nv\r\n"),
        ("SMEMBERS none", "~0\r\n"),
        ("LMPOP 1 none LEFT", "_\r\n"),
    ];
    for (line, reply) in flat {
        assert_eq!(bench.run(line).reply, reply);
    }
    bench.proto = Proto::Resp3;
    for (line, reply) in nested {
        assert_eq!(bench.run(line).reply, reply);
    }
}
