//! Tests of a World, from the view of its processes.

mod disks;
mod network;
mod sessions;

use crate::time::Duration;

use super::testing::Probe;
use super::world::World;

fn probe<'a>(world: &'a World, name: &str) -> &'a Probe {
    let id = world.proc_named(name).expect("a process of this name").id;
    world.machine(id).expect("a probe that runs")
}

fn act(world: &mut World, line: &str) {
    let action = line.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
    world.apply(&action).unwrap_or_else(|e| panic!("{line}: {e}"));
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Applies actions, with some milliseconds after each.
fn acts(world: &mut World, lines: &[&str]) {
    for line in lines {
        act(world, line);
        world.run_for(ms(20));
    }
}
