//! Worlds that go wrong at random, over some seeds. `cargo xtask sim` runs many more.

use limpid_tests::{chaos, replicas};

#[test]
fn worlds_recover_and_repeat_themselves() {
    for seed in 1..=8 {
        chaos::run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}
