//! Tests of the program `worlds`.

use super::*;
use crate::rng::Rng;

/// Runs the program in a shell, and returns the number of Worlds in which the primary was replaced.
fn replaced(sentinels: u8, down: u64, count: u64) -> u64 {
    let mut world = world(1);
    act(&mut world, "login redis-1 t 100 30");
    let line = format!("worlds --sentinels {sentinels} --down {down}% --count {count}");
    act(&mut world, &format!("keys t {line}\\r"));
    let deadline = world.now() + Duration::from_secs(120);
    loop {
        world.run_for(Duration::from_millis(200));
        let screen = world.tty_named("t").expect("a terminal").text();
        assert!(world.now() < deadline, "no result:\n{screen}");
        let result = screen.lines().find_map(|line| line.split_once(": a new primary in "));
        if let Some((_, result)) = result {
            let (replaced, of) = result.split_once(" of ").expect("a count");
            assert_eq!(of.trim(), format!("{count} Worlds"));
            return replaced.parse().expect("a number");
        }
    }
}

/// The number of Worlds in which a majority of the Sentinels keeps its power.
fn majorities(sentinels: u8, down: u64, count: u64) -> u64 {
    let seeds = 1..=count;
    let has_majority = |seed: &u64| {
        let mut rng = Rng::new(*seed);
        let up = (0..sentinels).filter(|_| rng.below(100) >= down).count();
        up > usize::from(sentinels) / 2
    };
    seeds.filter(has_majority).count() as u64
}

#[test]
fn a_primary_is_replaced_wherever_a_majority_of_the_sentinels_lives() {
    assert_eq!(replaced(3, 0, 2), 2);
    assert_eq!(replaced(3, 100, 2), 0);
    for sentinels in [3, 4, 5] {
        assert_eq!(replaced(sentinels, 40, 12), majorities(sentinels, 40, 12), "{sentinels}");
    }
}

#[test]
fn in_a_hundred_worlds_four_sentinels_are_worse_than_three_and_five_are_better() {
    let of = |sentinels| majorities(sentinels, 25, 100);
    assert!(of(4) < of(3) && of(3) < of(5), "{} {} {}", of(3), of(4), of(5));
}

#[test]
fn worlds_says_what_is_wrong_with_its_options() {
    for (line, told) in [
        ("worlds --sentinels 12", "'12' does not fit --sentinels"),
        ("worlds --count", "'--count' needs a value"),
        ("worlds --nodes 3", "unknown option '--nodes'"),
    ] {
        let mut world = world(1);
        act(&mut world, "login redis-1 t 100 30");
        act(&mut world, &format!("keys t {line}\\r"));
        world.run_for(Duration::from_secs(1));
        let screen = world.tty_named("t").expect("a terminal").text();
        assert!(screen.contains(told), "{line}:\n{screen}");
    }
}
