//! Worlds inside a World: the count that an experiment ends with.

use super::*;

/// In how many of some Worlds the primary was replaced.
fn replaced(sentinels: u8, down: u8, count: u8) -> u64 {
    let mut world = world(1);
    let line = format!(
        "login redis-1 t 100 30\nkeys t worlds --sentinels {sentinels} --down {down}% \
         --count {count}\\r"
    );
    line.lines().for_each(|line| act(&mut world, line));
    let deadline = world.now() + Duration::from_secs(60);
    loop {
        world.run_for(Duration::from_millis(200));
        assert!(world.now() < deadline, "it ends");
        let screen = world.tty_named("t").expect("a terminal").text();
        let result = screen.lines().find_map(|line| line.split_once(": a new primary in "));
        if let Some((_, result)) = result {
            let (replaced, of) = result.split_once(" of ").expect("a count");
            assert_eq!(of.trim(), format!("{count} Worlds"));
            return replaced.parse().expect("a number");
        }
    }
}

#[test]
fn without_bad_luck_every_primary_is_replaced_and_without_sentinels_none() {
    assert_eq!(replaced(3, 0, 4), 4);
    assert_eq!(replaced(3, 100, 2), 0);
}

#[test]
fn a_fourth_sentinel_does_not_help_and_the_count_is_the_same_every_time() {
    let three = replaced(3, 40, 12);
    assert!((1..12).contains(&three), "some luck, some bad luck: {three}");
    assert!(replaced(4, 40, 12) <= three);
    assert_eq!(replaced(3, 40, 12), three);
}
