//! Compares Debian's nutcracker with Limpid's, each in front of its own three servers: the same
//! requests must give the same bytes.
//!
//! The servers have names, so that both proxies put every key on the same one.

use std::path::Path;
use std::process::Command;

use limpid_core::resp::value::{Value, encode_command};
use limpid_core::rng::Rng;
use limpid_tests::client::Client;
use limpid_tests::process::binary;

use super::{Program, ports, redis, until};

/// One proxy and its servers.
struct Side {
    proxy: Program,
    servers: Vec<Program>,
}

fn config(listen: u16, servers: &[Program], distribution: &str) -> String {
    let servers: String = servers
        .iter()
        .enumerate()
        .map(|(i, server)| format!("   - 127.0.0.1:{}:{} server{i}\n", server.port, i + 1))
        .collect();
    format!(
        "pool:\n  listen: 127.0.0.1:{listen}\n  redis: true\n  hash: murmur\n  \
         distribution: {distribution}\n  hash_tag: \"{{}}\"\n  timeout: 2000\n  servers:\n{servers}"
    )
}

/// The kind of the servers behind a proxy.
#[derive(Clone, Copy)]
enum Servers {
    Redis,
    Limpid,
}

fn side(ours: bool, behind: Servers, distribution: &str) -> Side {
    let server = |port: u16| match behind {
        Servers::Redis => redis(port, &[]),
        Servers::Limpid => {
            let args = ["server", "--port", &port.to_string(), "--save", ""];
            Program::start(binary(), &args, &[], port)
        }
    };
    let servers: Vec<Program> = ports::<3>().map(server).into();
    let [listen, stats] = ports();
    let text = config(listen, &servers, distribution);
    let stats = stats.to_string();
    let args = ["-c", "n.yml", "-s", &stats, "-a", "127.0.0.1"];
    let files = [("n.yml", text.as_str())];
    let proxy = if ours {
        let args = ["proxy", "--twemproxy", "n.yml", "-s", &stats, "-a", "127.0.0.1"];
        Program::start(binary(), &args, &files, listen)
    } else {
        Program::start(Path::new("nutcracker"), &args, &files, listen)
    };
    Side { proxy, servers }
}

/// Nutcracker and Limpid's proxy, both in front of Redis.
fn sides(distribution: &str) -> [Side; 2] {
    [false, true].map(|ours| side(ours, Servers::Redis, distribution))
}

/// A random request of those with deterministic replies.
fn request(rng: &mut Rng) -> Vec<String> {
    const FORMS: &[&str] = &[
        "SET k v",
        "SET k v NX",
        "GET k",
        "GETSET k v",
        "APPEND k v",
        "STRLEN k",
        "INCR n",
        "INCRBY n 7",
        "DECR n",
        "SETEX k 100 v",
        "TTL none",
        "EXISTS k",
        "TYPE k",
        "PERSIST k",
        "DEL k",
        "DEL k k k k",
        "UNLINK k k",
        "TOUCH k k k",
        "MGET k k k k k",
        "MGET k",
        "MSET k v k v k v",
        "MSET k v",
        "LPUSH l v v",
        "RPUSH l v",
        "LRANGE l 0 -1",
        "LLEN l",
        "LPOP l",
        "RPOP l",
        "LINDEX l 0",
        "LREM l 0 v",
        "HSET h f v",
        "HGET h f",
        "HMGET h f f",
        "HLEN h",
        "HDEL h f",
        "HEXISTS h f",
        "SADD s v",
        "SCARD s",
        "SISMEMBER s v",
        "SREM s v",
        "ZADD z 1 v",
        "ZRANGE z 0 -1",
        "ZSCORE z v",
        "ZCARD z",
        "ZREM z v",
        "SETRANGE k 2 v",
        "GETRANGE k 0 3",
        "BITCOUNT k",
        "PFADD p v",
        "PFCOUNT p",
        "INCRBYFLOAT n 0.5",
        "PING",
        "EVAL script 1 k v",
        "LPUSH k v",
        "GET l",
        "INCR k",
        "SET k v bogus",
        "HSET h f",
        "EXPIRE k x",
        "SORT l",
        "ZADD z x v",
        "GETEX k",
        "COPY {t}k {t}other",
        "SMOVE {t}a {t}b v",
    ];
    let form = FORMS[rng.below(FORMS.len() as u64) as usize];
    form.split(' ')
        .map(|word| match word {
            "k" => format!("key:{}", rng.below(30)),
            "n" | "l" | "h" | "s" | "z" | "p" => format!("{word}:{}", rng.below(4)),
            "f" => format!("field:{}", rng.below(5)),
            "v" => match rng.below(40) {
                0 => "long".repeat(5_000),
                n => format!("value:{n}"),
            },
            "script" => "return {KEYS[1], ARGV[1], 7}".to_owned(),
            other => other.to_owned(),
        })
        .collect()
}

/// Sends bytes in pieces, and reads `replies` replies.
fn play(client: &mut Client, bytes: &[u8], cut: usize, replies: usize) -> Vec<Vec<u8>> {
    for piece in bytes.chunks(cut) {
        client.send_raw(piece);
    }
    (0..replies).map_while(|_| client.read()).map(|reply| reply.raw).collect()
}

#[test]
fn random_pipelines_cut_anywhere_are_answered_alike() {
    let rounds = std::env::var("LIMPID_SEQUENCES").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let mut compared = 0;
    for distribution in ["ketama", "modula"] {
        let original = side(false, Servers::Redis, distribution);
        let others = [
            ("ours before Redis", side(true, Servers::Redis, distribution)),
            ("theirs before Limpid", side(false, Servers::Limpid, distribution)),
            ("ours before Limpid", side(true, Servers::Limpid, distribution)),
        ];
        let mut client = original.proxy.client();
        let mut clients = others.each_ref().map(|(who, side)| (*who, side.proxy.client()));
        for seed in 0..rounds {
            let mut rng = Rng::new(seed);
            let requests: Vec<Vec<String>> =
                (0..1 + rng.below(30)).map(|_| request(&mut rng)).collect();
            let mut bytes = Vec::new();
            requests.iter().for_each(|words| encode_command(words, &mut bytes));
            let cut = match rng.below(3) {
                0 => bytes.len(),
                1 => 1_000 + rng.below(3_000) as usize,
                _ => 1.max(bytes.len() / 20),
            };
            let expected = play(&mut client, &bytes, cut, requests.len());
            assert_eq!(expected.len(), requests.len());
            for (who, client) in &mut clients {
                let got = play(client, &bytes, cut, requests.len());
                for ((words, expected), got) in requests.iter().zip(&expected).zip(&got) {
                    assert_eq!(
                        got.escape_ascii().to_string(),
                        expected.escape_ascii().to_string(),
                        "{who}, {distribution}, seed {seed}: {words:?}"
                    );
                }
                assert_eq!(got.len(), requests.len());
                compared += requests.len();
            }
        }
        // And the keys are on the same servers.
        for (who, side) in &others {
            for (a, b) in original.servers.iter().zip(&side.servers) {
                let count = |server: &Program| server.client().call(&["DBSIZE"]);
                assert_eq!(count(a), count(b), "{who}, {distribution}");
            }
        }
    }
    println!("{compared} commands compared");
}

#[test]
fn whatever_twemproxy_refuses_ends_the_connection_here_too() {
    let [theirs, ours] = sides("ketama");
    let words = |line: &str| {
        let mut bytes = Vec::new();
        encode_command(&line.split(' ').collect::<Vec<_>>(), &mut bytes);
        bytes
    };
    let commands = [
        "KEYS *",
        "WATCH k",
        "MULTI",
        "SELECT 1",
        "ECHO x",
        "INFO",
        "SCAN 0",
        "BLPOP k 0",
        "SUBSCRIBE c",
        "RENAME a b",
        "MSETNX a 1",
        "OBJECT encoding k",
        "BITOP and a b",
        "CLIENT list",
        "HELLO 3",
        "CONFIG get x",
        "FLUSHALL",
        "MOVE k 1",
        "PING x",
        "AUTH a b",
        "EVAL x 0",
        "GET",
        "EVAL x y k",
        "MSET a 1 b",
        "GET a b",
        "SET k",
        "XADD s 1 a b",
        "SCRIPT load x",
        "QUIT",
        "bogus",
    ];
    let raw: [&[u8]; 9] = [
        b"GET k\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*1\r\n$-1\r\n",
        b"*2\r\n$3\r\nGET\r\n+k\r\n",
        b"*2\r\n$3\r\nGET\r\n$1\r\nkk\r\n",
        b"*1\r\n$0\r\n\r\n",
        b"*x\r\n",
        b"\r\n",
    ];
    let mut all: Vec<Vec<u8>> = commands.map(words).to_vec();
    all.extend(raw.map(<[u8]>::to_vec));
    all.push(words(&format!("GET {}", "k".repeat(16_336))));
    for bytes in &all {
        let ends = |side: &Side| {
            let mut client = side.proxy.client();
            client.send_raw(bytes);
            client.read().map(|reply| reply.raw)
        };
        assert_eq!(ends(&ours), ends(&theirs), "{}", bytes.escape_ascii());
    }
    // Requests that are just short enough, and those that the proxy answers itself.
    for line in [&format!("GET {}", "k".repeat(16_335)), "PING", "AUTH x", "set k v", "TyPe k"] {
        let answer = |side: &Side| {
            let mut client = side.proxy.client();
            client.send_raw(&words(line));
            client.read().map(|reply| reply.raw)
        };
        assert_eq!(answer(&ours), answer(&theirs), "{line}");
    }
}

#[test]
fn a_dead_server_is_told_in_the_same_words() {
    let [mut theirs, mut ours] = sides("modula");
    for side in [&mut theirs, &mut ours] {
        side.servers[1].kill();
    }
    let mut seen = [0; 2];
    for i in 0..60 {
        let answer = |side: &Side| {
            let mut client = side.proxy.client();
            raw(&mut client, &format!("key:{i}"))
        };
        let (expected, got) = (answer(&theirs), answer(&ours));
        assert_eq!(got.escape_ascii().to_string(), expected.escape_ascii().to_string(), "key:{i}");
        seen[usize::from(expected.starts_with(b"-ERR Connection refused"))] += 1;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    // If a part fails, the reply is one error, and after an MGET the connection is closed.
    for words in [
        &["DEL", "key:1", "key:2", "key:3", "key:4", "key:5", "key:6"][..],
        &["MSET", "key:1", "1", "key:2", "2", "key:3", "3", "key:4", "4", "key:5", "5"][..],
        &["MGET", "key:1", "key:2", "key:3", "key:4", "key:5", "key:6"][..],
    ] {
        let answer = |side: &Side| {
            let mut client = side.proxy.client();
            client.send(words);
            let first = client.read().map(|reply| reply.raw);
            client.send(&["PING"]);
            (first, client.read().map(|reply| reply.raw))
        };
        assert_eq!(answer(&ours), answer(&theirs), "{words:?}");
    }
    // Its keys are served again when it is back.
    let port = ours.servers[1].port;
    ours.servers[1] = redis(port, &[]);
    until(
        || "all keys are served".to_owned(),
        || {
            let mut client = ours.proxy.client();
            (0..60).all(|i| !raw(&mut client, &format!("key:{i}")).starts_with(b"-"))
        },
    );
}

#[test]
fn a_server_that_stands_still_is_told_in_the_same_words() {
    let both = sides("modula");
    // A key of the server that will be stopped.
    let key = (0..).map(|n| format!("key:{n}")).find(|key| {
        let mut client = both[0].proxy.client();
        client.call(&["SET", key, "here"]);
        both[0].servers[1].client().call(&["EXISTS", key]) == Value::Integer(1)
    });
    let key = key.expect("a key");
    both[1].proxy.client().call(&["SET", &key, "here"]);
    let signal = |signal: &str| {
        for side in &both {
            let pid = side.servers[1].child.id().to_string();
            let sent = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
            assert!(sent.success());
        }
    };
    signal("-STOP");
    // Later requests on the same connection get the same error, and those that the proxy answers
    // itself keep their order.
    let answers = both.each_ref().map(|side| {
        let mut client = side.proxy.client();
        client.send(&["GET", &key]);
        client.send(&["APPEND", &key, "!"]);
        client.send(&["PING"]);
        [(); 3].map(|()| client.read().map(|reply| reply.raw))
    });
    signal("-CONT");
    assert_eq!(answers[1], answers[0]);
    assert_eq!(answers[0][0].as_deref(), Some(&b"-ERR Connection timed out\r\n"[..]));
    for side in &both {
        until(
            || format!("{key} is not served again"),
            || raw(&mut side.proxy.client(), &key).starts_with(b"$"),
        );
    }
}

/// The bytes of the reply to a GET.
fn raw(client: &mut Client, key: &str) -> Vec<u8> {
    client.send(&["GET", key]);
    client.read().expect("a reply").raw
}
