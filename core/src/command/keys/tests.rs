//! The effects of string and key commands on replicas and subscribers; the replies are compared
//! with Redis elsewhere.

use crate::command::effects::Consumers;
use crate::command::{Caller, Ctx, DataConfig, Effects, Handler, Row, keys, strings};
use crate::machine::Outbox;
use crate::resp::Proto;
use crate::resp::reply::{Reply, Scratch};
use crate::resp::request::OwnedArgs;
use crate::rng::Rng;
use crate::store::Keyspace;
use crate::time::{Mono, Now, Wall};

/// A fixture: a keyspace at a fixed time, with a consumer for every kind of effect.
struct Fixture {
    keyspace: Keyspace,
    effects: Effects,
}

/// The current time in all tests, in milliseconds.
const NOW: u64 = 1_000_000;

impl Fixture {
    fn new() -> Self {
        Self { keyspace: Keyspace::new(16, 1), effects: Effects::default() }
    }

    /// Executes a command. Returns its reply, what is propagated, and the events.
    fn run(&mut self, line: &str) -> (String, Vec<String>, Vec<String>) {
        let args: OwnedArgs = line.split(' ').collect();
        let args = args.as_args();
        let name = line.split(' ').next().unwrap_or_default().to_lowercase();
        let handler = row(&name).expect("a command").handler;
        self.keyspace.env.now_ms = NOW;
        self.effects.begin(Consumers {
            propagation: true,
            watching: true,
            blocked: true,
            events: u16::MAX,
        });
        let (mut out, mut scratch) = (Outbox::default(), Scratch::default());
        let result = handler(&mut Ctx {
            now: Now::instantaneous(Mono::ZERO, Wall::from_millis(NOW)),
            keyspace: &mut self.keyspace,
            db: 0,
            args,
            reply: Reply::new(&mut out, &mut scratch, Proto::Resp2),
            effects: &mut self.effects,
            rng: &mut Rng::new(1),
            config: &DataConfig::default(),
            caller: Caller::default(),
            wait: None,
            rest: None,
            remark: None,
        });
        self.effects.finish(0, args);
        let reply: Vec<u8> = out.slices().flatten().copied().collect();
        let reply = match result {
            Ok(()) => String::from_utf8(reply).expect("text").replace("\r\n", " ").trim().into(),
            Err(error) => error.to_string(),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let commands =
            self.effects.take_commands().into_iter().map(|command| {
                command.args.as_args().iter().map(text).collect::<Vec<_>>().join(" ")
            });
        let commands = commands.collect();
        let events = self.effects.take_events().into_iter();
        let events = events.map(|event| format!("{} {}", event.name, text(&event.key))).collect();
        (reply, commands, events)
    }

    fn propagates(&mut self, line: &str, expected: &[&str], events: &[&str]) {
        let (reply, commands, told) = self.run(line);
        assert_eq!(commands, expected, "{line}: {reply}");
        assert_eq!(told, events, "{line}: {reply}");
    }
}

fn row(name: &str) -> Option<&'static Row<Handler>> {
    strings::ROWS.iter().chain(keys::ROWS).find(|row| row.meta.name == name)
}

#[test]
fn times_and_results_are_propagated() {
    let mut b = Fixture::new();
    b.propagates("SET k v", &["SET k v"], &["new k", "set k"]);
    b.propagates("SET k v EX 10 GET", &["SET k v PXAT 1010000"], &["set k", "expire k"]);
    b.propagates("SET k v GET XX", &["SET k v XX"], &["set k"]);
    b.propagates("SET k v NX", &[], &[]);
    b.propagates("SETEX k 1 v", &["SET k v PXAT 1001000"], &["set k", "expire k"]);
    b.propagates("GETSET k 5", &["SET k 5"], &["set k"]);
    b.propagates("INCRBY k 2", &["INCRBY k 2"], &["incrby k"]);
    b.propagates("INCRBYFLOAT k 0.5", &["SET k 7.5 KEEPTTL"], &["incrbyfloat k"]);
    b.propagates("EXPIRE k 100 NX", &["PEXPIREAT k 1100000 NX"], &["expire k"]);
    b.propagates("EXPIRE k 100 NX", &[], &[]);
    b.propagates("GETEX k", &[], &[]);
    b.propagates("GETEX k PX 7", &["PEXPIREAT k 1000007"], &["expire k"]);
    b.propagates("GETEX k PERSIST", &["PERSIST k"], &["persist k"]);
    b.propagates("GETEX k PERSIST", &[], &[]);
    b.propagates("GETEX k PXAT 5", &["DEL k"], &["del k"]);
    b.propagates("SET k v", &["SET k v"], &["new k", "set k"]);
    b.propagates("PEXPIREAT k 1", &["DEL k"], &["del k"]);
    b.propagates("APPEND k v", &["APPEND k v"], &["new k", "append k"]);
    b.propagates("SETRANGE k 3 x", &["SETRANGE k 3 x"], &["setrange k"]);
    b.propagates("RENAME k j", &["RENAME k j"], &["new j", "rename_from k", "rename_to j"]);
    b.propagates("COPY j k", &["COPY j k"], &["new k", "copy_to k"]);
    b.propagates("MOVE k 3", &["MOVE k 3"], &["new k", "move_from k", "move_to k"]);
    b.propagates("GETDEL j", &["DEL j"], &["del j"]);
    b.propagates("DEL j k", &[], &[]);
    b.propagates("MSET a 1 b 2", &["MSET a 1 b 2"], &["new a", "set a", "new b", "set b"]);
    b.propagates("UNLINK a b c", &["UNLINK a b c"], &["del a", "del b"]);
    b.propagates("FLUSHALL", &["FLUSHALL"], &[]);
}

#[test]
fn refused_commands_change_nothing() {
    let mut b = Fixture::new();
    b.run("SET k v");
    for (line, error) in [
        ("SET k w EX 0", "ERR invalid expire time in 'set' command"),
        ("SET k w EX 9223372036854775807", "ERR invalid expire time in 'set' command"),
        ("SET k w EX 1 PX 1", "ERR syntax error"),
        ("SET k w NX XX", "ERR syntax error"),
        ("SET k w PERSIST", "ERR syntax error"),
        ("GETEX k KEEPTTL", "ERR syntax error"),
        ("INCR k", "ERR value is not an integer or out of range"),
        ("INCRBYFLOAT k 1", "ERR value is not a valid float"),
        ("SETRANGE k -1 x", "ERR offset is out of range"),
        ("SETRANGE k 536870912 x", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("EXPIRE k 1 GT LT", "ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE k 9223372036854775807", "ERR invalid expire time in 'expire' command"),
        ("EXPIRE k 1 ZZ", "ERR Unsupported option ZZ"),
        ("RENAME no k", "ERR no such key"),
        ("MOVE k 16", "ERR DB index is out of range"),
        ("COPY k k", "ERR source and destination objects are the same"),
        ("SCAN x", "ERR invalid cursor"),
    ] {
        assert_eq!(b.run(line), (error.to_string(), Vec::new(), Vec::new()), "{line}");
    }
    assert_eq!(b.run("GET k").0, "$1 v");
}

#[test]
fn every_row_has_its_metadata() {
    for row in strings::ROWS.iter().chain(keys::ROWS) {
        for row in core::iter::once(row).chain(row.subcommands) {
            let meta = &row.meta;
            assert!(meta.summary.ends_with('.') && meta.summary.len() > 10, "{}", meta.name);
            assert!(!meta.complexity.is_empty() && !meta.since.is_empty());
            let words = meta.arity.unsigned_abs() > 1 && meta.name != "help";
            assert_eq!(words || meta.arity < 0, !meta.syntax.is_empty() || meta.name == "object");
        }
    }
}
