//! Scenarios with client libraries: pipelines, transactions, messages, blocking, scans, client-side
//! caching; and a job queue and locks, which depend on scripts.
//!
//! redis-py, ioredis, BullMQ and Redlock come from their registries into `target/libraries`, in the
//! versions that the files beside this one name; `cargo xtask test` installs them. Every scenario
//! also runs against redis-server, so that its assertions describe Redis.

mod redis_rs;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use limpid_tests::process::Process;

#[test]
fn redis_py_plays_its_scenario() {
    let python = library("python/bin/python");
    plays(|| Command::new(&python), "scenario.py");
}

#[test]
fn ioredis_plays_its_scenario() {
    plays(node, "scenario.cjs");
}

#[test]
fn a_job_queue_and_a_lock_work() {
    plays(node, "queue.cjs");
}

fn node() -> Command {
    let mut node = Command::new("node");
    node.env("NODE_PATH", library("node/node_modules"));
    node
}

/// A file under `target/libraries`.
pub(crate) fn library(path: &str) -> PathBuf {
    // target/<profile>/deps/<test>
    let test = std::env::current_exe().expect("the path of the running test");
    let target = test.ancestors().nth(3).expect("a target directory around the test");
    let file = target.join("libraries").join(path);
    assert!(
        file.exists(),
        "{} is missing: `cargo xtask test libraries` installs what these tests need",
        file.display()
    );
    file
}

/// Runs a scenario against Redis and then against Limpid.
fn plays(interpreter: impl Fn() -> Command, scenario: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/libraries").join(scenario);
    for (name, server) in
        [("redis-server", Process::redis_server(&[])), ("limpid", Process::server(&[]))]
    {
        let mut command = interpreter();
        command.arg(&path).arg(server.port().to_string()).stdin(Stdio::null());
        let output = command.output().expect("the interpreter is on PATH");
        let told = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let done = output.status.success() && told.ends_with("done\n");
        assert!(done, "{scenario} with {name}: {}\n{told}{errors}", output.status);
    }
}
