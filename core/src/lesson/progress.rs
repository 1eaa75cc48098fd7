//! Which steps of a lesson are done, and when each was.

use serde::{Deserialize, Serialize};

use crate::time::{Duration, Mono};

use super::evidence::{Before, Evidence};
use super::model::{Condition, Lesson, Waited};
use super::witness::Witness;

/// How far a person has come in a lesson.
///
/// It is looked at again and again while the World runs. What lies behind the World's present time
/// is forgotten: whoever goes back in time finds the steps undone that were done later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The steps that have begun; all but the last are done.
    begun: Vec<Begun>,
}

/// A step that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    before: Before,
    /// Since when each condition has been true.
    since: Vec<Option<Mono>>,
    /// The answer that was chosen, and when.
    answer: Option<(Answer, Mono)>,
    done: Option<Mono>,
}

/// An answer to a step's question, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer(pub usize);

impl Progress {
    /// Looks at the World, or at real processes. True if a step was done, or taken back.
    pub fn look(&mut self, lesson: &Lesson, world: &dyn Witness) -> bool {
        let before = self.done();
        self.forget(world.now());
        // Whatever is true from the start of a step on ends it in this very look.
        let evidence = Evidence::of(world);
        loop {
            let number = self.done();
            let Some(step) = lesson.steps.get(number) else { break };
            if self.begun.len() == number {
                self.begun.push(Begun::at(world, &evidence, &step.wait));
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

    /// How many steps are done.
    pub fn done(&self) -> usize {
        self.begun.iter().take_while(|begun| begun.done.is_some()).count()
    }

    /// When a step was done.
    pub fn done_at(&self, step: usize) -> Option<Mono> {
        self.begun.get(step)?.done
    }

    /// Whether all steps are done that wait for something.
    pub fn is_complete(&self, lesson: &Lesson) -> bool {
        lesson.steps.get(self.done()).is_none_or(|step| step.open)
    }

    /// Which conditions of a step hold, or held when it was done.
    pub fn met(&self, step: usize) -> Vec<bool> {
        self.begun
            .get(step)
            .map_or(Vec::new(), |begun| begun.since.iter().map(|since| since.is_some()).collect())
    }

    /// Chooses an answer to the question of the present step, or of an earlier one.
    pub fn answer(&mut self, step: usize, answer: Answer, now: Mono) {
        if let Some(begun) = self.begun.get_mut(step)
            && begun.done.is_none()
        {
            begun.answer = Some((answer, now));
        }
    }

    /// The answer that was chosen.
    pub fn answered(&self, step: usize) -> Option<Answer> {
        self.begun.get(step)?.answer.map(|(answer, _)| answer)
    }

    /// Forgets what happened after a moment.
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

impl Begun {
    fn at(world: &dyn Witness, evidence: &Evidence<'_>, wait: &[Waited]) -> Self {
        let seen = wait.iter().map(|waited| evidence.count(&waited.condition)).collect();
        let before = Before { at: world.now(), event: world.next_event(), seen };
        Begun { before, since: vec![None; wait.len()], answer: None, done: None }
    }

    fn look(&mut self, now: Mono, evidence: &Evidence<'_>, wait: &[Waited]) {
        for (number, waited) in wait.iter().enumerate() {
            if let Some(seen) = self.before.seen.get_mut(number) {
                // What has scrolled away cannot be mistaken for news any more.
                *seen = (*seen).min(evidence.count(&waited.condition));
            }
            let since = &mut self.since[number];
            if since.is_some() && happens(&waited.condition) {
                continue;
            }
            let holds = evidence.holds(&waited.condition, number, &self.before);
            *since = holds.then(|| since.unwrap_or(now));
        }
    }

    /// Whether everything is true, and has been for as long as it must.
    fn all(&self, now: Mono, wait: &[Waited]) -> bool {
        self.since.iter().zip(wait).all(|(since, waited)| {
            since.is_some_and(|at| now.since(at) >= waited.hold || waited.hold == Duration::ZERO)
        })
    }
}

/// Whether a condition is about something that happens once, and not about how things are.
fn happens(condition: &Condition) -> bool {
    matches!(condition, Condition::Typed { .. } | Condition::Logged { .. } | Condition::Did { .. })
}
