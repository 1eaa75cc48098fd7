//! A fuzzer: every parser that gets bytes from strangers is run on mutated valid inputs.
//!
//! A [`Target`] is a parser with a few valid inputs. Each case is one of these inputs, mutated at
//! random with its own seed (`mutate`), and passed to the parser as a client would. The invariants:
//! no panic, termination, and no more memory than the target's limit.
//!
//! `tests/hostile` runs some cases of each target, `cargo xtask fuzz` as many as wanted.

mod mutate;
mod server;
mod targets;

use std::sync::Once;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use limpid_core::rng::Rng;
use peak_alloc::PeakAlloc;

pub use targets::TARGETS;

/// A parser with valid inputs and a memory limit.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Valid inputs, or nearly so.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Fragments that mutations insert.
    pub pieces: &'static [&'static [u8]],
    /// Passes an input to the parser.
    pub run: fn(&[u8]),
    /// The most memory that one case may take, in bytes.
    pub memory: usize,
}

/// The running target and case, for the report of a panic.
static TARGET: AtomicUsize = AtomicUsize::new(0);
static CASE: AtomicU64 = AtomicU64::new(0);

/// Runs cases `first..first + count` of a target. `memory` is the allocator of the program, which
/// must not do anything else meanwhile.
///
/// Panics if a case exceeds the memory limit or panics itself; the output says how to reproduce it.
pub fn run(target: &Target, first: u64, count: u64, memory: &PeakAlloc) {
    tell_of_panics();
    let place = TARGETS.iter().position(|known| known.name == target.name).unwrap_or_default();
    TARGET.store(place, Ordering::Relaxed);
    let seeds = (target.seeds)();
    for case in first..first + count {
        CASE.store(case, Ordering::Relaxed);
        let input = mutate::input(&mut Rng::new(case), &seeds, target.pieces);
        memory.reset_peak_usage();
        let before = memory.current_usage();
        (target.run)(&input);
        let took = memory.peak_usage().saturating_sub(before);
        assert!(took <= target.memory, "{took} bytes of memory for {}", input.escape_ascii());
    }
}

fn tell_of_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let name = TARGETS.get(TARGET.load(Ordering::Relaxed)).map_or("?", |known| known.name);
            let case = CASE.load(Ordering::Relaxed);
            eprintln!("To see it again: cargo xtask fuzz {name} --first {case} --cases 1");
            before(info);
        }));
    });
}
