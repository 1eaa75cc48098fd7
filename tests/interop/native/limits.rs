//! Limits of the operating system.

use std::net::TcpStream;
use std::process::Command;

use limpid_tests::process::Process;

use super::ping;

#[test]
fn a_server_without_file_descriptors_serves_its_connections_and_accepts_others_when_it_can() {
    let mut server = Process::server(&["--maxclients", "100"]);
    let mut first = server.connect();
    ping(&mut first);
    // The limit is lowered after the start, at which the server had checked it.
    let pid = server.pid().to_string();
    let limited = Command::new("prlimit").args(["--nofile=30:30", "--pid", &pid]).status();
    assert!(limited.is_ok_and(|status| status.success()), "prlimit of util-linux is there");
    // The kernel queues the connections that the server cannot accept.
    let mut others: Vec<TcpStream> = (0..80).map(|_| server.connect()).collect();
    let message = "Accepting client connection: accept: Too many open files";
    server.wait_for_line(message).expect("a line in the log");
    ping(&mut first);
    let mut last = others.pop().expect("eighty of them");
    drop(others);
    ping(&mut last);
    assert_eq!(server.output().matches(message).count(), 1, "it is said once");
}
