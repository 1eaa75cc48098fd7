//! Hostile bytes: every parser that takes bytes from strangers is given what nearly is right.
//!
//! A [`Target`] is a parser with a few good inputs. Each case is one of these inputs, changed at
//! random from a seed of its own (`mutate`), and handed to the parser the way a client would
//! hand it in. What must hold: no panic, an end, and no more memory than the target's limit.
//!
//! `tests/hostile` runs some cases of each target, `cargo xtask fuzz` as many as it is told.

mod mutate;
mod server;
mod targets;

use std::sync::Once;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use limpid_core::rng::Rng;
use peak_alloc::PeakAlloc;

pub use targets::TARGETS;

/// A parser, good inputs for it, and what it may take.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Inputs that it takes, or nearly.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces that are put into inputs.
    pub pieces: &'static [&'static [u8]],
    /// Hands an input to the parser.
    pub run: fn(&[u8]),
    /// Bytes of memory that one case may take at most.
    pub memory: usize,
}

/// The case that runs, for a report of its panic.
static TARGET: AtomicUsize = AtomicUsize::new(0);
static CASE: AtomicU64 = AtomicU64::new(0);

/// Runs cases `first..first + count` of a target. `memory` is the allocator of the program, which
/// must not do anything else meanwhile.
///
/// Panics if a case takes more memory than the target may, or panics itself; what is printed tells
/// how to see it again.
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
