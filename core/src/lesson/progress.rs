//! The progress of a person in a lesson: which steps are done, and when.

use serde::{Deserialize, Serialize};

use crate::time::{Duration, Mono};

use super::evidence::{Baseline, Evidence};
use super::model::{Condition, Lesson, Requirement};
use super::witness::Witness;

/// The progress of a person in a lesson.
///
/// It is updated regularly while the World runs. Everything later than the World's present time is
/// dropped, so that after a rewind the later steps are undone again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The steps that have begun. All but the last are done.
    begun: Vec<StepState>,
}

/// The state of a step that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StepState {
    before: Baseline,
    /// Since when each condition has been true.
    since: Vec<Option<Mono>>,
    /// The chosen answer, and when it was chosen.
    answer: Option<(Answer, Mono)>,
    done: Option<Mono>,
}

/// The index of an answer to a step's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer(pub usize);

impl Progress {
    /// Updates the progress from a World, or from real processes. Returns whether a step was
    /// completed or undone.
    pub fn look(&mut self, lesson: &Lesson, world: &dyn Witness) -> bool {
        let before = self.done();
        self.forget(world.now());
        // A step whose conditions are already true is completed in the same call.
        let evidence = Evidence::of(world);
        loop {
            let number = self.done();
            let Some(step) = lesson.steps.get(number) else { break };
            if self.begun.len() == number {
                self.begun.push(StepState::at(world, &evidence, &step.wait));
            }
            let begun = &mut self.begun[number];
            begun.look(world.now(), &evidence, &step.wait);
            let asked = step.question.as_ref().is_none_or(|question| {
                let chosen = begun.answer.and_then(|(Answer(n), _)| question.answers.get(n));
                chosen.is_some_and(|answer| answer.right)
            });
            if step.open || !asked || !begun.all(world.now(), &step.wait) {
                break;
            }
            begun.done = Some(world.now());
        }
        self.done() != before
    }

    /// The number of completed steps.
    pub fn done(&self) -> usize {
        self.begun.iter().take_while(|begun| begun.done.is_some()).count()
    }

    /// When a step was completed.
    pub fn done_at(&self, step: usize) -> Option<Mono> {
        self.begun.get(step)?.done
    }

    /// Whether all steps with conditions are completed.
    pub fn is_complete(&self, lesson: &Lesson) -> bool {
        lesson.steps.get(self.done()).is_none_or(|step| step.open)
    }

    /// Which conditions of a step are met, or were met when it was completed.
    pub fn met(&self, step: usize) -> Vec<bool> {
        self.begun
            .get(step)
            .map_or(Vec::new(), |begun| begun.since.iter().map(|since| since.is_some()).collect())
    }

    /// Chooses an answer to the question of the current or an earlier step.
    pub fn answer(&mut self, step: usize, answer: Answer, now: Mono) {
        if let Some(begun) = self.begun.get_mut(step)
            && begun.done.is_none()
        {
            begun.answer = Some((answer, now));
        }
    }

    /// The chosen answer.
    pub fn answered(&self, step: usize) -> Option<Answer> {
        self.begun.get(step)?.answer.map(|(answer, _)| answer)
    }

    /// Drops everything after a time.
    fn forget(&mut self, now: Mono) {
        self.begun.retain(|begun| begun.before.at <= now);
        for begun in &mut self.begun {
            begun.answer = begun.answer.filter(|(_, at)| *at <= now);
            begun.done = begun.done.filter(|at| *at <= now);
            for since in &mut begun.since {
                *since = since.filter(|at| *at <= now);
            }
        }
        self.begun.truncate(self.done() + 1);
    }
}

impl StepState {
    fn at(world: &dyn Witness, evidence: &Evidence<'_>, wait: &[Requirement]) -> Self {
        let seen = wait.iter().map(|waited| evidence.count(&waited.condition)).collect();
        let before = Baseline { at: world.now(), event: world.next_event(), seen };
        StepState { before, since: vec![None; wait.len()], answer: None, done: None }
    }

    fn look(&mut self, now: Mono, evidence: &Evidence<'_>, wait: &[Requirement]) {
        for (number, waited) in wait.iter().enumerate() {
            if let Some(seen) = self.before.seen.get_mut(number) {
                // A line that has scrolled away must not count as an old one any more.
                *seen = (*seen).min(evidence.count(&waited.condition));
            }
            let since = &mut self.since[number];
            if since.is_some() && is_event(&waited.condition) {
                continue;
            }
            let holds = evidence.holds(&waited.condition, number, &self.before);
            *since = holds.then(|| since.unwrap_or(now));
        }
    }

    /// Whether all conditions are true, and have been for their `hold`.
    fn all(&self, now: Mono, wait: &[Requirement]) -> bool {
        self.since.iter().zip(wait).all(|(since, waited)| {
            since.is_some_and(|at| now.since(at) >= waited.hold || waited.hold == Duration::ZERO)
        })
    }
}

/// Whether a condition is about an event, and not about a state.
fn is_event(condition: &Condition) -> bool {
    matches!(condition, Condition::Typed { .. } | Condition::Logged { .. } | Condition::Did { .. })
}
