//! Copies of a World at earlier times, in bounded number.

use crate::time::Mono;

use super::world::World;

/// A World as it was, and how many of a session's actions had been done.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) done: usize,
    pub(super) world: World,
}

/// Checkpoints, oldest first. Their spacing is counted in events, which is what a replay costs.
///
/// When there are too many, every second one of the older half goes and the spacing stays: the
/// recent past is near, the far past a little farther.
#[derive(Clone, Debug)]
pub(super) struct Checkpoints {
    kept: Vec<Checkpoint>,
    most: usize,
    spacing: u64,
}

impl Checkpoints {
    /// Events between two checkpoints: some 50 ms of replay in a browser.
    const SPACING: u64 = 10_000;
    /// Checkpoints that are kept at most.
    const MOST: usize = 48;

    pub(super) fn new(first: World) -> Self {
        let first = Checkpoint { done: 0, world: first };
        Checkpoints { kept: vec![first], most: Self::MOST, spacing: Self::SPACING }
    }

    /// Keeps a copy if the last one is far enough behind.
    pub(super) fn offer(&mut self, world: &World, done: usize) {
        let last = self.kept.last().map_or(0, |checkpoint| checkpoint.world.steps());
        if world.steps() < last.saturating_add(self.spacing) {
            return;
        }
        self.kept.push(Checkpoint { done, world: world.clone() });
        if self.kept.len() > self.most {
            let older = self.kept.len() / 2;
            let mut place = 0;
            self.kept.retain(|_| {
                place += 1;
                place > older || place % 2 == 1
            });
        }
    }

    /// How many events may happen before the next copy is due.
    pub(super) fn events_to_next(&self, world: &World) -> u64 {
        let last = self.kept.last().map_or(0, |checkpoint| checkpoint.world.steps());
        last.saturating_add(self.spacing).saturating_sub(world.steps()).max(1)
    }

    /// The last copy that is not later than a time.
    pub(super) fn before(&self, time: Mono) -> Option<&Checkpoint> {
        self.kept.iter().rev().find(|checkpoint| checkpoint.world.now() <= time)
    }

    /// Forgets copies in which more than so many actions were done, or later than a time.
    pub(super) fn discard(&mut self, done: usize, time: Mono) {
        self.kept.retain(|kept| kept.done <= done && kept.world.now() <= time);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}
