//! Simulated Worlds with random faults, over some seeds. `cargo xtask sim` runs many more.

use std::panic::resume_unwind;
use std::thread;

use limpid_tests::{chaos, clusters, crashes, proxies, replicas, sentinels};

#[test]
fn worlds_recover_and_repeat_themselves() {
    for seed in 1..=9 {
        chaos::run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

#[test]
fn copies_agree_after_cuts_and_deaths() {
    // Seed of an earlier failure: a full resync during a shutdown.
    for seed in (1..=500).chain([20096]) {
        replicas::run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

/// Power losses, kills, shutdowns; full disks, and failures of writing, syncing, renaming or
/// reading; with every `appendfsync`, during rewrites and snapshots.
#[test]
fn what_was_acknowledged_as_durable_outlives_crashes_and_bad_disks() {
    // The later seeds are those of earlier failures.
    let known = [130, 242, 249, 272, 298, 325, 347, 384, 393];
    for seed in (1..=120).chain(known) {
        crashes::run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

#[test]
fn sentinels_agree_on_one_master_whatever_happened() {
    for seed in 1..=500 {
        sentinels::run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

#[test]
fn what_a_seed_did_to_sentinels_can_be_seen_in_the_page() {
    for seed in 1..=4 {
        assert!(sentinels::is_replayed_by_a_session(seed), "seed {seed}");
    }
}

#[test]
fn behind_a_proxy_every_reply_belongs_to_its_request_whatever_fails() {
    let (mut replies, mut errors) = (0, 0);
    for seed in 1..=300 {
        let outcome = proxies::run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        replies += outcome.replies;
        errors += outcome.errors;
    }
    assert!(replies > 50_000 && errors > 0, "{replies} replies, {errors} errors");
}

/// Clusters of 6 to 40 nodes, whose slots move as a whole or key by key, with and without failing
/// nodes.
#[test]
fn a_cluster_comes_to_one_view_and_loses_no_write_that_was_confirmed() {
    // The later seeds are those of earlier failures: a slot without an owner, and two tools that
    // moved the same slots.
    let known = [428, 677, 721];
    let seeds: Vec<u64> = (1..=300).chain(known).collect();
    let run = |seed| clusters::run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    // By far the longest test, so it uses two threads.
    let outcomes: Vec<_> = thread::scope(|scope| {
        let begin = |part| {
            let own = seeds.iter().skip(part).step_by(2);
            scope.spawn(move || own.map(|seed| run(*seed)).collect::<Vec<_>>())
        };
        let parts = [begin(0), begin(1)];
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|why| resume_unwind(why)))
            .collect()
    });
    let sum = |what: fn(&clusters::Outcome) -> u64| outcomes.iter().map(what).sum::<u64>();
    let (failovers, moved, kept) = (sum(|o| o.failovers), sum(|o| o.moved), sum(|o| o.kept));
    assert!(failovers > 600 && moved > 3_000_000 && kept > 10_000, "{failovers}, {moved}, {kept}");
}
