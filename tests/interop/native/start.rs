//! Starting with configuration files and arguments, errors in these, and ending by a signal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use limpid_tests::process::{Process, binary, free_port};
use limpid_tests::wait::until_some;

use super::{connect, ping};

#[test]
fn a_server_starts_with_a_file_that_includes_another_and_arguments_that_win() {
    let port = free_port();
    let files = [
        ("redis.conf", "bind 127.0.0.1\nport 1\ninclude more/*.conf\n"),
        ("second.conf", "requirepass \"from the file\"\n"),
    ];
    let port_text = port.to_string();
    let args = ["server", "redis.conf", "--port", &port_text, "--include", "second.conf"];
    let mut server = Process::start(&args, &files, port);
    server.wait_for_line("Ready to accept connections tcp").expect("a start");
    assert!(server.output().contains("* Configuration loaded"), "{}", server.output());
    let mut stream = server.connect();
    stream.write_all(b"AUTH \"from the file\"\r\n").expect("sent");
    let mut reply = [0; 5];
    stream.read_exact(&mut reply).expect("a reply");
    assert_eq!(&reply, b"+OK\r\n");
    ping(&mut stream);
}

#[test]
fn a_bad_line_stops_the_start_with_its_number_and_text() {
    let files = [("redis.conf", "port 7000\n\nmaxmemroy 1gb\n")];
    let mut server = Process::start(&["server", "redis.conf"], &files, 0);
    assert_eq!(server.wait().code(), Some(1));
    let output = server.output();
    assert!(output.contains("*** FATAL CONFIG FILE ERROR (Redis 7."), "{output}");
    assert!(output.contains("Reading the configuration file, at line 3"), "{output}");
    assert!(output.contains(">>> 'maxmemroy 1gb'"), "{output}");
    assert!(output.contains("Bad directive or wrong number of arguments"), "{output}");
}

#[test]
fn a_missing_file_is_named() {
    let mut server = Process::start(&["server", "nowhere.conf"], &[], 0);
    assert_eq!(server.wait().code(), Some(1));
    let expected = "Fatal error, can't open config file 'nowhere.conf': No such file or directory";
    assert!(server.output().contains(expected), "{}", server.output());
}

#[test]
fn a_missing_directory_is_named() {
    let mut server = Process::start(&["server", "--dir", "/nowhere"], &[], 0);
    assert_eq!(server.wait().code(), Some(1));
    let expected = "Can't chdir to '/nowhere': No such file or directory";
    assert!(server.output().contains(expected), "{}", server.output());
}

#[test]
fn a_taken_port_is_told_in_the_words_of_redis() {
    let first = Process::server(&[]);
    let port = first.port().to_string();
    let args = ["server", "--bind", "127.0.0.1", "--port", &port];
    let mut second = Process::start(&args, &[], 0);
    assert_eq!(second.wait().code(), Some(1));
    let output = second.output();
    assert!(output.contains("bind: Address already in use"), "{output}");
    assert!(output.contains(&format!("Failed listening on port {port} (tcp)")), "{output}");
    ping(&mut first.connect());
}

#[test]
fn the_configuration_may_come_from_standard_input() {
    let port = free_port();
    let mut child = Command::new(binary())
        .args(["server", "-", "--bind", "127.0.0.1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("limpid starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(format!("port {port}\n").as_bytes()).expect("sent");
    drop(stdin);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let ready = lines.any(|line| line.is_ok_and(|line| line.contains("Ready to accept")));
    if ready {
        ping(&mut connect(port));
    }
    child.kill().expect("running");
    child.wait().expect("ended");
    assert!(ready, "the server became ready");
}

#[test]
fn signals_end_it_in_good_order() {
    let mut server = Process::server(&[]);
    ping(&mut server.connect());
    assert_eq!(server.terminate().code(), Some(0));
    let output = server.output();
    assert!(output.contains("Received SIGTERM scheduling shutdown..."), "{output}");
    assert!(output.contains("# Redis is now ready to exit, bye bye..."), "{output}");
    assert!(TcpStream::connect(server.address()).is_err());
}

#[test]
fn log_lines_go_to_the_file_that_was_named_in_the_directory_that_was_named() {
    let port = free_port();
    let data = tempfile::TempDir::new().expect("a directory");
    let dir = data.path();
    let (port_text, dir_text) = (port.to_string(), dir.to_str().expect("UTF-8"));
    let args = ["server", "--port", &port_text, "--bind", "127.0.0.1", "--dir", dir_text];
    let files = ["--logfile", "limpid.log", "--pidfile", "limpid.pid"];
    let mut server = Process::start(&[&args[..], &files].concat(), &[], port);
    // There is no output to wait for, so this waits for the port.
    let connect = || TcpStream::connect(server.address()).ok();
    ping(&mut until_some(|| "the server listens".into(), connect));
    let pid = std::fs::read_to_string(dir.join("limpid.pid")).expect("a pid file");
    assert_eq!(pid, format!("{}\n", server.pid()));
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(server.output(), "");
    assert!(!dir.join("limpid.pid").exists(), "the pid file is gone");
    let log = std::fs::read_to_string(dir.join("limpid.log")).expect("a log");
    assert!(log.contains(":M ") && log.contains("* Ready to accept connections tcp"), "{log}");
}

#[test]
fn a_unix_socket_serves_and_has_its_permissions() {
    let server = Process::server(&["--unixsocket", "limpid.sock", "--unixsocketperm", "700"]);
    let path = server.dir().join("limpid.sock");
    let mode = std::fs::metadata(&path).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    ping(&mut UnixStream::connect(&path).expect("a connection"));
}

#[test]
fn under_the_name_of_redis_server_it_is_one() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let link = dir.path().join("redis-server");
    symlink(binary(), &link).expect("a link");
    let output = Command::new(&link).arg("--version").output().expect("it runs");
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(version.starts_with("Redis server v=7."), "{version}");
    let output = Command::new(&link).args(["--port", "x"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains(">>> 'port \"x\"'"), "{error}");
}

#[test]
fn help_and_unknown_programs_are_answered() {
    let run = |args: &[&str]| Command::new(binary()).args(args).output().expect("it runs");
    let help = run(&["server", "--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("Usage: limpid server"));
    let unknown = run(&["sever"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("server"), "it guesses");
}
