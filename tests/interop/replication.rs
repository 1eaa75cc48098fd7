//! Limpid and redis-server as primaries and replicas of each other.

use limpid_core::resp::value::Value;
use limpid_core::rng::Rng;
use limpid_tests::client::{self, Client};
use limpid_tests::process::Process;
use limpid_tests::replicas;
use limpid_tests::wait::until;

/// The number of commands between two faults.
const WRITES: usize = 400;

#[test]
fn redis_server_is_a_replica_of_limpid() {
    let (primary, replica) = (limpid("no"), redis());
    play(primary, replica, 1);
}

#[test]
fn limpid_is_a_replica_of_redis_server() {
    play(redis(), limpid("no"), 2);
}

#[test]
fn limpid_is_a_replica_of_redis_server_without_a_file() {
    play(redis(), limpid_with(&["--repl-diskless-load", "swapdb"]), 3);
}

#[test]
fn limpid_and_limpid_replicate_through_files() {
    play(limpid("yes"), limpid("yes"), 4);
}

fn limpid(appendonly: &str) -> Process {
    limpid_with(&["--appendonly", appendonly, "--repl-diskless-sync", appendonly_means(appendonly)])
}

/// With an append-only file, full resyncs use files, too.
fn appendonly_means(appendonly: &str) -> &str {
    if appendonly == "yes" { "no" } else { "yes" }
}

fn limpid_with(more: &[&str]) -> Process {
    Process::server(&[&COMMON[..], &["--save", "3600 1"], more].concat())
}

fn redis() -> Process {
    Process::redis_server(&[&COMMON[..], &["--save", "3600 1"]].concat())
}

const COMMON: [&str; 4] = ["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"];

/// Plays writes of every type, with cut links and restarts of both ends in between. In the end the
/// replica takes over.
fn play(mut primary: Process, mut replica: Process, seed: u64) {
    let mut rng = Rng::new(seed);
    write(&primary, &mut rng);
    follow(&replica, &primary);
    write(&primary, &mut rng);
    agree(&primary, &replica);
    let full = count(&primary, "sync_full");

    // After a cut, replication continues.
    call(&primary, "client kill type replica");
    write(&primary, &mut rng);
    agree(&primary, &replica);
    call(&replica, "client kill type master");
    write(&primary, &mut rng);
    agree(&primary, &replica);
    assert_eq!(count(&primary, "sync_full"), full);
    assert!(count(&primary, "sync_partial_ok") >= 2);

    // It also continues after restarts of either end, with a full resync if needed.
    replica.restart(false);
    follow(&replica, &primary);
    write(&primary, &mut rng);
    agree(&primary, &replica);
    replica.restart(true);
    follow(&replica, &primary);
    agree(&primary, &replica);
    primary.restart(false);
    write(&primary, &mut rng);
    agree(&primary, &replica);

    // The replica takes over, and the old primary continues from its offset. It could not if it had
    // deleted an expired key meanwhile.
    call(&primary, "debug set-active-expire 0");
    agree(&primary, &replica);
    call(&replica, "replicaof no one");
    let partial = count(&replica, "sync_partial_ok");
    follow(&primary, &replica);
    write(&replica, &mut rng);
    agree(&replica, &primary);
    assert_eq!(count(&replica, "sync_partial_ok"), partial + 1);
}

pub(crate) fn call(server: &Process, line: &str) -> Value {
    let words: Vec<&str> = line.split(' ').collect();
    Client::new(server.connect()).call(&words)
}

pub(crate) fn follow(replica: &Process, primary: &Process) {
    call(replica, &format!("replicaof 127.0.0.1 {}", primary.port()));
}

/// Sends random writes from one client.
pub(crate) fn write(server: &Process, rng: &mut Rng) {
    let mut client = Client::new(server.connect());
    for _ in 0..WRITES {
        let line = replicas::write(rng);
        let words: Vec<&str> = line.split(' ').collect();
        match words.split_first() {
            // As redis-cli would.
            Some((&"-n", [db, rest @ ..])) => {
                client.call(&["select", *db]);
                client.call(rest);
                client.call(&["select", "0"]);
            }
            _ => drop(client.call(&words)),
        }
    }
}

/// Waits until both have the same data and the same offset.
pub(crate) fn agree(primary: &Process, replica: &Process) {
    let look = || {
        let offsets = [primary, replica].map(|server| field(server, "master_repl_offset"));
        let digests =
            [primary, replica].map(|server| format!("{:?}", call(server, "debug digest")));
        (offsets, digests)
    };
    let why = || {
        let (offsets, digests) = look();
        format!(
            "they do not agree: {offsets:?} {digests:?}\nprimary:\n{}\nreplica:\n{}",
            primary.output(),
            replica.output()
        )
    };
    until(why, || {
        let (offsets, digests) = look();
        let up = field(replica, "master_link_status") == "up";
        up && offsets[0] == offsets[1] && digests[0] == digests[1]
    });
}

pub(crate) fn field(server: &Process, name: &str) -> String {
    client::field(&Client::new(server.connect()).info("everything"), name)
}

pub(crate) fn count(server: &Process, name: &str) -> u64 {
    field(server, name).parse().unwrap_or(0)
}
