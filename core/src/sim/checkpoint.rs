//! Checkpoints: copies of a World at earlier times, in bounded number.

use crate::time::Mono;

use super::world::World;

/// A copy of a World, and how many of a session's actions were applied to it.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) done: usize,
    pub(super) world: World,
}

/// The checkpoints of a session, oldest first. Their distance is counted in events, which is the
/// cost of a replay.
///
/// When there are too many, every second one of the older half is dropped: the recent past keeps
/// the full density.
#[derive(Clone, Debug)]
pub(super) struct Checkpoints {
    kept: Vec<Checkpoint>,
    most: usize,
    spacing: u64,
}

impl Checkpoints {
    /// Events between two checkpoints: some 50 ms of replay in a browser.
    const SPACING: u64 = 10_000;
    /// The maximum number of checkpoints.
    const MAX: usize = 48;

    pub(super) fn new(first: World) -> Self {
        let first = Checkpoint { done: 0, world: first };
        Checkpoints { kept: vec![first], most: Self::MAX, spacing: Self::SPACING }
    }

    /// Adds a checkpoint if the last one is old enough.
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

    /// The number of events until the next checkpoint is due.
    pub(super) fn events_to_next(&self, world: &World) -> u64 {
        let last = self.kept.last().map_or(0, |checkpoint| checkpoint.world.steps());
        last.saturating_add(self.spacing).saturating_sub(world.steps()).max(1)
    }

    /// The last checkpoint that is not later than a time.
    pub(super) fn before(&self, time: Mono) -> Option<&Checkpoint> {
        self.kept.iter().rev().find(|checkpoint| checkpoint.world.now() <= time)
    }

    /// Drops checkpoints with more than `done` actions applied, or later than a time.
    pub(super) fn discard(&mut self, done: usize, time: Mono) {
        self.kept.retain(|kept| kept.done <= done && kept.world.now() <= time);
    }

    /// The number of checkpoints.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}
