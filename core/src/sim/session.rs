//! Sessions: a World with its recorded actions, rewind, branches and undo.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::sorted::sort_by_key;
use crate::time::{Duration, Mono};

use super::action::{Action, ActionError};
use super::checkpoint::Checkpoints;
use super::event::EventKind;
use super::ids::HostId;
use super::parse::{parse_duration, show_duration};
use super::process::Programs;
use super::scenario::Scenario;
use super::world::World;

/// A session in serialized form, from which everything else is derived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The seed.
    pub seed: u64,
    /// The initial state.
    pub scenario: Scenario,
    /// The actions.
    pub actions: Vec<Timed>,
}

/// An action with its time. It is applied after all other events at that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// The virtual time.
    pub at: Mono,
    /// The action.
    pub action: Action,
}

/// A World that can be moved back and forth in time.
#[derive(Clone, Debug)]
pub struct Session {
    scenario: Arc<Scenario>,
    seed: u64,
    world: World,
    /// The actions of this branch, sorted by time.
    actions: Vec<Timed>,
    /// How many of them are applied to `world`.
    done: usize,
    /// The end of the known future: how far this branch has been run.
    horizon: Mono,
    checkpoints: Checkpoints,
    markers: Vec<Marker>,
    /// The time up to which the markers are known.
    marked: Mono,
    branches: Vec<Branch>,
}

/// A notable event to jump to.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// Its time on the World's clock.
    pub at: Mono,
    /// The event.
    pub event: EventKind,
}

/// A branch: the future that was replaced when an action was applied in its past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The time of that action.
    pub left: Mono,
    /// The end of its known future.
    pub horizon: Mono,
    /// All of its actions, from the start of the session.
    pub actions: Vec<Timed>,
}

/// What to do with the known future when an action is applied in its past.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Future {
    /// Keep it as a branch.
    Keep,
    /// Discard it.
    Discard,
}

/// The size of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// To the next event of any kind.
    Event,
    /// To the next event at this host.
    AtHost(HostId),
    /// To the next event that is a change: see [`EventKind::is_change`].
    Change,
}

impl Session {
    /// The maximum number of markers; the first ones are kept.
    const MARKERS: usize = 10_000;

    /// A session at its start.
    pub fn new(scenario: Scenario, seed: u64, programs: Programs) -> Self {
        let scenario = Arc::new(scenario);
        let world = World::new(scenario.clone(), seed, programs);
        Session {
            scenario,
            seed,
            checkpoints: Checkpoints::new(world.clone()),
            world,
            actions: Vec::new(),
            done: 0,
            horizon: Mono::ZERO,
            markers: Vec::new(),
            marked: Mono::ZERO,
            branches: Vec::new(),
        }
    }

    /// A session from its serialized form, at its start; its actions are applied as time passes.
    pub fn from_record(record: Record, programs: Programs) -> Self {
        let mut session = Session::new(record.scenario, record.seed, programs);
        session.actions = record.actions;
        sort_by_key(&mut session.actions, |timed| timed.at);
        session.horizon = session.actions.last().map_or(Mono::ZERO, |timed| timed.at);
        session
    }

    /// The serialized form of the session.
    pub fn record(&self) -> Record {
        Record {
            seed: self.seed,
            scenario: (*self.scenario).clone(),
            actions: self.actions.clone(),
        }
    }

    /// The World at the current time.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The current time.
    pub fn now(&self) -> Mono {
        self.world.now()
    }

    /// The end of the known future: how far this branch has been run.
    pub fn horizon(&self) -> Mono {
        self.horizon
    }

    /// Whether there is a known future.
    pub fn is_past(&self) -> bool {
        self.now() < self.horizon
    }

    /// The actions of this branch, sorted by time.
    pub fn actions(&self) -> &[Timed] {
        &self.actions
    }

    /// How many of the actions are applied at the current time.
    pub fn done(&self) -> usize {
        self.done
    }

    /// The markers up to the horizon, sorted by time.
    pub fn markers(&self) -> &[Marker] {
        &self.markers
    }

    /// The branches that were left.
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// The number of checkpoints.
    pub fn checkpoints(&self) -> usize {
        self.checkpoints.len()
    }

    /// Applies an action now. A known future is kept as a branch or discarded.
    pub fn act(&mut self, action: Action, future: Future) -> Result<(), ActionError> {
        let now = self.now();
        let before = self.world.events().next();
        self.world.run_until(now);
        self.world.apply(&action)?;
        if self.is_past() || self.done < self.actions.len() {
            if future == Future::Keep {
                self.keep_branch(now);
            }
            self.forget_future(now);
        }
        self.actions.push(Timed { at: now, action });
        self.done = self.actions.len();
        self.mark(before);
        Ok(())
    }

    /// Removes an action at any time, as if it had never been applied, and replays what followed up
    /// to the current time. False if there is no such action.
    pub fn undo(&mut self, number: usize) -> bool {
        if number >= self.actions.len() {
            return false;
        }
        let now = self.now();
        let undone = self.actions.remove(number);
        self.checkpoints.discard(number, undone.at);
        self.forget_markers(undone.at);
        if undone.at <= now {
            self.load(undone.at);
            self.advance(now, u64::MAX);
        }
        self.horizon = now.max(self.actions.last().map_or(now, |timed| timed.at));
        true
    }

    /// Switches to a branch, at the time at which it was left. The current one becomes a branch
    /// instead.
    pub fn switch(&mut self, number: usize) -> bool {
        if number >= self.branches.len() {
            return false;
        }
        let branch = self.branches.remove(number);
        let now = self.now();
        self.keep_branch(now);
        self.checkpoints.discard(self.common(&branch.actions), branch.left);
        self.forget_markers(branch.left);
        self.actions = branch.actions;
        self.load(branch.left);
        self.advance(branch.left, u64::MAX);
        self.horizon = branch.horizon;
        true
    }

    /// Goes to a time in the past or future.
    pub fn seek(&mut self, time: Mono) {
        self.load(time);
        self.advance(time, u64::MAX);
    }

    /// Goes back to the last checkpoint before a time, unless the current time is nearer.
    /// [`Session::advance`] then covers the rest, in as many pieces as the caller likes.
    pub fn load(&mut self, time: Mono) {
        let Some(checkpoint) = self.checkpoints.before(time) else { return };
        let here = self.now() <= time && self.world.steps() >= checkpoint.world.steps();
        if !here {
            self.world = checkpoint.world.clone();
            self.done = checkpoint.done;
        }
    }

    /// Processes the events up to a time, with the recorded actions, but at most `events` of them.
    /// True if the time was reached.
    pub fn advance(&mut self, time: Mono, events: u64) -> bool {
        let mut left = events;
        loop {
            let before = self.world.events().next();
            let action = self.actions.get(self.done).filter(|timed| timed.at <= time).cloned();
            let until = action.as_ref().map_or(time, |timed| timed.at);
            let piece = left.min(self.checkpoints.events_to_next(&self.world));
            let steps = self.world.steps();
            let reached = self.world.run_budget(until, piece);
            left = left.saturating_sub(self.world.steps() - steps);
            if let (true, Some(timed)) = (reached, &action) {
                // Recorded actions that have become impossible are skipped.
                let _ = self.world.apply(&timed.action);
                self.done += 1;
            }
            self.mark(before);
            self.checkpoints.offer(&self.world, self.done);
            if reached && action.is_none() {
                return true;
            }
            if left == 0 {
                return false;
            }
        }
    }

    /// Steps forward. False if no such event occurs within `events` events.
    pub fn step(&mut self, step: Step, events: u64) -> bool {
        let before = self.world.events().next();
        for _ in 0..events {
            let action = self.actions.get(self.done).cloned();
            let next = self.world.next_event_at();
            let known = self.world.events().next();
            match (action, next) {
                (Some(timed), next) if next.is_none_or(|at| at > timed.at) => {
                    self.world.run_until(timed.at);
                    let _ = self.world.apply(&timed.action);
                    self.done += 1;
                }
                (_, Some(_)) => {
                    self.world.step();
                }
                _ => return false,
            }
            let there = match step {
                Step::Event => true,
                Step::AtHost(host) => self.world.touched() == Some(host),
                Step::Change => self.world.events().since(known).any(|e| e.kind.is_change()),
            };
            if there {
                self.mark(before);
                return true;
            }
        }
        self.mark(before);
        false
    }

    /// Steps back to just before the last event, by replay.
    pub fn step_back(&mut self) -> bool {
        let (now, steps) = (self.now(), self.world.steps());
        let Some(target) = steps.checked_sub(1) else { return false };
        // Only time has passed since the last event, or it happened at the current time.
        let start = if now == Mono::ZERO { now } else { Mono(now.0 - 1) };
        let mut time = start;
        loop {
            self.load_strictly(time);
            if self.world.steps() <= target || time == Mono::ZERO {
                break;
            }
            time = Mono(self.now().0.saturating_sub(1));
        }
        while self.world.steps() < target && self.step(Step::Event, 1) {}
        true
    }

    fn load_strictly(&mut self, time: Mono) {
        if let Some(checkpoint) = self.checkpoints.before(time) {
            self.world = checkpoint.world.clone();
            self.done = checkpoint.done;
        }
    }

    fn keep_branch(&mut self, left: Mono) {
        let horizon = self.horizon;
        self.branches.push(Branch { left, horizon, actions: self.actions.clone() });
    }

    fn forget_future(&mut self, now: Mono) {
        self.actions.truncate(self.done);
        self.checkpoints.discard(self.done, now);
        self.forget_markers(now);
        self.horizon = now;
    }

    /// Drops the markers from a time on; they are found again during replay.
    fn forget_markers(&mut self, time: Mono) {
        if time < self.marked {
            self.markers.retain(|marker| marker.at < time);
            self.marked = time;
        }
    }

    /// The number of leading actions that this branch shares with another.
    fn common(&self, other: &[Timed]) -> usize {
        self.actions.iter().zip(other).take_while(|(a, b)| a == b).count()
    }

    /// Adds markers for the events since number `before`, unless they are known.
    fn mark(&mut self, before: u64) {
        let now = self.now();
        self.horizon = self.horizon.max(now);
        if now < self.marked {
            return;
        }
        for event in self.world.events().since(before) {
            if event.at < self.marked || !is_marker(&event.kind) {
                continue;
            }
            let marker = Marker { at: event.at, event: event.kind.clone() };
            // Replaying a moment produces the same events again.
            let mut same = self.markers.iter().rev().take_while(|known| known.at == event.at);
            if self.markers.len() < Self::MARKERS && !same.any(|known| *known == marker) {
                self.markers.push(marker);
            }
        }
        self.marked = now;
    }
}

/// Whether an event is notable enough for a marker.
fn is_marker(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Action(_)
            | EventKind::HostDown(_)
            | EventKind::Exited(..)
            | EventKind::NotStarted(..)
            | EventKind::BytesLost { .. }
    )
}

impl fmt::Display for Timed {
    /// Formatted as `12.5s crash redis-1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", show_duration(Duration::from_nanos(self.at.0)), self.action)
    }
}

impl FromStr for Timed {
    type Err = ActionError;

    fn from_str(text: &str) -> Result<Self, ActionError> {
        let text = text.trim_start();
        let (time, action) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let at = parse_duration(time).ok_or_else(|| ActionError::Invalid {
            what: "a time",
            value: time.into(),
            example: "12.5s crash redis-1",
        })?;
        Ok(Timed { at: Mono::ZERO + at, action: action.parse()? })
    }
}
