//! What this browser remembers of lessons: steps that are done, and the session they were done in.

use std::collections::BTreeMap;

use limpid_core::lesson::{Lesson, Progress};
use serde::{Deserialize, Serialize};

use crate::saved::Place;
use crate::storage;

/// The entry of the browser's storage.
const KEY: &str = "limpid-lessons";

/// All that is remembered, by lesson.
type All = BTreeMap<String, Kept>;

/// What is remembered of a lesson.
#[derive(Serialize, Deserialize, Clone)]
pub(super) struct Kept {
    /// The ids of its steps when this was written.
    steps: Vec<String>,
    /// Whether all were done at some time. It stays when the lesson is begun anew.
    pub complete: bool,
    progress: Progress,
    /// The session, as a link has it.
    pub session: String,
}

impl Kept {
    /// What is remembered of a lesson.
    pub(super) fn of(id: &str) -> Option<Kept> {
        all().remove(id).filter(|kept| !kept.session.is_empty())
    }

    /// Whether a lesson was ever done to its end.
    pub(super) fn was_completed(id: &str) -> bool {
        all().get(id).is_some_and(|kept| kept.complete)
    }

    /// The progress, if the lesson still has the same steps as far as one came.
    pub(super) fn progress_of(&self, lesson: &Lesson) -> Option<Progress> {
        let done = self.progress.done();
        let same = self.steps.iter().zip(&lesson.steps).take(done + 1).all(|(a, b)| *a == b.id);
        same.then(|| self.progress.clone())
    }

    pub(super) fn keep(id: &str, lesson: &Lesson, progress: &Progress, session: String) {
        let mut all = all();
        let complete =
            progress.is_complete(lesson) || all.get(id).is_some_and(|kept| kept.complete);
        let steps = lesson.steps.iter().map(|step| step.id.clone()).collect();
        all.insert(id.to_owned(), Kept { steps, complete, progress: progress.clone(), session });
        // Without storage in the browser it is forgotten.
        write(&all);
    }

    /// Takes over the place in a lesson from a saved session.
    pub(super) fn take(place: Place, session: String) {
        let Ok(progress) = serde_json::from_str(&place.progress) else { return };
        let mut all = all();
        let complete = all.get(&place.id).is_some_and(|kept| kept.complete);
        all.insert(place.id, Kept { steps: place.steps, complete, progress, session });
        write(&all);
    }

    /// Forgets the place in a lesson, but not that it was done.
    pub(super) fn forget(id: &str) {
        let mut all = all();
        if let Some(kept) = all.get_mut(id) {
            kept.session.clear();
            kept.progress = Progress::default();
            write(&all);
        }
    }
}

/// Everything, to be kept in a file.
pub(super) fn export() -> String {
    serde_json::to_string(&all()).unwrap_or_default()
}

/// Takes over what was exported; false if it is something else.
pub(super) fn import(text: &str) -> bool {
    let Ok(imported) = serde_json::from_str::<All>(text) else { return false };
    let mut all = all();
    all.extend(imported);
    write(&all)
}

fn all() -> All {
    storage::get(KEY).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn write(all: &All) -> bool {
    serde_json::to_string(all).is_ok_and(|text| storage::set(KEY, &text))
}
