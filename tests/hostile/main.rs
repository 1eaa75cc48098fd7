//! Runs some cases of hostile bytes for every parser; `cargo xtask fuzz` runs more. A single test,
//! since it measures the memory of the whole process.

use limpid_tests::hostile::{TARGETS, run};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

#[test]
fn whatever_bytes_come_nothing_panics_and_memory_stays_within_limits() {
    for target in TARGETS {
        run(target, 1, 1_000, &MEMORY);
    }
}
