//! The `limpid` binary as a process: start, output, end.

mod attach;
mod daemon;
mod lessons;
mod limits;
mod memory;
mod playground;
mod service;
mod start;

use std::io::{Read, Write};
use std::net::TcpStream;

use limpid_tests::process::PATIENCE;

/// Sends a PING and waits for the answer.
fn ping(stream: &mut (impl Read + Write)) {
    stream.write_all(b"PING\r\n").expect("sent");
    let mut reply = [0; 7];
    stream.read_exact(&mut reply).expect("a reply");
    assert_eq!(&reply, b"+PONG\r\n");
}

/// Connects; panics if that fails.
fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}
