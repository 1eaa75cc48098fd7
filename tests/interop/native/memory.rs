//! Memory that a server returns to the operating system.

use limpid_tests::client::Client;
use limpid_tests::process::Process;
use limpid_tests::wait::until;

/// Resident memory of a process in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).expect("a number") * 1024
}

#[test]
fn an_idle_server_that_was_emptied_gives_its_memory_back() {
    let server = Process::server(&["--enable-debug-command", "yes"]);
    let mut client = Client::new(server.connect());
    let before = resident(server.pid());
    client.call(&["DEBUG", "POPULATE", "100000", "key", "400"]);
    let full = resident(server.pid());
    assert!(full > before + (30 << 20), "{before} {full}");
    client.call(&["FLUSHALL"]);
    let now = || resident(server.pid());
    until(|| format!("{before} {full} {}", now()), || now() <= before + (full - before) / 4);
}
