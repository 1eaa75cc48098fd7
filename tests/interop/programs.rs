//! Redis's own redis-cli and redis-benchmark as clients.

use std::io::Write;
use std::process::{Command, Stdio};

use limpid_tests::process::Process;

/// The output of `program` when connected to the server, given `input`.
fn output(program: &str, server: &Process, args: &[&str], input: &[u8]) -> String {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &server.port().to_string()]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is on PATH");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let out = child.wait_with_output().expect("its output");
    // A program that reads no input may end before all was written.
    let _ = writer.join().expect("the writer");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {}\n{text}{errors}", out.status);
    text
}

fn cli(server: &Process, args: &[&str]) -> String {
    output("redis-cli", server, args, b"")
}

#[test]
fn redis_cli_sets_and_gets() {
    let server = Process::server(&[]);
    assert_eq!(cli(&server, &["set", "k1", "hello"]), "OK\n");
    assert_eq!(cli(&server, &["get", "k1"]), "hello\n");
    assert_eq!(cli(&server, &["-3", "mget", "k1", "none"]), "hello\n\n");
    assert_eq!(cli(&server, &["--no-raw", "strlen", "k1"]), "(integer) 5\n");
    assert_eq!(cli(&server, &["-n", "3", "dbsize"]), "0\n");
    assert_eq!(output("redis-cli", &server, &["-x", "set", "k2"], b"from stdin"), "OK\n");
    assert_eq!(cli(&server, &["getrange", "k2", "0", "3"]), "from\n");
}

#[test]
fn redis_cli_reads_commands_from_its_input() {
    let server = Process::server(&[]);
    let replies = output("redis-cli", &server, &[], b"set n 41\nincr n\nttl n\nnosuch\nget n\n");
    assert!(replies.starts_with("OK\n42\n-1\nERR unknown command 'nosuch'"), "{replies}");
    assert!(replies.ends_with("42\n"), "{replies}");
}

#[test]
fn redis_cli_scans_and_pipes() {
    const KEYS: usize = 20_000;
    let server = Process::server(&[]);
    let mut commands = Vec::new();
    for key in 0..KEYS {
        let name = format!("key:{key}");
        write!(commands, "*3\r\n$3\r\nSET\r\n${}\r\n{name}\r\n$1\r\nx\r\n", name.len())
            .expect("memory");
    }
    let told = output("redis-cli", &server, &["--pipe"], &commands);
    assert!(told.contains(&format!("errors: 0, replies: {KEYS}")), "{told}");
    let mut names: Vec<String> =
        cli(&server, &["--scan", "--pattern", "key:1*"]).lines().map(str::to_owned).collect();
    names.sort();
    names.dedup();
    let expected = (0..KEYS).filter(|key| key.to_string().starts_with('1')).count();
    assert_eq!(names.len(), expected);
    let big = cli(&server, &["--bigkeys", "-i", "0"]);
    assert!(big.contains(&format!("Sampled {KEYS} keys in the keyspace!")), "{big}");
}

#[test]
fn redis_benchmark_runs_its_tests() {
    let server = Process::server(&[]);
    for pipeline in ["1", "16"] {
        let args = ["-t", "ping,set,get,incr,mset", "-n", "20000", "-q", "-P", pipeline];
        let told = output("redis-benchmark", &server, &args, b"");
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"] {
            // Progress lines are overwritten while the test runs.
            let line = told.split(['\r', '\n']).rfind(|line| line.starts_with(&format!("{test}:")));
            let done = line.is_some_and(|line| line.contains("requests per second"));
            assert!(done, "{test} did not end:\n{told}");
        }
    }
    assert_eq!(cli(&server, &["get", "counter:__rand_int__"]), "40000\n");
}
