//! Compares `limpid cli` with Redis's redis-cli: the same input on the same server must print the
//! same bytes. Also tests `limpid cli` at a terminal.

use std::io::Write;
use std::process::{Command, Stdio};

use limpid_tests::process::{Process, binary, free_port};
use rexpect::session::{PtySession, spawn_command};

/// The result of a run of a client.
#[derive(Debug, PartialEq)]
struct Run {
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

/// Runs a client. `tty` makes it print as to a terminal.
fn run(mut client: Command, port: u16, args: &[&str], input: &[u8], tty: bool) -> Run {
    client.args(["-p", &port.to_string()]).args(args);
    client.env_remove("REDISCLI_AUTH").env("TERM", "dumb");
    if tty {
        client.env("FAKETTY", "1");
    }
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = client.spawn().expect("the client starts");
    // A client that reads no input may end before all was written.
    let _ = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("its output");
    Run {
        stdout: escaped(&output.stdout),
        stderr: escaped(&output.stderr),
        code: output.status.code(),
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\n", "\n")
}

fn limpid() -> Command {
    let mut command = Command::new(binary());
    command.arg("cli");
    command
}

/// Runs both clients and compares their results.
fn same(port: u16, args: &[&str], input: &[u8], tty: bool) {
    let theirs = run(Command::new("redis-cli"), port, args, input, tty);
    let ours = run(limpid(), port, args, input, tty);
    assert_eq!(ours, theirs, "{args:?} {:?} tty: {tty}", input.escape_ascii().to_string());
}

fn redis() -> Process {
    Process::redis_server(&["--enable-debug-command", "yes"])
}

#[test]
fn replies_look_as_in_redis_cli() {
    let server = redis();
    let port = server.port();
    let fill = b"rpush list a \"b c\" \"\\x00\\xff\\n\" 4 5 6 7 8 9 10 11\nhset hash f1 v1 f2 \"v\\\"2\"\n\
        sadd one m\nzadd zset 1.5 a 2 b\nset k \"tab\\there\"\nset n 7\n";
    run(Command::new("redis-cli"), port, &[], fill, false);
    let nested = "return {1,{2,{3,'x'},{}},'y',{{{4}}},false,redis.error_reply('ERR in')}";
    let commands: &[&[&str]] = &[
        &["get", "k"],
        &["get", "none"],
        &["incrby", "n", "0"],
        &["lrange", "list", "0", "-1"],
        &["lrange", "none", "0", "-1"],
        &["hgetall", "hash"],
        &["hgetall", "none"],
        &["smembers", "one"],
        &["smembers", "none"],
        &["zrange", "zset", "0", "-1", "withscores"],
        &["zscore", "zset", "a"],
        &["lpush", "k", "x"],
        &["nosuchcommand"],
        &["command", "info", "get", "nosuch", "set"],
        &["config", "get", "maxmemory*"],
        &["object", "encoding", "k"],
        &["eval", nested, "0"],
        &["debug", "protocol", "double"],
        &["debug", "protocol", "null"],
        &["debug", "protocol", "array"],
        &["debug", "protocol", "set"],
        &["debug", "protocol", "map"],
        &["debug", "protocol", "verbatim"],
        &["debug", "protocol", "true"],
        &["debug", "protocol", "false"],
    ];
    let formats: &[&[&str]] = &[
        &[],
        &["-3"],
        &["--raw"],
        &["-3", "--raw"],
        &["--no-raw"],
        &["--csv"],
        &["-3", "--csv"],
        &["--json"],
        &["-2", "--json"],
        &["--quoted-json"],
        &["-e"],
        &["-d", ", ", "-D", ";", "--raw"],
    ];
    for format in formats {
        for command in commands {
            for tty in [false, true] {
                same(port, &[*format, *command].concat(), b"", tty);
            }
        }
    }
}

#[test]
fn lines_from_a_pipe_are_answered_as_in_redis_cli() {
    let server = redis();
    let lines = b"set a 1\n3 incr a\n  get   a  \n\nget \"a\nget \"\"a\n0 get a\nselect 2\nset b \"\\x41\"\n\
        multi\nget b\nexec\nmulti\nselect 5\ndiscard\nget b\nhelp nosuchtopic\n:set nosuch\n:nosuch\n\
        restart\nreset\nping\nquit\n";
    for tty in [false, true] {
        same(server.port(), &[], lines, tty);
    }
}

#[test]
fn what_goes_wrong_is_told_as_in_redis_cli() {
    let server = Process::redis_server(&["--requirepass", "secret"]);
    let (port, nobody) = (server.port(), free_port());
    for (port, args) in [
        (nobody, &["ping"][..]),
        (nobody, &["--scan"]),
        (port, &["ping"]),
        (port, &["-a", "secret", "ping"]),
        (port, &["-a", "secret", "--no-auth-warning", "ping"]),
        (port, &["-a", "wrong", "ping"]),
        (port, &["-a", "secret", "--no-auth-warning", "-n", "99", "ping"]),
        (port, &["-X"]),
        (port, &["--nosuch", "x"]),
        (port, &["-x", "-X", "tag"]),
        (port, &["-X", "tag", "set", "k", "other"]),
        (port, &["--quoted-input", "get", "\"unterminated"]),
        (port, &["-u", "redis://:secret@127.0.0.1", "--no-auth-warning", "-e", "nosuch"]),
        (port, &["-u", "http://x"]),
    ] {
        same(port, args, b"input", false);
    }
    // Reading continues after a line that fails.
    same(nobody, &[], b"ping\nset a b\n", true);
}

#[test]
fn arguments_from_standard_input() {
    let server = redis();
    let port = server.port();
    same(port, &["-x", "set", "k"], b"line\n\x00\xff", true);
    same(port, &["-X", "tag", "set", "tag", "v"], b"key", true);
    same(port, &["--quoted-input", "set", "\"\\x00a\"", "v"], b"", true);
    same(port, &["-r", "3", "-i", "0.01", "strlen", "k"], b"", true);
    same(port, &["--scan", "--pattern", "k*"], b"", false);
    same(port, &["--scan", "--quoted-pattern", "\"\\x00*\""], b"", true);
    same(port, &["--pipe"], b"SET a 1\r\nnosuch\r\nGET a\r\n", false);
}

/// A terminal with `limpid cli` in it.
#[test]
fn a_data_set_and_functions_alone_are_written_to_files() {
    let server = redis();
    run(limpid(), server.port(), &["config", "set", "repl-diskless-sync-delay", "0"], b"", false);
    run(limpid(), server.port(), &["debug", "populate", "1000"], b"", false);
    let library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    run(limpid(), server.port(), &["function", "load", library], b"", false);
    let dir = tempfile::TempDir::new().expect("a directory");
    let path = dir.path().join("copy.rdb");
    let path = path.to_str().expect("a path");
    for (mode, keys) in [("--rdb", "1000"), ("--functions-rdb", "0")] {
        let mut files = Vec::new();
        let mut said = Vec::new();
        for client in [Command::new("redis-cli"), limpid()] {
            let told = run(client, server.port(), &[mode, path], b"", false);
            files.push(std::fs::metadata(path).expect("the file").len());
            said.push(told);
        }
        assert_eq!(said[0], said[1], "{mode}");
        assert_eq!(files[0], files[1], "{mode}");
        let checked = Command::new("redis-check-rdb").arg(path).output().expect("it runs");
        let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.contains("RDB looks OK!"), "{mode}: {checked}");
        assert!(checked.contains(&format!("[info] {keys} keys read")), "{mode}: {checked}");
    }
    same(server.port(), &["--rdb", "/no/such/directory/copy.rdb"], b"", false);
    same(server.port(), &["--rdb"], b"", false);
}

fn terminal(port: u16, history: &std::path::Path) -> PtySession {
    let mut command = limpid();
    command.args(["-p", &port.to_string()]);
    command.env("REDISCLI_HISTFILE", history).env("REDISCLI_RCFILE", "/dev/null");
    command.env("TERM", "xterm");
    spawn_command(command, Some(20_000)).expect("a terminal")
}

#[test]
fn a_person_at_a_terminal() {
    let server = redis();
    let port = server.port();
    let dir = tempfile::tempdir().unwrap();
    let history = dir.path().join("history");
    let mut terminal = terminal(port, &history);
    let mut prompt = format!("127.0.0.1:{port}> ");
    terminal.exp_string(&prompt).unwrap();
    terminal.send_line("set k hello").unwrap();
    terminal.exp_string("OK\r\n").unwrap();
    terminal.exp_string(&prompt).unwrap();

    // A grey hint follows the cursor, and Tab completes.
    terminal.send("get ").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("\x1b[90mkey\x1b[0m").unwrap();
    terminal.send_line("k").unwrap();
    terminal.exp_string("\"hello\"\r\n").unwrap();
    terminal.exp_string(&prompt).unwrap();
    terminal.send("strl\t").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("STRLEN").unwrap();
    terminal.send_line(" k").unwrap();
    terminal.exp_string("(integer) 5\r\n").unwrap();

    // The prompt follows SELECT and MULTI.
    terminal.exp_string(&prompt).unwrap();
    terminal.send_line("select 1").unwrap();
    prompt = format!("127.0.0.1:{port}[1]> ");
    terminal.exp_string(&prompt).unwrap();
    terminal.send_line("multi").unwrap();
    terminal.exp_string(&format!("127.0.0.1:{port}[1](TX)> ")).unwrap();
    terminal.send_line("discard").unwrap();
    terminal.exp_string(&prompt).unwrap();

    // Messages stream until Ctrl-C.
    terminal.send_line("subscribe news").unwrap();
    terminal.exp_string("Reading messages... (press Ctrl-C to quit").unwrap();
    run(Command::new("redis-cli"), port, &["publish", "news", "hi"], b"", false);
    terminal.exp_string("3) \"hi\"").unwrap();
    terminal.exp_string("Reading messages...").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string(&prompt).unwrap();
    terminal.send_line("monitor").unwrap();
    terminal.exp_string("OK\r\n").unwrap();
    run(Command::new("redis-cli"), port, &["get", "seen"], b"", false);
    terminal.exp_string("\"get\" \"seen\"").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string(&prompt).unwrap();

    // The history is kept, without secrets.
    terminal.send_line("auth secret").unwrap();
    terminal.exp_string("(error)").unwrap();
    terminal.exp_string(&prompt).unwrap();
    terminal.send_line("quit").unwrap();
    terminal.exp_eof().unwrap();
    let kept = std::fs::read_to_string(&history).unwrap();
    assert!(kept.starts_with("set k hello\nget k\n"), "{kept}");
    assert!(!kept.contains("secret"), "{kept}");
}

#[test]
fn a_server_that_goes_and_comes_back() {
    let mut server = redis();
    let port = server.port();
    let dir = tempfile::tempdir().unwrap();
    let mut terminal = terminal(port, &dir.path().join("history"));
    let prompt = format!("127.0.0.1:{port}> ");
    terminal.exp_string(&prompt).unwrap();
    server.terminate();
    terminal.send_line("ping").unwrap();
    terminal.exp_string("Error: Server closed the connection\r\n").unwrap();
    terminal.exp_string("not connected> ").unwrap();
    terminal.send_line("ping").unwrap();
    terminal.exp_string("Connection refused\r\n").unwrap();
    terminal.exp_string("not connected> ").unwrap();
    terminal.send_control('d').unwrap();
    terminal.exp_eof().unwrap();
}
