//! Runs under load: acknowledged writes are kept, and replicas agree. Short by default;
//! `LIMPID_KILLS` and `LIMPID_SOAK_SECONDS` make them longer, `LIMPID_SEED` sets the seed.

use std::time::Duration;

use limpid_tests::process::Kind::{self, Limpid, Redis};
use limpid_tests::{kills, soak};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn keeps_its_word(policy: &str) {
    let (count, seed) = (number("LIMPID_KILLS", 6), number("LIMPID_SEED", 1));
    println!("LIMPID_KILLS={count} LIMPID_SEED={seed}");
    let outcome = kills::run(policy, count, seed).unwrap_or_else(|why| panic!("{why}"));
    println!("{policy}: {outcome:?}");
    assert!(outcome.acknowledged > 0, "{outcome:?}");
}

#[test]
fn with_always_nothing_that_was_acknowledged_is_lost_by_kills() {
    keeps_its_word("always");
}

#[test]
fn with_everysec_nothing_that_was_acknowledged_is_lost_by_kills() {
    keeps_its_word("everysec");
}

#[test]
fn with_no_nothing_that_was_acknowledged_is_lost_by_kills() {
    keeps_its_word("no");
}

fn agree(primary: Kind, replica: Kind) {
    let (seconds, seed) = (number("LIMPID_SOAK_SECONDS", 6), number("LIMPID_SEED", 1));
    println!("LIMPID_SOAK_SECONDS={seconds} LIMPID_SEED={seed}");
    let length = Duration::from_secs(seconds);
    let plan = soak::Soak { primary, replica, length, seed };
    let outcome = soak::run(plan).unwrap_or_else(|why| panic!("{primary:?} → {replica:?}: {why}"));
    println!("{primary:?} → {replica:?}: {outcome:?}");
    assert!(outcome.commands > 0 && outcome.full > 0, "{outcome:?}");
}

#[test]
fn soak_limpid_with_a_replica_of_its_own_kind() {
    agree(Limpid, Limpid);
}

#[test]
fn soak_limpid_as_a_replica_of_redis() {
    agree(Redis, Limpid);
}

#[test]
fn soak_limpid_with_redis_as_its_replica() {
    agree(Limpid, Redis);
}
