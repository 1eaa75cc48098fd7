//! Saving and loading: Limpid and Redis load each other's files.

use std::fs;
use std::path::Path;

use limpid_core::resp::value::Value;
use limpid_tests::client::{Client, field, text};
use limpid_tests::process::{Process, free_port};
use limpid_tests::wait::until;

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

fn call(client: &mut Client, line: &str) -> Value {
    let reply = client.call(&line.split(' ').collect::<Vec<_>>());
    assert!(!reply.is_error(), "{line}: {reply:?}");
    reply
}

/// Adds keys of every type, some of which expire, in several databases.
fn fill(client: &mut Client) {
    for n in 0..2_000 {
        call(client, &format!("SET key:{n} value:{n}"));
    }
    for db in [0, 7] {
        call(client, &format!("SELECT {db}"));
        for n in 0..700 {
            let long = format!("{n:x}").repeat(1 + n % 90);
            call(client, &format!("RPUSH list {n} {long}"));
            call(client, &format!("SADD set {long}"));
            call(client, &format!("SADD ints {n}"));
            call(client, &format!("HSET hash {n} {long}"));
            // Multiples of a quarter, which all versions of Redis print in the same way.
            call(client, &format!("ZADD zset {} {long}", n as f64 / 4.0 - 20.0));
            call(client, &format!("SET mortal:{n} {long} EX 100000"));
            if n == 20 {
                for kind in ["list", "set", "ints", "hash", "zset"] {
                    call(client, &format!("COPY {kind} small:{kind}"));
                    call(client, &format!("PEXPIRE small:{kind} 500000"));
                }
            }
        }
        call(client, &format!("SET large {}", "abcdefgh".repeat(100_000)));
    }
    call(client, "SELECT 0");
}

fn digest(client: &mut Client) -> Value {
    call(client, "DEBUG DIGEST")
}

fn info(client: &mut Client, name: &str) -> String {
    field(&client.info("persistence"), name)
}

fn wait_for_save(client: &mut Client) {
    until(|| "BGSAVE does not end".into(), || info(client, "rdb_bgsave_in_progress") == "0");
}

fn give(dump: &Path, process: &Process) {
    fs::copy(dump, process.dir().join("dump.rdb")).expect("a copied dump");
}

#[test]
fn a_snapshot_under_load_is_what_redis_loads_and_the_other_way_round() {
    let limpid = Process::server(&DEBUG);
    let mut client = Client::new(limpid.connect());
    fill(&mut client);
    let before = digest(&mut client);
    call(&mut client, "BGSAVE");
    // Later writes are not part of the snapshot.
    for n in 0..2_000 {
        call(&mut client, &format!("APPEND key:{n} more"));
        call(&mut client, &format!("LPUSH list {n}"));
        call(&mut client, &format!("HDEL hash {n}"));
        call(&mut client, &format!("ZADD zset 1 {n}"));
    }
    call(&mut client, "SWAPDB 0 7");
    wait_for_save(&mut client);
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok");

    let redis = Process::redis_server(&DEBUG);
    give(&limpid.dir().join("dump.rdb"), &redis);
    let mut mirror = Client::new(redis.connect());
    call(&mut mirror, "DEBUG RELOAD NOSAVE");
    assert_eq!(digest(&mut mirror), before, "{}", redis.output());

    // And back: Limpid loads what Redis saves.
    fill(&mut mirror);
    call(&mut mirror, "SAVE");
    let theirs = digest(&mut mirror);
    give(&redis.dir().join("dump.rdb"), &limpid);
    call(&mut client, "DEBUG RELOAD NOSAVE");
    assert_eq!(digest(&mut client), theirs);
    call(&mut client, "DEBUG RELOAD");
    assert_eq!(digest(&mut client), theirs);
    for db in [0, 7] {
        let sizes = [&mut client, &mut mirror].map(|client| {
            call(client, &format!("SELECT {db}"));
            call(client, "DBSIZE")
        });
        assert_eq!(sizes[0], sizes[1]);
    }
}

#[test]
fn a_server_ends_with_a_save_and_begins_with_what_it_saved() {
    let port = free_port();
    let text = port.to_string();
    let args = ["server", "--port", &text, "--bind", "127.0.0.1", "--save", "900 1"];
    let mut first = Process::start(&args, &[], port);
    first.wait_for_line("Ready to accept connections").expect("a server");
    let mut client = Client::new(first.connect());
    fill(&mut client);
    let size = call(&mut client, "DBSIZE");
    assert!(first.terminate().success());
    assert!(first.output().contains("DB saved on disk"), "{}", first.output());
    let names: Vec<_> = fs::read_dir(first.dir())
        .expect("the directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["dump.rdb"]);

    let dir = first.dir().display().to_string();
    let args = [&args[..], &["--dir", &dir]].concat();
    let mut second = Process::start(&args, &[], port);
    second.wait_for_line("DB loaded from disk").expect("loaded data");
    second.wait_for_line("Ready to accept connections").expect("a server");
    let mut client = Client::new(second.connect());
    assert_eq!(call(&mut client, "DBSIZE"), size);
    drop(second);

    // A corrupt file is not changed.
    let dump = first.dir().join("dump.rdb");
    let mut bytes = fs::read(&dump).expect("the dump");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 100].fill(0xff);
    fs::write(&dump, &bytes).expect("a broken dump");
    let mut third = Process::start(&args, &[], port);
    assert_eq!(third.wait().code(), Some(1));
    let output = third.output();
    assert!(output.trim_end().ends_with("check server logs. Exiting."), "{output}");
    assert!(output.contains("reading offset"), "{output}");
    assert_eq!(fs::read(&dump).expect("the dump"), bytes);
}

#[test]
fn a_directory_that_vanishes_keeps_data_from_being_saved_and_says_so() {
    let mut limpid = Process::server(&["--enable-protected-configs", "yes"]);
    let mut client = Client::new(limpid.connect());
    let place = limpid.dir().join("place");
    fs::create_dir(&place).expect("a directory");
    call(&mut client, "CONFIG SET dir place");
    client.call(&["CONFIG", "SET", "save", "900 1"]);
    call(&mut client, "SET k v");
    fs::remove_dir(&place).expect("an empty directory");
    assert!(client.call(&["SAVE"]).is_error());
    call(&mut client, "BGSAVE");
    wait_for_save(&mut client);
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "err");
    assert!(text(&client.call(&["SET", "k", "w"])).starts_with("MISCONF"));
    limpid.wait_for_line("Failed opening the temp RDB file temp-").expect("what is wrong");
    limpid.wait_for_line("Bring the directory back").expect("what to do");
    // The server is given a directory that exists.
    call(&mut client, &format!("CONFIG SET dir {}", limpid.dir().display()));
    call(&mut client, "BGSAVE");
    wait_for_save(&mut client);
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok");
    call(&mut client, "SET k w");
}
