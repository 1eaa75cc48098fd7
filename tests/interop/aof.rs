//! Append-only files: exchanged with Redis in both directions, and after kills.

use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use limpid_core::resp::value::Value;
use limpid_core::rng::Rng;
use limpid_tests::client::{Client, field};
use limpid_tests::process::{Process, binary};
use limpid_tests::wait::{until, until_some};
use tempfile::TempDir;

const DEBUG: [&str; 6] = ["--enable-debug-command", "yes", "--appendonly", "yes", "--save", ""];

fn limpid(dir: &Path, more: &[&str]) -> Process {
    let dir = dir.to_str().expect("a name");
    Process::server(&[&DEBUG[..], &["--dir", dir], more].concat())
}

fn redis(dir: &Path, more: &[&str]) -> Process {
    let dir = dir.to_str().expect("a name");
    Process::redis_server(&[&DEBUG[..], &["--dir", dir], more].concat())
}

fn digest(client: &mut Client) -> Value {
    client.call(&["DEBUG", "DIGEST"])
}

/// Waits until no rewrite is in progress.
fn rewritten(client: &mut Client) {
    let begun = client.call(&["BGREWRITEAOF"]);
    assert!(!begun.is_error(), "{begun:?}");
    let info = until_some(
        || "the rewrite does not end".into(),
        || {
            let info = client.info("persistence");
            let is = |name| field(&info, name) == "0";
            let ended = is("aof_rewrite_in_progress") && is("aof_rewrite_scheduled");
            ended.then_some(info)
        },
    );
    assert_eq!(field(&info, "aof_last_bgrewrite_status"), "ok");
}

/// Writes keys of every type, some of them large, in two databases.
fn fill(client: &mut Client, round: u64) {
    let mut call = |line: &str| {
        let reply = client.call(&line.split(' ').collect::<Vec<_>>());
        assert!(!reply.is_error(), "{line}: {reply:?}");
    };
    for db in [0, 3] {
        call(&format!("SELECT {db}"));
        call(&format!("SET text:{round} hello"));
        call(&format!("SET expiring:{round} v PX 4000000000"));
        call(&format!("INCRBYFLOAT float:{round} 3.25"));
        call(&format!("SETRANGE long:{round} 70000 end"));
        for n in 0..200 {
            call(&format!("RPUSH list:{round} item:{n}"));
            call(&format!("SADD ints:{round} {n}"));
            call(&format!("SADD set:{round} member:{n}"));
            call(&format!("HSET hash:{round} field:{n} {n}"));
            call(&format!("ZADD zset:{round} {}.5 member:{n}", n * 3));
        }
        call(&format!("SPOP set:{round} 3"));
        call(&format!("LPOP list:{round} 5"));
        call("MULTI");
        call(&format!("SET a:{round} 1"));
        call(&format!("DEL text:{round}"));
        call("EXEC");
    }
}

/// Starts a server of one kind in a directory, with further directives.
type Start = fn(&Path, &[&str]) -> Process;

/// Directives for a base file in RDB format, and for one with commands.
fn both_preambles() -> [[&'static str; 4]; 2] {
    ["yes", "no"].map(|on| ["--aof-use-rdb-preamble", on, "--aof-timestamp-enabled", "yes"])
}

/// Lets a server write a base, and `rounds` of writes after it. Returns the digest of its data.
fn leave(start: Start, dir: &Path, options: &[&str], rounds: Range<u64>) -> Value {
    let mut server = start(dir, options);
    let mut client = Client::new(server.connect());
    fill(&mut client, 1);
    rewritten(&mut client);
    rounds.for_each(|round| fill(&mut client, round));
    let left = digest(&mut client);
    assert!(server.terminate().success());
    left
}

/// Starts a server on the files that another has left.
fn take_over(start: Start, dir: &Path, options: &[&str], left: &Value) -> (Process, Client) {
    let server = start(dir, options);
    let mut client = Client::new(server.connect());
    assert_eq!(digest(&mut client), *left, "{options:?}");
    (server, client)
}

/// One server writes the files, the other reads them and continues writing.
fn hand_over(first: Start, then: Start) {
    for options in both_preambles() {
        let dir = TempDir::new().expect("a directory");
        let left = leave(first, dir.path(), &options, 2..3);
        let (mut server, mut client) = take_over(then, dir.path(), &options, &left);
        fill(&mut client, 3);
        rewritten(&mut client);
        fill(&mut client, 4);
        let left = digest(&mut client);
        assert!(server.terminate().success());
        take_over(first, dir.path(), &options, &left);
    }
}

#[test]
fn files_go_from_redis_to_limpid_and_back() {
    hand_over(redis, limpid);
}

#[test]
fn files_go_from_limpid_to_redis_and_back() {
    hand_over(limpid, redis);
}

/// Splits the last incremental file of a directory into three, as several failed rewrites leave
/// them.
fn cut_in_three(dir: &Path) {
    let dir = dir.join("appendonlydir");
    let path = dir.join("appendonly.aof.manifest");
    let manifest = std::fs::read_to_string(&path).expect("a manifest");
    let last = manifest.lines().last().expect("a line");
    let name = last.split(' ').nth(1).expect("a name");
    let number: u64 = last.split(' ').nth(3).and_then(|n| n.parse().ok()).expect("a number");
    let bytes = std::fs::read(dir.join(name)).expect("commands");
    // Each begins with SELECT, as a new file does, and with its timestamp annotation.
    let select = b"*2\r\n$6\r\nSELECT\r\n";
    let starts: Vec<usize> =
        (1..bytes.len()).filter(|at| bytes[*at..].starts_with(select)).collect();
    let (one, two) = (starts[starts.len() / 3], starts[starts.len() * 2 / 3]);
    assert!(one < two);
    std::fs::write(dir.join(name), &bytes[..one]).expect("a file");
    let mut lines = manifest;
    for (n, part) in [(number + 1, &bytes[one..two]), (number + 2, &bytes[two..])] {
        std::fs::write(dir.join(format!("appendonly.aof.{n}.incr.aof")), part).expect("a file");
        lines += &format!("file appendonly.aof.{n}.incr.aof seq {n} type i\n");
    }
    std::fs::write(path, lines).expect("a manifest");
}

#[test]
fn several_incremental_files_go_from_one_to_the_other() {
    for (first, then) in [(redis as Start, limpid as Start), (limpid, redis)] {
        for options in both_preambles() {
            let dir = TempDir::new().expect("a directory");
            let left = leave(first, dir.path(), &options, 2..6);
            cut_in_three(dir.path());
            let (mut server, mut client) = take_over(then, dir.path(), &options, &left);
            fill(&mut client, 7);
            let left = digest(&mut client);
            assert!(server.terminate().success());
            let (_server, mut client) = take_over(first, dir.path(), &options, &left);
            rewritten(&mut client);
            assert_eq!(digest(&mut client), left, "{options:?}");
        }
    }
}

#[test]
fn what_redis_wrote_goes_on_here_and_back_and_an_unknown_command_is_refused() {
    let dir = TempDir::new().expect("a directory");
    let mut server = redis(dir.path(), &[]);
    let mut client = Client::new(server.connect());
    let library = "#!lua name=lib\nredis.register_function('f', function() return 'found' end)";
    client.call(&["FUNCTION", "LOAD", library]);
    client.call(&["XADD", "stream", "1-1", "a", "b"]);
    rewritten(&mut client);
    client.call(&["SET", "k", "v"]);
    assert!(server.terminate().success());

    let mut server = limpid(dir.path(), &[]);
    let mut client = Client::new(server.connect());
    assert_eq!(client.call(&["TYPE", "stream"]), Value::Simple(b"stream".to_vec()));
    client.call(&["SET", "k", "w"]);
    rewritten(&mut client);
    assert!(server.terminate().success());

    let mut server = redis(dir.path(), &[]);
    let mut client = Client::new(server.connect());
    assert_eq!(client.call(&["XLEN", "stream"]), Value::Integer(1));
    assert_eq!(client.call(&["FCALL", "f", "0"]), Value::bulk("found"));
    assert_eq!(client.call(&["GET", "k"]), Value::bulk("w"));
    // After the base there are commands.
    client.call(&["XADD", "stream", "2-1", "c", "d"]);
    assert!(server.terminate().success());
    let port = limpid_tests::process::free_port().to_string();
    let name = dir.path().to_str().expect("a name");
    // A renamed command stands for one that a program does not know.
    let args = ["server", "--port", &port, "--bind", "127.0.0.1", "--appendonly", "yes"];
    let args = [&args[..], &["--rename-command", "XADD", ""]].concat();
    let mut refused = Process::start(&[&args[..], &["--dir", name]].concat(), &[], 0);
    assert_eq!(refused.wait().code(), Some(1));
    let output = refused.output();
    assert!(output.contains("Unknown command 'XADD' reading the append only file"), "{output}");
    assert!(output.contains("let it rewrite them by BGREWRITEAOF"), "{output}");
    // The attempt has lost nothing.
    let server = redis(dir.path(), &[]);
    let mut client = Client::new(server.connect());
    assert_eq!(client.call(&["XLEN", "stream"]), Value::Integer(2));
}

/// The output of a program that checks append-only files, and whether it succeeds.
fn check(program: &mut Command, args: &[&str], dir: &Path) -> (String, bool) {
    use std::io::Write as _;
    let mut child = program
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    // A program that does not ask may end before the answer is written.
    let _ = child.stdin.take().expect("a pipe").write_all(b"y\n");
    let out = child.wait_with_output().expect("its output");
    (String::from_utf8_lossy(&out.stdout).into_owned(), out.status.success())
}

#[test]
fn torn_files_are_judged_and_mended_as_redis_does_it() {
    let whole = "#TS:1000\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n\
                 #TS:2000\r\n*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$2\r\n22\r\n\
                 *1\r\n$4\r\nEXEC\r\n";
    let mut files: Vec<Vec<u8>> =
        (0..=whole.len()).map(|n| whole.as_bytes()[..n].to_vec()).collect();
    let others = [
        "*2\r\n$3\r\nSETT\r\n",
        "*1\r\n$4\r\nEXEC\r\n",
        "junk",
        "*1\r\n$-5\r\n",
        "*x\r\n",
        "*1\r\nx4\r\n",
    ];
    files.extend(others.iter().map(|text| [whole.as_bytes(), text.as_bytes()].concat()));
    for (n, file) in files.iter().enumerate() {
        for args in [&["--fix"][..], &["--truncate-to-timestamp", "1500"], &[]] {
            let results: Vec<_> = [true, false]
                .into_iter()
                .map(|own| {
                    let dir = TempDir::new().expect("a directory");
                    std::fs::write(dir.path().join("a.aof"), file).expect("a file");
                    let args = [args, &["a.aof"]].concat();
                    let (out, good) = if own {
                        let args = [&["check-aof"][..], &args].concat();
                        check(&mut Command::new(binary()), &args, dir.path())
                    } else {
                        check(&mut Command::new("redis-check-aof"), &args, dir.path())
                    };
                    // After the end of a truncated line Redis's program prints uninitialized
                    // memory.
                    let out: Vec<String> = out
                        .lines()
                        .map(|line| line.split(", got: ").next().unwrap_or_default().to_owned())
                        .collect();
                    (out, good, std::fs::read(dir.path().join("a.aof")).expect("the file"))
                })
                .collect();
            assert_eq!(results[0], results[1], "{n} {args:?}");
        }
    }
}

#[test]
fn a_whole_directory_is_checked_as_redis_does_it() {
    let dir = TempDir::new().expect("a directory");
    let mut server = limpid(dir.path(), &[]);
    let mut client = Client::new(server.connect());
    fill(&mut client, 1);
    rewritten(&mut client);
    fill(&mut client, 2);
    assert!(server.terminate().success());
    let manifest = "appendonlydir/appendonly.aof.manifest";
    let (own, good) = check(Command::new(binary()).arg("check-aof"), &[manifest], dir.path());
    assert!(good, "{own}");
    let (peer, good) = check(&mut Command::new("redis-check-aof"), &[manifest], dir.path());
    assert!(good, "{peer}");
    let last = |text: &str| text.lines().last().map(str::to_owned);
    assert_eq!(last(&own), last(&peer));
    let incr = dir.path().join("appendonlydir/appendonly.aof.2.incr.aof");
    let bytes = std::fs::read(&incr).expect("commands");
    std::fs::write(&incr, &bytes[..bytes.len() - 3]).expect("a torn end");
    let (own, good) =
        check(Command::new(binary()).arg("check-aof"), &["--fix", manifest], dir.path());
    assert!(good && own.contains("Successfully truncated AOF"), "{own}");
    let mut server = limpid(dir.path(), &["--aof-load-truncated", "no"]);
    assert!(server.terminate().success());
}

/// Writes until the connection breaks. Returns how many writes were acknowledged.
fn write_until_killed(mut client: Client, writer: u64) -> u64 {
    let mut acknowledged = 0;
    loop {
        let n = (acknowledged + 1).to_string();
        client.send(&["HSET", &format!("writer:{writer}"), &n, &n]);
        match client.read() {
            Some(reply) if !reply.value.is_error() => acknowledged += 1,
            _ => return acknowledged,
        }
    }
}

#[test]
fn a_process_that_is_killed_has_written_what_it_acknowledged() {
    let dir = TempDir::new().expect("a directory");
    let mut rng = Rng::new(u64::from(std::process::id()));
    let rounds: u64 = std::env::var("LIMPID_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    for round in 0..rounds {
        let fsync = if round % 2 == 0 { "always" } else { "everysec" };
        let options = [
            "--appendfsync",
            fsync,
            "--auto-aof-rewrite-min-size",
            "10000",
            "--auto-aof-rewrite-percentage",
            "50",
        ];
        let server = limpid(dir.path(), &options);
        Client::new(server.connect()).call(&["FLUSHALL"]);
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let client = Client::new(server.connect());
                std::thread::spawn(move || write_until_killed(client, writer))
            })
            .collect();
        // The moment of the kill is a number of writes, so that it does not depend on the machine's
        // speed.
        let (mut watcher, writes) = (Client::new(server.connect()), 1 + rng.below(2_000));
        until(
            || format!("the clients do not write {writes} times, round {round}"),
            || {
                let written = watcher.call(&["HLEN", "writer:0"]);
                matches!(written, Value::Integer(n) if n as u64 * 8 >= writes)
            },
        );
        // SIGKILL
        drop(server);
        let acknowledged: Vec<u64> =
            writers.into_iter().map(|writer| writer.join().expect("a count")).collect();
        let server = limpid(dir.path(), &options);
        let mut client = Client::new(server.connect());
        for (writer, acknowledged) in acknowledged.into_iter().enumerate() {
            let key = format!("writer:{writer}");
            let Value::Integer(held) = client.call(&["HLEN", &key]) else { panic!("no length") };
            let held = held as u64;
            // With `everysec`, writes during an fsync may be lost (the World's tests limit how
            // many), but no write may be there without those before it.
            let durable = fsync == "always";
            assert!(held >= acknowledged || !durable, "round {round}: {held} of {acknowledged}");
            let last = client.call(&["HEXISTS", &key, &held.to_string()]);
            assert_eq!(last, Value::Integer(i64::from(held > 0)), "round {round}: {held}");
        }
    }
}
