//! The loads of the benchmark, each of which is a row of the table.

use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::groups;
use super::median;
use super::mixed::mixed;
use super::server::{Server, encode, pinned};

/// A load.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// The requests.
    command: Ask,
    /// Requests that a client sends before it reads replies.
    pipeline: u32,
    /// The range of random numbers, for keys and others; `None` for a single key.
    keys: Option<u64>,
    /// The data that exists before a round.
    given: Given,
    /// By what factor a round has fewer operations than a round of the fastest loads.
    shorter: u64,
    /// The highest CPU time of the server, as a multiple of Redis's.
    pub(crate) goal: f64,
}

/// The requests of a load.
#[derive(Clone, Copy)]
enum Ask {
    /// A test of redis-benchmark.
    Test(&'static str),
    /// A command, in which redis-benchmark replaces `__rand_int__`, and `VALUE` is replaced by a
    /// value.
    Words(&'static [&'static str]),
    /// A script, with the key `key:__rand_int__`, by its SHA1.
    Script(&'static str),
    /// Four GETs per SET.
    Mixed,
    /// Reading and acknowledging entries of streams by a consumer group.
    Groups,
}

/// The data that exists before a round.
#[derive(Clone, Copy)]
enum Given {
    /// All keys that will be requested.
    Keys,
    /// No collection.
    Nothing,
    /// A list with this many values.
    List(u64),
    /// A set with all members that will be requested.
    Set,
    /// A hash with all fields that will be requested.
    Hash,
    /// A sorted set with this many members.
    SortedSet(u64),
    /// A stream with this many entries.
    Stream(u64),
    /// A geospatial index (a sorted set) with this many places.
    Places(u64),
    /// This many subscribers.
    Listeners(usize),
    /// Streams for [`Ask::Groups`].
    Groups,
}

/// SETs of random keys.
pub(crate) const SET_MILLION: Load =
    Load { name: "SET, 1M keys", command: Ask::Test("set"), keys: MILLION, ..ONE };
/// The same with a pipeline.
pub(crate) const SET_MILLION_PIPED: Load =
    Load { name: "SET -P 16, 1M keys", command: Ask::Test("set"), keys: MILLION, ..MANY };

/// The range of random keys.
const MILLION: Option<u64> = Some(1_000_000);

const ONE: Load = Load {
    name: "",
    command: Ask::Mixed,
    pipeline: 1,
    keys: None,
    given: Given::Keys,
    shorter: 1,
    goal: 0.9,
};
const MANY: Load = Load { pipeline: 16, goal: 0.7, ..ONE };

/// A load on a collection.
const fn types(name: &'static str, words: &'static [&'static str], given: Given) -> Load {
    let keys = MILLION;
    Load { name, command: Ask::Words(words), given, keys, pipeline: 1, goal: 0.9, shorter: 1 }
}

/// The same with a pipeline. Has fewer operations, since the pushed values stay in memory.
const fn piped(name: &'static str, load: &Load) -> Load {
    let Load { command, keys, given, shorter, .. } = *load;
    Load { name, command, keys, given, pipeline: 16, goal: 0.75, shorter: shorter * 4 }
}

const LPUSH: Load = types("LPUSH", &["LPUSH", LIST, "VALUE"], Given::Nothing);
const RPUSH: Load = types("RPUSH", &["RPUSH", LIST, "VALUE"], Given::Nothing);
const LPOP: Load = types("LPOP", &["LPOP", LIST], Given::List(1_000_000));
const LRANGE: Load =
    Load { shorter: 4, ..types("LRANGE_100", &["LRANGE", LIST, "0", "99"], Given::List(1_000)) };
const SADD: Load = types("SADD", &["SADD", SET, "element:__rand_int__"], Given::Nothing);
const SISMEMBER: Load = types("SISMEMBER", &["SISMEMBER", SET, "element:__rand_int__"], Given::Set);
const HSET: Load = types("HSET", &["HSET", HASH, "element:__rand_int__", "VALUE"], Given::Nothing);
const HGET: Load = types("HGET", &["HGET", HASH, "element:__rand_int__"], Given::Hash);
const ZADD: Load =
    types("ZADD", &["ZADD", ZSET, "__rand_int__", "element:__rand_int__"], Given::Nothing);
const ZRANGE: Load =
    types("ZRANGE 10", &["ZRANGE", ZSET, "50000", "50009"], Given::SortedSet(100_000));
const MSET: Load = Load {
    command: Ask::Test("mset"),
    keys: MILLION,
    shorter: 4,
    ..types("MSET", &[], Given::Nothing)
};
const PUBLISH: Load = Load {
    shorter: 20,
    ..types("PUBLISH to 100", &["PUBLISH", CHANNEL, "VALUE"], Given::Listeners(100))
};
const MIXED: Load = Load { name: "80 % GET, 20 % SET", keys: MILLION, ..ONE };

const XADD: Load = types("XADD", &["XADD", STREAM, "*", "field", "VALUE"], Given::Nothing);
const XREAD: Load = Load {
    shorter: 2,
    ..types(
        "XREAD 10",
        &["XREAD", "COUNT", "10", "STREAMS", STREAM, "1-50000"],
        Given::Stream(100_000),
    )
};
const XREADGROUP: Load = Load {
    name: "XREADGROUP, XACK",
    command: Ask::Groups,
    given: Given::Groups,
    shorter: 2,
    ..ONE
};
const EVAL: Load = types(
    "EVAL of a GET",
    &["EVAL", "return redis.call('get', KEYS[1])", "1", "key:__rand_int__"],
    Given::Keys,
);
const EVALSHA: Load = Load {
    command: Ask::Script(TEN_COMMANDS),
    given: Given::Keys,
    shorter: 4,
    goal: 1.0,
    ..types("EVALSHA of ten", &[], Given::Keys)
};
const PFADD: Load = types("PFADD", &["PFADD", HLL, "element:__rand_int__"], Given::Nothing);
const GEOSEARCH: Load = Load {
    shorter: 10,
    ..types(
        "GEOSEARCH",
        &[
            "GEOSEARCH",
            PLACES,
            "FROMLONLAT",
            "13.4",
            "52.5",
            "BYRADIUS",
            "30",
            "km",
            "ASC",
            "COUNT",
            "10",
        ],
        Given::Places(100_000),
    )
};

/// A script of ten commands, as an application may have it: reads a value, counts, and adds to some
/// collections.
const TEN_COMMANDS: &str = "\
local key = KEYS[1]
local value = redis.call('get', key) or ''
local count = redis.call('incr', key .. ':count')
redis.call('hset', key .. ':hash', 'value', value, 'count', count)
redis.call('hincrby', key .. ':hash', 'sum', count)
redis.call('zadd', key .. ':zset', count, value)
redis.call('sadd', key .. ':set', count % 10)
redis.call('lpush', key .. ':list', count)
redis.call('ltrim', key .. ':list', 0, 9)
redis.call('expire', key .. ':list', 1000)
return redis.call('scard', key .. ':set')";

const STREAM: &str = "mystream";
const HLL: &str = "myhll";
const PLACES: &str = "myplaces";
const LIST: &str = "mylist";
const SET: &str = "myset";
const HASH: &str = "myhash";
const ZSET: &str = "myzset";
const CHANNEL: &str = "news";

/// The loads in cluster mode, on a node that owns all slots.
pub(crate) const IN_CLUSTER_MODE: &[Load] = &[
    Load { name: "cluster: GET, 1M keys", command: Ask::Test("get"), keys: MILLION, ..ONE },
    Load { name: "cluster: SET, 1M keys", command: Ask::Test("set"), keys: MILLION, ..ONE },
    Load { name: "cluster: GET -P 16, 1M", command: Ask::Test("get"), keys: MILLION, ..MANY },
    Load { name: "cluster: SET -P 16, 1M", command: Ask::Test("set"), keys: MILLION, ..MANY },
];

/// The loads of a single server, in the order in which they are printed.
pub(crate) const LOADS: &[Load] = &[
    Load { name: "GET", command: Ask::Test("get"), ..ONE },
    Load { name: "SET", command: Ask::Test("set"), ..ONE },
    Load { name: "GET, 1M keys", command: Ask::Test("get"), keys: MILLION, ..ONE },
    SET_MILLION,
    Load { name: "GET -P 16", command: Ask::Test("get"), ..MANY },
    Load { name: "SET -P 16", command: Ask::Test("set"), ..MANY },
    Load { name: "GET -P 16, 1M keys", command: Ask::Test("get"), keys: MILLION, ..MANY },
    SET_MILLION_PIPED,
    LPUSH,
    RPUSH,
    LPOP,
    LRANGE,
    SADD,
    SISMEMBER,
    HSET,
    HGET,
    ZADD,
    ZRANGE,
    MSET,
    PUBLISH,
    MIXED,
    XADD,
    XREAD,
    XREADGROUP,
    EVAL,
    EVALSHA,
    PFADD,
    GEOSEARCH,
    piped("LPUSH -P 16", &LPUSH),
    piped("RPUSH -P 16", &RPUSH),
    piped("LPOP -P 16", &LPOP),
    piped("LRANGE_100 -P 16", &LRANGE),
    piped("SADD -P 16", &SADD),
    piped("SISMEMBER -P 16", &SISMEMBER),
    piped("HSET -P 16", &HSET),
    piped("HGET -P 16", &HGET),
    piped("ZADD -P 16", &ZADD),
    piped("ZRANGE 10 -P 16", &ZRANGE),
    piped("MSET -P 16", &MSET),
    piped("PUBLISH to 100 -P 16", &PUBLISH),
    piped("80/20 -P 16", &MIXED),
    piped("XADD -P 16", &XADD),
    piped("XREAD 10 -P 16", &XREAD),
    piped("XREADGROUP, XACK -P 16", &XREADGROUP),
    piped("EVAL of a GET -P 16", &EVAL),
    Load { goal: 1.0, ..piped("EVALSHA of ten -P 16", &EVALSHA) },
    piped("PFADD -P 16", &PFADD),
    piped("GEOSEARCH -P 16", &GEOSEARCH),
];

/// The measurements of one round of a load.
#[derive(Clone, Copy, Default)]
pub(crate) struct Measured {
    /// CPU time (user and system) of the server per operation, in microseconds.
    pub(crate) cpu_us: f64,
    /// Operations per second, as redis-benchmark reports them.
    pub(crate) per_second: f64,
}

impl Measured {
    /// The medians of several rounds.
    pub(crate) fn median(rounds: Vec<Measured>) -> Measured {
        Measured {
            cpu_us: median(rounds.iter().map(|m| m.cpu_us).collect()),
            per_second: median(rounds.iter().map(|m| m.per_second).collect()),
        }
    }
}

impl Load {
    /// The size of a value in bytes.
    const VALUE: usize = 64;

    /// The same with fewer operations in a round.
    pub(crate) fn shortened(self, by: u64) -> Load {
        Load { shorter: self.shorter * by, ..self }
    }

    /// The range of random numbers.
    fn key_count(&self) -> u64 {
        self.keys.unwrap_or(1)
    }

    /// Adds the data that stays through all rounds.
    pub(crate) fn prepare(&self, server: &Server) -> Result<()> {
        let keys = self.key_count();
        let value = "x".repeat(Self::VALUE);
        let name = |n: u64| format!("element:{n:012}");
        match self.given {
            Given::Keys => server.fill(keys, |key| format!("key:{key:012}"), value.as_bytes()),
            Given::Set => server.grow("SADD", SET, keys, |n| vec![name(n)]),
            Given::Hash => server.grow("HSET", HASH, keys, |n| vec![name(n), value.clone()]),
            Given::SortedSet(members) => {
                server.grow("ZADD", ZSET, members, |n| vec![n.to_string(), name(n)])
            }
            Given::Stream(entries) => server.pipeline_of(entries, 2, |n, batch| {
                let id = format!("1-{}", n + 1);
                encode(
                    batch,
                    &[b"XADD", STREAM.as_bytes(), id.as_bytes(), b"field", value.as_bytes()],
                );
            }),
            Given::Places(count) => server.grow("GEOADD", PLACES, count, |n| {
                // Spread evenly over a square of several hundred kilometres.
                let (x, y) = (n % 1000, n / 1000);
                let place = |least: f64, n: u64, of: f64| format!("{:.6}", least + n as f64 / of);
                vec![place(12.4, x, 500.0), place(51.5, y, 50.0), name(n)]
            }),
            Given::Nothing | Given::List(_) | Given::Listeners(_) | Given::Groups => Ok(()),
        }
    }

    /// Adds the data that every round needs again.
    fn prepare_round(&self, server: &Server, operations: u64) -> Result<()> {
        match self.given {
            Given::Groups => groups::prepare(server, operations),
            Given::Nothing => {
                [LIST, SET, HASH, ZSET, STREAM, HLL].iter().try_for_each(|key| server.delete(key))
            }
            Given::List(values) => {
                server.delete(LIST)?;
                server.grow("RPUSH", LIST, values, |_| vec!["x".repeat(Self::VALUE)])
            }
            _ => Ok(()),
        }
    }

    /// Measures one round.
    pub(crate) fn measure(
        &self,
        benchmark: &Path,
        server: &Server,
        quick: bool,
    ) -> Result<Measured> {
        let listeners = match self.given {
            Given::Listeners(count) => Some(Listeners::start(server, count)?),
            _ => None,
        };
        // A round takes some seconds of the server's CPU time, or tenths of one, enough for a
        // trend.
        let most: u64 = match (self.pipeline, quick) {
            (1, false) => 400_000,
            (1, true) => 40_000,
            (_, false) => 4_000_000,
            (_, true) => 400_000,
        };
        let operations = most / self.shorter;
        self.prepare_round(server, operations)?;
        let before = server.cpu_of_threads()?;
        let per_second = match self.command {
            Ask::Mixed => {
                let start = Instant::now();
                mixed(server, operations, self.pipeline, self.key_count(), Self::VALUE)?;
                operations as f64 / start.elapsed().as_secs_f64()
            }
            Ask::Groups => {
                let start = Instant::now();
                groups::work(server, operations, self.pipeline)?;
                operations as f64 / start.elapsed().as_secs_f64()
            }
            ask => self.benchmark(benchmark, server, operations, ask)?,
        };
        let cpu = server.cpu_of_threads()?.saturating_sub(before);
        drop(listeners);
        Ok(Measured { cpu_us: micros(cpu) / operations as f64, per_second })
    }

    /// Runs redis-benchmark. Returns operations per second.
    fn benchmark(
        &self,
        benchmark: &Path,
        server: &Server,
        operations: u64,
        ask: Ask,
    ) -> Result<f64> {
        let mut command = pinned(benchmark, 1);
        command.args(["-h", "127.0.0.1", "-p", &server.port().to_string(), "-c", "50", "--csv"]);
        command.args(["-d", &Self::VALUE.to_string(), "-n", &operations.to_string()]);
        command.args(["-P", &self.pipeline.to_string()]);
        // Without `-r` redis-benchmark requests the literal key `key:__rand_int__`, which does not
        // exist.
        command.args(["-r", &self.key_count().to_string()]);
        match ask {
            Ask::Test(name) => _ = command.args(["-t", name]),
            Ask::Words(words) => {
                let value = "x".repeat(Self::VALUE);
                command.args(words.iter().map(|w| if *w == "VALUE" { &value } else { *w }));
            }
            Ask::Script(script) => {
                let sha1 = server.ask(&["SCRIPT", "LOAD", script])?;
                command.args(["EVALSHA", &sha1, "1", "key:__rand_int__"]);
            }
            Ask::Mixed | Ask::Groups => {}
        }
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let out = command.output().context("cannot start redis-benchmark")?;
        ensure!(out.status.success(), "redis-benchmark failed on {}", self.name);
        per_second(&String::from_utf8_lossy(&out.stdout))
    }
}

/// Clients that subscribe to a channel and read all messages.
struct Listeners(Vec<TcpStream>);

impl Listeners {
    fn start(server: &Server, count: usize) -> Result<Self> {
        use std::io::{Read, Write};
        let mut request = Vec::new();
        encode(&mut request, &[b"SUBSCRIBE", CHANNEL.as_bytes()]);
        let mut streams = Vec::new();
        for _ in 0..count {
            let mut stream = server.connect()?;
            stream.write_all(&request)?;
            let mut buffer = [0; 1 << 14];
            ensure!(stream.read(&mut buffer)? > 0, "the server closed the connection");
            let mut reader = stream.try_clone()?;
            streams.push(stream);
            // The thread ends when its connection does.
            std::thread::spawn(move || while matches!(reader.read(&mut buffer), Ok(1..)) {});
        }
        Ok(Listeners(streams))
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for stream in &self.0 {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// The rate, which is in the second column of the last line: `"GET","101010.10",…`.
fn per_second(csv: &str) -> Result<f64> {
    let line = csv.lines().last().context("redis-benchmark printed nothing")?;
    let column = line.split("\",\"").nth(1).with_context(|| format!("not a CSV line: {line}"))?;
    Ok(column.parse()?)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[test]
fn the_rate_is_read_off_the_last_line() {
    let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"101010.10\",\"0.273\"\n";
    assert_eq!(per_second(csv).unwrap(), 101_010.10);
}
