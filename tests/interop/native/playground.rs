//! `limpid playground`: the page over HTTP, and the server.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use limpid_tests::process::{Process, free_port};

use super::{connect, ping};

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

pub(super) fn ask(port: u16, method: &str, path: &str, headers: &str) -> Answer {
    ask_as("localhost", port, method, path, headers)
}

/// The same with another Host header.
pub(super) fn ask_as(host: &str, port: u16, method: &str, path: &str, headers: &str) -> Answer {
    let mut stream = connect(port);
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("an answer and its end");
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").expect("headers");
    let body = all.split_off(end + 4);
    let head = String::from_utf8(all).expect("text");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.parse().expect("a number"),
        headers: headers.map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned())).collect(),
        body,
    }
}

fn playground() -> (Process, u16) {
    let (port, http) = (free_port(), free_port());
    let args = ["playground", "--port", &port.to_string(), "--http-port", &http.to_string()];
    let mut process = Process::start(&args, &[], port);
    process.wait_for_line(&format!("http://127.0.0.1:{http}")).expect("both addresses");
    assert!(process.output().contains(&format!("127.0.0.1:{port}")));
    (process, http)
}

#[test]
fn both_listen_and_the_page_may_be_framed_but_loads_nothing_from_elsewhere() {
    let (process, http) = playground();
    ping(&mut process.connect());
    let answer = ask(http, "GET", "/", "");
    // 503 if the binary was built without the page.
    assert!([200, 503].contains(&answer.status), "{}", answer.status);
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    let policy = &answer.headers["content-security-policy"];
    for part in ["default-src 'none'", "'wasm-unsafe-eval'", "frame-ancestors *"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("'unsafe-eval'") && !policy.contains("http"), "{policy}");
    if answer.status == 503 {
        assert!(String::from_utf8_lossy(&answer.body).contains("cargo xtask run"));
        return;
    }
    assert_eq!(answer.headers["cache-control"], "no-cache");
    let tag = &answer.headers["etag"];
    let again = ask(http, "GET", "/", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!((again.status, again.body.len()), (304, 0));
    let packed = ask(http, "GET", "/index.html", "Accept-Encoding: gzip\r\n");
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert_eq!(packed.headers["vary"], "accept-encoding");
}

#[test]
fn what_is_not_there_and_what_is_not_allowed_is_answered() {
    let (_process, http) = playground();
    let missing = ask(http, "GET", "/../../etc/passwd", "");
    assert!([400, 404, 503].contains(&missing.status), "{}", missing.status);
    assert_eq!(ask(http, "POST", "/", "Content-Length: 0\r\n").status, 405);
    let head = ask(http, "HEAD", "/", "");
    assert!([200, 503].contains(&head.status) && head.body.is_empty());
}

#[test]
fn a_taken_port_is_named_with_the_way_around_it() {
    let taken = Process::server(&[]);
    let (port, free) = (taken.port().to_string(), free_port().to_string());
    for (args, option) in [
        (["playground", "--port", &port, "--http-port", &free], "--port"),
        (["playground", "--port", &free, "--http-port", &port], "--http-port"),
    ] {
        let mut process = Process::start(&args, &[], 0);
        assert_eq!(process.wait().code(), Some(1));
        let expected = format!("port {port} of 127.0.0.1 is taken by another program");
        let output = process.output();
        assert!(output.contains(&expected) && output.contains(option), "{output}");
    }
}
