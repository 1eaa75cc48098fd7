//! Runs the parsers on any number of hostile inputs: see `cargo xtask fuzz`.
//!
//! `fuzz <cases> <first case> [target]`

use std::process::ExitCode;
use std::time::Instant;

use limpid_tests::hostile::{TARGETS, run};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let (Some(cases), Some(first)) = (number(0), number(1)) else {
        eprintln!("fuzz <cases> <first case> [target]");
        return ExitCode::FAILURE;
    };
    let chosen: Vec<_> = TARGETS
        .iter()
        .filter(|target| words.get(2).is_none_or(|name| name == target.name))
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("There is no target '{}'. There are: {}.", words[2], names.join(", "));
        return ExitCode::FAILURE;
    }
    for target in chosen {
        let start = Instant::now();
        run(target, first, cases, &MEMORY);
        println!("{}: {cases} cases in {:.1} s", target.name, start.elapsed().as_secs_f64());
    }
    ExitCode::SUCCESS
}
