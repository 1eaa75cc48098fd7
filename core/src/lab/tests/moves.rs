//! Tests of MIGRATE between servers that fail.

use super::replicas::Servers;
use super::*;
use crate::store::Keyed;

const CONNECTING: &str = "(error) IOERR error or timeout connecting to the client\n";
const WRITING: &str = "(error) IOERR error or timeout writing to target instance\n";
const READING: &str = "(error) IOERR error or timeout reading to target instance\n";

#[test]
fn keys_move_from_one_server_to_another() {
    let mut s = Servers::new(1, &[&["--appendonly", "yes"], &["--requirepass", "secret"]]);
    s.ask(1, "rpush list a b c");
    s.ask(1, "zadd z 1 a 2 b");
    s.ask(1, "set k v px 60000");
    assert_eq!(
        s.ask(1, "migrate redis-2 6379 list 0 500"),
        refused("NOAUTH Authentication required.")
    );
    assert_eq!(s.ask(1, "migrate redis-2 6379 list 0 500 auth secret"), "OK\n");
    assert_eq!(s.ask(1, "migrate 10.0.0.2 6379 \"\" 1 500 copy auth secret keys z k"), "OK\n");
    let busy = refused("BUSYKEY Target key name already exists.");
    assert_eq!(s.ask(1, "migrate 10.0.0.2 6379 \"\" 1 500 auth secret keys z no"), busy);
    assert_eq!(s.ask(1, "migrate 10.0.0.2 6379 z 1 500 replace auth2 default secret"), "OK\n");
    assert_eq!(s.ask(1, "keys *"), "1) \"k\"\n");
    let there = "-a secret -n 1";
    let said = s.ask_as(2, there, "object encoding z");
    assert_eq!(said, "\"listpack\"\n");
    let left = s.ask_as(2, there, "pttl k");
    let left: u64 = left.trim_start_matches("(integer) ").trim().parse().expect("a number");
    assert!((50_000..60_000).contains(&left), "{left}");
    // After a restart, the server does not have the migrated keys again.
    act(&mut s.world, "kill redis-1:6379");
    act(&mut s.world, "start redis-1:6379");
    s.world.run_for(Duration::from_secs(1));
    assert_eq!(s.ask(1, "keys *"), "1) \"k\"\n");
}

fn refused(text: &str) -> String {
    format!("(error) ERR Target instance replied with error: {text}\n")
}

#[test]
fn a_server_that_is_gone_is_noticed_and_nothing_is_lost() {
    let mut s = Servers::new(1, &[&[], &[]]);
    s.ask(1, "mset a 1 b 2");
    assert_eq!(s.ask(1, "migrate redis-2 6380 a 0 500"), WRITING);
    assert_eq!(s.ask(1, "migrate nowhere 6379 a 0 500"), CONNECTING);
    act(&mut s.world, "partition redis-2");
    assert!(s.ask(1, "migrate redis-2 6379 a 0 500").starts_with(CONNECTING));
    act(&mut s.world, "heal");
    assert_eq!(s.ask(1, "migrate redis-2 6379 a 0 500 copy"), "OK\n");
    // The cached connection is still open, but the link is cut.
    act(&mut s.world, "partition redis-2");
    assert!(s.ask(1, "migrate redis-2 6379 b 0 500").starts_with(READING));
    act(&mut s.world, "heal");
    assert_eq!(s.ask(1, "keys *").lines().count(), 2);
    // The key may have arrived nevertheless.
    assert_eq!(s.ask(1, "migrate redis-2 6379 b 0 500 replace"), "OK\n");
    assert_eq!(s.ask(2, "get b"), "\"2\"\n");
    // The target is paused.
    s.begin(2, "debug sleep 1");
    s.world.run_for(Duration::from_millis(10));
    assert!(s.ask(1, "migrate redis-2 6379 a 0 500 replace").starts_with(READING));
    // The target was restarted between two requests.
    act(&mut s.world, "kill redis-2:6379");
    act(&mut s.world, "start redis-2:6379");
    s.world.run_for(Duration::from_secs(1));
    assert_eq!(s.ask(1, "migrate redis-2 6379 a 0 500"), "OK\n");
    assert_eq!(s.ask(2, "get a"), "\"1\"\n");
    assert_eq!(s.ask(1, "dbsize"), "(integer) 0\n");
}

#[test]
fn a_server_that_dies_in_the_middle_has_nothing_that_is_nowhere_else() {
    for wait in 0..12 {
        let mut s = Servers::new(wait, &[&[], &["--appendonly", "yes", "--appendfsync", "always"]]);
        s.ask(1, "debug populate 200 key 10000");
        act(&mut s.world, "bandwidth redis-1 redis-2 100mbit");
        let keys: String = (0..200).map(|n| format!(" key:{n}")).collect();
        let name = s.begin(1, &format!("migrate redis-2 6379 \"\" 0 500 keys{keys}"));
        s.world.run_for(Duration::from_millis(20 * wait));
        act(&mut s.world, "kill redis-2:6379");
        s.world.run_for(Duration::from_secs(2));
        let said = s.shown(&name);
        let (failed, done) = (said.contains("IOERR"), said.contains("OK"));
        assert!(failed != done, "{said}");
        act(&mut s.world, "start redis-2:6379");
        s.world.run_for(Duration::from_secs(1));
        let here = s.server(1).keyspace().entries(0).count();
        let mut all: Vec<_> = [1, 2].into_iter().flat_map(|n| names(&s, n)).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 200, "after {wait}, {here} here: {said}");
    }
}

#[test]
fn two_servers_that_move_keys_to_each_other_do_not_wait_forever() {
    let mut s = Servers::new(1, &[&[], &[]]);
    s.ask(1, "set a 1");
    s.ask(2, "set b 2");
    let names = [(1, "migrate redis-2 6379 a 0 500"), (2, "migrate redis-1 6379 b 0 500")];
    let names = names.map(|(n, line)| s.begin(n, line));
    s.world.run_for(Duration::from_secs(2));
    for name in names {
        let said = s.shown(&name);
        assert!(said.starts_with(READING) || said == "OK\n", "{said}");
    }
    let keys = [1, 2].map(|n| s.server(n).keyspace().entries(0).count());
    assert!(keys[0] + keys[1] >= 2, "{keys:?}");
    // Nor does a server that migrates a key to itself.
    s.ask(1, "set c 3");
    assert!(s.ask(1, "migrate redis-1 6379 c 0 500").starts_with(READING));
    assert_eq!(s.ask(1, "get c"), "\"3\"\n");
}

#[test]
fn a_primary_that_moves_keys_tells_its_replicas() {
    let follows = ["--replicaof", "redis-1 6379"];
    let mut s = Servers::new(1, &[&[], &follows, &[]]);
    s.until("the link is up", |s| s.field(2, "master_link_status") == "up");
    s.ask(1, "mset a 1 b 2 c 3");
    assert_eq!(s.ask(1, "migrate redis-3 6379 \"\" 0 500 keys a b"), "OK\n");
    assert_eq!(s.ask(2, "keys *"), "1) \"c\"\n");
    let refused = s.ask(2, "migrate redis-3 6379 c 0 500");
    assert!(refused.contains("READONLY"), "{refused}");
    // A writable replica may migrate keys as well, while its primary is paused.
    s.ask(2, "config set replica-read-only no");
    act(&mut s.world, "partition redis-3");
    let name = s.begin(2, "migrate redis-3 6379 c 0 3000");
    s.world.run_for(Duration::from_millis(500));
    s.ask(1, "set d 4");
    s.world.run_for(Duration::from_secs(1));
    assert_eq!(s.server(2).keyspace().entries(0).count(), 1);
    s.world.run_for(Duration::from_secs(3));
    assert_eq!(
        s.shown(&name).lines().next().map(|line| format!("{line}\n")),
        Some(CONNECTING.into())
    );
    assert_eq!(s.ask(2, "get d"), "\"4\"\n");
}

#[test]
fn migrate_loses_no_key_under_random_faults() {
    const KEYS: u64 = 60;
    for seed in 0..25 {
        let durable = ["--appendonly", "yes", "--appendfsync", "always"];
        let mut s = Servers::new(seed, &[&durable, &durable, &durable]);
        let mut rng = crate::rng::Rng::new(seed);
        for n in 1..=3 {
            let words: String = (0..KEYS / 3).map(|k| format!(" k{} v", k * 3 + n)).collect();
            s.ask(n as u8, &format!("mset{words}"));
        }
        let mut moved = 0;
        for _ in 0..40 {
            let (from, way) = (1 + rng.below(3), 1 + rng.below(2));
            let to = (from + way - 1) % 3 + 1;
            let count = 1 + rng.below(20);
            let keys: String = (0..count).map(|_| format!(" k{}", 1 + rng.below(KEYS))).collect();
            let before = s.server(from as u8).keyspace().entries(0).count();
            let line = format!("migrate redis-{to} 6379 \"\" 0 300 replace keys{keys}");
            s.begin(from as u8, &line);
            s.world.run_for(Duration::from_millis(rng.below(8)));
            let host = 1 + rng.below(3);
            let trouble = match rng.below(8) {
                0 => format!("partition redis-{host}"),
                1 => format!("loss redis-{from} redis-{to} 20"),
                2 => format!("pause redis-{host}:6379"),
                3 | 4 => format!("kill redis-{host}:6379"),
                _ => "heal".into(),
            };
            let _ = s.world.apply(&trouble.parse().expect(&trouble));
            s.world.run_for(Duration::from_millis(rng.below(400)));
            let back = [format!("start redis-{host}:6379"), format!("resume redis-{host}:6379")];
            for line in ["heal", "loss redis-1 redis-2 0"].map(String::from).iter().chain(&back) {
                let _ = s.world.apply(&line.parse().expect(line));
            }
            s.world.run_for(Duration::from_millis(100 + rng.below(400)));
            let after = s.server(from as u8).keyspace().entries(0).count();
            moved += before.saturating_sub(after);
        }
        s.world.run_for(Duration::from_secs(5));
        let mut left: Vec<Vec<u8>> = (1..=3).flat_map(|n| names(&s, n)).collect();
        left.sort();
        left.dedup();
        assert_eq!(left.len() as u64, KEYS, "seed {seed}");
        assert!(moved > 20, "seed {seed}: only {moved} keys moved");
    }
}

fn names(s: &Servers, n: u8) -> Vec<Vec<u8>> {
    s.server(n).keyspace().entries(0).map(|entry| Keyed::key(entry).to_vec()).collect()
}
