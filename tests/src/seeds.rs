//! Worlds of many seeds, on all processors of the machine.

use std::sync::Mutex;
use std::thread;

/// How many seeds a test takes: `usual`, unless `LIMPID_SEEDS` asks for another number.
pub fn count(usual: u64) -> u64 {
    std::env::var("LIMPID_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// Runs the Worlds of these seeds, each on one processor, and returns their outcomes.
///
/// # Panics
///
/// If one of them fails, with its seed and error. Worlds that have not started by then are skipped.
pub fn each<T: Send>(
    seeds: impl IntoIterator<Item = u64>,
    run: impl Fn(u64) -> Result<T, String> + Sync,
) -> Vec<T> {
    let mut seeds: Vec<u64> = seeds.into_iter().collect();
    seeds.reverse();
    let waiting = Mutex::new(seeds);
    let failures = Mutex::new(Vec::new());
    let runner = || {
        let mut outcomes = Vec::new();
        loop {
            let next = waiting.lock().expect("no holder panics").pop();
            let Some(seed) = next else { return outcomes };
            let name = Name(seed);
            match run(seed) {
                Ok(outcome) => outcomes.push(outcome),
                Err(what) => {
                    waiting.lock().expect("no holder panics").clear();
                    failures.lock().expect("no holder panics").push((seed, what));
                }
            }
            drop(name);
        }
    };
    let runners = thread::available_parallelism().map_or(1, usize::from);
    let outcomes = thread::scope(|scope| {
        let runners: Vec<_> = (0..runners).map(|_| scope.spawn(runner)).collect();
        let ends: Vec<_> = runners.into_iter().map(|runner| runner.join()).collect();
        ends.into_iter()
            .flat_map(|end| end.unwrap_or_else(|why| std::panic::resume_unwind(why)))
            .collect()
    });
    let mut failures = failures.into_inner().expect("no holder panics");
    failures.sort();
    if let Some((seed, what)) = failures.first() {
        panic!("seed {seed}: {what}");
    }
    outcomes
}

/// Names the seed in which the code itself panics.
struct Name(u64);

impl Drop for Name {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("that was seed {}", self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_run_once() {
        let mut seeds = each((1..=40).chain([7]), Ok);
        seeds.sort_unstable();
        let mut all: Vec<u64> = (1..=40).chain([7]).collect();
        all.sort_unstable();
        assert_eq!(seeds, all);
    }

    #[test]
    #[should_panic(expected = "seed 3: it is odd")]
    fn a_seed_that_fails_is_named() {
        each(2..=3, |seed| if seed == 3 { Err("it is odd".to_owned()) } else { Ok(()) });
    }
}
