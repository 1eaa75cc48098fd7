//! Worlds that go wrong at random, over some seeds. `cargo xtask sim` runs many more.

use limpid_tests::{chaos, replicas};

#[test]
fn worlds_recover_and_repeat_themselves() {
    for seed in 1..=8 {
        chaos::run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

#[test]
fn copies_agree_after_cuts_and_deaths() {
    for seed in 1..=500 {
        replicas::run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}
