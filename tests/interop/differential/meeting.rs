//! Meetings: sequences with several connections that affect each other, by blocking, transactions
//! and messages.
//!
//! One command is sent at a time, on any of the connections. Both servers work in one thread and
//! send what a command causes before they read on. So once a later PING on another connection is
//! answered, everything that the command caused has arrived on all connections.

use std::fmt::Write;

use limpid_core::resp::value::Value;
use limpid_core::rng::Rng;
use limpid_tests::client::{Client, Reply};
use limpid_tests::process::{PATIENCE, Process};
use limpid_tests::wait::until;

use super::compare::{Compare, is_unbalanced, numbers};
use super::groups::GROUPS;
use super::pattern::{Args, Pattern};
use super::{COMMON, LENGTH, Shape, Stage, Step, quoted, search, shapes, shown, spoil, values};

/// The number of connections in a sequence.
const CLIENTS: usize = 4;

/// The number of the control connection, which is not part of the sequence.
const CONTROL: usize = CLIENTS;

/// The number of sequences for each meeting, unless `LIMPID_SEQUENCES` is set.
const SEQUENCES: u64 = 300;

/// Short timeouts (in seconds) and times to live (in milliseconds), whose end the test waits for.
/// All others are so long that they never end during a test.
const SOON: &[&[u8]] = &[TIMEOUT, TTL];
const TIMEOUT: &[u8] = b"0.01";
const TTL: &[u8] = b"1";

/// The commands of which sequences are made.
pub(crate) struct Meeting {
    name: &'static str,
    /// Commands that are sent first, each on the connection of that number.
    first: &'static [(usize, &'static str)],
    pub(crate) patterns: &'static [&'static str],
    /// Other groups of commands, which are chosen less often.
    others: &'static [&'static str],
}

/// All meetings.
pub(crate) const MEETINGS: &[&Meeting] =
    &[&TRANSACTIONS, &BLOCKING, &READING, &MESSAGES, &EVENTS, &NEW_KEYS, &PERMISSIONS, &TRACKING];

const TRANSACTIONS: Meeting = Meeting {
    name: "transactions",
    first: &[(3, "SUBSCRIBE c1")],
    patterns: &[
        "MULTI",
        "MULTI",
        "EXEC",
        "EXEC",
        "DISCARD",
        "WATCH key+",
        "WATCH key",
        "UNWATCH",
        "EXEC any",
        "SET key value",
        "SET key value PX 1",
        "PEXPIRE key 1",
        "INCR key",
        "DEL key",
        "GET key",
        "EXISTS key",
        "RENAME key key",
        "COPY key key REPLACE",
        "EXPIRE key secs",
        "FLUSHALL",
        "FLUSHDB",
        "SWAPDB 0 1",
        "SELECT (=0|=1)",
        "BLPOP key 0",
        "PUBLISH =c1 value",
        "NOSUCH",
        "RESET",
        "QUIT",
        "CLIENT UNBLOCK client",
        "CLIENT KILL ID client",
    ],
    others: &["string", "list", "set", "hash", "sorted-set", "generic", "bitmap"],
};

/// Blocking commands on lists and sorted sets, which have separate keys: in 7.2 a blocked command
/// that is served runs again and may find another of its keys to be of a wrong type, while 7.0 does
/// not check. Without SWAPDB: of several keys that it makes available to a blocked client, Redis
/// takes the first by hash order.
const BLOCKING: Meeting = Meeting {
    name: "blocking",
    first: &[],
    patterns: &[
        "BLPOP key+ timeout",
        "BRPOP key+ timeout",
        "BLPOP key 0",
        "BLMOVE key key (LEFT|RIGHT) (LEFT|RIGHT) timeout",
        "BRPOPLPUSH key key timeout",
        "BLMPOP timeout (=1 key|=2 key key|count key) (LEFT|RIGHT) [COUNT count]",
        "BZPOPMIN lexkey+ timeout",
        "BZPOPMAX lexkey lexkey timeout",
        "BZMPOP timeout (=1 lexkey|=2 lexkey lexkey|count lexkey) (MIN|MAX) [COUNT count]",
        "LPUSH key value+",
        "RPUSH key value+",
        "ZADD lexkey (score small)+",
        "LPOP key",
        "LMOVE key key LEFT RIGHT",
        "DEL key",
        "RENAME key key",
        "COPY key key [DB db] [REPLACE]",
        "MOVE key db",
        "SORT key ALPHA STORE key",
        "ZRANGESTORE lexkey lexkey 0 -1",
        "ZUNIONSTORE lexkey 2 lexkey lexkey",
        "SELECT (=0|=1)",
        "FLUSHALL",
        "MULTI",
        "EXEC",
        "WATCH key",
        "CLIENT UNBLOCK client [TIMEOUT|ERROR|any]",
        "CLIENT KILL ID client",
        "PEXPIRE key 1",
        "QUIT",
    ],
    others: &["list"],
};

/// Blocking reads of streams. Streams that are read with a group have separate keys, which are
/// never deleted, since 7.2 has other error texts than 7.0 for that. Each client waits for one
/// stream only: if several get entries within a transaction, 7.2 returns all of them, and 7.0 one.
/// In streams that are read without a group the last entry is never deleted: 7.0 then replies to a
/// blocked XREAD without entries, and 7.2 keeps it blocked.
const READING: Meeting = Meeting {
    name: "reading",
    first: &[(0, "XGROUP CREATE l1 g $ MKSTREAM"), (0, "XGROUP CREATE l2 g $ MKSTREAM")],
    patterns: &[
        "XREAD BLOCK wait STREAMS key (id|=$|=$)",
        "XREAD COUNT count BLOCK wait STREAMS key =$",
        "XREADGROUP GROUP =g consumer BLOCK wait STREAMS lexkey =>",
        "XREADGROUP GROUP =g consumer COUNT count BLOCK wait NOACK STREAMS lexkey =>",
        "XREADGROUP GROUP =g consumer BLOCK wait STREAMS lexkey id",
        "XADD key newid small value",
        "XADD key newid small value",
        "XADD key MAXLEN (=1|=2|=10) newid small value",
        "XADD lexkey newid small value",
        "XADD lexkey newid small value",
        "XACK lexkey =g id",
        "XDEL lexkey id",
        "XSETID lexkey id",
        "XTRIM key MAXLEN (=1|=2|=10)",
        "XTRIM lexkey MAXLEN count",
        "XGROUP SETID lexkey =g id",
        "DEL key",
        "RENAME key key",
        "COPY key key REPLACE",
        "MULTI",
        "EXEC",
        "CLIENT UNBLOCK client [TIMEOUT|ERROR|any]",
        "CLIENT KILL ID client",
        "PEXPIRE key 1",
        "QUIT",
    ],
    others: &[],
};

const MESSAGES: Meeting = Meeting {
    name: "messages",
    first: &[],
    patterns: &[
        "SUBSCRIBE channel+",
        "PSUBSCRIBE pattern+",
        "SSUBSCRIBE channel+",
        "UNSUBSCRIBE [channel+]",
        "PUNSUBSCRIBE [pattern+]",
        "SUNSUBSCRIBE [channel+]",
        "PUBLISH channel value",
        "PUBLISH channel value",
        "SPUBLISH channel value",
        "PUBSUB CHANNELS [pattern]",
        "PUBSUB NUMSUB channel*",
        "PUBSUB NUMPAT",
        "PUBSUB SHARDCHANNELS [pattern]",
        "PUBSUB SHARDNUMSUB channel*",
        "PUBSUB any any*",
        "PING [value]",
        "GET key",
        "RESET",
        "QUIT",
        "SET key value",
        "CONFIG SET =notify-keyspace-events events",
        "CLIENT KILL ID client",
    ],
    others: &[],
};

const EVENTS: Meeting = Meeting {
    name: "events",
    first: &[(3, "CONFIG SET notify-keyspace-events KEA"), (3, "PSUBSCRIBE __key*__:*")],
    patterns: &[
        "GETEX key (EX secs|PERSIST)",
        "RENAME key key",
        "COPY key key [DB db] [REPLACE]",
        "MOVE key db",
        "LMOVE key key (LEFT|RIGHT) (LEFT|RIGHT)",
        "BLMOVE key key LEFT RIGHT 0",
        "BLPOP key 0",
        "SELECT (=0|=1)",
        "SWAPDB 0 1",
        "MULTI",
        "EXEC",
    ],
    others: &["string", "list", "set", "hash", "sorted-set", "generic", "bitmap"],
};

/// Keyspace events of new keys (`n`) in addition to all others, including those of modules (`d`).
const NEW_KEYS: Meeting = Meeting {
    name: "new-keys",
    first: &[(3, "CONFIG SET notify-keyspace-events KEAnd"), (3, "PSUBSCRIBE __key*__:*")],
    patterns: &[
        "SET key value",
        "DEL key",
        "RENAME key key",
        "COPY key key [DB db] [REPLACE]",
        "MOVE key db",
        "LMOVE key key (LEFT|RIGHT) (LEFT|RIGHT)",
        "BLMOVE key key LEFT RIGHT 0",
        "XADD key newid small value",
        "PFADD key value",
        "MULTI",
        "EXEC",
    ],
    others: &["string", "list", "set", "hash", "sorted-set", "generic", "bitmap"],
};

/// ACL rules. The default user is not changed, so that the control connection always has access.
const PERMISSIONS: Meeting = Meeting {
    name: "permissions",
    first: &[
        (0, "ACL DELUSER u v"),
        (0, "ACL SETUSER u on nopass +@all ~* &*"),
        (0, "ACL SETUSER v on >secret +@all -@dangerous ~a %R~b &c1"),
        (1, "AUTH u x"),
        (2, "AUTH v secret"),
    ],
    patterns: &[
        "ACL SETUSER user rule+",
        "ACL SETUSER user rule+",
        "ACL SETUSER user =reset =on =nopass rule rule rule rule",
        "ACL SETUSER user =on rule",
        "ACL DELUSER user",
        "ACL USERS",
        "ACL WHOAMI",
        "ACL CAT [=nosuch]",
        "ACL DRYRUN user GET key",
        "ACL DRYRUN user SET key value [GET]",
        "ACL DRYRUN user COPY key key",
        "ACL DRYRUN user PUBLISH channel value",
        "ACL DRYRUN user PSUBSCRIBE pattern",
        "ACL DRYRUN user CLIENT (GETNAME|KILL|any)",
        "ACL DRYRUN user any+",
        "AUTH user (=secret|=x)",
        "AUTH user (=secret|=x)",
        "RESET",
        "GET key",
        "SET key value [GET]",
        "MSET key value key value",
        "EXISTS key+",
        "COPY key key",
        "RENAME key key",
        "SORT_RO key [BY (=w_*|=nosort)] [GET =#]",
        "ZUNIONSTORE lexkey 2 lexkey key",
        "SELECT (=0|=1)",
        "FLUSHDB",
        "PUBLISH channel value",
        "SPUBLISH channel value",
        "SUBSCRIBE channel",
        "PSUBSCRIBE pattern",
        "UNSUBSCRIBE",
        "PUNSUBSCRIBE",
        "MULTI",
        "EXEC",
        "CLIENT KILL USER (=u|=v|=nobody)",
    ],
    others: &[],
};

#[test]
fn permissions_are_those_of_redis() {
    meet(&PERMISSIONS);
}

const TRACKING: Meeting = Meeting {
    name: "tracking",
    // Limpid clears the tracking table when the last client stops tracking, so one always tracks.
    first: &[(CONTROL, "CLIENT TRACKING ON")],
    patterns: &[
        "CLIENT TRACKING ON",
        "CLIENT TRACKING ON [NOLOOP] [REDIRECT client] [OPTIN|OPTOUT]",
        "CLIENT TRACKING ON BCAST [REDIRECT client]",
        "CLIENT TRACKING ON [BCAST] [PREFIX (=a|=b|={t}|={t}1)] [PREFIX (=c|=b)]",
        "CLIENT TRACKING (ON|OFF|any) [any]",
        "CLIENT TRACKING OFF",
        "CLIENT CACHING (YES|NO|any)",
        "CLIENT CACHING YES",
        "CLIENT GETREDIR",
        "CLIENT TRACKINGINFO",
        "SUBSCRIBE =__redis__:invalidate",
        "UNSUBSCRIBE",
        "GET key",
        "GET key",
        "MGET key+",
        "SET key value",
        "SET key value",
        "SET key value PX 1",
        "INCR key",
        "DEL key+",
        "RENAME key key",
        "FLUSHALL",
        "FLUSHDB",
        "SELECT (=0|=1)",
        "MULTI",
        "EXEC",
        "PING",
        "RESET",
        "QUIT",
        "CLIENT KILL ID client",
    ],
    others: &["string", "list", "hash"],
};

#[test]
fn transactions_of_several_end_as_in_redis() {
    meet(&TRANSACTIONS);
}

#[test]
fn blocked_clients_are_served_as_in_redis() {
    meet(&BLOCKING);
}

#[test]
fn clients_blocked_on_streams_are_served_as_in_redis() {
    meet(&READING);
}

#[test]
fn messages_reach_the_same_clients_as_in_redis() {
    meet(&MESSAGES);
}

#[test]
fn events_of_keys_are_told_as_in_redis() {
    meet(&EVENTS);
}

#[test]
fn new_keys_are_told_as_in_redis() {
    meet(&NEW_KEYS);
}

#[test]
fn invalidations_reach_the_same_clients_as_in_redis() {
    meet(&TRACKING);
}

fn meet(meeting: &Meeting) {
    let own: Vec<Shape> = meeting
        .patterns
        .iter()
        .map(|text| Shape { pattern: Pattern::parse(text), compare: Compare::Numbers })
        .collect();
    // Replies in arbitrary order cannot be compared among other replies.
    let plain = |shape: &Shape| matches!(shape.compare, Compare::Exact | Compare::Numbers);
    let groups = GROUPS.iter().filter(|group| meeting.others.contains(&group.name));
    let others: Vec<Shape> = groups.flat_map(shapes).filter(plain).collect();
    let mut table = Table::start(meeting);
    search(meeting.name, SEQUENCES, &mut table, |rng| sequence(&own, &others, rng));
}

fn sequence(own: &[Shape], others: &[Shape], rng: &mut Rng) -> Vec<Step> {
    let mut steps = Vec::new();
    for client in 0..CLIENTS {
        if rng.chance(0.5) {
            let args = vec![b"HELLO".into(), b"3".into()];
            steps.push(Step { client, args, compare: Compare::Shape });
        }
    }
    let few: Vec<&Shape> = (0..6 + rng.below(10))
        .map(|_| {
            let from = if others.is_empty() || rng.chance(0.7) { own } else { others };
            &from[rng.below(from.len() as u64) as usize]
        })
        .collect();
    for _ in 0..2 * LENGTH {
        let shape = few[rng.below(few.len() as u64) as usize];
        let mut args = shape.pattern.generate(rng);
        if rng.chance(0.03) {
            spoil(&mut args, rng);
            values::put_off(&mut args, SOON);
        }
        let client = rng.below(CLIENTS as u64) as usize;
        steps.push(Step { client, args, compare: Compare::Numbers });
    }
    steps
}

/// Limpid and Redis with their connections.
struct Table {
    first: &'static [(usize, &'static str)],
    limpid: Side,
    redis: Side,
}

/// One of the servers with its connections.
struct Side {
    process: Process,
    control: Client,
    guests: Vec<Guest>,
}

struct Guest {
    client: Client,
    /// Its client id on the server.
    id: Vec<u8>,
    /// Whether it is blocked.
    blocked: bool,
    /// Whether its transaction has queued a command after which a key expires soon.
    promised: bool,
}

/// The effects of a command: for each connection the replies and messages, and whether it was
/// closed.
type Caused = Vec<(Vec<Reply>, bool)>;

impl Stage for Table {
    fn waits_for_time(&self) -> bool {
        true
    }

    fn reset(&mut self) {
        for side in [&mut self.limpid, &mut self.redis] {
            side.reset();
            for (client, line) in self.first {
                let args: Args = line.split(' ').map(Into::into).collect();
                match *client {
                    CONTROL => _ = side.control.call(&args),
                    client => _ = side.turn(&Step { client, args, compare: Compare::Exact }),
                }
            }
        }
    }

    fn step(&mut self, step: &Step, told: Option<&mut String>) -> bool {
        let caused = self.turn(step);
        let same = caused.as_ref().is_none_or(|(limpid, redis)| same(step, limpid, redis));
        if let Some(text) = told {
            writeln!(text, "  {}> {}", step.client, quoted(&step.args)).expect("a string");
            text.push_str(&match caused {
                None => "    (waits)\n".to_owned(),
                Some((_, redis)) if same => tell("", &redis),
                Some((limpid, redis)) => tell("Limpid ", &limpid) + &tell("Redis  ", &redis),
            });
        }
        same
    }

    fn first_differing_key(&mut self) -> Option<String> {
        let call = |side: &mut Side, args: &[&[u8]]| {
            side.control.send(args);
            side.control.read()
        };
        super::first_differing_key(|args| {
            (call(&mut self.limpid, args), call(&mut self.redis, args))
        })
    }
}

impl Table {
    fn start(meeting: &Meeting) -> Self {
        let listpack = ["--set-max-listpack-entries", "8"];
        Table {
            first: meeting.first,
            limpid: Side::new(Process::server(&[COMMON, &listpack].concat())),
            redis: Side::new(Process::redis_server(COMMON)),
        }
    }

    /// Runs a step on both sides. `None` if the step's connection is blocked on both.
    fn turn(&mut self, step: &Step) -> Option<(Caused, Caused)> {
        let waits = |side: &Side| side.guests[step.client].blocked;
        if waits(&self.limpid) && waits(&self.redis) {
            return None;
        }
        Some((self.limpid.turn(step), self.redis.turn(step)))
    }
}

impl Side {
    fn new(process: Process) -> Self {
        let control = Client::new(process.connect());
        Side { process, control, guests: Vec::new() }
    }

    /// Closes the connections and opens new ones.
    fn reset(&mut self) {
        self.guests.clear();
        // Blocked clients are disconnected first, since they would be served.
        self.until(|control| {
            for kind in ["normal", "pubsub"] {
                control.call(&["CLIENT", "KILL", "TYPE", kind]);
            }
            let list = control.call(&["CLIENT", "LIST"]);
            list.bytes().is_some_and(|text| text.iter().filter(|b| **b == b'\n').count() == 1)
        });
        self.control.call(&["CONFIG", "SET", "notify-keyspace-events", ""]);
        // No active expiry: expired keys are only found when they are accessed.
        self.control.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
        self.control.call(&["SELECT", "0"]);
        self.control.call(&["FLUSHALL"]);
        self.guests = (0..CLIENTS).map(|_| Guest::new(&self.process)).collect();
    }

    /// Repeats `done` until it is true.
    fn until(&mut self, mut done: impl FnMut(&mut Client) -> bool) {
        until(|| "what was asked of the server".into(), || done(&mut self.control));
    }

    /// Sends a command, waits for all its effects, and returns them.
    fn turn(&mut self, step: &Step) -> Caused {
        let args: Args = step.args.iter().map(|arg| self.known(arg)).collect();
        let first = args[0].to_ascii_uppercase().ends_with(b"MPOP");
        let timeout = if first { args.get(1) } else { args.last() };
        let ends_soon = timeout.is_some_and(|timeout| timeout == TIMEOUT);
        let mut expires_soon = args.last().is_some_and(|arg| arg == TTL);
        let mut caused: Caused = vec![(Vec::new(), true); CLIENTS];
        let guest = &mut self.guests[step.client];
        guest.client.send(&args);
        guest.blocked = true;
        let id = String::from_utf8_lossy(&guest.id).into_owned();
        let control = &mut self.control;
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            caused[step.client] = guest.client.arrived();
            let (replies, open) = &caused[step.client];
            if !replies.is_empty() || !open {
                break;
            }
            control.send(&["CLIENT", "LIST", "ID", &id]);
            let about = control.read().map(|reply| reply.value);
            let about = about.unwrap_or_else(|| {
                panic!("sent away by {}:\n{}", quoted(&args), self.process.output())
            });
            let about = String::from_utf8_lossy(about.bytes().unwrap_or_default()).into_owned();
            let flags = about.split(' ').find_map(|field| field.strip_prefix("flags="));
            if !ends_soon && flags.is_some_and(|flags| flags.contains('b')) {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "no reply to {}", quoted(&args));
        }
        let queued = Value::Simple(b"QUEUED".to_vec());
        if caused[step.client].0.iter().any(|reply| reply.value == queued) {
            guest.promised |= expires_soon;
        } else if args[0].eq_ignore_ascii_case(b"EXEC") {
            expires_soon |= core::mem::take(&mut guest.promised);
        }
        if expires_soon {
            self.let_time_pass();
        }
        self.control.call(&["PING"]);
        for (guest, (replies, open)) in self.guests.iter_mut().zip(&mut caused) {
            let (more, still_open) = guest.client.arrived();
            replies.extend(more);
            *open &= still_open;
            guest.blocked &= replies.iter().all(|reply| is_message(&reply.value)) && *open;
            if !*open {
                *guest = Guest::new(&self.process);
            }
        }
        let about_clients = args[0].eq_ignore_ascii_case(b"CLIENT");
        for reply in caused.iter_mut().flat_map(|(replies, _)| replies) {
            if about_clients || is_broken_redirection(&reply.value) {
                self.name_clients(&mut reply.value);
            }
        }
        caused
    }

    /// Replaces client ids, which differ between the sides, by names. Closed connections have none.
    fn name_clients(&self, value: &mut Value) {
        match value {
            Value::Integer(id) if *id > 1 => {
                let is = |guest: &Guest| guest.id == id.to_string().as_bytes();
                let name =
                    self.guests.iter().position(is).map_or("gone".into(), |n| format!("@{n}"));
                *value = Value::Simple(name.into_bytes());
            }
            Value::Array(items) | Value::Push(items) => {
                items.iter_mut().for_each(|item| self.name_clients(item));
            }
            Value::Map(pairs) => pairs.iter_mut().for_each(|(_, item)| self.name_clients(item)),
            _ => {}
        }
    }

    /// Waits until short timeouts and times to live have ended.
    fn let_time_pass(&mut self) {
        let time = |control: &mut Client| {
            let time = control.call(&["TIME"]);
            let parts = time.items().unwrap_or_default().iter().map(|part| {
                String::from_utf8_lossy(part.bytes().unwrap_or_default()).parse().unwrap_or(0_u64)
            });
            parts.fold(0, |all, part| all * 1_000_000 + part)
        };
        let start = time(&mut self.control);
        self.until(|control| time(control) > start + 2_000);
    }

    /// Replaces an argument such as `@1` by the id of that connection.
    fn known(&self, arg: &[u8]) -> Vec<u8> {
        match arg {
            [b'@', n @ b'0'..=b'9'] => {
                self.guests.get(usize::from(n - b'0')).map_or(arg.to_vec(), |g| g.id.clone())
            }
            arg => arg.to_vec(),
        }
    }
}

impl Guest {
    fn new(process: &Process) -> Self {
        let mut client = Client::new(process.connect());
        let id = match client.call(&["CLIENT", "ID"]) {
            Value::Integer(id) => id.to_string().into_bytes(),
            other => panic!("CLIENT ID gave {other:?}"),
        };
        Guest { client, id, blocked: false, promised: false }
    }
}

/// Whether a command had the same effects on both sides.
fn same(step: &Step, limpid: &Caused, redis: &Caused) -> bool {
    limpid.iter().zip(redis).enumerate().all(|(client, (limpid, redis))| {
        if limpid.1 != redis.1 {
            return false;
        }
        let (ours, theirs) = (Seen::of(&limpid.0), Seen::of(&redis.0));
        let greeting = step.compare == Compare::Shape && client == step.client;
        greeting || ours == theirs || unordered(step) && ours.sorted() == theirs.sorted()
    })
}

/// Whether the effects of a command have an order that depends on hash tables.
fn unordered(step: &Step) -> bool {
    let name = step.args.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    // A message to several patterns of one connection; all subscriptions at once.
    let names: [&[u8]; 4] = [b"PUBSUB", b"PUBLISH", b"SET", b"RESET"];
    name.ends_with(b"UNSUBSCRIBE") || names.contains(&name.as_slice())
}

/// What a connection received. If a command causes messages for its own connection, Redis 7.0 sends
/// them before the reply, 7.2 and Limpid after it.
#[derive(PartialEq)]
struct Seen {
    replies: Vec<Value>,
    messages: Vec<Value>,
}

impl Seen {
    fn of(sent: &[Reply]) -> Self {
        let values = sent.iter().map(|reply| match is_unbalanced(reply) {
            true => Value::bulk("unbalanced"),
            false => numbers(&denials(&reply.value)),
        });
        let (messages, replies) = values.partition(is_message);
        Seen { replies, messages }
    }

    /// The same, sorted, without the counts in confirmations of UNSUBSCRIBE.
    fn sorted(&self) -> (Vec<String>, Vec<String>) {
        let text = |value: &Value| match value {
            Value::Array(items) | Value::Push(items) if items.len() == 3 && is_end(items) => {
                format!("{:?}", &items[..2])
            }
            Value::Array(items) => {
                let mut items: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
                items.sort();
                items.join(" ")
            }
            value => format!("{value:?}"),
        };
        let sorted = |values: &[Value]| {
            let mut texts: Vec<String> = values.iter().map(text).collect();
            texts.sort();
            texts
        };
        (sorted(&self.replies), sorted(&self.messages))
    }
}

/// The value with errors of denied commands replaced by [`denial`].
fn denials(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(denials).collect()),
        value => denial(value).unwrap_or_else(|| value.clone()),
    }
}

/// The part of a denial that 7.0 and 7.2 have in common: 7.2 also names the user.
fn denial(value: &Value) -> Option<Value> {
    let (Value::Error(text) | Value::Bulk(text)) = value else { return None };
    let text = String::from_utf8_lossy(text);
    let (_, what) = text.split_once("o permissions to ")?;
    let what = match what.strip_prefix("access ") {
        Some(_) if what.contains("channel") => "a channel",
        Some(_) => "a key",
        None => what,
    };
    Some(Value::bulk(format!("denied: {what}")))
}

fn is_end(items: &[Value]) -> bool {
    items[0].bytes().is_some_and(|kind| kind.ends_with(b"unsubscribe"))
}

fn is_message(value: &Value) -> bool {
    let (Value::Array(items) | Value::Push(items)) = value else { return false };
    let kinds: [&[u8]; 5] =
        [b"message", b"pmessage", b"smessage", b"invalidate", b"tracking-redir-broken"];
    items.len() >= 2 && items[0].bytes().is_some_and(|kind| kinds.contains(&kind))
}

fn is_broken_redirection(value: &Value) -> bool {
    let Value::Push(items) = value else { return false };
    items.first().and_then(Value::bytes) == Some(b"tracking-redir-broken")
}

fn tell(who: &str, caused: &Caused) -> String {
    let mut text = String::new();
    for (client, (replies, open)) in caused.iter().enumerate() {
        for reply in replies {
            writeln!(text, "    {who} {client}: {}", shown(Some(reply))).expect("a string");
        }
        if !open {
            writeln!(text, "    {who} {client}: {}", shown(None)).expect("a string");
        }
    }
    text
}
