//! Simulated Worlds with random faults, over some seeds. `LIMPID_SEEDS` sets how many; `cargo xtask sim` runs
//! thousands.

use limpid_tests::seeds::{count, each};
use limpid_tests::{chaos, clusters, crashes, proxies, replicas, sentinels};

#[test]
fn worlds_recover_and_repeat_themselves() {
    each(1..=count(9), chaos::run);
}

#[test]
fn copies_agree_after_cuts_and_deaths() {
    // The last one is the seed of an earlier failure: a full resync during a shutdown.
    each((1..=count(500)).chain([20096]), replicas::run);
}

/// Power losses, kills, shutdowns; full disks, and failures of writing, syncing, renaming or
/// reading; with every `appendfsync`, during rewrites and snapshots.
#[test]
fn what_was_acknowledged_as_durable_outlives_crashes_and_bad_disks() {
    // The later seeds are those of earlier failures.
    let known = [130, 242, 249, 272, 298, 325, 347, 384, 393];
    each((1..=count(120)).chain(known), crashes::run);
}

#[test]
fn sentinels_agree_on_one_master_whatever_happened() {
    each(1..=count(500), sentinels::run);
}

#[test]
fn what_a_seed_did_to_sentinels_can_be_seen_in_the_page() {
    for seed in 1..=4 {
        assert!(sentinels::is_replayed_by_a_session(seed), "seed {seed}");
    }
}

#[test]
fn behind_a_proxy_every_reply_belongs_to_its_request_whatever_fails() {
    let outcomes = each(1..=count(300), proxies::run);
    let sum = |what: fn(&proxies::Outcome) -> u64| outcomes.iter().map(what).sum::<u64>();
    let (replies, errors) = (sum(|o| o.replies), sum(|o| o.errors));
    let enough = 166 * outcomes.len() as u64;
    assert!(replies > enough && errors > 0, "{replies} replies, {errors} errors");
}

/// Clusters of 6 to 40 nodes, whose slots move as a whole or key by key, with and without failing
/// nodes.
#[test]
fn a_cluster_comes_to_one_view_and_loses_no_write_that_was_confirmed() {
    // The later seeds are those of earlier failures: a slot without an owner, and two tools that
    // moved the same slots.
    let known = [428, 677, 721];
    let outcomes = each((1..=count(300)).chain(known), clusters::run);
    let sum = |what: fn(&clusters::Outcome) -> u64| outcomes.iter().map(what).sum::<u64>();
    let (failovers, moved, kept) = (sum(|o| o.failovers), sum(|o| o.moved), sum(|o| o.kept));
    let seeds = outcomes.len() as u64;
    assert!(
        failovers > 2 * seeds && moved > 10_000 * seeds && kept > 33 * seeds,
        "{failovers}, {moved}, {kept}"
    );
}
