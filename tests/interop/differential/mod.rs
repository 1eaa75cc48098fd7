//! The differential test: plays the same random sequences of commands to Limpid and to Redis, and
//! compares the replies.
//!
//! A sequence starts with empty databases and new connections, uses a few commands that meet on the
//! same keys, and ends with a comparison of all keys. One that fails is shrunk to the commands that
//! matter before it is shown. `LIMPID_SEED` sets the seed, `LIMPID_SEQUENCES` the number of
//! sequences.

mod compare;
mod groups;
mod meeting;
mod pattern;
mod propagation;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use limpid_core::resp::number::parse_i64;
use limpid_core::resp::value::Value;
use limpid_core::rng::Rng;
use limpid_tests::client::{Client, Reply};
use limpid_tests::process::Process;

use compare::Compare;
use groups::{GROUPS, Group, READERS};
use meeting::MEETINGS;
use pattern::{Args, Pattern};

/// The number of sequences for each group, unless `LIMPID_SEQUENCES` is set.
const SEQUENCES: u64 = 500;

/// The number of commands in a sequence.
const LENGTH: u64 = 40;

/// Directives for both servers: low limits for compact encodings, so that short sequences exceed
/// them.
const COMMON: &[&str] = &[
    "--enable-debug-command",
    "yes",
    "--list-max-listpack-size",
    "6",
    "--hash-max-listpack-entries",
    "6",
    "--set-max-intset-entries",
    "5",
    "--zset-max-listpack-entries",
    "6",
    "--stream-node-max-entries",
    "4",
    // No slow log, since it depends on the machine's speed.
    "--slowlog-log-slower-than",
    "-1",
];

/// The number of different failures to collect before giving up.
const ENOUGH: usize = 12;

#[test]
fn strings_answer_as_in_redis() {
    compare("string");
}

#[test]
fn keys_answer_as_in_redis() {
    compare("generic");
}

#[test]
fn lists_answer_as_in_redis() {
    compare("list");
}

#[test]
fn sets_answer_as_in_redis() {
    compare("set");
}

#[test]
fn hashes_answer_as_in_redis() {
    compare("hash");
}

#[test]
fn sorted_sets_answer_as_in_redis() {
    compare("sorted-set");
}

#[test]
fn bitmaps_answer_as_in_redis() {
    compare("bitmap");
}

#[test]
fn hyperloglogs_answer_as_in_redis() {
    compare("hyperloglog");
}

#[test]
fn places_answer_as_in_redis() {
    compare("geo");
}

#[test]
fn streams_answer_as_in_redis() {
    compare("stream");
}

#[test]
fn scripts_and_functions_answer_as_in_redis() {
    compare("scripting");
}

#[test]
fn sorting_answers_as_in_redis() {
    compare("sort");
}

#[test]
fn payloads_are_those_of_redis() {
    compare("payload");
}

#[test]
fn connections_answer_as_in_redis() {
    compare("connection");
}

#[test]
fn the_server_answers_as_redis_does() {
    compare("server");
}

/// Plays sequences of commands mostly from one group.
fn compare(group: &str) {
    let named = |g: &&Group| g.name == group;
    let own: Vec<Shape> = GROUPS.iter().filter(named).flat_map(shapes).collect();
    // Bit operations soon corrupt a HyperLogLog, which redis-server then changes partly before it
    // reports an error; Limpid does not change it. Scripts return replies without a defined order,
    // such as the members of a set, so they are not mixed with other groups.
    let mixes = |g: &&Group| {
        !(group == "bitmap" && g.name == "hyperloglog")
            && (g.name != "scripting" || group == "scripting")
    };
    let all: Vec<Shape> = GROUPS.iter().filter(mixes).flat_map(shapes).collect();
    search(group, SEQUENCES, &mut Pair::start(), |rng| sequence(&own, &all, rng));
}

/// Plays sequences and reports those with different replies.
fn search(
    group: &str,
    sequences: u64,
    stage: &mut impl Stage,
    sequence: impl Fn(&mut Rng) -> Vec<Step>,
) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("LIMPID_SEED").unwrap_or(1);
    let sequences = number("LIMPID_SEQUENCES").unwrap_or(sequences);
    println!("LIMPID_SEED={seed} LIMPID_SEQUENCES={sequences}");

    // By the command with the different reply, so that one fault is reported once.
    let mut failures: BTreeMap<String, String> = BTreeMap::new();
    // Differences that did not recur. With commands that wait for real time, a stall of the machine
    // may cause one now and then; otherwise each is a failure.
    let mut unstable = Vec::new();
    let excused = if stage.waits_for_time() { sequences / 50 } else { 0 };
    // How many commands were played, and how many of them may answer anything but another error.
    let (mut steps, mut lenient) = (0, 0);
    for n in 0..sequences {
        let sequence = sequence(&mut own_rng(seed, group, n));
        steps += sequence.len();
        lenient += sequence.iter().filter(|step| step.compare == Compare::Errors).count();
        let Some(at) = stage.play(&sequence) else { continue };
        let shrunk = shrink(stage, sequence[..=at].to_vec());
        match stage.tell(&shrunk) {
            Some((fault, told)) => {
                failures.entry(fault).or_insert(format!("sequence {n}:\n{told}"));
            }
            None => {
                let lines = sequence[..=at].iter().map(|s| format!("  > {}\n", quoted(&s.args)));
                let told =
                    format!("sequence {n}, once and not again:\n{}", lines.collect::<String>());
                println!("{told}");
                unstable.push(told);
            }
        }
        if failures.len() == ENOUGH {
            break;
        }
    }
    println!("{lenient} of {steps} commands had a mistake: of these only errors were compared");
    let told: Vec<&str> = failures.values().map(String::as_str).collect();
    assert!(
        unstable.len() as u64 <= excused,
        "{} of {sequences} sequences differ sometimes, seed {seed}\n\n{}",
        unstable.len(),
        unstable.join("\n")
    );
    assert!(told.is_empty(), "{} differences, seed {seed}\n\n{}", told.len(), told.join("\n"));
}

/// The random generator of one sequence, which does not depend on others, so that it can be played
/// alone.
fn own_rng(seed: u64, group: &str, n: u64) -> Rng {
    let group = group.bytes().fold(0_u64, |all, byte| all.wrapping_mul(31) + u64::from(byte));
    Rng::new(seed ^ (group << 32) ^ n)
}

/// A command's pattern, and how its replies are compared.
struct Shape {
    pattern: Pattern,
    compare: Compare,
}

/// One command of a sequence.
#[derive(Debug, Clone)]
struct Step {
    /// The connection that sends it, if there are several.
    client: usize,
    args: Args,
    compare: Compare,
}

fn shapes(group: &Group) -> impl Iterator<Item = Shape> {
    group.rows.iter().flat_map(|(compare, patterns)| {
        patterns.iter().map(|text| Shape { pattern: Pattern::parse(text), compare: *compare })
    })
}

fn sequence(own: &[Shape], all: &[Shape], rng: &mut Rng) -> Vec<Step> {
    let mut steps = Vec::new();
    if rng.chance(0.5) {
        steps.push(Step {
            client: 0,
            args: vec![b"HELLO".into(), b"3".into()],
            compare: Compare::Shape,
        });
    }
    let few: Vec<&Shape> = (0..3 + rng.below(8))
        .map(|_| {
            let from = if rng.chance(0.7) { own } else { all };
            &from[rng.below(from.len() as u64) as usize]
        })
        .collect();
    for _ in 0..LENGTH {
        let shape = few[rng.below(few.len() as u64) as usize];
        let mut step =
            Step { client: 0, args: shape.pattern.generate(rng), compare: shape.compare };
        // Versions before 7.2 apply the first options of a HELLO before they find an error in the
        // last.
        let hello = step.args.len() > 2 && step.args[0].eq_ignore_ascii_case(b"HELLO");
        // With another count it would choose members at random, which would differ between the
        // servers.
        let random = step.args[0].eq_ignore_ascii_case(b"SPOP");
        if rng.chance(0.08) && !hello && !random {
            spoil(&mut step.args, rng);
            values::put_off(&mut step.args, &[]);
            if step.compare != Compare::Loose {
                step.compare = Compare::Errors;
            }
        }
        steps.push(step);
    }
    steps
}

/// Adds a mistake that a person could make: too few arguments, too many, or a wrong one.
fn spoil(args: &mut Args, rng: &mut Rng) {
    // A spoiled command could disconnect the control connection or take away its rights.
    if args.get(1).is_some_and(|sub| sub == b"KILL" || sub.eq_ignore_ascii_case(b"SETUSER")) {
        return;
    }
    let at = 1 + rng.below(args.len() as u64) as usize;
    match rng.below(3) {
        0 => args.truncate(at),
        1 => args.insert(at.min(args.len()), values::any(rng)),
        _ if at < args.len() => args[at] = values::any(rng),
        _ => args.push(values::any(rng)),
    }
    // A huge count of random elements would not be answered in time.
    let name = args[0].to_ascii_uppercase();
    let random = name.ends_with(b"RANDFIELD") || name.ends_with(b"RANDMEMBER");
    let count = args.get(2).and_then(|count| parse_i64(count));
    if random && count.is_some_and(|count| count < -100_000) {
        args.truncate(2);
    }
}

/// The servers on which sequences are played.
trait Stage {
    /// Whether its sequences contain timeouts.
    fn waits_for_time(&self) -> bool {
        false
    }

    /// Resets all state of an earlier sequence.
    fn reset(&mut self);

    /// Plays a step; false if the servers differ. The replies are appended to `told`.
    fn step(&mut self, step: &Step, told: Option<&mut String>) -> bool;

    /// Compares every key of the databases that sequences use. Returns a description of the first
    /// difference.
    fn first_differing_key(&mut self) -> Option<String>;

    /// Plays a sequence from the beginning. Returns the index of the first difference.
    fn play(&mut self, steps: &[Step]) -> Option<usize> {
        self.reset();
        let differs = steps.iter().position(|step| !self.step(step, None));
        // A comparison of the keys finds what the replies did not show.
        differs.or_else(|| self.first_differing_key().map(|_| steps.len() - 1))
    }

    /// The last command of a failing sequence, and the whole sequence as text.
    fn tell(&mut self, steps: &[Step]) -> Option<(String, String)> {
        let at = self.play(steps)?;
        self.reset();
        let mut text = String::new();
        let mut same = true;
        for step in &steps[..=at] {
            same &= self.step(step, Some(&mut text));
        }
        if same {
            let key = self.first_differing_key()?;
            writeln!(text, "  afterwards\n{key}").expect("a string");
        }
        let last = &steps[at].args;
        let name = quoted(&last[..last.len().min(1)]).to_lowercase();
        Some((format!("{name} {}", !same), text))
    }
}

/// Limpid and Redis, side by side.
struct Pair {
    limpid: Process,
    redis: Process,
    clients: Option<(Client, Client)>,
}

/// Disables active expiry, so that keys only expire when they are accessed, since the moments of
/// active expiry differ between servers.
fn still(client: &mut Client) {
    let reply = client.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    assert!(!reply.is_error(), "{reply:?}");
}

impl Pair {
    fn start() -> Self {
        let (limpid, redis) = (
            Process::server(&[COMMON, &["--set-max-listpack-entries", "8"]].concat()),
            Process::redis_server(COMMON),
        );
        for process in [&limpid, &redis] {
            still(&mut Client::new(process.connect()));
        }
        Pair { limpid, redis, clients: None }
    }

    fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> (Option<Reply>, Option<Reply>) {
        let (limpid, redis) = self.clients.get_or_insert_with(|| {
            (Client::new(self.limpid.connect()), Client::new(self.redis.connect()))
        });
        limpid.send(args);
        redis.send(args);
        let replies = (limpid.read(), redis.read());
        // Both servers closed the connection: the sequence continues with new ones.
        if replies == (None, None) {
            self.clients = None;
        }
        replies
    }
}

impl Stage for Pair {
    fn reset(&mut self) {
        let mut clients = (Client::new(self.limpid.connect()), Client::new(self.redis.connect()));
        for client in [&mut clients.0, &mut clients.1] {
            client.call(&["FLUSHALL"]);
            client.call(&["SCRIPT", "FLUSH"]);
            client.call(&["FUNCTION", "FLUSH"]);
        }
        self.clients = Some(clients);
    }

    fn step(&mut self, step: &Step, told: Option<&mut String>) -> bool {
        let (limpid, redis) = self.call(&step.args);
        let same = step.compare.same(limpid.as_ref(), redis.as_ref());
        if let Some(text) = told {
            let (limpid, redis) = (shown(limpid.as_ref()), shown(redis.as_ref()));
            writeln!(text, "  > {}", quoted(&step.args)).expect("a string");
            if same {
                writeln!(text, "    {redis}").expect("a string");
            } else {
                writeln!(text, "    Limpid  {limpid}\n    Redis   {redis}").expect("a string");
            }
        }
        same
    }

    fn first_differing_key(&mut self) -> Option<String> {
        self.clients = None;
        first_differing_key(|args| self.call(args))
    }
}

/// Compares every key of the databases that sequences use. Returns a description of the first
/// difference.
fn first_differing_key(
    mut call: impl FnMut(&[&[u8]]) -> (Option<Reply>, Option<Reply>),
) -> Option<String> {
    for db in ["0", "1", "2", "15"] {
        call(&[b"SELECT", db.as_bytes()]);
        let (limpid, redis) = call(&[b"KEYS", b"*"]);
        if !Compare::Unordered.same(limpid.as_ref(), redis.as_ref()) {
            let (limpid, redis) = (shown(limpid.as_ref()), shown(redis.as_ref()));
            return Some(format!("    Limpid has {limpid} in {db}\n    Redis has  {redis}"));
        }
        let keys = redis.map(|reply| reply.value.items().unwrap_or_default().to_vec());
        for key in keys.unwrap_or_default() {
            let key = key.bytes().unwrap_or_default();
            for (reader, compare) in READERS {
                let mut args: Vec<&[u8]> = reader.split(' ').map(str::as_bytes).collect();
                args.insert(1, key);
                let (limpid, redis) = call(&args);
                if !compare.same(limpid.as_ref(), redis.as_ref()) {
                    return Some(format!(
                        "  > {} (in {db})\n    Limpid  {}\n    Redis   {}",
                        quoted(&args),
                        shown(limpid.as_ref()),
                        shown(redis.as_ref())
                    ));
                }
            }
        }
    }
    None
}

/// Shrinks a failing sequence by leaving out commands and arguments while it still fails.
fn shrink(stage: &mut impl Stage, mut steps: Vec<Step>) -> Vec<Step> {
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut from = 0;
        while from + size <= steps.len() && steps.len() > 1 {
            let mut fewer = steps.clone();
            fewer.drain(from..from + size);
            match (!fewer.is_empty()).then(|| stage.play(&fewer)).flatten() {
                Some(at) => {
                    fewer.truncate(at + 1);
                    steps = fewer;
                }
                None => from += size,
            }
        }
        size /= 2;
    }
    for step in 0..steps.len() {
        // Without its first argument a command may become another one (COMMAND, CONFIG).
        let mut word = 2;
        while word < steps[step].args.len() {
            let mut fewer = steps.clone();
            fewer[step].args.remove(word);
            if stage.play(&fewer) == Some(fewer.len() - 1) {
                steps = fewer;
            } else {
                word += 1;
            }
        }
    }
    steps
}

fn quoted<A: AsRef<[u8]>>(args: &[A]) -> String {
    let words = args.iter().map(|arg| {
        let text = arg.as_ref().escape_ascii().to_string();
        let plain = !text.is_empty() && !text.contains([' ', '\\', '"', '\'']);
        if plain { abridged(&text) } else { format!("\"{}\"", abridged(&text)) }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn shown(reply: Option<&Reply>) -> String {
    match reply {
        Some(reply) => abridged(&reply.raw.escape_ascii().to_string()),
        None => "(closed the connection)".into(),
    }
}

fn abridged(text: &str) -> String {
    match text.len() {
        0..=300 => text.to_owned(),
        len => format!("{}…({len} in all)", &text[..280]),
    }
}

/// Commands that are in no group, with the reason and the place of their test.
const NOT_PLAYED: &[(&str, &str)] = &[
    ("asking", "it is for clusters: cluster.rs"),
    ("bgrewriteaof", "it writes files: aof.rs"),
    ("bgsave", "it writes files: saving.rs"),
    ("cluster", "it is for clusters: cluster.rs"),
    ("failover", "it changes roles: failover.rs"),
    ("info", "its figures differ: programs.rs and the libraries read it"),
    ("lolwut", "it draws, another thing in each version"),
    ("migrate", "it takes two servers: migrate.rs"),
    ("monitor", "it never ends: cli.rs and the libraries"),
    ("pfselftest", "Redis takes seconds for it: core"),
    ("psync", "it turns the connection into a replica's: replication.rs"),
    ("readonly", "it is for clusters: cluster.rs"),
    ("readwrite", "it is for clusters: cluster.rs"),
    ("replconf", "it is a replica's: replication.rs"),
    ("replicaof", "it changes roles: mixed.rs"),
    ("restore-asking", "it is RESTORE under another name, for clusters"),
    ("role", "its figures differ: the lessons ask for it"),
    ("save", "it writes files: saving.rs"),
    ("shutdown", "it ends the server: lessons/replication.rs"),
    ("slaveof", "it changes roles: mixed.rs"),
    ("sync", "it turns the connection into a replica's: replication.rs"),
    ("wait", "it takes replicas: the libraries, and the Worlds of core"),
    ("waitaof", "it takes replicas and files: the Worlds of core"),
];

#[test]
fn every_command_is_compared_or_has_a_reason_not_to_be() {
    let patterns = GROUPS.iter().flat_map(|group| group.rows).flat_map(|(_, patterns)| *patterns);
    let meetings = MEETINGS.iter().flat_map(|meeting| meeting.patterns);
    let played: BTreeSet<String> = patterns
        .chain(meetings)
        .filter_map(|pattern| pattern.split(' ').next())
        .map(str::to_ascii_lowercase)
        .collect();
    let not_played: BTreeSet<&str> = NOT_PLAYED.iter().map(|(name, _)| *name).collect();
    let list = Client::new(Process::server(&[]).connect()).call(&["COMMAND", "LIST"]);
    let names = list.items().unwrap_or_default().iter().filter_map(Value::bytes);
    let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
    let all: BTreeSet<String> = names.filter(|name| !name.contains('|')).collect();
    let missing: Vec<_> = all
        .iter()
        .filter(|name| !played.contains(*name) && !not_played.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "no line in groups.rs, and no reason: {missing:?}");
    let idle: Vec<_> =
        not_played.iter().filter(|name| played.contains(**name) || !all.contains(**name)).collect();
    assert!(idle.is_empty(), "a reason for nothing: {idle:?}");
}
