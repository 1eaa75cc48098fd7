//! Tests that replaying the append-only file restores what commands have changed.
//!
//! The sequences are those of the comparison with Redis. Each is played to one server with an
//! append-only file, which then discards its data and loads the file.

use std::collections::BTreeMap;

use limpid_core::resp::value::Value;
use limpid_core::rng::Rng;
use limpid_tests::client::{Client, text};
use limpid_tests::process::Process;

use super::{COMMON, GROUPS, Group, Shape, own_rng, quoted, sequence, shapes};

/// The number of sequences for each group, unless `LIMPID_SEQUENCES` is set.
const SEQUENCES: u64 = 40;

/// The least remaining time to live, in milliseconds, of keys whose expiry is compared: others may
/// expire meanwhile.
const FAR: i64 = 30_000;

#[test]
fn what_the_append_only_file_says_is_what_was_done() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("LIMPID_SEED").unwrap_or(1);
    let sequences = number("LIMPID_SEQUENCES").unwrap_or(SEQUENCES);
    println!("LIMPID_SEED={seed} LIMPID_SEQUENCES={sequences}");
    let data = |group: &&Group| !matches!(group.name, "connection" | "server" | "payload");
    let all: Vec<Shape> = GROUPS.iter().filter(data).flat_map(shapes).collect();
    for group in GROUPS.iter().filter(data) {
        let server = server();
        let own: Vec<Shape> = shapes(group).collect();
        for n in 0..sequences {
            let mut rng: Rng = own_rng(seed, group.name, n);
            let sequence = sequence(&own, &all, &mut rng);
            let mut client = Client::new(server.connect());
            client.call(&["FLUSHALL"]);
            client.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
            for step in &sequence {
                client.send(&step.args);
                if client.read().is_none() {
                    client = Client::new(server.connect());
                }
            }
            let mut client = Client::new(server.connect());
            let before = contents(&mut client);
            assert_eq!(client.call(&["DEBUG", "LOADAOF"]), Value::Simple(b"OK".to_vec()));
            let after = contents(&mut client);
            if before != after {
                let steps: Vec<String> = sequence.iter().map(|step| quoted(&step.args)).collect();
                panic!(
                    "{} {n}, seed {seed}:\n{}\n{before:#?}\n{after:#?}",
                    group.name,
                    steps.join("\n")
                );
            }
        }
    }
}

fn server() -> Process {
    let own = ["--appendonly", "yes", "--appendfsync", "no", "--save", ""];
    Process::server(&[COMMON, &own].concat())
}

/// A digest of all data, and when each key expires.
fn contents(client: &mut Client) -> (Value, BTreeMap<(String, String), Value>) {
    // The digest comes first, since accessing keys would delete expired ones.
    let digest = client.call(&["DEBUG", "DIGEST"]);
    let now = match client.call(&["TIME"]).items() {
        Some([seconds, _]) => text(seconds).parse::<i64>().expect("a number") * 1_000,
        other => panic!("{other:?}"),
    };
    let mut expiries = BTreeMap::new();
    for db in ["0", "1", "2", "15"] {
        client.call(&["SELECT", db]);
        let keys = client.call(&["KEYS", "*"]);
        for key in keys.items().unwrap_or_default() {
            let key = key.bytes().unwrap_or_default().to_vec();
            let at = client.call(&[&b"PEXPIRETIME"[..], &key]);
            if matches!(at, Value::Integer(at) if at < 0 || at > now + FAR) {
                expiries.insert((db.to_owned(), String::from_utf8_lossy(&key).into_owned()), at);
            }
        }
    }
    client.call(&["SELECT", "0"]);
    (digest, expiries)
}
