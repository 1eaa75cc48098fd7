//! A World with its past: actions over time, rewind, branches, undo.

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

/// All that a session is, as it is shared: everything else follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The seed.
    pub seed: u64,
    /// The world at the beginning.
    pub scenario: Scenario,
    /// What was done to it.
    pub actions: Vec<Timed>,
}

/// An action and when it is done: after everything else that happens at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// Virtual time.
    pub at: Mono,
    /// What is done.
    pub action: Action,
}

/// A World that one can go back and forth in.
#[derive(Clone, Debug)]
pub struct Session {
    scenario: Arc<Scenario>,
    seed: u64,
    world: World,
    /// The actions of this branch, in the order of their times.
    actions: Vec<Timed>,
    /// How many of them have been done to `world`.
    done: usize,
    /// How far this branch has been run.
    horizon: Mono,
    checkpoints: Checkpoints,
    markers: Vec<Marker>,
    /// Up to where the markers are known.
    marked: Mono,
    branches: Vec<Branch>,
}

/// A moment to jump to.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// When it is, on the World's clock.
    pub at: Mono,
    /// What happened then.
    pub event: EventKind,
}

/// A future that was left behind when an action came in its past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// When it was left.
    pub left: Mono,
    /// How far it had been run.
    pub horizon: Mono,
    /// All of its actions, from the beginning.
    pub actions: Vec<Timed>,
}

/// What to do with the future when an action comes in its past.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Future {
    /// Keep it as a branch.
    Keep,
    /// Forget it.
    Discard,
}

/// How far one step goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// To the next event, whatever it is.
    Event,
    /// To the next event at this host.
    AtHost(HostId),
    /// To the next event that changes something: see [`EventKind::is_change`].
    Change,
}

impl Session {
    /// Markers that are kept at most; the first ones stay.
    const MARKERS: usize = 10_000;

    /// A session at its beginning.
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

    /// A session that was written down, at its beginning; its actions come as time passes.
    pub fn from_record(record: Record, programs: Programs) -> Self {
        let mut session = Session::new(record.scenario, record.seed, programs);
        session.actions = record.actions;
        sort_by_key(&mut session.actions, |timed| timed.at);
        session.horizon = session.actions.last().map_or(Mono::ZERO, |timed| timed.at);
        session
    }

    /// The session, to be written down.
    pub fn record(&self) -> Record {
        Record {
            seed: self.seed,
            scenario: (*self.scenario).clone(),
            actions: self.actions.clone(),
        }
    }

    /// The World at the present time.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The present time.
    pub fn now(&self) -> Mono {
        self.world.now()
    }

    /// How far this branch has been run: where its known future ends.
    pub fn horizon(&self) -> Mono {
        self.horizon
    }

    /// Whether there is a known future.
    pub fn is_past(&self) -> bool {
        self.now() < self.horizon
    }

    /// The actions of this branch, in the order of their times.
    pub fn actions(&self) -> &[Timed] {
        &self.actions
    }

    /// How many of the actions have been done by the present time.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Moments to jump to, in the order of their times, up to the horizon.
    pub fn markers(&self) -> &[Marker] {
        &self.markers
    }

    /// Futures that were left behind.
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// How many copies of the World are kept for going back.
    pub fn checkpoints(&self) -> usize {
        self.checkpoints.len()
    }

    /// Does an action now. If there is a known future it is kept as a branch or forgotten.
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

    /// Takes an action back, as if it had never been done, at whatever time it was. What followed
    /// it is run anew up to the present time. False if there is no such action.
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

    /// Goes to a branch, at the time at which it was left. The present one is kept instead.
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

    /// Goes to a time, back or forth.
    pub fn seek(&mut self, time: Mono) {
        self.load(time);
        self.advance(time, u64::MAX);
    }

    /// Goes back to the last copy before a time, or stays if that is nearer. [`Session::advance`]
    /// then goes the rest of the way, in as many pieces as the caller likes.
    pub fn load(&mut self, time: Mono) {
        let Some(checkpoint) = self.checkpoints.before(time) else { return };
        let here = self.now() <= time && self.world.steps() >= checkpoint.world.steps();
        if !here {
            self.world = checkpoint.world.clone();
            self.done = checkpoint.done;
        }
    }

    /// Lets everything happen up to a time, with the actions that are recorded until then, but no
    /// more than so many events. True if the time was reached.
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
                // What has become impossible since the action was recorded is left out.
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

    /// Steps forward. False if nothing like that happens within so many events.
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

    /// Steps back to just before the last event that is known, by replay.
    pub fn step_back(&mut self) -> bool {
        let (now, steps) = (self.now(), self.world.steps());
        let Some(target) = steps.checked_sub(1) else { return false };
        // Nothing but time has passed since the last event, or it happened at this very moment.
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

    /// Forgets the markers from a time on; they are found again when it is run through.
    fn forget_markers(&mut self, time: Mono) {
        if time < self.marked {
            self.markers.retain(|marker| marker.at < time);
            self.marked = time;
        }
    }

    /// How many actions this branch begins with as another does.
    fn common(&self, other: &[Timed]) -> usize {
        self.actions.iter().zip(other).take_while(|(a, b)| a == b).count()
    }

    /// Notes what happened since event number `before`, if it was not known already.
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
            // A moment that is run through again brings the same again.
            let mut same = self.markers.iter().rev().take_while(|known| known.at == event.at);
            if self.markers.len() < Self::MARKERS && !same.any(|known| *known == marker) {
                self.markers.push(marker);
            }
        }
        self.marked = now;
    }
}

/// Whether one would want to jump there.
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
    /// As `12.5s crash redis-1`.
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
